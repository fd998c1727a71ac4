/* The compiled policy: rules with their literals as numbers, and the lists that lead to them. Read by authz/, built by
 * compile.c and lists.c, immutable after that. Not for anyone else: policy.h is the outer face.
 *
 * The index. Rules are ranked by class (deny, abstain, allow, …) and within a class by place in the files, so
 * that the rule of the lowest rank that matches is the one that decides, and search can stop at ranks above the
 * best so far. A request's subject gives keys (the user, each group, each pattern that matches one of them, each
 * list kept whole that names one); a key has its rules as entries sorted by place, then rank. Of each key the runs
 * of the request's places are tried (all, this namespace, matching patterns, …). A run of more than a few dozen
 * rules is divided once more, by anchors: words of the action of which a request must have one. Rules that an
 * earlier one of the same run covers have no entry there. What is left is tried: two masks first, then
 * engine_action, which knows the whole meaning; the lists only leave out rules that cannot match. */
#ifndef POLICY_INDEX_H
#define POLICY_INDEX_H

#include "policy/glob.h"
#include "policy/intern.h"
#include "policy/lists.h"
#include "policy/policy.h"
#include "common/window.h"
#include "policy/worst.h"

/* Numbers of three tables that never mix: user names, group names, all other words. Two numbers
 * stand for no literal. */
#define ATOM_ANY UINT32_MAX /* the rule's `*` */
#define ATOM_SOME (UINT32_MAX - 1) /* any but the empty text: the `*` of pods/star */

/* A sorted set of numbers. ANY: no constraint, the set is not looked at. */
struct atom_set {
	const uint32_t *v;
	uint32_t n;
	bool any;
};

bool atom_set_has(const struct atom_set *s, uint32_t atom);

/* Patterns, and for those of subjects and of included namespaces their numbers in the policy's globsets. */
struct glob_list {
	const struct slice *v;
	const uint32_t *ids;
	uint32_t n;
};

bool glob_list_has(const struct glob_list *l, struct slice text);

/* Order of evaluation. The first three decide; shadow rules are evaluated beside them and never
 * change an answer; a note tells why an import could not speak (RBAC's "… not found"). */
enum rule_class {
	CLASS_DENY,
	CLASS_ABSTAIN,
	CLASS_ALLOW,
	CLASS_COUNT, /* of those that decide */
	CLASS_SHADOW_DENY = CLASS_COUNT,
	CLASS_SHADOW_ABSTAIN,
	CLASS_SHADOW_ALLOW,
	CLASS_NOTE,
	CLASS_ALL
};

/* Subjects as rules name them; equal sets are one. SA_GLOBS are written out in full
 * ("system:serviceaccount:ci:*") and apply only to names that policy_is_service_account accepts, so
 * that no star reaches across the colon. */
struct subject_set {
	uint32_t id; /* its place in policy.sets */
	bool everyone;
	struct atom_set users, groups;
	struct glob_list user_globs, group_globs, sa_globs;
};

/* What `subjects:` and the like say: the set written there, the set of the alias; either may be
 * NULL. */
struct subjects {
	const struct subject_set *own, *alias;
};

struct ns_set {
	struct atom_set include, exclude;
	struct glob_list include_globs, exclude_globs;
};

/* resource: a word or ATOM_ANY. sub: a word (the empty text: none), ATOM_ANY or ATOM_SOME. */
struct resource_form {
	uint32_t resource, sub;
};

struct url_form {
	struct slice text;
	bool prefix;
};

enum requirement_op {
	REQUIREMENT_IN = 1,
	REQUIREMENT_NOT_IN,
	REQUIREMENT_EXISTS,
	REQUIREMENT_DOES_NOT_EXIST
};

/* One requirement of a rule's fieldSelector or labelSelector; VALUES sorted, without doubles. The numbers
 * of the words stand beside them: ATOMS, in the order of numbers. */
struct requirement {
	struct slice key;
	enum requirement_op op;
	const struct slice *values;
	uint32_t n;
	uint32_t key_atom;
	const uint32_t *atoms;
};

/* All must hold; none when N is 0. */
struct selector {
	const struct requirement *v;
	uint32_t n;
};

/* One grant: what a rule, or one rule of a role, is about. The masks are of lists.h. */
struct action {
	struct list_masks masks;
	bool resource; /* else paths */
	struct atom_set verbs, groups, names;
	struct glob_list name_globs; /* resourceNamesGlob: beside NAMES, which then is not ANY */
	struct selector fields, labels;
	const struct resource_form *forms;
	const struct url_form *urls;
	uint32_t nforms, nurls;
};

