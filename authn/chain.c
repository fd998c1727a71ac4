/* Owns the order in which authenticators are asked and what every acceptance must still pass. */
#include "authn/chain.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "authn/directories.h"
#include "authn/firewall.h"
#include "authn/issuer.h"
#include "authn/limits.h"
#include "authn/login.h"
#include "authn/verdict_cache.h"
#include "common/clock.h"

enum authn_step authn_say(
    struct authn_call *call, enum authn_step step, const char *reason, const char *fmt, ...)
{
	char text[sizeof(call->why.msg)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	call->reason = reason;
	err_set(&call->why, step == AUTHN_UNAVAILABLE ? ERR_UNAVAILABLE : ERR_REFUSED, "%s", text);
	return step;
}

bool authn_call_says_issuer(struct authn_call *call, struct slice issuer)
{
	if (!call->iss_tried) {
		call->iss_tried = true;
		call->iss = jose_peek_issuer(call->arena, call->token);
	}
	return issuer.len > 0 && slice_eq(call->iss, issuer);
}

const struct jose_token *authn_call_jwt(struct authn_call *call)
{
	if (!call->jwt_tried) {
		struct jose_token *t = ARENA_NEW(call->arena, struct jose_token);
		call->jwt_tried = true;
		call->jwt = jose_parse(call->arena, call->token, t, NULL) == ERR_OK ? t : NULL;
	}
	return call->jwt;
}

/* --- building --- */

static void add(struct authn_chain *c, struct authn *item)
{
	if (item)
		c->items[c->n++] = item;
}

static void build(struct authn_chain *c, struct diags *d)
{
	const struct authn_config *cfg = c->cfg;
	const struct jwt_config *jwt = cfg->jwt.items;
	const struct keystone_config *keystone = cfg->keystone.items;
	struct authn *item;
	if (cfg->denylist_file &&
	    authn_services_denylist(c->services, cfg, &c->denylist, d) != ERR_OK)
		return;
	c->items = ARENA_ARRAY(&c->arena, struct authn *, cfg->jwt.len + cfg->keystone.len + 3);
	issuers_set_max_age(c->services->issuers, cfg->key_sets.max_age);
	if (authn_tokenfiles_new(cfg, &item, d) == ERR_OK)
		add(c, item);
	enum err_code directories = directories_new(cfg, c->services, &c->directories, d);
	if (directories == ERR_OK &&
	    authn_login_new(cfg, c->services, c->directories, &c->login, &item, d) == ERR_OK)
		add(c, item);
	for (size_t i = 0; i < cfg->jwt.len; i++)
		if (authn_jwt_new(&jwt[i], c->services, &item, d) == ERR_OK)
			add(c, item);
	for (size_t i = 0, n = cfg->keystone.len; i < n; i++)
		if (authn_keystone_new(&keystone[i], c->services, i + 1 == n, &item, d) == ERR_OK)
			add(c, item);
	authn_basic_new(c->directories, &item);
	add(c, item);
	struct slice *audiences = ARENA_ARRAY(&c->arena, struct slice, cfg->audiences.len + 1);
	for (size_t i = 0; i < cfg->audiences.len; i++)
		audiences[i] = slice_of(cfg->audiences.items[i]);
	c->audiences = audiences;
}

static struct verdict_cache *new_cache(const struct authn_cache_config *cfg)
{
	struct verdict_cache_options o = {
	    .ttl = cfg->ttl,
	    .refused_ttl = cfg->refused_ttl,
	    .entries = (size_t)cfg->max_entries,
	    .bytes = (size_t)cfg->max_megabytes << 20,
	};
	return o.ttl > 0 || o.refused_ttl > 0 ? verdict_cache_new(&o) : NULL;
}

enum err_code authn_chain_new(const struct authn_config *cfg, struct authn_services *services,
    struct authn_chain **out, struct diags *d)
{
	struct authn_chain *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	arena_init(&c->arena, 0);
	static atomic_uint_fast64_t chains;
	c->id = atomic_fetch_add(&chains, 1);
	c->cfg = cfg;
	c->services = services;
	c->cache = new_cache(&cfg->cache);
	size_t before = d->errors;
	build(c, d);
	if (d->errors > before) {
		authn_chain_free(&c);
		return ERR_INVALID;
	}
	*out = c;
	return ERR_OK;
}

void authn_chain_free(struct authn_chain **chain)
{
	if (!chain || !*chain)
		return;
	struct authn_chain *c = TAKE(*chain);
	for (size_t i = 0; i < c->n; i++)
		c->items[i]->ops->destroy(c->items[i]);
	authn_login_free(&c->login);
	verdict_cache_free(&c->cache);
	denylist_unref(&c->denylist);
	directories_free(&c->directories);
	arena_done(&c->arena);
	free(c);
}

void authn_chain_look(const struct authn_chain *c)
{
	if (c->denylist)
		denylist_look(c->denylist);
}

void authn_chain_status(const struct authn_chain *c, struct buf *out)
{
	if (c->denylist)
		denylist_status(c->denylist, out);
}

/* --- asking --- */

static bool contains(const struct slice *list, size_t n, struct slice s)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(list[i], s))
			return true;
	return false;
}

/* TokenReview: "a compatible audience"; authn.md b.3. Nothing asked: good for the apiserver, which says
 * so by leaving them out. Else what was asked and is ours, and a refusal when that is nothing. */
