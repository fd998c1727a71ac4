/* Proves the job queue: order, bound, exactly-once, drain, thread names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"
#include "common/work.h"

struct counted {
	struct work_job job;
	atomic_uint *runs;
};

static void run_counted(struct work_job *job)
{
	struct counted *c = (struct counted *)job;
	atomic_fetch_add(c->runs, 1);
	free(c); /* a job may free itself */
}

static struct counted *counted_new(atomic_uint *runs)
{
	struct counted *c = calloc(1, sizeof(*c));
	assert_non_null(c);
	*c = (struct counted){.job.run = run_counted, .runs = runs};
	return c;
}

/* Holds a worker until told to go on; notes where it ran. */
struct gate {
	struct work_job job;
	sem_t entered, leave;
	char thread[16];
	bool signals_blocked;
};

static void run_gate(struct work_job *job)
{
	struct gate *g = (struct gate *)job;
	sigset_t set;
	pthread_getname_np(pthread_self(), g->thread, sizeof(g->thread));
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	g->signals_blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGHUP) == 1;
	sem_post(&g->entered);
	sem_wait(&g->leave);
}

static struct work_pool *pool_new(const char *name, unsigned threads, size_t depth)
{
	struct work_pool *p;
	struct err e = {0};
	assert_int_equal(work_new(name, threads, depth, &p, &e), ERR_OK);
	return p;
}

static struct metric *depth_of(const char *labels)
{
	return metrics_gauge("portcullis_queue_depth", "", labels);
}

static void test_full_queue_refuses_and_drain_runs_the_rest(void **state)
{
	(void)state;
	struct work_pool *p = pool_new("t-full", 1, 2);
	struct gate g = {.job.run = run_gate};
	sem_init(&g.entered, 0, 0);
	sem_init(&g.leave, 0, 0);
	assert_int_equal(work_push(p, &g.job), ERR_OK);
	sem_wait(&g.entered);
	atomic_uint runs = 0;
	assert_int_equal(work_push(p, &counted_new(&runs)->job), ERR_OK);
	assert_int_equal(work_push(p, &counted_new(&runs)->job), ERR_OK);
	assert_true(metric_value(depth_of("queue=\"t-full\"")) == 2);
	struct counted *third = counted_new(&runs);
	assert_int_equal(work_push(p, &third->job), ERR_LIMIT);
	free(third);
	assert_true(metric_value(metrics_counter("portcullis_queue_rejected_total", "",
			"queue=\"t-full\"")) == 1);
	sem_post(&g.leave);
	work_free(&p);
	assert_null(p);
	assert_int_equal(atomic_load(&runs), 2);
	assert_true(metric_value(depth_of("queue=\"t-full\"")) == 0);
	assert_string_equal(g.thread, "t-full");
	assert_true(g.signals_blocked);
	sem_destroy(&g.entered);
	sem_destroy(&g.leave);
}

static void test_jobs_run_side_by_side(void **state)
{
	(void)state;
	struct work_pool *p = pool_new("fifteen-letters", 3, 8);
	struct gate g[3];
	for (int i = 0; i < 3; i++) {
		g[i] = (struct gate){.job.run = run_gate};
		sem_init(&g[i].entered, 0, 0);
		sem_init(&g[i].leave, 0, 0);
		assert_int_equal(work_push(p, &g[i].job), ERR_OK);
	}
	for (int i = 0; i < 3; i++)
		sem_wait(&g[i].entered); /* all three are inside at once, or this never returns */
	for (int i = 0; i < 3; i++)
		sem_post(&g[i].leave);
	work_free(&p);
	assert_string_equal(g[0].thread, "fifteen-letters");
	for (int i = 0; i < 3; i++) {
		sem_destroy(&g[i].entered);
		sem_destroy(&g[i].leave);
	}
}

#define PRODUCERS 4
#define EACH 2000

struct producer {
	struct work_pool *pool;
	atomic_uint *runs;
	unsigned accepted;
};

