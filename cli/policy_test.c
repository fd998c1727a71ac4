/* Owns `portcullis policy test`: the tests that stand in a policy, run. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/policy.h"

static void print_json(const struct diags *d, size_t passed)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_printf(&b, "{\"passed\":%zu,\"failed\":%zu,\"failures\":[", passed, d->errors);
	for (size_t i = 0; i < d->len; i++) {
		buf_adds(&b, i ? ",{\"file\":" : "{\"file\":");
		buf_json(&b, slice_of(d->items[i].file));
		buf_printf(
		    &b, ",\"line\":%u,\"column\":%u,\"text\":", d->items[i].line, d->items[i].col);
		buf_json(&b, slice_of(d->items[i].text));
		buf_addc(&b, '}');
	}
	buf_adds(&b, "]}");
	puts(buf_cstr(&b));
	buf_done(&b);
}

static int run_tests(const struct policy *p, bool json)
{
	struct diags d = {0};
	authz_run_tests(p, &d);
	size_t passed = policy_info(p)->tests - d.errors;
	if (json) {
		print_json(&d, passed);
	} else {
		cli_print_diags(&d);
		printf("%zu passed, %zu failed\n", passed, d.errors);
	}
	int rc = d.errors ? CLI_NO : CLI_OK;
	diags_done(&d);
	return rc;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *output = NULL;
	const struct cli_option options[] = {{"output", 'o', &output, NULL}, {0}};
	bool json;
	if (!cli_options(self, options, &argc, argv) || !cli_output(self, output, &json))
		return CLI_USAGE;
	if (argc != 1)
		return cli_usage(self, "expected one file or directory");
	AUTO(policy_free) struct policy *p = cli_policy_load(argv[0], NULL);
	return p ? run_tests(p, json) : CLI_USAGE;
}

const struct command cmd_policy_test = {
    .name = "policy test",
    .args = "PATH",
    .summary = "Runs the tests that stand in a policy.",
    .help = "PATH is a file or a directory of *.yaml and *.yml files.\n\n"
	    "  -o, --output FORMAT   text (default) or json\n\n"
	    "Exit codes: 0 all passed, 1 some failed, 2 the policy does not load.",
    .run = run,
};
