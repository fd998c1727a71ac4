/* Proves what calls for one token share: the verdict of a moment ago, the verification under way, the work of
 * another call, and what they must not share. Rows 87 to 89 and 100 of the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "authn/chain.h"
#include "common/clock.h"
#include "common/metrics.h"

#define MINUTE (60 * CLOCK_SECOND)
#define FOLLOWERS 1000

/* --- an authenticator that does as it is told --- */

static struct {
	struct authn base;
	/* A token is its own user name; "work…" needs work, "bad…" is refused. */
	atomic_int tried, worked;
	int64_t keep;
	int64_t expires; /* unix seconds; 0: none */
	enum authn_step outcome;
	const char *work_key;
	void (*in_try)(void);
} fake;

static enum authn_step judge(struct authn_call *call)
{
	call->keep = fake.keep;
	if (slice_starts(call->token, SLICE("bad")))
		return authn_say(call, AUTHN_REJECT, "badSignature", "no");
	if (fake.outcome != AUTHN_ACCEPT)
		return authn_say(call, fake.outcome, "scripted", "as told");
	call->id = (struct identity){
	    .username = call->token, .provider = SLICE("fake"), .expires = fake.expires};
	call->credential = (struct credential){.id = call->token, .issued = 1000};
	return AUTHN_ACCEPT;
}

static enum authn_step fake_try(const struct authn *self, struct authn_call *call)
{
	(void)self;
	if (slice_starts(call->token, SLICE("foreign")))
		return AUTHN_PASS;
	atomic_fetch_add(&fake.tried, 1);
	if (fake.in_try)
		fake.in_try();
	if (slice_starts(call->token, SLICE("work"))) {
		call->work_key = slice_of(fake.work_key);
		return AUTHN_NEEDS_WORK;
	}
	return judge(call);
}

static enum authn_step fake_work(const struct authn *self, struct authn_call *call)
{
	(void)self;
	atomic_fetch_add(&fake.worked, 1);
	return judge(call);
}

static bool fake_mine(const struct authn *self, struct authn_call *call)
{
	(void)self;
	return !slice_starts(call->token, SLICE("foreign"));
}

static void fake_destroy(struct authn *self)
{
	(void)self;
}

static const struct authn_ops fake_ops = {
    .kind = "fake", .try_now = fake_try, .work = fake_work, .mine = fake_mine, .destroy = fake_destroy};

static struct authn_services *services;
static struct arena arena;

static int begin(void **state)
{
	(void)state;
	struct authn_services_options o = {.workers = 4};
	struct err e = {0};
	fake.base = (struct authn){&fake_ops, "fake"};
	atomic_store(&fake.tried, 0);
	atomic_store(&fake.worked, 0);
	fake.keep = MINUTE;
	fake.expires = 0;
	fake.outcome = AUTHN_ACCEPT;
	fake.work_key = NULL;
	fake.in_try = NULL;
	arena_init(&arena, 0);
	return authn_services_new(&o, &services, &e) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	authn_services_free(&services);
	arena_done(&arena);
	return 0;
}

static struct authn_chain *chain_with(const char *denylist)
{
	static const char *const audiences[] = {"one", "two"};
	struct authn_config *cfg = ARENA_NEW(&arena, struct authn_config);
	*cfg = (struct authn_config){.audiences = {audiences, 2},
	    .denylist_file = denylist,
	    .cache = {.ttl = MINUTE, .refused_ttl = MINUTE, .max_entries = 100, .max_megabytes = 8}};
	struct authn_chain *c = NULL;
	struct diags d = {0};
	assert_int_equal(authn_chain_new(cfg, services, &c, &d), ERR_OK);
	diags_done(&d);
	c->items[c->n++] = &fake.base;
	return c;
}

/* --- calls --- */

struct asker {
	struct arena arena;
	struct authn_call call;
	const struct authn_chain *chain;
	enum authn_step step;
	sem_t woken;
};

static void wake(void *arg)
{
	struct asker *a = arg;
	sem_post(&a->woken);
}

