/* Owns the judgement on roles that aggregate others. */
#include "rbac-sync/role_deep.h"

#include <stdlib.h>

#include "common/jsonx.h"

#define SELECTOR_TEXT_MAX 8192 /* of one query: longer does not fit into a request line */

struct list {
	const char *selector;
	enum kube_verdict verdict;
	json_t *items;
	struct err why;
};

struct role_lists {
	struct arena arena;
	struct roles_reader from;
	struct list *lists;
	size_t len, cap;
};

struct role_lists *role_lists_new(const struct roles_reader *from)
{
	struct role_lists *l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	arena_init(&l->arena, 0);
	l->from = *from;
	return l;
}

void role_lists_free(struct role_lists **lp)
{
	struct role_lists *l = TAKE(*lp);
	if (!l)
		return;
	arena_done(&l->arena);
	free(l);
}

static const struct list *list_of(struct role_lists *l, const char *selector)
{
	for (size_t i = 0; i < l->len; i++) {
		if (strcmp(l->lists[i].selector, selector) == 0)
			return &l->lists[i];
	}
	ARENA_ROOM(&l->arena, l->lists, l->len, l->cap, 8);
	struct list *new = &l->lists[l->len++];
	*new = (struct list){.selector = arena_strdup(&l->arena, selector)};
	new->verdict = l->from.list(l->from.ctx, selector, &new->items, &new->why);
	if (new->verdict == KUBE_OK)
		jsonx_on_done(&l->arena, new->items);
	return new;
}

/* --- selectors --- */

static bool add_values(struct buf *b, const json_t *values)
{
	size_t i;
	const json_t *v;
	buf_adds(b, " (");
	json_array_foreach(values, i, v) {
		if (!json_is_string(v))
			return false;
		buf_adds(b, i ? "," : "");
		buf_slice(b, jsonx_text(v));
	}
	buf_adds(b, ")");
	return json_array_size(values) > 0;
}

static bool add_expression(struct buf *b, const json_t *x)
{
	struct slice key = jsonx_text(json_object_get(x, "key"));
	struct slice op = jsonx_text(json_object_get(x, "operator"));
	const json_t *values = json_object_get(x, "values");
	buf_adds(b, b->len ? "," : "");
	if (slice_is(op, "DoesNotExist"))
		buf_addc(b, '!');
	buf_slice(b, key);
	if (slice_is(op, "Exists") || slice_is(op, "DoesNotExist"))
		return key.len > 0;
	bool in = slice_is(op, "In");
	buf_adds(b, in ? " in" : " notin");
	return key.len > 0 && (in || slice_is(op, "NotIn")) && add_values(b, values);
}

static bool add_selector(struct buf *b, const json_t *selector)
{
	const char *key;
	size_t i;
	const json_t *v;
	json_t *labels = json_object_get(selector, "matchLabels");
	const json_t *expressions = json_object_get(selector, "matchExpressions");
	bool ok = json_is_object(selector) && (!labels || json_is_null(labels) || json_is_object(labels)) &&
	    (!expressions || json_is_null(expressions) || json_is_array(expressions));
	json_object_foreach(labels, key, v) {
		buf_printf(b, "%s%s=" SLICE_FMT, b->len ? "," : "", key, SLICE_ARG(jsonx_text(v)));
		ok = ok && json_is_string(v);
	}
	json_array_foreach(expressions, i, v)
		ok = ok && add_expression(b, v);
	return ok && !b->over;
}

const char *role_selector(const json_t *selector, struct arena *a)
{
	struct buf b;
	buf_init(&b, SELECTOR_TEXT_MAX);
	const char *text = add_selector(&b, selector) ? arena_strdup(a, buf_cstr(&b)) : NULL;
	buf_done(&b);
	return text;
}

/* --- judging --- */

/* The way through one role's aggregation. */
struct dive {
	struct role_lists *lists;
	struct arena *arena;
	bool cluster_wide, later;
	struct slice seen[ROLES_SELECTED_MAX];
	size_t nseen;
};

