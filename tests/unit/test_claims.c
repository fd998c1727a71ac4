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
#include "authn/distributed.h"
#include "authn/firewall.h"
#include "authn/limits.h"
#include "common/clock.h"
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

#define AUDIENCES "    audiences: [kubernetes, second]\n    audienceMatchPolicy: MatchAny\n"

/* The entry of an issuer with further lines of its stanza (indented by 4), mappings (by 4) and rules (by 2). */
static const struct jwt_config *entry(
    const char *issuer, const char *mappings, const char *rules)
{
	const char *text = arena_printf(&arena,
	    "audiences: [k]\njwt:\n- issuer:\n%s" AUDIENCES "%s"
	    "  claimMappings:\n%s%s",
	    strstr(issuer, "url:") ? "" : "    url: https://idp\n", issuer, mappings, rules);
	struct yaml_node *n = NULL;
	struct diags d = {0};
	struct authn_config *c = ARENA_NEW(&arena, struct authn_config);
	if (yamlx_parse(&arena, "t.yaml", slice_of(text), &n, &d) != ERR_OK ||
	    schema_bind(&arena, &authn_config_schema, "t.yaml", n, c, &d) != ERR_OK)
		fail_msg("%s\n%u: %s", text, d.items[0].line, d.items[0].text);
	diags_done(&d);
	return c->jwt.items;
}

/* The user name from CLAIM (as YAML) with PREFIX, groups from `groups` with "g:". */
static const struct jwt_config *config(const char *claim, const char *prefix)
{
	return entry("",
	    arena_printf(&arena,
		"    username: {claim: %s, prefix: \"%s\"}\n    groups: {claim: groups, prefix: \"g:\"}\n",
		claim, prefix),
	    "");
}

/* Claims that are good, with MORE (",\"k\":v") added. */
static json_t *claims(const char *more)
{
	const char *text = arena_printf(&arena, "{\"iss\":\"https://idp\"%s%s%s}",
	    strstr(more, "\"aud\"") ? "" : ",\"aud\":\"kubernetes\"",
	    strstr(more, "\"exp\"") ? "" : arena_printf(&arena, ",\"exp\":%d", NOW + 60), more);
	json_t *j = NULL;
	struct err e = {0};
	if (jsonx_object(slice_of(text), 1 << 22, &j, &e) != ERR_OK)
		fail_msg("%s: %s", more, e.msg);
	jsonx_on_done(&arena, j);
	return j;
}

static struct authn_call call;

/* The reason why a token with TYP in its header is refused; NULL when its identity, in ID, passes the firewall
 * too; "elsewhere" when its groups are to be fetched. */
static const char *refusal_typ(
    const struct jwt_config *cfg, json_t *j, const char *typ, struct identity *id)
{
	struct jose_token t = {.claims = j, .typ = slice_of(typ)};
	struct authn_trace *trace = call.trace;
	call = (struct authn_call){.arena = &arena, .now = NOW * CLOCK_SECOND, .trace = trace};
	enum authn_step step = claims_identity(cfg, &t, &call);
	if (step == AUTHN_NEEDS_WORK)
		return "elsewhere";
	if (step != AUTHN_ACCEPT) {
		assert_int_equal(step, AUTHN_REJECT);
		assert_true(call.why.msg[0] != '\0');
		return call.reason;
	}
	*id = call.id;
	id->provider = SLICE("jwt:test");
	return firewall_pass(id, &arena, &call.reason, &call.why) ? NULL : call.reason;
}

static const char *refusal(const struct jwt_config *cfg, json_t *j, struct identity *id)
{
	return refusal_typ(cfg, j, "JWT", id);
}

