/* Owns `portcullis sync plan`: what the worker would write and remove, as unified differences. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/linediff.h"
#include "cli/sync_view.h"
#include "common/map.h"
#include "rbac-sync/object_text.h"

#define OUTPUT_MAX ((size_t)1 << 30)
#define TEXT_MAX ((size_t)8 << 20) /* of one object */

struct options {
	struct sync_view_options view;
	const char *user, *provider;
	bool json;
};

struct totals {
	size_t records, unreadable, created, changed, removed, limited, released, refused, waiting, drifting;
};

struct planner {
	const struct command *self;
	const struct options *o;
	struct sync_view *v;
	struct buf out;
	struct totals t;
	struct map told; /* texts of objects: what is shared is told once */
	bool any, failed;
};

/* --- one object --- */

static void add_yaml(const json_t *object, struct buf *out)
{
	buf_init(out, TEXT_MAX);
	if (object)
		object_yaml(object, out);
}

static void add_diff(struct planner *p, const char *name, const json_t *was, const json_t *is)
{
	struct buf old, new, from, to;
	add_yaml(was, &old);
	add_yaml(is, &new);
	buf_init(&from, TEXT_MAX);
	buf_init(&to, TEXT_MAX);
	buf_adds(&from, was ? "live/" : "none/");
	plain_text(&from, name);
	buf_adds(&to, is ? "plan/" : "none/");
	plain_text(&to, name);
	linediff(&p->out, buf_cstr(&from), buf_view(&old), buf_cstr(&to), buf_view(&new));
	buf_done(&old);
	buf_done(&new);
	buf_done(&from);
	buf_done(&to);
}

static void add_member(struct buf *b, const char *key, const char *value)
{
	if (value)
		buf_json_member(b, key, slice_of(value));
}

static void add_json(struct planner *p, const struct run *run, const struct action *x, const char *what)
{
	const struct object_id *id = x->want ? &x->want->id : &x->had->id;
	struct buf *b = &p->out;
	bool wait = x->kind == ACTION_WAIT;
	buf_adds(b, p->any ? ",\n  {\"change\":" : "\n  {\"change\":");
	buf_json(b, wait ? SLICE("wait") : slice_of(what));
	add_member(b, "kind", object_types[id->kind].kind);
	add_member(b, "namespace", id->namespace_);
	add_member(b, "name", id->name);
	add_member(b, "template", x->want ? x->want->template_ : x->had->template_);
	add_member(b, "record", run->key);
	buf_json_member(b, "user", run->record.identity.username);
	buf_json_member(b, "provider", run->record.identity.provider);
	if (x->kind == ACTION_DELETE)
		add_member(b, "removal", removal_name(x->removal));
	if (x->kind == ACTION_DELETE)
		buf_printf(b, ",\"limited\":%s", removal_limited(x->removal) ? "true" : "false");
	if (x->kind == ACTION_APPLY)
		buf_printf(b, ",\"drift\":%s", x->drift ? "true" : "false");
	add_member(b, "reason", x->why);
	buf_addc(b, '}');
}

/* alice (ldap:corp), template devs */
static void add_whom(struct planner *p, const struct run *run, const char *template_)
{
	plain_name(&p->out, run->record.identity.username);
	buf_adds(&p->out, " (");
	plain_name(&p->out, run->record.identity.provider);
	buf_adds(&p->out, "), template ");
	plain_text(&p->out, template_);
}

/* A line that patch(1) skips. */
static void add_note(struct planner *p, const struct run *run, const struct action *x, const char *what,
    const char *name)
{
	buf_printf(&p->out, "# %s ", what);
	plain_text(&p->out, name);
	buf_adds(&p->out, " for ");
	add_whom(p, run, x->want ? x->want->template_ : x->had->template_);
	if (x->kind == ACTION_DELETE)
		buf_printf(&p->out, ", %s%s", removal_name(x->removal),
		    removal_limited(x->removal) ? ", counts against the limits" : "");
	if (x->why)
		buf_adds(&p->out, ": ");
	plain_text(&p->out, x->why);
	buf_addc(&p->out, '\n');
}

static void tell(struct planner *p, const struct run *run, const struct action *x, const char *what)
{
	const struct object_id *id = x->want ? &x->want->id : &x->had->id;
	if (p->o->json)
		add_json(p, run, x, what);
	else
		add_note(p, run, x, what, object_id_text(run->a, id));
	p->any = true;
}

