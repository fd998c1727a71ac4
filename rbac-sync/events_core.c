/* Owns the limits on events: series, buckets, what is forgotten first. */
#include "rbac-sync/events_core.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/map.h"

#define SERIES_WINDOW (600 * CLOCK_SECOND)
#define RECORD_BURST 25.0
#define RECORD_EVERY 300.0 /* seconds */
#define ALL_BURST 50.0
#define ALL_EVERY 0.1
#define GROUP_PATH "/apis/events.k8s.io/v1/namespaces/"

void events_core_done(struct events_core *c)
{
	for (size_t i = 0; i < EVENTS_MAX; i++)
		free(c->items[i].note);
	*c = (struct events_core){0};
}

/* --- buckets --- */

static void refill(struct event_bucket *b, double burst, double every, int64_t now)
{
	double more = (double)(now - b->at) / (double)CLOCK_SECOND / every;
	b->tokens = b->at == 0 || b->tokens + more > burst ? burst : b->tokens + more;
	b->at = now;
}

static bool spend(struct event_bucket *b)
{
	if (b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

static bool spend_of_record(struct events_core *c, const char *record, int64_t now)
{
	uint64_t key = map_hash(slice_of(record));
	struct event_bucket *b = NULL, *oldest = &c->buckets[0];
	for (size_t i = 0; i < EVENTS_RECORDS_MAX && !b; i++) {
		if (c->buckets[i].at && c->buckets[i].record == key)
			b = &c->buckets[i];
		if (c->buckets[i].at < oldest->at)
			oldest = &c->buckets[i];
	}
	if (!b) {
		b = oldest;
		*b = (struct event_bucket){.record = key};
	}
	refill(b, RECORD_BURST, RECORD_EVERY, now);
	return spend(b);
}

/* --- taking in --- */

static bool waits(const struct event_item *it)
{
	return it->used && it->count != it->sent;
}

static struct event_item *find(struct events_core *c, const char *record, bool warning, const char *reason)
{
	for (size_t i = 0; i < EVENTS_MAX; i++) {
		struct event_item *it = &c->items[i];
		if (it->used && it->warning == warning && strcmp(it->record, record) == 0 &&
		    strcmp(it->reason, reason) == 0)
			return it;
	}
	return NULL;
}

/* A free place, or that of the series which is quiet for longest; NULL when all wait. */
static struct event_item *place(struct events_core *c)
{
	struct event_item *quiet = NULL;
	for (size_t i = 0; i < EVENTS_MAX; i++) {
		struct event_item *it = &c->items[i];
		if (!it->used)
			return it;
		if (!waits(it) && (!quiet || it->touched < quiet->touched))
			quiet = it;
	}
	return quiet;
}

/* At most EVENTS_NOTE_MAX bytes of TEXT, whole characters, nothing that a terminal obeys. */
static char *clean(const char *text)
{
	size_t n = strnlen(text, EVENTS_NOTE_MAX + 1);
	if (n > EVENTS_NOTE_MAX)
		for (n = EVENTS_NOTE_MAX; n && ((unsigned char)text[n] & 0xC0) == 0x80;)
			n--;
	char *note = strndup(text, n);
	if (!note)
		abort();
	if (slice_printable(slice_of(note)))
		return note;
	for (size_t i = 0; i < n; i++)
		if (note[i] < ' ' || note[i] > '~')
			note[i] = '?';
	return note;
}

/* Whole characters: half of one is no JSON. */
static void copy(char out[EVENTS_TEXT_MAX], const char *text)
{
	size_t n = text ? strnlen(text, EVENTS_TEXT_MAX) : 0;
	if (n == EVENTS_TEXT_MAX)
		for (n--; n && ((unsigned char)text[n] & 0xC0) == 0x80;)
			n--;
	memcpy(out, text ? text : "", n);
	out[n] = '\0';
}

enum event_fate events_core_add(struct events_core *c, const char *record, const char *uid, bool warning,
    const char *reason, const char *note, int64_t now, int64_t wall)
{
	char key[EVENTS_TEXT_MAX];
	copy(key, record);
	if (!spend_of_record(c, key, now))
		return EVENT_SPAM;
	struct event_item *it = find(c, key, warning, reason);
	bool series = it && (waits(it) || now - it->touched < SERIES_WINDOW);
	if (!series) {
		it = it ? it : place(c);
		if (!it)
			return EVENT_FULL;
		free(it->note);
		*it = (struct event_item){.used = true, .warning = warning, .first = wall, .note = clean(note)};
		copy(it->record, record);
		copy(it->uid, uid);
		copy(it->reason, reason);
	}
	if (!waits(it))
		it->order = ++c->order;
	it->count++;
	it->last = wall;
	it->touched = now;
	return EVENT_TAKEN;
}

/* --- sending --- */

struct event_item *events_core_next(struct events_core *c, int64_t now, int64_t *wait)
{
	struct event_item *next = NULL;
	for (size_t i = 0; i < EVENTS_MAX; i++)
		if (waits(&c->items[i]) && (!next || c->items[i].order < next->order))
			next = &c->items[i];
	*wait = -1;
	if (!next)
		return NULL;
	refill(&c->all, ALL_BURST, ALL_EVERY, now);
	*wait = spend(&c->all) ? 0 : (int64_t)(ALL_EVERY * (double)CLOCK_SECOND);
	return *wait ? NULL : next;
}

static void set(json_t *o, const char *key, json_t *value)
{
	if (!o || !value || json_object_set_new(o, key, value) != 0)
		abort();
}

static json_t *micro_time(int64_t wall)
{
	char text[CLOCK_RFC3339_LEN];
	clock_rfc3339(wall, text);
	return json_string(text);
}

static const char *home(const struct events_core *c, const struct event_item *it)
{
	return it->record[0] ? EVENTS_NAMESPACE : c->lease_namespace;
}

static json_t *regarding(const struct events_core *c, const struct event_item *it)
{
	json_t *o = json_object();
	bool record = it->record[0];
	set(o, "apiVersion", json_string(record ? API_VERSION : "coordination.k8s.io/v1"));
	set(o, "kind", json_string(record ? "UserRecord" : "Lease"));
	set(o, "name", json_string(record ? it->record : c->lease));
	if (!record)
		set(o, "namespace", json_string(c->lease_namespace));
	if (it->uid[0])
		set(o, "uid", json_string(it->uid));
	return o;
}

static json_t *new_event(const struct events_core *c, const struct event_item *it)
{
	json_t *o = json_object(), *meta = json_object();
	set(meta, "name", json_string(it->name));
	set(meta, "namespace", json_string(home(c, it)));
	set(o, "apiVersion", json_string("events.k8s.io/v1"));
	set(o, "kind", json_string("Event"));
	set(o, "metadata", meta);
	set(o, "eventTime", micro_time(it->first));
	set(o, "reportingController", json_string(EVENTS_CONTROLLER));
	set(o, "reportingInstance", json_string(c->instance));
	set(o, "action", json_string("Sync"));
	set(o, "reason", json_string(it->reason));
	set(o, "type", json_string(it->warning ? "Warning" : "Normal"));
	set(o, "regarding", regarding(c, it));
	set(o, "note", json_string(it->note));
	return o;
}

json_t *events_core_body(const struct events_core *c, struct event_item *it, unsigned *count)
{
	uint64_t unique;
	bool fresh = it->sent == 0;
	if (fresh && it->tries == 0) {
		secret_random(&unique, sizeof(unique));
		snprintf(it->name, sizeof(it->name), "%s.%016llx", it->record[0] ? it->record : c->lease,
		    (unsigned long long)unique);
	}
	json_t *o = fresh ? new_event(c, it) : json_object();
	if (it->count > 1) {
		json_t *series = json_object();
		set(series, "count", json_integer(it->count));
		set(series, "lastObservedTime", micro_time(it->last));
		set(o, "series", series);
	}
	*count = it->count;
	return o;
}

const char *events_core_collection(const struct events_core *c, const struct event_item *it, struct arena *a)
{
	return arena_printf(a, GROUP_PATH "%s/events", home(c, it));
}

const char *events_core_path(const struct events_core *c, const struct event_item *it, struct arena *a)
{
	return arena_printf(a, GROUP_PATH "%s/events/%s", home(c, it), it->name);
}

bool events_core_answer(struct event_item *it, enum event_answer answer, unsigned count)
{
	if (answer == EVENT_LATER && ++it->tries < EVENTS_TRIES_MAX)
		return true;
	it->tries = 0;
	if (answer == EVENT_SENT) {
		it->sent = count;
		return true;
	}
	if (answer == EVENT_GONE && it->sent) {
		/* It outlived its time there; what came since is an event of its own. */
		it->count -= it->sent;
		it->sent = 0;
		it->first = it->last;
		return true;
	}
	free(it->note);
	*it = (struct event_item){0};
	return false;
}
