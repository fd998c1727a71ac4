/* Owns POST /login: from what a client sent to a token of our own, and the issuer's public
 * documents. */
#include "authn/login.h"

#include <ctype.h>
#include <stdlib.h>

#include "authn/firewall.h"
#include "authn/login_request.h"
#include "authn/login_state.h"
#include "common/clock.h"
#include "common/ldapx.h"

/* Failures of one name: as many as a person who misremembers needs, fewer than directories lock
 * accounts at. Of all names: far above a morning's mistypings, far below what a guesser wants. */
static const struct penalty_limits limits = {
    .key_burst = 5,
    .key_interval = 30 * CLOCK_SECOND,
    .all_burst = 300,
    .all_interval = CLOCK_SECOND / 10,
};

struct ldap_services {
	struct penalty *penalty;
};

/* --- building --- */

static void services_free(struct ldap_services **s)
{
	if (!s || !*s)
		return;
	penalty_free(&(*s)->penalty);
	free(*s);
	*s = NULL;
}

static enum err_code use_services(struct login *l, struct authn_services *services, struct diags *d)
{
	const struct place *p = &l->cfg->place;
	struct err e;
	if (!services->ldap) {
		services->ldap = calloc(1, sizeof(*services->ldap));
		if (!services->ldap)
			abort();
		services->ldap->penalty = penalty_new(&limits);
		services->ldap_free = services_free;
	}
	if (!services->mint) {
		if (mint_open(services->state_dir, &services->mint, &e) != ERR_OK)
			return diags_error(
			    d, p->file ? p->file : "", p->line, p->col, "login: %s", e.msg);
		services->mint_free = mint_free;
	}
	l->mint = services->mint;
	l->penalty = services->ldap->penalty;
	return ERR_OK;
}

static enum err_code add_directories(
    struct login *l, const struct object_list *list, struct diags *d)
{
	const struct ldap_config *c = list->items;
	enum err_code code = ERR_OK;
	l->directories = calloc(list->len + 1, sizeof(*l->directories));
	if (!l->directories)
		abort();
	for (size_t i = 0; i < list->len; i++) {
		if (directory_new(&c[i], &l->directories[l->ndirectories], d) == ERR_OK)
			l->ndirectories++;
		else
			code = ERR_INVALID;
	}
	return code;
}

enum err_code authn_login_new(const struct authn_config *cfg, struct authn_services *services,
    struct login **login, struct authn **authn, struct diags *d)
{
	*login = NULL;
	*authn = NULL;
	if (!cfg->login)
		return ERR_OK;
	ldapx_init();
	AUTO(authn_login_free) struct login *l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->cfg = cfg->login;
	l->audiences = cfg->audiences;
	l->issuer = slice_of(cfg->login->issuer);
	l->cache = account_cache_new();
	enum err_code directories = add_directories(l, &cfg->ldap, d);
	if (use_services(l, services, d) != ERR_OK || directories != ERR_OK)
		return ERR_INVALID;
	*authn = login_token_new(l);
	*login = TAKE(l);
	return ERR_OK;
}

void authn_login_free(struct login **l)
{
	if (!l || !*l)
		return;
	for (size_t i = 0; i < (*l)->ndirectories; i++)
		directory_free(&(*l)->directories[i]);
	free((*l)->directories);
	account_cache_free(&(*l)->cache);
	free(*l);
	*l = NULL;
}

struct directory *login_directory(const struct login *l, struct slice name)
{
	for (size_t i = 0; i < l->ndirectories; i++) {
		if (slice_is(name, directory_name(l->directories[i])))
			return l->directories[i];
	}
	return NULL;
}

struct slice login_cache_key(
    struct arena *a, struct slice directory, struct slice account, struct slice uid)
{
	/* Neither a directory's name nor an account's holds a NUL. */
	size_t len = directory.len + 1 + account.len + 1 + uid.len;
	char *p = arena_alloc(a, len + 1), *at = p;
	at = (char *)mempcpy(at, directory.p, directory.len) + 1;
	at = (char *)mempcpy(at, account.p, account.len) + 1;
	if (uid.len)
		memcpy(at, uid.p, uid.len);
	return (struct slice){p, len};
}

/* --- one login --- */

struct attempt {
	const struct login *l;
	struct login_call *call;
	struct login_request req;
	struct directory_call dir;
	struct slice typed_key, real_key; /* of the penalties taken; empty: none */
	const char *in; /* the directory in hand */
	int64_t wait;
};

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

/* The typed name as directories compare names: case and the number of blanks do not count. */
static struct slice fold(struct arena *a, const char *kind, struct slice name)
{
	size_t n = strlen(kind);
	char *p = arena_alloc(a, n + name.len + 1);
	memcpy(p, kind, n);
	for (size_t i = 0; i < name.len; i++) {
		bool blank = name.p[i] == ' ' && (n == strlen(kind) || p[n - 1] == ' ');
		if (!blank)
			p[n++] = (char)tolower((unsigned char)name.p[i]);
	}
	while (n > strlen(kind) && p[n - 1] == ' ')
		n--;
	return (struct slice){p, n};
}

