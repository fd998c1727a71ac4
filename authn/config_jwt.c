/* Owns the schema of one entry of `authentication.jwt` and the rules one field of it cannot tell. */
#include "authn/config_jwt.h"

#include <stddef.h>

#include "authn/firewall.h"
#include "authn/jose.h"
#include "authn/limits.h"

#define NO_CEL "expressions (CEL) are not supported yet"

/* --- claim validation rules --- */

/* The doc line of each claim's name. */
#define CLAIM_DOC                                                                                  \
	"A top-level claim, dots being part of its name, or the list of names that lead to one "   \
	"further inside (`[realm_access, roles]`)."

bool jwt_claim_is(const struct string_list *path, const char *name)
{
	return path->len == 1 && strcmp(path->items[0], name) == 0;
}

bool jwt_claim_same(const struct string_list *a, const struct string_list *b)
{
	bool same = a->len == b->len;
	for (size_t i = 0; same && i < a->len; i++)
		same = strcmp(a->items[i], b->items[i]) == 0;
	return same;
}

void jwt_check_path(const struct string_list *path, const struct yaml_node *node, const char *key,
    const char *file, struct diags *d)
{
	for (size_t i = 0; i < path->len; i++)
		if (!*path->items[i])
			diags_error(AT(node, key, file, d), "a claim's name must not be empty");
}

static void check_rules(const struct jwt_config *c, const struct yaml_node *node, const char *file,
    struct diags *d)
{
	const struct jwt_claim_rule *rules = c->claim_validation_rules.items;
	for (size_t i = 1; i < c->claim_validation_rules.len; i++)
		for (size_t k = 0; k < i; k++)
			if (jwt_claim_same(&rules[i].claim, &rules[k].claim))
				diags_error(AT(node, "claimValidationRules", file, d),
				    "two rules for the claim \"%s\"",
				    rules[i].claim.items[rules[i].claim.len - 1]);
}

static void check_rule(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_claim_rule *c = obj;
	jwt_check_path(&c->claim, node, "claim", file, d);
}

static const struct field rule_fields[] = {
    {.name = "claim",
	.type = FIELD_STRING_OR_STRINGS,
	.offset = offsetof(struct jwt_claim_rule, claim),
	.required = true,
	.nonempty = true,
	.max_items = CLAIM_PATH_MAX,
	.doc = CLAIM_DOC},
    {.name = "requiredValue",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_claim_rule, required_value),
	.doc = "The claim must be a string equal to this; absent: the empty string."},
    {.name = "expression",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_claim_rule, expression),
	.unsupported = NO_CEL,
	.doc = "A CEL expression."},
    {.name = "message",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_claim_rule, message),
	.unsupported = NO_CEL,
	.doc = "What to say when `expression` is false."},
    {0},
};

static const struct schema rule_schema = {
    .name = "claimValidationRule",
    .size = sizeof(struct jwt_claim_rule),
    .fields = rule_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_rule,
};

/* --- claim mappings --- */

static void check_prefixed(const struct string_list *claim, const char *prefix,
    const struct yaml_node *node, const char *file, struct diags *d)
{
	jwt_check_path(claim, node, "claim", file, d);
	if (claim->len && !prefix)
		diags_error(AT(node, "claim", file, d),
		    "prefix must be set when claim is; it may be \"\" to say that there is none");
	if (!claim->len && prefix)
		diags_error(AT(node, "prefix", file, d), "prefix without claim");
	if (prefix && firewall_reserved(slice_of(prefix)))
		diags_error(AT(node, "prefix", file, d),
		    "prefix is reserved: every name with it would be refused");
}

/* The address of a person, at whatever depth: its last name is email. */
static bool is_email(const struct string_list *claim)
{
	return claim->len && strcmp(claim->items[claim->len - 1], "email") == 0;
}

static void check_username(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_username_config *c = obj;
	static const char *const keys[] = {"emailVerified", "emailVerifiedAsString"};
	check_prefixed(&c->claim, c->prefix, node, file, d);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (yamlx_get(node, keys[i]) && c->claim.len && !is_email(&c->claim))
			diags_error(AT(node, keys[i], file, d), "%s is about the claim email", keys[i]);
}

