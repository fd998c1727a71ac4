/* A role with all that it aggregates. */
#ifndef RBAC_SYNC_ROLE_DEEP_H
#define RBAC_SYNC_ROLE_DEEP_H

#include "rbac-sync/roles.h"

/* Lists that were read, so that view, edit and admin ask once each. One thread. */
struct role_lists;
struct role_lists *role_lists_new(const struct roles_reader *from);
void role_lists_free(struct role_lists **l);

/* role_judge of ROLE and, when it aggregates, of each ClusterRole that it selects, and of those that these select.
 * LATER: a list could not be read because of the server's trouble; the verdict is then ROLE_UNKNOWN or, when what was
 * read suffices, ROLE_DANGEROUS. */
enum role_verdict role_judge_deep(struct role_lists *l, const json_t *role, bool cluster_wide, struct arena *a,
    const char **why, bool *later);

/* A LabelSelector of the API ({matchLabels, matchExpressions}) in the words of a query; "" fits all. NULL: it cannot
 * be read. */
const char *role_selector(const json_t *selector, struct arena *a);

#endif
