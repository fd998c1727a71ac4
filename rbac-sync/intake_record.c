/* Owns one event's way into its UserRecord: what stands there, whether it is older, and writing it. */
#include <stdio.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "rbac-sync/intake_parts.h"

#define TRIES_MAX 5 /* against other intakes, one after the other */
#define MINUTE (60 * CLOCK_SECOND)
#define AHEAD_MAX 86400 /* seconds; no two clocks differ by so much, but one that was set since */

struct attempt {
	struct intake_writer *w;
	const char *key, *path;
	const struct spool_event *ev;
	struct arena *arena;
	struct record stored;
	bool have, guessed; /* guessed: as the watch has it */
};

/* --- the flood guard --- */

static void refill(struct intake_writer *w)
{
	int64_t now = clock_mono();
	double max = (double)w->new_users;
	w->tokens += (double)(now - w->filled) / (double)MINUTE * max;
	w->filled = now;
	if (w->tokens > max)
		w->tokens = max;
}

int64_t intake_turn(const struct intake_writer *w)
{
	double missing = 1 - w->tokens;
	return w->filled + (missing > 0 ? (int64_t)(missing / (double)w->new_users * (double)MINUTE) + 1 : 0);
}

/* NULL when one more user may get a record; else the limit's name. */
static const char *over_limit(struct intake_writer *w)
{
	if (w->records && store_count(w->records, KIND_USER_RECORD) >= (size_t)w->max_users)
		return "maxUsers";
	refill(w);
	return w->tokens < 1 ? "maxNewUsersPerMinute" : NULL;
}

/* --- reading --- */

/* What an answer that is no success means for this event and the others. */
static void failed(const struct kube_answer *got, struct intake_result *out)
{
	out->why = got->why;
	out->wait = got->wait;
	out->end = INTAKE_LATER;
	if (got->verdict != KUBE_REFUSED)
		return;
	/* No resource or no right: nothing is wrong with the event, and the next one fares no better. */
	bool barred = got->status == 403 || got->status == 404 || got->status == 405;
	out->end = barred ? INTAKE_BARRED : INTAKE_REFUSED;
	out->hearsay = !got->own_words;
}

/* A record that cannot be read is written over: its identity is ours. */
static void take_stored(struct attempt *t, const json_t *object)
{
	struct err e = {0};
	t->have = true;
	if (record_read(object, t->arena, &t->stored, &e) == ERR_OK)
		return;
	struct slice version;
	if (jsonx_string(json_object_get(object, "metadata"), "resourceVersion", &version, &e) != ERR_OK)
		version = (struct slice){0};
	t->stored = (struct record){.resource_version = slice_dup(t->arena, version).p};
	log_warn("a record that cannot be read is written anew", LOG_STR("record", t->key),
	    LOG_STR("reason", e.msg));
}

/* The watch's view serves for a first look: what is written over it is conditional. */
static bool look(struct attempt *t, bool fresh, struct intake_result *out)
{
	struct kube_answer got;
	t->have = t->guessed = false;
	if (!fresh && t->w->records && store_record(t->w->records, t->key, t->arena, &t->stored)) {
		t->have = t->guessed = true;
		return true;
	}
	json_t *want = json_pack("{s:s,s:s,s:{s:s}}", "apiVersion", API_VERSION, "kind", RECORD_KIND, "metadata",
	    "name", t->key);
	kube_get(t->w->kube, t->path, want, &got);
	json_decref(want);
	if (got.verdict == KUBE_OK && t->w->records)
		store_learn(t->w->records, KIND_USER_RECORD, got.body);
	if (got.verdict == KUBE_OK)
		take_stored(t, got.body);
	else if (got.verdict != KUBE_ABSENT)
		failed(&got, out);
	bool ok = got.verdict == KUBE_OK || got.verdict == KUBE_ABSENT;
	kube_answer_done(&got);
	return ok;
}

/* --- writing --- */

/* A user who comes back is marked so at once, however short ago the record was written. */
static int64_t touch_of(const struct intake_writer *w, const struct record *r)
{
	return r->phase == PHASE_PENDING || r->phase == PHASE_READY || r->phase == PHASE_DEGRADED ? w->touch : 1;
}

static void remember(struct attempt *t, const json_t *body, struct intake_result *out)
{
	struct slice uid;
	struct err e;
	if (t->w->records)
		store_learn(t->w->records, KIND_USER_RECORD, body);
	if (!t->have && jsonx_string(json_object_get(body, "metadata"), "uid", &uid, &e) == ERR_OK)
		snprintf(out->uid, sizeof(out->uid), SLICE_FMT, SLICE_ARG(uid));
	out->created = !t->have;
	out->end = INTAKE_DONE;
}

