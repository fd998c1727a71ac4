/* Owns when a grant holds and when that changes next. */
#include "common/clock.h"
#include "rbac-sync/due_internal.h"

/* Changes that are looked at for a begin or an end: hours with a minute between them never end. */
#define CHANGES_MAX 64
#define SECOND_MAX (INT64_MAX / CLOCK_SECOND - 2 * DUE_GRACE) /* in 2262 */
#define GRACE (DUE_GRACE * CLOCK_SECOND)

/* Windows between two bounds, all in nanoseconds; END is not included. */
struct times {
	const struct template_time *t;
	int64_t start, end;
};

static int64_t to_ns(int64_t t)
{
	if (t < -SECOND_MAX || t > SECOND_MAX)
		return t < 0 ? INT64_MIN : INT64_MAX;
	return t * CLOCK_SECOND;
}

static int64_t seconds_up(int64_t ns)
{
	return ns == INT64_MAX ? INT64_MAX : ns / CLOCK_SECOND + (ns % CLOCK_SECOND > 0);
}

/* At some moment of those, both included. */
static bool holds(const struct times *x, int64_t from, int64_t to)
{
	from = from > x->start ? from : x->start;
	to = to < x->end ? to : x->end - 1;
	if (from > to)
		return false;
	for (size_t i = 0; i < x->t->nwindows; i++)
		if (window_meets(x->t->windows[i], from, to))
			return true;
	return x->t->nwindows == 0;
}

/* The first moment after AFTER at which something may change; INT64_MAX: none. */
static int64_t next_change(const struct times *x, int64_t after)
{
	if (after >= x->end)
		return INT64_MAX;
	int64_t next = x->start > after && x->start < x->end ? x->start : x->end;
	for (size_t i = 0; i < x->t->nwindows; i++) {
		int64_t n = window_next(x->t->windows[i], after);
		next = n < next ? n : next;
	}
	return next;
}

/* The first moment after FROM at which they hold (WHAT) or do not; INT64_MAX: none. *LEFT counts down; at 0 the
 * answer is only a moment up to which nothing changes. */
static int64_t next_that(const struct times *x, int64_t from, bool what, unsigned *left)
{
	int64_t at = from;
	do {
		at = next_change(x, at);
	} while (at != INT64_MAX && holds(x, at, at) != what && --*left);
	return at;
}

/* The last end up to NOW, at which they do not hold but shortly before did. */
static int64_t last_end(const struct times *x, int64_t from, int64_t now)
{
	int64_t end = now;
	for (int64_t at = next_change(x, from); at <= now && at != INT64_MAX; at = next_change(x, at))
		if (!holds(x, at, at))
			end = at;
	return end;
}

/* Runs that the grace joins are one. */
static void end_of_run(const struct times *x, int64_t now, struct due_span *out)
{
	unsigned left = CHANGES_MAX;
	int64_t end = holds(x, now, now) ? next_that(x, now, false, &left) : last_end(x, now - GRACE, now);
	for (; end != INT64_MAX && left; left -= left > 0) {
		int64_t begin = next_that(x, end, true, &left);
		if (begin == INT64_MAX || begin - end > GRACE) {
			out->expires = seconds_up(end);
			out->next = out->expires + DUE_GRACE;
			return;
		}
		end = next_that(x, begin, false, &left);
	}
	/* No end, or none near: asked again by then. */
	out->next = end == INT64_MAX ? INT64_MAX : end / CLOCK_SECOND;
}

void due_span_at(const struct template_time *t, int64_t seen, int64_t now_s, struct due_span *out)
{
	int64_t end = t->end, dead, now = to_ns(now_s);
	if (now == INT64_MIN || now == INT64_MAX) {
		/* No clock shows that; nothing is given on its word. */
		*out = (struct due_span){.next = INT64_MAX};
		return;
	}
	if (t->ttl && !__builtin_add_overflow(seen, t->ttl, &dead) && dead < end)
		end = dead;
	const struct times x = {t, to_ns(t->start), to_ns(end)};
	*out = (struct due_span){.on = holds(&x, now - GRACE, now), .next = INT64_MAX};
	if (out->on) {
		end_of_run(&x, now, out);
		return;
	}
	unsigned left = CHANGES_MAX;
	int64_t begin = next_that(&x, now, true, &left);
	/* Without a begin that was looked at NEXT is a moment before which nothing changes. */
	out->next = seconds_up(begin);
}
