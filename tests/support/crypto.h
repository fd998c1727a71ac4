/* Keys, certificates and tokens for tests, made with OpenSSL alone: a second opinion on authn/jose.c. */
#ifndef TESTS_SUPPORT_CRYPTO_H
#define TESTS_SUPPORT_CRYPTO_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "common/str.h"

/* Everything aborts on failure. Texts are malloc'ed, for the caller to free. */

EVP_PKEY *crypto_rsa(unsigned bits, unsigned long exponent);
EVP_PKEY *crypto_ec(const char *curve); /* "P-256", "P-384", "P-521", "secp256k1" */
EVP_PKEY *crypto_ed(const char *curve); /* "ED25519", "ED448" */

/* Public JWK of KEY; EXTRA is put in as it is (",\"use\":\"sig\"") or NULL. KID may be NULL. */
char *crypto_jwk(EVP_PKEY *key, const char *kid, const char *extra);
char *crypto_jwks(const char *const *jwks, size_t n);

char *crypto_b64(const void *p, size_t n);

/* Signature of TEXT as a JWS carries it (ES: r and s, raw), by ALG ("RS256", "PS384", "ES512", "EdDSA", …), which
 * need not fit the key's curve. SALT: PSS salt length, -1 for the digest's. *N is its length. */
unsigned char *crypto_signature(
    EVP_PKEY *key, const char *alg, int salt, const char *text, size_t *n);

/* Compact form of any header and payload texts with any signature bytes. */
char *crypto_compact(const char *header, const char *payload, const void *sig, size_t n);

/* A token signed properly; HEADER NULL: {"alg":ALG,"kid":KID}. */
char *crypto_token(
    EVP_PKEY *key, const char *alg, const char *kid, const char *header, const char *payload);

/* EVP_DigestVerify's opinion on a compact token under ALG. */
bool crypto_verifies(EVP_PKEY *key, const char *alg, const char *token);

/* --- certificates --- */

struct crypto_cert {
	char *cert, *key; /* PEM */
};

/* CA NULL: self-signed (a CA certificate when SAN is NULL). SAN as openssl.cnf has it: "DNS:a,IP:1.2.3.4".
 * DAYS from now, may be negative. */
struct crypto_cert crypto_cert(
    const struct crypto_cert *ca, const char *cn, const char *san, int days);
void crypto_cert_free(struct crypto_cert *c);

#endif
