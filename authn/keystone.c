/* Owns the authenticator of one keystone[] entry: which tokens are its own, and what is asked about them. */
#include "authn/keystone.h"

#include <stdlib.h>

#include "authn/chain.h"
#include "authn/keystone_server.h"
#include "authn/limits.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/jsonx.h"

/* A refusal is forgotten sooner than an acceptance: replicas of Keystone share their keys with a delay. */
#define REFUSAL_KEEP (10 * CLOCK_SECOND)
#define CA_BYTES_MAX ((size_t)1 << 20)

struct keystone_authn {
	struct authn base;
	const struct keystone_config *cfg; /* borrowed from the snapshot */
	struct keystone_server *server;
	char *name; /* "keystone:NAME" */
	bool last;  /* nobody else is asked about a token that this one does not know */
};

/* --- whose token --- */

/* Keystone signs its own by a key it does not publish, and does not say who it is. */
static bool jws_shaped(struct authn_call *call)
{
	if (call->token.len > KEYSTONE_TOKEN_MAX || !slice_starts(call->token, SLICE("eyJ")) ||
	    authn_call_says_issuer(call, SLICE("?")) || call->iss.len)
		return false;
	const struct jose_token *t = authn_call_jwt(call);
	return t && !json_object_get(t->claims, "iss") &&
	       json_is_array(json_object_get(t->claims, "openstack_audit_ids"));
}

static bool token_shaped(const struct keystone_config *cfg, struct authn_call *call)
{
	return ((cfg->formats & KEYSTONE_FERNET) && keystone_fernet_shaped(call->token)) ||
	       ((cfg->formats & KEYSTONE_JWS) && jws_shaped(call)) ||
	       ((cfg->formats & KEYSTONE_UUID) && keystone_uuid_shaped(call->token));
}

/* --- asking --- */

static enum authn_step unavailable(
    const struct keystone_authn *k, struct authn_call *call, const struct err *e)
{
	authn_check(call, "keystone", false, e->msg);
	return authn_say(call, AUTHN_UNAVAILABLE, "keystoneUnavailable", "Keystone %s: %s",
	    k->cfg->name, e->msg);
}

/* What an answer that is not good comes to. */
static enum authn_step conclude(const struct keystone_authn *k, struct authn_call *call,
    enum keystone_answer a, const char *word, const struct err *e)
{
	if (a == KEYSTONE_UNAVAILABLE)
		return unavailable(k, call, e);
	authn_check(call, "keystone", false,
	    a == KEYSTONE_FORBIDDEN ? "its policy forbids the question" : "it does not know the token");
	if (a == KEYSTONE_FORBIDDEN)
		return authn_say(call, AUTHN_REJECT, "forbidden",
		    "Keystone %s does not let the token be asked about", k->cfg->name);
	call->keep = k->cfg->cache_ttl < REFUSAL_KEEP ? k->cfg->cache_ttl : REFUSAL_KEEP;
	return authn_say(
	    call, AUTHN_REJECT, word, "Keystone %s does not accept it", k->cfg->name);
}

static int64_t deadline_of(const struct keystone_authn *k, const struct authn_call *call)
{
	int64_t own = clock_mono() + k->cfg->timeout;
	return own < call->deadline ? own : call->deadline;
}

/* An answer of the right status that cannot be read: nothing is known. */
static enum authn_step unreadable(
    const struct keystone_authn *k, struct authn_call *call, struct err *e)
{
	err_wrap(e, "its answer");
	return unavailable(k, call, e);
}

