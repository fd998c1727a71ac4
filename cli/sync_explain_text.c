/* Owns what `sync explain` finds out beside the plan, and its text. */
#include "cli/sync_explain.h"
#include "common/clock.h"
#include "rbac-sync/due_internal.h"
#include "rbac-sync/object_text.h"

/* --- findings --- */

const char *explain_mismatch(const struct explanation *x, const struct template *t)
{
	const struct spool_event *ev = &x->run->record.identity;
	struct spool_event nobody = *ev;
	if (template_matches(t, ev))
		return NULL;
	bool group = !t->match.groups.len;
	for (size_t i = 0; i < ev->ngroups && !group; i++)
		group = template_matches_group(t, ev->groups[i]);
	if (!group)
		return "none of the user's groups is one of its groups";
	/* A name that no glob of people excepts. */
	nobody.username = SLICE("\x01");
	return template_matches(t, &nobody) ? "the user is one of its notUsers" : "it is for other providers";
}

const struct action *explain_action(const struct explanation *x, const struct desired *d)
{
	for (size_t i = 0; i < x->run->len; i++) {
		if (x->run->actions[i].want == d)
			return &x->run->actions[i];
	}
	return NULL;
}

static const char *state_of(const struct action *act, const char **sentence)
{
	*sentence = act->why;
	switch (act->kind) {
	case ACTION_KEEP:
		*sentence = "as it should be";
		return "fine";
	case ACTION_APPLY:
		*sentence = act->drift ? "somebody changed it: will be put right"
		    : act->live	       ? "will be changed"
				       : "will be created";
		return act->live ? "change" : "create";
	case ACTION_REFUSE:
		return "refused";
	case ACTION_WAIT:
		return "waits";
	case ACTION_DRIFT:
		return "left";
	case ACTION_DELETE:
		*sentence = "will be removed";
		return "remove";
	case ACTION_RELEASE:
		return "released";
	}
	return "";
}

const char *explain_state(const struct explanation *x, const struct desired *d, const char **sentence)
{
	const struct action *act = explain_action(x, d);
	if (act)
		return state_of(act, sentence);
	*sentence = x->offline ? "due" : "withheld as the user is now";
	return x->offline ? "due" : "withheld";
}

bool explain_concerns(const struct explanation *x, const struct object_id *id)
{
	const char *ns = id->kind == KIND_NAMESPACE ? id->name : id->namespace_;
	return !x->namespace_ || !ns || strcmp(ns, x->namespace_) == 0;
}

const char *explain_life(const struct explanation *x)
{
	static const char *const words[] = {
	    [LIFE_ACTIVE] = "active",
	    [LIFE_STALE] = "stale",
	    [LIFE_DISABLED] = "disabled",
	    [LIFE_SUSPENDED] = "suspended",
	    [LIFE_DELETED] = "deleted",
	};
	return words[x->run->life.state];
}

bool explain_sleeps(const struct explanation *x, const struct template_grant *g, int64_t *next)
{
	struct due_span span;
	due_span_at(&g->time, x->run->record.identity.seen_at, x->now, &span);
	*next = span.next;
	return !span.on;
}

int64_t explain_next(const struct explanation *x)
{
	int64_t due = x->run->due.next, life = x->run->life.next;
	return due < life ? due : life;
}

/* --- text --- */

static void put_time(struct buf *b, const char *before, int64_t at)
{
	if (!at || at == INT64_MAX)
		return;
	buf_adds(b, before);
	window_print_moment(at * CLOCK_SECOND, b);
}

static void put_head(const struct explanation *x, struct buf *b)
{
	const struct record *r = &x->run->record;
	plain_name(b, r->identity.username);
	buf_adds(b, " (");
	plain_name(b, r->identity.provider);
	buf_printf(b, ")%s%s\n", x->offline ? ", as a new user" : ", record ", x->offline ? "" : r->name);
	if (!x->offline) {
		buf_printf(b, "  phase %s; %s", record_phase_name(r->phase), explain_life(x));
		if (x->run->life.why)
			buf_printf(b, ": %s", x->run->life.why);
		put_time(b, "\n  last seen ", r->identity.seen_at);
		put_time(b, "; grants end ", r->expires_at);
		put_time(b, "\n  will be disabled ", x->run->life.disable_after);
		put_time(b, "\n  will be deleted ", x->run->life.delete_after);
		buf_addc(b, '\n');
	}
	buf_adds(b, "  groups:");
	for (size_t i = 0; i < r->identity.ngroups; i++) {
		buf_adds(b, i ? ", " : " ");
		plain_name(b, r->identity.groups[i]);
	}
	buf_adds(b, r->identity.ngroups ? "\n" : " none\n");
	for (size_t i = 0; i < r->nlost; i++) {
		buf_adds(b, "  group ");
		plain_name(b, r->lost[i].group);
		buf_adds(b, " counts for nothing: directory ");
		plain_name(b, slice_of(r->lost[i].directory));
		put_time(b, " does not confirm it since ", r->lost[i].since);
		buf_addc(b, '\n');
	}
	for (size_t i = 0; i < r->nconditions; i++) {
		const struct record_condition *c = &r->conditions[i];
		buf_adds(b, "  condition ");
		plain_name(b, slice_of(c->type));
		buf_adds(b, ": ");
		plain_text(b, c->message);
		buf_adds(b, " (");
		plain_text(b, c->reason);
		buf_adds(b, ")\n");
	}
}

