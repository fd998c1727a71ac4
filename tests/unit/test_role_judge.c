/* Proves the judgement on roles: what gives more than it says is told, what a namespace needs passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/jsonx.h"
#include "rbac-sync/roles.h"

/* What a ClusterRoleBinding and a RoleBinding of the role would be. */
enum expect { BAD_ANYWHERE, BAD_CLUSTER_WIDE, FINE };

struct row {
	enum expect expect;
	const char *group, *resource, *verb;
	const char *names; /* JSON list; or NULL */
};

static json_t *role_of(const struct row *r)
{
	json_error_t err;
	char text[1024];
	snprintf(text, sizeof(text),
	    "{\"rules\":[{\"apiGroups\":[\"example.com\",\"%s\"],\"resources\":[\"things\",\"%s\"],"
	    "\"verbs\":[\"say\",\"%s\"],\"resourceNames\":%s}]}",
	    r->group, r->resource, r->verb, r->names ? r->names : "[]");
	json_t *role = json_loads(text, 0, &err);
	assert_non_null(role);
	return role;
}

static void check(const json_t *role, enum expect expect, const char *what)
{
	for (int wide = 0; wide < 2; wide++) {
		struct arena a;
		const char *why = "unset";
		bool bad = expect == BAD_ANYWHERE || (wide && expect == BAD_CLUSTER_WIDE);
		arena_init(&a, 0);
		enum role_verdict got = role_judge(role, wide, &a, &why);
		if (got != (bad ? ROLE_DANGEROUS : ROLE_FINE) || !why != !bad)
			fail_msg("%s %s: verdict %d, %s", what, wide ? "cluster-wide" : "in a namespace", got,
			    why ? why : "no reason");
		arena_done(&a);
	}
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char what[256];
		json_t *role = role_of(&rows[i]);
		snprintf(what, sizeof(what), "row %zu: %s %s/%s %s", i, rows[i].verb, rows[i].group, rows[i].resource,
		    rows[i].names ? rows[i].names : "");
		check(role, rows[i].expect, what);
		json_decref(role);
	}
}
#define CHECK(rows) check_rows(rows, ARRAY_LEN(rows))

#define RBAC "rbac.authorization.k8s.io"

static void test_what_reaches_beyond_a_namespace_is_never_bound(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {BAD_ANYWHERE, "*", "*", "*", NULL},
	    {BAD_ANYWHERE, "*", "*", "*", "[\"one\"]"},
	    {BAD_ANYWHERE, "", "*", "*", NULL},
	    {BAD_ANYWHERE, RBAC, "*", "*", NULL},
	    {BAD_ANYWHERE, RBAC, "roles", "*", NULL},
	    {BAD_ANYWHERE, RBAC, "clusterroles", "*", NULL},
	    {BAD_ANYWHERE, RBAC, "roles", "escalate", NULL},
	    {BAD_ANYWHERE, RBAC, "clusterroles", "bind", NULL},
	    {BAD_ANYWHERE, RBAC, "clusterroles", "bind", "[\"view\"]"},
	    {BAD_ANYWHERE, "*", "*", "bind", NULL},
	    {BAD_ANYWHERE, "", "users", "impersonate", NULL},
	    {BAD_ANYWHERE, "", "groups", "impersonate", "[\"devs\"]"},
	    {BAD_ANYWHERE, "", "users", "*", NULL},
	    {BAD_ANYWHERE, "authentication.k8s.io", "userextras/scopes", "impersonate", NULL},
	    {BAD_ANYWHERE, "*", "*/scopes", "impersonate", NULL},
	    {BAD_ANYWHERE, "*", "userextras/groups", "*", NULL},
	    {BAD_CLUSTER_WIDE, "*", "pods", "*", NULL},
	    {BAD_ANYWHERE, "authentication.k8s.io", "uids", "impersonate", NULL},
	    {BAD_ANYWHERE, "authentication.k8s.io", "users", "impersonate:user-info", NULL},
	    {BAD_ANYWHERE, "*", "*", "impersonate", NULL},
	    {BAD_ANYWHERE, "", "namespaces", "patch", NULL},
	    {BAD_ANYWHERE, "", "namespaces", "update", "[\"team-a\"]"},
	    {BAD_ANYWHERE, "", "namespaces/status", "patch", NULL},
	    {BAD_ANYWHERE, "", "namespaces/finalize", "update", NULL},
	    {BAD_ANYWHERE, "", "*/finalize", "update", NULL},
	    {BAD_ANYWHERE, "", "namespaces/*", "patch", NULL},
	    {BAD_ANYWHERE, "policy", "podsecuritypolicies", "use", NULL},
	    {FINE, "policy", "podsecuritypolicies", "use", "[\"restricted\"]"},
	    {BAD_ANYWHERE, "extensions", "*", "*", NULL},
	    {BAD_ANYWHERE, "security.openshift.io", "securitycontextconstraints", "use", NULL},
	};
	CHECK(rows);
}

