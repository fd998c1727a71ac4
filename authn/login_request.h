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

/* A body with the longest token, each byte of it escaped. */
#define LOGIN_TOKEN_BODY_MAX ((size_t)128 << 10)

struct login_request {
	struct slice username, password; /* any bytes; may be empty */
	struct slice directory; /* empty: not said */
};

/* AUTHORIZATION (Basic, RFC 7617: split at the first colon) when it is not empty, else BODY, a JSON
 * object of username, password and optionally directory, and nothing else. Borrows from BODY and
 * ARENA, whose owner wipes both. ERR_INVALID for anything else; E repeats nothing of the input. */
enum err_code login_request_parse(struct slice authorization, struct slice body,
    struct arena *arena, struct login_request *out, struct err *e) MUST_CHECK;

/* The handle out of BODY, {"refreshToken": …} and nothing else. Borrows as above. */
enum err_code login_handle_parse(struct slice body, struct arena *arena, struct slice *out,
    struct err *e) MUST_CHECK;

/* The token out of BODY: {"token": …} and nothing else, or with FORM an application/x-www-form-urlencoded one
 * with exactly one `token` and whatever more (RFC 7009 2.1: token_type_hint). */
enum err_code login_revoke_parse(struct slice body, bool form, struct arena *arena, struct slice *out,
    struct err *e) MUST_CHECK;

#endif
