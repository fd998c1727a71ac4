/* Proves what claims mean: times, audience, kind, required values and the mapping to a user. Rows 25, 28 to 35
 * and 38 to 46 of the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "authn/claims.h"
#include "authn/firewall.h"
#include "authn/limits.h"
#include "common/jsonx.h"

#define NOW 1700000000

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	jsonx_init();
	arena_init(&arena, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

/* An issuer's configuration as the loader would leave it. */
static struct jwt_config config(const char *username_claim, const char *prefix)
{
	static const char *const audiences[] = {"kubernetes", "second"};
	return (struct jwt_config){
	    .issuer = {.url = "https://idp", .audiences = {audiences, 2}},
	    .claim_mappings = {
		.username = {.claim = username_claim, .prefix = prefix},
		.groups = {.claim = "groups", .prefix = "g:"},
	    },
	};
}

/* Claims that are good, with MORE (",\"k\":v") added. */
static json_t *claims(const char *more)
{
	const char *text = arena_printf(
	    &arena, "{\"iss\":\"https://idp\",\"aud\":\"kubernetes\",\"exp\":%d%s}", NOW + 60, more);
	json_t *j = NULL;
	struct err e = {0};
	if (jsonx_object(slice_of(text), 1 << 22, &j, &e) != ERR_OK)
		fail_msg("%s: %s", more, e.msg);
	jsonx_on_done(&arena, j);
	return j;
}

/* The reason of a refusal; NULL when the identity is mapped and passes the firewall. */
static const char *refusal(const struct jwt_config *cfg, const json_t *j, struct identity *id)
{
	struct err e = {0};
	const char *reason = "none given";
	if (claims_identity(cfg, j, NOW, &arena, id, &reason, &e) != ERR_OK) {
		assert_true(e.msg[0] != '\0');
		return reason;
	}
	id->provider = SLICE("jwt:test");
	return firewall_pass(id, &arena, &reason, &e) ? NULL : reason;
}

static const char *refusal_of(const char *more)
{
	struct jwt_config cfg = config("sub", "p:");
	struct identity id;
	return refusal(&cfg, claims(more), &id);
}

static void assert_reason(const char *row, const char *got, const char *want)
{
	if (got != want && (!got || !want || strcmp(got, want) != 0))
		fail_msg("%s: %s instead of %s", row, got ? got : "accepted", want ? want : "accepted");
}

