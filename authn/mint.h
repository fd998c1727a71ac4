/* Our own issuer: its signing keys, and tokens signed with them. */
#ifndef AUTHN_MINT_H
#define AUTHN_MINT_H

#include "authn/jose.h"

/* Keys in the file: one signs, the others still verify, or will. */
#define MINT_KEYS_MAX 16
#define MINT_KEYS_BYTES_MAX ((size_t)64 << 10)

/* How long others may keep what mint_jwks says (Cache-Control), and how long before it signs a key is in
 * there: whoever keeps it for ten times as long still knows each key in time. */
#define MINT_JWKS_MAX_AGE_S 300
#define MINT_AHEAD_S 3600

/* In the state directory. */
#define MINT_FILE "login-keys"

struct mint;

/* Reads STATE_DIR/login-keys: one private JWK (EC P-256) a line. A line may say from when on its key signs
 * (nbf, unix seconds; absent: always); of those that do, the one that began last signs, the first of several.
 * Makes the file with a new key when there is none (0600, durable; one process at a time). STATE_DIR NULL: a
 * key of this process alone. ERR_REFUSED when others than owner and group may read the file, ERR_INVALID when
 * it holds no usable keys (it is never replaced then). */
enum err_code mint_open(const char *state_dir, struct mint **out, struct err *e) MUST_CHECK;
void mint_free(struct mint **m);

/* Reads the file again when it has changed, and does what is due: with ROTATION (ns) > 0 each key signs for
 * so long, its successor is published MINT_AHEAD_S before, and itself verifies for as long as a session can
 * last; then it goes. Call it every second or so. On an error the keys in memory serve on; E says why.
 * *CHANGED: there are other keys now. Thread-safe. */
enum err_code mint_tick(struct mint *m, int64_t rotation, bool *changed, struct err *e) MUST_CHECK;

/* Grows with each change of the keys. Thread-safe. */
uint64_t mint_generation(const struct mint *m);

/* What a token of ours says. Slices are not empty unless noted. */
struct mint_claims {
	/* A handle for POST /refresh, header typ refresh+jwt; else a token for the apiserver, typ JWT. */
	bool refresh;
	struct slice issuer, subject;
	struct slice username; /* as Kubernetes sees it: preferred_username */
	struct slice directory; /* configured name */
	struct slice account; /* canonical name there */
	struct slice uid; /* may be empty */
	struct slice session; /* sid; may be empty */
	struct slice version; /* of the account's credentials at login; may be empty */
	struct slice id; /* jti: set by mint_read */
	const struct slice *audiences;
	size_t naudiences;
	const struct slice *groups; /* written only */
	size_t ngroups;
	int64_t issued, expires; /* unix seconds */
	int64_t login; /* auth_time: when the password was given; 0: not said */
	int64_t session_end; /* 0: not said */
};

/* C as an ES256 token in ARENA, with nbf, and a fresh jti. ERR_LIMIT when it would be too long. Thread-safe. */
enum err_code mint_sign(struct mint *m, const struct mint_claims *c, struct arena *arena,
    struct slice *token, struct err *e) MUST_CHECK;

/* ERR_OK only when T is signed by one of our keys. Says nothing about issuer or times. Thread-safe.
 */
enum err_code mint_verify(struct mint *m, const struct jose_token *t, struct err *e) MUST_CHECK;

/* True when T's header says a handle for POST /refresh. */
bool mint_typ_is_refresh(const struct jose_token *t);

/* The claims of a verified token; strings live as long as T's arena. ERR_INVALID when one that
 * mint_sign writes is missing or of another type. */
enum err_code mint_read(const struct jose_token *t, struct arena *arena, struct mint_claims *c,
    struct err *e) MUST_CHECK;

/* {"keys":[…]}: the public halves, of keys to come too. */
void mint_jwks(struct mint *m, struct buf *out);

#endif
