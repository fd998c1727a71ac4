/* Owns the API client: credentials and their rotation, requests, the meaning of answers. */
#include "rbac-sync/kube.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/httpc.h"
#include "common/jsonx.h"
#include "common/metrics.h"
#include "common/secret.h"

#define TOKEN_MAX ((size_t)64 << 10)
#define CREDENTIALS_EVERY (60 * CLOCK_SECOND) /* the kubelet renews a token minutes before its end */
#define USER_AGENT "User-Agent: portcullis-rbac-sync"

struct kube {
	struct httpc *http;
	char *path, *context; /* of the kubeconfig; NULL: in-cluster, the file's own */
	int64_t timeout_ms;
	struct kubeconfig *config;
	struct arena ca_arena;
	struct slice ca;
	struct secret token;
	int64_t read_at; /* clock_mono of CA and token; 0: to be read */
};

struct call {
	const char *method, *path, *content_type;
	struct slice body;
};

/* --- credentials --- */

static enum err_code load_config(
    const char *path, const char *context, struct kubeconfig **out, struct err *e)
{
	return path ? kubeconfig_load(path, context, out, e)
		    : kubeconfig_in_cluster(SERVICE_ACCOUNT_DIR, out, e);
}

/* A header is no place for a line end, and a token never holds one. */
static bool token_fit(struct slice t)
{
	for (size_t i = 0; i < t.len; i++) {
		if (t.p[i] <= ' ' || t.p[i] > '~')
			return false;
	}
	return t.len > 0;
}

static struct slice trim(struct slice s)
{
	while (s.len && (unsigned char)s.p[0] <= ' ')
		s = slice_skip(s, 1);
	while (s.len && (unsigned char)s.p[s.len - 1] <= ' ')
		s.len--;
	return s;
}

static enum err_code read_token(struct kube *k, struct err *e)
{
	const struct kubeconfig *c = k->config;
	struct arena a;
	struct slice text = c->token;
	enum err_code rc = ERR_OK;
	arena_init_wiped(&a, 0);
	if (c->token_file)
		rc = file_read(&a, c->token_file, TOKEN_MAX, &text, e);
	text = trim(text);
	if (rc == ERR_OK && (text.len || c->token_file) && !token_fit(text))
		rc = err_set(e, ERR_INVALID, "%s: no token",
		    c->token_file ? c->token_file : "kubeconfig");
	if (rc == ERR_OK) {
		secret_free(&k->token);
		if (text.len)
			k->token = secret_new(text.p, text.len);
	}
	arena_done(&a);
	return rc;
}

static enum err_code read_ca(struct kube *k, struct err *e)
{
	if (!k->config->ca_file) {
		k->ca = k->config->ca_pem;
		return ERR_OK;
	}
	struct arena a;
	struct slice text;
	arena_init(&a, 0);
	enum err_code rc = file_read(&a, k->config->ca_file, KUBECONFIG_BYTES_MAX, &text, e);
	if (rc == ERR_OK && text.len == 0)
		rc = err_set(e, ERR_INVALID, "%s: empty", k->config->ca_file); /* not: trust everybody */
	if (rc != ERR_OK) {
		arena_done(&a);
		return rc;
	}
	arena_done(&k->ca_arena);
	k->ca_arena = a;
	k->ca = text;
	return ERR_OK;
}

static enum err_code read_files(struct kube *k, struct err *e)
{
	if (k->read_at && clock_mono() - k->read_at < CREDENTIALS_EVERY)
		return ERR_OK;
	TRY(read_ca(k, e));
	TRY(read_token(k, e));
	k->read_at = clock_mono();
	return ERR_OK;
}

enum err_code kube_reload(struct kube *k, struct err *e)
{
	struct kubeconfig *fresh;
	TRY(load_config(k->path, k->context, &fresh, e));
	kubeconfig_free(&k->config);
	k->config = fresh;
	k->ca = (struct slice){0};
	k->read_at = 0;
	return read_files(k, e);
}

/* --- one exchange --- */

