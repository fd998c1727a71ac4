/* Owns the way from imported objects to rules: what upstream's matching means in forms of the index. */
#include "policy/compile.h"
#include "policy/import.h"

static struct slice keep(struct compiler *c, struct slice s)
{
	return slice_dup(c->a, s);
}

/* The words of L; all when it holds `*` and STAR is true. */
static struct atom_set words(struct compiler *c, const struct import_list *l, bool star)
{
	uint32_t *v = ARENA_ARRAY(c->a, uint32_t, l->n);
	for (size_t i = 0; i < l->n; i++) {
		if (star && slice_is(l->v[i], "*"))
			return (struct atom_set){.any = true};
		v[i] = compile_intern(c, &c->p->words, l->v[i]);
	}
	return compile_set(v, (uint32_t)l->n);
}

/* --- resources --- */

/* Upstream compares TEXT with "resource/subresource" as one string, and takes `*` for a resource only in front
 * of a subresource that is not empty. No resource has a slash in its name, so the first one divides. */
static struct resource_form resource_form(struct compiler *c, struct slice text)
{
	size_t slash = slice_find(text, '/');
	struct slice resource = {text.p, slash}, sub = slice_skip(text, slash + 1);
	struct intern *table = &c->p->words;
	if (slice_is(text, "*"))
		return (struct resource_form){ATOM_ANY, ATOM_ANY};
	if (sub.len == 0)
		return (struct resource_form){compile_intern(c, table, text), c->p->empty};
	return (struct resource_form){
	    slice_is(resource, "*") ? ATOM_ANY : compile_intern(c, table, resource),
	    compile_intern(c, table, sub)};
}

/* --- paths --- */

/* Upstream cuts off every star at the end, and takes the rest for a prefix when there was one. */
static struct url_form url_form(struct compiler *c, struct slice text)
{
	size_t n = text.len;
	while (n && text.p[n - 1] == '*')
		n--;
	return (struct url_form){keep(c, (struct slice){text.p, n}), n < text.len};
}

static void add_urls(struct compiler *c, struct action *a, const struct slice *v, size_t n)
{
	struct url_form *urls = ARENA_ARRAY(c->a, struct url_form, n);
	for (size_t i = 0; i < n; i++)
		urls[i] = url_form(c, v[i]);
	a->urls = urls;
	a->nurls = (uint32_t)n;
}

/* --- roles --- */

static const struct action *compile_grant(struct compiler *c, struct import_grant *g)
{
	if (g->compiled)
		return g->compiled;
	compile_draft(c);
	struct action *a = ARENA_NEW(c->a, struct action);
	*a = (struct action){.resource = g->urls.n == 0, .verbs = words(c, &g->verbs, true)};
	if (a->resource) {
		struct resource_form *forms =
		    ARENA_ARRAY(c->a, struct resource_form, g->resources.n);
		for (size_t i = 0; i < g->resources.n; i++)
			forms[i] = resource_form(c, g->resources.v[i]);
		a->groups = words(c, &g->api_groups, true);
		a->names = g->names.n ? words(c, &g->names, false) : (struct atom_set){.any = true};
		a->forms = forms;
		a->nforms = (uint32_t)g->resources.n;
	} else {
		add_urls(c, a, g->urls.v, g->urls.n);
	}
	g->compiled = compile_share_action(c, a);
	return g->compiled;
}

/* What a binding in a namespace gives comes first in the list: paths are in no namespace. */
static void compile_role(struct compiler *c, struct import_role *role)
{
	if (role->compiled)
		return;
	const struct action **v = ARENA_ARRAY(c->t->arena, const struct action *, role->ngrants);
	uint32_t n = 0;
	for (size_t i = 0; i < role->ngrants; i++)
		if (role->grants[i]->urls.n == 0)
			v[n++] = compile_grant(c, role->grants[i]);
	role->resources = (struct action_list){v, n};
	for (size_t i = 0; i < role->ngrants; i++)
		if (role->grants[i]->urls.n > 0)
			v[n++] = compile_grant(c, role->grants[i]);
	role->all = (struct action_list){v, n};
	role->compiled = true;
}

/* --- rules --- */

static void set_actions(struct compiler *c, struct rule *r, struct action_list list)
{
	compile_shape(c, &list, 1, r);
}

static void set_namespace(struct compiler *c, struct rule *r, struct slice name)
{
	r->scope = SCOPE_NAMESPACES;
	r->namespaces = compile_namespace(c, name);
}

static const char *source(struct compiler *c, const struct place *at)
{
	const char *slash = strrchr(at->file, '/');
	return arena_printf(&c->p->arena, "%s:%u", slash ? slash + 1 : at->file, at->line);
}

/* Every request for a resource, and every one for a path. */
static const struct action *anything(struct compiler *c, bool resource)
{
	compile_draft(c);
	struct action *a = ARENA_NEW(c->a, struct action);
	static const struct slice all = SLICE("*");
	*a = (struct action){.resource = resource, .verbs = {.any = true}};
	if (!resource) {
		add_urls(c, a, &all, 1);
		return compile_share_action(c, a);
	}
	struct resource_form *form = ARENA_NEW(c->a, struct resource_form);
	*form = (struct resource_form){ATOM_ANY, ATOM_ANY};
	a->groups.any = a->names.any = true;
	a->forms = form;
	a->nforms = 1;
	return compile_share_action(c, a);
}

