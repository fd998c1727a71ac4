/* Owns building the lists of the index: under which subjects and places each rule is filed. */
#include <stdlib.h>

#include "policy/lists_build.h"

/* A set used again and again is written out as its members only while that makes few entries of one. */
#define SET_FEW 4
/* Subjects times namespaces of one rule that are written out, while the whole stays in bounds. */
#define PRODUCT_MAX 512
#define ENTRIES_PER_RULE 8
/* Patterns that match a known group are noted with it unless they are more than this on an average. */
#define LINKS_PER_GROUP 4

void *lists_zeroed(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);
	if (!p)
		abort();
	return p;
}

static void number_add(struct numbers *l, uint32_t v)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->v = reallocarray(l->v, l->room, sizeof(*l->v));
		if (!l->v)
			abort();
	}
	l->v[l->n++] = v;
}

/* --- sets --- */

struct set_use {
	struct subject_set *set;
	uint32_t rules;
	bool special; /* asked whether it has a subject: an exception, an exemption */
};

static void note_special(struct set_use *uses, const struct subjects *s)
{
	if (s->own)
		uses[s->own->id].special = true;
	if (s->alias)
		uses[s->alias->id].special = true;
}

static void note_uses(const struct policy *p, struct set_use *uses)
{
	note_special(uses, &p->exempt);
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct rule *r = &p->rules[i];
		const struct subjects *s = &r->subjects;
		note_special(uses, &r->except);
		note_special(uses, &r->also);
		if (s->own)
			uses[s->own->id].rules++;
		if (s->alias && s->alias != s->own)
			uses[s->alias->id].rules++;
	}
}

static bool is_whole(const struct set_use *u)
{
	const struct subject_set *s = u->set;
	uint64_t n = (uint64_t)s->users.n + s->groups.n + s->user_globs.n + s->group_globs.n +
		     s->sa_globs.n;
	return !s->everyone && n > SET_FEW && u->rules > 1 && n * u->rules > SET_FEW * (n + u->rules);
}

/* Numbers the sets anew, those first whose members lead to them: the evaluator keeps a bit for each of the
 * first ones. */
static void order_sets(struct compiler *c, struct lists_build *b)
{
	struct policy *p = c->p;
	struct set_use *uses = lists_zeroed(p->nsets, sizeof(*uses));
	size_t it = 0;
	struct slice key;
	void *value;
	while (map_next(&c->sets, &it, &key, &value))
		uses[((struct subject_set *)value)->id].set = value;
	note_uses(p, uses);
	b->sets = ARENA_ARRAY(&p->arena, struct subject_set *, p->nsets);
	b->whole = lists_zeroed(p->nsets, sizeof(*b->whole));
	uint32_t n = 0;
	for (uint32_t pass = 0; pass < 3; pass++) {
		for (uint32_t i = 0; i < p->nsets; i++) {
			bool whole = is_whole(&uses[i]);
			if ((uses[i].special ? 0u : whole ? 1u : 2u) != pass)
				continue;
			b->whole[n] = whole;
			b->sets[n++] = uses[i].set;
		}
		if (pass == 1)
			p->lists.nlisted = n;
	}
	for (uint32_t i = 0; i < n; i++)
		b->sets[i]->id = i;
	p->sets = (const struct subject_set *const *)b->sets;
	free(uses);
}

/* --- keys --- */

static void number_keys(struct compiler *c, struct lists_build *b)
{
	const uint32_t sizes[SUBJECT_KINDS] = {[SUBJECT_USER] = c->p->users.len + 1,
	    [SUBJECT_GROUP] = c->p->groups.len + 1,
	    [SUBJECT_USER_GLOB] = c->user_globs.len,
	    [SUBJECT_GROUP_GLOB] = c->group_globs.len,
	    [SUBJECT_SA_GLOB] = c->sa_globs.len,
	    [SUBJECT_EVERYONE] = 1,
	    [SUBJECT_SET] = c->p->lists.nlisted};
	for (int k = 0; k < SUBJECT_KINDS; k++) {
		c->p->lists.base[k] = b->nkeys;
		b->nkeys += sizes[k];
	}
	b->keys = ARENA_ARRAY(&c->p->arena, struct subject_key, b->nkeys);
}

static void add_atoms(
    struct lists_build *b, enum subject_kind kind, const uint32_t *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		number_add(&b->rule_keys, b->p->lists.base[kind] + v[i]);
}

/* The keys of the members of S. */
static void add_members(struct lists_build *b, const struct subject_set *s)
{
	if (s->everyone) {
		number_add(&b->rule_keys, b->p->lists.base[SUBJECT_EVERYONE]);
		return;
	}
	add_atoms(b, SUBJECT_USER, s->users.v, s->users.n);
	add_atoms(b, SUBJECT_GROUP, s->groups.v, s->groups.n);
	add_atoms(b, SUBJECT_USER_GLOB, s->user_globs.ids, s->user_globs.n);
	add_atoms(b, SUBJECT_GROUP_GLOB, s->group_globs.ids, s->group_globs.n);
	add_atoms(b, SUBJECT_SA_GLOB, s->sa_globs.ids, s->sa_globs.n);
}

