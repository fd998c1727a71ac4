/* Owns `portcullis policy diff`: what changes for whom between two policies. */
#include "cli/commands.h"
#include "cli/diff_print.h"
#include "cli/policy.h"

static int run(const struct command *self, int argc, char **argv)
{
	const char *now_text = NULL, *ttl_text = NULL, *output = NULL;
	struct diff_options o = {0};
	bool json, all = false;
	const struct cli_option options[] = {{"now", 0, &now_text, NULL},
	    {"authorized-ttl", 0, &ttl_text, NULL}, {"output", 'o', &output, NULL},
	    {"all", 'a', NULL, &all}, {0}};
	if (!cli_options(self, options, &argc, argv) || !cli_now(self, now_text, &o.now) ||
	    !cli_ttl(self, ttl_text, &o.hold) || !cli_output(self, output, &json))
		return CLI_USAGE;
	if (argc != 2)
		return cli_usage(self, "expected the old and the new policy");
	AUTO(policy_free) struct policy *before = cli_policy_load(argv[0], NULL);
	AUTO(policy_free) struct policy *after = cli_policy_load(argv[1], authz_run_tests);
	if (!before || !after)
		return CLI_USAGE;
	AUTO(diff_done) struct diff d;
	diff_policies(before, after, &o, &d);
	if (json)
		diff_print_json(&d, all);
	else
		diff_print_text(&d, all);
	return d.ncells ? CLI_NO : CLI_OK;
}

const struct command cmd_policy_diff = {
    .name = "policy diff",
    .args = "OLD NEW [--now TIME] [--authorized-ttl TTL] [--output FORMAT] [--all]",
    .summary = "Tells which access changes from one policy to another, each with an example.",
    .help = "OLD and NEW are files or directories. Rules are compared by what they do: order,\n"
	    "names and aliases do not matter. Each request that is answered otherwise lies in one\n"
	    "of the cells that are printed, gains of access first.\n\n"
	    "      --now TIME        as of this time (RFC 3339) and each later one at which a rule\n"
	    "                        begins or ceases to hold\n"
	    "      --authorized-ttl TTL   how long the apiserver remembers an allow (default 5m)\n"
	    "  -o, --output FORMAT   text (default) or json\n"
	    "  -a, --all             print all cells, not only the first 100\n\n"
	    "Exit codes: 0 nothing changes, 1 something does, 2 an input that cannot be read.",
    .run = run,
};
