/* Proves the gate: what each stage refuses and names, what it lets pass, and that the kept copy is judged by its
 * signatures alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/file.h"
#include "server/gate.h"
#include "server/generation.h"

static char dir[] = "/tmp/portcullis-gate-XXXXXX";

#define TOP "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
#define GEN(n) "metadata: {generation: " #n "}\n"
#define ALLOW(id) "- {id: " id ", effect: allow, subjects: {users: [u]}, apiGroups: [\"\"], " \
		  "resources: [pods], verbs: [get]}\n"
#define DENY(id) "- {id: " id ", effect: deny, subjects: {users: [v]}, apiGroups: [\"\"], " \
		 "resources: [pods], verbs: [get]}\n"
#define ABSTAIN(id) "- {id: " id ", effect: abstain, subjects: {users: [v]}, apiGroups: [\"\"], " \
		    "resources: [pods], verbs: [get]}\n"
#define SHADOW(id) "- {id: " id ", effect: deny, mode: shadow, subjects: {users: [v]}, apiGroups: [\"\"], " \
		   "resources: [pods], verbs: [get]}\n"
#define EXEMPT(x) "defaults: {exempt: {groups: [" x "]}}\n"
#define GUARDS "apiVersion: portcullis.dev/v1alpha1\nkind: AccessGuards\ntests:\n" \
	       "- {name: u reads, as: {user: u}, can: {verb: get, resource: pods}, expect: allow}\n"
#define GUARDS_NOT "apiVersion: portcullis.dev/v1alpha1\nkind: AccessGuards\ntests:\n" \
		   "- {as: {user: u}, can: {verb: get, resource: pods}, expect: noOpinion}\n"
#define GUARDS_AT(at) "apiVersion: portcullis.dev/v1alpha1\nkind: AccessGuards\ntests:\n" \
		      "- {as: {user: u}, can: {verb: get, resource: pods}, at: " at ", expect: allow}\n"
#define TIMED(id, effect) "- {id: " id ", effect: " effect ", subjects: {users: [u]}, apiGroups: [\"\"], " \
			  "resources: [pods], verbs: [get], " \
			  "valid: {from: 2026-01-01T00:00:00Z, until: 2027-01-01T00:00:00Z}}\n"

static const char *path(struct arena *a, const char *name)
{
	return arena_printf(a, "%s/%s", dir, name);
}

static void put(const char *name, const char *text)
{
	struct arena a = {0};
	struct err e = {0};
	if (file_write_atomic(path(&a, name), text, strlen(text), 0600, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	arena_done(&a);
}

/* What a row sets up beside the policy's text. */
struct row {
	const char *before, *now, *guards;
	int64_t highest, max_shrink;
	bool required, same_digest;
	const char *stage, *error; /* stage NULL: passes; then ERROR is part of a warning, or NULL for none */
};

static struct policy *compile(const char *text)
{
	struct diags d = {0};
	struct policy *p = NULL;
	const struct policy_file f = {.name = "before.yaml", .text = slice_of(text)};
	if (policy_compile(&f, 1, NULL, &p, &d) != ERR_OK)
		fail_msg("%s", d.items[0].text);
	diags_done(&d);
	return p;
}

static bool told(const struct diags *d, const char *part)
{
	for (size_t i = 0; i < d->len; i++)
		if (strstr(d->items[i].text, part))
			return true;
	return false;
}

static void run_row(const struct row *r, size_t at)
{
	AUTO(arena_done) struct arena a = {0};
	AUTO(policy_free) struct policy *before = r->before ? compile(r->before) : NULL;
	struct authorization_config c = {.present = true,
	    .policy = path(&a, "p.yaml"),
	    .guards = r->guards ? path(&a, "g.yaml") : NULL,
	    .max_shrink = r->max_shrink,
	    .require_generation = r->required};
	struct gate g = {.config = &c, .before = before, .highest = {.number = r->highest}};
	struct gate_files f;
	struct served_policy *p = NULL;
	struct diags d = {0};
	const char *stage;
	put("p.yaml", r->now);
	if (r->guards)
		put("g.yaml", r->guards);
	if (r->same_digest) {
		struct policy *same = compile(r->now);
		/* The digest is over the file's name, too. */
		const struct policy_file one = {.name = "p.yaml", .text = slice_of(r->now)};
		policy_free(&same);
		if (policy_compile(&one, 1, NULL, &same, &d) != ERR_OK)
			fail();
		memcpy(g.highest.sha256, policy_info(same)->sha256, sizeof(g.highest.sha256));
		policy_free(&same);
		diags_done(&d);
		d = (struct diags){0};
	}
	gate_read_settled(&c, &f);
	enum err_code code = gate_pass(&g, &f, &p, &stage, &d);
	if (code != (r->stage ? ERR_INVALID : ERR_OK))
		fail_msg("row %zu: stage %s: %s", at, stage, d.len ? d.items[0].text : "passed");
	if (r->stage)
		assert_string_equal(stage, r->stage);
	if (r->error && !told(&d, r->error))
		fail_msg("row %zu: not told: %s, but %s", at, r->error, d.len ? d.items[0].text : "-");
	served_free(&p);
	gate_files_done(&f);
	diags_done(&d);
}

