/* Proves UserRecords: what is read is whole and of the right user, what is written reads back, and how replicas merge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/jsonx.h"
#include "common/secret.h"
#include "rbac-sync/record.h"

static const struct slice alice_groups[] = {SLICE("dev"), SLICE("ops")};
static const struct slice team[] = {SLICE("a"), SLICE("b")};
static const struct spool_extra alice_extra[] = {{SLICE("example.org/team"), team, 2}};

static struct spool_event alice(void)
{
	return (struct spool_event){
	    .provider = SLICE("ldap:corp"),
	    .issuer = SLICE("https://issuer.example"),
	    .username = SLICE("alice"),
	    .uid = SLICE("7"),
	    .groups = alice_groups,
	    .ngroups = 2,
	    .extra = alice_extra,
	    .nextra = 1,
	    .seen_at = 1795428000,
	    .iat = 1795427000,
	    .node = SLICE("node-1"),
	};
}

/* The record that EV makes, as the apiserver gives it back. */
static json_t *object_of(const struct spool_event *ev)
{
	json_t *o = record_spec(ev), *meta = json_object_get(o, "metadata");
	assert_int_equal(json_object_set_new(meta, "uid", json_string("u-1")), 0);
	assert_int_equal(json_object_set_new(meta, "resourceVersion", json_string("12")), 0);
	assert_int_equal(json_object_set_new(meta, "generation", json_integer(3)), 0);
	assert_int_equal(
	    json_object_set_new(meta, "creationTimestamp", json_string("2026-11-23T10:00:00Z")), 0);
	return o;
}

static void set(json_t *o, const char *path, json_t *value)
{
	char part[64];
	const char *dot;
	for (; (dot = strchr(path, '.')); path = dot + 1) {
		memcpy(part, path, (size_t)(dot - path));
		part[dot - path] = '\0';
		json_t *next = json_object_get(o, part);
		if (!next) {
			next = json_object();
			json_object_set_new(o, part, next);
		}
		o = next;
	}
	if (value)
		assert_int_equal(json_object_set_new(o, path, value), 0);
	else
		json_object_del(o, path);
}

static json_t *json(const char *text)
{
	json_error_t error;
	json_t *j = json_loads(text, JSON_DECODE_ANY, &error);
	if (!j)
		fail_msg("%s: %s", text, error.text);
	return j;
}

