/* Proves what a user is due: which objects, whose, how they are marked, and what is refused instead. */
#include "tests/support/due_fixture.h"

#define ENG "- name: t\n  match: {groups: [\"eng-*\"]}\n"
#define ALL "- name: t\n  match: {providers: [\"*\"]}\n"
#define U10 "spzsq5gjec" /* ${user.hash10} of alice@x.org at ldap:corp */
#define BLUE6 "so5fgv"	 /* ${group.hash6} of eng-blue there */
#define RED6 "u3hvtc"

struct row {
	const char *text, *want;
};

static void expect_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct due_fixture f;
		due_open(&f, rows[i].text);
		due_plan(&f);
		const char *got = due_lines(&f.arena, &f.due);
		if (strcmp(got, rows[i].want) != 0 || f.due.nrefusals)
			fail_msg("row %zu\n%swants\n%sgot\n%s(%zu refusals, first: %s)", i, rows[i].text,
			    rows[i].want, got, f.due.nrefusals,
			    f.due.nrefusals ? f.due.refusals[0].what : "");
		due_close(&f);
	}
}

static void test_whom_a_grant_binds(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    /* Groups first… */
	    {"templates:\n" ENG "  grants: [{clusterRole: view, scope: cluster}]\n",
		"ClusterRoleBinding * view Group:eng-blue\nClusterRoleBinding * view Group:eng-red\n"},
	    {"templates:\n" ENG "  grants: [{clusterRole: view, namespaces: [shop]}]\n",
		"RoleBinding shop view Group:eng-blue\nRoleBinding shop view Group:eng-red\n"},
	    {"templates:\n" ENG "  grants: [{clusterRole: view, namespaces: {selector: team=red}}]\n",
		"RoleBinding red view Group:eng-blue\nRoleBinding red view Group:eng-red\n"},
	    {"templates:\n" ENG "  grants: [{clusterRole: view, namespaces: [\"n-${group}\"]}]\n",
		"RoleBinding n-eng-blue view Group:eng-blue\nRoleBinding n-eng-red view Group:eng-red\n"},
	    /* … but the user where no group is named, the place is the user's, or the end is. */
	    {"templates:\n" ALL "  grants: [{clusterRole: view, scope: cluster}]\n",
		"ClusterRoleBinding * view User:alice@x.org\n"},
	    {"templates:\n" ENG "  grants: [{clusterRole: view, namespaces: [\"n-${uid}\"]}]\n",
		"RoleBinding n-1000 view User:alice@x.org\n"},
	    {"templates:\n" ENG "  grants: [{clusterRole: view, namespaces: [\"n-${extra.team}\"]}]\n",
		"RoleBinding n-blue view User:alice@x.org\n"},
	    {"templates:\n" ENG "  grants: [{clusterRole: view, namespaces: [\"${date}\"]}]\n",
		"RoleBinding 2026-11-22 view User:alice@x.org\n"},
	    {"templates:\n" ENG "  grants: [{clusterRole: view, scope: cluster, ttl: 12h}]\n",
		"ClusterRoleBinding * view User:alice@x.org\n"},
	    {"defaults: {ttl: 12h}\ntemplates:\n" ENG "  grants: [{clusterRole: view, scope: cluster}]\n",
		"ClusterRoleBinding * view User:alice@x.org\n"},
	    {"defaults: {ttl: 12h}\ntemplates:\n" ENG "  ttl: ''\n  grants: [{clusterRole: view, namespaces: [a]}]\n",
		"RoleBinding a view Group:eng-blue\nRoleBinding a view Group:eng-red\n"},
	    {"subjectMode: user-first\ntemplates:\n" ENG "  grants: [{clusterRole: view, namespaces: [\"${group}\"]}]\n",
		"RoleBinding eng-blue view User:alice@x.org\nRoleBinding eng-red view User:alice@x.org\n"},
	    /* … or somebody of the group is excepted: they would be bound with it. */
	    {"templates:\n- name: t\n  match: {groups: ['eng-*'], notUsers: [bob]}\n"
	     "  grants: [{clusterRole: view, namespaces: [shop]}]\n",
		"RoleBinding shop view User:alice@x.org\n"},
	    /* What a grant says itself holds. */
	    {"templates:\n" ENG "  grants: [{clusterRole: view, scope: cluster, subject: {kind: User}}]\n",
		"ClusterRoleBinding * view User:alice@x.org\n"},
	    {"subjectMode: user-first\ntemplates:\n" ENG
	     "  grants: [{role: view, namespaces: [a], subject: {kind: Group, name: ops}}]\n",
		"RoleBinding a view Group:ops\n"},
	    {"templates:\n" ENG
	     "  grants: [{role: view, namespaces: [\"n-${uid}\"], subject: {kind: Group, name: \"${group}\"}}]\n",
		"RoleBinding n-1000 view Group:eng-blue\nRoleBinding n-1000 view Group:eng-red\n"},
	};
	expect_rows(rows, ARRAY_LEN(rows));
}

