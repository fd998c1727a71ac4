/* Proves the text of audit records: members and their order, caps that hold for any input, the hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secret.h"
#include "tests/support/audit_sample.h"
#include "tests/support/draw.h"

static void assert_body(struct buf *body, const char *want)
{
	assert_string_equal(buf_cstr(body), want);
	buf_done(body);
}

static void test_authz_members_in_order(void **state)
{
	(void)state;
	struct buf b = {0};
	struct audit_authz r = full_authz();
	record_authz(&b, &origin, &r);
	assert_body(&b,
	    "\"type\":\"authz.decision\",\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAW\",\"node\":\"node-1\","
	    "\"chain\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"client\":{\"ip\":\"10.0.0.1\",\"port\":40000,"
	    "\"certCN\":\"kube-apiserver\",\"certSha256\":\"" HEX64 "\",\"tls\":\"TLS1.3\"},"
	    "\"apiVersion\":\"authorization.k8s.io/v1\",\"user\":{\"name\":\"corp:jane\","
	    "\"uid\":\"u-1\",\"groupsCount\":2,\"groups\":[\"dev\",\"corp:ops\"],"
	    "\"extraKeys\":[\"example.com/tenant\"]},\"request\":{\"kind\":\"resource\","
	    "\"verb\":\"list\",\"apiGroup\":\"apps\",\"version\":\"v1\","
	    "\"resource\":\"deployments\",\"subresource\":\"scale\",\"namespace\":\"prod\","
	    "\"name\":\"web\",\"fieldSelector\":[{\"key\":\"metadata.name\",\"op\":\"=\","
	    "\"values\":[\"a\"]}],\"labelSelector\":[{\"key\":\"team\",\"op\":\"In\","
	    "\"values\":[\"a\",\"b\"]},{\"key\":\"app\",\"op\":\"Exists\"}]},"
	    "\"decision\":\"deny\",\"effect\":\"deny\",\"rule\":\"protect-prod\","
	    "\"ruleSource\":\"prod.yaml:57\",\"reason\":\"deny by protect-prod, generation 42\","
	    "\"breakGlass\":{\"ticket\":\"INC-4711\",\"approvedBy\":[\"carol\",\"dave\"],"
	    "\"until\":\"2025-11-22T12:00:00.000000Z\"},"
	    "\"policy\":{\"generation\":42,\"sha256\":\"" HEX64 "\"},\"latencyUs\":7");
}

static void test_empty_members_are_left_out(void **state)
{
	(void)state;
	struct buf b = {0};
	struct audit_authz z = {.decision = "error", .path = SLICE("/metrics")};
	record_authz(&b, &origin, &z);
	assert_body(&b, "\"type\":\"authz.decision\",\"node\":\"node-1\","
			"\"chain\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"user\":{\"groupsCount\":0},"
			"\"request\":{\"kind\":\"nonResource\",\"path\":\"/metrics\"},"
			"\"decision\":\"error\",\"latencyUs\":0");
	struct audit_authn n = {.decision = "refused", .reason = "expired"};
	record_authn(&b, &(struct record_origin){.chain = "c"}, &n);
	assert_body(&b, "\"type\":\"authn.review\",\"chain\":\"c\",\"decision\":\"refused\","
			"\"reason\":\"expired\",\"latencyUs\":0");
}

static void test_other_types(void **state)
{
	(void)state;
#define ORIGIN "\"node\":\"node-1\",\"chain\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\""
	struct buf b = {0};
	struct audit_authn n = full_authn();
	n.kind = AUDIT_LOGIN;
	n.api_version = NULL;
	struct audit_authz z = full_authz();
	record_use(&b, &origin, &z);
	assert_non_null(strstr(buf_cstr(&b), "\"type\":\"breakglass.used\",\"id\":\"01ARZ3"));
	buf_done(&b);
	struct audit_rules w = {.started = true, .rules = approvers, .n = 2, .policy_generation = 42,
	    .policy_sha256 = "s"};
	record_rules(&b, &origin, &w);
	assert_body(&b, "\"type\":\"policy.rule_started\"," ORIGIN ",\"rulesCount\":2,"
			"\"rules\":[\"carol\",\"dave\"],\"policy\":{\"generation\":42,\"sha256\":\"s\"}");
	w = (struct audit_rules){.final = true, .rules = approvers, .n = 1};
	record_rules(&b, &origin, &w);
	assert_body(&b, "\"type\":\"policy.rule_expired\"," ORIGIN ",\"rulesCount\":1,"
			"\"rules\":[\"carol\"],\"final\":true");
	record_authn(&b, &origin, &n);
	assert_non_null(strstr(buf_cstr(&b), "\"type\":\"authn.login\",\"id\":\"01ARZ3"));
	assert_non_null(strstr(buf_cstr(&b),
	    "\"decision\":\"authenticated\",\"reason\":\"ok\",\"authenticator\":\"jwt\","
	    "\"issuer\":\"https://dex.example.com\","
	    "\"audiences\":[\"https://kubernetes.default.svc\"],\"latencyUs\":31"));
	buf_done(&b);
	struct audit_policy p = {.source = "policy/", .sha256 = "new", .old_sha256 = "old",
	    .generation = 3, .old_generation = 2, .rules = 10, .deny_rules = 4, .abstain_rules = 1,
	    .files = 2, .signed_by = "k1,k2", .shadow = true,
	    .list = (const struct audit_policy_file[]){{"a.yaml", "native", "aa", true, 1000},
		{"b", "abac", "bb", false, 0}}};
	record_policy(&b, &origin, &p);
	assert_body(&b, "\"type\":\"policy.loaded\"," ORIGIN ",\"policy\":{\"shadow\":true,\"generation\":3,"
			"\"sha256\":\"new\",\"oldGeneration\":2,\"oldSha256\":\"old\","
			"\"source\":\"policy/\",\"rules\":10,\"denyRules\":4,"
			"\"abstainRules\":1,\"files\":2,\"fileList\":[{\"name\":\"a.yaml\","
			"\"kind\":\"native\",\"sha256\":\"aa\",\"owner\":1000},{\"name\":\"b\","
			"\"kind\":\"abac\",\"sha256\":\"bb\"}],\"signedBy\":\"k1,k2\"}");
	p = (struct audit_policy){.rejected = true, .error = "a.yaml:3:1: unknown key", .stage = "schema",
	    .old_generation = 2};
	record_policy(&b, &origin, &p);
	assert_body(&b, "\"type\":\"policy.rejected\"," ORIGIN ",\"error\":\"a.yaml:3:1: unknown "
			"key\",\"stage\":\"schema\",\"policy\":{\"oldGeneration\":2}");
	record_event(&b, &origin, "server.start", NULL);
	assert_body(&b, "\"type\":\"server.start\"," ORIGIN);
	record_event(&b, &origin, "audit.gap", "not ours to fake");
	assert_body(&b, "\"type\":\"server.event\"," ORIGIN
			",\"event\":\"audit.gap\",\"detail\":\"not ours to fake\"");
	record_self(&b, &origin, RECORD_GAP, &(struct record_self){.from = 5, .to = 9, .count = 5});
	assert_body(&b, "\"type\":\"audit.gap\"," ORIGIN
			",\"audit\":{\"from\":5,\"to\":9,\"count\":5}");
	record_self(&b, &origin, RECORD_OPENED,
	    &(struct record_self){.path = "a", .continued = true, .torn_bytes = 3});
	assert_body(&b, "\"type\":\"audit.opened\"," ORIGIN
			",\"audit\":{\"path\":\"a\",\"continued\":true,\"tornBytes\":3}");
	record_self(&b, &origin, RECORD_TRUNCATED,
	    &(struct record_self){.path = "a", .offset = 10});
	assert_body(&b, "\"type\":\"audit.truncated\"," ORIGIN
			",\"audit\":{\"path\":\"a\",\"offset\":10,\"size\":0}");
}

/* The digest below was made with sha256sum(1) over the line as docs/audit-record.md says. */
static void test_line_and_its_hash(void **state)
{
	(void)state;
	struct buf body = {0}, line;
	record_event(&body, &origin, "server.stop", "bye");
	line_of(&line, &body);
	assert_string_equal(buf_cstr(&line),
	    "{\"v\":1,\"ts\":\"2025-11-22T10:00:00.123456Z\",\"seq\":9,\"type\":\"server.stop\","
	    "\"node\":\"node-1\",\"chain\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"detail\":\"bye\","
	    "\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\","
	    "\"hash\":\"9bf628db75f0674cf8126cb36e0c28be837f52c37a7f83d54c16d4dc9b48c6e9\"}\n");
	struct record_tail tail;
	struct slice whole = {line.p, line.len - 1};
	assert_true(record_check(whole, &tail));
	assert_int_equal(tail.seq, 9);
	assert_string_equal(tail.chain, origin.chain);
	for (size_t i = 0; i < whole.len; i++) { /* no byte may change */
		line.p[i] ^= 1;
		assert_false(record_check(whole, &tail));
		line.p[i] ^= 1;
	}
	for (size_t n = 0; n < whole.len; n++)
		assert_false(record_check((struct slice){line.p, n}, &tail));
	buf_done(&line);
	buf_done(&body);
}

