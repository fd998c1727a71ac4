/* Owns what the worker says of its own health: /readyz and the gauges. */
#include "common/metrics.h"
#include "rbac-sync/runtime_parts.h"

static void line(struct buf *lines, bool ok, const char *what, const char *why)
{
	buf_printf(lines, "[%c]%s %s%s\n", ok ? '+' : '-', what, ok ? "ok" : "failed: ", ok ? "" : why);
}

static bool check_watches(struct runtime *r, struct buf *lines)
{
	bool all = true;
	for (size_t k = 0; k < KIND_WATCHED; k++) {
		struct err why = {0};
		if (!r->watches[k])
			continue;
		bool ok = watch_healthy(r->watches[k], &why);
		line(lines, ok, object_types[k].resource, why.msg);
		all &= ok;
	}
	return all;
}

bool runtime_ready(void *ctx, struct buf *lines)
{
	struct runtime *r = ctx;
	struct err why = {0};
	bool all = check_watches(r, lines);
	if (r->intake) {
		bool ok = intake_healthy(r->intake, &why);
		line(lines, ok, "spool", why.msg);
		all &= ok;
	}
	if (!r->reconciles)
		return all;
	/* None of these takes the replica out: another one would not do better, or is not needed. */
	line(lines, true, atomic_load(&r->acting) ? "leading" : "standby", "");
	line(lines, !templates_stale(r->templates), "templates", "the file was rejected, the last good one is in force");
	line(lines, !atomic_load(&r->denied), "permissions", "rights are missing, see the log");
	return all;
}

/* Each has its reason in a file beside it. */
static size_t dead_letters(const char *spool)
{
	struct arena a;
	const char *const *names;
	size_t n, reasons;
	struct err e;
	arena_init(&a, 0);
	const char *dir = arena_printf(&a, "%s/dead", spool);
	if (file_list(&a, dir, "", 4 * SPOOL_DEAD_MAX, &names, &n, &e) != ERR_OK ||
	    file_list(&a, dir, ".reason", 4 * SPOOL_DEAD_MAX, &names, &reasons, &e) != ERR_OK)
		n = reasons = 0;
	arena_done(&a);
	return n > reasons ? n - reasons : 0;
}

static void gauge_spool(struct runtime *r)
{
	size_t files;
	int64_t oldest;
	intake_depth(r->intake, &files, &oldest);
	metric_set(metrics_gauge("portcullis_sync_dead_letters", "Events that were given up.", ""),
	    (double)dead_letters(r->c->spool_dir));
	metric_set(metrics_gauge("portcullis_sync_spool_depth", "Events that wait or are worked on.", ""),
	    (double)files);
	metric_set(metrics_gauge("portcullis_sync_spool_oldest_seconds", "Age of the oldest event of the spool.", ""),
	    (double)oldest);
}

void runtime_gauges(struct runtime *r)
{
	if (r->intake)
		gauge_spool(r);
	if (!r->reconciles)
		return;
	metric_set(metrics_gauge("portcullis_sync_queue_depth", "Records that are due to be looked at.", ""),
	    (double)queue_depth(r->queue));
	metric_set(metrics_gauge("portcullis_sync_managed_objects", "Objects in the cluster that bear our label.", ""),
	    (double)store_managed_count(r->store));
}
