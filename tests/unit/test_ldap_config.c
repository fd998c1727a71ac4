/* Proves what the directory and login configuration accepts and refuses, and the filters built from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "authn/ldap_config.h"
#include "authn/ldap_groups.h"
#include "common/clock.h"

#define SEARCH "userSearch: {baseDN: 'ou=p', username: uid}\n"
#define BASE                                                                                       \
	"name: corp\nurls: ['ldaps://dc1.example.com']\nusernamePrefix: 'c:'\n" SEARCH

#define GROUPS "groupsPrefix: ''\ngroupSearch: {baseDN: g"

/* Binds TEXT; the findings as text ("" when it is accepted). */
static char *bind_text(
    struct arena *a, const struct schema *schema, const char *text, void *obj)
{
	AUTO(diags_done) struct diags d = {0};
	struct yaml_node *root;
	if (yamlx_parse(a, "t.yaml", slice_of(text), &root, &d) == ERR_OK) {
		enum err_code code = schema_bind(a, schema, "t.yaml", root, obj, &d);
		assert_int_equal(code != ERR_OK, d.errors > 0);
	}
	AUTO(buf_done) struct buf out;
	buf_init(&out, 1 << 16);
	diags_print(&d, &out);
	return arena_strdup(a, buf_cstr(&out));
}

static void test_minimal_directory_has_safe_defaults(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct ldap_config c;
	assert_string_equal(bind_text(&a, &ldap_config_schema, BASE, &c), "");
	assert_string_equal(c.name, "corp");
	assert_string_equal(c.user_search.filter, "(objectClass=*)");
	assert_int_equal(c.user_search.scope, LDAP_CFG_SUB);
	assert_null(c.user_search.uid_attr);
	assert_false(c.group_search.present);
	assert_false(c.start_tls);
	assert_int_equal(c.timeout, 3 * CLOCK_SECOND);
	assert_int_equal(c.cache_ttl, 30 * CLOCK_SECOND);
}

static void test_full_directory_is_read(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct ldap_config c;
	assert_string_equal(
	    bind_text(&a, &ldap_config_schema,
		"name: corp\n"
		"urls: ['ldap://dc1.example.com', 'ldap://[2001:db8::1]:3890']\n"
		"startTLS: true\n"
		"bindDN: 'cn=svc'\nbindPasswordFile: /etc/secret\n"
		"certificateAuthority: |\n  -----BEGIN CERTIFICATE-----\n  x\n"
		"userSearch: {baseDN: 'ou=p', filter: '(&(a=b)(!(c=\\2a)))', username: uid,\n"
		"  uidAttr: entryUUID, scope: one}\n"
		"groupSearch: {baseDN: 'ou=g', scope: one, userMatchers: [{userAttr: DN, groupAttr: member},\n"
		"  {userAttr: uid, groupAttr: memberUid}]}\n"
		"usernamePrefix: ''\ngroupsPrefix: 'g:'\ntimeout: 500ms\ncacheTTL: 0s\n",
		&c),
	    "");
	assert_int_equal(c.urls.len, 2);
	assert_true(c.group_search.present);
	assert_int_equal(c.group_search.matchers.len, 2);
	assert_int_equal(c.group_search.scope, LDAP_CFG_ONE);
	assert_string_equal(c.group_search.name_attr, "cn");
	assert_string_equal(c.username_prefix, "");
	assert_int_equal(c.timeout, 500 * CLOCK_MS);
}

