/* Proves what is done about what one record is due no more: what is removed, kept and left, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/actions_fixture.h"

/* --- what is due no more --- */

static const char *real_name(struct scene *s, const char *role, enum subject_kind kind, const char *subject)
{
	const struct due_name n = {SLICE("ldap:corp"), kind, slice_of(subject), "ClusterRole", role, "team"};
	return due_name(&s->a, "devs", &n);
}

static void test_what_is_due_no_more_is_removed_if_it_is_proven_ours(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		bool same_uid;
		enum marks marks;
		const char *want, *settled;
	} rows[] = {
	    {"portcullis:devs:1", true, BOTH, "delete:undue portcullis:devs:1", NULL},
	    {"portcullis:devs:1", true, LABEL, "delete:undue portcullis:devs:1", NULL},
	    {"portcullis:devs:1", true, NOTES, "delete:undue portcullis:devs:1 unseen",
		"delete:undue portcullis:devs:1"},
	    {"portcullis:devs:1", true, NONE, "delete:undue portcullis:devs:1 unseen",
		"release portcullis:devs:1"},
	    {"portcullis:devs:1", false, BOTH, "release portcullis:devs:1", NULL},
	    {"portcullis:devs:1", false, NONE, "delete:undue portcullis:devs:1 unseen",
		"release portcullis:devs:1"},
	    {"kubeadm:cluster-admins", true, BOTH, "release kubeadm:cluster-admins", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		void *st;
		set_up(&st);
		struct scene *s = st;
		put_namespace(s, "team");
		json_t *o = made_before(s, rows[i].name, "edit");
		if (!rows[i].same_uid)
			set_text(meta_of(o), "uid", "another");
		set_these(o, rows[i].marks);
		assert_actions(s, rows[i].want);
		if (rows[i].settled) {
			assert_string_equal(settle(s, o), rows[i].settled);
			assert_string_equal(settle(s, NULL), "release portcullis:devs:1 unseen");
		}
		tear_down(&st);
	}
}

/* Made anew after somebody deleted it, and the worker was killed before it wrote the new uid down. */
static void test_what_was_made_anew_goes_too(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	const char *name = real_name(s, "edit", SUBJECT_USER, "alice");
	json_t *o = made_before(s, name, "edit");
	s->r.identity = (struct spool_event){.provider = SLICE("ldap:corp"), .username = SLICE("alice")};
	set_text(meta_of(o), "uid", "another");
	assert_actions(s, arena_printf(&s->a, "delete:undue %s", name));
	const char *released = arena_printf(&s->a, "release %s", name);
	set_note(o, ANNOTATION_USER, "mallory");
	assert_actions(s, released);
	set_note(o, ANNOTATION_USER, "alice");
	set_role(o, "ClusterRole", "view"); /* its name says another one */
	assert_actions(s, released);
}

static void test_what_bears_our_marks_but_is_in_no_inventory_is_left_alone(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:1", "edit");
	s->r.nbindings = 0;
	assert_actions(s, "");
}

static void test_what_went_with_its_namespace_is_gone(void **state)
{
	struct scene *s = *state;
	made_before(s, "portcullis:devs:1", "edit");
	s->ncluster = 0;
	assert_actions(s, "release portcullis:devs:1 unseen");
	json_decref(s->cluster[0]);
}

