/* What a directory says of an account beside its password: may it be used now, and which credentials has it? */
#ifndef AUTHN_LDAP_ACCOUNT_H
#define AUTHN_LDAP_ACCOUNT_H

#include "authn/ldap_config.h"
#include "common/ldapx.h"

/* The attributes that KIND (enum ldap_state) reads, NULL-terminated; static. */
const char *const *ldap_account_attrs(int kind);

/* When it is asked: a good bind has just proven more than a time stamp of a lock can. */
enum ldap_account_moment { LDAP_ACCOUNT_REREAD = 0, LDAP_ACCOUNT_BOUND };

/* NULL when the account of ENTRY may be used at NOW (clock_now()), else the stable word why not:
 * "accountDisabled", "accountLocked", "accountExpired", "mustChangePassword", "passwordExpired",
 * "logonHours", or "badEntry" when the attributes that must be there are not to be read: an account
 * nothing is known of is not let in. ATTRS as in the search. */
const char *ldap_account_state(int kind, const struct ldapx_entry *entry,
    const char *const *attrs, enum ldap_account_moment when, int64_t now);

/* The same of a bind's INFO, whose outcome was CODE (ERR_OK or ERR_REFUSED); never NULL for a refused
 * one: at least "badPassword". */
const char *ldap_account_bind(
    const struct ldap_config *cfg, enum err_code code, const struct ldapx_bind_info *info);

/* What directory_call.account_version is to hold, in ARENA; empty when KIND tells none. */
struct slice ldap_account_version(
    int kind, const struct ldapx_entry *entry, const char *const *attrs, struct arena *arena);

#endif
