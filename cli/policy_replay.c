/* Owns `portcullis policy replay`: recorded requests asked of a policy, and what it answers otherwise. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "authz/diff.h"
#include "cli/commands.h"
#include "cli/policy.h"
#include "cli/replay.h"
#include "common/map.h"

#define SHOWN 100 /* groups of flips that are printed unless --limit says otherwise */
#define BAD_TOLD 20 /* bad lines that are told one by one */
#define PROGRESS 200000 /* lines between two notes on a terminal */
#define TEXT_MAX ((size_t)64 << 20)

/* Requests that flip alike: one recorded and one new verdict, one old and one new rule. */
struct flip_group {
	uint64_t n;
	enum replay_verdict was;
	enum verdict is;
	const char *old_rule, *new_rule, *new_source; /* NULL: no rule */
	const char *file, *ts;
	uint64_t line;
	const char *example;
};

struct replay {
	const struct command *self;
	const struct policy *p;
	int64_t hold;
	struct arena arena;
	struct map groups;
	struct flip_group **list;
	size_t nlist, cap;
	uint64_t lines, flipped, lost, seen[REPLAY_KINDS];
	bool failed, terminal;
};

static const char *const was_names[] = {[REPLAY_NO_OPINION] = "noOpinion",
    [REPLAY_ALLOW] = "allow",
    [REPLAY_DENY] = "deny",
    [REPLAY_FORBID] = "forbid"};

static bool same(enum replay_verdict was, enum verdict is)
{
	switch (was) {
	case REPLAY_NO_OPINION:
		return is == VERDICT_NO_OPINION;
	case REPLAY_ALLOW:
		return is == VERDICT_ALLOW;
	case REPLAY_DENY:
		return is == VERDICT_DENY;
	case REPLAY_FORBID:
		break;
	}
	return is != VERDICT_ALLOW;
}

static struct flip_group *new_group(struct replay *r, const struct replay_line *l,
    const struct decision *d, const char *file, uint64_t line)
{
	struct arena *a = &r->arena;
	struct flip_group *g = ARENA_NEW(a, struct flip_group);
	struct buf b;
	buf_init(&b, TEXT_MAX);
	diff_review(&l->request, &b);
	*g = (struct flip_group){.was = l->was,
	    .is = d->verdict,
	    .old_rule = l->rule.len ? slice_dup(a, l->rule).p : NULL,
	    .new_rule = d->rule,
	    .new_source = d->source,
	    .file = file,
	    .ts = slice_dup(a, l->ts).p,
	    .line = line,
	    .example = slice_dup(a, buf_view(&b)).p};
	buf_done(&b);
	ARENA_ROOM(a, r->list, r->nlist, r->cap, 64);
	r->list[r->nlist++] = g;
	return g;
}

static void flip(struct replay *r, const struct replay_line *l, const struct decision *d,
    const char *file, uint64_t line)
{
	AUTO(buf_done) struct buf key;
	buf_init(&key, TEXT_MAX);
	buf_printf(&key, "%d%d%p", (int)l->was, (int)d->verdict, (const void *)d->rule);
	buf_slice(&key, l->rule);
	struct flip_group *g = map_get(&r->groups, buf_view(&key));
	if (!g) {
		g = new_group(r, l, d, file, line);
		map_put(&r->groups, slice_dup(&r->arena, buf_view(&key)), g);
	}
	g->n++;
	r->flipped++;
}

static void take_line(struct replay *r, const char *file, uint64_t number, struct slice text)
{
	AUTO(arena_done) struct arena arena = {0};
	struct replay_line l;
	struct err e = {0};
	if (text.len > REPLAY_LINE_MAX) {
		l.kind = REPLAY_BAD;
		err_set(&e, ERR_LIMIT, "longer than %zu bytes", REPLAY_LINE_MAX);
	} else {
		replay_read(text, &arena, &l, &e);
	}
	r->seen[l.kind]++;
	if (l.kind == REPLAY_BAD && r->seen[REPLAY_BAD] <= BAD_TOLD)
		cli_error(r->self, "%s:%llu: %s", file, (unsigned long long)number, e.msg);
	if (l.kind == REPLAY_LOST)
		r->lost += l.count;
	if (l.kind != REPLAY_DECISION)
		return;
	struct decision d;
	l.request.hold = r->hold;
	authz_evaluate(r->p, &l.request, &d);
	if (!same(l.was, d.verdict))
		flip(r, &l, &d, file, number);
}

static struct slice trimmed(const char *text, size_t n)
{
	struct slice s = {text, n};
	while (s.len && s.p[s.len - 1] && strchr(" \t\r\n", s.p[s.len - 1]))
		s.len--;
	return s;
}

