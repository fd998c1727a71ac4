/* Proves loading: what the language accepts and refuses, with the place and the words of each finding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/schema.h"
#include "policy/convert.h"
#include "tests/support/policy_rows.h"

static void test_the_tables_are_sound(void **state)
{
	(void)state;
	struct buf why;
	buf_init(&why, 1 << 16);
	if (!schema_sound(policy_schema(), &why))
		fail_msg("%s", buf_cstr(&why));
	buf_done(&why);
}

static void test_files(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {RULE PODS, NULL},
	    {"metadata: {name: x}\n", "p.yaml: warning: the policy has no rules"},
	    {"metadata: {generation: -1}\n", "p.yaml:3:24: error: `generation`"},
	    {"metadata: {generation: \"1\"}\n", "p.yaml:3:24: error: `generation`"},
	    {"rulez: []\n", "p.yaml:3:1: error: unknown key `rulez`, did you mean `rules`"},
	    {"rules: []\n", "p.yaml:3:8: error: `rules` must not be empty"},
	    {"rules:\n", "error: `rules` has no value"},
	    {"rules: {}\n", "error: `rules`: expected a list"},
	    {RULE PODS "rules: [x]\n", "p.yaml:10:1: error"},
	    {RULE "  resources: &a [pods]\n", "error"},
	    {"imports: [{rbac: {path: x}}]\n", "p.yaml:3:19: error: no file matches `x`"},
	    {"metadata: {allowShrink: yes}\n", "p.yaml:3:25: error: `allowShrink`: expected true or false"},
	};
	CHECK_ROWS(rows);
	static const struct {
		const char *text, *found;
	} whole[] = {
	    {"", "p.yaml: error: the file is empty"},
	    {"# nothing\n", "p.yaml:1:1: error: the file is empty"},
	    {POLICY_HEAD RULE "  resources: [pods]", "p.yaml: error: the last line has no line break"},
	    {"apiVersion: v1\nkind: ConfigMap\ndata: {}\n", "p.yaml:1:1: error: not a policy"},
	    {"apiVersion: portcullis.dev/v1alpha1\nkind: Policy\n", "p.yaml:2:1: error: not a policy"},
	    {"apiVersion: portcullis.dev/v1\nkind: AccessPolicy\n", "p.yaml:1:1: error: not a policy"},
	    {"- a\n", "p.yaml:1:1: error: not a policy"},
	    {"x\n", "p.yaml:1:1: error: not a policy"},
	    {POLICY_HEAD "---\n" POLICY_HEAD, "p.yaml:3:1: error"},
	};
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		char *found;
		assert_null(policy_try(whole[i].text, NULL, &found));
		if (!strstr(found, whole[i].found))
			fail_msg("expected `%s`, found:\n%s", whole[i].found, found);
		free(found);
	}
}

static void test_expect_tells_a_torn_file(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {"expect: {rules: 1, denyRules: 0}\n" RULE PODS, NULL},
	    {"expect: {rules: 1, denyRules: 1}\n" EXEMPT DENY PODS, NULL},
	    {"expect: {rules: 2}\n" RULE PODS, "p.yaml:3:10: error: expect.rules is 2 but the file holds 1"},
	    {"expect: {denyRules: 1}\n" RULE PODS, "error: expect.denyRules is 1 but the file holds 0"},
	    {"expect: {rules: 3, denyRules: 1}\n", "error: expect.rules is 3 but the file holds 0"},
	    {"expect: {rules: x}\n" RULE PODS, "error: `rules`"},
	    /* The count comes first: nothing else is said about a torn file. */
	    {"expect: {rules: 2}\nrules:\n- id: BAD\n", "error: expect.rules is 2"},
	};
	CHECK_ROWS(rows);
}

