/* Owns the checks across a policy: names of all files, links between them, the shape of each rule.
 */
#include "policy/ast.h"

#include <stdarg.h>
#include <stdio.h>

#include "policy/import.h"

#define ID_MAX 63
#define MESSAGE_MAX 120 /* it stands in a reason, which stands in a 403 and in audit annotations   \
			 */
#define SHOW_MAX 60

const char *ast_show(struct ast *t, const char *text)
{
	size_t n = strlen(text);
	if (n <= SHOW_MAX)
		return arena_printf(t->arena, "`%s`", text);
	for (n = SHOW_MAX; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80; n--)
		;
	return arena_printf(t->arena, "`%.*s…`", (int)n, text);
}

struct place ast_at(
    const struct ast_file *f, const struct yaml_node *node, const char *key, size_t i)
{
	struct place at = {.file = f->name};
	if (!node)
		return at;
	at.line = node->line;
	at.col = node->col;
	for (size_t k = 0; key && node->kind == YAMLX_MAP && k < node->len; k++) {
		const struct yaml_pair *pair = &node->pairs[k];
		if (!slice_is(pair->key, key))
			continue;
		const struct yaml_node *list = pair->value;
		if (list->kind == YAMLX_SEQ && i < list->len)
			return (struct place){f->name, list->items[i]->line, list->items[i]->col};
		return (struct place){f->name, pair->line, pair->col};
	}
	return at;
}

PRINTF(2, 0)
static const char *format(struct ast *t, const char *fmt, va_list ap)
{
	char text[768];
	vsnprintf(text, sizeof(text), fmt, ap);
	return arena_strdup(t->arena, text);
}

void ast_error(struct ast *t, struct place at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	diags_error(t->diags, at.file, at.line, at.col, "%s", format(t, fmt, ap));
	va_end(ap);
}

void ast_warn(struct ast *t, struct place at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	diags_warn(t->diags, at.file, at.line, at.col, "%s", format(t, fmt, ap));
	va_end(ap);
}

/* --- names --- */

void ast_unknown(
    struct ast *t, struct place at, const char *what, const char *name, const struct map *known)
{
	const char **names = ARENA_ARRAY(t->arena, const char *, known->len + 1);
	size_t n = 0, it = 0;
	struct slice key;
	void *value;
	while (map_next(known, &it, &key, &value))
		names[n++] = key.p;
	const char *near = diag_nearest(slice_of(name), names, n);
	ast_error(t, at, "unknown %s %s%s%s%s", what, ast_show(t, name),
	    near ? ", did you mean `" : "", near ? near : "", near ? "`?" : "");
}

static void link_subjects(struct ast *t, const struct ast_file *f, struct ast_subjects *s)
{
	if (!s->alias)
		return;
	s->target = map_get(&t->subject_aliases, slice_of(s->alias));
	if (!s->target)
		ast_unknown(t, ast_at(f, s->node, "alias", 0), "subjects alias", s->alias,
		    &t->subject_aliases);
}

static void link_namespaces(struct ast *t, const struct ast_file *f, struct ast_namespaces *n)
{
	if (!n->alias)
		return;
	n->target = map_get(&t->namespace_aliases, slice_of(n->alias));
	if (!n->target)
		ast_unknown(t, ast_at(f, n->node, "alias", 0), "namespaces alias", n->alias,
		    &t->namespace_aliases);
}

static void collect_subject_alias(
    struct ast *t, const struct ast_file *f, const struct yaml_pair *pair)
{
	struct ast_subject_alias *a = ARENA_NEW(t->arena, struct ast_subject_alias);
	if (!ast_bind_subject_alias(t, f, pair->value, &a->subjects))
		return;
	ast_check_subjects(t, f, &a->subjects);
	if (map_put(&t->subject_aliases, pair->key, a))
		ast_error(t, (struct place){f->name, pair->line, pair->col},
		    "the subjects alias %s stands in another file too", ast_show(t, pair->key.p));
}

static void collect_namespace_alias(
    struct ast *t, const struct ast_file *f, const struct yaml_pair *pair)
{
	struct ast_namespace_alias *a = ARENA_NEW(t->arena, struct ast_namespace_alias);
	if (!ast_bind_namespace_alias(t, f, pair->value, &a->namespaces))
		return;
	ast_check_namespaces(t, f, &a->namespaces);
	if (map_put(&t->namespace_aliases, pair->key, a))
		ast_error(t, (struct place){f->name, pair->line, pair->col},
		    "the namespaces alias %s stands in another file too", ast_show(t, pair->key.p));
}

typedef void collect_fn(struct ast *t, const struct ast_file *f, const struct yaml_pair *pair);

static void collect_aliases(
    struct ast *t, const struct ast_file *f, const struct yaml_node *node, collect_fn *collect)
{
	if (!node)
		return;
	if (node->kind != YAMLX_MAP) {
		ast_error(t, (struct place){f->name, node->line, node->col},
		    "expected a mapping of names to definitions, found %s", yamlx_kind(node));
		return;
	}
	for (size_t i = 0; i < node->len; i++)
		collect(t, f, &node->pairs[i]);
}

