/* Owns the life of an event in the worker: claim, plan, apply, and what follows from the result. */
#include "rbac-sync/worker.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/map.h"
#include "common/metrics.h"
#include "common/secret.h"
#include "common/spool.h"
#include "rbac-sync/apply.h"
#include "rbac-sync/worker_plan.h"

#define API_PAUSE_MAX (60 * CLOCK_SECOND)
#define CLAIM_ERRORS_MAX 100 /* bad files in a row before the loop looks around */

/* An event in cur/ that was refused, and when it is tried again. */
struct waiter {
	char key[SPOOL_KEY_LEN + 1];
	int64_t due; /* clock_mono */
	unsigned failures;
};

struct worker {
	const struct worker_config *config;
	bool (*stop)(void);
	struct spool_reader *spool;
	struct kube *kube;
	struct sync_config *templates;
	struct file_watch *watch;
	char templates_seen[2 * SHA256_LEN + 1]; /* digest of the last content read, good or bad */
	struct plan_limits limits;
	struct map waiting; /* key → struct waiter */
	int64_t pause_until; /* clock_mono: the apiserver is in trouble until then */
	unsigned api_failures;
};

/* --- metrics --- */

static void count_event(const char *result)
{
	struct buf labels;
	buf_init(&labels, 64);
	metrics_label(&labels, "result", slice_of(result));
	metric_inc(metrics_counter("portcullis_sync_events_processed_total",
	    "Attempts at events of the spool, by result.", buf_cstr(&labels)));
	buf_done(&labels);
}

static void observe_delay(const struct spool_event *ev)
{
	static const double bounds[] = {1, 2, 5, 10, 30, 60, 300, 1800, 3600, 21600};
	double seconds = (double)(clock_unix() - ev->seen_at);
	metric_observe(metrics_histogram("portcullis_sync_first_login_to_binding_seconds",
	    "From the answer that told of an identity to its last new binding.", "", bounds,
	    ARRAY_LEN(bounds)), seconds > 0 ? seconds : 0);
}

/* --- templates --- */

static enum err_code load_templates(
    const struct worker_config *c, char seen[2 * SHA256_LEN + 1], struct sync_config **out,
    bool *changed, struct diags *d)
{
	struct arena a;
	struct slice text;
	struct err e;
	char digest[2 * SHA256_LEN + 1];
	arena_init(&a, 0);
	enum err_code rc = file_read(&a, c->templates, TEMPLATE_BYTES_MAX, &text, &e);
	/* An error is content of its own: reported once, until something changes. */
	struct slice content = rc == ERR_OK ? text : slice_of(e.msg);
	sha256_hex(content.p ? content.p : "", content.len, digest);
	*changed = strcmp(digest, seen) != 0;
	memcpy(seen, digest, sizeof(digest));
	if (rc != ERR_OK)
		diags_error(d, c->templates, 0, 0, "%s", e.msg);
	else if (*changed)
		rc = sync_config_parse(c->templates, text, out, d);
	arena_done(&a);
	return rc;
}

static void count_reload(bool ok)
{
	metric_inc(metrics_counter("portcullis_sync_config_reload_total",
	    "Changes of the template file, by whether they were taken.",
	    ok ? "result=\"ok\"" : "result=\"rejected\""));
}

static void retry_now(struct worker *w)
{
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&w->waiting, &it, &key, &v))
		((struct waiter *)v)->due = 0;
}

void worker_reload(struct worker *w, bool force)
{
	struct sync_config *fresh = NULL;
	struct diags d = {0};
	bool changed;
	file_watch_drain(w->watch);
	enum err_code rc = load_templates(w->config, w->templates_seen, &fresh, &changed, &d);
	if (rc == ERR_OK && fresh) {
		sync_config_free(&w->templates);
		w->templates = fresh;
		log_info("templates loaded", LOG_STR("file", w->config->templates),
		    LOG_INT("templates", fresh->templates.len));
	} else if (rc != ERR_OK && (changed || force)) {
		struct err e;
		diags_to_err(&d, &e);
		log_error("templates rejected, the last good ones stay", LOG_STR("reason", e.msg));
	}
	if (changed)
		count_reload(rc == ERR_OK);
	if (force || (rc == ERR_OK && fresh))
		retry_now(w);
	diags_done(&d);
	if (!force)
		return;
	struct err e;
	w->pause_until = 0;
	if (kube_reload(w->kube, &e) != ERR_OK)
		log_error("kubeconfig rejected, the last good one stays", LOG_STR("reason", e.msg));
}

/* --- waiting --- */

/* Doubles from INITIAL to MAX, spread by a fifth so that failures do not march in step. */
static int64_t backoff(int64_t initial, int64_t max, unsigned failures)
{
	int64_t pause = initial;
	for (unsigned i = 1; i < failures && pause < max; i++)
		pause *= 2;
	if (pause > max)
		pause = max;
	uint32_t r;
	secret_random(&r, sizeof(r));
	return pause - pause / 5 + (int64_t)(r % 1024) * (pause / 5) / 512;
}

