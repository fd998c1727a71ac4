/* Owns the table of kinds, where their objects live in the API, and the digest of what is ours in one. */
#include "rbac-sync/object.h"

#include <stdlib.h>

#define PATH_MAX_BYTES ((size_t)64 << 10) /* three characters for each of a name that etcd would not keep */
#define DIGEST_TEXT_MAX ((size_t)16 << 20) /* four of the largest answers that are read */

#define RBAC_GROUP "rbac.authorization.k8s.io"

const struct object_type object_types[KIND_WATCHED] = {
    [KIND_NAMESPACE] = {"Namespace", "v1", "", "namespaces", false},
    [KIND_RESOURCE_QUOTA] = {"ResourceQuota", "v1", "", "resourcequotas", true},
    [KIND_LIMIT_RANGE] = {"LimitRange", "v1", "", "limitranges", true},
    [KIND_NETWORK_POLICY] = {"NetworkPolicy", "networking.k8s.io/v1", "networking.k8s.io",
	"networkpolicies", true},
    [KIND_ROLE_BINDING] = {"RoleBinding", RBAC_GROUP "/v1", RBAC_GROUP, "rolebindings", true},
    [KIND_CLUSTER_ROLE_BINDING] = {"ClusterRoleBinding", RBAC_GROUP "/v1", RBAC_GROUP,
	"clusterrolebindings", false},
    [KIND_USER_RECORD] = {"UserRecord", API_VERSION, API_GROUP, "userrecords", false},
};

enum object_kind object_kind_of(struct slice api_version, struct slice kind)
{
	for (enum object_kind k = 0; k < KIND_WATCHED; k++) {
		if (slice_is(kind, object_types[k].kind) && slice_is(api_version, object_types[k].api_version))
			return k;
	}
	return KIND_WATCHED;
}

/* --- places --- */

static int text_cmp(const char *a, const char *b)
{
	if (!a || !b)
		return !b - !a;
	return strcmp(a, b);
}

int object_id_cmp(const struct object_id *a, const struct object_id *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	int by = text_cmp(a->namespace_, b->namespace_);
	return by ? by : text_cmp(a->name, b->name);
}

bool object_id_eq(const struct object_id *a, const struct object_id *b)
{
	return object_id_cmp(a, b) == 0;
}

const char *object_id_text(struct arena *a, const struct object_id *id)
{
	const char *kind = object_types[id->kind].kind;
	return id->namespace_ ? arena_printf(a, "%s/%s/%s", kind, id->namespace_, id->name)
			      : arena_printf(a, "%s/%s", kind, id->name);
}

/* As a path segment (RFC 3986 pchar, without those that mean something to somebody). */
static void escape(struct buf *b, const char *s)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:";
	for (; *s; s++) {
		if (strchr(plain, *s))
			buf_addc(b, *s);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

static const char *path_of(struct arena *a, enum object_kind kind, const char *namespace_, const char *name)
{
	const struct object_type *t = &object_types[kind];
	struct buf b;
	buf_init(&b, PATH_MAX_BYTES);
	buf_printf(&b, "%s/%s", t->group[0] ? "/apis" : "/api", t->api_version);
	if (t->namespaced && namespace_) {
		buf_adds(&b, "/namespaces/");
		escape(&b, namespace_);
	}
	buf_printf(&b, "/%s", t->resource);
	if (name) {
		buf_addc(&b, '/');
		escape(&b, name);
	}
	const char *path = arena_strdup(a, buf_cstr(&b));
	buf_done(&b);
	return path;
}

const char *object_path(struct arena *a, const struct object_id *id)
{
	return path_of(a, id->kind, id->namespace_, id->name);
}

const char *object_collection(struct arena *a, enum object_kind kind, const char *namespace_)
{
	return path_of(a, kind, namespace_, NULL);
}

/* --- the digest --- */

static int to_buf(const char *p, size_t n, void *ctx)
{
	buf_add(ctx, p, n);
	return 0;
}

/* VALUE behind its name; absent and null are one. JSON text ends itself, so no two lists look alike. */
static void put(struct buf *b, const char *name, const json_t *value)
{
	if (!value || json_is_null(value))
		return;
	buf_adds(b, name);
	buf_addc(b, '\0');
	if (json_dump_callback(value, to_buf, b, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) != 0)
		abort();
	buf_addc(b, '\0');
}

static void put_members(struct buf *b, const json_t *map, const char *const *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(b, keys[i], json_object_get(map, keys[i]));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_extra(struct buf *b, const json_t *labels, const char *const *extra)
{
	size_t n = 0;
	while (extra && extra[n])
		n++;
	if (!n)
		return;
	const char **sorted = calloc(n, sizeof(*sorted));
	if (!sorted)
		abort();
	memcpy(sorted, extra, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_text);
	buf_adds(b, "extra");
	buf_addc(b, '\0');
	put_members(b, labels, sorted, n);
	free(sorted);
}

void object_digest(const json_t *object, const char *const *extra_labels, uint8_t out[SHA256_LEN])
{
	/* LABEL_KEEP is the admins' word, and a namespace's spec (its finalizers) the apiserver's: that alone of
	 * our kinds is cluster-wide and has one. Kind does not count, as items of a list carry none. */
	static const char *const labels[] = {LABEL_MANAGED_BY, LABEL_RECORD, LABEL_TEMPLATE};
	static const char *const annotations[] = {ANNOTATION_USER, ANNOTATION_GROUP, ANNOTATION_PROVIDER,
	    ANNOTATION_SPEC_HASH, ANNOTATION_GENERATION, ANNOTATION_EXPIRES};
	static const char *const content[] = {"roleRef", "subjects", "spec"};
	const json_t *meta = json_object_get(object, "metadata");
	const json_t *namespace_ = json_object_get(meta, "namespace");
	struct buf b;
	buf_init(&b, DIGEST_TEXT_MAX);
	put(&b, "namespace", namespace_);
	put(&b, "name", json_object_get(meta, "name"));
	put_members(&b, json_object_get(meta, "labels"), labels, ARRAY_LEN(labels));
	put_members(&b, json_object_get(meta, "annotations"), annotations, ARRAY_LEN(annotations));
	put_members(&b, object, content, namespace_ ? ARRAY_LEN(content) : 2);
	put_extra(&b, json_object_get(meta, "labels"), extra_labels);
	/* Equal bytes must mean equal objects: what did not fit equals nothing. */
	if (b.over)
		secret_random(out, SHA256_LEN);
	else
		sha256(b.p, b.len, out);
	buf_done(&b);
}
