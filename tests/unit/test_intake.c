/* Proves the way of events into records: none is lost, and none overwrites what is newer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/intake_fixture.h"

#define SECONDS_AHEAD (INT64_C(3) * 365 * 86400)

/* --- into records --- */

static void a_new_user_becomes_a_record(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	check_record("alice", 100, 2);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.calls[GET], 0); /* the store knows all records: making it is the question */
	assert_int_equal(api.calls[POST], 1);
	assert_int_equal(api.calls[PATCH], 0);
	assert_int_equal(f->appeared, 1);
	assert_int_equal(store_count(f->store, KIND_USER_RECORD), 1);
	tell_user(f, "alice", 200, 1);
	intake_run(f->i);
	check_record("alice", 200, 1);
	assert_int_equal(api.calls[PATCH], 1);
	assert_int_equal(f->appeared, 1);
}

static void what_stands_there_is_not_written_again(void **state)
{
	struct fixture *f = *state;
	for (int n = 0; n < 3; n++) {
		tell_user(f, "alice", 100, 2);
		intake_run(f->i);
		assert_int_equal(waiting(f), 0);
	}
	assert_int_equal(api.writes, 1);
}

/* Groups came by another node, and are gone again: here the watch still shows the time before. */
static void what_a_late_watch_says_drops_no_news(void **state)
{
	struct fixture *f = *state;
	char path[128];
	struct spool_event ev = event_of("alice", 0, 1), other = event_of("alice", 0, 2);
	tell(f, &ev);
	intake_run(f->i);
	other.seen_at += 10;
	path_of("alice", path);
	json_t *o = record_spec(&other);
	store_at(path, o);
	json_decref(o);
	ev.seen_at += 20;
	tell(f, &ev);
	intake_run(f->i);
	check_record("alice", 0, 1);
	assert_int_equal(waiting(f), 0);
}

static void what_is_older_is_dropped(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 200, 1);
	intake_run(f->i);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	check_record("alice", 200, 1);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.writes, 1);
}

static void a_long_unchanged_user_is_touched(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev = event_of("alice", 100, 2);
	tell(f, &ev);
	intake_run(f->i);
	ev.seen_at += SPOOL_TOUCH / CLOCK_SECOND - 1;
	tell(f, &ev);
	intake_run(f->i);
	assert_int_equal(api.writes, 1);
	ev.seen_at++;
	tell(f, &ev);
	intake_run(f->i);
	assert_int_equal(api.writes, 2);
}

/* A clock that was years ahead is set right: without iat nobody would be newer for years, and a ttl would not end. */
static void a_record_of_years_to_come_is_written_over(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev = event_of("alice", 0, 2);
	clock_step_wall(SECONDS_AHEAD * CLOCK_SECOND);
	ev.seen_at += SECONDS_AHEAD;
	tell(f, &ev);
	intake_run(f->i);
	clock_step_wall(-SECONDS_AHEAD * CLOCK_SECOND);
	tell_user(f, "alice", 0, 1);
	intake_run(f->i);
	check_record("alice", 0, 1);
	json_t *spec = json_object_get(object_of("alice"), "spec");
	int64_t at;
	assert_true(clock_parse_rfc3339(jsonx_text(json_object_get(spec, "observedAt")), &at));
	assert_in_range(at / CLOCK_SECOND, 0, clock_unix());
	/* The same of an event that waited. */
	tell(f, &ev);
	intake_run(f->i);
	spec = json_object_get(object_of("alice"), "spec");
	assert_true(clock_parse_rfc3339(jsonx_text(json_object_get(spec, "observedAt")), &at));
	assert_in_range(at / CLOCK_SECOND, 0, clock_unix());
}

static void who_comes_back_is_written_at_once(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev = event_of("alice", 100, 2);
	tell(f, &ev);
	intake_run(f->i);
	set_status(f, "alice", "Disabled", true);
	ev.seen_at++;
	tell(f, &ev);
	intake_run(f->i);
	assert_int_equal(api.writes, 2);
	set_status(f, "alice", "Ready", true);
	ev.seen_at++;
	tell(f, &ev);
	intake_run(f->i);
	assert_int_equal(api.writes, 2);
}

