/* Owns the failure buckets: a fixed table that forgets the least guilty first. */
#include "authn/penalty.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/map.h"

/* 4096 sets of four: names under attack at once. 256 KiB. */
#define SETS 4096
#define WAYS 4

/* A bucket as one number (GCRA): the moment at which it would be full again. The key is kept as its
 * keyed hash alone: names that people mistype, passwords among them, are not for keeping. */
struct bucket {
	uint64_t hash;
	int64_t full_at;
};

struct penalty {
	struct penalty_limits limits;
	pthread_mutex_t lock; /* guards what follows */
	int64_t all_full_at[PENALTY_PATHS];
	struct bucket sets[SETS][WAYS];
};

struct penalty *penalty_new(const struct penalty_limits *limits)
{
	struct penalty *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	p->limits = *limits;
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void penalty_free(struct penalty **p)
{
	if (!p || !*p)
		return;
	pthread_mutex_destroy(&(*p)->lock);
	free(*p);
	*p = NULL;
}

/* KEY's bucket; NULL when it has none. */
static struct bucket *find(struct penalty *p, uint64_t hash)
{
	struct bucket *set = p->sets[hash % SETS];
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].hash == hash)
			return &set[i];
	}
	return NULL;
}

/* KEY's bucket, in the place of the one that is nearest to full when there is none. */
static struct bucket *claim(struct penalty *p, uint64_t hash)
{
	struct bucket *b = find(p, hash);
	if (b)
		return b;
	struct bucket *set = p->sets[hash % SETS];
	b = &set[0];
	for (size_t i = 1; i < WAYS; i++) {
		if (set[i].full_at < b->full_at)
			b = &set[i];
	}
	*b = (struct bucket){.hash = hash};
	return b;
}

/* Nanoseconds until one may be taken: 0 for now. */
static int64_t wait_for(int64_t full_at, int64_t burst, int64_t interval, int64_t now)
{
	int64_t used = full_at > now ? full_at - now : 0;
	int64_t over = used + interval - burst * interval;
	return over > 0 ? over : 0;
}

static void take(int64_t *full_at, int64_t interval, int64_t now)
{
	*full_at = (*full_at > now ? *full_at : now) + interval;
}

/* ALL: the path's bucket; NULL: KEY's alone. */
static bool take_both(struct penalty *p, struct slice key, int64_t *all, int64_t now, int64_t *wait)
{
	const struct penalty_limits *l = &p->limits;
	uint64_t hash = map_hash(key);
	pthread_mutex_lock(&p->lock);
	struct bucket *b = find(p, hash);
	int64_t w = b ? wait_for(b->full_at, l->key_burst, l->key_interval, now) : 0;
	int64_t v = all ? wait_for(*all, l->all_burst, l->all_interval, now) : 0;
	*wait = w > v ? w : v;
	if (*wait == 0) {
		take(&claim(p, hash)->full_at, l->key_interval, now);
		if (all)
			take(all, l->all_interval, now);
	}
	pthread_mutex_unlock(&p->lock);
	return *wait == 0;
}

bool penalty_take(
    struct penalty *p, enum penalty_path path, struct slice key, int64_t now, int64_t *wait)
{
	return take_both(p, key, &p->all_full_at[path], now, wait);
}

bool penalty_take_key(struct penalty *p, struct slice key, int64_t now, int64_t *wait)
{
	return take_both(p, key, NULL, now, wait);
}

static void give_both(struct penalty *p, struct slice key, int64_t *all)
{
	pthread_mutex_lock(&p->lock);
	struct bucket *b = find(p, map_hash(key));
	if (b)
		b->full_at -= p->limits.key_interval;
	if (all)
		*all -= p->limits.all_interval;
	pthread_mutex_unlock(&p->lock);
}

void penalty_give(struct penalty *p, enum penalty_path path, struct slice key)
{
	give_both(p, key, &p->all_full_at[path]);
}

void penalty_give_key(struct penalty *p, struct slice key)
{
	give_both(p, key, NULL);
}
