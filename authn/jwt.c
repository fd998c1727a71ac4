/* Owns the authenticator of one jwt[] entry: whose token, which key, which person. */
#include <stdlib.h>

#include "authn/chain.h"
#include "authn/claims.h"
#include "authn/distributed.h"
#include "authn/issuer_series.h"
#include "authn/jwt_keys.h"

struct jwt_authn {
	struct authn base;
	const struct jwt_config *cfg;
	struct jwt_keys keys;
	struct distributed *distributed; /* NULL: not configured */
	struct issuers *issuers;
	struct issuer_series *series;
	char *name;
};

/* A token and whose it is: the argument of worthwhile(). */
struct candidate {
	const struct jwt_authn *j;
	const struct jose_token *t;
};

/* What would be refused anyway is not worth a fetch. The trace hears of its claims only when they decide. */
static bool worthwhile(void *arg, struct authn_call *call)
{
	const struct candidate *c = arg;
	struct authn_trace *trace = TAKE(call->trace);
	enum authn_step step = claims_identity(c->j->cfg, c->t, call);
	call->trace = trace;
	if (step == AUTHN_REJECT && trace)
		step = claims_identity(c->j->cfg, c->t, call);
	if (step == AUTHN_REJECT)
		return false;
	call->id = (struct identity){0};
	call->credential = (struct credential){0};
	call->keep = 0;
	return true;
}

/* KID: of the key that verified T. */
static enum authn_step read_claims(const struct jwt_authn *j, const struct jose_token *t,
    struct authn_call *call, struct slice kid)
{
	enum authn_step step = claims_identity(j->cfg, t, call);
	call->id.provider = slice_of(j->name);
	call->id.issuer = slice_of(j->cfg->issuer.url);
	call->credential.kid = kid;
	return step;
}

/* RFC 7519 4.1.1 and OIDC Core 3.1.3.7: exact, byte for byte. The one exception is Google's own: its keys
 * decide all the same. */
static bool says_issuer(const struct jwt_authn *j, struct authn_call *call)
{
	const char *url = j->cfg->issuer.url;
	return authn_call_says_issuer(call, slice_of(url)) ||
	       (strcmp(url, JWT_GOOGLE) == 0 && authn_call_says_issuer(call, SLICE(JWT_GOOGLE_BARE)));
}

static enum authn_step counted(const struct jwt_authn *j, enum authn_step step)
{
	issuer_series_count(j->series, step);
	return step;
}

static bool mine(const struct authn *self, struct authn_call *call)
{
	return says_issuer((const struct jwt_authn *)self, call);
}

static enum authn_step try_now(const struct authn *self, struct authn_call *call)
{
	const struct jwt_authn *j = (const struct jwt_authn *)self;
	const struct jose_token *t = says_issuer(j, call) ? authn_call_jwt(call) : NULL;
	if (!t || !slice_eq(t->iss, call->iss))
		return AUTHN_PASS;
	authn_check(call, "issuer", true, j->cfg->issuer.url);
	struct candidate c = {j, t};
	const struct jwt_patience p = {issuer_ask, worthwhile, &c};
	struct slice kid;
	enum authn_step step = jwt_keys_verify(&j->keys, t, &p, call, &kid);
	return counted(j, step == AUTHN_ACCEPT ? read_claims(j, t, call, kid) : step);
}

static enum authn_step work(const struct authn *self, struct authn_call *call)
{
	const struct jwt_authn *j = (const struct jwt_authn *)self;
	const struct jose_token *t = authn_call_jwt(call);
	if (!t)
		return authn_say(call, AUTHN_REJECT, "badHeader", "the token cannot be read");
	struct candidate c = {j, t};
	const struct jwt_patience p = {issuer_wait_keys, worthwhile, &c};
	struct slice kid;
	enum authn_step step = jwt_keys_verify(&j->keys, t, &p, call, &kid);
	if (step != AUTHN_ACCEPT)
		return counted(j, step);
	step = read_claims(j, t, call, kid);
	return counted(j, step == AUTHN_NEEDS_WORK ? distributed_groups(j->distributed, t, call) : step);
}

static void destroy(struct authn *self)
{
	struct jwt_authn *j = (struct jwt_authn *)self;
	distributed_free(&j->distributed);
	jwt_keys_close(&j->keys);
	issuer_series_release(j->issuers, &j->series);
	free(j->name);
	free(j);
}

static const struct authn_ops jwt_ops = {
    .kind = "jwt",
    .try_now = try_now,
    .work = work,
    .mine = mine,
    .destroy = destroy,
};

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
	if (jwt_keys_open(&cfg->issuer, services, &j->keys, &e) != ERR_OK ||
	    distributed_new(cfg, &j->keys, services, &j->distributed, &e) != ERR_OK) {
		destroy(&j->base);
		return diags_error(d, cfg->place.file, cfg->place.line, cfg->place.col, "%s", e.msg);
	}
	*out = &j->base;
	return ERR_OK;
}
