/* Proves `valid` and `breakGlass`: what loads, what is refused and where, and what rules do as time goes by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "policy/index.h"
#include "tests/support/policy_rows.h"

#define VALID(text) {RULE PODS "  valid: {" text "}\n", NULL}
#define BAD(text, found) {RULE PODS "  valid: {" text "}\n", found}

static void test_windows(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    VALID("from: 2026-11-22T10:00:00Z, until: 2026-11-22T12:00:00+01:00"),
	    VALID("from: \"2026-11-22T10:00:00.5-05:00\""),
	    VALID("tz: UTC, days: sat"),
	    VALID("tz: Europe/Berlin, days: [mon-wed, fri, sat-sun], hours: [\"00:00-06:00\", \"22:00-24:00\"]"),
	    VALID("tz: Europe/Berlin, hours: 22:00-06:00"),
	    VALID("tz: UTC, hours: 22:00-00:00"),
	    VALID("except: {tz: UTC, days: [fri-mon]}"),
	    VALID("until: 2026-12-01T00:00:00Z, except: {from: 2026-11-22T10:00:00Z}"),
	    {RULE PODS "  valid: {}\n", "p.yaml:10:3: error: `valid` is empty"},
	    {RULE PODS "  valid: 2026\n", "p.yaml:10:10: error: `valid`"},
	    BAD("except: {}", "p.yaml:10:11: error: `except` is empty"),
	    BAD("except: {except: {}}", "p.yaml:10:20: error: unknown key `except`"),
	    BAD("from: 2026-11-22", "p.yaml:10:11: error: `from`: `2026-11-22` is not a time"),
	    BAD("from: 2026-11-22T10:00:00", "error: `from`: `2026-11-22T10:00:00` is not a time such as"),
	    BAD("until: 2026-02-30T10:00:00Z", "p.yaml:10:11: error: `until`"),
	    BAD("until: tomorrow", "error: `until`: `tomorrow` is not a time such as"),
	    BAD("from: 2026-11-22T10:00:00Z, until: 2026-11-22T10:00:00Z",
		"p.yaml:10:39: error: `until` is not after `from`"),
	    BAD("from: 2026-11-22T10:00:00Z, until: 2026-11-22T10:30:00+01:00", "error: `until` is not after `from`"),
	    BAD("tz: Europe/Berln, days: [mon]",
		"p.yaml:10:11: error: unknown time zone `Europe/Berln`, did you mean `Europe/Berlin`?"),
	    BAD("tz: ../Berlin, days: [mon]", "p.yaml:10:11: error: not the name of a time zone"),
	    BAD("tz: Europe/Berlin, until: 2026-11-22T10:00:00Z",
		"p.yaml:10:11: error: `tz` without `days` or `hours` says nothing"),
	    BAD("days: [mon]", "p.yaml:10:11: error: `tz` is missing"),
	    BAD("hours: 08:00-18:00", "p.yaml:10:11: error: `tz` is missing"),
	    BAD("tz: UTC, days: []", "error: `days` must not be empty"),
	    BAD("tz: UTC, days: [mon, Tue]", "p.yaml:10:32: error: `Tue`: expected a day"),
	    BAD("tz: UTC, days: [mon-]", "error: `mon-`: expected a day"),
	    BAD("tz: UTC, days: [mon-tue-wed]", "error: `mon-tue-wed`: expected a day"),
	    BAD("tz: UTC, days: [\"\"]", "error: ``: expected a day"),
	    BAD("tz: UTC, hours: 8:00-18:00", "p.yaml:10:20: error: `8:00-18:00`: expected hours"),
	    BAD("tz: UTC, hours: 08:00", "error: `08:00`: expected hours"),
	    BAD("tz: UTC, hours: 08:00-08:00", "error: `08:00-08:00`: expected hours"),
	    BAD("tz: UTC, hours: 08:60-09:00", "error: `08:60-09:00`: expected hours"),
	    BAD("tz: UTC, hours: 08:00-24:01", "error: `08:00-24:01`: expected hours"),
	    BAD("tz: UTC, hours: 24:00-08:00", "error: `24:00-08:00`: expected hours"),
	    BAD("tz: UTC, hours: [08:00-18:00, 8-9]", "p.yaml:10:41: error: `8-9`"),
	    BAD("tz: UTC, hours: \"08:00-18:00 \"", "error: `08:00-18:00 `: expected hours"),
	    BAD("tz: UTC, days: [mon-sun]", "p.yaml:10:3: warning: the window of the rule `r1` is always open"),
	    BAD("tz: UTC, days: [mon], except: {tz: UTC, days: [mon, tue]}",
		"p.yaml:10:3: warning: the window of the rule `r1` is never open"),
	};
	CHECK_ROWS(rows);
}

#define HOURS "  valid: {from: 2026-11-22T10:00:00Z, until: 2026-11-22T12:00:00Z}\n"
#define DAYS "  valid: {from: 2026-11-22T10:00:00Z, until: 2026-11-24T10:00:00Z}\n"

static void test_break_glass(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann, ben]}\n", NULL},
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann, ben], maxDuration: 2h}\n", NULL},
	    {RULE PODS DAYS "  breakGlass: {ticket: INC-1, approvedBy: [ann, ben], maxDuration: 48h}\n", NULL},
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann]}\n",
		"p.yaml:11:44: warning: only one approver in the rule `r1`"},
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann, ben], maxDuration: 119m}\n",
		"p.yaml:10:39: error: the rule `r1` lasts 7200 s, longer than `maxDuration` of its "
		"`breakGlass`, 7140 s"},
	    {RULE PODS DAYS "  breakGlass: {ticket: INC-1, approvedBy: [ann, ben]}\n",
		"p.yaml:10:39: error: the rule `r1` lasts 172800 s, longer than `maxDuration` of its "
		"`breakGlass`, 86400 s where nothing else is said"},
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann, ben], maxDuration: 169h}\n",
		"p.yaml:11:68: error: `maxDuration`"},
	    {RULE PODS "  breakGlass: {ticket: INC-1, approvedBy: [ann, ben]}\n",
		"p.yaml:10:3: error: `breakGlass` in the rule `r1` needs `valid` with `from` and `until`"},
	    {RULE PODS "  valid: {until: 2026-11-22T12:00:00Z}\n  breakGlass: {ticket: T, approvedBy: [ann, ben]}\n",
		"error: `breakGlass` in the rule `r1` needs `valid` with `from` and `until`"},
	    {RULE PODS "  valid: {from: 2026-11-32T10:00:00Z, until: 2026-11-22T12:00:00Z}\n"
	     "  breakGlass: {ticket: T, approvedBy: [ann, ben]}\n", "p.yaml:10:11: error: `from`"},
	    {EXEMPT DENY PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann, ben]}\n",
		"p.yaml:12:3: error: `breakGlass` in the rule `r1`, which allows nothing"},
	    {RULE PODS HOURS "  breakGlass: {approvedBy: [ann, ben]}\n", "error: required key `ticket` is missing"},
	    {RULE PODS HOURS "  breakGlass: {ticket: \"\", approvedBy: [ann, ben]}\n",
		"error: `ticket` must not be empty"},
	    {RULE PODS HOURS "  breakGlass: {ticket: \"a\\tb\", approvedBy: [ann, ben]}\n", "error: `ticket`"},
	    {RULE PODS HOURS "  breakGlass: {ticket: a23456789012345678901234567890123456789012345678901234567890123456, "
	     "approvedBy: [ann, ben]}\n", "error: `ticket` has 66 bytes, at most 64 are allowed"},
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1}\n", "error: required key `approvedBy` is missing"},
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: []}\n",
		"error: `approvedBy` must not be empty"},
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann, ann]}\n",
		"p.yaml:11:49: error: the approver `ann` stands here twice"},
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann, \"\"]}\n",
		"p.yaml:11:49: error: an approver without a name"},
	    {RULE PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann, u]}\n",
		"p.yaml:11:49: error: `u` approves access for themselves in the rule `r1`"},
	    {"aliases: {subjects: {x: {users: [eve]}}}\nrules:\n- id: r1\n  effect: allow\n  subjects: {alias: x}\n"
	     "  verbs: [get]\n" PODS HOURS "  breakGlass: {ticket: INC-1, approvedBy: [ann, eve]}\n",
		"error: `eve` approves access for themselves"},
	};
	CHECK_ROWS(rows);
}

/* --- as time goes by --- */

