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

/* --- small things --- */

void issuer_wait_until(struct issuer *i, int64_t t)
{
	int64_t now = clock_mono(), hour = now + 3600 * CLOCK_SECOND;
	if (t <= now)
		return;
	struct timespec ts = clock_until(t < hour ? t : hour);
	pthread_cond_timedwait(&i->cond, &i->lock, &ts);
}

/* S seconds less up to a tenth, so that replicas do not march in step. */
static int64_t jittered(int64_t s)
{
	uint16_t r;
	secret_random(&r, sizeof(r));
	return s * CLOCK_SECOND - s * CLOCK_SECOND / 10 * r / UINT16_MAX;
}

void issuers_count_change(struct issuers *s)
{
	atomic_fetch_add_explicit(&s->generation, 1, memory_order_release);
}

uint64_t issuers_generation(const struct issuers *s)
{
	return atomic_load_explicit(&s->generation, memory_order_acquire);
}

/* --- the thread --- */

/* When to fetch next: as the issuer says, within bounds. */
static int64_t refresh_after(int64_t max_age)
{
	int64_t s = max_age < 0 ? ISSUER_REFRESH_MAX_S : max_age;
	s = s < ISSUER_REFRESH_MIN_S ? ISSUER_REFRESH_MIN_S : s;
	return jittered(s > ISSUER_REFRESH_MAX_S ? ISSUER_REFRESH_MAX_S : s);
}

static void fetched(struct issuer *i, struct oidc_keys *got, int64_t started)
{
	const struct issuer_series *m = i->series;
	bool other = !keyset_same(i->keys, got->set);
	keyset_unref(&i->keys);
	i->keys = TAKE(got->set);
	i->ok_started = started;
	i->dropped = false;
	i->stage = KEYS_FINE;
	if (other) {
		i->is_saved = false;
		issuers_count_change(i->store);
	}
	i->failed = false;
	i->retry_s = 0;
	i->next_fetch = clock_mono() + refresh_after(got->max_age);
	metric_inc(m->fetch_ok);
	metric_set(m->last_success, (double)clock_unix());
	if (got->has_skew)
		metric_set(m->skew, (double)got->skew);
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
	metric_inc(i->series->fetch_error);
}

/* Called without the lock: the callback may log. */
static void event(const struct issuer *i, const struct err *e)
{
	if (i->store->opt.event && !cancel_asked(&i->stop))
		i->store->opt.event(i->store->opt.event_arg, i->src.issuer, e);
}

static void tell(struct issuer *i, bool was_failed, const struct err *before, const struct err *e)
{
	if (e && (!was_failed || strcmp(before->msg, e->msg) != 0))
		event(i, e);
	else if (!e && was_failed)
		event(i, NULL);
}

/* One fetch; the lock is held on entry and on return but not meanwhile. */
static void fetch_once(struct issuer *i, struct httpc *http)
{
	AUTO(oidc_keys_done) struct oidc_keys got = {0};
	struct err e = {0}, before = i->last, unsaved = {0};
	bool was_failed = i->failed;
	if (!i->wanted)
		i->started = clock_mono();
	int64_t started = i->started;
	i->wanted = false;
	i->fetching = true;
	pthread_mutex_unlock(&i->lock);
	bool ok = oidc_fetch(http, &i->src, ISSUER_FETCH_TIMEOUT_MS, &i->stop, &got, &e) == ERR_OK;
	pthread_mutex_lock(&i->lock);
	if (ok)
		fetched(i, &got, started);
	else
		fetch_failed(i, &e);
	i->fetching = false;
	i->tried = true;
	pthread_cond_broadcast(&i->cond);
	pthread_mutex_unlock(&i->lock);
	tell(i, was_failed, &before, ok ? NULL : &e);
	if (ok && !issuer_save(i, buf_view(&got.text), started, &unsaved))
		event(i, &unsaved);
	pthread_mutex_lock(&i->lock);
}

