/* Owns compiling: from the checked tree to numbers, sets and rules. */
#include <stdlib.h>

#include "policy/ast.h"
#include "policy/compile.h"
#include "policy/import.h"
#include "policy/scope.h"

uint32_t compile_intern(struct compiler *c, struct intern *table, struct slice text)
{
	uint32_t id = intern_find(table, text);
	return id != INTERN_NONE ? id : intern_add(table, slice_dup(&c->p->arena, text));
}

static int u32_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

struct atom_set compile_set(uint32_t *v, uint32_t n)
{
	if (n > 1)
		qsort(v, n, sizeof(*v), u32_cmp);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || v[kept - 1] != v[i])
			v[kept++] = v[i];
	return (struct atom_set){.v = v, .n = kept};
}

/* The set of LIST's words; unconstrained when LIST is absent and ABSENT_IS_ANY, or holds `*` and
 * STAR_IS_ANY. */
static struct atom_set word_set(
    struct compiler *c, const struct string_list *list, bool absent_is_any, bool star_is_any)
{
	if (list->len == 0 && absent_is_any)
		return (struct atom_set){.any = true};
	uint32_t *v = ARENA_ARRAY(c->a, uint32_t, list->len);
	for (size_t i = 0; i < list->len; i++) {
		struct slice text = slice_of(list->items[i]);
		if (star_is_any && slice_is(text, "*"))
			return (struct atom_set){.any = true};
		v[i] = compile_intern(c, &c->p->words, text);
	}
	return compile_set(v, (uint32_t)list->len);
}

/* --- what --- */

static struct resource_form resource_form(struct compiler *c, const char *text)
{
	struct slice s = slice_of(text);
	size_t slash = slice_find(s, '/');
	struct slice resource = {s.p, slash}, sub = slice_skip(s, slash + 1);
	bool star = slice_is(resource, "*");
	struct resource_form f = {.resource = ATOM_ANY, .sub = c->p->empty};
	if (!star)
		f.resource = compile_intern(c, &c->p->words, resource);
	if (slash == s.len)
		f.sub = star ? ATOM_ANY : c->p->empty;
	else if (slice_is(sub, "*"))
		f.sub = ATOM_SOME;
	else
		f.sub = compile_intern(c, &c->p->words, sub);
	return f;
}

static void compile_paths(struct compiler *c, const struct ast_grant *g, struct action *out)
{
	struct url_form *urls = ARENA_ARRAY(c->a, struct url_form, g->urls.len);
	for (size_t i = 0; i < g->urls.len; i++) {
		struct slice text = slice_dup(c->a, slice_of(g->urls.items[i]));
		bool prefix = text.p[text.len - 1] == '*';
		urls[i] = (struct url_form){{text.p, text.len - prefix}, prefix};
	}
	out->urls = urls;
	out->nurls = (uint32_t)g->urls.len;
}

static struct glob_list pattern_list(struct compiler *c, const struct string_list *list)
{
	struct slice *v = ARENA_ARRAY(c->a, struct slice, list->len);
	for (size_t i = 0; i < list->len; i++)
		v[i] = slice_dup(c->a, slice_of(list->items[i]));
	return (struct glob_list){.v = v, .n = (uint32_t)list->len};
}

static void compile_grant(struct compiler *c, const struct ast_grant *g, struct action *out)
{
	out->resource = g->urls.len == 0;
	out->verbs = word_set(c, &g->verbs, false, true);
	if (!out->resource) {
		compile_paths(c, g, out);
		return;
	}
	out->groups = word_set(c, &g->api_groups, true, true);
	out->names = word_set(c, &g->resource_names, g->resource_name_globs.len == 0, false);
	out->name_globs = pattern_list(c, &g->resource_name_globs);
	out->fields = compile_selector(c, &g->fields);
	out->labels = compile_selector(c, &g->labels);
	struct resource_form *forms =
	    ARENA_ARRAY(c->a, struct resource_form, g->resources.len);
	for (size_t i = 0; i < g->resources.len; i++)
		forms[i] = resource_form(c, g->resources.items[i]);
	out->forms = forms;
	out->nforms = (uint32_t)g->resources.len;
}