static const char *refusal_of(const char *more)
{
	struct identity id;
	return refusal(config("sub", "p:"), claims(more), &id);
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
	const struct jwt_issuer_config *cfg = &config("sub", "p:")->issuer;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(jsonx_unref) json_t *j = NULL;
		struct err e = {0};
		int64_t expires = 0;
		assert_int_equal(jsonx_object(slice_of(cases[i].claims), 1000, &j, &e), ERR_OK);
		json_object_set_new(j, "aud", json_string("second"));
		struct jose_token t = {.claims = j};
		struct authn_call c = {.arena = &arena, .now = NOW * CLOCK_SECOND};
		bool ok = claims_admissible(cfg, &t, &c, &expires);
		assert_int_equal(ok, cases[i].want == NULL);
		assert_reason(cases[i].claims, ok ? NULL : c.reason, cases[i].want);
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
	const struct jwt_issuer_config *cfg = &config("sub", "p:")->issuer;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(jsonx_unref) json_t *j = NULL;
		struct err e = {0};
		int64_t expires = 0;
		assert_int_equal(jsonx_object(slice_of(cases[i].claims), 1000, &j, &e), ERR_OK);
		json_object_set_new(j, "exp", json_integer(NOW + 1));
		struct jose_token t = {.claims = j};
		struct authn_call c = {.arena = &arena, .now = NOW * CLOCK_SECOND};
		if (claims_admissible(cfg, &t, &c, &expires) != cases[i].ok)
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
	    {"", "\"portcullis-rbac-sync\"", "reservedName"},
	    {"", "\"Portcullis-Rbac-Sync\"", "reservedName"},
	    {"", "\"portcullis-intake\"", "reservedName"},
	    {"", "\"portcullis-intake:node-1\"", "reservedName"},
	    {"", "\"portcullis-intakes\"", NULL},
	    {"", "\"portcullis\"", NULL},
	    {"portcullis-", "\"intake\"", "reservedName"},
	    {"", "\"system\"", NULL},
	    {"sys", "\"tem:admin\"", "reservedName"},
	    {"system", "\":admin\"", "reservedName"},
	    {"kubernetes", "\"-admin\"", "reservedName"},
	    {"p:", "\"system:admin\"", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct jwt_config *cfg = config("sub", cases[i].prefix);
		struct identity id;
		const char *more = arena_printf(&arena, ",\"sub\":%s", cases[i].sub);
		assert_reason(more, refusal(cfg, claims(more), &id), cases[i].want);
	}
	const struct jwt_config *cfg = config("sub", "p:");
	struct identity id;
	assert_null(refusal(cfg, claims(",\"sub\":\"jane\""), &id));
	assert_true(slice_is(id.username, "p:jane"));
	assert_int_equal(id.expires, NOW + 60);
	char name[NAME_MAX_BYTES + 8];
	memset(name, 'n', sizeof(name));
	name[NAME_MAX_BYTES - 2] = '\0'; /* with the prefix exactly the limit */
	assert_null(refusal(cfg, claims(arena_printf(&arena, ",\"sub\":\"%s\"", name)), &id));
	name[NAME_MAX_BYTES - 2] = 'n';
	name[NAME_MAX_BYTES - 1] = '\0';
	assert_reason("long", refusal(cfg, claims(arena_printf(&arena, ",\"sub\":\"%s\"", name)), &id),
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
	const struct jwt_config *by_email = config("email", ""), *by_sub = config("sub", "");
	struct identity id;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *j = claims(arena_printf(
		    &arena, ",\"sub\":\"s\",\"email\":\"a@example.com\"%s", cases[i].verified));
		assert_reason(cases[i].verified, refusal(by_email, j, &id), cases[i].want);
		assert_null(refusal(by_sub, j, &id));
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
		const struct jwt_config *cfg = entry("",
		    "    username: {claim: sub, prefix: \"p:\"}\n    groups: {claim: groups, prefix: \"\"}\n", "");
		struct identity id;
		json_t *j = claims(arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more));
		const char *why = refusal(cfg, j, &id);
		assert_reason(cases[i].more, why, cases[i].want);
		struct buf b;
		buf_init(&b, 1000);
		for (size_t k = 0; !why && k < id.ngroups; k++)
			buf_printf(&b, "%s" SLICE_FMT, k ? "|" : "", SLICE_ARG(id.groups[k]));
		assert_string_equal(buf_cstr(&b), cases[i].groups);
		buf_done(&b);
	}
	/* A dotted claim name is a name, not a path; a prefix is put before each group. */
	const struct jwt_config *cfg = entry("",
	    "    username: {claim: sub, prefix: \"\"}\n    groups: {claim: realm.groups, prefix: \"g:\"}\n", "");
	struct identity id;
	assert_null(refusal(cfg,
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
	const struct jwt_config *cfg = entry("", "    username: {claim: sub, prefix: \"\"}\n",
	    "  claimValidationRules: [{claim: hd, requiredValue: example.com}, {claim: empty}]\n");
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
		json_t *j = claims(arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more));
		assert_reason(cases[i].more, refusal(cfg, j, &id), cases[i].want);
	}
}

static void test_uid_and_extra(void **state)
{
	(void)state;
	const struct jwt_config *cfg = entry("",
	    "    username: {claim: sub, prefix: \"\"}\n    uid: {claim: uid}\n    extra:\n"
	    "    - {key: example.com/team, claim: team}\n    - {key: example.com/absent, claim: nope}\n"
	    "    - {key: a.example.com/one, claim: one}\n",
	    "");
	struct identity id;
	assert_null(refusal(cfg,
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
		json_t *j = claims(arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more));
		assert_reason(cases[i].more, refusal(cfg, j, &id), cases[i].want);
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
	const struct jwt_config *cfg = config("sub", "");
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		struct identity id;
		assert_non_null(refusal(cfg, claims(more[i]), &id));
		assert_null(strstr(call.why.msg, "SECRET"));
	}
}

