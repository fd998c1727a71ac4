/* Owns which counters are there before anything was counted. */
#include "rbac-sync/counters.h"

#include <stdio.h>

#include "common/metrics.h"
#include "rbac-sync/object.h"
#include "rbac-sync/rails.h"

#define LABELS_MAX 64

static void begin(const char *name, const char *help, const char *label, const char *const *values)
{
	char labels[LABELS_MAX];
	for (size_t i = 0; values[i]; i++) {
		snprintf(labels, sizeof(labels), "%s=\"%s\"", label, values[i]);
		metrics_counter(name, help, labels);
	}
}

static void begin_intake(void)
{
	static const char *const results[] = {"done", "same", "stale", "held", "refused", "later", "dead", "invalid", NULL};
	static const char *const limits[] = {"maxNewUsersPerMinute", "maxUsers", NULL};
	begin("portcullis_sync_events_processed_total", "Attempts at events of the spool, by result.", "result", results);
	begin("portcullis_sync_spool_rejected_total",
	    "New users who wait in the spool because there are too many, by the limit.", "reason", limits);
}

static void begin_reconciler(void)
{
	static const char *const reloads[] = {"ok", "rejected", NULL};
	static const char *const rails[] = {RAIL_RESERVED_SUBJECT, RAIL_FOREIGN_SUBJECT, RAIL_RESERVED_NAMESPACE,
	    RAIL_INVALID_NAME, RAIL_EMPTY_NAME, RAIL_AMBIGUOUS_NAME, RAIL_TOO_MANY, RAIL_DUPLICATE_OBJECT,
	    RAIL_DANGEROUS_ROLE, NULL};
	const char *kinds[KIND_COUNT + 1] = {NULL};
	for (size_t k = 0; k < KIND_COUNT; k++)
		kinds[k] = object_types[k].kind;
	begin("portcullis_sync_config_reload_total", "Changes of the template file, by whether they were taken.", "result",
	    reloads);
	begin("portcullis_sync_refused_total", "Grants that a template asked for and a rail refused, by reason.", "reason",
	    rails);
	begin("portcullis_sync_drift_repaired_total", "Objects that others changed and that were put right.", "kind", kinds);
	begin("portcullis_sync_gc_deleted_total", "Objects removed from the cluster.", "kind", kinds);
	metrics_counter("portcullis_sync_drift_fights_total",
	    "Objects that somebody changed again and again, so that repairs pause.", "");
	metrics_counter("portcullis_sync_groups_lost_total",
	    "Groups of records that a directory denied, each time anew.", "");
	metrics_counter("portcullis_sync_expired_total", "Grants that were removed because their end had come.", "");
}

void counters_begin(bool intake, bool reconciles, const char *version)
{
	char labels[LABELS_MAX];
	snprintf(labels, sizeof(labels), "version=\"%s\"", version);
	metric_set(metrics_gauge("portcullis_build_info", "Always 1; the version is in the label.", labels), 1);
	if (intake)
		begin_intake();
	if (reconciles)
		begin_reconciler();
}
