/* Owns subjects: the sets that rules name, and the lists that lead from a subject to its rules. */
#include "policy/index.h"

#include "policy/compile.h"

bool atom_set_has(const struct atom_set *s, uint32_t atom)
{
	if (s->any)
		return true;
	uint32_t lo = 0, hi = s->n;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (s->v[mid] < atom)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && s->v[lo] == atom;
}

bool glob_list_has(const struct glob_list *l, struct slice text)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (glob_match(l->v[i], text))
			return true;
	return false;
}

bool policy_is_service_account(struct slice user)
{
	struct slice prefix = SLICE(SERVICE_ACCOUNT_PREFIX);
	if (!slice_starts(user, prefix))
		return false;
	struct slice rest = slice_skip(user, prefix.len);
	size_t colon = slice_find(rest, ':');
	struct slice name = slice_skip(rest, colon + 1);
	return colon > 0 && name.len > 0 && slice_find(name, ':') == name.len;
}

bool policy_cluster_scoped(const struct policy *p, uint32_t group, uint32_t resource)
{
	uint64_t want = (uint64_t)group << 32 | resource;
	uint32_t lo = 0, hi = p->ncluster_scoped;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (p->cluster_scoped[mid] < want)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->ncluster_scoped && p->cluster_scoped[lo] == want;
}

/* --- sets --- */

/* A list that grows up to a size known beforehand. */
struct draft {
	uint32_t *v;
	uint32_t n;
};

struct set_draft {
	struct draft users, groups, user_globs, group_globs, sa_globs;
	bool everyone;
};

static void put(struct draft *d, uint32_t atom)
{
	d->v[d->n++] = atom;
}

static void add_names(struct compiler *c, const struct string_list *list, struct intern *literals,
    struct intern *patterns, struct draft *set, struct draft *globs)
{
	for (size_t i = 0; i < list->len; i++) {
		struct slice text = slice_of(list->items[i]);
		if (glob_is(text))
			put(globs, compile_intern(c, patterns, text));
		else
			put(set, compile_intern(c, literals, text));
	}
}

static void add_service_accounts(
    struct compiler *c, const struct string_list *list, struct set_draft *d)
{
	for (size_t i = 0; i < list->len; i++) {
		struct slice text = slice_of(list->items[i]);
		int slash = (int)slice_find(text, '/');
		struct slice full = slice_of(arena_printf(c->t->arena,
		    SERVICE_ACCOUNT_PREFIX "%.*s:%s", slash, text.p, text.p + slash + 1));
		if (glob_is(text))
			put(&d->sa_globs, compile_intern(c, &c->sa_globs, full));
		else
			put(&d->users, compile_intern(c, &c->p->users, full));
	}
}

/* `all` is a group that the apiserver gives to everybody of that kind. */
static void add_all(struct compiler *c, int all, struct set_draft *d)
{
	static const char *const groups[] = {[AST_AUTHENTICATED] = "system:authenticated",
	    [AST_UNAUTHENTICATED] = "system:unauthenticated",
	    [AST_SERVICEACCOUNTS] = "system:serviceaccounts"};
	if (all == AST_EVERYONE)
		d->everyone = true;
	else
		put(&d->groups, compile_intern(c, &c->p->groups, slice_of(groups[all])));
}

static void add_subjects(struct compiler *c, const struct ast_subjects *s, struct set_draft *d)
{
	add_names(c, &s->users, &c->p->users, &c->user_globs, &d->users, &d->user_globs);
	add_names(c, &s->groups, &c->p->groups, &c->group_globs, &d->groups, &d->group_globs);
	add_service_accounts(c, &s->service_accounts, d);
	if (ast_has(s->node, "all"))
		add_all(c, s->all, d);
}

/* Numbers of patterns count from 1 in the table, from 0 as an index. */
static struct glob_list glob_list(
    struct compiler *c, struct draft *d, const struct intern *patterns)
{
	struct atom_set set = compile_set(d->v, d->n);
	struct slice *texts = ARENA_ARRAY(&c->p->arena, struct slice, set.n);
	for (uint32_t i = 0; i < set.n; i++) {
		texts[i] = patterns->texts[d->v[i]];
		d->v[i]--;
	}
	return (struct glob_list){.v = texts, .ids = d->v, .n = set.n};
}

