/* Owns the keyed string map: linear probing, power-of-two capacity, at most three quarters full. */
#include "common/map.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/secret.h"

struct map_slot {
	struct slice key;
	uint64_t hash;
	void *value; /* NULL: free */
};

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_init(void)
{
	secret_random(seed, sizeof(seed));
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t map_hash(struct slice key)
{
	pthread_once(&seed_once, seed_init);
	uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575),
	    seed[1] ^ UINT64_C(0x646f72616e646f6d), seed[0] ^ UINT64_C(0x6c7967656e657261),
	    seed[1] ^ UINT64_C(0x7465646279746573)};
	size_t i = 0;
	for (; i + 8 <= key.len; i += 8) {
		uint64_t m;
		memcpy(&m, key.p + i, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	uint64_t last = (uint64_t)key.len << 56;
	for (size_t k = 0; i + k < key.len; k++)
		last |= (uint64_t)(unsigned char)key.p[i + k] << (8 * k);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_done(struct map *m)
{
	free(m->slots);
	*m = (struct map){0};
}

/* The slot that holds KEY, or the free one where it belongs. The table is never full. */
static struct map_slot *find(const struct map *m, struct slice key, uint64_t hash)
{
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];
		if (!s->value || (s->hash == hash && slice_eq(s->key, key)))
			return s;
	}
}

static void grow(struct map *m)
{
	struct map old = *m;
	m->cap = old.cap ? old.cap * 2 : 16;
	m->slots = calloc(m->cap, sizeof(*m->slots));
	if (!m->slots)
		abort();
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].value)
			*find(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
	free(old.slots);
}

void *map_get(const struct map *m, struct slice key)
{
	return m->cap ? find(m, key, map_hash(key))->value : NULL;
}

void *map_put(struct map *m, struct slice key, void *value)
{
	if ((m->len + 1) * 4 > m->cap * 3)
		grow(m);
	uint64_t hash = map_hash(key);
	struct map_slot *s = find(m, key, hash);
	void *old = s->value;
	if (!old)
		m->len++;
	*s = (struct map_slot){key, hash, value};
	return old;
}

void *map_del(struct map *m, struct slice key)
{
	if (!m->cap)
		return NULL;
	struct map_slot *s = find(m, key, map_hash(key));
	void *old = s->value;
	if (!old)
		return NULL;
	m->len--;
	/* Backward-shift deletion: no tombstones, so look-ups never slow down with age. */
	size_t hole = (size_t)(s - m->slots), i = hole;
	for (;;) {
		i = (i + 1) & (m->cap - 1);
		struct map_slot *next = &m->slots[i];
		if (!next->value)
			break;
		size_t home = next->hash & (m->cap - 1);
		if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
			m->slots[hole] = *next;
			hole = i;
		}
	}
	m->slots[hole] = (struct map_slot){0};
	return old;
}

bool map_next(const struct map *m, size_t *it, struct slice *key, void **value)
{
	while (*it < m->cap) {
		const struct map_slot *s = &m->slots[(*it)++];
		if (!s->value)
			continue;
		*key = s->key;
		*value = s->value;
		return true;
	}
	return false;
}
