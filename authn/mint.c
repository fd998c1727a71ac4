/* Owns our issuer's signing keys and the claims of its tokens. */
#include "authn/mint.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "authn/limits.h"
#include "authn/mint_keys.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/jsonx.h"
#include "common/metrics.h"
#include "common/secret.h"

#define KEYS_FILE MINT_FILE
#define LOCK_FILE "login-keys.lock"
/* Some names and a few audiences; with groups some hundreds of them. What is longer does not fit into a
 * request's header either. */
#define CLAIMS_BYTES_MAX ((size_t)16 << 10)
#define REFRESH_TYP "refresh+jwt"
/* A rotation that failed (a full disk) is tried again after that. */
#define RETRY (60 * CLOCK_SECOND)

struct mint {
	char *path, *lock_path; /* NULL: nothing on disk */
	struct metric *count, *since;
	_Atomic uint64_t generation;
	pthread_mutex_t lock;	/* guards KEYS */
	struct mint_keys *keys; /* never NULL */
	pthread_mutex_t ticking; /* guards what follows */
	struct file_stamp stamp;
	struct err fault; /* of the file as it is; ERR_OK: none */
	struct err rotation_fault;
	int64_t retry; /* clock_mono() before which a failed rotation is not tried again */
};

/* --- keys --- */

static struct mint_keys *keys_of(struct mint *m)
{
	pthread_mutex_lock(&m->lock);
	struct mint_keys *k = mint_keys_ref(m->keys);
	pthread_mutex_unlock(&m->lock);
	return k;
}

static void show(struct mint *m)
{
	AUTO(mint_keys_unref) struct mint_keys *k = keys_of(m);
	metric_set(m->count, (double)k->n);
	metric_set(m->since, (double)mint_keys_signer(k, clock_unix())->from);
}

static void set_keys(struct mint *m, struct mint_keys *owned)
{
	pthread_mutex_lock(&m->lock);
	struct mint_keys *old = m->keys;
	m->keys = owned;
	pthread_mutex_unlock(&m->lock);
	atomic_fetch_add(&m->generation, 1);
	mint_keys_unref(&old);
	show(m);
}

uint64_t mint_generation(const struct mint *m)
{
	return atomic_load(&m->generation);
}

static enum err_code load(const char *path, struct mint_keys **out, struct err *e)
{
	AUTO(arena_done) struct arena a;
	arena_init_wiped(&a, 0);
	struct slice text;
	mode_t mode;
	TRY(file_read_mode(&a, path, MINT_KEYS_BYTES_MAX, &text, &mode, e));
	if (mode & 07)
		return err_set(e, ERR_REFUSED,
		    "%s: mode %04o: a private key that everybody may read is none", path, mode);
	enum err_code code = mint_keys_parse(text, out, e);
	return code == ERR_OK ? ERR_OK : err_wrap(e, "%s", path);
}

static enum err_code save(const char *path, const struct mint_keys *k, struct err *e)
{
	AUTO(buf_wipe_done) struct buf text;
	buf_init(&text, MINT_KEYS_BYTES_MAX);
	TRY(mint_keys_write(k, &text, e));
	return file_write_atomic(path, text.p, text.len, 0600, e);
}

/* Whoever comes second to the lock finds the first one's key. */
static enum err_code create(const struct mint *m, struct mint_keys **out, struct err *e)
{
	AUTO(file_unlock) int fd = -1;
	TRY(file_lock(m->lock_path, true, &fd, e));
	enum err_code code = load(m->path, out, e);
	if (code != ERR_NOT_FOUND)
		return code;
	TRY(mint_keys_first(clock_unix(), out, e));
	return save(m->path, *out, e);
}

static enum err_code open_keys(struct mint *m, struct err *e)
{
	struct err ignored;
	if (!m->path)
		return mint_keys_first(clock_unix(), &m->keys, e);
	/* Before reading: a change in between is then seen by the first tick. */
	enum err_code code = file_stamp(m->path, &m->stamp, &ignored);
	if (code == ERR_OK)
		return load(m->path, &m->keys, e);
	return create(m, &m->keys, e);
}

enum err_code mint_open(const char *state_dir, struct mint **out, struct err *e)
{
	AUTO(mint_free) struct mint *m = calloc(1, sizeof(*m));
	if (!m)
		abort();
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->ticking, NULL);
	m->count = metrics_gauge(
	    "portcullis_login_keys", "Signing keys of our own issuer that are published.", "");
	m->since = metrics_gauge("portcullis_login_key_timestamp_seconds",
	    "Since when the key that signs does; 0: its file does not say.", "");
	if (state_dir) {
		m->path = file_join(state_dir, KEYS_FILE);
		m->lock_path = file_join(state_dir, LOCK_FILE);
	}
	if (open_keys(m, e) != ERR_OK)
		return err_wrap(e, "login keys");
	show(m);
	*out = TAKE(m);
	return ERR_OK;
}

