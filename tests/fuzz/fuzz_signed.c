/* Fuzzes the files of signatures: what is taken has one spelling, its manifest is its beginning, and nobody's
 * signature is found in it. */
#include "policy/signed.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = fuzz_slice(data, size);
	struct policy_signed s;
	struct policy_signers by;
	struct sign_key key = {.raw = {1}};
	struct err e = {0};
	if (policy_signed_parse(text, &s, &e) != ERR_OK) {
		FUZZ_CHECK(e.msg[0] != '\0');
		return 0;
	}
	FUZZ_CHECK(s.nsigs > 0 && s.nsigs <= POLICY_SIGNATURES_MAX && s.generation >= 0);
	FUZZ_CHECK(s.manifest.len < size && slice_starts(text, s.manifest));
	struct buf again;
	buf_init(&again, size + 1);
	policy_signed_write(s.manifest, s.sigs, s.nsigs, &again);
	FUZZ_CHECK(slice_eq(buf_view(&again), text));
	buf_done(&again);
	memcpy(key.id, s.sigs[0].key, sizeof(key.id));
	FUZZ_CHECK(policy_signed_by(&s, &key, 1, 1, &by, &e) == ERR_REFUSED && by.n == 0);
	return 0;
}