/* What stands in each table of a claim with a prefix; T is the struct. */
#define CLAIM_FIELD(T)                                                                             \
	{.name = "claim",                                                                          \
	    .type = FIELD_STRING_OR_STRINGS,                                                       \
	    .offset = offsetof(T, claim),                                                          \
	    .nonempty = true,                                                                      \
	    .max_items = CLAIM_PATH_MAX,                                                           \
	    .doc = CLAIM_DOC}
#define PREFIX_FIELD(T)                                                                            \
	{.name = "prefix",                                                                         \
	    .type = FIELD_STRING,                                                                  \
	    .offset = offsetof(T, prefix),                                                         \
	    .doc = "Put before each name; must be set with `claim`, may be \"\"."}
#define EXPRESSION_FIELD(T)                                                                        \
	{.name = "expression",                                                                     \
	    .type = FIELD_STRING,                                                                  \
	    .offset = offsetof(T, expression),                                                     \
	    .unsupported = NO_CEL,                                                                 \
	    .doc = "A CEL expression."}

static const char *const email_rules[] = {"ifPresent", "required", NULL};

static const struct field username_fields[] = {
    CLAIM_FIELD(struct jwt_username_config),
    PREFIX_FIELD(struct jwt_username_config),
    EXPRESSION_FIELD(struct jwt_username_config),
    {.name = "emailVerified",
	.type = FIELD_ENUM,
	.offset = offsetof(struct jwt_username_config, email_verified),
	.choices = email_rules,
	.def = "ifPresent",
	.doc = "Beyond Kubernetes, with the claim `email`: `email_verified` beside it must be true where "
	       "it is there, or must be there and true."},
    {.name = "emailVerifiedAsString",
	.type = FIELD_BOOL,
	.offset = offsetof(struct jwt_username_config, email_verified_text),
	.def = "false",
	.doc = "Beyond Kubernetes: the string `true` in `email_verified` will do too."},
    {0},
};

static const struct schema username_schema = {
    .name = "username",
    .size = sizeof(struct jwt_username_config),
    .fields = username_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_username,
};

static void check_distributed(
    void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_distributed_config *c = obj;
	const char *why;
	struct err e = {0};
	if (c->certificate_authority &&
	    jose_check_certificates(slice_of(c->certificate_authority), &e) != ERR_OK)
		diags_error(AT(node, "certificateAuthority", file, d), "%s", e.msg);
	for (size_t i = 0; i < c->endpoints.len; i++) {
		const char *url = c->endpoints.items[i];
		if (!authn_issuer_url_ok(url, &why))
			diags_error(AT(node, "endpoints", file, d), "endpoint %s", why);
		else if (!strchr(url + sizeof("https://") - 1, '/'))
			diags_error(AT(node, "endpoints", file, d),
			    "endpoint must have a path: without one it would begin other hosts too");
		else if (strlen(url) > CLAIM_URL_MAX)
			diags_error(AT(node, "endpoints", file, d), "endpoint is too long");
	}
}

static const struct field distributed_fields[] = {
    {.name = "endpoints",
	.type = FIELD_STRINGS,
	.offset = offsetof(struct jwt_distributed_config, endpoints),
	.required = true,
	.nonempty = true,
	.max_items = CLAIM_ENDPOINTS_MAX,
	.doc = "The https URLs that may be asked. One that ends in a slash stands for all below it."},
    {.name = "certificateAuthority",
	.type = FIELD_TEXT,
	.offset = offsetof(struct jwt_distributed_config, certificate_authority),
	.nonempty = true,
	.doc = "PEM text of the certificates that the endpoints are verified with. Absent: that of the "
	       "issuer of the answers."},
    {.name = "issuer",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_distributed_config, issuer),
	.sub = &jwt_issuer_schema,
	.doc = "Who signs the answers. Absent: the issuer of the tokens."},
    {0},
};

static const struct schema distributed_schema = {
    .name = "distributed",
    .size = sizeof(struct jwt_distributed_config),
    .fields = distributed_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_distributed,
};

static void check_groups(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_groups_config *c = obj;
	check_prefixed(&c->claim, c->prefix, node, file, d);
	if (!c->claim.len && (yamlx_get(node, "from") || yamlx_get(node, "distributed")))
		diags_error(d, file, node->line, node->col, "groups needs claim");
}

