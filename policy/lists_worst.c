/* Owns what the index knows of its worst cases (worst.h). */
#include <stdlib.h>

#include "policy/lists_build.h"

const char *worst_dimension_name(enum worst_dimension d)
{
	static const char *const names[] = {[WORST_SUBJECT] = "subject",
	    [WORST_ACTION] = "action",
	    [WORST_NAMESPACE] = "namespace"};
	return names[d];
}

static const char *quoted(struct lists_build *b, const char *what, struct slice text)
{
	return arena_printf(&b->p->arena, "%s `" SLICE_FMT "`", what, SLICE_ARG(text));
}

/* --- subjects --- */

static const char *key_name(struct lists_build *b, uint32_t key)
{
	const struct policy *p = b->p;
	int kind = SUBJECT_KINDS - 1;
	while (key < p->lists.base[kind])
		kind--;
	uint32_t i = key - p->lists.base[kind];
	switch (kind) {
	case SUBJECT_USER:
		return quoted(b, "user", p->users.texts[i]);
	case SUBJECT_GROUP:
		return quoted(b, "group", p->groups.texts[i]);
	case SUBJECT_USER_GLOB:
		return quoted(b, "users", p->user_globs.patterns[i]);
	case SUBJECT_GROUP_GLOB:
		return quoted(b, "groups", p->group_globs.patterns[i]);
	case SUBJECT_SA_GLOB:
		return quoted(b, "users", p->sa_globs.patterns[i]);
	case SUBJECT_EVERYONE:
		return "everyone";
	default:
		return arena_printf(&b->p->arena, "a list of %u users and %u groups",
		    b->sets[i]->users.n, b->sets[i]->groups.n);
	}
}

/* Entries of KEY that one request can reach: of each kind of place the longest run. */
static uint32_t candidates(const struct lists_build *b, const struct posting *list)
{
	uint32_t most[8] = {0}, sum = 0;
	const uint64_t *v = b->entries + list->first;
	for (uint32_t i = 0, end; i < list->n; i = end) {
		uint32_t place = (uint32_t)(v[i] >> 32), n = 0, *kind = &most[LIST_KIND(place)];
		for (end = i; end < list->n && v[end] >> 32 == place; end++)
			n += (uint32_t)v[end] & LIST_LONG ? b->longest[(uint32_t)v[end] & ~LIST_LONG] : 1;
		*kind = n > *kind ? n : *kind;
	}
	for (size_t i = 0; i < ARRAY_LEN(most); i++)
		sum += most[i];
	return sum;
}

static void worst_candidates(struct lists_build *b)
{
	struct policy_worst *w = &b->p->worst;
	uint32_t at = 0;
	for (uint32_t i = 0; i < b->nkeys; i++) {
		uint32_t n = candidates(b, &b->keys[i].rules);
		if (n > w->candidates) {
			w->candidates = n;
			at = i;
		}
	}
	if (w->candidates)
		w->candidates_of = key_name(b, at);
}

static void worst_subject(struct lists_build *b)
{
	uint32_t at = 0;
	for (uint32_t i = 0; i < b->nkeys; i++)
		if (b->filed[i] > b->filed[at])
			at = i;
	if (b->nkeys && b->filed[at])
		b->p->worst.lists[WORST_SUBJECT] =
		    (struct worst_list){b->filed[at], key_name(b, at)};
}

/* --- places and actions --- */

/* How many rules have each word, and how many have none in particular. */
struct tally {
	uint32_t *words, *last; /* LAST: the rule that was counted last, plus 1 */
	uint32_t any;
};

static struct tally tally_new(uint32_t words)
{
	return (struct tally){.words = lists_zeroed(words, sizeof(uint32_t)),
	    .last = lists_zeroed(words, sizeof(uint32_t))};
}

static void tally_add(struct tally *t, uint32_t word, uint32_t rule)
{
	if (t->last[word] == rule + 1)
		return;
	t->last[word] = rule + 1;
	t->words[word]++;
}

/* The longest list, that of ANY among them, goes to *OUT. */
static void tally_end(struct lists_build *b, struct tally *t, const char *what, const char *any,
    struct worst_list *out)
{
	uint32_t at = 0, most = t->any;
	for (uint32_t i = 1; i <= b->p->words.len; i++) {
		if (t->words[i] > most) {
			most = t->words[i];
			at = i;
		}
	}
	if (most)
		*out = (struct worst_list){most, at ? quoted(b, what, b->p->words.texts[at]) : any};
	free(t->words);
	free(t->last);
}

static void tally_actions(struct tally *t, const struct rule *r, uint32_t rule)
{
	bool any = false;
	for (uint32_t i = 0; i < r->nroles; i++) {
		for (uint32_t k = 0; k < r->roles[i].n; k++) {
			const struct action *a = r->roles[i].v[k];
			for (uint32_t j = 0; j < a->nforms; j++) {
				any |= a->forms[j].resource == ATOM_ANY;
				if (a->forms[j].resource != ATOM_ANY)
					tally_add(t, a->forms[j].resource, rule);
			}
		}
	}
	t->any += any;
}

static void tally_places(struct tally *t, const struct rule *r, uint32_t rule)
{
	if (r->scope != SCOPE_NAMESPACES || r->namespaces->include_globs.n) {
		t->any++;
		return;
	}
	for (uint32_t i = 0; i < r->namespaces->include.n; i++)
		tally_add(t, r->namespaces->include.v[i], rule);
}

static void worst_words(struct lists_build *b)
{
	struct policy_worst *w = &b->p->worst;
	struct tally actions = tally_new(b->p->words.len + 1);
	struct tally places = tally_new(b->p->words.len + 1);
	for (uint32_t i = 0; i < b->p->nrules; i++) {
		tally_actions(&actions, &b->p->rules[i], i);
		tally_places(&places, &b->p->rules[i], i);
	}
	tally_end(b, &actions, "resource", "all resources", &w->lists[WORST_ACTION]);
	tally_end(b, &places, "namespace", "no or patterns of namespaces", &w->lists[WORST_NAMESPACE]);
}

static size_t table_bytes(const struct intern *t)
{
	return t->cap * 2 * sizeof(uint32_t) + t->room * sizeof(struct slice);
}

void lists_worst(struct lists_build *b)
{
	struct policy *p = b->p;
	worst_subject(b);
	worst_candidates(b);
	worst_words(b);
	p->worst.postings = b->kept + b->nanchored;
	p->worst.bytes = sizeof(*p) + p->arena.used + table_bytes(&p->words) +
			 table_bytes(&p->users) + table_bytes(&p->groups);
}
