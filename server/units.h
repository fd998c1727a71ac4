/* The three sets of files that are loaded all or nothing, each by itself: configuration with
 * authentication, policy, TLS. A loader only changes PARTS when everything of its set is good. */
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
void unit_tls_digest(const struct config *c, uint8_t out[SHA256_LEN]);

/* --- loaders --- */

/* The authenticators and logs of CFG (taken over on success); where it names another policy or other TLS
 * files than the configuration in PARTS, those too. With a configuration already in PARTS all of it must
 * load; without one, at start, policy and TLS are left to the caller. */
enum err_code unit_config_load(struct server *s, struct config **cfg, struct snapshot_parts *parts,
    struct diags *d) MUST_CHECK;

/* The policy that CFG names, none when it names none; what was read is kept as last good. *STAGE, "read" or
 * "check", tells where it failed. */
enum err_code unit_policy_load(const struct config *cfg, struct snapshot_parts *parts,
    const char **stage, struct diags *d) MUST_CHECK;

/* The same without keeping anything: for --check. */
enum err_code unit_policy_check(const struct config *cfg, struct diags *d) MUST_CHECK;

/* The last good policy from the state directory. */
enum err_code unit_policy_recover(
    const struct config *cfg, struct snapshot_parts *parts, struct diags *d) MUST_CHECK;

enum err_code unit_tls_load(
    const struct config *cfg, struct snapshot_parts *parts, struct diags *d) MUST_CHECK;

/* --- what the second configuration names otherwise than the first --- */
bool unit_policy_moved(const struct config *a, const struct config *b);
bool unit_tls_moved(const struct config *a, const struct config *b);
bool unit_needs_restart(const struct config *a, const struct config *b);

#endif
