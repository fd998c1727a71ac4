/* Owns `portcullis sync export`: all that users are due, as manifests. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/sync_view.h"
#include "common/map.h"
#include "rbac-sync/object_text.h"

#define OUTPUT_MAX ((size_t)1 << 30)

struct options {
	struct sync_view_options view;
	const char *user, *provider;
};

struct item {
	struct object_id id;
	const char *text;
};

struct exporter {
	const struct command *self;
	const struct options *o;
	struct sync_view *v;
	struct arena *a;
	struct map known; /* what is shared is due to many */
	struct item *items;
	size_t n, cap, records;
};

static void add(struct exporter *x, const struct desired *d)
{
	struct slice key = slice_of(object_id_text(x->a, &d->id));
	struct buf text;
	if (map_put(&x->known, key, x))
		return;
	buf_init(&text, OUTPUT_MAX);
	object_yaml(d->body, &text);
	ARENA_ROOM(x->a, x->items, x->n, x->cap, 64);
	x->items[x->n++] = (struct item){{d->id.kind, arena_strdup(x->a, d->id.namespace_),
					     arena_strdup(x->a, d->id.name)},
	    arena_strdup(x->a, buf_cstr(&text))};
	buf_done(&text);
}

static void say_refusals(struct exporter *x, const struct run *run)
{
	for (size_t i = 0; i < run->due.nrefusals; i++) {
		const struct due_refusal *r = &run->due.refusals[i];
		struct buf text;
		buf_init(&text, OUTPUT_MAX);
		buf_printf(&text, "portcullis %s: template %s for ", x->self->name, r->template_);
		plain_name(&text, run->record.identity.username);
		buf_adds(&text, " leaves out: ");
		plain_text(&text, r->what);
		fprintf(stderr, "%s\n", buf_cstr(&text));
		buf_done(&text);
	}
}

static void take(struct exporter *x, const char *key)
{
	struct arena a;
	struct run run;
	arena_init(&a, 0);
	bool known = sync_view_expect(x->v, key, &a, &run);
	if (known && (!x->o->user || sync_view_is(&run.record, x->o->user, x->o->provider))) {
		bool active = run.life.state == LIFE_ACTIVE || run.life.state == LIFE_STALE;
		x->records++;
		say_refusals(x, &run);
		for (size_t i = 0; i < run.due.len && active; i++)
			add(x, &run.due.objects[i]);
	}
	arena_done(&a);
}

static int by_id(const void *a, const void *b)
{
	return object_id_cmp(&((const struct item *)a)->id, &((const struct item *)b)->id);
}

static int work(const struct command *self, const struct options *o, struct sync_view *v)
{
	if (!sync_view_open(self, &o->view, v))
		return CLI_USAGE;
	struct exporter x = {.self = self, .o = o, .v = v, .a = &v->s.arena};
	for (size_t i = 0; i < v->n; i++)
		take(&x, v->keys[i]);
	map_done(&x.known);
	if (o->user && !x.records)
		return cli_error(self, "there is no record of %s", o->user);
	if (x.n)
		qsort(x.items, x.n, sizeof(*x.items), by_id);
	for (size_t i = 0; i < x.n; i++)
		printf("%s%s", i ? "---\n" : "", x.items[i].text);
	return CLI_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {0};
	const struct cli_option options[] = {
	    SYNC_VIEW_OPTIONS(o.view), {"user", 'u', &o.user, NULL}, {"provider", 0, &o.provider, NULL}, {0}};
	struct sync_view v = {0};
	if (!cli_options(self, options, &argc, argv) || !sync_view_words(self, argc, argv, o.user, o.provider))
		return CLI_USAGE;
	int code = work(self, &o, &v);
	sync_view_done(&v);
	return code;
}

const struct command cmd_sync_export = {
    .name = "sync export",
    .args = "[--config FILE] [--templates FILE] [--user NAME]",
    .summary = "Prints all that users are due as manifests, in place of writing it.",
    .help = "For those who keep what stands in the cluster in a repository: one YAML document an object, sorted,\n"
	    "with the labels and annotations that the worker writes, without owners and status. What rails refuse\n"
	    "is left out and told on stderr. Reads the cluster, writes nothing.\n\n"
	    "  -c, --config FILE      the worker's configuration; default " WORKER_CONFIG_PATH "\n"
	    "  -t, --templates FILE   templates in place of those that the configuration names\n"
	    "  -u, --user NAME        what this user is due alone; also a record's name\n"
	    "      --provider NAME    of the user, where several providers know one of that name\n"
	    "      --allow-privileged-grants   as the worker's option\n"
	    "      --kubeconfig FILE, --context NAME   other credentials than the configuration's\n\n"
	    "Exit codes: 0 printed, 2 wrong usage or unreadable input.",
    .run = run,
};