static void test_namespaces_and_what_stands_in_them(void **state)
{
	(void)state;
#define QUOTA "{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {pods: '20'}}}"
	static const struct row rows[] = {
	    {"templates:\n" ENG "  namespace: {name: 'u-${user.slug|trunc:5}-${user.hash10}'}\n"
	     "  objects: [" QUOTA "]\n  grants: [{clusterRole: edit}]\n",
		"Namespace u-alice-" U10 " user\nResourceQuota u-alice-" U10 "/q user\n"
		"RoleBinding u-alice-" U10 " edit User:alice@x.org\n"},
	    {"templates:\n" ENG "  namespace: {name: '${group}-${group.hash6}'}\n  objects: [" QUOTA "]\n"
	     "  grants: [{clusterRole: edit}, {role: r, subject: {kind: User}}]\n",
		"Namespace eng-blue-" BLUE6 " group\nNamespace eng-red-" RED6 " group\n"
		"ResourceQuota eng-blue-" BLUE6 "/q group\nResourceQuota eng-red-" RED6 "/q group\n"
		"RoleBinding eng-blue-" BLUE6 " edit Group:eng-blue\n"
		"RoleBinding eng-blue-" BLUE6 " r User:alice@x.org\n"
		"RoleBinding eng-red-" RED6 " edit Group:eng-red\n"
		"RoleBinding eng-red-" RED6 " r User:alice@x.org\n"},
	    {"templates:\n- {name: t, match: {providers: ['ldap:corp']}, namespace: {name: 'u-${uid}-${user.hash6}'}}\n",
		"Namespace u-1000-spzsq5 user\n"},
	    /* It exists: only a place. */
	    {"templates:\n" ENG "  namespace: {name: shop, create: false}\n  objects: [" QUOTA "]\n"
	     "  grants: [{clusterRole: edit}, {clusterRole: view, namespaces: [other]}]\n",
		"ResourceQuota shop/q template\nRoleBinding other view Group:eng-blue\n"
		"RoleBinding other view Group:eng-red\nRoleBinding shop edit Group:eng-blue\n"
		"RoleBinding shop edit Group:eng-red\n"},
	    {"templates:\n" ALL "  namespaces: {selector: 'team=red'}\n  objects: [" QUOTA "]\n"
	     "  grants: [{clusterRole: edit}]\n",
		"ResourceQuota red/q template\nRoleBinding red edit User:alice@x.org\n"},
	    {"templates:\n" ENG "  namespaces: [a, 'n-${uid}', '${group}']\n  objects: [" QUOTA "]\n",
		"ResourceQuota a/q template\nResourceQuota eng-blue/q group\nResourceQuota eng-red/q group\n"
		"ResourceQuota n-1000/q user\n"},
	    /* A match for all templates. */
	    {"match: {groups: [ops]}\ntemplates:\n- {name: t, grants: [{clusterRole: a, scope: cluster}]}\n"
	     "- {name: u, match: {groups: [none]}, grants: [{clusterRole: b, scope: cluster}]}\n",
		"ClusterRoleBinding * a Group:ops\n"},
	};
	expect_rows(rows, ARRAY_LEN(rows));
}

