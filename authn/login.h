/* POST /login: a directory password for a short-lived token of our own issuer, and that issuer's public
 * documents. Transport-free: the server parses nothing but hands over header and body. */
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
	struct slice body;	    /* JSON {"username","password","directory"?}; used when no header */
	struct slice client;	    /* IP address of who asks; empty: unknown */
	int64_t now, deadline;	    /* as in authn_call */
	/* out */
	struct slice token;	/* the JWT */
	int64_t expires;	/* unix seconds */
	struct identity id;	/* set on LOGIN_OK; username is empty otherwise unless an entry was found */
	const char *directory;
	const char *reason;	/* stable word: "badPassword", "noUser", "ambiguous", "emptyPassword", … */
	struct err why;
	int64_t retry_after;	/* seconds, with LOGIN_LIMITED */
};

/* Blocks (LDAP): call on a worker. Thread-safe. */
enum login_result authn_login(const struct authn_chain *c, struct login_call *call);

/* The JSON bodies of /.well-known/openid-configuration and /jwks; empty when there is no login. */
void authn_login_discovery(const struct authn_chain *c, struct buf *out);
void authn_login_jwks(const struct authn_chain *c, struct buf *out);

#endif