/* A binding that leads nowhere grants nothing, but says so where nothing else speaks, in upstream's words. */
static void compile_note(struct compiler *c, const struct import_binding *b, struct rule *out)
{
	const struct action **v = ARENA_ARRAY(c->t->arena, const struct action *, 2);
	v[0] = anything(c, true);
	if (!b->namespace_)
		v[1] = anything(c, false);
	out->effect = POLICY_NO_EFFECT;
	out->exact = true;
	out->message = arena_printf(&c->p->arena,
	    "RBAC: %s.rbac.authorization.k8s.io \"%s\" not found",
	    b->cluster_role ? "clusterrole" : "role", b->role_name);
	set_actions(c, out, (struct action_list){v, b->namespace_ ? 1 : 2});
}

static bool compile_binding(struct compiler *c, const struct import_binding *b, struct rule *out)
{
	struct import_role *role = b->role;
	if (b->users.n + b->groups.n == 0)
		return false;
	if (role)
		compile_role(c, role);
	struct action_list list = {0};
	if (role)
		list = b->namespace_ ? role->resources : role->all;
	if (role && list.n == 0)
		return false;
	*out = (struct rule){
	    .id = arena_strdup(&c->p->arena, b->id),
	    .source = source(c, &b->at),
	    .effect = POLICY_ALLOW,
	    .origin = ORIGIN_RBAC,
	    .subjects.own =
		compile_literals(c, b->users.v, b->users.n, b->groups.v, b->groups.n),
	};
	if (b->namespace_)
		set_namespace(c, out, slice_of(b->namespace_));
	if (role)
		set_actions(c, out, list);
	else
		compile_note(c, b, out);
	return true;
}

static struct atom_set line_verbs(struct compiler *c, bool readonly)
{
	static const struct slice reading[] = {SLICE("get"), SLICE("list"), SLICE("watch")};
	struct import_list l = {reading, ARRAY_LEN(reading)};
	return readonly ? words(c, &l, false) : (struct atom_set){.any = true};
}

/* The resource of a line with any subresource. */
static const struct action *line_resources(struct compiler *c, const struct import_line *l)
{
	compile_draft(c);
	struct action *a = ARENA_NEW(c->a, struct action);
	struct resource_form *form = ARENA_NEW(c->a, struct resource_form);
	bool all = slice_is(l->resource, "*");
	struct import_list group = {&l->api_group, 1};
	*form = (struct resource_form){
	    all ? ATOM_ANY : compile_intern(c, &c->p->words, l->resource), ATOM_ANY};
	*a = (struct action){.resource = true,
	    .verbs = line_verbs(c, l->readonly),
	    .groups = words(c, &group, true),
	    .names = {.any = true},
	    .forms = form,
	    .nforms = 1};
	return compile_share_action(c, a);
}

static const struct action *line_paths(struct compiler *c, const struct import_line *l)
{
	compile_draft(c);
	struct action *a = ARENA_NEW(c->a, struct action);
	*a = (struct action){.verbs = line_verbs(c, l->readonly)};
	add_urls(c, a, &l->path, 1);
	return compile_share_action(c, a);
}

/* A line without a resource still speaks for requests whose resource is empty, and one without a path for
 * those whose path is: what upstream compares for equality is compared for equality. */
static void compile_line(struct compiler *c, const struct import_line *l, struct rule *out)
{
	const struct action **v = ARENA_ARRAY(c->t->arena, const struct action *, 2);
	const struct subject_set *user =
	    l->user.len ? compile_literals(c, &l->user, 1, NULL, 0) : NULL;
	const struct subject_set *group =
	    l->group.len ? compile_literals(c, NULL, 0, &l->group, 1) : NULL;
	v[0] = line_resources(c, l);
	v[1] = line_paths(c, l);
	*out = (struct rule){
	    .id = arena_strdup(&c->p->arena, l->id),
	    .source = source(c, &l->at),
	    .effect = POLICY_ALLOW,
	    .origin = ORIGIN_ABAC,
	    .subjects.own = user ? user : group,
	    .also.own = user ? group : NULL,
	};
	if (l->namespace_.len == 0)
		out->scope = SCOPE_CLUSTER;
	else if (!slice_is(l->namespace_, "*"))
		set_namespace(c, out, l->namespace_);
	set_actions(c, out, (struct action_list){v, 2});
}

size_t import_compile(struct compiler *c, struct imports *im, struct rule *out)
{
	size_t n = 0;
	for (size_t i = 0; i < im->nbindings; i++)
		n += compile_binding(c, im->bindings[i], &out[n]);
	for (size_t i = 0; i < im->nlines; i++)
		compile_line(c, im->lines[i], &out[n++]);
	return n;
}
