/* Owns the binding of one policy file: header and counts first, then everything by the tables of load.c. */
#include "policy/ast.h"

void ast_done(struct ast *t)
{
	map_done(&t->subject_aliases);
	map_done(&t->namespace_aliases);
	map_done(&t->roles);
	map_done(&t->ids);
	map_done(&t->zones);
}

bool ast_bind_subject_alias(
    struct ast *t, const struct ast_file *f, const struct yaml_node *node, struct ast_subjects *out)
{
	return schema_bind(t->arena, ast_tables.alias_subjects, f->name, node, out, t->diags) ==
	       ERR_OK;
}

bool ast_bind_namespace_alias(struct ast *t, const struct ast_file *f, const struct yaml_node *node,
    struct ast_namespaces *out)
{
	bool ok = schema_bind(t->arena, ast_tables.alias_namespaces, f->name, node, out,
		      t->diags) == ERR_OK;
	out->list_key = "include";
	return ok;
}

bool ast_bind_namespaces(struct ast *t, const struct ast_file *f, const struct yaml_node *node,
    struct ast_namespaces *out)
{
	const struct schema *table = ast_tables.namespaces;
	if (node->kind == YAMLX_SEQ) {
		struct yaml_pair *pair = ARENA_NEW(t->arena, struct yaml_pair);
		struct yaml_node *list = ARENA_NEW(t->arena, struct yaml_node);
		struct yaml_node *map = ARENA_NEW(t->arena, struct yaml_node);
		*list = *node;
		*pair = (struct yaml_pair){.key = SLICE("namespaces"),
		    .line = node->line,
		    .col = node->col,
		    .value = list};
		*map = (struct yaml_node){.kind = YAMLX_MAP,
		    .line = node->line,
		    .col = node->col,
		    .len = 1,
		    .pairs = pair};
		node = map;
		table = ast_tables.namespace_list;
	} else if (node->kind != YAMLX_MAP) {
		ast_error(t, (struct place){f->name, node->line, node->col},
		    "`namespaces`: expected a list of globs, {include, exclude} or {alias}");
		return false;
	}
	bool ok = schema_bind(t->arena, table, f->name, node, out, t->diags) == ERR_OK;
	out->list_key = table == ast_tables.namespaces ? "include" : "namespaces";
	return ok;
}

/* --- one file --- */

static bool is_text(const struct yaml_node *n, const char *text)
{
	return n && n->kind == YAMLX_SCALAR && slice_is(n->text, text);
}

/* A foreign file gets this one finding and not one for each of its keys. */
static bool check_header(struct ast *t, const struct ast_file *f, const struct yaml_node *root)
{
	const char *const *want = t->guards ? ast_tables.guards_kind : ast_tables.file_kind;
	bool version = is_text(yamlx_get(root, "apiVersion"), ast_tables.version[0]);
	bool kind = is_text(yamlx_get(root, "kind"), want[0]);
	if (version && kind)
		return true;
	ast_error(t, ast_at(f, root, version ? "kind" : "apiVersion", 0),
	    "not %s: expected apiVersion `%s` and kind `%s`", t->guards ? "guards" : "a policy",
	    ast_tables.version[0], want[0]);
	return false;
}

static bool check_count(struct ast *t, const struct ast_file *f, const struct yaml_node *expected,
    const char *key, int64_t want, int64_t have)
{
	if (!ast_has(expected, key) || want == have)
		return true;
	ast_error(t, ast_at(f, expected, key, 0),
	    "expect.%s is %lld but the file holds %lld: is it whole?", key, (long long)want,
	    (long long)have);
	return false;
}

/* Before anything else: what is said about the rules of a torn file is worth nothing. */
static bool check_expect(struct ast *t, const struct ast_file *f, const struct yaml_node *root)
{
	const struct yaml_node *node = yamlx_get(root, "expect");
	if (!node)
		return true;
	struct ast_counts want;
	if (schema_bind(t->arena, ast_tables.expect, f->name, node, &want, t->diags) != ERR_OK)
		return false;
	const struct yaml_node *list = yamlx_get(root, "rules");
	int64_t rules = 0, denies = 0;
	for (; list && list->kind == YAMLX_SEQ && (size_t)rules < list->len; rules++)
		denies += is_text(yamlx_get(list->items[rules], "effect"), "deny");
	bool ok = check_count(t, f, node, "rules", want.rules, rules);
	return check_count(t, f, node, "denyRules", want.deny_rules, denies) && ok;
}

/* Files can be cut off where the rest still parses; editors and here-documents end the last line. */
static bool check_whole(struct ast *t, const struct policy_file *src)
{
	if (src->text.len && src->text.p[src->text.len - 1] == '\n')
		return true;
	ast_error(t, (struct place){src->name, 0, 0},
	    src->text.len ? "the last line has no line break: is the file whole?"
			  : "the file is empty");
	return false;
}

bool ast_load(struct ast *t, const struct policy_file *src, struct ast_file *f)
{
	struct yaml_node *root;
	*f = (struct ast_file){.name = src->name};
	if (!check_whole(t, src) ||
	    yamlx_parse(t->arena, src->name, src->text, &root, t->diags) != ERR_OK)
		return false;
	f->parsed = true;
	if (!check_header(t, f, root) || !check_expect(t, f, root))
		return false;
	const struct schema *table = t->guards ? ast_tables.guards : ast_tables.file;
	bool ok = schema_bind(t->arena, table, src->name, root, f, t->diags) == ERR_OK;
	f->name = src->name;
	f->parsed = true;
	return ok;
}
