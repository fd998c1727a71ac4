/* Owns the table of interned literals: open addressing, power-of-two, at most half full. */
#include "policy/intern.h"

#include <stdlib.h>

#include "common/map.h"

struct intern_slot {
	uint32_t hash, id; /* id 0: free */
};

void intern_done(struct intern *t)
{
	free(t->slots);
	free(t->texts);
	*t = (struct intern){0};
}

static struct intern_slot *find(const struct intern *t, struct slice text, uint32_t hash)
{
	for (uint32_t i = hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
		struct intern_slot *s = &t->slots[i];
		if (s->id == INTERN_NONE || (s->hash == hash && slice_eq(t->texts[s->id], text)))
			return s;
	}
}

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static void grow(struct intern *t)
{
	uint32_t cap = t->cap ? t->cap * 2 : 64;
	struct intern_slot *old = t->slots;
	uint32_t old_cap = t->cap;
	t->slots = must(calloc(cap, sizeof(*t->slots)));
	t->cap = cap;
	for (uint32_t i = 0; i < old_cap; i++) {
		if (old[i].id == INTERN_NONE)
			continue;
		*find(t, t->texts[old[i].id], old[i].hash) = old[i];
	}
	free(old);
}

uint32_t intern_add(struct intern *t, struct slice text)
{
	if ((t->len + 1) * 2 > t->cap)
		grow(t);
	uint32_t hash = (uint32_t)map_hash(text);
	struct intern_slot *s = find(t, text, hash);
	if (s->id != INTERN_NONE)
		return s->id;
	if (t->len + 2 > t->room) {
		t->room = t->room ? t->room * 2 : 64;
		t->texts = must(reallocarray(t->texts, t->room, sizeof(*t->texts)));
	}
	*s = (struct intern_slot){hash, ++t->len};
	t->texts[t->len] = text;
	return t->len;
}

uint32_t intern_find(const struct intern *t, struct slice text)
{
	if (t->len == 0)
		return INTERN_NONE;
	return find(t, text, (uint32_t)map_hash(text))->id;
}
