/* Proves label selectors: they are read and they fit as Kubernetes' own do, by the cases of its tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/jsonx.h"
#include "rbac-sync/selector.h"

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct selector *parse(struct arena *a, const char *text)
{
	struct selector *s = NULL;
	struct err e;
	if (selector_parse(slice_of(text), a, &s, &e) != ERR_OK)
		fail_msg("%s: %s", text, e.msg);
	return s;
}

static void test_read_as_upstream_reads_them(void **state)
{
	(void)state;
	static const char *const good[] = {"x=a,y=b,z=c", "x!=a,y=b", "x=", "x= ", "x=,z= ", "x= ,z= ", "!x",
	    "x>1", "x>1,z<5", "\rx", "this-is-a-dns.domain.com/key-with-dash",
	    "this-is-another-dns.domain.com/key-with-dash in (so,what)",
	    "0.1.2.domain/99 notin (10.10.100.1, tick.tack.clock)", "foo  in\t (abc)", "x notin\n (abc)",
	    "x  notin\t\t\t(abc,def)", "x in (abc,)", "x in ()", "x notin (abc,,def),bar,z in (),w",
	    "x,y in (a)", "x=a,y!=b,z in (h,i,j)", "x notin ( )", "x notin (, a)", "a ",
	    "a in (x,y,notin, z,in)", "1foo in (bar)", "1234 in (bar)", "in", "notin", "!in", "in in (in)",
	    "x == a", "x>9223372036854775807", "x in (a,a,a)",
	    A63 "=" A63};
	static const char *const bad[] = {"x=a||y=b", "x==a==b", "!x=a", "x<a", "x,,y", ",x,y", "x nott in (y)",
	    "a in (xyz),", "a in (xyz)b notin ()", "a in (xyz abc)", "a notin(", "a (", "(", ")", "=a", "!", "!!x",
	    "x>", "x>1.5", "x>9223372036854775808", "x<-9223372036854775809", "x>-1", "x<+1", "x in a", "x in", "x notin",
	    "x=(a)", "x=!a", "x y", "a b c", "-x", "x-", "x/y/z", "/x", "x/", "X.org/a", "a..b/c", ".a/b", "a./b",
	    "-a.b/c", "a-.b/c", "x=a b", "x=-a", "x=a/b", "x=a:b", "x\x01", "x=\xc3\xa4", A63 "a", "x=" A63 "a",
	    "x in (a,b", "x in (a,(b))", "x=a,", "!x,"};
	struct arena a;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_non_null(parse(&a, good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct selector *s = NULL;
		struct err e = {0};
		if (selector_parse(slice_of(bad[i]), &a, &s, &e) != ERR_INVALID || s || !e.msg[0])
			fail_msg("%s was read", bad[i]);
		assert_true(slice_printable(slice_of(e.msg)));
	}
	arena_done(&a);
}

static void test_an_empty_one_is_refused_though_upstream_fits_all(void **state)
{
	(void)state;
	static const char *const none[] = {"", " ", "\t\n"};
	struct arena a;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		struct selector *s;
		struct err e;
		assert_int_equal(selector_parse(slice_of(none[i]), &a, &s, &e), ERR_INVALID);
	}
	arena_done(&a);
}

static void test_fits_as_upstream_fits(void **state)
{
	(void)state;
	static const struct {
		const char *selector, *labels;
		bool fits;
	} rows[] = {
	    {"x=y", "{\"x\":\"y\"}", true},
	    {"x=y,z=w", "{\"x\":\"y\",\"z\":\"w\"}", true},
	    {"x!=y,z!=w", "{\"x\":\"z\",\"z\":\"a\"}", true},
	    {"notin=in", "{\"notin\":\"in\"}", true},
	    {"x", "{\"x\":\"z\"}", true},
	    {"!x", "{\"y\":\"z\"}", true},
	    {"x>1", "{\"x\":\"2\"}", true},
	    {"x<1", "{\"x\":\"0\"}", true},
	    {"x=z", "{}", false},
	    {"x=y", "{\"x\":\"z\"}", false},
	    {"x=y,z=w", "{\"x\":\"w\",\"z\":\"w\"}", false},
	    {"x!=y,z!=w", "{\"x\":\"z\",\"z\":\"w\"}", false},
	    {"x", "{\"y\":\"z\"}", false},
	    {"!x", "{\"x\":\"z\"}", false},
	    {"x>1", "{\"x\":\"0\"}", false},
	    {"x<1", "{\"x\":\"2\"}", false},
	    {"foo=bar", "{\"foo\":\"bar\",\"baz\":\"blah\"}", true},
	    {"foo=bar,baz=blah", "{\"foo\":\"bar\",\"baz\":\"blah\"}", true},
	    {"baz=bar", "{\"foo\":\"bar\",\"baz\":\"blah\"}", false},
	    {"foo=bar,foobar=bar,baz=blah", "{\"foo\":\"bar\",\"baz\":\"blah\"}", false},
	    {"x in (foo),y notin (alpha)", "{\"x\":\"foo\",\"y\":\"baz\"}", true},
	    {"x in (foo),y in (alpha)", "{\"x\":\"foo\",\"y\":\"baz\"}", false},
	    {"x notin (),y", "{\"y\":\"\"}", true},
	    {"!x,y", "{\"y\":\"\"}", true},
	    {"x notin (),!y", "{\"y\":\"\"}", false},
	    {"x in ()", "{\"y\":\"baz\"}", false},
	    {"x in ()", "{\"x\":\"\"}", true},
	    {"z>1", "{\"z\":\"v2\"}", false},
	    /* A key that is absent: not equal, not in, and neither above nor below. */
	    {"x!=y", "{}", true},
	    {"x notin (a,b)", "null", true},
	    {"x", "null", false},
	    {"x<1", "{}", false},
	    {"x>0", "{\"x\":\"\"}", false},
	    {"x=", "{\"x\":\"\"}", true},
	    {"x=", "{}", false},
	    {"x=a", "{\"X\":\"a\",\"x\":\"A\"}", false},
	    {"x notin (abc,,def)", "{\"x\":\"\"}", false},
	    {"x>1", "{\"x\":\"10000000000000000000\"}", false},
	    /* No labels as the apiserver gives them: never a fit by accident. */
	    {"x", "{\"x\":1}", false},
	    {"x=1", "{\"x\":1}", false},
	    {"x", "[]", false},
	};
	struct arena a;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *labels = json_loads(rows[i].labels, JSON_DECODE_ANY, NULL);
		assert_non_null(labels);
		if (selector_matches(parse(&a, rows[i].selector), labels) != rows[i].fits)
			fail_msg("%s on %s", rows[i].selector, rows[i].labels);
		json_decref(labels);
	}
	assert_false(selector_matches(parse(&a, "x"), NULL));
	assert_true(selector_matches(parse(&a, "!x"), NULL));
	arena_done(&a);
}

