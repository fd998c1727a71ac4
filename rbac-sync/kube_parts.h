/* What the files of the API client share; others include kube.h. */
#ifndef RBAC_SYNC_KUBE_PARTS_H
#define RBAC_SYNC_KUBE_PARTS_H

#include "common/httpc.h"
#include "rbac-sync/kube.h"
#include "rbac-sync/kube_credentials.h"

struct kube {
	struct httpc *http;
	struct credentials credentials;
	int64_t timeout_ms, idle_ms;
	struct kube_gate *gate;
	const struct cancel *cancel;
	const atomic_uint *renewals; /* or NULL */
	unsigned renewed;	     /* as it stood at the last reload */
	bool dry_run;
	kube_left *left; /* of the time for writes; or NULL */
	void *left_ctx;
	char *manager; /* of the fields that are written */
};

struct kube_call {
	const char *verb; /* as RBAC calls it, for the metrics */
	const char *method, *path, *content_type;
	struct slice body;
	bool reads;	   /* 404 is KUBE_ABSENT */
	int64_t timeout_ms; /* 0: the client's */
	size_t max_bytes;   /* 0: KUBE_ANSWER_MAX */
	const struct httpc_reader *reader; /* or NULL */
};

/* Somebody asked for all to be read anew since that was done last. */
bool kube_wants_renewal(const struct kube *k);

/* One request and its answer of whatever status, through the gate; after a 401 once more with all credentials read
 * anew. RES is to be freed also after an error. */
enum err_code kube_exchange(
    struct kube *k, const struct kube_call *call, struct httpc_response *res, struct err *e) MUST_CHECK;

/* kube_exchange, and what its answer means. */
void kube_ask(struct kube *k, const struct kube_call *call, struct kube_answer *out);

/* Status, pause and verdict of an answer; the sentence of one that is no success. */
void kube_answer_read(const struct httpc_response *res, bool reads, struct kube_answer *out);

/* The same of a Status object that came inside of a stream. */
void kube_answer_status(json_t *status, bool reads, struct kube_answer *out);

/* PATH, then "?" or "&", then the query; PATH's own query may be there. */
const char *kube_query(struct arena *a, const char *path, const char *fmt, ...) PRINTF(3, 4);

#endif
