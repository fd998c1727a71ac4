/* Owns the file of signing keys and who of them signs when. */
#include <stdlib.h>

#include "authn/limits.h"
#include "authn/mint_keys.h"
#include "common/jsonx.h"

#define KEY_BYTES_MAX ((size_t)4 << 10)

/* After a successor began: the longest session, and clocks that differ. */
#define RETIRE_S (MINT_SESSION_MAX_S + 3600)

static struct mint_keys *keys_new(void)
{
	struct mint_keys *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	atomic_init(&k->refs, 1);
	return k;
}

struct mint_keys *mint_keys_ref(struct mint_keys *k)
{
	atomic_fetch_add(&k->refs, 1);
	return k;
}

void mint_keys_unref(struct mint_keys **kp)
{
	if (!kp || !*kp)
		return;
	struct mint_keys *k = TAKE(*kp);
	if (atomic_fetch_sub(&k->refs, 1) != 1)
		return;
	for (size_t i = 0; i < k->n; i++)
		jose_key_free(&k->keys[i].key);
	free(k);
}

/* --- the file --- */

static enum err_code read_from(struct slice line, int64_t *from, struct err *e)
{
	AUTO(jsonx_unref) json_t *jwk = NULL;
	bool have = false;
	TRY(jsonx_object(line, KEY_BYTES_MAX, &jwk, e));
	TRY(jsonx_int(jwk, "nbf", from, &have, e));
	if (!have)
		*from = 0;
	return *from < 0 ? err_set(e, ERR_INVALID, "nbf is negative") : ERR_OK;
}

static enum err_code add_line(struct mint_keys *k, struct slice line, size_t number, struct err *e)
{
	if (k->n == MINT_KEYS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d keys", MINT_KEYS_MAX);
	struct mint_key *key = &k->keys[k->n];
	enum err_code code = read_from(line, &key->from, e);
	if (code == ERR_OK)
		code = jose_key_import_private(line, &key->key, e);
	if (code != ERR_OK)
		return err_wrap(e, "line %zu", number);
	k->n++;
	return ERR_OK;
}

enum err_code mint_keys_parse(struct slice text, struct mint_keys **out, struct err *e)
{
	AUTO(mint_keys_unref) struct mint_keys *k = keys_new();
	for (size_t number = 1; text.len > 0; number++) {
		size_t len = slice_find(text, '\n');
		if (len)
			TRY(add_line(k, (struct slice){text.p, len}, number, e));
		text = slice_skip(text, len + 1);
	}
	if (k->n == 0)
		return err_set(e, ERR_INVALID, "no key in it");
	*out = TAKE(k);
	return ERR_OK;
}

enum err_code mint_keys_write(const struct mint_keys *k, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < k->n; i++) {
		TRY(jose_key_export(k->keys[i].key, true, out, e));
		out->len--; /* the closing brace */
		if (k->keys[i].from) {
			buf_adds(out, ",\"nbf\":");
			buf_i64(out, k->keys[i].from);
		}
		buf_adds(out, "}\n");
	}
	return out->over ? err_set(e, ERR_LIMIT, "too many keys for their file") : ERR_OK;
}

bool mint_keys_same(const struct mint_keys *a, const struct mint_keys *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct mint_key *x = &a->keys[i], *y = &b->keys[i];
		if (x->from != y->from || !slice_eq(jose_key_kid(x->key), jose_key_kid(y->key)))
			return false;
	}
	return true;
}

/* --- succession --- */

enum err_code mint_keys_first(int64_t from, struct mint_keys **out, struct err *e)
{
	AUTO(mint_keys_unref) struct mint_keys *k = keys_new();
	TRY(jose_key_generate(&k->keys[0].key, e));
	k->keys[0].from = from;
	k->n = 1;
	*out = TAKE(k);
	return ERR_OK;
}

const struct mint_key *mint_keys_signer(const struct mint_keys *k, int64_t now)
{
	const struct mint_key *best = NULL, *next = &k->keys[0];
	for (size_t i = 0; i < k->n; i++) {
		const struct mint_key *x = &k->keys[i];
		if (x->from <= now && (!best || x->from > best->from))
			best = x;
		if (x->from < next->from)
			next = x;
	}
	return best ? best : next;
}

/* When a key that began later took over from X; 0: none did, or nobody knows when. */
static int64_t succeeded(const struct mint_keys *k, const struct mint_key *x)
{
	int64_t at = 0;
	for (size_t i = 0; i < k->n; i++) {
		int64_t from = k->keys[i].from;
		if (from > x->from && (at == 0 || from < at))
			at = from;
	}
	return at;
}

struct mint_keys_plan mint_keys_plan(const struct mint_keys *k, int64_t now, int64_t period)
{
	struct mint_keys_plan p = {0};
	const struct mint_key *signer = mint_keys_signer(k, now);
	for (size_t i = 0; i < k->n; i++) {
		int64_t at = succeeded(k, &k->keys[i]);
		p.drop[i] = at > 0 && now >= at + RETIRE_S && &k->keys[i] != signer;
		p.ndrop += p.drop[i];
	}
	bool heir = succeeded(k, signer) > 0;
	p.add = period > 0 && !heir && now >= signer->from + period - MINT_AHEAD_S;
	return p;
}

enum err_code mint_keys_next(const struct mint_keys *k, const struct mint_keys_plan *plan, int64_t now,
    struct mint_keys **out, struct err *e)
{
	/* By way of the text: keys have one owner each. */
	AUTO(buf_wipe_done) struct buf text;
	AUTO(mint_keys_unref) struct mint_keys *copy = NULL, *next = keys_new();
	buf_init(&text, MINT_KEYS_BYTES_MAX);
	TRY(mint_keys_write(k, &text, e));
	TRY(mint_keys_parse(buf_view(&text), &copy, e));
	for (size_t i = 0; i < copy->n; i++) {
		if (plan->drop[i])
			continue;
		next->keys[next->n++] = copy->keys[i];
		copy->keys[i].key = NULL;
	}
	if (plan->add && next->n == MINT_KEYS_MAX)
		return err_set(e, ERR_LIMIT, "no room for another key: %d are kept", MINT_KEYS_MAX);
	if (plan->add) {
		TRY(jose_key_generate(&next->keys[next->n].key, e));
		next->keys[next->n++].from = now + MINT_AHEAD_S;
	}
	*out = TAKE(next);
	return ERR_OK;
}
