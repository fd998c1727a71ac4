/* Owns the two stores of verdicts, their limits and their figures. */
#include "authn/verdict_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "authn/limits.h"
#include "common/clock.h"
#include "common/map.h"
#include "common/metrics.h"

/* Threads that ask at the same time rarely meet in one of so many. A power of two. */
#define SHARDS 16

struct kept {
	struct verdict_key key;
	struct verdict *verdict;
	int64_t until; /* clock_mono() */
	struct kept *older, *newer;
};

struct shard {
	pthread_mutex_t lock; /* guards the rest */
	struct map map;
	struct kept *oldest, *newest; /* by last use */
	size_t bytes;
} __attribute__((aligned(64)));

struct store {
	struct shard shards[SHARDS];
	int64_t ttl;
	size_t entries, bytes; /* of one shard */
	struct metric *hits, *evictions, *held, *held_bytes;
};

enum { ACCEPTED, REFUSED, STORES };

struct verdict_cache {
	struct store stores[STORES];
	struct metric *misses;
};

static size_t cost(const struct kept *k)
{
	return sizeof(*k) + verdict_bytes(k->verdict);
}

static struct slice key_of(const struct kept *k)
{
	return (struct slice){(const char *)k->key.b, sizeof(k->key.b)};
}

static struct shard *shard_of(struct store *s, const struct verdict_key *key)
{
	return &s->shards[key->b[0] & (SHARDS - 1)];
}

/* --- one shard, under its lock --- */

static void unlink_kept(struct shard *s, struct kept *k)
{
	*(k->older ? &k->older->newer : &s->oldest) = k->newer;
	*(k->newer ? &k->newer->older : &s->newest) = k->older;
}

static void link_newest(struct shard *s, struct kept *k)
{
	k->older = s->newest;
	k->newer = NULL;
	*(s->newest ? &s->newest->newer : &s->oldest) = k;
	s->newest = k;
}

static void forget(struct store *st, struct shard *s, struct kept *k)
{
	map_del(&s->map, key_of(k));
	unlink_kept(s, k);
	s->bytes -= cost(k);
	metric_sub(st->held, 1);
	metric_sub(st->held_bytes, cost(k));
	verdict_unref(&k->verdict);
	free(k);
}

static void add(struct store *st, struct shard *s, struct kept *k)
{
	map_put(&s->map, key_of(k), k);
	link_newest(s, k);
	s->bytes += cost(k);
	metric_add(st->held, 1);
	metric_add(st->held_bytes, cost(k));
}

static void make_room(struct store *st, struct shard *s, size_t bytes, int64_t now)
{
	while (s->oldest && s->oldest->until <= now)
		forget(st, s, s->oldest);
	while (s->oldest && (s->map.len >= st->entries || s->bytes + bytes > st->bytes)) {
		metric_inc(st->evictions);
		forget(st, s, s->oldest);
	}
}

/* --- the cache --- */

static void store_init(
    struct store *st, const char *labels, int64_t ttl, size_t entries, size_t bytes)
{
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&st->shards[i].lock, NULL);
	st->ttl = ttl;
	st->entries = (entries + SHARDS - 1) / SHARDS;
	st->bytes = bytes / SHARDS;
	st->hits = metrics_counter("portcullis_verdict_cache_hits_total",
	    "Token reviews that were answered from the cache, by kind of verdict.", labels);
	st->evictions = metrics_counter("portcullis_verdict_cache_evictions_total",
	    "Verdicts that had to make room for others before their time, by kind.", labels);
	st->held = metrics_gauge(
	    "portcullis_verdict_cache_entries", "Verdicts in the cache, by kind.", labels);
	st->held_bytes = metrics_gauge("portcullis_verdict_cache_bytes",
	    "Memory that the verdicts in the cache take, by kind.", labels);
}

