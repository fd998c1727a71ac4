/* POST /login: a directory password for a short-lived token of our own issuer and a handle that renews it for
 * a while, POST /refresh and /revoke for that handle, and the issuer's public documents. Transport-free: the server parses nothing but hands over header and body. */
#ifndef AUTHN_LOGIN_H
#define AUTHN_LOGIN_H

#include "authn/authn.h"

enum login_result {
	LOGIN_REFUSED = 0, /* 401: wrong user or password; one text for all causes */
	LOGIN_OK,
	LOGIN_BAD_REQUEST, /* 400 */
	LOGIN_UNAVAILABLE, /* 503 */
	LOGIN_LIMITED	   /* 429 with Retry-After: too many failures of this user or in all */
};

struct login_call {
	struct arena *arena; /* wiped by its owner: holds the password */
	struct slice authorization; /* header value: Basic …; or empty */
	/* /login: JSON {"username","password","directory"?}, used when no header; /refresh: {"refreshToken"};
	 * /revoke: {"token"}, or with FORM token=… (RFC 7009 2.1). */
	struct slice body;
	bool form;		    /* the body is application/x-www-form-urlencoded */
	struct slice client;	    /* IP address of who asks; empty: unknown */
	int64_t now, deadline;	    /* as in authn_call */
	/* out */
	struct slice token;	/* the JWT */
	int64_t expires;	/* unix seconds */
	struct slice refresh;	/* by /login, when refreshes are configured */
	int64_t refresh_expires;
	struct identity id;	/* set on LOGIN_OK; username is empty otherwise unless an entry was found */
	const char *directory;
	const char *reason;	/* stable word: "badPassword", "noUser", "ambiguous", "emptyPassword", … */
	struct err why;
	int64_t retry_after;	/* seconds, with LOGIN_LIMITED */
};

/* Blocks (LDAP): call on a worker. Thread-safe. */
enum login_result authn_login(const struct authn_chain *c, struct login_call *call);

/* A handle that a login gave for a new token: the account and its groups are read anew. LOGIN_REFUSED: the
 * session is over, was ended, or is not that person's any more. Blocks; thread-safe. */
enum login_result authn_refresh(const struct authn_chain *c, struct login_call *call);

/* Ends the session of a token or a handle: none of what it was given is accepted from then on. LOGIN_OK also
 * for what is no token of ours (the reason tells); LOGIN_UNAVAILABLE when it could not be recorded for the
 * time after a restart. Blocks; thread-safe. */
enum login_result authn_revoke(const struct authn_chain *c, struct login_call *call);

/* Keeps house: the signing keys, sessions that other processes ended. Call it every second or so. True when
 * there are other signing keys now. E: what is wrong, the same as long as it is; ERR_OK: nothing. */
bool authn_login_tick(const struct authn_chain *c, struct err *e);

/* The session NAME (empty: none) was ended. Thread-safe, no I/O. */
bool authn_login_ended(const struct authn_chain *c, struct slice name);

/* Another number when a key was added, dropped or exchanged: what was verified before may not be now. */
uint64_t authn_login_generation(const struct authn_chain *c);

/* Seconds for which the bodies below may be kept. */
int64_t authn_login_max_age(void);

/* The JSON bodies of /.well-known/openid-configuration and /jwks; empty when there is no login. */
void authn_login_discovery(const struct authn_chain *c, struct buf *out);
void authn_login_jwks(const struct authn_chain *c, struct buf *out);

#endif
