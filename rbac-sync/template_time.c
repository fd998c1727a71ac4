/* Owns when a grant holds, as templates say it: startTime, endTime, ttl, schedule. */
#include "common/clock.h"
#include "common/window_text.h"
#include "rbac-sync/template_internal.h"

#define TTL_MIN (60 * CLOCK_SECOND)

#define SPAN_FIELDS(type, member)                                                                  \
	{"days", FIELD_STRINGS, offsetof(struct type, member days), .nonempty = true, .max_items = 7,   \
	    .doc = "Days such as `mon` or `mon-fri`; absent: all."},                                    \
	{"hours", FIELD_STRINGS, offsetof(struct type, member hours), .nonempty = true,                 \
	    .max_items = WINDOW_HOURS_MAX,                                                              \
	    .doc = "Hours such as `08:00-18:00`, or `22:00-06:00` over midnight; absent: all day."},    \
	{"tz", FIELD_STRING, offsetof(struct type, member tz), .nonempty = true,                        \
	    .doc = "Time zone of days and hours, such as `Europe/Berlin` or `UTC`."},                   \
	{"from", FIELD_STRING, offsetof(struct type, member from),                                      \
	    .doc = "From this moment, such as `2026-12-01T00:00:00Z`."},                                \
	{"until", FIELD_STRING, offsetof(struct type, member until), .doc = "To before this moment."}

static void keep_span(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	struct template_span *s = obj;
	s->node = node;
	if (node->len == 0)
		diags_error(d, file, node->line, node->col, "name days, hours, from or until");
}

static const struct field span_fields[] = {SPAN_FIELDS(template_span, ), {0}};

static const struct schema span_schema = {"except", sizeof(struct template_span), span_fields,
    offsetof(struct template_span, place), offsetof(struct template_span, present), keep_span};

static void keep_schedule(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	keep_span(&((struct template_schedule *)obj)->in, node, file, d);
}

static const struct field schedule_fields[] = {SPAN_FIELDS(template_schedule, in.),
    {"except", FIELD_OBJECT, offsetof(struct template_schedule, except), .sub = &span_schema,
	.doc = "When it does not hold after all: the same keys."},
    {0}};

const struct schema template_schedule_schema = {"schedule", sizeof(struct template_schedule),
    schedule_fields, offsetof(struct template_schedule, in.place), SCHEMA_NO_PLACE, keep_schedule};

/* --- moments and durations --- */

/* Unix seconds, rounded up: neither beginning nor end comes early. */
static bool read_moment(struct loader *l, const struct yaml_node *node, const char *key, int64_t *out)
{
	const struct yaml_node *at = yamlx_get(node, key);
	if (!at)
		return true;
	int64_t ns;
	if (!clock_parse_rfc3339(at->text, &ns)) {
		FINDING(l, at, "%s is not a time such as 2026-12-01T00:00:00Z or 2026-12-01T01:00:00+01:00",
		    key);
		return false;
	}
	*out = ns / CLOCK_SECOND + (ns % CLOCK_SECOND > 0);
	return true;
}

int64_t template_read_ttl(
    struct loader *l, const struct yaml_node *node, const char *text, int64_t inherited)
{
	int64_t ns;
	if (!text)
		return inherited;
	if (!*text)
		return 0;
	if (clock_parse_duration(slice_of(text), &ns) && ns >= TTL_MIN)
		return ns / CLOCK_SECOND;
	FINDING(l, yamlx_get(node, "ttl"), "ttl must be a duration of at least 1m, such as 12h, or \"\" for none");
	return 0;
}

/* --- schedules --- */

struct loader_zone {
	const struct zone *zone; /* NULL: cannot be read, and that was told */
};

static const struct zone *zone_of(struct loader *l, const struct yaml_node *at, const char *name)
{
	struct loader_zone *known = map_get(&l->zones, slice_of(name));
	if (known)
		return known->zone;
	struct err e;
	known = ARENA_NEW(l->arena, struct loader_zone);
	if (zone_load(l->arena, ZONE_DIR, name, &known->zone, &e) != ERR_OK) {
		known->zone = NULL;
		FINDING(l, at, "%s", e.msg);
	}
	map_put(&l->zones, slice_of(name), known);
	return known->zone;
}

