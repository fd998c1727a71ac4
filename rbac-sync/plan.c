/* Owns the step from an identity and the templates to the bindings that are due. */
#include "rbac-sync/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/jsonx.h"
#include "common/secret.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"
#define HASH_LEN 10

struct planner {
	struct arena *arena;
	const struct plan_limits *limits;
	const struct spool_event *ev;
	const struct slice *groups; /* sorted, without duplicates */
	size_t ngroups;
	struct plan *out;
	size_t cap, refusals_cap;
	const struct template *t;
};

/* One binding before it is JSON. */
struct binding {
	const struct template_grant *grant;
	int subject_kind;
	struct slice subject;
	struct slice namespace_; /* empty: cluster scope */
};

static void refuse(struct planner *p, const char *reason, const char *fmt, ...) PRINTF(3, 4);

static void refuse(struct planner *p, const char *reason, const char *fmt, ...)
{
	struct plan *out = p->out;
	/* The last place says that there were more. */
	if (out->nrefusals == PLAN_OBJECTS_MAX)
		return;
	if (!out->refusals)
		out->refusals = ARENA_ARRAY(p->arena, struct plan_refusal, PLAN_OBJECTS_MAX);
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	out->refusals[out->nrefusals++] =
	    (struct plan_refusal){p->t->name, reason, arena_strdup(p->arena, text)};
}

/* --- one object --- */

static const char *role_kind(const struct template_grant *g)
{
	return g->cluster_role ? "ClusterRole" : "Role";
}

static const char *role_name(const struct template_grant *g)
{
	return g->cluster_role ? g->cluster_role : g->role;
}

static const char *subject_kind_name(int kind)
{
	return kind == SUBJECT_GROUP ? "Group" : "User";
}

/* 50 bits over whom, which role and where: another role gives another name, so that a roleRef, which
 * is immutable, never needs to change. No part can hold NUL. */
static const char *object_name(const struct planner *p, const struct binding *b)
{
	struct buf text;
	char key[SPOOL_KEY_LEN + 1];
	buf_init(&text, SPOOL_EVENT_MAX);
	buf_adds(&text, subject_kind_name(b->subject_kind));
	buf_addc(&text, '\0');
	buf_slice(&text, b->subject);
	buf_addc(&text, '\0');
	buf_adds(&text, role_kind(b->grant));
	buf_addc(&text, '\0');
	buf_adds(&text, role_name(b->grant));
	buf_addc(&text, '\0');
	buf_slice(&text, b->namespace_);
	spool_key(p->ev->provider, buf_view(&text), key);
	buf_done(&text);
	return arena_printf(p->arena, "portcullis:%s:%.*s", p->t->name, HASH_LEN, key);
}

static json_t *text_of(struct slice s)
{
	return json_stringn(s.p ? s.p : "", s.len);
}

static json_t *spec_of(const struct binding *b)
{
	return json_pack("{s:{s:s,s:s,s:s},s:[{s:s,s:s,s:o}]}", "roleRef", "apiGroup", RBAC_GROUP,
	    "kind", role_kind(b->grant), "name", role_name(b->grant), "subjects", "apiGroup", RBAC_GROUP,
	    "kind", subject_kind_name(b->subject_kind), "name", text_of(b->subject));
}

static void spec_hash(const json_t *spec, char out[17])
{
	char *text = json_dumps(spec, JSON_COMPACT | JSON_SORT_KEYS);
	char hex[2 * SHA256_LEN + 1];
	if (!text)
		abort();
	sha256_hex(text, strlen(text), hex);
	memcpy(out, hex, 16);
	out[16] = '\0';
	free(text);
}

static json_t *metadata_of(const struct planner *p, const struct binding *b, const char *name,
    const json_t *spec)
{
	bool group = b->subject_kind == SUBJECT_GROUP;
	char record[SPOOL_KEY_LEN + 1], hash[17];
	if (group)
		pattern_group_key(p->ev->provider, b->subject, record);
	else
		spool_key(p->ev->provider, p->ev->username, record);
	spec_hash(spec, hash);
	json_t *m = json_pack("{s:s,s:{s:s,s:s,s:s},s:{s:o,s:o,s:s,s:s}}", "name", name, "labels",
	    LABEL_MANAGED_BY, MANAGED_BY, LABEL_RECORD, record, LABEL_TEMPLATE, p->t->name, "annotations",
	    group ? ANNOTATION_GROUP : ANNOTATION_USER, text_of(b->subject), ANNOTATION_PROVIDER,
	    text_of(p->ev->provider), ANNOTATION_SPEC_HASH, hash, ANNOTATION_GENERATION,
	    p->t->generation);
	if (m && b->namespace_.len)
		json_object_set_new(m, "namespace", text_of(b->namespace_));
	return m;
}

