/* What a token looks like, for people: nothing of it is verified. */
#ifndef AUTHN_LOOK_H
#define AUTHN_LOOK_H

#include "common/arena.h"
#include "common/str.h"

/* Names of claims that are told. */
#define LOOK_CLAIMS_MAX 100

/* A time claim. */
struct look_time {
	bool have, bad; /* it is there; it is there and no whole number */
	int64_t at;	/* unix seconds */
};

struct token_look {
	enum { LOOK_OPAQUE, LOOK_BASIC, LOOK_JWT } form;
	const char *why; /* why no JWT, or none that can be accepted; NULL: nothing to say. Quotes nothing. */
	/* of a JWT */
	const char *alg; /* "" when it is none of ours */
	bool has_kid;
	struct slice kid, typ, iss; /* may be empty */
	const struct slice *aud;
	size_t naud;
	struct look_time exp, nbf, iat;
	const struct slice *claims; /* names, sorted */
	size_t nclaims;
};

/* The look of TEXT; lives in A and in TEXT. Strings are the token's own: to be escaped before they are shown. */
void token_look(struct arena *a, struct slice text, struct token_look *out);

#endif
