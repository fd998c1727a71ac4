/* People and groups of one directory: is this their password, and what are they now?
 *
 * Functions are called directory_*: ldap_* belongs to libldap. */
#ifndef AUTHN_LDAP_H
#define AUTHN_LDAP_H

#include "authn/authn.h"
#include "authn/ldap_config.h"

/* Typed names: longer ones are no names. */
#define DIRECTORY_NAME_MAX 256
/* Passwords: as much as a bind takes (LDAPX_PASSWORD_MAX). */
#define DIRECTORY_PASSWORD_MAX 1024
/* An account's version: a time stamp of the directory with a word before it. */
#define DIRECTORY_VERSION_MAX 64

struct directory;
struct ldap_pools; /* authn/ldap_pool.h */

enum directory_verdict {
	DIRECTORY_REFUSED = 0,
	DIRECTORY_GOOD, /* call->id and call->name are set */
	DIRECTORY_UNAVAILABLE /* no server could tell in time */
};

struct directory_call {
	/* in */
	struct arena *arena; /* results live there */
	int64_t deadline; /* clock_mono() */
	/* NULL, or asked with the entry's canonical name before its password is tried; false: not
	 * theirs but nobody's bind is sent and the reason is "limited". Called again when another server takes over. */
	bool (*may_bind)(void *arg, struct slice name);
	void *may_bind_arg;
	/* out */
	struct identity
	    id; /* username, uid, groups, provider; after a wrong password username alone */
	struct slice name; /* canonical name: the entry's, without prefix */
	/* With DIRECTORY_GOOD: what the account's credentials are now, printable, opaque, at most
	 * DIRECTORY_VERSION_MAX bytes. Another value at a later look-up means that the password was
	 * changed since: what was given for the old one should end. Empty: the directory's
	 * accountState does not tell. */
	struct slice account_version;
	const char *reason; /* stable word: "emptyPassword", "badName", "noUser", "ambiguous", … */
	struct err why; /* secret-free, without typed names */
};

/* CFG is borrowed for the life of the directory; its connections are those of POOLS. Reads its files; no
 * network. */
enum err_code directory_new(struct ldap_pools *pools, const struct ldap_config *cfg,
    struct directory **out, struct diags *d) MUST_CHECK;
void directory_free(struct directory **d);

/* The configured name. */
const char *directory_name(const struct directory *d);
int64_t directory_cache_ttl(const struct directory *d);

/* TYPED and PASSWORD against the directory: search as the service account, then a bind as the one
 * entry found, on a connection of its own (RFC 4513). An empty or unfit name or password is refused
 * without a connection. Exactly one bind is sent for a person, even when nobody was found. Blocks
 * at most until the deadline. Thread-safe. */
enum directory_verdict directory_authenticate(
    struct directory *d, struct slice typed, struct slice password, struct directory_call *call);

/* The account that was once found as NAME with UID (empty: the directory has no uidAttr): still
 * there, the same, and its groups now. "noUser", "accountChanged". Blocks; thread-safe. */
enum directory_verdict directory_lookup(
    struct directory *d, struct slice name, struct slice uid, struct directory_call *call);

#endif
