/* The inside of the login: shared by login.c, which gives tokens, and login_token.c, which reads
 * them. */
#ifndef AUTHN_LOGIN_STATE_H
#define AUTHN_LOGIN_STATE_H

#include "authn/account_cache.h"
#include "authn/chain.h"
#include "authn/ldap.h"
#include "authn/mint.h"
#include "authn/penalty.h"

/* Belongs to one chain. Immutable but for the cache, which locks itself. */
struct login {
	const struct login_config *cfg; /* borrowed from the snapshot */
	struct string_list audiences; /* borrowed likewise: aud of our tokens */
	struct slice issuer;
	const struct mint *mint; /* of the services */
	struct penalty *penalty; /* of the services: a reload does not forgive */
	struct directory **directories; /* in configured order */
	size_t ndirectories;
	struct account_cache *cache;
};

/* The directory called NAME, NULL when there is none. */
struct directory *login_directory(const struct login *l, struct slice name);

/* Under what an account is cached. */
struct slice login_cache_key(
    struct arena *a, struct slice directory, struct slice account, struct slice uid);

/* login_token.c: the authenticator of tokens of L's issuer; L is borrowed. */
struct authn *login_token_new(struct login *l);

#endif
