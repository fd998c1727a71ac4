/* Owns a directory's connections: service handles kept warm, and fail-over through the servers. */
#include "authn/ldap_pool_state.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/metrics.h"

/* Firewalls forget silent connections after minutes, Active Directory closes them after 15. */
#define IDLE_AGE (120 * CLOCK_SECOND)

/* --- handles --- */

/* Takes number I out; with the lock. */
static struct ldapx *take(struct ldap_pool *p, size_t i)
{
	struct ldap_idle got = p->idle[i];
	p->nidle--;
	memmove(&p->idle[i], &p->idle[i + 1], (p->nidle - i) * sizeof(p->idle[0]));
	metric_sub(p->servers[got.server].idle, 1);
	metric_inc(p->servers[got.server].busy);
	return got.h;
}

/* The youngest handle to SERVER; NULL when there is none. Those that are too old, whoever they are to, go to
 * OLD. */
static struct ldapx *take_idle(struct ldap_pool *p, size_t server, struct ldapx **old, size_t *nold)
{
	struct ldapx *got = NULL;
	int64_t now = clock_mono();
	*nold = 0;
	pthread_mutex_lock(&p->lock);
	for (size_t i = p->nidle; i > 0; i--) {
		if (now - p->idle[i - 1].since > IDLE_AGE)
			old[(*nold)++] = take(p, i - 1);
		else if (!got && p->idle[i - 1].server == server)
			got = take(p, i - 1);
	}
	pthread_mutex_unlock(&p->lock);
	return got;
}

/* An idle handle to SERVER that its server has not closed. */
static struct ldapx *warm(struct ldap_pool *p, size_t server)
{
	struct ldapx *old[LDAP_IDLE_MAX];
	size_t nold;
	for (;;) {
		struct ldapx *h = take_idle(p, server, old, &nold);
		for (size_t i = 0; i < nold; i++)
			ldapx_close(&old[i]);
		if (!h || ldapx_reusable(h))
			return h;
		ldapx_close(&h);
	}
}

void ldap_pool_keep(struct ldap_pool *p, size_t server, struct ldapx *h)
{
	if (!h)
		return;
	bool kept = false;
	if (ldapx_alive(h)) {
		pthread_mutex_lock(&p->lock);
		kept = p->nidle < LDAP_IDLE_MAX;
		if (kept) {
			p->idle[p->nidle++] = (struct ldap_idle){
			    .h = h, .server = server, .since = clock_mono()};
			metric_sub(p->servers[server].busy, 1);
			metric_inc(p->servers[server].idle);
		}
		pthread_mutex_unlock(&p->lock);
	}
	if (!kept)
		ldapx_close(&h);
}

static enum err_code connect_to(
    struct ldap_pool *p, size_t server, int64_t deadline, struct ldapx **out, struct err *e)
{
	struct ldap_trust *trust = ldap_pool_trust(p);
	struct ldapx_server s = {
	    .url = p->servers[server].url,
	    .start_tls = p->start_tls,
	    .tls = trust ? trust->tls : NULL,
	    .watch = &p->servers[server].watch,
	};
	enum err_code code = ldapx_open(&s, deadline, out, e);
	ldap_pool_trust_done(p, trust);
	return code;
}

enum err_code ldap_session_connect(const struct ldap_session *s, struct ldapx **out, struct err *e)
{
	return connect_to(s->pool, s->server, s->deadline, out, e);
}

static enum err_code bind_service(
    const struct ldap_pool *p, struct ldapx *h, int64_t deadline, struct err *e)
{
	if (p->external)
		return ldapx_bind_external(h, deadline, e);
	if (!p->bind_dn)
		return ERR_OK;
	struct slice password = {p->password.p, p->password.len};
	return ldapx_bind(h, slice_of(p->bind_dn), password, deadline, NULL, e);
}

enum err_code ldap_pool_open(
    struct ldap_pool *p, size_t server, int64_t deadline, struct ldapx **out, struct err *e)
{
	AUTO(ldapx_close) struct ldapx *h = NULL;
	enum err_code code = connect_to(p, server, deadline, &h, e);
	if (code != ERR_OK)
		return code;
	code = bind_service(p, h, deadline, e);
	if (code == ERR_OK) {
		*out = TAKE(h);
		return ERR_OK;
	}
	err_wrap(e, "%s: service account", p->servers[server].url);
	/* Our own account is wrong: that says nothing about anybody's password. */
	return code == ERR_REFUSED ? ERR_UNAVAILABLE : code;
}

/* --- fail-over --- */

