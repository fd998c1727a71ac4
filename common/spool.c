/* Owns the spool's event format: key, digest, JSON text and its strict reading. */
#include "common/spool.h"

#include <stdlib.h>

#include "common/jsonx.h"
#include "common/secret.h"

#define SPOOL_VERSION 1

/* The event's lists as they are digested and written: sorted, without duplicates. */
struct canon {
	const struct slice *groups;
	size_t ngroups;
	const struct spool_extra *extra;
	size_t nextra;
};

void spool_key(struct slice provider, struct slice username, char out[SPOOL_KEY_LEN + 1])
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint8_t raw[SHA256_LEN];
	struct sha256_ctx *c = sha256_begin();
	sha256_update(c, provider.p, provider.len);
	sha256_update(c, "", 1);
	sha256_update(c, username.p, username.len);
	sha256_end(&c, raw);
	for (unsigned i = 0; i < SPOOL_KEY_LEN; i++) {
		unsigned bit = 5 * i;
		unsigned two = (unsigned)raw[bit / 8] << 8 | raw[bit / 8 + 1];
		out[i] = alphabet[two >> (11 - bit % 8) & 31];
	}
	out[SPOOL_KEY_LEN] = '\0';
}

static int by_key(const void *a, const void *b)
{
	return slice_cmp(((const struct spool_extra *)a)->key, ((const struct spool_extra *)b)->key);
}

static const struct slice *sorted_set(struct arena *a, const struct slice *v, size_t *n)
{
	bool sorted = true;
	for (size_t i = 1; i < *n && sorted; i++)
		sorted = slice_cmp(v[i - 1], v[i]) < 0;
	if (sorted)
		return v;
	struct slice *out = ARENA_ARRAY(a, struct slice, *n);
	memcpy(out, v, *n * sizeof(*v));
	*n = slice_sort_unique(out, *n);
	return out;
}

static struct canon canonical(struct arena *a, const struct spool_event *ev)
{
	struct canon c = {.ngroups = ev->ngroups, .nextra = ev->nextra};
	c.groups = sorted_set(a, ev->groups, &c.ngroups);
	if (!ev->nextra)
		return c;
	struct spool_extra *extra = ARENA_ARRAY(a, struct spool_extra, ev->nextra);
	memcpy(extra, ev->extra, ev->nextra * sizeof(*extra));
	qsort(extra, ev->nextra, sizeof(*extra), by_key);
	for (size_t i = 0; i < ev->nextra; i++)
		extra[i].values = sorted_set(a, extra[i].values, &extra[i].n);
	c.extra = extra;
	return c;
}

/* Length before bytes: no two identities share one byte stream. */
static void digest_text(struct sha256_ctx *c, struct slice s)
{
	uint64_t len = s.len;
	sha256_update(c, &len, sizeof(len));
	sha256_update(c, s.p, s.len);
}

static void digest_list(struct sha256_ctx *c, const struct slice *v, size_t n)
{
	uint64_t count = n;
	sha256_update(c, &count, sizeof(count));
	for (size_t i = 0; i < n; i++)
		digest_text(c, v[i]);
}

static void digest_canon(const struct spool_event *ev, const struct canon *k, uint8_t out[32])
{
	struct sha256_ctx *c = sha256_begin();
	digest_text(c, ev->provider);
	digest_text(c, ev->issuer);
	digest_text(c, ev->username);
	digest_text(c, ev->uid);
	digest_list(c, k->groups, k->ngroups);
	for (size_t i = 0; i < k->nextra; i++) {
		digest_text(c, k->extra[i].key);
		digest_list(c, k->extra[i].values, k->extra[i].n);
	}
	sha256_end(&c, out);
}

void spool_digest(const struct spool_event *ev, uint8_t out[32])
{
	struct arena a;
	arena_init(&a, 0);
	struct canon k = canonical(&a, ev);
	digest_canon(ev, &k, out);
	arena_done(&a);
}

bool spool_is_older(const struct spool_event *ev, const struct spool_event *have)
{
	return ev->iat > 0 && ev->iat < have->iat;
}

/* buf_json would replace what is no UTF-8, and the reader's digest would not fit any more. */
static bool fit(struct slice s)
{
	return slice_utf8(s) && slice_find(s, '\0') == s.len;
}

static bool fit_list(const struct slice *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!fit(v[i]))
			return false;
	}
	return true;
}

static bool fit_extra(const struct canon *k)
{
	for (size_t i = 0; i < k->nextra; i++) {
		const struct spool_extra *x = &k->extra[i];
		bool again = i && slice_eq(x->key, x[-1].key);
		if (again || !fit(x->key) || !fit_list(x->values, x->n))
			return false;
	}
	return true;
}

static bool fit_event(const struct spool_event *ev, const struct canon *k)
{
	const struct slice texts[] = {ev->provider, ev->issuer, ev->username, ev->uid, ev->node};
	return ev->provider.len && ev->username.len && ev->seen_at <= SPOOL_TIME_MAX && ev->iat <= SPOOL_TIME_MAX &&
	    fit_list(texts, ARRAY_LEN(texts)) &&
	    fit_list(k->groups, k->ngroups) && fit_extra(k);
}

static void put_text(struct buf *b, const char *name, struct slice s)
{
	buf_printf(b, "\"%s\":", name);
	buf_json(b, s);
	buf_addc(b, ',');
}

