/* Owns the words and the JSON of who-can and what-can. */
#include "cli/policy_reach.h"

#include "common/clock.h"

static void comma(struct buf *b, bool *first)
{
	buf_adds(b, *first ? "" : ", ");
	*first = false;
}

/* --- subjects --- */

void reach_print_subject(struct buf *b, const struct reach_subject *s)
{
	static const char *const kinds[] = {[REACH_USER] = "user ",
	    [REACH_GROUP] = "group ",
	    [REACH_ACCOUNT] = "service account ",
	    [REACH_EVERYONE] = "everyone"};
	buf_adds(b, kinds[s->kind]);
	buf_slice(b, s->name);
}

void reach_json_subject(struct buf *b, const struct reach_subject *s)
{
	static const char *const kinds[] = {[REACH_USER] = "user",
	    [REACH_GROUP] = "group",
	    [REACH_ACCOUNT] = "serviceAccount",
	    [REACH_EVERYONE] = "everyone"};
	buf_printf(b, "{\"kind\":\"%s\"", kinds[s->kind]);
	if (s->kind != REACH_EVERYONE) {
		buf_json_member(b, "name", s->name);
		buf_printf(b, ",\"pattern\":%s", s->pattern ? "true" : "false");
	}
	buf_addc(b, '}');
}

void reach_json_subjects(struct buf *b, const struct policy *p, const struct subjects *s)
{
	AUTO(arena_done) struct arena arena = {0};
	struct reach_subject *v;
	size_t n = reach_subjects(p, s, &arena, &v);
	buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? "," : "");
		reach_json_subject(b, &v[i]);
	}
	buf_addc(b, ']');
}

/* --- lists of words --- */

static void print_set(struct buf *b, const struct policy *p, const struct atom_set *s, bool *first)
{
	if (s->any) {
		comma(b, first);
		buf_addc(b, '*');
	}
	for (uint32_t i = 0; !s->any && i < s->n; i++) {
		struct slice text = p->words.texts[s->v[i]];
		comma(b, first);
		buf_adds(b, text.len ? "" : "\"\"");
		buf_slice(b, text);
	}
}

static void print_globs(struct buf *b, const struct glob_list *g, bool *first)
{
	for (uint32_t i = 0; i < g->n; i++) {
		comma(b, first);
		buf_slice(b, g->v[i]);
	}
}

void reach_print_verbs(struct buf *b, const struct policy *p, const struct action *a)
{
	bool first = true;
	print_set(b, p, &a->verbs, &first);
}

static void print_form(struct buf *b, const struct policy *p, const struct resource_form *f,
    const struct slice *group)
{
	if (f->resource == ATOM_ANY)
		buf_addc(b, '*');
	else
		buf_slice(b, p->words.texts[f->resource]);
	if (group && group->len) {
		buf_addc(b, '.');
		buf_slice(b, *group);
	}
	if (f->sub == ATOM_ANY || f->sub == p->empty)
		return;
	buf_addc(b, '/');
	if (f->sub == ATOM_SOME)
		buf_addc(b, '*');
	else
		buf_slice(b, p->words.texts[f->sub]);
}

void reach_print_things(struct buf *b, const struct policy *p, const struct action *a)
{
	bool first = true;
	struct slice star = SLICE("*");
	for (uint32_t i = 0; i < a->nurls; i++) {
		comma(b, &first);
		buf_slice(b, a->urls[i].text);
		buf_adds(b, a->urls[i].prefix ? "*" : "");
	}
	for (uint32_t i = 0; i < a->nforms; i++) {
		uint32_t groups = a->groups.any ? 1 : a->groups.n;
		for (uint32_t k = 0; k < groups; k++) {
			struct slice group = a->groups.any ? star : p->words.texts[a->groups.v[k]];
			comma(b, &first);
			print_form(b, p, &a->forms[i], &group);
		}
	}
}

void reach_print_names(struct buf *b, const struct policy *p, const struct action *a)
{
	bool first = true;
	if (a->names.any)
		return;
	print_set(b, p, &a->names, &first);
	print_globs(b, &a->name_globs, &first);
}

void reach_print_place(struct buf *b, const struct policy *p, const struct rule *r)
{
	bool first = true;
	if (r->scope == SCOPE_CLUSTER)
		buf_adds(b, "without a namespace");
	if (r->scope != SCOPE_NAMESPACES)
		return;
	const struct ns_set *n = r->namespaces;
	print_set(b, p, &n->include, &first);
	print_globs(b, &n->include_globs, &first);
	if (n->exclude.n + n->exclude_globs.n == 0)
		return;
	buf_adds(b, " but not ");
	first = true;
	print_set(b, p, &n->exclude, &first);
	print_globs(b, &n->exclude_globs, &first);
}

static const char *const ops[] = {[REQUIREMENT_IN] = "In",
    [REQUIREMENT_NOT_IN] = "NotIn",
    [REQUIREMENT_EXISTS] = "Exists",
    [REQUIREMENT_DOES_NOT_EXIST] = "DoesNotExist"};

