/* Proves the thread of the leader election against a stand-in for the apiserver: winning, renewing, losing in time,
 * giving back, notes and dissent. Its rules are proven in test_lease_core.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "rbac-sync/lease.h"
#include "tests/support/kube_stand_in.h"

#define S CLOCK_SECOND
#define PATH "/apis/coordination.k8s.io/v1/namespaces/n/leases/l"

/* Hours, so that only a test's own step of the clock ends a lease; renewals come at once. */
static const struct lease_config config = {.enabled = true, .name = "l", .duration = 3 * 3600 * S,
    .renew_deadline = 2 * 3600 * S, .retry = S / 50};

struct replica {
	struct lease *lease;
	atomic_int told; /* 0: not yet, 1: leading, -1: no longer */
};

static struct kube_stand_in *api;

static int set_up(void **state)
{
	(void)state;
	api = kube_stand_in_start();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kube_stand_in_stop(&api);
	return 0;
}

static void changed(void *ctx, bool leading)
{
	struct replica *r = ctx;
	atomic_store(&r->told, leading ? 1 : -1);
}

static void put_lease(const char *holder)
{
	kube_stand_in_put(api, PATH, json_pack("{s:s,s:s,s:{s:s,s:s},s:{s:s,s:i}}", "kind", "Lease", "apiVersion",
	    "coordination.k8s.io/v1", "metadata", "name", "l", "namespace", "n", "spec", "holderIdentity", holder,
	    "leaseDurationSeconds", 3 * 3600));
}

