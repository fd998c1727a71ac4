/* Proves the way back through the spool: who is settled, whether the worker lives, and waiting for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/spool_ack.h"
#include "server/first_login.h"
#include "tests/support/tree.h"

#define ALICE "csrs2uohqrwhpetouox3ilobcs" /* key of ldap:corp and alice */

struct fixture {
	char base[64], dir[80];
	struct spool_acks *acks;
	uint8_t one[SHA256_LEN], two[SHA256_LEN];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;
	assert_true(make_tree(f->base, sizeof(f->base), "ack"));
	snprintf(f->dir, sizeof(f->dir), "%s/spool", f->base);
	memset(f->one, 1, sizeof(f->one));
	memset(f->two, 2, sizeof(f->two));
	assert_int_equal(spool_acks_new(f->dir, &f->acks, &e), ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	spool_acks_free(&f->acks);
	remove_tree(f->base);
	free(f);
	return 0;
}

static void put(struct fixture *f, const uint8_t *digest)
{
	struct err e = {0};
	if (spool_acks_put(f->acks, ALICE, digest, &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

static void write_file(const struct fixture *f, const char *name, const char *text)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/ack/%s", f->dir, name);
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void read_file(const struct fixture *f, const char *name, char *out, size_t cap)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/ack/%s", f->dir, name);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, out, cap - 1);
	assert_true(n >= 0);
	out[n] = '\0';
	close(fd);
}

/* --- who is settled --- */

static void what_is_settled_is_that_digest_alone(void **state)
{
	struct fixture *f = *state;
	assert_false(spool_acked(f->dir, ALICE, f->one));
	put(f, f->one);
	assert_true(spool_acked(f->dir, ALICE, f->one));
	assert_false(spool_acked(f->dir, ALICE, f->two));
	put(f, f->two);
	assert_false(spool_acked(f->dir, ALICE, f->one));
	assert_true(spool_acked(f->dir, ALICE, f->two));
	spool_acks_drop(f->acks, ALICE);
	assert_false(spool_acked(f->dir, ALICE, f->two));
	spool_acks_drop(f->acks, ALICE);
}

static void both_sides_may_read_and_nobody_else(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	char path[200];
	put(f, f->one);
	snprintf(path, sizeof(path), "%s/ack/" ALICE, f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	snprintf(path, sizeof(path), "%s/ack", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0770);
	/* Nothing is left on the way. */
	snprintf(path, sizeof(path), "%s/tmp", f->dir);
	assert_int_equal(rmdir(path), 0);
}

static void only_keys_are_names(void **state)
{
	struct fixture *f = *state;
	struct err e;
	static const char *const bad[] = {"", "worker", "../new/csrs2uohqrwhpetouox3ilobcs",
	    "csrs2uohqrwhpetouox3ilobc", "csrs2uohqrwhpetouox3ilobc1", "../../../../../../etc/passwd"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(spool_acks_put(f->acks, bad[i], f->one, &e), ERR_INVALID);
		assert_false(spool_acked(f->dir, bad[i], f->one));
		assert_false(spool_ack_wait(f->dir, bad[i], f->one, 0));
		spool_acks_drop(f->acks, bad[i]);
	}
	spool_acks_alive(f->acks);
	spool_acks_drop(f->acks, "worker");
	assert_true(spool_worker_alive(f->dir));
}

static void what_is_no_acknowledgement_settles_nobody(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"", "\n", "01", "zz",
	    "01010101010101010101010101010101010101010101010101010101010101",
	    "0101010101010101010101010101010101010101010101010101010101010101ff",
	    "010101010101010101010101010101010101010101010101010101010101010g"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		write_file(f, ALICE, bad[i]);
		assert_false(spool_acked(f->dir, ALICE, f->one));
	}
	write_file(f, ALICE, "0101010101010101010101010101010101010101010101010101010101010101");
	assert_true(spool_acked(f->dir, ALICE, f->one));
	/* Never through a link. */
	char path[200], real[200];
	snprintf(path, sizeof(path), "%s/ack/" ALICE, f->dir);
	snprintf(real, sizeof(real), "%s/elsewhere", f->dir);
	assert_int_equal(rename(path, real), 0);
	assert_int_equal(symlink(real, path), 0);
	assert_false(spool_acked(f->dir, ALICE, f->one));
}

static void what_is_old_is_swept(void **state)
{
	struct fixture *f = *state;
	put(f, f->one);
	spool_acks_alive(f->acks);
	clock_step_wall(SPOOL_ACK_AGE - 60 * CLOCK_SECOND);
	spool_acks_sweep(f->acks);
	assert_true(spool_acked(f->dir, ALICE, f->one));
	clock_step_wall(120 * CLOCK_SECOND);
	spool_acks_sweep(f->acks);
	assert_false(spool_acked(f->dir, ALICE, f->one));
	clock_step_wall(-(SPOOL_ACK_AGE + 60 * CLOCK_SECOND));
}

static void there_are_never_more_than_a_spool_holds(void **state)
{
	struct fixture *f = *state;
	char name[SPOOL_KEY_LEN + 1], path[200];
	for (int i = 0; i < SPOOL_FILES_MAX + 50; i++) {
		snprintf(name, sizeof(name), "aaaaaaaaaaaaaaaaaaaaaaaaaa");
		for (int n = i, at = 25; n; n /= 26, at--)
			name[at] = (char)('a' + n % 26);
		snprintf(path, sizeof(path), "%s/ack/%s", f->dir, name);
		close(open(path, O_WRONLY | O_CREAT, 0640));
	}
	spool_acks_sweep(f->acks);
	size_t left = 0;
	for (int i = 0; i < SPOOL_FILES_MAX + 50; i++) {
		snprintf(name, sizeof(name), "aaaaaaaaaaaaaaaaaaaaaaaaaa");
		for (int n = i, at = 25; n; n /= 26, at--)
			name[at] = (char)('a' + n % 26);
		snprintf(path, sizeof(path), "%s/ack/%s", f->dir, name);
		left += access(path, F_OK) == 0;
	}
	assert_int_equal(left, SPOOL_FILES_MAX);
}

/* --- whether the worker lives --- */

static void a_worker_lives_while_it_shows_itself(void **state)
{
	struct fixture *f = *state;
	struct err e;
	assert_false(spool_worker_alive(f->dir));
	spool_acks_alive(f->acks);
	assert_true(spool_worker_alive(f->dir));
	clock_advance(SPOOL_ALIVE_STALE - CLOCK_SECOND);
	assert_true(spool_worker_alive(f->dir));
	clock_advance(CLOCK_SECOND);
	assert_false(spool_worker_alive(f->dir));
	spool_acks_alive(f->acks);
	assert_true(spool_worker_alive(f->dir));
	spool_acks_down(f->acks);
	assert_false(spool_worker_alive(f->dir));
	spool_acks_alive(f->acks);
	assert_true(spool_worker_alive(f->dir));
	spool_acks_free(&f->acks);
	assert_false(spool_worker_alive(f->dir));
	assert_int_equal(spool_acks_new(f->dir, &f->acks, &e), ERR_OK);
	assert_false(spool_worker_alive(f->dir));
}

static void no_wall_clock_makes_a_dead_worker_live(void **state)
{
	struct fixture *f = *state;
	spool_acks_alive(f->acks);
	clock_step_wall(-3600 * CLOCK_SECOND);
	assert_true(spool_worker_alive(f->dir));
	clock_step_wall(2 * 3600 * CLOCK_SECOND);
	assert_true(spool_worker_alive(f->dir));
	clock_step_wall(-3600 * CLOCK_SECOND);
	clock_advance(SPOOL_ALIVE_STALE);
	clock_step_wall(-SPOOL_ALIVE_STALE); /* the wall clock stands where it did */
	assert_false(spool_worker_alive(f->dir));
}

static void a_sign_of_life_is_of_this_boot_and_not_from_the_future(void **state)
{
	struct fixture *f = *state;
	char good[128], boot[80], text[160];
	spool_acks_alive(f->acks);
	read_file(f, "worker", good, sizeof(good));
	memcpy(boot, good, strcspn(good, " "));
	boot[strcspn(good, " ")] = '\0';
	write_file(f, "worker", good);
	assert_true(spool_worker_alive(f->dir));
	snprintf(text, sizeof(text), "%s %lld\n", boot, (long long)(clock_mono() + 60 * CLOCK_SECOND));
	write_file(f, "worker", text);
	assert_false(spool_worker_alive(f->dir));
	boot[0] = boot[0] == '0' ? '1' : '0';
	snprintf(text, sizeof(text), "%s %lld\n", boot, (long long)clock_mono());
	write_file(f, "worker", text);
	assert_false(spool_worker_alive(f->dir));
	static const char *const bad[] = {"", "\n", "x", " 5", "x x", "0 0"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		write_file(f, "worker", bad[i]);
		assert_false(spool_worker_alive(f->dir));
	}
}

/* --- waiting --- */

struct waiter {
	pthread_t thread;
	const struct fixture *f;
	const uint8_t *digest;
	int64_t deadline;
	bool ready;
};

static void *wait_thread(void *arg)
{
	struct waiter *w = arg;
	w->ready = spool_ack_wait(w->f->dir, ALICE, w->digest, w->deadline);
	return NULL;
}

static void whoever_waits_wakes_for_the_own_digest(void **state)
{
	struct fixture *f = *state;
	struct waiter w[8];
	for (size_t i = 0; i < ARRAY_LEN(w); i++) {
		w[i] = (struct waiter){.f = f, .digest = i % 2 ? f->two : f->one,
		    .deadline = clock_mono() + 60 * CLOCK_SECOND};
		assert_int_equal(pthread_create(&w[i].thread, NULL, wait_thread, &w[i]), 0);
	}
	put(f, f->one);
	for (size_t i = 0; i < ARRAY_LEN(w); i += 2)
		pthread_join(w[i].thread, NULL);
	put(f, f->two);
	for (size_t i = 1; i < ARRAY_LEN(w); i += 2)
		pthread_join(w[i].thread, NULL);
	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		assert_true(w[i].ready);
}

static void whoever_waits_in_vain_ends_at_the_deadline(void **state)
{
	struct fixture *f = *state;
	int64_t deadline = clock_mono() + 20 * CLOCK_MS;
	put(f, f->two);
	assert_false(spool_ack_wait(f->dir, ALICE, f->one, deadline));
	assert_true(clock_mono() >= deadline);
	assert_true(spool_ack_wait(f->dir, ALICE, f->two, 0));
	assert_false(spool_ack_wait("/nonexistent", ALICE, f->one, clock_mono() + 60 * CLOCK_SECOND));
}

/* --- the rules by which portcullisd waits --- */

struct login {
	struct first_login f;
	struct new_users_config c;
	struct spool_event ev;
	uint8_t digest[SHA256_LEN];
	double was[4];
};

static struct login login_of(struct fixture *f, int64_t wait_ms)
{
	struct login l = {
	    .c = {.spool_dir = f->dir, .durability = SPOOL_DURABILITY_SYNC, .first_login = {wait_ms}},
	    .ev = {.provider = SLICE("ldap:corp"), .username = SLICE("alice")},
	};
	first_login_init(&l.f);
	spool_digest(&l.ev, l.digest);
	l.was[0] = metric_value(l.f.ready);
	l.was[1] = metric_value(l.f.timeout);
	l.was[2] = metric_value(l.f.skipped);
	l.was[3] = metric_value(l.f.seconds);
	return l;
}

static void wait_once(struct login *l)
{
	first_login_wait(&l->f, &l->c, &l->ev, clock_mono() + 60 * CLOCK_SECOND);
}

static void counted(const struct login *l, int ready, int timeout, int skipped)
{
	assert_int_equal(metric_value(l->f.ready) - l->was[0], ready);
	assert_int_equal(metric_value(l->f.timeout) - l->was[1], timeout);
	assert_int_equal(metric_value(l->f.skipped) - l->was[2], skipped);
	assert_int_equal(metric_value(l->f.seconds) - l->was[3], ready + timeout);
}

static void waiting_is_for_those_who_asked_for_it(void **state)
{
	(void)state;
	struct new_users_config c = {.durability = SPOOL_DURABILITY_SYNC};
	assert_false(first_login_waits(&c));
	c.first_login.wait_ms = 1;
	assert_true(first_login_waits(&c));
	c.durability = SPOOL_DURABILITY_ASYNC;
	assert_false(first_login_waits(&c));
}

static void who_is_settled_does_not_wait(void **state)
{
	struct fixture *f = *state;
	struct login l = login_of(f, 600000);
	put(f, l.digest);
	wait_once(&l); /* though no worker lives */
	counted(&l, 1, 0, 0);
}

static void without_a_worker_nobody_waits(void **state)
{
	struct fixture *f = *state;
	struct login l = login_of(f, 600000);
	wait_once(&l);
	counted(&l, 0, 0, 1);
	spool_acks_alive(f->acks);
	clock_advance(SPOOL_ALIVE_STALE);
	wait_once(&l);
	counted(&l, 0, 0, 2);
}

static void after_vain_waits_nobody_waits_for_a_while(void **state)
{
	struct fixture *f = *state;
	struct login l = login_of(f, 1);
	for (int i = 0; i < FIRST_LOGIN_VAIN_MAX; i++) {
		spool_acks_alive(f->acks);
		wait_once(&l);
	}
	counted(&l, 0, FIRST_LOGIN_VAIN_MAX, 0);
	wait_once(&l);
	counted(&l, 0, FIRST_LOGIN_VAIN_MAX, 1);
	/* One tries again; it fails, and the others go on without. */
	clock_advance(FIRST_LOGIN_PAUSE);
	spool_acks_alive(f->acks);
	wait_once(&l);
	counted(&l, 0, FIRST_LOGIN_VAIN_MAX + 1, 1);
	wait_once(&l);
	counted(&l, 0, FIRST_LOGIN_VAIN_MAX + 1, 2);
}

static void *login_thread(void *arg)
{
	wait_once(arg);
	return NULL;
}

/* More than the places: those over are let go at once, the others wake, and every place is free again. */
static void places_are_few_and_given_back(void **state)
{
	struct fixture *f = *state;
	struct login l = login_of(f, 600000);
	pthread_t t[3 * FIRST_LOGIN_WAITERS_MAX];
	spool_acks_alive(f->acks);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, login_thread, &l), 0);
	/* All but the waiters come back before anything is acknowledged. */
	while (metric_value(l.f.skipped) - l.was[2] < (double)(ARRAY_LEN(t) - FIRST_LOGIN_WAITERS_MAX))
		sched_yield();
	assert_int_equal(atomic_load(&l.f.waiting), FIRST_LOGIN_WAITERS_MAX);
	put(f, l.digest);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	counted(&l, FIRST_LOGIN_WAITERS_MAX, 0, (int)ARRAY_LEN(t) - FIRST_LOGIN_WAITERS_MAX);
	assert_int_equal(atomic_load(&l.f.waiting), 0);
	assert_int_equal(atomic_load(&l.f.vain), 0);
}

static void no_wait_passes_the_answers_deadline(void **state)
{
	struct fixture *f = *state;
	struct login l = login_of(f, 600000);
	spool_acks_alive(f->acks);
	first_login_wait(&l.f, &l.c, &l.ev, clock_mono() + 10 * CLOCK_MS);
	counted(&l, 0, 1, 0);
}

#define ACK_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ACK_TEST(what_is_settled_is_that_digest_alone),
	    ACK_TEST(both_sides_may_read_and_nobody_else),
	    ACK_TEST(only_keys_are_names),
	    ACK_TEST(what_is_no_acknowledgement_settles_nobody),
	    ACK_TEST(what_is_old_is_swept),
	    ACK_TEST(there_are_never_more_than_a_spool_holds),
	    ACK_TEST(a_worker_lives_while_it_shows_itself),
	    ACK_TEST(no_wall_clock_makes_a_dead_worker_live),
	    ACK_TEST(a_sign_of_life_is_of_this_boot_and_not_from_the_future),
	    ACK_TEST(whoever_waits_wakes_for_the_own_digest),
	    ACK_TEST(whoever_waits_in_vain_ends_at_the_deadline),
	    cmocka_unit_test(waiting_is_for_those_who_asked_for_it),
	    ACK_TEST(who_is_settled_does_not_wait),
	    ACK_TEST(without_a_worker_nobody_waits),
	    ACK_TEST(after_vain_waits_nobody_waits_for_a_while),
	    ACK_TEST(places_are_few_and_given_back),
	    ACK_TEST(no_wait_passes_the_answers_deadline),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
