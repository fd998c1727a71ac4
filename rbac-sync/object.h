/* The kinds of objects that the worker makes or watches: names, places and marks, in one table. */
#ifndef RBAC_SYNC_OBJECT_H
#define RBAC_SYNC_OBJECT_H

#include <jansson.h>

#include "common/arena.h"
#include "common/secret.h"
#include "common/str.h"

/* In the order in which objects of one user are applied: namespaces first. */
enum object_kind {
	KIND_NAMESPACE,
	KIND_RESOURCE_QUOTA,
	KIND_LIMIT_RANGE,
	KIND_NETWORK_POLICY,
	KIND_ROLE_BINDING,
	KIND_CLUSTER_ROLE_BINDING,
	KIND_COUNT,
	KIND_USER_RECORD = KIND_COUNT, /* watched, never made by a template */
	KIND_WATCHED
};

struct object_type {
	const char *kind, *api_version, *group, *resource; /* group "" is core; resource is the plural */
	bool namespaced;
};

extern const struct object_type object_types[KIND_WATCHED];

/* The kind of that apiVersion and name; KIND_WATCHED when it is none of ours. */
enum object_kind object_kind_of(struct slice api_version, struct slice kind);

/* Where an object stands. Equal members, same place. */
struct object_id {
	enum object_kind kind;
	const char *namespace_; /* NULL: cluster scope */
	const char *name;
};

bool object_id_eq(const struct object_id *a, const struct object_id *b);
int object_id_cmp(const struct object_id *a, const struct object_id *b); /* kind, namespace, name */

/* "RoleBinding/team-a/portcullis:devs:abc", "Namespace/u-alice": a map's key, a log's word. */
const char *object_id_text(struct arena *a, const struct object_id *id);

/* "/apis/rbac.authorization.k8s.io/v1/namespaces/team-a/rolebindings/NAME"; parts escaped. The second is
 * the collection: of NAMESPACE, or of the whole cluster when it is NULL. */
const char *object_path(struct arena *a, const struct object_id *id);
const char *object_collection(struct arena *a, enum object_kind kind, const char *namespace_);

#define API_GROUP "portcullis.dev"
#define API_VERSION API_GROUP "/v1alpha1"

#define LABEL_MANAGED_BY "app.kubernetes.io/managed-by"
#define MANAGED_BY "portcullis"
#define LABEL_RECORD "portcullis.dev/record"	 /* key of the user or of the group */
#define LABEL_TEMPLATE "portcullis.dev/template"
/* "true" on a record, a Namespace or a ClusterRoleBinding: removed by an end or suspension alone. */
#define LABEL_KEEP "portcullis.dev/keep"
#define ANNOTATION_USER "portcullis.dev/user"
#define ANNOTATION_GROUP "portcullis.dev/group"
#define ANNOTATION_PROVIDER "portcullis.dev/provider"
#define ANNOTATION_SPEC_HASH "portcullis.dev/spec-hash"
#define ANNOTATION_GENERATION "portcullis.dev/generation"
#define ANNOTATION_EXPIRES "portcullis.dev/expires"

/* Digest of what is ours in an object: name, namespace; the labels and annotations of the table above
 * that stand in it, but LABEL_KEEP (the admins' own); roleRef, subjects (in their order), spec, but not a
 * namespace's spec (the apiserver's finalizers). Labels, annotations and metadata of others and status do not
 * count. EXTRA: further label keys that count (a namespace's, from its template), NULL-ended, or NULL. Equal
 * objects, equal digests, in whatever order their members stand. */
void object_digest(const json_t *object, const char *const *extra_labels, uint8_t out[SHA256_LEN]);

#endif
