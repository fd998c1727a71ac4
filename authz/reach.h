/* Whom and what the rules reach, without asking for each: who may do one thing, and what one subject
 * may do. For tools; the same rules, compared by the same code as decisions where that can be. */
#ifndef AUTHZ_REACH_H
#define AUTHZ_REACH_H

#include "authz/authz.h"
#include "policy/index.h"

/* --- who may do one thing --- */

enum reach_place {
	REACH_ANYWHERE = 0, /* rules for some namespaces count, and are told as such */
	REACH_ALL, /* one request about all namespaces, or about a resource without one */
	REACH_IN /* in the namespace of the request */
};

/* The request's user, groups and selectors play no part. */
struct reach_query {
	struct access_request request;
	enum reach_place place;
};

/* Does the query stand for one request, or for many (any name, any namespace)? Pure. */
bool reach_exact(const struct policy *p, const struct reach_query *q);

enum reach_kind { REACH_USER, REACH_GROUP, REACH_ACCOUNT, REACH_EVERYONE };

/* One subject as a rule names it. NAME of a service account is NAMESPACE/NAME. */
struct reach_subject {
	enum reach_kind kind;
	bool pattern;
	struct slice name;
};

/* What keeps a rule from reaching all that was asked for. */
enum reach_limit {
	REACH_NAMES = 1, /* the action's names alone */
	REACH_NAMESPACES = 2, /* the rule's namespaces alone */
	REACH_SELECTORS = 4, /* requests with such selectors alone */
	REACH_NOT_NOW = 8 /* the rule does not hold at the time of the request */
};

struct reach_entry {
	struct reach_subject subject;
	const struct rule *rule;
	const struct action *action; /* of the rule: the one that is asked for */
	unsigned limits; /* of enum reach_limit */
	int64_t next; /* when VALID begins or ends to hold; INT64_MAX: no such time */
	/* What is decided for exactly this subject with the groups that all its like have, within the
	 * limits; BY is the rule or NULL. Not set when it does not hold now. */
	enum verdict verdict;
	const char *by;
};

struct reach_list {
	struct reach_entry *v; /* by effect (deny, abstain, allow), in the order of rules */
	size_t n, cap;
};

/* All subjects of all enforced rules that are about Q; those that their own rule excepts are left
 * out. Memory comes from A. */
void reach_who(const struct policy *p, const struct reach_query *q, struct arena *a,
    struct reach_list *out);

/* The subjects that S names, in A. */
size_t reach_subjects(
    const struct policy *p, const struct subjects *s, struct arena *a, struct reach_subject **out);

/* --- what one subject may do --- */

struct reach_row {
	const struct rule *rule;
	const struct action *action;
	bool now; /* the rule holds */
	int64_t next; /* as above */
	bool exempt; /* takes nothing from this subject */
	const struct rule *taken; /* an allow: this stronger rule takes all of the row away; or NULL */
};

/* A row for each action of each enforced rule that names the user and groups of R, by effect; at
 * R's time. With R's namespace not empty, only what reaches into it. */
size_t reach_what(const struct policy *p, const struct access_request *r, struct arena *a,
    struct reach_row **out);

/* The groups that the apiserver gives every user of the kind of USER, behind GROUPS; in A. */
size_t reach_groups(struct slice user, const struct slice *groups, size_t n, struct arena *a,
    const struct slice **out);

#endif
