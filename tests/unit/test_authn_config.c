/* Proves that the authentication section takes a jwt[] stanza as Kubernetes writes it and refuses, with its
 * place, what Kubernetes refuses. Rows 44, 45, 97 and 98 of the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "authn/config.h"
#include "authn/jose.h"
#include "tests/support/crypto.h"

static struct arena arena;

/* Binds TEXT; the findings are in D. */
static enum err_code load(const char *text, struct authn_config *c, struct diags *d)
{
	struct yaml_node *n = NULL;
	*d = (struct diags){0};
	if (yamlx_parse(&arena, "a.yaml", slice_of(text), &n, d) != ERR_OK)
		fail_msg("%s: %s", text, d->items[0].text);
	return schema_bind(&arena, &authn_config_schema, "a.yaml", n, c, d);
}

static void test_takes_a_kubernetes_stanza(void **state)
{
	(void)state;
	struct crypto_cert ca = crypto_cert(NULL, "ca", NULL, 5);
	struct buf b;
	buf_init(&b, 1 << 16);
	buf_adds(&b, "audiences: [https://kubernetes.default.svc]\n"
		     "jwt:\n"
		     "- issuer:\n"
		     "    url: https://idp.example.com:8443/realms/x\n"
		     "    discoveryURL: https://discovery.example.com/.well-known/openid-configuration\n"
		     "    audiences: [a, b]\n"
		     "    audienceMatchPolicy: MatchAny\n"
		     "    certificateAuthority: |\n");
	for (const char *p = ca.cert; *p; p = strchr(p, '\n') + 1)
		buf_printf(&b, "      %.*s\n", (int)(strchr(p, '\n') - p), p);
	buf_adds(&b, "  claimValidationRules:\n"
		     "  - {claim: hd, requiredValue: example.com}\n"
		     "  - {claim: email_verified_by}\n"
		     "  claimMappings:\n"
		     "    username: {claim: email, prefix: \"x:\"}\n"
		     "    groups: {claim: groups, prefix: \"\"}\n"
		     "    uid: {claim: sub}\n"
		     "    extra:\n"
		     "    - {key: example.com/team, claim: team}\n"
		     "- issuer: {url: \"https://accounts.google.com\", audiences: [c]}\n"
		     "  claimMappings: {username: {claim: sub, prefix: \"google:\"}}\n"
		     "tokenFiles: [tokens.csv]\n");
	struct authn_config c;
	struct diags d;
	if (load(buf_cstr(&b), &c, &d) != ERR_OK)
		fail_msg("%u: %s", d.items[0].line, d.items[0].text);
	assert_int_equal(c.jwt.len, 2);
	const struct jwt_config *j = c.jwt.items;
	assert_string_equal(j[0].issuer.url, "https://idp.example.com:8443/realms/x");
	assert_string_equal(j[0].issuer.certificate_authority, ca.cert);
	assert_int_equal(j[0].issuer.audiences.len, 2);
	const struct jwt_claim_rule *r = j[0].claim_validation_rules.items;
	assert_string_equal(r[0].required_value, "example.com");
	assert_null(r[1].required_value);
	assert_string_equal(j[0].claim_mappings.username.prefix, "x:");
	assert_string_equal(j[0].claim_mappings.groups.prefix, "");
	assert_true(jwt_claim_is(&j[0].claim_mappings.uid.claim, "sub"));
	assert_int_equal(j[0].claim_mappings.extra.len, 1);
	assert_int_equal(j[1].claim_mappings.groups.claim.len, 0);
	assert_int_equal(j[1].claim_mappings.uid.claim.len, 0);
	assert_int_equal(c.token_files.len, 1);
	diags_done(&d);
	buf_done(&b);
	crypto_cert_free(&ca);
}

/* The document of one issuer with parts replaced. */
#define HEAD "audiences: [k]\njwt:\n"
#define ISSUER(url) "- issuer:\n    url: " url "\n    audiences: [c]\n"
#define DIRECTORY_ITEM(name, prefix) "- name: " name "\n  urls: ['ldaps://dc.example']\n  userSearch: {baseDN: 'dc=x', " \
	"username: uid}\n  usernamePrefix: '" prefix "'\n  groupsPrefix: 'g:'\n"
