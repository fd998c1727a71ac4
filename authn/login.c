/* Owns POST /login: from what a client sent to a token of our own, and the issuer's public
 * documents. */
#include "authn/login.h"

#include <stdlib.h>

#include "authn/firewall.h"
#include "authn/login_request.h"
#include "authn/login_state.h"
#include "common/clock.h"

static enum err_code use_mint(struct login *l, struct authn_services *services, struct diags *d)
{
	const struct place *p = &l->cfg->place;
	struct err e;
	if (!services->mint) {
		if (mint_open(services->state_dir, &services->mint, &e) != ERR_OK)
			return diags_error(
			    d, p->file ? p->file : "", p->line, p->col, "login: %s", e.msg);
		services->mint_free = mint_free;
	}
	l->mint = services->mint;
	return ERR_OK;
}

enum err_code authn_login_new(const struct authn_config *cfg, struct authn_services *services,
    const struct directories *directories, struct login **login, struct authn **authn, struct diags *d)
{
	*login = NULL;
	*authn = NULL;
	if (!cfg->login)
		return ERR_OK;
	AUTO(authn_login_free) struct login *l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->cfg = cfg->login;
	l->audiences = cfg->audiences;
	l->issuer = slice_of(cfg->login->issuer);
	l->directories = directories;
	TRY(use_mint(l, services, d));
	*authn = login_token_new(l);
	*login = TAKE(l);
	return ERR_OK;
}

void authn_login_free(struct login **l)
{
	if (!l || !*l)
		return;
	free(*l);
	*l = NULL;
}

/* --- one login --- */

static enum login_result say(
    struct login_call *c, enum login_result result, const char *reason, const char *text)
{
	static const enum err_code codes[] = {
	    [LOGIN_REFUSED] = ERR_REFUSED,
	    [LOGIN_BAD_REQUEST] = ERR_INVALID,
	    [LOGIN_UNAVAILABLE] = ERR_UNAVAILABLE,
	    [LOGIN_LIMITED] = ERR_LIMIT,
	};
	c->reason = reason;
	err_set(&c->why, codes[result], "%s", text);
	return result;
}

static enum login_result give_token(
    const struct login *l, struct login_call *c, const struct password_try *t)
{
	struct identity id = t->dir.id;
	if (!firewall_pass(&id, c->arena, &c->reason, &c->why))
		return LOGIN_REFUSED;
	struct slice *audiences = ARENA_ARRAY(c->arena, struct slice, l->audiences.len);
	for (size_t i = 0; i < l->audiences.len; i++)
		audiences[i] = slice_of(l->audiences.items[i]);
	struct mint_claims m = {
	    .issuer = l->issuer,
	    .username = id.username,
	    .directory = slice_of(t->in),
	    .account = t->dir.name,
	    .uid = id.uid,
	    .audiences = audiences,
	    .naudiences = l->audiences.len,
	    .issued = c->now / CLOCK_SECOND,
	};
	m.expires = m.issued + l->cfg->token_lifetime / CLOCK_SECOND;
	m.subject = slice_of(arena_printf(
	    c->arena, "%s:" SLICE_FMT, t->in, SLICE_ARG(id.uid.len ? id.uid : t->dir.name)));
	struct err e;
	if (mint_sign(l->mint, &m, c->arena, &c->token, &e) != ERR_OK)
		return say(c, LOGIN_UNAVAILABLE, "internal", e.msg);
	id.issuer = l->issuer;
	id.expires = m.expires;
	c->expires = m.expires;
	c->id = id;
	c->reason = "ok";
	return LOGIN_OK;
}

static void remember(const struct login *l, struct login_call *c, const struct password_try *t)
{
	const struct directory *d = directories_find(l->directories, slice_of(t->in));
	struct slice key =
	    directories_cache_key(c->arena, slice_of(t->in), t->dir.name, t->dir.id.uid);
	account_cache_put(l->directories->cache, key, &t->dir.id, clock_mono(),
	    t->asked + directory_cache_ttl(d));
}

static enum login_result conclude(const struct login *l, struct login_call *c,
    const struct password_try *t, enum directory_verdict v)
{
	c->directory = t->in;
	if (v == DIRECTORY_GOOD) {
		enum login_result r = give_token(l, c, t);
		if (r == LOGIN_OK)
			remember(l, c, t);
		return r;
	}
	/* Whoever types a password in the name's place finds no entry, and it goes nowhere. */
	c->id.username = t->dir.id.username;
	if (v == DIRECTORY_UNAVAILABLE)
		return say(c, LOGIN_UNAVAILABLE, t->dir.reason, t->dir.why.msg);
	if (strcmp(t->dir.reason, "limited") != 0)
		return say(c, LOGIN_REFUSED, t->dir.reason, t->dir.why.msg);
	c->retry_after = (t->wait + CLOCK_SECOND - 1) / CLOCK_SECOND;
	return say(c, LOGIN_LIMITED, "limited", t->dir.why.msg);
}

static void reset(struct login_call *c)
{
	c->token = (struct slice){0};
	c->expires = c->retry_after = 0;
	c->id = (struct identity){0};
	c->directory = c->reason = NULL;
	c->why = (struct err){0};
}

enum login_result authn_login(const struct authn_chain *chain, struct login_call *call)
{
	const struct login *l = chain->login;
	reset(call);
	if (!l)
		return say(call, LOGIN_REFUSED, "noLogin", "no login is configured");
	struct login_request req;
	struct err e;
	if (login_request_parse(call->authorization, call->body, call->arena, &req, &e) != ERR_OK)
		return say(call, LOGIN_BAD_REQUEST, "badRequest", e.msg);
	struct password_try t = {
	    .arena = call->arena,
	    .username = req.username,
	    .password = req.password,
	    .directory = req.directory,
	    .client = l->cfg->limit_addresses ? call->client : (struct slice){0},
	    .deadline = call->deadline,
	};
	enum directory_verdict v = directories_try(l->directories, &t);
	return conclude(l, call, &t, v);
}

/* --- public documents --- */

void authn_login_discovery(const struct authn_chain *c, struct buf *out)
{
	if (!c->login)
		return;
	AUTO(buf_done) struct buf jwks;
	buf_init(&jwks, 4096);
	buf_slice(&jwks, c->login->issuer);
	buf_adds(&jwks, "/jwks");
	buf_adds(out, "{\"issuer\":");
	buf_json(out, c->login->issuer);
	buf_adds(out, ",\"jwks_uri\":");
	buf_json(out, buf_view(&jwks));
	buf_adds(out, ",\"response_types_supported\":[\"id_token\"],"
		      "\"subject_types_supported\":[\"public\"],"
		      "\"id_token_signing_alg_values_supported\":[\"ES256\"]}");
}

void authn_login_jwks(const struct authn_chain *c, struct buf *out)
{
	if (c->login)
		mint_jwks(c->login->mint, out);
}