static void test_another_role_replaces(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	json_t *old = made_before(s, real_name(s, "edit", SUBJECT_USER, "alice"), "edit");
	struct desired *d = due_binding(s, real_name(s, "view", SUBJECT_USER, "alice"), "view");
	const char *want = arena_printf(
	    &s->a, "apply %s unseen, delete:replaced %s", d->id.name, s->had[0].id.name);
	const char *undue = arena_printf(&s->a, "apply %s unseen, delete:undue %s", d->id.name, s->had[0].id.name);
	assert_actions(s, want);
	assert_ptr_equal(s->actions[1].successor, d);
	/* Whatever is written into the old one: it is known by its name and role. */
	set_note(old, ANNOTATION_USER, "mallory");
	set_subject(old, "User", "mallory");
	assert_actions(s, want);
	/* Another's grant in the same place replaces nothing, but comes first. */
	set_subject(d->body, "User", "bob");
	assert_actions(s, undue);
	assert_ptr_equal(s->actions[1].successor, d);
	set_subject(d->body, "Group", "alice");
	assert_actions(s, undue);
	set_subject(d->body, "User", "alice");
	/* Another template's or another place's has nothing to do with it. */
	d->template_ = "ops";
	assert_actions(s, undue);
	assert_null(s->actions[1].successor);
	d->template_ = "devs";
	d->id.namespace_ = "elsewhere";
	put_namespace(s, "elsewhere");
	assert_actions(s, undue);
	assert_null(s->actions[1].successor);
	/* What cannot be seen may be replaced. */
	d->id.namespace_ = "team";
	set_label(old, LABEL_MANAGED_BY, NULL);
	make(s);
	assert_int_equal(s->actions[1].removal, REMOVAL_UNDUE);
	assert_ptr_equal(s->actions[1].successor, d);
}

static void test_a_grant_that_stood_beside_another_does_not_replace_it(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, real_name(s, "edit", SUBJECT_USER, "alice"), "edit");
	struct desired *d = due_binding(s, real_name(s, "view", SUBJECT_USER, "alice"), "view");
	made(s, d);
	const char *old = s->had[0].id.name;
	const char *undue = arena_printf(&s->a, "keep %s, delete:undue %s", d->id.name, old);
	const char *replaced = arena_printf(&s->a, "keep %s, delete:replaced %s", d->id.name, old);
	/* A template lost the line of one of two roles. */
	assert_actions(s, undue);
	set_hash(d, "other");
	assert_actions(s, arena_printf(&s->a, "apply %s, delete:undue %s", d->id.name, old));
	set_hash(d, "view");
	/* The new one was announced, and the worker died; or the old one had to wait for a full pass. */
	const char *live = s->had[1].live;
	s->had[1].live = NULL;
	assert_actions(s, replaced);
	s->had[1].live = live;
	s->had[0].successor = d->id.name;
	assert_actions(s, replaced);
	s->had[0].successor = "another";
	assert_actions(s, undue);
}

static void test_a_successor_that_is_refused_replaces_nothing(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:old", "admin");
	/* Whoever squats the new name must not keep the old role by it. */
	json_t *squat = made(s, due_binding(s, "portcullis:devs:new", "view"));
	s->r.nbindings--;
	set_text(meta_of(squat), "uid", "another");
	set_note(squat, ANNOTATION_USER, "mallory");
	assert_actions(s, "refuse portcullis:devs:new, delete:undue portcullis:devs:old");
	assert_null(s->actions[1].successor);
}

static void test_an_announced_end_is_an_expiry(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:1", "edit");
	s->had[0].expires = NOW;
	assert_actions(s, "delete:expired portcullis:devs:1");
	s->had[0].expires = NOW + 1;
	assert_actions(s, "delete:undue portcullis:devs:1");
	s->r.expires_at = NOW - 5;
	assert_actions(s, "delete:expired portcullis:devs:1");
	s->r.expires_at = 0;
	s->had[0].expires = NOW;
	s->view.now = 0;
	assert_actions(s, "delete:undue portcullis:devs:1");
}

static void test_a_binding_without_marks_is_told_by_its_name(void **state)
{
	struct scene *s = *state;
	static const struct {
		enum subject_kind kind;
		const char *subject, *role, *want;
	} rows[] = {
	    {SUBJECT_USER, "alice", "edit", "delete:undue"},
	    {SUBJECT_GROUP, "devs", "edit", "delete:undue"},
	    {SUBJECT_USER, "bob", "edit", "release"},
	    {SUBJECT_GROUP, "ops", "edit", "release"},
	    {SUBJECT_USER, "devs", "edit", "release"},
	    {SUBJECT_USER, "alice", "view", "release"},
	};
	static const struct slice groups[] = {SLICE("admins"), SLICE("devs")};
	put_namespace(s, "team");
	s->r.identity.provider = SLICE("ldap:corp");
	s->r.identity.username = SLICE("alice");
	s->r.identity.groups = groups;
	s->r.identity.ngroups = 2;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		s->r.nbindings = 0;
		const char *name = real_name(s, rows[i].role, rows[i].kind, rows[i].subject);
		json_t *o = made_before(s, name, "edit");
		set_these(o, NONE);
		make(s);
		if (strcmp(settle(s, o), arena_printf(&s->a, "%s %s", rows[i].want, name)) != 0)
			fail_msg("row %zu: %s", i, settle(s, o));
	}
}

