/* Owns `portcullis policy dump`: the compiled policy as canonical text, one line a rule. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/policy.h"

#define DUMP_MAX ((size_t)1 << 30) /* a line for each of very many rules */

static int run(const struct command *self, int argc, char **argv)
{
	const char *path = NULL;
	const struct cli_option options[] = {{"policy", 'p', &path, NULL}, {0}};
	if (!cli_options(self, options, &argc, argv))
		return CLI_USAGE;
	if (!path || argc != 0)
		return cli_usage(self, path ? "unexpected argument" : "--policy is missing");
	AUTO(policy_free) struct policy *p = cli_policy_load(path, authz_run_tests);
	if (!p)
		return CLI_USAGE;
	AUTO(buf_done) struct buf b;
	buf_init(&b, DUMP_MAX);
	policy_dump(p, &b);
	if (b.over)
		return cli_error(self, "%s: more than %zu bytes to print", path, DUMP_MAX);
	fputs(buf_cstr(&b), stdout);
	return CLI_OK;
}

const struct command cmd_policy_dump = {
    .name = "policy dump",
    .args = "--policy PATH",
    .summary = "Prints a policy in canonical form, one line a rule, in the order of evaluation.",
    .help = "  -p, --policy PATH   the policy, a file or a directory\n\n"
	    "Aliases and roles are written out; lists stand sorted. Two policies that print the same\n"
	    "decide the same.\n\n"
	    "Exit codes: 0 printed, 2 the policy does not load.",
    .run = run,
};
