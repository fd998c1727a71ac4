/* Proves the foundations: err, arena, str, map, secret, clock, base64url, diag. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base64url.h"
#include "common/clock.h"
#include "common/diag.h"
#include "common/map.h"
#include "common/secret.h"

static void test_err_wrap_puts_prefix_first(void **state)
{
	(void)state;
	struct err e = {0};
	assert_int_equal(err_set(&e, ERR_LIMIT, "too %s", "big"), ERR_LIMIT);
	assert_int_equal(err_wrap(&e, "loading %s", "x.yaml"), ERR_LIMIT);
	assert_string_equal(e.msg, "loading x.yaml: too big");
	char text[sizeof(e.msg)];
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&e, ERR_INVALID, "%s", text);
	err_wrap(&e, "%s", text);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	err_wrap(&e, "p");
	assert_memory_equal(e.msg, "p: aaa", 6);
}

/* Who puts the text into JSON needs it whole. */
static void test_err_is_never_cut_inside_of_a_character(void **state)
{
	(void)state;
	struct err e = {0};
	char text[2 * sizeof(e.msg)];
	for (size_t shift = 0; shift < 4; shift++) {
		size_t n = shift;
		memset(text, 'a', shift);
		for (; n + 4 < sizeof(text); n += 4)
			memcpy(text + n, "\xf0\x9f\x98\x80", 5);
		err_set(&e, ERR_INVALID, "%s", text);
		assert_true(slice_utf8(slice_of(e.msg)));
		assert_true(strlen(e.msg) > sizeof(e.msg) - 5);
		err_wrap(&e, "%s", "wrapped");
		assert_true(slice_utf8(slice_of(e.msg)));
		err_set(&e, ERR_INVALID, "%.*s", (int)(shift + 5), text);
		assert_true(slice_utf8(slice_of(e.msg)));
		assert_int_equal(strlen(e.msg), shift + 4);
	}
	err_set(&e, ERR_INVALID, "%s", "\xc3\xa4");
	assert_string_equal(e.msg, "\xc3\xa4");
	err_set(&e, ERR_INVALID, "%s", "");
	assert_string_equal(e.msg, "");
}

static void note_call(void *obj)
{
	*(int *)obj += 1;
}

static void test_arena_caps_and_cleans(void **state)
{
	(void)state;
	struct arena a;
	int called = 0;
	arena_init(&a, 64);
	arena_on_done(&a, note_call, &called);
	assert_false(arena_over(&a));
	char *p = arena_alloc(&a, 5000);
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(p[i], 0);
	assert_true(arena_over(&a));
	assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
	arena_done(&a);
	assert_int_equal(called, 1);
	arena_done(&a);
	assert_int_equal(called, 1);
}

static void test_buf_stops_at_its_maximum(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 4);
	buf_adds(&b, "abc");
	buf_adds(&b, "de");
	assert_true(b.over);
	assert_string_equal(buf_cstr(&b), "abc");
	buf_done(&b);
}

