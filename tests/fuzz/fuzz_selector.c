/* Fuzzes label selectors: what is read is deterministic, keeps its limits, and what a term says of a label, its
 * opposite denies. */
#include "common/jsonx.h"
#include "rbac-sync/selector.h"
#include "tests/fuzz/fuzz.h"

static bool fits(struct arena *a, struct slice text, const json_t *labels, bool *out)
{
	struct selector *s = NULL;
	struct err e = {0};
	enum err_code rc = selector_parse(text, a, &s, &e);
	FUZZ_CHECK((rc == ERR_OK) == (s != NULL));
	if (rc != ERR_OK) {
		FUZZ_CHECK(rc == ERR_INVALID && e.msg[0] && slice_printable(slice_of(e.msg)));
		return false;
	}
	*out = selector_matches(s, labels);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = fuzz_slice(data, size);
	json_t *labels[] = {NULL, json_pack("{s:s}", "x", "a"), json_pack("{s:s, s:s, s:s}", "x", "b", "y", "7", "in", "")};
	struct arena a;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		bool one, again, both;
		if (!fits(&a, text, labels[i], &one))
			break;
		FUZZ_CHECK(fits(&a, text, labels[i], &again) && one == again);
		/* Alone it does not hold trailing commas: another term may follow. It narrows, never widens. */
		const char *more = arena_printf(&a, SLICE_FMT ",x", SLICE_ARG(text));
		if (memchr(text.p, 0, text.len) == NULL && fits(&a, slice_of(more), labels[i], &both))
			FUZZ_CHECK(!both || one);
		json_decref(labels[i]);
		labels[i] = NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		json_decref(labels[i]);
	arena_done(&a);
	return 0;
}
