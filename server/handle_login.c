/* Owns POST /login, /refresh and /revoke, and the public documents of our own issuer. */
#include "authn/login.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "server/audited.h"
#include "server/handlers.h"
#include "server/reply.h"
#include "server/server.h"

/* A name and a password; a browser's or a script's JSON around them. */
#define LOGIN_BODY_MAX ((size_t)16 << 10)
/* The longest token, escaped. */
#define TOKEN_BODY_MAX ((size_t)128 << 10)

struct login_work {
	struct login_call call;
	enum audit_authn_kind kind;
};

static const char *const results[] = {
    [LOGIN_REFUSED] = "refused",
    [LOGIN_OK] = "accepted",
    [LOGIN_BAD_REQUEST] = "invalid",
    [LOGIN_UNAVAILABLE] = "unavailable",
    [LOGIN_LIMITED] = "limited",
};

static void reply_token(struct exchange *ex, const struct login_call *call)
{
	char when[CLOCK_RFC3339_LEN];
	clock_rfc3339(call->expires * CLOCK_SECOND, when);
	struct buf *b = &ex->reply.body;
	ex->reply.status = 200;
	ex->reply.content_type = "application/json";
	buf_adds(b, "{\"token\":");
	buf_json(b, call->token);
	/* Whole seconds: what exec plugins expect. */
	buf_printf(b, ",\"expirationTimestamp\":\"%.19sZ\"", when);
	if (call->refresh.len) {
		clock_rfc3339(call->refresh_expires * CLOCK_SECOND, when);
		buf_json_member(b, "refreshToken", call->refresh);
		buf_printf(b, ",\"refreshExpirationTimestamp\":\"%.19sZ\"", when);
	}
	buf_adds(b, "}\n");
}

static void reply_done(struct exchange *ex)
{
	ex->reply.status = 200;
	ex->reply.content_type = "application/json";
	buf_adds(&ex->reply.body, "{}\n");
}

static const char *outage(const struct login_work *w)
{
	if (w->kind != AUDIT_REVOKE || strcmp(w->call.reason, "notRecorded") != 0)
		return "the directory cannot be asked now";
	return "the end of the session holds here until a restart, but could not be recorded";
}

static void reply_refused(struct exchange *ex, const struct login_work *w)
{
	if (w->kind != AUDIT_LOGIN) {
		reply_error(ex, 401, "the session is over: log in");
		ex->reply.challenge = "Bearer realm=\"portcullis\", error=\"invalid_token\"";
		return;
	}
	reply_error(ex, 401, "wrong user name or password");
	ex->reply.challenge = "Basic realm=\"portcullis\", charset=\"UTF-8\"";
}

static void reply_result(struct exchange *ex, const struct login_work *w, enum login_result r)
{
	const struct login_call *call = &w->call;
	ex->reply.no_store = true;
	switch (r) {
	case LOGIN_OK:
		if (w->kind == AUDIT_REVOKE)
			reply_done(ex);
		else
			reply_token(ex, call);
		break;
	case LOGIN_BAD_REQUEST:
		reply_error(ex, 400, call->why.msg[0] ? call->why.msg : "malformed request");
		break;
	case LOGIN_UNAVAILABLE:
		reply_error(ex, 503, outage(w));
		break;
	case LOGIN_LIMITED:
		reply_error(ex, 429, w->kind == AUDIT_LOGIN ? "too many failed logins" : "too many requests");
		ex->reply.retry_after = call->retry_after > 0 ? call->retry_after : 1;
		break;
	case LOGIN_REFUSED:
	default:
		reply_refused(ex, w);
		break;
	}
}

static void audit(struct exchange *ex, const struct login_work *w, enum login_result r)
{
	const struct login_call *call = &w->call;
	char id[27];
	ulid_new(call->now / CLOCK_MS, id);
	bool undecided = r == LOGIN_UNAVAILABLE || r == LOGIN_LIMITED;
	struct audit_authn rec = {
	    .id = id,
	    .kind = w->kind,
	    .client = audited_client(ex),
	    .decision = r == LOGIN_OK && call->id.username.len ? "authenticated"
			: undecided				   ? "error"
								   : "refused",
	    .authenticator = call->directory,
	    .reason = call->reason,
	    .issuer = call->id.issuer,
	    .latency_us = audited_latency(ex),
	};
	if (call->id.username.len)
		rec.user = audited_identity(&ex->arena, &call->id);
	audit_write_authn(ex->snapshot->audit, &rec);
}

