/* Proves the review reader: its interface, its limits, and that it takes and reads what jansson does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/jsonscan.h"
#include "tests/support/json_twin.h"

struct scan {
	struct arena arena;
	struct jsonscan s;
};

static struct jsonscan *scan(struct scan *x, struct slice text)
{
	*x = (struct scan){0};
	jsonscan_init(&x->s, text, &x->arena);
	return &x->s;
}

static void test_reads_a_review(void **state)
{
	(void)state;
	struct scan x;
	struct jsonscan *s = scan(&x,
	    SLICE(" {\"kind\" : \"T\\u0065st\", \"n\": -1.5e+3, \"on\":true, \"off\":null,\r\n"
		  "\"groups\":[\"a\",\"\\ud83d\\ude00\"],\t\"none\":null,\"empty\":[ ],\"deep\":{\"a\":[{}]}}\n"));
	struct slice key, kind = {0}, *groups = NULL, *none = NULL, *empty = NULL;
	bool on = false, off = true;
	size_t n_groups = 0, n_none = 9, n_empty = 9;
	assert_true(jsonscan_enter_object(s));
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "kind"))
			assert_true(jsonscan_string(s, &kind));
		else if (slice_is(key, "on"))
			assert_true(jsonscan_bool(s, &on));
		else if (slice_is(key, "off"))
			assert_true(jsonscan_bool(s, &off));
		else if (slice_is(key, "groups"))
			assert_true(jsonscan_strings(s, 2, &groups, &n_groups));
		else if (slice_is(key, "none"))
			assert_true(jsonscan_strings(s, 2, &none, &n_none));
		else if (slice_is(key, "empty"))
			assert_true(jsonscan_strings(s, 2, &empty, &n_empty));
		else
			assert_true(jsonscan_skip(s));
	}
	assert_true(jsonscan_finish(s));
	assert_true(slice_is(kind, "Test"));
	assert_true(on);
	assert_false(off);
	assert_int_equal(n_groups, 2);
	assert_true(slice_is(groups[0], "a"));
	assert_true(slice_is(groups[1], "\xF0\x9F\x98\x80"));
	assert_int_equal(n_none, 0);
	assert_int_equal(n_empty, 0);
	arena_done(&x.arena);
}

static void test_plain_strings_borrow(void **state)
{
	(void)state;
	struct scan x;
	static const char text[] = "\"borrowed, not copied\"";
	struct jsonscan *s = scan(&x, slice_of(text));
	struct slice out;
	assert_true(jsonscan_string(s, &out));
	assert_ptr_equal(out.p, text + 1);
	assert_true(jsonscan_finish(s));
	arena_done(&x.arena);
}

static void test_type_errors_name_the_byte(void **state)
{
	(void)state;
	struct scan x;
	struct slice text, *list;
	size_t n;
	bool yes = true;
	assert_false(jsonscan_string(scan(&x, SLICE("  5")), &text));
	assert_string_equal(x.s.err.msg, "byte 2: expected a string");
	/* After an error nothing moves and nothing succeeds. */
	assert_false(jsonscan_skip(&x.s));
	assert_false(jsonscan_null(&x.s));
	assert_false(jsonscan_bool(&x.s, &yes));
	assert_false(jsonscan_enter_object(&x.s));
	assert_false(jsonscan_finish(&x.s));
	assert_string_equal(x.s.err.msg, "byte 2: expected a string");
	arena_done(&x.arena);

	assert_false(jsonscan_bool(scan(&x, SLICE("\"true\"")), &yes));
	assert_false(yes);
	assert_string_equal(x.s.err.msg, "byte 0: expected true or false");
	arena_done(&x.arena);
	assert_false(jsonscan_strings(scan(&x, SLICE("\"a\"")), 9, &list, &n));
	assert_string_equal(x.s.err.msg, "byte 0: expected a list");
	arena_done(&x.arena);
	assert_false(jsonscan_strings(scan(&x, SLICE("[\"a\",null]")), 9, &list, &n));
	assert_string_equal(x.s.err.msg, "byte 5: expected a list of strings");
	arena_done(&x.arena);
	assert_false(jsonscan_enter_object(scan(&x, SLICE("[]"))));
	assert_string_equal(x.s.err.msg, "byte 0: expected an object");
	arena_done(&x.arena);

	struct jsonscan *s = scan(&x, SLICE("{}"));
	assert_true(jsonscan_enter_object(s));
	assert_false(jsonscan_fail(s, "spec: wrong"));
	assert_string_equal(s->err.msg, "byte 1: spec: wrong");
	assert_false(jsonscan_fail(s, "later errors do not hide the first"));
	assert_string_equal(s->err.msg, "byte 1: spec: wrong");
	arena_done(&x.arena);
}

