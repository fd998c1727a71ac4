/* Signed tokens (RFC 7515 compact form): strict reading, verification, signing. With keyset.c the only
 * user of cjose, which is trusted with nothing but the mathematics. */
#ifndef AUTHN_JOSE_H
#define AUTHN_JOSE_H

#include <jansson.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

/* Zero is no algorithm. Neither HS* nor none have a value: nothing can permit them. */
enum jose_alg {
	JOSE_NONE = 0,
	JOSE_RS256,
	JOSE_RS384,
	JOSE_RS512,
	JOSE_PS256,
	JOSE_PS384,
	JOSE_PS512,
	JOSE_ES256,
	JOSE_ES384,
	JOSE_ES512,
	JOSE_EDDSA, /* RFC 8037: by the key's curve; the next two say which (RFC 9864) */
	JOSE_ED25519,
	JOSE_ED448
};

#define JOSE_BIT(alg) (1u << (alg))
#define JOSE_ALGS_ALL 0x1FFEu

/* JOSE_NONE for any other name, in any case but the exact one. */
enum jose_alg jose_alg_of(struct slice name);
const char *jose_alg_name(enum jose_alg alg);

/* --- keys --- */

/* Immutable once made; may be read by many threads. */
struct jose_key;

/* A public key of a JWK set. Admission: kty RSA (2048 to 8192 bits, odd exponent from 65537 on, no
 * ROCA modulus), EC (P-256, P-384, P-521; coordinates of exact length, point on the curve) or OKP (Ed25519,
 * Ed448; a point of exact length, on the curve, in its one spelling, not of small order); `use` absent or sig; `key_ops` absent or with verify; `alg` absent or one of ours that fits; no private or
 * symmetric member. What the key may verify is fixed here. E says why it was refused. */
enum err_code jose_key_import(const json_t *jwk, struct jose_key **out, struct err *e) MUST_CHECK;

/* An EC P-256 private key of our own as JWK JSON with x, y, d and kid. */
enum err_code jose_key_import_private(struct slice jwk, struct jose_key **out,
    struct err *e) MUST_CHECK;

/* A new EC P-256 private key; its kid is the RFC 7638 thumbprint. */
enum err_code jose_key_generate(struct jose_key **out, struct err *e) MUST_CHECK;

/* JWK JSON on one line, with kid, use sig and alg ES256. PRIVATE adds d: OUT must then be wiped
 * (buf_wipe_done). Only for keys of jose_key_generate and jose_key_import_private. */
enum err_code jose_key_export(const struct jose_key *k, bool private, struct buf *out,
    struct err *e) MUST_CHECK;

void jose_key_free(struct jose_key **k); /* wipes private parts */

/* Empty when the JWK had none. Lives as long as the key. */
struct slice jose_key_kid(const struct jose_key *k);

/* Bits of what the key may verify. */
unsigned jose_key_algs(const struct jose_key *k);

/* CLAIMS, the text of a JSON object, signed by ES256 in compact form, header {alg, kid, typ: TYP}. TYP
 * may be NULL. ERR_INTERNAL when K has no private part or libcrypto fails. */
enum err_code jose_sign_es256(const struct jose_key *k, const char *typ, struct slice claims,
    struct buf *out, struct err *e) MUST_CHECK;

/* --- tokens --- */

struct jose_token {
	struct slice text;	/* as it came */
	json_t *claims;		/* not verified before jose_verify says so; owned by the arena */
	struct slice iss;	/* empty when absent or no string */
	enum jose_alg alg;
	bool has_kid;
	struct slice kid;
	struct slice typ;	/* empty when absent */
	size_t signing_len;	/* bytes of text that are signed */
	struct slice signature; /* decoded */
	/* A jku that is all there is against the header, and the alg beside it: jose_without_jku. */
	struct slice jku;
	enum jose_alg jku_alg;
	/* ERR_OK, or why the header is refused (then alg is JOSE_NONE and nothing verifies). Apart from
	 * the return value, so that a token of ours with a bad header is refused as ours. */
	struct err header;
};

/* Splits and decodes; verifies nothing. ERR_INVALID when TEXT is no signed token in compact form: not
 * three parts, not canonical base64url, payload no strict JSON object; ERR_LIMIT when too long. */
enum err_code jose_parse(
    struct arena *a, struct slice text, struct jose_token *out, struct err *e) MUST_CHECK;

/* The iss that jose_parse would find, empty when TEXT is no token or has none: cheap, for the many tokens
 * that are not ours. jose_parse may still refuse what this reads. */
struct slice jose_peek_issuer(struct arena *a, struct slice text);

/* ERR_OK only when T's signature verifies with K under an algorithm that T names, K permits and ALGS
 * (bits) allows. ERR_REFUSED for everything else; E says what. Thread-safe. */
enum err_code jose_verify(const struct jose_token *t, const struct jose_key *k, unsigned algs,
    struct err *e) MUST_CHECK;

/* *OUT is T without its jku, when that is all there is against T's header and it points to where ORIGIN
 * ("https://host:port") is: UAA puts one on every token. It is never looked at for keys. */
bool jose_without_jku(const struct jose_token *t, struct slice origin, struct jose_token *out) MUST_CHECK;

/* RFC 8725 3.11: typ is absent or says a plain JWT, as ID tokens do; at+jwt and the like are not. */
bool jose_typ_is_jwt(const struct jose_token *t);

/* PEM text holds at least one certificate and nothing that does not parse. */
enum err_code jose_check_certificates(struct slice pem, struct err *e) MUST_CHECK;

/* PEM text KEY holds a private key without a passphrase, that of the first certificate of CHAIN. Call it
 * after jose_check_certificates(CHAIN). */
enum err_code jose_check_key(struct slice key, struct slice chain, struct err *e) MUST_CHECK;

#endif
