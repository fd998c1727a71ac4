/* Owns keys: the admission of JWKs, our own signing keys as JWKs, and the immutable set of them. */
#include "authn/keyset.h"

#include <openssl/err.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "authn/jose_key.h"
#include "authn/limits.h"
#include "common/base64url.h"
#include "common/jsonx.h"

#define RSA_EXPONENT_MIN 65537u

/* --- admission --- */

/* Big-endian unsigned number of member NAME without leading zeros (some issuers add one). */
static enum err_code read_number(
    struct arena *a, const json_t *jwk, const char *name, struct slice *out, struct err *e)
{
	struct slice text;
	TRY(jsonx_string(jwk, name, &text, e));
	if (text.len == 0 || !base64url_decode(a, text, out))
		return err_set(e, ERR_INVALID, "%s is missing or not base64url", name);
	while (out->len && out->p[0] == '\0')
		*out = slice_skip(*out, 1);
	return ERR_OK;
}

static unsigned modulo(struct slice n, unsigned p)
{
	unsigned r = 0;
	for (size_t i = 0; i < n.len; i++)
		r = (r << 8 | (unsigned char)n.p[i]) % p;
	return r;
}

/* CVE-2017-15361: primes of that generator are powers of 65537 modulo each small prime, so their
 * product is too. By chance a good modulus passes all of these with a probability below 2^-27. */
static bool roca(struct slice n)
{
	static const uint8_t primes[] = {3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53,
	    59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149,
	    151, 157, 163, 167};
	for (size_t i = 0; i < ARRAY_LEN(primes); i++) {
		unsigned p = primes[i], want = modulo(n, p), power = 1;
		do
			power = power * 65537u % p;
		while (power != want && power != 1);
		if (power != want)
			return false;
	}
	return true;
}

static size_t bit_length(struct slice n)
{
	unsigned top = n.len ? (unsigned char)n.p[0] : 0;
	return n.len ? n.len * 8 - (size_t)(__builtin_clz(top) - 24) : 0;
}

static enum err_code check_rsa(struct slice n, struct slice exp, struct err *e)
{
	size_t bits = bit_length(n);
	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
		return err_set(e, ERR_REFUSED, "RSA modulus of %zu bits", bits);
	if (!(n.p[n.len - 1] & 1))
		return err_set(e, ERR_REFUSED, "RSA modulus is even");
	if (roca(n))
		return err_set(e, ERR_REFUSED, "RSA modulus is of the ROCA family");
	uint32_t v = 0;
	for (size_t i = 0; i < exp.len && i < 4; i++)
		v = v << 8 | (unsigned char)exp.p[i];
	if (exp.len > 4 || v < RSA_EXPONENT_MIN || !(v & 1))
		return err_set(e, ERR_REFUSED, "RSA exponent is even or out of range");
	return ERR_OK;
}

static uint8_t *bytes(struct arena *a, struct slice s)
{
	return (uint8_t *)arena_strndup(a, s.p, s.len);
}

static enum err_code import_rsa(const json_t *jwk, struct jose_key *k, struct err *e)
{
	struct slice n, exp;
	TRY(read_number(&k->arena, jwk, "n", &n, e));
	TRY(read_number(&k->arena, jwk, "e", &exp, e));
	TRY(check_rsa(n, exp, e));
	cjose_jwk_rsa_keyspec spec = {
	    .n = bytes(&k->arena, n),
	    .nlen = n.len,
	    .e = bytes(&k->arena, exp),
	    .elen = exp.len,
	};
	cjose_err ce = {0};
	k->jwk = cjose_jwk_create_RSA_spec(&spec, &ce);
	if (!k->jwk)
		return err_set(e, ERR_REFUSED, "RSA key is refused by libcrypto");
	k->sig_len = n.len;
	k->algs = JOSE_BIT(JOSE_RS256) | JOSE_BIT(JOSE_RS384) | JOSE_BIT(JOSE_RS512) |
		  JOSE_BIT(JOSE_PS256) | JOSE_BIT(JOSE_PS384) | JOSE_BIT(JOSE_PS512);
	return ERR_OK;
}

