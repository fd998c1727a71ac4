/* Owns `portcullis policy lint`: what a policy allows by mistake, or says without effect. */
#include <stdio.h>

#include "authz/cases.h"
#include "cli/commands.h"
#include "cli/policy.h"
#include "policy/index.h"
#include "policy/lint.h"
#include "policy/worst.h"

#define LINT_TEXT_MAX ((size_t)64 << 20)
#define ALLOW_MAX 256 /* --allow is typed by people */

struct request {
	const char *path;
	struct lint_options options;
	bool json, strict;
};

/* --- printing --- */

static void text_finding(const struct lint_finding *f, struct buf *b)
{
	buf_adds(b, f->file);
	if (f->line)
		buf_printf(b, ":%u:%u", f->line, f->col);
	buf_printf(b, ": %s: ", lint_severity_name(f->severity));
	if (f->rule)
		buf_printf(b, "rule `%s`: ", f->rule);
	buf_printf(b, "%s [%s]\n", f->text, f->code);
	if (f->advice)
		buf_printf(b, "    %s\n", f->advice);
}

static size_t left_out(const struct lint *l, const struct lint_count *c)
{
	size_t told = 0;
	for (size_t i = 0; i < l->n; i++)
		told += l->v[i].code == c->code;
	return c->found - c->accepted - told;
}

static void print_text(const struct lint *l, struct buf *b)
{
	for (size_t i = 0; i < l->n; i++)
		text_finding(&l->v[i], b);
	for (size_t i = 0; i < l->ncodes; i++)
		if (left_out(l, &l->codes[i]))
			buf_printf(b, "… and %zu more [%s]\n", left_out(l, &l->codes[i]),
			    l->codes[i].code);
	buf_printf(b, "%zu errors, %zu warnings, %zu notes", l->count[LINT_ERROR],
	    l->count[LINT_WARNING], l->count[LINT_NOTE]);
	if (l->accepted)
		buf_printf(b, ", %zu accepted", l->accepted);
	buf_adds(b, "\nheaviest subjects:");
	for (int i = 0; i < LINT_LOADS && l->loads[i].rules; i++)
		buf_printf(b, "%s %s (%u rules)", i ? "," : "", l->loads[i].subject,
		    l->loads[i].rules);
	buf_addc(b, '\n');
}

static void json_finding(const struct lint_finding *f, struct buf *b)
{
	buf_printf(b, "{\"code\":\"%s\",\"severity\":\"%s\",\"file\":", f->code,
	    lint_severity_name(f->severity));
	buf_json(b, slice_of(f->file));
	buf_printf(b, ",\"line\":%u,\"column\":%u", f->line, f->col);
	if (f->rule)
		buf_json_member(b, "rule", slice_of(f->rule));
	buf_json_member(b, "text", slice_of(f->text));
	if (f->advice)
		buf_json_member(b, "advice", slice_of(f->advice));
	buf_addc(b, '}');
}

static void print_json(const struct lint *l, struct buf *b)
{
	buf_adds(b, "{\"findings\":[");
	for (size_t i = 0; i < l->n; i++) {
		buf_adds(b, i ? ",\n" : "\n");
		json_finding(&l->v[i], b);
	}
	buf_adds(b, "],\n\"codes\":{");
	for (size_t i = 0; i < l->ncodes; i++)
		buf_printf(b, "%s\"%s\":{\"found\":%zu,\"accepted\":%zu}", i ? "," : "",
		    l->codes[i].code, l->codes[i].found, l->codes[i].accepted);
	buf_printf(b, "},\n\"errors\":%zu,\"warnings\":%zu,\"notes\":%zu,\"accepted\":%zu,\n",
	    l->count[LINT_ERROR], l->count[LINT_WARNING], l->count[LINT_NOTE], l->accepted);
	buf_printf(b, "\"uncompared\":%u,\"heaviestSubjects\":[", l->uncompared);
	for (int i = 0; i < LINT_LOADS && l->loads[i].rules; i++) {
		buf_adds(b, i ? ",{\"subject\":" : "{\"subject\":");
		buf_json(b, slice_of(l->loads[i].subject));
		buf_printf(b, ",\"rules\":%u}", l->loads[i].rules);
	}
	buf_adds(b, "]");
}

/* --- the run --- */

/* What the index knows of its own worst cases. */
static void worst_text(const struct policy *p, struct buf *b)
{
	const struct policy_worst *w = policy_worst(p);
	if (w->candidates_of)
		buf_printf(b, "most rules tried in one decision: %zu, for %s\n", w->candidates,
		    w->candidates_of);
	if (w->bytes)
		buf_printf(b, "index: %zu entries, %zu KiB\n", w->postings, w->bytes >> 10);
}

