/* Owns the thread of the leader election: reads and writes the Lease in time, tells who leads. */
#include "rbac-sync/lease.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/secret.h"
#include "common/trouble.h"
#include "rbac-sync/lease_core.h"

/* Conflicts in a row that are answered at once: somebody annotates. */
#define TRIES_MAX 3

#define RELEASE_TIME CLOCK_SECOND /* of the last write; where it fails, the Lease runs out by itself */

struct lease {
	struct lease_config config;
	struct kube *kube;
	void (*changed)(void *ctx, bool leading);
	void *ctx;
	struct arena arena;
	const char *collection, *path;
	bool threaded;
	pthread_t thread;
	pthread_mutex_t lock; /* core, notes, stop */
	pthread_cond_t wake;
	struct lease_core core;
	json_t *notes; /* to be written at the next renewal */
	bool stop;
	struct cancel ending; /* what is under way is broken off */
	_Atomic int64_t led_from; /* core.led_from, for everybody */
	struct trouble trouble;
	/* the thread's own */
	bool current;	 /* what the core saw last was the answer to our own write */
	bool told;	 /* what CHANGED was told last */
	bool troubled;	 /* a failure stands in the log */
	int64_t wait;	 /* seconds that the server asked for; 0: none */
	uint64_t counted; /* transitions in the metric */
	struct metric *leader, *transitions;
};

/* --- telling --- */

static void publish(struct lease *l)
{
	atomic_store(&l->led_from, l->core.led_from);
}

bool lease_leading(const struct lease *l)
{
	int64_t from = atomic_load(&l->led_from);
	return !l->config.enabled || (from && clock_boot() - from < l->config.renew_deadline);
}

static void tell(struct lease *l)
{
	bool leading = lease_leading(l);
	if (leading == l->told)
		return;
	l->told = leading;
	metric_set(l->leader, leading);
	log_info(leading ? "leading" : "no longer leading", LOG_STR("identity", l->core.me));
	if (l->changed)
		l->changed(l->ctx, leading);
}

static void failed(struct lease *l, const struct kube_answer *a)
{
	trouble_set(&l->trouble, &a->why);
	l->wait = a->wait > 0 ? a->wait : 0;
	if (!l->troubled)
		log_warn("the Lease cannot be read or written", LOG_STR("lease", l->path), LOG_STR("why", a->why.msg));
	l->troubled = true;
}

static void worked(struct lease *l)
{
	trouble_end(&l->trouble);
	if (l->troubled)
		log_info("the Lease can be read and written again", LOG_STR("lease", l->path));
	l->troubled = false;
	metric_add(l->transitions, l->core.transitions - l->counted);
	l->counted = l->core.transitions;
}

/* --- exchanges --- */

/* Takes in what was answered; STARTED 0: it was a GET. */
static bool take_in(struct lease *l, struct kube_answer *a, bool absent, int64_t started)
{
	pthread_mutex_lock(&l->lock);
	int64_t now = clock_boot();
	enum err_code rc = started ? lease_core_wrote(&l->core, a->body, started, now, &a->why)
				   : lease_core_saw(&l->core, absent ? NULL : a->body, now, &a->why);
	publish(l);
	pthread_mutex_unlock(&l->lock);
	if (rc == ERR_OK)
		worked(l);
	else
		failed(l, a);
	return rc == ERR_OK;
}

static bool look(struct lease *l, const json_t *like)
{
	struct kube_answer a;
	kube_get(l->kube, l->path, like, &a);
	bool known = a.verdict == KUBE_OK || a.verdict == KUBE_ABSENT;
	if (!known)
		failed(l, &a);
	else
		known = take_in(l, &a, a.verdict == KUBE_ABSENT, 0);
	kube_answer_done(&a);
	return known;
}