static struct metric *requests_total(const char *method, long status)
{
	struct buf labels;
	char code[8];
	snprintf(code, sizeof(code), "%ld", status);
	buf_init(&labels, 128);
	metrics_label(&labels, "verb", slice_of(method));
	metrics_label(&labels, "code", slice_of(status ? code : "none"));
	struct metric *m = metrics_counter("portcullis_sync_api_requests_total",
	    "Requests to the apiserver by method and HTTP status.", buf_cstr(&labels));
	buf_done(&labels);
	return m;
}

static enum err_code exchange(
    struct kube *k, const struct call *call, struct httpc_response *res, struct err *e)
{
	const struct kubeconfig *c = k->config;
	const char *headers[5] = {USER_AGENT, "Accept: application/json"};
	size_t n = 2;
	struct arena a;
	arena_init_wiped(&a, 0); /* holds the token */
	if (call->content_type)
		headers[n++] = arena_printf(&a, "Content-Type: %s", call->content_type);
	if (k->token.len)
		headers[n++] = arena_printf(&a, "Authorization: Bearer %s", k->token.p);
	const struct httpc_request req = {
	    .method = call->method,
	    .url = arena_printf(&a, "%s%s", c->server, call->path),
	    .ca_pem = k->ca,
	    .client_cert = c->cert_file,
	    .client_key = c->key_file,
	    .client_cert_pem = c->cert_pem,
	    .client_key_pem = c->key_pem,
	    .tls_server_name = c->tls_server_name,
	    .headers = headers,
	    .body = call->body,
	    .timeout_ms = k->timeout_ms,
	    .max_bytes = KUBE_ANSWER_MAX,
	};
	enum err_code rc = httpc_do(k->http, &req, res, e);
	metric_inc(requests_total(call->method, rc == ERR_OK ? res->status : 0));
	arena_done(&a);
	return rc;
}

enum kube_verdict kube_classify(long status, bool write)
{
	if (status >= 200 && status < 300)
		return KUBE_OK;
	if (status == 404 && !write)
		return KUBE_ABSENT;
	if (status == 409)
		return KUBE_CONFLICT;
	if (status == 401 || status == 408 || status == 429 || status >= 500 || status < 200)
		return KUBE_LATER;
	return KUBE_REFUSED;
}

/* The sentence of a Status object, printable and short; a proxy's page of HTML says nothing. */
static void explain(const struct httpc_response *res, struct err *e)
{
	json_t *o = NULL;
	struct err bad;
	struct slice message = {0};
	if (jsonx_object(buf_view(&res->body), KUBE_ANSWER_MAX, &o, &bad) == ERR_OK &&
	    jsonx_string(o, "message", &message, &bad) != ERR_OK)
		message = (struct slice){0};
	if (!slice_printable(message))
		message = SLICE("(message withheld)");
	err_set(e, ERR_UNAVAILABLE, "HTTP %ld%s%.400s", res->status, message.len ? ": " : "",
	    message.len ? message.p : "");
	jsonx_unref(&o);
}

static void read_answer(
    const struct httpc_response *res, const struct call *call, struct kube_answer *out)
{
	out->status = res->status;
	out->wait = res->retry_after > KUBE_RETRY_AFTER_MAX ? KUBE_RETRY_AFTER_MAX : res->retry_after;
	out->verdict = kube_classify(res->status, strcmp(call->method, "GET") != 0);
	if (out->verdict != KUBE_OK) {
		explain(res, &out->why);
		return;
	}
	if (jsonx_object(buf_view(&res->body), KUBE_ANSWER_MAX, &out->body, &out->why) != ERR_OK) {
		err_wrap(&out->why, "HTTP %ld without an object", res->status);
		out->verdict = KUBE_LATER;
	}
}

static void do_call(struct kube *k, const struct call *call, struct kube_answer *out)
{
	struct httpc_response res = {0};
	*out = (struct kube_answer){.verdict = KUBE_LATER, .wait = -1};
	if (read_files(k, &out->why) != ERR_OK)
		return;
	enum err_code rc = exchange(k, call, &res, &out->why);
	if (rc == ERR_OK && res.status == 401) {
		httpc_response_done(&res);
		res = (struct httpc_response){0};
		rc = kube_reload(k, &out->why);
		if (rc == ERR_OK)
			rc = exchange(k, call, &res, &out->why);
	}
	if (rc == ERR_OK)
		read_answer(&res, call, out);
	httpc_response_done(&res);
}

