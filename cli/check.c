/* Owns `portcullis check`: the configuration and the policy it names, judged as the daemon would. */
#include <stdio.h>

#include "authz/authz.h"
#include "cli/commands.h"
#include "common/file.h"
#include "policy/policy.h"
#include "server/config.h"

/* What a check holds while it runs. */
struct check {
	struct arena arena;
	struct diags diags;
	struct config *config;
	struct policy *policy;
};

static void check_done(struct check *c)
{
	policy_free(&c->policy);
	config_free(&c->config);
	diags_done(&c->diags);
	arena_done(&c->arena);
}

/* Whether CODE tells that a file could not be read, as against that something wrong stands in it. */
static bool unreadable(enum err_code code)
{
	return code == ERR_NOT_FOUND || code == ERR_REFUSED || code == ERR_UNAVAILABLE;
}

static int check_policy(struct check *c)
{
	struct policy_file *files = NULL;
	size_t n = 0;
	const char *path = c->config->authorization.policy;
	enum err_code code = policy_read(&c->arena, path, &files, &n, &c->diags);
	if (code == ERR_OK)
		code = policy_compile(files, n, authz_run_tests, &c->policy, &c->diags);
	if (code == ERR_OK)
		return CLI_OK;
	return unreadable(code) ? CLI_USAGE : CLI_NO;
}

static int check_file(const struct command *self, struct check *c, const char *path)
{
	struct slice text;
	struct err e = {0};
	if (file_read(&c->arena, path, CONFIG_BYTES_MAX, &text, &e) != ERR_OK)
		return cli_error(self, "%s", e.msg);
	if (config_parse(path, text, &c->config, &c->diags) != ERR_OK)
		return CLI_NO;
	return c->config->authorization.present ? check_policy(c) : CLI_OK;
}

static void print_ok(const struct check *c, const char *path)
{
	if (!c->policy) {
		printf("%s: ok (no policy)\n", path);
		return;
	}
	const struct policy_info *info = policy_info(c->policy);
	printf("%s: ok (%zu rules, generation %lld)\n", path, info->rules, (long long)info->generation);
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *path = NULL;
	const struct cli_option options[] = {{"config", 'c', &path, NULL}, {0}};
	if (!cli_options(self, options, &argc, argv))
		return CLI_USAGE;
	if (argc > 0)
		return cli_usage(self, "unexpected argument %s", argv[0]);
	if (!path)
		path = CONFIG_DEFAULT_PATH;
	struct check c = {0};
	int rc = check_file(self, &c, path);
	cli_print_diags(&c.diags);
	if (rc == CLI_OK)
		print_ok(&c, path);
	check_done(&c);
	return rc;
}

const struct command cmd_check = {
    .name = "check",
    .args = "[--config FILE]",
    .summary = "Validates the configuration and the policy it names, without starting anything.",
    .help = "  -c, --config FILE   the configuration; default " CONFIG_DEFAULT_PATH "\n\n"
	    "Findings go to standard error as file:line:col. Exit codes: 0 fine (warnings may be\n"
	    "printed), 1 errors, 2 a file that cannot be read.",
    .run = run,
};
