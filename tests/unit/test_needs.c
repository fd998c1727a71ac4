/* Proves the list of rights: what each mode and each word of the templates needs, and how it is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/jsonx.h"
#include "common/yamlx.h"
#include "rbac-sync/needs.h"

#define HEAD "apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\ntemplates:\n"
#define ONE(grants) HEAD "- name: t\n  match: {groups: [g]}\n  grants: [" grants "]\n"

struct fixture {
	struct arena arena;
	struct worker_config worker;
	struct sync_config *config;
	struct need *needs;
	size_t n;
	struct buf text; /* a need a line */
};

static void make(struct fixture *f, int mode, const char *templates)
{
	struct diags d = {0};
	*f = (struct fixture){.worker = {.mode = mode, .lease = {.enabled = true, .name = "portcullis-rbac-sync"}}};
	arena_init(&f->arena, 0);
	buf_init(&f->text, 1 << 20);
	if (templates && sync_config_parse("t.yaml", slice_of(templates), &f->config, &d) != ERR_OK) {
		struct err e;
		diags_to_err(&d, &e);
		fail_msg("%s", e.msg);
	}
	diags_done(&d);
}

static const char *list(struct fixture *f)
{
	f->text.len = 0;
	f->n = needs_make(&f->arena, &f->worker, f->config, "portcullis-system", &f->needs);
	for (size_t i = 0; i < f->n; i++) {
		assert_non_null(f->needs[i].why);
		buf_printf(&f->text, "%s\n", need_text(&f->needs[i], &f->arena));
	}
	return buf_cstr(&f->text);
}

static void done(struct fixture *f)
{
	sync_config_free(&f->config);
	buf_done(&f->text);
	arena_done(&f->arena);
}

static void check_line(struct fixture *f, const char *line, bool there)
{
	char whole[256];
	snprintf(whole, sizeof(whole), "\n%s\n", line);
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_printf(&b, "\n%s", list(f));
	if (!strstr(buf_cstr(&b), whole) == there)
		fail_msg("\"%s\" is %s:%s", line, there ? "missing" : "there", buf_cstr(&b));
	buf_done(&b);
}

static void test_the_intake_writes_records_and_nothing_else(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, MODE_INTAKE, NULL);
	assert_string_equal(list(&f), "create userrecords.portcullis.dev\nget userrecords.portcullis.dev\n"
				      "list userrecords.portcullis.dev\npatch userrecords.portcullis.dev\n"
				      "watch userrecords.portcullis.dev\n");
	assert_int_equal(needs_kinds(&f.worker, NULL), 1U << KIND_USER_RECORD);
	done(&f);
}

static void test_reconciling_needs_what_it_calls(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, MODE_RECONCILE, ONE("{clusterRole: edit, namespaces: [a]}"));
	assert_string_equal(list(&f),
	    "get namespaces\nlist namespaces\nwatch namespaces\n"
	    "get userrecords.portcullis.dev\nlist userrecords.portcullis.dev\nwatch userrecords.portcullis.dev\n"
	    "patch userrecords/status.portcullis.dev\n"
	    "delete clusterrolebindings.rbac.authorization.k8s.io\nget clusterrolebindings.rbac.authorization.k8s.io\n"
	    "list clusterrolebindings.rbac.authorization.k8s.io\nwatch clusterrolebindings.rbac.authorization.k8s.io\n"
	    "list clusterroles.rbac.authorization.k8s.io\n"
	    "bind clusterroles.rbac.authorization.k8s.io edit\nget clusterroles.rbac.authorization.k8s.io edit\n"
	    "create rolebindings.rbac.authorization.k8s.io\ndelete rolebindings.rbac.authorization.k8s.io\n"
	    "get rolebindings.rbac.authorization.k8s.io\nlist rolebindings.rbac.authorization.k8s.io\n"
	    "patch rolebindings.rbac.authorization.k8s.io\nwatch rolebindings.rbac.authorization.k8s.io\n"
	    "create events.events.k8s.io in kube-system\npatch events.events.k8s.io in kube-system\n"
	    "create leases.coordination.k8s.io in portcullis-system\n"
	    "get leases.coordination.k8s.io portcullis-rbac-sync in portcullis-system\n"
	    "update leases.coordination.k8s.io portcullis-rbac-sync in portcullis-system\n"
	    "create events.events.k8s.io in portcullis-system\npatch events.events.k8s.io in portcullis-system\n");
	assert_int_equal(needs_kinds(&f.worker, f.config),
	    1U << KIND_USER_RECORD | 1U << KIND_NAMESPACE | 1U << KIND_ROLE_BINDING | 1U << KIND_CLUSTER_ROLE_BINDING);
	done(&f);
}

