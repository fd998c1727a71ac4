/* Owns the worker's configuration: its schema and its loading. */
#include "rbac-sync/worker_config.h"

#include "common/clock.h"
#include "common/file.h"
#include "rbac-sync/template.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)
#define LATER "it comes with records and reconciling"

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};

#define AT(member) offsetof(struct worker_config, member)

static const struct field fields[] = {
    {"apiVersion", FIELD_STRING, AT(api_version), .required = true, .doc = "`" SYNC_API_VERSION "`."},
    {"kind", FIELD_STRING, AT(kind), .required = true, .doc = "`RBACSyncConfiguration`."},
    {"spoolDir", FIELD_PATH, AT(spool_dir), .def = "/var/lib/portcullis/spool",
	.doc = "The directory that portcullisd writes to (`newUsers.spoolDir` there)."},
    {"kubeconfig", FIELD_PATH, AT(kubeconfig),
	.doc = "How to reach the apiserver; absent: as a pod, by its service account."},
    {"context", FIELD_STRING, AT(context), .nonempty = true,
	.doc = "Context of the kubeconfig; absent: its current-context."},
    {"templates", FIELD_PATH, AT(templates), .required = true,
	.doc = "The file of kind SyncConfig; read again when it changes and on SIGHUP."},
    {"metricsFile", FIELD_PATH, AT(metrics_file),
	.doc = "Metrics in Prometheus' text format, replaced atomically: for node_exporter's textfile "
	       "collector. Its folder must be writable."},
    {"requestTimeout", FIELD_DURATION, AT(request_timeout), .def = "10s", .min = CLOCK_SECOND / 10,
	.max = 60 * CLOCK_SECOND, .doc = "Bounds each request to the apiserver."},
    {"scanInterval", FIELD_DURATION, AT(scan_interval), .def = "5s", .min = CLOCK_SECOND / 10,
	.max = 60 * CLOCK_SECOND, .doc = "How often spool and templates are looked at without a wake-up."},
    {"retryInitial", FIELD_DURATION, AT(retry_initial), .def = "5s", .min = CLOCK_SECOND / 100,
	.max = 60 * CLOCK_SECOND, .doc = "Pause after the first failure of an event; doubles each time."},
    {"retryMax", FIELD_DURATION, AT(retry_max), .def = "1000s", .min = CLOCK_SECOND / 100,
	.max = 3600 * CLOCK_SECOND, .doc = "The longest pause."},
    {"maxAttempts", FIELD_INT, AT(max_attempts), .def = "10", .min = 1, .max = 100,
	.doc = "Refused attempts after which an event goes to `dead/`. Silence of the apiserver does not "
	       "count."},
    {"maxBindingsPerUser", FIELD_INT, AT(max_bindings), .def = "50", .min = 1, .max = 500,
	.doc = "What templates give one identity beyond this is refused."},
    {"protectedNamespaces", FIELD_STRINGS, AT(protected_namespaces),
	.doc = "Globs of namespaces where nothing is bound, beyond the built-in ones."},
    {"logLevel", FIELD_ENUM, AT(log_level), .choices = log_levels, .def = "info",
	.doc = "Lines below are not written."},
    {"mode", FIELD_NODE, AT(kind), .unsupported = LATER, .doc = "Intake, reconcile or both."},
    {"leaderElection", FIELD_NODE, AT(kind), .unsupported = LATER, .doc = "One active worker of many."},
    {"gc", FIELD_NODE, AT(kind), .unsupported = LATER, .doc = "Removing what is no longer due."},
    {"ops", FIELD_NODE, AT(kind), .unsupported = "metrics are written to metricsFile",
	.doc = "A listener for health and metrics."},
    {0},
};

static void check(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct worker_config *c = obj;
	if (strcmp(c->api_version, SYNC_API_VERSION) != 0)
		diags_error(d, file, node->line, node->col, "apiVersion must be " SYNC_API_VERSION);
	if (strcmp(c->kind, "RBACSyncConfiguration") != 0)
		diags_error(d, file, node->line, node->col, "kind must be RBACSyncConfiguration");
	if (c->retry_max < c->retry_initial)
		diags_error(d, file, node->line, node->col, "retryMax is below retryInitial");
}

const struct schema worker_config_schema = {"RBACSyncConfiguration", sizeof(struct worker_config), fields,
    SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, check};

enum err_code worker_config_load(
    const char *path, struct arena *arena, struct worker_config *out, struct diags *d)
{
	struct slice text;
	struct yaml_node *root;
	struct err e;
	if (file_read(arena, path, CONFIG_BYTES_MAX, &text, &e) != ERR_OK)
		return diags_error(d, path, 0, 0, "%s", e.msg);
	TRY(yamlx_parse(arena, path, text, &root, d));
	return schema_bind(arena, &worker_config_schema, path, root, out, d);
}
