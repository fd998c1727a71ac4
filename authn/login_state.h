/* The inside of the login: shared by login.c, which gives tokens, and login_token.c, which reads
 * them. */
#ifndef AUTHN_LOGIN_STATE_H
#define AUTHN_LOGIN_STATE_H

#include "authn/chain.h"
#include "authn/directories.h"
#include "authn/login.h"
#include "authn/mint.h"
#include "authn/sessions.h"

/* Belongs to one chain. Immutable. */
struct login {
	const struct login_config *cfg; /* borrowed from the snapshot */
	struct string_list audiences; /* borrowed likewise: aud of our tokens */
	struct slice issuer;
	struct mint *mint; /* of the services */
	struct sessions *sessions; /* of the services */
	const struct directories *directories; /* the chain's */
};

/* Sets reason (a constant) and why (secret-free) and returns RESULT. */
enum login_result login_say(
    struct login_call *c, enum login_result result, const char *reason, const char *text);
void login_reset(struct login_call *c);

/* Seconds from a login to the end of its session. */
int64_t login_session_length(const struct login *l);

/* To whom a token is given. */
struct login_grant {
	struct identity id; /* as the directory says it */
	struct slice directory, account, session;
	int64_t login, session_end; /* unix seconds */
};

/* A token for G in C: LOGIN_OK, or what the firewall or the mint say. */
enum login_result login_grant_token(
    const struct login *l, struct login_call *c, const struct login_grant *g);

/* login_token.c: the authenticator of tokens of L's issuer; L is borrowed. */
struct authn *login_token_new(struct login *l);

#endif