static void test_misuse_is_an_internal_error(void **state)
{
	(void)state;
	struct scan x;
	struct slice key;
	struct jsonscan *s = scan(&x, SLICE("{\"a\":1}"));
	assert_true(jsonscan_enter_object(s));
	assert_false(jsonscan_finish(s));
	assert_int_equal(s->err.code, ERR_INTERNAL);
	arena_done(&x.arena);
	s = scan(&x, SLICE("[1]"));
	assert_true(jsonscan_enter_array(s));
	assert_false(jsonscan_key(s, &key));
	assert_int_equal(s->err.code, ERR_INTERNAL);
	arena_done(&x.arena);
	s = scan(&x, SLICE("1"));
	assert_false(jsonscan_element(s));
	assert_int_equal(s->err.code, ERR_INTERNAL);
	arena_done(&x.arena);
	/* A value left unread is not skipped by itself. */
	s = scan(&x, SLICE("{\"a\":\"b\",\"c\":1}"));
	assert_true(jsonscan_enter_object(s));
	assert_true(jsonscan_key(s, &key));
	assert_false(jsonscan_key(s, &key));
	assert_int_equal(s->err.code, ERR_INVALID);
	arena_done(&x.arena);
}

static bool skips(struct slice text, enum err_code *code)
{
	struct scan x;
	struct jsonscan *s = scan(&x, text);
	bool ok = jsonscan_skip(s) && jsonscan_finish(s);
	*code = s->err.code;
	arena_done(&x.arena);
	return ok;
}

static void test_depth_is_limited(void **state)
{
	(void)state;
	struct buf b;
	enum err_code code;
	for (int depth = JSONSCAN_DEPTH; depth <= JSONSCAN_DEPTH + 1; depth++) {
		buf_init(&b, 4096);
		for (int i = 0; i < depth; i++)
			buf_adds(&b, i % 2 ? "{\"k\":" : "[");
		buf_adds(&b, "0");
		for (int i = depth; i-- > 0;)
			buf_adds(&b, i % 2 ? "}" : "]");
		assert_int_equal(skips(buf_view(&b), &code), depth == JSONSCAN_DEPTH);
		assert_int_equal(code, depth == JSONSCAN_DEPTH ? ERR_OK : ERR_LIMIT);
		buf_done(&b);
	}
	/* A million open brackets cost no stack. */
	buf_init(&b, 1 << 21);
	for (int i = 0; i < 1000000; i++)
		buf_addc(&b, '[');
	assert_false(skips(buf_view(&b), &code));
	assert_int_equal(code, ERR_LIMIT);
	buf_done(&b);
}

/* An object of N keys whose last key repeats the one of index TWICE (N: none). */
static void many_keys(struct buf *b, int n, int twice)
{
	buf_adds(b, "{");
	for (int i = 0; i < n; i++)
		buf_printf(b, "%s\"key%d\":%d", i ? "," : "", i == n - 1 && twice < n ? twice : i, i);
	buf_adds(b, "}");
}

static void test_duplicates_are_found_at_every_size(void **state)
{
	(void)state;
	static const int sizes[] = {2, 3, 15, 16, 17, 18, 31, 32, 33, 63, 64, 65, 1000, 4096};
	enum err_code code;
	struct buf b;
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		int n = sizes[i];
		b.len = 0;
		many_keys(&b, n, n);
		assert_true(skips(buf_view(&b), &code));
		for (int twice = 0; twice < n - 1; twice += 1 + n / 50) {
			b.len = 0;
			many_keys(&b, n, twice);
			assert_false(skips(buf_view(&b), &code));
			assert_int_equal(code, ERR_INVALID);
		}
	}
	b.len = 0;
	many_keys(&b, JSONSCAN_KEYS_MAX + 1, JSONSCAN_KEYS_MAX + 1);
	assert_false(skips(buf_view(&b), &code));
	assert_int_equal(code, ERR_LIMIT);
	/* Siblings have key sets of their own; a level's store is clean for the next object. */
	b.len = 0;
	buf_adds(&b, "[");
	for (int i = 0; i < 20; i++) {
		buf_adds(&b, i ? "," : "");
		many_keys(&b, i % 2 ? 40 : 5, 99);
	}
	buf_adds(&b, "]");
	assert_true(skips(buf_view(&b), &code));
	buf_done(&b);
}

