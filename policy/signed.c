/* Owns the signature file of a policy: its text, the manifest in it, the counting of keys. */
#include "policy/signed.h"

#include <sys/stat.h>

#include "common/base64url.h"

#define HEAD "portcullis-policy-manifest 1"

/* --- names --- */

static bool is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *policy_signature_path(struct arena *a, const char *path)
{
	size_t n = strlen(path);
	if (!is_directory(path))
		return arena_printf(a, "%s.sig", path);
	return arena_printf(a, "%s%spolicy.sig", path, n && path[n - 1] == '/' ? "" : "/");
}

const char *policy_base(struct arena *a, const char *path)
{
	size_t n = strlen(path);
	if (!is_directory(path)) {
		while (n && path[n - 1] != '/')
			n--;
		if (n == 0)
			return ".";
	}
	while (n > 1 && path[n - 1] == '/')
		n--;
	return arena_strndup(a, path, n);
}

/* NAME as the manifest has it. */
static struct slice relative(const char *base, const char *name)
{
	struct slice s = slice_of(name), b = slice_of(base);
	if (slice_starts(s, b) && s.len > b.len && s.p[b.len] == '/')
		s = slice_skip(s, b.len);
	else if (!slice_starts(s, SLICE("./")))
		return s;
	else
		s = slice_skip(s, 1);
	while (s.len && s.p[0] == '/')
		s = slice_skip(s, 1);
	return s;
}

/* --- writing --- */

enum err_code policy_manifest(const char *base, const struct policy_file *files, size_t n,
    int64_t generation, struct buf *out, struct err *e)
{
	buf_printf(out, HEAD "\ngeneration %lld\n", (long long)generation);
	for (size_t i = 0; i < n; i++) {
		char hex[2 * SHA256_LEN + 1];
		struct slice name = relative(base, files[i].name);
		if (name.len == 0 || !slice_printable(name))
			return err_set(e, ERR_INVALID,
			    "a file whose name does not fit a line cannot be signed");
		sha256_hex(files[i].text.p, files[i].text.len, hex);
		buf_printf(out, "file %s %s ", policy_file_kind_name(files[i].kind), hex);
		buf_slice(out, name);
		buf_addc(out, '\n');
	}
	return out->over ? err_set(e, ERR_LIMIT, "the manifest is too long") : ERR_OK;
}

void policy_signed_write(
    struct slice manifest, const struct policy_signature *sigs, size_t n, struct buf *out)
{
	buf_slice(out, manifest);
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "signature %s ", sigs[i].key);
		base64url_encode(out, (struct slice){(const char *)sigs[i].value, SIGN_LEN});
		buf_addc(out, '\n');
	}
}

/* --- reading --- */

static bool take_line(struct slice *s, struct slice *line)
{
	size_t n = slice_find(*s, '\n');
	if (n == s->len)
		return false;
	*line = (struct slice){s->p, n};
	*s = slice_skip(*s, n + 1);
	return true;
}

/* "KEY " is taken off S. */
static bool take_word(struct slice *s, struct slice word)
{
	if (!slice_starts(*s, word))
		return false;
	*s = slice_skip(*s, word.len);
	return true;
}

static bool parse_generation(struct slice s, int64_t *out)
{
	*out = 0;
	if (s.len == 0 || (s.p[0] == '0' && s.len > 1))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, s.p[i] - '0', out))
			return false;
	return true;
}