enum rule_scope { SCOPE_ALL, SCOPE_CLUSTER, SCOPE_NAMESPACES };

/* The grants of one role, or the one that stands in the rule itself. */
struct action_list {
	const struct action *const *v;
	uint32_t n;
};

/* Where a rule comes from. */
enum rule_origin { ORIGIN_NATIVE = 0, ORIGIN_RBAC, ORIGIN_ABAC };
const char *rule_origin_name(enum rule_origin o); /* "native", "rbac", "abac" */

struct rule {
	const char *id, *source, *message;
	enum policy_effect effect; /* POLICY_NO_EFFECT: a note, MESSAGE is its text */
	enum rule_origin origin;
	bool shadow; /* mode: shadow */
	bool exact; /* overlap: exact */
	enum rule_scope scope;
	const struct ns_set *namespaces; /* SCOPE_NAMESPACES */
	struct subjects subjects, except;
	struct subjects also; /* ABAC's user and group: when set, it must name the subject too */
	const struct window *valid; /* NULL: always */
	const struct break_glass *break_glass;
	const struct action_list *roles;
	uint32_t nroles;
};

/* Each action A of RULE in turn, for tools. */
#define EACH_ACTION(rule, a)                                                                       \
	for (uint32_t role_ = 0, item_ = 0; role_ < (rule)->nroles; role_++, item_ = 0)            \
		for (const struct action *a;                                                       \
		     item_ < (rule)->roles[role_].n && (a = (rule)->roles[role_].v[item_]); item_++)

enum policy_expect { POLICY_EXPECT_NO_OPINION = 0, POLICY_EXPECT_ALLOW, POLICY_EXPECT_DENY };

struct policy_extra {
	struct slice key;
	const struct slice *values;
	size_t n;
};

/* An entry of `tests:`, with the groups that the apiserver would add. */
struct policy_test {
	const char *label, *by, *file; /* label and by may be NULL */
	uint32_t line, col;
	struct slice user, uid;
	const struct slice *groups;
	size_t ngroups;
	bool resource_request;
	struct slice verb, api_group, version, resource, subresource, name, namespace_, path;
	struct selector fields, labels;
	const struct policy_extra *extra;
	size_t nextra;
	bool timed; /* AT is set; else the test is asked outside of all time */
	int64_t at;
	enum policy_expect expect;
};

struct policy {
	struct arena arena;
	struct policy_info info;
	struct policy_worst worst;
	struct intern words, users, groups;
	uint32_t empty; /* the word "" */
	struct globset user_globs, group_globs, sa_globs, place_globs;
	const struct rule *rules; /* in file order: a rule's number is its place here */
	uint32_t nrules;
	uint32_t nclass[CLASS_ALL]; /* how many rules of each class */
	uint32_t first_rank[CLASS_ALL + 1];
	const struct subject_set *const *sets; /* those of exemptions and exceptions come first */
	uint32_t nsets;
	struct lists lists;
	struct subjects exempt;
	bool default_deny;
	const uint64_t *cluster_scoped; /* group << 32 | resource, sorted */
	uint32_t ncluster_scoped;
	const struct policy_test *tests;
	size_t ntests;
	const struct window **windows; /* each once, in the order of their first rules */
	uint32_t nwindows;
};

#define SERVICE_ACCOUNT_PREFIX "system:serviceaccount:"

/* Exactly system:serviceaccount:NAMESPACE:NAME, neither part empty nor with a colon. */
bool policy_is_service_account(struct slice user);

/* Is RESOURCE of API group GROUP (numbers of words) known to be without a namespace? */
bool policy_cluster_scoped(const struct policy *p, uint32_t group, uint32_t resource);

/* `pods`, `pods/log`, `*`…: as it is written in a policy. */
void resource_form_print(
    const struct policy *p, const struct resource_form *f, struct buf *out);

/* Builds P (zeroed, its arena ready) from a checked tree. Internal to policy/. */
struct ast;
void policy_build(struct policy *p, struct ast *t);

static inline enum rule_class rule_class(const struct rule *r)
{
	static const enum rule_class classes[] = {[POLICY_NO_EFFECT] = CLASS_NOTE,
	    [POLICY_ALLOW] = CLASS_ALLOW,
	    [POLICY_DENY] = CLASS_DENY,
	    [POLICY_ABSTAIN] = CLASS_ABSTAIN};
	enum rule_class k = classes[r->effect];
	return r->shadow && k < CLASS_COUNT ? CLASS_COUNT + k : k;
}

#endif