static void test_lists_are_limited(void **state)
{
	(void)state;
	struct scan x;
	struct slice *list;
	size_t n;
	assert_true(jsonscan_strings(scan(&x, SLICE("[\"a\",\"b\"]")), 2, &list, &n));
	arena_done(&x.arena);
	assert_false(jsonscan_strings(scan(&x, SLICE("[\"a\",\"b\",\"c\"]")), 2, &list, &n));
	assert_int_equal(x.s.err.code, ERR_LIMIT);
	arena_done(&x.arena);
}

static void test_arena_cap_ends_unescaping(void **state)
{
	(void)state;
	struct scan x = {0};
	struct slice out;
	arena_init(&x.arena, 64);
	jsonscan_init(&x.s, SLICE("\"\\n\""), &x.arena);
	assert_false(jsonscan_string(&x.s, &out));
	assert_int_equal(x.s.err.code, ERR_LIMIT);
	arena_done(&x.arena);
}

/* --- agreement with jansson ------------------------------------------------------------------------- */

static void agree(struct slice text)
{
	const char *why = json_twin_differ(text);
	if (!why)
		return;
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_json(&b, text);
	fail_msg("%s: %s", why, buf_cstr(&b));
}

static const struct slice snippets[] = {
#define S(lit) {lit, sizeof(lit) - 1}
    S(""), S(" "), S("null"), S("nul"), S("nulll"), S("null null"), S("NULL"), S("true"), S("tru"),
    S("True"), S("false"), S("falsey"), S("truefalse"), S("nan"), S("NaN"), S("Infinity"), S("-Infinity"),
    S("undefined"), S("0"), S("-0"), S("00"), S("01"), S("-01"), S("1"), S("12345"), S("-"), S("--1"),
    S("+1"), S("1."), S(".5"), S("1.5"), S("1.50"), S("-1.5"), S("0.0"), S("1..2"), S("1.2.3"), S("1e5"),
    S("1E5"), S("1e+5"), S("1e-5"), S("1e"), S("1e+"), S("1e-"), S("1.e5"), S("1.5e5"), S("1.5e5.5"),
    S("1e5e5"), S("e5"), S("0e0"), S("0e"), S("0x10"), S("0b1"), S("1_000"), S("1,000"), S("1 2"),
    S("9223372036854775807"), S("-9223372036854775808"), S("9223372036854775808"),
    S("99999999999999999999999"), S("1e400"), S("-1e400"), S("1e-400"), S("0.1e1"), S("1a"), S("1\""),
    S("\"\""), S("\"a\""), S("\"a"), S("a\""), S("'a'"), S("a"), S("\"a\"b\""), S("\"\\\""), S("\"\\\\\""),
    S("\"\\\\\\\""), S("\"\\/\""), S("\"\\b\\f\\n\\r\\t\""), S("\"\\a\""), S("\"\\v\""), S("\"\\0\""),
    S("\"\\x41\""), S("\"\\'\""), S("\"\\u\""), S("\"\\u0\""), S("\"\\u00\""), S("\"\\u004\""),
    S("\"\\u0041\""), S("\"\\u00411\""), S("\"\\u004g\""), S("\"\\uFFFF\""), S("\"\\ufffe\""),
    S("\"\\u0000\""), S("\"a\\u0000b\""), S("\"\\u0001\""), S("\"\\u001f\""), S("\"\\u007f\""),
    S("\"\\u0080\""), S("\"\\u07ff\""), S("\"\\u0800\""), S("\"\\ud800\""), S("\"\\udbff\""),
    S("\"\\udc00\""), S("\"\\udfff\""), S("\"\\ud800\\udc00\""), S("\"\\udbff\\udfff\""),
    S("\"\\ud83d\\ude00\""), S("\"\\uD83D\\uDE00\""), S("\"\\ude00\\ud83d\""), S("\"\\ud800\\ud800\""),
    S("\"\\ud800\\u0041\""), S("\"\\ud800A\""), S("\"\\ud800\\n\""), S("\"\\ud800\\\\udc00\""),
    S("\"\\ud800\\u\""), S("\"\\ud800\\udc0\""), S("\"\\ud800\\\""), S("\"\\U0041\""), S("\"\\u 041\""),
    S("\"\\u+041\""), S("\"\\u-041\""), S("\"\\u0x41\""), S("\"\t\""), S("\"\n\""), S("\"\r\""),
    S("\"\x01\""), S("\"\x1f\""), S("\"\x7f\""), S("\"\0\""), S("\"a\0b\""), S("\0"), S("null\0"), S("\0null"),
    S("\"\xC3\xA9\""), S("\"\xE2\x82\xAC\""), S("\"\xF0\x9F\x98\x80\""), S("\"\x80\""), S("\"\xBF\""),
    S("\"\xC0\x80\""), S("\"\xC1\xBF\""), S("\"\xC2\""), S("\"\xC2\x7F\""), S("\"\xC2\xC0\""),
    S("\"\xE0\x80\x80\""), S("\"\xE0\x9F\xBF\""), S("\"\xE0\xA0\x80\""), S("\"\xED\x9F\xBF\""),
    S("\"\xED\xA0\x80\""), S("\"\xED\xBF\xBF\""), S("\"\xEE\x80\x80\""), S("\"\xEF\xBF\xBF\""),
    S("\"\xF0\x80\x80\x80\""), S("\"\xF0\x8F\xBF\xBF\""), S("\"\xF0\x90\x80\x80\""),
    S("\"\xF4\x8F\xBF\xBF\""), S("\"\xF4\x90\x80\x80\""), S("\"\xF5\x80\x80\x80\""), S("\"\xFE\""),
    S("\"\xFF\""), S("\"\xE2\x82\""), S("\"\xE2\""), S("\"\xF0\x9F\x98\""), S("\"\\\xC3\xA9\""),
    S("\"\\u00\xC3\xA9\""), S("\xEF\xBB\xBFnull"), S("\xEF\xBB\xBF{}"), S("\xC3\xA9"), S("\"\xE2\x80\xA8\""),
    S("[]"), S("[ ]"), S("[\n]"), S("["), S("]"), S("[]]"), S("[[]"), S("[[]]"), S("[1]"), S("[1,2]"),
    S("[1 2]"), S("[1,]"), S("[,1]"), S("[,]"), S("[1,,2]"), S("[1;2]"), S("[1:2]"), S("[\"a\":1]"),
    S("[1}"), S("{]"), S("[null,true,false,0,\"\",[],{}]"), S("[[[[[[]]]]]]"), S("[1]x"), S("[1] "),
    S("[1]\n\t\r "), S("[1]\f"), S("[\v1]"), S("\xC2\xA0[]"), S("[1]//c"), S("/*c*/[1]"), S("#c\n[1]"),
    S("[ 1 , 2 ]"), S("[01]"), S("[-]"), S("[1.]"), S("[\"a]"), S("[tru]"), S("[true false]"), S("[nul]"),
    S("{}"), S("{ }"), S("{"), S("}"), S("{}}"), S("{{}}"), S("{\"a\"}"), S("{\"a\":}"), S("{\"a\":1}"),
    S("{\"a\" : 1}"), S("{\"a\":1,}"), S("{,\"a\":1}"), S("{\"a\":1,,\"b\":2}"), S("{\"a\":1 \"b\":2}"),
    S("{\"a\":1;\"b\":2}"), S("{\"a\"=1}"), S("{\"a\"::1}"), S("{\"a\",1}"), S("{a:1}"), S("{'a':1}"),
    S("{1:1}"), S("{null:1}"), S("{true:1}"), S("{[]:1}"), S("{{}:1}"), S("{\"\":1}"), S("{\"a\":1]"),
    S("{\"a\":[}"), S("{\"a\":{}"), S("{\"a\":{\"b\":{\"c\":[]}}}"), S("{\"a\":1}{\"b\":2}"),
    S("{\"a\":1,\"a\":1}"), S("{\"a\":1,\"b\":2,\"a\":3}"), S("{\"a\":1,\"A\":2}"), S("{\"\":1,\"\":2}"),
    S("{\"a\":1,\"\\u0061\":2}"), S("{\"\\u0061\":1,\"a\":2}"), S("{\"\\/\":1,\"/\":2}"),
    S("{\"a\":{\"a\":1}}"), S("{\"a\":{\"b\":1,\"b\":2}}"), S("[{\"a\":1},{\"a\":2}]"),
    S("[{\"a\":1,\"a\":2}]"), S("{\"\xC3\xA9\":1,\"\\u00e9\":2}"), S("{\"\xC3\xA9\":1,\"e\xCC\x81\":2}"),
    S("{\"a\\u0000\":1}"), S("{\"a\0\":1}"), S("{\"a\0b\":1,\"a\0c\":2}"), S("{\"\\ud800\":1}"),
    S("{\"\xFF\":1}"), S("{\"a\n\":1}"), S("{\"a\\n\":1}"), S("{\"a\":1e400,\"b\":}"), S("{\"a\":-}"),
    S("{\"abcdefgh\":\"ijklmnop\",\"abcdefghi\":\"jklmnopq\"}"), S("{\"1234567\\\"\":\"12345678\\\"\"}"),
    S("\"1234567\x1f\""), S("\"12345678\x1f\""), S("\"\x1f" "1234567890\""), S("\"12345678\x80\""),
    S("\"1234567\\u004\""), S("\"12345678901234567890123456789012345678901234567890\""),
#undef S
};

