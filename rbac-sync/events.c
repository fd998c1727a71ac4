/* Owns the thread that tells the cluster of events. */
#include "rbac-sync/events_core.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "rbac-sync/lease.h"

/* Pause after an answer that is none; doubles. */
#define PAUSE_FIRST CLOCK_SECOND
#define PAUSE_MAX (60 * CLOCK_SECOND)

enum result { POSTED, SERIES, SPAM, FULL, REFUSED, UNAVAILABLE, RESULTS };

struct events {
	struct kube *kube;
	pthread_t thread;
	bool threaded;
	pthread_mutex_t lock; /* core, stop */
	pthread_cond_t wake;
	struct events_core core;
	bool stop;
	int64_t pause; /* the thread's own: what the next failure waits; 0: all is well */
	struct metric *results[RESULTS];
};

static enum event_answer answer_of(const struct kube_answer *a, bool fresh)
{
	if (a->verdict == KUBE_OK || (a->verdict == KUBE_CONFLICT && fresh))
		return EVENT_SENT; /* of that name is only ours: the answer to its first try was lost */
	if (a->verdict == KUBE_LATER || a->verdict == KUBE_CONFLICT)
		return EVENT_LATER;
	return a->status == 404 && !fresh ? EVENT_GONE : EVENT_REFUSED_;
}

static void tell(struct events *e, const struct kube_answer *a, enum event_answer answer, bool fresh, bool kept)
{
	if (answer == EVENT_SENT) {
		metric_inc(e->results[fresh ? POSTED : SERIES]);
		e->pause = 0;
	} else if (answer == EVENT_LATER && e->pause == 0) {
		log_warn("events cannot be written", LOG_STR("why", a->why.msg));
	} else if (answer == EVENT_REFUSED_) {
		log_warn("an event was refused", LOG_STR("why", a->why.msg));
	}
	if (!kept)
		metric_inc(e->results[answer == EVENT_LATER ? UNAVAILABLE : REFUSED]);
}

/* Nanoseconds to leave the apiserver in peace. */
static int64_t pause_of(struct events *e, const struct kube_answer *a, enum event_answer answer)
{
	if (answer != EVENT_LATER)
		return 0;
	e->pause = e->pause ? e->pause * 2 : PAUSE_FIRST;
	if (e->pause > PAUSE_MAX)
		e->pause = PAUSE_MAX;
	int64_t asked = a->wait > 0 ? a->wait * CLOCK_SECOND : 0;
	return e->pause > asked ? e->pause : asked;
}

/* Sends one, with E's lock held but for the exchange itself; ns to wait then. */
static int64_t send_one(struct events *e, struct event_item *it)
{
	struct arena a;
	struct kube_answer answer;
	unsigned count;
	bool fresh = it->sent == 0;
	json_t *body = events_core_body(&e->core, it, &count);
	arena_init(&a, 0);
	const char *path = fresh ? events_core_collection(&e->core, it, &a) : events_core_path(&e->core, it, &a);
	pthread_mutex_unlock(&e->lock);
	if (fresh)
		kube_create(e->kube, path, body, &answer);
	else
		kube_merge(e->kube, path, body, &answer);
	enum event_answer what = answer_of(&answer, fresh);
	pthread_mutex_lock(&e->lock);
	bool kept = events_core_answer(it, what, count);
	tell(e, &answer, what, fresh, kept);
	int64_t wait = pause_of(e, &answer, what);
	kube_answer_done(&answer);
	json_decref(body);
	arena_done(&a);
	return wait;
}

static void rest(struct events *e, int64_t wait)
{
	if (wait < 0) {
		pthread_cond_wait(&e->wake, &e->lock);
		return;
	}
	/* After trouble, and for a token, a new event is no reason to hurry. */
	struct timespec at = clock_until(clock_mono() + wait);
	for (int rc = 0; rc == 0 && !e->stop;)
		rc = pthread_cond_timedwait(&e->wake, &e->lock, &at);
}

static void *run(void *arg)
{
	struct events *e = arg;
	pthread_setname_np(pthread_self(), "events");
	pthread_mutex_lock(&e->lock);
	for (;;) {
		int64_t wait;
		struct event_item *it = events_core_next(&e->core, clock_mono(), &wait);
		if (it)
			wait = send_one(e, it);
		if (e->stop && (!it || wait))
			break;
		if (wait)
			rest(e, wait);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

static void make_metrics(struct events *e)
{
	static const char *const names[RESULTS] = {"posted", "series", "spam", "full", "refused", "unavailable"};
	char labels[32];
	for (size_t i = 0; i < RESULTS; i++) {
		snprintf(labels, sizeof(labels), "result=\"%s\"", names[i]);
		e->results[i] = metrics_counter("portcullis_sync_kube_events_total",
		    "Kubernetes events by what became of them.", labels);
	}
}

static void start_thread(struct events *e)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e->threaded = pthread_create(&e->thread, NULL, run, e) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!e->threaded)
		log_error("no thread for events: none are written");
}

struct events *events_start(struct kube *k, const char *instance)
{
	struct events *e = calloc(1, sizeof(*e));
	pthread_condattr_t attr;
	if (!e)
		abort();
	e->kube = k;
	snprintf(e->core.instance, sizeof(e->core.instance), "%s", instance);
	events_lease(e, kube_namespace(k) ? kube_namespace(k) : LEASE_NAMESPACE, LEASE_NAME);
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->wake, &attr);
	pthread_condattr_destroy(&attr);
	make_metrics(e);
	start_thread(e);
	return e;
}

void events_lease(struct events *e, const char *namespace_, const char *name)
{
	snprintf(e->core.lease_namespace, sizeof(e->core.lease_namespace), "%s", namespace_);
	snprintf(e->core.lease, sizeof(e->core.lease), "%s", name);
}

void events_stop(struct events **ep)
{
	struct events *e = TAKE(*ep);
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
	if (e->threaded)
		pthread_join(e->thread, NULL);
	kube_free(&e->kube);
	events_core_done(&e->core);
	pthread_mutex_destroy(&e->lock);
	pthread_cond_destroy(&e->wake);
	free(e);
}

void events_emit(struct events *e, const char *record, const char *uid, bool warning, const char *reason,
    const char *note)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	enum event_fate fate =
	    events_core_add(&e->core, record, uid, warning, reason, note, clock_mono(), clock_now());
	if (fate == EVENT_TAKEN)
		pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
	if (fate != EVENT_TAKEN)
		metric_inc(e->results[fate == EVENT_SPAM ? SPAM : FULL]);
}