static void expect_body(struct due_fixture *f, size_t i, const char *json)
{
	struct arena *a = &f->arena;
	struct desired *d = &f->due.objects[i];
	json_t *want = json_loads(json, 0, NULL);
	assert_non_null(want);
	json_t *notes = json_object_get(json_object_get(want, "metadata"), "annotations");
	assert_int_equal(strlen(d->hash), 16);
	json_object_set_new(notes, ANNOTATION_SPEC_HASH, json_string(d->hash));
	json_object_set_new(notes, ANNOTATION_GENERATION,
	    json_string(((const struct template *)f->config->templates.items)->generation));
	jsonx_on_done(a, want);
	if (!json_equal(d->body, want))
		fail_msg("%s", json_dumps(d->body, JSON_INDENT(1)));
}

static void test_a_binding_in_full(void **state)
{
	(void)state;
	struct due_fixture f;
	due_open(&f, "templates:\n" ENG "  drift: report\n  prune: false\n"
		     "  grants: [{clusterRole: edit, namespaces: [shop], subject: {kind: User}, "
		     "endTime: '2026-12-01T00:00:00Z'}]\n");
	due_plan(&f);
	assert_int_equal(f.due.len, 1);
	const struct desired *d = &f.due.objects[0];
	assert_string_equal(d->owner, f.record.name);
	assert_string_equal(d->template_, "t");
	assert_int_equal(d->drift, DRIFT_REPORT);
	assert_false(d->prune || d->adopt || d->orphan || d->shared || d->labels);
	assert_int_equal(d->expires, DUE_NOW + 7 * 86400 + 12 * 3600);
	assert_int_equal(f.due.next, d->expires + 60);
	expect_body(&f, 0, arena_printf(&f.arena,
	    "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\",\"metadata\":{"
	    "\"name\":\"%s\",\"namespace\":\"shop\",\"labels\":{"
	    "\"app.kubernetes.io/managed-by\":\"portcullis\","
	    "\"portcullis.dev/record\":\"spzsq5gjeck63cyx5imy6opk3o\",\"portcullis.dev/template\":\"t\"},"
	    "\"annotations\":{\"portcullis.dev/user\":\"alice@x.org\",\"portcullis.dev/provider\":\"ldap:corp\","
	    "\"portcullis.dev/expires\":\"2026-12-01T00:00:00Z\"}},"
	    "\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"edit\"},"
	    "\"subjects\":[{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"User\","
	    "\"name\":\"alice@x.org\"}]}", d->id.name));
	/* base32 of SHA-256 of provider, kind and name of subject and role, and namespace, with NUL between. */
	assert_string_equal(d->id.name, "portcullis:t:phcmpbhpmr");
	due_close(&f);
}

static void test_a_namespace_in_full(void **state)
{
	(void)state;
	struct due_fixture f;
	due_open(&f, "defaults: {onGC: delete, drift: off}\ntemplates:\n" ENG
		     "  namespace:\n    name: u-${user.hash10}\n    adopt: true\n"
		     "    labels: {pod-security.kubernetes.io/enforce: restricted, team: '${extra.team}'}\n"
		     "    annotations: {x.org/since: '${date}', note: ''}\n");
	due_plan(&f);
	assert_int_equal(f.due.len, 1);
	const struct desired *d = &f.due.objects[0];
	assert_true(d->adopt && !d->orphan && d->prune && !d->shared);
	assert_int_equal(d->drift, DRIFT_OFF);
	assert_string_equal(d->labels[0], "pod-security.kubernetes.io/enforce");
	assert_string_equal(d->labels[1], "team");
	assert_null(d->labels[2]);
	expect_body(&f, 0,
	    "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"u-" U10 "\",\"labels\":{"
	    "\"app.kubernetes.io/managed-by\":\"portcullis\",\"pod-security.kubernetes.io/enforce\":"
	    "\"restricted\",\"team\":\"blue\",\"portcullis.dev/record\":\"spzsq5gjeck63cyx5imy6opk3o\","
	    "\"portcullis.dev/template\":\"t\"},\"annotations\":{\"portcullis.dev/user\":\"alice@x.org\","
	    "\"portcullis.dev/provider\":\"ldap:corp\",\"x.org/since\":\"2026-11-22\",\"note\":\"\"}}}");
	due_close(&f);
}

