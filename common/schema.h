/* Binds YAML trees to structs by constant tables: one line a field. The same tables tell unknown keys
 * (with the nearest right name) and print the reference manual.
 *
 * Quoted scalars are strings and nothing else; bool is plain true or false; integers are plain decimal.
 * A key without a value (`key:`, `key: null`) is an error for every type: it is neither absent nor
 * empty, and readers differ on which they expect. */
#ifndef COMMON_SCHEMA_H
#define COMMON_SCHEMA_H

#include "common/arena.h"
#include "common/diag.h"
#include "common/yamlx.h"

/* What a field's C member is. */
enum field_type {
	FIELD_STRING,	/* const char *; slice_printable; NULL when absent and without default */
	FIELD_TEXT,	/* const char *; as FIELD_STRING but line breaks and tabs are fine (PEM) */
	FIELD_BOOL,	/* bool */
	FIELD_INT,	/* int64_t in [min, max] */
	FIELD_DURATION, /* int64_t nanoseconds in [min, max] */
	FIELD_ENUM,	/* int: index into choices */
	FIELD_SET,	/* unsigned: bit 1 << index for each of a list of choices, none twice */
	FIELD_PATH,	/* const char *; a relative path is made relative to the file it stands in */
	FIELD_OBJECT,	/* embedded struct of sub; absent: its defaults apply, its required keys do not,
			 * .present (if any) is false */
	FIELD_STRINGS,	/* struct string_list; items as FIELD_STRING */
	FIELD_STRING_OR_STRINGS, /* the same; a single string is a list of one */
	FIELD_PATHS,	/* struct string_list; items as FIELD_PATH */
	FIELD_OBJECTS,	/* struct object_list of elements of sub */
	FIELD_NODE	/* const struct yaml_node *: the caller reads it itself */
};

/* What stands at a FIELD_NODE: told to editors (schema_print_json), read by the caller. */
enum node_shape {
	NODE_ANY = 0,
	NODE_MAPPING,		 /* of the users' own keys to objects of sub */
	NODE_MAPPING_OF_STRINGS, /* of the users' own keys to lists of strings */
	NODE_MAPPING_OF_TEXTS,	 /* of the users' own keys to strings */
	NODE_STRINGS_OR_OBJECT	 /* a list of strings, or an object of sub */
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
	int64_t min, max;		/* FIELD_INT, FIELD_DURATION; max 0: no upper limit;
					 * both 0: all the type can hold */
	size_t max_items;		/* lists; 0: SCHEMA_LIST_MAX */
	bool nonempty;			/* an empty string or list is refused */
	const char *const *choices;	/* FIELD_ENUM, FIELD_SET (at most 31): NULL-terminated */
	const struct schema *sub;	/* FIELD_OBJECT, FIELD_OBJECTS */
	enum node_shape shape;		/* FIELD_NODE */
	const char *pattern;		/* strings, items of lists: for editors; the caller checks */
	bool either;			/* of the fields so marked just one stands in an object: for
					 * editors; the caller checks */
	const char *unsupported;	/* not NULL: known but refused: "`key` is not supported yet: …" */
	bool live;			/* a file that its owner follows himself: a change is no reload */
	bool needs_restart;		/* a changed value takes effect only after a restart */
	const char *doc;		/* one line for the manual; a test refuses a field without one */
};

struct schema {
	const char *name;
	size_t size;
	const struct field *fields; /* ends with a NULL name */
	size_t place;		    /* offset of a struct place, or SCHEMA_NO_PLACE */
	size_t present;		    /* offset of a bool set when the object stood in the file, or NO_PLACE */
	/* Checks what one field cannot tell; adds findings. Called only when OBJ and all below it bound
	 * without an error. May be NULL. */
	void (*check)(void *obj, const struct yaml_node *node, const char *file, struct diags *d);
};

#define SCHEMA_NO_PLACE ((size_t)-1)
#define SCHEMA_LIST_MAX 10000

/* Fills *OBJ (SCHEMA->size bytes, zeroed by the callee) from NODE. Strings live in ARENA. Reports all
 * findings, not just the first; ERR_INVALID when there is any error. OBJ is then not to be used. */
enum err_code schema_bind(struct arena *arena, const struct schema *schema, const char *file,
    const struct yaml_node *node, void *obj, struct diags *d) MUST_CHECK;

/* The reference text in Markdown: a table a struct, a row a field, in table order. */
void schema_print_markdown(const struct schema *schema, struct buf *out);

/* The JSON Schema (draft-07, as editors take it): every key with its doc line, types, choices, limits,
 * required keys, nothing else allowed. Keys that are not supported are left out. At most 64 tables. */
void schema_print_json(const struct schema *schema, const char *title, struct buf *out);

/* "from 1 to 65535", "at least 1s", nothing when the field has no limits; "`a`, `b` or `c`". */
void schema_print_range(const struct field *f, struct buf *out);
void schema_print_choices(const struct field *f, struct buf *out);

/* For the unit test of every table: each field has a doc line, what its type needs, a member inside the
 * struct and a default that binds; names are unique. False with one line a fault in WHY. */
bool schema_sound(const struct schema *schema, struct buf *why);

#endif
