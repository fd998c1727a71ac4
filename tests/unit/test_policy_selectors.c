/* Proves what rules about names by pattern, fields and labels accept, refuse and decide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "authz/engine.h"
#include "tests/support/policy_rows.h"

#define LIST "rules:\n- id: r1\n  effect: allow\n  subjects: {users: [u]}\n  verbs: [list, watch]\n"
#define LABEL(requirement) LIST PODS "  labelSelector: {requirements: [" requirement "]}\n"
#define FIELD(requirement) LIST PODS "  fieldSelector: {requirements: [" requirement "]}\n"

static void test_selectors_are_checked(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {LABEL("{key: team, operator: In, values: [a, \"\"]}"), NULL},
	    {LABEL("{key: example.com/team, operator: NotIn, values: [a.b_c-D]}"), NULL},
	    {LABEL("{key: team, operator: Exists}, {key: x, operator: DoesNotExist}"), NULL},
	    {FIELD("{key: metadata.name, operator: In, values: [\"kubernetes.io/tls\"]}"), NULL},
	    {LABEL(""), "p.yaml:10:33: error: `requirements` must not be empty"},
	    {LIST PODS "  labelSelector: {}\n", "p.yaml:10:18: error: required key `requirements` is missing"},
	    {LIST PODS "  labelSelector:\n", "p.yaml:10:17: error: `labelSelector` has no value"},
	    {LIST PODS "  labelSelector: {matchLabels: {a: b}}\n", "error: unknown key `matchLabels`"},
	    {LABEL("{key: team, operator: in, values: [a]}"),
		"p.yaml:10:56: error: `operator`: expected `In`, `NotIn`, `Exists` or `DoesNotExist`"},
	    {LABEL("{key: team, operator: Gt, values: [a]}"), "error: `operator`: expected"},
	    {LABEL("{key: team, operater: In, values: [a]}"),
		"p.yaml:10:46: error: unknown key `operater`, did you mean `operator`?"},
	    {LABEL("{operator: Exists}"), "p.yaml:10:34: error: required key `key` is missing"},
	    {LABEL("{key: \"\", operator: Exists}"), "p.yaml:10:40: error: `key` must not be empty"},
	    {LABEL("{key: a, operator: In}"), "p.yaml:10:43: error: the operator `In` needs `values`"},
	    {LABEL("{key: a, operator: NotIn}"), "error: the operator `NotIn` needs `values`"},
	    {LABEL("{key: a, operator: In, values: []}"), "p.yaml:10:65: error: `values` must not be empty"},
	    {LABEL("{key: a, operator: Exists, values: [x]}"),
		"p.yaml:10:61: error: the operator `Exists` takes no `values`"},
	    {LABEL("{key: a, operator: DoesNotExist, values: [x]}"), 
		"error: the operator `DoesNotExist` takes no `values`"},
	    {LABEL("{key: a, operator: In, values: x}"), "error: `values`: expected a list of strings"},
	    {LABEL("{key: -a, operator: Exists}"), "p.yaml:10:35: error: `-a` can be no label"},
	    {LABEL("{key: a/b/c, operator: Exists}"), "error: `a/b/c` can be no label"},
	    {LABEL("{key: /b, operator: Exists}"), "error: `/b` can be no label"},
	    {LABEL("{key: a, operator: In, values: [b, c/d]}"), "p.yaml:10:69: error: `c/d` can be no label's value"},
	    {RULE PODS "  labelSelector: {requirements: [{key: a, operator: Exists}]}\n",
		"p.yaml:10:18: error: `labelSelector` with the verb `get`: only requests to list, watch"},
	    {"rules:\n- id: r1\n  effect: deny\n  subjects: {users: [u]}\n  verbs: [\"*\"]\n" PODS
	     "  fieldSelector: {requirements: [{key: a, operator: Exists}]}\n",
		"p.yaml:10:18: error: `fieldSelector` with the verb `*`"},
	    {LIST "  nonResourceURLs: [/a]\n  labelSelector: {requirements: [{key: a, operator: Exists}]}\n",
		"p.yaml:9:3: error: `labelSelector` beside `nonResourceURLs`"},
	    {"roles:\n- name: x\n  rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get], labelSelector: "
	     "{requirements: [{key: a, operator: Exists}]}}]\n" RULE PODS,
		"p.yaml:5:77: error: `labelSelector` with the verb `get`"},
	    {"roles:\n- name: x\n  rules: [{apiGroups: [\"\"], resources: [pods], verbs: [list]}]\n"
	     "rules:\n- id: r1\n  effect: allow\n  subjects: {users: [u]}\n  roles: [x]\n"
	     "  labelSelector: {requirements: [{key: a, operator: Exists}]}\n",
		"p.yaml:11:3: error: `labelSelector` beside `roles`"},
	};
	CHECK_ROWS(rows);
}

static void test_globs_of_names_are_checked(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {RULE PODS "  resourceNamesGlob: [\"db-*\", \"*.example.com\", \"a-*-z\"]\n", NULL},
	    {RULE PODS "  resourceNamesGlob: [\"db-*\"]\n  resourceNames: [main]\n", NULL},
	    {RULE PODS "  resourceNamesGlob: [\"ok-*\", \"my*\"]\n",
		"p.yaml:10:31: warning: the glob `my*` also matches names that go on with other words, "
		"such as `my-app`"},
	    {RULE PODS "  resourceNamesGlob: [\"*\"]\n", "p.yaml:10:23: warning: `*` is every name"},
	    {RULE PODS "  resourceNamesGlob: [\"\"]\n", "p.yaml:10:23: error: an empty name"},
	    {RULE PODS "  resourceNamesGlob: []\n", "error: `resourceNamesGlob` must not be empty"},
	    {RULE PODS "  resourceNames: [\"a*\"]\n",
		"p.yaml:10:19: warning: the name `a*` is taken literally: `*` is a wildcard in"},
	    {"rules:\n- id: r1\n  effect: allow\n  subjects: {users: [u]}\n  verbs: [get, create]\n" PODS
	     "  resourceNamesGlob: [\"a-*\"]\n",
		"p.yaml:10:3: error: `resourceNamesGlob` beside the verb `create`"},
	    {RULE "  nonResourceURLs: [/a]\n  resourceNamesGlob: [\"a-*\"]\n",
		"p.yaml:9:3: error: `resourceNamesGlob` beside `nonResourceURLs`"},
	    {EXEMPT "rules:\n- id: r1\n  effect: deny\n  subjects: {users: [u]}\n  verbs: [\"*\"]\n" PODS
		    "  resourceNamesGlob: [\"a-*\"]\n",
		"p.yaml:11:3: warning: `resourceNamesGlob` with all verbs in the rule `r1`"},
	};
	CHECK_ROWS(rows);
}

static void test_details_of_tests_are_checked(void **state)
{
	(void)state;
#define T(as, can, rest) \
	LIST PODS "tests:\n- {as: {user: u" as "}, can: {verb: list, resource: pods" can "}, expect: allow" rest "}\n"
	static const struct row rows[] = {
	    {T("", ", labelSelector: {requirements: [{key: a, operator: Exists}]}", ""), NULL},
	    {T("", ", labelSelector: {requirements: [{key: a, operator: In}]}", ""),
		"p.yaml:11:93: error: the operator `In` needs `values`"},
	    {LIST PODS "tests:\n- {as: {user: u}, can: {verb: get, resource: pods, fieldSelector: "
		       "{requirements: [{key: a, operator: Exists}]}}, expect: allow}\n",
		"p.yaml:11:67: error: `fieldSelector` with the verb `get`"},
	    {LIST PODS "tests:\n- {as: {user: u}, can: {verb: list, path: /a, fieldSelector: "
		       "{requirements: [{key: a, operator: Exists}]}}, expect: allow}\n",
		"error: `fieldSelector` beside `path`"},
	    {T(", extra: {example.com/scopes: [a, b], x: [c]}", "", ""), NULL},
	    {T(", extra: [a]", "", ""), "p.yaml:11:25: error: `extra`: expected a mapping"},
	    {T(", extra: {k: v}", "", ""), "p.yaml:11:26: error: `extra`: `k` is no list of strings"},
	    {T(", extra: {k: []}", "", ""), "error: `extra`: `k` is no list of strings"},
	    {T(", extra: {k: [{a: b}]}", "", ""), "error: `extra`: `k` is no list of strings"},
	    {T("", "", ", at: 2026-11-22T10:00:00Z"), NULL},
	    {T("", "", ", at: tomorrow"), "p.yaml:11:69: error: `at`: `tomorrow` is no time such as"},
	    {LIST PODS "  mode: shadow\ntests:\n- {as: {user: u}, can: {verb: list, resource: pods}, expect: allow, by: "
		       "r1}\n",
		"p.yaml:12:69: error: `by`: the rule `r1` is in shadow and decides nothing"},
	};
	CHECK_ROWS(rows);
}

static void test_shadow_rules_decide_nothing(void **state)
{
	(void)state;
	struct policy *p = policy_must(POLICY_HEAD
	    "rules:\n"
	    "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [\"\"], resources: [pods], verbs: [get]}\n"
	    "- {id: d, mode: shadow, effect: deny, subjects: {users: [u]}, apiGroups: [\"\"], resources: [pods], "
	    "verbs: [get]}\n"
	    "- {id: w, mode: shadow, effect: allow, subjects: {users: [w]}, apiGroups: [\"\"], resources: [pods], "
	    "verbs: [get]}\n"
	    "tests:\n"
	    "- {as: {user: u}, can: {verb: get, resource: pods}, expect: allow, by: a}\n"
	    "- {as: {user: w}, can: {verb: get, resource: pods}, expect: noOpinion}\n");
	const struct policy_info *i = policy_info(p);
	assert_int_equal(i->rules, 3);
	assert_int_equal(i->deny_rules, 0);
	assert_int_equal(i->shadow_rules, 2);
	policy_free(&p);
}

static void test_allow_shrink_is_of_one_generation(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool allow;
	} rows[] = {
	    {"metadata: {allowShrink: true}\n", "", true},
	    {"metadata: {generation: 3, allowShrink: true}\n", "metadata: {generation: 2}\n", true},
	    {"metadata: {generation: 3, allowShrink: true}\n", "metadata: {generation: 4}\n", false},
	    {"metadata: {generation: 3}\n", "metadata: {allowShrink: true}\n", false},
	    {"metadata: {generation: 3, allowShrink: false}\n", "", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[2][512];
		snprintf(text[0], sizeof(text[0]), "%s%s%s", POLICY_HEAD, rows[i].a, RULE PODS);
		snprintf(text[1], sizeof(text[1]), "%s%s", POLICY_HEAD, rows[i].b);
		struct policy_file files[] = {{"a.yaml", slice_of(text[0]), POLICY_FILE_NATIVE},
		    {"b.yaml", slice_of(text[1]), POLICY_FILE_NATIVE}};
		struct policy *p = NULL;
		struct diags d = {0};
		assert_int_equal(policy_compile(files, 2, NULL, &p, &d), ERR_OK);
		assert_int_equal(policy_info(p)->allow_shrink, rows[i].allow);
		/* It says so where it counts no more: one warning is for the file without rules. */
		bool stale = !rows[i].allow && !strstr(rows[i].a, "false");
		assert_int_equal(d.warnings, stale);
		policy_free(&p);
		diags_done(&d);
	}
}

