/* Owns `portcullis sync gc`: who is leaving, what is blocked and what belongs to nobody; the confirmation of a blocked
 * run, and the removal of what is nobody's. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/sync_orphan.h"
#include "common/jsonx.h"
#include "rbac-sync/record.h"

#define OUTPUT_MAX ((size_t)256 << 20)
#define CONFLICTS_MAX 5 /* the leader renews its Lease all the time */

struct options {
	const char *config, *kubeconfig, *context, *run;
	bool confirm, json;
	struct cli_values orphans;
};

/* The worker's Lease. */
struct lease_notes {
	const char *namespace_, *name, *version, *holder;
	const char *blocked; /* NOTE_GC_BLOCKED; or NULL */
	char run[64];	     /* of it; "" when there is none */
	unsigned long long count, allowed;
};

struct view {
	struct arena *a;
	struct lease_notes lease;
	struct record *leaving; /* records that are not simply there */
	size_t n, cap;
	size_t phases[PHASE_DELETED + 1], records, unreadable;
	struct map inventory; /* texts of all objects in all records */
	struct orphans orphans;
};

/* --- reading --- */

static const char *member(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static bool is_blocked(const struct record *r, const char **why)
{
	const struct record_condition *blocked = record_condition_of(r, "GCBlocked", true);
	if (blocked)
		*why = blocked->message ? blocked->message : "";
	return blocked != NULL;
}

static void take_record(void *ctx, json_t *item)
{
	struct view *v = ctx;
	struct record r;
	struct err e;
	const char *why;
	v->records++;
	if (record_read(item, v->a, &r, &e) != ERR_OK) {
		v->unreadable++;
		return;
	}
	v->phases[r.phase]++;
	for (size_t i = 0; i < r.nbindings; i++)
		map_put(&v->inventory, slice_of(object_id_text(v->a, &r.bindings[i].id)), v);
	bool leaves = r.phase >= PHASE_STALE || r.state == RECORD_STATE_SUSPENDED || r.deleting;
	if (!leaves && !is_blocked(&r, &why))
		return;
	ARENA_ROOM(v->a, v->leaving, v->n, v->cap, 64);
	v->leaving[v->n++] = r;
}

static bool list_records(const struct command *self, struct cli_sync *s, struct view *v)
{
	struct kube_answer got = {0};
	const char *version;
	kube_list(s->kube, object_collection(&s->arena, KIND_USER_RECORD, NULL), NULL, false, take_record, v, &s->arena,
	    &version, &got);
	bool ok = got.verdict == KUBE_OK;
	if (!ok)
		cli_error(self, "userrecords: %s", got.why.msg);
	kube_answer_done(&got);
	return ok;
}

/* Objects first. */
static bool list_all(const struct command *self, struct cli_sync *s, struct view *v)
{
	v->orphans.a = v->a;
	bool ok = orphans_list(self, s, &v->orphans) && list_records(self, s, v);
	orphans_drop_known(&v->orphans, &v->inventory);
	return ok;
}

static void read_blocked(struct lease_notes *l)
{
	const char *space = l->blocked ? strchr(l->blocked, ' ') : NULL;
	/* It is shown as part of a command. */
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	if (!space || (size_t)(space - l->blocked) >= sizeof(l->run) ||
	    strspn(l->blocked, letters) != (size_t)(space - l->blocked))
		return;
	memcpy(l->run, l->blocked, (size_t)(space - l->blocked));
	char *end;
	l->count = strtoull(space, &end, 10);
	l->allowed = strtoull(end, NULL, 10);
}

static const char *lease_path(struct arena *a, const struct lease_notes *l)
{
	struct buf b;
	buf_init(&b, 4096);
	buf_adds(&b, "/apis/coordination.k8s.io/v1/namespaces/");
	kube_escape(&b, l->namespace_);
	buf_adds(&b, "/leases/");
	kube_escape(&b, l->name);
	const char *path = arena_strdup(a, buf_cstr(&b));
	buf_done(&b);
	return path;
}

static json_t *lease_named(const struct lease_notes *l)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "coordination.k8s.io/v1", "kind", "Lease", "metadata",
	    "name", l->name, "namespace", l->namespace_);
}

