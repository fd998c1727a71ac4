/* Owns the JSON of `sync explain`. */
#include "cli/sync_explain.h"
#include "common/clock.h"

static void member(struct buf *b, const char *key, const char *value)
{
	if (value)
		buf_json_member(b, key, slice_of(value));
}

static void time_member(struct buf *b, const char *key, int64_t at)
{
	if (!at || at == INT64_MAX)
		return;
	buf_printf(b, ",\"%s\":\"", key);
	window_print_moment(at * CLOCK_SECOND, b);
	buf_addc(b, '"');
}

static void place_members(struct buf *b, const struct object_id *id)
{
	buf_adds(b, "\"kind\":");
	buf_json(b, slice_of(object_types[id->kind].kind));
	member(b, "namespace", id->namespace_);
	member(b, "name", id->name);
}

static void add_object(const struct explanation *x, const struct desired *d, struct buf *b)
{
	const json_t *role = json_object_get(d->body, "roleRef");
	const json_t *subject = json_array_get(json_object_get(d->body, "subjects"), 0);
	const char *sentence, *state = explain_state(x, d, &sentence);
	const struct action *act = explain_action(x, d);
	buf_addc(b, '{');
	place_members(b, &d->id);
	member(b, "roleKind", json_string_value(json_object_get(role, "kind")));
	member(b, "role", json_string_value(json_object_get(role, "name")));
	member(b, "subjectKind", json_string_value(json_object_get(subject, "kind")));
	member(b, "subject", json_string_value(json_object_get(subject, "name")));
	buf_printf(b, ",\"shared\":%s", d->shared ? "true" : "false");
	time_member(b, "expires", d->expires);
	member(b, "state", state);
	member(b, "reason", sentence);
	if (act && act->kind == ACTION_APPLY)
		buf_printf(b, ",\"drift\":%s", act->drift ? "true" : "false");
	buf_addc(b, '}');
}

static void add_refusal(const struct due_refusal *r, struct buf *b)
{
	buf_adds(b, "{\"rail\":");
	buf_json(b, slice_of(r->reason));
	member(b, "reason", r->what);
	buf_printf(b, ",\"transient\":%s}", r->transient ? "true" : "false");
}

static void add_sleeping(const struct explanation *x, const struct template *t, struct buf *b)
{
	const struct template_grant *g = t->grants.items;
	bool any = false;
	buf_adds(b, ",\"sleeping\":[");
	for (size_t i = 0; i < t->grants.len; i++) {
		int64_t next;
		if (!explain_sleeps(x, &g[i], &next))
			continue;
		buf_printf(b, "%s{\"grant\":%zu", any ? "," : "", i);
		member(b, "role", g[i].cluster_role ? g[i].cluster_role : g[i].role);
		time_member(b, "changes", next);
		buf_addc(b, '}');
		any = true;
	}
	buf_addc(b, ']');
}

static void add_template(const struct explanation *x, const struct template *t, struct buf *b)
{
	const struct spool_event *ev = &x->run->record.identity;
	const struct due *due = &x->run->due;
	const char *why = explain_mismatch(x, t);
	size_t n = 0;
	buf_adds(b, "{\"name\":");
	buf_json(b, slice_of(t->name));
	buf_printf(b, ",\"matches\":%s", why ? "false" : "true");
	member(b, "reason", why);
	if (why) {
		buf_addc(b, '}');
		return;
	}
	buf_adds(b, ",\"groups\":[");
	for (size_t i = 0; i < ev->ngroups && t->match.groups.len; i++) {
		if (!template_matches_group(t, ev->groups[i]) || record_lost(&x->run->record, ev->groups[i]))
			continue;
		buf_adds(b, n++ ? "," : "");
		buf_json(b, ev->groups[i]);
	}
	buf_adds(b, "],\"objects\":[");
	n = 0;
	for (size_t i = 0; i < due->len; i++) {
		if (strcmp(due->objects[i].template_, t->name) != 0 || !explain_concerns(x, &due->objects[i].id))
			continue;
		buf_adds(b, n++ ? "," : "");
		add_object(x, &due->objects[i], b);
	}
	buf_adds(b, "],\"refusals\":[");
	n = 0;
	for (size_t i = 0; i < due->nrefusals; i++) {
		if (strcmp(due->refusals[i].template_, t->name) != 0)
			continue;
		buf_adds(b, n++ ? "," : "");
		add_refusal(&due->refusals[i], b);
	}
	buf_addc(b, ']');
	add_sleeping(x, t, b);
	buf_addc(b, '}');
}

static void add_leaving(const struct explanation *x, struct buf *b)
{
	size_t n = 0;
	buf_adds(b, "],\"noLongerDue\":[");
	for (size_t i = 0; i < x->run->len; i++) {
		const struct action *act = &x->run->actions[i];
		if (act->want || !explain_concerns(x, &act->had->id))
			continue;
		buf_adds(b, n++ ? ",{" : "{");
		place_members(b, &act->had->id);
		member(b, "template", act->had->template_);
		member(b, "action", action_name(act->kind));
		member(b, "reason", act->why);
		if (act->kind == ACTION_DELETE) {
			member(b, "removal", removal_name(act->removal));
			buf_printf(b, ",\"limited\":%s", removal_limited(act->removal) ? "true" : "false");
		}
		buf_addc(b, '}');
	}
	buf_addc(b, ']');
}

static void add_lost(const struct record *r, struct buf *b)
{
	buf_adds(b, ",\"lostGroups\":[");
	for (size_t i = 0; i < r->nlost; i++) {
		buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
		buf_json(b, r->lost[i].group);
		time_member(b, "since", r->lost[i].since);
		member(b, "directory", r->lost[i].directory);
		buf_addc(b, '}');
	}
	buf_addc(b, ']');
}

static void add_conditions(const struct record *r, struct buf *b)
{
	buf_adds(b, ",\"conditions\":[");
	for (size_t i = 0; i < r->nconditions; i++) {
		const struct record_condition *c = &r->conditions[i];
		buf_printf(b, "%s{\"type\":", i ? "," : "");
		buf_json(b, slice_of(c->type));
		buf_printf(b, ",\"status\":%s", c->status ? "true" : "false");
		member(b, "reason", c->reason);
		member(b, "message", c->message);
		buf_addc(b, '}');
	}
	buf_addc(b, ']');
}

void explain_json(const struct explanation *x, struct buf *out)
{
	const struct record *r = &x->run->record;
	const struct template *t = x->run->config->templates.items;
	buf_adds(out, "{\"user\":");
	buf_json(out, r->identity.username);
	buf_json_member(out, "provider", r->identity.provider);
	buf_adds(out, ",\"groups\":");
	buf_json_list(out, r->identity.groups, r->identity.ngroups);
	if (!x->offline) {
		member(out, "record", r->name);
		member(out, "phase", record_phase_name(r->phase));
		member(out, "life", explain_life(x));
		member(out, "why", x->run->life.why);
		time_member(out, "lastSeen", r->identity.seen_at);
		time_member(out, "expiresAt", r->expires_at);
		time_member(out, "disableAfter", x->run->life.disable_after);
		time_member(out, "deleteAfter", x->run->life.delete_after);
		add_lost(r, out);
		add_conditions(r, out);
	}
	time_member(out, "next", explain_next(x));
	buf_adds(out, ",\"templates\":[");
	for (size_t i = 0; i < x->run->config->templates.len; i++) {
		buf_adds(out, i ? "," : "");
		add_template(x, &t[i], out);
	}
	add_leaving(x, out);
	buf_addc(out, '}');
}