static void print_selector(struct buf *b, const char *what, const struct selector *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const struct requirement *q = &s->v[i];
		bool first = true;
		buf_adds(b, i ? ", " : what);
		buf_slice(b, q->key);
		buf_printf(b, " %s", ops[q->op]);
		buf_adds(b, q->n ? " (" : "");
		for (uint32_t k = 0; k < q->n; k++) {
			comma(b, &first);
			buf_slice(b, q->values[k]);
		}
		buf_adds(b, q->n ? ")" : "");
	}
}

void reach_print_selectors(struct buf *b, const struct action *a)
{
	print_selector(b, "field selector ", &a->fields);
	buf_adds(b, a->fields.n && a->labels.n ? "; " : "");
	print_selector(b, "label selector ", &a->labels);
}

void reach_print_time(struct buf *b, int64_t t)
{
	char text[CLOCK_RFC3339_LEN];
	clock_rfc3339(t, text);
	buf_printf(b, "%.19sZ", text);
}

/* --- JSON --- */

void reach_json_rule(struct buf *b, const struct rule *r)
{
	buf_json_member(b, "rule", slice_of(r->id));
	buf_json_member(b, "source", slice_of(r->source));
	buf_printf(b, ",\"effect\":\"%s\",\"origin\":\"%s\"", policy_effect_name(r->effect),
	    rule_origin_name(r->origin));
	if (r->effect != POLICY_ALLOW)
		buf_printf(b, ",\"overlap\":\"%s\"", r->exact ? "exact" : "possible");
	if (r->break_glass)
		buf_json_member(b, "breakGlass", slice_of(r->break_glass->ticket));
}

static void json_words(struct buf *b, const struct policy *p, const char *key,
    const struct atom_set *s, const struct glob_list *globs)
{
	bool first = b->len && b->p[b->len - 1] == '{';
	buf_printf(b, "%s\"%s\":[", first ? "" : ",", key);
	if (s->any)
		buf_adds(b, "\"*\"");
	for (uint32_t i = 0; !s->any && i < s->n; i++) {
		buf_adds(b, i ? "," : "");
		buf_json(b, p->words.texts[s->v[i]]);
	}
	for (uint32_t i = 0; globs && i < globs->n; i++) {
		buf_adds(b, i || s->n ? "," : "");
		buf_json(b, globs->v[i]);
	}
	buf_addc(b, ']');
}

static void json_selector(struct buf *b, const char *key, const struct selector *s)
{
	if (s->n == 0)
		return;
	buf_printf(b, ",\"%s\":[", key);
	for (uint32_t i = 0; i < s->n; i++) {
		buf_adds(b, i ? ",{\"key\":" : "{\"key\":");
		buf_json(b, s->v[i].key);
		buf_printf(b, ",\"operator\":\"%s\",\"values\":[", ops[s->v[i].op]);
		for (uint32_t k = 0; k < s->v[i].n; k++) {
			buf_adds(b, k ? "," : "");
			buf_json(b, s->v[i].values[k]);
		}
		buf_adds(b, "]}");
	}
	buf_addc(b, ']');
}

static void json_paths(struct buf *b, const struct action *a)
{
	buf_adds(b, ",\"nonResourceURLs\":[");
	for (uint32_t i = 0; i < a->nurls; i++) {
		struct buf url;
		buf_init(&url, SIZE_MAX / 2);
		buf_slice(&url, a->urls[i].text);
		buf_adds(&url, a->urls[i].prefix ? "*" : "");
		buf_adds(b, i ? "," : "");
		buf_json(b, buf_view(&url));
		buf_done(&url);
	}
	buf_addc(b, ']');
}

void reach_json_action(struct buf *b, const struct policy *p, const struct action *a)
{
	json_words(b, p, "verbs", &a->verbs, NULL);
	if (!a->resource) {
		json_paths(b, a);
		return;
	}
	json_words(b, p, "apiGroups", &a->groups, NULL);
	buf_adds(b, ",\"resources\":[");
	for (uint32_t i = 0; i < a->nforms; i++) {
		struct buf form;
		buf_init(&form, SIZE_MAX / 2);
		print_form(&form, p, &a->forms[i], NULL);
		buf_adds(b, i ? "," : "");
		buf_json(b, buf_view(&form));
		buf_done(&form);
	}
	buf_addc(b, ']');
	if (!a->names.any) {
		json_words(b, p, "resourceNames", &a->names, NULL);
		json_words(b, p, "resourceNamesGlob", &(struct atom_set){0}, &a->name_globs);
	}
	json_selector(b, "fieldSelector", &a->fields);
	json_selector(b, "labelSelector", &a->labels);
}

void reach_json_place(struct buf *b, const struct policy *p, const struct rule *r)
{
	static const char *const scopes[] = {
	    [SCOPE_ALL] = "all", [SCOPE_CLUSTER] = "cluster", [SCOPE_NAMESPACES] = "namespaces"};
	buf_printf(b, ",\"scope\":\"%s\"", scopes[r->scope]);
	if (r->scope != SCOPE_NAMESPACES)
		return;
	buf_adds(b, ",\"namespaces\":{");
	json_words(b, p, "include", &r->namespaces->include, &r->namespaces->include_globs);
	json_words(b, p, "exclude", &r->namespaces->exclude, &r->namespaces->exclude_globs);
	buf_addc(b, '}');
}
