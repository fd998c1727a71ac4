/* Fuzzes the copies of key sets on disk: there is one way to write each, so that what is read back is what was
 * written, for its own issuer alone. */
#include "authn/keyfile.h"
#include "tests/fuzz/fuzz.h"

static const struct keyfile_source source = {
    {"https://idp", 11}, {"https://idp/.well-known/openid-configuration", 44}, {"", 0}};
static const struct keyfile_source other = {
    {"https://idp", 11}, {"https://idp/.well-known/openid-configuration", 44}, {"CA", 2}};

static void check_read(struct slice text, const struct keyfile *k)
{
	struct keyfile again;
	struct err e = {0};
	AUTO(buf_done) struct buf b;
	FUZZ_CHECK(k->fetched >= 0 && k->jwks.len <= KEYSET_BYTES_MAX);
	FUZZ_CHECK(k->jwks.len == 0 ||
		   (k->jwks.p >= text.p && k->jwks.p + k->jwks.len <= text.p + text.len));
	buf_init(&b, KEYFILE_BYTES_MAX);
	keyfile_format(k, &source, &b);
	FUZZ_CHECK(slice_eq(buf_view(&b), text));
	FUZZ_CHECK(keyfile_parse(text, &other, &again, &e) == ERR_REFUSED);
}

static void try_text(struct slice text)
{
	struct keyfile k;
	struct err e = {0};
	if (keyfile_parse(text, &source, &k, &e) == ERR_OK)
		check_read(text, &k);
	else
		FUZZ_CHECK(e.msg[0] != '\0' && k.jwks.len == 0);
}

/* The input as the body of a file whose digest fits: else none but the corpus would get past it. */
static void try_signed(struct slice text)
{
	char hex[2 * SHA256_LEN + 1];
	AUTO(buf_done) struct buf b;
	buf_init(&b, 2 * KEYFILE_BYTES_MAX);
	sha256_hex(text.p, text.len, hex);
	buf_slice(&b, text);
	buf_printf(&b, "\n%s\n", hex);
	if (!b.over)
		try_text(buf_view(&b));
}

/* Any set can be kept. */
static void try_round_trip(struct slice jwks)
{
	struct keyfile k = {jwks, (int64_t)jwks.len}, back;
	struct err e = {0};
	AUTO(buf_done) struct buf b;
	if (jwks.len > KEYSET_BYTES_MAX)
		return;
	buf_init(&b, KEYFILE_BYTES_MAX);
	keyfile_format(&k, &source, &b);
	FUZZ_CHECK(!b.over && keyfile_parse(buf_view(&b), &source, &back, &e) == ERR_OK);
	FUZZ_CHECK(slice_eq(back.jwks, jwks) && back.fetched == k.fetched);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = fuzz_slice(data, size);
	try_text(text);
	try_signed(text);
	try_round_trip(text);
	return 0;
}
