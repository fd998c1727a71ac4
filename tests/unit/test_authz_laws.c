/* Proves the semantics on generated policies: the same as a naive evaluator, and the laws that adding and
 * reordering rules must obey. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/policy_text.h"
#include "tests/support/naive_authz.h"

#define POLICIES 4000
#define REQUESTS 75
#define GROUPS 4

static uint32_t rnd(uint64_t *seed, uint32_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % below;
}

/* Few words, so that rules and requests meet. */
static const char *const user_words[] = {"a", "ab", "b", "a*", "*b", "*", "a*b", "system:serviceaccount:n:s",
    "system:*", "*:n:*", "c"};
static const char *const users[] = {"a", "ab", "b", "aab", "", "c", "system:serviceaccount:n:s",
    "system:serviceaccount:n:s:x", "system:serviceaccount:m:s", "system:serviceaccount:m:", "system:x", "*"};
static const char *const account_words[] = {"n/s", "n/*", "*/s", "*/*", "m*/*s", "n/t"};
static const char *const group_words[] = {"g", "h", "g*", "*h", "gh", "system:authenticated", "*:*"};
static const char *const groups[] = {"g", "h", "gh", "gxh", "system:authenticated", "system:serviceaccounts",
    "system:unauthenticated", "z", ""};
static const char *const alls[] = {"authenticated", "unauthenticated", "serviceaccounts", "everyone"};
static const char *const verb_words[] = {"get", "list", "delete", "*", "*", "*"};
static const char *const verbs[] = {"get", "list", "delete", "create", "*", "", "GET"};
static const char *const api_words[] = {"", "apps", "*", "*", "x.io"};
static const char *const apis[] = {"", "apps", "y.io", "*"};
static const char *const resource_words[] = {"pods", "nodes", "pods/log", "*/log", "*", "*", "nodes/proxy", "*/a/b",
    "pods/*", "*/*"};
static const char *const resources[] = {"pods", "nodes", "pods", "nodes", "secrets", "", "*"};
static const char *const subs[] = {"", "", "log", "proxy", "a/b", "a", "*"};
static const char *const name_words[] = {"x", "y", "*"};
static const char *const names[] = {"", "x", "y", "z", "*"};
static const char *const ns_words[] = {"n", "m", "n*", "*", "*m", "nm"};
static const char *const nss[] = {"", "n", "m", "nm", "nxm", "q"};
static const char *const url_words[] = {"/a", "/a/*", "*", "/*", "/b*"};
static const char *const urls[] = {"", "/", "/a", "/a/", "/a/b", "/b", "/bc", "b"};

#define PICK(seed, words) ((words)[rnd(seed, ARRAY_LEN(words))])

static struct naive_list list(uint64_t *seed, const char *const *words, uint32_t nwords, uint32_t most)
{
	struct naive_list l = {.n = 1 + (int)rnd(seed, most)};
	for (int i = 0; i < l.n; i++)
		l.v[i] = words[rnd(seed, nwords)];
	return l;
}
#define LIST(seed, words, most) list(seed, words, ARRAY_LEN(words), most)

static struct naive_subjects make_subjects(uint64_t *seed)
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
	else if (which & 8 && !(which & 7))
		s.groups = LIST(seed, group_words, 1);
	bool rest = s.groups.n || s.accounts.n || s.all;
	if (rnd(seed, 3) == 0)
		s.alias = s.users.n && rest && rnd(seed, 2) ? NAIVE_SPLIT : NAIVE_ALIAS;
	return s;
}

/* What may not stand in an exemption is left out of it. */
static struct naive_subjects make_exempt(uint64_t *seed)
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

