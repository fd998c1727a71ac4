/* Proves the binding of YAML to structs: values, defaults, findings and their words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/schema.h"

struct server {
	const char *url;
	int64_t weight;
	struct place place;
};

struct tls {
	bool present;
	const char *ca, *pem;
	bool verify;
};

struct conf {
	const char *name, *mode_text;
	bool on;
	int64_t count, wait;
	int mode;
	const char *file;
	struct tls tls;
	struct string_list words, files, route;
	unsigned days;
	struct object_list servers;
	const struct yaml_node *raw;
	struct place place;
};

static const struct field server_fields[] = {
    {"url", FIELD_STRING, offsetof(struct server, url), .required = true, .nonempty = true,
	.doc = "Where it is."},
    {"weight", FIELD_INT, offsetof(struct server, weight), .def = "10", .min = 1, .max = 100,
	.doc = "Share of load."},
    {0},
};

static void check_server(
    void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct server *s = obj;
	if (strncmp(s->url, "https:", 6) != 0)
		diags_error(d, file, node->line, node->col, "url is not https");
}

static const struct schema server_schema = {"server", sizeof(struct server), server_fields,
    offsetof(struct server, place), SCHEMA_NO_PLACE, check_server};

static const struct field tls_fields[] = {
    {"ca", FIELD_PATH, offsetof(struct tls, ca), .required = true, .doc = "Trusted issuers."},
    {"pem", FIELD_TEXT, offsetof(struct tls, pem), .doc = "The same as text."},
    {"verify", FIELD_BOOL, offsetof(struct tls, verify), .def = "true", .doc = "Check the peer."},
    {0},
};

static const struct schema tls_schema = {"tls", sizeof(struct tls), tls_fields, SCHEMA_NO_PLACE,
    offsetof(struct tls, present), NULL};

static const char *const modes[] = {"async", "blocking", NULL};

static const char *const days[] = {"mon", "tue", "wed", NULL};

static const struct field conf_fields[] = {
    {"name", FIELD_STRING, offsetof(struct conf, name), .required = true, .doc = "Its name."},
    {"modeText", FIELD_STRING, offsetof(struct conf, mode_text), .def = "\"\"", .doc = "A | bar."},
    {"on", FIELD_BOOL, offsetof(struct conf, on), .doc = "Whether."},
    {"count", FIELD_INT, offsetof(struct conf, count), .def = "-3", .doc = "How many."},
    {"wait", FIELD_DURATION, offsetof(struct conf, wait), .def = "1m30s", .min = CLOCK_SECOND,
	.max = 3600 * CLOCK_SECOND, .needs_restart = true, .doc = "How long."},
    {"mode", FIELD_ENUM, offsetof(struct conf, mode), .choices = modes, .def = "blocking",
	.doc = "Which way."},
    {"file", FIELD_PATH, offsetof(struct conf, file), .def = "/dev/null", .doc = "Where to."},
    {"tls", FIELD_OBJECT, offsetof(struct conf, tls), .sub = &tls_schema, .doc = "Trust."},
    {"words", FIELD_STRINGS, offsetof(struct conf, words), .def = "[a, b c]", .max_items = 3,
	.nonempty = true, .doc = "Words."},
    {"route", FIELD_STRING_OR_STRINGS, offsetof(struct conf, route), .nonempty = true, .max_items = 3,
	.doc = "Steps."},
    {"days", FIELD_SET, offsetof(struct conf, days), .choices = days, .def = "[mon]", .doc = "Days."},
    {"files", FIELD_PATHS, offsetof(struct conf, files), .doc = "Files."},
    {"servers", FIELD_OBJECTS, offsetof(struct conf, servers), .sub = &server_schema,
	.doc = "Servers."},
    {"raw", FIELD_NODE, offsetof(struct conf, raw), .doc = "Anything."},
    {"when", FIELD_STRING, 0, .unsupported = "conditions come later", .doc = "A condition."},
    {0},
};

static const struct schema conf_schema = {"conf", sizeof(struct conf), conf_fields,
    offsetof(struct conf, place), SCHEMA_NO_PLACE, NULL};

struct bound {
	struct arena arena;
	struct diags diags;
	struct conf conf;
	enum err_code rc;
};

static void bound_done(struct bound *b)
{
	arena_done(&b->arena);
	diags_done(&b->diags);
}

static void bind(struct bound *b, struct slice text)
{
	struct yaml_node *n = NULL;
	*b = (struct bound){0};
	memset(&b->conf, 0x5A, sizeof(b->conf));
	assert_int_equal(yamlx_parse(&b->arena, "etc/f.yaml", text, &n, &b->diags), ERR_OK);
	b->rc = schema_bind(&b->arena, &conf_schema, "etc/f.yaml", n, &b->conf, &b->diags);
	if (b->rc == ERR_OK && b->diags.len)
		fail_msg("ok with findings: %s", b->diags.items[0].text);
}

static void test_defaults_fill_what_is_absent(void **state)
{
	(void)state;
	struct bound b;
	bind(&b, SLICE("name: x"));
	assert_int_equal(b.rc, ERR_OK);
	assert_string_equal(b.conf.name, "x");
	assert_string_equal(b.conf.mode_text, "");
	assert_false(b.conf.on);
	assert_int_equal(b.conf.count, -3);
	assert_int_equal(b.conf.wait, 90 * CLOCK_SECOND);
	assert_int_equal(b.conf.mode, 1);
	assert_string_equal(b.conf.file, "/dev/null");
	assert_false(b.conf.tls.present);
	assert_true(b.conf.tls.verify);
	assert_null(b.conf.tls.ca);
	assert_int_equal(b.conf.words.len, 2);
	assert_string_equal(b.conf.words.items[1], "b c");
	assert_int_equal(b.conf.files.len, 0);
	assert_int_equal(b.conf.servers.len, 0);
	assert_null(b.conf.raw);
	bound_done(&b);
}

static void test_a_set_is_bits_and_a_string_is_a_list_of_one(void **state)
{
	(void)state;
	struct bound b;
	bind(&b, SLICE("name: x"));
	assert_int_equal(b.conf.days, 1);
	assert_int_equal(b.conf.route.len, 0);
	bound_done(&b);
	bind(&b, SLICE("{name: x, days: [wed, mon], route: a.b}"));
	assert_int_equal(b.rc, ERR_OK);
	assert_int_equal(b.conf.days, 5);
	assert_int_equal(b.conf.route.len, 1);
	assert_string_equal(b.conf.route.items[0], "a.b");
	bound_done(&b);
	bind(&b, SLICE("{name: x, days: [], route: [a, b, c]}"));
	assert_int_equal(b.rc, ERR_OK);
	assert_int_equal(b.conf.days, 0);
	assert_int_equal(b.conf.route.len, 3);
	bound_done(&b);
	static const char *const bad[] = {"{name: x, days: mon}", "{name: x, days: [mon, mon]}",
	    "{name: x, days: [sun]}", "{name: x, days: [[mon]]}", "{name: x, days: }", "{name: x, route: \"\"}",
	    "{name: x, route: []}", "{name: x, route: {a: b}}", "{name: x, route: [a, {b: c}]}",
	    "{name: x, route: [a, b, c, d]}", "{name: x, route: }"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		bind(&b, slice_of(bad[i]));
		assert_int_equal(b.rc, ERR_INVALID);
		assert_int_equal(b.diags.items[0].line, 1);
		bound_done(&b);
	}
}

static void test_values_replace_defaults(void **state)
{
	(void)state;
	struct bound b;
	bind(&b, SLICE("name: 'no'\non: true\ncount: 9223372036854775807\nwait: \"1h\"\n"
		       "mode: async\nfile: sub/x\nwords: ['1', true, \"\"]\nfiles: [/a, b/]\n"
		       "tls:\n  ca: ../ca.pem\n  verify: false\n  pem: |\n    a\n    b\n"
		       "servers:\n- url: https://a\n- {weight: 100, url: 'https://b'}\nraw: [1]\n"));
	if (b.rc != ERR_OK)
		fail_msg("%s", b.diags.items[0].text);
	assert_string_equal(b.conf.name, "no");
	assert_true(b.conf.on);
	assert_true(b.conf.count == INT64_MAX);
	assert_int_equal(b.conf.wait, 3600 * CLOCK_SECOND);
	assert_int_equal(b.conf.mode, 0);
	assert_string_equal(b.conf.file, "etc/sub/x");
	assert_int_equal(b.conf.words.len, 3);
	assert_string_equal(b.conf.words.items[1], "true");
	assert_string_equal(b.conf.words.items[2], "");
	assert_string_equal(b.conf.files.items[0], "/a");
	assert_string_equal(b.conf.files.items[1], "etc/b/");
	assert_true(b.conf.tls.present);
	assert_false(b.conf.tls.verify);
	assert_string_equal(b.conf.tls.ca, "etc/../ca.pem");
	assert_string_equal(b.conf.tls.pem, "a\nb\n");
	const struct server *servers = b.conf.servers.items;
	assert_int_equal(b.conf.servers.len, 2);
	assert_int_equal(servers[0].weight, 10);
	assert_string_equal(servers[1].url, "https://b");
	assert_int_equal(servers[1].weight, 100);
	assert_int_equal(servers[1].place.line, 17);
	assert_int_equal(servers[1].place.col, 3);
	assert_string_equal(servers[1].place.file, "etc/f.yaml");
	assert_int_equal(b.conf.raw->kind, YAMLX_SEQ);
	assert_int_equal(b.conf.place.line, 1);
	bound_done(&b);
}

static void test_findings_say_what_and_where(void **state)
{
	(void)state;
	static const struct {
		struct slice in;
		uint32_t line, col;
		const char *text;
	} cases[] = {
	    {SLICE("[a]"), 1, 1, "expected a mapping with the keys of conf, found a list"},
	    {SLICE("~"), 1, 1, "expected a mapping with the keys of conf, found nothing"},
	    {SLICE("on: true"), 1, 1, "required key `name` is missing"},
	    {SLICE("name: x\nfiel: y"), 2, 1, "unknown key `fiel`, did you mean `file`?"},
	    {SLICE("name: x\nNAME: y"), 2, 1, "unknown key `NAME`, did you mean `name`?"},
	    {SLICE("name: x\nzzzzzz: y"), 2, 1, "unknown key `zzzzzz`"},
	    {SLICE("name: x\n\"a\\e\": y"), 2, 1, "unknown key with an unreadable name"},
	    {SLICE("name: x\nwhen: y"), 2, 1, "`when` is not supported yet: conditions come later"},
	    {SLICE("name: x\nwhen:"), 2, 1, "`when` is not supported yet: conditions come later"},
	    {SLICE("name:"), 1, 6, "`name` has no value; leave the key out or give it one"},
	    {SLICE("name: null"), 1, 7, "`name` has no value; quote it if the word itself is meant"},
	    {SLICE("name: x\nraw: ~"), 2, 6,
		"`raw` has no value; quote it if the word itself is meant"},
	    {SLICE("name: [x]"), 1, 7, "`name`: expected a string, found a list"},
	    {SLICE("name: \"a\\nb\""), 1, 7, "`name` must be on one line"},
	    {SLICE("name: \"a\\u202eb\""), 1, 7, "`name` holds a character that cannot be shown"},
	    {SLICE("name: x\non: yes"), 2, 5, "`on`: expected true or false, found `yes`"},
	    {SLICE("name: x\non: True"), 2, 5, "`on`: expected true or false, found `True`"},
	    {SLICE("name: x\non: 'true'"), 2, 5,
		"`on`: expected true or false, found the string `true`"},
	    {SLICE("name: x\non: {}"), 2, 5, "`on`: expected true or false, found a mapping"},
	    {SLICE("name: x\ncount: 010"), 2, 8,
		"`count`: expected a whole number without quotes, found `010`"},
	    {SLICE("name: x\ncount: 1_0"), 2, 8,
		"`count`: expected a whole number without quotes, found `1_0`"},
	    {SLICE("name: x\ncount: 0x1F"), 2, 8,
		"`count`: expected a whole number without quotes, found `0x1F`"},
	    {SLICE("name: x\ncount: +1"), 2, 8,
		"`count`: expected a whole number without quotes, found `+1`"},
	    {SLICE("name: x\ncount: 1.0"), 2, 8,
		"`count`: expected a whole number without quotes, found `1.0`"},
	    {SLICE("name: x\ncount: '1'"), 2, 8,
		"`count`: expected a whole number without quotes, found the string `1`"},
	    {SLICE("name: x\ncount: 9223372036854775808"), 2, 8,
		"`count`: expected a whole number without quotes, found `9223372036854775808`"},
	    {SLICE("name: x\nwait: 500ms"), 2, 7, "`wait` must be from 1s to 1h, found `500ms`"},
	    {SLICE("name: x\nwait: 5"), 2, 7,
		"`wait`: expected a duration such as 30s or 1h30m, found `5`"},
	    {SLICE("name: x\nmode: asinc"), 2, 7,
		"`mode`: expected `async` or `blocking`, found `asinc`"},
	    {SLICE("name: x\nmode: [async]"), 2, 7,
		"`mode`: expected `async` or `blocking`, found a list"},
	    {SLICE("name: x\nfile: ''"), 2, 7, "`file` must not be empty"},
	    {SLICE("name: x\nwords: a"), 2, 8,
		"`words`: expected a list of strings, found `a`"},
	    {SLICE("name: x\nwords: {a: b}"), 2, 8,
		"`words`: expected a list of strings, found a mapping"},
	    {SLICE("name: x\nwords: [a, [b]]"), 2, 12,
		"`words[1]`: expected a string, found a list"},
	    {SLICE("name: x\nwords:\n- a\n-\n"), 4, 2,
		"`words[1]` has no value; leave the key out or give it one"},
	    {SLICE("name: x\nwords: []"), 2, 8,
		"`words` must not be empty; leave the key out if nothing is meant"},
	    {SLICE("name: x\nwords: [a, b, c, d]"), 2, 8,
		"`words` has 4 items, at most 3 are allowed"},
	    {SLICE("name: x\nfiles: [a, '']"), 2, 12, "`files[1]` must not be empty"},
	    {SLICE("name: x\ntls: {}"), 2, 6, "required key `ca` is missing"},
	    {SLICE("name: x\ntls: a"), 2, 6, "`tls`: expected a mapping, found `a`"},
	    {SLICE("name: x\ntls:"), 2, 5, "`tls` has no value; leave the key out or give it one"},
	    {SLICE("name: x\nservers: [x]"), 2, 11, "`servers[0]`: expected a mapping, found `x`"},
	    {SLICE("name: x\nservers: [{url: 'https://x', weight: 0}]"), 2, 38,
		"`weight` must be from 1 to 100, found `0`"},
	    {SLICE("name: x\nservers: [{url: ''}]"), 2, 17, "`url` must not be empty"},
	    {SLICE("name: x\nservers: [{url: 'http://x'}]"), 2, 11, "url is not https"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bound b;
		bind(&b, cases[i].in);
		const struct diag *f = &b.diags.items[0];
		if (b.rc != ERR_INVALID || b.diags.len != 1 || f->line != cases[i].line ||
		    f->col != cases[i].col || strcmp(f->text, cases[i].text) != 0)
			fail_msg("case %zu: %zu findings, %u:%u: %s", i, b.diags.len, f->line,
			    f->col, b.diags.len ? f->text : "");
		assert_string_equal(f->file, "etc/f.yaml");
		bound_done(&b);
	}
}

static void test_all_findings_are_reported(void **state)
{
	(void)state;
	struct bound b;
	bind(&b, SLICE("nam: x\non: maybe\nservers:\n- {}\n- {url: 'https://x', z: 1}\n"));
	static const char *const texts[] = {
	    "unknown key `nam`, did you mean `name`?",
	    "`on`: expected true or false, found `maybe`",
	    "required key `url` is missing",
	    "unknown key `z`",
	    "required key `name` is missing",
	};
	assert_int_equal(b.diags.len, ARRAY_LEN(texts));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_string_equal(b.diags.items[i].text, texts[i]);
	bound_done(&b);
}

static void test_markdown_has_every_field(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1 << 16);
	schema_print_markdown(&conf_schema, &out);
	const char *text = buf_cstr(&out);
	for (const struct field *f = conf_fields; f->name; f++)
		assert_non_null(strstr(text, f->name));
	static const char *const parts[] = {
	    "## `conf`\n\n| key | value | default | meaning |\n|---|---|---|---|\n| `name` |",
	    "| `name` | string | required | Its name. |\n",
	    "| `modeText` | string | `\"\"` | A \\| bar. |\n",
	    "| `wait` | duration, from 1s to 1h | `1m30s` | How long. Takes effect after a restart. |",
	    "| `mode` | `async` or `blocking` | `blocking` | Which way. |\n",
	    "| `words` | list of strings, at most 3, not empty | `[a, b c]` | Words. |\n",
	    "| `when` | not supported yet |  | A condition. Not supported yet: conditions come later. |",
	    "\n### `servers[]`\n\n",
	    "| `weight` | number, from 1 to 100 | `10` | Share of load. |\n",
	    "\n### `tls`\n\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!strstr(text, parts[i]))
			fail_msg("%s not in:\n%s", parts[i], text);
	buf_done(&out);
}

static void test_unsound_tables_are_told(void **state)
{
	(void)state;
	struct buf why;
	buf_init(&why, 4096);
	if (!schema_sound(&conf_schema, &why))
		fail_msg("%s", buf_cstr(&why));
	static const struct {
		struct field field;
		const char *why;
	} cases[] = {
	    {{"x", FIELD_BOOL, 0, .def = "yes", .doc = "d"}, "x"},
	    {{"x", FIELD_BOOL, 0, .doc = ""}, "has no doc line"},
	    {{"x", FIELD_ENUM, 0, .doc = "d"}, "has no choices"},
	    {{"x", FIELD_OBJECTS, 0, .doc = "d"}, "has no sub schema"},
	    {{"x", FIELD_STRINGS, 8, .doc = "d"}, "outside"},
	    {{"x", FIELD_INT, 0, .required = true, .def = "1", .doc = "d"}, "required and has"},
	    {{"x", FIELD_INT, 0, .def = "7", .min = 8, .max = 9, .doc = "d"}, "from 8 to 9"},
	    {{"x", FIELD_STRINGS, 0, .def = "[", .doc = "d"}, "default"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct field fields[] = {cases[i].field, {0}};
		const struct schema s = {
		    "s", 16, fields, SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, NULL};
		why.len = 0;
		assert_false(schema_sound(&s, &why));
		if (!strstr(buf_cstr(&why), cases[i].why))
			fail_msg("case %zu: %s", i, buf_cstr(&why));
	}
	const struct field twice[] = {{"x", FIELD_BOOL, 0, .doc = "d"},
	    {"x", FIELD_BOOL, 1, .doc = "d"}, {0}};
	const struct schema s = {"s", 2, twice, SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, NULL};
	why.len = 0;
	assert_false(schema_sound(&s, &why));
	assert_string_equal(buf_cstr(&why), "s.x stands twice\n");
	buf_done(&why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults_fill_what_is_absent),
	    cmocka_unit_test(test_a_set_is_bits_and_a_string_is_a_list_of_one),
	    cmocka_unit_test(test_values_replace_defaults),
	    cmocka_unit_test(test_findings_say_what_and_where),
	    cmocka_unit_test(test_all_findings_are_reported),
	    cmocka_unit_test(test_markdown_has_every_field),
	    cmocka_unit_test(test_unsound_tables_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