struct verdict_cache *verdict_cache_new(const struct verdict_cache_options *o)
{
	struct verdict_cache *c = aligned_alloc(_Alignof(struct verdict_cache), sizeof(*c));
	if (!c)
		abort();
	memset(c, 0, sizeof(*c));
	store_init(&c->stores[ACCEPTED], "kind=\"accepted\"", o->ttl, o->entries, o->bytes);
	store_init(&c->stores[REFUSED], "kind=\"refused\"", o->refused_ttl, VERDICT_REFUSALS_MAX,
	    VERDICT_REFUSALS_BYTES);
	c->misses = metrics_counter("portcullis_verdict_cache_misses_total",
	    "Token reviews for which no verdict was kept.", "");
	return c;
}

void verdict_cache_free(struct verdict_cache **cache)
{
	struct verdict_cache *c = TAKE(*cache);
	if (!c)
		return;
	for (int i = 0; i < STORES * SHARDS; i++) {
		struct store *st = &c->stores[i / SHARDS];
		struct shard *s = &st->shards[i % SHARDS];
		while (s->oldest)
			forget(st, s, s->oldest);
		map_done(&s->map);
		pthread_mutex_destroy(&s->lock);
	}
	free(c);
}

static struct verdict *get(struct store *st, const struct verdict_key *key, int64_t now)
{
	struct shard *s = shard_of(st, key);
	struct verdict *v = NULL;
	pthread_mutex_lock(&s->lock);
	struct kept *k = map_get(&s->map, (struct slice){(const char *)key->b, sizeof(key->b)});
	if (k && k->until <= now) {
		forget(st, s, k);
	} else if (k) {
		unlink_kept(s, k);
		link_newest(s, k);
		v = verdict_ref(k->verdict);
	}
	pthread_mutex_unlock(&s->lock);
	if (v)
		metric_inc(st->hits);
	return v;
}

struct verdict *verdict_cache_get(
    struct verdict_cache *c, const struct verdict_key *key, int64_t now)
{
	struct verdict *v = NULL;
	for (int i = 0; i < STORES && !v; i++)
		if (c->stores[i].ttl > 0)
			v = get(&c->stores[i], key, now);
	return v;
}

void verdict_cache_missed(struct verdict_cache *c)
{
	metric_inc(c->misses);
}

/* Until when, by the monotonic clock, so that a wall clock that is set back makes nothing live
 * longer. */
static int64_t end_of(
    const struct store *st, const struct verdict *v, int64_t keep, int64_t now, int64_t wall)
{
	int64_t expires = verdict_expires(v);
	if (keep > st->ttl)
		keep = st->ttl;
	/* In whole seconds first: a token may say what no nanoseconds hold. */
	if (expires && expires <= wall / CLOCK_SECOND)
		return now;
	if (expires && expires <= (wall + keep) / CLOCK_SECOND)
		keep = expires * CLOCK_SECOND - wall;
	return now + keep;
}

void verdict_cache_put(struct verdict_cache *c, const struct verdict_key *key, struct verdict *v,
    int64_t keep, int64_t now, int64_t wall)
{
	bool accepted = verdict_step(v) == AUTHN_ACCEPT;
	struct store *st = &c->stores[accepted ? ACCEPTED : REFUSED];
	if (!accepted && verdict_step(v) != AUTHN_REJECT)
		return;
	int64_t until = end_of(st, v, keep, now, wall);
	if (until <= now || verdict_bytes(v) > VERDICT_BYTES_MAX)
		return;
	struct kept *k = malloc(sizeof(*k));
	if (!k)
		abort();
	*k = (struct kept){.key = *key, .verdict = verdict_ref(v), .until = until};
	struct shard *s = shard_of(st, key);
	pthread_mutex_lock(&s->lock);
	make_room(st, s, cost(k), now);
	/* Another thread was quicker, or it is larger than all the room. */
	if (map_get(&s->map, key_of(k)) || s->bytes + cost(k) > st->bytes) {
		verdict_unref(&k->verdict);
		free(k);
	} else {
		add(st, s, k);
	}
	pthread_mutex_unlock(&s->lock);
}
