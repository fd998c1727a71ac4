/* Fuzzes the review reader against jansson: both must accept and read the same. */
#include "tests/fuzz/fuzz.h"
#include "tests/support/json_twin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = json_twin_differ(fuzz_slice(data, size));
	if (why)
		fprintf(stderr, "%s\n", why);
	FUZZ_CHECK(!why);
	return 0;
}
