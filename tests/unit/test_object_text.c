/* Proves objects as text: YAML that reads back, and the forecast of what an apply makes of an object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/yamlx.h"
#include "rbac-sync/object_text.h"

static json_t *json(const char *text)
{
	json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);
	if (!j)
		fail_msg("%s", text);
	return j;
}

static void check_yaml(const char *object, const char *want)
{
	json_t *j = json(object);
	struct buf b;
	buf_init(&b, 1 << 16);
	object_yaml(j, &b);
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
	json_decref(j);
}

static void test_yaml_is_sorted_and_in_block_style(void **state)
{
	(void)state;
	check_yaml("{\"spec\":{\"b\":1,\"a\":[]},\"metadata\":{\"labels\":{},\"name\":\"one\"},\"kind\":\"K\","
		   "\"apiVersion\":\"v1\"}",
	    "apiVersion: v1\nkind: K\nmetadata:\n  name: one\n  labels: {}\nspec:\n  a: []\n  b: 1\n");
	check_yaml("{\"l\":[{\"b\":\"x\",\"a\":true},[1,[2]],\"s\",null,{}]}",
	    "l:\n- a: true\n  b: x\n- - 1\n  - - 2\n- s\n- null\n- {}\n");
	check_yaml("{\"a\":{\"b\":{\"c\":[\"d\"]}}}", "a:\n  b:\n    c:\n    - d\n");
	check_yaml("1.5", "1.5\n");
}

static void test_words_that_yaml_would_take_for_more_are_quoted(void **state)
{
	(void)state;
	check_yaml("{\"a\":\"true\",\"b\":\"No\",\"c\":\"1\",\"d\":\"\",\"e\":\"a b\",\"f\":\"x: y\",\"g\":\"-x\"}",
	    "a: \"true\"\nb: \"No\"\nc: \"1\"\nd: \"\"\ne: \"a b\"\nf: \"x: y\"\ng: \"-x\"\n");
	check_yaml("{\"a\\nb\":\"\\u202e\",\"m\":\"null\",\"y\":\"~\"}",
	    "\"a\\nb\": \"\\u202e\"\nm: \"null\"\n\"y\": \"~\"\n");
}

/* Random values: our own reader gives back what was written. */
static json_t *random_value(unsigned *seed, int depth)
{
	static const char *const words[] = {"a", "true", "", "x: y", "- b", "#c", "\xc3\xa4", "1e3", "a\tb", "'q'", "\"", "null"};
	int what = rand_r(seed) % (depth ? 4 : 2);
	if (what < 2)
		return json_string(words[(size_t)rand_r(seed) % ARRAY_LEN(words)]);
	json_t *v = what == 2 ? json_array() : json_object();
	for (int n = rand_r(seed) % 4; n > 0; n--) {
		json_t *item = random_value(seed, depth - 1);
		if (what == 2)
			json_array_append_new(v, item);
		else
			json_object_set_new(v, words[(size_t)rand_r(seed) % ARRAY_LEN(words)], item);
	}
	return v;
}

static bool same(const struct yaml_node *y, const json_t *j)
{
	if (json_is_string(j)) /* never what is no string in YAML */
		return y->kind == YAMLX_SCALAR && !(y->plain && yamlx_is_null(y)) &&
		    slice_is(y->text, json_string_value(j));
	if (json_is_array(j)) {
		for (size_t i = 0; i < json_array_size(j); i++)
			if (y->kind != YAMLX_SEQ || !same(y->items[i], json_array_get(j, i)))
				return false;
		return y->kind == YAMLX_SEQ && y->len == json_array_size(j);
	}
	for (size_t i = 0; y->kind == YAMLX_MAP && i < y->len; i++)
		if (!same(y->pairs[i].value, json_object_getn(j, y->pairs[i].key.p, y->pairs[i].key.len)))
			return false;
	return y->kind == YAMLX_MAP && y->len == json_object_size(j);
}

