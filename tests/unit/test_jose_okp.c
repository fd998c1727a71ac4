/* Proves that Edwards-curve keys (RFC 8037) are admitted and verify only as their issuer meant it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "authn/keyset.h"
#include "common/base64url.h"
#include "common/jsonx.h"
#include "tests/support/crypto.h"

#define PAYLOAD "{\"iss\":\"https://idp\",\"sub\":\"jane\"}"

/* RFC 8037 appendix A.1 and A.4. */
#define RFC_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define RFC_JWS                                                                                    \
	"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."                                \
	"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

/* The groups' orders, little-endian: RFC 8032 5.1 and 5.2. */
static const unsigned char order25519[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6,
    0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};
static const unsigned char order448[57] = {0xf3, 0x44, 0x58, 0xab, 0x92, 0xc2, 0x78, 0x23, 0x55,
    0x8f, 0xc5, 0x8d, 0x72, 0xc2, 0x6c, 0x21, 0x90, 0x36, 0xd6, 0xae, 0x49, 0xdb, 0x4e, 0xc4, 0xe9,
    0x23, 0xca, 0x7c, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0};

enum { ED25519, ED448, CURVES };

static const struct {
	const char *kid, *alg, *other;
	size_t len; /* of a point, and of each half of a signature */
	const unsigned char *order;
} curve[CURVES] = {
    {"e1", "Ed25519", "Ed448", 32, order25519},
    {"e2", "Ed448", "Ed25519", 57, order448},
};

static struct {
	EVP_PKEY *key[CURVES], *rsa;
	char *rsa_jwk;
	struct keyset *set;
} fx;

static int set_up(void **state)
{
	(void)state;
	jsonx_init();
	fx.key[ED25519] = crypto_ed("ED25519");
	fx.key[ED448] = crypto_ed("ED448");
	fx.rsa = crypto_rsa(2048, 65537);
	fx.rsa_jwk = crypto_jwk(fx.rsa, "rsa", NULL);
	char *jwk[] = {crypto_jwk(fx.key[0], "e1", NULL), crypto_jwk(fx.key[1], "e2", NULL), fx.rsa_jwk};
	char *text = crypto_jwks((const char *const *)jwk, 3);
	struct err e = {0};
	enum err_code code = keyset_parse(slice_of(text), &fx.set, &e);
	free(text), free(jwk[0]), free(jwk[1]);
	return code == ERR_OK && keyset_len(fx.set) == 3 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < CURVES; i++)
		EVP_PKEY_free(fx.key[i]);
	EVP_PKEY_free(fx.rsa);
	free(fx.rsa_jwk);
	keyset_unref(&fx.set);
	return 0;
}

static enum keyset_result verdict(const struct keyset *set, const char *token, unsigned algs)
{
	struct arena a;
	struct jose_token t;
	struct err e = {0};
	arena_init(&a, 0);
	enum keyset_result r = KEYSET_BAD_SIGNATURE;
	if (jose_parse(&a, slice_of(token), &t, &e) == ERR_OK)
		r = keyset_verify(set, &t, algs, NULL, &e);
	arena_done(&a);
	return r;
}

static void refused(char *token)
{
	assert_int_not_equal(verdict(fx.set, token, JOSE_ALGS_ALL), KEYSET_VERIFIED);
	free(token);
}

static void verified(char *token)
{
	assert_int_equal(verdict(fx.set, token, JOSE_ALGS_ALL), KEYSET_VERIFIED);
	free(token);
}

static const char *header_of(int c, const char *alg)
{
	static char text[64];
	snprintf(text, sizeof(text), "{\"alg\":\"%s\",\"kid\":\"%s\"}", alg, curve[c].kid);
	return text;
}

static void test_both_curves_verify_under_both_names(void **state)
{
	(void)state;
	for (int c = 0; c < CURVES; c++) {
		EVP_PKEY *k = fx.key[c];
		char *t = crypto_token(k, "EdDSA", curve[c].kid, NULL, PAYLOAD);
		assert_true(crypto_verifies(k, "EdDSA", t));
		unsigned others = JOSE_ALGS_ALL & ~JOSE_BIT(JOSE_EDDSA);
		assert_int_equal(verdict(fx.set, t, others), KEYSET_BAD_SIGNATURE);
		verified(t);
		verified(crypto_token(k, curve[c].alg, curve[c].kid, NULL, PAYLOAD));
		verified(crypto_token(k, "EdDSA", NULL, NULL, PAYLOAD));
		refused(crypto_token(k, curve[c].other, curve[c].kid, NULL, PAYLOAD));
		refused(crypto_token(k, "eddsa", curve[c].kid, NULL, PAYLOAD));
		refused(crypto_token(k, "ED25519", curve[c].kid, NULL, PAYLOAD));
		refused(crypto_token(k, "ES256", curve[c].kid, NULL, PAYLOAD));
		/* The kid of another key, of this kind and not. */
		refused(crypto_token(k, "EdDSA", curve[!c].kid, NULL, PAYLOAD));
		refused(crypto_token(k, "EdDSA", "rsa", NULL, PAYLOAD));
	}
	refused(crypto_token(fx.rsa, "RS256", NULL, "{\"alg\":\"EdDSA\",\"kid\":\"rsa\"}", PAYLOAD));
}

