/* Owns the worker's configuration: its schema and its loading. */
#include "rbac-sync/worker_config.h"

#include "common/clock.h"
#include "common/file.h"
#include "rbac-sync/template.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)
#define GC_SETTLE CLOCK_SECOND /* removals of one cause arrive within this */

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const modes[] = {"all", "intake", "reconcile", NULL};

#define REQUESTS_AT(member) offsetof(struct worker_requests, member)

static const struct field requests_fields[] = {
    {"qps", FIELD_INT, REQUESTS_AT(qps), .def = "50", .min = 1, .max = 10000,
	.doc = "Requests a second to the apiserver, of all threads together; Lease and events come on top."},
    {"burst", FIELD_INT, REQUESTS_AT(burst), .def = "100", .min = 1, .max = 100000,
	.doc = "As many may come at once after a quiet time."},
    {0},
};

static const struct schema requests_schema = {"requests", sizeof(struct worker_requests), requests_fields,
    SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, NULL};

#define GC_AT(member) offsetof(struct worker_gc, member)

static const struct field gc_fields[] = {
    {"staleAfter", FIELD_DURATION, GC_AT(life.stale_after), .def = "720h",
	.doc = "A user who was not seen for so long is marked Stale; nothing is removed. `0`: never."},
    {"disableAfter", FIELD_DURATION, GC_AT(life.disable_after), .def = "0",
	.doc = "Not seen for so long, a user loses the bindings and keeps record and namespaces. `0`: never."},
    {"deleteAfter", FIELD_DURATION, GC_AT(life.delete_after), .def = "0",
	.doc = "Not seen for so long, a user's objects and record are deleted. `0`: never."},
    {"disableGone", FIELD_BOOL, GC_AT(life.disable_gone), .def = "false",
	.doc = "Disables users of whom a directory says in two good polls that they are gone."},
    {"maxDeletesPerRun", FIELD_INT, GC_AT(limits.max_deletes), .def = "20", .max = 100000,
	.doc = "More removals than this in one run are blocked until an admin confirms."},
    {"maxDeletePercent", FIELD_INT, GC_AT(limits.max_percent), .def = "5", .max = 100,
	.doc = "The same, of what is managed in all; at least 5 objects may always go."},
    {"window", FIELD_DURATION, GC_AT(limits.window), .def = "10m", .min = CLOCK_SECOND,
	.doc = "What is removed within this time counts as one run."},
    {0},
};

static const struct schema gc_schema = {
    "gc", sizeof(struct worker_gc), gc_fields, SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, NULL};

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
    {"templates", FIELD_PATH, AT(templates),
	.doc = "The file of kind SyncConfig; read again when it changes and on SIGHUP. Required but in mode "
	       "`intake`."},
    {"metricsFile", FIELD_PATH, AT(metrics_file),
	.doc = "Metrics in Prometheus' text format, replaced atomically every 5 s, or every scanInterval where "
	       "that is less: for node_exporter's textfile collector. Its folder must be writable."},
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
    {"mode", FIELD_ENUM, AT(mode), .choices = modes, .def = "all",
	.doc = "`intake` makes records of the spool's events, `reconcile` gives records what is due, `all` does "
	       "both."},
    {"workers", FIELD_INT, AT(workers), .def = "4", .min = 1, .max = 64,
	.doc = "Records that are worked on at the same time."},
    {"requests", FIELD_OBJECT, AT(requests), .sub = &requests_schema,
	.doc = "How fast the apiserver may be asked."},
    {"gc", FIELD_OBJECT, AT(gc), .sub = &gc_schema, .doc = "Removing what is no longer due."},
    {"directories", FIELD_OBJECTS, AT(directories), .sub = &directory_config_schema, .max_items = 32,
	.doc = "Directories that are asked whether users are still there."},
    {"leaderElection", FIELD_OBJECT, AT(lease), .sub = &lease_config_schema,
	.doc = "One active worker of many; without effect in mode `intake`."},
    {"ops", FIELD_OBJECT, AT(ops), .sub = &ops_config_schema, .doc = "A listener for health and metrics; absent: none."},
    {0},
};

static void check(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	struct worker_config *c = obj;
	c->gc.limits.settle = GC_SETTLE;
	if (strcmp(c->api_version, SYNC_API_VERSION) != 0)
		diags_error(d, file, node->line, node->col, "apiVersion must be " SYNC_API_VERSION);
	if (strcmp(c->kind, "RBACSyncConfiguration") != 0)
		diags_error(d, file, node->line, node->col, "kind must be RBACSyncConfiguration");
	if (!c->templates && c->mode != MODE_INTAKE)
		diags_error(d, file, node->line, node->col, "templates is missing: only mode intake needs none");
	const struct lifecycle_config *life = &c->gc.life;
	if (life->disable_after && life->disable_after <= life->stale_after)
		diags_error(d, file, node->line, node->col, "gc: disableAfter must be longer than staleAfter");
	if (life->delete_after && life->delete_after <= life->disable_after)
		diags_error(d, file, node->line, node->col, "gc: deleteAfter must be longer than disableAfter");
	if (life->delete_after && !life->disable_after && !life->disable_gone)
		diags_error(d, file, node->line, node->col,
		    "gc: deleteAfter needs disableAfter or disableGone: who is deleted was disabled first");
	directory_configs_check(&c->directories, d);
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
		return diags_error(d, "", 0, 0, "%s", e.msg); /* names the file */
	TRY(yamlx_parse(arena, path, text, &root, d));
	return schema_bind(arena, &worker_config_schema, path, root, out, d);
}
