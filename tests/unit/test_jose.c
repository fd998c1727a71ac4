/* Proves that a token verifies only in the one form its issuer could have made: rows 1 to 27 of the list of
 * attacks on JWTs, each built with real keys and signed by OpenSSL, which also gives a second opinion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "authn/keyset.h"
#include "common/jsonx.h"
#include "tests/support/crypto.h"

#define PAYLOAD "{\"iss\":\"https://idp\",\"sub\":\"jane\"}"

enum { RSA2048, RSA3072, EC256, EC384, EC521, KEYS };

static const char *const kids[KEYS] = {"rsa", "rsa3", "p256", "p384", "p521"};

static struct {
	EVP_PKEY *key[KEYS];
	char *jwk[KEYS];
	struct keyset *set; /* all of them */
	struct arena arena;
} fx;

static int set_up(void **state)
{
	(void)state;
	jsonx_init();
	arena_init(&fx.arena, 0);
	fx.key[RSA2048] = crypto_rsa(2048, 65537);
	fx.key[RSA3072] = crypto_rsa(3072, 65537);
	fx.key[EC256] = crypto_ec("P-256");
	fx.key[EC384] = crypto_ec("P-384");
	fx.key[EC521] = crypto_ec("P-521");
	for (int i = 0; i < KEYS; i++)
		fx.jwk[i] = crypto_jwk(fx.key[i], kids[i], NULL);
	char *text = crypto_jwks((const char *const *)fx.jwk, KEYS);
	struct err e = {0};
	enum err_code code = keyset_parse(slice_of(text), &fx.set, &e);
	free(text);
	return code == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++) {
		EVP_PKEY_free(fx.key[i]);
		free(fx.jwk[i]);
	}
	keyset_unref(&fx.set);
	arena_done(&fx.arena);
	return 0;
}

/* KEYSET_NO_KEY and KEYSET_BAD_SIGNATURE from keyset_verify; UNREADABLE from jose_parse. */
#define UNREADABLE 100

static int verdict_of(const struct keyset *set, struct slice token, unsigned algs)
{
	struct arena a;
	struct jose_token t;
	struct err e = {0};
	arena_init(&a, 0);
	int r = UNREADABLE;
	if (jose_parse(&a, token, &t, &e) == ERR_OK)
		r = (int)keyset_verify(set, &t, algs, NULL, &e);
	arena_done(&a);
	return r;
}

static int verdict(const char *token)
{
	return verdict_of(fx.set, slice_of(token), JOSE_ALGS_ALL);
}

#define assert_refused(token) assert_int_not_equal(verdict(token), KEYSET_VERIFIED)

/* As assert_refused, and frees. */
static void refused(char *token)
{
	assert_refused(token);
	free(token);
}

static void verified(char *token)
{
	assert_int_equal(verdict(token), KEYSET_VERIFIED);
	free(token);
}

static void test_every_algorithm_verifies_and_agrees_with_evp(void **state)
{
	(void)state;
	static const struct {
		const char *alg;
		int key;
	} cases[] = {
	    {"RS256", RSA2048}, {"RS384", RSA2048}, {"RS512", RSA3072}, {"PS256", RSA2048},
	    {"PS384", RSA3072}, {"PS512", RSA2048}, {"ES256", EC256}, {"ES384", EC384},
	    {"ES512", EC521},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int k = cases[i].key;
		char *t = crypto_token(fx.key[k], cases[i].alg, kids[k], NULL, PAYLOAD);
		assert_int_equal(verdict(t), KEYSET_VERIFIED);
		assert_true(crypto_verifies(fx.key[k], cases[i].alg, t));
		/* Row 3: the key fits, but the caller does not allow the algorithm. */
		unsigned others = JOSE_ALGS_ALL & ~JOSE_BIT(jose_alg_of(slice_of(cases[i].alg)));
		assert_int_equal(verdict_of(fx.set, slice_of(t), others), KEYSET_BAD_SIGNATURE);
		assert_int_equal(verdict_of(fx.set, slice_of(t), 0), KEYSET_BAD_SIGNATURE);
		free(t);
		/* Without a kid every key of the algorithm is tried. */
		verified(crypto_token(fx.key[k], cases[i].alg, NULL, NULL, PAYLOAD));
	}
}

static void test_row01_none_in_any_spelling(void **state)
{
	(void)state;
	static const char *const algs[] = {"none", "None", "NONE", "nOnE", "", "nul", "HS256", "HS384",
	    "HS512", "RS1", "rs256", "Es256", "EdDSA", "ES256K", "RSA-OAEP", "dir", "RS256 ",
	    "RS2560"};
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		char header[64];
		snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", algs[i]);
		refused(crypto_compact(header, PAYLOAD, "", 0));
		refused(crypto_compact(header, PAYLOAD, "abcd", 4));
		refused(crypto_token(fx.key[RSA2048], "RS256", NULL, header, PAYLOAD));
	}
	refused(crypto_compact("{\"alg\":\"RS256\",\"kid\":\"rsa\"}", PAYLOAD, "", 0));
	refused(crypto_compact("{\"alg\":5}", PAYLOAD, "", 0));
	refused(crypto_compact("{\"alg\":null}", PAYLOAD, "", 0));
	refused(crypto_compact("{\"alg\":[\"RS256\"]}", PAYLOAD, "", 0));
	refused(crypto_compact("{}", PAYLOAD, "", 0));
}