static void test_snippets_as_jansson(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(snippets); i++)
		agree(snippets[i]);
	/* Each also as a member and as an item: the state around a value matters. */
	struct buf b;
	buf_init(&b, 4096);
	for (size_t i = 0; i < ARRAY_LEN(snippets); i++) {
		static const char *const frames[][2] = {
		    {"[", "]"}, {"[0,", ",\"x\"]"}, {"{\"k\":", "}"}, {"{\"k\":", ",\"l\":[]}"}, {"\"", "\""},
		    {"{\"", "\":0}"}};
		for (size_t f = 0; f < ARRAY_LEN(frames); f++) {
			b.len = 0;
			buf_adds(&b, frames[f][0]);
			buf_slice(&b, snippets[i]);
			buf_adds(&b, frames[f][1]);
			agree(buf_view(&b));
		}
	}
	buf_done(&b);
}

static const char *const documents[] = {
    "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"metadata\":{\"creationTimestamp\":"
    "null},\"spec\":{\"token\":\"ey.J-_\",\"audiences\":[\"https://k\\u00e9\",\"b\"]},\"status\":{\"user\":{}}}",
    "{\"kind\":\"SubjectAccessReview\",\"spec\":{\"resourceAttributes\":{\"verb\":\"get\",\"fieldSelector\":{"
    "\"requirements\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"x\"]}]}},\"user\":\"j\xC3\xA9\",\"extra\":{\"a/"
    "b\":[\"1\"]}}}",
    "[-1.5e+10, 0, true, false, null, \"\\ud83d\\ude00\\\"\\\\\\/\", {}, [], {\"a\":[{\"b\":[[]]}]}]",
};

