/* Owns what the `sync` commands share: loading and connecting. */
#include "cli/sync.h"

#include "rbac-sync/object_text.h"

#define SHOWN_MAX ((size_t)64 << 10)

static bool load(const char *path, const char *templates, struct cli_sync *s, struct diags *d)
{
	if (worker_config_load(path, &s->arena, &s->worker, d) != ERR_OK)
		return false;
	if (!templates)
		templates = s->worker.templates;
	return !templates || sync_config_load(templates, &s->templates, d) == ERR_OK;
}

bool cli_sync_load(const char *path, const char *templates, struct cli_sync *out)
{
	struct diags d = {0};
	*out = (struct cli_sync){0};
	arena_init(&out->arena, 0);
	bool ok = load(path ? path : WORKER_CONFIG_PATH, templates, out, &d);
	cli_print_diags(&d);
	diags_done(&d);
	return ok;
}

bool cli_sync_load_worker(const char *path, struct cli_sync *out)
{
	struct diags d = {0};
	*out = (struct cli_sync){0};
	arena_init(&out->arena, 0);
	bool ok = worker_config_load(path ? path : WORKER_CONFIG_PATH, &out->arena, &out->worker, &d) == ERR_OK;
	cli_print_diags(&d);
	diags_done(&d);
	return ok;
}

bool cli_sync_connect(
    const struct command *self, const char *kubeconfig, const char *context, struct cli_sync *s)
{
	struct err e;
	const char *path = kubeconfig ? kubeconfig : s->worker.kubeconfig;
	/* A context of the worker's file says nothing about another file. */
	if (!context && !kubeconfig)
		context = s->worker.context;
	if (kube_new(path, context, s->worker.request_timeout / CLOCK_MS, &s->kube, &e) != ERR_OK) {
		cli_error(self, "%s", e.msg);
		return false;
	}
	return true;
}

const char *cli_sync_shown(struct arena *a, struct slice s)
{
	struct buf b;
	buf_init(&b, SHOWN_MAX);
	plain_text(&b, arena_strndup(a, s.p ? s.p : "", s.len));
	const char *shown = arena_strdup(a, buf_cstr(&b));
	buf_done(&b);
	return shown;
}

void cli_sync_done(struct cli_sync *s)
{
	kube_free(&s->kube);
	sync_config_free(&s->templates);
	arena_done(&s->arena);
}
