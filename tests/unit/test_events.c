/* Proves the limits on Kubernetes events, their form, and that the thread writes them and survives an apiserver that
 * does not take them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/metrics.h"
#include "rbac-sync/events_core.h"
#include "tests/support/kube_stand_in.h"

#define S CLOCK_SECOND
#define T0 (1000 * S)
#define WALL (1600000000 * S)

static struct events_core *core;

static int set_up(void **state)
{
	(void)state;
	core = calloc(1, sizeof(*core));
	snprintf(core->instance, sizeof(core->instance), "me");
	snprintf(core->lease_namespace, sizeof(core->lease_namespace), "ns");
	snprintf(core->lease, sizeof(core->lease), "l");
	return core ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	events_core_done(core);
	free(core);
	return 0;
}

static enum event_fate add(const char *record, const char *reason, int64_t now)
{
	return events_core_add(core, record, "uid", false, reason, "note", now, WALL + now);
}

/* Sends whatever may be sent at NOW; how many. */
static unsigned send_all(int64_t now)
{
	int64_t wait;
	unsigned n = 0, count;
	for (struct event_item *it; (it = events_core_next(core, now, &wait)); n++) {
		json_decref(events_core_body(core, it, &count));
		assert_true(events_core_answer(it, EVENT_SENT, count));
	}
	return n;
}

static const char *text_at(const json_t *o, const char *a, const char *b)
{
	return json_string_value(b ? json_object_get(json_object_get(o, a), b) : json_object_get(o, a));
}

static void test_form(void **state)
{
	(void)state;
	struct arena a;
	int64_t wait;
	unsigned count;
	arena_init(&a, 0);
	assert_int_equal(events_core_add(core, "rec", "u1", true, EVENT_REFUSED, "no such role", T0, WALL), EVENT_TAKEN);
	struct event_item *it = events_core_next(core, T0, &wait);
	json_t *o = events_core_body(core, it, &count);
	assert_string_equal(events_core_collection(core, it, &a), "/apis/events.k8s.io/v1/namespaces/kube-system/events");
	assert_string_equal(text_at(o, "apiVersion", NULL), "events.k8s.io/v1");
	assert_string_equal(text_at(o, "metadata", "namespace"), "kube-system");
	assert_int_equal(strncmp(text_at(o, "metadata", "name"), "rec.", 4), 0);
	assert_int_equal(strlen(text_at(o, "metadata", "name")), 4 + 16);
	assert_string_equal(text_at(o, "eventTime", NULL), "2020-09-13T12:26:40.000000Z");
	assert_string_equal(text_at(o, "reportingController", NULL), "portcullis.dev/rbac-sync");
	assert_string_equal(text_at(o, "reportingInstance", NULL), "me");
	assert_string_equal(text_at(o, "reason", NULL), "Refused");
	assert_string_equal(text_at(o, "type", NULL), "Warning");
	assert_string_equal(text_at(o, "note", NULL), "no such role");
	assert_string_equal(text_at(o, "regarding", "kind"), "UserRecord");
	assert_string_equal(text_at(o, "regarding", "apiVersion"), "portcullis.dev/v1alpha1");
	assert_string_equal(text_at(o, "regarding", "name"), "rec");
	assert_string_equal(text_at(o, "regarding", "uid"), "u1");
	assert_null(json_object_get(o, "series"));
	json_decref(o);
	assert_true(events_core_answer(it, EVENT_SENT, count));
	assert_int_equal(events_core_add(core, NULL, NULL, false, EVENT_GC_BLOCKED, "30", T0, WALL), EVENT_TAKEN);
	it = events_core_next(core, T0, &wait);
	o = events_core_body(core, it, &count);
	assert_string_equal(events_core_collection(core, it, &a), "/apis/events.k8s.io/v1/namespaces/ns/events");
	assert_string_equal(text_at(o, "regarding", "kind"), "Lease");
	assert_string_equal(text_at(o, "regarding", "namespace"), "ns");
	assert_string_equal(text_at(o, "regarding", "name"), "l");
	assert_null(text_at(o, "regarding", "uid"));
	assert_string_equal(text_at(o, "type", NULL), "Normal");
	json_decref(o);
	arena_done(&a);
}

