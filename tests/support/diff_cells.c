/* Owns the reading of cells for tests. */
#include "tests/support/diff_cells.h"

#include <stdio.h>

#include "policy/scope.h"
#include "tests/support/must.h"
#include "tests/support/naive_authz.h"

static bool account_shaped(struct slice user)
{
	size_t colons = 0;
	if (!slice_starts(user, SLICE("system:serviceaccount:")))
		return false;
	for (size_t i = 0; i < user.len; i++)
		colons += user.p[i] == ':';
	return colons == 3 && user.p[user.len - 1] != ':' &&
	       !slice_starts(user, SLICE("system:serviceaccount::"));
}

static bool pattern_has(const struct pattern *p, struct slice text)
{
	char copy[512];
	MUST(p->text.len < sizeof(copy));
	if (p->text.len)
		memcpy(copy, p->text.p, p->text.len);
	copy[p->text.len] = '\0';
	switch (p->kind) {
	case PATTERN_WORD:
		return slice_eq(p->text, text);
	case PATTERN_PREFIX:
		return slice_starts(text, p->text);
	case PATTERN_ACCOUNT:
		return account_shaped(text) && naive_glob(copy, text);
	case PATTERN_GLOB:
		break;
	}
	return naive_glob(copy, text);
}

static bool words_has(const struct words *w, struct slice text)
{
	for (uint32_t i = 0; i < w->n; i++)
		if (pattern_has(&w->v[i], text))
			return true;
	return false;
}

static bool dimension_has(const struct diff_words *w, struct slice text)
{
	return (w->any || words_has(&w->in, text)) && !words_has(&w->out, text);
}

static bool one_form_has(const struct form *f, const struct access_request *r)
{
	if (!f->any_resource && !slice_eq(f->resource, r->resource))
		return false;
	if (f->sub_kind == SUB_WORD)
		return slice_eq(f->sub, r->subresource);
	return f->sub_kind == SUB_ANY || r->subresource.len > 0;
}

static bool forms_has(const struct forms *f, const struct access_request *r)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (one_form_has(&f->v[i], r))
			return true;
	return false;
}

static bool people_has(const struct people *p, const struct access_request *r)
{
	if (p->everyone || words_has(&p->users, r->user))
		return true;
	for (size_t i = 0; i < r->ngroups; i++)
		if (words_has(&p->groups, r->groups[i]))
			return true;
	return false;
}

static bool who_has(const struct diff_who *w, const struct access_request *r)
{
	for (size_t i = 0; i < w->nall; i++)
		if (!people_has(w->all[i], r))
			return false;
	for (size_t i = 0; i < w->nnone; i++)
		if (people_has(w->none[i], r))
			return false;
	return true;
}

/* The policies' words outlive the cell and end in a NUL. */
static struct naive_selector selector_of(const struct selector *s)
{
	static const char *const ops[] = {[REQUIREMENT_IN] = "In",
	    [REQUIREMENT_NOT_IN] = "NotIn",
	    [REQUIREMENT_EXISTS] = "Exists",
	    [REQUIREMENT_DOES_NOT_EXIST] = "DoesNotExist"};
	struct naive_selector out = {.n = (int)s->n};
	MUST(s->n <= NAIVE_REQUIREMENTS);
	for (uint32_t i = 0; i < s->n; i++) {
		out.v[i] = (struct naive_requirement){.key = s->v[i].key.p,
		    .op = ops[s->v[i].op],
		    .values.n = (int)s->v[i].n};
		MUST(s->v[i].n <= NAIVE_LIST);
		for (uint32_t k = 0; k < s->v[i].n; k++)
			out.v[i].values.v[k] = s->v[i].values[k].p;
	}
	return out;
}

static bool selector_has(const struct limit *l, const struct access_request *r)
{
	struct naive_selector s = selector_of(l->selector);
	bool fields = l->dim == REGION_FIELDS;
	const struct access_requirement *q = fields ? r->field_selector : r->label_selector;
	size_t n = fields ? r->nfield : r->nlabel;
	return (l->wide ? naive_may_meet(&s, q, n) : naive_covered(&s, q, n)) != l->out;
}

/* Generated policies add no resources of their own to the table. */
static bool cluster_scoped(const struct access_request *r)
{
	for (size_t i = 0; i < scope_builtin_len; i++)
		if (slice_is(r->api_group, scope_builtin[i].group) &&
		    slice_is(r->resource, scope_builtin[i].resource))
			return true;
	return false;
}

static bool place_has(const struct diff_cell *c, const struct access_request *r)
{
	bool scoped = cluster_scoped(r);
	if (!dimension_has(&c->words[REGION_NAMESPACE], r->namespace_))
		return false;
	return !(c->scoped && !scoped) && !(c->unscoped && scoped);
}

bool cell_has(const struct diff_cell *c, const struct access_request *r)
{
	if (c->resource != r->resource_request || !who_has(&c->who, r) ||
	    !dimension_has(&c->words[REGION_VERB], r->verb))
		return false;
	if (!c->resource)
		return dimension_has(&c->words[REGION_PATH], r->path);
	if (!dimension_has(&c->words[REGION_GROUP], r->api_group) ||
	    !dimension_has(&c->words[REGION_NAME], r->name) || !place_has(c, r) ||
	    !(c->forms.any || forms_has(&c->forms.in, r)) || forms_has(&c->forms.out, r))
		return false;
	for (size_t i = 0; i < c->nselectors; i++)
		if (!selector_has(&c->selectors[i], r))
			return false;
	return true;
}

const struct diff_cell *cell_of(const struct diff *d, const struct access_request *r, bool shadow,
    enum verdict before, enum verdict after)
{
	for (size_t i = 0; i < d->ncells; i++) {
		const struct diff_cell *c = &d->cells[i];
		if (c->shadow == shadow && c->before == before && c->after == after &&
		    cell_has(c, r))
			return c;
	}
	return NULL;
}

static void print_words(struct buf *b, const struct words *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		buf_printf(b, " %d`" SLICE_FMT "`", (int)w->v[i].kind, SLICE_ARG(w->v[i].text));
}

void cell_print(struct buf *b, const struct diff_cell *c)
{
	buf_printf(b, "%s%s -> %s%s:", c->shadow ? "shadow " : "", verdict_name(c->before),
	    verdict_name(c->after), c->certain ? "" : " perhaps");
	for (size_t i = 0; i < c->who.nall; i++) {
		buf_adds(b, c->who.all[i]->everyone ? " everyone" : " people(");
		print_words(b, &c->who.all[i]->users);
		print_words(b, &c->who.all[i]->groups);
		buf_adds(b, ")");
	}
	for (int dim = 0; dim < REGION_WORDS; dim++) {
		buf_printf(b, " [%d%s", dim, c->words[dim].any ? " any" : "");
		print_words(b, &c->words[dim].in);
		buf_adds(b, c->words[dim].out.n ? " but" : "");
		print_words(b, &c->words[dim].out);
		buf_adds(b, "]");
	}
	if (c->certain) {
		buf_addc(b, ' ');
		naive_print_request(b, &c->example);
	}
	buf_addc(b, '\n');
}
