/* Fuzzes the claims of a verified token: whoever leaves the firewall has a sane name that is not reserved. */
#include <strings.h>

#include "authn/claims.h"
#include "authn/distributed.h"
#include "authn/firewall.h"
#include "authn/limits.h"
#include "common/clock.h"
#include "common/jsonx.h"
#include "tests/fuzz/fuzz.h"

#define NOW 1700000000

#define LIST(...)                                                                                  \
	{                                                                                          \
		(const char *const[]){__VA_ARGS__}, ARRAY_LEN(((const char *const[]){__VA_ARGS__}))  \
	}

static const struct jwt_extra_config extra[] = {
    {.key = "example.com/team", .claim = LIST("team")}, {.key = "example.com/deep", .claim = LIST("a", "b")}};
static const struct jwt_claim_rule rules[] = {{.claim = LIST("a", "on"), .required_value = "yes"}};

static const struct string_list audiences = LIST("kubernetes"), by_sub = LIST("sub"),
				by_email = LIST("email"), groups = LIST("groups"), uid = LIST("uid"),
				roles = LIST("a", "roles"), parties = LIST("cli", "kubernetes"),
				domains = LIST("corp.com"), endpoints = LIST("https://c/", "https://d/x");

/* What the configurations differ in: bits of SHAPE. */
enum shape {
	SHAPE_EMAIL = 1,   /* the user name is email, which must be verified */
	SHAPE_PATHS = 2,   /* claims further inside; groups by keys; a rule */
	SHAPE_PARTIES = 4, /* authorizedParties, hostedDomains */
	SHAPE_ACCESS = 8,  /* access tokens too */
	SHAPE_GOOGLE = 16,
	SHAPE_ELSEWHERE = 32, /* groups may be at an endpoint */
	SHAPES = 64
};

static void *list_of(const void *p)
{
	union {
		const void *in;
		void *out;
	} u = {.in = p};
	return u.out;
}

static struct jwt_config config(unsigned shape, const char *prefix)
{
	struct jwt_config c = {
	    .issuer = {.url = shape & SHAPE_GOOGLE ? JWT_GOOGLE : "https://idp",
		.audiences = audiences,
		.signing_algorithms = 1,
		.token_types = shape & SHAPE_ACCESS ? JWT_ID_TOKEN | JWT_ACCESS_TOKEN : JWT_ID_TOKEN},
	    .claim_mappings = {
		.username = {.claim = by_sub, .prefix = prefix},
		.groups = {.claim = groups, .prefix = prefix},
		.extra = {list_of(extra), 2},
	    },
	};
	if (shape & SHAPE_EMAIL) {
		c.claim_mappings.username.claim = by_email;
		c.claim_mappings.username.email_verified = JWT_EMAIL_REQUIRED;
		c.claim_mappings.uid.claim = uid;
	}
	if (shape & SHAPE_PATHS) {
		c.claim_mappings.groups.claim = roles;
		c.claim_mappings.groups.from = JWT_GROUPS_KEYS;
		c.claim_validation_rules = (struct object_list){list_of(rules), 1};
	}
	if (shape & SHAPE_PARTIES) {
		c.issuer.authorized_parties = parties;
		c.issuer.hosted_domains = domains;
	}
	if (shape & SHAPE_ELSEWHERE)
		c.claim_mappings.groups.distributed.endpoints = endpoints;
	return c;
}

static void check_name(struct slice s)
{
	FUZZ_CHECK(s.len > 0 && s.len <= NAME_MAX_BYTES && slice_printable(s));
	FUZZ_CHECK(s.len < 7 || strncasecmp(s.p, "system:", 7) != 0);
	FUZZ_CHECK(s.len < 8 || strncasecmp(s.p, "kubeadm:", 8) != 0);
}

static void check_identity(const struct identity *id)
{
	check_name(id->username);
	FUZZ_CHECK(id->expires > NOW && id->ngroups <= GROUPS_MAX && id->nextra <= 3);
	for (size_t i = 0; i < id->ngroups; i++) {
		check_name(id->groups[i]);
		FUZZ_CHECK(i == 0 || slice_cmp(id->groups[i - 1], id->groups[i]) < 0);
	}
	for (size_t i = 0; i < id->nextra; i++) {
		FUZZ_CHECK(id->extra[i].n > 0 && id->extra[i].n <= EXTRA_VALUES_MAX);
		for (size_t k = 0; k < id->extra[i].n; k++)
			FUZZ_CHECK(slice_printable(id->extra[i].values[k]));
	}
}

static void check_source(const struct jwt_config *cfg, const json_t *claims, struct authn_call *call)
{
	struct distributed_source src;
	FUZZ_CHECK(distributed_find(&cfg->claim_mappings.groups, claims, call, &src));
	FUZZ_CHECK(slice_starts(src.url, SLICE("https://c/")) || slice_is(src.url, "https://d/x"));
	FUZZ_CHECK(!memchr(src.url.p, '\n', src.url.len) && slice_printable(src.access));
}

static void check_promises(const struct jwt_config *cfg, unsigned shape, const json_t *claims)
{
	if (shape & SHAPE_EMAIL)
		FUZZ_CHECK(json_is_true(json_object_get(claims, "email_verified")));
	if (shape & SHAPE_PARTIES)
		FUZZ_CHECK(strcmp(json_string_value(json_object_get(claims, "hd")), "corp.com") == 0);
	if (shape & SHAPE_PATHS)
		FUZZ_CHECK(json_is_object(json_object_get(claims, "a")));
	FUZZ_CHECK(!json_object_get(claims, "events"));
	FUZZ_CHECK(cfg->issuer.token_types & JWT_ACCESS_TOKEN || !json_object_get(claims, "scp"));
}

static void try_mapping(json_t *claims, unsigned shape, const char *prefix)
{
	AUTO(arena_done) struct arena a = {0};
	struct jwt_config cfg = config(shape, prefix);
	const char *typ = shape & SHAPE_ACCESS && json_object_get(claims, "at") ? "at+jwt" : "JWT";
	struct jose_token t = {.claims = claims, .typ = slice_of(typ)};
	struct authn_call call = {.arena = &a, .now = NOW * CLOCK_SECOND};
	enum authn_step step = claims_identity(&cfg, &t, &call);
	struct identity id = call.id;
	FUZZ_CHECK(step != AUTHN_PASS && call.keep >= 0);
	if (step == AUTHN_REJECT || !firewall_pass(&id, &a, &call.reason, &call.why)) {
		FUZZ_CHECK(call.reason && call.why.code != ERR_OK && call.why.msg[0] != '\0');
		return;
	}
	check_identity(&id);
	check_promises(&cfg, shape, claims);
	FUZZ_CHECK(slice_starts(id.username, slice_of(prefix)));
	if (step == AUTHN_NEEDS_WORK)
		check_source(&cfg, claims, &call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(jsonx_unref) json_t *claims = NULL;
	struct err e = {0};
	if (jsonx_object(fuzz_slice(data, size), JOSE_TOKEN_MAX, &claims, &e) != ERR_OK)
		return 0;
	for (unsigned shape = 0; shape < SHAPES; shape++)
		try_mapping(claims, shape, shape % 3 == 0 ? "" : shape % 3 == 1 ? "sys" : "p:");
	return 0;
}
