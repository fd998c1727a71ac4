/* Owns the text of the second evaluator's policies and requests. */
#include "tests/support/naive_import.h"

#include "tests/support/policy_text.h"

static void print_list(struct buf *b, const char *key, const struct naive_list *l)
{
	if (!l->n)
		return;
	buf_printf(b, "%s: [", key);
	for (int i = 0; i < l->n; i++)
		buf_printf(b, "%s\"%s\"", i ? ", " : "", l->v[i]);
	buf_adds(b, "], ");
}

/* --- subjects and places --- */

static void print_rest(struct buf *b, const struct naive_subjects *s)
{
	if (s->ncrowd) {
		buf_adds(b, "groups: [");
		for (int i = 0; i < s->groups.n; i++)
			buf_printf(b, "\"%s\", ", s->groups.v[i]);
		for (int i = 0; i < s->ncrowd; i++)
			buf_printf(b, "%s\"%s\"", i ? ", " : "", s->crowd[i]);
		buf_adds(b, "], ");
	} else {
		print_list(b, "groups", &s->groups);
	}
	print_list(b, "serviceAccounts", &s->accounts);
	if (s->all)
		buf_printf(b, "all: %s", s->all);
}

/* KIND and ID name the alias when S is written with one. */
static void print_subjects(
    struct buf *b, const struct naive_subjects *s, const char *kind, const char *id)
{
	buf_adds(b, "{");
	if (s->alias != NAIVE_INLINE)
		buf_printf(b, "alias: %s-%s, ", kind, id);
	else
		print_list(b, "users", &s->users);
	if (s->alias != NAIVE_ALIAS)
		print_rest(b, s);
	buf_adds(b, "}");
}

static void print_alias(
    struct buf *b, const struct naive_subjects *s, const char *kind, const char *id)
{
	if (s->alias == NAIVE_INLINE)
		return;
	buf_printf(b, "    %s-%s: {", kind, id);
	print_list(b, "users", &s->users);
	if (s->alias == NAIVE_ALIAS)
		print_rest(b, s);
	buf_adds(b, "}\n");
}

static void print_place(struct buf *b, const struct naive_rule *r)
{
	buf_adds(b, "{");
	print_list(b, "include", &r->include);
	print_list(b, "exclude", &r->exclude);
	buf_adds(b, "}");
}

/* --- actions --- */

static void print_selector(struct buf *b, const char *key, const struct naive_selector *s)
{
	if (!s->n)
		return;
	buf_printf(b, "%s: {requirements: [", key);
	for (int i = 0; i < s->n; i++) {
		buf_printf(b, "%s{key: %s, operator: %s, ", i ? ", " : "", s->v[i].key, s->v[i].op);
		print_list(b, "values", &s->v[i].values);
		buf_adds(b, "}");
	}
	buf_adds(b, "]}, ");
}

static void print_grant(struct buf *b, const struct naive_grant *g)
{
	print_list(b, "apiGroups", &g->groups);
	print_list(b, "resources", &g->resources);
	print_list(b, "resourceNames", &g->names);
	print_list(b, "resourceNamesGlob", &g->name_globs);
	print_list(b, "nonResourceURLs", &g->urls);
	print_list(b, "verbs", &g->verbs);
	print_selector(b, "fieldSelector", &g->fields);
	print_selector(b, "labelSelector", &g->labels);
}

/* A grant before the others that matches nothing: all of a role must be tried. */
static void print_role(struct buf *b, const struct naive_rule *r)
{
	buf_printf(b, "- {name: r-%s, rules: [{resources: [zz], verbs: [zz]}", r->id);
	for (int i = 0; i < r->ngrants; i++) {
		buf_adds(b, ", {");
		print_grant(b, &r->grants[i]);
		buf_adds(b, "}");
	}
	buf_adds(b, "]}\n");
}

static void print_rule(struct buf *b, const struct naive_rule *r)
{
	static const char *const effects[] = {"", "allow", "deny", "abstain"};
	buf_printf(b, "- {id: %s, effect: %s, subjects: ", r->id, effects[r->effect]);
	print_subjects(b, &r->subjects, "s", r->id);
	if (r->has_except) {
		buf_adds(b, ", except: {subjects: ");
		print_subjects(b, &r->except, "e", r->id);
		buf_adds(b, "}");
	}
	buf_adds(b, ", ");
	if (r->shadow)
		buf_adds(b, "mode: shadow, ");
	naive_print_window(b, r);
	if (r->role)
		buf_printf(b, "roles: [r-%s], ", r->id);
	else
		print_grant(b, &r->grants[0]);
	if (r->place_alias) {
		buf_printf(b, "namespaces: {alias: p-%s}, ", r->id);
	} else if (r->include.n && !r->exclude.n) {
		print_list(b, "namespaces", &r->include);
	} else if (r->include.n) {
		buf_adds(b, "namespaces: ");
		print_place(b, r);
		buf_adds(b, ", ");
	}
	if (r->cluster_only)
		buf_adds(b, "clusterScope: only, ");
	buf_printf(b, "overlap: %s}\n", r->exact ? "exact" : "possible");
}

