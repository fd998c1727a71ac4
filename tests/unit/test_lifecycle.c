/* Proves the phases of records: who loses what when, that time alone only goes one way, and when to look again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "rbac-sync/lifecycle.h"
#include "tests/support/draw.h"

#define DAY INT64_C(86400)
#define DAYS(n) ((n) * DAY * CLOCK_SECOND)
#define T0 INT64_C(1700000000) /* last seen */

static const struct lifecycle_config only_stale = {.stale_after = DAYS(30)};
static const struct lifecycle_config all = {
    .stale_after = DAYS(30), .disable_after = DAYS(90), .delete_after = DAYS(180), .disable_gone = true};
static const struct lifecycle_config shy = {
    .stale_after = DAYS(30), .disable_after = DAYS(90), .delete_after = DAYS(180)};
static const struct lifecycle_config gone_only = {.disable_gone = true};
static const struct lifecycle_config gone_delete = {.delete_after = DAYS(10), .disable_gone = true};

static const struct record_binding grants[] = {
    {.id = {KIND_NAMESPACE, NULL, "u-alice"}}, {.id = {KIND_ROLE_BINDING, "u-alice", "b"}}};

#define SEEN .last_seen = T0, .created = T0 - 5 * DAY
#define NEVER INT64_MAX

struct row {
	const char *name;
	const struct lifecycle_config *c;
	struct record r;
	enum directory_word word;
	int64_t now;
	struct life want;
};

