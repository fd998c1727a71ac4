/* Owns aggregated ClusterRoles: their selectors, and the rules that these bring. */
#include <stdlib.h>

#include "common/yamlx.h"
#include "policy/import.h"

/* --- labels --- */

static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/* Up to 63 of letters, digits, `-`, `_`, `.`, with letters or digits at both ends. */
static bool good_word(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		bool edge = i == 0 || i + 1 == s.len;
		if (s.p[i] == '\0' ||
		    (!strchr(alnum, s.p[i]) && (edge || !strchr("-_.", s.p[i]))))
			return false;
	}
	return s.len <= 63;
}

static bool good_key(struct slice s)
{
	size_t slash = slice_find(s, '/');
	if (slash == s.len)
		return s.len > 0 && good_word(s);
	struct slice name = slice_skip(s, slash + 1);
	return slash > 0 && slash <= 253 && name.len > 0 && good_word(name);
}

static void check_label(
    struct rbac_reader *r, const struct yaml_node *at, struct slice key, struct slice value)
{
	if (!good_key(key))
		rbac_error(r, at, "`%.100s` is no key of a label", slice_printable(key) ? key.p : "?");
	else if (!good_word(value))
		rbac_error(
		    r, at, "`%.100s` is no value of a label", slice_printable(value) ? value.p : "?");
}

/* A value of labels: null reads as the empty text. */
static struct slice label_value(struct rbac_reader *r, const struct yaml_pair *pair)
{
	if (pair->value->kind != YAMLX_SCALAR)
		rbac_error(r, pair->value, "a label is a string, found %s", yamlx_kind(pair->value));
	else if (!yamlx_is_null(pair->value))
		return pair->value->text;
	return SLICE("");
}

void rbac_labels(struct rbac_reader *r, const struct yaml_node *metadata, struct import_role *role)
{
	const struct yaml_node *map = rbac_get(r, metadata, "labels", YAMLX_MAP);
	role->nlabels = map ? map->len : 0;
	struct import_label *labels = ARENA_ARRAY(r->im->arena, struct import_label, role->nlabels);
	for (size_t i = 0; i < role->nlabels; i++) {
		labels[i] = (struct import_label){map->pairs[i].key, label_value(r, &map->pairs[i])};
		check_label(r, map->pairs[i].value, labels[i].key, labels[i].value);
	}
	role->labels = labels;
}

/* --- selectors --- */

static void read_expression(
    struct rbac_reader *r, const struct yaml_node *node, struct requirement *out)
{
	static const char *const known[] = {"key", "operator", "values", NULL};
	static const char *const ops[] = {[REQUIREMENT_IN] = "In",
	    [REQUIREMENT_NOT_IN] = "NotIn",
	    [REQUIREMENT_EXISTS] = "Exists",
	    [REQUIREMENT_DOES_NOT_EXIST] = "DoesNotExist"};
	if (node->kind != YAMLX_MAP) {
		rbac_error(r, node, "`matchExpressions`: expected a mapping, found %s", yamlx_kind(node));
		return;
	}
	rbac_known(r, node, known, "an expression");
	const char *op = rbac_text(r, node, "operator");
	struct import_list values = rbac_texts(r, node, "values");
	*out = (struct requirement){.key = slice_of(rbac_text(r, node, "key")),
	    .values = values.v,
	    .n = (uint32_t)values.n};
	for (unsigned i = REQUIREMENT_IN; i < ARRAY_LEN(ops); i++)
		if (strcmp(op, ops[i]) == 0)
			out->op = (enum requirement_op)i;
	bool wants_values = out->op == REQUIREMENT_IN || out->op == REQUIREMENT_NOT_IN;
	if (!out->op)
		rbac_error(r, node, "the operator `%.60s`: expected In, NotIn, Exists or DoesNotExist",
		    op);
	else if (wants_values != (values.n > 0))
		rbac_error(r, node, "the operator %s %s `values`", op,
		    wants_values ? "needs" : "stands without");
	check_label(r, node, out->key, SLICE(""));
	for (size_t i = 0; i < values.n; i++)
		check_label(r, node, SLICE("k"), values.v[i]);
}

static void read_match_labels(
    struct rbac_reader *r, const struct yaml_node *map, struct requirement *out)
{
	for (size_t i = 0; map && i < map->len; i++) {
		struct slice *value = ARENA_NEW(r->im->arena, struct slice);
		*value = label_value(r, &map->pairs[i]);
		out[i] = (struct requirement){
		    .key = map->pairs[i].key, .op = REQUIREMENT_IN, .values = value, .n = 1};
		check_label(r, map->pairs[i].value, out[i].key, *value);
	}
}

static struct selector read_selector(struct rbac_reader *r, const struct yaml_node *node)
{
	static const char *const known[] = {"matchLabels", "matchExpressions", NULL};
	if (node->kind != YAMLX_MAP) {
		rbac_error(r, node, "`clusterRoleSelectors`: expected a mapping, found %s",
		    yamlx_kind(node));
		return (struct selector){0};
	}
	rbac_known(r, node, known, "a selector");
	const struct yaml_node *labels = rbac_get(r, node, "matchLabels", YAMLX_MAP);
	const struct yaml_node *list = rbac_get(r, node, "matchExpressions", YAMLX_SEQ);
	size_t first = labels ? labels->len : 0, n = first + (list ? list->len : 0);
	struct requirement *v = ARENA_ARRAY(r->im->arena, struct requirement, n);
	read_match_labels(r, labels, v);
	for (size_t i = first; i < n; i++)
		read_expression(r, list->items[i - first], &v[i]);
	return (struct selector){v, (uint32_t)n};
}

