/* Proves containment and lint: what is called unreachable, shadowed, a duplicate or without effect never
 * decides on generated policies; each code is given where it is due, and only there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "authz/cases.h"
#include "policy/cover.h"
#include "policy/index.h"
#include "policy/lint.h"
#include "tests/support/policy_text.h"

#define NOW INT64_C(1795000000000000000) /* 2026-11-18 */

static uint32_t rnd(uint64_t *seed, uint32_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % below;
}
#define PICK(seed, words) ((words)[rnd(seed, ARRAY_LEN(words))])

/* --- globs --- */

static void test_a_glob_covers_what_it_matches_whatever_the_stars_stand_for(void **state)
{
	static const char letters[] = "ab*";
	uint64_t seed = 1;
	unsigned covered = 0;
	(void)state;
	for (int i = 0; i < 20000; i++) {
		char wide[6], narrow[6], text[32];
		size_t nw = rnd(&seed, 6), nn = rnd(&seed, 6), nt = 0;
		for (size_t k = 0; k < nw; k++)
			wide[k] = letters[rnd(&seed, 3)];
		for (size_t k = 0; k < nn; k++)
			narrow[k] = letters[rnd(&seed, 3)];
		struct slice w = {wide, nw}, n = {narrow, nn};
		if (!glob_covers(w, n))
			continue;
		covered++;
		for (size_t k = 0; k < nn; k++) {
			uint32_t more = narrow[k] == '*' ? rnd(&seed, 4) : 0;
			for (uint32_t m = 0; m < more; m++)
				text[nt++] = letters[rnd(&seed, 2)];
			if (narrow[k] != '*')
				text[nt++] = narrow[k];
		}
		assert_true(glob_match(w, (struct slice){text, nt}));
	}
	assert_true(covered > 2000);
}

/* --- generated policies --- */

static const char *const users[] = {"a", "b", "ab", "a*", "*b", "*"};
static const char *const groups[] = {"g", "h", "g*", "system:authenticated"};
static const char *const accounts[] = {"n/s", "n/*", "*/*"};
static const char *const verbs[] = {"get", "list", "*", "watch"};
static const char *const apis[] = {"", "apps", "*"};
static const char *const resources[] = {"pods", "nodes", "pods/log", "*/log", "*"};
static const char *const deny_resources[] = {"pods", "pods/*", "pods/log", "*/*", "*", "*/log"};
static const char *const names[] = {"x", "y", "z"};
static const char *const name_globs[] = {"x*", "*", "y*", "xx*"};
static const char *const places[] = {"n", "m", "n*", "*", "nm"};
static const char *const labels[] = {"{key: t, operator: In, values: [a]}", "{key: t, operator: In, values: [a, b]}",
    "{key: u, operator: Exists}"};
static const char *const urls[] = {"/a", "/a/*", "*", "/b"};

static void list(struct buf *b, uint64_t *seed, const char *key, const char *const *words, uint32_t n)
{
	uint32_t count = 1 + rnd(seed, 2);
	buf_printf(b, ", %s: [", key);
	for (uint32_t i = 0; i < count; i++)
		buf_printf(b, "%s\"%s\"", i ? ", " : "", words[rnd(seed, n)]);
	buf_addc(b, ']');
}
#define LIST(b, seed, key, words) list(b, seed, key, words, ARRAY_LEN(words))

static void subjects(struct buf *b, uint64_t *seed)
{
	switch (rnd(seed, 5)) {
	case 0:
		buf_adds(b, "{all: everyone");
		break;
	case 1:
		buf_adds(b, "{all: authenticated");
		LIST(b, seed, "users", users);
		break;
	case 2:
		buf_adds(b, "{users: [\"a\"]");
		LIST(b, seed, "groups", groups);
		break;
	default:
		buf_adds(b, "{groups: [\"g\"]");
		if (rnd(seed, 2))
			LIST(b, seed, "users", users);
		if (rnd(seed, 3) == 0)
			LIST(b, seed, "serviceAccounts", accounts);
	}
	buf_addc(b, '}');
}

