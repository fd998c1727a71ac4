/* How many records are in which phase: the metric, kept as the reconcilers go. Thread-safe. */
#ifndef RBAC_SYNC_PHASES_H
#define RBAC_SYNC_PHASES_H

#include "rbac-sync/record.h"

struct phases;
struct phases *phases_new(void);
void phases_free(struct phases **p);

/* RECORD is in PHASE now; portcullis_sync_records{phase} follows. */
void phases_set(struct phases *p, const char *record, enum record_phase phase);
void phases_forget(struct phases *p, const char *record);
void phases_clear(struct phases *p);

#endif
