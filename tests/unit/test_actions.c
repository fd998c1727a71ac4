/* Proves what is done about one record's objects: what is written, refused, left and removed, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/jsonx.h"
#include "rbac-sync/actions.h"
#include "tests/support/sync_objects.h"

#define MANY 16
#define NOW 1795428000

/* One record, what it is due, what we made, and the cluster. */
struct scene {
	struct arena a;
	struct record r;
	struct record_binding had[MANY];
	struct desired due[MANY];
	struct due_refusal refusals[4];
	struct due want;
	struct life life;
	struct actions_view view;
	json_t *cluster[MANY];
	size_t ncluster;
	enum elsewhere elsewhere;
	bool prunes;
	struct action *actions;
	size_t n;
};

static enum object_kind kind_of(const json_t *o)
{
	return object_kind_of(jsonx_text(json_object_get(o, "apiVersion")), jsonx_text(json_object_get(o, "kind")));
}

static json_t *at(struct scene *s, const struct object_id *id)
{
	struct observed o;
	for (size_t i = 0; i < s->ncluster; i++) {
		if (observed_read(kind_of(s->cluster[i]), s->cluster[i], &s->a, &o) && object_id_eq(&o.id, id))
			return s->cluster[i];
	}
	return NULL;
}

/* As the watches: all namespaces, of others those that bear the label. */
static bool see(void *ctx, const struct object_id *id, struct arena *a, struct observed *out)
{
	json_t *o = at(ctx, id);
	return o && observed_read(id->kind, o, a, out) &&
	    (id->kind == KIND_NAMESPACE || text_eq(out->managed_by, MANAGED_BY));
}

static enum elsewhere elsewhere(void *ctx, const struct object_id *id, const char *record)
{
	const struct scene *s = ctx;
	(void)id;
	assert_string_equal(record, s->r.name);
	return s->elsewhere;
}

static bool prunes(void *ctx, const char *template_)
{
	assert_non_null(template_);
	return ((const struct scene *)ctx)->prunes;
}

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	s->r.name = "rec-alice";
	s->r.bindings = s->had;
	s->want.objects = s->due;
	s->want.refusals = s->refusals;
	s->view = (struct actions_view){s, NOW, see, elsewhere, prunes};
	s->elsewhere = ELSEWHERE_NOT;
	s->prunes = true;
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;
	for (size_t i = 0; i < s->ncluster; i++)
		json_decref(s->cluster[i]);
	arena_done(&s->a);
	free(s);
	return 0;
}

/* --- building --- */

static json_t *put(struct scene *s, json_t *o)
{
	s->cluster[s->ncluster++] = o;
	return o;
}

static json_t *put_namespace(struct scene *s, const char *name)
{
	return put(s, new_object(KIND_NAMESPACE, NULL, name, arena_printf(&s->a, "uid-%s", name), 1));
}

static struct desired *add_due(struct scene *s, enum object_kind kind, const char *namespace_, const char *name)
{
	struct desired *d = &s->due[s->want.len++];
	*d = (struct desired){.id = {kind, namespace_, name}, .template_ = "devs", .owner = "rec-alice", .prune = true};
	d->body = new_object(kind, namespace_, name, NULL, 0);
	json_object_del(meta_of(d->body), "resourceVersion");
	set_marks(d->body, d->owner, d->template_, "alice");
	jsonx_on_done(&s->a, d->body);
	return d;
}

static void set_hash(struct desired *d, const char *hash)
{
	snprintf(d->hash, sizeof(d->hash), "%s", hash);
	set_note(d->body, ANNOTATION_SPEC_HASH, hash);
}

static struct desired *due_binding(struct scene *s, const char *name, const char *role)
{
	struct desired *d = add_due(s, KIND_ROLE_BINDING, "team", name);
	set_role(d->body, "ClusterRole", role);
	set_subject(d->body, "User", "alice");
	set_hash(d, role);
	return d;
}

static struct desired *due_namespace(struct scene *s, const char *name)
{
	struct desired *d = add_due(s, KIND_NAMESPACE, NULL, name);
	set_hash(d, "ns");
	return d;
}

