/* When a rule holds: `valid`, as a pure function of time. */
#ifndef COMMON_WINDOW_H
#define COMMON_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/str.h"
#include "common/zone.h"

/* Immutable, made while a policy is compiled, in its arena; the time zone's changes are part of it:
 * nothing is read and nothing allocated later. All times are nanoseconds since the epoch (UTC). */
struct window;

#define WINDOW_ALWAYS_FROM INT64_MIN
#define WINDOW_ALWAYS_UNTIL INT64_MAX
#define WINDOW_DAY 1440 /* minutes */
#define WINDOW_HOURS_MAX 24 /* ranges in one list: more than one an hour says something else */

/* Minutes of the day from FROM to before UNTIL, at most WINDOW_DAY each; UNTIL before FROM: to that
 * minute of the next day, and the range belongs to the day on which it begins. */
struct window_hours {
	uint16_t from, until;
};

/* One span as it stands in a policy. Weekly hours are meant when ZONE is set. */
struct window_spec {
	int64_t from, until; /* until is not included; WINDOW_ALWAYS_…: no bound */
	const struct zone *zone; /* must outlive the window; NULL: all the time */
	uint8_t days; /* bit 0: Monday */
	const struct window_hours *hours; /* in local time */
	uint32_t nhours;
};

/* A window that holds in IN, but not in EXCEPT (NULL: no exception). Lives in A. */
struct window *window_new(
    struct arena *a, const struct window_spec *in, const struct window_spec *except);

/* Does W hold at each moment from FROM to TO, both included: what an allow needs that the apiserver
 * will remember until TO. Pure. */
bool window_covers(const struct window *w, int64_t from, int64_t to);

/* Does W hold at some moment of them: what a deny needs. Pure. */
bool window_meets(const struct window *w, int64_t from, int64_t to);

/* The first moment after T at which W begins or ceases to hold; INT64_MAX: never. Pure. */
int64_t window_next(const struct window *w, int64_t t);

/* The first moment from which W never holds again, as its `until` says; WINDOW_ALWAYS_UNTIL: none.
 */
int64_t window_until(const struct window *w);

/* What W is, as text on one line, the same for equal windows: `from 2026-11-22T10:00:00Z until
 * 2026-11-22T12:00:00Z`, `Europe/Berlin mon 08:00-mon 18:00,… except from …`; "always" without bounds.
 */
void window_print(const struct window *w, struct buf *out);

/* T as RFC 3339 in UTC, without a fraction when it has none. */
void window_print_moment(int64_t t, struct buf *out);

#endif
