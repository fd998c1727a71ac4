/* Owns the fetching of distributed groups: which endpoint, the one request, whose answer counts. */
#include "authn/distributed.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>

#include "authn/claims.h"
#include "authn/claims_say.h"
#include "authn/limits.h"
#include "common/clock.h"
#include "common/httpc.h"
#include "common/jsonx.h"

struct distributed {
	const struct jwt_config *cfg;
	const struct jwt_keys *keys; /* of who signs the answers */
	struct jwt_keys own;	     /* when that is not the entry's issuer */
	const char *ca;		     /* the endpoint's; NULL: the system's */
	atomic_uint askers;
};

/* --- where --- */

/* S begins with an encoded dot, slash or backslash. */
static bool encodes_separator(struct slice s)
{
	static const char *const codes[] = {"%2e", "%2f", "%5c"};
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (s.len >= 3 && strncasecmp(s.p, codes[i], 3) == 0)
			return true;
	return false;
}

/* True for a path below a listed prefix in which nothing leads up again, in any spelling. */
static bool path_stays(struct slice rest)
{
	for (size_t i = 0; i < rest.len; i++) {
		bool start = i == 0 || rest.p[i - 1] == '/';
		if (start && rest.p[i] == '.')
			return false;
		if (encodes_separator(slice_skip(rest, i)))
			return false;
	}
	return true;
}

static bool allowed(const struct string_list *endpoints, struct slice url)
{
	for (size_t i = 0; i < endpoints->len; i++) {
		struct slice e = slice_of(endpoints->items[i]);
		if (slice_eq(url, e))
			return true;
		if (e.p[e.len - 1] == '/' && slice_starts(url, e) && path_stays(slice_skip(url, e.len)))
			return true;
	}
	return false;
}

/* Only what may stand in a URL, and no fragment. */
static bool url_sane(struct slice url)
{
	if (url.len == 0 || url.len > CLAIM_URL_MAX)
		return false;
	for (size_t i = 0; i < url.len; i++)
		if (url.p[i] <= ' ' || url.p[i] > '~' || strchr("\\#\"<>^`{|}", url.p[i]))
			return false;
	return true;
}

/* RFC 6750 2.1. Above all no line break: it becomes part of a header. */
static bool access_sane(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!alnum && (c == '\0' || !strchr("-._~+/=", c)))
			return false;
	}
	return s.len <= CLAIM_ACCESS_TOKEN_MAX;
}

static bool read_source(const struct jwt_groups_config *cfg, const json_t *source, struct authn_call *call,
    struct distributed_source *out)
{
	if (!json_is_object(source) || jsonx_string(source, "endpoint", &out->url, NULL) != ERR_OK ||
	    jsonx_string(source, "access_token", &out->access, NULL) != ERR_OK)
		return REFUSE(call, "distributedClaims", "the source of the groups cannot be understood");
	if (!out->url.len)
		return REFUSE(call, "distributedClaims", "aggregated groups are not supported");
	if (!cfg->distributed.endpoints.len)
		return REFUSE(call, "distributedClaims",
		    "the groups are not in the token but at an endpoint it names");
	if (!url_sane(out->url) || !allowed(&cfg->distributed.endpoints, out->url))
		return REFUSE(call, "distributedClaims", "the groups are at an endpoint that is not listed");
	if (!access_sane(out->access))
		return REFUSE(call, "distributedClaims", "the endpoint's access token cannot be used");
	return true;
}

/* The name of the groups' source; *NAME stays empty when they have none. */
static bool source_name(const json_t *claims, const char *claim, struct authn_call *call, struct slice *name)
{
	const json_t *names = json_object_get(claims, "_claim_names");
	if (!names || json_is_null(names))
		return true;
	if (!json_is_object(names) || jsonx_string(names, claim, name, NULL) != ERR_OK ||
	    (json_object_get(names, claim) && !name->len))
		return REFUSE(call, "distributedClaims", "_claim_names cannot be understood");
	return true;
}

