/* Proves the rules of leader election: whose the Lease is, what is written on it, and that of candidates with uneven
 * clocks, pauses, lost answers and deleted Leases never two lead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "rbac-sync/lease_core.h"
#include "tests/support/schema_rows.h"

#define S CLOCK_SECOND

static const struct lease_config config = {
    .enabled = true, .name = "l", .duration = 15 * S, .renew_deadline = 10 * S, .retry = 2 * S};

/* --- the decision --- */

static void test_decision(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct lease_view view;
		int64_t now;
		enum lease_step want;
	} cases[] = {
	    {"nothing there, just seen", {NULL, NULL, 100 * S, 15 * S}, 100 * S, LEASE_STEP_WAIT},
	    {"nothing there for a duration", {NULL, NULL, 100 * S, 15 * S}, 115 * S, LEASE_STEP_CREATE},
	    {"free", {"", "7", 100 * S, 15 * S}, 100 * S, LEASE_STEP_TAKE},
	    {"free, without a holder", {NULL, "7", 100 * S, 15 * S}, 100 * S, LEASE_STEP_TAKE},
	    {"ours", {"me", "7", 0, 15 * S}, 100 * S, LEASE_STEP_RENEW},
	    {"another's, just seen", {"you", "7", 100 * S, 15 * S}, 100 * S, LEASE_STEP_WAIT},
	    {"another's, a moment before", {"you", "7", 100 * S, 15 * S}, 115 * S - 1, LEASE_STEP_WAIT},
	    {"another's, run out", {"you", "7", 100 * S, 15 * S}, 115 * S, LEASE_STEP_TAKE},
	    {"the holder's own duration counts", {"you", "7", 100 * S, 60 * S}, 130 * S, LEASE_STEP_WAIT},
	    {"a name that begins like ours", {"me2", "7", 100 * S, 15 * S}, 100 * S, LEASE_STEP_WAIT},
	    {"deleted under its holder", {"you", NULL, 100 * S, 15 * S}, 114 * S, LEASE_STEP_WAIT},
	    {"deleted, and its holder had time to see", {"you", NULL, 100 * S, 15 * S}, 115 * S, LEASE_STEP_CREATE},
	    {"ours, deleted", {"me", NULL, 100 * S, 15 * S}, 100 * S, LEASE_STEP_CREATE},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (lease_decide(&cases[i].view, "me", cases[i].now) != cases[i].want)
			fail_msg("%s", cases[i].what);
}

/* --- what is written --- */

static json_t *lease_of(const char *holder, int renewed, int version)
{
	json_t *o = json_pack("{s:s,s:s,s:{s:s,s:o},s:{s:s,s:i,s:o,s:s,s:i,s:s}}", "kind", "Lease", "apiVersion",
	    "coordination.k8s.io/v1", "metadata", "name", "l", "resourceVersion", json_sprintf("%d", version),
	    "spec", "holderIdentity", holder, "leaseDurationSeconds", 15, "renewTime",
	    json_sprintf("2020-01-01T00:00:%02d.000000Z", renewed), "acquireTime", "2020-01-01T00:00:00.000000Z",
	    "leaseTransitions", 4, "strategy", "kept");
	assert_non_null(o);
	return o;
}

