/* Owns the requests to a Keystone: connections kept, how many at once, when it is left alone, who may guess. */
#include "authn/keystone_server.h"

#include <pthread.h>
#include <stdlib.h>

#include "authn/keystone.h"
#include "authn/penalty.h"
#include "common/clock.h"
#include "common/httpc.h"
#include "common/jsonx.h"
#include "common/metrics.h"

/* Tokens of real people have 180 to 300 bytes, of the longest kinds some hundred more. Two of these still fit into
 * the smallest common limit of a request's header, uWSGI's 4 KiB. */
#define TOKEN_USUAL 1536

struct keystone_server {
	struct keystone_server *next;
	struct keystones *store;
	unsigned refs;
	char *name, *base; /* base: the URL up to and with /v3 */
	struct slice ca;   /* malloc'ed */
	struct metric *good, *refused, *failed, *seconds;
	pthread_mutex_t lock; /* guards what follows */
	unsigned busy, failures;
	int64_t rest_until; /* clock_mono() */
	struct err last;
	struct httpc *idle[KEYSTONE_BUSY_MAX];
	size_t nidle;
};

/* The services' slot. */
struct keystones {
	pthread_mutex_t lock; /* guards the list and its counts of references */
	struct keystone_server *list;
	struct penalty *penalty;
};

/* --- life --- */

static void keystones_free(struct keystones **store)
{
	if (!store || !*store)
		return;
	struct keystones *k = TAKE(*store);
	penalty_free(&k->penalty);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static struct keystones *open_store(struct authn_services *services)
{
	/* As for passwords: five at once, then one in 30 s; of all together 300, then ten a second. */
	static const struct penalty_limits limits = {.key_burst = 5,
	    .key_interval = 30 * CLOCK_SECOND,
	    .all_burst = 300,
	    .all_interval = 100 * CLOCK_MS};
	if (services->keystones)
		return services->keystones;
	struct keystones *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	pthread_mutex_init(&k->lock, NULL);
	k->penalty = penalty_new(&limits);
	services->keystones = k;
	services->keystones_free = keystones_free;
	return k;
}

static struct metric *requests(const char *name, const char *result)
{
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 1024);
	metrics_label(&labels, "keystone", slice_of(name));
	metrics_label(&labels, "result", slice_of(result));
	return metrics_counter("portcullis_keystone_requests_total",
	    "Requests to a Keystone by result.", buf_cstr(&labels));
}

static void find_metrics(struct keystone_server *s)
{
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 1024);
	metrics_label(&labels, "keystone", slice_of(s->name));
	s->good = requests(s->name, "ok");
	s->refused = requests(s->name, "refused");
	s->failed = requests(s->name, "error");
	s->seconds = metrics_histogram("portcullis_keystone_request_duration_seconds",
	    "Time of a request to a Keystone.", buf_cstr(&labels), metrics_latency_bounds,
	    metrics_latency_bounds_len);
}

static char *copy(const char *p, size_t n)
{
	char *c = malloc(n + 1);
	if (!c)
		abort();
	if (n)
		memcpy(c, p, n);
	c[n] = '\0';
	return c;
}

/* URL without final slashes, and with /v3. */
static char *base_of(const char *url)
{
	AUTO(buf_done) struct buf b;
	size_t n = strlen(url);
	while (n && url[n - 1] == '/')
		n--;
	buf_init(&b, n + 4);
	buf_add(&b, url, n);
	if (n < 3 || memcmp(url + n - 3, "/v3", 3) != 0)
		buf_adds(&b, "/v3");
	return copy(b.p, b.len);
}

static void destroy(struct keystone_server *s)
{
	for (size_t i = 0; i < s->nidle; i++)
		httpc_free(&s->idle[i]);
	pthread_mutex_destroy(&s->lock);
	free(s->name);
	free(s->base);
	free((void *)(uintptr_t)s->ca.p);
	free(s);
}

static struct keystone_server *server_new(const struct keystone_config *cfg, struct slice ca)
{
	struct keystone_server *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->refs = 1;
	s->name = copy(cfg->name, strlen(cfg->name));
	s->base = base_of(cfg->url);
	s->ca = (struct slice){copy(ca.p, ca.len), ca.len};
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

static bool same(const struct keystone_server *a, const struct keystone_server *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->base, b->base) == 0 &&
	       slice_eq(a->ca, b->ca);
}

