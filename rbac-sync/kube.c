/* Owns the exchanges with the apiserver: one request through the gate, and the calls that are one request. */
#include "rbac-sync/kube.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/metrics.h"
#include "rbac-sync/kube_gate.h"
#include "rbac-sync/kube_parts.h"

#define USER_AGENT "User-Agent: portcullis-rbac-sync"
#define APPLY_TYPE "application/apply-patch+yaml"
#define MERGE_TYPE "application/merge-patch+json"
#define JSON_TYPE "application/json"

/* --- one exchange --- */

static void count(const struct kube_call *call, long status, int64_t took)
{
	struct buf labels;
	char code[24];
	snprintf(code, sizeof(code), "%ld", status);
	buf_init(&labels, 128);
	metrics_label(&labels, "verb", slice_of(call->verb));
	if (!call->reader)
		metric_observe(metrics_histogram("portcullis_sync_api_request_duration_seconds",
				   "Time of requests to the apiserver, watches left out.", buf_cstr(&labels),
				   metrics_latency_bounds, metrics_latency_bounds_len),
		    (double)took / (double)CLOCK_SECOND);
	metrics_label(&labels, "code", slice_of(status ? code : "none"));
	metric_inc(metrics_counter("portcullis_sync_api_requests_total",
	    "Requests to the apiserver by verb and HTTP status.", buf_cstr(&labels)));
	buf_done(&labels);
}

/* Everybody waits for what the server asks of one of us. */
static void tell_gate(struct kube_gate *gate, const struct httpc_response *res)
{
	if (!gate || res->retry_after <= 0 || (res->status != 429 && res->status < 500))
		return;
	int64_t wait = res->retry_after < KUBE_RETRY_AFTER_MAX ? res->retry_after : KUBE_RETRY_AFTER_MAX;
	kube_gate_hold(gate, clock_mono() + wait * CLOCK_SECOND);
}

/* Asked after every wait: a leader who had to wait may be none any more. */
static enum err_code within_time(struct kube *k, const struct kube_call *call, struct httpc_request *req, struct err *e)
{
	if (!k->left || strcmp(call->method, "GET") == 0)
		return ERR_OK;
	int64_t left = k->left(k->left_ctx);
	if (left <= 0)
		return err_set(e, ERR_UNAVAILABLE, "the time for writing is over");
	left = left / CLOCK_MS + 1;
	if (left < req->timeout_ms)
		req->timeout_ms = left;
	return ERR_OK;
}

static enum err_code exchange(
    struct kube *k, const struct kube_call *call, struct httpc_response *res, struct err *e)
{
	const char *headers[5] = {USER_AGENT, "Accept: application/json"};
	size_t n = 2;
	struct arena a;
	struct httpc_request req = {
	    .method = call->method,
	    .headers = headers,
	    .body = call->body,
	    .timeout_ms = call->timeout_ms ? call->timeout_ms : k->timeout_ms,
	    .max_bytes = call->max_bytes ? call->max_bytes : KUBE_ANSWER_MAX,
	    .cancel = k->cancel,
	};
	if (k->gate && !kube_gate_pass(k->gate, k->cancel))
		return err_set(e, ERR_UNAVAILABLE, "given up");
	TRY(within_time(k, call, &req, e));
	arena_init_wiped(&a, 0); /* holds the token */
	struct slice token = credentials_show(&k->credentials, &req);
	req.url = arena_printf(&a, "%s%s", k->credentials.config->server, call->path);
	if (call->content_type)
		headers[n++] = arena_printf(&a, "Content-Type: %s", call->content_type);
	if (token.len)
		headers[n++] = arena_printf(&a, "Authorization: Bearer " SLICE_FMT, SLICE_ARG(token));
	int64_t began = clock_mono();
	enum err_code rc = httpc_stream(k->http, &req, call->reader, res, e);
	if (rc == ERR_OK && k->gate)
		tell_gate(k->gate, res);
	count(call, rc == ERR_OK ? res->status : 0, clock_mono() - began);
	arena_done(&a);
	return rc;
}

bool kube_wants_renewal(const struct kube *k)
{
	return k->renewals && atomic_load(k->renewals) != k->renewed;
}

/* What is faulty stays as it was: whoever asked says so. */
static void renew(struct kube *k)
{
	struct err e;
	if (kube_wants_renewal(k) && kube_reload(k, &e) != ERR_OK)
		return;
}

