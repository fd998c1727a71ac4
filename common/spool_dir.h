/* The spool's directories, shared by its writer and its reader. Private to common/spool*.c. */
#ifndef COMMON_SPOOL_DIR_H
#define COMMON_SPOOL_DIR_H

#include "common/spool.h"

/* Descriptors of DIR and its parts; -1 when not open. */
struct spool_dirs {
	int root, tmp, new_, cur, dead;
};

#define SPOOL_DIRS_CLOSED ((struct spool_dirs){-1, -1, -1, -1, -1})

/* Opens the parts, none of which may be a symbolic link; CREATE makes what is missing. On failure
 * nothing is left open. */
enum err_code spool_dirs_open(
    const char *dir, bool create, struct spool_dirs *out, struct err *e) MUST_CHECK;
void spool_dirs_close(struct spool_dirs *d);

/* What stands at DIR now is not what PART (its part NAME) was opened from: somebody removed it, or mounted over it.
 * False where that cannot be told. */
bool spool_part_moved(const char *dir, const char *name, int part);

/* The same of any of the parts. */
bool spool_dirs_moved(const char *dir, const struct spool_dirs *d);

/* One more part, NAME of the directory ROOT, as the others are opened and made. */
enum err_code spool_part_open(
    int root, const char *name, bool create, int *out, struct err *e) MUST_CHECK;

/* NAME is SPOOL_KEY_LEN characters of the key's alphabet: safe as a path component. */
bool spool_is_key(const char *name);

struct spool_name {
	const char *name;
	int64_t mtime; /* nanoseconds */
	int64_t size;
};

/* Names in the directory FD (no dotfiles), oldest first, at most MAX. */
enum err_code spool_scan(
    int fd, size_t max, struct arena *a, struct spool_name **out, size_t *n, struct err *e) MUST_CHECK;

/* Reads and decodes the file KEY of the directory FD, never through a symbolic link. ERR_NOT_FOUND when
 * it is gone, ERR_INVALID when it is no event, ERR_UNAVAILABLE for trouble with the disk. */
enum err_code spool_read(
    int fd, const char *key, struct arena *a, struct spool_event *ev, struct err *e) MUST_CHECK;
/* The same of the event of KEY that stands under another name. */
enum err_code spool_read_as(int fd, const char *name, const char *key, struct arena *a,
    struct spool_event *ev, struct err *e) MUST_CHECK;

#endif