/* Its payload is no JSON object, so it is taken apart by hand. */
static void test_the_example_of_rfc_8037(void **state)
{
	(void)state;
	struct keyset *set = NULL;
	const char *text = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "\"}]}";
	assert_int_equal(keyset_parse(slice_of(text), &set, NULL), ERR_OK);
	struct arena a;
	arena_init(&a, 0);
	char jws[] = RFC_JWS;
	size_t dot = (size_t)(strrchr(jws, '.') - jws);
	struct jose_token t = {.text = slice_of(jws), .alg = JOSE_EDDSA, .signing_len = dot};
	struct err e = {0};
	assert_true(base64url_decode(&a, slice_of(jws + dot + 1), &t.signature));
	assert_int_equal(keyset_verify(set, &t, JOSE_ALGS_ALL, NULL, &e), KEYSET_VERIFIED);
	t.alg = JOSE_ED25519;
	assert_int_equal(keyset_verify(set, &t, JOSE_ALGS_ALL, NULL, &e), KEYSET_VERIFIED);
	t.alg = JOSE_ED448;
	assert_int_not_equal(keyset_verify(set, &t, JOSE_ALGS_ALL, NULL, &e), KEYSET_VERIFIED);
	t.alg = JOSE_EDDSA;
	jws[30] = jws[30] == 'A' ? 'B' : 'A';
	assert_int_not_equal(keyset_verify(set, &t, JOSE_ALGS_ALL, NULL, &e), KEYSET_VERIFIED);
	arena_done(&a);
	keyset_unref(&set);
}

static unsigned char *sign(int c, size_t *n)
{
	char *t = crypto_compact(header_of(c, "EdDSA"), PAYLOAD, "", 0);
	t[strlen(t) - 1] = '\0';
	unsigned char *sig = crypto_signature(fx.key[c], "EdDSA", -1, t, n);
	free(t);
	return sig;
}

static char *with_signature(int c, const unsigned char *sig, size_t n)
{
	return crypto_compact(header_of(c, "EdDSA"), PAYLOAD, sig, n);
}

static void test_each_flipped_bit_and_other_length_is_refused(void **state)
{
	(void)state;
	for (int c = 0; c < CURVES; c++) {
		size_t n;
		unsigned char *sig = sign(c, &n), wide[256] = {0};
		assert_int_equal(n, 2 * curve[c].len);
		verified(with_signature(c, sig, n));
		for (size_t i = 0; i < 8 * n; i++) {
			sig[i / 8] ^= (unsigned char)(1u << i % 8);
			refused(with_signature(c, sig, n));
			sig[i / 8] ^= (unsigned char)(1u << i % 8);
		}
		memcpy(wide, sig, n);
		for (size_t len = 0; len < sizeof(wide); len++)
			if (len != n)
				refused(with_signature(c, wide, len));
		memset(wide, 0, sizeof(wide));
		refused(with_signature(c, wide, n));
		free(sig);
	}
}

/* RFC 8032 5.1.7: S is in [0, L), else each signature has a second form. */
static void test_s_past_the_order_is_refused(void **state)
{
	(void)state;
	for (int c = 0; c < CURVES; c++) {
		size_t n, len = curve[c].len;
		unsigned char *sig = sign(c, &n);
		unsigned carry = 0;
		for (size_t i = 0; i < len; i++) {
			carry += sig[len + i] + curve[c].order[i];
			sig[len + i] = (unsigned char)carry;
			carry >>= 8;
		}
		assert_int_equal(carry, 0);
		refused(with_signature(c, sig, n));
		memcpy(sig + len, curve[c].order, len);
		refused(with_signature(c, sig, n));
		free(sig);
	}
}

