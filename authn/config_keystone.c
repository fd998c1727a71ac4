/* Owns the schema of one entry of `authentication.keystone` and the rules that span its fields. */
#include "authn/keystone_config.h"

#include "authn/config.h"
#include "authn/firewall.h"
#include "authn/jose.h"
#include "authn/limits.h"
#include "common/clock.h"

/* One answer may not eat the whole of webhook.deadline's largest value. */
#define TIMEOUT_MIN (100 * CLOCK_MS)
#define TIMEOUT_MAX (10 * CLOCK_SECOND)
/* The longest that a revoked token may go on. */
#define CACHE_TTL_MAX (300 * CLOCK_SECOND)
#define LABEL_MAX 63
#define NAMES_MAX 1000
#define MAPPINGS_MAX 256

struct word {
	const char *text;
	unsigned bit;
};

static const struct word group_words[] = {
    {"projectID", KEYSTONE_PROJECT_ID},
    {"projectName", KEYSTONE_PROJECT_NAME},
    {"projectID:role", KEYSTONE_PROJECT_ID_ROLE},
    {"projectName:role", KEYSTONE_PROJECT_NAME_ROLE},
    {"role", KEYSTONE_ROLE},
    {"userGroup", KEYSTONE_USER_GROUP},
    {0},
};
static const struct word scope_words[] = {
    {"project", KEYSTONE_SCOPE_PROJECT},
    {"domain", KEYSTONE_SCOPE_DOMAIN},
    {"system", KEYSTONE_SCOPE_SYSTEM},
    {"unscoped", KEYSTONE_UNSCOPED},
    {0},
};
static const struct word format_words[] = {
    {"fernet", KEYSTONE_FERNET},
    {"jws", KEYSTONE_JWS},
    {"uuid", KEYSTONE_UUID},
    {0},
};
static const char *const usernames[] = {"name", "id", NULL};
static const char *const name_forms[] = {"qualified", "plain", NULL};

/* Finding at NODE's member KEY, or at NODE when it has none. */
#define AT(node, key, file, d, ...)                                                                \
	do {                                                                                       \
		const struct yaml_node *at_ = yamlx_get((node), (key));                            \
		at_ = at_ ? at_ : (node);                                                          \
		diags_error((d), (file), at_->line, at_->col, __VA_ARGS__);                        \
	} while (0)

/* --- role mappings --- */

#define MAPPING(m) offsetof(struct keystone_role_mapping, m)
static const struct field mapping_fields[] = {
    {.name = "role", .type = FIELD_STRING, .offset = MAPPING(role), .required = true,
	.nonempty = true, .doc = "Name of a Keystone role."},
    {.name = "project", .type = FIELD_STRING, .offset = MAPPING(project), .nonempty = true,
	.doc = "The project in which they must have it, an id or `DOMAIN/NAME`; absent: any of `projects`."},
    {.name = "groups", .type = FIELD_STRINGS, .offset = MAPPING(groups), .required = true,
	.nonempty = true, .max_items = NAMES_MAX,
	.doc = "Kubernetes groups of whoever has the role; `groupsPrefix` is put before each."},
    {0},
};

static const struct schema mapping_schema = {
    .name = "roleMappings",
    .size = sizeof(struct keystone_role_mapping),
    .fields = mapping_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
};

/* --- one entry --- */

static unsigned read_words(const struct string_list *list, const struct word *words, const char *key,
    const struct yaml_node *node, const char *file, struct diags *d)
{
	unsigned bits = 0;
	for (size_t i = 0; i < list->len; i++) {
		const struct word *w = words;
		while (w->text && strcmp(w->text, list->items[i]) != 0)
			w++;
		if (!w->text)
			AT(node, key, file, d, "%s: \"%s\" is not known", key, list->items[i]);
		bits |= w->bit;
	}
	return bits;
}

static bool label_valid(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return n > 0 && n <= LABEL_MAX && s[n] == '\0' && s[0] != '-' && s[n - 1] != '-';
}

static void check_prefix(const char *prefix, const char *key, const struct yaml_node *node,
    const char *file, struct diags *d)
{
	if (prefix && firewall_reserved(slice_of(prefix)))
		AT(node, key, file, d, "%s is reserved: every name with it would be refused", key);
}