static bool grant_audiences(const struct authn_chain *c, struct authn_call *call)
{
	call->granted = NULL;
	call->ngranted = 0;
	if (call->naudiences == 0)
		return true;
	struct slice *granted = ARENA_ARRAY(call->arena, struct slice, call->naudiences);
	size_t n = 0;
	for (size_t i = 0; i < call->naudiences; i++)
		if (contains(c->audiences, c->cfg->audiences.len, call->audiences[i]) &&
		    !contains(granted, n, call->audiences[i]))
			granted[n++] = call->audiences[i];
	call->granted = granted;
	call->ngranted = n;
	return n > 0;
}

static enum authn_step refuse(struct authn_call *call, enum authn_step step)
{
	call->id = (struct identity){0};
	call->credential = (struct credential){0};
	call->granted = NULL;
	call->ngranted = 0;
	return step;
}

/* The only place from which AUTHN_ACCEPT leaves: for what was just found out, what was kept, and what another
 * call found out. */
static enum authn_step leave(const struct authn_chain *c, struct authn_call *call, enum authn_step step)
{
	if (step == AUTHN_SHARED)
		return step;
	if (step != AUTHN_ACCEPT)
		return refuse(call, step);
	if (call->id.expires && call->id.expires <= call->now / CLOCK_SECOND)
		return refuse(call, authn_say(call, AUTHN_REJECT, "expired", "token has expired"));
	struct err why = {0};
	bool revoked = denylist_refuses(c->denylist, &call->id, &call->credential, call->now, &why);
	if (c->denylist)
		authn_check(call, "denylist", !revoked, why.msg);
	if (revoked)
		return refuse(call, authn_say(call, AUTHN_REJECT, "revoked", "%s", why.msg));
	if (authn_login_ended(c, call->credential.session)) {
		authn_check(call, "session", false, "it was ended");
		return refuse(call, authn_say(call, AUTHN_REJECT, "revoked", "the session was ended"));
	}
	bool granted = grant_audiences(c, call);
	if (call->naudiences)
		authn_check(call, "audiencesAsked", granted, granted ? "" : "none of them is ours");
	if (!granted)
		return refuse(call, authn_say(call, AUTHN_REJECT, "foreignAudience",
					"none of the audiences asked for is ours"));
	call->reason = "ok";
	return AUTHN_ACCEPT;
}

/* What an authenticator found out, to be kept and shared. */
static enum authn_step finish(
    const struct authn_chain *c, struct authn_call *call, enum authn_step step)
{
	const struct identity before = call->id;
	if (step == AUTHN_ACCEPT &&
	    !authn_check_names(call, before.groups, before.ngroups,
		firewall_pass(&call->id, call->arena, &call->reason, &call->why)))
		step = AUTHN_REJECT;
	if (step != AUTHN_ACCEPT)
		refuse(call, step);
	share_end(c, call, step);
	return leave(c, call, step);
}

/* Asks item I and its successors. */
static enum authn_step ask_from(const struct authn_chain *c, struct authn_call *call, size_t i)
{
	for (; i < c->n; i++) {
		const struct authn *item = c->items[i];
		enum authn_step step = AUTHN_PASS;
		call->work_key = (struct slice){0};
		call->keep = 0; /* whatever one that passed said of it */
		if (!call->share && item->ops->mine && item->ops->mine(item, call))
			step = share_begin(c, call);
		if (step != AUTHN_PASS)
			return leave(c, call, step);
		step = authn_asked(call, item, item->ops->try_now(item, call));
		if (step == AUTHN_PASS)
			continue;
		call->authenticator = item->name;
		call->pending = step == AUTHN_NEEDS_WORK ? item : NULL;
		return step == AUTHN_NEEDS_WORK ? share_works(c, call) : finish(c, call, step);
	}
	call->authenticator = NULL;
	call->keep = 0;
	return finish(c, call,
	    authn_say(call, AUTHN_REJECT, "noMatch", "no authenticator knows the token"));
}

enum authn_step authn_try_now(const struct authn_chain *c, struct authn_call *call)
{
	call->pending = NULL;
	call->share = NULL;
	call->reason = NULL;
	call->why = (struct err){0};
	call->keep = 0;
	if (call->arrived == 0)
		call->arrived = clock_mono();
	if (call->token.len == 0)
		return refuse(call, authn_say(call, AUTHN_REJECT, "empty", "the token is empty"));
	if (call->token.len > JOSE_TOKEN_MAX)
		return refuse(call, authn_say(call, AUTHN_REJECT, "tooLong", "the token is too long"));
	return ask_from(c, call, 0);
}

enum authn_step authn_work(const struct authn_chain *c, struct authn_call *call)
{
	const struct authn *item = call->pending;
	if (!item || !item->ops->work)
		return authn_give_up(c, call, "internal", "nothing is pending");
	share_busy(call);
	enum authn_step step = authn_asked(call, item, item->ops->work(item, call));
	call->pending = NULL;
	if (step == AUTHN_NEEDS_WORK)
		step = authn_say(call, AUTHN_UNAVAILABLE, "internal", "work was not finished");
	if (step != AUTHN_PASS)
		return finish(c, call, step);
	/* Not its token after all: the others are still to be asked. */
	size_t i = 0;
	while (c->items[i] != item)
		i++;
	step = ask_from(c, call, i + 1);
	return step == AUTHN_NEEDS_WORK ? authn_work(c, call) : step;
}

enum authn_step authn_give_up(
    const struct authn_chain *c, struct authn_call *call, const char *reason, const char *text)
{
	call->pending = NULL;
	return finish(c, call, authn_say(call, AUTHN_UNAVAILABLE, reason, "%s", text));
}

enum authn_step authn_collect(const struct authn_chain *c, struct authn_call *call)
{
	enum authn_step step = share_collect(c, call);
	return step == AUTHN_PASS ? ask_from(c, call, 0) : leave(c, call, step);
}
