/* Owns sessions: POST /refresh, a handle for a new token, and POST /revoke, the end of all of them. */
#include "authn/denylist.h"
#include "authn/login.h"
#include "authn/login_request.h"
#include "authn/login_state.h"
#include "common/clock.h"

/* Another replica's clock. */
#define LEEWAY_S 10

/* A token or handle that one of our keys signed. */
struct bearer {
	struct jose_token token;
	struct mint_claims claims;
};

static enum login_result refuse(struct login_call *c, const char *reason, const char *text)
{
	return login_say(c, LOGIN_REFUSED, reason, text);
}

/* LOGIN_OK: TEXT is by our issuer and ours; nothing about its kind or its time. */
static enum login_result read_bearer(
    const struct login *l, struct login_call *c, struct slice text, struct bearer *b)
{
	struct err e = {0};
	if (jose_parse(c->arena, text, &b->token, &e) != ERR_OK || !slice_eq(b->token.iss, l->issuer))
		return refuse(c, "noMatch", "not a token of this issuer");
	if (mint_verify(l->mint, &b->token, &e) != ERR_OK)
		return refuse(c, "badSignature", e.msg);
	if (mint_read(&b->token, c->arena, &b->claims, &e) != ERR_OK)
		return refuse(c, "badClaim", e.msg);
	return LOGIN_OK;
}

static enum login_result limited(struct login_call *c, int64_t wait)
{
	c->retry_after = (wait + CLOCK_SECOND - 1) / CLOCK_SECOND;
	return login_say(c, LOGIN_LIMITED, "limited", "too many requests of this session");
}

/* --- refresh --- */

static enum login_result check_handle(const struct login *l, struct login_call *c, const struct bearer *b)
{
	const struct mint_claims *m = &b->claims;
	int64_t now = c->now / CLOCK_SECOND;
	/* RFC 8725 3.11, 3.12: neither is the other, by type and by audience. */
	if (!m->refresh)
		return refuse(c, "tokenKind", "not a refresh handle");
	if (m->naudiences != 1 || !slice_eq(m->audiences[0], l->issuer))
		return refuse(c, "badAudience", "not for this issuer");
	if (l->cfg->refresh_lifetime == 0)
		return refuse(c, "noRefresh", "no refresh is configured");
	/* A shorter refreshLifetime holds for handles that were given before, too. */
	if (now >= m->expires || now >= m->issued + login_session_length(l))
		return refuse(c, "expired", "the session is over");
	if (m->issued > now + LEEWAY_S)
		return refuse(c, "notYetValid", "the handle is from the future");
	if (!sessions_name_ok(m->session))
		return refuse(c, "badClaim", "no session");
	if (sessions_ended(l->sessions, m->session))
		return refuse(c, "revoked", "the session was ended");
	return LOGIN_OK;
}

/* The account as it is now, not as a cache has it. */
static enum login_result look_up(
    const struct login *l, struct login_call *c, const struct mint_claims *m, struct directory_call *d)
{
	struct directory *dir = directories_find(l->directories, m->directory);
	if (!dir)
		return refuse(c, "unknownDirectory", "the directory is not configured any more");
	c->directory = directory_name(dir);
	int64_t asked = clock_mono();
	enum directory_verdict v = directory_lookup(dir, m->account, m->uid, d);
	struct slice key = directories_cache_key(c->arena, m->directory, m->account, m->uid);
	if (v == DIRECTORY_UNAVAILABLE)
		return login_say(c, LOGIN_UNAVAILABLE, d->reason, d->why.msg);
	if (v != DIRECTORY_GOOD) {
		account_cache_drop(l->directories->cache, key);
		return refuse(c, d->reason, d->why.msg);
	}
	if (!slice_eq(d->account_version, m->version))
		return refuse(c, "passwordChanged", "the password was changed since the login");
	account_cache_put(
	    l->directories->cache, key, &d->id, clock_mono(), asked + directory_cache_ttl(dir));
	return LOGIN_OK;
}

static enum login_result renew(
    const struct authn_chain *chain, struct login_call *c, const struct bearer *b)
{
	const struct login *l = chain->login;
	const struct mint_claims *m = &b->claims;
	struct directory_call d = {.arena = c->arena, .deadline = c->deadline};
	int64_t wait;
	if (!penalty_take_key(l->directories->guard->sessions, m->session, clock_mono(), &wait))
		return limited(c, wait);
	enum login_result r = look_up(l, c, m, &d);
	if (r != LOGIN_OK)
		return r;
	struct credential cred = {m->subject, m->id, b->token.kid, m->issued, m->session};
	struct err why = {0};
	d.id.issuer = l->issuer;
	if (denylist_refuses(chain->denylist, &d.id, &cred, c->now, &why))
		return refuse(c, "revoked", why.msg);
	struct login_grant g = {.id = d.id,
	    .directory = m->directory,
	    .account = d.name,
	    .session = m->session,
	    .login = m->issued,
	    .session_end = m->expires};
	return login_grant_token(l, c, &g);
}

enum login_result authn_refresh(const struct authn_chain *chain, struct login_call *call)
{
	const struct login *l = chain->login;
	struct bearer b;
	struct slice text;
	struct err e;
	login_reset(call);
	if (!l)
		return refuse(call, "noLogin", "no login is configured");
	if (login_handle_parse(call->body, call->arena, &text, &e) != ERR_OK)
		return login_say(call, LOGIN_BAD_REQUEST, "badRequest", e.msg);
	enum login_result r = read_bearer(l, call, text, &b);
	if (r == LOGIN_OK)
		r = check_handle(l, call, &b);
	if (r != LOGIN_OK)
		return r;
	r = renew(chain, call, &b);
	if (r != LOGIN_OK)
		call->id.username = b.claims.username;
	return r;
}

/* --- revoke --- */

static enum login_result end_session(const struct login *l, struct login_call *c, const struct bearer *b)
{
	const struct mint_claims *m = &b->claims;
	int64_t wait, end = m->session_end > m->expires ? m->session_end : m->expires;
	struct err e = {0};
	c->id.username = m->username;
	c->id.issuer = l->issuer;
	if (!sessions_name_ok(m->session))
		return login_say(c, LOGIN_BAD_REQUEST, "badClaim", "the token belongs to no session");
	if (end + LEEWAY_S <= c->now / CLOCK_SECOND) {
		c->reason = "expired";
		return LOGIN_OK;
	}
	c->reason = "ok";
	struct slice key = slice_of(arena_printf(c->arena, "revoke:" SLICE_FMT, SLICE_ARG(m->subject)));
	if (!sessions_ended(l->sessions, m->session) &&
	    !penalty_take_key(l->directories->guard->sessions, key, clock_mono(), &wait))
		return limited(c, wait);
	if (sessions_end(l->sessions, m->session, end + LEEWAY_S, &e) != ERR_OK)
		return login_say(c, LOGIN_UNAVAILABLE, "notRecorded", e.msg);
	return LOGIN_OK;
}

enum login_result authn_revoke(const struct authn_chain *chain, struct login_call *call)
{
	const struct login *l = chain->login;
	struct bearer b;
	struct slice text;
	struct err e;
	login_reset(call);
	if (!l)
		return refuse(call, "noLogin", "no login is configured");
	if (login_revoke_parse(call->body, call->form, call->arena, &text, &e) != ERR_OK)
		return login_say(call, LOGIN_BAD_REQUEST, "badRequest", e.msg);
	/* RFC 7009 2.2: what is no token of ours is as good as revoked; the reason stays. */
	if (read_bearer(l, call, text, &b) != LOGIN_OK)
		return LOGIN_OK;
	return end_session(l, call, &b);
}
