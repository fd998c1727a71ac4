/* Owns the canonical text of a compiled policy: one line a rule, in the order of evaluation. */
#include <stdlib.h>

#include "policy/index.h"

#define TEXT_MAX ((size_t)1 << 20) /* one item of a list */

/* Texts of one list: they stand sorted, whatever their numbers and their order in the file. */
struct texts {
	struct arena arena;
	struct slice *v;
	size_t n, cap;
};

static void take(struct texts *t, struct slice s)
{
	ARENA_ROOM(&t->arena, t->v, t->n, t->cap, 16);
	t->v[t->n++] = s;
}

/* Writes KEY=[…] and forgets the texts. */
static void give(struct texts *t, struct buf *out, const char *key)
{
	if (t->n > 1)
		qsort(t->v, t->n, sizeof(*t->v), slice_order);
	buf_printf(out, " %s=[", key);
	for (size_t i = 0; i < t->n; i++) {
		if (i && slice_eq(t->v[i - 1], t->v[i]))
			continue;
		buf_adds(out, i ? "," : "");
		buf_json(out, t->v[i]);
	}
	buf_addc(out, ']');
	arena_done(&t->arena);
	*t = (struct texts){.n = 0};
}

/* The words of SET in which a star is a star (STARRED), or the others. */
static void take_words(
    struct texts *t, const struct atom_set *set, const struct intern *table, bool starred)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (glob_is(table->texts[set->v[i]]) == starred)
			take(t, table->texts[set->v[i]]);
}

static void add_names(struct buf *out, const char *key, const struct atom_set *set,
    const struct glob_list *globs, const struct intern *table)
{
	struct texts t = {.n = 0};
	if (set->any) {
		buf_printf(out, " %s=*", key);
		return;
	}
	take_words(&t, set, table, false);
	if (!globs)
		take_words(&t, set, table, true);
	for (uint32_t i = 0; globs && i < globs->n; i++)
		take(&t, globs->v[i]);
	if (t.n)
		give(&t, out, key);
	if (!globs)
		return;
	/* An import's names are no patterns. */
	take_words(&t, set, table, true);
	if (t.n == 0)
		return;
	buf_adds(out, " literally");
	give(&t, out, key);
}

/* --- whom and where --- */

static void dump_set(struct buf *out, const struct policy *p, const struct subject_set *s)
{
	static const struct atom_set none = {0};
	if (!s)
		return;
	if (s->everyone)
		buf_adds(out, " everyone");
	add_names(out, "users", &s->users, &s->user_globs, &p->users);
	add_names(out, "groups", &s->groups, &s->group_globs, &p->groups);
	add_names(out, "serviceAccounts", &none, &s->sa_globs, &p->users);
}

static void dump_subjects(
    struct buf *out, const char *key, const struct policy *p, const struct subjects *s)
{
	if (!s->own && !s->alias)
		return;
	buf_printf(out, " %s={", key);
	dump_set(out, p, s->own);
	dump_set(out, p, s->alias);
	buf_adds(out, " }");
}

static void dump_scope(struct buf *out, const struct policy *p, const struct rule *r)
{
	if (r->scope == SCOPE_CLUSTER)
		buf_adds(out, " clusterScope=only");
	if (r->scope != SCOPE_NAMESPACES)
		return;
	const struct ns_set *n = r->namespaces;
	add_names(out, "namespaces", &n->include, &n->include_globs, &p->words);
	add_names(out, "exclude", &n->exclude, &n->exclude_globs, &p->words);
}

/* --- what --- */

void resource_form_print(
    const struct policy *p, const struct resource_form *f, struct buf *out)
{
	buf_slice(out, f->resource == ATOM_ANY ? SLICE("*") : p->words.texts[f->resource]);
	if (f->sub == p->empty || f->sub == ATOM_ANY)
		return;
	buf_addc(out, '/');
	buf_slice(out, f->sub == ATOM_SOME ? SLICE("*") : p->words.texts[f->sub]);
}

static struct slice form_text(
    struct texts *t, const struct policy *p, const struct resource_form *f)
{
	struct buf b;
	buf_init(&b, TEXT_MAX);
	resource_form_print(p, f, &b);
	struct slice text = slice_dup(&t->arena, buf_view(&b));
	buf_done(&b);
	return text;
}

static struct slice path_text(struct texts *t, const struct url_form *u)
{
	const char *text =
	    arena_printf(&t->arena, SLICE_FMT "%s", SLICE_ARG(u->text), u->prefix ? "*" : "");
	return slice_of(text);
}

