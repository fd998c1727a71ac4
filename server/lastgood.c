/* Owns the file STATE_DIR/last-good-policy: a head line, the policy's place, its signatures, each file's
 * kind, name and text, all with their lengths, and the SHA-256 of all before it. */
#include "server/lastgood.h"

#include "common/file.h"
#include "common/secret.h"

#define HEAD "portcullis-policy 2\n"
#define NAME "last-good-policy"
#define FILE_MAX ((size_t)256 << 20)
#define DIGEST_LINE (2 * (size_t)SHA256_LEN + 1)

static void add_bytes(struct buf *b, struct slice s)
{
	buf_printf(b, "%zu\n", s.len);
	buf_slice(b, s);
	buf_addc(b, '\n');
}

enum err_code lastgood_save(const char *state_dir, const struct lastgood *copy, struct err *e)
{
	AUTO(buf_done) struct buf b;
	AUTO(arena_done) struct arena a = {0};
	buf_init(&b, FILE_MAX);
	buf_adds(&b, HEAD);
	add_bytes(&b, slice_of(copy->path));
	add_bytes(&b, slice_of(copy->base));
	add_bytes(&b, copy->signature);
	buf_printf(&b, "%zu\n", copy->n);
	for (size_t i = 0; i < copy->n; i++) {
		buf_printf(&b, "%d\n", (int)copy->files[i].kind);
		add_bytes(&b, slice_of(copy->files[i].name));
		add_bytes(&b, copy->files[i].text);
	}
	char hex[DIGEST_LINE];
	sha256_hex(b.p, b.len, hex);
	buf_printf(&b, "%s\n", hex);
	if (b.over)
		return err_set(e, ERR_LIMIT, "the policy is too large to keep a copy");
	return file_write_atomic(arena_printf(&a, "%s/" NAME, state_dir), b.p, b.len, 0600, e);
}

/* A decimal number and the line break behind it. */
static bool take_number(struct slice *s, size_t *out)
{
	size_t len = slice_find(*s, '\n');
	if (len == 0 || len > 10 || len == s->len)
		return false;
	*out = 0;
	for (size_t i = 0; i < len; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		*out = *out * 10 + (size_t)(s->p[i] - '0');
	}
	*s = slice_skip(*s, len + 1);
	return true;
}

static bool take_bytes(struct slice *s, struct slice *out)
{
	size_t len;
	if (!take_number(s, &len) || len >= s->len || s->p[len] != '\n')
		return false;
	*out = (struct slice){s->p, len};
	*s = slice_skip(*s, len + 1);
	return true;
}

static bool take_text(struct slice *s, struct arena *a, const char **out)
{
	struct slice text;
	if (!take_bytes(s, &text))
		return false;
	*out = arena_strndup(a, text.p, text.len);
	return true;
}

static bool digest_fits(struct slice *text)
{
	if (text->len < DIGEST_LINE)
		return false;
	char hex[DIGEST_LINE];
	size_t body = text->len - DIGEST_LINE;
	sha256_hex(text->p, body, hex);
	hex[DIGEST_LINE - 1] = '\n';
	bool ok = memcmp(hex, text->p + body, DIGEST_LINE) == 0;
	text->len = body;
	return ok;
}

static bool take_files(struct slice s, struct lastgood *out)
{
	struct slice head = SLICE(HEAD);
	if (!slice_starts(s, head))
		return false;
	s = slice_skip(s, head.len);
	if (!take_text(&s, &out->arena, &out->path) || !take_text(&s, &out->arena, &out->base) ||
	    !take_bytes(&s, &out->signature) || !take_number(&s, &out->n) || out->n == 0 ||
	    out->n > POLICY_FILES_MAX)
		return false;
	out->files = ARENA_ARRAY(&out->arena, struct policy_file, out->n);
	for (size_t i = 0; i < out->n; i++) {
		size_t kind;
		if (!take_number(&s, &kind) || kind > POLICY_FILE_ABAC ||
		    !take_text(&s, &out->arena, &out->files[i].name) ||
		    !take_bytes(&s, &out->files[i].text))
			return false;
		out->files[i].kind = (enum policy_file_kind)kind;
	}
	return s.len == 0;
}

enum err_code lastgood_load(const char *state_dir, struct lastgood *out, struct err *e)
{
	struct slice text;
	*out = (struct lastgood){0};
	arena_init(&out->arena, 0);
	const char *path = arena_printf(&out->arena, "%s/" NAME, state_dir);
	TRY(file_read(&out->arena, path, FILE_MAX, &text, e));
	if (!digest_fits(&text) || !take_files(text, out))
		return err_set(e, ERR_INVALID, "%s: damaged", path);
	return ERR_OK;
}

void lastgood_done(struct lastgood *copy)
{
	arena_done(&copy->arena);
	*copy = (struct lastgood){0};
}
