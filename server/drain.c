/* Owns the order in which a server ends. */
#include "server/drain.h"

#include <signal.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/notify.h"

/* Past DRAIN_MAX the workers still get this long; whoever waits for us gives up at about 30 s. */
#define GRACE_S 8

static void give_up(int sig)
{
	(void)sig;
	_exit(1);
}

void drain(struct server *s, struct listener *listeners[SERVER_LISTENERS])
{
	notify_send("STOPPING=1\nSTATUS=draining");
	status_set(&s->status, STATUS_SHUTDOWN, true, "draining");
	log_info("draining");
	signal(SIGALRM, give_up);
	alarm((unsigned)(DRAIN_MAX / CLOCK_SECOND) + GRACE_S);
	int64_t until = clock_mono() + DRAIN_MAX;
	for (int i = LISTENER_WEBHOOK; i <= LISTENER_LOGIN; i++)
		if (listeners[i])
			listener_quiesce(listeners[i]);
	for (int i = LISTENER_WEBHOOK; i <= LISTENER_LOGIN; i++)
		if (listeners[i] && !listener_idle(listeners[i], until))
			log_warn("requests were still under way at the end of the drain");
	/* Joins the workers, each of which resumes its connection: none may be parked when a listener
	 * stops. Kept connections may still ask: what would be parked is refused from here on. */
	struct work_pool **pools[] = {&s->token_work, &s->login_work, &s->spool_work};
	for (size_t i = 0; i < ARRAY_LEN(pools); i++)
		work_stop(*pools[i]);
	for (int i = 0; i < SERVER_LISTENERS; i++)
		listener_stop(&listeners[i]);
	for (size_t i = 0; i < ARRAY_LEN(pools); i++)
		work_free(pools[i]);
}
