/* Owns `portcullis policy who-can`: whom the rules let do one thing, and whom they keep from it. */
#include <stdio.h>

#include "authz/cases.h"
#include "cli/commands.h"
#include "cli/policy.h"
#include "cli/policy_reach.h"

#define WHO_TEXT_MAX ((size_t)256 << 20)

/* Which part of the answer an entry belongs to. */
enum part { ALLOWED, TAKEN, LATER, DENIED, ABSTAINED, PARTS };

static const char *const part_names[] = {"allowed", "taken", "later", "denied", "abstained"};
static const char *const part_titles[] = {"allowed:", "allowed by a rule, but not in the end:",
    "not at this time:", "denied, whatever other rules and authorizers say:",
    "left to the next authorizer, whatever is allowed here:"};

static enum part part_of(const struct reach_entry *e)
{
	if (e->limits & REACH_NOT_NOW)
		return LATER;
	if (e->rule->effect != POLICY_ALLOW)
		return e->rule->effect == POLICY_DENY ? DENIED : ABSTAINED;
	/* No rule by then: the sample within the limits was none of them after all. */
	return e->verdict != VERDICT_ALLOW && e->by ? TAKEN : ALLOWED;
}

/* --- text --- */

static void part_mark(struct buf *b, bool *first)
{
	buf_adds(b, *first ? "  [" : "; ");
	*first = false;
}

static void print_times(struct buf *b, const struct reach_entry *e, bool *first)
{
	if (e->next == INT64_MAX)
		return;
	part_mark(b, first);
	buf_adds(b, e->limits & REACH_NOT_NOW ? "from " : "until ");
	reach_print_time(b, e->next);
}

static void print_except(
    struct buf *b, const struct policy *p, const struct reach_entry *e, bool *first)
{
	AUTO(arena_done) struct arena arena = {0};
	struct reach_subject *v;
	size_t n = reach_subjects(p, &e->rule->except, &arena, &v);
	for (size_t i = 0; i < n; i++) {
		if (i == 0)
			part_mark(b, first);
		buf_adds(b, i ? ", " : "except ");
		reach_print_subject(b, &v[i]);
	}
	n = reach_subjects(p, &e->rule->also, &arena, &v);
	for (size_t i = 0; i < n; i++) {
		if (i == 0)
			part_mark(b, first);
		buf_adds(b, i ? " or " : "only with ");
		reach_print_subject(b, &v[i]);
	}
}

static void print_marks(struct buf *b, const struct policy *p, const struct reach_entry *e)
{
	bool first = true;
	if (e->limits & REACH_NAMES) {
		part_mark(b, &first);
		buf_adds(b, "only names ");
		reach_print_names(b, p, e->action);
	}
	if (e->limits & REACH_NAMESPACES) {
		part_mark(b, &first);
		buf_adds(b, e->rule->scope == SCOPE_CLUSTER ? "only " : "only namespaces ");
		reach_print_place(b, p, e->rule);
	}
	if (e->limits & REACH_SELECTORS) {
		part_mark(b, &first);
		buf_adds(b, "only with ");
		reach_print_selectors(b, e->action);
	}
	print_times(b, e, &first);
	if (e->rule->break_glass) {
		part_mark(b, &first);
		buf_printf(b, "break-glass %s", e->rule->break_glass->ticket);
	}
	print_except(b, p, e, &first);
	if (part_of(e) == TAKEN) {
		part_mark(b, &first);
		buf_printf(b, "taken away by %s", e->by);
	}
	buf_adds(b, first ? "\n" : "]\n");
}

static size_t print_part(
    struct buf *b, const struct policy *p, const struct reach_list *l, enum part part)
{
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++) {
		const struct reach_entry *e = &l->v[i];
		if (part_of(e) != part)
			continue;
		if (n++ == 0)
			buf_printf(b, "%s\n", part_titles[part]);
		buf_adds(b, "  ");
		reach_print_subject(b, &e->subject);
		buf_printf(b, "  by %s (%s)", e->rule->id, e->rule->source);
		print_marks(b, p, e);
	}
	return n;
}

static size_t count(const struct reach_list *l, enum part part)
{
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++)
		n += part_of(&l->v[i]) == part;
	return n;
}

static void print_exempt(struct buf *b, const struct policy *p)
{
	AUTO(arena_done) struct arena arena = {0};
	struct reach_subject *v;
	size_t n = reach_subjects(p, &p->exempt, &arena, &v);
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? ", " : "exempt from what is denied and left: ");
		reach_print_subject(b, &v[i]);
	}
	buf_adds(b, n ? "\n" : "");
}

static void tell_text(struct buf *b, const struct policy *p, const struct reach_list *l)
{
	if (count(l, ALLOWED) == 0)
		buf_adds(b, "no rule allows it to anybody\n");
	for (int i = 0; i < PARTS; i++)
		print_part(b, p, l, (enum part)i);
	if (count(l, DENIED) || count(l, ABSTAINED) || p->default_deny)
		print_exempt(b, p);
	buf_adds(b, p->default_deny ? "all others: denied by defaults.decision\n"
				    : "all others: no opinion, the next authorizer decides\n");
}

/* --- JSON --- */

