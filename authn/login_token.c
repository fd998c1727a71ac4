/* Owns the verdict on our own tokens: a signature proves the login, the directory proves the rest.
 */
#include <stdlib.h>

#include "authn/login_state.h"
#include "common/clock.h"

/* What a token may be from the future: another replica's clock. */
#define LEEWAY_S 10
/* Longer than tokenLifetime can be. */
#define LIFETIME_MAX_S 3600

struct login_token {
	struct authn base;
	struct login *login; /* borrowed */
};

/* A token of ours and the account it names. */
struct claim_check {
	struct mint_claims claims;
	struct directory *directory;
	struct slice key; /* in the cache */
	struct slice kid;
};

static bool audience_is_ours(const struct login *l, const struct mint_claims *c)
{
	for (size_t i = 0; i < c->naudiences; i++) {
		for (size_t j = 0; j < l->audiences.len; j++) {
			if (slice_is(c->audiences[i], l->audiences.items[j]))
				return true;
		}
	}
	return false;
}

static enum authn_step check_times(const struct mint_claims *c, struct authn_call *call)
{
	int64_t now = call->now / CLOCK_SECOND;
	if (now >= c->expires)
		return authn_say(call, AUTHN_REJECT, "expired", "token has expired");
	if (c->issued > now + LEEWAY_S)
		return authn_say(call, AUTHN_REJECT, "notYetValid", "token is from the future");
	if (c->expires <= c->issued || c->expires - c->issued > LIFETIME_MAX_S)
		return authn_say(call, AUTHN_REJECT, "badClaim", "token's life is impossible");
	return AUTHN_ACCEPT;
}

static enum authn_step check_signed(const struct login *l, const struct jose_token *t,
    struct authn_call *call, struct claim_check *k)
{
	struct err e = {0};
	if (mint_verify(l->mint, t, &e) != ERR_OK)
		return authn_failed(
		    call, "signature", authn_say(call, AUTHN_REJECT, "badSignature", "%s", e.msg));
	authn_check(call, "signature", true, "");
	if (mint_read(t, call->arena, &k->claims, &e) != ERR_OK)
		return authn_failed(
		    call, "claims", authn_say(call, AUTHN_REJECT, "badClaim", "%s", e.msg));
	/* RFC 8725 3.11: a refresh handle has our signature, too. */
	if (!jose_typ_is_jwt(t) || k->claims.refresh)
		return authn_failed(call, "tokenKind",
		    authn_say(call, AUTHN_REJECT, "tokenKind", "a refresh handle is no token"));
	authn_check(call, "tokenKind", true, "");
	return AUTHN_ACCEPT;
}

static enum authn_step check_claims(
    const struct login *l, struct authn_call *call, struct claim_check *k)
{
	enum authn_step step = check_times(&k->claims, call);
	if (step != AUTHN_ACCEPT)
		return authn_failed(call, "expiry", step);
	authn_check(call, "expiry", true, "");
	if (!audience_is_ours(l, &k->claims))
		return authn_failed(call, "audience",
		    authn_say(call, AUTHN_REJECT, "badAudience", "token is for other audiences"));
	authn_check(call, "audience", true, "");
	if (sessions_ended(l->sessions, k->claims.session))
		return authn_failed(call, "session",
		    authn_say(call, AUTHN_REJECT, "revoked", "the session was ended"));
	authn_check(call, "session", true, "");
	k->directory = directories_find(l->directories, k->claims.directory);
	if (!k->directory)
		return authn_failed(call, "directory", authn_say(call, AUTHN_REJECT, "unknownDirectory",
			    "token's directory is not configured any more"));
	return AUTHN_ACCEPT;
}

/* AUTHN_ACCEPT: ours, good, and K tells whose. The cheap half of both steps below; done again by
 * the second, since nothing but the token itself is handed over. */
