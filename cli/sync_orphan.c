/* Owns objects of ours that no record knows of: what they give, and their removal by name. */
#include "cli/sync_orphan.h"

#include <stdio.h>

#include "common/jsonx.h"

#define LABEL_SELECTOR_MAX 256
#define TEXT_MAX ((size_t)64 << 10) /* a name has at most 253 bytes, and there are few kinds */

/* --- listing --- */

struct listing {
	struct orphans *out;
	enum object_kind kind;
};

static const char *member(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static const char *what_it_gives(struct arena *a, const json_t *item)
{
	const json_t *role = json_object_get(item, "roleRef"), *subjects = json_object_get(item, "subjects");
	const json_t *first = json_array_get(subjects, 0);
	size_t n = json_array_size(subjects);
	const char *to = n ? arena_printf(a, "%s %s", member(first, "kind"), member(first, "name")) : "nobody";
	const char *text = arena_printf(a, "%s %s to %s", member(role, "kind"), member(role, "name"), to);
	return n > 1 ? arena_printf(a, "%s and %zu more", cli_sync_shown(a, slice_of(text)), n - 1)
		     : cli_sync_shown(a, slice_of(text));
}

static void take(void *ctx, json_t *item)
{
	const struct listing *l = ctx;
	struct orphans *o = l->out;
	const json_t *meta = json_object_get(item, "metadata"), *labels = json_object_get(meta, "labels");
	bool binding = l->kind == KIND_ROLE_BINDING || l->kind == KIND_CLUSTER_ROLE_BINDING;
	struct orphan x = {.id = {.kind = l->kind, .name = arena_strdup(o->a, member(meta, "name"))}};
	if (object_types[l->kind].namespaced)
		x.id.namespace_ = arena_strdup(o->a, member(meta, "namespace"));
	x.uid = arena_strdup(o->a, member(meta, "uid"));
	x.version = arena_strdup(o->a, member(meta, "resourceVersion"));
	x.gives = binding ? what_it_gives(o->a, item) : NULL;
	x.marked = *member(labels, LABEL_RECORD) && (!binding || strncmp(x.id.name, "portcullis:", 11) == 0);
	x.kept = l->kind == KIND_CLUSTER_ROLE_BINDING && strcmp(member(labels, LABEL_KEEP), "true") == 0;
	ARENA_ROOM(o->a, o->v, o->n, o->cap, 64);
	o->v[o->n++] = x;
}

/* The worker may see the kinds that its templates make, and no others: these go to UNSEEN. */
static bool list_kind(const struct command *self, struct cli_sync *s, struct listing *l, struct buf *unseen)
{
	struct kube_answer got = {0};
	const char *version;
	struct buf query;
	buf_init(&query, LABEL_SELECTOR_MAX);
	buf_adds(&query, "labelSelector=");
	kube_escape(&query, LABEL_MANAGED_BY "=" MANAGED_BY);
	kube_list(s->kube, object_collection(&s->arena, l->kind, NULL), buf_cstr(&query), false, take, l, &s->arena, &version,
	    &got);
	buf_done(&query);
	bool ok = got.verdict == KUBE_OK || got.status == 403;
	if (got.status == 403)
		buf_printf(unseen, "%s%s", unseen->len ? ", " : "", object_types[l->kind].resource);
	else if (!ok)
		cli_error(self, "%s: %s", object_types[l->kind].resource, got.why.msg);
	kube_answer_done(&got);
	return ok;
}

bool orphans_list(const struct command *self, struct cli_sync *s, struct orphans *out)
{
	struct buf unseen;
	bool ok = true;
	buf_init(&unseen, TEXT_MAX);
	for (size_t k = 0; k < KIND_COUNT && ok; k++) {
		struct listing l = {out, (enum object_kind)k};
		ok = list_kind(self, s, &l, &unseen);
	}
	if (ok && unseen.len)
		fprintf(stderr, "portcullis %s: not looked at, since these credentials may not list them: %s\n", self->name,
		    buf_cstr(&unseen));
	buf_done(&unseen);
	return ok;
}

void orphans_drop_known(struct orphans *o, const struct map *inventory)
{
	size_t n = 0;
	for (size_t i = 0; i < o->n; i++) {
		if (!map_get(inventory, slice_of(object_id_text(o->a, &o->v[i].id))))
			o->v[n++] = o->v[i];
	}
	o->n = n;
}

/* --- telling --- */

static const char *shown(const struct orphans *o, const struct orphan *x)
{
	return cli_sync_shown(o->a, slice_of(object_id_text(o->a, &x->id)));
}

/* Why it is not removed by name; NULL: it may be. */
static const char *why_not(const struct orphan *x)
{
	if (x->id.kind == KIND_NAMESPACE)
		return "all that is in it would go along: kubectl delete namespace, if that is meant";
	if (!x->marked)
		return "it bears one label of ours and not all marks: kubectl delete, if it is nobody's";
	return x->kept ? "it is to be kept: take the label " LABEL_KEEP " off" : NULL;
}

void orphans_print(const struct orphans *o)
{
	bool removable = false;
	for (size_t i = 0; i < o->n; i++) {
		const struct orphan *x = &o->v[i];
		const char *gives = x->gives ? x->gives : "";
		printf("%s  %s%s%s\n", i ? "" : "\nin no record's inventory, left alone:\n", shown(o, x), *gives ? ": " : "",
		    gives);
		removable |= !why_not(x);
	}
	if (removable)
		puts("remove what is nobody's, one option each: portcullis sync gc --remove-orphan KIND/NAMESPACE/NAME");
}

void orphans_json(const struct orphans *o, struct buf *b)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct orphan *x = &o->v[i];
		buf_printf(b, "%s{\"kind\":", i ? "," : "");
		buf_json(b, slice_of(object_types[x->id.kind].kind));
		if (x->id.namespace_)
			buf_json_member(b, "namespace", slice_of(x->id.namespace_));
		buf_json_member(b, "name", slice_of(x->id.name));
		buf_json_member(b, "uid", slice_of(x->uid));
		if (x->gives)
			buf_json_member(b, "gives", slice_of(x->gives));
		buf_addc(b, '}');
	}
}