static struct slice set_key(struct compiler *c, const struct subject_set *s)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	buf_addc(&b, s->everyone);
	compile_key_atoms(&b, s->users.v, s->users.n);
	compile_key_atoms(&b, s->groups.v, s->groups.n);
	compile_key_atoms(&b, s->user_globs.ids, s->user_globs.n);
	compile_key_atoms(&b, s->group_globs.ids, s->group_globs.n);
	compile_key_atoms(&b, s->sa_globs.ids, s->sa_globs.n);
	return compile_key(c, &b);
}

static void draft_room(struct compiler *c, struct set_draft *d, size_t most)
{
	struct draft *lists[] = {&d->users, &d->groups, &d->user_globs, &d->group_globs, &d->sa_globs};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		lists[i]->v = ARENA_ARRAY(c->t->arena, uint32_t, most);
}

/* The set of D, or the equal one that was there before. */
static struct subject_set *share_set(struct compiler *c, struct set_draft *d)
{
	struct draft *lists[] = {&d->users, &d->groups, &d->user_globs, &d->group_globs, &d->sa_globs};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		uint32_t *v = ARENA_ARRAY(&c->p->arena, uint32_t, lists[i]->n);
		if (lists[i]->n)
			memcpy(v, lists[i]->v, lists[i]->n * sizeof(*v));
		lists[i]->v = v;
	}
	struct subject_set *set = ARENA_NEW(&c->p->arena, struct subject_set);
	*set = (struct subject_set){
	    .everyone = d->everyone,
	    .users = compile_set(d->users.v, d->users.n),
	    .groups = compile_set(d->groups.v, d->groups.n),
	    .user_globs = glob_list(c, &d->user_globs, &c->user_globs),
	    .group_globs = glob_list(c, &d->group_globs, &c->group_globs),
	    .sa_globs = glob_list(c, &d->sa_globs, &c->sa_globs),
	};
	struct slice key = set_key(c, set);
	struct subject_set *same = map_get(&c->sets, key);
	if (same)
		return same;
	set->id = c->p->nsets++;
	map_put(&c->sets, key, set);
	return set;
}

static struct subject_set *compile_set_of(struct compiler *c, const struct ast_subjects *s)
{
	struct set_draft d = {0};
	draft_room(c, &d, s->users.len + s->groups.len + s->service_accounts.len + 1);
	add_subjects(c, s, &d);
	return share_set(c, &d);
}

const struct subject_set *compile_literals(struct compiler *c, const struct slice *users, size_t nusers,
    const struct slice *groups, size_t ngroups)
{
	struct set_draft d = {0};
	draft_room(c, &d, nusers + ngroups);
	for (size_t i = 0; i < nusers; i++)
		put(&d.users, compile_intern(c, &c->p->users, users[i]));
	for (size_t i = 0; i < ngroups; i++)
		put(&d.groups, compile_intern(c, &c->p->groups, groups[i]));
	return share_set(c, &d);
}

struct subjects compile_subjects(struct compiler *c, const struct ast_subjects *s)
{
	struct subjects out = {0};
	if (s->target) {
		if (!s->target->compiled)
			s->target->compiled = compile_set_of(c, &s->target->subjects);
		out.alias = s->target->compiled;
	}
	if (!s->target || s->node->len > 1)
		out.own = compile_set_of(c, s);
	return out;
}

/* --- lists --- */

enum kind { USERS, GROUPS, USER_GLOBS, GROUP_GLOBS, SA_GLOBS, EVERYONE, KINDS };

struct lists {
	struct posting *of[KINDS];
	uint32_t size[KINDS];
	uint32_t *sets; /* NULL while counting */
};

static void note(struct posting *list, uint32_t *items, uint32_t item)
{
	if (items)
		items[list->first + list->n] = item;
	list->n++;
}

static void note_atoms(struct lists *l, enum kind kind, const uint32_t *v, uint32_t n, uint32_t set)
{
	for (uint32_t i = 0; i < n; i++)
		note(&l->of[kind][v[i]], l->sets, set);
}

