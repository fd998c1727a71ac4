/* Owns `portcullis sync explain`: why a user has what they have, and what comes next. */
#include "cli/sync_explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/sync_view.h"

#define OUTPUT_MAX ((size_t)64 << 20)

struct options {
	struct sync_view_options view;
	const char *user, *provider, *namespace_, *now;
	struct cli_values groups;
	bool as_new, json;
};

static void put(const struct options *o, const struct explanation *x, size_t before, struct buf *out)
{
	if (o->json)
		buf_adds(out, before ? ",\n" : "\n");
	else if (before)
		buf_addc(out, '\n');
	if (o->json)
		explain_json(x, out);
	else
		explain_text(x, out);
}

/* --- of the cluster --- */

/* False after telling what is wrong. */
static bool explain_one(const struct command *self, const struct options *o, struct sync_view *v, const char *key,
    size_t *told, struct buf *out)
{
	struct arena a;
	struct record r;
	struct run run;
	bool ok = true;
	arena_init(&a, 0);
	if (store_record(v->store, key, &a, &r) && sync_view_is(&r, o->user, o->provider)) {
		ok = sync_view_plan(self, v, key, &a, &run);
		const struct explanation x = {&run, false, o->namespace_, clock_unix()};
		if (ok)
			put(o, &x, (*told)++, out);
	}
	arena_done(&a);
	return ok;
}

static int explain_records(const struct command *self, const struct options *o, struct buf *out)
{
	struct sync_view v = {0};
	size_t told = 0;
	bool ok = sync_view_open(self, &o->view, &v);
	for (size_t i = 0; i < v.n && ok; i++)
		ok = explain_one(self, o, &v, v.keys[i], &told, out);
	sync_view_done(&v);
	if (!ok)
		return CLI_USAGE;
	if (told)
		return CLI_OK;
	return cli_error(self, "there is no record of %s: names are as in `kubectl get ur`; who was never seen is tried with "
			       "--as-new", o->user);
}

/* --- of the templates alone --- */

static int explain_new(const struct command *self, const struct options *o, struct buf *out)
{
	struct cli_sync s = {0};
	int64_t now;
	if (!cli_now(self, o->now, &now) || !cli_sync_load(o->view.config, o->view.templates, &s)) {
		cli_sync_done(&s);
		return CLI_USAGE;
	}
	struct slice *groups = ARENA_ARRAY(&s.arena, struct slice, o->groups.n + 1);
	for (size_t i = 0; i < o->groups.n; i++)
		groups[i] = slice_of(o->groups.v[i]);
	char key[SPOOL_KEY_LEN + 1];
	spool_key(slice_of(o->provider), slice_of(o->user), key);
	struct run run = {.a = &s.arena, .key = key, .config = s.templates, .life = {.next = INT64_MAX}};
	run.record = (struct record){.name = key, .created = now / CLOCK_SECOND, .identity = {
	    .provider = slice_of(o->provider), .username = slice_of(o->user), .groups = groups,
	    .ngroups = o->groups.n, .seen_at = now / CLOCK_SECOND}};
	const struct rails rails = {NULL, s.worker.protected_namespaces.items, s.worker.protected_namespaces.len};
	const struct due_world w = {.config = s.templates, .rails = &rails,
	    .max_objects = (size_t)s.worker.max_bindings, .allow_privileged = o->view.allow_privileged,
	    .now = now / CLOCK_SECOND};
	int code = CLI_OK;
	if (!s.templates) {
		code = cli_error(self, "the configuration names no templates: say which with --templates FILE");
	} else {
		due_make(&s.arena, &run.record, &w, &run.due);
		const struct explanation x = {&run, true, o->namespace_, now / CLOCK_SECOND};
		put(o, &x, 0, out);
	}
	cli_sync_done(&s);
	return code;
}

/* --- the command --- */

static bool check(const struct command *self, const struct options *o, int argc, char **argv)
{
	if (argc != 1)
		return !cli_usage(self, argc ? "unexpected argument %s" : "name a user", argc ? argv[1] : "");
	if (o->as_new && !o->provider)
		return !cli_usage(self, "--as-new needs --provider, such as ldap:corp: names mean nothing without");
	if (!o->as_new && (o->groups.n || o->now))
		return !cli_usage(self, "--group and --now are for --as-new: records have their own");
	if (o->as_new && (o->view.kubeconfig || o->view.context))
		return !cli_usage(self, "--as-new asks no cluster");
	return true;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {0};
	const char *output = NULL;
	const struct cli_option options[] = {SYNC_VIEW_OPTIONS(o.view), {"provider", 0, &o.provider, NULL},
	    {"namespace", 'n', &o.namespace_, NULL}, {"as-new", 0, NULL, &o.as_new}, {"now", 0, &o.now, NULL},
	    {"output", 'o', &output, NULL}, {0}};
	struct buf out;
	if (!cli_repeated(self, "group", 'g', &o.groups, &argc, argv) ||
	    !cli_options(self, options, &argc, argv) || !cli_output(self, output, &o.json) ||
	    !check(self, &o, argc, argv))
		return CLI_USAGE;
	o.user = argv[0];
	buf_init(&out, OUTPUT_MAX);
	int code = o.as_new ? explain_new(self, &o, &out) : explain_records(self, &o, &out);
	if (code == CLI_OK && o.json)
		printf("{\"users\":[%s\n]}\n", buf_cstr(&out));
	else if (code == CLI_OK)
		fputs(buf_cstr(&out), stdout);
	buf_done(&out);
	return code;
}

const struct command cmd_sync_explain = {
    .name = "sync explain",
    .args = "USER [--namespace NAME] [--as-new --provider NAME --group NAME …]",
    .summary = "Tells why a user has what they have: groups, templates, what stands there.",
    .help = "For each record of that user name (or the record of that name): phase and groups; for each template\n"
	    "whether it is for them, and why not; what it makes due and what the worker finds and will do there;\n"
	    "what rails refuse; what is no longer due; when time alone changes something. Writes nothing.\n\n"
	    "  -c, --config FILE      the worker's configuration; default " WORKER_CONFIG_PATH "\n"
	    "  -t, --templates FILE   templates in place of those that the configuration names\n"
	    "      --provider NAME    of the user, where several providers know one of that name\n"
	    "  -n, --namespace NAME   what concerns this namespace, and the cluster as a whole\n"
	    "      --as-new           what a user who was never seen would be due; asks no cluster, so neither\n"
	    "                         roles nor selectors of namespaces are looked into\n"
	    "  -g, --group NAME       for --as-new: a group of the user; may be given many times\n"
	    "      --now TIME         for --as-new: the time, RFC 3339\n"
	    "      --allow-privileged-grants   as the worker's option\n"
	    "      --kubeconfig FILE, --context NAME   other credentials than the configuration's\n"
	    "  -o, --output FORMAT    text or json\n\n"
	    "Exit codes: 0 told, 2 wrong usage, unreadable input or no such user.",
    .run = run,
};
