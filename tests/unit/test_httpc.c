/* Proves that the HTTPS client trusts only what it is told to, and that no server can make it wait, read or go
 * where it should not: rows 51, 54 and 55 of the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/httpc.h"
#include "tests/support/tls_server.h"

static struct {
	struct crypto_cert ca, other_ca, leaf, wrong_host, expired, cn_only, cn_and_mail, self_signed, client;
	struct tls_server *server;
	struct httpc *http;
	char seen[4096]; /* last request */
} fx;

static char long_body[100001];

/* Who asks for the end, as soon as an exchange is under way. */
static struct {
	struct cancel cancel;
	sem_t reached;
} end;

static void handler(void *arg, const char *path, const char *request, struct tls_reply *r)
{
	(void)arg;
	snprintf(fx.seen, sizeof(fx.seen), "%s", request);
	r->status = 200;
	r->body = "{\"ok\":true}";
	if (strcmp(path, "/json") == 0)
		r->headers = "Content-Type: Application/JSON; charset=utf-8\r\n"
			     "Cache-Control: public, max-age=600, must-revalidate\r\n";
	else if (strcmp(path, "/no-store") == 0)
		r->headers = "Cache-Control: max-age=600\r\nCache-Control: no-store\r\n";
	else if (strcmp(path, "/retry") == 0)
		r->status = 503, r->headers = "Retry-After: 7\r\n";
	else if (strcmp(path, "/missing") == 0)
		r->status = 404;
	else if (strcmp(path, "/redirect") == 0)
		r->status = 302, r->headers = "Location: /json\r\n";
	else if (strcmp(path, "/gzip") == 0)
		r->headers = "Content-Encoding: gzip\r\n", r->body = "\x1f\x8b garbage";
	else if (strcmp(path, "/large") == 0)
		r->body = long_body;
	else if (strcmp(path, "/hang") == 0)
		r->how = TLS_HANG, sem_post(&end.reached);
	else if (strcmp(path, "/drip") == 0)
		r->how = TLS_DRIP;
	else if (strcmp(path, "/endless") == 0)
		r->how = TLS_ENDLESS;
	else if (strcmp(path, "/headers") == 0)
		r->how = TLS_HEADERS;
	else if (strcmp(path, "/cut") == 0)
		r->how = TLS_CUT;
}

static int set_up(void **state)
{
	(void)state;
	httpc_init();
	memset(long_body, 'x', sizeof(long_body) - 1);
	const char *here = "DNS:localhost,IP:127.0.0.1";
	fx.ca = crypto_cert(NULL, "test CA", NULL, 10);
	fx.other_ca = crypto_cert(NULL, "other CA", NULL, 10);
	fx.leaf = crypto_cert(&fx.ca, "server", here, 10);
	fx.wrong_host = crypto_cert(&fx.ca, "server", "DNS:idp.example.com", 10);
	fx.expired = crypto_cert(&fx.ca, "server", here, -1);
	fx.cn_only = crypto_cert(&fx.ca, "localhost", NULL, 10);
	fx.cn_and_mail = crypto_cert(&fx.ca, "localhost", "email:a@localhost,URI:DNS:localhost", 10);
	fx.self_signed = crypto_cert(NULL, "server", here, 10);
	fx.client = crypto_cert(&fx.ca, "client", "DNS:client", 10);
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
	struct crypto_cert *certs[] = {&fx.ca, &fx.other_ca, &fx.leaf, &fx.wrong_host, &fx.expired,
	    &fx.cn_only, &fx.cn_and_mail, &fx.self_signed, &fx.client};
	for (size_t i = 0; i < ARRAY_LEN(certs); i++)
		crypto_cert_free(certs[i]);
	return 0;
}

/* GET of PATH at SERVER with whatever REQ already says. */
static enum err_code get(const struct tls_server *server, const char *path,
    struct httpc_request req, struct httpc_response *res, struct err *e)
{
	char url[256] = "";
	if (server)
		snprintf(url, sizeof(url), "https://localhost:%u%s", tls_server_port(server), path);
	req.url = req.url ? req.url : url;
	if (!req.ca_pem.p)
		req.ca_pem = slice_of(fx.ca.cert);
	req.timeout_ms = req.timeout_ms ? req.timeout_ms : 20000;
	req.max_bytes = req.max_bytes ? req.max_bytes : 50000;
	return httpc_do(fx.http, &req, res, e);
}

/* The code of a GET without further wishes. */
static enum err_code code_of(const struct tls_server *server, const char *path, struct err *e)
{
	struct httpc_response res;
	enum err_code code = get(server, path, (struct httpc_request){0}, &res, e);
	httpc_response_done(&res);
	return code;
}

