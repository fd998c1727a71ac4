/* Owns keys, certificates and tokens of the unit tests. */
#include "tests/support/crypto.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/arena.h"
#include "common/base64url.h"
#include "tests/support/must.h"

EVP_PKEY *crypto_rsa(unsigned bits, unsigned long exponent)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;
	BIGNUM *e = BN_new();
	MUST(BN_set_word(e, exponent) && EVP_PKEY_keygen_init(c) == 1);
	MUST(EVP_PKEY_CTX_set_rsa_keygen_bits(c, (int)bits) == 1);
	MUST(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(c, e) == 1);
	MUST(EVP_PKEY_generate(c, &key) == 1);
	BN_free(e);
	EVP_PKEY_CTX_free(c);
	return key;
}

EVP_PKEY *crypto_ec(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
	MUST(key);
	return key;
}

EVP_PKEY *crypto_ed(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, curve);
	MUST(key);
	return key;
}

static bool is_ed(EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
}

char *crypto_b64(const void *p, size_t n)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	base64url_encode(&b, (struct slice){p, n});
	char *s = strdup(buf_cstr(&b));
	buf_done(&b);
	return s;
}

static void add_number(struct buf *b, EVP_PKEY *key, const char *param, const char *name, int len)
{
	BIGNUM *n = NULL;
	unsigned char raw[2048];
	MUST(EVP_PKEY_get_bn_param(key, param, &n) == 1);
	int size = len ? len : BN_num_bytes(n);
	MUST(BN_bn2binpad(n, raw, size) == size);
	char *text = crypto_b64(raw, (size_t)size);
	buf_printf(b, ",\"%s\":\"%s\"", name, text);
	free(text);
	BN_free(n);
}

static void add_point(struct buf *b, EVP_PKEY *key)
{
	unsigned char raw[64];
	size_t n = sizeof(raw);
	MUST(EVP_PKEY_get_raw_public_key(key, raw, &n) == 1);
	char *text = crypto_b64(raw, n);
	buf_printf(b, "{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"%s\"", n == 32 ? "Ed25519" : "Ed448", text);
	free(text);
}

char *crypto_jwk(EVP_PKEY *key, const char *kid, const char *extra)
{
	struct buf b;
	buf_init(&b, 1 << 16);
	if (EVP_PKEY_is_a(key, "RSA")) {
		buf_adds(&b, "{\"kty\":\"RSA\"");
		add_number(&b, key, OSSL_PKEY_PARAM_RSA_N, "n", 0);
		add_number(&b, key, OSSL_PKEY_PARAM_RSA_E, "e", 0);
	} else if (is_ed(key)) {
		add_point(&b, key);
	} else {
		int bits = EVP_PKEY_get_bits(key), len = (bits + 7) / 8;
		buf_printf(&b, "{\"kty\":\"EC\",\"crv\":\"P-%d\"", bits);
		add_number(&b, key, OSSL_PKEY_PARAM_EC_PUB_X, "x", len);
		add_number(&b, key, OSSL_PKEY_PARAM_EC_PUB_Y, "y", len);
	}
	if (kid)
		buf_printf(&b, ",\"kid\":\"%s\"", kid);
	buf_adds(&b, extra ? extra : "");
	buf_addc(&b, '}');
	char *s = strdup(buf_cstr(&b));
	buf_done(&b);
	return s;
}

char *crypto_jwks(const char *const *jwks, size_t n)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "{\"keys\":[");
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", jwks[i]);
	buf_adds(&b, "]}");
	char *s = strdup(buf_cstr(&b));
	buf_done(&b);
	return s;
}

static const char *digest_of(EVP_PKEY *key, const char *alg)
{
	if (is_ed(key))
		return NULL;
	return strstr(alg, "512") ? "SHA512" : strstr(alg, "384") ? "SHA384" : "SHA256";
}

static void set_padding(EVP_PKEY_CTX *pc, const char *alg, int salt)
{
	if (alg[0] != 'P')
		return;
	MUST(EVP_PKEY_CTX_set_rsa_padding(pc, RSA_PKCS1_PSS_PADDING) == 1);
	MUST(EVP_PKEY_CTX_set_rsa_pss_saltlen(pc, salt < 0 ? RSA_PSS_SALTLEN_DIGEST : salt) == 1);
}

/* DER → r and s side by side. */
static size_t to_raw(EVP_PKEY *key, unsigned char *sig, size_t n)
{
	const unsigned char *p = sig;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)n);
	int len = (EVP_PKEY_get_bits(key) + 7) / 8;
	MUST(s && BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, len) == len);
	MUST(BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + len, len) == len);
	ECDSA_SIG_free(s);
	return 2 * (size_t)len;
}

unsigned char *crypto_signature(
    EVP_PKEY *key, const char *alg, int salt, const char *text, size_t *n)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc = NULL;
	unsigned char *sig = malloc(2048);
	*n = 2048;
	MUST(EVP_DigestSignInit_ex(c, &pc, digest_of(key, alg), NULL, NULL, key, NULL) == 1);
	set_padding(pc, alg, salt);
	MUST(EVP_DigestSign(c, sig, n, (const unsigned char *)text, strlen(text)) == 1);
	if (EVP_PKEY_is_a(key, "EC"))
		*n = to_raw(key, sig, *n);
	EVP_MD_CTX_free(c);
	return sig;
}

