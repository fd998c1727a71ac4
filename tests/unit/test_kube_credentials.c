/* Proves that rotated credentials are used: tokens, certificates on connections that are kept, plugins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "common/clock.h"
#include "tests/support/kube_server.h"

#define VIEW "{\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"view\"}}"
#define OK {.status = 200, .body = VIEW}
#define MINUTE (60 * CLOCK_SECOND)

static enum kube_verdict get(struct kube *k)
{
	AUTO(jsonx_unref) json_t *view = ks_json(VIEW);
	struct kube_answer a;
	kube_get(k, "/apis/rbac.authorization.k8s.io/v1/clusterroles/view", view, &a);
	if (a.verdict != KUBE_OK)
		print_message("%s\n", a.why.msg);
	kube_answer_done(&a);
	return a.verdict;
}

/* The Nth request carried TOKEN. */
static bool shown(size_t n, const char *token)
{
	char line[256];
	snprintf(line, sizeof(line), "\r\nAuthorization: Bearer %s\r\n", token);
	return strstr(ks.requests[n], line) != NULL;
}

static void test_a_token_is_read_again_each_minute(void **state)
{
	(void)state;
	ks_configure("tokenFile: token");
	ks_put("token", " first\n");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT(OK);
	assert_int_equal(get(k), KUBE_OK);
	ks_put("token", "second\n");
	assert_int_equal(get(k), KUBE_OK);
	clock_advance(MINUTE);
	assert_int_equal(get(k), KUBE_OK);
	ks_put("token", "\n"); /* in the midst of a careless rotation */
	clock_advance(MINUTE);
	assert_int_equal(get(k), KUBE_OK);
	assert_true(shown(0, "first") && shown(1, "first") && shown(2, "second") && shown(3, "second"));
	unlink(ks_file("token"));
	AUTO(kube_free) struct kube *fresh = ks_open((struct kube_options){0});
	assert_int_equal(get(fresh), KUBE_LATER);
	assert_int_equal(ks_asked(), 4); /* never without */
}

static void test_a_401_reads_all_again_once(void **state)
{
	(void)state;
	ks_configure("token: first");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	ks_configure("token: second");
	KS_SCRIPT({.status = 401}, OK);
	assert_int_equal(get(k), KUBE_OK);
	assert_true(shown(0, "first") && shown(1, "second"));
	KS_SCRIPT({.status = 401});
	assert_int_equal(get(k), KUBE_LATER);
	assert_int_equal(ks_asked(), 2);
	ks_put("config", "nonsense");
	KS_SCRIPT({.status = 401}, OK);
	assert_int_equal(get(k), KUBE_LATER);
	assert_int_equal(get(k), KUBE_OK); /* the good one stays */
	assert_true(shown(1, "second"));
}

static void test_a_rotated_certificate_ends_kept_connections(void **state)
{
	(void)state;
	tls_server_stop(&ks.server);
	ks_start(ks.ca.cert);
	ks_put("client.crt", ks.client.cert);
	ks_put("client.key", ks.client.key);
	ks_configure("client-certificate: client.crt, client-key: client.key");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT(OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(get(k), KUBE_OK);
	unsigned before = tls_server_connections(ks.server);
	assert_int_equal(before, 1);
	ks_put("client.crt", ks.next_client.cert);
	ks_put("client.key", ks.next_client.key);
	assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(tls_server_connections(ks.server), 1);
	clock_advance(MINUTE);
	assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(tls_server_connections(ks.server), 2);
	/* A 401 does so at once: the connection is as old as its certificate. */
	KS_SCRIPT({.status = 401}, OK);
	assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(tls_server_connections(ks.server), 3);
	tls_server_stop(&ks.server);
	ks_start(NULL);
}

static void rotate(void *ctx, const char *type, json_t *object)
{
	(void)ctx, (void)object;
	assert_null(type); /* the server has taken the watch */
	ks_put("client.crt", ks.next_client.cert);
	ks_put("client.key", ks.next_client.key);
	clock_advance(MINUTE);
}

static void test_a_rotated_certificate_ends_a_watch_in_order(void **state)
{
	(void)state;
	struct kube_answer a;
	ks_put("client.crt", ks.client.cert);
	ks_put("client.key", ks.client.key);
	ks_configure("client-certificate: client.crt, client-key: client.key");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){.idle_ms = 3600 * 1000});
	KS_SCRIPT({.status = 200, .how = TLS_DRIP});
	kube_watch(k, "/api/v1/namespaces", NULL, "1", 600, rotate, NULL, &a);
	assert_int_equal(a.verdict, KUBE_OK);
}

