/* Owns the dry run that asks nobody: what the events of the spool would be due. */
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "rbac-sync/due.h"
#include "rbac-sync/runtime.h"

struct printer {
	const struct worker_config *c;
	const struct sync_config *templates;
	struct rails rails;
	bool allow_privileged;
};

static void print_object(const json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	if (!text)
		abort();
	puts(text);
	free(text);
}

static void print_due(void *ctx, const char *key, const struct spool_event *ev)
{
	const struct printer *p = ctx;
	struct arena a;
	struct due due;
	const struct record r = {
	    .name = key, .identity = *ev, .created = ev->seen_at, .last_seen = ev->seen_at, .first_seen = ev->seen_at};
	const struct due_world w = {
	    .config = p->templates,
	    .rails = &p->rails,
	    .max_objects = (size_t)p->c->max_bindings,
	    .allow_privileged = p->allow_privileged,
	    .now = clock_unix(),
	};
	arena_init(&a, 0);
	due_make(&a, &r, &w, &due);
	for (size_t i = 0; i < due.len; i++)
		print_object(due.objects[i].body);
	for (size_t i = 0; i < due.nrefusals; i++) {
		const struct due_refusal *f = &due.refusals[i];
		log_warn("grant refused", LOG_SLICE("user", ev->username), LOG_SLICE("provider", ev->provider),
		    LOG_STR("template", f->template_), LOG_STR("rail", f->reason), LOG_STR("reason", f->what));
	}
	arena_done(&a);
}

enum err_code runtime_print(
    const struct worker_config *config, bool allow_privileged, struct diags *d, struct err *e)
{
	AUTO(sync_config_free) struct sync_config *templates = NULL;
	size_t invalid;
	if (sync_config_load(config->templates, &templates, d) != ERR_OK)
		return diags_to_err(d, e);
	struct printer p = {config, templates,
	    {NULL, config->protected_namespaces.items, config->protected_namespaces.len}, allow_privileged};
	TRY(spool_each(config->spool_dir, print_due, &p, &invalid, e));
	if (invalid)
		log_warn("files that are no events", LOG_INT("files", invalid));
	return ERR_OK;
}
