/* Proves that the engine is the second evaluator: on a million generated pairs of policy and request, the
 * verdict, the rule that decides, the shadow's answer and the explanation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/support/naive_authz.h"

#define RULES 12
#define REQUESTS 75
#define EXPLAINED 3
#define CASES 1000050

/* The seed of the policy numbered I; NAIVE_SEED in the environment runs that of one failure alone. */
static uint64_t seed_of(unsigned i)
{
	const char *set = getenv("NAIVE_SEED");
	return set ? strtoull(set, NULL, 10) : UINT64_C(20261122) * 1000003 + i;
}

static void fail_on(uint64_t seed, const struct naive_policy *p, const struct access_request *r)
{
	naive_tell(p, r);
	fail_msg("NAIVE_SEED=%llu", (unsigned long long)seed);
}

/* The explanation must call exactly those rules matching that the naive evaluator finds matching. */
static void check_explained(uint64_t seed, const struct naive_policy *model,
    const struct policy *p, const struct access_request *r)
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
		if (said != naive_matches(&model->rules[i], r)) {
			fprintf(stderr, "%s is explained wrongly: %s\n", model->rules[i].id, b.p);
			fail_on(seed, model, r);
		}
	}
	buf_done(&b);
}

struct seen {
	unsigned verdicts[3], shadows[3], exempt, selected, timed, imported, noted, broken_glass;
};

static void note_rule(struct seen *s, const struct naive_rule *by, const struct access_request *r)
{
	const struct naive_grant *g = by->grants;
	s->selected += r->resource_request && (g->fields.n || g->labels.n);
	s->timed += by->has_valid;
	s->broken_glass += by->break_glass;
}

static void note(struct seen *s, const struct naive_answer *a, const struct access_request *r)
{
	const struct naive_verdict *v = &a->real;
	s->verdicts[v->verdict] += v->id != NULL;
	s->exempt += a->exempt;
	s->imported += v->id && !v->by;
	s->noted += a->note[0] != '\0';
	if (a->differs)
		s->shadows[a->shadow.verdict]++;
	if (v->by)
		note_rule(s, v->by, r);
}

/* The generator must reach everything often, else this proves little. */
static void check_seen(const struct seen *s, unsigned cases)
{
	const struct {
		const char *what;
		unsigned have, of; /* at least one in OF cases */
	} rows[] = {{"allow", s->verdicts[VERDICT_ALLOW], 20},
	    {"deny", s->verdicts[VERDICT_DENY], 40},
	    {"abstain", s->verdicts[VERDICT_NO_OPINION], 40},
	    {"allow in shadow", s->shadows[VERDICT_ALLOW], 500},
	    {"deny in shadow", s->shadows[VERDICT_DENY], 500},
	    {"abstain in shadow", s->shadows[VERDICT_NO_OPINION], 2000},
	    {"exempt", s->exempt, 20},
	    {"by a selector", s->selected, 500},
	    {"within a window", s->timed, 500},
	    {"break-glass", s->broken_glass, 20000},
	    {"imported", s->imported, 400},
	    {"note", s->noted, 500}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].have < cases / rows[i].of)
			fail_msg("%s: only %u of %u", rows[i].what, rows[i].have, cases);
}

static void test_the_engine_is_the_naive_evaluator(void **state)
{
	(void)state;
	struct seen seen = {0};
	unsigned policies = naive_cases(CASES) / REQUESTS;
	for (unsigned i = 0; i < policies; i++) {
		uint64_t first = seed_of(i), seed = first;
		struct naive_policy model;
		naive_generate(&model, &seed, RULES);
		struct policy *p = naive_compile(&model);
		for (int k = 0; k < REQUESTS; k++) {
			struct naive_request q;
			struct naive_answer want;
			naive_odd_request(&q, &seed);
			if (!naive_agrees(p, &model, &q.r, &want)) {
				naive_shrink(&model, &q.r);
				fail_on(first, &model, &q.r);
			}
			note(&seen, &want, &q.r);
			if (k < EXPLAINED)
				check_explained(first, &model, p, &q.r);
		}
		policy_free(&p);
		naive_done(&model);
	}
	check_seen(&seen, policies * REQUESTS);
}

/* --- selectors: what the language says of pairs never contradicts the truth --- */

static void print_pair(const struct naive_selector *s, const struct access_request *r)
{
	for (int i = 0; i < s->n; i++)
		fprintf(stderr, "rule: %s %s, %d values\n", s->v[i].key, s->v[i].op, s->v[i].values.n);
	struct buf b;
	buf_init(&b, 1 << 16);
	naive_print_request(&b, r);
	fprintf(stderr, "%s\n", buf_cstr(&b));
	buf_done(&b);
}

static void test_selectors_are_sound(void **state)
{
	(void)state;
	uint64_t seed = 7;
	unsigned covered = 0, apart = 0, asked = 0;
	while (asked < naive_cases(100000)) {
		struct naive_rule rule;
		struct naive_request q;
		naive_rule(&rule, &seed, 0, POLICY_ALLOW);
		naive_odd_request(&q, &seed);
		const struct naive_selector *s = &rule.grants[0].labels;
		const struct access_requirement *v = q.r.label_selector;
		if (!s->n || !q.r.nlabel)
			continue;
		asked++;
		bool all = naive_covered(s, v, q.r.nlabel), some = naive_may_meet(s, v, q.r.nlabel);
		covered += all;
		apart += !some;
		if ((all && !naive_truly_covered(s, v, q.r.nlabel)) ||
		    (!some && naive_truly_meets(s, v, q.r.nlabel))) {
			print_pair(s, &q.r);
			fail_msg("not sound");
		}
	}
	assert_true(covered > asked / 50 && apart > asked / 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_engine_is_the_naive_evaluator),
	    cmocka_unit_test(test_selectors_are_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
