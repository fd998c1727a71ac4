/* Proves what a watch does when it ends, however it ends: where it goes on, when it lists anew, what it says of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "rbac-sync/watch.h"
#include "tests/support/kube_server.h"

#define LIST(version) "{\"kind\":\"NamespaceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[{\"metadata\":{\"name\":\"n\"}}]}"
#define EVENT(type, version) "{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"n\",\"resourceVersion\":\"" version "\"}}}\n"
#define MINUTE (60 * CLOCK_SECOND)
/* A deadline that only a failure reaches. */
#define PATIENCE_MS 60000

/* --- a store that notes what it is told --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct buf told;

static void note(const char *word, const json_t *object)
{
	const json_t *meta = json_object_get(object, "metadata");
	const char *version = json_string_value(json_object_get(meta, "resourceVersion"));
	pthread_mutex_lock(&lock);
	buf_printf(&told, "%s%s ", word, version ? version : "");
	pthread_mutex_unlock(&lock);
}

void store_list_begin(struct store *s, enum object_kind kind)
{
	(void)s, (void)kind;
	note("begin", NULL);
}

void store_list_end(struct store *s, enum object_kind kind)
{
	(void)s, (void)kind;
	note("end", NULL);
}

void store_put(struct store *s, enum object_kind kind, const json_t *object)
{
	(void)s, (void)kind;
	note("put", object);
}

void store_remove(struct store *s, enum object_kind kind, const json_t *object)
{
	(void)s, (void)kind;
	note("remove", object);
}

/* --- */

static void forget(void)
{
	pthread_mutex_lock(&lock);
	told.len = 0;
	pthread_mutex_unlock(&lock);
}

static struct watch *start(void)
{
	forget();
	ks_configure("token: t");
	return watch_start(ks_open((struct kube_options){.idle_ms = 1000000000}), NULL, KIND_NAMESPACE, "a=b,c");
}

/* Waits for the Nth request, moving the clock on over the pauses; its path. */
static const char *request(size_t n)
{
	static char path[2048];
	for (int i = 0; ks_asked() <= n; i++) {
		assert_true(i < PATIENCE_MS / 10);
		usleep(10000);
		clock_advance(5 * CLOCK_SECOND);
	}
	pthread_mutex_lock(&ks.lock);
	path[0] = '\0';
	(void)sscanf(ks.requests[n], "%*s %2047s", path);
	pthread_mutex_unlock(&ks.lock);
	return path;
}

static double restarts(const char *reason)
{
	char labels[128];
	snprintf(labels, sizeof(labels), "resource=\"namespaces\",reason=\"%s\"", reason);
	return metric_value(metrics_counter("portcullis_sync_watch_restarts_total", "", labels));
}

#define FIRST "/api/v1/namespaces?limit=500&labelSelector=a%3Db%2Cc&resourceVersion=0"
#define QUORUM "/api/v1/namespaces?limit=500&labelSelector=a%3Db%2Cc"
#define FROM(version) "&resourceVersion=" version "&labelSelector=a%3Db%2Cc"

