/* Proves the spool against neighbours: what they put in the way stops nothing, and older news never take the place of
 * newer ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/spool.h"
#include "tests/support/spool_fixture.h"

static const char *path_of(const struct fixture *f, const char *part, const char *name)
{
	static char paths[4][256];
	static size_t next;
	char *path = paths[next++ % ARRAY_LEN(paths)];
	snprintf(path, sizeof(paths[0]), "%s/%s/%s", f->dir, part, name);
	return path;
}

static bool there(const struct fixture *f, const char *part)
{
	struct stat st;
	return lstat(path_of(f, part, f->key), &st) == 0;
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* A directory that cannot be removed for being empty. */
static void put_full_directory(const struct fixture *f, const char *part, const char *name)
{
	char inside[300];
	const char *path = path_of(f, part, name);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(inside, sizeof(inside), "%s/x", path);
	put(inside, "x");
}

static void tell(struct fixture *f, int64_t iat, int64_t seen_at)
{
	struct err e = {0};
	const struct spool_event ev = {.provider = SLICE("jwt:issuer"), .username = SLICE("alice"), .uid = SLICE("1"),
	    .seen_at = seen_at, .iat = iat, .node = SLICE("cp-1")};
	/* Each from a server that was started anew: nothing is known yet. */
	spool_writer_free(&f->w);
	assert_int_equal(spool_writer_new(f->dir, 0, &f->w, &e), ERR_OK);
	if (spool_note_sync(f->w, &ev, &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

static enum err_code claim_alice(struct fixture *f, struct spool_event *ev)
{
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	return spool_claim(f->r, &f->arena, ev, key, &e);
}

static void expect_claim(struct fixture *f, int64_t iat)
{
	struct spool_event ev;
	assert_int_equal(claim_alice(f, &ev), ERR_OK);
	assert_int_equal(ev.iat, iat);
}

static void expect_empty(struct fixture *f)
{
	struct spool_event ev;
	assert_int_equal(claim_alice(f, &ev), ERR_NOT_FOUND);
}

static void expect_waiting(struct fixture *f, int64_t iat)
{
	struct spool_event ev;
	struct err e;
	assert_int_equal(spool_reread(f->r, f->key, &f->arena, &ev, &e), ERR_OK);
	assert_int_equal(ev.iat, iat);
}

static void reopen(struct fixture *f)
{
	struct err e = {0};
	spool_reader_free(&f->r);
	if (spool_reader_new(f->dir, &f->r, &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

/* --- older news --- */

static void an_older_token_does_not_replace_what_waits_for_the_worker(void **state)
{
	struct fixture *f = *state;
	tell(f, 200, 1000);
	tell(f, 100, 2000);
	expect_claim(f, 200);
	expect_empty(f);
}

static void an_older_token_does_not_replace_a_claim(void **state)
{
	struct fixture *f = *state;
	tell(f, 200, 1000);
	expect_claim(f, 200);
	tell(f, 100, 2000);
	expect_empty(f);
	expect_waiting(f, 200);
	assert_false(there(f, "new"));
}

static void an_older_token_does_not_replace_a_claim_that_is_given_back(void **state)
{
	struct fixture *f = *state;
	struct err e;
	tell(f, 200, 1000);
	expect_claim(f, 200);
	tell(f, 100, 2000);
	assert_int_equal(spool_retry(f->r, f->key, &e), ERR_OK);
	assert_false(there(f, "cur"));
	expect_claim(f, 200);
	expect_empty(f);
	/* Nor one that a crash left. */
	tell(f, 100, 2000);
	reopen(f);
	expect_claim(f, 200);
	expect_empty(f);
}

static void the_last_one_wins_where_tokens_do_not_tell(void **state)
{
	struct fixture *f = *state;
	tell(f, 200, 2000);
	expect_claim(f, 200);
	tell(f, 0, 1000); /* a clock was set back */
	expect_claim(f, 0);
	tell(f, 100, 1000);
	expect_claim(f, 100);
}

/* A crash between the two steps of a claim over another one. */
static void a_newcomer_beside_a_claim_is_found_again(void **state)
{
	struct fixture *f = *state;
	char beside[SPOOL_KEY_LEN + 2];
	snprintf(beside, sizeof(beside), "%s+", f->key);
	tell(f, 100, 1000);
	expect_claim(f, 100);
	tell(f, 200, 2000);
	assert_int_equal(rename(path_of(f, "new", f->key), path_of(f, "cur", beside)), 0);
	reopen(f);
	expect_claim(f, 200);
	expect_empty(f);
	/* And left where it is the older one. */
	tell(f, 100, 3000);
	assert_int_equal(rename(path_of(f, "new", f->key), path_of(f, "cur", beside)), 0);
	reopen(f);
	expect_claim(f, 200);
	expect_empty(f);
	assert_int_not_equal(access(path_of(f, "cur", beside), F_OK), 0);
}

/* Nobody's clock says so; the record could not be read any more, and the worker's sums would overflow. */
static void times_beyond_all_clocks_are_no_event(void **state)
{
	struct fixture *f = *state;
	static const int64_t times[][2] = {{INT64_MAX, 1000}, {1000, INT64_MAX}, {SPOOL_TIME_MAX + 1, 1}};
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct spool_event ev = {.provider = SLICE("jwt:issuer"), .username = SLICE("alice"),
		    .seen_at = SPOOL_TIME_MAX, .iat = SPOOL_TIME_MAX};
		struct buf text;
		struct err e = {0};
		buf_init(&text, SPOOL_EVENT_MAX);
		assert_int_equal(spool_encode(&ev, &text, &e), ERR_OK);
		assert_int_equal(spool_decode(buf_view(&text), f->key, &f->arena, &ev, &e), ERR_OK);
		json_t *o = json_loadb(text.p, text.len, 0, NULL);
		json_object_set_new(o, "seenAt", json_integer(times[i][0]));
		json_object_set_new(o, "iat", json_integer(times[i][1]));
		char *late = json_dumps(o, 0);
		assert_int_equal(spool_decode(slice_of(late), f->key, &f->arena, &ev, &e), ERR_INVALID);
		free(late);
		json_decref(o);
		ev = (struct spool_event){.provider = SLICE("jwt:issuer"), .username = SLICE("alice"),
		    .seen_at = times[i][0], .iat = times[i][1]};
		text.len = 0;
		assert_int_equal(spool_encode(&ev, &text, &e), ERR_INVALID);
		buf_done(&text);
	}
}

/* --- what is in the way --- */

static void one_file_under_two_names_is_buried_all_the_same(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev;
	put(path_of(f, "new", "stranger"), "x");
	assert_int_equal(claim_alice(f, &ev), ERR_INVALID);
	expect_empty(f);
	/* Under the very name that it is buried by: rename(2) would do nothing, and say that it did. */
	put(path_of(f, "dead", f->key), "x");
	assert_int_equal(link(path_of(f, "dead", f->key), path_of(f, "new", f->key)), 0);
	assert_int_equal(claim_alice(f, &ev), ERR_INVALID);
	expect_empty(f);
	assert_false(there(f, "cur"));
	assert_true(there(f, "dead"));
}

static void directories_in_the_way_stop_nothing(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev;
	put_full_directory(f, "cur", f->key);
	tell(f, 100, 1000);
	expect_claim(f, 100);
	put_full_directory(f, "dead", f->key);
	put(path_of(f, "new", f->key), "x");
	assert_int_equal(claim_alice(f, &ev), ERR_INVALID);
	expect_waiting(f, 100); /* what is no event takes nothing's place */
	put_full_directory(f, "new", f->key);
	assert_int_equal(claim_alice(f, &ev), ERR_INVALID);
	expect_waiting(f, 100);
	expect_empty(f);
}

static void a_dead_letter_finds_its_place(void **state)
{
	struct fixture *f = *state;
	struct err e;
	size_t n;
	tell(f, 100, 1000);
	expect_claim(f, 100);
	put_full_directory(f, "dead", f->key);
	assert_int_equal(spool_dead(f->r, f->key, "why", &e), ERR_OK);
	assert_int_equal(spool_revive(f->r, &n, &e), ERR_OK);
	assert_int_equal(n, 1);
	expect_claim(f, 100);
}

static void a_worker_starts_over_whatever_lies_in_cur(void **state)
{
	struct fixture *f = *state;
	put_full_directory(f, "cur", f->key);
	put_full_directory(f, "new", f->key);
	put_full_directory(f, "cur", "README");
	put(path_of(f, "new", "README"), "x");
	reopen(f);
}

/* --- another spool in its place --- */

/* As an admin tidies up under programs that run: both go on with what is there then. */
static void a_spool_that_was_removed_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct spool_event ev = {.provider = SLICE("jwt:issuer"), .username = SLICE("alice"), .seen_at = 1, .iat = 100};
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_OK);
	expect_claim(f, 100);
	remove_tree(f->dir);
	assert_false(spool_is_due(f->w, &ev));
	expect_empty(f); /* the worker makes it */
	assert_true(there(f, "new") == false && access(path_of(f, "new", ""), W_OK) == 0);
	clock_advance(2 * CLOCK_SECOND);
	struct spool_event bob = {.provider = SLICE("jwt:issuer"), .username = SLICE("bob"), .seen_at = 1, .iat = 7};
	if (spool_note_sync(f->w, &bob, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	expect_claim(f, 7);
	assert_true(spool_is_due(f->w, &ev)); /* what was told of alice may have been in it */
	struct pollfd p = {.fd = spool_fd(f->r), .events = POLLIN};
	spool_wait_drain(f->r);
	if (spool_note_sync(f->w, &ev, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	assert_int_equal(poll(&p, 1, 10000), 1);
	expect_claim(f, 100);
	/* And by the server, when that comes first. */
	remove_tree(f->dir);
	clock_advance(2 * CLOCK_SECOND);
	ev.iat = 101;
	ev.uid = SLICE("2");
	if (spool_note_sync(f->w, &ev, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	expect_claim(f, 101);
	struct spool_reader *second;
	assert_int_equal(spool_reader_new(f->dir, &second, &e), ERR_REFUSED);
}

/* Whoever sweeps empty directories leaves the rest as it is: the worker's own lock, too. */
static void parts_that_were_removed_are_made_anew(void **state)
{
	static const char *const parts[] = {"new", "cur", "tmp", "dead"};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		struct err e = {0};
		struct spool_event ev = {.provider = SLICE("jwt:issuer"), .username = SLICE("alice"), .seen_at = 1,
		    .iat = 100 + (int64_t)i};
		assert_int_equal(rmdir(path_of(f, parts[i], "")), 0);
		expect_empty(f);
		clock_advance(2 * CLOCK_SECOND);
		ev.uid = slice_of(parts[i]);
		if (spool_note_sync(f->w, &ev, &e) != ERR_OK)
			fail_msg("without %s: %s", parts[i], e.msg);
		expect_claim(f, ev.iat);
		assert_int_equal(spool_dead(f->r, f->key, "a reason", &e), ERR_OK);
		assert_true(there(f, "dead"));
		remove_tree(path_of(f, "dead", ""));
		assert_int_equal(mkdir(path_of(f, "dead", ""), 0750), 0);
		expect_empty(f);
	}
}

#define SPOOL_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SPOOL_TEST(an_older_token_does_not_replace_what_waits_for_the_worker),
	    SPOOL_TEST(an_older_token_does_not_replace_a_claim),
	    SPOOL_TEST(an_older_token_does_not_replace_a_claim_that_is_given_back),
	    SPOOL_TEST(parts_that_were_removed_are_made_anew),
	    SPOOL_TEST(the_last_one_wins_where_tokens_do_not_tell),
	    SPOOL_TEST(a_newcomer_beside_a_claim_is_found_again),
	    SPOOL_TEST(times_beyond_all_clocks_are_no_event),
	    SPOOL_TEST(one_file_under_two_names_is_buried_all_the_same),
	    SPOOL_TEST(directories_in_the_way_stop_nothing),
	    SPOOL_TEST(a_dead_letter_finds_its_place),
	    SPOOL_TEST(a_spool_that_was_removed_is_made_anew),
	    SPOOL_TEST(a_worker_starts_over_whatever_lies_in_cur),
	};
	jsonx_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
