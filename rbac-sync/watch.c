/* Owns the following of one kind: list, watch, and what to do when either ends. */
#include "rbac-sync/watch.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/secret.h"

#define WATCH_SECONDS_MIN 300
#define WATCH_SECONDS_MAX 600
#define PAUSE_FIRST (800 * CLOCK_MS)
#define PAUSE_MAX (30 * CLOCK_SECOND)
#define CALM (120 * CLOCK_SECOND)  /* without trouble: the next pause is the first one again */
#define HEALTHY (60 * CLOCK_SECOND) /* since the stream was last open */
#define LIST_AGE (600 * CLOCK_SECOND) /* of a silent watch; quiet kinds of old servers get no bookmarks either */
#define TOO_SHORT CLOCK_SECOND	   /* a watch that ends sooner was none, unless it brought something for once */

struct watch {
	struct kube *kube;
	struct store *store;
	enum object_kind kind;
	const char *collection, *query;
	struct arena arena; /* of the two above */
	pthread_t thread;
	struct cancel stop;

	/* the thread's own */
	struct arena version_arena;
	const char *version; /* to watch from; NULL: list first */
	bool quorum;	     /* list what is there, not what a cache remembers */
	int64_t pause, troubled; /* the next pause; clock_mono of the last one */
	int64_t gone;		 /* clock_mono of the last 410 of a watch; 0: none */
	int64_t listed_at;	 /* clock_mono */
	bool taken;		 /* the server took this watch */
	size_t events;		 /* of this stream */
	unsigned brief;		 /* watches in a row that were too short */

	pthread_mutex_t lock;
	bool listed, open; /* under the lock, as the following */
	int64_t good;	   /* clock_mono when the stream was last seen to be well */
	struct err why;
};

/* --- what is known of it --- */

static void be_open(struct watch *w, bool open)
{
	pthread_mutex_lock(&w->lock);
	w->open = open;
	w->good = clock_mono();
	pthread_mutex_unlock(&w->lock);
}

static void fail(struct watch *w, const struct err *why)
{
	pthread_mutex_lock(&w->lock);
	if (w->open)
		w->good = clock_mono();
	w->open = false;
	w->why = *why;
	pthread_mutex_unlock(&w->lock);
}

bool watch_healthy(struct watch *w, struct err *why)
{
	pthread_mutex_lock(&w->lock);
	bool well = w->listed && (w->open || clock_mono() - w->good < HEALTHY);
	if (!well) {
		err_set(why, ERR_UNAVAILABLE, "%s: %s", object_types[w->kind].resource,
		    w->why.msg[0] ? w->why.msg : "the first list is not through");
	}
	pthread_mutex_unlock(&w->lock);
	return well;
}

static void count(const struct watch *w, const char *reason)
{
	struct buf labels;
	buf_init(&labels, 128);
	metrics_label(&labels, "resource", slice_of(object_types[w->kind].resource));
	metrics_label(&labels, "reason", slice_of(reason));
	metric_inc(metrics_counter("portcullis_sync_watch_restarts_total",
	    "Ends of lists and watches by resource and reason.", buf_cstr(&labels)));
	buf_done(&labels);
}

/* --- waiting --- */

static int64_t random_below(int64_t n)
{
	uint64_t v;
	secret_random(&v, sizeof(v));
	return (int64_t)(v % (uint64_t)n);
}

/* Doubling, spread over as much again, at least what the server asks for. */
static void back_off(struct watch *w, int64_t asked)
{
	int64_t now = clock_mono();
	if (now - w->troubled > CALM)
		w->pause = PAUSE_FIRST;
	int64_t pause = w->pause + random_below(w->pause);
	if (asked > 0 && asked * CLOCK_SECOND > pause)
		pause = asked * CLOCK_SECOND;
	w->pause = w->pause * 2 < PAUSE_MAX ? w->pause * 2 : PAUSE_MAX;
	w->troubled = now + pause;
	(void)cancel_wait(&w->stop, -1, 0, now + pause);
}

/* --- list --- */

