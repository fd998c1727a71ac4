/* Owns static token files: Kubernetes' CSV, held in memory as SHA-256 of each token. */
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "authn/chain.h"
#include "authn/firewall.h"
#include "authn/limits.h"
#include "authn/names.h"
#include "common/file.h"
#include "common/map.h"
#include "common/secret.h"

#define COLUMNS_MAX 4

struct entry {
	uint8_t digest[SHA256_LEN];
	struct identity id;
	struct slice name; /* "sha256:" and the digest: what a denylist may say of it */
	const char *file;
	uint32_t line;
};

struct tokenfiles {
	struct authn base;
	struct arena arena;
	struct map entries; /* by digest: what a search can tell about time is about a hash */
};

/* One line of one file while it is read. */
struct row {
	const char *file;
	uint32_t line;
	struct diags *d;
	const struct authn_config *cfg;
	struct arena *scratch; /* wiped: holds tokens in clear */
	struct slice col[COLUMNS_MAX];
	size_t n;
};

#define ROW_ERROR(r, ...) (diags_error((r)->d, (r)->file, (r)->line, 1, __VA_ARGS__), false)

/* --- CSV, RFC 4180 as Go's encoding/csv reads it, but no line breaks in quotes --- */

/* *AT stands on the opening quote; afterwards behind the closing one. */
static bool read_quoted(struct row *r, struct slice line, size_t *at, struct slice *out)
{
	char *text = arena_alloc(r->scratch, line.len + 1);
	size_t n = 0;
	for (size_t i = *at + 1; i < line.len; i++) {
		if (line.p[i] != '"') {
			text[n++] = line.p[i];
		} else if (i + 1 < line.len && line.p[i + 1] == '"') {
			text[n++] = '"';
			i++;
		} else {
			*at = i + 1;
			*out = (struct slice){text, n};
			return true;
		}
	}
	return ROW_ERROR(r, "a quoted column does not end on its line");
}

static bool read_column(struct row *r, struct slice line, size_t *at, struct slice *out)
{
	if (*at < line.len && line.p[*at] == '"') {
		if (!read_quoted(r, line, at, out))
			return false;
		if (*at < line.len && line.p[*at] != ',')
			return ROW_ERROR(r, "text after the closing quote of a column");
		return true;
	}
	struct slice rest = slice_skip(line, *at);
	*out = (struct slice){rest.p, slice_find(rest, ',')};
	*at += out->len;
	if (slice_find(*out, '"') < out->len)
		return ROW_ERROR(r, "a quote in a column that does not begin with one");
	return true;
}

static bool read_columns(struct row *r, struct slice line)
{
	size_t at = 0;
	for (r->n = 0;; at++) {
		struct slice col;
		if (!read_column(r, line, &at, &col))
			return false;
		if (r->n == COLUMNS_MAX)
			return ROW_ERROR(r, "more than four columns; several groups need quotes around "
					    "them: \"group1,group2\"");
		r->col[r->n++] = col;
		if (at >= line.len)
			break;
	}
	if (r->n < 3)
		return ROW_ERROR(r, "needs at least three columns: token, user name, uid");
	return true;
}

/* --- a row becomes an entry --- */

/* "SHA256:…", "sha512:…", " sha256:…": meant as a hash. Taken as it stands, the hash itself would open. */
static bool like_hash(struct slice s)
{
	while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_skip(s, 1);
	if (s.len < 4 || strncasecmp(s.p, "sha", 3) != 0)
		return false;
	for (s = slice_skip(s, 3); s.len && ((s.p[0] >= '0' && s.p[0] <= '9') || s.p[0] == '-');)
		s = slice_skip(s, 1);
	return s.len && s.p[0] == ':';
}

static bool read_digest(struct row *r, struct entry *en)
{
	struct slice token = r->col[0];
	if (token.len == 0)
		return ROW_ERROR(r, "the token is empty");
	if (!slice_starts(token, SLICE("sha256:"))) {
		if (like_hash(token))
			return ROW_ERROR(r, "a hash must be written as sha256: and 64 hexadecimal digits");
		sha256(token.p, token.len, en->digest);
		return true;
	}
	if (!hex_decode(slice_skip(token, 7), en->digest, sizeof(en->digest)))
		return ROW_ERROR(r, "sha256: must be followed by 64 hexadecimal digits");
	return true;
}

static bool sane(struct slice s)
{
	return s.len <= NAME_MAX_BYTES && slice_printable(s);
}

static bool read_groups(struct row *r, struct arena *a, struct identity *id)
{
	struct slice rest = r->n == 4 ? r->col[3] : (struct slice){0};
	size_t commas = 0;
	for (size_t i = 0; i < rest.len; i++)
		commas += rest.p[i] == ',';
	if (commas >= GROUPS_MAX)
		return ROW_ERROR(r, "more than %d groups", GROUPS_MAX);
	struct slice *groups = ARENA_ARRAY(a, struct slice, commas + 1);
	size_t n = 0;
	while (rest.len) {
		struct slice g = {rest.p, slice_find(rest, ',')};
		rest = slice_skip(rest, g.len + 1);
		if (!sane(g))
			return ROW_ERROR(r, "a group is overlong or not printable");
		if (g.len && (g.p[0] == ' ' || g.p[g.len - 1] == ' '))
			diags_warn(r->d, r->file, r->line, 1, "a group begins or ends with a space");
		if (firewall_reserved(g))
			diags_warn(r->d, r->file, r->line, 1,
			    "group \"" SLICE_FMT "\" is reserved and will be left out", SLICE_ARG(g));
		if (g.len)
			groups[n++] = slice_dup(a, g);
	}
	id->groups = groups;
	id->ngroups = n;
	return true;
}

