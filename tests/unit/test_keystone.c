/* Proves what of Keystone can be told without one: shapes of tokens, the strict reading of its answers, who a
 * token makes its bearer, and which entries of the configuration are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "authn/chain.h"
#include "authn/keystone.h"
#include "common/jsonx.h"

/* Each test's. */
static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

/* --- shapes --- */

static void test_fernet_tokens_are_told_by_their_shape(void **state)
{
	(void)state;
	char text[KEYSTONE_TOKEN_MAX + 64];
	memset(text, 'x', sizeof(text));
	memcpy(text, "gAAAAA", 6);
	size_t accepted = 0;
	for (size_t n = 0; n < sizeof(text); n++) {
		struct slice s = {text, n};
		/* Version, time, IV and MAC around whole blocks, written in base64 without padding. */
		size_t bytes = n * 3 / 4;
		bool right = n <= KEYSTONE_TOKEN_MAX && n % 4 != 1 && bytes >= 73 && bytes % 16 == 57 % 16;
		assert_int_equal(keystone_fernet_shaped(s), right);
		accepted += right;
	}
	assert_true(accepted > 250);
	struct slice s = {text, 183};
	assert_true(keystone_fernet_shaped(s));
	static const char bad[] = {'=', '.', ' ', '\n', '\0', '+', '/', ':', '\x7f', '\x80'};
	for (size_t i = 0; i < sizeof(bad); i++) {
		for (size_t at = 0; at < s.len; at += 91) {
			char was = text[at];
			text[at] = bad[i];
			assert_false(keystone_fernet_shaped(s));
			text[at] = was;
		}
	}
	text[5] = 'B'; /* a time beyond the year 4000 */
	assert_false(keystone_fernet_shaped(s));
}

static void test_uuid_tokens_are_32_lower_case_digits(void **state)
{
	(void)state;
	assert_true(keystone_uuid_shaped(SLICE("0123456789abcdef0123456789abcdef")));
	assert_false(keystone_uuid_shaped(SLICE("0123456789abcdef0123456789abcde")));
	assert_false(keystone_uuid_shaped(SLICE("0123456789abcdef0123456789abcdeff")));
	assert_false(keystone_uuid_shaped(SLICE("0123456789ABCDEF0123456789abcdef")));
	assert_false(keystone_uuid_shaped(SLICE("0123456789abcdeg0123456789abcdef")));
	assert_false(keystone_uuid_shaped(SLICE("")));
}

