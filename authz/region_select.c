/* Owns the selector dimensions of a region: which requirements a request must carry to be surely within
 * some selectors, or surely clear of them. */
#include "authz/region.h"

/* Requirements that may be looked at together. */
#define BITS_MAX 64

/* --- one requirement of the request against one of a rule, by text --- */

static bool has(const struct requirement *q, struct slice value)
{
	for (uint32_t i = 0; i < q->n; i++)
		if (slice_eq(q->values[i], value))
			return true;
	return false;
}

static uint32_t common(const struct requirement *q, const struct requirement *p)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < q->n; i++)
		n += has(p, q->values[i]);
	return n;
}

/* Values of both stand without doubles, so counting them compares sets. */
static bool shut_out(const struct requirement *q, const struct requirement *p)
{
	return q->op == REQUIREMENT_DOES_NOT_EXIST ||
	       (q->op == REQUIREMENT_IN && common(q, p) == 0) ||
	       (q->op == REQUIREMENT_NOT_IN && common(q, p) == p->n);
}

static bool implies(const struct requirement *q, const struct requirement *p)
{
	if (!slice_eq(q->key, p->key))
		return false;
	switch (p->op) {
	case REQUIREMENT_IN:
		return q->op == REQUIREMENT_IN && common(q, p) == q->n;
	case REQUIREMENT_NOT_IN:
		return shut_out(q, p);
	case REQUIREMENT_EXISTS:
		return q->op == REQUIREMENT_IN || q->op == REQUIREMENT_EXISTS;
	case REQUIREMENT_DOES_NOT_EXIST:
		return q->op == REQUIREMENT_DOES_NOT_EXIST;
	}
	return false;
}

static bool excludes(const struct requirement *q, const struct requirement *p)
{
	if (!slice_eq(q->key, p->key))
		return false;
	switch (p->op) {
	case REQUIREMENT_IN:
		return shut_out(q, p);
	case REQUIREMENT_NOT_IN:
		return q->op == REQUIREMENT_IN && common(q, p) == q->n;
	case REQUIREMENT_EXISTS:
		return q->op == REQUIREMENT_DOES_NOT_EXIST;
	case REQUIREMENT_DOES_NOT_EXIST:
		return q->op == REQUIREMENT_IN || q->op == REQUIREMENT_EXISTS;
	}
	return false;
}

static const char *const op_names[] = {[REQUIREMENT_IN] = "In",
    [REQUIREMENT_NOT_IN] = "NotIn",
    [REQUIREMENT_EXISTS] = "Exists",
    [REQUIREMENT_DOES_NOT_EXIST] = "DoesNotExist"};

/* Our own members only: their requirements are of known operators and without doubles. */
static struct requirement read_back(const struct access_requirement *q)
{
	struct requirement out = {.key = q->key, .values = q->values, .n = (uint32_t)q->n};
	for (int op = REQUIREMENT_IN; op <= REQUIREMENT_DOES_NOT_EXIST; op++)
		if (slice_is(q->op, op_names[op]))
			out.op = (enum requirement_op)op;
	return out;
}

bool region_selects(const struct limit *l, const struct access_requirement *q, size_t n)
{
	for (uint32_t i = 0; i < l->selector->n; i++) {
		bool implied = false, excluded = false;
		for (size_t k = 0; k < n; k++) {
			struct requirement one = read_back(&q[k]);
			implied |= implies(&one, &l->selector->v[i]);
			excluded |= excludes(&one, &l->selector->v[i]);
		}
		if (l->wide ? excluded : !implied)
			return false;
	}
	return true;
}

/* --- a selector that meets all conditions --- */

/* What the request must imply and exclude, and what none of its requirements may. */
struct wanted {
	const struct requirement *imply[BITS_MAX], *exclude[BITS_MAX];
	const struct requirement *not_imply[BITS_MAX], *not_exclude[BITS_MAX];
	size_t nimply, nexclude, nnot_imply, nnot_exclude;
	bool over;
	struct region *r;
	struct requirement found[2 * BITS_MAX];
	size_t nfound;
};

static bool allowed(const struct wanted *w, const struct requirement *q)
{
	for (size_t i = 0; i < w->nnot_imply; i++)
		if (implies(q, w->not_imply[i]))
			return false;
	for (size_t i = 0; i < w->nnot_exclude; i++)
		if (excludes(q, w->not_exclude[i]))
			return false;
	return true;
}

struct values {
	struct slice *v;
	size_t n, cap;
};

static void add_values(struct arena *a, struct values *all, const struct requirement *const *list,
    size_t n, const struct requirement *p)
{
	for (size_t i = 0; i < n; i++) {
		if (!slice_eq(list[i]->key, p->key))
			continue;
		for (uint32_t k = 0; k < list[i]->n; k++) {
			struct requirement so_far = {.values = all->v, .n = (uint32_t)all->n};
			if (has(p, list[i]->values[k]) || has(&so_far, list[i]->values[k]))
				continue;
			ARENA_ROOM(a, all->v, all->n, all->cap, 8);
			all->v[all->n++] = list[i]->values[k];
		}
	}
}

