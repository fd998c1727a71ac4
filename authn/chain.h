/* The chain's inside, for the files that make authenticators. Everyone else: authn/authn.h. */
#ifndef AUTHN_CHAIN_H
#define AUTHN_CHAIN_H

#include "authn/authn.h"
#include "authn/config.h"
#include "authn/denylist.h"
#include "authn/jose.h"
#include "authn/keystone_config.h"
#include "authn/services.h"

struct login; /* authn/login.c: /login, our own issuer and the authenticator of its tokens */
struct directories; /* authn/directories.h */

/* Immutable once built. Order: token files, our own login tokens, jwt issuers and Keystones as configured,
 * basic tokens. */
struct authn_chain {
	struct arena arena;
	const struct authn_config *cfg; /* borrowed from the snapshot */
	struct authn_services *services;
	struct authn **items;
	size_t n;
	const struct slice *audiences; /* cfg's, as slices */
	struct denylist *denylist;     /* NULL: none configured */
	struct directories *directories; /* NULL: neither a login nor basic tokens */
	struct verdict_cache *cache;   /* NULL: nothing is kept */
	uint64_t id;		       /* of this chain among all of the process */
	struct login *login;	       /* NULL: none configured */
};

/* True when the token is a JWT that says ISSUER: the first question of each authenticator of JWTs, cheap
 * enough for every token of every cluster. Not a verdict, nothing is verified yet. */
bool authn_call_says_issuer(struct authn_call *call, struct slice issuer);

/* The token taken apart, parsed on the first question and shared by all; NULL when it is no JWT. */
const struct jose_token *authn_call_jwt(struct authn_call *call);

/* Sets reason (a constant) and why (secret-free) and returns STEP. */
enum authn_step authn_say(struct authn_call *call, enum authn_step step, const char *reason,
    const char *fmt, ...) PRINTF(4, 5);

/* Tells the call's trace, if it has one, of the check NAME ("audience", "signature", …) and why it failed. */
void authn_check(struct authn_call *call, const char *name, bool passed, const char *detail);

/* --- share.c: what calls for the same token share --- */

/* The token could be ours. AUTHN_PASS: nobody knows yet, go on. Else the outcome, yet to pass the last checks,
 * or AUTHN_SHARED. */
enum authn_step share_begin(const struct authn_chain *c, struct authn_call *call);

/* The call needs work: tells the others. Returns NEEDS_WORK, or SHARED when that work is under way already. */
enum authn_step share_works(const struct authn_chain *c, struct authn_call *call);

/* From here on the call may not be suspended any more. */
void share_busy(struct authn_call *call);

/* The outcome, before the last checks: to be kept, and handed to all who wait. */
void share_end(const struct authn_chain *c, struct authn_call *call, enum authn_step step);

/* After waiting. AUTHN_PASS: to be asked anew. Else the outcome, as with share_begin. */
enum authn_step share_collect(const struct authn_chain *c, struct authn_call *call);
/* Tells the trace that the check NAME has failed, for the reason that call->why says; returns STEP. */
enum authn_step authn_failed(struct authn_call *call, const char *name, enum authn_step step);

/* Tells the trace that ITEM said STEP; returns STEP. */
enum authn_step authn_asked(struct authn_call *call, const struct authn *item, enum authn_step step);

/* Tells the trace what the firewall made of call->id, whose N GROUPS were GROUPS before; returns PASSED. */
bool authn_check_names(
    struct authn_call *call, const struct slice *groups, size_t n, bool passed);

/* Constructors. Each sets *OUT, to NULL when its part is not configured, or adds findings to D. The
 * chain calls ops->destroy of what it was given. */
enum err_code authn_tokenfiles_new(const struct authn_config *cfg, struct authn **out,
    struct diags *d) MUST_CHECK;
enum err_code authn_jwt_new(const struct jwt_config *cfg, struct authn_services *services,
    struct authn **out, struct diags *d) MUST_CHECK;
/* LAST: no other Keystone is asked about a token that this one does not know. */
enum err_code authn_keystone_new(const struct keystone_config *cfg, struct authn_services *services,
    bool last, struct authn **out, struct diags *d) MUST_CHECK;

/* In login.c; called by authn_chain_new when cfg->login is set. AUTHN verifies the issuer's own tokens
 * (try_now: signature; work: the account and its groups); LOGIN serves authn_login*. */
enum err_code authn_login_new(const struct authn_config *cfg, struct authn_services *services,
    const struct directories *directories, struct login **login, struct authn **authn,
    struct diags *d) MUST_CHECK;
void authn_login_free(struct login **l);

/* In basic.c: base64(user:password) as a token, for the directories that take it. DIRECTORIES (borrowed) may
 * be NULL; *OUT is NULL when none of them does. */
void authn_basic_new(const struct directories *directories, struct authn **out);

#endif
