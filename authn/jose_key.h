/* What jose.c, jose_okp.c and keyset.c know of a key; nobody else. */
#ifndef AUTHN_JOSE_KEY_H
#define AUTHN_JOSE_KEY_H

#include <cjose/cjose.h>
#include <openssl/evp.h>

#include "authn/jose.h"
#include "common/secret.h"

struct jose_key {
	cjose_jwk_t *jwk; /* shared read-only: its own counter is not atomic, so it is never touched */
	EVP_PKEY *okp;	  /* in place of jwk: curves that cjose does not have */
	struct arena arena;
	struct slice kid;
	unsigned algs;	  /* JOSE_BIT()s it may verify, fixed at import */
	size_t sig_len;	  /* exact length of each of its signatures */
	/* own keys only: members as JWK text */
	struct slice x, y;
	struct secret d;
};

/* Fills K from an OKP JWK's crv and x (RFC 8037). */
enum err_code okp_import(const json_t *jwk, struct jose_key *k, struct err *e) MUST_CHECK;

/* K->okp made SIG of TEXT. SIG has K's length. Thread-safe. */
bool okp_verifies(const struct jose_key *k, struct slice text, struct slice sig);

void okp_free(struct jose_key *k);

#endif
