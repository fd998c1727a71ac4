/* Fuzzes what Keystone may answer and what may be shown in place of its tokens: who leaves the mapping has a
 * name of its domain, groups under the prefix, and a token that was read whole. */
#include "authn/firewall.h"
#include "authn/keystone.h"
#include "authn/limits.h"
#include "common/jsonx.h"
#include "tests/fuzz/fuzz.h"

static const char *const projects[] = {"Default/team", "p1"};
static const char *const groups[] = {"mapped"};
static struct keystone_role_mapping mappings[] = {
    {.role = "admin", .project = "Default/team", .groups = {groups, 1}}};

static bool text_shaped(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.len > 0;
}

static void try_shapes(struct slice text)
{
	struct slice id, secret;
	/* What is sent in a header can end none. */
	if (keystone_fernet_shaped(text) || keystone_uuid_shaped(text))
		FUZZ_CHECK(text.len >= 32 && text.len <= KEYSTONE_TOKEN_MAX && text_shaped(text));
	if (keystone_credential_shaped(text, "cloud", &id, &secret))
		FUZZ_CHECK(text_shaped(id) && text_shaped(secret) && keystone_id_shaped(id));
}

static void check_identity(const struct keystone_config *cfg, const struct keystone_token *t,
    const struct authn_call *call)
{
	const struct identity *id = &call->id;
	FUZZ_CHECK(slice_starts(id->username, SLICE("os:")) && slice_eq(id->uid, t->user_id));
	FUZZ_CHECK(t->scope & cfg->scopes);
	FUZZ_CHECK(!t->access_rules && !t->bound && (!t->delegated || cfg->delegated));
	if (cfg->names == KEYSTONE_QUALIFIED) {
		struct slice name = slice_skip(id->username, 3);
		size_t slash = slice_find(name, '/');
		FUZZ_CHECK(slice_eq((struct slice){name.p, slash}, t->domain_name));
		FUZZ_CHECK(slice_eq(slice_skip(name, slash + 1), t->user_name));
	}
	for (size_t i = 0; i < id->ngroups; i++)
		FUZZ_CHECK(slice_starts(id->groups[i], SLICE("g:")));
	FUZZ_CHECK(call->credential.id.len > 0 && id->expires == t->expires);
}

static void try_mapping(const struct keystone_token *t, enum keystone_names names, bool delegated)
{
	static const char *const domain[] = {"Default"};
	AUTO(arena_done) struct arena a = {0};
	struct keystone_config cfg = {
	    .names = (int)names,
	    .username_prefix = "os:",
	    .groups_prefix = "g:",
	    .groups_from = 0x3f,
	    .scopes = delegated ? 0xf : KEYSTONE_SCOPE_PROJECT,
	    .delegated = delegated,
	    .domains = {domain, names == KEYSTONE_PLAIN},
	    .projects = {projects, delegated ? 0 : ARRAY_LEN(projects)},
	    .role_mappings = {mappings, 1},
	};
	struct authn_call call = {.arena = &a};
	struct err e = {0};
	const char *reason = NULL;
	if (keystone_identity(&cfg, t, t->roles, t->nroles, &call, &reason, &e) != ERR_OK) {
		FUZZ_CHECK(reason && e.code == ERR_REFUSED && e.msg[0] && call.id.username.len == 0);
		return;
	}
	check_identity(&cfg, t, &call);
	FUZZ_CHECK(firewall_pass(&call.id, &a, &reason, &e) || reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = {0};
	struct keystone_token t;
	struct err e = {0};
	const struct slice *names;
	size_t n;
	struct slice text = fuzz_slice(data, size);
	try_shapes(text);
	if (keystone_groups_read(text, SLICE("default"), &a, &names, &n, &e) == ERR_OK)
		for (size_t i = 0; i < n; i++)
			FUZZ_CHECK(names[i].len > 0);
	if (keystone_token_read(text, &a, &t, &e) != ERR_OK) {
		FUZZ_CHECK(e.code != ERR_OK && e.msg[0]);
		return 0;
	}
	FUZZ_CHECK(t.user_id.len && t.user_name.len && t.domain_id.len && t.domain_name.len);
	FUZZ_CHECK(t.naudit_ids && t.expires > 0 && t.issued > 0 && t.nroles <= KEYSTONE_ROLES_MAX);
	FUZZ_CHECK((t.scope == KEYSTONE_SCOPE_PROJECT) == (t.project_id.len > 0));
	try_mapping(&t, KEYSTONE_QUALIFIED, false);
	try_mapping(&t, KEYSTONE_QUALIFIED, true);
	try_mapping(&t, KEYSTONE_PLAIN, true);
	return 0;
}
