/* Proves what is told when rules begin and cease to hold: each change once, with the clock put forward and
 * back, and nothing of a policy that is new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "server/policy_clock.h"
#include "tests/support/policy_text.h"

#define SUBJECT "subjects: {users: [bob]}, apiGroups: [\"\"], resources: [pods], verbs: [get]"

static const char morning[] = POLICY_HEAD
    "metadata: {generation: 3}\n"
    "rules:\n"
    "- {id: always, effect: allow, " SUBJECT "}\n"
    "- {id: glass, effect: allow, " SUBJECT ",\n"
    "   valid: {from: 2026-11-22T10:00:00Z, until: 2026-11-22T12:00:00Z},\n"
    "   breakGlass: {ticket: INC-1, approvedBy: [carol, dave]}}\n"
    "- {id: also, effect: allow, " SUBJECT ",\n"
    "   valid: {from: 2026-11-22T10:00:00Z, until: 2026-11-22T12:00:00Z}}\n"
    "- {id: office, effect: allow, " SUBJECT ",\n"
    "   valid: {tz: Europe/Berlin, hours: 08:00-18:00}}\n";

static int64_t moment(const char *text)
{
	int64_t ns = 0;
	if (!clock_parse_rfc3339(slice_of(text), &ns))
		fail_msg("not a time: %s", text);
	return ns;
}

/* What stands in S between BEFORE and AFTER; empty when there is none. */
static struct slice between(struct slice s, const char *before, const char *after)
{
	const char *p = s.len ? memmem(s.p, s.len, before, strlen(before)) : NULL;
	if (!p)
		return (struct slice){0};
	p += strlen(before);
	const char *end = memmem(p, (size_t)(s.p + s.len - p), after, strlen(after));
	return end ? (struct slice){p, (size_t)(end - p)} : (struct slice){0};
}

/* The records of rules so far: "started 2 glass,also", a line each, with the generation. */
static void read_records(const char *path, struct buf *out)
{
	struct arena a = {0};
	struct slice rest;
	out->len = 0;
	assert_int_equal(file_read(&a, path, 1 << 20, &rest, NULL), ERR_OK);
	while (rest.len) {
		struct slice line = {rest.p, slice_find(rest, '\n')};
		struct slice what = between(line, "\"type\":\"policy.rule_", "\"");
		if (what.len) {
			buf_slice(out, what);
			buf_addc(out, ' ');
			buf_slice(out, between(line, "\"rulesCount\":", ",\"policy\""));
			buf_addc(out, ' ');
			buf_slice(out, between(line, "\"generation\":", ","));
			buf_addc(out, '\n');
		}
		rest = slice_skip(rest, line.len + 1);
	}
	arena_done(&a);
}

struct stage {
	struct policy_clock clock;
	struct policy *policy;
	struct audit_log *audit;
	char dir[64], path[80];
	struct buf told;
};

static void open_stage(struct stage *s)
{
	*s = (struct stage){.policy = policy_must(morning), .dir = "/tmp/test_policy_clock.XXXXXX"};
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/audit", s->dir);
	assert_int_equal(audit_open(s->path, &s->audit, NULL), ERR_OK);
	buf_init(&s->told, 1 << 20);
}

static void close_stage(struct stage *s)
{
	audit_close(&s->audit);
	policy_free(&s->policy);
	unlink(s->path);
	rmdir(s->dir);
	buf_done(&s->told);
}

static void move(struct stage *s, const char *now)
{
	policy_clock_move(&s->clock, s->policy, moment(now), s->audit);
}

static void assert_told(struct stage *s, const char *want)
{
	assert_true(audit_flush(s->audit));
	read_records(s->path, &s->told);
	assert_string_equal(buf_cstr(&s->told), want);
}

