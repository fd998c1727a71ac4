/* Proves that kill -9 at any system call of writer or reader loses no event: a child is stepped by
 * ptrace and killed at its first, second, … stop until one run ends by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/jsonx.h"
#include "common/metrics.h"
#include "common/spool.h"
#include "tests/support/tree.h"

#define USERS 3

/* What the child promised to the outside world before it died. */
struct shared {
	volatile int told[USERS];	 /* answers that left: how many groups they told of */
	volatile int acknowledged[USERS]; /* the cluster has it */
	volatile int failed;
};

static struct shared *shared;
static char base[64], dir[80];

static void empty_dir(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *de; d && (de = readdir(d));) {
		char sub[600];
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, de->d_name);
		if (unlink(sub) != 0) {
			empty_dir(sub);
			rmdir(sub);
		}
	}
	if (d)
		closedir(d);
}

static const struct slice groups[] = {{"a", 1}, {"b", 1}, {"c", 1}};

static struct spool_event event_of(int user, int ngroups)
{
	static const char *const names[USERS] = {"alice", "bob", "carol"};
	return (struct spool_event){.provider = SLICE("ldap:corp"), .username = slice_of(names[user]),
	    .groups = groups, .ngroups = (size_t)ngroups, .seen_at = 1};
}

static int user_of(const struct spool_event *ev)
{
	for (int i = 0; i < USERS; i++) {
		if (slice_eq(ev->username, event_of(i, 0).username))
			return i;
	}
	return -1;
}

static void tell(struct spool_writer *w, int user, int ngroups)
{
	struct spool_event ev = event_of(user, ngroups);
	struct err e;
	if (spool_note_sync(w, &ev, &e) != ERR_OK)
		shared->failed = 1;
	else
		shared->told[user] = ngroups;
}

/* Runs CHILD and kills it at system call stop number STOP. True when it was killed, false when it ended
 * before. */
