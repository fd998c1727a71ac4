/* Owns the template file: its tables, its loading. */
#include "rbac-sync/template.h"

#include <stdlib.h>

#include "common/file.h"
#include "common/secret.h"
#include "rbac-sync/rails.h"
#include "rbac-sync/template_internal.h"

const char *const template_drift_names[] = {"repair", "report", "off", NULL};

static const struct field template_fields[] = {
    {"name", FIELD_STRING, offsetof(struct template, name), .required = true, .nonempty = true,
	.doc = "Its name: a DNS label of at most 40 characters, part of every object's name."},
    {"match", FIELD_OBJECT, offsetof(struct template, match), .sub = &template_match_schema,
	.doc = "Whom it is for. Default: `match` at the top of the file."},
    {"namespace", FIELD_OBJECT, offsetof(struct template, namespace_), .sub = &template_namespace_schema,
	.doc = "One namespace for each user or group: made, and where objects and grants go."},
    {"namespaces", FIELD_NODE, offsetof(struct template, namespaces_node), .shape = NODE_STRINGS_OR_OBJECT,
	.sub = &template_places_schema, .nonempty = true,
	.doc = "In its stead: existing namespaces by name or `{selector: …}` for objects and grants."},
    {"objects", FIELD_OBJECTS, offsetof(struct template, objects), .max_items = TEMPLATE_OBJECTS_MAX,
	.sub = &template_object_schema, .doc = "Quotas, limit ranges and network policies in those."},
    {"grants", FIELD_OBJECTS, offsetof(struct template, grants), .max_items = TEMPLATE_GRANTS_MAX,
	.sub = &template_grant_schema, .doc = "Roles that they are due."},
    {"ttl", FIELD_STRING, offsetof(struct template, ttl_text),
	.doc = "Default of its grants. Default: that of `defaults`."},
    {"drift", FIELD_ENUM, offsetof(struct template, drift), .choices = template_drift_names,
	.doc = "What happens to objects changed by hand: `repair`, `report` (leave, and say so) or `off`. "
	       "Default: that of `defaults`."},
    {"prune", FIELD_BOOL, offsetof(struct template, prune),
	.doc = "Whether what is no longer due is removed. Default: that of `defaults`."},
    {0},
};

static void check_template(
    void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	struct template *t = obj;
	const struct yaml_node *at = yamlx_get(node, "name");
	t->node = node;
	if (!rails_dns_label(slice_of(t->name), TEMPLATE_NAME_MAX))
		diags_error(d, file, at->line, at->col,
		    "name: lower-case letters, digits and dashes, at most %d", TEMPLATE_NAME_MAX);
	if (!t->grants.len && !t->objects.len && !(t->namespace_.present && t->namespace_.create))
		diags_error(d, file, node->line, node->col,
		    "the template gives nothing: name grants, objects or a namespace to make");
}

static const struct schema template_schema = {"template", sizeof(struct template), template_fields,
    offsetof(struct template, place), SCHEMA_NO_PLACE, check_template};

static const struct field defaults_fields[] = {
    {"drift", FIELD_ENUM, offsetof(struct sync_defaults, drift), .choices = template_drift_names,
	.def = "repair", .doc = "Of templates that do not say it."},
    {"ttl", FIELD_STRING, offsetof(struct sync_defaults, ttl_text),
	.doc = "Of grants that do not say it; `\"\"`: no end."},
    {"prune", FIELD_BOOL, offsetof(struct sync_defaults, prune), .def = "true",
	.doc = "Of templates that do not say it."},
    {"onGC", FIELD_ENUM, offsetof(struct sync_defaults, on_gc), .choices = template_on_gc_names,
	.def = "orphan", .doc = "Of namespaces that do not say it."},
    {0},
};

static const struct schema defaults_schema = {"defaults", sizeof(struct sync_defaults), defaults_fields,
    offsetof(struct sync_defaults, place), SCHEMA_NO_PLACE, NULL};