/* Was and is, as far as they are there. */
static void tell_change(struct planner *p, const struct run *run, const struct action *x, const json_t *live)
{
	const struct object_id *id = x->want ? &x->want->id : &x->had->id;
	bool removal = x->kind == ACTION_DELETE;
	tell(p, run, x, removal ? "remove" : live ? "change" : "create");
	if (removal)
		p->t.removed++;
	else if (live)
		p->t.changed++;
	else
		p->t.created++;
	p->t.limited += removal && removal_limited(x->removal);
	if (p->o->json)
		return;
	json_t *body = removal ? NULL : reconcile_body(run, x->want);
	json_t *was = live ? object_shown(live) : NULL, *is = body ? object_after(live, body) : NULL;
	add_diff(p, object_id_text(run->a, id), was, is);
	json_decref(body);
	json_decref(was);
	json_decref(is);
}

static void look(struct planner *p, const struct run *run, const struct action *x)
{
	const struct object_id *id = x->want ? &x->want->id : &x->had->id;
	struct slice key = slice_dup(&p->v->s.arena, slice_of(object_id_text(run->a, id)));
	json_t *live = NULL;
	bool change = x->kind == ACTION_APPLY || x->kind == ACTION_DELETE;
	if (change && map_put(&p->told, key, p))
		return;
	switch (x->kind) {
	case ACTION_APPLY:
	case ACTION_DELETE:
		if (sync_view_object(p->self, p->v, id, &live))
			tell_change(p, run, x, live);
		else
			p->failed = true;
		json_decref(live);
		break;
	case ACTION_REFUSE:
		p->t.refused++;
		tell(p, run, x, "refuse");
		break;
	case ACTION_WAIT:
		p->t.waiting++;
		tell(p, run, x, "wait with");
		break;
	case ACTION_DRIFT:
		p->t.drifting++;
		tell(p, run, x, "leave");
		break;
	case ACTION_RELEASE:
		p->t.released++;
		break;
	case ACTION_KEEP:
		break;
	}
}

static void tell_refusal(struct planner *p, const struct run *run, const struct due_refusal *r)
{
	struct buf *b = &p->out;
	p->t.refused++;
	if (p->o->json) {
		buf_adds(b, p->any ? ",\n  {\"change\":\"refuse\"" : "\n  {\"change\":\"refuse\"");
		add_member(b, "template", r->template_);
		add_member(b, "record", run->key);
		buf_json_member(b, "user", run->record.identity.username);
		buf_json_member(b, "provider", run->record.identity.provider);
		add_member(b, "rail", r->reason);
		add_member(b, "reason", r->what);
		buf_addc(b, '}');
	} else {
		buf_adds(b, "# refuse ");
		add_whom(p, run, r->template_);
		buf_adds(b, ": ");
		plain_text(b, r->what);
		buf_printf(b, " (%s)\n", r->reason);
	}
	p->any = true;
}

/* A user that is deleted: the record goes last. */
static void tell_record(struct planner *p, const struct run *run)
{
	struct buf *b = &p->out;
	p->t.removed++;
	p->t.limited++;
	if (p->o->json) {
		buf_adds(b, p->any ? ",\n  {\"change\":\"remove\"" : "\n  {\"change\":\"remove\"");
		add_member(b, "kind", object_types[KIND_USER_RECORD].kind);
		add_member(b, "name", run->key);
		buf_json_member(b, "user", run->record.identity.username);
		buf_json_member(b, "provider", run->record.identity.provider);
		add_member(b, "removal", removal_name(REMOVAL_DELETED));
		buf_adds(b, ",\"limited\":true");
		add_member(b, "reason", run->life.why);
		buf_addc(b, '}');
	} else {
		buf_printf(b, "# remove UserRecord/%s of ", run->key);
		plain_name(b, run->record.identity.username);
		buf_adds(b, " (");
		plain_name(b, run->record.identity.provider);
		buf_adds(b, "), counts against the limits: ");
		plain_text(b, run->life.why);
		buf_addc(b, '\n');
	}
	p->any = true;
}

/* --- all --- */

static void plan_one(struct planner *p, const char *key)
{
	struct arena a;
	struct run run;
	struct record r;
	arena_init(&a, 0);
	const struct options *o = p->o;
	bool known = store_record(p->v->store, key, &a, &r);
	if (o->user && !(known && sync_view_is(&r, o->user, o->provider))) {
		arena_done(&a);
		return;
	}
	p->t.records++;
	if (!known) {
		p->t.unreadable++;
	} else if (!sync_view_plan(p->self, p->v, key, &a, &run)) {
		p->failed = true;
	} else {
		for (size_t i = 0; i < run.due.nrefusals; i++)
			tell_refusal(p, &run, &run.due.refusals[i]);
		for (size_t i = 0; i < run.len && !p->failed; i++)
			look(p, &run, &run.actions[i]);
		if (run.life.state == LIFE_DELETED)
			tell_record(p, &run);
	}
	arena_done(&a);
}

