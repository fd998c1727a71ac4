/* Owns what one subject may do: the rules that name it, action by action. */
#include "authz/engine.h"
#include "authz/reach.h"
#include "policy/cover.h"

struct rows {
	struct arena *arena;
	struct reach_row *v;
	size_t n, cap;
};

static bool in_place(const struct policy *p, const struct rule *r, struct slice ns)
{
	uint32_t word = engine_word(p, ns);
	if (ns.len == 0 || r->scope == SCOPE_ALL)
		return true;
	if (r->scope == SCOPE_CLUSTER)
		return false;
	const struct ns_set *n = r->namespaces;
	return (atom_set_has(&n->include, word) || glob_list_has(&n->include_globs, ns)) &&
	       !atom_set_has(&n->exclude, word) && !glob_list_has(&n->exclude_globs, ns);
}

/* RULE with ACTION alone. */
static struct rule cut(const struct rule *rule, const struct action *const *action,
    struct action_list *list)
{
	struct rule one = *rule;
	*list = (struct action_list){action, 1};
	one.roles = list;
	one.nroles = 1;
	return one;
}

/* The first stronger row of the same subject that takes all of ROW away. */
static const struct rule *taken_by(
    const struct policy *p, const struct rows *rows, const struct reach_row *row)
{
	struct action_list list;
	struct rule narrow = cut(row->rule, &row->action, &list);
	for (size_t i = 0; i < rows->n; i++) {
		const struct reach_row *s = &rows->v[i];
		if (s->rule->effect == POLICY_ALLOW)
			return NULL;
		if (!s->exempt && !s->rule->valid && cover_reach(p, s->rule, &narrow))
			return s->rule;
	}
	return NULL;
}

static void add_rows(const struct policy *p, const struct engine *e, const struct rule *rule,
    bool exempt, struct rows *rows)
{
	struct reach_row row = {.rule = rule, .now = true, .next = INT64_MAX};
	int64_t now = e->r->now;
	row.exempt = exempt && rule->effect != POLICY_ALLOW;
	if (rule->valid) {
		row.now = rule->effect == POLICY_ALLOW ? window_covers(rule->valid, now, now)
						       : window_meets(rule->valid, now, now);
		row.next = window_next(rule->valid, now);
		if (!row.now && row.next == INT64_MAX)
			return;
	}
	EACH_ACTION(rule, a)
	{
		row.action = a;
		row.taken = rule->effect == POLICY_ALLOW ? taken_by(p, rows, &row) : NULL;
		ARENA_ROOM(rows->arena, rows->v, rows->n, rows->cap, 16);
		rows->v[rows->n++] = row;
	}
}

size_t reach_what(const struct policy *p, const struct access_request *r, struct arena *a,
    struct reach_row **out)
{
	struct rows rows = {.arena = a};
	struct engine e;
	engine_init(&e, p, r);
	bool exempt = engine_subjects(&e, &p->exempt);
	for (enum rule_class c = 0; c < CLASS_COUNT; c++)
		for (uint32_t i = 0; i < p->nrules; i++) {
			const struct rule *rule = &p->rules[i];
			if (rule_class(rule) == c && engine_names(&e, rule) &&
			    !engine_subjects(&e, &rule->except) &&
			    in_place(p, rule, r->namespace_))
				add_rows(p, &e, rule, exempt, &rows);
		}
	*out = rows.v;
	return rows.n;
}
