/* Owns who may do one thing: each subject of each rule that is about it. */
#include "authz/reach.h"

#include "authz/engine.h"

/* Stand for a star and for a user of no name of ours: no policy can have these bytes in a word. */
#define ANY_TEXT '\1'
#define NOBODY "\2"

/* --- subjects --- */

struct subjects_out {
	struct arena *arena;
	struct reach_subject *v;
	size_t n, cap;
};

static void put(struct subjects_out *o, enum reach_kind kind, bool pattern, struct slice name)
{
	ARENA_ROOM(o->arena, o->v, o->n, o->cap, 8);
	o->v[o->n++] = (struct reach_subject){kind, pattern, name};
}

/* system:serviceaccount:NS:NAME as NS/NAME. */
static struct slice account_name(struct arena *a, struct slice user)
{
	struct slice rest = slice_dup(a, slice_skip(user, sizeof(SERVICE_ACCOUNT_PREFIX) - 1));
	size_t colon = slice_find(rest, ':');
	if (colon < rest.len)
		((char *)(uintptr_t)rest.p)[colon] = '/';
	return rest;
}

static void put_set(struct subjects_out *o, const struct policy *p, const struct subject_set *s)
{
	if (!s)
		return;
	if (s->everyone) {
		put(o, REACH_EVERYONE, false, (struct slice){0});
		return;
	}
	for (uint32_t i = 0; i < s->users.n; i++) {
		struct slice name = p->users.texts[s->users.v[i]];
		if (policy_is_service_account(name))
			put(o, REACH_ACCOUNT, false, account_name(o->arena, name));
		else
			put(o, REACH_USER, false, name);
	}
	for (uint32_t i = 0; i < s->user_globs.n; i++)
		put(o, REACH_USER, true, s->user_globs.v[i]);
	for (uint32_t i = 0; i < s->groups.n; i++)
		put(o, REACH_GROUP, false, p->groups.texts[s->groups.v[i]]);
	for (uint32_t i = 0; i < s->group_globs.n; i++)
		put(o, REACH_GROUP, true, s->group_globs.v[i]);
	for (uint32_t i = 0; i < s->sa_globs.n; i++)
		put(o, REACH_ACCOUNT, true, account_name(o->arena, s->sa_globs.v[i]));
}

size_t reach_subjects(
    const struct policy *p, const struct subjects *s, struct arena *a, struct reach_subject **out)
{
	struct subjects_out o = {.arena = a};
	put_set(&o, p, s->own);
	if (s->alias != s->own)
		put_set(&o, p, s->alias);
	*out = o.v;
	return o.n;
}

size_t reach_groups(struct slice user, const struct slice *groups, size_t n, struct arena *a,
    const struct slice **out)
{
	struct slice *v = ARENA_ARRAY(a, struct slice, n + 3);
	bool told = false;
	size_t k = 0;
	for (; k < n; k++) {
		v[k] = groups[k];
		told |= slice_is(v[k], "system:authenticated") ||
			slice_is(v[k], "system:unauthenticated");
	}
	if (policy_is_service_account(user)) {
		struct slice rest = slice_skip(user, sizeof(SERVICE_ACCOUNT_PREFIX) - 1);
		v[k++] = SLICE("system:serviceaccounts");
		v[k++] = slice_of(arena_printf(a, "system:serviceaccounts:" SLICE_FMT,
		    (int)slice_find(rest, ':'), rest.p));
	}
	if (!told)
		v[k++] = slice_is(user, "system:anonymous") ? SLICE("system:unauthenticated")
							     : SLICE("system:authenticated");
	*out = v;
	return k;
}

/* PATTERN with its stars as a text that a star alone can match. */
static struct slice instance(struct arena *a, struct slice pattern)
{
	struct slice s = slice_dup(a, pattern);
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '*')
			((char *)(uintptr_t)s.p)[i] = ANY_TEXT;
	return s;
}

/* Adds S to who asks. Of a group: a user whom no rule names. */
static void become(struct arena *a, const struct reach_subject *s, struct access_request *r)
{
	struct slice name = s->pattern ? instance(a, s->name) : s->name;
	if (s->kind == REACH_GROUP) {
		struct slice *g = ARENA_ARRAY(a, struct slice, r->ngroups + 1);
		for (size_t i = 0; i < r->ngroups; i++)
			g[i] = r->groups[i];
		g[r->ngroups++] = name;
		r->groups = g;
	} else if (s->kind == REACH_USER) {
		r->user = name;
	} else if (s->kind == REACH_ACCOUNT) {
		size_t slash = slice_find(name, '/');
		r->user = slice_of(arena_printf(a, SERVICE_ACCOUNT_PREFIX "%.*s:%s", (int)slash,
		    name.p, name.p + slash + 1));
	}
}

