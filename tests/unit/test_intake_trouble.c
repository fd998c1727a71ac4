/* Proves the intake in trouble: events survive it, are tried again or buried, and floods wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/support/intake_fixture.h"

/* --- trouble --- */

static void without_the_resource_all_waits_and_says_so(void **state)
{
	struct fixture *f = *state;
	struct err why = {0};
	const long statuses[] = {404, 403, 405};
	for (size_t n = 0; n < ARRAY_LEN(statuses); n++) {
		char user[16];
		snprintf(user, sizeof(user), "u%zu", n);
		api.fail[POST].status = statuses[n];
		api.fail[POST].times = 1000;
		tell_user(f, user, 100, 2);
		for (int k = 0; k < 20; k++) { /* far more than maxAttempts */
			intake_run(f->i);
			clock_advance(61 * CLOCK_SECOND);
		}
		assert_int_equal(waiting(f), 1);
		assert_int_equal(f->dead, 0);
		assert_false(intake_healthy(f->i, &why));
		assert_non_null(strstr(why.msg, "HTTP"));
		assert_false(spool_worker_alive(f->dir));
		api.fail[POST].times = 0;
		intake_retry_now(f->i);
		intake_run(f->i);
		assert_int_equal(waiting(f), 0);
		assert_true(intake_healthy(f->i, &why));
		assert_true(spool_worker_alive(f->dir));
	}
}

