/* Turns the policy's literals into small numbers, so that matching compares integers. */
#ifndef POLICY_INTERN_H
#define POLICY_INTERN_H

#include "common/arena.h"
#include "common/str.h"

/* Numbers start at 1; 0 is "not in the table". Texts are borrowed. Built by one thread; after that
 * immutable and read by any number. The hash is keyed: requests cannot aim at one bucket. */
struct intern {
	struct intern_slot *slots;
	struct slice *texts; /* texts[id]; texts[0] is unused */
	uint32_t len, cap, room;
	uint64_t seed[2]; /* secret, set with the first text */
};

#define INTERN_NONE 0u

void intern_done(struct intern *t);

/* The number of TEXT, given one if need be. */
uint32_t intern_add(struct intern *t, struct slice text);

/* The number of TEXT, INTERN_NONE when the table has no such text. Pure. */
uint32_t intern_find(const struct intern *t, struct slice text);

/* The same for each of N texts. */
void intern_find_all(const struct intern *t, const struct slice *texts, size_t n, uint32_t *out);

#endif