static bool read_identity(struct row *r, struct arena *a, struct identity *id)
{
	if (r->col[1].len == 0)
		return ROW_ERROR(r, "the user name is empty");
	if (!sane(r->col[1]) || !sane(r->col[2]))
		return ROW_ERROR(r, "the user name or the uid is overlong or not printable");
	if (firewall_reserved(r->col[1]))
		diags_warn(r->d, r->file, r->line, 1,
		    "user \"" SLICE_FMT "\" is reserved: this token will be refused",
		    SLICE_ARG(r->col[1]));
	struct namer other;
	if (names_taken(r->cfg, r->col[1], &other))
		return ROW_ERROR(r, "user \"" SLICE_FMT "\" could be a name of %s %s too (prefix \"%s\")",
		    SLICE_ARG(r->col[1]), other.kind, other.who, other.prefix);
	id->username = slice_dup(a, r->col[1]);
	id->uid = slice_dup(a, r->col[2]);
	id->provider = SLICE("tokenFile");
	return read_groups(r, a, id);
}

static bool add_row(struct tokenfiles *t, struct row *r, struct slice line)
{
	struct entry *en = ARENA_NEW(&t->arena, struct entry);
	if (!read_columns(r, line) || !read_digest(r, en) || !read_identity(r, &t->arena, &en->id))
		return false;
	struct slice key = {(const char *)en->digest, sizeof(en->digest)};
	const struct entry *old = map_get(&t->entries, key);
	if (old)
		return ROW_ERROR(r, "the token stands already in %s:%u", old->file, old->line);
	char hex[2 * SHA256_LEN + 1];
	hex_encode(en->digest, sizeof(en->digest), hex);
	en->name = slice_of(arena_printf(&t->arena, "sha256:%s", hex));
	en->file = r->file;
	en->line = r->line;
	map_put(&t->entries, key, en);
	return true;
}

static void read_lines(struct tokenfiles *t, struct row *r, struct slice text)
{
	if (slice_starts(text, SLICE("\xef\xbb\xbf")))
		text = slice_skip(text, 3);
	while (text.len) {
		struct slice line = {text.p, slice_find(text, '\n')};
		text = slice_skip(text, line.len + 1);
		r->line++;
		if (line.len && line.p[line.len - 1] == '\r')
			line.len--;
		if (line.len)
			add_row(t, r, line);
	}
}

static void read_tokenfile(
    struct tokenfiles *t, const char *path, const struct authn_config *cfg, struct diags *d)
{
	const struct place *named = &cfg->place;
	struct arena scratch;
	struct slice text;
	struct err e = {0};
	mode_t mode = 0;
	arena_init_wiped(&scratch, 0);
	struct row r = {
	    .file = arena_strdup(&t->arena, path),
	    .d = d,
	    .cfg = cfg,
	    .scratch = &scratch,
	};
	if (file_read_mode(&scratch, path, TOKENFILE_BYTES_MAX, &text, &mode, &e) != ERR_OK) {
		diags_error(d, named->file ? named->file : "", named->line, named->col,
		    "tokenFiles: %s", e.msg);
	} else if (text.len == 0) {
		/* More likely an editor's half-done save than a wish: the old tokens stay. */
		diags_error(d, path, 0, 0, "the file is empty; one without tokens holds a line break");
	} else {
		if (mode & S_IROTH)
			diags_warn(d, path, 0, 0, "everybody on this machine may read the tokens");
		read_lines(t, &r, text);
	}
	arena_done(&scratch);
}

/* --- the authenticator --- */

static enum authn_step try_now(const struct authn *self, struct authn_call *call)
{
	const struct tokenfiles *t = (const struct tokenfiles *)self;
	uint8_t digest[SHA256_LEN];
	sha256(call->token.p, call->token.len, digest);
	const struct entry *en =
	    map_get(&t->entries, (struct slice){(const char *)digest, sizeof(digest)});
	if (!en || !secret_equal(en->digest, sizeof(en->digest), digest, sizeof(digest)))
		return AUTHN_PASS;
	call->id = en->id;
	call->credential.id = en->name;
	return AUTHN_ACCEPT;
}

static void destroy(struct authn *self)
{
	struct tokenfiles *t = (struct tokenfiles *)self;
	map_done(&t->entries);
	arena_done(&t->arena);
	free(t);
}

static const struct authn_ops tokenfile_ops = {
    .kind = "tokenFile",
    .try_now = try_now,
    .destroy = destroy,
};

enum err_code authn_tokenfiles_new(
    const struct authn_config *cfg, struct authn **out, struct diags *d)
{
	*out = NULL;
	if (cfg->token_files.len == 0)
		return ERR_OK;
	struct tokenfiles *t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	t->base = (struct authn){.ops = &tokenfile_ops, .name = "tokenFile"};
	arena_init(&t->arena, 0);
	size_t before = d->errors;
	for (size_t i = 0; i < cfg->token_files.len; i++)
		read_tokenfile(t, cfg->token_files.items[i], cfg, d);
	if (d->errors > before) {
		destroy(&t->base);
		return ERR_INVALID;
	}
	*out = &t->base;
	return ERR_OK;
}
