/* Owns what metrics tell of one directory server. */
#include "authn/ldap_pool_state.h"

#include "common/metrics.h"

static const char *const op_words[LDAPX_OPS] = {
    [LDAPX_OP_CONNECT] = "connect", [LDAPX_OP_BIND] = "bind", [LDAPX_OP_SEARCH] = "search"};

enum { OK, REFUSED, TIMEOUT, FAILED };
static const char *const result_words[] = {
    [OK] = "ok", [REFUSED] = "refused", [TIMEOUT] = "timeout", [FAILED] = "error"};

static const char up_name[] = "portcullis_directory_server_up";
static const char state_name[] = "portcullis_directory_breaker_state";
static const char connections_name[] = "portcullis_directory_connections";
static const char operations_name[] = "portcullis_directory_operations_total";
static const char latency_name[] = "portcullis_directory_operation_duration_seconds";

/* Labels of a series into OUT; KEY NULL: one less. */
struct labels {
	const char *directory, *server;
	const char *key, *value;   /* one more */
	const char *key2, *value2; /* and another */
};

static void render(struct buf *out, const struct labels *l)
{
	buf_init(out, 8192);
	metrics_label(out, "directory", slice_of(l->directory));
	metrics_label(out, "server", slice_of(l->server));
	if (l->key)
		metrics_label(out, l->key, slice_of(l->value));
	if (l->key2)
		metrics_label(out, l->key2, slice_of(l->value2));
}

static struct metric *gauge(const char *name, const char *help, struct labels l)
{
	AUTO(buf_done) struct buf b;
	render(&b, &l);
	return metrics_gauge(name, help, buf_cstr(&b));
}

static void forget(const char *name, struct labels l)
{
	AUTO(buf_done) struct buf b;
	render(&b, &l);
	metrics_forget(name, buf_cstr(&b));
}

/* Only binds are refused. */
static bool happens(enum ldapx_op op, size_t result)
{
	return result != REFUSED || op == LDAPX_OP_BIND;
}

static size_t result_of(enum err_code code)
{
	switch (code) {
	case ERR_OK:
	case ERR_LIMIT: /* the server did what it was asked */
		return OK;
	case ERR_REFUSED:
		return REFUSED;
	case ERR_TIMEOUT:
		return TIMEOUT;
	default:
		return FAILED;
	}
}

static void told(const struct ldapx_watch *watch, enum ldapx_op op, enum err_code code, int64_t ns)
{
	const struct ldap_server *s = (const struct ldap_server *)watch;
	if (op == LDAPX_OP_CLOSE) {
		metric_sub(s->busy, 1);
		return;
	}
	if (op == LDAPX_OP_CONNECT && code == ERR_OK)
		metric_inc(s->busy);
	size_t result = result_of(code);
	metric_inc(s->results[op][happens(op, result) ? result : FAILED]);
	metric_observe(s->latency[op], (double)ns / 1e9);
}

static void find_operations(struct ldap_server *s, const char *directory)
{
	for (enum ldapx_op op = LDAPX_OP_CONNECT; op < LDAPX_OP_CLOSE; op++) {
		struct labels l = {directory, s->url, "operation", op_words[op], NULL, NULL};
		AUTO(buf_done) struct buf b;
		render(&b, &l);
		s->latency[op] = metrics_histogram(latency_name,
		    "Time that an operation on a directory server took.", buf_cstr(&b),
		    metrics_latency_bounds, metrics_latency_bounds_len);
		for (size_t i = 0; i < ARRAY_LEN(result_words); i++) {
			if (!happens(op, i))
				continue;
			AUTO(buf_done) struct buf c;
			l.key2 = "result";
			l.value2 = result_words[i];
			render(&c, &l);
			s->results[op][i] = metrics_counter(operations_name,
			    "Operations on directory servers.", buf_cstr(&c));
		}
	}
}

void ldap_server_init(struct ldap_server *s, const char *directory, const char *url)
{
	struct labels l = {.directory = directory, .server = url};
	s->watch.told = told;
	s->url = url;
	s->up = gauge(up_name, "1 while the directory server is asked.", l);
	s->state = gauge(state_name, "Circuit breaker: 0 closed, 1 half-open, 2 open.", l);
	l.key = "state";
	l.value = "busy";
	s->busy = gauge(connections_name, "Connections to the directory server.", l);
	l.value = "idle";
	s->idle = gauge(connections_name, "Connections to the directory server.", l);
	find_operations(s, directory);
	ldap_server_show(s);
}

void ldap_server_forget(const struct ldap_server *s, const char *directory)
{
	struct labels l = {.directory = directory, .server = s->url};
	forget(up_name, l);
	forget(state_name, l);
	l.key = "state";
	l.value = "busy";
	forget(connections_name, l);
	l.value = "idle";
	forget(connections_name, l);
	l.key = "operation";
	for (enum ldapx_op op = LDAPX_OP_CONNECT; op < LDAPX_OP_CLOSE; op++) {
		l.value = op_words[op];
		l.key2 = NULL;
		forget(latency_name, l);
		l.key2 = "result";
		for (size_t i = 0; i < ARRAY_LEN(result_words); i++) {
			l.value2 = result_words[i];
			forget(operations_name, l);
		}
	}
}

void ldap_server_show(const struct ldap_server *s)
{
	metric_set(s->up, s->breaker.state == BREAKER_CLOSED);
	metric_set(s->state, (double)s->breaker.state);
}