static void test_row02_public_key_as_hmac_secret(void **state)
{
	(void)state;
	const char *header = "{\"alg\":\"HS256\",\"kid\":\"rsa\"}";
	char *unsigned_token = crypto_compact(header, PAYLOAD, "", 0);
	unsigned char mac[32];
	unsigned n = sizeof(mac);
	size_t len = strlen(unsigned_token) - 1; /* without the last dot */
	HMAC(EVP_sha256(), fx.jwk[RSA2048], (int)strlen(fx.jwk[RSA2048]),
	    (const unsigned char *)unsigned_token, len, mac, &n);
	free(unsigned_token);
	refused(crypto_compact(header, PAYLOAD, mac, n));
}

static void test_row04_algorithm_and_key_must_fit(void **state)
{
	(void)state;
	/* A signature that is right for the key's curve under a header that names another. */
	refused(crypto_token(fx.key[EC384], "ES256", "p384", NULL, PAYLOAD));
	refused(crypto_token(fx.key[EC521], "ES256", "p521", NULL, PAYLOAD));
	refused(crypto_token(fx.key[EC256], "ES384", "p256", NULL, PAYLOAD));
	refused(crypto_token(fx.key[EC256], "ES256", NULL, "{\"alg\":\"RS256\",\"kid\":\"p256\"}", PAYLOAD));
	refused(crypto_token(fx.key[RSA2048], "RS256", NULL, "{\"alg\":\"ES256\",\"kid\":\"rsa\"}", PAYLOAD));
	refused(crypto_token(fx.key[RSA2048], "RS256", NULL, "{\"alg\":\"RS512\",\"kid\":\"rsa\"}", PAYLOAD));
	/* The right signature under the kid of another key. */
	refused(crypto_token(fx.key[RSA2048], "RS256", "rsa3", NULL, PAYLOAD));
	refused(crypto_token(fx.key[RSA2048], "RS256", "nobody", NULL, PAYLOAD));
}

/* Signing input of "ES256" tokens of kid p256. */
#define ES_HEADER "{\"alg\":\"ES256\",\"kid\":\"p256\"}"

static unsigned char *es_signature(size_t *n)
{
	char *t = crypto_compact(ES_HEADER, PAYLOAD, "", 0);
	t[strlen(t) - 1] = '\0';
	unsigned char *sig = crypto_signature(fx.key[EC256], "ES256", -1, t, n);
	free(t);
	return sig;
}

static void test_row05_es256_signature_of_another_length(void **state)
{
	(void)state;
	size_t n;
	unsigned char *sig = es_signature(&n), wide[256] = {0};
	assert_int_equal(n, 64);
	verified(crypto_compact(ES_HEADER, PAYLOAD, sig, 64));
	for (size_t len = 0; len < 64; len++)
		refused(crypto_compact(ES_HEADER, PAYLOAD, sig, len));
	/* r and s padded to more bytes each, as cjose would take them. */
	for (size_t half = 33; half <= 100; half++) {
		memset(wide, 0, sizeof(wide));
		memcpy(wide + half - 32, sig, 32);
		memcpy(wide + 2 * half - 32, sig + 32, 32);
		refused(crypto_compact(ES_HEADER, PAYLOAD, wide, 2 * half));
		refused(crypto_compact(ES_HEADER, PAYLOAD, wide, 2 * half - 1));
	}
	memcpy(wide, sig, 64);
	refused(crypto_compact(ES_HEADER, PAYLOAD, wide, 65));
	refused(crypto_compact(ES_HEADER, PAYLOAD, wide, 128));
	free(sig);
	/* DER, as OpenSSL gives it. */
	char *t = crypto_compact(ES_HEADER, PAYLOAD, "", 0);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char der[128];
	size_t der_len = sizeof(der);
	assert_int_equal(EVP_DigestSignInit_ex(c, NULL, "SHA256", NULL, NULL, fx.key[EC256], NULL), 1);
	assert_int_equal(EVP_DigestSign(c, der, &der_len, (const unsigned char *)t, strlen(t) - 1), 1);
	EVP_MD_CTX_free(c);
	free(t);
	refused(crypto_compact(ES_HEADER, PAYLOAD, der, der_len));
}

static void test_row06_r_and_s_out_of_range(void **state)
{
	(void)state;
	size_t n;
	unsigned char *sig = es_signature(&n), bad[64];
	static const unsigned char order[32] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3,
	    0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
	unsigned char ones[32], zero[32] = {0};
	memset(ones, 0xff, sizeof(ones));
	const unsigned char *parts[] = {zero, order, ones};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
			memcpy(bad, parts[i], 32);
			memcpy(bad + 32, parts[k], 32);
			refused(crypto_compact(ES_HEADER, PAYLOAD, bad, 64));
		}
		memcpy(bad, sig, 64);
		memcpy(bad, parts[i], 32);
		refused(crypto_compact(ES_HEADER, PAYLOAD, bad, 64));
		memcpy(bad, sig, 64);
		memcpy(bad + 32, parts[i], 32);
		refused(crypto_compact(ES_HEADER, PAYLOAD, bad, 64));
	}
	free(sig);
}