static void test_ids_and_effects(void **state)
{
	(void)state;
#define WITH_ID(id) "rules:\n- id: " id "\n  effect: allow\n  subjects: {users: [u]}\n  verbs: [get]\n" PODS
	static const char id63[] = WITH_ID("a23456789012345678901234567890123456789012345678901234567890123");
	static const char id64[] = WITH_ID("a234567890123456789012345678901234567890123456789012345678901234");
	const struct row rows[] = {
	    {id63, NULL},
	    {id64, "p.yaml:4:3: error: the id `a23456"},
	    {WITH_ID("a.b-c.0"), NULL},
	    {WITH_ID("Upper"), "p.yaml:4:3: error: the id `Upper` is not 1 to 63 of a-z"},
	    {WITH_ID("a b"), "error: the id `a b`"},
	    {WITH_ID("\"\""), "error: the id ``"},
	    {WITH_ID("a_b"), "error: the id `a_b`"},
	    {"rules:\n- effect: allow\n  subjects: {users: [u]}\n  verbs: [get]\n" PODS,
		"p.yaml:4:3: error: required key `id` is missing"},
	    {"rules:\n- id: a\n  subjects: {users: [u]}\n  verbs: [get]\n" PODS,
		"error: required key `effect` is missing"},
	    {"rules:\n- id: a\n  effect: Allow\n  subjects: {users: [u]}\n  verbs: [get]\n" PODS,
		"p.yaml:5:11: error: `effect`: expected `allow`, `deny` or `abstain`"},
	    {"rules:\n- id: a\n  effect: allow\n  verbs: [get]\n" PODS,
		"error: required key `subjects` is missing"},
	    {RULE PODS "- id: r1\n  effect: allow\n  subjects: {users: [u]}\n  verbs: [get]\n" PODS,
		"p.yaml:10:3: error: a second rule with the id `r1`; the first is at p.yaml:4"},
	    {RULE PODS "  mode: enforce\n", NULL},
	    {RULE PODS "  mode: shadow\n", NULL},
	    {DENY PODS "  mode: shadow\n", NULL},
	    {RULE PODS "  mode: audit\n", "p.yaml:10:9: error: `mode`: expected `enforce` or `shadow`"},
	    {RULE PODS "  overlap: exact\n", NULL},
	    {RULE PODS "  overlap: none\n", "error: `overlap`: expected `possible` or `exact`"},
	};
	CHECK_ROWS(rows);
}

static void test_keys_of_later_versions_are_known_and_refused(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {RULE PODS "  when: \"true\"\n", "p.yaml:10:3: error: `when` is not supported yet"},
	};
	CHECK_ROWS(rows);
}

static void test_messages(void **state)
{
	(void)state;
#define X40 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	static const struct row rows[] = {
	    {EXEMPT DENY PODS "  message: " X40 X40 X40 "\n", NULL},
	    {EXEMPT DENY PODS "  message: " X40 X40 X40 "x\n",
		"p.yaml:11:3: error: `message` has 121 bytes, at most 120 are allowed"},
	    {EXEMPT DENY PODS "  message: \"a\\nb\"\n", "error: `message` must be on one line"},
	    {EXEMPT DENY PODS "  message: \"a\\u202Eb\"\n", "error: `message` holds a character"},
	};
	CHECK_ROWS(rows);
}

static void test_explicit_empty_lists_are_refused(void **state)
{
	(void)state;
	static const char *const lists[] = {"apiGroups", "resources", "resourceNames", "namespaces",
	    "roles", "nonResourceURLs"};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		char text[512], found[64];
		bool pods = strcmp(lists[i], "apiGroups") != 0 && strcmp(lists[i], "resources") != 0;
		snprintf(text, sizeof(text), RULE "%s  %s: []\n", pods ? PODS : "", lists[i]);
		snprintf(found, sizeof(found), "error: `%s` must not be empty", lists[i]);
		check_row(&(struct row){text, found});
		snprintf(text, sizeof(text), RULE "%s  %s:\n", pods ? PODS : "", lists[i]);
		snprintf(found, sizeof(found), "error: `%s` has no value", lists[i]);
		check_row(&(struct row){text, found});
	}
	static const struct row rows[] = {
	    {"rules:\n- id: r\n  effect: allow\n  subjects: {users: [u]}\n  verbs: []\n" PODS,
		"p.yaml:7:10: error: `verbs` must not be empty"},
	    {"rules:\n- id: r\n  effect: allow\n  subjects: {users: []}\n  verbs: [get]\n" PODS,
		"p.yaml:6:21: error: `users` must not be empty"},
	    {"rules:\n- id: r\n  effect: allow\n  subjects: {}\n  verbs: [get]\n" PODS,
		"p.yaml:6:13: error: no subjects are named"},
	    {"rules:\n- id: r\n  effect: allow\n  subjects:\n  verbs: [get]\n" PODS, "error"},
	    {"rules:\n- id: r\n  effect: allow\n  subjects: {users: [null]}\n  verbs: [get]\n" PODS,
		"error: `users[0]` has no value"},
	    {RULE PODS "  except: {}\n", "error: required key `subjects` is missing"},
	    {RULE PODS "  except: {subjects: {}}\n", "p.yaml:10:22: error: no subjects are named"},
	    {RULE PODS "  namespaces: {}\n", "p.yaml:10:15: error: `include` is missing"},
	};
	CHECK_ROWS(rows);
}