static void ask(struct asker *a, const struct authn_chain *c, const char *token, bool shares)
{
	*a = (struct asker){.chain = c};
	arena_init(&a->arena, 0);
	sem_init(&a->woken, 0, 0);
	a->call = (struct authn_call){.arena = &a->arena,
	    .token = slice_of(token),
	    .now = clock_now(),
	    .deadline = clock_mono() + 20 * CLOCK_SECOND,
	    .wake = shares ? wake : NULL,
	    .wake_arg = a};
	a->step = authn_try_now(c, &a->call);
}

static void done(struct asker *a)
{
	sem_destroy(&a->woken);
	arena_done(&a->arena);
}

/* Asks and checks for the step and the number of verifications so far. */
static void expect(const struct authn_chain *c, const char *token, enum authn_step step, int tried)
{
	struct asker a;
	ask(&a, c, token, true);
	assert_int_equal(a.step, step);
	if (step == AUTHN_ACCEPT)
		assert_true(slice_is(a.call.id.username, token));
	assert_int_equal(atomic_load(&fake.tried), tried);
	done(&a);
}

static double waiting(void)
{
	return metric_value(metrics_gauge("portcullis_verifications_waiting", "", ""));
}

/* --- the cache --- */

static void test_row87_a_verdict_is_that_of_this_very_token(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	expect(c, "jane", AUTHN_ACCEPT, 1);
	expect(c, "jane", AUTHN_ACCEPT, 1);
	expect(c, "jane2", AUTHN_ACCEPT, 2);
	expect(c, "jan", AUTHN_ACCEPT, 3);
	expect(c, "bad", AUTHN_REJECT, 4);
	expect(c, "bad", AUTHN_REJECT, 4);
	expect(c, "foreign", AUTHN_REJECT, 4);
	authn_chain_free(&c);
}

static void test_row87_and_85_each_review_gets_its_own_audiences(void **state)
{
	(void)state;
	static const struct slice asked[] = {SLICE("one"), SLICE("two"), SLICE("vault"), SLICE("one")};
	static const struct {
		size_t from, n;
		enum authn_step step;
		size_t granted;
		int tried;
	} cases[] = {
	    {0, 1, AUTHN_ACCEPT, 1, 1},
	    {0, 1, AUTHN_ACCEPT, 1, 1},
	    {1, 1, AUTHN_ACCEPT, 1, 2},
	    {0, 2, AUTHN_ACCEPT, 2, 3},
	    {2, 1, AUTHN_REJECT, 0, 4},
	    {2, 1, AUTHN_REJECT, 0, 4},
	    {2, 2, AUTHN_ACCEPT, 1, 4}, /* what is not ours makes no new entry */
	    {0, 0, AUTHN_ACCEPT, 0, 5},
	};
	struct authn_chain *c = chain_with(NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		arena_init(&a, 0);
		struct authn_call call = {.arena = &a,
		    .token = SLICE("jane"),
		    .now = clock_now(),
		    .audiences = asked + cases[i].from,
		    .naudiences = cases[i].n};
		assert_int_equal(authn_try_now(c, &call), cases[i].step);
		assert_int_equal(call.ngranted, cases[i].granted);
		for (size_t k = 0; k < call.ngranted; k++)
			assert_false(slice_is(call.granted[k], "vault"));
		assert_int_equal(atomic_load(&fake.tried), cases[i].tried);
		arena_done(&a);
	}
	authn_chain_free(&c);
}

static void test_rows88_and_100_no_clock_makes_a_verdict_outlive_its_token(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	int64_t wall = clock_now();
	fake.expires = wall / CLOCK_SECOND + 30;
	expect(c, "jane", AUTHN_ACCEPT, 1);
	struct arena a;
	arena_init(&a, 0);
	/* The wall clock jumps ahead: refused at once, though the entry is young. */
	struct authn_call call = {.arena = &a, .token = SLICE("jane"), .now = wall + 3600 * CLOCK_SECOND};
	assert_int_equal(authn_try_now(c, &call), AUTHN_REJECT);
	assert_string_equal(call.reason, "expired");
	assert_int_equal(atomic_load(&fake.tried), 1);
	/* Time passes, and the wall clock jumps back: found out anew, not taken from the cache. */
	clock_advance(31 * CLOCK_SECOND);
	call = (struct authn_call){.arena = &a, .token = SLICE("jane"), .now = wall - 3600 * CLOCK_SECOND};
	authn_try_now(c, &call);
	assert_int_equal(atomic_load(&fake.tried), 2);
	arena_done(&a);
	authn_chain_free(&c);
}

