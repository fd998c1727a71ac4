/* When a rule holds: `valid`, as a pure function of time. */
#ifndef POLICY_WINDOW_H
#define POLICY_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* Immutable, made while a policy is compiled, in its arena; the time zone's changes are part of it:
 * nothing is read and nothing allocated later. All times are nanoseconds since the epoch (UTC). */
struct window;

/* Does W hold at each moment from FROM to TO, both included: what an allow needs that the apiserver
 * will remember until TO. Pure. */
bool window_covers(const struct window *w, int64_t from, int64_t to);

/* Does W hold at some moment of them: what a deny needs. Pure. */
bool window_meets(const struct window *w, int64_t from, int64_t to);

/* The first moment after T at which W begins or ceases to hold; INT64_MAX: never. Pure. */
int64_t window_next(const struct window *w, int64_t t);

#endif
