/* Owns subjects: the sets that rules name. */
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

enum { USERS, GROUPS, USER_GLOBS, GROUP_GLOBS, SA_GLOBS, LISTS };

struct set_draft {
	struct draft lists[LISTS];
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
		struct slice full = slice_of(arena_printf(c->a,
		    SERVICE_ACCOUNT_PREFIX "%.*s:%s", slash, text.p, text.p + slash + 1));
		if (glob_is(text))
			put(&d->lists[SA_GLOBS], compile_intern(c, &c->sa_globs, full));
		else
			put(&d->lists[USERS], compile_intern(c, &c->p->users, full));
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
		put(&d->lists[GROUPS], compile_intern(c, &c->p->groups, slice_of(groups[all])));
}

static void add_subjects(struct compiler *c, const struct ast_subjects *s, struct set_draft *d)
{
	add_names(c, &s->users, &c->p->users, &c->user_globs, &d->lists[USERS], &d->lists[USER_GLOBS]);
	add_names(c, &s->groups, &c->p->groups, &c->group_globs, &d->lists[GROUPS], &d->lists[GROUP_GLOBS]);
	add_service_accounts(c, &s->service_accounts, d);
	if (ast_has(s->node, "all"))
		add_all(c, s->all, d);
}

/* Numbers of patterns count from 1 in the table, from 0 as an index. */
static struct glob_list glob_list(
    struct compiler *c, const struct draft *d, const struct intern *patterns)
{
	struct slice *texts = ARENA_ARRAY(c->a, struct slice, d->n);
	uint32_t *ids = ARENA_ARRAY(c->a, uint32_t, d->n);
	for (uint32_t i = 0; i < d->n; i++) {
		texts[i] = patterns->texts[d->v[i]];
		ids[i] = d->v[i] - 1;
	}
	return (struct glob_list){.v = texts, .ids = ids, .n = d->n};
}

static struct atom_set atom_set(struct compiler *c, const struct draft *d)
{
	uint32_t *v = ARENA_ARRAY(c->a, uint32_t, d->n);
	if (d->n)
		memcpy(v, d->v, d->n * sizeof(*v));
	return (struct atom_set){.v = v, .n = d->n};
}

static void set_key(struct buf *b, const struct set_draft *d)
{
	buf_init(b, SIZE_MAX / 2);
	buf_addc(b, d->everyone);
	for (size_t i = 0; i < ARRAY_LEN(d->lists); i++)
		compile_key_atoms(b, d->lists[i].v, d->lists[i].n);
}

/* Begins a draft with room for MOST names of each kind. */
static void draft_room(struct compiler *c, struct set_draft *d, size_t most)
{
	compile_draft(c);
	for (size_t i = 0; i < ARRAY_LEN(d->lists); i++)
		d->lists[i].v = ARENA_ARRAY(c->a, uint32_t, most);
}

/* The set of the draft D, or the equal one that was there before. */
static struct subject_set *share_set(struct compiler *c, struct set_draft *d)
{
	struct buf b;
	struct slice key;
	for (size_t i = 0; i < ARRAY_LEN(d->lists); i++)
		d->lists[i].n = compile_set(d->lists[i].v, d->lists[i].n).n;
	set_key(&b, d);
	struct subject_set *set = compile_same(c, &c->sets, &b, &key);
	compile_final(c);
	if (set)
		return set;
	set = ARENA_NEW(c->a, struct subject_set);
	*set = (struct subject_set){
	    .id = c->p->nsets++,
	    .everyone = d->everyone,
	    .users = atom_set(c, &d->lists[USERS]),
	    .groups = atom_set(c, &d->lists[GROUPS]),
	    .user_globs = glob_list(c, &d->lists[USER_GLOBS], &c->user_globs),
	    .group_globs = glob_list(c, &d->lists[GROUP_GLOBS], &c->group_globs),
	    .sa_globs = glob_list(c, &d->lists[SA_GLOBS], &c->sa_globs),
	};
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
		put(&d.lists[USERS], compile_intern(c, &c->p->users, users[i]));
	for (size_t i = 0; i < ngroups; i++)
		put(&d.lists[GROUPS], compile_intern(c, &c->p->groups, groups[i]));
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
