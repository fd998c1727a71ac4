/* Owns when a rule holds: spans of time with weekly hours, and the moments at which they begin and end. */
#include "common/window.h"

#include <stdlib.h>

#include "common/clock.h"

#define MINUTE INT64_C(60)
#define WEEK_MINUTES (7 * WINDOW_DAY)
#define WEEK (WEEK_MINUTES * MINUTE)
#define MONDAY (3 * WINDOW_DAY * MINUTE) /* the epoch was a Thursday */

/* A week of local time as the minutes, ascending, at which it begins and ceases to hold by turns.
 * FIRST: it holds at the week's first minute. */
struct span {
	int64_t from, until;
	const struct zone *zone; /* NULL: all the time between */
	const uint16_t *edges;
	uint32_t n;
	bool first;
};

struct window {
	struct span in, out;
	bool except; /* OUT counts */
};

/* --- building --- */

static void mark(uint8_t *week, uint32_t from, uint32_t until)
{
	for (uint32_t m = from; m < until; m++)
		week[m % WEEK_MINUTES] = 1;
}

static void mark_day(uint8_t *week, const struct window_spec *s, uint32_t day)
{
	uint32_t start = day * WINDOW_DAY;
	for (uint32_t i = 0; i < s->nhours; i++) {
		uint32_t until = s->hours[i].until;
		if (until <= s->hours[i].from)
			until += WINDOW_DAY;
		mark(week, start + s->hours[i].from, start + until);
	}
}

static void build_week(struct arena *a, const struct window_spec *s, struct span *out)
{
	uint8_t week[WEEK_MINUTES] = {0};
	for (uint32_t day = 0; day < 7; day++)
		if (s->days >> day & 1)
			mark_day(week, s, day);
	uint32_t n = 0;
	for (uint32_t m = 0; m < WEEK_MINUTES; m++)
		n += week[m] != week[m ? m - 1 : WEEK_MINUTES - 1];
	uint16_t *edges = ARENA_ARRAY(a, uint16_t, n);
	out->edges = edges;
	for (uint32_t m = 0; m < WEEK_MINUTES; m++)
		if (week[m] != week[m ? m - 1 : WEEK_MINUTES - 1])
			edges[out->n++] = (uint16_t)m;
	out->first = week[0];
}

static struct span build_span(struct arena *a, const struct window_spec *s)
{
	struct span out = {.from = s->from, .until = s->until, .zone = s->zone};
	if (s->zone)
		build_week(a, s, &out);
	return out;
}

struct window *window_new(
    struct arena *a, const struct window_spec *in, const struct window_spec *except)
{
	struct window *w = ARENA_NEW(a, struct window);
	w->in = build_span(a, in);
	w->except = except;
	if (except)
		w->out = build_span(a, except);
	return w;
}

/* --- moments --- */

