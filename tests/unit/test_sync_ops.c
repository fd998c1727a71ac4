/* Proves the worker's listener: its pages, its methods, what it refuses, and its configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/listen.h"
#include "common/metrics.h"
#include "rbac-sync/ops.h"
#include "tests/support/schema_rows.h"

static atomic_bool well;
static struct ops *ops;

static bool ready(void *ctx, struct buf *lines)
{
	(void)ctx;
	bool ok = atomic_load(&well);
	buf_adds(lines, ok ? "[+]spool ok\n" : "[-]spool: no room\n");
	return ok;
}

static int set_up(void **state)
{
	(void)state;
	struct ops_config c = {.present = true, .address = "127.0.0.1:0"};
	struct err e;
	return ops_start(&c, ready, NULL, &ops, &e) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	ops_stop(&ops);
	return 0;
}

/* What is answered to TEXT until the connection ends. */
static const char *ask(const char *text)
{
	static char answer[1 << 16];
	char host[LISTEN_HOST_MAX];
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	uint16_t port;
	size_t len = 0;
	assert_true(listen_parse(ops_address(ops), host, &port));
	in.sin_port = htons(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	for (ssize_t n; len < sizeof(answer) - 1 && (n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0;)
		len += (size_t)n;
	answer[len] = '\0';
	close(fd);
	return answer;
}

#define END " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static const char *body_of(const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n");
	return body ? body + 4 : "(none)";
}

static void test_pages(void **state)
{
	(void)state;
	static const struct {
		const char *request;
		bool well;
		const char *status, *body;
	} cases[] = {
	    {"GET /livez" END, false, "HTTP/1.1 200 ", "ok"},
	    {"GET /healthz" END, false, "HTTP/1.1 200 ", "ok"},
	    {"GET /readyz" END, true, "HTTP/1.1 200 ", "ok"},
	    {"GET /readyz?verbose" END, true, "HTTP/1.1 200 ", "[+]spool ok\nreadyz check passed\n"},
	    {"GET /readyz?verbose=1" END, true, "HTTP/1.1 200 ", "[+]spool ok\nreadyz check passed\n"},
	    {"GET /readyz" END, false, "HTTP/1.1 503 ", "[-]spool: no room\nreadyz check failed\n"},
	    {"HEAD /readyz" END, false, "HTTP/1.1 503 ", ""},
	    {"HEAD /livez" END, true, "HTTP/1.1 200 ", ""},
	    {"GET /" END, true, "HTTP/1.1 404 ", "no such page\n"},
	    {"GET /metrics/x" END, true, "HTTP/1.1 404 ", "no such page\n"},
	    {"POST /livez" END, true, "HTTP/1.1 405 ", "only GET and HEAD\n"},
	    {"DELETE /metrics" END, true, "HTTP/1.1 405 ", "only GET and HEAD\n"},
	    {"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", true, "HTTP/1.1 405 ",
		"only GET and HEAD\n"},
	    {"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", true, "HTTP/1.1 400 ",
		"no body is taken\n"},
	    {"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true, "HTTP/1.1 400 ",
		"no body is taken\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		atomic_store(&well, cases[i].well);
		const char *answer = ask(cases[i].request);
		if (strncmp(answer, cases[i].status, strlen(cases[i].status)) != 0 ||
		    strcmp(body_of(answer), cases[i].body) != 0)
			fail_msg("%s: %s", cases[i].request, answer);
	}
	assert_non_null(strstr(ask("PUT /livez" END), "\r\nAllow: GET, HEAD\r\n"));
}

static void test_metrics(void **state)
{
	(void)state;
	metric_set(metrics_gauge("portcullis_sync_leader", "1 while this worker leads.", ""), 1);
	const char *answer = ask("GET /metrics" END);
	assert_non_null(strstr(answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer, "\nportcullis_sync_leader 1\n"));
}

/* One connection serves again: scrapers keep it. */
static void test_keeps_the_connection(void **state)
{
	(void)state;
	const char *answer = ask("GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz" END);
	const char *second = strstr(answer + 1, "HTTP/1.1 200 ");
	assert_non_null(second);
	assert_string_equal(body_of(second), "ok");
}

static void test_head_is_bounded(void **state)
{
	(void)state;
	static char text[1 << 17];
	size_t n = (size_t)snprintf(text, sizeof(text), "GET /livez HTTP/1.1\r\nHost: x\r\nX: ");
	memset(text + n, 'x', 60000);
	memcpy(text + n + 60000, "\r\n\r\n", 5);
	const char *answer = ask(text);
	assert_true(answer[0] == '\0' || strncmp(answer, "HTTP/1.1 431 ", 13) == 0);
}

static void test_address_in_use(void **state)
{
	(void)state;
	struct ops_config c = {.present = true, .address = ops_address(ops)};
	struct ops *second = NULL;
	struct err e;
	assert_int_equal(ops_start(&c, ready, NULL, &second, &e), ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, ops_address(ops)));
	assert_null(second);
}

static void test_configuration(void **state)
{
	(void)state;
	static const struct schema_row cases[] = {
	    {"listen: \"127.0.0.1:8081\"", NULL},
	    {"listen: \"[::1]:8081\"", NULL},
	    {"listen: \":8081\"", NULL},
	    {"listen: localhost:8081", "f:1:9: error: listen: not ADDRESS:PORT"},
	    {"listen: \"127.0.0.1\"", "f:1:9: error: listen: not ADDRESS:PORT"},
	    {"listen: \"127.0.0.1:99999\"", "f:1:9: error: listen: not ADDRESS:PORT"},
	    {"port: 3", "error"},
	};
	struct ops_config c;
	check_schema_rows(&ops_config_schema, &c, cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pages),
	    cmocka_unit_test(test_metrics),
	    cmocka_unit_test(test_keeps_the_connection),
	    cmocka_unit_test(test_head_is_bounded),
	    cmocka_unit_test(test_address_in_use),
	    cmocka_unit_test(test_configuration),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
