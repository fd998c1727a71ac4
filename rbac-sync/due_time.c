/* Owns when a grant holds and when that changes next. */
#include "common/clock.h"
#include "rbac-sync/due_internal.h"

/* Changes that are looked at for the end of a run. Hours with a minute between them never end: then there is no end. */
#define CHANGES_MAX 512
#define SECOND_MAX (INT64_MAX / CLOCK_SECOND - 2 * DUE_GRACE)

static int64_t plus(int64_t t, int64_t seconds)
{
	int64_t out;
	return __builtin_add_overflow(t, seconds, &out) ? INT64_MAX : out;
}

/* Windows count nanoseconds. */
static int64_t to_ns(int64_t t)
{
	t = t > SECOND_MAX ? SECOND_MAX : t < -SECOND_MAX ? -SECOND_MAX : t;
	return t * CLOCK_SECOND;
}

static int64_t seconds_up(int64_t ns)
{
	return ns == INT64_MAX ? INT64_MAX : ns / CLOCK_SECOND + (ns % CLOCK_SECOND > 0);
}

static bool meets(const struct template_time *t, int64_t from, int64_t to)
{
	for (size_t i = 0; i < t->nwindows; i++)
		if (window_meets(t->windows[i], from, to))
			return true;
	return false;
}

static int64_t next_change(const struct template_time *t, int64_t after)
{
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < t->nwindows; i++) {
		int64_t n = window_next(t->windows[i], after);
		next = n < next ? n : next;
	}
	return next;
}

/* The first moment after FROM, at which they hold, at which none does. */
static int64_t run_end(const struct template_time *t, int64_t from, unsigned *left)
{
	int64_t at = from;
	do {
		at = next_change(t, at);
	} while (at != INT64_MAX && meets(t, at, at) && --*left);
	return at;
}

/* The last end up to NOW, at which they do not hold but shortly before did. */
static int64_t last_end(const struct template_time *t, int64_t from, int64_t now)
{
	int64_t end = now;
	for (int64_t at = next_change(t, from); at <= now; at = next_change(t, at))
		if (!meets(t, at, at))
			end = at;
	return end;
}

/* Windows widened by the grace: those that it joins are one run. */
static void schedule_at(const struct template_time *t, int64_t now_s, struct due_span *out)
{
	int64_t now = to_ns(now_s), grace = DUE_GRACE * CLOCK_SECOND;
	unsigned left = CHANGES_MAX;
	out->on = meets(t, now - grace, now);
	if (!out->on) {
		out->next = seconds_up(next_change(t, now));
		return;
	}
	int64_t end = meets(t, now, now) ? run_end(t, now, &left) : last_end(t, now - grace, now);
	while (end != INT64_MAX && left) {
		int64_t begin = next_change(t, end);
		if (begin == INT64_MAX || begin - end > grace) {
			out->expires = seconds_up(end);
			out->next = plus(seconds_up(end), DUE_GRACE);
			return;
		}
		end = run_end(t, begin, &left);
		left -= left > 0;
	}
	/* No end, or none near: asked again by then. */
	out->next = end == INT64_MAX ? INT64_MAX : end / CLOCK_SECOND;
}

void due_span_at(const struct template_time *t, int64_t seen, int64_t now, struct due_span *out)
{
	int64_t end = t->end, dead = t->ttl ? plus(seen, t->ttl) : INT64_MAX;
	*out = (struct due_span){.next = INT64_MAX};
	end = dead < end ? dead : end;
	int64_t gone = plus(end, DUE_GRACE);
	if (now >= gone || t->start >= gone)
		return;
	if (now < t->start) {
		out->next = t->start;
		return;
	}
	out->on = true;
	if (t->nwindows)
		schedule_at(t, now, out);
	out->next = gone < out->next ? gone : out->next;
	if (end != INT64_MAX && (!out->expires || end < out->expires))
		out->expires = end;
}
