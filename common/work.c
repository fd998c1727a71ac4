/* Owns the bounded job queue and its worker threads. */
#include "common/work.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"

struct work_pool {
	char name[16];
	pthread_mutex_t lock;
	pthread_cond_t ready;
	struct work_job *head, **tail;
	size_t len, depth;
	bool closing;
	unsigned nthreads;
	struct metric *waiting, *rejected;
	pthread_t threads[];
};

/* The next job, NULL once the pool closes and nothing waits. */
static struct work_job *take(struct work_pool *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->head && !p->closing)
		pthread_cond_wait(&p->ready, &p->lock);
	struct work_job *job = p->head;
	if (job) {
		p->head = job->next;
		if (!p->head)
			p->tail = &p->head;
		p->len--;
		metric_sub(p->waiting, 1);
	}
	pthread_mutex_unlock(&p->lock);
	return job;
}

static void *worker(void *arg)
{
	struct work_pool *p = arg;
	pthread_setname_np(pthread_self(), p->name);
	struct work_job *job;
	while ((job = take(p)) != NULL) {
		job->next = NULL;
		job->run(job);
	}
	return NULL;
}

/* Signals are the main thread's: workers start with all of them blocked. */
static enum err_code start_threads(struct work_pool *p, unsigned threads, struct err *e)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = 0;
	while (rc == 0 && p->nthreads < threads) {
		rc = pthread_create(&p->threads[p->nthreads], NULL, worker, p);
		p->nthreads += rc == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_set(e, ERR_INTERNAL, "starting thread %s: %s", p->name, strerror(rc));
	return ERR_OK;
}

enum err_code work_new(const char *name, unsigned threads, size_t depth, struct work_pool **out,
    struct err *e)
{
	*out = NULL;
	if (threads == 0 || depth == 0 || strlen(name) >= sizeof((*out)->name))
		return err_set(e, ERR_INVALID, "queue %s: needs threads, room and a short name", name);
	struct work_pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->threads[0]));
	if (!p)
		abort();
	memcpy(p->name, name, strlen(name) + 1);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->ready, NULL);
	p->tail = &p->head;
	p->depth = depth;
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 256);
	metrics_label(&labels, "queue", slice_of(name));
	p->waiting = metrics_gauge(
	    "portcullis_queue_depth", "Jobs that wait for a worker thread.", buf_cstr(&labels));
	p->rejected = metrics_counter("portcullis_queue_rejected_total",
	    "Jobs refused because the queue was full or closing.", buf_cstr(&labels));
	enum err_code rc = start_threads(p, threads, e);
	if (rc != ERR_OK)
		work_free(&p);
	*out = p;
	return rc;
}

enum err_code work_push(struct work_pool *p, struct work_job *job)
{
	pthread_mutex_lock(&p->lock);
	bool taken = !p->closing && p->len < p->depth;
	if (taken) {
		job->next = NULL;
		*p->tail = job;
		p->tail = &job->next;
		p->len++;
		metric_add(p->waiting, 1);
		pthread_cond_signal(&p->ready);
	} else {
		metric_inc(p->rejected);
	}
	pthread_mutex_unlock(&p->lock);
	return taken ? ERR_OK : ERR_LIMIT;
}

void work_stop(struct work_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->ready);
	pthread_mutex_unlock(&p->lock);
	while (p->nthreads > 0)
		pthread_join(p->threads[--p->nthreads], NULL);
}

void work_free(struct work_pool **pool)
{
	if (!pool || !*pool)
		return;
	struct work_pool *p = TAKE(*pool);
	work_stop(p);
	pthread_cond_destroy(&p->ready);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
