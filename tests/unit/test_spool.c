/* Proves the spool: format, hand-off, limits, claims and dead letters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/metrics.h"
#include "tests/support/spool_fixture.h"

/* --- format --- */

static void test_key_tells_provider_and_name_apart(void **state)
{
	(void)state;
	char a[SPOOL_KEY_LEN + 1], b[SPOOL_KEY_LEN + 1];
	spool_key(SLICE("ldap"), SLICE("corpalice"), a);
	spool_key(SLICE("ldapcorp"), SLICE("alice"), b);
	assert_string_not_equal(a, b);
	/* python3: base64.b32encode(sha256(b"ldap:corp\0alice").digest())[:26].lower() */
	spool_key(SLICE("ldap:corp"), SLICE("alice"), a);
	assert_string_equal(a, "csrs2uohqrwhpetouox3ilobcs");
}

static void test_digest_ignores_order_and_time_only(void **state)
{
	(void)state;
	struct spool_event a = event_of("alice"), b = a;
	const struct slice groups[] = {{"a\"\\\xc3\xa9", 5}, {"b", 1}, {"eng-blue", 8}};
	const struct spool_extra extra[] = {some_extra[1], some_extra[0]};
	uint8_t x[32], y[32];
	b.groups = groups;
	b.ngroups = 3;
	b.extra = extra;
	b.seen_at++;
	b.iat = 1699999000;
	b.node = SLICE("cp-2");
	spool_digest(&a, x);
	spool_digest(&b, y);
	assert_memory_equal(x, y, 32);
	b.ngroups = 2;
	spool_digest(&b, y);
	assert_memory_not_equal(x, y, 32);
	b = a;
	b.uid = SLICE("1001");
	spool_digest(&b, y);
	assert_memory_not_equal(x, y, 32);
	b = a;
	b.nextra = 1;
	spool_digest(&b, y);
	assert_memory_not_equal(x, y, 32);
}

static void test_event_survives_the_file(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev;
	char key[SPOOL_KEY_LEN + 1], want[SPOOL_KEY_LEN + 1];
	note(f, "alice@\xe4\xbe\x8b.example");
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	spool_key(ev.provider, ev.username, want);
	assert_string_equal(key, want);
	assert_true(slice_is(ev.provider, "ldap:corp"));
	assert_true(slice_is(ev.issuer, "https://issuer"));
	assert_true(slice_is(ev.username, "alice@\xe4\xbe\x8b.example"));
	assert_true(slice_is(ev.uid, "1000"));
	assert_true(slice_is(ev.node, "cp-1"));
	assert_int_equal(ev.seen_at, 1700000000);
	assert_int_equal(ev.ngroups, 3);
	assert_true(slice_is(ev.groups[0], "a\"\\\xc3\xa9"));
	assert_true(slice_is(ev.groups[2], "eng-blue"));
	assert_int_equal(ev.nextra, 2);
	size_t values = 0;
	for (size_t i = 0; i < ev.nextra; i++)
		values += ev.extra[i].n;
	assert_int_equal(values, 3);
}

static void test_files_are_for_the_group_whatever_the_umask(void **state)
{
	struct fixture *f = *state;
	char path[200];
	struct stat st;
	char key[SPOOL_KEY_LEN + 1];
	spool_writer_free(&f->w);
	spool_reader_free(&f->r);
	remove_tree(f->dir);
	mode_t old = umask(0077);
	struct err e;
	assert_int_equal(spool_writer_new(f->dir, 0, &f->w, &e), ERR_OK);
	note(f, "alice");
	umask(old);
	spool_key(SLICE("ldap:corp"), SLICE("alice"), key);
	snprintf(path, sizeof(path), "%s/new", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 02770);
	snprintf(path, sizeof(path), "%s/new/%s", f->dir, key);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stat(f->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 02770);
}

/* --- what is due --- */

static void test_told_once_until_changed_or_long_ago(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev = event_of("alice");
	assert_true(spool_is_due(f->w, &ev));
	assert_true(spool_is_due(f->w, &ev));
	note(f, "alice");
	assert_false(spool_is_due(f->w, &ev));
	ev.ngroups = 1;
	assert_true(spool_is_due(f->w, &ev));
	ev.ngroups = ARRAY_LEN(some_groups);
	clock_advance(SPOOL_TOUCH - CLOCK_SECOND);
	assert_false(spool_is_due(f->w, &ev));
	clock_advance(2 * CLOCK_SECOND);
	assert_true(spool_is_due(f->w, &ev));
}

