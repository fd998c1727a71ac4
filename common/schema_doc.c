/* Owns what schema tables tell about themselves: the manual text, and whether they are sound. */
#include "common/schema.h"

#include <stdlib.h>

static const struct {
	const char *name;
	size_t size; /* of the member */
} types[] = {
    [FIELD_STRING] = {"string", sizeof(const char *)},
    [FIELD_TEXT] = {"text", sizeof(const char *)},
    [FIELD_BOOL] = {"`true` or `false`", sizeof(bool)},
    [FIELD_INT] = {"number", sizeof(int64_t)},
    [FIELD_DURATION] = {"duration", sizeof(int64_t)},
    [FIELD_ENUM] = {"", sizeof(int)},
    [FIELD_PATH] = {"path", sizeof(const char *)},
    [FIELD_OBJECT] = {"mapping", 0},
    [FIELD_SET] = {"list of ", sizeof(unsigned)},
    [FIELD_STRING_OR_STRINGS] = {"string or list of strings", sizeof(struct string_list)},
    [FIELD_STRINGS] = {"list of strings", sizeof(struct string_list)},
    [FIELD_PATHS] = {"list of paths", sizeof(struct string_list)},
    [FIELD_OBJECTS] = {"list of mappings", sizeof(struct object_list)},
    [FIELD_NODE] = {"as described", sizeof(const struct yaml_node *)},
};

static bool is_list(const struct field *f)
{
	return f->type == FIELD_STRINGS || f->type == FIELD_STRING_OR_STRINGS ||
	       f->type == FIELD_PATHS || f->type == FIELD_OBJECTS;
}

/* TEXT inside a table cell, where a bar would end the cell. */
static void cell(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_addc(out, '\\');
		buf_addc(out, *text == '\n' ? ' ' : *text);
	}
}

static void print_type(const struct field *f, struct buf *out)
{
	struct buf range;
	buf_init(&range, 256);
	schema_print_range(f, &range);
	buf_adds(out, types[f->type].name);
	if (f->type == FIELD_ENUM || f->type == FIELD_SET)
		schema_print_choices(f, out);
	if (range.len)
		buf_printf(out, ", %s", buf_cstr(&range));
	if (is_list(f) && f->max_items)
		buf_printf(out, ", at most %zu", f->max_items);
	if (f->nonempty)
		buf_adds(out, ", not empty");
	buf_done(&range);
}

static void print_row(const struct field *f, struct buf *out)
{
	buf_printf(out, "| `%s` | ", f->name);
	if (f->unsupported)
		buf_adds(out, "not supported yet");
	else
		print_type(f, out);
	buf_adds(out, " | ");
	if (f->required)
		buf_adds(out, "required");
	else if (f->def)
		buf_printf(out, "`%s`", f->def);
	buf_adds(out, " | ");
	cell(out, f->doc ? f->doc : "");
	if (f->unsupported) {
		buf_adds(out, " Not supported yet: ");
		cell(out, f->unsupported);
		buf_addc(out, '.');
	}
	buf_adds(out, f->needs_restart ? " Takes effect after a restart. |\n" : " |\n");
}

static void print_table(const struct schema *s, const char *path, unsigned depth, struct buf *out)
{
	buf_printf(out, "%s `%s`\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
	    depth ? "###" : "##", path);
	for (const struct field *f = s->fields; f->name; f++)
		print_row(f, out);
	buf_addc(out, '\n');
	for (const struct field *f = s->fields; f->name; f++) {
		if (!f->sub || f->unsupported || depth >= YAMLX_DEPTH)
			continue;
		struct buf sub;
		buf_init(&sub, 1024);
		buf_printf(&sub, "%s%s%s%s", depth ? path : "", depth ? "." : "", f->name,
		    is_list(f) ? "[]" : "");
		print_table(f->sub, buf_cstr(&sub), depth + 1, out);
		buf_done(&sub);
	}
}

void schema_print_markdown(const struct schema *schema, struct buf *out)
{
	print_table(schema, schema->name, 0, out);
}

static size_t member_size(const struct field *f)
{
	return f->type == FIELD_OBJECT && f->sub ? f->sub->size : types[f->type].size;
}

static bool stands_before(const struct schema *s, const struct field *f)
{
	for (const struct field *g = s->fields; g < f; g++)
		if (strcmp(g->name, f->name) == 0)
			return true;
	return false;
}

/* What is wrong with the type of F in S; NULL: nothing. */
static const char *type_fault(const struct schema *s, const struct field *f)
{
	bool object = f->type == FIELD_OBJECT || f->type == FIELD_OBJECTS;
	if ((f->type == FIELD_ENUM || f->type == FIELD_SET) && !f->choices)
		return "has no choices";
	if (f->type == FIELD_NODE && (f->shape == NODE_MAPPING || f->shape == NODE_STRINGS_OR_OBJECT))
		object = true;
	if (object && !f->sub)
		return "has no sub schema";
	if (f->offset > s->size || member_size(f) > s->size - f->offset)
		return "lies outside of its struct";
	return NULL;
}

static const char *field_fault(const struct schema *s, const struct field *f)
{
	if (!f->doc || !f->doc[0])
		return "has no doc line";
	if (stands_before(s, f))
		return "stands twice";
	if (f->unsupported)
		return NULL;
	return f->required && f->def ? "is required and has a default" : type_fault(s, f);
}

static bool check_fields(const struct schema *s, unsigned depth, struct buf *why)
{
	bool sound = true;
	for (const struct field *f = s->fields; f->name; f++) {
		const char *fault = field_fault(s, f);
		if (fault) {
			buf_printf(why, "%s.%s %s\n", s->name, f->name, fault);
			sound = false;
		} else if (f->sub && !f->unsupported && depth < YAMLX_DEPTH) {
			sound &= check_fields(f->sub, depth + 1, why);
		}
	}
	return sound;
}

/* Binds an empty mapping: the defaults are the only thing that can be wrong, absent required keys
 * apart, which are reported by their own message. */
static bool check_defaults(const struct schema *s, unsigned depth, struct buf *why)
{
	struct arena arena = {0};
	struct diags diags = {0};
	struct yaml_node empty = {.kind = YAMLX_MAP, .line = 1, .col = 1};
	struct schema unchecked = *s;
	bool sound = true;
	unchecked.check = NULL;
	void *obj = arena_alloc(&arena, s->size);
	if (schema_bind(&arena, &unchecked, "default", &empty, obj, &diags) != ERR_OK) {
		for (size_t i = 0; i < diags.len; i++) {
			if (strncmp(diags.items[i].text, "required key", 12) == 0)
				continue;
			buf_printf(why, "%s: default: %s\n", s->name, diags.items[i].text);
			sound = false;
		}
	}
	diags_done(&diags);
	arena_done(&arena);
	for (const struct field *f = s->fields; f->name; f++)
		if (f->type == FIELD_OBJECTS && !f->unsupported && depth < YAMLX_DEPTH)
			sound &= check_defaults(f->sub, depth + 1, why);
	return sound;
}

bool schema_sound(const struct schema *schema, struct buf *why)
{
	return check_fields(schema, 0, why) && check_defaults(schema, 0, why);
}
