/* Owns the binding of YAML trees to structs by the tables of schema.h. */
#include "common/schema.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/file.h"

#define NO_INDEX SIZE_MAX
#define QUOTE_MAX 40 /* bytes of a wrong value that a finding repeats */
#define LABEL_MAX 96
#define FOUND_MAX 64

/* Where binding stands. */
struct cursor {
	struct arena *arena;
	const char *file;
	struct diags *diags;
	const struct field *field;
	size_t index; /* of the list item in hand, or NO_INDEX */
};

static void bind_object(
    struct cursor c, const struct schema *schema, const struct yaml_node *node, char *obj);

static const char *label(const struct cursor *c, char out[LABEL_MAX])
{
	if (c->index == NO_INDEX)
		snprintf(out, LABEL_MAX, "`%s`", c->field->name);
	else
		snprintf(out, LABEL_MAX, "`%s[%zu]`", c->field->name, c->index);
	return out;
}

/* TEXT in back quotes, unless it is too long or not fit to be shown. */
static const char *quoted(struct slice text, const char *otherwise, char out[FOUND_MAX])
{
	if (text.len > QUOTE_MAX || !slice_printable(text))
		return otherwise;
	snprintf(out, FOUND_MAX, "`" SLICE_FMT "`", SLICE_ARG(text));
	return out;
}

/* What stands there, for "expected …, found …". */
static const char *found(const struct yaml_node *n, char out[FOUND_MAX])
{
	if (n->kind != YAMLX_SCALAR || yamlx_is_null(n))
		return yamlx_kind(n);
	if (n->plain)
		return quoted(n->text, "a string", out);
	char text[FOUND_MAX] = "";
	snprintf(out, FOUND_MAX, "the string %s", quoted(n->text, "", text));
	return text[0] ? out : "a string";
}

static void wrong(const struct cursor *c, const struct yaml_node *n, const char *expected)
{
	char name[LABEL_MAX], what[FOUND_MAX];
	diags_error(c->diags, c->file, n->line, n->col, "%s: expected %s, found %s", label(c, name),
	    expected, found(n, what));
}

static void refuse(const struct cursor *c, const struct yaml_node *n, const char *why)
{
	char name[LABEL_MAX];
	diags_error(c->diags, c->file, n->line, n->col, "%s %s", label(c, name), why);
}

static bool has_value(const struct cursor *c, const struct yaml_node *n)
{
	if (!yamlx_is_null(n))
		return true;
	refuse(c, n, n->text.len ? "has no value; quote it if the word itself is meant"
				 : "has no value; leave the key out or give it one");
	return false;
}

/* --- scalars ---------------------------------------------------------------------------------------- */

/* As slice_printable, line breaks and tabs apart. */
static bool text_printable(struct slice s)
{
	while (s.len) {
		size_t n = 0;
		while (n < s.len && !memchr("\n\r\t", s.p[n], 3))
			n++;
		if (!slice_printable((struct slice){s.p, n}))
			return false;
		s = slice_skip(s, n + 1);
	}
	return true;
}

/* The string at N, NULL after a finding. */
static const char *read_string(const struct cursor *c, const struct yaml_node *n, bool lines)
{
	if (!has_value(c, n))
		return NULL;
	if (n->kind != YAMLX_SCALAR) {
		wrong(c, n, "a string");
		return NULL;
	}
	if (lines ? text_printable(n->text) : slice_printable(n->text))
		return n->text.p;
	if (!lines && memchr(n->text.p, '\n', n->text.len))
		refuse(c, n, "must be on one line");
	else
		refuse(c, n, "holds a character that cannot be shown");
	return NULL;
}

static const char *read_path(const struct cursor *c, const struct yaml_node *n)
{
	const char *path = read_string(c, n, false);
	if (!path)
		return NULL;
	if (path[0] == '\0') {
		refuse(c, n, "must not be empty");
		return NULL;
	}
	return file_resolve(c->arena, c->file, path);
}

static void bind_string(const struct cursor *c, const struct yaml_node *n, void *member)
{
	const char *s = read_string(c, n, c->field->type == FIELD_TEXT);
	if (s && s[0] == '\0' && c->field->nonempty)
		refuse(c, n, "must not be empty");
	*(const char **)member = s;
}

static void bind_path(const struct cursor *c, const struct yaml_node *n, void *member)
{
	*(const char **)member = read_path(c, n);
}

