/* Fuzzes zone files: what is read has its changes in order, none without effect, and offsets that a clock can
 * show; each change is found at its moment and not before. */
#include "common/zone.h"
#include "tests/fuzz/fuzz.h"

#define OFFSET_MAX (26 * 3600)

static bool sane(int32_t offset)
{
	return offset >= -OFFSET_MAX && offset <= OFFSET_MAX;
}

static void check(const struct zone *z)
{
	int64_t until;
	int32_t offset = z->first;
	FUZZ_CHECK(sane(offset));
	for (uint32_t i = 0; i < z->n; i++) {
		const struct zone_change *c = &z->changes[i];
		FUZZ_CHECK(sane(c->offset) && c->offset != offset);
		FUZZ_CHECK(i == 0 || c->at > z->changes[i - 1].at);
		if (c->at > INT64_MIN) {
			FUZZ_CHECK(zone_offset(z, c->at - 1, &until) == offset);
			FUZZ_CHECK(until == c->at);
		}
		offset = c->offset;
		FUZZ_CHECK(zone_offset(z, c->at, &until) == offset);
	}
	FUZZ_CHECK(zone_offset(z, INT64_MAX, &until) == offset && until == INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice file = fuzz_slice(data, size);
	struct arena a = {0};
	struct err e = {0};
	const struct zone *z = NULL;
	enum err_code code = zone_parse(&a, "Fuzz/Zone", file, &z, &e);
	FUZZ_CHECK((code == ERR_OK) == (z != NULL) && (code == ERR_OK || e.msg[0]));
	if (z)
		check(z);
	/* The rule alone, which the counts of a whole file keep out of a fuzzer's reach. */
	struct zone_list l = {.arena = &a};
	if (zone_add_rule(&l, INT64_MIN, file))
		check(&(struct zone){.changes = l.v, .n = (uint32_t)l.n});
	arena_done(&a);
	return 0;
}
