/* Verdicts of a moment ago, in bounded memory. Acceptances and refusals are kept apart: however
 * many tokens are refused, no acceptance goes for it, and only who has a valid token adds an
 * acceptance. */
#ifndef AUTHN_VERDICT_CACHE_H
#define AUTHN_VERDICT_CACHE_H

#include "authn/verdict.h"

struct verdict_cache;

struct verdict_cache_options {
	int64_t ttl,
	    refused_ttl; /* ns: the longest that a verdict is kept; 0: none of its kind is */
	size_t entries, bytes; /* of acceptances; past either the one longest unused goes */
};

/* Belongs to one chain, since a reload may change any verdict. */
struct verdict_cache *verdict_cache_new(const struct verdict_cache_options *o);
void verdict_cache_free(struct verdict_cache **c);

/* The verdict of KEY with a reference for the caller; NULL when there is none or its time is over.
 * NOW is clock_mono(). Counts hits alone: a review may look twice. Thread-safe. */
struct verdict *verdict_cache_get(
    struct verdict_cache *c, const struct verdict_key *key, int64_t now);

/* Counts a review for which nothing was kept. Thread-safe. */
void verdict_cache_missed(struct verdict_cache *c);

/* Keeps V, for KEEP ns at most: an ACCEPT or a REJECT, never what could not be decided; not past
 * the end of its identity; nothing of more than VERDICT_BYTES_MAX. Times: clock_mono() and wall
 * clock. Thread-safe. */
void verdict_cache_put(struct verdict_cache *c, const struct verdict_key *key, struct verdict *v,
    int64_t keep, int64_t now, int64_t wall);

#endif
