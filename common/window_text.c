/* Owns the reading of days and times of day. */
#include "common/window_text.h"

static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

static int day_of(struct slice s)
{
	for (int i = 0; i < (int)ARRAY_LEN(days); i++)
		if (slice_is(s, days[i]))
			return i;
	return -1;
}

bool window_read_days(struct slice s, uint8_t *out)
{
	size_t dash = slice_find(s, '-');
	int first = day_of((struct slice){s.p, dash});
	int last = dash < s.len ? day_of(slice_skip(s, dash + 1)) : first;
	if (first < 0 || last < 0)
		return false;
	for (int d = first;; d = (d + 1) % 7) {
		*out |= (uint8_t)(1U << d);
		if (d == last)
			return true;
	}
}

static bool parse_minute(struct slice s, uint16_t *out)
{
	if (s.len != 5 || s.p[2] != ':')
		return false;
	for (size_t i = 0; i < 5; i++)
		if (i != 2 && (s.p[i] < '0' || s.p[i] > '9'))
			return false;
	int hour = (s.p[0] - '0') * 10 + s.p[1] - '0', minute = (s.p[3] - '0') * 10 + s.p[4] - '0';
	*out = (uint16_t)(hour * 60 + minute);
	return minute < 60 && *out <= WINDOW_DAY;
}

bool window_read_hours(struct slice s, struct window_hours *out)
{
	size_t dash = slice_find(s, '-');
	return parse_minute((struct slice){s.p, dash}, &out->from) &&
	       parse_minute(slice_skip(s, dash + 1), &out->until) && out->from < WINDOW_DAY &&
	       out->from != out->until;
}
