/* Groups that a token leaves at an endpoint (OIDC Core 5.6.2): asked only where the configuration lists the
 * endpoint, never because a token names one. */
#ifndef AUTHN_DISTRIBUTED_H
#define AUTHN_DISTRIBUTED_H

#include "authn/jwt_keys.h"

struct distributed_source {
	struct slice url;    /* empty: the groups are not elsewhere */
	struct slice access; /* the token for it; may be empty */
};

/* Where CLAIMS leave the groups of CFG. False, with CALL's refusal set ("distributedClaims"), when that is no
 * endpoint that CFG lists, or cannot be understood: without its groups a person could pass a rule that denies
 * one. A groups claim that is in the token wins, as in Kubernetes. No network. */
bool distributed_find(const struct jwt_groups_config *cfg, const json_t *claims, struct authn_call *call,
    struct distributed_source *out) MUST_CHECK;

/* Who asks, for one jwt[] entry. OWN are the entry's keys, borrowed. *OUT is NULL when CFG lists no endpoint. */
struct distributed;
enum err_code distributed_new(const struct jwt_config *cfg, const struct jwt_keys *own,
    struct authn_services *services, struct distributed **out, struct err *e) MUST_CHECK;
void distributed_free(struct distributed **d);

/* Completes what claims_identity left as AUTHN_NEEDS_WORK: asks the endpoint within the call's deadline, the
 * answer being a token of the configured issuer, and adds its groups to call->id. Blocks. AUTHN_ACCEPT,
 * AUTHN_REJECT ("distributedClaims") or AUTHN_UNAVAILABLE ("claimsUnavailable",
 * "issuerUnavailable"); never to be cached. Thread-safe. */
enum authn_step distributed_groups(
    struct distributed *d, const struct jose_token *t, struct authn_call *call) MUST_CHECK;

#endif
