/* Owns `portcullis policy eval`: access reviews in, one a line, reviewed ones out, in order. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/policy.h"

/* Room for a review repeated, a reason and the frame. */
#define REPLY_MAX (CLI_REVIEW_MAX + ((size_t)64 << 10))

/* When it is decided, and how long an allow is remembered. */
struct when {
	int64_t now, ttl;
};

static void answer(const struct policy *p, struct sar *s, struct when when, struct buf *out)
{
	struct decision d;
	struct buf reason;
	buf_init(&reason, AUTHZ_REASON_MAX);
	s->request.now = when.now;
	s->request.hold = when.ttl;
	if (s->unanswerable) {
		sar_write_full(s, VERDICT_NO_OPINION, (struct slice){0}, NULL, out);
	} else {
		authz_evaluate(p, &s->request, &d);
		authz_reason(p, &d, NULL, &reason);
		sar_write_full(s, d.verdict, buf_view(&reason), d.note, out);
	}
	buf_done(&reason);
}

/* A line that is no review gets a line as well: the answers stay in step with the questions. */
static void refuse(const struct command *self, size_t line, const char *why, struct buf *out)
{
	cli_error(self, "standard input:%zu: %s", line, why);
	buf_printf(out, "{\"line\":%zu,\"error\":", line);
	buf_json(out, slice_of(why));
	buf_addc(out, '}');
}

static bool eval_line(
    const struct command *self, const struct policy *p, struct when when, struct slice text, size_t line)
{
	AUTO(arena_done) struct arena arena = {0};
	AUTO(buf_done) struct buf out;
	struct sar s;
	struct err e = {0};
	buf_init(&out, REPLY_MAX);
	bool ok = false;
	if (text.len > CLI_REVIEW_MAX)
		err_set(&e, ERR_LIMIT, "longer than %zu bytes", CLI_REVIEW_MAX);
	else
		ok = sar_parse(text, &arena, &s, &e) == ERR_OK;
	if (ok)
		answer(p, &s, when, &out);
	else
		refuse(self, line, e.msg, &out);
	puts(buf_cstr(&out));
	/* Another program may wait for this answer before it asks on. */
	fflush(stdout);
	return ok;
}

static bool blank(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!strchr(" \t\r\n", s.p[i]))
			return false;
	return true;
}

static int eval_all(const struct command *self, const struct policy *p, struct when when)
{
	char *text = NULL;
	size_t room = 0, line = 0;
	int rc = CLI_OK;
	for (;;) {
		ssize_t n = getline(&text, &room, stdin);
		if (n < 0)
			break;
		line++;
		struct slice s = {text, (size_t)n};
		if (!blank(s) && !eval_line(self, p, when, s, line))
			rc = CLI_USAGE;
	}
	if (ferror(stdin))
		rc = cli_error(self, "standard input: %s", strerror(errno));
	free(text);
	return rc;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *path = NULL, *now_text = NULL, *ttl_text = NULL;
	const struct cli_option options[] = {
	    {"policy", 'p', &path, NULL}, {"now", 0, &now_text, NULL},
	    {"authorized-ttl", 0, &ttl_text, NULL}, {0}};
	struct when when;
	if (!cli_options(self, options, &argc, argv) || !cli_now(self, now_text, &when.now) ||
	    !cli_ttl(self, ttl_text, &when.ttl))
		return CLI_USAGE;
	if (!path || argc != 0)
		return cli_usage(self, path ? "unexpected argument" : "--policy is missing");
	AUTO(policy_free) struct policy *p = cli_policy_load(path, authz_run_tests);
	return p ? eval_all(self, p, when) : CLI_USAGE;
}

const struct command cmd_policy_eval = {
    .name = "policy eval",
    .args = "--policy PATH [--now TIME] [--authorized-ttl TTL] < REVIEWS",
    .summary = "Answers SubjectAccessReviews, one JSON document a line, in order.",
    .help =
	"  -p, --policy PATH   the policy, a file or a directory\n"
	"      --now TIME      decide as of this time (RFC 3339) and not as of now\n"
	"      --authorized-ttl TTL   how long the apiserver remembers an allow (default 5m)\n\n"
	"Reviews are read in both versions (authorization.k8s.io/v1 and v1beta1). Each answer\n"
	"repeats the review's spec and adds its status. A line that is no review is answered by\n"
	"{\"line\":N,\"error\":\"…\"}.\n\n"
	"Exit codes: 0 every line was answered, 2 some were no reviews, or the policy does not\n"
	"load.",
    .run = run,
};
