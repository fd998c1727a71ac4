/* Proves where objects of each kind live in the API, and what their digest sees and what not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/jsonx.h"
#include "rbac-sync/object.h"

static void test_kinds_are_found_by_version_and_name(void **state)
{
	(void)state;
	for (enum object_kind k = 0; k < KIND_WATCHED; k++)
		assert_int_equal(
		    object_kind_of(slice_of(object_types[k].api_version), slice_of(object_types[k].kind)), k);
	assert_int_equal(object_kind_of(SLICE("v1"), SLICE("RoleBinding")), KIND_WATCHED);
	assert_int_equal(object_kind_of(SLICE("v1"), SLICE("Secret")), KIND_WATCHED);
	assert_int_equal(object_kind_of((struct slice){0}, (struct slice){0}), KIND_WATCHED);
}

static void test_paths_are_escaped(void **state)
{
	(void)state;
	static const struct {
		struct object_id id;
		const char *path, *text;
	} rows[] = {
	    {{KIND_NAMESPACE, NULL, "u-a"}, "/api/v1/namespaces/u-a", "Namespace/u-a"},
	    {{KIND_RESOURCE_QUOTA, "n", "q"}, "/api/v1/namespaces/n/resourcequotas/q", "ResourceQuota/n/q"},
	    {{KIND_NETWORK_POLICY, "n", "p"}, "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies/p",
		"NetworkPolicy/n/p"},
	    {{KIND_ROLE_BINDING, "n", "portcullis:t:abc"},
		"/apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings/portcullis:t:abc",
		"RoleBinding/n/portcullis:t:abc"},
	    {{KIND_CLUSTER_ROLE_BINDING, NULL, "a b?c#d"},
		"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/a%20b%3Fc%23d",
		"ClusterRoleBinding/a b?c#d"},
	    {{KIND_ROLE_BINDING, "n", "../x"},
		"/apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings/..%2Fx", "RoleBinding/n/../x"},
	    {{KIND_USER_RECORD, NULL, "k"}, "/apis/portcullis.dev/v1alpha1/userrecords/k", "UserRecord/k"},
	};
	struct arena a = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(object_path(&a, &rows[i].id), rows[i].path);
		assert_string_equal(object_id_text(&a, &rows[i].id), rows[i].text);
	}
	assert_string_equal(object_collection(&a, KIND_LIMIT_RANGE, "n"), "/api/v1/namespaces/n/limitranges");
	assert_string_equal(object_collection(&a, KIND_LIMIT_RANGE, NULL), "/api/v1/limitranges");
	assert_string_equal(object_collection(&a, KIND_NAMESPACE, NULL), "/api/v1/namespaces");
	arena_done(&a);
}

static void test_places_are_ordered_kinds_first(void **state)
{
	(void)state;
	static const struct object_id sorted[] = {
	    {KIND_NAMESPACE, NULL, "z"},
	    {KIND_RESOURCE_QUOTA, "a", "z"},
	    {KIND_RESOURCE_QUOTA, "b", "a"},
	    {KIND_ROLE_BINDING, "a", "a"},
	    {KIND_ROLE_BINDING, "a", "b"},
	    {KIND_CLUSTER_ROLE_BINDING, NULL, "a"},
	};
	for (size_t i = 0; i < ARRAY_LEN(sorted); i++) {
		for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
			int by = object_id_cmp(&sorted[i], &sorted[j]);
			assert_true(i < j ? by < 0 : i > j ? by > 0 : by == 0);
			assert_int_equal(object_id_eq(&sorted[i], &sorted[j]), i == j);
		}
	}
	assert_false(object_id_eq(&(struct object_id){KIND_ROLE_BINDING, NULL, "a"},
	    &(struct object_id){KIND_ROLE_BINDING, "", "a"}));
}

static const char binding[] =
    "{\"kind\":\"RoleBinding\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"metadata\":{\"name\":\"b\","
    "\"namespace\":\"n\",\"labels\":{\"app.kubernetes.io/managed-by\":\"portcullis\","
    "\"portcullis.dev/record\":\"r\",\"portcullis.dev/template\":\"t\"},\"annotations\":{"
    "\"portcullis.dev/user\":\"alice\",\"portcullis.dev/spec-hash\":\"h\"}},\"roleRef\":{\"kind\":"
    "\"ClusterRole\",\"name\":\"edit\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"alice\"},"
    "{\"kind\":\"Group\",\"name\":\"devs\"}]}";

static void digest_of(const char *text, const char *const *extra, uint8_t out[SHA256_LEN])
{
	json_t *o = json_loads(text, 0, NULL);
	assert_non_null(o);
	object_digest(o, extra, out);
	json_decref(o);
}

/* The binding with OLD replaced by NEW. */
static bool changes(const char *old, const char *new)
{
	struct buf b;
	uint8_t was[SHA256_LEN], is[SHA256_LEN];
	const char *at = strstr(binding, old);
	assert_non_null(at);
	buf_init(&b, 1 << 16);
	buf_add(&b, binding, (size_t)(at - binding));
	buf_adds(&b, new);
	buf_adds(&b, at + strlen(old));
	digest_of(binding, NULL, was);
	digest_of(buf_cstr(&b), NULL, is);
	buf_done(&b);
	return memcmp(was, is, SHA256_LEN) != 0;
}

