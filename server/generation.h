/* The highest generation that was ever in force, on disk: an older policy does not come back unnoticed. */
#ifndef SERVER_GENERATION_H
#define SERVER_GENERATION_H

#include "common/err.h"
#include "common/secret.h"

struct generation {
	int64_t number;			 /* 0: none was in force yet */
	char sha256[2 * SHA256_LEN + 1]; /* of the policy that had it last */
};

/* Zero when there is none. ERR_INVALID when the file is not what was written: OUT is zero then, too. */
enum err_code generation_read(
    const char *state_dir, struct generation *out, struct err *e) MUST_CHECK;

/* Replaces STATE_DIR/policy-generation, durably; nothing to do when it says that already, or when NUMBER
 * is lower. */
enum err_code generation_raise(
    const char *state_dir, int64_t number, const char *sha256, struct err *e) MUST_CHECK;

#endif