static void progress(const struct replay *r, bool end)
{
	if (r->terminal && (end || r->lines % PROGRESS == 0))
		fprintf(stderr, "\r%llu lines, %llu flips%s", (unsigned long long)r->lines,
		    (unsigned long long)r->flipped, end ? "\n" : "");
}

static void take_file(struct replay *r, const char *path)
{
	bool input = strcmp(path, "-") == 0;
	const char *name = input ? "standard input" : path;
	FILE *f = input ? stdin : fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	uint64_t number = 0;
	errno = 0;
	for (ssize_t n; f && (n = getline(&text, &room, f)) >= 0;) {
		struct slice line = trimmed(text, (size_t)n);
		number++;
		r->lines++;
		if (line.len)
			take_line(r, name, number, line);
		progress(r, false);
	}
	/* A line for which there is no memory ends the reading before the end. */
	if (!f || ferror(f) || !feof(f)) {
		cli_error(r->self, "%s: %s", name, strerror(errno));
		r->failed = true;
	}
	free(text);
	if (f && !input)
		fclose(f);
}

/* --- the report --- */

static int most_first(const void *a, const void *b)
{
	const struct flip_group *x = *(struct flip_group *const *)a,
				*y = *(struct flip_group *const *)b;
	/* What would be allowed that was not stands first. */
	int c = (y->is == VERDICT_ALLOW) - (x->is == VERDICT_ALLOW);
	if (c == 0)
		c = (y->n > x->n) - (y->n < x->n);
	return c ? c : strcmp(x->example, y->example);
}

static const struct {
	enum replay_kind kind;
	const char *key, *text;
} not_replayed[] = {
    {REPLAY_GROUPS, "groups", "not all of the user's groups were recorded"},
    {REPLAY_TRUNCATED, "truncated", "the request was recorded shortened"},
    {REPLAY_UNDECIDED, "undecided", "nothing was decided"},
    {REPLAY_SELECTORS, "selectors", "a Kubernetes event does not tell what was selected"},
    {REPLAY_MASTERS, "masters", "no authorizer is asked about system:masters"},
};

static void rule_text(const char *id, const char *source)
{
	if (!id)
		printf(" as no rule decides");
	else if (source)
		printf(" by %s (%s)", id, source);
	else
		printf(" by %s", id);
}

/* A log may come from anywhere: what a terminal would not show is escaped. */
static void print_recorded(const char *id)
{
	AUTO(buf_done) struct buf b;
	buf_init(&b, TEXT_MAX);
	if (!id)
		return;
	if (slice_printable(slice_of(id)))
		buf_adds(&b, id);
	else
		buf_json(&b, slice_of(id));
	printf(" by %s", buf_cstr(&b));
}

static void print_text(const struct replay *r, size_t shown)
{
	for (size_t i = 0; i < shown; i++) {
		const struct flip_group *g = r->list[i];
		printf("%llu times: %s", (unsigned long long)g->n, was_names[g->was]);
		print_recorded(g->old_rule);
		printf(" -> %s", verdict_name(g->is));
		rule_text(g->new_rule, g->new_source);
		printf("\n    first at %s (%s:%llu)\n    %s\n", g->ts, g->file,
		    (unsigned long long)g->line, g->example);
	}
	if (shown < r->nlist)
		printf("%zu more kinds of flips are not shown; --limit shows them\n",
		    r->nlist - shown);
	printf("%llu of %llu decisions flip\n", (unsigned long long)r->flipped,
	    (unsigned long long)r->seen[REPLAY_DECISION]);
	for (size_t i = 0; i < ARRAY_LEN(not_replayed); i++)
		if (r->seen[not_replayed[i].kind])
			printf("%llu not replayed: %s\n",
			    (unsigned long long)r->seen[not_replayed[i].kind],
			    not_replayed[i].text);
	if (r->lost)
		printf("%llu records are missing from the log (audit.gap)\n",
		    (unsigned long long)r->lost);
	if (r->seen[REPLAY_BAD])
		printf("%llu lines are no records\n", (unsigned long long)r->seen[REPLAY_BAD]);
}

static void add_text(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, ",\"%s\":", key);
	if (value)
		buf_json(b, slice_of(value));
	else
		buf_adds(b, "null");
}

static void add_group(struct buf *b, const struct flip_group *g)
{
	buf_printf(b, "{\"count\":%llu,\"before\":\"%s\",\"after\":\"%s\"",
	    (unsigned long long)g->n, was_names[g->was], verdict_name(g->is));
	add_text(b, "oldRule", g->old_rule);
	add_text(b, "newRule", g->new_rule);
	add_text(b, "newSource", g->new_source);
	add_text(b, "file", g->file);
	buf_printf(b, ",\"line\":%llu", (unsigned long long)g->line);
	add_text(b, "ts", g->ts);
	buf_printf(b, ",\"example\":%s}", g->example);
}