static void check_trust(const struct keystone_config *c, const struct yaml_node *node,
    const char *file, struct diags *d)
{
	const char *why;
	struct err e = {0};
	if (!authn_issuer_url_ok(c->url, &why))
		AT(node, "url", file, d, "url %s", why);
	if (c->ca_pem && c->ca_file)
		AT(node, "certificateAuthorityFile", file, d,
		    "certificateAuthority and certificateAuthorityFile exclude each other");
	if (c->ca_pem && jose_check_certificates(slice_of(c->ca_pem), &e) != ERR_OK)
		AT(node, "certificateAuthority", file, d, "%s", e.msg);
}

/* A role says something only where it is held: whoever owns a project may give roles in it. */
static void check_roles(const struct keystone_config *c, const struct yaml_node *node,
    const char *file, struct diags *d)
{
	const struct keystone_role_mapping *m = c->role_mappings.items;
	if ((c->groups_from & KEYSTONE_ROLE) && c->projects.len == 0)
		AT(node, "groups", file, d,
		    "groups: role needs `projects`: in a project of their own people have any role");
	if (c->required_roles.len && c->projects.len == 0)
		AT(node, "requiredRoles", file, d,
		    "requiredRoles needs `projects`: in a project of their own people have any role");
	for (size_t i = 0; i < c->role_mappings.len; i++) {
		if (!m[i].project && c->projects.len == 0)
			AT(node, "roleMappings", file, d,
			    "roleMappings: \"%s\" needs `project`, or the entry needs `projects`: in a "
			    "project of their own people have any role",
			    m[i].role);
		for (size_t k = 0; k < m[i].groups.len; k++)
			if (!*m[i].groups.items[k])
				AT(node, "roleMappings", file, d, "roleMappings: a group is empty");
	}
}

static void check_names(const struct keystone_config *c, const struct yaml_node *node,
    const char *file, struct diags *d)
{
	if (c->names == KEYSTONE_PLAIN && c->domains.len != 1)
		AT(node, "names", file, d,
		    "names: plain needs exactly one domain in `domains`: two domains may have people and "
		    "projects of one name");
	if ((c->groups_from || c->role_mappings.len) && !c->groups_prefix)
		AT(node, "groups", file, d,
		    "groupsPrefix is required where groups are given (\"\" for none)");
	check_prefix(c->username_prefix, "usernamePrefix", node, file, d);
	check_prefix(c->groups_prefix, "groupsPrefix", node, file, d);
}

static void check_keystone(
    void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	struct keystone_config *c = obj;
	if (!label_valid(c->name))
		AT(node, "name", file, d,
		    "name: \"%s\" is not made of lower-case letters, digits and - (at most %d)", c->name,
		    LABEL_MAX);
	c->groups_from = read_words(&c->groups, group_words, "groups", node, file, d);
	c->scopes = read_words(&c->scope_words, scope_words, "scopes", node, file, d);
	if (!c->scopes)
		c->scopes = KEYSTONE_SCOPE_PROJECT;
	c->formats = read_words(&c->format_words, format_words, "tokenFormats", node, file, d);
	if (!c->formats)
		c->formats = KEYSTONE_FERNET | KEYSTONE_JWS;
	check_trust(c, node, file, d);
	check_names(c, node, file, d);
	check_roles(c, node, file, d);
}