/* --- hostile input --------------------------------------------------------------------------------- */

/* Of up to 12 KiB, around the caps rather than anywhere; of one hostile alphabet. */
static struct slice hostile(struct arena *a)
{
	static const size_t sizes[] = {0, 1, 2, 10, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512,
	    513, 1021, 1023, 1024, 1025, 2048, 2049, 12000};
	static const struct slice alphabets[] = {{"\x01", 1}, {"\"", 1}, {"\xff", 1}, {"a", 1},
	    {"\xE2\x82\xAC", 3}, {"\xF0\x9F\x98\x80", 4}, {"a\xC3", 2}, {"\\\n\"\x7f\xE2\x80\xAE", 7},
	    {"\0x", 2}};
	struct slice pick = alphabets[draw(ARRAY_LEN(alphabets))];
	size_t n = sizes[draw(ARRAY_LEN(sizes))];
	char *p = arena_alloc(a, n + 1);
	for (size_t i = 0; i < n; i++)
		p[i] = pick.p[i % pick.len];
	return (struct slice){p, n};
}

static const char *hostile_text(struct arena *a)
{
	struct slice s = hostile(a);
	return strlen(s.p) == s.len ? s.p : "text";
}

static struct slice *hostile_list(struct arena *a, size_t *n)
{
	static const size_t counts[] = {0, 1, 3, 40, 300};
	*n = counts[draw(ARRAY_LEN(counts))];
	struct slice *list = ARENA_ARRAY(a, struct slice, *n + 1);
	for (size_t i = 0; i < *n; i++)
		list[i] = hostile(a);
	return list;
}