static void make_grant(uint64_t *seed, struct naive_rule *r)
{
	r->verbs = LIST(seed, verb_words, 3);
	if (rnd(seed, 6) == 0) {
		r->urls = LIST(seed, url_words, 2);
		return;
	}
	if (rnd(seed, 4))
		r->groups = LIST(seed, api_words, 2);
	/* The last two forms are for rules that take away. */
	uint32_t forms = ARRAY_LEN(resource_words) - (r->effect == POLICY_ALLOW ? 2 : 0);
	r->resources = list(seed, resource_words, forms, 3);
	if (rnd(seed, 4) == 0)
		r->names = LIST(seed, name_words, 2);
	switch (rnd(seed, 4)) {
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
}

static struct naive_rule make_rule(uint64_t *seed, int number, enum policy_effect effect)
{
	struct naive_rule r = {.effect = effect, .subjects = make_subjects(seed)};
	snprintf(r.id, sizeof(r.id), "r%d", number);
	r.exact = rnd(seed, 4) == 0;
	r.has_except = rnd(seed, 3) == 0;
	if (r.has_except)
		r.except = make_subjects(seed);
	r.role = rnd(seed, 4) == 0;
	make_grant(seed, &r);
	r.place_alias = r.include.n && rnd(seed, 3) == 0;
	return r;
}

static struct naive_policy make_policy(uint64_t *seed)
{
	static const enum policy_effect effects[] = {POLICY_ALLOW, POLICY_ALLOW, POLICY_DENY, POLICY_ABSTAIN};
	struct naive_policy p = {.n = 1 + (int)rnd(seed, NAIVE_RULES - 1)};
	for (int i = 0; i < p.n; i++)
		p.rules[i] = make_rule(seed, i, PICK(seed, effects));
	p.default_deny = rnd(seed, 6) == 0;
	p.has_exempt = rnd(seed, 3) == 0;
	if (p.has_exempt)
		p.exempt = make_exempt(seed);
	return p;
}

static struct policy *compiled(const struct naive_policy *p)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	naive_print(&b, p);
	struct policy *out = policy_must(buf_cstr(&b));
	buf_done(&b);
	return out;
}

struct request {
	struct access_request r;
	struct slice groups[GROUPS];
};

static void make_request(uint64_t *seed, struct request *q)
{
	*q = (struct request){.r.user = slice_of(PICK(seed, users)),
	    .r.groups = q->groups,
	    .r.ngroups = rnd(seed, GROUPS + 1),
	    .r.verb = slice_of(PICK(seed, verbs)),
	    .r.resource_request = rnd(seed, 6) != 0};
	for (size_t i = 0; i < q->r.ngroups; i++)
		q->groups[i] = slice_of(PICK(seed, groups));
	if (!q->r.resource_request) {
		q->r.path = slice_of(PICK(seed, urls));
		return;
	}
	q->r.api_group = slice_of(PICK(seed, apis));
	q->r.resource = slice_of(PICK(seed, resources));
	q->r.subresource = slice_of(PICK(seed, subs));
	q->r.name = slice_of(PICK(seed, names));
	q->r.namespace_ = slice_of(PICK(seed, nss));
}

static void fail_on(const struct naive_policy *p, const struct access_request *r, const char *what)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	naive_print(&b, p);
	buf_printf(&b, "user=`" SLICE_FMT "` groups=", SLICE_ARG(r->user));
	for (size_t i = 0; i < r->ngroups; i++)
		buf_printf(&b, "`" SLICE_FMT "` ", SLICE_ARG(r->groups[i]));
	buf_printf(&b, "verb=`" SLICE_FMT "` group=`" SLICE_FMT "` resource=`" SLICE_FMT "`/`" SLICE_FMT
		       "` name=`" SLICE_FMT "` ns=`" SLICE_FMT "` path=`" SLICE_FMT "`",
	    SLICE_ARG(r->verb), SLICE_ARG(r->api_group), SLICE_ARG(r->resource), SLICE_ARG(r->subresource),
	    SLICE_ARG(r->name), SLICE_ARG(r->namespace_), SLICE_ARG(r->path));
	fail_msg("%s\n%s", what, buf_cstr(&b));
}

/* The explanation must call exactly those rules matching that the naive evaluator finds matching. */
static void check_explained(
    const struct naive_policy *model, const struct policy *p, const struct access_request *r)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	authz_explain(p, r, true, &b);
	buf_cstr(&b);
	for (int i = 0; i < model->n; i++) {
		char key[64];
		snprintf(key, sizeof(key), "{\"rule\":\"%s\",", model->rules[i].id);
		const char *at = strstr(b.p, key);
		const char *matches = at ? strstr(at, "\"matches\":true") : NULL;
		const char *end = at ? strchr(at, '}') : NULL;
		bool said = matches && matches < end;
		if (said != naive_matches(&model->rules[i], r))
			fail_on(model, r, b.p);
	}
	buf_done(&b);
}

