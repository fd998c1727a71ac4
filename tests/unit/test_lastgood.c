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

static struct policy_file files[] = {
    {"policy/a.yaml", {"rules: []\n", 10}, POLICY_FILE_NATIVE},
    {"policy/with space\tand 12 34.yaml", {"text with \0 and\n\nlines\n", 23}, POLICY_FILE_RBAC},
    {"c", {"", 0}, POLICY_FILE_ABAC},
};

static const struct lastgood saved = {.path = "/etc/policy dir/",
    .base = "/etc/policy dir",
    .files = files,
    .n = ARRAY_LEN(files),
    .signature = {"a\n\0b", 4}};

static const char *path(struct arena *a)
{
	return arena_printf(a, "%s/last-good-policy", dir);
}

static void save(void)
{
	struct err e = {0};
	if (lastgood_save(dir, &saved, &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

static enum err_code load(struct lastgood *out)
{
	struct err e = {0};
	return lastgood_load(dir, out, &e);
}

static void test_nothing_saved_is_not_found(void **state)
{
	(void)state;
	struct lastgood got;
	assert_int_equal(load(&got), ERR_NOT_FOUND);
	lastgood_done(&got);
}

static void test_what_was_saved_comes_back(void **state)
{
	(void)state;
	struct lastgood got;
	save();
	assert_int_equal(load(&got), ERR_OK);
	assert_string_equal(got.path, saved.path);
	assert_string_equal(got.base, saved.base);
	assert_true(slice_eq(got.signature, saved.signature));
	assert_int_equal(got.n, ARRAY_LEN(files));
	for (size_t i = 0; i < got.n; i++) {
		assert_string_equal(got.files[i].name, files[i].name);
		assert_true(slice_eq(got.files[i].text, files[i].text));
		assert_int_equal(got.files[i].kind, files[i].kind);
	}
	lastgood_done(&got);
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
		struct lastgood got;
		char *bad = arena_strndup(&b, whole.p, whole.len);
		bad[i] ^= 1;
		assert_int_equal(file_write_atomic(path(&b), bad, whole.len, 0600, &e), ERR_OK);
		assert_int_equal(load(&got), ERR_INVALID);
		lastgood_done(&got);
		assert_int_equal(file_write_atomic(path(&b), whole.p, i, 0600, &e), ERR_OK);
		assert_int_equal(load(&got), ERR_INVALID);
		lastgood_done(&got);
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