static void see(struct lease_core *l, json_t *o, int64_t now)
{
	struct err e;
	if (lease_core_saw(l, o, now, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	json_decref(o);
}

static void wrote(struct lease_core *l, json_t *o, int64_t started, int64_t now)
{
	struct err e;
	if (lease_core_wrote(l, o, started, now, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	json_decref(o);
}

static const char *text_at(const json_t *o, const char *a, const char *b)
{
	return json_string_value(json_object_get(json_object_get(o, a), b));
}

static json_int_t number_at(const json_t *o, const char *a, const char *b)
{
	return json_integer_value(json_object_get(json_object_get(o, a), b));
}

static const char *note_in(const json_t *o, const char *key)
{
	return text_at(json_object_get(o, "metadata"), "annotations", key);
}

static void start(struct lease_core *l)
{
	lease_core_init(l, &config, "ns", "me");
}

static void test_first_lease(void **state)
{
	(void)state;
	struct lease_core l;
	start(&l);
	see(&l, NULL, 5 * S);
	assert_int_equal(lease_core_next(&l, 5 * S), LEASE_STEP_WAIT);
	see(&l, NULL, 19 * S);
	assert_int_equal(lease_core_next(&l, 20 * S), LEASE_STEP_CREATE);
	json_t *o = lease_core_body(&l, LEASE_STEP_CREATE, NULL, 1600000000 * S + 1000);
	assert_string_equal(text_at(o, "metadata", "name"), "l");
	assert_string_equal(text_at(o, "metadata", "namespace"), "ns");
	assert_null(text_at(o, "metadata", "resourceVersion"));
	assert_string_equal(text_at(o, "spec", "holderIdentity"), "me");
	assert_string_equal(text_at(o, "spec", "renewTime"), "2020-09-13T12:26:40.000001Z");
	assert_string_equal(text_at(o, "spec", "acquireTime"), "2020-09-13T12:26:40.000001Z");
	assert_int_equal(number_at(o, "spec", "leaseDurationSeconds"), 15);
	assert_int_equal(number_at(o, "spec", "leaseTransitions"), 0);
	json_decref(o);
	lease_core_done(&l);
}

static void test_taking_counts_and_keeps_what_others_wrote(void **state)
{
	(void)state;
	struct lease_core l;
	start(&l);
	see(&l, lease_of("you", 1, 7), 100 * S);
	json_t *o = lease_core_body(&l, LEASE_STEP_TAKE, NULL, 1600000000 * S);
	assert_string_equal(text_at(o, "metadata", "resourceVersion"), "7");
	assert_string_equal(text_at(o, "spec", "holderIdentity"), "me");
	assert_string_equal(text_at(o, "spec", "acquireTime"), "2020-09-13T12:26:40.000000Z");
	assert_string_equal(text_at(o, "spec", "strategy"), "kept");
	assert_int_equal(number_at(o, "spec", "leaseTransitions"), 5);
	json_decref(o);
	see(&l, lease_of("me", 2, 8), 101 * S);
	assert_int_equal(l.transitions, 1);
	o = lease_core_body(&l, LEASE_STEP_RENEW, NULL, 1600000000 * S);
	assert_string_equal(text_at(o, "spec", "acquireTime"), "2020-01-01T00:00:00.000000Z");
	assert_string_equal(text_at(o, "spec", "renewTime"), "2020-09-13T12:26:40.000000Z");
	assert_int_equal(number_at(o, "spec", "leaseTransitions"), 4);
	json_decref(o);
	o = lease_core_release(&l, 1600000000 * S);
	assert_string_equal(text_at(o, "spec", "holderIdentity"), "");
	assert_int_equal(number_at(o, "spec", "leaseDurationSeconds"), 1);
	json_decref(o);
	see(&l, lease_of("you", 3, 9), 102 * S);
	assert_null(lease_core_release(&l, 1600000000 * S));
	lease_core_done(&l);
}

/* The Lease's own times are of another clock: only that they change counts. */
static void test_expiry_by_what_was_seen(void **state)
{
	(void)state;
	struct lease_core l;
	start(&l);
	see(&l, lease_of("you", 1, 7), 100 * S);
	assert_int_equal(lease_core_next(&l, 114 * S), LEASE_STEP_WAIT);
	see(&l, lease_of("you", 2, 8), 114 * S);
	assert_int_equal(lease_core_next(&l, 128 * S), LEASE_STEP_WAIT);
	/* another version, the same Lease: somebody annotated */
	see(&l, lease_of("you", 2, 9), 128 * S);
	assert_int_equal(lease_core_next(&l, 129 * S), LEASE_STEP_TAKE);
	lease_core_done(&l);
}

static void test_leads_from_the_start_of_the_write(void **state)
{
	(void)state;
	struct lease_core l;
	start(&l);
	see(&l, lease_of("", 1, 7), 100 * S);
	assert_false(lease_core_leading(&l, 100 * S));
	wrote(&l, lease_of("me", 2, 8), 100 * S, 104 * S);
	assert_true(lease_core_leading(&l, 104 * S));
	assert_true(lease_core_leading(&l, 110 * S - 1));
	assert_false(lease_core_leading(&l, 110 * S));
	wrote(&l, lease_of("me", 3, 9), 120 * S, 121 * S);
	assert_true(lease_core_leading(&l, 121 * S));
	assert_int_equal(l.won, 120 * S);
	wrote(&l, lease_of("me", 4, 10), 123 * S, 123 * S);
	assert_int_equal(l.won, 120 * S);
	see(&l, lease_of("you", 4, 11), 124 * S);
	assert_false(lease_core_leading(&l, 124 * S));
	lease_core_done(&l);
}

/* An answer so late that the deadline has passed makes no leader. */
static void test_late_answer(void **state)
{
	(void)state;
	struct lease_core l;
	start(&l);
	see(&l, lease_of("", 1, 7), 100 * S);
	wrote(&l, lease_of("me", 2, 8), 100 * S, 111 * S);
	assert_false(lease_core_leading(&l, 111 * S));
	lease_core_done(&l);
}

/* Its leader makes it again at once, others who led or saw it free wait. */
static void test_deleted(void **state)
{
	(void)state;
	struct lease_core l;
	start(&l);
	see(&l, lease_of("", 1, 7), 100 * S);
	see(&l, NULL, 101 * S);
	assert_int_equal(lease_core_next(&l, 115 * S), LEASE_STEP_WAIT);
	see(&l, lease_of("", 1, 7), 115 * S);
	wrote(&l, lease_of("me", 2, 8), 115 * S, 115 * S);
	see(&l, NULL, 117 * S);
	assert_true(lease_core_leading(&l, 117 * S));
	assert_int_equal(lease_core_next(&l, 124 * S), LEASE_STEP_CREATE);
	assert_int_equal(lease_core_next(&l, 125 * S), LEASE_STEP_WAIT);
	assert_int_equal(lease_core_next(&l, 132 * S), LEASE_STEP_CREATE);
	lease_core_done(&l);
}

/* Somebody may write any duration there: it is no longer than any worker's. */
static void test_a_duration_that_nobody_has(void **state)
{
	(void)state;
	struct lease_core l;
	start(&l);
	json_t *o = lease_of("nobody", 1, 7);
	json_object_set_new(json_object_get(o, "spec"), "leaseDurationSeconds", json_integer(INT32_MAX));
	see(&l, o, 100 * S);
	assert_int_equal(lease_core_next(&l, 3699 * S), LEASE_STEP_WAIT);
	assert_int_equal(lease_core_next(&l, 3700 * S), LEASE_STEP_TAKE);
	see(&l, NULL, 3700 * S);
	assert_int_equal(lease_core_next(&l, 7300 * S), LEASE_STEP_CREATE);
	lease_core_done(&l);
}

static void test_no_lease(void **state)
{
	(void)state;
	struct lease_core l;
	struct err e;
	start(&l);
	see(&l, lease_of("you", 1, 7), 100 * S);
	json_t *bad[] = {json_pack("{s:{}}", "spec"), json_pack("{s:{s:s}}", "metadata", "resourceVersion", "8"),
	    json_pack("{s:{s:i},s:{}}", "metadata", "resourceVersion", 8, "spec")};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_non_null(bad[i]);
		assert_int_equal(lease_core_saw(&l, bad[i], 101 * S, &e), ERR_INVALID);
		json_decref(bad[i]);
	}
	assert_string_equal(l.view.version, "7");
	assert_string_equal(l.view.holder, "you");
	lease_core_done(&l);
}

static void test_notes(void **state)
{
	(void)state;
	struct lease_core l;
	start(&l);
	lease_core_hash(&l, "H1", 0);
	json_t *o = lease_of("me", 1, 7);
	json_object_set_new(json_object_get(o, "metadata"), "annotations",
	    json_pack("{s:s,s:s,s:s}", "theirs", "stays", "old", "goes", "x", "1"));
	see(&l, o, 100 * S);
	json_t *notes = json_pack("{s:s,s:n}", "x", "2", "old");
	o = lease_core_body(&l, LEASE_STEP_RENEW, notes, 0);
	json_decref(notes);
	assert_string_equal(note_in(o, "theirs"), "stays");
	assert_string_equal(note_in(o, "x"), "2");
	assert_string_equal(note_in(o, NOTE_CONFIG), "H1");
	assert_null(note_in(o, "old"));
	json_decref(o);
	lease_core_done(&l);
}

/* --- dissent --- */

static json_t *with_version(json_t *o, int version)
{
	json_object_set_new(json_object_get(o, "metadata"), "resourceVersion", json_sprintf("%d", version));
	return o;
}

static void test_dissent(void **state)
{
	(void)state;
	struct lease_core leader, other;
	lease_core_init(&leader, &config, "ns", "leader");
	lease_core_init(&other, &config, "ns", "other");
	lease_core_hash(&leader, "H1", 100 * S);
	see(&leader, NULL, 100 * S);
	wrote(&leader, with_version(lease_core_body(&leader, LEASE_STEP_CREATE, NULL, 0), 1), 100 * S, 100 * S);
	assert_true(lease_core_disputed(&leader, 101 * S)); /* nobody had the time to disagree */
	leader.led_from = 110 * S;
	assert_false(lease_core_disputed(&leader, 115 * S));

	see(&other, json_deep_copy(leader.object), 115 * S);
	assert_null(lease_core_dissent(&other, 115 * S, 0)); /* has no digest */
	lease_core_hash(&other, "H1", 115 * S);
	assert_null(lease_core_dissent(&other, 115 * S, 0)); /* the same */
	lease_core_hash(&other, "H2", 115 * S);
	json_t *o = lease_core_dissent(&other, 115 * S, 0);
	assert_string_equal(note_in(o, NOTE_DISSENT), "H2 other 1970-01-01T00:00:00.000000Z");
	assert_true(json_equal(json_object_get(o, "spec"), json_object_get(leader.object, "spec")));
	see(&other, json_deep_copy(with_version(o, 2)), 115 * S);
	other.dissented = 115 * S;
	assert_null(lease_core_dissent(&other, 129 * S, 0)); /* said a moment ago */
	json_t *again = lease_core_dissent(&other, 130 * S, 7 * S);
	assert_non_null(again);
	json_decref(again);

	see(&leader, o, 116 * S);
	assert_true(lease_core_disputed(&leader, 116 * S));
	leader.led_from = 155 * S;
	assert_true(lease_core_disputed(&leader, 161 * S - 1));
	assert_false(lease_core_disputed(&leader, 161 * S)); /* not repeated for three durations */
	leader.dissent_seen = 161 * S;
	lease_core_hash(&leader, "H2", 161 * S); /* the leader follows */
	assert_true(lease_core_disputed(&leader, 161 * S));
	leader.led_from = 175 * S;
	assert_false(lease_core_disputed(&leader, 176 * S));

	see(&other, with_version(lease_core_body(&leader, LEASE_STEP_RENEW, NULL, 0), 3), 176 * S);
	o = lease_core_dissent(&other, 176 * S, 0);
	assert_non_null(o); /* takes it back */
	assert_null(note_in(o, NOTE_DISSENT));
	json_decref(o);
	assert_false(lease_core_leading(&leader, 185 * S));
	assert_true(lease_core_disputed(&leader, 185 * S));
	lease_core_done(&leader);
	lease_core_done(&other);
}

/* --- the property --- */

#define CANDIDATES 3

static uint64_t seed;

static uint64_t dice(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

/* One candidate's process: an exchange is under way, or it waits to begin one. */
struct candidate {
	struct lease_core core;
	double rate;	/* of its clock, of true time */
	int64_t offset; /* of its clock */
	int64_t at;	/* true time of its next step */
	enum { IDLE, AT_SERVER, ANSWERED } phase;
	enum lease_step step; /* WAIT: a GET */
	bool knows, release;
	int64_t started; /* by its clock */
	json_t *body, *answer;
	bool conflict;
};

struct world {
	struct lease_config config;
	struct candidate c[CANDIDATES];
	json_t *lease;
	int64_t now, delete_at;
	int version, names;
	bool deletes, restarts;
	unsigned elected, twice;
};

static int64_t local(const struct world *w, const struct candidate *c)
{
	return c->offset + (int64_t)((double)w->now * c->rate);
}

/* Mostly quick, now and then a moment, sometimes longer than a Lease. */
static int64_t delay(void)
{
	uint64_t kind = dice(20);
	return (int64_t)(kind == 0 ? dice(40) * (uint64_t)S : dice(kind < 5 ? 4000 : 200) * 1000000) + 1;
}

static void born(struct world *w, struct candidate *c)
{
	char name[32];
	snprintf(name, sizeof(name), "c%d", w->names++);
	lease_core_done(&c->core);
	json_decref(c->body);
	json_decref(c->answer);
	double rate = c->rate;
	*c = (struct candidate){.rate = rate, .offset = (int64_t)dice(1000) * S + S, .at = w->now + delay()};
	lease_core_init(&c->core, &w->config, "ns", name);
}

static void begin(struct world *w, struct candidate *c)
{
	int64_t now = local(w, c);
	c->release = false;
	/* What is known may be old by now: then the version refuses the write. */
	c->step = c->knows ? lease_core_next(&c->core, now) : LEASE_STEP_WAIT;
	c->started = now;
	if (c->step == LEASE_STEP_RENEW && dice(20) == 0) {
		c->core.led_from = 0;
		c->release = true;
		c->body = lease_core_release(&c->core, 0);
	} else if (c->step != LEASE_STEP_WAIT) {
		c->body = lease_core_body(&c->core, c->step, NULL, (int64_t)dice(1u << 30) * S);
	}
	c->phase = AT_SERVER;
}

/* A PUT that is repeated by nobody, a POST where there is none. */
static bool applies(const struct world *w, const struct candidate *c)
{
	if (c->step == LEASE_STEP_CREATE)
		return !w->lease;
	const char *have = text_at(w->lease, "metadata", "resourceVersion");
	const char *want = text_at(c->body, "metadata", "resourceVersion");
	return have && want && strcmp(have, want) == 0;
}

static void serve(struct world *w, struct candidate *c)
{
	c->conflict = c->body && !applies(w, c);
	if (c->body && !c->conflict) {
		json_decref(w->lease);
		w->lease = with_version(c->body, ++w->version);
		c->body = NULL;
	}
	json_decref(c->body);
	c->body = NULL;
	c->answer = w->lease ? json_deep_copy(w->lease) : NULL;
	c->phase = ANSWERED;
}

static void end(struct world *w, struct candidate *c)
{
	struct err e;
	int64_t now = local(w, c);
	c->phase = IDLE;
	bool lost = dice(8) == 0, led = lease_core_leading(&c->core, now);
	c->knows = !lost && !c->conflict;
	if (c->knows) {
		enum err_code rc = c->step != LEASE_STEP_WAIT && !c->release
				       ? lease_core_wrote(&c->core, c->answer, c->started, now, &e)
				       : lease_core_saw(&c->core, c->answer, now, &e);
		assert_int_equal(rc, ERR_OK);
	}
	json_decref(c->answer);
	c->answer = NULL;
	w->elected += !led && lease_core_leading(&c->core, now);
}

static void advance(struct world *w, struct candidate *c)
{
	if (w->restarts && dice(60) == 0)
		born(w, c);
	else if (c->phase == IDLE)
		begin(w, c);
	else if (c->phase == AT_SERVER)
		serve(w, c);
	else
		end(w, c);
	c->at = w->now + delay() + (c->phase == IDLE ? (int64_t)((double)w->config.retry / c->rate) : 0);
}

static void run_world(struct world *w, unsigned steps)
{
	for (int i = 0; i < CANDIDATES; i++) {
		w->c[i].rate = 0.84 + (double)dice(350) / 1000; /* at most 1.42 times another's */
		born(w, &w->c[i]);
	}
	for (unsigned n = 0; n < steps; n++) {
		struct candidate *next = &w->c[0];
		for (int i = 1; i < CANDIDATES; i++)
			next = w->c[i].at < next->at ? &w->c[i] : next;
		w->now = next->at;
		advance(w, next);
		if (w->deletes && w->now >= w->delete_at) {
			w->delete_at = w->now + (int64_t)(150 + dice(100)) * S;
			json_decref(w->lease);
			w->lease = NULL;
		}
		int leading = 0;
		for (int i = 0; i < CANDIDATES; i++)
			leading += lease_core_leading(&w->c[i].core, local(w, &w->c[i]));
		w->twice += leading > 1;
	}
	for (int i = 0; i < CANDIDATES; i++) {
		lease_core_done(&w->c[i].core);
		json_decref(w->c[i].body);
		json_decref(w->c[i].answer);
	}
	json_decref(w->lease);
}

/* Deletions are further apart than any pause: two between two looks of one candidate look like none. */
static void test_never_two_leaders(void **state)
{
	(void)state;
	unsigned elected = 0;
	for (unsigned i = 0; i < 120; i++) {
		struct world w = {.config = config, .deletes = i & 1, .restarts = i & 2};
		seed = i + 1;
		run_world(&w, 1500);
		if (w.twice)
			fail_msg("two leaders with seed %u", i + 1);
		elected += w.elected;
	}
	assert_true(elected > 120 * 10); /* and yet they lead */
}

/* The same with a deadline behind the duration: the simulation can find what it looks for. */
static void test_simulation_finds_two_leaders(void **state)
{
	(void)state;
	unsigned twice = 0;
	for (unsigned i = 0; i < 10; i++) {
		struct world w = {.config = config};
		w.config.renew_deadline = 30 * S;
		seed = i + 1;
		run_world(&w, 1500);
		twice += w.twice;
	}
	assert_true(twice > 0);
}

/* --- the configuration --- */

static void test_configuration(void **state)
{
	(void)state;
	static const struct schema_row cases[] = {
	    {"enabled: true", NULL},
	    {"leaseDuration: 2s\nrenewDeadline: 1500ms\nretryPeriod: 300ms", NULL},
	    {"leaseDuration: 1s\nrenewDeadline: 700ms\nretryPeriod: 100ms", NULL},
	    {"leaseDuration: 1500ms\nrenewDeadline: 1s\nretryPeriod: 100ms", "f:1:16: error: leaseDuration: must be whole"},
	    {"leaseDuration: 10s", "f:1:1: error: renewDeadline: must be less than leaseDuration"},
	    {"enabled: true\nrenewDeadline: 15s", "f:2:16: error: renewDeadline: must be less"},
	    {"retryPeriod: 9s", "f:1:14: error: retryPeriod: renewDeadline must be more than 1.2"},
	    {"renewDeadline: 12s\nretryPeriod: 10s", "f:2:14: error: retryPeriod"},
	    {"name: \"a/b\"", "f:1:7: error: name: no name"},
	    {"name: \"\"", "f:1:7: error: name: no name"},
	    {"namespace: Team", "f:1:12: error: namespace: no name"},
	    {"identity: x", "f:1:1: error:"},
	};
	struct lease_config c;
	check_schema_rows(&lease_config_schema, &c, cases, ARRAY_LEN(cases));
}

static void test_times(void **state)
{
	(void)state;
	assert_int_equal(lease_timeout(&config, 10 * S), 4 * S);
	assert_int_equal(lease_timeout(&config, 1 * S), 1 * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_decision),
	    cmocka_unit_test(test_first_lease),
	    cmocka_unit_test(test_a_duration_that_nobody_has),
	    cmocka_unit_test(test_taking_counts_and_keeps_what_others_wrote),
	    cmocka_unit_test(test_expiry_by_what_was_seen),
	    cmocka_unit_test(test_leads_from_the_start_of_the_write),
	    cmocka_unit_test(test_late_answer),
	    cmocka_unit_test(test_deleted),
	    cmocka_unit_test(test_no_lease),
	    cmocka_unit_test(test_notes),
	    cmocka_unit_test(test_dissent),
	    cmocka_unit_test(test_never_two_leaders),
	    cmocka_unit_test(test_simulation_finds_two_leaders),
	    cmocka_unit_test(test_configuration),
	    cmocka_unit_test(test_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
