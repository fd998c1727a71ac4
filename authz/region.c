/* Owns regions: adding a condition and keeping a member, one dimension at a time. Dimensions do not depend
 * on each other, but API group and resource, which a table of cluster-scoped resources ties together. */
#include "authz/region.h"

static const char *const verbs[] = {"get", "list", "create", "update", "delete", "watch", NULL};
static const char *const names[] = {"example", "", NULL};
static const char *const namespaces[] = {"default", "", NULL};
static const char *const paths[] = {"/example", "/", NULL};
static const char *const users[] = {"jane", "user-1", NULL};

static const char *const *const preferred[REGION_WORDS] = {[REGION_VERB] = verbs,
    [REGION_NAME] = names,
    [REGION_NAMESPACE] = namespaces,
    [REGION_PATH] = paths};

static struct slice *member_of(struct region *r, enum region_dim dim)
{
	switch (dim) {
	case REGION_VERB:
		return &r->member.verb;
	case REGION_GROUP:
		return &r->member.api_group;
	case REGION_NAME:
		return &r->member.name;
	case REGION_NAMESPACE:
		return &r->member.namespace_;
	default:
		return &r->member.path;
	}
}

void region_query(const struct region *r, enum region_dim dim, struct words_query *q)
{
	size_t n = 0;
	for (const struct limits *l = r->limits[dim]; l; l = l->next)
		n++;
	const struct words **in = ARENA_ARRAY(r->space->a, const struct words *, n + 1);
	const struct words **out = ARENA_ARRAY(r->space->a, const struct words *, n + 1);
	*q = (struct words_query){
	    .in = in, .out = out, .prefer = dim < REGION_WORDS ? preferred[dim] : NULL};
	for (const struct limits *l = r->limits[dim]; l; l = l->next) {
		if (l->limit.out)
			out[q->nout++] = l->limit.words;
		else
			in[q->nin++] = l->limit.words;
	}
}

static enum words_found find_word(struct region *r, enum region_dim dim)
{
	struct words_query q;
	region_query(r, dim, &q);
	return words_find(&q, r->space->a, member_of(r, dim));
}

/* --- people --- */

static bool people_have(const struct people *p, const struct access_request *r)
{
	if (p->everyone || words_have(&p->users, r->user))
		return true;
	for (size_t i = 0; i < r->ngroups; i++)
		if (words_have(&p->groups, r->groups[i]))
			return true;
	return false;
}

/* An identity in the making: conditions to be met by the user, the groups so far. */
struct identity {
	const struct words **in; /* for the user name */
	const struct words **out_users, **out_groups;
	size_t nin, nout, ngroups;
	struct slice *groups;
	bool unknown;
};

static bool have_one(const struct identity *d, const struct words *w)
{
	for (size_t i = 0; i < d->ngroups; i++)
		if (words_have(w, d->groups[i]))
			return true;
	return false;
}

/* A group never hinders another condition, since it is in none of the sets to stay out of; there may be
 * but one user name. So whatever a group can do is done by a group. */
static void meet_by_group(struct region *r, struct identity *d, const struct people *p)
{
	static const char *const none[] = {NULL};
	if (p->everyone || have_one(d, &p->groups))
		return;
	const struct words *in = &p->groups;
	struct words_query q = {
	    .in = &in, .nin = 1, .out = d->out_groups, .nout = d->nout, .prefer = none};
	enum words_found got =
	    p->groups.n ? words_find(&q, r->space->a, &d->groups[d->ngroups]) : WORDS_NONE;
	if (got == WORDS_FOUND)
		d->ngroups++;
	else
		d->in[d->nin++] = &p->users;
	d->unknown |= got == WORDS_UNKNOWN;
}

