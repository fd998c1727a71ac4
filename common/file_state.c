/* Owns how a file's change is noticed, and how processes take turns at changing one. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"

/* File systems count time in ticks of up to 10 ms, some in whole seconds. */
#define TICK (2 * CLOCK_SECOND)

static int64_t nanoseconds(const struct timespec *t)
{
	return t->tv_sec * CLOCK_SECOND + t->tv_nsec;
}

static enum err_code code_of(int error)
{
	if (error == ENOENT || error == ENOTDIR)
		return ERR_NOT_FOUND;
	return error == EACCES || error == EPERM ? ERR_REFUSED : ERR_UNAVAILABLE;
}

enum err_code file_stamp(const char *path, struct file_stamp *out, struct err *e)
{
	struct stat st;
	*out = (struct file_stamp){0};
	if (stat(path, &st) != 0)
		return err_set(e, code_of(errno), "%s: %s", path, strerror(errno));
	*out = (struct file_stamp){.dev = st.st_dev,
	    .ino = st.st_ino,
	    .size = st.st_size,
	    .mtime = nanoseconds(&st.st_mtim),
	    .ctime = nanoseconds(&st.st_ctim)};
	return ERR_OK;
}

bool file_stamp_moved(const struct file_stamp *a, const struct file_stamp *b)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now); /* the machine's, which file systems use */
	int64_t age = nanoseconds(&now) - b->ctime;
	return a->dev != b->dev || a->ino != b->ino || a->size != b->size || a->mtime != b->mtime ||
	       a->ctime != b->ctime || (b->ino && age > -TICK && age < TICK);
}

enum err_code file_lock(const char *path, bool wait, int *fd, struct err *e)
{
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return err_set(e, code_of(errno), "%s: %s", path, strerror(errno));
	int r;
	do
		r = flock(*fd, LOCK_EX | (wait ? 0 : LOCK_NB));
	while (r != 0 && errno == EINTR);
	if (r == 0)
		return ERR_OK;
	int error = errno;
	file_unlock(fd);
	return err_set(e, ERR_UNAVAILABLE, "%s: %s", path, strerror(error));
}

void file_unlock(int *fd)
{
	if (fd && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
}