/* A seed of few: rules often have a dimension in common, or one that is nearly the same. */
static uint64_t few(uint64_t *seed, uint32_t n)
{
	return rnd(seed, n);
}

static void names_part(struct buf *b, uint64_t *seed)
{
	if (rnd(seed, 2) == 0)
		return;
	if (rnd(seed, 2))
		LIST(b, seed, "resourceNames", names);
	else
		LIST(b, seed, "resourceNamesGlob", name_globs);
}

static void selector_part(struct buf *b, uint64_t *seed)
{
	buf_printf(b, ", verbs: [list], labelSelector: {requirements: [%s", PICK(seed, labels));
	if (rnd(seed, 2))
		buf_adds(b, ", {key: w, operator: Exists}");
	buf_adds(b, "]}");
}

static void place_part(struct buf *b, uint64_t *seed)
{
	uint32_t which = rnd(seed, 6);
	if (which == 0)
		buf_adds(b, ", clusterScope: only");
	if (which < 3)
		return;
	buf_adds(b, ", namespaces: {include: [\"n\"");
	if (rnd(seed, 3))
		buf_printf(b, ", \"%s\"", PICK(seed, places));
	buf_adds(b, "]");
	if (rnd(seed, 2) == 0)
		buf_printf(b, ", exclude: [\"%s\"]", rnd(seed, 2) ? "nm" : "n*x");
	buf_adds(b, "}");
}

static void resource_part(struct buf *b, uint64_t *seed, bool allow)
{
	uint64_t what = few(seed, 5), named = few(seed, 5), selected = few(seed, 6), where = few(seed, 9),
		 how = few(seed, 3);
	LIST(b, &what, "apiGroups", apis);
	if (allow || rnd(seed, 2))
		LIST(b, &what, "resources", resources);
	else
		LIST(b, &what, "resources", deny_resources);
	names_part(b, &named);
	if (rnd(seed, 4) == 0)
		selector_part(b, &selected);
	else
		LIST(b, &how, "verbs", verbs);
	place_part(b, &where);
}

static void rule(struct buf *b, uint64_t *seed, uint32_t number)
{
	static const char *const effects[] = {"allow", "deny", "abstain", "allow"};
	const char *effect = PICK(seed, effects);
	bool allow = effect[0] == 'a' && effect[1] == 'l';
	uint64_t who = few(seed, 6), path = few(seed, 8), not = few(seed, 6);
	buf_printf(b, "- {id: r%u, effect: %s, subjects: ", number, effect);
	subjects(b, &who);
	if (rnd(seed, 6) == 0) {
		buf_adds(b, ", except: {subjects: ");
		subjects(b, &not );
		buf_addc(b, '}');
	}
	if (rnd(seed, 6) == 0) {
		LIST(b, &path, "nonResourceURLs", urls);
		buf_adds(b, rnd(seed, 2) ? ", verbs: [get]" : ", verbs: [\"*\"]");
	} else {
		resource_part(b, seed, allow);
	}
	if (!allow && rnd(seed, 3) == 0)
		buf_adds(b, ", overlap: exact");
	if (rnd(seed, 6) == 0)
		buf_adds(b, rnd(seed, 2) ? ", valid: {from: \"2026-11-01T00:00:00Z\", until: \"2026-12-01T00:00:00Z\"}"
					 : ", valid: {until: \"2026-11-01T00:00:00Z\"}");
	buf_adds(b, "}\n");
}

static struct policy_file generate(struct buf *b, uint64_t *seed)
{
	buf_init(b, 1 << 20);
	buf_adds(b, POLICY_HEAD);
	if (rnd(seed, 3) == 0)
		buf_adds(b, "defaults: {exempt: {users: [\"ab\"], groups: [\"h\"]}}\n");
	buf_adds(b, "rules:\n");
	uint32_t n = 2 + rnd(seed, 9);
	for (uint32_t i = 0; i < n; i++)
		rule(b, seed, i);
	buf_cstr(b);
	return (struct policy_file){.name = "p.yaml", .text = buf_view(b)};
}