void rbac_aggregation(struct rbac_reader *r, const struct yaml_node *node, struct import_role *role)
{
	static const char *const known[] = {"clusterRoleSelectors", NULL};
	const struct yaml_node *rule = rbac_get(r, node, "aggregationRule", YAMLX_MAP);
	if (!rule)
		return;
	rbac_known(r, rule, known, "aggregationRule");
	const struct yaml_node *list = rbac_get(r, rule, "clusterRoleSelectors", YAMLX_SEQ);
	role->aggregated = true;
	role->nselectors = list ? list->len : 0;
	if (role->nselectors == 0)
		rbac_error(r, rule, "`clusterRoleSelectors` must have at least one value");
	struct selector *v = ARENA_ARRAY(r->im->arena, struct selector, role->nselectors);
	for (size_t i = 0; i < role->nselectors; i++)
		v[i] = read_selector(r, list->items[i]);
	role->selectors = v;
}

static bool value_listed(const struct requirement *q, struct slice value)
{
	for (uint32_t i = 0; i < q->n; i++)
		if (slice_eq(q->values[i], value))
			return true;
	return false;
}

static bool requirement_holds(const struct requirement *q, const struct import_role *role)
{
	const struct import_label *label = NULL;
	for (size_t i = 0; i < role->nlabels && !label; i++)
		if (slice_eq(role->labels[i].key, q->key))
			label = &role->labels[i];
	switch (q->op) {
	case REQUIREMENT_IN:
		return label && value_listed(q, label->value);
	case REQUIREMENT_NOT_IN:
		return !label || !value_listed(q, label->value);
	case REQUIREMENT_EXISTS:
		return label;
	case REQUIREMENT_DOES_NOT_EXIST:
		return !label;
	}
	return false;
}

/* The selector of no requirements selects all. */
static bool selects(const struct selector *s, const struct import_role *role)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (!requirement_holds(&s->v[i], role))
			return false;
	return true;
}

/* --- the rules --- */

/* An aggregated role and those it gathers from, per selector in order of names, itself left out. */
struct gathering {
	struct import_role *role;
	struct import_role **from;
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct import_role *const *)a)->name,
	    (*(struct import_role *const *)b)->name);
}

static struct import_role **cluster_roles(struct imports *im, size_t *n)
{
	struct import_role **all = ARENA_ARRAY(im->arena, struct import_role *, im->nroles);
	*n = 0;
	for (size_t i = 0; i < im->nroles; i++)
		if (!im->roles[i]->namespace_)
			all[(*n)++] = im->roles[i];
	if (*n > 1)
		qsort(all, *n, sizeof(*all), by_name);
	return all;
}

static void gather(
    struct imports *im, struct gathering *g, struct import_role **all, size_t n)
{
	size_t room = 0;
	for (size_t s = 0; s < g->role->nselectors; s++) {
		for (size_t i = 0; i < n; i++) {
			if (all[i] == g->role || !selects(&g->role->selectors[s], all[i]))
				continue;
			ARENA_ROOM(im->arena, g->from, g->n, room, 16);
			g->from[g->n++] = all[i];
		}
	}
}

/* One turn for one role: whether its rules have become more. They never become fewer. */
static bool grow(struct imports *im, struct gathering *g, size_t turn)
{
	size_t n = 0, room = 0;
	struct import_grant **grants = NULL;
	for (size_t i = 0; i < g->n; i++) {
		const struct import_role *from = g->from[i];
		for (size_t k = 0; k < from->ngrants; k++) {
			struct import_grant *grant = from->grants[k];
			if (grant->seen == turn)
				continue;
			grant->seen = turn;
			ARENA_ROOM(im->arena, grants, n, room, 16);
			grants[n++] = grant;
		}
	}
	if (n == g->role->ngrants)
		return false;
	g->role->grants = grants;
	g->role->ngrants = n;
	return true;
}

/* The controller replaces what stands in `rules`; a file that says more may be meant otherwise. */
static void warn_replaced(struct imports *im, const struct import_role *role,
    struct import_grant *const *own, size_t nown, size_t turn)
{
	size_t lost = 0;
	for (size_t k = 0; k < role->ngrants; k++)
		role->grants[k]->seen = turn;
	for (size_t k = 0; k < nown; k++)
		lost += own[k]->seen != turn;
	if (lost)
		diags_warn(im->diags, role->at.file, role->at.line, role->at.col,
		    "the aggregated ClusterRole `%.100s` has %zu rule%s that no role it selects has: "
		    "aggregation replaces `rules`", role->name, lost, lost > 1 ? "s" : "");
}

/* As the controller comes to rest when it starts from nothing: turn by turn, until no role gains a rule. */
void import_aggregate(struct imports *im)
{
	size_t n, ng = 0, turn = 0;
	struct import_role **all = cluster_roles(im, &n);
	struct gathering *g = ARENA_ARRAY(im->arena, struct gathering, n);
	struct import_role *own = ARENA_ARRAY(im->arena, struct import_role, n);
	for (size_t i = 0; i < n; i++) {
		if (!all[i]->aggregated)
			continue;
		own[ng] = *all[i];
		g[ng].role = all[i];
		gather(im, &g[ng++], all, n);
		all[i]->ngrants = 0;
	}
	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < ng; i++)
			more |= grow(im, &g[i], ++turn);
	}
	for (size_t i = 0; i < ng; i++)
		warn_replaced(im, g[i].role, own[i].grants, own[i].ngrants, ++turn);
}
