/* The signing keys of our issuer as a file and as a succession in time. For mint.c. */
#ifndef AUTHN_MINT_KEYS_H
#define AUTHN_MINT_KEYS_H

#include <stdatomic.h>

#include "authn/jose.h"
#include "authn/mint.h"

struct mint_key {
	struct jose_key *key;
	int64_t from; /* unix seconds from which it signs (member nbf); 0: always did */
};

/* Immutable once shared. */
struct mint_keys {
	atomic_uint refs;
	size_t n;
	struct mint_key keys[MINT_KEYS_MAX]; /* in the file's order */
};

/* TEXT: one private JWK a line. ERR_INVALID when it holds no usable keys. */
enum err_code mint_keys_parse(struct slice text, struct mint_keys **out, struct err *e) MUST_CHECK;

/* The file's text; OUT must be wiped. */
enum err_code mint_keys_write(const struct mint_keys *k, struct buf *out, struct err *e) MUST_CHECK;

/* A set of one new key that signs from FROM on. */
enum err_code mint_keys_first(int64_t from, struct mint_keys **out, struct err *e) MUST_CHECK;

struct mint_keys *mint_keys_ref(struct mint_keys *k);
void mint_keys_unref(struct mint_keys **k);

/* The same keys, by kid and time, in the same order. */
bool mint_keys_same(const struct mint_keys *a, const struct mint_keys *b);

/* The key that signs at NOW: that which began last; of several the one in the first line. When none has
 * begun, the one that begins next. */
const struct mint_key *mint_keys_signer(const struct mint_keys *k, int64_t now);

/* What has to change at NOW when each key signs for PERIOD seconds (0: no new ones): a key whose successor
 * has signed for longer than any token lives goes, a successor is added MINT_AHEAD_S before it is due. */
struct mint_keys_plan {
	bool add;
	bool drop[MINT_KEYS_MAX];
	size_t ndrop;
};
struct mint_keys_plan mint_keys_plan(const struct mint_keys *k, int64_t now, int64_t period);

/* K with PLAN carried out, as a new set. ERR_LIMIT when there is no room for another key. */
enum err_code mint_keys_next(const struct mint_keys *k, const struct mint_keys_plan *plan, int64_t now,
    struct mint_keys **out, struct err *e) MUST_CHECK;

#endif
