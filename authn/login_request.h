/* Who says to be whom, out of what a client sent to POST /login. */
#ifndef AUTHN_LOGIN_REQUEST_H
#define AUTHN_LOGIN_REQUEST_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

/* An Authorization header with the longest name and password, and room. */
#define LOGIN_HEADER_MAX ((size_t)4 << 10)
/* A body with the same, each byte escaped. */
#define LOGIN_BODY_MAX ((size_t)16 << 10)

struct login_request {
	struct slice username, password; /* any bytes; may be empty */
	struct slice directory; /* empty: not said */
};

/* AUTHORIZATION (Basic, RFC 7617: split at the first colon) when it is not empty, else BODY, a JSON
 * object of username, password and optionally directory, and nothing else. Borrows from BODY and
 * ARENA, whose owner wipes both. ERR_INVALID for anything else; E repeats nothing of the input. */
enum err_code login_request_parse(struct slice authorization, struct slice body,
    struct arena *arena, struct login_request *out, struct err *e) MUST_CHECK;

#endif
