/* Proves windows: bounds, weekly hours, the days when clocks change, and all of it against a minute-by-minute
 * evaluator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/window.h"

#define MINUTE (60 * CLOCK_SECOND)
#define WORKDAYS 0x1F
#define EVERY_DAY 0x7F
#define FOREVER .from = WINDOW_ALWAYS_FROM, .until = WINDOW_ALWAYS_UNTIL

static int64_t moment(const char *text)
{
	int64_t ns = 0;
	if (!clock_parse_rfc3339(slice_of(text), &ns))
		fail_msg("not a time: %s", text);
	return ns;
}

static const struct zone *zone(struct arena *a, const char *name)
{
	const struct zone *z = NULL;
	struct err e = {0};
	if (name && zone_load(a, ZONE_DIR, name, &z, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	return z;
}

static bool holds(const struct window *w, int64_t t)
{
	bool at = window_covers(w, t, t);
	assert_int_equal(at, window_meets(w, t, t));
	return at;
}

static void test_bounds(void **state)
{
	(void)state;
	struct arena a = {0};
	const struct window *w =
	    window_new(&a, &(struct window_spec){.from = 1000, .until = 2000}, NULL);
	assert_false(holds(w, INT64_MIN));
	assert_false(holds(w, 999));
	assert_true(holds(w, 1000));
	assert_true(holds(w, 1999));
	assert_false(holds(w, 2000));
	assert_false(holds(w, INT64_MAX));
	assert_true(window_covers(w, 1000, 1999));
	assert_false(window_covers(w, 1500, 2000));
	assert_false(window_covers(w, 999, 1500));
	assert_true(window_meets(w, 0, 1000));
	assert_false(window_meets(w, 0, 999));
	assert_false(window_meets(w, 2000, 5000));
	assert_int_equal(window_next(w, INT64_MIN), 1000);
	assert_int_equal(window_next(w, 999), 1000);
	assert_int_equal(window_next(w, 1000), 2000);
	assert_int_equal(window_next(w, 1999), 2000);
	assert_int_equal(window_next(w, 2000), INT64_MAX);
	assert_int_equal(window_until(w), 2000);
	arena_done(&a);
}

static void test_open_bounds(void **state)
{
	(void)state;
	struct arena a = {0};
	const struct window *always = window_new(&a, &(struct window_spec){FOREVER}, NULL);
	assert_true(window_covers(always, INT64_MIN, INT64_MAX - 1));
	assert_int_equal(window_next(always, 0), INT64_MAX);
	const struct window *never = window_new(
	    &a, &(struct window_spec){FOREVER}, &(struct window_spec){FOREVER});
	assert_false(window_meets(never, INT64_MIN, INT64_MAX));
	assert_int_equal(window_next(never, 0), INT64_MAX);
	/* All but one hour. */
	const struct window *but = window_new(&a, &(struct window_spec){FOREVER},
	    &(struct window_spec){.from = 10, .until = 20});
	assert_int_equal(window_next(but, 0), 10);
	assert_int_equal(window_next(but, 10), 20);
	assert_int_equal(window_next(but, 20), INT64_MAX);
	assert_true(holds(but, 20));
	arena_done(&a);
}

