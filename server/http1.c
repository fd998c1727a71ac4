/* Owns every use of libmicrohttpd: the HTTP/1.1 transport behind transport.h. */
#include "server/http1.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/listen.h"
#include "common/log.h"
#include "server/reply.h"

/* A refused body is still read, up to here, so that the client gets to see the refusal. */
#define DISCARD_MAX ((uint64_t)8 << 20)
/* Headers of client-go are below 1 KiB; this also bounds what one connection costs. */
#define CONNECTION_MEMORY ((size_t)64 << 10)
/* Fits any socket buffer beside the head: a corked reply must leave in one go. */
#define CORK_MAX ((size_t)12 << 10)
/* Most bodies are one small review: room for it at once. */
#define BODY_FIRST ((size_t)4 << 10)

void exchange_defer(struct exchange *ex, struct work_pool *pool, int64_t deadline, exchange_fn *fn,
    exchange_fn *otherwise)
{
	ex->pool = pool;
	ex->deadline = deadline;
	ex->work = fn;
	ex->otherwise = otherwise;
}

void exchange_park(struct exchange *ex, exchange_fn *parked)
{
	ex->parked = parked;
}

/* --- the request's head --- */

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_len,
    const char *value, size_t value_len)
{
	(void)kind;
	http1_head_field(cls, (struct slice){key, key_len}, (struct slice){value, value_len});
	return MHD_YES;
}

static void refuse(struct http1_request *r, unsigned status, const char *text)
{
	reply_error(&r->ex, status, text);
	r->refused = true;
}

/* True when the reply must leave at once and the connection must end: what follows cannot be read. */
static bool check_head(struct http1_request *r)
{
	struct http1_head h = {0};
	MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, on_header, &h);
	r->ex.request.authorization = h.authorization;
	r->ex.request.content_type = h.content_type;
	if (!http1_head_framed(&h)) {
		refuse(r, 400, "ambiguous or malformed message length");
		return true;
	}
	r->route = route_find(r->conn->listener->o.routes, &r->ex);
	if (!r->route)
		r->refused = true;
	else if (h.types > 1 || h.authorizations > 1)
		refuse(r, 400, "duplicate header");
	else if (h.length > TRANSPORT_BODY_MAX)
		refuse(r, 413, "body too large");
	else if (r->route->flags & ROUTE_JSON && !exchange_is_json(&r->ex))
		refuse(r, 415, "content type must be application/json");
	if (h.length && !r->refused) {
		r->cap = h.length;
		r->body = arena_alloc(&r->ex.arena, r->cap);
	}
	return h.length > DISCARD_MAX;
}

static struct http1_request *request_new(
    struct listener *l, struct http1_conn *c, struct MHD_Connection *mhd)
{
	struct http1_request *r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->conn = c;
	r->mhd = mhd;
	r->ex.server = l->o.server;
	r->ex.request.peer = &c->peer;
	r->ex.request.received = clock_mono();
	arena_init_wiped(&r->ex.arena, 0);
	buf_init(&r->ex.reply.body, TRANSPORT_REPLY_MAX);
	pthread_mutex_lock(&l->lock);
	l->active++;
	pthread_mutex_unlock(&l->lock);
	return r;
}

static void request_free(struct http1_request *r)
{
	struct listener *l = r->conn->listener;
	snapshot_release(&r->ex.snapshot);
	buf_wipe_done(&r->ex.reply.body);
	arena_done(&r->ex.arena);
	free(r);
	pthread_mutex_lock(&l->lock);
	if (--l->active == 0)
		pthread_cond_broadcast(&l->idle);
	pthread_mutex_unlock(&l->lock);
}

/* --- the body --- */

static void append(struct http1_request *r, const char *p, size_t n)
{
	if (r->len + n > TRANSPORT_BODY_MAX) {
		refuse(r, 413, "body too large");
		return;
	}
	if (r->len + n > r->cap) {
		size_t cap = r->cap ? r->cap : BODY_FIRST;
		while (cap < r->len + n)
			cap *= 2;
		char *bigger = arena_alloc(&r->ex.arena, cap);
		if (r->len)
			memcpy(bigger, r->body, r->len);
		r->body = bigger;
		r->cap = cap;
	}
	memcpy(r->body + r->len, p, n);
	r->len += n;
}