static void read_ok(const json_t *o, struct arena *a, struct record *r)
{
	struct err e = {0};
	if (record_read(o, a, r, &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

static void same_identity(const struct spool_event *x, const struct spool_event *y)
{
	uint8_t a[SHA256_LEN], b[SHA256_LEN];
	spool_digest(x, a);
	spool_digest(y, b);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(x->seen_at, y->seen_at);
	assert_int_equal(x->iat, y->iat);
	assert_true(slice_eq(x->node, y->node));
}

static void what_the_intake_writes_reads_back(void **state)
{
	(void)state;
	struct arena a;
	struct record r;
	char key[SPOOL_KEY_LEN + 1];
	struct spool_event ev = alice();
	json_t *o = object_of(&ev);
	arena_init(&a, 0);
	read_ok(o, &a, &r);
	json_decref(o); /* the record borrows nothing from it */
	spool_key(ev.provider, ev.username, key);
	assert_string_equal(r.name, key);
	assert_string_equal(r.uid, "u-1");
	assert_string_equal(r.resource_version, "12");
	assert_int_equal(r.generation, 3);
	assert_int_equal(r.created, 1795428000);
	assert_false(r.deleting);
	assert_false(r.keep_label);
	same_identity(&r.identity, &ev);
	assert_int_equal(r.state, RECORD_STATE_UNSET);
	assert_int_equal(r.phase, PHASE_PENDING);
	assert_int_equal(r.nbindings + r.nconditions + r.nnodes, 0);
	assert_null(r.observed_digest);
	arena_done(&a);
}

static void the_intake_leaves_the_admins_what_is_theirs(void **state)
{
	(void)state;
	struct spool_event ev = alice();
	json_t *o = record_spec(&ev), *spec = json_object_get(o, "spec");
	const char *const theirs[] = {"state", "expiresAt", "keep"};
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		assert_null(json_object_get(spec, theirs[i]));
	assert_null(json_object_get(o, "status"));
	assert_string_equal(json_string_value(json_object_get(spec, "observedAt")), "2026-11-23T10:00:00Z");
	json_decref(o);
	ev.iat = ev.seen_at = 0;
	o = record_spec(&ev);
	spec = json_object_get(o, "spec");
	assert_int_equal(json_integer_value(json_object_get(spec, "iat")), 0);
	assert_null(json_object_get(spec, "observedAt"));
	json_decref(o);
}

static void the_provider_is_a_label_that_kubernetes_takes(void **state)
{
	(void)state;
	static const struct {
		const char *provider, *label;
	} rows[] = {
	    {"ldap:corp", "ldap-corp"},
	    {"jwt:https://issuer.example/realms/a b/", "jwt-https-issuer.example-realms-a-b"},
	    {"tokenFile", "tokenFile"},
	    {"...", ""},
	    {"-.a.-", "a"},
	    {"\xC3\xA4", ""},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa::bcdefg",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct spool_event ev = alice();
		ev.provider = slice_of(rows[i].provider);
		json_t *o = record_spec(&ev);
		json_t *labels = json_object_get(json_object_get(o, "metadata"), "labels");
		assert_string_equal(
		    json_string_value(json_object_get(labels, LABEL_PROVIDER)), rows[i].label);
		json_decref(o);
	}
}

static void admins_and_reconciler_are_read(void **state)
{
	(void)state;
	struct arena a;
	struct record r;
	struct spool_event ev = alice();
	json_t *o = object_of(&ev);
	set(o, "spec.state", json_string("Suspended"));
	set(o, "spec.expiresAt", json_string("2026-11-23T11:00:00+01:00"));
	set(o, "spec.keep", json_true());
	json_object_set_new(json_object_get(json_object_get(o, "metadata"), "labels"), LABEL_KEEP,
	    json_string("true"));
	set(o, "metadata.deletionTimestamp", json_string("2026-11-23T10:00:00Z"));
	set(o, "status", json("{\"phase\":\"Degraded\",\"lastSeen\":\"2026-11-23T10:00:00Z\","
		"\"nodes\":[\"n1\"],\"bindings\":[{\"kind\":\"RoleBinding\",\"namespace\":\"t\",\"name\":\"b\","
		"\"uid\":\"u\",\"template\":\"devs\",\"hash\":\"h\",\"live\":\"l\","
		"\"expires\":\"1970-01-01T00:00:00Z\"}],\"conditions\":[{\"type\":\"Ready\","
		"\"status\":\"True\",\"reason\":\"R\",\"message\":\"m\","
		"\"lastTransitionTime\":\"2026-11-23T10:00:00Z\"}],\"observedGeneration\":4,"
		"\"observedDigest\":\"d\",\"templatesDigest\":\"t\",\"unknown\":{}}"));
	arena_init(&a, 0);
	read_ok(o, &a, &r);
	json_decref(o);
	assert_int_equal(r.state, RECORD_STATE_SUSPENDED);
	assert_int_equal(r.expires_at, 1795428000);
	assert_true(r.keep && r.keep_label && r.deleting);
	assert_int_equal(r.phase, PHASE_DEGRADED);
	assert_int_equal(r.last_seen, 1795428000);
	assert_int_equal(r.nnodes, 1);
	assert_int_equal(r.nbindings, 1);
	assert_int_equal(r.bindings[0].id.kind, KIND_ROLE_BINDING);
	assert_string_equal(r.bindings[0].id.namespace_, "t");
	/* A time that is there has passed; 0 would say "never". */
	assert_int_equal(r.bindings[0].expires, 1);
	assert_true(r.conditions[0].status);
	assert_int_equal(r.observed_generation, 4);
	assert_string_equal(r.observed_digest, "d");
	arena_done(&a);
}

static void what_is_no_record_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *path, *value; /* value NULL: the member is taken away */
	} rows[] = {
	    {"kind", "\"ConfigMap\""},
	    {"apiVersion", "\"v1\""},
	    {"metadata", "[]"},
	    {"metadata.name", NULL},
	    {"metadata.name", "\"aaaaaaaaaaaaaaaaaaaaaaaaaa\""},
	    {"metadata.generation", "-1"},
	    {"metadata.deletionTimestamp", "true"},
	    {"metadata.labels", "7"},
	    {"spec", NULL},
	    {"spec.identity", NULL},
	    {"spec.identity.provider", "\"\""},
	    {"spec.identity.username", "\"bob\""},
	    {"spec.identity.groups", "\"dev\""},
	    {"spec.identity.groups", "[7]"},
	    {"spec.identity.extra", "[]"},
	    {"spec.identity.extra", "{\"a\":\"b\"}"},
	    {"spec.state", "\"active\""},
	    {"spec.state", "\"\""},
	    {"spec.state", "true"},
	    {"spec.keep", "\"true\""},
	    {"spec.iat", "1.5"},
	    {"spec.iat", "-1"},
	    {"spec.observedAt", "7"},
	    {"spec.expiresAt", "\"\""},
	    {"spec.expiresAt", "\"tomorrow\""},
	    {"spec.expiresAt", "\"9999-12-31T00:00:00Z\""},
	    {"status", "\"Ready\""},
	    {"status.phase", "\"ready\""},
	    {"status.nodes", "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\","
			     "\"13\",\"14\",\"15\",\"16\",\"17\"]"},
	    {"status.bindings", "{}"},
	    {"status.bindings", "[7]"},
	    {"status.bindings", "[{\"kind\":\"Secret\",\"name\":\"b\",\"namespace\":\"t\"}]"},
	    {"status.bindings", "[{\"kind\":\"UserRecord\",\"name\":\"b\"}]"},
	    {"status.bindings", "[{\"kind\":\"RoleBinding\",\"name\":\"b\"}]"},
	    {"status.bindings", "[{\"kind\":\"ClusterRoleBinding\",\"name\":\"b\",\"namespace\":\"t\"}]"},
	    {"status.bindings", "[{\"kind\":\"Namespace\"}]"},
	    {"status.conditions", "[{\"status\":\"True\"}]"},
	    {"status.observedGeneration", "\"1\""},
	    {"status.observedDigest", "1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a;
		struct record r;
		struct err e = {0};
		struct spool_event ev = alice();
		json_t *o = object_of(&ev);
		set(o, rows[i].path, rows[i].value ? json(rows[i].value) : NULL);
		arena_init(&a, 0);
		if (record_read(o, &a, &r, &e) != ERR_INVALID || !e.msg[0])
			fail_msg("taken: %s = %s", rows[i].path, rows[i].value ? rows[i].value : "absent");
		arena_done(&a);
		json_decref(o);
	}
	struct arena a;
	struct record r;
	struct err e;
	json_t *list = json_array();
	arena_init(&a, 0);
	assert_int_equal(record_read(list, &a, &r, &e), ERR_INVALID);
	assert_int_equal(record_read(NULL, &a, &r, &e), ERR_INVALID);
	arena_done(&a);
	json_decref(list);
}

static void limits_hold(void **state)
{
	(void)state;
	for (int over = 0; over <= 1; over++) {
		struct arena a;
		struct record r;
		struct err e;
		struct spool_event ev = alice();
		json_t *o = object_of(&ev), *bindings = json_array(), *groups = json_array();
		for (int i = 0; i < RECORD_BINDINGS_MAX + over; i++)
			json_array_append_new(bindings, json("{\"kind\":\"Namespace\",\"name\":\"n\"}"));
		for (int i = 0; i < RECORD_GROUPS_MAX; i++)
			json_array_append_new(groups, json_string("g"));
		set(o, "status.bindings", bindings);
		set(o, "spec.identity.groups", groups);
		arena_init(&a, 0);
		assert_int_equal(record_read(o, &a, &r, &e), over ? ERR_INVALID : ERR_OK);
		arena_done(&a);
		json_decref(o);
	}
}

/* --- merging --- */

enum { SAME_GROUPS, OTHER_GROUPS };

static void replicas_merge(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		int64_t iat, seen; /* of what is stored */
		int64_t new_iat, new_seen;
		int groups;
		enum record_merge want;
	} rows[] = {
	    {"newer iat, other groups", 100, 1000, 200, 1001, OTHER_GROUPS, MERGE_WRITE},
	    {"older iat, other groups, seen later", 200, 1000, 100, 5000, OTHER_GROUPS, MERGE_DROP},
	    {"older iat, same groups, seen later", 200, 1000, 100, 99000, SAME_GROUPS, MERGE_DROP},
	    {"newer iat, other groups, seen earlier", 100, 1000, 200, 900, OTHER_GROUPS, MERGE_WRITE},
	    {"newer iat, same groups", 100, 1000, 200, 1001, SAME_GROUPS, MERGE_WRITE},
	    {"same iat, other groups, seen later", 100, 1000, 100, 1001, OTHER_GROUPS, MERGE_WRITE},
	    {"same iat, other groups, seen at once", 100, 1000, 100, 1000, OTHER_GROUPS, MERGE_WRITE},
	    {"same iat, other groups, seen earlier", 100, 1000, 100, 999, OTHER_GROUPS, MERGE_DROP},
	    {"the same again", 100, 1000, 100, 1000, SAME_GROUPS, MERGE_SAME},
	    {"just below touch", 100, 1000, 100, 1599, SAME_GROUPS, MERGE_SAME},
	    {"touch", 100, 1000, 100, 1600, SAME_GROUPS, MERGE_WRITE},
	    {"no iat, other groups, later", 0, 1000, 0, 1001, OTHER_GROUPS, MERGE_WRITE},
	    {"no iat, other groups, earlier", 0, 1000, 0, 999, OTHER_GROUPS, MERGE_DROP},
	    {"no iat, touch", 0, 1000, 0, 1600, SAME_GROUPS, MERGE_WRITE},
	    {"no iat, the same", 0, 1000, 0, 1000, SAME_GROUPS, MERGE_SAME},
	    {"iat lost, other groups, later", 500, 1000, 0, 1001, OTHER_GROUPS, MERGE_WRITE},
	    {"iat lost, earlier", 500, 1000, 0, 999, OTHER_GROUPS, MERGE_DROP},
	    {"iat won, same groups", 0, 1000, 500, 1001, SAME_GROUPS, MERGE_WRITE},
	    {"iat won, earlier", 0, 1000, 500, 999, OTHER_GROUPS, MERGE_DROP},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct spool_event ev = alice();
		struct record stored = {.identity = ev};
		stored.identity.iat = rows[i].iat;
		stored.identity.seen_at = rows[i].seen;
		stored.identity.node = SLICE("another node says nothing else");
		ev.iat = rows[i].new_iat;
		ev.seen_at = rows[i].new_seen;
		ev.ngroups = rows[i].groups == OTHER_GROUPS ? 1 : 2;
		enum record_merge got = record_merge(&stored, &ev, 600);
		if (got != rows[i].want)
			fail_msg("%s: %d, not %d", rows[i].what, got, rows[i].want);
	}
}

/* However three tokens' news arrive, and however often, the newest token's groups stand in the end. */
static void every_order_ends_the_same(void **state)
{
	(void)state;
	static const unsigned orders[][3] = {
	    {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	for (unsigned groups = 0; groups < 8; groups++) { /* which of the three know one group only */
		for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
			struct record stored = {0};
			for (unsigned n = 0; n < 6; n++) {
				unsigned k = orders[i][n % 3];
				struct spool_event ev = alice();
				ev.iat = 100 + k;
				ev.seen_at = 1000 + n; /* in the order of arrival */
				ev.ngroups = groups >> k & 1 ? 1 : 2;
				if (n == 0 || record_merge(&stored, &ev, 600) == MERGE_WRITE)
					stored.identity = ev;
			}
			assert_int_equal(stored.identity.iat, 102);
			assert_int_equal(stored.identity.ngroups, groups >> 2 & 1 ? 1 : 2);
		}
	}
}

/* --- status --- */

static const struct slice nodes[] = {SLICE("n1"), SLICE("n2")};
static const struct record_binding two_bindings[] = {
    {.id = {KIND_NAMESPACE, NULL, "u-alice"}, .uid = "1", .template_ = "sandbox", .hash = "h", .live = "l"},
    {.id = {KIND_ROLE_BINDING, "u-alice", "portcullis:x"}, .expires = 1795428000, .successor = "portcullis:y"},
};
static const struct record_condition two_conditions[] = {
    {"Ready", true, "Applied", "all is there", 1795428000},
    {"Refused", false, "None", NULL, 1795428001},
};
static const struct record_condition two_turned[] = {
    {"Refused", false, "None", NULL, 1795428001},
    {"Ready", true, "Applied", "all is there", 1795428000},
};

static const struct record_lost two_lost[] = {
    {SLICE("corp:dev"), 1795428000, "corp", true},
    {SLICE("corp:ops"), 1795428001, NULL, false},
};

static struct record full_status(void)
{
	return (struct record){
	    .phase = PHASE_READY,
	    .first_seen = 1795428000,
	    .last_seen = 1795428001,
	    .missing_since = 1795428002,
	    .disabled_at = 1795428003,
	    .disable_after = 1795428004,
	    .delete_after = 1795428005,
	    .nodes = nodes,
	    .nnodes = 2,
	    .bindings = two_bindings,
	    .nbindings = 2,
	    .conditions = two_conditions,
	    .nconditions = 2,
	    .lost = two_lost,
	    .nlost = 2,
	    .observed_generation = 4,
	    .observed_digest = "dd",
	    .templates_digest = "tt",
	};
}

/* As the apiserver merges it: members that are null go. */
static json_t *merged(const json_t *status)
{
	json_t *out = json_object(), *value;
	const char *key;
	json_object_foreach((json_t *)(uintptr_t)status, key, value)
	{
		if (!json_is_null(value))
			json_object_set(out, key, value);
	}
	return out;
}

static void check_status_round_trip(const struct record *r)
{
	struct arena a;
	struct record back;
	struct spool_event ev = alice();
	json_t *o = object_of(&ev), *patch = record_status(r);
	json_object_set_new(o, "status", merged(json_object_get(patch, "status")));
	arena_init(&a, 0);
	read_ok(o, &a, &back);
	assert_true(record_status_eq(r, &back));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(patch, "status"), "bindingCount")),
	    r->nbindings);
	json_decref(o);
	json_decref(patch);
	arena_done(&a);
}