static void test_subjects(void **state)
{
	(void)state;
#define WITH(subjects) \
	"rules:\n- id: r\n  effect: allow\n  subjects: " subjects "\n  verbs: [get]\n" PODS
	static const struct row rows[] = {
	    {WITH("{users: [a, \"b*\"], groups: [\"*:dev\"], serviceAccounts: [ci/*, \"*/x\"]}"), NULL},
	    {WITH("{all: everyone}"), NULL},
	    {WITH("{all: nobody}"), "p.yaml:6:19: error: `all`: expected"},
	    {WITH("{user: [a]}"), "p.yaml:6:14: error: unknown key `user`, did you mean `users`?"},
	    {WITH("{users: a}"), "error: `users`: expected a list of strings"},
	    {WITH("{users: [\"!a\"]}"), "p.yaml:6:22: error: `!a`: `!` has no meaning here; whom a rule"},
	    {WITH("{groups: [b, \"!a\"]}"), "p.yaml:6:26: error: `!a`: `!` has no meaning here"},
	    {WITH("{serviceAccounts: [\"!a/b\"]}"), "p.yaml:6:32: error: `!a/b`: `!` has no meaning here"},
	    {WITH("{users: [\"\"]}"), "p.yaml:6:22: error: `users[0]` is empty"},
	    {WITH("{groups: [a, \"\"]}"), "p.yaml:6:26: error: `groups[1]` is empty"},
	    {WITH("{users: [\"*\"]}"), "p.yaml:6:22: warning: `users: [\"*\"]` is everybody"},
	    {WITH("{groups: [\"**\"]}"), "warning: `groups: [\"*\"]` is everybody"},
	    {WITH("{serviceAccounts: [x]}"), "p.yaml:6:32: error: the service account `x` is not written"},
	    {WITH("{serviceAccounts: [\"a/\"]}"), "error: the service account `a/`"},
	    {WITH("{serviceAccounts: [/b]}"), "error: the service account `/b`"},
	    {WITH("{serviceAccounts: [a/b/c]}"), "error: the service account `a/b/c`"},
	    {WITH("{serviceAccounts: [\"a:b/c\"]}"), "error: the service account `a:b/c`"},
	    {WITH("{alias: sre}"), "p.yaml:6:14: error: unknown subjects alias `sre`"},
	    {"aliases: {subjects: {sre: {groups: [x]}}}\n" WITH("{alias: sra}"),
		"p.yaml:7:14: error: unknown subjects alias `sra`, did you mean `sre`?"},
	    {"aliases: {subjects: {sre: {groups: [x]}}}\n" WITH("{alias: sre, users: [y]}"), NULL},
	    {"aliases: {subjects: {sre: {alias: x}}}\n" WITH("{users: [y]}"),
		"p.yaml:3:28: error: unknown key `alias`"},
	    {"aliases: {subjects: {sre: {}}}\n" WITH("{users: [y]}"), "error: no subjects are named"},
	    {"aliases: {subjects: [a]}\n" WITH("{users: [y]}"),
		"p.yaml:3:21: error: expected a mapping of names to definitions"},
	    {EXEMPT "rules:\n- id: r\n  effect: deny\n  subjects: {users: [u]}\n  except: {subjects: {all: "
		    "everyone}}\n  verbs: [get]\n" PODS,
		"p.yaml:8:3: warning: the rule `r` excepts everyone"},
	    {"aliases: {subject: {}}\n" WITH("{users: [y]}"), "error: unknown key `subject`"},
	};
	CHECK_ROWS(rows);
}

