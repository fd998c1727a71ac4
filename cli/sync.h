/* What the `sync` commands share: the worker's configuration and templates, read as the worker reads them. */
#ifndef CLI_SYNC_H
#define CLI_SYNC_H

#include "cli/cli.h"
#include "rbac-sync/kube.h"
#include "rbac-sync/template.h"
#include "rbac-sync/worker_config.h"

/* Zeroed is empty. One thread. */
struct cli_sync {
	struct arena arena; /* lives as long as the command */
	struct worker_config worker;
	struct sync_config *templates; /* NULL when the configuration names none */
	struct kube *kube;	       /* after cli_sync_connect */
};

/* Reads the configuration at PATH (NULL: the worker's default) and the templates that it names, or those at TEMPLATES
 * when that is not NULL (to try an edited file). False after telling what is wrong; cli_sync_done is due either way. */
bool cli_sync_load(const char *path, const char *templates, struct cli_sync *out);

/* The same without any templates: for what does not hang on them. */
bool cli_sync_load_worker(const char *path, struct cli_sync *out);

/* A client of the apiserver: KUBECONFIG and CONTEXT when they are given, else the worker's own. Speaks to nobody yet.
 * False after telling what is wrong. */
bool cli_sync_connect(
    const struct command *self, const char *kubeconfig, const char *context, struct cli_sync *s);

/* S for a terminal, in A: as it stands if every character can be shown, else as JSON. What others may have named passes
 * through it. */
const char *cli_sync_shown(struct arena *a, struct slice s);

void cli_sync_done(struct cli_sync *s);

#endif
