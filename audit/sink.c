/* Owns the audit file: opening and locking it, reading its end, noticing rotation and truncation. */
#include "audit/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for a torn line and the whole one before it. */
#define TAIL_MAX (2 * AUDIT_LINE_MAX)

static enum err_code refuse(struct err *e, int error)
{
	enum err_code code = ERR_UNAVAILABLE;
	if (error == ENOENT || error == ENOTDIR)
		code = ERR_NOT_FOUND;
	else if (error == EACCES || error == EPERM || error == EROFS)
		code = ERR_REFUSED;
	else if (error == ELOOP || error == EISDIR || error == ENAMETOOLONG)
		code = ERR_INVALID;
	if (error == ELOOP)
		return err_set(e, code, "is a symbolic link");
	return err_set(e, code, "%s", strerror(error));
}

/* A descriptor for PATH in *FD, not locked yet. O_NONBLOCK so that a pipe without a reader is refused
 * and not waited for. */
static enum err_code open_path(const char *path, int *fd, struct stat *st, struct err *e)
{
	*fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
	    0600);
	if (*fd < 0)
		return refuse(e, errno);
	if (fstat(*fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISCHR(st->st_mode))) {
		fcntl(*fd, F_SETFL, O_APPEND);
		return ERR_OK;
	}
	close(*fd);
	*fd = -1;
	return err_set(e, ERR_INVALID, "neither a file nor a device");
}

/* Two writers in one file would tear each other's chain. ST is what FD is once it is locked: the size is
 * final only then. */
static enum err_code lock(int fd, struct stat *st, struct err *e)
{
	if (S_ISREG(st->st_mode) && flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK
			   ? err_set(e, ERR_UNAVAILABLE, "another writer has it open")
			   : refuse(e, errno);
	return fstat(fd, st) == 0 ? ERR_OK : refuse(e, errno);
}

/* open_path and lock. */
static enum err_code open_locked(const char *path, int *fd, struct stat *st, struct err *e)
{
	TRY(open_path(path, fd, st, e));
	enum err_code code = lock(*fd, st, e);
	if (code != ERR_OK)
		close(*fd);
	return code;
}

/* The bytes of S behind its last newline. */
static struct slice last_line(struct slice s)
{
	size_t at = s.len;
	while (at > 0 && s.p[at - 1] != '\n')
		at--;
	return slice_skip(s, at);
}

/* Up to TAIL_MAX bytes of the end of a file of SIZE bytes; the caller frees. */
static struct slice read_end(int fd, off_t size)
{
	size_t want = size > (off_t)TAIL_MAX ? TAIL_MAX : (size_t)size, got = 0;
	char *p = malloc(want + 1);
	if (!p)
		abort();
	while (got < want) {
		ssize_t n = pread(fd, p + got, want - got, size - (off_t)(want - got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return (struct slice){p, got == want ? got : 0};
}

/* A last line without newline that is whole in itself lost the newline alone. */
static void read_tail(struct sink *s, struct sink_tail *tail)
{
	*tail = (struct sink_tail){0};
	s->mend = false;
	if (!s->regular || s->offset == 0)
		return;
	struct slice end = read_end(s->fd, s->offset), rest = end;
	struct slice torn = last_line(rest);
	s->mend = torn.len > 0;
	if (torn.len > 0 && record_check(torn, &tail->last)) {
		tail->found = true;
	} else {
		tail->torn_bytes = torn.len;
		rest.len -= torn.len;
		if (rest.len > 0)
			rest.len--; /* the newline */
		tail->found = record_check(last_line(rest), &tail->last);
	}
	free((void *)(uintptr_t)end.p);
}

static void adopt(struct sink *s, int fd, const struct stat *st, struct sink_tail *tail)
{
	s->fd = fd;
	s->regular = S_ISREG(st->st_mode);
	s->dev = st->st_dev;
	s->ino = st->st_ino;
	s->offset = s->regular ? st->st_size : 0;
	read_tail(s, tail);
}

enum err_code sink_open(struct sink *s, const char *path, struct sink_tail *tail, struct err *e)
{
	int fd = -1;
	struct stat st;
	*s = (struct sink){.fd = -1};
	*tail = (struct sink_tail){0};
	if (strcmp(path, "-") != 0) {
		if (open_locked(path, &fd, &st, e) != ERR_OK)
			return err_wrap(e, "audit log %s", path);
		adopt(s, fd, &st, tail);
	} else if ((s->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)) < 0) {
		refuse(e, errno);
		return err_wrap(e, "audit log on standard output");
	}
	s->path = strdup(path);
	if (!s->path)
		abort();
	return ERR_OK;
}

void sink_close(struct sink *s)
{
	if (s->fd >= 0) {
		fdatasync(s->fd);
		close(s->fd);
	}
	free(s->path);
	*s = (struct sink){.fd = -1};
}

/* Opens what PATH is now; false when it cannot be opened. */
static bool follow(struct sink *s, struct sink_news *news)
{
	int fd;
	struct stat st;
	struct sink_tail tail;
	if (open_path(s->path, &fd, &st, &s->why) != ERR_OK)
		return false;
	if (st.st_dev == s->dev && st.st_ino == s->ino) {
		close(fd);
		return true;
	}
	if (lock(fd, &st, &s->why) != ERR_OK) {
		close(fd);
		return false;
	}
	fdatasync(s->fd);
	close(s->fd);
	adopt(s, fd, &st, &tail);
	news->rotated = true;
	news->torn_bytes = tail.torn_bytes;
	return true;
}

static bool ends_in_newline(int fd, off_t size)
{
	char last;
	return size == 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n';
}

bool sink_look(struct sink *s, struct sink_news *news)
{
	struct stat have, named;
	*news = (struct sink_news){0};
	if (!s->regular || fstat(s->fd, &have) != 0)
		return true;
	if (have.st_size < s->offset) {
		*news = (struct sink_news){.truncated = true, .offset = (uint64_t)s->offset,
		    .size = (uint64_t)have.st_size};
		s->mend = !ends_in_newline(s->fd, have.st_size);
	}
	s->offset = have.st_size;
	if (lstat(s->path, &named) == 0 && named.st_dev == s->dev && named.st_ino == s->ino)
		return true;
	return follow(s, news) || have.st_nlink > 0;
}

ssize_t sink_write(struct sink *s, const char *p, size_t n)
{
	ssize_t done;
	do {
		if (s->mend && write(s->fd, "\n", 1) == 1) {
			s->mend = false;
			s->offset++;
		}
		done = s->mend ? -1 : write(s->fd, p, n);
	} while (done < 0 && errno == EINTR);
	if (done > 0)
		s->offset += done;
	else
		refuse(&s->why, done < 0 ? errno : ENOSPC);
	return done > 0 ? done : -1;
}