static bool run_until(void (*child)(void), int stop)
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(77);
		raise(SIGSTOP);
		child();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return false;
	assert_true(WIFSTOPPED(status));
	for (int i = 0; i < stop; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status)) {
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

/* Claims everything that a restarted worker would find. FOUND: groups of each user's event, -1 none. */
static void drain(int found[USERS])
{
	struct spool_reader *r;
	struct arena a;
	struct err e = {0};
	struct spool_event ev;
	char key[SPOOL_KEY_LEN + 1];
	enum err_code rc;
	for (int i = 0; i < USERS; i++)
		found[i] = -1;
	arena_init(&a, 0);
	if (spool_reader_new(dir, &r, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	while ((rc = spool_claim(r, &a, &ev, key, &e)) == ERR_OK) {
		int user = user_of(&ev);
		assert_in_range(user, 0, USERS - 1);
		assert_int_equal(found[user], -1);
		found[user] = (int)ev.ngroups;
	}
	assert_int_equal(rc, ERR_NOT_FOUND); /* nothing half-written, nothing invalid */
	spool_reader_free(&r);
	arena_done(&a);
}

/* Runs CHILD, killed at each stop in turn, over what PREPARE left; CHECK judges each time. */
static void at_each_step(void (*prepare)(void), void (*child)(void), void (*check)(int stop))
{
	int stop = 1;
	for (bool killed = true; killed; stop += 2) { /* entry and exit of a call are one place */
		assert_true(stop < 20000);
		memset((void *)shared, 0, sizeof(*shared));
		empty_dir(dir);
		if (prepare)
			prepare();
		killed = run_until(child, stop);
		assert_int_equal(shared->failed, 0);
		check(stop);
	}
	if (stop < 20) /* a kernel that forbids tracing: say so rather than pass on nothing */
		skip();
}

static struct spool_writer *new_writer(void)
{
	struct spool_writer *w;
	struct err e;
	if (spool_writer_new(dir, 0, &w, &e) != ERR_OK)
		_exit(1);
	return w;
}

static struct spool_reader *new_reader(void)
{
	struct spool_reader *r;
	struct err e;
	if (spool_reader_new(dir, &r, &e) != ERR_OK)
		_exit(1);
	return r;
}

/* --- the server dies --- */

static void child_writes(void)
{
	struct spool_writer *w = new_writer();
	tell(w, 0, 3);
	tell(w, 1, 2);
	tell(w, 0, 1); /* changed groups replace the file */
}

static void check_told(int stop)
{
	int found[USERS];
	drain(found);
	for (int i = 0; i < USERS; i++) {
		/* An answer that left has its event; an event before its answer is fine. */
		if (shared->told[i] && found[i] == -1)
			fail_msg("stop %d: the event of user %d is lost", stop, i);
		if (shared->told[i] == 1 && found[i] != 1)
			fail_msg("stop %d: an older event replaced a newer one", stop);
	}
}

static void test_server_killed_anywhere_loses_no_told_event(void **state)
{
	(void)state;
	at_each_step(NULL, child_writes, check_told);
}

/* --- the worker dies --- */

static void prepare_three(void)
{
	struct spool_writer *w = new_writer();
	for (int i = 0; i < USERS; i++)
		tell(w, i, i + 1);
	spool_writer_free(&w);
}

static void child_applies(void)
{
	struct spool_reader *r = new_reader();
	struct arena a;
	struct err e;
	struct spool_event ev;
	char key[SPOOL_KEY_LEN + 1];
	arena_init(&a, 0);
	while (spool_claim(r, &a, &ev, key, &e) == ERR_OK) {
		int user = user_of(&ev);
		if (user == 1 && spool_retry(r, key, &e) == ERR_OK &&
		    spool_claim(r, &a, &ev, key, &e) != ERR_OK)
			shared->failed = 1;
		user = user_of(&ev);
		shared->acknowledged[user] = (int)ev.ngroups;
		if (spool_done(r, key, &e) != ERR_OK)
			shared->failed = 1;
	}
}

static void check_applied_or_there(int stop)
{
	int found[USERS];
	drain(found);
	for (int i = 0; i < USERS; i++) {
		if (!shared->acknowledged[i] && found[i] != i + 1)
			fail_msg("stop %d: the event of user %d left without acknowledgement", stop, i);
	}
}

static void test_worker_killed_anywhere_loses_no_unacknowledged_event(void **state)
{
	(void)state;
	at_each_step(prepare_three, child_applies, check_applied_or_there);
}

/* --- news while the worker holds an older event --- */

static void prepare_one(void)
{
	struct spool_writer *w = new_writer();
	tell(w, 0, 3);
	spool_writer_free(&w);
}

static void child_races(void)
{
	struct spool_reader *r = new_reader();
	struct spool_writer *w = new_writer();
	struct arena a;
	struct err e;
	struct spool_event ev;
	char key[SPOOL_KEY_LEN + 1];
	arena_init(&a, 0);
	if (spool_claim(r, &a, &ev, key, &e) != ERR_OK)
		shared->failed = 1;
	tell(w, 0, 1);
	if (spool_retry(r, key, &e) != ERR_OK || spool_claim(r, &a, &ev, key, &e) != ERR_OK ||
	    ev.ngroups != 1)
		shared->failed = 1;
	tell(w, 0, 2);
	shared->acknowledged[0] = (int)ev.ngroups;
	if (spool_done(r, key, &e) != ERR_OK)
		shared->failed = 1;
}

static void check_newest(int stop)
{
	int found[USERS];
	drain(found);
	int told = shared->told[0];
	if (found[0] == -1)
		fail_msg("stop %d: the event is lost", stop);
	/* What was told last is there, or what was about to be told. */
	if (told == 1 && found[0] == 3)
		fail_msg("stop %d: old news came back", stop);
	if (told == 2 && found[0] != 2)
		fail_msg("stop %d: %d groups where 2 were told", stop, found[0]);
}

static void test_news_during_a_claim_survive_any_death(void **state)
{
	(void)state;
	at_each_step(prepare_one, child_races, check_newest);
}

/* --- dead letters --- */

static void child_buries_and_revives(void)
{
	struct spool_reader *r = new_reader();
	struct arena a;
	struct err e;
	struct spool_event ev;
	char key[SPOOL_KEY_LEN + 1];
	size_t n;
	arena_init(&a, 0);
	if (spool_claim(r, &a, &ev, key, &e) != ERR_OK || spool_dead(r, key, "x", &e) != ERR_OK ||
	    spool_revive(r, &n, &e) != ERR_OK || n != 1)
		shared->failed = 1;
}

static void check_revivable(int stop)
{
	struct spool_reader *r = new_reader();
	struct err e;
	size_t n;
	int found[USERS];
	assert_int_equal(spool_revive(r, &n, &e), ERR_OK);
	spool_reader_free(&r);
	drain(found);
	if (found[0] != 3)
		fail_msg("stop %d: the dead letter is lost", stop);
}

static void test_dead_letters_survive_any_death(void **state)
{
	(void)state;
	at_each_step(prepare_one, child_buries_and_revives, check_revivable);
}

static int setup(void **state)
{
	(void)state;
	assert_true(make_tree(base, sizeof(base), "crash"));
	snprintf(dir, sizeof(dir), "%s/spool", base);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	empty_dir(base);
	rmdir(base);
	munmap((void *)shared, sizeof(*shared));
	return 0;
}

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_server_killed_anywhere_loses_no_told_event),
	    cmocka_unit_test(test_worker_killed_anywhere_loses_no_unacknowledged_event),
	    cmocka_unit_test(test_news_during_a_claim_survive_any_death),
	    cmocka_unit_test(test_dead_letters_survive_any_death),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
