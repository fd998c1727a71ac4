/* Owns the checks on the policy's own tests: who asks, what, and what is expected. */
#include "common/clock.h"
#include "policy/ast.h"
#include "policy/glob.h"
#include "policy/import.h"

/* As the apiserver has them: a mapping of keys to lists of strings. */
static void check_extra(struct ast *t, const struct ast_file *f, const struct ast_as *as)
{
	const struct yaml_node *node = as->extra;
	if (node && node->kind != YAMLX_MAP)
		ast_error(t, (struct place){f->name, node->line, node->col},
		    "`extra`: expected a mapping of keys to lists of strings, found %s",
		    yamlx_kind(node));
	for (size_t i = 0; node && node->kind == YAMLX_MAP && i < node->len; i++) {
		const struct yaml_pair *pair = &node->pairs[i];
		const struct yaml_node *list = pair->value;
		bool good = list->kind == YAMLX_SEQ && list->len > 0;
		for (size_t k = 0; good && k < list->len; k++)
			good =
			    list->items[k]->kind == YAMLX_SCALAR && !yamlx_is_null(list->items[k]);
		if (!good)
			ast_error(t, (struct place){f->name, pair->line, pair->col},
			    "`extra`: %s is no list of strings", ast_show(t, pair->key.p));
	}
}

static void check_as(struct ast *t, const struct ast_file *f, const struct ast_as *as)
{
	if (!as->user && !as->service_account && as->groups.len == 0)
		ast_error(t, ast_at(f, as->node, NULL, 0),
		    "`as` needs `user`, `serviceAccount` or `groups`");
	check_extra(t, f, as);
	if (!as->service_account)
		return;
	if (as->user)
		ast_error(t, ast_at(f, as->node, "user", 0), "`user` beside `serviceAccount`");
	struct slice text = slice_of(as->service_account);
	size_t slash = slice_find(text, '/');
	struct slice name = slice_skip(text, slash + 1);
	if (slash == 0 || name.len == 0 || slice_find(name, '/') < name.len || glob_is(text))
		ast_error(t, ast_at(f, as->node, "serviceAccount", 0),
		    "the service account %s is not written as namespace/name", ast_show(t, text.p));
}

static void check_can(struct ast *t, const struct ast_file *f, const struct ast_can *can)
{
	static const char *const resource_keys[] = {"apiGroup", "version", "resource",
	    "subresource", "namespace", "name", "fieldSelector", "labelSelector"};
	const struct string_list verb = {&can->verb, 1};
	if (!can->path && !can->resource)
		ast_error(t, ast_at(f, can->node, NULL, 0), "`can` needs `resource` or `path`");
	for (size_t i = 0; can->path && i < ARRAY_LEN(resource_keys); i++)
		if (ast_has(can->node, resource_keys[i]))
			ast_error(t, ast_at(f, can->node, resource_keys[i], 0),
			    "`%s` beside `path`: a request is for one or the other",
			    resource_keys[i]);
	if (can->resource && can->subresource && strchr(can->resource, '/'))
		ast_error(t, ast_at(f, can->node, "subresource", 0), "`subresource` beside %s",
		    ast_show(t, can->resource));
	ast_check_selector(t, f, &can->fields, false, &verb);
	ast_check_selector(t, f, &can->labels, true, &verb);
}

/* A rule in shadow decides nothing. */
static void check_by(struct ast *t, const struct ast_file *f, const struct ast_test *test)
{
	const struct ast_rule *r = map_get(&t->ids, slice_of(test->by));
	if (!r && imports_has(t->imports, slice_of(test->by)))
		return;
	if (!r)
		ast_unknown(t, ast_at(f, test->node, "by", 0), "rule", test->by, &t->ids);
	else if (r->mode == AST_SHADOW)
		ast_error(t, ast_at(f, test->node, "by", 0),
		    "`by`: the rule %s is in shadow and decides nothing", ast_show(t, test->by));
}

void ast_check_test(struct ast *t, const struct ast_file *f, const struct ast_test *test)
{
	check_as(t, f, &test->as);
	check_can(t, f, &test->can);
	if (test->by)
		check_by(t, f, test);
	int64_t at;
	if (test->at && !clock_parse_rfc3339(slice_of(test->at), &at))
		ast_error(t, ast_at(f, test->node, "at", 0),
		    "`at`: %s is no time such as 2026-11-22T10:00:00Z", ast_show(t, test->at));
}
