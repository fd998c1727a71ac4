/* Byte slices and a capped growing buffer. A slice borrows; a buffer owns. */
#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/arena.h"
#include "common/attr.h"

/* LEN bytes at P, not NUL-terminated, may hold any byte. The zero slice is the empty string. */
struct slice {
	const char *p;
	size_t len;
};

#define SLICE(lit) ((struct slice){"" lit, sizeof(lit) - 1})
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)(s).len, (s).p ? (s).p : ""

static inline struct slice slice_of(const char *s)
{
	return s ? (struct slice){s, strlen(s)} : (struct slice){0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_of(s));
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

static inline struct slice slice_skip(struct slice s, size_t n)
{
	return n >= s.len ? (struct slice){0} : (struct slice){s.p + n, s.len - n};
}

/* Are two texts equal? NULL equals NULL alone. */
static inline bool text_eq(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Orders bytewise, shorter first on a tie: for qsort and merge. */
int slice_cmp(struct slice a, struct slice b);

/* slice_cmp for qsort. */
int slice_order(const void *a, const void *b);

/* Sorts V in byte order and drops what stands there twice; how many are left. */
size_t slice_sort_unique(struct slice *v, size_t n);

/* Index of the first byte C, or s.len when there is none. */
size_t slice_find(struct slice s, char c);

/* Copy in the arena; a NUL follows the bytes, so .p may also serve as a C string. */
struct slice slice_dup(struct arena *a, struct slice s);
struct slice *slice_dup_all(struct arena *a, const struct slice *v, size_t n);

/* Valid UTF-8 without overlong forms, surrogates or bytes past U+10FFFF. */
bool slice_utf8(struct slice s);

/* Neither C0/C1 controls, DEL, bidirectional format characters (U+200E, U+200F, U+202A…202E,
 * U+2066…2069), invisible ones (soft hyphen, zero-width space, word joiner, line separators, tags),
 * U+FFFE nor U+FFFF: fit to be a name shown to people. Implies slice_utf8. */
bool slice_printable(struct slice s);

/* Growing bytes with a hard maximum: past MAX nothing is added and OVER becomes true. */
struct buf {
	char *p;
	size_t len, cap, max;
	bool over;
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);	   /* frees; safe on a zeroed buffer */
void buf_wipe_done(struct buf *b); /* overwrites, then frees */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *s);
void buf_slice(struct buf *b, struct slice s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_u64(struct buf *b, uint64_t v);
void buf_i64(struct buf *b, int64_t v);

/* A JSON string literal of S with quotes: ", \, controls, DEL, U+2028/2029 and bidi characters are
 * escaped, invalid UTF-8 becomes U+FFFD. The output is valid JSON on one line whatever S holds. */
void buf_json(struct buf *b, struct slice s);

/* A JSON array of such strings. */
void buf_json_list(struct buf *b, const struct slice *v, size_t n);

/* `,"KEY":VALUE`: a member behind another one. KEY is a plain word of ours. */
void buf_json_member(struct buf *b, const char *key, struct slice value);

/* NUL-terminates (not counted in len) and returns the text; "" when nothing was added. */
const char *buf_cstr(struct buf *b);

static inline struct slice buf_view(const struct buf *b)
{
	return (struct slice){b->p, b->len};
}

#endif
