/* Proves the observed view: what lists and watches tell, who is told of it, and what own writes add. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "common/clock.h"
#include "rbac-sync/store.h"
#include "tests/support/sync_objects.h"

/* --- who was told --- */

struct heard {
	struct store *s;
	char text[4096]; /* "KIND:RECORD " for each */
};

static void hear(void *ctx, enum object_kind kind, const char *record)
{
	struct heard *h = ctx;
	/* Would hang here if the store still held its lock. */
	store_count(h->s, kind);
	size_t n = strlen(h->text);
	snprintf(h->text + n, sizeof(h->text) - n, "%d:%s ", kind, record ? record : "*");
}

static const char *said(struct heard *h, char out[4096])
{
	memcpy(out, h->text, sizeof(h->text));
	h->text[0] = '\0';
	return out;
}

#define assert_heard(h, want)                                                                      \
	do {                                                                                       \
		char heard_[4096];                                                                 \
		assert_string_equal(said(h, heard_), want);                                        \
	} while (0)

static int set_up(void **state)
{
	struct heard *h = calloc(1, sizeof(*h));
	h->s = store_new(hear, h);
	*state = h;
	return 0;
}

static int tear_down(void **state)
{
	struct heard *h = *state;
	store_free(&h->s);
	free(h);
	return 0;
}

static void put(struct heard *h, enum object_kind kind, json_t *o)
{
	store_put(h->s, kind, o);
	json_decref(o);
}

static json_t *binding(const char *name, const char *record, uint64_t version)
{
	json_t *o = new_object(KIND_ROLE_BINDING, "team", name, "uid-b", version);
	set_marks(o, record, "t", "alice");
	set_role(o, "ClusterRole", "edit");
	set_subject(o, "User", "alice");
	return o;
}

/* --- objects --- */

static void test_an_object_is_seen_with_its_marks(void **state)
{
	struct heard *h = *state;
	struct arena a = {0};
	struct observed o;
	const struct object_id id = {KIND_ROLE_BINDING, "team", "portcullis:t:x"};
	assert_false(store_object(h->s, &id, &a, &o));
	json_t *j = binding(id.name, "rec", 7);
	set_note(j, ANNOTATION_SPEC_HASH, "abc");
	set_label(j, LABEL_KEEP, "true");
	uint8_t digest[SHA256_LEN];
	object_digest(j, NULL, digest);
	put(h, KIND_ROLE_BINDING, j);
	assert_heard(h, "4:rec ");
	assert_true(store_object(h->s, &id, &a, &o));
	assert_true(object_id_eq(&o.id, &id));
	assert_string_equal(o.uid, "uid-b");
	assert_string_equal(o.resource_version, "7");
	assert_string_equal(o.record, "rec");
	assert_string_equal(o.managed_by, MANAGED_BY);
	assert_string_equal(o.user, "alice");
	assert_null(o.group);
	assert_string_equal(o.provider, "ldap:corp");
	assert_string_equal(o.spec_hash, "abc");
	assert_string_equal(o.role_kind, "ClusterRole");
	assert_string_equal(o.role, "edit");
	assert_true(o.keep);
	assert_false(o.terminating);
	assert_memory_equal(o.live, digest, SHA256_LEN);
	/* Same text, other place. */
	assert_false(store_object(h->s, &(struct object_id){KIND_ROLE_BINDING, NULL, "team/portcullis:t:x"}, &a, &o) &&
	    !o.id.namespace_);
	assert_false(store_object(h->s, &(struct object_id){KIND_RESOURCE_QUOTA, "team", id.name}, &a, &o));
	arena_done(&a);
}

static void test_an_answer_is_read_as_the_store_shows_it(void **state)
{
	struct heard *h = *state;
	struct arena a = {0};
	struct observed x, y;
	json_t *j = binding("b", "rec", 7);
	assert_true(observed_read(KIND_ROLE_BINDING, j, &a, &x));
	store_put(h->s, KIND_ROLE_BINDING, j);
	assert_true(store_object(h->s, &x.id, &a, &y));
	assert_memory_equal(x.live, y.live, SHA256_LEN);
	assert_string_equal(x.role, y.role);
	json_object_del(meta_of(j), "name");
	assert_false(observed_read(KIND_ROLE_BINDING, j, &a, &x));
	json_decref(j);
	arena_done(&a);
}

