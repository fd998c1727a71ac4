/* Connections to one directory: the service account's handles, kept for a while, and fail-over. */
#ifndef AUTHN_LDAP_POOL_H
#define AUTHN_LDAP_POOL_H

#include "authn/ldap_config.h"
#include "common/ldapx.h"

struct ldap_pool;

/* One server's turn at a job. */
struct ldap_session {
	struct ldap_pool *pool;
	size_t server; /* index in urls */
	struct ldapx *service; /* bound as the service account, or anonymous without bindDN */
	int64_t deadline; /* clock_mono(): of this turn */
};

/* Reads the bind password and the trust anchors; no network. CFG is borrowed. */
enum err_code ldap_pool_new(
    const struct ldap_config *cfg, struct ldap_pool **out, struct diags *d) MUST_CHECK;
void ldap_pool_free(struct ldap_pool **p);

/* Calls JOB with one server after the other, in configured order (those that failed within the last
 * seconds come last), until JOB says ERR_OK, ERR_REFUSED or ERR_LIMIT, or DEADLINE passes: then
 * ERR_UNAVAILABLE or ERR_TIMEOUT with the first server's reason in E. JOB may thus run several
 * times. A service account that is refused is the server's failure, never JOB's. Thread-safe. */
enum err_code ldap_pool_run(struct ldap_pool *p, int64_t deadline,
    enum err_code (*job)(struct ldap_session *s, void *arg, struct err *e), void *arg,
    struct err *e) MUST_CHECK;

/* A fresh connection to the same server, not bound: for a person's password. */
enum err_code ldap_session_connect(
    const struct ldap_session *s, struct ldapx **out, struct err *e) MUST_CHECK;

#endif