static void collect_roles(struct ast *t, const struct ast_file *f)
{
	struct ast_role *roles = f->roles.items;
	for (size_t i = 0; i < f->roles.len; i++) {
		struct ast_role *r = &roles[i];
		r->file = f;
		if (r->name[0] == '\0')
			ast_error(t, ast_at(f, r->node, "name", 0), "a role needs a name");
		if (map_put(&t->roles, slice_of(r->name), r))
			ast_error(t, ast_at(f, r->node, "name", 0), "a second role named %s",
			    ast_show(t, r->name));
		const struct ast_grant *g = r->rules.items;
		for (size_t k = 0; k < r->rules.len; k++)
			ast_check_grant_texts(t, f, &g[k]);
	}
}

static bool good_id(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789.-");
	return n > 0 && n <= ID_MAX && id[n] == '\0';
}

static void collect_ids(struct ast *t, const struct ast_file *f)
{
	struct ast_rule *rules = f->rules.items;
	for (size_t i = 0; i < f->rules.len; i++) {
		struct ast_rule *r = &rules[i];
		r->file = f;
		if (!good_id(r->id))
			ast_error(t, ast_at(f, r->node, "id", 0),
			    "the id %s is not 1 to 63 of a-z, 0-9, `.` and `-`",
			    ast_show(t, r->id));
		const struct ast_rule *other = map_put(&t->ids, slice_of(r->id), r);
		if (!other)
			continue;
		struct place first = ast_at(other->file, other->node, "id", 0);
		ast_error(t, ast_at(f, r->node, "id", 0),
		    "a second rule with the id %s; the first is at %s:%u", ast_show(t, r->id),
		    first.file, first.line);
	}
}

/* --- one rule --- */

static void check_roles(struct ast *t, const struct ast_file *f, struct ast_rule *r)
{
	static const char *const inline_keys[] = {
	    "apiGroups", "resources", "resourceNames", "resourceNamesGlob", "verbs",
	    "nonResourceURLs", "fieldSelector", "labelSelector"};
	for (size_t i = 0; i < ARRAY_LEN(inline_keys); i++)
		if (ast_has(r->node, inline_keys[i]))
			ast_error(t, ast_at(f, r->node, inline_keys[i], SIZE_MAX),
			    "`%s` beside `roles`: make it two rules", inline_keys[i]);
	r->role_defs = ARENA_ARRAY(t->arena, struct ast_role *, r->roles.len);
	for (size_t i = 0; i < r->roles.len; i++) {
		struct ast_role *role = map_get(&t->roles, slice_of(r->roles.items[i]));
		r->role_defs[i] = role;
		if (!role) {
			ast_unknown(t, ast_at(f, r->node, "roles", i), "role", r->roles.items[i],
			    &t->roles);
			continue;
		}
		const struct ast_grant *g = role->rules.items;
		for (size_t k = 0; k < role->rules.len; k++)
			ast_check_grant(t, r, role->file, &g[k]);
	}
}

static void check_scope(struct ast *t, const struct ast_file *f, struct ast_rule *r)
{
	if (r->namespaces_node && ast_bind_namespaces(t, f, r->namespaces_node, &r->namespaces)) {
		ast_check_namespaces(t, f, &r->namespaces);
		link_namespaces(t, f, &r->namespaces);
	}
	if (r->namespaces_node && ast_has(r->node, "clusterScope"))
		ast_error(t, ast_at(f, r->node, "clusterScope", 0),
		    "`clusterScope` beside `namespaces`: a request is in one or the other");
}

static void warn_no_one_left(struct ast *t, const struct ast_file *f, const struct ast_rule *r)
{
	const struct ast_subjects *s = &r->except.subjects;
	const struct ast_subjects *alias = s->target ? &s->target->subjects : NULL;
	if ((ast_has(s->node, "all") && s->all == AST_EVERYONE) ||
	    (alias && ast_has(alias->node, "all") && alias->all == AST_EVERYONE))
		ast_warn(t, ast_at(f, r->node, "except", 0),
		    "the rule `%s` excepts everyone: it has no effect", r->id);
}

static void check_rule(struct ast *t, const struct ast_file *f, struct ast_rule *r)
{
	if (r->message && strlen(r->message) > MESSAGE_MAX)
		ast_error(t, ast_at(f, r->node, "message", 0),
		    "`message` has %zu bytes, at most %d are allowed", strlen(r->message),
		    MESSAGE_MAX);
	ast_check_subjects(t, f, &r->subjects);
	link_subjects(t, f, &r->subjects);
	if (r->except.present) {
		ast_check_subjects(t, f, &r->except.subjects);
		link_subjects(t, f, &r->except.subjects);
		warn_no_one_left(t, f, r);
	}
	check_scope(t, f, r);
	ast_check_valid(t, f, r);
	if (ast_has(r->node, "roles")) {
		check_roles(t, f, r);
		return;
	}
	ast_check_grant_texts(t, f, &r->grant);
	ast_check_grant(t, r, f, &r->grant);
}

