/* Owns the two forms of a login: the Basic header and the JSON body. */
#include "authn/login_request.h"

#include <strings.h>

#include "common/base64url.h"
#include "common/jsonscan.h"

static enum err_code parse_basic(
    struct slice h, struct arena *arena, struct login_request *out, struct err *e)
{
	if (h.len > LOGIN_HEADER_MAX)
		return err_set(e, ERR_INVALID, "Authorization is too long");
	if (h.len < 6 || strncasecmp(h.p, "Basic ", 6) != 0)
		return err_set(e, ERR_INVALID, "Authorization is not Basic");
	h = slice_skip(h, 6);
	while (h.len > 0 && h.p[0] == ' ')
		h = slice_skip(h, 1);
	struct slice text;
	if (!base64_decode(arena, h, &text))
		return err_set(e, ERR_INVALID, "Authorization is not base64");
	size_t colon = slice_find(text, ':');
	if (colon == text.len)
		return err_set(e, ERR_INVALID, "Authorization holds no colon");
	out->username = (struct slice){text.p, colon};
	out->password = slice_skip(text, colon + 1);
	return ERR_OK;
}

static bool read_members(struct jsonscan *s, struct login_request *out, unsigned *seen)
{
	struct slice key;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "username"))
			*seen |= jsonscan_string(s, &out->username) ? 1 : 0;
		else if (slice_is(key, "password"))
			*seen |= jsonscan_string(s, &out->password) ? 2 : 0;
		else if (slice_is(key, "directory"))
			jsonscan_string(s, &out->directory);
		else
			jsonscan_fail(s, "unknown member");
	}
	return jsonscan_finish(s);
}

static enum err_code parse_body(
    struct slice body, struct arena *arena, struct login_request *out, struct err *e)
{
	struct jsonscan s;
	unsigned seen = 0;
	if (body.len > LOGIN_BODY_MAX)
		return err_set(e, ERR_INVALID, "body is too long");
	jsonscan_init(&s, body, arena);
	if (!jsonscan_enter_object(&s) || !read_members(&s, out, &seen) || seen != 3)
		return err_set(e, ERR_INVALID,
		    "body is not a JSON object of username, password and optionally directory");
	return ERR_OK;
}

enum err_code login_request_parse(struct slice authorization, struct slice body,
    struct arena *arena, struct login_request *out, struct err *e)
{
	*out = (struct login_request){0};
	if (authorization.len > 0)
		return parse_basic(authorization, arena, out, e);
	return parse_body(body, arena, out, e);
}
