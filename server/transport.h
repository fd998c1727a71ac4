/* What a handler sees of the network: an exchange of one request and one reply. No type of an HTTP or TLS
 * library passes through here, so that a second transport can stand beside the first. */
#ifndef SERVER_TRANSPORT_H
#define SERVER_TRANSPORT_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

struct server;
struct snapshot;
struct work_pool;
struct exchange;

/* The largest review of a real apiserver is a 64 KiB token escaped sixfold. */
#define TRANSPORT_BODY_MAX ((size_t)1 << 20)
/* Readiness texts and metrics; every review's reply is far below. */
#define TRANSPORT_REPLY_MAX ((size_t)4 << 20)

struct peer {
	char ip[46]; /* literal, "" when unknown */
	uint16_t port;
	char tls[8]; /* "TLS1.3", "TLS1.2", "" on a plain listener */
	char cert_cn[128];
	char cert_sha256[65]; /* hex; "" without a client certificate */
};

struct request {
	struct slice method, path; /* as sent; the query is cut off */
	bool verbose;		   /* the query has the word `verbose`: for /readyz; the rest is ignored */
	struct slice authorization, content_type; /* header values */
	struct slice body;	    /* at most TRANSPORT_BODY_MAX bytes */
	const struct peer *peer;
	int64_t received; /* clock_mono() when the head had arrived */
};

struct reply {
	unsigned status; /* 0 until the handler sets it */
	const char *content_type;
	struct buf body; /* wiped: may hold a token */
	const char *allow;	   /* methods, with 405 */
	const char *challenge;	   /* WWW-Authenticate, with 401 */
	int64_t retry_after;	   /* seconds; 0: no such header */
	bool has_policy_generation; /* header X-Policy-Generation */
	int64_t policy_generation;
	bool no_store; /* Cache-Control: no-store */
	int64_t max_age; /* seconds: Cache-Control: public, max-age; 0: nothing is said */
};

typedef void exchange_fn(struct exchange *ex);

/* Belongs to one thread at a time: the transport's, or a worker's while deferred. */
struct exchange {
	struct server *server;
	struct snapshot *snapshot; /* one for the whole request */
	struct arena arena;	   /* wiped when the exchange ends */
	struct request request;
	struct reply reply;
	void *state; /* the handler's own, from one function to the next */
	/* Set by exchange_defer, read by the transport when the handler has returned. */
	struct work_pool *pool;
	exchange_fn *work, *otherwise;
	int64_t deadline; /* clock_mono() */
	exchange_fn *parked; /* set by exchange_park, likewise */
};

/* Called by a handler just before it returns without a reply: the connection is parked and FN runs on
 * POOL, where it may block until DEADLINE (clock_mono()) and must fill the reply. When the queue is full,
 * or DEADLINE passed while waiting in it, OTHERWISE is called instead, which must not block and must fill
 * the reply. */
void exchange_defer(struct exchange *ex, struct work_pool *pool, int64_t deadline, exchange_fn *fn,
    exchange_fn *otherwise);

/* As exchange_defer, but nothing is to be done here: the connection is parked, and then PARKED called on the
 * transport's own thread, where it must not block. From then on EX belongs to whoever ends its wait, on any
 * thread, by one exchange_resume or exchange_dispatch. */
void exchange_park(struct exchange *ex, exchange_fn *parked);

/* The reply of a parked exchange is filled: EX may be gone when this returns. */
void exchange_resume(struct exchange *ex);

/* A parked exchange goes on as after exchange_defer: EX may be gone when this returns. */
void exchange_dispatch(struct exchange *ex, struct work_pool *pool, int64_t deadline, exchange_fn *fn,
    exchange_fn *otherwise);

/* The body is declared as application/json, with or without parameters; as application/x-www-form-urlencoded. */
bool exchange_is_json(const struct exchange *ex);
bool exchange_is_form(const struct exchange *ex);

/* --- routes --- */
enum route_flags {
	ROUTE_JSON = 1, /* a body of application/json is required, else 415 */
};

struct route {
	const char *method, *path; /* exact; GET serves HEAD too */
	exchange_fn *handler;
	unsigned flags;
};

/* A table ends with a NULL method. */
extern const struct route routes_webhook[], routes_ops[], routes_login[];

/* The route of METHOD and PATH. NULL after filling the reply with 404, or 405 and Allow. */
const struct route *route_find(const struct route *table, struct exchange *ex);

/* --- listeners --- */
struct listener;

struct listener_options {
	const char *name; /* "webhook", "ops", "login": a metric label and a thread name */
	const char *address; /* as in the configuration */
	struct server *server;
	const struct route *routes;
	int tls; /* enum snapshot_tls, or LISTENER_PLAIN */
	unsigned threads, connections;
	unsigned per_address; /* connections of one client address, 0: no such limit */
	int64_t first_timeout;	/* s: handshake and first request */
	int64_t idle_timeout;	/* s: between requests of a connection that was served once */
	int64_t request_timeout; /* ns: a whole head and body, however slowly it drips */
	int64_t lifetime;	/* ns of a connection, 0 for no end */
};
#define LISTENER_PLAIN (-1)

/* Binds and serves. ERR_UNAVAILABLE when the address cannot be had. */
enum err_code listener_start(const struct listener_options *o, struct listener **out, struct err *e) MUST_CHECK;

/* The port that is listened on. */
uint16_t listener_port(const struct listener *l);

/* Cuts connections that are past their time. Call about once a second. */
void listener_sweep(struct listener *l);

/* No new connections; each reply from now on closes its connection. */
void listener_quiesce(struct listener *l);

/* Waits until no request is under way, at most until clock_mono() UNTIL; false when some are left. */
bool listener_idle(struct listener *l, int64_t until);

/* Ends threads and connections. No exchange may be deferred any more. */
void listener_stop(struct listener **l);

#endif
