/* Proves the actions over time, in a small cluster where users, templates, tenants, crashes and late watches do as they
 * like: what is ours ends up as it is due, what is others' is never written or deleted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/jsonx.h"
#include "rbac-sync/actions.h"
#include "tests/support/sync_objects.h"

#define USERS 4
#define GROUPS 2
#define OBJECTS 256
#define INVENTORY 32
#define WORLDS 150
#define STEPS 80
#define PROVIDER "ldap:corp"

static const char *const users[USERS] = {"alice", "alice2", "test", "test2"};
static const char *const groups[GROUPS] = {"devs", "dev"};
static const char *const roles[] = {"view", "edit", "admin"};
static const char *const teams[] = {"team-a", "team-b"};

struct thing {
	json_t *o;
	enum object_kind kind;
	bool sacred;	 /* a tenant's: never to be touched */
	bool ours;	 /* we made it */
	bool unrecorded; /* in no inventory, by a crash: an orphan that only people may remove */
};

struct entry {
	struct record_binding b;
	char uid[24], hash[17], live[2 * SHA256_LEN + 1], name[80], ns[24], template_[8];
};

struct user {
	char key[SPOOL_KEY_LEN + 1];
	bool in[GROUPS];
	enum life_state life;
	struct entry had[INVENTORY];
	size_t nhad;
	/* What the index knows of it since the worker started. */
	bool known;
	char due[INVENTORY][120];
	size_t ndue;
};

struct world {
	uint64_t seed;
	struct thing things[OBJECTS];
	size_t n;
	struct thing seen[OBJECTS]; /* as the watches told last */
	size_t nseen;
	uint64_t version;
	struct user users[USERS];
	/* the templates */
	bool sandbox, quota, in_team[2];
	int role[3];
	bool steady; /* no failures from now on */
	size_t writes, refused;
};

static unsigned pick(struct world *w, unsigned n)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (unsigned)((w->seed >> 11) % n);
}

static bool chance(struct world *w, unsigned percent)
{
	return pick(w, 100) < percent;
}

/* --- the cluster --- */

static const char *meta_text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(json_object_get(o, "metadata"), key));
}

static struct thing *find(struct world *w, const struct object_id *id)
{
	for (size_t i = 0; i < w->n; i++) {
		struct thing *t = &w->things[i];
		if (t->kind == id->kind && text_eq(meta_text(t->o, "namespace"), id->namespace_) &&
		    text_eq(meta_text(t->o, "name"), id->name))
			return t;
	}
	return NULL;
}

static bool same_member(const json_t *a, const json_t *b, const char *key)
{
	const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
	return x && y ? json_equal(x, y) : x == y;
}

static void touch(struct world *w, struct thing *t)
{
	set_version(t->o, ++w->version);
}

static struct thing *create(struct world *w, enum object_kind kind, json_t *o)
{
	char uid[24];
	struct thing *t = &w->things[w->n++];
	assert_true(w->n < OBJECTS);
	*t = (struct thing){.o = o, .kind = kind};
	touch(w, t);
	snprintf(uid, sizeof(uid), "uid-%llu", (unsigned long long)w->version);
	set_text(meta_of(o), "uid", uid);
	return t;
}

static void drop(struct world *w, struct thing *t)
{
	json_decref(t->o);
	*t = w->things[--w->n];
}

/* A namespace goes with all that is in it. */
static void destroy(struct world *w, struct thing *t)
{
	char name[80] = "";
	if (t->kind == KIND_NAMESPACE)
		snprintf(name, sizeof(name), "%s", meta_text(t->o, "name"));
	drop(w, t);
	for (size_t i = w->n; name[0] && i-- > 0;) {
		if (text_eq(meta_text(w->things[i].o, "namespace"), name))
			drop(w, &w->things[i]);
	}
}

static void forget_seen(struct world *w)
{
	while (w->nseen)
		json_decref(w->seen[--w->nseen].o);
}