static void put_event(struct buf *b, const struct spool_event *ev, const struct canon *k)
{
	uint8_t raw[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	digest_canon(ev, k, raw);
	hex_encode(raw, sizeof(raw), hex);
	buf_printf(b, "{\"v\":%d,", SPOOL_VERSION);
	put_text(b, "provider", ev->provider);
	put_text(b, "issuer", ev->issuer);
	put_text(b, "username", ev->username);
	put_text(b, "uid", ev->uid);
	buf_adds(b, "\"groups\":");
	buf_json_list(b, k->groups, k->ngroups);
	buf_adds(b, ",\"extra\":{");
	for (size_t i = 0; i < k->nextra; i++) {
		if (i)
			buf_addc(b, ',');
		buf_json(b, k->extra[i].key);
		buf_addc(b, ':');
		buf_json_list(b, k->extra[i].values, k->extra[i].n);
	}
	buf_adds(b, "},\"seenAt\":");
	buf_i64(b, ev->seen_at);
	buf_addc(b, ',');
	if (ev->iat > 0) {
		buf_adds(b, "\"iat\":");
		buf_i64(b, ev->iat);
		buf_addc(b, ',');
	}
	put_text(b, "node", ev->node);
	buf_printf(b, "\"digest\":\"%s\"}\n", hex);
}

enum err_code spool_encode(const struct spool_event *ev, struct buf *out, struct err *e)
{
	struct arena a;
	arena_init(&a, 0);
	struct canon k = canonical(&a, ev);
	bool ok = fit_event(ev, &k);
	if (ok)
		put_event(out, ev, &k);
	arena_done(&a);
	if (!ok)
		return err_set(e, ERR_INVALID, "the identity is incomplete or holds invalid text");
	if (out->over)
		return err_set(e, ERR_LIMIT, "the identity takes more than %zu bytes", out->max);
	return ERR_OK;
}

static enum err_code read_extra(
    const json_t *o, struct arena *a, struct spool_event *ev, struct err *e)
{
	json_t *extra = json_object_get(o, "extra");
	if (!extra)
		return ERR_OK;
	if (!json_is_object(extra))
		return err_set(e, ERR_INVALID, "extra: must be an object");
	struct spool_extra *out = ARENA_ARRAY(a, struct spool_extra, json_object_size(extra));
	const char *key;
	json_t *value;
	json_object_foreach(extra, key, value)
	{
		struct slice *values;
		if (!json_is_array(value))
			return err_set(e, ERR_INVALID, "extra: must hold lists");
		TRY(jsonx_strings(extra, key, false, a, &values, &out[ev->nextra].n, e));
		out[ev->nextra].values = values;
		out[ev->nextra++].key = slice_dup(a, slice_of(key));
	}
	ev->extra = out;
	return ERR_OK;
}

static enum err_code read_fields(
    const json_t *o, struct arena *a, struct spool_event *ev, struct err *e)
{
	int64_t version;
	bool have;
	TRY(jsonx_int(o, "v", &version, &have, e));
	if (!have || version != SPOOL_VERSION)
		return err_set(e, ERR_INVALID, "v: this worker reads version %d alone", SPOOL_VERSION);
	TRY(jsonx_string(o, "provider", &ev->provider, e));
	TRY(jsonx_string(o, "issuer", &ev->issuer, e));
	TRY(jsonx_string(o, "username", &ev->username, e));
	TRY(jsonx_string(o, "uid", &ev->uid, e));
	TRY(jsonx_string(o, "node", &ev->node, e));
	struct slice *groups;
	TRY(jsonx_strings(o, "groups", false, a, &groups, &ev->ngroups, e));
	ev->groups = groups;
	TRY(jsonx_int(o, "seenAt", &ev->seen_at, &have, e));
	TRY(jsonx_int(o, "iat", &ev->iat, &have, e));
	if (ev->seen_at < 0 || ev->iat < 0 || ev->seen_at > SPOOL_TIME_MAX || ev->iat > SPOOL_TIME_MAX)
		return err_set(e, ERR_INVALID, "seenAt, iat: no time from 1970 to 2199");
	return read_extra(o, a, ev, e);
}

static enum err_code check_identity(
    const json_t *o, const char *key, const struct spool_event *ev, struct err *e)
{
	if (ev->provider.len == 0 || ev->username.len == 0)
		return err_set(e, ERR_INVALID, "provider and username must not be empty");
	char want[SPOOL_KEY_LEN + 1];
	spool_key(ev->provider, ev->username, want);
	if (strcmp(want, key) != 0)
		return err_set(e, ERR_INVALID, "the file's name does not fit provider and username");
	struct slice text;
	uint8_t said[SHA256_LEN], real[SHA256_LEN];
	TRY(jsonx_string(o, "digest", &text, e));
	spool_digest(ev, real);
	if (!hex_decode(text, said, sizeof(said)) || memcmp(said, real, sizeof(real)) != 0)
		return err_set(e, ERR_INVALID, "digest: does not fit the identity");
	return ERR_OK;
}

enum err_code spool_decode(struct slice text, const char *key, struct arena *a,
    struct spool_event *ev, struct err *e)
{
	json_t *o;
	*ev = (struct spool_event){0};
	if (jsonx_object(text, SPOOL_EVENT_MAX, &o, e) != ERR_OK) {
		err_wrap(e, "no valid JSON");
		return e->code = ERR_INVALID;
	}
	jsonx_on_done(a, o); /* the slices borrow from it */
	if (read_fields(o, a, ev, e) != ERR_OK || check_identity(o, key, ev, e) != ERR_OK)
		return e->code = ERR_INVALID;
	return ERR_OK;
}