/* False: somebody else was faster. A new record by POST, which makes or fails: an apply without a resourceVersion could
 * write over what another intake made since we looked. */
static bool write_record(struct attempt *t, struct intake_result *out)
{
	struct kube_answer got;
	struct spool_event ev = *t->ev;
	if (t->have && t->stored.identity.seen_at > ev.seen_at)
		ev.seen_at = t->stored.identity.seen_at;
	json_t *object = record_spec(&ev);
	if (t->have)
		kube_apply(t->w->kube, t->path, object, t->stored.resource_version, &got);
	else
		kube_create(t->w->kube, object_collection(t->arena, KIND_USER_RECORD, NULL), object, &got);
	json_decref(object);
	bool conflict = got.verdict == KUBE_CONFLICT;
	if (got.verdict == KUBE_OK)
		remember(t, got.body, out);
	else if (!conflict)
		failed(&got, out);
	else
		out->why = got.why;
	kube_answer_done(&got);
	return !conflict;
}

/* One more user is one too many, for now. */
static bool hold(struct attempt *t, struct intake_result *out)
{
	out->held = over_limit(t->w);
	if (out->held)
		out->end = INTAKE_HELD;
	return out->held != NULL;
}

static bool known_new(struct attempt *t)
{
	struct store *s = t->w->records;
	return s && store_synced(s, 1U << KIND_USER_RECORD) && !store_record(s, t->key, t->arena, &t->stored);
}

/* What stands there says the same, or something newer. */
static bool nothing_to_write(struct attempt *t, struct intake_result *out)
{
	out->merge = t->have ? record_merge(&t->stored, t->ev, touch_of(t->w, &t->stored)) : MERGE_WRITE;
	if (out->merge != MERGE_WRITE)
		out->end = INTAKE_DONE;
	return out->merge != MERGE_WRITE;
}

/* A watch that is late may say the same as the event while another intake said something else in between: newer news are
 * not dropped on its word. Of older ones it is right, as records only get newer. */
static bool may_be_late(const struct attempt *t, const struct intake_result *out)
{
	return t->guessed && out->merge == MERGE_SAME && t->ev->seen_at > t->stored.identity.seen_at;
}

/* A record that was seen in days to come was so by a clock that was wrong: nothing would ever be newer. */
static void doubt_future(struct attempt *t)
{
	if (t->have && t->stored.identity.seen_at > clock_unix() + AHEAD_MAX)
		t->stored.identity.seen_at = 0;
}

/* False: look again, at what is there now. */
static bool attempt(struct attempt *t, bool fresh, struct intake_result *out)
{
	/* No request before its turn; and none to look: making one that is there after all fails, then it is looked at. */
	bool new_ = !fresh && known_new(t);
	if (new_ && hold(t, out))
		return true;
	if (!new_ && !look(t, fresh, out))
		return true;
	doubt_future(t);
	if (t->have && t->stored.deleting)
		return true; /* what is written now goes with it */
	bool nothing = nothing_to_write(t, out);
	if (nothing && may_be_late(t, out)) {
		out->end = INTAKE_BUSY;
		return false;
	}
	if (nothing || (!t->have && hold(t, out)))
		return true;
	if (!write_record(t, out))
		return false;
	t->w->tokens -= out->created ? 1 : 0;
	return true;
}

void intake_write(
    struct intake_writer *w, const char *key, const struct spool_event *given, struct intake_result *out)
{
	struct arena a;
	struct spool_event ev = *given;
	int64_t now = clock_unix();
	if (ev.seen_at > now + AHEAD_MAX)
		ev.seen_at = now;
	arena_init(&a, 0);
	const struct object_id id = {.kind = KIND_USER_RECORD, .name = key};
	struct attempt t = {.w = w, .key = key, .ev = &ev, .arena = &a, .path = object_path(&a, &id)};
	*out = (struct intake_result){.end = INTAKE_BUSY, .wait = -1};
	for (int i = 0; i < TRIES_MAX; i++) {
		if (attempt(&t, i > 0, out))
			break;
	}
	if (out->end == INTAKE_BUSY && !out->why.msg[0])
		err_set(&out->why, ERR_UNAVAILABLE, "the record is being deleted");
	arena_done(&a);
}