static int64_t moment(const char *text)
{
	int64_t ns = 0;
	if (!clock_parse_rfc3339(slice_of(text), &ns))
		fail_msg("not a time: %s", text);
	return ns;
}

static struct decision ask(const struct policy *p, const char *verb, const char *at, int64_t hold_s)
{
	struct access_request r = {.user = SLICE("bob"),
	    .resource_request = true,
	    .verb = slice_of(verb),
	    .resource = SLICE("pods"),
	    .now = moment(at),
	    .hold = hold_s * CLOCK_SECOND};
	struct decision d;
	authz_evaluate(p, &r, &d);
	return d;
}

#define BOB "subjects: {users: [bob]}, apiGroups: [\"\"], resources: [pods]"

static const char timed[] = POLICY_HEAD
    "defaults: {exempt: {groups: [\"system:nodes\"]}}\n"
    "rules:\n"
    "- {id: glass, effect: allow, " BOB ", verbs: [get],\n"
    "   valid: {from: 2026-11-22T10:00:00Z, until: 2026-11-22T12:00:00Z},\n"
    "   breakGlass: {ticket: INC-4711, approvedBy: [carol, dave], maxDuration: 4h}}\n"
    "- {id: list, effect: allow, " BOB ", verbs: [list]}\n"
    "- {id: nights, effect: deny, " BOB ", verbs: [list],\n"
    "   valid: {except: {tz: Europe/Berlin, days: [mon-fri], hours: 08:00-18:00}}}\n"
    "- {id: same-nights, effect: deny, " BOB ", verbs: [watch],\n"
    "   valid: {except: {tz: Europe/Berlin, days: [mon-fri], hours: 08:00-18:00}}}\n"
    "- {id: trial, mode: shadow, effect: deny, " BOB ", verbs: [get],\n"
    "   valid: {from: 2026-11-22T11:00:00Z}}\n";

