/* Owns cells: a region as lists of texts, the nicest example, one cell for subjects that change alike. */
#include <stdlib.h>

#include "authz/diff_run.h"

/* --- what a region says --- */

static const struct words *copy_words(struct arena *a, const struct words *w, struct words *out)
{
	struct pattern *v = ARENA_ARRAY(a, struct pattern, w->n);
	for (uint32_t i = 0; i < w->n; i++)
		v[i] = (struct pattern){slice_dup(a, w->v[i].text), w->v[i].kind};
	*out = (struct words){v, w->n, w->nwords};
	return out;
}

/* Patterns of Q's outer sets that take something away from IN (NULL: from everything). */
static void outer(struct diff_run *d, const struct words_query *q, const struct words *in,
    struct words *out)
{
	size_t n = 0, at = 0;
	for (size_t i = 0; i < q->nout; i++)
		n += q->out[i]->n;
	struct pattern *v = ARENA_ARRAY(&d->scratch, struct pattern, n);
	for (size_t i = 0; i < q->nout; i++)
		for (uint32_t k = 0; k < q->out[i]->n; k++) {
			const struct pattern *p = &q->out[i]->v[k];
			struct words one = {p, 1, p->kind == PATTERN_WORD}, both;
			if (!in || !words_meet(&d->scratch, in, &one, &both) || both.n > 0)
				v[at++] = *p;
		}
	*out = words_new(v, (uint32_t)at);
}

static void describe_words(
    struct diff_run *d, const struct region *r, enum region_dim dim, struct diff_words *out)
{
	struct words_query q;
	struct words in, outside;
	region_query(r, dim, &q);
	out->any = q.nin == 0;
	if (!out->any) {
		in = *q.in[0];
		/* Where they are too many to lay over each other, one of the sets says enough. */
		for (size_t i = 1; i < q.nin; i++) {
			struct words both;
			if (words_meet(&d->scratch, &in, q.in[i], &both))
				in = both;
		}
		struct pattern *v = ARENA_ARRAY(&d->scratch, struct pattern, in.n);
		uint32_t n = 0;
		for (uint32_t i = 0; i < in.n; i++) {
			bool gone = false;
			for (size_t k = 0; k < q.nout && !gone; k++)
				gone = words_cover(q.out[k], &in.v[i]);
			if (!gone)
				v[n++] = in.v[i];
		}
		in = words_new(v, n);
		copy_words(&d->out->arena, &in, &out->in);
	}
	outer(d, &q, out->any ? NULL : &in, &outside);
	copy_words(&d->out->arena, &outside, &out->out);
}

static bool form_gone(const struct region *r, const struct form *f)
{
	for (const struct limits *l = r->limits[REGION_FORM]; l; l = l->next)
		for (uint32_t i = 0; l->limit.out && i < l->limit.forms->n; i++)
			if (form_covers(&l->limit.forms->v[i], f))
				return true;
	return false;
}

struct form_list {
	struct form *v;
	size_t n, cap;
};

static void add_form(struct diff_run *d, struct form_list *list, const struct form *f)
{
	for (size_t i = 0; i < list->n; i++)
		if (form_covers(&list->v[i], f))
			return;
	ARENA_ROOM(&d->out->arena, list->v, list->n, list->cap, 4);
	list->v[list->n++] = *f;
}