static void test_reads_an_answer(void **state)
{
	(void)state;
	struct httpc_response res;
	struct err e = {0};
	assert_int_equal(get(fx.server, "/json", (struct httpc_request){0}, &res, &e), ERR_OK);
	assert_int_equal(res.status, 200);
	assert_string_equal(buf_cstr(&res.body), "{\"ok\":true}");
	assert_string_equal(res.content_type, "application/json");
	assert_int_equal(res.max_age, 600);
	assert_int_equal(res.retry_after, -1);
	assert_non_null(strstr(fx.seen, "GET /json HTTP/1.1"));
	assert_null(strcasestr(fx.seen, "accept-encoding"));
	httpc_response_done(&res);
}

static void test_reads_headers_and_other_statuses(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		long status;
		int64_t max_age, retry_after;
	} cases[] = {
	    {"/no-store", 200, 0, -1},
	    {"/retry", 503, -1, 7},
	    {"/missing", 404, -1, -1},
	    {"/redirect", 302, -1, -1}, /* row 54: not followed */
	    {"/gzip", 200, -1, -1},	/* row 51: not decompressed */
	    {"/plain", 200, -1, -1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct httpc_response res;
		struct err e = {0};
		assert_int_equal(get(fx.server, cases[i].path, (struct httpc_request){0}, &res, &e), ERR_OK);
		assert_int_equal(res.status, cases[i].status);
		assert_int_equal(res.max_age, cases[i].max_age);
		assert_int_equal(res.retry_after, cases[i].retry_after);
		if (strcmp(cases[i].path, "/gzip") == 0)
			assert_string_equal(buf_cstr(&res.body), "\x1f\x8b garbage");
		httpc_response_done(&res);
	}
}

static void test_sends_method_headers_and_body(void **state)
{
	(void)state;
	static const char *const headers[] = {"Content-Type: application/json", "X-Test: a", NULL};
	static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct httpc_request req = {
		    .method = methods[i], .headers = headers, .body = SLICE("{\"a\":1}")};
		struct httpc_response res;
		struct err e = {0};
		assert_int_equal(get(fx.server, "/json", req, &res, &e), ERR_OK);
		httpc_response_done(&res);
		assert_memory_equal(fx.seen, methods[i], strlen(methods[i]));
		assert_non_null(strstr(fx.seen, "\r\nX-Test: a\r\n"));
		assert_non_null(strstr(fx.seen, "\r\nContent-Type: application/json\r\n"));
		assert_non_null(strstr(fx.seen, "\r\n\r\n{\"a\":1}"));
		assert_null(strcasestr(fx.seen, "expect:"));
	}
	/* The next request has nothing of the one before. */
	struct err e = {0};
	assert_int_equal(code_of(fx.server, "/json", &e), ERR_OK);
	assert_null(strstr(fx.seen, "X-Test"));
	static const char *const injected[] = {"X-Test: a\r\nX-Evil: b", NULL};
	struct httpc_request req = {.headers = injected};
	struct httpc_response res;
	assert_int_equal(get(fx.server, "/json", req, &res, &e), ERR_INVALID);
	httpc_response_done(&res);
}

static void test_keeps_its_connection(void **state)
{
	(void)state;
	struct err e = {0};
	assert_int_equal(code_of(fx.server, "/json", &e), ERR_OK);
	unsigned before = tls_server_connections(fx.server);
	for (int i = 0; i < 5; i++)
		assert_int_equal(code_of(fx.server, "/json", &e), ERR_OK);
	assert_int_equal(tls_server_connections(fx.server), before);
}

static void test_row51_bounds(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		enum err_code code;
	} cases[] = {
	    {"/large", ERR_LIMIT}, /* says its length */
	    {"/endless", ERR_LIMIT},
	    {"/headers", ERR_LIMIT},
	    {"/hang", ERR_TIMEOUT},
	    {"/drip", ERR_TIMEOUT},
	    {"/cut", ERR_UNAVAILABLE},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct httpc_request req = {.timeout_ms = cases[i].code == ERR_TIMEOUT ? 300 : 20000};
		struct httpc_response res;
		struct err e = {0};
		assert_int_equal(get(fx.server, cases[i].path, req, &res, &e), cases[i].code);
		assert_true(res.body.len <= 50000);
		assert_true(e.msg[0] != '\0');
		httpc_response_done(&res);
	}
	struct httpc_response res;
	struct err e = {0};
	assert_int_equal(
	    get(fx.server, "/json", (struct httpc_request){.timeout_ms = -5}, &res, &e), ERR_TIMEOUT);
	httpc_response_done(&res);
}

