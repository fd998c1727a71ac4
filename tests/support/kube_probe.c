/* Drives the API client for tests: commands come on stdin, one a line, with tabs between their words; what happens goes
 * to stdout, a JSON object a line. tests/support/kube_probe.py speaks with it. */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/httpc.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "common/metrics.h"
#include "rbac-sync/watch.h"

#define WORDS_MAX 8

static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

/* Prints O and frees it. */
static void say(json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	if (!text)
		abort();
	pthread_mutex_lock(&out_lock);
	puts(text);
	fflush(stdout);
	pthread_mutex_unlock(&out_lock);
	free(text);
	json_decref(o);
}

/* --- a store that tells what it is told --- */

static void say_event(const char *event, const json_t *object)
{
	const json_t *meta = json_object_get(object, "metadata");
	say(json_pack("{s:s, s:O?, s:O?, s:O?, s:O?}", "event", event, "kind", json_object_get(object, "kind"), "name",
	    json_object_get(meta, "name"), "version", json_object_get(meta, "resourceVersion"), "labels",
	    json_object_get(meta, "labels")));
}

void store_list_begin(struct store *s, enum object_kind kind)
{
	(void)s, (void)kind;
	say_event("begin", NULL);
}

void store_list_end(struct store *s, enum object_kind kind)
{
	(void)s, (void)kind;
	say_event("end", NULL);
}

void store_put(struct store *s, enum object_kind kind, const json_t *object)
{
	(void)s, (void)kind;
	say_event("put", object);
}

void store_remove(struct store *s, enum object_kind kind, const json_t *object)
{
	(void)s, (void)kind;
	say_event("remove", object);
}

/* --- commands --- */

static struct {
	struct kube_options options;
	struct kube *kube;
	struct watch *watch;
} probe;

static void say_answer(struct kube_answer *a)
{
	static const char *const names[] = {[KUBE_REFUSED] = "refused",
	    [KUBE_LATER] = "later",
	    [KUBE_CONFLICT] = "conflict",
	    [KUBE_ABSENT] = "absent",
	    [KUBE_GONE] = "gone",
	    [KUBE_OK] = "ok"};
	say(json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:O?}", "answer", names[a->verdict], "status", (int)a->status,
	    "wait", (json_int_t)a->wait, "why", a->verdict == KUBE_OK ? "" : a->why.msg, "reason", a->reason, "cause",
	    a->cause, "body", a->body));
	kube_answer_done(a);
}

static json_t *object_of(const char *text)
{
	json_t *o = NULL;
	struct err e;
	if (jsonx_object(slice_of(text), (size_t)1 << 20, &o, &e) != ERR_OK) {
		fprintf(stderr, "%s: %s\n", text, e.msg);
		exit(1);
	}
	return o;
}

static const char *text_or_null(const char *word)
{
	return word && strcmp(word, "-") != 0 ? word : NULL;
}

/* VERB PATH OBJECT [VERSION] */
static bool do_object(char **w)
{
	struct kube_answer a;
	static const struct {
		const char *verb;
		void (*call)(struct kube *, const char *, const json_t *, struct kube_answer *);
	} calls[] = {{"get", kube_get}, {"create", kube_create}, {"put", kube_put}, {"merge", kube_merge}};
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (strcmp(w[0], calls[i].verb) != 0)
			continue;
		AUTO(jsonx_unref) json_t *o = object_of(w[2]);
		calls[i].call(probe.kube, w[1], o, &a);
		say_answer(&a);
		return true;
	}
	if (strcmp(w[0], "apply") != 0)
		return false;
	AUTO(jsonx_unref) json_t *o = object_of(w[2]);
	kube_apply(probe.kube, w[1], o, text_or_null(w[3]), &a);
	say_answer(&a);
	return true;
}

static void each(void *ctx, json_t *item)
{
	(void)ctx;
	say_event("item", item);
}

/* list COLLECTION QUERY cached|quorum */
static void do_list(char **w)
{
	struct kube_answer a;
	struct arena arena;
	const char *version;
	arena_init(&arena, 0);
	kube_list(probe.kube, w[1], text_or_null(w[2]), strcmp(w[3], "cached") == 0, each, NULL, &arena, &version, &a);
	if (version)
		say(json_pack("{s:s, s:s}", "event", "listed", "version", version));
	say_answer(&a);
	arena_done(&arena);
}

