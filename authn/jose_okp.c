/* Owns Edwards-curve keys (RFC 8037): their admission and verification, by libcrypto since cjose has none. */
#include <openssl/bn.h>

#include "authn/jose_key.h"
#include "common/base64url.h"
#include "common/jsonx.h"

/* RFC 8032 5.1 and 5.2: a x² + y² = 1 + d x² y² modulo p. */
struct edwards {
	const char *name; /* of the curve in a JWK, and of the key type in libcrypto */
	size_t len;	  /* bytes of a point: y, little-endian, and the sign of x in the top bit */
	size_t sig_len;
	enum jose_alg alg;
	const char *p, *a, *d; /* hexadecimal */
};

static const struct edwards curves[] = {
    {"Ed25519", 32, 64, JOSE_ED25519,
	"7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED", "-1",
	"52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3"},
    {"Ed448", 57, 114, JOSE_ED448,
	"FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFE"
	"FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
	"1", "-98A9"},
};

/* One calculation modulo p; all numbers come from and go with CTX. A NULL operand gives NULL. */
struct residues {
	BN_CTX *ctx;
	BIGNUM *p, *a, *d;
};

static BIGNUM *mul(const struct residues *f, const BIGNUM *x, const BIGNUM *y)
{
	BIGNUM *r = BN_CTX_get(f->ctx);
	return r && x && y && BN_mod_mul(r, x, y, f->p, f->ctx) ? r : NULL;
}

static BIGNUM *add(const struct residues *f, const BIGNUM *x, const BIGNUM *y)
{
	BIGNUM *r = BN_CTX_get(f->ctx);
	return r && x && y && BN_mod_add(r, x, y, f->p, f->ctx) ? r : NULL;
}

static BIGNUM *sub(const struct residues *f, const BIGNUM *x, const BIGNUM *y)
{
	BIGNUM *r = BN_CTX_get(f->ctx);
	return r && x && y && BN_mod_sub(r, x, y, f->p, f->ctx) ? r : NULL;
}

/* libcrypto takes any bytes as a key and verifies with a key of small order whatever it is told to.
 * x² = u / v with u = y² - 1 and v = d y² - a, so a point is there when u v is a square. Of small order are
 * y = 0, y² = 1 and what doubling leads to y = 0: d y⁴ - 2 a y² + a = 0. */
static enum err_code check_point(const struct residues *f, const BIGNUM *y, struct err *e)
{
	if (BN_cmp(y, f->p) >= 0)
		return err_set(e, ERR_REFUSED, "OKP point is not in its one spelling");
	BIGNUM *yy = mul(f, y, y), *u = sub(f, yy, BN_value_one());
	BIGNUM *v = sub(f, mul(f, f->d, yy), f->a), *uv = mul(f, u, v);
	BIGNUM *doubled = add(f, mul(f, sub(f, v, f->a), yy), f->a);
	if (!uv || !doubled)
		return err_set(e, ERR_INTERNAL, "libcrypto cannot calculate");
	if (BN_is_zero(y) || BN_is_zero(u) || BN_is_zero(doubled))
		return err_set(e, ERR_REFUSED, "OKP point is of small order");
	if (BN_kronecker(uv, f->p, f->ctx) != 1)
		return err_set(e, ERR_REFUSED, "OKP point is not on the curve");
	return ERR_OK;
}

static enum err_code check_bytes(const struct edwards *c, struct slice point, struct err *e)
{
	unsigned char y[57];
	memcpy(y, point.p, c->len);
	y[c->len - 1] &= 0x7f;
	struct residues f = {.ctx = BN_CTX_new()};
	enum err_code code = err_set(e, ERR_INTERNAL, "libcrypto cannot calculate");
	if (!f.ctx)
		return code;
	BN_CTX_start(f.ctx);
	f.p = BN_CTX_get(f.ctx);
	f.a = BN_CTX_get(f.ctx);
	f.d = BN_CTX_get(f.ctx);
	BIGNUM *n = BN_CTX_get(f.ctx);
	if (n && BN_hex2bn(&f.p, c->p) && BN_hex2bn(&f.a, c->a) && BN_hex2bn(&f.d, c->d) &&
	    BN_lebin2bn(y, (int)c->len, n))
		code = check_point(&f, n, e);
	BN_CTX_end(f.ctx);
	BN_CTX_free(f.ctx);
	return code;
}

enum err_code okp_import(const json_t *jwk, struct jose_key *k, struct err *e)
{
	struct slice crv, text, x;
	const struct edwards *c = NULL;
	TRY(jsonx_string(jwk, "crv", &crv, e));
	for (size_t i = 0; i < ARRAY_LEN(curves); i++)
		c = slice_is(crv, curves[i].name) ? &curves[i] : c;
	if (!c)
		return err_set(e, ERR_REFUSED, "OKP curve is neither Ed25519 nor Ed448");
	TRY(jsonx_string(jwk, "x", &text, e));
	if (!base64url_decode(&k->arena, text, &x) || x.len != c->len)
		return err_set(e, ERR_REFUSED, "OKP member x has the wrong length");
	TRY(check_bytes(c, x, e));
	k->okp = EVP_PKEY_new_raw_public_key_ex(
	    NULL, c->name, NULL, (const unsigned char *)x.p, x.len);
	if (!k->okp)
		return err_set(e, ERR_REFUSED, "OKP key is refused by libcrypto");
	k->sig_len = c->sig_len;
	k->algs = JOSE_BIT(JOSE_EDDSA) | JOSE_BIT(c->alg);
	return ERR_OK;
}

bool okp_verifies(const struct jose_key *k, struct slice text, struct slice sig)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool ok = c && EVP_DigestVerifyInit_ex(c, NULL, NULL, NULL, NULL, k->okp, NULL) == 1 &&
		  EVP_DigestVerify(c, (const unsigned char *)sig.p, sig.len,
		      (const unsigned char *)text.p, text.len) == 1;
	EVP_MD_CTX_free(c);
	return ok;
}

void okp_free(struct jose_key *k)
{
	EVP_PKEY_free(k->okp);
	k->okp = NULL;
}