static void bind_bool(const struct cursor *c, const struct yaml_node *n, void *member)
{
	bool yes = n->kind == YAMLX_SCALAR && n->plain && slice_is(n->text, "true");
	bool no = n->kind == YAMLX_SCALAR && n->plain && slice_is(n->text, "false");
	if (!yes && !no && has_value(c, n))
		wrong(c, n, "true or false");
	*(bool *)member = yes;
}

static void limits(const struct field *f, int64_t *min, int64_t *max)
{
	bool open = f->min == 0 && f->max == 0;
	*min = open && f->type == FIELD_INT ? INT64_MIN : f->min;
	*max = f->max <= f->min && (open || f->max == 0) ? INT64_MAX : f->max;
}

static void print_duration(int64_t ns, struct buf *out)
{
	static const struct {
		int64_t ns;
		const char *name;
	} units[] = {{3600 * CLOCK_SECOND, "h"}, {60 * CLOCK_SECOND, "m"}, {CLOCK_SECOND, "s"},
	    {CLOCK_MS, "ms"}, {1000, "us"}, {1, "ns"}};
	if (ns == 0)
		buf_adds(out, "0s");
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (ns < units[i].ns)
			continue;
		buf_i64(out, ns / units[i].ns);
		buf_adds(out, units[i].name);
		ns %= units[i].ns;
	}
}

static void print_limit(const struct field *f, int64_t v, struct buf *out)
{
	if (f->type == FIELD_DURATION)
		print_duration(v, out);
	else
		buf_i64(out, v);
}

void schema_print_range(const struct field *f, struct buf *out)
{
	int64_t min, max;
	if (f->type != FIELD_INT && f->type != FIELD_DURATION)
		return;
	limits(f, &min, &max);
	if (max == INT64_MAX && min == (f->type == FIELD_INT ? INT64_MIN : 0))
		return;
	buf_adds(out, max == INT64_MAX ? "at least " : "from ");
	print_limit(f, min, out);
	if (max == INT64_MAX)
		return;
	buf_adds(out, " to ");
	print_limit(f, max, out);
}

static void bind_limited(const struct cursor *c, const struct yaml_node *n, int64_t v, void *member)
{
	int64_t min, max;
	limits(c->field, &min, &max);
	*(int64_t *)member = v;
	if (v >= min && v <= max)
		return;
	struct buf b;
	char what[FOUND_MAX];
	buf_init(&b, 512);
	buf_adds(&b, "must be ");
	schema_print_range(c->field, &b);
	buf_printf(&b, ", found %s", found(n, what));
	refuse(c, n, buf_cstr(&b));
	buf_done(&b);
}

/* Decimal without sign tricks, leading zeros or underscores: 010 is nobody's eight here. */
static bool parse_int(struct slice s, int64_t *out)
{
	bool minus = s.len > 1 && s.p[0] == '-';
	s = slice_skip(s, minus);
	*out = 0;
	if (s.len == 0 || (s.p[0] == '0' && (s.len > 1 || minus)))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		int64_t d = s.p[i] - '0';
		if (d < 0 || d > 9 || __builtin_mul_overflow(*out, 10, out) ||
		    __builtin_sub_overflow(*out, d, out))
			return false;
	}
	return minus || !__builtin_sub_overflow(0, *out, out);
}

static void bind_int(const struct cursor *c, const struct yaml_node *n, void *member)
{
	int64_t v;
	if (!has_value(c, n))
		return;
	if (n->kind == YAMLX_SCALAR && n->plain && parse_int(n->text, &v))
		bind_limited(c, n, v, member);
	else
		wrong(c, n, "a whole number without quotes");
}

static void bind_duration(const struct cursor *c, const struct yaml_node *n, void *member)
{
	int64_t v;
	if (!has_value(c, n))
		return;
	if (n->kind == YAMLX_SCALAR && clock_parse_duration(n->text, &v))
		bind_limited(c, n, v, member);
	else
		wrong(c, n, "a duration such as 30s or 1h30m");
}

void schema_print_choices(const struct field *f, struct buf *out)
{
	for (size_t i = 0; f->choices[i]; i++)
		buf_printf(out, "%s`%s`", i ? (f->choices[i + 1] ? ", " : " or ") : "", f->choices[i]);
}

/* Index of the choice that N is, -1 after a finding. */
static int read_choice(const struct cursor *c, const struct yaml_node *n)
{
	size_t count = 0;
	if (!has_value(c, n))
		return -1;
	for (; c->field->choices[count]; count++)
		if (n->kind == YAMLX_SCALAR && slice_is(n->text, c->field->choices[count]))
			return (int)count;
	struct buf b;
	buf_init(&b, 900);
	schema_print_choices(c->field, &b);
	const char *near = diag_nearest(n->text, c->field->choices, count);
	if (count > 8 && near) {
		buf_done(&b);
		buf_printf(&b, "a known word (did you mean `%s`?)", near);
	}
	wrong(c, n, buf_cstr(&b));
	buf_done(&b);
	return -1;
}

