/* Owns the step from a record and the templates to the objects that are due. */
#include "rbac-sync/due.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "rbac-sync/due_internal.h"

struct planner {
	struct arena *arena;
	const struct due_world *w;
	const struct record *r;
	struct pattern_values values; /* of the user; group as it comes */
	const struct slice *groups;   /* sorted, without duplicates */
	size_t ngroups;
	struct due *out;
	size_t plain[DUE_REFUSALS_MAX]; /* places of the refusals that are no news to come */
	size_t told, room; /* how many those are; what the list of all has room for */
	size_t unknown;    /* the others that name an object */
	const struct template *blind; /* so much of it is not known that it is looked at no further */
	const struct template *t;
	const struct pattern *place; /* what the namespace in hand is named by; NULL: found, or none */
	bool ended; /* the record's own end has come: no grants */
};

/* --- refusals --- */

/* The sentence goes to logs, terminals and statuses; names in it are other people's choice, and it may have been cut
 * inside of a character. */
static void make_plain(char *text)
{
	if (slice_printable(slice_of(text)))
		return;
	for (; *text; text++)
		*text = *text >= ' ' && *text <= '~' ? *text : '?';
}

static void refuse(struct planner *p, const struct due_refusal *r, const char *fmt, ...) PRINTF(3, 4);

/* Of those that are no news to come there are few; the others are many only where each names its object. */
static bool was_told(const struct planner *p, bool transient, const char *text)
{
	for (size_t i = 0; i < (transient ? p->out->nrefusals : p->told); i++) {
		const struct due_refusal *o = &p->out->refusals[transient ? i : p->plain[i]];
		if (o->template_ == p->t->name && strcmp(o->what, text) == 0)
			return true;
	}
	return false;
}

/* Each is told once, though it may concern many objects. What is not known holds back removals: that must not get lost
 * in a crowd. */