/* 1 when JWK is admitted beside the RSA key, 0 when it alone is skipped. */
static size_t admitted(const char *jwk)
{
	const char *list[] = {jwk, fx.rsa_jwk};
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

static size_t admitted_point(const char *crv, const unsigned char *point, size_t n)
{
	char *x = crypto_b64(point, n), jwk[256];
	snprintf(jwk, sizeof(jwk), "{\"kty\":\"OKP\",\"crv\":\"%s\",\"kid\":\"x\",\"x\":\"%s\"}", crv, x);
	free(x);
	return admitted(jwk);
}

static void test_purpose_and_private_members(void **state)
{
	(void)state;
	for (int c = 0; c < CURVES; c++) {
		char own[32], foreign[32];
		snprintf(own, sizeof(own), ",\"alg\":\"%s\"", curve[c].alg);
		snprintf(foreign, sizeof(foreign), ",\"alg\":\"%s\"", curve[c].other);
		const char *good[] = {"", ",\"use\":\"sig\"", ",\"key_ops\":[\"verify\"]",
		    ",\"alg\":\"EdDSA\"", own, ",\"y\":\"AA\""};
		const char *bad[] = {",\"use\":\"enc\"", ",\"key_ops\":[\"sign\"]", ",\"key_ops\":[]",
		    ",\"alg\":\"ES256\"", ",\"alg\":\"ECDH-ES\"", foreign, ",\"d\":\"AAAA\"",
		    ",\"k\":\"AAAA\"", ",\"use\":1", ",\"alg\":null"};
		for (size_t i = 0; i < ARRAY_LEN(good); i++)
			assert_int_equal(admitted_key(fx.key[c], good[i]), 1);
		for (size_t i = 0; i < ARRAY_LEN(bad); i++)
			assert_int_equal(admitted_key(fx.key[c], bad[i]), 0);
	}
}

/* Row 50: what is of no use to us costs the set nothing. */
static void test_other_okp_keys_are_skipped_alone(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" RFC_X "\"}",
	    "{\"kty\":\"OKP\",\"crv\":\"ed25519\",\"x\":\"" RFC_X "\"}",
	    "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" RFC_X "\"}",
	    "{\"kty\":\"OKP\",\"crv\":5,\"x\":\"" RFC_X "\"}",
	    "{\"kty\":\"OKP\",\"x\":\"" RFC_X "\"}",
	    "{\"kty\":\"okp\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "\"}",
	    "{\"kty\":\"EC\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "\"}",
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "=\"}",
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "AA\"}",
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\"}",
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":[]}",
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(admitted(bad[i]), 0);
	assert_int_equal(admitted("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "\"}"), 1);
}

/* libcrypto takes such a key, and with it a signature that needs no private one. */
static void test_points_of_small_order_are_refused(void **state)
{
	(void)state;
	static const unsigned char low25519[][32] = {
	    {1}, /* neutral */
	    {0}, /* order 4 */
	    {0xec, [1 ... 30] = 0xff, 0x7f}, /* order 2 */
	    {0xed, [1 ... 30] = 0xff, 0x7f}, /* 0 and 1 in their second spelling */
	    {0xee, [1 ... 30] = 0xff, 0x7f},
	    {[0 ... 31] = 0xff}, /* 18 in its second */
	    /* order 8, both of them */
	    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
		0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
		0x6d, 0x53, 0xfc, 0x05},
	    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
		0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
		0x92, 0xac, 0x03, 0x7a},
	};
	unsigned char p[57];
	for (size_t i = 0; i < ARRAY_LEN(low25519); i++)
		for (int sign = 0; sign < 2; sign++) {
			memcpy(p, low25519[i], 32);
			p[31] ^= (unsigned char)(sign << 7);
			assert_int_equal(admitted_point("Ed25519", p, 32), 0);
		}
	/* 0, 1, p - 1, p, p + 1 */
	for (int i = 0; i < 5; i++)
		for (int sign = 0; sign < 2; sign++) {
			memset(p, i < 2 ? 0 : 0xff, 56);
			p[0] = (unsigned char)(i < 2 ? i : 0xfe + (i - 2));
			if (i >= 2)
				p[28] = 0xfe;
			if (i == 4) { /* the carry */
				memset(p, 0, 28);
				p[28] = 0xff;
			}
			p[56] = (unsigned char)(sign << 7);
			assert_int_equal(admitted_point("Ed448", p, 57), 0);
		}
	unsigned char one[32] = {1}, forged[64] = {1};
	EVP_PKEY *neutral = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, one, 32);
	char *t = crypto_compact("{\"alg\":\"EdDSA\"}", PAYLOAD, forged, 64);
	assert_true(crypto_verifies(neutral, "EdDSA", t));
	free(t);
	EVP_PKEY_free(neutral);
}

/* Of all y, half have a point: those without are no keys. */
static void test_points_off_the_curve_are_refused(void **state)
{
	(void)state;
	for (int c = 0; c < CURVES; c++) {
		size_t n = 0;
		for (unsigned y = 2; y < 66; y++) {
			unsigned char p[57] = {(unsigned char)y};
			n += admitted_point(curve[c].alg, p, curve[c].len);
		}
		assert_in_range(n, 16, 48);
	}
	/* RFC 8032 decodes none of these: y = 2 and 7 of Ed25519. */
	unsigned char two[32] = {2}, seven[32] = {7}, three[32] = {3};
	assert_int_equal(admitted_point("Ed25519", two, 32), 0);
	assert_int_equal(admitted_point("Ed25519", seven, 32), 0);
	assert_int_equal(admitted_point("Ed25519", three, 32), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_curves_verify_under_both_names),
	    cmocka_unit_test(test_the_example_of_rfc_8037),
	    cmocka_unit_test(test_each_flipped_bit_and_other_length_is_refused),
	    cmocka_unit_test(test_s_past_the_order_is_refused),
	    cmocka_unit_test(test_purpose_and_private_members),
	    cmocka_unit_test(test_other_okp_keys_are_skipped_alone),
	    cmocka_unit_test(test_points_of_small_order_are_refused),
	    cmocka_unit_test(test_points_off_the_curve_are_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