static void test_what_rules_the_cluster_is_not_bound_cluster_wide(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {BAD_CLUSTER_WIDE, "", "secrets", "get", NULL},
	    {BAD_CLUSTER_WIDE, "", "secrets", "list", NULL},
	    {BAD_CLUSTER_WIDE, "", "secrets", "watch", NULL},
	    {BAD_CLUSTER_WIDE, "", "secrets", "get", "[\"one\"]"},
	    {BAD_CLUSTER_WIDE, "", "secrets", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "*", "get", NULL},
	    {BAD_CLUSTER_WIDE, "*", "*", "list", NULL},
	    {BAD_CLUSTER_WIDE, "", "serviceaccounts", "impersonate", NULL},
	    {BAD_CLUSTER_WIDE, "", "serviceaccounts", "*", NULL},
	    {BAD_CLUSTER_WIDE, "", "serviceaccounts/token", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "*/token", "create", NULL},
	    {BAD_CLUSTER_WIDE, RBAC, "rolebindings", "create", NULL},
	    {BAD_CLUSTER_WIDE, RBAC, "clusterrolebindings", "patch", NULL},
	    {BAD_CLUSTER_WIDE, RBAC, "roles", "update", NULL},
	    {BAD_CLUSTER_WIDE, RBAC, "clusterroles", "delete", NULL},
	    {BAD_CLUSTER_WIDE, RBAC, "rolebindings", "*", NULL},
	    {BAD_CLUSTER_WIDE, "portcullis.dev", "userrecords", "create", NULL},
	    {BAD_CLUSTER_WIDE, "portcullis.dev", "userrecords/status", "patch", NULL},
	    {BAD_CLUSTER_WIDE, "", "nodes/proxy", "get", NULL},
	    {BAD_CLUSTER_WIDE, "", "nodes/proxy", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "nodes/*", "get", NULL},
	    {BAD_CLUSTER_WIDE, "", "pods/exec", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "pods/exec", "get", NULL},
	    {BAD_CLUSTER_WIDE, "", "*/exec", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "pods/*", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "pods/attach", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "pods/portforward", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "pods/ephemeralcontainers", "patch", NULL},
	    {BAD_CLUSTER_WIDE, "", "services/proxy", "get", NULL},
	    {BAD_CLUSTER_WIDE, "", "pods", "create", NULL},
	    {BAD_CLUSTER_WIDE, "apps", "deployments", "patch", NULL},
	    {BAD_CLUSTER_WIDE, "apps", "*", "*", NULL},
	    {BAD_CLUSTER_WIDE, "batch", "cronjobs", "create", NULL},
	    {BAD_CLUSTER_WIDE, "extensions", "daemonsets", "update", NULL},
	    {BAD_CLUSTER_WIDE, "certificates.k8s.io", "certificatesigningrequests/approval", "update", NULL},
	    {BAD_CLUSTER_WIDE, "certificates.k8s.io", "signers", "approve", "[\"kubernetes.io/*\"]"},
	    {BAD_CLUSTER_WIDE, "certificates.k8s.io", "signers", "sign", NULL},
	    {BAD_CLUSTER_WIDE, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create", NULL},
	    {BAD_CLUSTER_WIDE, "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "delete", NULL},
	    {BAD_CLUSTER_WIDE, "admissionregistration.k8s.io", "policiesoflater", "create", NULL},
	    {BAD_CLUSTER_WIDE, "*", "mutatingwebhookconfigurations", "create", NULL},
	    {BAD_CLUSTER_WIDE, "apiextensions.k8s.io", "customresourcedefinitions", "patch", NULL},
	    {BAD_CLUSTER_WIDE, "apiregistration.k8s.io", "apiservices", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "nodes", "patch", NULL},
	    {BAD_CLUSTER_WIDE, "", "nodes/status", "update", NULL},
	    {BAD_CLUSTER_WIDE, "", "persistentvolumes", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "namespaces", "create", NULL},
	    {BAD_CLUSTER_WIDE, "", "namespaces", "delete", NULL},
	    {BAD_CLUSTER_WIDE, "", "configmaps", "update", NULL},
	    {BAD_CLUSTER_WIDE, "", "endpoints", "create", NULL},
	    {BAD_CLUSTER_WIDE, "discovery.k8s.io", "endpointslices", "patch", NULL},
	    {BAD_CLUSTER_WIDE, "coordination.k8s.io", "leases", "update", NULL},
	};
	CHECK(rows);
}

static void test_what_gives_no_more_than_it_says_passes(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {FINE, "", "pods", "get", NULL},
	    {FINE, "", "pods", "list", NULL},
	    {FINE, "", "pods", "delete", NULL},
	    {FINE, "", "pods/log", "get", NULL},
	    {FINE, "", "configmaps", "watch", NULL},
	    {FINE, "", "nodes", "list", NULL},
	    {FINE, "", "nodes/metrics", "get", NULL},
	    {FINE, "", "namespaces", "get", NULL},
	    {FINE, "", "events", "create", NULL},
	    {FINE, "", "persistentvolumes", "list", NULL},
	    {FINE, RBAC, "clusterroles", "list", NULL},
	    {FINE, RBAC, "rolebindings", "watch", NULL},
	    {FINE, "apps", "deployments", "watch", NULL},
	    {FINE, "apps", "deployments/scale", "patch", NULL},
	    {FINE, "", "*/scale", "update", NULL},
	    {FINE, "certificates.k8s.io", "certificatesigningrequests", "create", NULL},
	    {FINE, "admissionregistration.k8s.io", "*", "get", NULL},
	    {FINE, "apiextensions.k8s.io", "customresourcedefinitions", "list", NULL},
	    {FINE, "portcullis.dev", "userrecords", "get", NULL},
	    {FINE, "authorization.k8s.io", "subjectaccessreviews", "create", NULL},
	    {FINE, "site.example", "*", "*", NULL},
	    {FINE, "*", "pods", "get", NULL},
	    {FINE, "*", "ingresses", "*", NULL},
	    {FINE, "site.example", "*", "impersonate", NULL},
	    /* Another group's resource of a name that is closed. */
	    {FINE, "metrics.k8s.io", "pods", "create", NULL},
	    {FINE, "site.example", "secrets", "*", NULL},
	    /* Kubernetes tells case apart. */
	    {FINE, "", "secrets", "GET", NULL},
	    {FINE, "", "Secrets", "get", NULL},
	    {FINE, "", "podsx", "create", NULL},
	    {FINE, "", "pods/exe", "create", NULL},
	    {FINE, "", "*/exe", "create", NULL},
	};
	CHECK(rows);
}

