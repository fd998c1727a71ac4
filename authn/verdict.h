/* What a token came to, apart from the call that found it out: kept by the cache, handed to all who
 * asked at the same time. Immutable, counted. */
#ifndef AUTHN_VERDICT_H
#define AUTHN_VERDICT_H

#include "authn/authn.h"
#include "common/secret.h"

struct verdict;

/* What verdicts are found by: a keyed digest, never the token. */
struct verdict_key {
	uint8_t b[SHA256_LEN];
};

/* A copy of what CALL came to; STEP is ACCEPT, REJECT or UNAVAILABLE. reason and authenticator are
 * borrowed: a constant, and a name of the chain. One reference for the caller. Never NULL. */
struct verdict *verdict_new(const struct authn_call *call, enum authn_step step);
struct verdict *verdict_ref(struct verdict *v);
void verdict_unref(struct verdict **v);

/* Bytes that it takes; unix seconds when its identity ends, 0 for no such end; its step. */
size_t verdict_bytes(const struct verdict *v);
int64_t verdict_expires(const struct verdict *v);
enum authn_step verdict_step(const struct verdict *v);

/* Makes CALL's outcome that of *V and returns its step. CALL's strings are V's own, whose reference
 * goes with CALL's arena. */
enum authn_step verdict_give(struct verdict **v, struct authn_call *call);

#endif
