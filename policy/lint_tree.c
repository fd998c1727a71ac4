/* Owns what lint reads from the policy as written: places of rules, comments that accept a finding,
 * names that nothing uses, generations. */
#include <ctype.h>

#include "policy/lint_parts.h"

/* `# lint:allow CODE…` */
#define ALLOW_MARK "# lint:allow "

/* --- comments --- */

static void accept(struct linter *l, const char *file, uint32_t line, struct slice codes)
{
	while (codes.len) {
		while (codes.len && strchr(" ,\t", codes.p[0]))
			codes = slice_skip(codes, 1);
		size_t n = 0;
		while (n < codes.len && !strchr(" ,\t\r", codes.p[n]))
			n++;
		struct slice code = {codes.p, n};
		if (n && lint_code_known(code))
			map_put(&l->accepted,
			    slice_of(arena_printf(
				&l->arena, "%s\n%u\n" SLICE_FMT, file, line, SLICE_ARG(code))),
			    l);
		codes = slice_skip(codes, n + 1);
	}
}

/* Where ALLOW_MARK stands in LINE as a comment; line.len when it does not. */
static size_t mark_at(struct slice line)
{
	struct slice mark = SLICE(ALLOW_MARK);
	for (size_t i = 0; i + mark.len <= line.len; i++)
		if (slice_starts(slice_skip(line, i), mark) &&
		    (i == 0 || line.p[i - 1] == ' ' || line.p[i - 1] == '\t'))
			return i;
	return line.len;
}

static bool blank_or_comment(struct slice line)
{
	size_t i = 0;
	while (i < line.len && strchr(" \t\r", line.p[i]))
		i++;
	return i == line.len || line.p[i] == '#';
}

/* The start of each rule of a file, by line, so that a comment inside a rule is about it. */
struct rule_lines {
	const uint32_t *v;
	size_t n;
};

static uint32_t rule_line_at(const struct rule_lines *r, uint32_t line)
{
	uint32_t best = line;
	for (size_t i = 0; i < r->n && r->v[i] <= line; i++)
		best = r->v[i];
	return best;
}

/* At the end of a line a comment is about the rule of this line; alone, about what follows. */
static void read_comments(
    struct linter *l, const struct policy_file *f, const struct rule_lines *rules)
{
	struct slice text = f->text, waiting[16];
	size_t nwaiting = 0;
	for (uint32_t line = 1; text.len; line++) {
		struct slice s = {text.p, slice_find(text, '\n')};
		text = slice_skip(text, s.len + 1);
		size_t mark = mark_at(s);
		struct slice codes = slice_skip(s, mark + sizeof(ALLOW_MARK) - 1);
		if (blank_or_comment(s)) {
			if (codes.len && nwaiting < ARRAY_LEN(waiting))
				waiting[nwaiting++] = codes;
			continue;
		}
		for (size_t i = 0; i < nwaiting; i++) {
			accept(l, f->name, line, waiting[i]);
			accept(l, f->name, rule_line_at(rules, line), waiting[i]);
		}
		nwaiting = 0;
		if (codes.len) {
			accept(l, f->name, line, codes);
			accept(l, f->name, rule_line_at(rules, line), codes);
		}
	}
}

/* --- the tree --- */

static struct rule_lines note_places(struct linter *l, const struct ast_file *f)
{
	const struct ast_rule *rules = f->rules.items;
	uint32_t *lines = ARENA_ARRAY(&l->arena, uint32_t, f->rules.len);
	for (size_t i = 0; i < f->rules.len; i++) {
		struct place *at = ARENA_NEW(&l->arena, struct place);
		*at = (struct place){f->name, rules[i].node->line, rules[i].node->col};
		map_put(&l->places, slice_of(arena_strdup(&l->arena, rules[i].id)), at);
		lines[i] = at->line;
	}
	return (struct rule_lines){lines, f->rules.len};
}

static void use_alias(struct map *used, const struct ast_subjects *s)
{
	if (s->alias)
		map_put(used, slice_of(s->alias), used);
}