static void a_status_reads_back(void **state)
{
	(void)state;
	struct record full = full_status(), empty = {0};
	check_status_round_trip(&full);
	check_status_round_trip(&empty);
}

static void the_claims_of_a_record_that_cannot_be_read(void **state)
{
	(void)state;
	struct arena a = {0};
	struct record r;
	struct object_id *ids;
	struct err e;
	struct spool_event ev = alice();
	json_t *o = object_of(&ev);
	assert_int_equal(record_claims(o, &a, &ids), 0);
	set(o, "metadata.name", json_string("not-the-key"));
	set(o, "status.bindings", json("[{\"kind\":\"ClusterRoleBinding\",\"name\":\"portcullis:a:1\",\"uid\":\"u\"},"
	    "{\"kind\":\"Secret\",\"namespace\":\"x\",\"name\":\"s\"}, 7, null, {\"kind\":\"Namespace\"},"
	    "{\"kind\":\"RoleBinding\",\"namespace\":\"team\",\"name\":\"portcullis:b:2\",\"expires\":\"never\"}]"));
	assert_int_equal(record_read(o, &a, &r, &e), ERR_INVALID);
	assert_int_equal(record_claims(o, &a, &ids), 2);
	assert_string_equal(object_id_text(&a, &ids[0]), "ClusterRoleBinding/portcullis:a:1");
	assert_string_equal(object_id_text(&a, &ids[1]), "RoleBinding/team/portcullis:b:2");
	set(o, "status.bindings", json("\"none\""));
	assert_int_equal(record_claims(o, &a, &ids), 0);
	assert_int_equal(record_claims(NULL, &a, &ids), 0);
	json_decref(o);
	arena_done(&a);
}

