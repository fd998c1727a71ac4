/* Proves imports as files: which are found, how they are kept apart, and that bytes alone compile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authz/authz.h"
#include "common/file.h"
#include "server/lastgood.h"
#include "tests/support/tree.h"

#define HEAD "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
#define BINDING                                                                                    \
	"kind: ClusterRoleBinding\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: b}\n"  \
	"roleRef: {kind: ClusterRole, name: r}\nsubjects: [{kind: User, name: u}]\n"
#define ROLE                                                                                       \
	"kind: ClusterRole\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: r}\n"         \
	"rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n"

static char dir[64];

static const char *at(struct arena *a, const char *name)
{
	return arena_printf(a, "%s/%s", dir, name);
}

static void put(const char *name, const char *text)
{
	struct arena a;
	struct err e = {0};
	arena_init(&a, 0);
	char *path = arena_strdup(&a, at(&a, name));
	char *slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(file_mkdirs(path, 0700, &e), ERR_OK);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, &e), ERR_OK);
	arena_done(&a);
}

struct got {
	struct arena arena;
	struct policy_file *files;
	size_t n;
	struct policy *p;
	struct diags d;
	struct buf found;
};

static void got_done(struct got *g)
{
	policy_free(&g->p);
	diags_done(&g->d);
	buf_done(&g->found);
	arena_done(&g->arena);
}

/* Reads and compiles what stands at NAME; FOUND are the findings without the folder's name. */
static struct got load(const char *name)
{
	struct got g = {0};
	struct buf all;
	arena_init(&g.arena, 0);
	buf_init(&g.found, 1 << 16);
	buf_init(&all, 1 << 16);
	if (policy_read(&g.arena, at(&g.arena, name), &g.files, &g.n, &g.d) == ERR_OK &&
	    policy_compile(g.files, g.n, authz_run_tests, &g.p, &g.d) != ERR_OK)
		assert_null(g.p);
	diags_print(&g.d, &all);
	const char *text = buf_cstr(&all), *next;
	size_t skip = strlen(dir) + 1;
	for (; (next = strstr(text, dir)) != NULL; text = next + skip)
		buf_add(&g.found, text, (size_t)(next - text));
	buf_adds(&g.found, text);
	buf_cstr(&g.found);
	buf_done(&all);
	return g;
}

static bool allows(const struct policy *p, const char *user)
{
	struct access_request r = {.user = slice_of(user),
	    .resource_request = true,
	    .verb = SLICE("get"),
	    .resource = SLICE("pods")};
	struct decision d;
	authz_evaluate(p, &r, &d);
	return d.verdict == VERDICT_ALLOW;
}

static void check_refused(const char *policy, const char *words)
{
	put("p.yaml", policy);
	struct got g = load("p.yaml");
	if (g.p || !strstr(g.found.p, words))
		fail_msg("expected `%s`, found:\n%s", words, g.found.p);
	got_done(&g);
}

static void test_imports_follow_the_native_files(void **state)
{
	(void)state;
	put("p.yaml", HEAD "imports: [{rbac: {path: rbac/*.yaml}}, {abac: {path: a.jsonl}}, {rbac: {path: "
			   "rbac/2.yaml}}]\n");
	put("rbac/1.yaml", BINDING);
	put("rbac/2.yaml", ROLE);
	put("rbac/.hidden.yaml", "{");
	put("rbac/2.yaml~", "{");
	put("rbac/other.json", "{");
	put("rbac/sub.yaml/x", "{");
	put("a.jsonl", "{\"user\":\"v\",\"resource\":\"*\"}\n");
	struct got g = load("p.yaml");
	assert_non_null(g.p);
	const struct {
		const char *name;
		enum policy_file_kind kind;
	} want[] = {{"p.yaml", POLICY_FILE_NATIVE}, {"rbac/1.yaml", POLICY_FILE_RBAC},
	    {"rbac/2.yaml", POLICY_FILE_RBAC}, {"a.jsonl", POLICY_FILE_ABAC}};
	assert_int_equal(g.n, ARRAY_LEN(want));
	for (size_t i = 0; i < g.n; i++) {
		assert_string_equal(g.files[i].name, at(&g.arena, want[i].name));
		assert_int_equal(g.files[i].kind, want[i].kind);
	}
	assert_int_equal(policy_info(g.p)->files, 4);
	assert_int_equal(policy_info(g.p)->rules, 2);
	assert_true(allows(g.p, "u") && allows(g.p, "v") && !allows(g.p, "w"));
	got_done(&g);
}