static void test_a_restart_tells_again(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev = event_of("alice");
	struct err e;
	note(f, "alice");
	spool_writer_free(&f->w);
	assert_int_equal(spool_writer_new(f->dir, 0, &f->w, &e), ERR_OK);
	assert_true(spool_is_due(f->w, &ev));
}

static void test_newest_wins(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev = event_of("alice");
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	note(f, "alice");
	ev.ngroups = 1;
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_OK);
	assert_int_equal(count_files(f, "new"), 1);
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	assert_int_equal(ev.ngroups, 1);
	assert_int_equal(claim(f, &ev, key), ERR_NOT_FOUND);
}

static void test_table_of_fixed_size_forgets_towards_telling_again(void **state)
{
	struct fixture *f = *state;
	const struct spool_limits none = {0, 0, 0, SPOOL_TOUCH};
	spool_writer_limit(f->w, &none);
	struct spool_event ev = event_of("alice");
	struct err e;
	/* What was not written is never marked as told. */
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_LIMIT);
	assert_true(spool_is_due(f->w, &ev));
}

static void *note_many(void *arg)
{
	struct fixture *f = arg;
	for (int i = 0; i < 50; i++) {
		char user[24];
		snprintf(user, sizeof(user), "user%d", i);
		struct spool_event ev = event_of(user);
		struct err e;
		if (spool_is_due(f->w, &ev) && spool_note_sync(f->w, &ev, &e) != ERR_OK)
			return arg;
	}
	return NULL;
}

static void test_threads_write_each_identity_once(void **state)
{
	struct fixture *f = *state;
	struct metric *written = metrics_counter("portcullis_spool_written_total",
	    "Identities handed to the worker: new, changed, or unchanged for long.", "");
	double before = metric_value(written);
	pthread_t t[4];
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, note_many, f), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		void *bad;
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(count_files(f, "new"), 50);
	assert_int_equal(count_files(f, "tmp"), 0);
	assert_true(metric_value(written) - before == 50);
}

static void test_background_writes_all_before_it_ends(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 100; i++) {
		char user[24];
		snprintf(user, sizeof(user), "user%d", i % 60);
		struct spool_event ev = event_of(user);
		spool_note(f->w, &ev); /* the text is gone after this line: it must have been copied */
		memset(user, 'x', sizeof(user));
	}
	spool_writer_free(&f->w);
	assert_int_equal(count_files(f, "new"), 60);
	struct spool_event ev;
	char key[SPOOL_KEY_LEN + 1];
	for (int i = 0; i < 60; i++)
		assert_int_equal(claim(f, &ev, key), ERR_OK);
}

/* --- limits --- */

static void test_full_spool_refuses_new_users_but_takes_changes(void **state)
{
	struct fixture *f = *state;
	const struct spool_limits two = {2, SPOOL_BYTES_MAX, 0, SPOOL_TOUCH};
	struct err e;
	spool_writer_limit(f->w, &two);
	note(f, "alice");
	note(f, "bob");
	struct spool_event ev = event_of("carol");
	int64_t since;
	assert_false(spool_trouble(f->w, &since, &e));
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_LIMIT);
	assert_true(spool_is_due(f->w, &ev));
	assert_true(spool_trouble(f->w, &since, &e) && since > 0);
	assert_string_equal(e.msg, "2 events wait");
	struct spool_event changed = event_of("alice");
	changed.ngroups = 0;
	assert_int_equal(spool_note_sync(f->w, &changed, &e), ERR_OK);
	assert_false(spool_trouble(f->w, &since, &e));
	/* Claimed events still count: the worker has not ended them. */
	char key[SPOOL_KEY_LEN + 1];
	struct spool_event got;
	assert_int_equal(claim(f, &got, key), ERR_OK);
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_LIMIT);
	assert_int_equal(spool_done(f->r, key, &e), ERR_OK);
	clock_advance(2 * CLOCK_SECOND);
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_OK);
}

static void test_bytes_event_size_and_free_space_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct err e;
	const struct spool_limits bytes = {10, 100, 0, SPOOL_TOUCH};
	struct spool_event ev = event_of("alice");
	spool_writer_limit(f->w, &bytes);
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_LIMIT);
	const struct spool_limits full = {10, SPOOL_BYTES_MAX, 101, SPOOL_TOUCH};
	spool_writer_limit(f->w, &full);
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_LIMIT);
	const struct spool_limits fine = {10, SPOOL_BYTES_MAX, 0, SPOOL_TOUCH};
	spool_writer_limit(f->w, &fine);
	struct slice *groups = arena_calloc(&f->arena, 5000, sizeof(*groups));
	for (int i = 0; i < 5000; i++)
		groups[i] = slice_of(arena_printf(&f->arena, "%0*d", 60, i));
	ev.groups = groups;
	ev.ngroups = 5000;
	int64_t since;
	assert_true(spool_trouble(f->w, &since, &e)); /* of the full disk above */
	ev.ngroups = 1;
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_OK);
	ev.ngroups = 5000;
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_LIMIT);
	assert_false(spool_trouble(f->w, &since, &e)); /* one event too long is not the spool's trouble */
	ev.ngroups = 4000;
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_OK);
	assert_int_equal(count_files(f, "tmp"), 0);
}