static const struct field limits_fields[] = {
    {"maxUsers", FIELD_INT, offsetof(struct sync_limits, max_users), .def = "50000", .min = 1,
	.max = 1000000, .doc = "Records that get anything; those that came later wait."},
    {"maxNamespaces", FIELD_INT, offsetof(struct sync_limits, max_namespaces), .def = "1000", .min = 0,
	.max = 100000, .doc = "Namespaces that the worker makes in all."},
    {"maxNewUsersPerMinute", FIELD_INT, offsetof(struct sync_limits, max_new_users), .def = "60", .min = 1,
	.max = 100000, .doc = "New users that get something in a minute; the others wait."},
    {0},
};

static const struct schema limits_schema = {"limits", sizeof(struct sync_limits), limits_fields,
    SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, NULL};

static const char *const subject_modes[] = {"group-first", "user-first", NULL};

static const struct field config_fields[] = {
    {"apiVersion", FIELD_STRING, offsetof(struct sync_config, api_version), .required = true,
	.doc = "`" SYNC_API_VERSION "`."},
    {"kind", FIELD_STRING, offsetof(struct sync_config, kind), .required = true,
	.doc = "`SyncConfig`."},
    {"subjectMode", FIELD_ENUM, offsetof(struct sync_config, subject_mode), .choices = subject_modes,
	.def = "group-first",
	.doc = "Whom a grant without `subject` binds: `group-first` the matched groups, and the user where "
	       "the namespace's name or a ttl is the user's own, `match` names no groups or has `notUsers`; "
	       "`user-first` always the user."},
    {"defaults", FIELD_OBJECT, offsetof(struct sync_config, defaults), .sub = &defaults_schema,
	.doc = "Of all templates."},
    {"limits", FIELD_OBJECT, offsetof(struct sync_config, limits), .sub = &limits_schema,
	.doc = "Of the whole cluster."},
    {"match", FIELD_OBJECT, offsetof(struct sync_config, match), .sub = &template_match_schema,
	.doc = "Of templates without a `match` of their own."},
    {"templates", FIELD_OBJECTS, offsetof(struct sync_config, templates), .required = true,
	.max_items = TEMPLATES_MAX, .sub = &template_schema, .doc = "The templates, at least one."},
    {0},
};

static void check_names(const struct sync_config *c, const char *file, struct diags *d)
{
	const struct template *t = c->templates.items;
	for (size_t i = 0; i < c->templates.len; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(t[i].name, t[j].name) == 0)
				diags_error(d, file, t[i].place.line, t[i].place.col,
				    "a template \"%s\" stands in line %u already", t[i].name,
				    t[j].place.line);
		}
	}
}

static void check_config(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct sync_config *c = obj;
	const struct yaml_node *list = yamlx_get(node, "templates");
	if (strcmp(c->api_version, SYNC_API_VERSION) != 0)
		diags_error(d, file, node->line, node->col, "apiVersion must be " SYNC_API_VERSION);
	if (strcmp(c->kind, "SyncConfig") != 0)
		diags_error(d, file, node->line, node->col, "kind must be SyncConfig");
	if (!c->templates.len)
		diags_error(d, file, list->line, list->col,
		    "no templates: this would remove everything; a template that matches nobody says so in full");
	check_names(c, file, d);
}

const struct schema sync_config_schema = {"SyncConfig", sizeof(struct sync_config), config_fields,
    SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, check_config};

/* --- digests --- */

static void hash_node(struct sha256_ctx *c, const struct yaml_node *n)
{
	/* 20 and "20" are not the same in an object's spec; view and "view" are. */
	bool number = n->kind == YAMLX_SCALAR && n->plain && n->text.len && n->text.p[0] <= '9';
	uint64_t head[2] = {n->kind | (number ? 16U : 0U), n->kind == YAMLX_SCALAR ? n->text.len : n->len};
	sha256_update(c, head, sizeof(head));
	if (n->kind == YAMLX_SCALAR)
		sha256_update(c, n->text.p, n->text.len);
	for (size_t i = 0; n->kind == YAMLX_SEQ && i < n->len; i++)
		hash_node(c, n->items[i]);
	for (size_t i = 0; n->kind == YAMLX_MAP && i < n->len; i++) {
		uint64_t len = n->pairs[i].key.len;
		sha256_update(c, &len, sizeof(len));
		sha256_update(c, n->pairs[i].key.p, len);
		hash_node(c, n->pairs[i].value);
	}
}

