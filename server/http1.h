/* Inside of the HTTP/1.1 transport, shared by its files; handlers include transport.h alone. */
#ifndef SERVER_HTTP1_H
#define SERVER_HTTP1_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/metrics.h"
#include "common/work.h"
#include "server/server.h"
#include "server/tls.h"
#include "server/transport.h"

struct MHD_Daemon;
struct MHD_Connection;

#define LISTENER_CODES 9 /* status codes that replies have */

struct listener {
	struct listener_options o;
	struct MHD_Daemon *daemon;
	int fd;
	atomic_bool draining;
	pthread_mutex_t lock; /* conns, active */
	pthread_cond_t idle;
	struct http1_conn *conns;
	unsigned active; /* requests under way */
	unsigned fresh;	 /* connections that were not answered yet and may be turned out */
	struct metric *handshakes, *replies[LISTENER_CODES];
	_Atomic int64_t last_refusal_log;
};

/* One TCP connection, from accept to close. */
struct http1_conn {
	struct listener *listener;
	struct http1_conn *prev, *next;
	struct peer peer;
	struct tls_conn tls;
	void *session; /* NULL on a plain listener */
	int fd;
	int64_t started;	   /* clock_mono() */
	_Atomic int64_t reading;   /* since when a request is being read; 0: none is */
	atomic_bool answering;	   /* from the whole request to its reply sent */
	atomic_bool served;	   /* was answered once */
	bool turned_out;	   /* under the listener's lock */
	bool uncorked_socket, counted;
};

/* One request on it. */
struct http1_request {
	struct exchange ex;
	struct http1_conn *conn;
	struct MHD_Connection *mhd;
	struct work_job job;
	const struct route *route;
	char *body; /* in ex.arena */
	size_t len, cap;
	uint64_t seen;	/* bytes of body, thrown away ones included */
	bool refused;	/* the reply is made, the body is only read past */
	bool corked, close, parked;
};

/* --- http1_head.c: the head of a request --- */

struct http1_head {
	struct slice content_type, authorization;
	uint64_t length;
	unsigned lengths, encodings, types, authorizations; /* how often each stands there */
	bool bad_length, chunked;
};

/* One header; start from a zeroed struct. */
void http1_head_field(struct http1_head *h, struct slice name, struct slice value);

/* False for whatever two readers of one head could frame differently (RFC 9112 6.3): no request hides in
 * another. */
bool http1_head_framed(const struct http1_head *h);

/* --- http1_conn.c: connections --- */

struct http1_conn *http1_conn_new(struct listener *l, int fd, void *session, const void *sockaddr);
void http1_conn_free(struct http1_conn **c);

/* The first reply is on its way: the connection has earned its place. */
void http1_conn_served(struct http1_conn *c);

#endif
