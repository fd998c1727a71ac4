/* A key set (RFC 7517): parsed once, immutable, shared by reference count. */
#ifndef AUTHN_KEYSET_H
#define AUTHN_KEYSET_H

#include "authn/jose.h"

struct keyset;

/* The keys of TEXT that pass jose_key_import; others are skipped one by one and counted. ERR_INVALID
 * when TEXT is no strict JSON object with an array `keys`, or no usable key is in it; ERR_LIMIT past
 * KEYSET_BYTES_MAX or KEYSET_KEYS_MAX. E then says why, with the last key's fault. */
enum err_code keyset_parse(struct slice text, struct keyset **out, struct err *e) MUST_CHECK;

/* Thread-safe. */
struct keyset *keyset_ref(struct keyset *s);
void keyset_unref(struct keyset **s);

/* True when both hold the same usable keys, in whatever order and spelling of the JSON they came. A is what
 * there was before and may be NULL, as may B. */
bool keyset_same(const struct keyset *a, const struct keyset *b);

size_t keyset_len(const struct keyset *s);
size_t keyset_skipped(const struct keyset *s);

/* What a token's signature comes to under a set. */
enum keyset_result {
	KEYSET_BAD_SIGNATURE = 0, /* there are keys for it, none verifies */
	KEYSET_VERIFIED,
	KEYSET_NO_KEY, /* no key of that kid; or no kid and no key verifies: newer keys might */
};

/* With a kid, the keys of that kid; without, those that serve T's algorithm; at most JOSE_TRIES_MAX of
 * them. A bad header is KEYSET_BAD_SIGNATURE. E says why when the result is not KEYSET_VERIFIED. KEY, unless
 * NULL, becomes the key that verified T, which lives as long as S. */
enum keyset_result keyset_verify(const struct keyset *s, const struct jose_token *t, unsigned algs,
    const struct jose_key **key, struct err *e);

#endif