static int64_t to_ns(int64_t seconds)
{
	int64_t ns;
	if (__builtin_mul_overflow(seconds, CLOCK_SECOND, &ns))
		return seconds < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* What holds at a moment, and until when nothing can change: NEXT the next edge, STEADY the end of the
 * part in which every week is like the other. */
struct moment {
	bool holds;
	int64_t next, steady;
};

/* How many of the edges lie at or before SECOND of the week. */
static uint32_t edges_before(const struct span *s, int64_t second)
{
	uint32_t low = 0, high = s->n;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (s->edges[mid] * MINUTE <= second)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct moment week_at(const struct span *s, int64_t t)
{
	int64_t change, now = floor_div(t, CLOCK_SECOND);
	int64_t local = now + zone_offset(s->zone, now, &change);
	int64_t second = local + MONDAY - floor_div(local + MONDAY, WEEK) * WEEK;
	struct moment m = {.holds = s->first, .next = INT64_MAX, .steady = INT64_MAX};
	if (change != INT64_MAX)
		m.next = m.steady = to_ns(change);
	if (s->n == 0)
		return m;
	uint32_t k = edges_before(s, second);
	/* An edge at minute 0 is the turn to FIRST itself. */
	m.holds = s->first ^ ((k - (s->edges[0] == 0)) & 1);
	int64_t edge = k < s->n ? s->edges[k] * MINUTE : s->edges[0] * MINUTE + WEEK;
	int64_t next = to_ns(now + edge - second);
	if (next < m.next)
		m.next = next;
	return m;
}

static struct moment span_at(const struct span *s, int64_t t)
{
	if (t < s->from)
		return (struct moment){false, s->from, s->from};
	if (t >= s->until)
		return (struct moment){false, INT64_MAX, INT64_MAX};
	struct moment m = {true, INT64_MAX, INT64_MAX};
	if (s->zone)
		m = week_at(s, t);
	if (s->until < m.next)
		m.next = s->until;
	if (s->until < m.steady)
		m.steady = s->until;
	return m;
}

static struct moment window_at(const struct window *w, int64_t t)
{
	struct moment m = span_at(&w->in, t);
	if (!w->except)
		return m;
	struct moment out = span_at(&w->out, t);
	m.holds = m.holds && !out.holds;
	if (out.next < m.next)
		m.next = out.next;
	if (out.steady < m.steady)
		m.steady = out.steady;
	return m;
}

/* The first change after T that is not after LIMIT, else INT64_MAX. A week without a change in a steady
 * part means none until its end. */
static int64_t next_change(const struct window *w, int64_t t, int64_t limit)
{
	struct moment m = window_at(w, t);
	bool holds = m.holds;
	int64_t since = t, steady = m.steady;
	while (m.next != INT64_MAX && m.next <= limit) {
		int64_t at = m.next;
		if (steady > at && (uint64_t)at - (uint64_t)since > WEEK * CLOCK_SECOND)
			at = steady;
		if (at == INT64_MAX)
			break;
		m = window_at(w, at);
		if (m.holds != holds)
			return at <= limit ? at : INT64_MAX;
		if (m.steady != steady)
			since = at;
		steady = m.steady;
	}
	return INT64_MAX;
}

bool window_covers(const struct window *w, int64_t from, int64_t to)
{
	return window_at(w, from).holds && next_change(w, from, to) == INT64_MAX;
}

bool window_meets(const struct window *w, int64_t from, int64_t to)
{
	return window_at(w, from).holds || next_change(w, from, to) != INT64_MAX;
}

int64_t window_next(const struct window *w, int64_t t)
{
	return next_change(w, t, INT64_MAX);
}

int64_t window_until(const struct window *w)
{
	return w->in.until;
}

/* --- text --- */

void window_print_moment(int64_t t, struct buf *out)
{
	char text[CLOCK_RFC3339_LEN];
	clock_rfc3339(t, text);
	struct slice s = slice_of(text);
	size_t dot = slice_find(s, '.');
	buf_add(out, text, t % CLOCK_SECOND ? s.len - 1 : dot);
	buf_addc(out, 'Z');
}

static void print_minute(uint16_t m, struct buf *out)
{
	static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
	buf_printf(out, "%s %02d:%02d", days[m / WINDOW_DAY], m % WINDOW_DAY / 60, m % 60);
}

static void print_week(const struct span *s, struct buf *out)
{
	buf_printf(out, " %s", s->zone->name);
	/* From the first edge at which it begins to hold. */
	for (uint32_t i = 0; i < s->n; i += 2) {
		uint32_t begin = i + (s->first != (s->edges[0] == 0));
		buf_addc(out, i ? ',' : ' ');
		print_minute(s->edges[begin % s->n], out);
		buf_addc(out, '-');
		print_minute(s->edges[(begin + 1) % s->n], out);
	}
}

static void print_span(const struct span *s, struct buf *out)
{
	size_t before = out->len;
	if (s->from != WINDOW_ALWAYS_FROM) {
		buf_adds(out, " from ");
		window_print_moment(s->from, out);
	}
	if (s->until != WINDOW_ALWAYS_UNTIL) {
		buf_adds(out, " until ");
		window_print_moment(s->until, out);
	}
	if (s->zone)
		print_week(s, out);
	if (out->len == before)
		buf_adds(out, " always");
}

void window_print(const struct window *w, struct buf *out)
{
	AUTO(buf_done) struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	print_span(&w->in, &b);
	if (w->except) {
		buf_adds(&b, " except");
		print_span(&w->out, &b);
	}
	buf_slice(out, slice_skip(buf_view(&b), 1));
}