#define RS_HEADER "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"

static void test_row07_rsa_signature_of_another_length(void **state)
{
	(void)state;
	/* Search for a signature that begins with a zero byte: one in 256 does. */
	unsigned char *sig = NULL, longer[257] = {0};
	char payload[64];
	size_t n = 0;
	for (unsigned i = 0; !sig || sig[0] != 0; i++) {
		free(sig);
		snprintf(payload, sizeof(payload), "{\"n\":%u}", i);
		char *t = crypto_compact(RS_HEADER, payload, "", 0);
		t[strlen(t) - 1] = '\0';
		sig = crypto_signature(fx.key[RSA2048], "RS256", -1, t, &n);
		free(t);
	}
	verified(crypto_compact(RS_HEADER, payload, sig, 256));
	refused(crypto_compact(RS_HEADER, payload, sig + 1, 255));
	memcpy(longer + 1, sig, 256);
	refused(crypto_compact(RS_HEADER, payload, longer, 257));
	memmove(longer, sig, 256);
	refused(crypto_compact(RS_HEADER, payload, longer, 257));
	refused(crypto_compact(RS_HEADER, payload, sig, 128));
	free(sig);
}

/* Raw RSA of an encoded message of 256 bytes. */
static void rsa_raw(const unsigned char em[256], unsigned char sig[256])
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(fx.key[RSA2048], NULL);
	size_t n = 256;
	assert_int_equal(EVP_PKEY_sign_init(c), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, RSA_NO_PADDING), 1);
	assert_int_equal(EVP_PKEY_sign(c, sig, &n, em, 256), 1);
	EVP_PKEY_CTX_free(c);
}

/* EMSA-PKCS1-v1_5 of the RS256 token with its DigestInfo replaced and GARBAGE bytes behind it. */
static char *rsa_forged(const char *prefix, size_t len, size_t garbage, int block_type, int filler)
{
	char *t = crypto_compact(RS_HEADER, PAYLOAD, "", 0);
	unsigned char em[256], sig[256], digest[32];
	size_t n = 32;
	assert_int_equal(EVP_Q_digest(NULL, "SHA256", NULL, t, strlen(t) - 1, digest, &n), 1);
	free(t);
	memset(em, filler, sizeof(em));
	em[0] = 0;
	em[1] = (unsigned char)block_type;
	size_t at = 256 - garbage - 32 - len;
	em[at - 1] = 0;
	memcpy(em + at, prefix, len);
	memcpy(em + at + len, digest, 32);
	memset(em + at + len + 32, 0x5a, garbage);
	rsa_raw(em, sig);
	return crypto_compact(RS_HEADER, PAYLOAD, sig, 256);
}

static void test_row08_pkcs1_padding_variants(void **state)
{
	(void)state;
	static const char sha256[] = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
	static const char sha512_oid[] = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x20";
	static const char long_len[] = "\x30\x81\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
	static const char no_oid[] = "\x04\x20";
	static const char trailing[] = "\x30\x33\x30\x0f\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x05\x00\x04\x20";
	verified(rsa_forged(sha256, 19, 0, 1, 0xff));
	refused(rsa_forged(sha256, 19, 1, 1, 0xff));
	refused(rsa_forged(sha256, 19, 190, 1, 0xff)); /* Bleichenbacher 2006 */
	refused(rsa_forged(sha256, 19, 0, 2, 0xff));
	refused(rsa_forged(sha256, 19, 0, 0, 0xff));
	refused(rsa_forged(sha256, 19, 0, 1, 0xfe));
	refused(rsa_forged(sha256, 19, 0, 1, 0x00));
	refused(rsa_forged(sha512_oid, 19, 0, 1, 0xff));
	refused(rsa_forged(long_len, 20, 0, 1, 0xff));
	refused(rsa_forged(no_oid, 2, 0, 1, 0xff));
	refused(rsa_forged(trailing, 21, 0, 1, 0xff));
	refused(rsa_forged("", 0, 0, 1, 0xff));
}

static char *ps_token(int salt, const char *mgf)
{
	static const char header[] = "{\"alg\":\"PS256\",\"kid\":\"rsa\"}";
	char *t = crypto_compact(header, PAYLOAD, "", 0);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc = NULL;
	unsigned char sig[256];
	size_t n = sizeof(sig);
	assert_int_equal(EVP_DigestSignInit_ex(c, &pc, "SHA256", NULL, NULL, fx.key[RSA2048], NULL), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pc, RSA_PKCS1_PSS_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pc, salt), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md_name(pc, mgf, NULL), 1);
	assert_int_equal(EVP_DigestSign(c, sig, &n, (const unsigned char *)t, strlen(t) - 1), 1);
	EVP_MD_CTX_free(c);
	free(t);
	return crypto_compact(header, PAYLOAD, sig, n);
}

