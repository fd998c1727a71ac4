/* Which passwords were wrong a moment ago, as keyed hashes in bounded memory: a client that goes on sending
 * one stale password must not be what locks its owner's account. */
#ifndef AUTHN_WRONGS_H
#define AUTHN_WRONGS_H

#include "common/str.h"

struct wrongs;

/* What WRONGS remembers of a try; of no use without the process's own key. */
struct wrong {
	uint64_t half[2];
};

/* A wrong password is known for FIRST (ns); when it then turns out wrong again, for twice as long as the
 * time before, at most LONGEST. */
struct wrongs *wrongs_new(int64_t first, int64_t longest);
void wrongs_free(struct wrongs **w);

/* The N PARTS (directory, account, password, …) as one value; their borders count. */
struct wrong wrongs_hash(const struct wrongs *w, const struct slice *parts, size_t n);

/* True while X is known to be wrong. NOW: clock_mono(). Thread-safe. */
bool wrongs_known(struct wrongs *w, struct wrong x, int64_t now);

/* X was wrong. In a full place the one that is forgotten soonest makes room. Thread-safe. */
void wrongs_add(struct wrongs *w, struct wrong x, int64_t now);

#endif