static void test_row89_a_reload_forgets(void **state)
{
	(void)state;
	struct authn_chain *old = chain_with(NULL), *new = chain_with(NULL);
	expect(old, "jane", AUTHN_ACCEPT, 1);
	expect(new, "jane", AUTHN_ACCEPT, 2);
	fake.outcome = AUTHN_REJECT;
	expect(new, "jane", AUTHN_ACCEPT, 2);
	clock_advance(MINUTE + 1);
	expect(new, "jane", AUTHN_REJECT, 3);
	authn_chain_free(&old);
	authn_chain_free(&new);
}

static void test_outages_are_not_kept(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	fake.outcome = AUTHN_UNAVAILABLE;
	expect(c, "jane", AUTHN_UNAVAILABLE, 1);
	fake.outcome = AUTHN_ACCEPT;
	expect(c, "jane", AUTHN_ACCEPT, 2);
	authn_chain_free(&c);
}

static void test_nothing_is_kept_that_was_not_allowed_to_be(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	fake.keep = 0;
	expect(c, "jane", AUTHN_ACCEPT, 1);
	expect(c, "jane", AUTHN_ACCEPT, 2);
	expect(c, "bad", AUTHN_REJECT, 3);
	expect(c, "bad", AUTHN_REJECT, 4);
	authn_chain_free(&c);
}

static void test_reserved_names_leave_neither_way(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	expect(c, "system:admin", AUTHN_REJECT, 1);
	expect(c, "system:admin", AUTHN_REJECT, 1);
	authn_chain_free(&c);
}

static void count_check(struct authn_trace *self, const char *name, bool passed, const char *detail)
{
	(void)self, (void)name, (void)passed, (void)detail;
}

static unsigned accepted;

static void count_asked(struct authn_trace *self, const char *authenticator, enum authn_step step)
{
	(void)self;
	assert_non_null(authenticator);
	accepted += step == AUTHN_ACCEPT;
}

static void test_who_watches_sees_each_check(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	struct authn_trace trace = {count_check, count_asked};
	struct arena a;
	arena_init(&a, 0);
	for (int i = 1; i <= 2; i++) {
		struct authn_call call = {
		    .arena = &a, .token = SLICE("jane"), .now = clock_now(), .trace = &trace};
		assert_int_equal(authn_try_now(c, &call), AUTHN_ACCEPT);
		assert_int_equal(atomic_load(&fake.tried), i);
		assert_int_equal(accepted, i);
	}
	arena_done(&a);
	authn_chain_free(&c);
}

static void write_list(const char *path, const char *entries)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "apiVersion: portcullis.dev/v1alpha1\nkind: Denylist\nentries: [%s]\n", entries);
	assert_int_equal(fclose(f), 0);
}

static void test_a_denylist_holds_for_kept_verdicts_at_once(void **state)
{
	(void)state;
	char path[] = "/tmp/test_share.XXXXXX";
	close(mkstemp(path));
	write_list(path, "");
	struct authn_chain *c = chain_with(path);
	expect(c, "jane", AUTHN_ACCEPT, 1);
	write_list(path, "{jti: jane}");
	expect(c, "jane", AUTHN_REJECT, 1);
	write_list(path, "");
	clock_advance(3 * CLOCK_SECOND);
	expect(c, "jane", AUTHN_REJECT, 1); /* the change is seen, and settles from now on */
	clock_advance(3 * CLOCK_SECOND);
	expect(c, "jane", AUTHN_ACCEPT, 1);
	authn_chain_free(&c);
	unlink(path);
}

/* --- verifications under way --- */

static sem_t entered, go;

static void hold(void)
{
	sem_post(&entered);
	sem_wait(&go);
}

static void *ask_thread(void *arg)
{
	struct asker *a = arg;
	ask(a, a->chain, "jane", false);
	return NULL;
}

