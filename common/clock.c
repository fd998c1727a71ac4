/* Owns time: the clocks, RFC 3339 and Go durations. */
#include "common/clock.h"

#include <stdatomic.h>
#include <stdio.h>

static _Atomic int64_t offset, wall_offset;

static int64_t read_clock(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * CLOCK_SECOND + t.tv_nsec +
	       atomic_load_explicit(&offset, memory_order_relaxed);
}

int64_t clock_now(void)
{
	return read_clock(CLOCK_REALTIME) + atomic_load_explicit(&wall_offset, memory_order_relaxed);
}

int64_t clock_mono(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_boot(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

struct timespec clock_until(int64_t deadline)
{
	int64_t ns = deadline - atomic_load_explicit(&offset, memory_order_relaxed);
	if (ns < 0)
		ns = 0;
	return (struct timespec){.tv_sec = ns / CLOCK_SECOND, .tv_nsec = ns % CLOCK_SECOND};
}

void clock_advance(int64_t ns)
{
	atomic_fetch_add(&offset, ns);
}

void clock_step_wall(int64_t ns)
{
	atomic_fetch_add(&wall_offset, ns);
}

void clock_rfc3339(int64_t ns, char out[CLOCK_RFC3339_LEN])
{
	time_t s = (time_t)(ns / CLOCK_SECOND);
	struct tm tm;
	gmtime_r(&s, &tm);
	char tmp[80];
	snprintf(tmp, sizeof(tmp), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    (int)(ns % CLOCK_SECOND / 1000));
	memcpy(out, tmp, CLOCK_RFC3339_LEN - 1);
	out[CLOCK_RFC3339_LEN - 1] = '\0';
}

/* N digits at *S as a number; moves *S past them. */
static bool digits(struct slice *s, size_t n, int *out)
{
	if (s->len < n)
		return false;
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		*out = *out * 10 + (s->p[i] - '0');
	}
	*s = slice_skip(*s, n);
	return true;
}

static bool literal(struct slice *s, const char *any)
{
	if (s->len == 0 || !strchr(any, s->p[0]) || s->p[0] == '\0')
		return false;
	*s = slice_skip(*s, 1);
	return true;
}

static bool parse_fraction(struct slice *s, int64_t *ns)
{
	*ns = 0;
	if (!literal(s, "."))
		return true;
	int64_t unit = CLOCK_SECOND / 10;
	int n = 0, d;
	for (; n < 9 && digits(s, 1, &d); n++, unit /= 10)
		*ns += d * unit;
	return n > 0;
}

static bool parse_offset(struct slice *s, int64_t *seconds)
{
	*seconds = 0;
	if (literal(s, "Zz"))
		return true;
	if (s->len == 0)
		return false;
	int sign = s->p[0] == '-' ? -1 : 1, h, m;
	if (!literal(s, "+-") || !digits(s, 2, &h) || !literal(s, ":") || !digits(s, 2, &m))
		return false;
	*seconds = (int64_t)sign * (h * 3600 + m * 60);
	return h < 24 && m < 60;
}

/* "YYYY-MM-DDThh:mm:ss" as it stands, unchecked; moves *S past it. */
static bool parse_date_time(struct slice *s, struct tm *tm)
{
	return digits(s, 4, &tm->tm_year) && literal(s, "-") && digits(s, 2, &tm->tm_mon) &&
	       literal(s, "-") && digits(s, 2, &tm->tm_mday) && literal(s, "Tt") &&
	       digits(s, 2, &tm->tm_hour) && literal(s, ":") && digits(s, 2, &tm->tm_min) &&
	       literal(s, ":") && digits(s, 2, &tm->tm_sec);
}

bool clock_parse_rfc3339(struct slice s, int64_t *out)
{
	struct tm tm = {0};
	int64_t fraction, off;
	if (!parse_date_time(&s, &tm) || !parse_fraction(&s, &fraction) || !parse_offset(&s, &off) ||
	    s.len != 0)
		return false;
	if (tm.tm_year < 1970 || tm.tm_year > 2200 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	struct tm given = tm;
	time_t t = timegm(&tm);
	/* timegm normalises: 31 February would come back as March. */
	if (tm.tm_mday != given.tm_mday || tm.tm_mon != given.tm_mon)
		return false;
	*out = ((int64_t)t - off) * CLOCK_SECOND + fraction;
	return true;
}

static bool parse_unit(struct slice *s, int64_t *unit)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
	    {"ns", 1},	   {"us", 1000},	 {"\xC2\xB5s", 1000},	      {"ms", CLOCK_MS},
	    {"s", CLOCK_SECOND}, {"m", 60 * CLOCK_SECOND}, {"h", 3600 * CLOCK_SECOND},
	};
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (slice_starts(*s, slice_of(units[i].name))) {
			*unit = units[i].ns;
			*s = slice_skip(*s, strlen(units[i].name));
			return true;
		}
	}
	return false;
}

bool clock_parse_duration(struct slice s, int64_t *out)
{
	*out = 0;
	if (slice_is(s, "0"))
		return true;
	if (s.len == 0)
		return false;
	while (s.len > 0) {
		int64_t n = 0, unit, part, frac = 0, scale = 1;
		int d, seen = 0;
		for (; digits(&s, 1, &d); seen++)
			if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, d, &n))
				return false;
		if (literal(&s, "."))
			for (; scale < CLOCK_SECOND && digits(&s, 1, &d); seen++, scale *= 10)
				frac = frac * 10 + d;
		if (!seen || !parse_unit(&s, &unit) || __builtin_mul_overflow(n, unit, &part))
			return false;
		int64_t rest = (int64_t)((double)frac / (double)scale * (double)unit);
		if (__builtin_add_overflow(*out, part, out) || __builtin_add_overflow(*out, rest, out))
			return false;
	}
	return true;
}
