/* Wall and monotonic time, with an offset that tests may set. Thread-safe. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/str.h"

#define CLOCK_SECOND INT64_C(1000000000)
#define CLOCK_MS INT64_C(1000000)

int64_t clock_now(void);  /* wall clock, nanoseconds since the epoch */
int64_t clock_mono(void); /* monotonic, nanoseconds: for every TTL, deadline and interval */
int64_t clock_boot(void); /* the same, and it goes on while the machine sleeps: where others wait for us meanwhile */

/* The time to give to pthread_cond_timedwait of a condition on CLOCK_MONOTONIC, so that it ends when
 * clock_mono() is DEADLINE, also where a test has moved the clocks. */
struct timespec clock_until(int64_t deadline);

static inline int64_t clock_unix(void)
{
	return clock_now() / CLOCK_SECOND;
}

/* Tests only: moves all clocks forward by NS nanoseconds (cumulative). */
void clock_advance(int64_t ns);

/* Tests only: steps the wall clock alone by NS nanoseconds, either way (cumulative). */
void clock_step_wall(int64_t ns);

/* RFC 3339 in UTC with microseconds ("2026-11-22T10:00:00.000000Z") and a NUL. */
#define CLOCK_RFC3339_LEN 28
void clock_rfc3339(int64_t ns, char out[CLOCK_RFC3339_LEN]);

/* RFC 3339 with any offset and up to nine fractional digits into nanoseconds since the epoch. */
bool clock_parse_rfc3339(struct slice s, int64_t *out);

/* Go duration ("1h30m", "500ms", "0"): non-negative, units ns us µs ms s m h, into nanoseconds. */
bool clock_parse_duration(struct slice s, int64_t *out);

#endif
