/* Owns `portcullis sync rbac`: the rights that the worker needs, as RBAC objects. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/sync.h"
#include "rbac-sync/needs.h"

#define YAML_MAX ((size_t)16 << 20)

/* By mode: the intake runs on each control-plane host, the rest as a Deployment. */
static const struct {
	const char *name, *subject;
} defaults[] = {
    [MODE_ALL] = {"portcullis-rbac-sync", "User:portcullis-rbac-sync"},
    [MODE_INTAKE] = {"portcullis-intake", "Group:portcullis-intake"},
    [MODE_RECONCILE] = {"portcullis-rbac-sync", "ServiceAccount:portcullis-system/portcullis-rbac-sync"},
};

struct options {
	const char *config, *templates, *kubeconfig, *mode, *name, *subject;
	bool check;
};

static bool set_mode(const struct command *self, const char *text, struct worker_config *w)
{
	static const char *const names[] = {[MODE_ALL] = "all", [MODE_INTAKE] = "intake", [MODE_RECONCILE] = "reconcile"};
	if (!text)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			w->mode = (int)i;
			return true;
		}
	}
	cli_usage(self, "--mode is all, intake or reconcile");
	return false;
}

static int print(const struct command *self, const struct options *o, const struct cli_sync *s,
    const struct need *needs, size_t n)
{
	struct buf b;
	struct err e;
	int mode = s->worker.mode;
	buf_init(&b, YAML_MAX);
	enum err_code rc = needs_print_yaml(needs, n, o->name ? o->name : defaults[mode].name,
	    o->subject ? o->subject : defaults[mode].subject, &b, &e);
	int code = CLI_OK;
	if (rc != ERR_OK)
		code = cli_error(self, "%s", e.msg);
	else
		fputs(buf_cstr(&b), stdout);
	buf_done(&b);
	return code;
}

static int check(const struct command *self, struct cli_sync *s, const struct need *needs, size_t n)
{
	struct need *denied;
	size_t ndenied;
	struct err e;
	if (needs_check(s->kube, needs, n, &s->arena, &denied, &ndenied, &e) != ERR_OK)
		return cli_error(self, "%s", e.msg);
	for (size_t i = 0; i < ndenied; i++)
		printf("cannot %s: %s\n", need_text(&denied[i], &s->arena), denied[i].why);
	printf("%zu of %zu rights are missing\n", ndenied, n);
	return ndenied ? CLI_NO : CLI_OK;
}

static int work(const struct command *self, const struct options *o, struct cli_sync *s)
{
	struct need *needs;
	if (!cli_sync_load(o->config, o->templates, s) || !set_mode(self, o->mode, &s->worker))
		return CLI_USAGE;
	if (s->worker.mode != MODE_INTAKE && !s->templates)
		return cli_error(self, "name the templates: the roles to bind stand there");
	if (o->check && !cli_sync_connect(self, o->kubeconfig, NULL, s))
		return CLI_USAGE;
	size_t n = needs_make(
	    &s->arena, &s->worker, s->templates, lease_namespace(&s->worker.lease, s->kube), &needs);
	return o->check ? check(self, s, needs, n) : print(self, o, s, needs, n);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {0};
	const struct cli_option options[] = {{"config", 'c', &o.config, NULL}, {"templates", 't', &o.templates, NULL},
	    {"mode", 0, &o.mode, NULL}, {"name", 0, &o.name, NULL}, {"subject", 0, &o.subject, NULL},
	    {"check", 0, NULL, &o.check}, {"kubeconfig", 0, &o.kubeconfig, NULL}, {0}};
	struct cli_sync s = {0};
	if (!cli_options(self, options, &argc, argv))
		return CLI_USAGE;
	if (argc > 0)
		return cli_usage(self, "unexpected argument %s", argv[0]);
	if (o.check && (o.name || o.subject))
		return cli_usage(self, "--check prints no objects: leave out --name and --subject");
	if (!o.check && o.kubeconfig)
		return cli_usage(self, "--kubeconfig is for --check: printing asks nobody");
	int code = work(self, &o, &s);
	cli_sync_done(&s);
	return code;
}

const struct command cmd_sync_rbac = {
    .name = "sync rbac",
    .args = "[--config FILE] [--mode MODE] [--subject SUBJECT] [--check]",
    .summary = "Prints the rights that the worker needs for its templates, as RBAC objects.",
    .help = "A ClusterRole, a Role in each namespace where the worker writes a Lease or events, and their\n"
	    "bindings: each call that the worker makes and no other. Roles are bound by name alone: what no\n"
	    "template names, the apiserver refuses. Asks nobody; pipe it into kubectl apply -f -, before\n"
	    "templates that name other roles or kinds come into force (--templates).\n\n"
	    "  -c, --config FILE      the worker's configuration; default " WORKER_CONFIG_PATH "\n"
	    "  -t, --templates FILE   templates in place of those that the configuration names\n"
	    "      --mode MODE        all, intake or reconcile in place of the configuration's\n"
	    "      --subject SUBJECT  User:NAME, Group:NAME or ServiceAccount:NAMESPACE/NAME; default, by mode:\n"
	    "                         User:portcullis-rbac-sync, Group:portcullis-intake,\n"
	    "                         ServiceAccount:portcullis-system/portcullis-rbac-sync\n"
	    "      --name NAME        of the objects; default portcullis-rbac-sync or portcullis-intake\n"
	    "      --check            prints nothing but what the worker lacks, asked of the apiserver with\n"
	    "                         its own credentials\n"
	    "      --kubeconfig FILE  for --check: other credentials than the configuration's\n\n"
	    "Exit codes: 0 fine, 1 with --check something is missing, 2 wrong usage or unreadable input.",
    .run = run,
};
