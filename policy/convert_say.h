/* Which texts of RBAC and ABAC can stand in a native policy with the meaning they have there: what is literal
 * there may be a pattern here, or refused. Pure, all of them. Internal to policy/. */
#ifndef POLICY_CONVERT_SAY_H
#define POLICY_CONVERT_SAY_H

#include "common/str.h"

bool say_banged(struct slice s); /* looks like a negation, which the language refuses */
bool say_good_verb(struct slice s);
bool say_good_group(struct slice s); /* an API group */
bool say_good_resource(struct slice s); /* in an allow rule */
bool say_good_name(struct slice s); /* of an object */
bool say_good_url(struct slice s); /* what say_url gave */
bool say_good_subject(struct slice s); /* a user or a group */
bool say_good_namespace(struct slice s);

/* A path as upstream reads it: the stars at its end made one. May live in A. */
struct slice say_url(struct arena *a, struct slice s);

#endif
