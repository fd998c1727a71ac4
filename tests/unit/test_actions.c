/* Proves what is done about what one record is due: what is written, left and refused, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/actions_fixture.h"

/* --- what is due --- */

static void test_what_is_missing_is_applied_namespaces_first(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	due_namespace(s, "u-alice");
	struct desired *q = add_due(s, KIND_RESOURCE_QUOTA, "u-alice", "default");
	json_object_set_new(q->body, "spec", json_object());
	due_binding(s, "portcullis:devs:1", "edit");
	assert_actions(s, "apply u-alice unseen, apply default unseen, apply portcullis:devs:1 unseen");
	assert_string_equal(settle(s, NULL), "apply u-alice unseen");
}

static void test_what_is_right_is_kept_also_with_the_servers_defaults(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	made(s, due_namespace(s, "u-alice"));
	struct desired *q = add_due(s, KIND_RESOURCE_QUOTA, "u-alice", "default");
	set_hash(q, "quota");
	json_object_set_new(q->body, "spec", json_object());
	json_t *live = made(s, q);
	made(s, due_binding(s, "portcullis:devs:1", "edit"));
	assert_actions(s, "keep u-alice, keep default, keep portcullis:devs:1");
	/* The inventory was lost: bindings speak for themselves, the quota's defaults do not. */
	s->r.nbindings = 0;
	assert_actions(s, "keep u-alice, apply default, keep portcullis:devs:1");
	s->r.nbindings = 3;
	json_object_set_new(json_object_get(live, "spec"), "pods", json_integer(1000));
	assert_actions(s, "keep u-alice, apply! default, keep portcullis:devs:1");
}

static void test_a_changed_template_is_applied_and_is_no_drift(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	struct desired *d = due_binding(s, "portcullis:devs:1", "edit");
	made(s, d);
	d->drift = DRIFT_OFF;
	set_hash(d, "other");
	assert_actions(s, "apply portcullis:devs:1");
}

static void test_drift_is_repaired_reported_or_left(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	struct desired *d = due_binding(s, "portcullis:devs:1", "edit");
	json_t *o = made(s, d);
	set_subject(o, "User", "mallory");
	assert_actions(s, "apply! portcullis:devs:1");
	d->drift = DRIFT_REPORT;
	assert_actions(s, "drift! portcullis:devs:1");
	d->drift = DRIFT_OFF;
	assert_actions(s, "drift! portcullis:devs:1");
	/* Whoever relabels it cannot make it anybody else's. */
	d->drift = DRIFT_REPAIR;
	set_subject(o, "User", "alice");
	assert_actions(s, "keep portcullis:devs:1");
	set_label(o, LABEL_RECORD, "rec-bob");
	assert_actions(s, "apply! portcullis:devs:1");
	set_label(o, LABEL_RECORD, "rec-alice");
	set_note(o, ANNOTATION_USER, "bob");
	assert_actions(s, "apply! portcullis:devs:1");
}

static void test_a_lost_label_hides_an_object_until_it_is_read(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	struct desired *d = due_binding(s, "portcullis:devs:1", "edit");
	json_t *o = made(s, d);
	set_label(o, LABEL_MANAGED_BY, NULL);
	assert_actions(s, "apply portcullis:devs:1 unseen");
	assert_string_equal(settle(s, o), "apply! portcullis:devs:1");
	assert_string_equal(settle(s, NULL), "apply! portcullis:devs:1 unseen");
	d->drift = DRIFT_REPORT;
	assert_string_equal(settle(s, o), "drift! portcullis:devs:1");
	assert_string_equal(settle(s, NULL), "drift! portcullis:devs:1 unseen");
	/* All marks gone: its uid still says that we made it. */
	json_object_del(meta_of(o), "labels");
	json_object_del(meta_of(o), "annotations");
	d->drift = DRIFT_REPAIR;
	assert_string_equal(settle(s, o), "apply! portcullis:devs:1");
	/* The store was late, all is well. */
	json_t *fine = json_deep_copy(d->body);
	set_text(meta_of(fine), "uid", s->had[0].uid);
	assert_string_equal(settle(s, fine), "keep portcullis:devs:1");
	json_decref(fine);
}

static void test_a_namespaces_labels_count_if_the_template_names_them(void **state)
{
	struct scene *s = *state;
	static const char *const keys[] = {"pod-security.kubernetes.io/enforce", NULL};
	struct desired *d = due_namespace(s, "u-alice");
	set_label(d->body, keys[0], "restricted");
	json_t *o = made(s, d);
	set_label(o, "others", "own");
	d->labels = keys;
	assert_actions(s, "keep u-alice");
	/* Somebody else's word against ours, as with all the rest: the limit of repairs holds. */
	set_label(o, keys[0], "privileged");
	assert_actions(s, "apply! u-alice");
	set_label(o, keys[0], NULL);
	assert_actions(s, "apply! u-alice");
	d->drift = DRIFT_REPORT;
	assert_actions(s, "drift! u-alice");
	/* What was begun and not ended was not changed by anybody. */
	s->had[0].live = NULL;
	assert_actions(s, "apply u-alice");
}

/* --- whose is it --- */