#define CFG(m) offsetof(struct keystone_config, m)
static const struct field keystone_fields[] = {
    {.name = "name", .type = FIELD_STRING, .offset = CFG(name), .required = true, .nonempty = true,
	.doc = "What logs and metrics call this Keystone: lower-case letters, digits and -."},
    {.name = "url", .type = FIELD_STRING, .offset = CFG(url), .required = true, .nonempty = true,
	.doc = "The identity endpoint, https, with or without the final `/v3`."},
    {.name = "certificateAuthority", .type = FIELD_TEXT, .offset = CFG(ca_pem), .nonempty = true,
	.doc = "Trust anchors as PEM text; absent together with certificateAuthorityFile: the system's."},
    {.name = "certificateAuthorityFile", .type = FIELD_PATH, .offset = CFG(ca_file),
	.nonempty = true, .doc = "Trust anchors as a PEM file."},
    {.name = "username", .type = FIELD_ENUM, .offset = CFG(username), .choices = usernames,
	.def = "name", .doc = "What the username is: the user's name, or the id, which is never used again."},
    {.name = "names", .type = FIELD_ENUM, .offset = CFG(names), .choices = name_forms,
	.def = "qualified",
	.doc = "`qualified`: names of people, projects and groups are `DOMAIN/NAME`; `plain`: `NAME`, "
	       "for which `domains` must have exactly one entry."},
    {.name = "usernamePrefix", .type = FIELD_STRING, .offset = CFG(username_prefix),
	.required = true, .doc = "Put before each username; \"\" has to be written out."},
    {.name = "groupsPrefix", .type = FIELD_STRING, .offset = CFG(groups_prefix),
	.doc = "Put before each group; required with `groups` and `roleMappings`, \"\" has to be written "
	       "out."},
    {.name = "groups", .type = FIELD_STRINGS, .offset = CFG(groups), .max_items = 6,
	.doc = "What becomes a group: any of `projectID`, `projectName`, `projectID:role`, "
	       "`projectName:role`, `role`, `userGroup`; absent: nothing."},
    {.name = "roleMappings", .type = FIELD_OBJECTS, .offset = CFG(role_mappings),
	.sub = &mapping_schema, .max_items = MAPPINGS_MAX, .doc = "Groups that a role gives."},
    {.name = "domains", .type = FIELD_STRINGS, .offset = CFG(domains), .nonempty = true,
	.max_items = NAMES_MAX, .doc = "Names of the domains whose people are accepted; absent: all."},
    {.name = "projects", .type = FIELD_STRINGS, .offset = CFG(projects), .nonempty = true,
	.max_items = NAMES_MAX,
	.doc = "Projects, as ids or `DOMAIN/NAME`, for which a token must be; absent: any."},
    {.name = "requiredRoles", .type = FIELD_STRINGS, .offset = CFG(required_roles), .nonempty = true,
	.max_items = NAMES_MAX, .doc = "Roles of which a token must have at least one."},
    {.name = "scopes", .type = FIELD_STRINGS, .offset = CFG(scope_words), .nonempty = true,
	.max_items = 4,
	.doc = "What a token may be for: any of `project`, `domain`, `system`, `unscoped`; absent: "
	       "`project`."},
    {.name = "tokenFormats", .type = FIELD_STRINGS, .offset = CFG(format_words), .nonempty = true,
	.max_items = 3,
	.doc = "Shapes of token that Keystone is asked about: any of `fernet`, `jws`, `uuid`; absent: "
	       "`fernet` and `jws`."},
    {.name = "delegated", .type = FIELD_BOOL, .offset = CFG(delegated), .def = "false",
	.doc = "Accept tokens of trusts and OAuth, whose bearer acts for somebody else."},
    {.name = "applicationCredentials", .type = FIELD_BOOL, .offset = CFG(application_credentials),
	.def = "false",
	.doc = "Accept `v3applicationcredential:NAME:ID:SECRET` in place of a token; NAME is this "
	       "entry's."},
    {.name = "timeout", .type = FIELD_DURATION, .offset = CFG(timeout), .def = "3s",
	.min = TIMEOUT_MIN, .max = TIMEOUT_MAX, .doc = "Longest wait for one answer, connecting included."},
    {.name = "cacheTTL", .type = FIELD_DURATION, .offset = CFG(cache_ttl), .def = "60s", .min = 0,
	.max = CACHE_TTL_MAX,
	.doc = "How long Keystone is not asked again about a token: a revoked one goes on so long at most. "
	       "`authentication.cache` may say less."},
    {0},
};

const struct schema keystone_config_schema = {
    .name = "keystone",
    .size = sizeof(struct keystone_config),
    .fields = keystone_fields,
    .place = CFG(place),
    .present = SCHEMA_NO_PLACE,
    .check = check_keystone,
};

void keystone_configs_check(const struct object_list *list, struct diags *d)
{
	const struct keystone_config *c = list->items;
	for (size_t i = 1; i < list->len; i++) {
		const struct place *at = &c[i].place;
		for (size_t k = 0; k < i; k++)
			if (c[i].name && c[k].name && strcmp(c[i].name, c[k].name) == 0)
				diags_error(d, at->file, at->line, at->col,
				    "name: another Keystone is called \"%s\"", c[i].name);
		if (c[i].name && c[0].name)
			diags_warn(d, at->file, at->line, at->col,
			    "tokens do not tell which Keystone they are of: \"%s\" is shown those of \"%s\" too",
			    c[0].name, c[i].name);
	}
}
