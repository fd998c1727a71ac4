/* The difference of two texts by lines, as `diff -u` prints it. */
#ifndef CLI_LINEDIFF_H
#define CLI_LINEDIFF_H

#include "common/str.h"

/* Nothing for equal texts, else "--- FROM", "+++ TO" and hunks with three lines around each change. The fewest lines
 * change; texts of very many lines that differ are told as one change. Both texts end with a newline or are empty. */
void linediff(struct buf *out, const char *from, struct slice old, const char *to, struct slice new);

#endif