/* Rows 80 and 81 of the cases, for allows and the other way round for denies. */
static void test_what_the_apiserver_remembers_ends_in_time(void **state)
{
	(void)state;
	static const struct {
		const char *verb, *at;
		int64_t hold;
		enum verdict want;
	} rows[] = {
	    {"get", "2026-11-22T09:59:59Z", 0, VERDICT_NO_OPINION},
	    {"get", "2026-11-22T10:00:00Z", 0, VERDICT_ALLOW},
	    {"get", "2026-11-22T11:59:59Z", 0, VERDICT_ALLOW},
	    {"get", "2026-11-22T12:00:00Z", 0, VERDICT_NO_OPINION},
	    {"get", "2026-11-22T11:59:58Z", 1, VERDICT_ALLOW},
	    {"get", "2026-11-22T11:59:58Z", 10, VERDICT_NO_OPINION},
	    {"get", "2026-11-22T11:49:49Z", 600, VERDICT_ALLOW},
	    /* An allow does not start early for it. */
	    {"get", "2026-11-22T09:59:59Z", 10, VERDICT_NO_OPINION},
	    /* A deny does: what was allowed at 17:59:55 would be remembered past 18:00. */
	    {"list", "2026-11-23T16:59:55Z", 0, VERDICT_ALLOW},
	    {"list", "2026-11-23T16:59:55Z", 4, VERDICT_ALLOW},
	    {"list", "2026-11-23T16:59:55Z", 5, VERDICT_DENY},
	    {"list", "2026-11-23T17:00:00Z", 0, VERDICT_DENY},
	    {"list", "2026-11-23T06:59:59Z", 300, VERDICT_DENY},
	    {"list", "2026-11-23T07:00:00Z", 300, VERDICT_ALLOW},
	};
	struct policy *p = policy_must(timed);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct decision d = ask(p, rows[i].verb, rows[i].at, rows[i].hold);
		if (d.verdict != rows[i].want)
			fail_msg("%s at %s + %d: %s", rows[i].verb, rows[i].at, (int)rows[i].hold,
			    verdict_name(d.verdict));
	}
	policy_free(&p);
}

static void test_a_decision_tells_of_break_glass_and_shadow(void **state)
{
	(void)state;
	struct policy *p = policy_must(timed);
	struct decision d = ask(p, "get", "2026-11-22T10:30:00Z", 0);
	assert_string_equal(d.rule, "glass");
	assert_non_null(d.break_glass);
	assert_string_equal(d.break_glass->ticket, "INC-4711");
	assert_int_equal(d.break_glass->napproved, 2);
	assert_string_equal(d.break_glass->approved_by[1], "dave");
	assert_int_equal(d.break_glass->until, moment("2026-11-22T12:00:00Z"));
	assert_false(d.shadow.differs);
	/* Row 82. */
	d = ask(p, "get", "2026-11-22T11:30:00Z", 0);
	assert_int_equal(d.verdict, VERDICT_ALLOW);
	assert_true(d.shadow.differs);
	assert_int_equal(d.shadow.verdict, VERDICT_DENY);
	assert_string_equal(d.shadow.rule, "trial");
	d = ask(p, "list", "2026-11-23T12:00:00Z", 0);
	assert_null(d.break_glass);
	policy_free(&p);
}

