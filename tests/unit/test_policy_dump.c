/* Proves the compiled form of the golden policies, and the schema of the language, byte for byte.
 * GOLDEN_UPDATE=1 writes the files anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/file.h"
#include "common/schema.h"
#include "tests/support/policy_text.h"

static const char *in_tree(struct arena *a, const char *path)
{
	const char *top = getenv("top_srcdir");
	return arena_printf(a, "%s/%s", top ? top : ".", path);
}

static void compare(struct arena *a, const char *path, const struct buf *got)
{
	struct slice want = {0};
	struct err e = {0};
	if (getenv("GOLDEN_UPDATE"))
		assert_int_equal(file_write_atomic(path, got->p, got->len, 0644, &e), ERR_OK);
	if (file_read(a, path, 1 << 20, &want, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	if (!slice_eq(buf_view(got), want))
		fail_msg("%s is not what is made:\n" SLICE_FMT, path, SLICE_ARG(buf_view(got)));
}

static void check_golden(const char *name)
{
	AUTO(arena_done) struct arena a = {0};
	AUTO(policy_free) struct policy *p = NULL;
	AUTO(buf_done) struct buf got;
	struct policy_file *files;
	struct diags d = {0};
	size_t n;
	const char *base = in_tree(&a, arena_printf(&a, "tests/golden/policy/%s", name));
	buf_init(&got, 1 << 20);
	if (policy_read(&a, arena_printf(&a, "%s.yaml", base), &files, &n, &d) != ERR_OK ||
	    policy_compile(files, n, authz_run_tests, &p, &d) != ERR_OK) {
		diags_print(&d, &got);
		fail_msg("%s", buf_cstr(&got));
	}
	policy_dump(p, &got);
	compare(&a, arena_printf(&a, "%s.txt", base), &got);
	diags_done(&d);
}

static void test_the_published_schema(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	AUTO(buf_done) struct buf got;
	buf_init(&got, 1 << 20);
	schema_print_json(policy_schema(), "AccessPolicy of Portcullis", &got);
	compare(&a, in_tree(&a, "docs/access-policy.schema.json"), &got);
}

static void test_full(void **state)
{
	(void)state;
	check_golden("full");
}

static void test_empty(void **state)
{
	(void)state;
	check_golden("empty");
}

static void test_dimensions(void **state)
{
	(void)state;
	check_golden("dimensions");
}

static void test_quoting(void **state)
{
	(void)state;
	check_golden("quoting");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_dimensions),
	    cmocka_unit_test(test_quoting),
	    cmocka_unit_test(test_the_published_schema),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
