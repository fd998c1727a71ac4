/* Owns the tables of the language: what each key is, where it goes in the structs of ast.h, what editors are
 * told of it. */
#include <stddef.h>

#include "common/clock.h"
#include "policy/ast.h"

#define SUBJECTS_MAX 100000 /* names in one list: a generated list of a large company's people */
#define TESTS_MAX 100000
#define BREAK_GLASS_APPROVERS_MAX 16 /* they stand in each record of a use */
#define BREAK_GLASS_DEFAULT "24h"
#define BREAK_GLASS_LONGEST (7 * 24 * 3600 * CLOCK_SECOND) /* what lasts longer is no emergency */

/* For editors: what the checks say in full. */
#define PLACE "^[a-z0-9*-]+$"
#define MOMENT "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}"
#define DAY "(mon|tue|wed|thu|fri|sat|sun)"
#define MINUTE "[0-2][0-9]:[0-5][0-9]"

/* Each is compared with those of a request. */
#define REQUIREMENTS_MAX 100
#define REQUIREMENT_VALUES_MAX 1000

static const char *const versions[] = {"portcullis.dev/v1alpha1", NULL};
static const char *const kinds[] = {"AccessPolicy", NULL};
static const char *const guards_kinds[] = {"AccessGuards", NULL};
static const char *const effects[] = {"allow", "deny", "abstain", NULL};
static const char *const alls[] = {
    "authenticated", "unauthenticated", "serviceaccounts", "everyone", NULL};
static const char *const scopes[] = {"only", NULL};
static const char *const overlaps[] = {"possible", "exact", NULL};
static const char *const modes[] = {"enforce", "shadow", NULL};
static const char *const operators[] = {"In", "NotIn", "Exists", "DoesNotExist", NULL};
static const char *const decisions[] = {"NoOpinion", "Deny", NULL};
static const char *const verdicts[] = {"allow", "deny", "noOpinion", NULL};

/* Every struct remembers the node it was bound from. */
#define KEEP_NODE(type)                                                                            \
	static void keep_##type(                                                                   \
	    void *obj, const struct yaml_node *node, const char *file, struct diags *d)            \
	{                                                                                          \
		(void)file;                                                                        \
		(void)d;                                                                           \
		((struct type *)obj)->node = node;                                                 \
	}

KEEP_NODE(ast_subjects)
KEEP_NODE(ast_except)
KEEP_NODE(ast_namespaces)
KEEP_NODE(ast_requirement)
KEEP_NODE(ast_selector)
KEEP_NODE(ast_span)
KEEP_NODE(ast_break_glass)
KEEP_NODE(ast_grant)
KEEP_NODE(ast_role)
KEEP_NODE(ast_as)
KEEP_NODE(ast_can)
KEEP_NODE(ast_test)
KEEP_NODE(ast_metadata)
KEEP_NODE(ast_defaults)
KEEP_NODE(ast_import)
KEEP_NODE(ast_import_path)
KEEP_NODE(ast_file)

/* The doc line comes last; more may follow it. */
#define STRINGS(of, key, member, ...)                                                           \
	{                                                                                          \
		.name = key, .type = FIELD_STRINGS, .offset = offsetof(struct of, member),       \
		.nonempty = true, .max_items = SUBJECTS_MAX, .doc = __VA_ARGS__                           \
	}
#define STRING(of, key, member, ...)                                                            \
	{                                                                                          \
		.name = key, .type = FIELD_STRING, .offset = offsetof(struct of, member),        \
		.doc = __VA_ARGS__                                                                        \
	}
#define OBJECT(of, key, member, table, ...)                                                     \
	{                                                                                          \
		.name = key, .type = FIELD_OBJECT, .offset = offsetof(struct of, member),        \
		.sub = &(table), .doc = __VA_ARGS__                                                       \
	}
#define OBJECTS(of, key, member, table, max, ...)                                               \
	{                                                                                          \
		.name = key, .type = FIELD_OBJECTS, .offset = offsetof(struct of, member),       \
		.sub = &(table), .nonempty = true, .max_items = max, .doc = __VA_ARGS__                   \
	}
#define CHOICE(of, key, member, words, ...)                                                     \
	{                                                                                          \
		.name = key, .type = FIELD_ENUM, .offset = offsetof(struct of, member),          \
		.choices = words, .doc = __VA_ARGS__                                                      \
	}