static void json_entry(struct buf *b, const struct policy *p, const struct reach_entry *e)
{
	static const struct {
		unsigned bit;
		const char *name;
	} limits[] = {{REACH_NAMES, "names"}, {REACH_NAMESPACES, "namespaces"},
	    {REACH_SELECTORS, "selectors"}, {REACH_NOT_NOW, "time"}};
	bool first = true;
	buf_adds(b, "{\"subject\":");
	reach_json_subject(b, &e->subject);
	reach_json_rule(b, e->rule);
	buf_adds(b, ",\"limits\":[");
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		if (!(e->limits & limits[i].bit))
			continue;
		buf_printf(b, "%s\"%s\"", first ? "" : ",", limits[i].name);
		first = false;
	}
	buf_addc(b, ']');
	reach_json_action(b, p, e->action);
	reach_json_place(b, p, e->rule);
	if (e->next != INT64_MAX) {
		buf_printf(b, ",\"%s\":\"", e->limits & REACH_NOT_NOW ? "from" : "until");
		reach_print_time(b, e->next);
		buf_addc(b, '"');
	}
	buf_adds(b, ",\"except\":");
	reach_json_subjects(b, p, &e->rule->except);
	buf_adds(b, ",\"also\":");
	reach_json_subjects(b, p, &e->rule->also);
	if (part_of(e) == TAKEN)
		buf_json_member(b, "takenBy", slice_of(e->by));
	buf_addc(b, '}');
}

static void tell_json(struct buf *b, const struct policy *p, const struct reach_query *q,
    const struct reach_list *l)
{
	buf_printf(b, "{\"oneRequest\":%s", reach_exact(p, q) ? "true" : "false");
	for (int part = 0; part < PARTS; part++) {
		bool first = true;
		buf_printf(b, ",\n\"%s\":[", part_names[part]);
		for (size_t i = 0; i < l->n; i++) {
			if (part_of(&l->v[i]) != (enum part)part)
				continue;
			buf_adds(b, first ? "\n" : ",\n");
			first = false;
			json_entry(b, p, &l->v[i]);
		}
		buf_addc(b, ']');
	}
	buf_adds(b, ",\n\"exempt\":");
	reach_json_subjects(b, p, &p->exempt);
	buf_printf(b, ",\n\"default\":\"%s\"}\n", p->default_deny ? "deny" : "noOpinion");
}

/* --- the run --- */

static int answer(const struct policy *p, const struct reach_query *q, bool json)
{
	AUTO(arena_done) struct arena arena = {0};
	struct reach_list l;
	struct buf b;
	buf_init(&b, WHO_TEXT_MAX);
	reach_who(p, q, &arena, &l);
	if (json)
		tell_json(&b, p, q, &l);
	else
		tell_text(&b, p, &l);
	fputs(buf_cstr(&b), stdout);
	buf_done(&b);
	return count(&l, ALLOWED) ? CLI_OK : CLI_NO;
}

struct args {
	const char *policy, *namespace_, *path, *now, *output;
	bool all;
};

/* What is wrong with the usage, or NULL. */
static const char *fault(const struct args *a, int argc, bool path)
{
	int least = a->path ? 1 : 2, most = a->path ? 1 : path ? 2 : 3;
	if (!a->policy)
		return "--policy is missing";
	if (argc < least || argc > most)
		return "expected VERB RESOURCE [NAME], or VERB --path PATH";
	if (path && (a->namespace_ || a->all))
		return "a path is in no namespace";
	return a->namespace_ && a->all ? "-n beside -A" : NULL;
}

static bool take_query(const struct command *self, const struct args *a, int argc, char **argv,
    struct reach_query *q)
{
	bool path = a->path || (argc > 1 && argv[1][0] == '/');
	const char *wrong = fault(a, argc, path);
	if (wrong) {
		cli_usage(self, "%s", wrong);
		return false;
	}
	q->request.verb = slice_of(argv[0]);
	if (path) {
		q->request.path = slice_of(a->path ? a->path : argv[1]);
		return true;
	}
	access_resource(slice_of(argv[1]), &q->request);
	q->request.name = slice_of(argc > 2 ? argv[2] : NULL);
	q->request.namespace_ = slice_of(a->namespace_);
	q->place = a->all ? REACH_ALL : a->namespace_ ? REACH_IN : REACH_ANYWHERE;
	return true;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct args a = {0};
	struct reach_query q = {0};
	const struct cli_option options[] = {{"policy", 'p', &a.policy, NULL},
	    {"namespace", 'n', &a.namespace_, NULL}, {"all-namespaces", 'A', NULL, &a.all},
	    {"path", 0, &a.path, NULL}, {"now", 0, &a.now, NULL}, {"output", 'o', &a.output, NULL},
	    {0}};
	bool json;
	if (!cli_options(self, options, &argc, argv) || !cli_now(self, a.now, &q.request.now) ||
	    !cli_output(self, a.output, &json) || !take_query(self, &a, argc, argv, &q))
		return CLI_USAGE;
	AUTO(policy_free) struct policy *p = cli_policy_load(a.policy, authz_run_tests);
	return p ? answer(p, &q, json) : CLI_USAGE;
}

const struct command cmd_policy_who_can = {
    .name = "policy who-can",
    .args = "VERB RESOURCE[.GROUP][/SUBRESOURCE] [NAME] --policy PATH",
    .summary = "Lists whom the rules let do one thing, and whom they keep from it.",
    .help =
	"A RESOURCE that starts with / is a path.\n\n"
	"  -p, --policy PATH       the policy, a file or a directory\n"
	"  -n, --namespace NAME    in this namespace; without: anywhere, limits are told\n"
	"  -A, --all-namespaces    with one request for all namespaces\n"
	"      --path PATH         a path, in place of a resource\n"
	"      --now TIME          as of this time (RFC 3339) and not as of now\n"
	"  -o, --output FORMAT     text (default) or json\n\n"
	"Exit codes: 0 somebody is allowed, 1 nobody is, 2 the policy does not load.",
    .run = run,
};