static void lost_groups_are_read_as_a_memory(void **state)
{
	(void)state;
	static const char *const bad[] = {"{}", "[7]", "[{}]", "[{\"name\":\"\",\"since\":\"2026-11-23T10:00:00Z\"}]",
	    "[{\"name\":\"a\"}]", "[{\"name\":\"a\",\"since\":\"soon\"}]", "[{\"name\":1,\"since\":\"2026-11-23T10:00:00Z\"}]",
	    "[{\"name\":\"a\",\"since\":\"2026-11-23T10:00:00Z\",\"directory\":[]}]"};
	struct arena a = {0};
	struct record r;
	struct err e;
	struct spool_event ev = alice();
	json_t *o = object_of(&ev);
	set(o, "status.lostGroups", json("[{\"name\":\"b\",\"since\":\"2026-11-23T10:00:00Z\",\"sure\":true},"
	    "{\"name\":\"a\",\"since\":\"2026-11-23T10:00:01Z\",\"directory\":\"corp\"}]"));
	read_ok(o, &a, &r);
	assert_int_equal(r.nlost, 2);
	assert_string_equal(record_lost(&r, SLICE("a"))->directory, "corp");
	assert_null(record_lost(&r, SLICE("b"))->directory);
	assert_false(record_lost(&r, SLICE("b"))->sure); /* only a directory is */
	assert_null(record_lost(&r, SLICE("c")));
	assert_null(record_lost(&r, SLICE("A")));
	set(o, "status.lostGroups", json("[{\"name\":\"b\",\"since\":\"2026-11-23T10:00:00Z\"},"
	    "{\"name\":\"a\",\"since\":\"2026-11-23T10:00:00Z\"},{\"name\":\"b\",\"since\":\"2026-11-23T10:00:00Z\"}]"));
	read_ok(o, &a, &r);
	assert_int_equal(r.nlost, 2);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		set(o, "status.lostGroups", json(bad[i]));
		assert_int_equal(record_read(o, &a, &r, &e), ERR_INVALID);
	}
	json_decref(o);
	arena_done(&a);
}