/* --- what selectors decide --- */

struct asks {
	const char *op, *v[4]; /* OP NULL: nothing asked about the key */
};

static enum verdict ask(const struct policy *p, const struct asks *a)
{
	struct slice values[4];
	struct access_requirement q = {.key = SLICE("team"), .op = slice_of(a->op), .values = values};
	for (; q.n < 4 && a->v[q.n]; q.n++)
		values[q.n] = slice_of(a->v[q.n]);
	struct access_request r = {.user = SLICE("u"),
	    .resource_request = true,
	    .verb = SLICE("list"),
	    .resource = SLICE("pods"),
	    .label_selector = &q,
	    .nlabel = a->op != NULL};
	struct decision d;
	authz_evaluate(p, &r, &d);
	return d.verdict;
}

/* One row a pair: what is asked against what a rule says, for an allow (surely within), a deny (possibly
 * touched) and a deny with `overlap: exact` (surely within). */
static void test_one_requirement_against_one(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		struct asks asks;
		bool within, touched;
	} rows[] = {
	    {"In, values: [a, b]", {NULL, {0}}, false, true},
	    {"In, values: [a, b]", {"In", {"a"}}, true, true},
	    {"In, values: [a, b]", {"In", {"b", "a", "b"}}, true, true},
	    {"In, values: [a, b]", {"In", {"a", "c"}}, false, true},
	    {"In, values: [a, b]", {"In", {"c"}}, false, false},
	    {"In, values: [a, b]", {"In", {"never seen"}}, false, false},
	    {"In, values: [a, b]", {"In", {""}}, false, false},
	    {"In, values: [a, \"\"]", {"In", {""}}, true, true},
	    {"In, values: [a, b]", {"NotIn", {"a"}}, false, true},
	    {"In, values: [a, b]", {"NotIn", {"a", "b", "c"}}, false, false},
	    {"In, values: [a, b]", {"Exists", {0}}, false, true},
	    {"In, values: [a, b]", {"DoesNotExist", {0}}, false, false},
	    {"NotIn, values: [a, b]", {NULL, {0}}, false, true},
	    {"NotIn, values: [a, b]", {"In", {"c", "d"}}, true, true},
	    {"NotIn, values: [a, b]", {"In", {"c", "b"}}, false, true},
	    {"NotIn, values: [a, b]", {"In", {"a"}}, false, false},
	    {"NotIn, values: [a, b]", {"In", {"b", "a"}}, false, false},
	    {"NotIn, values: [a, b]", {"NotIn", {"b", "c", "a"}}, true, true},
	    {"NotIn, values: [a, b]", {"NotIn", {"a", "c"}}, false, true},
	    {"NotIn, values: [a, b]", {"Exists", {0}}, false, true},
	    {"NotIn, values: [a, b]", {"DoesNotExist", {0}}, true, true},
	    {"Exists", {NULL, {0}}, false, true},
	    {"Exists", {"In", {"x"}}, true, true},
	    {"Exists", {"NotIn", {"x"}}, false, true},
	    {"Exists", {"Exists", {0}}, true, true},
	    {"Exists", {"DoesNotExist", {0}}, false, false},
	    {"DoesNotExist", {NULL, {0}}, false, true},
	    {"DoesNotExist", {"In", {"x"}}, false, false},
	    {"DoesNotExist", {"NotIn", {"x"}}, false, true},
	    {"DoesNotExist", {"Exists", {0}}, false, false},
	    {"DoesNotExist", {"DoesNotExist", {0}}, true, true},
	    /* What is no requirement is none: the request counts as one for everything. */
	    {"In, values: [a]", {"Gt", {"a"}}, false, true},
	    {"In, values: [a]", {"in", {"a"}}, false, true},
	    {"In, values: [a]", {"In", {0}}, false, true},
	    {"In, values: [a]", {"NotIn", {0}}, false, true},
	    {"Exists", {"Exists", {"x"}}, false, true},
	    {"Exists", {"DoesNotExist", {"x"}}, false, true},
	};
	static const char *const heads[] = {"effect: allow", "effect: deny", "effect: deny, overlap: exact"};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t k = 0; k < ARRAY_LEN(heads); k++) {
			char text[1024];
			snprintf(text, sizeof(text),
			    POLICY_HEAD "rules:\n- {id: r, %s, subjects: {users: [u]}, apiGroups: [\"\"], "
					"resources: [pods], verbs: [list], labelSelector: {requirements: "
					"[{key: team, operator: %s}]}}\n",
			    heads[k], rows[i].rule);
			struct policy *p = policy_must(text);
			enum verdict hit = k ? VERDICT_DENY : VERDICT_ALLOW;
			bool want = k == 1 ? rows[i].touched : rows[i].within;
			if ((ask(p, &rows[i].asks) == hit) != want)
				fail_msg("row %zu, %s", i, heads[k]);
			policy_free(&p);
		}
	}
}

