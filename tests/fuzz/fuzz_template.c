/* Fuzzes template files: whatever loads, what hostile identities are due by it stays inside the rails. */
#include "common/jsonx.h"
#include "rbac-sync/due.h"
#include "tests/fuzz/fuzz.h"

#define MAX 20

static const struct slice groups[] = {{"system:masters", 14}, {"eng-blue", 8}, {"Eng Blue", 8}, {"", 0},
    {"kube-system", 11}, {"../default", 10}, {"a\nb", 3}, {"default", 7}, {"x\xe2\x80\xae", 4}};

static const struct slice users[] = {{"alice", 5}, {"system:admin", 12}, {"Bob@Example.com", 15},
    {"kubernetes-admin", 16}, {" eve", 4}, {"${group}", 8}, {"-", 1}};

static const char *text_at(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	FUZZ_CHECK(s);
	return s;
}

static bool is_member(const struct spool_event *ev, const char *group)
{
	for (size_t i = 0; i < ev->ngroups; i++) {
		if (slice_is(ev->groups[i], group))
			return true;
	}
	return false;
}

static void check_binding(const struct desired *o, const struct spool_event *ev)
{
	const json_t *role = json_object_get(o->body, "roleRef");
	const json_t *subjects = json_object_get(o->body, "subjects");
	FUZZ_CHECK(json_array_size(subjects) == 1);
	const json_t *s = json_array_get(subjects, 0);
	const char *name = text_at(s, "name");
	FUZZ_CHECK(!rails_role(slice_of(text_at(role, "name"))));
	FUZZ_CHECK(!rails_subject(slice_of(name)));
	if (strcmp(text_at(s, "kind"), "User") == 0)
		FUZZ_CHECK(slice_is(ev->username, name));
	else
		FUZZ_CHECK(strcmp(text_at(s, "kind"), "Group") == 0 && is_member(ev, name));
	FUZZ_CHECK(strncmp(o->id.name, "portcullis:", 11) == 0 && !strpbrk(o->id.name, "/% "));
}

static void check_object(const struct desired *o, const struct spool_event *ev)
{
	const struct object_type *type = &object_types[o->id.kind];
	FUZZ_CHECK(strcmp(text_at(o->body, "kind"), type->kind) == 0);
	FUZZ_CHECK(type->namespaced == (o->id.namespace_ != NULL));
	if (o->id.namespace_ || o->id.kind == KIND_NAMESPACE)
		FUZZ_CHECK(!rails_namespace(NULL, slice_of(o->id.namespace_ ? o->id.namespace_ : o->id.name)));
	if (o->id.kind == KIND_ROLE_BINDING || o->id.kind == KIND_CLUSTER_ROLE_BINDING)
		check_binding(o, ev);
}

static void check_due(const struct sync_config *c, struct slice user)
{
	const struct due_world w = {.config = c, .max_objects = MAX, .now = 1800000000};
	const struct record r = {.name = "x",
	    .identity = {.provider = SLICE("ldap:corp"), .username = user, .groups = groups,
		.ngroups = ARRAY_LEN(groups), .seen_at = 1800000000}};
	struct arena a;
	struct due due;
	arena_init(&a, 0);
	due_make(&a, &r, &w, &due);
	FUZZ_CHECK(due.len <= MAX);
	for (size_t i = 0; i < due.len; i++)
		check_object(&due.objects[i], &r.identity);
	arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sync_config *c = NULL;
	struct diags d = {0};
	if (size > 4096) /* names and lists repeat beyond that; what is due grows with their product */
		return 0;
	enum err_code rc = sync_config_parse("t.yaml", fuzz_slice(data, size), &c, &d);
	FUZZ_CHECK((rc == ERR_OK) == (d.errors == 0) && (rc == ERR_OK) == (c != NULL));
	for (size_t i = 0; c && i < ARRAY_LEN(users); i++)
		check_due(c, users[i]);
	sync_config_free(&c);
	diags_done(&d);
	return 0;
}
