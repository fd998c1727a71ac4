/* Proves the limit on repairs: five in a row, one each twelve seconds, a pause when it is a fight, bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "rbac-sync/drift.h"

static const struct object_id one = {KIND_ROLE_BINDING, "team", "portcullis:t:1"};

static struct object_id nth(struct arena *a, unsigned i)
{
	return (struct object_id){KIND_ROLE_BINDING, "team", arena_printf(a, "b%u", i)};
}

static void ask(struct drift *d, const struct object_id *id, enum drift_answer want)
{
	int64_t again;
	assert_int_equal(drift_ask(d, id, &again), want);
}

static void test_five_then_a_fight_then_a_pause(void **state)
{
	(void)state;
	struct drift *d = drift_new(DRIFT_PER_MINUTE, DRIFT_COOL_DOWN);
	const struct object_id other = {KIND_ROLE_BINDING, "team", "portcullis:t:2"};
	int64_t again;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 5; i++)
			ask(d, &one, DRIFT_GO);
		assert_int_equal(drift_fights(d), 0);
		assert_int_equal(drift_ask(d, &one, &again), DRIFT_FIGHT);
		assert_int_equal(drift_fights(d), 1);
		int64_t left = again - clock_mono();
		assert_in_range(left, DRIFT_COOL_DOWN - CLOCK_SECOND, DRIFT_COOL_DOWN);
		clock_advance(DRIFT_COOL_DOWN - CLOCK_SECOND);
		ask(d, &one, DRIFT_LATER);
		ask(d, &other, DRIFT_GO);
		clock_advance(CLOCK_SECOND);
		assert_int_equal(drift_fights(d), 0);
	}
	drift_free(&d);
	assert_null(d);
}

static void test_a_token_comes_back_each_twelve_seconds(void **state)
{
	(void)state;
	struct drift *d = drift_new(DRIFT_PER_MINUTE, DRIFT_COOL_DOWN);
	for (int i = 0; i < 5; i++)
		ask(d, &one, DRIFT_GO);
	for (int i = 0; i < 100; i++) {
		clock_advance(12 * CLOCK_SECOND);
		ask(d, &one, DRIFT_GO);
	}
	clock_advance(11 * CLOCK_SECOND);
	ask(d, &one, DRIFT_FIGHT);
	drift_free(&d);
}

static void test_quiet_times_do_not_add_up(void **state)
{
	(void)state;
	struct drift *d = drift_new(DRIFT_PER_MINUTE, DRIFT_COOL_DOWN);
	ask(d, &one, DRIFT_GO);
	clock_advance(3600 * CLOCK_SECOND);
	for (int i = 0; i < 5; i++)
		ask(d, &one, DRIFT_GO);
	ask(d, &one, DRIFT_FIGHT);
	drift_free(&d);
}

static void test_memory_is_bounded_and_quiet_objects_make_room(void **state)
{
	(void)state;
	struct drift *d = drift_new(DRIFT_PER_MINUTE, DRIFT_COOL_DOWN);
	struct arena a = {0};
	for (unsigned i = 0; i < DRIFT_OBJECTS_MAX; i++) {
		struct object_id id = nth(&a, i);
		ask(d, &id, DRIFT_GO);
	}
	/* No room: not repaired now, and no fight either. */
	ask(d, &one, DRIFT_LATER);
	struct object_id known = nth(&a, 7);
	for (int i = 0; i < 4; i++)
		ask(d, &known, DRIFT_GO);
	ask(d, &known, DRIFT_FIGHT);
	clock_advance(13 * CLOCK_SECOND);
	ask(d, &one, DRIFT_GO);
	/* What cools down was not forgotten with the quiet ones. */
	ask(d, &known, DRIFT_LATER);
	arena_done(&a);
	drift_free(&d);
}

/* --- threads --- */

struct crew {
	struct drift *d;
	atomic_uint went, fights;
};

static void *repair(void *arg)
{
	struct crew *c = arg;
	int64_t again;
	for (int i = 0; i < 2000; i++) {
		struct arena a = {0};
		struct object_id id = nth(&a, (unsigned)i % 10);
		enum drift_answer answer = drift_ask(c->d, &id, &again);
		c->went += answer == DRIFT_GO;
		c->fights += answer == DRIFT_FIGHT;
		arena_done(&a);
	}
	return NULL;
}

static void test_threads_share_the_buckets(void **state)
{
	(void)state;
	struct crew c = {drift_new(DRIFT_PER_MINUTE, DRIFT_COOL_DOWN), 0, 0};
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, repair, &c);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	/* More only if a slow machine gave a token back meanwhile. */
	assert_in_range(c.went, 50, 60);
	assert_int_equal(c.fights, 10);
	assert_int_equal(drift_fights(c.d), 10);
	drift_free(&c.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_five_then_a_fight_then_a_pause),
	    cmocka_unit_test(test_a_token_comes_back_each_twelve_seconds),
	    cmocka_unit_test(test_quiet_times_do_not_add_up),
	    cmocka_unit_test(test_memory_is_bounded_and_quiet_objects_make_room),
	    cmocka_unit_test(test_threads_share_the_buckets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
