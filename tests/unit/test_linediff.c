/* Proves unified differences: as diff -u prints them, and from random texts back to both of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "cli/linediff.h"

static void test_differences_are_those_of_diff_u(void **state)
{
	(void)state;
	static const struct {
		const char *old, *new, *want;
	} rows[] = {
	    {"", "", ""},
	    {"a\n", "a\n", ""},
	    {"", "a\nb\n", "--- x\n+++ y\n@@ -0,0 +1,2 @@\n+a\n+b\n"},
	    {"a\n", "", "--- x\n+++ y\n@@ -1 +0,0 @@\n-a\n"},
	    {"a\nb\nc\n", "a\nB\nc\n", "--- x\n+++ y\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
	    {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
		"--- x\n+++ y\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n"},
	    /* Six lines between two changes are one hunk, seven are two. */
	    {"a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
		"--- x\n+++ y\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n"},
	    {"a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
		"--- x\n+++ y\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n"},
	    {"a\nb\nc\nd\n", "b\nc\nd\ne\n", "--- x\n+++ y\n@@ -1,4 +1,4 @@\n-a\n b\n c\n d\n+e\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;
		buf_init(&b, 1 << 16);
		linediff(&b, "x", slice_of(rows[i].old), "y", slice_of(rows[i].new));
		assert_string_equal(buf_cstr(&b), rows[i].want);
		buf_done(&b);
	}
}

#define LINES 30

struct text {
	struct buf b;
	size_t ends[LINES + 1], n;
};

static void random_text(struct text *t, unsigned *seed)
{
	size_t n = (size_t)rand_r(seed) % LINES;
	buf_init(&t->b, 1 << 16);
	t->n = 0;
	for (size_t i = 0; i < n; i++) {
		buf_printf(&t->b, "%d\n", rand_r(seed) % 4);
		t->ends[++t->n] = t->b.len;
	}
	t->ends[0] = 0;
}

static void copy_lines(struct buf *to, const struct text *from, size_t *done, size_t until)
{
	for (; *done < until; ++*done)
		buf_add(to, from->b.p + from->ends[*done], from->ends[*done + 1] - from->ends[*done]);
}

/* Applies the hunks to OLD as patch(1) does; what they say of it must be so. */
static void patch(const struct text *old, char *diff, struct buf *out)
{
	size_t done = 0;
	for (char *line = strtok_r(diff, "\n", &diff); line; line = strtok_r(NULL, "\n", &diff)) {
		size_t at, n = 1;
		if (strncmp(line, "--- ", 4) == 0 || strncmp(line, "+++ ", 4) == 0)
			continue;
		if (line[0] == '@') {
			assert_true(sscanf(line, "@@ -%zu,%zu", &at, &n) >= 1);
			copy_lines(out, old, &done, n ? at - 1 : at);
			continue;
		}
		if (line[0] != '-')
			buf_printf(out, "%s\n", line + 1);
		if (line[0] != '+') {
			assert_memory_equal(old->b.p + old->ends[done], line + 1, strlen(line + 1));
			done++;
		}
	}
	copy_lines(out, old, &done, old->n);
}

static void test_a_difference_leads_from_one_text_to_the_other(void **state)
{
	(void)state;
	unsigned seed = 1;
	for (int round = 0; round < 3000; round++) {
		struct text old, new;
		struct buf diff, got;
		random_text(&old, &seed);
		random_text(&new, &seed);
		buf_init(&diff, 1 << 16);
		buf_init(&got, 1 << 16);
		linediff(&diff, "x", buf_view(&old.b), "y", buf_view(&new.b));
		buf_cstr(&diff);
		if (diff.len)
			patch(&old, diff.p, &got);
		else
			buf_slice(&got, buf_view(&old.b));
		assert_string_equal(buf_cstr(&got), buf_cstr(&new.b));
		buf_done(&diff);
		buf_done(&got);
		buf_done(&old.b);
		buf_done(&new.b);
	}
}

static void test_very_long_texts_are_one_change(void **state)
{
	(void)state;
	struct buf old, new, diff;
	buf_init(&old, 1 << 20);
	buf_init(&new, 1 << 20);
	buf_init(&diff, 1 << 20);
	buf_adds(&old, "same\n");
	buf_adds(&new, "same\n");
	for (int i = 0; i < 6000; i++) {
		buf_printf(&old, "%d\n", i);
		buf_printf(&new, "%d\n", i + 1);
	}
	linediff(&diff, "x", buf_view(&old), "y", buf_view(&new));
	assert_non_null(strstr(buf_cstr(&diff), "@@ -1,6001 +1,6001 @@\n same\n-0\n"));
	buf_done(&old);
	buf_done(&new);
	buf_done(&diff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_differences_are_those_of_diff_u),
	    cmocka_unit_test(test_a_difference_leads_from_one_text_to_the_other),
	    cmocka_unit_test(test_very_long_texts_are_one_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
