/* Proves that a key set admits what it should, skips bad keys one by one, and never becomes empty: rows 47 to
 * 51 of the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/bn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "authn/keyset.h"
#include "authn/limits.h"
#include "common/jsonx.h"
#include "tests/support/crypto.h"

static EVP_PKEY *rsa, *ec;
static char *good; /* JWK of rsa, kid "good" */

static int set_up(void **state)
{
	(void)state;
	jsonx_init();
	rsa = crypto_rsa(2048, 65537);
	ec = crypto_ec("P-256");
	good = crypto_jwk(rsa, "good", NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
	free(good);
	return 0;
}

/* 1 when a JWK is admitted beside a good one, 0 when it is skipped alone. */
static size_t admitted(const char *jwk)
{
	const char *list[] = {jwk, good};
	char *text = crypto_jwks(list, 2);
	struct keyset *s = NULL;
	struct err e = {0};
	assert_int_equal(keyset_parse(slice_of(text), &s, &e), ERR_OK);
	assert_int_equal(keyset_len(s) + keyset_skipped(s), 2);
	size_t n = keyset_len(s) - 1;
	keyset_unref(&s);
	free(text);
	return n;
}

static size_t admitted_key(EVP_PKEY *key, const char *extra)
{
	char *jwk = crypto_jwk(key, "x", extra);
	size_t n = admitted(jwk);
	free(jwk);
	return n;
}

/* An RSA JWK of any numbers. */
static size_t admitted_rsa(const BIGNUM *n, unsigned long e)
{
	unsigned char raw[4096], exp[8];
	struct buf b;
	BIGNUM *eb = BN_new();
	BN_set_word(eb, e);
	char *ns = crypto_b64(raw, (size_t)BN_bn2bin(n, raw));
	char *es = crypto_b64(exp, (size_t)BN_bn2bin(eb, exp));
	buf_init(&b, 1 << 16);
	buf_printf(&b, "{\"kty\":\"RSA\",\"kid\":\"x\",\"n\":\"%s\",\"e\":\"%s\"}", ns, es);
	size_t r = admitted(buf_cstr(&b));
	buf_done(&b);
	BN_free(eb);
	free(ns), free(es);
	return r;
}

static struct keyset *parsed(const char *text)
{
	struct keyset *s = NULL;
	struct err e = {0};
	assert_int_equal(keyset_parse(slice_of(text), &s, &e), ERR_OK);
	return s;
}

static void test_the_same_keys_in_another_spelling_are_the_same_set(void **state)
{
	(void)state;
	char *other = crypto_jwk(ec, "other", NULL);
	const char *ab[] = {good, other}, *ba[] = {other, good, "{\"kty\":\"oct\",\"k\":\"AA\"}"};
	char *one = crypto_jwks(ab, 2), *two = crypto_jwks(ba, 3), *less = crypto_jwks(ab, 1);
	char *renamed = crypto_jwk(ec, "another", NULL);
	const char *ar[] = {good, renamed};
	char *three = crypto_jwks(ar, 2);
	struct keyset *a = parsed(one), *b = parsed(two), *c = parsed(less), *d = parsed(three);
	assert_true(keyset_same(a, a));
	assert_true(keyset_same(a, b));
	assert_false(keyset_same(a, c));
	assert_false(keyset_same(c, a));
	assert_false(keyset_same(a, d));
	assert_false(keyset_same(NULL, a));
	assert_false(keyset_same(a, NULL));
	assert_true(keyset_same(NULL, NULL));
	keyset_unref(&a), keyset_unref(&b), keyset_unref(&c), keyset_unref(&d);
	free(one), free(two), free(three), free(less), free(other), free(renamed);
}

static void test_row47_weak_rsa_keys(void **state)
{
	(void)state;
	BIGNUM *n = BN_new();
	EVP_PKEY *small = crypto_rsa(1024, 65537), *three = crypto_rsa(2048, 3);
	assert_int_equal(admitted_key(rsa, NULL), 1);
	assert_int_equal(admitted_key(small, NULL), 0);
	assert_int_equal(admitted_key(three, NULL), 0);
	assert_int_equal(EVP_PKEY_get_bn_param(rsa, "n", &n), 1);
	static const unsigned long exponents[] = {0, 1, 2, 3, 17, 65535, 65536, 65538};
	for (size_t i = 0; i < ARRAY_LEN(exponents); i++)
		assert_int_equal(admitted_rsa(n, exponents[i]), 0);
	assert_int_equal(admitted_rsa(n, 65537), 1);
	assert_int_equal(admitted_rsa(n, 65539), 1);
	assert_int_equal(admitted_rsa(n, 0x100000001UL), 0); /* past 32 bits */
	BN_add_word(n, 1); /* even */
	assert_int_equal(admitted_rsa(n, 65537), 0);
	/* 2047 bits, and far too long. */
	BN_one(n);
	BN_lshift(n, n, 2046);
	BN_add_word(n, 1);
	assert_int_equal(admitted_rsa(n, 65537), 0);
	BN_one(n);
	BN_lshift(n, n, RSA_BITS_MAX);
	BN_add_word(n, 1);
	assert_int_equal(admitted_rsa(n, 65537), 0);
	BN_free(n);
	EVP_PKEY_free(small);
	EVP_PKEY_free(three);
}

static void test_row47_roca_modulus(void **state)
{
	(void)state;
	/* n = 65537^c mod M + t * M has that generator's fingerprint for every prime of M. */
	static const unsigned primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59,
	    61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151,
	    157, 163, 167};
	BN_CTX *c = BN_CTX_new();
	BIGNUM *m = BN_new(), *n = BN_new(), *g = BN_new(), *x = BN_new(), *t = BN_new();
	BN_one(m);
	for (size_t i = 0; i < ARRAY_LEN(primes); i++)
		BN_mul_word(m, primes[i]);
	BN_set_word(g, 65537);
	BN_set_word(x, 987654321);
	assert_int_equal(BN_mod_exp(n, g, x, m, c), 1);
	BN_one(t);
	BN_lshift(t, t, 2047 - BN_num_bits(m) + 1);
	assert_int_equal(BN_mul(t, t, m, c), 1);
	BN_add(n, n, t);
	assert_true(BN_num_bits(n) >= 2048);
	assert_int_equal(admitted_rsa(n, 65537), 0);
	BN_add_word(n, 2); /* the neighbour has not */
	assert_int_equal(admitted_rsa(n, 65537), 1);
	BN_free(m), BN_free(n), BN_free(g), BN_free(x), BN_free(t);
	BN_CTX_free(c);
}

