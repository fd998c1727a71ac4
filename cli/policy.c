/* Owns what the `policy` commands share: loading, --now, --output. */
#include "cli/policy.h"

#include "common/clock.h"

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

bool cli_policy_now(const struct command *self, const char *text, int64_t *now)
{
	*now = clock_now();
	if (!text || clock_parse_rfc3339(slice_of(text), now))
		return true;
	cli_usage(self, "--now: expected a time such as 2026-11-22T10:00:00Z, found %s", text);
	return false;
}

bool cli_policy_output(const struct command *self, const char *text, bool *json)
{
	*json = text && strcmp(text, "json") == 0;
	if (!text || *json || strcmp(text, "text") == 0)
		return true;
	cli_usage(self, "--output: expected text or json, found %s", text);
	return false;
}