static void test_row09_pss_parameters(void **state)
{
	(void)state;
	verified(ps_token(32, "SHA256"));
	refused(ps_token(0, "SHA256"));
	refused(ps_token(20, "SHA256"));
	refused(ps_token(31, "SHA256"));
	refused(ps_token(33, "SHA256"));
	refused(ps_token(222, "SHA256"));
	refused(ps_token(32, "SHA1"));
	refused(ps_token(32, "SHA512"));
}

/* The verdict on a token of key K under a set that holds its JWK with EXTRA. */
static int verdict_with(int k, const char *extra, const char *alg)
{
	char *jwk = crypto_jwk(fx.key[k], kids[k], extra);
	char *other = crypto_jwk(fx.key[RSA3072], "other", NULL);
	const char *list[] = {jwk, other};
	char *text = crypto_jwks(list, 2), *t = crypto_token(fx.key[k], alg, kids[k], NULL, PAYLOAD);
	struct keyset *set = NULL;
	assert_int_equal(keyset_parse(slice_of(text), &set, NULL), ERR_OK);
	int r = verdict_of(set, slice_of(t), JOSE_ALGS_ALL);
	keyset_unref(&set);
	free(jwk), free(other), free(text), free(t);
	return r;
}

static void test_rows10_and_11_what_a_key_is_for(void **state)
{
	(void)state;
	assert_int_equal(verdict_with(RSA2048, ",\"alg\":\"RS256\"", "RS256"), KEYSET_VERIFIED);
	assert_int_equal(verdict_with(RSA2048, ",\"alg\":\"RS256\"", "PS256"), KEYSET_BAD_SIGNATURE);
	assert_int_equal(verdict_with(RSA2048, ",\"alg\":\"RS256\"", "RS512"), KEYSET_BAD_SIGNATURE);
	assert_int_equal(verdict_with(RSA2048, ",\"use\":\"sig\"", "PS512"), KEYSET_VERIFIED);
	assert_int_equal(
	    verdict_with(EC256, ",\"key_ops\":[\"sign\",\"verify\"]", "ES256"), KEYSET_VERIFIED);
	/* Not admitted: the token's kid is unknown then. */
	static const char *const foreign[] = {",\"use\":\"enc\"", ",\"use\":\"\"", ",\"use\":5",
	    ",\"key_ops\":[\"sign\"]", ",\"key_ops\":[]", ",\"key_ops\":\"verify\"",
	    ",\"alg\":\"RSA-OAEP\"", ",\"alg\":\"HS256\"", ",\"alg\":\"none\"", ",\"alg\":\"\"",
	    ",\"alg\":\"ES256\""};
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		assert_int_equal(verdict_with(RSA2048, foreign[i], "RS256"), KEYSET_NO_KEY);
	assert_int_equal(verdict_with(EC256, ",\"alg\":\"ES384\"", "ES256"), KEYSET_NO_KEY);
}

static void test_rows12_to_15_and_21_forbidden_headers(void **state)
{
	(void)state;
	static const char *const members[] = {"\"crit\":[\"exp-policy\"]", "\"crit\":[]",
	    "\"crit\":[\"exp\",\"exp\"]", "\"crit\":\"exp\"", "\"crit\":[\"alg\"]", "\"crit\":null",
	    "\"b64\":false", "\"b64\":true", "\"b64\":false,\"crit\":[\"b64\"]",
	    "\"jku\":\"https://evil.example\"", "\"x5u\":\"https://evil.example\"",
	    "\"jwk\":{\"kty\":\"RSA\"}", "\"x5c\":[\"MIIB\"]", "\"zip\":\"DEF\"",
	    "\"enc\":\"A128GCM\"", "\"cty\":\"JWT\"", "\"cty\":\"jwt\"", "\"cty\":5", "\"typ\":5",
	    "\"typ\":[\"JWT\"]"};
	char header[256];
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"p256\",%s}", members[i]);
		char *t = crypto_token(fx.key[EC256], "ES256", NULL, header, PAYLOAD);
		/* The signature is right: it is the header that is refused. */
		assert_true(crypto_verifies(fx.key[EC256], "ES256", t));
		refused(t);
	}
	static const char *const fine[] = {"\"typ\":\"JWT\"", "\"cty\":\"json\"",
	    "\"x5t\":\"abc\"", "\"nonce\":\"x\""};
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"p256\",%s}", fine[i]);
		verified(crypto_token(fx.key[EC256], "ES256", NULL, header, PAYLOAD));
	}
	/* Row 13: a detached payload. */
	char *t = crypto_token(fx.key[EC256], "ES256", "p256", NULL, PAYLOAD);
	char *first = strchr(t, '.'), *last = strrchr(t, '.');
	memmove(first + 1, last, strlen(last) + 1);
	refused(t);
}

