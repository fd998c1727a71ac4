/* Proves the rails: what no template and no directory gets past. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rbac-sync/pattern.h"
#include "rbac-sync/rails.h"

struct row {
	struct slice name;
	const char *reason; /* NULL: passes */
};

#define ROW(text, why) {{text, sizeof(text) - 1}, why}

static void check_rows(const char *(*rail)(struct slice), const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *got = rail(rows[i].name);
		if (!got != !rows[i].reason || (got && strcmp(got, rows[i].reason) != 0))
			fail_msg("row %zu \"" SLICE_FMT "\": %s", i, SLICE_ARG(rows[i].name),
			    got ? got : "passes");
	}
}

static void test_roles(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("view", NULL),
	    ROW("edit", NULL),
	    ROW("admin", NULL),
	    ROW("team:edit", NULL),
	    ROW("systemic", NULL),
	    ROW("cluster-admins", NULL),
	    ROW("cluster-admin", RAIL_RESERVED_ROLE),
	    ROW("Cluster-Admin", RAIL_RESERVED_ROLE),
	    ROW("system:masters", RAIL_RESERVED_ROLE),
	    ROW("system:", RAIL_RESERVED_ROLE),
	    ROW("SYSTEM:node", RAIL_RESERVED_ROLE),
	    ROW("kubeadm:get-nodes", RAIL_RESERVED_ROLE),
	    ROW("", RAIL_EMPTY_NAME),
	    ROW("a/b", RAIL_INVALID_NAME),
	    ROW("a%2fb", RAIL_INVALID_NAME),
	    ROW(".", RAIL_INVALID_NAME),
	    ROW("..", RAIL_INVALID_NAME),
	    ROW("view\n", RAIL_INVALID_NAME),
	    ROW("cluster-admin\0", RAIL_INVALID_NAME),
	    ROW("\xe2\x80\xaeview", RAIL_INVALID_NAME),
	};
	check_rows(rails_role, rows, ARRAY_LEN(rows));
}

static void test_subjects(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("alice", NULL),
	    ROW("alice@example.com", NULL),
	    ROW("dex:Alice Liddell", NULL),
	    ROW("\xe4\xbe\x8b", NULL),
	    ROW("systemd", NULL),
	    ROW("my-system:x", NULL),
	    ROW("kubernetes-admins", NULL),
	    ROW("system:masters", RAIL_RESERVED_SUBJECT),
	    ROW("system:", RAIL_RESERVED_SUBJECT),
	    ROW("System:Masters", RAIL_RESERVED_SUBJECT),
	    ROW("system:serviceaccount:kube-system:default", RAIL_RESERVED_SUBJECT),
	    ROW("system:authenticated", RAIL_RESERVED_SUBJECT),
	    ROW("kubeadm:cluster-admins", RAIL_RESERVED_SUBJECT),
	    ROW("KubeAdm:x", RAIL_RESERVED_SUBJECT),
	    ROW("kubernetes-admin", RAIL_RESERVED_SUBJECT),
	    ROW("Kubernetes-Admin", RAIL_RESERVED_SUBJECT),
	    ROW("portcullis-rbac-sync", RAIL_RESERVED_SUBJECT),
	    ROW("Portcullis-RBAC-Sync", RAIL_RESERVED_SUBJECT),
	    ROW("portcullis-rbac-syncs", NULL),
	    ROW("portcullis-intake", RAIL_RESERVED_SUBJECT),
	    ROW("portcullis-intake:node-1", RAIL_RESERVED_SUBJECT),
	    ROW("portcullis-intakes", NULL),
	    ROW("", RAIL_EMPTY_NAME),
	    ROW(" system:masters", RAIL_INVALID_NAME),
	    ROW("system:masters ", RAIL_RESERVED_SUBJECT),
	    ROW("alice ", RAIL_INVALID_NAME),
	    ROW("alice\xc2\xa0", RAIL_INVALID_NAME),
	    ROW("\xe2\x80\x8b" "alice", RAIL_INVALID_NAME),
	    ROW("\xef\xbb\xbf" "alice", RAIL_INVALID_NAME),
	    ROW("al\0ice", RAIL_INVALID_NAME),
	    ROW("al\nice", RAIL_INVALID_NAME),
	    ROW("al\x7fice", RAIL_INVALID_NAME),
	    ROW("al\xc2\x85ice", RAIL_INVALID_NAME),
	    ROW("\xe2\x80\xae" "ecila", RAIL_INVALID_NAME),
	    ROW("al\xff", RAIL_INVALID_NAME),
	};
	check_rows(rails_subject, rows, ARRAY_LEN(rows));
	char longest[RAILS_NAME_MAX + 1];
	memset(longest, 'a', sizeof(longest));
	assert_null(rails_subject((struct slice){longest, RAILS_NAME_MAX}));
	assert_string_equal(
	    rails_subject((struct slice){longest, RAILS_NAME_MAX + 1}), RAIL_INVALID_NAME);
}

