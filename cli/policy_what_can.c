/* Owns `portcullis policy what-can`: everything that the rules let one subject do, and keep it from. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/policy.h"
#include "cli/policy_reach.h"

#define WHAT_TEXT_MAX ((size_t)256 << 20)
#define COLUMN_MAX 60 /* what is wider pushes its neighbours */

enum column { EFFECT, VERBS, THINGS, NAMES, PLACE, RULE, MARKS, COLUMNS };

/* --- text --- */

static void mark(struct buf *b, const char *text)
{
	buf_adds(b, b->len ? "; " : "");
	buf_adds(b, text);
}

static const char *marks(struct arena *a, const struct reach_row *row)
{
	struct buf b;
	buf_init(&b, WHAT_TEXT_MAX);
	if (row->exempt)
		mark(&b, "not for this subject, which is exempt");
	if (row->taken) {
		mark(&b, "taken away by ");
		buf_adds(&b, row->taken->id);
	}
	if (row->next != INT64_MAX) {
		mark(&b, row->now ? "until " : "only from ");
		reach_print_time(&b, row->next);
	}
	if (row->rule->break_glass) {
		mark(&b, "break-glass ");
		buf_adds(&b, row->rule->break_glass->ticket);
	}
	if (row->action->fields.n || row->action->labels.n) {
		mark(&b, "with ");
		reach_print_selectors(&b, row->action);
	}
	const char *out = arena_strdup(a, buf_cstr(&b));
	buf_done(&b);
	return out;
}

typedef void print_action_fn(struct buf *b, const struct policy *p, const struct action *a);

static const char *cell(struct arena *a, const struct policy *p, const struct action *action,
    print_action_fn *print)
{
	struct buf b;
	buf_init(&b, WHAT_TEXT_MAX);
	print(&b, p, action);
	const char *out = arena_strdup(a, b.len ? buf_cstr(&b) : "-");
	buf_done(&b);
	return out;
}

static const char *place_cell(struct arena *a, const struct policy *p, const struct reach_row *row)
{
	struct buf b;
	if (!row->action->resource)
		return "-";
	buf_init(&b, WHAT_TEXT_MAX);
	reach_print_place(&b, p, row->rule);
	const char *out = arena_strdup(a, b.len ? buf_cstr(&b) : "all");
	buf_done(&b);
	return out;
}

static void fill(
    struct arena *a, const struct policy *p, const struct reach_row *row, const char *out[COLUMNS])
{
	out[EFFECT] = policy_effect_name(row->rule->effect);
	out[VERBS] = cell(a, p, row->action, reach_print_verbs);
	out[THINGS] = cell(a, p, row->action, reach_print_things);
	out[NAMES] = cell(a, p, row->action, reach_print_names);
	out[PLACE] = place_cell(a, p, row);
	out[RULE] = arena_printf(a, "%s (%s)", row->rule->id, row->rule->source);
	out[MARKS] = marks(a, row);
}

static void print_line(struct buf *b, const char *const cells[COLUMNS], const size_t width[COLUMNS])
{
	for (int c = 0; c < COLUMNS; c++) {
		if (c == MARKS && !cells[c][0])
			break;
		buf_adds(b, c ? "  " : "");
		buf_adds(b, cells[c]);
		bool last = c == MARKS || (c == RULE && !cells[MARKS][0]);
		for (size_t n = strlen(cells[c]); !last && n < width[c]; n++)
			buf_addc(b, ' ');
	}
	buf_addc(b, '\n');
}

static void tell_text(struct buf *b, const struct policy *p, const struct reach_row *rows, size_t n)
{
	AUTO(arena_done) struct arena arena = {0};
	typedef const char *cells[COLUMNS];
	cells *lines = arena_calloc(&arena, n + 1, sizeof(*lines));
	size_t width[COLUMNS] = {0};
	static const char *const titles[] = {
	    "EFFECT", "VERBS", "RESOURCES", "NAMES", "NAMESPACES", "RULE", ""};
	for (int c = 0; c < COLUMNS; c++)
		lines[0][c] = titles[c];
	for (size_t i = 0; i < n; i++)
		fill(&arena, p, &rows[i], lines[i + 1]);
	for (size_t i = 0; i <= n; i++)
		for (int c = 0; c < COLUMNS; c++) {
			size_t len = strlen(lines[i][c]);
			if (len > width[c])
				width[c] = len < COLUMN_MAX ? len : COLUMN_MAX;
		}
	for (size_t i = 0; n && i <= n; i++)
		print_line(b, lines[i], width);
	buf_adds(b, p->default_deny ? "everything else: denied by defaults.decision, unless exempt\n"
				    : "everything else: no opinion, the next authorizer decides\n");
}

/* --- JSON --- */

