/* Owns what one rule says of another: rules that never decide, that repeat, that nobody is left of;
 * and the subjects that cost most.
 *
 * A rule is compared with those alone that share one of its subjects, places and resources, or that
 * name patterns: each is filed under "SUBJECT NAMESPACE RESOURCE", and a few bits of its words rule
 * out most of the rest before the proof is tried. */
#include <stdlib.h>

#include "policy/cover.h"
#include "policy/lint_parts.h"

/* Comparisons of bits, and proofs (each counts as PROOF_COST): a few seconds. */
#define BUDGET UINT64_C(1000000000)
#define PROOF_COST 4
/* A rule is filed under so many of its places and resources, then under "any" alone. */
#define FILED_MAX 16
/* The lists that a rule may be covered from: its subject or a pattern, its place or any, its
 * resource or any. */
#define LISTS 8
/* So many subjects of a rule are tried for the shortest list of candidates. */
#define TRIED_MAX 16

struct bucket {
	uint32_t *v;
	size_t n, cap;
	uint32_t last; /* rule + 1 that was filed last: none twice */
};

/* Which words a rule has, as bits; all bits: any. */
struct bits {
	uint64_t verbs, things, subjects;
};

struct reach {
	struct linter *l;
	const struct policy *p;
	struct map buckets; /* "u" ATOM NS -> struct bucket * */
	struct bits *bits;
	uint64_t left;
};

struct key {
	char kind; /* u: user, g: group, *: pattern or everyone */
	/* PLACE 0: everywhere, or patterns; THING 0: any resource, or paths. */
	uint32_t subject, place, thing;
};

#define KEY_LEN 13

/* Padding would be part of the key. */
static struct slice key_text(const struct key *k, char out[KEY_LEN])
{
	out[0] = k->kind;
	memcpy(out + 1, &k->subject, sizeof(k->subject));
	memcpy(out + 5, &k->place, sizeof(k->place));
	memcpy(out + 9, &k->thing, sizeof(k->thing));
	return (struct slice){out, KEY_LEN};
}

static struct bucket *bucket(struct reach *t, const struct key *k, bool make)
{
	char text[KEY_LEN];
	struct bucket *b = map_get(&t->buckets, key_text(k, text));
	if (b || !make)
		return b;
	b = ARENA_NEW(&t->l->arena, struct bucket);
	map_put(&t->buckets, slice_dup(&t->l->arena, key_text(k, text)), b);
	return b;
}

static void file_under(struct reach *t, const struct key *k, uint32_t rule)
{
	struct bucket *b = bucket(t, k, true);
	if (b->last == rule + 1)
		return;
	b->last = rule + 1;
	ARENA_ROOM(&t->l->arena, b->v, b->n, b->cap, 4);
	b->v[b->n++] = rule;
}

/* --- bits --- */

static uint64_t bit(uint32_t atom)
{
	return UINT64_C(1) << (atom * UINT32_C(2654435761) >> 26);
}

static uint64_t atom_bits(const struct atom_set *s)
{
	uint64_t out = s->any ? UINT64_MAX : 0;
	for (uint32_t i = 0; i < s->n; i++)
		out |= bit(s->v[i]);
	return out;
}

static uint64_t thing_bits(const struct action *a)
{
	uint64_t out = 0;
	for (uint32_t i = 0; i < a->nforms; i++)
		out |= a->forms[i].resource == ATOM_ANY ? UINT64_MAX : bit(a->forms[i].resource);
	return a->resource ? out : UINT64_MAX;
}

static bool set_wild(const struct subject_set *s)
{
	return s && (s->everyone || s->user_globs.n || s->group_globs.n || s->sa_globs.n);
}

static uint64_t set_bits(const struct subject_set *s)
{
	return s ? atom_bits(&s->users) | atom_bits(&s->groups) : 0;
}

static struct bits bits_of(const struct rule *r)
{
	struct bits b = {0};
	EACH_ACTION(r, a)
	{
		b.verbs |= atom_bits(&a->verbs);
		b.things |= thing_bits(a);
	}
	b.subjects = set_bits(r->subjects.own) | set_bits(r->subjects.alias);
	if (set_wild(r->subjects.own) || set_wild(r->subjects.alias))
		b.subjects = UINT64_MAX;
	return b;
}

/* As one that is covered: paths have no bits then, and either half of ABAC's pair may be the one. */
static struct bits narrow_bits(const struct rule *r, const struct bits *wide)
{
	struct bits b = *wide;
	b.things = 0;
	EACH_ACTION(r, a)
		b.things |= a->resource ? thing_bits(a) : 0;
	if (r->also.own || r->also.alias)
		b.subjects = 0;
	return b;
}

/* --- filing --- */

/* Where a rule is filed besides its subjects. */
struct filing {
	uint32_t places[FILED_MAX], things[FILED_MAX];
	size_t nplaces, nthings;
};

