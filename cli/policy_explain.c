/* Owns `portcullis policy explain`: one access review, and what each rule makes of it. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/policy.h"
#include "common/file.h"

#define EXPLAIN_MAX ((size_t)256 << 20) /* a line for each of very many rules */

static void add_string(struct buf *b, const char *key, const char *value)
{
	if (!value)
		return;
	buf_printf(b, ",\"%s\":", key);
	buf_json(b, slice_of(value));
}

static void explain_json(const struct policy *p, const struct sar *s, const struct decision *d,
    const char *reason, struct buf *b)
{
	buf_printf(b, "{\"verdict\":\"%s\"", verdict_name(d->verdict));
	add_string(b, "rule", d->rule);
	add_string(b, "source", d->source);
	add_string(b, "message", d->message);
	add_string(b, "reason", reason);
	add_string(b, "evaluationError", s->unanswerable ? s->unanswerable : d->note);
	if (d->break_glass)
		add_string(b, "breakGlass", d->break_glass->ticket);
	if (d->shadow.differs) {
		buf_printf(b, ",\"shadow\":{\"verdict\":\"%s\"", verdict_name(d->shadow.verdict));
		add_string(b, "rule", d->shadow.rule);
		add_string(b, "source", d->shadow.source);
		buf_addc(b, '}');
	}
	buf_printf(b, ",\"exempt\":%s,\"rules\":", d->exempt ? "true" : "false");
	if (s->unanswerable)
		buf_adds(b, "[]");
	else
		authz_explain(p, &s->request, true, b);
	buf_adds(b, "}\n");
}

static void explain_text(const struct policy *p, const struct sar *s, const struct decision *d,
    const char *reason, struct buf *b)
{
	buf_printf(b, "verdict: %s", verdict_name(d->verdict));
	if (d->rule)
		buf_printf(b, " by rule %s (%s)", d->rule, d->source);
	else if (!s->unanswerable)
		buf_adds(b, d->exempt ? ": the subject is exempt and no allow rule matches"
				      : ": no rule matches");
	buf_addc(b, '\n');
	if (s->unanswerable) {
		buf_printf(b, "error: %s\n", s->unanswerable);
		return;
	}
	buf_printf(b, "reason: %s\n", reason);
	if (d->shadow.differs)
		buf_printf(b, "with shadow rules: %s by rule %s (%s)\n",
		    verdict_name(d->shadow.verdict), d->shadow.rule, d->shadow.source);
	authz_explain(p, &s->request, false, b);
}

static int explain(const struct policy *p, struct sar *s, bool json)
{
	struct decision d = {0};
	struct buf reason, out;
	buf_init(&reason, AUTHZ_REASON_MAX);
	buf_init(&out, EXPLAIN_MAX);
	if (!s->unanswerable) {
		authz_evaluate(p, &s->request, &d);
		authz_reason(p, &d, NULL, &reason);
	}
	if (json)
		explain_json(p, s, &d, buf_cstr(&reason), &out);
	else
		explain_text(p, s, &d, buf_cstr(&reason), &out);
	fputs(buf_cstr(&out), stdout);
	buf_done(&reason);
	buf_done(&out);
	return d.verdict == VERDICT_ALLOW ? CLI_OK : CLI_NO;
}

static enum err_code read_review(
    struct arena *a, const char *path, struct slice *text, struct err *e)
{
	if (!path || strcmp(path, "-") == 0)
		return cli_read_stdin(a, CLI_REVIEW_MAX, text, e);
	return file_read(a, path, CLI_REVIEW_MAX, text, e);
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *path = NULL, *now_text = NULL, *ttl_text = NULL, *output = NULL;
	const struct cli_option options[] = {{"policy", 'p', &path, NULL},
	    {"now", 0, &now_text, NULL},
	    {"authorized-ttl", 0, &ttl_text, NULL}, {"output", 'o', &output, NULL}, {0}};
	int64_t now, ttl;
	bool json;
	if (!cli_options(self, options, &argc, argv) || !cli_now(self, now_text, &now) ||
	    !cli_ttl(self, ttl_text, &ttl) ||
	    !cli_output(self, output, &json))
		return CLI_USAGE;
	if (!path || argc > 1)
		return cli_usage(self, path ? "unexpected argument" : "--policy is missing");
	AUTO(policy_free) struct policy *p = cli_policy_load(path, authz_run_tests);
	if (!p)
		return CLI_USAGE;
	AUTO(arena_done) struct arena arena = {0};
	struct slice text;
	struct sar s;
	struct err e = {0};
	if (read_review(&arena, argv[0], &text, &e) != ERR_OK ||
	    sar_parse(text, &arena, &s, &e) != ERR_OK)
		return cli_error(self, "%s: %s", argv[0] ? argv[0] : "standard input", e.msg);
	s.request.now = now;
	s.request.hold = ttl;
	return explain(p, &s, json);
}

const struct command cmd_policy_explain = {
    .name = "policy explain",
    .args = "--policy PATH [REVIEW]",
    .summary = "Tells which rules match one SubjectAccessReview, and where the others fail.",
    .help = "REVIEW is a file; standard input when absent or -.\n\n"
	    "  -p, --policy PATH     the policy, a file or a directory\n"
	    "      --now TIME        decide as of this time (RFC 3339) and not as of now\n"
	    "      --authorized-ttl TTL   how long the apiserver remembers an allow (default 5m)\n"
	    "  -o, --output FORMAT   text (default) or json\n\n"
	    "Listed are the rules that name the subject or are about what is asked.\n\n"
	    "Exit codes: 0 allowed, 1 not allowed, 2 an input that cannot be read.",
    .run = run,
};
