/* Imported RBAC and ABAC files as upstream reads them, before they become rules. Internal to policy/, and to
 * the command that converts them.
 *
 * All lives in the arena that was given; nothing here knows the native language. */
#ifndef POLICY_IMPORT_H
#define POLICY_IMPORT_H

#include "common/map.h"
#include "common/schema.h"
#include "policy/index.h"

struct import_list {
	const struct slice *v;
	size_t n;
};

/* A PolicyRule: texts are literal, save `*` where RBAC gives it a meaning. Equal ones are one. */
struct import_grant {
	struct import_list verbs, api_groups, resources, names, urls;
	struct place at; /* where it first stood */
	const struct action *compiled; /* set by import_compile.c on first use */
	size_t seen; /* the turn of import_aggregate that last met it */
};

struct import_label {
	struct slice key, value;
};

struct import_role {
	const char *name, *namespace_; /* no namespace: a ClusterRole */
	struct place at;
	struct import_grant *const *grants; /* of an aggregated role: since imports_link */
	size_t ngrants;
	const struct import_label *labels;
	size_t nlabels;
	bool aggregated;
	const struct selector *selectors; /* of aggregationRule: each selects ClusterRoles by labels */
	size_t nselectors;
	struct action_list resources, all; /* set by import_compile.c on first use */
	bool compiled;
	size_t number; /* convert.c's */
};

struct import_binding {
	const char *id; /* "rbac:ClusterRoleBinding/NAME" or "rbac:RoleBinding/NAMESPACE/NAME" */
	const char *name, *namespace_; /* no namespace: a ClusterRoleBinding */
	struct place at, role_at;
	bool cluster_role; /* what roleRef.kind says */
	const char *role_name;
	struct import_role *role; /* since imports_link; NULL: there is none */
	struct import_list users, groups; /* service accounts are users here */
};

/* A line of an ABAC file, in terms of v1beta1. */
struct import_line {
	const char *id; /* "abac:FILE:LINE" */
	struct place at;
	struct slice user, group, api_group, resource, namespace_, path;
	bool readonly;
};

struct imports {
	struct arena *arena;
	struct diags *diags;
	struct import_role **roles;
	struct import_binding **bindings;
	struct import_line **lines;
	size_t nroles, nbindings, nlines, role_room, binding_room, line_room;
	struct map objects; /* "Kind/NAMESPACE/NAME" -> struct import_role *, or struct import_binding * */
	struct map grants; /* content -> struct import_grant * */
	struct map ids; /* of rules -> struct import_binding * or struct import_line * */
	struct map abac_files; /* base name -> full name */
};

/* Appends to FILES what the native ones among them import. ERR_OK also when an entry names nothing: that is
 * found by ast_check_imports. */
enum err_code imports_read(struct arena *a, struct policy_file **files, size_t *n, struct diags *d) MUST_CHECK;

/* IM is zeroed but for arena and diags. Frees the maps only. NULL is fine. */
void imports_done(struct imports *im);

/* Reads one file into IM; findings go to IM->diags. */
void import_file(struct imports *im, const struct policy_file *src);
void import_rbac(struct imports *im, const struct policy_file *src);
void import_abac(struct imports *im, const struct policy_file *src);

/* After all files: leads bindings to roles, computes aggregated roles. Warns about what leads nowhere. */
void imports_link(struct imports *im);
void import_aggregate(struct imports *im); /* a part of it */

/* How many rules they make at most, and whether ID is the id of one. IM may be NULL. */
size_t imports_rules(const struct imports *im);
bool imports_has(const struct imports *im, struct slice id);

/* Writes the rules to OUT and returns how many they are: bindings in order of reading, then lines of ABAC. */
struct compiler;
size_t import_compile(struct compiler *c, struct imports *im, struct rule *out);

/* --- parts of import_rbac.c --- */

struct rbac_reader {
	struct imports *im;
	const char *file;
};

void rbac_error(struct rbac_reader *r, const struct yaml_node *at, const char *fmt, ...) PRINTF(3, 4);
void rbac_warn(struct rbac_reader *r, const struct yaml_node *at, const char *fmt, ...) PRINTF(3, 4);

/* Value of KEY in NODE when it is there, not null and of KIND; else NULL, with an error when it is of
 * another kind. */
const struct yaml_node *rbac_get(
    struct rbac_reader *r, const struct yaml_node *node, const char *key, enum yaml_kind kind);

/* The text of KEY; absent and null read as the empty text, as upstream's decoder has it. */
const char *rbac_text(struct rbac_reader *r, const struct yaml_node *node, const char *key);
struct import_list rbac_texts(
    struct rbac_reader *r, const struct yaml_node *node, const char *key);

/* Reports a NAME that upstream's validation refuses: it is a part of paths there, and of reasons here. */
void rbac_check_name(struct rbac_reader *r, const struct yaml_node *at, const char *name);

/* A label, and a subdomain, of RFC 1123: the names of namespaces and of service accounts. Pure. */
bool import_good_label(const char *s);
bool import_good_subdomain(const char *s);

/* NAME as a part of an id, in which a space would end the word in reasons: `%` is in no name, so %20 stays
 * unique. */
const char *import_name_in_id(struct arena *a, const char *name);

/* Reports keys of NODE that are not among KNOWN (NULL at the end): what is not understood may restrict. */
void rbac_known(struct rbac_reader *r, const struct yaml_node *node, const char *const *known,
    const char *what);

/* `aggregationRule` and `metadata.labels` of ROLE: import_aggregate.c. */
void rbac_aggregation(struct rbac_reader *r, const struct yaml_node *node, struct import_role *role);
void rbac_labels(struct rbac_reader *r, const struct yaml_node *metadata, struct import_role *role);

#endif
