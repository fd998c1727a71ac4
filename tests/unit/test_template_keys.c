/* Proves what templates may not say about namespaces, objects, times and defaults, each told with its place; and how
 * what they leave out is filled in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/file.h"
#include "rbac-sync/template.h"

#define HEAD "apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\n"
/* Line 7 is what follows. */
#define ONE HEAD "subjectMode: group-first\ntemplates:\n- name: t\n  match: {groups: [\"eng-*\"]}\n"
#define GRANT ONE "  grants: [{clusterRole: a, scope: cluster}]\n"
#define IN(more) ONE "  namespace: {name: 'n-${user.hash10}'" more "}\n"
#define OBJECT(text) IN("") "  objects:\n  - " text "\n"

struct row {
	const char *text, *finding;
};

static void expect_findings(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sync_config *c = NULL;
		struct diags d = {0};
		struct buf text;
		enum err_code rc = sync_config_parse("t.yaml", slice_of(rows[i].text), &c, &d);
		buf_init(&text, 1 << 20);
		diags_print(&d, &text);
		if (rc == ERR_OK || c || d.errors != 1 || !strstr(buf_cstr(&text), rows[i].finding))
			fail_msg("row %zu wants \"%s\", got: %s", i, rows[i].finding, buf_cstr(&text));
		buf_done(&text);
		diags_done(&d);
	}
}

static void test_defaults_and_limits(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {HEAD "templates: []\n", "t.yaml:3:12: error: no templates: this would remove everything"},
	    {HEAD "subjectMode: users\ntemplates: []\n", "t.yaml:3:14: error: "},
	    {GRANT "defaults: {drift: never}\n", "t.yaml:8:19: error: "},
	    {GRANT "defaults: {ttl: soon}\n", "t.yaml:8:17: error: ttl must be a duration of at least 1m"},
	    {GRANT "defaults: {ttl: 59s}\n", "t.yaml:8:17: error: ttl must be"},
	    {GRANT "defaults: {onGC: keep}\n", "t.yaml:8:18: error: "},
	    {GRANT "defaults: {prune: 'no'}\n", "t.yaml:8:19: error: "},
	    {GRANT "defaults: {adopt: true}\n", "t.yaml:8:12: error: unknown key"},
	    {GRANT "limits: {maxUsers: 0}\n", "t.yaml:8:20: error: "},
	    {GRANT "limits: {maxNamespaces: -1}\n", "t.yaml:8:25: error: "},
	    {GRANT "limits: {maxNewUsersPerMinute: many}\n", "t.yaml:8:32: error: "},
	    {GRANT "limits: {maxBindingsPerUser: 5}\n", "t.yaml:8:10: error: unknown key"},
	    {GRANT "match: {}\n", "t.yaml:8:8: error: name providers or groups"},
	    {HEAD "templates:\n- {name: t, grants: [{clusterRole: a, scope: cluster}]}\n",
		"t.yaml:4:3: error: match is missing"},
	    {ONE, "t.yaml:5:3: error: the template gives nothing"},
	    {ONE "  namespace: {name: shop, create: false}\n", "t.yaml:5:3: error: the template gives nothing"},
	    {GRANT "  drift: none\n", "t.yaml:8:10: error: "},
	    {GRANT "  prune: 1\n", "t.yaml:8:10: error: "},
	    {GRANT "  ttl: 1\n", "t.yaml:8:8: error: ttl must be"},
	    {GRANT "  ttl: -1h\n", "t.yaml:8:8: error: ttl must be"},
	};
	expect_findings(rows, ARRAY_LEN(rows));
}

