/* Owns the printing of objects as YAML, and the forecast of what an apply makes of one. */
#include "rbac-sync/object_text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/jsonx.h"
#include "rbac-sync/kube.h"

/* --- YAML --- */

static bool is_plain(struct slice s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char others[] = "0123456789-./";
	static const char *const taken[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
	if (!s.len || !memchr(letters, s.p[0], sizeof(letters) - 1))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!memchr(letters, s.p[i], sizeof(letters) - 1) && !memchr(others, s.p[i], sizeof(others) - 1))
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		if (s.len == strlen(taken[i]) && strncasecmp(s.p, taken[i], s.len) == 0)
			return false;
	}
	return true;
}

void yaml_word(struct buf *b, struct slice s)
{
	if (is_plain(s))
		buf_slice(b, s);
	else
		buf_json(b, s);
}

void plain_text(struct buf *b, const char *s)
{
	if (slice_printable(slice_of(s)))
		buf_adds(b, s ? s : "");
	else
		buf_json(b, slice_of(s));
}

void plain_name(struct buf *b, struct slice s)
{
	static const char between[] = " ,;()'\"\\";
	bool plain = s.len && slice_printable(s);
	for (size_t i = 0; i < s.len && plain; i++)
		plain = !memchr(between, s.p[i], sizeof(between) - 1);
	if (plain)
		buf_slice(b, s);
	else
		buf_json(b, s);
}

static int rank(const char *key)
{
	static const char *const first[] = {"apiVersion", "kind", "metadata", "name", "namespace"};
	int i = 0;
	while (i < (int)ARRAY_LEN(first) && strcmp(key, first[i]) != 0)
		i++;
	return i;
}

static int by_rank(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	int by = rank(x) - rank(y);
	return by ? by : strcmp(x, y);
}

static void indent(struct buf *b, size_t depth)
{
	for (size_t i = 0; i < depth; i++)
		buf_adds(b, "  ");
}

static bool is_tree(const json_t *v)
{
	return json_object_size(v) > 0 || json_array_size(v) > 0;
}

static void put_leaf(struct buf *b, const json_t *v)
{
	if (json_is_string(v))
		yaml_word(b, jsonx_text(v));
	else if (json_is_object(v))
		buf_adds(b, "{}");
	else if (json_is_array(v))
		buf_adds(b, "[]");
	else if (json_is_integer(v))
		buf_i64(b, json_integer_value(v));
	else if (json_is_real(v))
		buf_printf(b, "%.17g", json_real_value(v));
	else
		buf_adds(b, json_is_null(v) ? "null" : json_is_true(v) ? "true" : "false");
}

static void put_tree(struct buf *b, const json_t *v, size_t depth, bool in_line);

static void put_list(struct buf *b, const json_t *v, size_t depth, bool in_line)
{
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *item = json_array_get(v, i);
		if (i || !in_line)
			indent(b, depth);
		buf_adds(b, "- ");
		if (is_tree(item)) {
			put_tree(b, item, depth + 1, true);
		} else {
			put_leaf(b, item);
			buf_addc(b, '\n');
		}
	}
}

static void put_map(struct buf *b, const json_t *v, size_t depth, bool in_line)
{
	const char **keys = calloc(json_object_size(v), sizeof(*keys)), *key;
	size_t n = 0;
	json_t *value;
	if (!keys)
		abort();
	json_object_foreach((json_t *)(uintptr_t)v, key, value)
	{
		keys[n++] = key;
	}
	qsort(keys, n, sizeof(*keys), by_rank);
	for (size_t i = 0; i < n; i++) {
		value = json_object_get(v, keys[i]);
		if (i || !in_line)
			indent(b, depth);
		yaml_word(b, slice_of(keys[i]));
		buf_addc(b, ':');
		if (is_tree(value)) {
			buf_addc(b, '\n');
			put_tree(b, value, json_is_array(value) ? depth : depth + 1, false);
		} else {
			buf_addc(b, ' ');
			put_leaf(b, value);
			buf_addc(b, '\n');
		}
	}
	free(keys);
}