static void test_series(void **state)
{
	(void)state;
	struct arena a;
	int64_t wait;
	unsigned count;
	arena_init(&a, 0);
	add("r", EVENT_DRIFT_REPAIRED, T0);
	assert_int_equal(send_all(T0), 1);
	add("r", EVENT_DRIFT_REPAIRED, T0 + 599 * S);
	add("r", EVENT_DRIFT_REPAIRED, T0 + 600 * S);
	struct event_item *it = events_core_next(core, T0 + 600 * S, &wait);
	json_t *o = events_core_body(core, it, &count);
	assert_string_equal(events_core_path(core, it, &a),
	    arena_printf(&a, "/apis/events.k8s.io/v1/namespaces/kube-system/events/%s", it->name));
	assert_int_equal(json_object_size(o), 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "series"), "count")), 3);
	assert_string_equal(text_at(o, "series", "lastObservedTime"), "2020-09-13T12:53:20.000000Z");
	json_decref(o);
	/* one more while it was under way */
	add("r", EVENT_DRIFT_REPAIRED, T0 + 601 * S);
	assert_true(events_core_answer(it, EVENT_SENT, count));
	assert_int_equal(send_all(T0 + 601 * S), 1);
	/* other reasons and records are other events */
	add("r", EVENT_BINDING_APPLIED, T0 + 601 * S);
	add("q", EVENT_DRIFT_REPAIRED, T0 + 601 * S);
	char name[sizeof(it->name)];
	memcpy(name, it->name, sizeof(name));
	assert_int_equal(send_all(T0 + 601 * S), 2);
	/* quiet for the window: a new one */
	add("r", EVENT_DRIFT_REPAIRED, T0 + 1201 * S);
	it = events_core_next(core, T0 + 1201 * S, &wait);
	o = events_core_body(core, it, &count);
	assert_string_equal(text_at(o, "kind", NULL), "Event");
	assert_null(json_object_get(o, "series"));
	assert_string_not_equal(it->name, name);
	json_decref(o);
	arena_done(&a);
}

/* Whatever the cluster calls its objects: half a character would be no JSON. */
static void test_long_texts_end_with_a_character(void **state)
{
	(void)state;
	char text[2 * EVENTS_TEXT_MAX + 2] = "x";
	int64_t wait;
	unsigned count;
	for (size_t i = 1; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xC3\xA9", 3);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(events_core_add(core, text + i, text + i, true, EVENT_REFUSED, "n", T0, WALL), EVENT_TAKEN);
		struct event_item *it = events_core_next(core, T0, &wait);
		json_decref(events_core_body(core, it, &count));
		assert_true(events_core_answer(it, EVENT_SENT, count));
	}
}

static void test_limit_of_a_record(void **state)
{
	(void)state;
	unsigned taken = 0;
	for (int i = 0; i < 100; i++)
		taken += add("loud", i & 1 ? EVENT_DRIFT_REPAIRED : EVENT_BINDING_APPLIED, T0) == EVENT_TAKEN;
	assert_int_equal(taken, 25);
	assert_int_equal(add("quiet", EVENT_DRIFT_REPAIRED, T0), EVENT_TAKEN);
	assert_int_equal(add("loud", EVENT_DRIFT_REPAIRED, T0 + 299 * S), EVENT_SPAM);
	assert_int_equal(add("loud", EVENT_DRIFT_REPAIRED, T0 + 300 * S), EVENT_TAKEN);
	assert_int_equal(add("loud", EVENT_DRIFT_REPAIRED, T0 + 301 * S), EVENT_SPAM);
}

static void test_limit_in_all(void **state)
{
	(void)state;
	char record[16];
	int64_t wait;
	for (int i = 0; i < 200; i++) {
		snprintf(record, sizeof(record), "r%d", i);
		assert_int_equal(add(record, EVENT_USER_APPEARED, T0), EVENT_TAKEN);
	}
	assert_int_equal(send_all(T0), 50);
	assert_null(events_core_next(core, T0, &wait));
	assert_in_range(wait, 1, S / 10);
	assert_int_equal(send_all(T0 + S), 10);
	assert_int_equal(send_all(T0 + 4 * S), 30);
	assert_int_equal(send_all(T0 + 1000 * S), 50);
	assert_int_equal(send_all(T0 + 2000 * S), 50);
	assert_int_equal(send_all(T0 + 3000 * S), 10);
	assert_null(events_core_next(core, T0 + 3000 * S, &wait));
	assert_int_equal(wait, -1);
}