static void watch(struct world *w)
{
	forget_seen(w);
	for (; w->nseen < w->n; w->nseen++) {
		w->seen[w->nseen] = w->things[w->nseen];
		w->seen[w->nseen].o = json_deep_copy(w->things[w->nseen].o);
	}
}

/* --- what is due --- */

struct plan {
	struct arena a;
	struct desired objects[INVENTORY];
	struct due due;
};

static struct desired *add(struct plan *p, enum object_kind kind, const char *ns, const char *name,
    const char *template_, const char *owner, const char *user, const char *group)
{
	struct desired *d = &p->objects[p->due.len++];
	assert_true(p->due.len < INVENTORY);
	*d = (struct desired){
	    .id = {kind, ns, name}, .template_ = template_, .owner = owner, .shared = group, .prune = true};
	d->body = new_object(kind, ns, name, NULL, 0);
	json_object_del(meta_of(d->body), "resourceVersion");
	set_marks(d->body, owner, template_, user);
	if (group)
		set_note(d->body, ANNOTATION_GROUP, group);
	jsonx_on_done(&p->a, d->body);
	return d;
}

static void finish(struct desired *d)
{
	uint8_t digest[SHA256_LEN];
	object_digest(d->body, NULL, digest);
	hex_encode(digest, 8, d->hash);
	set_note(d->body, ANNOTATION_SPEC_HASH, d->hash);
}

static void bind(struct plan *p, const char *ns, const char *template_, const char *owner, const char *kind,
    const char *subject, const char *role)
{
	bool group = strcmp(kind, "Group") == 0;
	const struct due_name name = {SLICE(PROVIDER), group ? SUBJECT_GROUP : SUBJECT_USER, slice_of(subject),
	    "ClusterRole", role, ns};
	struct desired *d = add(p, ns ? KIND_ROLE_BINDING : KIND_CLUSTER_ROLE_BINDING, ns,
	    due_name(&p->a, template_, &name), template_, owner, group ? NULL : subject, group ? subject : NULL);
	set_role(d->body, "ClusterRole", role);
	set_subject(d->body, kind, subject);
	finish(d);
}

static int by_id(const void *a, const void *b)
{
	return object_id_cmp(&((const struct desired *)a)->id, &((const struct desired *)b)->id);
}

static void plan(const struct world *w, size_t u, struct plan *p)
{
	const char *user = users[u], *key = w->users[u].key;
	*p = (struct plan){.due = {.next = INT64_MAX}};
	p->due.objects = p->objects;
	const char *own = arena_printf(&p->a, "u-%s", user);
	if (w->sandbox) {
		finish(add(p, KIND_NAMESPACE, NULL, own, "t0", key, user, NULL));
		bind(p, own, "t0", key, "User", user, roles[w->role[0]]);
	}
	if (w->sandbox && w->quota) {
		struct desired *q = add(p, KIND_RESOURCE_QUOTA, own, "default", "t0", key, user, NULL);
		json_object_set_new(q->body, "spec", json_pack("{s:i}", "pods", 3));
		finish(q);
	}
	for (size_t g = 0; g < GROUPS; g++) {
		for (size_t t = 0; w->users[u].in[g] && t < ARRAY_LEN(teams); t++) {
			if (w->in_team[t])
				bind(p, teams[t], "t1", arena_printf(&p->a, "key-%s", groups[g]), "Group",
				    groups[g], roles[w->role[1]]);
		}
	}
	if (w->users[u].in[0])
		bind(p, NULL, "t2", key, "User", user, roles[w->role[2]]);
	qsort(p->objects, p->due.len, sizeof(*p->objects), by_id);
}

static bool counts(const struct world *w, size_t u, const struct desired *d)
{
	switch (w->users[u].life) {
	case LIFE_ACTIVE:
	case LIFE_STALE:
		return true;
	case LIFE_DISABLED:
	case LIFE_SUSPENDED:
		return d->id.kind < KIND_ROLE_BINDING;
	case LIFE_DELETED:
		break;
	}
	return false;
}