static const struct action *shared_grant(struct compiler *c, const struct ast_grant *g)
{
	struct action draft = {0};
	compile_draft(c);
	compile_grant(c, g, &draft);
	return compile_share_action(c, &draft);
}

static const struct action *const *compile_grants(
    struct compiler *c, const struct ast_grant *g, size_t n)
{
	const struct action **actions = ARENA_ARRAY(c->t->arena, const struct action *, n);
	for (size_t i = 0; i < n; i++)
		actions[i] = shared_grant(c, &g[i]);
	return actions;
}

static struct action_list compile_role(struct compiler *c, struct ast_role *role)
{
	if (!role->compiled)
		role->compiled = compile_grants(c, role->rules.items, role->rules.len);
	return (struct action_list){role->compiled, (uint32_t)role->rules.len};
}

/* What a rule is about; rules that say the same share it. */
static void compile_actions(struct compiler *c, const struct ast_rule *r, struct rule *out)
{
	size_t n = r->roles.len ? r->roles.len : 1;
	struct action_list *lists = ARENA_ARRAY(c->t->arena, struct action_list, n);
	if (r->roles.len == 0)
		lists[0] = (struct action_list){compile_grants(c, &r->grant, 1), 1};
	for (size_t i = 0; i < r->roles.len; i++)
		lists[i] = compile_role(c, r->role_defs[i]);
	compile_shape(c, lists, (uint32_t)n, out);
}

/* --- where --- */

/* Divides LIST into literals and globs; these get numbers. */
static void name_list(struct compiler *c, const struct string_list *list, struct atom_set *literals,
    struct glob_list *globs)
{
	uint32_t nv = 0, ng = 0;
	for (size_t i = 0; i < list->len; i++)
		ng += glob_is(slice_of(list->items[i]));
	uint32_t *v = ARENA_ARRAY(c->a, uint32_t, list->len - ng);
	uint32_t *ids = ARENA_ARRAY(c->a, uint32_t, ng);
	struct slice *g = ARENA_ARRAY(c->a, struct slice, ng);
	ng = 0;
	for (size_t i = 0; i < list->len; i++) {
		struct slice text = slice_of(list->items[i]);
		if (!glob_is(text)) {
			v[nv++] = compile_intern(c, &c->p->words, text);
			continue;
		}
		uint32_t id = compile_intern(c, &c->place_globs, text);
		g[ng] = c->place_globs.texts[id];
		ids[ng++] = id - 1;
	}
	*literals = compile_set(v, nv);
	*globs = (struct glob_list){.v = g, .ids = ids, .n = ng};
}

const struct ns_set *compile_namespace(struct compiler *c, struct slice name)
{
	uint32_t word = compile_intern(c, &c->p->words, name);
	const struct ns_set set = {.include = {.v = &word, .n = 1}};
	return compile_share_namespaces(c, &set);
}

static const struct ns_set *shared_namespaces(
    struct compiler *c, const struct ast_namespaces *from)
{
	struct ns_set draft = {0};
	compile_draft(c);
	name_list(c, &from->include, &draft.include, &draft.include_globs);
	name_list(c, &from->exclude, &draft.exclude, &draft.exclude_globs);
	return compile_share_namespaces(c, &draft);
}

static const struct ns_set *compile_namespaces(struct compiler *c, const struct ast_namespaces *n)
{
	if (!n->target)
		return shared_namespaces(c, n);
	if (!n->target->compiled)
		n->target->compiled = shared_namespaces(c, &n->target->namespaces);
	return n->target->compiled;
}

/* --- rules and tests --- */

