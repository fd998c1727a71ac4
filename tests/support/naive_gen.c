/* Owns generated policies and requests for the second evaluator. The words are few, so that rules and
 * requests meet. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/must.h"
#include "tests/support/naive_import.h"

uint32_t naive_rnd(uint64_t *seed, uint32_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % below;
}

#define rnd naive_rnd

static const char *const user_words[] = {"a", "ab", "b", "a*", "*b", "*", "a*b",
    "system:serviceaccount:n:s", "system:*", "*:n:*", "c"};
static const char *const users[] = {"a", "ab", "b", "aab", "", "c", "system:serviceaccount:n:s",
    "system:serviceaccount:n:s:x", "system:serviceaccount:m:s", "system:serviceaccount:m:",
    "system:x", "*"};
static const char *const account_words[] = {"n/s", "n/*", "*/s", "*/*", "m*/*s", "n/t"};
static const char *const group_words[] = {"g", "h", "g*", "*h", "gh", "system:authenticated", "*:*"};
static const char *const groups[] = {"g", "h", "gh", "gxh", "system:authenticated",
    "system:serviceaccounts", "system:unauthenticated", "z", ""};
static const char *const alls[] = {"authenticated", "unauthenticated", "serviceaccounts", "everyone"};
static const char *const verb_words[] = {"get", "list", "delete", "*", "*", "*", "*", "*"};
static const char *const select_verbs[] = {"list", "watch", "deletecollection"};
static const char *const verbs[] = {"get", "list", "delete", "create", "*", "", "GET", "list", "watch"};
static const char *const api_words[] = {"", "apps", "*", "*", "*", "x.io"};
static const char *const apis[] = {"", "apps", "y.io", "*"};
static const char *const resource_words[] = {"pods", "nodes", "pods/log", "*/log", "*", "*",
    "*", "nodes/proxy", "*/a/b", "pods/*", "*/*"};
static const char *const resources[] = {"pods", "nodes", "pods", "nodes", "secrets", "", "*"};
static const char *const subs[] = {"", "", "log", "proxy", "a/b", "a", "*"};
static const char *const name_words[] = {"x", "y", "*"};
static const char *const name_globs[] = {"x*", "*z", "y*y", "*x*"};
static const char *const names[] = {"", "x", "y", "z", "*", "xz", "yxy"};
static const char *const ns_words[] = {"n", "m", "n*", "*", "*m", "nm"};
static const char *const nss[] = {"", "n", "m", "nm", "nxm", "q"};
static const char *const url_words[] = {"/a", "/a/*", "*", "/*", "/b*"};
static const char *const urls[] = {"", "/", "/a", "/a/", "/a/b", "/b", "/bc", "b"};
static const char *const keys[] = {"k", "k", "l", "metadata.name"};
static const char *const values[] = {"1", "2", "3", ""};
static const char *const ops[] = {"In", "In", "NotIn", "Exists", "DoesNotExist"};
static const char *const asked_ops[] = {"In", "In", "NotIn", "Exists", "DoesNotExist", "Gt", "in"};

#define PICK(seed, words) ((words)[rnd(seed, ARRAY_LEN(words))])

static struct naive_list list(
    uint64_t *seed, const char *const *words, uint32_t nwords, uint32_t most)
{
	struct naive_list l = {.n = 1 + (int)rnd(seed, most)};
	for (int i = 0; i < l.n; i++)
		l.v[i] = words[rnd(seed, nwords)];
	return l;
}
#define LIST(seed, words, most) list(seed, words, ARRAY_LEN(words), most)

static bool takes_values(const char *op)
{
	return strcmp(op, "Exists") != 0 && strcmp(op, "DoesNotExist") != 0;
}

/* --- rules --- */

static struct naive_subjects subjects(uint64_t *seed)
{
	struct naive_subjects s = {0};
	uint32_t which = 1 + rnd(seed, 15);
	if (rnd(seed, 6) == 0)
		which = 8;
	if (which & 1)
		s.users = LIST(seed, user_words, 2);
	if (which & 2)
		s.groups = LIST(seed, group_words, 2);
	if (which & 4)
		s.accounts = LIST(seed, account_words, 2);
	if (which == 8)
		s.all = PICK(seed, alls);
	bool rest = s.groups.n || s.accounts.n || s.all;
	if (rnd(seed, 3) == 0)
		s.alias = s.users.n && rest && rnd(seed, 2) ? NAIVE_SPLIT : NAIVE_ALIAS;
	return s;
}