static void check_text(const char *text, enum expect expect)
{
	json_error_t err;
	json_t *role = json_loads(text, 0, &err);
	assert_non_null(role);
	check(role, expect, text);
	json_decref(role);
}

static void test_rules_are_judged_one_by_one(void **state)
{
	(void)state;
	/* A rule's lists are a product; two rules are not. */
	check_text("{\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"secrets\"],\"verbs\":[\"delete\"]},"
		   "{\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"verbs\":[\"list\"]}]}",
	    FINE);
	check_text("{\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"verbs\":[\"list\"]},"
		   "{\"apiGroups\":[\"\",\"apps\"],\"resources\":[\"pods\",\"secrets\"],\"verbs\":[\"get\",\"list\"]}]}",
	    BAD_CLUSTER_WIDE);
	check_text("{\"rules\":[]}", FINE);
	check_text("{\"rules\":null}", FINE);
	check_text("{}", FINE);
	/* Lists that are empty give nothing. */
	check_text("{\"rules\":[{\"apiGroups\":[],\"resources\":[\"*\"],\"verbs\":[\"*\"]}]}", FINE);
	check_text("{\"rules\":[{\"apiGroups\":[\"*\"],\"resources\":[],\"verbs\":[\"*\"]}]}", FINE);
	check_text("{\"rules\":[{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[]}]}", FINE);
	check_text("{\"rules\":[{\"apiGroups\":[\"portcullis.dev\"],\"resources\":[],\"verbs\":[\"*\"]}]}", FINE);
}