static void test_namespaces(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {RULE PODS "  namespaces: [a, \"b-*\"]\n", NULL},
	    {RULE PODS "  namespaces: {include: [\"*\"], exclude: [kube-system]}\n", NULL},
	    {RULE "  apiGroups: [\"\"]\n  resources: [nodes, nodes/status]\n  clusterScope: only\n", NULL},
	    {EXEMPT DENY PODS "  clusterScope: only\n", NULL},
	    {RULE PODS "  clusterScope: only\n",
		"p.yaml:9:15: warning: `clusterScope: only` in the allow rule `r1`: for `pods` it also gives"},
	    {RULE "  apiGroups: [x.io]\n  resources: [nodes]\n  clusterScope: only\n",
		"p.yaml:9:15: warning: `clusterScope: only` in the allow rule `r1`"},
	    {"defaults: {clusterScopedResources: [x.io/things]}\n" RULE
	     "  apiGroups: [x.io]\n  resources: [things/status]\n  clusterScope: only\n", NULL},
	    {RULE PODS "  clusterScope: both\n", "error: `clusterScope`: expected `only`"},
	    {RULE PODS "  clusterScope: only\n  namespaces: [a]\n",
		"p.yaml:10:3: error: `clusterScope` beside `namespaces`"},
	    {RULE PODS "  namespaces: a\n", "p.yaml:10:15: error: `namespaces`: expected a list of globs"},
	    {RULE PODS "  namespaces: [\"\"]\n", "p.yaml:10:16: error: an empty namespace"},
	    {RULE PODS "  namespaces: [\"!a\"]\n", "p.yaml:10:16: error: `!` has no meaning here"},
	    {RULE PODS "  namespaces: [Kube]\n", "error: `Kube` can match no namespace"},
	    {RULE PODS "  namespaces: [a/b]\n", "error: `a/b` can match no namespace"},
	    {RULE PODS "  namespaces: {exclude: [a]}\n", "p.yaml:10:16: error: `include` is missing"},
	    {RULE PODS "  namespaces: {include: [a], exclude: [B]}\n",
		"p.yaml:10:40: error: `B` can match no namespace"},
	    {RULE PODS "  namespaces: {alias: t}\n", "p.yaml:10:16: error: unknown namespaces alias `t`"},
	    {"aliases: {namespaces: {t: {include: [a]}}}\n" RULE PODS "  namespaces: {alias: t}\n", NULL},
	    {"aliases: {namespaces: {t: {include: [a]}}}\n" RULE PODS
	     "  namespaces: {alias: t, exclude: [b]}\n",
		"p.yaml:11:16: error: `alias` beside `include` or `exclude`"},
	    {"aliases: {namespaces: {t: [a]}}\n" RULE PODS, "error"},
	    {"aliases: {namespaces: {t: {exclude: [a]}}}\n" RULE PODS, "error: `include` is missing"},
	};
	CHECK_ROWS(rows);
}