/* The oldest goes first; memory is bounded, and what waits is never thrown out. */
static void test_bounds(void **state)
{
	(void)state;
	char record[16];
	int64_t wait;
	unsigned count;
	for (int i = 0; i < EVENTS_MAX; i++) {
		snprintf(record, sizeof(record), "r%d", i);
		assert_int_equal(add(record, EVENT_USER_APPEARED, T0 + i), EVENT_TAKEN);
	}
	assert_int_equal(add("more", EVENT_USER_APPEARED, T0 + 9999), EVENT_FULL);
	struct event_item *it = events_core_next(core, T0 + 10000, &wait);
	assert_string_equal(it->record, "r0");
	json_decref(events_core_body(core, it, &count));
	assert_int_equal(add("more", EVENT_USER_APPEARED, T0 + 10000), EVENT_FULL);
	assert_true(events_core_answer(it, EVENT_SENT, count));
	assert_int_equal(add("more", EVENT_USER_APPEARED, T0 + 10001), EVENT_TAKEN);
	assert_string_equal(it->record, "more");
	assert_int_equal(add("r1", EVENT_USER_APPEARED, T0 + 10002), EVENT_TAKEN); /* a series needs no place */
}

static void test_answers(void **state)
{
	(void)state;
	int64_t wait;
	unsigned count;
	add("r", EVENT_REFUSED, T0);
	struct event_item *it = events_core_next(core, T0, &wait);
	json_decref(events_core_body(core, it, &count));
	char name[sizeof(it->name)];
	memcpy(name, it->name, sizeof(name));
	for (int i = 1; i < EVENTS_TRIES_MAX; i++) {
		assert_true(events_core_answer(it, EVENT_LATER, count));
		assert_ptr_equal(events_core_next(core, T0 + i * S, &wait), it);
		json_decref(events_core_body(core, it, &count));
		assert_string_equal(it->name, name); /* the same event, should the first have arrived */
	}
	assert_false(events_core_answer(it, EVENT_LATER, count));
	assert_null(events_core_next(core, T0 + 20 * S, &wait));
	add("r", EVENT_REFUSED, T0 + 20 * S);
	it = events_core_next(core, T0 + 20 * S, &wait);
	json_decref(events_core_body(core, it, &count));
	assert_false(events_core_answer(it, EVENT_REFUSED_, count));
	/* a series whose event is gone from the cluster begins anew, with what came since */
	add("r", EVENT_REFUSED, T0 + 21 * S);
	send_all(T0 + 21 * S);
	add("r", EVENT_REFUSED, T0 + 22 * S);
	it = events_core_next(core, T0 + 22 * S, &wait);
	json_decref(events_core_body(core, it, &count));
	assert_true(events_core_answer(it, EVENT_GONE, count));
	it = events_core_next(core, T0 + 23 * S, &wait);
	json_t *o = events_core_body(core, it, &count);
	assert_string_equal(text_at(o, "kind", NULL), "Event");
	assert_string_equal(text_at(o, "note", NULL), "note");
	assert_null(json_object_get(o, "series"));
	json_decref(o);
	assert_true(events_core_answer(it, EVENT_SENT, count));
	assert_null(events_core_next(core, T0 + 24 * S, &wait));
}

