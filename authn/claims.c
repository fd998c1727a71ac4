/* Owns the meaning of claims: times, audience, required values, and their mapping to an identity. */
#include "authn/claims.h"

#include <inttypes.h>

#include "authn/limits.h"
#include "common/jsonx.h"

/* Larger numbers are not exact in the JavaScript that many issuers are written in. */
#define TIME_MAX (INT64_C(1) << 53)

static enum err_code say(
    const char **reason, struct err *e, const char *word, const char *text)
{
	*reason = word;
	return err_set(e, ERR_REFUSED, "%s", text);
}

static enum err_code read_time(const json_t *claims, const char *name, int64_t *out, bool *have,
    const char **reason, struct err *e)
{
	if (jsonx_int(claims, name, out, have, e) == ERR_OK && (!*have || *out <= TIME_MAX))
		return ERR_OK;
	*reason = "badClaim";
	return err_set(e, ERR_REFUSED, "%s is not an integer in range", name);
}

enum err_code claims_times(const json_t *claims, int64_t now, int64_t *expires,
    const char **reason, struct err *e)
{
	int64_t exp = 0, nbf = 0, iat = 0;
	bool have_exp = false, have_nbf = false, have_iat = false;
	TRY(read_time(claims, "exp", &exp, &have_exp, reason, e));
	TRY(read_time(claims, "nbf", &nbf, &have_nbf, reason, e));
	TRY(read_time(claims, "iat", &iat, &have_iat, reason, e));
	if (!have_exp)
		return say(reason, e, "expired", "token has no exp");
	/* RFC 7519 4.1.4: not on or after. */
	if (now >= exp)
		return say(reason, e, "expired", "token has expired");
	if (have_nbf && nbf > now + CLAIMS_NBF_LEEWAY)
		return say(reason, e, "notYetValid", "token is not valid yet (nbf)");
	if (have_iat && iat > now + CLAIMS_IAT_LEEWAY)
		return say(reason, e, "notYetValid", "token was issued in the future (iat)");
	*expires = exp;
	return ERR_OK;
}

enum err_code claims_audience(const json_t *claims, const struct string_list *want,
    struct arena *a, const char **reason, struct err *e)
{
	struct slice *aud;
	size_t n;
	if (jsonx_strings(claims, "aud", true, a, &aud, &n, e) != ERR_OK)
		return say(reason, e, "badClaim", "aud is neither a string nor a list of strings");
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < want->len; k++)
			if (slice_is(aud[i], want->items[k]))
				return ERR_OK;
	return say(reason, e, "badAudience", "token is meant for another audience");
}

/* An ID token and nothing else that the same issuer signs: no logout or security event (`events`), no
 * access or refresh token of Keycloak, which says so in a claim `typ`. */
static enum err_code check_kind(const json_t *claims, const char **reason, struct err *e)
{
	struct slice typ;
	if (json_object_get(claims, "events"))
		return say(reason, e, "tokenKind", "token is an event, not an ID token");
	if (!json_object_get(claims, "typ"))
		return ERR_OK;
	if (jsonx_string(claims, "typ", &typ, e) != ERR_OK || (!slice_is(typ, "ID") && !slice_is(typ, "JWT")))
		return say(reason, e, "tokenKind", "token is not an ID token (claim typ)");
	return ERR_OK;
}

static enum err_code check_rules(
    const struct jwt_config *cfg, const json_t *claims, const char **reason, struct err *e)
{
	const struct jwt_claim_rule *rules = cfg->claim_validation_rules.items;
	for (size_t i = 0; i < cfg->claim_validation_rules.len; i++) {
		struct slice v, want = slice_of(rules[i].required_value);
		if (!json_object_get(claims, rules[i].claim) ||
		    jsonx_string(claims, rules[i].claim, &v, e) != ERR_OK ||
		    !slice_eq(v, want)) {
			*reason = "requiredClaim";
			return err_set(e, ERR_REFUSED, "claim %s has not the required value",
			    rules[i].claim);
		}
	}
	return ERR_OK;
}

static struct slice prefixed(struct arena *a, const char *prefix, struct slice s)
{
	size_t n = strlen(prefix);
	if (n == 0)
		return s;
	char *p = arena_alloc(a, n + s.len + 1);
	memcpy(p, prefix, n);
	if (s.len)
		memcpy(p + n, s.p, s.len);
	return (struct slice){p, n + s.len};
}

/* As Kubernetes: an address counts only when the issuer does not say that it is unverified. */
static enum err_code check_email(const json_t *claims, const char **reason, struct err *e)
{
	const json_t *v = json_object_get(claims, "email_verified");
	if (v && !json_is_true(v))
		return say(reason, e, "emailNotVerified", "email_verified is there and not true");
	return ERR_OK;
}

/* A claim that must be a string that is not empty. */
static enum err_code read_name(const json_t *claims, const char *claim, struct slice *out,
    const char **reason, const char *word, struct err *e)
{
	if (jsonx_string(claims, claim, out, e) == ERR_OK && out->len > 0)
		return ERR_OK;
	*reason = word;
	return err_set(e, ERR_REFUSED, "claim %s is missing, empty or no string", claim);
}

