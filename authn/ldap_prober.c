/* Owns servers that are not asked: when they stop being asked, and the thread that tries them until they are well. */
#include "authn/ldap_pool_state.h"

#include <stdlib.h>
#include <time.h>

#include "common/clock.h"

/* A probe's own limit, whatever the timeout: who frees the pool waits for it. */
#define PROBE_TIME (2 * CLOCK_SECOND)

/* --- with the lock --- */

static bool alone(const struct ldap_pool *p)
{
	for (size_t i = 0; i < p->nservers; i++) {
		if (p->servers[i].breaker.state == BREAKER_CLOSED)
			return false;
	}
	return true;
}

/* The server whose probe comes first, due at *WHEN; INT64_MAX: none. */
static size_t next_probe(const struct ldap_pool *p, int64_t *when)
{
	size_t first = 0;
	bool none_else = alone(p);
	*when = INT64_MAX;
	for (size_t i = 0; i < p->nservers; i++) {
		int64_t due = breaker_due(&p->servers[i].breaker, none_else);
		if (due >= *when)
			continue;
		*when = due;
		first = i;
	}
	return first;
}

static void wait_until(struct ldap_pool *p, int64_t when)
{
	if (when == INT64_MAX) {
		pthread_cond_wait(&p->wake, &p->lock);
		return;
	}
	struct timespec until = clock_until(when);
	pthread_cond_timedwait(&p->wake, &p->lock, &until);
}

/* --- the thread --- */

/* A connection and the service account's bind: what every job begins with. */
static void probe(struct ldap_pool *p, size_t server)
{
	struct err e = {0};
	struct ldapx *h = NULL;
	int64_t span = p->timeout < PROBE_TIME ? p->timeout : PROBE_TIME;
	if (ldap_pool_open(p, server, clock_mono() + span, &h, &e) == ERR_OK) {
		ldap_pool_keep(p, server, h);
		ldap_pool_note(p, server, LDAP_WELL, NULL);
		return;
	}
	pthread_mutex_lock(&p->lock);
	breaker_probe_failed(&p->servers[server].breaker, clock_mono());
	p->servers[server].last = e;
	ldap_server_show(&p->servers[server]);
	pthread_mutex_unlock(&p->lock);
}

static void *prober(void *arg)
{
	struct ldap_pool *p = arg;
	pthread_setname_np(pthread_self(), "ldap-probe");
	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		int64_t when;
		size_t server = next_probe(p, &when);
		if (when > clock_mono()) {
			wait_until(p, when);
			continue;
		}
		breaker_probe(&p->servers[server].breaker);
		ldap_server_show(&p->servers[server]);
		pthread_mutex_unlock(&p->lock);
		probe(p, server);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* With the lock. Without a thread the server stays open for ever: then it must not open. */
static bool ensure_prober(struct ldap_pool *p)
{
	if (!p->probing && !p->stop)
		p->probing = pthread_create(&p->prober, NULL, prober, p) == 0;
	pthread_cond_signal(&p->wake);
	return p->probing;
}

void ldap_pool_stop(struct ldap_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	bool join = p->probing;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (join)
		pthread_join(p->prober, NULL);
}

/* --- outside --- */

void ldap_pool_note(
    struct ldap_pool *p, size_t server, enum ldap_health health, const struct err *e)
{
	struct ldap_server *s = &p->servers[server];
	int64_t now = clock_mono();
	pthread_mutex_lock(&p->lock);
	bool changed = health == LDAP_WELL   ? breaker_good(&s->breaker)
		       : health == LDAP_SLOW ? breaker_slow(&s->breaker, now)
					     : breaker_bad(&s->breaker, now);
	if (health != LDAP_WELL)
		s->last = *e;
	if (changed && health == LDAP_FAILED && !ensure_prober(p))
		changed = !breaker_good(&s->breaker);
	ldap_server_show(s);
	pthread_mutex_unlock(&p->lock);
	if (changed)
		ldap_pools_tell(p, server, health == LDAP_FAILED ? e : NULL);
}
