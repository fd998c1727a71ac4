/* Owns strict JSON through jansson: loading with limits, typed getters. */
#include "common/jsonx.h"

void jsonx_init(void)
{
	json_object_seed(0);
}

void jsonx_unref(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

static void unref(void *j)
{
	json_decref(j);
}

void jsonx_on_done(struct arena *a, json_t *owned)
{
	arena_on_done(a, unref, owned);
}

/* Index of the quote that ends the string which starts at I, or the end of TEXT. */
static size_t string_end(struct slice text, size_t i)
{
	for (i++; i < text.len && text.p[i] != '"'; i++)
		if (text.p[i] == '\\')
			i++;
	return i;
}

/* Depth of brackets in TEXT, told before jansson recurses. What is no JSON at all is left for jansson to
 * refuse. */
static unsigned depth_of(struct slice text)
{
	unsigned depth = 0, deepest = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];
		if (c == '"')
			i = string_end(text, i);
		else if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		if (depth > deepest)
			deepest = depth;
	}
	return deepest;
}

enum err_code jsonx_object(struct slice text, size_t max, json_t **out, struct err *e)
{
	json_error_t error;
	if (text.len > max)
		return err_set(e, ERR_LIMIT, "JSON larger than %zu bytes", max);
	if (text.len == 0)
		return err_set(e, ERR_INVALID, "not JSON: empty");
	/* jansson 2.14 loses a NUL byte that follows a number or a word. */
	if (memchr(text.p, '\0', text.len))
		return err_set(e, ERR_INVALID, "not JSON: a NUL byte");
	if (depth_of(text) > JSONX_DEPTH)
		return err_set(e, ERR_LIMIT, "JSON nested deeper than %d levels", JSONX_DEPTH);
	AUTO(jsonx_unref) json_t *j = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, &error);
	/* jansson's text may repeat a part of the input, which may be secret: only the place is told. */
	if (!j && json_error_code(&error) == json_error_duplicate_key)
		return err_set(e, ERR_INVALID, "a key stands twice, at byte %d", error.position);
	if (!j)
		return err_set(e, ERR_INVALID, "not JSON: at byte %d", error.position);
	if (!json_is_object(j))
		return err_set(e, ERR_INVALID, "not a JSON object");
	*out = TAKE(j);
	return ERR_OK;
}

enum err_code jsonx_object_lenient(struct slice text, size_t max, json_t **out, struct err *e)
{
	if (text.len == 0 || text.len > max || !memmem(text.p, text.len, "\\u0000", 6))
		return jsonx_object(text, max, out, e);
	struct buf b;
	buf_init(&b, max);
	buf_slice(&b, text);
	/* Outside of strings there are no backslashes, or else it is no JSON. */
	for (size_t i = 0; i + 1 < b.len; i++) {
		if (b.p[i] != '\\')
			continue;
		if (b.len - i >= 6 && memcmp(b.p + i, "\\u0000", 6) == 0)
			memcpy(b.p + i, "\\ufffd", 6);
		i++;
	}
	enum err_code rc = jsonx_object(buf_view(&b), max, out, e);
	buf_done(&b);
	return rc;
}

struct slice jsonx_text(const json_t *string)
{
	return (struct slice){json_string_value(string), json_string_length(string)};
}

enum err_code jsonx_string(const json_t *o, const char *key, struct slice *out, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	*out = (struct slice){0};
	if (!v)
		return ERR_OK;
	if (!json_is_string(v))
		return err_set(e, ERR_INVALID, "%s: not a string", key);
	*out = jsonx_text(v);
	return ERR_OK;
}

enum err_code jsonx_int(
    const json_t *o, const char *key, int64_t *out, bool *have, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	*out = 0;
	*have = false;
	if (!v)
		return ERR_OK;
	if (!json_is_integer(v))
		return err_set(e, ERR_INVALID, "%s: not a whole number", key);
	*out = json_integer_value(v);
	*have = true;
	return ERR_OK;
}

enum err_code jsonx_list(const json_t *v, const char *name, bool single_ok, struct arena *a,
    struct slice **out, size_t *n, struct err *e)
{
	*out = NULL;
	*n = 0;
	if (!v)
		return ERR_OK;
	bool single = single_ok && json_is_string(v);
	if (!single && !json_is_array(v))
		return err_set(e, ERR_INVALID, "%s: not a list of strings", name);
	size_t len = single ? 1 : json_array_size(v);
	struct slice *items = ARENA_ARRAY(a, struct slice, len);
	for (size_t i = 0; i < len; i++) {
		const json_t *item = single ? v : json_array_get(v, i);
		if (!json_is_string(item))
			return err_set(e, ERR_INVALID, "%s[%zu]: not a string", name, i);
		items[i] = jsonx_text(item);
	}
	*out = items;
	*n = len;
	return ERR_OK;
}

enum err_code jsonx_strings(const json_t *o, const char *key, bool single_ok, struct arena *a,
    struct slice **out, size_t *n, struct err *e)
{
	return jsonx_list(json_object_get(o, key), key, single_ok, a, out, n, e);
}