static void test_stages(void **state)
{
	(void)state;
	static const char one[] = TOP GEN(3) "rules:\n" ALLOW("a");
	static const char four[] = TOP GEN(3) EXEMPT("x, y") "rules:\n" ALLOW("a") ALLOW("b") DENY("c") ABSTAIN("d");
	static const struct row rows[] = {
	    /* parse, schema, test */
	    {.now = TOP "rules: [\n", .stage = "parse"},
	    {.now = "", .stage = "parse", .error = "empty"},
	    {.now = TOP "rule: []\n", .stage = "schema", .error = "unknown key `rule`"},
	    {.now = TOP "rules:\n" ALLOW("a") "tests:\n- {as: {user: w}, can: {verb: get, resource: pods}, "
		    "expect: allow}\n", .stage = "test", .error = "test failed"},
	    /* generation */
	    {.now = one},
	    {.now = one, .highest = 3, .same_digest = true},
	    {.now = one, .highest = 3, .same_digest = true, .required = true},
	    {.now = one, .highest = 2},
	    {.now = one, .highest = 4, .stage = "generation", .error = "is 3, but 4 was in force"},
	    {.now = one, .highest = 3, .error = "is 3 as before"},
	    {.now = one, .highest = 3, .required = true, .stage = "generation", .error = "raise it"},
	    {.now = TOP "rules:\n" ALLOW("a"), .highest = 3, .error = "is gone (it was 3)"},
	    {.now = TOP "rules:\n" ALLOW("a"), .required = true, .stage = "generation", .error = "missing"},
	    /* shrink */
	    {.before = four, .now = four, .max_shrink = 50},
	    {.before = four, .now = TOP EXEMPT("y, x, z") "rules:\n" DENY("c") ABSTAIN("d"), .max_shrink = 50},
	    {.before = four, .now = TOP EXEMPT("y, x") "rules:\n" DENY("c") ABSTAIN("d"), .max_shrink = 49,
		.stage = "shrink", .error = "2 of 4 rules are gone, more than 49 %"},
	    {.before = four, .now = TOP EXEMPT("x, y") "rules:\n" ALLOW("a") ALLOW("b") ABSTAIN("d"), .max_shrink = 50,
		.stage = "shrink", .error = "the rule `c` (before.yaml:8) that denies is gone"},
	    {.before = four, .now = TOP EXEMPT("x, y") "rules:\n" ALLOW("a") ALLOW("b") DENY("c"), .max_shrink = 50,
		.stage = "shrink", .error = "the rule `d` (before.yaml:9) that abstains is gone"},
	    {.before = four, .now = TOP EXEMPT("x, y") "rules:\n" ALLOW("a") ALLOW("b") DENY("c") DENY("d"),
		.max_shrink = 50},
	    {.before = four, .now = TOP EXEMPT("x, y") "rules:\n" ALLOW("a") ALLOW("b") ABSTAIN("c") ABSTAIN("d"),
		.max_shrink = 50, .stage = "shrink", .error = "the rule `c`"},
	    {.before = four, .now = TOP EXEMPT("x, y") "rules:\n" ALLOW("a") ALLOW("b") SHADOW("c") ABSTAIN("d"),
		.max_shrink = 50, .stage = "shrink", .error = "the rule `c`"},
	    {.before = four, .now = TOP EXEMPT("x, y") "rules:\n" ALLOW("a") ALLOW("b") TIMED("c", "deny") ABSTAIN("d"),
		.max_shrink = 50, .stage = "shrink", .error = "the rule `c`"},
	    {.before = four, .now = TOP EXEMPT("x") "rules:\n" ALLOW("a") ALLOW("b") DENY("c") ABSTAIN("d"),
		.max_shrink = 50, .stage = "shrink", .error = "the exemption of group y is gone"},
	    {.before = four, .now = TOP "rules:\n" ALLOW("a") ALLOW("b") DENY("c") ABSTAIN("d"),
		.max_shrink = 50, .stage = "shrink", .error = "group x is gone, and 1 more"},
	    {.before = TOP "defaults: {decision: Deny}\nrules:\n" ALLOW("a"), .now = TOP "rules:\n" ALLOW("a"),
		.max_shrink = 50, .stage = "shrink", .error = "decision: Deny"},
	    {.before = TOP "rules:\n" SHADOW("s") ALLOW("a"), .now = TOP "rules:\n" ALLOW("a"), .max_shrink = 0},
	    {.before = four, .now = TOP "roles:\n- {name: r, rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]}\n", .max_shrink = 100},
	    {.before = four, .now = TOP "metadata: {allowShrink: true}\nrules:\n" ALLOW("z"), .max_shrink = 0},
	    {.before = one, .now = TOP "metadata: {allowShrink: true}\nrules:\n" ALLOW("a"), .max_shrink = 50,
		.error = "nothing shrank"},
	    /* guard */
	    {.now = one, .guards = GUARDS},
	    {.now = TOP "rules:\n" ALLOW("b") DENY("d"), .guards = GUARDS},
	    {.now = TOP "rules:\n" DENY("d"), .guards = GUARDS, .stage = "guard",
		.error = "guard `u reads` failed: expected allow, got noOpinion"},
	    /* What holds at times only is not past a guard that names none, past and to come. */
	    {.now = TOP "rules:\n" ALLOW("b") TIMED("t", "deny"), .guards = GUARDS, .stage = "guard",
		.error = "got deny by rule `t` (p.yaml:5) while rules with `valid` hold"},
	    {.now = TOP "rules:\n" TIMED("t", "allow"), .stage = "guard", .error = "while rules with `valid` hold",
		.guards = GUARDS_NOT},
	    {.now = TOP "rules:\n" TIMED("t", "allow"), .guards = GUARDS, .stage = "guard",
		.error = "expected allow, got noOpinion"},
	    {.now = TOP "rules:\n" TIMED("t", "allow"), .guards = GUARDS_AT("2026-02-01T00:00:00Z")},
	    {.now = TOP "rules:\n" TIMED("t", "deny") ALLOW("b"), .guards = GUARDS_AT("2027-02-01T00:00:00Z")},
	    {.now = one, .guards = TOP "rules: []\n", .stage = "guard", .error = "not guards"},
	    {.now = one, .guards = GUARDS "rules: []\n", .stage = "guard", .error = "unknown key `rules`"},
	    {.now = one, .guards = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessGuards\n", .stage = "guard",
		.error = "tests"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		run_row(&rows[i], i);
}

static void test_what_cannot_be_read_fails_closed(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	put("p.yaml", TOP GEN(1) "rules:\n" ALLOW("a"));
	const char *missing = path(&a, "missing.pem");
	const struct authorization_config rows[] = {
	    {.present = true, .policy = path(&a, "nothing"), .max_shrink = 50},
	    {.present = true, .policy = path(&a, "p.yaml"), .guards = path(&a, "nothing"), .max_shrink = 50},
	    {.present = true, .policy = path(&a, "p.yaml"), .max_shrink = 50,
		.signatures = {.present = true, .threshold = 1, .public_keys = {&missing, 1}}}};
	static const char *const stages[] = {"read", "guard", "signature"};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct gate g = {.config = &rows[i]};
		struct gate_files f;
		struct served_policy *p = NULL;
		struct diags d = {0};
		const char *stage;
		gate_read(&rows[i], &f);
		assert_int_equal(gate_pass(&g, &f, &p, &stage, &d), ERR_INVALID);
		assert_string_equal(stage, stages[i]);
		assert_true(d.errors > 0);
		assert_null(p);
		gate_files_done(&f);
		diags_done(&d);
	}
}

static void test_the_highest_generation_only_rises(void **state)
{
	(void)state;
	static const char a[] = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";
	static const char b[] = "0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f";
	struct generation g;
	struct err e = {0};
	assert_int_equal(generation_read(dir, &g, &e), ERR_OK);
	assert_int_equal(g.number, 0);
	static const struct {
		int64_t number;
		const char *sha256;
		int64_t want;
		const char *want_sha256;
	} rows[] = {{5, a, 5, a}, {4, b, 5, a}, {5, b, 5, b}, {0, a, 5, b}, {INT64_MAX, a, INT64_MAX, a}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(generation_raise(dir, rows[i].number, rows[i].sha256, &e), ERR_OK);
		assert_int_equal(generation_read(dir, &g, &e), ERR_OK);
		assert_true(g.number == rows[i].want);
		assert_string_equal(g.sha256, rows[i].want_sha256);
	}
	static const char *const bad[] = {"", "portcullis-generation 1 5", "portcullis-generation 1 x y\n",
	    ("portcullis-generation 1 99999999999999999999 "
	     "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7\n"),
	    "portcullis-generation 1 -5 87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put("policy-generation", bad[i]);
		assert_int_equal(generation_read(dir, &g, &e), ERR_INVALID);
		assert_int_equal(g.number, 0);
	}
	assert_int_equal(generation_raise(dir, 6, a, &e), ERR_OK);
	assert_int_equal(generation_read(dir, &g, &e), ERR_OK);
	assert_int_equal(g.number, 6);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	static const char *const names[] = {"p.yaml", "g.yaml", "policy-generation"};
	struct arena a = {0};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlink(path(&a, names[i]));
	arena_done(&a);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_stages),
	    cmocka_unit_test(test_what_cannot_be_read_fails_closed),
	    cmocka_unit_test(test_the_highest_generation_only_rises),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
