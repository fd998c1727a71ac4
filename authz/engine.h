/* What the evaluator shares with explain: one request resolved to numbers, one rule tried on it. */
#ifndef AUTHZ_ENGINE_H
#define AUTHZ_ENGINE_H

#include "authz/authz.h"
#include "policy/index.h"

/* Groups whose numbers are kept from the first look-up; those past it are looked up again. */
#define ENGINE_GROUPS 128
/* Sets that have a bit of their own in the evaluation: the first ones. A set past this many is tried
 * directly. */
#define ENGINE_SETS 4096
/* Keys found for a subject that are kept; when there are more, the subject is gone through again. */
#define ENGINE_KEYS 2048
/* Places that a request is looked up under: more than these, and whole lists are gone through. */
#define ENGINE_PLACES 32
#define ENGINE_ANCHORS 12
/* A subresource that is put together of two parts: what is longer is taken for a word that no rule has. */
#define ENGINE_SUB_MAX 512

/* Requirements of one selector, and values of both, that are looked at: more than a request has that a
 * person or a controller writes. They bound what a rule with a selector can cost, as who asks chooses them. */
#define ENGINE_REQUIREMENTS 32
#define ENGINE_VALUES 1024

/* A requirement of the request in numbers: the VALUES that rules know, sorted; OTHERS: there are more. */
struct asked {
	uint32_t key, n;
	enum requirement_op op;
	bool others;
	const uint32_t *values;
};

struct asked_list {
	struct asked v[ENGINE_REQUIREMENTS];
	uint32_t n;
};

struct engine_selectors {
	struct asked_list fields, labels;
	uint32_t values[ENGINE_VALUES], nvalues;
};

/* A request's `pods/exec` as a resource, read as the resource pods and its subresource exec. */
struct engine_divided {
	bool is; /* else the rest is what the request says */
	bool star; /* the resource before the slash is `*` */
	uint32_t resource, sub;
};

struct engine {
	const struct policy *p;
	const struct access_request *r;
	uint32_t user;
	uint32_t groups[ENGINE_GROUPS];
	uint32_t verb, api_group, resource, sub, name, namespace_;
	struct engine_divided divided;
	bool service_account;
	uint64_t marks[ENGINE_SETS / 64]; /* which of the first sets name the subject */
	uint32_t keys[ENGINE_KEYS], nkeys; /* those of the subject with rules; may exceed the array */
	uint32_t places[ENGINE_PLACES], nplaces; /* those that the request is in; the same */
	uint64_t place_bits;
	uint32_t recent; /* the pattern found last: neighbouring groups often share one */
	uint32_t anchors[ENGINE_ANCHORS], nanchors;
	struct list_masks bits; /* of the request */
	struct engine_selectors selectors;
};

/* Where a rule stopped matching, in the order of trial; DIM_NONE: it matches. */
enum dimension {
	DIM_NONE = 0,
	DIM_SUBJECTS,
	DIM_EXCEPT,
	DIM_KIND, /* a rule about paths asked about a resource, or the other way round */
	DIM_VERB,
	DIM_API_GROUP,
	DIM_RESOURCE,
	DIM_NAME,
	DIM_PATH,
	DIM_FIELD_SELECTOR,
	DIM_LABEL_SELECTOR,
	DIM_NAMESPACE,
	DIM_VALID /* not now */
};

/* Resolves R; borrows both. Look-ups only, no allocation. */
void engine_init(struct engine *e, const struct policy *p, const struct access_request *r);

/* The number of S among the policy's words, INTERN_NONE when it has no such word. */
static inline uint32_t engine_word(const struct policy *p, struct slice s)
{
	return s.len == 0 ? p->empty : intern_find(&p->words, s);
}

/* Part of engine_init. */
void engine_selectors_init(struct engine *e);

/* Is what ASKED selects surely within S; or, when WIDE, possibly touched by it? */
bool engine_selects(const struct asked_list *asked, const struct selector *s, bool wide);

bool engine_subjects(const struct engine *e, const struct subjects *s);

/* Do RULE's subjects, and where it has them its `also`, name who asks? */
bool engine_names(const struct engine *e, const struct rule *rule);

/* One grant of RULE, without its place and time. */
enum dimension engine_grant(
    const struct engine *e, const struct rule *rule, const struct action *a);

/* What RULE is about, without its subjects and exceptions. */
enum dimension engine_action(const struct engine *e, const struct rule *rule);

#endif
