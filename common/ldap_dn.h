/* Distinguished names as texts (RFC 4514): enough to compare them and to take a name out of one. */
#ifndef COMMON_LDAP_DN_H
#define COMMON_LDAP_DN_H

#include "common/str.h"

/* Appends DN in one spelling: types and ASCII letters in lower case, no blanks around separators, what
 * RFC 4514 may escape always as \XX. Two names that come out alike are one entry's; a server may hold
 * others for alike too. False: no DN, and OUT is to be forgotten. */
bool ldap_dn_canonical(struct slice dn, struct buf *out);

/* Both canonical: DN is BASE or below it. */
bool ldap_dn_within(struct slice dn, struct slice base);

/* Appends the value of attribute ATTR (any case) in the first RDN of DN, without escapes. False: no DN,
 * no such attribute there, or a value in hex (#…), and OUT is to be forgotten. */
bool ldap_dn_first(struct slice dn, const char *attr, struct buf *out);

#endif
