/* Owns the acknowledgements in the spool: their writing by the worker, and the waiting for them. */
#include "common/spool_ack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/spool_dir.h"

#define ACK_DIR "ack"
#define ALIVE_NAME "worker" /* no key: those have 26 characters */
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_MAX 64
#define TEXT_MAX 128 /* of either kind of file */

struct spool_acks {
	char *dir;
	struct spool_dirs dirs;
	int ack;
	int64_t shown; /* clock_mono; 0: not, or no more */
};

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* --- files --- */

/* The first line of the regular file NAME; "" when there is none. */
static void read_line(int dir, const char *name, char out[TEXT_MAX])
{
	struct stat st;
	out[0] = '\0';
	AUTO(fd_close) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	ssize_t n = read(fd, out, TEXT_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* By way of tmp/, where what a crash left is swept by portcullisd. No fsync: see the header. */
static enum err_code put(struct spool_acks *s, const char *name, const char *text, struct err *e)
{
	uint8_t rnd[8];
	char hex[2 * sizeof(rnd) + 1], tmp[64];
	secret_random(rnd, sizeof(rnd));
	hex_encode(rnd, sizeof(rnd), hex);
	snprintf(tmp, sizeof(tmp), "ack.%s", hex);
	int fd = openat(s->dirs.tmp, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "creating an acknowledgement: %s", strerror(errno));
	/* By fchmod: the umask of a hardened unit would hide it from portcullisd. */
	bool ok = fchmod(fd, 0640) == 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	ok = close(fd) == 0 && ok;
	if (ok && renameat(s->dirs.tmp, tmp, s->ack, name) == 0)
		return ERR_OK;
	err_set(e, ERR_UNAVAILABLE, "writing an acknowledgement: %s", strerror(errno));
	unlinkat(s->dirs.tmp, tmp, 0);
	return ERR_UNAVAILABLE;
}

static bool acked(int ack, const char *key, const uint8_t digest[SHA256_LEN])
{
	char text[TEXT_MAX];
	uint8_t said[SHA256_LEN];
	read_line(ack, key, text);
	return hex_decode(slice_of(text), said, sizeof(said)) && memcmp(said, digest, SHA256_LEN) == 0;
}

/* --- the worker's side --- */

/* In place of what is open, if anything is: that stays when this fails. */
static enum err_code open_all(struct spool_acks *s, struct err *e)
{
	struct spool_dirs dirs;
	int ack;
	TRY(spool_dirs_open(s->dir, true, &dirs, e));
	if (spool_part_open(dirs.root, ACK_DIR, true, &ack, e) != ERR_OK) {
		spool_dirs_close(&dirs);
		return err_wrap(e, "%s", s->dir);
	}
	spool_dirs_close(&s->dirs);
	fd_close(&s->ack);
	s->dirs = dirs;
	s->ack = ack;
	return ERR_OK;
}

static void free_all(struct spool_acks *s)
{
	spool_dirs_close(&s->dirs);
	fd_close(&s->ack);
	free(s->dir);
	free(s);
}

enum err_code spool_acks_new(const char *dir, struct spool_acks **out, struct err *e)
{
	struct spool_acks *s = calloc(1, sizeof(*s));
	if (!s || !(s->dir = strdup(dir)))
		abort();
	s->dirs = SPOOL_DIRS_CLOSED;
	s->ack = -1;
	enum err_code rc = open_all(s, e);
	if (rc == ERR_OK)
		*out = s;
	else
		free_all(s);
	return rc;
}

void spool_acks_free(struct spool_acks **sp)
{
	struct spool_acks *s = TAKE(*sp);
	if (!s)
		return;
	spool_acks_down(s);
	free_all(s);
}

enum err_code spool_acks_put(
    struct spool_acks *s, const char *key, const uint8_t digest[SHA256_LEN], struct err *e)
{
	char text[2 * SHA256_LEN + 2];
	if (!spool_is_key(key))
		return err_set(e, ERR_INVALID, "no key");
	hex_encode(digest, SHA256_LEN, text);
	text[sizeof(text) - 2] = '\n';
	text[sizeof(text) - 1] = '\0';
	return put(s, key, text, e);
}

void spool_acks_drop(struct spool_acks *s, const char *key)
{
	if (spool_is_key(key))
		unlinkat(s->ack, key, 0);
}

void spool_acks_keep(struct spool_acks *s, const char *key, const uint8_t digest[SHA256_LEN])
{
	if (spool_is_key(key) && !acked(s->ack, key, digest))
		unlinkat(s->ack, key, 0);
}

void spool_acks_alive(struct spool_acks *s)
{
	char boot[TEXT_MAX], text[TEXT_MAX];
	struct err e;
	int64_t now = clock_mono();
	if (s->shown && now - s->shown < SPOOL_ALIVE_EVERY)
		return;
	if (spool_part_moved(s->dir, ACK_DIR, s->ack) && open_all(s, &e) != ERR_OK)
		return; /* told by whoever reads the spool */
	read_line(AT_FDCWD, BOOT_ID, boot);
	snprintf(text, sizeof(text), "%.*s %lld\n", BOOT_ID_MAX, boot, (long long)now);
	if (put(s, ALIVE_NAME, text, &e) == ERR_OK)
		s->shown = now;
}

void spool_acks_down(struct spool_acks *s)
{
	unlinkat(s->ack, ALIVE_NAME, 0);
	s->shown = 0;
}

void spool_acks_sweep(struct spool_acks *s)
{
	struct arena a;
	struct spool_name *names;
	size_t n;
	struct err e;
	int64_t old = clock_now() - SPOOL_ACK_AGE;
	arena_init(&a, 0);
	if (spool_scan(s->ack, SIZE_MAX, &a, &names, &n, &e) != ERR_OK)
		n = 0;
	for (size_t i = 0; i < n && (names[i].mtime < old || n - i > SPOOL_FILES_MAX); i++)
		unlinkat(s->ack, names[i].name, 0);
	arena_done(&a);
}

/* --- portcullisd's side --- */

static int open_acks(const char *dir)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s/" ACK_DIR, dir) >= (int)sizeof(path))
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Monotonic time has one beginning for all processes of a boot: nobody's clock can make a dead worker live. */
bool spool_worker_alive(const char *dir)
{
	char boot[TEXT_MAX], text[TEXT_MAX], said[BOOT_ID_MAX + 1];
	long long at;
	AUTO(fd_close) int ack = open_acks(dir);
	if (ack < 0)
		return false;
	read_line(ack, ALIVE_NAME, text);
	read_line(AT_FDCWD, BOOT_ID, boot);
	if (!boot[0] || sscanf(text, "%64s %lld", said, &at) != 2 || strcmp(said, boot) != 0)
		return false;
	int64_t age = clock_mono() - at;
	return at > 0 && age >= 0 && age < SPOOL_ALIVE_STALE;
}

bool spool_acked(const char *dir, const char *key, const uint8_t digest[SHA256_LEN])
{
	AUTO(fd_close) int ack = open_acks(dir);
	return ack >= 0 && spool_is_key(key) && acked(ack, key, digest);
}

/* A descriptor that is readable when something new stands in the directory ACK; -1 when the kernel gives none. */
static int follow(int ack)
{
	char path[32];
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ack);
	if (fd >= 0 && inotify_add_watch(fd, path, IN_MOVED_TO) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* False when DEADLINE has come. */
static bool sleep_until_news(int fd, int64_t deadline)
{
	char events[4096];
	int64_t left = deadline - clock_mono();
	if (left <= 0)
		return false;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int ms = left / CLOCK_MS < INT_MAX ? (int)(left / CLOCK_MS) + 1 : INT_MAX;
	if (poll(&p, 1, ms) < 0 && errno != EINTR)
		return false;
	while (read(fd, events, sizeof(events)) > 0)
		continue;
	return true;
}

bool spool_ack_wait(const char *dir, const char *key, const uint8_t digest[SHA256_LEN], int64_t deadline)
{
	AUTO(fd_close) int ack = open_acks(dir);
	if (ack < 0 || !spool_is_key(key))
		return false;
	AUTO(fd_close) int fd = follow(ack);
	/* Looked at after the watch stands, and once more after the last moment. */
	while (!acked(ack, key, digest)) {
		if (fd < 0 || !sleep_until_news(fd, deadline))
			return acked(ack, key, digest);
	}
	return true;
}
