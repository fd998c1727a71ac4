/* The handlers that the route tables name. Each fills ex->reply or defers. */
#ifndef SERVER_HANDLERS_H
#define SERVER_HANDLERS_H

#include "server/transport.h"

struct server_metrics;

/* POST /authenticate: a TokenReview of authentication.k8s.io. */
exchange_fn handle_token;

/* POST /authorize: a SubjectAccessReview of authorization.k8s.io. Never waits for anything. */
exchange_fn handle_access;

/* POST /login, /refresh, /revoke and the issuer's public documents. */
exchange_fn handle_login, handle_refresh, handle_revoke, handle_login_discovery, handle_login_jwks;

/* Probes, metrics, version. */
exchange_fn handle_livez, handle_readyz, handle_metrics, handle_version;

/* GET /policy/status: one JSON object (docs/policy-operations.md). */
exchange_fn handle_policy_status;

/* Makes the counters of what most token reviews come to. */
void handle_token_init(struct server_metrics *m);

/* Looks up the metrics of all handlers, so that each stands in the exposition from the start. */
void handlers_init(struct server_metrics *m);

#endif
