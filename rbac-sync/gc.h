/* The limit on removals: nothing that is limited goes unless the whole run is small enough, or an admin confirmed
 * just that run. Thread-safe; all times are of the monotonic clock, so that no step of the other one moves anything.
 *
 * A run is what all records together want removed. It is judged when nobody has wanted more for `settle`, at the
 * latest 60 times that after its first candidate; until then nothing of it goes. What went within `window` counts, so
 * that a trickle is a run too. Over the limit the run is pinned: it gets an id, nothing limited goes any more, and
 * what is wanted later is another run, judged after this one. The pin ends with the admin's confirmation, or when
 * nobody wants anything of it any more. */
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
	GC_BLOCKED,  /* the run is over the limit: nothing goes until an admin confirms; *AGAIN as above */
	GC_GO	     /* do it now, then gc_done */
};

struct gc;
struct gc *gc_new(const struct gc_config *c);
void gc_free(struct gc **g);

/* REFUSED (a sentence, copied) stops all limited removals whatever their number: not the leader for sure, stores not
 * synced, replicas with different templates, no full pass yet. NULL: go on. Held until the first call with NULL. */
void gc_hold(struct gc *g, const char *why);

/* RECORD wants to remove the N objects IDS (limited ones only, the record itself among them when it goes; no id
 * twice): in place of what it wanted before. MANAGED: how many objects we manage in all. A GO is for all N, counts
 * at once, and is followed by gc_done whatever became of them. No N: as gc_forget, and GO. */
enum gc_answer gc_ask(struct gc *g, const char *record, const struct object_id *ids, size_t n, size_t managed,
    int64_t *again);

/* RECORD wants nothing any more: to be told when a plan has no limited removals and when a record is gone. */
void gc_forget(struct gc *g, const char *record);

/* N of those that a GO was for are removed; the others are given back to the window, and stay confirmed if they
 * were: a confirmed run may take several passes. */
void gc_done(struct gc *g, const char *record, size_t n);

/* Counts a removal of any cause: portcullis_sync_gc_deleted_total. */
void gc_removed(enum object_kind kind);

/* The blocked run: its id (a digest over what it would remove), empty when none; and why. */
#define GC_RUN_ID_LEN 12
struct gc_state {
	char run[GC_RUN_ID_LEN + 1];
	size_t candidates; /* of the run, or waiting */
	size_t allowed;
	char why[256]; /* or "" */
};
void gc_look(struct gc *g, struct gc_state *out);

/* What an admin confirmed: the note NOTE_GC_CONFIRM ("RUN-ID UNIX-TIME"), as often as it is read. True, once, when it
 * is the blocked run's and not older than an hour: then that run goes, and no other. The caller removes the note and
 * queues all records; the run's members need not wait for their *AGAIN. A note is good for one run in the life of G. */
#define GC_CONFIRM_SECONDS 3600
bool gc_confirm(struct gc *g, const char *note);

/* What must outlive a leader, as a short text: how much of the window is used, and the blocked run. The leader puts
 * it on the Lease (NOTE_GC_WINDOW) whenever it changed. Who becomes leader calls gc_import before its first gc_ask,
 * with NULL when there is no note: everything that is known from an earlier leadership is dropped but the window;
 * what the note counts beyond that is added as if it had been removed this moment. A run that was blocked then
 * stays blocked, also when it has become small: the first run that is judged is pinned, unless none is wanted when
 * the hold ends.
 *
 * Not covered: what a leader removed between its last renewal of the Lease and a crash. Without an election
 * (leaderElection.enabled: false) nothing survives a restart. */
#define NOTE_GC_WINDOW "portcullis.dev/gc-window"
#define GC_EXPORT_LEN 40
#define GC_EXPORT_NONE " -" /* in the text: no run is blocked */
void gc_export(struct gc *g, char out[GC_EXPORT_LEN]);
void gc_import(struct gc *g, const char *text);

#endif