static void test_grants(void **state)
{
	(void)state;
#define ACT(lines) "rules:\n- id: r\n  effect: allow\n  subjects: {users: [u]}\n" lines
#define CORE "  apiGroups: [\"\"]\n"
	static const struct row rows[] = {
	    {ACT(CORE "  resources: [pods]\n"), "p.yaml:4:3: error: `verbs` is missing"},
	    {ACT(CORE "  verbs: [get]\n"), "p.yaml:4:3: error: neither `resources` nor `nonResourceURLs`"},
	    {ACT("  resources: [pods]\n  verbs: [get]\n"),
		"p.yaml:7:3: warning: no `apiGroups` in the allow rule `r`"},
	    {EXEMPT DENY "  resources: [pods]\n", NULL},
	    {ACT(CORE "  resources: [pods]\n  verbs: [\"get*\"]\n"), "p.yaml:9:11: error: the verb `get*`"},
	    {ACT(CORE "  resources: [pods]\n  verbs: [\"\"]\n"), "error: an empty verb"},
	    {ACT(CORE "  resources: [pods]\n  verbs: [get, \"!list\"]\n"),
		"p.yaml:9:16: error: `!list`: `!` has no meaning here"},
	    {ACT(CORE "  resources: [\"!pods\"]\n  verbs: [get]\n"), "p.yaml:8:15: error: `!pods`: `!` has no"},
	    {ACT("  apiGroups: [\"!apps\"]\n  resources: [pods]\n  verbs: [get]\n"),
		"p.yaml:7:15: error: `!apps`: `!` has no"},
	    {ACT(CORE "  resources: [pods]\n  verbs: [GET]\n"), "warning: the verb `GET`"},
	    {RULE "  apiGroups: [apps/v1]\n  resources: [d]\n", "p.yaml:8:15: error: the API group `apps/v1`"},
	    {RULE "  apiGroups: [core]\n  resources: [d]\n", "error: there is no API group `core`"},
	    {RULE "  apiGroups: [\"a*\"]\n  resources: [d]\n", "error: the API group `a*`"},
	    {RULE CORE "  resources: [pods, pods/log, \"*/scale\", \"*\", a/b/c, \"*/b/c\"]\n", NULL},
	    {RULE CORE "  resources: [\"pods/*\"]\n",
		"p.yaml:9:15: error: `pods/*` in the allow rule `r1`: name each subresource"},
	    {RULE CORE "  resources: [\"nodes/*\"]\n",
		"error: `nodes/*` in the allow rule `r1`: name each subresource; nodes/proxy among them"},
	    {RULE CORE "  resources: [\"*/*\"]\n", "error: `*/*` in the allow rule"},
	    {EXEMPT DENY CORE "  resources: [\"pods/*\", \"*/*\"]\n", NULL},
	    {RULE CORE "  resources: [nodes/proxy]\n",
		"p.yaml:9:15: warning: `nodes/proxy` in the allow rule `r1`"},
	    {RULE "  apiGroups: [apps]\n  resources: [nodes/proxy]\n", NULL},
	    {EXEMPT DENY CORE "  resources: [nodes/proxy]\n", NULL},
	    {RULE CORE "  resources: [\"\"]\n", "p.yaml:9:15: error: the resource ``"},
	    {RULE CORE "  resources: [/]\n", "error: the resource `/`"},
	    {RULE CORE "  resources: [pods/]\n", "error: the resource `pods/`"},
	    {RULE CORE "  resources: [\"*/\"]\n", "error: the resource `*/`"},
	    {RULE CORE "  resources: [/log]\n", "error: the resource `/log`"},
	    {RULE CORE "  resources: [\"po*\"]\n", "error: the resource `po*`"},
	    {RULE CORE "  resources: [\"pods/l*\"]\n", "error: the resource `pods/l*`"},
	    {RULE CORE "  resources: [Pod]\n", "warning: the resource `Pod` has upper-case letters"},
	    {RULE PODS "  resourceNames: [a]\n", NULL},
	    {RULE PODS "  resourceNames: [\"\"]\n", "p.yaml:10:19: error: an empty name"},
	    {RULE PODS "  resourceNames: [\"a*\"]\n", "warning: the name `a*` is taken literally"},
	    {ACT(PODS "  resourceNames: [a]\n  verbs: [get, create]\n"),
		"p.yaml:9:3: error: `resourceNames` beside the verb `create`"},
	    {ACT(PODS "  resourceNames: [a]\n  verbs: [\"*\"]\n"), NULL},
	    /* Creating a subresource carries the name of what it belongs to. */
	    {ACT(CORE "  resources: [serviceaccounts/token]\n  resourceNames: [a]\n  verbs: [create]\n"),
		NULL},
	    {ACT(CORE "  resources: [serviceaccounts/token, pods]\n  resourceNames: [a]\n"
		      "  verbs: [create]\n"), "error: `resourceNames` beside the verb `create`"},
	    {ACT(CORE "  resources: [\"*\"]\n  resourceNames: [a]\n  verbs: [create]\n"),
		"error: `resourceNames` beside the verb `create`"},
	    {EXEMPT "rules:\n- id: r\n  effect: deny\n  subjects: {users: [u]}\n" PODS
		    "  resourceNames: [a]\n  verbs: [\"*\"]\n",
		"warning: `resourceNames` with all verbs in the rule `r`: every create is hit too"},
	    {RULE "  nonResourceURLs: [/api, \"/api/*\", \"*\"]\n", NULL},
	    {RULE PODS "  nonResourceURLs: [/api]\n", "error: `resources` beside `nonResourceURLs`"},
	    {RULE "  nonResourceURLs: [/api]\n  resourceNames: [x]\n",
		"error: `resourceNames` beside `nonResourceURLs`"},
	    {RULE "  nonResourceURLs: [api]\n", "p.yaml:8:21: error: the path `api` does not start with"},
	    {RULE "  nonResourceURLs: [\"/a/*/b\"]\n", "error: the path `/a/*/b`: `*` may stand at the end"},
	    {RULE "  nonResourceURLs: [\"/a**\"]\n", "error: the path `/a**`"},
	    {RULE "  nonResourceURLs: [\"/a?x\"]\n", "error: the path `/a?x`"},
	    {RULE "  nonResourceURLs: [/a]\n  namespaces: [x]\n",
		"error: `nonResourceURLs` in the rule `r1`, which has `namespaces`"},
	    {RULE "  nonResourceURLs: [/a]\n  clusterScope: only\n", "error: `nonResourceURLs` in the rule"},
	};
	CHECK_ROWS(rows);
}

