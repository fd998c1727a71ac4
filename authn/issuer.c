/* Owns the living issuers: their refresher threads, who shares one, what is told of them. */
#include "authn/issuer_state.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "authn/oidc.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "common/secret.h"

/* Once a set is there, failures are retried at leisure. */
#define RETRY_WITH_KEYS_MIN_S ISSUER_WINDOW_S
#define RETRY_WITH_KEYS_MAX_S 60

static const char fetch_name[] = "portcullis_jwks_fetch_total";
static const char fetch_help[] = "Fetches of an issuer's key set by result.";
static const char success_name[] = "portcullis_jwks_last_success_timestamp_seconds";
static const char success_help[] = "When an issuer's key set was last fetched.";
static const char keys_name[] = "portcullis_jwks_keys";
static const char keys_help[] = "Usable keys of an issuer.";

/* --- small things --- */

void issuer_wait_until(struct issuer *i, int64_t t)
{
	int64_t left = t - clock_mono();
	struct timespec ts;
	if (left <= 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	left = left > 3600 * CLOCK_SECOND ? 3600 * CLOCK_SECOND : left;
	left += ts.tv_nsec;
	ts.tv_sec += left / CLOCK_SECOND;
	ts.tv_nsec = left % CLOCK_SECOND;
	pthread_cond_timedwait(&i->cond, &i->lock, &ts);
}

/* S seconds less up to a tenth, so that replicas do not march in step. */
static int64_t jittered(int64_t s)
{
	uint16_t r;
	secret_random(&r, sizeof(r));
	return s * CLOCK_SECOND - s * CLOCK_SECOND / 10 * r / UINT16_MAX;
}

static void label(struct buf *b, const char *issuer, const char *result)
{
	buf_init(b, 8192);
	metrics_label(b, "issuer", slice_of(issuer));
	if (result)
		metrics_label(b, "result", slice_of(result));
}

static struct metric *find_metric(const struct issuer *i, const char *name, const char *help,
    const char *result, bool gauge)
{
	struct buf b;
	label(&b, i->src.issuer, result);
	struct metric *m = gauge ? metrics_gauge(name, help, buf_cstr(&b))
				 : metrics_counter(name, help, buf_cstr(&b));
	buf_done(&b);
	return m;
}

static void find_metrics(struct issuer *i)
{
	i->fetch_ok = find_metric(i, fetch_name, fetch_help, "ok", false);
	i->fetch_error = find_metric(i, fetch_name, fetch_help, "error", false);
	i->last_success = find_metric(i, success_name, success_help, NULL, true);
	i->key_count = find_metric(i, keys_name, keys_help, NULL, true);
}

static void forget_metric(const struct issuer *i, const char *name, const char *result)
{
	struct buf b;
	label(&b, i->src.issuer, result);
	metrics_forget(name, buf_cstr(&b));
	buf_done(&b);
}

static void forget_metrics(const struct issuer *i)
{
	forget_metric(i, fetch_name, "ok");
	forget_metric(i, fetch_name, "error");
	forget_metric(i, success_name, NULL);
	forget_metric(i, keys_name, NULL);
}

/* After the change is in force. */
static void count_change(struct issuers *s)
{
	atomic_fetch_add_explicit(&s->generation, 1, memory_order_release);
}

uint64_t issuers_generation(const struct issuers *s)
{
	return atomic_load_explicit(&s->generation, memory_order_acquire);
}

/* --- the thread --- */

static void fetched(struct issuer *i, struct keyset *set, int64_t started, int64_t issued,
    int64_t max_age)
{
	int64_t s = max_age < 0 ? ISSUER_REFRESH_MAX_S : max_age;
	s = s < ISSUER_REFRESH_MIN_S ? ISSUER_REFRESH_MIN_S : s;
	s = s > ISSUER_REFRESH_MAX_S ? ISSUER_REFRESH_MAX_S : s;
	bool other = !keyset_same(i->keys, set);
	keyset_unref(&i->keys);
	i->keys = set;
	if (other)
		count_change(i->store);
	i->failed = false;
	i->retry_s = 0;
	i->ok_started = started;
	i->ok_issued = issued;
	i->next_fetch = clock_mono() + jittered(s);
	metric_inc(i->fetch_ok);
	metric_set(i->last_success, (double)clock_unix());
	metric_set(i->key_count, (double)keyset_len(set));
}

static void fetch_failed(struct issuer *i, const struct err *e)
{
	int64_t least = i->keys ? RETRY_WITH_KEYS_MIN_S : ISSUER_RETRY_MIN_S;
	int64_t most = i->keys ? RETRY_WITH_KEYS_MAX_S : ISSUER_RETRY_MAX_S;
	i->retry_s = i->retry_s < least ? least : 2 * i->retry_s;
	i->retry_s = i->retry_s > most ? most : i->retry_s;
	i->failed = true;
	i->failed_at = clock_mono();
	i->next_fetch = i->failed_at + jittered(i->retry_s);
	i->last = *e;
	metric_inc(i->fetch_error);
}

/* Called without the lock: the callback may log. */
static void tell(struct issuer *i, bool was_failed, const struct err *before, const struct err *e)
{
	issuer_event_fn *event = i->store->event;
	if (!event || atomic_load(&i->stop))
		return;
	if (e && (!was_failed || strcmp(before->msg, e->msg) != 0))
		event(i->store->event_arg, i->src.issuer, e);
	else if (!e && was_failed)
		event(i->store->event_arg, i->src.issuer, NULL);
}

/* One fetch; the lock is held on entry and on return but not meanwhile. */
static void fetch_once(struct issuer *i, struct httpc *http)
{
	struct keyset *set = NULL;
	struct err e = {0}, before = i->last;
	bool was_failed = i->failed;
	int64_t max_age = -1, issued = clock_unix(), started;
	if (!i->wanted)
		i->started = clock_mono();
	started = i->started;
	i->wanted = false;
	i->fetching = true;
	pthread_mutex_unlock(&i->lock);
	bool ok = oidc_fetch(http, &i->src, ISSUER_FETCH_TIMEOUT_MS, &i->stop, &set, &max_age, &e) ==
		  ERR_OK;
	pthread_mutex_lock(&i->lock);
	if (ok)
		fetched(i, set, started, issued, max_age);
	else
		fetch_failed(i, &e);
	i->fetching = false;
	i->tried = true;
	pthread_cond_broadcast(&i->cond);
	pthread_mutex_unlock(&i->lock);
	tell(i, was_failed, &before, ok ? NULL : &e);
	pthread_mutex_lock(&i->lock);
}

static void *refresher(void *arg)
{
	struct issuer *i = arg;
	AUTO(httpc_free) struct httpc *http = httpc_new();
	pthread_mutex_lock(&i->lock);
	while (!atomic_load(&i->stop)) {
		if (i->wanted || clock_mono() >= i->next_fetch)
			fetch_once(i, http);
		else
			issuer_wait_until(i, i->next_fetch);
	}
	pthread_mutex_unlock(&i->lock);
	return NULL;
}

static enum err_code start_thread(struct issuer *i, struct err *e)
{
	/* Signals belong to the main thread. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&i->thread, NULL, refresher, i);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_set(e, ERR_INTERNAL, "cannot start a thread: %s", strerror(rc));
	pthread_setname_np(i->thread, "issuer");
	i->running = true;
	return ERR_OK;
}

/* --- the store --- */

struct issuers *issuers_new(unsigned waiters, issuer_event_fn *event, void *arg)
{
	struct issuers *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	pthread_mutex_init(&s->lock, NULL);
	s->waiters_max = waiters;
	s->event = event;
	s->event_arg = arg;
	return s;
}

static void issuer_destroy(struct issuer *i)
{
	if (i->running) {
		pthread_mutex_lock(&i->lock);
		atomic_store(&i->stop, true);
		pthread_cond_broadcast(&i->cond);
		pthread_mutex_unlock(&i->lock);
		pthread_join(i->thread, NULL);
	}
	keyset_unref(&i->keys);
	free(i->src.jwks_uri);
	pthread_cond_destroy(&i->cond);
	pthread_mutex_destroy(&i->lock);
	arena_done(&i->arena);
	free(i);
}

void issuers_free(struct issuers **store)
{
	if (!store || !*store)
		return;
	struct issuers *s = TAKE(*store);
	while (s->list) {
		struct issuer *i = s->list;
		s->list = i->next;
		issuer_destroy(i);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

enum err_code issuers_start(struct issuers *s, struct err *e)
{
	enum err_code code = ERR_OK;
	pthread_mutex_lock(&s->lock);
	s->started = true;
	for (struct issuer *i = s->list; i && code == ERR_OK; i = i->next)
		if (!i->running)
			code = start_thread(i, e);
	pthread_mutex_unlock(&s->lock);
	return code;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static const char *document_url(struct arena *a, const struct jwt_issuer_config *cfg)
{
	static const char well_known[] = "/.well-known/openid-configuration";
	size_t n = strlen(cfg->url);
	if (cfg->discovery_url)
		return arena_strdup(a, cfg->discovery_url);
	/* An issuer may end in a slash (Auth0); the document's path has one all the same. */
	if (n && cfg->url[n - 1] == '/')
		n--;
	return arena_printf(a, "%.*s%s", (int)n, cfg->url, well_known);
}

static struct issuer *issuer_new(struct issuers *s, const struct jwt_issuer_config *cfg)
{
	pthread_condattr_t attr;
	struct issuer *i = calloc(1, sizeof(*i));
	if (!i)
		abort();
	arena_init(&i->arena, 0);
	i->store = s;
	i->refs = 1;
	i->src.issuer = arena_strdup(&i->arena, cfg->url);
	i->src.discovery_url = document_url(&i->arena, cfg);
	i->src.ca_pem = slice_of(arena_strdup(&i->arena, cfg->certificate_authority));
	pthread_mutex_init(&i->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&i->cond, &attr);
	pthread_condattr_destroy(&attr);
	return i;
}

static struct issuer *find(const struct issuers *s, const struct issuer *like)
{
	for (struct issuer *i = s->list; i; i = i->next)
		if (same(i->src.issuer, like->src.issuer) &&
		    same(i->src.discovery_url, like->src.discovery_url) &&
		    slice_eq(i->src.ca_pem, like->src.ca_pem))
			return i;
	return NULL;
}

static enum err_code add_or_share(struct issuers *s, struct issuer **i, struct err *e)
{
	struct issuer *old = find(s, *i);
	if (old) {
		old->refs++;
		issuer_destroy(*i);
		*i = old;
		return ERR_OK;
	}
	find_metrics(*i);
	if (s->started)
		TRY(start_thread(*i, e));
	(*i)->next = s->list;
	s->list = *i;
	return ERR_OK;
}

enum err_code issuer_acquire(struct issuers *s, const struct jwt_issuer_config *cfg,
    struct issuer **out, struct err *e)
{
	struct issuer *i = issuer_new(s, cfg);
	pthread_mutex_lock(&s->lock);
	enum err_code code = add_or_share(s, &i, e);
	pthread_mutex_unlock(&s->lock);
	if (code != ERR_OK)
		issuer_destroy(i);
	else
		*out = i;
	return code;
}

void issuer_release(struct issuer **issuer)
{
	if (!issuer || !*issuer)
		return;
	struct issuer *i = TAKE(*issuer);
	struct issuers *s = i->store;
	bool name_lives = false;
	pthread_mutex_lock(&s->lock);
	bool last = --i->refs == 0;
	if (last) {
		struct issuer **at = &s->list;
		while (*at != i)
			at = &(*at)->next;
		*at = i->next;
		count_change(s);
		for (const struct issuer *k = s->list; k; k = k->next)
			name_lives |= same(k->src.issuer, i->src.issuer);
		if (!name_lives)
			forget_metrics(i);
	}
	pthread_mutex_unlock(&s->lock);
	if (last)
		issuer_destroy(i);
}

/* --- all of them --- */

/* Waits for the end of I's first fetch; true when it has keys. */
static bool settle_one(struct issuer *i, int64_t deadline)
{
	pthread_mutex_lock(&i->lock);
	while (!i->tried && clock_mono() < deadline)
		issuer_wait_until(i, deadline);
	bool ok = i->keys != NULL;
	pthread_mutex_unlock(&i->lock);
	return ok;
}

/* The first issuer after I (from the start when NULL), held for the caller. */
static struct issuer *hold_next(struct issuers *s, const struct issuer *i)
{
	pthread_mutex_lock(&s->lock);
	struct issuer *n = i ? i->next : s->list;
	if (n)
		n->refs++;
	pthread_mutex_unlock(&s->lock);
	return n;
}

bool issuers_settle(struct issuers *s, int64_t deadline)
{
	bool ok = true;
	struct issuer *i = hold_next(s, NULL);
	while (i) {
		ok &= settle_one(i, deadline);
		struct issuer *next = hold_next(s, i);
		issuer_release(&i);
		i = next;
	}
	return ok;
}

static void status_one(struct issuer *i, struct buf *out)
{
	pthread_mutex_lock(&i->lock);
	buf_addc(out, i->keys && !i->failed ? '+' : '-');
	buf_adds(out, i->src.issuer);
	if (i->keys)
		buf_printf(out, ": %zu keys", keyset_len(i->keys));
	else
		buf_adds(out, ": no keys yet");
	if (i->failed)
		buf_printf(out, "; last fetch failed: %s", i->last.msg);
	buf_addc(out, '\n');
	pthread_mutex_unlock(&i->lock);
}

void issuers_status(struct issuers *s, struct buf *out)
{
	pthread_mutex_lock(&s->lock);
	for (struct issuer *i = s->list; i; i = i->next)
		status_one(i, out);
	pthread_mutex_unlock(&s->lock);
}

void issuers_poke(struct issuers *s)
{
	pthread_mutex_lock(&s->lock);
	for (struct issuer *i = s->list; i; i = i->next) {
		pthread_mutex_lock(&i->lock);
		pthread_cond_broadcast(&i->cond);
		pthread_mutex_unlock(&i->lock);
	}
	pthread_mutex_unlock(&s->lock);
}