static void test_row43_paths_lead_by_names_and_by_nothing_else(void **state)
{
	(void)state;
	static const struct {
		const char *claim, *more, *want; /* YAML of the groups' claim */
		const char *group;
	} cases[] = {
	    {"[realm_access, roles]", ",\"realm_access\":{\"roles\":[\"x\"]}", NULL, "g:x"},
	    {"[resource_access, my-client, roles]", ",\"resource_access\":{\"my-client\":{\"roles\":\"x\"}}", NULL,
		"g:x"},
	    {"[\"https://ex.com/groups\"]", ",\"https://ex.com/groups\":[\"x\"]", NULL, "g:x"},
	    {"\"https://ex.com/groups\"", ",\"https://ex.com/groups\":[\"x\"]", NULL, "g:x"},
	    {"[a.b, c]", ",\"a.b\":{\"c\":\"x\"},\"a\":{\"b\":{\"c\":\"y\"}}", NULL, "g:x"},
	    {"realm_access.roles", ",\"realm_access\":{\"roles\":[\"x\"]}", NULL, NULL},
	    {"realm_access/roles", ",\"realm_access\":{\"roles\":[\"x\"]}", NULL, NULL},
	    {"[realm_access, roles]", ",\"realm_access.roles\":[\"x\"],\"roles\":[\"x\"]", NULL, NULL},
	    {"[realm_access, roles]", ",\"realm_access\":{}", NULL, NULL},
	    {"[realm_access, roles]", ",\"realm_access\":null", NULL, NULL},
	    {"[realm_access, roles]", ",\"realm_access\":{\"roles\":null}", NULL, NULL},
	    {"[realm_access, roles]", ",\"realm_access\":{\"Roles\":[\"x\"]}", NULL, NULL},
	    {"[realm_access, roles]", ",\"realm_access\":\"roles\"", "badGroups", NULL},
	    {"[realm_access, roles]", ",\"realm_access\":[\"roles\"]", "badGroups", NULL},
	    {"[realm_access, roles]", ",\"realm_access\":5", "badGroups", NULL},
	    {"[realm_access, \"0\"]", ",\"realm_access\":[\"x\"]", "badGroups", NULL},
	    {"[realm_access, roles]", ",\"realm_access\":{\"roles\":{\"x\":1}}", "badGroups", NULL},
	    {"[realm_access]", ",\"realm_access\":{\"roles\":[\"x\"]}", "badGroups", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *map = arena_printf(&arena,
		    "    username: {claim: sub, prefix: \"\"}\n    groups: {claim: %s, prefix: \"g:\"}\n",
		    cases[i].claim);
		struct identity id = {0};
		json_t *j = claims(arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more));
		assert_reason(cases[i].more, refusal(entry("", map, ""), j, &id), cases[i].want);
		assert_int_equal(id.ngroups, cases[i].group ? 1 : 0);
		if (cases[i].group)
			assert_true(slice_is(id.groups[0], cases[i].group));
	}
}

