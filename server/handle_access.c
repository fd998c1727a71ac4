/* Owns POST /authorize: from the SubjectAccessReview to its answer and its audit record. */
#include "authz/sar.h"
#include "common/clock.h"
#include "common/secret.h"
#include "server/audited.h"
#include "server/handlers.h"
#include "server/policy_clock.h"
#include "server/reply.h"
#include "server/server.h"

static void fill_request(struct exchange *ex, const struct access_request *q, struct audit_authz *r)
{
	r->client = audited_client(ex);
	r->user = audited_subject(&ex->arena, q);
	r->resource_request = q->resource_request;
	r->verb = q->verb;
	r->api_group = q->api_group;
	r->version = q->version;
	r->resource = q->resource;
	r->subresource = q->subresource;
	r->name = q->name;
	r->namespace_ = q->namespace_;
	r->path = q->path;
	r->field_selector = audited_requirements(&ex->arena, q->field_selector, q->nfield);
	r->nfield = q->nfield;
	r->label_selector = audited_requirements(&ex->arena, q->label_selector, q->nlabel);
	r->nlabel = q->nlabel;
	r->latency_us = audited_latency(ex);
}

/* What would be answered otherwise: by the shadow policy, else by the policy's own shadow rules. */
static void look_beside(
    const struct exchange *ex, const struct sar *s, const struct decision *d, struct audit_shadow *out)
{
	const struct served_policy *beside = ex->snapshot->shadow;
	struct decision other = {0};
	enum verdict to = d->shadow.verdict;
	if (beside)
		authz_evaluate(beside->policy, &s->request, &other);
	if (beside && other.verdict != d->verdict) {
		to = other.verdict;
		out->rule = other.rule;
		out->generation = policy_info(beside->policy)->generation;
	} else if (d->shadow.differs) {
		out->rule = d->shadow.rule;
	} else {
		return;
	}
	out->decision = verdict_name(to);
	if (to != d->verdict)
		metric_inc(ex->server->metrics.shadow_divergence[d->verdict][to]);
}

/* DECISION NULL: none could be made, REASON says why. False: it will not be recorded. */
static bool audit(struct exchange *ex, const struct sar *s, const char *id,
    const struct decision *decision, struct slice reason)
{
	struct audit_authz r = {.id = id, .api_version = s->api_version, .reason = reason};
	fill_request(ex, &s->request, &r);
	r.evaluation_error = slice_of(s->unanswerable ? s->unanswerable : decision ? decision->note : NULL);
	r.decision = decision ? verdict_name(decision->verdict) : "error";
	if (decision) {
		if (decision->effect != POLICY_NO_EFFECT)
			r.effect = policy_effect_name(decision->effect);
		r.rule = decision->rule;
		r.rule_source = decision->source;
		if (!s->unanswerable)
			look_beside(ex, s, decision, &r.shadow);
		r.break_glass = audited_break_glass(&ex->arena, decision->break_glass);
	}
	if (ex->snapshot->policy) {
		const struct policy_info *i = policy_info(ex->snapshot->policy);
		r.policy_generation = i->generation;
		r.policy_sha256 = i->sha256;
		r.policy_signed_by = ex->snapshot->served->signed_by;
	}
	return audit_write_authz(ex->snapshot->audit, &r);
}

static void unavailable(struct exchange *ex, const struct sar *s, const char *id, const char *text)
{
	reply_unavailable(ex, text);
	metric_inc(ex->server->metrics.access_errors);
	(void)audit(ex, s, id, NULL, slice_of(text));
}

static void no_policy(struct exchange *ex, const struct sar *s, const char *id)
{
	unavailable(ex, s, id,
	    ex->snapshot->config->authorization.present ? "portcullis: no valid policy is loaded"
							 : "portcullis: no policy is configured");
}

/* Access in an emergency is given against a record of it, and not while none can be written. */
static bool recordable(const struct exchange *ex)
{
	int64_t since;
	struct err why;
	return ex->snapshot->audit && !audit_trouble(ex->snapshot->audit, &since, &why);
}

static void answer(struct exchange *ex, const struct sar *s, const char *id)
{
	const struct policy *p = ex->snapshot->policy;
	struct decision d = {0};
	struct buf reason;
	buf_init(&reason, AUTHZ_REASON_MAX);
	if (!s->unanswerable) {
		authz_evaluate(p, &s->request, &d);
		authz_reason(p, &d, id, &reason);
	}
	if ((d.break_glass && !recordable(ex)) ||
	    (!audit(ex, s, id, &d, buf_view(&reason)) && d.break_glass)) {
		unavailable(ex, s, id, "portcullis: the use of a break-glass rule cannot be recorded");
		buf_done(&reason);
		return;
	}
	ex->reply.status = 200;
	ex->reply.content_type = "application/json";
	ex->reply.has_policy_generation = true;
	ex->reply.policy_generation = policy_info(p)->generation;
	sar_write(s, d.verdict, buf_view(&reason), d.note, &ex->reply.body);
	metric_inc(ex->server->metrics.verdicts[d.verdict]);
	if (d.break_glass)
		metric_inc(policy_clock_uses(d.rule));
	buf_done(&reason);
}

void handle_access(struct exchange *ex)
{
	struct sar s = {0};
	struct err e = {0};
	if (sar_parse(ex->request.body, &ex->arena, &s, &e) != ERR_OK) {
		reply_error(ex, 400, e.msg);
		return;
	}
	char id[27];
	s.request.now = clock_now();
	s.request.hold = ex->snapshot->config->authorization.authorized_ttl;
	ulid_new(s.request.now / CLOCK_MS, id);
	if (ex->snapshot->policy)
		answer(ex, &s, id);
	else
		no_policy(ex, &s, id);
	metric_observe(ex->server->metrics.access_seconds,
	    (double)(clock_mono() - ex->request.received) / (double)CLOCK_SECOND);
}