static const char *const group_sources[] = {"values", "keys", NULL};

static const struct field groups_fields[] = {
    CLAIM_FIELD(struct jwt_groups_config),
    PREFIX_FIELD(struct jwt_groups_config),
    EXPRESSION_FIELD(struct jwt_groups_config),
    {.name = "from",
	.type = FIELD_ENUM,
	.offset = offsetof(struct jwt_groups_config, from),
	.choices = group_sources,
	.def = "values",
	.doc = "Beyond Kubernetes. `values`: the claim is a string or a list of strings. `keys`: it is an "
	       "object whose members' names are the groups."},
    {.name = "distributed",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_groups_config, distributed),
	.sub = &distributed_schema,
	.doc = "Groups that the token leaves at an endpoint (`_claim_names`). Absent: such a token is "
	       "refused."},
    {0},
};

static const struct schema groups_schema = {
    .name = "groups",
    .size = sizeof(struct jwt_groups_config),
    .fields = groups_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_groups,
};

static void check_plain(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_plain_claim *c = obj;
	jwt_check_path(&c->claim, node, "claim", file, d);
}

static const struct field plain_fields[] = {
    CLAIM_FIELD(struct jwt_plain_claim),
    EXPRESSION_FIELD(struct jwt_plain_claim),
    {0},
};

static const struct schema plain_schema = {
    .name = "plainClaim",
    .size = sizeof(struct jwt_plain_claim),
    .fields = plain_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_plain,
};

static bool is_label(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (!alnum && (c != '-' || i == 0 || i + 1 == s.len))
			return false;
	}
	return s.len > 0 && s.len <= 63;
}

/* A lower-case DNS name of at least two labels. */
static bool is_domain(struct slice s)
{
	size_t labels = 0, dot;
	do {
		dot = slice_find(s, '.');
		if (!is_label((struct slice){s.p, dot}))
			return false;
		labels++;
		s = dot < s.len ? (struct slice){s.p + dot + 1, s.len - dot - 1} : (struct slice){0};
	} while (s.p);
	return labels > 1;
}

static bool in_domain(struct slice host, struct slice domain)
{
	if (host.len < domain.len || !slice_eq(slice_skip(host, host.len - domain.len), domain))
		return false;
	return host.len == domain.len || host.p[host.len - domain.len - 1] == '.';
}

/* What is wrong with an extra key, NULL when nothing is. The rules are Kubernetes' own. */
static const char *extra_key_fault(struct slice key)
{
	size_t slash = slice_find(key, '/');
	struct slice host = {key.p, slash}, path = slice_skip(key, slash + 1);
	for (size_t i = 0; i < key.len; i++)
		if (key.p[i] >= 'A' && key.p[i] <= 'Z')
			return "must be lower case";
	if (slash == key.len || path.len == 0 || !is_domain(host))
		return "must be a domain and a path, as in example.com/team";
	for (size_t i = 0; i < path.len; i++)
		if (path.p[i] <= ' ' || path.p[i] > '~' || strchr("%?#\\\"", path.p[i]))
			return "must hold only plain URL path characters";
	if (in_domain(host, SLICE("kubernetes.io")) || in_domain(host, SLICE("k8s.io")))
		return "must not be in the domains kubernetes.io and k8s.io";
	if (in_domain(host, SLICE("portcullis.dev")))
		return "must not be in the domain portcullis.dev";
	return NULL;
}

static void check_extra(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_extra_config *c = obj;
	const char *fault = c->key ? extra_key_fault(slice_of(c->key)) : NULL;
	jwt_check_path(&c->claim, node, "claim", file, d);
	if (fault)
		diags_error(AT(node, "key", file, d), "key %s", fault);
}

static const struct field extra_fields[] = {
    {.name = "key",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_extra_config, key),
	.required = true,
	.nonempty = true,
	.doc = "Lower case, domain and path (`example.com/team`), unique."},
    {.name = "claim",
	.type = FIELD_STRING_OR_STRINGS,
	.offset = offsetof(struct jwt_extra_config, claim),
	.required = true,
	.nonempty = true,
	.max_items = CLAIM_PATH_MAX,
	.doc = "Beyond Kubernetes: a claim or the list of names that lead to it, whose value is a string "
	       "or a list of strings. Absent or empty in a token: the key is left out."},
    {.name = "valueExpression",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_extra_config, value_expression),
	.unsupported = NO_CEL " (use claim)",
	.doc = "A CEL expression."},
    {0},
};