static void start(struct replica *r, const char *identity)
{
	struct lease_config c = config;
	struct err e;
	c.identity = identity;
	*r = (struct replica){0};
	if (lease_start(&c, kube_stand_in_client(api, 2000), changed, r, &r->lease, &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

static bool leads(struct kube_stand_in *s, void *ctx)
{
	(void)s;
	struct replica *r = ctx;
	return lease_leading(r->lease) && atomic_load(&r->told) == 1;
}

static bool lost(struct kube_stand_in *s, void *ctx)
{
	(void)s;
	struct replica *r = ctx;
	return !lease_leading(r->lease) && atomic_load(&r->told) == -1;
}

static bool holder_is(const char *want)
{
	json_t *o = kube_stand_in_get(api, PATH);
	const char *holder = json_string_value(json_object_get(json_object_get(o, "spec"), "holderIdentity"));
	bool same = text_eq(holder, want);
	json_decref(o);
	return same;
}

static bool held(struct kube_stand_in *s, void *ctx)
{
	(void)s;
	return holder_is(ctx);
}

struct note {
	const char *key, *want;
};

static bool note_is(struct kube_stand_in *s, void *ctx)
{
	const struct note *n = ctx;
	json_t *o = kube_stand_in_get(s, PATH);
	json_t *notes = json_object_get(json_object_get(o, "metadata"), "annotations");
	const char *text = json_string_value(json_object_get(notes, n->key));
	bool same = text && n->want ? strncmp(text, n->want, strlen(n->want)) == 0 : text == n->want;
	json_decref(o);
	return same;
}

static void expect_note(const char *key, const char *want)
{
	kube_stand_in_wait(api, note_is, &(struct note){key, want}, key);
}

static void test_takes_a_free_lease_and_gives_it_back(void **state)
{
	(void)state;
	struct replica r;
	char holder[64];
	put_lease("");
	start(&r, "a");
	kube_stand_in_wait(api, leads, &r, "to lead");
	assert_true(holder_is("a"));
	lease_holder(r.lease, holder, sizeof(holder));
	assert_string_equal(holder, "a");
	assert_string_equal(lease_identity(r.lease), "a");
	lease_stop(&r.lease);
	assert_int_equal(atomic_load(&r.told), -1);
	assert_true(holder_is(""));
	json_t *o = kube_stand_in_get(api, PATH), *spec = json_object_get(o, "spec");
	assert_int_equal(json_integer_value(json_object_get(spec, "leaseDurationSeconds")), 1);
	assert_int_equal(json_integer_value(json_object_get(spec, "leaseTransitions")), 1);
	json_decref(o);
}

static bool looked(struct kube_stand_in *s, void *ctx)
{
	return kube_stand_in_requests(s, "GET") >= *(unsigned *)ctx;
}

static void wait_for_looks(unsigned n)
{
	unsigned want = kube_stand_in_requests(api, "GET") + n;
	kube_stand_in_wait(api, looked, &want, "to look at the Lease");
}

static void test_makes_a_missing_lease_after_a_duration(void **state)
{
	(void)state;
	struct replica r;
	start(&r, "a");
	wait_for_looks(2);
	assert_false(lease_leading(r.lease));
	clock_advance(config.duration);
	kube_stand_in_wait(api, leads, &r, "to lead");
	assert_true(holder_is("a"));
	lease_stop(&r.lease);
}

static void test_hands_over_at_once_or_after_the_duration(void **state)
{
	(void)state;
	struct replica a, b;
	put_lease("");
	start(&a, "a");
	kube_stand_in_wait(api, leads, &a, "a to lead");
	start(&b, "b");
	wait_for_looks(2);
	assert_false(lease_leading(b.lease));
	lease_stop(&a.lease);
	kube_stand_in_wait(api, leads, &b, "b to lead");
	lease_stop(&b.lease);
	put_lease("dead");
	start(&a, "a");
	wait_for_looks(2);
	assert_false(lease_leading(a.lease));
	clock_advance(config.duration);
	kube_stand_in_wait(api, leads, &a, "to follow the dead");
	lease_stop(&a.lease);
}

static bool renewed(struct kube_stand_in *s, void *ctx)
{
	int64_t at = 0, *after = ctx;
	json_t *o = kube_stand_in_get(s, PATH);
	const char *text = json_string_value(json_object_get(json_object_get(o, "spec"), "renewTime"));
	bool is = text && clock_parse_rfc3339(slice_of(text), &at) && at > *after;
	json_decref(o);
	return is;
}

/* A renewal that began from now on has been answered: the next one has begun. */
static void wait_for_renewal(void)
{
	for (int i = 0; i < 2; i++) {
		int64_t now = clock_now();
		kube_stand_in_wait(api, renewed, &now, "a renewal");
	}
}

static bool in_trouble(struct kube_stand_in *s, void *ctx)
{
	(void)s;
	struct replica *r = ctx;
	int64_t since;
	struct err why;
	return lease_trouble(r->lease, &since, &why);
}

static bool out_of_trouble(struct kube_stand_in *s, void *ctx)
{
	return !in_trouble(s, ctx);
}

static void test_loses_in_time_while_the_apiserver_fails(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *headers;
	} faults[] = {{500, NULL}, {429, "Retry-After: 1\r\n"}, {403, NULL}};
	struct replica r;
	put_lease("");
	start(&r, "a");
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		kube_stand_in_wait(api, leads, &r, "to lead");
		kube_stand_in_fail(api, faults[i].status, faults[i].headers);
		kube_stand_in_wait(api, in_trouble, &r, "to be in trouble");
		assert_true(lease_leading(r.lease));
		clock_advance(config.renew_deadline);
		assert_false(lease_leading(r.lease)); /* whatever its thread does */
		kube_stand_in_wait(api, lost, &r, "to be told so");
		kube_stand_in_fail(api, 0, NULL);
		kube_stand_in_wait(api, out_of_trouble, &r, "to be well again");
	}
	kube_stand_in_wait(api, leads, &r, "to lead again");
	lease_stop(&r.lease);
}

/* As after a SIGSTOP: the clock went on, somebody else leads. */
static void test_leads_no_more_after_a_pause(void **state)
{
	(void)state;
	struct replica r;
	char holder[64] = "";
	put_lease("");
	start(&r, "a");
	kube_stand_in_wait(api, leads, &r, "to lead");
	put_lease("b");
	kube_stand_in_wait(api, lost, &r, "to lose");
	lease_holder(r.lease, holder, sizeof(holder));
	assert_string_equal(holder, "b");
	lease_stop(&r.lease);
	assert_true(holder_is("b")); /* not given back: it was not ours */
}

static void test_deleted_under_its_leader(void **state)
{
	(void)state;
	struct replica r;
	put_lease("");
	start(&r, "a");
	kube_stand_in_wait(api, leads, &r, "to lead");
	kube_stand_in_put(api, PATH, NULL);
	kube_stand_in_wait(api, held, (char[]){"a"}, "to make it again");
	assert_true(leads(api, &r));
	lease_stop(&r.lease);
}

static void annotate(const char *key, const char *value)
{
	json_t *o = kube_stand_in_get(api, PATH), *meta = json_object_get(o, "metadata");
	json_object_set_new(meta, "annotations", json_pack("{s:s}", key, value));
	kube_stand_in_put(api, PATH, o);
}

struct want_noted {
	struct lease *lease;
	const char *key, *want;
};

static bool noted(struct kube_stand_in *s, void *ctx)
{
	(void)s;
	struct want_noted *w = ctx;
	char text[64];
	bool have = lease_noted(w->lease, w->key, text, sizeof(text));
	return w->want ? have && strcmp(text, w->want) == 0 : !have;
}

static void test_notes(void **state)
{
	(void)state;
	struct replica r, standby;
	char text[64], small[3], large[LEASE_NOTE_BYTES_MAX + 2];
	put_lease("");
	start(&r, "a");
	kube_stand_in_wait(api, leads, &r, "to lead");
	start(&standby, "b");
	wait_for_looks(2);
	lease_note(standby.lease, "x/standby", "no");
	lease_note(r.lease, NOTE_GC_BLOCKED, "run-1 30 20");
	expect_note(NOTE_GC_BLOCKED, "run-1 30 20");
	assert_false(lease_noted(standby.lease, "x/standby", text, sizeof(text)));
	kube_stand_in_wait(api, noted, &(struct want_noted){r.lease, NOTE_GC_BLOCKED, "run-1 30 20"}, "to read it");
	assert_false(lease_noted(r.lease, NOTE_GC_BLOCKED, small, sizeof(small)));
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	lease_note(r.lease, "x/large", large);
	annotate(NOTE_GC_CONFIRM, "run-1"); /* and takes the other one away */
	kube_stand_in_wait(api, noted, &(struct want_noted){r.lease, NOTE_GC_CONFIRM, "run-1"}, "to see it confirmed");
	lease_note(r.lease, NOTE_GC_CONFIRM, NULL);
	expect_note(NOTE_GC_CONFIRM, NULL);
	assert_true(note_is(api, &(struct note){"x/large", NULL}));
	assert_true(leads(api, &r));
	lease_stop(&standby.lease);
	lease_stop(&r.lease);
}

static bool agrees(struct kube_stand_in *s, void *ctx)
{
	(void)s;
	struct replica *r = ctx;
	return !lease_dissent(r->lease);
}

static bool disagrees(struct kube_stand_in *s, void *ctx)
{
	return !agrees(s, ctx);
}

static void test_dissent(void **state)
{
	(void)state;
	struct replica a, b;
	put_lease("");
	start(&a, "a");
	lease_config_hash(a.lease, "H1");
	kube_stand_in_wait(api, leads, &a, "a to lead");
	assert_true(lease_dissent(a.lease));
	expect_note(NOTE_CONFIG, "H1");
	for (int i = 0; i < 4; i++) { /* leads on for a duration */
		clock_advance(config.duration / 4);
		wait_for_renewal();
	}
	kube_stand_in_wait(api, agrees, &a, "nobody to disagree");
	start(&b, "b");
	lease_config_hash(b.lease, "H2");
	kube_stand_in_wait(api, disagrees, &a, "b to disagree");
	expect_note(NOTE_DISSENT, "H2 b ");
	lease_config_hash(b.lease, "H1");
	kube_stand_in_wait(api, agrees, &a, "b to agree");
	expect_note(NOTE_DISSENT, NULL);
	lease_stop(&b.lease);
	lease_stop(&a.lease);
}

static void test_hanging_apiserver(void **state)
{
	(void)state;
	struct replica r;
	put_lease("");
	start(&r, "a");
	kube_stand_in_wait(api, leads, &r, "to lead");
	unsigned before = kube_stand_in_requests(api, NULL);
	kube_stand_in_fail(api, -1, NULL);
	while (kube_stand_in_requests(api, NULL) == before)
		kube_stand_in_wait(api, leads, &r, "a request that hangs");
	clock_advance(config.renew_deadline);
	assert_false(lease_leading(r.lease));
	kube_stand_in_fail(api, 0, NULL);
	lease_stop(&r.lease);
}

#define OBJECT "/api/v1/namespaces/x"

static json_t *object(void)
{
	return json_pack("{s:s,s:s,s:{s:s}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name", "x");
}

static enum kube_verdict verdict_of_put(struct kube *k)
{
	struct kube_answer a;
	json_t *o = object();
	kube_put(k, OBJECT, o, &a);
	json_decref(o);
	kube_answer_done(&a);
	return a.verdict;
}

/* A write that is told to wait until others lead never leaves. */
static void test_guarded_client(void **state)
{
	(void)state;
	struct replica r;
	struct kube_answer a;
	struct kube *k = kube_stand_in_client(api, 2000);
	json_t *o = object();
	kube_stand_in_put(api, OBJECT, json_incref(o));
	put_lease("b");
	start(&r, "a");
	wait_for_looks(2);
	lease_guard(r.lease, k);
	assert_int_equal(verdict_of_put(k), KUBE_LATER);
	kube_get(k, OBJECT, o, &a); /* whoever does not lead may still look */
	assert_int_equal(a.verdict, KUBE_OK);
	kube_answer_done(&a);
	kube_delete(k, OBJECT, "u", "1", &a);
	assert_int_equal(a.verdict, KUBE_LATER);
	put_lease("");
	kube_stand_in_wait(api, leads, &r, "to lead");
	assert_int_equal(verdict_of_put(k), KUBE_OK);
	put_lease("b");
	kube_stand_in_wait(api, lost, &r, "to lose");
	unsigned puts = kube_stand_in_requests(api, "PUT");
	assert_int_equal(verdict_of_put(k), KUBE_LATER);
	assert_int_equal(kube_stand_in_requests(api, "PUT"), puts);
	kube_free(&k);
	json_decref(o);
	lease_stop(&r.lease);
}

static int64_t over(void *ctx)
{
	(void)ctx;
	return 0;
}

static int64_t a_second(void *ctx)
{
	(void)ctx;
	return S;
}

static void test_write_within(void **state)
{
	(void)state;
	struct kube *k = kube_stand_in_client(api, 60000);
	kube_stand_in_put(api, OBJECT, object());
	kube_write_within(k, over, NULL);
	assert_int_equal(verdict_of_put(k), KUBE_LATER);
	assert_int_equal(kube_stand_in_requests(api, NULL), 0);
	kube_write_within(k, a_second, NULL);
	assert_int_equal(verdict_of_put(k), KUBE_OK);
	kube_stand_in_fail(api, -1, NULL);
	int64_t began = clock_mono();
	assert_int_equal(verdict_of_put(k), KUBE_LATER);
	assert_true(clock_mono() - began < 30 * S); /* not the client's minute */
	kube_stand_in_fail(api, 0, NULL);
	kube_free(&k);
}

static void test_without_election(void **state)
{
	(void)state;
	struct replica r = {0};
	struct lease_config c = {.enabled = false, .name = "l"};
	struct err e;
	char text[64];
	assert_int_equal(lease_start(&c, NULL, changed, &r, &r.lease, &e), ERR_OK);
	assert_int_equal(atomic_load(&r.told), 1);
	assert_true(lease_leading(r.lease));
	clock_advance(3600 * S);
	assert_true(lease_leading(r.lease));
	assert_false(lease_dissent(r.lease));
	lease_config_hash(r.lease, "H");
	lease_note(r.lease, "k", "v");
	assert_false(lease_noted(r.lease, "k", text, sizeof(text)));
	lease_holder(r.lease, text, sizeof(text));
	assert_string_equal(text, lease_identity(r.lease));
	assert_non_null(strchr(text, '_'));
	lease_stop(&r.lease);
	assert_null(r.lease);
	lease_stop(&r.lease);
	c.enabled = true;
	assert_int_equal(lease_start(&c, NULL, changed, &r, &r.lease, &e), ERR_INVALID);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_takes_a_free_lease_and_gives_it_back),
	    TEST(test_makes_a_missing_lease_after_a_duration),
	    TEST(test_hands_over_at_once_or_after_the_duration),
	    TEST(test_loses_in_time_while_the_apiserver_fails),
	    TEST(test_leads_no_more_after_a_pause),
	    TEST(test_deleted_under_its_leader),
	    TEST(test_notes),
	    TEST(test_dissent),
	    TEST(test_hanging_apiserver),
	    TEST(test_guarded_client),
	    TEST(test_write_within),
	    cmocka_unit_test(test_without_election),
	};
	jsonx_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