static void test_roles(void **state)
{
	(void)state;
#define ROLES "roles:\n- name: ro\n  rules:\n  - {apiGroups: [\"\"], resources: [pods], verbs: [get]}\n"
#define USE "rules:\n- id: r\n  effect: allow\n  subjects: {users: [u]}\n"
	static const struct row rows[] = {
	    {ROLES USE "  roles: [ro]\n", NULL},
	    {ROLES USE "  roles: [rw]\n", "p.yaml:11:11: error: unknown role `rw`, did you mean `ro`?"},
	    {ROLES USE "  roles: [ro]\n  verbs: [get]\n", "p.yaml:12:3: error: `verbs` beside `roles`"},
	    {ROLES "- name: ro\n  rules: [{resources: [x], verbs: [get]}]\n" USE "  roles: [ro]\n",
		"p.yaml:7:3: error: a second role named `ro`"},
	    {"roles:\n- name: s\n  rules: [{resources: [\"pods/*\"], verbs: [get]}]\n" USE "  roles: [s]\n",
		"p.yaml:5:24: error: `pods/*` in the allow rule `r`"},
	    {"roles:\n- name: s\n  rules: [{resources: [pods]}]\n" USE "  roles: [s]\n",
		"p.yaml:5:11: error: required key `verbs` is missing"},
	    {"roles:\n- name: s\n  rules: [{nonResourceURLs: [/a], verbs: [get]}]\n" USE
	     "  roles: [s]\n  namespaces: [x]\n",
		"p.yaml:5:12: error: `nonResourceURLs` in the rule `r`, which has `namespaces`"},
	    {"roles:\n- name: s\n" USE "  roles: [s]\n", "error: required key `rules` is missing"},
	};
	CHECK_ROWS(rows);
}

