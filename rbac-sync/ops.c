/* Owns the worker's plain HTTP listener for health and metrics. */
#include "rbac-sync/ops.h"

#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/listen.h"
#include "common/log.h"
#include "common/metrics.h"

/* Probes and a scraper or two: whoever wants more than this wants something else. */
#define CONNECTIONS_MAX 32
#define PER_ADDRESS_MAX 16
#define IDLE_SECONDS 10
/* Bounds the head of a request; no header of a probe or a scraper comes near. */
#define CONNECTION_MEMORY ((size_t)16 << 10)
#define REPLY_MAX ((size_t)4 << 20)

static const struct field fields[] = {
    {"listen", FIELD_STRING, offsetof(struct ops_config, address), .required = true,
	.doc = "Address and port of the plain HTTP listener for `/livez`, `/healthz`, `/readyz`, `/metrics`: "
	       "`127.0.0.1:8081`, `[::1]:8081`; `:8081` is all addresses. Whoever reaches it reads it: keep it to "
	       "loopback, or to the monitoring by a NetworkPolicy."},
    {0},
};

static void check(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct ops_config *c = obj;
	const struct yaml_node *at = yamlx_get(node, "listen");
	char host[LISTEN_HOST_MAX];
	uint16_t port;
	if (at && !listen_parse(c->address, host, &port))
		diags_error(d, file, at->line, at->col,
		    "listen: not ADDRESS:PORT with a literal IPv4 or bracketed IPv6 address");
}

const struct schema ops_config_schema = {
    "ops", sizeof(struct ops_config), fields, SCHEMA_NO_PLACE, offsetof(struct ops_config, present), check};

struct ops {
	struct MHD_Daemon *daemon;
	int fd;
	char address[LISTEN_HOST_MAX + 16];
	bool (*ready)(void *ctx, struct buf *lines);
	void *ctx;
};

/* --- answers --- */

struct answer {
	unsigned status;
	const char *type;
	struct buf body;
};

static enum MHD_Result send_answer(struct MHD_Connection *mhd, struct answer *a)
{
	if (a->body.over) {
		a->body.len = 0;
		a->body.over = false;
		buf_adds(&a->body, "too much to tell\n");
		a->status = 503;
	}
	struct MHD_Response *res =
	    MHD_create_response_from_buffer(a->body.len, a->body.p, MHD_RESPMEM_MUST_COPY);
	buf_done(&a->body);
	if (!res)
		return MHD_NO;
	enum MHD_Result ok = MHD_add_response_header(res, "Content-Type", a->type);
	if (a->status == 405 && ok == MHD_YES)
		ok = MHD_add_response_header(res, "Allow", "GET, HEAD");
	if (a->status == 400 && ok == MHD_YES)
		ok = MHD_add_response_header(res, "Connection", "close");
	if (ok == MHD_YES)
		ok = MHD_queue_response(mhd, a->status, res);
	MHD_destroy_response(res);
	return ok;
}

/* `?verbose` has no value: a look-up would not find it. */
static enum MHD_Result on_argument(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	(void)kind, (void)value;
	bool *verbose = cls;
	*verbose = *verbose || strcmp(key, "verbose") == 0;
	return MHD_YES;
}

static void answer_ready(const struct ops *o, struct MHD_Connection *mhd, struct answer *a)
{
	bool ready = o->ready(o->ctx, &a->body);
	bool verbose = false;
	MHD_get_connection_values(mhd, MHD_GET_ARGUMENT_KIND, on_argument, &verbose);
	a->status = ready ? 200 : 503;
	if (ready && !verbose) {
		a->body.len = 0;
		buf_adds(&a->body, "ok");
		return;
	}
	if (a->body.len && a->body.p[a->body.len - 1] != '\n')
		buf_addc(&a->body, '\n');
	buf_adds(&a->body, ready ? "readyz check passed\n" : "readyz check failed\n");
}

static void answer(const struct ops *o, struct MHD_Connection *mhd, const char *path, struct answer *a)
{
	if (strcmp(path, "/livez") == 0 || strcmp(path, "/healthz") == 0) {
		buf_adds(&a->body, "ok");
	} else if (strcmp(path, "/readyz") == 0) {
		answer_ready(o, mhd, a);
	} else if (strcmp(path, "/metrics") == 0) {
		a->type = "text/plain; version=0.0.4; charset=utf-8";
		metrics_write(&a->body);
	} else {
		a->status = 404;
		buf_adds(&a->body, "no such page\n");
	}
}

static bool has_body(struct MHD_Connection *mhd)
{
	const char *length = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Content-Length");
	return (length && strcmp(length, "0") != 0) ||
	       MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Transfer-Encoding");
}

/* The first call is for the head, the second for the end. Answered at the first, the connection ends there: whatever
 * else was sent on it is not read. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *path, const char *method,
    const char *version, const char *data, size_t *data_len, void **state)
{
	(void)version, (void)data, (void)data_len;
	static char seen;
	struct answer a = {.status = 200, .type = "text/plain; charset=utf-8"};
	buf_init(&a.body, REPLY_MAX);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		a.status = 405;
		buf_adds(&a.body, "only GET and HEAD\n");
	} else if (has_body(mhd)) {
		a.status = 400;
		buf_adds(&a.body, "no body is taken\n");
	} else if (!*state) {
		*state = &seen;
		return MHD_YES;
	} else {
		answer(cls, mhd, path, &a);
	}
	return send_answer(mhd, &a);
}

static void on_log(void *cls, const char *fmt, va_list ap) PRINTF(2, 0);
static void on_log(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	char text[256];
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\r\n")] = '\0';
	log_debug("http library", LOG_STR("text", text));
}

/* --- life --- */

/* Signals are the main thread's. */
static struct MHD_Daemon *start_daemon(struct ops *o)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, o,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, o->fd, MHD_OPTION_CONNECTION_LIMIT,
	    (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)PER_ADDRESS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return d;
}

enum err_code ops_start(const struct ops_config *c, bool (*ready)(void *ctx, struct buf *lines), void *ctx,
    struct ops **out, struct err *e)
{
	char host[LISTEN_HOST_MAX];
	uint16_t port;
	struct ops *o = calloc(1, sizeof(*o));
	if (!o)
		abort();
	o->ready = ready;
	o->ctx = ctx;
	enum err_code rc = listen_open(c->address, &o->fd, e);
	if (rc != ERR_OK) {
		free(o);
		return err_wrap(e, "ops listener");
	}
	listen_parse(c->address, host, &port);
	snprintf(o->address, sizeof(o->address), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
	    (unsigned)listen_port(o->fd));
	o->daemon = start_daemon(o);
	if (!o->daemon) {
		close(o->fd);
		free(o);
		return err_set(e, ERR_INTERNAL, "ops listener: cannot start its thread");
	}
	*out = o;
	return ERR_OK;
}

void ops_stop(struct ops **op)
{
	struct ops *o = TAKE(*op);
	if (!o)
		return;
	MHD_stop_daemon(o->daemon);
	close(o->fd);
	free(o);
}

const char *ops_address(const struct ops *o)
{
	return o->address;
}
