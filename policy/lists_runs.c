/* Owns the runs of the lists: entries of one subject and one place, in order, without those that can never
 * decide; the long ones divided by what their rules are about. */
#include <stdlib.h>

#include "policy/lists_build.h"

/* A run up to this long is gone through: looking up each anchor would cost as much. */
#define RUN_MAX 16
/* More words than this of one rule are not written out: it is tried for every action. */
#define ANCHORS_MAX 64

static int entry_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Ascending, without doubles. Returns how many are left. */
static size_t sort_entries(uint64_t *v, size_t n)
{
	if (n < 2)
		return n;
	bool sorted = true;
	for (size_t i = 1; i < n && sorted; i++)
		sorted = v[i - 1] < v[i];
	if (sorted)
		return n;
	qsort(v, n, sizeof(*v), entry_cmp);
	size_t kept = 1;
	for (size_t i = 1; i < n; i++)
		if (v[i] != v[kept - 1])
			v[kept++] = v[i];
	return kept;
}

/* --- rules that can never decide --- */

/* Does it match whenever its action and place do? */
static bool unconditional(const struct rule *r)
{
	return !r->except.own && !r->except.alias && !r->also.own && !r->also.alias && !r->valid;
}

static bool same_shape(const struct rule *a, const struct rule *b)
{
	return a->roles == b->roles && a->exact == b->exact && rule_class(a) == rule_class(b);
}

/* Is FIRST in force wherever NEXT is, both being filed under PLACE? */
static bool same_place(const struct rule *first, const struct rule *next, uint32_t place)
{
	if (first->namespaces == next->namespaces)
		return true;
	switch (LIST_KIND(place)) {
	case PLACE_WIDE:
	case PLACE_PATHS:
		return true;
	case PLACE_WORD:
	case PLACE_GLOB:
		return first->namespaces->exclude.n == 0 && first->namespaces->exclude_globs.n == 0;
	default:
		return false;
	}
}

static uint32_t *find_seen(struct lists_build *b, uint32_t mask, const struct rule *r)
{
	uint64_t hash = ((uint64_t)(uintptr_t)r->roles >> 4) * UINT64_C(0x9E3779B97F4A7C15);
	for (uint32_t i = (uint32_t)(hash >> 32) & mask;; i = (i + 1) & mask) {
		uint32_t *slot = &b->seen[i]; /* a rank plus 1 */
		if (*slot == 0 || same_shape(r, lists_rule(b, *slot - 1)))
			return slot;
	}
}

/* Of rules that say the same about the same only the first ever decides: the others need no entry. */
static size_t drop_shadowed(struct lists_build *b, uint64_t *v, size_t n)
{
	size_t kept = 0, room = 4;
	if (n < 2)
		return n;
	while (room < n * 2)
		room *= 2;
	if (room > b->seen_room) {
		free(b->seen);
		b->seen = lists_zeroed(room, sizeof(*b->seen));
		b->seen_room = room;
	}
	memset(b->seen, 0, room * sizeof(*b->seen));
	for (size_t i = 0; i < n; i++) {
		const struct rule *r = lists_rule(b, v[i]);
		uint32_t *slot = find_seen(b, (uint32_t)room - 1, r);
		if (*slot && same_place(lists_rule(b, *slot - 1), r, (uint32_t)(v[i] >> 32)))
			continue;
		if (*slot == 0 && unconditional(r))
			*slot = (uint32_t)v[i] + 1;
		v[kept++] = v[i];
	}
	return kept;
}

/* --- long runs --- */

struct anchors {
	uint32_t v[ANCHORS_MAX];
	uint32_t n; /* more than fit: too many */
};

static void anchor_add(struct anchors *a, enum anchor_kind kind, uint32_t number)
{
	uint32_t key = LIST_KEY(kind, number);
	for (uint32_t i = 0; i < a->n && i < ANCHORS_MAX; i++)
		if (a->v[i] == key)
			return;
	if (a->n < ANCHORS_MAX)
		a->v[a->n] = key;
	a->n++;
}

static void anchor_set(struct anchors *a, enum anchor_kind kind, const struct atom_set *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		anchor_add(a, kind, s->v[i]);
}

static bool one_sub(const struct resource_form *f)
{
	return f->sub != ATOM_ANY && f->sub != ATOM_SOME;
}

static void anchor_form(struct anchors *a, const struct action *action, const struct resource_form *f)
{
	if (f->resource != ATOM_ANY && one_sub(f))
		anchor_add(a, ANCHOR_RESOURCE, list_pair(f->resource, f->sub));
	else if (f->resource != ATOM_ANY)
		anchor_add(a, ANCHOR_SUBS, f->resource);
	else if (one_sub(f))
		anchor_add(a, ANCHOR_SUB, f->sub);
	else if (!action->groups.any)
		anchor_set(a, ANCHOR_GROUP, &action->groups);
	else if (!action->verbs.any)
		anchor_set(a, ANCHOR_VERB, &action->verbs);
	else
		anchor_add(a, ANCHOR_ANY, 0);
}