static void test_both_modes_in_one_process_need_both(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, MODE_ALL, ONE("{clusterRole: edit, namespaces: [a]}"));
	check_line(&f, "create userrecords.portcullis.dev", true);
	check_line(&f, "patch userrecords/status.portcullis.dev", true);
	done(&f);
}

/* Nothing that a worker with these rights must never have. */
static void test_what_is_never_needed(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, MODE_ALL, ONE("{clusterRole: edit, namespaces: [a]}, {clusterRole: view, scope: cluster}, {role: r, namespaces: [a]}"));
	list(&f);
	for (size_t i = 0; i < f.n; i++) {
		const struct need *n = &f.needs[i];
		assert_null(strchr(n->verb, '*'));
		assert_null(strchr(n->resource, '*'));
		assert_string_not_equal(n->verb, "escalate");
		assert_string_not_equal(n->verb, "impersonate");
		assert_string_not_equal(n->resource, "secrets");
		assert_string_not_equal(n->resource, "pods");
		if (strcmp(n->verb, "bind") == 0)
			assert_non_null(n->name);
	}
	done(&f);
}

static void test_scopes_and_kinds_of_roles(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, MODE_RECONCILE, ONE("{clusterRole: view, scope: cluster}"));
	check_line(&f, "create clusterrolebindings.rbac.authorization.k8s.io", true);
	check_line(&f, "create rolebindings.rbac.authorization.k8s.io", false);
	check_line(&f, "delete rolebindings.rbac.authorization.k8s.io", true);
	done(&f);
	make(&f, MODE_RECONCILE, ONE("{role: dev, namespaces: [a]}"));
	check_line(&f, "bind roles.rbac.authorization.k8s.io dev", true);
	check_line(&f, "get roles.rbac.authorization.k8s.io dev", true);
	check_line(&f, "list clusterroles.rbac.authorization.k8s.io", false);
	check_line(&f, "create clusterrolebindings.rbac.authorization.k8s.io", false);
	done(&f);
}

#define MADE(more, objects)                                                                                            \
	HEAD "- name: t\n  match: {groups: [g]}\n  namespace: {name: \"u-${user.hash10}\"" more "}\n"                    \
	     "  grants: [{clusterRole: edit}]\n  objects: [" objects "]\n"

static void test_namespaces_and_objects_that_templates_make(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, MODE_RECONCILE, MADE(", create: false", ""));
	check_line(&f, "create namespaces", false);
	check_line(&f, "patch namespaces", false);
	done(&f);
	make(&f, MODE_RECONCILE, MADE("", ""));
	check_line(&f, "create namespaces", true);
	check_line(&f, "patch namespaces", true);
	check_line(&f, "delete namespaces", false);
	check_line(&f, "create resourcequotas", false);
	done(&f);
	make(&f, MODE_RECONCILE, MADE(", onGC: delete",
	    "{apiVersion: v1, kind: ResourceQuota, metadata: {name: default}, spec: {hard: {pods: \"20\"}}}"));
	check_line(&f, "delete namespaces", true);
	check_line(&f, "create resourcequotas", true);
	check_line(&f, "delete resourcequotas", true);
	check_line(&f, "watch resourcequotas", true);
	check_line(&f, "watch limitranges", false);
	assert_true(needs_kinds(&f.worker, f.config) & 1U << KIND_RESOURCE_QUOTA);
	assert_false(needs_kinds(&f.worker, f.config) & 1U << KIND_NETWORK_POLICY);
	done(&f);
}

static void test_deletion_and_leading_are_needed_where_configured(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, MODE_RECONCILE, ONE("{role: dev, namespaces: [a]}"));
	check_line(&f, "delete userrecords.portcullis.dev", false);
	f.worker.gc.life.delete_after = 1;
	check_line(&f, "delete userrecords.portcullis.dev", true);
	check_line(&f, "update leases.coordination.k8s.io portcullis-rbac-sync in portcullis-system", true);
	f.worker.lease.enabled = false;
	check_line(&f, "update leases.coordination.k8s.io portcullis-rbac-sync in portcullis-system", false);
	check_line(&f, "create leases.coordination.k8s.io in portcullis-system", false);
	done(&f);
}

/* --- printing --- */

static enum err_code print(struct fixture *f, const char *subject, struct buf *out)
{
	struct err e;
	f->n = needs_make(&f->arena, &f->worker, f->config, "portcullis-system", &f->needs);
	buf_init(out, 1 << 20);
	return needs_print_yaml(f->needs, f->n, "worker", subject, out, &e);
}