/* A short entry means all of this; what is written out wins, one key at a time. */
static void test_active_directory_fills_in_the_rest(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct ldap_config c;
	static const char head[] = "name: ad\nurls: ['ldaps://h']\nusernamePrefix: ''\n"
				   "groupsPrefix: ''\ntype: activeDirectory\n";
	char text[1024];
	snprintf(text, sizeof(text), "%suserSearch: {baseDN: 'dc=x'}\ngroupSearch: {baseDN: 'dc=x'}\n",
	    head);
	assert_string_equal(bind_text(&a, &ldap_config_schema, text, &c), "");
	assert_int_equal(c.account_state, LDAP_STATE_ACTIVE_DIRECTORY);
	assert_string_equal(c.user_search.username, "sAMAccountName");
	assert_string_equal(c.user_search.uid_attr, "objectGUID");
	assert_int_equal(c.user_search.login_attrs.len, 2);
	assert_true(ldap_filter_valid(c.user_search.filter));
	assert_true(ldap_filter_valid(c.group_search.filter));
	assert_string_equal(c.group_search.name_attr, "sAMAccountName");
	assert_int_equal(c.group_search.nested, LDAP_NESTED_SEARCH);
	assert_string_equal(c.group_search.member_of_attr, "memberOf");
	assert_true(c.group_search.primary_group);
	assert_int_equal(c.group_search.matchers.len, 0);

	snprintf(text, sizeof(text),
	    "%saccountState: none\n"
	    "userSearch: {baseDN: 'dc=x', filter: '(a=b)', username: mail, uidAttr: objectSid}\n"
	    "groupSearch: {baseDN: 'dc=x', filter: '(c=d)', nameAttr: cn, nested: none, "
	    "primaryGroup: false}\n",
	    head);
	assert_string_equal(bind_text(&a, &ldap_config_schema, text, &c), "");
	assert_int_equal(c.account_state, LDAP_STATE_NONE);
	assert_string_equal(c.user_search.filter, "(a=b)");
	assert_string_equal(c.user_search.username, "mail");
	assert_string_equal(c.user_search.uid_attr, "objectSid");
	assert_int_equal(c.user_search.login_attrs.len, 0);
	assert_string_equal(c.group_search.filter, "(c=d)");
	assert_string_equal(c.group_search.name_attr, "cn");
	assert_int_equal(c.group_search.nested, LDAP_NESTED_NONE);
	assert_false(c.group_search.primary_group);
	assert_string_equal(c.group_search.member_of_attr, "memberOf");

	snprintf(text, sizeof(text),
	    "%suserSearch: {baseDN: 'dc=x'}\ngroupSearch: {baseDN: 'dc=x', nested: inChain}\n", head);
	assert_string_equal(bind_text(&a, &ldap_config_schema, text, &c), "");
	assert_int_equal(c.group_search.nested, LDAP_NESTED_IN_CHAIN);
	assert_int_equal(c.group_search.matchers.len, 1);
	assert_null(c.group_search.member_of_attr);
	assert_true(c.group_search.primary_group);

	snprintf(text, sizeof(text),
	    "%suserSearch: {baseDN: 'dc=x'}\ngroupSearch: {baseDN: 'dc=x', nameFrom: dn}\n", head);
	assert_string_equal(bind_text(&a, &ldap_config_schema, text, &c), "");
	assert_int_equal(c.group_search.nested, LDAP_NESTED_NONE);
}