static void test_namespaces(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {ONE "  namespace: {}\n", "`name` is missing"},
	    {ONE "  namespace: {name: shop}\n",
		"t.yaml:7:21: error: a namespace that is made must be somebody's"},
	    {ONE "  namespace: {name: '${date}'}\n", "t.yaml:7:21: error: users may share this namespace"},
	    {ONE "  namespace: {name: 'n-${extra.team}'}\n", "t.yaml:7:21: error: users may share"},
	    {ONE "  namespace: {name: 'n-${uid}'}\n", "t.yaml:7:21: error: users may share"},
	    {ONE "  namespace: {name: 'n-${user.hash10|trunc:4}'}\n", "t.yaml:7:21: error: users may share"},
	    {ONE "  namespace: {name: 'n-${user|replace:a:b}'}\n", "t.yaml:7:21: error: users may share"},
	    {ONE "  namespace: {name: 'n-${group|replace:a:b}'}\n", "t.yaml:7:21: error: groups may share"},
	    {ONE "  namespace: {name: 'n-${group|default:b}'}\n", "t.yaml:7:21: error: groups may share"},
	    {ONE "  namespace: {name: '${user}-${uid}-${group.hash10}'}\n", "t.yaml:7:21: error: several names without a hash"},
	    {ONE "  grants: [{role: a, namespaces: ['${user}-${extra.x}-${group.hash10}']}]\n",
		"t.yaml:7:35: error: several names without a hash"},
	    {ONE "  namespace: {name: 'n-${user}'}\n",
		"t.yaml:7:21: error: users of several providers may share this namespace: add ${user.hash10}"},
	    {ONE "  namespace: {name: 'n-${group}'}\n",
		"t.yaml:7:21: error: groups of several providers may share this namespace: add ${group.hash10}"},
	    {ONE "  namespace: {name: kube-system, create: false}\n  grants: [{clusterRole: a}]\n",
		"t.yaml:7:21: error: nothing is ever bound in namespace \"kube-system\" (reservedNamespace)"},
	    {HEAD "templates:\n- name: t\n  match: {providers: ['*']}\n  namespace: {name: '${group.hash10}'}\n",
		"t.yaml:4:3: error: ${group} needs match.groups"},
	    {ONE "  namespace: {name: '${usr}'}\n", "t.yaml:7:22: error: unknown placeholder ${usr}"},
	    {ONE "  namespace: {name: '${extra.}'}\n", "t.yaml:7:22: error: unknown placeholder ${extra.}"},
	    {ONE "  namespace: {name: '${extra.KEY-}', create: false}\n  grants: [{role: cluster-admin}]\n",
		"t.yaml:8:19: error: role \"cluster-admin\" is never bound"},
	    {ONE "  namespace: {name: [a]}\n", "t.yaml:7:21: error: must be a string"},
	    {IN(", create: 'yes'"), "t.yaml:7:49: error: "},
	    {IN(", create: false, adopt: true") "  grants: [{clusterRole: a}]\n",
		"t.yaml:7:63: error: adopt is of a namespace that is made"},
	    {IN(", create: false, labels: {a: b}") "  grants: [{clusterRole: a}]\n",
		"t.yaml:7:64: error: labels is of"},
	    {IN(", onGC: sometimes"), "t.yaml:7:47: error: "},
	    {IN(", labels: [a]"), "t.yaml:7:49: error: must be a mapping of at most 32 texts"},
	    {IN(", labels: {'-a': b}"), "t.yaml:7:50: error: \"-a\" is no key of a label"},
	    {IN(", labels: {a: 'x y'}"), "t.yaml:7:53: error: \"x y\" is no value of a label"},
	    {IN(", labels: {a: true}"), "t.yaml:7:53: error: must be a string: quote it"},
	    {IN(", labels: {a: 1}"), "t.yaml:7:53: error: must be a string: quote it"},
	    {IN(", labels: {a: yes}"), "t.yaml:7:53: error: quote \"yes\""},
	    {IN(", labels: {a: [b]}"), "t.yaml:7:53: error: must be a string"},
	    {IN(", labels: {a: }"), "has no value"},
	    {IN(", labels: {a: '${group}'}"), "t.yaml:7:53: error: ${group} may stand here only when"},
	    {IN(", labels: {a: '${nobody}'}"), "t.yaml:7:54: error: unknown placeholder"},
	    {IN(", labels: {portcullis.dev/keep: 'true'}"),
		"t.yaml:7:50: error: \"portcullis.dev/keep\" is not for templates"},
	    {IN(", labels: {x.portcullis.dev/a: b}"), "t.yaml:7:50: error: "},
	    {IN(", labels: {app.kubernetes.io/managed-by: me}"), "t.yaml:7:50: error: "},
	    {IN(", labels: {kubernetes.io/metadata.name: x}"), "t.yaml:7:50: error: "},
	    {IN(", annotations: {'a b': c}"), "t.yaml:7:55: error: \"a b\" is no key of an annotation"},
	    {ONE "  namespace: {name: '${group}-${group.hash6}', labels: {who: '${user.slug}'}}\n",
		"t.yaml:7:62: error: several users share this object"},
	    {IN("") "  namespaces: [a]\n", "t.yaml:8:15: error: name either namespace or namespaces"},
	    {ONE "  namespaces: []\n  grants: [{clusterRole: a}]\n", "t.yaml:7:15: error: namespaces must be a list"},
	    {ONE "  grants: [{clusterRole: a, namespaces: {}}]\n", "t.yaml:7:41: error: "},
	    {ONE "  grants: [{clusterRole: a, namespaces: {select: x, selector: y}}]\n", "t.yaml:7:42: error: unknown key"},
	    {ONE "  grants: [{clusterRole: a, namespaces: {selector: 'team='', x'}}]\n", "t.yaml:7:52: error: selector"},
	    {ONE "  grants: [{clusterRole: a, namespaces: {selector: '${user.slug}'}}]\n",
		"t.yaml:7:52: error: selector: \"${user.slug}\" is no label key"},
	    {ONE "  grants: [{clusterRole: a}]\n", "t.yaml:7:12: error: name namespaces, or say scope: cluster"},
	};
	expect_findings(rows, ARRAY_LEN(rows));
}

