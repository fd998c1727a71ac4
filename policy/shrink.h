/* What a policy lost against the one before: for the guard that refuses torn files and slips. */
#ifndef POLICY_SHRINK_H
#define POLICY_SHRINK_H

#include "policy/policy.h"

struct shrink {
	size_t rules, removed; /* of the old policy: all its enforced rules, those whose id is gone */
	const char *lost; /* the first that took access away and no longer does, or exempts no longer */
	size_t more; /* how many others of its kind */
};

/* Compares NOW with OLD by rule ids: a rule that denied or abstained is lost when none of its id does so
 * any more; an exemption is lost when its text is gone; the default is when it was Deny. Shadow rules and
 * notes do not count. LOST lives in A. Pure. */
void policy_shrink(
    const struct policy *old, const struct policy *now, struct arena *a, struct shrink *out);

#endif
