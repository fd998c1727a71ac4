/* Owns the table of verifications under way and the lists of who waits for them. */
#include "authn/flight.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/map.h"
#include "common/metrics.h"

#define SHARDS 16 /* a power of two */

/* What verifies without waiting takes less than a millisecond, and longer only while the machine is
 * busy with others. Past this, whoever waits goes on alone. */
#define BLOCK_MAX CLOCK_SECOND

enum state { VERIFIES, WORKS, ENDED };

struct flight_shard {
	pthread_mutex_t lock; /* guards its flights and their waiters */
	pthread_cond_t moved; /* a flight's state changed */
	struct map map;
} __attribute__((aligned(64)));

struct flights {
	struct flight_shard shards[SHARDS];
	struct metric *shared, *waiting;
};

struct flight {
	struct verdict_key key;
	struct flights *all;
	struct flight_shard *shard;
	enum state state;
	unsigned users; /* its leader, and who blocks for it */
	struct verdict *verdict;
	struct flight_waiter *first, *last;
};

static struct slice key_slice(const struct verdict_key *key)
{
	return (struct slice){(const char *)key->b, sizeof(key->b)};
}

struct flights *flights_new(void)
{
	struct flights *s = aligned_alloc(_Alignof(struct flights), sizeof(*s));
	if (!s)
		abort();
	memset(s, 0, sizeof(*s));
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&s->shards[i].lock, NULL);
		pthread_cond_init(&s->shards[i].moved, &attr);
	}
	pthread_condattr_destroy(&attr);
	s->shared = metrics_counter("portcullis_verifications_shared_total",
	    "Token reviews that took over what another one's verification found at the same time.",
	    "");
	s->waiting = metrics_gauge("portcullis_verifications_waiting",
	    "Token reviews that wait for another one's verification to end.", "");
	return s;
}

void flights_free(struct flights **flights)
{
	struct flights *s = TAKE(*flights);
	if (!s)
		return;
	for (int i = 0; i < SHARDS; i++) {
		map_done(&s->shards[i].map);
		pthread_cond_destroy(&s->shards[i].moved);
		pthread_mutex_destroy(&s->shards[i].lock);
	}
	free(s);
}

/* --- under the shard's lock --- */

static void leave(struct flight *f)
{
	if (--f->users > 0)
		return;
	verdict_unref(&f->verdict);
	free(f);
}

static void join(struct flight *f, struct flight_waiter *w)
{
	w->flight = f;
	w->shard = f->shard;
	w->next = NULL;
	w->prev = f->last;
	*(f->last ? &f->last->next : &f->first) = w;
	f->last = w;
	metric_add(f->all->waiting, 1);
}

static void part(struct flight *f, struct flight_waiter *w)
{
	*(w->prev ? &w->prev->next : &f->first) = w->next;
	*(w->next ? &w->next->prev : &f->last) = w->prev;
	metric_sub(f->all->waiting, 1);
	w->ended = true;
}

/* Puts W, which is at its end, on the list of those to be woken without the lock. */
static void call_later(struct flight_waiter *w, struct flight_waiter **list)
{
	if (!w->armed)
		return;
	w->next = *list;
	*list = w;
}

static struct flight *begin(
    struct flights *s, struct flight_shard *h, const struct verdict_key *key)
{
	struct flight *f = calloc(1, sizeof(*f));
	if (!f)
		abort();
	f->key = *key;
	f->all = s;
	f->shard = h;
	f->users = 1;
	map_put(&h->map, key_slice(&f->key), f);
	return f;
}

/* Until F's leader has verified or goes on elsewhere. False when that takes too long. */
static bool block(struct flight *f)
{
	struct timespec until = clock_until(clock_mono() + BLOCK_MAX);
	int rc = 0;
	while (f->state == VERIFIES && rc == 0)
		rc = pthread_cond_timedwait(&f->shard->moved, &f->shard->lock, &until);
	return f->state != VERIFIES;
}