static void test_objects(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {GRANT "  objects: [{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {}}]\n",
		"t.yaml:8:12: error: objects need a namespace or namespaces beside them"},
	    {OBJECT("{apiVersion: v1, kind: Secret, metadata: {name: s}, spec: {}}"),
		"t.yaml:9:28: error: templates make no Secret; kinds that are possible: ResourceQuota, LimitRange, "
		"NetworkPolicy"},
	    {OBJECT("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: s}, spec: {}}"),
		"t.yaml:9:54: error: templates make no Role;"},
	    {OBJECT("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: s}, spec: {}}"),
		"t.yaml:9:54: error: templates make no ClusterRole;"},
	    {OBJECT("{apiVersion: v1, kind: Namespace, metadata: {name: s}, spec: {}}"), "t.yaml:9:28: error: "},
	    {OBJECT("{apiVersion: v1, kind: NetworkPolicy, metadata: {name: s}, spec: {}}"),
		"t.yaml:9:18: error: apiVersion of a NetworkPolicy must be networking.k8s.io/v1"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: s}}"), "`spec` is missing"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, spec: {}}"), "`metadata` is missing"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {}, spec: {}}"), "`name` is missing"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: []}"),
		"t.yaml:9:67: error: spec must be a mapping"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {}, status: {}}"),
		"t.yaml:9:71: error: unknown key"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l, namespace: kube-system}, spec: {}}"),
		"t.yaml:9:60: error: unknown key"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l, ownerReferences: []}, spec: {}}"),
		"t.yaml:9:60: error: unknown key"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: 'L_1'}, spec: {}}"),
		"t.yaml:9:57: error: \"L_1\" is no name of a LimitRange"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: '${group}'}, spec: {}}"),
		"t.yaml:9:57: error: ${group} may stand here only"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l, labels: {a: '!'}}, spec: {}}"),
		"t.yaml:9:72: error: \"!\" is no value"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: [{b: '${user|x}'}]}}"),
		"t.yaml:9:84: error: unknown filter \"x\""},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: '${group}'}}"),
		"t.yaml:9:71: error: ${group} may stand here only"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {'${user}': 1}}"),
		"t.yaml:9:68: error: keys take no placeholders"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: 1.5}}"),
		"t.yaml:9:71: error: quote \"1.5\": without quotes it may be read as a number or bool"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: 010}}"), "quote \"010\""},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: 0x1F}}"), "quote \"0x1F\""},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: 1e3}}"), "quote \"1e3\""},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: 12:30}}"), "quote \"12:30\""},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: Off}}"), "quote \"Off\""},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: TRUE}}"), "quote \"TRUE\""},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: .inf}}"), "quote \".inf\""},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: 1234567890123456789}}"),
		"quote \"1234567890123456789\""},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: ~}}"),
		"t.yaml:9:71: error: has no value"},
	    {OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {}}\n"
		    "  - {apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {}}"),
		"t.yaml:10:57: error: a LimitRange of this name stands in line 9 already"},
	    {ONE "  namespaces: [a, 'n-${user.hash6}']\n  objects: [{apiVersion: v1, kind: LimitRange, metadata: "
		 "{name: l}, spec: {a: '${user}'}}]\n",
		"t.yaml:8:79: error: several users share this object"},
	};
	expect_findings(rows, ARRAY_LEN(rows));
}