static void test_unsafe_directories_are_refused(void **state UNUSED)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
	    {"name: corp\nurls: ['ldap://h']\nusernamePrefix: ''\n" SEARCH, "t.yaml:2:"},
	    {"name: corp\nurls: ['ldap://h']\nusernamePrefix: ''\n" SEARCH, "clear text"},
	    {"name: corp\nurls: ['LDAP://h']\nusernamePrefix: ''\n" SEARCH, "clear text"},
	    {"name: corp\nurls: ['ldaps://h']\nstartTLS: true\nusernamePrefix: ''\n" SEARCH,
		"startTLS: only for ldap://"},
	    {"name: corp\nurls: ['ldap://h', 'ldaps://h']\nstartTLS: true\nusernamePrefix: ''\n" SEARCH,
		"startTLS: only for ldap://"},
	    {"name: corp\nurls: []\nusernamePrefix: ''\n" SEARCH, "urls"},
	    {"name: corp\nurls: ['ldaps://a ldap://b']\nusernamePrefix: ''\n" SEARCH, "is not ldaps://"},
	    {"name: corp\nurls: ['http://a']\nusernamePrefix: ''\n" SEARCH, "is not ldaps://"},
	    {"name: Corp/x\nurls: ['ldaps://a']\nusernamePrefix: ''\n" SEARCH, "lower-case"},
	    {"name: corp\nurls: ['ldaps://a']\n" SEARCH, "usernamePrefix"},
	    {BASE "bindDN: cn=x\n", "go together"},
	    {BASE "bindPasswordFile: x\n", "go together"},
	    {BASE "certificateAuthority: x\ncertificateAuthorityFile: y\n", "exclude each other"},
	    {BASE "groupSearch: {baseDN: g, userMatchers: [{userAttr: DN, groupAttr: member}]}\n",
		"groupsPrefix is required"},
	    {BASE "groupsPrefix: ''\ngroupSearch: {baseDN: g, userMatchers: []}\n", "userMatchers"},
	    {BASE "groupsPrefix: ''\ngroupSearch: {baseDN: g, filter: '(a=b', "
		  "userMatchers: [{userAttr: DN, groupAttr: member}]}\n",
		"not an LDAP filter"},
	    {BASE "groupsPrefix: ''\ngroupSearch: {baseDN: g, "
		  "userMatchers: [{userAttr: 'D N', groupAttr: member}]}\n",
		"no attribute name"},
	    {BASE "groupsPrefix: ''\ngroupSearch: {baseDN: g, userMatchers: [{userAttr: DN, "
		  "groupAttr: member, recursionGroupAttr: 'm)'}]}\n",
		"no attribute name"},
	    {BASE GROUPS "}\n", "either userMatchers or memberOfAttr"},
	    {BASE GROUPS ", memberOfAttr: memberOf, userMatchers: [{userAttr: DN, groupAttr: m}]}\n",
		"either userMatchers or memberOfAttr"},
	    {BASE GROUPS ", memberOfAttr: 'member of'}\n", "no attribute name"},
	    {BASE GROUPS ", memberOfAttr: memberOf, nested: inChain}\n", "inChain needs userMatchers"},
	    {BASE GROUPS ", userMatchers: [{userAttr: uid, groupAttr: u}], nested: inChain}\n",
		"inChain needs userMatchers"},
	    {BASE GROUPS ", userMatchers: [{userAttr: uid, groupAttr: u}], nested: search}\n",
		"there is none"},
	    {BASE GROUPS ", nested: inChain, userMatchers: [{userAttr: DN, groupAttr: m, "
			 "recursionGroupAttr: m}]}\n",
		"exclude each other"},
	    {BASE GROUPS ", memberOfAttr: memberOf, nameFrom: dn, nested: search}\n", "nameFrom: dn"},
	    {BASE GROUPS ", userMatchers: [{userAttr: DN, groupAttr: m}], nameFrom: dn}\n",
		"only with memberOfAttr"},
	    {BASE GROUPS ", memberOfAttr: memberOf, pageSize: 5000}\n", "pageSize"},
	    {BASE "acceptGraceLogins: true\n", "only with accountState: passwordPolicy"},
	    {BASE "type: openldap\n", "type"},
	    {"name: corp\nurls: ['ldaps://h']\nusernamePrefix: ''\nuserSearch: {baseDN: p}\n",
		"`username` is required"},
	    {"name: corp\nurls: ['ldaps://h']\nusernamePrefix: ''\n"
	     "userSearch: {baseDN: p, username: uid, loginAttrs: ['u id']}\n",
		"no attribute name"},
	    {"name: corp\nurls: ['ldaps://h']\nusernamePrefix: ''\n"
	     "userSearch: {baseDN: p, username: 'uid)(x'}\n",
		"no attribute name"},
	    {"name: corp\nurls: ['ldaps://h']\nusernamePrefix: ''\n"
	     "userSearch: {baseDN: p, username: uid, filter: 'objectClass=person'}\n",
		"not an LDAP filter"},
	    {"name: corp\nurls: ['ldaps://h']\nusernamePrefix: ''\n"
	     "userSearch: {baseDN: '', username: uid}\n",
		"baseDN"},
	    {"name: corp\nurls: ['ldaps://h']\nusernamePrefix: 'system:'\n" SEARCH, "reserved"},
	    {BASE "groupsPrefix: 'System:x'\n", "reserved"},
	    {BASE "timeout: 1h\n", "timeout"},
	    {BASE "cacheTTL: 1h\n", "cacheTTL"},
	    {BASE "basic: yes\n", "basic"},
	    {BASE "insecureSkipVerify: true\n", "insecureSkipVerify"},
	    {BASE "userSerch: {}\n", "userSearch"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(arena_done) struct arena a = {0};
		struct ldap_config c;
		const char *got = bind_text(&a, &ldap_config_schema, cases[i].text, &c);
		if (!strstr(got, cases[i].says))
			fail_msg("case %zu: wanted \"%s\" in: %s", i, cases[i].says, got);
	}
}

