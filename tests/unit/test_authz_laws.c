/* Proves the laws of the language on generated policies: what adding, reordering and shadowing rules may
 * change, and what never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/naive_import.h"

#define RULES 12
#define REQUESTS 75

static void fail_on(uint64_t seed, const struct naive_policy *p, const struct access_request *r)
{
	naive_tell(p, r);
	fail_msg("seed %llu", (unsigned long long)seed);
}

typedef bool law_fn(const struct decision *before, const struct decision *after);
typedef void change_fn(struct naive_policy *p, uint64_t *seed);

static void check_one(uint64_t *seed, change_fn *change, law_fn *law)
{
	uint64_t first = *seed;
	struct naive_policy model, changed;
	naive_generate(&model, seed, RULES);
	naive_copy(&changed, &model);
	change(&changed, seed);
	struct policy *before = naive_compile(&model), *after = naive_compile(&changed);
	for (int k = 0; k < REQUESTS; k++) {
		struct naive_request q;
		struct decision d, e;
		naive_request(&q, seed);
		authz_evaluate(before, &q.r, &d);
		authz_evaluate(after, &q.r, &e);
		if (!law(&d, &e)) {
			fprintf(stderr, "before: %s by %s\n", verdict_name(d.verdict),
			    d.rule ? d.rule : "nothing");
			fail_on(first, &changed, &q.r);
		}
	}
	policy_free(&before);
	policy_free(&after);
	naive_done(&model);
	naive_done(&changed);
}

/* Changes each policy by CHANGE and checks each pair of decisions by LAW. */
static void check_law(uint64_t seed, change_fn *change, law_fn *law)
{
	unsigned policies = naive_cases(60000) / REQUESTS;
	for (unsigned i = 0; i < policies; i++)
		check_one(&seed, change, law);
}

/* --- changes; each policy has room for one more rule --- */

