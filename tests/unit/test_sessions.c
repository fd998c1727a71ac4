/* Proves that an ended session stays ended: over restarts, other processes and disks that refuse, in bounded
 * room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/login_request.h"
#include "authn/sessions.h"
#include "common/clock.h"
#include "common/file.h"

#define NAME "01JDABCDEFGHJKMNPQRSTVWXYZ"
#define OTHER "01JDABCDEFGHJKMNPQRSTVWXY0"

struct world {
	char dir[40], path[100], lock[100];
	struct sessions *s;
	struct arena arena;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	memcpy(w->dir, "/tmp/test-sessions-XXXXXX", sizeof("/tmp/test-sessions-XXXXXX"));
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/ended-sessions", w->dir);
	snprintf(w->lock, sizeof(w->lock), "%s/ended-sessions.lock", w->dir);
	assert_int_equal(sessions_open(w->dir, &w->s, NULL), ERR_OK);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	sessions_free(&w->s);
	unlink(w->path);
	rmdir(w->path);
	unlink(w->lock);
	rmdir(w->dir);
	arena_done(&w->arena);
	free(w);
	return 0;
}

static bool ended_after_restart(const struct world *w, struct slice name)
{
	AUTO(sessions_free) struct sessions *again = NULL;
	assert_int_equal(sessions_open(w->dir, &again, NULL), ERR_OK);
	return sessions_ended(again, name);
}

static size_t lines(struct world *w)
{
	struct slice text;
	size_t n = 0;
	assert_int_equal(file_read(&w->arena, w->path, 1 << 24, &text, NULL), ERR_OK);
	for (size_t i = 0; i < text.len; i++)
		n += text.p[i] == '\n';
	return n;
}

static void test_an_end_is_kept_until_its_time(void **state)
{
	struct world *w = *state;
	int64_t now = clock_unix();
	assert_false(sessions_ended(w->s, SLICE(NAME)));
	assert_int_equal(sessions_end(w->s, SLICE(NAME), now + 1000, NULL), ERR_OK);
	assert_true(sessions_ended(w->s, SLICE(NAME)));
	assert_false(sessions_ended(w->s, SLICE(OTHER)) || sessions_ended(w->s, SLICE("")));
	assert_true(ended_after_restart(w, SLICE(NAME)));
	/* The next one takes those along that are over. */
	clock_advance(1001 * CLOCK_SECOND);
	assert_int_equal(sessions_end(w->s, SLICE(OTHER), clock_unix() + 10, NULL), ERR_OK);
	assert_int_equal(lines(w), 1);
	assert_false(ended_after_restart(w, SLICE(NAME)));
	assert_true(ended_after_restart(w, SLICE(OTHER)));
	struct stat st;
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_a_file_that_cannot_be_looked_at_is_not_taken_for_none(void **state)
{
	struct world *w = *state;
	struct sessions *again = NULL;
	assert_int_equal(symlink("ended-sessions", w->path), 0); /* of itself: ELOOP */
	assert_int_not_equal(sessions_open(w->dir, &again, NULL), ERR_OK);
	sessions_free(&again);
}

static void test_processes_do_not_lose_each_others_ends(void **state)
{
	struct world *w = *state;
	AUTO(sessions_free) struct sessions *other = NULL;
	int64_t until = clock_unix() + 1000;
	assert_int_equal(sessions_open(w->dir, &other, NULL), ERR_OK);
	assert_int_equal(sessions_end(w->s, SLICE(NAME), until, NULL), ERR_OK);
	assert_int_equal(sessions_end(other, SLICE(OTHER), until, NULL), ERR_OK);
	assert_int_equal(lines(w), 2);
	assert_true(sessions_ended(other, SLICE(NAME)));
	assert_false(sessions_ended(w->s, SLICE(OTHER)));
	assert_int_equal(sessions_tick(w->s, NULL), ERR_OK);
	assert_true(sessions_ended(w->s, SLICE(OTHER)));
	/* An edit un-ends nothing while the process lives. */
	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(sessions_tick(w->s, NULL), ERR_OK);
	assert_true(sessions_ended(w->s, SLICE(NAME)) && sessions_ended(w->s, SLICE(OTHER)));
}