/* UAA's tokens all have one. Nothing is ever read there, but only the issuer's own place is tolerated. */
static void test_row14_a_jku_is_tolerated_at_its_issuer_only(void **state)
{
	(void)state;
	static const struct {
		const char *members;
		bool ok;
	} cases[] = {
	    {"\"jku\":\"https://uaa.example:8443/token_keys\",\"typ\":\"JWT\"", true},
	    {"\"jku\":\"https://uaa.example:8443/\"", true},
	    {"\"jku\":\"https://uaa.example:8443\"", false},
	    {"\"jku\":\"https://uaa.example/token_keys\"", false},
	    {"\"jku\":\"https://uaa.example:84433/token_keys\"", false},
	    {"\"jku\":\"https://uaa.example:8443@evil.example/\"", false},
	    {"\"jku\":\"https://uaa.example:8443.evil.example/\"", false},
	    {"\"jku\":\"http://uaa.example:8443/token_keys\"", false},
	    {"\"jku\":\"\"", false},
	    {"\"jku\":5", false},
	    {"\"jku\":[\"https://uaa.example:8443/token_keys\"]", false},
	    {"\"jku\":\"https://uaa.example:8443/token_keys\",\"jwk\":{}", false},
	    {"\"jku\":\"https://uaa.example:8443/token_keys\",\"crit\":[\"jku\"]", false},
	    {"\"jku\":\"https://uaa.example:8443/token_keys\",\"cty\":\"JWT\"", false},
	};
	struct slice origin = SLICE("https://uaa.example:8443");
	char header[256];
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a = {0};
		struct jose_token t, u;
		snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"p256\",%s}", cases[i].members);
		char *text = crypto_token(fx.key[EC256], "ES256", NULL, header, PAYLOAD);
		assert_int_equal(jose_parse(&a, slice_of(text), &t, NULL), ERR_OK);
		/* Who does not tolerate it is asked for nothing: it stays refused. */
		assert_int_equal(keyset_verify(fx.set, &t, JOSE_ALGS_ALL, NULL, NULL), KEYSET_BAD_SIGNATURE);
		assert_int_equal(jose_without_jku(&t, origin, &u), cases[i].ok);
		if (cases[i].ok)
			assert_int_equal(keyset_verify(fx.set, &u, JOSE_ALGS_ALL, NULL, NULL), KEYSET_VERIFIED);
		arena_done(&a);
		free(text);
	}
	char *text = crypto_token(fx.key[EC256], "ES256", NULL,
	    "{\"alg\":\"HS256\",\"kid\":\"p256\",\"jku\":\"https://uaa.example:8443/token_keys\"}", PAYLOAD);
	struct arena a = {0};
	struct jose_token t, u;
	assert_int_equal(jose_parse(&a, slice_of(text), &t, NULL), ERR_OK);
	assert_false(jose_without_jku(&t, origin, &u));
	arena_done(&a);
	free(text);
}

static void test_row15_embedded_key(void **state)
{
	(void)state;
	EVP_PKEY *evil = crypto_ec("P-256");
	char *jwk = crypto_jwk(evil, "p256", NULL), header[512];
	snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"p256\",\"jwk\":%s}", jwk);
	refused(crypto_token(evil, "ES256", NULL, header, PAYLOAD));
	snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"jwk\":%s}", jwk);
	refused(crypto_token(evil, "ES256", NULL, header, PAYLOAD));
	free(jwk);
	EVP_PKEY_free(evil);
}

static void test_row16_strange_kids(void **state)
{
	(void)state;
	static const char *const kid[] = {"\"../../etc/passwd\"", "\"' or 1=1 --\"", "\"a\\u0000b\"",
	    "5", "null", "[\"p256\"]", "{}", "\"\"", "\"P256\"", "\"p256 \"", "true"};
	char header[256];
	for (size_t i = 0; i < ARRAY_LEN(kid); i++) {
		snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":%s}", kid[i]);
		refused(crypto_token(fx.key[EC256], "ES256", NULL, header, PAYLOAD));
	}
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "{\"alg\":\"ES256\",\"kid\":\"");
	for (int i = 0; i < 30000; i++)
		buf_addc(&b, 'k');
	buf_adds(&b, "\"}");
	refused(crypto_token(fx.key[EC256], "ES256", NULL, buf_cstr(&b), PAYLOAD));
	buf_done(&b);
}