static void describe_forms(struct diff_run *d, const struct region *r, struct diff_forms *out)
{
	static const struct form all = {.any_resource = true, .sub_kind = SUB_ANY};
	struct form_list in = {0}, outside = {0}, last;
	add_form(d, &in, &all);
	out->any = true;
	for (const struct limits *l = r->limits[REGION_FORM]; l; l = l->next) {
		if (l->limit.out)
			continue;
		out->any = false;
		last = in;
		in = (struct form_list){0};
		for (size_t i = 0; i < last.n; i++)
			for (uint32_t k = 0; k < l->limit.forms->n; k++) {
				struct form both;
				if (form_meet(&last.v[i], &l->limit.forms->v[k], &both) &&
				    !form_gone(r, &both))
					add_form(d, &in, &both);
			}
	}
	for (const struct limits *l = r->limits[REGION_FORM]; l; l = l->next)
		for (uint32_t i = 0; l->limit.out && i < l->limit.forms->n; i++)
			for (size_t k = 0; k < in.n; k++) {
				struct form both;
				if (form_meet(&in.v[k], &l->limit.forms->v[i], &both)) {
					add_form(d, &outside, &both);
				}
			}
	if (!out->any)
		out->in = (struct forms){in.v, (uint32_t)in.n};
	out->out = (struct forms){outside.v, (uint32_t)outside.n};
}

static void describe_people(struct diff_run *d, const struct region *r, struct diff_who *out)
{
	size_t n = 0;
	for (const struct limits *l = r->limits[REGION_PEOPLE]; l; l = l->next)
		n++;
	const struct people **all = ARENA_ARRAY(&d->out->arena, const struct people *, n);
	const struct people **none = ARENA_ARRAY(&d->out->arena, const struct people *, n);
	*out = (struct diff_who){.all = all, .none = none};
	for (const struct limits *l = r->limits[REGION_PEOPLE]; l; l = l->next) {
		if (l->limit.out)
			none[out->nnone++] = l->limit.people;
		else
			all[out->nall++] = l->limit.people;
	}
}

static void describe_selectors(struct diff_run *d, const struct region *r, struct diff_cell *c)
{
	size_t n = 0;
	for (int dim = REGION_FIELDS; dim <= REGION_LABELS; dim++)
		for (const struct limits *l = r->limits[dim]; l; l = l->next)
			n++;
	struct limit *v = ARENA_ARRAY(&d->out->arena, struct limit, n);
	c->selectors = v;
	for (int dim = REGION_FIELDS; dim <= REGION_LABELS; dim++)
		for (const struct limits *l = r->limits[dim]; l; l = l->next)
			v[c->nselectors++] = l->limit;
}

/* Makes the cell's text of R: everything but example and rules. */
static void describe(struct diff_run *d, const struct region *r, struct diff_cell *c)
{
	c->resource = r->resource;
	for (enum region_dim dim = 0; dim < REGION_WORDS; dim++)
		if (dim == REGION_VERB || (dim == REGION_PATH) != r->resource)
			describe_words(d, r, dim, &c->words[dim]);
	if (r->resource)
		describe_forms(d, r, &c->forms);
	describe_people(d, r, &c->who);
	describe_selectors(d, r, c);
	c->scoped = r->scoped;
	c->unscoped = r->unscoped;
}

/* --- the example --- */

static bool flips(struct diff_run *d, const struct access_request *r, const struct flip *want)
{
	return diff_decide(d, 0, r, NULL) == want->v[0] && diff_decide(d, 1, r, NULL) == want->v[1];
}

static bool in_limits(const struct region *r, const struct access_request *q)
{
	for (int dim = 0; dim < REGION_LIMITS; dim++)
		for (const struct limits *l = r->limits[dim]; l; l = l->next)
			if (!limit_has(r->space, &l->limit, q))
				return false;
	return true;
}

static void take_if(struct diff_run *d, struct region *r, const struct access_request *q,
    const struct flip *want)
{
	if (in_limits(r, q) && flips(d, q, want))
		r->member = *q;
}

