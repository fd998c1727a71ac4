/* Owns the two forms of a login: the Basic header and the JSON body. */
#include "authn/login_request.h"

#include <strings.h>

#include "common/base64url.h"
#include "common/jsonscan.h"
#include "common/secret.h"

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

static bool read_one(struct jsonscan *s, const char *member, struct slice *out)
{
	struct slice key;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, member))
			jsonscan_string(s, out);
		else
			jsonscan_fail(s, "unknown member");
	}
	return jsonscan_finish(s) && out->len > 0;
}

static bool parse_one(struct slice body, const char *member, struct arena *arena, struct slice *out)
{
	struct jsonscan s;
	*out = (struct slice){0};
	jsonscan_init(&s, body, arena);
	return body.len <= LOGIN_TOKEN_BODY_MAX && jsonscan_enter_object(&s) && read_one(&s, member, out);
}

enum err_code login_handle_parse(
    struct slice body, struct arena *arena, struct slice *out, struct err *e)
{
	if (!parse_one(body, "refreshToken", arena, out))
		return err_set(e, ERR_INVALID, "body is not a JSON object of refreshToken");
	return ERR_OK;
}

/* + is a blank, %XX a byte. */
static bool decode_form(struct arena *arena, struct slice in, struct slice *out)
{
	char *p = arena_alloc(arena, in.len + 1);
	size_t n = 0;
	for (size_t i = 0; i < in.len; i++) {
		char c = in.p[i] == '+' ? ' ' : in.p[i];
		if (c == '%') {
			uint8_t byte;
			struct slice rest = slice_skip(in, i + 1);
			if (rest.len < 2 || !hex_decode((struct slice){rest.p, 2}, &byte, 1))
				return false;
			c = (char)byte;
			i += 2;
		}
		p[n++] = c;
	}
	*out = (struct slice){p, n};
	return true;
}

static bool parse_form(struct slice body, struct arena *arena, struct slice *out)
{
	size_t tokens = 0;
	while (body.len) {
		struct slice pair = {body.p, slice_find(body, '&')}, name, value;
		body = slice_skip(body, pair.len + 1);
		size_t equals = slice_find(pair, '=');
		if (!decode_form(arena, (struct slice){pair.p, equals}, &name) ||
		    !decode_form(arena, slice_skip(pair, equals + 1), &value))
			return false;
		if (slice_is(name, "token")) {
			*out = value;
			tokens++;
		}
	}
	return tokens == 1 && out->len > 0;
}

enum err_code login_revoke_parse(
    struct slice body, bool form, struct arena *arena, struct slice *out, struct err *e)
{
	*out = (struct slice){0};
	bool ok = form ? body.len <= LOGIN_TOKEN_BODY_MAX && parse_form(body, arena, out)
		       : parse_one(body, "token", arena, out);
	return ok ? ERR_OK : err_set(e, ERR_INVALID, "body is neither a form nor a JSON object of token");
}
