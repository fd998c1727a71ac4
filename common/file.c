/* Owns reading, listing and durably replacing files. */
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/secret.h"

/* A writer in the middle of a save needs milliseconds; one that never ends must not hold us. */
#define READ_TRIES 6
#define READ_PAUSE (5 * CLOCK_MS)

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void dir_close(DIR **d)
{
	if (*d)
		closedir(*d);
	*d = NULL;
}

static enum err_code errno_set(struct err *e, int error, const char *path)
{
	enum err_code code = ERR_UNAVAILABLE;
	if (error == ENOENT || error == ENOTDIR)
		code = ERR_NOT_FOUND;
	else if (error == EACCES || error == EPERM || error == EROFS)
		code = ERR_REFUSED;
	else if (error == ELOOP || error == ENAMETOOLONG || error == EISDIR)
		code = ERR_INVALID;
	return err_set(e, code, "%s: %s", path, strerror(error));
}

/* Reads FD to its end or to MAX + 1 bytes into *P, whose size in the arena is *CAP. */
static ssize_t read_to_end(struct arena *a, int fd, size_t max, char **p, size_t *cap)
{
	size_t n = 0;
	for (;;) {
		if (n == *cap) {
			size_t more = *cap * 2 > max + 1 ? max + 1 : *cap * 2;
			char *wider = arena_alloc(a, more + 1);
			memcpy(wider, *p, n);
			*p = wider;
			*cap = more;
		}
		ssize_t got = read(fd, *p + n, *cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		n += (size_t)got;
		if (got == 0 || n > max)
			return (ssize_t)n;
	}
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

struct reading {
	struct arena *arena;
	const char *path;
	size_t max;
	char *p;
	size_t cap; /* of p, which has one byte more for the NUL */
	mode_t mode;
	uid_t owner;
};

static enum err_code too_long(const struct reading *r, struct err *e)
{
	return err_set(e, ERR_LIMIT, "%s: over %zu bytes", r->path, r->max);
}

/* Opens the file, learns its state and makes room for what it claims to hold. */
static enum err_code read_start(struct reading *r, int *fd, struct stat *st, struct err *e)
{
	*fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0 || fstat(*fd, st) != 0)
		return errno_set(e, errno, r->path);
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_INVALID, "%s: not a regular file", r->path);
	if (st->st_size > 0 && (size_t)st->st_size > r->max)
		return too_long(r, e);
	/* Files of /proc claim no size, hence the floor. */
	size_t want = st->st_size > 0 ? (size_t)st->st_size + 1 : 4096;
	if (want > r->cap) {
		r->p = arena_alloc(r->arena, want + 1);
		r->cap = want;
	}
	return ERR_OK;
}

/* One try. ERR_EXPIRED: the file changed meanwhile, try again. */
static enum err_code read_once(struct reading *r, struct slice *out, struct err *e)
{
	AUTO(fd_close) int fd = -1;
	struct stat before, after, named;
	TRY(read_start(r, &fd, &before, e));
	ssize_t n = read_to_end(r->arena, fd, r->max, &r->p, &r->cap);
	if (n < 0 || fstat(fd, &after) != 0)
		return errno_set(e, errno, r->path);
	if ((size_t)n > r->max)
		return too_long(r, e);
	bool whole = after.st_size == 0 || n == after.st_size;
	if (!whole || stat(r->path, &named) != 0 || !same_file(&before, &after) ||
	    !same_file(&after, &named))
		return ERR_EXPIRED;
	r->p[n] = '\0';
	r->mode = after.st_mode & 07777;
	r->owner = after.st_uid;
	*out = (struct slice){r->p, (size_t)n};
	return ERR_OK;
}

enum err_code file_read(
    struct arena *a, const char *path, size_t max, struct slice *out, struct err *e)
{
	mode_t mode;
	return file_read_mode(a, path, max, out, &mode, e);
}

enum err_code file_read_mode(struct arena *a, const char *path, size_t max, struct slice *out,
    mode_t *mode, struct err *e)
{
	uid_t owner;
	return file_read_owned(a, path, max, out, mode, &owner, e);
}

enum err_code file_read_owned(struct arena *a, const char *path, size_t max, struct slice *out,
    mode_t *mode, uid_t *owner, struct err *e)
{
	struct reading r = {.arena = a, .path = path, .max = max};
	*out = (struct slice){0};
	for (int i = 0; i < READ_TRIES; i++) {
		enum err_code code = read_once(&r, out, e);
		*mode = r.mode;
		*owner = r.owner;
		if (code != ERR_EXPIRED)
			return code;
		nanosleep(&(struct timespec){.tv_nsec = READ_PAUSE}, NULL);
	}
	return err_set(e, ERR_UNAVAILABLE, "%s: kept changing while being read", path);
}

static enum err_code write_all(int fd, const char *p, size_t n, const char *path, struct err *e)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return errno_set(e, done < 0 ? errno : EIO, path);
		p += done;
		n -= (size_t)done;
	}
	return ERR_OK;
}

struct bytes {
	const void *p;
	size_t n;
};