static enum MHD_Result take_body(struct http1_request *r, const char *p, size_t n)
{
	r->seen += n;
	if (!r->refused)
		append(r, p, n);
	/* The library cannot answer in the middle of a body: an endless one just ends. */
	return r->seen > DISCARD_MAX ? MHD_NO : MHD_YES;
}

/* --- the reply --- */

static const unsigned listener_codes[LISTENER_CODES] = {
    200, 400, 401, 404, 405, 413, 415, 429, 503};

static void add_header(struct MHD_Response *res, const char *name, const char *value)
{
	if (MHD_add_response_header(res, name, value) != MHD_YES)
		log_error("reply header refused", LOG_STR("header", name));
}

static void add_headers(struct http1_request *r, struct MHD_Response *res)
{
	const struct reply *reply = &r->ex.reply;
	char number[24], value[48];
	add_header(res, "Content-Type", reply->content_type);
	if (reply->allow)
		add_header(res, "Allow", reply->allow);
	if (reply->challenge)
		add_header(res, "WWW-Authenticate", reply->challenge);
	if (reply->no_store)
		add_header(res, "Cache-Control", "no-store");
	if (reply->max_age > 0) {
		snprintf(value, sizeof(value), "public, max-age=%lld", (long long)reply->max_age);
		add_header(res, "Cache-Control", value);
	}
	if (reply->retry_after > 0) {
		snprintf(number, sizeof(number), "%lld", (long long)reply->retry_after);
		add_header(res, "Retry-After", number);
	}
	if (reply->has_policy_generation) {
		snprintf(number, sizeof(number), "%lld", (long long)reply->policy_generation);
		add_header(res, "X-Policy-Generation", number);
	}
	if (r->close || atomic_load(&r->conn->listener->draining))
		add_header(res, "Connection", "close");
}

static void count_reply(const struct http1_request *r)
{
	const struct listener *l = r->conn->listener;
	for (size_t i = 0; i < LISTENER_CODES; i++)
		if (listener_codes[i] == r->ex.reply.status)
			metric_inc(l->replies[i]);
}

static enum MHD_Result send_reply(struct http1_request *r)
{
	struct reply *reply = &r->ex.reply;
	if (reply->status == 0 || reply->body.over)
		reply_unavailable(&r->ex, "no reply could be made");
	struct MHD_Response *res = MHD_create_response_from_buffer(
	    reply->body.len, reply->body.p, MHD_RESPMEM_PERSISTENT);
	if (!res)
		return MHD_NO;
	add_headers(r, res);
	if (r->conn->session && reply->body.len <= CORK_MAX) {
		tls_cork(r->conn->session);
		r->corked = true;
	}
	enum MHD_Result ok = MHD_queue_response(r->mhd, reply->status, res);
	MHD_destroy_response(res);
	count_reply(r);
	if (!atomic_load(&r->conn->served))
		MHD_set_connection_option(r->mhd, MHD_CONNECTION_OPTION_TIMEOUT,
		    (unsigned)r->conn->listener->o.idle_timeout);
	http1_conn_served(r->conn);
	return ok;
}

/* --- work that waits --- */

static void run_job(struct work_job *job)
{
	struct http1_request *r =
	    (struct http1_request *)((char *)job - offsetof(struct http1_request, job));
	struct MHD_Connection *mhd = r->mhd;
	exchange_fn *fn = r->ex.work;
	if (clock_mono() >= r->ex.deadline)
		fn = r->ex.otherwise;
	fn(&r->ex);
	/* From here on R may be answered and freed at any moment. */
	MHD_resume_connection(mhd);
}

static struct http1_request *request_of(struct exchange *ex)
{
	return (struct http1_request *)((char *)ex - offsetof(struct http1_request, ex));
}

void exchange_resume(struct exchange *ex)
{
	MHD_resume_connection(request_of(ex)->mhd);
}

