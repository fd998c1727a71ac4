/* Owns the reading of roles from the cluster. */
#include "common/clock.h"
#include "common/jsonx.h"
#include "rbac-sync/roles.h"

#define ROLES_PATH "/apis/rbac.authorization.k8s.io/v1"

/* The calls of one refresh. */
struct session {
	struct kube *kube;
	bool down; /* the server has trouble: what is left is not asked */
	struct err why;
};

static const char *role_path(struct arena *a, const char *namespace_, const char *name)
{
	struct buf b;
	buf_init(&b, 8192);
	buf_adds(&b, ROLES_PATH);
	if (namespace_) {
		buf_adds(&b, "/namespaces/");
		kube_escape(&b, namespace_);
	}
	buf_adds(&b, namespace_ ? "/roles/" : "/clusterroles/");
	kube_escape(&b, name);
	const char *path = arena_strdup(a, buf_cstr(&b));
	buf_done(&b);
	return path;
}

static enum kube_verdict closed(struct session *s, const struct kube_answer *answer, struct err *why)
{
	*why = answer->why;
	if (answer->verdict == KUBE_LATER) {
		s->down = true;
		s->why = answer->why;
	}
	return answer->verdict;
}

static enum kube_verdict get(void *ctx, const char *namespace_, const char *name, json_t **out, struct err *why)
{
	struct session *s = ctx;
	struct kube_answer answer;
	struct arena a;
	if (s->down) {
		*why = s->why;
		return KUBE_LATER;
	}
	json_t *expected = json_pack("{s:s,s:{s:s}}", "kind", namespace_ ? "Role" : "ClusterRole", "metadata",
	    "name", name);
	if (!expected) {
		err_set(why, ERR_INVALID, "its name is no text");
		return KUBE_REFUSED;
	}
	arena_init(&a, 0);
	kube_get(s->kube, role_path(&a, namespace_, name), expected, &answer);
	arena_done(&a);
	json_decref(expected);
	if (answer.verdict == KUBE_OK)
		*out = json_incref(answer.body);
	enum kube_verdict v = closed(s, &answer, why);
	kube_answer_done(&answer);
	return v;
}

static void add_item(void *ctx, json_t *item)
{
	json_array_append(ctx, item);
}

static enum kube_verdict list(void *ctx, const char *selector, json_t **out, struct err *why)
{
	struct session *s = ctx;
	struct kube_answer answer;
	struct arena a;
	struct buf query;
	const char *version;
	if (s->down) {
		*why = s->why;
		return KUBE_LATER;
	}
	json_t *items = json_array();
	arena_init(&a, 0);
	buf_init(&query, 65536);
	buf_adds(&query, "labelSelector=");
	kube_escape(&query, selector);
	kube_list(s->kube, ROLES_PATH "/clusterroles", *selector ? buf_cstr(&query) : NULL, false, add_item, items, &a,
	    &version, &answer);
	buf_done(&query);
	arena_done(&a);
	if (answer.verdict == KUBE_OK)
		*out = items;
	else
		json_decref(items);
	enum kube_verdict v = closed(s, &answer, why);
	kube_answer_done(&answer);
	return v;
}

bool roles_refresh(struct roles *r, struct kube *k, const struct sync_config *c)
{
	struct session s = {.kube = k};
	const struct roles_reader from = {&s, get, list};
	return roles_read(r, &from, c, clock_mono());
}

void roles_catch_up(struct roles *r, struct kube *k)
{
	struct session s = {.kube = k};
	const struct roles_reader from = {&s, get, list};
	(void)roles_read(r, &from, NULL, clock_mono());
}
