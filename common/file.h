/* Files as an adversary or an editor may leave them: capped stable reads, atomic durable writes,
 * directory watching that survives renames, ConfigMap swaps and lost events. */
#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include <sys/types.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

/* Reads the whole of PATH (symbolic links are followed, devices and directories refused), at most MAX
 * bytes, and retries when size, mtime or inode changed while reading. Text lives in ARENA, followed by
 * a NUL. ERR_NOT_FOUND, ERR_LIMIT, ERR_REFUSED (permission), ERR_INVALID (no regular file, a circle of
 * links), ERR_UNAVAILABLE (kept changing, I/O). */
enum err_code file_read(struct arena *a, const char *path, size_t max, struct slice *out,
    struct err *e) MUST_CHECK;

/* The same, and the permission bits (07777) of the very file that was read: for files whose content counts
 * only when others cannot read or write it. */
enum err_code file_read_mode(struct arena *a, const char *path, size_t max, struct slice *out,
    mode_t *mode, struct err *e) MUST_CHECK;

/* The same, and whose that file is. */
enum err_code file_read_owned(struct arena *a, const char *path, size_t max, struct slice *out,
    mode_t *mode, uid_t *owner, struct err *e) MUST_CHECK;

/* Writes DIR/.tmp-…, fsyncs, renames to PATH, fsyncs the directory: after ERR_OK the content is whole
 * and durable; after any error PATH is what it was and no temporary is left (but when the last fsync, of
 * the directory, fails: then PATH is new and whole, and only a power cut may bring the old one back).
 * A symbolic link at PATH is replaced, not followed. The file gets MODE whatever the umask. */
enum err_code file_write_atomic(const char *path, const void *p, size_t n, mode_t mode,
    struct err *e) MUST_CHECK;

/* What tells a file's states apart. Zeroed: no file. */
struct file_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	int64_t mtime, ctime; /* nanoseconds */
};

/* ERR_NOT_FOUND and a zeroed stamp, or ERR_REFUSED and the like. */
enum err_code file_stamp(const char *path, struct file_stamp *out, struct err *e) MUST_CHECK;

/* B is another state than A, or B's file changed so shortly ago that it may change again without a new
 * stamp: read it. */
bool file_stamp_moved(const struct file_stamp *a, const struct file_stamp *b);

/* Holds the lock file PATH (made with mode 0600, never removed) until *FD is closed: for processes that
 * replace one file in turns. ERR_UNAVAILABLE when somebody else holds it and WAIT is false. */
enum err_code file_lock(const char *path, bool wait, int *fd, struct err *e) MUST_CHECK;
void file_unlock(int *fd); /* NULL and -1 are fine; sets -1 */

/* mkdir -p with MODE for what is new; an existing path must be a directory. */
enum err_code file_mkdirs(const char *path, mode_t mode, struct err *e) MUST_CHECK;

/* Names (not paths) in DIR that end in SUFFIX, without file_leaving() ones, sorted bytewise, at most MAX
 * (else ERR_LIMIT). Follows symbolic links. With SUFFIX "" skips what is no regular file; all else,
 * dangling links too, is kept, so that reading it fails loudly. */
enum err_code file_list(struct arena *a, const char *dir, const char *suffix, size_t max,
    const char *const **names, size_t *n, struct err *e) MUST_CHECK;

/* Dotfiles and what editors leave behind: 4913, *~, #*#, *.swp. */
bool file_leaving(const char *name);

/* BASE's directory joined with REL, or REL itself when absolute. */
char *file_resolve(struct arena *a, const char *base_file, const char *rel);

/* DIR/NAME in memory of its own: free() it. */
char *file_join(const char *dir, const char *name) MUST_CHECK;

/* Watches the directories that hold a set of paths (and the paths themselves when they are
 * directories). One owner thread. */
struct file_watch;

enum err_code file_watch_new(struct file_watch **out, struct err *e) MUST_CHECK;
void file_watch_free(struct file_watch **w);

/* Replaces the set of watched paths; a path need not exist yet. */
void file_watch_set(struct file_watch *w, const char *const *paths, size_t n);

/* A descriptor for poll(2): readable when something may have changed. */
int file_watch_fd(const struct file_watch *w);

/* Empties the pending events; true when any concerned a watched path, or events were lost. Read the files
 * after this call: what changes later makes the descriptor readable again. File systems that send no
 * events (network ones) need the caller's periodic comparison of content. */
bool file_watch_drain(struct file_watch *w);

#endif
