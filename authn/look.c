/* Owns what is told of a token by its looks. */
#include "authn/look.h"

#include <stdlib.h>

#include "authn/jose.h"
#include "common/base64url.h"
#include "common/jsonx.h"

static bool is_basic(struct arena *a, struct slice text)
{
	struct slice plain;
	return base64_decode(a, text, &plain) && slice_printable(plain) &&
	       slice_find(plain, ':') < plain.len;
}

static size_t dots(struct slice text)
{
	size_t n = 0;
	for (size_t i = 0; i < text.len; i++)
		n += text.p[i] == '.';
	return n;
}

static struct look_time time_of(const json_t *claims, const char *name)
{
	struct look_time t = {0};
	t.bad = jsonx_int(claims, name, &t.at, &t.have, NULL) != ERR_OK;
	t.have &= !t.bad;
	return t;
}

static void look_at_claims(struct arena *a, json_t *claims, struct token_look *out)
{
	const char *key;
	json_t *value;
	struct slice *aud = NULL, *names = ARENA_ARRAY(a, struct slice, LOOK_CLAIMS_MAX);
	if (jsonx_strings(claims, "aud", true, a, &aud, &out->naud, NULL) != ERR_OK)
		out->naud = 0;
	out->aud = aud;
	out->exp = time_of(claims, "exp");
	out->nbf = time_of(claims, "nbf");
	out->iat = time_of(claims, "iat");
	json_object_foreach(claims, key, value)
		if (out->nclaims < LOOK_CLAIMS_MAX)
			names[out->nclaims++] = slice_dup(a, slice_of(key));
	qsort(names, out->nclaims, sizeof(*names), slice_order);
	out->claims = names;
}

static void look_at_jwt(struct arena *a, const struct jose_token *t, struct token_look *out)
{
	out->form = LOOK_JWT;
	out->why = t->header.code == ERR_OK ? NULL : arena_strdup(a, t->header.msg);
	out->alg = t->alg == JOSE_NONE ? "" : jose_alg_name(t->alg);
	out->has_kid = t->has_kid;
	out->kid = t->kid;
	out->typ = t->typ;
	out->iss = t->iss;
	look_at_claims(a, t->claims, out);
}

void token_look(struct arena *a, struct slice text, struct token_look *out)
{
	struct jose_token t;
	struct err why = {0};
	*out = (struct token_look){.form = LOOK_OPAQUE};
	if (jose_parse(a, text, &t, &why) == ERR_OK)
		look_at_jwt(a, &t, out);
	else if (slice_find(text, ' ') < text.len || slice_find(text, '\n') < text.len)
		out->why = "it holds a space or a line break: give the token alone";
	else if (dots(text) >= 2)
		out->why = arena_strdup(a, why.msg);
	else if (is_basic(a, text))
		out->form = LOOK_BASIC;
}