/* Fills the temporary and makes it durable under its own name. */
static enum err_code fill_temp(
    int dir, const char *temp, struct bytes b, mode_t mode, struct err *e)
{
	AUTO(fd_close) int fd =
	    openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno_set(e, errno, temp);
	TRY(write_all(fd, b.p, b.n, temp, e));
	if (fchmod(fd, mode) != 0 || fsync(fd) != 0)
		return errno_set(e, errno, temp);
	/* Network file systems tell of a full disk at close. */
	int rc = close(fd);
	fd = -1;
	return rc == 0 ? ERR_OK : errno_set(e, errno, temp);
}

/* PATH's directory into DIR (PATH_MAX); returns the last component. */
static const char *split(const char *path, char dir[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	if (n >= PATH_MAX)
		n = PATH_MAX - 1; /* open fails with the truth */
	memcpy(dir, path, n);
	dir[n] = '\0';
	if (n == 0)
		memcpy(dir, slash ? "/" : ".", 2);
	return slash ? slash + 1 : path;
}

enum err_code file_write_atomic(
    const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	char where[PATH_MAX], temp[5 + 2 * 8 + 1] = ".tmp-";
	const char *name = split(path, where);
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, ERR_INVALID, "%s: not the name of a file", path);
	AUTO(fd_close) int dir = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno_set(e, errno, where);
	uint8_t random[8];
	secret_random(random, sizeof(random));
	hex_encode(random, sizeof(random), temp + 5);
	enum err_code code = fill_temp(dir, temp, (struct bytes){p, n}, mode, e);
	if (code == ERR_OK && renameat(dir, temp, dir, name) != 0)
		code = errno_set(e, errno, path);
	if (code != ERR_OK) {
		unlinkat(dir, temp, 0);
		err_wrap(e, "writing %s", path);
		return code;
	}
	if (fsync(dir) != 0 && errno != EINVAL) /* some file systems have no such call */
		return errno_set(e, errno, where);
	return ERR_OK;
}

static enum err_code make_dir(const char *path, mode_t mode, struct err *e)
{
	struct stat st;
	if (mkdir(path, mode) == 0)
		return ERR_OK;
	/* EISDIR is the root's answer, EROFS may come for a directory that is there. */
	if (errno != EEXIST && errno != EISDIR && errno != EROFS)
		return errno_set(e, errno, path);
	if (stat(path, &st) != 0)
		return errno_set(e, errno, path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "%s: not a directory", path);
	return ERR_OK;
}

enum err_code file_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	if (len == 0 || len >= sizeof(part))
		return err_set(e, ERR_INVALID, "%s: not a path", path);
	for (size_t i = 1; i <= len; i++) {
		if (i < len && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		TRY(make_dir(part, mode, e));
	}
	return ERR_OK;
}

static bool ends_with(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len &&
	       slice_eq((struct slice){s.p + s.len - suffix.len, suffix.len}, suffix);
}

bool file_leaving(const char *name)
{
	struct slice s = slice_of(name);
	return s.len == 0 || s.p[0] == '.' || slice_is(s, "4913") || ends_with(s, SLICE("~")) ||
	       ends_with(s, SLICE(".swp")) || (s.p[0] == '#' && ends_with(s, SLICE("#")));
}

static int cmp_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum err_code file_list(struct arena *a, const char *dir, const char *suffix, size_t max,
    const char *const **names, size_t *n, struct err *e)
{
	*names = NULL;
	*n = 0;
	AUTO(dir_close) DIR *d = opendir(dir);
	if (!d)
		return errno_set(e, errno, dir);
	const char **list = ARENA_ARRAY(a, const char *, max + 1);
	const struct dirent *entry;
	struct stat st;
	for (errno = 0; (entry = readdir(d)) != NULL; errno = 0) {
		if (file_leaving(entry->d_name) ||
		    !ends_with(slice_of(entry->d_name), slice_of(suffix)))
			continue;
		/* A dangling link, and what has the name of such a file but is none, is left in:
		 * reading it says what is wrong, skipping it would drop the rules it should hold.
		 * Container runtimes make a directory of a file that is to be mounted but is not there. */
		if (suffix[0] == '\0' && fstatat(dirfd(d), entry->d_name, &st, 0) == 0 && !S_ISREG(st.st_mode))
			continue;
		if (*n == max)
			return err_set(e, ERR_LIMIT, "%s: more than %zu files", dir, max);
		list[(*n)++] = arena_strdup(a, entry->d_name);
	}
	if (errno != 0)
		return errno_set(e, errno, dir);
	qsort(list, *n, sizeof(*list), cmp_names);
	*names = list;
	return ERR_OK;
}

char *file_join(const char *dir, const char *name)
{
	struct buf b;
	buf_init(&b, 1 << 16);
	buf_printf(&b, "%s/%s", dir, name);
	buf_cstr(&b);
	return b.p;
}

char *file_resolve(struct arena *a, const char *base_file, const char *rel)
{
	const char *slash = strrchr(base_file, '/');
	if (rel[0] == '/' || !slash)
		return arena_strdup(a, rel);
	return arena_printf(a, "%.*s/%s", (int)(slash - base_file), base_file, rel);
}
