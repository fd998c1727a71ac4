/* Owns compact JWS: the strict reading that must come before cjose, verification and signing. */
#include "authn/jose.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <strings.h>

#include "authn/jose_key.h"
#include "authn/limits.h"
#include "common/base64url.h"
#include "common/jsonscan.h"
#include "common/jsonx.h"

static const char *const alg_names[] = {
    [JOSE_NONE] = "",
    [JOSE_RS256] = "RS256",
    [JOSE_RS384] = "RS384",
    [JOSE_RS512] = "RS512",
    [JOSE_PS256] = "PS256",
    [JOSE_PS384] = "PS384",
    [JOSE_PS512] = "PS512",
    [JOSE_ES256] = "ES256",
    [JOSE_ES384] = "ES384",
    [JOSE_ES512] = "ES512",
    [JOSE_EDDSA] = "EdDSA",
    [JOSE_ED25519] = "Ed25519",
    [JOSE_ED448] = "Ed448",
};

enum jose_alg jose_alg_of(struct slice name)
{
	for (int i = JOSE_RS256; i <= JOSE_ED448; i++)
		if (slice_is(name, alg_names[i]))
			return (enum jose_alg)i;
	return JOSE_NONE;
}

const char *jose_alg_name(enum jose_alg alg)
{
	return alg_names[alg];
}

