/* Does one rule reach at least as far as another? Sound and incomplete: true is a proof that every
 * request that the narrower one matches is matched by the wider one, false says nothing. For tools;
 * deciding needs none of it. */
#ifndef POLICY_COVER_H
#define POLICY_COVER_H

#include "policy/index.h"

/* Does WIDE match every string that NARROW matches? Exact for globs whose only wildcard is `*`.
 * Pure. */
bool glob_covers(struct slice wide, struct slice narrow);

/* Is every subject that NARROW names named by WIDE? Pure. */
bool cover_subjects(
    const struct policy *p, const struct subjects *wide, const struct subjects *narrow);

/* The same of actions and place, whoever asks. Effects and `overlap` count: a deny reaches
 * requests that name nothing, an allow does not. Pure. */
bool cover_reach(const struct policy *p, const struct rule *wide, const struct rule *narrow);

/* Everything that decides whether a rule matches: subjects, exceptions, reach, validity. Exemptions
 * are not looked at, nor which of the two is the stronger. Pure. */
bool cover_rule(const struct policy *p, const struct rule *wide, const struct rule *narrow);

/* Are all whom RULE names excepted by it? Pure. */
bool cover_nobody(const struct policy *p, const struct rule *rule);

#endif
