/* Owns how claims become an identity: paths, names, groups, extra, and what tells a credential apart. */
#include "authn/claims.h"
#include "authn/claims_say.h"
#include "authn/limits.h"
#include "common/jsonx.h"

bool claims_find(const json_t *claims, const struct string_list *path, const json_t **out)
{
	const json_t *at = claims;
	*out = NULL;
	for (size_t i = 0; i < path->len; i++) {
		if (!json_is_object(at))
			return false;
		at = json_object_get(at, path->items[i]);
		if (!at || json_is_null(at))
			return true;
	}
	*out = at;
	return true;
}

const char *claims_path_text(struct arena *a, const struct string_list *path)
{
	const char *text = "";
	for (size_t i = 0; i < path->len; i++)
		text = i ? arena_printf(a, "%s/%s", text, path->items[i]) : path->items[i];
	return text;
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

/* A claim that must be a string that is not empty. */
static bool read_name(const json_t *claims, const struct string_list *path, const char *word,
    struct authn_call *call, struct slice *out)
{
	const json_t *v;
	if (claims_find(claims, path, &v) && json_is_string(v) && json_string_length(v) > 0) {
		*out = jsonx_text(v);
		return true;
	}
	return REFUSE(call, word, "claim %s is missing, empty or no string",
	    claims_path_text(call->arena, path));
}

/* --- user name --- */

/* Google vouches for an address only when it is its own or the account has a domain (hd): every other one may
 * have changed hands since it was verified. */
static bool check_google_email(const json_t *claims, struct slice email, struct authn_call *call)
{
	static const struct slice own = {"@gmail.com", sizeof("@gmail.com") - 1};
	struct slice hd;
	bool gmail = email.len > own.len && slice_eq(slice_skip(email, email.len - own.len), own);
	if (gmail || (jsonx_string(claims, "hd", &hd, NULL) == ERR_OK && hd.len > 0))
		return true;
	return REFUSE(call, "hostedDomain", "Google does not vouch for the address: no hd");
}

/* The rule for a user name that is an address: the email_verified beside it. */
static bool check_email(const struct jwt_username_config *cfg, const json_t *claims, struct authn_call *call)
{
	const struct string_list beside = {cfg->claim.items, cfg->claim.len - 1};
	const json_t *object, *v = NULL;
	if (claims_find(claims, &beside, &object))
		v = json_object_get(object, "email_verified");
	if (!v && cfg->email_verified == JWT_EMAIL_IF_PRESENT)
		return true;
	if (json_is_true(v) || (cfg->email_verified_text && json_is_string(v) &&
				   slice_is(jsonx_text(v), "true")))
		return true;
	return REFUSE(call, "emailNotVerified", "email_verified is %s", v ? "not true" : "missing");
}

static bool map_username(const struct jwt_config *cfg, const json_t *claims, struct authn_call *call)
{
	const struct jwt_username_config *u = &cfg->claim_mappings.username;
	struct slice name;
	if (!read_name(claims, &u->claim, "badUsername", call, &name))
		return false;
	if (strcmp(u->claim.items[u->claim.len - 1], "email") == 0) {
		if (!check_email(u, claims, call))
			return false;
		if (strcmp(cfg->issuer.url, JWT_GOOGLE) == 0 && !check_google_email(claims, name, call))
			return false;
	}
	call->id.username = prefixed(call->arena, u->prefix, name);
	return true;
}

/* --- groups --- */

static bool by_values(const json_t *v, struct authn_call *call, struct slice **names, size_t *n)
{
	return jsonx_list(v, "groups", true, call->arena, names, n, NULL) == ERR_OK ||
	       REFUSE(call, "badGroups", "the groups claim is neither a string nor a list of strings");
}

static bool by_keys(const json_t *v, struct authn_call *call, struct slice **names, size_t *n)
{
	const char *key;
	json_t *member;
	*names = NULL;
	*n = 0;
	if (!v)
		return true;
	if (!json_is_object(v))
		return REFUSE(call, "badGroups", "the groups claim is no object");
	struct slice *keys = ARENA_ARRAY(call->arena, struct slice, json_object_size(v));
	json_object_foreach((json_t *)(uintptr_t)v, key, member)
	{
		/* Somebody's way to say that it is none. */
		if (json_is_false(member) || json_is_null(member))
			return REFUSE(call, "badGroups", "a member of the groups claim is false or null");
		keys[(*n)++] = slice_of(key);
	}
	*names = keys;
	return true;
}

bool claims_groups(const struct jwt_groups_config *cfg, const json_t *claims, struct authn_call *call)
{
	const json_t *v;
	struct slice *names;
	size_t n, kept = 0;
	if (!cfg->claim.len)
		return true;
	if (!claims_find(claims, &cfg->claim, &v))
		return REFUSE(call, "badGroups", "what leads to the groups claim is no object");
	if (cfg->from == JWT_GROUPS_KEYS ? !by_keys(v, call, &names, &n) : !by_values(v, call, &names, &n))
		return false;
	if (n > GROUPS_MAX)
		return REFUSE(call, "tooManyGroups", "more groups than the limit");
	struct slice *groups = ARENA_ARRAY(call->arena, struct slice, n ? n : 1);
	for (size_t i = 0; i < n; i++)
		if (names[i].len)
			groups[kept++] = prefixed(call->arena, cfg->prefix, names[i]);
	call->id.groups = groups;
	call->id.ngroups = kept;
	return true;
}

/* --- credential --- */

/* A string member that is absent, null or not empty. */
static bool read_mark(const json_t *claims, const char *name, struct authn_call *call, struct slice *out)
{
	const json_t *v = json_object_get(claims, name);
	if (!v || json_is_null(v))
		return true;
	if (!json_is_string(v) || json_string_length(v) == 0)
		return REFUSE(call, "badClaim", "%s is empty or no string", name);
	*out = jsonx_text(v);
	return true;
}

static bool read_credential(const json_t *claims, struct authn_call *call)
{
	bool have;
	struct credential *c = &call->credential;
	if (jsonx_int(claims, "iat", &c->issued, &have, NULL) != ERR_OK)
		c->issued = 0; /* refused elsewhere */
	return read_mark(claims, "sub", call, &c->subject) && read_mark(claims, "jti", call, &c->id);
}

/* --- uid, extra --- */

static bool map_one_extra(const json_t *claims, const struct jwt_extra_config *cfg,
    struct authn_call *call, struct identity_extra *x)
{
	const json_t *v;
	struct slice *values = NULL;
	size_t n = 0;
	if (!claims_find(claims, &cfg->claim, &v) ||
	    jsonx_list(v, "extra", true, call->arena, &values, &n, NULL) != ERR_OK)
		return REFUSE(call, "badExtra", "claim %s is neither a string nor a list of strings",
		    claims_path_text(call->arena, &cfg->claim));
	if (n == 1 && values[0].len == 0)
		n = 0;
	*x = (struct identity_extra){slice_of(cfg->key), values, n};
	return true;
}

/* jti, as Kubernetes' "authentication.kubernetes.io/credential-id" has it, under a key of our own: that
 * one is the apiserver's to give. */
static void add_credential_id(struct authn_call *call, struct identity_extra *x)
{
	if (!call->credential.id.len)
		return;
	struct slice *v = ARENA_NEW(call->arena, struct slice);
	*v = prefixed(call->arena, "JTI=", call->credential.id);
	*x = (struct identity_extra){SLICE("portcullis.dev/credential-id"), v, 1};
	call->id.nextra++;
}

static bool map_extra(const struct jwt_mappings_config *m, const json_t *claims, struct authn_call *call)
{
	const struct jwt_extra_config *cfg = m->extra.items;
	struct identity_extra *extra = ARENA_ARRAY(call->arena, struct identity_extra, m->extra.len + 1);
	call->id.extra = extra;
	for (size_t i = 0; i < m->extra.len; i++) {
		struct identity_extra *x = &extra[call->id.nextra];
		if (!map_one_extra(claims, &cfg[i], call, x))
			return false;
		call->id.nextra += x->n > 0;
	}
	add_credential_id(call, &extra[call->id.nextra]);
	return true;
}

bool claims_person(const struct jwt_config *cfg, const json_t *claims, struct authn_call *call)
{
	const struct jwt_mappings_config *m = &cfg->claim_mappings;
	if (!claims_checked(call, "username", map_username(cfg, claims, call)) ||
	    !claims_checked(call, "credential", read_credential(claims, call)))
		return false;
	if (m->uid.claim.len &&
	    !claims_checked(call, "uid", read_name(claims, &m->uid.claim, "badUid", call, &call->id.uid)))
		return false;
	return claims_checked(call, "extra", map_extra(m, claims, call));
}
