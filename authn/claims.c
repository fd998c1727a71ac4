/* Owns what is asked of a token's claims before they name anybody: kind, times, audience, party, values. */
#include "authn/claims.h"

#include <strings.h>

#include "authn/claims_say.h"
#include "authn/distributed.h"
#include "authn/limits.h"
#include "common/clock.h"
#include "common/jsonx.h"

/* Larger numbers are not exact in the JavaScript that many issuers are written in. */
#define TIME_MAX (INT64_C(1) << 53)

/* A token under judgement. */
struct judged {
	const struct jwt_issuer_config *cfg;
	const struct jose_token *t;
	struct authn_call *call;
	unsigned kind; /* JWT_ID_TOKEN or JWT_ACCESS_TOKEN, once known */
	int64_t expires;
	struct slice *aud;
	size_t naud;
};

static bool has(const json_t *claims, const char *name)
{
	const json_t *v = json_object_get(claims, name);
	return v && !json_is_null(v);
}

/* --- kind --- */

/* RFC 9068 2.1, RFC 7515 4.1.9: media types fold case, "application/" may be left out. */
static bool typ_is_access(struct slice typ)
{
	static const char *const names[] = {"at+jwt", "application/at+jwt"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (typ.len == strlen(names[i]) && strncasecmp(typ.p, names[i], typ.len) == 0)
			return true;
	return false;
}

/* What the value of a claim that tells kinds apart says; any other value: neither. */
static unsigned kind_by_value(const json_t *claims, const char *name, const char *id, const char *access)
{
	const json_t *v = json_object_get(claims, name);
	struct slice s = json_is_string(v) ? jsonx_text(v) : (struct slice){0};
	if (!v)
		return JWT_ID_TOKEN | JWT_ACCESS_TOKEN;
	return slice_is(s, id) ? JWT_ID_TOKEN : slice_is(s, access) ? JWT_ACCESS_TOKEN : 0;
}

/* Entra and Okta put scp, Entra the others into access tokens only. What Entra gives an application that logs
 * in as itself has neither scp nor, unless asked for, idtyp, but how the client proved itself. */
static const char *const access_marks[] = {"scp", "idtyp", "azpacr", "appidacr"};

/* The kinds that T may be, by all the marks that issuers put on tokens. */
static unsigned kinds_of(const struct jose_token *t)
{
	const json_t *c = t->claims;
	unsigned kinds = JWT_ID_TOKEN | JWT_ACCESS_TOKEN;
	if (typ_is_access(t->typ))
		kinds = JWT_ACCESS_TOKEN;
	else if (!jose_typ_is_jwt(t))
		return 0;
	/* OIDC Back-Channel Logout 2.4, RFC 8417: events. UAA: its refresh tokens alone have the other. */
	if (json_object_get(c, "events") || json_object_get(c, "granted_scopes"))
		return 0;
	/* Keycloak says Refresh, Offline, Logout, … too. Some issuers repeat the header's JWT. */
	unsigned typ = kind_by_value(c, "typ", "ID", "Bearer");
	kinds &= typ ? typ : kind_by_value(c, "typ", "JWT", "Bearer");
	kinds &= kind_by_value(c, "token_use", "id", "access"); /* Cognito */
	for (size_t i = 0; i < ARRAY_LEN(access_marks); i++)
		if (json_object_get(c, access_marks[i]))
			kinds &= JWT_ACCESS_TOKEN;
	return kinds;
}

/* The client that a token without azp was made for, as access tokens name it. */
static const char *const client_claims[] = {"azp", "client_id", "cid", "appid"};

/* RFC 9068 2.2, as far as it is not asked of every token. Keycloak's have azp in place of client_id. */
static bool check_access_token(const struct judged *j)
{
	const json_t *c = j->t->claims;
	struct slice sub;
	if (jsonx_string(c, "sub", &sub, NULL) != ERR_OK || sub.len == 0)
		return REFUSE(j->call, "tokenKind", "an access token must have sub");
	if (typ_is_access(j->t->typ) && (!has(c, "iat") || !has(c, "jti")))
		return REFUSE(j->call, "tokenKind", "an access token must have iat and jti");
	for (size_t i = 0; i < ARRAY_LEN(client_claims); i++)
		if (has(c, client_claims[i]))
			return true;
	return REFUSE(j->call, "tokenKind", "an access token must have client_id");
}

static bool check_kind(struct judged *j)
{
	unsigned kinds = kinds_of(j->t);
	/* What bears no mark is what OIDC says it is. */
	j->kind = kinds & JWT_ID_TOKEN ? JWT_ID_TOKEN : kinds;
	if (j->kind & j->cfg->token_types)
		return j->kind == JWT_ID_TOKEN || check_access_token(j);
	if (j->kind == JWT_ID_TOKEN)
		return REFUSE(j->call, "tokenKind", "token is not marked as an access token");
	if (j->kind == JWT_ACCESS_TOKEN)
		return REFUSE(j->call, "tokenKind", "token is an access token, not an ID token");
	return REFUSE(j->call, "tokenKind", "token is neither an ID nor an access token");
}

/* --- times --- */

static bool read_time(const struct judged *j, const char *name, int64_t *out, bool *have)
{
	if (jsonx_int(j->t->claims, name, out, have, NULL) == ERR_OK && (!*have || *out <= TIME_MAX))
		return true;
	return REFUSE(j->call, "badClaim", "%s is not an integer in range", name);
}

static bool check_times(struct judged *j)
{
	int64_t now = j->call->now / CLOCK_SECOND, skew = j->cfg->clock_skew / CLOCK_SECOND;
	int64_t early = skew > CLAIMS_NBF_LEEWAY ? skew : CLAIMS_NBF_LEEWAY;
	int64_t exp = 0, nbf = 0, iat = 0;
	bool have_exp = false, have_nbf = false, have_iat = false;
	if (!read_time(j, "exp", &exp, &have_exp) || !read_time(j, "nbf", &nbf, &have_nbf) ||
	    !read_time(j, "iat", &iat, &have_iat))
		return false;
	if (!have_exp)
		return REFUSE(j->call, "expired", "token has no exp");
	/* RFC 7519 4.1.4: not on or after. */
	if (now >= exp + skew)
		return REFUSE(j->call, "expired", "token has expired");
	if (have_nbf && nbf > now + early)
		return REFUSE(j->call, "notYetValid", "token is not valid yet (nbf)");
	if (have_iat && iat > now + CLAIMS_IAT_LEEWAY)
		return REFUSE(j->call, "notYetValid", "token was issued in the future (iat)");
	j->expires = exp + skew;
	return true;
}

/* --- for whom, through whom --- */

static bool listed(const struct string_list *list, struct slice s)
{
	for (size_t i = 0; i < list->len; i++)
		if (slice_is(s, list->items[i]))
			return true;
	return false;
}

static bool check_audience(struct judged *j)
{
	if (jsonx_strings(j->t->claims, "aud", true, j->call->arena, &j->aud, &j->naud, NULL) != ERR_OK)
		return REFUSE(j->call, "badClaim", "aud is neither a string nor a list of strings");
	for (size_t i = 0; i < j->naud; i++)
		if (listed(&j->cfg->audiences, j->aud[i]))
			return true;
	return REFUSE(j->call, "badAudience", "token is meant for another audience");
}

/* OIDC Core 3.1.3.7: azp; an ID token for one audience needs none and was made for that one. */
static bool read_party(const struct judged *j, struct slice *party)
{
	const json_t *c = j->t->claims;
	size_t n = j->kind == JWT_ACCESS_TOKEN ? ARRAY_LEN(client_claims) : 1;
	*party = (struct slice){0};
	for (size_t i = 0; i < n && !party->len; i++)
		if (has(c, client_claims[i]) && jsonx_string(c, client_claims[i], party, NULL) != ERR_OK)
			return REFUSE(j->call, "badClaim", "%s is no string", client_claims[i]);
	if (!has(c, "azp") && j->kind == JWT_ID_TOKEN && j->naud == 1)
		*party = j->aud[0];
	return true;
}

static bool check_party(struct judged *j)
{
	struct slice party;
	if (!j->cfg->authorized_parties.len)
		return true;
	if (!read_party(j, &party))
		return false;
	if (!party.len)
		return REFUSE(j->call, "badParty", "token does not say whom it was issued to (azp)");
	return listed(&j->cfg->authorized_parties, party) ||
	       REFUSE(j->call, "badParty", "token was issued to another client (azp)");
}

/* Google: without hd the account belongs to no organization, whatever its address. */
static bool check_hosted_domain(struct judged *j)
{
	struct slice hd;
	if (!j->cfg->hosted_domains.len)
		return true;
	if (jsonx_string(j->t->claims, "hd", &hd, NULL) != ERR_OK || hd.len == 0)
		return REFUSE(j->call, "hostedDomain", "hd is missing or no string");
	return listed(&j->cfg->hosted_domains, hd) ||
	       REFUSE(j->call, "hostedDomain", "hd is another domain");
}

bool claims_admissible(const struct jwt_issuer_config *cfg, const struct jose_token *t,
    struct authn_call *call, int64_t *expires)
{
	static const struct {
		const char *name;
		bool (*passes)(struct judged *j);
	} checks[] = {{"tokenKind", check_kind}, {"expiry", check_times}, {"audience", check_audience},
	    {"authorizedParty", check_party}, {"hostedDomain", check_hosted_domain}};
	struct judged j = {.cfg = cfg, .t = t, .call = call};
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (!claims_checked(call, checks[i].name, checks[i].passes(&j)))
			return false;
	*expires = j.expires;
	return true;
}

/* --- required values, and the whole --- */

static bool check_rule(const struct jwt_claim_rule *r, const json_t *claims, struct authn_call *call)
{
	const json_t *v;
	if (claims_find(claims, &r->claim, &v) && json_is_string(v) &&
	    slice_eq(jsonx_text(v), slice_of(r->required_value)))
		return true;
	return REFUSE(call, "requiredClaim", "claim %s has not the required value",
	    claims_path_text(call->arena, &r->claim));
}

static bool check_rules(const struct jwt_config *cfg, const json_t *claims, struct authn_call *call)
{
	const struct jwt_claim_rule *rules = cfg->claim_validation_rules.items;
	for (size_t i = 0; i < cfg->claim_validation_rules.len; i++)
		if (!check_rule(&rules[i], claims, call))
			return false;
	return true;
}

/* The groups: in the token, or to be fetched. False: refused. */
static bool map_groups(
    const struct jwt_groups_config *cfg, const json_t *claims, struct authn_call *call, bool *elsewhere)
{
	struct distributed_source src;
	if (!distributed_find(cfg, claims, call, &src))
		return claims_checked(call, "distributedClaims", false);
	*elsewhere = src.url.len > 0;
	return *elsewhere || claims_checked(call, "groups", claims_groups(cfg, claims, call));
}

static bool identify(const struct jwt_config *cfg, const struct jose_token *t, struct authn_call *call,
    bool *elsewhere)
{
	const json_t *c = t->claims;
	return claims_admissible(&cfg->issuer, t, call, &call->id.expires) &&
	       claims_checked(call, "requiredClaims", check_rules(cfg, c, call)) &&
	       claims_person(cfg, c, call) &&
	       map_groups(&cfg->claim_mappings.groups, c, call, elsewhere);
}

enum authn_step claims_identity(
    const struct jwt_config *cfg, const struct jose_token *t, struct authn_call *call)
{
	bool elsewhere = false;
	call->id = (struct identity){0};
	call->credential = (struct credential){0};
	call->keep = 0;
	if (!identify(cfg, t, call, &elsewhere)) {
		/* All but this one stay refused for as long as configuration and keys stay. */
		if (strcmp(call->reason, "notYetValid") != 0)
			call->keep = VERDICT_SETTLED_S * CLOCK_SECOND;
		return AUTHN_REJECT;
	}
	if (elsewhere)
		return AUTHN_NEEDS_WORK;
	call->keep = VERDICT_SETTLED_S * CLOCK_SECOND;
	/* Past that the end is not counted in nanoseconds: a token may say anything up to 2^53 seconds. */
	if (call->id.expires - call->now / CLOCK_SECOND < VERDICT_SETTLED_S)
		call->keep = call->id.expires * CLOCK_SECOND - call->now;
	return AUTHN_ACCEPT;
}
