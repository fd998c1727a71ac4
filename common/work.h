/* Bounded job queue with its own threads: for whatever may block (LDAP, HTTP). */
#ifndef COMMON_WORK_H
#define COMMON_WORK_H

#include "common/err.h"

struct work_pool;

/* Embedded in the caller's struct; belongs to the pool from work_push until RUN is called, and RUN may
 * free it. RUN is called exactly once for each accepted job, also while draining. */
struct work_job {
	struct work_job *next;
	void (*run)(struct work_job *job);
};

/* THREADS workers, at most DEPTH jobs waiting. NAME (<= 15 bytes) names the threads and is the metric
 * label `queue`: portcullis_queue_{depth,rejected_total}. */
enum err_code work_new(const char *name, unsigned threads, size_t depth, struct work_pool **out,
    struct err *e) MUST_CHECK;

/* ERR_LIMIT when the queue is full or the pool is closing: the caller still owns JOB then. */
enum err_code work_push(struct work_pool *p, struct work_job *job) MUST_CHECK;

/* Takes no more jobs, runs what waits, joins the threads. The pool stays, for others to be refused by. NULL is
 * fine. */
void work_stop(struct work_pool *p);

/* work_stop, then frees: nobody may push any more. */
void work_free(struct work_pool **p);

#endif
