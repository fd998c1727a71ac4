/* What the parts of lint share. Internal to policy/. */
#ifndef POLICY_LINT_PARTS_H
#define POLICY_LINT_PARTS_H

#include "common/map.h"
#include "policy/ast.h"
#include "policy/index.h"
#include "policy/lint.h"

struct linter {
	const struct policy_file *files;
	size_t nfiles;
	const struct policy *p;
	const struct lint_options *options;
	struct lint *out;
	struct arena arena; /* of this run */
	struct map places; /* rule id -> struct place * */
	struct map accepted; /* "FILE\nLINE\nCODE" -> the linter */
};

/* About the rule number RULE; ADVICE may be NULL. CODE is one of the table in lint.c, which has its
 * severity; lint_rule_as gives another one. */
void lint_rule(struct linter *l, uint32_t rule, const char *code, const char *advice,
    const char *fmt, ...) PRINTF(5, 6);
void lint_rule_as(struct linter *l, uint32_t rule, const char *code, enum lint_severity severity,
    const char *advice, const char *fmt, ...) PRINTF(6, 7);

/* About a place that is no rule's. */
void lint_place(struct linter *l, struct place at, const char *code, const char *advice,
    const char *fmt, ...) PRINTF(5, 6);

/* The whole policy: the place is its first file. */
struct place lint_whole(const struct linter *l);

/* The parts, by file. */
void lint_tree(struct linter *l); /* first: it finds the places and the comments that accept */
void lint_reach(struct linter *l);
void lint_danger(struct linter *l);
void lint_habits(struct linter *l);
void lint_people(struct linter *l);

/* How many a rule's subjects may be. */
enum lint_who {
	WHO_SYSTEM, /* components of Kubernetes alone */
	WHO_SOME,
	WHO_WIDE, /* all who have logged in, all service accounts, a pattern of nothing but stars */
	WHO_ANYBODY /* who has not logged in, too */
};
enum lint_who lint_who(const struct policy *p, const struct rule *r);

#endif
