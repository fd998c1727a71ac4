/* Owns libcrypto's digest, random and compare primitives. */
#include "common/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static EVP_MD *digest;
static pthread_once_t digest_once = PTHREAD_ONCE_INIT;

static _Noreturn void crypto_failed(const char *what)
{
	fprintf(stderr, "{\"level\":\"fatal\",\"msg\":\"libcrypto: %s failed\"}\n", what);
	abort();
}

static void digest_fetch(void)
{
	digest = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!digest)
		crypto_failed("fetch of SHA256");
}

struct secret secret_new(const void *p, size_t len)
{
	struct secret s = {malloc(len + 1), len};
	if (!s.p)
		abort();
	if (len)
		memcpy(s.p, p, len);
	s.p[len] = '\0';
	return s;
}

void secret_free(struct secret *s)
{
	if (!s || !s->p)
		return;
	OPENSSL_cleanse(s->p, s->len);
	free(s->p);
	*s = (struct secret){0};
}

bool secret_equal(const void *a, size_t alen, const void *b, size_t blen)
{
	return alen == blen && (alen == 0 || CRYPTO_memcmp(a, b, alen) == 0);
}

void secret_random(void *p, size_t n)
{
	if (n > INT32_MAX || RAND_bytes(p, (int)n) != 1)
		crypto_failed("RAND_bytes");
}

void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	struct sha256_ctx *c = sha256_begin();
	sha256_update(c, p, n);
	sha256_end(&c, out);
}

void sha256_hex(const void *p, size_t n, char out[2 * SHA256_LEN + 1])
{
	uint8_t raw[SHA256_LEN];
	sha256(p, n, raw);
	hex_encode(raw, sizeof(raw), out);
}

struct sha256_ctx *sha256_begin(void)
{
	pthread_once(&digest_once, digest_fetch);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	if (!c || EVP_DigestInit_ex2(c, digest, NULL) != 1)
		crypto_failed("digest init");
	return (struct sha256_ctx *)c;
}

void sha256_update(struct sha256_ctx *c, const void *p, size_t n)
{
	if (n && EVP_DigestUpdate((EVP_MD_CTX *)c, p, n) != 1)
		crypto_failed("digest update");
}

void sha256_end(struct sha256_ctx **c, uint8_t out[SHA256_LEN])
{
	EVP_MD_CTX *ctx = (EVP_MD_CTX *)TAKE(*c);
	if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		crypto_failed("digest final");
	EVP_MD_CTX_free(ctx);
}

#define SHA256_BLOCK 64

static void digest_pad(EVP_MD_CTX *c, const uint8_t key[SHA256_LEN], uint8_t with)
{
	uint8_t pad[SHA256_BLOCK];
	memset(pad, with, sizeof(pad));
	for (size_t i = 0; i < SHA256_LEN; i++)
		pad[i] ^= key[i];
	sha256_update((struct sha256_ctx *)c, pad, sizeof(pad));
	OPENSSL_cleanse(pad, sizeof(pad));
}

void hmac_sha256(const uint8_t key[SHA256_LEN], const struct slice *pieces, size_t n,
    uint8_t out[SHA256_LEN])
{
	struct sha256_ctx *c = sha256_begin();
	EVP_MD_CTX *ctx = (EVP_MD_CTX *)c;
	uint8_t inner[SHA256_LEN];
	digest_pad(ctx, key, 0x36);
	for (size_t i = 0; i < n; i++) {
		uint64_t len = pieces[i].len;
		sha256_update(c, &len, sizeof(len));
		sha256_update(c, pieces[i].p, pieces[i].len);
	}
	if (EVP_DigestFinal_ex(ctx, inner, NULL) != 1 || EVP_DigestInit_ex2(ctx, NULL, NULL) != 1)
		crypto_failed("digest");
	digest_pad(ctx, key, 0x5c);
	sha256_update(c, inner, sizeof(inner));
	sha256_end(&c, out);
}

void hex_encode(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = p;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * n] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(struct slice s, uint8_t *out, size_t n)
{
	if (s.len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(s.p[2 * i]), lo = hex_digit(s.p[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

void ulid_new(int64_t now_ms, char out[27])
{
	static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint8_t raw[16];
	for (int i = 0; i < 6; i++)
		raw[i] = (uint8_t)((uint64_t)now_ms >> (40 - 8 * i));
	secret_random(raw + 6, 10);
	unsigned __int128 v = 0;
	for (int i = 0; i < 16; i++)
		v = v << 8 | raw[i];
	for (int i = 25; i >= 0; i--, v >>= 5)
		out[i] = alphabet[(unsigned)v & 31];
	out[26] = '\0';
}
