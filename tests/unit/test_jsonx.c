/* Proves strict JSON loading through jansson and the typed getters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/jsonx.h"

#define MAX 4096

static void test_refuses_what_is_not_strict(void **state)
{
	(void)state;
	static const struct {
		struct slice in;
		enum err_code code;
		const char *text;
	} cases[] = {
	    {SLICE(""), ERR_INVALID, "empty"},
	    {SLICE("[]"), ERR_INVALID, "not a JSON object"},
	    {SLICE("null"), ERR_INVALID, "not JSON"},
	    {SLICE("\"a\""), ERR_INVALID, "not JSON"},
	    {SLICE("{\"a\":1,\"a\":2}"), ERR_INVALID, "stands twice"},
	    {SLICE("{\"a\":{\"b\":1,\"\\u0062\":2}}"), ERR_INVALID, "stands twice"},
	    {SLICE("{} {}"), ERR_INVALID, "not JSON"},
	    {SLICE("{}x"), ERR_INVALID, "not JSON"},
	    {SLICE("{}\0"), ERR_INVALID, "NUL"},
	    {SLICE("{\"a\":1\0}"), ERR_INVALID, "NUL"},
	    {SLICE("{\"a\":\"\\u0000\"}"), ERR_INVALID, "not JSON"},
	    {SLICE("{\"a\":\"\xC3\"}"), ERR_INVALID, "not JSON"},
	    {SLICE("{\"a\":\"\\ud800\"}"), ERR_INVALID, "not JSON"},
	    {SLICE("{\"a\":9223372036854775808}"), ERR_INVALID, "not JSON"},
	    {SLICE("{\"a\":1e999}"), ERR_INVALID, "not JSON"},
	    {SLICE("{\"a\":1,}"), ERR_INVALID, "not JSON"},
	    {SLICE("\xEF\xBB\xBF{}"), ERR_INVALID, "not JSON"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = {0};
		json_t *j = NULL;
		assert_int_equal(jsonx_object(cases[i].in, MAX, &j, &e), cases[i].code);
		if (!strstr(e.msg, cases[i].text))
			fail_msg("case %zu: %s", i, e.msg);
		assert_null(j);
	}
}

static void test_errors_repeat_nothing_of_the_input(void **state)
{
	(void)state;
	static const struct slice cases[] = {SLICE("{\"token\":secret}"), SLICE("{\"secret\":1,\"secret\":2}"),
	    SLICE("{\"a\":\"secret\\q\"}"), SLICE("secret")};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = {0};
		json_t *j = NULL;
		assert_int_equal(jsonx_object(cases[i], MAX, &j, &e), ERR_INVALID);
		assert_null(strstr(e.msg, "secret"));
	}
}

static void test_limits(void **state)
{
	(void)state;
	struct err e = {0};
	json_t *j = NULL;
	assert_int_equal(jsonx_object(SLICE("{\"a\":1}"), 6, &j, &e), ERR_LIMIT);
	assert_int_equal(jsonx_object(SLICE("{\"a\":1}"), 7, &j, &e), ERR_OK);
	jsonx_unref(&j);
	assert_null(j);
	for (int depth = JSONX_DEPTH; depth <= JSONX_DEPTH + 1; depth++) {
		struct buf b;
		buf_init(&b, MAX);
		/* Brackets inside of strings are no depth. */
		buf_adds(&b, "{\"[[{{\\\"[[\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\",\"k\":");
		for (int i = 1; i < depth; i++)
			buf_addc(&b, '[');
		for (int i = 1; i < depth; i++)
			buf_addc(&b, ']');
		buf_addc(&b, '}');
		assert_int_equal(jsonx_object(buf_view(&b), MAX, &j, &e),
		    depth == JSONX_DEPTH ? ERR_OK : ERR_LIMIT);
		jsonx_unref(&j);
		buf_done(&b);
	}
}

struct loaded {
	struct arena arena;
	json_t *j;
};

static void load(struct loaded *l, const char *text)
{
	*l = (struct loaded){0};
	struct err e = {0};
	assert_int_equal(jsonx_object(slice_of(text), MAX, &l->j, &e), ERR_OK);
	jsonx_on_done(&l->arena, l->j);
}

