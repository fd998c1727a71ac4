/* Proves that the watch sees each way in which editors, kubelet and admins change files. The kernel
 * queues an event before the changing call returns, so that no test here waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/support/tree.h"

static char root[PATH_MAX];
static struct arena arena;
static struct file_watch *watch;

static const char *at(const char *name)
{
	return arena_printf(&arena, "%s/%s", root, name);
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void move(const char *from, const char *to)
{
	assert_int_equal(rename(at(from), at(to)), 0);
}

static void make_dir(const char *name)
{
	assert_int_equal(mkdir(at(name), 0700), 0);
}

static void make_link(const char *target, const char *name)
{
	assert_int_equal(symlink(target, at(name)), 0);
}

static int setup(void **state)
{
	(void)state;
	char name[] = "watch-test-XXXXXX";
	arena_init(&arena, 0);
	struct err e = {0};
	if (!mkdtemp(name) || !realpath(name, root))
		return -1;
	return file_watch_new(&watch, &e) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	file_watch_free(&watch);
	remove_tree(root);
	arena_done(&arena);
	return 0;
}

static void watch_one(const char *name)
{
	const char *path = at(name);
	file_watch_set(watch, &path, 1);
	file_watch_drain(watch);
}

static bool readable(void)
{
	struct pollfd p = {.fd = file_watch_fd(watch), .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

/* The descriptor woke, the change counts, and then there is peace. */
static void assert_seen(void)
{
	assert_true(readable());
	assert_true(file_watch_drain(watch));
	assert_false(file_watch_drain(watch));
}

static void assert_unseen(void)
{
	assert_false(file_watch_drain(watch));
}

static void test_in_place_edits(void **state)
{
	(void)state;
	put("p.yaml", "one\n");
	put("other", "");
	watch_one("p.yaml");
	assert_unseen();
	put("p.yaml", "two\n"); /* same second, same size */
	assert_seen();
	assert_int_equal(truncate(at("p.yaml"), 0), 0);
	assert_seen();
	int fd = open(at("p.yaml"), O_WRONLY);
	assert_unseen();
	assert_int_equal(write(fd, "x", 1), 1); /* the writer need not close */
	assert_seen();
	close(fd);
	assert_seen();
	put("other", "changed");
	put("p.yaml.swp", "");
	assert_unseen();
	assert_int_equal(chmod(at("p.yaml"), 0), 0);
	assert_seen();
}

static void test_editor_rename_again_and_again(void **state)
{
	(void)state;
	put("p.yaml", "one\n");
	watch_one("p.yaml");
	for (int i = 0; i < 5; i++) {
		put("4913", "");
		unlink(at("4913"));
		move("p.yaml", "p.yaml~");
		put("p.yaml", "new\n");
		unlink(at("p.yaml~"));
		assert_seen();
		put(".p.yaml.tmp", "newer\n");
		assert_unseen();
		move(".p.yaml.tmp", "p.yaml");
		assert_seen();
	}
}

static void test_unlink_and_create(void **state)
{
	(void)state;
	watch_one("p.yaml"); /* need not exist yet */
	put("p.yaml", "one\n");
	assert_seen();
	unlink(at("p.yaml"));
	assert_seen();
	put("p.yaml", "one\n");
	assert_seen();
}

/* What kubelet does: a new dated directory, a temporary link, a rename over ..data, the old one removed. */
static void swap_config_map(const char *stamp)
{
	make_dir(arena_printf(&arena, "cm/%s", stamp));
	put(arena_printf(&arena, "cm/%s/p.yaml", stamp), stamp);
	make_link(stamp, "cm/..data_tmp");
	char old[256] = "";
	ssize_t n = readlink(at("cm/..data"), old, sizeof(old) - 1);
	move("cm/..data_tmp", "cm/..data");
	if (n > 0)
		remove_tree(at(arena_printf(&arena, "cm/%s", old)));
}

static void check_config_map(const char *watched)
{
	make_dir("cm");
	swap_config_map("..2026_1");
	make_link("..data/p.yaml", "cm/p.yaml");
	watch_one(watched);
	for (int i = 2; i < 6; i++) {
		swap_config_map(arena_printf(&arena, "..2026_%d", i));
		assert_seen();
	}
	put("cm/..data/p.yaml", "edited behind kubelet's back");
	assert_seen();
}

static void test_config_map_swap_of_a_file(void **state)
{
	(void)state;
	check_config_map("cm/p.yaml");
}

