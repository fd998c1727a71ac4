/* Owns the template file: its schema, its checks, whom a template is for. */
#include "rbac-sync/template.h"

#include <stdlib.h>

#include "common/file.h"
#include "common/secret.h"
#include "rbac-sync/rails.h"

#define NAMESPACES_MAX 100 /* of one grant */
#define LATER "it comes with records and reconciling"

static const struct field match_fields[] = {
    {"providers", FIELD_STRINGS, offsetof(struct template_match, providers), .nonempty = true,
	.doc = "Globs over the authenticator's name; absent: any."},
    {"groups", FIELD_STRINGS, offsetof(struct template_match, groups), .nonempty = true,
	.doc = "Globs, of which one of the user's groups must match one; absent: any user."},
    {"notUsers", FIELD_STRINGS, offsetof(struct template_match, not_users),
	.doc = "Globs over user names that the template is not for."},
    {0},
};

static void check_match(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct template_match *m = obj;
	if (!m->providers.len && !m->groups.len)
		diags_error(d, file, node->line, node->col,
		    "name providers or groups; for everybody say providers: [\"*\"]");
}

static const struct schema match_schema = {"match", sizeof(struct template_match), match_fields,
    offsetof(struct template_match, place), SCHEMA_NO_PLACE, check_match};

static const char *const subject_kinds[] = {"User", "Group", NULL};

static const struct field subject_fields[] = {
    {"kind", FIELD_ENUM, offsetof(struct template_subject, kind), .choices = subject_kinds,
	.def = "User", .doc = "Who is bound."},
    {"name", FIELD_NODE, offsetof(struct template_subject, name),
	.doc = "`${user}` for a User; `${group}` or one group's name for a Group. The default is the "
	       "placeholder of the kind."},
    {0},
};

static const struct schema subject_schema = {"subject", sizeof(struct template_subject),
    subject_fields, offsetof(struct template_subject, place), SCHEMA_NO_PLACE, NULL};

static const char *const scopes[] = {"namespace", "cluster", NULL};

static const struct field grant_fields[] = {
    {"clusterRole", FIELD_STRING, offsetof(struct template_grant, cluster_role), .nonempty = true,
	.doc = "ClusterRole to bind. No placeholders: a directory must not choose a role."},
    {"role", FIELD_STRING, offsetof(struct template_grant, role), .nonempty = true,
	.doc = "Role of each namespace to bind, in place of clusterRole."},
    {"scope", FIELD_ENUM, offsetof(struct template_grant, scope), .choices = scopes,
	.def = "namespace", .doc = "`cluster` makes a ClusterRoleBinding."},
    {"namespaces", FIELD_NODE, offsetof(struct template_grant, namespaces_node),
	.doc = "Names of existing namespaces, with placeholders; one RoleBinding in each."},
    {"subject", FIELD_OBJECT, offsetof(struct template_grant, subject), .sub = &subject_schema,
	.doc = "Who is bound; the default is the user."},
    {"startTime", FIELD_NODE, offsetof(struct template_grant, namespaces_node), .unsupported = LATER,
	.doc = "When the grant begins."},
    {"endTime", FIELD_NODE, offsetof(struct template_grant, namespaces_node), .unsupported = LATER,
	.doc = "When the grant ends."},
    {"ttl", FIELD_NODE, offsetof(struct template_grant, namespaces_node), .unsupported = LATER,
	.doc = "How long the grant lasts after a login."},
    {"schedule", FIELD_NODE, offsetof(struct template_grant, namespaces_node), .unsupported = LATER,
	.doc = "Weekly hours of the grant."},
    {"allowPrivileged", FIELD_NODE, offsetof(struct template_grant, namespaces_node),
	.unsupported = "it comes with the analysis of roles", .doc = "Lifts the analysis of roles."},
    {0},
};

static void check_role(
    const char *name, const char *key, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct yaml_node *at = yamlx_get(node, key);
	const char *why = rails_role(slice_of(name));
	if (strstr(name, "${"))
		diags_error(d, file, at->line, at->col,
		    "%s takes no placeholders: a directory must not choose a role", key);
	else if (why)
		diags_error(d, file, at->line, at->col, "%s \"%s\" is never bound (%s)", key, name, why);
}

static void check_grant(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct template_grant *g = obj;
	if (!g->cluster_role == !g->role) {
		diags_error(d, file, node->line, node->col, "name either clusterRole or role");
		return;
	}
	if (g->cluster_role)
		check_role(g->cluster_role, "clusterRole", node, file, d);
	else
		check_role(g->role, "role", node, file, d);
	if (g->scope == SCOPE_CLUSTER && g->role)
		diags_error(d, file, node->line, node->col, "scope: cluster needs a clusterRole");
	if (g->scope == SCOPE_CLUSTER && g->namespaces_node)
		diags_error(d, file, node->line, node->col, "scope: cluster excludes namespaces");
	if (g->scope == SCOPE_NAMESPACE && !g->namespaces_node)
		diags_error(d, file, node->line, node->col, "name namespaces, or say scope: cluster");
}

