/* Owns the loading of each set of files that takes effect all or nothing. */
#include "server/units.h"

#include <stdlib.h>

#include "authn/services.h"
#include "common/clock.h"
#include "common/file.h"

/* How long a new configuration waits for its issuers' first key sets. */
#define SETTLE (2 * CLOCK_SECOND)
#define AUTHN_FILE_MAX ((size_t)64 << 20)

void parts_copy(struct snapshot_parts *to, const struct snapshot_parts *from)
{
	for (int i = 0; i < PART_COUNT; i++)
		to->part[i] = shared_ref(from->part[i]);
	for (int i = 0; i < TLS_COUNT; i++)
		to->tls[i] = tls_creds_ref(from->tls[i]);
}

void parts_done(struct snapshot_parts *p)
{
	for (int i = PART_COUNT - 1; i >= 0; i--)
		shared_unref(&p->part[i]);
	for (int i = 0; i < TLS_COUNT; i++)
		tls_creds_unref(&p->tls[i]);
}

void parts_set(struct snapshot_parts *p, enum snapshot_part i, struct shared *owned)
{
	shared_unref(&p->part[i]);
	p->part[i] = owned;
}

/* How struct shared lets go of each kind. */
#define DESTROYER(name, type, release)                                                             \
	static void name(void *obj)                                                                \
	{                                                                                          \
		struct type *owned = obj;                                                          \
		release(&owned);                                                                   \
	}

DESTROYER(destroy_config, config, config_free)
DESTROYER(destroy_authn, authn_chain, authn_chain_free)
DESTROYER(destroy_audit, audit_log, audit_close)
DESTROYER(destroy_spool, spool_writer, spool_writer_free)

/* --- fingerprints --- */

static void digest_text(struct sha256_ctx *ctx, const char *s)
{
	sha256_update(ctx, s ? s : "", (s ? strlen(s) : 0) + 1);
}

/* What cannot be read counts by its error, so that it counts as new once it can. */
static void digest_slice(struct sha256_ctx *ctx, enum err_code code, struct slice text)
{
	uint64_t head[2] = {(uint64_t)code, text.len};
	sha256_update(ctx, head, sizeof(head));
	sha256_update(ctx, text.p, text.len);
}

void unit_config_digest(
    const struct config *c, const char *file_sha256, uint8_t out[SHA256_LEN])
{
	struct sha256_ctx *ctx = sha256_begin();
	digest_text(ctx, file_sha256);
	struct arena list;
	arena_init(&list, 0);
	struct string_list files;
	config_authn_files(c, &list, &files);
	for (size_t i = 0; i < files.len; i++) {
		struct arena a;
		arena_init_wiped(&a, 0);
		struct slice text = {0};
		enum err_code code = file_read(&a, files.items[i], AUTHN_FILE_MAX, &text, NULL);
		digest_text(ctx, files.items[i]);
		digest_slice(ctx, code, text);
		arena_done(&a);
	}
	arena_done(&list);
	sha256_end(&ctx, out);
}

static struct tls_files webhook_files(const struct config *c)
{
	return (struct tls_files){c->webhook.certificate_file, c->webhook.key_file,
	    c->webhook.client_ca_file, &c->webhook.allowed_clients};
}

static struct tls_files login_files(const struct config *c)
{
	bool own = c->login.certificate_file != NULL;
	return (struct tls_files){own ? c->login.certificate_file : c->webhook.certificate_file,
	    own ? c->login.key_file : c->webhook.key_file, NULL, NULL};
}

void unit_tls_digest(const struct config *c, uint8_t out[SHA256_LEN])
{
	uint8_t both[2][SHA256_LEN] = {0};
	struct tls_files f = webhook_files(c);
	tls_files_digest(&f, both[0]);
	if (c->login.present) {
		f = login_files(c);
		tls_files_digest(&f, both[1]);
	}
	sha256(both, sizeof(both), out);
}

/* --- differences --- */

static bool same_list(const struct string_list *a, const struct string_list *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		if (!text_eq(a->items[i], b->items[i]))
			return false;
	return true;
}

bool unit_tls_moved(const struct config *a, const struct config *b)
{
	return !text_eq(a->webhook.certificate_file, b->webhook.certificate_file) ||
	       !text_eq(a->webhook.key_file, b->webhook.key_file) ||
	       !text_eq(a->webhook.client_ca_file, b->webhook.client_ca_file) ||
	       !same_list(&a->webhook.allowed_clients, &b->webhook.allowed_clients) ||
	       a->login.present != b->login.present ||
	       !text_eq(a->login.certificate_file, b->login.certificate_file) ||
	       !text_eq(a->login.key_file, b->login.key_file);
}