static bool have(const struct plan *out, const char *namespace_, const char *name)
{
	for (size_t i = 0; i < out->len; i++) {
		const struct plan_object *o = &out->objects[i];
		if (strcmp(o->name, name) == 0 && !o->namespace_ == !namespace_ &&
		    (!namespace_ || strcmp(o->namespace_, namespace_) == 0))
			return true;
	}
	return false;
}

static void add_object(struct planner *p, const struct binding *b)
{
	struct plan *out = p->out;
	const char *name = object_name(p, b);
	const char *namespace_ =
	    b->namespace_.len ? arena_strndup(p->arena, b->namespace_.p, b->namespace_.len) : NULL;
	if (have(out, namespace_, name))
		return;
	if (out->len == p->limits->max_objects) {
		refuse(p, RAIL_TOO_MANY, "more than %zu bindings for one user", out->len);
		return;
	}
	if (!out->objects)
		out->objects = ARENA_ARRAY(p->arena, struct plan_object, p->limits->max_objects);
	const char *kind = namespace_ ? "RoleBinding" : "ClusterRoleBinding";
	json_t *body = spec_of(b);
	json_t *meta = body ? metadata_of(p, b, name, body) : NULL;
	/* Text that is no UTF-8 would fail here; events hold none. */
	if (!meta || json_object_set_new(body, "metadata", meta) != 0 ||
	    json_object_set_new(body, "apiVersion", json_string(RBAC_GROUP "/v1")) != 0 ||
	    json_object_set_new(body, "kind", json_string(kind)) != 0) {
		json_decref(body);
		refuse(p, RAIL_INVALID_NAME, "the identity does not fit into JSON");
		return;
	}
	jsonx_on_done(p->arena, body);
	out->objects[out->len++] = (struct plan_object){kind, namespace_, name, p->t->name, body};
}

/* --- grants --- */

static bool is_member(const struct planner *p, struct slice group)
{
	for (size_t i = 0; i < p->ngroups; i++) {
		if (slice_eq(p->groups[i], group))
			return true;
	}
	return false;
}

/* The rails, once more on what really stands in the binding: load-time checks saw only the template. */
static bool passes(struct planner *p, const struct binding *b)
{
	bool group = b->subject_kind == SUBJECT_GROUP;
	const char *why = rails_role(slice_of(role_name(b->grant)));
	if (why) {
		refuse(p, why, "role %s is never bound", role_name(b->grant));
		return false;
	}
	why = rails_subject(b->subject);
	if (!why && (group ? !is_member(p, b->subject) : !slice_eq(b->subject, p->ev->username)))
		why = RAIL_FOREIGN_SUBJECT;
	if (why) {
		refuse(p, why, "%s " SLICE_FMT " is not bound", subject_kind_name(b->subject_kind),
		    SLICE_ARG(b->subject));
		return false;
	}
	if (b->grant->scope == SCOPE_CLUSTER)
		return true;
	why = rails_namespace(&p->limits->rails, b->namespace_);
	if (why)
		refuse(p, why, "nothing is bound in namespace " SLICE_FMT, SLICE_ARG(b->namespace_));
	return !why;
}

static void plan_namespaces(struct planner *p, struct binding *b, struct slice group)
{
	const struct pattern_values v = {
	    .provider = p->ev->provider, .user = p->ev->username, .uid = p->ev->uid, .group = group};
	for (size_t i = 0; i < b->grant->places->len; i++) {
		const struct pattern *pat = &b->grant->places->names[i];
		bool ambiguous;
		struct err e;
		if (pattern_render(pat, &v, p->arena, &b->namespace_, &ambiguous, &e) != ERR_OK) {
			refuse(p, RAIL_EMPTY_NAME, "namespace " SLICE_FMT ": %s", SLICE_ARG(pat->text),
			    e.msg);
		} else if (ambiguous) {
			refuse(p, RAIL_AMBIGUOUS_NAME,
			    "namespace " SLICE_FMT " is " SLICE_FMT " for other names too; add a hash",
			    SLICE_ARG(pat->text), SLICE_ARG(b->namespace_));
		} else if (passes(p, b)) {
			add_object(p, b);
		}
	}
}

