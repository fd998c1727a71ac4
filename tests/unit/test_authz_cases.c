/* Proves the access cases of tests/cases/authz, rbac and abac, through loading and evaluation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "authz/authz.h"
#include "common/clock.h"
#include "common/file.h"

#define HEAD "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
#define GROUPS 8
#define SELECTORS 4 /* values of one requirement */
#define PARTS 4 /* files of one policy */

struct run {
	const char *file;
	unsigned line, rows;
	struct arena arena;
	struct policy *policy;
	char *found; /* findings of the last policy */
};

/* The next piece of S up to SEP, white space around it cut off. */
static struct slice piece(struct slice *s, char sep)
{
	size_t n = slice_find(*s, sep);
	struct slice p = {s->p, n};
	*s = slice_skip(*s, n + 1);
	while (p.len && strchr(" \t\r\n", p.p[0]))
		p = slice_skip(p, 1);
	while (p.len && strchr(" \t\r\n", p.p[p.len - 1]))
		p.len--;
	return p;
}

/* KEY=VALUE into VALUE; "" is the empty word. */
static bool setting(struct slice word, const char *key, struct slice *value)
{
	size_t eq = slice_find(word, '=');
	if (eq == word.len || !slice_is((struct slice){word.p, eq}, key))
		return false;
	*value = slice_skip(word, eq + 1);
	if (slice_is(*value, "\"\""))
		*value = (struct slice){0};
	return true;
}

static void read_who(struct run *t, struct slice text, struct access_request *r)
{
	struct slice *groups = ARENA_ARRAY(&t->arena, struct slice, GROUPS);
	while (text.len) {
		struct slice word = piece(&text, ' '), list;
		if (word.len == 0 || setting(word, "user", &r->user))
			continue;
		if (!setting(word, "groups", &list))
			fail_msg("%s:%u: who is `" SLICE_FMT "`?", t->file, t->line, SLICE_ARG(word));
		while (list.len) {
			assert_true(r->ngroups < GROUPS);
			groups[r->ngroups++] = piece(&list, ',');
		}
	}
	r->groups = groups;
}

/* KEY:OPERATOR[:VALUE,VALUE] appended to LIST. */
static void read_requirement(
    struct run *t, struct slice text, const struct access_requirement **list, size_t *n)
{
	struct access_requirement *v = ARENA_ARRAY(&t->arena, struct access_requirement, *n + 1);
	struct slice *values = ARENA_ARRAY(&t->arena, struct slice, SELECTORS);
	for (size_t i = 0; i < *n; i++)
		v[i] = (*list)[i];
	struct access_requirement *q = &v[(*n)++];
	*q = (struct access_requirement){.key = piece(&text, ':'), .op = piece(&text, ':'), .values = values};
	while (text.len) {
		assert_true(q->n < SELECTORS);
		values[q->n++] = piece(&text, ',');
	}
	*list = v;
}

static bool read_time(struct slice word, struct access_request *r)
{
	struct slice text;
	if (setting(word, "at", &text))
		return clock_parse_rfc3339(text, &r->now);
	if (!setting(word, "hold", &text))
		return false;
	for (; text.len && text.p[0] != 's'; text = slice_skip(text, 1))
		r->hold = r->hold * 10 + (text.p[0] - '0') * CLOCK_SECOND;
	return slice_is(text, "s");
}

static bool read_detail(struct run *t, struct slice word, struct access_request *r)
{
	struct slice text;
	if (setting(word, "ns", &r->namespace_) || setting(word, "name", &r->name) ||
	    setting(word, "group", &r->api_group) || setting(word, "version", &r->version))
		return true;
	if (setting(word, "field", &text))
		read_requirement(t, text, &r->field_selector, &r->nfield);
	else if (setting(word, "label", &text))
		read_requirement(t, text, &r->label_selector, &r->nlabel);
	else
		return word.len == 0 || read_time(word, r);
	return true;
}

static void read_what(struct run *t, struct slice text, struct access_request *r)
{
	r->verb = piece(&text, ' ');
	if (slice_is(r->verb, "\"\""))
		r->verb = (struct slice){0};
	struct slice word = piece(&text, ' ');
	if (setting(word, "path", &r->path))
		return;
	if (slice_is(word, "\"\""))
		word = (struct slice){0};
	r->resource_request = true;
	r->resource = (struct slice){word.p, slice_find(word, '/')};
	r->subresource = slice_skip(word, r->resource.len + 1);
	while (text.len) {
		word = piece(&text, ' ');
		if (!read_detail(t, word, r))
			fail_msg("%s:%u: what is `" SLICE_FMT "`?", t->file, t->line, SLICE_ARG(word));
	}
}

