/* Owns the probes, the metrics page and the version; and the start of all handlers' metrics. */
#include <config.h>

#include <stdio.h>

#include "authn/services.h"
#include "authz/authz.h"
#include "common/clock.h"
#include "server/handlers.h"
#include "server/policy_report.h"
#include "server/reply.h"
#include "server/server.h"

static void text(struct exchange *ex, unsigned status)
{
	ex->reply.status = status;
	ex->reply.content_type = "text/plain; charset=utf-8";
	ex->reply.no_store = true;
}

void handle_livez(struct exchange *ex)
{
	text(ex, 200);
	buf_adds(&ex->reply.body, "ok");
}

static void list_lines(struct exchange *ex, const char *what, const struct buf *lines)
{
	for (struct slice s = buf_view(lines); s.len;) {
		struct slice line = {s.p, slice_find(s, '\n')};
		bool well = slice_starts(line, SLICE("+"));
		buf_printf(&ex->reply.body, well ? "[+]%s ok: " : "[-]%s degraded: ", what);
		buf_slice(&ex->reply.body, slice_skip(line, 1));
		buf_addc(&ex->reply.body, '\n');
		s = slice_skip(s, line.len + 1);
	}
}

/* Issuers are told of but do not count: while one is down all others are served. Nor does a denylist that
 * cannot be read: its old entries serve on. Nor do directories: without them nobody logs in, but tokens of issuers
 * and all access reviews are answered as before, and another replica has the same directories. */
static void list_authn(struct exchange *ex)
{
	struct buf lines;
	buf_init(&lines, 1 << 20);
	authn_services_status(ex->server->services, &lines);
	list_lines(ex, "issuer", &lines);
	lines.len = 0;
	authn_services_directories(ex->server->services, &lines);
	list_lines(ex, "directory", &lines);
	lines.len = 0;
	authn_chain_status(ex->snapshot->authn, &lines);
	list_lines(ex, "denylist", &lines);
	buf_done(&lines);
}

static void list_sink(struct exchange *ex, const char *name, const char *path, int64_t failing,
    const struct err *why)
{
	char since[CLOCK_RFC3339_LEN];
	if (failing == 0) {
		buf_printf(&ex->reply.body, "[+]%s ok: %s\n", name, path);
		return;
	}
	clock_rfc3339(failing, since);
	buf_printf(&ex->reply.body, "[-]%s degraded: %s: cannot write since %s: %s\n", name, path, since,
	    why->msg);
}

/* Neither do these count: a full disk must not take the answers away too. */
static void list_sinks(struct exchange *ex)
{
	const struct snapshot *s = ex->snapshot;
	int64_t since = 0;
	struct err why = {0};
	if (s->audit) {
		audit_trouble(s->audit, &since, &why);
		list_sink(ex, "audit", s->config->audit.path, since, &why);
	}
	if (s->spool) {
		spool_trouble(s->spool, &since, &why);
		list_sink(ex, "spool", s->config->new_users.spool_dir, since, &why);
	}
}

void handle_readyz(struct exchange *ex)
{
	struct buf *b = &ex->reply.body;
	bool ready = status_ready(&ex->server->status, b);
	list_sinks(ex);
	list_authn(ex);
	text(ex, ready ? 200 : 503);
	if (ready && !ex->request.verbose) {
		b->len = 0;
		buf_adds(b, "ok");
	} else {
		buf_adds(b, ready ? "readyz check passed\n" : "readyz check failed\n");
	}
}

void handle_metrics(struct exchange *ex)
{
	ex->reply.status = 200;
	ex->reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
	authn_services_measure(ex->server->services);
	policy_board_measure(&ex->server->policy);
	metrics_write(&ex->reply.body);
}

void handle_policy_status(struct exchange *ex)
{
	ex->reply.status = 200;
	ex->reply.content_type = "application/json";
	ex->reply.no_store = true;
	policy_board_read(&ex->server->policy, &ex->reply.body);
}

void handle_version(struct exchange *ex)
{
	ex->reply.status = 200;
	ex->reply.content_type = "application/json";
	buf_adds(&ex->reply.body, "{\"program\":\"portcullisd\",\"version\":\"" PACKAGE_VERSION "\"}\n");
}

void handlers_init(struct server_metrics *m)
{
	for (int v = 0; v < (int)ARRAY_LEN(m->verdicts); v++) {
		char labels[64];
		snprintf(labels, sizeof(labels), "verdict=\"%s\"", verdict_name((enum verdict)v));
		m->verdicts[v] = metrics_counter("portcullis_access_reviews_total",
		    "Access reviews that were answered, by verdict.", labels);
	}
	m->access_errors = metrics_counter("portcullis_access_reviews_total",
	    "Access reviews that were answered, by verdict.", "verdict=\"error\"");
	for (int from = 0; from < 3; from++)
		for (int to = 0; to < 3; to++) {
			char labels[64];
			if (from == to)
				continue;
			snprintf(labels, sizeof(labels), "from=\"%s\",to=\"%s\"",
			    verdict_name((enum verdict)from), verdict_name((enum verdict)to));
			m->shadow_divergence[from][to] = metrics_counter(
			    "portcullis_shadow_divergence_total",
			    "Access reviews that shadow rules or the shadow policy would have answered "
			    "otherwise.",
			    labels);
		}
	handle_token_init(m);
	m->access_seconds = metrics_histogram("portcullis_access_review_duration_seconds",
	    "Time from an access review's head to its answer.", "", metrics_latency_bounds,
	    metrics_latency_bounds_len);
	m->token_seconds = metrics_histogram("portcullis_token_review_duration_seconds",
	    "Time from a token review's head to its answer.", "", metrics_latency_bounds,
	    metrics_latency_bounds_len);
	metric_set(metrics_gauge("portcullis_build_info", "Always 1; the version is in the label.",
		       "version=\"" PACKAGE_VERSION "\""), 1);
}

bool server_may_log(_Atomic int64_t *last)
{
	int64_t now = clock_mono(), before = atomic_load(last);
	if (before && now - before < CLOCK_SECOND)
		return false;
	return atomic_compare_exchange_strong(last, &before, now);
}
