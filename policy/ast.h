/* The policy as written: what load.c binds from YAML, check.c verifies and links, compile.c
 * consumes. Internal to policy/. Everything lives in one arena that dies when compiling ends. */
#ifndef POLICY_AST_H
#define POLICY_AST_H

#include "common/map.h"
#include "common/schema.h"
#include "policy/policy.h"
#include "common/window.h"

/* Every NODE is the YAML the struct was bound from: it gives places, and tells absent from default.
 */

struct ast_subjects {
	const struct yaml_node *node;
	bool present;
	struct string_list users, groups, service_accounts;
	int all; /* enum ast_all; meaningful when yamlx_get(node, "all") */
	const char *alias;
	struct ast_subject_alias *target; /* set by check */
};

enum ast_all { AST_AUTHENTICATED, AST_UNAUTHENTICATED, AST_SERVICEACCOUNTS, AST_EVERYONE };

struct ast_subject_alias {
	struct ast_subjects subjects;
	const struct subject_set *compiled; /* set by compile on first use */
};

struct ast_namespaces {
	const struct yaml_node *node;
	const char *list_key; /* what `include` is called in NODE: "include", or "namespaces" */
	struct string_list include, exclude;
	const char *alias;
	struct ast_namespace_alias *target; /* set by check */
};

struct ast_namespace_alias {
	struct ast_namespaces namespaces;
	const struct ns_set *compiled; /* set by compile on first use */
};

struct ast_requirement {
	const struct yaml_node *node;
	const char *key;
	int op; /* enum ast_op */
	struct string_list values;
};

enum ast_op { AST_IN, AST_NOT_IN, AST_EXISTS, AST_DOES_NOT_EXIST };

struct ast_selector {
	const struct yaml_node *node;
	bool present;
	struct object_list requirements; /* struct ast_requirement */
};

/* RBAC's PolicyRule: what may be done to what. */
struct ast_grant {
	const struct yaml_node *node;
	struct string_list api_groups, resources, resource_names, resource_name_globs, verbs, urls;
	struct ast_selector fields, labels;
};

struct ast_role {
	const struct yaml_node *node;
	const struct ast_file *file;
	const char *name;
	struct object_list rules; /* struct ast_grant */
	const struct action *const *compiled; /* set by compile on first use */
};

struct ast_except {
	const struct yaml_node *node;
	bool present;
	struct ast_subjects subjects;
};

/* What `valid` says, and its `except`. */
struct ast_span {
	const struct yaml_node *node;
	bool present;
	const char *from, *until, *tz;
	struct string_list days, hours;
	struct window_spec spec; /* set by check; lives in the tree */
};

struct ast_valid {
	bool present;
	struct ast_span in, except;
};

struct ast_zone {
	const struct zone *zone; /* NULL: cannot be read, which was told */
};

struct ast_break_glass {
	const struct yaml_node *node;
	bool present;
	const char *ticket;
	struct string_list approved_by;
	int64_t max_duration; /* nanoseconds */
};

struct ast_rule {
	const struct yaml_node *node;
	const struct ast_file *file;
	const char *id, *message;
	int effect, mode;
	struct ast_subjects subjects;
	struct ast_except except;
	struct string_list roles;
	struct ast_grant grant; /* inline; grant.node is the rule's node */
	const struct yaml_node *namespaces_node;
	struct ast_namespaces namespaces;
	int cluster_scope; /* meaningful when yamlx_get(node, "clusterScope") */
	int overlap;
	struct ast_valid valid;
	struct ast_break_glass break_glass;
	struct ast_role **role_defs; /* set by check, roles.len of them */
};

enum ast_effect { AST_ALLOW, AST_DENY, AST_ABSTAIN };
enum ast_mode { AST_ENFORCE, AST_SHADOW };
enum ast_overlap { AST_OVERLAP_POSSIBLE, AST_OVERLAP_EXACT };

struct ast_as {
	const struct yaml_node *node;
	const char *user, *uid, *service_account;
	struct string_list groups;
	const struct yaml_node *extra; /* KEY: [VALUE, …]; checked */
};

struct ast_can {
	const struct yaml_node *node;
	const char *verb, *api_group, *version, *resource, *subresource, *namespace_, *name, *path;
	struct ast_selector fields, labels;
};

struct ast_test {
	const struct yaml_node *node;
	const char *name, *by, *at;
	struct ast_as as;
	struct ast_can can;
	int expect;
};

enum ast_expect { AST_EXPECT_ALLOW, AST_EXPECT_DENY, AST_EXPECT_NO_OPINION };

struct ast_metadata {
	const struct yaml_node *node;
	const char *name, *owner;
	int64_t generation;
	bool allow_shrink;
};

struct ast_defaults {
	const struct yaml_node *node;
	bool present;
	int decision;
	struct ast_subjects exempt;
	struct string_list cluster_scoped;
};

enum ast_decision { AST_DEFAULT_NO_OPINION, AST_DEFAULT_DENY };

