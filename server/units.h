/* The sets of files that are loaded all or nothing, each by itself: configuration with authentication,
 * policy, shadow policy, TLS. A loader only changes PARTS when everything of its set is good. */
#ifndef SERVER_UNITS_H
#define SERVER_UNITS_H

#include "server/server.h"

void parts_copy(struct snapshot_parts *to, const struct snapshot_parts *from); /* references */
void parts_done(struct snapshot_parts *p);
void parts_set(struct snapshot_parts *p, enum snapshot_part i, struct shared *owned);

/* --- fingerprints: equal means nothing new to load --- */

/* FILE_SHA256: hex digest of the configuration file's bytes, as loaded or as they are now. */
void unit_config_digest(
    const struct config *c, const char *file_sha256, uint8_t out[SHA256_LEN]);
void unit_policy_digest(const struct config *c, uint8_t out[SHA256_LEN]);
void unit_shadow_digest(const struct config *c, uint8_t out[SHA256_LEN]);
void unit_tls_digest(const struct config *c, uint8_t out[SHA256_LEN]);

/* --- loaders --- */

/* How a load of a policy went. */
struct policy_attempt {
	const char *stage;	    /* server/gate.h: where it failed */
	uint8_t digest[SHA256_LEN]; /* of what was loaded, as unit_policy_digest has it */
};

/* The authenticators and logs of CFG (taken over on success); where it names another policy or other TLS
 * files than the configuration in PARTS, those too. With a configuration already in PARTS all of it must
 * load; without one, at start, policies and TLS are left to the caller. */
enum err_code unit_config_load(struct server *s, struct config **cfg, struct snapshot_parts *parts,
    struct policy_attempt *policy, struct diags *d) MUST_CHECK;

/* The policy that CFG names, none when it names none. It is held against the policy in PARTS, or against
 * the kept copy when there is none; what passed is kept as last good, and its generation as the highest. */
enum err_code unit_policy_load(const struct config *cfg, struct snapshot_parts *parts,
    struct policy_attempt *at, struct diags *d) MUST_CHECK;

/* The last good policy from the state directory; who must sign is asked of CFG. */
enum err_code unit_policy_recover(
    const struct config *cfg, struct snapshot_parts *parts, struct diags *d) MUST_CHECK;

/* The policy that is evaluated beside: its tests and the guards count, all else does not. */
enum err_code unit_shadow_load(const struct config *cfg, struct snapshot_parts *parts,
    struct policy_attempt *at, struct diags *d) MUST_CHECK;

/* Policy and shadow policy without keeping anything, nor looking at what was in force: for --check. */
enum err_code unit_policy_check(const struct config *cfg, struct diags *d) MUST_CHECK;

enum err_code unit_tls_load(
    const struct config *cfg, struct snapshot_parts *parts, struct diags *d) MUST_CHECK;

/* --- what the second configuration names otherwise than the first --- */
bool unit_policy_moved(const struct config *a, const struct config *b); /* or what it is held to */
bool unit_tls_moved(const struct config *a, const struct config *b);
bool unit_needs_restart(const struct config *a, const struct config *b);

#endif
