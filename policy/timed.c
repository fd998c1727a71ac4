/* Owns what time alone does to a policy: when the next window opens or closes, and whose it is; and which rules
 * are for emergencies. */
#include <stdlib.h>

#include "policy/index.h"

int64_t policy_next_change(const struct policy *p, int64_t t)
{
	int64_t first = INT64_MAX;
	for (uint32_t i = 0; i < p->nwindows; i++) {
		int64_t next = window_next(p->windows[i], t);
		if (next < first)
			first = next;
	}
	return first;
}

static bool holds(const struct window *w, int64_t t)
{
	return window_covers(w, t, t);
}

static void tell(const struct policy *p, const struct window *w, struct policy_change *c,
    policy_change_fn *fn, void *ctx)
{
	AUTO(arena_done) struct arena a = {0};
	const char **ids = NULL;
	size_t cap = 0;
	for (uint32_t i = 0; i < p->nrules; i++) {
		if (p->rules[i].valid != w)
			continue;
		ARENA_ROOM(&a, ids, c->n, cap, 16);
		ids[c->n++] = p->rules[i].id;
	}
	c->rules = ids;
	fn(ctx, c);
}

void policy_changes(
    const struct policy *p, int64_t then, int64_t now, policy_change_fn *fn, void *ctx)
{
	for (uint32_t i = 0; i < p->nwindows; i++) {
		const struct window *w = p->windows[i];
		struct policy_change c = {.begins = holds(w, now)};
		if (holds(w, then) == c.begins)
			continue;
		c.final = !c.begins && window_next(w, now) == INT64_MAX;
		tell(p, w, &c, fn, ctx);
	}
}

void policy_break_glass(
    const struct policy *p, void (*fn)(void *ctx, const char *rule), void *ctx)
{
	for (uint32_t i = 0; i < p->nrules; i++)
		if (p->rules[i].break_glass)
			fn(ctx, p->rules[i].id);
}
