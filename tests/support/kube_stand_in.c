/* Owns the stand-in for an apiserver of unit tests. */
#include "tests/support/kube_stand_in.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/httpc.h"
#include "tests/support/tls_server.h"

static const char *const methods[] = {"GET", "POST", "PUT", "PATCH"};

struct kube_stand_in {
	struct tls_server *server;
	struct crypto_cert ca, leaf;
	char dir[32], config[64];
	pthread_mutex_t lock;
	pthread_cond_t asked;
	json_t *objects;  /* path to object */
	json_t *answers;  /* texts that replies borrow */
	int version, status;
	const char *headers;
	unsigned requests[ARRAY_LEN(methods)];
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static void reply(struct kube_stand_in *s, struct tls_reply *r, int status, const json_t *object)
{
	char *text = must(json_dumps(object, JSON_COMPACT));
	json_t *kept = must(json_string(text));
	free(text);
	json_array_append_new(s->answers, kept);
	r->status = status;
	r->body = json_string_value(kept);
}

static void refuse(struct kube_stand_in *s, struct tls_reply *r, int status)
{
	json_t *o = must(json_pack("{s:s,s:s,s:i}", "kind", "Status", "message", "the stand-in says no", "code", status));
	reply(s, r, status, o);
	json_decref(o);
}

static const char *version_of(const json_t *o)
{
	return json_string_value(json_object_get(json_object_get(o, "metadata"), "resourceVersion"));
}

static void keep(struct kube_stand_in *s, const char *path, json_t *o)
{
	json_object_set_new(json_object_get(o, "metadata"), "resourceVersion", json_sprintf("%d", ++s->version));
	json_object_set(s->objects, path, o);
}

static void merge(json_t *into, const json_t *patch)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)patch, key, value)
	{
		if (json_is_null(value)) {
			json_object_del(into, key);
		} else if (json_is_object(value)) {
			if (!json_is_object(json_object_get(into, key)))
				json_object_set_new(into, key, json_object());
			merge(json_object_get(into, key), value);
		} else {
			json_object_set(into, key, value);
		}
	}
}

static void create(struct kube_stand_in *s, const char *collection, json_t *body, struct tls_reply *r)
{
	char path[2048];
	const char *name = json_string_value(json_object_get(json_object_get(body, "metadata"), "name"));
	snprintf(path, sizeof(path), "%.1000s/%.1000s", collection, name ? name : "?");
	if (json_object_get(s->objects, path)) {
		refuse(s, r, 409);
		return;
	}
	keep(s, path, body);
	reply(s, r, 201, body);
}

static void change(struct kube_stand_in *s, const char *path, const char *method, json_t *body, struct tls_reply *r)
{
	json_t *old = json_object_get(s->objects, path);
	const char *want = version_of(body), *have = version_of(old);
	if (!old) {
		refuse(s, r, 404);
	} else if (strcmp(method, "GET") == 0) {
		reply(s, r, 200, old);
	} else if (want && strcmp(want, have) != 0) {
		refuse(s, r, 409);
	} else {
		json_t *fresh = strcmp(method, "PUT") == 0 ? json_incref(body) : must(json_deep_copy(old));
		if (fresh != body)
			merge(fresh, body);
		keep(s, path, fresh);
		reply(s, r, 200, fresh);
		json_decref(fresh);
	}
}

static void serve(struct kube_stand_in *s, const char *path, const char *method, json_t *body, struct tls_reply *r)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		s->requests[i] += strcmp(methods[i], method) == 0;
	r->headers = s->status ? s->headers : NULL;
	if (s->status < 0)
		r->how = TLS_HANG;
	else if (s->status)
		refuse(s, r, s->status);
	else if (strcmp(method, "POST") == 0 && body)
		create(s, path, body, r);
	else
		change(s, path, method, body, r);
}

static void handler(void *arg, const char *target, const char *request, struct tls_reply *r)
{
	struct kube_stand_in *s = arg;
	char path[1024], method[8] = "";
	snprintf(path, sizeof(path), "%.*s", (int)strcspn(target, "?"), target);
	snprintf(method, sizeof(method), "%.*s", (int)strcspn(request, " "), request);
	const char *text = strstr(request, "\r\n\r\n");
	json_t *body = text ? json_loads(text + 4, 0, NULL) : NULL;
	pthread_mutex_lock(&s->lock);
	serve(s, path, method, body, r);
	pthread_cond_broadcast(&s->asked);
	pthread_mutex_unlock(&s->lock);
	json_decref(body);
}

