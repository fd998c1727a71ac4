/* Proves the template file: what loads, what is refused and where, placeholders and matching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/file.h"
#include "rbac-sync/template.h"
#include "rbac-sync/worker_config.h"

#define HEAD "apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\ntemplates:\n"
#define ONE HEAD "- name: t\n  match: {groups: [\"eng-*\"]}\n  grants:\n"

static void expect_ok(const char *text, struct sync_config **out)
{
	struct diags d = {0};
	if (sync_config_parse("t.yaml", slice_of(text), out, &d) != ERR_OK) {
		struct err e;
		diags_to_err(&d, &e);
		fail_msg("%s", e.msg);
	}
	assert_int_equal(d.errors, 0);
	diags_done(&d);
}

static void test_refused_with_its_place(void **state)
{
	(void)state;
	static const struct {
		const char *text, *finding;
	} rows[] = {
	    {"", "t.yaml:"},
	    {"kind: SyncConfig\n", "apiVersion"},
	    {"apiVersion: v1\nkind: SyncConfig\ntemplates: []\n", "apiVersion must be"},
	    {"apiVersion: sync.portcullis.dev/v1alpha1\nkind: Other\ntemplates: []\n", "kind must be"},
	    {HEAD "- name: t\n  match: {groups: [a]}\n  grant: []\n", "t.yaml:6:3: error: unknown key"},
	    {HEAD "- name: T_x\n  match: {groups: [a]}\n  grants: [{clusterRole: view, scope: cluster}]\n",
		"t.yaml:4:9: error: name: lower-case"},
	    {HEAD "- name: t\n  match: {}\n  grants: [{clusterRole: view, scope: cluster}]\n",
		"t.yaml:5:10: error: name providers or groups"},
	    {HEAD "- name: t\n  match: {groups: []}\n  grants: [{clusterRole: view, scope: cluster}]\n",
		"t.yaml:5:19: error: "},
	    {HEAD "- name: t\n  grants: [{clusterRole: view, scope: cluster}]\n", "match"},
	    {ONE "  - {clusterRole: cluster-admin, scope: cluster}\n",
		"t.yaml:7:19: error: clusterRole \"cluster-admin\" is never bound (reservedRole)"},
	    {ONE "  - {clusterRole: \"system:node\", namespaces: [a]}\n", "t.yaml:7:19: error: clusterRole"},
	    {ONE "  - {role: \"kubeadm:x\", namespaces: [a]}\n", "t.yaml:7:12: error: role \"kubeadm:x\""},
	    {ONE "  - {clusterRole: \"${group}\", scope: cluster}\n",
		"t.yaml:7:19: error: clusterRole takes no placeholders"},
	    {ONE "  - {clusterRole: a, role: b, namespaces: [a]}\n", "either clusterRole or role"},
	    {ONE "  - {scope: cluster}\n", "either clusterRole or role"},
	    {ONE "  - {role: a, scope: cluster}\n", "needs a clusterRole"},
	    {ONE "  - {clusterRole: a, scope: cluster, namespaces: [b]}\n", "excludes namespaces"},
	    {ONE "  - {clusterRole: a}\n", "name namespaces, or say scope: cluster"},
	    {ONE "  - {clusterRole: a, namespaces: b}\n", "t.yaml:7:34: error: namespaces must be a list"},
	    {ONE "  - {clusterRole: a, namespaces: []}\n", "namespaces must be a list"},
	    {ONE "  - {clusterRole: a, namespaces: [kube-system]}\n",
		"t.yaml:7:35: error: nothing is ever bound in namespace \"kube-system\""},
	    {ONE "  - {clusterRole: a, namespaces: [ok, default]}\n", "t.yaml:7:39: error: nothing is ever"},
	    {ONE "  - {clusterRole: a, namespaces: [Team]}\n", "(invalidName)"},
	    {ONE "  - {clusterRole: a, namespaces: [\"\"]}\n", "t.yaml:7:35: error: must be 1 to"},
	    {ONE "  - {clusterRole: a, namespaces: [[b]]}\n", "t.yaml:7:35: error: must be a string"},
	    {ONE "  - clusterRole: a\n    namespaces:\n    - u-${usr.slug}\n",
		"t.yaml:9:9: error: unknown placeholder ${usr.slug}, did you mean ${user.slug}?"},
	    {ONE "  - clusterRole: a\n    namespaces:\n    - \"u-${nothing-like-it}\"\n",
		"t.yaml:9:10: error: unknown placeholder ${nothing-like-it}"},
	    {ONE "  - {clusterRole: a, namespaces: [\"u-${user\"]}\n", "without closing brace"},
	    {ONE "  - {clusterRole: a, namespaces: [\"u-${}\"]}\n", "unknown placeholder ${}"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user|lowr}\"]}\n",
		"unknown filter \"lowr\", did you mean lower?"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user|lower:1}\"]}\n", "lower takes 0"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user|trunc}\"]}\n", "trunc takes 1"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user|trunc:0}\"]}\n", "trunc: must be from"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user|trunc:-1}\"]}\n", "trunc: must be a number"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user|trunc:99999999999999999999}\"]}\n",
		"trunc: must be"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user|replace:a}\"]}\n", "replace takes 2"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user|replace::b}\"]}\n", "must not be empty"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user|default:}\"]}\n", "must not be empty"},
	    {ONE "  - {clusterRole: a, namespaces: [\"${user}-${group}\"]}\n",
		"t.yaml:7:35: error: several names without a hash"},
	    {ONE "  - {clusterRole: a, scope: cluster, subject: {kind: ServiceAccount}}\n",
		"found `ServiceAccount`"},
	    {ONE "  - {clusterRole: a, scope: cluster, subject: {name: root}}\n",
		"t.yaml:7:54: error: the name of a User must be ${user}"},
	    {ONE "  - {clusterRole: a, scope: cluster, subject: {name: \"${user.local}\"}}\n",
		"the name of a User must be ${user}"},
	    {ONE "  - {clusterRole: a, scope: cluster, subject: {name: \"${user|lower}\"}}\n",
		"the name of a User must be ${user}"},
	    {ONE "  - {clusterRole: a, scope: cluster, subject: {kind: Group, name: \"x${group}\"}}\n",
		"must be ${group} or a name"},
	    {ONE "  - {clusterRole: a, scope: cluster, subject: {kind: Group, name: \"${user}\"}}\n",
		"must be ${group} or a name"},
	    {ONE "  - {clusterRole: a, scope: cluster, subject: {kind: Group, name: \"system:masters\"}}\n",
		"t.yaml:7:67: error: this group is never bound (reservedSubject)"},
	    {HEAD "- name: t\n  match: {providers: [\"*\"]}\n  grants: [{clusterRole: a, scope: cluster, "
		  "subject: {kind: Group}}]\n",
		"needs match.groups"},
	    {HEAD "- name: t\n  match: {groups: [a], notUsers: [b]}\n  grants: [{clusterRole: a, scope: cluster, "
		  "subject: {kind: Group}}]\n",
		"t.yaml:6:12: error: notUsers holds nobody back"},
	    {HEAD "- name: t\n  match: {groups: [a], notUsers: [b]}\n  grants: [{clusterRole: a, scope: cluster, "
		  "subject: {kind: Group, name: c}}]\n",
		"t.yaml:6:12: error: notUsers holds nobody back"},
	    {HEAD "- name: t\n  match: {groups: [a]}\n  grants: [{clusterRole: a, scope: cluster}]\n"
		  "- name: t\n  match: {groups: [a]}\n  grants: [{clusterRole: a, scope: cluster}]\n",
		"t.yaml:7:3: error: a template \"t\" stands in line 4 already"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sync_config *c = NULL;
		struct diags d = {0};
		struct buf text;
		enum err_code rc = sync_config_parse("t.yaml", slice_of(rows[i].text), &c, &d);
		buf_init(&text, 1 << 20);
		diags_print(&d, &text);
		if (rc == ERR_OK || c || !strstr(buf_cstr(&text), rows[i].finding))
			fail_msg("row %zu wants \"%s\", got: %s", i, rows[i].finding, buf_cstr(&text));
		buf_done(&text);
		diags_done(&d);
	}
}

/* Renders TEXT as the namespace of a grant; "!reason" when it is refused, "?text" when ambiguous. */
static const char *render(struct arena *a, const char *text, const struct pattern_values *v)
{
	const struct yaml_node node = {
	    .kind = YAMLX_SCALAR, .line = 1, .col = 1, .text = slice_of(text)};
	struct pattern p;
	struct diags d = {0};
	struct slice out;
	struct err e;
	bool ambiguous;
	if (pattern_parse(a, "f", &node, &p, &d) != ERR_OK) {
		diags_to_err(&d, &e);
		fail_msg("%s: %s", text, e.msg);
	}
	diags_done(&d);
	if (pattern_render(&p, v, a, &out, &ambiguous, &e) != ERR_OK)
		return arena_printf(a, "!%s", e.msg);
	return arena_printf(a, "%s" SLICE_FMT, ambiguous ? "?" : "", SLICE_ARG(out));
}

