/* Owns namespaces in templates: those that exist, by name or selector, and those that are made. */
#include "rbac-sync/rails.h"
#include "rbac-sync/template_internal.h"

#define NAMESPACES_MAX 100 /* of one list */

const char *const template_on_gc_names[] = {"orphan", "delete", NULL};

static const struct field namespace_fields[] = {
    {"name", FIELD_NODE, offsetof(struct template_namespace, name_node), .required = true,
	.doc = "Its name, with placeholders. One that is made must be one user's or one group's."},
    {"create", FIELD_BOOL, offsetof(struct template_namespace, create), .def = "true",
	.doc = "Make it; false: it exists, and only says where the template's objects and grants go."},
    {"adopt", FIELD_BOOL, offsetof(struct template_namespace, adopt), .def = "false",
	.doc = "Take it over when it exists and carries no owner's mark; false: refuse."},
    {"labels", FIELD_NODE, offsetof(struct template_namespace, labels_node), .shape = NODE_MAPPING_OF_TEXTS,
	.doc = "Its labels, such as those of pod security; repaired when changed."},
    {"annotations", FIELD_NODE, offsetof(struct template_namespace, annotations_node),
	.shape = NODE_MAPPING_OF_TEXTS, .doc = "Its annotations."},
    {"onGC", FIELD_ENUM, offsetof(struct template_namespace, on_gc), .choices = template_on_gc_names,
	.doc = "When its user is deleted: `orphan` leaves it, `delete` removes it with all that is in it. "
	       "Default: that of `defaults`."},
    {0},
};

static void keep_node(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	static const char *const of_made[] = {"adopt", "labels", "annotations", "onGC"};
	struct template_namespace *n = obj;
	n->node = node;
	for (size_t i = 0; i < ARRAY_LEN(of_made) && !n->create; i++) {
		const struct yaml_node *at = yamlx_get(node, of_made[i]);
		if (at)
			diags_error(d, file, at->line, at->col,
			    "%s is of a namespace that is made: create is false", of_made[i]);
	}
}

const struct schema template_namespace_schema = {"namespace", sizeof(struct template_namespace),
    namespace_fields, offsetof(struct template_namespace, place),
    offsetof(struct template_namespace, present), keep_node};

/* What stands in a mapping in place of a list of names. */
struct selector_text {
	const char *selector;
};

static const struct field selector_fields[] = {
    {"selector", FIELD_STRING, offsetof(struct selector_text, selector), .required = true, .nonempty = true,
	.doc = "All namespaces whose labels fit, such as `team=eng,env!=prod`; the rails apply to each."},
    {0},
};

const struct schema template_places_schema = {"namespaces", sizeof(struct selector_text), selector_fields,
    SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, NULL};

enum template_owner template_owner(const struct pattern *p)
{
	if (p->uses_user)
		return OWNER_USER;
	return p->uses_group ? OWNER_GROUP : OWNER_TEMPLATE;
}

struct template_uses template_uses_of(const struct template_places *places)
{
	struct template_uses uses = {places->len > 0, places->len > 0};
	for (size_t i = 0; i < places->len; i++) {
		uses.user &= places->names[i].uses_user;
		uses.group &= places->names[i].uses_group;
	}
	return uses;
}

static void check_name(const struct loader *l, const struct yaml_node *node, const struct pattern *p)
{
	/* A group's hash tells the group alone. */
	if (!p->user_hash && p->names > 1 && (!p->group_hash || p->user_names > 1))
		FINDING(l, node, "several names without a hash can run together; add ${user.hash10}");
	if (p->uses_user || p->uses_group)
		return;
	struct pattern_values none = {.provider = SLICE("p")};
	struct slice text;
	bool ambiguous;
	struct err e;
	/* ${provider} apart this is a literal, judged now rather than at a login. */
	if (pattern_render(p, &none, l->arena, &text, &ambiguous, &e) != ERR_OK)
		return;
	const char *why = rails_namespace(NULL, text);
	if (why)
		FINDING(l, node, "nothing is ever bound in namespace \"" SLICE_FMT "\" (%s)",
		    SLICE_ARG(text), why);
}

