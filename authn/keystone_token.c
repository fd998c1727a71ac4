/* Owns the texts of Keystone: the shapes of its tokens and the strict reading of its answers. */
#include "authn/keystone.h"

#include "authn/limits.h"
#include "common/clock.h"
#include "common/jsonx.h"

/* Fernet: 1 byte version, 8 of time, 16 of IV, 32 of MAC around AES blocks. */
#define FERNET_FIXED 57
#define AES_BLOCK 16

/* Ids of Keystone and of its identity back ends: UUIDs, SHA-256 in hex, "default". */
#define ID_MAX 255
#define SECRET_MAX 512

static const char credential_scheme[] = "v3applicationcredential:";

/* --- shapes --- */

static bool base64url_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static bool all_of(struct slice s, bool (*in)(char c))
{
	for (size_t i = 0; i < s.len; i++)
		if (!in(s.p[i]))
			return false;
	return true;
}

bool keystone_fernet_shaped(struct slice token)
{
	if (!slice_starts(token, SLICE("gAAAAA")) || token.len > KEYSTONE_TOKEN_MAX ||
	    token.len % 4 == 1)
		return false;
	size_t bytes = token.len * 3 / 4;
	return bytes >= FERNET_FIXED + AES_BLOCK && (bytes - FERNET_FIXED) % AES_BLOCK == 0 &&
	       all_of(token, base64url_char);
}

static bool hex_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool keystone_uuid_shaped(struct slice token)
{
	return token.len == 32 && all_of(token, hex_char);
}

bool keystone_id_shaped(struct slice id)
{
	return id.len > 0 && id.len <= ID_MAX && all_of(id, base64url_char);
}

static bool visible_char(char c)
{
	return c > ' ' && c <= '~';
}

bool keystone_credential_shaped(
    struct slice token, const char *name, struct slice *id, struct slice *secret)
{
	if (!slice_starts(token, slice_of(credential_scheme)))
		return false;
	struct slice rest = slice_skip(token, sizeof(credential_scheme) - 1);
	size_t colon = slice_find(rest, ':');
	if (!slice_is((struct slice){rest.p, colon}, name))
		return false;
	rest = slice_skip(rest, colon + 1);
	colon = slice_find(rest, ':');
	*id = (struct slice){rest.p, colon};
	*secret = slice_skip(rest, colon + 1);
	return keystone_id_shaped(*id) && secret->len > 0 && secret->len <= SECRET_MAX &&
	       all_of(*secret, visible_char);
}

/* --- members --- */

static enum err_code read_object(const json_t *o, const char *key, json_t **out, struct err *e)
{
	*out = json_object_get(o, key);
	if (json_is_object(*out))
		return ERR_OK;
	return err_set(e, ERR_INVALID, "%s: missing or not an object", key);
}

/* A string that is there and not empty. */
static enum err_code read_text(const json_t *o, const char *key, struct slice *out, struct err *e)
{
	TRY(jsonx_string(o, key, out, e));
	if (out->len == 0)
		return err_set(e, ERR_INVALID, "%s: missing or empty", key);
	return ERR_OK;
}

static enum err_code read_time(const json_t *o, const char *key, int64_t *out, struct err *e)
{
	struct slice text;
	int64_t ns;
	TRY(read_text(o, key, &text, e));
	if (!clock_parse_rfc3339(text, &ns) || ns <= 0)
		return err_set(e, ERR_INVALID, "%s: not a time of RFC 3339", key);
	*out = ns / CLOCK_SECOND;
	return ERR_OK;
}

static enum err_code read_named(const json_t *o, const char *key, struct slice *id,
    struct slice *name, json_t **out, struct err *e)
{
	TRY(read_object(o, key, out, e));
	if (read_text(*out, "id", id, e) != ERR_OK || read_text(*out, "name", name, e) != ERR_OK)
		return err_wrap(e, "%s", key);
	return ERR_OK;
}

/* Something with an id and a name that belongs to a domain, which has both too. */
static enum err_code read_owned(const json_t *o, const char *key, struct slice *id,
    struct slice *name, struct slice *domain_id, struct slice *domain_name, struct err *e)
{
	json_t *thing, *domain;
	TRY(read_named(o, key, id, name, &thing, e));
	if (read_named(thing, "domain", domain_id, domain_name, &domain, e) != ERR_OK)
		return err_wrap(e, "%s", key);
	return ERR_OK;
}

/* --- the token --- */

static enum err_code read_roles(
    const json_t *o, struct arena *arena, struct keystone_token *t, struct err *e)
{
	const json_t *list = json_object_get(o, "roles");
	if (!list && t->scope == KEYSTONE_UNSCOPED)
		return ERR_OK;
	if (!json_is_array(list))
		return err_set(e, ERR_INVALID, "roles: missing or not a list");
	size_t n = json_array_size(list);
	if (n > KEYSTONE_ROLES_MAX)
		return err_set(e, ERR_LIMIT, "roles: more than %d", KEYSTONE_ROLES_MAX);
	struct slice *roles = ARENA_ARRAY(arena, struct slice, n + 1);
	for (size_t i = 0; i < n; i++) {
		const json_t *role = json_array_get(list, i);
		if (!json_is_object(role) || read_text(role, "name", &roles[i], e) != ERR_OK)
			return err_set(e, ERR_INVALID, "roles[%zu]: not an object with a name", i);
	}
	t->roles = roles;
	t->nroles = n;
	return ERR_OK;
}