static char *join(const char *a, const char *b)
{
	size_t n = strlen(a) + strlen(b) + 2;
	char *s = malloc(n);
	MUST(s && snprintf(s, n, "%s.%s", a, b) > 0);
	return s;
}

static char *signing_input(const char *header, const char *payload)
{
	char *h = crypto_b64(header, strlen(header)), *p = crypto_b64(payload, strlen(payload));
	char *s = join(h, p);
	free(h);
	free(p);
	return s;
}

char *crypto_compact(const char *header, const char *payload, const void *sig, size_t n)
{
	char *input = signing_input(header, payload), *s = crypto_b64(sig, n);
	char *token = join(input, s);
	free(input);
	free(s);
	return token;
}

char *crypto_token(
    EVP_PKEY *key, const char *alg, const char *kid, const char *header, const char *payload)
{
	char made[512];
	size_t n;
	if (kid)
		snprintf(made, sizeof(made), "{\"alg\":\"%s\",\"kid\":\"%s\"}", alg, kid);
	else
		snprintf(made, sizeof(made), "{\"alg\":\"%s\"}", alg);
	header = header ? header : made;
	char *input = signing_input(header, payload);
	unsigned char *sig = crypto_signature(key, alg, -1, input, &n);
	char *token = crypto_compact(header, payload, sig, n);
	free(input);
	free(sig);
	return token;
}

static size_t to_der(EVP_PKEY *key, const struct slice raw, unsigned char *out)
{
	size_t len = ((size_t)EVP_PKEY_get_bits(key) + 7) / 8;
	if (raw.len != 2 * len)
		return 0;
	const unsigned char *p = (const unsigned char *)raw.p;
	ECDSA_SIG *s = ECDSA_SIG_new();
	MUST(ECDSA_SIG_set0(s, BN_bin2bn(p, (int)len, NULL), BN_bin2bn(p + len, (int)len, NULL)) == 1);
	int n = i2d_ECDSA_SIG(s, &out);
	ECDSA_SIG_free(s);
	return n < 0 ? 0 : (size_t)n;
}

bool crypto_verifies(EVP_PKEY *key, const char *alg, const char *token)
{
	struct arena a;
	arena_init(&a, 0);
	const char *dot = strrchr(token, '.');
	struct slice sig = {0};
	unsigned char der[256];
	bool ok = dot && base64url_decode(&a, slice_of(dot + 1), &sig);
	if (ok && EVP_PKEY_is_a(key, "EC")) {
		sig.len = to_der(key, sig, der);
		sig.p = (const char *)der;
	}
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc = NULL;
	ok = ok && sig.len &&
	     EVP_DigestVerifyInit_ex(c, &pc, digest_of(key, alg), NULL, NULL, key, NULL) == 1;
	if (ok) {
		set_padding(pc, alg, -1);
		ok = EVP_DigestVerify(c, (const unsigned char *)sig.p, sig.len,
			 (const unsigned char *)token, (size_t)(dot - token)) == 1;
	}
	EVP_MD_CTX_free(c);
	arena_done(&a);
	return ok;
}

/* --- certificates --- */

static char *pem_text(BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	char *s = malloc((size_t)n + 1);
	MUST(s);
	memcpy(s, p, (size_t)n);
	s[n] = '\0';
	BIO_free(bio);
	return s;
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX c;
	X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &c, nid, value);
	MUST(ext && X509_add_ext(x, ext, -1) == 1);
	X509_EXTENSION_free(ext);
}

struct crypto_cert crypto_cert(
    const struct crypto_cert *ca, const char *cn, const char *san, int days)
{
	static long serial = 1;
	EVP_PKEY *key = crypto_ec("P-256"), *signer = key;
	X509 *x = X509_new(), *issuer = x;
	if (ca) {
		BIO *b = BIO_new_mem_buf(ca->cert, -1);
		issuer = PEM_read_bio_X509(b, NULL, NULL, NULL);
		BIO_free(b);
		b = BIO_new_mem_buf(ca->key, -1);
		signer = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
		BIO_free(b);
		MUST(issuer && signer);
	}
	MUST(X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial));
	X509_gmtime_adj(X509_getm_notBefore(x), days < 0 ? 86400L * 2 * days : -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
	    (const unsigned char *)cn, -1, -1, 0);
	MUST(X509_set_issuer_name(x, X509_get_subject_name(issuer)) && X509_set_pubkey(x, key));
	add_extension(x, issuer, NID_basic_constraints, ca || san ? "CA:FALSE" : "critical,CA:TRUE");
	if (san)
		add_extension(x, issuer, NID_subject_alt_name, san);
	MUST(X509_sign(x, signer, EVP_sha256()));
	BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
	MUST(PEM_write_bio_X509(c, x) && PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL));
	if (ca) {
		X509_free(issuer);
		EVP_PKEY_free(signer);
	}
	X509_free(x);
	EVP_PKEY_free(key);
	return (struct crypto_cert){pem_text(c), pem_text(k)};
}

void crypto_cert_free(struct crypto_cert *c)
{
	free(c->cert);
	free(c->key);
	*c = (struct crypto_cert){0};
}
