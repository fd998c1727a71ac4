/* Proves the transport's contract on a plain listener: deferred work, full queues, late jobs, the drain, and
 * connections that are past their time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "server/reply.h"
#include "server/server.h"

#define WAIT_S 60

static struct server server;
static sem_t started, gate;

static void answer(struct exchange *ex, const char *text)
{
	ex->reply.status = 200;
	ex->reply.content_type = "text/plain";
	buf_adds(&ex->reply.body, text);
}

static void handle_now(struct exchange *ex)
{
	answer(ex, "now ");
	buf_slice(&ex->reply.body, ex->request.body);
}

static void work(struct exchange *ex)
{
	sem_post(&started);
	sem_wait(&gate);
	answer(ex, ex->state);
}

static void otherwise(struct exchange *ex)
{
	reply_unavailable(ex, "overloaded");
}

static void handle_later(struct exchange *ex)
{
	ex->state = (void *)(uintptr_t)"later";
	exchange_defer(ex, server.token_work, clock_mono() + WAIT_S * CLOCK_SECOND, work, otherwise);
}

static void handle_late(struct exchange *ex)
{
	exchange_defer(ex, server.token_work, clock_mono(), work, otherwise);
}

static void handle_nothing(struct exchange *ex)
{
	(void)ex;
}

static const struct route routes[] = {{"POST", "/now", handle_now, 0},
    {"GET", "/later", handle_later, 0}, {"GET", "/late", handle_late, 0},
    {"GET", "/nothing", handle_nothing, 0}, {0}};

static struct listener *start(const struct listener_options *o)
{
	struct listener *l = NULL;
	struct err e = {0};
	if (listener_start(o, &l, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	return l;
}

static struct listener *listen_on(int64_t request_timeout, int64_t lifetime)
{
	struct listener_options o = {.name = "test", .address = "127.0.0.1:0", .server = &server,
	    .routes = routes, .tls = LISTENER_PLAIN, .threads = 1, .connections = 16,
	    .first_timeout = WAIT_S, .idle_timeout = WAIT_S, .request_timeout = request_timeout,
	    .lifetime = lifetime};
	return start(&o);
}

static int dial(const struct listener *l)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(listener_port(l)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = {.tv_sec = WAIT_S};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static int ask(const struct listener *l, const char *method, const char *path, const char *body)
{
	int fd = dial(l);
	char text[512];
	int n = snprintf(text, sizeof(text),
	    "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", method,
	    path, strlen(body), body);
	assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
	return fd;
}

/* Reads to the end and closes; the reply with its head. */
static const char *reply_of(int fd)
{
	static char text[8192];
	size_t len = 0;
	for (ssize_t n; (n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) != 0; len += (size_t)n)
		assert_true(n > 0);
	text[len] = '\0';
	close(fd);
	return text;
}

static void assert_reply(int fd, const char *status, const char *body)
{
	const char *text = reply_of(fd);
	char line[64];
	snprintf(line, sizeof(line), "HTTP/1.1 %s ", status);
	const char *end = strstr(text, "\r\n\r\n");
	assert_non_null(end);
	if (strncmp(text, line, strlen(line)) != 0 || !strstr(end, body))
		fail_msg("wanted %s %s, got %s", status, body, text);
}

static void test_handler_sees_the_body_and_answers(void **state)
{
	(void)state;
	struct listener *l = listen_on(WAIT_S * CLOCK_SECOND, 0);
	assert_reply(ask(l, "POST", "/now", "and here"), "200", "now and here");
	assert_reply(ask(l, "GET", "/now", ""), "405", "method not allowed");
	assert_reply(ask(l, "POST", "/elsewhere", ""), "404", "no such path");
	listener_stop(&l);
}

static void test_a_handler_without_a_reply_is_503_and_never_200(void **state)
{
	(void)state;
	struct listener *l = listen_on(WAIT_S * CLOCK_SECOND, 0);
	assert_reply(ask(l, "GET", "/nothing", ""), "503", "\"kind\":\"Status\"");
	listener_stop(&l);
}

static void test_deferred_work_answers_while_others_are_served(void **state)
{
	(void)state;
	struct listener *l = listen_on(WAIT_S * CLOCK_SECOND, 0);
	int waiting = ask(l, "GET", "/later", "");
	sem_wait(&started);
	assert_reply(ask(l, "POST", "/now", "!"), "200", "now !");
	sem_post(&gate);
	assert_reply(waiting, "200", "later");
	listener_stop(&l);
}

/* One worker, one place in the queue: the third is told at once. */
static void test_a_full_queue_calls_otherwise(void **state)
{
	(void)state;
	struct listener *l = listen_on(WAIT_S * CLOCK_SECOND, 0);
	int first = ask(l, "GET", "/later", "");
	sem_wait(&started);
	int others[2] = {ask(l, "GET", "/later", ""), ask(l, "GET", "/later", "")};
	struct pollfd fds[2] = {{.fd = others[0], .events = POLLIN}, {.fd = others[1], .events = POLLIN}};
	assert_int_equal(poll(fds, 2, WAIT_S * 1000), 1);
	int told = fds[0].revents ? 0 : 1;
	assert_reply(others[told], "503", "overloaded");
	sem_post(&gate);
	sem_post(&gate);
	assert_reply(first, "200", "later");
	assert_reply(others[1 - told], "200", "later");
	sem_wait(&started);
	listener_stop(&l);
}

static void test_a_job_past_its_deadline_is_not_begun(void **state)
{
	(void)state;
	struct listener *l = listen_on(WAIT_S * CLOCK_SECOND, 0);
	assert_reply(ask(l, "GET", "/late", ""), "503", "overloaded");
	int begun;
	sem_getvalue(&started, &begun);
	assert_int_equal(begun, 0);
	listener_stop(&l);
}