#define NODE(of, key, member, ...)                                                              \
	{                                                                                          \
		.name = key, .type = FIELD_NODE, .offset = offsetof(struct of, member),          \
		.doc = __VA_ARGS__                                                                        \
	}
#define LATER(key, why)                                                                            \
	{                                                                                          \
		.name = key, .type = FIELD_NODE, .unsupported = why, .doc = why                    \
	}
#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}

#define TABLE(ident, type, title, ...)                                                             \
	static const struct field ident##_fields[] = {__VA_ARGS__, END};                           \
	static const struct schema ident = {.name = title,                                         \
	    .size = sizeof(struct type),                                                           \
	    .fields = ident##_fields,                                                              \
	    .place = SCHEMA_NO_PLACE,                                                              \
	    .present = SCHEMA_NO_PLACE,                                                            \
	    .check = keep_##type}

/* clang-format off */
#define SUBJECT_FIELDS                                                                             \
	STRINGS(ast_subjects, "users", users, "user names; globs"),                                \
	STRINGS(ast_subjects, "groups", groups, "group names; globs"),                             \
	STRINGS(ast_subjects, "serviceAccounts", service_accounts,                                 \
	    "service accounts as namespace/name; globs in either part",                            \
	    .pattern = "^[^/:]+/[^/:]+$")

#define SUBJECT_ALL CHOICE(ast_subjects, "all", all, alls, "everybody of a kind")

TABLE(alias_subjects, ast_subjects, "a subjects alias", SUBJECT_FIELDS, SUBJECT_ALL);

/* No `all`: nobody should exempt all from every deny. */
TABLE(exempt, ast_subjects, "exempt", SUBJECT_FIELDS,
	STRING(ast_subjects, "alias", alias, "name of an entry of aliases.subjects"));

static const struct field subjects_fields[] = {SUBJECT_FIELDS, SUBJECT_ALL,
	STRING(ast_subjects, "alias", alias, "name of an entry of aliases.subjects"), END};
static const struct schema subjects = {.name = "subjects", .size = sizeof(struct ast_subjects),
	.fields = subjects_fields, .place = SCHEMA_NO_PLACE,
	.present = offsetof(struct ast_subjects, present), .check = keep_ast_subjects};

static const struct field except_fields[] = {
	{.name = "subjects", .type = FIELD_OBJECT, .offset = offsetof(struct ast_except, subjects),
	    .sub = &subjects, .required = true, .doc = "whom the rule does not concern"},
	END};
static const struct schema except = {.name = "except", .size = sizeof(struct ast_except),
	.fields = except_fields, .place = SCHEMA_NO_PLACE,
	.present = offsetof(struct ast_except, present), .check = keep_ast_except};

static const struct field namespaces_fields[] = {
	STRINGS(ast_namespaces, "include", include, "namespaces; globs", .pattern = PLACE),
	STRINGS(ast_namespaces, "exclude", exclude, "namespaces taken out again; globs", .pattern = PLACE),
	STRING(ast_namespaces, "alias", alias, "name of an entry of aliases.namespaces"), END};
/* For a plain list, wrapped as if it stood in a mapping. */
static const struct field namespace_list_fields[] = {
	STRINGS(ast_namespaces, "namespaces", include, "namespaces; globs", .pattern = PLACE), END};
static const struct schema namespace_list = {.name = "namespaces",
	.size = sizeof(struct ast_namespaces), .fields = namespace_list_fields,
	.place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE, .check = keep_ast_namespaces};
static const struct schema namespaces = {.name = "namespaces",
	.size = sizeof(struct ast_namespaces), .fields = namespaces_fields,
	.place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE, .check = keep_ast_namespaces};

TABLE(alias_namespaces, ast_namespaces, "a namespaces alias",
	STRINGS(ast_namespaces, "include", include, "namespaces; globs", .pattern = PLACE),
	STRINGS(ast_namespaces, "exclude", exclude, "namespaces taken out again; globs", .pattern = PLACE));

static const struct field requirement_fields[] = {
	{.name = "key", .type = FIELD_STRING, .offset = offsetof(struct ast_requirement, key),
	    .required = true, .nonempty = true, .doc = "name of the field or label"},
	{.name = "operator", .type = FIELD_ENUM, .offset = offsetof(struct ast_requirement, op),
	    .required = true, .choices = operators, .doc = "how the values are meant"},
	{.name = "values", .type = FIELD_STRINGS, .offset = offsetof(struct ast_requirement, values),
	    .nonempty = true, .max_items = REQUIREMENT_VALUES_MAX,
	    .doc = "for In and NotIn, and for these only"},
	END};
static const struct schema requirement = {.name = "a requirement",
	.size = sizeof(struct ast_requirement), .fields = requirement_fields,
	.place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE, .check = keep_ast_requirement};

static const struct field selector_fields[] = {
	{.name = "requirements", .type = FIELD_OBJECTS, .required = true, .nonempty = true,
	    .offset = offsetof(struct ast_selector, requirements), .sub = &requirement,
	    .max_items = REQUIREMENTS_MAX, .doc = "all of them must hold"},
	END};
static const struct schema selector = {.name = "a selector", .size = sizeof(struct ast_selector),
	.fields = selector_fields, .place = SCHEMA_NO_PLACE,
	.present = offsetof(struct ast_selector, present), .check = keep_ast_selector};

/* A rule has verbs or roles; a rule of a role has verbs. */
#define GRANT_FIELDS(of, prefix, in_role)                                                          \
	STRINGS(of, "apiGroups", prefix api_groups, "API groups; \"\" is the core group, * all",  \
	    .pattern = "^([*]|[^*/]*)$"),                                                          \
	STRINGS(of, "resources", prefix resources,                                               \
	    "resources: pods, pods/log, */scale, *; pods/* where access is taken away",            \
	    .pattern = "^([*]|[^*/]+)(/([*]|[^*]+))?$", .either = in_role),                        \
	STRINGS(of, "resourceNames", prefix resource_names, "names of objects, literally",        \
	    .pattern = "."),                                                                       \
	STRINGS(of, "verbs", prefix verbs, "verbs; * is all", .pattern = "^([*]|[^*]+)$",          \
	    .required = in_role, .either = !(in_role)),                                            \
	STRINGS(of, "nonResourceURLs", prefix urls, "paths, exact or with * at the end",         \
	    .pattern = "^([*]|/[^*?]*[*]?)$", .either = in_role),                                  \
	STRINGS(of, "resourceNamesGlob", prefix resource_name_globs, "names of objects; globs",    \
	    .pattern = "."),                                                                       \
	OBJECT(of, "fieldSelector", prefix fields, selector,                                       \
	    "fields of the objects; only with the verbs list, watch, deletecollection"),           \
	OBJECT(of, "labelSelector", prefix labels, selector,                                       \
	    "labels of the objects; only with the verbs list, watch, deletecollection")

TABLE(grant, ast_grant, "a rule of a role", GRANT_FIELDS(ast_grant, , true));

static const struct field role_fields[] = {
	{.name = "name", .type = FIELD_STRING, .offset = offsetof(struct ast_role, name),
	    .required = true, .nonempty = true, .doc = "name that rules refer to"},
	{.name = "rules", .type = FIELD_OBJECTS, .offset = offsetof(struct ast_role, rules),
	    .required = true, .nonempty = true, .sub = &grant,
	    .doc = "what the role is about: the fields of RBAC's PolicyRule"},
	END};
static const struct schema role = {.name = "a role", .size = sizeof(struct ast_role),
	.fields = role_fields, .place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE,
	.check = keep_ast_role};

#define SPAN_FIELDS(of, prefix)                                                                    \
	STRING(of, "from", prefix from, "first moment (RFC 3339 with offset)", .pattern = MOMENT), \
	STRING(of, "until", prefix until, "first moment after it (RFC 3339 with offset)",          \
	    .pattern = MOMENT),                                                                    \
	STRING(of, "tz", prefix tz, "time zone of days and hours: Europe/Berlin, UTC"),            \
	{.name = "days", .type = FIELD_STRING_OR_STRINGS, .offset = offsetof(struct of, prefix days), \
	    .nonempty = true, .max_items = 7,                                                      \
	    .pattern = "^" DAY "(-" DAY ")?$",                                                     \
	    .doc = "days of the week: mon, sat-sun; absent: every day"},                           \
	{.name = "hours", .type = FIELD_STRING_OR_STRINGS, .offset = offsetof(struct of, prefix hours), \
	    .nonempty = true, .max_items = WINDOW_HOURS_MAX,                                       \
	    .pattern = "^" MINUTE "-" MINUTE "$",                                                  \
	    .doc = "hours of these days: 08:00-18:00, 22:00-06:00; absent: the whole day"}

static const struct field span_fields[] = {SPAN_FIELDS(ast_span, ), END};
static const struct schema span = {.name = "except of valid", .size = sizeof(struct ast_span),
	.fields = span_fields, .place = SCHEMA_NO_PLACE,
	.present = offsetof(struct ast_span, present), .check = keep_ast_span};

static void keep_valid(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	keep_ast_span(&((struct ast_valid *)obj)->in, node, file, d);
}

static const struct field valid_fields[] = {SPAN_FIELDS(ast_valid, in.),
	OBJECT(ast_valid, "except", except, span, "when it does not hold after all: the same keys"),
	END};
static const struct schema valid = {.name = "valid", .size = sizeof(struct ast_valid),
	.fields = valid_fields, .place = SCHEMA_NO_PLACE,
	.present = offsetof(struct ast_valid, present), .check = keep_valid};

static const struct field break_glass_fields[] = {
	{.name = "ticket", .type = FIELD_STRING, .offset = offsetof(struct ast_break_glass, ticket),
	    .required = true, .nonempty = true, .doc = "why: the number of an incident"},
	{.name = "approvedBy", .type = FIELD_STRINGS,
	    .offset = offsetof(struct ast_break_glass, approved_by), .required = true,
	    .nonempty = true, .max_items = BREAK_GLASS_APPROVERS_MAX, .doc = "who has agreed to it"},
	{.name = "maxDuration", .type = FIELD_DURATION,
	    .offset = offsetof(struct ast_break_glass, max_duration), .def = BREAK_GLASS_DEFAULT,
	    .min = CLOCK_SECOND, .max = BREAK_GLASS_LONGEST,
	    .doc = "how long it may last, from `from` to `until`"},
	END};
static const struct schema break_glass = {.name = "breakGlass",
	.size = sizeof(struct ast_break_glass), .fields = break_glass_fields,
	.place = SCHEMA_NO_PLACE, .present = offsetof(struct ast_break_glass, present),
	.check = keep_ast_break_glass};

static void keep_rule(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	struct ast_rule *r = obj;
	(void)file;
	(void)d;
	r->node = node;
	r->grant.node = node;
}

static const struct field rule_fields[] = {
	{.name = "id", .type = FIELD_STRING, .offset = offsetof(struct ast_rule, id),
	    .required = true, .pattern = "^[a-z0-9.-]{1,63}$",
	    .doc = "unique name, [a-z0-9.-]{1,63}; shown to users"},
	{.name = "effect", .type = FIELD_ENUM, .offset = offsetof(struct ast_rule, effect),
	    .required = true, .choices = effects, .doc = "what a match means"},
	{.name = "mode", .type = FIELD_ENUM, .offset = offsetof(struct ast_rule, mode),
	    .choices = modes, .def = "enforce",
	    .doc = "shadow: evaluated and told in the audit log, never part of the answer"},
	{.name = "subjects", .type = FIELD_OBJECT, .offset = offsetof(struct ast_rule, subjects),
	    .required = true, .sub = &subjects, .doc = "whom the rule concerns"},
	OBJECT(ast_rule, "except", except, except, "whom it does not concern after all"),
	STRINGS(ast_rule, "roles", roles, "names of roles, in place of the fields that follow",
	    .either = true),
	GRANT_FIELDS(ast_rule, grant., false),
	NODE(ast_rule, "namespaces", namespaces_node,
	    "list of globs, {include, exclude} or {alias}; absent: cluster scope and all",
	    .shape = NODE_STRINGS_OR_OBJECT, .sub = &namespaces, .nonempty = true,
	    .max_items = SUBJECTS_MAX, .pattern = PLACE),
	CHOICE(ast_rule, "clusterScope", cluster_scope, scopes, "only: requests without a namespace"),
	{.name = "overlap", .type = FIELD_ENUM, .offset = offsetof(struct ast_rule, overlap),
	    .choices = overlaps, .def = "possible",
	    .doc = "possible: a deny also hits requests that reach past its namespaces or names"},
	STRING(ast_rule, "message", message, "what the user is told, at most 120 bytes",
	    .pattern = "^.{0,120}$"),
	OBJECT(ast_rule, "valid", valid, valid, "when the rule holds; absent: always"),
	OBJECT(ast_rule, "breakGlass", break_glass, break_glass,
	    "marks access in an emergency: bounded by valid, and each use is told"),
	LATER("when", "CEL conditions"),
	END};
static const struct schema rule = {.name = "a rule", .size = sizeof(struct ast_rule),
	.fields = rule_fields, .place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE,
	.check = keep_rule};

TABLE(test_as, ast_as, "as",
	STRING(ast_as, "user", user, "user name"),
	STRING(ast_as, "uid", uid, "user's uid"),
	STRING(ast_as, "serviceAccount", service_account, "namespace/name, in place of user",
	    .pattern = "^[^/*]+/[^/*]+$"),
	STRINGS(ast_as, "groups", groups, "groups; the system's own ones are added"),
	NODE(ast_as, "extra", extra, "extra attributes, each a list of values",
	    .shape = NODE_MAPPING_OF_STRINGS, .nonempty = true));

static const struct field test_can_fields[] = {
	{.name = "verb", .type = FIELD_STRING, .offset = offsetof(struct ast_can, verb),
	    .required = true, .doc = "verb"},
	STRING(ast_can, "apiGroup", api_group, "API group"),
	STRING(ast_can, "version", version, "API version, which no rule looks at"),
	STRING(ast_can, "resource", resource, "resource, or resource/subresource", .either = true),
	STRING(ast_can, "subresource", subresource, "subresource"),
	STRING(ast_can, "namespace", namespace_, "namespace"),
	STRING(ast_can, "name", name, "name of the object"),
	STRING(ast_can, "path", path, "path, in place of a resource", .either = true),
	OBJECT(ast_can, "fieldSelector", fields, selector, "field selector of a list"),
	OBJECT(ast_can, "labelSelector", labels, selector, "label selector of a list"),
	END};
static const struct schema test_can = {.name = "can", .size = sizeof(struct ast_can),
	.fields = test_can_fields, .place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE,
	.check = keep_ast_can};

static const struct field test_fields[] = {
	STRING(ast_test, "name", name, "shown when the test fails"),
	{.name = "as", .type = FIELD_OBJECT, .offset = offsetof(struct ast_test, as),
	    .required = true, .sub = &test_as, .doc = "who asks"},
	{.name = "can", .type = FIELD_OBJECT, .offset = offsetof(struct ast_test, can),
	    .required = true, .sub = &test_can, .doc = "what is asked"},
	{.name = "expect", .type = FIELD_ENUM, .offset = offsetof(struct ast_test, expect),
	    .required = true, .choices = verdicts, .doc = "the right answer"},
	STRING(ast_test, "by", by, "id of the rule that must decide"),
	STRING(ast_test, "at", at, "when it is asked (RFC 3339); absent: outside of every `valid`",
	    .pattern = MOMENT),
	END};
static const struct schema test = {.name = "a test", .size = sizeof(struct ast_test),
	.fields = test_fields, .place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE,
	.check = keep_ast_test};

TABLE(metadata, ast_metadata, "metadata",
	STRING(ast_metadata, "name", name, "name of the policy"),
	{.name = "generation", .type = FIELD_INT, .offset = offsetof(struct ast_metadata, generation),
	    .min = 0, .max = INT64_MAX, .doc = "number of this state of the policy; shown in reasons"},
	STRING(ast_metadata, "owner", owner, "whom to ask"),
	{.name = "allowShrink", .type = FIELD_BOOL, .offset = offsetof(struct ast_metadata, allow_shrink),
	    .doc = "this generation may lose many rules, or denies and exemptions"});

static const struct field expect_fields[] = {
	{.name = "rules", .type = FIELD_INT, .offset = offsetof(struct ast_counts, rules),
	    .min = 0, .max = POLICY_RULES_MAX, .doc = "number of rules in this file"},
	{.name = "denyRules", .type = FIELD_INT, .offset = offsetof(struct ast_counts, deny_rules),
	    .min = 0, .max = POLICY_RULES_MAX, .doc = "number of those with effect deny"},
	END};
static const struct schema expect = {.name = "expect", .size = sizeof(struct ast_counts),
	.fields = expect_fields, .place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE};

static const struct field defaults_fields[] = {
	{.name = "decision", .type = FIELD_ENUM, .offset = offsetof(struct ast_defaults, decision),
	    .choices = decisions, .def = "NoOpinion",
	    .doc = "the answer when no rule matches; NoOpinion leaves it to RBAC"},
	OBJECT(ast_defaults, "exempt", exempt, exempt, "who is never denied anything by this policy"),
	STRINGS(ast_defaults, "clusterScopedResources", cluster_scoped,
	    "resources without a namespace, beside the built-in ones, as group/resource",
	    .pattern = "^[^/*]+/[^/*]+$"),
	END};
static const struct schema defaults = {.name = "defaults", .size = sizeof(struct ast_defaults),
	.fields = defaults_fields, .place = SCHEMA_NO_PLACE,
	.present = offsetof(struct ast_defaults, present), .check = keep_ast_defaults};

static const struct field aliases_fields[] = {
	NODE(ast_aliases, "subjects", subjects, "name: {users, groups, serviceAccounts, all}",
	    .shape = NODE_MAPPING, .sub = &alias_subjects),
	NODE(ast_aliases, "namespaces", namespaces, "name: {include, exclude}",
	    .shape = NODE_MAPPING, .sub = &alias_namespaces),
	END};
static const struct schema aliases = {.name = "aliases", .size = sizeof(struct ast_aliases),
	.fields = aliases_fields, .place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE};

static const struct field import_path_fields[] = {
	{.name = "path", .type = FIELD_STRING, .offset = offsetof(struct ast_import_path, path),
	    .required = true, .nonempty = true,
	    .doc = "beneath the directory of this file; * in the last part"},
	END};
static const struct schema import_path = {.name = "a path of an import", .size = sizeof(struct ast_import_path),
	.fields = import_path_fields, .place = SCHEMA_NO_PLACE,
	.present = offsetof(struct ast_import_path, present), .check = keep_ast_import_path};
TABLE(import, ast_import, "an import",
	OBJECT(ast_import, "rbac", rbac, import_path,
	    "roles and bindings of rbac.authorization.k8s.io, with their meaning there", .either = true),
	OBJECT(ast_import, "abac", abac, import_path, "a policy file of the ABAC authorizer",
	    .either = true));

static const struct field file_fields[] = {
	{.name = "apiVersion", .type = FIELD_ENUM, .offset = offsetof(struct ast_file, api_version),
	    .required = true, .choices = versions, .doc = "version of the language"},
	{.name = "kind", .type = FIELD_ENUM, .offset = offsetof(struct ast_file, kind),
	    .required = true, .choices = kinds, .doc = "what the file is"},
	OBJECT(ast_file, "metadata", metadata, metadata, "name, generation, owner"),
	OBJECT(ast_file, "expect", expected, expect, "counts that tell a torn file from a whole one"),
	OBJECT(ast_file, "defaults", defaults, defaults, "what holds when no rule does"),
	OBJECT(ast_file, "aliases", aliases, aliases, "names for sets of subjects and namespaces"),
	OBJECTS(ast_file, "roles", roles, role, SUBJECTS_MAX, "named sets of grants"),
	OBJECTS(ast_file, "rules", rules, rule, POLICY_RULES_MAX, "the rules"),
	OBJECTS(ast_file, "tests", tests, test, TESTS_MAX, "questions with their right answers"),
	OBJECTS(ast_file, "imports", imports, import, POLICY_FILES_MAX, "files of RBAC and of ABAC"),
	END};
static const struct schema file = {.name = "AccessPolicy", .size = sizeof(struct ast_file),
	.fields = file_fields, .place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE,
	.check = keep_ast_file};

TABLE(guards_metadata, ast_metadata, "metadata",
	STRING(ast_metadata, "name", name, "name of these guards"),
	STRING(ast_metadata, "owner", owner, "whom to ask"));

static const struct field guards_fields[] = {
	{.name = "apiVersion", .type = FIELD_ENUM, .offset = offsetof(struct ast_file, api_version),
	    .required = true, .choices = versions, .doc = "version of the language"},
	{.name = "kind", .type = FIELD_ENUM, .offset = offsetof(struct ast_file, kind),
	    .required = true, .choices = guards_kinds, .doc = "what the file is"},
	OBJECT(ast_file, "metadata", metadata, guards_metadata, "name, owner"),
	{.name = "tests", .type = FIELD_OBJECTS, .offset = offsetof(struct ast_file, tests),
	    .sub = &test, .required = true, .nonempty = true, .max_items = TESTS_MAX,
	    .doc = "questions that every policy must answer so"},
	END};
static const struct schema guards = {.name = "AccessGuards", .size = sizeof(struct ast_file),
	.fields = guards_fields, .place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE,
	.check = keep_ast_file};
/* clang-format on */

const struct ast_tables ast_tables = {.file = &file,
    .guards = &guards,
    .expect = &expect,
    .alias_subjects = &alias_subjects,
    .alias_namespaces = &alias_namespaces,
    .namespaces = &namespaces,
    .namespace_list = &namespace_list,
    .version = versions,
    .file_kind = kinds,
    .guards_kind = guards_kinds};

const struct schema *policy_schema(void)
{
	return &file;
}