static const struct slice values_a[] = {{"a", 1}}, values_ab[] = {{"a", 1}, {"b", 1}};
static const struct access_requirement asked[][2] = {
    {{.key = {"t", 1}, .op = {"In", 2}, .values = values_a, .n = 1}, {.key = {"w", 1}, .op = {"Exists", 6}}},
    {{.key = {"t", 1}, .op = {"In", 2}, .values = values_ab, .n = 2}, {.key = {"u", 1}, .op = {"Exists", 6}}},
    {{.key = {"t", 1}, .op = {"NotIn", 5}, .values = values_a, .n = 1}, {.key = {"t", 1}, .op = {"DoesNotExist", 12}}},
};

static void make_request(uint64_t *seed, struct slice g[3], struct access_request *r)
{
	static const char *const who[] = {"a", "b", "ab", "axb", "c", "", "system:serviceaccount:n:s",
	    "system:serviceaccount:m:t"};
	static const char *const of[] = {"g", "h", "gh", "system:authenticated", "z"};
	static const char *const verb[] = {"get", "list", "watch", "create"};
	static const char *const api[] = {"", "apps", "x"};
	static const char *const resource[] = {"pods", "nodes", "secrets"};
	static const char *const sub[] = {"", "", "log", "exec"};
	static const char *const name[] = {"", "x", "y", "q", "xx"};
	static const char *const ns[] = {"", "n", "m", "nm", "nx", "nyx", "nn"};
	static const char *const path[] = {"/a", "/a/b", "/b", "/a/"};
	*r = (struct access_request){.user = slice_of(PICK(seed, who)), .groups = g, .ngroups = rnd(seed, 4),
	    .resource_request = rnd(seed, 6) > 0, .verb = slice_of(PICK(seed, verb)), .now = NOW};
	for (size_t i = 0; i < r->ngroups; i++)
		g[i] = slice_of(PICK(seed, of));
	if (!r->resource_request) {
		r->path = slice_of(PICK(seed, path));
		return;
	}
	r->api_group = slice_of(PICK(seed, api));
	r->resource = slice_of(PICK(seed, resource));
	r->subresource = slice_of(PICK(seed, sub));
	r->name = slice_of(PICK(seed, name));
	r->namespace_ = slice_of(PICK(seed, ns));
	if (rnd(seed, 2)) {
		r->label_selector = PICK(seed, asked);
		r->nlabel = 1 + rnd(seed, 2);
	}
}

static bool is_silent(const struct lint_finding *f)
{
	return strcmp(f->code, "unreachable") == 0 || strcmp(f->code, "shadowed") == 0 ||
	       strcmp(f->code, "duplicate") == 0 || strcmp(f->code, "nobody") == 0;
}

static void check_one(uint64_t *seed, unsigned *silent, unsigned *exempt_only)
{
	struct buf text;
	struct policy_file file = generate(&text, seed);
	struct policy *p = policy_must(buf_cstr(&text));
	struct lint found = {0};
	struct lint_options options = {.now = NOW};
	policy_lint(&file, 1, p, &options, &found);
	for (int i = 0; i < 400; i++) {
		struct slice g[3];
		struct access_request r;
		struct decision d;
		make_request(seed, g, &r);
		authz_evaluate(p, &r, &d);
		for (size_t k = 0; d.rule && k < found.n; k++) {
			const struct lint_finding *f = &found.v[k];
			if (!f->rule || strcmp(f->rule, d.rule) != 0)
				continue;
			if (is_silent(f) || (strcmp(f->code, "exempt-only") == 0 && !d.exempt))
				fail_msg("%s decides, called %s: %s\n%s", d.rule, f->code, f->text,
				    buf_cstr(&text));
		}
	}
	for (size_t k = 0; k < found.n; k++) {
		*silent += is_silent(&found.v[k]);
		*exempt_only += strcmp(found.v[k].code, "exempt-only") == 0;
	}
	lint_done(&found);
	policy_free(&p);
	buf_done(&text);
}

static void test_what_is_called_unreachable_never_decides(void **state)
{
	uint64_t seed = 7;
	unsigned silent = 0, exempt_only = 0;
	(void)state;
	for (int i = 0; i < 3000; i++)
		check_one(&seed, &silent, &exempt_only);
	assert_true(silent > 500);
	assert_true(exempt_only > 20);
}