/* What may not stand in an exemption is left out of it. */
static struct naive_subjects exempt(uint64_t *seed)
{
	struct naive_subjects s = {0};
	static const char *const some_users[] = {"ab", "b", "a*"};
	static const char *const some_groups[] = {"h", "g*", "*h"};
	s.users = LIST(seed, some_users, 1);
	s.groups = LIST(seed, some_groups, 1);
	if (rnd(seed, 2))
		s.accounts = LIST(seed, account_words, 1);
	return s;
}

static struct naive_selector selector(uint64_t *seed)
{
	struct naive_selector s = {.n = 1 + (int)rnd(seed, NAIVE_REQUIREMENTS)};
	for (int i = 0; i < s.n; i++) {
		s.v[i] = (struct naive_requirement){.key = PICK(seed, keys), .op = PICK(seed, ops)};
		if (takes_values(s.v[i].op))
			s.v[i].values = LIST(seed, values, 3);
	}
	return s;
}

static void resource_grant(uint64_t *seed, const struct naive_rule *r, struct naive_grant *g)
{
	if (rnd(seed, 4))
		g->groups = LIST(seed, api_words, 2);
	/* The last two forms are for rules that take away. */
	uint32_t forms = ARRAY_LEN(resource_words) - (r->effect == POLICY_ALLOW ? 2 : 0);
	g->resources = list(seed, resource_words, forms, 3);
	uint32_t which = rnd(seed, 14);
	if (which < 3)
		g->names = LIST(seed, name_words, 2);
	if (which > 1 && which < 4)
		g->name_globs = LIST(seed, name_globs, 2);
	if (rnd(seed, 5))
		return;
	g->verbs = LIST(seed, select_verbs, 3);
	which = 1 + rnd(seed, 3);
	if (which & 1)
		g->fields = selector(seed);
	if (which & 2)
		g->labels = selector(seed);
}

static struct naive_grant grant(uint64_t *seed, const struct naive_rule *r, bool paths)
{
	struct naive_grant g = {.verbs = LIST(seed, verb_words, 3)};
	if (paths)
		g.urls = LIST(seed, url_words, 2);
	else
		resource_grant(seed, r, &g);
	return g;
}

static void place(uint64_t *seed, struct naive_rule *r)
{
	switch (rnd(seed, 5)) {
	case 0:
		r->include = LIST(seed, ns_words, 2);
		break;
	case 1:
		r->include = LIST(seed, ns_words, 2);
		r->exclude = LIST(seed, ns_words, 2);
		break;
	case 2:
		r->cluster_only = rnd(seed, 2);
		break;
	default:
		break;
	}
	r->place_alias = r->include.n && rnd(seed, 3) == 0;
}

void naive_rule(struct naive_rule *r, uint64_t *seed, int number, enum policy_effect effect)
{
	*r = (struct naive_rule){.effect = effect, .subjects = subjects(seed)};
	snprintf(r->id, sizeof(r->id), "r%d", number);
	r->shadow = rnd(seed, 5) == 0;
	r->exact = rnd(seed, 4) == 0;
	r->has_except = rnd(seed, 3) == 0;
	if (r->has_except)
		r->except = subjects(seed);
	r->role = rnd(seed, 4) == 0;
	r->ngrants = r->role ? 1 + (int)rnd(seed, NAIVE_GRANTS) : 1;
	bool paths = rnd(seed, 7) == 0;
	for (int i = 0; i < r->ngrants; i++)
		r->grants[i] = grant(seed, r, paths);
	if (!paths)
		place(seed, r);
	if (rnd(seed, 6) == 0)
		naive_window(r, seed);
}

/* Rules are often alike: the same role for others, or once more for the same, elsewhere or at another time. */
static void imitate(struct naive_rule *r, const struct naive_rule *other, uint64_t *seed)
{
	if (other->effect != r->effect || (other->grants[0].urls.n && (r->include.n || r->cluster_only)))
		return;
	memcpy(r->grants, other->grants, sizeof(r->grants));
	r->ngrants = other->ngrants;
	r->role = other->role;
	if (rnd(seed, 2) == 0)
		r->subjects = other->subjects;
	if (rnd(seed, 3) == 0)
		r->has_except = false;
	if (rnd(seed, 3) || r->grants[0].urls.n)
		return;
	r->include = other->include;
	r->exclude = other->exclude;
	r->cluster_only = other->cluster_only;
	r->place_alias = other->place_alias;
}