/* In of all values that are spoken of but P's own, and of one that is not. */
static struct requirement others(const struct wanted *w, const struct requirement *p)
{
	struct arena *a = w->r->space->a;
	struct values all = {0};
	add_values(a, &all, w->imply, w->nimply, p);
	add_values(a, &all, w->exclude, w->nexclude, p);
	add_values(a, &all, w->not_imply, w->nnot_imply, p);
	add_values(a, &all, w->not_exclude, w->nnot_exclude, p);
	struct slice fresh = SLICE("other");
	for (unsigned i = 2;; i++) {
		struct requirement so_far = {.values = all.v, .n = (uint32_t)all.n};
		if (!has(&so_far, fresh) && !has(p, fresh))
			break;
		fresh = slice_of(arena_printf(a, "other%u", i));
	}
	ARENA_ROOM(a, all.v, all.n, all.cap, 8);
	all.v[all.n++] = fresh;
	return (struct requirement){
	    .key = p->key, .op = REQUIREMENT_IN, .values = all.v, .n = (uint32_t)all.n};
}

typedef bool relation_fn(const struct requirement *q, const struct requirement *p);

/* For each thing that one requirement can do there is one that does least beside it: the widest list for
 * In, the shortest for NotIn. */
static bool satisfy(struct wanted *w, const struct requirement *p, relation_fn *relation)
{
	for (size_t i = 0; i < w->nfound; i++)
		if (relation(&w->found[i], p))
			return true;
	struct requirement tries[] = {
	    {.key = p->key, .op = REQUIREMENT_IN, .values = p->values, .n = p->n},
	    others(w, p),
	    {.key = p->key, .op = REQUIREMENT_NOT_IN, .values = p->values, .n = p->n},
	    {.key = p->key, .op = REQUIREMENT_EXISTS},
	    {.key = p->key, .op = REQUIREMENT_DOES_NOT_EXIST},
	};
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		const struct requirement *q = &tries[i];
		bool listless = q->op == REQUIREMENT_IN || q->op == REQUIREMENT_NOT_IN;
		if ((listless && q->n == 0) || !relation(q, p) || !allowed(w, q))
			continue;
		w->found[w->nfound++] = *q;
		return true;
	}
	return false;
}

static bool build(struct wanted *w)
{
	w->nfound = 0;
	for (size_t i = 0; i < w->nimply; i++)
		if (!satisfy(w, w->imply[i], implies))
			return false;
	for (size_t i = 0; i < w->nexclude; i++)
		if (!satisfy(w, w->exclude[i], excludes))
			return false;
	return true;
}

static void push(struct wanted *w, const struct requirement **list, size_t *n,
    const struct requirement *p)
{
	if (*n == BITS_MAX)
		w->over = true;
	else
		list[(*n)++] = p;
}

static bool solve(struct wanted *w, const struct limits *at);

/* All of the selector's requirements at once. */
static bool solve_all(struct wanted *w, const struct limits *at)
{
	const struct limit *l = &at->limit;
	const struct requirement **list = l->wide ? w->not_exclude : w->imply;
	size_t *n = l->wide ? &w->nnot_exclude : &w->nimply, had = *n;
	for (uint32_t i = 0; i < l->selector->n; i++)
		push(w, list, n, &l->selector->v[i]);
	bool ok = solve(w, at->next);
	*n = had;
	return ok;
}

/* One of them is enough: each is tried. */
static bool solve_one(struct wanted *w, const struct limits *at)
{
	const struct limit *l = &at->limit;
	const struct requirement **list = l->wide ? w->exclude : w->not_imply;
	size_t *n = l->wide ? &w->nexclude : &w->nnot_imply, had = *n;
	for (uint32_t i = 0; i < l->selector->n; i++) {
		push(w, list, n, &l->selector->v[i]);
		bool ok = solve(w, at->next);
		*n = had;
		if (ok)
			return true;
	}
	return false;
}

static bool solve(struct wanted *w, const struct limits *at)
{
	if (!at)
		return build(w);
	return at->limit.out ? solve_one(w, at) : solve_all(w, at);
}

enum words_found region_find_selector(struct region *r, enum region_dim dim)
{
	struct wanted *w = ARENA_NEW(r->space->a, struct wanted);
	w->r = r;
	if (!solve(w, r->limits[dim]))
		return w->over ? WORDS_UNKNOWN : WORDS_NONE;
	if (w->over)
		return WORDS_UNKNOWN;
	struct access_requirement *q =
	    ARENA_ARRAY(r->space->a, struct access_requirement, w->nfound);
	for (size_t i = 0; i < w->nfound; i++)
		q[i] = (struct access_requirement){.key = w->found[i].key,
		    .op = slice_of(op_names[w->found[i].op]),
		    .values = w->found[i].values,
		    .n = w->found[i].n};
	bool fields = dim == REGION_FIELDS;
	*(fields ? &r->member.field_selector : &r->member.label_selector) = q;
	*(fields ? &r->member.nfield : &r->member.nlabel) = w->nfound;
	return WORDS_FOUND;
}
