/* Owns the question to the apiserver whether the worker may do what it needs. */
#include <stdlib.h>

#include "common/jsonx.h"
#include "rbac-sync/needs.h"

#define REVIEWS "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

static void set(json_t *o, const char *key, const char *text)
{
	if (text && json_object_set_new(o, key, json_string(text)) != 0)
		abort();
}

static json_t *review_of(const struct need *need)
{
	json_t *attributes = json_object();
	set(attributes, "verb", need->verb);
	set(attributes, "group", need->group);
	set(attributes, "resource", need->resource);
	set(attributes, "subresource", need->subresource);
	set(attributes, "name", need->name);
	set(attributes, "namespace", need->namespace_);
	json_t *review = json_pack("{s:s, s:s, s:{s:o}}", "apiVersion", "authorization.k8s.io/v1", "kind",
	    "SelfSubjectAccessReview", "spec", "resourceAttributes", attributes);
	if (!review)
		abort();
	return review;
}

static enum err_code ask(struct kube *k, const struct need *need, bool *allowed, struct err *e)
{
	struct kube_answer answer;
	json_t *review = review_of(need);
	kube_create(k, REVIEWS, review, &answer);
	json_decref(review);
	const json_t *said = json_object_get(json_object_get(answer.body, "status"), "allowed");
	*allowed = answer.verdict == KUBE_OK && json_is_true(said);
	enum err_code rc = ERR_OK;
	if (answer.verdict != KUBE_OK)
		rc = err_set(e, ERR_UNAVAILABLE, "%s", answer.why.msg);
	else if (!json_is_boolean(said))
		rc = err_set(e, ERR_UNAVAILABLE, "the review has no answer");
	kube_answer_done(&answer);
	return rc;
}

enum err_code needs_check(struct kube *k, const struct need *needs, size_t n, struct arena *a, struct need **denied,
    size_t *ndenied, struct err *e)
{
	*denied = ARENA_ARRAY(a, struct need, n + 1);
	*ndenied = 0;
	for (size_t i = 0; i < n; i++) {
		bool allowed;
		TRY(ask(k, &needs[i], &allowed, e));
		if (!allowed)
			(*denied)[(*ndenied)++] = needs[i];
	}
	return ERR_OK;
}