static void test_all_requirements_of_the_rule_must_hold(void **state)
{
	(void)state;
	struct policy *p = policy_must(POLICY_HEAD
	    "rules:\n"
	    "- id: tls\n"
	    "  effect: allow\n"
	    "  subjects: {users: [u]}\n"
	    "  apiGroups: [\"\"]\n"
	    "  resources: [secrets]\n"
	    "  verbs: [list, watch]\n"
	    "  fieldSelector: {requirements: [{key: type, operator: In, values: [kubernetes.io/tls]}]}\n"
	    "  labelSelector: {requirements: [{key: a, operator: Exists}, {key: b, operator: In, values: [x, y]}]}\n"
	    "tests:\n"
	    "- as: {user: u}\n"
	    "  can:\n"
	    "    verb: list\n"
	    "    resource: secrets\n"
	    "    fieldSelector: {requirements: [{key: type, operator: In, values: [kubernetes.io/tls]}]}\n"
	    "    labelSelector: {requirements: [{key: b, operator: In, values: [y]}, {key: c, operator: Exists}, "
	    "{key: a, operator: In, values: [q]}]}\n"
	    "  expect: allow\n"
	    "- as: {user: u}\n"
	    "  can:\n"
	    "    verb: list\n"
	    "    resource: secrets\n"
	    "    labelSelector: {requirements: [{key: b, operator: In, values: [y]}, {key: a, operator: Exists}]}\n"
	    "  expect: noOpinion\n"
	    "- as: {user: u}\n"
	    "  can:\n"
	    "    verb: list\n"
	    "    resource: secrets\n"
	    "    fieldSelector: {requirements: [{key: type, operator: In, values: [kubernetes.io/tls]}]}\n"
	    "    labelSelector: {requirements: [{key: b, operator: In, values: [y]}]}\n"
	    "  expect: noOpinion\n"
	    /* Labels are no fields. */
	    "- as: {user: u}\n"
	    "  can:\n"
	    "    verb: list\n"
	    "    resource: secrets\n"
	    "    labelSelector: {requirements: [{key: type, operator: In, values: [x]}, {key: b, operator: In, "
	    "values: [y]}, {key: a, operator: Exists}]}\n"
	    "  expect: noOpinion\n");
	policy_free(&p);
}