static enum err_code map_username(const struct jwt_mappings_config *m, const json_t *claims,
    struct arena *a, struct identity *id, const char **reason, struct err *e)
{
	struct slice name;
	TRY(read_name(claims, m->username.claim, &name, reason, "badUsername", e));
	if (strcmp(m->username.claim, "email") == 0)
		TRY(check_email(claims, reason, e));
	id->username = prefixed(a, m->username.prefix, name);
	return ERR_OK;
}

/* True when the token says that the claim is to be fetched elsewhere (OIDC Core 5.6.2). */
static bool distributed(const json_t *claims, const char *claim)
{
	const json_t *names = json_object_get(claims, "_claim_names");
	return json_is_object(names) && json_object_get(names, claim);
}

static bool is_null(const json_t *claims, const char *claim)
{
	const json_t *v = json_object_get(claims, claim);
	return !v || json_is_null(v);
}

static enum err_code map_groups(const struct jwt_mappings_config *m, const json_t *claims,
    struct arena *a, struct identity *id, const char **reason, struct err *e)
{
	const char *claim = m->groups.claim;
	if (!claim)
		return ERR_OK;
	if (is_null(claims, claim)) {
		/* Going on without groups could pass a rule that denies one of them. */
		if (distributed(claims, claim))
			return say(reason, e, "distributedClaims",
			    "the groups are not in the token but at an endpoint it names");
		return ERR_OK;
	}
	struct slice *names;
	size_t n;
	if (jsonx_strings(claims, claim, true, a, &names, &n, e) != ERR_OK)
		return say(reason, e, "badGroups",
		    "the groups claim is neither a string nor a list of strings");
	if (n > GROUPS_MAX)
		return say(reason, e, "tooManyGroups", "more groups than the limit");
	struct slice *groups = ARENA_ARRAY(a, struct slice, n ? n : 1);
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (names[i].len)
			groups[kept++] = prefixed(a, m->groups.prefix, names[i]);
	id->groups = groups;
	id->ngroups = kept;
	return ERR_OK;
}

static enum err_code map_one_extra(const json_t *claims, const struct jwt_extra_config *cfg,
    struct arena *a, struct identity_extra *x, const char **reason, struct err *e)
{
	struct slice *values;
	size_t n;
	x->key = slice_of(cfg->key);
	if (is_null(claims, cfg->claim))
		return ERR_OK;
	if (jsonx_strings(claims, cfg->claim, true, a, &values, &n, e) != ERR_OK) {
		*reason = "badExtra";
		return err_set(e, ERR_REFUSED, "claim %s is neither a string nor a list of strings",
		    cfg->claim);
	}
	if (n == 1 && values[0].len == 0)
		n = 0;
	x->values = values;
	x->n = n;
	return ERR_OK;
}

/* jti, as Kubernetes' "authentication.kubernetes.io/credential-id" has it, under a key of our own: that
 * one is the apiserver's to give. */
static enum err_code map_credential_id(const json_t *claims, struct arena *a,
    struct identity_extra *x, const char **reason, struct err *e)
{
	struct slice jti;
	if (is_null(claims, "jti"))
		return ERR_OK;
	TRY(read_name(claims, "jti", &jti, reason, "badClaim", e));
	struct slice *v = ARENA_NEW(a, struct slice);
	*v = prefixed(a, "JTI=", jti);
	*x = (struct identity_extra){SLICE("portcullis.dev/credential-id"), v, 1};
	return ERR_OK;
}

static enum err_code map_extra(const struct jwt_mappings_config *m, const json_t *claims,
    struct arena *a, struct identity *id, const char **reason, struct err *e)
{
	const struct jwt_extra_config *cfg = m->extra.items;
	struct identity_extra *extra = ARENA_ARRAY(a, struct identity_extra, m->extra.len + 1);
	size_t n = 0;
	for (size_t i = 0; i < m->extra.len; i++) {
		TRY(map_one_extra(claims, &cfg[i], a, &extra[n], reason, e));
		n += extra[n].n > 0;
	}
	extra[n] = (struct identity_extra){0};
	TRY(map_credential_id(claims, a, &extra[n], reason, e));
	n += extra[n].n > 0;
	id->extra = extra;
	id->nextra = n;
	return ERR_OK;
}

enum err_code claims_identity(const struct jwt_config *cfg, const json_t *claims, int64_t now,
    struct arena *a, struct identity *id, const char **reason, struct err *e)
{
	const struct jwt_mappings_config *m = &cfg->claim_mappings;
	*id = (struct identity){0};
	TRY(claims_times(claims, now, &id->expires, reason, e));
	TRY(claims_audience(claims, &cfg->issuer.audiences, a, reason, e));
	TRY(check_kind(claims, reason, e));
	TRY(check_rules(cfg, claims, reason, e));
	TRY(map_username(m, claims, a, id, reason, e));
	TRY(map_groups(m, claims, a, id, reason, e));
	if (m->uid.claim)
		TRY(read_name(claims, m->uid.claim, &id->uid, reason, "badUid", e));
	return map_extra(m, claims, a, id, reason, e);
}