static void test_placeholders(void **state)
{
	(void)state;
	static const struct slice teams[] = {{"Red", 3}, {"blue", 4}};
	static const struct spool_extra extra[] = {{{"none", 4}, NULL, 0}, {{"x.org/team", 10}, teams, 2}};
	static const struct pattern_values v = {.provider = SLICE("ldap:corp"),
	    .user = SLICE("Alice.L@Example.com"), .uid = SLICE("1000"), .group = SLICE("Eng/Blue"),
	    .date = SLICE("2026-11-23"), .extra = extra, .nextra = 2};
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"plain", "plain"},
	    {"${user}", "Alice.L@Example.com"},
	    {"${uid}", "1000"},
	    {"${provider}", "ldap:corp"},
	    {"${provider|slug}", "ldap-corp"},
	    {"${group}", "Eng/Blue"},
	    {"${user.slug}", "?alice-l-example-com"},
	    {"${user.local}", "?Alice.L"},
	    {"${group.slug}", "?eng-blue"},
	    {"${user|lower}", "?alice.l@example.com"},
	    {"${user|trunc:5}", "?Alice"},
	    {"${user|trunc:19}", "Alice.L@Example.com"},
	    {"${user.local|slug}", "?alice-l"},
	    {"${group|replace:Eng/:}", "Blue"},
	    {"${group|replace:Eng/:|lower}", "?blue"},
	    {"${user|replace:@Example.com:|replace:Alice:a}", "a.L"},
	    {"${group|replace:\\/:\\:}", "Eng:Blue"},
	    {"${user|default:nobody}", "Alice.L@Example.com"},
	    {"a$b$", "a$b$"},
	    {"$${user}", "${user}"},
	    {"$$${user}", "$${user}"},
	    {"{user}", "{user}"},
	    {"${extra.x.org/team}", "Red"},
	    {"${extra.x.org/team|lower}", "?red"},
	    {"${extra.none|default:x}", "x"},
	    {"d-${date}", "d-2026-11-23"},
	    {"${date|trunc:4}", "2026"},
	};
	struct arena a;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(render(&a, rows[i].text, &v), rows[i].want);
	char key[SPOOL_KEY_LEN + 1];
	spool_key(v.provider, v.user, key);
	assert_string_equal(render(&a, "${extra.none}", &v), "!${extra.none} renders empty");
	assert_string_equal(render(&a, "${extra.gone}", &v), "!${extra.gone} renders empty");
	assert_string_equal(render(&a, "u-${user.slug|trunc:5}-${user.hash6}", &v),
	    arena_printf(&a, "u-alice-%.6s", key));
	assert_string_equal(render(&a, "${user.hash10}", &v), arena_printf(&a, "%.10s", key));
	pattern_group_key(v.provider, v.group, key);
	assert_string_equal(render(&a, "${group.slug}-${group.hash10}", &v),
	    arena_printf(&a, "eng-blue-%.10s", key));
	/* A user's hash tells nothing of the group, and a cut hash of nobody. */
	assert_int_equal(render(&a, "${group.slug}-${user.hash10}", &v)[0], '?');
	assert_int_equal(render(&a, "${user.slug}-${user.hash10|trunc:2}", &v)[0], '?');
	arena_done(&a);
}