static void test_paths_serve_every_mapping_and_the_rules(void **state)
{
	(void)state;
	const struct jwt_config *cfg = entry("",
	    "    username: {claim: [act, name], prefix: \"u:\"}\n    uid: {claim: [act, id]}\n"
	    "    extra: [{key: example.com/t, claim: [act, team]}]\n",
	    "  claimValidationRules: [{claim: [act, on], requiredValue: \"yes\"}]\n");
	struct identity id;
	assert_null(refusal(cfg,
	    claims(",\"act\":{\"name\":\"jane\",\"id\":\"7\",\"team\":[\"t\"],\"on\":\"yes\"}"), &id));
	assert_true(slice_is(id.username, "u:jane"));
	assert_true(slice_is(id.uid, "7"));
	assert_true(slice_is(id.extra[0].values[0], "t"));
	static const struct {
		const char *more, *want;
	} cases[] = {
	    {",\"act\":{\"name\":\"jane\",\"id\":\"7\"},\"on\":\"yes\"", "requiredClaim"},
	    {",\"act\":{\"name\":\"jane\",\"id\":\"7\",\"on\":true}", "requiredClaim"},
	    {",\"act\":\"yes\"", "requiredClaim"},
	    {",\"act\":{\"on\":\"yes\",\"id\":\"7\"},\"name\":\"jane\"", "badUsername"},
	    {",\"act\":{\"on\":\"yes\",\"name\":\"jane\"},\"id\":\"7\"", "badUid"},
	    {",\"act\":{\"on\":\"yes\",\"name\":\"jane\",\"id\":\"7\",\"team\":{}}", "badExtra"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_reason(cases[i].more, refusal(cfg, claims(cases[i].more), &id), cases[i].want);
}

static void test_groups_from_the_keys_of_an_object(void **state)
{
	(void)state;
	static const struct {
		const char *value, *want;
		size_t n;
	} cases[] = {
	    {"{\"admin\":{\"1\":\"x\"},\"dev\":{}}", NULL, 2},
	    {"{\"b\":true,\"a\":1,\"c\":\"\"}", NULL, 3},
	    {"{}", NULL, 0},
	    {"null", NULL, 0},
	    {"{\"\":1}", NULL, 0},
	    {"{\"system:masters\":1,\"x\":1}", NULL, 1},
	    {"{\"x\":false}", "badGroups", 0},
	    {"{\"x\":1,\"y\":null}", "badGroups", 0},
	    {"[\"x\"]", "badGroups", 0},
	    {"\"x\"", "badGroups", 0},
	    {"5", "badGroups", 0},
	    {"{\"a\\nb\":1}", "badGroup", 0},
	};
	const struct jwt_config *cfg = entry("",
	    "    username: {claim: sub, prefix: \"\"}\n    groups: {claim: roles, prefix: \"\", from: keys}\n", "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct identity id = {0};
		json_t *j = claims(arena_printf(&arena, ",\"sub\":\"a\",\"roles\":%s", cases[i].value));
		const char *why = refusal(cfg, j, &id);
		assert_reason(cases[i].value, why, cases[i].want);
		if (!why)
			assert_int_equal(id.ngroups, cases[i].n);
	}
}

static void test_row34_authorized_parties(void **state)
{
	(void)state;
	static const struct {
		const char *typ, *more, *want;
	} cases[] = {
	    {"", ",\"azp\":\"cli\"", NULL},
	    {"", ",\"azp\":\"web\",\"aud\":[\"kubernetes\",\"web\"]", NULL},
	    {"", ",\"azp\":\"other\"", "badParty"},
	    {"", ",\"azp\":\"CLI\"", "badParty"},
	    {"", ",\"azp\":\"\"", "badParty"},
	    {"", ",\"azp\":[\"cli\"]", "badClaim"},
	    {"", ",\"azp\":5", "badClaim"},
	    /* No azp: the party is the only audience. */
	    {"", ",\"aud\":\"second\"", NULL},
	    {"", ",\"aud\":\"kubernetes\"", "badParty"},
	    {"", ",\"azp\":null,\"aud\":\"second\"", NULL},
	    /* Several audiences and no azp say nothing. */
	    {"", ",\"aud\":[\"kubernetes\",\"second\"]", "badParty"},
	    {"", ",\"aud\":[\"second\",\"kubernetes\"]", "badParty"},
	    {"", ",\"aud\":[\"second\",\"second\"]", "badParty"},
	    {"", ",\"aud\":[\"kubernetes\",\"second\"],\"client_id\":\"cli\"", "badParty"},
	    {"at+jwt", ",\"client_id\":\"cli\",\"iat\":1,\"jti\":\"j\"", NULL},
	    {"at+jwt", ",\"client_id\":\"evil\",\"iat\":1,\"jti\":\"j\"", "badParty"},
	    {"at+jwt", ",\"client_id\":\"cli\",\"azp\":\"evil\",\"iat\":1,\"jti\":\"j\"", "badParty"},
	    /* An access token's audience is a server, not a party. */
	    {"at+jwt", ",\"client_id\":\"evil\",\"aud\":\"second\",\"iat\":1,\"jti\":\"j\"", "badParty"},
	};
	const struct jwt_config *cfg = entry(
	    "    authorizedParties: [cli, web, second]\n    tokenTypes: [idToken, accessToken]\n",
	    "    username: {claim: sub, prefix: \"\"}\n", "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct identity id;
		json_t *j = claims(arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more));
		assert_reason(cases[i].more, refusal_typ(cfg, j, cases[i].typ, &id), cases[i].want);
	}
	/* Unless it is asked for, azp means nothing, as in Kubernetes. */
	assert_null(refusal_of(",\"sub\":\"a\",\"azp\":\"other\""));
	assert_null(refusal_of(",\"sub\":\"a\",\"azp\":5"));
}

static void test_row35_kinds_of_token(void **state)
{
	(void)state;
#define RFC9068 ",\"client_id\":\"c\",\"iat\":1,\"jti\":\"j\""
	static const struct {
		const char *typ, *more;
		const char *id, *access, *both; /* wanted with tokenTypes of one, of the other, of both */
	} cases[] = {
	    {"", "", NULL, "tokenKind", NULL},
	    {"JWT", "", NULL, "tokenKind", NULL},
	    {"jwt", "", NULL, "tokenKind", NULL},
	    {"application/jwt", "", NULL, "tokenKind", NULL},
	    {"JWT", ",\"typ\":\"ID\"", NULL, "tokenKind", NULL},
	    {"JWT", ",\"typ\":\"JWT\"", NULL, "tokenKind", NULL},
	    {"at+jwt", RFC9068, "tokenKind", NULL, NULL},
	    {"AT+JWT", RFC9068, "tokenKind", NULL, NULL},
	    {"application/at+jwt", RFC9068, "tokenKind", NULL, NULL},
	    {"at+jwt", RFC9068 ",\"typ\":\"Bearer\"", "tokenKind", NULL, NULL},
	    {"at+jwt", ",\"azp\":\"c\",\"iat\":1,\"jti\":\"j\",\"typ\":\"Bearer\"", "tokenKind", NULL, NULL},
	    {"at+jwt", ",\"client_id\":\"c\",\"iat\":1", "tokenKind", "tokenKind", "tokenKind"},
	    {"at+jwt", ",\"client_id\":\"c\",\"jti\":\"j\"", "tokenKind", "tokenKind", "tokenKind"},
	    {"at+jwt", ",\"iat\":1,\"jti\":\"j\"", "tokenKind", "tokenKind", "tokenKind"},
	    {"at+jwt", RFC9068 ",\"typ\":\"ID\"", "tokenKind", "tokenKind", "tokenKind"},
	    {"JWT", ",\"typ\":\"Bearer\",\"azp\":\"c\"", "tokenKind", NULL, NULL},
	    {"JWT", ",\"typ\":\"Bearer\"", "tokenKind", "tokenKind", "tokenKind"},
	    {"JWT", ",\"scp\":\"api\",\"appid\":\"c\"", "tokenKind", NULL, NULL},
	    {"JWT", ",\"scp\":[\"openid\"],\"cid\":\"c\"", "tokenKind", NULL, NULL},
	    {"JWT", ",\"idtyp\":\"app\",\"azp\":\"c\"", "tokenKind", NULL, NULL},
	    {"JWT", ",\"appidacr\":\"1\",\"appid\":\"c\"", "tokenKind", NULL, NULL},
	    {"JWT", ",\"azpacr\":\"1\",\"azp\":\"c\",\"roles\":[\"r\"]", "tokenKind", NULL, NULL},
	    {"JWT", ",\"token_use\":\"access\",\"client_id\":\"c\"", "tokenKind", NULL, NULL},
	    {"JWT", ",\"token_use\":\"id\"", NULL, "tokenKind", NULL},
	    {"JWT", ",\"token_use\":\"refresh\"", "tokenKind", "tokenKind", "tokenKind"},
	    {"JWT", ",\"typ\":\"Refresh\"", "tokenKind", "tokenKind", "tokenKind"},
	    {"JWT", ",\"typ\":\"bearer\",\"azp\":\"c\"", "tokenKind", "tokenKind", "tokenKind"},
	    {"JWT", ",\"typ\":[\"ID\"]", "tokenKind", "tokenKind", "tokenKind"},
	    {"JWT", ",\"typ\":null", "tokenKind", "tokenKind", "tokenKind"},
	    {"JWT", ",\"granted_scopes\":[\"openid\"],\"cid\":\"c\"", "tokenKind", "tokenKind", "tokenKind"},
	    {"logout+jwt", RFC9068, "tokenKind", "tokenKind", "tokenKind"},
	    {"secevent+jwt", "", "tokenKind", "tokenKind", "tokenKind"},
	    {"dpop+jwt", "", "tokenKind", "tokenKind", "tokenKind"},
	    {"at+jwt", RFC9068 ",\"events\":{}", "tokenKind", "tokenKind", "tokenKind"},
	    {"at+jw", RFC9068, "tokenKind", "tokenKind", "tokenKind"},
	    {"JOSE", "", "tokenKind", "tokenKind", "tokenKind"},
	};
	static const char map[] = "    username: {claim: sub, prefix: \"\"}\n";
	const struct jwt_config *by[] = {entry("    tokenTypes: [idToken]\n", map, ""),
	    entry("    tokenTypes: [accessToken]\n", map, ""),
	    entry("    tokenTypes: [accessToken, idToken]\n", map, ""), entry("", map, "")};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct identity id;
		const char *more = arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more);
		const char *row = arena_printf(&arena, "%s %s", cases[i].typ, more);
		const char *wants[] = {cases[i].id, cases[i].access, cases[i].both, cases[i].id};
		for (size_t k = 0; k < ARRAY_LEN(by); k++)
			assert_reason(row, refusal_typ(by[k], claims(more), cases[i].typ, &id), wants[k]);
	}
	/* An access token names its user by sub, whatever the mapping says. */
	const struct jwt_config *mail = entry("    tokenTypes: [accessToken]\n",
	    "    username: {claim: email, prefix: \"\"}\n", "");
	struct identity id;
	assert_reason("no sub", refusal_typ(mail, claims(",\"email\":\"a@b\"" RFC9068), "at+jwt", &id), "tokenKind");
	assert_null(refusal_typ(mail, claims(",\"email\":\"a@b\",\"sub\":\"s\"" RFC9068), "at+jwt", &id));
}