static void test_digest_sees_what_is_ours(void **state)
{
	(void)state;
	assert_true(changes("\"name\":\"b\"", "\"name\":\"c\""));
	assert_true(changes("\"namespace\":\"n\"", "\"namespace\":\"m\""));
	assert_true(changes("\"portcullis\"", "\"helm\""));
	assert_true(changes("\"portcullis.dev/record\":\"r\"", "\"portcullis.dev/record\":\"s\""));
	assert_true(changes("\"portcullis.dev/user\":\"alice\"", "\"portcullis.dev/user\":\"bob\""));
	assert_true(changes("\"portcullis.dev/user\":\"alice\",", ""));
	assert_true(changes("\"portcullis.dev/user\":\"alice\"", "\"portcullis.dev/group\":\"alice\""));
	assert_true(changes("\"edit\"", "\"view\""));
	assert_true(changes("\"kind\":\"Group\",\"name\":\"devs\"", "\"kind\":\"User\",\"name\":\"devs\""));
	assert_true(changes(",{\"kind\":\"Group\",\"name\":\"devs\"}", ""));
	assert_true(changes("{\"kind\":\"User\",\"name\":\"alice\"},{\"kind\":\"Group\",\"name\":\"devs\"}",
	    "{\"kind\":\"Group\",\"name\":\"devs\"},{\"kind\":\"User\",\"name\":\"alice\"}"));
	assert_true(changes("\"roleRef\"", "\"spec\":{\"hard\":{\"pods\":\"2\"}},\"roleRef\""));
}

static void test_digest_does_not_see_what_is_others(void **state)
{
	(void)state;
	assert_false(changes("\"name\":\"b\",\"namespace\":\"n\"", "\"namespace\":\"n\",\"name\":\"b\""));
	assert_false(changes("\"name\":\"b\"", "\"name\":\"b\",\"resourceVersion\":\"9\",\"uid\":\"u\""));
	assert_false(changes("\"labels\":{", "\"labels\":{\"team\":\"x\",\"portcullis.dev/keep\":\"true\","));
	assert_false(changes("\"annotations\":{", "\"annotations\":{\"note\":\"x\","));
	assert_false(changes("\"roleRef\"", "\"status\":{\"x\":1},\"roleRef\""));
	/* The items of a list carry neither. */
	assert_false(changes("\"kind\":\"RoleBinding\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",", ""));
	assert_false(changes("\"kind\":\"User\",\"name\":\"alice\"", "\"name\":\"alice\",\"kind\":\"User\""));
}

static void test_a_namespaces_extra_labels_count_and_its_finalizers_do_not(void **state)
{
	(void)state;
	static const char *const keys[] = {"b", "a", NULL}, *const sorted[] = {"a", "b", NULL};
	static const char one[] = "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"1\"}}}";
	static const char two[] = "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"2\"}},"
				  "\"spec\":{\"finalizers\":[\"kubernetes\"]}}";
	uint8_t x[SHA256_LEN], y[SHA256_LEN], z[SHA256_LEN];
	digest_of(one, NULL, x);
	digest_of(two, NULL, y);
	assert_memory_equal(x, y, SHA256_LEN);
	digest_of(one, keys, x);
	digest_of(two, keys, y);
	digest_of(one, sorted, z);
	assert_memory_not_equal(x, y, SHA256_LEN);
	assert_memory_equal(x, z, SHA256_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kinds_are_found_by_version_and_name),
	    cmocka_unit_test(test_paths_are_escaped),
	    cmocka_unit_test(test_places_are_ordered_kinds_first),
	    cmocka_unit_test(test_digest_sees_what_is_ours),
	    cmocka_unit_test(test_digest_does_not_see_what_is_others),
	    cmocka_unit_test(test_a_namespaces_extra_labels_count_and_its_finalizers_do_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
