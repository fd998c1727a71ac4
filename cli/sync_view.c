/* Owns the one look at the cluster that `sync plan`, `explain` and `export` share. */
#include "cli/sync_view.h"

#include "common/jsonx.h"
#include "rbac-sync/needs.h"
#include "rbac-sync/watch.h"

#define ROLE_AGE (3600 * CLOCK_SECOND) /* one look takes less */

/* --- listing --- */

static bool list_kind(const struct command *self, struct sync_view *v, enum object_kind kind)
{
	struct err e;
	bool ours = kind != KIND_USER_RECORD && kind != KIND_NAMESPACE;
	if (watch_list_once(v->s.kube, v->store, kind, ours ? LABEL_MANAGED_BY "=" MANAGED_BY : NULL, &e) == ERR_OK)
		return true;
	cli_error(self, "%s", e.msg);
	return false;
}

static bool list_all(const struct command *self, struct sync_view *v)
{
	unsigned kinds = needs_kinds(&v->s.worker, v->s.templates) | 1U << KIND_USER_RECORD | 1U << KIND_NAMESPACE;
	for (enum object_kind k = 0; k < KIND_WATCHED; k++) {
		if ((kinds & 1U << k) && !list_kind(self, v, k))
			return false;
	}
	return true;
}

/* --- who is due what --- */

bool sync_view_expect(struct sync_view *v, const char *key, struct arena *a, struct run *run)
{
	*run = (struct run){
	    .r = &v->rec, .k = v->s.kube, .a = a, .key = key, .pass = v->pass, .wait = -1, .ask = INT64_MAX};
	if (!store_record(v->store, key, a, &run->record))
		return false;
	(void)!reconcile_expect(run, &v->held);
	return true;
}

/* Each record is heard of once: then it is known who is due what is shared, and which roles were asked about. */
static void hear_all(struct sync_view *v)
{
	struct arena a;
	struct run run;
	arena_init(&a, 0);
	shared_begin(v->shared, v->keys, v->n);
	v->pass = shared_pass(v->shared);
	for (size_t i = 0; i < v->n; i++) {
		/* One that cannot be read leaves the pass open: nothing shared may go. */
		sync_view_expect(v, v->keys[i], &a, &run);
		arena_reset(&a);
	}
	arena_done(&a);
}

static void read_roles(struct sync_view *v)
{
	uint64_t version = roles_version(v->roles);
	roles_catch_up(v->roles, v->s.kube);
	if (roles_version(v->roles) != version)
		hear_all(v);
}

bool sync_view_open(const struct command *self, const struct sync_view_options *o, struct sync_view *out)
{
	struct cli_sync *s = &out->s;
	*out = (struct sync_view){0};
	if (!cli_sync_load(o->config, o->templates, s))
		return false;
	if (!s->templates) {
		cli_error(self, "the configuration names no templates: say which with --templates FILE");
		return false;
	}
	if (!cli_sync_connect(self, o->kubeconfig, o->context, s))
		return false;
	out->held.config = s->templates;
	out->store = store_new(NULL, NULL);
	out->shared = shared_open();
	out->roles = roles_new(ROLE_AGE);
	out->rec = (struct reconciler){
	    .store = out->store,
	    .shared = out->shared,
	    .roles = out->roles,
	    .rails = {kube_namespace(s->kube), s->worker.protected_namespaces.items,
		s->worker.protected_namespaces.len},
	    .life = s->worker.gc.life,
	    .directory_configs = &s->worker.directories,
	    .max_objects = (size_t)s->worker.max_bindings,
	    .allow_privileged = o->allow_privileged,
	    .dry_run = true,
	};
	if (!list_all(self, out))
		return false;
	out->n = store_records(out->store, &s->arena, &out->keys);
	roles_refresh(out->roles, s->kube, s->templates);
	hear_all(out);
	read_roles(out);
	return true;
}

void sync_view_done(struct sync_view *v)
{
	roles_free(&v->roles);
	shared_close(&v->shared);
	store_free(&v->store);
	cli_sync_done(&v->s);
}

/* --- one record --- */

bool sync_view_plan(
    const struct command *self, struct sync_view *v, const char *key, struct arena *a, struct run *run)
{
	if (!sync_view_expect(v, key, a, run)) {
		cli_error(self, "record %s cannot be read: the worker leaves it alone", key);
		return false;
	}
	bool ok = reconcile_plan(run);
	for (size_t i = 0; i < run->len && ok; i++) {
		struct action *x = &run->actions[i];
		if ((x->kind == ACTION_APPLY || x->kind == ACTION_DELETE) && !x->live)
			ok = reconcile_ask(run, x);
	}
	if (!ok)
		cli_error(self, "record %s: %s", key, run->trouble_why);
	return ok;
}

bool sync_view_object(const struct command *self, struct sync_view *v, const struct object_id *id, json_t **out)
{
	const struct object_type *type = &object_types[id->kind];
	struct kube_answer got;
	json_t *like = json_pack("{s:s,s:s,s:{s:s}}", "apiVersion", type->api_version, "kind", type->kind, "metadata",
	    "name", id->name);
	kube_get(v->s.kube, object_path(&v->s.arena, id), like, &got);
	json_decref(like);
	*out = got.verdict == KUBE_OK ? json_incref(got.body) : NULL;
	bool ok = got.verdict == KUBE_OK || got.verdict == KUBE_ABSENT;
	if (!ok)
		cli_error(self, "%s: %s", object_id_text(&v->s.arena, id), got.why.msg);
	kube_answer_done(&got);
	return ok;
}

bool sync_view_is(const struct record *r, const char *user, const char *provider)
{
	bool named = slice_is(r->identity.username, user) || strcmp(r->name, user) == 0;
	return named && (!provider || slice_is(r->identity.provider, provider));
}

bool sync_view_words(const struct command *self, int argc, char **argv, const char *user, const char *provider)
{
	if (argc > 0)
		return !cli_usage(self, "unexpected argument %s", argv[0]);
	if (provider && !user)
		return !cli_usage(self, "--provider chooses among users of one name: say --user");
	return true;
}
