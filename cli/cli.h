/* What every sub-command of `portcullis` is made of. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "common/arena.h"
#include "common/clock.h"
#include "common/diag.h"
#include "common/err.h"
#include "common/str.h"

/* Exit codes: scripts branch on them. */
enum {
	CLI_OK = 0,
	CLI_NO = 1,    /* the answer is no, or there are findings */
	CLI_USAGE = 2, /* wrong usage, or an input that cannot be read or parsed */
};

/* A command is one const struct in one file. To add one: write it, declare it in cli/commands.h, name it in
 * the table of cli/main.c. The frame answers --help and -h itself. */
struct command {
	const char *name;    /* one word ("check") or two ("policy eval") */
	const char *args;    /* "--policy PATH [--now T]": for the usage line */
	const char *summary; /* one line for the list of commands */
	const char *help;    /* what more there is to say, options included; NULL: nothing */
	/* ARGV holds what stood after the name, ARGC of them and a NULL. Returns an exit code. */
	int (*run)(const struct command *self, int argc, char **argv);
};

/* An option: either VALUE or FLAG is not NULL and is set when the option stands there. Both start as NULL
 * and false; defaults are filled in afterwards. */
struct cli_option {
	const char *name;   /* without dashes: "config" for --config; NULL ends a table */
	char letter;	    /* 'n' for -n; 0: none */
	const char **value; /* takes a value: --config FILE, --config=FILE, -c FILE */
	bool *flag;	    /* takes none */
};

/* Takes the options out of ARGV (until "--") and moves the operands to its front, setting *ARGC to their
 * number. An option given twice, unknown or without its value: tells so on stderr and returns false; the
 * command then returns CLI_USAGE. */
bool cli_options(
    const struct command *self, const struct cli_option *options, int *argc, char **argv);

/* The values of an option that may be given many times. */
#define CLI_VALUES_MAX 64
struct cli_values {
	const char *v[CLI_VALUES_MAX];
	size_t n;
};

/* Takes every --NAME VALUE, --NAME=VALUE and -LETTER VALUE out of ARGV, before cli_options takes the rest.
 * OUT starts zeroed. False after telling what is wrong. */
bool cli_repeated(const struct command *self, const char *name, char letter,
    struct cli_values *out, int *argc, char **argv);

/* Says on stderr what is wrong with the usage and where help is. Returns CLI_USAGE. */
int cli_usage(const struct command *self, const char *fmt, ...) PRINTF(2, 3);

/* "portcullis NAME: TEXT" on stderr. Returns CLI_USAGE. */
int cli_error(const struct command *self, const char *fmt, ...) PRINTF(2, 3);

/* Takes --now: RFC 3339, or the wall clock when TEXT is NULL. False after telling what is wrong. */
bool cli_now(const struct command *self, const char *text, int64_t *now);

/* Takes --authorized-ttl: a duration, or CLI_TTL when TEXT is NULL. False after telling what is wrong. */
#define CLI_TTL (300 * CLOCK_SECOND) /* as authorization.apiserverAuthorizedTTL when it is not set */
bool cli_ttl(const struct command *self, const char *text, int64_t *ttl);

/* Takes --output: "text" (or NULL) and "json". False after telling what is wrong. */
bool cli_output(const struct command *self, const char *text, bool *json);

/* All findings on stderr, "file:line:col: error: text" each. */
void cli_print_diags(const struct diags *d);

/* All of standard input into ARENA. ERR_LIMIT when there are more than MAX bytes. */
enum err_code cli_read_stdin(
    struct arena *a, size_t max, struct slice *out, struct err *e) MUST_CHECK;

#endif
