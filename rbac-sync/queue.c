/* Owns the work queue: a line of keys that are due, a heap of those that wait for a time. */
#include "rbac-sync/queue.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/map.h"
#include "common/secret.h"

#define NOWHERE SIZE_MAX

struct item {
	char key[QUEUE_KEY_MAX];
	struct item *next;   /* in the line */
	bool due, working, again; /* AGAIN: came due while it is worked on */
	unsigned failures;
	int64_t at;	     /* clock_mono; counts while it is in the heap */
	size_t place;	     /* in the heap, or NOWHERE */
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct map items;
	struct item *first, **last;
	size_t ndue, nworking;
	struct item **heap; /* earliest first */
	size_t nheap, heap_cap;
	int64_t backoff_first, backoff_max;
	bool closed;
};

struct queue *queue_new(int64_t backoff_first, int64_t backoff_max)
{
	struct queue *q = calloc(1, sizeof(*q));
	if (!q)
		abort();
	q->backoff_first = backoff_first;
	q->backoff_max = backoff_max;
	q->last = &q->first;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->changed, &attr);
	pthread_condattr_destroy(&attr);
	return q;
}

void queue_free(struct queue **q)
{
	if (!*q)
		return;
	size_t it = 0;
	struct slice key;
	void *item;
	while (map_next(&(*q)->items, &it, &key, &item))
		free(item);
	map_done(&(*q)->items);
	free((*q)->heap);
	pthread_cond_destroy(&(*q)->changed);
	pthread_mutex_destroy(&(*q)->lock);
	free(*q);
	*q = NULL;
}

/* --- the heap --- */

static void heap_set(struct queue *q, size_t i, struct item *it)
{
	q->heap[i] = it;
	it->place = i;
}

