/* Owns the schema of one entry of `authentication.jwt` and the rules one field of it cannot tell. */
#include "authn/config.h"

#include <stddef.h>

#include "authn/firewall.h"
#include "authn/jose.h"
#include "authn/limits.h"

#define NO_CEL "expressions (CEL) are not supported yet"

/* Finding at NODE's member KEY, or at NODE when it has none. */
#define AT(node, key, file, d, ...)                                                                \
	do {                                                                                       \
		const struct yaml_node *at_ = yamlx_get((node), (key));                            \
		at_ = at_ ? at_ : (node);                                                          \
		diags_error((d), (file), at_->line, at_->col, __VA_ARGS__);                        \
	} while (0)

bool authn_issuer_url_ok(const char *url, const char **why)
{
	struct slice s = slice_of(url);
	*why = NULL;
	if (!slice_starts(s, SLICE("https://"))) {
		*why = "must begin with https://";
		return false;
	}
	struct slice rest = slice_skip(s, 8);
	size_t host = slice_find(rest, '/');
	struct slice authority = {rest.p, host};
	if (host == 0 || authority.p[0] == ':')
		*why = "must have a host";
	else if (slice_find(authority, '@') < host)
		*why = "must not have a user name or password";
	else if (slice_find(rest, '?') < rest.len)
		*why = "must not have a query";
	else if (slice_find(rest, '#') < rest.len)
		*why = "must not have a fragment";
	else if (slice_find(rest, ' ') < rest.len || slice_find(rest, '\\') < rest.len ||
		 !slice_printable(s))
		*why = "must not hold spaces, backslashes or control characters";
	return !*why;
}

/* --- issuer --- */

static void check_audiences(const struct jwt_issuer_config *c, const struct yaml_node *node,
    const char *file, struct diags *d)
{
	const char *match = c->audience_match_policy ? c->audience_match_policy : "";
	if (*match && strcmp(match, "MatchAny") != 0)
		AT(node, "audienceMatchPolicy", file, d, "audienceMatchPolicy must be MatchAny");
	else if (c->audiences.len > 1 && !*match)
		AT(node, "audiences", file, d,
		    "audienceMatchPolicy must be MatchAny when there are several audiences");
	for (size_t i = 0; i < c->audiences.len; i++) {
		if (!*c->audiences.items[i])
			AT(node, "audiences", file, d, "an audience must not be empty");
		for (size_t k = 0; k < i; k++)
			if (strcmp(c->audiences.items[i], c->audiences.items[k]) == 0)
				AT(node, "audiences", file, d, "audience \"%s\" stands twice",
				    c->audiences.items[i]);
	}
}

static void check_issuer(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_issuer_config *c = obj;
	const char *why;
	if (c->url && !authn_issuer_url_ok(c->url, &why))
		AT(node, "url", file, d, "url %s", why);
	if (c->discovery_url && !authn_issuer_url_ok(c->discovery_url, &why))
		AT(node, "discoveryURL", file, d, "discoveryURL %s", why);
	if (c->url && c->discovery_url && strcmp(c->url, c->discovery_url) == 0)
		AT(node, "discoveryURL", file, d, "discoveryURL must differ from url");
	if (c->jwks_file && c->discovery_url)
		AT(node, "jwksFile", file, d, "jwksFile and discoveryURL exclude each other");
	if (c->jwks_file && c->certificate_authority)
		AT(node, "jwksFile", file, d,
		    "jwksFile needs no certificateAuthority: nothing is fetched");
	check_audiences(c, node, file, d);
	struct err e = {0};
	if (c->certificate_authority &&
	    jose_check_certificates(slice_of(c->certificate_authority), &e) != ERR_OK)
		AT(node, "certificateAuthority", file, d, "%s", e.msg);
}

static const struct field issuer_fields[] = {
    {.name = "url",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_issuer_config, url),
	.required = true,
	.nonempty = true,
	.doc = "The issuer, compared byte for byte with the token's `iss`. An https URL."},
    {.name = "discoveryURL",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_issuer_config, discovery_url),
	.nonempty = true,
	.doc = "Where to fetch the discovery document instead of "
	       "`{url}/.well-known/openid-configuration`. Its `issuer` must still equal `url`."},
    {.name = "certificateAuthority",
	.type = FIELD_TEXT,
	.offset = offsetof(struct jwt_issuer_config, certificate_authority),
	.nonempty = true,
	.doc = "PEM text of the certificates that the issuer's server is verified with. Absent: the "
	       "system's trust anchors."},
    {.name = "audiences",
	.type = FIELD_STRINGS,
	.offset = offsetof(struct jwt_issuer_config, audiences),
	.required = true,
	.nonempty = true,
	.doc = "The token's `aud` must hold at least one of them."},
    {.name = "audienceMatchPolicy",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_issuer_config, audience_match_policy),
	.doc = "`MatchAny`; must be set when there are several audiences."},
    {.name = "jwksFile",
	.type = FIELD_PATH,
	.offset = offsetof(struct jwt_issuer_config, jwks_file),
	.nonempty = true,
	.doc = "Beyond Kubernetes: a file with the issuer's key set (RFC 7517). Nothing is fetched."},
    {.name = "egressSelectorType",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_issuer_config, egress_selector_type),
	.unsupported = "connections to issuers are direct; there is no egress selector",
	.doc = "Has no meaning outside the apiserver."},
    {0},
};

