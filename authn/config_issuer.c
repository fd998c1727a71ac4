/* Owns the schema of an issuer: who signs tokens, which ones are taken. */
#include <stddef.h>

#include "authn/config_jwt.h"
#include "authn/jose.h"
#include "authn/limits.h"
#include "common/clock.h"

/* Nothing, or a colon and a port. */
static bool port_ok(struct slice s)
{
	unsigned port = 0;
	if (s.len == 0)
		return true;
	if (s.p[0] != ':' || s.len < 2 || s.len > 6)
		return false;
	for (size_t i = 1; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		port = port * 10 + (unsigned)(s.p[i] - '0');
	}
	return port > 0 && port <= 65535;
}

/* What follows the host in AUTHORITY: the brackets of an IPv6 address hold colons of their own. */
static struct slice after_host(struct slice authority)
{
	size_t host = authority.p[0] == '[' ? slice_find(authority, ']') + 1 : slice_find(authority, ':');
	return slice_skip(authority, host);
}

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
	else if (!port_ok(after_host(authority)))
		*why = "must not have a port that is none";
	return !*why;
}

static void check_audiences(const struct jwt_issuer_config *c, const struct yaml_node *node,
    const char *file, struct diags *d)
{
	const char *match = c->audience_match_policy ? c->audience_match_policy : "";
	if (*match && strcmp(match, "MatchAny") != 0)
		diags_error(AT(node, "audienceMatchPolicy", file, d), "audienceMatchPolicy must be MatchAny");
	else if (c->audiences.len > 1 && !*match)
		diags_error(AT(node, "audiences", file, d),
		    "audienceMatchPolicy must be MatchAny when there are several audiences");
	for (size_t i = 0; i < c->audiences.len; i++) {
		if (!*c->audiences.items[i])
			diags_error(AT(node, "audiences", file, d), "an audience must not be empty");
		for (size_t k = 0; k < i; k++)
			if (strcmp(c->audiences.items[i], c->audiences.items[k]) == 0)
				diags_error(AT(node, "audiences", file, d), "audience \"%s\" stands twice",
				    c->audiences.items[i]);
	}
}

unsigned jwt_algs(const struct jwt_issuer_config *cfg)
{
	return cfg->signing_algorithms << JOSE_RS256; /* as `algorithms` stands */
}

static void check_words(const struct string_list *l, const char *key, const struct yaml_node *node,
    const char *file, struct diags *d)
{
	for (size_t i = 0; i < l->len; i++) {
		if (!*l->items[i])
			diags_error(AT(node, key, file, d), "%s must not hold an empty string", key);
		for (size_t k = 0; k < i; k++)
			if (strcmp(l->items[i], l->items[k]) == 0)
				diags_error(AT(node, key, file, d), "\"%s\" stands twice",
				    l->items[i]);
	}
}

static void check_issuer(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct jwt_issuer_config *c = obj;
	const char *why;
	if (c->url && !authn_issuer_url_ok(c->url, &why))
		diags_error(AT(node, "url", file, d), "url %s", why);
	if (c->discovery_url && !authn_issuer_url_ok(c->discovery_url, &why))
		diags_error(AT(node, "discoveryURL", file, d), "discoveryURL %s", why);
	if (c->url && c->discovery_url && strcmp(c->url, c->discovery_url) == 0)
		diags_error(AT(node, "discoveryURL", file, d), "discoveryURL must differ from url");
	if (c->jwks_file && c->discovery_url)
		diags_error(AT(node, "jwksFile", file, d), "jwksFile and discoveryURL exclude each other");
	if (c->jwks_file && c->certificate_authority)
		diags_error(AT(node, "jwksFile", file, d),
		    "jwksFile needs no certificateAuthority: nothing is fetched");
	check_audiences(c, node, file, d);
	check_words(&c->authorized_parties, "authorizedParties", node, file, d);
	check_words(&c->hosted_domains, "hostedDomains", node, file, d);
	struct err e = {0};
	if (c->certificate_authority &&
	    jose_check_certificates(slice_of(c->certificate_authority), &e) != ERR_OK)
		diags_error(AT(node, "certificateAuthority", file, d), "%s", e.msg);
}

/* In the order of enum jose_alg. */
static const char *const algorithms[] = {
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
    "Ed448", NULL};
_Static_assert(ARRAY_LEN(algorithms) == JOSE_ED448 + 1, "an algorithm is missing");

/* In the order of the bits. */
static const char *const token_types[] = {"idToken", "accessToken", NULL};

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
    {.name = "signingAlgorithms",
	.type = FIELD_SET,
	.offset = offsetof(struct jwt_issuer_config, signing_algorithms),
	.choices = algorithms,
	.nonempty = true,
	.def = "[RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519, "
		"Ed448]",
	.doc = "Beyond Kubernetes: what the issuer may sign with; a token with another `alg` is refused "
	       "though the key would fit."},
    {.name = "tokenTypes",
	.type = FIELD_SET,
	.offset = offsetof(struct jwt_issuer_config, token_types),
	.choices = token_types,
	.nonempty = true,
	.def = "[idToken]",
	.doc = "Beyond Kubernetes: which tokens of the issuer are taken. Access tokens are those of RFC "
	       "9068 (header `typ: at+jwt`) and those that say so in a claim (Keycloak, Entra, Okta, "
	       "Cognito)."},
    {.name = "authorizedParties",
	.type = FIELD_STRINGS,
	.offset = offsetof(struct jwt_issuer_config, authorized_parties),
	.nonempty = true,
	.max_items = JWT_PARTIES_MAX,
	.doc = "Beyond Kubernetes: the clients that a token may have been issued to (`azp`; without it "
	       "the only audience of an ID token, the `client_id` of an access token)."},
    {.name = "hostedDomains",
	.type = FIELD_STRINGS,
	.offset = offsetof(struct jwt_issuer_config, hosted_domains),
	.nonempty = true,
	.max_items = JWT_PARTIES_MAX,
	.doc = "Beyond Kubernetes: Google's `hd` must be there and one of them."},
    {.name = "clockSkew",
	.type = FIELD_DURATION,
	.offset = offsetof(struct jwt_issuer_config, clock_skew),
	.def = "0s",
	.max = 300 * CLOCK_SECOND,
	.doc = "Beyond Kubernetes: how much longer than `exp` a token is taken, and how much sooner than "
	       "`nbf`, where a minute is always allowed."},
    {.name = "egressSelectorType",
	.type = FIELD_STRING,
	.offset = offsetof(struct jwt_issuer_config, egress_selector_type),
	.unsupported = "connections to issuers are direct; there is no egress selector",
	.doc = "Has no meaning outside the apiserver."},
    {0},
};

const struct schema jwt_issuer_schema = {
    .name = "issuer",
    .size = sizeof(struct jwt_issuer_config),
    .fields = issuer_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_issuer,
};

