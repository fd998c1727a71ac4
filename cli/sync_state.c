/* Owns `portcullis sync undo` and `portcullis sync suspend`: an admin's word on one user's record. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/sync.h"
#include "common/jsonx.h"
#include "rbac-sync/record.h"

#define MATCHES_MAX 16

struct options {
	const char *config, *kubeconfig, *context, *provider, *user;
	bool clear;
};

/* The record of a user: by name, or by the record's own name. */
struct search {
	struct arena *a;
	const struct options *o;
	struct record found[MATCHES_MAX];
	size_t n;
};

static void take(void *ctx, json_t *item)
{
	struct search *q = ctx;
	struct record r;
	struct err e;
	if (q->n == MATCHES_MAX || record_read(item, q->a, &r, &e) != ERR_OK)
		return;
	bool named = slice_is(r.identity.username, q->o->user) || strcmp(r.name, q->o->user) == 0;
	if (named && (!q->o->provider || slice_is(r.identity.provider, q->o->provider)))
		q->found[q->n++] = r;
}

/* CLI_OK: Q->found[0] is the one. */
static int find(const struct command *self, struct cli_sync *s, struct search *q)
{
	struct kube_answer got = {0};
	const char *version;
	int code = CLI_OK;
	kube_list(s->kube, object_collection(&s->arena, KIND_USER_RECORD, NULL), NULL, false, take, q, &s->arena, &version,
	    &got);
	if (got.verdict != KUBE_OK)
		code = cli_error(self, "userrecords: %s", got.why.msg);
	kube_answer_done(&got);
	if (code != CLI_OK || q->n == 1)
		return code;
	cli_error(self,
	    q->n ? "more than one record of %s: name its --provider" : "no record of %s: names are as in `kubectl get ur`",
	    q->o->user);
	for (size_t i = 0; i < q->n; i++)
		fprintf(stderr, "  --provider %s\n", cli_sync_shown(&s->arena, q->found[i].identity.provider));
	return CLI_NO;
}

/* STATE NULL: neither. */
static bool set_state(const struct command *self, struct cli_sync *s, const struct record *r, const char *state)
{
	struct kube_answer got = {0};
	struct object_id id = {.kind = KIND_USER_RECORD, .name = r->name};
	json_t *patch = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s?}}", "apiVersion", API_VERSION, "kind", "UserRecord",
	    "metadata", "name", r->name, "uid", r->uid, "spec", "state", state);
	kube_merge(s->kube, object_path(&s->arena, &id), patch, &got);
	json_decref(patch);
	bool ok = got.verdict == KUBE_OK;
	if (!ok)
		cli_error(self, "%s: %s", r->name, got.why.msg);
	kube_answer_done(&got);
	return ok;
}

static int work(const struct command *self, const struct options *o, const char *state, struct cli_sync *s)
{
	if (!cli_sync_load_worker(o->config, s) || !cli_sync_connect(self, o->kubeconfig, o->context, s))
		return CLI_USAGE;
	struct search q = {.a = &s->arena, .o = o};
	int code = find(self, s, &q);
	if (code != CLI_OK)
		return code;
	const struct record *r = &q.found[0];
	if (!set_state(self, s, r, state))
		return CLI_USAGE;
	printf("%s (%s): %s\n", cli_sync_shown(&s->arena, r->identity.username),
	    cli_sync_shown(&s->arena, r->identity.provider), state ? state : "as time and directories say");
	return CLI_OK;
}

static int run_with(const struct command *self, int argc, char **argv, const char *state)
{
	struct options o = {0};
	const struct cli_option options[] = {{"config", 'c', &o.config, NULL}, {"kubeconfig", 0, &o.kubeconfig, NULL},
	    {"context", 0, &o.context, NULL}, {"provider", 0, &o.provider, NULL}, {"clear", 0, NULL, &o.clear}, {0}};
	if (!cli_options(self, options, &argc, argv))
		return CLI_USAGE;
	if (argc != 1)
		return cli_usage(self, argc ? "one user at a time" : "name a user");
	o.user = argv[0];
	struct cli_sync s = {0};
	int code = work(self, &o, o.clear ? NULL : state, &s);
	cli_sync_done(&s);
	return code;
}

static int undo(const struct command *self, int argc, char **argv)
{
	return run_with(self, argc, argv, "Active");
}

static int suspend(const struct command *self, int argc, char **argv)
{
	return run_with(self, argc, argv, "Suspended");
}

#define OPTIONS \
	"  -c, --config FILE      the worker's configuration; default " WORKER_CONFIG_PATH "\n" \
	"      --kubeconfig FILE  how to reach the apiserver, in place of the configuration's\n" \
	"      --context NAME     context of the kubeconfig; default its current-context\n" \
	"      --provider NAME    where several providers have a user of that name\n" \
	"      --clear            takes the admin's word back: time and directories decide again\n\n" \
	"Exit codes: 0 done, 1 there is no such user, or more than one, 2 wrong usage, or the apiserver\n" \
	"refused or does not answer."

const struct command cmd_sync_undo = {
    .name = "sync undo",
    .args = "USER [--provider NAME] [--clear]",
    .summary = "Gives a disabled or suspended user back what they are due.",
    .help = "Sets spec.state of the user's record to Active: whatever time or a directory did is undone, and does\n"
	    "not come again until the word is taken back. USER is the user's name as the apiserver knows it, such\n"
	    "as corp:ann, or the name of the record.\n\n" OPTIONS,
    .run = undo,
};

const struct command cmd_sync_suspend = {
    .name = "sync suspend",
    .args = "USER [--provider NAME] [--clear]",
    .summary = "Takes all bindings from one user at once, and keeps record and namespaces.",
    .help = "Sets spec.state of the user's record to Suspended. No limit on removals holds for that. A binding of\n"
	    "a Group is everybody's who is in it: who must lose that too has to leave the group, and their tokens\n"
	    "have to end. USER is the user's name as the apiserver knows it, such as corp:ann, or the name of the\n"
	    "record.\n\n" OPTIONS,
    .run = suspend,
};
