/* Owns the explanation of a decision, as text and as JSON: each rule that concerns a request, and where it
 * stopped matching. */
#include "authz/explain.h"

static const char *const dimension_names[] = {
    [DIM_NONE] = "",
    [DIM_SUBJECTS] = "subjects",
    [DIM_EXCEPT] = "except",
    [DIM_KIND] = "kind",
    [DIM_VERB] = "verb",
    [DIM_API_GROUP] = "apiGroup",
    [DIM_RESOURCE] = "resource",
    [DIM_NAME] = "resourceName",
    [DIM_PATH] = "nonResourceURL",
    [DIM_FIELD_SELECTOR] = "fieldSelector",
    [DIM_LABEL_SELECTOR] = "labelSelector",
    [DIM_NAMESPACE] = "namespace",
    [DIM_VALID] = "valid",
};

static const char *const dimension_texts[] = {
    [DIM_NONE] = "matches",
    [DIM_SUBJECTS] = "names other subjects",
    [DIM_EXCEPT] = "excepts the subject",
    [DIM_KIND] = "is about the other kind of request (resources or paths)",
    [DIM_VERB] = "has other verbs",
    [DIM_API_GROUP] = "has other API groups",
    [DIM_RESOURCE] = "has other resources",
    [DIM_NAME] = "has other resource names",
    [DIM_PATH] = "has other paths",
    [DIM_FIELD_SELECTOR] = "selects other fields",
    [DIM_LABEL_SELECTOR] = "selects other labels",
    [DIM_NAMESPACE] = "has other namespaces",
    [DIM_VALID] = "does not hold at this time",
};

/* What an explanation is made of. */
struct telling {
	const struct access_request *request;
	const struct decision *decision;
	struct buf *out;
	bool first;
};

static bool decides(const struct telling *t, const struct explained *x)
{
	return x->dim == DIM_NONE && t->decision->rule == x->rule->id;
}

/* --- text --- */

static const char *role_of(const struct telling *t, const struct explained *x)
{
	const struct decision *d = t->decision;
	if (decides(t, x))
		return " and decides";
	if (x->rule->effect == POLICY_NO_EFFECT)
		return d->note ? "" : ", but something else decides";
	if (d->exempt && x->rule->effect != POLICY_ALLOW)
		return ", but the subject is exempt";
	if (x->rule->shadow)
		return d->shadow.differs && d->shadow.rule == x->rule->id ? " and would decide"
									  : ", in shadow";
	return ", but another rule decides";
}

static void add_has(struct buf *out, const struct explained *x)
{
	for (size_t i = 0; i < x->nhas; i++) {
		buf_adds(out, i ? ", " : ": ");
		buf_json(out, x->has[i]);
	}
	if (x->more)
		buf_printf(out, " and %zu more", x->more);
}

static void add_subject(struct buf *out, const struct explain_subject *s)
{
	buf_printf(out, ", named by %s", s->kind);
	if (s->entry.len) {
		buf_addc(out, ' ');
		buf_json(out, s->entry);
	}
	if (!slice_eq(s->entry, s->value)) {
		buf_adds(out, " (");
		buf_json(out, s->value);
		buf_addc(out, ')');
	}
}

/* An allow that ends while the apiserver would still remember it is as good as over. */
static void add_time(struct buf *out, const struct telling *t, const struct explained *x)
{
	struct explain_time when;
	if (!x->rule->valid)
		return;
	if (t->request->now == AUTHZ_TIMELESS) {
		buf_adds(out, "; it holds at some times only");
		return;
	}
	explain_time(x->rule, t->request->now, &when);
	if (!when.changes) {
		buf_adds(out, when.holds ? "; it holds for ever" : "; it never holds again");
		return;
	}
	if (x->dim == DIM_VALID && when.holds)
		buf_adds(out, "; the apiserver would remember the answer past its end at ");
	else
		buf_adds(out, when.holds ? "; it holds until " : "; it holds again from ");
	window_print_moment(when.next, out);
}

static void add_break_glass(struct buf *out, const struct break_glass *b)
{
	if (!b)
		return;
	buf_adds(out, "; break-glass ");
	buf_json(out, slice_of(b->ticket));
	for (uint32_t i = 0; i < b->napproved; i++) {
		buf_adds(out, i ? ", " : ", approved by ");
		buf_json(out, slice_of(b->approved_by[i]));
	}
}

static void add_text(const struct telling *t, const struct explained *x)
{
	static const char *const from[] = {
	    [ORIGIN_NATIVE] = "", [ORIGIN_RBAC] = ", RBAC", [ORIGIN_ABAC] = ", ABAC"};
	const struct rule *rule = x->rule;
	struct buf *out = t->out;
	buf_printf(out, "%-7s %s (%s%s%s): %s%s", policy_effect_name(rule->effect), rule->id,
	    rule->source, from[rule->origin], rule->shadow ? ", shadow" : "",
	    dimension_texts[x->dim], x->dim == DIM_NONE ? role_of(t, x) : "");
	add_has(out, x);
	if (x->dim == DIM_EXCEPT)
		add_subject(out, &x->excepted);
	else if (x->dim == DIM_NONE)
		add_subject(out, &x->by);
	if (x->dim == DIM_NONE || x->dim == DIM_VALID)
		add_time(out, t, x);
	if (x->dim == DIM_NONE)
		add_break_glass(out, rule->break_glass);
	if (rule->effect == POLICY_NO_EFFECT)
		buf_printf(out, ": %s", rule->message);
	buf_addc(out, '\n');
}