struct keystone_server *keystone_acquire(
    struct authn_services *services, const struct keystone_config *cfg, struct slice ca)
{
	struct keystones *k = open_store(services);
	struct keystone_server *s = server_new(cfg, ca), *old;
	pthread_mutex_lock(&k->lock);
	for (old = k->list; old && !same(old, s); old = old->next)
		;
	if (old) {
		old->refs++;
		destroy(s);
		s = old;
	} else {
		find_metrics(s);
		s->store = k;
		s->next = k->list;
		k->list = s;
	}
	pthread_mutex_unlock(&k->lock);
	return s;
}

void keystone_release(struct keystone_server **server)
{
	if (!server || !*server)
		return;
	struct keystone_server *s = TAKE(*server);
	struct keystones *k = s->store;
	pthread_mutex_lock(&k->lock);
	bool last = --s->refs == 0;
	if (last) {
		struct keystone_server **at = &k->list;
		while (*at != s)
			at = &(*at)->next;
		*at = s->next;
	}
	pthread_mutex_unlock(&k->lock);
	if (last)
		destroy(s);
}

/* --- health --- */

/* Under the lock. */
static bool resting(const struct keystone_server *s, int64_t now, struct err *e)
{
	if (now >= s->rest_until)
		return false;
	*e = s->last;
	return true;
}

bool keystone_ready(struct keystone_server *s, struct err *e)
{
	pthread_mutex_lock(&s->lock);
	bool ready = !resting(s, clock_mono(), e);
	pthread_mutex_unlock(&s->lock);
	return ready;
}

static bool enter(struct keystone_server *s, struct httpc **http, struct err *e)
{
	int64_t now = clock_mono();
	*http = NULL;
	pthread_mutex_lock(&s->lock);
	bool ok = !resting(s, now, e);
	if (ok && s->busy >= KEYSTONE_BUSY_MAX) {
		err_set(e, ERR_LIMIT, "%d requests are under way", KEYSTONE_BUSY_MAX);
		ok = false;
	}
	if (ok) {
		s->busy++;
		/* After a rest one tries; the others are answered by its predecessor's failure. */
		if (s->failures >= KEYSTONE_FAILURES_MAX)
			s->rest_until = now + KEYSTONE_REST;
		if (s->nidle)
			*http = s->idle[--s->nidle];
	}
	pthread_mutex_unlock(&s->lock);
	if (ok && !*http)
		*http = httpc_new();
	return ok;
}

/* COUNTS: whether a failure says something about Keystone. */
static void leave(struct keystone_server *s, struct httpc *http, bool answered, bool counts,
    const struct err *e)
{
	pthread_mutex_lock(&s->lock);
	s->busy--;
	s->idle[s->nidle++] = http; /* there is room: no more than BUSY_MAX are ever out */
	if (answered) {
		s->failures = 0;
		s->rest_until = 0;
	} else if (counts) {
		s->last = *e;
		if (++s->failures >= KEYSTONE_FAILURES_MAX)
			s->rest_until = clock_mono() + KEYSTONE_REST;
	} else {
		/* Whoever tried after a rest has learnt nothing: the next one tries. */
		s->rest_until = 0;
	}
	pthread_mutex_unlock(&s->lock);
}

/* --- one request --- */

/* Keystone says {"error":{"code":404,…}}; a proxy or a web server in its place does not. */
static bool says_code(struct slice body, long status)
{
	AUTO(jsonx_unref) json_t *doc = NULL;
	struct err ignored;
	int64_t code;
	bool have;
	if (jsonx_object(body, KEYSTONE_ANSWER_MAX, &doc, &ignored) != ERR_OK)
		return false;
	const json_t *error = json_object_get(doc, "error");
	return json_is_object(error) &&
	       jsonx_int(error, "code", &code, &have, &ignored) == ERR_OK && have && code == status;
}

static enum keystone_answer read_answer(
    const struct keystone_query *q, const struct httpc_response *res, struct err *e)
{
	long status = res->status, good = q->body.len ? 201 : 200;
	if (status == good)
		return KEYSTONE_GOOD;
	bool own = says_code(buf_view(&res->body), status);
	if (own && (status == 401 || status == 404))
		return KEYSTONE_REFUSED;
	if (own && status == 403)
		return KEYSTONE_FORBIDDEN;
	if (status >= 300 && status < 400)
		err_set(e, ERR_UNAVAILABLE, "redirects are not followed (HTTP %ld)", status);
	else
		err_set(e, ERR_UNAVAILABLE, "HTTP %ld%s", status,
		    own ? "" : ", and not in Keystone's form");
	return KEYSTONE_UNAVAILABLE;
}

