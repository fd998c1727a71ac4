/* Owns the checks of `valid` and `breakGlass`: when a rule holds, and access in an emergency. */
#include "common/clock.h"
#include "common/window_text.h"
#include "policy/ast.h"

#define TICKET_MAX 64 /* it stands in reasons and in audit records */

/* --- days and hours --- */

static void check_days(struct ast *t, const struct ast_file *f, struct ast_span *s)
{
	for (size_t i = 0; i < s->days.len; i++)
		if (!window_read_days(slice_of(s->days.items[i]), &s->spec.days))
			ast_error(t, ast_at(f, s->node, "days", i),
			    "%s: expected " WINDOW_DAYS_WANTED, ast_show(t, s->days.items[i]));
	if (s->days.len == 0)
		s->spec.days = WINDOW_EVERY_DAY;
}

static void check_hours(struct ast *t, const struct ast_file *f, struct ast_span *s)
{
	static const struct window_hours whole_day = {0, WINDOW_DAY};
	struct window_hours *hours = ARENA_ARRAY(t->arena, struct window_hours, s->hours.len);
	for (size_t i = 0; i < s->hours.len; i++)
		if (!window_read_hours(slice_of(s->hours.items[i]), &hours[i]))
			ast_error(t, ast_at(f, s->node, "hours", i),
			    "%s: expected " WINDOW_HOURS_WANTED, ast_show(t, s->hours.items[i]));
	s->spec.hours = s->hours.len ? hours : &whole_day;
	s->spec.nhours = s->hours.len ? (uint32_t)s->hours.len : 1;
}

/* --- zones --- */

/* Each zone is read once, and each that cannot be is told once. */
static const struct zone *zone_of(struct ast *t, struct place at, const char *name)
{
	struct ast_zone *known = map_get(&t->zones, slice_of(name));
	if (known)
		return known->zone;
	struct err e = {0};
	known = ARENA_NEW(t->arena, struct ast_zone);
	if (zone_load(t->arena, ZONE_DIR, name, &known->zone, &e) != ERR_OK)
		ast_error(t, at, "%s", e.msg);
	map_put(&t->zones, slice_of(name), known);
	return known->zone;
}

static void check_week(struct ast *t, const struct ast_file *f, struct ast_span *s)
{
	bool week = ast_has(s->node, "days") || ast_has(s->node, "hours");
	if (!week) {
		if (s->tz)
			ast_error(t, ast_at(f, s->node, "tz", 0),
			    "`tz` without `days` or `hours` says nothing: `from` and `until` carry "
			    "their offset");
		return;
	}
	check_days(t, f, s);
	check_hours(t, f, s);
	if (s->tz)
		s->spec.zone = zone_of(t, ast_at(f, s->node, "tz", 0), s->tz);
	else
		ast_error(t, ast_at(f, s->node, ast_has(s->node, "hours") ? "hours" : "days", SIZE_MAX),
		    "`tz` is missing: in which time zone, such as `Europe/Berlin` or `UTC`?");
}

/* --- one span --- */

static void check_moment(struct ast *t, const struct ast_file *f, const struct ast_span *s,
    const char *key, const char *text, int64_t *out)
{
	if (text && !clock_parse_rfc3339(slice_of(text), out))
		ast_error(t, ast_at(f, s->node, key, 0),
		    "`%s`: %s is not a time such as `2026-11-22T10:00:00Z` or "
		    "`2026-11-22T11:00:00+01:00`",
		    key, ast_show(t, text));
}

static void check_span(struct ast *t, const struct ast_file *f, struct ast_span *s)
{
	s->spec = (struct window_spec){.from = WINDOW_ALWAYS_FROM, .until = WINDOW_ALWAYS_UNTIL};
	check_moment(t, f, s, "from", s->from, &s->spec.from);
	check_moment(t, f, s, "until", s->until, &s->spec.until);
	if (s->spec.from >= s->spec.until)
		ast_error(t, ast_at(f, s->node, "until", 0), "`until` is not after `from`");
	check_week(t, f, s);
}

/* A window that is never open, or never closed, was not meant. */
static void check_whole(struct ast *t, const struct ast_file *f, const struct ast_rule *r)
{
	const struct ast_valid *v = &r->valid;
	const struct window *w =
	    window_new(t->arena, &v->in.spec, v->except.present ? &v->except.spec : NULL);
	if (window_next(w, INT64_MIN) != INT64_MAX)
		return;
	bool always = window_covers(w, INT64_MIN, INT64_MIN);
	ast_warn(t, ast_at(f, r->node, "valid", 0),
	    always ? "the window of the rule `%s` is always open: leave `valid` out"
		   : "the window of the rule `%s` is never open: it has no effect",
	    r->id);
}

