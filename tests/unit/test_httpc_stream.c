/* Proves streams: what the reader gets, what ends them, and that nothing is without a bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/clock.h"
#include "common/httpc.h"
#include "tests/support/tls_server.h"

static struct {
	struct crypto_cert ca, leaf;
	struct tls_server *server;
	struct httpc *http;
} fx;

static void handler(void *arg, const char *path, const char *request, struct tls_reply *r)
{
	(void)arg, (void)request;
	r->status = 200;
	r->body = "one two three";
	if (strcmp(path, "/missing") == 0)
		r->status = 404;
	else if (strcmp(path, "/hang") == 0)
		r->how = TLS_HANG;
	else if (strcmp(path, "/drip") == 0)
		r->how = TLS_DRIP;
	else if (strcmp(path, "/endless") == 0)
		r->how = TLS_ENDLESS;
	else if (strcmp(path, "/cut") == 0)
		r->how = TLS_CUT;
	else if (strcmp(path, "/headers") == 0)
		r->how = TLS_HEADERS;
}

static int set_up(void **state)
{
	(void)state;
	httpc_init();
	fx.ca = crypto_cert(NULL, "test CA", NULL, 10);
	fx.leaf = crypto_cert(&fx.ca, "server", "DNS:localhost", 10);
	struct tls_options opt = {.cert = &fx.leaf};
	fx.server = tls_server_start(&opt, handler, NULL);
	fx.http = httpc_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	httpc_free(&fx.http);
	tls_server_stop(&fx.server);
	crypto_cert_free(&fx.ca);
	crypto_cert_free(&fx.leaf);
	return 0;
}

struct reading {
	size_t bytes, begun, ticks;
	size_t stop_at; /* bytes; 0: never */
	size_t tick_out; /* ticks; 0: never */
	bool at_once;	/* ends when it begins */
};

static bool on_piece(void *ctx, struct slice piece)
{
	struct reading *r = ctx;
	if (piece.len == 0) {
		r->begun++;
		return !r->at_once;
	}
	r->bytes += piece.len;
	return r->stop_at == 0 || r->bytes < r->stop_at;
}

static bool on_tick(void *ctx)
{
	struct reading *r = ctx;
	r->ticks++;
	return r->tick_out == 0 || r->ticks < r->tick_out;
}

struct wish {
	int64_t timeout_ms, idle_ms;
	const struct cancel *cancel;
};

static enum err_code stream(const char *path, struct reading *r, struct wish w, struct httpc_response *res, struct err *e)
{
	char url[128];
	snprintf(url, sizeof(url), "https://localhost:%u%s", tls_server_port(fx.server), path);
	const struct httpc_request req = {.url = url,
	    .ca_pem = slice_of(fx.ca.cert),
	    .timeout_ms = w.timeout_ms ? w.timeout_ms : 60000,
	    .max_bytes = 8,
	    .cancel = w.cancel};
	const struct httpc_reader reader = {
	    .piece = on_piece, .tick = on_tick, .ctx = r, .idle_ms = w.idle_ms ? w.idle_ms : 60000};
	return httpc_stream(fx.http, &req, &reader, res, e);
}

static void test_what_ends_a_stream(void **state)
{
	(void)state;
	static struct cancel asked;
	cancel_init(&asked);
	cancel_ask(&asked);
	static const struct {
		const char *path;
		struct reading reading;
		struct wish wish;
		enum err_code code;
		const char *finding;
		size_t begun;
	} rows[] = {
	    {"/", {0}, {0}, ERR_OK, "", 1}, /* longer than max_bytes: those bound other answers */
	    {"/", {.at_once = true}, {0}, ERR_REFUSED, "by its reader", 1},
	    {"/endless", {.stop_at = 1000000}, {0}, ERR_REFUSED, "by its reader", 1},
	    {"/drip", {.tick_out = 1}, {0}, ERR_REFUSED, "by its reader", 0},
	    {"/drip", {0}, {.timeout_ms = 300}, ERR_TIMEOUT, "", 1},
	    {"/drip", {0}, {.cancel = &asked}, ERR_UNAVAILABLE, "", 0},
	    {"/hang", {0}, {.idle_ms = 300}, ERR_TIMEOUT, "nothing came for 300 ms", 0},
	    {"/hang", {0}, {.timeout_ms = 300}, ERR_TIMEOUT, "", 0},
	    {"/hang", {0}, {.cancel = &asked}, ERR_UNAVAILABLE, "", 0},
	    {"/cut", {0}, {0}, ERR_UNAVAILABLE, "", 1},
	    {"/headers", {0}, {0}, ERR_LIMIT, "header is longer", 0},
	    {"/missing", {0}, {0}, ERR_LIMIT, "longer than 8 bytes", 0},
	    {"/", {0}, {.timeout_ms = -1}, ERR_TIMEOUT, "no time left", 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reading r = rows[i].reading;
		struct httpc_response res;
		struct err e = {0};
		enum err_code code = stream(rows[i].path, &r, rows[i].wish, &res, &e);
		if (code != rows[i].code || !strstr(e.msg, rows[i].finding) || (rows[i].begun && r.begun != 1) ||
		    (!rows[i].begun && r.bytes && !rows[i].wish.cancel && !rows[i].reading.tick_out))
			fail_msg("row %zu: %d %s, begun %zu, %zu bytes", i, code, e.msg, r.begun, r.bytes);
		if (code == ERR_OK && (r.bytes != strlen("one two three") || res.body.len || res.status != 200))
			fail_msg("row %zu: %zu bytes, %zu in the body", i, r.bytes, res.body.len);
		httpc_response_done(&res);
	}
	cancel_done(&asked);
}

/* Who is asked to end hears it at once: where something can be heard all the time, no look waits its second. */
static void test_looks_wait_for_nothing_that_can_be_heard(void **state)
{
	(void)state;
	struct cancel loud;
	struct reading r = {.tick_out = 100};
	struct httpc_response res;
	struct err e = {0};
	cancel_init(&loud);
	cancel_ask(&loud);
	atomic_store(&loud.asked, false);
	assert_int_equal(stream("/hang", &r, (struct wish){.timeout_ms = 30000, .cancel = &loud}, &res, &e), ERR_REFUSED);
	assert_int_equal(r.ticks, 100);
	httpc_response_done(&res);
	cancel_done(&loud);
}

static void test_forgetting_opens_anew(void **state)
{
	(void)state;
	struct httpc_response res;
	struct err e;
	httpc_forget(fx.http);
	unsigned before = tls_server_connections(fx.server);
	for (int i = 0; i < 3; i++) {
		struct reading r = {0};
		assert_int_equal(stream("/", &r, (struct wish){0}, &res, &e), ERR_OK);
		httpc_response_done(&res);
	}
	assert_int_equal(tls_server_connections(fx.server), before + 1);
	httpc_forget(fx.http);
	struct reading r = {0};
	assert_int_equal(stream("/", &r, (struct wish){0}, &res, &e), ERR_OK);
	httpc_response_done(&res);
	assert_int_equal(tls_server_connections(fx.server), before + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_ends_a_stream),
	    cmocka_unit_test(test_looks_wait_for_nothing_that_can_be_heard),
	    cmocka_unit_test(test_forgetting_opens_anew),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