struct sink {
	struct store *store;
	enum object_kind kind;
};

static void put(void *ctx, json_t *item)
{
	const struct sink *s = ctx;
	store_put(s->store, s->kind, item);
}

static const char *list(struct kube *k, const struct sink *s, const char *collection, const char *query, bool cached,
    struct arena *a, struct kube_answer *out)
{
	const char *version;
	store_list_begin(s->store, s->kind);
	kube_list(k, collection, query, cached, put, (void *)(uintptr_t)s, a, &version, out);
	if (out->verdict == KUBE_OK)
		store_list_end(s->store, s->kind);
	return version;
}

static void set_version(struct watch *w, const char *version)
{
	struct arena fresh;
	arena_init(&fresh, 0);
	w->version = arena_strdup(&fresh, version);
	arena_done(&w->version_arena);
	w->version_arena = fresh;
}

static void list_anew(struct watch *w)
{
	w->version = NULL;
	w->quorum = true;
}

/* What a failed list or watch is called, and what is different the next time. */
static const char *judge(struct watch *w, const struct kube_answer *out)
{
	if (out->verdict == KUBE_GONE) {
		list_anew(w);
		return "expired";
	}
	/* The cluster came back older than we have seen it: its present is what counts. */
	if (out->status == 504 && text_eq(out->cause, "ResourceVersionTooLarge")) {
		list_anew(w);
		return "tooLarge";
	}
	if (out->verdict == KUBE_LATER)
		return "unavailable";
	/* It may be the version that is refused (400): from that one there is no going on. A right that is missing is
	 * another matter. */
	if (out->status != 403)
		list_anew(w);
	return "refused";
}

static void trouble(struct watch *w, const struct kube_answer *out, const char *what)
{
	if (cancel_asked(&w->stop))
		return;
	const char *reason = judge(w, out);
	fail(w, &out->why);
	count(w, reason);
	log_warn(what, LOG_STR("resource", object_types[w->kind].resource), LOG_STR("reason", reason),
	    LOG_STR("error", out->why.msg));
}

static void list_pass(struct watch *w)
{
	w->taken = false;
	struct kube_answer out;
	struct arena a;
	const struct sink sink = {w->store, w->kind};
	arena_init(&a, 0);
	const char *version = list(w->kube, &sink, w->collection, w->query, !w->quorum, &a, &out);
	if (version) {
		w->quorum = false;
		w->listed_at = clock_mono();
		set_version(w, version);
		pthread_mutex_lock(&w->lock);
		w->listed = true;
		w->good = clock_mono();
		pthread_mutex_unlock(&w->lock);
	} else {
		trouble(w, &out, "a list failed");
		back_off(w, out.wait);
	}
	kube_answer_done(&out);
	arena_done(&a);
	memory_give_back(); /* pages of answers were here that nobody needs any more */
}

/* --- watch --- */

static void on_event(void *ctx, const char *type, json_t *object)
{
	struct watch *w = ctx;
	if (!type) {
		w->taken = true;
		be_open(w, true);
		return;
	}
	w->events++;
	if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		store_put(w->store, w->kind, object);
	else if (strcmp(type, "DELETED") == 0)
		store_remove(w->store, w->kind, object);
	const char *version =
	    json_string_value(json_object_get(json_object_get(object, "metadata"), "resourceVersion"));
	if (version && *version)
		set_version(w, version);
}

