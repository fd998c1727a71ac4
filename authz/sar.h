/* SubjectAccessReview in and out, authorization.k8s.io/v1 and v1beta1 (which says `group` for
 * `groups`). */
#ifndef AUTHZ_SAR_H
#define AUTHZ_SAR_H

#include "authz/authz.h"
#include "common/err.h"

/* More than one of our own identities can have, the apiserver's groups included. */
#define SAR_GROUPS_MAX 16384
/* Of one selector; who asks chooses them, so those past it are ignored and not refused: the request then
 * counts as one that reaches further. */
#define SAR_REQUIREMENTS_MAX 10000
/* Of one requirement or extra key: no review of 1 MiB, the most that is read, can hold more. */
#define SAR_VALUES_MAX ((size_t)350000)

struct sar {
	const char *api_version; /* constant: echoed in the reply */
	struct access_request request;
	struct slice spec; /* its text in the body; empty when the review had none */
	/* Not NULL: the review is well-formed but asks nothing that can be answered (both or
	 * neither of the attribute blocks): reply not allowed with this evaluationError, status
	 * 200. */
	const char *unanswerable;
};

/* Reads BODY strictly (common/jsonscan.h); slices borrow from BODY and ARENA. ERR_INVALID with a
 * one-line reason for malformed JSON, wrong kind, unknown apiVersion, wrong types. Unknown fields
 * and `status` are ignored. */
enum err_code sar_parse(
    struct slice body, struct arena *a, struct sar *out, struct err *e) MUST_CHECK;

/* One line of JSON without a newline: apiVersion, kind, status. Never allowed and denied together.
 * EVALUATION_ERROR may be NULL. */
void sar_write(const struct sar *s, enum verdict v, struct slice reason,
    const char *evaluation_error, struct buf *out);

/* As sar_write but with the request's spec, compacted, before status: for `policy eval`. */
void sar_write_full(const struct sar *s, enum verdict v, struct slice reason,
    const char *evaluation_error, struct buf *out);

#endif