static bool is_due(const struct world *w, size_t u, const struct object_id *id)
{
	struct plan p;
	bool due = false;
	plan(w, u, &p);
	for (size_t i = 0; i < p.due.len; i++)
		due |= object_id_eq(&p.objects[i].id, id) && counts(w, u, &p.objects[i]);
	arena_done(&p.a);
	return due;
}

/* --- what the worker knows --- */

static bool see(void *ctx, const struct object_id *id, struct arena *a, struct observed *out)
{
	const struct world *w = ctx;
	for (size_t i = 0; i < w->nseen; i++) {
		struct observed o;
		if (w->seen[i].kind != id->kind || !observed_read(id->kind, w->seen[i].o, a, &o) ||
		    !object_id_eq(&o.id, id))
			continue;
		*out = o;
		return id->kind == KIND_NAMESPACE || text_eq(o.managed_by, MANAGED_BY);
	}
	return false;
}

static enum elsewhere elsewhere(void *ctx, const struct object_id *id, const char *record)
{
	const struct world *w = ctx;
	struct arena a = {0};
	const char *text = object_id_text(&a, id);
	enum elsewhere answer = ELSEWHERE_NOT;
	for (size_t u = 0; u < USERS; u++) {
		const struct user *r = &w->users[u];
		if (!r->known)
			answer = answer == ELSEWHERE_DUE ? answer : ELSEWHERE_UNKNOWN;
		for (size_t i = 0; strcmp(r->key, record) != 0 && i < r->ndue; i++) {
			if (strcmp(r->due[i], text) == 0)
				answer = ELSEWHERE_DUE;
		}
	}
	arena_done(&a);
	return answer;
}

static void index_due(struct world *w, size_t u, const struct plan *p)
{
	struct user *r = &w->users[u];
	struct arena a = {0};
	r->known = true;
	r->ndue = 0;
	for (size_t i = 0; i < p->due.len; i++) {
		if (counts(w, u, &p->objects[i]))
			snprintf(r->due[r->ndue++], sizeof(*r->due), "%s", object_id_text(&a, &p->objects[i].id));
	}
	arena_done(&a);
}

/* --- one pass over one user --- */

struct pass {
	struct world *w;
	size_t u;
	struct arena *a;
	struct entry after[INVENTORY];
	size_t nafter;
	const struct desired *failed[INVENTORY];
	size_t nfailed;
};

static void take_over(struct entry *e, const struct object_id *id, const char *template_)
{
	snprintf(e->name, sizeof(e->name), "%s", id->name);
	snprintf(e->ns, sizeof(e->ns), "%s", id->namespace_ ? id->namespace_ : "");
	snprintf(e->template_, sizeof(e->template_), "%s", template_);
	e->b.id.kind = id->kind;
}

static void point(struct entry *e)
{
	e->b = (struct record_binding){{e->b.id.kind, e->ns[0] ? e->ns : NULL, e->name}, e->uid, e->template_,
	    e->hash, e->live, 0, NULL};
}

static void keep_entry(struct pass *p, const struct record_binding *had)
{
	struct entry *e = &p->after[p->nafter++];
	take_over(e, &had->id, had->template_);
	snprintf(e->uid, sizeof(e->uid), "%s", had->uid);
	snprintf(e->hash, sizeof(e->hash), "%s", had->hash);
	snprintf(e->live, sizeof(e->live), "%s", had->live);
}

static void record_live(struct pass *p, const struct desired *want, const struct observed *o, struct thing *t)
{
	struct entry *e = &p->after[p->nafter++];
	take_over(e, &want->id, want->template_);
	snprintf(e->uid, sizeof(e->uid), "%s", o->uid);
	snprintf(e->hash, sizeof(e->hash), "%s", want->hash);
	hex_encode(o->live, SHA256_LEN, e->live);
	/* The view may be late: what is recorded is what was seen. */
	if (!t || !text_eq(meta_text(t->o, "uid"), o->uid))
		return;
	assert_false(t->sacred);
	t->ours = true; /* also what somebody put there just as we would */
	t->unrecorded = false;
}