struct curve {
	const char *name;
	cjose_jwk_ec_curve id;
	size_t coord; /* bytes of each coordinate: RFC 7518 6.2.1.2 wants exactly so many */
	enum jose_alg alg;
};

static const struct curve curves[] = {
    {"P-256", CJOSE_JWK_EC_P_256, 32, JOSE_ES256},
    {"P-384", CJOSE_JWK_EC_P_384, 48, JOSE_ES384},
    {"P-521", CJOSE_JWK_EC_P_521, 66, JOSE_ES512},
};

static enum err_code read_coordinate(struct arena *a, const json_t *jwk, const char *name,
    size_t len, struct slice *out, struct err *e)
{
	struct slice text;
	TRY(jsonx_string(jwk, name, &text, e));
	if (!base64url_decode(a, text, out) || out->len != len)
		return err_set(e, ERR_REFUSED, "EC member %s has the wrong length", name);
	return ERR_OK;
}

static enum err_code import_ec(const json_t *jwk, struct jose_key *k, struct err *e)
{
	struct slice crv, x, y;
	const struct curve *c = NULL;
	TRY(jsonx_string(jwk, "crv", &crv, e));
	for (size_t i = 0; i < ARRAY_LEN(curves); i++)
		c = slice_is(crv, curves[i].name) ? &curves[i] : c;
	if (!c)
		return err_set(e, ERR_REFUSED, "unknown curve");
	TRY(read_coordinate(&k->arena, jwk, "x", c->coord, &x, e));
	TRY(read_coordinate(&k->arena, jwk, "y", c->coord, &y, e));
	cjose_jwk_ec_keyspec spec = {
	    .crv = c->id,
	    .x = bytes(&k->arena, x),
	    .xlen = x.len,
	    .y = bytes(&k->arena, y),
	    .ylen = y.len,
	};
	cjose_err ce = {0};
	k->jwk = cjose_jwk_create_EC_spec(&spec, &ce);
	if (!k->jwk)
		return err_set(e, ERR_REFUSED, "EC point is not on the curve");
	k->sig_len = 2 * c->coord;
	k->algs = JOSE_BIT(c->alg);
	return ERR_OK;
}

/* `use` and `key_ops` allow verification; `alg` narrows what the key may do, never widens. */
static enum err_code apply_purpose(const json_t *jwk, struct jose_key *k, struct err *e)
{
	struct slice use, alg;
	TRY(jsonx_string(jwk, "use", &use, e));
	if (json_object_get(jwk, "use") && !slice_is(use, "sig"))
		return err_set(e, ERR_REFUSED, "use is not sig");
	if (json_object_get(jwk, "key_ops")) {
		struct slice *ops;
		size_t n, i = 0;
		TRY(jsonx_strings(jwk, "key_ops", false, &k->arena, &ops, &n, e));
		while (i < n && !slice_is(ops[i], "verify"))
			i++;
		if (i == n)
			return err_set(e, ERR_REFUSED, "key_ops has no verify");
	}
	TRY(jsonx_string(jwk, "alg", &alg, e));
	if (json_object_get(jwk, "alg")) {
		enum jose_alg only = jose_alg_of(alg);
		k->algs &= only == JOSE_NONE ? 0 : JOSE_BIT(only);
		if (!k->algs)
			return err_set(e, ERR_REFUSED, "alg does not fit the key");
	}
	return ERR_OK;
}

static enum err_code import_kid(const json_t *jwk, struct jose_key *k, struct err *e)
{
	TRY(jsonx_string(jwk, "kid", &k->kid, e));
	if (k->kid.len > KID_MAX_BYTES)
		return err_set(e, ERR_REFUSED, "kid is too long");
	k->kid = slice_dup(&k->arena, k->kid);
	return ERR_OK;
}

