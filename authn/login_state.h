/* The inside of the login: shared by login.c, which gives tokens, and login_token.c, which reads
 * them. */
#ifndef AUTHN_LOGIN_STATE_H
#define AUTHN_LOGIN_STATE_H

#include "authn/chain.h"
#include "authn/directories.h"
#include "authn/mint.h"

/* Belongs to one chain. Immutable. */
struct login {
	const struct login_config *cfg; /* borrowed from the snapshot */
	struct string_list audiences; /* borrowed likewise: aud of our tokens */
	struct slice issuer;
	const struct mint *mint; /* of the services */
	const struct directories *directories; /* the chain's */
};

/* login_token.c: the authenticator of tokens of L's issuer; L is borrowed. */
struct authn *login_token_new(struct login *l);

#endif