/* What was written stands there; what was noted meanwhile waits for the next time. */
static void notes_written(struct lease *l, const json_t *sent)
{
	const char *key;
	json_t *value;
	pthread_mutex_lock(&l->lock);
	json_object_foreach((json_t *)(uintptr_t)sent, key, value)
		if (json_equal(json_object_get(l->notes, key), value))
			json_object_del(l->notes, key);
	pthread_mutex_unlock(&l->lock);
}

static enum kube_verdict put(struct lease *l, enum lease_step step, const json_t *body, int64_t started)
{
	struct kube_answer a;
	if (step == LEASE_STEP_CREATE)
		kube_create(l->kube, l->collection, body, &a);
	else
		kube_put(l->kube, l->path, body, &a);
	enum kube_verdict v = a.verdict;
	/* Gone since it was read (404) is a matter of reading again, too. */
	if (v == KUBE_ABSENT || (v == KUBE_REFUSED && a.status == 404 && step == LEASE_STEP_RENEW))
		v = KUBE_CONFLICT;
	if (v == KUBE_OK)
		v = take_in(l, &a, false, started) ? KUBE_OK : KUBE_LATER;
	else if (v != KUBE_CONFLICT)
		failed(l, &a);
	kube_answer_done(&a);
	return v;
}

static enum kube_verdict lead(struct lease *l, enum lease_step step)
{
	pthread_mutex_lock(&l->lock);
	json_t *sent = step == LEASE_STEP_RENEW ? json_deep_copy(l->notes) : NULL;
	json_t *body = lease_core_body(&l->core, step, sent, clock_now());
	pthread_mutex_unlock(&l->lock);
	/* The clock starts before the request leaves: whoever sees it sees it later. */
	enum kube_verdict v = put(l, step, body, clock_boot());
	if (v == KUBE_OK)
		notes_written(l, sent);
	l->current = v == KUBE_OK;
	json_decref(sent);
	json_decref(body);
	return v;
}

static enum kube_verdict stand_by(struct lease *l)
{
	pthread_mutex_lock(&l->lock);
	json_object_clear(l->notes);
	json_t *body = lease_core_dissent(&l->core, clock_boot(), clock_now());
	pthread_mutex_unlock(&l->lock);
	if (!body)
		return KUBE_OK;
	enum kube_verdict v = put(l, LEASE_STEP_WAIT, body, 0);
	if (v == KUBE_OK) {
		pthread_mutex_lock(&l->lock);
		l->core.dissented = clock_boot();
		pthread_mutex_unlock(&l->lock);
	}
	json_decref(body);
	return v;
}

/* One renewal, or one look at somebody else's Lease. */
static void attempt(struct lease *l, const json_t *like)
{
	l->wait = 0;
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		if (!l->current && !look(l, like))
			return;
		pthread_mutex_lock(&l->lock);
		enum lease_step step = lease_core_next(&l->core, clock_boot());
		pthread_mutex_unlock(&l->lock);
		enum kube_verdict v = step == LEASE_STEP_WAIT ? stand_by(l) : lead(l, step);
		if (v != KUBE_CONFLICT)
			return;
	}
}

/* The others wait no longer for us than we hold it; we wait for nobody. */
static int64_t release_time(void *ctx)
{
	(void)ctx;
	return RELEASE_TIME;
}

static void release(struct lease *l)
{
	atomic_store(&l->led_from, 0);
	kube_cancel_by(l->kube, NULL);
	kube_write_within(l->kube, release_time, l);
	for (int tries = 0; tries < 2; tries++) {
		pthread_mutex_lock(&l->lock);
		json_t *body = lease_core_release(&l->core, clock_now());
		pthread_mutex_unlock(&l->lock);
		if (!body)
			return;
		enum kube_verdict v = put(l, LEASE_STEP_WAIT, body, 0);
		if (v == KUBE_OK)
			log_info("gave the Lease back", LOG_STR("lease", l->path));
		bool again = v == KUBE_CONFLICT && look(l, body);
		json_decref(body);
		if (!again)
			return;
	}
}

/* --- the thread --- */

