/* Proves the copy of the last good policy: what was saved comes back, what was damaged does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/file.h"
#include "server/lastgood.h"

static char dir[] = "/tmp/portcullis-lastgood-XXXXXX";

static const struct policy_file files[] = {
    {"policy/a.yaml", {"rules: []\n", 10}, POLICY_FILE_NATIVE},
    {"policy/with space\tand 12 34.yaml", {"text with \0 and\n\nlines\n", 23}, POLICY_FILE_RBAC},
    {"c", {"", 0}, POLICY_FILE_ABAC},
};

static const char *path(struct arena *a)
{
	return arena_printf(a, "%s/last-good-policy", dir);
}

static void save(void)
{
	struct err e = {0};
	if (lastgood_save(dir, files, ARRAY_LEN(files), &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

static enum err_code load(struct arena *a, struct policy_file **out, size_t *n)
{
	struct err e = {0};
	return lastgood_load(dir, a, out, n, &e);
}

static void test_nothing_saved_is_not_found(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 0);
	struct policy_file *got;
	size_t n;
	assert_int_equal(load(&a, &got, &n), ERR_NOT_FOUND);
	arena_done(&a);
}

static void test_what_was_saved_comes_back(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 0);
	struct policy_file *got;
	size_t n = 0;
	save();
	assert_int_equal(load(&a, &got, &n), ERR_OK);
	assert_int_equal(n, ARRAY_LEN(files));
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(got[i].name, files[i].name);
		assert_true(slice_eq(got[i].text, files[i].text));
		assert_int_equal(got[i].kind, files[i].kind);
	}
	arena_done(&a);
}

/* Every single-byte change and every shorter length. */
static void test_damage_is_noticed(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 0);
	save();
	struct slice whole;
	struct err e = {0};
	assert_int_equal(file_read(&a, path(&a), 1 << 20, &whole, &e), ERR_OK);
	for (size_t i = 0; i < whole.len; i++) {
		struct arena b;
		arena_init(&b, 0);
		struct policy_file *got;
		size_t n;
		char *bad = arena_strndup(&b, whole.p, whole.len);
		bad[i] ^= 1;
		assert_int_equal(file_write_atomic(path(&b), bad, whole.len, 0600, &e), ERR_OK);
		assert_int_equal(load(&b, &got, &n), ERR_INVALID);
		assert_int_equal(file_write_atomic(path(&b), whole.p, i, 0600, &e), ERR_OK);
		assert_int_equal(load(&b, &got, &n), ERR_INVALID);
		arena_done(&b);
	}
	arena_done(&a);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 0);
	unlink(path(&a));
	arena_done(&a);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_saved_is_not_found),
	    cmocka_unit_test(test_what_was_saved_comes_back),
	    cmocka_unit_test(test_damage_is_noticed),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