static void test_notes(void **state)
{
	(void)state;
	char a[1100], b[1100];
	memset(a, 'a', sizeof(a));
	a[sizeof(a) - 1] = '\0';
	memset(b, 'b', sizeof(b));
	b[sizeof(b) - 1] = '\0';
	memcpy(b + 1023, "\xC3\xA4", 2); /* a character across the limit */
	const struct {
		const char *note;
		size_t len;
		const char *want; /* or NULL: as it is, cut */
	} cases[] = {
	    {"", 0, ""},
	    {"gr\xC3\xBC\xC3\x9F", 6, NULL},
	    {a, 1024, NULL},
	    {b, 1023, NULL},
	    {"a\x1b[31m\nb", 8, "a?[31m?b"},
	    {"bad \xff\xfe", 6, "bad ??"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char record[16];
		int64_t wait;
		unsigned count;
		snprintf(record, sizeof(record), "r%zu", i);
		events_core_add(core, record, NULL, false, EVENT_REFUSED, cases[i].note, T0, WALL);
		struct event_item *it = events_core_next(core, T0, &wait);
		json_t *o = events_core_body(core, it, &count);
		const char *note = text_at(o, "note", NULL);
		assert_int_equal(strlen(note), cases[i].len);
		assert_int_equal(strncmp(note, cases[i].want ? cases[i].want : cases[i].note, cases[i].len), 0);
		json_decref(o);
		events_core_answer(it, EVENT_SENT, count);
	}
}

/* --- the thread --- */

static double result(const char *name)
{
	char labels[32];
	snprintf(labels, sizeof(labels), "result=\"%s\"", name);
	return metric_value(metrics_counter("portcullis_sync_kube_events_total",
	    "Kubernetes events by what became of them.", labels));
}

struct want {
	const char *result;
	double value;
};

static bool reached(struct kube_stand_in *s, void *ctx)
{
	(void)s;
	const struct want *w = ctx;
	return result(w->result) >= w->value;
}

static void wait_result(struct kube_stand_in *s, const char *name, double value)
{
	kube_stand_in_wait(s, reached, &(struct want){name, value}, name);
}

static void test_thread(void **state)
{
	(void)state;
	struct kube_stand_in *api = kube_stand_in_start();
	struct events *e = events_start(kube_stand_in_client(api, 5000), "me");
	double posted = result("posted"), series = result("series"), refused = result("refused");
	events_emit(NULL, "r", NULL, false, EVENT_USER_APPEARED, "nobody listens");
	events_emit(e, "r", "u", false, EVENT_USER_APPEARED, "hello");
	wait_result(api, "posted", posted + 1);
	events_emit(e, "r", "u", false, EVENT_USER_APPEARED, "hello");
	wait_result(api, "series", series + 1);
	kube_stand_in_fail(api, 403, NULL);
	events_emit(e, "q", "u", false, EVENT_USER_APPEARED, "not allowed");
	wait_result(api, "refused", refused + 1);
	kube_stand_in_fail(api, 0, NULL);
	events_emit(e, NULL, NULL, true, EVENT_GC_BLOCKED, "about the worker");
	wait_result(api, "posted", posted + 2);
	for (int i = 0; i < 5; i++) { /* what is told at the end arrives */
		char record[16];
		snprintf(record, sizeof(record), "last%d", i);
		events_emit(e, record, NULL, false, EVENT_USER_APPEARED, "bye");
	}
	events_stop(&e);
	assert_null(e);
	assert_true(result("posted") == posted + 7);
	kube_stand_in_stop(&api);
}

static bool was_asked(struct kube_stand_in *s, void *ctx)
{
	(void)ctx;
	return kube_stand_in_requests(s, "POST") > 0;
}

static void test_stop_while_the_apiserver_fails(void **state)
{
	(void)state;
	struct kube_stand_in *api = kube_stand_in_start();
	struct events *e = events_start(kube_stand_in_client(api, 5000), "me");
	kube_stand_in_fail(api, 503, "Retry-After: 100\r\n");
	for (int i = 0; i < 20; i++)
		events_emit(e, "r", "u", i & 1, EVENT_USER_APPEARED, "hello");
	kube_stand_in_wait(api, was_asked, NULL, "a first try");
	events_stop(&e);
	assert_in_range(kube_stand_in_requests(api, "POST"), 1, 2);
	kube_stand_in_stop(&api);
}

static void *emit_many(void *arg)
{
	struct events *e = arg;
	for (int i = 0; i < 200; i++) {
		char record[16];
		snprintf(record, sizeof(record), "r%d", i % 50);
		events_emit(e, record, "u", i & 1, i & 2 ? EVENT_DRIFT_REPAIRED : EVENT_REFUSED, "from a thread");
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	(void)state;
	struct kube_stand_in *api = kube_stand_in_start();
	struct events *e = events_start(kube_stand_in_client(api, 5000), "me");
	double posted = result("posted");
	pthread_t t[4];
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, emit_many, e), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	wait_result(api, "posted", posted + 10);
	events_stop(&e);
	kube_stand_in_stop(&api);
}

#define CORE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(test_form),
	    CORE(test_series),
	    CORE(test_long_texts_end_with_a_character),
	    CORE(test_limit_of_a_record),
	    CORE(test_limit_in_all),
	    CORE(test_bounds),
	    CORE(test_answers),
	    CORE(test_notes),
	    cmocka_unit_test(test_thread),
	    cmocka_unit_test(test_stop_while_the_apiserver_fails),
	    cmocka_unit_test(test_many_threads),
	};
	jsonx_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
