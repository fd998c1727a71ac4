/* Proves the YAML reader: what it takes, what it refuses, and where it says the fault is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/yamlx.h"

struct doc {
	struct arena arena;
	struct diags diags;
	struct yaml_node *root;
	enum err_code rc;
};

static void doc_done(struct doc *d)
{
	arena_done(&d->arena);
	diags_done(&d->diags);
}

static void doc_read(struct doc *d, struct slice text)
{
	*d = (struct doc){0};
	d->rc = yamlx_parse(&d->arena, "f", text, &d->root, &d->diags);
}

/* The tree on one line: 'quoted', plain, [list], {map}. */
static void show(struct buf *b, const struct yaml_node *n)
{
	switch (n->kind) {
	case YAMLX_SCALAR:
		buf_adds(b, n->plain ? "" : "'");
		buf_slice(b, n->text);
		buf_adds(b, n->plain ? "" : "'");
		return;
	case YAMLX_SEQ:
		buf_adds(b, "[");
		for (size_t i = 0; i < n->len; i++) {
			buf_adds(b, i ? "," : "");
			show(b, n->items[i]);
		}
		buf_adds(b, "]");
		return;
	case YAMLX_MAP:
		buf_adds(b, "{");
		for (size_t i = 0; i < n->len; i++) {
			buf_adds(b, i ? "," : "");
			buf_slice(b, n->pairs[i].key);
			buf_adds(b, "=");
			show(b, n->pairs[i].value);
		}
		buf_adds(b, "}");
	}
}

