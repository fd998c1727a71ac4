/* Proves when grants hold: begin on time, end a minute late, and tell exactly when that changes next. */
#include "tests/support/due_fixture.h"

#include "common/clock.h"
#include "rbac-sync/due_internal.h"

#define DAY INT64_C(86400)
#define HOUR INT64_C(3600)
#define NEVER INT64_MAX

/* A grant with TIMES beside its role. */
static void open_grant(struct due_fixture *f, const char *times)
{
	struct arena a;
	arena_init(&a, 0);
	due_open(f, arena_printf(&a, "templates:\n- name: t\n  match: {providers: [\"*\"]}\n  grants:\n"
				     "  - clusterRole: view\n    scope: cluster\n%s", times));
	arena_done(&a);
}

static const struct template_time *time_of(const struct due_fixture *f)
{
	const struct template *t = f->config->templates.items;
	return &((const struct template_grant *)t->grants.items)->time;
}

/* DUE_NOW is Monday 12:00 UTC; times are seconds from it. */
static void test_bounds(void **state)
{
	(void)state;
	static const struct {
		const char *times;
		int64_t at, expires, next;
		bool on;
	} rows[] = {
	    {"", 0, 0, NEVER, true},
	    {"    startTime: '2026-11-23T12:00:01Z'\n", 0, 0, 1, false},
	    {"    startTime: '2026-11-23T12:00:00.5Z'\n", 0, 0, 1, false},
	    {"    startTime: '2026-11-23T13:00:00+01:00'\n", 0, 0, NEVER, true},
	    {"    startTime: '2026-11-23T12:00:01Z'\n", 1, 0, NEVER, true},
	    {"    endTime: '2026-11-23T12:00:00Z'\n", -1, 0, 60, true},
	    {"    endTime: '2026-11-23T12:00:00Z'\n", 59, 0, 60, true},
	    {"    endTime: '2026-11-23T12:00:00Z'\n", 60, 0, NEVER, false},
	    {"    startTime: '2026-11-23T11:00:00Z'\n    endTime: '2026-11-23T12:00:00Z'\n", -7200, 0, -3600,
		false},
	    /* Seen an hour ago. */
	    {"    ttl: 1h\n", 0, 0, 60, true},
	    {"    ttl: 1h\n", 60, 0, NEVER, false},
	    {"    ttl: 2h\n    endTime: '2026-11-23T12:30:00Z'\n", 0, 1800, 1860, true},
	    {"    ttl: 1h10m\n    endTime: '2026-11-23T12:30:00Z'\n", 0, 600, 660, true},
	    {"    ttl: 30m\n    startTime: '2026-11-23T12:00:00Z'\n", -10, 0, NEVER, false},
	    /* Weekly hours. */
	    {"    schedule: [{hours: ['08:00-13:00'], tz: UTC}]\n", 0, 3600, 3660, true},
	    {"    schedule: [{hours: ['08:00-12:00'], tz: UTC}]\n", 0, 0, 60, true},
	    {"    schedule: [{hours: ['08:00-12:00'], tz: UTC}]\n", 60, 0, 20 * HOUR, false},
	    {"    schedule: [{hours: ['08:00-12:00'], tz: UTC}]\n    endTime: '2026-11-24T08:00:00Z'\n", 60, 0,
		NEVER, false},
	    {"    schedule: [{hours: ['08:00-12:00'], tz: UTC}]\n    startTime: '2026-11-23T12:00:30Z'\n", 30, 0,
		20 * HOUR, false},
	    {"    schedule: [{hours: ['08:00-13:00'], tz: UTC}]\n    endTime: '2026-11-23T12:30:00Z'\n", 0, 1800,
		1860, true},
	    {"    schedule: [{days: [sat-sun], tz: UTC}]\n", 0, 0, 4 * DAY + 12 * HOUR, false},
	    {"    schedule: [{days: [mon], tz: UTC}]\n", 0, 12 * HOUR, 12 * HOUR + 60, true},
	    {"    schedule: [{hours: ['12:00-13:00'], tz: Europe/Berlin}]\n", 0, 0, 60, true},
	    {"    schedule: [{hours: ['13:00-14:00'], tz: Europe/Berlin}]\n", 0, 3600, 3660, true},
	    {"    schedule: [{hours: ['22:00-06:00'], tz: UTC}]\n", 11 * HOUR, 18 * HOUR, 18 * HOUR + 60, true},
	    {"    schedule: [{days: [mon-fri], hours: ['08:00-18:00'], tz: UTC,\n"
	     "      except: {from: '2026-11-23T00:00:00Z', until: '2026-11-25T00:00:00Z'}}]\n",
		0, 0, DAY + 20 * HOUR, false},
	    /* What is no more than the grace apart is one stay; any of several schedules counts. */
	    {"    schedule: [{hours: ['11:00-12:30', '12:31-14:00'], tz: UTC}]\n", 0, 7200, 7260, true},
	    {"    schedule: [{hours: ['11:00-12:30', '12:32-14:00'], tz: UTC}]\n", 0, 1800, 1860, true},
	    {"    schedule:\n    - {hours: ['11:00-12:30'], tz: UTC}\n    - {hours: ['12:20-14:00'], tz: UTC}\n", 0,
		7200, 7260, true},
	    {"    schedule:\n    - {hours: ['11:00-11:30'], tz: UTC}\n    - {hours: ['14:00-15:00'], tz: UTC}\n", 0, 0,
		7200, false},
	    {"    schedule: [{from: '2026-11-23T12:00:00Z'}]\n", -1, 0, 0, false},
	    {"    schedule: [{from: '2026-11-23T12:00:00Z'}]\n", 0, 0, NEVER, true},
	    {"    schedule: [{until: '2026-11-23T12:00:00Z'}]\n", 60, 0, NEVER, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct due_fixture f;
		struct due_span got;
		open_grant(&f, rows[i].times);
		due_span_at(time_of(&f), f.record.identity.seen_at, DUE_NOW + rows[i].at, &got);
		int64_t next = got.next == NEVER ? NEVER : got.next - DUE_NOW;
		/* An end at DUE_NOW itself is written as 0 above, and so is none. */
		int64_t expires = got.expires ? got.expires - DUE_NOW : 0;
		if (got.on != rows[i].on || next != rows[i].next || expires != rows[i].expires)
			fail_msg("row %zu %s: on %d, next %lld, expires %lld", i, rows[i].times, got.on,
			    (long long)next, (long long)expires);
		due_close(&f);
	}
}

static void test_hours_a_minute_apart_have_no_end(void **state)
{
	(void)state;
	struct due_fixture f;
	struct due_span got;
	open_grant(&f, "    schedule: [{hours: ['00:00-23:59'], tz: UTC}]\n");
	for (int64_t at = 0; at < 10 * DAY; at += 997) {
		due_span_at(time_of(&f), 0, DUE_NOW + at, &got);
		assert_true(got.on);
		assert_int_equal(got.expires, 0);
		/* Far off, but not looked for until the end of time. */
		assert_true(got.next > DUE_NOW + at + 20 * DAY && got.next < DUE_NOW + at + 400 * DAY);
	}
	due_close(&f);
}

static void test_a_clock_out_of_its_mind_gives_nothing(void **state)
{
	(void)state;
	static const int64_t times[] = {INT64_MIN, INT64_MIN / 2, INT64_MAX / 2, INT64_MAX};
	static const char *const grants[] = {"", "    schedule: [{days: [mon], tz: UTC}]\n", "    ttl: 1h\n"};
	for (size_t i = 0; i < ARRAY_LEN(times) * ARRAY_LEN(grants); i++) {
		struct due_fixture f;
		struct due_span got;
		open_grant(&f, grants[i % ARRAY_LEN(grants)]);
		due_span_at(time_of(&f), 0, times[i / ARRAY_LEN(grants)], &got);
		assert_false(got.on);
		due_close(&f);
	}
}

static const char *const schedules[] = {
    "    schedule: [{days: [mon-fri], hours: ['08:00-12:00', '12:01-18:00'], tz: Europe/Berlin}]\n",
    "    schedule: [{hours: ['22:00-06:00'], tz: America/New_York}]\n",
    "    schedule: [{days: [mon], hours: ['08:00-09:00'], tz: UTC}, {days: [mon, tue], hours: ['08:30-10:00'], "
    "tz: Europe/Berlin}]\n",
    "    schedule: [{days: [sat-sun], tz: UTC, except: {from: '2026-11-28T12:00:00Z', until: "
    "'2026-11-28T12:00:30Z'}}]\n",
    "    schedule: [{days: [tue], hours: ['00:00-24:00'], tz: UTC}]\n    startTime: '2026-11-24T10:00:17Z'\n"
    "    endTime: '2026-11-24T20:00:03Z'\n",
    "    schedule: [{from: '2026-11-24T10:00:00Z', until: '2026-11-24T10:00:00.25Z'}]\n",
    "    startTime: '2026-11-25T00:00:00Z'\n    ttl: 72h\n",
};

static bool holds_in(const struct template_time *t, int64_t seen, int64_t second)
{
	if (second < t->start || second >= t->end || (t->ttl && second >= seen + t->ttl))
		return false;
	for (size_t i = 0; i < t->nwindows; i++)
		if (window_covers(t->windows[i], second * CLOCK_SECOND, second * CLOCK_SECOND))
			return true;
	return t->nwindows == 0;
}

/* By the definition, second by second: it holds now, or did in the last minute. */
static void test_holds_by_definition(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(schedules); i++) {
		struct due_fixture f;
		struct due_span got;
		open_grant(&f, schedules[i]);
		const struct template_time *t = time_of(&f);
		int64_t seen = f.record.identity.seen_at, last = INT64_MIN / 2;
		for (int64_t now = DUE_NOW - DAY; now < DUE_NOW + 8 * DAY; now++) {
			last = holds_in(t, seen, now) ? now : last;
			if (now % 7 != 0)
				continue;
			due_span_at(t, seen, now, &got);
			if (got.on != (now - last <= 60))
				fail_msg("%s at %lld", schedules[i], (long long)now);
		}
		due_close(&f);
	}
}