static void test_each_change_is_told_once(void **state)
{
	(void)state;
	struct stage s;
	open_stage(&s);
	move(&s, "2026-11-22T06:00:00Z");
	assert_true(s.clock.next == moment("2026-11-22T07:00:00Z"));
	move(&s, "2026-11-22T06:59:59.999Z");
	assert_told(&s, "");
	move(&s, "2026-11-22T07:00:00Z");
	move(&s, "2026-11-22T07:00:01Z");
#define FIRST "started 1,\"rules\":[\"office\"] 3\n"
	assert_told(&s, FIRST);
	move(&s, "2026-11-22T10:00:00.25Z");
	move(&s, "2026-11-22T10:00:01Z");
#define SECOND FIRST "started 2,\"rules\":[\"glass\",\"also\"] 3\n"
	assert_told(&s, SECOND);
	move(&s, "2026-11-22T12:30:00Z");
	move(&s, "2026-11-22T12:30:01Z");
#define THIRD SECOND "expired 2,\"rules\":[\"glass\",\"also\"],\"final\":true 3\n"
	assert_told(&s, THIRD);
	assert_true(s.clock.next == moment("2026-11-22T17:00:00Z"));
	close_stage(&s);
}

static void test_a_clock_that_is_put(void **state)
{
	(void)state;
	struct stage s;
	open_stage(&s);
	move(&s, "2026-11-22T11:00:00Z");
	/* Forward over the end of both. */
	move(&s, "2026-11-22T20:00:00Z");
	audit_flush(s.audit);
	read_records(s.path, &s.told);
	assert_non_null(strstr(buf_cstr(&s.told), "expired 2,\"rules\":[\"glass\",\"also\"],\"final\":true"));
	assert_non_null(strstr(buf_cstr(&s.told), "expired 1,\"rules\":[\"office\"] 3"));
	size_t before = s.told.len;
	/* Back by less than anything: nothing. Back into the window: it holds again. */
	move(&s, "2026-11-22T19:59:00Z");
	assert_true(audit_flush(s.audit));
	read_records(s.path, &s.told);
	assert_int_equal(s.told.len, before);
	move(&s, "2026-11-22T11:30:00Z");
	audit_flush(s.audit);
	read_records(s.path, &s.told);
	assert_non_null(strstr(buf_cstr(&s.told) + before, "started 2,\"rules\":[\"glass\",\"also\"] 3"));
	assert_true(s.clock.next == moment("2026-11-22T12:00:00Z"));
	close_stage(&s);
}

static void test_a_new_policy_tells_nothing(void **state)
{
	(void)state;
	struct stage s;
	open_stage(&s);
	move(&s, "2026-11-22T06:00:00Z");
	policy_clock_move(&s.clock, NULL, moment("2026-11-22T11:00:00Z"), s.audit);
	assert_true(s.clock.next == INT64_MAX);
	assert_true(policy_clock_left(&s.clock) == INT64_MAX);
	move(&s, "2026-11-22T11:30:00Z");
	assert_told(&s, "");
	policy_free(&s.policy);
	s.policy = policy_must(POLICY_HEAD "rules:\n- {id: a, effect: allow, " SUBJECT "}\n");
	move(&s, "2026-11-22T12:30:00Z");
	assert_told(&s, "");
	assert_true(s.clock.next == INT64_MAX);
	close_stage(&s);
}

static void test_metrics(void **state)
{
	(void)state;
	struct stage s;
	open_stage(&s);
	move(&s, "2026-11-22T11:00:00Z");
	struct buf b;
	buf_init(&b, 1 << 20);
	metrics_write(&b);
	assert_non_null(strstr(buf_cstr(&b), "portcullis_breakglass_uses_total{rule=\"glass\"} 0"));
	assert_null(strstr(buf_cstr(&b), "{rule=\"also\"}"));
	struct metric *next = metrics_gauge("portcullis_policy_next_boundary_timestamp_seconds", "", "");
	assert_true(metric_value(next) == (double)(moment("2026-11-22T12:00:00Z") / CLOCK_SECOND));
	policy_clock_move(&s.clock, NULL, moment("2026-11-22T11:00:00Z"), NULL);
	assert_true(metric_value(next) == 0);
	buf_done(&b);
	close_stage(&s);
}

static void test_how_long_to_sleep(void **state)
{
	(void)state;
	struct policy_clock c = {.next = clock_now() + CLOCK_SECOND};
	int64_t left = policy_clock_left(&c);
	assert_true(left > 0 && left <= 1001);
	c.next = clock_now() - 1;
	assert_int_equal(policy_clock_left(&c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_change_is_told_once),
	    cmocka_unit_test(test_a_clock_that_is_put),
	    cmocka_unit_test(test_a_new_policy_tells_nothing),
	    cmocka_unit_test(test_metrics),
	    cmocka_unit_test(test_how_long_to_sleep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