/* The old ownerReferences would let the cluster remove a namespace that is to be left. */
static void test_another_default_of_on_gc_is_written(void **state)
{
	(void)state;
	static const char text[] = "- name: t\n  match: {groups: ['eng-*']}\n"
	    "  namespace: {name: 'u-${user.hash10}'}\n  objects: [" QUOTA "]\n";
	struct due_fixture f, g;
	struct arena a;
	arena_init(&a, 0);
	due_open(&f, arena_printf(&a, "defaults: {onGC: delete}\ntemplates:\n%s", text));
	due_open(&g, arena_printf(&a, "defaults: {onGC: orphan}\ntemplates:\n%s", text));
	due_plan(&f);
	due_plan(&g);
	assert_int_equal(f.due.len, 2);
	assert_int_equal(g.due.len, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(object_id_eq(&f.due.objects[i].id, &g.due.objects[i].id));
		assert_string_not_equal(f.due.objects[i].hash, g.due.objects[i].hash);
	}
	due_close(&g);
	due_close(&f);
	arena_done(&a);
}

static void test_an_object_in_full(void **state)
{
	(void)state;
	struct due_fixture f;
	due_open(&f, "templates:\n" ENG "  namespace: {name: '${group}', create: false}\n  objects:\n"
		     "  - apiVersion: networking.k8s.io/v1\n    kind: NetworkPolicy\n"
		     "    metadata: {name: 'only-${group.slug}', labels: {a: '${group}'}}\n    spec:\n"
		     "      podSelector: {}\n      policyTypes: [Ingress]\n      ingress:\n"
		     "      - from: [{namespaceSelector: {matchLabels: {team: '${group}'}}}]\n"
		     "        ports: [{port: 443, protocol: TCP}]\n      flag: true\n      low: -1\n");
	f.record.identity.ngroups = 1;
	due_plan(&f);
	assert_int_equal(f.due.len, 1);
	const struct desired *d = &f.due.objects[0];
	char key[SPOOL_KEY_LEN + 1];
	pattern_group_key(f.record.identity.provider, due_groups[0], key);
	assert_string_equal(d->owner, key);
	assert_true(d->shared);
	expect_body(&f, 0, arena_printf(&f.arena,
	    "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{"
	    "\"name\":\"only-eng-blue\",\"namespace\":\"eng-blue\",\"labels\":{\"a\":\"eng-blue\","
	    "\"app.kubernetes.io/managed-by\":\"portcullis\",\"portcullis.dev/record\":\"%s\","
	    "\"portcullis.dev/template\":\"t\"},\"annotations\":{\"portcullis.dev/group\":\"eng-blue\","
	    "\"portcullis.dev/provider\":\"ldap:corp\"}},\"spec\":{\"podSelector\":{},"
	    "\"policyTypes\":[\"Ingress\"],\"ingress\":[{\"from\":[{\"namespaceSelector\":{\"matchLabels\":{"
	    "\"team\":\"eng-blue\"}}}],\"ports\":[{\"port\":443,\"protocol\":\"TCP\"}]}],"
	    "\"flag\":true,\"low\":-1}}", key));
	due_close(&f);
}