/* Verbs whose requests carry no name, and the groups that the apiserver adds, where that keeps the flip. */
static void polish(struct diff_run *d, struct region *r, const struct flip *want)
{
	static const char *const nameless[] = {"list", "watch", "create", "deletecollection"};
	struct access_request q = r->member;
	for (size_t i = 0; i < ARRAY_LEN(nameless); i++)
		if (r->resource && slice_is(q.verb, nameless[i]))
			q.name = (struct slice){0};
	take_if(d, r, &q, want);
	q = r->member;
	struct slice *groups = ARENA_ARRAY(&d->scratch, struct slice, q.ngroups + 3);
	bool known = false;
	for (size_t i = 0; i < q.ngroups; i++) {
		groups[i] = q.groups[i];
		known |= slice_is(groups[i], "system:authenticated") ||
			 slice_is(groups[i], "system:unauthenticated");
	}
	q.groups = groups;
	if (known)
		return;
	groups[q.ngroups++] = SLICE("system:authenticated");
	take_if(d, r, &q, want);
}

static const struct access_requirement *copy_selector(
    struct arena *a, const struct access_requirement *v, size_t n)
{
	struct access_requirement *out = ARENA_ARRAY(a, struct access_requirement, n);
	for (size_t i = 0; i < n; i++)
		out[i] = (struct access_requirement){.key = slice_dup(a, v[i].key),
		    .op = slice_dup(a, v[i].op),
		    .values = slice_dup_all(a, v[i].values, v[i].n),
		    .n = v[i].n};
	return out;
}

static void copy_request(
    struct arena *a, const struct access_request *r, struct access_request *out)
{
	*out = *r;
	struct slice *texts[] = {&out->user, &out->verb, &out->api_group, &out->resource,
	    &out->subresource, &out->name, &out->namespace_, &out->path};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = slice_dup(a, *texts[i]);
	out->groups = slice_dup_all(a, r->groups, r->ngroups);
	out->field_selector = copy_selector(a, r->field_selector, r->nfield);
	out->label_selector = copy_selector(a, r->label_selector, r->nlabel);
}

/* --- cells that are one --- */

static void key_words(struct buf *b, const struct diff_words *w)
{
	const struct words *both[2] = {&w->in, &w->out};
	buf_addc(b, w->any ? '*' : '=');
	for (int i = 0; i < 2; i++) {
		buf_printf(b, "%u:", both[i]->n);
		for (uint32_t k = 0; k < both[i]->n; k++) {
			buf_printf(b, "%d", (int)both[i]->v[k].kind);
			buf_json(b, both[i]->v[k].text);
		}
	}
}

static void key_forms(struct buf *b, const struct diff_forms *f)
{
	const struct forms *both[2] = {&f->in, &f->out};
	buf_addc(b, f->any ? '*' : '=');
	for (int i = 0; i < 2; i++) {
		buf_printf(b, "%u:", both[i]->n);
		for (uint32_t k = 0; k < both[i]->n; k++) {
			const struct form *one = &both[i]->v[k];
			buf_printf(b, "%d%d", one->any_resource, (int)one->sub_kind);
			buf_json(b, one->resource);
			buf_json(b, one->sub);
		}
	}
}

/* People that are limited are those of the policies: they are told apart by where they stand. The last of
 * ALL is the one that cells are merged over. */
static void key_rest(struct buf *b, const struct diff_cell *c, bool timed)
{
	buf_printf(b, "%d%d%d%d%d", c->shadow, c->certain, (int)c->before, (int)c->after,
	    c->resource);
	for (size_t i = 0; i + 1 < c->who.nall; i++)
		buf_printf(b, "a%p", (const void *)c->who.all[i]);
	for (size_t i = 0; i < c->who.nnone; i++)
		buf_printf(b, "n%p", (const void *)c->who.none[i]);
	for (int dim = 0; dim < REGION_WORDS; dim++)
		key_words(b, &c->words[dim]);
	key_forms(b, &c->forms);
	for (size_t i = 0; i < c->nselectors; i++)
		buf_printf(b, "s%p%d%d%d", (const void *)c->selectors[i].selector,
		    (int)c->selectors[i].dim, c->selectors[i].out, c->selectors[i].wide);
	buf_printf(b, "%u/%u", c->scoped, c->unscoped);
	if (timed)
		buf_i64(b, c->at);
}