/* --- the calls --- */

static void escape(struct buf *b, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:";
	for (; *s; s++) {
		if (strchr(plain, *s))
			buf_addc(b, *s);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

const char *kube_binding_path(struct arena *a, const char *namespace_, const char *name)
{
	struct buf b;
	buf_init(&b, 8192);
	buf_adds(&b, "/apis/rbac.authorization.k8s.io/v1/");
	if (namespace_) {
		buf_adds(&b, "namespaces/");
		escape(&b, namespace_);
		buf_adds(&b, "/rolebindings/");
	} else {
		buf_adds(&b, "clusterrolebindings/");
	}
	escape(&b, name);
	const char *path = arena_strdup(a, buf_cstr(&b));
	buf_done(&b);
	return path;
}

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
	const json_t *x = json_object_get(a, key);
	return x && json_equal(x, json_object_get(b, key));
}

/* Something between us and the apiserver may answer 200 to anything. */
static void check_object(const json_t *want, struct kube_answer *out)
{
	if (out->verdict != KUBE_OK ||
	    (same_text(out->body, want, "kind") &&
		same_text(json_object_get(out->body, "metadata"), json_object_get(want, "metadata"), "name")))
		return;
	err_set(&out->why, ERR_UNAVAILABLE, "HTTP %ld with another object", out->status);
	out->verdict = KUBE_LATER;
}

void kube_get(struct kube *k, const char *path, const json_t *object, struct kube_answer *out)
{
	const struct call call = {.method = "GET", .path = path};
	do_call(k, &call, out);
	check_object(object, out);
}

/* The JSON text to send; to be freed. */
static char *apply_text(const json_t *object, const char *version)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)object);
	json_t *meta = json_copy(json_object_get(object, "metadata"));
	if (!copy || !meta ||
	    (version && json_object_set_new(meta, "resourceVersion", json_string(version)) != 0) ||
	    json_object_set_new(copy, "metadata", meta) != 0)
		abort();
	char *text = json_dumps(copy, JSON_COMPACT);
	if (!text)
		abort();
	json_decref(copy);
	return text;
}

void kube_apply(struct kube *k, const char *path, const json_t *object, const char *version,
    struct kube_answer *out)
{
	struct arena a;
	char *text = apply_text(object, version);
	arena_init(&a, 0);
	const struct call call = {
	    .method = "PATCH",
	    .path = arena_printf(&a, "%s?fieldManager=" KUBE_FIELD_MANAGER "&force=true", path),
	    .content_type = "application/apply-patch+yaml",
	    .body = slice_of(text),
	};
	do_call(k, &call, out);
	check_object(object, out);
	free(text);
	arena_done(&a);
}

void kube_answer_done(struct kube_answer *a)
{
	jsonx_unref(&a->body);
}

/* --- life --- */

static char *copy(const char *s)
{
	char *p = s ? strdup(s) : NULL;
	if (s && !p)
		abort();
	return p;
}

enum err_code kube_new(const char *path, const char *context, int64_t timeout_ms, struct kube **out,
    struct err *e)
{
	struct kubeconfig *config;
	TRY(load_config(path, context, &config, e));
	struct kube *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	k->http = httpc_new();
	k->path = copy(path);
	k->context = copy(context);
	k->timeout_ms = timeout_ms;
	k->config = config;
	arena_init(&k->ca_arena, 0);
	*out = k;
	return ERR_OK;
}

void kube_free(struct kube **kp)
{
	struct kube *k = TAKE(*kp);
	if (!k)
		return;
	httpc_free(&k->http);
	kubeconfig_free(&k->config);
	arena_done(&k->ca_arena);
	secret_free(&k->token);
	free(k->path);
	free(k->context);
	free(k);
}

const char *kube_namespace(const struct kube *k)
{
	return k->config->namespace_;
}
