/* Binds YAML trees to structs by constant tables: one line a field. The same tables tell unknown keys
 * (with the nearest right name), print the reference manual and the JSON Schema. */
#ifndef COMMON_SCHEMA_H
#define COMMON_SCHEMA_H

#include "common/arena.h"
#include "common/diag.h"
#include "common/yamlx.h"

/* What a field's C member is. */
enum field_type {
	FIELD_STRING,	/* const char *; refuses NUL, controls; NULL when absent and without default */
	FIELD_TEXT,	/* const char *; as FIELD_STRING but line breaks are fine (PEM blocks) */
	FIELD_BOOL,	/* bool */
	FIELD_INT,	/* int64_t in [min, max] */
	FIELD_DURATION, /* int64_t nanoseconds in [min, max] */
	FIELD_ENUM,	/* int: index into choices */
	FIELD_PATH,	/* const char *; a relative path is made relative to the file it stands in */
	FIELD_OBJECT,	/* embedded struct of sub; absent: defaults applied, .present (if any) false */
	FIELD_STRINGS,	/* struct string_list; items as FIELD_STRING */
	FIELD_PATHS,	/* struct string_list; items as FIELD_PATH */
	FIELD_OBJECTS,	/* struct object_list of elements of sub */
	FIELD_NODE	/* const struct yaml_node *: the caller reads it itself */
};

struct string_list {
	const char *const *items;
	size_t len;
};

struct object_list {
	void *items; /* array of len structs of the field's sub->size */
	size_t len;
};

/* Where a value stood; put one in a struct and name it by `place` to get file positions later. */
struct place {
	const char *file;
	uint32_t line, col;
};

struct schema;

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	bool required;
	const char *def;		/* default as it would stand in YAML; NULL: none */
	int64_t min, max;		/* FIELD_INT, FIELD_DURATION; both 0: type's full range */
	size_t max_items;		/* lists; 0: SCHEMA_LIST_MAX */
	bool nonempty;			/* an empty string or list is refused */
	const char *const *choices;	/* FIELD_ENUM: NULL-terminated */
	const struct schema *sub;	/* FIELD_OBJECT, FIELD_OBJECTS */
	const char *unsupported;	/* not NULL: the key is known but refused, with this reason */
	bool needs_restart;		/* a changed value takes effect only after a restart */
	const char *doc;		/* one line for the manual; a test refuses a field without one */
};

struct schema {
	const char *name;
	size_t size;
	const struct field *fields; /* ends with a NULL name */
	size_t place;		    /* offset of a struct place, or SCHEMA_NO_PLACE */
	size_t present;		    /* offset of a bool set when the object stood in the file, or NO_PLACE */
	/* Checks what one field cannot tell; adds findings. May be NULL. */
	void (*check)(void *obj, const struct yaml_node *node, const char *file, struct diags *d);
};

#define SCHEMA_NO_PLACE ((size_t)-1)
#define SCHEMA_LIST_MAX 10000

/* Fills *OBJ (SCHEMA->size bytes, zeroed by the callee) from NODE. Strings live in ARENA. Reports all
 * findings, not just the first; ERR_INVALID when there is any error. OBJ is then not to be used. */
enum err_code schema_bind(struct arena *arena, const struct schema *schema, const char *file,
    const struct yaml_node *node, void *obj, struct diags *d) MUST_CHECK;

/* The reference text: one entry a field, in table order, as mdoc-free Markdown. */
void schema_print_markdown(const struct schema *schema, struct buf *out);

#endif
