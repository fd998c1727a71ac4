/* Fuzzes the key sets that issuers publish. What is admitted is within its bounds, and never a key that should
 * not be there; a set is the same as itself however often it is read. */
#include <stdlib.h>

#include "authn/limits.h"
#include "authn/keyset.h"
#include "common/jsonx.h"
#include "tests/fuzz/fuzz.h"

/* The rules once more, over the raw JWK: necessary ones, not all of them. */
static void check_admitted(const json_t *jwk, const struct jose_key *k)
{
	static const char *const forbidden[] = {"d", "k", "p", "q"};
	const char *kty = json_string_value(json_object_get(jwk, "kty"));
	const json_t *use = json_object_get(jwk, "use"), *alg = json_object_get(jwk, "alg");
	unsigned algs = jose_key_algs(k);
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		FUZZ_CHECK(!json_object_get(jwk, forbidden[i]));
	FUZZ_CHECK(kty && (strcmp(kty, "RSA") == 0 || strcmp(kty, "EC") == 0 ||
			  strcmp(kty, "OKP") == 0));
	FUZZ_CHECK(!use || strcmp(json_string_value(use), "sig") == 0);
	FUZZ_CHECK(algs != 0 && (algs & ~JOSE_ALGS_ALL) == 0);
	bool ed = strcmp(kty, "OKP") == 0;
	FUZZ_CHECK(!alg || algs == JOSE_BIT(jose_alg_of(slice_of(json_string_value(alg)))));
	unsigned ec = JOSE_BIT(JOSE_ES256) | JOSE_BIT(JOSE_ES384) | JOSE_BIT(JOSE_ES512);
	FUZZ_CHECK(strcmp(kty, "EC") == 0 ? !(algs & ~ec) : !(algs & ec));
	unsigned okp = JOSE_BIT(JOSE_EDDSA) | JOSE_BIT(JOSE_ED25519) | JOSE_BIT(JOSE_ED448);
	FUZZ_CHECK(ed ? !(algs & ~okp) : !(algs & okp));
	FUZZ_CHECK(jose_key_kid(k).len <= KID_MAX_BYTES);
}

static size_t count_admitted(const json_t *keys)
{
	size_t n = 0;
	for (size_t i = 0; i < json_array_size(keys); i++) {
		AUTO(jose_key_free) struct jose_key *k = NULL;
		struct err e = {0};
		const json_t *jwk = json_array_get(keys, i);
		if (jose_key_import(jwk, &k, &e) == ERR_OK) {
			check_admitted(jwk, k);
			n++;
		} else {
			FUZZ_CHECK(!k && e.msg[0] != '\0');
		}
	}
	return n;
}

static void try_set(struct slice text)
{
	AUTO(keyset_unref) struct keyset *s = NULL;
	AUTO(jsonx_unref) json_t *j = NULL;
	struct err e = {0};
	enum err_code code = keyset_parse(text, &s, &e);
	FUZZ_CHECK((code == ERR_OK) == (s != NULL) && (s || e.msg[0] != '\0'));
	if (!s)
		return;
	FUZZ_CHECK(jsonx_object(text, KEYSET_BYTES_MAX, &j, &e) == ERR_OK);
	const json_t *keys = json_object_get(j, "keys");
	FUZZ_CHECK(keyset_len(s) > 0 && keyset_len(s) <= KEYSET_KEYS_MAX);
	FUZZ_CHECK(keyset_len(s) + keyset_skipped(s) == json_array_size(keys));
	FUZZ_CHECK(keyset_len(s) == count_admitted(keys));
	AUTO(keyset_unref) struct keyset *again = NULL;
	FUZZ_CHECK(keyset_parse(text, &again, &e) == ERR_OK && keyset_same(s, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_set(fuzz_slice(data, size));
	return 0;
}