/* --- what a rule is about --- */

struct question {
	const struct policy *p;
	const struct reach_query *q;
	uint32_t verb, api_group, resource, sub, name, namespace_;
	bool any_name, anywhere;
	struct arena *arena;
	struct reach_list *out;
};

static bool lists(struct slice verb)
{
	return slice_is(verb, "list") || slice_is(verb, "watch") || slice_is(verb, "deletecollection");
}

static bool any_name(const struct access_request *r)
{
	return r->resource_request && r->name.len == 0 && !lists(r->verb) &&
	       !slice_is(r->verb, "create");
}

static bool anywhere(const struct policy *p, const struct reach_query *q)
{
	const struct access_request *r = &q->request;
	return q->place == REACH_ANYWHERE && r->resource_request &&
	       !policy_cluster_scoped(p, engine_word(p, r->api_group), engine_word(p, r->resource));
}

bool reach_exact(const struct policy *p, const struct reach_query *q)
{
	return !any_name(&q->request) && !anywhere(p, q);
}

static bool overlaps(const struct rule *r)
{
	return r->effect != POLICY_ALLOW && !r->exact;
}

static bool has_form(const struct question *k, const struct action *a)
{
	for (uint32_t i = 0; i < a->nforms; i++) {
		const struct resource_form *f = &a->forms[i];
		if (f->resource != ATOM_ANY && f->resource != k->resource)
			continue;
		if (f->sub == ATOM_ANY ||
		    (f->sub == ATOM_SOME ? k->sub != k->p->empty : f->sub == k->sub))
			return true;
	}
	return false;
}

static bool has_path(const struct question *k, const struct action *a)
{
	struct slice path = k->q->request.path;
	for (uint32_t i = 0; i < a->nurls; i++)
		if (a->urls[i].prefix ? slice_starts(path, a->urls[i].text)
				      : slice_eq(path, a->urls[i].text))
			return true;
	return false;
}

/* False: not about it. */
static bool name_limits(
    const struct question *k, const struct rule *r, const struct action *a, unsigned *limits)
{
	struct slice name = k->q->request.name;
	if (a->names.any || atom_set_has(&a->names, k->name) ||
	    glob_list_has(&a->name_globs, name))
		return true;
	if (name.len)
		return false;
	/* A list carries a name when a field selector gives one. */
	if (k->any_name || (!overlaps(r) && lists(k->q->request.verb))) {
		*limits |= REACH_NAMES;
		return true;
	}
	return overlaps(r);
}

static bool ns_listed(const struct question *k, const struct ns_set *n)
{
	struct slice ns = k->q->request.namespace_;
	return (atom_set_has(&n->include, k->namespace_) || glob_list_has(&n->include_globs, ns)) &&
	       !atom_set_has(&n->exclude, k->namespace_) && !glob_list_has(&n->exclude_globs, ns);
}

static bool place_limits(const struct question *k, const struct rule *r, unsigned *limits)
{
	bool none = k->q->request.namespace_.len == 0;
	bool clusters = policy_cluster_scoped(k->p, k->api_group, k->resource);
	if (r->scope == SCOPE_ALL || !k->q->request.resource_request)
		return true;
	if (r->scope == SCOPE_CLUSTER && k->anywhere) {
		*limits |= REACH_NAMESPACES;
		return true;
	}
	if (r->scope == SCOPE_CLUSTER)
		return none || (overlaps(r) && clusters);
	if (k->anywhere) {
		*limits |= REACH_NAMESPACES;
		return true;
	}
	return none ? overlaps(r) && !clusters : ns_listed(k, r->namespaces);
}

static bool action_asked(
    const struct question *k, const struct rule *r, const struct action *a, unsigned *limits)
{
	const struct access_request *q = &k->q->request;
	*limits = 0;
	if (a->resource != q->resource_request || !atom_set_has(&a->verbs, k->verb))
		return false;
	if (!a->resource)
		return has_path(k, a);
	if (!atom_set_has(&a->groups, k->api_group) || !has_form(k, a) ||
	    !name_limits(k, r, a, limits))
		return false;
	/* The question has no selectors: nothing is ruled out, nothing is narrow enough. */
	if ((a->fields.n || a->labels.n) && !overlaps(r))
		*limits |= REACH_SELECTORS;
	return place_limits(k, r, limits);
}

/* --- a request within the limits --- */