/* --- names that nobody answers for: libcurl finds this one before the C library's --- */

static sem_t dns_answers;

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
    struct addrinfo **restrict res)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	if (node && strcmp(node, "silent.test") == 0) {
		sem_post(&end.reached);
		sem_wait(&dns_answers);
		sem_post(&dns_answers);
		return EAI_AGAIN;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, res);
}

/* It would last for ever, were the resolver waited for. */
static void test_a_silent_resolver_holds_nobody_up(void **state)
{
	(void)state;
	struct httpc_response res;
	struct err e = {0};
	struct httpc_request req = {.url = "https://silent.test/", .timeout_ms = 200};
	sem_init(&dns_answers, 0, 0);
	assert_int_equal(get(NULL, "", req, &res, &e), ERR_TIMEOUT);
	httpc_response_done(&res);
	sem_post(&dns_answers);
}

static void *ask_for_the_end(void *arg)
{
	(void)arg;
	sem_wait(&end.reached);
	cancel_ask(&end.cancel);
	return NULL;
}

/* Each would last for an hour. */
static void test_can_be_cancelled(void **state)
{
	(void)state;
	static const char *const urls[] = {NULL, "https://silent.test/"};
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		pthread_t t;
		struct httpc_response res;
		struct err e = {0};
		struct httpc_request req = {.url = urls[i], .timeout_ms = 3600000, .cancel = &end.cancel};
		sem_init(&dns_answers, 0, 0);
		sem_init(&end.reached, 0, 0);
		cancel_init(&end.cancel);
		assert_int_equal(pthread_create(&t, NULL, ask_for_the_end, NULL), 0);
		assert_int_equal(get(fx.server, "/hang", req, &res, &e), ERR_UNAVAILABLE);
		assert_string_equal(e.msg, "given up");
		httpc_response_done(&res);
		pthread_join(t, NULL);
		/* And nothing begins afterwards. */
		fx.seen[0] = '\0';
		assert_int_equal(get(fx.server, "/json", req, &res, &e), ERR_UNAVAILABLE);
		httpc_response_done(&res);
		assert_string_equal(fx.seen, "");
		cancel_done(&end.cancel);
		sem_post(&dns_answers);
	}
	assert_int_equal(code_of(fx.server, "/json", &(struct err){0}), ERR_OK);
}

/* A fresh client for each certificate: a kept connection would answer instead. */
static enum err_code with_cert(const struct crypto_cert *cert, const char *ca, int max_version,
    struct httpc_request req, struct err *e)
{
	struct tls_options opt = {.cert = cert, .max_version = max_version};
	struct tls_server *s = tls_server_start(&opt, handler, NULL);
	struct httpc_response res;
	req.ca_pem = slice_of(ca);
	enum err_code code = get(s, "/json", req, &res, e);
	httpc_response_done(&res);
	httpc_free(&fx.http);
	fx.http = httpc_new();
	tls_server_stop(&s);
	return code;
}

static void test_row55_certificates(void **state)
{
	(void)state;
	const struct httpc_request none = {0};
	struct err e = {0};
	assert_int_equal(with_cert(&fx.leaf, fx.ca.cert, 0, none, &e), ERR_OK);
	assert_int_equal(with_cert(&fx.leaf, fx.other_ca.cert, 0, none, &e), ERR_UNAVAILABLE);
	assert_int_equal(with_cert(&fx.self_signed, fx.ca.cert, 0, none, &e), ERR_UNAVAILABLE);
	assert_int_equal(with_cert(&fx.wrong_host, fx.ca.cert, 0, none, &e), ERR_UNAVAILABLE);
	assert_int_equal(with_cert(&fx.expired, fx.ca.cert, 0, none, &e), ERR_UNAVAILABLE);
	/* And before a request, which may hold a credential, is sent. */
	fx.seen[0] = '\0';
	assert_int_equal(with_cert(&fx.cn_only, fx.ca.cert, 0, none, &e), ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "mismatch"));
	assert_string_equal(fx.seen, "");
	assert_int_equal(with_cert(&fx.cn_and_mail, fx.ca.cert, 0, none, &e), ERR_UNAVAILABLE);
	assert_int_equal(with_cert(&fx.leaf, fx.ca.cert, TLS1_1_VERSION, none, &e), ERR_UNAVAILABLE);
	assert_int_equal(with_cert(&fx.leaf, fx.ca.cert, TLS1_2_VERSION, none, &e), ERR_OK);
	/* No CA of its own: the system's anchors do not know ours. */
	struct httpc_response res;
	char url[128];
	snprintf(url, sizeof(url), "https://localhost:%u/json", tls_server_port(fx.server));
	struct httpc_request req = {.url = url, .timeout_ms = 20000, .max_bytes = 100};
	assert_int_equal(httpc_do(fx.http, &req, &res, &e), ERR_UNAVAILABLE);
	httpc_response_done(&res);
}