static void test_the_engine_is_the_naive_evaluator(void **state)
{
	(void)state;
	uint64_t seed = 20261122;
	unsigned seen[3] = {0};
	for (int i = 0; i < POLICIES; i++) {
		struct naive_policy model = make_policy(&seed);
		struct policy *p = compiled(&model);
		for (int k = 0; k < REQUESTS; k++) {
			struct request q;
			struct decision d;
			const struct naive_rule *by;
			make_request(&seed, &q);
			authz_evaluate(p, &q.r, &d);
			enum verdict want = naive_evaluate(&model, &q.r, &by);
			bool same_rule = by ? d.rule && strcmp(d.rule, by->id) == 0 : !d.rule;
			if (d.verdict != want || !same_rule || (by && d.effect != by->effect))
				fail_on(&model, &q.r, d.rule ? d.rule : "no rule");
			seen[d.verdict] += by != NULL;
			if (k < 5)
				check_explained(&model, p, &q.r);
		}
		policy_free(&p);
	}
	/* The generator must reach every verdict often, else this proves little. */
	for (int v = 0; v < 3; v++)
		if (seen[v] < 10000)
			fail_msg("%s only %u times", verdict_name((enum verdict)v), seen[v]);
}

typedef bool law_fn(enum verdict before, enum verdict after, bool decided_by_rule);

/* Changes each policy by CHANGE and checks each pair of verdicts by LAW. */
static void check_law(uint64_t seed, void (*change)(struct naive_policy *, uint64_t *), law_fn *law)
{
	for (int i = 0; i < 800; i++) {
		struct naive_policy model = make_policy(&seed), changed;
		if (model.n == NAIVE_RULES)
			model.n--;
		changed = model;
		change(&changed, &seed);
		struct policy *before = compiled(&model), *after = compiled(&changed);
		for (int k = 0; k < REQUESTS; k++) {
			struct request q;
			struct decision d, e;
			make_request(&seed, &q);
			authz_evaluate(before, &q.r, &d);
			authz_evaluate(after, &q.r, &e);
			if (!law(d.verdict, e.verdict, d.rule != NULL))
				fail_on(&changed, &q.r, verdict_name(d.verdict));
		}
		policy_free(&before);
		policy_free(&after);
	}
}

static void add_rule(struct naive_policy *p, uint64_t *seed, enum policy_effect effect)
{
	int at = (int)rnd(seed, (uint32_t)p->n + 1);
	memmove(&p->rules[at + 1], &p->rules[at], (size_t)(p->n - at) * sizeof(p->rules[0]));
	p->rules[at] = make_rule(seed, 99, effect);
	p->n++;
}

static void add_allow(struct naive_policy *p, uint64_t *seed)
{
	add_rule(p, seed, POLICY_ALLOW);
}

static void add_deny(struct naive_policy *p, uint64_t *seed)
{
	add_rule(p, seed, POLICY_DENY);
}

static void add_abstain(struct naive_policy *p, uint64_t *seed)
{
	add_rule(p, seed, POLICY_ABSTAIN);
}

static void shuffle(struct naive_policy *p, uint64_t *seed)
{
	for (int i = p->n - 1; i > 0; i--) {
		int k = (int)rnd(seed, (uint32_t)i + 1);
		struct naive_rule swap = p->rules[i];
		p->rules[i] = p->rules[k];
		p->rules[k] = swap;
	}
}

/* Only the default gives way to an allow; what a deny or an abstain decided stays. */
static bool allow_law(enum verdict before, enum verdict after, bool by_rule)
{
	return before == after || (!by_rule && after == VERDICT_ALLOW);
}

static bool deny_law(enum verdict before, enum verdict after, bool by_rule)
{
	(void)by_rule;
	return after == before || after == VERDICT_DENY;
}

/* An abstain takes allows away, and the default's deny: a person it concerns is left to RBAC. */
static bool abstain_law(enum verdict before, enum verdict after, bool by_rule)
{
	return after == before ||
	       (after == VERDICT_NO_OPINION && (before == VERDICT_ALLOW || !by_rule));
}

static bool order_law(enum verdict before, enum verdict after, bool by_rule)
{
	(void)by_rule;
	return before == after;
}

