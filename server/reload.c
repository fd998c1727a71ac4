/* Owns the state of each set of files (what was last tried, whether it fails and since when) and the
 * reports: log, metrics, audit record, readiness. */
#include "server/reload.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "server/units.h"

enum unit { UNIT_CONFIG, UNIT_POLICY, UNIT_TLS, UNIT_COUNT };

static const char *const unit_names[UNIT_COUNT] = {"configuration", "policy", "TLS files"};
static const char *const unit_labels[UNIT_COUNT] = {"config", "policy", "tls"};
static const enum status_item unit_items[UNIT_COUNT] = {STATUS_CONFIG, STATUS_POLICY, STATUS_TLS};

struct unit_state {
	uint8_t done[SHA256_LEN];    /* what was last loaded or reported */
	uint8_t suspect[SHA256_LEN]; /* what failed once and may still be half-written */
	bool suspected, failing;
	char error[sizeof(((struct err *)0)->msg)];
	char since[CLOCK_RFC3339_LEN];
	bool recovered; /* policy: serves from the copy in the state directory */
};

struct reload {
	struct server *server;
	struct snapshot_parts parts;
	struct file_watch *watch;
	struct unit_state units[UNIT_COUNT];
	const char *stage; /* of the last policy attempt */
	struct buf policy_labels;
};

static const struct config *current(const struct reload *r)
{
	return r->parts.part[PART_CONFIG]->obj;
}