static struct audit_requirement *hostile_selector(struct arena *a, size_t *n)
{
	*n = draw(4);
	struct audit_requirement *q = ARENA_ARRAY(a, struct audit_requirement, *n + 1);
	for (size_t i = 0; i < *n; i++) {
		q[i].key = hostile(a);
		q[i].op = hostile(a);
		q[i].values = hostile_list(a, &q[i].n);
	}
	return q;
}

static void hostile_user(struct arena *a, struct audit_user *u)
{
	u->name = hostile(a);
	u->uid = hostile(a);
	u->groups = hostile_list(a, &u->ngroups);
	u->extra_keys = hostile_list(a, &u->nextra_keys);
}

static void hostile_client(struct arena *a, struct audit_client *c)
{
	*c = (struct audit_client){hostile(a), 65535, hostile(a), hostile(a), hostile(a)};
}

static bool is_cut(json_t *record, const char *path)
{
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(record, "truncated"), i, item)
		if (strcmp(json_string_value(item), path) == 0)
			return true;
	return false;
}

/* TEXT, a member of RECORD, is all of S or is named as cut and ends in an ellipsis. */
static void assert_told(json_t *record, const char *path, json_t *text, struct slice s)
{
	struct buf want;
	buf_init(&want, SIZE_MAX);
	buf_json(&want, s);
	json_t *whole = json_loadb(want.p, want.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(whole);
	if (s.len == 0) {
		assert_null(text);
	} else if (is_cut(record, path)) {
		size_t n = json_string_length(text), more = json_string_length(whole);
		assert_true(n >= 3 && n - 3 < more);
		assert_memory_equal(json_string_value(text) + n - 3, "\xE2\x80\xA6", 3);
		assert_memory_equal(json_string_value(text), json_string_value(whole), n - 3);
	} else {
		assert_true(json_equal(text, whole));
	}
	json_decref(whole);
	buf_done(&want);
}

/* Listed groups are whole names in the order received; what is missing shows in count and digest. */
static void assert_groups(json_t *user, const struct audit_user *u)
{
	json_t *list = json_object_get(user, "groups");
	assert_int_equal(json_integer_value(json_object_get(user, "groupsCount")), u->ngroups);
	size_t i, from = 0;
	json_t *item;
	json_array_foreach(list, i, item) {
		struct buf want;
		buf_init(&want, SIZE_MAX);
		json_t *whole = NULL;
		while (!json_equal(whole, item)) {
			assert_true(from < u->ngroups);
			json_decref(whole);
			want.len = 0;
			buf_json(&want, u->groups[from++]);
			whole = json_loadb(want.p, want.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		}
		json_decref(whole);
		buf_done(&want);
	}
	json_t *digest = json_object_get(user, "groupsSha256");
	assert_true((digest != NULL) == (json_array_size(list) < u->ngroups));
	struct buf all;
	buf_init(&all, SIZE_MAX);
	for (i = 0; i < u->ngroups; i++) {
		buf_slice(&all, u->groups[i]);
		buf_addc(&all, '\0');
	}
	char hex[2 * SHA256_LEN + 1];
	sha256_hex(all.p, all.len, hex);
	if (digest)
		assert_string_equal(json_string_value(digest), hex);
	buf_done(&all);
}

static json_t *parse_capped(struct buf *body)
{
	struct buf line;
	struct record_tail tail;
	assert_false(body->over);
	assert_true(body->len <= RECORD_BODY_MAX);
	line_of(&line, body);
	assert_true(line.len <= AUDIT_LINE_MAX);
	assert_true(record_check((struct slice){line.p, line.len - 1}, &tail));
	json_error_t error;
	json_t *j = json_loadb(line.p, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!j)
		fail_msg("%s: %.*s", error.text, (int)line.len, line.p);
	assert_null(memchr(line.p, '\n', line.len - 1));
	for (size_t i = 0; i + 1 < line.len; i++)
		assert_true((unsigned char)line.p[i] >= 0x20);
	buf_done(&line);
	buf_done(body);
	return j;
}

static void check_hostile_authz(struct arena *a)
{
	struct audit_authz r = {.id = hostile_text(a), .api_version = hostile_text(a),
	    .resource_request = true, .verb = hostile(a), .api_group = hostile(a),
	    .version = hostile(a), .resource = hostile(a), .subresource = hostile(a),
	    .name = hostile(a), .namespace_ = hostile(a), .path = hostile(a),
	    .decision = hostile_text(a), .effect = hostile_text(a), .rule = hostile_text(a),
	    .rule_source = hostile_text(a), .reason = hostile(a), .evaluation_error = hostile(a),
	    .policy_generation = INT64_MAX, .policy_sha256 = hostile_text(a),
	    .latency_us = UINT64_MAX};
	const char *names[] = {hostile_text(a), hostile_text(a)};
	struct audit_break_glass g = {hostile_text(a), names, 2, 0};
	r.break_glass = &g;
	hostile_client(a, &r.client);
	hostile_user(a, &r.user);
	r.field_selector = hostile_selector(a, &r.nfield);
	r.label_selector = hostile_selector(a, &r.nlabel);
	struct buf body = {0};
	record_authz(&body, &origin, &r);
	json_t *j = parse_capped(&body);
	json_t *user = json_object_get(j, "user"), *req = json_object_get(j, "request");
	assert_told(j, "user.name", json_object_get(user, "name"), r.user.name);
	assert_told(j, "user.uid", json_object_get(user, "uid"), r.user.uid);
	assert_told(j, "request.name", json_object_get(req, "name"), r.name);
	assert_told(j, "request.path", json_object_get(req, "path"), r.path);
	assert_told(j, "reason", json_object_get(j, "reason"), r.reason);
	assert_told(j, "evaluationError", json_object_get(j, "evaluationError"),
	    r.evaluation_error);
	assert_true(is_cut(j, "request.labelSelector") ==
		    (json_array_size(json_object_get(req, "labelSelector")) < r.nlabel));
	assert_true(is_cut(j, "user.extraKeys") ==
		    (json_array_size(json_object_get(user, "extraKeys")) < r.user.nextra_keys));
	assert_groups(user, &r.user);
	json_decref(j);
}

static void check_hostile_others(struct arena *a)
{
	struct buf body = {0};
	struct audit_authn n = {.id = hostile_text(a), .api_version = hostile_text(a),
	    .decision = hostile_text(a), .authenticator = hostile_text(a),
	    .reason = hostile_text(a), .issuer = hostile(a)};
	hostile_client(a, &n.client);
	hostile_user(a, &n.user);
	n.audiences = hostile_list(a, &n.naudiences);
	record_authn(&body, &origin, &n);
	json_t *j = parse_capped(&body);
	assert_told(j, "issuer", json_object_get(j, "issuer"), n.issuer);
	json_decref(j);
	struct audit_policy p = {.rejected = draw(2), .source = hostile_text(a),
	    .sha256 = hostile_text(a), .old_sha256 = hostile_text(a), .generation = INT64_MAX,
	    .old_generation = INT64_MAX, .rules = SIZE_MAX, .deny_rules = SIZE_MAX,
	    .signed_by = hostile_text(a), .stage = hostile_text(a), .error = hostile_text(a)};
	struct audit_policy_file list[200];
	for (p.files = 0; p.files < draw(ARRAY_LEN(list)); p.files++)
		list[p.files] = (struct audit_policy_file){hostile_text(a), "native",
		    HEX64, draw(2), UINT32_MAX};
	p.list = list;
	record_policy(&body, &origin, &p);
	j = parse_capped(&body);
	assert_told(j, "error", json_object_get(j, "error"), slice_of(p.error));
	json_decref(j);
	const char *rules[] = {hostile_text(a), hostile_text(a), hostile_text(a)};
	struct audit_rules w = {.rules = rules, .n = 3, .policy_sha256 = hostile_text(a)};
	record_rules(&body, &origin, &w);
	json_decref(parse_capped(&body));
	record_event(&body, &origin, hostile_text(a), hostile_text(a));
	json_decref(parse_capped(&body));
}

static void test_no_input_exceeds_the_cap(void **state)
{
	(void)state;
	for (int i = 0; i < 400; i++) {
		struct arena a;
		arena_init(&a, 0);
		check_hostile_authz(&a);
		check_hostile_others(&a);
		arena_done(&a);
	}
}

/* Everything at its longest at once, in the alphabet that escapes worst and the one that does not. */
static void test_the_longest_record_fits(void **state)
{
	(void)state;
	static char big[20001];
	static struct slice many[2000];
	static const char fills[] = {'\x01', 'a'};
	for (size_t f = 0; f < ARRAY_LEN(fills); f++) {
		memset(big, fills[f], sizeof(big) - 1);
		struct slice s = {big, sizeof(big) - 1};
		for (size_t i = 0; i < ARRAY_LEN(many); i++)
			many[i] = (struct slice){big, i % 2 ? 1 : 100};
		struct audit_requirement q = {s, s, many, 2000};
		const char *names[20];
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			names[i] = big + sizeof(big) - 200;
		struct audit_break_glass g = {big, names, ARRAY_LEN(names), 0};
		struct audit_authz r = {.break_glass = &g, .id = big, .api_version = big, .client = {s, 65535, s, s, s},
		    .user = {s, s, many, 2000, many, 2000}, .resource_request = true, .verb = s,
		    .api_group = s, .version = s, .resource = s, .subresource = s, .name = s,
		    .namespace_ = s, .path = s, .field_selector = &q, .nfield = 1,
		    .label_selector = &q, .nlabel = 1, .decision = big, .effect = big, .rule = big,
		    .rule_source = big, .reason = s, .evaluation_error = s,
		    .policy_generation = INT64_MAX, .policy_sha256 = big, .policy_signed_by = big,
		    .shadow = {big, big, INT64_MAX}, .latency_us = UINT64_MAX};
		struct record_origin o;
		memset(o.node, fills[f], sizeof(o.node));
		memset(o.chain, 'Z', sizeof(o.chain));
		o.node[RECORD_NODE_MAX] = o.chain[RECORD_CHAIN_LEN] = '\0';
		struct buf body = {0};
		record_authz(&body, &o, &r);
		json_t *j = parse_capped(&body);
		json_t *user = json_object_get(j, "user");
		assert_true(json_array_size(json_object_get(user, "groups")) > 10);
		assert_groups(user, &r.user);
		json_decref(j);
	}
}

static void test_two_thousand_groups_of_10_kb(void **state)
{
	(void)state;
	static char names[2000][10240];
	static struct slice many[2000];
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		memset(names[i], 'g', sizeof(names[i]));
		snprintf(names[i], 8, "%zu", i);
		many[i] = (struct slice){names[i], sizeof(names[i])};
	}
	struct audit_authz r = full_authz();
	r.user.groups = many;
	r.user.ngroups = ARRAY_LEN(many);
	struct buf body = {0};
	record_authz(&body, &origin, &r);
	json_t *j = parse_capped(&body);
	assert_groups(json_object_get(j, "user"), &r.user);
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "user"), "groups")), 0);
	json_decref(j);
	/* One of ordinary length among them is still told. */
	many[1000] = SLICE("corp:ops");
	record_authz(&body, &origin, &r);
	j = parse_capped(&body);
	assert_groups(json_object_get(j, "user"), &r.user);
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "user"), "groups")), 1);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_authz_members_in_order),
	    cmocka_unit_test(test_empty_members_are_left_out),
	    cmocka_unit_test(test_other_types),
	    cmocka_unit_test(test_line_and_its_hash),
	    cmocka_unit_test(test_no_input_exceeds_the_cap),
	    cmocka_unit_test(test_the_longest_record_fits),
	    cmocka_unit_test(test_two_thousand_groups_of_10_kb),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