static void bind_enum(const struct cursor *c, const struct yaml_node *n, void *member)
{
	int choice = read_choice(c, n);
	if (choice >= 0)
		*(int *)member = choice;
}

static void bind_node(const struct cursor *c, const struct yaml_node *n, void *member)
{
	if (has_value(c, n))
		*(const struct yaml_node **)member = n;
}

/* --- lists and objects ------------------------------------------------------------------------------ */

static bool is_list(const struct cursor *c, const struct yaml_node *n, const char *expected)
{
	size_t max = c->field->max_items ? c->field->max_items : SCHEMA_LIST_MAX;
	if (!has_value(c, n))
		return false;
	if (n->kind != YAMLX_SEQ) {
		wrong(c, n, expected);
		return false;
	}
	if (n->len == 0 && c->field->nonempty) {
		refuse(c, n, "must not be empty; leave the key out if nothing is meant");
		return false;
	}
	if (n->len <= max)
		return true;
	char why[96];
	snprintf(why, sizeof(why), "has %zu items, at most %zu are allowed", n->len, max);
	refuse(c, n, why);
	return false;
}

static void bind_strings(const struct cursor *c, const struct yaml_node *n, void *member)
{
	bool paths = c->field->type == FIELD_PATHS;
	if (!is_list(c, n, paths ? "a list of paths" : "a list of strings"))
		return;
	const char **items = ARENA_ARRAY(c->arena, const char *, n->len);
	struct cursor item = *c;
	for (item.index = 0; item.index < n->len; item.index++) {
		const struct yaml_node *at = n->items[item.index];
		items[item.index] = paths ? read_path(&item, at) : read_string(&item, at, false);
	}
	*(struct string_list *)member = (struct string_list){items, n->len};
}

static void bind_string_or_strings(
    const struct cursor *c, const struct yaml_node *n, void *member)
{
	if (n->kind != YAMLX_SCALAR) {
		bind_strings(c, n, member);
		return;
	}
	const char **item = ARENA_NEW(c->arena, const char *);
	bind_string(c, n, item);
	*(struct string_list *)member = (struct string_list){item, *item ? 1 : 0};
}

static void bind_set(const struct cursor *c, const struct yaml_node *n, void *member)
{
	unsigned bits = 0;
	if (!is_list(c, n, "a list of words"))
		return;
	struct cursor item = *c;
	for (item.index = 0; item.index < n->len; item.index++) {
		int choice = read_choice(&item, n->items[item.index]);
		if (choice >= 0 && bits & 1u << choice)
			refuse(&item, n->items[item.index], "stands twice");
		else if (choice >= 0)
			bits |= 1u << choice;
	}
	*(unsigned *)member = bits;
}

static void bind_objects(const struct cursor *c, const struct yaml_node *n, void *member)
{
	if (!is_list(c, n, "a list of mappings"))
		return;
	const struct schema *sub = c->field->sub;
	char *items = arena_calloc(c->arena, n->len, sub->size);
	struct cursor item = *c;
	for (item.index = 0; item.index < n->len; item.index++)
		bind_object(item, sub, n->items[item.index], items + item.index * sub->size);
	*(struct object_list *)member = (struct object_list){items, n->len};
}

static void bind_one_object(const struct cursor *c, const struct yaml_node *n, void *member)
{
	bind_object(*c, c->field->sub, n, member);
}

/* Reads the value N of C's field into MEMBER, or adds a finding. */
typedef void bind_fn(const struct cursor *c, const struct yaml_node *n, void *member);

static bind_fn *const binders[] = {
    [FIELD_STRING] = bind_string,
    [FIELD_TEXT] = bind_string,
    [FIELD_BOOL] = bind_bool,
    [FIELD_INT] = bind_int,
    [FIELD_DURATION] = bind_duration,
    [FIELD_ENUM] = bind_enum,
    [FIELD_PATH] = bind_path,
    [FIELD_OBJECT] = bind_one_object,
    [FIELD_SET] = bind_set,
    [FIELD_STRINGS] = bind_strings,
    [FIELD_STRING_OR_STRINGS] = bind_string_or_strings,
    [FIELD_PATHS] = bind_strings,
    [FIELD_OBJECTS] = bind_objects,
    [FIELD_NODE] = bind_node,
};

