/* Owns POST /authenticate: from the TokenReview to its answer, its audit record and the new user's event. */
#include <stdatomic.h>
#include <stdio.h>

#include "authn/review.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "server/audited.h"
#include "server/handlers.h"
#include "server/reply.h"
#include "server/server.h"

/* The apiserver logs it: long enough for a host name and a cause. */
#define MESSAGE_MAX 240

struct token_state {
	struct token_review review;
	struct authn_call call;
	struct spool_event event;
	enum authn_step step;
};

enum result { ACCEPTED, REFUSED, UNAVAILABLE };
_Static_assert(UNAVAILABLE + 1 == TOKEN_RESULTS, "a counter for each result");

static const char *const results[] = {"accepted", "refused", "unavailable"};

static enum result result_of(enum authn_step step)
{
	switch (step) {
	case AUTHN_ACCEPT:
		return ACCEPTED;
	case AUTHN_UNAVAILABLE:
		return UNAVAILABLE;
	default:
		return REFUSED;
	}
}

/* Looked up under the registry's lock once; a reason that never occurs makes no series. */
static struct metric *counter(struct server_metrics *m, enum result result, const char *reason)
{
	size_t i = authn_reason_index(reason);
	struct metric *c = atomic_load_explicit(&m->token_reviews[result][i], memory_order_relaxed);
	if (c)
		return c;
	struct buf labels;
	buf_init(&labels, 256);
	metrics_label(&labels, "result", slice_of(results[result]));
	metrics_label(&labels, "reason", slice_of(authn_reason_word(i)));
	c = metrics_counter("portcullis_token_reviews_total",
	    "Token reviews that were answered, by result and the reason of a refusal.",
	    buf_cstr(&labels));
	buf_done(&labels);
	atomic_store_explicit(&m->token_reviews[result][i], c, memory_order_relaxed);
	return c;
}

void handle_token_init(struct server_metrics *m)
{
	counter(m, ACCEPTED, "ok");
	counter(m, REFUSED, "noMatch");
}

static void count(const struct exchange *ex, const struct token_state *t)
{
	struct server_metrics *m = &ex->server->metrics;
	metric_inc(counter(m, result_of(t->step), t->call.reason));
	metric_observe(m->token_seconds,
	    (double)(clock_mono() - ex->request.received) / (double)CLOCK_SECOND);
}

static void audit(struct exchange *ex, const struct token_state *t)
{
	char id[27];
	ulid_new(t->call.now / CLOCK_MS, id);
	bool accepted = t->step == AUTHN_ACCEPT;
	struct audit_authn r = {
	    .id = id,
	    .api_version = t->review.api_version,
	    .client = audited_client(ex),
	    .decision = accepted ? "authenticated" : t->step == AUTHN_UNAVAILABLE ? "error" : "refused",
	    .authenticator = t->call.authenticator,
	    .reason = t->call.reason,
	    .issuer = t->call.id.issuer,
	    .audiences = t->review.audiences,
	    .naudiences = t->review.naudiences,
	    .latency_us = audited_latency(ex),
	};
	if (accepted)
		r.user = audited_identity(&ex->arena, &t->call.id);
	audit_write_authn(ex->snapshot->audit, &r);
}

static void unavailable(struct exchange *ex, const struct token_state *t)
{
	const char *who = t->call.authenticator ? t->call.authenticator : "authentication";
	const char *why = t->call.why.msg[0] ? t->call.why.msg : "cannot decide now";
	char text[MESSAGE_MAX];
	snprintf(text, sizeof(text), "portcullis: %.80s: %.140s", who, why);
	reply_unavailable(ex, text);
	if (server_may_log(&ex->server->last_unavailable_log))
		log_warn("token review not decided", LOG_STR("authenticator", who),
		    LOG_STR("reason", t->call.reason), LOG_STR("error", why));
}

static void finish(struct exchange *ex)
{
	struct token_state *t = ex->state;
	if (t->step == AUTHN_UNAVAILABLE) {
		unavailable(ex, t);
	} else {
		ex->reply.status = 200;
		ex->reply.content_type = "application/json";
		token_review_write(&t->review, t->step == AUTHN_ACCEPT, &t->call, &ex->reply.body);
	}
	count(ex, t);
	audit(ex, t);
}

/* On a worker, which may wait for the disk and for what comes of it. An error is counted by the spool and costs
 * nobody the login. */