static void test_paths_that_are_no_resources(void **state)
{
	(void)state;
#define PATHS(list) "{\"rules\":[{\"nonResourceURLs\":[" list "],\"verbs\":[\"get\"]}]}"
	check_text(PATHS("\"*\""), BAD_CLUSTER_WIDE);
	check_text(PATHS("\"/*\""), BAD_CLUSTER_WIDE);
	check_text(PATHS("\"/healthz\",\"/logs\""), BAD_CLUSTER_WIDE);
	check_text(PATHS("\"/logs/*\""), BAD_CLUSTER_WIDE);
	check_text(PATHS("\"/lo*\""), BAD_CLUSTER_WIDE);
	check_text(PATHS("\"/debug/pprof/profile\""), BAD_CLUSTER_WIDE);
	check_text(PATHS("\"/debug/flags/*\""), BAD_CLUSTER_WIDE);
	check_text(PATHS("\"/healthz\",\"/metrics\",\"/version*\",\"/openapi/*\",\"/livez/*\""), FINE);
	check_text(PATHS("\"/logsx\""), FINE);
	check_text(PATHS("\"/login*\""), FINE);
	check_text("{\"rules\":[{\"nonResourceURLs\":[\"*\"],\"verbs\":[]}]}", FINE);
#undef PATHS
}

/* Nobody is bound to what cannot be read; what is dangerous for sure is said so first. */
static void test_what_cannot_be_read_is_unknown(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "[]",
	    "{\"rules\":{}}",
	    "{\"rules\":[1]}",
	    "{\"rules\":[{\"verbs\":\"get\"}]}",
	    "{\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[null],\"verbs\":[\"get\"]}]}",
	    "{\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"verbs\":[\"get\"],\"resourceNames\":{}}]}",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct arena a;
		const char *why = NULL;
		json_error_t err;
		json_t *role = json_loads(texts[i], 0, &err);
		arena_init(&a, 0);
		if (role_judge(role, false, &a, &why) != ROLE_UNKNOWN || !why)
			fail_msg("%s is not unknown", texts[i]);
		arena_done(&a);
		json_decref(role);
	}
	check_text("{\"rules\":[1,{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]}]}", BAD_ANYWHERE);
}

static void test_the_reason_names_the_rule(void **state)
{
	(void)state;
	json_error_t err;
	struct arena a;
	const char *why;
	json_t *role = json_loads("{\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"verbs\":[\"get\"]},"
				  "{\"apiGroups\":[\"*\"],\"resources\":[\"*/exec\"],\"verbs\":[\"get\"]}]}", 0, &err);
	arena_init(&a, 0);
	assert_int_equal(role_judge(role, true, &a, &why), ROLE_DANGEROUS);
	assert_string_equal(why, "rules[1] lets get \"pods/exec\": it runs commands in every pod");
	arena_done(&a);
	json_decref(role);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_reaches_beyond_a_namespace_is_never_bound),
	    cmocka_unit_test(test_what_rules_the_cluster_is_not_bound_cluster_wide),
	    cmocka_unit_test(test_what_gives_no_more_than_it_says_passes),
	    cmocka_unit_test(test_rules_are_judged_one_by_one),
	    cmocka_unit_test(test_paths_that_are_no_resources),
	    cmocka_unit_test(test_what_cannot_be_read_is_unknown),
	    cmocka_unit_test(test_the_reason_names_the_rule),
	};
	jsonx_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