static void test_refused_with_its_reason(void **state)
{
	(void)state;
	static const struct {
		const char *text, *reason, *what;
		bool transient, id;
	} rows[] = {
	    {ENG "  grants: [{clusterRole: view, namespaces: ['${user.slug}']}]\n", RAIL_AMBIGUOUS_NAME,
		"for other names too", false, false},
	    {ENG "  grants: [{clusterRole: view, namespaces: ['${extra.none}']}]\n", RAIL_EMPTY_NAME,
		"${extra.none} renders empty", false, false},
	    {ENG "  grants: [{clusterRole: view, namespaces: ['${user}']}]\n", RAIL_INVALID_NAME,
		"namespace alice@x.org", false, false},
	    {ENG "  namespace: {name: '${user}-${user.hash6}'}\n  grants: [{clusterRole: view}]\n",
		RAIL_INVALID_NAME, "namespace alice@x.org-", false, false},
	    {ENG "  grants: [{clusterRole: view, namespaces: {selector: 'team=blue,team!=red'}}]\n",
		RAIL_RESERVED_NAMESPACE, "namespace kube-system", false, false},
	    {ENG "  grants: [{clusterRole: view, scope: cluster, subject: {kind: Group, name: other}}]\n",
		RAIL_FOREIGN_SUBJECT, "Group other", false, false},
	    {ENG "  namespace: {name: 'u-${user.hash10}', labels: {who: '${user}'}}\n", RAIL_INVALID_NAME,
		"Namespace/u-" U10 ": who: \"alice@x.org\" is no value", false, false},
	    {ENG "  namespace: {name: 'u-${user.hash10}', create: false}\n  objects: [{apiVersion: v1, kind: "
		 "LimitRange, metadata: {name: '${user}'}, spec: {}}]\n",
		RAIL_INVALID_NAME, "LimitRange ${user} has no valid name", false, false},
	    {ENG "  grants: [{clusterRole: danger, scope: cluster}]\n", RAIL_DANGEROUS_ROLE,
		"ClusterRole danger gives too much: it may do all", false, true},
	    {ENG "  grants: [{clusterRole: secrets, scope: cluster}]\n", RAIL_DANGEROUS_ROLE, "secrets", false,
		true},
	    {ENG "  grants: [{clusterRole: danger, scope: cluster, allowPrivileged: true}]\n",
		RAIL_DANGEROUS_ROLE, "danger", false, true},
	    {ENG "  grants: [{role: danger, namespaces: [a]}]\n", RAIL_DANGEROUS_ROLE, "Role danger", false, true},
	    {ENG "  grants: [{role: absent, namespaces: [a]}]\n", RAIL_ABSENT_ROLE, "does not exist", true, true},
	    {ENG "  grants: [{role: unknown, namespaces: [a]}]\n", RAIL_UNKNOWN_ROLE, "looked into", true, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct due_fixture f;
		struct arena a;
		arena_init(&a, 0);
		due_open(&f, arena_printf(&a, "templates:\n%s", rows[i].text));
		f.record.identity.ngroups = 1;
		due_plan(&f);
		const struct due_refusal *r = f.due.refusals;
		if (f.due.nrefusals != 1 || strcmp(r->reason, rows[i].reason) != 0 ||
		    !strstr(r->what, rows[i].what) || r->transient != rows[i].transient ||
		    !r->id.name != !rows[i].id || strcmp(r->template_, "t") != 0)
			fail_msg("row %zu: %zu refusals, %s: %s", i, f.due.nrefusals, r ? r->reason : "",
			    r ? r->what : "");
		due_close(&f);
		arena_done(&a);
	}
}

static void test_dangerous_roles_need_two_words(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct due_fixture f;
		struct arena a;
		arena_init(&a, 0);
		due_open(&f, arena_printf(&a, "templates:\n" ENG
		    "  grants: [{clusterRole: danger, scope: cluster, allowPrivileged: %s}]\n",
		    i & 1 ? "true" : "false"));
		f.world.allow_privileged = i & 2;
		due_plan(&f);
		assert_int_equal(f.due.len, i == 3 ? 2 : 0);
		/* One for each group's binding. */
		assert_int_equal(f.due.nrefusals, i == 3 ? 0 : 2);
		due_close(&f);
		arena_done(&a);
	}
}

static void test_a_reserved_user_gets_nothing_at_all(void **state)
{
	(void)state;
	static const char *const names[] = {"system:admin", "SYSTEM:x", "kubernetes-admin", "kubeadm:x", "",
	    " alice", "al\nice", ("a\xe2\x80\xae" "b")};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct due_fixture f;
		due_open(&f, "templates:\n" ENG "  namespace: {name: 'u-${user.hash10}'}\n"
			     "  grants: [{clusterRole: view, scope: cluster}]\n");
		f.record.identity.username = slice_of(names[i]);
		due_plan(&f);
		assert_int_equal(f.due.len, 0);
		assert_int_equal(f.due.nrefusals, 1);
		due_close(&f);
	}
}

