/* The inside of a pool: shared by ldap_pool.c (handles and fail-over), ldap_pools.c (from configuration to pool,
 * sharing), ldap_prober.c (servers that are not asked) and ldap_server.c (metrics). */
#ifndef AUTHN_LDAP_POOL_STATE_H
#define AUTHN_LDAP_POOL_STATE_H

#include <pthread.h>
#include <sys/stat.h>

#include "authn/ldap_breaker.h"
#include "authn/ldap_pool.h"
#include "common/arena.h"
#include "common/secret.h"

/* Service handles kept between jobs: as many as jobs commonly run at once. */
#define LDAP_IDLE_MAX 8

struct ldap_server {
	struct ldapx_watch watch; /* first: ldap_server.c finds the rest by it */
	const char *url;
	struct metric *up, *state, *busy, *idle;
	struct metric *results[LDAPX_OPS][4], *latency[LDAPX_OPS];
	/* the pool's lock guards what follows */
	struct ldap_breaker breaker;
	struct err last; /* of the latest failure */
};

/* A TLS context and those who connect with it; guarded by the pool's lock. */
struct ldap_trust {
	struct ldapx_tls *tls;
	unsigned refs;
};

/* What a file was when it was read. */
struct ldap_stamp {
	struct timespec mtime, ctime;
	ino_t ino;
	off_t size;
};

struct ldap_idle {
	struct ldapx *h;
	size_t server;
	int64_t since;
};

struct ldap_pool {
	struct ldap_pools *owner;
	struct ldap_pool *next; /* in owner's list, whose lock guards it and refs */
	unsigned refs;
	/* immutable; strings live in the arena, the snapshot may go */
	struct arena arena;
	const char *name, *bind_dn, *cert_file, *key_file;
	struct secret password;
	struct slice ca; /* PEM; empty: no TLS */
	bool start_tls, external;
	int64_t timeout;
	struct ldap_server *servers;
	size_t nservers;
	pthread_mutex_t lock; /* guards what follows, and servers[].breaker and .last */
	struct ldap_trust *trust;
	struct ldap_stamp stamps[2]; /* of cert_file and key_file when last read */
	struct ldap_idle idle[LDAP_IDLE_MAX];
	size_t nidle;
	pthread_cond_t wake; /* of the prober */
	pthread_t prober;
	bool probing, stop; /* the thread was started; shall end */
};

/* --- ldap_server.c --- */

void ldap_server_init(struct ldap_server *s, const char *directory, const char *url);
void ldap_server_forget(const struct ldap_server *s, const char *directory);

/* After a change of the breaker; with the lock. */
void ldap_server_show(const struct ldap_server *s);

/* --- ldap_pool.c --- */

/* A handle bound as the service account. */
enum err_code ldap_pool_open(
    struct ldap_pool *p, size_t server, int64_t deadline, struct ldapx **out, struct err *e);

/* Keeps H, a service handle, or closes it. NULL is fine. */
void ldap_pool_keep(struct ldap_pool *p, size_t server, struct ldapx *h);

/* --- ldap_pools.c --- */

/* The context for a new handle: built anew when our certificate's files have changed. NULL without TLS. To be
 * given back. */
struct ldap_trust *ldap_pool_trust(struct ldap_pool *p);
void ldap_pool_trust_done(struct ldap_pool *p, struct ldap_trust *t);

/* Calls the owner's event. */
void ldap_pools_tell(const struct ldap_pool *p, size_t server, const struct err *e);

/* --- ldap_prober.c --- */

enum ldap_health {
	LDAP_FAILED = 0, /* no answer to anything */
	LDAP_SLOW,	 /* answered, then did not */
	LDAP_WELL
};

/* What a turn says of SERVER, and why when it is not well. */
void ldap_pool_note(
    struct ldap_pool *p, size_t server, enum ldap_health health, const struct err *e);

/* Ends the prober's thread. */
void ldap_pool_stop(struct ldap_pool *p);

#endif
