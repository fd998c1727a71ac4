/* Proves lists in pages and watches against answers that no healthy apiserver gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "tests/support/kube_server.h"

#define COLLECTION "/api/v1/namespaces"
#define LIST(meta, items) "{\"kind\":\"NamespaceList\",\"apiVersion\":\"v1\",\"metadata\":{" meta "},\"items\":" items "}"
#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\"}}"
#define EVENT(type, name) "{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name "\"}}}\n"
#define BAD(code, rest) "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":" #code rest "}}\n"

static struct buf seen;
static char large[(KUBE_LIST_MAX > KUBE_EVENT_MAX ? KUBE_LIST_MAX : KUBE_EVENT_MAX) + 2]; /* spaces; the server may still be sending them when a test is over */

static void note(void *ctx, json_t *item)
{
	(void)ctx;
	const json_t *meta = json_object_get(item, "metadata");
	buf_printf(&seen, "%s/%s/%s ", json_string_value(json_object_get(item, "apiVersion")),
	    json_string_value(json_object_get(item, "kind")), json_string_value(json_object_get(meta, "name")));
}

/* The verdict; what came is in SEEN. */
static enum kube_verdict list(struct kube *k, bool cached, const char *version)
{
	struct arena a;
	struct kube_answer out;
	const char *got;
	arena_init(&a, 0);
	buf_done(&seen);
	buf_init(&seen, (size_t)1 << 20);
	kube_list(k, COLLECTION, "labelSelector=a%3Db", cached, note, NULL, &a, &got, &out);
	if (!text_eq(got, version))
		fail_msg("version %s: %s", got ? got : "none", out.why.msg);
	assert_null(out.body);
	kube_answer_done(&out);
	arena_done(&a);
	return out.verdict;
}

/* The path of the Nth request. */
static const char *asked(size_t n)
{
	static char path[2048];
	path[0] = '\0';
	(void)sscanf(ks.requests[n], "%*s %2047s", path);
	return path;
}

static void test_pages(void **state)
{
	(void)state;
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT({.status = 200, .body = LIST("\"resourceVersion\":\"7\",\"continue\":\"a/b=&c\"", "[" ITEM("x") "," ITEM("y") "]")},
	    {.status = 200, .body = LIST("\"resourceVersion\":\"7\",\"continue\":\"d\"", "[]")},
	    {.status = 200,
		.body = LIST("\"resourceVersion\":\"7\",\"continue\":\"\"",
		    "[{\"apiVersion\":\"v2\",\"kind\":\"Own\",\"metadata\":{\"name\":\"z\"}}]")});
	assert_int_equal(list(k, true, "7"), KUBE_OK);
	assert_string_equal(buf_cstr(&seen), "v1/Namespace/x v1/Namespace/y v2/Own/z ");
	assert_int_equal(ks_asked(), 3);
	assert_string_equal(asked(0), COLLECTION "?limit=500&labelSelector=a%3Db&resourceVersion=0");
	assert_string_equal(asked(1), COLLECTION "?limit=500&labelSelector=a%3Db&continue=a%2Fb%3D%26c");
	assert_string_equal(asked(2), COLLECTION "?limit=500&labelSelector=a%3Db&continue=d");
	KS_SCRIPT({.status = 200, .body = LIST("\"resourceVersion\":\"8\"", "null")});
	assert_int_equal(list(k, false, "8"), KUBE_OK);
	assert_string_equal(asked(0), COLLECTION "?limit=500&labelSelector=a%3Db");
}

static void test_what_is_no_list(void **state)
{
	(void)state;
	static const char *const bodies[] = {
	    "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"7\"}}",
	    "{\"kind\":\"NamespaceList\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}",
	    "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}",
	    LIST("\"resourceVersion\":\"7\"", "{}"),
	    LIST("\"resourceVersion\":\"7\"", "[7]"),
	    LIST("\"resourceVersion\":7", "[]"),
	    LIST("", "[]"),
	    "{}",
	    /* another collection's, as a proxy may mix them up */
	    "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}",
	    /* cut short: what is not in it is not gone */
	    LIST("\"resourceVersion\":\"7\",\"remainingItemCount\":3", "[]"),
	};
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		KS_SCRIPT({.status = 200, .body = bodies[i]});
		if (list(k, true, NULL) != KUBE_LATER || seen.len || ks_asked() != 1)
			fail_msg("%s", bodies[i]);
	}
}

