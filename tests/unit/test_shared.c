/* Proves the index of shared objects: who is the last to be due one, and when that is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rbac-sync/shared.h"

static const struct object_id red = {KIND_ROLE_BINDING, "team", "red"}, blue = {KIND_ROLE_BINDING, "team", "blue"};
static const char *const all[] = {"ann", "ben", "cid"};

/* RECORD is due N of red and blue; true when that made the pass full. */
static bool tell(struct shared *s, unsigned pass, const char *record, size_t n)
{
	const struct object_id ids[] = {red, blue};
	const char *const owners[] = {"reds", "blues"};
	return shared_due(s, pass, record, ids, owners, n);
}

static enum elsewhere ask(struct shared *s, const struct object_id *id, const char *record)
{
	return shared_elsewhere(s, shared_pass(s), id, record);
}

static void test_nothing_is_known_before_all_were_heard(void **state)
{
	(void)state;
	struct shared *s = shared_open();
	assert_false(shared_full(s));
	assert_int_equal(ask(s, &red, "ann"), ELSEWHERE_UNKNOWN);
	assert_false(tell(s, shared_pass(s), "ann", 1)); /* no pass was begun */
	shared_begin(s, all, 3);
	unsigned pass = shared_pass(s);
	assert_int_equal(shared_left(s), 3);
	assert_false(tell(s, pass, "ann", 0));
	assert_false(tell(s, pass, "ben", 1));
	assert_false(tell(s, pass, "ben", 1)); /* twice is once */
	assert_int_equal(ask(s, &red, "ann"), ELSEWHERE_UNKNOWN);
	assert_int_equal(shared_left(s), 1);
	assert_true(tell(s, pass, "cid", 0));
	assert_true(shared_full(s));
	assert_int_equal(ask(s, &red, "ann"), ELSEWHERE_DUE);
	assert_int_equal(ask(s, &red, "ben"), ELSEWHERE_NOT);
	assert_int_equal(ask(s, &blue, "ben"), ELSEWHERE_NOT);
	/* Full once is full for good, whoever comes later. */
	assert_false(tell(s, pass, "dan", 2));
	assert_true(shared_full(s));
	assert_int_equal(ask(s, &red, "ben"), ELSEWHERE_DUE);
	shared_close(&s);
	assert_null(s);
}

static void test_of_two_that_leave_the_last_one_knows(void **state)
{
	(void)state;
	struct shared *s = shared_open();
	shared_begin(s, all, 2);
	unsigned pass = shared_pass(s);
	assert_false(tell(s, pass, "ann", 2));
	assert_true(tell(s, pass, "ben", 2));
	assert_false(tell(s, pass, "ann", 0));
	assert_int_equal(ask(s, &red, "ann"), ELSEWHERE_DUE);
	assert_false(tell(s, pass, "ben", 0));
	assert_int_equal(ask(s, &red, "ben"), ELSEWHERE_NOT);
	assert_int_equal(ask(s, &red, "ann"), ELSEWHERE_NOT);
	shared_close(&s);
}

static void test_records_that_are_gone_are_due_nothing(void **state)
{
	(void)state;
	struct shared *s = shared_open();
	shared_begin(s, all, 2);
	unsigned pass = shared_pass(s);
	assert_false(tell(s, pass, "ann", 1));
	assert_true(shared_forget(s, pass, "ben")); /* heard of as well: it is no more */
	assert_false(shared_forget(s, pass, "ben"));
	assert_int_equal(ask(s, &red, "ben"), ELSEWHERE_DUE);
	assert_false(shared_forget(s, pass, "ann"));
	assert_int_equal(ask(s, &red, "ben"), ELSEWHERE_NOT);
	shared_close(&s);
}

static void test_what_an_older_pass_tells_does_not_count(void **state)
{
	(void)state;
	struct shared *s = shared_open();
	shared_begin(s, all, 1);
	unsigned old = shared_pass(s);
	assert_true(tell(s, old, "ann", 1));
	shared_begin(s, all, 1); /* other templates */
	assert_false(tell(s, old, "ann", 1));
	assert_false(shared_forget(s, old, "ann"));
	assert_false(shared_full(s));
	assert_true(tell(s, shared_pass(s), "ann", 0));
	assert_int_equal(shared_elsewhere(s, old, &red, "ben"), ELSEWHERE_UNKNOWN);
	assert_int_equal(ask(s, &red, "ben"), ELSEWHERE_NOT);
	shared_stop(s);
	assert_int_equal(ask(s, &red, "ben"), ELSEWHERE_UNKNOWN);
	assert_false(shared_full(s));
	shared_begin(s, all, 0);
	assert_true(shared_full(s)); /* there is nobody to be heard of */
	shared_close(&s);
}

static void test_members_of_a_group(void **state)
{
	(void)state;
	struct shared *s = shared_open();
	struct arena a;
	const char **names;
	arena_init(&a, 0);
	shared_begin(s, all, 3);
	for (size_t i = 0; i < 3; i++)
		(void)!tell(s, shared_pass(s), all[i], i);
	assert_int_equal(shared_members(s, "reds", &a, &names), 2);
	assert_int_equal(shared_members(s, "blues", &a, &names), 1);
	assert_string_equal(names[0], "cid");
	assert_int_equal(shared_members(s, "greens", &a, &names), 0);
	arena_done(&a);
	shared_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_is_known_before_all_were_heard),
	    cmocka_unit_test(test_of_two_that_leave_the_last_one_knows),
	    cmocka_unit_test(test_records_that_are_gone_are_due_nothing),
	    cmocka_unit_test(test_what_an_older_pass_tells_does_not_count),
	    cmocka_unit_test(test_members_of_a_group),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
