/* Access requests and decisions: the pure heart. authz_evaluate is a function of (policy, request)
 * alone: no I/O, no clock (time is in the request), no allocation. */
#ifndef AUTHZ_AUTHZ_H
#define AUTHZ_AUTHZ_H

#include "common/str.h"
#include "policy/policy.h"

/* A requirement of spec.resourceAttributes.{field,label}Selector. */
struct access_requirement {
	struct slice key, op; /* In NotIn Exists DoesNotExist; others are kept and ignored */
	const struct slice *values;
	size_t n;
};

struct access_extra {
	struct slice key;
	const struct slice *values;
	size_t n;
};

/* One request for access, borrowed from the review it was read from. Absent strings are empty. */
struct access_request {
	struct slice user, uid;
	const struct slice *groups;
	size_t ngroups;
	const struct access_extra *extra;
	size_t nextra;
	bool resource_request; /* else a non-resource URL: path and verb only */
	struct slice verb, api_group, version, resource, subresource, name, namespace_;
	struct slice path;
	const struct access_requirement *field_selector, *label_selector;
	size_t nfield, nlabel;
	int64_t now;  /* wall clock, nanoseconds since the epoch; or AUTHZ_TIMELESS */
	int64_t hold; /* how long the asker remembers an allow, nanoseconds; 0: not at all */
};

/* Outside of all time: no rule with `valid` holds. What the policy's tests are asked at that name no time, so
 * that a policy loads at any time or never. */
#define AUTHZ_TIMELESS INT64_MIN
/* Of guards that name no time, which must hold at any: each allow with `valid` holds and what takes away with
 * `valid` does not; and the other way round. */
#define AUTHZ_WHILE_GIVEN (INT64_MIN + 1)
#define AUTHZ_WHILE_TAKEN (INT64_MIN + 2)

/* Zero is "no opinion": what was not decided never allows. */
enum verdict { VERDICT_NO_OPINION = 0, VERDICT_ALLOW, VERDICT_DENY };
#define VERDICT_COUNT 3

/* The verdict that a rule of effect E gives when it decides. */
static inline enum verdict effect_verdict(enum policy_effect e)
{
	static const enum verdict verdicts[] = {[POLICY_NO_EFFECT] = VERDICT_NO_OPINION,
	    [POLICY_ALLOW] = VERDICT_ALLOW,
	    [POLICY_DENY] = VERDICT_DENY,
	    [POLICY_ABSTAIN] = VERDICT_NO_OPINION};
	return verdicts[e];
}


const char *verdict_name(enum verdict v); /* "noOpinion", "allow", "deny" */

struct break_glass;

/* What the answer would be were the shadow rules in force. */
struct shadow_decision {
	bool differs; /* from the answer; the rest is set only then */
	enum verdict verdict;
	const char *rule, *source;
};

struct decision {
	enum verdict verdict;
	enum policy_effect effect; /* of the rule that decided; POLICY_NO_EFFECT: the default did */
	const char *rule; /* its id, borrowed from the policy; NULL when the default decided */
	const char *source; /* "prod.yaml:57" or NULL */
	const char *message; /* the rule's message or NULL */
	bool exempt; /* deny and abstain did not apply: the subject is exempt */
	const struct break_glass *break_glass; /* of the rule that decided, or NULL */
	const char *note; /* why an import could not speak, when nothing decided; or NULL */
	struct shadow_decision shadow;
};

void authz_evaluate(const struct policy *p, const struct access_request *r, struct decision *out);

/* The text of status.reason: effect, rule, policy generation, decision id, the ticket of a break-glass
 * rule, then the rule's message or, when nothing decided, the note; printable, at most AUTHZ_REASON_MAX
 * bytes. For example `deny rule=protect-kube-system gen=42 id=01J…: message`. ID may be NULL. */
#define AUTHZ_REASON_MAX 512
void authz_reason(
    const struct policy *p, const struct decision *d, const char *id, struct buf *out);

/* Embedded `tests:` of the policy; each failure is an error with its place. A policy_test_fn. */
void authz_run_tests(const struct policy *p, struct diags *d);

/* One of them alone; and what it asks, which borrows from the policy and from A. */
struct policy_test;
void authz_run_test(const struct policy *p, const struct policy_test *t, struct diags *d);
void authz_test_request(
    struct arena *a, const struct policy_test *t, struct access_request *r);

/* The tests of GUARDS (policy_compile_guards) asked of P; each failure is an error with its place. One that names
 * no time must come out the same whichever rules with `valid` hold: else those would be past every guard. */
void authz_run_guards(const struct policy *p, const struct policy *guards, struct diags *d);

/* Every rule of the policy that concerns R: which matched, and for the others the first dimension
 * that did not. JSON array, or lines of text when not JSON. */
void authz_explain(
    const struct policy *p, const struct access_request *r, bool json, struct buf *out);

#endif
