/* The groups of a directory entry: by search for those that name it, by the names in its memberOf, by its primary
 * group, and the groups that those are in. */
#ifndef AUTHN_LDAP_GROUPS_H
#define AUTHN_LDAP_GROUPS_H

#include "authn/ldap_pool.h"

/* Groups of one person: enough for real ones, short of what a review can carry. */
#define LDAP_GROUPS_MAX 5000
/* Levels of groups in groups: more is a directory out of hand. */
#define LDAP_NESTING_MAX 32
/* A filter: some long DNs, escaped. */
#define LDAP_FILTER_MAX ((size_t)64 << 10)
/* Groups that one filter asks for: some servers take longer with each. */
#define LDAP_BATCH_MAX 50

/* Whom groups are asked of: ldapx_search with what it needs, or a test's answers. */
struct ldap_asker {
	enum err_code (*search)(void *arg, const struct ldapx_search *q, struct arena *a,
	    struct ldapx_entry **out, size_t *n, struct err *e);
	void *arg;
};

/* PERSON's groups with groupsPrefix into ARENA, sorted, without duplicates; values that are no
 * printable text are left out. ATTRS are those PERSON was searched with: each userAttr
 * but "DN", memberOfAttr, and with primaryGroup objectSid and primaryGroupID. ERR_LIMIT when there are more
 * than LDAP_GROUPS_MAX, more than LDAP_NESTING_MAX levels, or the server cuts its answer short: an
 * incomplete list must not pass for the whole. ERR_INVALID when PERSON does not have what the primary
 * group is found by. All else ERR_UNAVAILABLE, ERR_TIMEOUT. */
enum err_code ldap_groups_find(const struct ldap_config *cfg, struct ldap_session *s,
    const struct ldapx_entry *person, const char *const *attrs, struct arena *arena,
    const struct slice **out, size_t *n, struct err *e) MUST_CHECK;

/* The same of any asker. */
enum err_code ldap_groups_ask(const struct ldap_config *cfg, const struct ldap_asker *asker,
    const struct ldapx_entry *person, const char *const *attrs, struct arena *arena,
    const struct slice **out, size_t *n, struct err *e) MUST_CHECK;

/* --- for its test --- */

/* Appends the group filter for PERSON; false when no matcher has a value to look for. OUT is over
 * when not all values fit: none is left out silently. */
bool ldap_groups_filter(const struct ldap_group_search *g, const struct ldapx_entry *person,
    const char *const *attrs, struct buf *out);

#endif