/* Standbys come at their own times: jitter 1.2, as client-go's. */
static int64_t pause_of(const struct lease *l)
{
	const struct lease_config *c = &l->config;
	uint32_t dice;
	int64_t pause = c->retry;
	if (!l->told) {
		secret_random(&dice, sizeof(dice));
		pause += (int64_t)((double)c->retry * 1.2 * dice / UINT32_MAX);
	}
	/* A server in need is given time, but not the leadership. */
	int64_t asked = l->wait * CLOCK_SECOND, most = c->renew_deadline / 2;
	asked = asked < most ? asked : most;
	return pause > asked ? pause : asked;
}

/* Waits until the next attempt, and tells at once when the deadline passes meanwhile. True when it is to end. */
static bool rest(struct lease *l)
{
	int64_t until = clock_mono() + pause_of(l);
	bool stop;
	for (;;) {
		tell(l);
		int64_t now = clock_mono(), left = until - now, end = until;
		if (l->told) {
			int64_t lead = atomic_load(&l->led_from) + l->config.renew_deadline - clock_boot();
			if (lead < left)
				end = now + lead;
		}
		struct timespec at = clock_until(end);
		pthread_mutex_lock(&l->lock);
		if (!l->stop && left > 0)
			pthread_cond_timedwait(&l->wake, &l->lock, &at);
		stop = l->stop;
		pthread_mutex_unlock(&l->lock);
		if (stop || left <= 0)
			return stop;
	}
}

static void *run(void *arg)
{
	struct lease *l = arg;
	pthread_setname_np(pthread_self(), "lease");
	kube_cancel_by(l->kube, &l->ending);
	pthread_mutex_lock(&l->lock);
	json_t *like = lease_core_body(&l->core, LEASE_STEP_CREATE, NULL, 0);
	pthread_mutex_unlock(&l->lock);
	do {
		tell(l);
		attempt(l, like);
	} while (!rest(l));
	release(l);
	tell(l);
	json_decref(like);
	return NULL;
}

/* --- life --- */

static void identify(const struct lease_config *c, char out[LEASE_IDENTITY_MAX])
{
	char host[65] = "";
	uint8_t u[16];
	if (c->identity) {
		snprintf(out, LEASE_IDENTITY_MAX, "%s", c->identity);
		return;
	}
	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
		snprintf(host, sizeof(host), "unknown");
	secret_random(u, sizeof(u));
	u[6] = (uint8_t)((u[6] & 0x0F) | 0x40); /* RFC 9562: version 4 */
	u[8] = (uint8_t)((u[8] & 0x3F) | 0x80);
	char hex[2 * sizeof(u) + 1];
	hex_encode(u, sizeof(u), hex);
	snprintf(out, LEASE_IDENTITY_MAX, "%s_%.8s-%.4s-%.4s-%.4s-%s", host, hex, hex + 8, hex + 12, hex + 16,
	    hex + 20);
}

static struct lease *lease_new(
    const struct lease_config *c, struct kube *k, void (*changed)(void *ctx, bool leading), void *ctx)
{
	char me[LEASE_IDENTITY_MAX];
	pthread_condattr_t attr;
	struct lease *l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->config = *c;
	l->kube = k;
	l->changed = changed;
	l->ctx = ctx;
	arena_init(&l->arena, 0);
	const char *in = arena_strdup(&l->arena, lease_namespace(c, k));
	l->collection = arena_printf(&l->arena, "/apis/coordination.k8s.io/v1/namespaces/%s/leases", in);
	l->path = arena_printf(&l->arena, "%s/%s", l->collection, c->name);
	identify(c, me);
	lease_core_init(&l->core, &l->config, in, me);
	l->notes = json_object();
	cancel_init(&l->ending);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->wake, &attr);
	pthread_condattr_destroy(&attr);
	trouble_init(&l->trouble);
	l->leader = metrics_gauge("portcullis_sync_leader", "1 while this worker leads.", "");
	l->transitions = metrics_counter("portcullis_sync_lease_transitions_total",
	    "Changes of the Lease's holder that this worker saw.", "");
	return l;
}

