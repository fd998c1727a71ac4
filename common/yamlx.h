/* Strict YAML: libyaml's events into one bounded tree with line and column. The only user of <yaml.h>.
 *
 * Accepted: one document (yamlx_parse_all: several), mappings, sequences, scalars, UTF-8. Refused with a place: anchors, aliases,
 * tags, directives, merge keys, a second document, duplicate keys, NUL or invalid UTF-8, a byte order
 * mark, controls and line ends other than LF and CR LF, non-scalar keys, more than YAMLX_DEPTH levels,
 * YAMLX_NODES nodes or YAMLX_BYTES bytes. */
#ifndef COMMON_YAMLX_H
#define COMMON_YAMLX_H

#include "common/arena.h"
#include "common/diag.h"
#include "common/str.h"

#define YAMLX_DEPTH 16			/* our files need 8; libyaml slows down with depth */
#define YAMLX_NODES 2000000		/* about 200 MB of tree: POLICY_RULES_MAX small rules */
#define YAMLX_BYTES ((size_t)32 << 20)	/* as the policy language has it */

enum yaml_kind { YAMLX_SCALAR, YAMLX_MAP, YAMLX_SEQ };

struct yaml_pair;

struct yaml_node {
	enum yaml_kind kind;
	uint32_t line, col;		/* from 1 */
	bool plain;			/* scalar in plain style: only then may it be bool, int or null */
	union {				/* small: a policy of 100,000 rules has millions of nodes */
		struct slice text;	/* scalar: value, NUL-terminated in the arena */
		struct {
			union {
				const struct yaml_pair *pairs;	/* of a map, in file order */
				struct yaml_node *const *items;	/* of a sequence */
			};
			size_t len;	/* of either; of a scalar the length of its text */
		};
	};
};

struct yaml_pair {
	struct slice key;
	uint32_t line, col;
	struct yaml_node *value;
};

/* Parses TEXT (named FILE in findings) into ARENA; *OUT borrows from the arena alone. On failure
 * adds at least one error to D, leaves *OUT alone and returns ERR_INVALID or ERR_LIMIT. An empty
 * document (only comments) is an error: a truncated file must not read as "nothing set". */
enum err_code yamlx_parse(struct arena *arena, const char *file, struct slice text,
    struct yaml_node **out, struct diags *d) MUST_CHECK;

/* As yamlx_parse, for a stream of documents with `---` between them: *DOCS are the roots (*N of them, at least
 * one) of those that hold something. Documents of nothing but comments are left out. */
enum err_code yamlx_parse_all(struct arena *arena, const char *file, struct slice text,
    struct yaml_node ***docs, size_t *n, struct diags *d) MUST_CHECK;

/* Value of KEY in the mapping N; NULL when N is no mapping or has no such key. */
struct yaml_node *yamlx_get(const struct yaml_node *n, const char *key);

/* The plain scalars null, Null, NULL, ~ and nothing at all. */
bool yamlx_is_null(const struct yaml_node *n);

/* "a mapping", "a list", "a string", "nothing": for messages. */
const char *yamlx_kind(const struct yaml_node *n);

#endif
