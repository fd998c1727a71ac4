/* Owns what surrounds the cells of a comparison: the rules that differ, and examples as reviews. */
#include "authz/diff_run.h"

/* Words to the user, and papers of an emergency: they change no verdict. */
static bool texts_differ(const struct rule *a, const struct rule *b)
{
	const struct break_glass *x = a->break_glass, *y = b->break_glass;
	if (!text_eq(a->message, b->message) || !x != !y)
		return true;
	if (!x)
		return false;
	bool differ = !text_eq(x->ticket, y->ticket) || x->napproved != y->napproved;
	for (uint32_t i = 0; !differ && i < x->napproved; i++)
		differ = !text_eq(x->approved_by[i], y->approved_by[i]);
	return differ;
}

static void list_rule(struct diff *out, enum diff_change change, const struct rule *rule)
{
	ARENA_ROOM(&out->arena, out->rules, out->nrules, out->rules_cap, 16);
	out->rules[out->nrules++] = (struct diff_rule){change, rule};
}

static void names_of(const struct view *v, struct map *out)
{
	for (uint32_t i = 0; i < v->n; i++)
		map_put(out, slice_of(v->rules[i].rule->id), &v->rules[i]);
}

void diff_list_rules(struct diff_run *d)
{
	struct map names[2] = {0};
	for (int side = 0; side < 2; side++)
		names_of(&d->views[side], &names[side]);
	for (uint32_t i = 0; i < d->views[1].n; i++) {
		const struct view_rule *r = &d->views[1].rules[i];
		const struct view_rule *was = map_get(&names[0], slice_of(r->rule->id));
		if (r->changed)
			list_rule(d->out, was && was->changed ? DIFF_CHANGED : DIFF_ADDED, r->rule);
		else if (was && !was->changed && texts_differ(was->rule, r->rule))
			list_rule(d->out, DIFF_TEXT, r->rule);
	}
	for (uint32_t i = 0; i < d->views[0].n; i++) {
		const struct view_rule *r = &d->views[0].rules[i];
		const struct view_rule *is = map_get(&names[1], slice_of(r->rule->id));
		if (r->changed && (!is || !is->changed))
			list_rule(d->out, DIFF_REMOVED, r->rule);
	}
	map_done(&names[0]);
	map_done(&names[1]);
}

/* --- reviews --- */

static void add_member(struct buf *b, bool *first, const char *key, struct slice value)
{
	if (value.len == 0)
		return;
	buf_printf(b, "%s\"%s\":", *first ? "" : ",", key);
	buf_json(b, value);
	*first = false;
}

static void add_selector(
    struct buf *b, const char *key, const struct access_requirement *q, size_t n)
{
	if (n == 0)
		return;
	buf_printf(b, ",\"%s\":{\"requirements\":[", key);
	for (size_t i = 0; i < n; i++) {
		/* Neither may be left out, also where a log has none. */
		buf_adds(b, i ? ",{\"key\":" : "{\"key\":");
		buf_json(b, q[i].key);
		buf_json_member(b, "operator", q[i].op);
		if (q[i].n) {
			buf_adds(b, ",\"values\":");
			buf_json_list(b, q[i].values, q[i].n);
		}
		buf_addc(b, '}');
	}
	buf_adds(b, "]}");
}

static void add_attributes(struct buf *b, const struct access_request *r)
{
	bool first = true;
	if (!r->resource_request) {
		buf_adds(b, "\"nonResourceAttributes\":{");
		add_member(b, &first, "path", r->path);
		add_member(b, &first, "verb", r->verb);
		buf_addc(b, '}');
		return;
	}
	buf_adds(b, "\"resourceAttributes\":{");
	add_member(b, &first, "namespace", r->namespace_);
	add_member(b, &first, "verb", r->verb);
	add_member(b, &first, "group", r->api_group);
	add_member(b, &first, "resource", r->resource);
	add_member(b, &first, "subresource", r->subresource);
	add_member(b, &first, "name", r->name);
	if (first)
		buf_adds(b, "\"verb\":\"\"");
	add_selector(b, "fieldSelector", r->field_selector, r->nfield);
	add_selector(b, "labelSelector", r->label_selector, r->nlabel);
	buf_addc(b, '}');
}

void diff_review(const struct access_request *r, struct buf *out)
{
	buf_adds(out, "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\","
		      "\"spec\":{");
	add_attributes(out, r);
	buf_json_member(out, "user", r->user);
	if (r->ngroups) {
		buf_adds(out, ",\"groups\":");
		buf_json_list(out, r->groups, r->ngroups);
	}
	buf_adds(out, "}}");
}
