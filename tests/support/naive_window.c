/* Owns windows of time for the second evaluator: is it open at this moment, asked for one moment after the
 * other. Zones are those without daylight saving, so that an offset says it all. */
#include <stdio.h>

#include "tests/support/naive_authz.h"

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define STEP (30 * MINUTE) /* what generated hours and offsets are multiples of */
#define DAY 1440 /* minutes */
#define WEEK (7 * DAY)

static int offset_of(const char *tz)
{
	static const struct {
		const char *tz;
		int minutes;
	} known[] = {{"UTC", 0}, {"Asia/Kolkata", 330}, {"Etc/GMT+8", -480}};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(tz, known[i].tz) == 0)
			return known[i].minutes;
	return 0;
}

/* The minute of the week, which begins on Monday. The epoch was a Thursday. */
static int minute_of_week(const char *tz, int64_t t)
{
	int64_t minutes = t / MINUTE - (t % MINUTE < 0) + offset_of(tz) + 3 * DAY;
	return (int)((minutes % WEEK + WEEK) % WEEK);
}

static bool week_open(const struct naive_span *s, int64_t t)
{
	int now = minute_of_week(s->tz, t);
	for (int day = 0; day < 7; day++) {
		int length = s->hours_until - s->hours_from;
		if (!(s->days >> day & 1))
			continue;
		if (length <= 0)
			length += DAY;
		if ((now - day * DAY - s->hours_from + 2 * WEEK) % WEEK < length)
			return true;
	}
	return false;
}

static bool span_open(const struct naive_span *s, int64_t t)
{
	if (s->has_from && t < s->from)
		return false;
	if (s->has_until && t >= s->until)
		return false;
	return !s->tz || week_open(s, t);
}

bool naive_open(const struct naive_window *w, int64_t t)
{
	return span_open(&w->in, t) && !(w->has_except && span_open(&w->except, t));
}

/* Calls for each moment from FROM to TO at which anything may change, and the moment before; stops at the
 * first where the window is OPEN, or is not. */
static bool some(const struct naive_window *w, int64_t from, int64_t to, bool open)
{
	const int64_t marks[] = {from, to, w->in.from, w->in.until, w->except.from, w->except.until};
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		for (int64_t t = marks[i] - 1; t <= marks[i]; t++)
			if (t >= from && t <= to && naive_open(w, t) == open)
				return true;
	for (int64_t t = from - from % STEP; t <= to; t += STEP)
		if (t >= from && naive_open(w, t) == open)
			return true;
	return false;
}

bool naive_in_force(const struct naive_rule *rule, const struct access_request *r)
{
	if (!rule->has_valid)
		return true;
	if (r->now == AUTHZ_TIMELESS)
		return false;
	if (rule->effect == POLICY_ALLOW)
		return !some(&rule->valid, r->now, r->now + r->hold, false);
	return some(&rule->valid, r->now, r->now + r->hold, true);
}

/* --- generated --- */

#define rnd naive_rnd
#define PICK(seed, words) ((words)[rnd(seed, ARRAY_LEN(words))])

/* Friday, 2026-11-20T00:00:00Z. */
#define START (INT64_C(1795132800) * SECOND)

static int64_t moment(uint64_t *seed)
{
	return START + rnd(seed, 5 * 48) * STEP;
}

static struct naive_span span(uint64_t *seed, bool week)
{
	static const char *const zones[] = {"UTC", "UTC", "Asia/Kolkata", "Etc/GMT+8"};
	struct naive_span s = {.has_from = rnd(seed, 3) == 0, .has_until = rnd(seed, 3) == 0};
	if (s.has_from)
		s.from = moment(seed) + rnd(seed, 3);
	if (s.has_until)
		s.until = moment(seed) + rnd(seed, 3) * SECOND;
	if (s.has_from && s.has_until && s.until <= s.from)
		s.until = s.from + 7 * SECOND;
	if (!week && (s.has_from || s.has_until) && rnd(seed, 3))
		return s;
	s.tz = PICK(seed, zones);
	s.days = 1 + rnd(seed, 127);
	s.hours_from = (int)rnd(seed, 48) * 30;
	s.hours_until = (int)rnd(seed, 49) * 30;
	if (s.hours_from == s.hours_until)
		s.hours_until = s.hours_from ? 0 : DAY;
	return s;
}

void naive_window(struct naive_rule *r, uint64_t *seed)
{
	r->has_valid = true;
	r->valid = (struct naive_window){.in = span(seed, false)};
	r->valid.has_except = rnd(seed, 3) == 0;
	if (r->valid.has_except)
		r->valid.except = span(seed, true);
	const struct naive_span *s = &r->valid.in;
	r->break_glass = r->effect == POLICY_ALLOW && s->has_from && s->has_until && rnd(seed, 2);
}

void naive_when(struct access_request *r, uint64_t *seed)
{
	static const int64_t holds[] = {0, 0, 1, 10 * SECOND, 5 * MINUTE, 2 * STEP, 20 * STEP};
	static const int64_t off[] = {0, 0, -1, 1, SECOND, -10 * SECOND, 7 * MINUTE};
	r->now = rnd(seed, 30) ? moment(seed) + PICK(seed, off) : AUTHZ_TIMELESS;
	r->hold = PICK(seed, holds);
}

/* --- as text --- */

static void print_moment(struct buf *b, const char *key, int64_t t)
{
	int64_t day = t / SECOND / 86400, second = t / SECOND % 86400;
	/* Days of November and December 2026 only. */
	int64_t number = day - START / SECOND / 86400 + 20;
	buf_printf(b, "%s: \"2026-%02d-%02dT%02d:%02d:%02d.%09lldZ\", ", key, number > 30 ? 12 : 11,
	    (int)(number > 30 ? number - 30 : number), (int)(second / 3600),
	    (int)(second / 60 % 60), (int)(second % 60), (long long)(t % SECOND));
}

static void print_span(struct buf *b, const struct naive_span *s)
{
	static const char *const names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
	if (s->has_from)
		print_moment(b, "from", s->from);
	if (s->has_until)
		print_moment(b, "until", s->until);
	if (!s->tz)
		return;
	buf_printf(b, "tz: %s, days: [", s->tz);
	for (int day = 0; day < 7; day++)
		if (s->days >> day & 1)
			buf_printf(b, "%s, ", names[day]);
	buf_printf(b, "], hours: \"%02d:%02d-%02d:%02d\", ", s->hours_from / 60, s->hours_from % 60,
	    s->hours_until / 60, s->hours_until % 60);
}

void naive_print_window(struct buf *b, const struct naive_rule *r)
{
	if (!r->has_valid)
		return;
	buf_adds(b, "valid: {");
	print_span(b, &r->valid.in);
	if (r->valid.has_except) {
		buf_adds(b, "except: {");
		print_span(b, &r->valid.except);
		buf_adds(b, "}");
	}
	buf_adds(b, "}, ");
	if (r->break_glass)
		buf_adds(b, "breakGlass: {ticket: T-1, approvedBy: [one, two], maxDuration: 168h}, ");
}
