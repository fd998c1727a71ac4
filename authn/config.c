/* Owns the schema of the `authentication:` section and the rules that span its entries. */
#include "authn/config.h"

#include <stddef.h>

#include "authn/keystone_config.h"
#include "authn/ldap_config.h"
#include "authn/limits.h"
#include "authn/names.h"
#include "common/clock.h"

static const char *discovery_key(const struct jwt_issuer_config *c)
{
	return c->discovery_url ? c->discovery_url : c->url;
}

static void check_pair(const struct jwt_config *a, const struct jwt_config *b, struct diags *d)
{
	const struct place *at = &b->place;
	if (!a->issuer.url || !b->issuer.url)
		return;
	if (strcmp(a->issuer.url, b->issuer.url) == 0)
		diags_error(d, at->file, at->line, at->col, "issuer \"%s\" stands twice",
		    b->issuer.url);
	else if (strcmp(discovery_key(&a->issuer), discovery_key(&b->issuer)) == 0)
		diags_error(d, at->file, at->line, at->col,
		    "discoveryURL \"%s\" belongs to another issuer too", discovery_key(&b->issuer));
}

/* As Kubernetes refuses an issuer that is the apiserver's own: what our audiences are by default. Its tokens
 * reach nobody but the apiserver, and who else signs in its name is to be kept out. */
static void check_own(const struct authn_config *c, const struct jwt_config *j, struct diags *d)
{
	for (size_t i = 0; j->issuer.url && i < c->audiences.len; i++)
		if (strcmp(c->audiences.items[i], j->issuer.url) == 0)
			diags_error(d, j->place.file, j->place.line, j->place.col,
			    "issuer \"%s\" is one of authentication.audiences: the apiserver's own",
			    j->issuer.url);
}

static void check_authn(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct authn_config *c = obj;
	const struct jwt_config *jwt = c->jwt.items;
	for (size_t i = 1; i < c->jwt.len; i++)
		for (size_t k = 0; k < i; k++)
			check_pair(&jwt[k], &jwt[i], d);
	for (size_t i = 0; i < c->jwt.len; i++)
		check_own(c, &jwt[i], d);
	names_check(c, d);
	ldap_configs_check(&c->ldap, d);
	keystone_configs_check(&c->keystone, d);
	const struct yaml_node *at = yamlx_get(node, "audiences"); /* required */
	for (size_t i = 0; i < c->audiences.len; i++)
		if (!*c->audiences.items[i])
			diags_error(d, file, at->line, at->col, "an audience must not be empty");
}

/* Above: a day without the issuer's word is long already; below: a fetch every ten minutes may fail twice. */
#define KEY_SETS_AGE_MIN (CLOCK_SECOND * 3600)
#define KEY_SETS_AGE_MAX (CLOCK_SECOND * 3600 * 24 * 30)

static const struct field key_sets_fields[] = {
    {.name = "maxAge",
	.type = FIELD_DURATION,
	.offset = offsetof(struct key_sets_config, max_age),
	.def = "24h",
	.min = KEY_SETS_AGE_MIN,
	.max = KEY_SETS_AGE_MAX,
	.doc = "How long the last good key set of an issuer that cannot be read goes on verifying, across "
	       "restarts too. Past it the issuer's tokens get `503`."},
    {0},
};

static const struct schema key_sets_schema = {
    .name = "keySets",
    .size = sizeof(struct key_sets_config),
    .fields = key_sets_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
};

static const struct field cache_fields[] = {
    {.name = "ttl",
	.type = FIELD_DURATION,
	.offset = offsetof(struct authn_cache_config, ttl),
	.max = 10 * 60 * CLOCK_SECOND,
	.def = "1m",
	.doc = "Longest time for which an acceptance is kept; never past the token's end. 0s: not at all."},
    {.name = "refusedTTL",
	.type = FIELD_DURATION,
	.offset = offsetof(struct authn_cache_config, refused_ttl),
	.max = 60 * CLOCK_SECOND,
	.def = "10s",
	.doc = "The same for a refusal that will stay true."},
    {.name = "maxEntries",
	.type = FIELD_INT,
	.offset = offsetof(struct authn_cache_config, max_entries),
	.min = 16,
	.max = 1000000,
	.def = "10000",
	.doc = "Acceptances kept; beyond, the one longest unused goes."},
    {.name = "maxMegabytes",
	.type = FIELD_INT,
	.offset = offsetof(struct authn_cache_config, max_megabytes),
	.min = 8,
	.max = 4096,
	.def = "32",
	.doc = "Memory that they take."},
    {0},
};

static const struct schema cache_schema = {
    .name = "cache",
    .size = sizeof(struct authn_cache_config),
    .fields = cache_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
};

static const struct field authn_fields[] = {
    {.name = "audiences",
	.type = FIELD_STRINGS,
	.offset = offsetof(struct authn_config, audiences),
	.required = true,
	.nonempty = true,
	.max_items = AUTHN_AUDIENCES_MAX,
	.doc = "What an accepted token is good for: the apiserver's --api-audiences (by default its "
	       "--service-account-issuer)."},
    {.name = "jwt",
	.type = FIELD_OBJECTS,
	.offset = offsetof(struct authn_config, jwt),
	.sub = &jwt_config_schema,
	.max_items = JWT_ISSUERS_MAX,
	.doc = "OpenID Connect issuers, as `jwt` in Kubernetes' AuthenticationConfiguration."},
    {.name = "keySets",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct authn_config, key_sets),
	.sub = &key_sets_schema,
	.doc = "What is kept of issuers' keys."},
    {.name = "ldap",
	.type = FIELD_OBJECTS,
	.offset = offsetof(struct authn_config, ldap),
	.sub = &ldap_config_schema,
	.max_items = LDAP_DIRECTORIES_MAX,
	.doc = "Directories for `POST /login`."},
    {.name = "keystone",
	.type = FIELD_OBJECTS,
	.offset = offsetof(struct authn_config, keystone),
	.sub = &keystone_config_schema,
	.max_items = KEYSTONES_MAX,
	.doc = "Keystones of OpenStack, which are asked about tokens of their shape."},
    {.name = "tokenFiles",
	.type = FIELD_PATHS,
	.offset = offsetof(struct authn_config, token_files),
	.max_items = TOKENFILES_MAX,
	.doc = "Static token files in Kubernetes' format: `token,user,uid,\"group1,group2\"`; "
	       "`sha256:HEX` may stand for the token."},
    {.name = "denylistFile",
	.type = FIELD_PATH,
	.offset = offsetof(struct authn_config, denylist_file),
	.live = true,
	.doc = "Tokens, keys and people that are refused, from the next request on."},
    {.name = "cache",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct authn_config, cache),
	.sub = &cache_schema,
	.doc = "How long verdicts are kept, and how many."},
    {0},
};

const struct schema authn_config_schema = {
    .name = "authentication",
    .size = sizeof(struct authn_config),
    .fields = authn_fields,
    .place = offsetof(struct authn_config, place),
    .present = SCHEMA_NO_PLACE,
    .check = check_authn,
};
