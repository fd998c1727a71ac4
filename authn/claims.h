/* Claims of a token: are they in force and meant for us, and who is that?
 *
 * All functions tell call->trace of each check and, where they refuse, set call->reason and call->why, which
 * never quote the token. None asks whether the signature verifies. */
#ifndef AUTHN_CLAIMS_H
#define AUTHN_CLAIMS_H

#include <jansson.h>

#include "authn/authn.h"
#include "authn/config.h"
#include "authn/jose.h"

/* Kubernetes' own slack: none on exp, one minute on nbf. */
#define CLAIMS_NBF_LEEWAY 60
/* iat is only a sanity check (milliseconds for seconds, a clock far off): OIDC asks for none. */
#define CLAIMS_IAT_LEEWAY 300

/* What an issuer's stanza asks of each of its tokens, apart from who it is: kind of token ("tokenKind"), times
 * ("expired", "notYetValid"), audience ("badAudience"), authorized party ("badParty"), hosted domain
 * ("hostedDomain"); "badClaim" where one is of the wrong type. *EXPIRES: unix seconds, clockSkew counted. */
bool claims_admissible(const struct jwt_issuer_config *cfg, const struct jose_token *t,
    struct authn_call *call, int64_t *expires) MUST_CHECK;

/* claims_admissible, the required values, then the mapping into call->id (username, groups, uid, extra,
 * expires) and call->credential (all but kid), which live in call->arena and in T. AUTHN_ACCEPT or
 * AUTHN_REJECT with call->keep set; AUTHN_NEEDS_WORK when all is well but the groups are at an endpoint that
 * the configuration allows (authn/distributed.h). */
enum authn_step claims_identity(const struct jwt_config *cfg, const struct jose_token *t,
    struct authn_call *call) MUST_CHECK;

/* --- claims_map.c --- */

/* The value at PATH, NULL when it or what leads there is absent or null. False when something on the way is
 * no object. */
bool claims_find(const json_t *claims, const struct string_list *path, const json_t **out) MUST_CHECK;

/* PATH for people: its names with slashes between. In A. */
const char *claims_path_text(struct arena *a, const struct string_list *path);

/* The groups of CLAIMS into call->id. */
bool claims_groups(const struct jwt_groups_config *cfg, const json_t *claims,
    struct authn_call *call) MUST_CHECK;

/* Everything of the identity but groups and expiry; sub, jti and iat into call->credential. */
bool claims_person(const struct jwt_config *cfg, const json_t *claims, struct authn_call *call) MUST_CHECK;

#endif
