/* The gate: everything that a policy must pass before it decides, in one order for the server, for its
 * start and for --check. */
#ifndef SERVER_GATE_H
#define SERVER_GATE_H

#include "common/diag.h"
#include "policy/signed.h"
#include "server/config.h"
#include "server/generation.h"
#include "server/served.h"

/* All that a load reads, read once. Zeroed is empty. */
struct gate_files {
	struct arena arena;
	const char *path, *base;
	struct policy_file *files, *guards;
	size_t n, nguards;
	struct slice signature; /* the signature file's text */
	struct sign_key *keys;
	size_t nkeys;
	/* What went wrong with each; the stages report it in their turn. */
	struct diags read, signing, guarding;
	uint8_t digest[SHA256_LEN]; /* over all of it: equal means nothing new to load */
};

/* Reads what C names: policy, signatures, keys, guards. */
void gate_read(const struct authorization_config *c, struct gate_files *out);

/* The same until two readings in a row agree, so that no swap of files in between mixes two states; what
 * goes on changing is a finding of stage "read". */
void gate_read_settled(const struct authorization_config *c, struct gate_files *out);

/* The keys that C names, without their ids twice: for the copy kept in the state directory. */
void gate_read_keys(const struct authorization_config *c, struct gate_files *out);

void gate_files_done(struct gate_files *f);

/* What is held against a policy beside its own text. */
struct gate {
	const struct authorization_config *config;
	struct generation highest;
	const struct policy *before; /* for the shrink guard; NULL: nothing to compare with */
	bool copy; /* the kept copy: it was in force, so shrinking and guards do not count */
};

/* Stages in order: read, signature, parse, schema, generation, shrink, test, guard; *STAGE is the one where
 * it failed. *OUT is set only on success. */
enum err_code gate_pass(const struct gate *g, const struct gate_files *f,
    struct served_policy **out, const char **stage, struct diags *d) MUST_CHECK;

/* The stages, for the metric. */
extern const char *const gate_stages[];
extern const size_t gate_stages_len;

#endif