static void json_row(struct buf *b, const struct policy *p, const struct reach_row *row)
{
	buf_printf(b, "{\"now\":%s", row->now ? "true" : "false");
	reach_json_rule(b, row->rule);
	reach_json_action(b, p, row->action);
	if (row->action->resource)
		reach_json_place(b, p, row->rule);
	if (row->next != INT64_MAX) {
		buf_printf(b, ",\"%s\":\"", row->now ? "until" : "from");
		reach_print_time(b, row->next);
		buf_addc(b, '"');
	}
	if (row->rule->effect != POLICY_ALLOW)
		buf_printf(b, ",\"exempt\":%s", row->exempt ? "true" : "false");
	if (row->taken)
		buf_json_member(b, "takenBy", slice_of(row->taken->id));
	buf_addc(b, '}');
}

static void tell_json(struct buf *b, const struct policy *p, const struct access_request *r,
    const struct reach_row *rows, size_t n)
{
	buf_adds(b, "{\"user\":");
	buf_json(b, r->user);
	buf_adds(b, ",\"groups\":[");
	for (size_t i = 0; i < r->ngroups; i++) {
		buf_adds(b, i ? "," : "");
		buf_json(b, r->groups[i]);
	}
	buf_adds(b, "],\n\"rows\":[");
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? ",\n" : "\n");
		json_row(b, p, &rows[i]);
	}
	buf_printf(b, "],\n\"default\":\"%s\"}\n", p->default_deny ? "deny" : "noOpinion");
}

/* --- the run --- */

static int answer(const struct policy *p, const struct access_request *r, bool json)
{
	AUTO(arena_done) struct arena arena = {0};
	struct reach_row *rows;
	struct buf b;
	bool any = false;
	buf_init(&b, WHAT_TEXT_MAX);
	size_t n = reach_what(p, r, &arena, &rows);
	for (size_t i = 0; i < n; i++)
		any |= rows[i].rule->effect == POLICY_ALLOW && rows[i].now && !rows[i].taken;
	if (json)
		tell_json(&b, p, r, rows, n);
	else
		tell_text(&b, p, rows, n);
	fputs(buf_cstr(&b), stdout);
	buf_done(&b);
	return any ? CLI_OK : CLI_NO;
}

/* NS/NAME behind --service-account as the user it is. */
static bool take_user(const struct command *self, struct arena *a, const char *user,
    const char *account, struct slice *out)
{
	if (!user == !account) {
		cli_usage(self, "expected a user, or --service-account NAMESPACE/NAME");
		return false;
	}
	*out = slice_of(user);
	if (user)
		return true;
	size_t slash = slice_find(slice_of(account), '/');
	const char *name = account[slash] ? account + slash + 1 : "";
	*out = slice_of(
	    arena_printf(a, SERVICE_ACCOUNT_PREFIX "%.*s:%s", (int)slash, account, name));
	if (policy_is_service_account(*out))
		return true;
	cli_usage(self, "--service-account: expected NAMESPACE/NAME, found %s", account);
	return false;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *path = NULL, *ns = NULL, *account = NULL, *now = NULL, *output = NULL;
	const struct cli_option options[] = {{"policy", 'p', &path, NULL},
	    {"namespace", 'n', &ns, NULL}, {"service-account", 0, &account, NULL},
	    {"now", 0, &now, NULL}, {"output", 'o', &output, NULL}, {0}};
	AUTO(arena_done) struct arena arena = {0};
	struct cli_values groups = {0};
	struct slice texts[CLI_VALUES_MAX];
	struct access_request r = {0};
	bool json;
	if (!cli_repeated(self, "group", 'g', &groups, &argc, argv) ||
	    !cli_options(self, options, &argc, argv) || !cli_now(self, now, &r.now) ||
	    !cli_output(self, output, &json))
		return CLI_USAGE;
	if (!path || argc > 1)
		return cli_usage(self, path ? "unexpected argument" : "--policy is missing");
	if (!take_user(self, &arena, argv[0], account, &r.user))
		return CLI_USAGE;
	for (size_t i = 0; i < groups.n; i++)
		texts[i] = slice_of(groups.v[i]);
	r.ngroups = reach_groups(r.user, texts, groups.n, &arena, &r.groups);
	r.namespace_ = slice_of(ns);
	AUTO(policy_free) struct policy *p = cli_policy_load(path, authz_run_tests);
	return p ? answer(p, &r, json) : CLI_USAGE;
}

const struct command cmd_policy_what_can = {
    .name = "policy what-can",
    .args = "USER [--group GROUP]… --policy PATH",
    .summary = "Lists what the rules let one subject do, and what they keep it from.",
    .help =
	"  -p, --policy PATH            the policy, a file or a directory\n"
	"  -g, --group GROUP            a group of the user; may stand several times\n"
	"      --service-account NAME   NAMESPACE/NAME, in place of a user\n"
	"  -n, --namespace NAME         only what reaches into this namespace\n"
	"      --now TIME               as of this time (RFC 3339) and not as of now\n"
	"  -o, --output FORMAT          text (default) or json\n\n"
	"The groups that the apiserver gives each user (system:authenticated and the like) are\n"
	"added.\n\n"
	"Exit codes: 0 something is allowed, 1 nothing is, 2 the policy does not load.",
    .run = run,
};
