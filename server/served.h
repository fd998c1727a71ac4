/* A policy that serves, with what is told of it: where it came from, who signed it. */
#ifndef SERVER_SERVED_H
#define SERVER_SERVED_H

#include "policy/policy.h"
#include "policy/signed.h"

struct served_file {
	const char *name;
	enum policy_file_kind kind;
	char sha256[2 * SHA256_LEN + 1];
	bool owned; /* OWNER is known */
	uint32_t owner; /* uid: who edited it, as far as the file tells */
};

/* Immutable once made. */
struct served_policy {
	struct arena arena;
	struct policy *policy;
	const char *path; /* as configured */
	bool recovered;	  /* the copy kept in the state directory */
	int64_t loaded;	  /* wall clock, nanoseconds */
	const char *const *signers; /* key ids */
	size_t nsigners;
	const char *signed_by; /* the same, joined by commas; NULL: nobody had to sign */
	const struct served_file *files;
	size_t nfiles;
};

/* Takes P over and copies the rest. SIGNERS may be NULL. */
struct served_policy *served_new(struct policy *p, const char *path, const struct policy_file *files,
    size_t n, const struct policy_signers *signers);
void served_free(struct served_policy **s);

#endif