/* Asked once the entry is known and before the bind: other spellings of one name share its penalty.
 */
static bool may_bind(void *arg, struct slice name)
{
	struct attempt *t = arg;
	if (t->real_key.len)
		return true; /* another server's turn at the same entry */
	struct arena *a = t->call->arena;
	struct slice key = fold(a, arena_printf(a, "account:%s:", t->in), name);
	if (!penalty_take_key(t->l->penalty, key, clock_mono(), &t->wait))
		return false;
	t->real_key = key;
	return true;
}

static void forgive(struct attempt *t)
{
	if (t->typed_key.len)
		penalty_give(t->l->penalty, t->typed_key);
}

static void forgive_account(struct attempt *t)
{
	if (t->real_key.len)
		penalty_give_key(t->l->penalty, t->real_key);
}

/* The first directory that knows the name decides; one that cannot tell ends the search, since the
 * name could be its own. The password is sent to none but the one that knows the name. */
static enum directory_verdict ask(struct attempt *t)
{
	const struct login *l = t->l;
	enum directory_verdict v = DIRECTORY_REFUSED;
	struct directory *only = NULL;
	if (t->req.directory.len) {
		only = login_directory(l, t->req.directory);
		if (!only) {
			t->dir.reason = "unknownDirectory";
			err_set(&t->dir.why, ERR_REFUSED, "no such directory");
			return DIRECTORY_REFUSED;
		}
	}
	for (size_t i = 0; i < l->ndirectories; i++) {
		struct directory *d = l->directories[i];
		if (only && d != only)
			continue;
		t->in = directory_name(d);
		t->call->directory = t->in;
		v = directory_authenticate(d, t->req.username, t->req.password, &t->dir);
		if (v != DIRECTORY_REFUSED || strcmp(t->dir.reason, "noUser") != 0)
			break;
	}
	return v;
}

static enum login_result give_token(struct attempt *t)
{
	struct login_call *c = t->call;
	const struct login *l = t->l;
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

static void remember(struct attempt *t, int64_t asked)
{
	struct directory *d = login_directory(t->l, slice_of(t->in));
	struct slice key =
	    login_cache_key(t->call->arena, slice_of(t->in), t->dir.name, t->dir.id.uid);
	account_cache_put(
	    t->l->cache, key, &t->dir.id, clock_mono(), asked + directory_cache_ttl(d));
}

static enum login_result limited(struct attempt *t)
{
	t->call->retry_after = (t->wait + CLOCK_SECOND - 1) / CLOCK_SECOND;
	return say(t->call, LOGIN_LIMITED, "limited", "too many failures");
}

static enum login_result conclude(struct attempt *t, enum directory_verdict v, int64_t asked)
{
	struct login_call *c = t->call;
	if (v == DIRECTORY_GOOD) {
		forgive(t);
		forgive_account(t);
		enum login_result r = give_token(t);
		if (r == LOGIN_OK)
			remember(t, asked);
		return r;
	}
	/* Whoever types a password in the name's place finds no entry, and it goes nowhere. */
	c->id.username = t->dir.id.username;
	if (v == DIRECTORY_UNAVAILABLE) {
		/* Not of the account, whose bind was perhaps sent: a directory that is slow to say
		 * no would be free to guess at. */
		forgive(t);
		return say(c, LOGIN_UNAVAILABLE, t->dir.reason, t->dir.why.msg);
	}
	if (strcmp(t->dir.reason, "limited") == 0)
		return limited(t);
	return say(c, LOGIN_REFUSED, t->dir.reason, t->dir.why.msg);
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
	reset(call);
	struct attempt t = {.l = chain->login, .call = call};
	if (!t.l)
		return say(call, LOGIN_REFUSED, "noLogin", "no login is configured");
	struct err e;
	if (login_request_parse(call->authorization, call->body, call->arena, &t.req, &e) != ERR_OK)
		return say(call, LOGIN_BAD_REQUEST, "badRequest", e.msg);
	/* Before anything is asked or counted: RFC 4513 5.1.2. */
	if (t.req.username.len == 0)
		return say(call, LOGIN_REFUSED, "badName", "empty name");
	if (t.req.password.len == 0)
		return say(call, LOGIN_REFUSED, "emptyPassword", "empty password");
	if (t.req.username.len > DIRECTORY_NAME_MAX)
		return say(call, LOGIN_REFUSED, "badName", "name too long");
	struct slice key = fold(call->arena, "typed:", t.req.username);
	if (!penalty_take(t.l->penalty, key, clock_mono(), &t.wait))
		return limited(&t);
	t.typed_key = key;
	t.dir = (struct directory_call){.arena = call->arena,
	    .deadline = call->deadline,
	    .may_bind = may_bind,
	    .may_bind_arg = &t};
	int64_t asked = clock_mono();
	return conclude(&t, ask(&t), asked);
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
