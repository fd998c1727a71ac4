/* Connections to one directory: the service account's handles, kept for a while, the health of its servers, and
 * fail-over among them. */
#ifndef AUTHN_LDAP_POOL_H
#define AUTHN_LDAP_POOL_H

#include "authn/ldap_config.h"
#include "common/ldapx.h"

/* The pools of all living configuration snapshots. A directory whose configuration did not change keeps its pool
 * through a reload: connections and what is known of its servers. */
struct ldap_pools;

struct ldap_pools_options {
	/* Called from any thread when SERVER of DIRECTORY is no longer asked (E says why) and when it is again
	 * (E NULL): the caller may log it. May be NULL. */
	void (*event)(void *arg, const char *directory, const char *server, const struct err *e);
	void *arg;
};

struct ldap_pools *ldap_pools_new(const struct ldap_pools_options *opt);

/* After the last pool. */
void ldap_pools_free(struct ldap_pools **s);

/* A line for each server: '+' when it is asked, '-' when not; then directory, URL, and why. */
void ldap_pools_status(struct ldap_pools *s, struct buf *out);

struct ldap_pool;

/* One server's turn at a job. */
struct ldap_session {
	struct ldap_pool *pool;
	size_t server; /* index in urls */
	struct ldapx *service; /* bound as the service account, or anonymous without one */
	int64_t deadline; /* clock_mono(): of this turn */
};

/* Reads the bind password, the trust anchors and our certificate; no network. A living pool of the same
 * configuration and content is shared. One thread at a time. */
enum err_code ldap_pool_new(struct ldap_pools *s, const struct ldap_config *cfg,
    struct ldap_pool **out, struct diags *d) MUST_CHECK;

/* Gives the pool back; the last one waits for a probe under way, for seconds at most. */
void ldap_pool_free(struct ldap_pool **p);

/* Calls JOB with one server after the other, in configured order (those that just failed last, those that keep
 * failing not at all), until JOB says ERR_OK, ERR_REFUSED or ERR_LIMIT, or DEADLINE passes: then ERR_UNAVAILABLE
 * or ERR_TIMEOUT with the first server's reason in E. JOB may thus run several times. While all servers keep
 * failing the answer is ERR_UNAVAILABLE at once; a thread of the pool tries them until one is well. A service
 * account that is refused is the server's failure, never JOB's. Thread-safe. */
enum err_code ldap_pool_run(struct ldap_pool *p, int64_t deadline,
    enum err_code (*job)(struct ldap_session *s, void *arg, struct err *e), void *arg,
    struct err *e) MUST_CHECK;

/* A fresh connection to the same server, not bound: for a person's password. */
enum err_code ldap_session_connect(
    const struct ldap_session *s, struct ldapx **out, struct err *e) MUST_CHECK;

#endif
