/* The worker's plain HTTP listener: /metrics, /healthz, /livez, /readyz[?verbose]. Off unless configured. */
#ifndef RBAC_SYNC_OPS_H
#define RBAC_SYNC_OPS_H

#include "common/schema.h"
#include "common/str.h"

struct ops_config {
	bool present;
	const char *address; /* IP:PORT, [IP6]:PORT; port 0 takes a free one */
};
extern const struct schema ops_config_schema;

struct ops;
/* READY appends one line a check ("[+]spool ok", "[-]records: …") and says whether all is well; called in the
 * listener's thread. *ADDRESS tells where it listens. */
enum err_code ops_start(const struct ops_config *c, bool (*ready)(void *ctx, struct buf *lines), void *ctx,
    struct ops **out, struct err *e) MUST_CHECK;
void ops_stop(struct ops **o);
const char *ops_address(const struct ops *o);

#endif