static void heap_up(struct queue *q, size_t i, struct item *it)
{
	while (i && q->heap[(i - 1) / 2]->at > it->at) {
		heap_set(q, i, q->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(q, i, it);
}

static void heap_down(struct queue *q, size_t i, struct item *it)
{
	for (size_t child; (child = 2 * i + 1) < q->nheap; i = child) {
		if (child + 1 < q->nheap && q->heap[child + 1]->at < q->heap[child]->at)
			child++;
		if (q->heap[child]->at >= it->at)
			break;
		heap_set(q, i, q->heap[child]);
	}
	heap_set(q, i, it);
}

static void heap_put(struct queue *q, struct item *it)
{
	if (q->nheap == q->heap_cap) {
		q->heap_cap = q->heap_cap ? q->heap_cap * 2 : 64;
		q->heap = reallocarray(q->heap, q->heap_cap, sizeof(struct item *));
		if (!q->heap)
			abort();
	}
	heap_up(q, q->nheap++, it);
}

static void heap_pop(struct queue *q)
{
	q->heap[0]->place = NOWHERE;
	struct item *moved = q->heap[--q->nheap];
	if (q->nheap)
		heap_down(q, 0, moved);
}

/* --- items --- */

/* NULL for a key that is empty or too long to be one: labels and names of the cluster may be anything. */
static struct item *item_of(struct queue *q, const char *key)
{
	struct slice k = slice_of(key);
	if (!k.len || k.len >= QUEUE_KEY_MAX)
		return NULL;
	struct item *it = map_get(&q->items, k);
	if (it)
		return it;
	it = calloc(1, sizeof(*it));
	if (!it)
		abort();
	memcpy(it->key, key, k.len + 1);
	it->place = NOWHERE;
	map_put(&q->items, slice_of(it->key), it);
	return it;
}

static void drop_idle(struct queue *q, struct item *it)
{
	if (it->due || it->working || it->failures || it->place != NOWHERE)
		return;
	map_del(&q->items, slice_of(it->key));
	free(it);
}

static void make_due(struct queue *q, struct item *it)
{
	if (it->working) {
		it->again = true;
	} else if (!it->due) {
		it->due = true;
		it->next = NULL;
		*q->last = it;
		q->last = &it->next;
		q->ndue++;
	}
}

static void promote(struct queue *q)
{
	int64_t now = q->nheap ? clock_mono() : 0;
	while (q->nheap && q->heap[0]->at <= now) {
		struct item *it = q->heap[0];
		heap_pop(q);
		make_due(q, it);
	}
}

static void add_at(struct queue *q, struct item *it, int64_t when)
{
	if (it->place == NOWHERE) {
		it->at = when;
		heap_put(q, it);
	} else if (when < it->at) {
		it->at = when;
		heap_up(q, it->place, it);
	}
}

void queue_add(struct queue *q, const char *key)
{
	pthread_mutex_lock(&q->lock);
	struct item *it = item_of(q, key);
	if (it) {
		make_due(q, it);
		pthread_cond_signal(&q->changed);
	}
	pthread_mutex_unlock(&q->lock);
}

void queue_add_at(struct queue *q, const char *key, int64_t when)
{
	pthread_mutex_lock(&q->lock);
	struct item *it = item_of(q, key);
	if (it) {
		add_at(q, it, when);
		if (it->place == 0)
			pthread_cond_signal(&q->changed);
	}
	pthread_mutex_unlock(&q->lock);
}

/* Doubled for each failure; a fifth more at most, so that what failed together does not come back together. */
static int64_t pause_of(const struct queue *q, unsigned failures)
{
	int64_t pause = q->backoff_first;
	for (unsigned i = 1; i < failures && pause < q->backoff_max; i++)
		pause *= 2;
	if (pause > q->backoff_max)
		pause = q->backoff_max;
	uint32_t spread;
	secret_random(&spread, sizeof(spread));
	return pause + pause / 5 * (spread % 1024) / 1024;
}

void queue_retry(struct queue *q, const char *key, int64_t min_pause)
{
	pthread_mutex_lock(&q->lock);
	struct item *it = item_of(q, key);
	if (it) {
		it->failures += it->failures < UINT32_MAX;
		int64_t pause = pause_of(q, it->failures);
		add_at(q, it, clock_mono() + (pause < min_pause ? min_pause : pause));
		if (it->place == 0)
			pthread_cond_signal(&q->changed);
	}
	pthread_mutex_unlock(&q->lock);
}

void queue_forget(struct queue *q, const char *key)
{
	pthread_mutex_lock(&q->lock);
	struct item *it = map_get(&q->items, slice_of(key));
	if (it) {
		it->failures = 0;
		drop_idle(q, it);
	}
	pthread_mutex_unlock(&q->lock);
}

/* --- takers --- */

static void wait_change(struct queue *q)
{
	if (!q->nheap) {
		pthread_cond_wait(&q->changed, &q->lock);
		return;
	}
	struct timespec until = clock_until(q->heap[0]->at);
	pthread_cond_timedwait(&q->changed, &q->lock, &until);
}

bool queue_take(struct queue *q, char key[QUEUE_KEY_MAX])
{
	pthread_mutex_lock(&q->lock);
	for (;;) {
		promote(q);
		if (q->closed || q->first)
			break;
		wait_change(q);
	}
	struct item *it = q->closed ? NULL : q->first;
	if (it) {
		q->first = it->next;
		if (!q->first)
			q->last = &q->first;
		q->ndue--;
		q->nworking++;
		it->due = false;
		it->working = true;
		memcpy(key, it->key, QUEUE_KEY_MAX);
		if (q->first) /* promote may have brought several with one wake-up */
			pthread_cond_signal(&q->changed);
	}
	pthread_mutex_unlock(&q->lock);
	return it;
}

void queue_done(struct queue *q, const char *key)
{
	pthread_mutex_lock(&q->lock);
	struct item *it = map_get(&q->items, slice_of(key));
	if (it && it->working) {
		it->working = false;
		q->nworking--;
		if (it->again) {
			it->again = false;
			make_due(q, it);
			pthread_cond_signal(&q->changed);
		}
		drop_idle(q, it);
	}
	pthread_mutex_unlock(&q->lock);
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

size_t queue_depth(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	promote(q);
	size_t n = q->ndue;
	pthread_mutex_unlock(&q->lock);
	return n;
}

bool queue_idle(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	promote(q);
	bool idle = !q->ndue && !q->nworking;
	pthread_mutex_unlock(&q->lock);
	return idle;
}