static enum err_code start_thread(struct lease *l, struct err *e)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&l->thread, NULL, run, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	l->threaded = rc == 0;
	return rc == 0 ? ERR_OK : err_set(e, ERR_INTERNAL, "starting the lease's thread: %s", strerror(rc));
}

enum err_code lease_start(const struct lease_config *c, struct kube *k, void (*changed)(void *ctx, bool leading),
    void *ctx, struct lease **out, struct err *e)
{
	struct lease *l = lease_new(c, k, changed, ctx);
	enum err_code rc = ERR_OK;
	if (!c->enabled)
		tell(l);
	else if (!k)
		rc = err_set(e, ERR_INVALID, "leader election without a client");
	else
		rc = start_thread(l, e);
	if (rc != ERR_OK)
		lease_stop(&l);
	*out = l;
	return rc;
}

void lease_stop(struct lease **lp)
{
	struct lease *l = TAKE(*lp);
	if (!l)
		return;
	if (l->threaded) {
		cancel_ask(&l->ending);
		pthread_mutex_lock(&l->lock);
		l->stop = true;
		pthread_cond_signal(&l->wake);
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->thread, NULL);
	}
	metric_set(l->leader, 0);
	kube_free(&l->kube);
	lease_core_done(&l->core);
	json_decref(l->notes);
	cancel_done(&l->ending);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->wake);
	trouble_done(&l->trouble);
	arena_done(&l->arena);
	free(l);
}

/* --- for other threads --- */

/* For a write that begins now: until the others take the Lease. */
static int64_t left(void *ctx)
{
	const struct lease *l = ctx;
	if (!l->config.enabled)
		return INT64_MAX;
	int64_t from = atomic_load(&l->led_from), age = clock_boot() - from;
	return from && age < l->config.renew_deadline ? l->config.duration - age : 0;
}

void lease_guard(struct lease *l, struct kube *k)
{
	kube_write_within(k, left, l);
}

const char *lease_identity(const struct lease *l)
{
	return l->core.me;
}

bool lease_trouble(struct lease *l, int64_t *since, struct err *why)
{
	return trouble_get(&l->trouble, since, why);
}

void lease_holder(struct lease *l, char *out, size_t n)
{
	pthread_mutex_lock(&l->lock);
	const char *holder = l->core.view.version ? l->core.view.holder : NULL;
	snprintf(out, n, "%s", !l->config.enabled ? l->core.me : holder ? holder : "");
	pthread_mutex_unlock(&l->lock);
}

void lease_note(struct lease *l, const char *key, const char *value)
{
	if ((value && strlen(value) > LEASE_NOTE_BYTES_MAX) || !lease_leading(l) || !l->threaded)
		return;
	pthread_mutex_lock(&l->lock);
	json_t *text = value ? json_string(value) : json_null();
	if (text && (json_object_size(l->notes) < LEASE_NOTES_MAX || json_object_get(l->notes, key)))
		json_object_set_new(l->notes, key, text);
	else
		json_decref(text);
	pthread_mutex_unlock(&l->lock);
}

bool lease_noted(struct lease *l, const char *key, char *out, size_t n)
{
	pthread_mutex_lock(&l->lock);
	const char *text = lease_core_note(&l->core, key);
	bool fits = text && strlen(text) < n;
	if (fits)
		memcpy(out, text, strlen(text) + 1);
	pthread_mutex_unlock(&l->lock);
	return fits;
}

void lease_config_hash(struct lease *l, const char *hash)
{
	pthread_mutex_lock(&l->lock);
	lease_core_hash(&l->core, hash, clock_boot());
	pthread_mutex_unlock(&l->lock);
}

bool lease_dissent(struct lease *l)
{
	if (!l->config.enabled)
		return false;
	pthread_mutex_lock(&l->lock);
	bool disputed = lease_core_disputed(&l->core, clock_boot());
	pthread_mutex_unlock(&l->lock);
	return disputed;
}