/* After counting: gives each list its range and empties it. Returns the sum. */
static size_t lay_out(struct lists_build *b, size_t at)
{
	struct posting *list = (struct posting *)((char *)b->keys + at);
	size_t first = 0, step = sizeof(struct subject_key) / sizeof(*list);
	for (uint32_t i = 0; i < b->nkeys; i++, list += step) {
		list->first = (uint32_t)first;
		first += list->n;
		list->n = 0;
	}
	return first;
}

static void note_lead(struct lists_build *b, uint32_t *leads, uint32_t key, uint32_t lead)
{
	struct posting *list = &b->keys[key].leads;
	if (leads)
		leads[list->first + list->n] = lead;
	list->n++;
}

static void note_sets(struct lists_build *b, uint32_t *leads)
{
	for (uint32_t i = 0; i < b->p->lists.nlisted; i++) {
		b->rule_keys.n = 0;
		add_members(b, b->sets[i]);
		for (uint32_t k = 0; k < b->rule_keys.n; k++)
			note_lead(b, leads, b->rule_keys.v[k], i);
	}
}

/* Which patterns match the groups that the policy knows. Returns how many matches there are; gives up past MOST. */
static size_t note_patterns(struct lists_build *b, uint32_t *leads, size_t most)
{
	const struct policy *p = b->p;
	size_t n = 0;
	for (uint32_t i = 1; i <= p->groups.len && n <= most; i++) {
		struct glob_cursor c = globset_search(&p->group_globs, p->groups.texts[i]);
		uint32_t pattern;
		while (globset_next(&c, &pattern) && n++ <= most)
			if (leads || most == SIZE_MAX)
				note_lead(b, leads, p->lists.base[SUBJECT_GROUP] + i,
				    LIST_PATTERN | (p->lists.base[SUBJECT_GROUP_GLOB] + pattern));
	}
	return n;
}

static void note_leads(struct lists_build *b, uint32_t *leads)
{
	note_sets(b, leads);
	if (b->p->lists.linked)
		note_patterns(b, leads, SIZE_MAX);
}

/* From keys to those sets that are asked for, or found, as a whole, and from groups to patterns. */
static void list_leads(struct lists_build *b)
{
	size_t most = LINKS_PER_GROUP * ((size_t)b->p->groups.len + b->p->group_globs.n);
	b->p->lists.linked = note_patterns(b, NULL, most) <= most;
	note_leads(b, NULL);
	size_t total = lay_out(b, offsetof(struct subject_key, leads));
	uint32_t *leads = ARENA_ARRAY(&b->p->arena, uint32_t, total);
	note_leads(b, leads);
	b->p->lists.leads = leads;
}

/* --- rules --- */

static void set_ranks(struct lists_build *b)
{
	struct policy *p = b->p;
	uint32_t next[CLASS_ALL], first = 0;
	for (uint32_t i = 0; i < p->nrules; i++)
		p->nclass[rule_class(&p->rules[i])]++;
	for (int k = 0; k < CLASS_ALL; k++) {
		next[k] = p->first_rank[k] = first;
		first += p->nclass[k];
	}
	p->first_rank[CLASS_ALL] = first;
	b->ranks = ARENA_ARRAY(&p->arena, struct ranked, p->nrules);
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct rule *r = &p->rules[i];
		struct ranked *rank = &b->ranks[next[rule_class(r)]++];
		rank->rule = i;
		for (uint32_t k = 0; k < r->nroles; k++) {
			for (uint32_t j = 0; j < r->roles[k].n; j++) {
				const struct list_masks *m = &r->roles[k].v[j]->masks;
				rank->masks.resources |= m->resources;
				rank->masks.groups |= m->groups;
				rank->masks.verbs |= m->verbs;
			}
		}
	}
	p->lists.ranks = b->ranks;
}

static void set_keys(struct lists_build *b, const struct subject_set *s)
{
	if (!s)
		return;
	if (b->whole[s->id])
		number_add(&b->rule_keys, b->p->lists.base[SUBJECT_SET] + s->id);
	else
		add_members(b, s);
}

static void add_namespaces(struct lists_build *b, const struct rule *r)
{
	const struct ns_set *n = r->namespaces;
	uint64_t product = ((uint64_t)n->include.n + n->include_globs.n) * b->rule_keys.n;
	if (lists_overlaps(r))
		number_add(&b->rule_places, LIST_KEY(PLACE_WIDE, 0));
	if (product > b->limit && n->include.n + n->include_globs.n > 1) {
		number_add(&b->rule_places, LIST_KEY(PLACE_OTHER, 0));
		return;
	}
	for (uint32_t i = 0; i < n->include.n; i++)
		number_add(&b->rule_places, LIST_KEY(PLACE_WORD, n->include.v[i]));
	for (uint32_t i = 0; i < n->include_globs.n; i++)
		number_add(&b->rule_places, LIST_KEY(PLACE_GLOB, n->include_globs.ids[i]));
}