static void test_objects_of_others_are_refused(void **state)
{
	(void)state;
	static const struct {
		enum object_kind kind;
		bool had, same_uid, adopt;
		enum marks marks;
		enum action_kind want;
	} rows[] = {
	    /* not in the inventory: the marks say it, one that contradicts is enough */
	    {KIND_ROLE_BINDING, false, false, false, NONE, ACTION_REFUSE},
	    {KIND_ROLE_BINDING, false, false, false, LABEL, ACTION_APPLY},
	    {KIND_ROLE_BINDING, false, false, false, NOTES, ACTION_APPLY},
	    {KIND_ROLE_BINDING, false, false, false, BOTH, ACTION_APPLY},
	    {KIND_ROLE_BINDING, false, false, false, OTHER_USER, ACTION_REFUSE},
	    {KIND_ROLE_BINDING, false, false, false, OTHER_PROVIDER, ACTION_REFUSE},
	    {KIND_ROLE_BINDING, false, false, false, ALSO_GROUP, ACTION_APPLY},
	    {KIND_ROLE_BINDING, false, false, false, GROUP_INSTEAD, ACTION_REFUSE},
	    {KIND_NETWORK_POLICY, false, false, false, NONE, ACTION_REFUSE},
	    {KIND_NETWORK_POLICY, false, false, false, OTHER_USER, ACTION_REFUSE},
	    {KIND_NETWORK_POLICY, false, false, false, BOTH, ACTION_APPLY},
	    /* a namespace needs both, or leave to adopt */
	    {KIND_NAMESPACE, false, false, false, NONE, ACTION_REFUSE},
	    {KIND_NAMESPACE, false, false, false, LABEL, ACTION_REFUSE},
	    {KIND_NAMESPACE, false, false, false, NOTES, ACTION_REFUSE},
	    {KIND_NAMESPACE, false, false, false, BOTH, ACTION_APPLY},
	    {KIND_NAMESPACE, false, false, true, NONE, ACTION_APPLY},
	    {KIND_NAMESPACE, false, false, true, OTHER_USER, ACTION_REFUSE},
	    {KIND_NAMESPACE, false, false, true, OTHER_PROVIDER, ACTION_REFUSE},
	    {KIND_NAMESPACE, true, false, false, NONE, ACTION_REFUSE},
	    /* the very object that we made stays ours whatever it says */
	    {KIND_ROLE_BINDING, true, true, false, NONE, ACTION_APPLY},
	    {KIND_ROLE_BINDING, true, true, false, OTHER_USER, ACTION_APPLY},
	    {KIND_NAMESPACE, true, true, false, NONE, ACTION_APPLY},
	    {KIND_NETWORK_POLICY, true, true, false, OTHER_USER, ACTION_APPLY},
	    /* ours was deleted and another put in its place */
	    {KIND_ROLE_BINDING, true, false, false, NONE, ACTION_APPLY},
	    {KIND_ROLE_BINDING, true, false, false, OTHER_USER, ACTION_REFUSE},
	    {KIND_NETWORK_POLICY, true, false, false, NONE, ACTION_REFUSE},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		void *st;
		set_up(&st);
		struct scene *s = st;
		const char *ns = rows[i].kind == KIND_NAMESPACE ? NULL : "team";
		put_namespace(s, "team");
		struct desired *d =
		    add_due(s, rows[i].kind, ns, rows[i].kind == KIND_ROLE_BINDING ? "portcullis:devs:1" : "x");
		set_hash(d, "h");
		if (rows[i].kind == KIND_ROLE_BINDING) {
			set_role(d->body, "ClusterRole", "edit");
			set_subject(d->body, "User", "alice");
		}
		d->adopt = rows[i].adopt;
		json_t *o = made(s, d);
		if (!rows[i].had)
			s->r.nbindings = 0;
		if (!rows[i].same_uid)
			set_text(meta_of(o), "uid", "another");
		set_these(o, rows[i].marks);
		make(s);
		assert_int_equal(s->n, 1);
		/* What bears no label is not seen before it is read. */
		if (!s->actions[0].live) {
			struct observed *seen = ARENA_NEW(&s->a, struct observed);
			assert_int_equal(s->actions[0].kind, ACTION_APPLY);
			assert_true(observed_read(rows[i].kind, o, &s->a, seen));
			action_settle(&s->actions[0], &s->a, &s->r, &s->life, &s->view, seen);
		}
		if (s->actions[0].kind != rows[i].want)
			fail_msg("row %zu: %s", i, line(s, &s->actions[0]));
		tear_down(&st);
	}
}

static void test_what_took_our_place_in_the_users_own_namespace_is_written_over(void **state)
{
	struct scene *s = *state;
	made(s, due_namespace(s, "u-alice"));
	struct desired *d = add_due(s, KIND_NETWORK_POLICY, "u-alice", "default-deny");
	set_hash(d, "h");
	json_t *o = made(s, d);
	set_text(meta_of(o), "uid", "another");
	set_these(o, NONE);
	assert_actions(s, "keep u-alice, apply default-deny unseen");
	s->actions++;
	assert_string_equal(settle(s, o), "apply! default-deny");
	/* Never ours before: a policy of the user's own. */
	s->r.nbindings = 1;
	assert_actions(s, "keep u-alice, apply default-deny unseen");
	s->actions++;
	assert_string_equal(settle(s, o), "refuse default-deny");
}