static void note_used(
    const struct ast *t, struct map *subjects, struct map *namespaces, struct map *roles)
{
	for (size_t i = 0; i < t->nfiles; i++) {
		const struct ast_file *f = &t->files[i];
		const struct ast_rule *rules = f->rules.items;
		if (f->defaults.present)
			use_alias(subjects, &f->defaults.exempt);
		for (size_t k = 0; k < f->rules.len; k++) {
			use_alias(subjects, &rules[k].subjects);
			use_alias(subjects, &rules[k].except.subjects);
			if (rules[k].namespaces.alias)
				map_put(namespaces, slice_of(rules[k].namespaces.alias), roles);
			for (size_t m = 0; m < rules[k].roles.len; m++)
				map_put(roles, slice_of(rules[k].roles.items[m]), roles);
		}
	}
}

static void unused_aliases(struct linter *l, const struct ast_file *f,
    const struct yaml_node *node, const struct map *used, const char *kind)
{
	for (size_t i = 0; node && i < node->len; i++) {
		const struct yaml_pair *p = &node->pairs[i];
		if (!map_get(used, p->key))
			lint_place(l, (struct place){f->name, p->line, p->col}, "unused-alias",
			    "use it or take it out",
			    "no rule uses the alias `" SLICE_FMT "` of %s", SLICE_ARG(p->key), kind);
	}
}

static void unused_names(struct linter *l, const struct ast *t)
{
	struct map subjects = {0}, namespaces = {0}, roles = {0};
	note_used(t, &subjects, &namespaces, &roles);
	for (size_t i = 0; i < t->nfiles; i++) {
		const struct ast_file *f = &t->files[i];
		const struct ast_role *r = f->roles.items;
		unused_aliases(l, f, f->aliases.subjects, &subjects, "subjects");
		unused_aliases(l, f, f->aliases.namespaces, &namespaces, "namespaces");
		for (size_t k = 0; k < f->roles.len; k++)
			if (!map_get(&roles, slice_of(r[k].name)))
				lint_place(l,
				    (struct place){f->name, r[k].node->line, r[k].node->col},
				    "unused-role", "use it or take it out",
				    "no rule uses the role `%s`", r[k].name);
	}
	map_done(&subjects);
	map_done(&namespaces);
	map_done(&roles);
}

static void look_at_tree(struct linter *l, const struct ast *t)
{
	for (size_t i = 0, k = 0; i < l->nfiles; i++) {
		struct rule_lines lines = {0};
		if (l->files[i].kind == POLICY_FILE_NATIVE)
			lines = note_places(l, &t->files[k++]);
		read_comments(l, &l->files[i], &lines);
	}
	unused_names(l, t);
	if (l->p->info.generation == 0)
		lint_place(l, lint_whole(l), "no-generation",
		    "set metadata.generation and raise it with each change",
		    "the policy has no generation: reasons and the audit log cannot tell which "
		    "version decided, and an old file is taken back in silence");
}

/* What loading warns of, under the code it has here; the rest is `load`. No code: told elsewhere. */
static const struct load_warning {
	const char *words, *code;
} load_warnings[] = {
    {"nobody is exempt", "no-exempt"},
    {"exempts every service account", "exempt-wide"},
    {"exempts service accounts of namespaces", "exempt-wide"},
    {"through nodes/proxy", NULL},
    {"it has no effect", NULL},
    {"the binding grants nothing", NULL},
    {"ABAC ignores subresources", "abac-subresources"},
};

static void tell_load_warning(struct linter *l, const struct diag *w)
{
	const char *code = "load";
	for (size_t i = 0; i < ARRAY_LEN(load_warnings); i++)
		if (strstr(w->text, load_warnings[i].words))
			code = load_warnings[i].code;
	if (code)
		lint_place(l, (struct place){w->file, w->line, w->col}, code, NULL, "%s", w->text);
}

void lint_tree(struct linter *l)
{
	struct diags d = {0};
	AUTO(arena_done) struct arena arena = {0};
	AUTO(ast_done) struct ast tree = {.arena = &arena, .diags = &d};
	bool ok = true;
	tree.files = ARENA_ARRAY(&arena, struct ast_file, l->nfiles);
	for (size_t i = 0; i < l->nfiles; i++)
		if (l->files[i].kind == POLICY_FILE_NATIVE)
			ok = ast_load(&tree, &l->files[i], &tree.files[tree.nfiles++]) && ok;
	/* Links nothing that is needed but binds `namespaces:`; the policy compiled, so it is sound. */
	if (ok)
		ast_check(&tree);
	if (ok)
		look_at_tree(l, &tree);
	const struct diags *told = l->options->loading;
	for (size_t i = 0; told && i < told->len; i++)
		tell_load_warning(l, &told->items[i]);
	diags_done(&d);
}