static struct naive_rule *add_rule(
    struct naive_policy *p, uint64_t *seed, enum policy_effect effect)
{
	int at = (int)naive_rnd(seed, (uint32_t)p->n + 1);
	memmove(&p->rules[at + 1], &p->rules[at], (size_t)(p->n - at) * sizeof(p->rules[0]));
	naive_rule(&p->rules[at], seed, 99, effect);
	p->rules[at].shadow = false;
	p->n++;
	return &p->rules[at];
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

static void add_shadow(struct naive_policy *p, uint64_t *seed)
{
	static const enum policy_effect effects[] = {POLICY_ALLOW, POLICY_DENY, POLICY_ABSTAIN};
	add_rule(p, seed, effects[naive_rnd(seed, 3)])->shadow = true;
}

static void drop_shadows(struct naive_policy *p, uint64_t *seed)
{
	(void)seed;
	int n = 0;
	for (int i = 0; i < p->n; i++)
		if (!p->rules[i].shadow)
			p->rules[n++] = p->rules[i];
	if (n == 0)
		p->rules[n++].shadow = true;
	p->n = n;
	p->first = 0;
}

static void enforce_shadows(struct naive_policy *p, uint64_t *seed)
{
	(void)seed;
	for (int i = 0; i < p->n; i++)
		p->rules[i].shadow = false;
}

/* The rules in another order, and otherwise spread over the files. */
static void shuffle(struct naive_policy *p, uint64_t *seed)
{
	for (int i = p->n - 1; i > 0; i--) {
		int k = (int)naive_rnd(seed, (uint32_t)i + 1);
		struct naive_rule swap = p->rules[i];
		p->rules[i] = p->rules[k];
		p->rules[k] = swap;
	}
	p->first = (int)naive_rnd(seed, (uint32_t)p->n + 1);
}

/* --- laws --- */

/* Only the default gives way to an allow; what a deny or an abstain decided stays. */
static bool allow_law(const struct decision *before, const struct decision *after)
{
	return before->verdict == after->verdict ||
	       (!before->rule && after->verdict == VERDICT_ALLOW);
}

static bool deny_law(const struct decision *before, const struct decision *after)
{
	return after->verdict == before->verdict || after->verdict == VERDICT_DENY;
}

/* An abstain takes allows away, and the default's deny: a person it concerns is left to RBAC. */
static bool abstain_law(const struct decision *before, const struct decision *after)
{
	return after->verdict == before->verdict ||
	       (after->verdict == VERDICT_NO_OPINION &&
		   (before->verdict == VERDICT_ALLOW || !before->rule));
}

/* Also of the answer in shadow. */
static bool same_verdicts(const struct decision *before, const struct decision *after)
{
	return before->verdict == after->verdict && before->effect == after->effect &&
	       before->exempt == after->exempt &&
	       before->shadow.differs == after->shadow.differs &&
	       (!before->shadow.differs || before->shadow.verdict == after->shadow.verdict);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_answer(const struct decision *before, const struct decision *after)
{
	return before->verdict == after->verdict && before->effect == after->effect &&
	       before->exempt == after->exempt && same_text(before->rule, after->rule) &&
	       same_text(before->message, after->message);
}

/* What shadow promised is what comes when the rules are put in force. */
static bool shadow_law(const struct decision *before, const struct decision *after)
{
	if (after->shadow.differs)
		return false;
	if (!before->shadow.differs)
		return before->verdict == after->verdict;
	return before->shadow.verdict == after->verdict &&
	       same_text(before->shadow.rule, after->rule);
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
	check_law(4, shuffle, same_verdicts);
}

static void test_shadow_rules_change_nothing(void **state)
{
	(void)state;
	check_law(5, add_shadow, same_answer);
	check_law(6, drop_shadows, same_answer);
}

static void test_shadow_tells_what_enforcing_would_do(void **state)
{
	(void)state;
	check_law(7, enforce_shadows, shadow_law);
}

/* --- time --- */

/* Who is told that a rule is out of force sees what he would see without it. */
static void test_outside_its_window_a_rule_is_absent(void **state)
{
	(void)state;
	uint64_t seed = 8;
	unsigned left_out = 0;
	for (unsigned i = naive_cases(4000); i > 0; i--) {
		struct naive_policy model, less;
		struct naive_request q;
		struct decision d, e;
		uint64_t first = seed;
		naive_generate(&model, &seed, RULES);
		naive_request(&q, &seed);
		q.r.hold = 0;
		naive_copy(&less, &model);
		less.n = 0;
		for (int k = 0; k < model.n; k++)
			if (naive_in_force(&model.rules[k], &q.r))
				less.rules[less.n++] = model.rules[k];
		if (less.n < model.n && less.n > 0) {
			struct policy *p = naive_compile(&model), *without = naive_compile(&less);
			left_out++;
			authz_evaluate(p, &q.r, &d);
			authz_evaluate(without, &q.r, &e);
			if (!same_answer(&d, &e) || d.shadow.differs != e.shadow.differs)
				fail_on(first, &model, &q.r);
			policy_free(&p);
			policy_free(&without);
		}
		naive_done(&model);
		naive_done(&less);
	}
	assert_true(left_out > naive_cases(4000) / 5);
}

/* What the apiserver may remember until then is right until then. */
static void check_hold(uint64_t first, const struct naive_policy *model, const struct policy *p,
    struct naive_request *q, uint64_t *seed)
{
	struct decision d;
	int64_t now = q->r.now, hold = q->r.hold;
	for (int k = 0; k < 4; k++) {
		int64_t later = k == 0 ? hold : (int64_t)naive_rnd(seed, 1000) * (hold / 1000);
		q->r.now = now + later;
		q->r.hold = k & 1 ? hold - later : 0;
		authz_evaluate(p, &q->r, &d);
		if (d.verdict != VERDICT_ALLOW)
			fail_on(first, model, &q->r);
	}
}

static void test_an_allow_lasts_as_long_as_it_is_held(void **state)
{
	(void)state;
	uint64_t seed = 9;
	unsigned held = 0;
	for (unsigned i = naive_cases(150000) / REQUESTS; i > 0; i--) {
		struct naive_policy model;
		uint64_t first = seed;
		naive_generate(&model, &seed, RULES);
		struct policy *p = naive_compile(&model);
		for (int k = 0; k < REQUESTS; k++) {
			struct naive_request q;
			struct decision d;
			naive_request(&q, &seed);
			authz_evaluate(p, &q.r, &d);
			if (d.verdict != VERDICT_ALLOW || q.r.now == AUTHZ_TIMELESS || !q.r.hold)
				continue;
			held++;
			check_hold(first, &model, p, &q, &seed);
		}
		policy_free(&p);
		naive_done(&model);
	}
	assert_true(held > naive_cases(150000) / 100);
}

/* --- imports --- */

/* Beside a rule that says nothing: only what upstream allows is allowed, and by whom it says. */
static void test_an_import_is_what_upstream_is(void **state)
{
	(void)state;
	uint64_t seed = 10;
	unsigned rbac = 0, abac = 0;
	for (unsigned i = naive_cases(150000) / REQUESTS; i > 0; i--) {
		struct naive_rule rule;
		struct naive_imports im;
		struct naive_policy model = {.rules = &rule, .imports = &im, .n = 1};
		uint64_t first = seed;
		naive_rule(&rule, &seed, 0, POLICY_ALLOW);
		rule.shadow = true;
		naive_generate_imports(&im, &seed);
		struct policy *p = naive_compile(&model);
		for (int k = 0; k < REQUESTS; k++) {
			struct naive_request q;
			struct decision d;
			const char *id = NULL;
			naive_request(&q, &seed);
			authz_evaluate(p, &q.r, &d);
			bool by_rbac = naive_rbac(&im, &q.r, &id);
			bool by_abac = !by_rbac && naive_abac(&im, &q.r, &id);
			rbac += by_rbac;
			abac += by_abac;
			if ((d.verdict == VERDICT_ALLOW) != (by_rbac || by_abac) ||
			    d.verdict == VERDICT_DENY || !same_text(d.rule, id))
				fail_on(first, &model, &q.r);
		}
		policy_free(&p);
	}
	if (rbac < naive_cases(150000) / 120 || abac < naive_cases(150000) / 120)
		fail_msg("only %u by RBAC, %u by ABAC", rbac, abac);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_adding_an_allow_overrides_no_rule),
	    cmocka_unit_test(test_adding_a_deny_never_creates_an_allow),
	    cmocka_unit_test(test_adding_an_abstain_only_takes_back),
	    cmocka_unit_test(test_order_decides_nothing),
	    cmocka_unit_test(test_shadow_rules_change_nothing),
	    cmocka_unit_test(test_shadow_tells_what_enforcing_would_do),
	    cmocka_unit_test(test_outside_its_window_a_rule_is_absent),
	    cmocka_unit_test(test_an_allow_lasts_as_long_as_it_is_held),
	    cmocka_unit_test(test_an_import_is_what_upstream_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