static void test_shared_objects_go_with_the_last(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:1", "edit");
	s->elsewhere = ELSEWHERE_DUE;
	assert_actions(s, "release portcullis:devs:1");
	s->elsewhere = ELSEWHERE_UNKNOWN;
	assert_actions(s, "wait portcullis:devs:1");
	assert_null(s->actions[0].want);
	s->elsewhere = ELSEWHERE_NOT;
	assert_actions(s, "delete:undue portcullis:devs:1");
}

static void test_a_users_own_grant_waits_for_nobody(void **state)
{
	struct scene *s = *state;
	static const struct slice groups[] = {SLICE("devs")};
	put_namespace(s, "team");
	s->r.identity = (struct spool_event){.provider = SLICE("ldap:corp"), .username = SLICE("alice"), .groups = groups,
	    .ngroups = 1};
	s->elsewhere = ELSEWHERE_UNKNOWN;
	s->life.state = LIFE_SUSPENDED;
	const char *own = real_name(s, "edit", SUBJECT_USER, "alice"), *shared = real_name(s, "edit", SUBJECT_GROUP, "devs");
	json_t *o = made_before(s, own, "edit");
	assert_actions(s, arena_printf(&s->a, "delete:suspended %s", own));
	/* What cannot be seen may be anybody's. */
	set_label(o, LABEL_MANAGED_BY, NULL);
	assert_actions(s, arena_printf(&s->a, "wait %s unseen", own));
	s->r.nbindings = 0;
	made_before(s, shared, "edit");
	assert_actions(s, arena_printf(&s->a, "wait %s", shared));
}

static void test_what_is_not_known_takes_nothing_away(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:1", "edit");
	s->refusals[s->want.nrefusals++] = (struct due_refusal){.template_ = "devs", .reason = RAIL_UNKNOWN_NAMESPACES,
	    .what = "", .transient = true};
	assert_actions(s, "keep portcullis:devs:1");
	s->refusals[0].template_ = "ops";
	assert_actions(s, "delete:undue portcullis:devs:1");
	s->refusals[0].template_ = "devs";
	s->refusals[0].transient = false;
	assert_actions(s, "delete:undue portcullis:devs:1");
	/* An end that was announced comes all the same; so does an admin's word. */
	s->refusals[0].transient = true;
	s->had[0].expires = NOW;
	assert_actions(s, "delete:expired portcullis:devs:1");
	s->had[0].expires = 0;
	s->life.state = LIFE_SUSPENDED;
	assert_actions(s, "delete:suspended portcullis:devs:1");
}

static void test_what_is_not_known_of_one_place_holds_nothing_in_another(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:1", "edit");
	s->refusals[s->want.nrefusals++] = (struct due_refusal){.template_ = "devs", .reason = RAIL_ABSENT_ROLE,
	    .what = "", .transient = true, .id = {KIND_ROLE_BINDING, "team", "portcullis:devs:2"}};
	assert_actions(s, "keep portcullis:devs:1");
	s->refusals[0].id.namespace_ = "other";
	assert_actions(s, "delete:undue portcullis:devs:1");
	s->refusals[0].id = (struct object_id){KIND_CLUSTER_ROLE_BINDING, NULL, "portcullis:devs:2"};
	assert_actions(s, "delete:undue portcullis:devs:1");
}

