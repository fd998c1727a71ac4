/* LDAP client over libldap: hard deadlines on every wait, TLS that configuration files and
 * environment cannot weaken, no referrals, capped answers, results as slices. ldapx.c and
 * ldapx_search.c are the only users of <ldap.h>.
 *
 * A handle belongs to one thread at a time. After any error but ERR_REFUSED and ERR_LIMIT it is
 * broken: further calls fail with ERR_UNAVAILABLE, close it. SIGPIPE must be ignored by the
 * process. */
#ifndef COMMON_LDAPX_H
#define COMMON_LDAPX_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

/* One message of the server; people and groups are far smaller, a flood is cut. */
#define LDAPX_MESSAGE_MAX ((size_t)4 << 20)
/* Values of one attribute that are looked at. */
#define LDAPX_VALUES_MAX 10000
#define LDAPX_PASSWORD_MAX 1024

/* Call before any thread starts: sets LDAPNOINIT, so that neither ldap.conf nor LDAP* variables nor
 * ~/.ldaprc are read, and starts the library. Idempotent. */
void ldapx_init(void);

/* Trust anchors as something libldap can open (an anonymous in-memory file). */
struct ldapx_ca;

/* PEM text with at least one certificate; ERR_INVALID when libldap finds none in it. */
enum err_code ldapx_ca_new(struct slice pem, struct ldapx_ca **out, struct err *e) MUST_CHECK;
void ldapx_ca_free(struct ldapx_ca **ca);

struct ldapx;

struct ldapx_server {
	const char *url; /* one; ldaps://, ldapi://, or ldap:// */
	bool start_tls;
	const struct ldapx_ca *ca; /* needed for TLS; no anchors, no trust */
};

/* Connects, with TLS up and the peer verified: chain, validity, and its DNS or IP subjectAltName.
 * DEADLINE is clock_mono(); name resolution alone does not obey it. ERR_UNAVAILABLE, ERR_TIMEOUT.
 * An ldap:// server without start_tls is refused with ERR_INVALID. Never falls back to clear text.
 */
enum err_code ldapx_open(
    const struct ldapx_server *s, int64_t deadline, struct ldapx **out, struct err *e) MUST_CHECK;
void ldapx_close(struct ldapx **h);

/* Neither broken nor closed by the peer, nothing unread: may be kept for the next call. */
bool ldapx_reusable(const struct ldapx *h);

/* False after an error that ended the connection. */
bool ldapx_alive(const struct ldapx *h);

/* Simple bind. ERR_REFUSED when the server says that this name and password are not good (result
 * codes 49, 19, 53, 48, 32), and, without anything sent, when DN or PASSWORD is empty or holds a
 * NUL (RFC 4513 5.1.1 and 5.1.2: an empty one would succeed as anonymous) or PASSWORD is longer
 * than LDAPX_PASSWORD_MAX. All else ERR_UNAVAILABLE or ERR_TIMEOUT: nothing is known about the
 * password. */
enum err_code ldapx_bind(struct ldapx *h, struct slice dn, struct slice password, int64_t deadline,
    struct err *e) MUST_CHECK;

struct ldapx_attr {
	const char *name; /* as asked for */
	const struct slice *values; /* bytes of any kind, a NUL follows them */
	size_t n;
};

struct ldapx_entry {
	struct slice dn; /* may be empty */
	const struct ldapx_attr *attrs; /* one for each attribute asked for, in that order */
};

struct ldapx_search {
	const char *base;
	bool one_level; /* else the whole subtree */
	const char *filter;
	const char *const *attrs; /* NULL-terminated, at least one */
	size_t max_entries;
};

/* The attribute NAME (any case) of an entry, NULL when it was not asked for. ATTRS: as in the
 * search. */
const struct ldapx_attr *ldapx_attr(
    const struct ldapx_entry *entry, const char *const *attrs, const char *name);

/* Entries in ARENA (whose cap bounds the answer). ERR_LIMIT when there are more than max_entries,
 * the server says its size limit was passed, an attribute has more values than the server gives at
 * once, or the arena is over: *N then tells how many came and the list is not complete. Referrals
 * are neither followed nor returned. ERR_NOT_FOUND: no such base. */
enum err_code ldapx_search(struct ldapx *h, const struct ldapx_search *q, int64_t deadline,
    struct arena *a, struct ldapx_entry **out, size_t *n, struct err *e) MUST_CHECK;

/* Appends VALUE as RFC 4515 wants it: whatever its bytes, it stays one assertion value. */
void ldapx_filter_value(struct buf *b, struct slice value);

#endif