static const struct access_requirement *requirements(
    struct arena *a, const struct selector *s, size_t *n)
{
	static const char *const ops[] = {[REQUIREMENT_IN] = "In",
	    [REQUIREMENT_NOT_IN] = "NotIn",
	    [REQUIREMENT_EXISTS] = "Exists",
	    [REQUIREMENT_DOES_NOT_EXIST] = "DoesNotExist"};
	struct access_requirement *v = ARENA_ARRAY(a, struct access_requirement, s->n + 1);
	for (uint32_t i = 0; i < s->n; i++)
		v[i] = (struct access_requirement){
		    s->v[i].key, slice_of(ops[s->v[i].op]), s->v[i].values, s->v[i].n};
	*n = s->n;
	return v;
}

static void within(const struct question *k, const struct reach_entry *e, struct access_request *r)
{
	const struct action *a = e->action;
	*r = k->q->request;
	if (e->limits & REACH_NAMES)
		r->name = a->names.n ? k->p->words.texts[a->names.v[0]]
				     : instance(k->arena, a->name_globs.v[0]);
	if ((e->limits & REACH_NAMESPACES) && e->rule->scope == SCOPE_NAMESPACES) {
		const struct ns_set *n = e->rule->namespaces;
		r->namespace_ = n->include.n ? k->p->words.texts[n->include.v[0]]
					     : instance(k->arena, n->include_globs.v[0]);
	}
	if (e->limits & REACH_SELECTORS) {
		r->field_selector = requirements(k->arena, &a->fields, &r->nfield);
		r->label_selector = requirements(k->arena, &a->labels, &r->nlabel);
	}
}

/* --- entries --- */

static void add_entry(struct question *k, struct reach_entry e, const struct reach_subject *also)
{
	struct access_request r;
	struct engine engine;
	struct decision d;
	within(k, &e, &r);
	r.user = SLICE(NOBODY);
	r.groups = NULL;
	r.ngroups = 0;
	become(k->arena, &e.subject, &r);
	if (also)
		become(k->arena, also, &r);
	if (e.subject.kind != REACH_EVERYONE)
		r.ngroups = reach_groups(r.user, r.groups, r.ngroups, k->arena, &r.groups);
	engine_init(&engine, k->p, &r);
	if (engine_subjects(&engine, &e.rule->except))
		return;
	authz_evaluate(k->p, &r, &d);
	e.verdict = d.verdict;
	e.by = d.rule;
	ARENA_ROOM(k->arena, k->out->v, k->out->n, k->out->cap, 16);
	k->out->v[k->out->n++] = e;
}

static void add_rule(
    struct question *k, const struct rule *rule, const struct action *a, unsigned limits)
{
	int64_t now = k->q->request.now;
	struct reach_entry e = {.rule = rule, .action = a, .limits = limits, .next = INT64_MAX};
	if (rule->valid) {
		bool holds = rule->effect == POLICY_ALLOW ? window_covers(rule->valid, now, now)
							  : window_meets(rule->valid, now, now);
		e.next = window_next(rule->valid, now);
		if (!holds && e.next == INT64_MAX)
			return;
		e.limits |= holds ? 0 : REACH_NOT_NOW;
	}
	struct reach_subject *v, *also;
	size_t n = reach_subjects(k->p, &rule->subjects, k->arena, &v);
	size_t m = reach_subjects(k->p, &rule->also, k->arena, &also);
	for (size_t i = 0; i < n; i++) {
		e.subject = v[i];
		add_entry(k, e, m ? &also[0] : NULL);
	}
}

/* Of the actions that are asked for, one without limits says all. */
static void look_at_rule(struct question *k, const struct rule *rule)
{
	unsigned limits;
	EACH_ACTION(rule, full)
	{
		if (action_asked(k, rule, full, &limits) && !(limits & ~(unsigned)REACH_NAMESPACES)) {
			add_rule(k, rule, full, limits);
			return;
		}
	}
	EACH_ACTION(rule, a)
		if (action_asked(k, rule, a, &limits))
			add_rule(k, rule, a, limits);
}

void reach_who(const struct policy *p, const struct reach_query *q, struct arena *a,
    struct reach_list *out)
{
	const struct access_request *r = &q->request;
	struct question k = {.p = p, .q = q, .arena = a, .out = out};
	k.verb = engine_word(p, r->verb);
	k.api_group = engine_word(p, r->api_group);
	k.resource = engine_word(p, r->resource);
	k.sub = engine_word(p, r->subresource);
	k.name = engine_word(p, r->name);
	k.namespace_ = engine_word(p, r->namespace_);
	k.any_name = any_name(r);
	k.anywhere = anywhere(p, q);
	*out = (struct reach_list){0};
	for (enum rule_class c = 0; c < CLASS_COUNT; c++)
		for (uint32_t i = 0; i < p->nrules; i++)
			if (rule_class(&p->rules[i]) == c)
				look_at_rule(&k, &p->rules[i]);
}
