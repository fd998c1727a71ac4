/* Owns how loads are told: log, metrics, audit record, readiness. */
#include <stdio.h>

#include "common/log.h"
#include "server/policy_report.h"
#include "server/reload_parts.h"

static const char *const unit_names[UNIT_COUNT] = {
    "configuration", "policy", "shadow policy", "TLS files"};
static const char *const unit_labels[UNIT_COUNT] = {"config", "policy", "shadowPolicy", "tls"};
static const enum status_item unit_items[UNIT_COUNT] = {
    STATUS_CONFIG, STATUS_POLICY, STATUS_SHADOW, STATUS_TLS};

void reload_tell_findings(const struct diags *d, const char *msg)
{
	for (size_t i = 0; i < d->len; i++) {
		const struct diag *x = &d->items[i];
		log_at(x->level == DIAG_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, msg,
		    LOG_STR("file", x->file), LOG_INT("line", x->line), LOG_INT("col", x->col),
		    LOG_STR("error", x->text));
	}
}

static void count(enum unit u, const char *result)
{
	char labels[64];
	snprintf(labels, sizeof(labels), "what=\"%s\",result=\"%s\"", unit_labels[u], result);
	metric_inc(metrics_counter("portcullis_config_reloads_total",
	    "Loads of the configuration, the policy and the TLS files, by result.", labels));
}

static void describe_policy(const struct reload *r, enum unit u, char *out, size_t n)
{
	const struct served_policy *p = reload_served(r, u);
	const struct policy_info *i = p ? policy_info(p->policy) : NULL;
	if (!p)
		snprintf(out, n, "none");
	else
		snprintf(out, n, "generation=%lld sha256=%.12s rules=%zu%s",
		    (long long)i->generation, i->sha256, i->rules,
		    p->recovered ? ", the last good one, kept from before" : "");
}

static void describe_tls(const struct reload *r, char *out, size_t n)
{
	char when[CLOCK_RFC3339_LEN];
	clock_rfc3339(tls_creds_expiry(r->parts.tls[TLS_WEBHOOK]) * CLOCK_SECOND, when);
	snprintf(out, n, "certificate valid until %.19sZ", when);
}

static void describe(const struct reload *r, enum unit u, char *out, size_t n)
{
	if (reload_is_policy(u))
		describe_policy(r, u, out, n);
	else if (u == UNIT_TLS)
		describe_tls(r, out, n);
	else
		snprintf(out, n, "sha256=%.12s", reload_config(r)->sha256);
}

static struct policy_trouble trouble(const struct unit_state *s)
{
	return (struct policy_trouble){s->failing, s->since, s->stage, s->error};
}

static struct policy_report report(const struct reload *r)
{
	return (struct policy_report){.config = reload_config(r),
	    .policy = reload_served(r, UNIT_POLICY),
	    .shadow = reload_served(r, UNIT_SHADOW),
	    .policy_trouble = trouble(&r->units[UNIT_POLICY]),
	    .shadow_trouble = trouble(&r->units[UNIT_SHADOW])};
}

static void show_policies(struct reload *r)
{
	struct policy_report now = report(r);
	struct err e = {0};
	policy_report_metrics(&now);
	if (policy_report_status(&r->server->policy, &now, &e) != ERR_OK &&
	    strcmp(e.msg, r->status_fault.msg) != 0)
		log_warn("the status of the policy cannot be kept", LOG_STR("error", e.msg));
	r->status_fault = e;
}

/* On the board of readiness. */
static void show_state(struct reload *r, enum unit u)
{
	const struct unit_state *s = &r->units[u];
	char what[192];
	/* Without the shadow policy every request is answered all the same. */
	bool none = u == UNIT_POLICY && !reload_served(r, u);
	if (reload_is_policy(u) && !reload_served(r, u) && !reload_configured(r, u)) {
		status_forget(&r->server->status, unit_items[u]);
		return;
	}
	describe(r, u, what, sizeof(what));
	if (s->failing)
		status_set(&r->server->status, unit_items[u], none, "%s, stale since %s: %s", what,
		    s->since, s->error);
	else
		status_set(&r->server->status, unit_items[u], none, "%s", what);
}

void reload_show(struct reload *r, enum unit u)
{
	if (reload_is_policy(u))
		show_policies(r);
	show_state(r, u);
}

static void set_certificate_expiry(const struct reload *r)
{
	static const char *const labels[TLS_COUNT] = {"listener=\"webhook\"", "listener=\"login\""};
	for (int i = 0; i < TLS_COUNT; i++)
		if (r->parts.tls[i])
			metric_set(metrics_gauge("portcullis_certificate_expiry_timestamp_seconds",
				       "When the serving certificate ends.", labels[i]),
			    (double)tls_creds_expiry(r->parts.tls[i]));
}

static void audit_policy(const struct reload *r, enum unit u, const struct shared *before)
{
	const struct served_policy *old = before ? before->obj : NULL;
	struct policy_report now = report(r);
	policy_report_audit(
	    reload_audit(r), &now, u == UNIT_SHADOW, old ? policy_info(old->policy) : NULL);
}

static void audit_failed(const struct reload *r, enum unit u)
{
	const struct unit_state *s = &r->units[u];
	if (reload_is_policy(u)) {
		audit_policy(r, u, r->parts.part[u == UNIT_SHADOW ? PART_SHADOW : PART_POLICY]);
		return;
	}
	char detail[sizeof(s->error) + 16];
	snprintf(detail, sizeof(detail), "%s: %s", unit_labels[u], s->error);
	audit_write_event(reload_audit(r), "config.rejected", detail);
}

void reload_tell_failed(struct reload *r, enum unit u, const struct diags *d)
{
	struct unit_state *s = &r->units[u];
	char msg[64];
	snprintf(msg, sizeof(msg), "%s rejected, the old one stays", unit_names[u]);
	reload_tell_findings(d, msg);
	count(u, "rejected");
	if (u == UNIT_POLICY) {
		char label[32];
		snprintf(label, sizeof(label), "stage=\"%s\"", s->stage);
		metric_inc(metrics_counter("portcullis_policy_load_failures_total",
		    "Policies that were rejected, by the stage they failed in.", label));
	}
	/* Who reads the record finds the status to match. */
	reload_show(r, u);
	audit_failed(r, u);
}

void reload_tell_prepare(struct reload *r, enum unit u)
{
	count(u, "loaded");
	if (reload_is_policy(u))
		show_policies(r);
	if (u == UNIT_TLS)
		set_certificate_expiry(r);
}

void reload_tell_loaded(struct reload *r, enum unit u, const struct shared *before)
{
	show_state(r, u);
	if (reload_is_policy(u))
		audit_policy(r, u, before);
	else
		audit_write_event(reload_audit(r), "config.loaded", unit_labels[u]);
}

void reload_log_loaded(const struct reload *r, enum unit u)
{
	char what[192], msg[64];
	describe(r, u, what, sizeof(what));
	snprintf(msg, sizeof(msg), "%s loaded", unit_names[u]);
	log_info(msg, LOG_STR("detail", what));
}

void reload_tell_first(struct reload *r, enum unit u, const struct diags *d)
{
	reload_tell_findings(d, "finding");
	reload_tell_prepare(r, u);
	reload_tell_loaded(r, u, NULL);
	reload_log_loaded(r, u);
}
