/* Whose signatures count: the keys of one issuer's stanza, kept fresh by its thread or read from a file. */
#ifndef AUTHN_JWT_KEYS_H
#define AUTHN_JWT_KEYS_H

#include "authn/chain.h"
#include "authn/issuer.h"

struct jwt_keys {
	const struct jwt_issuer_config *cfg; /* borrowed */
	struct issuer *issuer;		     /* or */
	struct keyset *file;		     /* from jwksFile */
};

/* Reads the file, or takes a share of the living issuer. No network. */
enum err_code jwt_keys_open(const struct jwt_issuer_config *cfg, struct authn_services *services,
    struct jwt_keys *out, struct err *e) MUST_CHECK;
void jwt_keys_close(struct jwt_keys *k);

/* What to do when no key at hand is the token's. */
struct jwt_patience {
	/* issuer_ask, which never waits, or issuer_wait_keys, which blocks. */
	enum issuer_advice (*ask)(struct issuer *i, const struct issuer_question *q);
	/* False, with CALL's refusal set: the token would be refused anyway and is not worth a fetch. NULL:
	 * it always is. */
	bool (*worthwhile)(void *arg, struct authn_call *call);
	void *arg;
};

/* AUTHN_ACCEPT: T verifies under an algorithm that the stanza allows, and *KID is that of the key, in CALL's
 * arena, whether T names it or not; else it is empty. AUTHN_REJECT ("badHeader",
 * "badSignature", "unknownKey"), AUTHN_UNAVAILABLE ("issuerUnavailable"), or AUTHN_NEEDS_WORK when waiting may
 * bring the key. Sets call->keep for what it refuses. */
enum authn_step jwt_keys_verify(const struct jwt_keys *k, const struct jose_token *t,
    const struct jwt_patience *p, struct authn_call *call, struct slice *kid) MUST_CHECK;

#endif
