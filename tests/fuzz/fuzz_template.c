/* Fuzzes template files: whatever loads, the plans it gives for hostile identities stay inside the rails. */
#include "common/jsonx.h"
#include "rbac-sync/plan.h"
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

static void check_object(const struct plan_object *o, const struct spool_event *ev)
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
	if (o->namespace_)
		FUZZ_CHECK(!rails_namespace(NULL, slice_of(o->namespace_)));
	FUZZ_CHECK(strcmp(o->kind, o->namespace_ ? "RoleBinding" : "ClusterRoleBinding") == 0);
	FUZZ_CHECK(strncmp(o->name, "portcullis:", 11) == 0 && !strpbrk(o->name, "/% "));
	FUZZ_CHECK(plan_compare(o, o->body) == PLAN_SAME);
}

static void check_plan(const struct sync_config *c, struct slice user)
{
	const struct plan_limits limits = {.max_objects = MAX};
	const struct spool_event ev = {.provider = SLICE("ldap:corp"), .username = user,
	    .groups = groups, .ngroups = ARRAY_LEN(groups)};
	struct arena a;
	struct plan plan;
	arena_init(&a, 0);
	plan_make(&a, c, &limits, &ev, &plan);
	FUZZ_CHECK(plan.len <= MAX && plan.nrefusals <= PLAN_OBJECTS_MAX);
	for (size_t i = 0; i < plan.len; i++)
		check_object(&plan.objects[i], &ev);
	arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sync_config *c = NULL;
	struct diags d = {0};
	if (size > 4096) /* names and lists repeat beyond that; plans grow with their product */
		return 0;
	enum err_code rc = sync_config_parse("t.yaml", fuzz_slice(data, size), &c, &d);
	FUZZ_CHECK((rc == ERR_OK) == (d.errors == 0) && (rc == ERR_OK) == (c != NULL));
	for (size_t i = 0; c && i < ARRAY_LEN(users); i++)
		check_plan(c, users[i]);
	sync_config_free(&c);
	diags_done(&d);
	return 0;
}
