/* Which records are due which shared (Group's) objects: who may remove one, and whom its loss concerns. Thread-safe. */
#ifndef RBAC_SYNC_SHARED_H
#define RBAC_SYNC_SHARED_H

#include "rbac-sync/actions.h"

struct shared;
struct shared *shared_open(void);
void shared_close(struct shared **s);

/* A pass: each of the N records NAMES is to be heard of once before anything shared may go, because only then it is
 * known who is due what. Forgets what was known. Begun when leadership is won and when templates change. */
void shared_begin(struct shared *s, const char *const *names, size_t n);

/* Nothing is known any more, until the next shared_begin: leadership was lost. */
void shared_stop(struct shared *s);

/* Of the pass that runs or has run: to be read before the templates are, and handed to the calls below. What is told
 * by an older one does not count. */
unsigned shared_pass(struct shared *s);

/* RECORD is due the N objects IDS of the groups OWNERS, and nothing else that is shared: replaces what it was due.
 * True when this was the last record to be heard of: the pass is full now. */
bool shared_due(struct shared *s, unsigned pass, const char *record, const struct object_id *ids,
    const char *const *owners, size_t n) MUST_CHECK;

/* RECORD is no more. True as above. */
bool shared_forget(struct shared *s, unsigned pass, const char *record) MUST_CHECK;

bool shared_full(struct shared *s);
size_t shared_left(struct shared *s); /* records not heard of yet; 0 with no pass begun as well */

/* Is another record than RECORD due that object? Unknown until a pass is full. */
enum elsewhere shared_elsewhere(struct shared *s, unsigned pass, const struct object_id *id, const char *record);

/* Names of the records that are due something of the group OWNER, in A. */
size_t shared_members(struct shared *s, const char *owner, struct arena *a, const char ***out);

#endif