static enum err_code import_public(const json_t *jwk, struct jose_key *k, struct err *e)
{
	static const char *const private_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
	for (size_t i = 0; i < ARRAY_LEN(private_members); i++)
		if (json_object_get(jwk, private_members[i]))
			return err_set(e, ERR_REFUSED, "a private or symmetric key");
	struct slice kty;
	TRY(jsonx_string(jwk, "kty", &kty, e));
	if (slice_is(kty, "RSA"))
		TRY(import_rsa(jwk, k, e));
	else if (slice_is(kty, "EC"))
		TRY(import_ec(jwk, k, e));
	else if (slice_is(kty, "OKP"))
		TRY(okp_import(jwk, k, e));
	else
		return err_set(e, ERR_REFUSED, "key type is none of RSA, EC and OKP");
	TRY(import_kid(jwk, k, e));
	return apply_purpose(jwk, k, e);
}

static struct jose_key *key_new(bool wiped)
{
	struct jose_key *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	if (wiped)
		arena_init_wiped(&k->arena, 0);
	else
		arena_init(&k->arena, 0);
	return k;
}

void jose_key_free(struct jose_key **k)
{
	if (!k || !*k)
		return;
	struct jose_key *key = TAKE(*k);
	if (key->jwk)
		cjose_jwk_release(key->jwk);
	okp_free(key);
	secret_free(&key->d);
	arena_done(&key->arena);
	free(key);
}

enum err_code jose_key_import(const json_t *jwk, struct jose_key **out, struct err *e)
{
	if (!json_is_object(jwk))
		return err_set(e, ERR_INVALID, "a key is not an object");
	AUTO(jose_key_free) struct jose_key *k = key_new(false);
	ERR_clear_error();
	enum err_code code = import_public(jwk, k, e);
	ERR_clear_error();
	if (code == ERR_OK)
		*out = TAKE(k);
	return code;
}

struct slice jose_key_kid(const struct jose_key *k)
{
	return k->kid;
}

unsigned jose_key_algs(const struct jose_key *k)
{
	return k->algs;
}

/* --- keys of our own --- */

static void free_cjose_text(char **text)
{
	if (!*text)
		return;
	explicit_bzero(*text, strlen(*text));
	cjose_get_dealloc()(*text);
}

/* The JWK that cjose makes of K's key, private members included. */
static enum err_code cjose_json(const cjose_jwk_t *jwk, json_t **out, struct err *e)
{
	cjose_err ce = {0};
	AUTO(free_cjose_text) char *text = cjose_jwk_to_json(jwk, true, &ce);
	if (!text)
		return err_set(e, ERR_INTERNAL, "cannot export the key");
	return jsonx_object(slice_of(text), KEYSET_BYTES_MAX, out, e);
}