/* Server-side apply, forced; false when the apiserver refuses. */
static bool apply(struct world *w, const struct desired *d, struct thing **out)
{
	struct thing *t = find(w, &d->id);
	const json_t *meta = json_object_get(d->body, "metadata");
	w->writes++;
	if (d->id.namespace_ && !find(w, &(struct object_id){KIND_NAMESPACE, NULL, d->id.namespace_}))
		return false;
	if (!t) {
		t = create(w, d->id.kind, json_deep_copy(d->body));
	} else {
		assert_false(t->sacred);
		if (!same_member(t->o, d->body, "roleRef"))
			return false;
		json_object_update(meta_map(t->o, "labels"), json_object_get(meta, "labels"));
		json_object_update(meta_map(t->o, "annotations"), json_object_get(meta, "annotations"));
		if (json_object_get(d->body, "subjects"))
			json_object_set(t->o, "subjects", json_object_get(d->body, "subjects"));
		if (json_object_get(d->body, "spec"))
			json_object_set_new(t->o, "spec", json_deep_copy(json_object_get(d->body, "spec")));
		touch(w, t);
	}
	if (d->id.kind == KIND_RESOURCE_QUOTA)
		json_object_set_new(json_object_get(t->o, "spec"), "defaulted", json_true());
	t->ours = true;
	*out = t;
	return true;
}

static void do_apply(struct pass *p, struct action *x)
{
	struct thing *t;
	if ((!p->w->steady && chance(p->w, 10)) || !apply(p->w, x->want, &t)) {
		p->failed[p->nfailed++] = x->want;
		if (x->had)
			keep_entry(p, x->had);
		return;
	}
	struct observed o;
	assert_true(observed_read(t->kind, t->o, p->a, &o));
	record_live(p, x->want, &o, t);
}

static bool has_failed(const struct pass *p, const struct desired *d)
{
	for (size_t i = 0; i < p->nfailed; i++) {
		if (p->failed[i] == d)
			return true;
	}
	return false;
}

static void do_delete(struct pass *p, struct action *x)
{
	struct thing *t = find(p->w, &x->had->id);
	bool conflict = t && (!text_eq(meta_text(t->o, "uid"), x->live->uid) ||
				 !text_eq(meta_text(t->o, "resourceVersion"), x->live->resource_version));
	if (conflict || (x->successor && has_failed(p, x->successor))) {
		keep_entry(p, x->had);
		return;
	}
	if (!t)
		return;
	assert_false(t->sacred);
	assert_true(t->ours);
	/* Nobody who has been looked at since the templates changed needs it. */
	for (size_t u = 0; u < USERS; u++) {
		if (u != p->u && is_due(p->w, u, &x->had->id)) {
			struct arena a = {0};
			for (size_t i = 0; i < p->w->users[u].ndue; i++)
				assert_string_not_equal(
				    p->w->users[u].due[i], object_id_text(&a, &x->had->id));
			arena_done(&a);
		}
	}
	p->w->writes++;
	destroy(p->w, t);
}

static void step(struct pass *p, struct action *x, const struct record *r, const struct life *life,
    const struct actions_view *view)
{
	if ((x->kind == ACTION_APPLY || x->kind == ACTION_DELETE) && !x->live) {
		struct thing *t = find(p->w, x->want ? &x->want->id : &x->had->id);
		struct observed *o = ARENA_NEW(p->a, struct observed);
		action_settle(x, p->a, r, life, view, t && observed_read(t->kind, t->o, p->a, o) ? o : NULL);
	}
	struct thing *t = x->want ? find(p->w, &x->want->id) : find(p->w, &x->had->id);
	switch (x->kind) {
	case ACTION_APPLY:
		do_apply(p, x);
		return;
	case ACTION_KEEP:
		if (x->want)
			record_live(p, x->want, x->live, t);
		else if (x->had)
			keep_entry(p, x->had);
		return;
	case ACTION_DELETE:
		do_delete(p, x);
		return;
	case ACTION_WAIT:
	case ACTION_DRIFT:
		if (x->had)
			keep_entry(p, x->had);
		return;
	case ACTION_RELEASE:
		/* Whoever is due it may not have it in an inventory yet, and crash before. */
		if (t && t->ours)
			t->unrecorded = true;
		return;
	case ACTION_REFUSE:
		p->w->refused++;
		return;
	}
}