static void test_text_that_json_would_change_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct spool_event ev = event_of("a\xff");
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_INVALID);
	ev = event_of("alice");
	ev.username = (struct slice){"al\0ice", 6};
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_INVALID);
	ev = event_of("");
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_INVALID);
	const struct spool_extra twice[] = {some_extra[0], some_extra[0]};
	ev = event_of("alice");
	ev.extra = twice;
	assert_int_equal(spool_note_sync(f->w, &ev, &e), ERR_INVALID);
	assert_int_equal(count_files(f, "new"), 0);
}

/* --- claims --- */

static void test_retry_keeps_the_newer_event(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev, newer = event_of("alice");
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	note(f, "alice");
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	assert_int_equal(spool_retry(f->r, key, &e), ERR_OK);
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	assert_int_equal(ev.ngroups, 3);
	newer.ngroups = 1;
	assert_int_equal(spool_note_sync(f->w, &newer, &e), ERR_OK);
	assert_int_equal(spool_retry(f->r, key, &e), ERR_OK);
	assert_int_equal(count_files(f, "cur"), 0);
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	assert_int_equal(ev.ngroups, 1);
}

static void test_a_newer_event_replaces_the_claim(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev, newer = event_of("alice");
	struct err e;
	char key[SPOOL_KEY_LEN + 1], again[SPOOL_KEY_LEN + 1];
	note(f, "alice");
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	newer.ngroups = 1;
	assert_int_equal(spool_note_sync(f->w, &newer, &e), ERR_OK);
	assert_int_equal(claim(f, &ev, again), ERR_OK);
	assert_string_equal(key, again);
	assert_int_equal(ev.ngroups, 1);
	assert_int_equal(spool_reread(f->r, key, &f->arena, &ev, &e), ERR_OK);
	assert_int_equal(ev.ngroups, 1);
	assert_int_equal(spool_done(f->r, key, &e), ERR_OK);
	assert_int_equal(count_files(f, "cur") + count_files(f, "new"), 0);
	assert_int_equal(spool_reread(f->r, key, &f->arena, &ev, &e), ERR_NOT_FOUND);
}

static void test_start_takes_back_what_a_crash_left(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev, newer = event_of("alice");
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	note(f, "alice");
	note(f, "bob");
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	newer.ngroups = 1;
	assert_int_equal(spool_note_sync(f->w, &newer, &e), ERR_OK);
	spool_reader_free(&f->r);
	assert_int_equal(spool_reader_new(f->dir, &f->r, &e), ERR_OK);
	assert_int_equal(count_files(f, "cur"), 0);
	assert_int_equal(count_files(f, "new"), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(claim(f, &ev, key), ERR_OK);
		assert_int_equal(ev.ngroups, slice_is(ev.username, "alice") ? 1 : 3);
	}
}

static void test_one_worker_a_directory(void **state)
{
	struct fixture *f = *state;
	struct spool_reader *second = NULL;
	struct err e;
	assert_int_equal(spool_reader_new(f->dir, &second, &e), ERR_REFUSED);
	spool_reader_free(&f->r);
	assert_int_equal(spool_reader_new(f->dir, &f->r, &e), ERR_OK);
}

static void test_keys_are_no_paths(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"", ".", "..", "../new/x", "/etc/passwd", "a",
	    "AAAAAAAAAAAAAAAAAAAAAAAAAA", "aaaaaaaaaaaaaaaaaaaaaaaaa/", "aaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct spool_event ev;
	struct err e;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(spool_done(f->r, bad[i], &e), ERR_INVALID);
		assert_int_equal(spool_retry(f->r, bad[i], &e), ERR_INVALID);
		assert_int_equal(spool_dead(f->r, bad[i], "x", &e), ERR_INVALID);
		assert_int_equal(spool_reread(f->r, bad[i], &f->arena, &ev, &e), ERR_INVALID);
	}
}

