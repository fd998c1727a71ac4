/* Proves what files of a spool do that are no events, and that looking at a spool changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "tests/support/spool_fixture.h"

static struct slice valid_text(struct fixture *f, const char *user)
{
	struct spool_event ev = event_of(user);
	struct buf b;
	struct err e;
	buf_init(&b, SPOOL_EVENT_MAX);
	assert_int_equal(spool_encode(&ev, &b, &e), ERR_OK);
	struct slice s = slice_dup(&f->arena, buf_view(&b));
	buf_done(&b);
	return s;
}

/* TEXT with the first FROM replaced by TO. */
static struct slice altered(struct fixture *f, struct slice text, const char *from, const char *to)
{
	const char *at = strstr(text.p, from);
	assert_non_null(at);
	return slice_of(arena_printf(
	    &f->arena, "%.*s%s%s", (int)(at - text.p), text.p, to, at + strlen(from)));
}

static void test_no_event_goes_to_dead(void **state)
{
	struct fixture *f = *state;
	struct slice good = valid_text(f, "alice");
	char key[SPOOL_KEY_LEN + 1], got[SPOOL_KEY_LEN + 1];
	spool_key(SLICE("ldap:corp"), SLICE("alice"), key);
	const struct slice bad[] = {
	    {"", 0},
	    SLICE("null"),
	    SLICE("[]"),
	    SLICE("{}"),
	    {good.p, good.len / 2},
	    altered(f, good, "\"v\":1", "\"v\":2"),
	    altered(f, good, "\"v\":1", "\"v\":\"1\""),
	    altered(f, good, "{", "{\"v\":1,"),
	    altered(f, good, "alice", "mallory"),
	    altered(f, good, "eng-blue", "eng-red"),
	    altered(f, good, "\"groups\":[", "\"groups\":[7,"),
	    altered(f, good, "\"groups\":[", "\"groups\":[\"extra\","),
	    altered(f, good, "\"uid\":\"1000\"", "\"uid\":1000"),
	    altered(f, good, "\"uid\":\"1000\"", "\"uid\":\"\\u0000\""),
	    altered(f, good, "\"extra\":{", "\"extra\":[{"),
	    altered(f, good, "1700000000", "-1"),
	    altered(f, good, "1700000000", "1e99"),
	    altered(f, good, "\"digest\":\"", "\"digest\":\"00"),
	    altered(f, good, "}\n", "} {}"),
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct spool_event ev;
		put_new(f, key, bad[i].p ? bad[i].p : "", bad[i].len);
		if (claim(f, &ev, got) != ERR_INVALID)
			fail_msg("case %zu was taken", i);
		assert_int_equal(count_files(f, "cur"), 0);
		assert_int_equal(count_files(f, "dead"), 2);
	}
	struct spool_event ev;
	put_new(f, key, good.p, good.len);
	assert_int_equal(claim(f, &ev, got), ERR_OK);
}

static void test_a_valid_event_under_another_key_is_none(void **state)
{
	struct fixture *f = *state;
	struct slice good = valid_text(f, "alice");
	char key[SPOOL_KEY_LEN + 1];
	struct spool_event ev;
	spool_key(SLICE("ldap:corp"), SLICE("bob"), key);
	put_new(f, key, good.p, good.len);
	assert_int_equal(claim(f, &ev, key), ERR_INVALID);
}

static void test_links_devices_directories_and_giants_are_not_read(void **state)
{
	struct fixture *f = *state;
	struct slice good = valid_text(f, "alice");
	char key[SPOOL_KEY_LEN + 1], path[200], target[200];
	struct spool_event ev;
	spool_key(SLICE("ldap:corp"), SLICE("alice"), key);
	snprintf(path, sizeof(path), "%s/new/%s", f->dir, key);
	/* A link to a valid event elsewhere: following it would let its owner write what we read. */
	snprintf(target, sizeof(target), "%s/elsewhere", f->base);
	int fd = open(target, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, good.p, good.len), good.len);
	close(fd);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(claim(f, &ev, key), ERR_INVALID);
	assert_int_equal(mkdir(path, 0700), 0);
	struct err e;
	char dead[200];
	snprintf(dead, sizeof(dead), "%s/dead/%s", f->dir, key);
	assert_int_equal(unlink(dead), 0);
	assert_int_equal(claim(f, &ev, key), ERR_INVALID);
	assert_int_equal(rmdir(dead), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(claim(f, &ev, key), ERR_INVALID);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, (off_t)SPOOL_EVENT_MAX + 1), 0);
	close(fd);
	assert_int_equal(claim(f, &ev, key), ERR_INVALID);
	assert_int_equal(spool_claim(f->r, &f->arena, &ev, key, &e), ERR_NOT_FOUND);
	struct stat st;
	assert_int_equal(stat(target, &st), 0); /* the link's target was left alone */
}

