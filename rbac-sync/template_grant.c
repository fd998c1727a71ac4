/* Owns grants in templates: which role, to whom, where. */
#include "rbac-sync/rails.h"
#include "rbac-sync/template_internal.h"

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
    subject_fields, offsetof(struct template_subject, place), offsetof(struct template_subject, present),
    NULL};

static const char *const scopes[] = {"namespace", "cluster", NULL};

static const struct field grant_fields[] = {
    {"clusterRole", FIELD_STRING, offsetof(struct template_grant, cluster_role), .nonempty = true,
	.doc = "ClusterRole to bind. No placeholders: a directory must not choose a role."},
    {"role", FIELD_STRING, offsetof(struct template_grant, role), .nonempty = true,
	.doc = "Role of each namespace to bind, in place of clusterRole."},
    {"scope", FIELD_ENUM, offsetof(struct template_grant, scope), .choices = scopes,
	.def = "namespace", .doc = "`cluster` makes a ClusterRoleBinding."},
    {"namespaces", FIELD_NODE, offsetof(struct template_grant, namespaces_node),
	.shape = NODE_STRINGS_OR_OBJECT, .sub = &template_places_schema, .nonempty = true,
	.doc = "Names of existing namespaces, with placeholders, or `{selector: …}`; one RoleBinding in "
	       "each. Default: the template's namespace or namespaces."},
    {"subject", FIELD_OBJECT, offsetof(struct template_grant, subject), .sub = &subject_schema,
	.doc = "Who is bound; the default is as `subjectMode` says."},
    {"startTime", FIELD_STRING, offsetof(struct template_grant, start_text),
	.doc = "When it begins, as RFC 3339."},
    {"endTime", FIELD_STRING, offsetof(struct template_grant, end_text),
	.doc = "When it ends, as RFC 3339; taken away 60 s later."},
    {"ttl", FIELD_STRING, offsetof(struct template_grant, ttl_text),
	.doc = "How long it lasts after its user was last seen, such as `12h`; `\"\"`: no end. Only for "
	       "Users. Default: the template's."},
    {"schedule", FIELD_OBJECTS, offsetof(struct template_grant, schedule), .nonempty = true,
	.max_items = TEMPLATE_SPANS_MAX, .sub = &template_schedule_schema,
	.doc = "Weekly hours in which it holds; any of them."},
    {"allowPrivileged", FIELD_BOOL, offsetof(struct template_grant, allow_privileged), .def = "false",
	.doc = "Bind the role even when its rules are dangerous; only with `--allow-privileged-grants`."},
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
	struct template_grant *g = obj;
	g->node = node;
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
}

const struct schema template_grant_schema = {"grant", sizeof(struct template_grant), grant_fields,
    offsetof(struct template_grant, place), SCHEMA_NO_PLACE, check_grant};

/* --- what tables cannot tell --- */

static void bind_places(struct loader *l, const struct template *t, struct template_grant *g)
{
	if (g->scope == SCOPE_CLUSTER)
		return;
	g->places = &t->places;
	if (g->namespaces_node) {
		template_bind_places(l, g->namespaces_node, &g->own);
		g->places = &g->own;
	} else if (!t->namespace_.present && !t->namespaces_node) {
		FINDING(l, g->node, "name namespaces, or say scope: cluster");
	}
	for (size_t i = 0; i < g->places->len; i++)
		g->per_group |= g->places->names[i].uses_group;
}

static bool in_users_namespace(const struct template_grant *g)
{
	for (size_t i = 0; g->places && i < g->places->len; i++)
		if (g->places->names[i].uses_user)
			return true;
	return false;
}

/* Whom a grant binds that does not say it. One binding of a group is less to keep right than many of users; where
 * the place or the end is one user's, no group is named, or some members are excepted, it must be the user. */
static enum subject_kind subject_by_mode(
    const struct loader *l, const struct template *t, const struct template_grant *g)
{
	bool user = l->config->subject_mode == USER_FIRST || g->time.ttl || !t->match.groups.len ||
		    t->match.not_users.len || in_users_namespace(g);
	return user ? SUBJECT_USER : SUBJECT_GROUP;
}

/* A subject is the identity itself or a group it is in: with filters or other text around the name a
 * template would bind somebody else. */
static void bind_subject_name(struct loader *l, struct template_grant *g)
{
	const struct yaml_node *node = g->subject.name;
	bool group = g->subject_kind == SUBJECT_GROUP;
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

static void bind_subject(struct loader *l, const struct template *t, struct template_grant *g)
{
	g->subject_kind = g->subject.present ? (enum subject_kind)g->subject.kind : subject_by_mode(l, t, g);
	bool group = g->subject_kind == SUBJECT_GROUP;
	if (g->subject.name)
		bind_subject_name(l, g);
	else
		g->per_group |= group;
	if (group && t->match.not_users.len)
		FINDING_AT(l, g->place, "notUsers holds nobody back who is in a Group that is bound: bind the User, or "
		    "leave notUsers out");
	if (group && g->time.ttl)
		FINDING_AT(l, g->place, "ttl counts from one user's login, and this binds a Group: bind the User, "
		    "or say ttl: \"\"");
}

void template_bind_grants(struct loader *l, struct template *t)
{
	struct template_grant *g = t->grants.items;
	for (size_t i = 0; i < t->grants.len; i++) {
		g[i].time.ttl = template_read_ttl(l, g[i].node, g[i].ttl_text, t->ttl);
		bind_places(l, t, &g[i]);
		bind_subject(l, t, &g[i]);
		template_bind_time(l, &g[i]);
		if (g[i].per_group && !t->match.groups.len)
			FINDING_AT(l, g[i].place,
			    "${group} needs match.groups: else every group of a user counts");
	}
}
