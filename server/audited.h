/* Plain values for the audit log and the spool, taken from what authn and authz say. */
#ifndef SERVER_AUDITED_H
#define SERVER_AUDITED_H

#include "audit/audit.h"
#include "authn/authn.h"
#include "authz/authz.h"
#include "common/spool.h"
#include "server/transport.h"

struct audit_client audited_client(const struct exchange *ex);

/* Arrays live in ARENA, strings borrow from ID. */
struct audit_user audited_identity(struct arena *a, const struct identity *id);
struct audit_user audited_subject(struct arena *a, const struct access_request *r);
const struct audit_requirement *audited_requirements(
    struct arena *a, const struct access_requirement *r, size_t n);
const struct audit_break_glass *audited_break_glass(
    struct arena *a, const struct break_glass *g); /* NULL stays NULL */
/* ISSUED: when the credential was, unix seconds; 0: not known. */
struct spool_event spooled_identity(struct arena *a, const struct identity *id, int64_t issued, int64_t now);

/* Microseconds since the request's head arrived. */
uint64_t audited_latency(const struct exchange *ex);

#endif