static enum err_code read_scope(const json_t *o, struct keystone_token *t, struct err *e)
{
	struct slice id, name;
	json_t *domain;
	bool project = json_object_get(o, "project"), in_domain = json_object_get(o, "domain"),
	     system = json_object_get(o, "system");
	if (project + in_domain + system > 1)
		return err_set(e, ERR_INVALID, "more than one scope");
	t->scope = system ? KEYSTONE_SCOPE_SYSTEM : KEYSTONE_UNSCOPED;
	if (in_domain) {
		t->scope = KEYSTONE_SCOPE_DOMAIN;
		return read_named(o, "domain", &id, &name, &domain, e);
	}
	if (!project)
		return ERR_OK;
	t->scope = KEYSTONE_SCOPE_PROJECT;
	return read_owned(o, "project", &t->project_id, &t->project_name, &t->project_domain_id,
	    &t->project_domain_name, e);
}

static enum err_code read_texts(const json_t *o, const char *key, struct arena *arena,
    const struct slice **out, size_t *n, struct err *e)
{
	struct slice *items;
	TRY(jsonx_strings(o, key, false, arena, &items, n, e));
	for (size_t i = 0; i < *n; i++)
		if (items[i].len == 0)
			return err_set(e, ERR_INVALID, "%s[%zu]: empty", key, i);
	*out = items;
	return ERR_OK;
}

static enum err_code read_limits(const json_t *o, struct keystone_token *t, struct err *e)
{
	static const char app[] = "application_credential";
	const json_t *credential = json_object_get(o, app);
	/* Their mere presence counts: what they hold is for services of OpenStack. */
	t->delegated = json_object_get(o, "OS-TRUST:trust") || json_object_get(o, "OS-OAUTH1");
	t->bound = json_object_get(o, "oauth2_credential");
	if (!credential)
		return ERR_OK;
	if (!json_is_object(credential))
		return err_set(e, ERR_INVALID, "%s: not an object", app);
	if (read_text(credential, "id", &t->application_credential, e) != ERR_OK)
		return err_wrap(e, "%s", app);
	t->access_rules = json_object_get(credential, "access_rules");
	return ERR_OK;
}

static enum err_code read_token(
    const json_t *o, struct arena *arena, struct keystone_token *t, struct err *e)
{
	TRY(read_time(o, "expires_at", &t->expires, e));
	TRY(read_time(o, "issued_at", &t->issued, e));
	TRY(read_owned(o, "user", &t->user_id, &t->user_name, &t->domain_id, &t->domain_name, e));
	TRY(read_scope(o, t, e));
	TRY(read_roles(o, arena, t, e));
	TRY(read_texts(o, "methods", arena, &t->methods, &t->nmethods, e));
	TRY(read_texts(o, "audit_ids", arena, &t->audit_ids, &t->naudit_ids, e));
	if (t->naudit_ids == 0)
		return err_set(e, ERR_INVALID, "audit_ids: missing or empty");
	return read_limits(o, t, e);
}

static enum err_code load(
    struct slice body, struct arena *arena, const json_t **out, struct err *e)
{
	json_t *doc = NULL;
	TRY(jsonx_object(body, KEYSTONE_ANSWER_MAX, &doc, e));
	jsonx_on_done(arena, doc);
	*out = doc;
	return ERR_OK;
}

enum err_code keystone_token_read(
    struct slice body, struct arena *arena, struct keystone_token *out, struct err *e)
{
	const json_t *doc;
	json_t *token;
	*out = (struct keystone_token){0};
	TRY(load(body, arena, &doc, e));
	TRY(read_object(doc, "token", &token, e));
	return read_token(token, arena, out, e);
}

/* --- groups --- */

static enum err_code check_whole(const json_t *doc, struct err *e)
{
	const json_t *cut = json_object_get(doc, "truncated");
	/* Since 2025.1 Keystone gives a page and where the next one is. */
	const json_t *next = json_object_get(json_object_get(doc, "links"), "next");
	if ((cut && !json_is_false(cut)) || (next && !json_is_null(next)))
		return err_set(e, ERR_LIMIT, "Keystone cut the list of groups short");
	return ERR_OK;
}

enum err_code keystone_groups_read(struct slice body, struct slice domain_id, struct arena *arena,
    const struct slice **out, size_t *n, struct err *e)
{
	const json_t *doc;
	*out = NULL;
	*n = 0;
	TRY(load(body, arena, &doc, e));
	TRY(check_whole(doc, e));
	const json_t *list = json_object_get(doc, "groups");
	if (!json_is_array(list))
		return err_set(e, ERR_INVALID, "groups: missing or not a list");
	size_t len = json_array_size(list), kept = 0;
	if (len > KEYSTONE_GROUPS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d groups", KEYSTONE_GROUPS_MAX);
	struct slice *names = ARENA_ARRAY(arena, struct slice, len + 1);
	for (size_t i = 0; i < len; i++) {
		const json_t *group = json_array_get(list, i);
		struct slice domain;
		if (!json_is_object(group) || read_text(group, "domain_id", &domain, e) != ERR_OK ||
		    read_text(group, "name", &names[kept], e) != ERR_OK)
			return err_set(e, ERR_INVALID, "groups[%zu]: not a group", i);
		kept += slice_eq(domain, domain_id);
	}
	*out = names;
	*n = kept;
	return ERR_OK;
}
