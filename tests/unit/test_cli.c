/* Proves the option reader of the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/cli.h"

#define ARGS_MAX 8

static const struct command self = {"do it", "[--config FILE] [-q]", "Does it.", NULL, NULL};

struct parsed {
	const char *config, *name;
	bool quiet;
	int argc;
	char *argv[ARGS_MAX + 1];
};

static bool parse(struct parsed *p, const char *const *args)
{
	const struct cli_option options[] = {
	    {"config", 'c', &p->config, NULL},
	    {"name", 0, &p->name, NULL},
	    {"quiet", 'q', NULL, &p->quiet},
	    {0},
	};
	*p = (struct parsed){0};
	while (args[p->argc]) {
		p->argv[p->argc] = (char *)(uintptr_t)args[p->argc];
		p->argc++;
	}
	return cli_options(&self, options, &p->argc, p->argv);
}

static void test_options_and_operands(void **state)
{
	(void)state;
	static const struct {
		const char *args[ARGS_MAX];
		const char *config, *name;
		bool quiet;
		const char *operands[ARGS_MAX];
	} cases[] = {
	    {{"a", "b"}, NULL, NULL, false, {"a", "b"}},
	    {{"--config", "f", "a"}, "f", NULL, false, {"a"}},
	    {{"a", "--config=f", "b"}, "f", NULL, false, {"a", "b"}},
	    {{"--config=", "-q"}, "", NULL, true, {0}},
	    {{"-c", "-q", "x"}, "-q", NULL, false, {"x"}},
	    {{"--name", "--", "--", "-q"}, NULL, "--", false, {"-q"}},
	    {{"-", "--quiet", "--", "--config"}, NULL, NULL, true, {"-", "--config"}},
	    {{"--name=a=b"}, NULL, "a=b", false, {0}},
	    {{""}, NULL, NULL, false, {""}},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p;
		assert_true(parse(&p, cases[i].args));
		assert_true(slice_eq(slice_of(p.config), slice_of(cases[i].config)));
		assert_int_equal(p.config == NULL, cases[i].config == NULL);
		assert_true(slice_eq(slice_of(p.name), slice_of(cases[i].name)));
		assert_int_equal(p.quiet, cases[i].quiet);
		int n = 0;
		for (; cases[i].operands[n]; n++)
			assert_string_equal(p.argv[n], cases[i].operands[n]);
		assert_int_equal(p.argc, n);
		assert_null(p.argv[n]);
	}
}

/* What cli_options says on stderr about ARGS, which must be wrong. */
static void complaint(const char *const *args, char *text, size_t size)
{
	FILE *tmp = tmpfile();
	int saved = dup(STDERR_FILENO);
	assert_non_null(tmp);
	fflush(stderr);
	dup2(fileno(tmp), STDERR_FILENO);
	struct parsed p;
	bool ok = parse(&p, args);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(tmp);
	text[fread(text, 1, size - 1, tmp)] = '\0';
	fclose(tmp);
	assert_false(ok);
}

static void test_wrong_usage_is_told(void **state)
{
	(void)state;
	static const struct {
		const char *args[ARGS_MAX];
		const char *text;
	} cases[] = {
	    {{"--confg=x"}, "portcullis do it: unknown option --confg=x, did you mean --config?\n"
			    "usage: portcullis do it [--config FILE] [-q]\n"
			    "More: portcullis do it --help\n"},
	    {{"--zzzzzzzz"}, "unknown option --zzzzzzzz\n"},
	    {{"-x"}, "unknown option -x\n"},
	    {{"-qc"}, "unknown option -qc\n"},
	    {{"--config"}, "--config needs a value\n"},
	    {{"a", "-c"}, "--config needs a value\n"},
	    {{"-c", "a", "--config=b"}, "--config stands twice\n"},
	    {{"-q", "--quiet"}, "--quiet stands twice\n"},
	    {{"--quiet=yes"}, "--quiet takes no value\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[1024];
		complaint(cases[i].args, text, sizeof(text));
		if (!strstr(text, cases[i].text))
			fail_msg("case %zu: %s", i, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_options_and_operands),
	    cmocka_unit_test(test_wrong_usage_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
