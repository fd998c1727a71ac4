/* Owns the rate at which the process asks the apiserver, and the pauses that the apiserver asks for. */
#include "rbac-sync/kube_gate.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"

/* A cancel flag has no voice of its own: a waiter looks at it so often. */
#define LOOK_EVERY (250 * CLOCK_MS)

struct kube_gate {
	pthread_mutex_t lock;
	pthread_cond_t moved; /* the pause */
	int64_t step, depth;  /* ns between requests; ns by which a burst may run ahead */
	int64_t next;	      /* clock_mono at which a steady stream would send its next request */
	int64_t pause;	      /* clock_mono until which nobody sends; 0: none */
};

struct kube_gate *kube_gate_new(double qps, unsigned burst)
{
	struct kube_gate *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;
	if (!g || !(qps > 0))
		abort();
	g->step = (int64_t)((double)CLOCK_SECOND / qps);
	g->depth = (int64_t)(burst ? burst - 1 : 0) * g->step;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->moved, &attr);
	pthread_condattr_destroy(&attr);
	return g;
}

void kube_gate_free(struct kube_gate **gp)
{
	struct kube_gate *g = TAKE(*gp);
	if (!g)
		return;
	pthread_cond_destroy(&g->moved);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

int64_t kube_gate_pause(const struct kube_gate *cg)
{
	struct kube_gate *g = (struct kube_gate *)(uintptr_t)cg;
	pthread_mutex_lock(&g->lock);
	int64_t until = g->pause > clock_mono() ? g->pause : 0;
	pthread_mutex_unlock(&g->lock);
	return until;
}

void kube_gate_hold(struct kube_gate *g, int64_t until)
{
	pthread_mutex_lock(&g->lock);
	if (until > g->pause)
		g->pause = until;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static bool cancelled(const atomic_bool *cancel)
{
	return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

bool kube_gate_pass(struct kube_gate *g, const atomic_bool *cancel)
{
	pthread_mutex_lock(&g->lock);
	for (;;) {
		int64_t now = clock_mono();
		int64_t turn = g->next - g->depth > g->pause ? g->next - g->depth : g->pause;
		bool stop = cancelled(cancel);
		if (stop || now >= turn) {
			/* Taken in the instant of sending: who waits, or gives up, uses nothing up. */
			if (!stop)
				g->next = (g->next > now ? g->next : now) + g->step;
			pthread_mutex_unlock(&g->lock);
			return !stop;
		}
		int64_t look = now + LOOK_EVERY;
		struct timespec t = clock_until(turn < look ? turn : look);
		pthread_cond_timedwait(&g->moved, &g->lock, &t);
	}
}