/* A grant for the subject and in the place of D, by the same template, stands. */
static bool stands(struct world *w, const struct desired *d)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct thing *t = &w->things[i];
		const char *name = meta_text(t->o, "name");
		if (t->kind == d->id.kind && t->ours && text_eq(meta_text(t->o, "namespace"), d->id.namespace_) &&
		    strncmp(name, d->id.name, strlen("portcullis:t0:")) == 0 &&
		    same_member(t->o, d->body, "subjects"))
			return true;
	}
	return false;
}

static bool is_outdated(struct world *w, const struct action *x)
{
	const struct thing *t = x->want ? find(w, &x->want->id) : NULL;
	return x->kind == ACTION_KEEP && x->want &&
	    (!t || !text_eq(meta_text(t->o, "resourceVersion"), x->live->resource_version));
}

/* True when it did nothing but keep. */
static bool reconcile(struct world *w, size_t u)
{
	struct user *me = &w->users[u];
	struct plan due;
	struct arena a = {0};
	struct record_binding had[INVENTORY];
	struct pass p = {.w = w, .u = u, .a = &a};
	const struct record r = {.name = me->key, .bindings = had, .nbindings = me->nhad};
	const struct life life = {.state = me->life};
	const struct actions_view view = {w, 0, see, elsewhere, NULL};
	struct action *actions;
	bool stood[INVENTORY], quiet = true;
	for (size_t i = 0; i < me->nhad; i++) {
		point(&me->had[i]);
		had[i] = me->had[i].b;
	}
	plan(w, u, &due);
	index_due(w, u, &due);
	for (size_t i = 0; i < due.due.len; i++)
		stood[i] = due.objects[i].id.kind >= KIND_ROLE_BINDING && counts(w, u, &due.objects[i]) &&
		    stands(w, &due.objects[i]);
	size_t n = actions_make(&a, &r, &due.due, &life, &view, &actions);
	size_t crash = w->steady || !chance(w, 8) ? n : pick(w, (unsigned)n + 1);
	for (size_t i = 0; i < n && i < crash; i++) {
		quiet &= actions[i].kind == ACTION_KEEP;
		size_t refused = w->refused;
		step(&p, &actions[i], &r, &life, &view);
		/* A changed role leaves no moment without a grant, unless somebody squats its place, or changed the new
		 * one and the watch does not say so yet. */
		bool lost = w->refused > refused || is_outdated(w, &actions[i]);
		for (size_t k = 0; k < due.due.len; k++)
			stood[k] &= !(lost && actions[i].want == &due.objects[k]);
		for (size_t k = 0; k < due.due.len; k++)
			assert_true(!stood[k] || stands(w, &due.objects[k]));
	}
	if (crash == n) {
		memcpy(me->had, p.after, sizeof(p.after));
		me->nhad = p.nafter;
	} else {
		/* What was made is in no inventory unless the next pass finds it. */
		for (size_t i = 0; i < p.nafter; i++) {
			point(&p.after[i]);
			struct thing *t = find(w, &p.after[i].b.id);
			for (size_t k = 0; t && k < me->nhad; k++)
				t = text_eq(me->had[k].uid, p.after[i].uid) ? NULL : t;
			if (t)
				t->unrecorded = true;
		}
	}
	arena_done(&due.a);
	arena_done(&a);
	return quiet && crash == n;
}