/* Every change of one bit, every prefix, every byte left out, doubled or replaced by a special one. */
static void test_mutations_as_jansson(void **state)
{
	(void)state;
	static const char special[] = "\"\\{}[]:,0-eu \n\x01\x7f\x80\xC3\xFF";
	struct buf b;
	buf_init(&b, 4096);
	for (size_t d = 0; d < ARRAY_LEN(documents); d++) {
		struct slice doc = slice_of(documents[d]);
		agree(doc);
		for (size_t at = 0; at < doc.len; at++) {
			struct slice head = {doc.p, at}, tail = slice_skip(doc, at + 1);
			agree(head);
			b.len = 0;
			buf_slice(&b, head);
			buf_slice(&b, tail);
			agree(buf_view(&b));
			b.len = 0;
			buf_slice(&b, head);
			buf_addc(&b, doc.p[at]);
			buf_addc(&b, doc.p[at]);
			buf_slice(&b, tail);
			agree(buf_view(&b));
			for (size_t k = 0; k < 8 + sizeof(special); k++) {
				b.len = 0;
				buf_slice(&b, head);
				buf_addc(&b, k < 8 ? (char)(doc.p[at] ^ (1 << k)) : special[k - 8]);
				buf_slice(&b, tail);
				agree(buf_view(&b));
			}
		}
	}
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_a_review),
	    cmocka_unit_test(test_plain_strings_borrow),
	    cmocka_unit_test(test_type_errors_name_the_byte),
	    cmocka_unit_test(test_misuse_is_an_internal_error),
	    cmocka_unit_test(test_depth_is_limited),
	    cmocka_unit_test(test_duplicates_are_found_at_every_size),
	    cmocka_unit_test(test_lists_are_limited),
	    cmocka_unit_test(test_arena_cap_ends_unescaping),
	    cmocka_unit_test(test_snippets_as_jansson),
	    cmocka_unit_test(test_mutations_as_jansson),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