static void test_a_disk_that_refuses_is_told_of_and_tried_again(void **state)
{
	struct world *w = *state;
	struct err e = {0};
	int64_t until = clock_unix() + 1000;
	assert_int_equal(mkdir(w->path, 0700), 0);
	assert_int_not_equal(sessions_end(w->s, SLICE(NAME), until, &e), ERR_OK);
	assert_non_null(strstr(e.msg, "ended sessions"));
	assert_true(sessions_ended(w->s, SLICE(NAME)));
	/* Asking again does not make it so. */
	assert_int_not_equal(sessions_end(w->s, SLICE(NAME), until, NULL), ERR_OK);
	assert_int_equal(rmdir(w->path), 0);
	clock_advance(11 * CLOCK_SECOND);
	assert_int_equal(sessions_tick(w->s, NULL), ERR_OK);
	assert_true(ended_after_restart(w, SLICE(NAME)));
	assert_int_equal(sessions_end(w->s, SLICE(NAME), until, NULL), ERR_OK);
}

static void test_a_damaged_file_is_refused_and_left_alone(void **state)
{
	struct world *w = *state;
	static const char *const texts[] = {NAME " 1", NAME "\n", NAME " x\n", "x 1\n", "\n", NAME " 1 2\n",
	    NAME " -1\n", NAME " 1234567890123456789\n", "01jdabcdefghjkmnpqrstvwxyz 1\n"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO(sessions_free) struct sessions *again = NULL;
		struct slice left;
		struct err e = {0};
		assert_int_equal(
		    file_write_atomic(w->path, texts[i], strlen(texts[i]), 0600, NULL), ERR_OK);
		assert_int_equal(sessions_open(w->dir, &again, &e), ERR_INVALID);
		assert_non_null(strstr(e.msg, "line 1"));
		assert_int_equal(sessions_tick(w->s, &e), ERR_INVALID);
		assert_int_not_equal(sessions_end(w->s, SLICE(NAME), clock_unix() + 9, NULL), ERR_OK);
		assert_int_equal(file_read(&w->arena, w->path, 4096, &left, NULL), ERR_OK);
		assert_true(slice_is(left, texts[i]));
	}
}

static void test_their_number_is_bounded(void **state)
{
	struct world *w = *state;
	AUTO(buf_done) struct buf text;
	AUTO(sessions_free) struct sessions *full = NULL;
	struct err e = {0};
	int64_t until = clock_unix() + 1000;
	buf_init(&text, 1 << 24);
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		buf_printf(&text, "%026zu %lld\n", i, (long long)until);
	assert_int_equal(file_write_atomic(w->path, text.p, text.len, 0600, NULL), ERR_OK);
	assert_int_equal(sessions_open(w->dir, &full, NULL), ERR_OK);
	assert_int_equal(sessions_end(full, SLICE(NAME), until, &e), ERR_LIMIT);
	assert_false(sessions_ended(full, SLICE(NAME)));
	assert_non_null(strstr(e.msg, "is not ended"));
	/* Nothing waits for the disk that was never held. */
	clock_advance(11 * CLOCK_SECOND);
	assert_int_equal(sessions_tick(full, NULL), ERR_OK);
	/* Where there is room in memory and none in the file, it holds in memory. */
	assert_int_equal(sessions_end(w->s, SLICE(NAME), until, &e), ERR_LIMIT);
	assert_true(sessions_ended(w->s, SLICE(NAME)));
	assert_null(strstr(e.msg, "is not ended"));
	assert_false(ended_after_restart(w, SLICE(NAME)));
	/* What is held and in no file is told of as that, also when asked again. */
	assert_int_equal(sessions_end(w->s, SLICE(NAME), until, &e), ERR_LIMIT);
	assert_null(strstr(e.msg, "is not ended"));
	assert_int_equal(sessions_end(w->s, SLICE(OTHER), until, &e), ERR_LIMIT);
	assert_false(sessions_ended(w->s, SLICE(OTHER)));
	assert_non_null(strstr(e.msg, "is not ended"));
	assert_int_equal(sessions_end(full, SLICE("00000000000000000000000007"), until, NULL), ERR_OK);
	clock_advance(1001 * CLOCK_SECOND);
	assert_int_equal(sessions_end(full, SLICE(NAME), clock_unix() + 9, NULL), ERR_OK);
	assert_int_equal(lines(w), 1);
}

