/* Fuzzes imported ABAC files. */
#include "tests/fuzz/import_props.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return check_import(POLICY_FILE_ABAC, fuzz_slice(data, size));
}