static enum authn_step find_groups(const struct keystone_authn *k, struct authn_call *call,
    const struct keystone_token *t, struct slice token, const struct slice **groups, size_t *n)
{
	struct err e = {0};
	if (!keystone_id_shaped(t->user_id))
		return authn_failed(call, "groups", authn_say(call, AUTHN_REJECT, "badUid",
							"the user's id cannot stand in a URL"));
	if (token.len == 0) {
		err_set(&e, ERR_INVALID, "no X-Subject-Token");
		return unreadable(k, call, &e);
	}
	struct keystone_query q = {
	    .path = arena_printf(
					call->arena, "/users/" SLICE_FMT "/groups", SLICE_ARG(t->user_id)),
	    .token = token,
	    .deadline = deadline_of(k, call)};
	enum keystone_answer a = keystone_ask(k->server, &q, call->arena, &e);
	if (a != KEYSTONE_GOOD)
		return conclude(k, call, a, "badToken", &e);
	enum err_code code =
	    keystone_groups_read(q.answer, t->domain_id, call->arena, groups, n, &e);
	if (code == ERR_LIMIT)
		return authn_failed(
		    call, "groups", authn_say(call, AUTHN_REJECT, "tooManyGroups", "%s", e.msg));
	if (code != ERR_OK)
		return unreadable(k, call, &e);
	authn_check(call, "groups", true, NULL);
	return AUTHN_ACCEPT;
}

static void keep_for(const struct keystone_authn *k, struct authn_call *call, int64_t expires)
{
	/* The end of the token's last second is no later than that: call->now is not in the past. */
	int64_t left = expires * CLOCK_SECOND - call->now;
	call->keep = left < k->cfg->cache_ttl ? left : k->cfg->cache_ttl;
	if (call->keep < 0)
		call->keep = 0;
}

/* ANSWER tells whose TOKEN is. */
static enum authn_step identify(const struct keystone_authn *k, struct authn_call *call,
    struct slice answer, struct slice token)
{
	struct err e = {0};
	struct keystone_token t;
	const struct slice *groups = NULL;
	size_t n = 0;
	const char *reason = "badToken";
	authn_check(call, "keystone", true, NULL);
	if (keystone_token_read(answer, call->arena, &t, &e) != ERR_OK)
		return unreadable(k, call, &e);
	bool current = t.expires > call->now / CLOCK_SECOND;
	authn_check(call, "expiry", current, current ? NULL : "token has expired");
	if (!current)
		return authn_say(call, AUTHN_REJECT, "expired", "token has expired");
	if (k->cfg->groups_from & KEYSTONE_USER_GROUP) {
		enum authn_step step = find_groups(k, call, &t, token, &groups, &n);
		if (step != AUTHN_ACCEPT)
			return step;
	}
	keep_for(k, call, t.expires);
	if (keystone_identity(k->cfg, &t, groups, n, call, &reason, &e) != ERR_OK)
		return authn_say(call, AUTHN_REJECT, reason, "%s", e.msg);
	call->id.provider = slice_of(k->name);
	call->id.issuer = slice_of(k->cfg->url);
	return AUTHN_ACCEPT;
}

/* The token itself is the permission to ask about it. */
static enum authn_step ask_about_token(const struct keystone_authn *k, struct authn_call *call)
{
	struct err e = {0};
	struct keystone_query q = {
	    .path = "/auth/tokens?nocatalog",
	    .token = call->token,
	    .subject = true,
	    .deadline = deadline_of(k, call),
	};
	enum keystone_answer a = keystone_ask(k->server, &q, call->arena, &e);
	if (a == KEYSTONE_GOOD)
		return identify(k, call, q.answer, call->token);
	/* Another Keystone's, perhaps. */
	if (a == KEYSTONE_REFUSED && !k->last)
		return AUTHN_PASS;
	return conclude(k, call, a, "badToken", &e);
}

/* --- application credentials --- */

static enum authn_step exchange(const struct keystone_authn *k, struct authn_call *call,
    struct slice id, struct slice secret)
{
	struct err e = {0};
	AUTO(buf_wipe_done) struct buf body;
	buf_init(&body, 8192);
	buf_adds(&body, "{\"auth\":{\"identity\":{\"methods\":[\"application_credential\"],"
			"\"application_credential\":{\"id\":");
	buf_json(&body, id);
	buf_json_member(&body, "secret", secret);
	buf_adds(&body, "}}}}");
	struct keystone_query q = {
	    .path = "/auth/tokens?nocatalog",
	    .body = buf_view(&body),
	    .deadline = deadline_of(k, call),
	};
	enum keystone_answer a = keystone_ask(k->server, &q, call->arena, &e);
	/* Only what Keystone refused was a wrong guess. */
	if (a == KEYSTONE_GOOD || a == KEYSTONE_UNAVAILABLE)
		keystone_try_give(k->server, id);
	if (a == KEYSTONE_GOOD)
		return identify(k, call, q.answer, q.issued);
	return conclude(k, call, a, "badCredential", &e);
}