/* --- JSON --- */

static void json_subject(struct buf *out, const char *key, const struct explain_subject *s)
{
	buf_printf(out, ",\"%s\":{\"kind\":\"%s\"", key, s->kind);
	if (s->entry.len)
		buf_json_member(out, "entry", s->entry);
	if (s->value.len)
		buf_json_member(out, "value", s->value);
	buf_addc(out, '}');
}

static void json_failed(struct buf *out, const struct explained *x)
{
	if (x->dim == DIM_NONE)
		return;
	buf_printf(out, ",\"failed\":\"%s\"", dimension_names[x->dim]);
	if (x->nhas == 0)
		return;
	for (size_t i = 0; i < x->nhas; i++) {
		buf_adds(out, i ? "," : ",\"has\":[");
		buf_json(out, x->has[i]);
	}
	buf_addc(out, ']');
	if (x->more)
		buf_printf(out, ",\"hasMore\":%zu", x->more);
}

static void json_time(struct buf *out, const struct telling *t, const struct rule *rule)
{
	struct explain_time when;
	if (!rule->valid)
		return;
	buf_adds(out, ",\"valid\":{\"window\":");
	struct buf text;
	buf_init(&text, 1 << 20);
	window_print(rule->valid, &text);
	buf_json(out, buf_view(&text));
	if (t->request->now != AUTHZ_TIMELESS) {
		explain_time(rule, t->request->now, &when);
		buf_printf(out, ",\"holds\":%s", when.holds ? "true" : "false");
		if (when.changes) {
			buf_printf(out, ",\"%s\":\"", when.holds ? "until" : "from");
			window_print_moment(when.next, out);
			buf_addc(out, '"');
		}
	}
	buf_addc(out, '}');
	buf_done(&text);
}

static void json_break_glass(struct buf *out, const struct break_glass *b)
{
	if (!b)
		return;
	buf_adds(out, ",\"breakGlass\":{\"ticket\":");
	buf_json(out, slice_of(b->ticket));
	buf_adds(out, ",\"approvedBy\":[");
	for (uint32_t i = 0; i < b->napproved; i++) {
		buf_adds(out, i ? "," : "");
		buf_json(out, slice_of(b->approved_by[i]));
	}
	buf_adds(out, "]}");
}

static void add_json(struct telling *t, const struct explained *x)
{
	const struct rule *rule = x->rule;
	struct buf *out = t->out;
	buf_adds(out, t->first ? "" : ",");
	t->first = false;
	buf_adds(out, "{\"rule\":");
	buf_json(out, slice_of(rule->id));
	buf_printf(out, ",\"effect\":\"%s\",\"mode\":\"%s\",\"origin\":\"%s\"",
	    policy_effect_name(rule->effect), rule->shadow ? "shadow" : "enforce", rule_origin_name(rule->origin));
	buf_json_member(out, "source", slice_of(rule->source));
	buf_printf(out, ",\"matches\":%s,\"decides\":%s", x->dim == DIM_NONE ? "true" : "false",
	    decides(t, x) ? "true" : "false");
	json_failed(out, x);
	if (x->names)
		json_subject(out, "namedBy", &x->by);
	if (x->excepts)
		json_subject(out, "exceptedBy", &x->excepted);
	json_time(out, t, rule);
	json_break_glass(out, rule->break_glass);
	if (rule->message)
		buf_json_member(out, "message", slice_of(rule->message));
	buf_addc(out, '}');
}

/* --- the whole --- */

static void explain_class(
    struct telling *t, const struct engine *e, enum rule_class class, bool json)
{
	for (uint32_t i = 0; i < e->p->nrules; i++) {
		AUTO(arena_done) struct arena arena = {0};
		struct explained x;
		if (rule_class(&e->p->rules[i]) != class ||
		    !explain_rule(e, &e->p->rules[i], &arena, &x))
			continue;
		if (json)
			add_json(t, &x);
		else
			add_text(t, &x);
	}
}

void authz_explain(
    const struct policy *p, const struct access_request *r, bool json, struct buf *out)
{
	struct engine e UNINITIALIZED;
	struct decision d;
	struct telling t = {.request = r, .decision = &d, .out = out, .first = true};
	authz_evaluate(p, r, &d);
	engine_init(&e, p, r);
	buf_adds(out, json ? "[" : "");
	for (enum rule_class k = 0; k < CLASS_ALL; k++)
		explain_class(&t, &e, k, json);
	buf_adds(out, json ? "]" : "");
}
