/* Owns how many removals the last stretch of time saw. */
#include "rbac-sync/gc_window.h"

#include <stdbool.h>

size_t gc_window_used(struct gc_window *w, int64_t now)
{
	size_t used = 0;
	for (size_t i = 0; i < GC_WINDOW_BUCKETS; i++) {
		struct gc_bucket *b = &w->buckets[i];
		if (b->n > 0 && now - b->last >= w->length)
			b->n = 0;
		used += b->n;
	}
	return used;
}

/* The bucket that takes what goes now: the present one, else an empty one, else the latest. */
static struct gc_bucket *open_bucket(struct gc_window *w, int64_t now)
{
	struct gc_bucket *latest = NULL, *empty = NULL;
	for (size_t i = 0; i < GC_WINDOW_BUCKETS; i++) {
		struct gc_bucket *b = &w->buckets[i];
		if (b->n == 0)
			empty = b;
		else if (!latest || b->first > latest->first)
			latest = b;
	}
	bool present = latest && now - latest->first < w->length / (GC_WINDOW_BUCKETS - 1);
	if (latest && (present || !empty))
		return latest;
	*empty = (struct gc_bucket){.first = now};
	return empty;
}

void gc_window_add(struct gc_window *w, size_t n, int64_t now)
{
	if (n == 0)
		return;
	struct gc_bucket *b = open_bucket(w, now);
	b->n += n;
	b->last = now;
}

void gc_window_give_back(struct gc_window *w, size_t n)
{
	while (n > 0) {
		struct gc_bucket *latest = NULL;
		for (size_t i = 0; i < GC_WINDOW_BUCKETS; i++) {
			struct gc_bucket *b = &w->buckets[i];
			if (b->n > 0 && (!latest || b->first > latest->first))
				latest = b;
		}
		if (!latest)
			return; /* they have left the window already */
		size_t part = n < latest->n ? n : latest->n;
		latest->n -= part;
		n -= part;
	}
}