/* --- codes --- */

#define EXEMPT "defaults: {exempt: {groups: [\"system:nodes\"]}}\n"
#define HEAD "metadata: {generation: 1}\n" EXEMPT "rules:\n"
#define A "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [\"\"], "
#define D "- {id: d, effect: deny, subjects: {users: [u]}, apiGroups: [\"\"], "

static const struct code_row {
	const char *code, *text; /* CODE "": no findings at all */
} rows[] = {
    {"", HEAD A "resources: [pods], verbs: [get]}\n"},
    {"", HEAD A "resources: [secrets], verbs: [list], fieldSelector: {requirements: [{key: type, operator: In, values: [x]}]}}\n"},
    {"no-generation", EXEMPT "rules:\n" A "resources: [pods], verbs: [get]}\n"},
    {"unreachable", HEAD "- {id: a, effect: abstain, subjects: {users: [u]}, apiGroups: [\"\"], resources: [pods], verbs: [get]}\n"
		    "- {id: d, effect: deny, subjects: {all: everyone}, apiGroups: [\"*\"], resources: [\"*\"], verbs: [\"*\"]}\n"},
    {"exempt-only", HEAD A "resources: [pods], verbs: [get]}\n"
		    "- {id: d, effect: deny, subjects: {all: everyone}, apiGroups: [\"*\"], resources: [\"*\"], verbs: [\"*\"]}\n"},
    {"shadowed", HEAD A "resources: [pods, services], verbs: [get]}\n"
		 "- {id: b, effect: allow, subjects: {users: [u]}, apiGroups: [\"\"], resources: [pods], verbs: [get]}\n"},
    {"duplicate", HEAD A "resources: [pods], verbs: [get]}\n"
		  "- {id: b, effect: allow, subjects: {users: [u]}, apiGroups: [\"\"], resources: [pods], verbs: [get]}\n"},
    {"redundant", HEAD A "resources: [pods], verbs: [get]}\n"
		  "- {id: b, effect: allow, subjects: {users: [u, v]}, apiGroups: [\"\"], resources: [pods], verbs: [get]}\n"},
    {"nobody", HEAD "- {id: a, effect: allow, subjects: {users: [u]}, except: {subjects: {users: [\"*\"]}}, "
		    "apiGroups: [\"\"], resources: [pods], verbs: [get]}\n"},
    {"expired", HEAD A "resources: [pods], verbs: [get], valid: {until: \"2026-01-01T00:00:00Z\"}}\n"},
    {"inactive", HEAD A "resources: [pods], verbs: [get], valid: {from: \"2030-01-01T00:00:00Z\"}}\n"},
    {"secrets-read", HEAD A "resources: [secrets], verbs: [list]}\n"},
    {"nodes-proxy", HEAD A "resources: [nodes/proxy], verbs: [get]}\n"},
    {"pod-exec", HEAD A "resources: [pods/exec], verbs: [create]}\n"},
    {"pod-exec", HEAD A "resources: [pods/portforward], verbs: [get], namespaces: [x]}\n"},
    {"proxy", HEAD A "resources: [services/proxy], verbs: [get]}\n"},
    {"escalate", HEAD "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [rbac.authorization.k8s.io], "
		      "resources: [clusterroles], verbs: [bind]}\n"},
    {"impersonate", HEAD A "resources: [groups], verbs: [impersonate]}\n"},
    {"rbac-write", HEAD "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [rbac.authorization.k8s.io], "
			"resources: [clusterrolebindings], verbs: [patch]}\n"},
    {"token-create", HEAD A "resources: [serviceaccounts/token], verbs: [create]}\n"},
    {"csr-approve", HEAD "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [certificates.k8s.io], "
			 "resources: [certificatesigningrequests/approval], verbs: [update]}\n"},
    {"webhook-write", HEAD "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [admissionregistration.k8s.io], "
			   "resources: [mutatingwebhookconfigurations], verbs: [create]}\n"},
    {"apiservices-write", HEAD "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [apiregistration.k8s.io], "
			       "resources: [apiservices], verbs: [create]}\n"},
    {"hostpath-volumes", HEAD A "resources: [persistentvolumes], verbs: [create]}\n"},
    {"kube-system-workloads", HEAD A "resources: [pods], verbs: [create], namespaces: [\"kube-*\"]}\n"},
    {"grant-all", HEAD "- {id: a, effect: allow, subjects: {users: [u]}, apiGroups: [\"*\"], resources: [\"*\"], verbs: [\"*\"]}\n"},
    {"wildcard", HEAD A "resources: [pods], verbs: [\"*\"], namespaces: [x]}\n"},
    {"wide-write", HEAD "- {id: a, effect: allow, subjects: {all: authenticated}, apiGroups: [\"\"], resources: [events], verbs: [create]}\n"},
    {"anonymous", HEAD "- {id: a, effect: allow, subjects: {all: everyone}, apiGroups: [\"\"], resources: [events], verbs: [get]}\n"},
    {"masters", HEAD "- {id: a, effect: allow, subjects: {groups: [\"system:masters\"]}, apiGroups: [\"\"], resources: [events], verbs: [get]}\n"},
    {"names-on-list", HEAD A "resources: [pods], resourceNames: [x], verbs: [list]}\n"},
    {"name-globs", HEAD A "resources: [pods], resourceNamesGlob: [\"x*\"], verbs: [get]}\n"},
    {"unknown-verb", HEAD A "resources: [pods], verbs: [lists]}\n"},
    {"unknown-verb", HEAD "- {id: a, effect: allow, subjects: {users: [u]}, nonResourceURLs: [/x], verbs: [list]}\n"},
    {"deny-gap", HEAD D "resources: [secrets], verbs: [get]}\n"},
    {"deny-gap", HEAD D "resources: [secrets], verbs: [delete]}\n"},
    {"deny-subresources", HEAD D "resources: [pods], verbs: [\"*\"]}\n"},
    {"unused-role", HEAD A "resources: [pods], verbs: [get]}\n"
		    "roles: [{name: r, rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]}]\n"},
    {"unused-alias", HEAD A "resources: [pods], verbs: [get]}\n" "aliases: {subjects: {x: {users: [a]}}}\n"},
    {"no-exempt", "metadata: {generation: 1}\nrules:\n" D "resources: [secrets], verbs: [\"*\"]}\n"},
    {"load", HEAD A "resources: [pods], verbs: [get], clusterScope: only}\n"},
};

