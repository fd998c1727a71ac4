/* The groups of a directory entry, by search for those that name it. */
#ifndef AUTHN_LDAP_GROUPS_H
#define AUTHN_LDAP_GROUPS_H

#include "authn/ldap_pool.h"

/* Groups of one person: enough for real ones, short of what a review can carry. */
#define LDAP_GROUPS_MAX 5000
/* A filter: some long DNs, escaped. */
#define LDAP_FILTER_MAX ((size_t)64 << 10)

/* PERSON's groups with groupsPrefix into ARENA, sorted, without duplicates; values that are no
 * printable text are left out. ATTRS are those PERSON was searched with and hold each userAttr but
 * "DN". ERR_LIMIT when there are more than LDAP_GROUPS_MAX or the server cuts its answer short: an
 * incomplete list must not pass for the whole. All else ERR_UNAVAILABLE, ERR_TIMEOUT. */
enum err_code ldap_groups_find(const struct ldap_config *cfg, struct ldap_session *s,
    const struct ldapx_entry *person, const char *const *attrs, struct arena *arena,
    const struct slice **out, size_t *n, struct err *e) MUST_CHECK;

/* --- for its test --- */

/* Appends the group filter for PERSON; false when no matcher has a value to look for. OUT is over
 * when not all values fit: none is left out silently. */
bool ldap_groups_filter(const struct ldap_group_search *g, const struct ldapx_entry *person,
    const char *const *attrs, struct buf *out);

#endif
