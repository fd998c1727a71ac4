/* Owns the table of interned literals: open addressing, power-of-two, at most half full. */
#include "policy/intern.h"

#include <stdlib.h>

#include "common/secret.h"

struct intern_slot {
	uint32_t hash, id; /* id 0: free */
};

/* --- the hash ---
 * Folded 64-bit products of the text with two secret numbers of the table: an eighth of SipHash's cost, which with
 * dozens of groups in a request is most of a decision's. What it must withstand is little: requests only look up, and
 * cannot put anything into the table. */

static uint64_t word8(const char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t word4(const char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint32_t hash_of(const struct intern *t, struct slice s)
{
	const char *p = s.p;
	size_t n = s.len;
	uint64_t a = 0, b = 0, h = t->seed[1] + n;
	for (; n > 16; n -= 16, p += 16)
		h = fold(word8(p) ^ t->seed[0], word8(p + 8) ^ h);
	if (n >= 8) {
		a = word8(p);
		b = word8(p + n - 8);
	} else if (n >= 4) {
		a = word4(p);
		b = word4(p + n - 4);
	} else if (n > 0) {
		a = (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 |
		    (unsigned char)p[n - 1];
	}
	return (uint32_t)fold(a ^ t->seed[0], b ^ h);
}

/* memcmp without the call: the texts are short. */
static inline bool same(struct slice a, struct slice b)
{
	size_t n = a.len;
	if (n != b.len)
		return false;
	if (n < 8)
		return slice_eq(a, b);
	for (size_t i = 0; i + 8 < n; i += 8)
		if (word8(a.p + i) != word8(b.p + i))
			return false;
	return word8(a.p + n - 8) == word8(b.p + n - 8);
}

/* --- the table --- */

void intern_done(struct intern *t)
{
	free(t->slots);
	free(t->texts);
	*t = (struct intern){0};
}

static inline struct intern_slot *find(const struct intern *t, struct slice text, uint32_t hash)
{
	for (uint32_t i = hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
		struct intern_slot *s = &t->slots[i];
		if (s->id == INTERN_NONE || (s->hash == hash && same(t->texts[s->id], text)))
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
	if (!t->cap)
		secret_random(t->seed, sizeof(t->seed));
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
	uint32_t hash = hash_of(t, text);
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
	return find(t, text, hash_of(t, text))->id;
}

void intern_find_all(const struct intern *t, const struct slice *texts, size_t n, uint32_t *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = t->len == 0 ? INTERN_NONE : find(t, texts[i], hash_of(t, texts[i]))->id;
}
