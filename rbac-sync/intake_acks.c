/* Owns the intake's acknowledgements: whose events were told here, what was seen of their records since, and when that
 * is settled. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "rbac-sync/intake_parts.h"

#define TOLD_MAX SPOOL_FILES_MAX
#define SEEN_MAX 100000 /* records; more cannot be */
#define SWEEP_EVERY (3600 * CLOCK_SECOND)

struct told {
	char key[SPOOL_KEY_LEN + 1];
	uint8_t digest[SHA256_LEN];
};

struct intake_acks {
	struct spool_acks *files;
	struct store *records;
	struct map told; /* key → struct told: not acknowledged yet */
	int64_t swept;	 /* clock_mono */
	int wake;
	pthread_mutex_t lock;
	struct map seen; /* key → itself, allocated; under the lock */
};

static void map_clear(struct map *m)
{
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(m, &it, &key, &v))
		free(v);
	map_done(m);
	*m = (struct map){0};
}

/* --- what was told --- */

void intake_acks_told(struct intake_acks *a, const char *key, const uint8_t digest[SHA256_LEN])
{
	struct told *t = map_get(&a->told, slice_of(key));
	if (!t && a->told.len >= TOLD_MAX)
		return; /* they wait for nothing */
	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t)
			abort();
		memcpy(t->key, key, sizeof(t->key));
		map_put(&a->told, slice_of(t->key), t);
	}
	memcpy(t->digest, digest, SHA256_LEN);
	intake_acks_seen(a, key);
}

/* --- what was seen --- */

void intake_acks_seen(struct intake_acks *a, const char *key)
{
	if (strlen(key) != SPOOL_KEY_LEN)
		return;
	pthread_mutex_lock(&a->lock);
	if (a->seen.len < SEEN_MAX && !map_get(&a->seen, slice_of(key))) {
		char *copy = strdup(key);
		if (!copy)
			abort();
		map_put(&a->seen, slice_of(copy), copy);
		eventfd_write(a->wake, 1);
	}
	pthread_mutex_unlock(&a->lock);
}

static struct map take_seen(struct intake_acks *a)
{
	eventfd_t n;
	pthread_mutex_lock(&a->lock);
	eventfd_read(a->wake, &n);
	struct map seen = a->seen;
	a->seen = (struct map){0};
	pthread_mutex_unlock(&a->lock);
	return seen;
}

/* The status is about the identity that stands there, and its grants are made or refused. */
static bool settled(const struct record *r, const uint8_t digest[SHA256_LEN])
{
	char hex[2 * SHA256_LEN + 1];
	hex_encode(digest, SHA256_LEN, hex);
	return !r->deleting && (r->phase == PHASE_READY || r->phase == PHASE_DEGRADED) &&
	    text_eq(r->observed_digest, hex);
}

static void forget(struct intake_acks *a, const char *key)
{
	free(map_del(&a->told, slice_of(key)));
}

static void acknowledge(struct intake_acks *a, const char *key, const uint8_t digest[SHA256_LEN])
{
	struct err e;
	if (spool_acks_put(a->files, key, digest, &e) != ERR_OK)
		log_warn("settled record not acknowledged", LOG_STR("record", key), LOG_STR("reason", e.msg));
	forget(a, key);
}

/* What stands acknowledged is never more than what is settled now: somebody's old groups that come back have to be
 * made anew. */
static void look_at(struct intake_acks *a, const char *key)
{
	struct arena arena;
	struct record r;
	uint8_t digest[SHA256_LEN];
	arena_init(&arena, 0);
	const struct told *t = map_get(&a->told, slice_of(key));
	bool have = a->records && store_record(a->records, key, &arena, &r);
	if (have)
		spool_digest(&r.identity, digest);
	bool same = t && have && memcmp(t->digest, digest, SHA256_LEN) == 0;
	/* Overtaken: what was told is not what stands there, and will not be settled. */
	if (t && have && !same)
		forget(a, key);
	if (!have || !settled(&r, digest))
		spool_acks_drop(a->files, key);
	else if (same)
		acknowledge(a, key, digest);
	else
		spool_acks_keep(a->files, key, digest);
	arena_done(&arena);
}

void intake_acks_run(struct intake_acks *a, bool healthy)
{
	struct map seen = take_seen(a);
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&seen, &it, &key, &v))
		look_at(a, v);
	map_clear(&seen);
	if (healthy)
		spool_acks_alive(a->files);
	else
		spool_acks_down(a->files);
	if (!a->swept || clock_mono() - a->swept >= SWEEP_EVERY) {
		spool_acks_sweep(a->files);
		a->swept = clock_mono();
	}
}

int intake_acks_fd(const struct intake_acks *a)
{
	return a->wake;
}

/* --- life --- */

enum err_code intake_acks_new(const char *dir, struct store *records, struct intake_acks **out, struct err *e)
{
	struct spool_acks *files;
	TRY(spool_acks_new(dir, &files, e));
	struct intake_acks *a = calloc(1, sizeof(*a));
	if (!a)
		abort();
	a->files = files;
	a->records = records;
	pthread_mutex_init(&a->lock, NULL);
	a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->wake < 0) {
		intake_acks_free(&a);
		return err_set(e, ERR_INTERNAL, "no eventfd");
	}
	*out = a;
	return ERR_OK;
}

void intake_acks_free(struct intake_acks **ap)
{
	struct intake_acks *a = TAKE(*ap);
	if (!a)
		return;
	spool_acks_free(&a->files);
	map_clear(&a->told);
	map_clear(&a->seen);
	pthread_mutex_destroy(&a->lock);
	if (a->wake >= 0)
		close(a->wake);
	free(a);
}