static void test_another_role_under_our_name_is_refused(void **state)
{
	struct scene *s = *state;
	put_namespace(s, "team");
	json_t *o = made(s, due_binding(s, "portcullis:devs:1", "edit"));
	set_role(o, "ClusterRole", "admin");
	assert_actions(s, "refuse portcullis:devs:1");
	set_role(o, "Role", "edit");
	assert_actions(s, "refuse portcullis:devs:1");
	json_object_del(o, "roleRef");
	assert_actions(s, "refuse portcullis:devs:1");
}

static void test_nothing_of_a_template_goes_into_a_namespace_that_is_anothers(void **state)
{
	struct scene *s = *state;
	json_t *ns = put_namespace(s, "team");
	due_namespace(s, "team");
	due_binding(s, "portcullis:devs:1", "edit");
	struct desired *other = due_binding(s, "portcullis:ops:1", "edit");
	other->template_ = "ops";
	assert_actions(s, "refuse team, refuse portcullis:devs:1 unseen, apply portcullis:ops:1 unseen");
	/* Another template that means the same owner's. */
	other->place_owner = "rec-alice";
	assert_actions(s, "refuse team, refuse portcullis:devs:1 unseen, refuse portcullis:ops:1 unseen");
	other->place_owner = NULL;
	set_marks(ns, "rec-bob", "devs", "bob");
	s->due[0].adopt = true;
	assert_actions(s, "refuse team, refuse portcullis:devs:1 unseen, apply portcullis:ops:1 unseen");
	set_marks(ns, "rec-alice", "devs", "alice");
	assert_actions(s, "apply team, apply portcullis:devs:1 unseen, apply portcullis:ops:1 unseen");
}

static void test_any_mark_of_anothers_keeps_a_namespace_from_being_adopted(void **state)
{
	struct scene *s = *state;
	json_t *ns = put_namespace(s, "u-alice");
	due_namespace(s, "u-alice")->adopt = true;
	assert_actions(s, "apply u-alice");
	set_marks(ns, "rec-bob", "devs", "bob");
	assert_actions(s, "refuse u-alice");
	json_object_del(meta_of(ns), "annotations");
	assert_actions(s, "refuse u-alice");
	set_label(ns, LABEL_RECORD, "rec-alice");
	assert_actions(s, "apply u-alice");
}

static void test_a_hash_that_was_found_again_opens_nobodys_namespace(void **state)
{
	struct scene *s = *state;
	json_t *ns = put_namespace(s, "team");
	struct desired *d = due_binding(s, "portcullis:devs:1", "edit");
	d->place_owner = "rec-alice";
	assert_actions(s, "apply portcullis:devs:1 unseen"); /* a namespace of no owner's */
	set_marks(ns, "rec-alice", "devs", "alice");
	assert_actions(s, "apply portcullis:devs:1 unseen");
	set_marks(ns, "rec-bob", "devs", "bob");
	assert_actions(s, "refuse portcullis:devs:1 unseen");
	d->place_owner = NULL; /* the template names it as it stands */
	assert_actions(s, "apply portcullis:devs:1 unseen");
}

static void test_namespaces_that_go_or_are_not_there_are_waited_for(void **state)
{
	struct scene *s = *state;
	due_binding(s, "portcullis:devs:1", "edit");
	assert_actions(s, "wait portcullis:devs:1 unseen");
	json_t *ns = put_namespace(s, "team");
	assert_actions(s, "apply portcullis:devs:1 unseen");
	json_object_set_new(ns, "status", json_pack("{s:s}", "phase", "Terminating"));
	assert_actions(s, "wait portcullis:devs:1 unseen");
	struct desired *d = due_namespace(s, "u-alice");
	set_text(meta_of(made(s, d)), "deletionTimestamp", "2026-11-23T10:00:00Z");
	assert_actions(s, "wait portcullis:devs:1 unseen, wait u-alice");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_what_is_missing_is_applied_namespaces_first),
	    TEST(test_what_is_right_is_kept_also_with_the_servers_defaults),
	    TEST(test_a_changed_template_is_applied_and_is_no_drift),
	    TEST(test_drift_is_repaired_reported_or_left),
	    TEST(test_a_lost_label_hides_an_object_until_it_is_read),
	    TEST(test_a_namespaces_labels_count_if_the_template_names_them),
	    cmocka_unit_test(test_objects_of_others_are_refused),
	    TEST(test_what_took_our_place_in_the_users_own_namespace_is_written_over),
	    TEST(test_another_role_under_our_name_is_refused),
	    TEST(test_nothing_of_a_template_goes_into_a_namespace_that_is_anothers),
	    TEST(test_namespaces_that_go_or_are_not_there_are_waited_for),
	    TEST(test_any_mark_of_anothers_keeps_a_namespace_from_being_adopted),
	    TEST(test_a_hash_that_was_found_again_opens_nobodys_namespace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
