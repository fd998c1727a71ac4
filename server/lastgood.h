/* The last policy that was good, on disk: what serves after a restart when the configured one is broken. */
#ifndef SERVER_LASTGOOD_H
#define SERVER_LASTGOOD_H

#include "common/arena.h"
#include "common/err.h"
#include "policy/policy.h"

struct lastgood {
	struct arena arena; /* of what was loaded; unused for saving */
	const char *path;   /* where it was configured to be */
	const char *base;   /* the folder that the signed names are relative to */
	struct policy_file *files;
	size_t n;
	struct slice signature; /* text of the signature file; empty: none was needed */
};

/* Replaces STATE_DIR/last-good-policy, durably and whole. */
enum err_code lastgood_save(
    const char *state_dir, const struct lastgood *copy, struct err *e) MUST_CHECK;

/* Reads it back. ERR_NOT_FOUND when there is none; ERR_INVALID when it is not what was saved. Whatever it
 * returns, OUT goes to lastgood_done. */
enum err_code lastgood_load(
    const char *state_dir, struct lastgood *out, struct err *e) MUST_CHECK;
void lastgood_done(struct lastgood *copy);

#endif
