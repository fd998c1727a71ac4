/* How the readers of claims refuse. */
#ifndef AUTHN_CLAIMS_SAY_H
#define AUTHN_CLAIMS_SAY_H

#include "authn/chain.h"

/* The value false, after CALL was told the reason (a word) and why (a format and its arguments). */
#define REFUSE(call, word, ...) (authn_say((call), AUTHN_REJECT, (word), __VA_ARGS__), false)

/* Passes OK on, after the trace was told of it as the check NAME. */
static inline bool claims_checked(struct authn_call *call, const char *name, bool ok)
{
	authn_check(call, name, ok, ok ? "" : call->why.msg);
	return ok;
}

#endif
