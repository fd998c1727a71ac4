/* Owns the files STATE_DIR/keyset-*: how a key set is written down and what is believed of it later. */
#include "authn/keyfile.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"

#define HEAD "portcullis-keyset 1\n"
#define HEX_LEN (2 * (size_t)SHA256_LEN)

static void digest_part(struct sha256_ctx *c, struct slice part)
{
	uint64_t len = part.len; /* so that no two sources run together into one text */
	sha256_update(c, &len, sizeof(len));
	sha256_update(c, part.p, part.len);
}

static void source_hex(const struct keyfile_source *src, char out[HEX_LEN + 1])
{
	uint8_t digest[SHA256_LEN];
	struct sha256_ctx *c = sha256_begin();
	digest_part(c, src->issuer);
	digest_part(c, src->discovery_url);
	digest_part(c, src->ca_pem);
	sha256_end(&c, digest);
	hex_encode(digest, sizeof(digest), out);
}

const char *keyfile_path(struct arena *a, const char *state_dir, const struct keyfile_source *src)
{
	char hex[HEX_LEN + 1];
	source_hex(src, hex);
	return arena_printf(a, "%s/keyset-%s", state_dir, hex);
}

void keyfile_format(const struct keyfile *k, const struct keyfile_source *src, struct buf *out)
{
	char hex[HEX_LEN + 1];
	size_t start = out->len;
	source_hex(src, hex);
	buf_printf(out, HEAD "source %s\nissuer ", hex);
	buf_slice(out, src->issuer);
	buf_printf(out, "\nfetched %lld\njwks %zu\n", (long long)k->fetched, k->jwks.len);
	buf_slice(out, k->jwks);
	sha256_hex(out->p + start, out->len - start, hex);
	buf_printf(out, "\n%s\n", hex);
}

/* Takes "NAME VALUE\n" off *S. */
static bool take_line(struct slice *s, struct slice name, struct slice *value)
{
	size_t end = slice_find(*s, '\n');
	if (end == s->len || !slice_starts(*s, name))
		return false;
	*value = slice_skip((struct slice){s->p, end}, name.len);
	*s = slice_skip(*s, end + 1);
	return true;
}

/* Decimal without sign or leading zero: there is one way to write each number. */
static bool to_number(struct slice s, int64_t *out)
{
	*out = 0;
	if (s.len == 0 || s.len > 15 || (s.p[0] == '0' && s.len > 1))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		*out = *out * 10 + (s.p[i] - '0');
	}
	return true;
}

/* The last line is the digest of all before its line break. */
static bool take_digest(struct slice *text)
{
	char hex[HEX_LEN + 1];
	if (text->len < HEX_LEN + 2)
		return false;
	size_t body = text->len - HEX_LEN - 2;
	const char *tail = text->p + body;
	sha256_hex(text->p, body, hex);
	bool ok = tail[0] == '\n' && memcmp(tail + 1, hex, HEX_LEN) == 0 && tail[HEX_LEN + 1] == '\n';
	text->len = body;
	return ok;
}

enum err_code keyfile_parse(
    struct slice text, const struct keyfile_source *src, struct keyfile *k, struct err *e)
{
	struct slice head, source, issuer, fetched, len;
	char hex[HEX_LEN + 1];
	int64_t n;
	*k = (struct keyfile){0};
	if (!take_digest(&text) || !take_line(&text, SLICE("portcullis-keyset 1"), &head) || head.len ||
	    !take_line(&text, SLICE("source "), &source) ||
	    !take_line(&text, SLICE("issuer "), &issuer) ||
	    !take_line(&text, SLICE("fetched "), &fetched) ||
	    !take_line(&text, SLICE("jwks "), &len) || !to_number(len, &n) || (size_t)n != text.len ||
	    !to_number(fetched, &k->fetched) || text.len > KEYSET_BYTES_MAX)
		return err_set(e, ERR_INVALID, "damaged");
	source_hex(src, hex);
	if (!slice_is(source, hex) || !slice_eq(issuer, src->issuer))
		return err_set(e, ERR_REFUSED, "belongs to another issuer, discovery URL or CA");
	k->jwks = text;
	return ERR_OK;
}

/* A directory that everybody may write to, as Kubernetes makes emptyDirs, lets everybody put files there. */
static bool owner_ok(struct arena *a, const char *path, uid_t owner)
{
	struct stat st;
	const char *dir = file_resolve(a, path, ".");
	return owner == 0 || owner == geteuid() || (stat(dir, &st) == 0 && st.st_uid == owner);
}

enum err_code keyfile_load(struct arena *a, const char *path, const struct keyfile_source *src,
    int64_t now, struct keyfile *k, struct err *e)
{
	struct slice text;
	mode_t mode;
	uid_t owner;
	TRY(file_read_owned(a, path, KEYFILE_BYTES_MAX, &text, &mode, &owner, e));
	if (!owner_ok(a, path, owner))
		return err_set(e, ERR_REFUSED, "%s: belongs to user %u", path, (unsigned)owner);
	if (mode & 022)
		return err_set(e, ERR_REFUSED, "%s: mode %04o: others may write it", path, mode);
	if (keyfile_parse(text, src, k, e) != ERR_OK)
		return err_wrap(e, "%s", path);
	if (k->fetched > now + KEYFILE_SKEW_S)
		return err_set(e, ERR_INVALID, "%s: dated after the present", path);
	return ERR_OK;
}

enum err_code keyfile_save(const char *path, const struct keyfile *k,
    const struct keyfile_source *src, struct err *e)
{
	AUTO(buf_done) struct buf b;
	buf_init(&b, KEYFILE_BYTES_MAX);
	keyfile_format(k, src, &b);
	if (b.over)
		return err_set(e, ERR_LIMIT, "%s: too long to be kept", path);
	return file_write_atomic(path, b.p, b.len, 0600, e);
}