static enum authn_step check_token(
    const struct login *l, struct authn_call *call, struct claim_check *k)
{
	const struct jose_token *t =
	    authn_call_says_issuer(call, l->issuer) ? authn_call_jwt(call) : NULL;
	if (!t || !slice_eq(t->iss, l->issuer))
		return AUTHN_PASS;
	enum authn_step step = check_signed(l, t, call, k);
	if (step == AUTHN_ACCEPT)
		step = check_claims(l, call, k);
	if (step != AUTHN_ACCEPT)
		return step;
	k->kid = t->kid;
	k->key = directories_cache_key(
	    call->arena, k->claims.directory, k->claims.account, k->claims.uid);
	return AUTHN_ACCEPT;
}

/* A cache may keep it for as long as the account is not read anew: until UNTIL, clock_mono(). That the session
 * is ended, the chain asks each time. */
static enum authn_step accept(struct authn_call *call, const struct claim_check *k, int64_t until)
{
	int64_t left = until - clock_mono();
	call->keep = left > 0 ? left : 0;
	call->id.issuer = k->claims.issuer;
	call->id.expires = k->claims.expires;
	call->credential = (struct credential){
	    .subject = k->claims.subject,
	    .id = k->claims.id,
	    .kid = k->kid,
	    .session = k->claims.session,
	    .issued = k->claims.issued,
	};
	call->reason = "ok";
	authn_check(call, "account", true, "");
	return AUTHN_ACCEPT;
}

static bool token_mine(const struct authn *self, struct authn_call *call)
{
	return authn_call_says_issuer(call, ((const struct login_token *)self)->login->issuer);
}

static enum authn_step token_try_now(const struct authn *self, struct authn_call *call)
{
	const struct login *l = ((const struct login_token *)self)->login;
	struct claim_check k = {0};
	int64_t until;
	enum authn_step step = check_token(l, call, &k);
	if (step != AUTHN_ACCEPT)
		return step;
	if (account_cache_get(
		l->directories->cache, k.key, clock_mono(), call->arena, &call->id, &until))
		return accept(call, &k, until);
	/* One look-up for all tokens of an account; but who comes after it must find its answer. */
	if (directory_cache_ttl(k.directory) > 0)
		call->work_key = k.key;
	return AUTHN_NEEDS_WORK;
}

static enum authn_step token_work(const struct authn *self, struct authn_call *call)
{
	const struct login *l = ((const struct login_token *)self)->login;
	struct claim_check k = {0};
	int64_t until;
	enum authn_step step = check_token(l, call, &k);
	if (step == AUTHN_PASS)
		return authn_say(call, AUTHN_REJECT, "badClaim", "not a token of ours");
	if (step != AUTHN_ACCEPT)
		return step;
	/* Somebody else's look-up may have ended meanwhile. */
	if (account_cache_get(
		l->directories->cache, k.key, clock_mono(), call->arena, &call->id, &until))
		return accept(call, &k, until);
	int64_t asked = clock_mono();
	struct directory_call d = {.arena = call->arena, .deadline = call->deadline};
	enum directory_verdict v =
	    directory_lookup(k.directory, k.claims.account, k.claims.uid, &d);
	if (v == DIRECTORY_GOOD) {
		call->id = d.id;
		/* As old as the question, not as the answer. */
		until = asked + directory_cache_ttl(k.directory);
		account_cache_put(l->directories->cache, k.key, &d.id, clock_mono(), until);
		return accept(call, &k, until);
	}
	account_cache_drop(l->directories->cache, k.key);
	step = v == DIRECTORY_UNAVAILABLE ? AUTHN_UNAVAILABLE : AUTHN_REJECT;
	return authn_failed(call, "account", authn_say(call, step, d.reason, "%s", d.why.msg));
}

static void token_destroy(struct authn *self)
{
	free(self);
}

static const struct authn_ops token_ops = {
    .kind = "ldapToken",
    .try_now = token_try_now,
    .work = token_work,
    .mine = token_mine,
    .destroy = token_destroy,
};

struct authn *login_token_new(struct login *l)
{
	struct login_token *t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	*t = (struct login_token){.base = {.ops = &token_ops, .name = "ldapToken"}, .login = l};
	return &t->base;
}