static void test_rows28_to_31_times(void **state)
{
	(void)state;
	static const struct {
		const char *claims, *want;
	} cases[] = {
	    {"{}", "expired"},
	    {"{\"exp\":null}", "badClaim"},
	    {"{\"exp\":\"1800000000\"}", "badClaim"},
	    {"{\"exp\":-1}", "expired"},
	    {"{\"exp\":0}", "expired"},
	    {"{\"exp\":1e300}", "badClaim"},
	    {"{\"exp\":1.8e9}", "badClaim"},
	    {"{\"exp\":1800000000.5}", "badClaim"},
	    {"{\"exp\":9223372036854775807}", "badClaim"},
	    {"{\"exp\":9007199254740993}", "badClaim"},
	    {"{\"exp\":[1800000000]}", "badClaim"},
	    {"{\"exp\":true}", "badClaim"},
	    {"{\"exp\":1699999999}", "expired"},
	    {"{\"exp\":1700000000}", "expired"},
	    {"{\"exp\":1700000001}", NULL},
	    {"{\"exp\":1700000001,\"nbf\":1700000060}", NULL},
	    {"{\"exp\":1800000000,\"nbf\":1700000061}", "notYetValid"},
	    {"{\"exp\":1800000000,\"nbf\":\"1\"}", "badClaim"},
	    {"{\"exp\":1800000000,\"nbf\":null}", "badClaim"},
	    {"{\"exp\":1800000000,\"nbf\":1e3}", "badClaim"},
	    {"{\"exp\":1800000000,\"iat\":1700000300}", NULL},
	    {"{\"exp\":1800000000,\"iat\":1700000301}", "notYetValid"},
	    {"{\"exp\":1800000000,\"iat\":1700000000000}", "notYetValid"},
	    {"{\"exp\":1800000000,\"iat\":\"x\"}", "badClaim"},
	    {"{\"exp\":1800000000,\"iat\":-5}", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(jsonx_unref) json_t *j = NULL;
		struct err e = {0};
		const char *reason = NULL;
		int64_t expires = 0;
		assert_int_equal(jsonx_object(slice_of(cases[i].claims), 1000, &j, &e), ERR_OK);
		bool ok = claims_times(j, NOW, &expires, &reason, &e) == ERR_OK;
		assert_int_equal(ok, cases[i].want == NULL);
		assert_reason(cases[i].claims, ok ? NULL : reason, cases[i].want);
		if (ok)
			assert_true(expires > NOW);
	}
}

static void test_row33_audience(void **state)
{
	(void)state;
	static const struct {
		const char *claims;
		bool ok;
	} cases[] = {
	    {"{\"aud\":\"kubernetes\"}", true},
	    {"{\"aud\":[\"x\",\"second\"]}", true},
	    {"{}", false},
	    {"{\"aud\":\"\"}", false},
	    {"{\"aud\":[]}", false},
	    {"{\"aud\":[\"\"]}", false},
	    {"{\"aud\":null}", false},
	    {"{\"aud\":{\"kubernetes\":true}}", false},
	    {"{\"aud\":[\"kubernetes\",5]}", false},
	    {"{\"aud\":[[\"kubernetes\"]]}", false},
	    {"{\"aud\":\"kubernete\"}", false},
	    {"{\"aud\":\"kubernetes2\"}", false},
	    {"{\"aud\":\"Kubernetes\"}", false},
	    {"{\"aud\":\"kubernetes \"}", false},
	    {"{\"aud\":\"x kubernetes\"}", false},
	    {"{\"aud\":\"kubernetes,second\"}", false},
	};
	struct jwt_config cfg = config("sub", "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(jsonx_unref) json_t *j = NULL;
		struct err e = {0};
		const char *reason = NULL;
		assert_int_equal(jsonx_object(slice_of(cases[i].claims), 1000, &j, &e), ERR_OK);
		bool ok = claims_audience(j, &cfg.issuer.audiences, &arena, &reason, &e) == ERR_OK;
		if (ok != cases[i].ok)
			fail_msg("%s", cases[i].claims);
	}
}

static void test_row35_only_id_tokens(void **state)
{
	(void)state;
	assert_reason("plain", refusal_of(",\"sub\":\"a\""), NULL);
	assert_reason("typ ID", refusal_of(",\"sub\":\"a\",\"typ\":\"ID\""), NULL);
	static const char *const kinds[] = {",\"typ\":\"Bearer\"", ",\"typ\":\"Refresh\"",
	    ",\"typ\":\"Offline\"", ",\"typ\":\"Logout\"", ",\"typ\":5",
	    ",\"events\":{\"http://schemas.openid.net/event/backchannel-logout\":{}}", ",\"events\":[]"};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		assert_reason(kinds[i],
		    refusal_of(arena_printf(&arena, ",\"sub\":\"a\"%s", kinds[i])), "tokenKind");
	/* A client's own token without a user. */
	assert_reason("no user", refusal_of(",\"client_id\":\"ci\""), "badUsername");
}

static void test_rows40_and_41_user_names(void **state)
{
	(void)state;
	static const struct {
		const char *prefix, *sub, *want;
	} cases[] = {
	    {"p:", "\"jane\"", NULL},
	    {"p:", "\"\"", "badUsername"},
	    {"p:", "5", "badUsername"},
	    {"p:", "[\"jane\"]", "badUsername"},
	    {"p:", "null", "badUsername"},
	    {"p:", "true", "badUsername"},
	    {"", "\"a\\nb\"", "badUsername"},
	    {"", "\"a\\u001b[31mb\"", "badUsername"},
	    {"", "\"a\\u202eb\"", "badUsername"},
	    {"", "\"a\\u0085b\"", "badUsername"},
	    {"", "\"a\\u007fb\"", "badUsername"},
	    {"", "\"caf\\u00e9\"", NULL},
	    {"", "\"system:admin\"", "reservedName"},
	    {"", "\"system:serviceaccount:kube-system:x\"", "reservedName"},
	    {"", "\"system:node:n\"", "reservedName"},
	    {"", "\"SYSTEM:admin\"", "reservedName"},
	    {"", "\"System:admin\"", "reservedName"},
	    {"", "\"kubeadm:x\"", "reservedName"},
	    {"", "\"kubernetes-admin\"", "reservedName"},
	    {"", "\"Kubernetes-Admin\"", "reservedName"},
	    {"", "\"kubernetes-admins\"", NULL},
	    {"", "\"system\"", NULL},
	    {"sys", "\"tem:admin\"", "reservedName"},
	    {"system", "\":admin\"", "reservedName"},
	    {"kubernetes", "\"-admin\"", "reservedName"},
	    {"p:", "\"system:admin\"", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct jwt_config cfg = config("sub", cases[i].prefix);
		struct identity id;
		const char *more = arena_printf(&arena, ",\"sub\":%s", cases[i].sub);
		assert_reason(more, refusal(&cfg, claims(more), &id), cases[i].want);
	}
	struct jwt_config cfg = config("sub", "p:");
	struct identity id;
	assert_null(refusal(&cfg, claims(",\"sub\":\"jane\""), &id));
	assert_true(slice_is(id.username, "p:jane"));
	assert_int_equal(id.expires, NOW + 60);
	char name[NAME_MAX_BYTES + 8];
	memset(name, 'n', sizeof(name));
	name[NAME_MAX_BYTES - 2] = '\0'; /* with the prefix exactly the limit */
	assert_null(refusal(&cfg, claims(arena_printf(&arena, ",\"sub\":\"%s\"", name)), &id));
	name[NAME_MAX_BYTES - 2] = 'n';
	name[NAME_MAX_BYTES - 1] = '\0';
	assert_reason("long", refusal(&cfg, claims(arena_printf(&arena, ",\"sub\":\"%s\"", name)), &id),
	    "badUsername");
}

static void test_row38_email_must_not_be_unverified(void **state)
{
	(void)state;
	static const struct {
		const char *verified, *want;
	} cases[] = {
	    {"", NULL},
	    {",\"email_verified\":true", NULL},
	    {",\"email_verified\":false", "emailNotVerified"},
	    {",\"email_verified\":\"true\"", "emailNotVerified"},
	    {",\"email_verified\":1", "emailNotVerified"},
	    {",\"email_verified\":null", "emailNotVerified"},
	};
	struct jwt_config by_email = config("email", ""), by_sub = config("sub", "");
	struct identity id;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const json_t *j = claims(arena_printf(
		    &arena, ",\"sub\":\"s\",\"email\":\"a@example.com\"%s", cases[i].verified));
		assert_reason(cases[i].verified, refusal(&by_email, j, &id), cases[i].want);
		assert_null(refusal(&by_sub, j, &id));
	}
}

static void test_rows42_43_and_46_groups(void **state)
{
	(void)state;
	static const struct {
		const char *more, *want;
		const char *groups; /* joined by | */
	} cases[] = {
	    {"", NULL, ""},
	    {",\"groups\":null", NULL, ""},
	    {",\"groups\":[]", NULL, ""},
	    {",\"groups\":\"\"", NULL, ""},
	    {",\"groups\":\"one\"", NULL, "one"},
	    {",\"groups\":\"a,b\"", NULL, "a,b"},
	    {",\"groups\":[\"b\",\"a\",\"b\",\"\",\"a\"]", NULL, "a|b"},
	    {",\"groups\":[\"system:masters\",\"x\",\"SYSTEM:nodes\",\"kubeadm:cluster-admins\"]", NULL, "x"},
	    {",\"groups\":[\"x\",5]", "badGroups", ""},
	    {",\"groups\":[[\"x\"]]", "badGroups", ""},
	    {",\"groups\":{\"x\":true}", "badGroups", ""},
	    {",\"groups\":5", "badGroups", ""},
	    {",\"groups\":true", "badGroups", ""},
	    {",\"groups\":[\"a\\nb\"]", "badGroup", ""},
	    {",\"realm\":{\"groups\":[\"x\"]},\"realm.groups\":[\"y\"]", NULL, ""},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":{\"endpoint\":"
	     "\"http://169.254.169.254/\"}}",
		"distributedClaims", ""},
	    {",\"_claim_names\":{\"address\":\"s\"}", NULL, ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct jwt_config cfg = config("sub", "p:");
		cfg.claim_mappings.groups.prefix = "";
		struct identity id;
		const json_t *j = claims(arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more));
		const char *why = refusal(&cfg, j, &id);
		assert_reason(cases[i].more, why, cases[i].want);
		struct buf b;
		buf_init(&b, 1000);
		for (size_t k = 0; !why && k < id.ngroups; k++)
			buf_printf(&b, "%s" SLICE_FMT, k ? "|" : "", SLICE_ARG(id.groups[k]));
		assert_string_equal(buf_cstr(&b), cases[i].groups);
		buf_done(&b);
	}
	/* A dotted claim name is a name, not a path; a prefix is put before each group. */
	struct jwt_config cfg = config("sub", "");
	cfg.claim_mappings.groups.claim = "realm.groups";
	struct identity id;
	assert_null(refusal(&cfg,
	    claims(",\"sub\":\"a\",\"realm\":{\"groups\":[\"x\"]},\"realm.groups\":[\"y\"]"), &id));
	assert_int_equal(id.ngroups, 1);
	assert_true(slice_is(id.groups[0], "g:y"));
}

