/* Fuzzes the YAML reader and the schema binding: bounds, places, and that a tree written out reads back. */
#include "common/schema.h"
#include "tests/fuzz/fuzz.h"

struct thing {
	const char *s, *t, *p;
	bool b, present;
	int64_t i, d;
	int e;
	struct string_list l, q;
	struct object_list o;
	const struct yaml_node *n;
	struct place place;
};

static const char *const choices[] = {"one", "two", NULL};
static const struct schema thing_schema;

static const struct field thing_fields[] = {
    {"s", FIELD_STRING, offsetof(struct thing, s), .required = true, .doc = "x"},
    {"t", FIELD_TEXT, offsetof(struct thing, t), .nonempty = true, .doc = "x"},
    {"p", FIELD_PATH, offsetof(struct thing, p), .def = "a/b", .doc = "x"},
    {"b", FIELD_BOOL, offsetof(struct thing, b), .def = "true", .doc = "x"},
    {"i", FIELD_INT, offsetof(struct thing, i), .min = -5, .max = 500, .doc = "x"},
    {"d", FIELD_DURATION, offsetof(struct thing, d), .min = 1, .doc = "x"},
    {"e", FIELD_ENUM, offsetof(struct thing, e), .choices = choices, .doc = "x"},
    {"l", FIELD_STRINGS, offsetof(struct thing, l), .max_items = 4, .def = "[a]", .doc = "x"},
    {"q", FIELD_PATHS, offsetof(struct thing, q), .nonempty = true, .doc = "x"},
    {"o", FIELD_OBJECTS, offsetof(struct thing, o), .sub = &thing_schema, .doc = "x"},
    {"n", FIELD_NODE, offsetof(struct thing, n), .doc = "x"},
    {"u", FIELD_NODE, 0, .unsupported = "later", .doc = "x"},
    {0},
};

static const struct schema thing_schema = {"thing", sizeof(struct thing), thing_fields,
    offsetof(struct thing, place), offsetof(struct thing, present), NULL};

static void check_text(struct slice s)
{
	FUZZ_CHECK(s.p && s.p[s.len] == '\0' && strlen(s.p) == s.len && slice_utf8(s));
}

static void check_place(uint32_t line, uint32_t col, size_t size)
{
	FUZZ_CHECK(line >= 1 && col >= 1 && line <= size + 1 && col <= size + 1);
}

static void check_node(const struct yaml_node *n, unsigned depth, size_t size)
{
	check_place(n->line, n->col, size);
	FUZZ_CHECK(n->kind == YAMLX_SCALAR || depth < YAMLX_DEPTH);
	if (n->kind == YAMLX_SCALAR)
		check_text(n->text);
	for (size_t i = 0; n->kind == YAMLX_SEQ && i < n->len; i++)
		check_node(n->items[i], depth + 1, size);
	for (size_t i = 0; n->kind == YAMLX_MAP && i < n->len; i++) {
		check_text(n->pairs[i].key);
		check_place(n->pairs[i].line, n->pairs[i].col, size);
		FUZZ_CHECK(yamlx_get(n, n->pairs[i].key.p) == n->pairs[i].value);
		check_node(n->pairs[i].value, depth + 1, size);
	}
}

/* The tree as flow YAML with every string quoted. */
static void write_node(struct buf *b, const struct yaml_node *n)
{
	if (n->kind == YAMLX_SCALAR)
		buf_json(b, n->text);
	if (n->kind == YAMLX_SEQ)
		buf_addc(b, '[');
	for (size_t i = 0; n->kind == YAMLX_SEQ && i < n->len; i++) {
		write_node(b, n->items[i]);
		buf_addc(b, ',');
	}
	if (n->kind == YAMLX_SEQ)
		buf_addc(b, ']');
	if (n->kind == YAMLX_MAP)
		buf_addc(b, '{');
	for (size_t i = 0; n->kind == YAMLX_MAP && i < n->len; i++) {
		buf_adds(b, "? ");
		buf_json(b, n->pairs[i].key);
		buf_adds(b, " : ");
		write_node(b, n->pairs[i].value);
		buf_addc(b, ',');
	}
	if (n->kind == YAMLX_MAP)
		buf_addc(b, '}');
}

static void check_round_trip(struct arena *a, const struct yaml_node *n)
{
	struct diags d = {0};
	struct yaml_node *again = NULL;
	struct buf first, second;
	buf_init(&first, YAMLX_BYTES);
	buf_init(&second, YAMLX_BYTES);
	write_node(&first, n);
	FUZZ_CHECK(yamlx_parse(a, "again", buf_view(&first), &again, &d) == ERR_OK);
	write_node(&second, again);
	FUZZ_CHECK(slice_eq(buf_view(&first), buf_view(&second)));
	buf_done(&first);
	buf_done(&second);
	diags_done(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct diags d = {0};
	struct yaml_node *n = NULL;
	struct thing thing;
	struct buf text;
	enum err_code rc = yamlx_parse(&arena, "f", fuzz_slice(data, size), &n, &d);
	FUZZ_CHECK((rc == ERR_OK) == (d.errors == 0) && (rc == ERR_OK) == (n != NULL));
	if (n) {
		check_node(n, 0, size);
		check_round_trip(&arena, n);
		rc = schema_bind(&arena, &thing_schema, "dir/f", n, &thing, &d);
		FUZZ_CHECK((rc == ERR_OK) == (d.errors == 0));
		FUZZ_CHECK(rc != ERR_OK || (thing.s && thing.present && thing.place.line));
	}
	buf_init(&text, 1 << 20);
	diags_print(&d, &text);
	FUZZ_CHECK(slice_utf8(buf_view(&text)));
	buf_done(&text);
	diags_done(&d);
	arena_done(&arena);
	return 0;
}
