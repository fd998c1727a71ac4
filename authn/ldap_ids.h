/* Active Directory's binary identifiers as the texts that its own tools show. */
#ifndef AUTHN_LDAP_IDS_H
#define AUTHN_LDAP_IDS_H

#include "common/str.h"

/* A SID in bytes ([MS-DTYP] 2.4.2.2): revision, count, authority, up to 15 sub-authorities. */
#define LDAP_SID_MAX ((size_t)8 + 4 * 15)

/* objectGUID (16 bytes) as "f427bae5-6c6d-4ff1-…": its first three groups are little-endian ([MS-DTYP]
 * 2.3.4). False: not 16 bytes, and nothing is added. */
bool ldap_guid_text(struct slice raw, struct buf *out);

/* objectSid as "S-1-5-21-…". False: no SID, and nothing is added. */
bool ldap_sid_text(struct slice raw, struct buf *out);

/* The SID of the group with relative id RID in the domain of the account with SID ACCOUNT, in bytes:
 * ACCOUNT with its last sub-authority replaced. False: no SID of a domain's account. */
bool ldap_sid_sibling(struct slice account, uint32_t rid, uint8_t out[LDAP_SID_MAX], size_t *len);

/* A value of ATTR as the text of a uid in ARENA: objectGUID and objectSid as above, else what is
 * printable as it is and all else in hex. Empty: none, too long, or not what ATTR must hold. */
struct slice ldap_uid_text(struct arena *a, const char *attr, struct slice raw);

#endif
