/* Owns `portcullis policy test`: the tests that stand in a policy and the case files beside it, run. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "authz/cases.h"
#include "cli/commands.h"
#include "cli/policy.h"
#include "common/file.h"
#include "policy/index.h"

#define CASE_FILES_MAX 1000
#define CASE_FILE_MAX ((size_t)32 << 20) /* as policy files */
#define TEST_TEXT_MAX ((size_t)256 << 20)

struct result {
	const char *file, *name; /* NAME may be NULL */
	uint32_t line, col;
	const char *failure; /* NULL: passed */
};

struct run {
	const struct command *self;
	struct arena arena;
	const struct policy *p;
	struct result *results;
	size_t n, cap, failed;
	struct coverage coverage;
	bool json, cover;
	const char *junit;
};

/* --- asking --- */

static void add_result(struct run *t, struct result r, const struct diags *d)
{
	if (d->errors) {
		r.failure = arena_strdup(&t->arena, d->items[0].text);
		t->failed++;
	}
	ARENA_ROOM(&t->arena, t->results, t->n, t->cap, 64);
	t->results[t->n++] = r;
}

static void ask_embedded(struct run *t)
{
	for (size_t i = 0; i < t->p->ntests; i++) {
		const struct policy_test *test = &t->p->tests[i];
		struct diags d = {0};
		struct access_request r;
		authz_run_test(t->p, test, &d);
		add_result(t, (struct result){test->file, test->label, test->line, test->col, NULL}, &d);
		diags_done(&d);
		if (!t->cover)
			continue;
		authz_test_request(&t->arena, test, &r);
		coverage_add(&t->coverage, t->p, &r);
	}
}

static bool ask_file(struct run *t, const char *path)
{
	struct diags d = {0};
	struct err e = {0};
	struct slice text;
	struct access_case *cases;
	size_t n;
	if (file_read(&t->arena, path, CASE_FILE_MAX, &text, &e) != ERR_OK) {
		cli_error(t->self, "%s", e.msg);
		return false;
	}
	bool ok = cases_parse(&t->arena, path, text, &cases, &n, &d) == ERR_OK;
	cli_print_diags(&d);
	diags_done(&d);
	for (size_t i = 0; ok && i < n; i++) {
		const struct access_case *c = &cases[i];
		struct diags one = {0};
		cases_run(t->p, c, &one);
		add_result(t, (struct result){c->file, NULL, c->line, c->col, NULL}, &one);
		diags_done(&one);
		if (t->cover)
			coverage_add(&t->coverage, t->p, &c->request);
	}
	return ok;
}

/* The *.eval of a directory; of a file the one with its name. */
static bool ask_beside(struct run *t, const char *path)
{
	struct stat st;
	struct err e = {0};
	const char *const *names;
	size_t n;
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		const char *dot = strrchr(path, '.');
		size_t stem = dot && !strchr(dot, '/') ? (size_t)(dot - path) : strlen(path);
		const char *name = arena_printf(&t->arena, "%.*s.eval", (int)stem, path);
		return stat(name, &st) != 0 || ask_file(t, name);
	}
	if (file_list(&t->arena, path, ".eval", CASE_FILES_MAX, &names, &n, &e) != ERR_OK) {
		cli_error(t->self, "%s", e.msg);
		return false;
	}
	bool ok = true;
	for (size_t i = 0; i < n; i++) {
		bool slash = path[strlen(path) - 1] == '/';
		ok &= ask_file(t, arena_printf(&t->arena, "%s%s%s", path, slash ? "" : "/", names[i]));
	}
	return ok;
}

/* --- telling --- */

static const char *reached(const struct run *t, uint32_t rule)
{
	if (t->coverage.decided[rule])
		return "decided";
	return t->coverage.matched[rule] ? "matched" : "unmatched";
}

static bool counts(const struct run *t, uint32_t rule)
{
	return !t->p->rules[rule].shadow && t->p->rules[rule].effect != POLICY_NO_EFFECT;
}

static void coverage_text(const struct run *t, struct buf *b)
{
	size_t decided = 0, all = 0;
	for (uint32_t i = 0; i < t->p->nrules; i++) {
		const struct rule *r = &t->p->rules[i];
		if (!counts(t, i))
			continue;
		all++;
		decided += t->coverage.decided[i];
		if (!t->coverage.decided[i])
			buf_printf(b, "%s: rule `%s` %s\n", r->source, r->id,
			    t->coverage.matched[i] ? "matches in a test but decides none"
						   : "matches in no test");
	}
	buf_printf(b, "coverage: %zu of %zu rules decide a test\n", decided, all);
}

static void coverage_json(const struct run *t, struct buf *b)
{
	bool first = true;
	buf_adds(b, ",\"coverage\":[");
	for (uint32_t i = 0; i < t->p->nrules; i++) {
		const struct rule *r = &t->p->rules[i];
		if (!counts(t, i))
			continue;
		buf_adds(b, first ? "{\"rule\":" : ",\n{\"rule\":");
		first = false;
		buf_json(b, slice_of(r->id));
		buf_json_member(b, "source", slice_of(r->source));
		buf_printf(b, ",\"reached\":\"%s\"}", reached(t, i));
	}
	buf_adds(b, "]");
}

