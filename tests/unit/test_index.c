/* Proves the index against going through all rules one by one, on policies that are large enough for each of its
 * ways: long runs, sets kept whole, lists past what the evaluator keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "authz/engine.h"
#include "tests/support/policy_text.h"

static uint32_t rnd(uint64_t *seed, uint32_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % n;
}

/* --- the other way: every rule in order --- */

static const struct rule *first_match(
    const struct engine *e, bool exempt, enum rule_class from, enum rule_class to)
{
	for (enum rule_class k = from; k <= to; k++) {
		if (exempt && k != CLASS_ALLOW && k != CLASS_SHADOW_ALLOW)
			continue;
		for (uint32_t i = 0; i < e->p->nrules; i++) {
			const struct rule *r = &e->p->rules[i];
			if (rule_class(r) == k && engine_names(e, r) &&
			    engine_action(e, r) == DIM_NONE && !engine_subjects(e, &r->except))
				return r;
		}
	}
	return NULL;
}

static unsigned shadows; /* how many answers differed in shadow */

static void check(const struct policy *p, const struct access_request *r)
{
	struct engine *e = malloc(sizeof(*e));
	struct decision d;
	assert_non_null(e);
	authz_evaluate(p, r, &d);
	engine_init(e, p, r);
	bool exempt = engine_subjects(e, &p->exempt);
	const struct rule *want = first_match(e, exempt, CLASS_DENY, CLASS_ALLOW);
	if ((want ? want->id : NULL) != d.rule)
		fail_msg("user " SLICE_FMT " %zu groups, verb " SLICE_FMT " resource " SLICE_FMT
			 " name " SLICE_FMT " ns " SLICE_FMT ": %s by the index, %s one by one",
		    SLICE_ARG(r->user), r->ngroups, SLICE_ARG(r->verb), SLICE_ARG(r->resource),
		    SLICE_ARG(r->name), SLICE_ARG(r->namespace_), d.rule ? d.rule : "nothing",
		    want ? want->id : "nothing");
	/* A shadow rule tells only what is stronger than the answer. */
	enum rule_class end = want ? rule_class(want) : CLASS_COUNT;
	const struct rule *shadow =
	    end > 0 ? first_match(e, exempt, CLASS_SHADOW_DENY, CLASS_SHADOW_DENY + end - 1) : NULL;
	bool differs = shadow && !(!want && shadow->effect == POLICY_ABSTAIN);
	if (d.shadow.differs != differs || (differs && d.shadow.rule != shadow->id))
		fail_msg("in shadow %s by the index, %s one by one",
		    d.shadow.differs ? d.shadow.rule : "nothing", differs ? shadow->id : "nothing");
	shadows += differs;
	free(e);
}

/* --- generated policies --- */

static const char *const verbs[] = {"get", "list", "watch", "update", "delete", "*"};
static const char *const groups_of_apis[] = {"\"\"", "apps", "batch", "\"*\""};
static const char *const resources[] = {"pods", "pods/log", "secrets", "\"*/scale\"", "jobs", "nodes", "\"*\""};

/* One of N texts PREFIX0, PREFIX1, …, with now and then a star for its end. */
static void add_name(struct buf *b, uint64_t *seed, const char *prefix, uint32_t n)
{
	uint32_t i = rnd(seed, n);
	if (rnd(seed, 9) == 0)
		buf_printf(b, "\"%s%u*\"", prefix, i / 10);
	else
		buf_printf(b, "%s%u", prefix, i);
}

static void add_names(
    struct buf *b, uint64_t *seed, const char *key, const char *prefix, uint32_t n, uint32_t most)
{
	uint32_t len = 1 + rnd(seed, most);
	buf_printf(b, "%s: [", key);
	for (uint32_t i = 0; i < len; i++) {
		buf_adds(b, i ? ", " : "");
		add_name(b, seed, prefix, n);
	}
	buf_adds(b, "], ");
}

static void add_subjects(struct buf *b, uint64_t *seed)
{
	static const char *const whole[] = {"{all: authenticated}", "{all: everyone}", "{alias: team}",
	    "{alias: staff}", "{groups: [half]}", "{groups: [half, g1], users: [u1]}"};
	buf_adds(b, "subjects: ");
	if (rnd(seed, 2)) {
		buf_adds(b, whole[rnd(seed, ARRAY_LEN(whole))]);
	} else {
		buf_adds(b, "{");
		add_names(b, seed, "groups", "g", 40, 3);
		add_names(b, seed, "users", "u", 40, 2);
		buf_printf(b, "serviceAccounts: [ns%u/sa%u, \"ns%u/*\"]}", rnd(seed, 9), rnd(seed, 9),
		    rnd(seed, 9));
	}
	if (rnd(seed, 4) == 0) {
		buf_adds(b, ", except: {subjects: {");
		add_names(b, seed, "groups", "g", 40, 2);
		buf_adds(b, "}}");
	}
}

