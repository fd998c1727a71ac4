/* Proves what the API client makes of answers, whatever is answered: objects, pauses, lists in pages, watches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "tests/support/kube_server.h"

#define VIEW "{\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"view\"}}"
#define PATH "/apis/rbac.authorization.k8s.io/v1/clusterroles/view"
#define STATUS(code, rest) "{\"kind\":\"Status\",\"code\":" #code "," rest "}"

static void test_something_else_that_answers_200(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		bool good;
	} rows[] = {
	    {VIEW, true},
	    {"{\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"edit\"}}", false},
	    {"{\"kind\":\"Role\",\"metadata\":{\"name\":\"view\"}}", false},
	    {"{\"metadata\":{\"name\":\"view\"}}", false},
	    {"{\"kind\":\"ClusterRole\"}", false},
	    {"{}", false},
	    {"[]", false},
	    {"<html>log in first</html>", false},
	    {"", false},
	};
	void (*const calls[])(struct kube *, const char *, const json_t *, struct kube_answer *) = {
	    kube_get, kube_create, kube_put};
	AUTO(jsonx_unref) json_t *view = ks_json(VIEW);
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t c = 0; c < ARRAY_LEN(calls) + 1; c++) {
			struct kube_answer a;
			KS_SCRIPT({.status = 200, .body = rows[i].body});
			if (c < ARRAY_LEN(calls))
				calls[c](k, PATH, view, &a);
			else
				kube_apply(k, PATH, view, "7", &a);
			if (a.verdict != (rows[i].good ? KUBE_OK : KUBE_LATER) || (a.body != NULL) != rows[i].good)
				fail_msg("%s: %d", rows[i].body, a.verdict);
			kube_answer_done(&a);
		}
	}
}

static void test_what_an_answer_says(void **state)
{
	(void)state;
	static const struct {
		struct tls_reply reply;
		enum kube_verdict verdict;
		int64_t wait;
		const char *reason, *cause, *text;
	} rows[] = {
	    {{.status = 404, .body = "404 page not found"}, KUBE_REFUSED, -1, "", "",
		"HTTP 404: the apiserver does not serve this; for userrecords: kubectl apply -f deploy/rbac-sync/crd.yaml"},
	    {{.status = 404, .body = STATUS(404, "\"reason\":\"NotFound\",\"message\":\"not there\"")}, KUBE_ABSENT, -1,
		"NotFound", "", "HTTP 404: not there"},
	    {{.status = 404, .body = "{\"message\":\"no backend\"}"}, KUBE_REFUSED, -1, "", "", "HTTP 404: no backend"},
	    {{.status = 429, .headers = "Retry-After: 3\r\n", .body = ""}, KUBE_LATER, 3, "", "", "HTTP 429"},
	    {{.status = 503, .headers = "Retry-After: 86400\r\n", .body = "<html>"}, KUBE_LATER, 300, "", "", "HTTP 503"},
	    {{.status = 504, .body = STATUS(504,
				"\"reason\":\"Timeout\",\"details\":{\"retryAfterSeconds\":1,\"causes\":[{\"reason\":"
				"\"ResourceVersionTooLarge\"}]}")},
		KUBE_LATER, 1, "Timeout", "ResourceVersionTooLarge", "HTTP 504"},
	    {{.status = 403, .body = STATUS(403, "\"reason\":\"Forbidden\\u202e\",\"message\":\"a\\nb\"")}, KUBE_REFUSED, -1,
		"", "", "HTTP 403: (message withheld)"},
	    {{.status = 410, .body = STATUS(410, "\"reason\":\"Expired\",\"code\":410")}, KUBE_GONE, -1, "", "",
		"HTTP 410"}, /* a key twice: no object */
	    {{.status = 409, .body = STATUS(409, "\"reason\":7,\"details\":[],\"message\":{}")}, KUBE_CONFLICT, -1, "", "",
		"HTTP 409"},
	};
	AUTO(jsonx_unref) json_t *view = ks_json(VIEW);
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kube_answer a;
		ks_script(&rows[i].reply, 1);
		kube_get(k, PATH, view, &a);
		if (a.verdict != rows[i].verdict || a.wait != rows[i].wait || a.body ||
		    strcmp(a.reason, rows[i].reason) != 0 || strcmp(a.cause, rows[i].cause) != 0 ||
		    strcmp(a.why.msg, rows[i].text) != 0 || a.status != rows[i].reply.status)
			fail_msg("row %zu: %d %lld %s %s %s", i, a.verdict, (long long)a.wait, a.reason, a.cause, a.why.msg);
	}
}