static const struct schema grant_schema = {"grant", sizeof(struct template_grant), grant_fields,
    offsetof(struct template_grant, place), SCHEMA_NO_PLACE, check_grant};

static const struct field template_fields[] = {
    {"name", FIELD_STRING, offsetof(struct template, name), .required = true, .nonempty = true,
	.doc = "Its name: a DNS label of at most 40 characters, part of every object's name."},
    {"match", FIELD_OBJECT, offsetof(struct template, match), .required = true, .sub = &match_schema,
	.doc = "Whom it is for."},
    {"grants", FIELD_OBJECTS, offsetof(struct template, grants), .required = true, .nonempty = true,
	.max_items = 100, .sub = &grant_schema, .doc = "What they are due."},
    {"namespace", FIELD_NODE, offsetof(struct template, name), .unsupported = LATER,
	.doc = "A namespace to make."},
    {"objects", FIELD_NODE, offsetof(struct template, name), .unsupported = LATER,
	.doc = "Quotas, limits and network policies to make."},
    {"ttl", FIELD_NODE, offsetof(struct template, name), .unsupported = LATER,
	.doc = "How long its grants last after a login."},
    {"drift", FIELD_NODE, offsetof(struct template, name), .unsupported = LATER,
	.doc = "What happens to objects changed by hand."},
    {"prune", FIELD_NODE, offsetof(struct template, name), .unsupported = LATER,
	.doc = "Whether grants no longer due are removed."},
    {0},
};

static void check_template(
    void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct template *t = obj;
	const struct yaml_node *at = yamlx_get(node, "name");
	if (!rails_dns_label(slice_of(t->name), TEMPLATE_NAME_MAX))
		diags_error(d, file, at->line, at->col,
		    "name: lower-case letters, digits and dashes, at most %d", TEMPLATE_NAME_MAX);
}

static const struct schema template_schema = {"template", sizeof(struct template), template_fields,
    offsetof(struct template, place), SCHEMA_NO_PLACE, check_template};

static const struct field config_fields[] = {
    {"apiVersion", FIELD_STRING, offsetof(struct sync_config, api_version), .required = true,
	.doc = "`" SYNC_API_VERSION "`."},
    {"kind", FIELD_STRING, offsetof(struct sync_config, kind), .required = true,
	.doc = "`SyncConfig`."},
    {"templates", FIELD_OBJECTS, offsetof(struct sync_config, templates), .required = true,
	.max_items = TEMPLATES_MAX, .sub = &template_schema, .doc = "The templates."},
    {"subjectMode", FIELD_NODE, offsetof(struct sync_config, kind),
	.unsupported = "say subject: {kind: Group} in the grant", .doc = "Users or groups first."},
    {"defaults", FIELD_NODE, offsetof(struct sync_config, kind), .unsupported = LATER,
	.doc = "Defaults of all templates."},
    {"limits", FIELD_NODE, offsetof(struct sync_config, kind), .unsupported = LATER,
	.doc = "Limits of all templates."},
    {0},
};

