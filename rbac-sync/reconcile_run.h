/* What the parts of reconciling one record share: the work on one record, from its snapshot to its report. */
#ifndef RBAC_SYNC_RECONCILE_RUN_H
#define RBAC_SYNC_RECONCILE_RUN_H

#include "rbac-sync/reconcile.h"

/* What became of one action. Zero: not tried, or nobody knows. */
enum outcome_kind {
	OUTCOME_OPEN = 0,
	OUTCOME_STANDS,	  /* is as it should be */
	OUTCOME_WRITTEN,  /* is now */
	OUTCOME_CREATED,  /* was not there before */
	OUTCOME_FOREIGN,  /* somebody else's stands there */
	OUTCOME_REFUSED,  /* the apiserver says no */
	OUTCOME_WAITS,	  /* for its namespace */
	OUTCOME_DRIFTS,	  /* differs, and stays so: the template or the limit of repairs says so */
	OUTCOME_REMOVED,
	OUTCOME_RELEASED, /* leaves the inventory alone */
	OUTCOME_HELD	  /* to be removed, but not yet */
};

struct outcome {
	enum outcome_kind kind;
	struct record_binding entry; /* of STANDS, WRITTEN, CREATED */
	const char *why;	     /* a sentence; or NULL */
	long status;		     /* HTTP, of REFUSED */
};

struct run {
	const struct reconciler *r;
	struct kube *k;
	struct arena *a;
	const char *key;
	struct record was;    /* as read; the version and inventory of our last write of it */
	struct record record; /* the same, intents resolved, with what is known of the user now */
	struct record last;   /* of a predecessor of the same name that was deleted; name NULL: none */
	struct life life;
	struct due due;
	const struct sync_config *config;
	const char *templates_digest;
	unsigned pass;
	struct actions_view view;
	struct action *actions;
	struct outcome *outcomes;
	size_t len;
	size_t writes;
	bool trouble, lost; /* of the apiserver; leadership */
	bool stale;	    /* what we knew is old: somebody wrote meanwhile */
	bool refused;	    /* what all hangs on, such as the status, may not be written */
	int64_t wait;	    /* seconds that the apiserver asks for; -1 */
	const char *trouble_why;
	bool blocked; /* removals are over the limit */
	bool held;    /* removals wait */
	int64_t ask;  /* clock_mono to ask for them again; INT64_MAX */
	bool holds;   /* something shared waits for a full pass */
	bool gone;    /* the record itself is no more */
};

/* The record's own place. */
struct object_id run_id(const struct run *run);

/* May something be written now? Notes it when leadership is lost. */
bool run_may_write(struct run *run);

/* Notes what an answer without success means for the run; true when the rest is not to be tried. */
bool run_failed(struct run *run, const struct kube_answer *got);

/* The record itself may not be written: the answer GOT says why. */
void run_refused(struct run *run, const struct kube_answer *got);

/* The work on the record must end here. */
static inline bool run_over(const struct run *run)
{
	return run->trouble || run->lost || run->stale || run->refused;
}

/* It was changed by others and stays so, and that is to be told: not where the template says that nobody cares. */
static inline bool run_drift_told(const struct action *act, const struct outcome *out)
{
	return out->kind == OUTCOME_DRIFTS && act->want && act->want->drift != DRIFT_OFF;
}

/* Reads the record anew, for the next look at it. */
void run_reread(struct run *run);

/* --- reconcile_apply.c --- */
/* Does an APPLY; notes trouble and lost leadership in RUN. */
void reconcile_apply(struct run *run, struct action *act, struct outcome *out);
/* Reads what a DELETE would remove, when the store does not show it: it may become another action. */
void reconcile_look(struct run *run, struct action *act, struct outcome *out);
/* Does a DELETE that may be done now. */
void reconcile_remove(struct run *run, struct action *act, struct outcome *out);
/* Fills in the uids of bindings that stand in the inventory without one, or drops them. False: not known now. */
bool reconcile_resolve(struct run *run);
/* What stands at ID: from the store, or from the apiserver for a kind that is not watched. Notes trouble in RUN. */
bool reconcile_view(struct run *run, const struct object_id *id, struct observed *out);
/* What is written for WANT; the caller owns it. */
json_t *reconcile_body(const struct run *run, const struct desired *want);
struct record_binding reconcile_entry(
    const struct run *run, const struct desired *want, const char *uid, const uint8_t live[SHA256_LEN]);

/* --- reconcile.c --- */
/* The two below write nothing: `portcullis sync plan` asks them too. RUN has record, key, pass, r, k and an arena. */
/* What the record is due, told to the index of what is shared; true when that made the pass full. */
bool reconcile_expect(struct run *run, const struct templates_held *held) MUST_CHECK;
/* Then what is to be done. False: not known now, TROUBLE says why. */
bool reconcile_plan(struct run *run) MUST_CHECK;
/* The answer to the question that an action without LIVE asks: it may become another. False: trouble. */
bool reconcile_ask(struct run *run, struct action *act);
/* What an action that is no write and no removal means. */
void reconcile_note(struct run *run, const struct action *act, struct outcome *out);

/* --- reconcile_remove.c --- */
/* All removals, as far as limits let; needs the outcomes of everything else. */
void reconcile_removals(struct run *run);

/* --- reconcile_status.c --- */
/* Writes what is about to be created into the inventory. False: not done, RUN says why. */
bool reconcile_intend(struct run *run);
/* Writes what became of everything, when it differs from what stands there. */
void reconcile_settle(struct run *run);

/* --- reconcile_tell.c: logs, metrics and events --- */
void tell_outcome(struct run *run, const struct action *act, const struct outcome *out);
void tell_refusals(struct run *run);
void tell_phase(struct run *run, const struct record *now);
void tell_groups(struct run *run, const struct record *now); /* those lost, and given back, since WAS */
void tell_blocked(struct run *run);
void tell_fight(struct run *run, const struct action *act);

#endif
