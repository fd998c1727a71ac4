/* What the evaluator shares with explain: one request resolved to numbers, one rule tried on it. */
#ifndef AUTHZ_ENGINE_H
#define AUTHZ_ENGINE_H

#include "authz/authz.h"
#include "policy/index.h"

/* Groups whose numbers are kept from the first look-up; those past it are looked up again. */
#define ENGINE_GROUPS 128
/* Sets that have a bit of their own in the evaluation. Exceptions come first in numbering; a set
 * past this many is tried directly. */
#define ENGINE_SETS 4096
/* Sets found for a subject that are kept; when there are more, the subject is gone through again.
 */
#define ENGINE_FOUND 256

struct engine {
	const struct policy *p;
	const struct access_request *r;
	uint32_t user;
	uint32_t groups[ENGINE_GROUPS];
	uint32_t verb, api_group, resource, sub, name, namespace_;
	bool service_account;
	uint64_t marks[ENGINE_SETS / 64]; /* which of the first sets name the subject */
	uint32_t found[ENGINE_FOUND], nfound; /* sets that name it; NFOUND may exceed the array */
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

bool engine_subjects(const struct engine *e, const struct subjects *s);

/* What RULE is about, without its subjects and exceptions. */
enum dimension engine_action(const struct engine *e, const struct rule *rule);

#endif
