/* Owns one watch: the stream of events and what ends it. */
#include "common/jsonx.h"
#include "rbac-sync/kube_lines.h"
#include "rbac-sync/kube_parts.h"

#define GRACE_MS 30000 /* beyond the time at which the server was asked to close */

struct stream {
	struct kube *k;
	struct kube_lines lines;
	kube_event *each;
	void *ctx;
	struct kube_answer *out;
	bool ended; /* by an event or by us: OUT says how */
};

static bool end(struct stream *s, enum kube_verdict verdict)
{
	s->ended = true;
	s->out->verdict = verdict;
	return false;
}

static bool on_line(void *ctx, struct slice line)
{
	struct stream *s = ctx;
	struct kube_answer *out = s->out;
	AUTO(jsonx_unref) json_t *event = NULL;
	if (jsonx_object_lenient(line, KUBE_EVENT_MAX, &event, &out->why) != ERR_OK) {
		err_wrap(&out->why, "an event of the watch");
		return end(s, KUBE_LATER);
	}
	const char *type = json_string_value(json_object_get(event, "type"));
	json_t *object = json_object_get(event, "object");
	if (!type || !json_is_object(object)) {
		err_set(&out->why, ERR_UNAVAILABLE, "an event of the watch without type or object");
		return end(s, KUBE_LATER);
	}
	if (strcmp(type, "ERROR") != 0) {
		s->each(s->ctx, type, object);
		return true;
	}
	out->status = 0;
	kube_answer_status(object, true, out);
	/* An error that calls itself a success, or nothing there, is none of them. */
	return end(s, out->verdict == KUBE_OK || out->verdict == KUBE_ABSENT ? KUBE_LATER : out->verdict);
}

static bool on_piece(void *ctx, struct slice piece)
{
	struct stream *s = ctx;
	if (piece.len == 0) {
		s->each(s->ctx, NULL, NULL);
		return true;
	}
	if (kube_lines_feed(&s->lines, piece, on_line, s))
		return true;
	if (!s->ended) {
		err_set(&s->out->why, ERR_LIMIT, "an event of the watch is longer than %zu bytes", s->lines.max);
		end(s, KUBE_LATER);
	}
	return false;
}

/* The connection shows the certificate it was opened with for as long as it lives. */
static bool on_tick(void *ctx)
{
	struct stream *s = ctx;
	bool old = kube_wants_renewal(s->k) || credentials_rotated(&s->k->credentials);
	return old ? end(s, KUBE_OK) : true;
}

static void finish(struct stream *s, enum err_code rc, const struct err *e, const struct httpc_response *res)
{
	struct kube_answer *out = s->out;
	if (s->ended)
		return;
	if (rc != ERR_OK) {
		out->verdict = KUBE_LATER;
		out->why = *e;
		return;
	}
	kube_answer_read(res, true, out);
	if (out->verdict == KUBE_OK && kube_lines_cut(&s->lines)) {
		err_set(&out->why, ERR_UNAVAILABLE, "the watch ended within an event");
		out->verdict = KUBE_LATER;
	}
}

void kube_watch(struct kube *k, const char *collection, const char *query, const char *version, int seconds,
    kube_event *each, void *ctx, struct kube_answer *out)
{
	struct arena a;
	struct err e = {0};
	struct httpc_response res;
	struct stream s = {.k = k, .each = each, .ctx = ctx, .out = out};
	const struct httpc_reader reader = {
	    .piece = on_piece, .tick = on_tick, .ctx = &s, .idle_ms = k->idle_ms};
	struct buf path;
	arena_init(&a, 0);
	buf_init(&path, (size_t)64 << 10);
	buf_printf(&path, "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=", collection,
	    seconds);
	kube_escape(&path, version);
	if (query)
		buf_printf(&path, "&%s", query);
	kube_lines_init(&s.lines, KUBE_EVENT_MAX);
	*out = (struct kube_answer){.verdict = KUBE_LATER, .wait = -1};
	const struct kube_call call = {
	    .verb = "watch",
	    .method = "GET",
	    .path = arena_strdup(&a, buf_cstr(&path)),
	    .reads = true,
	    .timeout_ms = (int64_t)seconds * 1000 + GRACE_MS,
	    .reader = &reader,
	};
	enum err_code rc = kube_exchange(k, &call, &res, &e);
	finish(&s, rc, &e, &res);
	httpc_response_done(&res);
	kube_lines_done(&s.lines);
	buf_done(&path);
	arena_done(&a);
}