static void test_rows18_25_and_26_header_and_payload_are_strict_json_objects(void **state)
{
	(void)state;
	static const char *const headers[] = {"{\"alg\":\"ES256\",\"alg\":\"none\"}",
	    "{\"alg\":\"none\",\"alg\":\"ES256\"}", "{\"kid\":\"x\",\"alg\":\"ES256\",\"kid\":\"p256\"}",
	    "[]", "\"ES256\"", "5", "null", "{\"alg\":\"ES256\"} ,", "{\"alg\":\"ES256\"}x",
	    "{\"alg\":\"ES256\"}{}", "\xef\xbb\xbf{\"alg\":\"ES256\"}", "{\"alg\":\"ES256\",\"x\":\"\xff\"}",
	    "{\"alg\":\"ES256\",\"x\":\"\\ud800\"}", "{\"alg\":\"ES256\",\"x\":\"\\u0000\"}",
	    "{'alg':'ES256'}", "{\"alg\":\"ES256\",}", "{\"alg\":\"ES256\" \"x\":1}", " "};
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		refused(crypto_token(fx.key[EC256], "ES256", NULL, headers[i], PAYLOAD));
	static const char *const payloads[] = {"{\"iss\":\"a\",\"iss\":\"b\"}",
	    "{\"sub\":\"a\",\"x\":{\"y\":1,\"y\":2}}", "[]", "\"x\"", "5", "null", "true", "{}x", "{} {}",
	    "\xef\xbb\xbf{}", "{\"a\":\"\xc0\xaf\"}", "{\"a\":\"\\udfff\"}", "{\"a\":\"\\u0000\"}",
	    "{\"a\":1e999}", "{\"exp\":99999999999999999999}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":NaN}",
	    "{\"a\":Infinity}", "{", " ", "{\"a\":\"\n\"}"};
	for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
		char *t = crypto_token(fx.key[EC256], "ES256", "p256", NULL, payloads[i]);
		assert_int_equal(verdict(t), UNREADABLE);
		free(t);
	}
}

static void test_rows19_20_and_22_shape(void **state)
{
	(void)state;
	char *t = crypto_token(fx.key[EC256], "ES256", "p256", NULL, PAYLOAD);
	struct buf b;
	buf_init(&b, 1 << 20);
	static const char *const forms[] = {"%s.", ".%s", "%s.x", "%s..", "..%s", "%s.x.y", "%s %s",
	    " %s", "%s ", "%s\n", "\"%s\"", "Bearer %s", "{\"payload\":\"%s\"}"};
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		b.len = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		buf_printf(&b, forms[i], t, t);
#pragma GCC diagnostic pop
		assert_int_equal(verdict_of(fx.set, buf_view(&b), JOSE_ALGS_ALL), UNREADABLE);
	}
	static const char *const others[] = {"", ".", "..", "...", "a", "a.b", "a.b.c", ".b.c", "a..c",
	    "e30.e30", "e30..e30", "eyJhbGciOiJkaXIifQ.e30.e30.e30.e30"};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_refused(others[i]);
	b.len = 0;
	for (int i = 0; i < 60000; i++)
		buf_addc(&b, '.');
	assert_int_equal(verdict_of(fx.set, buf_view(&b), JOSE_ALGS_ALL), UNREADABLE);
	/* The JSON serialization of a good token, flattened. */
	char *dot = strchr(t, '.'), *last = strrchr(t, '.');
	b.len = 0;
	buf_printf(&b, "{\"protected\":\"%.*s\",\"payload\":\"%.*s\",\"signature\":\"%s\"}",
	    (int)(dot - t), t, (int)(last - dot - 1), dot + 1, last + 1);
	assert_int_equal(verdict_of(fx.set, buf_view(&b), JOSE_ALGS_ALL), UNREADABLE);
	buf_done(&b);
	free(t);
}

static void test_rows23_and_24_only_one_spelling_of_base64url(void **state)
{
	(void)state;
	char *t = crypto_token(fx.key[EC256], "ES256", "p256", NULL, PAYLOAD);
	size_t n = strlen(t);
	struct buf b;
	buf_init(&b, 1 << 16);
	static const char *const tails[] = {"=", "==", "=AAAA", "A", "AA", "AAAA", "\n", " ", "\r\n", "+",
	    "/", "%3D", "\t"};
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		b.len = 0;
		buf_printf(&b, "%s%s", t, tails[i]);
		assert_int_not_equal(
		    verdict_of(fx.set, buf_view(&b), JOSE_ALGS_ALL), KEYSET_VERIFIED);
	}
	b.len = 0;
	buf_add(&b, t, n);
	buf_addc(&b, '\0');
	assert_int_equal(verdict_of(fx.set, buf_view(&b), JOSE_ALGS_ALL), UNREADABLE);
	buf_done(&b);
	/* 64 bytes end in a character of which two bits are used: no other one may stand for it. */
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=.";
	char right = t[n - 1];
	for (const char *c = alphabet; *c; c++) {
		t[n - 1] = *c;
		assert_int_equal(verdict(t) == KEYSET_VERIFIED, *c == right);
	}
	free(t);
}

static void test_every_flipped_bit_is_noticed(void **state)
{
	(void)state;
	char *t = crypto_token(fx.key[EC256], "ES256", "p256", NULL, PAYLOAD);
	size_t n = strlen(t);
	for (size_t i = 0; i < n * 8; i++) {
		t[i / 8] = (char)(t[i / 8] ^ (1 << (i % 8)));
		assert_int_not_equal(
		    verdict_of(fx.set, (struct slice){t, n}, JOSE_ALGS_ALL), KEYSET_VERIFIED);
		t[i / 8] = (char)(t[i / 8] ^ (1 << (i % 8)));
	}
	verified(t);
}