static void an_unset_member_is_null_and_the_version_a_condition(void **state)
{
	(void)state;
	struct record r = {.resource_version = "77"};
	json_t *patch = record_status(&r), *status = json_object_get(patch, "status");
	const char *const unset[] = {"firstSeen", "lastSeen", "missingSince", "disabledAt", "disableAfter",
	    "deleteAfter", "nodes", "bindings", "conditions", "lostGroups", "observedDigest", "templatesDigest"};
	for (size_t i = 0; i < ARRAY_LEN(unset); i++)
		assert_true(json_is_null(json_object_get(status, unset[i])));
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(patch, "metadata"), "resourceVersion")), "77");
	assert_null(json_object_get(patch, "spec"));
	json_decref(patch);
	r.resource_version = NULL;
	patch = record_status(&r);
	assert_null(json_object_get(patch, "metadata"));
	json_decref(patch);
}

/* The apiserver's sentence about a long name ends anywhere; one user's status must not end the worker. */
static void a_sentence_that_was_cut_inside_of_a_character(void **state)
{
	(void)state;
	const struct record_condition c[] = {{"Ready", false, "Refused", "HTTP 422: \xe6\x97", 1},
	    {"Conflict", true, "ForeignObject", "\xe6\x97\xa5", 1}};
	struct record r = {.conditions = c, .nconditions = ARRAY_LEN(c)};
	json_t *patch = record_status(&r);
	const json_t *list = json_object_get(json_object_get(patch, "status"), "conditions");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "message")), "(text withheld)");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "message")), "\xe6\x97\xa5");
	json_decref(patch);
}

