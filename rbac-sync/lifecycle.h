/* The phases of a user's record by time, directory and admin, and the groups that it lost: pure. */
#ifndef RBAC_SYNC_LIFECYCLE_H
#define RBAC_SYNC_LIFECYCLE_H

#include "rbac-sync/record.h"

/* What the directories know of a user. Zero asserts nothing. */
enum directory_word {
	DIRECTORY_UNKNOWN = 0, /* none is asked about this provider, or its answer cannot be trusted */
	DIRECTORY_PRESENT,
	DIRECTORY_MISSING, /* not in the last good answer; not confirmed yet */
	DIRECTORY_GONE	   /* missing in two good answers far enough apart */
};

/* What they know of one group that a record claims: GONE is a group that the user is positively no longer in. */
struct directory_claim {
	enum directory_word word;
	int64_t since;	       /* unix seconds of the first good poll of the row that did not have it; 0: none */
	const char *directory; /* one that is to judge it; NULL: nobody is */
};

struct lifecycle_config { /* nanoseconds; 0: never */
	int64_t stale_after, disable_after, delete_after;
	bool disable_gone; /* a user that the directory positively lost is disabled */
};

/* What of the record holds now. */
enum life_state {
	LIFE_ACTIVE = 0, /* has what is due */
	LIFE_STALE,	 /* the same, marked */
	LIFE_DISABLED,	 /* nothing but namespaces */
	LIFE_SUSPENDED,	 /* the same, by an admin's word: not limited */
	LIFE_DELETED	 /* everything goes, then the record */
};

struct life {
	enum life_state state;
	const char *why;	/* a sentence; NULL when active */
	int64_t disable_after, delete_after; /* unix seconds at which it will happen; 0: not planned */
	int64_t next;		/* unix seconds of the next change by time alone; INT64_MAX: none */
};

/* spec.state Suspended wins, spec.state Active undoes what time or directory did; keep (spec or label) exempts from
 * everything but Suspended. A record that is being deleted in the cluster is deleted, whatever else it says. Times
 * count from last_seen (or created, for one who never came; neither known: time does nothing). NOW: unix seconds.
 *
 * Who is deleted was disabled first, for at least delete_after - disable_after by status.disabledAt: a clock that
 * jumps disables, which one patch undoes, and deletes nobody. The caller writes disabled_at = NOW when the state
 * becomes DISABLED and 0 when it ceases to be; NEXT counts on that.
 *
 * status.missingSince (record.missing_since) is set by the caller when WORD is GONE, kept while it is UNKNOWN or
 * MISSING, and removed when it is PRESENT. Who is disabled and has no binding in the inventory any more stays disabled
 * while it is set: a worker that has just started and knows nothing yet gives nothing back. The memory gives nothing
 * back, and takes nothing away either: who still has bindings, because their removal is blocked or was not finished,
 * loses them by the directory's word alone; and nobody is deleted on a memory. */
void lifecycle(const struct record *r, const struct lifecycle_config *c, enum directory_word word, int64_t now,
    struct life *out);

/* Which groups of R's identity count no longer (record.lost), in ARENA. CLAIMS: a word for each group of the identity.
 * What is GONE is lost. What the status says to be lost stays so while the word is UNKNOWN or MISSING, but not SURE:
 * a worker that has just started gives nothing back, and due_make takes nothing away on such a memory. It ends when the
 * word is PRESENT, when nobody is to judge it any more, when the identity no longer claims the group, and while
 * spec.state is Active. */
void lifecycle_groups(struct arena *a, struct record *r, const struct directory_claim *claims, int64_t now);

#endif
