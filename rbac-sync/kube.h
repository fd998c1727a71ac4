/* The calls of the Kubernetes API that the worker makes. */
#ifndef RBAC_SYNC_KUBE_H
#define RBAC_SYNC_KUBE_H

#include <jansson.h>

#include "common/cancel.h"
#include "common/err.h"
#include "rbac-sync/kubeconfig.h"

#define KUBE_FIELD_MANAGER "portcullis-sync"
#define KUBE_INTAKE_MANAGER "portcullis-intake" /* of identities in UserRecords */
/* Whoever may write an object may make it as large as etcd takes it, 1.5 MiB, of bytes that JSON writes in six. */
#define KUBE_ANSWER_MAX ((size_t)12 << 20)
#define KUBE_RETRY_AFTER_MAX 300 /* seconds; a server that says more is asked again then */

/* What an answer means for the work in hand. Zero is no success. */
enum kube_verdict {
	KUBE_REFUSED = 0, /* 400, 403, 404 on a write, 405, 415, 422 …: the same again gives the same */
	KUBE_LATER,	  /* no answer, 408, 429, 5xx, 401 after a re-read: the server's trouble */
	KUBE_CONFLICT,	  /* 409: somebody else wrote; at once again */
	KUBE_ABSENT,	  /* 404 on a GET or DELETE, in the apiserver's own words: anything between us may say 404 */
	KUBE_GONE,	  /* 410: the version asked for is too old */
	KUBE_OK		  /* 2xx and the object in BODY */
};

struct kube_answer {
	enum kube_verdict verdict;
	long status;	    /* 0: no HTTP answer */
	int64_t wait;	    /* seconds that the server asks to wait; -1: it does not say */
	json_t *body;	    /* on KUBE_OK: an object; owned by the answer */
	struct err why;	    /* otherwise: a sentence, without credentials */
	bool own_words;	    /* otherwise: a Status came, which something between us and the apiserver has not */
	char reason[64];    /* otherwise: the Status' reason ("AlreadyExists", "Expired"); or "" */
	char cause[64];	    /* and the reason of its first cause ("NamespaceTerminating"); or "" */
};

void kube_answer_done(struct kube_answer *a);

/* Pure; RETRY_AFTER as httpc gives it. */
enum kube_verdict kube_classify(long status, bool write);

struct kube; /* one thread */

/* The rate and the pauses that all clients of the process keep together; thread-safe. A token bucket of QPS and BURST;
 * a 429 or a 5xx with Retry-After stops everybody until then. */
struct kube_gate;
struct kube_gate *kube_gate_new(double qps, unsigned burst);
void kube_gate_free(struct kube_gate **g);
/* clock_mono until which the server wants peace; 0: none. */
int64_t kube_gate_pause(const struct kube_gate *g);

struct kube_options {
	const char *path;	   /* kubeconfig; NULL: in-cluster */
	const char *context;	   /* or NULL */
	const char *cluster_dir;   /* of the service account's files; NULL: SERVICE_ACCOUNT_DIR */
	int64_t timeout_ms;	   /* bounds each exchange but watches */
	int64_t idle_ms;	   /* a watch on which nothing comes for so long is taken for dead; 0: KUBE_IDLE_MS */
	struct kube_gate *gate;	   /* or NULL: no limit (Lease, events) */
	const struct cancel *cancel; /* ends any wait or exchange at once; or NULL */
	const atomic_uint *renewals; /* counts; when it moved, kube_reload comes before the next request, and watches end
				      * in order; or NULL */
	bool dry_run;		   /* writes carry dryRun=All */
	const char *manager;	   /* field manager of the writes, a plain word; NULL: KUBE_FIELD_MANAGER */
};
/* The apiserver sends a bookmark about each minute, but where nothing of a kind ever happened: so a silent stream may be
 * dead, and may be well. */
#define KUBE_IDLE_MS 150000
enum err_code kube_open(const struct kube_options *o, struct kube **out, struct err *e) MUST_CHECK;

/* From now on this wish instead; it must outlive K. */
void kube_cancel_by(struct kube *k, const struct cancel *cancel);

/* From now on LEFT is asked before each write of K leaves, behind the gate: how many ns it may take at most. 0: it does
 * not leave, KUBE_LATER. For those who may write only for a time. CTX must outlive K. */
typedef int64_t kube_left(void *ctx);
void kube_write_within(struct kube *k, kube_left *left, void *ctx);