static const struct row rows[] = {
    {"fresh, nothing planned but stale", &only_stale, {SEEN}, 0, T0, {.next = T0 + 30 * DAY}},
    {"one second before stale", &only_stale, {SEEN}, 0, T0 + 30 * DAY - 1, {.next = T0 + 30 * DAY}},
    {"stale on the second", &only_stale, {SEEN}, 0, T0 + 30 * DAY, {.state = LIFE_STALE, .next = NEVER}},
    {"stale for ever", &only_stale, {SEEN}, 0, T0 + 30000 * DAY, {.state = LIFE_STALE, .next = NEVER}},
    {"dates are told while active", &all, {SEEN}, DIRECTORY_PRESENT, T0,
	{.disable_after = T0 + 90 * DAY, .delete_after = T0 + 180 * DAY, .next = T0 + 30 * DAY}},
    {"stale, disabling is next", &all, {SEEN}, 0, T0 + 31 * DAY,
	{LIFE_STALE, NULL, T0 + 90 * DAY, T0 + 180 * DAY, T0 + 90 * DAY}},
    {"disabled on the second", &all, {SEEN}, 0, T0 + 90 * DAY,
	{LIFE_DISABLED, NULL, T0 + 90 * DAY, T0 + 180 * DAY, T0 + 180 * DAY}},
    {"a clock that jumped far disables and deletes nobody", &all, {SEEN}, 0, T0 + 9000 * DAY,
	{LIFE_DISABLED, NULL, T0 + 90 * DAY, T0 + 9090 * DAY, T0 + 9090 * DAY}},
    {"disabled late: deleted as late", &all,
	{SEEN, .phase = PHASE_DISABLED, .disabled_at = T0 + 100 * DAY}, 0, T0 + 185 * DAY,
	{LIFE_DISABLED, NULL, T0 + 90 * DAY, T0 + 190 * DAY, T0 + 190 * DAY}},
    {"deleted on the second", &all, {SEEN, .phase = PHASE_DISABLED, .disabled_at = T0 + 90 * DAY}, 0,
	T0 + 180 * DAY, {LIFE_DELETED, NULL, T0 + 90 * DAY, T0 + 180 * DAY, NEVER}},
    {"disabledAt of another phase does not count", &all,
	{SEEN, .phase = PHASE_READY, .disabled_at = T0 - 900 * DAY}, 0, T0 + 180 * DAY,
	{LIFE_DISABLED, NULL, T0 + 90 * DAY, T0 + 270 * DAY, T0 + 270 * DAY}},
    {"seen again: active again", &all,
	{.last_seen = T0 + 100 * DAY, .phase = PHASE_DISABLED, .disabled_at = T0 + 95 * DAY}, 0, T0 + 101 * DAY,
	{LIFE_ACTIVE, NULL, T0 + 190 * DAY, T0 + 280 * DAY, T0 + 130 * DAY}},
    {"never seen: counted from its making", &only_stale, {.created = T0}, 0, T0 + 30 * DAY,
	{.state = LIFE_STALE, .next = NEVER}},
    {"no time known at all: time does nothing", &all, {0}, 0, T0, {.next = NEVER}},
    {"seen in the future", &only_stale, {.last_seen = T0 + DAY}, 0, T0, {.next = T0 + 31 * DAY}},
    {"seen at the end of time", &all, {.last_seen = INT64_MAX - 1}, 0, T0, {.next = NEVER}},
    {"gone: disabled at once", &all, {SEEN}, DIRECTORY_GONE, T0 + DAY,
	{LIFE_DISABLED, NULL, T0 + 90 * DAY, T0 + 180 * DAY, T0 + 180 * DAY}},
    {"gone, and late: not deleted before the pause", &all, {SEEN}, DIRECTORY_GONE, T0 + 170 * DAY,
	{LIFE_DISABLED, NULL, T0 + 90 * DAY, T0 + 260 * DAY, T0 + 260 * DAY}},
    {"gone does nothing unless asked for", &shy, {SEEN}, DIRECTORY_GONE, T0 + DAY,
	{LIFE_ACTIVE, NULL, T0 + 90 * DAY, T0 + 180 * DAY, T0 + 30 * DAY}},
    {"missing is not gone", &all, {SEEN}, DIRECTORY_MISSING, T0 + DAY,
	{LIFE_ACTIVE, NULL, T0 + 90 * DAY, T0 + 180 * DAY, T0 + 30 * DAY}},
    {"gone without deleteAfter stays disabled", &gone_only, {SEEN}, DIRECTORY_GONE, T0 + 999 * DAY,
	{.state = LIFE_DISABLED, .next = NEVER}},
    {"gone and deleted", &gone_delete, {SEEN, .phase = PHASE_DISABLED, .disabled_at = T0 + DAY},
	DIRECTORY_GONE, T0 + 11 * DAY, {LIFE_DELETED, NULL, 0, T0 + 11 * DAY, NEVER}},
    {"known as gone from before a restart: still disabled", &gone_delete,
	{SEEN, .phase = PHASE_DISABLED, .disabled_at = T0 + DAY, .missing_since = T0 + DAY}, 0, T0 + 11 * DAY,
	{.state = LIFE_DISABLED, .next = NEVER}},
    {"the same while one poll says missing", &gone_delete,
	{SEEN, .phase = PHASE_DISABLED, .disabled_at = T0 + DAY, .missing_since = T0 + DAY}, DIRECTORY_MISSING,
	T0 + 99 * DAY, {.state = LIFE_DISABLED, .next = NEVER}},
    {"what the memory does not hold: one who was never disabled", &gone_delete,
	{SEEN, .phase = PHASE_READY, .missing_since = T0 + DAY}, DIRECTORY_MISSING, T0 + 99 * DAY, {.next = NEVER}},
    {"nor one who still has a binding: their removal was blocked", &gone_delete,
	{SEEN, .phase = PHASE_DISABLED, .disabled_at = T0 + DAY, .missing_since = T0 + DAY, .bindings = grants,
	    .nbindings = 2}, 0, T0 + DAY, {.next = NEVER}},
    {"a namespace is no grant", &gone_delete,
	{SEEN, .phase = PHASE_DISABLED, .disabled_at = T0 + DAY, .missing_since = T0 + DAY, .bindings = grants,
	    .nbindings = 1}, 0, T0 + DAY, {.state = LIFE_DISABLED, .next = NEVER}},
    {"the word itself takes away what is left", &gone_only,
	{SEEN, .phase = PHASE_DISABLED, .disabled_at = T0 + DAY, .missing_since = T0 + DAY, .bindings = grants,
	    .nbindings = 2}, DIRECTORY_GONE, T0 + DAY, {.state = LIFE_DISABLED, .next = NEVER}},
    {"back in the directory", &gone_delete, {SEEN, .phase = PHASE_DISABLED, .missing_since = T0 + DAY},
	DIRECTORY_PRESENT, T0 + 2 * DAY, {.next = NEVER}},
    {"a memory of gone counts only where gone does", &shy, {SEEN, .missing_since = T0}, 0, T0 + DAY,
	{LIFE_ACTIVE, NULL, T0 + 90 * DAY, T0 + 180 * DAY, T0 + 30 * DAY}},
    {"a memory deletes when time says so too", &all,
	{SEEN, .phase = PHASE_DISABLED, .disabled_at = T0 + DAY, .missing_since = T0}, 0, T0 + 180 * DAY,
	{LIFE_DELETED, NULL, T0 + 90 * DAY, T0 + 180 * DAY, NEVER}},
    {"suspended", &all, {SEEN, .state = RECORD_STATE_SUSPENDED}, DIRECTORY_PRESENT, T0,
	{.state = LIFE_SUSPENDED, .next = NEVER}},
    {"suspended is never deleted by time", &all,
	{SEEN, .state = RECORD_STATE_SUSPENDED, .phase = PHASE_DISABLED, .disabled_at = T0}, DIRECTORY_GONE,
	T0 + 999 * DAY, {.state = LIFE_SUSPENDED, .next = NEVER}},
    {"suspended in spite of keep", &all, {SEEN, .state = RECORD_STATE_SUSPENDED, .keep = true}, 0, T0,
	{.state = LIFE_SUSPENDED, .next = NEVER}},
    {"kept by its spec", &all, {SEEN, .keep = true}, DIRECTORY_GONE, T0 + 999 * DAY, {.next = NEVER}},
    {"kept by its label", &all, {SEEN, .keep_label = true}, DIRECTORY_GONE, T0 + 999 * DAY, {.next = NEVER}},
    {"an admin's Active undoes time and directory", &all,
	{SEEN, .state = RECORD_STATE_ACTIVE, .phase = PHASE_DISABLED, .disabled_at = T0, .missing_since = T0},
	DIRECTORY_GONE, T0 + 999 * DAY, {.next = NEVER}},
    {"being deleted, whatever it says", &all, {SEEN, .deleting = true, .keep = true}, 0, T0,
	{.state = LIFE_DELETED, .next = NEVER}},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *w = &rows[i];
		struct life got;
		lifecycle(&w->r, w->c, w->word, w->now, &got);
		if (got.state != w->want.state || got.disable_after != w->want.disable_after ||
		    got.delete_after != w->want.delete_after || got.next != w->want.next ||
		    !got.why != (got.state == LIFE_ACTIVE))
			fail_msg("%s: state %d, disable %+lld, delete %+lld, next %lld", w->name, got.state,
			    (long long)(got.disable_after - T0), (long long)(got.delete_after - T0),
			    (long long)got.next);
	}
}

