/* Proves the templates in force: the last good ones stay, whatever becomes of the file, for whoever still reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/file.h"
#include "rbac-sync/templates.h"

#define HEAD "apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\ntemplates:\n"
#define GRANT "  match: {groups: [a]}\n  grants: [{clusterRole: view, scope: cluster}]\n"
#define ONE HEAD "- name: one\n" GRANT
#define TWO HEAD "- name: two\n" GRANT

static char dir[] = "/tmp/test-templates-XXXXXX";
static char path[64];

static void put(const char *text)
{
	struct err e;
	if (file_write_atomic(path, text, strlen(text), 0644, &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

static const char *first_name(struct templates *t)
{
	struct templates_held *h = templates_hold(t);
	const struct template *first = h->config->templates.items;
	static char name[64];
	snprintf(name, sizeof(name), "%s", first->name);
	templates_let(t, &h);
	return name;
}

static enum templates_word look(struct templates *t)
{
	struct templates_held *fresh;
	struct err why = {0};
	enum templates_word word = templates_read(t, &fresh, &why);
	assert_true((word == TEMPLATES_REJECTED) == (why.msg[0] != '\0'));
	assert_true((word == TEMPLATES_NEW) == (fresh != NULL));
	if (fresh)
		templates_use(t, &fresh);
	return word;
}

static void test_the_last_good_ones_stay(void **state)
{
	(void)state;
	struct templates *t;
	struct diags d = {0};
	put(ONE);
	assert_int_equal(templates_new(path, &t, &d), ERR_OK);
	diags_done(&d);
	assert_int_equal(look(t), TEMPLATES_SAME);
	static const char *const bad[] = {"", "x: y\n", HEAD "- name: one\n", HEAD "[]\n",
	    "apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\ntemplates: []\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put(bad[i]);
		assert_int_equal(look(t), TEMPLATES_REJECTED);
		assert_int_equal(look(t), TEMPLATES_SAME); /* told once */
		assert_true(templates_stale(t));
		assert_string_equal(first_name(t), "one");
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(look(t), TEMPLATES_REJECTED);
	put(ONE); /* back to what is in force: nothing is new */
	assert_int_equal(look(t), TEMPLATES_SAME);
	assert_false(templates_stale(t));
	put(TWO);
	assert_int_equal(look(t), TEMPLATES_NEW);
	assert_string_equal(first_name(t), "two");
	templates_free(&t);
	assert_null(t);
}

static void test_who_reads_the_old_ones_may_go_on(void **state)
{
	(void)state;
	struct templates *t;
	struct diags d = {0};
	put(ONE);
	assert_int_equal(templates_new(path, &t, &d), ERR_OK);
	diags_done(&d);
	struct templates_held *old = templates_hold(t), *again = templates_hold(t);
	put(TWO);
	assert_int_equal(look(t), TEMPLATES_NEW);
	templates_let(t, &again);
	const struct template *first = old->config->templates.items;
	assert_string_equal(first->name, "one");
	templates_let(t, &old);
	assert_null(old);
	templates_let(t, &old); /* nothing held, nothing let go */
	assert_string_equal(first_name(t), "two");
	templates_free(&t);
}

static void test_a_bad_file_at_the_start_is_no_start(void **state)
{
	(void)state;
	struct templates *t;
	struct diags d = {0};
	put("kind: SyncConfig\n");
	assert_int_not_equal(templates_new(path, &t, &d), ERR_OK);
	assert_null(t);
	assert_true(d.errors > 0);
	diags_done(&d);
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/t.yaml", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_last_good_ones_stay),
	    cmocka_unit_test(test_who_reads_the_old_ones_may_go_on),
	    cmocka_unit_test(test_a_bad_file_at_the_start_is_no_start),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
