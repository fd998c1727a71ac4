/* Proves the language of case files: what each line asks, what is refused and where; and the coverage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "authz/cases.h"
#include "common/clock.h"
#include "policy/index.h"
#include "tests/support/policy_text.h"

static struct arena arena;

/* The one case of TEXT, in words: user|groups|verb|group/resource/sub|ns|name|path|verdict|by. */
static const char *told(const char *text)
{
	struct access_case *cases;
	struct diags d = {0};
	size_t n;
	struct buf b;
	enum err_code rc = cases_parse(&arena, "f.eval", slice_of(text), &cases, &n, &d);
	if (rc != ERR_OK)
		fail_msg("%s: %u:%u %s", text, d.items[0].line, d.items[0].col, d.items[0].text);
	assert_int_equal(n, 1);
	const struct access_case *c = &cases[0];
	const struct access_request *r = &c->request;
	buf_init(&b, 4096);
	buf_printf(&b, SLICE_FMT "|", SLICE_ARG(r->user));
	for (size_t i = 0; i < r->ngroups; i++)
		buf_printf(&b, "%s" SLICE_FMT, i ? "," : "", SLICE_ARG(r->groups[i]));
	buf_printf(&b, "|" SLICE_FMT "|", SLICE_ARG(r->verb));
	if (r->resource_request)
		buf_printf(&b, SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT "|" SLICE_FMT "|" SLICE_FMT "|",
		    SLICE_ARG(r->api_group), SLICE_ARG(r->resource), SLICE_ARG(r->subresource),
		    SLICE_ARG(r->namespace_), SLICE_ARG(r->name));
	else
		buf_printf(&b, "path " SLICE_FMT "|", SLICE_ARG(r->path));
	buf_printf(&b, "%s|%s", verdict_name(c->expect), c->by ? c->by : "");
	const char *out = arena_strdup(&arena, buf_cstr(&b));
	buf_done(&b);
	diags_done(&d);
	return out;
}

