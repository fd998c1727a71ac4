/* Owns the JSON Schema (draft-07) of a table and all below it: what editors check and complete by. */
#include "common/schema.h"

#define DEFINITIONS_MAX 64 /* tables of one language; a test prints them all */
#define INDENT 2

struct printer {
	struct buf *out;
	const struct schema *found[DEFINITIONS_MAX];
	size_t nfound;
	unsigned depth;
	bool first; /* nothing stands yet in the object or list in hand */
};

/* --- JSON by lines --- */

static void line(struct printer *p)
{
	if (!p->first)
		buf_addc(p->out, ',');
	p->first = false;
	buf_addc(p->out, '\n');
	for (unsigned i = 0; i < p->depth * INDENT; i++)
		buf_addc(p->out, ' ');
}

static void key(struct printer *p, const char *name)
{
	line(p);
	buf_json(p->out, slice_of(name));
	buf_adds(p->out, ": ");
}

static void open(struct printer *p, char bracket)
{
	buf_addc(p->out, bracket);
	p->depth++;
	p->first = true;
}

static void close(struct printer *p, char bracket)
{
	p->depth--;
	p->first = true;
	line(p);
	p->first = false;
	buf_addc(p->out, bracket);
}

static void text(struct printer *p, const char *name, const char *value)
{
	key(p, name);
	buf_json(p->out, slice_of(value));
}

static void number(struct printer *p, const char *name, int64_t value)
{
	key(p, name);
	buf_i64(p->out, value);
}

/* --- types --- */

/* A scalar counts as a string however it is written, so `1` and `true` are fine where a string is
 * expected; only an editor's own YAML reader sees a number or a truth there. */
static void print_string(struct printer *p, const struct field *f, bool nonempty)
{
	key(p, "type");
	buf_adds(p->out, "[\"string\", \"number\", \"boolean\"]");
	if (nonempty)
		number(p, "minLength", 1);
	if (f->pattern)
		text(p, "pattern", f->pattern);
}

static void print_choices(struct printer *p, const struct field *f)
{
	key(p, "enum");
	open(p, '[');
	for (size_t i = 0; f->choices[i]; i++) {
		line(p);
		buf_json(p->out, slice_of(f->choices[i]));
	}
	close(p, ']');
}

static size_t definition(struct printer *p, const struct schema *s)
{
	for (size_t i = 0; i < p->nfound; i++)
		if (p->found[i] == s)
			return i;
	if (p->nfound == DEFINITIONS_MAX)
		return 0;
	p->found[p->nfound] = s;
	return p->nfound++;
}

/* Tables have names for sentences ("a rule"); two may have the same. */
static void print_name(struct buf *b, const struct printer *p, size_t i)
{
	const char *name = p->found[i]->name;
	size_t same = 1;
	if (strncmp(name, "a ", 2) == 0 || strncmp(name, "an ", 3) == 0)
		name += slice_find(slice_of(name), ' ') + 1;
	for (size_t k = 0; k < i; k++)
		same += strcmp(p->found[k]->name, p->found[i]->name) == 0;
	for (; *name; name++)
		buf_addc(b, *name == ' ' ? '-' : *name);
	if (same > 1)
		buf_printf(b, "-%zu", same);
}

static void print_ref(struct printer *p, const struct schema *s)
{
	struct buf b;
	buf_init(&b, 256);
	buf_adds(&b, "#/definitions/");
	print_name(&b, p, definition(p, s));
	text(p, "$ref", buf_cstr(&b));
	buf_done(&b);
}

static void print_list(struct printer *p, const struct field *f)
{
	text(p, "type", "array");
	if (f->nonempty)
		number(p, "minItems", 1);
	number(p, "maxItems", (int64_t)(f->max_items ? f->max_items : SCHEMA_LIST_MAX));
	if (f->type == FIELD_SET) {
		key(p, "uniqueItems");
		buf_adds(p->out, "true");
	}
	key(p, "items");
	open(p, '{');
	if (f->type == FIELD_OBJECTS)
		print_ref(p, f->sub);
	else if (f->type == FIELD_SET)
		print_choices(p, f);
	else
		print_string(p, f, false);
	close(p, '}');
}

static void print_limits(struct printer *p, const struct field *f)
{
	text(p, "type", "integer");
	if (f->min != 0 || f->max != 0)
		number(p, "minimum", f->min);
	if (f->max > f->min && f->max != INT64_MAX)
		number(p, "maximum", f->max);
}

/* In draft-07 nothing beside $ref counts, the description included. */
static void print_wrapped_ref(struct printer *p, const struct schema *s)
{
	key(p, "allOf");
	open(p, '[');
	line(p);
	open(p, '{');
	print_ref(p, s);
	close(p, '}');
	close(p, ']');
}