/* Weekly hours at one moment, and the next change after it. */
static void test_hours(void **state)
{
	(void)state;
	static const struct window_hours office = {480, 1080}, night = {1320, 360}, day = {0, 1440},
					 twice = {150, 180};
	static const struct {
		const char *zone;
		uint8_t days;
		const struct window_hours *hours;
		const char *at;
		bool holds;
		const char *next;
	} rows[] = {
	    /* 2026-11-22 is a Sunday. */
	    {"UTC", WORKDAYS, &office, "2026-11-22T12:00:00Z", false, "2026-11-23T08:00:00Z"},
	    {"UTC", WORKDAYS, &office, "2026-11-23T07:59:59.999999999Z", false, "2026-11-23T08:00:00Z"},
	    {"UTC", WORKDAYS, &office, "2026-11-23T08:00:00Z", true, "2026-11-23T18:00:00Z"},
	    {"UTC", WORKDAYS, &office, "2026-11-23T18:00:00Z", false, "2026-11-24T08:00:00Z"},
	    {"Europe/Berlin", WORKDAYS, &office, "2026-11-23T07:00:00Z", true, "2026-11-23T17:00:00Z"},
	    {"Europe/Berlin", WORKDAYS, &office, "2026-07-01T06:00:00Z", true, "2026-07-01T16:00:00Z"},
	    {"Asia/Kolkata", WORKDAYS, &office, "2026-11-23T02:29:59Z", false, "2026-11-23T02:30:00Z"},
	    /* Over midnight: the range of Friday ends on Saturday; Sunday night is not among them. */
	    {"UTC", WORKDAYS, &night, "2026-11-20T23:00:00Z", true, "2026-11-21T06:00:00Z"},
	    {"UTC", WORKDAYS, &night, "2026-11-21T22:30:00Z", false, "2026-11-23T22:00:00Z"},
	    {"UTC", WORKDAYS, &night, "2026-11-23T03:00:00Z", false, "2026-11-23T22:00:00Z"},
	    {"UTC", 0x40, &night, "2026-11-22T23:00:00Z", true, "2026-11-23T06:00:00Z"},
	    /* Whole days touch. */
	    {"UTC", WORKDAYS, &day, "2026-11-23T00:00:00Z", true, "2026-11-28T00:00:00Z"},
	    {"UTC", EVERY_DAY, &day, "2026-11-23T00:00:00Z", true, NULL},
	    {"Europe/Berlin", EVERY_DAY, &day, "2026-11-23T00:00:00Z", true, NULL},
	    /* Spring: 02:30 to 03:00 does not come on 29 March. */
	    {"Europe/Berlin", EVERY_DAY, &twice, "2026-03-28T01:30:00Z", true, "2026-03-28T02:00:00Z"},
	    {"Europe/Berlin", EVERY_DAY, &twice, "2026-03-28T02:00:00Z", false, "2026-03-30T00:30:00Z"},
	    /* Autumn: it comes twice on 25 October. */
	    {"Europe/Berlin", EVERY_DAY, &twice, "2026-10-25T00:30:00Z", true, "2026-10-25T01:00:00Z"},
	    {"Europe/Berlin", EVERY_DAY, &twice, "2026-10-25T01:00:00Z", false, "2026-10-25T01:30:00Z"},
	    {"Europe/Berlin", EVERY_DAY, &twice, "2026-10-25T01:30:00Z", true, "2026-10-25T02:00:00Z"},
	    /* Half an hour: 02:00 goes back to 01:30; forth from 02:00 to 02:30. */
	    {"Australia/Lord_Howe", EVERY_DAY, &twice, "2026-10-03T15:30:00Z", true,
		"2026-10-03T16:00:00Z"},
	    {"America/New_York", EVERY_DAY, &twice, "2026-03-08T00:00:00Z", false,
		"2026-03-09T06:30:00Z"},
	    /* Samoa had no 30 December 2011, a Friday. */
	    {"Pacific/Apia", 0x10, &day, "2011-12-30T09:59:59Z", false, "2012-01-05T10:00:00Z"},
	    {"Pacific/Apia", 0x28, &day, "2011-12-30T09:59:59Z", true, "2011-12-31T10:00:00Z"},
	    /* Ramadan: Morocco's clocks go back, and forth again. */
	    {"Africa/Casablanca", EVERY_DAY, &office, "2026-03-01T07:30:00Z", false,
		"2026-03-01T08:00:00Z"},
	    {"Africa/Casablanca", EVERY_DAY, &office, "2026-04-01T07:30:00Z", true,
		"2026-04-01T17:00:00Z"},
	    /* Far past the table. */
	    {"Europe/Berlin", EVERY_DAY, &twice, "2199-03-31T01:00:00Z", false, "2199-04-01T00:30:00Z"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = {0};
		const struct window *w = window_new(&a,
		    &(struct window_spec){FOREVER, .zone = zone(&a, rows[i].zone),
			.days = rows[i].days, .hours = rows[i].hours, .nhours = 1},
		    NULL);
		int64_t at = moment(rows[i].at);
		int64_t want = rows[i].next ? moment(rows[i].next) : INT64_MAX;
		if (holds(w, at) != rows[i].holds || window_next(w, at) != want) {
			char next[CLOCK_RFC3339_LEN];
			clock_rfc3339(window_next(w, at), next);
			fail_msg("%s %s: %d, next %s", rows[i].zone, rows[i].at, holds(w, at), next);
		}
		arena_done(&a);
	}
}

/* --- against the definition, minute by minute --- */

static uint32_t rnd(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

static bool naive_span(const struct window_spec *s, int64_t t)
{
	if (t < s->from || t >= s->until)
		return false;
	if (!s->zone)
		return true;
	int64_t until;
	/* Well after the epoch: no negative numbers to divide. */
	int64_t local = t / CLOCK_SECOND + zone_offset(s->zone, t / CLOCK_SECOND, &until);
	int64_t day = local / 86400, minute = local % 86400 / 60;
	unsigned weekday = (unsigned)((day + 3) % 7), yesterday = (weekday + 6) % 7;
	for (uint32_t i = 0; i < s->nhours; i++) {
		int64_t from = s->hours[i].from, end = s->hours[i].until;
		bool over = end <= from;
		if ((s->days >> weekday & 1) && minute >= from && (over || minute < end))
			return true;
		if (over && (s->days >> yesterday & 1) && minute < end)
			return true;
	}
	return false;
}

static bool naive(const struct window_spec *in, const struct window_spec *except, int64_t t)
{
	return naive_span(in, t) && !(except && naive_span(except, t));
}

struct random_spec {
	struct window_spec spec;
	struct window_hours hours[3];
};

static void random_spec(struct random_spec *r, struct arena *a, uint64_t *seed, int64_t around)
{
	static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York",
	    "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "Africa/Casablanca", NULL};
	*r = (struct random_spec){.spec = {FOREVER, .hours = r->hours}};
	r->spec.zone = zone(a, zones[rnd(seed) % ARRAY_LEN(zones)]);
	if (!r->spec.zone || rnd(seed) % 4 == 0)
		r->spec.from = around + (int64_t)(rnd(seed) % 20000) * MINUTE / 2;
	if (!r->spec.zone || rnd(seed) % 4 == 0)
		r->spec.until = around + (int64_t)(10000 + rnd(seed) % 20000) * MINUTE / 2;
	r->spec.days = (uint8_t)(1 + rnd(seed) % EVERY_DAY);
	r->spec.nhours = 1 + rnd(seed) % 3;
	for (uint32_t i = 0; i < r->spec.nhours; i++) {
		r->hours[i].from = (uint16_t)(rnd(seed) % WINDOW_DAY);
		r->hours[i].until = (uint16_t)(1 + rnd(seed) % WINDOW_DAY);
		if (r->hours[i].until == r->hours[i].from)
			r->hours[i] = (struct window_hours){0, WINDOW_DAY};
	}
}

/* Every change of W in the fortnight from START is one of the definition, at the right minute. */
static void check_fortnight(const struct window *w, const struct window_spec *in,
    const struct window_spec *except, int64_t start)
{
	int64_t next = window_next(w, start);
	bool now = naive(in, except, start);
	for (int64_t t = start; t < start + 20160 * MINUTE; t += MINUTE / 2) {
		bool want = naive(in, except, t);
		if (holds(w, t) != want)
			fail_msg("at %lld: %d", (long long)t, !want);
		if ((want != now) != (t == next))
			fail_msg("change at %lld, not %lld", (long long)t, (long long)next);
		if (t == next)
			next = window_next(w, t);
		now = want;
		int64_t to = t + 7 * MINUTE;
		if (window_covers(w, t, to) != (want && next > to) ||
		    window_meets(w, t, to) != (want || next <= to))
			fail_msg("hold at %lld", (long long)t);
	}
}

static void test_definition(void **state)
{
	(void)state;
	/* Fortnights around what the zones above do in 2020 to 2040, and Samoa's lost day. */
	static const char *const starts[] = {"2026-03-22T00:00:00Z", "2020-10-20T00:00:00Z",
	    "2040-03-05T00:00:00Z", "2038-10-28T00:00:00Z", "2031-04-01T00:00:00Z",
	    "2024-03-08T00:00:00Z", "2011-12-25T00:00:00Z"};
	uint64_t seed = 20261122;
	for (int round = 0; round < 150; round++) {
		struct arena a = {0};
		struct random_spec in, out;
		int64_t start = moment(starts[rnd(&seed) % ARRAY_LEN(starts)]);
		random_spec(&in, &a, &seed, start);
		random_spec(&out, &a, &seed, start);
		const struct window_spec *except = rnd(&seed) % 2 ? &out.spec : NULL;
		check_fortnight(window_new(&a, &in.spec, except), &in.spec, except, start);
		arena_done(&a);
	}
}

/* From 2020 to 2040, each minute. */
static void test_two_decades(void **state)
{
	(void)state;
	static const struct window_hours night = {1350, 135}, noon = {690, 750};
	struct arena a = {0};
	const struct window_spec in = {FOREVER, .zone = zone(&a, "Australia/Lord_Howe"),
	    .days = WORKDAYS, .hours = &night, .nhours = 1};
	const struct window_spec out = {FOREVER, .zone = zone(&a, "Africa/Casablanca"),
	    .days = EVERY_DAY, .hours = &noon, .nhours = 1};
	const struct window *w = window_new(&a, &in, &out);
	int64_t t = moment("2020-01-01T00:00:00Z"), end = moment("2041-01-01T00:00:00Z"), next = t;
	bool now = !naive(&in, &out, t);
	for (; t < end; t += MINUTE) {
		bool want = naive(&in, &out, t);
		if ((want != now) != (t == next))
			fail_msg("change at %lld, not %lld", (long long)t, (long long)next);
		if (t == next)
			next = window_next(w, t);
		now = want;
	}
	arena_done(&a);
}

/* What never changes is known to be so without looking at each week of two centuries. */
static void test_contradictions_end(void **state)
{
	(void)state;
	struct arena a = {0};
	static const struct window_hours morning = {480, 720}, more = {420, 780};
	const struct zone *berlin = zone(&a, "Europe/Berlin");
	const struct window_spec in = {
	    FOREVER, .zone = berlin, .days = WORKDAYS, .hours = &morning, .nhours = 1};
	const struct window_spec out = {
	    FOREVER, .zone = berlin, .days = EVERY_DAY, .hours = &more, .nhours = 1};
	const struct window *w = window_new(&a, &in, &out);
	assert_false(window_meets(w, INT64_MIN, INT64_MAX));
	assert_int_equal(window_next(w, INT64_MIN), INT64_MAX);
	/* An exception that ends. */
	struct window_spec until = out;
	until.until = moment("2100-01-01T00:00:00Z");
	w = window_new(&a, &in, &until);
	assert_int_equal(window_next(w, 0), moment("2100-01-01T07:00:00Z"));
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_open_bounds),
	    cmocka_unit_test(test_hours),
	    cmocka_unit_test(test_definition),
	    cmocka_unit_test(test_two_decades),
	    cmocka_unit_test(test_contradictions_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