static void dump_requirement(struct buf *out, const struct requirement *q)
{
	static const char *const ops[] = {[REQUIREMENT_IN] = "In",
	    [REQUIREMENT_NOT_IN] = "NotIn",
	    [REQUIREMENT_EXISTS] = "Exists",
	    [REQUIREMENT_DOES_NOT_EXIST] = "DoesNotExist"};
	struct texts t = {.n = 0};
	buf_addc(out, ' ');
	buf_json(out, q->key);
	if (q->n == 0) {
		buf_printf(out, " %s", ops[q->op]);
		return;
	}
	for (uint32_t i = 0; i < q->n; i++)
		take(&t, q->values[i]);
	give(&t, out, ops[q->op]);
}

static void dump_selector(struct buf *out, const char *key, const struct selector *s)
{
	if (s->n == 0)
		return;
	buf_printf(out, " %s={", key);
	for (uint32_t i = 0; i < s->n; i++)
		dump_requirement(out, &s->v[i]);
	buf_adds(out, " }");
}

static void dump_action(struct buf *out, const struct policy *p, const struct action *a)
{
	struct texts t = {.n = 0};
	buf_adds(out, " {");
	add_names(out, "verbs", &a->verbs, NULL, &p->words);
	if (a->resource) {
		add_names(out, "apiGroups", &a->groups, NULL, &p->words);
		for (uint32_t i = 0; i < a->nforms; i++)
			take(&t, form_text(&t, p, &a->forms[i]));
		give(&t, out, "resources");
		if (!a->names.any)
			add_names(out, "resourceNames", &a->names, NULL, &p->words);
		for (uint32_t i = 0; i < a->name_globs.n; i++)
			take(&t, a->name_globs.v[i]);
		if (t.n)
			give(&t, out, "resourceNamesGlob");
		dump_selector(out, "fieldSelector", &a->fields);
		dump_selector(out, "labelSelector", &a->labels);
	} else {
		for (uint32_t i = 0; i < a->nurls; i++)
			take(&t, path_text(&t, &a->urls[i]));
		give(&t, out, "nonResourceURLs");
	}
	buf_adds(out, " }");
}

/* --- rules --- */

static void dump_time(struct buf *out, const struct rule *r)
{
	struct texts t = {.n = 0};
	if (r->valid) {
		buf_adds(out, " valid={ ");
		window_print(r->valid, out);
		buf_adds(out, " }");
	}
	if (!r->break_glass)
		return;
	buf_adds(out, " breakGlass={ ticket=");
	buf_json(out, slice_of(r->break_glass->ticket));
	for (uint32_t i = 0; i < r->break_glass->napproved; i++)
		take(&t, slice_of(r->break_glass->approved_by[i]));
	give(&t, out, "approvedBy");
	buf_adds(out, " }");
}

static void dump_rule(struct buf *out, const struct policy *p, const struct rule *r)
{
	buf_printf(out, "%s%s ", r->shadow ? "shadow " : "", policy_effect_name(r->effect));
	/* Ids of imported rules are made of names, which may hold anything. */
	if (r->origin == ORIGIN_NATIVE)
		buf_adds(out, r->id);
	else
		buf_json(out, slice_of(r->id));
	buf_printf(out, " (%s)", r->source);
	dump_subjects(out, "subjects", p, &r->subjects);
	dump_subjects(out, "also", p, &r->also);
	dump_subjects(out, "except", p, &r->except);
	dump_scope(out, p, r);
	if (r->exact)
		buf_adds(out, " overlap=exact");
	dump_time(out, r);
	for (uint32_t i = 0; i < r->nroles; i++)
		for (uint32_t k = 0; k < r->roles[i].n; k++)
			dump_action(out, p, r->roles[i].v[k]);
	if (r->message) {
		buf_adds(out, " message=");
		buf_json(out, slice_of(r->message));
	}
	buf_addc(out, '\n');
}

void policy_dump(const struct policy *p, struct buf *out)
{
	buf_adds(out, "policy ");
	buf_json(out, slice_of(p->info.name));
	buf_printf(out,
	    " generation=%lld rules=%zu deny=%zu abstain=%zu shadow=%zu tests=%zu files=%zu%s\n",
	    (long long)p->info.generation, p->info.rules, p->info.deny_rules, p->info.abstain_rules,
	    p->info.shadow_rules, p->info.tests, p->info.files,
	    p->info.allow_shrink ? " allowShrink" : "");
	buf_printf(out, "default %s", p->default_deny ? "deny" : "noOpinion");
	dump_subjects(out, "exempt", p, &p->exempt);
	buf_addc(out, '\n');
	for (enum rule_class k = 0; k < CLASS_ALL; k++)
		for (uint32_t i = 0; i < p->nrules; i++)
			if (rule_class(&p->rules[i]) == k)
				dump_rule(out, p, &p->rules[i]);
}
