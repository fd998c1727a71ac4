/* LDAP client over libldap: hard deadlines on every wait, TLS that configuration files and
 * environment cannot weaken, no referrals, capped answers, results as slices. The ldapx*.c files
 * are the only users of <ldap.h>.
 *
 * A handle belongs to one thread at a time. After any error but ERR_REFUSED and ERR_LIMIT it is
 * broken: further calls fail with ERR_UNAVAILABLE, close it. SIGPIPE must be ignored by the
 * process. */
#ifndef COMMON_LDAPX_H
#define COMMON_LDAPX_H

#include "common/arena.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/str.h"

/* One message of the server; people and groups are far smaller, a flood is cut. */
#define LDAPX_MESSAGE_MAX ((size_t)4 << 20)
/* Values of one attribute that are held; more are ERR_LIMIT. */
#define LDAPX_VALUES_MAX 10000
#define LDAPX_PASSWORD_MAX 1024

/* Call before any thread starts: sets LDAPNOINIT, so that neither ldap.conf nor LDAP* variables nor
 * ~/.ldaprc are read, and starts the library. Idempotent. */
void ldapx_init(void);

/* The PEM of the system's bundle of public authorities into ARENA. ERR_NOT_FOUND when it has none. */
enum err_code ldapx_system_ca(struct arena *a, struct slice *pem, struct err *e) MUST_CHECK;

/* Trust anchors and our own certificate, parsed once for all handles (libldap's own word for it is
 * context). Immutable; handles that use it may outlive it. */
struct ldapx_tls;

struct ldapx_tls_pem {
	struct slice ca; /* at least one certificate */
	struct slice cert, key; /* shown to servers that ask; both or neither */
};

/* ERR_INVALID when libldap cannot use it; the copies that it gets leave nothing on disk. */
enum err_code ldapx_tls_new(
    const struct ldapx_tls_pem *pem, struct ldapx_tls **out, struct err *e) MUST_CHECK;
void ldapx_tls_free(struct ldapx_tls **t);

struct ldapx;

enum ldapx_op { LDAPX_OP_CONNECT, LDAPX_OP_BIND, LDAPX_OP_SEARCH, LDAPX_OP_CLOSE };
#define LDAPX_OPS 4

/* Told of each operation of a handle when it ends, from the handle's thread, and of its closing when it was
 * connected. Lives longer than the handle. */
struct ldapx_watch {
	void (*told)(const struct ldapx_watch *self, enum ldapx_op op, enum err_code code, int64_t ns);
};

struct ldapx_server {
	const char *url; /* one; ldaps://, ldapi://, or ldap:// */
	bool start_tls;
	const struct ldapx_tls *tls; /* needed for TLS; no anchors, no trust */
	const struct ldapx_watch *watch; /* may be NULL */
	const struct cancel *cancel; /* ends ldapx_open at once: ERR_UNAVAILABLE; outlives the handle; or NULL */
};

/* Connects, with TLS up and the peer verified: chain, validity, and its DNS or IP subjectAltName.
 * DEADLINE is clock_mono(). ERR_UNAVAILABLE, ERR_TIMEOUT.
 * An ldap:// server without start_tls is refused with ERR_INVALID. Never falls back to clear text.
 */
enum err_code ldapx_open(
    const struct ldapx_server *s, int64_t deadline, struct ldapx **out, struct err *e) MUST_CHECK;
void ldapx_close(struct ldapx **h);

/* Ends what another thread waits for on H, which must not be closed meanwhile: that fails at once, and all that
 * comes after it. Before there is an H, ldapx_server's CANCEL does. */
void ldapx_interrupt(struct ldapx *h);

/* Neither broken nor closed by the peer, nothing unread: may be kept for the next call. */
bool ldapx_reusable(const struct ldapx *h);

/* When (clock_mono) the server last answered an operation as servers that are well do. */
int64_t ldapx_answered(const struct ldapx *h);

/* False after an error that ended the connection. */
bool ldapx_alive(const struct ldapx *h);

/* What the server says of an account beside yes and no. The words of Active Directory ("data 52e"
 * in the text of result 49), of the password policy control (draft-behera-ldap-password-policy-11)
 * and of Netscape's controls (draft-vchu-ldap-pwd-policy-00), in one list. */