/* --- what others do --- */

static json_t *spoof(struct world *w, const struct desired *d, const char *user)
{
	json_t *o = d ? json_deep_copy(d->body)
		      : new_object(KIND_ROLE_BINDING, teams[pick(w, 2)], "portcullis:t1:spoofspoof", "u", 1);
	if (!d) {
		set_marks(o, w->users[pick(w, USERS)].key, "t1", user);
		set_role(o, "ClusterRole", "admin");
		set_subject(o, "User", "mallory");
	}
	return o;
}

/* Somebody creates what looks like ours, at a place that is due to USER or at one of their own. */
static void squat(struct world *w)
{
	size_t u = pick(w, USERS);
	struct plan p;
	plan(w, u, &p);
	const struct desired *d = p.due.len && chance(w, 60) ? &p.objects[pick(w, (unsigned)p.due.len)] : NULL;
	json_t *o = spoof(w, d, users[u]);
	enum object_kind kind = d ? d->id.kind : KIND_ROLE_BINDING;
	const char *ns = meta_text(o, "namespace");
	const struct object_id id = {kind, ns, meta_text(o, "name")};
	if (find(w, &id) || (ns && !find(w, &(struct object_id){KIND_NAMESPACE, NULL, ns})) || w->n > OBJECTS - 60) {
		json_decref(o);
	} else {
		if (d && (kind == KIND_NAMESPACE || kind == KIND_RESOURCE_QUOTA)) {
			json_object_del(meta_of(o), "labels");
			json_object_del(meta_of(o), "annotations");
		} else if (d) {
			set_note(o, d->shared ? ANNOTATION_GROUP : ANNOTATION_USER, "mallory");
		}
		struct thing *t = create(w, kind, o);
		t->sacred = true;
		/* A quota of an inventory in the user's own namespace was ours to begin with. */
		for (size_t i = 0; kind == KIND_RESOURCE_QUOTA && i < w->users[u].nhad; i++)
			t->sacred &= strcmp(w->users[u].had[i].name, "default") != 0;
	}
	arena_done(&p.a);
}

static void tamper(struct world *w, struct thing *t)
{
	json_t *o = t->o;
	switch (pick(w, 8)) {
	case 0:
		if (t->kind >= KIND_ROLE_BINDING)
			set_subject(o, "User", "mallory");
		break;
	case 1:
		set_label(o, LABEL_MANAGED_BY, NULL);
		break;
	case 2:
		set_label(o, LABEL_RECORD, w->users[pick(w, USERS)].key);
		break;
	case 3:
		set_note(o, ANNOTATION_USER, users[pick(w, USERS)]);
		break;
	case 4:
		json_object_del(meta_of(o), "annotations");
		break;
	case 5:
		destroy(w, t);
		return;
	case 6: { /* deleted, and another put in its place */
		json_t *again = json_deep_copy(o);
		enum object_kind kind = t->kind;
		bool unrecorded = t->unrecorded;
		destroy(w, t);
		if (chance(w, 50))
			json_object_del(meta_of(again), "labels");
		t = create(w, kind, again);
		t->unrecorded = unrecorded;
		return;
	}
	default:
		set_note(o, "example.org/note", "x");
	}
	touch(w, t);
}

static void disturb(struct world *w)
{
	unsigned what = pick(w, 100);
	struct user *u = &w->users[pick(w, USERS)];
	if (what < 25 && w->n) {
		struct thing *t = &w->things[pick(w, (unsigned)w->n)];
		if (t->ours && !t->sacred)
			tamper(w, t);
	} else if (what < 40) {
		squat(w);
	} else if (what < 55) {
		w->role[pick(w, 3)] = (int)pick(w, 3);
	} else if (what < 65) {
		u->in[pick(w, GROUPS)] ^= true;
	} else if (what < 72) {
		w->sandbox ^= true;
	} else if (what < 78) {
		w->quota ^= true;
	} else if (what < 84) {
		w->in_team[pick(w, 2)] ^= true;
	} else if (what < 92) {
		u->life = (enum life_state)pick(w, 5);
	} else if (what < 96) { /* the worker starts again */
		for (size_t i = 0; i < USERS; i++) {
			w->users[i].known = false;
			w->users[i].ndue = 0;
		}
	}
}