static const struct schema issuer_schema = {
    .name = "issuer",
    .size = sizeof(struct jwt_issuer_config),
    .fields = issuer_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_issuer,
};

/* --- claim validation rules --- */

static void check_rules(const struct jwt_config *c, const struct yaml_node *node, const char *file,
    struct diags *d)
{
	const struct jwt_claim_rule *rules = c->claim_validation_rules.items;
	for (size_t i = 1; i < c->claim_validation_rules.len; i++)
		for (size_t k = 0; k < i; k++)
			if (rules[i].claim && rules[k].claim &&
			    strcmp(rules[i].claim, rules[k].claim) == 0)
				AT(node, "claimValidationRules", file, d,
				    "two rules for the claim \"%s\"", rules[i].claim);
}

static const struct field rule_fields[] = {
    {.name = "claim",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_claim_rule, claim),
	.required = true,
	.nonempty = true,
	.doc = "Name of a top-level claim that the token must have."},
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
};

/* --- claim mappings --- */

static void check_prefixed(
    void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_prefixed_claim *c = obj;
	if (c->claim && !c->prefix)
		AT(node, "claim", file, d,
		    "prefix must be set when claim is; it may be \"\" to say that there is none");
	if (!c->claim && c->prefix)
		AT(node, "prefix", file, d, "prefix without claim");
	if (c->prefix && firewall_reserved(slice_of(c->prefix)))
		AT(node, "prefix", file, d, "prefix is reserved: every name with it would be refused");
}

static const struct field prefixed_fields[] = {
    {.name = "claim",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_prefixed_claim, claim),
	.nonempty = true,
	.doc = "Name of a top-level claim; a dot in it is part of the name."},
    {.name = "prefix",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_prefixed_claim, prefix),
	.doc = "Put before each name; must be set with `claim`, may be \"\"."},
    {.name = "expression",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_prefixed_claim, expression),
	.unsupported = NO_CEL,
	.doc = "A CEL expression."},
    {0},
};

static const struct schema prefixed_schema = {
    .name = "prefixedClaim",
    .size = sizeof(struct jwt_prefixed_claim),
    .fields = prefixed_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_prefixed,
};

static const struct field plain_fields[] = {
    {.name = "claim",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_plain_claim, claim),
	.nonempty = true,
	.doc = "Name of a top-level claim that must be a string."},
    {.name = "expression",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_plain_claim, expression),
	.unsupported = NO_CEL,
	.doc = "A CEL expression."},
    {0},
};

static const struct schema plain_schema = {
    .name = "plainClaim",
    .size = sizeof(struct jwt_plain_claim),
    .fields = plain_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
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
	if (fault)
		AT(node, "key", file, d, "key %s", fault);
}

static const struct field extra_fields[] = {
    {.name = "key",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_extra_config, key),
	.required = true,
	.nonempty = true,
	.doc = "Lower case, domain and path (`example.com/team`), unique."},
    {.name = "claim",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_extra_config, claim),
	.required = true,
	.nonempty = true,
	.doc = "Beyond Kubernetes: a top-level claim, a string or a list of strings. Absent or empty "
	       "in a token: the key is left out."},
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
	if (yamlx_get(node, "username") && !c->username.claim)
		AT(node, "username", file, d, "username needs claim");
	const struct jwt_extra_config *extra = c->extra.items;
	for (size_t i = 1; i < c->extra.len; i++)
		for (size_t k = 0; k < i; k++)
			if (extra[i].key && extra[k].key && strcmp(extra[i].key, extra[k].key) == 0)
				AT(node, "extra", file, d, "two entries for the key \"%s\"",
				    extra[i].key);
}

static const struct field mapping_fields[] = {
    {.name = "username",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_mappings_config, username),
	.required = true,
	.sub = &prefixed_schema,
	.doc = "The user's name. With the claim `email`, a token whose `email_verified` is not true is "
	       "refused."},
    {.name = "groups",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_mappings_config, groups),
	.sub = &prefixed_schema,
	.doc = "The user's groups: a string or a list of strings."},
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

static void check_jwt(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	check_rules(obj, node, file, d);
}

static const struct field jwt_fields[] = {
    {.name = "issuer",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct jwt_config, issuer),
	.required = true,
	.sub = &issuer_schema,
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
