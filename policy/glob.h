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

/* Many patterns at once. Each is filed under its literal head (what stands before the first star),
 * or under its literal tail when it has no head; a look-up visits only patterns whose head or tail
 * the string has. Immutable after globset_build; any number of threads may search. */
struct globset {
	const struct glob_node *heads, *tails; /* sorted; tails hold their text reversed */
	uint32_t nheads, ntails;
	const struct slice *patterns;
	uint32_t n;
};

/* PATTERNS (N of them, distinct, borrowed) keep their index as identity. Memory comes from A. */
void globset_build(struct globset *set, struct arena *a, const struct slice *patterns, uint32_t n);

/* One search: start with globset_search, then globset_next until it is false. */
struct glob_cursor {
	const struct globset *set;
	struct slice text;
	uint32_t head, tail; /* node to visit, GLOB_NONE when that side is done */
	uint32_t at; /* within the node's patterns */
};
#define GLOB_NONE UINT32_MAX

struct glob_cursor globset_search(const struct globset *set, struct slice text);

/* Next pattern (its index) that matches, in no particular order, each once. */
bool globset_next(struct glob_cursor *c, uint32_t *pattern);

#endif