static void test_defaults(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {DENY PODS, "p.yaml:4:3: warning: nobody is exempt"},
	    {"defaults: {decision: Deny}\n" RULE PODS, "p.yaml:3:12: warning: nobody is exempt"},
	    {"defaults: {decision: Allow}\n" RULE PODS, "error: `decision`: expected `NoOpinion` or `Deny`"},
	    {EXEMPT DENY PODS, NULL},
	    {"defaults: {exempt: {}}\n" DENY PODS, "p.yaml:3:20: error: no subjects are named"},
	    {"defaults: {exempt: {all: authenticated}}\n" DENY PODS, "error: unknown key `all`"},
	    {"defaults: {exempt: {groups: [\"system:*\"]}}\n" DENY PODS,
		"p.yaml:3:30: error: `system:*` would exempt `system:authenticated`: no deny would be left"},
	    {"defaults: {exempt: {groups: [\"system:unauth*\"]}}\n" DENY PODS, "error: `system:unauth*` would exempt `system:unauth"},
	    {"defaults: {exempt: {users: [\"*\"]}}\n" DENY PODS, "error: `*` would exempt `system:anonymous`"},
	    {"defaults: {exempt: {groups: [\"system:serviceaccounts\"]}}\n" DENY PODS,
		"warning: `system:serviceaccounts` exempts every service account"},
	    {"defaults: {exempt: {serviceAccounts: [\"*/deployer\"]}}\n" DENY PODS,
		"warning: `*/deployer` exempts service accounts of namespaces that users may create"},
	    {"aliases: {subjects: {a: {all: authenticated}}}\ndefaults: {exempt: {alias: a}}\n" DENY PODS,
		"p.yaml:4:21: error: the alias `a` says `all`"},
	    {"aliases: {subjects: {a: {groups: [\"*\"]}}}\ndefaults: {exempt: {alias: a}}\n" DENY PODS,
		"p.yaml:4:21: error: `*` would exempt"},
	    {"defaults: {exempt: {alias: a}}\n" DENY PODS, "p.yaml:3:21: error: unknown subjects alias `a`"},
	    {"defaults: {exempt: {users: [u]}, clusterScopedResources: [x.io/things]}\n" DENY PODS, NULL},
	    {"defaults: {exempt: {users: [u]}, clusterScopedResources: [things]}\n" DENY PODS,
		"p.yaml:3:59: error: `things` is not written as group/resource"},
	};
	CHECK_ROWS(rows);
}

static void test_tests(void **state)
{
	(void)state;
#define T(text) RULE PODS "tests:\n- " text "\n"
	static const struct row rows[] = {
	    {T("{as: {user: u}, can: {verb: get, resource: pods}, expect: allow, by: r1}"), NULL},
	    {T("{as: {user: u}, can: {verb: get, resource: pods}, expect: allow, by: r2}"),
		"p.yaml:11:68: error: unknown rule `r2`, did you mean `r1`?"},
	    {T("{as: {user: u}, can: {verb: get, resource: pods}, expect: NoOpinion}"), "error: `expect`"},
	    {T("{as: {user: u}, can: {resource: pods}, expect: allow}"), "error: required key `verb` is missing"},
	    {T("{as: {user: u}, can: {verb: get}, expect: allow}"), "error: `can` needs `resource` or `path`"},
	    {T("{as: {user: u}, can: {verb: get, path: /a, name: x}, expect: allow}"),
		"error: `name` beside `path`"},
	    {T("{as: {}, can: {verb: get, path: /a}, expect: allow}"), "error: `as` needs"},
	    {T("{as: {user: u, serviceAccount: a/b}, can: {verb: get, path: /a}, expect: allow}"),
		"error: `user` beside `serviceAccount`"},
	    {T("{as: {serviceAccount: a}, can: {verb: get, path: /a}, expect: allow}"),
		"error: the service account `a` is not written"},
	    {T("{as: {user: u}, can: {verb: get, resource: pods/log, subresource: x}, expect: allow}"),
		"error: `subresource` beside `pods/log`"},
	};
	CHECK_ROWS(rows);
}

static void test_embedded_tests_gate_the_load(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {T("{as: {user: u}, can: {verb: get, resource: pods}, expect: allow, by: r1}"), NULL},
	    {T("{as: {user: u}, can: {verb: get, resource: pods, namespace: n}, expect: deny}"),
		"p.yaml:11:3: error: test failed: expected deny, got allow by rule `r1` (p.yaml:4)"},
	    {T("{name: mine, as: {user: v}, can: {verb: get, resource: pods}, expect: allow, by: r1}"),
		"error: test `mine` failed: expected allow by rule `r1`, got noOpinion as no rule matches"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[1024], *found;
		snprintf(text, sizeof(text), "%s%s", POLICY_HEAD, rows[i].text);
		struct policy *p = policy_try(text, authz_run_tests, &found);
		assert_int_equal(!p, rows[i].found != NULL);
		if (rows[i].found && !strstr(found, rows[i].found))
			fail_msg("expected `%s`, found:\n%s", rows[i].found, found);
		free(found);
		policy_free(&p);
	}
}