static void test_relabelled_objects_tell_both_records(void **state)
{
	struct heard *h = *state;
	put(h, KIND_ROLE_BINDING, binding("b", "old", 1));
	assert_heard(h, "4:old ");
	put(h, KIND_ROLE_BINDING, binding("b", "new", 2));
	assert_heard(h, "4:old 4:new ");
	put(h, KIND_ROLE_BINDING, binding("b", NULL, 3));
	assert_heard(h, "4:new ");
	put(h, KIND_ROLE_BINDING, binding("b", "new", 4));
	assert_heard(h, "4:new ");
	json_t *gone = binding("b", "new", 5);
	store_remove(h->s, KIND_ROLE_BINDING, gone);
	assert_heard(h, "4:new ");
	store_remove(h->s, KIND_ROLE_BINDING, gone);
	assert_heard(h, "");
	json_decref(gone);
}

static void test_only_what_matters_is_told(void **state)
{
	struct heard *h = *state;
	struct arena a = {0};
	struct observed o;
	put(h, KIND_ROLE_BINDING, binding("b", "rec", 1));
	assert_heard(h, "4:rec ");
	json_t *j = binding("b", "rec", 2);
	set_note(j, "kubectl.kubernetes.io/last-applied-configuration", "{}");
	set_label(j, "team", "blue");
	put(h, KIND_ROLE_BINDING, j);
	assert_heard(h, "");
	assert_true(store_object(h->s, &(struct object_id){KIND_ROLE_BINDING, "team", "b"}, &a, &o));
	assert_string_equal(o.resource_version, "2");
	j = binding("b", "rec", 3);
	set_subject(j, "User", "mallory");
	put(h, KIND_ROLE_BINDING, j);
	assert_heard(h, "4:rec ");
	j = binding("b", "rec", 4);
	set_subject(j, "User", "mallory");
	set_label(j, LABEL_KEEP, "true");
	put(h, KIND_ROLE_BINDING, j);
	assert_heard(h, "4:rec ");
	j = binding("b", "rec", 5);
	set_subject(j, "User", "mallory");
	set_label(j, LABEL_KEEP, "true");
	set_text(meta_of(j), "uid", "another");
	put(h, KIND_ROLE_BINDING, j);
	assert_heard(h, "4:rec ");
	arena_done(&a);
}

static void test_objects_without_a_name_are_none(void **state)
{
	struct heard *h = *state;
	put(h, KIND_ROLE_BINDING, json_object());
	put(h, KIND_ROLE_BINDING, json_pack("{s:{s:i}}", "metadata", "name", 1));
	put(h, KIND_ROLE_BINDING, json_pack("{s:{s:s}}", "metadata", "name", ""));
	put(h, KIND_USER_RECORD, json_pack("{s:s}", "metadata", "x"));
	assert_int_equal(store_count(h->s, KIND_ROLE_BINDING), 0);
	assert_int_equal(store_count(h->s, KIND_USER_RECORD), 0);
	assert_heard(h, "");
}

/* --- lists --- */

static void test_what_a_list_does_not_show_is_gone(void **state)
{
	struct heard *h = *state;
	assert_false(store_synced(h->s, 1U << KIND_ROLE_BINDING));
	for (int round = 0; round < 300; round++) { /* longer than the mark is wide */
		store_list_begin(h->s, KIND_ROLE_BINDING);
		put(h, KIND_ROLE_BINDING, binding("stays", "rec", 1));
		if (round == 0)
			put(h, KIND_ROLE_BINDING, binding("goes", "other", 1));
		store_list_end(h->s, KIND_ROLE_BINDING);
		assert_heard(h, round == 0 ? "4:rec 4:other " : round == 1 ? "4:other " : "");
		assert_int_equal(store_count(h->s, KIND_ROLE_BINDING), round == 0 ? 2 : 1);
	}
	assert_true(store_synced(h->s, 1U << KIND_ROLE_BINDING));
	assert_false(store_synced(h->s, 1U << KIND_ROLE_BINDING | 1U << KIND_NAMESPACE));
	assert_true(store_synced(h->s, 0));
	/* A watch's news during a list are not swept. */
	store_list_begin(h->s, KIND_ROLE_BINDING);
	put(h, KIND_ROLE_BINDING, binding("new", "rec", 9));
	store_list_end(h->s, KIND_ROLE_BINDING);
	assert_heard(h, "4:rec 4:rec ");
	assert_int_equal(store_count(h->s, KIND_ROLE_BINDING), 1);
}

/* --- own writes --- */

