/* From what is due, what we made and what stands there to what is to be done: pure. */
#ifndef RBAC_SYNC_ACTIONS_H
#define RBAC_SYNC_ACTIONS_H

#include "rbac-sync/lifecycle.h"
#include "rbac-sync/due.h"
#include "rbac-sync/store.h"

enum action_kind {
	ACTION_KEEP = 0, /* as it should be: stays in the inventory */
	ACTION_APPLY,	 /* write; OBSERVED is what stands there, or NULL: read before (the store may be late) */
	ACTION_REFUSE,	 /* somebody else's object or namespace stands there */
	ACTION_WAIT,	 /* its namespace terminates or is not there yet */
	ACTION_DRIFT,	 /* differs, and the template says report or off */
	ACTION_DELETE,	 /* no longer due and proven ours */
	ACTION_RELEASE	 /* no longer due, but gone, not ours, kept or shared: only leaves the inventory */
};

/* Why something is removed: decides which limits hold. */
enum removal {
	REMOVAL_UNDUE = 0, /* group left, template changed, role refused: limited */
	REMOVAL_REPLACED,  /* the same template gives the same subject another role there: not limited */
	REMOVAL_EXPIRED,   /* its announced end has come: not limited */
	REMOVAL_SUSPENDED, /* an admin said so for this one user: not limited */
	REMOVAL_DISABLED,  /* lifecycle: limited */
	REMOVAL_DELETED	   /* the record is gone or goes: limited */
};

struct action {
	enum action_kind kind;
	const struct desired *want;		/* NULL for DELETE and RELEASE */
	const struct record_binding *had;	/* its entry of the inventory; or NULL */
	const struct observed *live;		/* or NULL */
	enum removal removal;
	bool drift;				/* an APPLY that repairs what somebody changed */
	const char *why;			/* a sentence, for REFUSE, WAIT, DRIFT and RELEASE */
};

struct actions_view {
	void *ctx;
	bool (*object)(void *ctx, const struct object_id *id, struct arena *a, struct observed *out);
	/* Another record is due this shared object. ERR on the safe side: true when not known. */
	bool (*due_elsewhere)(void *ctx, const struct object_id *id, const char *record);
};

/* Applies come first, in the order of kinds, removals last: a changed roleRef leaves no moment without a grant, and
 * a removal that is REPLACED must not be done when its successor's apply failed (the executor's duty). LIFE says
 * whether DUE counts at all: a disabled or deleted user is due nothing. Removal of namespaces only when LIFE is
 * deleted and the entry is not orphan. */
size_t actions_make(struct arena *a, const struct record *r, const struct due *due, const struct life *life,
    const struct actions_view *view, struct action **out);

#endif
