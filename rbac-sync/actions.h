/* From what is due, what we made and what stands there to what is to be done: pure. */
#ifndef RBAC_SYNC_ACTIONS_H
#define RBAC_SYNC_ACTIONS_H

#include "rbac-sync/lifecycle.h"
#include "rbac-sync/due.h"
#include "rbac-sync/store.h"

enum action_kind {
	ACTION_KEEP = 0, /* as it should be: its entry takes uid and digest from LIVE; WANT NULL: the entry stays as it
			  * is though it is not due (WHY) */
	ACTION_APPLY,	 /* write; OBSERVED is what stands there, or NULL: read before (the store may be late) */
	ACTION_REFUSE,	 /* somebody else's object or namespace stands there; leaves the inventory */
	ACTION_WAIT,	 /* its namespace terminates or is not there yet; WANT NULL: cannot be removed yet. Stays in the
			  * inventory if it is there; to be looked at again */
	ACTION_DRIFT,	 /* differs, and the template says report or off; stays in the inventory */
	ACTION_DELETE,	 /* no longer due and proven ours; OBSERVED NULL: read before, the store shows labelled ones only */
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
	const struct desired *successor;	/* of a removal: the grant that may come in its place; or NULL */
	bool drift;				/* an APPLY that repairs what somebody changed or deleted */
	const char *why;			/* a sentence, unless it is a plain KEEP, APPLY or DELETE */
};

/* Is another record due this object? Zero: not known yet, so it stays. */
enum elsewhere { ELSEWHERE_UNKNOWN = 0, ELSEWHERE_DUE, ELSEWHERE_NOT };

struct actions_view {
	void *ctx;
	int64_t now; /* unix seconds: tells what has expired */
	bool (*object)(void *ctx, const struct object_id *id, struct arena *a, struct observed *out);
	/* Asked before each removal, with the due of RECORD itself worked in already: of two members
	 * that leave at once, one must see that it is the last. NOT only after a full pass over all records. */
	enum elsewhere (*due_elsewhere)(void *ctx, const struct object_id *id, const char *record);
	/* Objects of TEMPLATE that are no longer due may go; NULL function: all. A template that is gone answers as
	 * the defaults say. */
	bool (*prunes)(void *ctx, const char *template_);
};

/* Applies come first, in the order of kinds, removals last: a changed roleRef leaves no moment without a grant, and
 * a removal with a SUCCESSOR must not be done when that one's apply failed for the moment (the executor's duty;
 * when it was refused for good, the removal is as one that is UNDUE and has none). LIFE says whether DUE counts:
 * who is disabled or suspended is due no bindings, and what else was made (namespaces with their quotas, limits,
 * policies) stays and is kept in order; who is deleted is due nothing. DUE is to be made in any case: it tells of
 * namespaces whether they are left. Those go only when LIFE is deleted, DUE still has them and they are neither
 * orphan nor adopted.
 *
 * Ours to write over: what has the uid of the inventory's entry; else what bears our marks and names no other
 * owner; else what took the place of an entry under our prefix or in the user's own namespace. Ours to remove: only
 * what has the uid of the entry, our prefix (bindings) and a mark; a binding's mark is also that its name is what
 * we would give to one of the record's subjects. */
size_t actions_make(struct arena *a, const struct record *r, const struct due *due, const struct life *life,
    const struct actions_view *view, struct action **out);

/* X was to be read before (APPLY or DELETE without LIVE): decides on it anew, LIVE (NULL: there is nothing) being what
 * the apiserver said. An APPLY may become KEEP, REFUSE, WAIT or DRIFT; a DELETE may become RELEASE, KEEP or WAIT. */
void action_settle(struct action *x, struct arena *a, const struct record *r, const struct life *life,
    const struct actions_view *view, const struct observed *live);

/* May the cluster take WANT, one of DUE, along when it takes the record (ownerReferences)? Not what is shared, not a
 * namespace that is left or was there before, and not what limits such a namespace. */
bool actions_goes_along(const struct due *due, const struct desired *want);

/* "apply", "delete" … and "undue", "replaced" …, for logs and reports. */
const char *action_name(enum action_kind kind);
const char *removal_name(enum removal removal);

/* The limits on removals count it. */
static inline bool removal_limited(enum removal r)
{
	return r == REMOVAL_UNDUE || r == REMOVAL_DISABLED || r == REMOVAL_DELETED;
}

#endif