void exchange_dispatch(struct exchange *ex, struct work_pool *pool, int64_t deadline, exchange_fn *fn,
    exchange_fn *otherwise)
{
	struct http1_request *r = request_of(ex);
	exchange_defer(ex, pool, deadline, fn, otherwise);
	r->job.run = run_job;
	if (work_push(pool, &r->job) != ERR_OK) {
		otherwise(ex);
		exchange_resume(ex);
	}
}

static void park(struct http1_request *r)
{
	struct exchange *ex = &r->ex;
	r->parked = true;
	/* Suspended first: a quick worker may be done before this returns. */
	MHD_suspend_connection(r->mhd);
	if (ex->parked)
		ex->parked(ex);
	else
		exchange_dispatch(ex, ex->pool, ex->deadline, ex->work, ex->otherwise);
}

static enum MHD_Result finish_request(struct http1_request *r)
{
	atomic_store(&r->conn->reading, 0);
	atomic_store(&r->conn->answering, true);
	if (r->refused || r->parked)
		return send_reply(r);
	r->ex.request.body = (struct slice){r->body, r->len};
	r->ex.snapshot = snapshot_acquire(&r->ex.server->snapshots);
	r->route->handler(&r->ex);
	if (!r->ex.work && !r->ex.parked)
		return send_reply(r);
	park(r);
	return MHD_YES;
}

/* --- the library's callbacks --- */

static struct http1_conn *conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return i->socket_context;
}

static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	(void)uri;
	struct listener *l = cls;
	struct http1_conn *c = conn_of(mhd);
	atomic_store(&c->reading, clock_mono());
	if (c->session && !c->counted)
		metric_inc(l->handshakes);
	c->counted = true;
	return NULL;
}

static enum MHD_Result on_argument(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	(void)kind, (void)value;
	bool *found = cls;
	*found = *found || strcmp(key, "verbose") == 0;
	return MHD_YES;
}

static bool asks_verbose(struct MHD_Connection *mhd)
{
	bool found = false;
	MHD_get_connection_values(mhd, MHD_GET_ARGUMENT_KIND, on_argument, &found);
	return found;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *data, size_t *data_len, void **state)
{
	(void)version;
	struct http1_request *r = *state;
	if (!r) {
		r = request_new(cls, conn_of(mhd), mhd);
		*state = r;
		r->ex.request.method = slice_of(method);
		r->ex.request.path = slice_of(url);
		r->ex.request.verbose = asks_verbose(mhd);
		r->close = check_head(r);
		return r->close ? send_reply(r) : MHD_YES;
	}
	if (*data_len) {
		enum MHD_Result ok = take_body(r, data, *data_len);
		*data_len = 0;
		return ok;
	}
	return finish_request(r);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **state,
    enum MHD_RequestTerminationCode how)
{
	(void)cls;
	struct http1_request *r = TAKE(*state);
	struct http1_conn *c = conn_of(mhd);
	if (c)
		atomic_store(&c->reading, 0);
	if (!r)
		return;
	atomic_store(&c->answering, false);
	if (r->corked && (!tls_uncork(c->session) || how != MHD_REQUEST_TERMINATED_COMPLETED_OK)) {
		/* A peer that does not read what it asked for loses its connection. */
		shutdown(c->fd, SHUT_RDWR);
	} else if (r->corked && !c->uncorked_socket) {
		/* The library corks the socket as well and would leave the last segment to a timer. */
		int off = 0;
		setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
		c->uncorked_socket = true;
	}
	request_free(r);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
    enum MHD_ConnectionNotificationCode what)
{
	struct listener *l = cls;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		struct http1_conn *c = *socket_context;
		http1_conn_free(&c);
		*socket_context = NULL;
		return;
	}
	const union MHD_ConnectionInfo *fd =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	const union MHD_ConnectionInfo *addr =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const union MHD_ConnectionInfo *tls =
	    l->o.tls == LISTENER_PLAIN
		? NULL
		: MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	*socket_context = http1_conn_new(
	    l, fd->connect_fd, tls ? tls->tls_session : NULL, addr ? addr->client_addr : NULL);
}