/* Two requirements on one key are not taken together: a request that says less plainly what it asks is
 * allowed less, and denied more. */
static void test_requirements_on_one_key_stand_alone(void **state)
{
	(void)state;
	struct policy *p = policy_must(POLICY_HEAD
	    "defaults: {exempt: {users: [root]}}\n"
	    "rules:\n"
	    "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [\"\"], resources: [pods], verbs: [list], "
	    "labelSelector: {requirements: [{key: k, operator: In, values: [a]}]}}\n"
	    "- {id: d, effect: deny, subjects: {users: [v]}, apiGroups: [\"\"], resources: [pods], verbs: [list], "
	    "labelSelector: {requirements: [{key: k, operator: In, values: [b]}]}}\n"
	    "tests:\n"
	    "- as: {user: u}\n"
	    "  can: {verb: list, resource: pods, labelSelector: {requirements: [{key: k, operator: In, values: [a, b]}, "
	    "{key: k, operator: NotIn, values: [b]}]}}\n"
	    "  expect: noOpinion\n"
	    "- as: {user: u}\n"
	    "  can: {verb: list, resource: pods, labelSelector: {requirements: [{key: k, operator: In, values: [a, b]}, "
	    "{key: k, operator: In, values: [a]}]}}\n"
	    "  expect: allow\n"
	    "- as: {user: v}\n"
	    "  can: {verb: list, resource: pods, labelSelector: {requirements: [{key: k, operator: In, values: [a, b]}, "
	    "{key: k, operator: NotIn, values: [b, c]}]}}\n"
	    "  expect: noOpinion\n"
	    "- as: {user: v}\n"
	    "  can: {verb: list, resource: pods, labelSelector: {requirements: [{key: k, operator: In, values: [a, b]}, "
	    "{key: k, operator: NotIn, values: [a]}]}}\n"
	    "  expect: deny\n");
	policy_free(&p);
}