static enum words_found find_people(struct region *r)
{
	size_t n = 0;
	const struct limits *first = r->limits[REGION_PEOPLE];
	for (const struct limits *l = first; l; l = l->next)
		n++;
	struct arena *a = r->space->a;
	struct identity d = {.in = ARENA_ARRAY(a, const struct words *, n + 1),
	    .out_users = ARENA_ARRAY(a, const struct words *, n + 1),
	    .out_groups = ARENA_ARRAY(a, const struct words *, n + 1),
	    .groups = ARENA_ARRAY(a, struct slice, n + 2)};
	for (const struct limits *l = first; l; l = l->next) {
		if (!l->limit.out)
			continue;
		if (l->limit.people->everyone)
			return WORDS_NONE;
		d.out_users[d.nout] = &l->limit.people->users;
		d.out_groups[d.nout++] = &l->limit.people->groups;
	}
	for (const struct limits *l = first; l; l = l->next)
		if (!l->limit.out)
			meet_by_group(r, &d, l->limit.people);
	struct words_query q = {
	    .in = d.in, .nin = d.nin, .out = d.out_users, .nout = d.nout, .prefer = users};
	enum words_found got = words_find(&q, a, &r->member.user);
	r->member.groups = d.groups;
	r->member.ngroups = d.ngroups;
	/* A group that could not be told may be what is missing. */
	return got == WORDS_NONE && d.unknown ? WORDS_UNKNOWN : got;
}

/* --- conditions --- */

bool limit_has(const struct region_space *s, const struct limit *l, const struct access_request *r)
{
	bool in = false;
	switch (l->dim) {
	case REGION_VERB:
		in = words_have(l->words, r->verb);
		break;
	case REGION_GROUP:
		in = words_have(l->words, r->api_group);
		break;
	case REGION_NAME:
		in = words_have(l->words, r->name);
		break;
	case REGION_NAMESPACE:
		in = words_have(l->words, r->namespace_);
		break;
	case REGION_PATH:
		in = words_have(l->words, r->path);
		break;
	case REGION_FORM:
		for (uint32_t i = 0; i < l->forms->n && !in; i++)
			in = form_has(&l->forms->v[i], r->resource, r->subresource);
		break;
	case REGION_FIELDS:
		in = region_selects(l, r->field_selector, r->nfield);
		break;
	case REGION_LABELS:
		in = region_selects(l, r->label_selector, r->nlabel);
		break;
	case REGION_PEOPLE:
		in = people_have(l->people, r);
		break;
	case REGION_SCOPED:
		in = region_in_table(s, l->scoped, r->api_group, r->resource);
		break;
	}
	return in != l->out;
}

static enum words_found find(struct region *r, enum region_dim dim)
{
	switch (dim) {
	case REGION_GROUP:
	case REGION_FORM:
	case REGION_SCOPED:
		return region_find_what(r);
	case REGION_FIELDS:
	case REGION_LABELS:
		return region_find_selector(r, dim);
	case REGION_PEOPLE:
		return find_people(r);
	default:
		return find_word(r, dim);
	}
}

static void note(struct region *r, const struct limit *l)
{
	if (l->dim == REGION_SCOPED) {
		*(l->out ? &r->unscoped : &r->scoped) |= l->scoped;
		return;
	}
	for (const struct limits *at = r->limits[l->dim]; at; at = at->next)
		if (at->limit.words == l->words && at->limit.out == l->out &&
		    at->limit.wide == l->wide)
			return;
	struct limits *cell = ARENA_NEW(r->space->a, struct limits);
	*cell = (struct limits){*l, r->limits[l->dim]};
	r->limits[l->dim] = cell;
}

bool region_apart(const struct region *r, enum region_dim dim, const struct words *w)
{
	for (const struct limits *l = r->limits[dim]; l; l = l->next)
		if (!l->limit.out && words_apart(l->limit.words, w))
			return true;
	return false;
}

enum words_found region_add(struct region *r, const struct limit *l)
{
	r->space->work++;
	if (l->dim < REGION_WORDS && !l->out && region_apart(r, l->dim, l->words))
		return WORDS_NONE;
	note(r, l);
	if (!r->unknown && limit_has(r->space, l, &r->member))
		return WORDS_FOUND;
	enum words_found got = find(r, l->dim);
	r->unknown |= got == WORDS_UNKNOWN;
	return got == WORDS_FOUND && r->unknown ? WORDS_UNKNOWN : got;
}

void region_init(struct region *r, struct region_space *space, bool resource)
{
	*r = (struct region){.space = space, .resource = resource};
	r->member.resource_request = resource;
	r->member.user = SLICE("jane");
	r->member.verb = SLICE("get");
	if (!resource) {
		r->member.path = SLICE("/example");
		return;
	}
	r->member.resource = SLICE("pods");
	r->member.name = SLICE("example");
	r->member.namespace_ = SLICE("default");
}
