/* Globs whose only wildcard is `*`: any run of bytes, `/` and the empty run included. */
#ifndef POLICY_GLOB_H
#define POLICY_GLOB_H

#include "common/arena.h"
#include "common/str.h"

static inline bool glob_is(struct slice pattern)
{
	return slice_find(pattern, '*') < pattern.len;
}

/* Whole-string, case-sensitive. Time is linear in the text for a given number of stars. Pure. */
bool glob_match(struct slice pattern, struct slice s);

/* Does PATTERN match every string that holds nothing but what `*` matches: is it only stars? */
bool glob_is_all(struct slice pattern);

/* Up to eight bytes that all heads of one first byte begin with; where MASK is zero there are fewer. */
struct glob_start {
	uint64_t head, mask; /* in the order of memory */
};

/* Many patterns at once. Each is filed in a trie of literal heads (what stands before the first star) or of
 * literal tails, whichever is longer; a look-up walks both along the string and visits only patterns whose end
 * it has. Immutable after globset_build; any number of threads may search. */
struct globset {
	const struct glob_node *heads, *tails; /* the roots; tails hold their texts reversed */
	const struct slice *patterns;
	uint32_t n;
	const struct glob_start *starts;
	uint16_t start[256]; /* by first byte, 1 and more: its place in STARTS; 0: no head begins with it */
	uint64_t last[4]; /* a bit for each byte that a tail ends with */
	bool open; /* some pattern has neither head nor tail */
};

/* PATTERNS (N of them, distinct, borrowed) keep their index as identity. Memory comes from A. */
void globset_build(struct globset *set, struct arena *a, const struct slice *patterns, uint32_t n);

/* May some pattern match TEXT? False is proof that none does: told by how it begins and its last byte. */
static inline bool globset_may(const struct globset *set, struct slice text)
{
	if (set->open)
		return true;
	if (text.len == 0)
		return false;
	unsigned char last = (unsigned char)text.p[text.len - 1];
	uint16_t start = set->start[(unsigned char)text.p[0]];
	uint64_t have;
	if (set->last[last / 64] >> (last % 64) & 1)
		return true;
	if (start == 0 || text.len < sizeof(have))
		return start != 0;
	memcpy(&have, text.p, sizeof(have));
	return ((have ^ set->starts[start - 1].head) & set->starts[start - 1].mask) == 0;
}

/* One search: start with globset_search, then globset_next until it is false. */
struct glob_cursor {
	const struct globset *set;
	struct slice text;
	const struct glob_node *node; /* being visited; NULL: done */
	size_t depth; /* bytes that lead to it */
	uint32_t at; /* within its patterns */
	bool backwards; /* in the tails */
};

static inline struct glob_cursor globset_search(const struct globset *set, struct slice text)
{
	const struct glob_node *root = set->heads ? set->heads : set->tails;
	return (struct glob_cursor){
	    .set = set, .text = text, .node = root, .backwards = !set->heads};
}

/* Next pattern (its index) that matches, in no particular order, each once. */
bool globset_next(struct glob_cursor *c, uint32_t *pattern);

#endif
