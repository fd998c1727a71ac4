/* The part of a directory's configuration that says how people, groups and accounts are read: tables for
 * ldap_config.c alone. */
#ifndef AUTHN_LDAP_SEARCH_CONFIG_H
#define AUTHN_LDAP_SEARCH_CONFIG_H

#include "authn/ldap_config.h"

extern const struct schema ldap_user_search_schema;  /* struct ldap_user_search */
extern const struct schema ldap_group_search_schema; /* struct ldap_group_search */

/* From the check of the whole entry: fills in what C->type stands for where the file is silent, and
 * reports what the searches and the account state together cannot be. NODE is the entry. */
void ldap_search_complete(
    struct ldap_config *c, const struct yaml_node *node, const char *file, struct diags *d);

#endif