#define DIRECTORY(name, prefix) "ldap:\n" DIRECTORY_ITEM(name, prefix)
#define MAPPING(prefix) "  claimMappings:\n    username: {claim: sub, prefix: \"" prefix "\"}\n"
#define GOOD HEAD ISSUER("https://a.example") MAPPING("a:")

static void test_refuses_what_kubernetes_refuses(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
		uint32_t line;
	} cases[] = {
	    {HEAD ISSUER("http://a.example") MAPPING("a:"), "https://", 4},
	    {HEAD ISSUER("a.example") MAPPING("a:"), "https://", 4},
	    {HEAD ISSUER("HTTPS://a.example") MAPPING("a:"), "https://", 4},
	    {HEAD ISSUER("https://") MAPPING("a:"), "host", 4},
	    {HEAD ISSUER("https:///x") MAPPING("a:"), "host", 4},
	    {HEAD ISSUER("https://:443/x") MAPPING("a:"), "host", 4},
	    {HEAD ISSUER("https://u:p@a.example") MAPPING("a:"), "user name", 4},
	    {HEAD ISSUER("https://a.example?x=1") MAPPING("a:"), "query", 4},
	    {HEAD ISSUER("https://a.example/x?") MAPPING("a:"), "query", 4},
	    {HEAD ISSUER("\"https://a.example/#x\"") MAPPING("a:"), "fragment", 4},
	    {HEAD ISSUER("\"https://a.example/a b\"") MAPPING("a:"), "spaces", 4},
	    {HEAD ISSUER("\"\"") MAPPING("a:"), "empty", 4},
	    {HEAD "- issuer:\n    audiences: [c]\n" MAPPING("a:"), "url", 4},
	    {HEAD "- issuer:\n    url: https://a.example\n" MAPPING("a:"), "audiences", 4},
	    {HEAD "- issuer:\n    url: https://a.example\n    audiences: []\n" MAPPING("a:"), "empty", 5},
	    {HEAD "- issuer:\n    url: https://a.example\n    audiences: [\"\"]\n" MAPPING("a:"), "empty", 5},
	    {HEAD "- issuer:\n    url: https://a.example\n    audiences: [x, y]\n" MAPPING("a:"), "MatchAny", 5},
	    {HEAD "- issuer:\n    url: https://a.example\n    audiences: [x, x]\n"
		  "    audienceMatchPolicy: MatchAny\n" MAPPING("a:"), "stands twice", 5},
	    {HEAD ISSUER("https://a.example") "    audienceMatchPolicy: All\n" MAPPING("a:"), "MatchAny", 6},
	    {HEAD ISSUER("https://a.example") "    discoveryURL: http://b.example\n" MAPPING("a:"), "https://", 6},
	    {HEAD ISSUER("https://a.example") "    discoveryURL: https://a.example\n" MAPPING("a:"), "differ", 6},
	    {HEAD ISSUER("https://a.example") "    certificateAuthority: none\n" MAPPING("a:"), "no PEM", 6},
	    {HEAD ISSUER("https://a.example") "    egressSelectorType: cluster\n" MAPPING("a:"), "egress", 6},
	    {HEAD ISSUER("https://a.example"), "claimMappings", 3},
	    {HEAD ISSUER("https://a.example") "  claimMappings: {}\n", "username", 6},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {}\n", "claim", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {claim: sub}\n", "prefix must be set", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {prefix: \"a\"}\n", "prefix without", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {expression: claims.sub}\n",
		"not supported yet", 7},
	    {HEAD ISSUER("https://a.example") MAPPING("system:"), "reserved", 7},
	    {GOOD "    groups: {claim: g}\n", "prefix must be set", 8},
	    {GOOD "    groups: {claim: g, prefix: \"System:x\"}\n", "reserved", 8},
	    {GOOD "    groups: {expression: claims.g}\n", "not supported yet", 8},
	    {GOOD "    uid: {expression: claims.g}\n", "not supported yet", 8},
	    {GOOD "    extra: [{key: a.b/c, valueExpression: claims.x}]\n", "not supported yet", 8},
	    {GOOD "    extra: [{key: a.b/C, claim: x}]\n", "lower case", 8},
	    {GOOD "    extra: [{key: team, claim: x}]\n", "domain", 8},
	    {GOOD "    extra: [{key: a.b/, claim: x}]\n", "domain", 8},
	    {GOOD "    extra: [{key: /c, claim: x}]\n", "domain", 8},
	    {GOOD "    extra: [{key: -a.b/c, claim: x}]\n", "domain", 8},
	    {GOOD "    extra: [{key: a..b/c, claim: x}]\n", "domain", 8},
	    {GOOD "    extra: [{key: \"a.b/c d\", claim: x}]\n", "path characters", 8},
	    {GOOD "    extra: [{key: kubernetes.io/x, claim: x}]\n", "kubernetes.io", 8},
	    {GOOD "    extra: [{key: authentication.kubernetes.io/credential-id, claim: x}]\n", "kubernetes.io", 8},
	    {GOOD "    extra: [{key: x.k8s.io/x, claim: x}]\n", "k8s.io", 8},
	    {GOOD "    extra: [{key: portcullis.dev/credential-id, claim: x}]\n", "portcullis.dev", 8},
	    {GOOD "    extra: [{key: a.b/c, claim: x}, {key: a.b/c, claim: y}]\n", "two entries", 8},
	    {GOOD "  claimValidationRules: [{expression: \"true\"}]\n", "not supported yet", 8},
	    {GOOD "  claimValidationRules: [{claim: hd, requiredValue: a, message: m}]\n", "not supported yet", 8},
	    {GOOD "  claimValidationRules: [{requiredValue: a}]\n", "claim", 8},
	    {GOOD "  claimValidationRules: [{claim: hd, requiredValue: a}, {claim: hd}]\n", "two rules", 8},
	    {GOOD "  userValidationRules: [{expression: \"true\"}]\n", "not supported yet", 8},
	    {GOOD "  signingAlgs: [none]\n", "signingAlgs", 8},
	    {GOOD ISSUER("https://a.example") MAPPING("b:"), "stands twice", 8},
	    {GOOD ISSUER("https://b.example") MAPPING("a:"), "same name", 8},
	    {GOOD ISSUER("https://b.example") MAPPING("a:b:"), "same name", 8},
	    {GOOD ISSUER("https://b.example") MAPPING(""), "same name", 8},
	    {GOOD ISSUER("https://b.example") "    discoveryURL: https://d.example\n" MAPPING("b:")
		    ISSUER("https://c.example") "    discoveryURL: https://d.example\n" MAPPING("c:"),
		"another issuer", 14},
	    {HEAD ISSUER("https://a.example:0/x") MAPPING("a:"), "port", 4},
	    {HEAD ISSUER("https://a.example:65536") MAPPING("a:"), "port", 4},
	    {HEAD ISSUER("\"https://a.example:\"") MAPPING("a:"), "port", 4},
	    {HEAD ISSUER("https://a.example:8x") MAPPING("a:"), "port", 4},
	    {HEAD ISSUER("\"https://[::1]:x\"") MAPPING("a:"), "port", 4},
	    {"audiences: [k, \"https://a.example\"]\njwt:\n" ISSUER("https://a.example") MAPPING("a:"), "own", 3},
	    {HEAD ISSUER("https://a.example") "    signingAlgorithms: []\n" MAPPING("a:"), "empty", 6},
	    {HEAD ISSUER("https://a.example") "    signingAlgorithms: RS256\n" MAPPING("a:"), "list", 6},
	    {HEAD ISSUER("https://a.example") "    signingAlgorithms: [none]\n" MAPPING("a:"), "none", 6},
	    {HEAD ISSUER("https://a.example") "    signingAlgorithms: [RS256, HS256]\n" MAPPING("a:"), "HS256", 6},
	    {HEAD ISSUER("https://a.example") "    signingAlgorithms: [rs256]\n" MAPPING("a:"), "rs256", 6},
	    {HEAD ISSUER("https://a.example") "    signingAlgorithms: [RS256, RS256]\n" MAPPING("a:"), "twice", 6},
	    {HEAD ISSUER("https://a.example") "    tokenTypes: []\n" MAPPING("a:"), "empty", 6},
	    {HEAD ISSUER("https://a.example") "    tokenTypes: [refreshToken]\n" MAPPING("a:"), "idToken", 6},
	    {HEAD ISSUER("https://a.example") "    authorizedParties: []\n" MAPPING("a:"), "empty", 6},
	    {HEAD ISSUER("https://a.example") "    authorizedParties: [\"\"]\n" MAPPING("a:"), "empty", 6},
	    {HEAD ISSUER("https://a.example") "    authorizedParties: [x, x]\n" MAPPING("a:"), "twice", 6},
	    {HEAD ISSUER("https://a.example") "    hostedDomains: []\n" MAPPING("a:"), "empty", 6},
	    {HEAD ISSUER("https://a.example") "    hostedDomains: [\"\"]\n" MAPPING("a:"), "empty", 6},
	    {HEAD ISSUER("https://a.example") "    clockSkew: 301s\n" MAPPING("a:"), "5m", 6},
	    {HEAD ISSUER("https://a.example") "    clockSkew: 30\n" MAPPING("a:"), "duration", 6},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {claim: [], prefix: \"\"}\n", "empty", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {claim: [a, \"\"], prefix: \"\"}\n",
		"empty", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {claim: \"\", prefix: \"\"}\n",
		"empty", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {claim: {a: b}, prefix: \"\"}\n",
		"list of strings", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {claim: [a, [b]], prefix: \"\"}\n",
		"a string", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {claim: [a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
		  "a,a,a], prefix: \"\"}\n", "16", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {claim: sub, prefix: \"\", "
		  "emailVerified: required}\n", "about the claim email", 7},
	    {HEAD ISSUER("https://a.example") "  claimMappings:\n    username: {claim: [email, x], prefix: \"\", "
		  "emailVerifiedAsString: true}\n", "about the claim email", 7},
	    {GOOD "    groups: {claim: g, prefix: \"\", from: names}\n", "values", 8},
	    {GOOD "    groups: {from: keys}\n", "needs claim", 8},
	    {GOOD "    groups: {claim: g, prefix: \"\", distributed: {}}\n", "endpoints", 8},
	    {GOOD "    groups: {claim: g, prefix: \"\", distributed: {endpoints: []}}\n", "empty", 8},
	    {GOOD "    groups: {claim: g, prefix: \"\", distributed: {endpoints: [\"http://c/x\"]}}\n", "https", 8},
	    {GOOD "    groups: {claim: g, prefix: \"\", distributed: {endpoints: [\"https://c\"]}}\n", "path", 8},
	    {GOOD "    groups: {claim: g, prefix: \"\", distributed: {endpoints: [\"https://c/?x\"]}}\n", "query", 8},
	    {GOOD "    groups: {claim: g, prefix: \"\", distributed: {endpoints: [\"https://a@c/x\"]}}\n", "user", 8},
	    {GOOD "    groups: {claim: g, prefix: \"\", distributed: {endpoints: [\"https://c/\"], "
		  "certificateAuthority: x}}\n", "no PEM", 8},
	    {GOOD "    groups: {claim: g, prefix: \"\", distributed: {endpoints: [\"https://c/\"], "
		  "issuer: {url: \"http://x\", audiences: [a]}}}\n", "https", 8},
	    {GOOD "    groups: {claim: g, prefix: \"\", distributed: {endpoints: [\"https://c/\"], "
		  "issuer: {url: \"https://x\"}}}\n", "audiences", 8},
	    {GOOD "    uid: {claim: [\"\"]}\n", "empty", 8},
	    {GOOD "    extra: [{key: a.b/c, claim: [x, \"\"]}]\n", "empty", 8},
	    {GOOD "  claimValidationRules: [{claim: [a, b]}, {claim: [a, b], requiredValue: x}]\n", "two rules", 8},
	    {GOOD DIRECTORY("corp", "a:"), "same name", 9},
	    {GOOD DIRECTORY("corp", "a:b:"), "same name", 9},
	    {GOOD DIRECTORY("corp", "a"), "same name", 9},
	    {GOOD DIRECTORY("corp", ""), "same name", 9},
	    {GOOD DIRECTORY("corp", "c:") DIRECTORY_ITEM("lab", "c:"), "same name", 14},
	    {GOOD DIRECTORY("corp", "c:") DIRECTORY_ITEM("lab", "c:lab:"), "directory corp", 14},
	    {"jwt: []\n", "audiences", 1},
	    {"audiences: []\n", "empty", 1},
	    {"audiences: [\"\"]\n", "empty", 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct authn_config c;
		struct diags d;
		bool found = false;
		if (load(cases[i].text, &c, &d) == ERR_OK)
			fail_msg("taken:\n%s", cases[i].text);
		for (size_t k = 0; k < d.len; k++)
			found |= strstr(d.items[k].text, cases[i].says) && d.items[k].line == cases[i].line;
		if (!found)
			fail_msg("%s\n%u:%u: %s", cases[i].text, d.items[0].line, d.items[0].col, d.items[0].text);
		diags_done(&d);
	}
	struct authn_config c;
	struct diags d;
	assert_int_equal(load(GOOD, &c, &d), ERR_OK);
	diags_done(&d);
}

static void test_takes_what_goes_beyond_kubernetes(void **state)
{
	(void)state;
	static const char text[] =
	    HEAD ISSUER("\"https://[2001:db8::1]:8443/realms/x\"")
	    "    signingAlgorithms: [ES256, EdDSA]\n    tokenTypes: [accessToken]\n"
	    "    authorizedParties: [cli]\n    hostedDomains: [corp.com]\n    clockSkew: 5m\n"
	    "  claimValidationRules: [{claim: [a, b]}, {claim: a.b}, {claim: [a]}]\n"
	    "  claimMappings:\n    username: {claim: [user, email], prefix: \"x:\", emailVerified: required}\n"
	    "    groups:\n      claim: [resource_access, my.client, roles]\n      prefix: \"\"\n      from: keys\n"
	    "      distributed:\n        endpoints: [\"https://c.example/\"]\n"
	    "        issuer: {url: https://c.example, audiences: [k], signingAlgorithms: [PS512]}\n"
	    ISSUER("https://b.example") MAPPING("b:");
	struct authn_config c;
	struct diags d;
	if (load(text, &c, &d) != ERR_OK)
		fail_msg("%u: %s", d.items[0].line, d.items[0].text);
	const struct jwt_config *j = c.jwt.items;
	assert_int_equal(jwt_algs(&j[0].issuer), JOSE_BIT(JOSE_ES256) | JOSE_BIT(JOSE_EDDSA));
	assert_int_equal(j[0].issuer.token_types, JWT_ACCESS_TOKEN);
	assert_int_equal(j[0].issuer.clock_skew, INT64_C(300000000000));
	assert_int_equal(j[0].claim_mappings.groups.claim.len, 3);
	assert_string_equal(j[0].claim_mappings.groups.claim.items[1], "my.client");
	assert_int_equal(j[0].claim_mappings.groups.from, JWT_GROUPS_KEYS);
	assert_int_equal(j[0].claim_mappings.username.email_verified, JWT_EMAIL_REQUIRED);
	const struct jwt_distributed_config *dist = &j[0].claim_mappings.groups.distributed;
	assert_string_equal(dist->endpoints.items[0], "https://c.example/");
	assert_int_equal(jwt_algs(&dist->issuer), JOSE_BIT(JOSE_PS512));
	/* What nobody set: all algorithms, ID tokens, nothing distributed. */
	assert_int_equal(jwt_algs(&j[1].issuer), JOSE_ALGS_ALL);
	assert_int_equal(j[1].issuer.token_types, JWT_ID_TOKEN);
	assert_int_equal(j[1].issuer.clock_skew, 0);
	assert_int_equal(j[1].claim_mappings.groups.distributed.endpoints.len, 0);
	assert_null(j[1].claim_mappings.groups.distributed.issuer.url);
	diags_done(&d);
}

/* The table of words and the enum it is read by. */
static void test_each_algorithm_has_its_own_bit(void **state)
{
	(void)state;
	for (int alg = JOSE_RS256; JOSE_ALGS_ALL & JOSE_BIT(alg); alg++) {
		struct authn_config c;
		struct diags d;
		const char *text = arena_printf(&arena,
		    HEAD ISSUER("https://a.example") "    signingAlgorithms: [%s]\n" MAPPING("a:"),
		    jose_alg_name((enum jose_alg)alg));
		assert_int_equal(load(text, &c, &d), ERR_OK);
		assert_int_equal(jwt_algs(&((const struct jwt_config *)c.jwt.items)->issuer), JOSE_BIT(alg));
		diags_done(&d);
	}
}

static void test_warns_of_what_lets_in_more_than_it_seems_to(void **state)
{
	(void)state;
#define BY(claim) "  claimMappings:\n    username: {claim: " claim ", prefix: \"a:\"}\n"
	static const struct {
		const char *text, *says; /* NULL: nothing */
	} cases[] = {
	    {HEAD ISSUER("https://accounts.google.com") BY("sub"), "hostedDomains"},
	    {HEAD ISSUER("https://accounts.google.com") "    hostedDomains: [a.b]\n" BY("email"), NULL},
	    {HEAD ISSUER("https://login.microsoftonline.com/t/v2.0") BY("email"), "oid"},
	    {HEAD ISSUER("https://login.microsoftonline.com/t/v2.0") BY("oid"), NULL},
	    {HEAD ISSUER("https://login.microsoftonline.com/t/v2.0") BY("email, emailVerified: required"), NULL},
	    {HEAD ISSUER("https://sts.windows.net/t/") BY("email"), "oid"},
	    {HEAD ISSUER("https://idp.example") BY("email"), NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct authn_config c;
		struct diags d;
		assert_int_equal(load(cases[i].text, &c, &d), ERR_OK);
		assert_int_equal(d.warnings, cases[i].says ? 1 : 0);
		if (cases[i].says)
			assert_non_null(strstr(d.items[0].text, cases[i].says));
		diags_done(&d);
	}
}

static void test_sixty_four_issuers_and_no_more(void **state)
{
	(void)state;
	for (int n = 64; n <= 65; n++) {
		struct buf b;
		struct authn_config c;
		struct diags d;
		buf_init(&b, 1 << 20);
		buf_adds(&b, HEAD);
		for (int i = 0; i < n; i++)
			buf_printf(&b, ISSUER("https://i%d.example") MAPPING("%d:"), i, i);
		assert_int_equal(load(buf_cstr(&b), &c, &d), n == 64 ? ERR_OK : ERR_INVALID);
		diags_done(&d);
		buf_done(&b);
	}
}

static void test_every_field_is_documented(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1 << 20);
	schema_print_markdown(&authn_config_schema, &b);
	static const char *const names[] = {"audiences", "certificateAuthority", "requiredValue",
	    "valueExpression", "tokenFiles"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_non_null(strstr(buf_cstr(&b), names[i]));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_takes_a_kubernetes_stanza),
	    cmocka_unit_test(test_refuses_what_kubernetes_refuses),
	    cmocka_unit_test(test_takes_what_goes_beyond_kubernetes),
	    cmocka_unit_test(test_each_algorithm_has_its_own_bit),
	    cmocka_unit_test(test_warns_of_what_lets_in_more_than_it_seems_to),
	    cmocka_unit_test(test_sixty_four_issuers_and_no_more),
	    cmocka_unit_test(test_every_field_is_documented),
	};
	arena_init(&arena, 0);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