static void test_application_credentials_are_told_by_scheme_and_name(void **state)
{
	(void)state;
	struct slice id, secret;
	assert_true(keystone_credential_shaped(
	    SLICE("v3applicationcredential:cloud:0af3:s:e-c"), "cloud", &id, &secret));
	assert_true(slice_is(id, "0af3") && slice_is(secret, "s:e-c"));
	static const char *const bad[] = {
	    "", "v3applicationcredential", "v3applicationcredential:", "v3applicationcredential:cloud",
	    "v3applicationcredential:cloud:", "v3applicationcredential:cloud:id",
	    "v3applicationcredential:cloud:id:", "v3applicationcredential:cloud::secret",
	    "v3applicationcredential:other:id:secret", "v3applicationcredential::id:secret",
	    "v3applicationcredential:clou:id:secret", "v3applicationcredential:cloudy:id:secret",
	    "V3applicationcredential:cloud:id:secret", "v3applicationcredential:cloud:i d:secret",
	    "v3applicationcredential:cloud:../x:secret", "v3applicationcredential:cloud:id:se cret",
	    "v3applicationcredential:cloud:id:se\ncret", "v3applicationcredential:cloud:id:s\xc3\xa9",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(keystone_credential_shaped(slice_of(bad[i]), "cloud", &id, &secret));
	char text[1024];
	snprintf(text, sizeof(text), "v3applicationcredential:cloud:id:%0512d", 1);
	assert_true(keystone_credential_shaped(slice_of(text), "cloud", &id, &secret));
	snprintf(text, sizeof(text), "v3applicationcredential:cloud:id:%0513d", 1);
	assert_false(keystone_credential_shaped(slice_of(text), "cloud", &id, &secret));
}

/* --- answers --- */

#define TIMES "\"issued_at\":\"2026-11-22T10:00:00.000000Z\",\"expires_at\":\"2026-11-22T11:00:00.000000Z\","
#define DOMAIN "{\"id\":\"default\",\"name\":\"Default\"}"
#define USER "\"user\":{\"id\":\"u1\",\"name\":\"alice\",\"password_expires_at\":null,\"domain\":" DOMAIN "},"
#define PROJECT "\"project\":{\"id\":\"p1\",\"name\":\"team\",\"domain\":" DOMAIN "},"
#define ROLES "\"roles\":[{\"id\":\"r1\",\"name\":\"developer\"},{\"id\":\"r2\",\"name\":\"reader\"}],"
#define REST "\"methods\":[\"password\"],\"audit_ids\":[\"a1\",\"a0\"]"
#define TOKEN(members) "{\"token\":{" members "}}"
#define GOOD TOKEN(TIMES USER PROJECT ROLES REST)

static struct keystone_token must_read(const char *text)
{
	struct keystone_token t;
	struct err e = {0};
	if (keystone_token_read(slice_of(text), &arena, &t, &e) != ERR_OK)
		fail_msg("%s: %s", text, e.msg);
	return t;
}

static void test_a_token_is_read_whole(void **state)
{
	(void)state;
	struct keystone_token t = must_read(GOOD);
	assert_true(slice_is(t.user_id, "u1") && slice_is(t.user_name, "alice"));
	assert_true(slice_is(t.domain_id, "default") && slice_is(t.domain_name, "Default"));
	assert_int_equal(t.scope, KEYSTONE_SCOPE_PROJECT);
	assert_true(slice_is(t.project_id, "p1") && slice_is(t.project_domain_name, "Default"));
	assert_int_equal(t.nroles, 2);
	assert_true(slice_is(t.roles[1], "reader") && slice_is(t.audit_ids[0], "a1"));
	assert_int_equal(t.expires - t.issued, 3600);
	assert_int_equal(t.expires, 1795345200);
	assert_false(t.delegated || t.bound || t.access_rules || t.application_credential.len);
}

static void test_each_scope_is_told(void **state)
{
	(void)state;
	assert_int_equal(must_read(TOKEN(TIMES USER REST)).scope, KEYSTONE_UNSCOPED);
	assert_int_equal(
	    must_read(TOKEN(TIMES USER "\"domain\":" DOMAIN "," ROLES REST)).scope, KEYSTONE_SCOPE_DOMAIN);
	assert_int_equal(must_read(TOKEN(TIMES USER "\"system\":{\"all\":true}," ROLES REST)).scope,
	    KEYSTONE_SCOPE_SYSTEM);
}

static void test_limits_of_a_token_are_told(void **state)
{
	(void)state;
	assert_true(must_read(TOKEN(TIMES USER PROJECT ROLES REST ",\"OS-TRUST:trust\":{}")).delegated);
	assert_true(must_read(TOKEN(TIMES USER PROJECT ROLES REST ",\"OS-OAUTH1\":null")).delegated);
	assert_true(must_read(TOKEN(TIMES USER PROJECT ROLES REST ",\"oauth2_credential\":{}")).bound);
	struct keystone_token t = must_read(TOKEN(
	    TIMES USER PROJECT ROLES REST ",\"application_credential\":{\"id\":\"c\",\"access_rules\":[]}"));
	assert_true(t.access_rules && slice_is(t.application_credential, "c"));
	t = must_read(TOKEN(
	    TIMES USER PROJECT ROLES REST ",\"application_credential\":{\"id\":\"c\",\"restricted\":true}"));
	assert_false(t.access_rules);
}

static void test_answers_of_another_form_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "", "null", "[]", "\"\"", "{}", "{\"token\":null}", "{\"token\":[]}", "{\"token\":{}}",
	    "{\"token\":{}", GOOD "x", GOOD GOOD, "{\"token\":{},\"token\":{}}",
	    TOKEN(USER PROJECT ROLES REST), TOKEN(TIMES PROJECT ROLES REST),
	    TOKEN(TIMES USER PROJECT ROLES "\"methods\":[]"),
	    TOKEN(TIMES USER PROJECT ROLES "\"audit_ids\":[]"),
	    TOKEN(TIMES USER PROJECT ROLES "\"audit_ids\":\"a1\""),
	    TOKEN(TIMES USER PROJECT ROLES "\"audit_ids\":[\"\"]"),
	    TOKEN(TIMES USER PROJECT ROLES "\"audit_ids\":[1]"),
	    TOKEN(TIMES USER PROJECT ROLES "\"audit_ids\":[\"a\"],\"methods\":{}"),
	    TOKEN(TIMES USER PROJECT REST), TOKEN(TIMES USER PROJECT "\"roles\":null," REST),
	    TOKEN(TIMES USER PROJECT "\"roles\":{}," REST), TOKEN(TIMES USER PROJECT "\"roles\":[1]," REST),
	    TOKEN(TIMES USER PROJECT "\"roles\":[\"admin\"]," REST),
	    TOKEN(TIMES USER PROJECT "\"roles\":[{\"id\":\"x\"}]," REST),
	    TOKEN(TIMES USER PROJECT "\"roles\":[{\"name\":\"\"}]," REST),
	    TOKEN(TIMES USER PROJECT "\"roles\":[{\"name\":null}]," REST),
	    TOKEN(TIMES USER "\"project\":null," ROLES REST), TOKEN(TIMES USER "\"project\":{}," ROLES REST),
	    TOKEN(TIMES USER "\"project\":{\"id\":\"p\",\"name\":\"n\"}," ROLES REST),
	    TOKEN(TIMES USER "\"project\":{\"id\":\"\",\"name\":\"n\",\"domain\":" DOMAIN "}," ROLES REST),
	    TOKEN(TIMES USER "\"project\":{\"id\":7,\"name\":\"n\",\"domain\":" DOMAIN "}," ROLES REST),
	    TOKEN(TIMES USER PROJECT "\"domain\":" DOMAIN "," ROLES REST),
	    TOKEN(TIMES USER PROJECT "\"system\":{\"all\":true}," ROLES REST),
	    TOKEN(TIMES "\"user\":\"alice\"," PROJECT ROLES REST),
	    TOKEN(TIMES "\"user\":{\"id\":\"u\",\"name\":\"a\"}," PROJECT ROLES REST),
	    TOKEN(TIMES "\"user\":{\"id\":\"u\",\"domain\":" DOMAIN "}," PROJECT ROLES REST),
	    TOKEN(TIMES "\"user\":{\"id\":\"u\",\"name\":\"\",\"domain\":" DOMAIN "}," PROJECT ROLES REST),
	    TOKEN(TIMES "\"user\":{\"id\":\"u\",\"name\":[\"a\"],\"domain\":" DOMAIN "}," PROJECT ROLES REST),
	    TOKEN(TIMES "\"user\":{\"id\":\"u\",\"name\":\"a\",\"domain\":{\"id\":\"d\"}}," PROJECT ROLES REST),
	    TOKEN("\"issued_at\":\"2026-11-22T10:00:00Z\"," USER PROJECT ROLES REST),
	    TOKEN("\"issued_at\":\"2026-11-22T10:00:00Z\",\"expires_at\":null," USER PROJECT ROLES REST),
	    TOKEN("\"issued_at\":\"2026-11-22T10:00:00Z\",\"expires_at\":1795345200," USER PROJECT ROLES REST),
	    TOKEN("\"issued_at\":\"2026-11-22T10:00:00Z\",\"expires_at\":\"never\"," USER PROJECT ROLES REST),
	    TOKEN("\"issued_at\":\"2026-11-22T10:00:00Z\",\"expires_at\":\"1960-01-01T00:00:00Z\"," USER
		      PROJECT ROLES REST),
	    TOKEN(TIMES USER PROJECT ROLES REST ",\"application_credential\":\"c\""),
	    TOKEN(TIMES USER PROJECT ROLES REST ",\"application_credential\":{}"),
	    TOKEN(TIMES USER PROJECT ROLES REST ",\"application_credential\":null"),
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct keystone_token t;
		struct err e = {0};
		if (keystone_token_read(slice_of(bad[i]), &arena, &t, &e) == ERR_OK)
			fail_msg("accepted: %s", bad[i]);
		assert_true(e.msg[0] != '\0');
	}
}