/* --- the whole --- */

static void check_cluster_scoped(struct ast *t, const struct ast_file *f)
{
	const struct string_list *list = &f->defaults.cluster_scoped;
	for (size_t i = 0; i < list->len; i++) {
		struct slice s = slice_of(list->items[i]);
		size_t slash = slice_find(s, '/');
		struct slice resource = slice_skip(s, slash + 1);
		if (slash == 0 || resource.len == 0 || slice_find(resource, '/') < resource.len ||
		    slice_find(s, '*') < s.len)
			ast_error(t, ast_at(f, f->defaults.node, "clusterScopedResources", i),
			    "%s is not written as group/resource", ast_show(t, s.p));
	}
}

static void check_defaults(struct ast *t, struct ast_file *f)
{
	if (!f->defaults.present)
		return;
	if (t->defaults) {
		ast_error(t, ast_at(f, f->node, "defaults", 0), "`defaults` stands in %s too",
		    t->defaults->name);
		return;
	}
	t->defaults = f;
	check_cluster_scoped(t, f);
	if (!ast_has(f->defaults.node, "exempt"))
		return;
	ast_check_subjects(t, f, &f->defaults.exempt);
	link_subjects(t, f, &f->defaults.exempt);
	ast_check_exempt(t, f, &f->defaults.exempt);
}

/* Someone must be able to repair what a wrong deny breaks. */
static void warn_lock_out(struct ast *t)
{
	const struct ast_file *with = t->defaults;
	if (with && ast_has(with->defaults.node, "exempt"))
		return;
	static const char text[] =
	    "nobody is exempt: a wrong deny can lock out nodes, controllers and "
	    "you; set `defaults.exempt`";
	if (with && with->defaults.decision == AST_DEFAULT_DENY) {
		ast_warn(t, ast_at(with, with->defaults.node, "decision", 0), "%s", text);
		return;
	}
	for (size_t i = 0; i < t->nfiles; i++) {
		const struct ast_file *f = &t->files[i];
		const struct ast_rule *rules = f->rules.items;
		for (size_t k = 0; k < f->rules.len; k++) {
			if (rules[k].effect != AST_DENY || rules[k].mode == AST_SHADOW)
				continue;
			ast_warn(t, ast_at(f, rules[k].node, NULL, 0), "%s", text);
			return;
		}
	}
}

/* Leave to shrink is given for one generation, so it must not stay behind unnoticed. */
static void warn_shrink(struct ast *t)
{
	int64_t newest = 0;
	for (size_t i = 0; i < t->nfiles; i++)
		if (t->files[i].metadata.generation > newest)
			newest = t->files[i].metadata.generation;
	for (size_t i = 0; i < t->nfiles; i++) {
		const struct ast_metadata *m = &t->files[i].metadata;
		if (m->allow_shrink && m->generation != newest)
			ast_warn(t, ast_at(&t->files[i], m->node, "allowShrink", 0),
			    "`allowShrink` is of generation %lld and the policy of %lld: it counts "
			    "no more",
			    (long long)m->generation, (long long)newest);
	}
}

static void check_size(struct ast *t)
{
	size_t rules = 0;
	for (size_t i = 0; i < t->nfiles; i++)
		rules += t->files[i].rules.len;
	rules += imports_rules(t->imports);
	if (rules > POLICY_RULES_MAX)
		ast_error(t, (struct place){t->files[0].name, 0, 0},
		    "%zu rules, at most %d are allowed", rules, POLICY_RULES_MAX);
	if (rules == 0 && !t->guards)
		ast_warn(t, (struct place){t->files[0].name, 0, 0}, "the policy has no rules");
}

void ast_check(struct ast *t)
{
	for (size_t i = 0; i < t->nfiles; i++) {
		const struct ast_file *f = &t->files[i];
		collect_aliases(t, f, f->aliases.subjects, collect_subject_alias);
		collect_aliases(t, f, f->aliases.namespaces, collect_namespace_alias);
		collect_roles(t, f);
		collect_ids(t, f);
	}
	check_size(t);
	for (size_t i = 0; i < t->nfiles; i++)
		check_defaults(t, &t->files[i]);
	for (size_t i = 0; i < t->nfiles; i++) {
		struct ast_file *f = &t->files[i];
		struct ast_rule *rules = f->rules.items;
		for (size_t k = 0; k < f->rules.len; k++)
			check_rule(t, f, &rules[k]);
		ast_check_imports(t, f);
		const struct ast_test *tests = f->tests.items;
		for (size_t k = 0; k < f->tests.len; k++)
			ast_check_test(t, f, &tests[k]);
	}
	warn_lock_out(t);
	warn_shrink(t);
}
