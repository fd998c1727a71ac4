/* Proves the work queue: each key once, one worker a key, times, growing pauses, and threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "rbac-sync/queue.h"

#define FIRST (5 * CLOCK_MS)
#define MAX (1000 * CLOCK_SECOND)

static void take(struct queue *q, const char *want)
{
	char key[QUEUE_KEY_MAX];
	assert_true(queue_take(q, key));
	assert_string_equal(key, want);
}

static void test_a_key_is_in_line_once_and_first_comes_first(void **state)
{
	(void)state;
	struct queue *q = queue_new(FIRST, MAX);
	queue_add(q, "a");
	queue_add(q, "b");
	queue_add(q, "a");
	assert_int_equal(queue_depth(q), 2);
	take(q, "a");
	take(q, "b");
	assert_false(queue_idle(q));
	queue_done(q, "a");
	queue_done(q, "b");
	assert_true(queue_idle(q));
	queue_free(&q);
	assert_null(q);
}

static void test_a_key_that_is_worked_on_comes_again_after_it(void **state)
{
	(void)state;
	struct queue *q = queue_new(FIRST, MAX);
	queue_add(q, "a");
	take(q, "a");
	queue_add(q, "a");
	queue_add(q, "a");
	assert_int_equal(queue_depth(q), 0);
	queue_done(q, "a");
	assert_int_equal(queue_depth(q), 1);
	take(q, "a");
	queue_done(q, "a");
	assert_true(queue_idle(q));
	queue_done(q, "a");
	queue_done(q, "never there");
	assert_true(queue_idle(q));
	queue_free(&q);
}

static void test_times_are_kept_and_the_earlier_one_stays(void **state)
{
	(void)state;
	struct queue *q = queue_new(FIRST, MAX);
	int64_t now = clock_mono();
	queue_add_at(q, "a", now + 60 * CLOCK_SECOND);
	queue_add_at(q, "b", now + 30 * CLOCK_SECOND);
	queue_add_at(q, "c", now + 90 * CLOCK_SECOND);
	queue_add_at(q, "c", now + 10 * CLOCK_SECOND);
	queue_add_at(q, "c", now + 70 * CLOCK_SECOND);
	assert_true(queue_idle(q));
	assert_int_equal(queue_depth(q), 0);
	clock_advance(20 * CLOCK_SECOND);
	assert_int_equal(queue_depth(q), 1);
	take(q, "c");
	queue_done(q, "c");
	assert_true(queue_idle(q));
	clock_advance(50 * CLOCK_SECOND);
	assert_int_equal(queue_depth(q), 2);
	take(q, "b");
	take(q, "a");
	queue_done(q, "a");
	queue_done(q, "b");
	clock_advance(1000 * CLOCK_SECOND);
	assert_true(queue_idle(q));
	queue_free(&q);
}

/* The time at which KEY is due, found by moving the clock. */
static bool due_after(struct queue *q, int64_t pause)
{
	clock_advance(pause);
	return queue_depth(q) == 1;
}

static void test_pauses_double_and_are_forgotten(void **state)
{
	(void)state;
	struct queue *q = queue_new(CLOCK_SECOND, 8 * CLOCK_SECOND);
	static const int64_t pauses[] = {1, 2, 4, 8, 8, 8};
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(pauses) / sizeof(*pauses); i++) {
			queue_retry(q, "a", 0);
			assert_false(due_after(q, pauses[i] * CLOCK_SECOND - CLOCK_SECOND / 2));
			assert_true(due_after(q, CLOCK_SECOND / 2 + pauses[i] * CLOCK_SECOND / 5));
			take(q, "a");
			queue_done(q, "a");
		}
		queue_forget(q, "a");
	}
	queue_retry(q, "a", 100 * CLOCK_SECOND);
	assert_false(due_after(q, 99 * CLOCK_SECOND));
	assert_true(due_after(q, CLOCK_SECOND));
	queue_free(&q);
}