static void test_names_that_leave_nothing(void **state)
{
	(void)state;
	static const struct pattern_values v = {
	    .provider = SLICE("p"), .user = {"\xe4\xbe\x8b@x", 5}, .group = SLICE("---")};
	struct arena a;
	arena_init(&a, 0);
	assert_string_equal(render(&a, "u-${uid}", &v), "!${uid} renders empty");
	assert_string_equal(render(&a, "u-${uid|default:none}", &v), "u-none");
	assert_string_equal(render(&a, "u-${group.slug}", &v), "!${group.slug} renders empty");
	assert_string_equal(render(&a, "${user.slug}", &v), "?x");
	assert_string_equal(render(&a, "${user|replace:\xe4\xbe\x8b@x:}", &v), "!${user} renders empty");
	/* Never half a character. */
	assert_string_equal(render(&a, "a${user|trunc:2|default:d}", &v), "?ad");
	char longest[PATTERN_TEXT_MAX];
	memset(longest, 'a', sizeof(longest));
	const struct pattern_values big = {
	    .provider = SLICE("p"), .user = {longest, sizeof(longest)}};
	assert_int_equal(render(&a, "${user}", &big)[0], 'a');
	assert_int_equal(render(&a, "x${user}", &big)[0], '!');
	assert_int_equal(render(&a, "x${user|replace:a:aaaaaaaaaaaaaaaaaaaa}", &big)[0], '!');
	assert_int_equal(strlen(render(&a, "${user.slug}", &big)), 1 + PATTERN_SLUG_MAX);
	arena_done(&a);
}