/* Nothing is struck off an inventory because of a page that somebody in between answers. */
static void test_what_is_no_word_about_a_removal(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *body;
		enum kube_verdict verdict;
	} rows[] = {
	    {200, "{\"kind\":\"Status\",\"status\":\"Success\"}", KUBE_OK},
	    {200, "{\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"view\",\"uid\":\"u-1\"}}", KUBE_OK},
	    {200, "{\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"view\",\"uid\":\"u-2\"}}", KUBE_LATER},
	    {200, "{\"kind\":\"Status\",\"status\":\"Failure\"}", KUBE_LATER},
	    {200, "{}", KUBE_LATER},
	    {202, "{\"ok\":true}", KUBE_LATER},
	    {404, STATUS(404, "\"reason\":\"NotFound\""), KUBE_ABSENT},
	    {404, "<html>no such page</html>", KUBE_REFUSED},
	    {404, "", KUBE_REFUSED},
	};
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kube_answer a;
		KS_SCRIPT({.status = rows[i].status, .body = rows[i].body});
		kube_delete(k, PATH, "u-1", "7", &a);
		if (a.verdict != rows[i].verdict || (a.body != NULL) != (rows[i].verdict == KUBE_OK))
			fail_msg("%d %s: %d", rows[i].status, rows[i].body, a.verdict);
		kube_answer_done(&a);
	}
}

static void test_an_object_of_another_namespace(void **state)
{
	(void)state;
	struct kube_answer a;
	AUTO(jsonx_unref) json_t *want =
	    ks_json("{\"kind\":\"LimitRange\",\"metadata\":{\"name\":\"default\",\"namespace\":\"a\"}}");
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT(
	    {.status = 200, .body = "{\"kind\":\"LimitRange\",\"metadata\":{\"name\":\"default\",\"namespace\":\"b\"}}"});
	kube_get(k, PATH, want, &a);
	assert_int_equal(a.verdict, KUBE_LATER);
	kube_answer_done(&a);
}

/* Names of users stand in it, as long as they like and in any letters. */
static void test_a_long_sentence_is_cut_between_characters(void **state)
{
	(void)state;
	AUTO(jsonx_unref) json_t *view = ks_json(VIEW);
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	for (size_t shift = 0; shift < 3; shift++) {
		char body[2048] = "{\"kind\":\"Status\",\"message\":\"";
		size_t n = strlen(body);
		memset(body + n, 'a', shift);
		for (n += shift; n < 1000; n += 3)
			memcpy(body + n, "\xe6\x97\xa5", 3);
		memcpy(body + n, "\"}", 3);
		struct kube_answer a;
		KS_SCRIPT({.status = 422, .body = body});
		kube_get(k, PATH, view, &a);
		assert_true(strlen(a.why.msg) > 390);
		assert_true(slice_printable(slice_of(a.why.msg)));
		kube_answer_done(&a);
	}
}

/* A tenant may write a NUL where he may write; the rest of us must be able to read on. */
static void test_a_nul_in_a_text_of_others(void **state)
{
	(void)state;
	AUTO(jsonx_unref) json_t *view = ks_json(VIEW);
	struct kube_answer a;
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT({.status = 200,
	    .body = "{\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"view\",\"annotations\":{\"a\":\"x\\u0000y\\\\u0000\"}}}"});
	kube_get(k, PATH, view, &a);
	assert_int_equal(a.verdict, KUBE_OK);
	const json_t *notes = json_object_get(json_object_get(a.body, "metadata"), "annotations");
	assert_string_equal(json_string_value(json_object_get(notes, "a")), "x\xEF\xBF\xBDy\\u0000");
	kube_answer_done(&a);
}