void mint_free(struct mint **mp)
{
	if (!mp || !*mp)
		return;
	struct mint *m = TAKE(*mp);
	mint_keys_unref(&m->keys);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->ticking);
	free(m->path);
	free(m->lock_path);
	free(m);
}

void mint_jwks(struct mint *m, struct buf *out)
{
	AUTO(mint_keys_unref) struct mint_keys *k = keys_of(m);
	buf_adds(out, "{\"keys\":[");
	for (size_t i = 0; i < k->n; i++) {
		AUTO(buf_done) struct buf key;
		buf_init(&key, MINT_KEYS_BYTES_MAX);
		if (jose_key_export(k->keys[i].key, false, &key, NULL) != ERR_OK)
			continue;
		if (i)
			buf_addc(out, ',');
		buf_slice(out, buf_view(&key));
	}
	buf_adds(out, "]}");
}

/* --- time --- */

/* The file's own error stays until the file changes. */
static enum err_code reread(struct mint *m, bool *changed, struct err *e)
{
	struct file_stamp now;
	struct mint_keys *k = NULL;
	enum err_code code = file_stamp(m->path, &now, e);
	if (code == ERR_OK && !file_stamp_moved(&m->stamp, &now)) {
		*e = m->fault;
		return m->fault.code;
	}
	m->stamp = now;
	if (code == ERR_OK)
		code = load(m->path, &k, e);
	m->fault = code == ERR_OK ? (struct err){0} : *e;
	if (code != ERR_OK)
		return code;
	AUTO(mint_keys_unref) struct mint_keys *old = keys_of(m);
	*changed = !mint_keys_same(old, k);
	if (*changed)
		set_keys(m, k);
	else
		mint_keys_unref(&k);
	return ERR_OK;
}

static enum err_code succeed(
    struct mint *m, const struct mint_keys *k, int64_t period, bool *changed, struct err *e)
{
	int64_t now = clock_unix();
	struct mint_keys_plan plan = mint_keys_plan(k, now, period);
	struct mint_keys *next = NULL;
	if (!plan.add && !plan.ndrop)
		return ERR_OK;
	TRY(mint_keys_next(k, &plan, now, &next, e));
	enum err_code code = m->path ? save(m->path, next, e) : ERR_OK;
	if (code != ERR_OK) {
		mint_keys_unref(&next);
		return code;
	}
	set_keys(m, next);
	*changed = true;
	return ERR_OK;
}

/* Under the lock file, on what the file says now: another process may have done it already. */
static enum err_code rotate(struct mint *m, int64_t period, bool *changed, struct err *e)
{
	AUTO(mint_keys_unref) struct mint_keys *mine = keys_of(m), *theirs = NULL;
	struct mint_keys_plan plan = mint_keys_plan(mine, clock_unix(), period);
	if (!plan.add && !plan.ndrop)
		return ERR_OK;
	if (!m->path)
		return succeed(m, mine, period, changed, e);
	AUTO(file_unlock) int fd = -1;
	TRY(file_lock(m->lock_path, false, &fd, e));
	TRY(load(m->path, &theirs, e));
	return succeed(m, theirs, period, changed, e);
}

static enum err_code tick(struct mint *m, int64_t period, bool *changed, struct err *e)
{
	if (m->path)
		TRY(reread(m, changed, e));
	show(m);
	if (clock_mono() < m->retry) {
		*e = m->rotation_fault;
		return e->code;
	}
	enum err_code code = rotate(m, period, changed, e);
	m->rotation_fault = code == ERR_OK ? (struct err){0} : *e;
	m->retry = code == ERR_OK ? 0 : clock_mono() + RETRY;
	return code;
}

enum err_code mint_tick(struct mint *m, int64_t rotation, bool *changed, struct err *e)
{
	struct err why = {0};
	*changed = false;
	pthread_mutex_lock(&m->ticking);
	enum err_code code = tick(m, rotation / CLOCK_SECOND, changed, &why);
	pthread_mutex_unlock(&m->ticking);
	return code == ERR_OK ? ERR_OK : err_set(e, code, "login keys: %s", why.msg);
}

/* --- tokens --- */

static void write_list(struct buf *b, const char *key, const struct slice *list, size_t n)
{
	buf_printf(b, ",\"%s\":[", key);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(b, ',');
		buf_json(b, list[i]);
	}
	buf_addc(b, ']');
}

static void write_number(struct buf *b, const char *key, int64_t value)
{
	buf_printf(b, ",\"%s\":", key);
	buf_i64(b, value);
}

