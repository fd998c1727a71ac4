/* When a directory server stops being asked, and when it is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "authn/ldap_breaker.h"
#include "common/clock.h"

#define S CLOCK_SECOND

static void open_it(struct ldap_breaker *b, int64_t now)
{
	for (int i = 1; i < BREAKER_FAILURES; i++)
		assert_false(breaker_bad(b, now));
	assert_true(breaker_bad(b, now));
	assert_int_equal(b->state, BREAKER_OPEN);
}

static void test_one_failure_makes_it_late_and_three_open_it(void **state)
{
	(void)state;
	struct ldap_breaker b = {0};
	assert_false(breaker_is_late(&b, 0));
	assert_false(breaker_bad(&b, 5 * S));
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_true(breaker_is_late(&b, 6 * S));
	assert_false(breaker_is_late(&b, 16 * S));
	assert_false(breaker_bad(&b, 20 * S));
	assert_true(breaker_bad(&b, 21 * S));
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_false(breaker_is_late(&b, 21 * S));
}

static void test_successes_between_failures_keep_it_closed(void **state)
{
	(void)state;
	struct ldap_breaker b = {0};
	for (int i = 0; i < 20; i++) {
		assert_false(breaker_bad(&b, i * S));
		assert_false(breaker_bad(&b, i * S));
		assert_false(breaker_good(&b));
		assert_false(breaker_is_late(&b, i * S));
	}
}

static void test_probes_back_off_and_grow_to_a_minute(void **state)
{
	(void)state;
	static const int64_t waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
	struct ldap_breaker b = {0};
	int64_t now = 100 * S;
	open_it(&b, now);
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		assert_false(breaker_is_due(&b, false, now + waits[i] * S - 1));
		assert_true(breaker_is_due(&b, false, now + waits[i] * S * 5 / 4));
		now += waits[i] * S * 5 / 4;
		breaker_probe(&b);
		assert_int_equal(b.state, BREAKER_HALF_OPEN);
		assert_false(breaker_is_due(&b, false, now + 1000 * S));
		breaker_probe_failed(&b, now);
		assert_int_equal(b.state, BREAKER_OPEN);
	}
}

static void test_the_last_server_is_tried_every_few_seconds(void **state)
{
	(void)state;
	struct ldap_breaker b = {0};
	int64_t now = 100 * S;
	open_it(&b, now);
	for (int i = 0; i < 10; i++) {
		breaker_probe(&b);
		breaker_probe_failed(&b, now);
	}
	assert_true(breaker_is_due(&b, true, now + 5 * S));
	assert_false(breaker_is_due(&b, false, now + 5 * S));
}

static void test_a_good_probe_forgets_all(void **state)
{
	(void)state;
	struct ldap_breaker b = {0};
	open_it(&b, 100 * S);
	breaker_probe(&b);
	breaker_probe_failed(&b, 101 * S);
	breaker_probe(&b);
	assert_true(breaker_good(&b));
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_false(breaker_is_late(&b, 101 * S));
	open_it(&b, 200 * S);
	assert_true(breaker_is_due(&b, false, 200 * S + S * 5 / 4));
}

static void test_slow_entries_never_open_it(void **state)
{
	(void)state;
	struct ldap_breaker b = {0};
	for (int i = 0; i < 20; i++) {
		assert_false(breaker_bad(&b, i * S));
		assert_false(breaker_bad(&b, i * S));
		assert_false(breaker_slow(&b, i * S));
		assert_true(breaker_is_late(&b, i * S));
	}
}

static void test_late_answers_change_little(void **state)
{
	(void)state;
	struct ldap_breaker b = {0};
	open_it(&b, 100 * S);
	int64_t due = breaker_due(&b, false);
	/* Requests that were under way fail too: the probe is not put off. */
	for (int i = 0; i < 10; i++)
		assert_false(breaker_bad(&b, 101 * S));
	assert_int_equal(breaker_due(&b, false), due);
	/* One that succeeds after all is proof enough; the probe that fails meanwhile is older news. */
	breaker_probe(&b);
	assert_true(breaker_good(&b));
	breaker_probe_failed(&b, 102 * S);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_failure_makes_it_late_and_three_open_it),
	    cmocka_unit_test(test_successes_between_failures_keep_it_closed),
	    cmocka_unit_test(test_probes_back_off_and_grow_to_a_minute),
	    cmocka_unit_test(test_the_last_server_is_tried_every_few_seconds),
	    cmocka_unit_test(test_a_good_probe_forgets_all),
	    cmocka_unit_test(test_slow_entries_never_open_it),
	    cmocka_unit_test(test_late_answers_change_little),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