/* Waits until there is something to do, and sees to what time does to the set. */
static void rest(struct issuer *i)
{
	struct err e = {0};
	int64_t stage = issuer_next_stage(i);
	if (!issuer_stage_moved(i, clock_mono(), &e)) {
		issuer_wait_until(i, stage < i->next_fetch ? stage : i->next_fetch);
		return;
	}
	pthread_mutex_unlock(&i->lock);
	event(i, &e);
	pthread_mutex_lock(&i->lock);
}

static void *refresher(void *arg)
{
	struct issuer *i = arg;
	AUTO(httpc_free) struct httpc *http = httpc_new();
	pthread_mutex_lock(&i->lock);
	while (!cancel_asked(&i->stop)) {
		if (i->wanted || clock_mono() >= i->next_fetch)
			fetch_once(i, http);
		else
			rest(i);
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

enum err_code issuer_run(struct issuer *i, struct err *e)
{
	pthread_mutex_lock(&i->store->lock);
	enum err_code code = i->running ? ERR_OK : start_thread(i, e);
	pthread_mutex_unlock(&i->store->lock);
	return code;
}

/* --- the store --- */

struct issuers *issuers_new(const struct issuers_options *opt)
{
	struct issuers *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->series_lock, NULL);
	arena_init(&s->arena, 0);
	s->opt = *opt;
	s->opt.state_dir = arena_strdup(&s->arena, opt->state_dir);
	s->max_age = KEYS_MAX_AGE_S * CLOCK_SECOND;
	return s;
}

static void issuer_destroy(struct issuer *i)
{
	if (i->running) {
		pthread_mutex_lock(&i->lock);
		cancel_ask(&i->stop);
		pthread_cond_broadcast(&i->cond);
		pthread_mutex_unlock(&i->lock);
		pthread_join(i->thread, NULL);
	}
	issuer_series_release(i->store, &i->series);
	keyset_unref(&i->keys);
	free(i->src.jwks_uri);
	cancel_done(&i->stop);
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
	pthread_mutex_destroy(&s->series_lock);
	pthread_mutex_destroy(&s->lock);
	arena_done(&s->arena);
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
	cancel_init(&i->stop);
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
		if (text_eq(i->src.issuer, like->src.issuer) &&
		    text_eq(i->src.discovery_url, like->src.discovery_url) &&
		    slice_eq(i->src.ca_pem, like->src.ca_pem))
			return i;
	return NULL;
}

/* What only an issuer that is really new does. */
static void begin(struct issuer *i)
{
	const struct issuers *s = i->store;
	const struct keyfile_source src = {
	    slice_of(i->src.issuer), slice_of(i->src.discovery_url), i->src.ca_pem};
	i->series = issuer_series_hold(i->store, i->src.issuer, true);
	i->max_age = s->max_age;
	if (s->opt.state_dir)
		i->file = keyfile_path(&i->arena, s->opt.state_dir, &src);
	issuer_restore(i);
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
	begin(*i);
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
	pthread_mutex_lock(&s->lock);
	bool last = --i->refs == 0;
	if (last) {
		struct issuer **at = &s->list;
		while (*at != i)
			at = &(*at)->next;
		*at = i->next;
		issuers_count_change(s);
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
	buf_printf(out, "%s: ", i->src.issuer);
	issuer_describe_keys(i, clock_mono(), out);
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

void issuers_measure(struct issuers *s)
{
	pthread_mutex_lock(&s->lock);
	for (struct issuer *i = s->list; i; i = i->next) {
		pthread_mutex_lock(&i->lock);
		int64_t now = clock_mono();
		const struct keyset *keys = issuer_current(i, now);
		metric_set(i->series->keys, keys ? (double)keyset_len(keys) : 0);
		metric_set(i->series->age, keys ? (double)(now - i->ok_started) / CLOCK_SECOND : 0);
		pthread_mutex_unlock(&i->lock);
	}
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