static void test_the_drain_waits_for_deferred_work(void **state)
{
	(void)state;
	struct listener *l = listen_on(WAIT_S * CLOCK_SECOND, 0);
	int waiting = ask(l, "GET", "/later", "");
	sem_wait(&started);
	listener_quiesce(l);
	assert_false(listener_idle(l, clock_mono()));
	sem_post(&gate);
	assert_true(listener_idle(l, clock_mono() + WAIT_S * CLOCK_SECOND));
	assert_reply(waiting, "200", "later");
	listener_stop(&l);
	assert_null(l);
}

/* Sweeps until the other side has closed FD. */
static void assert_swept(struct listener *l, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	for (int i = 0; i < WAIT_S * 100; i++) {
		listener_sweep(l);
		if (poll(&p, 1, 10) == 1)
			break;
	}
	char c;
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	close(fd);
}

static void test_slow_requests_are_cut(void **state)
{
	(void)state;
	struct listener *l = listen_on(1, 0);
	assert_swept(l, dial(l));
	int fd = dial(l);
	assert_int_equal(send(fd, "GET /now", 8, MSG_NOSIGNAL), 8);
	assert_swept(l, fd);
	listener_stop(&l);
}

static void test_a_connection_has_a_lifetime_but_never_ends_in_an_answer(void **state)
{
	(void)state;
	struct listener *l = listen_on(WAIT_S * CLOCK_SECOND, 1);
	int waiting = ask(l, "GET", "/later", "");
	sem_wait(&started);
	for (int i = 0; i < 10; i++)
		listener_sweep(l);
	sem_post(&gate);
	assert_reply(waiting, "200", "later");
	assert_swept(l, dial(l));
	listener_stop(&l);
}

/* The short time-out is for strangers alone: when one that came later has run into it, a connection that
 * was served before goes on (the apiserver keeps its own for 90 s). */
static void test_a_served_connection_outlives_the_first_timeout(void **state)
{
	(void)state;
	struct listener_options o = {.name = "test", .address = "127.0.0.1:0", .server = &server,
	    .routes = routes, .tls = LISTENER_PLAIN, .threads = 1, .connections = 16,
	    .first_timeout = 1, .idle_timeout = 600, .request_timeout = WAIT_S * CLOCK_SECOND};
	struct listener *l = start(&o);
	static const char keep[] = "POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
	static const char last[] =
	    "POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	int kept = dial(l);
	char text[1024];
	assert_int_equal(send(kept, keep, sizeof(keep) - 1, MSG_NOSIGNAL), sizeof(keep) - 1);
	assert_true(recv(kept, text, sizeof(text), 0) > 0);
	int stranger = dial(l);
	assert_int_equal(recv(stranger, text, 1, 0), 0);
	close(stranger);
	assert_int_equal(send(kept, last, sizeof(last) - 1, MSG_NOSIGNAL), sizeof(last) - 1);
	assert_reply(kept, "200", "now ");
	listener_stop(&l);
}

static void test_strangers_make_room_oldest_first(void **state)
{
	(void)state;
	struct listener *l = listen_on(WAIT_S * CLOCK_SECOND, 0);
	int fds[5];
	/* A quarter of 16 may wait: the fifth turns the first out. */
	for (int i = 0; i < 5; i++)
		fds[i] = dial(l);
	char c;
	assert_int_equal(recv(fds[0], &c, 1, 0), 0);
	for (int i = 1; i < 5; i++) {
		assert_int_equal(recv(fds[i], &c, 1, MSG_DONTWAIT), -1);
		close(fds[i]);
	}
	close(fds[0]);
	listener_stop(&l);
}

static void test_a_taken_address_says_so(void **state)
{
	(void)state;
	struct listener *l = listen_on(WAIT_S * CLOCK_SECOND, 0);
	char address[32];
	snprintf(address, sizeof(address), "127.0.0.1:%u", listener_port(l));
	struct listener_options o = {.name = "test", .address = address, .server = &server,
	    .routes = routes, .tls = LISTENER_PLAIN, .threads = 1, .connections = 4, .first_timeout = 1,
	    .idle_timeout = 1, .request_timeout = CLOCK_SECOND};
	struct listener *second = NULL;
	struct err e = {0};
	assert_int_equal(listener_start(&o, &second, &e), ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, address));
	assert_null(second);
	listener_stop(&l);
}

static int set_up(void **state)
{
	(void)state;
	struct err e = {0};
	struct snapshot_parts none = {0};
	sem_init(&started, 0, 0);
	sem_init(&gate, 0, 0);
	snapshots_init(&server.snapshots);
	snapshot_publish(&server.snapshots, &none);
	return work_new("test", 1, 1, &server.token_work, &e) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	work_free(&server.token_work);
	snapshots_done(&server.snapshots);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_handler_sees_the_body_and_answers),
	    cmocka_unit_test(test_a_handler_without_a_reply_is_503_and_never_200),
	    cmocka_unit_test(test_deferred_work_answers_while_others_are_served),
	    cmocka_unit_test(test_a_full_queue_calls_otherwise),
	    cmocka_unit_test(test_a_job_past_its_deadline_is_not_begun),
	    cmocka_unit_test(test_the_drain_waits_for_deferred_work),
	    cmocka_unit_test(test_slow_requests_are_cut),
	    cmocka_unit_test(test_a_connection_has_a_lifetime_but_never_ends_in_an_answer),
	    cmocka_unit_test(test_a_served_connection_outlives_the_first_timeout),
	    cmocka_unit_test(test_strangers_make_room_oldest_first),
	    cmocka_unit_test(test_a_taken_address_says_so),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