static void test_strange_names_are_buried_and_dotfiles_left(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev;
	char key[SPOOL_KEY_LEN + 1], longest[256];
	memset(longest, 'z', 255);
	longest[255] = '\0';
	put_new(f, "README", "x", 1);
	put_new(f, ".nfs0001", "x", 1);
	put_new(f, "%n%s%x", "x", 1);
	put_new(f, "-rf", "x", 1);
	char path[400];
	snprintf(path, sizeof(path), "%s/new/%s", f->dir, longest);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	for (int i = 0; i < 4; i++)
		assert_int_equal(claim(f, &ev, key), ERR_INVALID);
	assert_int_equal(claim(f, &ev, key), ERR_NOT_FOUND);
	assert_int_equal(count_files(f, "dead"), 8);
}

static void test_a_linked_part_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e;
	char path[200], other[200];
	spool_writer_free(&f->w);
	spool_reader_free(&f->r);
	snprintf(path, sizeof(path), "%s/new", f->dir);
	snprintf(other, sizeof(other), "%s/other", f->base);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(spool_writer_new(f->dir, 0, &f->w, &e), ERR_UNAVAILABLE);
	assert_int_equal(spool_reader_new(f->dir, &f->r, &e), ERR_UNAVAILABLE);
}

struct seen {
	size_t n;
	bool alice;
};

static void look(void *ctx, const char *key, const struct spool_event *ev)
{
	struct seen *s = ctx;
	assert_int_equal(strlen(key), SPOOL_KEY_LEN);
	s->n++;
	s->alice |= slice_is(ev->username, "alice");
}

static void test_looking_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev;
	struct seen s = {0};
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	size_t invalid;
	note(f, "alice");
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	note(f, "bob");
	put_new(f, "README", "x", 1);
	assert_int_equal(spool_each(f->dir, look, &s, &invalid, &e), ERR_OK);
	assert_int_equal(s.n, 2);
	assert_true(s.alice);
	assert_int_equal(invalid, 1);
	assert_int_equal(count_files(f, "cur"), 1);
	assert_int_equal(count_files(f, "new"), 2);
	assert_int_equal(count_files(f, "dead"), 0);
}

static void test_stale_temporaries_are_swept(void **state)
{
	struct fixture *f = *state;
	struct err e;
	char path[200];
	snprintf(path, sizeof(path), "%s/tmp/left.over", f->dir);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	struct timespec now = {clock_unix(), 0}, times[2] = {now, now};
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
	spool_writer_free(&f->w);
	assert_int_equal(spool_writer_new(f->dir, 0, &f->w, &e), ERR_OK);
	assert_int_equal(count_files(f, "tmp"), 1); /* a neighbour may still be writing it */
	spool_writer_free(&f->w);
	clock_advance(2 * 3600 * CLOCK_SECOND);
	assert_int_equal(spool_writer_new(f->dir, 0, &f->w, &e), ERR_OK);
	assert_int_equal(count_files(f, "tmp"), 0);
}

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    SPOOL_TEST(test_no_event_goes_to_dead),
	    SPOOL_TEST(test_a_valid_event_under_another_key_is_none),
	    SPOOL_TEST(test_links_devices_directories_and_giants_are_not_read),
	    SPOOL_TEST(test_strange_names_are_buried_and_dotfiles_left),
	    SPOOL_TEST(test_a_linked_part_is_refused),
	    SPOOL_TEST(test_looking_changes_nothing),
	    SPOOL_TEST(test_stale_temporaries_are_swept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