/* "ClusterRole edit to Group devs" */
static void put_grant(struct buf *b, const json_t *body)
{
	const json_t *role = json_object_get(body, "roleRef");
	const json_t *subject = json_array_get(json_object_get(body, "subjects"), 0);
	if (!role)
		return;
	buf_printf(b, ": %s ", json_string_value(json_object_get(role, "kind")));
	plain_name(b, slice_of(json_string_value(json_object_get(role, "name"))));
	buf_printf(b, " to %s ", json_string_value(json_object_get(subject, "kind")));
	plain_name(b, slice_of(json_string_value(json_object_get(subject, "name"))));
}

static void put_object(const struct explanation *x, const struct desired *d, struct buf *b)
{
	struct arena a = {0};
	const char *sentence;
	explain_state(x, d, &sentence);
	buf_adds(b, "  ");
	plain_text(b, object_id_text(&a, &d->id));
	put_grant(b, d->body);
	put_time(b, ", until ", d->expires);
	buf_adds(b, ": ");
	plain_text(b, sentence);
	buf_addc(b, '\n');
	arena_done(&a);
}

static void put_sleeping(const struct explanation *x, const struct template *t, struct buf *b)
{
	const struct template_grant *g = t->grants.items;
	for (size_t i = 0; i < t->grants.len; i++) {
		int64_t next;
		if (!explain_sleeps(x, &g[i], &next))
			continue;
		buf_printf(b, "  grant %zu, %s %s: does not hold now", i + 1, g[i].cluster_role ? "ClusterRole" : "Role",
		    g[i].cluster_role ? g[i].cluster_role : g[i].role);
		put_time(b, ", changes ", next);
		buf_addc(b, '\n');
	}
}

static void put_template(const struct explanation *x, const struct template *t, struct buf *b)
{
	const struct spool_event *ev = &x->run->record.identity;
	const struct due *due = &x->run->due;
	const char *why = explain_mismatch(x, t);
	bool first = true;
	buf_printf(b, "template %s: ", t->name);
	if (why) {
		buf_printf(b, "not for this user: %s\n", why);
		return;
	}
	for (size_t i = 0; i < ev->ngroups && t->match.groups.len; i++) {
		if (!template_matches_group(t, ev->groups[i]))
			continue;
		buf_adds(b, first ? "for " : ", ");
		plain_name(b, ev->groups[i]);
		if (record_lost(&x->run->record, ev->groups[i]))
			buf_adds(b, " (not confirmed)");
		first = false;
	}
	buf_adds(b, first ? "for all of its providers\n" : "\n");
	for (size_t i = 0; i < due->len; i++) {
		if (strcmp(due->objects[i].template_, t->name) == 0 && explain_concerns(x, &due->objects[i].id))
			put_object(x, &due->objects[i], b);
	}
	for (size_t i = 0; i < due->nrefusals; i++) {
		const struct due_refusal *r = &due->refusals[i];
		if (strcmp(r->template_, t->name) != 0)
			continue;
		buf_printf(b, "  refused%s: ", r->transient ? " for now" : "");
		plain_text(b, r->what);
		buf_printf(b, " (%s)\n", r->reason);
	}
	put_sleeping(x, t, b);
}

static void put_leaving(const struct explanation *x, struct buf *b)
{
	struct arena a = {0};
	bool first = true;
	for (size_t i = 0; i < x->run->len; i++) {
		const struct action *act = &x->run->actions[i];
		const char *sentence;
		if (act->want || !explain_concerns(x, &act->had->id))
			continue;
		state_of(act, &sentence);
		if (act->kind == ACTION_KEEP)
			sentence = arena_printf(&a, "stays: %s", act->why);
		buf_adds(b, first ? "no longer due:\n  " : "  ");
		plain_text(b, object_id_text(&a, &act->had->id));
		buf_adds(b, ", template ");
		plain_text(b, act->had->template_ ? act->had->template_ : "unknown");
		buf_printf(b, ": %s", sentence);
		if (act->kind == ACTION_DELETE)
			buf_printf(b, " (%s%s)", removal_name(act->removal),
			    removal_limited(act->removal) ? ", counts against the limits" : "");
		buf_addc(b, '\n');
		first = false;
	}
	arena_done(&a);
}

void explain_text(const struct explanation *x, struct buf *out)
{
	const struct template *t = x->run->config->templates.items;
	put_head(x, out);
	for (size_t i = 0; i < x->run->config->templates.len; i++)
		put_template(x, &t[i], out);
	put_leaving(x, out);
	if (explain_next(x) != INT64_MAX)
		put_time(out, "next change by time alone: ", explain_next(x));
	if (explain_next(x) != INT64_MAX)
		buf_addc(out, '\n');
}
