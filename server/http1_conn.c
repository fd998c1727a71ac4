/* Owns the connections of the HTTP/1.1 transport: who they are, how long they may take, how they end. */
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/http1.h"

static void peer_address(struct peer *p, const struct sockaddr *sa)
{
	if (sa && sa->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, sa, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, p->ip, sizeof(p->ip));
		p->port = ntohs(in.sin_port);
	} else if (sa && sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, sa, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
			inet_ntop(AF_INET, &in6.sin6_addr.s6_addr[12], p->ip, sizeof(p->ip));
		else
			inet_ntop(AF_INET6, &in6.sin6_addr, p->ip, sizeof(p->ip));
		p->port = ntohs(in6.sin6_port);
	}
}

static void start_tls(struct http1_conn *c)
{
	struct snapshot *s = snapshot_acquire(&c->listener->o.server->snapshots);
	struct tls_creds *creds = s->parts.tls[c->listener->o.tls];
	struct err e = {0};
	/* Without credentials of ours (a login section that was taken out since the start has none) the
	 * handshake fails: the daemon itself has none either. */
	if (creds && tls_conn_start(&c->tls, c->session, creds, &c->peer, &e) != ERR_OK)
		log_error("connection refused", LOG_STR("error", e.msg));
	snapshot_release(&s);
}

/* At most a quarter of the places is for those who have not asked anything yet: past that the one that has
 * waited longest is turned out, so that idle or stuck strangers cannot lock the apiserver out. */
static void make_room(struct listener *l)
{
	struct http1_conn *oldest = NULL;
	if (l->fresh <= l->o.connections / 4)
		return;
	for (struct http1_conn *c = l->conns; c; c = c->next)
		if (!c->turned_out && !atomic_load(&c->served) && !atomic_load(&c->answering))
			oldest = c;
	if (!oldest)
		return;
	oldest->turned_out = true;
	l->fresh--;
	shutdown(oldest->fd, SHUT_RDWR);
}

void http1_conn_served(struct http1_conn *c)
{
	if (atomic_exchange(&c->served, true))
		return;
	pthread_mutex_lock(&c->listener->lock);
	if (!c->turned_out)
		c->listener->fresh--;
	pthread_mutex_unlock(&c->listener->lock);
}

struct http1_conn *http1_conn_new(struct listener *l, int fd, void *session, const void *sockaddr)
{
	struct http1_conn *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->listener = l;
	c->fd = fd;
	c->session = session;
	c->started = clock_mono();
	peer_address(&c->peer, sockaddr);
	if (session)
		start_tls(c);
	pthread_mutex_lock(&l->lock);
	c->next = l->conns;
	if (c->next)
		c->next->prev = c;
	l->conns = c;
	l->fresh++;
	make_room(l);
	pthread_mutex_unlock(&l->lock);
	return c;
}

static void log_refusal(struct http1_conn *c, const char *reason)
{
	if (server_may_log(&c->listener->last_refusal_log))
		log_warn("client refused", LOG_STR("listener", c->listener->o.name),
		    LOG_STR("reason", reason), LOG_STR("peer", c->peer.ip),
		    LOG_STR("certCN", c->peer.cert_cn));
}

static void count_end(struct http1_conn *c)
{
	const char *reason = c->session ? tls_conn_refusal(&c->tls) : NULL;
	if (!reason)
		return;
	struct buf labels;
	buf_init(&labels, 256);
	metrics_label(&labels, "listener", slice_of(c->listener->o.name));
	metrics_label(&labels, "reason", slice_of(reason));
	metric_inc(metrics_counter("portcullis_tls_refused_total",
	    "TLS connections that were turned away, or broke off before the handshake ended.",
	    buf_cstr(&labels)));
	buf_done(&labels);
	if (c->tls.asked)
		log_refusal(c, reason);
}

void http1_conn_free(struct http1_conn **cp)
{
	struct http1_conn *c = TAKE(*cp);
	if (!c)
		return;
	struct listener *l = c->listener;
	pthread_mutex_lock(&l->lock);
	if (c->prev)
		c->prev->next = c->next;
	else
		l->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	if (!c->turned_out && !atomic_load(&c->served))
		l->fresh--;
	pthread_mutex_unlock(&l->lock);
	count_end(c);
	tls_conn_done(&c->tls);
	free(c);
}

static bool is_late(const struct listener *l, struct http1_conn *c, int64_t now)
{
	if (atomic_load(&c->answering))
		return false;
	int64_t since = atomic_load(&c->reading);
	if (since == 0 && !atomic_load(&c->served))
		since = c->started;
	if (since && now - since > l->o.request_timeout)
		return true;
	return l->o.lifetime && now - c->started > l->o.lifetime;
}

/* The library's own timeout starts anew with each byte, so a peer that drips needs this clock. Closing
 * stays the library's: a shut socket reads as ended. */
void listener_sweep(struct listener *l)
{
	int64_t now = clock_mono();
	pthread_mutex_lock(&l->lock);
	for (struct http1_conn *c = l->conns; c; c = c->next)
		if (is_late(l, c, now))
			shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&l->lock);
}