static void test_config_map_swap_of_a_directory(void **state)
{
	(void)state;
	check_config_map("cm");
}

static void test_directory_of_files(void **state)
{
	(void)state;
	make_dir("policy");
	put("policy/a.yaml", "");
	watch_one("policy");
	put("policy/b.yaml", "");
	assert_seen();
	put("policy/.b.yaml.swp", "");
	put("policy/b.yaml~", "");
	put("policy/#b.yaml#", "");
	assert_unseen();
	unlink(at("policy/a.yaml"));
	assert_seen();
}

static void test_directory_replaced(void **state)
{
	(void)state;
	make_dir("policy");
	put("policy/a.yaml", "old");
	const char *both[] = {at("policy"), at("policy/a.yaml")};
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		file_watch_set(watch, &both[i], 1);
		file_watch_drain(watch);
		make_dir("next");
		put("next/a.yaml", "new");
		move("policy", "gone");
		move("next", "policy");
		assert_seen();
		put("policy/a.yaml", "newer"); /* the new directory is watched now */
		assert_seen();
		put("gone/a.yaml", "stale"); /* and the old one no longer */
		assert_unseen();
		remove_tree(at("gone"));
		assert_unseen();
		remove_tree(at("policy"));
		assert_seen();
		make_dir("policy");
		assert_seen();
		put("policy/a.yaml", "back");
		assert_seen();
	}
}

static void test_path_that_appears_step_by_step(void **state)
{
	(void)state;
	watch_one("a/b/c.yaml");
	make_dir("x");
	assert_unseen();
	make_dir("a");
	assert_seen();
	make_dir("a/b");
	assert_seen();
	put("a/b/c.yaml", "");
	assert_seen();
}

static void test_links_on_the_way(void **state)
{
	(void)state;
	make_dir("v1");
	make_dir("v2");
	put("v1/p.yaml", "1");
	put("v2/p.yaml", "2");
	make_link("v1", "current");
	make_dir("conf");
	make_link("../current/p.yaml", "conf/p.yaml");
	watch_one("conf/p.yaml");
	put("v2/p.yaml", "not yet ours");
	assert_unseen();
	make_link(at("v2"), "next");
	move("next", "current");
	assert_seen();
	put("v2/p.yaml", "ours");
	assert_seen();
	put("v1/p.yaml", "no longer ours");
	assert_unseen();
	watch_one("conf"); /* links in a directory are followed too */
	put("v2/p.yaml", "still ours");
	assert_seen();
	make_link("conf-loop", "conf-loop");
	watch_one("conf-loop");
	assert_unseen();
}

static void test_set_replaces_the_paths(void **state)
{
	(void)state;
	put("a", "");
	put("b", "");
	watch_one("a");
	watch_one("b");
	put("a", "x");
	assert_unseen();
	put("b", "x");
	assert_seen();
	file_watch_set(watch, NULL, 0);
	file_watch_drain(watch);
	put("b", "y");
	assert_false(readable());
}

static void test_relative_paths(void **state)
{
	(void)state;
	char cwd[PATH_MAX];
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir(root), 0);
	const char *path = "./sub/../p.yaml";
	make_dir("sub");
	file_watch_set(watch, &path, 1);
	put("p.yaml", "");
	assert_seen();
	assert_int_equal(chdir(cwd), 0);
}

static long queue_max(void)
{
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	long n = 0;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &n), 1);
	fclose(f);
	return n;
}

/* Foreign events fill the queue; the one that matters is lost, the loss itself is reported. */
static void test_lost_events_count_as_a_change(void **state)
{
	(void)state;
	long max = queue_max();
	if (max > 100000)
		skip();
	put("p.yaml", "");
	watch_one("p.yaml");
	const char *names[] = {at("x"), at("y")};
	put("x", "");
	for (long i = 0; i <= max / 2; i++)
		rename(names[i % 2], names[(i + 1) % 2]);
	put("p.yaml", "lost");
	assert_seen();
	put("p.yaml", "seen");
	assert_seen();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_in_place_edits),
	    CASE(test_editor_rename_again_and_again),
	    CASE(test_unlink_and_create),
	    CASE(test_config_map_swap_of_a_file),
	    CASE(test_config_map_swap_of_a_directory),
	    CASE(test_directory_of_files),
	    CASE(test_directory_replaced),
	    CASE(test_path_that_appears_step_by_step),
	    CASE(test_links_on_the_way),
	    CASE(test_set_replaces_the_paths),
	    CASE(test_relative_paths),
	    CASE(test_lost_events_count_as_a_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
