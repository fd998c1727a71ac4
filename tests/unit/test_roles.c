/* Proves the memory of roles: what is read when, what aggregation hides, what trouble and changes do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "rbac-sync/role_deep.h"

#define AGE (30 * CLOCK_SECOND)
#define VIEW "rbac.authorization.k8s.io/aggregate-to-view"

/* A cluster in memory. */
struct cluster {
	json_t *roles;		 /* "NAME" or "NS/NAME" to the object */
	enum kube_verdict fault; /* other than KUBE_OK: of every call */
	enum kube_verdict list_fault;
	int gets, lists;
	char selector[256]; /* of the last list */
};

static enum kube_verdict get(void *ctx, const char *namespace_, const char *name, json_t **out, struct err *why)
{
	struct cluster *c = ctx;
	char key[256];
	c->gets++;
	err_set(why, ERR_UNAVAILABLE, "HTTP 503");
	if (c->fault != KUBE_OK)
		return c->fault;
	snprintf(key, sizeof(key), "%s%s%s", namespace_ ? namespace_ : "", namespace_ ? "/" : "", name);
	*out = json_incref(json_object_get(c->roles, key));
	return *out ? KUBE_OK : KUBE_ABSENT;
}

/* Labels are all "true" here: a selector is NAME=true. */
static enum kube_verdict list(void *ctx, const char *selector, json_t **out, struct err *why)
{
	struct cluster *c = ctx;
	const char *key;
	json_t *role;
	char label[256];
	c->lists++;
	snprintf(c->selector, sizeof(c->selector), "%s", selector);
	err_set(why, ERR_UNAVAILABLE, "HTTP 503");
	if (c->fault != KUBE_OK || c->list_fault != KUBE_OK)
		return c->fault != KUBE_OK ? c->fault : c->list_fault;
	*out = json_array();
	json_object_foreach(c->roles, key, role) {
		json_t *labels = json_object_get(json_object_get(role, "metadata"), "labels");
		size_t len = strcspn(selector, "=");
		snprintf(label, sizeof(label), "%.*s", (int)len, selector);
		if (!*selector || json_object_get(labels, label))
			json_array_append(*out, role);
	}
	return KUBE_OK;
}

/* RULE: "group resource verb", or NULL for none. LABEL and AGGREGATES may be NULL. */
static void put(struct cluster *c, const char *key, const char *rule, const char *label, const char *aggregates)
{
	char group[64] = "", resource[64] = "", verb[64] = "";
	const char *name = strrchr(key, '/') ? strrchr(key, '/') + 1 : key;
	json_t *role = json_pack("{s:{s:s,s:{}},s:[]}", "metadata", "name", name, "labels", "rules");
	if (rule) {
		assert_int_equal(sscanf(rule, "%63s %63s %63s", group, resource, verb), 3);
		json_array_append_new(json_object_get(role, "rules"),
		    json_pack("{s:[s],s:[s],s:[s]}", "apiGroups", strcmp(group, "core") == 0 ? "" : group, "resources",
			resource, "verbs", verb));
	}
	if (label)
		json_object_set_new(json_object_get(json_object_get(role, "metadata"), "labels"), label,
		    json_string("true"));
	if (aggregates)
		json_object_set_new(role, "aggregationRule",
		    json_pack("{s:[{s:{s:s}}]}", "clusterRoleSelectors", "matchLabels", aggregates, "true"));
	json_object_set_new(c->roles, key, role);
}

static struct sync_config *templates(const char *roles)
{
	struct diags d = {0};
	struct sync_config *c = NULL;
	char text[1024];
	snprintf(text, sizeof(text),
	    "apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\ntemplates:\n- name: t\n"
	    "  match: {groups: [g]}\n  grants: [%s]\n",
	    roles);
	if (sync_config_parse("t.yaml", slice_of(text), &c, &d) != ERR_OK) {
		struct err e;
		diags_to_err(&d, &e);
		fail_msg("%s", e.msg);
	}
	diags_done(&d);
	return c;
}