/* --- files --- */

/* Aliases and roles, all in the one file: the other may use them too. */
static void print_names(struct buf *b, const struct naive_policy *p)
{
	buf_printf(b, "defaults:\n  decision: %s\n", p->default_deny ? "Deny" : "NoOpinion");
	if (p->has_exempt) {
		buf_adds(b, "  exempt: ");
		print_subjects(b, &p->exempt, "x", "x");
		buf_adds(b, "\n");
	}
	buf_adds(b, "aliases:\n  subjects:\n    unused: {all: everyone}\n");
	for (int i = 0; i < p->n; i++) {
		print_alias(b, &p->rules[i].subjects, "s", p->rules[i].id);
		print_alias(b, &p->rules[i].except, "e", p->rules[i].id);
	}
	buf_adds(b, "  namespaces:\n    unused: {include: [\"*\"]}\n");
	for (int i = 0; i < p->n; i++) {
		if (!p->rules[i].place_alias)
			continue;
		buf_printf(b, "    p-%s: ", p->rules[i].id);
		print_place(b, &p->rules[i]);
		buf_adds(b, "\n");
	}
	buf_adds(b, "roles:\n- {name: unused, rules: [{resources: [a], verbs: [b]}]}\n");
	for (int i = 0; i < p->n; i++)
		if (p->rules[i].role)
			print_role(b, &p->rules[i]);
}

static size_t print_native(struct buf texts[NAIVE_FILES], const struct naive_policy *p)
{
	bool two = p->first > 0 && p->first < p->n;
	for (int k = 0; k <= two; k++) {
		buf_adds(&texts[k], POLICY_HEAD);
		if (k == two)
			print_names(&texts[k], p);
		buf_adds(&texts[k], "rules:\n");
		for (int i = k ? p->first : 0; i < (two && !k ? p->first : p->n); i++)
			print_rule(&texts[k], &p->rules[i]);
	}
	return two ? 2 : 1;
}

size_t naive_print(struct policy_file files[NAIVE_FILES], struct buf texts[NAIVE_FILES],
    const struct naive_policy *p)
{
	static const char *const names[] = {"a.yaml", "b.yaml"};
	const struct naive_imports *im = p->imports;
	size_t n = print_native(texts, p);
	for (size_t k = 0; k < n; k++)
		files[k] = (struct policy_file){.name = names[k]};
	if (im && im->nroles) {
		naive_print_rbac(&texts[n], im);
		files[n++] = (struct policy_file){.name = "y.yaml", .kind = POLICY_FILE_RBAC};
	}
	if (im && im->nlines) {
		naive_print_abac(&texts[n], im);
		files[n++] = (struct policy_file){.name = "z.jsonl", .kind = POLICY_FILE_ABAC};
	}
	for (size_t k = 0; k < n; k++)
		files[k].text = slice_of(buf_cstr(&texts[k]));
	return n;
}

struct policy *naive_compile(const struct naive_policy *p)
{
	struct buf texts[NAIVE_FILES];
	struct policy_file files[NAIVE_FILES];
	for (int k = 0; k < NAIVE_FILES; k++)
		buf_init(&texts[k], 1 << 24);
	size_t n = naive_print(files, texts, p);
	struct policy *out = policy_must_files(files, n);
	for (int k = 0; k < NAIVE_FILES; k++)
		buf_done(&texts[k]);
	return out;
}

/* --- requests --- */

static void print_asked(
    struct buf *b, const char *what, const struct access_requirement *q, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_printf(b, " %s: `" SLICE_FMT "` " SLICE_FMT " (", what, SLICE_ARG(q[i].key),
		    SLICE_ARG(q[i].op));
		for (size_t k = 0; k < q[i].n; k++)
			buf_printf(b, "`" SLICE_FMT "` ", SLICE_ARG(q[i].values[k]));
		buf_adds(b, ")");
	}
}

void naive_print_request(struct buf *b, const struct access_request *r)
{
	buf_printf(b, "user=`" SLICE_FMT "` groups=", SLICE_ARG(r->user));
	for (size_t i = 0; i < r->ngroups; i++)
		buf_printf(b, "`" SLICE_FMT "` ", SLICE_ARG(r->groups[i]));
	buf_printf(b, "now=%lld hold=%lld verb=`" SLICE_FMT "`", (long long)r->now,
	    (long long)r->hold, SLICE_ARG(r->verb));
	if (!r->resource_request) {
		buf_printf(b, " path=`" SLICE_FMT "`", SLICE_ARG(r->path));
		return;
	}
	buf_printf(b, " group=`" SLICE_FMT "` resource=`" SLICE_FMT "`/`" SLICE_FMT "` name=`" SLICE_FMT
		      "` ns=`" SLICE_FMT "`",
	    SLICE_ARG(r->api_group), SLICE_ARG(r->resource), SLICE_ARG(r->subresource),
	    SLICE_ARG(r->name), SLICE_ARG(r->namespace_));
	print_asked(b, "field", r->field_selector, r->nfield);
	print_asked(b, "label", r->label_selector, r->nlabel);
}