/* The keys and places of the rule of RANK. */
static void describe(struct lists_build *b, uint32_t rank)
{
	const struct rule *r = &b->p->rules[b->ranks[rank].rule];
	b->rule_keys.n = b->rule_places.n = 0;
	set_keys(b, r->subjects.own);
	if (r->subjects.alias != r->subjects.own)
		set_keys(b, r->subjects.alias);
	if (r->scope == SCOPE_ALL) {
		number_add(&b->rule_places, LIST_KEY(PLACE_ALL, 0));
		return;
	}
	if (b->ranks[rank].masks.resources & LIST_BIT_PATH)
		number_add(&b->rule_places, LIST_KEY(PLACE_PATHS, 0));
	if (!(b->ranks[rank].masks.resources & LIST_BITS_ANY))
		return;
	if (r->scope == SCOPE_CLUSTER)
		number_add(&b->rule_places, LIST_KEY(PLACE_CLUSTER, 0));
	else
		add_namespaces(b, r);
}

static void file_rules(struct lists_build *b)
{
	for (uint32_t rank = 0; rank < b->p->nrules; rank++) {
		describe(b, rank);
		for (uint32_t k = 0; k < b->rule_keys.n; k++) {
			struct posting *list = &b->keys[b->rule_keys.v[k]].rules;
			for (uint32_t i = 0; b->entries && i < b->rule_places.n; i++)
				b->entries[list->first + list->n + i] =
				    LIST_ENTRY(b->rule_places.v[i], rank);
			list->n += b->rule_places.n;
			b->filed[b->rule_keys.v[k]] += b->entries != NULL;
		}
		for (uint32_t i = 0; i < b->rule_places.n; i++)
			b->p->lists.places |= 1u << LIST_KIND(b->rule_places.v[i]);
	}
}

static size_t count_entries(struct lists_build *b)
{
	size_t total = 0;
	for (uint32_t i = 0; i < b->nkeys; i++)
		b->keys[i].rules.n = 0;
	b->p->lists.places = 0;
	file_rules(b);
	for (uint32_t i = 0; i < b->nkeys; i++)
		total += b->keys[i].rules.n;
	return total;
}

static void list_rules(struct lists_build *b)
{
	size_t bound = 100000 + (size_t)ENTRIES_PER_RULE * b->p->nrules;
	b->filed = lists_zeroed(b->nkeys, sizeof(*b->filed));
	b->limit = PRODUCT_MAX;
	while ((b->total = count_entries(b)) > bound && b->limit > 1)
		b->limit /= 8;
	lay_out(b, offsetof(struct subject_key, rules));
	b->entries = lists_zeroed(b->total, sizeof(*b->entries));
	file_rules(b);
}

/* --- the whole --- */

static void build_globset(struct policy *p, struct globset *set, const struct intern *patterns)
{
	struct slice *texts = ARENA_ARRAY(&p->arena, struct slice, patterns->len);
	for (uint32_t i = 0; i < patterns->len; i++)
		texts[i] = patterns->texts[i + 1];
	globset_build(set, &p->arena, texts, patterns->len);
}

static void keep_entries(struct lists_build *b)
{
	uint64_t *all = ARENA_ARRAY(&b->p->arena, uint64_t, b->kept + b->nanchored);
	struct long_run *runs = ARENA_ARRAY(&b->p->arena, struct long_run, b->nruns);
	if (b->kept)
		memcpy(all, b->entries, b->kept * sizeof(*all));
	if (b->nanchored)
		memcpy(all + b->kept, b->anchored, b->nanchored * sizeof(*all));
	for (uint32_t i = 0; i < b->nruns; i++)
		runs[i] = (struct long_run){
		    b->runs[i].first + (uint32_t)b->kept, b->runs[i].n, b->runs[i].kinds};
	b->p->lists.entries = all;
	b->p->lists.runs = runs;
	b->p->lists.keys = b->keys;
}

void compile_lists(struct compiler *c)
{
	struct lists_build b = {.p = c->p};
	build_globset(c->p, &c->p->user_globs, &c->user_globs);
	build_globset(c->p, &c->p->group_globs, &c->group_globs);
	build_globset(c->p, &c->p->sa_globs, &c->sa_globs);
	build_globset(c->p, &c->p->place_globs, &c->place_globs);
	order_sets(c, &b);
	number_keys(c, &b);
	list_leads(&b);
	set_ranks(&b);
	list_rules(&b);
	lists_runs(&b);
	keep_entries(&b);
	lists_worst(&b);
	free(b.whole);
	free(b.filed);
	free(b.rule_keys.v);
	free(b.rule_places.v);
	free(b.entries);
	free(b.runs);
	free(b.longest);
	free(b.anchored);
	free(b.seen);
}