static void test_json_escapes(void **state)
{
	(void)state;
	static const struct {
		struct slice in;
		const char *out;
	} cases[] = {
	    {SLICE("plain"), "\"plain\""},
	    {SLICE("a\",\"denied\":false,\"x\":\""), "\"a\\\",\\\"denied\\\":false,\\\"x\\\":\\\"\""},
	    {SLICE("nl\n\r\t\0\x1b"), "\"nl\\n\\r\\t\\u0000\\u001b\""},
	    {SLICE("\xff\xc0\xaf"), "\"\\ufffd\\ufffd\\ufffd\""},
	    {SLICE("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""},
	    {SLICE("\xe2\x80\xae"), "\"\\u202e\""},
	    {SLICE("caf\xc3\xa9"), "\"caf\xc3\xa9\""},
	    {SLICE("\xef\xbf\xbf\xef\xbf\xbe\xef\xbf\xbd"), "\"\\uffff\\ufffe\xef\xbf\xbd\""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;
		buf_init(&b, 1000);
		buf_json(&b, cases[i].in);
		assert_string_equal(buf_cstr(&b), cases[i].out);
		buf_done(&b);
	}
}

static void test_printable(void **state)
{
	(void)state;
	assert_true(slice_printable(SLICE("J\xc3\xbcrgen O'Neil <x@y>")));
	assert_false(slice_printable(SLICE("a\nb")));
	assert_false(slice_printable(SLICE("a\x7f")));
	assert_false(slice_printable(SLICE("a\xc2\x85")));
	assert_false(slice_printable(SLICE("\xe2\x80\xae" "gpj")));
	assert_false(slice_printable(SLICE("\xf4\x90\x80\x80")));
	assert_false(slice_printable(SLICE("\xc3")));
	assert_false(slice_printable(SLICE("ja\xe2\x80\x8bne")));
	assert_false(slice_printable(SLICE("ja\xc2\xadne")));
	assert_false(slice_printable(SLICE("jane\xf3\xa0\x81\xa1")));
	assert_true(slice_printable(SLICE("\xd9\x85\xe2\x80\x8c\xd9\x87")));
}

static void test_map_against_a_list(void **state)
{
	(void)state;
	enum { N = 2000 };
	struct map m = {0};
	struct arena a;
	arena_init(&a, 0);
	struct slice keys[N];
	for (uintptr_t i = 0; i < N; i++) {
		keys[i] = slice_of(arena_printf(&a, "key-%zu", (size_t)i));
		assert_null(map_put(&m, keys[i], (void *)(i + 1)));
	}
	for (uintptr_t i = 0; i < N; i += 3)
		assert_ptr_equal(map_del(&m, keys[i]), (void *)(i + 1));
	for (uintptr_t i = 0; i < N; i++)
		assert_ptr_equal(map_get(&m, keys[i]), i % 3 ? (void *)(i + 1) : NULL);
	size_t it = 0, seen = 0;
	struct slice k;
	void *v;
	while (map_next(&m, &it, &k, &v))
		seen++;
	assert_int_equal(seen, m.len);
	assert_null(map_get(&m, SLICE("absent")));
	map_done(&m);
	arena_done(&a);
}

static void test_base64url_is_strict(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} cases[] = {
	    {"", ""},	   {"Zg", "f"},	    {"Zm8", "fo"},    {"Zm9v", "foo"},	{"Zm9vYg", "foob"},
	    {"Zg==", NULL}, {"Zh", NULL},    {"Zm9", NULL},   {"Z", NULL},	{"Zm9v\n", NULL},
	    {"Zm+v", NULL}, {"Zm/v", NULL}, {" Zg", NULL},   {"Zg=AAAA", NULL}, {"Zm9vYh", NULL},
	};
	struct arena a;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice out;
		bool ok = base64url_decode(&a, slice_of(cases[i].in), &out);
		assert_int_equal(ok, cases[i].out != NULL);
		if (!ok)
			continue;
		assert_true(slice_is(out, cases[i].out));
		struct buf b;
		buf_init(&b, 100);
		base64url_encode(&b, out);
		assert_string_equal(buf_cstr(&b), cases[i].in);
		buf_done(&b);
	}
	arena_done(&a);
}

static void test_times(void **state)
{
	(void)state;
	int64_t v;
	assert_true(clock_parse_rfc3339(SLICE("2026-11-22T10:00:00Z"), &v));
	assert_int_equal(v / CLOCK_SECOND, 1795341600);
	char text[CLOCK_RFC3339_LEN];
	clock_rfc3339(v + 123456789, text);
	assert_string_equal(text, "2026-11-22T10:00:00.123456Z");
	int64_t w;
	assert_true(clock_parse_rfc3339(SLICE("2026-11-22T11:30:00.5+01:30"), &w));
	assert_int_equal(w - v, CLOCK_SECOND / 2);
	static const char *const bad[] = {"2026-02-31T00:00:00Z", "2026-11-22", "2026-11-22T10:00:00",
	    "2026-11-22T25:00:00Z", "2026-11-22T10:00:00Zx", "2026-11-22 10:00:00Z"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(clock_parse_rfc3339(slice_of(bad[i]), &v));
	assert_true(clock_parse_duration(SLICE("1h30m"), &v));
	assert_int_equal(v, 5400 * CLOCK_SECOND);
	assert_true(clock_parse_duration(SLICE("1.5s"), &v));
	assert_int_equal(v, 3 * CLOCK_SECOND / 2);
	assert_true(clock_parse_duration(SLICE("0"), &v));
	static const char *const bad_durations[] = {"", "5", "s", "-1s", "1d", "5 s", "999999999999h",
	    "2562047.9h", "9223372036s855ms"};
	for (size_t i = 0; i < ARRAY_LEN(bad_durations); i++)
		assert_false(clock_parse_duration(slice_of(bad_durations[i]), &v));
}

static void test_sha256_and_hex(void **state)
{
	(void)state;
	char hex[65];
	sha256_hex("abc", 3, hex);
	assert_string_equal(
	    hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	uint8_t raw[32];
	assert_true(hex_decode(slice_of(hex), raw, 32));
	assert_false(hex_decode(SLICE("0g"), raw, 1));
	assert_true(secret_equal("ab", 2, "ab", 2));
	assert_false(secret_equal("ab", 2, "abc", 3));
	char id[27];
	ulid_new(0, id);
	assert_memory_equal(id, "0000000000", 10);
	assert_int_equal(strlen(id), 26);
}

static void test_nearest_key(void **state)
{
	(void)state;
	static const char *const keys[] = {"subjects", "effect", "namespaces", "resources"};
	assert_string_equal(diag_nearest(SLICE("subject"), keys, 4), "subjects");
	assert_string_equal(diag_nearest(SLICE("Effect"), keys, 4), "effect");
	assert_null(diag_nearest(SLICE("zzzzzz"), keys, 4));
	struct diags d = {0};
	for (int i = 0; i < DIAG_MAX + 5; i++)
		diags_error(&d, "f.yaml", 3, 7, "bad %d", i);
	struct err e;
	assert_int_equal(diags_to_err(&d, &e), ERR_INVALID);
	assert_string_equal(e.msg, "f.yaml:3:7: bad 0 (and 54 more)");
	diags_done(&d);
}

/* What a finding quotes comes from others: names of files, texts cut off within a character. */
static void test_findings_can_be_shown(void **state)
{
	(void)state;
	struct diags d = {0};
	char cut[] = "caf\xC3\xA9";
	diags_error(&d, "a\n\x1B[31m\xFF.yaml", 1, 2, "key `%.4s` \xE2\x80\xAE", cut);
	assert_string_equal(d.items[0].file, "a??[31m?.yaml");
	assert_string_equal(d.items[0].text, "key `caf?` ???");
	diags_warn(&d, "\xC3\xA9.yaml", 1, 2, "%s", cut);
	assert_string_equal(d.items[1].file, "\xC3\xA9.yaml");
	assert_string_equal(d.items[1].text, cut);
	diags_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_err_wrap_puts_prefix_first),
	    cmocka_unit_test(test_err_is_never_cut_inside_of_a_character),
	    cmocka_unit_test(test_arena_caps_and_cleans),
	    cmocka_unit_test(test_buf_stops_at_its_maximum),
	    cmocka_unit_test(test_json_escapes),
	    cmocka_unit_test(test_printable),
	    cmocka_unit_test(test_map_against_a_list),
	    cmocka_unit_test(test_base64url_is_strict),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_sha256_and_hex),
	    cmocka_unit_test(test_nearest_key),
	    cmocka_unit_test(test_findings_can_be_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