static enum role_verdict judge(struct dive *d, const json_t *role, int depth, const char **why);

static bool was_seen(struct dive *d, struct slice name)
{
	for (size_t i = 0; i < d->nseen; i++) {
		if (slice_eq(d->seen[i], name))
			return true;
	}
	return false;
}

static enum role_verdict unknown(struct dive *d, const char **why, const char *text)
{
	*why = arena_strdup(d->arena, text);
	return ROLE_UNKNOWN;
}

static enum role_verdict judge_selected(struct dive *d, const json_t *role, int depth, const char **why)
{
	struct slice name = jsonx_text(json_object_get(json_object_get(role, "metadata"), "name"));
	if (was_seen(d, name))
		return ROLE_FINE;
	if (d->nseen == ARRAY_LEN(d->seen))
		return unknown(d, why, "it aggregates too many roles");
	d->seen[d->nseen++] = name;
	enum role_verdict v = judge(d, role, depth, why);
	if (v == ROLE_DANGEROUS)
		*why = arena_printf(d->arena, "it aggregates \"" SLICE_FMT "\": %s",
		    SLICE_ARG(slice_printable(name) ? name : SLICE("?")), *why);
	return v;
}

/* Verdicts are ordered by need: what is dangerous for sure ends it, which is true; what is unknown is remembered. */
static bool worsen(enum role_verdict v, const char *said, enum role_verdict *verdict, const char **why)
{
	if (v == ROLE_FINE)
		return false;
	*why = said;
	*verdict = v;
	return v == ROLE_DANGEROUS;
}

static enum role_verdict judge_selector(struct dive *d, const json_t *selector, int depth, const char **why)
{
	size_t i;
	const json_t *role;
	const char *text = role_selector(selector, d->arena), *said = NULL;
	if (!text)
		return unknown(d, why, "its aggregationRule cannot be read");
	const struct list *l = list_of(d->lists, text);
	if (l->verdict != KUBE_OK) {
		d->later |= l->verdict != KUBE_REFUSED;
		*why = arena_printf(d->arena, "the roles that it aggregates cannot be read: %s", l->why.msg);
		return ROLE_UNKNOWN;
	}
	enum role_verdict verdict = ROLE_FINE;
	/* LISTS may move while deeper ones are read; the items do not. */
	const json_t *items = l->items;
	json_array_foreach(items, i, role) {
		enum role_verdict v = judge_selected(d, role, depth, &said);
		if (worsen(v, said, &verdict, why))
			break;
	}
	return verdict;
}

static enum role_verdict judge(struct dive *d, const json_t *role, int depth, const char **why)
{
	size_t i;
	const json_t *selector;
	enum role_verdict verdict = role_judge(role, d->cluster_wide, d->arena, why);
	json_t *selectors = json_object_get(json_object_get(role, "aggregationRule"), "clusterRoleSelectors");
	if (verdict == ROLE_DANGEROUS || json_array_size(selectors) == 0)
		return verdict;
	if (depth >= ROLES_DEPTH_MAX)
		return unknown(d, why, "it aggregates roles too deep");
	json_array_foreach(selectors, i, selector) {
		const char *said = NULL;
		enum role_verdict v = judge_selector(d, selector, depth + 1, &said);
		if (worsen(v, said, &verdict, why))
			break;
	}
	return verdict;
}

enum role_verdict role_judge_deep(struct role_lists *l, const json_t *role, bool cluster_wide, struct arena *a,
    const char **why, bool *later)
{
	struct dive *d = ARENA_NEW(a, struct dive);
	*d = (struct dive){.lists = l, .arena = a, .cluster_wide = cluster_wide};
	d->seen[d->nseen++] = jsonx_text(json_object_get(json_object_get(role, "metadata"), "name"));
	*why = NULL;
	enum role_verdict v = judge(d, role, 0, why);
	*later = d->later;
	return v;
}