static void test_verdicts_agree_with_evp_on_changed_signatures(void **state)
{
	(void)state;
	static const struct {
		const char *alg;
		int key;
	} cases[] = {{"RS256", RSA2048}, {"PS384", RSA2048}, {"ES256", EC256}, {"ES512", EC521}};
	srand(7);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *t = crypto_token(fx.key[cases[i].key], cases[i].alg, kids[cases[i].key], NULL, PAYLOAD);
		size_t dot = (size_t)(strrchr(t, '.') - t);
		for (int round = 0; round < 200; round++) {
			/* Half of the rounds leave the token as it is. */
			size_t at = dot + 1 + (size_t)rand() % (strlen(t) - dot - 1);
			char old = t[at];
			if (round % 2)
				t[at] = "AQgwZ-_059"[rand() % 10];
			assert_int_equal(verdict(t) == KEYSET_VERIFIED,
			    crypto_verifies(fx.key[cases[i].key], cases[i].alg, t));
			t[at] = old;
		}
		free(t);
	}
}

static void test_row27_deep_wide_and_long(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 4 << 20);
	buf_adds(&b, "{\"a\":");
	for (int i = 0; i < 10000; i++)
		buf_addc(&b, '[');
	char *t = crypto_token(fx.key[EC256], "ES256", "p256", NULL, buf_cstr(&b));
	assert_int_equal(verdict(t), UNREADABLE);
	free(t);
	b.len = 0;
	buf_adds(&b, "{\"iss\":\"x\"");
	for (int i = 0; i < 100000; i++)
		buf_printf(&b, ",\"%d\":1", i);
	buf_addc(&b, '}');
	t = crypto_token(fx.key[EC256], "ES256", "p256", NULL, buf_cstr(&b));
	struct jose_token parsed;
	assert_int_equal(jose_parse(&fx.arena, slice_of(t), &parsed, NULL), ERR_LIMIT);
	free(t);
	buf_done(&b);
}

static void test_own_keys_survive_export_and_sign(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		struct jose_key *made = NULL, *read = NULL;
		struct err e = {0};
		struct buf priv, pub, token;
		buf_init(&priv, 4096);
		buf_init(&pub, 4096);
		buf_init(&token, 4096);
		assert_int_equal(jose_key_generate(&made, &e), ERR_OK);
		assert_int_equal(jose_key_export(made, true, &priv, &e), ERR_OK);
		assert_int_equal(jose_key_export(made, false, &pub, &e), ERR_OK);
		assert_null(strstr(buf_cstr(&pub), "\"d\""));
		assert_int_equal(jose_key_import_private(buf_view(&priv), &read, &e), ERR_OK);
		assert_true(slice_eq(jose_key_kid(made), jose_key_kid(read)));
		assert_int_equal(jose_key_kid(made).len, 43);
		assert_int_equal(jose_sign_es256(read, "JWT", SLICE(PAYLOAD), &token, &e), ERR_OK);
		const char *list[] = {buf_cstr(&pub)};
		char *set_text = crypto_jwks(list, 1);
		struct keyset *set = NULL;
		assert_int_equal(keyset_parse(slice_of(set_text), &set, &e), ERR_OK);
		assert_int_equal(verdict_of(set, buf_view(&token), JOSE_ALGS_ALL), KEYSET_VERIFIED);
		assert_int_not_equal(verdict_of(fx.set, buf_view(&token), JOSE_ALGS_ALL), KEYSET_VERIFIED);
		keyset_unref(&set);
		free(set_text);
		jose_key_free(&made);
		jose_key_free(&read);
		buf_wipe_done(&priv);
		buf_done(&pub);
		buf_done(&token);
	}
}