/* --- worlds --- */

static void begin(struct world *w, uint64_t seed)
{
	*w = (struct world){.seed = seed, .sandbox = true, .quota = true, .in_team = {true, true}};
	for (size_t u = 0; u < USERS; u++) {
		spool_key(SLICE(PROVIDER), slice_of(users[u]), w->users[u].key);
		w->users[u].in[u % GROUPS] = true;
	}
	for (size_t t = 0; t < ARRAY_LEN(teams); t++)
		create(w, KIND_NAMESPACE, new_object(KIND_NAMESPACE, NULL, teams[t], NULL, 0))->sacred = true;
}

static void end(struct world *w)
{
	forget_seen(w);
	while (w->n)
		drop(w, &w->things[0]);
}

/* An admin clears away who squats, and what crashes left in no inventory. */
static void clear_away(struct world *w)
{
	for (size_t i = w->n; i-- > 0;) {
		struct thing *t = &w->things[i];
		const char *name = meta_text(t->o, "name");
		if (i < w->n && strncmp(name, "team-", 5) != 0 && (t->sacred || t->unrecorded || !t->ours)) {
			destroy(w, t);
			i = w->n;
		}
	}
}

static void settle_down(struct world *w, uint64_t seed)
{
	bool quiet = false;
	w->steady = true;
	for (int round = 0; round < 8 && !quiet; round++) {
		quiet = true;
		if (round < 3)
			clear_away(w);
		for (size_t u = 0; u < USERS; u++) {
			watch(w);
			quiet &= reconcile(w, u);
		}
	}
	if (!quiet)
		fail_msg("seed %llu: does not come to rest", (unsigned long long)seed);
	size_t writes = w->writes;
	for (size_t u = 0; u < USERS; u++)
		assert_true(reconcile(w, u));
	assert_int_equal(w->writes, writes);
}

static void check_due_is_there(struct world *w, uint64_t seed)
{
	for (size_t u = 0; u < USERS; u++) {
		struct plan p;
		plan(w, u, &p);
		for (size_t i = 0; i < p.due.len; i++) {
			const struct desired *d = &p.objects[i];
			bool active = w->users[u].life <= LIFE_STALE;
			const struct thing *t = find(w, &d->id);
			if (active && (!t || !same_member(t->o, d->body, "subjects")))
				fail_msg("seed %llu: %s of %s is missing or wrong", (unsigned long long)seed,
				    d->id.name, users[u]);
		}
		arena_done(&p.a);
	}
}

static void check_nothing_else_is_ours(struct world *w, uint64_t seed)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct thing *t = &w->things[i];
		const struct object_id id = {t->kind, meta_text(t->o, "namespace"), meta_text(t->o, "name")};
		bool due = false;
		for (size_t u = 0; u < USERS; u++)
			due |= is_due(w, u, &id);
		if (t->ours && t->kind >= KIND_ROLE_BINDING && !due && !t->unrecorded)
			fail_msg("seed %llu: %s is left over", (unsigned long long)seed, id.name);
	}
}

static void test_worlds_come_to_rest_as_is_due(void **state)
{
	(void)state;
	static struct world w;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		begin(&w, seed * UINT64_C(0x9e3779b97f4a7c15));
		for (int i = 0; i < STEPS; i++) {
			if (chance(&w, 60))
				watch(&w);
			if (chance(&w, 50))
				disturb(&w);
			reconcile(&w, pick(&w, USERS));
		}
		settle_down(&w, seed);
		check_due_is_there(&w, seed);
		check_nothing_else_is_ours(&w, seed);
		end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_worlds_come_to_rest_as_is_due),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