/* Q's headers into LIST, in ARENA; 5 at most. */
static void headers_of(const struct keystone_query *q, struct arena *arena, const char *list[6])
{
	size_t n = 0;
	list[n++] = "Accept: application/json";
	if (q->body.len)
		list[n++] = "Content-Type: application/json";
	if (q->token.len)
		list[n++] = arena_printf(arena, "X-Auth-Token: " SLICE_FMT, SLICE_ARG(q->token));
	if (q->subject)
		list[n++] = arena_printf(arena, "X-Subject-Token: " SLICE_FMT, SLICE_ARG(q->token));
	list[n] = NULL;
}

/* *STATUS: 0 when no whole answer came. */
static enum keystone_answer exchange(struct keystone_server *s, struct httpc *http,
    struct keystone_query *q, struct arena *arena, long *status, struct err *e)
{
	const char *headers[6];
	AUTO(httpc_response_done) struct httpc_response res = {0};
	headers_of(q, arena, headers);
	struct httpc_request req = {
	    .method = q->body.len ? "POST" : "GET",
	    .url = arena_printf(arena, "%s%s", s->base, q->path),
	    .ca_pem = s->ca,
	    .headers = headers,
	    .body = q->body,
	    .timeout_ms = (q->deadline - clock_mono()) / CLOCK_MS,
	    .max_bytes = KEYSTONE_ANSWER_MAX,
	    .want_header = "X-Subject-Token",
	};
	if (httpc_do(http, &req, &res, e) != ERR_OK)
		return KEYSTONE_UNAVAILABLE;
	enum keystone_answer a = read_answer(q, &res, e);
	*status = res.status;
	q->answer = slice_dup(arena, buf_view(&res.body));
	q->issued = slice_dup(arena, buf_view(&res.header));
	return a;
}

static void count(const struct keystone_server *s, enum keystone_answer a, int64_t began)
{
	metric_observe(s->seconds, (double)(clock_mono() - began) / (double)CLOCK_SECOND);
	metric_inc(a == KEYSTONE_GOOD	       ? s->good
		   : a == KEYSTONE_UNAVAILABLE ? s->failed
					       : s->refused);
}

/* Anybody can send a token that web servers find too long (it stands twice in the request's header): they say so,
 * or hang up. That must not close Keystone to everybody else's. */
static bool blames_keystone(
    const struct keystone_query *q, long status, int64_t given, const struct err *e)
{
	if (q->token.len > TOKEN_USUAL || e->code == ERR_LIMIT)
		return false;
	if (status == 400 || status == 413 || status == 414 || status == 431)
		return false;
	/* A caller that came late and gave it no time has learnt nothing. */
	return e->code != ERR_TIMEOUT || given >= CLOCK_SECOND;
}

enum keystone_answer keystone_ask(
    struct keystone_server *s, struct keystone_query *q, struct arena *arena, struct err *e)
{
	struct httpc *http;
	if (!enter(s, &http, e))
		return KEYSTONE_UNAVAILABLE;
	int64_t began = clock_mono();
	long status = 0;
	enum keystone_answer a = exchange(s, http, q, arena, &status, e);
	bool answered = a != KEYSTONE_UNAVAILABLE;
	leave(s, http, answered, !answered && blames_keystone(q, status, q->deadline - began, e), e);
	count(s, a, began);
	return a;
}

/* --- guesses --- */

static struct slice try_key(const struct keystone_server *s, struct slice id, struct buf *b)
{
	buf_init(b, 1024);
	buf_adds(b, s->name);
	buf_addc(b, ':');
	buf_slice(b, id);
	return buf_view(b);
}

bool keystone_try_take(struct keystone_server *s, struct slice id)
{
	AUTO(buf_done) struct buf b;
	int64_t wait;
	struct slice key = try_key(s, id, &b);
	return penalty_take(s->store->penalty, PENALTY_REVIEW, key, clock_mono(), &wait);
}

void keystone_try_give(struct keystone_server *s, struct slice id)
{
	AUTO(buf_done) struct buf b;
	penalty_give(s->store->penalty, PENALTY_REVIEW, try_key(s, id, &b));
}

/* --- all of them --- */

void keystones_status(struct authn_services *services, struct buf *out)
{
	struct keystones *k = services->keystones;
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	for (struct keystone_server *s = k->list; s; s = s->next) {
		pthread_mutex_lock(&s->lock);
		buf_printf(out, "%ckeystone %s", s->failures ? '-' : '+', s->name);
		if (s->failures)
			buf_printf(out, ": last request failed: %s", s->last.msg);
		buf_addc(out, '\n');
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&k->lock);
}