static void test_where_it_goes_on(void **state)
{
	(void)state;
	static const struct {
		struct tls_reply replies[4]; /* to the requests after the first list */
		const char *paths[4];	     /* how these requests end; NULL: not looked at */
		const char *reason;
	} rows[] = {
	    /* closed in order, after events: from the last one on, bookmarks too */
	    {{{.status = 200, .body = EVENT("ADDED", "8") EVENT("BOOKMARK", "9")}, {.status = 500}}, {FROM("7"), FROM("9")},
		"closed"},
	    {{{.status = 200, .body = EVENT("ADDED", "8"), .how = TLS_CUT}, {.status = 500}}, {FROM("7"), FROM("8")},
		"unavailable"},
	    {{{.status = 500}, {.status = 500}}, {FROM("7"), FROM("7")}, "unavailable"},
	    {{{.status = 403}, {.status = 500}}, {FROM("7"), FROM("7")}, "refused"},
	    /* a version that is none: bookmarks may say anything */
	    {{{.status = 200, .body = EVENT("BOOKMARK", "x y")}, {.status = 400}, {.status = 200, .body = LIST("20")},
		 {.status = 500}},
		{FROM("7"), FROM("x%20y"), QUORUM, FROM("20")}, "refused"},
	    /* too old, one way or the other: a list of what is there now, not of what a cache remembers */
	    {{{.status = 410}, {.status = 200, .body = LIST("20")}, {.status = 500}}, {FROM("7"), QUORUM, FROM("20")},
		"expired"},
	    {{{.status = 200, .body = "{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n"},
		 {.status = 200, .body = LIST("20")}, {.status = 500}},
		{FROM("7"), QUORUM, FROM("20")}, "expired"},
	    /* the list fails too: it stays a list, still of now */
	    {{{.status = 410}, {.status = 500}, {.status = 410}, {.status = 200, .body = LIST("20")}},
		{FROM("7"), QUORUM, QUORUM, QUORUM}, "expired"},
	    {{{.status = 504, .body = "{\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}]}}"},
		 {.status = 200, .body = LIST("5")}, {.status = 500}},
		{FROM("7"), QUORUM, FROM("5")}, "tooLarge"},
	    {{{.status = 504}, {.status = 500}}, {FROM("7"), FROM("7")}, "unavailable"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tls_reply all[6] = {{.status = 200, .body = LIST("7")}};
		memcpy(all + 1, rows[i].replies, sizeof(rows[i].replies));
		all[5] = (struct tls_reply){.status = 500};
		double before = restarts(rows[i].reason);
		ks_script(all, 6);
		struct watch *w = start();
		assert_string_equal(request(0), FIRST);
		for (size_t n = 0; n < 4 && rows[i].paths[n]; n++) {
			const char *path = request(n + 1);
			size_t len = strlen(path), want = strlen(rows[i].paths[n]);
			if (len < want || strcmp(path + len - want, rows[i].paths[n]) != 0)
				fail_msg("row %zu, request %zu: %s", i, n + 1, path);
		}
		watch_stop(&w);
		assert_null(w);
		if (restarts(rows[i].reason) <= before)
			fail_msg("row %zu: not counted", i);
	}
}

static void test_what_the_store_is_told(void **state)
{
	(void)state;
	KS_SCRIPT({.status = 200, .body = LIST("7")},
	    {.status = 200, .body = EVENT("ADDED", "8") EVENT("MODIFIED", "9") EVENT("BOOKMARK", "10") EVENT("DELETED", "11") EVENT("NEW", "12")},
	    {.status = 410}, {.status = 200, .body = LIST("20")}, {.how = TLS_HANG});
	struct watch *w = start();
	request(4);
	watch_stop(&w);
	assert_string_equal(buf_cstr(&told), "begin put end put8 put9 remove11 begin put end ");
}

static void test_a_list_that_fails_is_not_the_end_of_what_was_listed(void **state)
{
	(void)state;
	KS_SCRIPT({.status = 500}, {.status = 200, .body = "{}"}, {.status = 200, .body = LIST("7")}, {.how = TLS_HANG});
	struct watch *w = start();
	request(3);
	watch_stop(&w);
	assert_string_equal(buf_cstr(&told), "begin begin begin put end ");
}

static void test_health(void **state)
{
	(void)state;
	struct err why = {0};
	KS_SCRIPT({.status = 403, .body = "{\"message\":\"not you\"}"}, {.status = 200, .body = LIST("7")},
	    {.status = 200, .how = TLS_DRIP});
	struct watch *w = start();
	request(1);
	request(2);
	for (int i = 0; !watch_healthy(w, &why); i++) {
		assert_true(i < PATIENCE_MS / 10);
		usleep(10000);
	}
	clock_advance(30 * MINUTE); /* an open stream may be silent */
	assert_true(watch_healthy(w, &why));
	watch_stop(&w);

	KS_SCRIPT({.status = 403, .body = "{\"message\":\"not you\"}"});
	w = start();
	request(1);
	assert_false(watch_healthy(w, &why));
	assert_string_equal(why.msg, "namespaces: HTTP 403: not you");
	watch_stop(&w);

	/* Listed, then no stream: well for a minute more. */
	KS_SCRIPT({.status = 200, .body = LIST("7")}, {.status = 503});
	w = start();
	request(1);
	clock_advance(2 * MINUTE);
	assert_false(watch_healthy(w, &why));
	watch_stop(&w);
}

/* Without the clock being moved on. */
static void wait_count(const char *reason, double more_than)
{
	for (int i = 0; restarts(reason) <= more_than; i++) {
		assert_true(i < PATIENCE_MS / 10);
		usleep(10000);
	}
}

static void wait_asked(size_t n)
{
	for (int i = 0; ks_asked() < n; i++) {
		assert_true(i < PATIENCE_MS / 10);
		usleep(10000);
	}
}

static bool was_told(const char *word)
{
	pthread_mutex_lock(&lock);
	bool yes = strstr(buf_cstr(&told), word) != NULL;
	pthread_mutex_unlock(&lock);
	return yes;
}

static void test_silence_is_no_trouble_on_a_stream_that_was_open(void **state)
{
	(void)state;
	struct err why = {0};
	double silent = restarts("silent"), unavailable = restarts("unavailable");
	KS_SCRIPT({.status = 200, .body = LIST("7")}, {.status = 200, .body = EVENT("ADDED", "8"), .how = TLS_SILENT},
	    {.how = TLS_HANG});
	ks_configure("token: t");
	forget();
	struct watch *w =
	    watch_start(ks_open((struct kube_options){.idle_ms = 600000}), NULL, KIND_NAMESPACE, "a=b,c");
	for (int i = 0; !was_told("put8"); i++) {
		assert_true(i < PATIENCE_MS / 10);
		usleep(10000);
	}
	clock_advance(11 * MINUTE);
	wait_count("silent", silent);
	assert_true(restarts("unavailable") == unavailable);
	assert_true(watch_healthy(w, &why));
	wait_asked(3);
	clock_advance(11 * MINUTE);
	wait_count("unavailable", unavailable); /* that one never began */
	watch_stop(&w);
}

/* Old apiservers send no bookmarks where nothing happens: that alone is no reason to list all the time. */
static void test_a_quiet_kind_is_not_listed_each_time(void **state)
{
	(void)state;
	double silent = restarts("silent");
	KS_SCRIPT({.status = 200, .body = LIST("7")}, {.status = 200, .how = TLS_SILENT}, {.status = 200, .how = TLS_SILENT});
	ks_configure("token: t");
	forget();
	struct watch *w =
	    watch_start(ks_open((struct kube_options){.idle_ms = 1000}), NULL, KIND_NAMESPACE, "a=b,c");
	wait_asked(2);
	wait_count("silent", silent);
	wait_asked(3);
	const char *path = request(2);
	assert_non_null(strstr(path, FROM("7")));
	watch_stop(&w);
}

/* A cluster that was restored from a backup is older than what we have seen; from there a watch brings nothing at all. */
static void test_a_watch_that_stays_silent_lists_anew(void **state)
{
	(void)state;
	struct err why = {0};
	double silent = restarts("silent");
	KS_SCRIPT({.status = 200, .body = LIST("7000")}, {.status = 200, .how = TLS_SILENT},
	    {.status = 200, .body = LIST("7")}, {.status = 200, .body = EVENT("ADDED", "8"), .how = TLS_SILENT}, {.status = 500});
	ks_configure("token: t");
	forget();
	struct watch *w =
	    watch_start(ks_open((struct kube_options){.idle_ms = 600000}), NULL, KIND_NAMESPACE, "a=b,c");
	wait_asked(2);
	clock_advance(2 * MINUTE); /* from now on only an open stream is well */
	for (int i = 0; !watch_healthy(w, &why); i++) {
		assert_true(i < PATIENCE_MS / 10);
		usleep(10000);
	}
	clock_advance(11 * MINUTE);
	wait_count("silent", silent);
	for (int i = 0; !was_told("put8"); i++) {
		assert_true(i < PATIENCE_MS / 10);
		usleep(10000);
	}
	clock_advance(11 * MINUTE);
	static const char *const paths[] = {FIRST, FROM("7000"), QUORUM, FROM("7"), FROM("8")};
	for (size_t n = 0; n < ARRAY_LEN(paths); n++) {
		wait_asked(n + 1);
		const char *path = request(n);
		size_t len = strlen(path), want = strlen(paths[n]);
		if (len < want || strcmp(path + len - want, paths[n]) != 0)
			fail_msg("request %zu: %s", n, path);
	}
	watch_stop(&w);
	assert_string_equal(buf_cstr(&told), "begin put end begin put end put8 ");
}

static void test_a_watch_that_is_closed_at_once_is_none(void **state)
{
	(void)state;
	double before = restarts("unavailable");
	KS_SCRIPT({.status = 200, .body = LIST("7")}, {.status = 200, .body = ""});
	struct watch *w = start();
	wait_count("unavailable", before);
	wait_asked(3);
	watch_stop(&w);
	assert_true(ks.times[2] - ks.times[1] >= 800 * CLOCK_MS);
	assert_non_null(strstr(ks.requests[2], FROM("7")));
}

static void test_a_circle_of_410_rests(void **state)
{
	(void)state;
	/* Lists are fine and each watch is too old: the first 410 lists at once, the second waits. */
	static struct tls_reply all[REPLIES_MAX];
	for (size_t i = 0; i < REPLIES_MAX; i++)
		all[i] = i % 2 ? (struct tls_reply){.status = 410} : (struct tls_reply){.status = 200, .body = LIST("7")};
	ks_script(all, REPLIES_MAX);
	struct watch *w = start();
	wait_asked(5);
	watch_stop(&w);
	assert_true(ks.times[4] - ks.times[3] >= 800 * CLOCK_MS);
}

static void test_streams_that_are_closed_at_once_rest(void **state)
{
	(void)state;
	/* A proxy that knows no streams: what is there comes, and that is the end. */
	KS_SCRIPT({.status = 200, .body = LIST("7")}, {.status = 200, .body = EVENT("BOOKMARK", "9")});
	struct watch *w = start();
	for (int i = 0; ks_asked() < 3; i++) {
		assert_true(i < PATIENCE_MS / 10);
		usleep(10000);
	}
	usleep(300000);
	assert_int_equal(ks_asked(), 3); /* the second waits for a clock that nobody moves on */
	watch_stop(&w);
}

static void test_stopping_in_the_midst_of_it(void **state)
{
	(void)state;
	static const struct tls_reply hang[] = {{.how = TLS_HANG}};
	ks_script(hang, 1);
	struct watch *w = start(); /* of a list */
	request(0);
	watch_stop(&w);
	KS_SCRIPT({.status = 500});
	w = start(); /* of a pause, of up to an hour */
	request(0);
	watch_stop(&w);
	watch_stop(&w);
}

static void test_one_list_for_commands(void **state)
{
	(void)state;
	struct err e = {0};
	ks_configure("token: t");
	AUTO(kube_free) struct kube *k = ks_open((struct kube_options){0});
	KS_SCRIPT({.status = 410}, {.status = 200, .body = LIST("7")});
	assert_int_equal(watch_list_once(k, NULL, KIND_NAMESPACE, "a=b,c", &e), ERR_OK);
	assert_int_equal(ks_asked(), 2);
	KS_SCRIPT({.status = 410});
	assert_int_equal(watch_list_once(k, NULL, KIND_NAMESPACE, NULL, &e), ERR_REFUSED);
	assert_int_equal(ks_asked(), 2);
	KS_SCRIPT({.status = 403});
	assert_int_equal(watch_list_once(k, NULL, KIND_NAMESPACE, NULL, &e), ERR_REFUSED);
	assert_string_equal(e.msg, "listing namespaces: HTTP 403");
	KS_SCRIPT({.status = 503});
	assert_int_equal(watch_list_once(k, NULL, KIND_NAMESPACE, NULL, &e), ERR_UNAVAILABLE);
}

static int setup(void **state)
{
	log_init("test", LOG_LEVEL_ERROR);
	buf_init(&told, (size_t)1 << 20);
	return ks_setup(state);
}

static int teardown(void **state)
{
	buf_done(&told);
	return ks_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_where_it_goes_on),
	    cmocka_unit_test(test_a_quiet_kind_is_not_listed_each_time),
	    cmocka_unit_test(test_a_watch_that_stays_silent_lists_anew),
	    cmocka_unit_test(test_what_the_store_is_told),
	    cmocka_unit_test(test_a_list_that_fails_is_not_the_end_of_what_was_listed),
	    cmocka_unit_test(test_health),
	    cmocka_unit_test(test_silence_is_no_trouble_on_a_stream_that_was_open),
	    cmocka_unit_test(test_a_watch_that_is_closed_at_once_is_none),
	    cmocka_unit_test(test_a_circle_of_410_rests),
	    cmocka_unit_test(test_streams_that_are_closed_at_once_rest),
	    cmocka_unit_test(test_stopping_in_the_midst_of_it),
	    cmocka_unit_test(test_one_list_for_commands),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
