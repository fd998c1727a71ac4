/* Secrets and the primitives around them: wiping, constant-time compare, random bytes, SHA-256. */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

#define SHA256_LEN 32

/* Secret bytes on the heap. A type of its own, so that no printing helper accepts it. */
struct secret {
	char *p;
	size_t len;
};

/* Copies LEN bytes (a NUL is added beyond them). Free with secret_free. */
struct secret secret_new(const void *p, size_t len);
void secret_free(struct secret *s); /* wipes, frees, zeroes */

/* Equal in content, in time that depends on the lengths alone. */
bool secret_equal(const void *a, size_t alen, const void *b, size_t blen);

/* Fills P from the system's CSPRNG; aborts when that fails (no safe way on). */
void secret_random(void *p, size_t n);

/* Digest fetched once per process; thread-safe. */
void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN]);
void sha256_hex(const void *p, size_t n, char out[2 * SHA256_LEN + 1]);

/* HMAC-SHA-256 (RFC 2104) over the N PIECES, each behind its length: no two lists of pieces look alike. */
void hmac_sha256(const uint8_t key[SHA256_LEN], const struct slice *pieces, size_t n,
    uint8_t out[SHA256_LEN]);

/* Running digest over many pieces. */
struct sha256_ctx;
struct sha256_ctx *sha256_begin(void);
void sha256_update(struct sha256_ctx *c, const void *p, size_t n);
void sha256_end(struct sha256_ctx **c, uint8_t out[SHA256_LEN]); /* frees the context */

/* Lower-case hex of N bytes and a NUL into OUT (2 * N + 1). */
void hex_encode(const void *p, size_t n, char *out);

/* Exactly 2 * N lower- or upper-case hex digits into N bytes; false for anything else. */
bool hex_decode(struct slice s, uint8_t *out, size_t n);

/* A ULID: 26 Crockford base-32 characters and a NUL; 48 bits of NOW_MS, 80 random bits. */
void ulid_new(int64_t now_ms, char out[27]);

#endif
