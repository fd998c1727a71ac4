/* What lists.c, lists_runs.c and lists_worst.c share while the lists are built. Internal to policy/. */
#ifndef POLICY_LISTS_BUILD_H
#define POLICY_LISTS_BUILD_H

#include "policy/compile.h"

/* A growing array of numbers. */
struct numbers {
	uint32_t *v;
	uint32_t n, room;
};

struct lists_build {
	struct policy *p;
	struct subject_set **sets; /* by number */
	bool *whole; /* by number: not written out as its members */
	struct ranked *ranks;
	struct subject_key *keys;
	uint32_t nkeys;
	uint32_t *filed; /* by key: how many rules have it */
	uint32_t limit; /* subjects times namespaces that are written out */
	struct numbers rule_keys, rule_places; /* of the rule in hand */
	uint64_t *entries; /* all, by key; then in place what remains of them */
	size_t total, kept;
	struct long_run *runs;
	uint32_t nruns, runs_room;
	uint64_t *anchored; /* entries of the long runs */
	size_t nanchored, anchored_room;
	uint32_t *seen; /* a hash table for one run */
	size_t seen_room;
	uint32_t *longest; /* of each run, the entries that one request can reach */
};

/* A zeroed array; aborts when there is no memory. */
void *lists_zeroed(size_t n, size_t size);

/* Does the rule take away, and so concerns what it may touch? As authz/match.c has it. */
static inline bool lists_overlaps(const struct rule *r)
{
	return r->effect != POLICY_ALLOW && !r->exact;
}

static inline const struct rule *lists_rule(const struct lists_build *b, uint64_t entry)
{
	return &b->p->rules[b->ranks[(uint32_t)entry].rule];
}

/* Sorts the entries of each key, drops those that can never decide and divides long runs by anchors. */
void lists_runs(struct lists_build *b);

/* Fills policy.worst. */
void lists_worst(struct lists_build *b);

#endif