/* A rule that takes names away concerns requests without a name too. */
static void anchor_unnamed(const struct lists_build *b, struct anchors *a, const struct action *action)
{
	for (uint32_t i = 0; i < action->nforms; i++) {
		const struct resource_form *f = &action->forms[i];
		if (f->resource != ATOM_ANY && one_sub(f))
			anchor_add(a, ANCHOR_UNNAMED, list_pair(f->resource, f->sub));
		else
			anchor_add(a, ANCHOR_NAME, b->p->empty);
	}
}

static void anchor_action(
    const struct lists_build *b, struct anchors *a, const struct rule *r, const struct action *action)
{
	if (!action->resource) {
		anchor_add(a, ANCHOR_ANY, 1);
		return;
	}
	if (!action->names.any && action->name_globs.n == 0) {
		anchor_set(a, ANCHOR_NAME, &action->names);
		if (lists_overlaps(r))
			anchor_unnamed(b, a, action);
		return;
	}
	for (uint32_t i = 0; i < action->nforms; i++)
		anchor_form(a, action, &action->forms[i]);
}

static void rule_anchors(const struct lists_build *b, const struct rule *r, struct anchors *a)
{
	a->n = 0;
	for (uint32_t i = 0; i < r->nroles; i++)
		for (uint32_t k = 0; k < r->roles[i].n; k++)
			anchor_action(b, a, r, r->roles[i].v[k]);
	if (a->n > ANCHORS_MAX) {
		a->n = 0;
		anchor_add(a, ANCHOR_ANY, 0);
	}
}

static void *grown(void *v, size_t room, size_t size)
{
	v = reallocarray(v, room, size);
	if (!v)
		abort();
	return v;
}

/* How many entries of the long run one request can reach: the largest part of each kind. */
static uint32_t reach(const uint64_t *v, size_t n)
{
	uint32_t most[8] = {0}, sum = 0;
	for (size_t i = 0, part; i < n; i = part) {
		uint32_t key = (uint32_t)(v[i] >> 32), *kind = &most[LIST_KIND(key)];
		for (part = i; part < n && v[part] >> 32 == key; part++)
			;
		*kind = part - i > *kind ? (uint32_t)(part - i) : *kind;
	}
	for (size_t i = 0; i < ARRAY_LEN(most); i++)
		sum += most[i];
	return sum;
}

/* Files the rules of the run by anchors; returns the entry that stands for it. */
static uint64_t add_long(struct lists_build *b, const uint64_t *v, size_t n)
{
	size_t first = b->nanchored;
	uint32_t kinds = 0;
	for (size_t i = 0; i < n; i++) {
		struct anchors a;
		rule_anchors(b, lists_rule(b, v[i]), &a);
		if (b->nanchored + a.n > b->anchored_room) {
			b->anchored_room = b->anchored_room * 2 + 4096;
			b->anchored = grown(b->anchored, b->anchored_room, sizeof(*b->anchored));
		}
		for (uint32_t k = 0; k < a.n; k++) {
			kinds |= 1u << LIST_KIND(a.v[k]);
			b->anchored[b->nanchored++] = LIST_ENTRY(a.v[k], (uint32_t)v[i]);
		}
	}
	if (b->nruns == b->runs_room) {
		b->runs_room = b->runs_room * 2 + 16;
		b->runs = grown(b->runs, b->runs_room, sizeof(*b->runs));
		b->longest = grown(b->longest, b->runs_room, sizeof(*b->longest));
	}
	b->p->lists.anchors |= kinds;
	uint32_t len = (uint32_t)sort_entries(b->anchored + first, b->nanchored - first);
	b->nanchored = first + len;
	b->longest[b->nruns] = reach(b->anchored + first, len);
	b->runs[b->nruns] = (struct long_run){(uint32_t)first, len, kinds};
	return LIST_ENTRY((uint32_t)(v[0] >> 32), LIST_LONG | b->nruns++);
}

/* --- all --- */

static void keep_run(struct lists_build *b, uint64_t *v, size_t n)
{
	n = drop_shadowed(b, v, n);
	if (n > RUN_MAX) {
		v[0] = add_long(b, v, n);
		n = 1;
	}
	memmove(b->entries + b->kept, v, n * sizeof(*v));
	b->kept += n;
}

static void keep_key(struct lists_build *b, struct subject_key *key)
{
	struct posting *list = &key->rules;
	uint64_t *v = b->entries + list->first;
	size_t n = sort_entries(v, list->n), first = b->kept;
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i; end < n && v[end] >> 32 == v[i] >> 32; end++)
			;
		key->places |= list_place_bit((uint32_t)(v[i] >> 32));
		keep_run(b, v + i, end - i);
	}
	*list = (struct posting){(uint32_t)first, (uint32_t)(b->kept - first)};
}

void lists_runs(struct lists_build *b)
{
	for (uint32_t i = 0; i < b->nkeys; i++)
		keep_key(b, &b->keys[i]);
}
