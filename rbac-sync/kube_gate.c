/* Owns the rate at which the process asks the apiserver, and the pauses that the apiserver asks for. */
#include "rbac-sync/kube_gate.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"

struct kube_gate {
	pthread_mutex_t lock;
	int64_t step, depth;  /* ns between requests; ns by which a burst may run ahead */
	int64_t next;	      /* clock_mono at which a steady stream would send its next request */
	int64_t pause;	      /* clock_mono until which nobody sends; 0: none */
};

struct kube_gate *kube_gate_new(double qps, unsigned burst)
{
	struct kube_gate *g = calloc(1, sizeof(*g));
	if (!g || !(qps > 0))
		abort();
	g->step = (int64_t)((double)CLOCK_SECOND / qps);
	g->depth = (int64_t)(burst ? burst - 1 : 0) * g->step;
	pthread_mutex_init(&g->lock, NULL);
	return g;
}

void kube_gate_free(struct kube_gate **gp)
{
	struct kube_gate *g = TAKE(*gp);
	if (!g)
		return;
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
	pthread_mutex_unlock(&g->lock);
}

bool kube_gate_pass(struct kube_gate *g, const struct cancel *cancel)
{
	for (;;) {
		pthread_mutex_lock(&g->lock);
		int64_t now = clock_mono();
		int64_t turn = g->next - g->depth > g->pause ? g->next - g->depth : g->pause;
		bool stop = cancel_asked(cancel), pass = !stop && now >= turn;
		/* Taken in the instant of sending: who waits, or gives up, uses nothing up. */
		if (pass)
			g->next = (g->next > now ? g->next : now) + g->step;
		pthread_mutex_unlock(&g->lock);
		if (stop || pass)
			return pass;
		/* A turn only ever moves away: who wakes too early for it waits again. */
		(void)cancel_wait(cancel, -1, 0, turn);
	}
}
