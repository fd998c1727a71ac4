/* The worker's own configuration file (kind RBACSyncConfiguration). Read once, at start. */
#ifndef RBAC_SYNC_WORKER_CONFIG_H
#define RBAC_SYNC_WORKER_CONFIG_H

#include "common/schema.h"

#define WORKER_CONFIG_PATH "/etc/portcullis/rbac-sync.yaml"

struct worker_config {
	const char *api_version, *kind;
	const char *spool_dir, *kubeconfig, *context, *templates, *metrics_file;
	int64_t request_timeout, scan_interval, retry_initial, retry_max; /* nanoseconds */
	int64_t max_attempts, max_bindings;
	struct string_list protected_namespaces;
	int log_level; /* enum log_level */
};

/* Strings live in ARENA. On failure D holds at least one finding. */
enum err_code worker_config_load(const char *path, struct arena *arena, struct worker_config *out,
    struct diags *d) MUST_CHECK;

/* For the manual and its test. */
extern const struct schema worker_config_schema;

#endif