/* --- removing --- */

static const struct orphan *find(const struct orphans *o, const char *name)
{
	for (size_t i = 0; i < o->n; i++) {
		if (strcmp(object_id_text(o->a, &o->v[i].id), name) == 0)
			return &o->v[i];
	}
	return NULL;
}

static bool all_removable(const struct command *self, const struct orphans *o, const struct cli_values *names)
{
	bool all = true;
	for (size_t i = 0; i < names->n; i++) {
		const struct orphan *x = find(o, names->v[i]);
		const char *why = x ? why_not(x) : "no such object, or it stands in a record's inventory";
		if (why)
			cli_error(self, "%s: %s", cli_sync_shown(o->a, slice_of(names->v[i])), why);
		all &= !why;
	}
	return all;
}

static int remove_one(const struct command *self, struct cli_sync *s, const struct orphans *o, const struct orphan *x)
{
	struct kube_answer got = {0};
	int code = CLI_OK;
	kube_delete(s->kube, object_path(o->a, &x->id), x->uid, x->version, &got);
	const json_t *finalizers = json_object_get(json_object_get(got.body, "metadata"), "finalizers");
	if (got.verdict == KUBE_OK && json_array_size(finalizers)) {
		cli_error(self, "%s: finalizers hold it, and until they are taken off it counts", shown(o, x));
		code = CLI_NO;
	} else if (got.verdict == KUBE_CONFLICT) {
		cli_error(self, "%s: it was changed just now: look at it again", shown(o, x));
		code = CLI_NO;
	} else if (got.verdict != KUBE_OK && got.verdict != KUBE_ABSENT) {
		code = cli_error(self, "%s: %s", shown(o, x), got.why.msg);
	} else {
		printf("removed: %s\n", shown(o, x));
	}
	kube_answer_done(&got);
	return code;
}

int orphans_remove(const struct command *self, struct cli_sync *s, const struct orphans *o, const struct cli_values *names)
{
	int worst = CLI_OK;
	if (!all_removable(self, o, names))
		return CLI_NO;
	for (size_t i = 0; i < names->n; i++) {
		int code = remove_one(self, s, o, find(o, names->v[i]));
		worst = code > worst ? code : worst;
	}
	return worst;
}
