/* A template file, a small cluster that it looks at, and plans as lines of text. */
#ifndef TESTS_SUPPORT_DUE_FIXTURE_H
#define TESTS_SUPPORT_DUE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/jsonx.h"
#include "rbac-sync/due.h"

#define DUE_HEAD "apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\n"
#define DUE_NOW INT64_C(1795435200) /* Monday 2026-11-23T12:00:00Z */

struct due_fixture {
	struct arena arena;
	struct sync_config *config;
	struct rails rails;
	struct due_world world;
	struct record record;
	struct due due;
};

/* Namespaces of the cluster with a label; kube-system is mislabelled on purpose. */
static const struct {
	const char *name, *label, *value;
} due_namespaces[] = {
    {"blue-dev", "team", "blue"}, {"blue-prod", "team", "blue"}, {"kube-system", "team", "blue"},
    {"red", "team", "red"}};

static inline size_t due_fit(void *ctx, const struct selector *sel, struct arena *a, const char ***out)
{
	size_t n = 0;
	(void)ctx;
	*out = ARENA_ARRAY(a, const char *, ARRAY_LEN(due_namespaces));
	for (size_t i = 0; i < ARRAY_LEN(due_namespaces); i++) {
		json_t *labels =
		    json_pack("{s:s}", due_namespaces[i].label, due_namespaces[i].value);
		if (selector_matches(sel, labels))
			(*out)[n++] = due_namespaces[i].name;
		json_decref(labels);
	}
	return n;
}

/* By the name of the role. */
static inline enum role_verdict due_role(void *ctx, const char *namespace_, const char *kind,
    const char *name, bool cluster_wide, struct arena *a, const char **why)
{
	(void)ctx;
	(void)a;
	*why = "it may do all";
	assert_int_equal(namespace_ != NULL, strcmp(kind, "Role") == 0);
	if (strcmp(name, "danger") == 0 || (cluster_wide && strcmp(name, "secrets") == 0))
		return ROLE_DANGEROUS;
	if (strcmp(name, "absent") == 0)
		return ROLE_ABSENT;
	return strcmp(name, "unknown") == 0 ? ROLE_UNKNOWN : ROLE_FINE;
}

static const struct slice due_groups[] = {{"eng-blue", 8}, {"ops", 3}, {"eng-red", 7}};
static const struct slice due_teams[] = {{"blue", 4}, {"red", 3}};
static const struct spool_extra due_extra[] = {{{"team", 4}, due_teams, 2}};

/* alice@x.org of ldap:corp; TEXT is what follows the head of the file. */
static inline void due_open(struct due_fixture *f, const char *text)
{
	struct diags d = {0};
	*f = (struct due_fixture){0};
	arena_init(&f->arena, 0);
	const char *all = arena_printf(&f->arena, DUE_HEAD "%s", text);
	if (sync_config_parse("t.yaml", slice_of(all), &f->config, &d) != ERR_OK) {
		struct err e;
		diags_to_err(&d, &e);
		fail_msg("%s\n%s", e.msg, all);
	}
	diags_done(&d);
	f->world = (struct due_world){.config = f->config, .rails = &f->rails,
	    .max_objects = DUE_OBJECTS_MAX, .now = DUE_NOW, .namespaces = due_fit, .role = due_role};
	f->record = (struct record){.name = "spzsq5gjeck63cyx5imy6opk3o", .created = DUE_NOW - 86400,
	    .identity = {.provider = SLICE("ldap:corp"), .username = SLICE("alice@x.org"),
		.uid = SLICE("1000"), .groups = due_groups, .ngroups = ARRAY_LEN(due_groups),
		.extra = due_extra, .nextra = 1, .seen_at = DUE_NOW - 3600}};
}

static inline void due_close(struct due_fixture *f)
{
	arena_done(&f->arena);
	sync_config_free(&f->config);
}

static inline void due_plan(struct due_fixture *f)
{
	due_make(&f->arena, &f->record, &f->world, &f->due);
}

static inline int due_text_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static inline const char *due_path(const json_t *o, const char *a, const char *b)
{
	return json_string_value(json_object_get(json_object_get(o, a), b));
}

/* "Namespace u-x user", "ResourceQuota u-x/default user", "RoleBinding shop edit User:alice@x.org". */
static inline const char *due_line(struct arena *a, const struct desired *d)
{
	const char *kind = object_types[d->id.kind].kind;
	const json_t *subject = json_array_get(json_object_get(d->body, "subjects"), 0);
	const char *where = d->id.namespace_ ? d->id.namespace_ : "*";
	const json_t *notes = json_object_get(json_object_get(d->body, "metadata"), "annotations");
	const char *owner = json_object_get(notes, ANNOTATION_USER) ? "user"
	    : json_object_get(notes, ANNOTATION_GROUP)		     ? "group"
								     : "template";
	assert_int_equal(d->shared, strcmp(owner, "user") != 0);
	if (subject)
		return arena_printf(a, "%s %s %s %s:%s", kind, where, due_path(d->body, "roleRef", "name"),
		    json_string_value(json_object_get(subject, "kind")),
		    json_string_value(json_object_get(subject, "name")));
	if (d->id.kind == KIND_NAMESPACE)
		return arena_printf(a, "%s %s %s", kind, d->id.name, owner);
	return arena_printf(a, "%s %s/%s %s", kind, where, d->id.name, owner);
}

/* One a line, sorted as text. */
static inline const char *due_lines(struct arena *a, const struct due *due)
{
	const char **lines = ARENA_ARRAY(a, const char *, due->len + 1), *out = "";
	for (size_t i = 0; i < due->len; i++)
		lines[i] = due_line(a, &due->objects[i]);
	qsort(lines, due->len, sizeof(*lines), due_text_order);
	for (size_t i = 0; i < due->len; i++)
		out = arena_printf(a, "%s%s\n", out, lines[i]);
	return out;
}

#endif