static void test_waiting_wakes_for_new_events(void **state)
{
	struct fixture *f = *state;
	struct pollfd p = {.fd = spool_fd(f->r), .events = POLLIN};
	assert_true(p.fd >= 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	note(f, "alice");
	assert_int_equal(poll(&p, 1, 10000), 1);
	spool_wait_drain(f->r);
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void test_depth_counts_what_waits_and_is_claimed(void **state)
{
	struct fixture *f = *state;
	size_t files;
	int64_t oldest;
	struct spool_event ev;
	char key[SPOOL_KEY_LEN + 1];
	note(f, "alice");
	note(f, "bob");
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	spool_depth(f->r, &files, &oldest);
	assert_int_equal(files, 2);
	int64_t before = oldest;
	clock_advance(100 * CLOCK_SECOND);
	spool_depth(f->r, &files, &oldest);
	assert_in_range(oldest - before, 100, 160);
}

/* --- dead letters --- */

static void test_dead_and_back(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev;
	struct err e;
	char key[SPOOL_KEY_LEN + 1], path[200], text[64] = "";
	note(f, "alice");
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	assert_int_equal(spool_dead(f->r, key, "no such namespace", &e), ERR_OK);
	assert_int_equal(count_files(f, "dead"), 2);
	assert_int_equal(count_files(f, "cur"), 0);
	snprintf(path, sizeof(path), "%s/dead/%s.reason", f->dir, key);
	FILE *in = fopen(path, "r");
	assert_non_null(in);
	assert_non_null(fgets(text, sizeof(text), in));
	fclose(in);
	assert_string_equal(text, "no such namespace\n");
	size_t n;
	assert_int_equal(spool_revive(f->r, &n, &e), ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(count_files(f, "dead"), 0);
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	assert_true(slice_is(ev.username, "alice"));
}

static void test_revival_never_replaces_newer_news(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev, newer = event_of("alice");
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	size_t n;
	note(f, "alice");
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	assert_int_equal(spool_dead(f->r, key, "x", &e), ERR_OK);
	newer.ngroups = 1;
	assert_int_equal(spool_note_sync(f->w, &newer, &e), ERR_OK);
	assert_int_equal(spool_revive(f->r, &n, &e), ERR_OK);
	assert_int_equal(n, 0);
	assert_int_equal(claim(f, &ev, key), ERR_OK);
	assert_int_equal(ev.ngroups, 1);
}

static void test_dead_letters_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev;
	char key[SPOOL_KEY_LEN + 1];
	for (int i = 0; i < SPOOL_DEAD_MAX + 5; i++) {
		char name[24];
		snprintf(name, sizeof(name), "stranger%d", i);
		put_new(f, name, "x", 1);
	}
	for (int i = 0; i < SPOOL_DEAD_MAX + 5; i++)
		assert_int_equal(claim(f, &ev, key), ERR_INVALID);
	assert_int_equal(claim(f, &ev, key), ERR_NOT_FOUND);
	assert_int_equal(count_files(f, "dead"), 2 * SPOOL_DEAD_MAX);
}

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_key_tells_provider_and_name_apart),
	    cmocka_unit_test(test_digest_ignores_order_and_time_only),
	    SPOOL_TEST(test_event_survives_the_file),
	    SPOOL_TEST(test_files_are_for_the_group_whatever_the_umask),
	    SPOOL_TEST(test_told_once_until_changed_or_long_ago),
	    SPOOL_TEST(test_a_restart_tells_again),
	    SPOOL_TEST(test_newest_wins),
	    SPOOL_TEST(test_table_of_fixed_size_forgets_towards_telling_again),
	    SPOOL_TEST(test_threads_write_each_identity_once),
	    SPOOL_TEST(test_background_writes_all_before_it_ends),
	    SPOOL_TEST(test_full_spool_refuses_new_users_but_takes_changes),
	    SPOOL_TEST(test_bytes_event_size_and_free_space_are_bounded),
	    SPOOL_TEST(test_text_that_json_would_change_is_refused),
	    SPOOL_TEST(test_retry_keeps_the_newer_event),
	    SPOOL_TEST(test_a_newer_event_replaces_the_claim),
	    SPOOL_TEST(test_start_takes_back_what_a_crash_left),
	    SPOOL_TEST(test_one_worker_a_directory),
	    SPOOL_TEST(test_keys_are_no_paths),
	    SPOOL_TEST(test_waiting_wakes_for_new_events),
	    SPOOL_TEST(test_depth_counts_what_waits_and_is_claimed),
	    SPOOL_TEST(test_dead_and_back),
	    SPOOL_TEST(test_revival_never_replaces_newer_news),
	    SPOOL_TEST(test_dead_letters_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
