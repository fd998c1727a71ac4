/* Our own issuer: its signing keys, and tokens signed with them. */
#ifndef AUTHN_MINT_H
#define AUTHN_MINT_H

#include "authn/jose.h"

/* Keys in the file: one signs, the others still verify. */
#define MINT_KEYS_MAX 16

struct mint;

/* Reads STATE_DIR/login-keys: one private JWK (EC P-256) a line, the first of which signs; makes
 * the file with a new key when there is none (0600, durable). STATE_DIR NULL: a key of this process
 * alone. ERR_REFUSED when others than owner and group may read the file, ERR_INVALID when it holds
 * no usable keys (it is never replaced then). */
enum err_code mint_open(const char *state_dir, struct mint **out, struct err *e) MUST_CHECK;
void mint_free(struct mint **m);

/* What a token of ours says. Slices are not empty unless noted. */
struct mint_claims {
	struct slice issuer, subject;
	struct slice username; /* as Kubernetes sees it: preferred_username */
	struct slice directory; /* configured name */
	struct slice account; /* canonical name there */
	struct slice uid; /* may be empty */
	const struct slice *audiences;
	size_t naudiences;
	int64_t issued, expires; /* unix seconds */
};

/* C as an ES256 token in ARENA, with nbf, and a fresh jti. Thread-safe. */
enum err_code mint_sign(const struct mint *m, const struct mint_claims *c, struct arena *arena,
    struct slice *token, struct err *e) MUST_CHECK;

/* ERR_OK only when T is signed by one of our keys. Says nothing about issuer or times. Thread-safe.
 */
enum err_code mint_verify(
    const struct mint *m, const struct jose_token *t, struct err *e) MUST_CHECK;

/* The claims of a verified token; strings live as long as T's arena. ERR_INVALID when one that
 * mint_sign writes is missing or of another type. */
enum err_code mint_read(const struct jose_token *t, struct arena *arena, struct mint_claims *c,
    struct err *e) MUST_CHECK;

/* {"keys":[…]}: the public halves. */
void mint_jwks(const struct mint *m, struct buf *out);

#endif