/* Puts D into the cluster as the apiserver would, and its entry into the inventory. */
static json_t *made(struct scene *s, const struct desired *d)
{
	json_t *o = put(s, json_deep_copy(d->body));
	char hex[2 * SHA256_LEN + 1];
	uint8_t digest[SHA256_LEN];
	const char *uid = arena_printf(&s->a, "uid-%s", d->id.name);
	set_text(meta_of(o), "uid", uid);
	set_version(o, 5);
	if (json_object_get(o, "spec"))
		json_object_set_new(json_object_get(o, "spec"), "defaulted", json_true());
	object_digest(o, NULL, digest);
	hex_encode(digest, SHA256_LEN, hex);
	s->had[s->r.nbindings++] = (struct record_binding){d->id, uid, d->template_, arena_strdup(&s->a, d->hash),
	    arena_strdup(&s->a, hex), d->expires, NULL};
	return o;
}

/* A binding that was made and is due no more. */
static json_t *made_before(struct scene *s, const char *name, const char *role)
{
	json_t *o = made(s, due_binding(s, name, role));
	s->want.len--;
	return o;
}

/* --- asking --- */

static void make(struct scene *s)
{
	s->n = actions_make(&s->a, &s->r, &s->want, &s->life, &s->view, &s->actions);
}

static const char *line(struct scene *s, const struct action *x)
{
	const struct object_id *id = x->want ? &x->want->id : &x->had->id;
	bool removal = x->kind == ACTION_DELETE;
	return arena_printf(&s->a, "%s%s%s %s%s", action_name(x->kind), removal ? ":" : "",
	    removal ? removal_name(x->removal) : x->drift ? "!" : "", id->name, x->live ? "" : " unseen");
}

static void check(struct scene *s, const char *want, const char *file, int at_line)
{
	struct buf b;
	make(s);
	buf_init(&b, 65536);
	for (size_t i = 0; i < s->n; i++) {
		buf_adds(&b, i ? ", " : "");
		buf_adds(&b, line(s, &s->actions[i]));
		bool plain = s->actions[i].kind == ACTION_DELETE || s->actions[i].kind == ACTION_APPLY ||
		    (s->actions[i].kind == ACTION_KEEP && s->actions[i].want);
		if (!plain && !s->actions[i].why)
			buf_adds(&b, " (no reason)");
	}
	const char *got = arena_strdup(&s->a, buf_cstr(&b));
	buf_done(&b);
	if (strcmp(got, want) != 0)
		fail_msg("%s:%d: \"%s\", not \"%s\"", file, at_line, got, want);
}

#define assert_actions(s, want) check(s, want, __FILE__, __LINE__)

/* The only action was to be read before; LIVE is what was read. */
static const char *settle(struct scene *s, const json_t *live)
{
	struct observed *o = ARENA_NEW(&s->a, struct observed);
	struct action x = s->actions[0];
	assert_null(x.live);
	if (live)
		assert_true(observed_read(kind_of(live), live, &s->a, o));
	action_settle(&x, &s->a, &s->r, &s->life, &s->view, live ? o : NULL);
	return line(s, &x);
}

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

enum marks { NONE, LABEL, NOTES, BOTH, OTHER_USER, OTHER_PROVIDER, ALSO_GROUP, GROUP_INSTEAD };

static void set_these(json_t *o, enum marks m)
{
	json_object_del(meta_of(o), "labels");
	json_object_del(meta_of(o), "annotations");
	if (m != NONE && m != LABEL)
		set_marks(o, "rec-alice", "devs", m == OTHER_USER ? "bob" : "alice");
	if (m == OTHER_PROVIDER)
		set_note(o, ANNOTATION_PROVIDER, "ldap:other");
	if (m == ALSO_GROUP || m == GROUP_INSTEAD)
		set_note(o, ANNOTATION_GROUP, "devs");
	if (m == GROUP_INSTEAD)
		set_note(o, ANNOTATION_USER, NULL);
	if (m == NOTES)
		json_object_del(meta_of(o), "labels");
	if (m == LABEL)
		set_label(o, LABEL_MANAGED_BY, MANAGED_BY);
}

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

static const char *real_name(struct scene *s, const char *role, enum subject_kind kind, const char *subject)
{
	const struct due_name n = {SLICE("ldap:corp"), kind, slice_of(subject), "ClusterRole", role, "team"};
	return due_name(&s->a, "devs", &n);
}

/* --- what is due no more --- */

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
	    TEST(test_any_mark_of_anothers_keeps_a_namespace_from_being_adopted),
	    TEST(test_a_hash_that_was_found_again_opens_nobodys_namespace),
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
