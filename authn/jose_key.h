/* What jose.c and keyset.c know of a key; nobody else. */
#ifndef AUTHN_JOSE_KEY_H
#define AUTHN_JOSE_KEY_H

#include <cjose/cjose.h>

#include "common/secret.h"
#include "common/str.h"

struct jose_key {
	cjose_jwk_t *jwk; /* shared read-only: its own counter is not atomic, so it is never touched */
	struct arena arena;
	struct slice kid;
	unsigned algs;	  /* JOSE_BIT()s it may verify, fixed at import */
	size_t sig_len;	  /* exact length of each of its signatures */
	/* own keys only: members as JWK text */
	struct slice x, y;
	struct secret d;
};

#endif
