/* Proves the plan: exactly what is due, under the right names, marked as ours, and nothing foreign. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/jsonx.h"
#include "rbac-sync/plan.h"

#define HEAD "apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\nsubjectMode: user-first\ntemplates:\n"

static const struct plan_limits no_limits = {.max_objects = PLAN_OBJECTS_MAX};

struct fixture {
	struct arena arena;
	struct sync_config *config;
	struct plan plan;
};

static void load(struct fixture *f, const char *text)
{
	struct diags d = {0};
	arena_init(&f->arena, 0);
	if (sync_config_parse("t.yaml", slice_of(text), &f->config, &d) != ERR_OK) {
		struct err e;
		diags_to_err(&d, &e);
		fail_msg("%s", e.msg);
	}
	diags_done(&d);
}

static void done(struct fixture *f)
{
	arena_done(&f->arena);
	sync_config_free(&f->config);
}

static const struct slice some_groups[] = {{"eng-blue", 8}, {"ops", 3}, {"eng-red", 7}};

static struct spool_event alice(void)
{
	return (struct spool_event){.provider = SLICE("ldap:corp"), .username = SLICE("alice@x.org"),
	    .uid = SLICE("1000"), .groups = some_groups, .ngroups = ARRAY_LEN(some_groups)};
}

static void plan_for(struct fixture *f, const struct spool_event *ev)
{
	plan_make(&f->arena, f->config, &no_limits, ev, &f->plan);
}

static const char *text_at(const json_t *o, const char *a, const char *b, const char *c)
{
	o = json_object_get(o, a);
	if (b)
		o = json_object_get(o, b);
	if (c)
		o = json_object_get(o, c);
	return json_string_value(o);
}

/* The reason of the only refusal of a plan without objects. */
static const char *only_refusal(const struct fixture *f)
{
	if (f->plan.len != 0)
		fail_msg("planned %s", f->plan.objects[0].name);
	assert_int_equal(f->plan.nrefusals, 1);
	return f->plan.refusals[0].reason;
}

static void test_role_binding_in_full(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: devs\n  match: {groups: [\"eng-*\"]}\n"
		      "  grants: [{clusterRole: edit, namespaces: [shop]}]\n");
	plan_for(&f, &ev);
	assert_int_equal(f.plan.len, 1);
	assert_int_equal(f.plan.nrefusals, 0);
	const struct plan_object *o = &f.plan.objects[0];
	assert_string_equal(o->kind, "RoleBinding");
	assert_string_equal(o->namespace_, "shop");
	assert_int_equal(strncmp(o->name, "portcullis:devs:", 16), 0);
	assert_int_equal(strlen(o->name), 16 + 10);
	char *got = json_dumps(o->body, JSON_COMPACT | JSON_SORT_KEYS);
	const struct template *t = f.config->templates.items;
	char key[SPOOL_KEY_LEN + 1];
	spool_key(ev.provider, ev.username, key);
	const char *hash = text_at(o->body, "metadata", "annotations", ANNOTATION_SPEC_HASH);
	const char *want = arena_printf(&f.arena,
	    "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\","
	    "\"metadata\":{\"annotations\":{\"portcullis.dev/generation\":\"%s\","
	    "\"portcullis.dev/provider\":\"ldap:corp\",\"portcullis.dev/spec-hash\":\"%s\","
	    "\"portcullis.dev/user\":\"alice@x.org\"},"
	    "\"labels\":{\"app.kubernetes.io/managed-by\":\"portcullis\","
	    "\"portcullis.dev/record\":\"%s\",\"portcullis.dev/template\":\"devs\"},"
	    "\"name\":\"%s\",\"namespace\":\"shop\"},"
	    "\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\","
	    "\"name\":\"edit\"},"
	    "\"subjects\":[{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"User\","
	    "\"name\":\"alice@x.org\"}]}",
	    t->generation, hash, key, o->name);
	assert_string_equal(got, want);
	assert_int_equal(strlen(hash), 16);
	free(got);
	done(&f);
}

static void test_cluster_binding_and_role(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: a\n  match: {groups: [ops]}\n  grants:\n"
		      "  - {clusterRole: view, scope: cluster}\n"
		      "  - {role: deployer, namespaces: [one, two]}\n");
	plan_for(&f, &ev);
	assert_int_equal(f.plan.len, 3);
	assert_string_equal(f.plan.objects[0].kind, "ClusterRoleBinding");
	assert_null(f.plan.objects[0].namespace_);
	assert_null(json_object_get(json_object_get(f.plan.objects[0].body, "metadata"), "namespace"));
	assert_string_equal(text_at(f.plan.objects[1].body, "roleRef", "kind", NULL), "Role");
	assert_string_equal(f.plan.objects[2].namespace_, "two");
	/* Another role, another place: another name. */
	for (size_t i = 1; i < 3; i++)
		assert_string_not_equal(f.plan.objects[0].name, f.plan.objects[i].name);
	assert_string_not_equal(f.plan.objects[1].name, f.plan.objects[2].name);
	done(&f);
}