static void the_order_of_conditions_does_not_count(void **state)
{
	(void)state;
	struct record a = full_status(), b = full_status();
	b.conditions = two_turned;
	assert_true(record_status_eq(&a, &b));
	const struct record_condition twice[] = {two_conditions[0], two_conditions[0]};
	b.conditions = twice;
	assert_false(record_status_eq(&a, &b));
	assert_false(record_status_eq(&b, &a));
}

static void each_member_of_a_status_counts(void **state)
{
	(void)state;
	struct record_binding other[] = {two_bindings[0], two_bindings[1]};
	other[1].expires = 0;
	const struct record was = full_status();
	struct record_lost later[] = {two_lost[0], two_lost[1]}, elsewhere[] = {two_lost[0], two_lost[1]};
	later[1].since++;
	elsewhere[0].directory = "other";
	struct record rows[18];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = was;
	rows[0].phase = PHASE_DEGRADED;
	rows[1].first_seen++;
	rows[2].last_seen++;
	rows[3].missing_since = 0;
	rows[4].disabled_at = 0;
	rows[5].disable_after++;
	rows[6].delete_after++;
	rows[7].nnodes = 1;
	rows[8].nbindings = 1;
	rows[9].bindings = other;
	rows[10].nconditions = 1;
	rows[11].observed_generation++;
	rows[12].observed_digest = NULL;
	rows[13].templates_digest = "other";
	rows[14].nodes = team;
	rows[15].nlost = 1;
	rows[16].lost = later;
	rows[17].lost = elsewhere;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (record_status_eq(&was, &rows[i]))
			fail_msg("row %zu does not count", i);
	}
	/* What is no part of the status does not. */
	struct record same = was;
	same.name = "x";
	same.resource_version = "1";
	same.keep = true;
	assert_true(record_status_eq(&was, &same));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_the_intake_writes_reads_back),
	    cmocka_unit_test(the_intake_leaves_the_admins_what_is_theirs),
	    cmocka_unit_test(the_provider_is_a_label_that_kubernetes_takes),
	    cmocka_unit_test(admins_and_reconciler_are_read),
	    cmocka_unit_test(what_is_no_record_is_refused),
	    cmocka_unit_test(limits_hold),
	    cmocka_unit_test(replicas_merge),
	    cmocka_unit_test(every_order_ends_the_same),
	    cmocka_unit_test(a_status_reads_back),
	    cmocka_unit_test(the_claims_of_a_record_that_cannot_be_read),
	    cmocka_unit_test(lost_groups_are_read_as_a_memory),
	    cmocka_unit_test(an_unset_member_is_null_and_the_version_a_condition),
	    cmocka_unit_test(a_sentence_that_was_cut_inside_of_a_character),
	    cmocka_unit_test(the_order_of_conditions_does_not_count),
	    cmocka_unit_test(each_member_of_a_status_counts),
	};
	jsonx_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
