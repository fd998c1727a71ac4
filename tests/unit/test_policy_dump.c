/* Proves the compiled form of the golden policies, byte for byte. GOLDEN_UPDATE=1 writes the files anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/file.h"
#include "tests/support/policy_text.h"

static void check_golden(const char *name)
{
	AUTO(arena_done) struct arena a = {0};
	AUTO(policy_free) struct policy *p = NULL;
	AUTO(buf_done) struct buf got;
	struct policy_file *files;
	struct diags d = {0};
	struct slice want = {0};
	struct err e = {0};
	size_t n;
	const char *top = getenv("top_srcdir");
	const char *base = arena_printf(&a, "%s/tests/golden/policy/%s", top ? top : ".", name);
	const char *golden = arena_printf(&a, "%s.txt", base);
	buf_init(&got, 1 << 20);
	if (policy_read(&a, arena_printf(&a, "%s.yaml", base), &files, &n, &d) != ERR_OK ||
	    policy_compile(files, n, authz_run_tests, &p, &d) != ERR_OK) {
		diags_print(&d, &got);
		fail_msg("%s", buf_cstr(&got));
	}
	policy_dump(p, &got);
	if (getenv("GOLDEN_UPDATE"))
		assert_int_equal(file_write_atomic(golden, got.p, got.len, 0644, &e), ERR_OK);
	if (file_read(&a, golden, 1 << 20, &want, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	if (!slice_eq(buf_view(&got), want))
		fail_msg("%s is not what is compiled:\n%s", golden, buf_cstr(&got));
	diags_done(&d);
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