/* Past the limits a requirement counts for nothing, so the request is taken for a wider one. */
static void test_a_request_of_any_size_is_taken_for_a_wider_one(void **state)
{
	(void)state;
	enum { MANY = 10000 };
	static struct access_requirement q[MANY];
	static struct slice values[MANY];
	struct policy *p = policy_must(POLICY_HEAD
	    "rules:\n"
	    "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [\"\"], resources: [pods], verbs: [list], "
	    "labelSelector: {requirements: [{key: team, operator: NotIn, values: [a, b, c]}]}}\n"
	    "- {id: d, effect: deny, subjects: {users: [v]}, apiGroups: [\"\"], resources: [pods], verbs: [list], "
	    "labelSelector: {requirements: [{key: team, operator: In, values: [a, b, c]}]}}\n");
	static const char *const words[] = {"c", "a", "d", "b", "pods", "e"};
	for (size_t i = 0; i < MANY; i++)
		values[i] = slice_of(words[i % ARRAY_LEN(words)]);
	for (size_t n = 1; n <= MANY; n = n < 70 ? n + 1 : n * 2) {
		struct access_request r = {.user = SLICE("u"),
		    .resource_request = true,
		    .verb = SLICE("list"),
		    .resource = SLICE("pods"),
		    .label_selector = q,
		    .nlabel = n};
		struct decision d;
		/* The last of N requirements is the one that matters, the others are of the same key. */
		for (size_t i = 0; i < n; i++)
			q[i] = (struct access_requirement){SLICE("team"), SLICE("Exists"), NULL, 0};
		q[n - 1] = (struct access_requirement){SLICE("team"), SLICE("NotIn"), values, 12};
		authz_evaluate(p, &r, &d);
		assert_int_equal(d.verdict, n <= ENGINE_REQUIREMENTS ? VERDICT_ALLOW : VERDICT_NO_OPINION);
		r.user = SLICE("v");
		authz_evaluate(p, &r, &d);
		assert_int_equal(d.verdict, n <= ENGINE_REQUIREMENTS ? VERDICT_NO_OPINION : VERDICT_DENY);
		/* Requirements on keys that no rule names take no room. */
		for (size_t i = 0; i + 1 < n; i++)
			q[i].key = SLICE("unknown to the policy");
		authz_evaluate(p, &r, &d);
		assert_int_equal(d.verdict, VERDICT_NO_OPINION);
		/* One requirement with N values. */
		q[0] = (struct access_requirement){SLICE("team"), SLICE("NotIn"), values, n};
		r.nlabel = 1;
		authz_evaluate(p, &r, &d);
		assert_int_equal(
		    d.verdict, n >= 4 && n <= ENGINE_VALUES ? VERDICT_NO_OPINION : VERDICT_DENY);
	}
	policy_free(&p);
}