enum ldapx_account {
	LDAPX_ACCOUNT_UNSAID = 0,
	LDAPX_ACCOUNT_BAD_PASSWORD, /* 52e */
	LDAPX_ACCOUNT_NO_USER, /* 525 */
	LDAPX_ACCOUNT_LOGON_HOURS, /* 530 */
	LDAPX_ACCOUNT_WORKSTATION, /* 531 */
	LDAPX_ACCOUNT_PASSWORD_EXPIRED, /* 532; passwordExpired */
	LDAPX_ACCOUNT_DISABLED, /* 533 */
	LDAPX_ACCOUNT_EXPIRED, /* 701 */
	LDAPX_ACCOUNT_MUST_CHANGE, /* 773; changeAfterReset: that comes with a good bind */
	LDAPX_ACCOUNT_LOCKED, /* 775; accountLocked */
};

struct ldapx_bind_info {
	enum ldapx_account account;
	int grace_left; /* binds that an expired password is still good for, after this; -1: unsaid */
	int expires_in; /* seconds that the password is still good for; -1: unsaid */
};

/* Simple bind. ERR_REFUSED when the server says that this name and password are not good (result
 * codes 49, 19, 53, 48, 32), and, without anything sent, when DN or PASSWORD is empty or holds a
 * NUL (RFC 4513 5.1.1 and 5.1.2: an empty one would succeed as anonymous) or PASSWORD is longer
 * than LDAPX_PASSWORD_MAX. All else ERR_UNAVAILABLE or ERR_TIMEOUT: nothing is known about the
 * password.
 *
 * With INFO (NULL: nobody cares) the server is asked for its password policy's opinion; INFO is set
 * with ERR_OK and ERR_REFUSED alike. A good bind whose account is not UNSAID is the caller's to
 * judge: a server lets someone who must change their password in, to change it. Controls that
 * cannot be decoded make a good bind ERR_UNAVAILABLE. */
enum err_code ldapx_bind(struct ldapx *h, struct slice dn, struct slice password, int64_t deadline,
    struct ldapx_bind_info *info, struct err *e) MUST_CHECK;

/* SASL EXTERNAL: we are who our certificate (or, over ldapi://, our user id) says. ERR_REFUSED when the server
 * says that this is nobody. */
enum err_code ldapx_bind_external(struct ldapx *h, int64_t deadline, struct err *e) MUST_CHECK;

struct ldapx_attr {
	const char *name; /* as asked for */
	const struct slice *values; /* bytes of any kind, a NUL follows them */
	size_t n;
};

struct ldapx_entry {
	struct slice dn; /* may be empty */
	const struct ldapx_attr *attrs; /* one for each attribute asked for, in that order */
};

enum ldapx_scope {
	LDAPX_SUB = 0, /* the base and all below it */
	LDAPX_ONE, /* its direct children */
	LDAPX_BASE, /* the base alone */
};

/* Which aliases are followed to what they stand for. */
enum ldapx_deref {
	LDAPX_DEREF_NEVER = 0,
	LDAPX_DEREF_SEARCH, /* those found below the base */
	LDAPX_DEREF_BASE, /* the base itself */
	LDAPX_DEREF_ALWAYS,
};

struct ldapx_search {
	const char *base;
	enum ldapx_scope scope;
	const char *filter;
	const char *const *attrs; /* NULL-terminated, at least one */
	size_t max_entries;
	/* 0, or entries that the server may give at once (RFC 2696): the search asks again until all
	 * have come. A server without pages gives all at once. */
	size_t page;
	/* Attributes that come in pieces ("member;range=0-1499": Active Directory gives no more at
	 * once) are read to their end, by base searches on their entry. False: they are ERR_LIMIT. */
	bool ranges;
	/* A reference to another server in the answer is ERR_LIMIT: what is there is missing here. Not one to a partition
	 * of Active Directory that has no people: CN=Configuration, DC=DomainDnsZones, DC=ForestDnsZones below BASE. */
	bool whole;
	enum ldapx_deref deref;
};

/* The attribute NAME (any case) of an entry, NULL when it was not asked for. ATTRS: as in the
 * search. */
const struct ldapx_attr *ldapx_attr(
    const struct ldapx_entry *entry, const char *const *attrs, const char *name);

/* Entries in ARENA (whose cap bounds the answer). ERR_LIMIT when there are more than max_entries,
 * the server says its size limit was passed, an attribute has more than LDAPX_VALUES_MAX values or
 * more than come at once, the server's pages do not end, or the arena is over: *N then tells how
 * many came and the list is not complete. Referrals are neither followed nor returned.
 * ERR_NOT_FOUND: no such base. DEADLINE is that of the whole, pages and pieces included. */
enum err_code ldapx_search(struct ldapx *h, const struct ldapx_search *q, int64_t deadline,
    struct arena *a, struct ldapx_entry **out, size_t *n, struct err *e) MUST_CHECK;

/* Appends VALUE as RFC 4515 wants it: whatever its bytes, it stays one assertion value. */
void ldapx_filter_value(struct buf *b, struct slice value);

#endif
