/* Owns the parts of objects that templates hold: YAML with placeholders in, JSON out. */
#include <strings.h>

#include "common/jsonx.h"
#include "rbac-sync/template_internal.h"

#define INT_DIGITS_MAX 18

bool template_bind_text(
    struct loader *l, const struct yaml_node *node, struct template_uses uses, struct pattern *out)
{
	size_t before = l->diags->errors;
	if (pattern_parse(l->arena, l->file, node, out, l->diags) != ERR_OK)
		return false;
	if (out->uses_user && !uses.user)
		FINDING(l, node, "several users share this object: nothing of one user may stand in it");
	if (out->uses_group && !uses.group)
		FINDING(l, node, "${group} may stand here only when the namespace's name holds it too");
	return l->diags->errors == before;
}

/* --- binding --- */

/* Words and numbers on which readers of YAML differ: a string to one, a number or bool to another. */
static bool is_doubtful(struct slice s)
{
	static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~",
	    ".inf", "-.inf", "+.inf", ".nan"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (s.len == strlen(words[i]) && strncasecmp(s.p, words[i], s.len) == 0)
			return true;
	bool digit = false;
	for (size_t i = 0; i < s.len; i++) {
		if (!memchr("0123456789_.:+-eExXoOabcdfABCDF", s.p[i], 31))
			return false;
		digit |= s.p[i] >= '0' && s.p[i] <= '9';
	}
	return digit && memchr("0123456789.+-", s.p[0], 13);
}

static bool read_int(struct slice s, int64_t *out)
{
	bool minus = s.len && s.p[0] == '-';
	size_t i = minus, digits = s.len - minus;
	if (digits == 0 || digits > INT_DIGITS_MAX || (digits > 1 && s.p[i] == '0'))
		return false;
	for (*out = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		*out = 10 * *out + (s.p[i] - '0');
	}
	*out = minus ? -*out : *out;
	return true;
}

static bool bind_scalar(
    struct loader *l, const struct yaml_node *node, struct template_uses uses, struct template_value *out)
{
	struct slice s = node->text;
	out->kind = BODY_TEXT;
	if (yamlx_is_null(node)) {
		FINDING(l, node, "has no value");
		return false;
	}
	if (!node->plain)
		return s.len == 0 || template_bind_text(l, node, uses, &out->text);
	if (slice_is(s, "true") || slice_is(s, "false")) {
		out->kind = BODY_BOOL;
		out->number = slice_is(s, "true");
		return true;
	}
	if (read_int(s, &out->number)) {
		out->kind = BODY_INT;
		return true;
	}
	if (is_doubtful(s)) {
		FINDING(l, node, "quote \"" SLICE_FMT "\": without quotes it may be read as a number or bool",
		    SLICE_ARG(s));
		return false;
	}
	return template_bind_text(l, node, uses, &out->text);
}

bool template_bind_value(
    struct loader *l, const struct yaml_node *node, struct template_uses uses, struct template_value *out)
{
	out->place = (struct place){l->file, node->line, node->col};
	if (node->kind == YAMLX_SCALAR)
		return bind_scalar(l, node, uses, out);
	bool map = node->kind == YAMLX_MAP, ok = true;
	struct template_value *items = ARENA_ARRAY(l->arena, struct template_value, node->len + 1);
	out->kind = map ? BODY_MAP : BODY_LIST;
	for (size_t i = 0; i < node->len; i++) {
		ok &= template_bind_value(l, map ? node->pairs[i].value : node->items[i], uses, &items[i]);
		if (!map)
			continue;
		items[i].key = node->pairs[i].key;
		if (memmem(items[i].key.p, items[i].key.len, "${", 2))
			ok = diags_error(l->diags, l->file, node->pairs[i].line, node->pairs[i].col,
				 "keys take no placeholders") == ERR_OK;
	}
	out->items = items;
	out->len = node->len;
	return ok;
}

/* Of ours and of the apiserver's: not for templates to set. */
static bool is_reserved_key(struct slice key)
{
	size_t slash = slice_find(key, '/');
	struct slice prefix = {key.p, slash < key.len ? slash : 0};
	return slice_is(key, LABEL_MANAGED_BY) || slice_is(key, "kubernetes.io/metadata.name") ||
	       slice_is(prefix, API_GROUP) ||
	       (prefix.len > strlen("." API_GROUP) &&
		   slice_is(slice_skip(prefix, prefix.len - strlen("." API_GROUP)), "." API_GROUP));
}

