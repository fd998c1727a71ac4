/* A handle's inside, for the files that make up common/ldapx.h. Everyone else: that header. */
#ifndef COMMON_LDAPX_HANDLE_H
#define COMMON_LDAPX_HANDLE_H

#include <sys/time.h>

#include "common/ldapx.h"

struct ldap; /* libldap's LDAP */

struct ldapx {
	struct ldap *ld;
	int fd;
	int64_t deadline; /* of the operation under way: the socket layer obeys it */
	bool broken;
};

/* Breaks H and sets E to our side's words for libldap's RC; what the server said stays out: it may quote
 * names. */
enum err_code ldapx_fail(struct ldapx *h, struct err *e, const char *what, int rc);

/* libldap's code of the last call that failed without one; never LDAP_SUCCESS. */
int ldapx_last_rc(const struct ldapx *h);

/* What is left until DEADLINE of clock_mono, at least a millisecond. */
struct timeval ldapx_until(int64_t deadline);

#endif