static void tell_durably(struct exchange *ex)
{
	struct token_state *t = ex->state;
	const struct new_users_config *c = &ex->snapshot->config->new_users;
	struct err e = {0};
	enum err_code rc = spool_note_sync(ex->snapshot->spool, &t->event, &e);
	if (rc != ERR_OK && server_may_log(&ex->server->last_unavailable_log))
		log_error("new user not spooled", LOG_STR("error", e.msg));
	if (rc == ERR_OK && first_login_waits(c))
		first_login_wait(&ex->server->first_login, c, &t->event, t->call.deadline);
	finish(ex);
}

static void tell_later(struct exchange *ex)
{
	struct token_state *t = ex->state;
	spool_note(ex->snapshot->spool, &t->event);
	finish(ex);
}

/* On which thread an answer is ready. */
enum thread {
	THREAD_HANDLER, /* the transport's, before the handler has returned */
	THREAD_WORKER,	/* which may block and ends the wait when it returns */
	THREAD_OTHER	/* any, for a parked exchange: whoever found the answer out for this one too */
};

/* True when the identity was handed on to be told before the answer, which then follows. */
static bool tell(struct exchange *ex, enum thread on)
{
	struct token_state *t = ex->state;
	const struct snapshot *s = ex->snapshot;
	if (t->step != AUTHN_ACCEPT || !s->spool)
		return false;
	t->event = spooled_identity(&ex->arena, &t->call.id, t->call.credential.issued, t->call.now);
	if (!spool_is_due(s->spool, &t->event))
		return false;
	if (s->config->new_users.durability == SPOOL_DURABILITY_ASYNC)
		tell_later(ex);
	else if (on == THREAD_WORKER)
		tell_durably(ex);
	else if (on == THREAD_HANDLER)
		exchange_defer(
		    ex, ex->server->spool_work, t->call.deadline, tell_durably, tell_later);
	else
		exchange_dispatch(
		    ex, ex->server->spool_work, t->call.deadline, tell_durably, tell_later);
	return true;
}

static void work(struct exchange *ex)
{
	struct token_state *t = ex->state;
	t->step = authn_work(ex->snapshot->authn, &t->call);
	if (!tell(ex, THREAD_WORKER))
		finish(ex);
}

static void overloaded(struct exchange *ex)
{
	struct token_state *t = ex->state;
	t->step = authn_give_up(ex->snapshot->authn, &t->call, "overloaded",
	    "too many token reviews are waiting");
	finish(ex);
}

static void collect(struct exchange *ex);

/* The exchange is parked and may be woken from here on. */
static void await(struct exchange *ex)
{
	struct token_state *t = ex->state;
	if (authn_await(&t->call))
		collect(ex);
}

/* Another review's work has ended, and with it the wait of this one. */
static void collect(struct exchange *ex)
{
	struct token_state *t = ex->state;
	t->step = authn_collect(ex->snapshot->authn, &t->call);
	if (t->step == AUTHN_SHARED) {
		await(ex);
	} else if (t->step == AUTHN_NEEDS_WORK) {
		exchange_dispatch(ex, ex->server->token_work, t->call.deadline, work, overloaded);
	} else if (!tell(ex, THREAD_OTHER)) {
		finish(ex);
		exchange_resume(ex);
	}
}

static void woken(void *arg)
{
	collect(arg);
}

void handle_token(struct exchange *ex)
{
	struct token_state *t = ARENA_NEW(&ex->arena, struct token_state);
	struct err e = {0};
	if (token_review_parse(ex->request.body, &ex->arena, &t->review, &e) != ERR_OK) {
		reply_error(ex, 400, e.msg);
		return;
	}
	t->call = (struct authn_call){
	    .arena = &ex->arena,
	    .token = t->review.token,
	    .audiences = t->review.audiences,
	    .naudiences = t->review.naudiences,
	    .now = clock_now(),
	    .deadline = ex->request.received + ex->snapshot->config->webhook.deadline,
	    .wake = woken,
	    .wake_arg = ex,
	};
	ex->state = t;
	t->step = authn_try_now(ex->snapshot->authn, &t->call);
	if (t->step == AUTHN_NEEDS_WORK)
		exchange_defer(ex, ex->server->token_work, t->call.deadline, work, overloaded);
	else if (t->step == AUTHN_SHARED)
		exchange_park(ex, await);
	else if (!tell(ex, THREAD_HANDLER))
		finish(ex);
}