static void tell_json(const struct run *t, struct buf *b)
{
	bool first = true;
	buf_printf(b, "{\"passed\":%zu,\"failed\":%zu,\"failures\":[", t->n - t->failed, t->failed);
	for (size_t i = 0; i < t->n; i++) {
		const struct result *r = &t->results[i];
		if (!r->failure)
			continue;
		buf_adds(b, first ? "{\"file\":" : ",{\"file\":");
		first = false;
		buf_json(b, slice_of(r->file));
		buf_printf(b, ",\"line\":%u,\"column\":%u,\"text\":", r->line, r->col);
		buf_json(b, slice_of(r->failure));
		buf_addc(b, '}');
	}
	buf_adds(b, "]");
	if (t->cover)
		coverage_json(t, b);
	buf_adds(b, "}\n");
}

static void tell_text(const struct run *t, struct buf *b)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct result *r = &t->results[i];
		if (r->failure)
			fprintf(stderr, "%s:%u:%u: error: %s\n", r->file, r->line, r->col, r->failure);
	}
	if (t->cover)
		coverage_text(t, b);
	buf_printf(b, "%zu passed, %zu failed\n", t->n - t->failed, t->failed);
}

/* --- JUnit --- */

static void xml(struct buf *b, const char *s)
{
	for (; *s; s++) {
		static const char special[] = "&<>\"";
		static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
		const char *at = strchr(special, *s);
		if (at)
			buf_adds(b, names[at - special]);
		else
			buf_addc(b, (unsigned char)*s < ' ' ? '?' : *s);
	}
}

static enum err_code write_junit(const struct run *t, struct err *e)
{
	struct buf b;
	buf_init(&b, TEST_TEXT_MAX);
	buf_printf(&b,
	    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<testsuite name=\"portcullis policy test\" tests=\"%zu\" failures=\"%zu\">\n",
	    t->n, t->failed);
	for (size_t i = 0; i < t->n; i++) {
		const struct result *r = &t->results[i];
		buf_adds(&b, "<testcase classname=\"");
		xml(&b, r->file);
		buf_printf(&b, "\" name=\"%u", r->line);
		buf_adds(&b, r->name ? " " : "");
		xml(&b, r->name ? r->name : "");
		buf_adds(&b, "\">");
		if (r->failure) {
			buf_adds(&b, "<failure message=\"");
			xml(&b, r->failure);
			buf_adds(&b, "\"/>");
		}
		buf_adds(&b, "</testcase>\n");
	}
	buf_adds(&b, "</testsuite>\n");
	struct slice out = buf_view(&b);
	enum err_code rc = file_write_atomic(t->junit, out.p, out.len, 0644, e);
	buf_done(&b);
	return rc;
}

/* --- the run --- */

static int answer(const struct run *t)
{
	struct buf b;
	struct err e = {0};
	buf_init(&b, TEST_TEXT_MAX);
	if (t->json)
		tell_json(t, &b);
	else
		tell_text(t, &b);
	fputs(buf_cstr(&b), stdout);
	buf_done(&b);
	if (t->junit && write_junit(t, &e) != ERR_OK)
		return cli_error(t->self, "%s: %s", t->junit, e.msg);
	return t->failed ? CLI_NO : CLI_OK;
}

static int test(struct run *t, int argc, char **argv)
{
	if (t->cover)
		coverage_init(&t->coverage, &t->arena, t->p, true);
	ask_embedded(t);
	bool ok = ask_beside(t, argv[0]);
	for (int i = 1; i < argc; i++)
		ok &= ask_file(t, argv[i]);
	return ok ? answer(t) : CLI_USAGE;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *output = NULL;
	struct run t = {.self = self};
	const struct cli_option options[] = {{"output", 'o', &output, NULL},
	    {"coverage", 0, NULL, &t.cover}, {"junit", 0, &t.junit, NULL}, {0}};
	if (!cli_options(self, options, &argc, argv) || !cli_output(self, output, &t.json))
		return CLI_USAGE;
	if (argc < 1)
		return cli_usage(self, "expected a file or directory, then case files");
	AUTO(policy_free) struct policy *p = cli_policy_load(argv[0], NULL);
	if (!p)
		return CLI_USAGE;
	t.p = p;
	int rc = test(&t, argc, argv);
	coverage_done(&t.coverage);
	arena_done(&t.arena);
	return rc;
}

const struct command cmd_policy_test = {
    .name = "policy test",
    .args = "PATH [FILE.eval…]",
    .summary = "Runs the tests that stand in a policy and in case files beside it.",
    .help = "PATH is a file or a directory of *.yaml and *.yml files. Case files are those named,\n"
	    "and the *.eval of the directory, or the one with the name of the file. A line of one:\n\n"
	    "  bob,dev  get pods/log -n team-a web-1  => allow by tenant-read\n\n"
	    "docs/policy-tools.md tells the rest.\n\n"
	    "      --coverage        list the rules that decide no test\n"
	    "      --junit FILE      write the results for a build server, too\n"
	    "  -o, --output FORMAT   text (default) or json\n\n"
	    "Exit codes: 0 all passed, 1 some failed, 2 the policy or a case file does not load.",
    .run = run,
};
