/* What the parts of the intake share: one event's way into a record, those that wait, and the acknowledgements. */
#ifndef RBAC_SYNC_INTAKE_PARTS_H
#define RBAC_SYNC_INTAKE_PARTS_H

#include "common/map.h"
#include "common/secret.h"
#include "common/spool_ack.h"
#include "rbac-sync/intake.h"

/* --- one event (intake_record.c) --- */

/* Zero is no success. */
enum intake_end {
	INTAKE_LATER = 0, /* the apiserver is in trouble: all events wait */
	INTAKE_BARRED,	  /* nothing may be written: no such resource, or no right to it; all events wait */
	INTAKE_REFUSED,	  /* this event: the same again gives the same */
	INTAKE_BUSY,	  /* others write that record, or it is being deleted: this event again, a little later */
	INTAKE_HELD,	  /* a new user over the limits: this event waits for its turn */
	INTAKE_DONE	  /* the record says what the event says, or something newer */
};

struct intake_result {
	enum intake_end end;
	enum record_merge merge; /* with DONE */
	bool created;		 /* with DONE */
	char uid[64];		 /* of the record, when it was created; or "" */
	int64_t wait;		 /* seconds that the server asks for; -1: it does not say */
	const char *held;	 /* with HELD: the limit's name */
	bool hearsay;		 /* with REFUSED: not in the apiserver's own words: no reason to give the event up */
	struct err why;
};

struct intake_writer {
	struct kube *kube;
	struct store *records; /* or NULL */
	int64_t touch;	       /* seconds */
	int64_t max_users, new_users; /* the last one a minute */
	double tokens;		      /* of the bucket of new users */
	int64_t filled;		      /* clock_mono of the last refill */
};

void intake_write(
    struct intake_writer *w, const char *key, const struct spool_event *ev, struct intake_result *out);

/* clock_mono at which a held event may have its turn. */
int64_t intake_turn(const struct intake_writer *w);

/* --- events that wait (intake_waiting.c) --- */

/* An event in cur/, and when it is tried again. */
struct waiter {
	char key[SPOOL_KEY_LEN + 1];
	int64_t due; /* clock_mono */
	uint64_t order;
	unsigned failures, refused; /* refused: of them, by the apiserver itself */
	bool held;
};

/* Zeroed it is empty; the intake's thread alone uses it. */
struct waiting {
	struct map by_key; /* key → struct waiter */
	uint64_t claims;
};

struct waiter *waiting_find(const struct waiting *w, const char *key); /* NULL: it does not wait */
struct waiter *waiting_add(struct waiting *w, const char *key);	       /* the same; begins to wait if it did not */
void waiting_forget(struct waiting *w, const char *key);	       /* frees the waiter */
void waiting_clear(struct waiting *w);

/* Those that are due, first come first; for free(). The waiters stay W's. */
struct waiter **waiting_due(const struct waiting *w, int64_t now, size_t *n);
/* When the first one is due, at the latest UNTIL. */
int64_t waiting_first(const struct waiting *w, int64_t until);
/* All are due at once, or those alone that are held. */
void waiting_wake(struct waiting *w, bool held_only);

/* --- acknowledgements (intake_acks.c) --- */

struct intake_acks;

enum err_code intake_acks_new(
    const char *dir, struct store *records, struct intake_acks **out, struct err *e) MUST_CHECK;
void intake_acks_free(struct intake_acks **a);

/* The event of DIGEST is in the record of KEY, and portcullisd may be waiting. */
void intake_acks_told(struct intake_acks *a, const char *key, const uint8_t digest[SHA256_LEN]);
void intake_acks_seen(struct intake_acks *a, const char *key); /* any thread */
/* Looks at what was seen, and shows the worker alive or not. */
void intake_acks_run(struct intake_acks *a, bool healthy);
int intake_acks_fd(const struct intake_acks *a); /* readable when something was seen */

#endif
