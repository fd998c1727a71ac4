/* Proves who is due what: bindings under the right names, marked as ours, whatever a directory says of people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/jsonx.h"
#include "rbac-sync/due.h"

#define HEAD "apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\nsubjectMode: user-first\ntemplates:\n"

struct fixture {
	struct arena arena;
	struct sync_config *config;
	struct due due;
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

static void make(struct fixture *f, const struct spool_event *ev)
{
	const struct due_world w = {.config = f->config, .max_objects = DUE_OBJECTS_MAX, .now = 1800000000};
	char key[SPOOL_KEY_LEN + 1];
	spool_key(ev->provider, ev->username, key);
	const struct record r = {
	    .name = arena_strdup(&f->arena, key), .identity = *ev, .last_seen = 1800000000, .first_seen = 1700000000};
	due_make(&f->arena, &r, &w, &f->due);
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

/* The reason of the only refusal where nothing is due. */
static const char *only_refusal(const struct fixture *f)
{
	if (f->due.len != 0)
		fail_msg("due: %s", f->due.objects[0].id.name);
	assert_int_equal(f->due.nrefusals, 1);
	return f->due.refusals[0].reason;
}

static void test_role_binding_in_full(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: devs\n  match: {groups: [\"eng-*\"]}\n"
		      "  grants: [{clusterRole: edit, namespaces: [shop]}]\n");
	make(&f, &ev);
	assert_int_equal(f.due.len, 1);
	assert_int_equal(f.due.nrefusals, 0);
	const struct desired *o = &f.due.objects[0];
	assert_string_equal(object_types[o->id.kind].kind, "RoleBinding");
	assert_string_equal(o->id.namespace_, "shop");
	assert_int_equal(strncmp(o->id.name, "portcullis:devs:", 16), 0);
	assert_int_equal(strlen(o->id.name), 16 + 10);
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
	    t->generation, hash, key, o->id.name);
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
	make(&f, &ev);
	assert_int_equal(f.due.len, 3);
	assert_string_equal(text_at(f.due.objects[0].body, "roleRef", "kind", NULL), "Role");
	assert_string_equal(f.due.objects[1].id.namespace_, "two");
	assert_int_equal(f.due.objects[2].id.kind, KIND_CLUSTER_ROLE_BINDING);
	assert_null(f.due.objects[2].id.namespace_);
	assert_null(json_object_get(json_object_get(f.due.objects[2].body, "metadata"), "namespace"));
	/* Another role, another place: another name. */
	for (size_t i = 1; i < 3; i++)
		assert_string_not_equal(f.due.objects[0].id.name, f.due.objects[i].id.name);
	assert_string_not_equal(f.due.objects[1].id.name, f.due.objects[2].id.name);
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
	make(&f, &ev);
	assert_int_equal(f.due.len, 4);
	assert_string_equal(f.due.objects[0].id.namespace_, "blue");
	assert_string_equal(f.due.objects[1].id.namespace_, "red");
	const json_t *subjects = json_object_get(f.due.objects[2].body, "subjects");
	assert_int_equal(json_array_size(subjects), 1);
	assert_string_equal(text_at(json_array_get(subjects, 0), "kind", NULL, NULL), "Group");
	assert_string_equal(text_at(json_array_get(subjects, 0), "name", NULL, NULL), "eng-blue");
	/* A group's binding is shared by its members: nothing in it tells who came first. */
	struct due first = f.due;
	ev.username = SLICE("bob");
	make(&f, &ev);
	assert_int_equal(f.due.len, 4);
	assert_string_equal(first.objects[2].id.name, f.due.objects[2].id.name);
	assert_true(json_equal(first.objects[2].body, f.due.objects[2].body));
	assert_string_not_equal(first.objects[0].id.name, f.due.objects[0].id.name);
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
	make(&f, &ev);
	struct due first = f.due;
	ev.groups = other;
	ev.ngroups = ARRAY_LEN(other);
	make(&f, &ev);
	assert_int_equal(first.len, 4); /* three teams, and one shared place once */
	assert_int_equal(f.due.len, first.len);
	for (size_t i = 0; i < first.len; i++) {
		assert_string_equal(first.objects[i].id.name, f.due.objects[i].id.name);
		assert_true(json_equal(first.objects[i].body, f.due.objects[i].body));
	}
	done(&f);
}

static void test_what_lost_groups_gave_is_no_longer_due(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: teams\n  match: {groups: [\"eng-*\"]}\n"
		      "  grants: [{clusterRole: edit, namespaces: [\"${group}\"]}]\n");
	ev.ngroups = 2;
	make(&f, &ev);
	assert_int_equal(f.due.len, 1);
	ev.ngroups = 0;
	make(&f, &ev);
	assert_int_equal(f.due.len + f.due.nrefusals, 0);
	done(&f);
}

static void test_same_name_at_two_providers_is_two_people(void **state)
{
	(void)state;
	struct fixture f;
	struct spool_event ev = alice();
	load(&f, HEAD "- name: a\n  match: {providers: [\"*\"]}\n"
		      "  grants: [{clusterRole: view, namespaces: [\"u-${user.hash10}\"]}]\n");
	make(&f, &ev);
	struct due first = f.due;
	ev.provider = SLICE("jwt:https://other");
	make(&f, &ev);
	assert_string_not_equal(first.objects[0].id.namespace_, f.due.objects[0].id.namespace_);
	assert_string_not_equal(first.objects[0].id.name, f.due.objects[0].id.name);
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
		make(&f, &ev);
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
		make(&f, &ev);
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
		make(&f, &ev);
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
	make(&f, &ev);
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
	make(&f, &ev);
	assert_int_equal(f.due.len, 1);
	ev.groups = &theirs;
	make(&f, &ev);
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
	make(&f, &ev);
	assert_int_equal(f.due.len, 1);
	ev.ngroups = 1;
	make(&f, &ev);
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
	make(&f, &ev);
	assert_int_equal(f.due.len, DUE_OBJECTS_MAX);
	assert_true(f.due.nrefusals > 0);
	assert_string_equal(f.due.refusals[0].reason, RAIL_TOO_MANY);
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
	    cmocka_unit_test(test_what_lost_groups_gave_is_no_longer_due),
	    cmocka_unit_test(test_same_name_at_two_providers_is_two_people),
	    cmocka_unit_test(test_reserved_users_get_nothing),
	    cmocka_unit_test(test_a_directory_cannot_name_a_reserved_group),
	    cmocka_unit_test(test_a_directory_cannot_reach_a_reserved_namespace),
	    cmocka_unit_test(test_a_slug_never_lends_another_team_its_namespace),
	    cmocka_unit_test(test_a_group_is_bound_only_for_its_members),
	    cmocka_unit_test(test_limits_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