static void test_groups_are_those_of_the_persons_domain(void **state)
{
	(void)state;
	const struct slice *groups;
	size_t n;
	struct err e = {0};
	static const char good[] =
	    "{\"links\":{\"next\":null},\"groups\":[{\"id\":\"1\",\"name\":\"a\",\"domain_id\":\"default\"},"
	    "{\"id\":\"2\",\"name\":\"b\",\"domain_id\":\"other\"},"
	    "{\"id\":\"3\",\"name\":\"c\",\"domain_id\":\"default\"}]}";
	assert_int_equal(
	    keystone_groups_read(slice_of(good), SLICE("default"), &arena, &groups, &n, &e), ERR_OK);
	assert_int_equal(n, 2);
	assert_true(slice_is(groups[0], "a") && slice_is(groups[1], "c"));
	static const struct {
		const char *text;
		enum err_code code;
	} bad[] = {
	    {"{}", ERR_INVALID},
	    {"[]", ERR_INVALID},
	    {"{\"groups\":{}}", ERR_INVALID},
	    {"{\"groups\":null}", ERR_INVALID},
	    {"{\"groups\":[1]}", ERR_INVALID},
	    {"{\"groups\":[{\"name\":\"a\"}]}", ERR_INVALID},
	    {"{\"groups\":[{\"domain_id\":\"default\"}]}", ERR_INVALID},
	    {"{\"groups\":[{\"domain_id\":\"default\",\"name\":\"\"}]}", ERR_INVALID},
	    {"{\"groups\":[],\"truncated\":true}", ERR_LIMIT},
	    {"{\"groups\":[],\"truncated\":1}", ERR_LIMIT},
	    {"{\"groups\":[],\"links\":{\"next\":\"https://k/v3/users/u/groups?marker=g\"}}", ERR_LIMIT},
	    {"{\"groups\":[],\"links\":{\"next\":1}}", ERR_LIMIT},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(keystone_groups_read(slice_of(bad[i].text), SLICE("default"), &arena,
				     &groups, &n, &e),
		    bad[i].code);
}

/* --- configuration --- */

/* The one entry of TEXT; NULL with the findings in D. */
static const struct keystone_config *load(const char *text, struct diags *d)
{
	struct yaml_node *n = NULL;
	struct authn_config *c = ARENA_NEW(&arena, struct authn_config);
	AUTO(buf_done) struct buf b;
	buf_init(&b, 1 << 16);
	buf_printf(&b, "audiences: [k]\nkeystone:\n- name: cloud\n  url: https://ks.example:5000\n%s", text);
	*d = (struct diags){0};
	if (yamlx_parse(&arena, "a.yaml", slice_dup(&arena, buf_view(&b)), &n, d) != ERR_OK)
		fail_msg("%s: %s", text, d->items[0].text);
	if (schema_bind(&arena, &authn_config_schema, "a.yaml", n, c, d) != ERR_OK)
		return NULL;
	return c->keystone.items;
}

#define PREFIXES "  usernamePrefix: \"os:\"\n  groupsPrefix: \"os:\"\n"

static void test_an_entry_has_safe_defaults(void **state)
{
	(void)state;
	struct diags d;
	const struct keystone_config *c = load("  usernamePrefix: \"\"\n", &d);
	assert_non_null(c);
	assert_int_equal(c->scopes, KEYSTONE_SCOPE_PROJECT);
	assert_int_equal(c->formats, KEYSTONE_FERNET | KEYSTONE_JWS);
	assert_int_equal(c->names, KEYSTONE_QUALIFIED);
	assert_int_equal(c->groups_from, 0);
	assert_false(c->delegated || c->application_credentials);
	diags_done(&d);
}

static void test_unsafe_entries_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
	    {"", "usernamePrefix"},
	    {"  usernamePrefix: \"system:\"\n", "reserved"},
	    {"  usernamePrefix: \"\"\n  groupsPrefix: \"kubeadm:x\"\n", "reserved"},
	    {"  usernamePrefix: \"\"\n  groups: [projectID]\n", "groupsPrefix is required"},
	    {PREFIXES "  groups: [project]\n", "not known"},
	    {PREFIXES "  scopes: [everything]\n", "not known"},
	    {PREFIXES "  scopes: []\n", "empty"},
	    {PREFIXES "  tokenFormats: [pki]\n", "not known"},
	    {PREFIXES "  username: email\n", "email"},
	    {PREFIXES "  names: plain\n", "exactly one domain"},
	    {PREFIXES "  names: plain\n  domains: [a, b]\n", "exactly one domain"},
	    {PREFIXES "  groups: [role]\n", "needs `projects`"},
	    {PREFIXES "  requiredRoles: [admin]\n", "needs `projects`"},
	    {PREFIXES "  roleMappings: [{role: admin, groups: [g]}]\n", "needs `project`"},
	    {PREFIXES "  roleMappings: [{role: admin, project: p, groups: [\"\"]}]\n", "empty"},
	    {PREFIXES "  roleMappings: [{role: admin, project: p}]\n", "groups"},
	    {PREFIXES "  certificateAuthority: none\n", "no PEM"},
	    {PREFIXES "  certificateAuthority: x\n  certificateAuthorityFile: y\n", "exclude each other"},
	    {PREFIXES "  cacheTTL: 10m\n", "cacheTTL"},
	    {PREFIXES "  timeout: 0s\n", "timeout"},
	    {PREFIXES "- name: cloud\n  url: https://b\n" PREFIXES, "another Keystone"},
	    {PREFIXES "- name: Cloud\n  url: https://b\n" PREFIXES, "lower-case"},
	    {PREFIXES "- name: b\n  url: http://b\n" PREFIXES, "https://"},
	    {PREFIXES "- name: b\n  url: https://u:p@b\n" PREFIXES, "user name"},
	    {PREFIXES "- name: b\n  url: https://b/?x\n" PREFIXES, "query"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct diags d;
		if (load(cases[i].text, &d))
			fail_msg("accepted: %s", cases[i].text);
		bool found = false;
		for (size_t k = 0; k < d.len; k++)
			found |= strstr(d.items[k].text, cases[i].says) != NULL;
		if (!found)
			fail_msg("%s: says %s", cases[i].text, d.items[0].text);
		diags_done(&d);
	}
}