static bool is_rule(struct slice want, const char *id)
{
	return id ? slice_is(want, id) : want.len == 0;
}

/* `VERDICT [by RULE] [shadow VERDICT [RULE]]` or `noOpinion note TEXT`. */
static bool as_expected(struct slice expect, const struct decision *d, bool any_rule)
{
	struct slice verdict = piece(&expect, ' '), word = piece(&expect, ' '), rule = {0};
	bool shadow = false, right = slice_is(verdict, verdict_name(d->verdict));
	if (slice_is(word, "note"))
		return right && d->note && slice_is(expect, d->note) && !d->rule;
	if (slice_is(word, "by")) {
		rule = piece(&expect, ' ');
		word = piece(&expect, ' ');
	}
	right &= (any_rule && !rule.len) || is_rule(rule, d->rule);
	if (slice_is(word, "shadow")) {
		shadow = true;
		verdict = piece(&expect, ' ');
		right &= slice_is(verdict, verdict_name(d->shadow.verdict)) &&
			 is_rule(piece(&expect, ' '), d->shadow.rule);
		word = (struct slice){0};
	}
	return right && shadow == d->shadow.differs && word.len == 0;
}

/* Where ANY_RULE is set and none is named, any rule will do. */
static void ask(
    struct run *t, struct slice who, struct slice what, struct slice expect, bool any_rule)
{
	struct access_request r = {0};
	struct decision d;
	if (!t->policy)
		fail_msg("%s:%u: no policy to ask: %s", t->file, t->line, t->found);
	read_who(t, who, &r);
	read_what(t, what, &r);
	authz_evaluate(t->policy, &r, &d);
	if (!as_expected(expect, &d, any_rule))
		fail_msg("%s:%u: got %s by %s, shadow %s by %s (%s)", t->file, t->line,
		    verdict_name(d.verdict), d.rule ? d.rule : "nothing",
		    d.shadow.differs ? verdict_name(d.shadow.verdict) : "alike",
		    d.shadow.rule ? d.shadow.rule : "nothing", d.note ? d.note : "no note");
}

/* Does `row N | …` or `case NAME | …`. */
static void row(struct run *t, struct slice line)
{
	bool any_rule = slice_starts(line, SLICE("case "));
	piece(&line, '|');
	struct slice who = piece(&line, '|'), what = piece(&line, '|');
	t->rows++;
	bool load = slice_is(who, "load"), warns = slice_is(who, "warns"), loads = slice_is(who, "loads");
	if (!load && !warns && !loads) {
		ask(t, who, what, piece(&line, '|'), any_rule);
		return;
	}
	const char *words = arena_strndup(&t->arena, what.p, what.len);
	if (!t->policy != load || !strstr(t->found, words))
		fail_msg("%s:%u: expected a finding with `%s`, found: %s", t->file, t->line, words,
		    t->found);
}

/* What a block becomes: the native file, with an import of each other part. */
struct block {
	struct policy_file parts[PARTS];
	size_t n;
};

static void compile(struct run *t, struct block *b, struct slice native)
{
	struct diags d = {0};
	struct buf text, found;
	buf_init(&text, 1 << 20);
	buf_init(&found, 1 << 20);
	buf_adds(&text, b->n > 1 ? HEAD "imports:\n" : HEAD);
	for (size_t i = 1; i < b->n; i++)
		buf_printf(&text, "- %s: {path: %s}\n",
		    b->parts[i].kind == POLICY_FILE_RBAC ? "rbac" : "abac", b->parts[i].name);
	buf_slice(&text, native);
	b->parts[0] = (struct policy_file){.name = "p.yaml", .text = buf_view(&text)};
	policy_free(&t->policy);
	free(t->found);
	enum err_code rc = policy_compile(b->parts, b->n, authz_run_tests, &t->policy, &d);
	assert_true((rc == ERR_OK) == (t->policy != NULL) && (rc == ERR_OK) == (d.errors == 0));
	diags_print(&d, &found);
	t->found = strdup(buf_cstr(&found));
	diags_done(&d);
	buf_done(&text);
	buf_done(&found);
}

/* `policy`, `rbac [NAME]` or `abac [NAME]`; false for any other line. */
static bool part_of(struct run *t, struct slice line, struct policy_file *out)
{
	static const char *const kinds[] = {[POLICY_FILE_NATIVE] = "policy",
	    [POLICY_FILE_RBAC] = "rbac",
	    [POLICY_FILE_ABAC] = "abac"};
	struct slice word = piece(&line, ' '), name = piece(&line, ' ');
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!slice_is(word, kinds[i]))
			continue;
		*out = (struct policy_file){.kind = (enum policy_file_kind)i};
		out->name = name.len ? slice_dup(&t->arena, name).p
				     : arena_printf(&t->arena, "%s.%s", kinds[i],
					   i == POLICY_FILE_ABAC ? "jsonl" : "yaml");
		return true;
	}
	return false;
}

