/* Since when something fails, and why: told by whoever fails, asked by whoever reports. */
#ifndef COMMON_TROUBLE_H
#define COMMON_TROUBLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* Every function but init and done is thread-safe. */
struct trouble {
	pthread_mutex_t lock;
	int64_t since; /* wall clock, ns; 0: all is well */
	struct err why;
};

void trouble_init(struct trouble *t);
void trouble_done(struct trouble *t);

/* It failed, for WHY: the time of the first failure in a row stays, the reason is the last one's. */
void trouble_set(struct trouble *t, const struct err *why);

/* It worked. */
void trouble_end(struct trouble *t);

/* False when all is well; else *SINCE (wall clock, nanoseconds) and *WHY are set. */
bool trouble_get(struct trouble *t, int64_t *since, struct err *why);

#endif
