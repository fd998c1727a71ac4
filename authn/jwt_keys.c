/* Owns the question whether a token is signed by a key of its issuer, now or after a wait. */
#include "authn/jwt_keys.h"

#include "authn/limits.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/jsonx.h"

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

enum err_code jwt_keys_open(const struct jwt_issuer_config *cfg, struct authn_services *services,
    struct jwt_keys *out, struct err *e)
{
	*out = (struct jwt_keys){.cfg = cfg};
	if (!cfg->jwks_file)
		return issuer_acquire(services->issuers, cfg, &out->issuer, e);
	if (load_file(cfg->jwks_file, &out->file, e) != ERR_OK)
		return err_wrap(e, "issuer.jwksFile");
	return ERR_OK;
}

void jwt_keys_close(struct jwt_keys *k)
{
	issuer_release(&k->issuer);
	keyset_unref(&k->file);
}

static enum authn_step unknown_key(struct authn_call *call)
{
	/* Asking again within the window would bring nothing new. */
	call->keep = ISSUER_WINDOW_S * CLOCK_SECOND;
	authn_check(call, "key", false, "the issuer has no such key");
	return authn_say(call, AUTHN_REJECT, "unknownKey", "the issuer has no such key");
}

static enum authn_step advise(struct authn_call *call, enum issuer_advice advice)
{
	switch (advice) {
	case ISSUER_WAIT:
		return AUTHN_NEEDS_WORK;
	case ISSUER_UNKNOWN_KEY:
		return unknown_key(call);
	default:
		authn_check(call, "key", false, "the issuer's keys cannot be fetched at the moment");
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

/* What KEYS, NULL when there are none yet, say of T. AUTHN_PASS: newer ones may say more. */
static enum authn_step try_keys(const struct jwt_keys *k, const struct keyset *keys,
    const struct jose_token *t, struct authn_call *call, struct slice *kid)
{
	const struct jose_key *key = NULL;
	struct err e = {0};
	if (!keys)
		return AUTHN_PASS;
	switch (keyset_verify(keys, t, jwt_algs(k->cfg), &key, &e)) {
	case KEYSET_VERIFIED:
		*kid = slice_dup(call->arena, jose_key_kid(key));
		authn_check(call, "signature", true, "");
		return AUTHN_ACCEPT;
	case KEYSET_NO_KEY:
		return AUTHN_PASS;
	default:
		call->keep = VERDICT_SETTLED_S * CLOCK_SECOND;
		authn_check(call, "signature", false, e.msg);
		return authn_say(call, AUTHN_REJECT, "badSignature", "%s", e.msg);
	}
}

static enum authn_step verify_by_issuer(const struct jwt_keys *k, const struct jose_token *t,
    const struct jwt_patience *p, struct authn_call *call, struct slice *kid)
{
	for (;;) {
		AUTO(keyset_unref) struct keyset *keys = issuer_keys(k->issuer);
		enum authn_step step = try_keys(k, keys, t, call, kid);
		if (step != AUTHN_PASS)
			return step;
		if (p->worthwhile && !p->worthwhile(p->arg, call))
			return AUTHN_REJECT;
		struct issuer_question q = question(call, t, keys);
		enum issuer_advice advice = p->ask(k->issuer, &q);
		if (advice != ISSUER_LOOK_AGAIN)
			return advise(call, advice);
	}
}

/* Scheme, host and port of URL. */
static struct slice origin(const char *url)
{
	static const size_t scheme = sizeof("https://") - 1;
	struct slice rest = slice_skip(slice_of(url), scheme);
	return (struct slice){url, scheme + slice_find(rest, '/')};
}

enum authn_step jwt_keys_verify(const struct jwt_keys *k, const struct jose_token *t,
    const struct jwt_patience *p, struct authn_call *call, struct slice *kid)
{
	struct jose_token tolerated;
	*kid = (struct slice){0};
	if (jose_without_jku(t, origin(k->cfg->url), &tolerated))
		t = &tolerated;
	bool header_ok = t->header.code == ERR_OK;
	authn_check(call, "header", header_ok, header_ok ? "" : t->header.msg);
	if (!header_ok) {
		call->keep = VERDICT_SETTLED_S * CLOCK_SECOND;
		return authn_say(call, AUTHN_REJECT, "badHeader", "%s", t->header.msg);
	}
	if (!k->file)
		return verify_by_issuer(k, t, p, call, kid);
	enum authn_step step = try_keys(k, k->file, t, call, kid);
	return step == AUTHN_PASS ? unknown_key(call) : step;
}