struct kube_stand_in *kube_stand_in_start(void)
{
	struct kube_stand_in *s = must(calloc(1, sizeof(*s)));
	httpc_init();
	s->ca = crypto_cert(NULL, "test CA", NULL, 10);
	s->leaf = crypto_cert(&s->ca, "server", "IP:127.0.0.1", 10);
	s->objects = json_object();
	s->answers = json_array();
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->asked, NULL);
	s->server = tls_server_start(&(struct tls_options){.cert = &s->leaf}, handler, s);
	snprintf(s->dir, sizeof(s->dir), "/tmp/stand-in-XXXXXX");
	must(mkdtemp(s->dir));
	snprintf(s->config, sizeof(s->config), "%s/kubeconfig", s->dir);
	char *ca = crypto_b64(s->ca.cert, strlen(s->ca.cert));
	FILE *out = must(fopen(s->config, "w"));
	fprintf(out,
	    "clusters: [{name: c, cluster: {server: \"https://127.0.0.1:%u\", certificate-authority-data: \"%s\"}}]\n"
	    "contexts: [{name: x, context: {cluster: c, user: u, namespace: n}}]\ncurrent-context: x\n"
	    "users: [{name: u, user: {token: abc}}]\n",
	    tls_server_port(s->server), ca);
	fclose(out);
	free(ca);
	return s;
}

void kube_stand_in_stop(struct kube_stand_in **sp)
{
	struct kube_stand_in *s = TAKE(*sp);
	tls_server_stop(&s->server);
	unlink(s->config);
	rmdir(s->dir);
	crypto_cert_free(&s->ca);
	crypto_cert_free(&s->leaf);
	json_decref(s->objects);
	json_decref(s->answers);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->asked);
	free(s);
}

struct kube *kube_stand_in_client(struct kube_stand_in *s, int64_t timeout_ms)
{
	struct kube *k = NULL;
	struct err e;
	if (kube_new(s->config, NULL, timeout_ms, &k, &e) != ERR_OK) {
		fprintf(stderr, "%s\n", e.msg);
		abort();
	}
	return k;
}

json_t *kube_stand_in_get(struct kube_stand_in *s, const char *path)
{
	pthread_mutex_lock(&s->lock);
	json_t *o = json_deep_copy(json_object_get(s->objects, path));
	pthread_mutex_unlock(&s->lock);
	return o;
}

void kube_stand_in_put(struct kube_stand_in *s, const char *path, json_t *object)
{
	pthread_mutex_lock(&s->lock);
	if (object)
		keep(s, path, object);
	else
		json_object_del(s->objects, path);
	pthread_mutex_unlock(&s->lock);
	json_decref(object);
}

void kube_stand_in_fail(struct kube_stand_in *s, int status, const char *headers)
{
	pthread_mutex_lock(&s->lock);
	s->status = status;
	s->headers = headers;
	pthread_mutex_unlock(&s->lock);
}

void kube_stand_in_wait(
    struct kube_stand_in *s, bool (*fn)(struct kube_stand_in *s, void *ctx), void *ctx, const char *what)
{
	struct timespec now, at, give_up;
	clock_gettime(CLOCK_REALTIME, &give_up);
	give_up.tv_sec += 20;
	while (!fn(s, ctx)) {
		clock_gettime(CLOCK_REALTIME, &now);
		if (now.tv_sec >= give_up.tv_sec) {
			fprintf(stderr, "waited in vain: %s\n", what);
			abort();
		}
		/* What follows an answer follows soon after the request. */
		at = now;
		at.tv_nsec += 10000000;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		pthread_mutex_lock(&s->lock);
		pthread_cond_timedwait(&s->asked, &s->lock, &at);
		pthread_mutex_unlock(&s->lock);
	}
}

unsigned kube_stand_in_requests(struct kube_stand_in *s, const char *method)
{
	unsigned n = 0;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		n += !method || strcmp(methods[i], method) == 0 ? s->requests[i] : 0;
	pthread_mutex_unlock(&s->lock);
	return n;
}