static void test_refusals_are_fit_to_be_shown(void **state)
{
	(void)state;
	char longest[1001];
	memset(longest, 0, sizeof(longest));
	for (size_t i = 0; i + 4 <= sizeof(longest) - 1; i += 4)
		memcpy(longest + i, "\xf0\x9f\x90\x95", 4);
	const char *const names[] = {"al\nice", "a\x1b[2J", "a\xe2\x80\xae" "b", longest};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct due_fixture f;
		due_open(&f, "templates:\n" ENG "  grants: [{clusterRole: view, namespaces: ['x${user}']}]\n");
		f.record.identity.username = slice_of(names[i]);
		due_plan(&f);
		assert_int_equal(f.due.nrefusals, 1);
		assert_true(slice_printable(slice_of(f.due.refusals[0].what)));
		due_close(&f);
	}
}

static void test_what_is_over_the_limit_is_refused_in_order(void **state)
{
	(void)state;
	struct due_fixture f;
	due_open(&f, "templates:\n" ENG "  namespace: {name: 'u-${user.hash10}'}\n"
		     "  grants: [{clusterRole: a}, {clusterRole: b, scope: cluster}]\n");
	f.world.max_objects = 3;
	due_plan(&f);
	assert_string_equal(due_lines(&f.arena, &f.due),
	    "ClusterRoleBinding * b Group:eng-blue\nNamespace u-" U10 " user\n"
	    "RoleBinding u-" U10 " a User:alice@x.org\n");
	assert_int_equal(f.due.nrefusals, 1);
	assert_string_equal(f.due.refusals[0].reason, RAIL_TOO_MANY);
	due_close(&f);
}

static void test_two_templates_do_not_share_a_namespace(void **state)
{
	(void)state;
	struct due_fixture f;
	due_open(&f, "match: {groups: [ops]}\ntemplates:\n"
		     "- {name: a, namespace: {name: 'u-${user.hash10}', labels: {x: a}}, grants: [{clusterRole: a}]}\n"
		     "- {name: b, namespace: {name: 'u-${user.hash10}', labels: {x: b}}, grants: [{clusterRole: b}]}\n");
	due_plan(&f);
	assert_string_equal(due_lines(&f.arena, &f.due), "Namespace u-" U10 " user\n"
	    "RoleBinding u-" U10 " a User:alice@x.org\nRoleBinding u-" U10 " b User:alice@x.org\n");
	assert_string_equal(f.due.objects[0].template_, "a");
	assert_int_equal(f.due.nrefusals, 1);
	assert_string_equal(f.due.refusals[0].reason, RAIL_DUPLICATE_OBJECT);
	assert_string_equal(f.due.refusals[0].template_, "b");
	due_close(&f);
}

static void test_without_a_view_of_the_cluster(void **state)
{
	(void)state;
	struct due_fixture f;
	due_open(&f, "templates:\n" ENG "  grants: [{clusterRole: danger, scope: cluster}, "
		     "{clusterRole: view, namespaces: {selector: team}}]\n");
	f.world.namespaces = NULL;
	f.world.role = NULL;
	due_plan(&f);
	assert_int_equal(f.due.len, 2);
	assert_int_equal(f.due.nrefusals, 1);
	assert_string_equal(f.due.refusals[0].reason, RAIL_UNKNOWN_NAMESPACES);
	assert_true(f.due.refusals[0].transient);
	due_close(&f);
}

static void test_a_hash_says_whose_the_namespace_must_be(void **state)
{
	(void)state;
	static const struct {
		const char *name, *match;
		enum template_owner owner; /* OWNER_TEMPLATE: it says nothing */
	} rows[] = {
	    {"u-${user.hash6}", "eng-blue", OWNER_USER},
	    {"${group.hash6}", "eng-blue", OWNER_GROUP},
	    {"${user.hash6}-${group.hash6}", "eng-blue", OWNER_USER},
	    {"${uid}-${group.hash6}", "eng-blue", OWNER_TEMPLATE},
	    {"${group}", "eng-blue", OWNER_TEMPLATE},
	    {"shop", "eng-blue", OWNER_TEMPLATE},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct due_fixture f;
		char text[512], key[SPOOL_KEY_LEN + 1];
		snprintf(text, sizeof(text), "templates:\n- name: t\n  match: {groups: [%s]}\n"
		    "  grants: [{clusterRole: view, namespaces: ['%s']}]\n", rows[i].match, rows[i].name);
		due_open(&f, text);
		due_plan(&f);
		assert_int_equal(f.due.len, 1);
		const char *want = rows[i].owner == OWNER_TEMPLATE ? NULL : key;
		if (rows[i].owner == OWNER_USER)
			spool_key(f.record.identity.provider, f.record.identity.username, key);
		else
			pattern_group_key(f.record.identity.provider, SLICE("eng-blue"), key);
		if (!text_eq(f.due.objects[0].place_owner, want))
			fail_msg("%s: %s", rows[i].name, f.due.objects[0].place_owner);
		due_close(&f);
	}
}