static void test_row38_options_for_email_verified(void **state)
{
	(void)state;
	static const struct {
		const char *verified;
		const char *required, *text, *both; /* wanted with each option */
	} cases[] = {
	    {"", "emailNotVerified", NULL, "emailNotVerified"},
	    {",\"email_verified\":true", NULL, NULL, NULL},
	    {",\"email_verified\":\"true\"", "emailNotVerified", NULL, NULL},
	    {",\"email_verified\":\"True\"", "emailNotVerified", "emailNotVerified", "emailNotVerified"},
	    {",\"email_verified\":\"false\"", "emailNotVerified", "emailNotVerified", "emailNotVerified"},
	    {",\"email_verified\":false", "emailNotVerified", "emailNotVerified", "emailNotVerified"},
	    {",\"email_verified\":1", "emailNotVerified", "emailNotVerified", "emailNotVerified"},
	    {",\"email_verified\":null", "emailNotVerified", "emailNotVerified", "emailNotVerified"},
	};
	static const char *const options[] = {"emailVerified: required", "emailVerifiedAsString: true",
	    "emailVerified: required, emailVerifiedAsString: true"};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *wants[] = {cases[i].required, cases[i].text, cases[i].both};
		for (size_t k = 0; k < ARRAY_LEN(options); k++) {
			const char *map = arena_printf(&arena,
			    "    username: {claim: email, prefix: \"\", %s}\n", options[k]);
			struct identity id;
			json_t *j =
			    claims(arena_printf(&arena, ",\"email\":\"a@b\"%s", cases[i].verified));
			assert_reason(cases[i].verified, refusal(entry("", map, ""), j, &id), wants[k]);
		}
	}
	/* An address further inside is verified by what stands beside it, not by what stands outside. */
	const struct jwt_config *cfg = entry("", "    username: {claim: [user, email], prefix: \"\"}\n", "");
	struct identity id;
	assert_null(refusal(cfg, claims(",\"user\":{\"email\":\"a@b\",\"email_verified\":true}"), &id));
	assert_reason("inside",
	    refusal(cfg, claims(",\"user\":{\"email\":\"a@b\",\"email_verified\":false},\"email_verified\":true"),
		&id), "emailNotVerified");
}