static struct lint lint_text(const char *body, const struct lint_options *options, bool tests)
{
	struct buf b;
	struct arena arena = {0};
	struct coverage c = {0};
	struct lint_options o = *options;
	buf_init(&b, 1 << 20);
	buf_adds(&b, POLICY_HEAD);
	buf_adds(&b, body);
	struct policy *p = policy_must(buf_cstr(&b));
	struct policy_file file = {.name = "dir/p.yaml", .text = buf_view(&b)};
	struct lint l = {0};
	o.now = NOW;
	if (tests) {
		coverage_init(&c, &arena, p, true);
		for (size_t i = 0; i < p->ntests; i++) {
			struct access_request r;
			authz_test_request(&arena, &p->tests[i], &r);
			coverage_add(&c, p, &r);
		}
		o.tested = c.decided;
	}
	struct policy *same = NULL;
	struct diags told = {0};
	assert_int_equal(policy_compile(&file, 1, NULL, &same, &told), ERR_OK);
	o.loading = &told;
	policy_lint(&file, 1, p, &o, &l);
	policy_free(&same);
	diags_done(&told);
	coverage_done(&c);
	arena_done(&arena);
	policy_free(&p);
	buf_done(&b);
	return l;
}

static bool has_code(const struct lint *l, const char *code)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].code, code) == 0)
			return true;
	return false;
}

