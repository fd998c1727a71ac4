/* One record, what it is due, the cluster around it, and what is to be done as a line of text. */
#ifndef TESTS_SUPPORT_ACTIONS_FIXTURE_H
#define TESTS_SUPPORT_ACTIONS_FIXTURE_H

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

static inline enum object_kind kind_of(const json_t *o)
{
	return object_kind_of(jsonx_text(json_object_get(o, "apiVersion")), jsonx_text(json_object_get(o, "kind")));
}

static inline json_t *at(struct scene *s, const struct object_id *id)
{
	struct observed o;
	for (size_t i = 0; i < s->ncluster; i++) {
		if (observed_read(kind_of(s->cluster[i]), s->cluster[i], &s->a, &o) && object_id_eq(&o.id, id))
			return s->cluster[i];
	}
	return NULL;
}

/* As the watches: all namespaces, of others those that bear the label. */
static inline bool see(void *ctx, const struct object_id *id, struct arena *a, struct observed *out)
{
	json_t *o = at(ctx, id);
	return o && observed_read(id->kind, o, a, out) &&
	    (id->kind == KIND_NAMESPACE || text_eq(out->managed_by, MANAGED_BY));
}

static inline enum elsewhere elsewhere(void *ctx, const struct object_id *id, const char *record)
{
	const struct scene *s = ctx;
	(void)id;
	assert_string_equal(record, s->r.name);
	return s->elsewhere;
}

static inline bool prunes(void *ctx, const char *template_)
{
	assert_non_null(template_);
	return ((const struct scene *)ctx)->prunes;
}

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
	struct scene *s = *state;
	for (size_t i = 0; i < s->ncluster; i++)
		json_decref(s->cluster[i]);
	arena_done(&s->a);
	free(s);
	return 0;
}

/* --- building --- */

static inline json_t *put(struct scene *s, json_t *o)
{
	s->cluster[s->ncluster++] = o;
	return o;
}

static inline json_t *put_namespace(struct scene *s, const char *name)
{
	return put(s, new_object(KIND_NAMESPACE, NULL, name, arena_printf(&s->a, "uid-%s", name), 1));
}

static inline struct desired *add_due(struct scene *s, enum object_kind kind, const char *namespace_, const char *name)
{
	struct desired *d = &s->due[s->want.len++];
	*d = (struct desired){.id = {kind, namespace_, name}, .template_ = "devs", .owner = "rec-alice", .prune = true};
	d->body = new_object(kind, namespace_, name, NULL, 0);
	json_object_del(meta_of(d->body), "resourceVersion");
	set_marks(d->body, d->owner, d->template_, "alice");
	jsonx_on_done(&s->a, d->body);
	return d;
}

static inline void set_hash(struct desired *d, const char *hash)
{
	snprintf(d->hash, sizeof(d->hash), "%s", hash);
	set_note(d->body, ANNOTATION_SPEC_HASH, hash);
}

static inline struct desired *due_binding(struct scene *s, const char *name, const char *role)
{
	struct desired *d = add_due(s, KIND_ROLE_BINDING, "team", name);
	set_role(d->body, "ClusterRole", role);
	set_subject(d->body, "User", "alice");
	set_hash(d, role);
	return d;
}

static inline struct desired *due_namespace(struct scene *s, const char *name)
{
	struct desired *d = add_due(s, KIND_NAMESPACE, NULL, name);
	set_hash(d, "ns");
	return d;
}

/* Puts D into the cluster as the apiserver would, and its entry into the inventory. */
static inline json_t *made(struct scene *s, const struct desired *d)
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
static inline json_t *made_before(struct scene *s, const char *name, const char *role)
{
	json_t *o = made(s, due_binding(s, name, role));
	s->want.len--;
	return o;
}

enum marks { NONE, LABEL, NOTES, BOTH, OTHER_USER, OTHER_PROVIDER, ALSO_GROUP, GROUP_INSTEAD };

static inline void set_these(json_t *o, enum marks m)
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

/* --- asking --- */

static inline void make(struct scene *s)
{
	s->n = actions_make(&s->a, &s->r, &s->want, &s->life, &s->view, &s->actions);
}

static inline const char *line(struct scene *s, const struct action *x)
{
	const struct object_id *id = x->want ? &x->want->id : &x->had->id;
	bool removal = x->kind == ACTION_DELETE;
	return arena_printf(&s->a, "%s%s%s %s%s", action_name(x->kind), removal ? ":" : "",
	    removal ? removal_name(x->removal) : x->drift ? "!" : "", id->name, x->live ? "" : " unseen");
}

static inline void check(struct scene *s, const char *want, const char *file, int at_line)
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
static inline const char *settle(struct scene *s, const json_t *live)
{
	struct observed *o = ARENA_NEW(&s->a, struct observed);
	struct action x = s->actions[0];
	assert_null(x.live);
	if (live)
		assert_true(observed_read(kind_of(live), live, &s->a, o));
	action_settle(&x, &s->a, &s->r, &s->life, &s->view, live ? o : NULL);
	return line(s, &x);
}

#endif