/* Fills K from JWK members; the public point must be the one that belongs to d. */
static enum err_code import_own(const json_t *jwk, struct jose_key *k, struct err *e)
{
	struct slice kty, crv, x, y, d, text;
	TRY(jsonx_string(jwk, "kty", &kty, e));
	TRY(jsonx_string(jwk, "crv", &crv, e));
	if (!slice_is(kty, "EC") || !slice_is(crv, "P-256"))
		return err_set(e, ERR_INVALID, "not an EC key of curve P-256");
	TRY(import_kid(jwk, k, e));
	if (k->kid.len == 0)
		return err_set(e, ERR_INVALID, "kid is missing");
	TRY(read_coordinate(&k->arena, jwk, "x", 32, &x, e));
	TRY(read_coordinate(&k->arena, jwk, "y", 32, &y, e));
	TRY(read_coordinate(&k->arena, jwk, "d", 32, &d, e));
	cjose_jwk_ec_keyspec spec = {
	    .crv = CJOSE_JWK_EC_P_256,
	    .x = bytes(&k->arena, x),
	    .xlen = x.len,
	    .y = bytes(&k->arena, y),
	    .ylen = y.len,
	    .d = bytes(&k->arena, d),
	    .dlen = d.len,
	};
	cjose_err ce = {0};
	k->jwk = cjose_jwk_create_EC_spec(&spec, &ce);
	if (!k->jwk)
		return err_set(e, ERR_INVALID, "EC key is refused by libcrypto");
	AUTO(jsonx_unref) json_t *made = NULL;
	TRY(cjose_json(k->jwk, &made, e));
	TRY(jsonx_string(jwk, "x", &k->x, e));
	TRY(jsonx_string(jwk, "y", &k->y, e));
	TRY(jsonx_string(made, "x", &x, e));
	TRY(jsonx_string(made, "y", &y, e));
	if (!slice_eq(x, k->x) || !slice_eq(y, k->y))
		return err_set(e, ERR_INVALID, "x and y do not belong to d");
	k->x = slice_dup(&k->arena, k->x);
	k->y = slice_dup(&k->arena, k->y);
	TRY(jsonx_string(jwk, "d", &text, e));
	k->d = secret_new(text.p, text.len);
	k->sig_len = 64;
	k->algs = JOSE_BIT(JOSE_ES256);
	return ERR_OK;
}

static enum err_code import_own_json(const json_t *jwk, struct jose_key **out, struct err *e)
{
	AUTO(jose_key_free) struct jose_key *k = key_new(true);
	ERR_clear_error();
	enum err_code code = import_own(jwk, k, e);
	ERR_clear_error();
	if (code == ERR_OK)
		*out = TAKE(k);
	return code;
}

enum err_code jose_key_import_private(struct slice text, struct jose_key **out, struct err *e)
{
	AUTO(jsonx_unref) json_t *jwk = NULL;
	TRY(jsonx_object(text, KEYSET_BYTES_MAX, &jwk, e));
	return import_own_json(jwk, out, e);
}

/* RFC 7638: SHA-256 over the required members in lexical order. */
static void thumbprint(struct slice x, struct slice y, struct buf *out)
{
	struct buf text;
	uint8_t digest[SHA256_LEN];
	buf_init(&text, 256);
	buf_printf(&text, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" SLICE_FMT "\",\"y\":\"" SLICE_FMT
			  "\"}",
	    SLICE_ARG(x), SLICE_ARG(y));
	sha256(text.p, text.len, digest);
	base64url_encode(out, (struct slice){(const char *)digest, sizeof(digest)});
	buf_done(&text);
}

static void release_jwk(cjose_jwk_t **jwk)
{
	if (*jwk)
		cjose_jwk_release(*jwk);
}

enum err_code jose_key_generate(struct jose_key **out, struct err *e)
{
	cjose_err ce = {0};
	AUTO(release_jwk) cjose_jwk_t *made = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, &ce);
	if (!made)
		return err_set(e, ERR_INTERNAL, "cannot generate a key");
	AUTO(jsonx_unref) json_t *jwk = NULL;
	TRY(cjose_json(made, &jwk, e));
	struct slice x, y;
	TRY(jsonx_string(jwk, "x", &x, e));
	TRY(jsonx_string(jwk, "y", &y, e));
	struct buf kid;
	buf_init(&kid, 64);
	thumbprint(x, y, &kid);
	json_object_set_new(jwk, "kid", json_stringn(kid.p, kid.len));
	buf_done(&kid);
	return import_own_json(jwk, out, e);
}

enum err_code jose_key_export(
    const struct jose_key *k, bool private, struct buf *out, struct err *e)
{
	if (!k->d.p)
		return err_set(e, ERR_INTERNAL, "not a key of our own");
	buf_adds(out, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"sig\",\"alg\":\"ES256\"");
	buf_json_member(out, "kid", k->kid);
	buf_json_member(out, "x", k->x);
	buf_json_member(out, "y", k->y);
	if (private)
		buf_json_member(out, "d", (struct slice){k->d.p, k->d.len});
	buf_addc(out, '}');
	return out->over ? err_set(e, ERR_INTERNAL, "buffer too small for a key") : ERR_OK;
}