static void forget(struct worker *w, const char *key)
{
	free(map_del(&w->waiting, slice_of(key)));
}

static struct waiter *wait_for(struct worker *w, const char *key)
{
	struct waiter *p = map_get(&w->waiting, slice_of(key));
	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	memcpy(p->key, key, sizeof(p->key));
	map_put(&w->waiting, slice_of(p->key), p);
	return p;
}

static void pause_api(struct worker *w, const struct apply_report *r)
{
	int64_t initial = w->config->retry_initial;
	if (initial > CLOCK_SECOND)
		initial = CLOCK_SECOND;
	int64_t pause = backoff(initial, API_PAUSE_MAX, ++w->api_failures);
	if (r->wait >= 0 && r->wait * CLOCK_SECOND > pause)
		pause = r->wait * CLOCK_SECOND;
	w->pause_until = clock_mono() + pause;
	log_warn("the apiserver is in trouble, pausing", LOG_STR("reason", r->why.msg),
	    LOG_INT("pauseMs", pause / CLOCK_MS));
}

/* --- one event --- */

static void end_done(struct worker *w, const char *key, const struct spool_event *ev,
    const struct apply_report *r)
{
	struct err e;
	forget(w, key);
	count_event("done");
	if (r->written)
		observe_delay(ev);
	if (spool_done(w->spool, key, &e) != ERR_OK)
		log_error("event done but not deleted; it will be done again", LOG_STR("reason", e.msg));
}

static void end_refused(struct worker *w, const char *key, const struct apply_report *r)
{
	struct waiter *p = wait_for(w, key);
	struct err e;
	p->failures++;
	if (p->failures < w->config->max_attempts) {
		p->due = clock_mono() +
		    backoff(w->config->retry_initial, w->config->retry_max, p->failures);
		count_event("refused");
		return;
	}
	forget(w, key);
	count_event("dead");
	if (spool_dead(w->spool, key, r->why.msg, &e) != ERR_OK)
		log_error("event not buried", LOG_STR("key", key), LOG_STR("reason", e.msg));
	else
		log_error("event given up, now in dead/", LOG_STR("key", key),
		    LOG_STR("reason", r->why.msg));
}

static enum apply_result handle(
    struct worker *w, struct arena *a, const char *key, const struct spool_event *ev)
{
	struct plan plan;
	struct apply_report r;
	plan_make(a, w->templates, &w->limits, ev, &plan);
	apply_plan(w->kube, &plan, &r);
	if (r.result != APPLY_LATER) {
		worker_report(&plan, ev);
		w->api_failures = 0;
	}
	switch (r.result) {
	case APPLY_DONE:
		end_done(w, key, ev, &r);
		break;
	case APPLY_REFUSED:
		end_refused(w, key, &r);
		break;
	case APPLY_LATER:
		pause_api(w, &r);
		wait_for(w, key)->due = w->pause_until;
		count_event("later");
		break;
	}
	return r.result;
}

static bool must_stop(const struct worker *w)
{
	return (w->stop && w->stop()) || clock_mono() < w->pause_until;
}

/* Claims and handles one new event. ERR_NOT_FOUND when there is none; *RESULT only on ERR_OK. */
static enum err_code take_one(struct worker *w, enum apply_result *result)
{
	struct arena a;
	struct spool_event ev;
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	arena_init(&a, 0);
	enum err_code rc = spool_claim(w->spool, &a, &ev, key, &e);
	if (rc == ERR_OK) {
		forget(w, key); /* news: what was refused before may have changed */
		*result = handle(w, &a, key, &ev);
	} else if (rc != ERR_NOT_FOUND) {
		count_event("invalid");
		log_error("no valid event", LOG_STR("reason", e.msg));
	}
	arena_done(&a);
	return rc;
}

static void retry_one(struct worker *w, const char *key)
{
	struct arena a;
	struct spool_event ev;
	struct err e;
	arena_init(&a, 0);
	enum err_code rc = spool_reread(w->spool, key, &a, &ev, &e);
	if (rc == ERR_OK) {
		handle(w, &a, key, &ev);
	} else {
		forget(w, key);
		count_event("invalid");
		log_error("a waiting event cannot be read", LOG_STR("reason", e.msg));
	}
	arena_done(&a);
}

/* A waiter that is due; its key into KEY, because handling it frees it. */
static bool next_due(const struct worker *w, char key[SPOOL_KEY_LEN + 1])
{
	int64_t now = clock_mono();
	size_t it = 0;
	struct slice k;
	void *v;
	while (map_next(&w->waiting, &it, &k, &v)) {
		const struct waiter *p = v;
		if (p->due <= now) {
			memcpy(key, p->key, sizeof(p->key));
			return true;
		}
	}
	return false;
}