static bool is_outage(enum err_code code)
{
	return code != ERR_OK && code != ERR_REFUSED && code != ERR_LIMIT;
}

/* *HEARD: the server answered something during this turn. */
static enum err_code one_server(struct ldap_session *s,
    enum err_code (*job)(struct ldap_session *s, void *arg, struct err *e), void *arg,
    bool *heard, struct err *e)
{
	int64_t began = clock_mono();
	enum err_code code;
	s->service = warm(s->pool, s->server);
	if (s->service) {
		code = job(s, arg, e);
		*heard = ldapx_answered(s->service) >= began;
		/* Only a kept handle that turned out dead is worth another try on the same server.
		 */
		if (!is_outage(code) || ldapx_alive(s->service) || clock_mono() >= s->deadline) {
			ldap_pool_keep(s->pool, s->server, TAKE(s->service));
			return code;
		}
		ldapx_close(&s->service);
	}
	code = ldap_pool_open(s->pool, s->server, s->deadline, &s->service, e);
	if (code == ERR_OK) {
		code = job(s, arg, e);
		*heard = *heard || ldapx_answered(s->service) >= began;
	}
	ldap_pool_keep(s->pool, s->server, TAKE(s->service));
	return code;
}

/* Indices of the servers in the order to ask them: those that just failed last, open ones not at all. */
static size_t order_servers(struct ldap_pool *p, size_t order[LDAP_URLS_MAX])
{
	size_t late[LDAP_URLS_MAX], nlate = 0, n = 0;
	int64_t now = clock_mono();
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nservers; i++) {
		const struct ldap_breaker *b = &p->servers[i].breaker;
		if (b->state != BREAKER_CLOSED)
			continue;
		if (breaker_is_late(b, now))
			late[nlate++] = i;
		else
			order[n++] = i;
	}
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < nlate; i++)
		order[n++] = late[i];
	return n;
}

static bool is_closed(struct ldap_pool *p, size_t server)
{
	pthread_mutex_lock(&p->lock);
	bool yes = p->servers[server].breaker.state == BREAKER_CLOSED;
	pthread_mutex_unlock(&p->lock);
	return yes;
}

static enum err_code none_left(struct ldap_pool *p, struct err *e)
{
	pthread_mutex_lock(&p->lock);
	err_set(e, ERR_UNAVAILABLE, "no server is well; the first: %s", p->servers[0].last.msg);
	pthread_mutex_unlock(&p->lock);
	return ERR_UNAVAILABLE;
}

/* The configured timeout, or a fair share of what is left for SERVERS of them. */
static int64_t turn_ends(const struct ldap_pool *p, int64_t deadline, size_t servers)
{
	int64_t now = clock_mono(), share = (deadline - now) / (int64_t)servers;
	return now + (share < p->timeout ? share : p->timeout);
}

/* One server's turn, and what it says of the server: nothing, when it was too short for an answer. */
static enum err_code turn(struct ldap_session *s,
    enum err_code (*job)(struct ldap_session *s, void *arg, struct err *e), void *arg,
    struct err *e)
{
	bool heard = false, fair = s->deadline - clock_mono() >= s->pool->timeout / 2;
	enum err_code code = one_server(s, job, arg, &heard, e);
	if (!is_outage(code))
		ldap_pool_note(s->pool, s->server, LDAP_WELL, NULL);
	else if (code != ERR_TIMEOUT || fair)
		ldap_pool_note(s->pool, s->server, heard ? LDAP_SLOW : LDAP_FAILED, e);
	return code;
}

enum err_code ldap_pool_run(struct ldap_pool *p, int64_t deadline,
    enum err_code (*job)(struct ldap_session *s, void *arg, struct err *e), void *arg,
    struct err *e)
{
	size_t order[LDAP_URLS_MAX];
	size_t n = order_servers(p, order);
	enum err_code first = ERR_OK;
	for (size_t i = 0; i < n && clock_mono() < deadline; i++) {
		if (!is_closed(p, order[i])) /* opened since */
			continue;
		struct ldap_session s = {
		    .pool = p, .server = order[i], .deadline = turn_ends(p, deadline, n - i)};
		struct err why = {0};
		enum err_code code = turn(&s, job, arg, &why);
		if (!is_outage(code)) {
			if (code != ERR_OK)
				err_set(e, code, "%s", why.msg);
			return code;
		}
		if (first == ERR_OK) {
			first = code == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE;
			err_set(e, first, "%s", why.msg);
		}
	}
	if (first != ERR_OK)
		return first;
	if (clock_mono() >= deadline)
		return err_set(e, ERR_TIMEOUT, "no time left");
	return none_left(p, e);
}