/* --- policies --- */

void naive_generate(struct naive_policy *p, uint64_t *seed, int most)
{
	static const enum policy_effect effects[] = {
	    POLICY_ALLOW, POLICY_ALLOW, POLICY_DENY, POLICY_ABSTAIN};
	*p = (struct naive_policy){.n = 1 + (int)rnd(seed, (uint32_t)most)};
	p->rules = calloc((size_t)p->n + 1, sizeof(*p->rules));
	MUST(p->rules);
	for (int i = 0; i < p->n; i++) {
		naive_rule(&p->rules[i], seed, i, PICK(seed, effects));
		if (i && rnd(seed, 4) == 0)
			imitate(&p->rules[i], &p->rules[rnd(seed, (uint32_t)i)], seed);
	}
	if (rnd(seed, 3) == 0)
		p->first = (int)rnd(seed, (uint32_t)p->n);
	p->default_deny = rnd(seed, 6) == 0;
	p->has_exempt = rnd(seed, 3) == 0;
	if (p->has_exempt)
		p->exempt = exempt(seed);
	if (rnd(seed, 4))
		return;
	p->imports = calloc(1, sizeof(*p->imports));
	MUST(p->imports);
	naive_generate_imports(p->imports, seed);
}

void naive_copy(struct naive_policy *to, const struct naive_policy *from)
{
	*to = *from;
	to->rules = calloc((size_t)from->n + 1, sizeof(*to->rules));
	MUST(to->rules);
	memcpy(to->rules, from->rules, (size_t)from->n * sizeof(*to->rules));
	if (!from->imports)
		return;
	to->imports = calloc(1, sizeof(*to->imports));
	MUST(to->imports);
	*to->imports = *from->imports;
}

void naive_done(struct naive_policy *p)
{
	free(p->rules);
	free(p->imports);
	*p = (struct naive_policy){0};
}

/* --- requests --- */

static size_t asked(uint64_t *seed, struct access_requirement *out, struct slice (*into)[NAIVE_LIST])
{
	size_t n = rnd(seed, NAIVE_REQUIREMENTS + 1);
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct access_requirement){.key = slice_of(PICK(seed, keys)),
		    .op = slice_of(PICK(seed, asked_ops)),
		    .values = into[i]};
		if (slice_is(out[i].op, "Exists") || slice_is(out[i].op, "DoesNotExist"))
			continue;
		out[i].n = 1 + rnd(seed, 3);
		for (size_t k = 0; k < out[i].n; k++)
			into[i][k] = slice_of(PICK(seed, values));
	}
	return n;
}

void naive_request(struct naive_request *q, uint64_t *seed)
{
	struct access_request *r = &q->r;
	*r = (struct access_request){.user = slice_of(PICK(seed, users)),
	    .groups = q->groups,
	    .ngroups = rnd(seed, NAIVE_REQUEST_GROUPS + 1),
	    .verb = slice_of(PICK(seed, verbs)),
	    .resource_request = rnd(seed, 6) != 0};
	for (size_t i = 0; i < r->ngroups; i++)
		q->groups[i] = slice_of(PICK(seed, groups));
	naive_when(r, seed);
	if (!r->resource_request) {
		r->path = slice_of(PICK(seed, urls));
		return;
	}
	r->api_group = slice_of(PICK(seed, apis));
	r->resource = slice_of(PICK(seed, resources));
	r->subresource = slice_of(PICK(seed, subs));
	r->name = slice_of(PICK(seed, names));
	r->namespace_ = slice_of(PICK(seed, nss));
	r->field_selector = q->fields;
	r->label_selector = q->labels;
	if (rnd(seed, 3) == 0)
		r->nfield = asked(seed, q->fields, q->values);
	if (rnd(seed, 3) == 0)
		r->nlabel = asked(seed, q->labels, q->values + NAIVE_REQUIREMENTS);
}

void naive_odd_request(struct naive_request *q, uint64_t *seed)
{
	static const char *const joined[] = {"pods/log", "nodes/proxy", "*/log", "pods/a", "*/a", "pods/",
	    "nodes/", "/log", "secrets/log", "nodes/a/b"};
	naive_request(q, seed);
	if (q->r.resource_request && rnd(seed, 6) == 0)
		q->r.resource = slice_of(PICK(seed, joined));
}