static void test_own_keys_are_checked_on_import(void **state)
{
	(void)state;
	struct jose_key *k = NULL, *other = NULL, *out = NULL;
	struct err e = {0};
	struct buf a, b, mixed;
	buf_init(&a, 4096), buf_init(&b, 4096), buf_init(&mixed, 4096);
	assert_int_equal(jose_key_generate(&k, &e), ERR_OK);
	assert_int_equal(jose_key_generate(&other, &e), ERR_OK);
	assert_int_equal(jose_key_export(k, true, &a, &e), ERR_OK);
	assert_int_equal(jose_key_export(other, true, &b, &e), ERR_OK);
	/* The private part of one with the public part of the other. */
	const char *d = strstr(buf_cstr(&b), ",\"d\"");
	buf_add(&mixed, a.p, (size_t)(strstr(buf_cstr(&a), ",\"d\"") - a.p));
	buf_adds(&mixed, d);
	assert_int_equal(jose_key_import_private(buf_view(&mixed), &out, &e), ERR_INVALID);
	static const char *const bad[] = {"", "{}", "[]", "{\"kty\":\"EC\"}",
	    "{\"kty\":\"RSA\",\"n\":\"AQAB\"}", "{\"kty\":\"EC\",\"crv\":\"P-384\",\"kid\":\"x\"}",
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"x\",\"x\":\"AA\",\"y\":\"AA\",\"d\":\"AA\"}"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_not_equal(jose_key_import_private(slice_of(bad[i]), &out, &e), ERR_OK);
	assert_int_equal(jose_key_import_private((struct slice){b.p, b.len - 1}, &out, &e), ERR_INVALID);
	assert_null(out);
	jose_key_free(&k);
	jose_key_free(&other);
	buf_wipe_done(&a), buf_wipe_done(&b), buf_wipe_done(&mixed);
}

static void test_certificates_are_read_whole(void **state)
{
	(void)state;
	struct crypto_cert ca = crypto_cert(NULL, "ca", NULL, 10);
	struct err e = {0};
	struct buf b;
	buf_init(&b, 1 << 16);
	assert_int_equal(jose_check_certificates(slice_of(ca.cert), &e), ERR_OK);
	buf_printf(&b, "text before\n%s\n%s", ca.cert, ca.cert);
	assert_int_equal(jose_check_certificates(buf_view(&b), &e), ERR_OK);
	assert_int_equal(jose_check_certificates(SLICE(""), &e), ERR_INVALID);
	assert_int_equal(jose_check_certificates(SLICE("ca.pem"), &e), ERR_INVALID);
	assert_int_equal(jose_check_certificates(slice_of(ca.key), &e), ERR_INVALID);
	b.len = 0;
	buf_printf(&b, "%s-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", ca.cert);
	assert_int_equal(jose_check_certificates(buf_view(&b), &e), ERR_INVALID);
	b.len = 0;
	buf_printf(&b, "%.*s", (int)strlen(ca.cert) / 2, ca.cert);
	assert_int_equal(jose_check_certificates(buf_view(&b), &e), ERR_INVALID);
	buf_done(&b);
	crypto_cert_free(&ca);
}

static void test_a_key_must_be_that_of_the_first_certificate(void **state)
{
	(void)state;
	struct crypto_cert ca = crypto_cert(NULL, "ca", NULL, 10);
	struct crypto_cert leaf = crypto_cert(&ca, "leaf", "DNS:leaf", 10);
	static const char locked[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n"
				     "-----END ENCRYPTED PRIVATE KEY-----\n";
	struct err e = {0};
	struct buf chain;
	buf_init(&chain, 1 << 16);
	buf_printf(&chain, "%s%s", leaf.cert, ca.cert);
	struct slice both = buf_view(&chain);
	assert_int_equal(jose_check_key(slice_of(leaf.key), both, &e), ERR_OK);
	assert_int_equal(jose_check_key(slice_of(ca.key), both, &e), ERR_INVALID);
	assert_string_equal(e.msg, "is not the key of the certificate");
	assert_int_equal(jose_check_key(SLICE(""), both, &e), ERR_INVALID);
	assert_int_equal(jose_check_key(slice_of(leaf.cert), both, &e), ERR_INVALID);
	assert_int_equal(jose_check_key(slice_of(locked), both, &e), ERR_INVALID);
	assert_string_equal(e.msg, "holds no private key without passphrase");
	assert_int_equal(jose_check_key(slice_of(leaf.key), SLICE(""), &e), ERR_INVALID);
	buf_done(&chain);
	crypto_cert_free(&leaf);
	crypto_cert_free(&ca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_algorithm_verifies_and_agrees_with_evp),
	    cmocka_unit_test(test_row01_none_in_any_spelling),
	    cmocka_unit_test(test_row02_public_key_as_hmac_secret),
	    cmocka_unit_test(test_row04_algorithm_and_key_must_fit),
	    cmocka_unit_test(test_row05_es256_signature_of_another_length),
	    cmocka_unit_test(test_row06_r_and_s_out_of_range),
	    cmocka_unit_test(test_row07_rsa_signature_of_another_length),
	    cmocka_unit_test(test_row08_pkcs1_padding_variants),
	    cmocka_unit_test(test_row09_pss_parameters),
	    cmocka_unit_test(test_rows10_and_11_what_a_key_is_for),
	    cmocka_unit_test(test_rows12_to_15_and_21_forbidden_headers),
	    cmocka_unit_test(test_row14_a_jku_is_tolerated_at_its_issuer_only),
	    cmocka_unit_test(test_row15_embedded_key),
	    cmocka_unit_test(test_row16_strange_kids),
	    cmocka_unit_test(test_rows18_25_and_26_header_and_payload_are_strict_json_objects),
	    cmocka_unit_test(test_rows19_20_and_22_shape),
	    cmocka_unit_test(test_rows23_and_24_only_one_spelling_of_base64url),
	    cmocka_unit_test(test_every_flipped_bit_is_noticed),
	    cmocka_unit_test(test_verdicts_agree_with_evp_on_changed_signatures),
	    cmocka_unit_test(test_row27_deep_wide_and_long),
	    cmocka_unit_test(test_own_keys_survive_export_and_sign),
	    cmocka_unit_test(test_own_keys_are_checked_on_import),
	    cmocka_unit_test(test_certificates_are_read_whole),
	    cmocka_unit_test(test_a_key_must_be_that_of_the_first_certificate),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