static void test_a_role_that_is_missing_holds_nothing_that_was_granted_beside_it(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:1", "admin");
	made_before(s, "portcullis:devs:2", "helper");
	s->refusals[s->want.nrefusals++] = (struct due_refusal){.template_ = "devs", .reason = RAIL_ABSENT_ROLE,
	    .what = "", .transient = true, .id = {KIND_ROLE_BINDING, "team", "portcullis:devs:2"}};
	/* Whoever may remove the one's Role, and its binding too, must not keep the other one by it. */
	assert_actions(s, "keep portcullis:devs:2, delete:undue portcullis:devs:1");
	s->ncluster--;
	assert_actions(s, "keep portcullis:devs:2 unseen, delete:undue portcullis:devs:1");
	s->ncluster++;
}

static void test_a_kept_record_that_is_deleted_leaves_no_orphans(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:1", "edit");
	s->r.keep = s->r.keep_label = true;
	assert_actions(s, "keep portcullis:devs:1");
	s->life.state = LIFE_DELETED;
	assert_actions(s, "delete:deleted portcullis:devs:1");
}

static void test_a_template_that_does_not_prune_leaves_what_is_due_no_more(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:1", "edit");
	s->prunes = false;
	assert_actions(s, "keep portcullis:devs:1");
	s->had[0].expires = NOW;
	assert_actions(s, "delete:expired portcullis:devs:1");
	s->had[0].expires = 0;
	s->life.state = LIFE_DISABLED;
	assert_actions(s, "delete:disabled portcullis:devs:1");
	s->life.state = LIFE_ACTIVE;
	s->view.prunes = NULL;
	assert_actions(s, "delete:undue portcullis:devs:1");
}

/* NAMESPACE NULL: a ClusterRoleBinding. */
static json_t *made_with_keep(struct scene *s, const char *namespace_)
{
	put_namespace(s, "team");
	enum object_kind kind = namespace_ ? KIND_ROLE_BINDING : KIND_CLUSTER_ROLE_BINDING;
	struct desired *d = add_due(s, kind, namespace_, "portcullis:devs:1");
	set_role(d->body, "ClusterRole", "edit");
	set_hash(d, "edit");
	json_t *o = made(s, d);
	s->want.len--;
	set_label(o, LABEL_KEEP, "true");
	return o;
}

static void test_keep_exempts_from_all_but_an_end_and_suspension(void **state)
{
	struct scene *s = *state;
	json_t *o = made_with_keep(s, NULL);
	assert_actions(s, "keep portcullis:devs:1");
	s->life.state = LIFE_DISABLED;
	assert_actions(s, "keep portcullis:devs:1");
	s->life.state = LIFE_DELETED;
	assert_actions(s, "release portcullis:devs:1");
	s->life.state = LIFE_SUSPENDED;
	assert_actions(s, "delete:suspended portcullis:devs:1");
	s->life.state = LIFE_ACTIVE;
	s->had[0].expires = NOW;
	assert_actions(s, "delete:expired portcullis:devs:1");
	s->had[0].expires = 0;
	set_label(o, LABEL_KEEP, "yes");
	assert_actions(s, "delete:undue portcullis:devs:1");
	s->r.keep = true;
	assert_actions(s, "keep portcullis:devs:1");
	s->r.keep = false;
	s->r.keep_label = true;
	assert_actions(s, "keep portcullis:devs:1");
	s->r.expires_at = NOW;
	assert_actions(s, "delete:expired portcullis:devs:1");
	s->life.state = LIFE_SUSPENDED;
	assert_actions(s, "delete:suspended portcullis:devs:1");
}

static void test_the_admins_of_a_namespace_keep_nothing_by_a_label(void **state)
{
	struct scene *s = *state;
	made_with_keep(s, "team");
	assert_actions(s, "delete:undue portcullis:devs:1");
	s->had[0].expires = NOW;
	assert_actions(s, "delete:expired portcullis:devs:1");
	s->life.state = LIFE_DISABLED;
	s->had[0].expires = 0;
	assert_actions(s, "delete:disabled portcullis:devs:1");
}

