/* What `sync explain` tells of one user, in two forms. */
#ifndef CLI_SYNC_EXPLAIN_H
#define CLI_SYNC_EXPLAIN_H

#include "rbac-sync/reconcile_run.h"

struct explanation {
	const struct run *run; /* due made; actions made unless OFFLINE */
	bool offline;	       /* nobody was asked: what is due alone, roles and selectors not looked into */
	const char *namespace_; /* what concerns this one and the whole cluster alone; or NULL */
	int64_t now;		/* unix seconds */
};

void explain_text(const struct explanation *x, struct buf *out);
void explain_json(const struct explanation *x, struct buf *out);

/* --- what both say --- */

/* Why T is not for the user; NULL when it is. */
const char *explain_mismatch(const struct explanation *x, const struct template *t);
/* The action on D; NULL: none, since such as the user is now has none of it. */
const struct action *explain_action(const struct explanation *x, const struct desired *d);
/* The state of a due object in a word ("fine", "create", "change", "refused", "waits", "left", "withheld", "due") and a
 * sentence. */
const char *explain_state(const struct explanation *x, const struct desired *d, const char **sentence);
/* What is asked for concerns ID. */
bool explain_concerns(const struct explanation *x, const struct object_id *id);
/* "active", "stale", "disabled", "suspended", "deleted". */
const char *explain_life(const struct explanation *x);
/* The grant does not hold now: true, and when it does again (INT64_MAX: never). */
bool explain_sleeps(const struct explanation *x, const struct template_grant *g, int64_t *next);
/* Unix seconds at which time alone changes something; INT64_MAX: never. */
int64_t explain_next(const struct explanation *x);

#endif
