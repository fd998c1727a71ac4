/* Owns the cache of looked-up accounts: a map, and a list in order of arrival to forget by. */
#include "authn/account_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/map.h"

struct account {
	struct arena arena; /* holds key and identity */
	struct slice key;
	struct identity id;
	int64_t until;
	struct account *prev, *next; /* older, younger */
};

struct account_cache {
	pthread_mutex_t lock; /* guards all of it */
	struct map map;
	struct account *oldest, *youngest;
	size_t bytes;
};

struct account_cache *account_cache_new(void)
{
	struct account_cache *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

/* An arena takes a whole block for its first byte. */
#define ARENA_LEAST ((size_t)4096)

static size_t cost(const struct account *a)
{
	return sizeof(*a) + (a->arena.used > ARENA_LEAST ? a->arena.used : ARENA_LEAST);
}

static void forget(struct account_cache *c, struct account *a)
{
	map_del(&c->map, a->key);
	*(a->prev ? &a->prev->next : &c->oldest) = a->next;
	*(a->next ? &a->next->prev : &c->youngest) = a->prev;
	c->bytes -= cost(a);
	arena_done(&a->arena);
	free(a);
}

void account_cache_free(struct account_cache **c)
{
	if (!c || !*c)
		return;
	while ((*c)->oldest)
		forget(*c, (*c)->oldest);
	map_done(&(*c)->map);
	pthread_mutex_destroy(&(*c)->lock);
	free(*c);
	*c = NULL;
}

static void copy_identity(struct arena *a, const struct identity *from, struct identity *to)
{
	*to = (struct identity){
	    .username = slice_dup(a, from->username),
	    .uid = slice_dup(a, from->uid),
	    .groups = slice_dup_all(a, from->groups, from->ngroups),
	    .ngroups = from->ngroups,
	    .provider = slice_dup(a, from->provider),
	};
}

bool account_cache_get(struct account_cache *c, struct slice key, int64_t now, struct arena *arena,
    struct identity *out, int64_t *until)
{
	pthread_mutex_lock(&c->lock);
	struct account *a = map_get(&c->map, key);
	if (a && a->until <= now) {
		forget(c, a);
		a = NULL;
	}
	if (a)
		copy_identity(arena, &a->id, out);
	if (a && until)
		*until = a->until;
	pthread_mutex_unlock(&c->lock);
	return a != NULL;
}

static void append(struct account_cache *c, struct account *a)
{
	struct account *old = map_get(&c->map, a->key);
	if (old)
		forget(c, old);
	a->prev = c->youngest;
	*(c->youngest ? &c->youngest->next : &c->oldest) = a;
	c->youngest = a;
	map_put(&c->map, a->key, a);
	c->bytes += cost(a);
	while (c->map.len > ACCOUNT_CACHE_MAX || c->bytes > ACCOUNT_CACHE_BYTES)
		forget(c, c->oldest);
}

void account_cache_put(struct account_cache *c, struct slice key, const struct identity *id,
    int64_t now, int64_t until)
{
	if (until <= now)
		return;
	struct account *a = calloc(1, sizeof(*a));
	if (!a)
		abort();
	arena_init(&a->arena, 0);
	a->key = slice_dup(&a->arena, key);
	a->until = until;
	copy_identity(&a->arena, id, &a->id);
	pthread_mutex_lock(&c->lock);
	append(c, a);
	pthread_mutex_unlock(&c->lock);
}

void account_cache_drop(struct account_cache *c, struct slice key)
{
	pthread_mutex_lock(&c->lock);
	struct account *a = map_get(&c->map, key);
	if (a)
		forget(c, a);
	pthread_mutex_unlock(&c->lock);
}
