/* Owns the file STATE_DIR/last-good-policy: a head line, each file's name and text with their lengths, and
 * the SHA-256 of all before it. */
#include "server/lastgood.h"

#include "common/file.h"
#include "common/secret.h"

#define HEAD "portcullis-policy 1\n"
#define NAME "last-good-policy"
#define FILE_MAX ((size_t)256 << 20)
#define DIGEST_LINE (2 * (size_t)SHA256_LEN + 1)

enum err_code lastgood_save(
    const char *state_dir, const struct policy_file *files, size_t n, struct err *e)
{
	struct buf b;
	buf_init(&b, FILE_MAX);
	buf_printf(&b, HEAD "%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%zu %zu", strlen(files[i].name), files[i].text.len);
		/* The kind only where it is another one: what was saved before there were kinds reads on. */
		if (files[i].kind != POLICY_FILE_NATIVE)
			buf_printf(&b, " %d", (int)files[i].kind);
		buf_printf(&b, "\n%s\n", files[i].name);
		buf_slice(&b, files[i].text);
		buf_addc(&b, '\n');
	}
	char hex[DIGEST_LINE];
	sha256_hex(b.p, b.len, hex);
	buf_printf(&b, "%s\n", hex);
	struct arena a;
	arena_init(&a, 0);
	enum err_code code = ERR_OK;
	if (b.over)
		code = err_set(e, ERR_LIMIT, "the policy is too large to keep a copy");
	else
		code = file_write_atomic(arena_printf(&a, "%s/" NAME, state_dir), b.p, b.len, 0600, e);
	arena_done(&a);
	buf_done(&b);
	return code;
}

/* A decimal number up to the byte END, which is skipped as well. */
static bool take_number(struct slice *s, char end, size_t *out)
{
	size_t len = slice_find(*s, end);
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

static bool take_bytes(struct slice *s, size_t len, struct slice *out)
{
	if (len >= s->len || s->p[len] != '\n')
		return false;
	*out = (struct slice){s->p, len};
	*s = slice_skip(*s, len + 1);
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

/* "LENGTH" or "LENGTH KIND" and the end of the line. */
static bool take_length_and_kind(struct slice *s, size_t *len, enum policy_file_kind *kind)
{
	size_t number = POLICY_FILE_NATIVE;
	struct slice line = {s->p, slice_find(*s, '\n')};
	if (slice_find(line, ' ') == line.len)
		return take_number(s, '\n', len);
	if (!take_number(s, ' ', len) || !take_number(s, '\n', &number) || number > POLICY_FILE_ABAC)
		return false;
	*kind = (enum policy_file_kind)number;
	return true;
}

static bool take_files(struct slice s, struct arena *a, struct policy_file **files, size_t *n)
{
	struct slice head = SLICE(HEAD);
	if (!slice_starts(s, head))
		return false;
	s = slice_skip(s, head.len);
	if (!take_number(&s, '\n', n) || *n == 0 || *n > POLICY_FILES_MAX)
		return false;
	*files = ARENA_ARRAY(a, struct policy_file, *n);
	for (size_t i = 0; i < *n; i++) {
		size_t name_len, text_len;
		struct slice name;
		if (!take_number(&s, ' ', &name_len) ||
		    !take_length_and_kind(&s, &text_len, &(*files)[i].kind) ||
		    !take_bytes(&s, name_len, &name) || !take_bytes(&s, text_len, &(*files)[i].text))
			return false;
		(*files)[i].name = slice_dup(a, name).p;
	}
	return s.len == 0;
}

enum err_code lastgood_load(const char *state_dir, struct arena *a, struct policy_file **files,
    size_t *n, struct err *e)
{
	struct slice text;
	TRY(file_read(a, arena_printf(a, "%s/" NAME, state_dir), FILE_MAX, &text, e));
	if (!digest_fits(&text) || !take_files(text, a, files, n))
		return err_set(e, ERR_INVALID, "%s/" NAME ": damaged", state_dir);
	return ERR_OK;
}
