/* Ed25519 signatures (RFC 8032) with keys as PEM files: for texts that must be from known hands. */
#ifndef COMMON_SIGN_H
#define COMMON_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

#define SIGN_LEN 64	  /* of a signature */
#define SIGN_KEY_LEN 32	  /* of a public key */
#define SIGN_ID_LEN 16	  /* hex digits that name a key: enough for people; keys are compared whole */
#define SIGN_PEM_MAX ((size_t)16 << 10)

/* A public key. ID: the first digits of the SHA-256 of its DER SubjectPublicKeyInfo, what
 * `openssl pkey -pubin -outform DER | sha256sum` prints. */
struct sign_key {
	uint8_t raw[SIGN_KEY_LEN];
	char id[SIGN_ID_LEN + 1];
};

/* The one "PUBLIC KEY" of PEM. ERR_INVALID: none, no Ed25519 key, or something behind it. */
enum err_code sign_public_key(struct slice pem, struct sign_key *out, struct err *e) MUST_CHECK;

/* Signs TEXT by the unencrypted private key PEM; BY is its public half. ERR_INVALID as above. */
enum err_code sign_make(struct slice pem, struct slice text, uint8_t out[SIGN_LEN],
    struct sign_key *by, struct err *e) MUST_CHECK;

/* True only when SIGNATURE is KEY's over exactly TEXT. Thread-safe. */
bool sign_check(
    const struct sign_key *key, struct slice text, const uint8_t signature[SIGN_LEN]) MUST_CHECK;

#endif
