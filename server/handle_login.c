/* Owns POST /login and the public documents of our own issuer. */
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
	buf_printf(b, ",\"expirationTimestamp\":\"%.19sZ\"}\n", when);
}

static void reply_result(struct exchange *ex, const struct login_call *call, enum login_result r)
{
	ex->reply.no_store = true;
	switch (r) {
	case LOGIN_OK:
		reply_token(ex, call);
		break;
	case LOGIN_BAD_REQUEST:
		reply_error(ex, 400, call->why.msg[0] ? call->why.msg : "malformed login request");
		break;
	case LOGIN_UNAVAILABLE:
		reply_error(ex, 503, "the directory cannot be asked now");
		break;
	case LOGIN_LIMITED:
		reply_error(ex, 429, "too many failed logins");
		ex->reply.retry_after = call->retry_after > 0 ? call->retry_after : 1;
		break;
	case LOGIN_REFUSED:
	default:
		reply_error(ex, 401, "wrong user name or password");
		ex->reply.challenge = "Basic realm=\"portcullis\", charset=\"UTF-8\"";
		break;
	}
}

static void audit(struct exchange *ex, const struct login_call *call, enum login_result r)
{
	char id[27];
	ulid_new(call->now / CLOCK_MS, id);
	bool undecided = r == LOGIN_UNAVAILABLE || r == LOGIN_LIMITED;
	struct audit_authn rec = {
	    .id = id,
	    .login = true,
	    .client = audited_client(ex),
	    .decision = r == LOGIN_OK ? "authenticated" : undecided ? "error" : "refused",
	    .authenticator = call->directory,
	    .reason = call->reason,
	    .issuer = call->id.issuer,
	    .latency_us = audited_latency(ex),
	};
	if (call->id.username.len)
		rec.user = audited_identity(&ex->arena, &call->id);
	audit_write_authn(ex->snapshot->audit, &rec);
}

static void count(const struct login_call *call, enum login_result r)
{
	struct buf labels;
	buf_init(&labels, 256);
	metrics_label(&labels, "result", slice_of(results[r]));
	metrics_label(&labels, "reason", slice_of(call->reason));
	metric_inc(metrics_counter("portcullis_logins_total",
	    "Logins that were answered, by result and the reason of a refusal.", buf_cstr(&labels)));
	buf_done(&labels);
}

/* A person who logged in is told of before the token leaves, as a first token review would. */
static void tell(struct exchange *ex, const struct login_call *call)
{
	struct spool_writer *spool = ex->snapshot->spool;
	if (!spool)
		return;
	struct spool_event ev = spooled_identity(&ex->arena, &call->id, call->now);
	struct err e = {0};
	if (ex->snapshot->config->new_users.durability == SPOOL_DURABILITY_ASYNC)
		spool_note(spool, &ev);
	else if (spool_note_sync(spool, &ev, &e) != ERR_OK)
		log_error("new user not spooled", LOG_STR("error", e.msg));
}

static void finish(struct exchange *ex, const struct login_call *call, enum login_result r)
{
	if (r == LOGIN_OK)
		tell(ex, call);
	reply_result(ex, call, r);
	count(call, r);
	audit(ex, call, r);
}

static void work(struct exchange *ex)
{
	struct login_call *call = ex->state;
	finish(ex, call, authn_login(ex->snapshot->authn, call));
}

static void overloaded(struct exchange *ex)
{
	struct login_call *call = ex->state;
	call->reason = "overloaded";
	finish(ex, call, LOGIN_UNAVAILABLE);
}

void handle_login(struct exchange *ex)
{
	if (ex->request.body.len > LOGIN_BODY_MAX) {
		reply_error(ex, 413, "body too large");
		return;
	}
	if (ex->request.authorization.len == 0 && !exchange_is_json(ex)) {
		reply_error(ex, 415, "content type must be application/json");
		return;
	}
	struct login_call *call = ARENA_NEW(&ex->arena, struct login_call);
	*call = (struct login_call){
	    .arena = &ex->arena,
	    .authorization = ex->request.authorization,
	    .body = ex->request.body,
	    .client = slice_of(ex->request.peer->ip),
	    .now = clock_now(),
	    .deadline = ex->request.received + ex->snapshot->config->webhook.deadline,
	};
	ex->state = call;
	exchange_defer(ex, ex->server->login_work, call->deadline, work, overloaded);
}

static void reply_document(struct exchange *ex)
{
	if (ex->reply.body.len == 0) {
		reply_error(ex, 404, "no such path");
		return;
	}
	ex->reply.status = 200;
	ex->reply.content_type = "application/json";
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