static void add_action(struct buf *b, uint64_t *seed)
{
	if (rnd(seed, 12) == 0) {
		buf_printf(b, ", nonResourceURLs: [/a%u, \"/b%u/*\"], verbs: [get]", rnd(seed, 9),
		    rnd(seed, 9));
		return;
	}
	buf_printf(b, ", apiGroups: [%s], resources: [%s, kind%u], verbs: [%s, verb%u], ",
	    groups_of_apis[rnd(seed, 4)], resources[rnd(seed, ARRAY_LEN(resources))], rnd(seed, 300),
	    verbs[rnd(seed, 5)], rnd(seed, 30));
	if (rnd(seed, 3) == 0)
		buf_printf(b, "resourceNames: [n%u, n%u], ", rnd(seed, 200), rnd(seed, 200));
	if (rnd(seed, 10) == 0)
		buf_printf(b, "resourceNamesGlob: [\"n%u*\"], ", rnd(seed, 20));
	if (rnd(seed, 3))
		add_names(b, seed, "namespaces", "ns", 30, rnd(seed, 20) ? 3 : 30);
	if (rnd(seed, 3) == 0)
		buf_adds(b, "overlap: exact");
}

static struct policy *generated(uint64_t *seed, uint32_t n)
{
	static const char *const effects[] = {"allow", "allow", "deny", "abstain"};
	struct buf b;
	buf_init(&b, (size_t)1 << 26);
	buf_adds(&b, POLICY_HEAD "defaults: {exempt: {groups: [exempt, g7]}}\naliases:\n  subjects:\n"
				 "    team: {groups: [g1, g2, g3, g4, g5, g6], users: [u1, \"u3*\"]}\n"
				 "    staff: {users: [u1, u2, u3, u4, u5], groups: [half, \"h*\"]}\n"
				 "rules:\n");
	for (uint32_t i = 0; i < n; i++) {
		buf_printf(&b, "- {id: r%u, effect: %s, %s", i, effects[rnd(seed, 4)],
		    rnd(seed, 8) ? "" : "mode: shadow, ");
		add_subjects(&b, seed);
		add_action(&b, seed);
		buf_adds(&b, "}\n");
	}
	struct policy *p = policy_must(buf_cstr(&b));
	buf_done(&b);
	return p;
}

/* --- requests --- */

#define MANY 3000

struct request {
	struct access_request r;
	struct slice groups[MANY];
	char texts[MANY][16], words[6][16];
};

static struct slice word(struct request *a, int i, uint64_t *seed, const char *prefix, uint32_t n)
{
	snprintf(a->words[i], sizeof(a->words[i]), "%s%u", prefix, rnd(seed, n));
	return slice_of(a->words[i]);
}

static struct slice action_word(
    struct request *a, int i, uint64_t *seed, const char *const *plain, uint32_t n, const char *prefix)
{
	if (rnd(seed, 2))
		return slice_of(plain[rnd(seed, n)]);
	return word(a, i, seed, prefix, 30);
}

static void make_request(struct request *a, uint64_t *seed, size_t ngroups)
{
	static const char *const kinds[] = {"pods", "secrets", "jobs", "nodes"};
	static const char *const subs[] = {"", "", "log", "scale", "other"};
	static const char *const apis[] = {"", "apps", "batch", "other"};
	a->r = (struct access_request){.groups = a->groups, .ngroups = ngroups};
	a->r.user = word(a, 0, seed, "u", 45);
	if (rnd(seed, 5) == 0) {
		snprintf(a->words[0], sizeof(a->words[0]), "system:");
		a->r.user = SLICE("system:serviceaccount:ns3:sa4");
	}
	for (size_t i = 0; i < ngroups; i++) {
		snprintf(a->texts[i], sizeof(a->texts[i]), "g%u", rnd(seed, ngroups > 20 ? 9000 : 60));
		a->groups[i] = slice_of(a->texts[i]);
	}
	if (ngroups && rnd(seed, 2))
		a->groups[rnd(seed, (uint32_t)ngroups)] =
		    rnd(seed, 2) ? SLICE("half") : SLICE("system:authenticated");
	a->r.verb = action_word(a, 1, seed, verbs, 6, "verb");
	if (rnd(seed, 10) == 0) {
		a->r.path = word(a, 2, seed, rnd(seed, 2) ? "/a" : "/b3/", 9);
		return;
	}
	a->r.resource_request = true;
	a->r.resource = action_word(a, 2, seed, kinds, 4, "kind");
	a->r.subresource = slice_of(subs[rnd(seed, 5)]);
	a->r.api_group = slice_of(apis[rnd(seed, 4)]);
	if (rnd(seed, 4))
		a->r.namespace_ = word(a, 3, seed, "ns", 33);
	if (rnd(seed, 3))
		a->r.name = word(a, 4, seed, "n", 210);
}

