/* What the `policy` commands share. */
#ifndef CLI_POLICY_H
#define CLI_POLICY_H

#include "authz/sar.h"
#include "cli/cli.h"

/* Longest review that is read, as in the server. */
#define CLI_REVIEW_MAX ((size_t)1 << 20)

/* Reads and compiles the policy at PATH; TESTS as in policy_compile. Findings, warnings too, go to
 * stderr. NULL when there is an error: the command then returns CLI_USAGE. Free with policy_free. */
struct policy *cli_policy_load(const char *path, policy_test_fn *tests);

#endif
