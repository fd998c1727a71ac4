/* Owns what sub-commands share: options, messages, standard input. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"

#define DIAGS_TEXT_MAX ((size_t)1 << 20)
#define OPTIONS_MAX 32 /* of one command */

PRINTF(2, 0)
static void say(const struct command *self, const char *fmt, va_list ap)
{
	fprintf(stderr, "portcullis %s: ", self->name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int cli_error(const struct command *self, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(self, fmt, ap);
	va_end(ap);
	return CLI_USAGE;
}

int cli_usage(const struct command *self, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(self, fmt, ap);
	va_end(ap);
	fprintf(stderr, "usage: portcullis %s %s\nMore: portcullis %s --help\n", self->name,
	    self->args, self->name);
	return CLI_USAGE;
}

static const struct cli_option *find_long(const struct cli_option *options, struct slice name)
{
	for (const struct cli_option *o = options; o->name; o++)
		if (slice_is(name, o->name))
			return o;
	return NULL;
}

static const struct cli_option *find_letter(const struct cli_option *options, char letter)
{
	for (const struct cli_option *o = options; o->name; o++)
		if (letter && o->letter == letter)
			return o;
	return NULL;
}

static bool unknown(const struct command *self, const struct cli_option *options, const char *arg)
{
	const char *names[OPTIONS_MAX];
	size_t n = 0;
	for (; options[n].name && n < OPTIONS_MAX; n++)
		names[n] = options[n].name;
	struct slice word = {arg, slice_find(slice_of(arg), '=')};
	while (word.len && word.p[0] == '-')
		word = slice_skip(word, 1);
	const char *near = diag_nearest(word, names, n);
	if (near)
		cli_usage(self, "unknown option %s, did you mean --%s?", arg, near);
	else
		cli_usage(self, "unknown option %s", arg);
	return false;
}

/* Sets O from its inline VALUE ("--x=value") or from NEXT; *USED tells that NEXT was taken. */
static bool set(const struct command *self, const struct cli_option *o, const char *inline_value,
    const char *next, bool *used)
{
	if (o->flag && (inline_value || *o->flag)) {
		cli_usage(self, "--%s %s", o->name, inline_value ? "takes no value" : "stands twice");
		return false;
	}
	if (o->flag) {
		*o->flag = true;
		return true;
	}
	*used = !inline_value;
	const char *value = inline_value ? inline_value : next;
	if (!value || *o->value) {
		cli_usage(self, "--%s %s", o->name, value ? "stands twice" : "needs a value");
		return false;
	}
	*o->value = value;
	return true;
}

static bool take_option(const struct command *self, const struct cli_option *options,
    const char *arg, const char *next, bool *used)
{
	if (arg[1] != '-') {
		const struct cli_option *o = arg[2] ? NULL : find_letter(options, arg[1]);
		return o ? set(self, o, NULL, next, used) : unknown(self, options, arg);
	}
	struct slice name = {arg + 2, slice_find(slice_of(arg + 2), '=')};
	const struct cli_option *o = find_long(options, name);
	if (!o)
		return unknown(self, options, arg);
	return set(self, o, name.p[name.len] ? name.p + name.len + 1 : NULL, next, used);
}

bool cli_options(
    const struct command *self, const struct cli_option *options, int *argc, char **argv)
{
	int operands = 0;
	bool open = true;
	/* A lone "-" is an operand: it means standard input where a file is expected. */
	for (int i = 0; i < *argc; i++) {
		bool used = false;
		if (open && strcmp(argv[i], "--") == 0)
			open = false;
		else if (!open || argv[i][0] != '-' || argv[i][1] == '\0')
			argv[operands++] = argv[i];
		else if (!take_option(self, options, argv[i], argv[i + 1], &used))
			return false;
		i += used;
	}
	argv[operands] = NULL;
	*argc = operands;
	return true;
}

/* True when ARG is the option; *VALUE is what stands behind its `=`, or NULL. */
static bool is_option(const char *arg, const char *name, char letter, const char **value)
{
	size_t n = strlen(name);
	*value = NULL;
	if (letter && arg[0] == '-' && arg[1] == letter && arg[2] == '\0')
		return true;
	if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, n) != 0)
		return false;
	*value = arg[2 + n] == '=' ? arg + 3 + n : NULL;
	return arg[2 + n] == '\0' || *value;
}

bool cli_repeated(const struct command *self, const char *name, char letter,
    struct cli_values *out, int *argc, char **argv)
{
	int kept = 0, i = 0;
	for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		const char *value;
		if (!is_option(argv[i], name, letter, &value)) {
			argv[kept++] = argv[i];
			continue;
		}
		if (!value)
			value = argv[++i];
		if (!value || out->n == CLI_VALUES_MAX) {
			cli_usage(self, "--%s %s", name, value ? "stands too often" : "needs a value");
			return false;
		}
		out->v[out->n++] = value;
	}
	while (i < *argc)
		argv[kept++] = argv[i++];
	argv[kept] = NULL;
	*argc = kept;
	return true;
}

bool cli_now(const struct command *self, const char *text, int64_t *now)
{
	*now = clock_now();
	if (!text || clock_parse_rfc3339(slice_of(text), now))
		return true;
	cli_usage(self, "--now: expected a time such as 2026-11-22T10:00:00Z, found %s", text);
	return false;
}

bool cli_ttl(const struct command *self, const char *text, int64_t *ttl)
{
	*ttl = CLI_TTL;
	if (!text || clock_parse_duration(slice_of(text), ttl))
		return true;
	cli_usage(self, "--authorized-ttl: expected a duration such as 5m or 0s, found %s", text);
	return false;
}

bool cli_output(const struct command *self, const char *text, bool *json)
{
	*json = text && strcmp(text, "json") == 0;
	if (!text || *json || strcmp(text, "text") == 0)
		return true;
	cli_usage(self, "--output: expected text or json, found %s", text);
	return false;
}

void cli_print_diags(const struct diags *d)
{
	struct buf b;
	buf_init(&b, DIAGS_TEXT_MAX);
	diags_print(d, &b);
	fputs(buf_cstr(&b), stderr);
	buf_done(&b);
}

enum err_code cli_read_stdin(struct arena *a, size_t max, struct slice *out, struct err *e)
{
	AUTO(buf_done) struct buf b;
	char chunk[65536];
	buf_init(&b, max);
	for (;;) {
		ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, ERR_INVALID, "standard input: %s", strerror(errno));
		if (n == 0)
			break;
		buf_add(&b, chunk, (size_t)n);
		if (b.over)
			return err_set(e, ERR_LIMIT, "standard input: more than %zu bytes", max);
	}
	*out = slice_dup(a, buf_view(&b));
	return ERR_OK;
}
