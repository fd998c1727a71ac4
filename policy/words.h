/* Sets of texts as rules write them (words, globs, path prefixes): what lies in several of them, and a
 * text that lies in some and not in others. Pure; for the tools that compare policies. */
#ifndef POLICY_WORDS_H
#define POLICY_WORDS_H

#include "common/arena.h"
#include "common/str.h"

enum pattern_kind {
	PATTERN_WORD, /* the text itself, whatever it holds */
	PATTERN_GLOB, /* `*` is any run of bytes */
	PATTERN_PREFIX, /* all that starts with the text */
	PATTERN_ACCOUNT /* a glob, and only for names of service accounts */
};

struct pattern {
	struct slice text;
	enum pattern_kind kind;
};

/* What any of V matches. Words come first, sorted: NWORDS of the N. */
struct words {
	const struct pattern *v;
	uint32_t n, nwords;
};

/* Sorts V and drops doubles, in place. */
struct words words_new(struct pattern *v, uint32_t n);

bool pattern_matches(const struct pattern *p, struct slice text);
bool words_have(const struct words *w, struct slice text);

/* Does W match all that P matches? Exact but for service accounts, where "no" may be wrong. */
bool words_cover(const struct words *w, const struct pattern *p);

/* Have both plainly no text in common? Quick; false is not proof that they have. */
bool words_apart(const struct words *x, const struct words *y);

/* Patterns that match exactly what both match, in A. False: there are too many to list. */
bool words_meet(struct arena *a, const struct words *x, const struct words *y, struct words *out);

enum words_found { WORDS_NONE = 0, WORDS_FOUND, WORDS_UNKNOWN };

struct words_query {
	const struct words *const *in; /* the text lies in each of these */
	size_t nin;
	const struct words *const *out; /* and in none of these */
	size_t nout;
	const char *const *prefer; /* texts to try first, NULL at the end */
};

/* A text that answers Q; valid UTF-8 when the patterns are, *TEXT in A or borrowed from them. WORDS_NONE is
 * proof that there is none; WORDS_UNKNOWN: the patterns are too entangled to tell. */
enum words_found words_find(const struct words_query *q, struct arena *a, struct slice *text);

#endif