static void test_names_are_ulids(void **state)
{
	struct world *w = *state;
	struct slice a = sessions_name(&w->arena), b = sessions_name(&w->arena);
	assert_true(sessions_name_ok(a) && sessions_name_ok(b) && !slice_eq(a, b));
	static const char *const bad[] = {"", "x", NAME "A", "01JDABCDEFGHJKMNPQRSTVWXY ",
	    "01JDABCDEFGHJKMNPQRSTVWXY\n", "01jdabcdefghjkmnpqrstvwxyz"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(sessions_name_ok(slice_of(bad[i])));
}

/* --- their requests --- */

static void test_forms_are_read_as_rfc_7009_has_them(void **state UNUSED)
{
	static const struct {
		const char *body, *token; /* NULL: refused */
	} cases[] = {
	    {"token=abc", "abc"},
	    {"token=a%2Eb%2e", "a.b."},
	    {"token_type_hint=refresh_token&token=abc", "abc"},
	    {"token=a+b&", "a b"},
	    {"%74oken=abc", "abc"},
	    {"token=a=b", "a=b"},
	    {"", NULL},
	    {"token", NULL},
	    {"token=", NULL},
	    {"Token=abc", NULL},
	    {"token=a&token=a", NULL},
	    {"token=%", NULL},
	    {"token=%4", NULL},
	    {"token=%4g", NULL},
	    {"token=a&x=%", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(arena_done) struct arena a = {0};
		struct slice token;
		enum err_code code =
		    login_revoke_parse(slice_of(cases[i].body), true, &a, &token, NULL);
		if ((code == ERR_OK) != (cases[i].token != NULL))
			fail_msg("%s: %d", cases[i].body, code);
		if (code == ERR_OK)
			assert_true(slice_is(token, cases[i].token));
	}
	AUTO(arena_done) struct arena a = {0};
	struct slice token;
	assert_int_equal(login_revoke_parse(SLICE("{\"token\":\"x\"}"), false, &a, &token, NULL), ERR_OK);
	assert_int_equal(login_revoke_parse(SLICE("token=x"), false, &a, &token, NULL), ERR_INVALID);
	assert_int_equal(login_handle_parse(SLICE("{\"refreshToken\":\"x\"}"), &a, &token, NULL), ERR_OK);
	assert_int_equal(login_handle_parse(SLICE("{\"token\":\"x\"}"), &a, &token, NULL), ERR_INVALID);
	assert_int_equal(login_handle_parse(SLICE("{}"), &a, &token, NULL), ERR_INVALID);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_WORLD(test_an_end_is_kept_until_its_time),
	    WITH_WORLD(test_processes_do_not_lose_each_others_ends),
	    WITH_WORLD(test_a_disk_that_refuses_is_told_of_and_tried_again),
	    WITH_WORLD(test_a_damaged_file_is_refused_and_left_alone),
	    WITH_WORLD(test_their_number_is_bounded),
	    WITH_WORLD(test_names_are_ulids),
	    WITH_WORLD(test_a_file_that_cannot_be_looked_at_is_not_taken_for_none),
	    cmocka_unit_test(test_forms_are_read_as_rfc_7009_has_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
