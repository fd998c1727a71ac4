/* The worker's counters that somebody alerts on, from the start. */
#ifndef RBAC_SYNC_COUNTERS_H
#define RBAC_SYNC_COUNTERS_H

#include <stdbool.h>

/* Shows them with 0: of a series that appears with its first event, no query sees that event. INTAKE and RECONCILES: which
 * halves of the worker run. VERSION goes into portcullis_build_info. */
void counters_begin(bool intake, bool reconciles, const char *version);

#endif
