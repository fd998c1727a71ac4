/* Owns the reporting of refused grants, and the dry run. */
#include "rbac-sync/worker_plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/spool.h"
#include "rbac-sync/worker.h"

static void count_refusal(const char *reason)
{
	struct buf labels;
	buf_init(&labels, 64);
	metrics_label(&labels, "reason", slice_of(reason));
	metric_inc(metrics_counter("portcullis_sync_refused_total",
	    "Bindings that a template asked for and a rail refused, by reason.", buf_cstr(&labels)));
	buf_done(&labels);
}

void worker_report(const struct plan *plan, const struct spool_event *ev)
{
	for (size_t i = 0; i < plan->nrefusals; i++) {
		const struct plan_refusal *r = &plan->refusals[i];
		count_refusal(r->reason);
		log_warn("grant refused", LOG_SLICE("user", ev->username),
		    LOG_SLICE("provider", ev->provider), LOG_STR("template", r->template_),
		    LOG_STR("rail", r->reason), LOG_STR("reason", r->what));
	}
}

struct plan_limits worker_limits(const struct worker_config *c, const char *own_namespace)
{
	return (struct plan_limits){
	    .rails = {own_namespace, c->protected_namespaces.items, c->protected_namespaces.len},
	    .max_objects = (size_t)c->max_bindings,
	};
}

struct dry {
	const struct sync_config *templates;
	struct plan_limits limits;
};

static void print_plan(void *ctx, const char *key, const struct spool_event *ev)
{
	const struct dry *dry = ctx;
	struct arena a;
	struct plan plan;
	(void)key;
	arena_init(&a, 0);
	plan_make(&a, dry->templates, &dry->limits, ev, &plan);
	for (size_t i = 0; i < plan.len; i++) {
		char *text = json_dumps(plan.objects[i].body, JSON_COMPACT | JSON_SORT_KEYS);
		if (!text)
			abort();
		puts(text);
		free(text);
	}
	worker_report(&plan, ev);
	arena_done(&a);
}

enum err_code worker_dry_run(const struct worker_config *config, struct diags *d, struct err *e)
{
	AUTO(sync_config_free) struct sync_config *templates = NULL;
	size_t invalid;
	if (sync_config_load(config->templates, &templates, d) != ERR_OK)
		return diags_to_err(d, e);
	struct dry dry = {templates, worker_limits(config, NULL)};
	TRY(spool_each(config->spool_dir, print_plan, &dry, &invalid, e));
	if (invalid)
		log_warn("files that are no events", LOG_INT("files", invalid));
	return ERR_OK;
}
