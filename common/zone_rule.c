/* Owns the rule at the end of a zone file, by which the years after its table go: the TZ text of POSIX. */
#include "common/clock.h"
#include "common/zone.h"

#define DAY INT64_C(86400)
#define HOUR 3600
#define YEAR_FIRST 1600 /* nanoseconds begin in 1677 */
#define YEAR_LAST 2263 /* and end in 2262 */

/* The day of a change: Jn (1 to 365, never 29 February), n (0 to 365), or Mm.w.d. */
enum day_form { DAY_JULIAN, DAY_ZERO, DAY_MONTH };

struct change_day {
	enum day_form form;
	int day, month, week;
	int32_t time; /* seconds after midnight, local; may lie on other days */
};

struct rule_text {
	int32_t standard, summer; /* seconds ahead of UTC */
	bool changes;
	struct change_day to_summer, to_standard;
};

/* --- the text --- */

static bool take(struct slice *s, char c)
{
	if (s->len == 0 || s->p[0] != c)
		return false;
	*s = slice_skip(*s, 1);
	return true;
}

static bool take_number(struct slice *s, int max, int *out)
{
	size_t n = 0;
	int v = 0;
	for (; n < s->len && s->p[n] >= '0' && s->p[n] <= '9'; n++) {
		v = v * 10 + (s->p[n] - '0');
		if (v > max)
			return false;
	}
	*s = slice_skip(*s, n);
	*out = v;
	return n > 0;
}

static bool name_letter(char c, bool quoted)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
}

static bool take_name(struct slice *s)
{
	size_t n = 0;
	bool quoted = take(s, '<');
	while (n < s->len && name_letter(s->p[n], quoted))
		n++;
	*s = slice_skip(*s, n);
	return n >= 3 && (!quoted || take(s, '>'));
}

/* [+-]h[:m[:s]] in seconds. */
static bool take_time(struct slice *s, int hours_max, int32_t *out)
{
	bool minus = take(s, '-');
	int h, m = 0, sec = 0;
	if (!minus)
		take(s, '+');
	if (!take_number(s, hours_max, &h))
		return false;
	if (take(s, ':')) {
		if (!take_number(s, 59, &m) || (take(s, ':') && !take_number(s, 59, &sec)))
			return false;
	}
	*out = (h * HOUR + m * 60 + sec) * (minus ? -1 : 1);
	return true;
}

static bool take_month_day(struct slice *s, struct change_day *d)
{
	d->form = DAY_MONTH;
	return take_number(s, 12, &d->month) && d->month >= 1 && take(s, '.') &&
	       take_number(s, 5, &d->week) && d->week >= 1 && take(s, '.') &&
	       take_number(s, 6, &d->day);
}

static bool take_day(struct slice *s, struct change_day *d)
{
	*d = (struct change_day){.form = DAY_ZERO, .time = 2 * HOUR};
	bool ok;
	if (take(s, 'M')) {
		ok = take_month_day(s, d);
	} else if (take(s, 'J')) {
		d->form = DAY_JULIAN;
		ok = take_number(s, 365, &d->day) && d->day >= 1;
	} else {
		ok = take_number(s, 365, &d->day);
	}
	if (!ok)
		return false;
	return !take(s, '/') || take_time(s, 167, &d->time);
}

static bool parse(struct slice s, struct rule_text *r)
{
	if (!take_name(&s) || !take_time(&s, 24, &r->standard))
		return false;
	r->standard = -r->standard; /* POSIX counts westwards */
	if (s.len == 0)
		return true;
	if (!take_name(&s))
		return false;
	r->summer = r->standard + HOUR;
	if (s.len && s.p[0] != ',') {
		if (!take_time(&s, 24, &r->summer))
			return false;
		r->summer = -r->summer;
	}
	r->changes = true;
	return take(&s, ',') && take_day(&s, &r->to_summer) && take(&s, ',') &&
	       take_day(&s, &r->to_standard) && s.len == 0;
}

/* --- the years --- */

static bool leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1970-01-01 to the first of January of YEAR. */
static int64_t year_start(int year)
{
	int64_t y = year - 1;
	return (y * 365 + y / 4 - y / 100 + y / 400) - INT64_C(719162);
}

/* The day of the year, from 0, on which a month begins. */
static int month_start(int year, int month)
{
	static const int starts[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
	return starts[month - 1] + (month > 2 && leap(year));
}

static int64_t day_in_year(const struct change_day *d, int year)
{
	if (d->form == DAY_ZERO)
		return d->day;
	if (d->form == DAY_JULIAN)
		return d->day - 1 + (d->day >= 60 && leap(year));
	int first = month_start(year, d->month);
	int end = d->month == 12 ? 365 + leap(year) : month_start(year, d->month + 1);
	/* 1970-01-01 was a Thursday; Sunday is 0. */
	int weekday = (int)((year_start(year) + first + 4) % 7);
	if (weekday < 0)
		weekday += 7;
	int day = first + (d->day - weekday + 7) % 7 + (d->week - 1) * 7;
	return day >= end ? day - 7 : day;
}

/* The moment of the change in YEAR; BEFORE is the offset that it ends. */
static int64_t moment(const struct change_day *d, int year, int32_t before)
{
	return (year_start(year) + day_in_year(d, year)) * DAY + d->time - before;
}

static void add_after(struct zone_list *l, int64_t after, int64_t at, int32_t offset)
{
	if (at > after && at <= INT64_MAX / CLOCK_SECOND)
		zone_add(l, at, offset);
}

bool zone_add_rule(struct zone_list *l, int64_t after, struct slice text)
{
	struct rule_text r = {0};
	if (!parse(text, &r))
		return false;
	if (!r.changes) {
		/* RFC 9636: the rule agrees with the table's last entry; without a table it is all. */
		if (after == INT64_MIN)
			zone_add(l, INT64_MIN, r.standard);
		return true;
	}
	for (int year = YEAR_FIRST; year <= YEAR_LAST; year++) {
		int64_t summer = moment(&r.to_summer, year, r.standard);
		int64_t standard = moment(&r.to_standard, year, r.summer);
		if (summer < standard) {
			add_after(l, after, summer, r.summer);
			add_after(l, after, standard, r.standard);
		} else {
			add_after(l, after, standard, r.standard);
			add_after(l, after, summer, r.summer);
		}
	}
	return true;
}
