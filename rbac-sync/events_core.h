/* Inside of the events: which are kept, which become a series, what is sent when. Pure: no clock, no network; the
 * caller locks. events.h is for everybody else. */
#ifndef RBAC_SYNC_EVENTS_CORE_H
#define RBAC_SYNC_EVENTS_CORE_H

#include "rbac-sync/events.h"

#define EVENTS_RECORDS_MAX 1024 /* whose buckets are remembered; a forgotten one is a full one */
#define EVENTS_TRIES_MAX 10	/* at one event, while the apiserver is in trouble */
#define EVENTS_TEXT_MAX 128	/* of names, reasons, the instance: the apiserver's limit for some of them */

/* What became of an event. Zero is the loss. */
enum event_fate { EVENT_SPAM = 0, EVENT_FULL, EVENT_TAKEN };
/* What the apiserver said. */
enum event_answer { EVENT_REFUSED_ = 0, EVENT_LATER, EVENT_GONE, EVENT_SENT };

struct event_item {
	bool used, warning;
	char record[EVENTS_TEXT_MAX], uid[EVENTS_TEXT_MAX], reason[EVENTS_TEXT_MAX]; /* record "": the worker */
	char *note;
	char name[3 * EVENTS_TEXT_MAX]; /* in the cluster; "": not there yet */
	int64_t first, last;		/* wall clock */
	int64_t touched;		/* clock_mono of the last one */
	uint64_t order;			/* of waiting */
	unsigned count, sent, tries;	/* waits while count != sent */
};

struct event_bucket {
	uint64_t record; /* keyed hash of its name */
	double tokens;
	int64_t at; /* clock_mono; 0: free */
};

struct events_core {
	char instance[EVENTS_TEXT_MAX], lease_namespace[EVENTS_TEXT_MAX], lease[2 * EVENTS_TEXT_MAX];
	struct event_item items[EVENTS_MAX];
	struct event_bucket buckets[EVENTS_RECORDS_MAX], all;
	uint64_t order;
};

void events_core_done(struct events_core *c);

/* Texts as for events_emit; RECORD NULL: the worker. NOW is clock_mono. */
enum event_fate events_core_add(struct events_core *c, const char *record, const char *uid, bool warning,
    const char *reason, const char *note, int64_t now, int64_t wall) __attribute__((nonnull(1, 5, 6)));

/* The next to send, which takes a token; NULL: none now, *WAIT are the ns until there may be one, -1: none waits. The
 * item stays in its place until events_core_answer. */
struct event_item *events_core_next(struct events_core *c, int64_t now, int64_t *wait);

/* What to POST to events_core_collection (IT has no name yet) or to merge at events_core_path; *COUNT is for
 * events_core_answer. The caller owns it. */
json_t *events_core_body(const struct events_core *c, struct event_item *it, unsigned *count);
const char *events_core_collection(const struct events_core *c, const struct event_item *it, struct arena *a);
const char *events_core_path(const struct events_core *c, const struct event_item *it, struct arena *a);

/* What was said to a body with COUNT; false when the event was given up. */
bool events_core_answer(struct event_item *it, enum event_answer answer, unsigned count);

#endif
