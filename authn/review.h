/* TokenReview in and out, authentication.k8s.io/v1 and v1beta1. */
#ifndef AUTHN_REVIEW_H
#define AUTHN_REVIEW_H

#include "authn/authn.h"

#define AUDIENCES_MAX 64

struct token_review {
	const char *api_version; /* constant: echoed in the reply */
	struct slice token;
	const struct slice *audiences;
	size_t naudiences;
};

/* As sar_parse: strict, borrows from BODY and ARENA, ignores unknown fields and `status`. A review
 * without token or with an empty one is well-formed (and refused later). */
enum err_code token_review_parse(
    struct slice body, struct arena *a, struct token_review *out, struct err *e) MUST_CHECK;

/* One line of JSON. CALL is read only when AUTHENTICATED; a refusal carries no error text. */
void token_review_write(const struct token_review *r, bool authenticated,
    const struct authn_call *call, struct buf *out);

#endif