static void test_each_code_is_given_where_it_is_due(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lint_options none = {0};
		struct lint l = lint_text(rows[i].text, &none, false);
		if (rows[i].code[0] ? !has_code(&l, rows[i].code) : l.n > 0)
			fail_msg("row %zu: expected `%s`, got %zu findings, the first: %s", i, rows[i].code, l.n,
			    l.n ? l.v[0].text : "");
		for (size_t k = 0; k < l.n; k++) {
			assert_string_equal(l.v[k].file, "dir/p.yaml");
			assert_true(l.v[k].line > 0 && l.v[k].col > 0);
			assert_true(lint_code_known(slice_of(l.v[k].code)));
		}
		lint_done(&l);
	}
}

static void test_findings_are_accepted_by_code_rule_and_comment(void **state)
{
	static const char secrets[] = HEAD A "resources: [secrets], verbs: [list]}\n";
	struct slice code = SLICE("secrets-read"), ours = SLICE("secrets-read=a"), other = SLICE("secrets-read=b");
	const struct {
		const char *text;
		const struct slice *allow;
		bool accepted;
	} table[] = {
	    {secrets, NULL, false},
	    {secrets, &code, true},
	    {secrets, &ours, true},
	    {secrets, &other, false},
	    {HEAD "# lint:allow secrets-read\n" A "resources: [secrets], verbs: [list]}\n", NULL, true},
	    {HEAD A "resources: [secrets], verbs: [list]} # lint:allow secrets-read\n", NULL, true},
	    {HEAD A "\n   resources: [secrets], # lint:allow secrets-read\n   verbs: [list]}\n", NULL, true},
	    {HEAD "# lint:allow pod-exec, masters\n" A "resources: [secrets], verbs: [list]}\n", NULL, false},
	    {HEAD "- {id: b, effect: allow, subjects: {users: [v]}, apiGroups: [\"\"], resources: [pods], verbs: [get]}"
		  " # lint:allow secrets-read\n" A "resources: [secrets], verbs: [list]}\n", NULL, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct lint_options o = {.allow = table[i].allow, .nallow = table[i].allow != NULL};
		struct lint l = lint_text(table[i].text, &o, false);
		if (has_code(&l, "secrets-read") == table[i].accepted || l.accepted != table[i].accepted)
			fail_msg("row %zu", i);
		lint_done(&l);
	}
}

static void test_rules_that_no_test_decides(void **state)
{
	static const char text[] = HEAD A "resources: [pods], verbs: [get]}\n" D "resources: [secrets], verbs: [\"*\"]}\n"
	    "- {id: e, effect: deny, subjects: {users: [v]}, resources: [secrets], verbs: [\"*\"]}\n"
	    "tests:\n"
	    "- {as: {user: u}, can: {verb: get, resource: pods}, expect: allow}\n"
	    "- {as: {user: u}, can: {verb: get, resource: secrets}, expect: deny}\n";
	struct lint_options none = {0};
	struct lint l = lint_text(text, &none, true);
	(void)state;
	assert_int_equal(l.n, 1);
	assert_string_equal(l.v[0].code, "untested-deny");
	assert_string_equal(l.v[0].rule, "e");
	lint_done(&l);
}

static void test_subjects_are_weighed(void **state)
{
	static const char text[] = HEAD A "resources: [pods], verbs: [get]}\n"
	    "- {id: b, effect: allow, subjects: {users: [u], groups: [\"g*\"]}, apiGroups: [\"\"], resources: [services], verbs: [get]}\n";
	struct lint_options none = {0};
	struct lint l = lint_text(text, &none, false);
	(void)state;
	assert_string_equal(l.loads[0].subject, "user u");
	assert_int_equal(l.loads[0].rules, 2);
	assert_string_equal(l.loads[1].subject, "group pattern g*");
	assert_int_equal(l.loads[1].rules, 1);
	assert_int_equal(l.loads[2].rules, 0);
	lint_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_glob_covers_what_it_matches_whatever_the_stars_stand_for),
	    cmocka_unit_test(test_what_is_called_unreachable_never_decides),
	    cmocka_unit_test(test_each_code_is_given_where_it_is_due),
	    cmocka_unit_test(test_findings_are_accepted_by_code_rule_and_comment),
	    cmocka_unit_test(test_rules_that_no_test_decides),
	    cmocka_unit_test(test_subjects_are_weighed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