/* What a plan says, as text. */
static const char *plan_at(struct due_fixture *f, int64_t now)
{
	const char *out = "";
	f->world.now = now;
	due_plan(f);
	for (size_t i = 0; i < f->due.len; i++)
		out = arena_printf(&f->arena, "%s%s %s %lld\n", out, f->due.objects[i].id.name,
		    f->due.objects[i].hash, (long long)f->due.objects[i].expires);
	return out;
}

/* From one change to the next: the same plan at every moment between, another one then. */
static void walk(struct due_fixture *f, const char *what)
{
	int64_t now = DUE_NOW - DAY;
	for (int step = 0; step < 40; step++) {
		struct arena keep;
		arena_init(&keep, 0);
		const char *have = arena_strdup(&keep, plan_at(f, now));
		int64_t next = f->due.next, last = next == NEVER ? now + 30 * DAY : next;
		assert_true(next > now);
		for (int64_t k = 0; k <= 16; k++) {
			int64_t at = now + (last - 1 - now) * k / 16;
			if (strcmp(plan_at(f, at), have) != 0 || f->due.next != next)
				fail_msg("%s: not the same at %lld as at %lld, before %lld", what,
				    (long long)at, (long long)now, (long long)next);
		}
		if (next != NEVER && strcmp(plan_at(f, next), have) == 0)
			fail_msg("%s: nothing changes at %lld", what, (long long)next);
		arena_done(&keep);
		arena_reset(&f->arena);
		if (next == NEVER)
			return;
		now = next;
	}
}