static void test_row42_too_many_groups(void **state)
{
	(void)state;
	for (int extra = 0; extra <= 1; extra++) {
		struct buf b;
		buf_init(&b, 1 << 22);
		buf_adds(&b, ",\"sub\":\"a\",\"groups\":[\"0\"");
		for (int i = 1; i < GROUPS_MAX + extra; i++)
			buf_printf(&b, ",\"%d\"", i);
		buf_adds(&b, "]");
		assert_reason("many", refusal_of(buf_cstr(&b)), extra ? "tooManyGroups" : NULL);
		buf_done(&b);
	}
}

static void test_claim_validation_rules(void **state)
{
	(void)state;
	const struct jwt_claim_rule rules[] = {
	    {.claim = "hd", .required_value = "example.com"}, {.claim = "empty"}};
	struct jwt_config cfg = config("sub", "");
	cfg.claim_validation_rules = (struct object_list){(void *)(uintptr_t)rules, 2};
	static const struct {
		const char *more, *want;
	} cases[] = {
	    {",\"hd\":\"example.com\",\"empty\":\"\"", NULL},
	    {",\"hd\":\"example.com\"", "requiredClaim"},
	    {",\"empty\":\"\"", "requiredClaim"}, /* row 39 */
	    {",\"hd\":\"evil.example.com\",\"empty\":\"\"", "requiredClaim"},
	    {",\"hd\":\"Example.com\",\"empty\":\"\"", "requiredClaim"},
	    {",\"hd\":[\"example.com\"],\"empty\":\"\"", "requiredClaim"},
	    {",\"hd\":\"example.com\",\"empty\":null", "requiredClaim"},
	    {",\"hd\":\"example.com\",\"empty\":\"x\"", "requiredClaim"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct identity id;
		const json_t *j = claims(arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more));
		assert_reason(cases[i].more, refusal(&cfg, j, &id), cases[i].want);
	}
}