static bool bind_pair(struct loader *l, const struct yaml_pair *pair, bool labels,
    struct template_uses uses, struct template_value *out)
{
	const struct yaml_node *node = pair->value;
	size_t before = l->diags->errors;
	if (!label_key_ok(pair->key))
		diags_error(l->diags, l->file, pair->line, pair->col, "\"" SLICE_FMT "\" is no key of %s",
		    SLICE_ARG(pair->key), labels ? "a label" : "an annotation");
	else if (is_reserved_key(pair->key))
		diags_error(l->diags, l->file, pair->line, pair->col, "\"" SLICE_FMT "\" is not for templates",
		    SLICE_ARG(pair->key));
	if (!template_bind_value(l, node, uses, out))
		return false;
	out->key = pair->key;
	if (out->kind != BODY_TEXT)
		FINDING(l, node, "must be a string: quote it");
	else if (labels && !memmem(node->text.p, node->text.len, "${", 2) && !label_value_ok(node->text))
		FINDING(l, node, "\"" SLICE_FMT "\" is no value of a label", SLICE_ARG(node->text));
	return l->diags->errors == before;
}

bool template_bind_texts(struct loader *l, const struct yaml_node *node, bool labels,
    struct template_uses uses, struct template_value *out)
{
	out->kind = BODY_MAP;
	if (!node)
		return true;
	if (node->kind != YAMLX_MAP || node->len > TEMPLATE_LABELS_MAX) {
		FINDING(l, node, "must be a mapping of at most %d texts", TEMPLATE_LABELS_MAX);
		return false;
	}
	struct template_value *items = ARENA_ARRAY(l->arena, struct template_value, node->len + 1);
	bool ok = true;
	for (size_t i = 0; i < node->len; i++)
		ok &= bind_pair(l, &node->pairs[i], labels, uses, &items[i]);
	out->items = items;
	out->len = node->len;
	return ok;
}

const char *const *template_keys(struct loader *l, const struct template_value *value)
{
	if (!value->len)
		return NULL;
	const char **keys = ARENA_ARRAY(l->arena, const char *, value->len + 1);
	for (size_t i = 0; i < value->len; i++)
		keys[i] = arena_strndup(l->arena, value->items[i].key.p, value->items[i].key.len);
	return keys;
}

/* --- rendering --- */

static enum err_code collection_json(const struct template_value *value, const struct pattern_values *v,
    struct arena *a, json_t *to, struct err *e)
{
	for (size_t i = 0; i < value->len; i++) {
		const struct template_value *item = &value->items[i];
		json_t *j;
		TRY(template_value_json(item, v, a, &j, e));
		int failed = value->kind == BODY_LIST
		    ? json_array_append_new(to, j)
		    : json_object_setn_new(to, item->key.p, item->key.len, j);
		if (failed)
			return err_set(e, ERR_REFUSED, "a text does not fit into JSON");
	}
	return ERR_OK;
}

static enum err_code text_json(const struct pattern *p, const struct pattern_values *v, struct arena *a,
    json_t **out, struct err *e)
{
	struct slice text;
	bool ambiguous; /* of no weight: this is no name that others share */
	TRY(pattern_render(p, v, a, &text, &ambiguous, e));
	*out = json_stringn(text.p ? text.p : "", text.len);
	return *out ? ERR_OK : err_set(e, ERR_REFUSED, "a text does not fit into JSON");
}

enum err_code template_value_json(const struct template_value *value, const struct pattern_values *v,
    struct arena *a, json_t **out, struct err *e)
{
	switch (value->kind) {
	case BODY_TEXT:
		return text_json(&value->text, v, a, out, e);
	case BODY_INT:
		*out = json_integer(value->number);
		return ERR_OK;
	case BODY_BOOL:
		*out = json_boolean(value->number);
		return ERR_OK;
	case BODY_LIST:
	case BODY_MAP:
		break;
	}
	json_t *to = value->kind == BODY_LIST ? json_array() : json_object();
	enum err_code rc = collection_json(value, v, a, to, e);
	if (rc != ERR_OK) {
		json_decref(to);
		return rc;
	}
	*out = to;
	return ERR_OK;
}
