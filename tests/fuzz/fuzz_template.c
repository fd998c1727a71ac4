/* Fuzzes template files: whatever loads, what it gives hostile identities stays inside the rails, belongs to them
 * alone or says whom it is shared with, and changes when it says that it will. */
#include "common/jsonx.h"
#include "rbac-sync/due.h"
#include "tests/fuzz/fuzz.h"

#define MAX 20
#define NOW INT64_C(1795435200)

static const struct slice groups[] = {{"system:masters", 14}, {"eng-blue", 8}, {"Eng Blue", 8}, {"", 0},
    {"kube-system", 11}, {"../default", 10}, {"a\nb", 3}, {"default", 7}, {"x\xe2\x80\xae", 4}};

static const struct slice users[] = {{"alice", 5}, {"system:admin", 12}, {"Bob@Example.com", 15},
    {"kubernetes-admin", 16}, {" eve", 4}, {"${group}", 8}, {"-", 1}};

#define USERS ARRAY_LEN(users)

static const struct slice values[] = {{"Blue Team", 9}, {"b", 1}};
static const struct spool_extra extra[] = {{{"team", 4}, values, 2}, {{"none", 4}, NULL, 0}};

static size_t all_namespaces(void *ctx, const struct selector *sel, struct arena *a, const char ***out)
{
	static const char *const names[] = {"default", "kube-system", "shop"};
	(void)ctx;
	*out = ARENA_ARRAY(a, const char *, ARRAY_LEN(names));
	memcpy(*out, names, sizeof(names));
	(void)selector_matches(sel, NULL);
	return ARRAY_LEN(names);
}

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

static void check_binding(const struct desired *d, const struct spool_event *ev)
{
	const json_t *role = json_object_get(d->body, "roleRef");
	const json_t *subjects = json_object_get(d->body, "subjects");
	FUZZ_CHECK(json_array_size(subjects) == 1);
	const json_t *s = json_array_get(subjects, 0);
	const char *name = text_at(s, "name");
	FUZZ_CHECK(!rails_role(slice_of(text_at(role, "name"))));
	FUZZ_CHECK(!rails_subject(slice_of(name)));
	if (strcmp(text_at(s, "kind"), "User") == 0)
		FUZZ_CHECK(slice_is(ev->username, name) && !d->shared);
	else
		FUZZ_CHECK(strcmp(text_at(s, "kind"), "Group") == 0 && is_member(ev, name) && d->shared);
	FUZZ_CHECK(strncmp(d->id.name, "portcullis:", 11) == 0 && !strpbrk(d->id.name, "/% "));
}

static void check_object(const struct desired *d, const struct spool_event *ev)
{
	const json_t *meta = json_object_get(d->body, "metadata"), *labels = json_object_get(meta, "labels");
	const char *key;
	json_t *value;
	if (d->id.namespace_)
		FUZZ_CHECK(!rails_namespace(NULL, slice_of(d->id.namespace_)));
	if (d->id.kind == KIND_NAMESPACE)
		FUZZ_CHECK(!rails_namespace(NULL, slice_of(d->id.name)));
	else if (d->id.kind == KIND_ROLE_BINDING || d->id.kind == KIND_CLUSTER_ROLE_BINDING)
		check_binding(d, ev);
	else
		FUZZ_CHECK(dns_subdomain_ok(slice_of(d->id.name)) && d->id.namespace_);
	json_object_foreach((json_t *)(uintptr_t)labels, key, value)
		FUZZ_CHECK(label_key_ok(slice_of(key)) && label_value_ok(jsonx_text(value)));
	FUZZ_CHECK(strcmp(text_at(labels, LABEL_MANAGED_BY), MANAGED_BY) == 0);
	FUZZ_CHECK(strcmp(text_at(labels, LABEL_RECORD), d->owner) == 0);
	FUZZ_CHECK(strcmp(text_at(json_object_get(meta, "annotations"), ANNOTATION_SPEC_HASH), d->hash) == 0);
}

static bool same(const struct due *a, const struct due *b)
{
	bool eq = a->len == b->len;
	for (size_t i = 0; eq && i < a->len; i++)
		eq = object_id_eq(&a->objects[i].id, &b->objects[i].id) &&
		     strcmp(a->objects[i].hash, b->objects[i].hash) == 0;
	return eq;
}

/* A namespace that is made for one is never another's. */
static void check_apart(const struct due *a, const struct due *b)
{
	for (size_t i = 0; i < a->len; i++) {
		for (size_t j = 0; j < b->len && a->objects[i].id.kind == KIND_NAMESPACE; j++) {
			if (!object_id_eq(&a->objects[i].id, &b->objects[j].id))
				continue;
			FUZZ_CHECK(a->objects[i].shared && b->objects[j].shared);
			FUZZ_CHECK(json_equal(a->objects[i].body, b->objects[j].body));
		}
	}
}

static void check_user(
    struct arena *a, const struct sync_config *c, struct slice user, struct due *out)
{
	const struct rails rails = {0};
	struct due_world w = {.config = c, .rails = &rails, .max_objects = MAX, .now = NOW,
	    .namespaces = all_namespaces};
	const struct record r = {.name = "r", .created = NOW, .identity = {.provider = SLICE("ldap:corp"),
	    .username = user, .uid = user, .groups = groups, .ngroups = ARRAY_LEN(groups), .extra = extra,
	    .nextra = ARRAY_LEN(extra), .seen_at = NOW - 3600}};
	struct due later;
	due_make(a, &r, &w, out);
	FUZZ_CHECK(out->len <= MAX && out->nrefusals <= DUE_REFUSALS_MAX && out->next > NOW);
	for (size_t i = 0; i < out->len; i++)
		check_object(&out->objects[i], &r.identity);
	w.now = out->next == INT64_MAX ? NOW + 1000000000 : out->next - 1;
	due_make(a, &r, &w, &later);
	FUZZ_CHECK(same(out, &later));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sync_config *c = NULL;
	struct diags d = {0};
	struct due due[USERS];
	struct arena a;
	if (size > 4096) /* names and lists repeat beyond that; plans grow with their product */
		return 0;
	enum err_code rc = sync_config_parse("t.yaml", fuzz_slice(data, size), &c, &d);
	FUZZ_CHECK((rc == ERR_OK) == (d.errors == 0) && (rc == ERR_OK) == (c != NULL));
	arena_init(&a, 0);
	for (size_t i = 0; c && i < USERS; i++) {
		check_user(&a, c, users[i], &due[i]);
		for (size_t j = 0; j < i; j++)
			check_apart(&due[i], &due[j]);
	}
	arena_done(&a);
	sync_config_free(&c);
	diags_done(&d);
	return 0;
}