/* An apiserver that begins lists and ends none, for hours. */
static void test_many_lists_that_fail_hide_no_end(void **state)
{
	struct heard *h = *state;
	store_list_begin(h->s, KIND_ROLE_BINDING);
	put(h, KIND_ROLE_BINDING, binding("one", "k-a", 1));
	store_list_end(h->s, KIND_ROLE_BINDING);
	for (int i = 0; i < 256 * 256; i++)
		store_list_begin(h->s, KIND_ROLE_BINDING);
	store_list_end(h->s, KIND_ROLE_BINDING);
	assert_int_equal(store_count(h->s, KIND_ROLE_BINDING), 0);
}

static void test_the_watch_does_not_turn_back_what_we_learned(void **state)
{
	struct heard *h = *state;
	struct arena a = {0};
	struct observed o;
	const struct object_id id = {KIND_ROLE_BINDING, "team", "b"};
	json_t *ours = binding("b", "rec", 20), *late = binding("b", "late", 9);
	store_learn(h->s, KIND_ROLE_BINDING, ours);
	assert_heard(h, "");
	store_put(h->s, KIND_ROLE_BINDING, late);
	store_remove(h->s, KIND_ROLE_BINDING, late);
	assert_true(store_object(h->s, &id, &a, &o));
	assert_string_equal(o.resource_version, "20");
	/* A list that is late does not sweep it either. */
	store_list_begin(h->s, KIND_ROLE_BINDING);
	store_put(h->s, KIND_ROLE_BINDING, late);
	store_list_end(h->s, KIND_ROLE_BINDING);
	assert_true(store_object(h->s, &id, &a, &o));
	assert_string_equal(o.resource_version, "20");
	assert_heard(h, "");
	/* Nobody but the writer needs to hear the confirmation. */
	store_put(h->s, KIND_ROLE_BINDING, ours);
	assert_heard(h, "");
	/* From now on the watch is believed, whatever the version: etcd may have been restored. */
	store_put(h->s, KIND_ROLE_BINDING, late);
	assert_heard(h, "4:rec 4:late ");
	json_decref(ours);
	json_decref(late);
	arena_done(&a);
}

static void test_what_was_learned_counts_for_a_minute(void **state)
{
	struct heard *h = *state;
	json_t *ours = binding("b", "rec", 20), *late = binding("b", "late", 9), *older = binding("b", "x", 8);
	store_learn(h->s, KIND_ROLE_BINDING, ours);
	clock_advance(59 * CLOCK_SECOND);
	store_put(h->s, KIND_ROLE_BINDING, late);
	assert_heard(h, "");
	clock_advance(2 * CLOCK_SECOND);
	store_put(h->s, KIND_ROLE_BINDING, late);
	assert_heard(h, "4:rec 4:late ");
	/* What is older than the watch is nothing new. */
	store_learn(h->s, KIND_ROLE_BINDING, older);
	store_put(h->s, KIND_ROLE_BINDING, late);
	assert_heard(h, "");
	json_decref(ours);
	json_decref(late);
	json_decref(older);
}

/* --- records --- */

static void test_records_read_back_whole(void **state)
{
	struct heard *h = *state;
	struct arena a = {0};
	struct record r;
	char alice[27], bob[27], want[64];
	json_t *j = new_record("alice", "u1", 3, alice);
	set_note(j, "huge", "annotation");
	json_object_set_new(meta_of(j), "managedFields", json_pack("[{s:s}]", "manager", "x"));
	set_label(j, LABEL_KEEP, "true");
	put(h, KIND_USER_RECORD, j);
	snprintf(want, sizeof(want), "6:%s ", alice);
	assert_heard(h, want);
	put(h, KIND_USER_RECORD, new_record("bob", "u2", 4, bob));
	assert_true(store_record(h->s, alice, &a, &r));
	assert_true(slice_is(r.identity.username, "alice"));
	assert_int_equal(r.identity.ngroups, 2);
	assert_string_equal(r.uid, "u1");
	assert_string_equal(r.resource_version, "3");
	assert_true(r.keep_label);
	assert_false(store_record(h->s, "carol", &a, &r));
	const char **names;
	assert_int_equal(store_records(h->s, &a, &names), 2);
	assert_true(strcmp(names[0], names[1]) < 0);
	arena_done(&a);
}

