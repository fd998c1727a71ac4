/* Proves reading, listing and replacing files, on real files and real failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/support/tree.h"

static char dir[64];
static struct arena arena;

static const char *at(const char *name)
{
	return arena_printf(&arena, "%s/%s", dir, name);
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	(void)state;
	memcpy(dir, "file-test-XXXXXX", 17);
	arena_init(&arena, 0);
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	remove_tree(dir);
	arena_done(&arena);
	return 0;
}

static size_t count_entries(void)
{
	size_t n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static enum err_code read_code(const char *name, size_t max)
{
	struct slice got;
	struct err e = {0};
	enum err_code code = file_read(&arena, at(name), max, &got, &e);
	if (code != ERR_OK) {
		assert_int_equal(e.code, code);
		assert_non_null(strstr(e.msg, name));
		assert_int_equal(got.len, 0);
	}
	return code;
}

static void assert_content(const char *name, const char *want)
{
	struct slice got;
	struct err e = {0};
	if (file_read(&arena, at(name), 1 << 20, &got, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	assert_int_equal(got.len, strlen(want));
	assert_string_equal(got.p, want);
}

static void test_read_takes_whole_files_up_to_the_cap(void **state)
{
	(void)state;
	put("a", "hello\n");
	put("empty", "");
	assert_int_equal(symlink("a", at("link")), 0);
	assert_content("a", "hello\n");
	assert_content("link", "hello\n");
	assert_content("empty", "");
	assert_int_equal(read_code("a", 6), ERR_OK);
	assert_int_equal(read_code("a", 5), ERR_LIMIT);
	assert_int_equal(read_code("a", 0), ERR_LIMIT);
	assert_int_equal(read_code("empty", 0), ERR_OK);
}

static void test_read_tells_the_mode_of_the_file_itself(void **state)
{
	(void)state;
	static const mode_t modes[] = {0600, 0640, 0644, 01755};
	struct slice got;
	mode_t mode;
	put("a", "x");
	assert_int_equal(symlink("a", at("link")), 0);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		assert_int_equal(chmod(at("a"), modes[i]), 0);
		assert_int_equal(file_read_mode(&arena, at("link"), 9, &got, &mode, NULL), ERR_OK);
		assert_int_equal(mode, modes[i]);
	}
}

static void test_read_refuses_what_is_no_file(void **state)
{
	(void)state;
	put("a", "x");
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_int_equal(symlink("loop", at("loop")), 0);
	assert_int_equal(symlink("absent", at("dangling")), 0);
	assert_int_equal(symlink("/dev/zero", at("device")), 0);
	static const struct {
		const char *name;
		enum err_code code;
	} cases[] = {
	    {"absent", ERR_NOT_FOUND},	{"a/below", ERR_NOT_FOUND}, {"dangling", ERR_NOT_FOUND},
	    {"fifo", ERR_INVALID},	{"loop", ERR_INVALID},	    {"device", ERR_INVALID},
	    {".", ERR_INVALID},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(read_code(cases[i].name, 100), cases[i].code);
	if (geteuid() == 0)
		return; /* root may read all */
	assert_int_equal(chmod(at("a"), 0), 0);
	assert_int_equal(read_code("a", 100), ERR_REFUSED);
}

/* Files of /proc say that they are empty and are not. */
static void test_read_does_not_trust_the_size(void **state)
{
	(void)state;
	struct slice got;
	struct err e = {0};
	assert_int_equal(file_read(&arena, "/proc/self/status", 1 << 20, &got, &e), ERR_OK);
	assert_non_null(strstr(got.p, "VmSize"));
	assert_int_equal(file_read(&arena, "/proc/self/status", 10, &got, &e), ERR_LIMIT);
}

static atomic_bool replacing;

static void *replace_many(void *arg)
{
	(void)arg;
	static char text[2][20000];
	struct err e = {0};
	enum err_code code = ERR_OK;
	for (int i = 0; i < 200 && code == ERR_OK; i++) {
		char *t = text[i % 2];
		size_t n = i % 2 ? 20000 : 10000;
		memset(t, 'a' + i % 26, n);
		code = file_write_atomic(at("busy"), t, n, 0600, &e);
	}
	atomic_store(&replacing, false);
	return code == ERR_OK ? NULL : (void *)1;
}

static void test_read_under_replacement_is_whole(void **state)
{
	(void)state;
	put("busy", "");
	atomic_store(&replacing, true);
	pthread_t t;
	/* at() allocates from the arena, which the other thread uses from here on. */
	const char *path = at("busy");
	assert_int_equal(pthread_create(&t, NULL, replace_many, NULL), 0);
	struct arena own;
	struct slice got;
	while (atomic_load(&replacing)) {
		arena_init(&own, 0);
		struct err e = {0};
		enum err_code code = file_read(&own, path, 1 << 20, &got, &e);
		assert_true(code == ERR_OK || code == ERR_UNAVAILABLE);
		assert_true(got.len == 0 || got.len == 10000 || got.len == 20000);
		for (size_t i = 1; i < got.len; i++)
			assert_int_equal(got.p[i], got.p[0]);
		arena_done(&own);
	}
	void *failed;
	pthread_join(t, &failed);
	assert_null(failed);
	assert_int_equal(count_entries(), 1);
}

