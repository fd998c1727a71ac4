/* Proves the numbered access cases of tests/cases/authz, through loading and evaluation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/file.h"
#include "tests/support/policy_text.h"

#define GROUPS 8

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

static void read_what(struct run *t, struct slice text, struct access_request *r)
{
	r->verb = piece(&text, ' ');
	if (slice_is(r->verb, "\"\""))
		r->verb = (struct slice){0};
	struct slice word = piece(&text, ' ');
	if (setting(word, "path", &r->path))
		return;
	r->resource_request = true;
	r->resource = (struct slice){word.p, slice_find(word, '/')};
	r->subresource = slice_skip(word, r->resource.len + 1);
	while (text.len) {
		word = piece(&text, ' ');
		bool known = word.len == 0 || setting(word, "ns", &r->namespace_) ||
			     setting(word, "name", &r->name) ||
			     setting(word, "group", &r->api_group) ||
			     setting(word, "version", &r->version);
		if (!known)
			fail_msg("%s:%u: what is `" SLICE_FMT "`?", t->file, t->line, SLICE_ARG(word));
	}
}

static void ask(struct run *t, struct slice who, struct slice what, struct slice expect)
{
	struct access_request r = {0};
	struct decision d;
	if (!t->policy)
		fail_msg("%s:%u: no policy to ask: %s", t->file, t->line, t->found);
	read_who(t, who, &r);
	read_what(t, what, &r);
	authz_evaluate(t->policy, &r, &d);
	struct slice verdict = piece(&expect, ' '), by = piece(&expect, ' '), rule = piece(&expect, ' ');
	bool right = slice_is(verdict, verdict_name(d.verdict));
	if (by.len)
		right &= d.rule && slice_is(rule, d.rule);
	else
		right &= d.rule == NULL;
	if (!right)
		fail_msg("%s:%u: got %s by %s", t->file, t->line, verdict_name(d.verdict),
		    d.rule ? d.rule : "nothing");
}

/* Does `row N | …`. */
static void row(struct run *t, struct slice line)
{
	piece(&line, '|');
	struct slice who = piece(&line, '|'), what = piece(&line, '|'), expect = piece(&line, '|');
	t->rows++;
	if (!slice_is(who, "load")) {
		ask(t, who, what, expect);
		return;
	}
	const char *words = arena_strndup(&t->arena, what.p, what.len);
	if (t->policy || !strstr(t->found, words))
		fail_msg("%s:%u: expected a finding with `%s`, found: %s", t->file, t->line, words,
		    t->found);
}

/* Reads the block up to `end`, each line shifted left by two. */
static void load(struct run *t, struct slice *text)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_adds(&b, POLICY_HEAD);
	for (;;) {
		assert_true(text->len > 0);
		struct slice line = {text->p, slice_find(*text, '\n')};
		*text = slice_skip(*text, line.len + 1);
		t->line++;
		if (slice_is(line, "end"))
			break;
		buf_slice(&b, slice_skip(line, 2));
		buf_addc(&b, '\n');
	}
	policy_free(&t->policy);
	free(t->found);
	t->policy = policy_try(buf_cstr(&b), authz_run_tests, &t->found);
	buf_done(&b);
}

static unsigned run_file(const char *name)
{
	struct run t = {.file = name};
	struct slice text;
	struct err e;
	const char *top = getenv("top_srcdir");
	const char *path = arena_printf(&t.arena, "%s/tests/cases/authz/%s", top ? top : ".", name);
	if (file_read(&t.arena, path, 1 << 20, &text, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	while (text.len) {
		struct slice line = {text.p, slice_find(text, '\n')};
		text = slice_skip(text, line.len + 1);
		t.line++;
		if (slice_is(line, "policy"))
			load(&t, &text);
		else if (slice_starts(line, SLICE("row ")))
			row(&t, line);
		else if (line.len && line.p[0] != '#')
			fail_msg("%s:%u: neither policy, row nor comment", name, t.line);
	}
	policy_free(&t.policy);
	free(t.found);
	arena_done(&t.arena);
	return t.rows;
}

#define FILE_TEST(name, at_least)                                                                  \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		assert_true(run_file(#name ".cases") >= at_least);                                 \
	}

FILE_TEST(resources, 30)
FILE_TEST(names, 20)
FILE_TEST(subjects, 30)
FILE_TEST(namespaces, 30)
FILE_TEST(urls, 15)
FILE_TEST(effects, 20)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_resources),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_subjects),
	    cmocka_unit_test(test_namespaces),
	    cmocka_unit_test(test_urls),
	    cmocka_unit_test(test_effects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