static void test_row48_bad_points(void **state)
{
	(void)state;
	static const char *const jwks[] = {
	    /* not on the curve; (0,0); one byte short; one byte more; hybrid lengths; another curve's length */
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\","
	    "\"y\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"}",
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
	    "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"\",\"y\":\"\"}",
	    "{\"kty\":\"EC\",\"crv\":\"P-256\"}",
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":5,\"y\":6}",
	    "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AQ\",\"y\":\"AQ\"}",
	    "{\"kty\":\"EC\",\"x\":\"AQ\",\"y\":\"AQ\"}",
	};
	assert_int_equal(admitted_key(ec, NULL), 1);
	for (size_t i = 0; i < ARRAY_LEN(jwks); i++)
		assert_int_equal(admitted(jwks[i]), 0);
	/* A good point under the name of another curve, and with a coordinate cut or padded. */
	char *jwk = crypto_jwk(ec, "x", NULL), *p = strstr(jwk, "P-256");
	memcpy(p, "P-384", 5);
	assert_int_equal(admitted(jwk), 0);
	memcpy(p, "P-521", 5);
	assert_int_equal(admitted(jwk), 0);
	memcpy(p, "P-256", 5);
	assert_int_equal(admitted(jwk), 1);
	char *y = strstr(jwk, "\"y\":\"") + 5;
	memmove(y + 1, y, strlen(y) - 1); /* the last brace makes room */
	struct buf b;
	buf_init(&b, 4096);
	buf_printf(&b, "%s}", jwk);
	assert_int_equal(admitted(buf_cstr(&b)), 0);
	buf_done(&b);
	free(jwk);
}

static void test_rows49_and_50_foreign_keys_are_skipped_alone(void **state)
{
	(void)state;
	static const char *const jwks[] = {
	    "{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"alg\":\"HS256\"}",
	    "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
	    "{\"kty\":\"AKP\"}",
	    "{\"kty\":\"rsa\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
	    "{\"n\":\"AQAB\",\"e\":\"AQAB\"}",
	    "{\"kty\":5}",
	    "{}",
	    "[]",
	    "null",
	    "\"key\"",
	    "{\"kty\":\"RSA\"}",
	    "{\"kty\":\"RSA\",\"n\":\"****\",\"e\":\"AQAB\"}",
	};
	for (size_t i = 0; i < ARRAY_LEN(jwks); i++)
		assert_int_equal(admitted(jwks[i]), 0);
	static const char *const extras[] = {",\"d\":\"AQAB\"", ",\"p\":\"AQ\"", ",\"k\":\"AQ\"",
	    ",\"dp\":\"AQ\"", ",\"qi\":\"AQ\"", ",\"oth\":[]"};
	for (size_t i = 0; i < ARRAY_LEN(extras); i++)
		assert_int_equal(admitted_key(rsa, extras[i]), 0);
	assert_int_equal(admitted_key(ec, ",\"d\":\"AQAB\""), 0);
	/* kid must be a string of sane length; other members do not matter. */
	char *jwk = crypto_jwk(rsa, NULL, ",\"kid\":5");
	assert_int_equal(admitted(jwk), 0);
	free(jwk);
	assert_int_equal(admitted_key(rsa, ",\"x5c\":[\"MIIB\"],\"x5t\":\"a\",\"exp\":1"), 1);
}