static void test_a_record_that_is_none_is_not_read(void **state)
{
	struct heard *h = *state;
	struct arena a = {0};
	struct record r;
	char key[27];
	json_t *j = new_record("alice", "u1", 3, key);
	set_text(meta_of(j), "name", "another");
	put(h, KIND_USER_RECORD, j);
	assert_int_equal(store_count(h->s, KIND_USER_RECORD), 1);
	assert_false(store_record(h->s, "another", &a, &r));
	arena_done(&a);
}

static void test_a_record_is_told_for_each_version_and_once_more_when_confirmed(void **state)
{
	struct heard *h = *state;
	char key[27], once[64];
	json_t *j = new_record("alice", "u1", 3, key);
	snprintf(once, sizeof(once), "6:%s ", key);
	store_put(h->s, KIND_USER_RECORD, j);
	assert_heard(h, once);
	store_put(h->s, KIND_USER_RECORD, j);
	assert_heard(h, "");
	set_version(j, 4);
	store_learn(h->s, KIND_USER_RECORD, j);
	assert_heard(h, "");
	store_put(h->s, KIND_USER_RECORD, j);
	assert_heard(h, once);
	store_put(h->s, KIND_USER_RECORD, j);
	assert_heard(h, "");
	store_remove(h->s, KIND_USER_RECORD, j);
	assert_heard(h, once);
	json_decref(j);
}

/* --- namespaces --- */

static json_t *namespace_(const char *name, const char *team, uint64_t version)
{
	json_t *o = new_object(KIND_NAMESPACE, NULL, name, name, version);
	set_label(o, "a", "1");
	if (team)
		set_label(o, "team", team);
	json_object_set_new(o, "status", json_pack("{s:s}", "phase", "Active"));
	return o;
}

static void test_namespaces_are_told_when_labels_or_life_change(void **state)
{
	struct heard *h = *state;
	put(h, KIND_NAMESPACE, namespace_("n", "eng", 1));
	assert_heard(h, "0:* ");
	json_t *j = namespace_("n", "eng", 2);
	set_note(j, "note", "x");
	put(h, KIND_NAMESPACE, j);
	assert_heard(h, "");
	put(h, KIND_NAMESPACE, namespace_("n", "ops", 3));
	assert_heard(h, "0:* ");
	j = namespace_("n", "ops", 4);
	json_object_set_new(j, "status", json_pack("{s:s}", "phase", "Terminating"));
	put(h, KIND_NAMESPACE, j);
	assert_heard(h, "0:* ");
	j = namespace_("n", "ops", 5);
	store_remove(h->s, KIND_NAMESPACE, j);
	json_decref(j);
	assert_heard(h, "0:* ");
	/* One of ours concerns its record too. */
	j = namespace_("u", "ops", 6);
	set_marks(j, "rec", "t", "alice");
	put(h, KIND_NAMESPACE, j);
	assert_heard(h, "0:rec 0:* ");
	j = namespace_("u", "ops", 7);
	set_marks(j, "rec", "t", "bob");
	put(h, KIND_NAMESPACE, j);
	assert_heard(h, "0:rec ");
	/* A label that is not ours may be its template's. */
	j = namespace_("u", "eng", 8);
	set_marks(j, "rec", "t", "bob");
	put(h, KIND_NAMESPACE, j);
	assert_heard(h, "0:rec 0:* ");
}

static void test_a_namespaces_labels_can_be_asked_for(void **state)
{
	struct heard *h = *state;
	struct arena a = {0};
	struct observed o;
	put(h, KIND_NAMESPACE, namespace_("n", "eng", 1));
	put(h, KIND_NAMESPACE, new_object(KIND_NAMESPACE, NULL, "bare", "u", 2));
	assert_true(store_object(h->s, &(struct object_id){KIND_NAMESPACE, NULL, "n"}, &a, &o));
	assert_string_equal(observed_label(&o, "team"), "eng");
	assert_string_equal(observed_label(&o, "a"), "1");
	assert_null(observed_label(&o, "eng"));
	assert_true(store_object(h->s, &(struct object_id){KIND_NAMESPACE, NULL, "bare"}, &a, &o));
	assert_null(observed_label(&o, "team"));
	assert_null(o.uid[0] ? NULL : o.uid);
	arena_done(&a);
}

static size_t fitting(struct store *s, const char *selector, struct arena *a, const char ***out)
{
	struct selector *sel;
	struct err e;
	if (selector_parse(slice_of(selector), a, &sel, &e) != ERR_OK)
		fail_msg("%s: %s", selector, e.msg);
	return store_namespaces(s, sel, a, out);
}

