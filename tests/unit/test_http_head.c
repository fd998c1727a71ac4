/* Proves the reading of a request's head: only a body whose length is beyond doubt is read (RFC 9112 6.3),
 * media types are compared as they should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/http1.h"

struct line {
	const char *name, *value;
};

static struct http1_head read_head(const struct line *lines)
{
	struct http1_head h = {0};
	for (; lines->name; lines++)
		http1_head_field(&h, slice_of(lines->name), slice_of(lines->value));
	return h;
}

static void test_framing(void **state)
{
	(void)state;
	static const struct {
		struct line lines[4];
		bool ok;
		uint64_t length;
	} cases[] = {
	    {{{0}}, true, 0},
	    {{{"content-LENGTH", "17"}}, true, 17},
	    {{{"Content-Length", "000000000000000017"}}, true, 17},
	    {{{"Transfer-Encoding", "chunked"}}, true, 0},
	    {{{"Transfer-Encoding", "Chunked"}}, true, 0},
	    {{{"Content-Length", "17"}, {"Content-Length", "17"}}, false, 0},
	    {{{"Content-Length", "17"}, {"Transfer-Encoding", "chunked"}}, false, 0},
	    {{{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}, false, 0},
	    {{{"Transfer-Encoding", "gzip, chunked"}}, false, 0},
	    {{{"Transfer-Encoding", "identity"}}, false, 0},
	    {{{"Transfer-Encoding", "xchunked"}}, false, 0},
	    {{{"Transfer-Encoding", ""}}, false, 0},
	    {{{"Content-Length", ""}}, false, 0},
	    {{{"Content-Length", "+17"}}, false, 0},
	    {{{"Content-Length", "-1"}}, false, 0},
	    {{{"Content-Length", "17, 17"}}, false, 0},
	    {{{"Content-Length", "0x11"}}, false, 0},
	    {{{"Content-Length", "17 "}}, false, 0},
	    {{{"Content-Length", "9999999999999999999999999"}}, false, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http1_head h = read_head(cases[i].lines);
		if (http1_head_framed(&h) != cases[i].ok)
			fail_msg("case %zu: %s", i, cases[i].ok ? "refused" : "accepted");
		if (cases[i].ok)
			assert_int_equal(h.length, cases[i].length);
	}
}

static void test_headers_are_kept_and_counted(void **state)
{
	(void)state;
	static const struct line lines[] = {{"authorization", "Basic eDp5"},
	    {"CONTENT-TYPE", "a/b"}, {"Content-Type", "c/d"}, {"X-Content-Type", "e/f"}, {0}};
	struct http1_head h = read_head(lines);
	assert_true(slice_is(h.authorization, "Basic eDp5"));
	assert_int_equal(h.authorizations, 1);
	assert_int_equal(h.types, 2);
}

static void test_media_types(void **state)
{
	(void)state;
	static const struct {
		const char *type;
		bool json;
	} cases[] = {
	    {"application/json", true},
	    {"Application/JSON", true},
	    {"application/json; charset=utf-8", true},
	    {"application/json ;charset=utf-8", true},
	    {"application/json\t", true},
	    {"", false},
	    {"text/plain", false},
	    {"application/jsonx", false},
	    {"application/json, text/plain", false},
	    {"application/vnd.kubernetes.protobuf", false},
	    {"; application/json", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct exchange ex = {.request.content_type = slice_of(cases[i].type)};
		if (exchange_is_json(&ex) != cases[i].json)
			fail_msg("%s", cases[i].type);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_framing),
	    cmocka_unit_test(test_headers_are_kept_and_counted),
	    cmocka_unit_test(test_media_types),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