static void test_the_index_finds_what_going_through_all_rules_finds(void **state)
{
	(void)state;
	static const uint32_t sizes[] = {1, 7, 50, 300, 1500, 4000};
	uint64_t seed = 20261122;
	struct request *a = malloc(sizeof(*a));
	assert_non_null(a);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (int round = 0; round < (sizes[i] < 1000 ? 12 : 2); round++) {
			struct policy *p = generated(&seed, sizes[i]);
			for (int k = 0; k < 400; k++) {
				make_request(a, &seed, rnd(&seed, 12));
				check(p, &a->r);
			}
			policy_free(&p);
		}
	}
	assert_true(shadows > 100);
	free(a);
}

static void test_thousands_of_groups(void **state)
{
	(void)state;
	uint64_t seed = 3;
	struct request *a = malloc(sizeof(*a));
	struct policy *p = generated(&seed, 600);
	assert_non_null(a);
	for (int k = 0; k < 60; k++) {
		make_request(a, &seed, 100 + rnd(&seed, MANY - 100));
		check(p, &a->r);
	}
	policy_free(&p);
	free(a);
}

/* --- past what is kept --- */

static struct policy *compiled(struct buf *b)
{
	struct policy *p = policy_must(buf_cstr(b));
	buf_done(b);
	return p;
}

/* N rules in file order; each # of FMT is the rule's number. */
static struct policy *numbered(const char *fmt, uint32_t n)
{
	struct buf b;
	buf_init(&b, (size_t)1 << 26);
	buf_adds(&b, POLICY_HEAD "rules:\n");
	for (uint32_t i = 0; i < n; i++) {
		for (const char *c = fmt; *c; c++) {
			if (*c == '#')
				buf_printf(&b, "%u", i);
			else
				buf_addc(&b, *c);
		}
		buf_addc(&b, '\n');
	}
	return compiled(&b);
}

static void ask(const struct policy *p, struct request *a, const char *resource, const char *want)
{
	struct decision d;
	a->r.resource_request = true;
	a->r.verb = SLICE("get");
	a->r.resource = slice_of(resource);
	check(p, &a->r);
	authz_evaluate(p, &a->r, &d);
	if (want)
		assert_string_equal(d.rule, want);
	else
		assert_null(d.rule);
}

static void test_more_keys_than_are_kept(void **state)
{
	(void)state;
	struct request *a = calloc(1, sizeof(*a));
	struct policy *p = numbered("- {id: r#, effect: allow, subjects: {groups: [g#]}, "
				    "resources: [k#], verbs: [get]}", MANY);
	assert_non_null(a);
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(a->texts[i], sizeof(a->texts[i]), "g%u", i);
		a->groups[i] = slice_of(a->texts[i]);
	}
	a->r = (struct access_request){.groups = a->groups, .ngroups = MANY};
	ask(p, a, "k0", "r0");
	ask(p, a, "k2047", "r2047");
	ask(p, a, "k2048", "r2048");
	ask(p, a, "k2999", "r2999");
	ask(p, a, "k3000", NULL);
	a->r.ngroups = 2048;
	ask(p, a, "k2047", "r2047");
	ask(p, a, "k2048", NULL);
	policy_free(&p);
	free(a);
}

static void test_a_full_list_of_one_group(void **state)
{
	(void)state;
	enum { FULL = 16384 };
	struct request *a = calloc(1, sizeof(*a));
	struct slice *groups = calloc(FULL, sizeof(*groups));
	struct policy *p = numbered("- {id: r#, effect: deny, subjects: {groups: [g1, g#, last]}, "
				    "resources: [k#], verbs: [get]}", 100);
	assert_non_null(a);
	assert_non_null(groups);
	for (size_t i = 0; i < FULL; i++)
		groups[i] = SLICE("g1");
	a->r = (struct access_request){.groups = groups, .ngroups = FULL};
	ask(p, a, "k99", "r99");
	ask(p, a, "k100", NULL);
	groups[FULL - 1] = SLICE("last");
	groups[0] = (struct slice){0};
	ask(p, a, "k0", "r0");
	policy_free(&p);
	free(groups);
	free(a);
}