static void print_either(struct printer *p, const struct field *f)
{
	key(p, "anyOf");
	open(p, '[');
	line(p);
	open(p, '{');
	if (f->type == FIELD_STRING_OR_STRINGS)
		print_string(p, f, f->nonempty);
	else
		print_ref(p, f->sub);
	close(p, '}');
	line(p);
	open(p, '{');
	print_list(p, f);
	close(p, '}');
	close(p, ']');
}

static void print_mapping(struct printer *p, const struct field *f)
{
	text(p, "type", "object");
	key(p, "additionalProperties");
	open(p, '{');
	if (f->shape == NODE_MAPPING)
		print_ref(p, f->sub);
	else if (f->shape == NODE_MAPPING_OF_TEXTS)
		text(p, "type", "string");
	else
		print_list(p, f);
	close(p, '}');
}

static void print_node(struct printer *p, const struct field *f)
{
	switch (f->shape) {
	case NODE_MAPPING:
	case NODE_MAPPING_OF_STRINGS:
	case NODE_MAPPING_OF_TEXTS:
		print_mapping(p, f);
		break;
	case NODE_STRINGS_OR_OBJECT:
		print_either(p, f);
		break;
	case NODE_ANY:
		break;
	}
}

static void print_type(struct printer *p, const struct field *f)
{
	switch (f->type) {
	case FIELD_STRING:
	case FIELD_TEXT:
	case FIELD_PATH:
		print_string(p, f, f->nonempty || f->type == FIELD_PATH);
		break;
	case FIELD_BOOL:
		text(p, "type", "boolean");
		break;
	case FIELD_INT:
		print_limits(p, f);
		break;
	case FIELD_DURATION:
		text(p, "type", "string");
		text(p, "pattern", "^(0|([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|ms|s|m|h))+$");
		break;
	case FIELD_ENUM:
		print_choices(p, f);
		break;
	case FIELD_OBJECT:
		print_wrapped_ref(p, f->sub);
		break;
	case FIELD_SET:
	case FIELD_STRINGS:
	case FIELD_PATHS:
	case FIELD_OBJECTS:
		print_list(p, f);
		break;
	case FIELD_STRING_OR_STRINGS:
		print_either(p, f);
		break;
	case FIELD_NODE:
		print_node(p, f);
		break;
	}
}

/* --- tables --- */

static void print_field(struct printer *p, const struct field *f)
{
	key(p, f->name);
	open(p, '{');
	text(p, "description", f->doc);
	print_type(p, f);
	if (f->def && (f->type == FIELD_STRING || f->type == FIELD_ENUM))
		text(p, "default", f->def);
	close(p, '}');
}

static void print_required(struct printer *p, const struct schema *s)
{
	bool any = false;
	for (const struct field *f = s->fields; f->name; f++)
		any |= f->required && !f->unsupported;
	if (!any)
		return;
	key(p, "required");
	open(p, '[');
	for (const struct field *f = s->fields; f->name; f++) {
		if (!f->required || f->unsupported)
			continue;
		line(p);
		buf_json(p->out, slice_of(f->name));
	}
	close(p, ']');
}

static void print_either_key(struct printer *p, const struct schema *s)
{
	bool any = false;
	for (const struct field *f = s->fields; f->name; f++)
		any |= f->either;
	if (!any)
		return;
	key(p, "oneOf");
	open(p, '[');
	for (const struct field *f = s->fields; f->name; f++) {
		if (!f->either)
			continue;
		line(p);
		buf_adds(p->out, "{\"required\": [");
		buf_json(p->out, slice_of(f->name));
		buf_adds(p->out, "]}");
	}
	close(p, ']');
}

static void print_table(struct printer *p, const struct schema *s)
{
	text(p, "type", "object");
	key(p, "additionalProperties");
	buf_adds(p->out, "false");
	print_required(p, s);
	print_either_key(p, s);
	key(p, "properties");
	open(p, '{');
	for (const struct field *f = s->fields; f->name; f++)
		if (!f->unsupported)
			print_field(p, f);
	close(p, '}');
}

static void print_definitions(struct printer *p)
{
	key(p, "definitions");
	open(p, '{');
	/* Each may find more of them. */
	for (size_t i = 0; i < p->nfound; i++) {
		struct buf name;
		buf_init(&name, 128);
		print_name(&name, p, i);
		key(p, buf_cstr(&name));
		open(p, '{');
		print_table(p, p->found[i]);
		close(p, '}');
		buf_done(&name);
	}
	close(p, '}');
}

void schema_print_json(const struct schema *schema, const char *title, struct buf *out)
{
	struct printer p = {.out = out};
	open(&p, '{');
	text(&p, "$schema", "http://json-schema.org/draft-07/schema#");
	text(&p, "title", title);
	print_table(&p, schema);
	if (p.nfound)
		print_definitions(&p);
	close(&p, '}');
	buf_addc(out, '\n');
}
