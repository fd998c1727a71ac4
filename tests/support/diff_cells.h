/* What a printed cell says, read by the second evaluator's means: by trying, without the code that made it. */
#ifndef TESTS_SUPPORT_DIFF_CELLS_H
#define TESTS_SUPPORT_DIFF_CELLS_H

#include "authz/diff.h"

/* Does R lie in C, whatever its verdicts are? */
bool cell_has(const struct diff_cell *c, const struct access_request *r);

/* The cell of D that has R and says that its verdict goes from BEFORE to AFTER; NULL: none. */
const struct diff_cell *cell_of(const struct diff *d, const struct access_request *r, bool shadow,
    enum verdict before, enum verdict after);

void cell_print(struct buf *b, const struct diff_cell *c);

#endif