static void test_uid_and_extra(void **state)
{
	(void)state;
	const struct jwt_extra_config extra[] = {{.key = "example.com/team", .claim = "team"},
	    {.key = "example.com/absent", .claim = "nope"}, {.key = "a.example.com/one", .claim = "one"}};
	struct jwt_config cfg = config("sub", "");
	cfg.claim_mappings.uid.claim = "uid";
	cfg.claim_mappings.extra = (struct object_list){(void *)(uintptr_t)extra, 3};
	struct identity id;
	assert_null(refusal(&cfg,
	    claims(",\"sub\":\"a\",\"uid\":\"u1\",\"team\":[\"x\",\"y\"],\"one\":\"1\",\"jti\":\"T\""), &id));
	assert_true(slice_is(id.uid, "u1"));
	assert_int_equal(id.nextra, 3);
	assert_true(slice_is(id.extra[0].key, "a.example.com/one"));
	assert_true(slice_is(id.extra[0].values[0], "1"));
	assert_true(slice_is(id.extra[1].key, "example.com/team"));
	assert_int_equal(id.extra[1].n, 2);
	assert_true(slice_is(id.extra[2].key, "portcullis.dev/credential-id"));
	assert_true(slice_is(id.extra[2].values[0], "JTI=T"));
	static const struct {
		const char *more, *want;
	} cases[] = {
	    {"", "badUid"},
	    {",\"uid\":\"\"", "badUid"},
	    {",\"uid\":5", "badUid"},
	    {",\"uid\":\"a\\nb\"", "badUid"},
	    {",\"uid\":\"u\",\"team\":5", "badExtra"},
	    {",\"uid\":\"u\",\"team\":{}", "badExtra"},
	    {",\"uid\":\"u\",\"team\":[5]", "badExtra"},
	    {",\"uid\":\"u\",\"team\":[\"\\u0007\"]", "badExtra"},
	    {",\"uid\":\"u\",\"team\":[]", NULL},
	    {",\"uid\":\"u\",\"team\":\"\"", NULL},
	    {",\"uid\":\"u\",\"jti\":5", "badClaim"},
	    {",\"uid\":\"u\",\"jti\":\"\"", "badClaim"},
	    {",\"uid\":\"u\",\"jti\":null", NULL},
	    {",\"uid\":\"u\",\"jti\":\"a\\nb\"", "badExtra"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const json_t *j = claims(arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more));
		assert_reason(cases[i].more, refusal(&cfg, j, &id), cases[i].want);
		if (!cases[i].want)
			assert_int_equal(id.nextra, 0);
	}
}