static void test_strings(void **state)
{
	(void)state;
	struct loaded l;
	struct err e = {0};
	struct slice s;
	load(&l, "{\"s\":\"x\",\"empty\":\"\",\"n\":1,\"z\":null}");
	assert_int_equal(jsonx_string(l.j, "s", &s, &e), ERR_OK);
	assert_true(slice_is(s, "x"));
	assert_int_equal(jsonx_string(l.j, "empty", &s, &e), ERR_OK);
	assert_non_null(s.p);
	assert_int_equal(jsonx_string(l.j, "absent", &s, &e), ERR_OK);
	assert_null(s.p);
	assert_int_equal(jsonx_string(l.j, "S", &s, &e), ERR_OK);
	assert_null(s.p);
	assert_int_equal(jsonx_string(l.j, "n", &s, &e), ERR_INVALID);
	assert_string_equal(e.msg, "n: not a string");
	assert_int_equal(jsonx_string(l.j, "z", &s, &e), ERR_INVALID);
	assert_null(s.p);
	arena_done(&l.arena);
}

static void test_ints(void **state)
{
	(void)state;
	static const struct {
		const char *key;
		enum err_code code;
		bool have;
		int64_t value;
	} cases[] = {
	    {"max", ERR_OK, true, INT64_MAX},
	    {"min", ERR_OK, true, INT64_MIN},
	    {"zero", ERR_OK, true, 0},
	    {"absent", ERR_OK, false, 0},
	    {"real", ERR_INVALID, false, 0},
	    {"exp", ERR_INVALID, false, 0},
	    {"text", ERR_INVALID, false, 0},
	    {"null", ERR_INVALID, false, 0},
	    {"bool", ERR_INVALID, false, 0},
	};
	struct loaded l;
	load(&l, "{\"max\":9223372036854775807,\"min\":-9223372036854775808,\"zero\":0,\"real\":1.0,"
		 "\"exp\":1e3,\"text\":\"1\",\"null\":null,\"bool\":true}");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = {0};
		int64_t v = 77;
		bool have = !cases[i].have;
		assert_int_equal(jsonx_int(l.j, cases[i].key, &v, &have, &e), cases[i].code);
		assert_int_equal(have, cases[i].have);
		assert_true(v == cases[i].value);
	}
	arena_done(&l.arena);
}

static void test_string_lists(void **state)
{
	(void)state;
	static const struct {
		const char *key;
		bool single_ok;
		enum err_code code;
		size_t n;
		const char *last;
	} cases[] = {
	    {"two", false, ERR_OK, 2, "b"},
	    {"two", true, ERR_OK, 2, "b"},
	    {"none", false, ERR_OK, 0, NULL},
	    {"absent", false, ERR_OK, 0, NULL},
	    {"one", true, ERR_OK, 1, "c"},
	    {"one", false, ERR_INVALID, 0, NULL},
	    {"mixed", true, ERR_INVALID, 0, NULL},
	    {"object", true, ERR_INVALID, 0, NULL},
	    {"null", true, ERR_INVALID, 0, NULL},
	};
	struct loaded l;
	load(&l, "{\"two\":[\"a\",\"b\"],\"none\":[],\"one\":\"c\",\"mixed\":[\"a\",1],\"object\":{},"
		 "\"null\":null}");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = {0};
		struct slice *items;
		size_t n = 77;
		assert_int_equal(jsonx_strings(l.j, cases[i].key, cases[i].single_ok, &l.arena,
				     &items, &n, &e),
		    cases[i].code);
		assert_int_equal(n, cases[i].n);
		if (cases[i].last)
			assert_true(slice_is(items[n - 1], cases[i].last));
	}
	struct err e = {0};
	struct slice *items;
	size_t n;
	assert_int_equal(jsonx_strings(l.j, "mixed", false, &l.arena, &items, &n, &e), ERR_INVALID);
	assert_string_equal(e.msg, "mixed[1]: not a string");
	arena_done(&l.arena);
}

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refuses_what_is_not_strict),
	    cmocka_unit_test(test_errors_repeat_nothing_of_the_input),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_ints),
	    cmocka_unit_test(test_string_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