/* A namespace with a quota and a grant, all made. */
static void sandbox(struct scene *s)
{
	made(s, due_namespace(s, "u-alice"));
	struct desired *q = add_due(s, KIND_RESOURCE_QUOTA, "u-alice", "default");
	set_hash(q, "quota");
	made(s, q);
	struct desired *d = add_due(s, KIND_ROLE_BINDING, "u-alice", "portcullis:devs:1");
	set_role(d->body, "ClusterRole", "edit");
	set_hash(d, "edit");
	made(s, d);
}

static void test_who_is_disabled_keeps_all_but_grants(void **state)
{
	struct scene *s = *state;
	static const enum life_state states[] = {LIFE_DISABLED, LIFE_SUSPENDED};
	sandbox(s);
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		s->life.state = states[i];
		s->want.len = 3;
		assert_actions(s, i ? "keep u-alice, keep default, delete:suspended portcullis:devs:1"
				    : "keep u-alice, keep default, delete:disabled portcullis:devs:1");
		/* Whatever the templates say of them by now. */
		s->want.len = 0;
		make(s);
		assert_int_equal(s->n, 3);
		assert_int_equal(s->actions[0].kind, ACTION_DELETE);
		assert_int_equal(s->actions[1].kind, ACTION_KEEP);
		assert_int_equal(s->actions[2].kind, ACTION_KEEP);
	}
	/* Nothing new is made for them. */
	s->want.len = 3;
	s->r.nbindings = 0;
	assert_actions(s, "");
}

static void test_who_is_deleted_loses_all_and_namespaces_as_the_template_says(void **state)
{
	struct scene *s = *state;
	sandbox(s);
	s->life.state = LIFE_DELETED;
	assert_actions(s, "delete:deleted portcullis:devs:1, release default, delete:deleted u-alice");
	s->due[0].orphan = true;
	assert_actions(s, "delete:deleted portcullis:devs:1, release default, release u-alice");
	s->due[0].orphan = false;
	s->due[0].adopt = true;
	assert_actions(s, "delete:deleted portcullis:devs:1, release default, release u-alice");
	s->due[0].adopt = false;
	s->want.len = 0;
	assert_actions(s, "delete:deleted portcullis:devs:1, release default, release u-alice");
	/* Going already: the record waits for it. */
	s->want.len = 3;
	set_text(meta_of(s->cluster[0]), "deletionTimestamp", "2026-11-23T10:00:00Z");
	assert_actions(s, "delete:deleted portcullis:devs:1, release default, wait u-alice");
	set_text(meta_of(s->cluster[0]), "uid", "another");
	assert_actions(s, "delete:deleted portcullis:devs:1, release default, release u-alice");
}

static void test_a_namespace_that_is_due_no_more_is_left_with_its_limits(void **state)
{
	struct scene *s = *state;
	sandbox(s);
	s->want.len = 0;
	assert_actions(s, "delete:undue portcullis:devs:1, release default, release u-alice");
	/* The template alone gave up the quota. */
	s->want.len = 1;
	assert_actions(s, "keep u-alice, delete:undue portcullis:devs:1, delete:undue default");
}

static void test_what_stands_in_a_namespace_of_others_goes_as_grants_do(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	struct desired *q = add_due(s, KIND_RESOURCE_QUOTA, "team", "default");
	set_hash(q, "quota");
	made(s, q);
	s->want.len = 0;
	assert_actions(s, "delete:undue default");
	s->elsewhere = ELSEWHERE_DUE;
	assert_actions(s, "release default");
	s->life.state = LIFE_DELETED;
	assert_actions(s, "release default");
	s->elsewhere = ELSEWHERE_NOT;
	assert_actions(s, "delete:deleted default");
}

static void test_a_shared_namespace_goes_with_the_last(void **state)
{
	struct scene *s = *state;
	sandbox(s);
	s->life.state = LIFE_DELETED;
	s->elsewhere = ELSEWHERE_DUE;
	assert_actions(s, "release portcullis:devs:1, release default, release u-alice");
	s->elsewhere = ELSEWHERE_UNKNOWN;
	assert_actions(s, "wait portcullis:devs:1, release default, wait u-alice");
}

