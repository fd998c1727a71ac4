/* Owns the state of each set of files: what was last tried, whether it fails and since when, and what serves. */
#include <stdlib.h>

#include "common/log.h"
#include "server/reload_parts.h"
#include "server/watched.h"

struct audit_log *reload_audit(const struct reload *r)
{
	struct shared *p = r->parts.part[PART_AUDIT];
	return p ? p->obj : NULL;
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
	    watched_paths(reload_config(r), reload_served(r, UNIT_POLICY), reload_served(r, UNIT_SHADOW), &a, &paths);
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
		file_digest(reload_config(r)->path, hex);
		unit_config_digest(reload_config(r), hex, out);
		break;
	case UNIT_POLICY:
		unit_policy_digest(reload_config(r), out);
		break;
	case UNIT_SHADOW:
		unit_shadow_digest(reload_config(r), out);
		break;
	default:
		unit_tls_digest(reload_config(r), out);
	}
}

/* The fingerprints are taken before the files are read for loading: a change in between is then seen by
 * the next comparison. */
static enum err_code load_config(struct reload *r, struct snapshot_parts *next,
    uint8_t digests[UNIT_COUNT][SHA256_LEN], struct diags *d)
{
	struct config *cfg = NULL;
	struct policy_attempt policy = {0};
	TRY(config_load(reload_config(r)->path, &cfg, d));
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
	reload_tell_findings(d, "finding");
	for (int u = 0; u < UNIT_COUNT; u++)
		if (fresh[u])
			reload_tell_prepare(r, (enum unit)u);
	watch(r);
	snapshots_hold(&r->server->snapshots);
	for (int u = 0; u < UNIT_COUNT; u++)
		if (fresh[u])
			reload_tell_loaded(r, (enum unit)u, before);
	snapshot_publish_held(&r->server->snapshots, &r->parts);
	for (int u = 0; u < UNIT_COUNT; u++)
		if (fresh[u])
			reload_log_loaded(r, (enum unit)u);
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
	const struct config *now = reload_config(r);
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
	    reload_is_policy(u) ? shared_ref(r->parts.part[u == UNIT_SHADOW ? PART_SHADOW : PART_POLICY])
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
	reload_tell_failed(r, u, d);
	return false;
}

static enum err_code load_unit(
    struct reload *r, enum unit u, struct snapshot_parts *next, uint8_t now[SHA256_LEN], struct diags *d)
{
	struct policy_attempt at = {0};
	if (u == UNIT_TLS)
		return unit_tls_load(reload_config(r), next, d);
	enum err_code code = u == UNIT_POLICY ? unit_policy_load(reload_config(r), next, &at, d)
					      : unit_shadow_load(reload_config(r), next, &at, d);
	r->units[u].stage = at.stage;
	memcpy(now, at.digest, SHA256_LEN);
	return code;
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
	if (reload_is_policy(u))
		memory_give_back();
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
	bool none = unit_policy_recover(reload_config(r), &r->parts, &d) != ERR_OK;
	reload_tell_findings(&d, none ? "no last good policy either: access reviews are answered with 503"
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
		reload_tell_failed(r, u, &d);
	} else if (reload_configured(r, u)) {
		reload_tell_first(r, u, &d);
	} else {
		reload_show(r, u);
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
	reload_tell_findings(d, "finding");
	first_policy(r, UNIT_POLICY);
	first_policy(r, UNIT_SHADOW);
	memory_give_back();
	struct diags none = {0};
	reload_tell_first(r, UNIT_CONFIG, &none);
	reload_tell_first(r, UNIT_TLS, &none);
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
