/* OpenID Connect Discovery 1.0: from an issuer's URL to its key set. */
#ifndef AUTHN_OIDC_H
#define AUTHN_OIDC_H

#include "authn/keyset.h"
#include "common/httpc.h"

/* Where an issuer's keys come from. One thread at a time. */
struct oidc_source {
	const char *issuer;	   /* what the document must say, byte for byte */
	const char *discovery_url; /* of the document */
	struct slice ca_pem;	   /* empty: the system's trust anchors */
	/* state of oidc_fetch */
	char *jwks_uri;	    /* malloc; NULL: discovery is due */
	int64_t discovered; /* clock_mono() */
};

/* How long a discovery document is believed. */
#define OIDC_DISCOVERY_TTL_S 3600

/* What a fetch brought. */
struct oidc_keys {
	struct keyset *set;
	struct buf text;  /* the set as it came: for keeping it */
	int64_t max_age;  /* how long the issuer calls it fresh, seconds; -1: it does not say */
	int64_t skew;	  /* the issuer's clock less ours, seconds */
	bool has_skew;
};

/* Fetches the document when it is due, then the key set, both within TIMEOUT_MS. Redirects, plain http,
 * wrong issuers and broken sets are errors; E names the step. Blocks. CANCEL as in httpc_request. OUT is set
 * on ERR_OK only; oidc_keys_done frees it. */
enum err_code oidc_fetch(struct httpc *http, struct oidc_source *src, int64_t timeout_ms,
    const struct cancel *cancel, struct oidc_keys *out, struct err *e) MUST_CHECK;
void oidc_keys_done(struct oidc_keys *k);

/* Reads a discovery document: *JWKS_URI is malloc'ed. Public for its tests. */
enum err_code oidc_read_discovery(struct slice text, const char *issuer, char **jwks_uri,
    struct err *e) MUST_CHECK;

#endif