/* --- the set --- */

struct keyset {
	atomic_uint refs;
	size_t len, skipped;
	struct jose_key *keys[KEYSET_KEYS_MAX];
	uint8_t digests[KEYSET_KEYS_MAX][SHA256_LEN]; /* of their JWKs, sorted once all are in */
};

struct keyset *keyset_ref(struct keyset *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void keyset_unref(struct keyset **s)
{
	if (!s || !*s)
		return;
	struct keyset *set = TAKE(*s);
	if (atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < set->len; i++)
		jose_key_free(&set->keys[i]);
	free(set);
}

static int digest_cmp(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_LEN);
}

/* Of the members in sorted order, so that an issuer may write the same key another way. */
static void digest_jwk(const json_t *jwk, uint8_t out[SHA256_LEN])
{
	char *text = json_dumps(jwk, JSON_COMPACT | JSON_SORT_KEYS);
	if (!text)
		abort();
	sha256(text, strlen(text), out);
	free(text);
}

bool keyset_same(const struct keyset *a, const struct keyset *b)
{
	if (!a || !b)
		return a == b;
	return a->len == b->len && memcmp(a->digests, b->digests, a->len * SHA256_LEN) == 0;
}

size_t keyset_len(const struct keyset *s)
{
	return s->len;
}

size_t keyset_skipped(const struct keyset *s)
{
	return s->skipped;
}

enum err_code keyset_parse(struct slice text, struct keyset **out, struct err *e)
{
	AUTO(jsonx_unref) json_t *doc = NULL;
	TRY(jsonx_object(text, KEYSET_BYTES_MAX, &doc, e));
	const json_t *keys = json_object_get(doc, "keys");
	if (!json_is_array(keys))
		return err_set(e, ERR_INVALID, "there is no array \"keys\"");
	if (json_array_size(keys) > KEYSET_KEYS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d keys", KEYSET_KEYS_MAX);
	AUTO(keyset_unref) struct keyset *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	atomic_init(&s->refs, 1);
	struct err last = {0};
	size_t i;
	json_t *jwk;
	json_array_foreach(keys, i, jwk)
	{
		if (jose_key_import(jwk, &s->keys[s->len], &last) == ERR_OK)
			digest_jwk(jwk, s->digests[s->len++]);
		else
			s->skipped++;
	}
	if (s->len == 0)
		return err_set(e, ERR_INVALID, "no usable key (%zu in all)%s%s", s->skipped,
		    s->skipped ? "; the last one: " : "", last.msg);
	qsort(s->digests, s->len, SHA256_LEN, digest_cmp);
	*out = TAKE(s);
	return ERR_OK;
}

static bool candidate(const struct jose_key *k, const struct jose_token *t)
{
	if (t->has_kid)
		return slice_eq(k->kid, t->kid);
	return (k->algs & JOSE_BIT(t->alg)) != 0;
}

enum keyset_result keyset_verify(const struct keyset *s, const struct jose_token *t, unsigned algs,
    const struct jose_key **key, struct err *e)
{
	unsigned tried = 0;
	if (t->header.code != ERR_OK || t->alg == JOSE_NONE) {
		err_set(e, ERR_REFUSED, "%s", t->header.msg);
		return KEYSET_BAD_SIGNATURE;
	}
	err_set(e, ERR_NOT_FOUND, "no key for this token");
	for (size_t i = 0; i < s->len && tried < JOSE_TRIES_MAX; i++) {
		if (!candidate(s->keys[i], t))
			continue;
		tried++;
		if (jose_verify(t, s->keys[i], algs, e) != ERR_OK)
			continue;
		if (key)
			*key = s->keys[i];
		return KEYSET_VERIFIED;
	}
	return tried && t->has_kid ? KEYSET_BAD_SIGNATURE : KEYSET_NO_KEY;
}
