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
	assert_string_equal(j[0].claim_mappings.uid.claim, "sub");
	assert_int_equal(j[0].claim_mappings.extra.len, 1);
	assert_null(j[1].claim_mappings.groups.claim);
	assert_null(j[1].claim_mappings.uid.claim);
	assert_int_equal(c.token_files.len, 1);
	diags_done(&d);
	buf_done(&b);
	crypto_cert_free(&ca);
}

/* The document of one issuer with parts replaced. */
#define HEAD "audiences: [k]\njwt:\n"
#define ISSUER(url) "- issuer:\n    url: " url "\n    audiences: [c]\n"
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
	    cmocka_unit_test(test_sixty_four_issuers_and_no_more),
	    cmocka_unit_test(test_every_field_is_documented),
	};
	arena_init(&arena, 0);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