/* N times TEXT with commas. */
static const char *repeat(struct arena *a, const char *text, size_t n)
{
	const char *out = text;
	for (size_t i = 1; i < n; i++)
		out = arena_printf(a, "%s,%s%zu", out, text, i);
	return out;
}

static void test_limits(void **state)
{
	(void)state;
	struct arena a;
	struct selector *s;
	struct err e;
	arena_init(&a, 0);
	parse(&a, repeat(&a, "x", SELECTOR_TERMS_MAX));
	parse(&a, arena_printf(&a, "x in (%s)", repeat(&a, "v", SELECTOR_VALUES_MAX)));
	const char *terms = repeat(&a, "x", SELECTOR_TERMS_MAX + 1);
	const char *values = arena_printf(&a, "x in (%s)", repeat(&a, "v", SELECTOR_VALUES_MAX + 1));
	assert_int_equal(selector_parse(slice_of(terms), &a, &s, &e), ERR_INVALID);
	assert_int_equal(selector_parse(slice_of(values), &a, &s, &e), ERR_INVALID);
	const char *blank = arena_printf(&a, "%*s", SELECTOR_BYTES_MAX + 1, "x");
	assert_int_equal(selector_parse(slice_of(blank), &a, &s, &e), ERR_INVALID);
	parse(&a, blank + 1);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read_as_upstream_reads_them),
	    cmocka_unit_test(test_an_empty_one_is_refused_though_upstream_fits_all),
	    cmocka_unit_test(test_fits_as_upstream_fits),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
