/* Owns reading single values out of the YAML of RBAC objects, with upstream's view of null and absent. */
#include <stdarg.h>
#include <stdio.h>

#include "common/yamlx.h"
#include "policy/import.h"

PRINTF(2, 0)
static const char *format(struct rbac_reader *r, const char *fmt, va_list ap)
{
	char text[768];
	vsnprintf(text, sizeof(text), fmt, ap);
	return arena_strdup(r->im->arena, text);
}

void rbac_error(struct rbac_reader *r, const struct yaml_node *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	diags_error(r->im->diags, r->file, at->line, at->col, "%s", format(r, fmt, ap));
	va_end(ap);
}

void rbac_warn(struct rbac_reader *r, const struct yaml_node *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	diags_warn(r->im->diags, r->file, at->line, at->col, "%s", format(r, fmt, ap));
	va_end(ap);
}

const struct yaml_node *rbac_get(
    struct rbac_reader *r, const struct yaml_node *node, const char *key, enum yaml_kind kind)
{
	static const char *const kinds[] = {
	    [YAMLX_SCALAR] = "a string", [YAMLX_MAP] = "a mapping", [YAMLX_SEQ] = "a list"};
	const struct yaml_node *value = yamlx_get(node, key);
	if (!value || yamlx_is_null(value))
		return NULL;
	if (value->kind == kind)
		return value;
	rbac_error(r, value, "`%s`: expected %s, found %s", key, kinds[kind], yamlx_kind(value));
	return NULL;
}

static struct slice good_text(struct rbac_reader *r, const struct yaml_node *n, const char *key)
{
	if (n->kind != YAMLX_SCALAR || yamlx_is_null(n))
		rbac_error(r, n, "`%s`: expected a string, found %s", key, yamlx_kind(n));
	else if (!slice_printable(n->text))
		rbac_error(r, n, "`%s` holds characters that cannot be shown", key);
	else
		return n->text;
	return SLICE("");
}

const char *rbac_text(struct rbac_reader *r, const struct yaml_node *node, const char *key)
{
	const struct yaml_node *value = rbac_get(r, node, key, YAMLX_SCALAR);
	return value ? good_text(r, value, key).p : "";
}

struct import_list rbac_texts(
    struct rbac_reader *r, const struct yaml_node *node, const char *key)
{
	const struct yaml_node *list = rbac_get(r, node, key, YAMLX_SEQ);
	if (!list)
		return (struct import_list){0};
	struct slice *v = ARENA_ARRAY(r->im->arena, struct slice, list->len);
	for (size_t i = 0; i < list->len; i++)
		v[i] = good_text(r, list->items[i], key);
	return (struct import_list){v, list->len};
}

void rbac_known(struct rbac_reader *r, const struct yaml_node *node, const char *const *known,
    const char *what)
{
	size_t n = 0;
	while (known[n])
		n++;
	for (size_t i = 0; i < node->len; i++) {
		const struct yaml_pair *pair = &node->pairs[i];
		size_t k = 0;
		while (k < n && !slice_is(pair->key, known[k]))
			k++;
		if (k < n)
			continue;
		const char *near = diag_nearest(pair->key, known, n);
		struct yaml_node at = {.line = pair->line, .col = pair->col};
		rbac_error(r, &at, "unknown key `%.60s` in %s%s%s%s",
		    slice_printable(pair->key) ? pair->key.p : "?", what,
		    near ? ", did you mean `" : "", near ? near : "", near ? "`?" : "");
	}
}