static void test_what_is_a_templates_own_names_no_user(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	struct desired *q = add_due(s, KIND_RESOURCE_QUOTA, "team", "default");
	set_note(q->body, ANNOTATION_USER, NULL);
	set_note(q->body, ANNOTATION_PROVIDER, "*");
	json_t *o = made(s, q);
	s->r.nbindings = 0;
	assert_actions(s, "keep default");
	/* Somebody wrote another's name beside: an apply cannot take it away, so it says nothing. */
	set_note(o, ANNOTATION_USER, "bob");
	assert_actions(s, "apply default");
	set_note(o, ANNOTATION_USER, NULL);
	set_note(o, ANNOTATION_PROVIDER, "ldap:corp");
	assert_actions(s, "refuse default");
}

static void test_an_entry_that_is_there_twice_counts_once(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made_before(s, "portcullis:devs:1", "edit");
	s->had[s->r.nbindings++] = s->had[0];
	assert_actions(s, "delete:undue portcullis:devs:1");
}

static void test_the_cluster_takes_along_what_goes_with_the_user_alone(void **state)
{
	struct scene *s = *state;
	sandbox(s);
	struct desired *d = due_binding(s, "portcullis:devs:2", "view");
	for (size_t i = 0; i < 4; i++)
		assert_true(actions_goes_along(&s->want, &s->due[i]));
	d->shared = true;
	assert_false(actions_goes_along(&s->want, d));
	/* A namespace that is left keeps its limits; grants in it go. */
	for (int adopt = 0; adopt < 2; adopt++) {
		s->due[0].orphan = !adopt;
		s->due[0].adopt = adopt;
		assert_false(actions_goes_along(&s->want, &s->due[0]));
		assert_false(actions_goes_along(&s->want, &s->due[1]));
		assert_true(actions_goes_along(&s->want, &s->due[2]));
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_due_no_more_is_removed_if_it_is_proven_ours),
	    TEST(test_what_was_made_anew_goes_too),
	    TEST(test_what_bears_our_marks_but_is_in_no_inventory_is_left_alone),
	    TEST(test_what_went_with_its_namespace_is_gone),
	    TEST(test_another_role_replaces),
	    TEST(test_a_grant_that_stood_beside_another_does_not_replace_it),
	    TEST(test_a_successor_that_is_refused_replaces_nothing),
	    TEST(test_an_announced_end_is_an_expiry),
	    TEST(test_shared_objects_go_with_the_last),
	    TEST(test_a_users_own_grant_waits_for_nobody),
	    TEST(test_what_is_not_known_takes_nothing_away),
	    TEST(test_a_template_that_does_not_prune_leaves_what_is_due_no_more),
	    TEST(test_keep_exempts_from_all_but_an_end_and_suspension),
	    TEST(test_the_admins_of_a_namespace_keep_nothing_by_a_label),
	    TEST(test_a_binding_without_marks_is_told_by_its_name),
	    TEST(test_what_is_not_known_of_one_place_holds_nothing_in_another),
	    TEST(test_a_role_that_is_missing_holds_nothing_that_was_granted_beside_it),
	    TEST(test_a_kept_record_that_is_deleted_leaves_no_orphans),
	    TEST(test_who_is_disabled_keeps_all_but_grants),
	    TEST(test_who_is_deleted_loses_all_and_namespaces_as_the_template_says),
	    TEST(test_a_namespace_that_is_due_no_more_is_left_with_its_limits),
	    TEST(test_what_stands_in_a_namespace_of_others_goes_as_grants_do),
	    TEST(test_a_shared_namespace_goes_with_the_last),
	    TEST(test_what_is_a_templates_own_names_no_user),
	    TEST(test_the_cluster_takes_along_what_goes_with_the_user_alone),
	    TEST(test_an_entry_that_is_there_twice_counts_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
