/* Owns `portcullis policy verify`: would the server take this policy's signatures? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "server/gate.h"

static bool take_threshold(const struct command *self, const char *text, int64_t *out)
{
	char *end = NULL;
	errno = 0;
	long n = text ? strtol(text, &end, 10) : 1;
	*out = n;
	if (!text || (errno == 0 && *text >= '1' && *text <= '9' && *end == '\0' && n <= POLICY_KEYS_MAX))
		return true;
	cli_usage(self, "--threshold: expected a number from 1 to %d", POLICY_KEYS_MAX);
	return false;
}

static void print_served(const struct served_policy *p, bool json)
{
	const struct policy_info *i = policy_info(p->policy);
	if (!json) {
		printf("generation %lld, sha256 %s, signed by %s\n", (long long)i->generation, i->sha256,
		    p->signed_by);
		return;
	}
	printf("{\"generation\":%lld,\"sha256\":\"%s\",\"signedBy\":[", (long long)i->generation,
	    i->sha256);
	for (size_t k = 0; k < p->nsigners; k++)
		printf("%s\"%s\"", k ? "," : "", p->signers[k]);
	puts("]}");
}

static int verify(const struct authorization_config *c, bool json)
{
	const struct gate gate = {.config = c};
	struct gate_files files;
	struct served_policy *p = NULL;
	struct diags d = {0};
	const char *stage;
	gate_read(c, &files);
	enum err_code code = gate_pass(&gate, &files, &p, &stage, &d);
	cli_print_diags(&d);
	diags_done(&d);
	bool unread = strcmp(stage, "read") == 0 || files.nkeys < c->signatures.public_keys.len;
	gate_files_done(&files);
	if (code != ERR_OK)
		return unread ? CLI_USAGE : CLI_NO;
	print_served(p, json);
	served_free(&p);
	return CLI_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *threshold = NULL, *output = NULL;
	struct cli_values keys = {0};
	const struct cli_option options[] = {
	    {"threshold", 't', &threshold, NULL}, {"output", 'o', &output, NULL}, {0}};
	struct authorization_config c = {.present = true, .max_shrink = 100};
	bool json;
	if (!cli_repeated(self, "public-key", 'p', &keys, &argc, argv) ||
	    !cli_options(self, options, &argc, argv) || !cli_output(self, output, &json) ||
	    !take_threshold(self, threshold, &c.signatures.threshold))
		return CLI_USAGE;
	if (argc != 1 || keys.n == 0)
		return cli_usage(self, "expected --public-key FILE and one file or directory");
	c.policy = argv[0];
	c.signatures.present = true;
	c.signatures.public_keys = (struct string_list){keys.v, keys.n};
	return verify(&c, json);
}

const struct command cmd_policy_verify = {
    .name = "policy verify",
    .args = "--public-key FILE... [--threshold N] PATH",
    .summary = "Checks the signatures of a policy.",
    .help = "PATH is a file or a directory; its signatures stand in PATH.sig or PATH/policy.sig. Every file\n"
	    "must be what was signed, none may be missing or added, and the policy must load.\n\n"
	    "  -p, --public-key FILE   Ed25519 public key, PEM; may be given many times\n"
	    "  -t, --threshold N       how many of the keys must have signed (default 1)\n"
	    "  -o, --output FORMAT     text (default) or json\n\n"
	    "Exit codes: 0 signed as asked, 1 not, 2 the policy or a key cannot be read.",
    .run = run,
};