static void test_row39_google(void **state)
{
	(void)state;
	static const struct {
		const char *more;
		const char *any, *listed; /* wanted without and with hostedDomains */
	} cases[] = {
	    {",\"email\":\"j@corp.com\",\"hd\":\"corp.com\"", NULL, NULL},
	    {",\"email\":\"j@other.com\",\"hd\":\"other.com\"", NULL, "hostedDomain"},
	    {",\"email\":\"j@corp.com\"", "hostedDomain", "hostedDomain"},
	    {",\"email\":\"j@corp.com\",\"hd\":\"\"", "hostedDomain", "hostedDomain"},
	    {",\"email\":\"j@corp.com\",\"hd\":[\"corp.com\"]", "hostedDomain", "hostedDomain"},
	    {",\"email\":\"j@corp.com\",\"hd\":true", "hostedDomain", "hostedDomain"},
	    {",\"email\":\"j@corp.com\",\"hd\":\"Corp.com\"", NULL, "hostedDomain"},
	    {",\"email\":\"j@corp.com\",\"hd\":\"corp.com.evil.example\"", NULL, "hostedDomain"},
	    {",\"email\":\"j@gmail.com\"", NULL, "hostedDomain"},
	    {",\"email\":\"j@evilgmail.com\"", "hostedDomain", "hostedDomain"},
	    {",\"email\":\"j@gmail.com.evil.example\"", "hostedDomain", "hostedDomain"},
	    {",\"email\":\"@gmail.com\"", "hostedDomain", "hostedDomain"},
	};
	static const char map[] = "    username: {claim: email, prefix: \"\"}\n";
	static const char google[] = "    url: https://accounts.google.com\n";
	const struct jwt_config *any = entry(google, map, "");
	const struct jwt_config *listed =
	    entry(arena_printf(&arena, "%s    hostedDomains: [example.org, corp.com]\n", google), map, "");
	struct identity id;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *more = arena_printf(&arena, "%s,\"email_verified\":true", cases[i].more);
		assert_reason(more, refusal(any, claims(more), &id), cases[i].any);
		assert_reason(more, refusal(listed, claims(more), &id), cases[i].listed);
	}
	/* Of other issuers hd is asked for only where the configuration does. */
	assert_null(refusal(entry("", map, ""), claims(",\"email\":\"j@corp.com\""), &id));
}

static void test_row29_clock_skew(void **state)
{
	(void)state;
	static const struct {
		const char *more, *want;
	} cases[] = {
	    {",\"exp\":1699999901", NULL},
	    {",\"exp\":1699999900", "expired"},
	    {",\"exp\":1800000000,\"nbf\":1700000100", NULL},
	    {",\"exp\":1800000000,\"nbf\":1700000101", "notYetValid"},
	    {",\"exp\":1800000000,\"iat\":1700000301", "notYetValid"},
	};
	static const char map[] = "    username: {claim: sub, prefix: \"\"}\n";
	const struct jwt_config *cfg = entry("    clockSkew: 100s\n", map, "");
	struct identity id;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *more = arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more);
		assert_reason(more, refusal(cfg, claims(more), &id), cases[i].want);
	}
	assert_null(refusal(cfg, claims(",\"sub\":\"a\",\"exp\":1699999901"), &id));
	assert_int_equal(id.expires, NOW + 1);
	/* A short one does not take nbf's minute away. */
	assert_null(refusal(entry("    clockSkew: 1s\n", map, ""),
	    claims(",\"sub\":\"a\",\"nbf\":1700000060"), &id));
}

