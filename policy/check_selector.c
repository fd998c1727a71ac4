/* Owns the checks on field and label selectors, of rules and of the questions in tests. */
#include "policy/ast.h"

#define LABEL_NAME_MAX 63 /* as in Kubernetes */
#define LABEL_PREFIX_MAX 253

/* The verbs whose requests carry selectors. */
static bool selecting(const char *verb)
{
	return strcmp(verb, "list") == 0 || strcmp(verb, "watch") == 0 ||
	       strcmp(verb, "deletecollection") == 0;
}

static bool alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* 1 to MAX of letters, digits and PUNCTUATION, which stands at neither end. */
static bool good_word(struct slice s, size_t max, const char *punctuation)
{
	if (s.len == 0 || s.len > max || !alnum(s.p[0]) || !alnum(s.p[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!alnum(s.p[i]) && !strchr(punctuation, s.p[i]))
			return false;
	return true;
}

static bool good_label_key(const char *key)
{
	struct slice text = slice_of(key);
	size_t slash = slice_find(text, '/');
	if (slash == text.len)
		return good_word(text, LABEL_NAME_MAX, "-_.");
	return good_word((struct slice){key, slash}, LABEL_PREFIX_MAX, "-.") &&
	       good_word(slice_skip(text, slash + 1), LABEL_NAME_MAX, "-_.");
}

static void check_label(struct ast *t, const struct ast_file *f, const struct ast_requirement *q)
{
	if (!good_label_key(q->key))
		ast_error(t, ast_at(f, q->node, "key", 0),
		    "%s can be no label: expected [prefix/]name of letters, digits, `-`, `_`, `.`",
		    ast_show(t, q->key));
	for (size_t i = 0; i < q->values.len; i++) {
		struct slice s = slice_of(q->values.items[i]);
		if (s.len && !good_word(s, LABEL_NAME_MAX, "-_."))
			ast_error(t, ast_at(f, q->node, "values", i),
			    "%s can be no label's value: at most 63 letters, digits, `-`, `_`, `.`",
			    ast_show(t, s.p));
	}
}

static void check_requirement(
    struct ast *t, const struct ast_file *f, const struct ast_requirement *q, bool labels)
{
	bool wants = q->op == AST_IN || q->op == AST_NOT_IN;
	if (wants && q->values.len == 0)
		ast_error(t, ast_at(f, q->node, "operator", 0), "the operator `%s` needs `values`",
		    q->op == AST_IN ? "In" : "NotIn");
	if (!wants && q->values.len)
		ast_error(t, ast_at(f, q->node, "values", SIZE_MAX),
		    "the operator `%s` takes no `values`",
		    q->op == AST_EXISTS ? "Exists" : "DoesNotExist");
	if (labels)
		check_label(t, f, q);
}

/* Other requests carry no labels and fields: whether a rule is about them could not be told. */
static void check_verbs(struct ast *t, const struct ast_file *f, const struct ast_selector *s,
    bool labels, const struct string_list *verbs)
{
	for (size_t i = 0; i < verbs->len; i++) {
		if (selecting(verbs->items[i]))
			continue;
		ast_error(t, (struct place){f->name, s->node->line, s->node->col},
		    "`%s` with the verb %s: only requests to list, watch and deletecollection tell "
		    "what they select",
		    labels ? "labelSelector" : "fieldSelector", ast_show(t, verbs->items[i]));
		return;
	}
}

void ast_check_selector(struct ast *t, const struct ast_file *f, const struct ast_selector *s,
    bool labels, const struct string_list *verbs)
{
	if (!s->present)
		return;
	check_verbs(t, f, s, labels, verbs);
	const struct ast_requirement *q = s->requirements.items;
	for (size_t i = 0; i < s->requirements.len; i++)
		check_requirement(t, f, &q[i], labels);
}