static enum authn_step ask_about_credential(const struct keystone_authn *k, struct authn_call *call,
    struct slice id, struct slice secret)
{
	/* No verdict: a right secret among the wrong ones must not be remembered as refused. */
	if (!keystone_try_take(k->server, id))
		return authn_failed(call, "limit", authn_say(call, AUTHN_UNAVAILABLE, "limited",
						       "too many wrong secrets of this application credential"));
	return exchange(k, call, id, secret);
}

/* --- the authenticator --- */

static bool credential_shaped(const struct keystone_authn *k, const struct authn_call *call,
    struct slice *id, struct slice *secret)
{
	return k->cfg->application_credentials &&
	       keystone_credential_shaped(call->token, k->cfg->name, id, secret);
}

static bool mine(const struct authn *self, struct authn_call *call)
{
	const struct keystone_authn *k = (const struct keystone_authn *)self;
	struct slice id, secret;
	return credential_shaped(k, call, &id, &secret) || token_shaped(k->cfg, call);
}

static enum authn_step try_now(const struct authn *self, struct authn_call *call)
{
	const struct keystone_authn *k = (const struct keystone_authn *)self;
	struct err e = {0};
	if (!mine(self, call))
		return AUTHN_PASS;
	authn_check(call, "shape", true, NULL);
	if (!keystone_ready(k->server, &e))
		return unavailable(k, call, &e);
	return AUTHN_NEEDS_WORK;
}

static enum authn_step work(const struct authn *self, struct authn_call *call)
{
	const struct keystone_authn *k = (const struct keystone_authn *)self;
	struct slice id, secret;
	if (credential_shaped(k, call, &id, &secret))
		return ask_about_credential(k, call, id, secret);
	return ask_about_token(k, call);
}

static void destroy(struct authn *self)
{
	struct keystone_authn *k = (struct keystone_authn *)self;
	keystone_release(&k->server);
	free(k->name);
	free(k);
}

static const struct authn_ops keystone_ops = {
    .kind = "keystone",
    .try_now = try_now,
    .work = work,
    .mine = mine,
    .destroy = destroy,
};

/* Trust anchors into ARENA; empty for the system's. */
static enum err_code read_ca(
    const struct keystone_config *cfg, struct arena *arena, struct slice *out, struct err *e)
{
	*out = slice_of(cfg->ca_pem);
	if (!cfg->ca_file)
		return ERR_OK;
	TRY(file_read(arena, cfg->ca_file, CA_BYTES_MAX, out, e));
	if (jose_check_certificates(*out, e) != ERR_OK)
		return err_wrap(e, "%s", cfg->ca_file);
	return ERR_OK;
}

enum err_code authn_keystone_new(const struct keystone_config *cfg, struct authn_services *services,
    bool last, struct authn **out, struct diags *d)
{
	AUTO(arena_done) struct arena scratch = {0};
	struct slice ca;
	struct err e = {0};
	*out = NULL;
	if (read_ca(cfg, &scratch, &ca, &e) != ERR_OK)
		return diags_error(d, cfg->place.file, cfg->place.line, cfg->place.col,
		    "certificateAuthorityFile: %s", e.msg);
	struct keystone_authn *k = calloc(1, sizeof(*k));
	size_t len = strlen(cfg->name) + sizeof("keystone:");
	if (!k || !(k->name = malloc(len)))
		abort();
	memcpy(k->name, "keystone:", 9);
	memcpy(k->name + 9, cfg->name, len - 9);
	k->base = (struct authn){.ops = &keystone_ops, .name = k->name};
	k->cfg = cfg;
	k->last = last;
	k->server = keystone_acquire(services, cfg, ca);
	*out = &k->base;
	return ERR_OK;
}
