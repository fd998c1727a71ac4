/* What waiting for names costs: a resolver that hangs holds nobody past their deadline and one thread a name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/resolve.h"

/* A resolver that waits for its test. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int asked, inside;
	bool hang;
	int error;
	const char *address;
} sys = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static int fake(const char *host, struct addrinfo **out)
{
	(void)host;
	pthread_mutex_lock(&sys.lock);
	sys.asked++;
	sys.inside++;
	pthread_cond_broadcast(&sys.cond);
	while (sys.hang)
		pthread_cond_wait(&sys.cond, &sys.lock);
	sys.inside--;
	pthread_cond_broadcast(&sys.cond);
	int error = sys.error;
	const char *address = sys.address;
	pthread_mutex_unlock(&sys.lock);
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
	return error ? error : getaddrinfo(address, NULL, &hints, out);
}

static void set(bool hang, int error, const char *address)
{
	pthread_mutex_lock(&sys.lock);
	sys.hang = hang;
	sys.error = error;
	sys.address = address;
	pthread_cond_broadcast(&sys.cond);
	pthread_mutex_unlock(&sys.lock);
}

static int asked(void)
{
	pthread_mutex_lock(&sys.lock);
	int n = sys.asked;
	pthread_mutex_unlock(&sys.lock);
	return n;
}

/* Waits until N questions have been asked, and all have been answered when ANSWERED. */
static void until(int n, bool answered)
{
	pthread_mutex_lock(&sys.lock);
	while (sys.asked < n || (answered && sys.inside))
		pthread_cond_wait(&sys.cond, &sys.lock);
	pthread_mutex_unlock(&sys.lock);
}

static int setup(void **state)
{
	(void)state;
	set(false, 0, "192.0.2.1");
	until(0, true);
	resolve_use(fake);
	pthread_mutex_lock(&sys.lock);
	sys.asked = 0;
	pthread_mutex_unlock(&sys.lock);
	return 0;
}

static enum err_code ask(const char *host, int64_t in, struct resolved *r)
{
	struct err e = {0};
	return resolve_host(host, 636, clock_mono() + in, NULL, r, &e);
}

static void assert_address(const struct resolved *r, const char *want)
{
	char text[INET_ADDRSTRLEN];
	const struct sockaddr_in *in = (const struct sockaddr_in *)&r->addrs[0];
	assert_int_equal(r->n, 1);
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(ntohs(in->sin_port), 636);
	assert_string_equal(inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)), want);
}

static void test_literals_need_no_resolver(void **state)
{
	(void)state;
	struct resolved r;
	assert_int_equal(ask("192.0.2.7", 0, &r), ERR_OK);
	assert_address(&r, "192.0.2.7");
	assert_int_equal(ask("::1", 0, &r), ERR_OK);
	assert_int_equal(asked(), 0);
}

static void test_answers_are_kept_for_a_while(void **state)
{
	(void)state;
	struct resolved r;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask("dc1", 20 * CLOCK_SECOND, &r), ERR_OK);
		assert_address(&r, "192.0.2.1");
	}
	assert_int_equal(asked(), 1);
}

static void test_old_answers_serve_while_a_new_one_is_asked_for(void **state)
{
	(void)state;
	struct resolved r;
	assert_int_equal(ask("dc1", 20 * CLOCK_SECOND, &r), ERR_OK);
	set(true, 0, "192.0.2.2");
	clock_advance(60 * CLOCK_SECOND);
	/* The resolver hangs: nobody notices. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask("dc1", 20 * CLOCK_SECOND, &r), ERR_OK);
		assert_address(&r, "192.0.2.1");
	}
	until(2, false);
	set(false, 0, "192.0.2.2");
	until(2, true);
	/* The answer is noted after the resolver gave it: wait for it under another clock. */
	clock_advance(700 * CLOCK_SECOND);
	assert_int_equal(ask("dc1", 20 * CLOCK_SECOND, &r), ERR_OK);
	assert_address(&r, "192.0.2.2");
}

static void test_a_hung_resolver_holds_nobody_and_one_thread(void **state)
{
	(void)state;
	struct resolved r;
	set(true, 0, "192.0.2.1");
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask("dc1", CLOCK_MS, &r), ERR_TIMEOUT);
	until(1, false);
	assert_int_equal(asked(), 1);
	assert_int_equal(ask("dc1", -1, &r), ERR_TIMEOUT);
	set(false, 0, "192.0.2.1");
	assert_int_equal(ask("dc1", 20 * CLOCK_SECOND, &r), ERR_OK);
	assert_int_equal(asked(), 1);
}

static void test_hung_names_are_counted(void **state)
{
	(void)state;
	struct resolved r;
	char name[32];
	set(true, 0, "192.0.2.1");
	for (int i = 0; i < RESOLVE_HOSTS_MAX; i++) {
		snprintf(name, sizeof(name), "host%d", i);
		assert_int_equal(ask(name, CLOCK_MS, &r), ERR_TIMEOUT);
	}
	assert_int_equal(ask("one-more", CLOCK_MS, &r), ERR_UNAVAILABLE);
	until(RESOLVE_HOSTS_MAX, false);
	assert_int_equal(asked(), RESOLVE_HOSTS_MAX);
	set(false, 0, "192.0.2.1");
	assert_int_equal(ask("host0", 20 * CLOCK_SECOND, &r), ERR_OK);
}

static void test_a_no_is_an_answer_for_a_second(void **state)
{
	(void)state;
	struct resolved r;
	set(false, EAI_NONAME, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask("gone", 20 * CLOCK_SECOND, &r), ERR_UNAVAILABLE);
	assert_int_equal(asked(), 1);
	set(false, 0, "192.0.2.1");
	clock_advance(2 * CLOCK_SECOND);
	assert_int_equal(ask("gone", 20 * CLOCK_SECOND, &r), ERR_OK);
}

static void test_names_that_are_none_are_refused(void **state)
{
	(void)state;
	struct resolved r;
	char longest[400];
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(ask(longest, CLOCK_SECOND, &r), ERR_INVALID);
	assert_int_equal(ask("", CLOCK_SECOND, &r), ERR_INVALID);
	assert_int_equal(asked(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_literals_need_no_resolver, setup),
	    cmocka_unit_test_setup(test_answers_are_kept_for_a_while, setup),
	    cmocka_unit_test_setup(test_old_answers_serve_while_a_new_one_is_asked_for, setup),
	    cmocka_unit_test_setup(test_a_hung_resolver_holds_nobody_and_one_thread, setup),
	    cmocka_unit_test_setup(test_a_no_is_an_answer_for_a_second, setup),
	    cmocka_unit_test_setup(test_names_that_are_none_are_refused, setup),
	    cmocka_unit_test_setup(test_hung_names_are_counted, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