static const struct policy_info *current_policy(const struct reload *r)
{
	struct shared *p = r->parts.part[PART_POLICY];
	return p ? policy_info(p->obj) : NULL;
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

static void describe_policy(const struct reload *r, char *out, size_t n)
{
	const struct policy_info *i = current_policy(r);
	if (!i)
		snprintf(out, n, "none");
	else
		snprintf(out, n, "generation=%lld sha256=%.12s rules=%zu%s", (long long)i->generation,
		    i->sha256, i->rules,
		    r->units[UNIT_POLICY].recovered ? ", the last good one, kept from before" : "");
}

static void describe_tls(const struct reload *r, char *out, size_t n)
{
	char when[CLOCK_RFC3339_LEN];
	clock_rfc3339(tls_creds_expiry(r->parts.tls[TLS_WEBHOOK]) * CLOCK_SECOND, when);
	snprintf(out, n, "certificate valid until %.19sZ", when);
}

static void show(struct reload *r, enum unit u)
{
	struct unit_state *s = &r->units[u];
	char what[192] = "";
	bool none = u == UNIT_POLICY && !current_policy(r);
	if (none && !current(r)->authorization.present) {
		status_forget(&r->server->status, STATUS_POLICY);
		return;
	}
	if (u == UNIT_POLICY)
		describe_policy(r, what, sizeof(what));
	else if (u == UNIT_TLS)
		describe_tls(r, what, sizeof(what));
	else
		snprintf(what, sizeof(what), "sha256=%.12s", current(r)->sha256);
	if (s->failing)
		status_set(&r->server->status, unit_items[u], none, "%s, stale since %s: %s", what,
		    s->since, s->error);
	else
		status_set(&r->server->status, unit_items[u], none, "%s", what);
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

static void set_policy_info(struct reload *r)
{
	const struct policy_info *i = current_policy(r);
	if (r->policy_labels.len)
		metrics_forget("portcullis_policy_info", buf_cstr(&r->policy_labels));
	r->policy_labels.len = 0;
	if (!i)
		return;
	buf_printf(&r->policy_labels, "generation=\"%lld\",sha256=\"%s\"", (long long)i->generation,
	    i->sha256);
	metric_set(metrics_gauge("portcullis_policy_info",
		       "Always 1; generation and digest of the policy that decides are in the labels.",
		       buf_cstr(&r->policy_labels)),
	    1);
	metric_set(metrics_gauge("portcullis_policy_last_load_timestamp_seconds",
		       "When the policy that decides was loaded.", ""),
	    (double)clock_unix());
}

static void audit_policy(const struct reload *r, const struct policy_info *old, const char *error)
{
	const struct policy_info *i = error ? NULL : current_policy(r);
	struct audit_policy a = {
	    .rejected = error != NULL,
	    .source = current(r)->authorization.policy,
	    .error = error,
	};
	if (old) {
		a.old_sha256 = old->sha256;
		a.old_generation = old->generation;
	}
	if (i) {
		a.sha256 = i->sha256;
		a.generation = i->generation;
		a.rules = i->rules;
		a.deny_rules = i->deny_rules;
		a.files = i->files;
	}
	if (i || error)
		audit_write_policy(reload_audit(r), &a);
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
		snprintf(label, sizeof(label), "stage=\"%s\"", r->stage);
		metric_inc(metrics_counter("portcullis_policy_load_failures_total",
		    "Policies that were rejected, by the stage they failed in.", label));
		audit_policy(r, current_policy(r), s->error);
	} else {
		char detail[sizeof(s->error) + 16];
		snprintf(detail, sizeof(detail), "%s: %s", unit_labels[u], s->error);
		audit_write_event(reload_audit(r), "config.rejected", detail);
	}
	show(r, u);
}

static void report_loaded(struct reload *r, enum unit u, const struct diags *d)
{
	char what[192] = "";
	log_findings(d, "finding");
	count(u, "loaded");
	if (u == UNIT_POLICY) {
		describe_policy(r, what, sizeof(what));
		set_policy_info(r);
	} else {
		audit_write_event(reload_audit(r), "config.loaded", unit_labels[u]);
	}
	if (u == UNIT_TLS) {
		describe_tls(r, what, sizeof(what));
		set_certificate_expiry(r);
	}
	char msg[64];
	snprintf(msg, sizeof(msg), "%s loaded", unit_names[u]);
	log_info(msg, LOG_STR("detail", what));
	show(r, u);
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
	s->failing = s->suspected = s->recovered = false;
	s->error[0] = '\0';
}

static void watch(struct reload *r)
{
	const struct config *c = current(r);
	struct arena a;
	arena_init(&a, 0);
	struct string_list authn;
	config_authn_files(c, &a, &authn);
	const char **paths = ARENA_ARRAY(&a, const char *, authn.len + 9);
	size_t n = 0;
	paths[n++] = c->path;
	paths[n++] = c->webhook.certificate_file;
	paths[n++] = c->webhook.key_file;
	paths[n++] = c->webhook.client_ca_file;
	if (c->authorization.policy)
		paths[n++] = c->authorization.policy;
	if (c->authentication.denylist_file)
		paths[n++] = c->authentication.denylist_file;
	if (c->login.certificate_file)
		paths[n++] = c->login.certificate_file;
	if (c->login.key_file)
		paths[n++] = c->login.key_file;
	for (size_t i = 0; i < authn.len; i++)
		paths[n++] = authn.items[i];
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
	TRY(config_load(current(r)->path, &cfg, d));
	unit_config_digest(cfg, cfg->sha256, digests[UNIT_CONFIG]);
	unit_policy_digest(cfg, digests[UNIT_POLICY]);
	unit_tls_digest(cfg, digests[UNIT_TLS]);
	enum err_code code = unit_config_load(r->server, &cfg, next, d);
	config_free(&cfg);
	return code;
}

static void publish(struct reload *r, struct snapshot_parts *next)
{
	parts_done(&r->parts);
	r->parts = *next;
	snapshot_publish(&r->server->snapshots, &r->parts);
}

static void commit_config(struct reload *r, struct snapshot_parts *next,
    uint8_t digests[UNIT_COUNT][SHA256_LEN], const struct diags *d)
{
	struct shared *before = shared_ref(r->parts.part[PART_CONFIG]);
	struct shared *policy = shared_ref(r->parts.part[PART_POLICY]);
	const struct config *old = before->obj;
	publish(r, next);
	const struct config *now = current(r);
	set_good(&r->units[UNIT_CONFIG], digests[UNIT_CONFIG]);
	report_loaded(r, UNIT_CONFIG, d);
	struct diags none = {0};
	if (unit_policy_moved(old, now)) {
		set_good(&r->units[UNIT_POLICY], digests[UNIT_POLICY]);
		audit_policy(r, policy ? policy_info(policy->obj) : NULL, NULL);
		report_loaded(r, UNIT_POLICY, &none);
	}
	if (unit_tls_moved(old, now)) {
		set_good(&r->units[UNIT_TLS], digests[UNIT_TLS]);
		report_loaded(r, UNIT_TLS, &none);
	}
	if (unit_needs_restart(old, now))
		log_warn("a listener or stateDir changed: that takes effect after a restart");
	shared_unref(&policy);
	shared_unref(&before);
	watch(r);
}

static void commit(struct reload *r, enum unit u, struct snapshot_parts *next,
    const uint8_t digest_now[SHA256_LEN], const struct diags *d)
{
	struct shared *policy = shared_ref(r->parts.part[PART_POLICY]);
	publish(r, next);
	set_good(&r->units[u], digest_now);
	if (u == UNIT_POLICY)
		audit_policy(r, policy ? policy_info(policy->obj) : NULL, NULL);
	report_loaded(r, u, d);
	shared_unref(&policy);
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

static bool check_unit(struct reload *r, enum unit u, bool forced)
{
	uint8_t now[SHA256_LEN], digests[UNIT_COUNT][SHA256_LEN];
	digest(r, u, now);
	/* A configuration may fail for what stands outside the files that the old one names. */
	bool retry = r->units[u].failing && (forced || u == UNIT_CONFIG);
	if (!retry && memcmp(now, r->units[u].done, SHA256_LEN) == 0)
		return false;
	struct snapshot_parts next = {0};
	parts_copy(&next, &r->parts);
	struct diags d = {0};
	enum err_code code;
	if (u == UNIT_CONFIG)
		code = load_config(r, &next, digests, &d);
	else if (u == UNIT_POLICY)
		code = unit_policy_load(current(r), &next, &r->stage, &d);
	else
		code = unit_tls_load(current(r), &next, &d);
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
	return again;
}

bool reload_check(struct reload *r, bool forced)
{
	bool again = false;
	for (int u = 0; u < UNIT_COUNT; u++)
		again = check_unit(r, (enum unit)u, forced) || again;
	authn_chain_look(r->parts.part[PART_AUTHN]->obj);
	return again;
}

/* --- life --- */

static void recover_policy(struct reload *r, struct diags *why)
{
	struct unit_state *s = &r->units[UNIT_POLICY];
	struct diags d = {0};
	if (unit_policy_recover(current(r), &r->parts, &d) == ERR_OK)
		s->recovered = true;
	else
		log_findings(&d, "no last good policy either: access reviews are answered with 503");
	diags_done(&d);
	set_failing(s, why);
	report_failed(r, UNIT_POLICY, why);
	set_policy_info(r);
	show(r, UNIT_POLICY);
}

static void first_policy(struct reload *r)
{
	struct diags d = {0};
	if (unit_policy_load(current(r), &r->parts, &r->stage, &d) == ERR_OK) {
		audit_policy(r, NULL, NULL);
		report_loaded(r, UNIT_POLICY, &d);
	} else {
		recover_policy(r, &d);
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
	buf_init(&r->policy_labels, 256);
	struct err e = {0};
	unit_config_digest(*cfg, (*cfg)->sha256, r->units[UNIT_CONFIG].done);
	unit_policy_digest(*cfg, r->units[UNIT_POLICY].done);
	unit_tls_digest(*cfg, r->units[UNIT_TLS].done);
	enum err_code code = unit_tls_load(*cfg, &r->parts, d);
	if (code == ERR_OK)
		code = unit_config_load(server, cfg, &r->parts, d);
	if (code == ERR_OK && file_watch_new(&r->watch, &e) != ERR_OK)
		code = diags_error(d, "", 0, 0, "%s", e.msg);
	if (code != ERR_OK) {
		reload_free(&r);
		return code;
	}
	log_findings(d, "finding");
	first_policy(r);
	struct diags none = {0};
	report_loaded(r, UNIT_CONFIG, &none);
	report_loaded(r, UNIT_TLS, &none);
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
	buf_done(&r->policy_labels);
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
