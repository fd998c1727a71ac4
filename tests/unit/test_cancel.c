/* Proves that what waits for others ends when it is asked to: each wait here would last an hour by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/dial.h"
#include "common/ldapx.h"
#include "common/resolve.h"
#include "tests/support/crypto.h"

#define HOUR (3600 * CLOCK_SECOND)

static struct {
	struct crypto_cert ca;
	struct ldapx_tls *tls;
} fx;

static int set_up(void **state)
{
	(void)state;
	struct err e;
	signal(SIGPIPE, SIG_IGN);
	ldapx_init();
	fx.ca = crypto_cert(NULL, "test CA", NULL, 10);
	const struct ldapx_tls_pem pem = {.ca = slice_of(fx.ca.cert)};
	assert_int_equal(ldapx_tls_new(&pem, &fx.tls, &e), ERR_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ldapx_tls_free(&fx.tls);
	crypto_cert_free(&fx.ca);
	return 0;
}

/* --- the wish itself --- */

static void test_a_wish_is_heard_by_all_and_for_good(void **state)
{
	(void)state;
	struct cancel c;
	cancel_init(&c);
	struct pollfd p = {.fd = cancel_fd(&c), .events = POLLIN};
	assert_false(cancel_asked(&c));
	assert_int_equal(poll(&p, 1, 0), 0);
	for (int i = 0; i < 3; i++) {
		cancel_ask(&c);
		assert_true(cancel_asked(&c));
		assert_int_equal(poll(&p, 1, 0), 1);
		assert_false(cancel_wait(&c, -1, 0, clock_mono() + HOUR));
		assert_int_equal(errno, ECANCELED);
	}
	cancel_done(&c);
	assert_int_equal(cancel_fd(&c), -1);
}

static void test_nobody_wishes(void **state)
{
	(void)state;
	assert_false(cancel_asked(NULL));
	assert_int_equal(cancel_fd(NULL), -1);
	assert_false(cancel_wait(NULL, -1, 0, clock_mono() + CLOCK_MS));
	assert_int_equal(errno, ETIMEDOUT);
}

static void test_what_ends_a_wait(void **state)
{
	(void)state;
	struct cancel c;
	int ends[2];
	cancel_init(&c);
	assert_int_equal(pipe(ends), 0);
	assert_false(cancel_wait(&c, ends[0], POLLIN, clock_mono() + CLOCK_MS));
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_true(cancel_wait(&c, ends[0], POLLIN, clock_mono() + HOUR));
	assert_false(cancel_wait(&c, ends[0], POLLIN, clock_mono() - 1));
	assert_int_equal(errno, ETIMEDOUT);
	cancel_ask(&c);
	assert_false(cancel_wait(&c, ends[0], POLLIN, clock_mono() + HOUR));
	assert_int_equal(errno, ECANCELED);
	close(ends[0]);
	close(ends[1]);
	cancel_done(&c);
}

/* --- who waits --- */

struct waiter {
	const char *scheme, *host; /* of a directory; NULL: sleeps */
	int port;
	struct cancel cancel;
	enum err_code code;
	int error; /* errno of the sleep */
};

static void *wait_for(void *arg)
{
	struct waiter *w = arg;
	if (!w->scheme) {
		assert_false(cancel_wait(&w->cancel, -1, 0, clock_mono() + HOUR));
		w->error = errno;
		return NULL;
	}
	char url[64];
	struct ldapx *h = NULL;
	struct err e;
	snprintf(url, sizeof(url), "%s://%s:%d", w->scheme, w->host, w->port);
	const struct ldapx_server s = {
	    .url = url, .start_tls = strcmp(w->scheme, "ldap") == 0, .tls = fx.tls, .cancel = &w->cancel};
	w->code = ldapx_open(&s, clock_mono() + HOUR, &h, &e);
	return NULL;
}

static pthread_t start(struct waiter *w)
{
	pthread_t t;
	cancel_init(&w->cancel);
	assert_int_equal(pthread_create(&t, NULL, wait_for, w), 0);
	return t;
}