static bool lower_hex(struct slice s, size_t n)
{
	if (s.len < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return true;
}

static bool file_line(struct slice s)
{
	if (!take_word(&s, SLICE("file ")))
		return false;
	if (!take_word(&s, SLICE("native ")) && !take_word(&s, SLICE("rbac ")) &&
	    !take_word(&s, SLICE("abac ")))
		return false;
	if (!lower_hex(s, 2 * SHA256_LEN))
		return false;
	s = slice_skip(s, 2 * (size_t)SHA256_LEN);
	return s.len > 1 && s.p[0] == ' ' && slice_printable(s);
}

static bool signature_line(struct slice s, struct policy_signature *out)
{
	AUTO(arena_done) struct arena a = {0};
	struct slice value;
	if (!take_word(&s, SLICE("signature ")) || !lower_hex(s, SIGN_ID_LEN))
		return false;
	memcpy(out->key, s.p, SIGN_ID_LEN);
	out->key[SIGN_ID_LEN] = '\0';
	s = slice_skip(s, SIGN_ID_LEN);
	if (!take_word(&s, SLICE(" ")) || !base64url_decode(&a, s, &value) || value.len != SIGN_LEN)
		return false;
	memcpy(out->value, value.p, SIGN_LEN);
	return true;
}

enum err_code policy_signed_parse(struct slice text, struct policy_signed *out, struct err *e)
{
	struct slice rest = text, line, generation;
	size_t at = 1, files = 0;
	*out = (struct policy_signed){0};
	if (!take_line(&rest, &line) || !slice_is(line, HEAD))
		return err_set(e, ERR_INVALID, "line 1: expected `" HEAD "`");
	at++;
	if (!take_line(&rest, &generation) || !take_word(&generation, SLICE("generation ")) ||
	    !parse_generation(generation, &out->generation))
		return err_set(e, ERR_INVALID, "line 2: expected `generation N`");
	for (out->manifest = text; rest.len; at++) {
		struct slice from = rest;
		if (!take_line(&rest, &line))
			return err_set(e, ERR_INVALID, "line %zu: no line break: is it whole?", at + 1);
		if (out->nsigs == 0 && file_line(line)) {
			if (++files > POLICY_FILES_MAX)
				return err_set(e, ERR_LIMIT, "more than %d files", POLICY_FILES_MAX);
			continue;
		}
		if (out->nsigs == POLICY_SIGNATURES_MAX)
			return err_set(
			    e, ERR_LIMIT, "more than %d signatures", POLICY_SIGNATURES_MAX);
		if (files == 0 || !signature_line(line, &out->sigs[out->nsigs]))
			return err_set(e, ERR_INVALID, "line %zu: neither a file nor a signature",
			    at + 1);
		if (out->nsigs++ == 0)
			out->manifest.len = (size_t)(from.p - text.p);
	}
	if (out->nsigs == 0)
		return err_set(e, ERR_INVALID, "no signature");
	return ERR_OK;
}

/* --- judging --- */

/* Says which file is not as it was signed. WANT: the manifest of what is there. */
static enum err_code tell_difference(struct slice have, struct slice want, struct err *e)
{
	struct slice a, b;
	const size_t name_at = sizeof("file  ") - 1 + 2 * (size_t)SHA256_LEN + 1;
	while (take_line(&want, &a)) {
		if (!take_line(&have, &b))
			b = (struct slice){0};
		if (slice_eq(a, b))
			continue;
		size_t kind = slice_find(slice_skip(a, 5), ' ');
		struct slice name = slice_skip(a, name_at + kind);
		return err_set(e, ERR_REFUSED, "%.*s is not what was signed", (int)name.len, name.p);
	}
	return err_set(e, ERR_REFUSED, "a file that was signed is missing");
}

enum err_code policy_signed_check(const struct policy_signed *s, const char *base,
    const struct policy_file *files, size_t nfiles, struct err *e)
{
	AUTO(buf_done) struct buf want;
	buf_init(&want, POLICY_SIGNED_BYTES);
	TRY(policy_manifest(base, files, nfiles, s->generation, &want, e));
	if (slice_eq(buf_view(&want), s->manifest))
		return ERR_OK;
	return tell_difference(s->manifest, buf_view(&want), e);
}

static bool signed_by(const struct policy_signed *s, const struct sign_key *key)
{
	for (size_t i = 0; i < s->nsigs; i++)
		if (strcmp(s->sigs[i].key, key->id) == 0 &&
		    sign_check(key, s->manifest, s->sigs[i].value))
			return true;
	return false;
}

enum err_code policy_signed_by(const struct policy_signed *s, const struct sign_key *keys,
    size_t nkeys, size_t threshold, struct policy_signers *out, struct err *e)
{
	*out = (struct policy_signers){0};
	for (size_t i = 0; i < nkeys && i < POLICY_KEYS_MAX; i++)
		if (signed_by(s, &keys[i]))
			out->keys[out->n++] = &keys[i];
	if (out->n >= threshold && threshold > 0)
		return ERR_OK;
	return err_set(e, ERR_REFUSED, "signed by %zu of the configured keys, %zu are needed", out->n,
	    threshold);
}
