/* How often an object is put right that somebody keeps changing: a few times, then a pause. Thread-safe. */
#ifndef RBAC_SYNC_DRIFT_H
#define RBAC_SYNC_DRIFT_H

#include "rbac-sync/object.h"

#define DRIFT_PER_MINUTE 5
#define DRIFT_COOL_DOWN (INT64_C(600) * 1000000000)
#define DRIFT_OBJECTS_MAX 8192 /* watched at once; what is quiet again is forgotten first */

enum drift_answer {
	DRIFT_LATER = 0, /* it cools down: ask again when *AGAIN (clock_mono) has come */
	DRIFT_FIGHT,	 /* the same, and it begins now: to be told once (event DriftFight) */
	DRIFT_GO	 /* put it right; this counts */
};

struct drift;
/* PER_MINUTE repairs of one object at once, and as many a minute; then none for COOL_DOWN ns. */
struct drift *drift_new(unsigned per_minute, int64_t cool_down);
void drift_free(struct drift **d);

/* May the object be repaired now? When DRIFT_OBJECTS_MAX others are being fought over: DRIFT_LATER, for a minute. */
enum drift_answer drift_ask(struct drift *d, const struct object_id *id, int64_t *again);

/* Objects that cool down. */
size_t drift_fights(struct drift *d);

#endif
