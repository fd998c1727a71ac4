/* Owns the events of the intake that wait: which, in which order they came, and when each is due. */
#include <stdlib.h>

#include "rbac-sync/intake_parts.h"

struct waiter *waiting_find(const struct waiting *w, const char *key)
{
	return map_get(&w->by_key, slice_of(key));
}

struct waiter *waiting_add(struct waiting *w, const char *key)
{
	struct waiter *p = waiting_find(w, key);
	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	memcpy(p->key, key, sizeof(p->key));
	p->order = w->claims++;
	map_put(&w->by_key, slice_of(p->key), p);
	return p;
}

void waiting_forget(struct waiting *w, const char *key)
{
	free(map_del(&w->by_key, slice_of(key)));
}

void waiting_clear(struct waiting *w)
{
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&w->by_key, &it, &key, &v))
		free(v);
	map_done(&w->by_key);
	w->by_key = (struct map){0};
}

static int by_order(const void *a, const void *b)
{
	const struct waiter *x = *(const struct waiter *const *)a, *y = *(const struct waiter *const *)b;
	return (x->order > y->order) - (x->order < y->order);
}

struct waiter **waiting_due(const struct waiting *w, int64_t now, size_t *n)
{
	size_t it = 0, len = 0;
	struct slice key;
	void *v;
	struct waiter **due = calloc(w->by_key.len + 1, sizeof(struct waiter *));
	if (!due)
		abort();
	while (map_next(&w->by_key, &it, &key, &v)) {
		if (((struct waiter *)v)->due <= now)
			due[len++] = v;
	}
	qsort(due, len, sizeof(struct waiter *), by_order);
	*n = len;
	return due;
}

int64_t waiting_first(const struct waiting *w, int64_t until)
{
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&w->by_key, &it, &key, &v)) {
		int64_t due = ((const struct waiter *)v)->due;
		until = due < until ? due : until;
	}
	return until;
}

void waiting_wake(struct waiting *w, bool held_only)
{
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&w->by_key, &it, &key, &v)) {
		struct waiter *p = v;
		if (p->held || !held_only)
			p->due = 0;
	}
}
