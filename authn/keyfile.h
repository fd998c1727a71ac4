/* An issuer's last good key set on disk, so that a restart while the issuer is down refuses nobody it knows. */
#ifndef AUTHN_KEYFILE_H
#define AUTHN_KEYFILE_H

#include "authn/limits.h"
#include "common/arena.h"
#include "common/err.h"
#include "common/secret.h"
#include "common/str.h"

/* The set with its head and tail; an issuer's URL has at most this many bytes here. */
#define KEYFILE_URL_MAX ((size_t)8 << 10)
#define KEYFILE_BYTES_MAX (KEYSET_BYTES_MAX + KEYFILE_URL_MAX + 1024)

/* A set dated further ahead of our clock than this is not used: one of the two clocks was wrong, and how old
 * the set is cannot be told. */
#define KEYFILE_SKEW_S 5

/* Whose set it is. */
struct keyfile_source {
	struct slice issuer, discovery_url, ca_pem;
};

struct keyfile {
	struct slice jwks; /* as the issuer sent it */
	int64_t fetched;   /* when it was asked for: unix seconds */
};

/* "STATE_DIR/keyset-" and the SHA-256 of the source, in A: another URL or CA is another file. */
const char *keyfile_path(struct arena *a, const char *state_dir, const struct keyfile_source *src);

/* The file's text: head line, source, issuer, time, set, SHA-256 of it all (against torn writes and editors,
 * not against enemies: those are kept off by the file's mode). */
void keyfile_format(const struct keyfile *k, const struct keyfile_source *src, struct buf *out);

/* The exact reverse; K->jwks borrows from TEXT and is not looked into. ERR_INVALID when TEXT is damaged;
 * ERR_REFUSED when it belongs to another source. */
enum err_code keyfile_parse(struct slice text, const struct keyfile_source *src, struct keyfile *k,
    struct err *e) MUST_CHECK;

/* Reads PATH into A. Beyond keyfile_parse: ERR_NOT_FOUND; ERR_REFUSED when others may write the file, or
 * it is neither ours, nor root's, nor of who owns its directory;
 * ERR_INVALID when it is dated after NOW (unix seconds). */
enum err_code keyfile_load(struct arena *a, const char *path, const struct keyfile_source *src,
    int64_t now, struct keyfile *k, struct err *e) MUST_CHECK;

/* Replaces PATH durably and whole, mode 0600. */
enum err_code keyfile_save(const char *path, const struct keyfile *k,
    const struct keyfile_source *src, struct err *e) MUST_CHECK;

#endif