static struct words joined(struct arena *a, const struct words *x, const struct words *y)
{
	struct pattern *v = ARENA_ARRAY(a, struct pattern, x->n + y->n);
	if (x->n)
		memcpy(v, x->v, x->n * sizeof(*v));
	if (y->n)
		memcpy(v + x->n, y->v, y->n * sizeof(*v));
	return words_new(v, x->n + y->n);
}

/* Adds NEW's subjects to OLD, which says the same of others. */
static void merge(struct diff_run *d, struct diff_cell *old, const struct diff_cell *new)
{
	struct arena *a = &d->out->arena;
	const struct people *x = old->who.all[old->who.nall - 1],
			    *y = new->who.all[new->who.nall - 1];
	if (people_cover(x, y))
		return;
	struct people *both = ARENA_NEW(a, struct people);
	both->everyone = x->everyone || y->everyone;
	both->users = joined(a, &x->users, &y->users);
	both->groups = joined(a, &x->groups, &y->groups);
	const struct people **all = ARENA_ARRAY(a, const struct people *, old->who.nall);
	memcpy(all, old->who.all, old->who.nall * sizeof(*all));
	all[old->who.nall - 1] = both;
	old->who.all = all;
}

static void count(struct diff *out, const struct diff_cell *c)
{
	out->nuncertain += !c->certain;
	if (c->shadow)
		out->nshadow++;
	else
		out->counts[c->before][c->after]++;
}

static struct slice cell_key(struct diff_run *d, const struct diff_cell *c, const char *prefix)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	buf_adds(&b, prefix);
	key_rest(&b, c, prefix[0] == 'm');
	if (prefix[0] == 'm')
		buf_printf(&b, "%p%p%d", (const void *)c->by[0], (const void *)c->by[1],
		    c->others > 0);
	else if (c->who.nall)
		buf_printf(&b, "w%p", (const void *)c->who.all[c->who.nall - 1]);
	struct slice key = slice_dup(&d->out->arena, buf_view(&b));
	buf_done(&b);
	return key;
}

static void note_cell(struct diff_run *d, const struct diff_cell *c)
{
	struct diff *out = d->out;
	struct slice same = cell_key(d, c, "s"), like = cell_key(d, c, "m");
	/* Said before, now or for an earlier moment. */
	if (map_get(&d->cells, same))
		return;
	map_put(&d->cells, same, (void *)(uintptr_t)1);
	uintptr_t at = (uintptr_t)map_get(&d->cells, like);
	if (at && c->who.nall && out->cells[at - 1].who.nall == c->who.nall) {
		merge(d, &out->cells[at - 1], c);
		return;
	}
	ARENA_ROOM(&out->arena, out->cells, out->ncells, out->cap, 16);
	out->cells[out->ncells++] = *c;
	map_put(&d->cells, like, (void *)(uintptr_t)out->ncells);
	count(out, c);
}

void diff_note(struct diff_run *d, const struct region *about, struct region *found,
    enum words_found got, const struct flip *want, size_t others)
{
	struct diff_cell c = {.shadow = d->shadow,
	    .certain = got == WORDS_FOUND,
	    .at = d->at,
	    .before = want->v[0],
	    .after = want->v[1],
	    .others = others};
	describe(d, about, &c);
	if (c.certain) {
		const struct view_rule *by[2];
		polish(d, found, want);
		for (int side = 0; side < 2; side++) {
			diff_decide(d, side, &found->member, &by[side]);
			c.by[side] = by[side] ? by[side]->rule : NULL;
		}
		copy_request(&d->out->arena, &found->member, &c.example);
	}
	note_cell(d, &c);
}

void diff_emit(struct diff_run *d, const struct region *r, const struct flip *want)
{
	struct region found = *r;
	enum words_found got = diff_search(d, &found, want);
	if (got != WORDS_NONE)
		diff_note(d, r, &found, got, want, 0);
}