static void test_adding_an_allow_overrides_no_rule(void **state)
{
	(void)state;
	check_law(1, add_allow, allow_law);
}

static void test_adding_a_deny_never_creates_an_allow(void **state)
{
	(void)state;
	check_law(2, add_deny, deny_law);
}

static void test_adding_an_abstain_only_takes_back(void **state)
{
	(void)state;
	check_law(3, add_abstain, abstain_law);
}

static void test_order_decides_nothing(void **state)
{
	(void)state;
	check_law(4, shuffle, order_law);
}

/* --- past the sizes that the evaluator keeps on its stack --- */

#define MANY 6000 /* rules, sets of exceptions, sets of subjects */
#define FILLERS 400

static char many_groups[FILLERS][24];

/* Rule i denies the group gI but not whom xI excepts; all fillers have a rule that never matches. */
static struct policy *many_rules(void)
{
	struct buf b;
	buf_init(&b, 1 << 24);
	buf_adds(&b, POLICY_HEAD "defaults: {exempt: {groups: [exempt]}}\nrules:\n");
	for (int i = 0; i < MANY; i++)
		buf_printf(&b, "- {id: r%d, effect: deny, subjects: {groups: [g%d]}, except: {subjects: "
			       "{groups: [x%d, \"y%d-*\"]}}, resources: [pods], verbs: [get]}\n", i, i, i, i);
	for (int i = 0; i < FILLERS; i++)
		buf_printf(&b, "- {id: f%d, effect: allow, subjects: {groups: [filler%d], users: [f%d]}, "
			       "apiGroups: [\"\"], resources: [zz], verbs: [get]}\n", i, i, i);
	struct policy *p = policy_must(buf_cstr(&b));
	buf_done(&b);
	return p;
}

/* The verdict on FILLERS groups with FIRST in front and LAST at the end, where they are not NULL. */
static struct decision ask_many(const struct policy *p, const char *first, const char *last)
{
	struct slice with[FILLERS + 2];
	size_t n = 0;
	if (first)
		with[n++] = slice_of(first);
	for (int i = 0; i < FILLERS; i++) {
		snprintf(many_groups[i], sizeof(many_groups[i]), "filler%u", (unsigned)i % 1000);
		with[n++] = slice_of(many_groups[i]);
	}
	if (last)
		with[n++] = slice_of(last);
	struct access_request r = {.user = SLICE("u"),
	    .groups = with,
	    .ngroups = n,
	    .resource_request = true,
	    .verb = SLICE("get"),
	    .resource = SLICE("pods")};
	struct decision d;
	authz_evaluate(p, &r, &d);
	return d;
}

static void test_many_sets_and_groups(void **state)
{
	(void)state;
	static const int at[] = {0, 100, 4000, 4094, 4095, 4096, 4097, MANY - 1};
	struct policy *p = many_rules();
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		char g[24], x[24], y[24], id[24], other[24];
		snprintf(g, sizeof(g), "g%d", at[i]);
		snprintf(x, sizeof(x), "x%d", at[i]);
		snprintf(y, sizeof(y), "y%d-z", at[i]);
		snprintf(id, sizeof(id), "r%d", at[i]);
		snprintf(other, sizeof(other), "x%d", (at[i] + 1) % MANY);
		assert_string_equal(ask_many(p, g, NULL).rule, id);
		assert_string_equal(ask_many(p, NULL, g).rule, id);
		assert_string_equal(ask_many(p, g, other).rule, id);
		assert_string_equal(ask_many(p, other, g).rule, id);
		assert_null(ask_many(p, g, x).rule);
		assert_null(ask_many(p, x, g).rule);
		assert_null(ask_many(p, g, y).rule);
		assert_null(ask_many(p, y, g).rule);
		assert_true(ask_many(p, g, "exempt").exempt);
		assert_null(ask_many(p, "exempt", g).rule);
	}
	policy_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_engine_is_the_naive_evaluator),
	    cmocka_unit_test(test_adding_an_allow_overrides_no_rule),
	    cmocka_unit_test(test_adding_a_deny_never_creates_an_allow),
	    cmocka_unit_test(test_adding_an_abstain_only_takes_back),
	    cmocka_unit_test(test_order_decides_nothing),
	    cmocka_unit_test(test_many_sets_and_groups),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
