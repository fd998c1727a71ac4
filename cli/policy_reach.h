/* How who-can and what-can tell of subjects, rules and what they are about. */
#ifndef CLI_POLICY_REACH_H
#define CLI_POLICY_REACH_H

#include "authz/reach.h"

/* "user bob", "group dev-*", "service account ci/build", "everyone" */
void reach_print_subject(struct buf *b, const struct reach_subject *s);
void reach_json_subject(struct buf *b, const struct reach_subject *s); /* an object */
void reach_json_subjects(struct buf *b, const struct policy *p, const struct subjects *s);

/* Lists with ", " between: verbs, resources with their groups or paths, names, namespaces. */
void reach_print_verbs(struct buf *b, const struct policy *p, const struct action *a);
void reach_print_things(struct buf *b, const struct policy *p, const struct action *a);
void reach_print_names(struct buf *b, const struct policy *p, const struct action *a);
void reach_print_place(struct buf *b, const struct policy *p, const struct rule *r);
void reach_print_selectors(struct buf *b, const struct action *a);

/* `,"rule":…,"source":…,"origin":…,"effect":…` and the like: members behind another one. */
void reach_json_rule(struct buf *b, const struct rule *r);
void reach_json_action(struct buf *b, const struct policy *p, const struct action *a);
void reach_json_place(struct buf *b, const struct policy *p, const struct rule *r);

/* A time without fractions, as 2026-11-22T10:00:00Z. */
void reach_print_time(struct buf *b, int64_t t);

#endif
