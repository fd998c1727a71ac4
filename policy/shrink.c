/* Owns the comparison of two policies by what the newer one lost. */
#include "policy/shrink.h"

#include "common/map.h"
#include "policy/index.h"

/* How much a rule takes away: an id that stays but does less, or no longer at all times, counts as lost. */
static int strength(const struct rule *r)
{
	return r->effect == POLICY_DENY ? 2 : r->effect == POLICY_ABSTAIN ? 1 : 0;
}

static bool enforced(const struct rule *r)
{
	return !r->shadow && r->effect != POLICY_NO_EFFECT;
}

static void lose(struct shrink *s, const char *what)
{
	if (s->lost)
		s->more++;
	else
		s->lost = what;
}

static void compare_rules(
    const struct policy *old, const struct policy *now, struct arena *a, struct shrink *out)
{
	struct map ids = {0};
	for (uint32_t i = 0; i < now->nrules; i++) {
		const struct rule *r = &now->rules[i], *other = map_get(&ids, slice_of(r->id));
		/* Imported ids may stand for several rules: the strongest speaks. */
		if (enforced(r) && (!other || strength(other) < strength(r)))
			map_put(&ids, slice_of(r->id), (void *)(uintptr_t)r);
	}
	for (uint32_t i = 0; i < old->nrules; i++) {
		const struct rule *r = &old->rules[i];
		if (!enforced(r))
			continue;
		const struct rule *same = map_get(&ids, slice_of(r->id));
		out->rules++;
		out->removed += !same;
		bool less = !same || strength(r) > strength(same) || (same->valid && !r->valid);
		if (strength(r) && less)
			lose(out, arena_printf(a, "the rule `%s` (%s) that %s", r->id, r->source,
				      strength(r) == 2 ? "denies" : "abstains"));
	}
	map_done(&ids);
}

/* --- exemptions --- */

/* The texts that SET names, one a key "KIND TEXT". */
static void collect(
    struct map *out, const struct policy *p, const struct subject_set *set, struct arena *a)
{
	if (!set)
		return;
	for (uint32_t i = 0; i < set->users.n; i++)
		map_put(out, slice_of(arena_printf(a, "user %s", p->users.texts[set->users.v[i]].p)),
		    out);
	for (uint32_t i = 0; i < set->groups.n; i++)
		map_put(out,
		    slice_of(arena_printf(a, "group %s", p->groups.texts[set->groups.v[i]].p)), out);
	const struct {
		const char *kind;
		const struct glob_list *list;
	} globs[] = {{"user", &set->user_globs}, {"group", &set->group_globs},
	    {"service account", &set->sa_globs}};
	for (size_t k = 0; k < ARRAY_LEN(globs); k++)
		for (uint32_t i = 0; i < globs[k].list->n; i++)
			map_put(out,
			    slice_of(arena_printf(a, "%s %.*s", globs[k].kind,
				(int)globs[k].list->v[i].len, globs[k].list->v[i].p)),
			    out);
}

static void compare_exempt(
    const struct policy *old, const struct policy *now, struct arena *a, struct shrink *out)
{
	struct map before = {0}, after = {0};
	collect(&before, old, old->exempt.own, a);
	collect(&before, old, old->exempt.alias, a);
	collect(&after, now, now->exempt.own, a);
	collect(&after, now, now->exempt.alias, a);
	struct slice key, first = {0};
	void *value;
	size_t lost = 0;
	for (size_t it = 0; map_next(&before, &it, &key, &value);) {
		if (map_get(&after, key))
			continue;
		/* The map has no order; the message has. */
		if (lost++ == 0 || slice_cmp(key, first) < 0)
			first = key;
	}
	if (lost) {
		lose(out, arena_printf(a, "the exemption of %s", first.p));
		out->more += lost - 1;
	}
	map_done(&before);
	map_done(&after);
}

void policy_shrink(
    const struct policy *old, const struct policy *now, struct arena *a, struct shrink *out)
{
	*out = (struct shrink){0};
	compare_rules(old, now, a, out);
	compare_exempt(old, now, a, out);
	if (old->default_deny && !now->default_deny)
		lose(out, "`defaults.decision: Deny`");
}