/* As the caller does between two looks. */
static void settle(struct record *r, const struct life *l, enum directory_word word, int64_t now)
{
	static const enum record_phase phases[] = {PHASE_READY, PHASE_STALE, PHASE_DISABLED, PHASE_DISABLED,
	    PHASE_DELETED};
	r->phase = phases[l->state];
	if (l->state != LIFE_DISABLED && l->state != LIFE_DELETED)
		r->disabled_at = 0;
	else if (!r->disabled_at)
		r->disabled_at = now;
	if (word == DIRECTORY_GONE && !r->missing_since)
		r->missing_since = now;
	else if (word == DIRECTORY_PRESENT)
		r->missing_since = 0;
}

static void draw_case(struct lifecycle_config *c, struct record *r)
{
	*c = (struct lifecycle_config){
	    .stale_after = (int64_t)draw(4) * 7 * CLOCK_SECOND,
	    .disable_after = (int64_t)draw(4) * 9 * CLOCK_SECOND,
	    .delete_after = (int64_t)draw(4) * 14 * CLOCK_SECOND + (int64_t)draw(2),
	    .disable_gone = draw(2),
	};
	*r = (struct record){
	    .created = draw(5) ? T0 : 0,
	    .last_seen = draw(3) ? T0 + (int64_t)draw(5) : 0,
	    .missing_since = draw(4) ? 0 : T0,
	    .keep = !draw(12),
	    .keep_label = !draw(12),
	    .state = draw(6) ? RECORD_STATE_UNSET : (enum record_state)draw(3),
	    .deleting = !draw(20),
	};
}

/* Second by second: never backwards, and a change exactly where `next` said it would be. */
static void test_time_goes_one_way_and_next_is_exact(void **state)
{
	(void)state;
	for (int i = 0; i < 4000; i++) {
		struct lifecycle_config c;
		struct record r;
		struct life was, is;
		draw_case(&c, &r);
		enum directory_word word = (enum directory_word)draw(4);
		lifecycle(&r, &c, word, T0, &was);
		settle(&r, &was, word, T0);
		for (int64_t now = T0 + 1; now < T0 + 150; now++) {
			lifecycle(&r, &c, word, now, &is);
			assert_true(is.state >= was.state);
			if ((now == was.next) != (is.state != was.state))
				fail_msg("case %d at %+lld: %d to %d, next was %+lld", i,
				    (long long)(now - T0), was.state, is.state, (long long)(was.next - T0));
			settle(&r, &is, word, now);
			was = is;
		}
	}
}