static void count(const struct login_work *w, enum login_result r)
{
	const struct login_call *call = &w->call;
	struct buf labels;
	buf_init(&labels, 256);
	metrics_label(&labels, "result", slice_of(results[r]));
	metrics_label(&labels, "reason", slice_of(call->reason));
	if (w->kind == AUDIT_LOGIN)
		metric_inc(metrics_counter("portcullis_logins_total",
		    "Logins that were answered, by result and the reason of a refusal.",
		    buf_cstr(&labels)));
	else if (w->kind == AUDIT_REFRESH)
		metric_inc(metrics_counter("portcullis_login_refreshes_total",
		    "Refreshes that were answered, by result and the reason of a refusal.",
		    buf_cstr(&labels)));
	else
		metric_inc(metrics_counter("portcullis_login_revocations_total",
		    "Ends of sessions that were asked for, by result and reason.", buf_cstr(&labels)));
	buf_done(&labels);
}

/* A person who logged in is told of before the token leaves, as a first token review would. The directory was read
 * just now, as the token's iat will say. */
static void tell(struct exchange *ex, const struct login_call *call)
{
	struct spool_writer *spool = ex->snapshot->spool;
	const struct new_users_config *c = &ex->snapshot->config->new_users;
	if (!spool)
		return;
	struct spool_event ev =
	    spooled_identity(&ex->arena, &call->id, call->now / CLOCK_SECOND, call->now);
	struct err e = {0};
	if (!spool_is_due(spool, &ev))
		return;
	if (c->durability == SPOOL_DURABILITY_ASYNC)
		spool_note(spool, &ev);
	else if (spool_note_sync(spool, &ev, &e) != ERR_OK)
		log_error("new user not spooled", LOG_STR("error", e.msg));
	else if (first_login_waits(c))
		first_login_wait(&ex->server->first_login, c, &ev, call->deadline);
}

static void finish(struct exchange *ex, const struct login_work *w, enum login_result r)
{
	if (r == LOGIN_OK && w->kind != AUDIT_REVOKE)
		tell(ex, &w->call);
	if (r == LOGIN_UNAVAILABLE && w->kind == AUDIT_REVOKE &&
	    server_may_log(&ex->server->last_unavailable_log))
		log_error("end of a session not recorded", LOG_STR("error", w->call.why.msg));
	reply_result(ex, w, r);
	count(w, r);
	audit(ex, w, r);
}

static void work(struct exchange *ex)
{
	struct login_work *w = ex->state;
	enum login_result r;
	if (w->kind == AUDIT_LOGIN)
		r = authn_login(ex->snapshot->authn, &w->call);
	else if (w->kind == AUDIT_REFRESH)
		r = authn_refresh(ex->snapshot->authn, &w->call);
	else
		r = authn_revoke(ex->snapshot->authn, &w->call);
	finish(ex, w, r);
}

static void overloaded(struct exchange *ex)
{
	struct login_work *w = ex->state;
	w->call.reason = "overloaded";
	finish(ex, w, LOGIN_UNAVAILABLE);
}

static void defer(struct exchange *ex, enum audit_authn_kind kind)
{
	struct login_work *w = ARENA_NEW(&ex->arena, struct login_work);
	w->kind = kind;
	w->call = (struct login_call){
	    .arena = &ex->arena,
	    .authorization = ex->request.authorization,
	    .body = ex->request.body,
	    .form = exchange_is_form(ex),
	    .client = slice_of(ex->request.peer->ip),
	    .now = clock_now(),
	    .deadline = ex->request.received + ex->snapshot->config->webhook.deadline,
	};
	ex->state = w;
	exchange_defer(ex, ex->server->login_work, w->call.deadline, work, overloaded);
}

void handle_login(struct exchange *ex)
{
	if (ex->request.body.len > LOGIN_BODY_MAX)
		reply_error(ex, 413, "body too large");
	else if (ex->request.authorization.len == 0 && !exchange_is_json(ex))
		reply_error(ex, 415, "content type must be application/json");
	else
		defer(ex, AUDIT_LOGIN);
}

void handle_refresh(struct exchange *ex)
{
	if (ex->request.body.len > TOKEN_BODY_MAX)
		reply_error(ex, 413, "body too large");
	else
		defer(ex, AUDIT_REFRESH);
}

void handle_revoke(struct exchange *ex)
{
	if (ex->request.body.len > TOKEN_BODY_MAX)
		reply_error(ex, 413, "body too large");
	else if (!exchange_is_json(ex) && !exchange_is_form(ex))
		reply_error(ex, 415,
		    "content type must be application/x-www-form-urlencoded or application/json");
	else
		defer(ex, AUDIT_REVOKE);
}

static void reply_document(struct exchange *ex)
{
	if (ex->reply.body.len == 0) {
		reply_error(ex, 404, "no such path");
		return;
	}
	ex->reply.status = 200;
	ex->reply.content_type = "application/json";
	ex->reply.max_age = authn_login_max_age();
}

void handle_login_discovery(struct exchange *ex)
{
	authn_login_discovery(ex->snapshot->authn, &ex->reply.body);
	reply_document(ex);
}

void handle_login_jwks(struct exchange *ex)
{
	authn_login_jwks(ex->snapshot->authn, &ex->reply.body);
	reply_document(ex);
}
