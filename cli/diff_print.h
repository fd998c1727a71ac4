/* A comparison of policies as text and as JSON. */
#ifndef CLI_DIFF_PRINT_H
#define CLI_DIFF_PRINT_H

#include "authz/diff.h"
#include "cli/cli.h"

/* Cells printed unless all are asked for. */
#define DIFF_SHOWN 100

void diff_print_text(const struct diff *d, bool all);
void diff_print_json(const struct diff *d, bool all);

/* "ns/name" of a pattern of service accounts. */
struct slice diff_account_name(struct slice pattern, struct buf *out);

#endif