static void test_yaml_reads_back(void **state)
{
	(void)state;
	unsigned seed = 7;
	for (int i = 0; i < 2000; i++) {
		struct arena a = {0};
		struct diags d = {0};
		struct yaml_node *y;
		struct buf b;
		json_t *j = json_object();
		json_object_set_new(j, "top", random_value(&seed, 4));
		buf_init(&b, 1 << 20);
		object_yaml(j, &b);
		buf_cstr(&b);
		if (yamlx_parse(&a, "x", buf_view(&b), &y, &d) != ERR_OK || !same(y, j))
			fail_msg("%s", b.p);
		json_decref(j);
		buf_done(&b);
		diags_done(&d);
		arena_done(&a);
	}
}

/* --- the forecast --- */

static void check_after(const char *live, const char *body, const char *want)
{
	json_t *l = live ? json(live) : NULL, *b = json(body), *w = json(want);
	json_t *got = object_after(l, b);
	if (!json_equal(got, w))
		fail_msg("%s", json_dumps(got, JSON_SORT_KEYS));
	json_decref(l);
	json_decref(b);
	json_decref(w);
	json_decref(got);
}

static void test_what_nobody_made_yet_is_the_body(void **state)
{
	(void)state;
	check_after(NULL, "{\"metadata\":{\"name\":\"n\"}}", "{\"metadata\":{\"name\":\"n\"}}");
}

static void test_others_fields_stay_and_ours_are_replaced(void **state)
{
	(void)state;
	check_after("{\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"3\",\"labels\":{\"a\":\"1\",\"x\":\"y\"},"
		    "\"ownerReferences\":[{\"uid\":\"o1\"}]},\"subjects\":[{\"name\":\"mallory\"}],"
		    "\"spec\":{\"hard\":{\"pods\":\"3\",\"cpu\":\"1\"},\"scopes\":[\"s\"]},\"status\":{\"x\":1}}",
	    "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"2\"},\"ownerReferences\":[{\"uid\":\"o2\"}]},"
	    "\"subjects\":[{\"name\":\"alice\"}],\"spec\":{\"hard\":{\"pods\":\"4\"}}}",
	    "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"2\",\"x\":\"y\"},\"ownerReferences\":[{\"uid\":\"o1\"},"
	    "{\"uid\":\"o2\"}]},\"subjects\":[{\"name\":\"alice\"}],\"spec\":{\"hard\":{\"pods\":\"4\",\"cpu\":\"1\"},"
	    "\"scopes\":[\"s\"]}}");
}

static void test_what_we_gave_up_goes(void **state)
{
	(void)state;
	static const char live[] =
	    "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"1\",\"b\":\"1\",\"x\":\"y\"},\"managedFields\":["
	    "{\"manager\":\"kubectl\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\"f:x\":{}}}}},"
	    "{\"manager\":\"portcullis-sync\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\"f:a\":{},"
	    "\"f:b\":{}}},\"f:spec\":{\"f:hard\":{\"f:pods\":{}}}}}]},\"spec\":{\"hard\":{\"pods\":\"3\"},\"other\":1}}";
	check_after(live, "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"1\"}},\"spec\":{}}",
	    "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"1\",\"x\":\"y\"}},\"spec\":{\"other\":1}}");
}

static void test_names_cannot_be_taken_for_more(void **state)
{
	(void)state;
	static const struct {
		struct slice name;
		const char *want;
	} rows[] = {
	    {SLICE("alice@x.org"), "alice@x.org"},
	    {SLICE("ldap:corp"), "ldap:corp"},
	    {SLICE("a, b"), "\"a, b\""},
	    {SLICE("a\x1b[2J"), "\"a\\u001b[2J\""},
	    {SLICE(""), "\"\""},
	    {SLICE("\xe2\x80\xae" "evil"), "\"\\u202eevil\""},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;
		buf_init(&b, 256);
		plain_name(&b, rows[i].name);
		assert_string_equal(buf_cstr(&b), rows[i].want);
		buf_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_yaml_is_sorted_and_in_block_style),
	    cmocka_unit_test(test_words_that_yaml_would_take_for_more_are_quoted),
	    cmocka_unit_test(test_yaml_reads_back),
	    cmocka_unit_test(test_what_nobody_made_yet_is_the_body),
	    cmocka_unit_test(test_others_fields_stay_and_ours_are_replaced),
	    cmocka_unit_test(test_what_we_gave_up_goes),
	    cmocka_unit_test(test_names_cannot_be_taken_for_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