static void test_threads_with_one_token_verify_it_once(void **state)
{
	(void)state;
	struct asker askers[16];
	pthread_t threads[16];
	struct authn_chain *c = chain_with(NULL);
	sem_init(&entered, 0, 0);
	sem_init(&go, 0, 0);
	fake.in_try = hold;
	for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
		askers[i].chain = c;
		assert_int_equal(pthread_create(&threads[i], NULL, ask_thread, &askers[i]), 0);
	}
	sem_wait(&entered);
	sem_post(&go);
	for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(askers[i].step, AUTHN_ACCEPT);
		assert_true(slice_is(askers[i].call.id.username, "jane"));
	}
	assert_int_equal(atomic_load(&fake.tried), 1);
	for (size_t i = 0; i < ARRAY_LEN(askers); i++)
		done(&askers[i]);
	authn_chain_free(&c);
}

/* A leader that works, and N followers: every other one armed. */
static void gather(struct asker *leader, struct asker *followers, size_t n, const struct authn_chain *c)
{
	ask(leader, c, "work", true);
	assert_int_equal(leader->step, AUTHN_NEEDS_WORK);
	for (size_t i = 0; i < n; i++) {
		ask(&followers[i], c, "work", true);
		assert_int_equal(followers[i].step, AUTHN_SHARED);
		if (i % 2)
			assert_false(authn_await(&followers[i].call));
	}
	assert_int_equal(atomic_load(&fake.tried), 1);
	assert_true(waiting() == (double)n);
}

static enum authn_step collect(struct asker *f, bool armed)
{
	if (armed)
		assert_int_equal(sem_trywait(&f->woken), 0);
	else
		assert_true(authn_await(&f->call));
	f->step = authn_collect(f->chain, &f->call);
	return f->step;
}

static void assert_all(struct asker *followers, size_t n, enum authn_step step)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(collect(&followers[i], i % 2), step);
		if (step == AUTHN_ACCEPT)
			assert_true(slice_is(followers[i].call.id.username, "work"));
		done(&followers[i]);
	}
	assert_true(waiting() == 0);
}

static struct asker *new_followers(void)
{
	struct asker *f = calloc(FOLLOWERS, sizeof(*f));
	assert_non_null(f);
	return f;
}

static void test_a_thousand_followers_cost_no_work_and_no_thread(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	struct asker leader, *followers = new_followers();
	fake.keep = 0;
	gather(&leader, followers, FOLLOWERS, c);
	assert_int_equal(authn_work(c, &leader.call), AUTHN_ACCEPT);
	done(&leader);
	assert_all(followers, FOLLOWERS, AUTHN_ACCEPT);
	assert_int_equal(atomic_load(&fake.worked), 1);
	free(followers);
	authn_chain_free(&c);
}

static void test_followers_share_a_refusal_and_an_outage(void **state)
{
	(void)state;
	static const enum authn_step steps[] = {AUTHN_REJECT, AUTHN_UNAVAILABLE};
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct authn_chain *c = chain_with(NULL);
		struct asker leader, followers[10];
		atomic_store(&fake.tried, 0);
		fake.outcome = steps[i];
		gather(&leader, followers, 10, c);
		assert_int_equal(authn_work(c, &leader.call), steps[i]);
		done(&leader);
		for (size_t k = 0; k < 10; k++) {
			assert_int_equal(collect(&followers[k], k % 2), steps[i]);
			assert_string_equal(followers[k].call.reason, "scripted");
			done(&followers[k]);
		}
		authn_chain_free(&c);
	}
}

static void test_a_full_queue_ends_them_all(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	struct asker leader, followers[10];
	gather(&leader, followers, 10, c);
	assert_int_equal(
	    authn_give_up(c, &leader.call, "overloaded", "too many wait"), AUTHN_UNAVAILABLE);
	done(&leader);
	assert_all(followers, 10, AUTHN_UNAVAILABLE);
	assert_int_equal(atomic_load(&fake.worked), 0);
	expect(c, "jane", AUTHN_ACCEPT, 2);
	authn_chain_free(&c);
}