struct fixture {
	struct cluster cluster;
	struct roles_reader from;
	struct roles *roles;
	struct sync_config *config;
	struct arena arena;
	const char *why;
	int64_t now;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->cluster = (struct cluster){.roles = json_object(), .fault = KUBE_OK, .list_fault = KUBE_OK};
	f->from = (struct roles_reader){&f->cluster, get, list};
	f->roles = roles_new(AGE);
	f->config = templates("{clusterRole: view, scope: cluster}");
	f->now = clock_mono();
	arena_init(&f->arena, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	roles_free(&f->roles);
	sync_config_free(&f->config);
	json_decref(f->cluster.roles);
	arena_done(&f->arena);
	free(f);
	return 0;
}

static enum role_verdict look(struct fixture *f, const char *name, bool wide)
{
	f->why = NULL;
	return roles_look(f->roles, NULL, "ClusterRole", name, wide, &f->arena, &f->why);
}

static bool refresh(struct fixture *f, int64_t later)
{
	f->now += later;
	return roles_read(f->roles, &f->from, f->config, f->now);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

/* --- the memory --- */

static void test_nothing_is_known_before_it_is_read(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", "core pods list", NULL, NULL);
	assert_int_equal(look(f, "view", true), ROLE_UNKNOWN);
	assert_string_equal(f->why, "the role has not been read yet");
	assert_true(refresh(f, 0));
	assert_int_equal(look(f, "view", true), ROLE_FINE);
	assert_null(f->why);
	assert_int_equal(look(f, "view", false), ROLE_FINE);
}

static void test_each_binding_has_its_verdict(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", "core secrets list", NULL, NULL);
	assert_true(refresh(f, 0));
	assert_int_equal(look(f, "view", true), ROLE_DANGEROUS);
	assert_non_null(strstr(f->why, "secrets"));
	assert_int_equal(look(f, "view", false), ROLE_FINE);
}

static void test_a_verdict_is_read_again_when_it_is_old(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", "core pods list", NULL, NULL);
	assert_true(refresh(f, 0));
	uint64_t version = roles_version(f->roles);
	put(&f->cluster, "view", "* * *", NULL, NULL);
	assert_false(refresh(f, AGE - 1));
	assert_int_equal(f->cluster.gets, 1);
	assert_int_equal(look(f, "view", false), ROLE_FINE);
	assert_int_equal(roles_version(f->roles), version);
	assert_true(refresh(f, 1));
	assert_int_equal(look(f, "view", false), ROLE_DANGEROUS);
	assert_int_not_equal(roles_version(f->roles), version);
	/* An admin need not wait. */
	put(&f->cluster, "view", "core pods list", NULL, NULL);
	roles_expire(f->roles);
	assert_int_equal(look(f, "view", false), ROLE_DANGEROUS);
	assert_true(refresh(f, 0));
	assert_int_equal(look(f, "view", false), ROLE_FINE);
	put(&f->cluster, "view", "* * *", NULL, NULL);
	assert_true(refresh(f, AGE));
	/* The same again is no change. */
	assert_false(refresh(f, AGE));
	assert_int_equal(f->cluster.gets, 5);
	json_object_del(f->cluster.roles, "view");
	assert_true(refresh(f, AGE));
	assert_int_equal(look(f, "view", false), ROLE_ABSENT);
}

static void test_trouble_keeps_a_verdict_for_a_while(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", "core pods list", NULL, NULL);
	assert_true(refresh(f, 0));
	f->cluster.fault = KUBE_LATER;
	assert_false(refresh(f, AGE));
	assert_int_equal(look(f, "view", false), ROLE_FINE);
	assert_false(refresh(f, (ROLES_STALE - 1) * AGE - 1));
	assert_int_equal(look(f, "view", false), ROLE_FINE);
	assert_true(refresh(f, 1));
	assert_int_equal(look(f, "view", false), ROLE_UNKNOWN);
	assert_string_equal(f->why, "the role cannot be read: HTTP 503");
	f->cluster.fault = KUBE_OK;
	assert_true(refresh(f, 0));
	assert_int_equal(look(f, "view", false), ROLE_FINE);
}

static void test_who_may_not_read_knows_nothing(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", "core pods list", NULL, NULL);
	assert_true(refresh(f, 0));
	f->cluster.fault = KUBE_REFUSED;
	assert_true(refresh(f, AGE));
	assert_int_equal(look(f, "view", false), ROLE_UNKNOWN);
}

static void test_what_was_asked_about_is_read_next(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", "core pods list", NULL, NULL);
	put(&f->cluster, "team-a/dev", "core pods list", NULL, NULL);
	assert_true(refresh(f, 0));
	assert_false(readable(roles_fd(f->roles)));
	assert_int_equal(roles_look(f->roles, "team-a", "Role", "dev", false, &f->arena, &f->why), ROLE_UNKNOWN);
	assert_int_equal(roles_look(f->roles, "team-b", "Role", "dev", false, &f->arena, &f->why), ROLE_UNKNOWN);
	assert_true(readable(roles_fd(f->roles)));
	/* Without the templates only what was never read is. */
	assert_true(roles_read(f->roles, &f->from, NULL, f->now + AGE));
	assert_int_equal(f->cluster.gets, 3);
	assert_false(readable(roles_fd(f->roles)));
	assert_int_equal(roles_look(f->roles, "team-a", "Role", "dev", false, &f->arena, &f->why), ROLE_FINE);
	assert_int_equal(roles_look(f->roles, "team-b", "Role", "dev", false, &f->arena, &f->why), ROLE_ABSENT);
	/* A ClusterRole of that name is another role, wherever it is bound. */
	assert_int_equal(roles_look(f->roles, "team-a", "ClusterRole", "dev", false, &f->arena, &f->why), ROLE_UNKNOWN);
	assert_false(roles_read(f->roles, &f->from, NULL, f->now + AGE) &&
	    roles_look(f->roles, NULL, "ClusterRole", "dev", false, &f->arena, &f->why) == ROLE_FINE);
}

static void test_what_nobody_asks_about_is_forgotten(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", "core pods list", NULL, NULL);
	look(f, "other", false);
	assert_true(refresh(f, 0));
	assert_int_equal(f->cluster.gets, 2);
	refresh(f, ROLES_UNASKED + CLOCK_SECOND);
	assert_int_equal(f->cluster.gets, 3);
}

static void test_there_is_a_limit(void **state)
{
	struct fixture *f = *state;
	char name[32];
	for (int i = 0; i < ROLES_MAX; i++) {
		snprintf(name, sizeof(name), "role%d", i);
		look(f, name, false);
	}
	assert_true(refresh(f, 0));
	assert_int_equal(look(f, "role7", false), ROLE_ABSENT);
	assert_int_equal(look(f, "one more", false), ROLE_UNKNOWN);
	assert_non_null(strstr(f->why, "too many"));
}

/* --- aggregation --- */

static void test_a_danger_behind_aggregation_is_seen_before_it_is_copied(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", NULL, NULL, VIEW);
	put(&f->cluster, "pods-view", "core pods list", VIEW, NULL);
	assert_true(refresh(f, 0));
	assert_string_equal(f->cluster.selector, VIEW "=true");
	assert_int_equal(look(f, "view", true), ROLE_FINE);
	put(&f->cluster, "sneaky", "core secrets list", VIEW, NULL);
	assert_true(refresh(f, AGE));
	assert_int_equal(look(f, "view", true), ROLE_DANGEROUS);
	assert_string_equal(f->why,
	    "it aggregates \"sneaky\": rules[0] lets list \"secrets\": it reads all secrets, tokens among them");
	assert_int_equal(look(f, "view", false), ROLE_FINE);
}

static void test_what_was_copied_counts_too(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", "* * *", NULL, VIEW);
	assert_true(refresh(f, 0));
	assert_int_equal(look(f, "view", false), ROLE_DANGEROUS);
	assert_int_equal(f->cluster.lists, 0);
}

static void test_aggregation_of_aggregation_and_in_circles(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", NULL, "one", "two");
	put(&f->cluster, "b", NULL, "two", "three");
	put(&f->cluster, "c", "core pods list", "three", "one");
	assert_true(refresh(f, 0));
	assert_int_equal(look(f, "view", true), ROLE_FINE);
	put(&f->cluster, "d", "core users impersonate", "three", NULL);
	assert_true(refresh(f, AGE));
	assert_int_equal(look(f, "view", false), ROLE_DANGEROUS);
	assert_non_null(strstr(f->why, "\"b\": it aggregates \"d\""));
	/* One list a selector serves both verdicts and all roles of one reading. */
	assert_int_equal(f->cluster.lists, 6);
}

static void test_a_chain_without_end_is_unknown(void **state)
{
	struct fixture *f = *state;
	char name[32], label[32], next[32];
	put(&f->cluster, "view", NULL, NULL, "l0");
	for (int i = 0; i < ROLES_DEPTH_MAX + 1; i++) {
		snprintf(name, sizeof(name), "role%d", i);
		snprintf(label, sizeof(label), "l%d", i);
		snprintf(next, sizeof(next), "l%d", i + 1);
		put(&f->cluster, name, NULL, label, next);
	}
	refresh(f, 0);
	assert_int_equal(look(f, "view", false), ROLE_UNKNOWN);
	assert_non_null(strstr(f->why, "too deep"));
}

static void test_a_list_that_fails_tells_nothing_good(void **state)
{
	struct fixture *f = *state;
	put(&f->cluster, "view", "core pods list", NULL, VIEW);
	f->cluster.list_fault = KUBE_LATER;
	refresh(f, 0);
	assert_int_equal(look(f, "view", false), ROLE_UNKNOWN);
	f->cluster.list_fault = KUBE_OK;
	refresh(f, 0);
	assert_int_equal(look(f, "view", false), ROLE_FINE);
	/* Trouble keeps it, a refusal does not. */
	f->cluster.list_fault = KUBE_LATER;
	assert_false(refresh(f, AGE));
	assert_int_equal(look(f, "view", false), ROLE_FINE);
	f->cluster.list_fault = KUBE_REFUSED;
	assert_true(refresh(f, AGE));
	assert_int_equal(look(f, "view", false), ROLE_UNKNOWN);
	/* What is dangerous for sure is so whatever cannot be read. */
	put(&f->cluster, "view", "* * *", NULL, VIEW);
	assert_true(refresh(f, AGE));
	assert_int_equal(look(f, "view", false), ROLE_DANGEROUS);
}

static void check_selector(const char *json, const char *want)
{
	struct arena a;
	json_error_t err;
	json_t *o = json_loads(json, JSON_DECODE_ANY, &err);
	assert_non_null(o);
	arena_init(&a, 0);
	const char *got = role_selector(o, &a);
	if (!text_eq(got, want))
		fail_msg("%s: %s, not %s", json, got ? got : "refused", want ? want : "refused");
	arena_done(&a);
	json_decref(o);
}

static void test_selectors_in_the_words_of_a_query(void **state)
{
	(void)state;
	check_selector("{}", "");
	check_selector("{\"matchLabels\":{\"a/b\":\"true\",\"c\":\"\"}}", "a/b=true,c=");
	check_selector("{\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":[{\"key\":\"t\",\"operator\":\"In\","
		       "\"values\":[\"x\",\"y\"]},{\"key\":\"u\",\"operator\":\"NotIn\",\"values\":[\"z\"]},"
		       "{\"key\":\"v\",\"operator\":\"Exists\"},{\"key\":\"w\",\"operator\":\"DoesNotExist\"}]}",
	    "a=b,t in (x,y),u notin (z),v,!w");
	check_selector("{\"matchExpressions\":[{\"key\":\"t\",\"operator\":\"Like\",\"values\":[\"x\"]}]}", NULL);
	check_selector("{\"matchExpressions\":[{\"key\":\"t\",\"operator\":\"In\",\"values\":[]}]}", NULL);
	check_selector("{\"matchExpressions\":[{\"operator\":\"Exists\"}]}", NULL);
	check_selector("{\"matchExpressions\":[1]}", NULL);
	check_selector("{\"matchExpressions\":{}}", NULL);
	check_selector("{\"matchLabels\":[]}", NULL);
	check_selector("{\"matchLabels\":{\"a\":1}}", NULL);
	check_selector("[]", NULL);
}

/* --- threads --- */

static void *look_often(void *arg)
{
	struct fixture *f = arg;
	struct arena a;
	const char *why;
	char name[32];
	arena_init(&a, 0);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "role%d", i % 50);
		roles_look(f->roles, i % 3 ? NULL : "team-a", i % 3 ? "ClusterRole" : "Role", name, i % 2, &a, &why);
		arena_reset(&a);
	}
	arena_done(&a);
	return NULL;
}

static void *read_often(void *arg)
{
	struct fixture *f = arg;
	for (int i = 0; i < 50; i++)
		roles_read(f->roles, &f->from, i % 2 ? f->config : NULL, f->now + i * AGE);
	return NULL;
}

static void test_threads_look_while_others_read(void **state)
{
	struct fixture *f = *state;
	pthread_t t[4];
	put(&f->cluster, "role7", "core pods list", NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, i % 2 ? read_often : look_often, f), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	roles_read(f->roles, &f->from, NULL, f->now);
	assert_int_equal(look(f, "role7", true), ROLE_FINE);
	assert_int_equal(look(f, "role8", true), ROLE_ABSENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_nothing_is_known_before_it_is_read),
	    TEST(test_each_binding_has_its_verdict),
	    TEST(test_a_verdict_is_read_again_when_it_is_old),
	    TEST(test_trouble_keeps_a_verdict_for_a_while),
	    TEST(test_who_may_not_read_knows_nothing),
	    TEST(test_what_was_asked_about_is_read_next),
	    TEST(test_what_nobody_asks_about_is_forgotten),
	    TEST(test_there_is_a_limit),
	    TEST(test_a_danger_behind_aggregation_is_seen_before_it_is_copied),
	    TEST(test_what_was_copied_counts_too),
	    TEST(test_aggregation_of_aggregation_and_in_circles),
	    TEST(test_a_chain_without_end_is_unknown),
	    TEST(test_a_list_that_fails_tells_nothing_good),
	    cmocka_unit_test(test_selectors_in_the_words_of_a_query),
	    TEST(test_threads_look_while_others_read),
	};
	jsonx_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