static void test_keys_that_fit_no_record_are_ignored(void **state)
{
	(void)state;
	struct queue *q = queue_new(FIRST, MAX);
	char longest[QUEUE_KEY_MAX], longer[QUEUE_KEY_MAX + 1];
	memset(longest, 'x', sizeof(longest));
	longest[QUEUE_KEY_MAX - 1] = '\0';
	memset(longer, 'x', sizeof(longer));
	longer[QUEUE_KEY_MAX] = '\0';
	queue_add(q, longer);
	queue_add_at(q, longer, 0);
	queue_retry(q, longer, 0);
	queue_forget(q, longer);
	queue_done(q, longer);
	queue_add(q, "");
	assert_int_equal(queue_depth(q), 0);
	queue_add(q, longest);
	take(q, longest);
	queue_free(&q);
}

/* --- threads --- */

#define KEYS 50
#define ADDS 20000

struct crew {
	struct queue *q;
	atomic_int held[KEYS]; /* workers on it: never more than one */
	atomic_int seen[KEYS], added[KEYS];
	atomic_bool bad;
	sem_t did;
};

static void *work(void *arg)
{
	struct crew *c = arg;
	char key[QUEUE_KEY_MAX];
	while (queue_take(c->q, key)) {
		int i = 0;
		sscanf(key, "k%d", &i);
		if (atomic_fetch_add(&c->held[i], 1) != 0)
			c->bad = true;
		/* What was added before the take is seen by it. */
		atomic_store(&c->seen[i], atomic_load(&c->added[i]));
		atomic_fetch_sub(&c->held[i], 1);
		queue_done(c->q, key);
		sem_post(&c->did);
	}
	return NULL;
}

static void *feed(void *arg)
{
	struct crew *c = arg;
	char key[QUEUE_KEY_MAX];
	for (int n = 0; n < ADDS; n++) {
		int i = n * 7 % KEYS;
		snprintf(key, sizeof(key), "k%d", i);
		atomic_fetch_add(&c->added[i], 1);
		if (n % 3 == 0)
			queue_add_at(c->q, key, clock_mono() + n % 5 * CLOCK_MS / 10);
		else if (n % 31 == 0)
			queue_retry(c->q, key, 0);
		else
			queue_add(c->q, key);
		if (n % 97 == 0)
			queue_forget(c->q, key);
	}
	return NULL;
}

static void test_threads_share_it_and_lose_nothing(void **state)
{
	(void)state;
	static struct crew c;
	c.q = queue_new(CLOCK_MS / 100, CLOCK_MS);
	sem_init(&c.did, 0, 0);
	pthread_t workers[4], feeders[2];
	for (size_t i = 0; i < 4; i++)
		pthread_create(&workers[i], NULL, work, &c);
	for (size_t i = 0; i < 2; i++)
		pthread_create(&feeders[i], NULL, feed, &c);
	for (size_t i = 0; i < 2; i++)
		pthread_join(feeders[i], NULL);
	/* One more of each: its coming shows that all that was in line before is done. */
	char key[QUEUE_KEY_MAX];
	for (int i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		queue_add(c.q, key);
	}
	struct timespec limit;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 60;
	for (int i = 0; i < KEYS; i++) {
		while (atomic_load(&c.seen[i]) != atomic_load(&c.added[i]))
			assert_int_equal(sem_timedwait(&c.did, &limit), 0);
	}
	queue_close(c.q);
	for (size_t i = 0; i < 4; i++)
		pthread_join(workers[i], NULL);
	assert_false(c.bad);
	assert_false(queue_take(c.q, key));
	queue_free(&c.q);
	sem_destroy(&c.did);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_key_is_in_line_once_and_first_comes_first),
	    cmocka_unit_test(test_a_key_that_is_worked_on_comes_again_after_it),
	    cmocka_unit_test(test_times_are_kept_and_the_earlier_one_stays),
	    cmocka_unit_test(test_pauses_double_and_are_forgotten),
	    cmocka_unit_test(test_keys_that_fit_no_record_are_ignored),
	    cmocka_unit_test(test_threads_share_it_and_lose_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