static const struct field *find_field(const struct schema *schema, struct slice key)
{
	for (const struct field *f = schema->fields; f->name; f++)
		if (slice_is(key, f->name))
			return f;
	return NULL;
}

static void unknown_key(const struct cursor *c, const struct schema *s, const struct yaml_pair *p)
{
	size_t n = 0, all = 0;
	while (s->fields[all].name)
		all++;
	const char **names = ARENA_ARRAY(c->arena, const char *, all);
	for (size_t i = 0; i < all; i++)
		if (!s->fields[i].unsupported)
			names[n++] = s->fields[i].name;
	const char *near = diag_nearest(p->key, names, n);
	char what[FOUND_MAX];
	diags_error(c->diags, c->file, p->line, p->col, "unknown key %s%s%s%s",
	    quoted(p->key, "with an unreadable name", what), near ? ", did you mean `" : "",
	    near ? near : "", near ? "`?" : "");
}

static void bind_pair(
    struct cursor c, const struct schema *schema, const struct yaml_pair *pair, char *obj)
{
	c.field = find_field(schema, pair->key);
	c.index = NO_INDEX;
	if (!c.field) {
		unknown_key(&c, schema, pair);
		return;
	}
	if (c.field->unsupported) {
		diags_error(c.diags, c.file, pair->line, pair->col, "`%s` is not supported yet: %s",
		    c.field->name, c.field->unsupported);
		return;
	}
	binders[c.field->type](&c, pair->value, obj + c.field->offset);
}

/* Binds the default of C's field as if it stood in the file. A scalar is what nearly all defaults are,
 * so only quotes and brackets go through the YAML reader. */
static void bind_default(struct cursor *c, char *obj)
{
	const char *def = c->field->def;
	struct yaml_node plain = {.kind = YAMLX_SCALAR, .plain = true, .text = slice_of(def)};
	struct yaml_node *n = &plain;
	if (def[0] && strchr("\"'[{", def[0]) &&
	    yamlx_parse(c->arena, c->file, slice_of(def), &n, c->diags) != ERR_OK)
		return;
	binders[c->field->type](c, n, obj + c->field->offset);
}

static void bind_defaults(struct cursor c, const struct schema *schema, char *obj)
{
	c.index = NO_INDEX;
	for (c.field = schema->fields; c.field->name; c.field++) {
		if (c.field->unsupported)
			continue;
		if (c.field->def)
			bind_default(&c, obj);
		else if (c.field->type == FIELD_OBJECT)
			bind_defaults(c, c.field->sub, obj + c.field->offset);
	}
}

static void check_required(
    const struct cursor *c, const struct schema *schema, const struct yaml_node *node)
{
	for (const struct field *f = schema->fields; f->name; f++)
		if (f->required && !f->unsupported && !yamlx_get(node, f->name))
			diags_error(c->diags, c->file, node->line, node->col,
			    "required key `%s` is missing", f->name);
}

static void bind_object(
    struct cursor c, const struct schema *schema, const struct yaml_node *node, char *obj)
{
	size_t errors = c.diags->errors;
	if (node->kind != YAMLX_MAP) {
		char what[FOUND_MAX];
		if (c.field && has_value(&c, node))
			wrong(&c, node, "a mapping");
		else if (!c.field)
			diags_error(c.diags, c.file, node->line, node->col,
			    "expected a mapping with the keys of %s, found %s", schema->name,
			    found(node, what));
		return;
	}
	bind_defaults(c, schema, obj);
	for (size_t i = 0; i < node->len; i++)
		bind_pair(c, schema, &node->pairs[i], obj);
	check_required(&c, schema, node);
	if (schema->present != SCHEMA_NO_PLACE)
		*(bool *)(obj + schema->present) = true;
	if (schema->place != SCHEMA_NO_PLACE)
		*(struct place *)(obj + schema->place) =
		    (struct place){c.file, node->line, node->col};
	if (schema->check && c.diags->errors == errors)
		schema->check(obj, node, c.file, c.diags);
}

enum err_code schema_bind(struct arena *arena, const struct schema *schema, const char *file,
    const struct yaml_node *node, void *obj, struct diags *d)
{
	struct cursor c = {.arena = arena,
	    .file = file ? arena_strdup(arena, file) : "",
	    .diags = d,
	    .index = NO_INDEX};
	size_t errors = d->errors;
	memset(obj, 0, schema->size);
	bind_object(c, schema, node, obj);
	return d->errors == errors ? ERR_OK : ERR_INVALID;
}
