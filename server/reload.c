/* Owns the state of each set of files (what was last tried, whether it fails and since when) and the
 * reports: log, metrics, audit record, readiness. */
#include "server/reload.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "server/policy_report.h"
#include "server/units.h"
#include "server/watched.h"

enum unit { UNIT_CONFIG, UNIT_POLICY, UNIT_SHADOW, UNIT_TLS, UNIT_COUNT };

static const char *const unit_names[UNIT_COUNT] = {
    "configuration", "policy", "shadow policy", "TLS files"};
static const char *const unit_labels[UNIT_COUNT] = {"config", "policy", "shadowPolicy", "tls"};
static const enum status_item unit_items[UNIT_COUNT] = {
    STATUS_CONFIG, STATUS_POLICY, STATUS_SHADOW, STATUS_TLS};

struct unit_state {
	uint8_t done[SHA256_LEN];    /* what was last loaded or reported */
	uint8_t suspect[SHA256_LEN]; /* what failed once and may still be half-written */
	uint8_t seen[SHA256_LEN];    /* what a comparison found that no event told of */
	bool suspected, failing;
	const char *stage; /* policies: of the last attempt */
	char error[sizeof(((struct err *)0)->msg)];
	char since[CLOCK_RFC3339_LEN];
};

struct reload {
	struct server *server;
	struct snapshot_parts parts;
	struct file_watch *watch;
	struct unit_state units[UNIT_COUNT];
	struct err status_fault; /* of writing the policies' status that was last told of */
};

static const struct config *current(const struct reload *r)
{
	return r->parts.part[PART_CONFIG]->obj;
}

/* What serves of UNIT_POLICY or UNIT_SHADOW; NULL: nothing. */
static const struct served_policy *served(const struct reload *r, enum unit u)
{
	struct shared *p = r->parts.part[u == UNIT_SHADOW ? PART_SHADOW : PART_POLICY];
	return p ? p->obj : NULL;
}

static bool is_policy(enum unit u)
{
	return u == UNIT_POLICY || u == UNIT_SHADOW;
}

static bool configured(const struct reload *r, enum unit u)
{
	const struct authorization_config *z = &current(r)->authorization;
	return u == UNIT_SHADOW ? z->present && z->shadow_policy : z->present;
}

struct audit_log *reload_audit(const struct reload *r)
{
	struct shared *p = r->parts.part[PART_AUDIT];
	return p ? p->obj : NULL;
}

/* --- reports --- */

static void log_findings(const struct diags *d, const char *msg)
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
	const struct served_policy *p = served(r, u);
	const struct policy_info *i = p ? policy_info(p->policy) : NULL;
	if (!p)
		snprintf(out, n, "none");
	else
		snprintf(out, n, "generation=%lld sha256=%.12s rules=%zu%s", (long long)i->generation,
		    i->sha256, i->rules,
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
	if (is_policy(u))
		describe_policy(r, u, out, n);
	else if (u == UNIT_TLS)
		describe_tls(r, out, n);
	else
		snprintf(out, n, "sha256=%.12s", current(r)->sha256);
}

static struct policy_trouble trouble(const struct unit_state *s)
{
	return (struct policy_trouble){s->failing, s->since, s->stage, s->error};
}

