/* Proves the common rate and the common pauses. Times are only ever bounded from below: a slow machine proves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "common/clock.h"
#include "rbac-sync/kube_gate.h"

#define HOUR (3600 * CLOCK_SECOND)

struct passer {
	struct kube_gate *gate;
	const struct cancel *cancel;
	unsigned times;
	bool passed;
};

static void *pass(void *arg)
{
	struct passer *p = arg;
	p->passed = true;
	for (unsigned i = 0; i < p->times; i++)
		p->passed = kube_gate_pass(p->gate, p->cancel) && p->passed;
	return NULL;
}

static void test_a_burst_then_the_rate(void **state)
{
	(void)state;
	struct kube_gate *g = kube_gate_new(50, 4);
	int64_t began = clock_mono();
	for (int i = 0; i < 10; i++)
		assert_true(kube_gate_pass(g, NULL));
	/* Four at once, six more 20 ms apart. */
	assert_true(clock_mono() - began >= 6 * 20 * CLOCK_MS);
	kube_gate_free(&g);
	assert_null(g);
}

static void test_an_unused_rate_does_not_pile_up(void **state)
{
	(void)state;
	struct kube_gate *g = kube_gate_new(50, 4);
	assert_true(kube_gate_pass(g, NULL));
	clock_advance(HOUR);
	int64_t began = clock_mono();
	for (int i = 0; i < 6; i++)
		assert_true(kube_gate_pass(g, NULL));
	assert_true(clock_mono() - began >= 2 * 20 * CLOCK_MS);
	kube_gate_free(&g);
}

static void test_threads_share_one_rate(void **state)
{
	(void)state;
	struct kube_gate *g = kube_gate_new(100, 5);
	struct passer p[4];
	pthread_t t[4];
	int64_t began = clock_mono();
	for (int i = 0; i < 4; i++) {
		p[i] = (struct passer){.gate = g, .times = 6};
		assert_int_equal(pthread_create(&t[i], NULL, pass, &p[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		assert_true(p[i].passed);
	}
	assert_true(clock_mono() - began >= (24 - 5) * 10 * CLOCK_MS);
	kube_gate_free(&g);
}

static void test_a_pause_stops_everybody(void **state)
{
	(void)state;
	struct kube_gate *g = kube_gate_new(1000, 1000);
	assert_int_equal(kube_gate_pause(g), 0);
	int64_t until = clock_mono() + HOUR;
	kube_gate_hold(g, until);
	kube_gate_hold(g, until - HOUR / 2); /* a shorter one does not shorten it */
	assert_int_equal(kube_gate_pause(g), until);
	struct passer p[2] = {{.gate = g, .times = 1}, {.gate = g, .times = 1}};
	pthread_t t[2];
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, pass, &p[i]), 0);
	clock_advance(HOUR);
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		assert_true(p[i].passed);
	}
	assert_true(clock_mono() >= until);
	assert_int_equal(kube_gate_pause(g), 0);
	kube_gate_free(&g);
}

static void test_waiting_can_be_given_up(void **state)
{
	(void)state;
	struct kube_gate *g = kube_gate_new(1000, 1);
	kube_gate_hold(g, clock_mono() + HOUR);
	struct cancel cancel;
	struct passer p = {.gate = g, .cancel = &cancel, .times = 1};
	pthread_t t;
	cancel_init(&cancel);
	assert_int_equal(pthread_create(&t, NULL, pass, &p), 0);
	cancel_ask(&cancel);
	pthread_join(t, NULL);
	assert_false(p.passed);
	cancel_done(&cancel);
	kube_gate_free(&g);
}

static void test_giving_up_uses_nothing_up(void **state)
{
	(void)state;
	struct kube_gate *g = kube_gate_new(0.001, 2); /* 1000 s apart */
	struct cancel cancel;
	cancel_init(&cancel);
	cancel_ask(&cancel);
	for (int i = 0; i < 100; i++)
		assert_false(kube_gate_pass(g, &cancel));
	int64_t began = clock_mono();
	assert_true(kube_gate_pass(g, NULL));
	assert_true(kube_gate_pass(g, NULL));
	assert_true(clock_mono() - began < 1000 * CLOCK_SECOND);
	cancel_done(&cancel);
	kube_gate_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_burst_then_the_rate),
	    cmocka_unit_test(test_an_unused_rate_does_not_pile_up),
	    cmocka_unit_test(test_threads_share_one_rate),
	    cmocka_unit_test(test_a_pause_stops_everybody),
	    cmocka_unit_test(test_waiting_can_be_given_up),
	    cmocka_unit_test(test_giving_up_uses_nothing_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