static void test_selectors_find_namespaces_that_live(void **state)
{
	struct heard *h = *state;
	struct arena a = {0};
	const char **names;
	put(h, KIND_NAMESPACE, namespace_("z", "eng", 1));
	put(h, KIND_NAMESPACE, namespace_("b", "eng", 2));
	put(h, KIND_NAMESPACE, namespace_("c", "ops", 3));
	put(h, KIND_NAMESPACE, namespace_("d", NULL, 4));
	json_t *j = namespace_("dying", "eng", 5);
	set_text(meta_of(j), "deletionTimestamp", "2026-11-23T10:00:00Z");
	put(h, KIND_NAMESPACE, j);
	assert_int_equal(fitting(h->s, "team=eng", &a, &names), 2);
	assert_string_equal(names[0], "b");
	assert_string_equal(names[1], "z");
	assert_int_equal(fitting(h->s, "team!=eng", &a, &names), 2);
	assert_string_equal(names[0], "c");
	assert_int_equal(fitting(h->s, "team=none", &a, &names), 0);
	/* Asked again after a change. */
	put(h, KIND_NAMESPACE, namespace_("c", "eng", 6));
	put(h, KIND_NAMESPACE, namespace_("z", "ops", 7));
	assert_int_equal(fitting(h->s, "team=eng", &a, &names), 2);
	assert_string_equal(names[0], "b");
	assert_string_equal(names[1], "c");
	arena_done(&a);
}

/* Random namespaces and selectors: what is kept answers as what is looked through. */
static void test_answers_to_selectors_are_kept_as_namespaces_change(void **state)
{
	struct heard *h = *state;
	static const char *const teams[] = {"eng", "ops", "qa", NULL};
	unsigned seed = 3;
	for (unsigned i = 0; i < 4000; i++) {
		char name[16], text[48];
		struct arena a = {0};
		const char **names;
		size_t n = 0;
		snprintf(name, sizeof(name), "n%d", rand_r(&seed) % 40);
		json_t *o = namespace_(name, teams[rand_r(&seed) % 4], i + 1);
		switch (rand_r(&seed) % 6) {
		case 0:
			store_remove(h->s, KIND_NAMESPACE, o);
			break;
		case 1:
			set_text(meta_of(o), "deletionTimestamp", "2026-11-23T10:00:00Z");
			store_learn(h->s, KIND_NAMESPACE, o);
			break;
		case 2:
			store_list_begin(h->s, KIND_NAMESPACE);
			store_put(h->s, KIND_NAMESPACE, o);
			if (rand_r(&seed) % 8 == 0)
				store_list_end(h->s, KIND_NAMESPACE);
			break;
		default:
			store_put(h->s, KIND_NAMESPACE, o);
		}
		json_decref(o);
		/* More selectors than are kept, some of them always asked. */
		snprintf(text, sizeof(text), rand_r(&seed) % 2 ? "team=eng" : "team!=eng,a!=x%d", rand_r(&seed) % 20000);
		bool eng = strcmp(text, "team=eng") == 0;
		size_t got = fitting(h->s, text, &a, &names);
		for (int k = 0; k < 40; k++) {
			struct observed ob;
			snprintf(name, sizeof(name), "n%d", k);
			if (!store_object(h->s, &(struct object_id){KIND_NAMESPACE, NULL, name}, &a, &ob) ||
			    ob.terminating || text_eq(observed_label(&ob, "team"), "eng") != eng)
				continue;
			bool found = false;
			for (size_t m = 0; m < got; m++)
				found |= strcmp(names[m], name) == 0;
			assert_true(found);
			n++;
		}
		assert_int_equal(got, n);
		for (size_t m = 1; m < got; m++)
			assert_true(strcmp(names[m - 1], names[m]) < 0);
		arena_done(&a);
		h->text[0] = '\0';
	}
}

