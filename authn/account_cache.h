/* What directories said about accounts a moment ago, in bounded memory. */
#ifndef AUTHN_ACCOUNT_CACHE_H
#define AUTHN_ACCOUNT_CACHE_H

#include "authn/authn.h"

/* Accounts and bytes held: only people who logged in get in, so that strangers cannot push them
 * out. */
#define ACCOUNT_CACHE_MAX 10000
#define ACCOUNT_CACHE_BYTES ((size_t)64 << 20)

struct account_cache;

/* Thread-safe. */
struct account_cache *account_cache_new(void);
void account_cache_free(struct account_cache **c);

/* Copies the identity of KEY into ARENA; false when it is not there or older than its time to live.
 * NOW is clock_mono(), and *UNTIL, unless NULL, when it will be too old. */
bool account_cache_get(struct account_cache *c, struct slice key, int64_t now, struct arena *arena,
    struct identity *out, int64_t *until);

/* Keeps a copy of ID (user name, uid, groups, provider) until UNTIL; nothing when that has passed.
 */
void account_cache_put(struct account_cache *c, struct slice key, const struct identity *id,
    int64_t now, int64_t until);

/* The account is gone. */
void account_cache_drop(struct account_cache *c, struct slice key);

#endif
