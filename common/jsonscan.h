/* Single-pass strict JSON reader without allocation, for the two review documents: RFC 8259, exact-case
 * keys, no duplicate keys, depth limit, valid UTF-8, no NUL, nothing after the value.
 *
 * The caller drives it by recursive descent:
 *     jsonscan_init(&s, body, arena);
 *     if (!jsonscan_enter_object(&s)) …
 *     while (jsonscan_key(&s, &key)) { if (slice_is(key, "spec")) …; else jsonscan_skip(&s); }
 *     if (!jsonscan_finish(&s)) → s.err tells what and at which byte
 * After the first error every call returns false and moves nothing. */
#ifndef COMMON_JSONSCAN_H
#define COMMON_JSONSCAN_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#define JSONSCAN_DEPTH 32
#define JSONSCAN_KEYS_MAX 4096 /* keys of one object */

struct jsonscan {
	struct slice text;
	size_t at;
	struct arena *arena; /* unescaped strings and the keys seen; plain strings borrow from text */
	unsigned depth;
	bool nul; /* strings may hold U+0000, read as U+FFFD; else that is an error */
	struct jsonscan_level *levels;
	struct err err;
};

void jsonscan_init(struct jsonscan *s, struct slice text, struct arena *arena);

bool jsonscan_enter_object(struct jsonscan *s);
/* Next key; false at the closing brace (then err.code is ERR_OK) and on error. */
bool jsonscan_key(struct jsonscan *s, struct slice *key);

bool jsonscan_enter_array(struct jsonscan *s);
/* True when another element follows; false at the closing bracket and on error. */
bool jsonscan_element(struct jsonscan *s);

/* Typed values; an error when the next value is of another type. null reads as absent: *OUT becomes
 * the empty slice, zero or false (client-go sends null for empty pointers and lists). */
bool jsonscan_string(struct jsonscan *s, struct slice *out);
bool jsonscan_bool(struct jsonscan *s, bool *out);
/* True and consumes when the next value is null. */
bool jsonscan_null(struct jsonscan *s);

/* Array of strings or null into the arena; at most MAX items. */
bool jsonscan_strings(struct jsonscan *s, size_t max, struct slice **out, size_t *n);

/* Skips one value of any type, fully checked. */
bool jsonscan_skip(struct jsonscan *s);

/* Sets an error of the caller's own ("spec.token: …") at the current place; returns false. */
bool jsonscan_fail(struct jsonscan *s, const char *what);

/* True when no error occurred and only white space is left. */
bool jsonscan_finish(struct jsonscan *s);

#endif