static const char *builtin(struct slice name)
{
	return rails_namespace(NULL, name);
}

static const char *with_site(struct slice name)
{
	static const char *const globs[] = {"prod-*", "vault"};
	static const struct rails r = {"sync-home", globs, ARRAY_LEN(globs)};
	return rails_namespace(&r, name);
}

static void test_namespaces(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    ROW("team-a", NULL),
	    ROW("kubernetes", NULL),
	    ROW("default-2", NULL),
	    ROW("0", NULL),
	    ROW("kube-system", RAIL_RESERVED_NAMESPACE),
	    ROW("kube-", RAIL_INVALID_NAME),
	    ROW("kube-x", RAIL_RESERVED_NAMESPACE),
	    ROW("default", RAIL_RESERVED_NAMESPACE),
	    ROW("openshift", RAIL_RESERVED_NAMESPACE),
	    ROW("openshift-config", RAIL_RESERVED_NAMESPACE),
	    ROW("portcullis-system", RAIL_RESERVED_NAMESPACE),
	    ROW("", RAIL_EMPTY_NAME),
	    ROW("Kube-system", RAIL_INVALID_NAME),
	    ROW("../kube-system", RAIL_INVALID_NAME),
	    ROW("a/b", RAIL_INVALID_NAME),
	    ROW("a.b", RAIL_INVALID_NAME),
	    ROW("a\0", RAIL_INVALID_NAME),
	    ROW("-a", RAIL_INVALID_NAME),
	    ROW("a-", RAIL_INVALID_NAME),
	    ROW("a\n", RAIL_INVALID_NAME),
	    ROW("0123456789012345678901234567890123456789012345678901234567890123",
		RAIL_INVALID_NAME),
	};
	check_rows(builtin, rows, ARRAY_LEN(rows));
	check_rows(with_site, rows, ARRAY_LEN(rows));
	static const struct row site[] = {
	    ROW("prod-a", RAIL_RESERVED_NAMESPACE),
	    ROW("vault", RAIL_RESERVED_NAMESPACE),
	    ROW("sync-home", RAIL_RESERVED_NAMESPACE),
	    ROW("vault-2", NULL),
	};
	check_rows(with_site, site, ARRAY_LEN(site));
}

static void test_globs(void **state)
{
	(void)state;
	static const struct {
		const char *glob, *text;
		bool match;
	} rows[] = {
	    {"*", "", true},
	    {"", "", true},
	    {"", "a", false},
	    {"eng-*", "eng-", true},
	    {"eng-*", "eng-blue", true},
	    {"eng-*", "Eng-blue", false},
	    {"eng-*", "xeng-blue", false},
	    {"*-admins", "a-admins-b-admins", true},
	    {"*-admins", "admins", false},
	    {"a*b*c", "aXbYbZc", true},
	    {"a*b*c", "aXcYb", false},
	    {"e?g", "eng", true},
	    {"e?g", "eg", false},
	    /* A character is one, however many bytes it has: who excepts "ext-?" means that. */
	    {"ext-?", "ext-\xc3\xa9", true},
	    {"ext-?", "ext-\xf0\x9f\x98\x80", true},
	    {"ext-??", "ext-\xc3\xa9", false},
	    {"*?", "\xe6\x97\xa5", true},
	    {"*??", "\xe6\x97\xa5", false},
	    {"?*?", "\xe6\x97\xa5\xc3\xa9", true},
	    {"*\xa9", "\xc3\xa9", true},
	    {"?", "", false},
	    {"?", "?", true},
	    {"jwt:*", "jwt:https://dex.example.com/x", true},
	    {"*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	    {"a", "a\0b", true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (pattern_glob(rows[i].glob, slice_of(rows[i].text)) != rows[i].match)
			fail_msg("%s against %s", rows[i].glob, rows[i].text);
	}
	assert_false(pattern_glob("a", (struct slice){"a\0b", 3}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_roles),
	    cmocka_unit_test(test_subjects),
	    cmocka_unit_test(test_namespaces),
	    cmocka_unit_test(test_globs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