static void put_total(struct buf *b, bool json, const char *key, const char *text, size_t n)
{
	if (json)
		buf_printf(b, ",\"%s\":%zu", key, n);
	else if (n)
		buf_printf(b, ", %zu %s", n, text);
}

static void add_totals(struct planner *p)
{
	const struct totals *t = &p->t;
	struct buf *b = &p->out;
	const struct {
		const char *key, *text;
		size_t n;
	} rows[] = {
	    {"refused", "refused", t->refused},
	    {"waiting", "waiting for a namespace or for others", t->waiting},
	    {"drifting", "changed by hand and left so", t->drifting},
	    {"released", "only to be forgotten", t->released},
	    {"unreadable", "records unreadable", t->unreadable},
	};
	if (p->o->json)
		buf_printf(b, "%s],\"summary\":{\"records\":%zu,\"create\":%zu,\"change\":%zu,\"remove\":%zu,\"limited\":%zu",
		    p->any ? "\n " : "", t->records, t->created, t->changed, t->removed, t->limited);
	else
		buf_printf(b, "%zu records: %zu objects to create, %zu to change, %zu to remove (%zu of them limited)",
		    t->records, t->created, t->changed, t->removed, t->limited);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		put_total(b, p->o->json, rows[i].key, rows[i].text, rows[i].n);
	buf_adds(b, p->o->json ? "}}\n" : "\n");
}

static int work(const struct command *self, const struct options *o, struct sync_view *v)
{
	struct planner p = {.self = self, .o = o, .v = v};
	if (!sync_view_open(self, &o->view, v))
		return CLI_USAGE;
	buf_init(&p.out, OUTPUT_MAX);
	if (o->json)
		buf_adds(&p.out, "{\"changes\":[");
	for (size_t i = 0; i < v->n && !p.failed; i++)
		plan_one(&p, v->keys[i]);
	add_totals(&p);
	int code = p.t.created + p.t.changed + p.t.removed ? CLI_NO : CLI_OK;
	if (o->user && !p.t.records)
		code = cli_error(self, "there is no record of %s", o->user);
	else if (p.failed || p.out.over)
		code = p.failed ? CLI_USAGE : cli_error(self, "there is too much to print: choose a user");
	else
		fputs(buf_cstr(&p.out), stdout);
	buf_done(&p.out);
	map_done(&p.told);
	return code;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {0};
	const char *output = NULL;
	const struct cli_option options[] = {SYNC_VIEW_OPTIONS(o.view), {"user", 'u', &o.user, NULL},
	    {"provider", 0, &o.provider, NULL}, {"output", 'o', &output, NULL}, {0}};
	struct sync_view v = {0};
	if (!cli_options(self, options, &argc, argv) || !cli_output(self, output, &o.json) ||
	    !sync_view_words(self, argc, argv, o.user, o.provider))
		return CLI_USAGE;
	int code = work(self, &o, &v);
	sync_view_done(&v);
	return code;
}

const struct command cmd_sync_plan = {
    .name = "sync plan",
    .args = "[--config FILE] [--templates FILE] [--user NAME] [--output text|json]",
    .summary = "Prints what the worker would write and remove, as differences.",
    .help = "Lists records, namespaces and our objects once and plans each record as the worker does: the same\n"
	    "functions, nothing is written. Directories are not asked: who is missing there is not disabled here.\n\n"
	    "  -c, --config FILE      the worker's configuration; default " WORKER_CONFIG_PATH "\n"
	    "  -t, --templates FILE   templates in place of those that the configuration names: to see what an\n"
	    "                         edited file would do\n"
	    "  -u, --user NAME        the records of this user alone; also a record's name\n"
	    "      --provider NAME    of the user, where several providers know one of that name\n"
	    "      --allow-privileged-grants   as the worker's option\n"
	    "      --kubeconfig FILE, --context NAME   other credentials than the configuration's; they need to\n"
	    "                         read what the worker reads\n"
	    "  -o, --output FORMAT    text, unified differences as of diff -u; or json, one line a change\n\n"
	    "Exit codes: 0 there is nothing to do, 1 there are changes, 2 wrong usage or unreadable input.",
    .run = run,
};
