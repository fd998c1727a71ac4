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

/* --- generated policies of many rules --- */

#define RULES 700
#define REQUESTS 400
#define WIDE 200 /* groups of a request */
#define WORDS 3000 /* different group names */

static char group_words[WORDS][16];

/* Beside what the generator makes, groups of their own: most rules are in sets that no other has, and a
 * request is in hundreds of them. */
static void widen(struct naive_policy *p, uint64_t *seed)
{
	for (int i = 0; i < p->n; i++) {
		struct naive_rule *r = &p->rules[i];
		struct naive_list *l = &r->subjects.groups;
		if (r->subjects.alias == NAIVE_INLINE && l->n < NAIVE_LIST)
			l->v[l->n++] = group_words[naive_rnd(seed, WORDS)];
		l = &r->except.groups;
		if (r->has_except && r->except.alias == NAIVE_INLINE && l->n < NAIVE_LIST)
			l->v[l->n++] = group_words[naive_rnd(seed, WORDS)];
	}
}

/* All but a few of the rules concern nobody else, or every answer would be the same deny. */
static void narrow(struct naive_policy *p, uint64_t *seed)
{
	for (int i = 0; i < p->n; i++) {
		struct naive_rule *r = &p->rules[i];
		if (naive_rnd(seed, 20) == 0)
			continue;
		r->subjects = (struct naive_subjects){0};
		r->subjects.groups.n = 1 + (int)naive_rnd(seed, 3);
		for (int k = 0; k < r->subjects.groups.n; k++)
			r->subjects.groups.v[k] = group_words[naive_rnd(seed, WORDS)];
	}
}

static void wide_request(struct naive_request *q, struct slice *groups, uint64_t *seed)
{
	naive_request(q, seed);
	size_t n = naive_rnd(seed, 3) ? naive_rnd(seed, WIDE) : naive_rnd(seed, 6);
	for (size_t i = 0; i < n; i++)
		groups[i] = slice_of(group_words[naive_rnd(seed, WORDS)]);
	for (size_t i = 0; i < q->r.ngroups; i++)
		groups[naive_rnd(seed, (uint32_t)n + 1)] = q->r.groups[i];
	q->r.ngroups = n;
	q->r.groups = groups;
}

static void check_large(uint64_t seed, unsigned *decided)
{
	uint64_t first = seed;
	struct naive_policy model;
	naive_generate(&model, &seed, RULES);
	narrow(&model, &seed);
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
	for (int i = 0; i < WORDS; i++)
		snprintf(group_words[i], sizeof(group_words[i]), "w%d%s", i, i % 50 ? "" : "*");
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
	    cmocka_unit_test(test_large_policies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
