/* Owns our issuer's signing keys and the claims of its tokens. */
#include "authn/mint.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "authn/limits.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/jsonx.h"
#include "common/secret.h"

#define KEYS_FILE "login-keys"
#define KEYS_BYTES_MAX ((size_t)64 << 10)
/* Some names and a few audiences. */
#define CLAIMS_BYTES_MAX ((size_t)16 << 10)

struct mint {
	struct jose_key *keys[MINT_KEYS_MAX];
	size_t n;
};

/* --- keys --- */

static enum err_code add_line(struct mint *m, struct slice line, size_t number, struct err *e)
{
	if (m->n == MINT_KEYS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d keys", MINT_KEYS_MAX);
	enum err_code code = jose_key_import_private(line, &m->keys[m->n], e);
	if (code != ERR_OK)
		return err_wrap(e, "line %zu", number);
	m->n++;
	return ERR_OK;
}

static enum err_code add_lines(struct mint *m, struct slice text, struct err *e)
{
	for (size_t number = 1; text.len > 0; number++) {
		size_t len = slice_find(text, '\n');
		enum err_code code =
		    len ? add_line(m, (struct slice){text.p, len}, number, e) : ERR_OK;
		if (code != ERR_OK)
			return code;
		text = slice_skip(text, len + 1);
	}
	return m->n ? ERR_OK : err_set(e, ERR_INVALID, "no key in it");
}

static enum err_code load(struct mint *m, const char *path, struct err *e)
{
	AUTO(arena_done) struct arena a;
	arena_init_wiped(&a, 0);
	struct slice text;
	mode_t mode;
	enum err_code code = file_read_mode(&a, path, KEYS_BYTES_MAX, &text, &mode, e);
	if (code != ERR_OK)
		return code;
	if (mode & 07)
		return err_set(e, ERR_REFUSED,
		    "%s: mode %04o: a private key that everybody may read is none", path, mode);
	return add_lines(m, text, e) == ERR_OK ? ERR_OK : err_wrap(e, "%s", path);
}

static enum err_code create(struct mint *m, const char *path, struct err *e)
{
	enum err_code code = jose_key_generate(&m->keys[0], e);
	if (code != ERR_OK)
		return code;
	m->n = 1;
	if (!path)
		return ERR_OK;
	AUTO(buf_wipe_done) struct buf text;
	buf_init(&text, KEYS_BYTES_MAX);
	code = jose_key_export(m->keys[0], true, &text, e);
	buf_addc(&text, '\n');
	return code == ERR_OK ? file_write_atomic(path, text.p, text.len, 0600, e) : code;
}

enum err_code mint_open(const char *state_dir, struct mint **out, struct err *e)
{
	AUTO(mint_free) struct mint *m = calloc(1, sizeof(*m));
	if (!m)
		abort();
	AUTO(arena_done) struct arena a = {0};
	const char *path = state_dir ? arena_printf(&a, "%s/%s", state_dir, KEYS_FILE) : NULL;
	enum err_code code = path ? load(m, path, e) : ERR_NOT_FOUND;
	if (code == ERR_NOT_FOUND)
		code = create(m, path, e);
	if (code != ERR_OK)
		return err_wrap(e, "login keys");
	*out = TAKE(m);
	return ERR_OK;
}

void mint_free(struct mint **m)
{
	if (!m || !*m)
		return;
	for (size_t i = 0; i < (*m)->n; i++)
		jose_key_free(&(*m)->keys[i]);
	free(*m);
	*m = NULL;
}

void mint_jwks(const struct mint *m, struct buf *out)
{
	buf_adds(out, "{\"keys\":[");
	for (size_t i = 0; i < m->n; i++) {
		AUTO(buf_done) struct buf key;
		buf_init(&key, KEYS_BYTES_MAX);
		if (jose_key_export(m->keys[i], false, &key, NULL) != ERR_OK)
			continue;
		if (i)
			buf_addc(out, ',');
		buf_slice(out, buf_view(&key));
	}
	buf_adds(out, "]}");
}

/* --- tokens --- */

static void write_claims(const struct mint_claims *c, struct buf *b)
{
	char jti[27];
	ulid_new(clock_now() / CLOCK_MS, jti);
	buf_adds(b, "{\"iss\":");
	buf_json(b, c->issuer);
	buf_json_member(b, "sub", c->subject);
	buf_adds(b, ",\"aud\":[");
	for (size_t i = 0; i < c->naudiences; i++) {
		if (i)
			buf_addc(b, ',');
		buf_json(b, c->audiences[i]);
	}
	buf_adds(b, "],\"exp\":");
	buf_i64(b, c->expires);
	buf_adds(b, ",\"iat\":");
	buf_i64(b, c->issued);
	buf_adds(b, ",\"nbf\":");
	buf_i64(b, c->issued);
	buf_json_member(b, "jti", slice_of(jti));
	buf_json_member(b, "preferred_username", c->username);
	buf_json_member(b, "directory", c->directory);
	buf_json_member(b, "account", c->account);
	if (c->uid.len)
		buf_json_member(b, "uid", c->uid);
	buf_addc(b, '}');
}

enum err_code mint_sign(const struct mint *m, const struct mint_claims *c, struct arena *arena,
    struct slice *token, struct err *e)
{
	AUTO(buf_done) struct buf claims;
	AUTO(buf_wipe_done) struct buf text;
	buf_init(&claims, CLAIMS_BYTES_MAX);
	buf_init(&text, JOSE_TOKEN_MAX);
	write_claims(c, &claims);
	if (claims.over)
		return err_set(e, ERR_LIMIT, "claims longer than %zu bytes", CLAIMS_BYTES_MAX);
	enum err_code code = jose_sign_es256(m->keys[0], "JWT", buf_view(&claims), &text, e);
	if (code != ERR_OK)
		return code;
	if (text.over)
		return err_set(e, ERR_LIMIT, "token longer than %zu bytes", JOSE_TOKEN_MAX);
	*token = slice_dup(arena, buf_view(&text));
	return ERR_OK;
}

enum err_code mint_verify(const struct mint *m, const struct jose_token *t, struct err *e)
{
	if (t->header.code != ERR_OK)
		return err_set(e, ERR_REFUSED, "%s", t->header.msg);
	for (size_t i = 0; i < m->n; i++) {
		if (t->has_kid && slice_eq(t->kid, jose_key_kid(m->keys[i])))
			return jose_verify(t, m->keys[i], JOSE_BIT(JOSE_ES256), e);
	}
	return err_set(e, ERR_REFUSED, "no key of ours has the token's kid");
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

enum err_code mint_read(
    const struct jose_token *t, struct arena *arena, struct mint_claims *c, struct err *e)
{
	*c = (struct mint_claims){0};
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
		code = jsonx_string(t->claims, "uid", &c->uid, e);
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