static struct policy_report report(const struct reload *r)
{
	return (struct policy_report){.config = current(r),
	    .policy = served(r, UNIT_POLICY),
	    .shadow = served(r, UNIT_SHADOW),
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
	bool none = u == UNIT_POLICY && !served(r, u);
	if (is_policy(u) && !served(r, u) && !configured(r, u)) {
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

static void show(struct reload *r, enum unit u)
{
	if (is_policy(u))
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
	if (is_policy(u)) {
		audit_policy(r, u, r->parts.part[u == UNIT_SHADOW ? PART_SHADOW : PART_POLICY]);
		return;
	}
	char detail[sizeof(s->error) + 16];
	snprintf(detail, sizeof(detail), "%s: %s", unit_labels[u], s->error);
	audit_write_event(reload_audit(r), "config.rejected", detail);
}

static void report_failed(struct reload *r, enum unit u, const struct diags *d)
{
	struct unit_state *s = &r->units[u];
	char msg[64];
	snprintf(msg, sizeof(msg), "%s rejected, the old one stays", unit_names[u]);
	log_findings(d, msg);
	count(u, "rejected");
	if (u == UNIT_POLICY) {
		char label[32];
		snprintf(label, sizeof(label), "stage=\"%s\"", s->stage);
		metric_inc(metrics_counter("portcullis_policy_load_failures_total",
		    "Policies that were rejected, by the stage they failed in.", label));
	}
	/* Who reads the record finds the status to match. */
	show(r, u);
	audit_failed(r, u);
}

/* What takes time, before anybody is asked to wait. */
static void prepare_loaded(struct reload *r, enum unit u)
{
	count(u, "loaded");
	if (is_policy(u))
		show_policies(r);
	if (u == UNIT_TLS)
		set_certificate_expiry(r);
}

/* BEFORE: the policy that U replaces. */
static void announce_loaded(struct reload *r, enum unit u, const struct shared *before)
{
	show_state(r, u);
	if (is_policy(u))
		audit_policy(r, u, before);
	else
		audit_write_event(reload_audit(r), "config.loaded", unit_labels[u]);
}

static void log_loaded(const struct reload *r, enum unit u)
{
	char what[192], msg[64];
	describe(r, u, what, sizeof(what));
	snprintf(msg, sizeof(msg), "%s loaded", unit_names[u]);
	log_info(msg, LOG_STR("detail", what));
}

/* At the start, when nobody is answered yet. */
static void report_first(struct reload *r, enum unit u, const struct diags *d)
{
	log_findings(d, "finding");
	prepare_loaded(r, u);
	announce_loaded(r, u, NULL);
	log_loaded(r, u);
}

/* --- one unit --- */

static void set_failing(struct unit_state *s, const struct diags *d)
{
	struct err e = {0};
	diags_to_err(d, &e);
	memcpy(s->error, e.msg, sizeof(s->error));
	if (!s->failing)
		clock_rfc3339(clock_now(), s->since);
	s->failing = true;
	s->suspected = false;
}

static void set_good(struct unit_state *s, const uint8_t digest[SHA256_LEN])
{
	memcpy(s->done, digest, SHA256_LEN);
	s->failing = s->suspected = false;
	s->error[0] = '\0';
}

static void watch(struct reload *r)
{
	struct arena a;
	const char **paths;
	arena_init(&a, 0);
	size_t n =
	    watched_paths(current(r), served(r, UNIT_POLICY), served(r, UNIT_SHADOW), &a, &paths);
	file_watch_set(r->watch, paths, n);
	arena_done(&a);
}

static void file_digest(const char *path, char hex[2 * SHA256_LEN + 1])
{
	struct arena a;
	arena_init(&a, 0);
	struct slice text = {0};
	hex[0] = '\0';
	if (file_read(&a, path, CONFIG_BYTES_MAX, &text, NULL) == ERR_OK)
		sha256_hex(text.p, text.len, hex);
	arena_done(&a);
}

static void digest(const struct reload *r, enum unit u, uint8_t out[SHA256_LEN])
{
	char hex[2 * SHA256_LEN + 1];
	switch (u) {
	case UNIT_CONFIG:
		file_digest(current(r)->path, hex);
		unit_config_digest(current(r), hex, out);
		break;
	case UNIT_POLICY:
		unit_policy_digest(current(r), out);
		break;
	case UNIT_SHADOW:
		unit_shadow_digest(current(r), out);
		break;
	default:
		unit_tls_digest(current(r), out);
	}
}

/* The fingerprints are taken before the files are read for loading: a change in between is then seen by
 * the next comparison. */
static enum err_code load_config(struct reload *r, struct snapshot_parts *next,
    uint8_t digests[UNIT_COUNT][SHA256_LEN], struct diags *d)
{
	struct config *cfg = NULL;
	struct policy_attempt policy = {0};
	TRY(config_load(current(r)->path, &cfg, d));
	unit_config_digest(cfg, cfg->sha256, digests[UNIT_CONFIG]);
	unit_tls_digest(cfg, digests[UNIT_TLS]);
	enum err_code code = unit_config_load(r->server, &cfg, next, &policy, d);
	memcpy(digests[UNIT_POLICY], policy.digest, SHA256_LEN);
	config_free(&cfg);
	return code;
}

/* Serves what was adopted. The records of the units that are FRESH stand before those of what they decide,
 * and who has read one finds status, metrics and answers to match. */
static void publish(struct reload *r, const bool fresh[UNIT_COUNT], const struct shared *before,
    const struct diags *d)
{
	log_findings(d, "finding");
	for (int u = 0; u < UNIT_COUNT; u++)
		if (fresh[u])
			prepare_loaded(r, (enum unit)u);
	watch(r);
	snapshots_hold(&r->server->snapshots);
	for (int u = 0; u < UNIT_COUNT; u++)
		if (fresh[u])
			announce_loaded(r, (enum unit)u, before);
	snapshot_publish_held(&r->server->snapshots, &r->parts);
	for (int u = 0; u < UNIT_COUNT; u++)
		if (fresh[u])
			log_loaded(r, (enum unit)u);
}

static void adopt(struct reload *r, struct snapshot_parts *next)
{
	parts_done(&r->parts);
	r->parts = *next;
}

static void commit_config(struct reload *r, struct snapshot_parts *next,
    uint8_t digests[UNIT_COUNT][SHA256_LEN], const struct diags *d)
{
	struct shared *before = shared_ref(r->parts.part[PART_CONFIG]);
	struct shared *policy = shared_ref(r->parts.part[PART_POLICY]);
	const struct config *old = before->obj;
	adopt(r, next);
	const struct config *now = current(r);
	const bool fresh[UNIT_COUNT] = {[UNIT_CONFIG] = true,
	    [UNIT_POLICY] = unit_policy_moved(old, now),
	    [UNIT_TLS] = unit_tls_moved(old, now)};
	for (int u = 0; u < UNIT_COUNT; u++)
		if (fresh[u])
			set_good(&r->units[u], digests[u]);
	publish(r, fresh, policy, d);
	if (unit_needs_restart(old, now))
		log_warn("a listener or stateDir changed: that takes effect after a restart");
	shared_unref(&policy);
	shared_unref(&before);
}

static void commit(struct reload *r, enum unit u, struct snapshot_parts *next,
    const uint8_t digest_now[SHA256_LEN], const struct diags *d)
{
	struct shared *before =
	    is_policy(u) ? shared_ref(r->parts.part[u == UNIT_SHADOW ? PART_SHADOW : PART_POLICY])
			 : NULL;
	bool fresh[UNIT_COUNT] = {0};
	fresh[u] = true;
	adopt(r, next);
	set_good(&r->units[u], digest_now);
	publish(r, fresh, before, d);
	shared_unref(&before);
}

/* True when the failure is too fresh to be reported. */
static bool fail(struct reload *r, enum unit u, const uint8_t digest_now[SHA256_LEN], bool forced,
    const struct diags *d)
{
	struct unit_state *s = &r->units[u];
	bool known = s->failing && memcmp(s->done, digest_now, SHA256_LEN) == 0;
	bool settled = s->suspected && memcmp(s->suspect, digest_now, SHA256_LEN) == 0;
	struct err e = {0};
	diags_to_err(d, &e);
	if (!forced && known && strcmp(e.msg, s->error) == 0)
		return false;
	if (!forced && !known && !settled) {
		s->suspected = true;
		memcpy(s->suspect, digest_now, SHA256_LEN);
		return true;
	}
	memcpy(s->done, digest_now, SHA256_LEN);
	set_failing(s, d);
	report_failed(r, u, d);
	return false;
}

static enum err_code load_unit(
    struct reload *r, enum unit u, struct snapshot_parts *next, uint8_t now[SHA256_LEN], struct diags *d)
{
	struct policy_attempt at = {0};
	if (u == UNIT_TLS)
		return unit_tls_load(current(r), next, d);
	enum err_code code = u == UNIT_POLICY ? unit_policy_load(current(r), next, &at, d)
					      : unit_shadow_load(current(r), next, &at, d);
	r->units[u].stage = at.stage;
	memcpy(now, at.digest, SHA256_LEN);
	return code;
}

/* Reading a large policy takes many times the memory that it has when compiled, and the one before it is gone
 * now: that goes back to the system rather than stay with the allocator. */
static void give_back(void)
{
	malloc_trim(0);
}

/* Whether files that are as NOW tells may still be written to: nothing but a comparison, which may fall
 * into the middle of it, has seen them so far. */
static bool unsettled(struct unit_state *s, const uint8_t now[SHA256_LEN], enum reload_cause cause)
{
	bool fresh = cause == RELOAD_POLL_DUE && memcmp(s->seen, now, SHA256_LEN) != 0;
	memcpy(s->seen, now, SHA256_LEN);
	return fresh;
}

static bool check_unit(struct reload *r, enum unit u, enum reload_cause cause)
{
	uint8_t now[SHA256_LEN], digests[UNIT_COUNT][SHA256_LEN];
	bool forced = cause == RELOAD_ASKED;
	digest(r, u, now);
	/* A configuration may fail for what stands outside the files that the old one names. */
	bool retry = r->units[u].failing && (forced || u == UNIT_CONFIG);
	if (!retry && memcmp(now, r->units[u].done, SHA256_LEN) == 0)
		return false;
	if (!retry && unsettled(&r->units[u], now, cause))
		return true;
	struct snapshot_parts next = {0};
	parts_copy(&next, &r->parts);
	struct diags d = {0};
	enum err_code code = u == UNIT_CONFIG ? load_config(r, &next, digests, &d)
					      : load_unit(r, u, &next, now, &d);
	bool again = false;
	if (code != ERR_OK) {
		parts_done(&next);
		again = fail(r, u, now, forced, &d);
	} else if (u == UNIT_CONFIG) {
		commit_config(r, &next, digests, &d);
	} else {
		commit(r, u, &next, now, &d);
	}
	diags_done(&d);
	if (is_policy(u))
		give_back();
	return again;
}

bool reload_check(struct reload *r, enum reload_cause cause)
{
	bool again = false;
	for (int u = 0; u < UNIT_COUNT; u++)
		again = check_unit(r, (enum unit)u, cause) || again;
	authn_chain_look(r->parts.part[PART_AUTHN]->obj);
	return again;
}

/* --- life --- */

static void recover_policy(struct reload *r)
{
	struct diags d = {0};
	bool none = unit_policy_recover(current(r), &r->parts, &d) != ERR_OK;
	log_findings(&d, none ? "no last good policy either: access reviews are answered with 503"
			      : "the last good policy serves");
	diags_done(&d);
}

/* A shadow policy that fails is none; a policy that fails leaves the copy. */
static void first_policy(struct reload *r, enum unit u)
{
	struct diags d = {0};
	struct unit_state *s = &r->units[u];
	enum err_code code = load_unit(r, u, &r->parts, s->done, &d);
	if (code != ERR_OK && u == UNIT_POLICY)
		recover_policy(r);
	if (code != ERR_OK) {
		set_failing(s, &d);
		report_failed(r, u, &d);
	} else if (configured(r, u)) {
		report_first(r, u, &d);
	} else {
		show(r, u);
	}
	diags_done(&d);
}

enum err_code reload_new(
    struct server *server, struct config **cfg, struct reload **out, struct diags *d)
{
	struct reload *r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->server = server;
	struct err e = {0};
	struct policy_attempt none_yet;
	unit_config_digest(*cfg, (*cfg)->sha256, r->units[UNIT_CONFIG].done);
	unit_tls_digest(*cfg, r->units[UNIT_TLS].done);
	enum err_code code = unit_tls_load(*cfg, &r->parts, d);
	if (code == ERR_OK)
		code = unit_config_load(server, cfg, &r->parts, &none_yet, d);
	if (code == ERR_OK && file_watch_new(&r->watch, &e) != ERR_OK)
		code = diags_error(d, "", 0, 0, "%s", e.msg);
	if (code != ERR_OK) {
		reload_free(&r);
		return code;
	}
	log_findings(d, "finding");
	first_policy(r, UNIT_POLICY);
	first_policy(r, UNIT_SHADOW);
	give_back();
	struct diags none = {0};
	report_first(r, UNIT_CONFIG, &none);
	report_first(r, UNIT_TLS, &none);
	watch(r);
	snapshot_publish(&server->snapshots, &r->parts);
	*out = r;
	return ERR_OK;
}

void reload_free(struct reload **rp)
{
	struct reload *r = TAKE(*rp);
	if (!r)
		return;
	file_watch_free(&r->watch);
	parts_done(&r->parts);
	free(r);
}

int reload_fd(const struct reload *r)
{
	return file_watch_fd(r->watch);
}

bool reload_drain(struct reload *r)
{
	return file_watch_drain(r->watch);
}