static void test_what_a_cache_and_a_denylist_are_told(void **state)
{
	(void)state;
	struct identity id;
	const struct jwt_config *cfg = config("email", "p:");
	assert_null(refusal(cfg, claims(",\"email\":\"e\",\"sub\":\"s\",\"jti\":\"j\",\"iat\":1699999000"), &id));
	assert_true(slice_is(call.credential.subject, "s"));
	assert_true(slice_is(call.credential.id, "j"));
	assert_int_equal(call.credential.issued, 1699999000);
	assert_int_equal(call.keep, 60 * CLOCK_SECOND);
	assert_null(refusal(cfg, claims(",\"email\":\"e\""), &id));
	assert_int_equal(call.credential.subject.len, 0);
	assert_int_equal(call.credential.issued, 0);
	/* As far as exp may be: no overflow on the way to nanoseconds. */
	assert_null(refusal(cfg, claims(",\"email\":\"e\",\"exp\":9007199254740992"), &id));
	assert_int_equal(call.keep, INT64_C(86400) * CLOCK_SECOND);
	/* Only time may turn this one. */
	assert_reason("nbf", refusal(cfg, claims(",\"email\":\"e\",\"nbf\":1800000000"), &id), "notYetValid");
	assert_int_equal(call.keep, 0);
	static const char *const settled[] = {",\"email\":5", ",\"email\":\"e\",\"exp\":1",
	    ",\"email\":\"e\",\"aud\":\"x\"", ",\"email\":\"e\",\"sub\":5", ",\"email\":\"e\",\"sub\":\"\""};
	for (size_t i = 0; i < ARRAY_LEN(settled); i++) {
		assert_non_null(refusal(cfg, claims(settled[i]), &id));
		assert_true(call.keep > 3600 * CLOCK_SECOND);
	}
}

struct heard {
	struct authn_trace base;
	struct buf text;
};

static void hear(struct authn_trace *self, const char *name, bool passed, const char *detail)
{
	struct heard *h = (struct heard *)self;
	assert_non_null(detail);
	assert_int_equal(passed, detail[0] == '\0');
	buf_printf(&h->text, "%c%s ", passed ? '+' : '-', name);
}

static void test_the_trace_hears_of_each_check_up_to_the_one_that_fails(void **state)
{
	(void)state;
	static const struct {
		const char *more, *heard;
	} cases[] = {
	    {",\"sub\":\"a\"", "+tokenKind +expiry +audience +authorizedParty +hostedDomain +requiredClaims "
			       "+username +credential +extra +groups "},
	    {",\"sub\":\"a\",\"typ\":\"Bearer\"", "-tokenKind "},
	    {",\"sub\":\"a\",\"exp\":1", "+tokenKind -expiry "},
	    {",\"sub\":\"a\",\"groups\":5", "+tokenKind +expiry +audience +authorizedParty +hostedDomain "
					    "+requiredClaims +username +credential +extra -groups "},
	    {",\"sub\":\"a\",\"_claim_names\":{\"groups\":\"s\"}",
		"+tokenKind +expiry +audience +authorizedParty +hostedDomain +requiredClaims "
		"+username +credential +extra -distributedClaims "},
	};
	const struct jwt_config *cfg = config("sub", "p:");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct heard h = {.base.check = hear};
		struct identity id;
		buf_init(&h.text, 1000);
		call.trace = &h.base;
		refusal(cfg, claims(cases[i].more), &id);
		call.trace = NULL;
		assert_string_equal(buf_cstr(&h.text), cases[i].heard);
		buf_done(&h.text);
	}
}