static void print_change(void *ctx, const struct policy_change *c)
{
	struct buf *b = ctx;
	buf_printf(b, "%s%s", c->begins ? "+" : "-", c->final ? "!" : "");
	for (size_t i = 0; i < c->n; i++)
		buf_printf(b, " %s", c->rules[i]);
	buf_addc(b, '\n');
}

static void test_changes(void **state)
{
	(void)state;
	static const struct {
		const char *then, *now, *changes, *next;
	} rows[] = {
	    {"2026-11-22T09:00:00Z", "2026-11-22T09:59:59Z", "", "2026-11-22T10:00:00Z"},
	    {"2026-11-22T09:59:59Z", "2026-11-22T10:00:00Z", "+ glass\n", "2026-11-22T11:00:00Z"},
	    {"2026-11-22T10:30:00Z", "2026-11-22T11:00:00Z", "+ trial\n", "2026-11-22T12:00:00Z"},
	    {"2026-11-22T11:00:00Z", "2026-11-22T12:00:00Z", "-! glass\n", "2026-11-23T07:00:00Z"},
	    {"2026-11-22T13:00:00Z", "2026-11-23T08:00:00Z", "- nights same-nights\n",
		"2026-11-23T17:00:00Z"},
	    {"2026-11-23T08:00:00Z", "2026-11-23T20:00:00Z", "+ nights same-nights\n",
		"2026-11-24T07:00:00Z"},
	    /* A clock put back. */
	    {"2026-11-22T13:00:00Z", "2026-11-22T11:30:00Z", "+ glass\n", "2026-11-22T12:00:00Z"},
	};
	struct policy *p = policy_must(timed);
	assert_int_equal(p->nwindows, 3);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;
		buf_init(&b, 1 << 10);
		int64_t now = moment(rows[i].now);
		policy_changes(p, moment(rows[i].then), now, print_change, &b);
		assert_string_equal(buf_cstr(&b), rows[i].changes);
		assert_int_equal(policy_next_change(p, now), moment(rows[i].next));
		buf_done(&b);
	}
	policy_free(&p);
	p = policy_must(POLICY_HEAD RULE PODS);
	assert_int_equal(policy_next_change(p, 0), INT64_MAX);
	policy_free(&p);
}

static void test_windows_as_text(void **state)
{
	(void)state;
	static const struct {
		const char *valid, *text;
	} rows[] = {
	    {"from: 2026-11-22T10:00:00+01:00, until: 2026-11-22T12:00:00.25Z",
		"from 2026-11-22T09:00:00Z until 2026-11-22T12:00:00.250000Z"},
	    {"tz: Europe/Berlin, days: [mon, wed], hours: [08:00-12:00, 12:00-18:00]",
		"Europe/Berlin mon 08:00-mon 18:00,wed 08:00-wed 18:00"},
	    {"tz: UTC, days: sun, hours: 22:00-06:00", "UTC sun 22:00-mon 06:00"},
	    {"tz: UTC, days: sat-sun", "UTC sat 00:00-mon 00:00"},
	    {"tz: UTC, days: mon", "UTC mon 00:00-tue 00:00"},
	    {"except: {until: 2026-11-22T12:00:00Z}", "always except until 2026-11-22T12:00:00Z"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[512];
		struct buf b;
		snprintf(text, sizeof(text), "%s%s  valid: {%s}\n", POLICY_HEAD RULE, PODS,
		    rows[i].valid);
		struct policy *p = policy_must(text);
		buf_init(&b, 1 << 10);
		window_print(p->windows[0], &b);
		assert_string_equal(buf_cstr(&b), rows[i].text);
		buf_done(&b);
		policy_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_windows),
	    cmocka_unit_test(test_break_glass),
	    cmocka_unit_test(test_what_the_apiserver_remembers_ends_in_time),
	    cmocka_unit_test(test_a_decision_tells_of_break_glass_and_shadow),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_windows_as_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
