/* Strict JSON through jansson: duplicates, trailing bytes, NUL, bad UTF-8 and depth over the limit are
 * refused; typed getters name the path of what is wrong. */
#ifndef COMMON_JSONX_H
#define COMMON_JSONX_H

#include <jansson.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#define JSONX_DEPTH 32

/* Call once before threads start (seeds jansson's hash). */
void jsonx_init(void);

/* json_decref as a cleanup function and as an arena clean-up. */
void jsonx_unref(json_t **j);
void jsonx_on_done(struct arena *a, json_t *owned);

/* An object of at most MAX bytes and JSONX_DEPTH levels. *OUT is owned by the caller. */
enum err_code jsonx_object(struct slice text, size_t max, json_t **out, struct err *e) MUST_CHECK;

/* The same of a text that strangers had a part in and that must be read all the same: a NUL that a string escapes
 * (\u0000) is read as U+FFFD. */
enum err_code jsonx_object_lenient(struct slice text, size_t max, json_t **out, struct err *e) MUST_CHECK;

/* Borrowed string member; *OUT is {NULL, 0} when absent. ERR_INVALID when of another type. */
enum err_code jsonx_string(const json_t *o, const char *key, struct slice *out, struct err *e) MUST_CHECK;

/* The text of a JSON string, borrowed. */
struct slice jsonx_text(const json_t *string);

/* Integer member (a real such as 1.5 or 1e9 is refused); *HAVE tells presence. */
enum err_code jsonx_int(
    const json_t *o, const char *key, int64_t *out, bool *have, struct err *e) MUST_CHECK;

/* Array of strings, or a single string, as slices in ARENA; absent: zero items. */
enum err_code jsonx_strings(const json_t *o, const char *key, bool single_ok, struct arena *a,
    struct slice **out, size_t *n, struct err *e) MUST_CHECK;

/* The same of a value V that has been found; NAME is for the error. */
enum err_code jsonx_list(const json_t *v, const char *name, bool single_ok, struct arena *a,
    struct slice **out, size_t *n, struct err *e) MUST_CHECK;

#endif
