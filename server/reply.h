/* The few shapes that replies have, other than the reviews' own. */
#ifndef SERVER_REPLY_H
#define SERVER_REPLY_H

#include "server/transport.h"

/* {"error":"TEXT"} with STATUS: what was wrong with the request itself. TEXT holds no secret. */
void reply_error(struct exchange *ex, unsigned status, const char *text);

/* 503 with a v1 Status whose message the apiserver logs, and no Retry-After: it asks exactly once. */
void reply_unavailable(struct exchange *ex, const char *text);

#endif