static void test_who_has_time_left_leads_on(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	struct asker leader, followers[10];
	gather(&leader, followers, 10, c);
	clock_advance(5 * CLOCK_SECOND);
	struct asker late;
	ask(&late, c, "work", true);
	assert_int_equal(late.step, AUTHN_SHARED);
	assert_false(authn_await(&late.call));
	/* The leader's time is over, and that of the first followers. */
	clock_advance(16 * CLOCK_SECOND);
	fake.outcome = AUTHN_UNAVAILABLE;
	assert_int_equal(authn_work(c, &leader.call), AUTHN_UNAVAILABLE);
	done(&leader);
	fake.outcome = AUTHN_ACCEPT;
	assert_int_equal(collect(&late, true), AUTHN_NEEDS_WORK);
	authn_services_sweep(services);
	for (size_t i = 1; i < 10; i += 2) {
		assert_int_equal(collect(&followers[i], true), AUTHN_UNAVAILABLE);
		assert_string_equal(followers[i].call.reason, "timeout");
	}
	/* Those who were not ready to be woken still get what the new leader finds. */
	assert_int_equal(authn_work(c, &late.call), AUTHN_ACCEPT);
	for (size_t i = 0; i < 10; i += 2)
		assert_int_equal(collect(&followers[i], false), AUTHN_ACCEPT);
	for (size_t i = 0; i < 10; i++)
		done(&followers[i]);
	done(&late);
	assert_int_equal(atomic_load(&fake.worked), 2);
	assert_true(waiting() == 0);
	authn_chain_free(&c);
}

static void test_a_deadline_is_kept_though_the_leader_hangs(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	struct asker leader, followers[2];
	gather(&leader, followers, 2, c);
	authn_services_sweep(services);
	assert_int_equal(sem_trywait(&followers[1].woken), -1);
	clock_advance(20 * CLOCK_SECOND);
	authn_services_sweep(services);
	assert_int_equal(collect(&followers[1], true), AUTHN_UNAVAILABLE);
	assert_string_equal(followers[1].call.reason, "timeout");
	done(&followers[1]);
	assert_int_equal(authn_work(c, &leader.call), AUTHN_ACCEPT);
	assert_int_equal(collect(&followers[0], false), AUTHN_ACCEPT);
	done(&followers[0]);
	done(&leader);
	authn_chain_free(&c);
}

static void test_a_revoked_follower_is_refused(void **state)
{
	(void)state;
	char path[] = "/tmp/test_share.XXXXXX";
	close(mkstemp(path));
	write_list(path, "");
	struct authn_chain *c = chain_with(path);
	struct asker leader, followers[2];
	gather(&leader, followers, 2, c);
	assert_int_equal(authn_work(c, &leader.call), AUTHN_ACCEPT);
	write_list(path, "{jti: work}");
	assert_all(followers, 2, AUTHN_REJECT);
	done(&leader);
	authn_chain_free(&c);
	unlink(path);
}

static void test_a_new_snapshot_does_not_join_the_old_ones_work(void **state)
{
	(void)state;
	struct authn_chain *old = chain_with(NULL), *new = chain_with(NULL);
	struct asker a, b;
	ask(&a, old, "work", true);
	ask(&b, new, "work", true);
	assert_int_equal(a.step, AUTHN_NEEDS_WORK);
	assert_int_equal(b.step, AUTHN_NEEDS_WORK);
	assert_int_equal(authn_work(old, &a.call), AUTHN_ACCEPT);
	assert_int_equal(authn_work(new, &b.call), AUTHN_ACCEPT);
	done(&a);
	done(&b);
	authn_chain_free(&old);
	authn_chain_free(&new);
}

static void test_who_cannot_be_suspended_works_alone(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	struct asker a, b, sharing;
	ask(&a, c, "work", false);
	ask(&sharing, c, "work", true);
	ask(&b, c, "work", false);
	assert_int_equal(a.step, AUTHN_NEEDS_WORK);
	assert_int_equal(b.step, AUTHN_NEEDS_WORK);
	assert_int_equal(sharing.step, AUTHN_NEEDS_WORK);
	assert_int_equal(authn_work(c, &a.call), AUTHN_ACCEPT);
	assert_int_equal(authn_work(c, &b.call), AUTHN_ACCEPT);
	assert_int_equal(authn_work(c, &sharing.call), AUTHN_ACCEPT);
	done(&a);
	done(&b);
	done(&sharing);
	authn_chain_free(&c);
}

