/* The worker's own configuration file (kind RBACSyncConfiguration). Read once, at start. */
#ifndef RBAC_SYNC_WORKER_CONFIG_H
#define RBAC_SYNC_WORKER_CONFIG_H

#include "common/schema.h"
#include "rbac-sync/directory.h"
#include "rbac-sync/gc.h"
#include "rbac-sync/lease.h"
#include "rbac-sync/lifecycle.h"
#include "rbac-sync/ops.h"

#define WORKER_CONFIG_PATH "/etc/portcullis/rbac-sync.yaml"

/* Which half of the work is done here. */
enum worker_mode { MODE_ALL, MODE_INTAKE, MODE_RECONCILE };

/* Of all clients of the process together; Lease and events have no part in it. */
struct worker_requests {
	int64_t qps, burst;
};

/* When users go, and how much may go at once. */
struct worker_gc {
	struct lifecycle_config life;
	struct gc_config limits;
};

struct worker_config {
	const char *api_version, *kind;
	const char *spool_dir, *kubeconfig, *context, *metrics_file;
	const char *templates; /* NULL in mode intake alone */
	int64_t request_timeout, scan_interval, retry_initial, retry_max; /* nanoseconds */
	int64_t max_attempts, max_bindings;
	struct string_list protected_namespaces;
	int log_level; /* enum log_level */
	int mode;      /* enum worker_mode */
	int64_t workers;
	struct worker_requests requests;
	struct worker_gc gc;
	struct lease_config lease;
	struct ops_config ops;
	struct object_list directories; /* struct directory_config */
};

/* Strings live in ARENA. On failure D holds at least one finding. */
enum err_code worker_config_load(const char *path, struct arena *arena, struct worker_config *out,
    struct diags *d) MUST_CHECK;

/* For the manual and its test. */
extern const struct schema worker_config_schema;

#endif