static void test_what_a_line_asks(void **state)
{
	static const char *const rows[][2] = {
	    {"bob,dev,oidc:a  get pods/log -n team-a web-1  => allow by tenant-read",
		"bob|dev,oidc:a,system:authenticated|get|/pods/log|team-a|web-1|allow|tenant-read"},
	    {"bob list deployments.apps/scale => noOpinion",
		"bob|system:authenticated|list|apps/deployments/scale|||noOpinion|"},
	    {"bob delete clusterissuers.cert-manager.io x => deny # why",
		"bob|system:authenticated|delete|cert-manager.io/clusterissuers/||x|deny|"},
	    {"sa:ci/build get /healthz => deny by -",
		"system:serviceaccount:ci:build|system:serviceaccounts,system:serviceaccounts:ci,system:authenticated"
		"|get|path /healthz|deny|-"},
	    {"system:serviceaccount:ci:b get pods => allow",
		"system:serviceaccount:ci:b|system:serviceaccounts,system:serviceaccounts:ci,system:authenticated"
		"|get|/pods/|||allow|"},
	    {"system:anonymous get /x => deny", "system:anonymous|system:unauthenticated|get|path /x|deny|"},
	    {"\"sa:a/b\" get pods => allow", "sa:a/b|system:authenticated|get|/pods/|||allow|"},
	    {"\"\",g get pods => allow", "|g,system:authenticated|get|/pods/|||allow|"},
	    {"@groups bare\nbob,g get pods => allow", "bob|g|get|/pods/|||allow|"},
	    {"@groups bare\nbob get pods => allow", "bob||get|/pods/|||allow|"},
	    {"@namespace n\nbob get pods x => allow", "bob|system:authenticated|get|/pods/|n|x|allow|"},
	    {"@namespace n\nbob get pods -n m => allow", "bob|system:authenticated|get|/pods/|m||allow|"},
	    {"@namespace n\nbob get pods -A => allow", "bob|system:authenticated|get|/pods/|||allow|"},
	    {"@namespace n\nbob get /x => allow", "bob|system:authenticated|get|path /x|allow|"},
	    {"\"a b\",\"c,\\\"d\\\"\\\\\" get pods \"=>\" => allow",
		"a b|c,\"d\"\\,system:authenticated|get|/pods/||=>|allow|"},
	    {"a get pods \"-n\" => allow", "a|system:authenticated|get|/pods/||-n|allow|"},
	    {"a get --path \"\" => allow", "a|system:authenticated|get|path |allow|"},
	    {"a impersonate userextras.authentication.k8s.io/example.com/x y/z => allow",
		"a|system:authenticated|impersonate|authentication.k8s.io/userextras/example.com/x||y/z|allow|"},
	    {"# nothing\n\n  \t\na\tget\tpods => allow\r\n", "a|system:authenticated|get|/pods/|||allow|"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(told(rows[i][0]), rows[i][1]);
}

static void test_selectors_and_times(void **state)
{
	static const char text[] = "@at 2026-11-22T10:00:00Z\n@hold 5m\n"
	    "a list pods -l \"team in (a, b),x,!y,z!=1,q==2, r notin (c),v gt (5)\" --field-selector type=k => allow\n"
	    "a list pods --at 2026-11-22T12:00:00+01:00 --hold 0s => allow\n";
	static const struct {
		const char *key, *op;
		size_t n;
		const char *first;
	} want[] = {{"team", "In", 2, "a"}, {"x", "Exists", 0, NULL}, {"y", "DoesNotExist", 0, NULL},
	    {"z", "NotIn", 1, "1"}, {"q", "In", 1, "2"}, {"r", "NotIn", 1, "c"}, {"v", "gt", 1, "5"}};
	struct access_case *c;
	struct diags d = {0};
	size_t n;
	(void)state;
	assert_int_equal(cases_parse(&arena, "f", slice_of(text), &c, &n, &d), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(c[0].request.nlabel, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const struct access_requirement *q = &c[0].request.label_selector[i];
		assert_true(slice_is(q->key, want[i].key) && slice_is(q->op, want[i].op));
		assert_int_equal(q->n, want[i].n);
		assert_true(!want[i].first || slice_is(q->values[0], want[i].first));
	}
	assert_int_equal(c[0].request.nfield, 1);
	int64_t ten;
	assert_true(clock_parse_rfc3339(SLICE("2026-11-22T10:00:00Z"), &ten));
	assert_true(c[0].request.now == ten && c[0].request.hold == 300 * CLOCK_SECOND);
	assert_true(c[1].request.now == ten + CLOCK_SECOND * 3600 && c[1].request.hold == 0);
	assert_int_equal(cases_parse(&arena, "f", SLICE("a get pods => deny"), &c, &n, &d), ERR_OK);
	assert_true(c[0].request.now == AUTHZ_TIMELESS);
}

static void test_what_is_refused_and_where(void **state)
{
	static const struct {
		const char *text;
		unsigned line, col;
		const char *words;
	} rows[] = {
	    {",x get pods => allow", 1, 1, "no user"},
	    {"a, get pods => allow", 1, 3, "a comma without a group"},
	    {"a,b,,c get pods => allow", 1, 5, "a comma without a group"},
	    {"\na => allow", 2, 3, "no verb"},
	    {"a get => allow", 1, 7, "no resource or path"},
	    {"a get pods", 1, 11, "no `=>`"},
	    {"a get pods -n => deny", 1, 12, "-n needs a value"},
	    {"a get pods -n x -A => deny", 1, 17, "once more"},
	    {"a get pods -x y => deny", 1, 12, "unknown option -x"},
	    {"a get pods x y => deny", 1, 14, "`y` once more"},
	    {"a get /x y => deny", 1, 10, "a path has no name"},
	    {"a get /x -n y => deny", 1, 10, "a path has no `-n`"},
	    {"a list pods -l \"x in\" => deny", 1, 16, "a selector is written"},
	    {"a list pods -l \"\" => deny", 1, 16, "an empty selector"},
	    {"a get pods => maybe", 1, 15, "expected allow, deny or noOpinion"},
	    {"a get pods => deny of x", 1, 20, "expected `by RULE`"},
	    {"a get pods => deny by x y", 1, 25, "the end of the line"},
	    {"sa:x get pods => deny", 1, 1, "sa:NAMESPACE/NAME"},
	    {"sa:x/y/z get pods => deny", 1, 1, "sa:NAMESPACE/NAME"},
	    {"@at noon", 1, 5, "expected a time"},
	    {"@what x", 1, 1, "expected @namespace"},
	    {"@groups all", 1, 1, "expected @namespace"},
	    {"a \"get pods => allow", 1, 3, "a quote without its end"},
	    {"a get po\001ds => allow", 1, 7, "control or invisible"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct access_case *c;
		struct diags d = {0};
		size_t n;
		assert_int_equal(cases_parse(&arena, "f", slice_of(rows[i].text), &c, &n, &d), ERR_INVALID);
		assert_int_equal(n, 0);
		if (d.errors != 1 || d.items[0].line != rows[i].line || d.items[0].col != rows[i].col ||
		    !strstr(d.items[0].text, rows[i].words))
			fail_msg("%s: %zu errors, %u:%u %s", rows[i].text, d.errors, d.items[0].line,
			    d.items[0].col, d.items[0].text);
		diags_done(&d);
	}
}

static void test_cases_are_run_and_rules_counted(void **state)
{
	struct policy *p = policy_must(POLICY_HEAD "rules:\n"
	    "- {id: a, effect: allow, subjects: {groups: [dev]}, apiGroups: [\"\"], resources: [pods], verbs: [get]}\n"
	    "- {id: d, effect: deny, subjects: {users: [bob]}, apiGroups: [\"\"], resources: [pods], verbs: [get]}\n"
	    "- {id: e, effect: deny, subjects: {users: [eve]}, apiGroups: [\"\"], resources: [pods], verbs: [get]}\n");
	static const char text[] = "bob,dev get pods => deny by d\nann get pods => noOpinion by -\n"
	    "bob get pods => allow\nbob get pods => deny by e\nann get pods => noOpinion by a\n"
	    "eve get pods => deny by -\n";
	static const char *const found[] = {NULL, NULL, "expected allow, got deny by d (p.yaml:5)",
	    "expected deny by e, got deny by d (p.yaml:5)", "expected noOpinion by a, got noOpinion",
	    "expected deny by -, got deny by e (p.yaml:6)"};
	struct access_case *c;
	struct diags none = {0};
	struct coverage cover;
	size_t n;
	(void)state;
	assert_int_equal(cases_parse(&arena, "f", slice_of(text), &c, &n, &none), ERR_OK);
	assert_int_equal(n, ARRAY_LEN(found));
	for (size_t i = 0; i < n; i++) {
		struct diags d = {0};
		assert_int_equal(cases_run(p, &c[i], &d), !found[i]);
		if (found[i])
			assert_string_equal(d.items[0].text, found[i]);
		diags_done(&d);
	}
	coverage_init(&cover, &arena, p, true);
	coverage_add(&cover, p, &c[0].request);
	assert_true(!cover.decided[0] && cover.decided[1] && !cover.decided[2]);
	assert_true(cover.matched[0] && cover.matched[1] && !cover.matched[2]);
	coverage_done(&cover);
	policy_free(&p);
}

static int done(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_a_line_asks),
	    cmocka_unit_test(test_selectors_and_times),
	    cmocka_unit_test(test_what_is_refused_and_where),
	    cmocka_unit_test(test_cases_are_run_and_rules_counted),
	};
	return cmocka_run_group_tests(tests, NULL, done);
}
