/* Owns POST /login: from what a client sent to a token of our own, and the issuer's public
 * documents. */
#include "authn/login.h"

#include <stdlib.h>

#include "authn/denylist.h"
#include "authn/firewall.h"
#include "authn/login_request.h"
#include "authn/login_state.h"
#include "common/clock.h"

static enum err_code open_state(struct authn_services *s, struct err *e)
{
	const char *dir = authn_services_state(s, MINT_FILE);
	if (!s->mint) {
		TRY(mint_open(dir, &s->mint, e));
		s->mint_free = mint_free;
	}
	if (!s->sessions) {
		TRY(sessions_open(dir, &s->sessions, e));
		s->sessions_free = sessions_free;
	}
	return ERR_OK;
}

static enum err_code use_services(struct login *l, struct authn_services *services, struct diags *d)
{
	const struct place *p = &l->cfg->place;
	struct err e = {0};
	if (open_state(services, &e) != ERR_OK)
		return diags_error(d, p->file ? p->file : "", p->line, p->col, "login: %s", e.msg);
	l->mint = services->mint;
	l->sessions = services->sessions;
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
	TRY(use_services(l, services, d));
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

enum login_result login_say(
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

int64_t login_session_length(const struct login *l)
{
	const struct login_config *c = l->cfg;
	int64_t ns = c->refresh_lifetime > c->token_lifetime ? c->refresh_lifetime : c->token_lifetime;
	return ns / CLOCK_SECOND;
}

static struct slice subject_of(struct arena *a, const struct login_grant *g)
{
	struct slice who = g->id.uid.len ? g->id.uid : g->account;
	return slice_of(arena_printf(a, SLICE_FMT ":" SLICE_FMT, SLICE_ARG(g->directory), SLICE_ARG(who)));
}

static struct mint_claims claims_of(
    const struct login *l, const struct login_call *c, const struct login_grant *g)
{
	return (struct mint_claims){
	    .issuer = l->issuer,
	    .subject = subject_of(c->arena, g),
	    .username = g->id.username,
	    .directory = g->directory,
	    .account = g->account,
	    .uid = g->id.uid,
	    .session = g->session,
	    .login = g->login,
	    .session_end = g->session_end,
	    .issued = c->now / CLOCK_SECOND,
	};
}

static enum login_result sign(
    const struct login *l, struct login_call *c, const struct mint_claims *m, struct slice *out)
{
	struct err e = {0};
	enum err_code code = mint_sign(l->mint, m, c->arena, out, &e);
	if (code == ERR_LIMIT)
		return login_say(c, LOGIN_REFUSED, "tooManyGroups", e.msg);
	return code == ERR_OK ? LOGIN_OK : login_say(c, LOGIN_UNAVAILABLE, "internal", e.msg);
}

enum login_result login_grant_token(
    const struct login *l, struct login_call *c, const struct login_grant *g)
{
	struct login_grant clean = *g;
	struct identity *id = &clean.id;
	if (!firewall_pass(id, c->arena, &c->reason, &c->why))
		return LOGIN_REFUSED;
	struct slice *audiences = ARENA_ARRAY(c->arena, struct slice, l->audiences.len);
	for (size_t i = 0; i < l->audiences.len; i++)
		audiences[i] = slice_of(l->audiences.items[i]);
	struct mint_claims m = claims_of(l, c, &clean);
	m.audiences = audiences;
	m.naudiences = l->audiences.len;
	m.groups = id->groups;
	m.ngroups = l->cfg->groups_claim ? id->ngroups : 0;
	m.expires = m.issued + l->cfg->token_lifetime / CLOCK_SECOND;
	if (m.expires > g->session_end)
		m.expires = g->session_end;
	enum login_result r = sign(l, c, &m, &c->token);
	if (r != LOGIN_OK)
		return r;
	id->issuer = l->issuer;
	id->expires = m.expires;
	c->expires = m.expires;
	c->id = *id;
	c->reason = "ok";
	return LOGIN_OK;
}

/* For this issuer alone: neither a review nor an apiserver that verifies natively takes it for a token. */
static enum login_result give_handle(const struct login *l, struct login_call *c,
    const struct login_grant *g, struct slice version)
{
	struct mint_claims m = claims_of(l, c, g);
	m.refresh = true;
	m.audiences = &l->issuer;
	m.naudiences = 1;
	m.version = version;
	m.expires = g->session_end;
	c->refresh_expires = m.expires;
	return sign(l, c, &m, &c->refresh);
}

/* Not left to the reviews: an apiserver may verify our tokens by itself. */
static bool denied(const struct authn_chain *chain, struct login_call *c, const struct login_grant *g)
{
	struct identity id = g->id;
	struct credential cred = {.subject = subject_of(c->arena, g),
	    .session = g->session,
	    .issued = c->now / CLOCK_SECOND};
	struct err why = {0};
	id.issuer = chain->login->issuer;
	if (!denylist_refuses(chain->denylist, &id, &cred, c->now, &why))
		return false;
	c->id.username = id.username;
	login_say(c, LOGIN_REFUSED, "revoked", why.msg);
	return true;
}

static enum login_result start_session(
    const struct authn_chain *chain, struct login_call *c, const struct password_try *t)
{
	const struct login *l = chain->login;
	int64_t now = c->now / CLOCK_SECOND;
	struct login_grant g = {.id = t->dir.id,
	    .directory = slice_of(t->in),
	    .account = t->dir.name,
	    .session = sessions_name(c->arena),
	    .login = now,
	    .session_end = now + login_session_length(l)};
	if (denied(chain, c, &g))
		return LOGIN_REFUSED;
	enum login_result r = login_grant_token(l, c, &g);
	if (r == LOGIN_OK && l->cfg->refresh_lifetime)
		r = give_handle(l, c, &g, t->dir.account_version);
	return r;
}

static void remember(const struct login *l, struct login_call *c, const struct password_try *t)
{
	const struct directory *d = directories_find(l->directories, slice_of(t->in));
	struct slice key =
	    directories_cache_key(c->arena, slice_of(t->in), t->dir.name, t->dir.id.uid);
	account_cache_put(l->directories->cache, key, &t->dir.id, clock_mono(),
	    t->asked + directory_cache_ttl(d));
}

static enum login_result conclude(const struct authn_chain *chain, struct login_call *c,
    const struct password_try *t, enum directory_verdict v)
{
	const struct login *l = chain->login;
	c->directory = t->in;
	if (v == DIRECTORY_GOOD) {
		enum login_result r = start_session(chain, c, t);
		if (r == LOGIN_OK)
			remember(l, c, t);
		return r;
	}
	/* Whoever types a password in the name's place finds no entry, and it goes nowhere. */
	c->id.username = t->dir.id.username;
	if (v == DIRECTORY_UNAVAILABLE)
		return login_say(c, LOGIN_UNAVAILABLE, t->dir.reason, t->dir.why.msg);
	if (strcmp(t->dir.reason, "limited") != 0)
		return login_say(c, LOGIN_REFUSED, t->dir.reason, t->dir.why.msg);
	c->retry_after = (t->wait + CLOCK_SECOND - 1) / CLOCK_SECOND;
	return login_say(c, LOGIN_LIMITED, "limited", t->dir.why.msg);
}

void login_reset(struct login_call *c)
{
	c->token = c->refresh = (struct slice){0};
	c->expires = c->refresh_expires = c->retry_after = 0;
	c->id = (struct identity){0};
	c->directory = c->reason = NULL;
	c->why = (struct err){0};
}

enum login_result authn_login(const struct authn_chain *chain, struct login_call *call)
{
	const struct login *l = chain->login;
	login_reset(call);
	if (!l)
		return login_say(call, LOGIN_REFUSED, "noLogin", "no login is configured");
	struct login_request req;
	struct err e;
	if (login_request_parse(call->authorization, call->body, call->arena, &req, &e) != ERR_OK)
		return login_say(call, LOGIN_BAD_REQUEST, "badRequest", e.msg);
	struct password_try t = {
	    .arena = call->arena,
	    .username = req.username,
	    .password = req.password,
	    .directory = req.directory,
	    .client = l->cfg->limit_addresses ? call->client : (struct slice){0},
	    .deadline = call->deadline,
	};
	enum directory_verdict v = directories_try(l->directories, &t);
	return conclude(chain, call, &t, v);
}

/* --- the house --- */

bool authn_login_tick(const struct authn_chain *c, struct err *e)
{
	bool changed = false;
	*e = (struct err){0};
	if (!c->login)
		return false;
	enum err_code keys = mint_tick(c->login->mint, c->login->cfg->key_rotation, &changed, e);
	struct err other = {0};
	if (sessions_tick(c->login->sessions, &other) != ERR_OK && keys == ERR_OK)
		*e = other;
	return changed;
}

bool authn_login_ended(const struct authn_chain *c, struct slice name)
{
	return c->login && sessions_ended(c->login->sessions, name);
}

uint64_t authn_login_generation(const struct authn_chain *c)
{
	return c->login ? mint_generation(c->login->mint) : 0;
}

/* --- public documents --- */

int64_t authn_login_max_age(void)
{
	return MINT_JWKS_MAX_AGE_S;
}

static void login_endpoints(const struct login *l, struct buf *out)
{
	AUTO(buf_done) struct buf url;
	buf_init(&url, 4096);
	buf_slice(&url, l->issuer);
	buf_adds(&url, "/revoke");
	buf_adds(out, ",\"revocation_endpoint\":");
	buf_json(out, buf_view(&url));
}

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
	login_endpoints(c->login, out);
	buf_adds(out, ",\"response_types_supported\":[\"id_token\"],"
		      "\"subject_types_supported\":[\"public\"],"
		      "\"id_token_signing_alg_values_supported\":[\"ES256\"]}");
}

void authn_login_jwks(const struct authn_chain *c, struct buf *out)
{
	if (c->login)
		mint_jwks(c->login->mint, out);
}
