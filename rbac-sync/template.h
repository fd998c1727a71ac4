/* The template file (kind SyncConfig): who is due what. All or nothing: a file with any finding is not
 * used, and the last good one stays. */
#ifndef RBAC_SYNC_TEMPLATE_H
#define RBAC_SYNC_TEMPLATE_H

#include "common/schema.h"
#include "common/spool.h"
#include "rbac-sync/pattern.h"

#define SYNC_API_VERSION "sync.portcullis.dev/v1alpha1"
#define TEMPLATES_MAX 1000
#define TEMPLATE_NAME_MAX 40	/* part of object names and of a label value */
#define TEMPLATE_BYTES_MAX ((size_t)1 << 20)
#define GENERATION_LEN 12	/* hex digits */

enum subject_kind { SUBJECT_USER, SUBJECT_GROUP };
enum grant_scope { SCOPE_NAMESPACE, SCOPE_CLUSTER };

struct template_match {
	struct string_list providers, groups, not_users; /* globs */
	struct place place;
};

struct template_subject {
	int kind; /* enum subject_kind */
	const struct yaml_node *name;
	struct place place;
};

struct template_grant {
	const char *cluster_role, *role; /* one of them */
	int scope;			 /* enum grant_scope */
	const struct yaml_node *namespaces_node;
	struct pattern *namespaces;
	size_t nnamespaces;
	struct template_subject subject;
	bool literal_group;		 /* subject.name is a group's name as it stands */
	struct slice group;		 /* that name */
	bool per_group;			 /* one set of objects for each matched group */
	struct place place;
};

struct template {
	const char *name;
	struct template_match match;
	struct object_list grants; /* struct template_grant */
	char generation[GENERATION_LEN + 1]; /* digest of what the file says of this template */
	struct place place;
};

struct sync_config {
	struct arena arena;
	const char *api_version, *kind;
	struct object_list templates; /* struct template */
};

/* Reads and checks PATH. *OUT is the caller's; on failure D holds at least one finding. */
enum err_code sync_config_load(const char *path, struct sync_config **out, struct diags *d) MUST_CHECK;

/* The same from TEXT, for tests and fuzzing. */
enum err_code sync_config_parse(const char *file, struct slice text, struct sync_config **out,
    struct diags *d) MUST_CHECK;
void sync_config_free(struct sync_config **c);

/* The template is for this identity: its provider matches (none named: all), its name is not excepted,
 * and one of its groups matches (none named: all users). Pure. */
bool template_matches(const struct template *t, const struct spool_event *ev);

/* GROUP is one that the template's match names. */
bool template_matches_group(const struct template *t, struct slice group);

/* For the manual and its test. */
extern const struct schema sync_config_schema;

#endif