static void test_connections_are_not_shared_between_trust_anchors(void **state)
{
	(void)state;
	struct err e = {0};
	struct httpc_response res;
	assert_int_equal(code_of(fx.server, "/json", &e), ERR_OK);
	struct httpc_request req = {.ca_pem = slice_of(fx.other_ca.cert)};
	assert_int_equal(get(fx.server, "/json", req, &res, &e), ERR_UNAVAILABLE);
	httpc_response_done(&res);
	assert_int_equal(code_of(fx.server, "/json", &e), ERR_OK);
}

static void test_server_name_is_verified_instead_of_the_host(void **state)
{
	(void)state;
	struct err e = {0};
	struct httpc_request req = {.tls_server_name = "idp.example.com"};
	assert_int_equal(with_cert(&fx.wrong_host, fx.ca.cert, 0, req, &e), ERR_OK);
	assert_non_null(strstr(fx.seen, "Host: localhost:"));
	assert_int_equal(with_cert(&fx.leaf, fx.ca.cert, 0, req, &e), ERR_UNAVAILABLE);
}

static void test_client_certificates(void **state)
{
	(void)state;
	struct tls_options opt = {.cert = &fx.leaf, .client_ca = fx.ca.cert};
	struct tls_server *s = tls_server_start(&opt, handler, NULL);
	struct httpc_response res;
	struct err e = {0};
	assert_int_equal(get(s, "/json", (struct httpc_request){0}, &res, &e), ERR_UNAVAILABLE);
	httpc_response_done(&res);
	struct httpc_request req = {.client_cert_pem = slice_of(fx.client.cert),
	    .client_key_pem = slice_of(fx.client.key)};
	assert_int_equal(get(s, "/json", req, &res, &e), ERR_OK);
	httpc_response_done(&res);
	tls_server_stop(&s);
}

static void test_only_https_and_no_proxy(void **state)
{
	(void)state;
	struct err e = {0};
	struct httpc_response res;
	char with_user[128];
	snprintf(with_user, sizeof(with_user), "https://user:secret@localhost:%u/json",
	    tls_server_port(fx.server));
	const char *const urls[] = {"http://localhost:1/", "file:///etc/passwd", "gopher://localhost:1/",
	    "ftp://localhost:1/", "ldap://localhost:1/", "", "https://", "localhost:1", with_user};
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct httpc_request req = {.url = urls[i]};
		assert_int_equal(get(fx.server, "", req, &res, &e), ERR_INVALID);
		assert_null(strstr(e.msg, "secret"));
		httpc_response_done(&res);
	}
	struct httpc_request req = {.url = "file:///etc/passwd", .allow_http = true};
	assert_int_equal(get(fx.server, "", req, &res, &e), ERR_INVALID);
	httpc_response_done(&res);
	assert_int_equal(setenv("https_proxy", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(code_of(fx.server, "/json", &e), ERR_OK);
	unsetenv("https_proxy");
	unsetenv("ALL_PROXY");
}

static void test_nobody_listens(void **state)
{
	(void)state;
	struct err e = {0};
	struct tls_options opt = {.cert = &fx.leaf};
	struct tls_server *s = tls_server_start(&opt, handler, NULL);
	char url[128];
	snprintf(url, sizeof(url), "https://localhost:%u/", tls_server_port(s));
	tls_server_stop(&s);
	struct httpc_response res;
	assert_int_equal(
	    get(NULL, "", (struct httpc_request){.url = url}, &res, &e), ERR_UNAVAILABLE);
	httpc_response_done(&res);
	httpc_response_done(&res); /* twice does no harm */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_an_answer),
	    cmocka_unit_test(test_reads_headers_and_other_statuses),
	    cmocka_unit_test(test_sends_method_headers_and_body),
	    cmocka_unit_test(test_keeps_its_connection),
	    cmocka_unit_test(test_row51_bounds),
	    cmocka_unit_test(test_a_silent_resolver_holds_nobody_up),
	    cmocka_unit_test(test_can_be_cancelled),
	    cmocka_unit_test(test_row55_certificates),
	    cmocka_unit_test(test_connections_are_not_shared_between_trust_anchors),
	    cmocka_unit_test(test_server_name_is_verified_instead_of_the_host),
	    cmocka_unit_test(test_client_certificates),
	    cmocka_unit_test(test_only_https_and_no_proxy),
	    cmocka_unit_test(test_nobody_listens),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