static void test_times(void **state)
{
	(void)state;
#define TIMES(text) ONE "  grants:\n  - {clusterRole: a, scope: cluster, " text "}\n"
	static const struct row rows[] = {
	    {TIMES("startTime: tomorrow"), "t.yaml:8:49: error: startTime is not a time such as"},
	    {TIMES("endTime: '2026-12-01'"), "t.yaml:8:47: error: endTime is not a time"},
	    {TIMES("startTime: '2026-12-02T00:00:00Z', endTime: '2026-12-02T00:00:00Z'"),
		"t.yaml:8:82: error: endTime is not after startTime"},
	    {TIMES("ttl: 30s"), "t.yaml:8:43: error: ttl must be"},
	    {TIMES("ttl: 1h, subject: {kind: Group}"),
		"t.yaml:8:5: error: ttl counts from one user's login, and this binds a Group"},
	    {ONE "  ttl: 1h\n  grants: [{clusterRole: a, scope: cluster, subject: {kind: Group}}]\n",
		"t.yaml:8:12: error: ttl counts from"},
	    {TIMES("schedule: {days: [mon], tz: UTC}"), "t.yaml:8:48: error: "},
	    {TIMES("schedule: []"), "t.yaml:8:48: error: "},
	    {TIMES("schedule: [{}]"), "t.yaml:8:49: error: name days, hours, from or until"},
	    {TIMES("schedule: [{days: [monday], tz: UTC}]"), "t.yaml:8:57: error: expected a day (`mon`"},
	    {TIMES("schedule: [{hours: ['8-17'], tz: UTC}]"), "t.yaml:8:58: error: expected hours such as"},
	    {TIMES("schedule: [{hours: ['08:00-08:00'], tz: UTC}]"), "t.yaml:8:58: error: expected hours"},
	    {TIMES("schedule: [{days: [mon]}]"), "t.yaml:8:49: error: tz is missing"},
	    {TIMES("schedule: [{days: [mon], tz: Europe/Brelin}]"), "t.yaml:8:67: error: "},
	    {TIMES("schedule: [{days: [mon], tz: ../etc/passwd}]"), "t.yaml:8:67: error: "},
	    {TIMES("schedule: [{tz: UTC, from: '2026-12-02T00:00:00Z'}]"), "t.yaml:8:54: error: tz without days"},
	    {TIMES("schedule: [{from: then}]"), "t.yaml:8:56: error: from is not a time"},
	    {TIMES("schedule: [{until: then}]"), "t.yaml:8:57: error: until is not a time"},
	    {TIMES("schedule: [{from: '2026-12-02T00:00:00Z', until: '2026-12-01T00:00:00Z'}]"),
		"t.yaml:8:87: error: until is not after from"},
	    {TIMES("schedule: [{hours: ['00:00-24:00'], tz: UTC}]"), "t.yaml:8:49: error: this schedule is always open"},
	    {TIMES("schedule: [{days: [mon], tz: UTC, except: {days: [mon], tz: UTC}}]"),
		"t.yaml:8:49: error: this schedule is never open"},
	    {TIMES("schedule: [{days: [mon], tz: UTC, except: {}}]"), "t.yaml:8:80: error: name days"},
	    {TIMES("schedule: [{days: [mon], tz: UTC, except: {days: [x], tz: UTC}}]"), "t.yaml:8:88: error: expected"},
	    {TIMES("allowPrivileged: 'true'"), "t.yaml:8:55: error: "},
	};
	expect_findings(rows, ARRAY_LEN(rows));
}

static struct sync_config *load(const char *text)
{
	struct sync_config *c = NULL;
	struct diags d = {0};
	if (sync_config_parse("t.yaml", slice_of(text), &c, &d) != ERR_OK) {
		struct err e;
		diags_to_err(&d, &e);
		fail_msg("%s", e.msg);
	}
	diags_done(&d);
	return c;
}