static void compile_rule(struct compiler *c, const struct ast_rule *r, struct rule *out)
{
	static const enum policy_effect effects[] = {
	    [AST_ALLOW] = POLICY_ALLOW, [AST_DENY] = POLICY_DENY, [AST_ABSTAIN] = POLICY_ABSTAIN};
	struct arena *a = &c->p->arena;
	*out = (struct rule){
	    .id = arena_strdup(a, r->id),
	    .source = arena_printf(a, "%s:%u", ast_base_name(r->file->name), r->node->line),
	    .message = arena_strdup(a, r->message),
	    .effect = effects[r->effect],
	    .shadow = r->mode == AST_SHADOW,
	    .exact = r->overlap == AST_OVERLAP_EXACT,
	    .except = out->except,
	    .subjects = compile_subjects(c, &r->subjects),
	};
	if (r->namespaces_node) {
		out->scope = SCOPE_NAMESPACES;
		out->namespaces = compile_namespaces(c, &r->namespaces);
	} else if (ast_has(r->node, "clusterScope")) {
		out->scope = SCOPE_CLUSTER;
	}
	compile_actions(c, r, out);
	compile_valid(c, r, out);
	c->p->info.deny_rules += rule_class(out) == CLASS_DENY;
	c->p->info.abstain_rules += rule_class(out) == CLASS_ABSTAIN;
	c->p->info.shadow_rules += out->shadow;
}

static struct slice keep(struct compiler *c, const char *s)
{
	return s ? slice_dup(&c->p->arena, slice_of(s)) : (struct slice){0};
}

/* The groups that the apiserver adds to every identity stand in tests without being written. */
static void test_identity(struct compiler *c, const struct ast_as *as, struct policy_test *out)
{
	struct arena *a = &c->p->arena;
	struct slice *groups = ARENA_ARRAY(a, struct slice, as->groups.len + 3);
	size_t n = 0;
	bool authenticated = false;
	for (; n < as->groups.len; n++) {
		groups[n] = keep(c, as->groups.items[n]);
		authenticated |= slice_is(groups[n], "system:authenticated") ||
				 slice_is(groups[n], "system:unauthenticated");
	}
	out->user = keep(c, as->user);
	if (as->service_account) {
		struct slice text = slice_of(as->service_account);
		int slash = (int)slice_find(text, '/');
		out->user = slice_of(arena_printf(
		    a, SERVICE_ACCOUNT_PREFIX "%.*s:%s", slash, text.p, text.p + slash + 1));
		groups[n++] = SLICE("system:serviceaccounts");
		groups[n++] =
		    slice_of(arena_printf(a, "system:serviceaccounts:%.*s", slash, text.p));
	}
	if (!authenticated)
		groups[n++] = slice_is(out->user, "system:anonymous")
				  ? SLICE("system:unauthenticated")
				  : SLICE("system:authenticated");
	out->uid = keep(c, as->uid);
	out->groups = groups;
	out->ngroups = n;
}

static void compile_test(
    struct compiler *c, const struct ast_file *f, const struct ast_test *t, struct policy_test *out)
{
	static const enum policy_expect expects[] = {[AST_EXPECT_ALLOW] = POLICY_EXPECT_ALLOW,
	    [AST_EXPECT_DENY] = POLICY_EXPECT_DENY,
	    [AST_EXPECT_NO_OPINION] = POLICY_EXPECT_NO_OPINION};
	const struct ast_can *can = &t->can;
	*out = (struct policy_test){
	    .label = arena_strdup(&c->p->arena, t->name),
	    .by = arena_strdup(&c->p->arena, t->by),
	    .file = arena_strdup(&c->p->arena, f->name),
	    .line = t->node->line,
	    .col = t->node->col,
	    .expect = expects[t->expect],
	    .resource_request = !can->path,
	    .verb = keep(c, can->verb),
	    .api_group = keep(c, can->api_group),
	    .version = keep(c, can->version),
	    .resource = keep(c, can->resource),
	    .subresource = keep(c, can->subresource),
	    .name = keep(c, can->name),
	    .namespace_ = keep(c, can->namespace_),
	    .path = keep(c, can->path),
	};
	size_t slash = slice_find(out->resource, '/');
	if (slash < out->resource.len) {
		out->subresource = slice_skip(out->resource, slash + 1);
		out->resource.len = slash;
	}
	test_identity(c, &t->as, out);
	compile_test_details(c, t, out);
}