/* Who brings thousands of groups is planned in a moment, and takes up no more of anything than others. */
static void test_a_crowd_of_groups(void **state)
{
	(void)state;
	enum { CROWD = 10000 };
	static const char *const rows[] = {
	    "  - {clusterRole: view, namespaces: [shop]}\n",
	    "  - {role: absent, namespaces: ['n-${group}', 'm-${group}']}\n",
	    "  - {clusterRole: view, namespaces: ['kube-${group}']}\n",
	};
	struct due_fixture f;
	struct buf text;
	buf_init(&text, 1 << 20);
	buf_adds(&text, "templates:\n- name: t\n  match: {groups: ['eng-*']}\n  grants:\n");
	for (int i = 0; i < 5; i++)
		buf_adds(&text, rows[i % 3]);
	due_open(&f, buf_cstr(&text));
	buf_done(&text);
	struct slice *groups = ARENA_ARRAY(&f.arena, struct slice, CROWD);
	for (size_t i = 0; i < CROWD; i++)
		groups[i] = slice_of(arena_printf(&f.arena, "eng-%zu", i));
	f.record.identity.groups = groups;
	f.record.identity.ngroups = CROWD;
	due_plan(&f);
	assert_int_equal(f.due.len, DUE_OBJECTS_MAX);
	size_t named = 0, whole = 0;
	for (size_t i = 0; i < f.due.nrefusals; i++) {
		named += f.due.refusals[i].transient && f.due.refusals[i].id.name;
		whole += f.due.refusals[i].transient && !f.due.refusals[i].id.name;
	}
	assert_int_equal(named, DUE_UNKNOWN_MAX);
	assert_int_equal(whole, 1); /* so that nothing of the template goes */
	assert_in_range(f.due.nrefusals - named - whole, 1, DUE_REFUSALS_MAX);
	due_close(&f);
}

/* The annotation must not announce an end that is none. */
static void test_what_two_grants_give_ends_with_the_later_one(void **state)
{
	(void)state;
	static const struct {
		const char *first, *second;
		int64_t expires;
	} rows[] = {
	    {"endTime: '2026-12-01T00:00:00Z'", "endTime: '2026-12-02T00:00:00Z'", 1796169600},
	    {"endTime: '2026-12-02T00:00:00Z'", "endTime: '2026-12-01T00:00:00Z'", 1796169600},
	    {"endTime: '2026-12-01T00:00:00Z'", "ttl: ''", 0},
	    {"ttl: ''", "endTime: '2026-12-01T00:00:00Z'", 0},
	    {"endTime: '2026-11-01T00:00:00Z'", "endTime: '2026-12-02T00:00:00Z'", 1796169600},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct due_fixture f;
		char text[512];
		snprintf(text, sizeof(text), "templates:\n" ENG "  grants:\n"
		    "  - {clusterRole: view, namespaces: [shop], subject: {kind: User}, %s}\n"
		    "  - {clusterRole: view, namespaces: [shop], subject: {kind: User}, %s}\n",
		    rows[i].first, rows[i].second);
		due_open(&f, text);
		due_plan(&f);
		assert_int_equal(f.due.len, 1);
		assert_int_equal(f.due.nrefusals, 0);
		const json_t *notes = json_object_get(json_object_get(f.due.objects[0].body, "metadata"), "annotations");
		if (f.due.objects[0].expires != rows[i].expires ||
		    (json_object_get(notes, ANNOTATION_EXPIRES) != NULL) != (rows[i].expires != 0))
			fail_msg("row %zu: %lld", i, (long long)f.due.objects[0].expires);
		due_close(&f);
	}
}

