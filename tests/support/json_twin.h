/* The same text through common/jsonscan and through jansson: they must accept and read the same, a few
 * named differences apart. Shared by the unit test and the fuzz target. */
#ifndef TESTS_SUPPORT_JSON_TWIN_H
#define TESTS_SUPPORT_JSON_TWIN_H

#include <jansson.h>

#include "common/jsonscan.h"

/* Walks S as the tree J says it must be. False when S errs or reads something else. */
static bool twin_walk(struct jsonscan *s, json_t *j);

static inline bool twin_same_string(struct slice a, const char *p, size_t len)
{
	return slice_eq(a, (struct slice){p, len});
}

static inline bool twin_walk_object(struct jsonscan *s, json_t *j)
{
	struct slice key;
	if (!jsonscan_enter_object(s))
		return false;
	for (void *it = json_object_iter(j); it; it = json_object_iter_next(j, it)) {
		if (!jsonscan_key(s, &key) ||
		    !twin_same_string(key, json_object_iter_key(it), json_object_iter_key_len(it)) ||
		    !twin_walk(s, json_object_iter_value(it)))
			return false;
	}
	return !jsonscan_key(s, &key) && s->err.code == ERR_OK;
}

static inline bool twin_walk_array(struct jsonscan *s, json_t *j)
{
	if (!jsonscan_enter_array(s))
		return false;
	for (size_t i = 0; i < json_array_size(j); i++)
		if (!jsonscan_element(s) || !twin_walk(s, json_array_get(j, i)))
			return false;
	return !jsonscan_element(s) && s->err.code == ERR_OK;
}

static bool twin_walk(struct jsonscan *s, json_t *j)
{
	struct slice text;
	bool yes;
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return twin_walk_object(s, j);
	case JSON_ARRAY:
		return twin_walk_array(s, j);
	case JSON_STRING:
		return !jsonscan_null(s) && jsonscan_string(s, &text) &&
		       twin_same_string(text, json_string_value(j), json_string_length(j));
	case JSON_TRUE:
	case JSON_FALSE:
		return !jsonscan_null(s) && jsonscan_bool(s, &yes) && yes == json_is_true(j);
	case JSON_NULL:
		return jsonscan_null(s);
	default:
		return jsonscan_skip(s);
	}
}

/* True when J goes beyond the limits that only jsonscan has. */
static inline bool twin_over_limit(json_t *j, unsigned depth)
{
	const char *key;
	json_t *kid;
	size_t i;
	if (!json_is_object(j) && !json_is_array(j))
		return false;
	if (depth == JSONSCAN_DEPTH || json_object_size(j) > JSONSCAN_KEYS_MAX)
		return true;
	json_object_foreach(j, key, kid)
		if (twin_over_limit(kid, depth + 1))
			return true;
	json_array_foreach(j, i, kid)
		if (twin_over_limit(kid, depth + 1))
			return true;
	return false;
}

/* NULL when both readers agree about TEXT, else what they differ in. Allowed differences: jansson refuses
 * numbers that fit neither int64_t nor double (jsonscan reads no number), and loses a NUL byte right
 * behind a number or a word; jsonscan has lower limits. */
static inline const char *json_twin_differ(struct slice text)
{
	static const char nothing[] = "";
	struct arena arena = {0};
	struct jsonscan s;
	json_error_t error;
	const char *why = NULL;
	bool nul = text.len && memchr(text.p, '\0', text.len);
	json_t *j = json_loadb(text.p ? text.p : nothing, text.len,
	    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	jsonscan_init(&s, text, &arena);
	bool skipped = jsonscan_skip(&s) && jsonscan_finish(&s);
	enum err_code code = s.err.code;
	if (skipped != (code == ERR_OK))
		why = "jsonscan fails without an error";
	else if (!j && skipped && json_error_code(&error) != json_error_numeric_overflow)
		why = "jsonscan accepts, jansson refuses";
	else if (j && !skipped && !nul && !(code == ERR_LIMIT && twin_over_limit(j, 0)))
		why = "jsonscan refuses, jansson accepts";
	if (!why && j && skipped) {
		jsonscan_init(&s, text, &arena);
		if (!twin_walk(&s, j) || !jsonscan_finish(&s))
			why = "they read different values";
	}
	json_decref(j);
	arena_done(&arena);
	return why;
}

#endif
