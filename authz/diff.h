/* What changes between two policies: every class of requests that are answered differently. */
#ifndef AUTHZ_DIFF_H
#define AUTHZ_DIFF_H

#include "authz/region.h"

enum { DIFF_OLD, DIFF_NEW };

/* Subjects: the identity is among each of ALL and among none of NONE. */
struct diff_who {
	const struct people *const *all, *const *none;
	size_t nall, nnone;
};

/* A dimension of texts: matched by one of IN (all texts when ANY) and by none of OUT. */
struct diff_words {
	bool any;
	struct words in, out;
};

struct diff_forms {
	bool any;
	struct forms in, out;
};

/* A class of requests whose verdict changes. Every request that flips lies in a cell with its two verdicts;
 * of the requests in a cell those flip that no other rule decides, as EXAMPLE does. */
struct diff_cell {
	bool shadow; /* the verdicts are those with the shadow rules in force */
	bool certain; /* false: there may be such requests; EXAMPLE is not set */
	int64_t at; /* when */
	enum verdict before, after;
	const struct rule *by[2]; /* who decides EXAMPLE, old and new; NULL: no rule */
	size_t others; /* the rule on one side is one of so many that fit; 0: it is that one */
	struct diff_who who;
	bool resource; /* else paths */
	struct diff_words words[REGION_WORDS]; /* of resources: all but the path; of paths: it and the verb */
	struct diff_forms forms;
	const struct limit *selectors; /* conditions on the request's selectors */
	size_t nselectors;
	unsigned scoped, unscoped; /* resources without a namespace, by bit 0 (old) and 1 (new) */
	struct access_request example;
};

struct diff_options {
	int64_t now;
	int64_t hold; /* how long the apiserver remembers an allow: struct access_request */
};

enum diff_change { DIFF_ADDED, DIFF_REMOVED, DIFF_CHANGED, DIFF_TEXT };

/* A rule that differs, whether that flips anything or not. */
struct diff_rule {
	enum diff_change change;
	const struct rule *rule; /* of the new policy where it is in both */
};

/* Borrows from both policies. */
struct diff {
	struct arena arena;
	struct diff_cell *cells; /* gains of access first */
	size_t ncells, cap;
	struct diff_rule *rules;
	size_t nrules, rules_cap;
	bool default_changed, exempt_changed;
	int64_t *moments; /* the times looked at, the first is now */
	size_t nmoments, moments_left; /* further times at which windows begin or end */
	size_t counts[3][3]; /* of cells: [before][after], shadow ones aside */
	size_t nshadow, nuncertain;
};

/* Finds all cells. Exact; where the rules are too entangled to tell within a bound, cells are marked as not
 * certain. Pure. */
void diff_policies(const struct policy *before, const struct policy *after,
    const struct diff_options *o, struct diff *out);

void diff_done(struct diff *d);

/* The JSON of a SubjectAccessReview that asks R. */
void diff_review(const struct access_request *r, struct buf *out);

#endif
