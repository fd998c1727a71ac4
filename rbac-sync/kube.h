/* The few calls of the Kubernetes API that the worker makes: GET and server-side apply. */
#ifndef RBAC_SYNC_KUBE_H
#define RBAC_SYNC_KUBE_H

#include <jansson.h>

#include "common/err.h"
#include "rbac-sync/kubeconfig.h"

#define KUBE_FIELD_MANAGER "portcullis-sync"
#define KUBE_ANSWER_MAX ((size_t)4 << 20)
#define KUBE_RETRY_AFTER_MAX 300 /* seconds; a server that says more is asked again then */

/* What an answer means for the work in hand. Zero is no success. */
enum kube_verdict {
	KUBE_REFUSED = 0, /* 400, 403, 404 on a write, 405, 415, 422 …: the same again gives the same */
	KUBE_LATER,	  /* no answer, 408, 429, 5xx, 401 after a re-read: the server's trouble */
	KUBE_CONFLICT,	  /* 409: somebody else wrote; at once again */
	KUBE_ABSENT,	  /* 404 on a GET */
	KUBE_OK		  /* 2xx and the object in BODY */
};

struct kube_answer {
	enum kube_verdict verdict;
	long status;	    /* 0: no HTTP answer */
	int64_t wait;	    /* seconds that the server asks to wait; -1: it does not say */
	json_t *body;	    /* on KUBE_OK: an object; owned by the answer */
	struct err why;	    /* otherwise: a sentence, without credentials */
};

void kube_answer_done(struct kube_answer *a);

/* Pure; RETRY_AFTER as httpc gives it. */
enum kube_verdict kube_classify(long status, bool write);

struct kube; /* one thread */

/* PATH NULL: in-cluster. TIMEOUT_MS bounds each exchange. Reads the configuration, speaks to nobody. */
enum err_code kube_new(const char *path, const char *context, int64_t timeout_ms, struct kube **out,
    struct err *e) MUST_CHECK;
void kube_free(struct kube **k);

/* Reads anew whatever may have been rotated: kubeconfig, CA, token. Also done by itself after a 401. On
 * an error in the kubeconfig the last good one stays. */
enum err_code kube_reload(struct kube *k, struct err *e) MUST_CHECK;

/* The namespace of the context or of the pod; NULL when there is none. */
const char *kube_namespace(const struct kube *k);

/* Path of a RoleBinding, or of a ClusterRoleBinding when NAMESPACE is NULL, in ARENA; names escaped. */
const char *kube_binding_path(struct arena *a, const char *namespace_, const char *name);

/* GET PATH ("/apis/…"), where an object of OBJECT's kind and name is expected: anything else that comes
 * with 200 (a proxy's page) is KUBE_LATER. */
void kube_get(struct kube *k, const char *path, const json_t *object, struct kube_answer *out);

/* Server-side apply of OBJECT at PATH as field manager portcullis-sync, forced: fields that others hold
 * become ours. With VERSION (a resourceVersion; may be NULL) only over that state of the object, else
 * KUBE_CONFLICT. KUBE_OK only when the answer is the object of that kind and name. */
void kube_apply(struct kube *k, const char *path, const json_t *object, const char *version,
    struct kube_answer *out);

#endif