/* --- on demand --- */

static atomic_uint renewals;

static void test_all_is_read_anew_when_somebody_asks(void **state)
{
	(void)state;
	ks_configure("token: first");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){.renewals = &renewals});
	KS_SCRIPT(OK);
	assert_int_equal(get(k), KUBE_OK);
	unsigned before = tls_server_connections(ks.server);
	ks_configure("token: second");
	assert_int_equal(get(k), KUBE_OK);
	atomic_fetch_add(&renewals, 1);
	assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(get(k), KUBE_OK);
	assert_true(shown(1, "first") && shown(2, "second") && shown(3, "second"));
	assert_int_equal(tls_server_connections(ks.server), before + 1);
	ks_put("config", "nonsense");
	atomic_fetch_add(&renewals, 1);
	assert_int_equal(get(k), KUBE_OK); /* the good one stays */
	assert_true(shown(4, "second"));
}

static void ask(void *ctx, const char *type, json_t *object)
{
	(void)ctx, (void)object;
	assert_null(type);
	atomic_fetch_add(&renewals, 1);
}

static void test_a_watch_ends_in_order_when_somebody_asks(void **state)
{
	(void)state;
	struct kube_answer a;
	ks_configure("token: first");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){.renewals = &renewals, .idle_ms = 3600 * 1000});
	KS_SCRIPT({.status = 200, .how = TLS_DRIP});
	kube_watch(k, "/api/v1/namespaces", NULL, "1", 600, ask, NULL, &a);
	assert_int_equal(a.verdict, KUBE_OK);
}

/* --- plugins --- */

#define CREDENTIAL "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{"

/* A plugin that prints the file "says" and notes that it ran. */
static void make_plugin(void)
{
	char text[512];
	snprintf(text, sizeof(text), "#!/bin/sh\ncat %s/says\necho x >>%s/runs\n", ks.dir, ks.dir);
	ks_put("plugin", text);
	assert_int_equal(chmod(ks_file("plugin"), 0700), 0);
	ks_put("runs", "");
	ks_configure("exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never}");
}

static long runs(void)
{
	struct stat st;
	assert_int_equal(stat(ks_file("runs"), &st), 0);
	return st.st_size / 2;
}

/* It prints TOKEN, good for AGE from now; 0: without end. */
static void says(const char *token, int64_t age)
{
	char text[512], when[CLOCK_RFC3339_LEN];
	clock_rfc3339(clock_now() + age, when);
	snprintf(text, sizeof(text), CREDENTIAL "\"token\":\"%s\"%s%s%s}}", token, age ? ",\"expirationTimestamp\":\"" : "",
	    age ? when : "", age ? "\"" : "");
	ks_put("says", text);
}

static void test_a_plugin_is_asked_when_it_must_be(void **state)
{
	(void)state;
	make_plugin();
	says("one", 10 * MINUTE);
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT(OK);
	assert_int_equal(get(k), KUBE_OK);
	clock_advance(9 * MINUTE);
	assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(runs(), 1);
	says("two", 0);
	clock_advance(MINUTE - 9 * CLOCK_SECOND); /* not yet expired, but about to */
	assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(runs(), 2);
	assert_true(shown(0, "one") && shown(1, "one") && shown(2, "two"));
	clock_advance(1000 * MINUTE);
	assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(runs(), 2);
	says("three", 0);
	KS_SCRIPT({.status = 401}, OK);
	assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(runs(), 3);
	assert_true(shown(0, "two") && shown(1, "three"));
}