/* --- who that is --- */

/* "ok NAME GROUP,GROUP", or the reason of the refusal. */
static const char *identity_of(const char *config, const char *answer)
{
	static const struct slice own_groups[] = {{"ops", 3}};
	struct diags d;
	struct err e = {0};
	const char *reason = NULL;
	const struct keystone_config *c = load(config, &d);
	if (!c)
		fail_msg("%s: %s", config, d.items[0].text);
	diags_done(&d);
	struct keystone_token t = must_read(answer);
	struct authn_call call = {.arena = &arena};
	size_t n = c->groups_from & KEYSTONE_USER_GROUP ? 1 : 0;
	if (keystone_identity(c, &t, own_groups, n, &call, &reason, &e) != ERR_OK) {
		assert_true(reason && e.msg[0]);
		return reason;
	}
	struct buf b;
	buf_init(&b, 1 << 16);
	buf_printf(&b, "ok " SLICE_FMT, SLICE_ARG(call.id.username));
	for (size_t i = 0; i < call.id.ngroups; i++)
		buf_printf(&b, "%c" SLICE_FMT, i ? ',' : ' ', SLICE_ARG(call.id.groups[i]));
	assert_true(slice_is(call.id.uid, "u1") && call.id.expires == t.expires);
	assert_true(slice_is(call.credential.subject, "u1") && slice_is(call.credential.id, "a1"));
	assert_int_equal(call.credential.issued, t.issued);
	const char *text = arena_strdup(&arena, buf_cstr(&b));
	buf_done(&b);
	return text;
}