static void worst_json(const struct policy *p, struct buf *b)
{
	const struct policy_worst *w = policy_worst(p);
	buf_printf(b, ",\n\"worst\":{\"candidates\":%zu", w->candidates);
	if (w->candidates_of)
		buf_json_member(b, "candidatesOf", slice_of(w->candidates_of));
	buf_printf(b, ",\"postings\":%zu,\"bytes\":%zu,\"lists\":[", w->postings, w->bytes);
	bool first = true;
	for (int i = 0; i < WORST_DIMENSIONS; i++) {
		if (!w->lists[i].rules)
			continue;
		buf_printf(b, "%s{\"dimension\":\"%s\",\"rules\":%zu", first ? "" : ",",
		    worst_dimension_name((enum worst_dimension)i), w->lists[i].rules);
		buf_json_member(b, "what", slice_of(w->lists[i].what));
		buf_addc(b, '}');
		first = false;
	}
	buf_adds(b, "]}}\n");
}

static int answer(const struct policy *p, const struct lint *l, const struct request *q)
{
	struct buf b;
	buf_init(&b, LINT_TEXT_MAX);
	if (q->json) {
		print_json(l, &b);
		worst_json(p, &b);
	} else {
		print_text(l, &b);
		worst_text(p, &b);
	}
	fputs(buf_cstr(&b), stdout);
	buf_done(&b);
	bool found = l->count[LINT_ERROR] || l->count[LINT_WARNING];
	return found || (q->strict && l->count[LINT_NOTE]) ? CLI_NO : CLI_OK;
}

static void cover(struct coverage *c, struct arena *a, const struct policy *p)
{
	for (size_t i = 0; i < p->ntests; i++) {
		struct access_request r;
		authz_test_request(a, &p->tests[i], &r);
		coverage_add(c, p, &r);
	}
}

static int lint(struct request *q)
{
	AUTO(arena_done) struct arena arena = {0};
	AUTO(policy_free) struct policy *p = NULL;
	struct diags d = {0};
	struct policy_file *files;
	size_t n;
	if (policy_read(&arena, q->path, &files, &n, &d) != ERR_OK ||
	    policy_compile(files, n, authz_run_tests, &p, &d) != ERR_OK) {
		cli_print_diags(&d);
		diags_done(&d);
		return CLI_USAGE;
	}
	struct lint found = {0};
	struct coverage c;
	coverage_init(&c, &arena, p, false);
	cover(&c, &arena, p);
	q->options.tested = c.decided;
	q->options.loading = &d;
	policy_lint(files, n, p, &q->options, &found);
	int rc = answer(p, &found, q);
	lint_done(&found);
	coverage_done(&c);
	diags_done(&d);
	return rc;
}

static bool take_allow(
    const struct command *self, const char *text, struct slice *list, struct lint_options *o)
{
	struct slice rest = slice_of(text);
	o->allow = list;
	while (rest.len) {
		struct slice one = {rest.p, slice_find(rest, ',')};
		struct slice code = {one.p, slice_find(one, '=')};
		rest = slice_skip(rest, one.len + 1);
		if (o->nallow == ALLOW_MAX || !lint_code_known(code)) {
			cli_usage(self, "--allow: there is no finding `" SLICE_FMT "`",
			    SLICE_ARG(code));
			return false;
		}
		list[o->nallow++] = one;
	}
	return true;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *now = NULL, *output = NULL, *allow = NULL;
	struct slice list[ALLOW_MAX];
	struct request q = {0};
	const struct cli_option options[] = {{"now", 0, &now, NULL}, {"output", 'o', &output, NULL},
	    {"allow", 0, &allow, NULL}, {"strict", 0, NULL, &q.strict}, {0}};
	if (!cli_options(self, options, &argc, argv) || !cli_now(self, now, &q.options.now) ||
	    !cli_output(self, output, &q.json) || !take_allow(self, allow, list, &q.options))
		return CLI_USAGE;
	if (argc != 1)
		return cli_usage(self, "expected one file or directory");
	q.path = argv[0];
	return lint(&q);
}

const struct command cmd_policy_lint = {
    .name = "policy lint",
    .args = "PATH",
    .summary = "Finds rules without effect, dangerous grants and denies with gaps.",
    .help =
	"PATH is a file or a directory of *.yaml and *.yml files.\n\n"
	"      --now TIME         judge as of this time (RFC 3339) and not as of now\n"
	"      --allow LIST       findings that are fine: CODE or CODE=RULE, with commas\n"
	"      --strict           notes count too\n"
	"  -o, --output FORMAT    text (default) or json\n\n"
	"A comment `# lint:allow CODE` in a rule, or on a line of its own before it, accepts\n"
	"that finding about the rule. docs/policy-tools.md lists the codes.\n\n"
	"Exit codes: 0 nothing or only notes, 1 warnings or errors (with --strict: notes), 2 the\n"
	"policy does not load.",
    .run = run,
};