/* False after telling what is wrong; a missing Lease is none of that: version is NULL then. */
static bool read_lease(const struct command *self, struct cli_sync *s, struct lease_notes *l)
{
	struct kube_answer got = {0};
	*l = (struct lease_notes){
	    .namespace_ = lease_namespace(&s->worker.lease, s->kube), .name = s->worker.lease.name, .holder = ""};
	json_t *want = lease_named(l);
	kube_get(s->kube, lease_path(&s->arena, l), want, &got);
	json_decref(want);
	if (got.verdict == KUBE_OK) {
		const json_t *meta = json_object_get(got.body, "metadata");
		const json_t *notes = json_object_get(meta, "annotations");
		l->version = arena_strdup(&s->arena, member(meta, "resourceVersion"));
		l->holder = arena_strdup(&s->arena, member(json_object_get(got.body, "spec"), "holderIdentity"));
		l->blocked = arena_strdup(&s->arena, json_string_value(json_object_get(notes, NOTE_GC_BLOCKED)));
		read_blocked(l);
	} else if (got.verdict != KUBE_ABSENT) {
		cli_error(self, "Lease %s/%s: %s", l->namespace_, l->name, got.why.msg);
	}
	bool ok = got.verdict == KUBE_OK || got.verdict == KUBE_ABSENT;
	kube_answer_done(&got);
	return ok;
}

/* --- telling --- */

static const char *when(struct arena *a, int64_t unix_)
{
	char text[CLOCK_RFC3339_LEN];
	if (unix_ == 0)
		return "-";
	clock_rfc3339(unix_ * CLOCK_SECOND, text);
	return arena_printf(a, "%.19sZ", text);
}

static const char *word_of(const struct record *r)
{
	if (r->deleting)
		return "Deleting";
	return r->state == RECORD_STATE_SUSPENDED ? "Suspended" : record_phase_name(r->phase);
}

static void print_lease(struct arena *a, const struct lease_notes *l)
{
	if (!l->version) {
		printf("there is no Lease %s/%s: no worker leads, or leaderElection is not enabled and nothing can be "
		       "confirmed\n",
		    l->namespace_, l->name);
		return;
	}
	printf("leader: %s\n", *l->holder ? cli_sync_shown(a, slice_of(l->holder)) : "nobody");
	if (!*l->run) {
		puts("no run of removals is blocked");
		return;
	}
	printf("run %s is blocked: %llu removals; %llu are allowed within gc.window, less what went lately\n"
	       "  let it go: portcullis sync gc --confirm --run-id %s\n",
	    l->run, l->count, l->allowed, l->run);
}

static void print_text(const struct view *v)
{
	print_lease(v->a, &v->lease);
	printf("records: %zu", v->records);
	for (size_t i = 0; i < ARRAY_LEN(v->phases); i++) {
		if (v->phases[i])
			printf(", %zu %s", v->phases[i], record_phase_name((enum record_phase)i));
	}
	printf("%s\n", v->unreadable ? ", others are not readable" : "");
	for (size_t i = 0; i < v->n; i++) {
		const struct record *r = &v->leaving[i];
		const char *why = "";
		bool blocked = is_blocked(r, &why);
		printf(i ? "" : "\nleaving:\n");
		printf("  %s (%s): %s, last seen %s, disabled after %s, deleted after %s%s%s\n",
		    cli_sync_shown(v->a, r->identity.username), cli_sync_shown(v->a, r->identity.provider), word_of(r),
		    when(v->a, r->last_seen), when(v->a, r->disable_after), when(v->a, r->delete_after),
		    blocked ? "; blocked: " : "", cli_sync_shown(v->a, slice_of(why)));
	}
	orphans_print(&v->orphans);
}

static void json_time(struct buf *b, const char *key, struct arena *a, int64_t unix_)
{
	if (unix_)
		buf_json_member(b, key, slice_of(when(a, unix_)));
}

