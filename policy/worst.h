/* What the index knows about its own worst cases: how many rules a decision may have to look at.
 * Read by lint and by whoever shows a policy's figures. */
#ifndef POLICY_WORST_H
#define POLICY_WORST_H

#include "policy/policy.h"

enum worst_dimension { WORST_SUBJECT, WORST_ACTION, WORST_NAMESPACE, WORST_DIMENSIONS };

/* The longest list of one dimension. */
struct worst_list {
	size_t rules; /* how many rules it has; 0: the dimension has no list */
	const char *what; /* borrowed from the policy: `group "oidc:dev"`, `resource "pods"` */
};

/* Candidates of a decision: rules with one subject and one place that must be tried when the action
 * leaves open which. */
struct policy_worst {
	struct worst_list lists[WORST_DIMENSIONS];
	size_t candidates; /* most rules that one subject brings into one decision */
	const char *candidates_of; /* of which subject, as in WHAT; NULL when there is none */
	size_t postings; /* entries of the index */
	size_t bytes; /* memory of the policy, without what the allocator adds */
};

/* Never NULL; lives as long as P. */
const struct policy_worst *policy_worst(const struct policy *p);

/* "subject", "action", "namespace". */
const char *worst_dimension_name(enum worst_dimension d);

#endif