static void test_accepts_and_keeps_everything(void **state)
{
	(void)state;
	static const struct {
		struct slice in;
		const char *tree;
	} cases[] = {
	    {SLICE("a: 1"), "{a=1}"},
	    {SLICE("---\na: 1\n...\n"), "{a=1}"},
	    {SLICE("# comment\r\na: b\r\nc: d\r\n"), "{a=b,c=d}"},
	    {SLICE("a: {b: [c, 'd', \"e\"], f: {}}\ng: []"), "{a={b=[c,'d','e'],f={}},g=[]}"},
	    {SLICE("- a\n- b: 1\n  c: 2\n-\n  - x\n"), "[a,{b=1,c=2},[x]]"},
	    {SLICE("a:\nb: ~\nc: null\nd: ''\n"), "{a=,b=~,c=null,d=''}"},
	    {SLICE("a: |\n  x\n  y\nb: >-\n  p\n  q\n"), "{a='x\ny\n',b='p q'}"},
	    {SLICE("a: \"\\u00e9\\t\\\"\""), "{a='\xC3\xA9\t\"'}"},
	    {SLICE("\"<<\": 1"), "{<<=1}"},
	    {SLICE("a: no\nb: 1e3\nc: 0x1F\n"), "{a=no,b=1e3,c=0x1F}"},
	    {SLICE("caf\xC3\xA9: \xF0\x9F\x98\x80"), "{caf\xC3\xA9=\xF0\x9F\x98\x80}"},
	    {SLICE("plain"), "plain"},
	    {SLICE("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"), "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct doc d;
		doc_read(&d, cases[i].in);
		if (d.rc != ERR_OK)
			print_error("%s: %s\n", cases[i].tree, d.diags.items[0].text);
		assert_int_equal(d.rc, ERR_OK);
		struct buf b;
		buf_init(&b, 4096);
		show(&b, d.root);
		assert_string_equal(buf_cstr(&b), cases[i].tree);
		buf_done(&b);
		doc_done(&d);
	}
}

static void test_refuses_with_place(void **state)
{
	(void)state;
	static const struct {
		struct slice in;
		uint32_t line, col;
		const char *text; /* a part of the message */
	} cases[] = {
	    {SLICE(""), 1, 1, "empty"},
	    {SLICE("# only\n# comments\n"), 1, 1, "empty"},
	    {SLICE("---\n"), 1, 1, "empty"},
	    {SLICE("a: 1\nb: 2\na: 3\n"), 3, 1, "`a` stands twice: first at 1:1"},
	    {SLICE("x:\n  {k: 1, 'k': 2}"), 2, 10, "`k` stands twice: first at 2:4"},
	    {SLICE("a: &x 1\nb: 2"), 1, 4, "anchors"},
	    {SLICE("a: &x {b: 1}"), 1, 4, "anchors"},
	    {SLICE("&x a: 1"), 1, 1, "anchors"},
	    {SLICE("a: *x"), 1, 4, "aliases"},
	    {SLICE("a: !!str 1"), 1, 4, "tags"},
	    {SLICE("a: ! x"), 1, 4, "tags"},
	    {SLICE("a: !local [1]"), 1, 4, "tags"},
	    {SLICE("b:\n  <<: {a: 1}"), 2, 3, "merge keys"},
	    {SLICE("%YAML 1.1\n---\na: 1"), 1, 1, "directives"},
	    {SLICE("%TAG ! tag:x,1:\n---\na: 1"), 1, 1, "directives"},
	    {SLICE("a: 1\n---\nb: 2\n"), 2, 1, "second document"},
	    {SLICE("a: 1\n...\nb: 2\n"), 3, 1, "did not find expected <document start>"},
	    {SLICE("a: 1\n...\n---\nb: 2\n"), 3, 1, "second document"},
	    {SLICE("[a]: 1"), 1, 1, "a key must be"},
	    {SLICE("? {a: 1}\n: 2"), 1, 3, "a key must be"},
	    {SLICE("a: 1\n?\n: x"), 2, 2, "a key is missing"},
	    {SLICE("a: b\0c"), 1, 5, "NUL"},
	    {SLICE("a: \"b\\0c\""), 1, 4, "\\0"},
	    {SLICE("\"k\\0\": 1"), 1, 1, "\\0"},
	    {SLICE("a: \xC3\x28"), 1, 4, "invalid UTF-8"},
	    {SLICE("a: \xED\xA0\x80"), 1, 4, "invalid UTF-8"},
	    {SLICE("a: x\xC3"), 1, 5, "invalid UTF-8"},
	    {SLICE("\xEF\xBB\xBF" "a: 1"), 1, 1, "byte order mark"},
	    {SLICE("\xFF\xFE" "a\0:\0"), 1, 1, "invalid UTF-8"},
	    {SLICE("\0a\0:"), 1, 1, "NUL"},
	    {SLICE("# x\rb: 1"), 1, 4, "carriage return"},
	    {SLICE("# x\xE2\x80\xA8" "b: 1"), 1, 4, "line separator"},
	    {SLICE("# x\xC2\x85" "b: 1"), 1, 4, "control"},
	    {SLICE("a: \x1b[0m"), 1, 4, "control"},
	    {SLICE("caf\xC3\xA9: \x7f"), 1, 7, "control"},
	    {SLICE("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"), 1, 17, "nested deeper than 16"},
	    {SLICE("a: [b\nc: d"), 2, 2, "while parsing a flow sequence that starts at 1:4"},
	    {SLICE("a: 1\n b: 2"), 2, 3, "mapping values are not allowed"},
	    {SLICE("a:\n\t- b"), 2, 1, "cannot start any token"},
	    {SLICE("a: 'x"), 1, 6, "unexpected end of stream"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct doc d;
		doc_read(&d, cases[i].in);
		const struct diag *f = &d.diags.items[0];
		if (d.rc == ERR_OK || f->line != cases[i].line || f->col != cases[i].col ||
		    !strstr(f->text, cases[i].text))
			fail_msg("case %zu (" SLICE_FMT "): rc %d, %u:%u: %s", i,
			    SLICE_ARG(cases[i].in), (int)d.rc, f->line, f->col,
			    d.diags.len ? f->text : "no finding");
		assert_null(d.root);
		doc_done(&d);
	}
}

static void test_every_place_is_known(void **state)
{
	(void)state;
	struct doc d;
	doc_read(&d, SLICE("a:\n  - x\n  - {b: 'y'}\n\xC3\xA9: |\n  z\n"));
	assert_int_equal(d.rc, ERR_OK);
	const struct yaml_node *list = yamlx_get(d.root, "a");
	assert_int_equal(list->line, 2);
	assert_int_equal(list->col, 3);
	assert_int_equal(list->items[0]->col, 5);
	const struct yaml_node *b = yamlx_get(list->items[1], "b");
	assert_int_equal(b->line, 3);
	assert_int_equal(b->col, 9);
	assert_int_equal(d.root->pairs[1].line, 4);
	assert_int_equal(d.root->pairs[1].col, 1);
	assert_int_equal(yamlx_get(d.root, "\xC3\xA9")->col, 4);
	assert_null(yamlx_get(d.root, "absent"));
	assert_null(yamlx_get(list, "a"));
	assert_null(yamlx_get(NULL, "a"));
	doc_done(&d);
}

static void test_null_is_plain_only(void **state)
{
	(void)state;
	struct doc d;
	doc_read(&d, SLICE("[~, null, Null, NULL, '', '~', 'null', nul, {}, []]"));
	assert_int_equal(d.rc, ERR_OK);
	for (size_t i = 0; i < d.root->len; i++)
		assert_int_equal(yamlx_is_null(d.root->items[i]), i < 4);
	assert_string_equal(yamlx_kind(d.root->items[0]), "nothing");
	assert_string_equal(yamlx_kind(d.root->items[4]), "a string");
	assert_string_equal(yamlx_kind(d.root->items[8]), "a mapping");
	assert_string_equal(yamlx_kind(d.root->items[9]), "a list");
	doc_done(&d);
}

static void test_all_duplicates_are_found_in_large_maps(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 5000; i++)
		buf_printf(&b, "key%d: v\n", i);
	buf_adds(&b, "key7: v\nkey4999: v\nkey7: v\n");
	struct doc d;
	doc_read(&d, buf_view(&b));
	assert_int_equal(d.rc, ERR_INVALID);
	assert_int_equal(d.diags.errors, 3);
	assert_string_equal(d.diags.items[0].text, "key `key7` stands twice: first at 8:1");
	assert_int_equal(d.diags.items[0].line, 5001);
	assert_string_equal(d.diags.items[1].text, "key `key4999` stands twice: first at 5000:1");
	assert_int_equal(d.diags.items[2].line, 5003);
	doc_done(&d);
	buf_done(&b);
}

static void test_limits_hold(void **state)
{
	(void)state;
	/* A depth that would cost libyaml quadratic time must be refused early. */
	enum { DEEP = 200000 };
	struct buf b;
	buf_init(&b, YAMLX_BYTES + 64);
	for (int i = 0; i < DEEP; i++)
		buf_adds(&b, "- ");
	struct doc d;
	doc_read(&d, buf_view(&b));
	assert_int_equal(d.rc, ERR_LIMIT);
	assert_string_equal(d.diags.items[0].text, "nested deeper than 16 levels");
	doc_done(&d);

	b.len = 0;
	for (size_t i = 0; i < YAMLX_BYTES + 1; i += 16)
		buf_adds(&b, "# filling lines\n");
	doc_read(&d, buf_view(&b));
	assert_int_equal(d.rc, ERR_LIMIT);
	doc_done(&d);

	b.len = 0;
	buf_adds(&b, "[");
	for (int i = 0; i < YAMLX_NODES; i++)
		buf_adds(&b, "a,");
	buf_adds(&b, "]");
	doc_read(&d, buf_view(&b));
	assert_int_equal(d.rc, ERR_LIMIT);
	assert_string_equal(d.diags.items[0].text, "too many nodes");
	doc_done(&d);
	buf_done(&b);

	struct doc capped = {0};
	arena_init(&capped.arena, 100);
	capped.rc = yamlx_parse(
	    &capped.arena, "f", SLICE("{a: 1, b: 2, c: 3}"), &capped.root, &capped.diags);
	assert_int_equal(capped.rc, ERR_LIMIT);
	assert_null(capped.root);
	doc_done(&capped);
}

/* Every single-bit change of a document is taken or refused with a finding, never anything else. */
static void test_bit_flips_are_harmless(void **state)
{
	(void)state;
	static const char text[] =
	    "apiVersion: x/v1\nlist: [a, 'b', \"c\\n\"]\nmap: {k: v, q: null}\n"
	    "items:\n- name: n\n  text: |\n    line\n    line\n- name: m # comment\n";
	for (size_t bit = 0; bit < 8 * (sizeof(text) - 1); bit++) {
		char copy[sizeof(text)];
		memcpy(copy, text, sizeof(text));
		copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
		struct doc d;
		doc_read(&d, (struct slice){copy, sizeof(text) - 1});
		assert_int_equal(d.rc == ERR_OK, d.diags.errors == 0);
		assert_int_equal(d.rc == ERR_OK, d.root != NULL);
		if (d.rc != ERR_OK)
			assert_true(d.diags.items[0].line >= 1 && d.diags.items[0].line <= 11);
		doc_done(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepts_and_keeps_everything),
	    cmocka_unit_test(test_refuses_with_place),
	    cmocka_unit_test(test_every_place_is_known),
	    cmocka_unit_test(test_null_is_plain_only),
	    cmocka_unit_test(test_all_duplicates_are_found_in_large_maps),
	    cmocka_unit_test(test_limits_hold),
	    cmocka_unit_test(test_bit_flips_are_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