static size_t places_of(const struct rule *r, uint32_t out[FILED_MAX])
{
	const struct ns_set *n = r->scope == SCOPE_NAMESPACES ? r->namespaces : NULL;
	out[0] = 0;
	if (!n || n->include_globs.n || n->include.n == 0 || n->include.n > FILED_MAX)
		return 1;
	memcpy(out, n->include.v, n->include.n * sizeof(*out));
	return n->include.n;
}

static size_t things_of(const struct rule *r, uint32_t out[FILED_MAX])
{
	size_t n = 0;
	EACH_ACTION(r, a)
	{
		bool any = !a->resource || n + a->nforms > FILED_MAX;
		for (uint32_t i = 0; i < a->nforms && !any; i++) {
			out[n++] = a->forms[i].resource;
			any = a->forms[i].resource == ATOM_ANY;
		}
		if (any) {
			out[0] = 0;
			return 1;
		}
	}
	return n;
}

static void file_one(
    struct reach *t, uint32_t rule, char kind, uint32_t subject, const struct filing *f)
{
	for (size_t i = 0; i < f->nplaces; i++)
		for (size_t k = 0; k < f->nthings; k++)
			file_under(t, &(struct key){kind, subject, f->places[i], f->things[k]}, rule);
}

static void file_set(
    struct reach *t, uint32_t rule, const struct subject_set *s, const struct filing *f)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->users.n; i++)
		file_one(t, rule, 'u', s->users.v[i], f);
	for (uint32_t i = 0; i < s->groups.n; i++)
		file_one(t, rule, 'g', s->groups.v[i], f);
	if (set_wild(s))
		file_one(t, rule, '*', 0, f);
}

static void file_rule(struct reach *t, uint32_t rule)
{
	const struct rule *r = &t->p->rules[rule];
	struct filing f;
	f.nplaces = places_of(r, f.places);
	f.nthings = things_of(r, f.things);
	file_set(t, rule, r->subjects.own, &f);
	if (r->subjects.alias != r->subjects.own)
		file_set(t, rule, r->subjects.alias, &f);
}

/* --- comparing --- */

/* The stronger number wins; a shadow rule wins over shadow rules only. */
static int strength(const struct rule *r)
{
	return r->effect == POLICY_DENY ? 2 : r->effect == POLICY_ABSTAIN ? 1 : 0;
}

struct best {
	uint32_t unreachable, exempt_only, shadowed, redundant; /* UINT32_MAX: none */
};

static bool has(const struct subjects *s)
{
	return s->own || s->alias;
}

/* Whether a proven cover is one that matters, and how. */
static void judge(const struct reach *t, uint32_t wide, uint32_t narrow, struct best *b)
{
	const struct rule *w = &t->p->rules[wide], *n = &t->p->rules[narrow];
	const struct subjects *exempt = &t->p->exempt;
	if (strength(w) == strength(n)) {
		uint32_t *slot = wide < narrow ? &b->shadowed : &b->redundant;
		if (wide < *slot)
			*slot = wide;
	} else if (n->effect != POLICY_ALLOW || !has(exempt) ||
		   (has(&n->except) && cover_subjects(t->p, &n->except, exempt))) {
		if (wide < b->unreachable)
			b->unreachable = wide;
	} else if (!cover_subjects(t->p, exempt, &n->subjects) && wide < b->exempt_only) {
		b->exempt_only = wide;
	}
}

static bool may_cover(const struct bits *w, const struct bits *n)
{
	return !(n->verbs & ~w->verbs) && !(n->things & ~w->things) &&
	       !(n->subjects & ~w->subjects);
}

static void compare_with(
    struct reach *t, const struct bucket *list, uint32_t narrow, struct best *b)
{
	const struct rule *n = &t->p->rules[narrow];
	const struct bits bits = narrow_bits(n, &t->bits[narrow]);
	for (size_t i = 0; list && i < list->n && t->left; i++) {
		uint32_t wide = list->v[i];
		const struct rule *w = &t->p->rules[wide];
		t->left--;
		if (wide == narrow || !may_cover(&t->bits[wide], &bits) ||
		    strength(w) < strength(n) || (w->shadow && !n->shadow))
			continue;
		/* A later rule of the same effect says least: not once something was found. */
		if (strength(w) == strength(n) &&
		    (b->shadowed != UINT32_MAX || (wide > narrow && b->redundant != UINT32_MAX)))
			continue;
		t->left -= t->left < PROOF_COST ? t->left : PROOF_COST;
		if (cover_rule(t->p, w, n))
			judge(t, wide, narrow, b);
		if (b->unreachable != UINT32_MAX)
			return;
	}
}

struct choice {
	uint32_t place, thing; /* one of each that the rule has: whatever covers it has them too */
	const struct bucket *lists[LISTS];
	size_t total;
	unsigned tried;
};