static void test_tokens_of_one_account_share_its_look_up(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	struct asker a, b, b2;
	fake.work_key = "account";
	ask(&a, c, "work1", true);
	ask(&b, c, "work2", true);
	ask(&b2, c, "work2", true);
	assert_int_equal(a.step, AUTHN_NEEDS_WORK);
	assert_int_equal(b.step, AUTHN_SHARED);
	assert_int_equal(b2.step, AUTHN_SHARED);
	assert_false(authn_await(&b.call));
	assert_false(authn_await(&b2.call));
	assert_int_equal(authn_work(c, &a.call), AUTHN_ACCEPT);
	assert_true(slice_is(a.call.id.username, "work1"));
	/* Asked anew, and by itself: the verdict on one token is not that on another. */
	assert_int_equal(sem_trywait(&b2.woken), -1);
	assert_int_equal(collect(&b, true), AUTHN_NEEDS_WORK);
	assert_int_equal(b.call.id.username.len, 0);
	assert_int_equal(authn_work(c, &b.call), AUTHN_ACCEPT);
	assert_true(slice_is(b.call.id.username, "work2"));
	assert_int_equal(collect(&b2, true), AUTHN_ACCEPT);
	assert_true(slice_is(b2.call.id.username, "work2"));
	done(&a);
	done(&b);
	done(&b2);
	/* An outage of the account's directory is that of all its tokens. */
	fake.outcome = AUTHN_UNAVAILABLE;
	ask(&a, c, "work3", true);
	ask(&b, c, "work4", true);
	assert_false(authn_await(&b.call));
	assert_int_equal(authn_work(c, &a.call), AUTHN_UNAVAILABLE);
	assert_int_equal(collect(&b, true), AUTHN_UNAVAILABLE);
	done(&a);
	done(&b);
	assert_true(waiting() == 0);
	authn_chain_free(&c);
}

/* Threads that lead, follow, fail and are swept at random: for the thread sanitizer. */
static atomic_int ended;

static void *churn(void *arg)
{
	const struct authn_chain *c = arg;
	static const char *const tokens[] = {"work1", "work2", "jane", "bad", "foreign"};
	for (int i = 0; i < 400; i++) {
		struct asker a;
		ask(&a, c, tokens[i % 5], true);
		while (a.step == AUTHN_SHARED || a.step == AUTHN_NEEDS_WORK) {
			if (a.step == AUTHN_NEEDS_WORK) {
				a.step = i % 7 ? authn_work(c, &a.call)
					       : authn_give_up(c, &a.call, "overloaded", "full");
				continue;
			}
			if (!authn_await(&a.call))
				sem_wait(&a.woken);
			a.step = authn_collect(c, &a.call);
		}
		assert_true(a.step == AUTHN_ACCEPT || a.step == AUTHN_REJECT ||
			    a.step == AUTHN_UNAVAILABLE);
		done(&a);
	}
	atomic_fetch_add(&ended, 1);
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	struct authn_chain *c = chain_with(NULL);
	pthread_t t[6];
	atomic_store(&ended, 0);
	fake.keep = 0;
	fake.work_key = "account";
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, churn, c), 0);
	while (atomic_load(&ended) < (int)ARRAY_LEN(t)) {
		authn_services_sweep(services);
		sched_yield();
	}
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	assert_true(waiting() == 0);
	authn_chain_free(&c);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
	    TEST(test_row87_a_verdict_is_that_of_this_very_token),
	    TEST(test_row87_and_85_each_review_gets_its_own_audiences),
	    TEST(test_rows88_and_100_no_clock_makes_a_verdict_outlive_its_token),
	    TEST(test_row89_a_reload_forgets),
	    TEST(test_outages_are_not_kept),
	    TEST(test_nothing_is_kept_that_was_not_allowed_to_be),
	    TEST(test_reserved_names_leave_neither_way),
	    TEST(test_who_watches_sees_each_check),
	    TEST(test_a_denylist_holds_for_kept_verdicts_at_once),
	    TEST(test_threads_with_one_token_verify_it_once),
	    TEST(test_a_thousand_followers_cost_no_work_and_no_thread),
	    TEST(test_followers_share_a_refusal_and_an_outage),
	    TEST(test_a_full_queue_ends_them_all),
	    TEST(test_who_has_time_left_leads_on),
	    TEST(test_a_deadline_is_kept_though_the_leader_hangs),
	    TEST(test_a_revoked_follower_is_refused),
	    TEST(test_a_new_snapshot_does_not_join_the_old_ones_work),
	    TEST(test_who_cannot_be_suspended_works_alone),
	    TEST(test_tokens_of_one_account_share_its_look_up),
	    TEST(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
