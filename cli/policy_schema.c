/* Owns `portcullis policy schema`: the JSON Schema of the policy language, for editors. */
#include <stdio.h>

#include "cli/commands.h"
#include "common/schema.h"
#include "policy/policy.h"

#define SCHEMA_MAX ((size_t)4 << 20)

static int run(const struct command *self, int argc, char **argv)
{
	const struct cli_option options[] = {{0}};
	if (!cli_options(self, options, &argc, argv))
		return CLI_USAGE;
	if (argc != 0)
		return cli_usage(self, "unexpected argument");
	struct buf b;
	buf_init(&b, SCHEMA_MAX);
	schema_print_json(policy_schema(), "AccessPolicy of Portcullis", &b);
	fputs(buf_cstr(&b), stdout);
	buf_done(&b);
	return CLI_OK;
}

const struct command cmd_policy_schema = {
    .name = "policy schema",
    .args = "",
    .summary = "Prints the JSON Schema of the policy language, for editors.",
    .help = "It tells editors the keys, their meaning, and what may stand there. A comment in the first\n"
	    "line of a policy names the file to editors that use yaml-language-server:\n\n"
	    "  # yaml-language-server: $schema=access-policy.schema.json\n\n"
	    "Names that refer to others, and whatever several keys decide together, only the loader\n"
	    "checks: portcullis policy test PATH.\n\n"
	    "Exit codes: 0 printed, 2 wrong usage.",
    .run = run,
};
