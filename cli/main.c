/* Owns the `portcullis` program: the table of commands, help and the way to them. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "cli/commands.h"
#include "common/httpc.h"
#include "common/jsonx.h"

static const struct command *const commands[] = {
    /* cli/commands.h declares them; one a line, sorted. */
    &cmd_check,
    &cmd_policy_convert,
    &cmd_policy_diff,
    &cmd_policy_dump,
    &cmd_policy_eval,
    &cmd_policy_explain,
    &cmd_policy_lint,
    &cmd_policy_replay,
    &cmd_policy_schema,
    &cmd_policy_sign,
    &cmd_policy_status,
    &cmd_policy_test,
    &cmd_policy_verify,
    &cmd_policy_what_can,
    &cmd_policy_who_can,
    &cmd_sync_explain,
    &cmd_sync_export,
    &cmd_sync_gc,
    &cmd_sync_plan,
    &cmd_sync_rbac,
    &cmd_sync_suspend,
    &cmd_sync_undo,
    &cmd_token_explain,
    NULL,
};

static void print_usage(FILE *to)
{
	fputs("usage: portcullis COMMAND …\n\n"
	      "Checks, tests and explains what portcullisd does. Commands:\n\n",
	    to);
	for (size_t i = 0; commands[i]; i++)
		fprintf(to, "  %-16s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\nportcullis COMMAND --help tells more. Exit codes: 0 fine, 1 the answer is no or\n"
	      "there are findings, 2 wrong usage or unreadable input.\n",
	    to);
}

static int print_help(const struct command *c)
{
	printf("usage: portcullis %s %s\n\n%s\n", c->name, c->args, c->summary);
	if (c->help)
		printf("\n%s\n", c->help);
	return CLI_OK;
}

/* Number of words of C's name that ARGV starts with when it starts with all of them, else 0. */
static int words_matched(const struct command *c, int argc, char **argv)
{
	struct slice first = {c->name, slice_find(slice_of(c->name), ' ')};
	if (argc < 1 || !slice_is(first, argv[0]))
		return 0;
	if (first.len == strlen(c->name))
		return 1;
	return argc >= 2 && strcmp(c->name + first.len + 1, argv[1]) == 0 ? 2 : 0;
}

/* Lists the commands whose first word is WORD; false when there are none. */
static bool print_group(FILE *to, const char *word)
{
	bool any = false;
	for (size_t i = 0; commands[i]; i++) {
		const char *name = commands[i]->name;
		if (!slice_is((struct slice){name, slice_find(slice_of(name), ' ')}, word))
			continue;
		fprintf(to, "  portcullis %s %s\n      %s\n", name, commands[i]->args,
		    commands[i]->summary);
		any = true;
	}
	return any;
}

static int unknown_command(char **argv)
{
	const char *names[64];
	size_t n = 0;
	for (; commands[n] && n < ARRAY_LEN(names); n++)
		names[n] = commands[n]->name;
	struct buf word;
	buf_init(&word, 256);
	buf_printf(&word, "%s%s%s", argv[0], argv[1] ? " " : "", argv[1] ? argv[1] : "");
	const char *near = diag_nearest(buf_view(&word), names, n);
	if (!near)
		near = diag_nearest(slice_of(argv[0]), names, n);
	fprintf(stderr, "portcullis: unknown command `%s`%s%s%s\n", argv[0],
	    near ? ", did you mean `" : "", near ? near : "", near ? "`?" : "");
	buf_done(&word);
	return CLI_USAGE;
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static bool asks_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (is_help(argv[i]))
			return true;
	return false;
}

/* ARGV without the program's name. */
static int dispatch(int argc, char **argv)
{
	for (size_t i = 0; commands[i]; i++) {
		int words = words_matched(commands[i], argc, argv);
		if (words == 0)
			continue;
		if (asks_help(argc - words, argv + words))
			return print_help(commands[i]);
		return commands[i]->run(commands[i], argc - words, argv + words);
	}
	bool help = argc == 2 && is_help(argv[1]);
	if ((argc == 1 || help) && print_group(help ? stdout : stderr, argv[0]))
		return help ? CLI_OK : CLI_USAGE;
	return unknown_command(argv);
}

int main(int argc, char **argv)
{
	int rc;
	jsonx_init();
	httpc_init();
	if (argc < 2) {
		print_usage(stderr);
		return CLI_USAGE;
	}
	if (is_help(argv[1]) || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		rc = CLI_OK;
	} else if (strcmp(argv[1], "--version") == 0) {
		printf("portcullis %s\n", PACKAGE_VERSION);
		rc = CLI_OK;
	} else {
		rc = dispatch(argc - 1, argv + 1);
	}
	/* A full disk or a closed pipe must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "portcullis: standard output: %s\n", strerror(errno));
		return CLI_USAGE;
	}
	return rc;
}
