/* Proves acknowledgements: what is settled is told, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "tests/support/intake_fixture.h"

static bool acked(const struct fixture *f, const char *user, size_t ngroups)
{
	char key[SPOOL_KEY_LEN + 1];
	uint8_t digest[SHA256_LEN];
	struct spool_event ev = event_of(user, 0, ngroups);
	spool_key(ev.provider, ev.username, key);
	spool_digest(&ev, digest);
	return spool_acked(f->dir, key, digest);
}

static bool wants_run(const struct fixture *f)
{
	struct pollfd p = {.fd = intake_fd(f->i), .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

static void what_is_settled_is_acknowledged(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	assert_true(wants_run(f));
	intake_run(f->i);
	assert_false(wants_run(f));
	assert_false(acked(f, "alice", 2));
	set_status(f, "alice", "Pending", true);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
	set_status(f, "alice", "Ready", false);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
	set_status(f, "alice", "Ready", true);
	assert_true(wants_run(f));
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
	assert_false(wants_run(f));
}

static void refused_grants_are_settled_too(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	set_status(f, "alice", "Degraded", true);
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
}

static void who_is_settled_already_is_acknowledged_at_once(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	set_status(f, "alice", "Ready", true);
	/* Another worker had this spool before, or its files are gone. */
	assert_false(acked(f, "alice", 2));
	intake_free(&f->i);
	open_intake(f, f->store);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2)); /* nobody told */
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
	assert_int_equal(api.writes, 1);
}

static void old_groups_that_come_back_are_not_settled(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
	tell_user(f, "alice", 200, 1);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2)); /* the moment the record says something else */
	assert_false(acked(f, "alice", 1));
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	assert_true(acked(f, "alice", 1));
	assert_false(acked(f, "alice", 2));
}

static void what_another_node_changed_is_not_acknowledged_here(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	char path[128];
	path_of("alice", path);
	another_intake_knows_newer();
	store_put(f->store, KIND_USER_RECORD, stored_at(path));
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
	assert_false(acked(f, "alice", 1));
}

static void an_old_event_is_never_acknowledged(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 200, 1);
	intake_run(f->i);
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
	assert_true(acked(f, "alice", 1));
}

static void who_loses_the_grants_is_settled_no_more(void **state)
{
	struct fixture *f = *state;
	const char *const phases[] = {"Disabled", "Deleted", "Stale", "Pending"};
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	for (size_t n = 0; n < ARRAY_LEN(phases); n++) {
		set_status(f, "alice", "Ready", true);
		tell_user(f, "alice", 100, 2);
		intake_run(f->i);
		assert_true(acked(f, "alice", 2));
		set_status(f, "alice", phases[n], true);
		intake_run(f->i);
		assert_false(acked(f, "alice", 2));
	}
	set_status(f, "alice", "Ready", true);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
	store_remove(f->store, KIND_USER_RECORD, object_of("alice"));
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
}

static void only_who_sees_records_shows_itself_alive(void **state)
{
	struct fixture *f = *state;
	intake_run(f->i);
	assert_true(spool_worker_alive(f->dir));
	assert_true(intake_pause(f->i) <= SPOOL_ALIVE_EVERY);
	intake_free(&f->i);
	assert_false(spool_worker_alive(f->dir));
	open_intake(f, NULL);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	assert_false(spool_worker_alive(f->dir));
	check_record("alice", 100, 2);
	intake_free(&f->i);
	struct store *unlisted = store_new(on_store, f);
	open_intake(f, unlisted);
	intake_run(f->i);
	assert_false(spool_worker_alive(f->dir));
	intake_free(&f->i);
	store_free(&unlisted);
}

static void *see_thread(void *arg)
{
	struct fixture *f = arg;
	char key[SPOOL_KEY_LEN + 1];
	for (int n = 0; n < 2000; n++) {
		char user[16];
		snprintf(user, sizeof(user), "u%d", n % 50);
		spool_key(SLICE("ldap:corp"), slice_of(user), key);
		intake_seen(f->i, key);
		intake_seen(f->i, "no key of ours");
	}
	return NULL;
}

/* For the thread sanitizer: watches tell while the intake runs. */
static void records_are_seen_from_other_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t t[3];
	struct err e;
	for (size_t n = 0; n < ARRAY_LEN(t); n++)
		assert_int_equal(pthread_create(&t[n], NULL, see_thread, f), 0);
	for (int n = 0; n < 50; n++) {
		intake_run(f->i);
		intake_healthy(f->i, &e);
	}
	for (size_t n = 0; n < ARRAY_LEN(t); n++)
		pthread_join(t[n], NULL);
	intake_run(f->i);
	assert_false(wants_run(f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    INTAKE_TEST(what_is_settled_is_acknowledged),
	    INTAKE_TEST(refused_grants_are_settled_too),
	    INTAKE_TEST(who_is_settled_already_is_acknowledged_at_once),
	    INTAKE_TEST(old_groups_that_come_back_are_not_settled),
	    INTAKE_TEST(what_another_node_changed_is_not_acknowledged_here),
	    INTAKE_TEST(an_old_event_is_never_acknowledged),
	    INTAKE_TEST(who_loses_the_grants_is_settled_no_more),
	    INTAKE_TEST(only_who_sees_records_shows_itself_alive),
	    INTAKE_TEST(records_are_seen_from_other_threads),
	};
	jsonx_init();
	log_init("test_intake_acks", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