static const struct schema extra_schema = {
    .name = "extra",
    .size = sizeof(struct jwt_extra_config),
    .fields = extra_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_extra,
};

static void check_mappings(
    void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_mappings_config *c = obj;
	if (yamlx_get(node, "username") && !c->username.claim.len)
		diags_error(AT(node, "username", file, d), "username needs claim");
	const struct jwt_extra_config *extra = c->extra.items;
	for (size_t i = 1; i < c->extra.len; i++)
		for (size_t k = 0; k < i; k++)
			if (extra[i].key && extra[k].key && strcmp(extra[i].key, extra[k].key) == 0)
				diags_error(AT(node, "extra", file, d), "two entries for the key \"%s\"",
				    extra[i].key);
}

static const struct field mapping_fields[] = {
    {.name = "username",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_mappings_config, username),
	.required = true,
	.sub = &username_schema,
	.doc = "The user's name. With the claim `email`, a token whose `email_verified` is not true is "
	       "refused."},
    {.name = "groups",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_mappings_config, groups),
	.sub = &groups_schema,
	.doc = "The user's groups."},
    {.name = "uid",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_mappings_config, uid),
	.sub = &plain_schema,
	.doc = "The user's uid."},
    {.name = "extra",
	.type = FIELD_OBJECTS,
	.offset = offsetof(struct jwt_mappings_config, extra),
	.sub = &extra_schema,
	.max_items = JWT_EXTRA_MAX,
	.doc = "Further attributes, seen by policies."},
    {0},
};

static const struct schema mappings_schema = {
    .name = "claimMappings",
    .size = sizeof(struct jwt_mappings_config),
    .fields = mapping_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_mappings,
};

/* --- one jwt[] entry --- */

/* Configurations that Kubernetes takes and that let in more people than they seem to. */
static void warn_of_email(
    const struct jwt_config *c, const struct yaml_node *node, const char *file, struct diags *d)
{
	static const char *const entra[] = {"https://login.microsoftonline.com/", "https://sts.windows.net/"};
	const struct jwt_username_config *u = &c->claim_mappings.username;
	if (!is_email(&u->claim) || u->email_verified == JWT_EMAIL_REQUIRED)
		return;
	for (size_t i = 0; i < ARRAY_LEN(entra); i++)
		if (slice_starts(slice_of(c->issuer.url), slice_of(entra[i])))
			diags_warn(AT(node, "claimMappings", file, d),
			    "Entra does not verify email, and its holder can change it: use oid (or "
			    "emailVerified: required)");
}

static void check_jwt(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_config *c = obj;
	check_rules(c, node, file, d);
	warn_of_email(c, node, file, d);
	if (strcmp(c->issuer.url, JWT_GOOGLE) == 0 && !c->issuer.hosted_domains.len)
		diags_warn(AT(node, "issuer", file, d),
		    "without hostedDomains any Google account may log in, also a private one");
}

static const struct field jwt_fields[] = {
    {.name = "issuer",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_config, issuer),
	.required = true,
	.sub = &jwt_issuer_schema,
	.doc = "Who signs the tokens, and for whom."},
    {.name = "claimValidationRules",
	.type = FIELD_OBJECTS,
	.offset = offsetof(struct jwt_config, claim_validation_rules),
	.sub = &rule_schema,
	.max_items = JWT_RULES_MAX,
	.doc = "Claims that a token must have."},
    {.name = "claimMappings",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_config, claim_mappings),
	.required = true,
	.sub = &mappings_schema,
	.doc = "How claims become a Kubernetes user."},
    {.name = "userValidationRules",
	.type = FIELD_NODE,
	.offset = offsetof(struct jwt_config, user_validation_rules),
	.unsupported = NO_CEL,
	.doc = "CEL expressions about the mapped user."},
    {0},
};

const struct schema jwt_config_schema = {
    .name = "jwt",
    .size = sizeof(struct jwt_config),
    .fields = jwt_fields,
    .place = offsetof(struct jwt_config, place),
    .present = SCHEMA_NO_PLACE,
    .check = check_jwt,
};