enum err_code kube_exchange(
    struct kube *k, const struct kube_call *call, struct httpc_response *res, struct err *e)
{
	bool rotated;
	*res = (struct httpc_response){0};
	renew(k);
	TRY(credentials_fresh(&k->credentials, &rotated, e));
	if (rotated)
		httpc_forget(k->http);
	enum err_code rc = exchange(k, call, res, e);
	if (rc != ERR_OK || res->status != 401)
		return rc;
	httpc_response_done(res);
	*res = (struct httpc_response){0};
	TRY(kube_reload(k, e));
	return exchange(k, call, res, e);
}

void kube_ask(struct kube *k, const struct kube_call *call, struct kube_answer *out)
{
	struct httpc_response res;
	*out = (struct kube_answer){.verdict = KUBE_LATER, .wait = -1};
	if (kube_exchange(k, call, &res, &out->why) == ERR_OK) {
		kube_answer_read(&res, call->reads, out);
		size_t max = call->max_bytes ? call->max_bytes : KUBE_ANSWER_MAX;
		if (out->verdict == KUBE_OK &&
		    jsonx_object_lenient(buf_view(&res.body), max, &out->body, &out->why) != ERR_OK) {
			err_wrap(&out->why, "HTTP %ld without an object", res.status);
			out->verdict = KUBE_LATER;
		}
	}
	httpc_response_done(&res);
}

/* --- paths --- */

void kube_escape(struct buf *b, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:";
	for (; *s; s++) {
		if (strchr(plain, *s))
			buf_addc(b, *s);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

const char *kube_query(struct arena *a, const char *path, const char *fmt, ...)
{
	char query[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(query, sizeof(query), fmt, ap);
	va_end(ap);
	return arena_printf(a, "%s%c%s", path, strchr(path, '?') ? '&' : '?', query);
}

/* --- the calls --- */

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
	const json_t *x = json_object_get(a, key);
	return x && json_equal(x, json_object_get(b, key));
}

/* Something between us and the apiserver may answer 200 to anything. */
static void check_object(const json_t *want, struct kube_answer *out)
{
	const json_t *meta = json_object_get(want, "metadata");
	const json_t *got = json_object_get(out->body, "metadata");
	if (out->verdict != KUBE_OK ||
	    (same_text(out->body, want, "kind") &&
		(!json_object_get(meta, "name") || same_text(got, meta, "name")) &&
		(!json_object_get(meta, "namespace") || same_text(got, meta, "namespace"))))
		return;
	err_set(&out->why, ERR_UNAVAILABLE, "HTTP %ld with another object", out->status);
	out->verdict = KUBE_LATER;
	jsonx_unref(&out->body);
}

static char *text_of(const json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	if (!text)
		abort();
	return text;
}

/* CALL with OBJECT as its body, as our field manager; what is applied, by force. */
static void send(struct kube *k, struct kube_call call, const json_t *object, struct kube_answer *out)
{
	struct arena a;
	char *text = text_of(object);
	arena_init(&a, 0);
	call.body = slice_of(text);
	bool apply = strcmp(call.content_type, APPLY_TYPE) == 0;
	call.path = kube_query(&a, call.path, "fieldManager=%s%s%s", k->manager, apply ? "&force=true" : "",
	    k->dry_run ? "&dryRun=All" : "");
	kube_ask(k, &call, out);
	free(text);
	arena_done(&a);
}

void kube_get(struct kube *k, const char *path, const json_t *object, struct kube_answer *out)
{
	const struct kube_call call = {.verb = "get", .method = "GET", .path = path, .reads = true};
	kube_ask(k, &call, out);
	check_object(object, out);
}

/* OBJECT with that resourceVersion; to be freed. */
static json_t *at_version(const json_t *object, const char *version)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)object);
	json_t *meta = json_copy(json_object_get(object, "metadata"));
	if (!copy || !meta || json_object_set_new(meta, "resourceVersion", json_string(version)) != 0 ||
	    json_object_set_new(copy, "metadata", meta) != 0)
		abort();
	return copy;
}

void kube_apply(struct kube *k, const char *path, const json_t *object, const char *version,
    struct kube_answer *out)
{
	AUTO(jsonx_unref) json_t *copy = version ? at_version(object, version) : NULL;
	const struct kube_call call = {
	    .verb = "apply", .method = "PATCH", .path = path, .content_type = APPLY_TYPE};
	send(k, call, copy ? copy : object, out);
	check_object(object, out);
}

void kube_create(struct kube *k, const char *collection, const json_t *object, struct kube_answer *out)
{
	const struct kube_call call = {
	    .verb = "create", .method = "POST", .path = collection, .content_type = JSON_TYPE};
	send(k, call, object, out);
	check_object(object, out);
}