static void test_slugs_are_labels_whatever_comes_in(void **state)
{
	(void)state;
	static const char *const names[] = {"--a--", "A__B", "a..b", "\xff\xfe", "a/../b", "\x01x\x02",
	    "kube_system", "x%00y", "0"};
	struct arena a;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct pattern_values v = {
		    .provider = SLICE("p"), .user = slice_of(names[i])};
		const char *got = render(&a, "${user.slug|default:none}", &v);
		got += *got == '?';
		assert_true(strspn(got, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(got));
		assert_true(got[0] != '-' && got[strlen(got) - 1] != '-' && !strstr(got, "--"));
	}
	arena_done(&a);
}

static void test_matching(void **state)
{
	(void)state;
	static const struct {
		const char *match;
		bool due;
	} rows[] = {
	    {"{groups: [\"eng-*\"]}", true},
	    {"{groups: [ops, \"*blue\"]}", true},
	    {"{groups: [ops]}", false},
	    {"{groups: [\"ENG-*\"]}", false},
	    {"{providers: [\"*\"]}", true},
	    {"{providers: [\"ldap:*\"], groups: [\"eng-*\"]}", true},
	    {"{providers: [\"jwt:*\"], groups: [\"eng-*\"]}", false},
	    {"{providers: [\"ldap:*\"], groups: [ops]}", false},
	    {"{groups: [\"eng-*\"], notUsers: [\"al*\"]}", false},
	    {"{groups: [\"eng-*\"], notUsers: [bob]}", true},
	    {"{groups: [\"eng-*\"], notUsers: []}", true},
	};
	static const struct slice groups[] = {{"staff", 5}, {"eng-blue", 8}};
	const struct spool_event ev = {.provider = SLICE("ldap:corp"), .username = SLICE("alice"),
	    .groups = groups, .ngroups = 2};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a;
		struct sync_config *c;
		arena_init(&a, 0);
		expect_ok(arena_printf(&a, HEAD "- name: t\n  match: %s\n"
		    "  grants: [{clusterRole: view, scope: cluster}]\n", rows[i].match), &c);
		if (template_matches(c->templates.items, &ev) != rows[i].due)
			fail_msg("%s", rows[i].match);
		sync_config_free(&c);
		arena_done(&a);
	}
}

static void test_generation_changes_with_its_template_alone(void **state)
{
	(void)state;
	struct sync_config *a, *b;
	expect_ok(ONE "  - {clusterRole: view, scope: cluster}\n", &a);
	expect_ok("# comment\n" ONE "  -   clusterRole: \"view\"\n      scope: cluster\n"
	    "- name: other\n  match: {groups: [a]}\n  grants: [{clusterRole: a, scope: cluster}]\n", &b);
	const struct template *ta = a->templates.items, *tb = b->templates.items;
	assert_int_equal(strlen(ta->generation), GENERATION_LEN);
	assert_string_equal(ta->generation, tb->generation);
	sync_config_free(&b);
	expect_ok(ONE "  - {clusterRole: edit, scope: cluster}\n", &b);
	tb = b->templates.items;
	assert_string_not_equal(ta->generation, tb->generation);
	sync_config_free(&a);
	sync_config_free(&b);
}

static void test_tables_are_sound(void **state)
{
	(void)state;
	struct buf why;
	buf_init(&why, 1 << 16);
	if (!schema_sound(&sync_config_schema, &why) || !schema_sound(&worker_config_schema, &why))
		fail_msg("%s", buf_cstr(&why));
	buf_done(&why);
}

/* The reference in the manual is what the tables print. */
static void test_manual_holds_the_tables(void **state)
{
	(void)state;
	const char *top = getenv("top_srcdir");
	const struct schema *const schemas[] = {&worker_config_schema, &sync_config_schema};
	struct arena a;
	struct slice text;
	struct err e;
	arena_init(&a, 0);
	const char *path = arena_printf(&a, "%s/docs/rbac-sync.md", top ? top : ".");
	if (file_read(&a, path, 1 << 20, &text, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
		struct buf want;
		buf_init(&want, 1 << 20);
		schema_print_markdown(schemas[i], &want);
		while (want.len && want.p[want.len - 1] == '\n')
			want.len--;
		if (!strstr(text.p, buf_cstr(&want)))
			fail_msg("docs/rbac-sync.md lacks this text:\n%s", buf_cstr(&want));
		buf_done(&want);
	}
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refused_with_its_place),
	    cmocka_unit_test(test_placeholders),
	    cmocka_unit_test(test_names_that_leave_nothing),
	    cmocka_unit_test(test_slugs_are_labels_whatever_comes_in),
	    cmocka_unit_test(test_matching),
	    cmocka_unit_test(test_generation_changes_with_its_template_alone),
	    cmocka_unit_test(test_tables_are_sound),
	    cmocka_unit_test(test_manual_holds_the_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