static void test_a_directory_may_import_from_beneath(void **state)
{
	(void)state;
	put("d/10.yaml", HEAD "imports: [{rbac: {path: rbac/1.yaml}}]\n");
	put("d/20.yaml", HEAD "imports: [{rbac: {path: \"rbac/*\"}}]\n");
	put("d/rbac/1.yaml", BINDING);
	put("d/rbac/2.yaml", ROLE);
	struct got g = load("d");
	assert_non_null(g.p);
	assert_int_equal(g.n, 4);
	assert_true(allows(g.p, "u"));
	got_done(&g);
	put("d/20.yaml", HEAD "imports: [{rbac: {path: \"*.yaml\"}}]\n");
	g = load("d");
	assert_null(g.p);
	assert_non_null(strstr(g.found.p, "d/10.yaml: error: is imported, but is a policy file itself"));
	got_done(&g);
}

static void test_paths_stay_beneath(void **state)
{
	(void)state;
	put("x.yaml", ROLE);
	put("rbac/1.yaml", BINDING);
	static const char *const refused[][2] = {
	    {"/etc/passwd", "p.yaml:3:19: error: the path `/etc/passwd` is absolute"},
	    {"../x.yaml", "has `..`"},
	    {"rbac/../x.yaml", "has `..`"},
	    {"rbac/..", "has `..`"},
	    {"./x.yaml", "has an empty part or a `.`"},
	    {"rbac//1.yaml", "has an empty part or a `.`"},
	    {"rbac/", "has an empty part or a `.`"},
	    {"*/1.yaml", "has `*` in a directory"},
	    {"none.yaml", "p.yaml:3:19: error: no file matches `none.yaml`"},
	    {"none/*.yaml", "no file matches `none/*.yaml`"},
	    {"rbac/*.json", "no file matches `rbac/*.json`"},
	    {"rbac", "no file matches `rbac`"},
	    {"x.yaml/y", "x.yaml"},
	};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct arena a;
		arena_init(&a, 0);
		check_refused(arena_printf(&a, HEAD "imports: [{rbac: {path: \"%s\"}}]\n", refused[i][0]),
		    refused[i][1]);
		arena_done(&a);
	}
	check_refused(HEAD "imports: [{rbac: {path: x.yaml}, abac: {path: x.yaml}}]\n",
	    "x.yaml: error: is imported as RBAC and as ABAC");
	check_refused(HEAD "imports: [{}]\n", "an import is either `rbac: {path: …}` or `abac: {path: …}`");
	check_refused(HEAD "imports: [{rbac: {paths: x.yaml}}]\n", "did you mean `path`?");
	check_refused(HEAD "imports: [{opa: {path: x.yaml}}]\n", "unknown key `opa`");
}

