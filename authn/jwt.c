/* Owns the authenticator of one jwt[] entry: whose token, which key, which person. */
#include <stdlib.h>

#include "authn/chain.h"
#include "authn/claims.h"
#include "authn/issuer.h"
#include "authn/issuer_series.h"
#include "authn/limits.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/jsonx.h"

struct jwt_authn {
	struct authn base;
	const struct jwt_config *cfg;
	struct issuer *issuer;	  /* or */
	struct keyset *file_keys; /* from jwksFile */
	struct issuers *issuers;
	struct issuer_series *series;
	char *name;
};

/* *KEYS was tried; what does the token come to? NO_KEY leaves the verdict open. */
static enum keyset_result verify(
    const struct keyset *keys, const struct jose_token *t, struct authn_call *call)
{
	struct err e = {0};
	enum keyset_result r = keyset_verify(keys, t, JOSE_ALGS_ALL, &e);
	if (r == KEYSET_BAD_SIGNATURE)
		authn_say(call, AUTHN_REJECT, "badSignature", "%s", e.msg);
	return r;
}

static enum authn_step read_claims(
    const struct jwt_authn *j, const struct jose_token *t, struct authn_call *call)
{
	struct err e = {0};
	const char *reason = "badClaim";
	if (claims_identity(j->cfg, t->claims, call->now / CLOCK_SECOND, call->arena, &call->id,
		&reason, &e) != ERR_OK)
		return authn_say(call, AUTHN_REJECT, reason, "%s", e.msg);
	call->id.provider = slice_of(j->name);
	call->id.issuer = t->iss;
	return AUTHN_ACCEPT;
}

static enum authn_step advise(struct authn_call *call, enum issuer_advice advice)
{
	switch (advice) {
	case ISSUER_WAIT:
		return AUTHN_NEEDS_WORK;
	case ISSUER_UNKNOWN_KEY:
		return authn_say(call, AUTHN_REJECT, "unknownKey", "the issuer has no such key");
	default:
		return authn_say(call, AUTHN_UNAVAILABLE, "issuerUnavailable",
		    "the issuer's keys cannot be fetched at the moment");
	}
}

static struct issuer_question question(
    const struct authn_call *call, const struct jose_token *t, const struct keyset *seen)
{
	struct issuer_question q = {
	    .arrived = call->arrived,
	    .deadline = call->deadline,
	    .seen = seen,
	};
	bool have = false;
	if (jsonx_int(t->claims, "iat", &q.issued, &have, NULL) != ERR_OK || !have || q.issued < 0)
		q.issued = 0;
	return q;
}

typedef enum issuer_advice ask_fn(struct issuer *i, const struct issuer_question *q);

/* Verifies with the current set, and with newer ones as long as ASK brings such. */
static enum authn_step judge(
    const struct jwt_authn *j, const struct jose_token *t, struct authn_call *call, ask_fn *ask)
{
	for (;;) {
		AUTO(keyset_unref) struct keyset *keys = issuer_keys(j->issuer);
		enum keyset_result r = keys ? verify(keys, t, call) : KEYSET_NO_KEY;
		if (r == KEYSET_VERIFIED)
			return read_claims(j, t, call);
		if (r == KEYSET_BAD_SIGNATURE)
			return AUTHN_REJECT;
		/* What would be refused anyway is not worth a fetch. */
		enum authn_step step = read_claims(j, t, call);
		call->id = (struct identity){0};
		if (step != AUTHN_ACCEPT)
			return step;
		struct issuer_question q = question(call, t, keys);
		enum issuer_advice advice = ask(j->issuer, &q);
		if (advice != ISSUER_LOOK_AGAIN)
			return advise(call, advice);
	}
}

static enum authn_step judge_by_file(
    const struct jwt_authn *j, const struct jose_token *t, struct authn_call *call)
{
	enum keyset_result r = verify(j->file_keys, t, call);
	if (r == KEYSET_VERIFIED)
		return read_claims(j, t, call);
	return r == KEYSET_NO_KEY ? advise(call, ISSUER_UNKNOWN_KEY) : AUTHN_REJECT;
}

static enum authn_step counted(const struct jwt_authn *j, enum authn_step step)
{
	issuer_series_count(j->series, step);
	return step;
}

static enum authn_step try_now(const struct authn *self, struct authn_call *call)
{
	const struct jwt_authn *j = (const struct jwt_authn *)self;
	/* RFC 7519 4.1.1 and OIDC Core 3.1.3.7: exact, byte for byte. */
	struct slice url = slice_of(j->cfg->issuer.url);
	const struct jose_token *t = authn_call_says_issuer(call, url) ? authn_call_jwt(call) : NULL;
	if (!t || !slice_eq(t->iss, url))
		return AUTHN_PASS;
	if (t->header.code != ERR_OK)
		return counted(j, authn_say(call, AUTHN_REJECT, "badHeader", "%s", t->header.msg));
	if (!jose_typ_is_jwt(t))
		return counted(j, authn_say(call, AUTHN_REJECT, "tokenKind", "not an ID token (header typ)"));
	return counted(j, j->file_keys ? judge_by_file(j, t, call) : judge(j, t, call, issuer_ask));
}

static enum authn_step work(const struct authn *self, struct authn_call *call)
{
	const struct jwt_authn *j = (const struct jwt_authn *)self;
	const struct jose_token *t = authn_call_jwt(call);
	return counted(j, t && j->issuer ? judge(j, t, call, issuer_wait_keys) : AUTHN_REJECT);
}

static void destroy(struct authn *self)
{
	struct jwt_authn *j = (struct jwt_authn *)self;
	issuer_release(&j->issuer);
	issuer_series_release(j->issuers, &j->series);
	keyset_unref(&j->file_keys);
	free(j->name);
	free(j);
}

static const struct authn_ops jwt_ops = {
    .kind = "jwt",
    .try_now = try_now,
    .work = work,
    .destroy = destroy,
};

static enum err_code load_file(const char *path, struct keyset **out, struct err *e)
{
	struct arena a;
	struct slice text;
	arena_init(&a, 0);
	enum err_code code = file_read(&a, path, JWKS_FILE_BYTES_MAX, &text, e);
	if (code == ERR_OK && keyset_parse(text, out, e) != ERR_OK)
		code = err_wrap(e, "%s", path);
	arena_done(&a);
	return code;
}

enum err_code authn_jwt_new(const struct jwt_config *cfg, struct authn_services *services,
    struct authn **out, struct diags *d)
{
	*out = NULL;
	struct jwt_authn *j = calloc(1, sizeof(*j));
	size_t len = strlen(cfg->issuer.url) + sizeof("jwt:");
	if (!j || !(j->name = malloc(len)))
		abort();
	memcpy(j->name, "jwt:", 4);
	memcpy(j->name + 4, cfg->issuer.url, len - 4);
	j->base = (struct authn){.ops = &jwt_ops, .name = j->name};
	j->cfg = cfg;
	j->issuers = services->issuers;
	j->series = issuer_series_hold(services->issuers, cfg->issuer.url, false);
	struct err e = {0};
	const char *file = cfg->issuer.jwks_file;
	enum err_code code = file ? load_file(file, &j->file_keys, &e)
				  : issuer_acquire(services->issuers, &cfg->issuer, &j->issuer, &e);
	if (code != ERR_OK) {
		destroy(&j->base);
		return diags_error(d, cfg->place.file, cfg->place.line, cfg->place.col, "%s%s",
		    file ? "issuer.jwksFile: " : "", e.msg);
	}
	*out = &j->base;
	return ERR_OK;
}
