/* Hash map from byte strings to pointers, keyed with SipHash-1-3 and a per-process random key:
 * request strings are attacker-chosen, so the hash must not be predictable. */
#ifndef COMMON_MAP_H
#define COMMON_MAP_H

#include "common/str.h"

struct map_slot;

/* One writer at a time; any number of readers while nobody writes. Keys are borrowed: they must
 * outlive the map. A zeroed map is an empty map. */
struct map {
	struct map_slot *slots;
	size_t len, cap;
};

void map_done(struct map *m);

/* Value of KEY, NULL when absent. */
void *map_get(const struct map *m, struct slice key);

/* Stores VALUE (not NULL) and returns the value it replaced, NULL when there was none. */
void *map_put(struct map *m, struct slice key, void *value);

/* Removes KEY and returns its value, NULL when absent. */
void *map_del(struct map *m, struct slice key);

/* Walks in no particular order: start with *IT = 0; false at the end. No change during a walk. */
bool map_next(const struct map *m, size_t *it, struct slice *key, void **value);

/* The keyed hash itself, for other tables of attacker-chosen keys. */
uint64_t map_hash(struct slice key);

#endif
