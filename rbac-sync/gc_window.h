/* Removals of the last stretch of time, in a few buckets of it: a trickle is a run too. Zeroed but for its length it is
 * empty; its owner's lock guards it. Times are of the monotonic clock. */
#ifndef RBAC_SYNC_GC_WINDOW_H
#define RBAC_SYNC_GC_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#define GC_WINDOW_BUCKETS 16 /* its grain */

/* Removals of a part of the time; gone when the last of them is older than the window. */
struct gc_bucket {
	int64_t first, last;
	size_t n;
};

struct gc_window {
	int64_t length; /* ns */
	struct gc_bucket buckets[GC_WINDOW_BUCKETS];
};

/* How many went in the window that ends at NOW; forgets older ones. */
size_t gc_window_used(struct gc_window *w, int64_t now);

/* N go now. */
void gc_window_add(struct gc_window *w, size_t n, int64_t now);

/* Takes N back, of the latest first; those that have left the window are passed over. */
void gc_window_give_back(struct gc_window *w, size_t n);

#endif