static void *produce(void *arg)
{
	struct producer *me = arg;
	for (int i = 0; i < EACH; i++) {
		struct counted *c = counted_new(me->runs);
		if (work_push(me->pool, &c->job) == ERR_OK)
			me->accepted++;
		else
			free(c);
	}
	return NULL;
}

static void test_each_accepted_job_runs_exactly_once(void **state)
{
	(void)state;
	struct work_pool *p = pool_new("t-once", 2, 64);
	atomic_uint runs = 0;
	pthread_t t[PRODUCERS];
	struct producer who[PRODUCERS];
	for (int i = 0; i < PRODUCERS; i++) {
		who[i] = (struct producer){p, &runs, 0};
		assert_int_equal(pthread_create(&t[i], NULL, produce, &who[i]), 0);
	}
	unsigned accepted = 0;
	for (int i = 0; i < PRODUCERS; i++) {
		pthread_join(t[i], NULL);
		accepted += who[i].accepted;
	}
	work_free(&p);
	assert_true(accepted >= 64);
	assert_int_equal(atomic_load(&runs), accepted);
	work_free(&p);
}

static void test_stopped_pool_has_run_all_and_refuses(void **state)
{
	(void)state;
	struct work_pool *p = pool_new("t-stop", 2, 64);
	atomic_uint runs = 0;
	struct producer who = {p, &runs, 0};
	produce(&who);
	work_stop(p);
	assert_int_equal(atomic_load(&runs), who.accepted);
	unsigned before = who.accepted;
	produce(&who);
	assert_int_equal(who.accepted, before);
	work_stop(p);
	work_free(&p);
	work_stop(NULL);
}

/* Pushes itself again from inside: what drains must not accept new work. */
struct again {
	struct work_job job;
	struct work_pool *pool;
	sem_t entered, leave;
	enum err_code second;
};

static void run_again(struct work_job *job)
{
	struct again *a = (struct again *)job;
	sem_post(&a->entered);
	sem_wait(&a->leave);
	a->second = work_push(a->pool, &a->job);
	if (a->second == ERR_OK)
		abort();
}

static void *free_pool(void *arg)
{
	struct work_pool *p = arg;
	work_free(&p);
	return NULL;
}

static void test_closing_pool_takes_no_more(void **state)
{
	(void)state;
	struct work_pool *p = pool_new("t-close", 1, 1);
	struct again a = {.job.run = run_again, .pool = p};
	sem_init(&a.entered, 0, 0);
	sem_init(&a.leave, 0, 0);
	atomic_uint runs = 0;
	assert_int_equal(work_push(p, &a.job), ERR_OK);
	sem_wait(&a.entered);
	assert_int_equal(work_push(p, &counted_new(&runs)->job), ERR_OK);
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, free_pool, p), 0);
	sem_post(&a.leave); /* closing or still full: refused either way */
	pthread_join(t, NULL);
	assert_int_equal(a.second, ERR_LIMIT);
	assert_int_equal(atomic_load(&runs), 1);
	sem_destroy(&a.entered);
	sem_destroy(&a.leave);
}

static void test_impossible_pools_are_refused(void **state)
{
	(void)state;
	struct work_pool *p = (struct work_pool *)&p;
	struct err e = {0};
	assert_int_equal(work_new("t", 0, 1, &p, &e), ERR_INVALID);
	assert_null(p);
	assert_int_equal(work_new("t", 1, 0, &p, &e), ERR_INVALID);
	assert_int_equal(work_new("sixteen-letters-", 1, 1, &p, &e), ERR_INVALID);
	work_free(&p);
	work_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_full_queue_refuses_and_drain_runs_the_rest),
	    cmocka_unit_test(test_jobs_run_side_by_side),
	    cmocka_unit_test(test_each_accepted_job_runs_exactly_once),
	    cmocka_unit_test(test_stopped_pool_has_run_all_and_refuses),
	    cmocka_unit_test(test_closing_pool_takes_no_more),
	    cmocka_unit_test(test_impossible_pools_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