static void check_valid(struct ast *t, const struct ast_file *f, struct ast_rule *r)
{
	struct ast_valid *v = &r->valid;
	size_t errors = t->diags->errors;
	if (v->in.node->len == 0)
		ast_error(t, ast_at(f, r->node, "valid", 0),
		    "`valid` is empty: give `from`, `until`, `days`, `hours` or `except`");
	if (v->except.present && v->except.node->len == 0)
		ast_error(t, ast_at(f, v->in.node, "except", 0),
		    "`except` is empty: it would except all the time");
	check_span(t, f, &v->in);
	if (v->except.present)
		check_span(t, f, &v->except);
	if (t->diags->errors == errors)
		check_whole(t, f, r);
}

/* --- access in an emergency --- */

static bool in_list(const struct string_list *l, const char *name)
{
	for (size_t i = 0; i < l->len; i++)
		if (strcmp(l->items[i], name) == 0)
			return true;
	return false;
}

/* Who asks does not approve. Names of groups and globs cannot be looked into here. */
static void check_approver(
    struct ast *t, const struct ast_file *f, const struct ast_rule *r, size_t i)
{
	const struct ast_break_glass *b = &r->break_glass;
	const struct ast_subjects *alias =
	    r->subjects.target ? &r->subjects.target->subjects : NULL;
	const char *name = b->approved_by.items[i];
	struct place at = ast_at(f, b->node, "approvedBy", i);
	const struct string_list before = {b->approved_by.items, i};
	if (name[0] == '\0')
		ast_error(t, at, "an approver without a name");
	else if (in_list(&before, name))
		ast_error(t, at, "the approver %s stands here twice", ast_show(t, name));
	else if (in_list(&r->subjects.users, name) || (alias && in_list(&alias->users, name)))
		ast_error(t, at, "%s approves access for themselves in the rule `%s`",
		    ast_show(t, name), r->id);
}

static void check_duration(struct ast *t, const struct ast_file *f, const struct ast_rule *r)
{
	const struct ast_break_glass *b = &r->break_glass;
	const struct window_spec *s = &r->valid.in.spec;
	if (!r->valid.in.from || !r->valid.in.until) {
		ast_error(t, ast_at(f, r->node, "breakGlass", 0),
		    "`breakGlass` in the rule `%s` needs `valid` with `from` and `until`", r->id);
		return;
	}
	/* An end that is no time was told of already. */
	if (s->from == WINDOW_ALWAYS_FROM || s->until == WINDOW_ALWAYS_UNTIL ||
	    s->until - s->from <= b->max_duration)
		return;
	ast_error(t, ast_at(f, r->valid.in.node, "until", 0),
	    "the rule `%s` lasts %lld s, longer than `maxDuration` of its `breakGlass`, %lld s%s",
	    r->id, (long long)((s->until - s->from) / CLOCK_SECOND),
	    (long long)(b->max_duration / CLOCK_SECOND),
	    ast_has(b->node, "maxDuration") ? "" : " where nothing else is said");
}

static void check_break_glass(struct ast *t, const struct ast_file *f, const struct ast_rule *r)
{
	const struct ast_break_glass *b = &r->break_glass;
	if (r->effect != AST_ALLOW)
		ast_error(t, ast_at(f, r->node, "breakGlass", 0),
		    "`breakGlass` in the rule `%s`, which allows nothing", r->id);
	if (strlen(b->ticket) > TICKET_MAX)
		ast_error(t, ast_at(f, b->node, "ticket", 0),
		    "`ticket` has %zu bytes, at most %d are allowed", strlen(b->ticket), TICKET_MAX);
	for (size_t i = 0; i < b->approved_by.len; i++)
		check_approver(t, f, r, i);
	if (b->approved_by.len == 1)
		ast_warn(t, ast_at(f, b->node, "approvedBy", 0),
		    "only one approver in the rule `%s`: break-glass access should have two",
		    r->id);
	check_duration(t, f, r);
}

void ast_check_valid(struct ast *t, const struct ast_file *f, struct ast_rule *r)
{
	if (r->valid.present)
		check_valid(t, f, r);
	if (r->break_glass.present)
		check_break_glass(t, f, r);
}
