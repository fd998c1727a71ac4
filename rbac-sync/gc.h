/* The limit on removals: nothing that is limited goes unless the whole run is small enough, or an admin confirmed
 * just that run. Thread-safe. */
#ifndef RBAC_SYNC_GC_H
#define RBAC_SYNC_GC_H

#include "rbac-sync/actions.h"

struct gc_config {
	int64_t max_deletes, max_percent; /* of one run: 20, and 5 % of what we manage, but at least 5 */
	int64_t window;			  /* ns over which what was removed counts as one run */
	int64_t settle;			  /* ns that candidates wait for others of the same cause: 1 s */
};

enum gc_answer {
	GC_WAIT = 0, /* ask again when *AGAIN (clock_mono) has come */
	GC_BLOCKED,  /* the run is over the limit: nothing goes until an admin confirms */
	GC_GO	     /* do it now, then gc_done */
};

struct gc;
struct gc *gc_new(const struct gc_config *c);
void gc_free(struct gc **g);

/* REFUSED (a sentence) stops all limited removals whatever their number: not the leader for sure, stores not synced,
 * replicas with different templates, no full pass yet. NULL: go on. */
void gc_hold(struct gc *g, const char *why);

/* RECORD wants to remove the N objects IDS (limited ones only). MANAGED: how many objects we manage in all. */
enum gc_answer gc_ask(struct gc *g, const char *record, const struct object_id *ids, size_t n, size_t managed,
    int64_t *again);
void gc_forget(struct gc *g, const char *record); /* wants nothing any more */
void gc_done(struct gc *g, const char *record, size_t n);

/* The blocked run: its id (a digest over what it would remove), empty when none; and why. */
#define GC_RUN_ID_LEN 12
struct gc_state {
	char run[GC_RUN_ID_LEN + 1];
	size_t candidates; /* of the run, or waiting */
	size_t allowed;
	char why[256];
};
void gc_look(struct gc *g, struct gc_state *out);

/* What an admin confirmed (Lease annotation); only the run of that id goes. */
void gc_confirm(struct gc *g, const char *run);

#endif