static void test_row49_two_keys_of_one_kid_are_both_tried(void **state)
{
	(void)state;
	EVP_PKEY *other = crypto_rsa(2048, 65537);
	char *a = crypto_jwk(rsa, "same", NULL), *b = crypto_jwk(other, "same", NULL);
	const char *list[] = {a, b};
	char *text = crypto_jwks(list, 2);
	struct keyset *s = NULL;
	struct arena arena;
	arena_init(&arena, 0);
	assert_int_equal(keyset_parse(slice_of(text), &s, NULL), ERR_OK);
	assert_int_equal(keyset_len(s), 2);
	EVP_PKEY *keys[] = {rsa, other, ec};
	for (size_t i = 0; i < 3; i++) {
		struct jose_token t;
		struct err e = {0};
		char *token = crypto_token(
		    keys[i], i == 2 ? "ES256" : "RS256", "same", NULL, "{\"iss\":\"x\"}");
		assert_int_equal(jose_parse(&arena, slice_of(token), &t, &e), ERR_OK);
		assert_int_equal(keyset_verify(s, &t, JOSE_ALGS_ALL, NULL, &e),
		    i == 2 ? KEYSET_BAD_SIGNATURE : KEYSET_VERIFIED);
		free(token);
	}
	keyset_unref(&s);
	arena_done(&arena);
	free(a), free(b), free(text);
	EVP_PKEY_free(other);
}

static void test_row51_what_is_no_key_set(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err_code code;
	} cases[] = {
	    {"", ERR_INVALID},
	    {"<html><body>Not found</body></html>", ERR_INVALID},
	    {"{\"keys\":[]}", ERR_INVALID},
	    {"{\"keys\":{}}", ERR_INVALID},
	    {"{\"keys\":null}", ERR_INVALID},
	    {"{}", ERR_INVALID},
	    {"[]", ERR_INVALID},
	    {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}", ERR_INVALID},
	    {"{\"keys\":[],\"keys\":[]}", ERR_INVALID},
	    {"{\"error\":\"temporarily_unavailable\"}", ERR_INVALID},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct keyset *s = NULL;
		struct err e = {0};
		assert_int_equal(keyset_parse(slice_of(cases[i].text), &s, &e), cases[i].code);
		assert_null(s);
		assert_true(e.msg[0] != '\0');
	}
}

static void test_limits(void **state)
{
	(void)state;
	const char *list[KEYSET_KEYS_MAX + 1];
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		list[i] = good;
	struct keyset *s = NULL;
	char *text = crypto_jwks(list, KEYSET_KEYS_MAX);
	assert_int_equal(keyset_parse(slice_of(text), &s, NULL), ERR_OK);
	assert_int_equal(keyset_len(s), KEYSET_KEYS_MAX);
	keyset_unref(&s);
	free(text);
	text = crypto_jwks(list, KEYSET_KEYS_MAX + 1);
	assert_int_equal(keyset_parse(slice_of(text), &s, NULL), ERR_LIMIT);
	free(text);
	char *large = malloc(KEYSET_BYTES_MAX + 1);
	memset(large, ' ', KEYSET_BYTES_MAX + 1);
	assert_int_equal(
	    keyset_parse((struct slice){large, KEYSET_BYTES_MAX + 1}, &s, NULL), ERR_LIMIT);
	free(large);
}

static void *use_set(void *arg)
{
	struct keyset *s = keyset_ref(arg);
	for (int i = 0; i < 10000; i++) {
		struct keyset *t = keyset_ref(s);
		keyset_unref(&t);
	}
	keyset_unref(&s);
	return NULL;
}

static void test_sets_are_shared_between_threads(void **state)
{
	(void)state;
	const char *list[] = {good};
	char *text = crypto_jwks(list, 1);
	struct keyset *s = NULL;
	pthread_t threads[4];
	assert_int_equal(keyset_parse(slice_of(text), &s, NULL), ERR_OK);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_set, s), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	keyset_unref(&s);
	assert_null(s);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_same_keys_in_another_spelling_are_the_same_set),
	    cmocka_unit_test(test_row47_weak_rsa_keys),
	    cmocka_unit_test(test_row47_roca_modulus),
	    cmocka_unit_test(test_row48_bad_points),
	    cmocka_unit_test(test_rows49_and_50_foreign_keys_are_skipped_alone),
	    cmocka_unit_test(test_row49_two_keys_of_one_kid_are_both_tried),
	    cmocka_unit_test(test_row51_what_is_no_key_set),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_sets_are_shared_between_threads),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