static void watch_pass(struct watch *w)
{
	struct kube_answer out;
	int seconds = WATCH_SECONDS_MIN + (int)random_below(WATCH_SECONDS_MAX - WATCH_SECONDS_MIN + 1);
	struct arena a; /* on_event replaces the version that the request is made with */
	arena_init(&a, 0);
	int64_t began = clock_mono();
	w->taken = false;
	w->events = 0;
	kube_watch(w->kube, w->collection, w->query, arena_strdup(&a, w->version), seconds, on_event, w, &out);
	arena_done(&a);
	bool brief = out.verdict == KUBE_OK && clock_mono() - began < TOO_SHORT;
	w->brief = brief ? w->brief + 1 : 0;
	if (brief && (w->events == 0 || w->brief > 1)) {
		err_set(&out.why, ERR_UNAVAILABLE, "the watch was closed at once");
		out.verdict = KUBE_LATER;
	}
	/* Silence on a stream that was open: dead or just quiet, another one tells. Without even a bookmark it may also be
	 * that of a server that is older than what we have seen of it, and does not say so: a list tells. */
	bool silent = out.verdict == KUBE_LATER && out.why.code == ERR_TIMEOUT && w->taken;
	if (silent && w->events == 0 && clock_mono() - w->listed_at >= LIST_AGE)
		list_anew(w);
	if (out.verdict == KUBE_OK || silent) {
		be_open(w, false);
		count(w, silent ? "silent" : "closed");
	} else {
		trouble(w, &out, "a watch failed");
		/* A 410 asks to list anew at once; one after the other would be a circle without a rest. */
		bool at_once = out.verdict == KUBE_GONE && (!w->gone || clock_mono() - w->gone > PAUSE_MAX);
		if (out.verdict == KUBE_GONE)
			w->gone = clock_mono();
		if (!at_once)
			back_off(w, out.wait);
	}
	kube_answer_done(&out);
}

static void *run(void *arg)
{
	struct watch *w = arg;
	while (!cancel_asked(&w->stop)) {
		if (w->version)
			watch_pass(w);
		else
			list_pass(w);
	}
	return NULL;
}

/* --- life --- */

static const char *selector_query(struct arena *a, const char *selector)
{
	struct buf b;
	if (!selector)
		return NULL;
	buf_init(&b, (size_t)32 << 10);
	buf_adds(&b, "labelSelector=");
	kube_escape(&b, selector);
	const char *query = arena_strdup(a, buf_cstr(&b));
	buf_done(&b);
	return query;
}

struct watch *watch_start(struct kube *k, struct store *s, enum object_kind kind, const char *selector)
{
	struct watch *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->kube = k;
	w->store = s;
	w->kind = kind;
	w->pause = PAUSE_FIRST;
	arena_init(&w->arena, 0);
	arena_init(&w->version_arena, 0);
	w->collection = object_collection(&w->arena, kind, NULL);
	w->query = selector_query(&w->arena, selector);
	pthread_mutex_init(&w->lock, NULL);
	cancel_init(&w->stop);
	kube_cancel_by(k, &w->stop);
	if (pthread_create(&w->thread, NULL, run, w) != 0)
		abort();
	return w;
}

void watch_quit(struct watch *w)
{
	if (w)
		cancel_ask(&w->stop);
}

void watch_stop(struct watch **wp)
{
	struct watch *w = TAKE(*wp);
	if (!w)
		return;
	cancel_ask(&w->stop);
	pthread_join(w->thread, NULL);
	kube_free(&w->kube);
	cancel_done(&w->stop);
	pthread_mutex_destroy(&w->lock);
	arena_done(&w->version_arena);
	arena_done(&w->arena);
	free(w);
}

enum err_code watch_list_once(
    struct kube *k, struct store *s, enum object_kind kind, const char *selector, struct err *e)
{
	struct kube_answer out;
	struct arena a;
	const struct sink sink = {s, kind};
	arena_init(&a, 0);
	const char *collection = object_collection(&a, kind, NULL), *query = selector_query(&a, selector);
	/* A list in pages may expire while it is read: once more. */
	list(k, &sink, collection, query, false, &a, &out);
	if (out.verdict == KUBE_GONE) {
		kube_answer_done(&out);
		list(k, &sink, collection, query, false, &a, &out);
	}
	enum err_code rc = ERR_OK;
	if (out.verdict != KUBE_OK)
		rc = err_set(e, out.verdict == KUBE_LATER ? ERR_UNAVAILABLE : ERR_REFUSED, "listing %s: %s",
		    object_types[kind].resource, out.why.msg);
	kube_answer_done(&out);
	arena_done(&a);
	return rc;
}
