/* Owns the dimensions API group and resource of a region: forms of resources, and the tables of resources
 * without a namespace, which look at both. */
#include "authz/region.h"

bool form_has(const struct form *f, struct slice resource, struct slice sub)
{
	if (!f->any_resource && !slice_eq(f->resource, resource))
		return false;
	return f->sub_kind == SUB_ANY ||
	       (f->sub_kind == SUB_SOME ? sub.len > 0 : slice_eq(f->sub, sub));
}

bool form_covers(const struct form *a, const struct form *b)
{
	if (!a->any_resource && (b->any_resource || !slice_eq(a->resource, b->resource)))
		return false;
	if (a->sub_kind == SUB_ANY || b->sub_kind == SUB_ANY)
		return a->sub_kind == SUB_ANY;
	if (a->sub_kind == SUB_SOME)
		return b->sub_kind == SUB_SOME || b->sub.len > 0;
	return b->sub_kind == SUB_WORD && slice_eq(a->sub, b->sub);
}

bool form_meet(const struct form *a, const struct form *b, struct form *out)
{
	*out = a->any_resource ? *b : *a;
	if (!a->any_resource && !b->any_resource && !slice_eq(a->resource, b->resource))
		return false;
	const struct form *narrow = a->sub_kind == SUB_ANY ? b : a;
	const struct form *wide = narrow == a ? b : a;
	if (narrow->sub_kind == SUB_SOME && wide->sub_kind == SUB_WORD) {
		narrow = wide;
		wide = narrow == a ? b : a;
	}
	out->sub_kind = narrow->sub_kind;
	out->sub = narrow->sub;
	if (narrow->sub_kind != SUB_WORD || wide->sub_kind == SUB_ANY)
		return true;
	return wide->sub_kind == SUB_SOME ? narrow->sub.len > 0 : slice_eq(a->sub, b->sub);
}

bool region_in_table(
    const struct region_space *s, unsigned bit, struct slice group, struct slice resource)
{
	const struct policy *p = s->p[bit >> 1];
	uint32_t g = group.len ? intern_find(&p->words, group) : p->empty;
	uint32_t w = resource.len ? intern_find(&p->words, resource) : p->empty;
	return g != INTERN_NONE && w != INTERN_NONE && policy_cluster_scoped(p, g, w);
}

/* --- candidates --- */

/* Every text that the conditions name, and one that none names: between others they see no difference. */
struct candidates {
	struct arena *a;
	struct slice *v;
	size_t n, cap;
};

static void add(struct candidates *c, struct slice text)
{
	for (size_t i = 0; i < c->n; i++)
		if (slice_eq(c->v[i], text))
			return;
	ARENA_ROOM(c->a, c->v, c->n, c->cap, 16);
	c->v[c->n++] = text;
}

/* STEM, or STEM with a number, so that it is none of those there. */
static void add_fresh(struct candidates *c, const char *stem)
{
	size_t had = c->n;
	add(c, slice_of(stem));
	for (unsigned i = 2; c->n == had; i++)
		add(c, slice_of(arena_printf(c->a, "%s%u", stem, i)));
}

static bool forms_ok(const struct region *r, struct slice resource, struct slice sub)
{
	struct access_request q = {.resource = resource, .subresource = sub};
	for (const struct limits *l = r->limits[REGION_FORM]; l; l = l->next)
		if (!limit_has(r->space, &l->limit, &q))
			return false;
	return true;
}

static bool group_ok(const struct region *r, struct slice group)
{
	for (const struct limits *l = r->limits[REGION_GROUP]; l; l = l->next)
		if (words_have(l->limit.words, group) == l->limit.out)
			return false;
	return true;
}

static bool tables_ok(const struct region *r, struct slice group, struct slice resource)
{
	for (unsigned bit = 1; bit <= 2; bit <<= 1) {
		if (!((r->scoped | r->unscoped) & bit))
			continue;
		bool in = region_in_table(r->space, bit, group, resource);
		if ((r->scoped & bit && !in) || (r->unscoped & bit && in))
			return false;
	}
	return true;
}

/* The tables' own texts: GROUPS or else resources. */
static void add_tables(const struct region *r, struct candidates *c, bool groups)
{
	for (int side = 0; side < 2; side++) {
		const struct policy *p = r->space->p[side];
		if (!((r->scoped | r->unscoped) & (1u << side)))
			continue;
		for (uint32_t i = 0; i < p->ncluster_scoped; i++) {
			uint64_t pair = p->cluster_scoped[i];
			add(c, p->words.texts[groups ? pair >> 32 : pair & UINT32_MAX]);
		}
	}
}

static void group_candidates(const struct region *r, struct candidates *c)
{
	struct candidates all = {.a = c->a};
	add(&all, SLICE(""));
	add(&all, SLICE("apps"));
	for (const struct limits *l = r->limits[REGION_GROUP]; l; l = l->next)
		for (uint32_t i = 0; i < l->limit.words->n; i++)
			add(&all, l->limit.words->v[i].text);
	add_tables(r, &all, true);
	add_fresh(&all, "example.com");
	for (size_t i = 0; i < all.n; i++)
		if (group_ok(r, all.v[i]))
			add(c, all.v[i]);
}

/* The set of forms that leaves fewest resources to try, when it is one of named ones; else NULL. */
static const struct forms *named_forms(const struct region *r)
{
	const struct forms *best = NULL;
	for (const struct limits *l = r->limits[REGION_FORM]; l; l = l->next) {
		bool named = !l->limit.out;
		for (uint32_t i = 0; named && i < l->limit.forms->n; i++)
			named = !l->limit.forms->v[i].any_resource;
		if (named && (!best || l->limit.forms->n < best->n))
			best = l->limit.forms;
	}
	return best;
}

static void form_candidates(const struct region *r, struct candidates *res, struct candidates *sub)
{
	const struct forms *named = named_forms(r);
	add(sub, SLICE(""));
	if (!named)
		add(res, r->scoped ? SLICE("nodes") : SLICE("pods"));
	for (uint32_t i = 0; named && i < named->n; i++)
		add(res, named->v[i].resource);
	for (const struct limits *l = r->limits[REGION_FORM]; l; l = l->next)
		for (uint32_t i = 0; i < l->limit.forms->n; i++) {
			const struct form *f = &l->limit.forms->v[i];
			if (!named && !f->any_resource)
				add(res, f->resource);
			if (f->sub_kind == SUB_WORD)
				add(sub, f->sub);
		}
	if (!named) {
		add_tables(r, res, false);
		add_fresh(res, "widgets");
	}
	add_fresh(sub, "status");
}

enum words_found region_find_what(struct region *r)
{
	struct candidates groups = {.a = r->space->a}, res = groups, sub = groups;
	group_candidates(r, &groups);
	form_candidates(r, &res, &sub);
	for (size_t i = 0; i < res.n; i++)
		for (size_t k = 0; k < sub.n; k++) {
			if (!forms_ok(r, res.v[i], sub.v[k]))
				continue;
			for (size_t g = 0; g < groups.n; g++) {
				if (!tables_ok(r, groups.v[g], res.v[i]))
					continue;
				r->member.api_group = groups.v[g];
				r->member.resource = res.v[i];
				r->member.subresource = sub.v[k];
				return WORDS_FOUND;
			}
		}
	return WORDS_NONE;
}
