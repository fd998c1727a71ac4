/* Owns the spool's directories: making, opening, listing and reading them as a neighbour may leave
 * them. */
#include "common/spool_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"

#define DIR_MODE 02770 /* setgid: files belong to the group that server and worker share */

/* A unit with RestrictSUIDSGID may not set the bit; there the group is the unit's own. */
static bool set_mode(int fd)
{
	return fchmod(fd, DIR_MODE) == 0 || (errno == EPERM && fchmod(fd, DIR_MODE & 0777) == 0);
}

void spool_dirs_close(struct spool_dirs *d)
{
	int fds[] = {d->root, d->tmp, d->new_, d->cur, d->dead};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	*d = SPOOL_DIRS_CLOSED;
}

enum err_code spool_part_open(
    int root, const char *name, bool create, int *out, struct err *e)
{
	bool made = create && mkdirat(root, name, 0700) == 0;
	if (create && !made && errno != EEXIST)
		return err_set(e, ERR_UNAVAILABLE, "making %s: %s", name, strerror(errno));
	*out = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*out < 0)
		return err_set(e, ERR_UNAVAILABLE, "opening %s: %s", name, strerror(errno));
	/* Not by mkdirat: the umask of a hardened unit would take the group's bits. */
	if (made && (!set_mode(*out) || fsync(root) != 0))
		return err_set(e, ERR_UNAVAILABLE, "making %s: %s", name, strerror(errno));
	return ERR_OK;
}

static enum err_code open_parts(struct spool_dirs *d, bool create, struct err *e)
{
	TRY(spool_part_open(d->root, "tmp", create, &d->tmp, e));
	TRY(spool_part_open(d->root, "new", create, &d->new_, e));
	TRY(spool_part_open(d->root, "cur", create, &d->cur, e));
	return spool_part_open(d->root, "dead", create, &d->dead, e);
}

enum err_code spool_dirs_open(const char *dir, bool create, struct spool_dirs *out, struct err *e)
{
	struct stat st;
	bool made = create && stat(dir, &st) != 0;
	*out = SPOOL_DIRS_CLOSED;
	if (made && file_mkdirs(dir, 0750, e) != ERR_OK) {
		err_wrap(e, "making the spool");
		return ERR_UNAVAILABLE;
	}
	struct spool_dirs d = SPOOL_DIRS_CLOSED;
	d.root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d.root < 0)
		return err_set(e, ERR_UNAVAILABLE, "opening %s: %s", dir, strerror(errno));
	enum err_code rc = ERR_OK;
	if (made && !set_mode(d.root))
		rc = err_set(e, ERR_UNAVAILABLE, "chmod: %s", strerror(errno));
	if (rc == ERR_OK)
		rc = open_parts(&d, create, e);
	if (rc != ERR_OK) {
		spool_dirs_close(&d);
		return err_wrap(e, "%s", dir);
	}
	*out = d;
	return ERR_OK;
}

bool spool_part_moved(const char *dir, const char *name, int part)
{
	char path[PATH_MAX];
	struct stat is, was;
	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) || fstat(part, &was) != 0)
		return false;
	if (stat(path, &is) != 0)
		return errno == ENOENT;
	return is.st_dev != was.st_dev || is.st_ino != was.st_ino;
}

bool spool_dirs_moved(const char *dir, const struct spool_dirs *d)
{
	return spool_part_moved(dir, "new", d->new_) || spool_part_moved(dir, "cur", d->cur) ||
	    spool_part_moved(dir, "tmp", d->tmp) || spool_part_moved(dir, "dead", d->dead);
}

bool spool_is_key(const char *name)
{
	if (strlen(name) != SPOOL_KEY_LEN)
		return false;
	for (const char *p = name; *p; p++) {
		if (!((*p >= 'a' && *p <= 'z') || (*p >= '2' && *p <= '7')))
			return false;
	}
	return true;
}

static int by_age(const void *a, const void *b)
{
	const struct spool_name *x = a, *y = b;
	if (x->mtime != y->mtime)
		return x->mtime < y->mtime ? -1 : 1;
	return strcmp(x->name, y->name);
}

struct names {
	struct arena *arena;
	struct spool_name *v;
	size_t len, cap;
};

static void add_name(struct names *n, const char *name, const struct stat *st)
{
	ARENA_ROOM(n->arena, n->v, n->len, n->cap, 64);
	n->v[n->len++] = (struct spool_name){arena_strdup(n->arena, name),
	    (int64_t)st->st_mtim.tv_sec * CLOCK_SECOND + st->st_mtim.tv_nsec, st->st_size};
}

enum err_code spool_scan(
    int fd, size_t max, struct arena *a, struct spool_name **out, size_t *n, struct err *e)
{
	/* Opened anew: a duplicate would share its offset with every other scan. */
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	if (!d) {
		err_set(e, ERR_UNAVAILABLE, "listing the spool: %s", strerror(errno));
		if (own >= 0)
			close(own);
		return ERR_UNAVAILABLE;
	}
	struct names names = {.arena = a};
	for (struct dirent *de; names.len < max && (de = readdir(d));) {
		struct stat st;
		if (de->d_name[0] != '.' && fstatat(own, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			add_name(&names, de->d_name, &st);
	}
	closedir(d);
	if (names.len)
		qsort(names.v, names.len, sizeof(*names.v), by_age);
	*out = names.v;
	*n = names.len;
	return ERR_OK;
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static enum err_code read_all(int fd, struct arena *a, struct slice *out, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return err_set(e, ERR_UNAVAILABLE, "reading the event: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "no regular file");
	if (st.st_size > (off_t)SPOOL_EVENT_MAX)
		return err_set(e, ERR_INVALID, "larger than %zu bytes", SPOOL_EVENT_MAX);
	size_t want = (size_t)st.st_size, len = 0;
	char *p = arena_alloc(a, want + 1);
	while (len < want) {
		ssize_t got = read(fd, p + len, want - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(e, ERR_UNAVAILABLE, "reading the event: %s", strerror(errno));
		if (got == 0)
			break;
		len += (size_t)got;
	}
	*out = (struct slice){p, len};
	return ERR_OK;
}

enum err_code spool_read(
    int dir, const char *key, struct arena *a, struct spool_event *ev, struct err *e)
{
	return spool_read_as(dir, key, key, a, ev, e);
}

enum err_code spool_read_as(int dir, const char *name, const char *key, struct arena *a,
    struct spool_event *ev, struct err *e)
{
	AUTO(fd_close) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "no such event");
	if (fd < 0 && (errno == ELOOP || errno == EACCES || errno == ENXIO))
		return err_set(e, ERR_INVALID, "cannot be opened: %s", strerror(errno));
	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "opening the event: %s", strerror(errno));
	struct slice text;
	TRY(read_all(fd, a, &text, e));
	return spool_decode(text, key, a, ev, e);
}