static void write_claims(const struct mint_claims *c, struct buf *b)
{
	char jti[27];
	ulid_new(clock_now() / CLOCK_MS, jti);
	buf_adds(b, "{\"iss\":");
	buf_json(b, c->issuer);
	buf_json_member(b, "sub", c->subject);
	write_list(b, "aud", c->audiences, c->naudiences);
	write_number(b, "exp", c->expires);
	write_number(b, "iat", c->issued);
	write_number(b, "nbf", c->issued);
	buf_json_member(b, "jti", slice_of(jti));
	buf_json_member(b, "preferred_username", c->username);
	buf_json_member(b, "directory", c->directory);
	buf_json_member(b, "account", c->account);
	if (c->uid.len)
		buf_json_member(b, "uid", c->uid);
	if (c->session.len)
		buf_json_member(b, "sid", c->session);
	if (c->version.len)
		buf_json_member(b, "account_version", c->version);
	if (c->login)
		write_number(b, "auth_time", c->login);
	if (c->session_end)
		write_number(b, "session_end", c->session_end);
	if (c->ngroups)
		write_list(b, "groups", c->groups, c->ngroups);
	buf_addc(b, '}');
}

enum err_code mint_sign(struct mint *m, const struct mint_claims *c, struct arena *arena,
    struct slice *token, struct err *e)
{
	AUTO(buf_done) struct buf claims;
	AUTO(buf_wipe_done) struct buf text;
	AUTO(mint_keys_unref) struct mint_keys *k = keys_of(m);
	buf_init(&claims, CLAIMS_BYTES_MAX);
	buf_init(&text, JOSE_TOKEN_MAX);
	write_claims(c, &claims);
	if (claims.over)
		return err_set(e, ERR_LIMIT, "claims longer than %zu bytes", CLAIMS_BYTES_MAX);
	const struct mint_key *signer = mint_keys_signer(k, clock_unix());
	TRY(jose_sign_es256(
	    signer->key, c->refresh ? REFRESH_TYP : "JWT", buf_view(&claims), &text, e));
	if (text.over)
		return err_set(e, ERR_LIMIT, "token longer than %zu bytes", JOSE_TOKEN_MAX);
	*token = slice_dup(arena, buf_view(&text));
	return ERR_OK;
}

enum err_code mint_verify(struct mint *m, const struct jose_token *t, struct err *e)
{
	if (t->header.code != ERR_OK)
		return err_set(e, ERR_REFUSED, "%s", t->header.msg);
	AUTO(mint_keys_unref) struct mint_keys *k = keys_of(m);
	for (size_t i = 0; i < k->n; i++) {
		if (t->has_kid && slice_eq(t->kid, jose_key_kid(k->keys[i].key)))
			return jose_verify(t, k->keys[i].key, JOSE_BIT(JOSE_ES256), e);
	}
	return err_set(e, ERR_REFUSED, "no key of ours has the token's kid");
}

bool mint_typ_is_refresh(const struct jose_token *t)
{
	return slice_is(t->typ, REFRESH_TYP);
}

static enum err_code read_string(
    const struct jose_token *t, const char *key, struct slice *out, struct err *e)
{
	enum err_code code = jsonx_string(t->claims, key, out, e);
	if (code == ERR_OK && out->len == 0)
		return err_set(e, ERR_INVALID, "%s is missing", key);
	return code;
}

static enum err_code read_time(
    const struct jose_token *t, const char *key, int64_t *out, struct err *e)
{
	bool have = false;
	enum err_code code = jsonx_int(t->claims, key, out, &have, e);
	if (code == ERR_OK && !have)
		return err_set(e, ERR_INVALID, "%s is missing", key);
	return code;
}

/* Absent in tokens from before sessions, and where there is nothing to say. */
static enum err_code read_optional(const struct jose_token *t, struct mint_claims *c, struct err *e)
{
	bool have;
	TRY(jsonx_string(t->claims, "uid", &c->uid, e));
	TRY(jsonx_string(t->claims, "sid", &c->session, e));
	TRY(jsonx_string(t->claims, "account_version", &c->version, e));
	TRY(jsonx_string(t->claims, "jti", &c->id, e));
	TRY(jsonx_int(t->claims, "auth_time", &c->login, &have, e));
	return jsonx_int(t->claims, "session_end", &c->session_end, &have, e);
}

enum err_code mint_read(
    const struct jose_token *t, struct arena *arena, struct mint_claims *c, struct err *e)
{
	*c = (struct mint_claims){.refresh = mint_typ_is_refresh(t)};
	struct slice *audiences = NULL;
	enum err_code code = read_string(t, "iss", &c->issuer, e);
	if (code == ERR_OK)
		code = read_string(t, "sub", &c->subject, e);
	if (code == ERR_OK)
		code = read_string(t, "preferred_username", &c->username, e);
	if (code == ERR_OK)
		code = read_string(t, "directory", &c->directory, e);
	if (code == ERR_OK)
		code = read_string(t, "account", &c->account, e);
	if (code == ERR_OK)
		code = read_optional(t, c, e);
	if (code == ERR_OK)
		code = read_time(t, "exp", &c->expires, e);
	if (code == ERR_OK)
		code = read_time(t, "iat", &c->issued, e);
	if (code == ERR_OK)
		code = jsonx_strings(t->claims, "aud", false, arena, &audiences, &c->naudiences, e);
	if (code == ERR_OK && c->naudiences == 0)
		code = err_set(e, ERR_INVALID, "aud is missing");
	c->audiences = audiences;
	return code;
}
