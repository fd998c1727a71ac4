/* Fuzzes the claims of a verified token: whoever leaves the firewall has a sane name that is not reserved. */
#include <strings.h>

#include "authn/claims.h"
#include "authn/firewall.h"
#include "authn/limits.h"
#include "common/jsonx.h"
#include "tests/fuzz/fuzz.h"

#define NOW 1700000000

static const char *const audiences[] = {"kubernetes"};
static const struct jwt_extra_config extra[] = {{.key = "example.com/team", .claim = "team"}};

static struct jwt_config config(bool by_email, const char *prefix)
{
	union {
		const struct jwt_extra_config *in;
		void *out;
	} list = {.in = extra};
	return (struct jwt_config){
	    .issuer = {.url = "https://idp", .audiences = {audiences, 1}},
	    .claim_mappings = {
		.username = {.claim = by_email ? "email" : "sub", .prefix = prefix},
		.groups = {.claim = "groups", .prefix = prefix},
		.uid = {.claim = by_email ? "uid" : NULL},
		.extra = {list.out, 1},
	    },
	};
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
	FUZZ_CHECK(id->expires > NOW && id->ngroups <= GROUPS_MAX && id->nextra <= 2);
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

static void try_mapping(const json_t *claims, bool by_email, const char *prefix)
{
	AUTO(arena_done) struct arena a = {0};
	struct jwt_config cfg = config(by_email, prefix);
	struct identity id;
	struct err e = {0};
	const char *reason = NULL;
	if (claims_identity(&cfg, claims, NOW, &a, &id, &reason, &e) != ERR_OK ||
	    !firewall_pass(&id, &a, &reason, &e)) {
		FUZZ_CHECK(reason && e.code != ERR_OK && e.msg[0] != '\0');
		return;
	}
	check_identity(&id);
	FUZZ_CHECK(slice_starts(id.username, slice_of(prefix)));
	if (by_email)
		FUZZ_CHECK(!json_object_get(claims, "email_verified") ||
			   json_is_true(json_object_get(claims, "email_verified")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(jsonx_unref) json_t *claims = NULL;
	struct err e = {0};
	if (jsonx_object(fuzz_slice(data, size), JOSE_TOKEN_MAX, &claims, &e) != ERR_OK)
		return 0;
	try_mapping(claims, false, "");
	try_mapping(claims, false, "sys");
	try_mapping(claims, true, "p:");
	return 0;
}