void kube_put(struct kube *k, const char *path, const json_t *object, struct kube_answer *out)
{
	const struct kube_call call = {
	    .verb = "update", .method = "PUT", .path = path, .content_type = JSON_TYPE};
	send(k, call, object, out);
	check_object(object, out);
}

void kube_merge(struct kube *k, const char *path, const json_t *patch, struct kube_answer *out)
{
	const struct kube_call call = {
	    .verb = "patch", .method = "PATCH", .path = path, .content_type = MERGE_TYPE};
	send(k, call, patch, out);
	if (out->verdict == KUBE_OK && !json_object_get(out->body, "metadata")) {
		err_set(&out->why, ERR_UNAVAILABLE, "HTTP %ld with no object", out->status);
		out->verdict = KUBE_LATER;
		jsonx_unref(&out->body);
	}
}

/* The object that is to go, or that all is well. */
static void check_deleted(const char *uid, struct kube_answer *out)
{
	const json_t *o = out->body;
	if (out->verdict != KUBE_OK)
		return;
	bool status = slice_is(jsonx_text(json_object_get(o, "kind")), "Status");
	if (status ? slice_is(jsonx_text(json_object_get(o, "status")), "Success")
		   : slice_is(jsonx_text(json_object_get(json_object_get(o, "metadata"), "uid")), uid))
		return;
	err_set(&out->why, ERR_UNAVAILABLE, "HTTP %ld with another object", out->status);
	out->verdict = KUBE_LATER;
	jsonx_unref(&out->body);
}

void kube_delete(struct kube *k, const char *path, const char *uid, const char *version, struct kube_answer *out)
{
	AUTO(jsonx_unref) json_t *options = json_pack("{s:s, s:s, s:s, s:{s:s, s:s*}}", "kind", "DeleteOptions",
	    "apiVersion", "v1", "propagationPolicy", "Background", "preconditions", "uid", uid, "resourceVersion",
	    version);
	/* With a body the apiserver takes the options from there alone. */
	if (!options || (k->dry_run && json_object_set_new(options, "dryRun", json_pack("[s]", "All")) != 0))
		abort();
	char *text = text_of(options);
	const struct kube_call call = {
	    .verb = "delete",
	    .method = "DELETE",
	    .path = path,
	    .content_type = JSON_TYPE,
	    .body = slice_of(text),
	    .reads = true,
	};
	kube_ask(k, &call, out);
	check_deleted(uid, out);
	free(text);
}

/* --- life --- */

enum err_code kube_open(const struct kube_options *o, struct kube **out, struct err *e)
{
	struct kube *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	enum err_code rc = credentials_open(&k->credentials, o->path, o->context,
	    o->cluster_dir ? o->cluster_dir : SERVICE_ACCOUNT_DIR, e);
	if (rc != ERR_OK) {
		free(k);
		return rc;
	}
	k->http = httpc_new();
	k->timeout_ms = o->timeout_ms;
	k->idle_ms = o->idle_ms ? o->idle_ms : KUBE_IDLE_MS;
	k->gate = o->gate;
	k->renewals = o->renewals;
	k->renewed = o->renewals ? atomic_load(o->renewals) : 0;
	k->dry_run = o->dry_run;
	k->manager = strdup(o->manager ? o->manager : KUBE_FIELD_MANAGER);
	if (!k->manager)
		abort();
	kube_cancel_by(k, o->cancel);
	*out = k;
	return ERR_OK;
}

void kube_write_within(struct kube *k, kube_left *left, void *ctx)
{
	k->left = left;
	k->left_ctx = ctx;
}

enum err_code kube_new(const char *path, const char *context, int64_t timeout_ms, struct kube **out,
    struct err *e)
{
	const struct kube_options o = {.path = path, .context = context, .timeout_ms = timeout_ms};
	return kube_open(&o, out, e);
}

void kube_free(struct kube **kp)
{
	struct kube *k = TAKE(*kp);
	if (!k)
		return;
	httpc_free(&k->http);
	credentials_close(&k->credentials);
	free(k->manager);
	free(k);
}

void kube_cancel_by(struct kube *k, const struct cancel *cancel)
{
	k->cancel = k->credentials.cancel = cancel;
}

enum err_code kube_reload(struct kube *k, struct err *e)
{
	k->renewed = k->renewals ? atomic_load(k->renewals) : 0;
	httpc_forget(k->http); /* a connection is as old as the certificate that opened it */
	return credentials_renew(&k->credentials, e);
}

const char *kube_namespace(const struct kube *k)
{
	return k->credentials.config->namespace_;
}