/* One grant; GROUP is empty when the grant does not ask for one. */
static void plan_grant(struct planner *p, const struct template_grant *g, struct slice group)
{
	struct binding b = {.grant = g, .subject_kind = (int)g->subject_kind};
	if (g->subject_kind == SUBJECT_USER)
		b.subject = p->ev->username;
	else
		b.subject = g->literal_group ? g->group : group;
	if (g->scope == SCOPE_NAMESPACE)
		plan_namespaces(p, &b, group);
	else if (passes(p, &b))
		add_object(p, &b);
}

/* Namespaces, objects, times and selectors need records: this path must not give such a grant early or for ever. */
static bool needs_record(struct planner *p, const struct template_grant *g)
{
	const struct template_time *t = &g->time;
	bool needs = p->t->namespace_.present || p->t->objects.len || (g->places && g->places->selector) ||
		     t->start != INT64_MIN || t->end != INT64_MAX || t->ttl || t->nwindows;
	if (needs)
		refuse(p, RAIL_UNKNOWN_NAMESPACES, "template %s needs a reconciler", p->t->name);
	return needs;
}

static void plan_template(struct planner *p)
{
	const struct template_grant *g = p->t->grants.items;
	for (size_t i = 0; i < p->t->grants.len; i++) {
		if (needs_record(p, &g[i]))
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

static int by_slice(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void sort_groups(struct planner *p)
{
	struct slice *v = ARENA_ARRAY(p->arena, struct slice, p->ev->ngroups + 1);
	size_t n = 0;
	for (size_t i = 0; i < p->ev->ngroups; i++)
		v[i] = p->ev->groups[i];
	qsort(v, p->ev->ngroups, sizeof(*v), by_slice);
	for (size_t i = 0; i < p->ev->ngroups; i++) {
		if (!n || !slice_eq(v[i], v[n - 1]))
			v[n++] = v[i];
	}
	p->groups = v;
	p->ngroups = n;
}

void plan_make(struct arena *a, const struct sync_config *c, const struct plan_limits *limits,
    const struct spool_event *ev, struct plan *out)
{
	struct planner p = {.arena = a, .limits = limits, .ev = ev, .out = out};
	*out = (struct plan){0};
	sort_groups(&p);
	const struct template *t = c->templates.items;
	const char *why = rails_subject(ev->username);
	for (size_t i = 0; i < c->templates.len; i++) {
		p.t = &t[i];
		if (!template_matches(p.t, ev))
			continue;
		if (!why) {
			plan_template(&p);
			continue;
		}
		/* No grant at all, also none of a group: this identity should not have got in. */
		refuse(&p, why, "user " SLICE_FMT " gets nothing", SLICE_ARG(ev->username));
		break;
	}
}

/* --- against the cluster --- */

/* Every member of WANT stands in LIVE with the same value; LIVE may hold more. */
static bool covers(const json_t *live, const json_t *want)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)want, key, value)
	{
		if (!json_equal(json_object_get(live, key), value))
			return false;
	}
	return true;
}

/* True when the owner's annotations are there and say somebody else, or are missing. */
static bool owner_differs(const json_t *live, const json_t *want, bool *missing)
{
	static const char *const keys[] = {ANNOTATION_USER, ANNOTATION_GROUP, ANNOTATION_PROVIDER};
	bool differs = false;
	*missing = false;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const json_t *l = json_object_get(live, keys[i]), *w = json_object_get(want, keys[i]);
		*missing |= w && !l;
		differs |= l && !json_equal(l, w);
	}
	return differs;
}

enum plan_live plan_compare(const struct plan_object *want, const json_t *live)
{
	const json_t *lm = json_object_get(live, "metadata"), *wm = json_object_get(want->body, "metadata");
	const json_t *ll = json_object_get(lm, "labels"), *la = json_object_get(lm, "annotations");
	const json_t *wl = json_object_get(wm, "labels"), *wa = json_object_get(wm, "annotations");
	bool missing, differs = owner_differs(la, wa, &missing);
	bool labelled = json_equal(
	    json_object_get(ll, LABEL_MANAGED_BY), json_object_get(wl, LABEL_MANAGED_BY));
	/* One mark of two may have been lost by an edit; none, or another owner's, is not ours. */
	if (differs || (missing && !labelled))
		return PLAN_FOREIGN;
	if (!json_equal(json_object_get(live, "roleRef"), json_object_get(want->body, "roleRef")))
		return PLAN_FOREIGN;
	if (!covers(ll, wl) || !covers(la, wa) || !labelled || missing)
		return PLAN_DIFFERS;
	return json_equal(json_object_get(live, "subjects"), json_object_get(want->body, "subjects"))
	    ? PLAN_SAME
	    : PLAN_DIFFERS;
}