static void json_record(struct buf *b, struct arena *a, const struct record *r)
{
	const char *why = "";
	buf_adds(b, "{\"record\":");
	buf_json(b, slice_of(r->name));
	buf_json_member(b, "user", r->identity.username);
	buf_json_member(b, "provider", r->identity.provider);
	buf_json_member(b, "phase", slice_of(word_of(r)));
	json_time(b, "lastSeen", a, r->last_seen);
	json_time(b, "disableAfter", a, r->disable_after);
	json_time(b, "deleteAfter", a, r->delete_after);
	if (is_blocked(r, &why))
		buf_json_member(b, "blocked", slice_of(why));
	buf_addc(b, '}');
}

static void json_lease(struct buf *b, const struct lease_notes *l)
{
	buf_printf(b, "{\"lease\":%s", l->version ? "{" : "null");
	if (l->version) {
		buf_adds(b, "\"namespace\":");
		buf_json(b, slice_of(l->namespace_));
		buf_json_member(b, "name", slice_of(l->name));
		buf_json_member(b, "holder", slice_of(l->holder));
		buf_addc(b, '}');
	}
	buf_printf(b, ",\"blocked\":%s", *l->run ? "{\"run\":" : "null");
	if (*l->run) {
		buf_json(b, slice_of(l->run));
		buf_printf(b, ",\"count\":%llu,\"allowed\":%llu}", l->count, l->allowed);
	}
}

static void print_json(const struct view *v)
{
	struct buf b;
	buf_init(&b, OUTPUT_MAX);
	json_lease(&b, &v->lease);
	buf_printf(&b, ",\"records\":%zu,\"phases\":{", v->records);
	for (size_t i = 0; i < ARRAY_LEN(v->phases); i++)
		buf_printf(&b, "%s\"%s\":%zu", i ? "," : "", record_phase_name((enum record_phase)i), v->phases[i]);
	buf_printf(&b, "},\"unreadable\":%zu,\"leaving\":[", v->unreadable);
	for (size_t i = 0; i < v->n; i++) {
		buf_adds(&b, i ? "," : "");
		json_record(&b, v->a, &v->leaving[i]);
	}
	buf_adds(&b, "],\"orphans\":[");
	orphans_json(&v->orphans, &b);
	buf_adds(&b, "]}");
	puts(buf_cstr(&b));
	buf_done(&b);
}

/* An inventory that cannot be read may name any of them. */
static int remove_named(const struct command *self, const struct options *o, struct cli_sync *s, const struct view *v)
{
	if (!v->unreadable)
		return orphans_remove(self, s, &v->orphans, &o->orphans);
	cli_error(self, "%zu records cannot be read: what is theirs is not known", v->unreadable);
	return CLI_NO;
}

static int look(const struct command *self, const struct options *o, struct cli_sync *s)
{
	struct view v = {.a = &s->arena};
	int code = CLI_USAGE;
	if (read_lease(self, s, &v.lease) && list_all(self, s, &v)) {
		code = *v.lease.run ? CLI_NO : CLI_OK;
		if (o->orphans.n)
			code = remove_named(self, o, s, &v);
		else if (o->json)
			print_json(&v);
		else
			print_text(&v);
	}
	map_done(&v.inventory);
	return code;
}

/* --- confirming --- */

/* Sets the note over just that state of the Lease which said that the run is blocked. */
static enum kube_verdict note(struct cli_sync *s, const struct lease_notes *l, struct err *why)
{
	struct kube_answer got = {0};
	const char *value = arena_printf(&s->arena, "%s %" PRId64, l->run, clock_unix());
	json_t *patch = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:{s:s}}}", "apiVersion", "coordination.k8s.io/v1",
	    "kind", "Lease", "metadata", "name", l->name, "namespace", l->namespace_, "resourceVersion", l->version,
	    "annotations", NOTE_GC_CONFIRM, value);
	kube_merge(s->kube, lease_path(&s->arena, l), patch, &got);
	json_decref(patch);
	enum kube_verdict verdict = got.verdict;
	*why = got.why;
	kube_answer_done(&got);
	return verdict;
}