static bool equals_nocase(struct slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

bool jose_typ_is_jwt(const struct jose_token *t)
{
	return t->typ.len == 0 || equals_nocase(t->typ, "JWT") ||
	       equals_nocase(t->typ, "application/jwt");
}

/* Header members that move trust into the token, change what is signed, or announce encryption. None is
 * ever needed by an issuer we know; RFC 7515 4.1.11 demands a refusal of crit that is not understood. */
static const char *const forbidden[] = {"crit", "b64", "jwk", "x5u", "x5c", "zip", "enc"};

static enum err_code check_header(const json_t *h, struct jose_token *t, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		if (json_object_get(h, forbidden[i]))
			return err_set(e, ERR_REFUSED, "header has %s", forbidden[i]);
	struct slice alg, cty;
	TRY(jsonx_string(h, "alg", &alg, e));
	TRY(jsonx_string(h, "cty", &cty, e));
	TRY(jsonx_string(h, "typ", &t->typ, e));
	TRY(jsonx_string(h, "kid", &t->kid, e));
	if (json_object_get(h, "kid")) {
		if (t->kid.len == 0 || t->kid.len > KID_MAX_BYTES)
			return err_set(e, ERR_REFUSED, "header has an empty or overlong kid");
		t->has_kid = true;
	}
	/* RFC 7519 5.2: a nested token announces itself so. */
	if (equals_nocase(cty, "JWT") || equals_nocase(cty, "application/jwt"))
		return err_set(e, ERR_REFUSED, "token is nested");
	t->alg = jose_alg_of(alg);
	if (t->alg == JOSE_NONE)
		return err_set(e, ERR_REFUSED, "algorithm is none of RS, PS and ES 256, 384, 512, and EdDSA");
	const json_t *jku = json_object_get(h, "jku");
	if (!jku || json_is_null(jku))
		return ERR_OK;
	/* Refused unless the reader says where it may point to. */
	if (json_is_string(jku)) {
		t->jku = jsonx_text(jku);
		t->jku_alg = t->alg;
	}
	return err_set(e, ERR_REFUSED, "header has jku");
}

bool jose_without_jku(const struct jose_token *t, struct slice origin, struct jose_token *out)
{
	if (t->jku_alg == JOSE_NONE || !slice_starts(t->jku, origin) || t->jku.len == origin.len ||
	    t->jku.p[origin.len] != '/')
		return false;
	*out = *t;
	out->alg = t->jku_alg;
	out->header = (struct err){0};
	return true;
}

/* Not a failure of jose_parse: the caller may still want to know whose token it is. */
static void read_header(struct arena *a, struct slice raw, struct jose_token *t)
{
	json_t *h = NULL;
	if (jsonx_object(raw, JOSE_TOKEN_MAX, &h, &t->header) != ERR_OK) {
		err_wrap(&t->header, "header");
		return;
	}
	jsonx_on_done(a, h);
	if (check_header(h, t, &t->header) != ERR_OK)
		t->alg = JOSE_NONE;
}

/* Exactly two dots, neither header nor payload empty. */
static bool split(struct slice text, struct slice part[3])
{
	size_t first = slice_find(text, '.');
	struct slice rest = slice_skip(text, first + 1);
	size_t second = slice_find(rest, '.');
	if (first == text.len || second == rest.len)
		return false;
	part[0] = (struct slice){text.p, first};
	part[1] = (struct slice){rest.p, second};
	part[2] = slice_skip(rest, second + 1);
	return first > 0 && second > 0 && slice_find(part[2], '.') == part[2].len;
}

enum err_code jose_parse(
    struct arena *a, struct slice text, struct jose_token *out, struct err *e)
{
	*out = (struct jose_token){.text = text};
	struct slice part[3], header, payload;
	if (text.len > JOSE_TOKEN_MAX)
		return err_set(e, ERR_LIMIT, "token is longer than %zu bytes", JOSE_TOKEN_MAX);
	if (!split(text, part))
		return err_set(e, ERR_INVALID, "not three parts");
	if (!base64url_decode(a, part[0], &header) || !base64url_decode(a, part[1], &payload) ||
	    !base64url_decode(a, part[2], &out->signature))
		return err_set(e, ERR_INVALID, "not canonical base64url");
	json_t *claims = NULL;
	if (jsonx_object(payload, JOSE_TOKEN_MAX, &claims, e) != ERR_OK)
		return err_wrap(e, "payload");
	jsonx_on_done(a, claims);
	out->claims = claims;
	out->signing_len = part[0].len + 1 + part[1].len;
	if (jsonx_string(claims, "iss", &out->iss, e) != ERR_OK)
		out->iss = (struct slice){0};
	read_header(a, header, out);
	return ERR_OK;
}

/* A single pass over the payload without building anything: jansson takes ten times as long. */
static bool scan_issuer(struct jsonscan *s, struct slice *iss)
{
	struct slice key;
	if (!jsonscan_enter_object(s))
		return false;
	while (jsonscan_key(s, &key))
		if (!(slice_is(key, "iss") ? jsonscan_string(s, iss) : jsonscan_skip(s)))
			return false;
	return jsonscan_finish(s);
}

struct slice jose_peek_issuer(struct arena *a, struct slice text)
{
	struct slice part[3], payload, iss = {0};
	struct jsonscan s;
	if (text.len > JOSE_TOKEN_MAX || !split(text, part) || !base64url_decode(a, part[1], &payload))
		return iss;
	jsonscan_init(&s, payload, a);
	return scan_issuer(&s, &iss) ? iss : (struct slice){0};
}

static void release_jws(cjose_jws_t **jws)
{
	if (*jws)
		cjose_jws_release(*jws);
}

/* The mathematics, after everything else has been checked. */
static bool verifies(const struct jose_token *t, const struct jose_key *k)
{
	cjose_err ce = {0};
	ERR_clear_error();
	if (k->okp) {
		struct slice input = {t->text.p, t->signing_len};
		bool good = okp_verifies(k, input, t->signature);
		ERR_clear_error();
		return good;
	}
	AUTO(release_jws) cjose_jws_t *jws = cjose_jws_import(t->text.p, t->text.len, &ce);
	bool ok = jws && cjose_jws_verify(jws, k->jwk, &ce);
	ERR_clear_error();
	return ok;
}

enum err_code jose_verify(
    const struct jose_token *t, const struct jose_key *k, unsigned algs, struct err *e)
{
	if (t->header.code != ERR_OK)
		return err_set(e, ERR_REFUSED, "%s", t->header.msg);
	if (t->alg == JOSE_NONE || !(algs & JOSE_ALGS_ALL & JOSE_BIT(t->alg)))
		return err_set(e, ERR_REFUSED, "algorithm %s is not allowed", alg_names[t->alg]);
	if (!(k->algs & JOSE_BIT(t->alg)))
		return err_set(e, ERR_REFUSED, "the key does not serve %s", alg_names[t->alg]);
	if (t->signature.len != k->sig_len)
		return err_set(e, ERR_REFUSED, "signature has the wrong length");
	if (!verifies(t, k))
		return err_set(e, ERR_REFUSED, "signature does not verify");
	return ERR_OK;
}

static void release_header(cjose_header_t **h)
{
	if (*h)
		cjose_header_release(*h);
}

enum err_code jose_sign_es256(const struct jose_key *k, const char *typ, struct slice claims,
    struct buf *out, struct err *e)
{
	if (!k->d.p)
		return err_set(e, ERR_INTERNAL, "the key is not a private one");
	cjose_err ce = {0};
	ERR_clear_error();
	AUTO(release_header) cjose_header_t *h = cjose_header_new(&ce);
	AUTO(release_jws) cjose_jws_t *jws = NULL;
	const char *text = NULL;
	bool ok = h && cjose_header_set(h, CJOSE_HDR_ALG, CJOSE_HDR_ALG_ES256, &ce) &&
		  cjose_header_set(h, CJOSE_HDR_KID, k->kid.p, &ce) &&
		  (!typ || cjose_header_set(h, "typ", typ, &ce));
	if (ok)
		jws = cjose_jws_sign(k->jwk, h, (const uint8_t *)claims.p, claims.len, &ce);
	ok = jws && cjose_jws_export(jws, &text, &ce);
	ERR_clear_error();
	if (!ok)
		return err_set(e, ERR_INTERNAL, "signing: %s", ce.message ? ce.message : "failed");
	buf_adds(out, text);
	return ERR_OK;
}

static void free_bio(BIO **b)
{
	BIO_free(*b);
}

enum err_code jose_check_certificates(struct slice pem, struct err *e)
{
	ERR_clear_error();
	AUTO(free_bio) BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	size_t n = 0;
	bool stop = !bio;
	while (!stop) {
		X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		stop = !cert;
		n += !stop;
		X509_free(cert);
	}
	/* The loop always ends with an error: "no start line" is the end of the text. */
	bool clean = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	if (n == 0 || !clean)
		return err_set(e, ERR_INVALID,
		    n ? "certificate %zu cannot be read" : "holds no PEM certificate", n + 1);
	return ERR_OK;
}

static void free_cert(X509 **x)
{
	X509_free(*x);
}

static void free_pkey(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

/* Nobody is there to be asked, least of all on the terminal, which is libcrypto's own way. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

enum err_code jose_check_key(struct slice key, struct slice chain, struct err *e)
{
	AUTO(free_bio) BIO *text = BIO_new_mem_buf(key.p, (int)key.len);
	AUTO(free_bio) BIO *leaf = BIO_new_mem_buf(chain.p, (int)chain.len);
	AUTO(free_pkey) EVP_PKEY *k =
	    text ? PEM_read_bio_PrivateKey(text, NULL, no_passphrase, NULL) : NULL;
	AUTO(free_cert) X509 *cert = leaf ? PEM_read_bio_X509(leaf, NULL, NULL, NULL) : NULL;
	bool fits = k && cert && X509_check_private_key(cert, k) == 1;
	ERR_clear_error();
	if (!k)
		return err_set(e, ERR_INVALID, "holds no private key without passphrase");
	return fits ? ERR_OK : err_set(e, ERR_INVALID, "is not the key of the certificate");
}