/* Takes the lists that hold every rule which may name SUBJECT, if they are the shortest so far. */
static void try_subject(struct reach *t, char kind, uint32_t subject, struct choice *c)
{
	const struct bucket *lists[LISTS] = {0};
	size_t total = 0;
	if (c->tried++ >= TRIED_MAX)
		return;
	for (unsigned i = 0; i < LISTS; i++) {
		bool pattern = i & 1, place = i & 2, thing = i & 4;
		if ((pattern && kind == '*') || (place && !c->place) || (thing && !c->thing))
			continue;
		struct key k = {pattern ? '*' : kind, pattern ? 0 : subject, place ? c->place : 0,
		    thing ? c->thing : 0};
		lists[i] = bucket(t, &k, false);
		total += lists[i] ? lists[i]->n : 0;
	}
	if (c->tried == 1 || total < c->total) {
		memcpy(c->lists, lists, sizeof(lists));
		c->total = total;
	}
}

static void try_set(struct reach *t, const struct subject_set *s, struct choice *c)
{
	if (!s)
		return;
	if (set_wild(s))
		try_subject(t, '*', 0, c);
	for (uint32_t i = 0; i < s->users.n; i++)
		try_subject(t, 'u', s->users.v[i], c);
	for (uint32_t i = 0; i < s->groups.n; i++)
		try_subject(t, 'g', s->groups.v[i], c);
}

static struct choice candidates(struct reach *t, const struct rule *r)
{
	struct choice c = {0};
	uint32_t places[FILED_MAX], things[FILED_MAX];
	places_of(r, places);
	c.place = places[0];
	c.thing = things_of(r, things) ? things[0] : 0;
	try_set(t, r->subjects.own, &c);
	try_set(t, r->subjects.alias, &c);
	return c;
}

/* --- telling --- */

static const char *named(const struct reach *t, uint32_t rule)
{
	const struct rule *r = &t->p->rules[rule];
	return arena_printf(&t->l->arena, "`%s` (%s)", r->id, r->source ? r->source : "");
}

static bool same_words(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Two rules with messages of their own, or one of which is told with each use, are there to be told
 * apart. */
static bool told_apart(const struct rule *a, const struct rule *b)
{
	return !same_words(a->message, b->message) || (a->break_glass || b->break_glass);
}

static void tell_same_effect(struct reach *t, uint32_t rule, const struct best *b)
{
	const struct rule *r = &t->p->rules[rule];
	if (b->shadowed != UINT32_MAX) {
		const struct rule *w = &t->p->rules[b->shadowed];
		bool twice = r->shadow == w->shadow && cover_rule(t->p, r, w);
		lint_rule(t->l, rule, twice ? "duplicate" : "shadowed", "take it out",
		    twice ? "says the same as %s" : "never decides: %s stands before it and "
						    "matches all that it matches",
		    named(t, b->shadowed));
	} else if (b->redundant != UINT32_MAX && !told_apart(r, &t->p->rules[b->redundant])) {
		lint_rule(t->l, rule, "redundant", "take it out, or narrow the other",
		    "changes no verdict: %s matches all that it matches", named(t, b->redundant));
	}
}

static void tell(struct reach *t, uint32_t rule, const struct best *b)
{
	if (b->unreachable != UINT32_MAX)
		lint_rule(t->l, rule, "unreachable", "take it out, or except its subjects there",
		    "never decides: the stronger %s matches all that it matches",
		    named(t, b->unreachable));
	else if (b->exempt_only != UINT32_MAX)
		lint_rule(t->l, rule, "exempt-only", "take it out, or except its subjects there",
		    "decides for those alone who are in defaults.exempt: the stronger %s matches "
		    "all that it matches",
		    named(t, b->exempt_only));
	else
		tell_same_effect(t, rule, b);
}

static void compare(struct reach *t, uint32_t rule)
{
	const struct rule *r = &t->p->rules[rule];
	struct best b = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	if (cover_nobody(t->p, r)) {
		lint_rule(t->l, rule, "nobody", "take it out, or mend its `except`",
		    "has no effect: all whom it names are excepted");
		return;
	}
	struct choice c = candidates(t, r);
	for (int i = 0; i < LISTS && b.unreachable == UINT32_MAX; i++)
		compare_with(t, c.lists[i], rule, &b);
	if (t->left == 0)
		t->l->out->uncompared++;
	tell(t, rule, &b);
}

void lint_reach(struct linter *l)
{
	const struct policy *p = l->p;
	struct reach t = {.l = l, .p = p, .left = BUDGET};
	t.bits = ARENA_ARRAY(&l->arena, struct bits, p->nrules);
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct rule *r = &p->rules[i];
		t.bits[i] = bits_of(r);
		if (rule_class(r) != CLASS_NOTE)
			file_rule(&t, i);
	}
	for (uint32_t i = 0; i < p->nrules; i++)
		if (rule_class(&p->rules[i]) != CLASS_NOTE)
			compare(&t, i);
	if (l->out->uncompared)
		lint_place(l, lint_whole(l), "not-compared", "lint fewer rules at once",
		    "%u of %u rules were not compared with all others: too many share their "
		    "subjects",
		    l->out->uncompared, p->nrules);
	map_done(&t.buckets);
}