static void bind_days(struct loader *l, const struct template_span *s, struct window_spec *out)
{
	for (size_t i = 0; i < s->days.len; i++)
		if (!window_read_days(slice_of(s->days.items[i]), &out->days))
			FINDING(l, yamlx_get(s->node, "days")->items[i], "expected " WINDOW_DAYS_WANTED);
	if (!s->days.len)
		out->days = WINDOW_EVERY_DAY;
}

static void bind_hours(struct loader *l, const struct template_span *s, struct window_spec *out)
{
	static const struct window_hours whole_day = {0, WINDOW_DAY};
	struct window_hours *hours = ARENA_ARRAY(l->arena, struct window_hours, s->hours.len + 1);
	for (size_t i = 0; i < s->hours.len; i++)
		if (!window_read_hours(slice_of(s->hours.items[i]), &hours[i]))
			FINDING(l, yamlx_get(s->node, "hours")->items[i], "expected " WINDOW_HOURS_WANTED);
	out->hours = s->hours.len ? hours : &whole_day;
	out->nhours = s->hours.len ? (uint32_t)s->hours.len : 1;
}

static void bind_bounds(struct loader *l, const struct template_span *s, struct window_spec *out)
{
	const struct yaml_node *from = yamlx_get(s->node, "from"), *until = yamlx_get(s->node, "until");
	static const char wanted[] = "is not a time such as 2026-12-01T00:00:00Z";
	*out = (struct window_spec){.from = WINDOW_ALWAYS_FROM, .until = WINDOW_ALWAYS_UNTIL};
	if (from && !clock_parse_rfc3339(from->text, &out->from))
		FINDING(l, from, "from %s", wanted);
	if (until && !clock_parse_rfc3339(until->text, &out->until))
		FINDING(l, until, "until %s", wanted);
	else if (until && out->from >= out->until)
		FINDING(l, until, "until is not after from");
}

static void bind_span(struct loader *l, const struct template_span *s, struct window_spec *out)
{
	const struct yaml_node *tz = yamlx_get(s->node, "tz");
	bool week = s->days.len || s->hours.len;
	bind_bounds(l, s, out);
	if (!week && tz)
		FINDING(l, tz, "tz without days or hours says nothing");
	else if (week && !tz)
		FINDING(l, s->node, "tz is missing: in which time zone, such as Europe/Berlin or UTC?");
	if (!week)
		return;
	bind_days(l, s, out);
	bind_hours(l, s, out);
	if (tz)
		out->zone = zone_of(l, tz, s->tz);
}

static const struct window *bind_window(struct loader *l, const struct template_schedule *s)
{
	struct window_spec in, except;
	size_t before = l->diags->errors;
	bind_span(l, &s->in, &in);
	if (s->except.present)
		bind_span(l, &s->except, &except);
	if (l->diags->errors != before)
		return NULL;
	const struct window *w = window_new(l->arena, &in, s->except.present ? &except : NULL);
	if (window_next(w, INT64_MIN) == INT64_MAX)
		FINDING(l, s->in.node, "this schedule is %s open",
		    window_covers(w, INT64_MIN, INT64_MIN) ? "always" : "never");
	return w;
}

void template_bind_time(struct loader *l, struct template_grant *g)
{
	struct template_time *t = &g->time;
	const struct template_schedule *s = g->schedule.items;
	t->start = INT64_MIN;
	t->end = INT64_MAX;
	bool read = read_moment(l, g->node, "startTime", &t->start);
	read &= read_moment(l, g->node, "endTime", &t->end);
	if (read && t->start >= t->end)
		FINDING(l, yamlx_get(g->node, "endTime"), "endTime is not after startTime");
	const struct window **windows = ARENA_ARRAY(l->arena, const struct window *, g->schedule.len + 1);
	for (size_t i = 0; i < g->schedule.len; i++) {
		windows[t->nwindows] = bind_window(l, &s[i]);
		t->nwindows += windows[t->nwindows] != NULL;
	}
	t->windows = windows;
}
