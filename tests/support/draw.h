/* Numbers that look random and are the same in every run. */
#ifndef TESTS_SUPPORT_DRAW_H
#define TESTS_SUPPORT_DRAW_H

#include <stdint.h>

static uint64_t seed = 88172645463325252u;

/* Below N, which is not 0. */
static inline uint64_t draw(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

#endif
