/* Owns the limits on repairs: a token bucket an object. */
#include "rbac-sync/drift.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/map.h"

#define MINUTE (60 * CLOCK_SECOND)

struct bucket {
	int64_t full;  /* clock_mono at which all its tokens are back */
	int64_t until; /* it cools down until then; 0: it does not */
	char key[];
};

struct drift {
	pthread_mutex_t lock;
	struct map buckets;
	int64_t token, burst; /* ns in which one comes back; all of them */
	int64_t cool_down;
	int64_t sweep; /* no bucket is quiet before */
};

struct drift *drift_new(unsigned per_minute, int64_t cool_down)
{
	struct drift *d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	pthread_mutex_init(&d->lock, NULL);
	d->token = MINUTE / (per_minute ? per_minute : 1);
	d->burst = d->token * per_minute;
	d->cool_down = cool_down;
	return d;
}

void drift_free(struct drift **d)
{
	if (!*d)
		return;
	size_t it = 0;
	struct slice key;
	void *bucket;
	while (map_next(&(*d)->buckets, &it, &key, &bucket))
		free(bucket);
	map_done(&(*d)->buckets);
	pthread_mutex_destroy(&(*d)->lock);
	free(*d);
	*d = NULL;
}

/* Forgets what is full and does not cool down: as if it had never been seen. */
static void sweep(struct drift *d, int64_t now)
{
	struct bucket **quiet = calloc(d->buckets.len + 1, sizeof(struct bucket *));
	size_t it = 0, n = 0;
	struct slice key;
	void *value;
	if (!quiet)
		abort();
	d->sweep = INT64_MAX;
	while (map_next(&d->buckets, &it, &key, &value)) {
		struct bucket *b = value;
		int64_t end = b->until > b->full ? b->until : b->full;
		if (end <= now)
			quiet[n++] = b;
		else if (end < d->sweep)
			d->sweep = end;
	}
	for (size_t i = 0; i < n; i++) {
		map_del(&d->buckets, slice_of(quiet[i]->key));
		free(quiet[i]);
	}
	free(quiet);
}

/* NULL when there is no room. */
static struct bucket *bucket_of(struct drift *d, const char *key, int64_t now)
{
	struct bucket *b = map_get(&d->buckets, slice_of(key));
	if (b)
		return b;
	if (d->buckets.len >= DRIFT_OBJECTS_MAX && now >= d->sweep)
		sweep(d, now);
	if (d->buckets.len >= DRIFT_OBJECTS_MAX)
		return NULL;
	size_t n = strlen(key) + 1;
	b = malloc(sizeof(*b) + n);
	if (!b)
		abort();
	*b = (struct bucket){0};
	memcpy(b->key, key, n);
	map_put(&d->buckets, slice_of(b->key), b);
	d->sweep = d->sweep < now ? d->sweep : now;
	return b;
}

static enum drift_answer take(const struct drift *d, struct bucket *b, int64_t now, int64_t *again)
{
	if (b->until > now) {
		*again = b->until;
		return DRIFT_LATER;
	}
	if (b->until)
		*b = (struct bucket){0};
	if (b->full < now)
		b->full = now;
	if (b->full + d->token <= now + d->burst) {
		b->full += d->token;
		return DRIFT_GO;
	}
	b->until = now + d->cool_down;
	*again = b->until;
	return DRIFT_FIGHT;
}

enum drift_answer drift_ask(struct drift *d, const struct object_id *id, int64_t *again)
{
	struct arena a = {0};
	const char *key = object_id_text(&a, id);
	enum drift_answer answer = DRIFT_LATER;
	pthread_mutex_lock(&d->lock);
	int64_t now = clock_mono();
	struct bucket *b = bucket_of(d, key, now);
	*again = now + MINUTE;
	if (b)
		answer = take(d, b, now, again);
	pthread_mutex_unlock(&d->lock);
	arena_done(&a);
	return answer;
}

size_t drift_fights(struct drift *d)
{
	size_t it = 0, n = 0;
	struct slice key;
	void *value;
	pthread_mutex_lock(&d->lock);
	int64_t now = clock_mono();
	while (map_next(&d->buckets, &it, &key, &value))
		n += ((const struct bucket *)value)->until > now;
	pthread_mutex_unlock(&d->lock);
	return n;
}
