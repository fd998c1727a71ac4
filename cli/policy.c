/* Owns what the `policy` commands share: loading. */
#include "cli/policy.h"

struct policy *cli_policy_load(const char *path, policy_test_fn *tests)
{
	AUTO(arena_done) struct arena arena = {0};
	struct diags d = {0};
	struct policy_file *files;
	struct policy *p = NULL;
	size_t n;
	/* Each failure adds a finding, so the codes say nothing that D does not. */
	if (policy_read(&arena, path, &files, &n, &d) == ERR_OK &&
	    policy_compile(files, n, tests, &p, &d) != ERR_OK)
		p = NULL;
	cli_print_diags(&d);
	diags_done(&d);
	return p;
}