static void do_watch(char **w)
{
	struct kube *k;
	struct err e;
	enum object_kind kind = KIND_WATCHED;
	for (enum object_kind i = 0; i < KIND_WATCHED; i++)
		kind = strcmp(object_types[i].kind, w[1]) == 0 ? i : kind;
	if (kind == KIND_WATCHED || kube_open(&probe.options, &k, &e) != ERR_OK)
		abort();
	probe.watch = watch_start(k, NULL, kind, text_or_null(w[2]));
}

static void do_health(void)
{
	struct err why = {0};
	bool well = watch_healthy(probe.watch, &why);
	say(json_pack("{s:s, s:b, s:s}", "event", "health", "well", well, "why", well ? "" : why.msg));
}

static void do_metrics(void)
{
	struct buf b;
	buf_init(&b, (size_t)1 << 20);
	metrics_write(&b);
	say(json_pack("{s:s, s:s}", "event", "metrics", "text", buf_cstr(&b)));
	buf_done(&b);
}

static void run(char **w)
{
	struct kube_answer a;
	struct err e = {0};
	if (do_object(w))
		return;
	if (strcmp(w[0], "list") == 0) {
		do_list(w);
	} else if (strcmp(w[0], "delete") == 0) {
		kube_delete(probe.kube, w[1], w[2], w[3], &a);
		say_answer(&a);
	} else if (strcmp(w[0], "watch") == 0) {
		do_watch(w);
	} else if (strcmp(w[0], "stop") == 0) {
		watch_stop(&probe.watch);
		say_event("stopped", NULL);
	} else if (strcmp(w[0], "health") == 0) {
		do_health();
	} else if (strcmp(w[0], "metrics") == 0) {
		do_metrics();
	} else if (strcmp(w[0], "reload") == 0) {
		enum err_code rc = kube_reload(probe.kube, &e);
		say(json_pack("{s:s, s:s}", "event", "reloaded", "why", rc == ERR_OK ? "" : e.msg));
	} else {
		fprintf(stderr, "%s: no command\n", w[0]);
		exit(1);
	}
}

static void read_options(int argc, char **argv)
{
	static const struct option longs[] = {{"kubeconfig", 1, NULL, 'k'}, {"cluster-dir", 1, NULL, 'c'},
	    {"timeout", 1, NULL, 't'}, {"idle", 1, NULL, 'i'}, {"qps", 1, NULL, 'q'}, {"burst", 1, NULL, 'b'},
	    {"dry-run", 0, NULL, 'd'}, {0}};
	struct kube_options *o = &probe.options;
	double qps = 1000;
	unsigned burst = 1000;
	o->timeout_ms = 20000;
	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (c) {
		case 'k': o->path = optarg; break;
		case 'c': o->cluster_dir = optarg; break;
		case 't': o->timeout_ms = strtol(optarg, NULL, 10); break;
		case 'i': o->idle_ms = strtol(optarg, NULL, 10); break;
		case 'q': qps = strtod(optarg, NULL); break;
		case 'b': burst = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': o->dry_run = true; break;
		default: exit(2);
		}
	}
	o->gate = kube_gate_new(qps, burst);
}

int main(int argc, char **argv)
{
	struct err e;
	char *line = NULL;
	size_t size = 0;
	httpc_init();
	jsonx_init();
	log_init("kube_probe", LOG_LEVEL_DEBUG);
	read_options(argc, argv);
	if (kube_open(&probe.options, &probe.kube, &e) != ERR_OK) {
		fprintf(stderr, "%s\n", e.msg);
		return 2;
	}
	say_event("ready", NULL);
	for (ssize_t n; (n = getline(&line, &size, stdin)) > 0;) {
		char *words[WORDS_MAX] = {0}, *rest = line, *w;
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		for (size_t i = 0; i < WORDS_MAX && (w = strsep(&rest, "\t")); i++)
			words[i] = w;
		run(words);
	}
	free(line);
	watch_stop(&probe.watch);
	kube_free(&probe.kube);
	kube_gate_free(&probe.options.gate);
	return 0;
}
