/* The last policy that was good, on disk: what serves after a restart when the configured one is broken. */
#ifndef SERVER_LASTGOOD_H
#define SERVER_LASTGOOD_H

#include "common/arena.h"
#include "common/err.h"
#include "policy/policy.h"

/* Replaces STATE_DIR/last-good-policy, durably and whole. */
enum err_code lastgood_save(const char *state_dir, const struct policy_file *files, size_t n,
    struct err *e) MUST_CHECK;

/* Reads it back into A. ERR_NOT_FOUND when there is none; ERR_INVALID when it is not what was saved. */
enum err_code lastgood_load(const char *state_dir, struct arena *a, struct policy_file **files,
    size_t *n, struct err *e) MUST_CHECK;

#endif