static void test_one_set_for_each_matched_group(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: teams\n  match: {groups: [\"eng-*\"]}\n  grants:\n"
		      "  - {clusterRole: edit, namespaces: [\"${group|replace:eng-:}\"]}\n"
		      "  - clusterRole: view\n    scope: cluster\n    subject: {kind: Group}\n");
	plan_for(&f, &ev);
	assert_int_equal(f.plan.len, 4);
	assert_string_equal(f.plan.objects[0].namespace_, "blue");
	assert_string_equal(f.plan.objects[1].namespace_, "red");
	const json_t *subjects = json_object_get(f.plan.objects[2].body, "subjects");
	assert_int_equal(json_array_size(subjects), 1);
	assert_string_equal(text_at(json_array_get(subjects, 0), "kind", NULL, NULL), "Group");
	assert_string_equal(text_at(json_array_get(subjects, 0), "name", NULL, NULL), "eng-blue");
	/* A group's binding is shared by its members: nothing in it tells who came first. */
	struct plan first = f.plan;
	ev.username = SLICE("bob");
	plan_for(&f, &ev);
	assert_int_equal(f.plan.len, 4);
	assert_string_equal(first.objects[2].name, f.plan.objects[2].name);
	assert_true(json_equal(first.objects[2].body, f.plan.objects[2].body));
	assert_string_not_equal(first.objects[0].name, f.plan.objects[0].name);
	done(&f);
}

static void test_order_and_repeats_of_groups_do_not_matter(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	static const struct slice other[] = {
	    {"ops", 3}, {"eng-red", 7}, {"eng-red", 7}, {"eng-blue", 8}, {"ops", 3}};
	load(&f, HEAD "- name: teams\n  match: {groups: [\"*\"]}\n"
		      "  grants: [{clusterRole: edit, namespaces: [\"t-${group}\", same]}]\n");
	plan_for(&f, &ev);
	struct plan first = f.plan;
	ev.groups = other;
	ev.ngroups = ARRAY_LEN(other);
	plan_for(&f, &ev);
	assert_int_equal(first.len, 4); /* three teams, and one shared place once */
	assert_int_equal(f.plan.len, first.len);
	for (size_t i = 0; i < first.len; i++) {
		assert_string_equal(first.objects[i].name, f.plan.objects[i].name);
		assert_true(json_equal(first.objects[i].body, f.plan.objects[i].body));
	}
	done(&f);
}

static void test_lost_groups_leave_the_plan(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: teams\n  match: {groups: [\"eng-*\"]}\n"
		      "  grants: [{clusterRole: edit, namespaces: [\"${group}\"]}]\n");
	ev.ngroups = 2;
	plan_for(&f, &ev);
	assert_int_equal(f.plan.len, 1);
	ev.ngroups = 0;
	plan_for(&f, &ev);
	assert_int_equal(f.plan.len + f.plan.nrefusals, 0);
	done(&f);
}

static void test_same_name_at_two_providers_is_two_people(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: a\n  match: {providers: [\"*\"]}\n"
		      "  grants: [{clusterRole: view, namespaces: [\"u-${user.hash10}\"]}]\n");
	plan_for(&f, &ev);
	struct plan first = f.plan;
	ev.provider = SLICE("jwt:https://other");
	plan_for(&f, &ev);
	assert_string_not_equal(first.objects[0].namespace_, f.plan.objects[0].namespace_);
	assert_string_not_equal(first.objects[0].name, f.plan.objects[0].name);
	done(&f);
}

/* --- attacks --- */

static void test_reserved_users_get_nothing(void **state)
{
	(void)state;
	static const char *const names[] = {"system:admin", "System:Masters", "kubernetes-admin",
	    "kubeadm:x", "al\nice", " alice", "alice\xe2\x80\x8b",
	    "system:serviceaccount:kube-system:namespace-controller"};
	struct fixture f;
	load(&f, HEAD "- name: a\n  match: {providers: [\"*\"]}\n"
		      "  grants: [{clusterRole: view, scope: cluster}]\n");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct spool_event ev = alice();
		ev.username = slice_of(names[i]);
		plan_for(&f, &ev);
		assert_non_null(only_refusal(&f));
	}
	done(&f);
}

static void test_a_directory_cannot_name_a_reserved_group(void **state)
{
	(void)state;
	static const char *const names[] = {"system:masters", "SYSTEM:MASTERS", "system:authenticated",
	    "kubeadm:cluster-admins", "", "a\x1b[2J"};
	struct fixture f;
	load(&f, HEAD "- name: a\n  match: {groups: [\"*\"]}\n"
		      "  grants: [{clusterRole: view, scope: cluster, subject: {kind: Group}}]\n");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct slice group = slice_of(names[i]);
		struct spool_event ev = alice();
		ev.groups = &group;
		ev.ngroups = 1;
		plan_for(&f, &ev);
		assert_non_null(only_refusal(&f));
	}
	done(&f);
}

static void test_a_directory_cannot_reach_a_reserved_namespace(void **state)
{
	(void)state;
	static const struct {
		const char *group, *reason;
	} rows[] = {
	    {"kube-system", RAIL_RESERVED_NAMESPACE},
	    {"default", RAIL_RESERVED_NAMESPACE},
	    {"openshift-config", RAIL_RESERVED_NAMESPACE},
	    {"portcullis-system", RAIL_RESERVED_NAMESPACE},
	    {"Kube_System", RAIL_AMBIGUOUS_NAME},
	    {"kube system", RAIL_AMBIGUOUS_NAME},
	    {"../kube-system", RAIL_AMBIGUOUS_NAME},
	    {"///", RAIL_EMPTY_NAME},
	    {"", RAIL_EMPTY_NAME},
	};
	struct fixture f;
	load(&f, HEAD "- name: a\n  match: {groups: [\"*\"]}\n"
		      "  grants: [{clusterRole: view, namespaces: [\"${group.slug}\"]}]\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice group = slice_of(rows[i].group);
		struct spool_event ev = alice();
		ev.groups = &group;
		ev.ngroups = 1;
		plan_for(&f, &ev);
		assert_string_equal(only_refusal(&f), rows[i].reason);
	}
	done(&f);
	/* With the exact text the checks are the namespace's own. */
	load(&f, HEAD "- name: a\n  match: {groups: [\"*\"]}\n"
		      "  grants: [{clusterRole: view, namespaces: [\"${group}\"]}]\n");
	struct slice group = SLICE("../../kube-system");
	struct spool_event ev = alice();
	ev.groups = &group;
	ev.ngroups = 1;
	plan_for(&f, &ev);
	assert_string_equal(only_refusal(&f), RAIL_INVALID_NAME);
	done(&f);
}

static void test_a_slug_never_lends_another_team_its_namespace(void **state)
{
	(void)state;
	struct fixture f;
	struct slice mine = SLICE("team-a"), theirs = SLICE("Team A");
	struct spool_event ev = alice();
	load(&f, HEAD "- name: a\n  match: {groups: [\"*\"]}\n"
		      "  grants: [{clusterRole: edit, namespaces: [\"${group.slug}\"]}]\n");
	ev.ngroups = 1;
	ev.groups = &mine;
	plan_for(&f, &ev);
	assert_int_equal(f.plan.len, 1);
	ev.groups = &theirs;
	plan_for(&f, &ev);
	assert_string_equal(only_refusal(&f), RAIL_AMBIGUOUS_NAME);
	done(&f);
}

static void test_a_group_is_bound_only_for_its_members(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: a\n  match: {providers: [\"*\"]}\n"
		      "  grants: [{clusterRole: view, scope: cluster, subject: {kind: Group, name: ops}}]\n");
	plan_for(&f, &ev);
	assert_int_equal(f.plan.len, 1);
	ev.ngroups = 1;
	plan_for(&f, &ev);
	assert_string_equal(only_refusal(&f), RAIL_FOREIGN_SUBJECT);
	done(&f);
}

static void test_limits_hold(void **state)
{
	(void)state;
	struct fixture f;
	struct slice groups[200];
	char names[200][16];
	for (int i = 0; i < 200; i++) {
		snprintf(names[i], sizeof(names[i]), "g%d", i);
		groups[i] = slice_of(names[i]);
	}
	struct spool_event ev = alice();
	ev.groups = groups;
	ev.ngroups = 200;
	load(&f, HEAD "- name: a\n  match: {groups: [\"*\"]}\n"
		      "  grants: [{clusterRole: view, namespaces: [\"${group}\"]}]\n");
	plan_for(&f, &ev);
	assert_int_equal(f.plan.len, PLAN_OBJECTS_MAX);
	assert_true(f.plan.nrefusals > 0);
	assert_string_equal(f.plan.refusals[0].reason, RAIL_TOO_MANY);
	done(&f);
}

/* --- against the cluster --- */

static json_t *live_of(const struct plan_object *o)
{
	json_t *live = json_deep_copy(o->body);
	json_t *meta = json_object_get(live, "metadata");
	json_object_set_new(meta, "uid", json_string("u"));
	json_object_set_new(meta, "resourceVersion", json_string("7"));
	json_object_set_new(json_object_get(meta, "labels"), "team", json_string("theirs"));
	return live;
}

static void set_at(json_t *live, const char *part, const char *key, const char *value)
{
	json_t *m = json_object_get(json_object_get(live, "metadata"), part);
	if (value)
		json_object_set_new(m, key, json_string(value));
	else
		json_object_del(m, key);
}

static void test_compare_tells_ours_from_foreign(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: a\n  match: {groups: [ops]}\n"
		      "  grants: [{clusterRole: view, namespaces: [shop]}]\n");
	plan_for(&f, &ev);
	const struct plan_object *o = &f.plan.objects[0];
	static const struct {
		const char *part, *key, *value;
		enum plan_live want;
	} rows[] = {
	    {"labels", "team", "x", PLAN_SAME},
	    {"labels", LABEL_MANAGED_BY, NULL, PLAN_DIFFERS},
	    {"labels", LABEL_MANAGED_BY, "helm", PLAN_DIFFERS},
	    {"labels", LABEL_RECORD, "spoof", PLAN_DIFFERS},
	    {"labels", LABEL_TEMPLATE, NULL, PLAN_DIFFERS},
	    {"annotations", ANNOTATION_USER, NULL, PLAN_DIFFERS},
	    {"annotations", ANNOTATION_USER, "mallory", PLAN_FOREIGN},
	    {"annotations", ANNOTATION_PROVIDER, "jwt:x", PLAN_FOREIGN},
	    {"annotations", ANNOTATION_GROUP, "ops", PLAN_FOREIGN},
	    {"annotations", ANNOTATION_GENERATION, "old", PLAN_DIFFERS},
	    {"annotations", ANNOTATION_SPEC_HASH, NULL, PLAN_DIFFERS},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *live = live_of(o);
		assert_int_equal(plan_compare(o, live), PLAN_SAME);
		set_at(live, rows[i].part, rows[i].key, rows[i].value);
		if (plan_compare(o, live) != rows[i].want)
			fail_msg("%s %s", rows[i].part, rows[i].key);
		json_decref(live);
	}
	json_t *live = live_of(o);
	json_object_set_new(json_array_get(json_object_get(live, "subjects"), 0), "name", json_string("eve"));
	assert_int_equal(plan_compare(o, live), PLAN_DIFFERS);
	json_array_append_new(json_object_get(live, "subjects"), json_object());
	assert_int_equal(plan_compare(o, live), PLAN_DIFFERS);
	json_object_del(live, "subjects");
	assert_int_equal(plan_compare(o, live), PLAN_DIFFERS);
	json_object_set_new(json_object_get(live, "roleRef"), "name", json_string("edit"));
	assert_int_equal(plan_compare(o, live), PLAN_FOREIGN);
	json_decref(live);
	live = live_of(o);
	json_object_del(json_object_get(live, "metadata"), "labels");
	json_object_del(json_object_get(live, "metadata"), "annotations");
	assert_int_equal(plan_compare(o, live), PLAN_FOREIGN);
	json_decref(live);
	live = json_object();
	assert_int_equal(plan_compare(o, live), PLAN_FOREIGN);
	json_decref(live);
	done(&f);
}

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_role_binding_in_full),
	    cmocka_unit_test(test_cluster_binding_and_role),
	    cmocka_unit_test(test_one_set_for_each_matched_group),
	    cmocka_unit_test(test_order_and_repeats_of_groups_do_not_matter),
	    cmocka_unit_test(test_lost_groups_leave_the_plan),
	    cmocka_unit_test(test_same_name_at_two_providers_is_two_people),
	    cmocka_unit_test(test_reserved_users_get_nothing),
	    cmocka_unit_test(test_a_directory_cannot_name_a_reserved_group),
	    cmocka_unit_test(test_a_directory_cannot_reach_a_reserved_namespace),
	    cmocka_unit_test(test_a_slug_never_lends_another_team_its_namespace),
	    cmocka_unit_test(test_a_group_is_bound_only_for_its_members),
	    cmocka_unit_test(test_limits_hold),
	    cmocka_unit_test(test_compare_tells_ours_from_foreign),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
