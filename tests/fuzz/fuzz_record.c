/* Fuzzes UserRecords: what is read is in its bounds, and what is written of it reads back the same. */
#include "common/jsonx.h"
#include "common/secret.h"
#include "rbac-sync/record.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)1 << 20)

static void check_bounds(const struct record *r)
{
	char key[SPOOL_KEY_LEN + 1];
	spool_key(r->identity.provider, r->identity.username, key);
	FUZZ_CHECK(strcmp(key, r->name) == 0);
	FUZZ_CHECK(r->identity.provider.len && r->identity.username.len);
	FUZZ_CHECK(r->identity.ngroups <= RECORD_GROUPS_MAX && r->nbindings <= RECORD_BINDINGS_MAX);
	FUZZ_CHECK(r->nnodes <= RECORD_NODES_MAX && r->nconditions <= RECORD_CONDITIONS_MAX);
	FUZZ_CHECK(r->nlost <= RECORD_GROUPS_MAX);
	for (size_t i = 0; i < r->nlost; i++)
		FUZZ_CHECK(record_lost(r, r->lost[i].group) == &r->lost[i] && r->lost[i].since > 0);
	FUZZ_CHECK(r->expires_at >= 0 && r->identity.iat >= 0 && r->generation >= 0);
	for (size_t i = 0; i < r->nbindings; i++) {
		const struct object_id *id = &r->bindings[i].id;
		FUZZ_CHECK(id->kind < KIND_COUNT && id->name);
		FUZZ_CHECK((id->namespace_ != NULL) == object_types[id->kind].namespaced);
	}
}

/* The status that stands in PATCH, without the members that are null. */
static json_t *merged(const json_t *patch)
{
	json_t *out = json_object(), *value;
	const char *key;
	json_object_foreach(json_object_get(patch, "status"), key, value)
	{
		if (!json_is_null(value))
			json_object_set(out, key, value);
	}
	return out;
}

static void check_round_trip(const struct record *r, struct arena *a)
{
	struct record back;
	struct err e;
	uint8_t x[SHA256_LEN], y[SHA256_LEN];
	json_t *o = record_spec(&r->identity), *patch = record_status(r);
	json_object_set_new(o, "status", merged(patch));
	FUZZ_CHECK(record_read(o, a, &back, &e) == ERR_OK);
	spool_digest(&r->identity, x);
	spool_digest(&back.identity, y);
	FUZZ_CHECK(memcmp(x, y, sizeof(x)) == 0);
	FUZZ_CHECK(r->identity.seen_at == back.identity.seen_at && r->identity.iat == back.identity.iat);
	FUZZ_CHECK(record_status_eq(r, &back) && record_status_eq(&back, r));
	FUZZ_CHECK(record_merge(&back, &r->identity, 1) == MERGE_SAME);
	json_decref(o);
	json_decref(patch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct record r;
	struct err e;
	json_t *o = NULL;
	arena_init(&a, 0);
	if (jsonx_object(fuzz_slice(data, size), INPUT_MAX, &o, &e) == ERR_OK) {
		enum err_code rc = record_read(o, &a, &r, &e);
		FUZZ_CHECK(rc == ERR_OK || rc == ERR_INVALID);
		if (rc == ERR_OK) {
			check_bounds(&r);
			check_round_trip(&r, &a);
		}
	}
	jsonx_unref(&o);
	arena_done(&a);
	return 0;
}
