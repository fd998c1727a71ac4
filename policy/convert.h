/* From RBAC and ABAC files to a policy of our own. For the command line; deciding needs none of it. */
#ifndef POLICY_CONVERT_H
#define POLICY_CONVERT_H

#include "policy/policy.h"

/* Writes a native policy to OUT that gives what FILES (of kind RBAC or ABAC) give when imported. What the
 * language cannot say is left out, never widened: each such thing is a warning in D with its place, a comment
 * in OUT, and counted in *LOST. Two kinds of request do not count: those for a resource without a name and for
 * a path without one, which no apiserver asks about. ERR_INVALID when FILES cannot be imported; OUT is then
 * of no use. */
enum err_code policy_convert(const struct policy_file *files, size_t n, struct buf *out, size_t *lost,
    struct diags *d) MUST_CHECK;

#endif