/* MORE: what holds though NODE does not say it; or NULL. */
static void hash_of(const struct yaml_node *node, const char *more, char *out, size_t digits)
{
	uint8_t raw[SHA256_LEN];
	struct sha256_ctx *c = sha256_begin();
	hash_node(c, node);
	if (more)
		sha256_update(c, more, strlen(more));
	sha256_end(&c, raw);
	hex_encode(raw, digits / 2, out);
}

/* --- loading --- */

static void bind_template(struct loader *l, struct template *t)
{
	const struct sync_defaults *def = &l->config->defaults;
	if (!t->match.present && !l->config->match.present)
		FINDING_AT(l, t->place, "match is missing, here and at the top of the file");
	if (!t->match.present)
		t->match = l->config->match;
	if (!yamlx_get(t->node, "drift"))
		t->drift = def->drift;
	if (!yamlx_get(t->node, "prune"))
		t->prune = def->prune;
	t->ttl = template_read_ttl(l, t->node, t->ttl_text ? t->ttl_text : def->ttl_text, 0);
	template_bind_namespace(l, t);
	template_bind_objects(l, t);
	template_bind_grants(l, t);
	/* Whether the cluster takes the namespace along with its record is written into it (ownerReferences), but not
	 * compared: another default must make another object, or the old word would stand. */
	bool goes = t->namespace_.on_gc == ON_GC_DELETE && !yamlx_get(t->namespace_.node, "onGC");
	hash_of(t->node, goes ? "onGC: delete" : NULL, t->generation, GENERATION_LEN);
}

static enum err_code bind(struct sync_config *c, const char *file, struct slice text, struct diags *d)
{
	struct arena *a = &c->arena;
	struct yaml_node *root;
	TRY(yamlx_parse(a, file, text, &root, d));
	struct sync_config bound;
	TRY(schema_bind(a, &sync_config_schema, file, root, &bound, d));
	bound.arena = *a;
	*c = bound;
	struct loader l = {.arena = a, .file = file, .diags = d, .config = c};
	struct template *t = c->templates.items;
	/* A bad default is told once, at its own place. */
	(void)template_read_ttl(&l, yamlx_get(root, "defaults"), c->defaults.ttl_text, 0);
	if (d->errors)
		return ERR_INVALID;
	for (size_t i = 0; i < c->templates.len; i++)
		bind_template(&l, &t[i]);
	map_done(&l.zones);
	hash_of(root, NULL, c->digest, CONFIG_DIGEST_LEN);
	return d->errors ? ERR_INVALID : ERR_OK;
}

enum err_code sync_config_parse(
    const char *file, struct slice text, struct sync_config **out, struct diags *d)
{
	struct sync_config *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	arena_init(&c->arena, 0);
	enum err_code rc = bind(c, file, text, d);
	if (rc != ERR_OK) {
		sync_config_free(&c);
		return rc;
	}
	*out = c;
	return ERR_OK;
}

enum err_code sync_config_load(const char *path, struct sync_config **out, struct diags *d)
{
	struct arena a;
	struct slice text;
	struct err e;
	arena_init(&a, 0);
	enum err_code rc = file_read(&a, path, TEMPLATE_BYTES_MAX, &text, &e);
	if (rc != ERR_OK)
		diags_error(d, "", 0, 0, "%s", e.msg); /* names the file */
	else
		rc = sync_config_parse(path, text, out, d);
	arena_done(&a);
	return rc;
}

void sync_config_free(struct sync_config **cp)
{
	struct sync_config *c = TAKE(*cp);
	if (!c)
		return;
	arena_done(&c->arena);
	free(c);
}