/* PATH NULL: in-cluster. TIMEOUT_MS bounds each exchange. Reads the configuration, speaks to nobody. */
enum err_code kube_new(const char *path, const char *context, int64_t timeout_ms, struct kube **out,
    struct err *e) MUST_CHECK;
void kube_free(struct kube **k);

/* Reads anew whatever may have been rotated: kubeconfig, CA, token, a plugin's answer. Also done by itself after a 401. On
 * an error in any of it the last good ones stay. */
enum err_code kube_reload(struct kube *k, struct err *e) MUST_CHECK;

/* The namespace of the context or of the pod; NULL when there is none. */
const char *kube_namespace(const struct kube *k);

/* S as one segment of a path, or one value of a query. */
void kube_escape(struct buf *b, const char *s);

/* GET PATH ("/apis/…"), where an object of OBJECT's kind and name is expected: anything else that comes
 * with 200 (a proxy's page) is KUBE_LATER. */
void kube_get(struct kube *k, const char *path, const json_t *object, struct kube_answer *out);

/* Server-side apply of OBJECT at PATH as the options' field manager, forced: fields that others hold
 * become ours. With VERSION (a resourceVersion; may be NULL) only over that state of the object, else
 * KUBE_CONFLICT. KUBE_OK only when the answer is the object of that kind and name. */
void kube_apply(struct kube *k, const char *path, const json_t *object, const char *version,
    struct kube_answer *out);

/* POST OBJECT to COLLECTION; PUT OBJECT (with its resourceVersion) at PATH. KUBE_OK only when the answer is an object of
 * that kind, and of that name where OBJECT has one (a review has none). A POST of what is there: KUBE_CONFLICT. */
void kube_create(struct kube *k, const char *collection, const json_t *object, struct kube_answer *out);
void kube_put(struct kube *k, const char *path, const json_t *object, struct kube_answer *out);

/* JSON merge patch (RFC 7386) at PATH; a resourceVersion in PATCH is a precondition (else KUBE_CONFLICT). */
void kube_merge(struct kube *k, const char *path, const json_t *patch, struct kube_answer *out);

/* Deletes just that object in that state (preconditions uid and resourceVersion; VERSION NULL: in any state), in
 * the background. The answer is that object when a finalizer holds it, else a Status; anything else is KUBE_LATER. KUBE_ABSENT when it is gone already (404);
 * KUBE_CONFLICT when it is another or was changed. */
void kube_delete(struct kube *k, const char *path, const char *uid, const char *version, struct kube_answer *out);

/* Pages of 500 through COLLECTION (with a query such as "labelSelector=…", escaped; or NULL) to EACH; on KUBE_OK
 * OUT->body is absent and VERSION (in A) is the list's resourceVersion. Each item has its kind and apiVersion. CACHED:
 * resourceVersion=0 is asked for; the apiserver may then give all at once, and where that is more than KUBE_LIST_MAX
 * its pages are asked for without. A page that is too long is asked for in smaller ones; one of a single object may have
 * KUBE_EVENT_MAX. An expired continue token (410) gives KUBE_GONE: the caller begins anew. An answer in memory takes ten times its text, and several kinds are
 * listed at once: KUBE_LIST_MAX is what a pod's memory limit holds. */
#define KUBE_LIST_MAX ((size_t)8 << 20)
typedef void kube_each(void *ctx, json_t *item);
void kube_list(struct kube *k, const char *collection, const char *query, bool cached, kube_each *each, void *ctx,
    struct arena *a, const char **version, struct kube_answer *out);

/* One watch from VERSION until the server closes it, SECONDS at most: EACH gets type ("ADDED", "MODIFIED", "DELETED",
 * "BOOKMARK") and object; before all of them NULL and NULL, when the server has taken the watch. KUBE_OK: closed in
 * order, or by us for rotated credentials. KUBE_GONE: 410 as status or ERROR event. An event over KUBE_EVENT_MAX or no
 * JSON, or silence: KUBE_LATER. What an object of etcd's limit of 1.5 MiB takes in JSON is below KUBE_EVENT_MAX. */
#define KUBE_EVENT_MAX ((size_t)16 << 20)
typedef void kube_event(void *ctx, const char *type, json_t *object);
void kube_watch(struct kube *k, const char *collection, const char *query, const char *version, int seconds,
    kube_event *each, void *ctx, struct kube_answer *out);

#endif
