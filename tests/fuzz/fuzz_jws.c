/* Fuzzes compact tokens: what verifies is spelled in the one canonical way, and a token of our own verifies
 * as it is and in no changed form. */
#include "authn/keyset.h"
#include "common/base64url.h"
#include "common/jsonx.h"
#include "tests/fuzz/fuzz.h"

/* Made for this test; they protect nothing. */
#define EC_X "pAp9Or0ntGb7KIlS1GxJRQyz7MSWz3la4Lz83_os4Ng"
#define EC_Y "9s94My4ULSfqDIJM8_2QLpbVqy-VJUXgTg_7rWm2Yd4"
#define EC_D "PMCURE8amSDvf47q8k1OeIvEIY6V5YH1Pp_B-Q2y7MI"
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" /* RFC 8037 A.1 */
#define RSA_N \
	"9EQYl2ErPebNlViB_m1SG0Y7udHIzH-fUq-HCsdD8YZJKQKmiWc9tAc2j2CH5l9Xx751pDwk" \
	"cE8BX0bLyWaqPXZRxFeEZm9xIWW23nMYoOomXupxNUTLeijNlj053M-oy6zKNnP6Mx39eQBJ" \
	"BNr3cpn5jDwHCA_RCm7h8-58hUJYg6YRdBrtG7gYRjNSqXWPrFBP7Hmt23wEOQ_WmlCahJ51" \
	"GdrH-_SJbkEO_CbhgmJ2ptZixOhUOyDl1v5L1yEwr-fNqDJc7YvoZEdFCbmppAU_nF30MT6p" \
	"G9mdtEzzIADgibpwNQQKMYyhXN6gW2FOu4jSQOf0LP0Sdgj04TMzsQ"

static struct keyset *set;
static struct jose_key *own;

static void set_up(void)
{
	static const char text[] =
	    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
	    "\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\",\"x\":\"" ED_X
	    "\"},{\"kty\":\"RSA\",\"kid\":\"rsa\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}]}";
	static const char private_text[] =
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
	    "\",\"d\":\"" EC_D "\"}";
	struct err e;
	if (set)
		return;
	jsonx_init();
	FUZZ_CHECK(keyset_parse(slice_of(text), &set, &e) == ERR_OK);
	FUZZ_CHECK(jose_key_import_private(slice_of(private_text), &own, &e) == ERR_OK);
}

/* The parts of a parsed token, encoded again, are the token. */
static void check_spelling(const struct jose_token *t)
{
	AUTO(buf_done) struct buf b = {0};
	buf_init(&b, t->text.len + 1);
	buf_add(&b, t->text.p, t->signing_len);
	buf_addc(&b, '.');
	base64url_encode(&b, t->signature);
	FUZZ_CHECK(slice_eq(buf_view(&b), t->text));
}

static void check_parsed(const struct jose_token *t)
{
	struct err e = {0};
	FUZZ_CHECK(json_is_object(t->claims));
	FUZZ_CHECK(t->signing_len < t->text.len && t->text.p[t->signing_len] == '.');
	FUZZ_CHECK((t->header.code == ERR_OK) == (t->alg != JOSE_NONE));
	check_spelling(t);
	if (keyset_verify(set, t, JOSE_ALGS_ALL, NULL, &e) == KEYSET_VERIFIED) {
		FUZZ_CHECK(t->header.code == ERR_OK);
		bool rsa = t->alg <= JOSE_PS512;
		FUZZ_CHECK(t->signature.len == (rsa ? 256u : 64u));
		FUZZ_CHECK(keyset_verify(set, t, JOSE_ALGS_ALL & ~JOSE_BIT(t->alg), NULL, &e) !=
			   KEYSET_VERIFIED);
	} else {
		FUZZ_CHECK(e.msg[0] != '\0');
	}
}

static void try_token(struct slice text)
{
	AUTO(arena_done) struct arena a = {0};
	struct jose_token t;
	struct err e = {0};
	if (jose_parse(&a, text, &t, &e) == ERR_OK) {
		check_parsed(&t);
		FUZZ_CHECK(slice_eq(jose_peek_issuer(&a, text), t.iss));
	} else {
		FUZZ_CHECK(e.code != ERR_OK && e.msg[0] != '\0');
	}
}

static bool verifies(struct slice text)
{
	AUTO(arena_done) struct arena a = {0};
	struct jose_token t;
	return jose_parse(&a, text, &t, NULL) == ERR_OK &&
	       keyset_verify(set, &t, JOSE_ALGS_ALL, NULL, NULL) == KEYSET_VERIFIED;
}

/* CLAIMS signed by us, then with one byte changed as CLAIMS themselves say. */
static void try_own(struct slice claims)
{
	AUTO(jsonx_unref) json_t *j = NULL;
	AUTO(buf_done) struct buf b = {0};
	struct err e = {0};
	if (jsonx_object(claims, 16384, &j, &e) != ERR_OK)
		return;
	buf_init(&b, 65536);
	FUZZ_CHECK(jose_sign_es256(own, "JWT", claims, &b, &e) == ERR_OK);
	FUZZ_CHECK(verifies(buf_view(&b)));
	size_t at = (claims.len * 7919u + (unsigned char)claims.p[claims.len / 2]) % b.len;
	b.p[at] = (char)(b.p[at] ^ (1 + (unsigned char)claims.p[0] % 127));
	FUZZ_CHECK(!verifies(buf_view(&b)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	set_up();
	try_token(fuzz_slice(data, size));
	try_own(fuzz_slice(data, size));
	return 0;
}