/* F is somebody else's. */
static enum flight_role follow(struct flight *f, struct flight_waiter *w, struct verdict **verdict)
{
	enum flight_role role = FLIGHT_ALONE;
	f->users++;
	if (block(f)) {
		if (f->state == WORKS && w) {
			join(f, w);
			role = FLIGHT_JOINED;
		} else if (f->state == ENDED && f->verdict) {
			*verdict = verdict_ref(f->verdict);
			role = FLIGHT_ENDED;
		}
	}
	leave(f);
	return role;
}

/* --- */

/* Both lists end with NULL; WAKE may free what it is given. */
static void wake(struct flight_waiter *list)
{
	while (list) {
		struct flight_waiter *next = list->next;
		list->wake(list->arg);
		list = next;
	}
}

enum flight_role flight_enter(struct flights *s, const struct verdict_key *key,
    struct flight_waiter *w, struct flight **lead, struct verdict **verdict)
{
	struct flight_shard *h = &s->shards[key->b[0] & (SHARDS - 1)];
	enum flight_role role = FLIGHT_LEADS;
	pthread_mutex_lock(&h->lock);
	struct flight *f = map_get(&h->map, key_slice(key));
	if (f)
		role = follow(f, w, verdict);
	else
		*lead = begin(s, h, key);
	pthread_mutex_unlock(&h->lock);
	if (role == FLIGHT_ENDED || role == FLIGHT_JOINED)
		metric_inc(s->shared);
	return role;
}

void flight_works(struct flight *f)
{
	pthread_mutex_lock(&f->shard->lock);
	f->state = WORKS;
	pthread_cond_broadcast(&f->shard->moved);
	pthread_mutex_unlock(&f->shard->lock);
}

/* The one with most time left, NULL when nobody has any. */
static struct flight_waiter *successor(const struct flight *f, int64_t now)
{
	struct flight_waiter *best = NULL;
	for (struct flight_waiter *w = f->first; w; w = w->next)
		if (w->deadline > (best ? best->deadline : now))
			best = w;
	return best;
}

static void end_all(struct flight *f, struct verdict *v, struct flight_waiter **list)
{
	while (f->first) {
		struct flight_waiter *w = f->first;
		part(f, w);
		w->verdict = v ? verdict_ref(v) : NULL;
		call_later(w, list);
	}
	map_del(&f->shard->map, key_slice(&f->key));
	f->state = ENDED;
	f->verdict = v ? verdict_ref(v) : NULL;
	pthread_cond_broadcast(&f->shard->moved);
	leave(f);
}

void flight_end(struct flight **flight, struct verdict *v, int64_t deadline)
{
	struct flight *f = TAKE(*flight);
	struct flight_shard *h = f->shard;
	struct flight_waiter *list = NULL, *next = NULL;
	int64_t now = clock_mono();
	pthread_mutex_lock(&h->lock);
	if (v && verdict_step(v) == AUTHN_UNAVAILABLE && now >= deadline)
		next = successor(f, now);
	if (next) {
		part(f, next);
		next->leads = true;
		call_later(next, &list);
	} else {
		end_all(f, v, &list);
	}
	pthread_mutex_unlock(&h->lock);
	wake(list);
}

bool flight_await(struct flight_waiter *w)
{
	pthread_mutex_lock(&w->shard->lock);
	bool ended = w->ended;
	w->armed = !ended;
	pthread_mutex_unlock(&w->shard->lock);
	return ended;
}

static void sweep(struct flight_shard *h, int64_t now, struct flight_waiter **list)
{
	struct slice key;
	void *value;
	for (size_t it = 0; map_next(&h->map, &it, &key, &value);) {
		struct flight *f = value;
		for (struct flight_waiter *w = f->first, *next; w; w = next) {
			next = w->next;
			if (w->deadline > now || !w->armed)
				continue;
			part(f, w);
			call_later(w, list);
		}
	}
}

void flights_sweep(struct flights *s, int64_t now)
{
	for (int i = 0; i < SHARDS; i++) {
		struct flight_waiter *list = NULL;
		pthread_mutex_lock(&s->shards[i].lock);
		sweep(&s->shards[i], now, &list);
		pthread_mutex_unlock(&s->shards[i].lock);
		wake(list);
	}
}