/* The first one's decides whose the namespace is: what the second one puts there must not go into a stranger's. */
static void test_a_namespace_that_is_made_must_be_its_owners_also_without_a_hash(void **state)
{
	(void)state;
	static const struct {
		const char *name, *create;
		bool user, says;
	} rows[] = {
	    {"${user.slug}-${user.hash6}", "true", true, true},
	    {"${user.slug}-${user.hash6}", "false", true, true},
	    {"${group}", "true", false, true},
	    {"${group}", "false", false, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct due_fixture f;
		char text[1024], key[SPOOL_KEY_LEN + 1];
		snprintf(text, sizeof(text), "match: {providers: ['ldap:corp'], groups: [eng-blue]}\ntemplates:\n"
		    "- name: t\n  namespace: {name: '%s', create: %s}\n  grants: [{clusterRole: edit}]\n", rows[i].name,
		    rows[i].create);
		due_open(&f, text);
		due_plan(&f);
		if (rows[i].user)
			spool_key(f.record.identity.provider, f.record.identity.username, key);
		else
			pattern_group_key(f.record.identity.provider, SLICE("eng-blue"), key);
		const struct desired *d = &f.due.objects[f.due.len - 1];
		assert_int_equal(d->id.kind, KIND_ROLE_BINDING);
		if (!text_eq(d->place_owner, rows[i].says ? key : NULL))
			fail_msg("row %zu: %s", i, d->place_owner);
		due_close(&f);
	}
}

/* A crowd of other refusals does not hide what is not known: that holds back removals, and tells for whom. */
static void test_what_is_not_known_is_told_however_much_is_refused(void **state)
{
	(void)state;
	struct due_fixture f;
	struct buf text;
	buf_init(&text, 1 << 20);
	buf_adds(&text, "templates:\n- name: t\n  match: {groups: [eng-blue]}\n  grants:\n");
	for (int i = 0; i < 2 * DUE_REFUSALS_MAX - 1; i++)
		buf_printf(&text, "  - {clusterRole: danger, namespaces: [ns-%d]}\n", i);
	buf_adds(&text, "  - {role: absent, namespaces: [a]}\n");
	due_open(&f, buf_cstr(&text));
	buf_done(&text);
	due_plan(&f);
	char key[27];
	pattern_group_key(f.record.identity.provider, SLICE("eng-blue"), key);
	assert_int_equal(f.due.nrefusals, DUE_REFUSALS_MAX + 1);
	const struct due_refusal *last = &f.due.refusals[DUE_REFUSALS_MAX];
	assert_string_equal(last->reason, RAIL_ABSENT_ROLE);
	assert_true(last->transient);
	assert_string_equal(last->owner, key);
	assert_null(f.due.refusals[0].owner);
	due_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whom_a_grant_binds),
	    cmocka_unit_test(test_namespaces_and_what_stands_in_them),
	    cmocka_unit_test(test_a_binding_in_full),
	    cmocka_unit_test(test_a_namespace_in_full),
	    cmocka_unit_test(test_another_default_of_on_gc_is_written),
	    cmocka_unit_test(test_an_object_in_full),
	    cmocka_unit_test(test_refused_with_its_reason),
	    cmocka_unit_test(test_dangerous_roles_need_two_words),
	    cmocka_unit_test(test_a_reserved_user_gets_nothing_at_all),
	    cmocka_unit_test(test_refusals_are_fit_to_be_shown),
	    cmocka_unit_test(test_what_is_over_the_limit_is_refused_in_order),
	    cmocka_unit_test(test_two_templates_do_not_share_a_namespace),
	    cmocka_unit_test(test_without_a_view_of_the_cluster),
	    cmocka_unit_test(test_a_hash_says_whose_the_namespace_must_be),
	    cmocka_unit_test(test_a_crowd_of_groups),
	    cmocka_unit_test(test_what_two_grants_give_ends_with_the_later_one),
	    cmocka_unit_test(test_a_namespace_that_is_made_must_be_its_owners_also_without_a_hash),
	    cmocka_unit_test(test_what_is_not_known_is_told_however_much_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