static void test_next_is_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(schedules); i++) {
		struct due_fixture f;
		open_grant(&f, schedules[i]);
		walk(&f, schedules[i]);
		due_close(&f);
	}
}

static void test_the_record_ends_its_grants_alone(void **state)
{
	(void)state;
	static const struct slice groups[] = {{"g", 1}};
	struct due_fixture f;
	due_open(&f, "match: {groups: [g]}\ntemplates:\n- name: t\n  namespace: {name: 'u-${user.hash10}'}\n"
		     "  objects: [{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {}}]\n"
		     "  grants:\n  - {clusterRole: edit}\n  - {clusterRole: view, scope: cluster}\n");
	f.record.identity.groups = groups;
	f.record.identity.ngroups = 1;
	f.record.expires_at = DUE_NOW;
	f.world.now = DUE_NOW + 59;
	due_plan(&f);
	assert_int_equal(f.due.len, 4);
	assert_int_equal(f.due.next, DUE_NOW + 60);
	for (size_t i = 0; i < f.due.len; i++) {
		/* What others share does not end with one of them. */
		bool own = f.due.objects[i].id.kind == KIND_ROLE_BINDING;
		assert_int_equal(f.due.objects[i].expires, own ? DUE_NOW : 0);
	}
	f.world.now = DUE_NOW + 60;
	due_plan(&f);
	assert_string_equal(due_lines(&f.arena, &f.due),
	    "LimitRange u-spzsq5gjec/l user\nNamespace u-spzsq5gjec user\n");
	assert_int_equal(f.due.next, NEVER);
	due_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_hours_a_minute_apart_have_no_end),
	    cmocka_unit_test(test_a_clock_out_of_its_mind_gives_nothing),
	    cmocka_unit_test(test_holds_by_definition),
	    cmocka_unit_test(test_next_is_exact),
	    cmocka_unit_test(test_the_record_ends_its_grants_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