static void test_pages_in_a_circle(void **state)
{
	(void)state;
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT({.status = 200, .body = LIST("\"resourceVersion\":\"7\",\"continue\":\"a\"", "[]")},
	    {.status = 200, .body = LIST("\"resourceVersion\":\"7\",\"continue\":\"a\"", "[]")},
	    {.status = 200, .body = LIST("\"resourceVersion\":\"7\"", "[]")});
	assert_int_equal(list(k, true, NULL), KUBE_LATER);
	assert_int_equal(ks_asked(), 2);
}

/* What changed between them is in neither: the watch has to begin before the first one. */
static void test_pages_that_disagree(void **state)
{
	(void)state;
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT({.status = 200, .body = LIST("\"resourceVersion\":\"7\",\"continue\":\"a\"", "[]")},
	    {.status = 200, .body = LIST("\"resourceVersion\":\"9\",\"continue\":\"b\"", "[]")},
	    {.status = 200, .body = LIST("\"resourceVersion\":\"8\"", "[]")});
	assert_int_equal(list(k, true, "7"), KUBE_OK);
}

static void test_an_expired_page(void **state)
{
	(void)state;
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT({.status = 200, .body = LIST("\"resourceVersion\":\"7\",\"continue\":\"a\"", "[" ITEM("x") "]")},
	    {.status = 410});
	assert_int_equal(list(k, true, NULL), KUBE_GONE);
	assert_string_equal(buf_cstr(&seen), "v1/Namespace/x ");
}

/* The apiserver's cache knows no pages: all at once may be too much. */
static void test_too_much_at_once(void **state)
{
	(void)state;
	size_t len = KUBE_LIST_MAX + 1;
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT({.status = 200, .body = large, .len = len}, {.status = 200, .body = large, .len = len},
	    {.status = 200, .body = LIST("\"resourceVersion\":\"7\",\"continue\":\"a\"", "[" ITEM("x") "]")},
	    {.status = 200, .body = large, .len = len},
	    {.status = 200, .body = LIST("\"resourceVersion\":\"7\"", "[" ITEM("y") "]")});
	assert_int_equal(list(k, true, "7"), KUBE_OK);
	assert_string_equal(buf_cstr(&seen), "v1/Namespace/x v1/Namespace/y ");
	assert_non_null(strstr(asked(0), "limit=500&labelSelector=a%3Db&resourceVersion=0"));
	assert_string_equal(asked(1), COLLECTION "?limit=500&labelSelector=a%3Db");
	assert_string_equal(asked(2), COLLECTION "?limit=125&labelSelector=a%3Db");
	assert_string_equal(asked(3), COLLECTION "?limit=500&labelSelector=a%3Db&continue=a");
	assert_string_equal(asked(4), COLLECTION "?limit=125&labelSelector=a%3Db&continue=a");
	/* Where one object alone is too much, that is the end of it. */
	KS_SCRIPT({.status = 200, .body = large, .len = len});
	assert_int_equal(list(k, true, NULL), KUBE_LATER);
	assert_int_equal(ks_asked(), 6);
}

/* --- watches --- */

static void on_event(void *ctx, const char *type, json_t *object)
{
	(void)ctx;
	const json_t *meta = json_object_get(object, "metadata");
	buf_printf(&seen, "%s:%s ", type ? type : "OPEN",
	    object ? json_string_value(json_object_get(meta, "name")) : "");
}

static enum kube_verdict watch(struct kube *k, struct kube_answer *out)
{
	buf_done(&seen);
	buf_init(&seen, (size_t)1 << 20);
	kube_watch(k, COLLECTION, "labelSelector=a", "1&2", 300, on_event, NULL, out);
	assert_null(out->body);
	return out->verdict;
}