static void test_errors_do_not_quote_the_token(void **state)
{
	(void)state;
	static const char *const more[] = {",\"sub\":[\"SECRET\"]", ",\"sub\":\"a\",\"groups\":{\"SECRET\":1}",
	    ",\"sub\":\"SECRET\\n\"", ",\"sub\":\"a\",\"jti\":[\"SECRET\"]", ",\"sub\":\"system:SECRET\"",
	    ",\"sub\":\"a\",\"typ\":\"SECRET\""};
	struct jwt_config cfg = config("sub", "");
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		struct identity id;
		struct err e = {0};
		const char *reason = NULL;
		if (claims_identity(&cfg, claims(more[i]), NOW, &arena, &id, &reason, &e) == ERR_OK)
			assert_false(firewall_pass(&id, &arena, &reason, &e));
		assert_null(strstr(e.msg, "SECRET"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows28_to_31_times),
	    cmocka_unit_test(test_row33_audience),
	    cmocka_unit_test(test_row35_only_id_tokens),
	    cmocka_unit_test(test_rows40_and_41_user_names),
	    cmocka_unit_test(test_row38_email_must_not_be_unverified),
	    cmocka_unit_test(test_rows42_43_and_46_groups),
	    cmocka_unit_test(test_row42_too_many_groups),
	    cmocka_unit_test(test_claim_validation_rules),
	    cmocka_unit_test(test_uid_and_extra),
	    cmocka_unit_test(test_errors_do_not_quote_the_token),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