static void test_write_replaces_and_sets_the_mode(void **state)
{
	(void)state;
	struct err e = {0};
	struct stat st;
	mode_t old = umask(077);
	assert_int_equal(file_write_atomic(at("f"), "one", 3, 0644, &e), ERR_OK);
	umask(old);
	assert_int_equal(stat(at("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_content("f", "one");
	assert_int_equal(file_write_atomic(at("f"), "", 0, 0600, &e), ERR_OK);
	assert_content("f", "");
	assert_int_equal(stat(at("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(symlink("f", at("l")), 0);
	assert_int_equal(file_write_atomic(at("l"), "two", 3, 0600, &e), ERR_OK);
	assert_content("f", "");
	assert_content("l", "two");
	assert_int_equal(count_entries(), 2);
}

static void test_failed_write_leaves_nothing(void **state)
{
	(void)state;
	struct err e = {0};
	put("keep", "old");
	assert_int_equal(mkdir(at("sub"), 0700), 0);
	assert_int_equal(file_write_atomic(at("none/f"), "x", 1, 0600, &e), ERR_NOT_FOUND);
	assert_int_equal(file_write_atomic(at("keep/f"), "x", 1, 0600, &e), ERR_NOT_FOUND);
	assert_int_equal(file_write_atomic(at("sub"), "x", 1, 0600, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "sub"));
	assert_int_equal(file_write_atomic(at("sub/"), "x", 1, 0600, &e), ERR_INVALID);
	assert_int_equal(file_write_atomic(at("sub/.."), "x", 1, 0600, &e), ERR_INVALID);
	assert_int_equal(file_write_atomic("", "x", 1, 0600, &e), ERR_INVALID);
	assert_int_equal(count_entries(), 2);
	assert_content("keep", "old");
}

static void test_full_disk_keeps_the_old_file(void **state)
{
	(void)state;
	static char big[100000];
	struct rlimit old;
	put("keep", "old");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	struct rlimit small = {4096, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	struct err e = {0};
	enum err_code code = file_write_atomic(at("keep"), big, sizeof(big), 0600, &e);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(code, ERR_UNAVAILABLE);
	assert_content("keep", "old");
	assert_int_equal(count_entries(), 1);
}

static void test_mkdirs_makes_what_is_missing(void **state)
{
	(void)state;
	struct err e = {0};
	struct stat st;
	mode_t old = umask(0);
	assert_int_equal(file_mkdirs(at("a//b/c/"), 0750, &e), ERR_OK);
	umask(old);
	assert_int_equal(stat(at("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(file_mkdirs(at("a/b/c"), 0700, &e), ERR_OK);
	assert_int_equal(file_mkdirs("/", 0700, &e), ERR_OK);
	put("file", "");
	assert_int_equal(file_mkdirs(at("file"), 0700, &e), ERR_INVALID);
	assert_true(file_mkdirs(at("file/x"), 0700, &e) != ERR_OK);
	assert_int_equal(file_mkdirs("", 0700, &e), ERR_INVALID);
	assert_int_equal(symlink("a", at("to-a")), 0);
	assert_int_equal(file_mkdirs(at("to-a/d"), 0700, &e), ERR_OK);
	assert_int_equal(stat(at("a/d"), &st), 0);
}

static void test_list_sorts_and_skips_leavings(void **state)
{
	(void)state;
	static const char *const made[] = {"b.yaml", "a.yaml", "B.yaml", ".h.yaml", "c.yaml~",
	    "#d.yaml", "#e.yaml#", "f.yaml.swp", "4913", "g.yml", "yaml", ".yaml"};
	for (size_t i = 0; i < ARRAY_LEN(made); i++)
		put(made[i], "");
	assert_int_equal(mkdir(at("dir.yaml"), 0700), 0);
	assert_int_equal(symlink("g.yml", at("link.yaml")), 0);
	assert_int_equal(symlink("absent", at("dangling.yaml")), 0);
	static const char *const want[] = {
	    "#d.yaml", "B.yaml", "a.yaml", "b.yaml", "dangling.yaml", "dir.yaml", "link.yaml"};
	const char *const *names;
	size_t n;
	struct err e = {0};
	assert_int_equal(file_list(&arena, dir, ".yaml", 7, &names, &n, &e), ERR_OK);
	assert_int_equal(n, ARRAY_LEN(want));
	for (size_t i = 0; i < n; i++)
		assert_string_equal(names[i], want[i]);
	assert_int_equal(file_list(&arena, dir, ".yaml", 6, &names, &n, &e), ERR_LIMIT);
	assert_int_equal(file_list(&arena, at("none"), "", 5, &names, &n, &e), ERR_NOT_FOUND);
	assert_int_equal(file_list(&arena, at("4913"), "", 5, &names, &n, &e), ERR_NOT_FOUND);
	assert_int_equal(file_list(&arena, at("dir.yaml"), "", 5, &names, &n, &e), ERR_OK);
	assert_int_equal(n, 0);
}

static void test_resolve_joins_with_the_directory(void **state)
{
	(void)state;
	static const struct {
		const char *base, *rel, *want;
	} cases[] = {
	    {"/etc/p/c.yaml", "pki/a.crt", "/etc/p/pki/a.crt"},
	    {"/etc/p/c.yaml", "/abs", "/abs"},
	    {"c.yaml", "a", "a"},
	    {"/c.yaml", "a", "/a"},
	    {"./x/c.yaml", "../a", "./x/../a"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(
		    file_resolve(&arena, cases[i].base, cases[i].rel), cases[i].want);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_read_takes_whole_files_up_to_the_cap),
	    CASE(test_read_tells_the_mode_of_the_file_itself),
	    CASE(test_read_refuses_what_is_no_file),
	    CASE(test_read_does_not_trust_the_size),
	    CASE(test_read_under_replacement_is_whole),
	    CASE(test_write_replaces_and_sets_the_mode),
	    CASE(test_failed_write_leaves_nothing),
	    CASE(test_full_disk_keeps_the_old_file),
	    CASE(test_mkdirs_makes_what_is_missing),
	    CASE(test_list_sorts_and_skips_leavings),
	    CASE(test_resolve_joins_with_the_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