static void bind_selector(struct loader *l, const struct yaml_node *node, struct template_places *out)
{
	struct selector_text text;
	struct err e;
	if (schema_bind(l->arena, &template_places_schema, l->file, node, &text, l->diags) != ERR_OK)
		return;
	if (selector_parse(slice_of(text.selector), l->arena, &out->selector, &e) != ERR_OK)
		FINDING(l, yamlx_get(node, "selector"), "%s", e.msg);
}

void template_bind_places(struct loader *l, const struct yaml_node *node, struct template_places *out)
{
	if (node->kind == YAMLX_MAP) {
		bind_selector(l, node, out);
		return;
	}
	if (node->kind != YAMLX_SEQ || node->len == 0 || node->len > NAMESPACES_MAX) {
		FINDING(l, node, "namespaces must be a list of 1 to %d names, or {selector: …}",
		    NAMESPACES_MAX);
		return;
	}
	out->names = ARENA_ARRAY(l->arena, struct pattern, node->len);
	for (size_t i = 0; i < node->len; i++) {
		struct pattern *p = &out->names[out->len];
		if (pattern_parse(l->arena, l->file, node->items[i], p, l->diags) != ERR_OK)
			continue;
		check_name(l, node->items[i], p);
		out->len++;
	}
}

/* --- a namespace that is made --- */

static bool one_provider(const struct template_match *m)
{
	return m->providers.len == 1 && !strpbrk(m->providers.items[0], "*?");
}

/* Two owners must never mean the same namespace: the second one would get into the first one's. */
static void check_made(const struct loader *l, const struct template *t, const struct pattern *p)
{
	const struct yaml_node *node = t->namespace_.name_node;
	enum template_owner owner = template_owner(p);
	if (owner == OWNER_TEMPLATE)
		FINDING(l, node, "a namespace that is made must be somebody's: put ${user.slug}-${user.hash10} "
		    "or ${group} into its name, or say create: false");
	else if (owner == OWNER_USER && !p->user_hash && !p->user_name)
		FINDING(l, node, "users may share this namespace: add ${user.hash10}");
	else if (owner == OWNER_GROUP && !p->group_hash && !p->group_name)
		FINDING(l, node, "groups may share this namespace: add ${group.hash10}");
	else if (!p->user_hash && !p->group_hash && !one_provider(&t->match))
		FINDING(l, node, "%ss of several providers may share this namespace: add ${%s.hash10}, or name "
		    "one provider in match", owner == OWNER_USER ? "user" : "group",
		    owner == OWNER_USER ? "user" : "group");
}

static void bind_made(struct loader *l, struct template *t)
{
	struct template_namespace *n = &t->namespace_;
	struct pattern *p = ARENA_NEW(l->arena, struct pattern);
	if (!yamlx_get(n->node, "onGC"))
		n->on_gc = l->config->defaults.on_gc;
	if (pattern_parse(l->arena, l->file, n->name_node, p, l->diags) != ERR_OK)
		return;
	t->places = (struct template_places){.names = p, .len = 1};
	check_name(l, n->name_node, p);
	if (n->create)
		check_made(l, t, p);
	struct template_uses uses = template_uses_of(&t->places);
	template_bind_texts(l, n->labels_node, true, uses, &n->labels);
	template_bind_texts(l, n->annotations_node, false, uses, &n->annotations);
	n->label_keys = template_keys(l, &n->labels);
}

void template_bind_namespace(struct loader *l, struct template *t)
{
	if (t->namespace_.present && t->namespaces_node)
		FINDING(l, t->namespaces_node, "name either namespace or namespaces");
	else if (t->namespace_.present)
		bind_made(l, t);
	else if (t->namespaces_node)
		template_bind_places(l, t->namespaces_node, &t->places);
	for (size_t i = 0; i < t->places.len && !t->match.groups.len; i++)
		if (t->places.names[i].uses_group)
			FINDING_AT(l, t->place,
			    "${group} needs match.groups: else every group of a user counts");
}