static void stop(struct waiter *w, pthread_t t)
{
	cancel_ask(&w->cancel);
	pthread_join(t, NULL);
	cancel_done(&w->cancel);
}

static void test_sleepers_wake(void **state)
{
	(void)state;
	for (int descriptor = 0; descriptor < 2; descriptor++) {
		struct waiter w = {0};
		pthread_t t;
		cancel_init(&w.cancel);
		if (!descriptor) /* as where there is none to be had */
			cancel_done(&w.cancel);
		assert_int_equal(pthread_create(&t, NULL, wait_for, &w), 0);
		stop(&w, t);
		assert_int_equal(w.error, ECANCELED);
	}
}

/* A socket that listens, for BACKLOG connections and one, that nobody may take. */
static int listener(int backlog, int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(listen(fd, backlog), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void test_directories_that_say_nothing(void **state)
{
	(void)state;
	static const char *const schemes[] = {"ldaps", "ldap"};
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		struct waiter w = {.scheme = schemes[i], .host = "127.0.0.1"};
		int fd = listener(1, &w.port);
		pthread_t t = start(&w);
		int peer = accept(fd, NULL, NULL);
		char first;
		assert_int_equal(recv(peer, &first, 1, 0), 1); /* of the handshake, or StartTLS */
		stop(&w, t);
		if (w.code != ERR_UNAVAILABLE)
			fail_msg("%s: %d", schemes[i], w.code);
		close(peer);
		close(fd);
	}
}

static void test_a_network_that_swallows(void **state)
{
	(void)state;
	struct waiter w = {.scheme = "ldaps", .host = "127.0.0.1"};
	int fd = listener(0, &w.port), full[2], got = -1;
	struct err e;
	/* The first takes the only place, the second may be taken or not; the next one's first packet goes nowhere. */
	for (size_t i = 0; i < ARRAY_LEN(full); i++) {
		full[i] = -1;
		(void)!dial_host("127.0.0.1", w.port, clock_mono() + 200 * CLOCK_MS, NULL, &full[i], &e);
	}
	assert_int_equal(dial_host("127.0.0.1", w.port, clock_mono() + 200 * CLOCK_MS, NULL, &got, &e), ERR_TIMEOUT);
	pthread_t t = start(&w);
	stop(&w, t);
	assert_int_equal(w.code, ERR_UNAVAILABLE);
	for (size_t i = 0; i < ARRAY_LEN(full); i++) {
		if (full[i] >= 0)
			close(full[i]);
	}
	close(fd);
}

/* --- names --- */

static sem_t asked, answer;

static int hangs(const char *host, struct addrinfo **out)
{
	(void)host, (void)out;
	sem_post(&asked);
	sem_wait(&answer);
	return EAI_AGAIN;
}

static void test_a_resolver_that_says_nothing(void **state)
{
	(void)state;
	struct waiter w = {.scheme = "ldaps", .host = "silent.test", .port = 636};
	sem_init(&asked, 0, 0);
	sem_init(&answer, 0, 0);
	resolve_use(hangs);
	pthread_t t = start(&w);
	sem_wait(&asked);
	stop(&w, t);
	assert_int_equal(w.code, ERR_UNAVAILABLE);
	/* The same name is asked for by one thread alone: when another waiter is told, it is through. */
	struct resolved r;
	struct err e;
	sem_post(&answer);
	assert_int_equal(resolve_host("silent.test", 636, clock_mono() + HOUR, NULL, &r, &e), ERR_UNAVAILABLE);
	resolve_use(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_wish_is_heard_by_all_and_for_good),
	    cmocka_unit_test(test_nobody_wishes),
	    cmocka_unit_test(test_what_ends_a_wait),
	    cmocka_unit_test(test_sleepers_wake),
	    cmocka_unit_test(test_directories_that_say_nothing),
	    cmocka_unit_test(test_a_network_that_swallows),
	    cmocka_unit_test(test_a_resolver_that_says_nothing),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