/* Each namespace that begins with many letters is in many places. */
static void test_more_places_than_are_kept(void **state)
{
	(void)state;
	struct buf b;
	char text[100] = "";
	struct request *a = calloc(1, sizeof(*a));
	assert_non_null(a);
	buf_init(&b, 1 << 20);
	buf_adds(&b, POLICY_HEAD "rules:\n");
	for (int i = 0; i < 60; i++) {
		text[i] = 'a';
		for (int k = 0; k < 30; k++)
			buf_printf(&b, "- {id: r%d-%d, effect: allow, subjects: {groups: [g]}, apiGroups: [\"\"], "
				       "resources: [k%d], resourceNames: [n%d], verbs: [get], namespaces: "
				       "[\"%s*\"]}\n", i, k, i, k, text);
	}
	struct policy *p = compiled(&b);
	a->groups[0] = SLICE("g");
	a->r = (struct access_request){.groups = a->groups, .ngroups = 1, .name = SLICE("n7")};
	for (size_t n = 1; n < 62; n += 5) {
		memset(text, 'a', sizeof(text));
		a->r.namespace_ = (struct slice){text, n};
		ask(p, a, "k0", "r0-7");
		ask(p, a, "k30", n > 30 ? "r30-7" : NULL);
		ask(p, a, "k59", n > 59 ? "r59-7" : NULL);
	}
	a->r.namespace_ = (struct slice){0};
	ask(p, a, "k0", NULL);
	policy_free(&p);
	free(a);
}

/* More patterns match each group than are noted with the groups. */
static void test_groups_that_many_patterns_match(void **state)
{
	(void)state;
	struct request *a = calloc(1, sizeof(*a));
	struct policy *p = numbered("- {id: r#, effect: allow, subjects: {groups: [\"*g*#\", \"g*#*\", g#, x]}, "
				    "resources: [k#], verbs: [get]}", 100);
	assert_non_null(a);
	a->groups[0] = SLICE("g1");
	a->groups[1] = SLICE("g-50-51-52-53");
	a->r = (struct access_request){.groups = a->groups, .ngroups = 2};
	ask(p, a, "k1", "r1");
	ask(p, a, "k50", "r50");
	ask(p, a, "k3", "r3");
	ask(p, a, "k99", NULL);
	policy_free(&p);
	free(a);
}

static void test_empty_and_unknown_words(void **state)
{
	(void)state;
	uint64_t seed = 17;
	struct policy *p = generated(&seed, 700);
	struct request *a = calloc(1, sizeof(*a));
	assert_non_null(a);
	check(p, &(struct access_request){0});
	check(p, &(struct access_request){.resource_request = true});
	a->groups[0] = SLICE("half");
	a->groups[1] = (struct slice){0};
	static const char *const words[] = {"", "\xff\xfe", "no-such", "*", "pods", "ns1"};
	for (size_t i = 0; i < ARRAY_LEN(words) * ARRAY_LEN(words); i++) {
		struct slice w = slice_of(words[i / ARRAY_LEN(words)]);
		struct slice v = slice_of(words[i % ARRAY_LEN(words)]);
		a->r = (struct access_request){.groups = a->groups, .ngroups = 2, .user = w,
		    .resource_request = true, .verb = v, .api_group = w, .resource = v,
		    .subresource = w, .namespace_ = v, .name = w};
		check(p, &a->r);
		a->r.verb = SLICE("get");
		a->r.api_group = a->r.subresource = (struct slice){0};
		check(p, &a->r);
	}
	policy_free(&p);
	free(a);
}

static void test_the_worst_case_is_known(void **state)
{
	(void)state;
	struct policy *p = numbered("- {id: r#, effect: allow, subjects: {groups: [half]}, apiGroups: [\"\"], "
				    "resources: [pods, k#], verbs: [get], namespaces: [ns]}", 100);
	const struct policy_worst *w = policy_worst(p);
	assert_int_equal(w->lists[WORST_SUBJECT].rules, 100);
	assert_string_equal(w->lists[WORST_SUBJECT].what, "group `half`");
	assert_int_equal(w->lists[WORST_ACTION].rules, 100);
	assert_string_equal(w->lists[WORST_ACTION].what, "resource `pods`");
	assert_int_equal(w->lists[WORST_NAMESPACE].rules, 100);
	assert_string_equal(w->lists[WORST_NAMESPACE].what, "namespace `ns`");
	assert_int_equal(w->candidates, 100);
	assert_string_equal(w->candidates_of, "group `half`");
	policy_free(&p);
	p = numbered("- {id: r#, effect: allow, subjects: {groups: [half]}, apiGroups: [\"\"], "
		     "resources: [pods], verbs: [get], namespaces: [ns]}", 100);
	/* Rules that say the same are one entry. */
	assert_int_equal(policy_worst(p)->candidates, 1);
	assert_int_equal(policy_worst(p)->postings, 1);
	policy_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_index_finds_what_going_through_all_rules_finds),
	    cmocka_unit_test(test_thousands_of_groups),
	    cmocka_unit_test(test_more_keys_than_are_kept),
	    cmocka_unit_test(test_a_full_list_of_one_group),
	    cmocka_unit_test(test_more_places_than_are_kept),
	    cmocka_unit_test(test_groups_that_many_patterns_match),
	    cmocka_unit_test(test_empty_and_unknown_words),
	    cmocka_unit_test(test_the_worst_case_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
