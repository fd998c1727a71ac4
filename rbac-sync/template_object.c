/* Owns the objects of templates beside bindings: quotas, limit ranges, network policies. */
#include "rbac-sync/template_internal.h"

static const struct field meta_fields[] = {
    {"name", FIELD_NODE, offsetof(struct template_meta, name_node), .required = true,
	.doc = "Its name, with placeholders."},
    {"labels", FIELD_NODE, offsetof(struct template_meta, labels_node), .shape = NODE_MAPPING_OF_TEXTS,
	.doc = "Its labels."},
    {"annotations", FIELD_NODE, offsetof(struct template_meta, annotations_node),
	.shape = NODE_MAPPING_OF_TEXTS, .doc = "Its annotations."},
    {0},
};

static const struct schema meta_schema = {"metadata", sizeof(struct template_meta), meta_fields,
    offsetof(struct template_meta, place), SCHEMA_NO_PLACE, NULL};

static const struct field object_fields[] = {
    {"apiVersion", FIELD_STRING, offsetof(struct template_object, api_version), .required = true,
	.doc = "`v1`, or `networking.k8s.io/v1` of a NetworkPolicy."},
    {"kind", FIELD_STRING, offsetof(struct template_object, kind_name), .required = true,
	.doc = "`ResourceQuota`, `LimitRange` or `NetworkPolicy`."},
    {"metadata", FIELD_OBJECT, offsetof(struct template_object, meta), .required = true,
	.sub = &meta_schema, .doc = "Name, labels, annotations, and nothing else."},
    {"spec", FIELD_NODE, offsetof(struct template_object, spec_node), .required = true,
	.doc = "As in Kubernetes, with placeholders in strings; not looked into here."},
    {0},
};

/* Namespaces and bindings have places of their own in a template; with other kinds a template could give rights past
 * the rails (Role, ServiceAccount) or hand out what it must not know (Secret). */
static const struct {
	enum object_kind kind;
	const char *api_version, *name;
} kinds[] = {
    {KIND_RESOURCE_QUOTA, "v1", "ResourceQuota"},
    {KIND_LIMIT_RANGE, "v1", "LimitRange"},
    {KIND_NETWORK_POLICY, "networking.k8s.io/v1", "NetworkPolicy"},
};

static void check_object(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	struct template_object *o = obj;
	const struct yaml_node *version = yamlx_get(node, "apiVersion"), *kind = yamlx_get(node, "kind");
	const struct yaml_node *spec = o->spec_node;
	size_t i = 0;
	while (i < ARRAY_LEN(kinds) && strcmp(kinds[i].name, o->kind_name) != 0)
		i++;
	if (i == ARRAY_LEN(kinds)) {
		diags_error(d, file, kind->line, kind->col,
		    "templates make no %s; kinds that are possible: ResourceQuota, LimitRange, NetworkPolicy",
		    o->kind_name);
		return;
	}
	o->kind = kinds[i].kind;
	if (strcmp(kinds[i].api_version, o->api_version) != 0)
		diags_error(d, file, version->line, version->col, "apiVersion of a %s must be %s",
		    o->kind_name, kinds[i].api_version);
	if (spec->kind != YAMLX_MAP)
		diags_error(d, file, spec->line, spec->col, "spec must be a mapping, not %s", yamlx_kind(spec));
}

const struct schema template_object_schema = {"object", sizeof(struct template_object), object_fields,
    offsetof(struct template_object, place), SCHEMA_NO_PLACE, check_object};

static bool same_name(const struct template_object *a, const struct template_object *b)
{
	return a->kind == b->kind && slice_eq(a->name.text, b->name.text);
}

void template_bind_objects(struct loader *l, struct template *t)
{
	struct template_object *o = t->objects.items;
	if (t->objects.len && !t->namespace_.present && !t->namespaces_node)
		FINDING(l, yamlx_get(t->node, "objects"), "objects need a namespace or namespaces beside them");
	struct template_uses uses = template_uses_of(&t->places);
	for (size_t i = 0; i < t->objects.len; i++) {
		const struct yaml_node *name = o[i].meta.name_node;
		bool bound = template_bind_text(l, name, uses, &o[i].name);
		if (bound && !o[i].name.uses_user && !o[i].name.uses_group &&
		    !memmem(name->text.p, name->text.len, "${", 2) && !dns_subdomain_ok(name->text))
			FINDING(l, name, "\"" SLICE_FMT "\" is no name of a %s", SLICE_ARG(name->text),
			    o[i].kind_name);
		template_bind_texts(l, o[i].meta.labels_node, true, uses, &o[i].labels);
		o[i].label_keys = template_keys(l, &o[i].labels);
		template_bind_texts(l, o[i].meta.annotations_node, false, uses, &o[i].annotations);
		template_bind_value(l, o[i].spec_node, uses, &o[i].spec);
		for (size_t j = 0; j < i && bound; j++)
			if (same_name(&o[i], &o[j]))
				FINDING(l, name, "a %s of this name stands in line %u already",
				    o[i].kind_name, o[j].place.line);
	}
}
