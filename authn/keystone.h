/* Keystone, the identity service of OpenStack: what its tokens look like, what it says about them, and who
 * that is to Kubernetes. Identity API v3. */
#ifndef AUTHN_KEYSTONE_H
#define AUTHN_KEYSTONE_H

#include "authn/authn.h"
#include "authn/keystone_config.h"

/* Longest Keystone token of a known shape. Typical ones have 180 to 300 bytes; people with many federated
 * groups and JWS tokens some hundred more; web servers take header lines of 8 KiB. */
#define KEYSTONE_TOKEN_MAX 6000

/* One answer: without the catalogue it is some KiB. */
#define KEYSTONE_ANSWER_MAX ((size_t)1 << 20)

/* Roles of one token, groups of one person. */
#define KEYSTONE_ROLES_MAX 1000
#define KEYSTONE_GROUPS_MAX 5000

/* --- shapes: the filter before any request (one pass, no decoding) --- */

/* A Fernet token: base64url without padding of 0x80, a time below 2^36, an IV, whole AES blocks and a MAC. */
bool keystone_fernet_shaped(struct slice token);

/* The UUID tokens of old: 32 lower-case hexadecimal digits. */
bool keystone_uuid_shaped(struct slice token);

/* An id as Keystone makes them: at most 255 of base64url's characters. */
bool keystone_id_shaped(struct slice id);

/* An application credential in place of a token: v3applicationcredential:NAME:ID:SECRET. ID and SECRET
 * borrow from TOKEN. False for every other text, and where NAME is not NAME. */
bool keystone_credential_shaped(
    struct slice token, const char *name, struct slice *id, struct slice *secret);

/* --- what Keystone says --- */

struct keystone_token {
	struct slice user_id, user_name, domain_id, domain_name;
	enum keystone_scope scope;
	/* Set for KEYSTONE_SCOPE_PROJECT. */
	struct slice project_id, project_name, project_domain_id, project_domain_name;
	const struct slice *roles, *methods, *audit_ids; /* audit_ids: one or more */
	size_t nroles, nmethods, naudit_ids;
	int64_t expires, issued; /* unix seconds */
	struct slice application_credential; /* its id; empty: none */
	bool access_rules; /* the application credential is for some OpenStack requests alone */
	bool delegated;	   /* of a trust or OAuth: the bearer is not the user */
	bool bound;	   /* to a client certificate, which a review does not show (RFC 8705) */
};

/* Reads the body of GET or POST /v3/auth/tokens. Strict: a member of the wrong type, a missing one, an empty
 * id or name is ERR_INVALID. What OUT points to lives in ARENA. */
enum err_code keystone_token_read(
    struct slice body, struct arena *arena, struct keystone_token *out, struct err *e) MUST_CHECK;

/* Reads the body of GET /v3/users/ID/groups: names of the groups that are of DOMAIN_ID; others are left
 * out, having names that may be taken for these. ERR_LIMIT when there are too many or the list was cut. */
enum err_code keystone_groups_read(struct slice body, struct slice domain_id, struct arena *arena,
    const struct slice **out, size_t *n, struct err *e) MUST_CHECK;

/* --- who that is --- */

/* Applies CFG's rules to T and fills CALL's identity and credential, in CALL's arena. GROUPS: of
 * keystone_groups_read. ERR_REFUSED with *REASON: "badScope", "foreignDomain", "foreignProject",
 * "requiredRole", "delegated", "accessRules", "boundToken", "ambiguousName". CALL is told of each check. */
enum err_code keystone_identity(const struct keystone_config *cfg, const struct keystone_token *t,
    const struct slice *groups, size_t ngroups, struct authn_call *call, const char **reason,
    struct err *e) MUST_CHECK;

#endif