/* --- the whole --- */

static int u64_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static uint64_t scoped_pair(struct compiler *c, struct slice group, struct slice resource)
{
	uint64_t high = compile_intern(c, &c->p->words, group);
	return high << 32 | compile_intern(c, &c->p->words, resource);
}

static void compile_cluster_scoped(struct compiler *c)
{
	const struct ast_file *f = c->t->defaults;
	size_t own = f ? f->defaults.cluster_scoped.len : 0, n = 0;
	uint64_t *v = ARENA_ARRAY(&c->p->arena, uint64_t, scope_builtin_len + own);
	for (size_t i = 0; i < scope_builtin_len; i++)
		v[n++] = scoped_pair(
		    c, slice_of(scope_builtin[i].group), slice_of(scope_builtin[i].resource));
	for (size_t i = 0; i < own; i++) {
		struct slice s = slice_of(f->defaults.cluster_scoped.items[i]);
		size_t slash = slice_find(s, '/');
		v[n++] = scoped_pair(c, (struct slice){s.p, slash}, slice_skip(s, slash + 1));
	}
	qsort(v, n, sizeof(*v), u64_cmp);
	c->p->cluster_scoped = v;
	c->p->ncluster_scoped = (uint32_t)n;
}

/* Exemptions and exceptions first: the evaluator keeps a bit for each of the first sets. */
static void compile_exceptions(struct compiler *c, struct rule *rules)
{
	const struct ast_file *f = c->t->defaults;
	if (f && ast_has(f->defaults.node, "exempt"))
		c->p->exempt = compile_subjects(c, &f->defaults.exempt);
	c->p->default_deny = f && f->defaults.decision == AST_DEFAULT_DENY;
	for (size_t i = 0; i < c->t->nfiles; i++) {
		const struct object_list *list = &c->t->files[i].rules;
		const struct ast_rule *r = list->items;
		for (size_t k = 0; k < list->len; k++, rules++)
			if (r[k].except.present)
				rules->except = compile_subjects(c, &r[k].except.subjects);
	}
}

static void compile_rules(struct compiler *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->t->nfiles; i++)
		n += c->t->files[i].rules.len;
	struct rule *rules =
	    ARENA_ARRAY(&c->p->arena, struct rule, n + imports_rules(c->t->imports));
	c->p->rules = rules;
	compile_exceptions(c, rules);
	for (size_t i = 0; i < c->t->nfiles; i++) {
		const struct object_list *list = &c->t->files[i].rules;
		const struct ast_rule *r = list->items;
		for (size_t k = 0; k < list->len; k++)
			compile_rule(c, &r[k], rules++);
	}
	n += import_compile(c, c->t->imports, rules);
	c->p->nrules = (uint32_t)n;
	c->p->info.rules += n;
}

static void compile_tests(struct compiler *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->t->nfiles; i++)
		n += c->t->files[i].tests.len;
	struct policy_test *tests = ARENA_ARRAY(&c->p->arena, struct policy_test, n);
	c->p->tests = tests;
	c->p->ntests = n;
	c->p->info.tests = n;
	for (size_t i = 0; i < c->t->nfiles; i++) {
		const struct object_list *list = &c->t->files[i].tests;
		const struct ast_test *t = list->items;
		for (size_t k = 0; k < list->len; k++)
			compile_test(c, &c->t->files[i], &t[k], tests++);
	}
}

void policy_build(struct policy *p, struct ast *t)
{
	struct compiler c = {.p = p, .t = t, .a = &p->arena};
	p->empty = intern_add(&p->words, SLICE(""));
	compile_cluster_scoped(&c);
	compile_rules(&c);
	compile_lists(&c);
	compile_tests(&c);
	intern_done(&c.user_globs);
	intern_done(&c.group_globs);
	intern_done(&c.sa_globs);
	intern_done(&c.place_globs);
	map_done(&c.sets);
	map_done(&c.actions);
	map_done(&c.places);
	map_done(&c.windows);
	map_done(&c.zones);
	map_done(&c.shapes);
	arena_done(&c.scratch);
}