static void the_apiserver_says_how_long(void **state)
{
	struct fixture *f = *state;
	api.fail[POST].status = 429;
	api.fail[POST].wait = 30;
	api.fail[POST].times = 1;
	tell_user(f, "alice", 100, 2);
	tell_user(f, "bob", 100, 2);
	intake_run(f->i);
	assert_int_equal(api.calls[POST], 1);
	assert_int_equal(waiting(f), 2);
	clock_advance(29 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(api.calls[POST], 1);
	assert_true(intake_pause(f->i) <= CLOCK_SECOND);
	clock_advance(CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	check_record("alice", 100, 2);
	check_record("bob", 100, 2);
}

static void what_is_refused_for_good_is_buried(void **state)
{
	struct fixture *f = *state;
	struct err e;
	api.fail[POST].status = 422;
	api.fail[POST].times = 3;
	tell_user(f, "alice", 100, 2);
	for (int k = 0; k < 3; k++) {
		assert_int_equal(files(f, "dead"), 0);
		intake_run(f->i);
		clock_advance(20 * CLOCK_SECOND);
	}
	assert_int_equal(files(f, "dead"), 1);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(f->dead, 1);
	assert_true(intake_healthy(f->i, &e));
	assert_int_equal(intake_revive(f->i, &e), ERR_OK);
	intake_run(f->i);
	check_record("alice", 100, 2);
}

/* A proxy that sends everybody to its login page is no reason to give events up. */
static void what_the_apiserver_did_not_refuse_is_not_buried(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	api.hearsay = true;
	api.fail[POST].status = 302;
	api.fail[POST].times = 6; /* twice what the apiserver itself is asked */
	for (int n = 0; n < 7; n++) {
		intake_run(f->i);
		clock_advance(13 * CLOCK_SECOND);
	}
	assert_int_equal(f->dead, 0);
	assert_int_equal(api.calls[POST], 7);
	check_record("alice", 100, 2);
	assert_int_equal(waiting(f), 0);
}

static void one_refused_user_does_not_hold_up_others(void **state)
{
	struct fixture *f = *state;
	api.fail[POST].status = 422;
	api.fail[POST].times = 1;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	tell_user(f, "bob", 100, 2);
	intake_run(f->i);
	check_record("bob", 100, 2);
	assert_int_equal(waiting(f), 1);
}

/* kill -9 after the apiserver took the record and before the event left the disk. */
static void an_event_survives_the_worker(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_free(&f->i);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		open_intake(f, f->store);
		api.die = true;
		intake_run(f->i);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(files(f, "cur"), 1);
	/* What the apiserver has by now. */
	struct spool_event ev = event_of("alice", 100, 2);
	json_t *o = record_spec(&ev);
	char path[128];
	path_of("alice", path);
	store_at(path, o);
	json_decref(o);
	open_intake(f, f->store);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.writes, 0);
	check_record("alice", 100, 2);
}

static void once_leaves_what_is_not_done(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	assert_true(intake_drain(f->i));
	check_record("alice", 100, 2);
	api.fail[POST].status = 422;
	api.fail[POST].times = 1;
	tell_user(f, "bob", 100, 2);
	assert_false(intake_drain(f->i));
	assert_int_equal(files(f, "new"), 1);
	assert_true(intake_drain(f->i));
}

static void two_workers_do_not_share_a_spool(void **state)
{
	struct fixture *f = *state;
	struct intake *second = NULL;
	struct err e;
	assert_int_equal(intake_new(&f->c, NULL, f->store, NULL, &second, &e), ERR_REFUSED);
	assert_null(second);
}

/* --- floods --- */

static void a_flood_of_new_users_waits(void **state)
{
	struct fixture *f = *state;
	char user[16];
	tell_user(f, "old", 100, 2);
	intake_run(f->i);
	intake_limit(f->i, 1000, 4);
	for (int n = 0; n < 10; n++) {
		snprintf(user, sizeof(user), "u%d", n);
		tell_user(f, user, 100, 2);
	}
	tell_user(f, "old", 200, 1);
	intake_run(f->i);
	assert_int_equal(f->appeared, 1 + 4);
	assert_int_equal(waiting(f), 6);
	check_record("old", 200, 1); /* users who have a record pass */
	int gets = api.calls[GET];
	intake_run(f->i);
	assert_int_equal(api.calls[GET], gets); /* who waits costs no request */
	clock_advance(16 * CLOCK_SECOND);
	assert_int_equal(intake_pause(f->i), 0);
	intake_run(f->i);
	assert_int_equal(f->appeared, 1 + 5);
	clock_advance(60 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(f->appeared, 1 + 9);
	clock_advance(60 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(f->appeared, 1 + 10);
	assert_int_equal(waiting(f), 0);
	assert_true(intake_healthy(f->i, &(struct err){0}));
}

static void there_are_never_more_users_than_allowed(void **state)
{
	struct fixture *f = *state;
	intake_limit(f->i, 2, 60);
	tell_user(f, "a", 100, 2);
	tell_user(f, "b", 100, 2);
	tell_user(f, "c", 100, 2);
	intake_run(f->i);
	assert_int_equal(f->appeared, 2);
	assert_int_equal(waiting(f), 1);
	clock_advance(3600 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(f->appeared, 2);
	intake_limit(f->i, 3, 60);
	clock_advance(60 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(f->appeared, 3);
	assert_int_equal(waiting(f), 0);
}

/* --- no descriptors --- */

static rlim_t descriptors;

/* Whatever is opened from now on fails with EMFILE. */
static void no_more_files(void)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	descriptors = limit.rlim_cur;
	limit.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void files_again(void)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = descriptors;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* The first event's write takes all descriptors: the second one is claimed and cannot be read. */
static void an_event_that_could_not_be_read_is_read_again(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	tell_user(f, "bob", 100, 2);
	api.meanwhile = no_more_files;
	intake_run(f->i);
	files_again();
	assert_int_equal(files(f, "cur"), 1);
	assert_int_equal(api.writes, 1);
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	check_record("alice", 100, 2);
	check_record("bob", 100, 2);
	assert_int_equal(waiting(f), 0);
}

static char claim[160], aside[160];

static void put_aside(void)
{
	assert_int_equal(rename(claim, aside), 0);
	assert_int_equal(mkdir(claim, 0700), 0);
}

/* A disk that takes no change for a while; here a directory, which unlink(2) does not remove. */
static void an_event_that_could_not_be_deleted_is_done_again(void **state)
{
	struct fixture *f = *state;
	char key[SPOOL_KEY_LEN + 1];
	spool_key(SLICE("ldap:corp"), SLICE("alice"), key);
	snprintf(claim, sizeof(claim), "%s/cur/%s", f->dir, key);
	snprintf(aside, sizeof(aside), "%s/aside", f->dir);
	tell_user(f, "alice", 100, 2);
	api.meanwhile = put_aside;
	intake_run(f->i);
	check_record("alice", 100, 2);
	assert_int_equal(rmdir(claim), 0);
	assert_int_equal(rename(aside, claim), 0);
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.writes, 1);
}

/* The same of one that is tried once more. */
static void an_event_that_could_not_be_read_once_more_is_read_again(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	api.fail[POST].status = 422;
	api.fail[POST].times = 1;
	intake_run(f->i);
	clock_advance(2 * CLOCK_SECOND);
	no_more_files();
	intake_run(f->i);
	files_again();
	assert_int_equal(api.writes, 0);
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	check_record("alice", 100, 2);
	assert_int_equal(waiting(f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    INTAKE_TEST(without_the_resource_all_waits_and_says_so),
	    INTAKE_TEST(the_apiserver_says_how_long),
	    INTAKE_TEST(what_is_refused_for_good_is_buried),
	    INTAKE_TEST(what_the_apiserver_did_not_refuse_is_not_buried),
	    INTAKE_TEST(one_refused_user_does_not_hold_up_others),
	    INTAKE_TEST(an_event_survives_the_worker),
	    INTAKE_TEST(once_leaves_what_is_not_done),
	    INTAKE_TEST(a_flood_of_new_users_waits),
	    INTAKE_TEST(there_are_never_more_users_than_allowed),
	    INTAKE_TEST(an_event_that_could_not_be_read_is_read_again),
	    INTAKE_TEST(an_event_that_could_not_be_deleted_is_done_again),
	    INTAKE_TEST(an_event_that_could_not_be_read_once_more_is_read_again),
	    INTAKE_TEST(two_workers_do_not_share_a_spool),
	};
	jsonx_init();
	log_init("test_intake_trouble", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
