/* Owns the meaning of the apiserver's answers. */
#include <stdio.h>

#include "common/jsonx.h"
#include "rbac-sync/kube_parts.h"

/* An apiserver that serves a resource says 404 in a Status. Of what we ask for, UserRecords alone may be unknown to it. */
#define UNKNOWN_KIND ": the apiserver does not serve this; for userrecords: kubectl apply -f deploy/rbac-sync/crd.yaml"

enum kube_verdict kube_classify(long status, bool write)
{
	if (status >= 200 && status < 300)
		return KUBE_OK;
	if (status == 404 && !write)
		return KUBE_ABSENT;
	if (status == 409)
		return KUBE_CONFLICT;
	if (status == 410)
		return KUBE_GONE;
	if (status == 401 || status == 408 || status == 429 || status >= 500 || status < 200)
		return KUBE_LATER;
	return KUBE_REFUSED;
}

/* A word of ours to compare with: what does not fit, or is no word, is none. */
static void take_word(const json_t *o, const char *key, char *out, size_t size)
{
	struct slice text = jsonx_text(json_object_get(o, key));
	*out = '\0';
	if (text.len && text.len < size && slice_printable(text)) {
		memcpy(out, text.p, text.len);
		out[text.len] = '\0';
	}
}

static int64_t bounded(int64_t seconds)
{
	return seconds > KUBE_RETRY_AFTER_MAX ? KUBE_RETRY_AFTER_MAX : seconds;
}

void kube_answer_status(json_t *status, bool reads, struct kube_answer *out)
{
	const json_t *details = json_object_get(status, "details");
	const json_t *code = json_object_get(status, "code");
	const json_t *wait = json_object_get(details, "retryAfterSeconds");
	struct slice message = jsonx_text(json_object_get(status, "message"));
	if (!out->status) {
		out->status = (long)json_integer_value(code);
		out->verdict = kube_classify(out->status, !reads);
	}
	if (out->wait < 0 && json_integer_value(wait) > 0)
		out->wait = bounded(json_integer_value(wait));
	out->own_words = slice_is(jsonx_text(json_object_get(status, "kind")), "Status");
	take_word(status, "reason", out->reason, sizeof(out->reason));
	take_word(json_array_get(json_object_get(details, "causes"), 0), "reason", out->cause, sizeof(out->cause));
	if (!slice_printable(message))
		message = SLICE("(message withheld)");
	err_set(&out->why, ERR_UNAVAILABLE, "HTTP %ld%s%.*s", out->status, message.len ? ": " : "",
	    (int)(message.len < 400 ? message.len : 400), message.len ? message.p : "");
}

/* A Status object has a sentence, printable and short; a proxy's page of HTML says nothing. */
static void explain(const struct httpc_response *res, bool reads, struct kube_answer *out)
{
	json_t *o = NULL;
	struct err bad;
	if (jsonx_object_lenient(buf_view(&res->body), KUBE_ANSWER_MAX, &o, &bad) != ERR_OK)
		err_set(&out->why, ERR_UNAVAILABLE, "HTTP %ld%s", res->status, res->status == 404 ? UNKNOWN_KIND : "");
	else
		kube_answer_status(o, reads, out);
	jsonx_unref(&o);
}

void kube_answer_read(const struct httpc_response *res, bool reads, struct kube_answer *out)
{
	out->status = res->status;
	out->wait = bounded(res->retry_after);
	out->verdict = kube_classify(res->status, !reads);
	if (out->verdict != KUBE_OK)
		explain(res, reads, out);
	/* A missing kind of resource has no Status either: that says nothing about an object. */
	if (out->verdict == KUBE_ABSENT && !out->own_words)
		out->verdict = KUBE_REFUSED;
}

void kube_answer_done(struct kube_answer *a)
{
	jsonx_unref(&a->body);
}
