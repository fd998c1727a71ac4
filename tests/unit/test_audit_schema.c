/* Proves that the published schema of audit records names what is written, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/audit_sample.h"

#define PATHS_MAX 128

struct paths {
	char at[PATHS_MAX][64];
	size_t n;
};

static void add_path(struct paths *p, const char *path)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->at[i], path) == 0)
			return;
	assert_true(p->n < PATHS_MAX);
	snprintf(p->at[p->n++], sizeof(p->at[0]), "%s", path);
}

static void emitted(struct paths *p, const char *prefix, json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;
	json_array_foreach(value, i, member)
		emitted(p, prefix, member);
	json_object_foreach(value, key, member) {
		char path[64];
		snprintf(path, sizeof(path), "%s.%s", prefix, key);
		add_path(p, path);
		emitted(p, path, member);
	}
}

static void published(struct paths *p, const char *prefix, json_t *schema)
{
	const char *key;
	json_t *member, *items = json_object_get(schema, "items");
	if (items)
		published(p, prefix, items);
	json_object_foreach(json_object_get(schema, "properties"), key, member) {
		char path[64];
		snprintf(path, sizeof(path), "%s.%s", prefix, key);
		add_path(p, path);
		assert_non_null(json_object_get(member, "type"));
		assert_non_null(json_object_get(member, "description"));
		published(p, path, member);
	}
}

static void assert_holds_all(const struct paths *in, const struct paths *of, const char *what)
{
	for (size_t i = 0; i < of->n; i++) {
		bool found = false;
		for (size_t k = 0; k < in->n; k++)
			found |= strcmp(in->at[k], of->at[i]) == 0;
		if (!found)
			fail_msg("%s: %s", what, of->at[i]);
	}
}

static void assert_required(json_t *schema, json_t *record)
{
	size_t i;
	json_t *name;
	assert_true(json_array_size(json_object_get(schema, "required")) > 0);
	json_array_foreach(json_object_get(schema, "required"), i, name)
		assert_non_null(json_object_get(record, json_string_value(name)));
}

/* Records that together hold every member there is. */
static void sample(size_t i, struct buf *body)
{
	static char big[8192];
	memset(big, 'x', sizeof(big) - 1);
	struct audit_authz z = full_authz();
	struct audit_authn n = full_authn();
	struct slice long_group = {big, sizeof(big) - 1};
	static const struct audit_policy_file file = {"p", "native", "s", true, 1};
	static const struct audit_policy loaded = {.source = "p", .sha256 = "s", .old_sha256 = "o",
	    .generation = 2, .old_generation = 1, .shadow = true, .signed_by = "k", .files = 1,
	    .list = &file};
	static const struct audit_policy rejected = {.rejected = true, .error = "e", .stage = "read"};
	static const struct record_self self[] = {
	    {.path = "p", .continued = true, .torn_bytes = 1, .cause = "c"}, {.count = 1}, {.size = 1}};
	switch (i) {
	case 0:
		z.path = SLICE("/x");
		z.policy_signed_by = "k";
		z.shadow = (struct audit_shadow){"deny", "r", 2};
		z.evaluation_error = SLICE("e");
		z.user.groups = &long_group;
		z.user.ngroups = 1;
		z.reason = long_group;
		record_authz(body, &origin, &z);
		break;
	case 1:
		record_authz(body, &origin, &z);
		break;
	case 2:
	case 3:
		n.kind = i == 3 ? AUDIT_LOGIN : AUDIT_REVIEW;
		record_authn(body, &origin, &n);
		break;
	case 4:
	case 5:
		record_policy(body, &origin, i == 4 ? &loaded : &rejected);
		break;
	case 6:
		record_event(body, &origin, "other", "d");
		break;
	case 7:
		record_self(body, &origin, RECORD_OPENED, &self[0]);
		break;
	case 8:
		record_self(body, &origin, RECORD_GAP, &self[1]);
		break;
	case 9:
		record_rules(body, &origin, &(struct audit_rules){.final = true, .rules = approvers, .n = 2});
		break;
	default:
		record_self(body, &origin, RECORD_TRUNCATED, &self[2]);
	}
}

static void test_schema_says_what_is_written(void **state)
{
	(void)state;
	char file[4096];
	const char *top = getenv("top_srcdir");
	snprintf(file, sizeof(file), "%s/docs/audit-record.schema.json", top ? top : ".");
	json_t *schema = json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(schema);
	static struct paths ours, theirs;
	published(&theirs, "", schema);
	for (size_t i = 0; i < 11; i++) {
		struct buf body = {0}, line;
		sample(i, &body);
		line_of(&line, &body);
		json_t *record = parse(&line);
		assert_required(schema, record);
		emitted(&ours, "", record);
		json_decref(record);
		buf_done(&line);
		buf_done(&body);
	}
	assert_holds_all(&theirs, &ours, "written, not in the schema");
	assert_holds_all(&ours, &theirs, "in the schema, never written");
	json_t *type = json_object_get(json_object_get(schema, "properties"), "type");
	json_t *names = json_object_get(type, "enum");
	assert_int_equal(json_array_size(names), RECORD_TYPES);
	for (int t = 0; t < RECORD_TYPES; t++) {
		bool found = false;
		json_t *name;
		size_t i;
		json_array_foreach(names, i, name)
			found |= strcmp(json_string_value(name),
				     record_type_name((enum record_type)t)) == 0;
		assert_true(found);
	}
	json_decref(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_schema_says_what_is_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