/* What leads to an endpoint at all: all this without a connection. */
static void test_row46_only_listed_endpoints_are_asked(void **state)
{
	(void)state;
#define SOURCE(url) ",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":{\"endpoint\":\"" url "\"}}"
	static const struct {
		const char *more, *want;
	} cases[] = {
	    {SOURCE("https://claims.example/exact"), "elsewhere"},
	    {SOURCE("https://claims.example/tree/"), "elsewhere"},
	    {SOURCE("https://claims.example/tree/a/b?c=d"), "elsewhere"},
	    {SOURCE("https://claims.example/exact/"), "distributedClaims"},
	    {SOURCE("https://claims.example/exact?x=1"), "distributedClaims"},
	    {SOURCE("https://claims.example/exactly"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/../admin"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/./x"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/x/.."), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/%2e%2e/admin"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/%2E./admin"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/x%2f..%2fadmin"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/x#y"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/a b"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/a\\\\b"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/a\\r\\nHost: x"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/\\u00e9"), "distributedClaims"},
	    {SOURCE("http://169.254.169.254/latest/meta-data"), "distributedClaims"},
	    {SOURCE("http://claims.example/exact"), "distributedClaims"},
	    {SOURCE("HTTPS://claims.example/exact"), "distributedClaims"},
	    {SOURCE("https://CLAIMS.example/exact"), "distributedClaims"},
	    {SOURCE("https://claims.example:443/exact"), "distributedClaims"},
	    {SOURCE("https://claims.example@evil.example/exact"), "distributedClaims"},
	    {SOURCE("https://claims.example.evil.example/tree/"), "distributedClaims"},
	    {SOURCE("https://host.example.evil.example/"), "distributedClaims"},
	    {SOURCE("file:///etc/passwd"), "distributedClaims"},
	    {SOURCE("gopher://claims.example/tree/"), "distributedClaims"},
	    {SOURCE("/tree/"), "distributedClaims"},
	    {SOURCE(""), "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"s\"}", "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"t\":{}}", "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":\"https://claims.example/exact\"}",
		"distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":[]", "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":[\"s\"]},\"_claim_sources\":{\"s\":{}}", "distributedClaims"},
	    {",\"_claim_names\":\"groups\"", "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"\"}", "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":null}", "distributedClaims"},
	    {SOURCE("https://claims.example/tree/a%5c..%5cb"), "distributedClaims"},
	    {SOURCE("https://claims.example/tree/a%5C..%5Cb"), "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":{\"endpoint\":5}}", "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":{\"JWT\":\"a.b.c\"}}",
		"distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":"
	     "{\"endpoint\":\"https://claims.example/exact\",\"access_token\":\"ok-._~+/=9\"}}", "elsewhere"},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":"
	     "{\"endpoint\":\"https://claims.example/exact\",\"access_token\":\"a\\r\\nX: y\"}}", "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":"
	     "{\"endpoint\":\"https://claims.example/exact\",\"access_token\":\"a b\"}}", "distributedClaims"},
	    {",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":"
	     "{\"endpoint\":\"https://claims.example/exact\",\"access_token\":{}}}", "distributedClaims"},
	    /* The normal claim wins; a source of another claim is nobody's business; null is no name. */
	    {",\"groups\":\"x\"" SOURCE("http://169.254.169.254/"), NULL},
	    {",\"_claim_names\":{\"address\":\"s\"}", NULL},
	    {",\"_claim_names\":null", NULL},
	    /* Entra's overage, in both shapes. */
	    {SOURCE("https://graph.windows.net/t/users/u/getMemberObjects"), "distributedClaims"},
	    {",\"hasgroups\":true", "distributedClaims"},
	    {",\"hasgroups\":\"true\"", "distributedClaims"},
	    {",\"hasgroups\":1", "distributedClaims"},
	    {",\"hasgroups\":false", NULL},
	    {",\"hasgroups\":null", NULL},
	    {",\"hasgroups\":true,\"groups\":[\"x\"]", NULL},
	};
	const struct jwt_config *cfg = entry("",
	    "    username: {claim: sub, prefix: \"\"}\n    groups:\n      claim: groups\n      prefix: \"\"\n"
	    "      distributed: {endpoints: [\"https://claims.example/exact\", \"https://claims.example/tree/\"]}\n", "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct identity id;
		const char *more = arena_printf(&arena, ",\"sub\":\"a\"%s", cases[i].more);
		assert_reason(more, refusal(cfg, claims(more), &id), cases[i].want);
		/* Without the list there is no elsewhere. */
		assert_reason(more, refusal(config("sub", ""), claims(more), &id),
		    cases[i].want ? "distributedClaims" : NULL);
	}
	/* Who does not ask for groups does not mind where they are. */
	struct identity id;
	assert_null(refusal(entry("", "    username: {claim: sub, prefix: \"\"}\n", ""),
	    claims(",\"sub\":\"a\"" SOURCE("http://169.254.169.254/")), &id));
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
	    cmocka_unit_test(test_row43_paths_lead_by_names_and_by_nothing_else),
	    cmocka_unit_test(test_paths_serve_every_mapping_and_the_rules),
	    cmocka_unit_test(test_groups_from_the_keys_of_an_object),
	    cmocka_unit_test(test_row34_authorized_parties),
	    cmocka_unit_test(test_row35_kinds_of_token),
	    cmocka_unit_test(test_row38_options_for_email_verified),
	    cmocka_unit_test(test_row39_google),
	    cmocka_unit_test(test_row29_clock_skew),
	    cmocka_unit_test(test_what_a_cache_and_a_denylist_are_told),
	    cmocka_unit_test(test_the_trace_hears_of_each_check_up_to_the_one_that_fails),
	    cmocka_unit_test(test_row46_only_listed_endpoints_are_asked),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
