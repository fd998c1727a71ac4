/* A set of requests, described dimension by dimension, and a request that lies in it. For the tools that
 * compare policies. Private to authz/. */
#ifndef AUTHZ_REGION_H
#define AUTHZ_REGION_H

#include "authz/authz.h"
#include "policy/index.h"
#include "policy/words.h"

/* Identities of whom the user name, or one of the groups, is among these. */
struct people {
	bool everyone;
	struct words users, groups;
};

enum sub_kind { SUB_WORD, SUB_ANY, SUB_SOME };

/* resource/sub as a rule writes it. */
struct form {
	struct slice resource, sub;
	bool any_resource;
	enum sub_kind sub_kind;
};

struct forms {
	const struct form *v;
	uint32_t n;
};

bool form_has(const struct form *f, struct slice resource, struct slice sub);
/* Does A have all that B has? */
bool form_covers(const struct form *a, const struct form *b);
/* What both have into *OUT; false when that is nothing. */
bool form_meet(const struct form *a, const struct form *b, struct form *out);

enum region_dim {
	REGION_VERB,
	REGION_GROUP,
	REGION_NAME,
	REGION_NAMESPACE,
	REGION_PATH,
	REGION_WORDS, /* so far: struct words */
	REGION_FORM = REGION_WORDS, /* struct forms */
	REGION_FIELDS, /* struct selector */
	REGION_LABELS,
	REGION_PEOPLE, /* struct people */
	REGION_LIMITS,
	REGION_SCOPED = REGION_LIMITS /* a bit for each policy whose table has the resource */
};

/* One condition. IN is met by what lies in it. A selector is met by requests that ask for nothing else; or,
 * when WIDE, that may touch it. */
struct limit {
	union {
		const struct words *words;
		const struct forms *forms;
		const struct selector *selector;
		const struct people *people;
		unsigned scoped;
	};
	enum region_dim dim;
	bool out; /* the condition is not to be met */
	bool wide;
};

struct limits {
	struct limit limit;
	const struct limits *next;
};

struct region_space {
	const struct policy *p[2];
	bool one_table; /* both call the same resources cluster-scoped: bit 0 stands for both */
	struct arena *a; /* for limits and members */
	uint64_t work; /* conditions added so far */
};

struct region {
	struct region_space *space;
	bool resource; /* else paths */
	const struct limits *limits[REGION_LIMITS];
	unsigned scoped, unscoped; /* tables that must have the resource, and that must not */
	bool unknown; /* whether it is empty could not be told: MEMBER does not count */
	struct access_request member;
};

/* All requests of one kind. */
void region_init(struct region *r, struct region_space *space, bool resource);

/* Has R plainly nothing in W, in dimension DIM of words? Quick; false is not proof. */
bool region_apart(const struct region *r, enum region_dim dim, const struct words *w);

/* Adds L. WORDS_NONE: nothing is left of the region. On WORDS_UNKNOWN the region is marked. */
enum words_found region_add(struct region *r, const struct limit *l);

/* Parts of region_add: a new member in one dimension. */
enum words_found region_find_what(struct region *r);
enum words_found region_find_selector(struct region *r, enum region_dim dim);

/* Does the selector that Q asks with (N of them) meet L? */
bool region_selects(const struct limit *l, const struct access_requirement *q, size_t n);

/* Is GROUP/RESOURCE in the table that bit BIT stands for? */
bool region_in_table(
    const struct region_space *s, unsigned bit, struct slice group, struct slice resource);

/* The words of dimension DIM into Q, from R's arena. */
void region_query(const struct region *r, enum region_dim dim, struct words_query *q);

/* Does R lie in L, whatever else R is? */
bool limit_has(const struct region_space *s, const struct limit *l, const struct access_request *r);

#endif
