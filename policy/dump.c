/* Owns the canonical text of a compiled policy: one line a rule, in the order of evaluation. */
#include "policy/index.h"

/* Writes items as a JSON list; FIRST tells whether one stood before. */
static void add_item(struct buf *out, bool *first, struct slice text)
{
	if (!*first)
		buf_addc(out, ',');
	*first = false;
	buf_json(out, text);
}

static void add_names(struct buf *out, const char *key, const struct atom_set *set,
    const struct glob_list *globs, const struct intern *table)
{
	if (set->n == 0 && (!globs || globs->n == 0) && !set->any)
		return;
	buf_printf(out, " %s=", key);
	if (set->any) {
		buf_addc(out, '*');
		return;
	}
	bool first = true;
	buf_addc(out, '[');
	for (uint32_t i = 0; i < set->n; i++)
		add_item(out, &first, table->texts[set->v[i]]);
	for (uint32_t i = 0; globs && i < globs->n; i++)
		add_item(out, &first, globs->v[i]);
	buf_addc(out, ']');
}

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

static void dump_form(
    struct buf *out, const struct policy *p, const struct resource_form *f, bool *first)
{
	struct buf text;
	buf_init(&text, 1 << 20);
	buf_slice(&text, f->resource == ATOM_ANY ? SLICE("*") : p->words.texts[f->resource]);
	if (f->sub != p->empty && f->sub != ATOM_ANY) {
		buf_addc(&text, '/');
		buf_slice(&text, f->sub == ATOM_SOME ? SLICE("*") : p->words.texts[f->sub]);
	}
	add_item(out, first, buf_view(&text));
	buf_done(&text);
}

static void dump_paths(struct buf *out, const struct action *a)
{
	bool first = true;
	buf_adds(out, " nonResourceURLs=[");
	for (uint32_t i = 0; i < a->nurls; i++) {
		struct buf text;
		buf_init(&text, 1 << 20);
		buf_slice(&text, a->urls[i].text);
		buf_adds(&text, a->urls[i].prefix ? "*" : "");
		add_item(out, &first, buf_view(&text));
		buf_done(&text);
	}
	buf_addc(out, ']');
}

static void dump_action(struct buf *out, const struct policy *p, const struct action *a)
{
	buf_adds(out, " {");
	add_names(out, "verbs", &a->verbs, NULL, &p->words);
	if (!a->resource) {
		dump_paths(out, a);
		buf_adds(out, " }");
		return;
	}
	add_names(out, "apiGroups", &a->groups, NULL, &p->words);
	bool first = true;
	buf_adds(out, " resources=[");
	for (uint32_t i = 0; i < a->nforms; i++)
		dump_form(out, p, &a->forms[i], &first);
	buf_addc(out, ']');
	if (!a->names.any)
		add_names(out, "resourceNames", &a->names, NULL, &p->words);
	buf_adds(out, " }");
}

static void dump_rule(struct buf *out, const struct policy *p, const struct rule *r)
{
	static const char *const effects[] = {
	    [POLICY_ALLOW] = "allow", [POLICY_DENY] = "deny", [POLICY_ABSTAIN] = "abstain"};
	buf_printf(out, "%s %s (%s)", effects[r->effect], r->id, r->source);
	dump_subjects(out, "subjects", p, &r->subjects);
	dump_subjects(out, "except", p, &r->except);
	dump_scope(out, p, r);
	if (r->exact)
		buf_adds(out, " overlap=exact");
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
	buf_printf(out, " generation=%lld rules=%zu deny=%zu abstain=%zu tests=%zu files=%zu\n",
	    (long long)p->info.generation, p->info.rules, p->info.deny_rules, p->info.abstain_rules,
	    p->info.tests, p->info.files);
	buf_printf(out, "default %s", p->default_deny ? "deny" : "noOpinion");
	dump_subjects(out, "exempt", p, &p->exempt);
	buf_addc(out, '\n');
	for (enum rule_class k = 0; k < CLASS_COUNT; k++)
		for (uint32_t i = 0; i < p->nrules; i++)
			if (rule_class(&p->rules[i]) == k)
				dump_rule(out, p, &p->rules[i]);
}