/* Names are shared between files; what is wrong in one refuses all. */
static void test_several_files_are_one_policy(void **state)
{
	(void)state;
	struct policy_file files[] = {
	    {"d/10-a.yaml", SLICE(POLICY_HEAD "metadata: {name: first, generation: 3}\n"
			    "aliases: {subjects: {sre: {groups: [sre]}}}\n" ROLES), POLICY_FILE_NATIVE},
	    {"d/20-b.yaml", SLICE(POLICY_HEAD "metadata: {name: second, generation: 7}\n"
			    "rules:\n- id: x\n  effect: allow\n  subjects: {alias: sre}\n  roles: [ro]\n"), POLICY_FILE_NATIVE},
	    {"d/30-c.yaml", SLICE(POLICY_HEAD DENY PODS EXEMPT), POLICY_FILE_NATIVE},
	};
	struct policy *p = NULL;
	struct diags d = {0};
	assert_int_equal(policy_compile(files, 3, authz_run_tests, &p, &d), ERR_OK);
	const struct policy_info *i = policy_info(p);
	assert_string_equal(i->name, "first");
	assert_int_equal(i->generation, 7);
	assert_int_equal(i->files, 3);
	assert_int_equal(i->rules, 2);
	assert_int_equal(i->deny_rules, 1);
	assert_int_equal(strlen(i->sha256), 64);
	char sha[65];
	memcpy(sha, i->sha256, sizeof(sha));
	policy_free(&p);
	files[0].name = "elsewhere/10-a.yaml";
	assert_int_equal(policy_compile(files, 3, authz_run_tests, &p, &d), ERR_OK);
	assert_string_equal(policy_info(p)->sha256, sha);
	policy_free(&p);
	files[0].name = "d/11-a.yaml";
	assert_int_equal(policy_compile(files, 3, authz_run_tests, &p, &d), ERR_OK);
	assert_string_not_equal(policy_info(p)->sha256, sha);
	policy_free(&p);
	files[2] = files[1];
	files[2].name = "d/40.yaml";
	assert_int_equal(policy_compile(files, 3, authz_run_tests, &p, &d), ERR_INVALID);
	assert_null(p);
	struct err e;
	diags_to_err(&d, &e);
	assert_string_equal(e.msg, "d/40.yaml:5:3: a second rule with the id `x`; the first is at d/20-b.yaml:5");
	diags_done(&d);
	assert_int_equal(policy_compile(files, 0, authz_run_tests, &p, &d), ERR_INVALID);
	diags_done(&d);
}

/* They stand in explanations and audit records, and in comments of what `policy convert` writes. */
static void test_names_of_files_can_be_shown(void **state)
{
	(void)state;
	static const char grant[] = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n"
				    "rules: []\n";
	struct policy_file file = {.name = "d/a\n- id: b.yaml", .text = SLICE(POLICY_HEAD "rules: []\n")};
	struct policy *p;
	struct diags d = {0};
	struct buf out;
	size_t lost;
	assert_int_equal(policy_compile(&file, 1, NULL, &p, &d), ERR_INVALID);
	assert_null(p);
	assert_string_equal(d.items[0].text, "a control character in the name of the file");
	diags_done(&d);
	file.kind = POLICY_FILE_RBAC;
	file.text = slice_of(grant);
	buf_init(&out, 4096);
	assert_int_equal(policy_convert(&file, 1, &out, &lost, &d), ERR_INVALID);
	assert_int_equal(out.len, 0);
	buf_done(&out);
	diags_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names_of_files_can_be_shown),
	    cmocka_unit_test(test_the_tables_are_sound),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_expect_tells_a_torn_file),
	    cmocka_unit_test(test_ids_and_effects),
	    cmocka_unit_test(test_keys_of_later_versions_are_known_and_refused),
	    cmocka_unit_test(test_messages),
	    cmocka_unit_test(test_explicit_empty_lists_are_refused),
	    cmocka_unit_test(test_subjects),
	    cmocka_unit_test(test_namespaces),
	    cmocka_unit_test(test_grants),
	    cmocka_unit_test(test_roles),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_tests),
	    cmocka_unit_test(test_embedded_tests_gate_the_load),
	    cmocka_unit_test(test_several_files_are_one_policy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
