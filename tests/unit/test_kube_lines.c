/* Proves that a stream gives the same lines however it is cut, and that no line can grow without end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rbac-sync/kube_lines.h"

struct seen {
	struct buf text; /* the lines, each with a '|' behind it */
	size_t lines, stop_at;
};

static bool note(void *ctx, struct slice line)
{
	struct seen *s = ctx;
	buf_slice(&s->text, line);
	buf_addc(&s->text, '|');
	s->lines++;
	return s->lines != s->stop_at;
}

/* Feeds TEXT in pieces of SIZE. */
static bool feed(struct kube_lines *l, struct slice text, size_t size, struct seen *s)
{
	for (; text.len; text = slice_skip(text, size)) {
		if (!kube_lines_feed(l, (struct slice){text.p, text.len < size ? text.len : size}, note, s))
			return false;
	}
	return true;
}

static void test_pieces_of_any_size(void **state)
{
	(void)state;
	static const struct {
		const char *text, *lines;
		bool cut;
	} rows[] = {
	    {"", "", false},
	    {"\n", "", false},
	    {"\n\n\n", "", false},
	    {"one\n", "one|", false},
	    {"one", "", true},
	    {"one\ntwo\n", "one|two|", false},
	    {"one\n\ntwo\nthr", "one|two|", true},
	    {"\none\r\n", "one\r|", false},
	    {"{\"a\":1}\n{\"b\":\"\\n\"}\n", "{\"a\":1}|{\"b\":\"\\n\"}|", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t size = 1; size < 24; size++) {
			struct seen s = {0};
			struct kube_lines l;
			buf_init(&s.text, 1000);
			kube_lines_init(&l, 100);
			assert_true(feed(&l, slice_of(rows[i].text), size, &s));
			assert_string_equal(buf_cstr(&s.text), rows[i].lines);
			assert_int_equal(kube_lines_cut(&l), rows[i].cut);
			assert_false(l.over);
			kube_lines_done(&l);
			buf_done(&s.text);
		}
	}
}

static void test_a_line_has_a_limit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool over;
		size_t lines;
	} rows[] = {
	    {"12345\n12345\n", false, 2},
	    {"123456\n", true, 0},
	    {"123456", true, 0},
	    {"12345\n123456\n1\n", true, 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t size = 1; size < 20; size++) {
			struct seen s = {0};
			struct kube_lines l;
			buf_init(&s.text, 1000);
			kube_lines_init(&l, 5);
			assert_int_equal(feed(&l, slice_of(rows[i].text), size, &s), !rows[i].over);
			assert_int_equal(l.over, rows[i].over);
			assert_int_equal(s.lines, rows[i].lines);
			kube_lines_done(&l);
			buf_done(&s.text);
		}
	}
}

static void test_the_reader_may_stop(void **state)
{
	(void)state;
	struct seen s = {.stop_at = 2};
	struct kube_lines l;
	buf_init(&s.text, 1000);
	kube_lines_init(&l, 100);
	assert_false(feed(&l, SLICE("a\nb\nc\n"), 100, &s));
	assert_string_equal(buf_cstr(&s.text), "a|b|");
	assert_false(l.over);
	kube_lines_done(&l);
	buf_done(&s.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pieces_of_any_size),
	    cmocka_unit_test(test_a_line_has_a_limit),
	    cmocka_unit_test(test_the_reader_may_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
