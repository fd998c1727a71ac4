/* Proves that the engine is the second evaluator for large policies too: past the sizes that it keeps on its
 * stack, with thousands of sets of subjects, hundreds of sets a request is in and of groups it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/naive_authz.h"
#include "tests/support/policy_text.h"

/* --- one rule of thousands, found and excepted --- */

#define MANY 6000 /* rules, sets of exceptions, sets of subjects */
#define FILLERS 2600 /* groups with rules of their own */
#define SOME_FILLERS 400

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

static int fillers; /* how many of them a request has */

/* The verdict on FILLERS groups with FIRST in front and LAST at the end, where they are not NULL. */
static struct decision ask_many(const struct policy *p, const char *first, const char *last)
{
	struct slice with[FILLERS + 2];
	size_t n = 0;
	if (first)
		with[n++] = slice_of(first);
	for (int i = 0; i < fillers; i++) {
		snprintf(many_groups[i], sizeof(many_groups[i]), "filler%d", i);
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

static void check_many(int with)
{
	fillers = with;
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

static void test_many_sets_and_groups(void **state)
{
	(void)state;
	check_many(SOME_FILLERS);
	check_many(FILLERS);
}

/* --- one namespace that many patterns match --- */

#define PATTERNS 60

/* Rule i, of the group GROUPS or of one of its own, allows the verb vI in what starts with i times `n`. */
static struct policy *many_patterns(bool one_group)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_adds(&b, POLICY_HEAD "rules:\n");
	for (int i = 0; i < PATTERNS; i++) {
		buf_printf(&b, "- {id: r%d, effect: allow, subjects: {groups: [g%d]}, apiGroups: [\"\"], "
			       "resources: [pods], verbs: [v%d], namespaces: [\"", i, one_group ? 0 : i, i);
		for (int k = 0; k < i; k++)
			buf_addc(&b, 'n');
		buf_adds(&b, "*\"]}\n");
	}
	struct policy *p = policy_must(buf_cstr(&b));
	buf_done(&b);
	return p;
}

static void check_patterns(bool one_group)
{
	struct policy *p = many_patterns(one_group);
	char ns[PATTERNS + 1], verb[16], group[16], id[16];
	memset(ns, 'n', sizeof(ns));
	for (int i = 0; i < PATTERNS; i++) {
		snprintf(verb, sizeof(verb), "v%d", i);
		snprintf(group, sizeof(group), "g%d", one_group ? 0 : i);
		snprintf(id, sizeof(id), "r%d", i);
		struct slice groups[] = {slice_of(group)};
		struct access_request r = {.groups = groups,
		    .ngroups = 1,
		    .resource_request = true,
		    .verb = slice_of(verb),
		    .resource = SLICE("pods"),
		    .namespace_ = {ns, (size_t)i}};
		struct decision d;
		/* In the shortest namespace that fits, in the longest, and in one too short. */
		authz_evaluate(p, &r, &d);
		assert_true(i ? d.rule && strcmp(d.rule, id) == 0 : !d.rule);
		r.namespace_.len = sizeof(ns);
		authz_evaluate(p, &r, &d);
		assert_string_equal(d.rule, id);
		r.namespace_.len = i > 1 ? (size_t)i - 1 : 0;
		authz_evaluate(p, &r, &d);
		assert_true(!d.rule || i < 2);
	}
	policy_free(&p);
}

static void test_many_patterns_of_one_namespace(void **state)
{
	(void)state;
	check_patterns(true);
	check_patterns(false);
}

/* --- generated policies of many rules --- */

#define RULES 700
#define REQUESTS 400
#define WIDE 200 /* groups of a request */
#define WORDS 3000 /* different group names */

static char group_words[WORDS][16];
static const char *const popular[] = {"popular", "loved"};
#define CROWD 30
static const char *crowds[2][CROWD];
/* Namespaces whose every beginning is a pattern of some rule. */
#define LONG_NS "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv"
static char beginnings[sizeof(LONG_NS)][sizeof(LONG_NS) + 1];

static void make_words(void)
{
	for (int i = 0; i < WORDS; i++)
		snprintf(group_words[i], sizeof(group_words[i]), "w%d%s", i, i % 50 ? "" : "*");
	for (int i = 0; i < CROWD; i++) {
		crowds[0][i] = group_words[10 * i + 1];
		crowds[1][i] = group_words[20 * i + 11];
	}
	for (int i = 0; i < (int)sizeof(LONG_NS) - 1; i++)
		snprintf(beginnings[i], sizeof(beginnings[i]), "%.*s*", i + 1, LONG_NS);
}

static struct naive_subjects few(uint64_t *seed)
{
	struct naive_subjects s = {.groups.n = 1 + (int)naive_rnd(seed, 3)};
	for (int k = 0; k < s.groups.n; k++)
		s.groups.v[k] = group_words[naive_rnd(seed, WORDS)];
	return s;
}

/* Many rules for the same few, some for crowds, most for groups that hardly another names: lists of all
 * lengths. Only some of the rules stay everybody's, or every answer would be the same deny. */
static struct naive_subjects subjects(const struct naive_subjects *old, uint64_t *seed)
{
	uint32_t which = naive_rnd(seed, 20);
	if (which == 0)
		return *old;
	if (which < 7)
		return (struct naive_subjects){.groups = {{popular[which % 2]}, 1}};
	if (which < 9)
		return (struct naive_subjects){.crowd = crowds[which % 2], .ncrowd = CROWD};
	return few(seed);
}

static void widen(struct naive_policy *p, uint64_t *seed)
{
	for (int i = 0; i < p->n; i++) {
		struct naive_rule *r = &p->rules[i];
		r->subjects = subjects(&r->subjects, seed);
		if (r->has_except)
			r->except = subjects(&r->except, seed);
		if (r->include.n && naive_rnd(seed, 4) == 0)
			r->include =
			    (struct naive_list){{beginnings[naive_rnd(seed, sizeof(LONG_NS) - 1)]}, 1};
	}
}

static void wide_request(struct naive_request *q, struct slice *groups, uint64_t *seed)
{
	naive_odd_request(q, seed);
	size_t n = naive_rnd(seed, 3) ? naive_rnd(seed, WIDE) : naive_rnd(seed, 6);
	for (size_t i = 0; i < n; i++)
		groups[i] = slice_of(group_words[naive_rnd(seed, WORDS)]);
	for (size_t i = 0; i < q->r.ngroups; i++)
		groups[naive_rnd(seed, (uint32_t)n + 1)] = q->r.groups[i];
	if (n && naive_rnd(seed, 3) == 0)
		groups[naive_rnd(seed, (uint32_t)n)] = slice_of(popular[naive_rnd(seed, 2)]);
	q->r.ngroups = n;
	q->r.groups = groups;
	if (q->r.resource_request && naive_rnd(seed, 4) == 0)
		q->r.namespace_ = SLICE(LONG_NS);
}

static void check_large(uint64_t seed, unsigned *decided)
{
	uint64_t first = seed;
	struct naive_policy model;
	naive_generate(&model, &seed, RULES);
	widen(&model, &seed);
	struct policy *p = naive_compile(&model);
	for (int k = 0; k < REQUESTS; k++) {
		struct naive_request q;
		struct naive_answer want;
		struct slice groups[WIDE + 1];
		wide_request(&q, groups, &seed);
		if (!naive_agrees(p, &model, &q.r, &want)) {
			naive_shrink(&model, &q.r);
			naive_tell(&model, &q.r);
			fail_msg("seed %llu", (unsigned long long)first);
		}
		decided[want.real.verdict] += want.real.id != NULL;
	}
	policy_free(&p);
	naive_done(&model);
}

static void test_large_policies(void **state)
{
	(void)state;
	unsigned decided[3] = {0}, policies = naive_cases(24000) / REQUESTS;
	make_words();
	for (unsigned i = 0; i < policies; i++)
		check_large(4711 + i, decided);
	for (int v = 0; v < 3; v++)
		if (decided[v] < policies * REQUESTS / 50)
			fail_msg("%s only %u times", verdict_name((enum verdict)v), decided[v]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_many_sets_and_groups),
	    cmocka_unit_test(test_many_patterns_of_one_namespace),
	    cmocka_unit_test(test_large_policies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