void worker_run(struct worker *w)
{
	enum apply_result result;
	int errors = 0;
	spool_wait_drain(w->spool);
	while (!must_stop(w) && w->waiting.len < WORKER_WAITING_MAX && errors < CLAIM_ERRORS_MAX) {
		enum err_code rc = take_one(w, &result);
		if (rc == ERR_NOT_FOUND)
			break;
		errors += rc != ERR_OK;
	}
	char key[SPOOL_KEY_LEN + 1];
	while (!must_stop(w) && next_due(w, key))
		retry_one(w, key);
}

/* Back to new/: for whoever looks into the spool, and for the next run. */
static void give_back(struct worker *w)
{
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&w->waiting, &it, &key, &v)) {
		struct err e;
		if (spool_retry(w->spool, ((struct waiter *)v)->key, &e) != ERR_OK)
			log_error("event not given back", LOG_STR("reason", e.msg));
		free(v);
	}
	map_done(&w->waiting);
	w->waiting = (struct map){0};
}

bool worker_drain(struct worker *w)
{
	enum err_code rc = ERR_OK;
	enum apply_result result = APPLY_DONE;
	bool all = true;
	int errors = 0;
	while (rc != ERR_NOT_FOUND && !must_stop(w) && errors < CLAIM_ERRORS_MAX) {
		rc = take_one(w, &result);
		errors += rc != ERR_OK && rc != ERR_INVALID;
		all &= rc == ERR_NOT_FOUND || (rc == ERR_OK && result == APPLY_DONE);
	}
	give_back(w);
	return all && rc == ERR_NOT_FOUND;
}

int64_t worker_pause(const struct worker *w)
{
	int64_t now = clock_mono(), until = now + w->config->scan_interval;
	if (w->pause_until > now)
		return (w->pause_until < until ? w->pause_until : until) - now;
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&w->waiting, &it, &key, &v)) {
		int64_t due = ((const struct waiter *)v)->due;
		until = due < until ? due : until;
	}
	return until > now ? until - now : 0;
}

enum err_code worker_revive(struct worker *w, struct err *e)
{
	size_t n;
	TRY(spool_revive(w->spool, &n, e));
	log_info("dead events are tried again", LOG_INT("events", n));
	return ERR_OK;
}

int worker_spool_fd(const struct worker *w)
{
	return spool_fd(w->spool);
}

int worker_templates_fd(const struct worker *w)
{
	return file_watch_fd(w->watch);
}

void worker_write_metrics(struct worker *w)
{
	size_t files;
	int64_t oldest;
	spool_depth(w->spool, &files, &oldest);
	metric_set(metrics_gauge("portcullis_sync_spool_depth", "Events that wait or are worked on.", ""),
	    (double)files);
	metric_set(metrics_gauge("portcullis_sync_spool_oldest_seconds",
	    "Age of the oldest event of the spool.", ""), (double)oldest);
	if (!w->config->metrics_file)
		return;
	struct buf text;
	struct err e;
	buf_init(&text, (size_t)4 << 20);
	metrics_write(&text);
	if (file_write_atomic(w->config->metrics_file, text.p, text.len, 0644, &e) != ERR_OK)
		log_warn("metrics file not written", LOG_STR("reason", e.msg));
	buf_done(&text);
}

/* --- life --- */

static enum err_code open_all(struct worker *w, struct diags *d, struct err *e)
{
	const struct worker_config *c = w->config;
	bool changed;
	if (load_templates(c, w->templates_seen, &w->templates, &changed, d) != ERR_OK)
		return diags_to_err(d, e);
	TRY(kube_new(c->kubeconfig, c->context, c->request_timeout / CLOCK_MS, &w->kube, e));
	TRY(spool_reader_new(c->spool_dir, &w->spool, e));
	TRY(file_watch_new(&w->watch, e));
	file_watch_set(w->watch, &c->templates, 1);
	w->limits = worker_limits(c, kube_namespace(w->kube));
	return ERR_OK;
}

enum err_code worker_new(const struct worker_config *config, bool (*stop)(void), struct worker **out,
    struct diags *d, struct err *e)
{
	struct worker *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->config = config;
	w->stop = stop;
	enum err_code rc = open_all(w, d, e);
	if (rc != ERR_OK)
		worker_free(&w);
	*out = w;
	return rc;
}

void worker_free(struct worker **wp)
{
	struct worker *w = TAKE(*wp);
	if (!w)
		return;
	if (w->spool)
		give_back(w);
	spool_reader_free(&w->spool);
	kube_free(&w->kube);
	sync_config_free(&w->templates);
	file_watch_free(&w->watch);
	free(w);
}
