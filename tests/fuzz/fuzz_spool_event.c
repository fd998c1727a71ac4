/* Fuzzes spooled events: reading never trusts the file, and what is written reads back the same. */
#include "common/jsonx.h"
#include "common/secret.h"
#include "common/spool.h"
#include "tests/fuzz/fuzz.h"

#define LISTS_MAX 64

static void check_same(const struct spool_event *a, const struct spool_event *b)
{
	uint8_t x[SHA256_LEN], y[SHA256_LEN];
	spool_digest(a, x);
	spool_digest(b, y);
	FUZZ_CHECK(memcmp(x, y, sizeof(x)) == 0);
	FUZZ_CHECK(slice_eq(a->username, b->username) && slice_eq(a->provider, b->provider));
	FUZZ_CHECK(a->seen_at == b->seen_at && a->iat == b->iat && slice_eq(a->node, b->node));
}

/* EV is one that spool_encode takes: its text reads back, and is written again byte for byte. */
static void check_round_trip(const struct spool_event *ev, struct slice text, struct arena *a)
{
	struct spool_event back;
	struct buf again;
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	spool_key(ev->provider, ev->username, key);
	FUZZ_CHECK(spool_decode(text, key, a, &back, &e) == ERR_OK);
	check_same(ev, &back);
	buf_init(&again, SPOOL_EVENT_MAX);
	FUZZ_CHECK(spool_encode(&back, &again, &e) == ERR_OK);
	FUZZ_CHECK(slice_eq(buf_view(&again), text));
	buf_done(&again);
}

static void encode(const struct spool_event *ev, struct arena *a, bool must)
{
	struct buf text;
	struct err e;
	buf_init(&text, SPOOL_EVENT_MAX);
	enum err_code rc = spool_encode(ev, &text, &e);
	FUZZ_CHECK(rc == ERR_OK || !must);
	if (rc == ERR_OK)
		check_round_trip(ev, buf_view(&text), a);
	buf_done(&text);
}

/* The input as a file, under the name that its own provider and username ask for. */
static void read_file(struct slice in, struct arena *a)
{
	struct spool_event ev;
	struct err e;
	struct slice provider = {0}, username = {0};
	char key[SPOOL_KEY_LEN + 1];
	json_t *o = NULL;
	if (jsonx_object(in, SPOOL_EVENT_MAX, &o, &e) == ERR_OK) {
		if (jsonx_string(o, "provider", &provider, &e) != ERR_OK ||
		    jsonx_string(o, "username", &username, &e) != ERR_OK)
			provider = username = (struct slice){0};
	}
	spool_key(provider, username, key);
	enum err_code rc = spool_decode(in, key, a, &ev, &e);
	FUZZ_CHECK(rc == ERR_OK || rc == ERR_INVALID);
	if (rc == ERR_OK) {
		FUZZ_CHECK(ev.provider.len && ev.username.len && ev.seen_at >= 0);
		encode(&ev, a, true);
		FUZZ_CHECK(spool_decode(in, "aaaaaaaaaaaaaaaaaaaaaaaaaa", a, &ev, &e) == ERR_INVALID);
	}
	jsonx_unref(&o);
}

/* The input as an identity: lines of provider, username, uid, node, then groups; every second group also
 * becomes an extra. */
static void write_event(struct slice in, struct arena *a)
{
	struct slice lines[LISTS_MAX] = {{0}};
	struct spool_extra extra[LISTS_MAX];
	size_t n = 0;
	while (in.len && n < LISTS_MAX) {
		size_t at = slice_find(in, '\n');
		lines[n++] = (struct slice){in.p, at};
		in = slice_skip(in, at + 1);
	}
	struct spool_event ev = {.provider = lines[0], .username = lines[1], .uid = lines[2],
	    .node = lines[3], .issuer = lines[2], .seen_at = (int64_t)n, .extra = extra};
	if (n > 4) {
		ev.groups = lines + 4;
		ev.ngroups = n - 4;
	}
	for (size_t i = 4; i < n; i += 2)
		extra[ev.nextra++] = (struct spool_extra){lines[i], lines + i / 2, n - i / 2};
	encode(&ev, a, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	arena_init(&a, 0);
	read_file(fuzz_slice(data, size), &a);
	write_event(fuzz_slice(data, size), &a);
	arena_done(&a);
	return 0;
}
