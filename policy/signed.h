/* Signed policies: a manifest of all files of a policy, and signatures over it in a file beside them.
 *
 * The file, line by line, each ended by LF:
 *     portcullis-policy-manifest 1
 *     generation 42
 *     file native 3f…(64 hex digits) prod.yaml
 *     file rbac 9a…                  rbac/roles.yaml
 *     signature 0123456789abcdef …(base64url of 64 bytes)
 * All up to the first signature is the manifest: the very bytes that are signed by Ed25519. Its files stand
 * in the order in which the policy is read, named from the policy's own folder. */
#ifndef POLICY_SIGNED_H
#define POLICY_SIGNED_H

#include "common/sign.h"
#include "policy/policy.h"

#define POLICY_SIGNATURES_MAX 64 /* in one file: people, not machines, sign */
#define POLICY_KEYS_MAX 64
#define POLICY_SIGNED_BYTES ((size_t)4 << 20) /* POLICY_FILES_MAX lines of the longest path */

struct policy_signature {
	char key[SIGN_ID_LEN + 1];
	uint8_t value[SIGN_LEN];
};

/* A signature file as read; borrows from its text. */
struct policy_signed {
	struct slice manifest;
	int64_t generation;
	struct policy_signature sigs[POLICY_SIGNATURES_MAX];
	size_t nsigs;
};

/* Where the signatures of the policy at PATH stand: PATH/policy.sig when it is a directory, else
 * PATH.sig. */
const char *policy_signature_path(struct arena *a, const char *path);

/* The folder that names in the manifest are relative to: PATH itself when it is a directory, else the
 * one it stands in. */
const char *policy_base(struct arena *a, const char *path);

/* Strict: exactly the form above and no byte more. E names the line. */
enum err_code policy_signed_parse(
    struct slice text, struct policy_signed *out, struct err *e) MUST_CHECK;

/* Appends the manifest of FILES. ERR_INVALID for a name that does not fit a line. */
enum err_code policy_manifest(const char *base, const struct policy_file *files, size_t n,
    int64_t generation, struct buf *out, struct err *e) MUST_CHECK;

/* A whole signature file: MANIFEST and the signatures. */
void policy_signed_write(struct slice manifest, const struct policy_signature *sigs, size_t n,
    struct buf *out);

/* Whose signatures a policy carries: distinct keys, in the order of the KEYS they were checked with. */
struct policy_signers {
	const struct sign_key *keys[POLICY_KEYS_MAX];
	size_t n;
};

/* Is S over exactly FILES, by at least THRESHOLD of KEYS (N of them, distinct)? A key counts once however
 * often it signed; signatures of other keys are passed over. ERR_REFUSED when not. The generation is
 * left to compare with that of the compiled policy. */
enum err_code policy_signed_check(const struct policy_signed *s, const char *base,
    const struct policy_file *files, size_t nfiles, struct err *e) MUST_CHECK;
enum err_code policy_signed_by(const struct policy_signed *s, const struct sign_key *keys,
    size_t nkeys, size_t threshold, struct policy_signers *out, struct err *e) MUST_CHECK;

#endif