static void on_log(void *cls, const char *fmt, va_list ap) PRINTF(2, 0);
static void on_log(void *cls, const char *fmt, va_list ap)
{
	struct listener *l = cls;
	char text[256];
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\r\n")] = '\0';
	log_debug("http library", LOG_STR("listener", l->o.name), LOG_STR("text", text));
}

static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *s)
{
	(void)cls, (void)mhd;
	return strlen(s);
}

/* The daemon's own credentials never serve: each connection is given those of its snapshot, and where
 * that failed the handshake must fail too. */
static int no_certificate(void *session, const void *req_ca_dn, int nreqs, const void *pk_algos,
    int pk_algos_length, void **pcert, unsigned int *pcert_length, void **pkey)
{
	(void)session, (void)req_ca_dn, (void)nreqs, (void)pk_algos, (void)pk_algos_length;
	(void)pcert, (void)pcert_length, (void)pkey;
	return -1;
}

/* --- listeners --- */

static struct MHD_Daemon *start_daemon(struct listener *l)
{
	unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem pool[] = {
	    {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)l->o.threads, NULL}, {MHD_OPTION_END, 0, NULL}};
	struct MHD_OptionItem tls[] = {
	    {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
	    {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)no_certificate},
	    {MHD_OPTION_END, 0, NULL}};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
	bool secure = l->o.tls != LISTENER_PLAIN;
	if (secure)
		flags |= MHD_USE_TLS;
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, on_log,
	    l, MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_CONNECTION_LIMIT, l->o.connections,
	    MHD_OPTION_PER_IP_CONNECTION_LIMIT, l->o.per_address,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)l->o.first_timeout,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
	    MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK,
	    on_request_line, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_ARRAY,
	    l->o.threads > 1 ? pool : none, MHD_OPTION_ARRAY, secure ? tls : none, MHD_OPTION_END);
}

static void make_metrics(struct listener *l)
{
	char labels[64];
	for (size_t i = 0; i < LISTENER_CODES; i++) {
		snprintf(labels, sizeof(labels), "listener=\"%s\",code=\"%u\"", l->o.name,
		    listener_codes[i]);
		l->replies[i] = metrics_counter("portcullis_http_requests_total",
		    "Requests that were answered, by listener and status code.", labels);
	}
	if (l->o.tls == LISTENER_PLAIN)
		return;
	snprintf(labels, sizeof(labels), "listener=\"%s\"", l->o.name);
	l->handshakes = metrics_counter("portcullis_tls_handshakes_total",
	    "TLS connections whose handshake ended well and that asked something.", labels);
}

enum err_code listener_start(const struct listener_options *o, struct listener **out, struct err *e)
{
	struct listener *l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->o = *o;
	enum err_code code = listen_open(o->address, &l->fd, e);
	if (code != ERR_OK) {
		free(l);
		return err_wrap(e, "%s listener", o->name);
	}
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->idle, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&l->lock, NULL);
	make_metrics(l);
	l->daemon = start_daemon(l);
	if (!l->daemon) {
		close(l->fd);
		free(l);
		return err_set(e, ERR_INTERNAL, "%s listener: cannot start its threads", o->name);
	}
	*out = l;
	return ERR_OK;
}

uint16_t listener_port(const struct listener *l)
{
	return listen_port(l->fd);
}

void listener_quiesce(struct listener *l)
{
	if (!atomic_exchange(&l->draining, true))
		MHD_quiesce_daemon(l->daemon);
}

bool listener_idle(struct listener *l, int64_t until)
{
	struct timespec ts = clock_until(until);
	pthread_mutex_lock(&l->lock);
	int r = 0;
	while (l->active && r == 0)
		r = pthread_cond_timedwait(&l->idle, &l->lock, &ts);
	bool idle = l->active == 0;
	pthread_mutex_unlock(&l->lock);
	return idle;
}

void listener_stop(struct listener **lp)
{
	struct listener *l = TAKE(*lp);
	if (!l)
		return;
	listener_quiesce(l);
	MHD_stop_daemon(l->daemon);
	close(l->fd);
	pthread_cond_destroy(&l->idle);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
