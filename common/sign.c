/* Owns Ed25519 over libcrypto: keys from PEM, signing, checking. */
#include "common/sign.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/secret.h"

static void free_key(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

static void free_bio(BIO **b)
{
	BIO_free(*b);
}

static void free_ctx(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

static void free_der(unsigned char **p)
{
	OPENSSL_free(*p);
}

/* Nobody is asked for one: an encrypted key is an error. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

/* Only white space: a second key would be passed over in silence. */
static bool only_space_left(BIO *b)
{
	char c;
	while (BIO_read(b, &c, 1) == 1)
		if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
			return false;
	return true;
}

/* The encodings, without the sign, of the points of small order: "keys" under which signatures can be made
 * by anybody, which libcrypto accepts. */
static const uint8_t small_order[][SIGN_KEY_LEN] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
	0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
	0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
};

/* Of p - 1 and, not reduced, p and p + 1 only the first byte differs: 0xec to 0xee. */
static bool near_prime(const uint8_t raw[SIGN_KEY_LEN])
{
	for (size_t i = 1; i < SIGN_KEY_LEN - 1; i++)
		if (raw[i] != 0xff)
			return false;
	return raw[0] >= 0xec && (raw[SIGN_KEY_LEN - 1] & 0x7f) == 0x7f;
}

static bool anybody_signs(const uint8_t raw[SIGN_KEY_LEN])
{
	uint8_t y[SIGN_KEY_LEN];
	memcpy(y, raw, sizeof(y));
	y[SIGN_KEY_LEN - 1] &= 0x7f;
	for (size_t i = 0; i < ARRAY_LEN(small_order); i++)
		if (memcmp(y, small_order[i], sizeof(y)) == 0)
			return true;
	return near_prime(raw);
}

static enum err_code describe(EVP_PKEY *k, struct sign_key *out, struct err *e)
{
	size_t len = sizeof(out->raw);
	AUTO(free_der) unsigned char *der = NULL;
	if (!EVP_PKEY_is_a(k, "ED25519"))
		return err_set(e, ERR_INVALID, "no Ed25519 key");
	int n = i2d_PUBKEY(k, &der);
	if (EVP_PKEY_get_raw_public_key(k, out->raw, &len) != 1 || len != sizeof(out->raw) || n <= 0)
		return err_set(e, ERR_INVALID, "the key cannot be used");
	if (anybody_signs(out->raw))
		return err_set(e, ERR_INVALID, "a weak key: anybody could sign in its name");
	char hex[2 * SHA256_LEN + 1];
	sha256_hex(der, (size_t)n, hex);
	memcpy(out->id, hex, SIGN_ID_LEN);
	out->id[SIGN_ID_LEN] = '\0';
	return ERR_OK;
}

enum err_code sign_public_key(struct slice pem, struct sign_key *out, struct err *e)
{
	if (pem.len == 0 || pem.len > SIGN_PEM_MAX)
		return err_set(e, ERR_INVALID, "no PEM \"PUBLIC KEY\"");
	AUTO(free_bio) BIO *b = BIO_new_mem_buf(pem.p, (int)pem.len);
	AUTO(free_key) EVP_PKEY *k = b ? PEM_read_bio_PUBKEY(b, NULL, no_passphrase, NULL) : NULL;
	ERR_clear_error();
	if (!k)
		return err_set(e, ERR_INVALID, "no PEM \"PUBLIC KEY\"");
	if (!only_space_left(b))
		return err_set(e, ERR_INVALID, "more than one key: a file for each");
	return describe(k, out, e);
}

enum err_code sign_make(struct slice pem, struct slice text, uint8_t out[SIGN_LEN],
    struct sign_key *by, struct err *e)
{
	if (pem.len == 0 || pem.len > SIGN_PEM_MAX)
		return err_set(e, ERR_INVALID, "no PEM \"PRIVATE KEY\"");
	AUTO(free_bio) BIO *b = BIO_new_mem_buf(pem.p, (int)pem.len);
	AUTO(free_key)
	EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
	ERR_clear_error();
	if (!k)
		return err_set(e, ERR_INVALID, "no PEM \"PRIVATE KEY\" without a passphrase");
	TRY(describe(k, by, e));
	AUTO(free_ctx) EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t len = SIGN_LEN;
	if (!c || EVP_DigestSignInit(c, NULL, NULL, NULL, k) != 1 ||
	    EVP_DigestSign(c, out, &len, (const uint8_t *)text.p, text.len) != 1 || len != SIGN_LEN)
		return err_set(e, ERR_INTERNAL, "signing failed");
	return ERR_OK;
}

bool sign_check(
    const struct sign_key *key, struct slice text, const uint8_t signature[SIGN_LEN])
{
	AUTO(free_key)
	EVP_PKEY *k =
	    EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, key->raw, sizeof(key->raw));
	AUTO(free_ctx) EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool good = k && c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, k) == 1 &&
		    EVP_DigestVerify(c, signature, SIGN_LEN, (const uint8_t *)text.p, text.len) == 1;
	ERR_clear_error();
	return good;
}