bool unit_needs_restart(const struct config *a, const struct config *b)
{
	return !text_eq(a->webhook.listen, b->webhook.listen) ||
	       !text_eq(a->ops.listen, b->ops.listen) ||
	       !text_eq(a->login.listen, b->login.listen) || !text_eq(a->state_dir, b->state_dir);
}

/* --- loaders --- */

enum err_code unit_tls_load(const struct config *cfg, struct snapshot_parts *parts, struct diags *d)
{
	struct tls_creds *webhook = NULL, *login = NULL;
	struct tls_files f = webhook_files(cfg);
	TRY(tls_creds_new(&f, &webhook, d));
	if (cfg->login.present) {
		f = login_files(cfg);
		enum err_code code = tls_creds_new(&f, &login, d);
		if (code != ERR_OK) {
			tls_creds_unref(&webhook);
			return code;
		}
	}
	tls_creds_unref(&parts->tls[TLS_WEBHOOK]);
	tls_creds_unref(&parts->tls[TLS_LOGIN]);
	parts->tls[TLS_WEBHOOK] = webhook;
	parts->tls[TLS_LOGIN] = login;
	return ERR_OK;
}

static enum err_code load_audit(const struct config *old, const struct config *cfg,
    struct snapshot_parts *parts, struct diags *d)
{
	if (old && text_eq(old->audit.path, cfg->audit.path))
		return ERR_OK;
	struct audit_log *log = NULL;
	struct err e = {0};
	if (cfg->audit.present && audit_open(cfg->audit.path, &log, &e) != ERR_OK)
		return diags_error(d, cfg->audit.place.file, cfg->audit.place.line,
		    cfg->audit.place.col, "audit.path: %s", e.msg);
	parts_set(parts, PART_AUDIT, shared_new(log, destroy_audit));
	return ERR_OK;
}

static enum err_code load_spool(const struct config *old, const struct config *cfg,
    struct snapshot_parts *parts, struct diags *d)
{
	const struct new_users_config *n = &cfg->new_users;
	if (old && text_eq(old->new_users.spool_dir, n->spool_dir) &&
	    old->new_users.touch_interval == n->touch_interval)
		return ERR_OK;
	struct spool_writer *w = NULL;
	struct err e = {0};
	if (n->present && spool_writer_new(n->spool_dir, n->touch_interval, &w, &e) != ERR_OK)
		return diags_error(d, n->place.file, n->place.line, n->place.col,
		    "newUsers.spoolDir: %s", e.msg);
	parts_set(parts, PART_SPOOL, shared_new(w, destroy_spool));
	return ERR_OK;
}

static enum err_code load_moved(const struct config *old, const struct config *cfg,
    struct snapshot_parts *parts, struct policy_attempt *policy, struct diags *d)
{
	TRY(load_audit(old, cfg, parts, d));
	TRY(load_spool(old, cfg, parts, d));
	if (old && unit_tls_moved(old, cfg))
		TRY(unit_tls_load(cfg, parts, d));
	/* Last: what is loaded here is the last good policy from then on. */
	if (old && unit_policy_moved(old, cfg))
		return unit_policy_load(cfg, parts, policy, d);
	return ERR_OK;
}

enum err_code unit_config_load(struct server *s, struct config **cfg, struct snapshot_parts *parts,
    struct policy_attempt *policy, struct diags *d)
{
	struct shared *part = parts->part[PART_CONFIG];
	const struct config *old = part ? part->obj : NULL;
	struct authn_chain *chain = NULL;
	TRY(authn_chain_new(&(*cfg)->authentication, s->services, &chain, d));
	struct snapshot_parts next = {0};
	parts_copy(&next, parts);
	enum err_code code = load_moved(old, *cfg, &next, policy, d);
	if (code != ERR_OK) {
		authn_chain_free(&chain);
		parts_done(&next);
		return code;
	}
	authn_services_apply(s->services, &(*cfg)->authentication);
	authn_services_settle(s->services, clock_mono() + SETTLE);
	parts_set(&next, PART_AUTHN, shared_new(chain, destroy_authn));
	parts_set(&next, PART_CONFIG, shared_new(TAKE(*cfg), destroy_config));
	parts_done(parts);
	*parts = next;
	return ERR_OK;
}