static void test_what_is_left_out_is_filled_in(void **state)
{
	(void)state;
	struct sync_config *c = load(GRANT);
	const struct template *t = c->templates.items;
	assert_int_equal(c->subject_mode, GROUP_FIRST);
	assert_int_equal(c->limits.max_users, 50000);
	assert_int_equal(c->limits.max_namespaces, 1000);
	assert_int_equal(c->limits.max_new_users, 60);
	assert_true(t->prune);
	assert_int_equal(t->drift, DRIFT_REPAIR);
	assert_int_equal(t->ttl, 0);
	sync_config_free(&c);
	c = load(HEAD "defaults: {drift: report, ttl: 12h, prune: false, onGC: delete}\n"
		      "match: {groups: [a]}\ntemplates:\n"
		      "- {name: a, namespace: {name: 'u-${user.hash10}'}, grants: [{clusterRole: a}]}\n"
		      "- {name: b, drift: repair, ttl: '', prune: true, namespace: {name: 'v-${user.hash10}', "
		      "onGC: orphan, create: true}, grants: [{clusterRole: a}, {role: b, ttl: 90m}]}\n");
	t = c->templates.items;
	const struct template_grant *g = t[0].grants.items, *h = t[1].grants.items;
	assert_true(!t[0].prune && t[1].prune);
	assert_true(t[0].drift == DRIFT_REPORT && t[1].drift == DRIFT_REPAIR);
	assert_true(t[0].namespace_.on_gc == ON_GC_DELETE && t[1].namespace_.on_gc == ON_GC_ORPHAN);
	assert_true(t[0].namespace_.create && !t[0].namespace_.adopt);
	assert_int_equal(g->time.ttl, 12 * 3600);
	assert_int_equal(h[0].time.ttl, 0);
	assert_int_equal(h[1].time.ttl, 5400);
	assert_int_equal(t[0].match.groups.len, 1);
	assert_true(g->time.start == INT64_MIN && g->time.end == INT64_MAX && g->time.nwindows == 0);
	sync_config_free(&c);
}

static void test_the_digest_tells_files_apart(void **state)
{
	(void)state;
	static const char *const texts[] = {GRANT, GRANT "defaults: {drift: off}\n", GRANT "limits: {maxUsers: 1}\n",
	    OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: 1}}"),
	    OBJECT("{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {a: '1'}}")};
	char seen[ARRAY_LEN(texts)][CONFIG_DIGEST_LEN + 1];
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct sync_config *c = load(texts[i]);
		assert_int_equal(strlen(c->digest), CONFIG_DIGEST_LEN);
		memcpy(seen[i], c->digest, sizeof(seen[i]));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(seen[j], seen[i]);
		sync_config_free(&c);
	}
	struct sync_config *c = load("# the same\n" GRANT);
	assert_string_equal(c->digest, seen[0]);
	sync_config_free(&c);
}

/* A file of the tree. */
static const char *in_tree(struct arena *a, const char *name)
{
	const char *top = getenv("top_srcdir");
	struct slice text;
	struct err e;
	if (file_read(a, arena_printf(a, "%s/%s", top ? top : ".", name), 1 << 20, &text, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	return text.p;
}

static void test_examples_of_the_manual_load(void **state)
{
	(void)state;
	struct arena a;
	size_t n = 0;
	arena_init(&a, 0);
	const char *at = in_tree(&a, "docs/rbac-sync.md");
	while ((at = strstr(at, "```yaml\n"))) {
		at += strlen("```yaml\n");
		const char *end = strstr(at, "```"), *text = arena_strndup(&a, at, (size_t)(end - at));
		at = end + 3;
		if (!strstr(text, "kind: SyncConfig"))
			continue;
		struct sync_config *c = load(text);
		sync_config_free(&c);
		n++;
	}
	assert_true(n >= 4);
	struct sync_config *c = load(in_tree(&a, "deploy/examples/templates.yaml"));
	sync_config_free(&c);
	arena_done(&a);
}

/* What editors are given is what the tables say. */
static void test_json_schema_is_of_the_tables(void **state)
{
	(void)state;
	struct arena a;
	struct buf want;
	arena_init(&a, 0);
	buf_init(&want, 1 << 20);
	schema_print_json(&sync_config_schema, SYNC_SCHEMA_TITLE, &want);
	assert_string_equal(in_tree(&a, "docs/sync-config.schema.json"), buf_cstr(&want));
	buf_done(&want);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults_and_limits),
	    cmocka_unit_test(test_namespaces),
	    cmocka_unit_test(test_objects),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_what_is_left_out_is_filled_in),
	    cmocka_unit_test(test_the_digest_tells_files_apart),
	    cmocka_unit_test(test_examples_of_the_manual_load),
	    cmocka_unit_test(test_json_schema_is_of_the_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