static void refuse(struct planner *p, const struct due_refusal *r, const char *fmt, ...)
{
	struct due *out = p->out;
	char text[512];
	va_list ap;
	if (!r->transient && p->told == DUE_REFUSALS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_plain(text);
	if (!r->id.name && was_told(p, r->transient, text))
		return;
	if (!r->transient)
		p->plain[p->told++] = out->nrefusals;
	ARENA_ROOM(p->arena, out->refusals, out->nrefusals, p->room, 8);
	struct due_refusal *to = &out->refusals[out->nrefusals++];
	*to = *r;
	to->template_ = p->t->name;
	to->what = arena_strdup(p->arena, text);
}

#define REFUSE(p, word, ...) refuse((p), &(struct due_refusal){.reason = (word)}, __VA_ARGS__)
#define REFUSE_ID(p, word, which, ...)                                                             \
	refuse((p), &(struct due_refusal){.reason = (word), .id = *(which)}, __VA_ARGS__)

static void note_next(struct planner *p, int64_t at)
{
	if (at > p->w->now && at < p->out->next)
		p->out->next = at;
}

/* --- objects --- */

static struct desired *find(const struct due *out, const struct object_id *id)
{
	for (size_t i = 0; i < out->len; i++) {
		if (object_id_eq(&out->objects[i].id, id))
			return &out->objects[i];
	}
	return NULL;
}

/* A hash makes a namespace one user's or group's, and so does a template that makes it; whoever finds a name with the
 * same few letters, or had it made by another template, is not that. */
static const char *place_owner(const struct planner *p)
{
	char key[SPOOL_KEY_LEN + 1];
	enum template_owner owner = p->place ? template_owner(p->place) : OWNER_TEMPLATE;
	bool made = p->t->namespace_.present && p->t->namespace_.create && p->place == p->t->places.names;
	if (owner == OWNER_USER && (p->place->user_hash || made))
		spool_key(p->values.provider, p->values.user, key);
	else if (owner == OWNER_GROUP && (p->place->group_hash || made))
		pattern_group_key(p->values.provider, p->values.group, key);
	else
		return NULL;
	return arena_strdup(p->arena, key);
}

/* False: it cannot be; that is told. */
static bool fill(struct planner *p, const struct due_body *b, const char *const *labels, struct desired *d)
{
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	bool namespace_ = b->id.kind == KIND_NAMESPACE;
	*d = (struct desired){0};
	if (due_body_json(p->arena, b, &d->body, d->hash, &e) != ERR_OK) {
		*d = (struct desired){0};
		REFUSE(p, RAIL_INVALID_NAME, "%s: %s", object_id_text(p->arena, &b->id), e.msg);
		return false;
	}
	due_owner_key(b, key);
	d->id = b->id;
	d->template_ = p->t->name;
	d->owner = arena_strdup(p->arena, key);
	d->place_owner = b->id.namespace_ ? place_owner(p) : NULL;
	d->shared = b->owner != OWNER_USER;
	d->adopt = namespace_ && p->t->namespace_.adopt;
	d->orphan = namespace_ && p->t->namespace_.on_gc == ON_GC_ORPHAN;
	d->prune = p->t->prune;
	d->drift = (enum drift_mode)p->t->drift;
	d->expires = b->expires;
	d->labels = labels;
	return true;
}

/* Two grants of a template may give the same: then it ends with the later one. */
static void add_again(struct planner *p, const struct due_body *b, const char *const *labels, struct desired *there)
{
	struct desired d;
	if (there->template_ != p->t->name)
		REFUSE(p, RAIL_DUPLICATE_OBJECT, "%s is what template %s makes already",
		    object_id_text(p->arena, &b->id), there->template_);
	else if (there->expires && (!b->expires || b->expires > there->expires) && fill(p, b, labels, &d))
		*there = d;
}

static void add(struct planner *p, const struct due_body *b, const char *const *labels)
{
	struct due *out = p->out;
	struct desired *there = find(out, &b->id);
	if (there) {
		add_again(p, b, labels, there);
		return;
	}
	if (out->len == p->w->max_objects) {
		REFUSE(p, RAIL_TOO_MANY, "more than %zu objects for one user", out->len);
		return;
	}
	if (!out->objects)
		out->objects = ARENA_ARRAY(p->arena, struct desired, p->w->max_objects);
	out->len += fill(p, b, labels, &out->objects[out->len]);
}

/* --- places --- */

/* The name of namespace PAT for the user and GROUP, when nothing speaks against it. */
static bool render_namespace(
    struct planner *p, const struct pattern *pat, struct slice group, const char **out)
{
	struct slice name;
	bool ambiguous;
	struct err e;
	p->values.group = group;
	if (pattern_render(pat, &p->values, p->arena, &name, &ambiguous, &e) != ERR_OK) {
		REFUSE(p, RAIL_EMPTY_NAME, "namespace " SLICE_FMT ": %s", SLICE_ARG(pat->text), e.msg);
		return false;
	}
	if (ambiguous) {
		REFUSE(p, RAIL_AMBIGUOUS_NAME,
		    "namespace " SLICE_FMT " is " SLICE_FMT " for other names too; add a hash",
		    SLICE_ARG(pat->text), SLICE_ARG(name));
		return false;
	}
	*out = arena_strndup(p->arena, name.p, name.len);
	return true;
}

static bool namespace_passes(struct planner *p, const char *name)
{
	const char *why = rails_namespace(p->w->rails, slice_of(name));
	if (why)
		REFUSE(p, why, "nothing is made or bound in namespace %s", name);
	return !why;
}

/* What is done in each namespace of a list. */
struct placed {
	void (*fn)(struct planner *p, const struct placed *what, const char *namespace_,
	    enum template_owner owner);
	const struct template_grant *grant;
	struct slice group; /* the one in hand; empty: none is asked for */
};

static void in_selected(struct planner *p, const struct template_places *places, const struct placed *what)
{
	const char **names;
	if (!p->w->namespaces) {
		refuse(p, &(struct due_refusal){.reason = RAIL_UNKNOWN_NAMESPACES, .transient = true},
		    "which namespaces its selector fits is not known here");
		return;
	}
	size_t n = p->w->namespaces(p->w->ctx, places->selector, p->arena, &names);
	for (size_t i = 0; i < n; i++) {
		if (namespace_passes(p, names[i]))
			what->fn(p, what, names[i], OWNER_TEMPLATE);
	}
}

static void in_places(struct planner *p, const struct template_places *places, const struct placed *what)
{
	if (places->selector)
		in_selected(p, places, what);
	for (size_t i = 0; i < places->len; i++) {
		const struct pattern *pat = &places->names[i];
		const char *name;
		p->place = pat;
		if (render_namespace(p, pat, what->group, &name) && namespace_passes(p, name))
			what->fn(p, what, name, template_owner(pat));
	}
	p->place = NULL;
}

/* --- namespaces and what stands in them --- */

static void add_namespace(struct planner *p, const struct placed *what, const char *name,
    enum template_owner owner)
{
	const struct template_namespace *n = &p->t->namespace_;
	const struct due_body b = {.id = {KIND_NAMESPACE, NULL, name}, .t = p->t, .values = &p->values,
	    .owner = owner, .group = what->group, .labels = &n->labels, .annotations = &n->annotations};
	add(p, &b, n->label_keys);
}

static void add_objects(struct planner *p, const struct placed *what, const char *namespace_,
    enum template_owner owner)
{
	const struct template_object *o = p->t->objects.items;
	for (size_t i = 0; i < p->t->objects.len; i++) {
		struct slice name;
		bool ambiguous; /* no matter: the namespace is the user's or the group's own */
		struct err e;
		if (pattern_render(&o[i].name, &p->values, p->arena, &name, &ambiguous, &e) != ERR_OK ||
		    !dns_subdomain_ok(name)) {
			REFUSE(p, RAIL_INVALID_NAME, "%s " SLICE_FMT " has no valid name here",
			    o[i].kind_name, SLICE_ARG(o[i].name.text));
			continue;
		}
		const struct due_body b = {
		    .id = {o[i].kind, namespace_, arena_strndup(p->arena, name.p, name.len)},
		    .t = p->t, .values = &p->values, .owner = owner, .group = what->group,
		    .labels = &o[i].labels, .annotations = &o[i].annotations, .spec = &o[i].spec};
		add(p, &b, o[i].label_keys);
	}
}

/* --- grants --- */

static bool is_member(const struct planner *p, struct slice group)
{
	return p->ngroups && bsearch(&group, p->groups, p->ngroups, sizeof(*p->groups), slice_order);
}

/* The rails, once more on what really stands in the binding: load-time checks saw only the template. */
static bool subject_passes(struct planner *p, const struct template_grant *g, struct slice subject)
{
	bool group = g->subject_kind == SUBJECT_GROUP;
	const char *role = g->cluster_role ? g->cluster_role : g->role;
	const char *why = rails_role(slice_of(role));
	if (why) {
		REFUSE(p, why, "role %s is never bound", role);
		return false;
	}
	why = rails_subject(subject);
	if (!why && (group ? !is_member(p, subject) : !slice_eq(subject, p->values.user)))
		why = RAIL_FOREIGN_SUBJECT;
	if (why)
		REFUSE(p, why, "%s " SLICE_FMT " is not bound", group ? "Group" : "User", SLICE_ARG(subject));
	return !why;
}

/* B hangs on a role of which nothing is known for the moment. */
static void not_known(struct planner *p, const char *rail, const struct due_body *b, const char *kind,
    const char *name, const char *why)
{
	char key[SPOOL_KEY_LEN + 1];
	due_owner_key(b, key);
	const struct due_refusal r = {.reason = rail, .transient = true, .id = b->id,
	    .owner = b->owner == OWNER_USER ? NULL : arena_strdup(p->arena, key)};
	if (p->unknown++ < DUE_UNKNOWN_MAX) {
		refuse(p, &r, "%s %s %s", kind, name, why);
		return;
	}
	/* All that it gave stays then. */
	p->blind = p->t;
	refuse(p, &(struct due_refusal){.reason = rail, .transient = true}, "%s %s and more than %d others %s", kind, name,
	    DUE_UNKNOWN_MAX, why);
}

static bool role_passes(struct planner *p, const struct template_grant *g, const struct due_body *b)
{
	const struct object_id *id = &b->id;
	const struct due_world *w = p->w;
	const char *kind = g->cluster_role ? "ClusterRole" : "Role", *why = NULL;
	const char *name = g->cluster_role ? g->cluster_role : g->role;
	if (!w->role)
		return true;
	enum role_verdict verdict = w->role(w->ctx, g->cluster_role ? NULL : id->namespace_, kind, name,
	    g->scope == SCOPE_CLUSTER, p->arena, &why);
	why = why ? why : "";
	switch (verdict) {
	case ROLE_FINE:
		return true;
	case ROLE_DANGEROUS:
		if (g->allow_privileged && w->allow_privileged)
			return true;
		REFUSE_ID(p, RAIL_DANGEROUS_ROLE, id, "%s %s gives too much: %s", kind, name, why);
		return false;
	case ROLE_ABSENT:
		not_known(p, RAIL_ABSENT_ROLE, b, kind, name, "does not exist");
		return false;
	case ROLE_UNKNOWN:
		break;
	}
	not_known(p, RAIL_UNKNOWN_ROLE, b, kind, name, arena_printf(p->arena, "could not be looked into: %s", why));
	return false;
}

static int64_t expiry(const struct planner *p, bool shared, const struct due_span *span)
{
	int64_t own = shared ? 0 : p->r->expires_at;
	return own && (!span->expires || own < span->expires) ? own : span->expires;
}

static void bind(struct planner *p, const struct placed *what, const char *namespace_,
    enum template_owner owner)
{
	const struct template_grant *g = what->grant;
	bool group = g->subject_kind == SUBJECT_GROUP;
	struct due_span span;
	struct due_body b = {.t = p->t, .values = &p->values, .grant = g};
	(void)owner; /* of the place; a binding is its subject's */
	if (p->blind == p->t)
		return;
	b.id.kind = namespace_ ? KIND_ROLE_BINDING : KIND_CLUSTER_ROLE_BINDING;
	b.id.namespace_ = namespace_;
	b.owner = group ? OWNER_GROUP : OWNER_USER;
	b.subject = !group ? p->values.user : g->literal_group ? g->group : what->group;
	b.group = b.subject;
	due_span_at(&g->time, p->r->identity.seen_at, p->w->now, &span);
	b.expires = expiry(p, group, &span);
	b.id.name = due_binding_name(p->arena, &b, g->subject_kind);
	if (subject_passes(p, g, b.subject) && role_passes(p, g, &b))
		add(p, &b, NULL);
}

/* One grant; GROUP is empty when the grant does not ask for one. */
static void plan_grant(struct planner *p, const struct template_grant *g, struct slice group)
{
	const struct placed what = {bind, g, group};
	p->values.group = group;
	if (g->places)
		in_places(p, g->places, &what);
	else
		bind(p, &what, NULL, OWNER_TEMPLATE);
}

/* --- templates --- */

/* False: it does not hold now. */
static bool is_on(struct planner *p, const struct template_grant *g)
{
	struct due_span span;
	due_span_at(&g->time, p->r->identity.seen_at, p->w->now, &span);
	note_next(p, span.next);
	return span.on;
}

static void plan_grants(struct planner *p)
{
	const struct template_grant *g = p->t->grants.items;
	for (size_t i = 0; i < p->t->grants.len; i++) {
		if (!is_on(p, &g[i]))
			continue;
		if (!g[i].per_group) {
			plan_grant(p, &g[i], (struct slice){0});
			continue;
		}
		for (size_t j = 0; j < p->ngroups; j++) {
			if (template_matches_group(p->t, p->groups[j]))
				plan_grant(p, &g[i], p->groups[j]);
		}
	}
}

/* WHAT in the places of the template: once, or in those of each matched group. */
static void in_own_places(struct planner *p, struct placed what)
{
	const struct template_places *places = &p->t->places;
	if (places->selector)
		in_places(p, places, &what);
	for (size_t i = 0; i < places->len; i++) {
		const struct template_places one = {.names = &places->names[i], .len = 1};
		what.group = (struct slice){0};
		if (!places->names[i].uses_group)
			in_places(p, &one, &what);
		for (size_t j = 0; places->names[i].uses_group && j < p->ngroups; j++) {
			what.group = p->groups[j];
			if (template_matches_group(p->t, what.group))
				in_places(p, &one, &what);
		}
	}
}

static void plan_template(struct planner *p)
{
	if (p->t->namespace_.present && p->t->namespace_.create)
		in_own_places(p, (struct placed){.fn = add_namespace});
	if (p->t->objects.len)
		in_own_places(p, (struct placed){.fn = add_objects});
	if (!p->ended)
		plan_grants(p);
}

/* --- the whole --- */

static void set_groups(struct planner *p, const struct spool_event *ev)
{
	struct slice *v = ARENA_ARRAY(p->arena, struct slice, ev->ngroups + 1);
	for (size_t i = 0; i < ev->ngroups; i++)
		v[i] = ev->groups[i];
	p->ngroups = slice_sort_unique(v, ev->ngroups);
	p->groups = v;
}

/* ${date}: the day of which the cluster's record is, so that it stays what it was. */
static struct slice date_of(struct arena *a, const struct record *r)
{
	int64_t at = r->created ? r->created : r->first_seen ? r->first_seen : r->identity.seen_at;
	char text[CLOCK_RFC3339_LEN];
	clock_rfc3339(at * CLOCK_SECOND, text);
	return slice_dup(a, (struct slice){text, strlen("2026-11-23")});
}

int due_by_id(const void *a, const void *b)
{
	return object_id_cmp(&((const struct desired *)a)->id, &((const struct desired *)b)->id);
}

void due_of(struct arena *a, const struct record *r, const struct due_world *w, struct due *out)
{
	const struct spool_event *ev = &r->identity;
	struct planner p = {.arena = a, .w = w, .r = r, .out = out};
	*out = (struct due){.next = INT64_MAX};
	p.values = (struct pattern_values){ev->provider, ev->username, ev->uid, {0}, date_of(a, r), ev->extra,
	    ev->nextra};
	set_groups(&p, ev);
	p.ended = r->expires_at && w->now >= r->expires_at + DUE_GRACE;
	if (r->expires_at)
		note_next(&p, r->expires_at + DUE_GRACE);
	const struct template *t = w->config->templates.items;
	const char *why = rails_subject(ev->username);
	for (size_t i = 0; i < w->config->templates.len; i++) {
		p.t = &t[i];
		if (!template_matches(p.t, ev))
			continue;
		if (!why) {
			plan_template(&p);
			continue;
		}
		/* No grant at all, also none of a group: this identity should not have got in. */
		REFUSE(&p, why, "user " SLICE_FMT " gets nothing", SLICE_ARG(ev->username));
		break;
	}
	if (out->len)
		qsort(out->objects, out->len, sizeof(*out->objects), due_by_id);
}