static void test_globs_of_names_decide(void **state)
{
	(void)state;
	struct policy *p = policy_must(POLICY_HEAD
	    "defaults: {exempt: {users: [root]}}\n"
	    "rules:\n"
	    "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [\"\"], resources: [secrets], "
	    "resourceNamesGlob: [\"db-*\"], resourceNames: [\"main\"], verbs: [\"*\"]}\n"
	    "- {id: d, effect: deny, subjects: {users: [v]}, apiGroups: [\"\"], resources: [secrets], "
	    "resourceNamesGlob: [\"db-*\"], verbs: [get, list]}\n"
	    "- {id: e, effect: deny, overlap: exact, subjects: {users: [w]}, apiGroups: [\"\"], resources: [secrets], "
	    "resourceNamesGlob: [\"db-*\"], verbs: [get, list]}\n"
	    "tests:\n"
	    "- {as: {user: u}, can: {verb: get, resource: secrets, name: db-1}, expect: allow}\n"
	    "- {as: {user: u}, can: {verb: get, resource: secrets, name: main}, expect: allow}\n"
	    "- {as: {user: u}, can: {verb: get, resource: secrets, name: db}, expect: noOpinion}\n"
	    "- {as: {user: u}, can: {verb: get, resource: secrets, name: xdb-1}, expect: noOpinion}\n"
	    "- {as: {user: u}, can: {verb: list, resource: secrets}, expect: noOpinion}\n"
	    "- {as: {user: u}, can: {verb: create, resource: secrets}, expect: noOpinion}\n"
	    "- {as: {user: v}, can: {verb: get, resource: secrets, name: db-1}, expect: deny}\n"
	    "- {as: {user: v}, can: {verb: get, resource: secrets, name: x}, expect: noOpinion}\n"
	    "- {as: {user: v}, can: {verb: list, resource: secrets}, expect: deny}\n"
	    "- {as: {user: w}, can: {verb: list, resource: secrets}, expect: noOpinion}\n"
	    "- {as: {user: w}, can: {verb: get, resource: secrets, name: db-}, expect: deny}\n");
	policy_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_selectors_are_checked),
	    cmocka_unit_test(test_globs_of_names_are_checked),
	    cmocka_unit_test(test_details_of_tests_are_checked),
	    cmocka_unit_test(test_shadow_rules_decide_nothing),
	    cmocka_unit_test(test_allow_shrink_is_of_one_generation),
	    cmocka_unit_test(test_one_requirement_against_one),
	    cmocka_unit_test(test_all_requirements_of_the_rule_must_hold),
	    cmocka_unit_test(test_requirements_on_one_key_stand_alone),
	    cmocka_unit_test(test_a_request_of_any_size_is_taken_for_a_wider_one),
	    cmocka_unit_test(test_globs_of_names_decide),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