static int confirm(const struct command *self, const struct options *o, struct cli_sync *s)
{
	struct lease_notes l;
	struct err why = {0};
	for (int i = 0; i < CONFLICTS_MAX; i++) {
		if (!read_lease(self, s, &l))
			return CLI_USAGE;
		if (!l.version || !*l.run) {
			cli_error(self, "no run of removals is blocked");
			return CLI_NO;
		}
		if (strcmp(l.run, o->run) != 0) {
			cli_error(self, "the blocked run is %s, not %s: look at it first", l.run, o->run);
			return CLI_NO;
		}
		enum kube_verdict verdict = note(s, &l, &why);
		if (verdict == KUBE_OK) {
			printf("confirmed: the worker now removes the %llu of run %s\n", l.count, l.run);
			return CLI_OK;
		}
		if (verdict != KUBE_CONFLICT)
			break;
	}
	return cli_error(self, "Lease %s/%s: %s", l.namespace_, l.name, why.msg);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {0};
	const char *output = NULL;
	const struct cli_option options[] = {{"config", 'c', &o.config, NULL}, {"kubeconfig", 0, &o.kubeconfig, NULL},
	    {"context", 0, &o.context, NULL}, {"confirm", 0, NULL, &o.confirm}, {"run-id", 0, &o.run, NULL},
	    {"output", 'o', &output, NULL}, {0}};
	if (!cli_repeated(self, "remove-orphan", 0, &o.orphans, &argc, argv) ||
	    !cli_options(self, options, &argc, argv) || !cli_output(self, output, &o.json))
		return CLI_USAGE;
	if (argc > 0)
		return cli_usage(self, "unexpected argument %s", argv[0]);
	if (o.confirm != (o.run != NULL))
		return cli_usage(self, "--confirm and --run-id stand together: confirm what you have looked at");
	if (o.orphans.n && (o.confirm || o.json))
		return cli_usage(self, "--remove-orphan stands alone");
	struct cli_sync s;
	int code = CLI_USAGE;
	if (cli_sync_load_worker(o.config, &s) && cli_sync_connect(self, o.kubeconfig, o.context, &s))
		code = o.confirm ? confirm(self, &o, &s) : look(self, &o, &s);
	cli_sync_done(&s);
	return code;
}

const struct command cmd_sync_gc = {
    .name = "sync gc",
    .args = "[--config FILE] [--confirm --run-id ID] [--remove-orphan OBJECT …]",
    .summary = "Lists who is leaving and which removals are blocked; confirms a blocked run.",
    .help = "Tells the run of removals that is over the limit, users that are stale, disabled, suspended or\n"
	    "deleted, with the dates of what will happen to them, and objects that carry our label and stand in\n"
	    "no record. Confirming lets just that run go; what has become a candidate since then is another run.\n"
	    "It needs the right to patch the worker's Lease, which the worker itself does not have: say\n"
	    "--kubeconfig. Removing an orphan needs the right to delete it.\n\n"
	    "  -c, --config FILE      the worker's configuration; default " WORKER_CONFIG_PATH "\n"
	    "      --kubeconfig FILE  how to reach the apiserver, in place of the configuration's\n"
	    "      --context NAME     context of the kubeconfig; default its current-context\n"
	    "      --confirm          lets the blocked run go that --run-id names\n"
	    "      --run-id ID        as this command told it\n"
	    "      --remove-orphan OBJECT   deletes that object, named as this command told it, if it bears all\n"
	    "                         our marks, stands in no record's inventory and is in the state that was\n"
	    "                         looked at; may be given many times: either all are such, or none goes\n"
	    "  -o, --output FORMAT    text (default) or json\n\n"
	    "Exit codes: 0 nothing is blocked, or confirmed, or removed; 1 a run is blocked, or it is another\n"
	    "than confirmed, or what was named is no such orphan; 2 wrong usage, or no answer of the apiserver.",
    .run = run,
};