static void test_streams(void **state)
{
	(void)state;
	static const struct {
		struct tls_reply reply;
		enum kube_verdict verdict;
		const char *seen, *finding;
		int64_t wait;
	} rows[] = {
	    {{.status = 200, .body = ""}, KUBE_OK, "OPEN: ", "", -1},
	    {{.status = 200, .body = EVENT("ADDED", "a") EVENT("MODIFIED", "a") "\n" EVENT("BOOKMARK", "") EVENT("DELETED", "a")},
		KUBE_OK, "OPEN: ADDED:a MODIFIED:a BOOKMARK: DELETED:a ", "", -1},
	    {{.status = 200, .body = EVENT("ADDED", "a") BAD(410, ",\"reason\":\"Expired\"") EVENT("ADDED", "b")}, KUBE_GONE,
		"OPEN: ADDED:a ", "HTTP 410", -1},
	    {{.status = 200, .body = BAD(500, ",\"message\":\"etcd went\"")}, KUBE_LATER, "OPEN: ", "HTTP 500: etcd went", -1},
	    {{.status = 200, .body = BAD(504, ",\"details\":{\"retryAfterSeconds\":9}")}, KUBE_LATER, "OPEN: ", "HTTP 504", 9},
	    {{.status = 200, .body = BAD(403, "")}, KUBE_REFUSED, "OPEN: ", "HTTP 403", -1},
	    {{.status = 200, .body = BAD(200, "")}, KUBE_LATER, "OPEN: ", "HTTP 200", -1},
	    {{.status = 200, .body = EVENT("ADDED", "a") "{\"type\":\"ADD"}, KUBE_LATER, "OPEN: ADDED:a ", "within an event", -1},
	    {{.status = 200, .body = EVENT("ADDED", "a"), .how = TLS_CUT}, KUBE_LATER, "OPEN: ADDED:a ", "", -1},
	    {{.status = 200, .body = "<html>\n"}, KUBE_LATER, "OPEN: ", "an event of the watch: not JSON", -1},
	    {{.status = 200, .body = "{\"type\":\"ADDED\"}\n"}, KUBE_LATER, "OPEN: ", "without type or object", -1},
	    {{.status = 200, .body = "{\"type\":7,\"object\":{}}\n"}, KUBE_LATER, "OPEN: ", "without type or object", -1},
	    {{.status = 410}, KUBE_GONE, "", "HTTP 410", -1},
	    {{.status = 403, .body = "{\"message\":\"no\"}"}, KUBE_REFUSED, "", "HTTP 403: no", -1},
	    {{.status = 429, .headers = "Retry-After: 5\r\n"}, KUBE_LATER, "", "HTTP 429", 5},
	    {{.how = TLS_CUT, .status = 429}, KUBE_LATER, "", "", -1},
	};
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kube_answer out;
		ks_script(&rows[i].reply, 1);
		if (watch(k, &out) != rows[i].verdict || strcmp(buf_cstr(&seen), rows[i].seen) != 0 ||
		    out.wait != rows[i].wait || !strstr(out.why.msg, rows[i].finding))
			fail_msg("row %zu: %d %s %s", i, out.verdict, buf_cstr(&seen), out.why.msg);
	}
	assert_string_equal(asked(0), COLLECTION "?watch=1&allowWatchBookmarks=true&timeoutSeconds=300"
						 "&resourceVersion=1%262&labelSelector=a");
}

static void test_an_event_without_an_end(void **state)
{
	(void)state;
	struct kube_answer out;
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	size_t len = KUBE_EVENT_MAX + 1;
	KS_SCRIPT({.status = 200, .body = large, .len = len});
	assert_int_equal(watch(k, &out), KUBE_LATER);
	assert_non_null(strstr(out.why.msg, "longer than"));
}

static void test_silence(void **state)
{
	(void)state;
	struct kube_answer out;
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){.idle_ms = 300});
	KS_SCRIPT({.how = TLS_HANG});
	assert_int_equal(watch(k, &out), KUBE_LATER);
	assert_int_equal(out.why.code, ERR_TIMEOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pages),
	    cmocka_unit_test(test_what_is_no_list),
	    cmocka_unit_test(test_pages_in_a_circle),
	    cmocka_unit_test(test_pages_that_disagree),
	    cmocka_unit_test(test_an_expired_page),
	    cmocka_unit_test(test_too_much_at_once),
	    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_an_event_without_an_end),
	    cmocka_unit_test(test_silence),
	};
	memset(large, ' ', sizeof(large) - 1);
	int rc = cmocka_run_group_tests(tests, ks_setup, ks_teardown);
	buf_done(&seen);
	return rc;
}