static void test_one_bad_file_refuses_all(void **state)
{
	(void)state;
	put("rbac/1.yaml", BINDING);
	put("rbac/2.yaml", ROLE);
	put("rbac/3.yaml", "kind: ClusterRole\n");
	check_refused(HEAD "imports: [{rbac: {path: rbac/*.yaml}}]\n", "rbac/3.yaml:1:1: error: ");
	put("rbac/3.yaml", "");
	check_refused(HEAD "imports: [{rbac: {path: rbac/*.yaml}}]\n", "rbac/3.yaml: error: the file is empty");
	/* Of YAML a part is often whole again. */
	put("rbac/3.yaml", ROLE "---\n" BINDING "---");
	check_refused(HEAD "imports: [{rbac: {path: rbac/3.yaml}}]\n", "the last line has no line break");
	put("a.jsonl", "");
	check_refused(HEAD "imports: [{abac: {path: a.jsonl}}]\n", "a.jsonl: error: the file is empty");
	put("l/a.jsonl", "{\"user\":\"v\"}\n");
	put("a.jsonl", "{\"user\":\"v\"}\n");
	check_refused(HEAD "imports: [{abac: {path: a.jsonl}}, {abac: {path: l/a.jsonl}}]\n",
	    "l/a.jsonl: error: a.jsonl has the same name");
	put("a b.jsonl", "{\"user\":\"v\"}\n");
	check_refused(HEAD "imports: [{abac: {path: a b.jsonl}}]\n", "a space or a control character");
}

/* A line and its end fit into upstream's 64 KiB. */
static void test_long_lines_of_abac(void **state)
{
	(void)state;
	static char text[70000];
	put("p.yaml", HEAD "imports: [{abac: {path: long.jsonl}}]\n");
	for (int longer = 0; longer < 2; longer++) {
		memset(text, ' ', sizeof(text));
		memcpy(text, "{\"user\":\"v\"}", 12);
		text[65535 + longer] = '\n';
		text[65536 + longer] = '\0';
		put("long.jsonl", text);
		struct got g = load("p.yaml");
		assert_int_equal(g.p == NULL, longer);
		if (longer)
			assert_non_null(strstr(g.found.p, "long.jsonl:1:1: error: a line of 64 KiB or more"));
		got_done(&g);
	}
}

static void test_bytes_alone_compile(void **state)
{
	(void)state;
	struct err e = {0};
	struct lastgood kept = {0};
	struct policy *p = NULL;
	struct diags d = {0};
	put("p.yaml", HEAD "imports: [{rbac: {path: rbac/*.yaml}}]\n");
	put("rbac/1.yaml", BINDING);
	put("rbac/2.yaml", ROLE);
	struct got g = load("p.yaml");
	assert_non_null(g.p);
	struct lastgood copy = {
	    .path = g.files[0].name, .base = dir, .files = g.files, .n = g.n};
	assert_int_equal(lastgood_save(dir, &copy, &e), ERR_OK);
	remove_tree(at(&g.arena, "rbac"));
	assert_int_equal(lastgood_load(dir, &kept, &e), ERR_OK);
	assert_int_equal(policy_compile(kept.files, kept.n, authz_run_tests, &p, &d), ERR_OK);
	assert_true(allows(p, "u"));
	assert_string_equal(policy_info(p)->sha256, policy_info(g.p)->sha256);
	policy_free(&p);
	/* Without the imported files the policy is not whole. */
	assert_int_equal(policy_compile(kept.files, 1, authz_run_tests, &p, &d), ERR_INVALID);
	diags_done(&d);
	lastgood_done(&kept);
	got_done(&g);
}

static void test_imports_are_part_of_the_digest(void **state)
{
	(void)state;
	put("p.yaml", HEAD "imports: [{rbac: {path: rbac/*.yaml}}]\n");
	put("rbac/1.yaml", BINDING);
	put("rbac/2.yaml", ROLE);
	struct got a = load("p.yaml");
	put("rbac/2.yaml", ROLE "# changed\n");
	struct got b = load("p.yaml");
	assert_string_not_equal(policy_info(a.p)->sha256, policy_info(b.p)->sha256);
	got_done(&a);
	got_done(&b);
}

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/portcullis-import-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	remove_tree(dir);
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_imports_follow_the_native_files),
	    TEST(test_a_directory_may_import_from_beneath),
	    TEST(test_paths_stay_beneath),
	    TEST(test_one_bad_file_refuses_all),
	    TEST(test_long_lines_of_abac),
	    TEST(test_bytes_alone_compile),
	    TEST(test_imports_are_part_of_the_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