/* The raw mappings: their keys are the users' own. */
struct ast_aliases {
	const struct yaml_node *subjects, *namespaces;
};

struct ast_counts {
	int64_t rules, deny_rules;
};

struct ast_import_path {
	const struct yaml_node *node;
	bool present;
	const char *path;
};

/* Exactly one of them, says the check. */
struct ast_import {
	const struct yaml_node *node;
	struct ast_import_path rbac, abac;
};

struct ast_file {
	const struct yaml_node *node;
	const char *name;
	bool parsed; /* it is YAML: what is wrong then is what it says */
	int api_version, kind; /* the only ones there are */
	struct ast_metadata metadata;
	struct ast_counts expected;
	struct ast_defaults defaults;
	struct ast_aliases aliases;
	struct object_list roles; /* struct ast_role */
	struct object_list rules; /* struct ast_rule */
	struct object_list tests; /* struct ast_test */
	struct object_list imports; /* struct ast_import */
};

struct ast {
	struct arena *arena;
	struct diags *diags;
	struct ast_file *files;
	size_t nfiles;
	bool guards; /* kind AccessGuards: tests and nothing else */
	const struct ast_file *defaults; /* the one file that has them, or NULL */
	struct map subject_aliases; /* name -> struct ast_subject_alias * */
	struct map namespace_aliases; /* name -> struct ast_namespace_alias * */
	struct map roles; /* name -> struct ast_role * */
	struct map ids; /* rule id -> struct ast_rule * */
	struct map zones; /* name -> struct ast_zone * */
	const struct policy_file *imported; /* what the files' `imports:` brought */
	size_t nimported;
	struct imports *imports; /* what those hold (import.h) */
};

/* Frees the maps; the arena is the caller's. */
void ast_done(struct ast *t);

/* The tables of the language (load.c). The lists of words hold one each. */
struct ast_tables {
	const struct schema *file, *guards, *expect;
	const struct schema *alias_subjects, *alias_namespaces, *namespaces, *namespace_list;
	const char *const *version, *const *file_kind, *const *guards_kind;
};
extern const struct ast_tables ast_tables;

/* Parses and binds one file into *F. False, with findings, when it is not fit to be looked at
 * further. */
bool ast_load(struct ast *t, const struct policy_file *src, struct ast_file *f);

/* Bind the value of an alias, and of `namespaces:`, by the same tables as the rest. */
bool ast_bind_subject_alias(struct ast *t, const struct ast_file *f, const struct yaml_node *node,
    struct ast_subjects *out);
bool ast_bind_namespace_alias(struct ast *t, const struct ast_file *f, const struct yaml_node *node,
    struct ast_namespaces *out);
bool ast_bind_namespaces(struct ast *t, const struct ast_file *f, const struct yaml_node *node,
    struct ast_namespaces *out);

/* Collects the names of all files, links what refers to them and applies every rule that the tables
 * cannot tell. Findings go to T->diags. */
void ast_check(struct ast *t);

/* Parts of ast_check, by file: check_subject.c, check_grant.c, check_selector.c, check_test.c. */
void ast_check_subjects(struct ast *t, const struct ast_file *f, struct ast_subjects *s);
void ast_check_exempt(struct ast *t, const struct ast_file *f, struct ast_subjects *s);
void ast_check_namespaces(struct ast *t, const struct ast_file *f, struct ast_namespaces *n);
void ast_check_grant(
    struct ast *t, const struct ast_rule *r, const struct ast_file *f, const struct ast_grant *g);
void ast_check_grant_texts(struct ast *t, const struct ast_file *f, const struct ast_grant *g);
void ast_check_selector(struct ast *t, const struct ast_file *f, const struct ast_selector *s,
    bool labels, const struct string_list *verbs);
void ast_check_imports(struct ast *t, const struct ast_file *f); /* import_read.c */
void ast_check_test(struct ast *t, const struct ast_file *f, const struct ast_test *test);

/* `valid` and `breakGlass`: check_valid.c. */
void ast_check_valid(struct ast *t, const struct ast_file *f, struct ast_rule *r);

/* A value as it may stand in a message: in back quotes, cut when long. Lives in T's arena. */
const char *ast_show(struct ast *t, const char *text);

/* Place of item I of the list KEY of NODE; of the key itself when it holds no list; of NODE when it
 * has no such key. */
struct place ast_at(
    const struct ast_file *f, const struct yaml_node *node, const char *key, size_t i);

void ast_error(struct ast *t, struct place at, const char *fmt, ...) PRINTF(3, 4);
void ast_warn(struct ast *t, struct place at, const char *fmt, ...) PRINTF(3, 4);

/* Says "unknown WHAT `NAME`" with the nearest name of KNOWN. */
void ast_unknown(
    struct ast *t, struct place at, const char *what, const char *name, const struct map *known);

/* A file's name without its directories. */
static inline const char *ast_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static inline bool ast_has(const struct yaml_node *node, const char *key)
{
	return node && yamlx_get(node, key);
}

#endif
