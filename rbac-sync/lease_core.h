/* Inside of the leader election: what one candidate knows of the Lease and what follows from it. Pure: no clock, no
 * network, one thread at a time; lease.h is for everybody else. */
#ifndef RBAC_SYNC_LEASE_CORE_H
#define RBAC_SYNC_LEASE_CORE_H

#include <jansson.h>

#include "rbac-sync/lease.h"

#define LEASE_IDENTITY_MAX 128
#define LEASE_HASH_MAX 128

/* All times but WALL are clock_boot. */
struct lease_core {
	const struct lease_config *config;
	const char *namespace_;
	char me[LEASE_IDENTITY_MAX];
	char hash[LEASE_HASH_MAX]; /* of what we work by; "": not told yet */
	int64_t hash_since;	   /* when that changed */
	json_t *object;		   /* as last read or answered; NULL: there is none */
	json_t *spec;		   /* the last one seen, also when the Lease is gone by now */
	struct lease_view view;	   /* borrows from both */
	bool looked;		   /* the view is of something */
	int64_t led_from;	   /* when the write began that made or kept us leader; 0: not leading */
	int64_t won;		   /* led_from of the write that made us leader */
	int64_t dissent_seen;	   /* when the note of a dissent changed last */
	int64_t dissented;	   /* when we noted a dissent of our own; 0: never */
	uint64_t transitions;	   /* changes of the holder that were seen, the first sight not among them */
};

/* C and NAMESPACE must outlive the core. */
void lease_core_init(struct lease_core *l, const struct lease_config *c, const char *namespace_, const char *me);
void lease_core_done(struct lease_core *l);

/* What a GET or a write was answered, OBJECT NULL: there is no Lease. ERR_INVALID when OBJECT is no Lease: then
 * nothing has changed. */
enum err_code lease_core_saw(struct lease_core *l, json_t *object, int64_t now, struct err *e) MUST_CHECK;

/* The answer of a write of ours that began at STARTED. */
enum err_code lease_core_wrote(
    struct lease_core *l, json_t *object, int64_t started, int64_t now, struct err *e) MUST_CHECK;

/* lease_decide on what was seen. */
enum lease_step lease_core_next(struct lease_core *l, int64_t now);

bool lease_core_leading(const struct lease_core *l, int64_t now);

/* What to write for STEP (not WAIT); NOTES: key to text, or to null for a note to remove; or NULL. The caller owns the
 * result. */
json_t *lease_core_body(const struct lease_core *l, enum lease_step step, const json_t *notes, int64_t wall);

/* What gives the Lease back; NULL when it is not ours. */
json_t *lease_core_release(const struct lease_core *l, int64_t wall);

/* What a standby writes about the leader's working by another digest than ours, or by ours again; NULL: nothing. Only
 * annotations change: to candidates the Lease stays as old as it is. */
json_t *lease_core_dissent(const struct lease_core *l, int64_t now, int64_t wall);

/* We work by HASH, one word, from NOW on. */
void lease_core_hash(struct lease_core *l, const char *hash, int64_t now);

/* For the leader: does somebody work by another digest, or can that not be told? */
bool lease_core_disputed(const struct lease_core *l, int64_t now);

/* Text of an annotation as last seen; NULL when there is none. */
const char *lease_core_note(const struct lease_core *l, const char *key);

#endif