/* Entra, where a token has no room for a source: the user has groups, and they are not here. Its only value is
 * true, in whatever spelling. */
static bool says_has_groups(const json_t *claims, const struct string_list *path)
{
	const json_t *v = json_object_get(claims, "hasgroups");
	return jwt_claim_is(path, "groups") && v && !json_is_null(v) && !json_is_false(v);
}

bool distributed_find(const struct jwt_groups_config *cfg, const json_t *claims, struct authn_call *call,
    struct distributed_source *out)
{
	const json_t *v;
	struct slice name = {0};
	*out = (struct distributed_source){0};
	if (!cfg->claim.len || !claims_find(claims, &cfg->claim, &v) || v)
		return true;
	if (!source_name(claims, cfg->claim.items[0], call, &name))
		return false;
	if (name.len) {
		const json_t *all = json_object_get(claims, "_claim_sources");
		return read_source(cfg, json_object_get(all, name.p), call, out);
	}
	if (says_has_groups(claims, &cfg->claim))
		return REFUSE(call, "distributedClaims", "the user has groups that are not in the token");
	return true;
}

/* --- who --- */

enum err_code distributed_new(const struct jwt_config *cfg, const struct jwt_keys *own,
    struct authn_services *services, struct distributed **out, struct err *e)
{
	const struct jwt_distributed_config *c = &cfg->claim_mappings.groups.distributed;
	*out = NULL;
	if (!c->endpoints.len)
		return ERR_OK;
	struct distributed *d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	d->cfg = cfg;
	d->keys = c->issuer.url ? &d->own : own;
	if (c->issuer.url && jwt_keys_open(&c->issuer, services, &d->own, e) != ERR_OK) {
		distributed_free(&d);
		return err_wrap(e, "groups.distributed");
	}
	d->ca = c->certificate_authority ? c->certificate_authority : d->keys->cfg->certificate_authority;
	*out = d;
	return ERR_OK;
}

void distributed_free(struct distributed **dist)
{
	if (!dist || !*dist)
		return;
	struct distributed *d = TAKE(*dist);
	jwt_keys_close(&d->own);
	free(d);
}

/* --- asking --- */

static enum authn_step unavailable(struct authn_call *call, const char *why)
{
	return authn_say(call, AUTHN_UNAVAILABLE, "claimsUnavailable", "the groups' endpoint: %s", why);
}

static enum authn_step judge_status(struct authn_call *call, long status)
{
	if (status == 200)
		return AUTHN_ACCEPT;
	/* The access token is over, or the person is not known there: asking again would not help. */
	if (status >= 400 && status < 500 && status != 408 && status != 429)
		return authn_say(call, AUTHN_REJECT, "distributedClaims", "the groups' endpoint: HTTP %ld",
		    status);
	return authn_say(call, AUTHN_UNAVAILABLE, "claimsUnavailable", "the groups' endpoint: HTTP %ld", status);
}

/* The body of the endpoint's answer, in the call's arena. */
static enum authn_step fetch(const struct distributed *d, const struct distributed_source *src,
    struct authn_call *call, struct slice *body)
{
	AUTO(httpc_free) struct httpc *http = httpc_new();
	AUTO(httpc_response_done) struct httpc_response res = {0};
	struct err e = {0};
	const char *bearer =
	    arena_printf(call->arena, "Authorization: Bearer " SLICE_FMT, SLICE_ARG(src->access));
	const char *const headers[] = {"Accept: application/jwt", src->access.len ? bearer : NULL, NULL};
	struct httpc_request req = {
	    .url = arena_printf(call->arena, SLICE_FMT, SLICE_ARG(src->url)),
	    .ca_pem = slice_of(d->ca),
	    .headers = headers,
	    .timeout_ms = (call->deadline - clock_mono()) / CLOCK_MS,
	    .max_bytes = JOSE_TOKEN_MAX,
	};
	if (req.timeout_ms <= 0)
		return unavailable(call, "no time is left");
	if (httpc_do(http, &req, &res, &e) != ERR_OK)
		return unavailable(call, e.msg);
	*body = slice_dup(call->arena, buf_view(&res.body));
	return judge_status(call, res.status);
}

