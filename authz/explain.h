/* Parts of an explanation that text and JSON share. Internal to authz/. */
#ifndef AUTHZ_EXPLAIN_H
#define AUTHZ_EXPLAIN_H

#include "authz/engine.h"

/* Items that are listed of what a rule says; the rest is counted. */
#define EXPLAIN_ITEMS 16

/* Why `subjects:` names who asks. */
struct explain_subject {
	const char *kind; /* "user", "serviceAccount", "group" or "everyone" */
	struct slice entry; /* as it stands in the rule */
	struct slice value; /* what of the request it matched; empty for everyone */
};

/* The first entry of S that names who asks, users before groups; false: none does. Texts live in A. */
bool explain_subject(const struct engine *e, const struct subjects *s, struct arena *a,
    struct explain_subject *out);

/* One rule tried on a request. */
struct explained {
	const struct rule *rule;
	enum dimension dim; /* where it stopped; DIM_NONE: it matches */
	const struct action *grant; /* the one that came furthest, or NULL */
	bool names, excepts; /* BY and EXCEPTED are set */
	struct explain_subject by, excepted;
	struct slice has[EXPLAIN_ITEMS]; /* what the rule says in dimension DIM */
	size_t nhas, more;
};

/* False when the rule has to do neither with who asks nor with what is asked. */
bool explain_rule(
    const struct engine *e, const struct rule *rule, struct arena *a, struct explained *out);

/* When a rule with `valid` holds, as seen from one moment. */
struct explain_time {
	bool holds; /* now */
	bool changes; /* at NEXT it begins, or ceases, to hold */
	int64_t next;
};

/* Of a request that names a time. */
void explain_time(const struct rule *rule, int64_t now, struct explain_time *out);

#endif