static void test_one_that_gives_what_is_about_to_expire_is_not_run_each_time(void **state)
{
	(void)state;
	make_plugin();
	says("short", 8 * CLOCK_SECOND);
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT(OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(runs(), 1);
	says("next", 8 * CLOCK_SECOND);
	clock_advance(6 * CLOCK_SECOND);
	assert_int_equal(get(k), KUBE_OK);
	assert_true(shown(3, "next"));
}

static void test_a_plugin_that_fails_sends_nothing(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "{}", CREDENTIAL "\"token\":\"a\\r\\nX: y\"}}"};
	make_plugin();
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT(OK);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		ks_put("says", texts[i]);
		assert_int_equal(get(k), KUBE_LATER);
	}
	assert_int_equal(ks_asked(), 0);
	says("good", 0);
	assert_int_equal(get(k), KUBE_OK);
}

static void test_what_cannot_be_read_anew_stays_as_it_was(void **state)
{
	(void)state;
	make_plugin();
	says("good", 10 * MINUTE);
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){.renewals = &renewals});
	KS_SCRIPT(OK);
	assert_int_equal(get(k), KUBE_OK);
	ks_put("says", "its identity provider does not answer");
	atomic_fetch_add(&renewals, 1);
	assert_int_equal(get(k), KUBE_OK);
	assert_int_equal(runs(), 2);
	ks_configure("tokenFile: token");
	unlink(ks_file("token"));
	atomic_fetch_add(&renewals, 1);
	assert_int_equal(get(k), KUBE_OK);
	assert_true(shown(1, "good") && shown(2, "good"));
	ks_put("token", "back");
	atomic_fetch_add(&renewals, 1);
	assert_int_equal(get(k), KUBE_OK);
	assert_true(shown(3, "back"));
}

static void test_a_plugin_may_give_a_certificate(void **state)
{
	(void)state;
	tls_server_stop(&ks.server);
	ks_start(ks.ca.cert);
	make_plugin();
	json_t *doc = json_pack("{s:s, s:s, s:{s:s, s:s}}", "kind", "ExecCredential", "apiVersion",
	    "client.authentication.k8s.io/v1", "status", "clientCertificateData", ks.client.cert, "clientKeyData",
	    ks.client.key);
	char *text = json_dumps(doc, JSON_COMPACT);
	ks_put("says", text);
	free(text);
	json_decref(doc);
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT(OK);
	assert_int_equal(get(k), KUBE_OK);
	assert_null(strstr(ks.requests[0], "Authorization"));
	tls_server_stop(&ks.server);
	ks_start(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_token_is_read_again_each_minute),
	    cmocka_unit_test(test_a_401_reads_all_again_once),
	    cmocka_unit_test(test_a_rotated_certificate_ends_kept_connections),
	    cmocka_unit_test(test_a_rotated_certificate_ends_a_watch_in_order),
	    cmocka_unit_test(test_all_is_read_anew_when_somebody_asks),
	    cmocka_unit_test(test_a_watch_ends_in_order_when_somebody_asks),
	    cmocka_unit_test(test_a_plugin_is_asked_when_it_must_be),
	    cmocka_unit_test(test_one_that_gives_what_is_about_to_expire_is_not_run_each_time),
	    cmocka_unit_test(test_a_plugin_that_fails_sends_nothing),
	    cmocka_unit_test(test_what_cannot_be_read_anew_stays_as_it_was),
	    cmocka_unit_test(test_a_plugin_may_give_a_certificate),
	};
	return cmocka_run_group_tests(tests, ks_setup, ks_teardown);
}
