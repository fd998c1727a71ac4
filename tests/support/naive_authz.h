/* A second evaluator, for tests: the semantics word by word over rules as written, without index, numbers
 * or sharing; generated rules and requests for it; and the text of such rules as a policy. */
#ifndef TESTS_SUPPORT_NAIVE_AUTHZ_H
#define TESTS_SUPPORT_NAIVE_AUTHZ_H

#include "authz/authz.h"

#define NAIVE_LIST 4
#define NAIVE_REQUIREMENTS 3
#define NAIVE_GRANTS 2

/* A short list of words; absent when n is 0. */
struct naive_list {
	const char *v[NAIVE_LIST];
	int n;
};

struct naive_subjects {
	struct naive_list users, groups, accounts;
	const char *const *crowd; /* more groups */
	int ncrowd;
	const char *all; /* or NULL */
	int alias; /* how it is written, NAIVE_… */
};

enum {
	NAIVE_INLINE, /* as it is */
	NAIVE_ALIAS, /* as an alias that holds the same */
	NAIVE_SPLIT /* as an alias with the users and the rest inline */
};

/* One of a selector's requirements; OP as it is written. */
struct naive_requirement {
	const char *key, *op;
	struct naive_list values;
};

struct naive_selector {
	struct naive_requirement v[NAIVE_REQUIREMENTS];
	int n;
};

struct naive_grant {
	struct naive_list verbs, groups, resources, names, name_globs, urls;
	struct naive_selector fields, labels;
};

/* Nanoseconds since the epoch; weekly hours when TZ is set. */
struct naive_span {
	bool has_from, has_until;
	int64_t from, until;
	const char *tz;
	unsigned days; /* bit 0: Monday */
	int hours_from, hours_until; /* minutes of the day; until before from: of the next day */
};

struct naive_window {
	struct naive_span in, except;
	bool has_except;
};

struct naive_rule {
	char id[16];
	enum policy_effect effect;
	bool shadow, exact, has_except, cluster_only, role, place_alias, has_valid, break_glass;
	struct naive_window valid;
	struct naive_subjects subjects, except;
	struct naive_grant grants[NAIVE_GRANTS]; /* the second only of a role */
	int ngrants;
	struct naive_list include, exclude;
};

struct naive_imports; /* naive_import.h */

/* RULES and IMPORTS (or NULL) are naive_generate's; the first FIRST of the rules stand in a file of their
 * own when that is neither 0 nor N. */
struct naive_policy {
	struct naive_rule *rules;
	struct naive_imports *imports;
	int n, first;
	bool default_deny, has_exempt;
	struct naive_subjects exempt;
};

/* What decides: BY is NULL for an imported rule, ID is NULL for the default. */
struct naive_verdict {
	enum verdict verdict;
	enum policy_effect effect;
	const char *id;
	const struct naive_rule *by;
};

struct naive_answer {
	struct naive_verdict real, shadow;
	bool exempt, differs; /* differs: shadow's verdict is another */
	char note[128];
};

void naive_evaluate(
    const struct naive_policy *p, const struct access_request *r, struct naive_answer *out);
bool naive_matches(const struct naive_rule *rule, const struct access_request *r);

bool naive_glob(const char *pattern, struct slice text);
bool naive_in(const struct naive_list *l, struct slice text);
bool naive_glob_in(const struct naive_list *l, struct slice text);
bool naive_has_group(const struct access_request *r, const char *group);

/* --- selectors, by trying objects (naive_selector.c) --- */

/* Does each object that the request asks for satisfy S, as far as one requirement after the other tells? */
bool naive_covered(const struct naive_selector *s, const struct access_requirement *q, size_t n);

/* May an object that the request asks for satisfy S, as far as pairs of requirements tell? */
bool naive_may_meet(const struct naive_selector *s, const struct access_requirement *q, size_t n);

/* The truth of both, all requirements taken together: what an answer must never contradict. */
bool naive_truly_covered(
    const struct naive_selector *s, const struct access_requirement *q, size_t n);
bool naive_truly_meets(
    const struct naive_selector *s, const struct access_requirement *q, size_t n);

/* --- windows, by trying moments (naive_window.c) --- */

bool naive_open(const struct naive_window *w, int64_t t);

/* By its window: an allow all the time that an answer is remembered, others at some moment of it. */
bool naive_in_force(const struct naive_rule *rule, const struct access_request *r);

/* Generated: a window for a rule, a time for a request. */
void naive_window(struct naive_rule *r, uint64_t *seed);
void naive_when(struct access_request *r, uint64_t *seed);
void naive_print_window(struct buf *b, const struct naive_rule *r);

/* --- generated policies and requests (naive_gen.c) --- */

uint32_t naive_rnd(uint64_t *seed, uint32_t below);

#define NAIVE_REQUEST_GROUPS 4

struct naive_request {
	struct access_request r;
	struct slice groups[NAIVE_REQUEST_GROUPS];
	struct access_requirement fields[NAIVE_REQUIREMENTS], labels[NAIVE_REQUIREMENTS];
	struct slice values[2 * NAIVE_REQUIREMENTS][NAIVE_LIST];
};

/* Some rules, room for one more; release it with naive_done. */
void naive_generate(struct naive_policy *p, uint64_t *seed, int most);
void naive_copy(struct naive_policy *to, const struct naive_policy *from);
void naive_done(struct naive_policy *p);

void naive_rule(struct naive_rule *r, uint64_t *seed, int number, enum policy_effect effect);

/* *Q borrows from itself: not to be copied. */
void naive_request(struct naive_request *q, uint64_t *seed);

/* The same, and now and then with a resource that no apiserver sends: `pods/log` as one word. */
void naive_odd_request(struct naive_request *q, uint64_t *seed);

/* --- as text (naive_print.c) --- */

#define NAIVE_FILES 4

/* The policy's files into FILES, their texts in TEXTS (initialized); how many. */
size_t naive_print(struct policy_file files[NAIVE_FILES], struct buf texts[NAIVE_FILES],
    const struct naive_policy *p);
void naive_print_request(struct buf *b, const struct access_request *r);

/* Compiled; aborts with the findings when it is refused. */
struct policy *naive_compile(const struct naive_policy *p);

/* --- the comparison (naive_check.c) --- */

/* Does the engine say of R what the second evaluator says (*WANT), by the same rule, in the answer and in
 * shadow? */
bool naive_agrees(const struct policy *p, const struct naive_policy *model,
    const struct access_request *r, struct naive_answer *want);

/* Leaves in MODEL only the rules without which both would agree on R. */
void naive_shrink(struct naive_policy *model, const struct access_request *r);

/* Prints policy, request and both answers: what a test does before it fails. */
void naive_tell(const struct naive_policy *model, const struct access_request *r);

/* How many cases to try: PLAIN, fewer under sanitizers, or what NAIVE_CASES in the environment says. */
unsigned naive_cases(unsigned plain);

#endif