/* --- pauses --- */

struct caller {
	struct kube *k;
	enum kube_verdict verdict;
};

static void *call(void *arg)
{
	struct caller *c = arg;
	struct kube_answer a;
	AUTO(jsonx_unref) json_t *view = ks_json(VIEW);
	kube_get(c->k, PATH, view, &a);
	c->verdict = a.verdict;
	kube_answer_done(&a);
	return NULL;
}

static void test_one_is_told_to_wait_and_all_do(void **state)
{
	(void)state;
	static const struct {
		struct tls_reply reply;
		bool pauses;
	} rows[] = {
	    {{.status = 429, .headers = "Retry-After: 200\r\n"}, true},
	    {{.status = 503, .headers = "Retry-After: 200\r\n"}, true},
	    {{.status = 429}, false},
	    {{.status = 500}, false},
	    {{.status = 403, .headers = "Retry-After: 200\r\n"}, false},
	    {{.status = 200, .headers = "Retry-After: 200\r\n", .body = VIEW}, false},
	    {{.status = 503, .headers = "Retry-After: 0\r\n"}, false},
	};
	ks_configure("token: t");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kube_gate *g = kube_gate_new(1000, 1000);
		struct caller one = {.k = ks_open((struct kube_options){.gate = g})};
		struct caller other = {.k = ks_open((struct kube_options){.gate = g})};
		pthread_t t;
		ks_script((const struct tls_reply[]){rows[i].reply, {.status = 200, .body = VIEW}}, 2);
		call(&one);
		int64_t pause = kube_gate_pause(g);
		if ((pause != 0) != rows[i].pauses)
			fail_msg("row %zu", i);
		assert_int_equal(pthread_create(&t, NULL, call, &other), 0);
		if (rows[i].pauses) {
			assert_int_equal(ks_asked(), 1);
			clock_advance(pause - clock_mono());
		}
		pthread_join(t, NULL);
		assert_int_equal(other.verdict, KUBE_OK);
		kube_free(&one.k);
		kube_free(&other.k);
		kube_gate_free(&g);
	}
}

static void test_a_request_can_be_given_up(void **state)
{
	(void)state;
	struct cancel cancel;
	struct kube_gate *g = kube_gate_new(1, 1);
	cancel_init(&cancel);
	cancel_ask(&cancel);
	ks_configure("token: t");
	KS_SCRIPT({.how = TLS_HANG});
	struct caller c = {.k = ks_open((struct kube_options){.cancel = &cancel, .timeout_ms = 600000})};
	call(&c);
	assert_int_equal(c.verdict, KUBE_LATER);
	kube_free(&c.k);
	c.k = ks_open((struct kube_options){.cancel = &cancel, .gate = g});
	KS_SCRIPT({.status = 200, .body = VIEW});
	call(&c);
	assert_int_equal(c.verdict, KUBE_LATER);
	assert_int_equal(ks_asked(), 0);
	kube_free(&c.k);
	kube_gate_free(&g);
	cancel_done(&cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_something_else_that_answers_200),
	    cmocka_unit_test(test_what_an_answer_says),
	    cmocka_unit_test(test_what_is_no_word_about_a_removal),
	    cmocka_unit_test(test_an_object_of_another_namespace),
	    cmocka_unit_test(test_a_long_sentence_is_cut_between_characters),
	    cmocka_unit_test(test_a_nul_in_a_text_of_others),
	    cmocka_unit_test(test_one_is_told_to_wait_and_all_do),
	    cmocka_unit_test(test_a_request_can_be_given_up),
	};
	return cmocka_run_group_tests(tests, ks_setup, ks_teardown);
}
