/* Owns the checks on whom and where: subjects, exemptions, namespaces. */
#include "policy/ast.h"
#include "policy/glob.h"

/* Negation stands in `except` and `exclude` alone: taken literally, `!x` would name nobody, and a deny would
 * silently spare whom it should hit. */
static void refuse_odd(struct ast *t, const struct ast_file *f, const struct yaml_node *node,
    const char *key, const struct string_list *list)
{
	for (size_t i = 0; i < list->len; i++) {
		if (list->items[i][0] == '\0')
			ast_error(t, ast_at(f, node, key, i), "`%s[%zu]` is empty", key, i);
		else if (list->items[i][0] == '!')
			ast_error(t, ast_at(f, node, key, i),
			    "%s: `!` has no meaning here; whom a rule does not concern stands in "
			    "`except`",
			    ast_show(t, list->items[i]));
	}
}

static void check_service_accounts(
    struct ast *t, const struct ast_file *f, const struct ast_subjects *s)
{
	for (size_t i = 0; i < s->service_accounts.len; i++) {
		struct slice text = slice_of(s->service_accounts.items[i]);
		size_t slash = slice_find(text, '/');
		struct slice name = slice_skip(text, slash + 1);
		bool good = slash > 0 && name.len > 0 && slice_find(name, '/') == name.len &&
			    slice_find(text, ':') == text.len;
		if (!good)
			ast_error(t, ast_at(f, s->node, "serviceAccounts", i),
			    "the service account %s is not written as namespace/name",
			    ast_show(t, text.p));
	}
}

static void warn_all(struct ast *t, const struct ast_file *f, const struct yaml_node *node,
    const char *key, const struct string_list *list)
{
	for (size_t i = 0; i < list->len; i++)
		if (glob_is_all(slice_of(list->items[i])))
			ast_warn(t, ast_at(f, node, key, i),
			    "`%s: [\"*\"]` is everybody, system:anonymous too; "
			    "`all: authenticated` or `all: everyone` says what is meant",
			    key);
}

void ast_check_subjects(struct ast *t, const struct ast_file *f, struct ast_subjects *s)
{
	if (!s->node || s->node->len == 0) {
		ast_error(t, ast_at(f, s->node, NULL, 0), "no subjects are named");
		return;
	}
	refuse_odd(t, f, s->node, "users", &s->users);
	refuse_odd(t, f, s->node, "groups", &s->groups);
	refuse_odd(t, f, s->node, "serviceAccounts", &s->service_accounts);
	warn_all(t, f, s->node, "users", &s->users);
	warn_all(t, f, s->node, "groups", &s->groups);
	check_service_accounts(t, f, s);
}

/* An exemption that takes in a group or a user everyone is (or can be) switches every deny off. */
static void refuse_exempt(struct ast *t, struct place at, const char *pattern, const char *who)
{
	if (glob_match(slice_of(pattern), slice_of(who)))
		ast_error(t, at, "%s would exempt `%s`: no deny would be left",
		    ast_show(t, pattern), who);
}

static void check_exempt_lists(
    struct ast *t, const struct ast_file *f, const struct ast_subjects *s, const struct place *via)
{
	for (size_t i = 0; i < s->users.len; i++)
		refuse_exempt(t, via ? *via : ast_at(f, s->node, "users", i), s->users.items[i],
		    "system:anonymous");
	for (size_t i = 0; i < s->groups.len; i++) {
		struct place at = via ? *via : ast_at(f, s->node, "groups", i);
		refuse_exempt(t, at, s->groups.items[i], "system:authenticated");
		refuse_exempt(t, at, s->groups.items[i], "system:unauthenticated");
		if (glob_match(slice_of(s->groups.items[i]), SLICE("system:serviceaccounts")))
			ast_warn(t, at, "%s exempts every service account",
			    ast_show(t, s->groups.items[i]));
	}
	for (size_t i = 0; i < s->service_accounts.len; i++)
		if (s->service_accounts.items[i][0] == '*')
			ast_warn(t, via ? *via : ast_at(f, s->node, "serviceAccounts", i),
			    "%s exempts service accounts of namespaces that users may create",
			    ast_show(t, s->service_accounts.items[i]));
}

void ast_check_exempt(struct ast *t, const struct ast_file *f, struct ast_subjects *s)
{
	check_exempt_lists(t, f, s, NULL);
	if (!s->target)
		return;
	struct place via = ast_at(f, s->node, "alias", 0);
	if (ast_has(s->target->subjects.node, "all"))
		ast_error(t, via, "the alias %s says `all`: no deny would be left",
		    ast_show(t, s->alias));
	check_exempt_lists(t, f, &s->target->subjects, &via);
}

/* --- namespaces --- */

static void check_namespace_globs(struct ast *t, const struct ast_file *f,
    const struct yaml_node *node, const char *key, const struct string_list *list)
{
	for (size_t i = 0; i < list->len; i++) {
		const char *s = list->items[i];
		if (s[0] == '\0')
			ast_error(t, ast_at(f, node, key, i),
			    "an empty namespace; `clusterScope: only` means requests without one");
		else if (s[0] == '!')
			ast_error(t, ast_at(f, node, key, i),
			    "`!` has no meaning here; use {include: [...], exclude: [...]}");
		else if (s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-*")] != '\0')
			ast_error(t, ast_at(f, node, key, i),
			    "%s can match no namespace: their names are a-z, 0-9 and `-`",
			    ast_show(t, s));
	}
}

void ast_check_namespaces(struct ast *t, const struct ast_file *f, struct ast_namespaces *n)
{
	if (!n->node)
		return;
	bool lists = n->include.len || n->exclude.len;
	if (n->alias && lists)
		ast_error(t, ast_at(f, n->node, "alias", 0),
		    "`alias` beside `include` or `exclude`: put them into the alias");
	else if (!n->alias && n->include.len == 0)
		ast_error(t, ast_at(f, n->node, "exclude", SIZE_MAX),
		    "`include` is missing; [\"*\"] is every namespace");
	check_namespace_globs(t, f, n->node, n->list_key, &n->include);
	check_namespace_globs(t, f, n->node, "exclude", &n->exclude);
}
