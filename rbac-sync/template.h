/* The template file (kind SyncConfig): who is due what. All or nothing: a file with any finding is not
 * used, and the last good one stays. */
#ifndef RBAC_SYNC_TEMPLATE_H
#define RBAC_SYNC_TEMPLATE_H

#include "common/schema.h"
#include "common/spool.h"
#include "common/window.h"
#include "rbac-sync/object.h"
#include "rbac-sync/pattern.h"
#include "rbac-sync/selector.h"

#define SYNC_API_VERSION "sync.portcullis.dev/v1alpha1"
#define SYNC_SCHEMA_TITLE "Templates of portcullis-rbac-sync: who is due what"
#define TEMPLATES_MAX 1000
#define TEMPLATE_NAME_MAX 40	/* part of object names and of a label value */
#define TEMPLATE_BYTES_MAX ((size_t)1 << 20)
#define TEMPLATE_GRANTS_MAX 100
#define TEMPLATE_OBJECTS_MAX 20
#define TEMPLATE_LABELS_MAX 32	/* of one namespace or object; annotations too */
#define TEMPLATE_SPANS_MAX 16	/* of one schedule */
#define GENERATION_LEN 12	/* hex digits */
#define CONFIG_DIGEST_LEN 16	/* hex digits */

enum subject_mode { GROUP_FIRST = 0, USER_FIRST };
enum subject_kind { SUBJECT_USER, SUBJECT_GROUP };
enum grant_scope { SCOPE_NAMESPACE, SCOPE_CLUSTER };
enum drift_mode { DRIFT_REPAIR = 0, DRIFT_REPORT, DRIFT_OFF };
enum on_gc { ON_GC_ORPHAN = 0, ON_GC_DELETE };

struct template_match {
	struct string_list providers, groups, not_users; /* globs */
	bool present;
	struct place place;
};

/* Where grants and objects go: namespaces by their names, or all that a selector fits. */
struct template_places {
	struct pattern *names;
	size_t len;
	struct selector *selector; /* NULL: the names */
};

/* When a grant holds. */
struct template_time {
	int64_t start, end; /* unix seconds; INT64_MIN and INT64_MAX: no bound */
	int64_t ttl;	    /* seconds after the user was last seen; 0: no end */
	const struct window *const *windows; /* it holds in any of them; none: always */
	size_t nwindows;
};

/* A part of an object: YAML as it stands, with placeholders in its strings. */
enum body_kind { BODY_TEXT, BODY_INT, BODY_BOOL, BODY_LIST, BODY_MAP };
struct template_value {
	enum body_kind kind;
	struct slice key; /* in a mapping; no placeholders */
	struct place place;
	union {
		struct pattern text;
		int64_t number; /* also a bool's */
		struct {
			const struct template_value *items;
			size_t len;
		};
	};
};

struct template_subject {
	int kind; /* enum subject_kind, as it stands in the file */
	const struct yaml_node *name;
	bool present;
	struct place place;
};

struct template_span {
	const char *from, *until, *tz;
	struct string_list days, hours;
	const struct yaml_node *node;
	struct place place;
	bool present;
};

struct template_schedule {
	struct template_span in, except;
};

struct template_grant {
	const char *cluster_role, *role; /* one of them */
	int scope;			 /* enum grant_scope */
	const struct yaml_node *namespaces_node, *node;
	struct template_places own;
	const struct template_places *places; /* its own or the template's; NULL: cluster scope */
	struct template_subject subject;
	enum subject_kind subject_kind;	 /* who is bound, after subjectMode */
	bool literal_group;		 /* subject.name is a group's name as it stands */
	struct slice group;		 /* that name */
	bool per_group;			 /* one set of objects for each matched group */
	const char *start_text, *end_text, *ttl_text;
	struct object_list schedule;	 /* struct template_schedule */
	struct template_time time;
	bool allow_privileged;
	struct place place;
};

/* Who owns a namespace that a template names, and what stands in it. Shared ones are the group's or the template's. */
enum template_owner { OWNER_TEMPLATE = 0, OWNER_GROUP, OWNER_USER };
enum template_owner template_owner(const struct pattern *namespace_);

struct template_namespace {
	const struct yaml_node *name_node, *labels_node, *annotations_node, *node;
	bool create, adopt, present;
	int on_gc; /* enum on_gc */
	struct template_value labels, annotations; /* mappings */
	const char *const *label_keys; /* of labels, NULL-ended; or NULL */
	struct place place;
};

struct template_meta {
	const struct yaml_node *name_node, *labels_node, *annotations_node;
	struct place place;
};

struct template_object {
	const char *api_version, *kind_name;
	struct template_meta meta;
	const struct yaml_node *spec_node;
	enum object_kind kind;
	struct pattern name;
	struct template_value labels, annotations, spec;
	const char *const *label_keys; /* of labels, NULL-ended; or NULL */
	struct place place;
};

struct template {
	const char *name;
	struct template_match match;
	struct template_namespace namespace_;
	const struct yaml_node *namespaces_node, *node;
	struct template_places places; /* its namespace (one name), or its namespaces; or none */
	struct object_list objects;    /* struct template_object */
	struct object_list grants;     /* struct template_grant */
	const char *ttl_text;
	int64_t ttl;
	int drift; /* enum drift_mode */
	bool prune;
	char generation[GENERATION_LEN + 1]; /* digest of what the file says of this template */
	struct place place;
};

struct sync_defaults {
	int drift, on_gc;
	bool prune;
	const char *ttl_text;
	struct place place;
};

/* Of the whole cluster: kept by the worker, not by what a user is due. */
struct sync_limits {
	int64_t max_users, max_namespaces, max_new_users; /* the last one a minute */
};

struct sync_config {
	struct arena arena;
	const char *api_version, *kind;
	int subject_mode; /* enum subject_mode */
	struct sync_defaults defaults;
	struct sync_limits limits;
	struct template_match match;  /* of templates that have none of their own */
	struct object_list templates; /* struct template; at least one */
	char digest[CONFIG_DIGEST_LEN + 1]; /* of all that the file says, whatever its layout */
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

/* The value as JSON for V; the caller owns *OUT. ERR_REFUSED when a placeholder without default renders empty or a
 * text grows too long. */
enum err_code template_value_json(const struct template_value *value, const struct pattern_values *v,
    struct arena *a, json_t **out, struct err *e) MUST_CHECK;

/* For the manual and its test. */
extern const struct schema sync_config_schema;

#endif