/* The lines up to the next part or `end`, each shifted left by two. */
static struct slice part_text(struct run *t, struct slice *text)
{
	struct buf b;
	struct policy_file next;
	buf_init(&b, 1 << 20);
	for (;;) {
		assert_true(text->len > 0);
		struct slice line = {text->p, slice_find(*text, '\n')};
		if (slice_is(line, "end") || part_of(t, line, &next))
			break;
		*text = slice_skip(*text, line.len + 1);
		t->line++;
		buf_slice(&b, slice_skip(line, 2));
		buf_addc(&b, '\n');
	}
	struct slice out = slice_dup(&t->arena, buf_view(&b));
	buf_done(&b);
	return out;
}

static void load(struct run *t, struct slice *text)
{
	struct block b = {.n = 1};
	struct slice native = {0};
	for (;;) {
		struct slice line = {text->p, slice_find(*text, '\n')};
		struct policy_file part;
		*text = slice_skip(*text, line.len + 1);
		t->line++;
		if (slice_is(line, "end"))
			break;
		assert_true(part_of(t, line, &part) && b.n < PARTS);
		part.text = part_text(t, text);
		if (part.kind == POLICY_FILE_NATIVE)
			native = part.text;
		else
			b.parts[b.n++] = part;
	}
	compile(t, &b, native);
}

static unsigned run_file(const char *name)
{
	struct run t = {.file = name};
	struct slice text;
	struct err e;
	const char *top = getenv("top_srcdir");
	const char *path = arena_printf(&t.arena, "%s/tests/cases/%s", top ? top : ".", name);
	if (file_read(&t.arena, path, 1 << 20, &text, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	while (text.len) {
		struct slice line = {text.p, slice_find(text, '\n')};
		struct policy_file part;
		if (part_of(&t, line, &part)) {
			load(&t, &text);
			continue;
		}
		text = slice_skip(text, line.len + 1);
		t.line++;
		if (slice_starts(line, SLICE("row ")) || slice_starts(line, SLICE("case ")))
			row(&t, line);
		else if (line.len && line.p[0] != '#' && !slice_starts(line, SLICE("out ")))
			fail_msg("%s:%u: neither policy, row, case nor comment", name, t.line);
	}
	policy_free(&t.policy);
	free(t.found);
	arena_done(&t.arena);
	return t.rows;
}

#define FILE_TEST(dir, name, at_least)                                                             \
	static void test_##dir##_##name(void **state)                                              \
	{                                                                                          \
		(void)state;                                                                       \
		assert_true(run_file(#dir "/" #name ".cases") >= at_least);                        \
	}

FILE_TEST(authz, resources, 30)
FILE_TEST(authz, names, 20)
FILE_TEST(authz, subjects, 30)
FILE_TEST(authz, namespaces, 30)
FILE_TEST(authz, urls, 15)
FILE_TEST(authz, effects, 20)
FILE_TEST(authz, selectors, 30)
FILE_TEST(authz, times, 15)
FILE_TEST(authz, shadow, 8)
FILE_TEST(rbac, authorizer, 34)
FILE_TEST(rbac, rules, 70)
FILE_TEST(rbac, resources, 12)
FILE_TEST(rbac, subjects, 17)
FILE_TEST(rbac, covers, 60)
FILE_TEST(rbac, import, 40)
FILE_TEST(abac, authorizer, 58)
FILE_TEST(abac, subjects, 36)
FILE_TEST(abac, policy, 25)
FILE_TEST(abac, import, 30)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_authz_resources),
	    cmocka_unit_test(test_authz_names),
	    cmocka_unit_test(test_authz_subjects),
	    cmocka_unit_test(test_authz_namespaces),
	    cmocka_unit_test(test_authz_urls),
	    cmocka_unit_test(test_authz_effects),
	    cmocka_unit_test(test_authz_selectors),
	    cmocka_unit_test(test_authz_times),
	    cmocka_unit_test(test_authz_shadow),
	    cmocka_unit_test(test_rbac_authorizer),
	    cmocka_unit_test(test_rbac_rules),
	    cmocka_unit_test(test_rbac_resources),
	    cmocka_unit_test(test_rbac_subjects),
	    cmocka_unit_test(test_rbac_covers),
	    cmocka_unit_test(test_rbac_import),
	    cmocka_unit_test(test_abac_authorizer),
	    cmocka_unit_test(test_abac_subjects),
	    cmocka_unit_test(test_abac_policy),
	    cmocka_unit_test(test_abac_import),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
