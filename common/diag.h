/* Findings about a file: many at once, each with its place, in the order found. */
#ifndef COMMON_DIAG_H
#define COMMON_DIAG_H

#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

/* Past this many the rest is only counted: a broken file should not print a book. */
#define DIAG_MAX 50

enum diag_level { DIAG_ERROR, DIAG_WARNING };

struct diag {
	enum diag_level level;
	const char *file;   /* as the user named it; "" when there is none */
	uint32_t line, col; /* from 1; 0 when there is no place */
	const char *text;
};

/* Owns its texts. Zeroed is empty and ready; not thread-safe. */
struct diags {
	struct arena arena;
	struct diag items[DIAG_MAX];
	size_t len, errors, warnings; /* the counts go on past DIAG_MAX */
};

void diags_done(struct diags *d);

/* Adds a finding; returns ERR_INVALID so that a parser can write `return diags_error(...)`. */
enum err_code diags_error(struct diags *d, const char *file, uint32_t line, uint32_t col,
    const char *fmt, ...) PRINTF(5, 6);
void diags_warn(struct diags *d, const char *file, uint32_t line, uint32_t col, const char *fmt,
    ...) PRINTF(5, 6);

/* "FILE:LINE:COL: error: TEXT\n" for each finding, and a line that counts what was left out. */
void diags_print(const struct diags *d, struct buf *out);

/* The first error as "FILE:LINE:COL: TEXT" (" (and N more)" when there are more) into E. Returns
 * ERR_INVALID, or ERR_OK when D holds no error. */
enum err_code diags_to_err(const struct diags *d, struct err *e);

/* The candidate nearest to WORD by edit distance, NULL when none is near enough to suggest. */
const char *diag_nearest(struct slice word, const char *const *candidates, size_t n);

#endif