static void note_sets(const struct policy *p, struct lists *l)
{
	for (uint32_t i = 0; i < p->nsets; i++) {
		const struct subject_set *s = p->sets[i];
		if (s->everyone) {
			note(&l->of[EVERYONE][0], l->sets, i);
			continue;
		}
		note_atoms(l, USERS, s->users.v, s->users.n, i);
		note_atoms(l, GROUPS, s->groups.v, s->groups.n, i);
		note_atoms(l, USER_GLOBS, s->user_globs.ids, s->user_globs.n, i);
		note_atoms(l, GROUP_GLOBS, s->group_globs.ids, s->group_globs.n, i);
		note_atoms(l, SA_GLOBS, s->sa_globs.ids, s->sa_globs.n, i);
	}
}

/* After counting: gives each list its range and empties it. Returns the sum from FIRST on. */
static uint32_t lay_out(struct posting *lists, uint32_t n, uint32_t first)
{
	for (uint32_t i = 0; i < n; i++) {
		lists[i].first = first;
		first += lists[i].n;
		lists[i].n = 0;
	}
	return first;
}

static void index_sets(struct compiler *c)
{
	struct policy *p = c->p;
	struct lists l = {.size = {p->users.len + 1, p->groups.len + 1, c->user_globs.len,
			      c->group_globs.len, c->sa_globs.len, 1}};
	for (int k = 0; k < KINDS; k++)
		l.of[k] = ARENA_ARRAY(&p->arena, struct posting, l.size[k]);
	note_sets(p, &l);
	uint32_t total = 0;
	for (int k = 0; k < KINDS; k++)
		total = lay_out(l.of[k], l.size[k], total);
	l.sets = ARENA_ARRAY(&p->arena, uint32_t, total + 1);
	note_sets(p, &l);
	p->index = (struct subject_index){
	    .users = l.of[USERS],
	    .groups = l.of[GROUPS],
	    .user_globs = l.of[USER_GLOBS],
	    .group_globs = l.of[GROUP_GLOBS],
	    .sa_globs = l.of[SA_GLOBS],
	    .everyone = l.of[EVERYONE][0],
	    .sets = l.sets,
	};
}

/* Rules come in ascending order, so each list is sorted. */
static void note_rules(const struct policy *p, struct subject_set **sets, uint32_t *items)
{
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct rule *r = &p->rules[i];
		const struct subjects *s = &r->subjects;
		if (s->own)
			note(&sets[s->own->id]->rules[rule_class(r)], items, i);
		if (s->alias && s->alias != s->own)
			note(&sets[s->alias->id]->rules[rule_class(r)], items, i);
	}
}

static void index_rules(struct compiler *c, struct subject_set **sets)
{
	note_rules(c->p, sets, NULL);
	uint32_t total = 0;
	for (uint32_t i = 0; i < c->p->nsets; i++)
		total = lay_out(sets[i]->rules, CLASS_ALL, total);
	uint32_t *items = ARENA_ARRAY(&c->p->arena, uint32_t, total + 1);
	note_rules(c->p, sets, items);
	c->p->set_rules = items;
}

static void build_globset(struct compiler *c, struct globset *set, const struct intern *patterns)
{
	struct slice *texts = ARENA_ARRAY(&c->p->arena, struct slice, patterns->len);
	for (uint32_t i = 0; i < patterns->len; i++)
		texts[i] = patterns->texts[i + 1];
	globset_build(set, &c->p->arena, texts, patterns->len);
}

void compile_index(struct compiler *c)
{
	struct subject_set **sets = ARENA_ARRAY(&c->p->arena, struct subject_set *, c->p->nsets);
	size_t it = 0;
	struct slice key;
	void *value;
	while (map_next(&c->sets, &it, &key, &value)) {
		struct subject_set *s = value;
		sets[s->id] = s;
	}
	for (uint32_t i = 0; i < c->p->nrules; i++)
		c->p->nclass[rule_class(&c->p->rules[i])]++;
	c->p->sets = (const struct subject_set *const *)sets;
	index_sets(c);
	index_rules(c, sets);
	build_globset(c, &c->p->user_globs, &c->user_globs);
	build_globset(c, &c->p->group_globs, &c->group_globs);
	build_globset(c, &c->p->sa_globs, &c->sa_globs);
}