/* --- the answer --- */

/* Where the same issuer speaks of somebody, it must be the same person. */
static bool same_person(const struct distributed *d, const struct jose_token *answer, struct authn_call *call)
{
	const json_t *sub = json_object_get(answer->claims, "sub");
	if (d->keys == &d->own || !sub)
		return true;
	return (json_is_string(sub) && slice_eq(jsonx_text(sub), call->credential.subject)) ||
	       REFUSE(call, "distributedClaims", "it is about somebody else");
}

static bool has_groups(const struct distributed *d, const struct jose_token *answer, struct authn_call *call)
{
	const json_t *v;
	if (claims_find(answer->claims, &d->cfg->claim_mappings.groups.claim, &v) && v)
		return true;
	return REFUSE(call, "distributedClaims", "it has no groups claim");
}

static enum authn_step judge_answer(
    const struct distributed *d, struct slice body, struct authn_call *call, int64_t *expires)
{
	struct jose_token *t = ARENA_NEW(call->arena, struct jose_token);
	const struct jwt_patience wait = {.ask = issuer_wait_keys};
	while (body.len && strchr("\r\n", body.p[body.len - 1]))
		body.len--;
	if (jose_parse(call->arena, body, t, NULL) != ERR_OK)
		return authn_say(call, AUTHN_REJECT, "distributedClaims", "it is no token");
	if (!slice_is(t->iss, d->keys->cfg->url))
		return authn_say(call, AUTHN_REJECT, "distributedClaims", "it is of another issuer");
	struct slice kid;
	enum authn_step step = jwt_keys_verify(d->keys, t, &wait, call, &kid);
	if (step != AUTHN_ACCEPT)
		return step;
	bool ok = claims_admissible(d->keys->cfg, t, call, expires) && same_person(d, t, call) &&
		  has_groups(d, t, call) && claims_groups(&d->cfg->claim_mappings.groups, t->claims, call);
	return ok ? AUTHN_ACCEPT : AUTHN_REJECT;
}

static enum authn_step ask(const struct distributed *d, const struct distributed_source *src,
    struct authn_call *call, int64_t *expires)
{
	struct slice body;
	enum authn_step step = fetch(d, src, call, &body);
	if (step != AUTHN_ACCEPT)
		return step;
	step = judge_answer(d, body, call, expires);
	if (step == AUTHN_REJECT)
		authn_say(call, step, "distributedClaims", "the answer of the groups' endpoint: %s",
		    call->why.msg);
	return step;
}

/* A slot for each request under way: they hold workers that others need. */
static enum authn_step ask_in_turn(struct distributed *d, const struct distributed_source *src,
    struct authn_call *call, int64_t *expires)
{
	bool slot = atomic_fetch_add(&d->askers, 1) < CLAIM_ASKERS_MAX;
	enum authn_step step =
	    slot ? ask(d, src, call, expires) : unavailable(call, "too many wait for it");
	atomic_fetch_sub(&d->askers, 1);
	return step;
}

enum authn_step distributed_groups(
    struct distributed *d, const struct jose_token *t, struct authn_call *call)
{
	struct distributed_source src;
	int64_t expires = 0;
	enum authn_step step = AUTHN_REJECT;
	struct authn_trace *trace = TAKE(call->trace); /* the answer's checks are not the token's */
	if (distributed_find(&d->cfg->claim_mappings.groups, t->claims, call, &src))
		step = ask_in_turn(d, &src, call, &expires);
	call->trace = trace;
	call->keep = 0;
	if (step == AUTHN_ACCEPT && expires < call->id.expires)
		call->id.expires = expires;
	claims_checked(call, "distributedClaims", step == AUTHN_ACCEPT);
	return step;
}