/* --- others write too --- */

static void another_intake_knows_older(void)
{
	struct spool_event ev = event_of("alice", 150, 1);
	json_t *o = record_spec(&ev);
	char path[128];
	path_of("alice", path);
	store_at(path, o);
	json_decref(o);
}

static void a_race_to_create_is_won_by_the_newer(void **state)
{
	struct fixture *f = *state;
	api.meanwhile = another_intake_knows_newer;
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	check_record("alice", 300, 1);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.writes, 0);
	assert_int_equal(f->appeared, 0);
}

static void a_race_to_create_against_the_older_is_written_over(void **state)
{
	struct fixture *f = *state;
	api.meanwhile = another_intake_knows_older;
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	check_record("alice", 200, 2);
	assert_int_equal(api.writes, 1);
}

static void a_race_to_change_is_won_by_the_newer(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	api.meanwhile = another_intake_knows_newer;
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	check_record("alice", 300, 1);
	api.meanwhile = another_intake_knows_older;
	tell_user(f, "alice", 400, 2);
	intake_run(f->i);
	check_record("alice", 400, 2);
	assert_int_equal(waiting(f), 0);
}

static void who_always_loses_tries_again_later(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	api.fail[PATCH].status = 409;
	api.fail[PATCH].times = 5;
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	assert_int_equal(waiting(f), 1);
	assert_true(intake_healthy(f->i, &(struct err){0}));
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	check_record("alice", 200, 2);
	assert_int_equal(f->dead, 0);
}

static void a_record_that_goes_is_waited_for(void **state)
{
	struct fixture *f = *state;
	char path[128];
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	path_of("alice", path);
	json_object_set_new(json_object_get(object_of("alice"), "metadata"), "deletionTimestamp",
	    json_string("2026-11-23T10:00:00Z"));
	store_put(f->store, KIND_USER_RECORD, object_of("alice"));
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	assert_int_equal(waiting(f), 1);
	store_remove(f->store, KIND_USER_RECORD, object_of("alice"));
	json_object_del(api.objects, path);
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	check_record("alice", 200, 2);
	assert_int_equal(f->appeared, 2);
}

static void what_cannot_be_read_is_written_anew(void **state)
{
	struct fixture *f = *state;
	struct spool_event bob = event_of("bob", 900, 1);
	json_t *o = record_spec(&bob);
	char path[128], key[SPOOL_KEY_LEN + 1];
	path_of("alice", path);
	spool_key(SLICE("ldap:corp"), SLICE("alice"), key);
	json_object_set_new(json_object_get(o, "metadata"), "name", json_string(key));
	store_at(path, o);
	json_decref(o);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	check_record("alice", 100, 2);
	assert_int_equal(waiting(f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    INTAKE_TEST(a_new_user_becomes_a_record),
	    INTAKE_TEST(what_stands_there_is_not_written_again),
	    INTAKE_TEST(what_a_late_watch_says_drops_no_news),
	    INTAKE_TEST(what_is_older_is_dropped),
	    INTAKE_TEST(a_long_unchanged_user_is_touched),
	    INTAKE_TEST(a_record_of_years_to_come_is_written_over),
	    INTAKE_TEST(who_comes_back_is_written_at_once),
	    INTAKE_TEST(a_race_to_create_is_won_by_the_newer),
	    INTAKE_TEST(a_race_to_create_against_the_older_is_written_over),
	    INTAKE_TEST(a_race_to_change_is_won_by_the_newer),
	    INTAKE_TEST(who_always_loses_tries_again_later),
	    INTAKE_TEST(a_record_that_goes_is_waited_for),
	    INTAKE_TEST(what_cannot_be_read_is_written_anew),
	};
	jsonx_init();
	log_init("test_intake", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