#define IN(domain, project)                                                                        \
	TOKEN(TIMES USER "\"project\":{\"id\":\"p1\",\"name\":\"" project                          \
			 "\",\"domain\":{\"id\":\"d2\",\"name\":\"" domain "\"}}," ROLES REST)
#define FROM(domain, name)                                                                         \
	TOKEN(TIMES "\"user\":{\"id\":\"u1\",\"name\":\"" name                                     \
		    "\",\"domain\":{\"id\":\"d2\",\"name\":\"" domain "\"}}," PROJECT ROLES REST)

static void test_rules_and_names(void **state)
{
	(void)state;
	static const struct {
		const char *config, *answer, *want;
	} cases[] = {
	    {PREFIXES, GOOD, "ok os:Default/alice"},
	    {PREFIXES "  username: id\n", GOOD, "ok os:u1"},
	    {"  usernamePrefix: \"\"\n  names: plain\n  domains: [Default]\n", GOOD, "ok alice"},
	    {"  usernamePrefix: \"\"\n  names: plain\n  domains: [Default]\n", FROM("x", "alice"),
		"foreignDomain"},
	    {PREFIXES "  groups: [projectID, projectName]\n", GOOD, "ok os:Default/alice os:p1,os:Default/team"},
	    {PREFIXES "  groups: [\"projectID:role\"]\n", GOOD,
		"ok os:Default/alice os:p1:developer,os:p1:reader"},
	    {PREFIXES "  groups: [\"projectName:role\"]\n", GOOD,
		"ok os:Default/alice os:Default/team:developer,os:Default/team:reader"},
	    {PREFIXES "  groups: [role]\n  projects: [p1]\n", GOOD, "ok os:Default/alice os:developer,os:reader"},
	    {PREFIXES "  groups: [userGroup]\n", GOOD, "ok os:Default/alice os:Default/ops"},
	    /* What could be read in two ways is refused, and only where it matters. */
	    {PREFIXES, FROM("a/b", "c"), "ambiguousName"},
	    {PREFIXES, FROM("a", "b/c"), "ok os:a/b/c"},
	    {PREFIXES "  username: id\n", FROM("a/b", "c"), "ok os:u1"},
	    {PREFIXES "  groups: [projectName]\n", IN("a/b", "c"), "ambiguousName"},
	    {PREFIXES "  groups: [projectID]\n", IN("a/b", "c"), "ok os:Default/alice os:p1"},
	    {PREFIXES "  groups: [\"projectName:role\"]\n", IN("a", "team:x"), "ambiguousName"},
	    {PREFIXES "  groups: [projectName]\n", IN("a", "team:x"), "ok os:Default/alice os:a/team:x"},
	    {PREFIXES "  names: plain\n  domains: [Default]\n  groups: [projectName]\n", IN("a", "team"),
		"ambiguousName"},
	    /* Projects by id and by name; ids are not names. */
	    {PREFIXES "  projects: [p1]\n", GOOD, "ok os:Default/alice"},
	    {PREFIXES "  projects: [Default/team]\n", GOOD, "ok os:Default/alice"},
	    {PREFIXES "  projects: [team]\n", GOOD, "foreignProject"},
	    {PREFIXES "  projects: [other/team, Default/p1]\n", GOOD, "foreignProject"},
	    {PREFIXES "  projects: [a/b/c]\n", IN("a/b", "c"), "foreignProject"},
	    {PREFIXES "  projects: [p1]\n  scopes: [unscoped]\n", TOKEN(TIMES USER REST), "foreignProject"},
	    /* Roles. */
	    {PREFIXES "  projects: [p1]\n  requiredRoles: [admin, reader]\n", GOOD, "ok os:Default/alice"},
	    {PREFIXES "  projects: [p1]\n  requiredRoles: [admin]\n", GOOD, "requiredRole"},
	    {PREFIXES "  roleMappings: [{role: reader, project: Default/team, groups: [r, s]}]\n", GOOD,
		"ok os:Default/alice os:r,os:s"},
	    {PREFIXES "  roleMappings: [{role: reader, project: p2, groups: [r]}]\n", GOOD,
		"ok os:Default/alice"},
	    {PREFIXES "  roleMappings: [{role: Reader, project: p1, groups: [r]}]\n", GOOD,
		"ok os:Default/alice"},
	    /* Scopes. */
	    {PREFIXES, TOKEN(TIMES USER REST), "badScope"},
	    {PREFIXES, TOKEN(TIMES USER "\"system\":{\"all\":true}," ROLES REST), "badScope"},
	    {PREFIXES "  scopes: [system]\n", GOOD, "badScope"},
	    {PREFIXES "  scopes: [project, system]\n  groups: [projectID, projectName]\n",
		TOKEN(TIMES USER "\"system\":{\"all\":true}," ROLES REST), "ok os:Default/alice"},
	    /* Limits. */
	    {PREFIXES, TOKEN(TIMES USER PROJECT ROLES REST ",\"OS-TRUST:trust\":{}"), "delegated"},
	    {PREFIXES "  delegated: true\n", TOKEN(TIMES USER PROJECT ROLES REST ",\"OS-TRUST:trust\":{}"),
		"ok os:Default/alice"},
	    {PREFIXES "  delegated: true\n",
		TOKEN(TIMES USER PROJECT ROLES REST
		    ",\"application_credential\":{\"id\":\"c\",\"access_rules\":[]}"),
		"accessRules"},
	    {PREFIXES "  delegated: true\n", TOKEN(TIMES USER PROJECT ROLES REST ",\"oauth2_credential\":{}"),
		"boundToken"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = identity_of(cases[i].config, cases[i].answer);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s %s: %s, not %s", cases[i].config, cases[i].answer, got,
			    cases[i].want);
	}
}

int main(void)
{
	jsonx_init();
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    T(test_fernet_tokens_are_told_by_their_shape),
	    T(test_uuid_tokens_are_32_lower_case_digits),
	    T(test_application_credentials_are_told_by_scheme_and_name),
	    T(test_a_token_is_read_whole),
	    T(test_each_scope_is_told),
	    T(test_limits_of_a_token_are_told),
	    T(test_answers_of_another_form_are_refused),
	    T(test_groups_are_those_of_the_persons_domain),
	    T(test_an_entry_has_safe_defaults),
	    T(test_unsafe_entries_are_refused),
	    T(test_rules_and_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