static bool printed(struct fixture *f, const char *subject, const char *part)
{
	struct buf b;
	assert_int_equal(print(f, subject, &b), ERR_OK);
	bool there = strstr(buf_cstr(&b), part);
	buf_done(&b);
	return there;
}

static void test_the_intakes_role_in_full(void **state)
{
	(void)state;
	struct fixture f;
	struct buf b;
	make(&f, MODE_INTAKE, NULL);
	assert_int_equal(print(&f, "Group:portcullis-intake", &b), ERR_OK);
	assert_string_equal(buf_cstr(&b),
	    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: worker\n  labels:\n"
	    "    app.kubernetes.io/name: portcullis\n    app.kubernetes.io/component: rbac-sync\n"
	    "    app.kubernetes.io/part-of: portcullis\nrules:\n"
	    "- apiGroups: [portcullis.dev]\n  resources: [userrecords]\n  verbs: [create, get, list, patch, watch]\n"
	    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: worker\n"
	    "  labels:\n    app.kubernetes.io/name: portcullis\n    app.kubernetes.io/component: rbac-sync\n"
	    "    app.kubernetes.io/part-of: portcullis\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n"
	    "  kind: ClusterRole\n  name: worker\nsubjects:\n- kind: Group\n  apiGroup: rbac.authorization.k8s.io\n"
	    "  name: portcullis-intake\n");
	buf_done(&b);
	done(&f);
}

static void test_roles_are_bound_by_name_in_one_rule(void **state)
{
	(void)state;
	struct fixture f;
	make(&f, MODE_RECONCILE, ONE("{clusterRole: view, scope: cluster}, {clusterRole: edit, namespaces: [a]}, "
				     "{clusterRole: 'team:on', namespaces: [a]}, {clusterRole: 'on', namespaces: [a]}, "
				     "{clusterRole: 'a, b: [', namespaces: [a]}, {clusterRole: '7', namespaces: [a]}"));
	assert_true(printed(&f, "User:w",
	    "  resources: [clusterroles]\n  resourceNames: [\"7\", \"a, b: [\", edit, \"on\", \"team:on\", view]\n"
	    "  verbs: [bind, get]\n"));
	assert_true(printed(&f, "ServiceAccount:ns/w", "- kind: ServiceAccount\n  namespace: ns\n  name: w\n"));
	assert_true(printed(&f, "User:Ann: a", "  name: \"Ann: a\"\n"));
	assert_true(printed(&f, "User:w", "kind: Role\nmetadata:\n  name: worker\n  namespace: portcullis-system\n"));
	done(&f);
}

static void test_what_is_printed_is_yaml(void **state)
{
	(void)state;
	struct fixture f;
	struct buf b;
	struct diags d = {0};
	struct yaml_node **docs;
	size_t n;
	make(&f, MODE_ALL, ONE("{clusterRole: 'a, b: [', namespaces: [a]}, {role: '~', namespaces: [a]}"));
	assert_int_equal(print(&f, "User:x", &b), ERR_OK);
	assert_int_equal(yamlx_parse_all(&f.arena, "rbac.yaml", buf_view(&b), &docs, &n, &d), ERR_OK);
	assert_int_equal(n, 6);
	buf_done(&b);
	diags_done(&d);
	done(&f);
}

static void test_subjects_are_checked(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "w", "Robot:w", "User:", "Group", "ServiceAccount:w", "ServiceAccount:/w",
	    "ServiceAccount:ns/", "ServiceAccount:N S/w", "User:a\nb", "user:w"};
	struct fixture f;
	make(&f, MODE_INTAKE, NULL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf b;
		if (print(&f, bad[i], &b) != ERR_INVALID)
			fail_msg("%s is taken", bad[i]);
		buf_done(&b);
	}
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_intake_writes_records_and_nothing_else),
	    cmocka_unit_test(test_reconciling_needs_what_it_calls),
	    cmocka_unit_test(test_both_modes_in_one_process_need_both),
	    cmocka_unit_test(test_what_is_never_needed),
	    cmocka_unit_test(test_scopes_and_kinds_of_roles),
	    cmocka_unit_test(test_namespaces_and_objects_that_templates_make),
	    cmocka_unit_test(test_deletion_and_leading_are_needed_where_configured),
	    cmocka_unit_test(test_the_intakes_role_in_full),
	    cmocka_unit_test(test_roles_are_bound_by_name_in_one_rule),
	    cmocka_unit_test(test_what_is_printed_is_yaml),
	    cmocka_unit_test(test_subjects_are_checked),
	};
	jsonx_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