static void test_basic_is_warned_of(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct ldap_config c;
	const char *got = bind_text(&a, &ldap_config_schema, BASE "basic: true\n", &c);
	assert_true(c.basic);
	assert_non_null(strstr(got, "warning: basic: passwords stand in kubeconfig files"));
	assert_null(strstr(got, "error"));
}

static void test_login_section(void **state UNUSED)
{
	static const struct {
		const char *text, *says; /* NULL: accepted */
	} cases[] = {
	    {"listen: :8444\nissuer: https://login.example.com:8444\n", NULL},
	    {"listen: :8444\nissuer: https://login.example.com/portcullis\n", NULL},
	    {"listen: :8444\nissuer: https://[::1]:8444\ntokenLifetime: 1h\n", NULL},
	    {"listen: :8444\nissuer: https://h\ncertificateFile: c\nkeyFile: k\n", NULL},
	    {"listen: :8444\nissuer: http://login.example.com\n", "issuer"},
	    {"listen: :8444\nissuer: https://login.example.com/\n", "final"},
	    {"listen: :8444\nissuer: https://u@h\n", "issuer"},
	    {"listen: :8444\nissuer: https://h?x=y\n", "issuer"},
	    {"listen: :8444\nissuer: 'https://h#x'\n", "issuer"},
	    {"listen: :8444\nissuer: https://h:0\n", "issuer"},
	    {"listen: :8444\nissuer: https://\n", "issuer"},
	    {"listen: :8444\n", "issuer"},
	    {"issuer: https://h\n", "listen"},
	    {"listen: :8444\nissuer: https://h\ntokenLifetime: 2h\n", "tokenLifetime"},
	    {"listen: :8444\nissuer: https://h\ntokenLifetime: 5s\n", "tokenLifetime"},
	    {"listen: :8444\nissuer: https://h\nkeyFile: k\n", "go together"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(arena_done) struct arena a = {0};
		struct login_config c;
		const char *got = bind_text(&a, &login_config_schema, cases[i].text, &c);
		if (cases[i].says ? !strstr(got, cases[i].says) : *got != '\0')
			fail_msg("case %zu: %s", i, got);
		if (!cases[i].says)
			assert_true(c.present);
	}
	AUTO(arena_done) struct arena a = {0};
	struct login_config c;
	bind_text(&a, &login_config_schema, cases[0].text, &c);
	assert_int_equal(c.token_lifetime, 900 * CLOCK_SECOND);
}

static void test_two_directories_of_one_name_are_refused(void **state UNUSED)
{
	struct ldap_config c[] = {{.name = "a"}, {.name = "b"}, {.name = "a", .place = {"f", 7, 3}}};
	AUTO(diags_done) struct diags d = {0};
	ldap_configs_check(&(struct object_list){c, 2}, &d);
	assert_int_equal(d.errors, 0);
	ldap_configs_check(&(struct object_list){c, 3}, &d);
	assert_int_equal(d.errors, 1);
	assert_int_equal(d.items[0].line, 7);
}

static void test_filter_syntax(void **state UNUSED)
{
	static const char *const good[] = {"(a=b)", "(a=)", "(a=*)", "(&(a=b)(c=d))", "(|(a=b))",
	    "(!(a=b))", "(a>=1)", "(a<=1)", "(a~=x)", "(a:dn:=x)",
	    "(userAccountControl:1.2.840.113556.1.4.803:=2)", "(a;lang-en=b)", "(a:=x)", "(:caseExactMatch:=x)", "(:dn:2.5.13.5:=x)", "(a:dn:2.5.13.5:=x)",
	    "(cn=\\28x\\29)",
	    "(&(a=b)(|(c=d)(!(e=f))))", "(cn=\xC3\xA9)"};
	static const char *const bad[] = {"", "a=b", "(a=b", "(a=b))", "()", "(&)", "(!)", "(a)", "(=b)",
	    "(a=(b))", "(a=\\2)", "(a=\\zz)", "(&a=b)", "((a=b))", "(a=b)(c=d)", " (a=b)", "(a=b) ",
	    "(!(a=b)(c=d))", "(a!=b)", "(:dn:=x)", "(:=x)", "(a:dn=x)", "(a:=x", "(::=x)", "(a::=x)",
	    "(-a=b)", "(;=b)", "(a;=b)", "(1..2=b)", "(2.5.=b)", "(a:2.x:=b)", "(a=b**c)", "(a>=*)",
	    "(a:=b*)"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!ldap_filter_valid(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (ldap_filter_valid(bad[i]))
			fail_msg("accepted: %s", bad[i]);
	char deep[2001];
	for (size_t i = 0; i < sizeof(deep); i++)
		deep[i] = i % 2 ? '!' : '(';
	deep[sizeof(deep) - 1] = '\0';
	assert_false(ldap_filter_valid(deep));
}

static void test_urls(void **state UNUSED)
{
	static const char *const good[] = {"ldaps://h", "ldaps://h:636", "ldap://10.0.0.1:389",
	    "ldaps://[::1]", "ldaps://[2001:db8::1]:636", "ldapi://%2Frun%2Fslapd.sock",
	    "LDAPS://Host.Example"};
	static const char *const bad[] = {"", "ldaps://", "ldaps://:636", "ldaps://h:", "ldaps://h:0",
	    "ldaps://h:65536", "ldaps://h:6x", "ldaps://h/dc=x", "ldaps://h?x", "ldaps://u@h",
	    "ldaps://h h2", "ldaps://h,h2", "ldaps://[::1", "ldaps://[x]", "ldaps:/h", "h",
	    "ldapi:///run/x", "ldapi://", "ldaps://h\n"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!ldap_url_valid(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (ldap_url_valid(bad[i]))
			fail_msg("accepted: %s", bad[i]);
}

static void test_tables_are_sound(void **state UNUSED)
{
	AUTO(buf_done) struct buf why;
	buf_init(&why, 1 << 16);
	assert_true(schema_sound(&ldap_config_schema, &why));
	assert_true(schema_sound(&login_config_schema, &why));
}

/* RFC 4515 section 3: whatever the value holds, it stays one assertion value. */
static void test_filter_values_are_escaped(void **state UNUSED)
{
	static const struct {
		struct slice in;
		const char *out;
	} cases[] = {
	    {SLICE("jane"), "jane"},
	    {SLICE("*"), "\\2A"},
	    {SLICE("*)(uid=*))(|(uid=*"), "\\2A\\29\\28uid=\\2A\\29\\29\\28|\\28uid=\\2A"},
	    {SLICE("\\2a"), "\\5C2a"},
	    {SLICE("%2a"), "%2a"},
	    {SLICE("a\0b"), "a\\00b"},
	    {SLICE("\xC3\xA9"), "\\C3\\A9"},
	    {SLICE("\xFF"), "\\FF"},
	    {SLICE(""), ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(buf_done) struct buf b;
		buf_init(&b, 1000);
		ldapx_filter_value(&b, cases[i].in);
		assert_string_equal(buf_cstr(&b), cases[i].out);
	}
}

static void test_group_filter_joins_all_matchers(void **state UNUSED)
{
	struct ldap_user_matcher m[] = {{"dn", "member", NULL}, {"UID", "memberUid", NULL},
	    {"mail", "m", NULL}};
	struct ldap_group_search g = {.filter = "(objectClass=g)", .matchers = {m, 3}};
	const struct slice uids[] = {SLICE("j*"), SLICE(""), SLICE("k")};
	const struct ldapx_attr attrs[] = {{"uid", uids, 3}, {"mail", NULL, 0}};
	const char *const names[] = {"uid", "mail", NULL};
	struct ldapx_entry person = {SLICE("cn=A (x),o=y"), attrs};
	AUTO(buf_done) struct buf b;
	buf_init(&b, LDAP_FILTER_MAX);
	assert_true(ldap_groups_filter(&g, &person, names, &b));
	assert_string_equal(buf_cstr(&b),
	    "(&(objectClass=g)(|(member=cn=A \\28x\\29,o=y)(memberUid=j\\2A)(memberUid=k)))");
	/* No matcher with a value: there is nothing to ask. */
	g.matchers = (struct object_list){m + 2, 1};
	AUTO(buf_done) struct buf none;
	buf_init(&none, LDAP_FILTER_MAX);
	assert_false(ldap_groups_filter(&g, &person, names, &none));
}

/* A group that is left out may be the one a rule denies: all values are asked for, or nobody answers. */
static void test_group_filter_leaves_no_value_out(void **state UNUSED)
{
	struct ldap_user_matcher m[] = {{"memberOf", "distinguishedName", NULL}};
	struct ldap_group_search g = {.filter = "(objectClass=g)", .matchers = {m, 1}};
	const char *const names[] = {"memberOf", NULL};
	static struct slice values[9000];
	static char text[ARRAY_LEN(values)][16];
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		snprintf(text[i], sizeof(text[i]), "cn=g%zu", i);
		values[i] = slice_of(text[i]);
	}
	struct ldapx_attr attrs[] = {{"memberOf", values, 1000}};
	struct ldapx_entry person = {SLICE("cn=a"), attrs};
	AUTO(buf_done) struct buf b;
	AUTO(buf_done) struct buf over;
	buf_init(&b, LDAP_FILTER_MAX);
	buf_init(&over, LDAP_FILTER_MAX);
	assert_true(ldap_groups_filter(&g, &person, names, &b));
	assert_false(b.over);
	assert_non_null(strstr(buf_cstr(&b), "(distinguishedName=cn=g999)))"));
	attrs[0].n = ARRAY_LEN(values);
	assert_true(ldap_groups_filter(&g, &person, names, &over));
	assert_true(over.over);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_minimal_directory_has_safe_defaults),
	    cmocka_unit_test(test_full_directory_is_read),
	    cmocka_unit_test(test_active_directory_fills_in_the_rest),
	    cmocka_unit_test(test_unsafe_directories_are_refused),
	    cmocka_unit_test(test_basic_is_warned_of),
	    cmocka_unit_test(test_login_section),
	    cmocka_unit_test(test_two_directories_of_one_name_are_refused),
	    cmocka_unit_test(test_filter_syntax),
	    cmocka_unit_test(test_urls),
	    cmocka_unit_test(test_tables_are_sound),
	    cmocka_unit_test(test_filter_values_are_escaped),
	    cmocka_unit_test(test_group_filter_joins_all_matchers),
	    cmocka_unit_test(test_group_filter_leaves_no_value_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