static void check_config(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct sync_config *c = obj;
	if (strcmp(c->api_version, SYNC_API_VERSION) != 0)
		diags_error(d, file, node->line, node->col, "apiVersion must be " SYNC_API_VERSION);
	if (strcmp(c->kind, "SyncConfig") != 0)
		diags_error(d, file, node->line, node->col, "kind must be SyncConfig");
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

const struct schema sync_config_schema = {"SyncConfig", sizeof(struct sync_config), config_fields,
    SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, check_config};

/* --- what tables cannot bind: patterns --- */

struct loader {
	struct arena *arena;
	const char *file;
	struct diags *diags;
};

#define FINDING(l, node, ...)                                                                      \
	diags_error((l)->diags, (l)->file, (node)->line, (node)->col, __VA_ARGS__)

static void check_namespace(
    const struct loader *l, const struct yaml_node *node, const struct pattern *p)
{
	if (p->names > 1 && !p->user_hash && !p->group_hash)
		FINDING(l, node, "several names without a hash can run together; add ${user.hash10}");
	struct pattern_values none = {0};
	struct slice text;
	bool ambiguous;
	struct err e;
	/* What renders without values holds none: a literal, judged now rather than at a login. */
	if (pattern_render(p, &none, l->arena, &text, &ambiguous, &e) != ERR_OK || p->names)
		return;
	const char *why = rails_namespace(NULL, text);
	if (why && !p->user_hash && !p->group_hash)
		FINDING(l, node, "nothing is ever bound in namespace \"" SLICE_FMT "\" (%s)",
		    SLICE_ARG(text), why);
}

static void bind_namespaces(const struct loader *l, struct template_grant *g)
{
	const struct yaml_node *node = g->namespaces_node;
	if (!node)
		return;
	if (node->kind == YAMLX_MAP) {
		FINDING(l, node, "a namespace selector is not supported yet: " LATER);
		return;
	}
	if (node->kind != YAMLX_SEQ || node->len == 0 || node->len > NAMESPACES_MAX) {
		FINDING(l, node, "namespaces must be a list of 1 to %d names", NAMESPACES_MAX);
		return;
	}
	g->namespaces = ARENA_ARRAY(l->arena, struct pattern, node->len);
	for (size_t i = 0; i < node->len; i++) {
		struct pattern *p = &g->namespaces[i];
		if (pattern_parse(l->arena, l->file, node->items[i], p, l->diags) != ERR_OK)
			continue;
		check_namespace(l, node->items[i], p);
		g->per_group |= p->uses_group;
		g->nnamespaces++;
	}
}

/* A subject is the identity itself or a group it is in: with filters or other text around the name a
 * template would bind somebody else. */
static void bind_subject(const struct loader *l, struct template_grant *g)
{
	const struct yaml_node *node = g->subject.name;
	bool group = g->subject.kind == SUBJECT_GROUP;
	if (!node) {
		g->per_group |= group;
		return;
	}
	struct pattern p;
	if (pattern_parse(l->arena, l->file, node, &p, l->diags) != ERR_OK)
		return;
	if (!group && !slice_is(p.text, "${user}")) {
		FINDING(l, node, "the name of a User must be ${user}: nobody else is due the grant");
	} else if (group && p.text.len && slice_is(p.text, "${group}")) {
		g->per_group = true;
	} else if (group) {
		const char *why = rails_subject(p.text);
		if (memmem(p.text.p, p.text.len, "${", 2))
			FINDING(l, node, "the name of a Group must be ${group} or a name as it stands");
		else if (why)
			FINDING(l, node, "this group is never bound (%s)", why);
		g->literal_group = true;
		g->group = p.text;
	}
}

static void bind_grants(const struct loader *l, struct template *t)
{
	struct template_grant *g = t->grants.items;
	for (size_t i = 0; i < t->grants.len; i++) {
		bind_namespaces(l, &g[i]);
		bind_subject(l, &g[i]);
		if (g[i].per_group && !t->match.groups.len)
			diags_error(l->diags, l->file, g[i].place.line, g[i].place.col,
			    "${group} needs match.groups: else every group of a user counts");
	}
}

/* --- generation --- */

static void hash_node(struct sha256_ctx *c, const struct yaml_node *n)
{
	uint64_t head[2] = {n->kind, n->kind == YAMLX_SCALAR ? n->text.len : n->len};
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

static void set_generation(struct template *t, const struct yaml_node *node)
{
	uint8_t raw[SHA256_LEN];
	struct sha256_ctx *c = sha256_begin();
	hash_node(c, node);
	sha256_end(&c, raw);
	hex_encode(raw, GENERATION_LEN / 2, t->generation);
}

/* --- loading --- */

static enum err_code bind(struct sync_config *c, const char *file, struct slice text, struct diags *d)
{
	struct arena *a = &c->arena;
	struct yaml_node *root;
	TRY(yamlx_parse(a, file, text, &root, d));
	struct sync_config bound;
	TRY(schema_bind(a, &sync_config_schema, file, root, &bound, d));
	bound.arena = *a;
	*c = bound;
	struct loader l = {a, file, d};
	struct template *t = c->templates.items;
	const struct yaml_node *list = yamlx_get(root, "templates");
	for (size_t i = 0; i < c->templates.len; i++) {
		bind_grants(&l, &t[i]);
		set_generation(&t[i], list->items[i]);
	}
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
		diags_error(d, path, 0, 0, "%s", e.msg);
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

/* --- matching --- */

static bool any_glob(const struct string_list *globs, struct slice text)
{
	for (size_t i = 0; i < globs->len; i++) {
		if (pattern_glob(globs->items[i], text))
			return true;
	}
	return false;
}

bool template_matches_group(const struct template *t, struct slice group)
{
	return any_glob(&t->match.groups, group);
}

bool template_matches(const struct template *t, const struct spool_event *ev)
{
	const struct template_match *m = &t->match;
	if (m->providers.len && !any_glob(&m->providers, ev->provider))
		return false;
	if (any_glob(&m->not_users, ev->username))
		return false;
	for (size_t i = 0; i < ev->ngroups && m->groups.len; i++) {
		if (template_matches_group(t, ev->groups[i]))
			return true;
	}
	return m->groups.len == 0;
}