static void test_managed_objects_are_counted(void **state)
{
	struct heard *h = *state;
	put(h, KIND_NAMESPACE, namespace_("foreign", NULL, 1));
	assert_int_equal(store_managed_count(h->s), 0);
	json_t *j = namespace_("ours", NULL, 1);
	set_marks(j, "rec", "t", "alice");
	put(h, KIND_NAMESPACE, j);
	for (int i = 99; i >= 0; i--) {
		char name[16];
		snprintf(name, sizeof(name), "b%02d", i);
		put(h, KIND_ROLE_BINDING, binding(name, "rec", 1));
	}
	assert_int_equal(store_managed_count(h->s), 101);
	assert_int_equal(store_managed_of(h->s, KIND_NAMESPACE), 1);
	assert_int_equal(store_managed_of(h->s, KIND_ROLE_BINDING), 100);
	/* One that loses the label is no longer managed. */
	j = binding("b00", "rec", 2);
	set_label(j, LABEL_MANAGED_BY, "helm");
	put(h, KIND_ROLE_BINDING, j);
	assert_int_equal(store_managed_count(h->s), 100);
	store_list_begin(h->s, KIND_ROLE_BINDING);
	store_list_end(h->s, KIND_ROLE_BINDING);
	assert_int_equal(store_managed_count(h->s), 1);
}

/* --- threads --- */

#define ROUNDS 3000

static void count_call(void *ctx, enum object_kind kind, const char *record)
{
	(void)kind;
	(void)record;
	__atomic_fetch_add((size_t *)ctx, 1, __ATOMIC_RELAXED);
}

static void *watch_bindings(void *arg)
{
	struct store *s = arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		char name[8];
		snprintf(name, sizeof(name), "b%u", i % 17);
		json_t *o = binding(name, i % 2 ? "r1" : "r2", i + 1);
		if (i % 101 == 0)
			store_list_begin(s, KIND_ROLE_BINDING);
		if (i % 5 == 4)
			store_remove(s, KIND_ROLE_BINDING, o);
		else
			store_put(s, KIND_ROLE_BINDING, o);
		if (i % 101 == 50)
			store_list_end(s, KIND_ROLE_BINDING);
		json_decref(o);
	}
	return NULL;
}

static void *watch_records(void *arg)
{
	char key[27];
	for (unsigned i = 0; i < ROUNDS; i++) {
		json_t *o = new_record(i % 2 ? "alice" : "bob", "u", i + 1, key);
		store_put(arg, KIND_USER_RECORD, o);
		json_decref(o);
	}
	return NULL;
}

static void *reconcile(void *arg)
{
	struct store *s = arg;
	char key[27];
	json_decref(new_record("alice", "u", 1, key));
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct arena a = {0};
		struct record r;
		struct observed o;
		const char **names;
		store_record(s, key, &a, &r);
		if (store_object(s, &(struct object_id){KIND_ROLE_BINDING, "team", "b3"}, &a, &o))
			assert_string_equal(o.user, "alice");
		json_t *mine = binding("b3", "r3", i + 1);
		store_learn(s, KIND_ROLE_BINDING, mine);
		json_decref(mine);
		if (i % 64 == 0)
			store_records(s, &a, &names);
		store_synced(s, ~0U);
		arena_done(&a);
	}
	return NULL;
}

static void test_watches_and_reconcilers_share_it(void **state)
{
	(void)state;
	size_t calls = 0;
	struct store *s = store_new(count_call, &calls);
	void *(*const jobs[])(void *) = {watch_bindings, watch_records, reconcile, reconcile};
	pthread_t threads[ARRAY_LEN(jobs)];
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		pthread_create(&threads[i], NULL, jobs[i], s);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		pthread_join(threads[i], NULL);
	assert_true(calls > ROUNDS);
	assert_int_equal(store_count(s, KIND_USER_RECORD), 2);
	store_free(&s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_an_object_is_seen_with_its_marks),
	    TEST(test_an_answer_is_read_as_the_store_shows_it),
	    TEST(test_relabelled_objects_tell_both_records),
	    TEST(test_only_what_matters_is_told),
	    TEST(test_objects_without_a_name_are_none),
	    TEST(test_what_a_list_does_not_show_is_gone),
	    TEST(test_many_lists_that_fail_hide_no_end),
	    TEST(test_the_watch_does_not_turn_back_what_we_learned),
	    TEST(test_what_was_learned_counts_for_a_minute),
	    TEST(test_records_read_back_whole),
	    TEST(test_a_record_that_is_none_is_not_read),
	    TEST(test_a_record_is_told_for_each_version_and_once_more_when_confirmed),
	    TEST(test_namespaces_are_told_when_labels_or_life_change),
	    TEST(test_a_namespaces_labels_can_be_asked_for),
	    TEST(test_selectors_find_namespaces_that_live),
	    TEST(test_answers_to_selectors_are_kept_as_namespaces_change),
	    TEST(test_managed_objects_are_counted),
	    cmocka_unit_test(test_watches_and_reconcilers_share_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