/* IN_LINE: the cursor stands behind a dash, where the first item goes. */
static void put_tree(struct buf *b, const json_t *v, size_t depth, bool in_line)
{
	if (json_is_array(v))
		put_list(b, v, depth, in_line);
	else
		put_map(b, v, depth, in_line);
}

void object_yaml(const json_t *value, struct buf *out)
{
	if (is_tree(value)) {
		put_tree(out, value, 0, false);
	} else {
		put_leaf(out, value);
		buf_addc(out, '\n');
	}
}

/* --- what people care for --- */

static json_t *must(json_t *j)
{
	if (!j)
		abort();
	return j;
}

json_t *object_shown(const json_t *object)
{
	static const char *const own[] = {"uid", "resourceVersion", "generation", "creationTimestamp", "selfLink",
	    "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds"};
	json_t *out = must(json_deep_copy(object)), *meta = json_object_get(out, "metadata");
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		json_object_del(meta, own[i]);
	json_object_del(out, "status");
	return out;
}

/* --- the forecast --- */

/* Fields of one map (fieldsV1) that our manager holds; NULL: none. */
static const json_t *held_fields(const json_t *live)
{
	const json_t *all = json_object_get(json_object_get(live, "metadata"), "managedFields");
	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *m = json_array_get(all, i);
		if (slice_is(jsonx_text(json_object_get(m, "manager")), KUBE_FIELD_MANAGER) &&
		    slice_is(jsonx_text(json_object_get(m, "operation")), "Apply"))
			return json_object_get(m, "fieldsV1");
	}
	return NULL;
}

/* Takes out of TO what HELD says was ours and BODY no longer has. */
static void drop_given_up(json_t *to, const json_t *body, const json_t *held)
{
	const char *key;
	json_t *fields;
	json_object_foreach((json_t *)(uintptr_t)held, key, fields)
	{
		if (strncmp(key, "f:", 2) != 0)
			continue;
		json_t *value = json_object_get(to, key + 2);
		const json_t *want = json_object_get(body, key + 2);
		if (json_is_object(value) && json_object_size(fields)) {
			drop_given_up(value, want, fields);
			if (!want && !json_object_size(value))
				json_object_del(to, key + 2);
		} else if (!want) {
			json_object_del(to, key + 2);
		}
	}
}

static void merge(json_t *to, const json_t *body)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)body, key, value)
	{
		json_t *there = json_object_get(to, key);
		if (json_is_object(there) && json_is_object(value))
			merge(there, value);
		else
			json_object_set_new(to, key, must(json_deep_copy(value)));
	}
}

/* Owners are merged by uid. */
static json_t *merged_owners(const json_t *live, const json_t *body)
{
	const json_t *ours = json_object_get(json_object_get(body, "metadata"), "ownerReferences");
	json_t *all = json_object_get(json_object_get(live, "metadata"), "ownerReferences");
	json_t *out = all ? must(json_deep_copy(all)) : json_array();
	for (size_t i = 0; i < json_array_size(ours); i++) {
		const json_t *uid = json_object_get(json_array_get(ours, i), "uid");
		size_t k = 0;
		while (k < json_array_size(out) && !json_equal(json_object_get(json_array_get(out, k), "uid"), uid))
			k++;
		json_t *copy = must(json_deep_copy(json_array_get(ours, i)));
		if (k < json_array_size(out))
			json_array_set_new(out, k, copy);
		else
			json_array_append_new(out, copy);
	}
	return out;
}

json_t *object_after(const json_t *live, const json_t *body)
{
	if (!live)
		return object_shown(body);
	json_t *out = object_shown(live), *owners = merged_owners(live, body);
	drop_given_up(out, body, held_fields(live));
	merge(out, body);
	if (json_array_size(owners))
		json_object_set_new(json_object_get(out, "metadata"), "ownerReferences", owners);
	else
		json_decref(owners);
	return out;
}