static void print_json(const struct replay *r, size_t shown)
{
	AUTO(buf_done) struct buf b;
	buf_init(&b, TEXT_MAX);
	buf_printf(&b, "{\"lines\":%llu,\"decisions\":%llu,\"flipped\":%llu,\"otherRecords\":%llu,"
		       "\"badLines\":%llu,\"lostRecords\":%llu,\"notReplayed\":{",
	    (unsigned long long)r->lines, (unsigned long long)r->seen[REPLAY_DECISION],
	    (unsigned long long)r->flipped, (unsigned long long)r->seen[REPLAY_OTHER],
	    (unsigned long long)r->seen[REPLAY_BAD], (unsigned long long)r->lost);
	for (size_t i = 0; i < ARRAY_LEN(not_replayed); i++)
		buf_printf(&b, "%s\"%s\":%llu", i ? "," : "", not_replayed[i].key,
		    (unsigned long long)r->seen[not_replayed[i].kind]);
	buf_adds(&b, "},\"flips\":[");
	for (size_t i = 0; i < shown; i++) {
		buf_adds(&b, i ? ",\n" : "\n");
		add_group(&b, r->list[i]);
		fputs(buf_cstr(&b), stdout);
		b.len = 0;
	}
	buf_printf(&b, "],\"leftOut\":%zu}", r->nlist - shown);
	puts(buf_cstr(&b));
}

static bool take_limit(const struct command *self, const char *text, size_t *limit)
{
	char *end;
	*limit = SHOWN;
	if (!text)
		return true;
	errno = 0;
	*limit = strtoul(text, &end, 10);
	if (errno == 0 && *end == '\0' && text[0] >= '0' && text[0] <= '9')
		return true;
	cli_usage(self, "--limit: expected a number, found %s", text);
	return false;
}

static int report(struct replay *r, bool json, size_t limit)
{
	size_t shown = r->nlist < limit ? r->nlist : limit;
	if (r->nlist > 1)
		qsort(r->list, r->nlist, sizeof(*r->list), most_first);
	if (json)
		print_json(r, shown);
	else
		print_text(r, shown);
	bool nothing_read = r->seen[REPLAY_BAD] && r->seen[REPLAY_DECISION] + r->seen[REPLAY_OTHER] == 0;
	if (r->failed || nothing_read)
		return CLI_USAGE;
	return r->flipped ? CLI_NO : CLI_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *path = NULL, *output = NULL, *limit_text = NULL, *ttl_text = NULL;
	const struct cli_option options[] = {{"policy", 'p', &path, NULL},
	    {"output", 'o', &output, NULL}, {"limit", 0, &limit_text, NULL},
	    {"authorized-ttl", 0, &ttl_text, NULL}, {0}};
	struct replay r = {.self = self, .terminal = isatty(STDERR_FILENO)};
	struct cli_values files = {0};
	size_t limit;
	bool json;
	if (!cli_repeated(self, "audit", 'a', &files, &argc, argv) ||
	    !cli_options(self, options, &argc, argv) || !cli_output(self, output, &json) ||
	    !take_limit(self, limit_text, &limit) || !cli_ttl(self, ttl_text, &r.hold))
		return CLI_USAGE;
	if (!path || files.n == 0)
		return cli_usage(self, path ? "--audit is missing" : "--policy is missing");
	AUTO(policy_free) struct policy *p = cli_policy_load(path, authz_run_tests);
	if (!p)
		return CLI_USAGE;
	r.p = p;
	/* More files may follow the first: a shell makes several words of one star. */
	for (size_t i = 0; i < files.n; i++)
		take_file(&r, files.v[i]);
	for (int i = 0; i < argc; i++)
		take_file(&r, argv[i]);
	progress(&r, true);
	int rc = report(&r, json, limit);
	map_done(&r.groups);
	arena_done(&r.arena);
	return rc;
}

const struct command cmd_policy_replay = {
    .name = "policy replay",
    .args = "--audit FILE... --policy PATH [--limit N] [--authorized-ttl TTL]",
    .summary = "Asks a policy what the audit log says was asked, and tells what flips.",
    .help = "FILE is an audit log of portcullisd, rotated ones too, or of the apiserver\n"
	    "(audit.k8s.io events, one a line); - is standard input.\n\n"
	    "  -a, --audit FILE      a log; may stand many times\n"
	    "  -p, --policy PATH     the policy, a file or a directory\n"
	    "      --limit N         print so many kinds of flips (default 100)\n"
	    "      --authorized-ttl TTL   how long the apiserver remembers an allow (default 5m)\n"
	    "  -o, --output FORMAT   text (default) or json\n\n"
	    "Each request is decided as of the time of its record. Decisions that were not recorded\n"
	    "whole are counted, not guessed at.\n\n"
	    "Exit codes: 0 nothing flips, 1 something does, 2 an input that cannot be read.",
    .run = run,
};
