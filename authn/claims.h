/* Claims of a verified token: are they in force and meant for us, and who is that? */
#ifndef AUTHN_CLAIMS_H
#define AUTHN_CLAIMS_H

#include <jansson.h>

#include "authn/authn.h"
#include "authn/config.h"

/* Kubernetes' own slack: none on exp, one minute on nbf. */
#define CLAIMS_NBF_LEEWAY 60
/* iat is only a sanity check (milliseconds for seconds, a clock far off): OIDC asks for none. */
#define CLAIMS_IAT_LEEWAY 300

/* NOW in unix seconds. exp must be there and ahead of NOW; nbf and iat, where there, not ahead of NOW
 * by more than their leeways. All must be integers up to 2^53. *EXPIRES is exp. On failure *REASON is
 * "expired", "notYetValid" or "badClaim". */
enum err_code claims_times(const json_t *claims, int64_t now, int64_t *expires,
    const char **reason, struct err *e) MUST_CHECK;

/* `aud`, a string or a list of strings, holds one of WANT. Reason "badAudience". */
enum err_code claims_audience(const json_t *claims, const struct string_list *want,
    struct arena *a, const char **reason, struct err *e) MUST_CHECK;

/* All rules for a token of CFG's issuer but the signature: times, audience, kind of token, required
 * values, then the mapping into *ID (username, groups, uid, extra, expires), which lives in A and in
 * CLAIMS. Errors never quote the token. */
enum err_code claims_identity(const struct jwt_config *cfg, const json_t *claims, int64_t now,
    struct arena *a, struct identity *id, const char **reason, struct err *e) MUST_CHECK;

#endif