/* Nothing but an admin, time or a sure directory takes anything away. */
static void test_nothing_is_lost_without_a_cause(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct lifecycle_config c;
		struct record r;
		struct life l;
		draw_case(&c, &r);
		r.missing_since = 0;
		enum directory_word word = (enum directory_word)draw(3); /* not GONE */
		int64_t now = T0 + (int64_t)draw(200);
		lifecycle(&r, &c, word, now, &l);
		bool loses = l.state >= LIFE_DISABLED;
		bool time_says = c.disable_after && now - T0 >= c.disable_after / CLOCK_SECOND;
		bool admin_says = r.deleting || r.state == RECORD_STATE_SUSPENDED;
		assert_true(!loses || time_says || admin_says);
		assert_true(l.state != LIFE_DELETED || r.deleting); /* was never disabled */
	}
}

/* --- groups --- */

struct group_row {
	const char *name;
	enum directory_word word;
	int64_t since;	/* of the directory */
	bool judged;	/* there is a directory for it */
	enum record_state state;
	int64_t remembered; /* status: since when; 0: it is not lost there */
	int64_t want;	/* since when it is lost; 0: it counts */
	bool sure;
};

static const struct group_row group_rows[] = {
    {"nothing is known", DIRECTORY_UNKNOWN, 0, true, 0, 0, 0, false},
    {"present", DIRECTORY_PRESENT, 0, true, 0, 0, 0, false},
    {"missing is not lost", DIRECTORY_MISSING, T0, true, 0, 0, 0, false},
    {"lost", DIRECTORY_GONE, T0 - 5, true, 0, 0, T0 - 5, true},
    {"lost, nobody knows since when", DIRECTORY_GONE, 0, true, 0, 0, T0, true},
    {"lost still: the first time is kept", DIRECTORY_GONE, T0 - 5, true, 0, T0 - 9, T0 - 9, true},
    {"a memory lasts while nothing is known", DIRECTORY_UNKNOWN, 0, true, 0, T0 - 9, T0 - 9, false},
    {"a memory lasts while it is missing", DIRECTORY_MISSING, T0 - 1, true, 0, T0 - 9, T0 - 9, false},
    {"a memory ends with one good poll that has it", DIRECTORY_PRESENT, 0, true, 0, T0 - 9, 0, false},
    {"nobody judges it any more", DIRECTORY_UNKNOWN, 0, false, 0, T0 - 9, 0, false},
    {"nobody judges it", DIRECTORY_GONE, T0, false, 0, 0, 0, false},
    {"an admin's word", DIRECTORY_GONE, T0, true, RECORD_STATE_ACTIVE, T0 - 9, 0, false},
    {"suspended is another matter", DIRECTORY_GONE, T0, true, RECORD_STATE_SUSPENDED, T0 - 9, T0 - 9, true},
};

static void test_groups(void **state)
{
	(void)state;
	/* The other one is lost for good, stands there twice, and is not disturbed. */
	static const struct slice groups[] = {SLICE("z"), SLICE("g"), SLICE("z")};
	for (size_t i = 0; i < ARRAY_LEN(group_rows); i++) {
		const struct group_row *w = &group_rows[i];
		AUTO(arena_done) struct arena a = {0};
		const struct record_lost had[] = {{SLICE("forgotten"), T0, "corp", false}, {SLICE("g"), w->remembered, "old", false}};
		struct record r = {.identity = {.groups = groups, .ngroups = 3}, .state = w->state, .lost = had,
		    .nlost = w->remembered ? 2 : 1};
		const struct directory_claim other = {DIRECTORY_GONE, T0 - 3, "corp"};
		const struct directory_claim claims[] = {other, {w->word, w->since, w->judged ? "corp" : NULL}, other};
		lifecycle_groups(&a, &r, claims, T0);
		const struct record_lost *g = record_lost(&r, SLICE("g")), *z = record_lost(&r, SLICE("z"));
		bool active = w->state == RECORD_STATE_ACTIVE;
		assert_int_equal(r.nlost, (size_t)(w->want > 0) + !active);
		assert_true(active || (z && z->since == T0 - 3 && z->sure));
		if (!g != !w->want || (g && (g->since != w->want || g->sure != w->sure ||
		    strcmp(g->directory, w->sure ? "corp" : "old") != 0)))
			fail_msg("%s", w->name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_time_goes_one_way_and_next_is_exact),
	    cmocka_unit_test(test_nothing_is_lost_without_a_cause),
	    cmocka_unit_test(test_groups),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
