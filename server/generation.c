/* Owns the file STATE_DIR/policy-generation: one line, "portcullis-generation 1 NUMBER SHA256". */
#include "server/generation.h"

#include "common/file.h"

#define HEAD "portcullis-generation 1 "
#define NAME "policy-generation"
#define FILE_MAX ((size_t)256)

static bool parse(struct slice s, struct generation *out)
{
	if (!slice_starts(s, SLICE(HEAD)))
		return false;
	s = slice_skip(s, sizeof(HEAD) - 1);
	size_t digits = slice_find(s, ' ');
	for (size_t i = 0; i < digits; i++)
		if (s.p[i] < '0' || s.p[i] > '9' ||
		    __builtin_mul_overflow(out->number, 10, &out->number) ||
		    __builtin_add_overflow(out->number, s.p[i] - '0', &out->number))
			return false;
	s = slice_skip(s, digits + 1);
	uint8_t raw[SHA256_LEN];
	if (digits == 0 || s.len != 2 * SHA256_LEN + 1 || s.p[s.len - 1] != '\n' ||
	    !hex_decode((struct slice){s.p, s.len - 1}, raw, sizeof(raw)))
		return false;
	hex_encode(raw, sizeof(raw), out->sha256);
	return true;
}

enum err_code generation_read(const char *state_dir, struct generation *out, struct err *e)
{
	AUTO(arena_done) struct arena a = {0};
	struct slice text;
	*out = (struct generation){0};
	const char *path = arena_printf(&a, "%s/" NAME, state_dir);
	enum err_code code = file_read(&a, path, FILE_MAX, &text, e);
	if (code == ERR_NOT_FOUND)
		return ERR_OK;
	TRY(code);
	if (parse(text, out))
		return ERR_OK;
	*out = (struct generation){0};
	return err_set(e, ERR_INVALID, "%s: damaged", path);
}

enum err_code generation_raise(
    const char *state_dir, int64_t number, const char *sha256, struct err *e)
{
	AUTO(arena_done) struct arena a = {0};
	struct generation have;
	struct err ignored;
	bool known = generation_read(state_dir, &have, &ignored) == ERR_OK;
	if (number <= 0 || (known && have.number > number) ||
	    (known && have.number == number && strcmp(have.sha256, sha256) == 0))
		return ERR_OK;
	const char *text = arena_printf(&a, HEAD "%lld %s\n", (long long)number, sha256);
	return file_write_atomic(
	    arena_printf(&a, "%s/" NAME, state_dir), text, strlen(text), 0600, e);
}
