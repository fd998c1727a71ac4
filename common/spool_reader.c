/* Owns the spool's reading side: claims, their ends, dead letters, waiting. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/secret.h"
#include "common/spool_dir.h"

#define SCAN_MAX (2 * SPOOL_FILES_MAX) /* names read at once; the rest waits for the next scan */
#define LOCK_NAME "worker.lock"
#define REASON_SUFFIX ".reason"
#define GIVE_BACK_TRIES 8
#define BESIDE "+" /* ends the name of a newcomer in cur/ until it is compared with the claim that is there */

struct spool_reader {
	char *dir;
	struct spool_dirs dirs;
	int lock, inotify; /* inotify is -1 where the kernel gave none: then the caller's scan serves */
	struct arena scan_arena;
	struct spool_name *names; /* of the last scan of new/, oldest first */
	size_t n, at;
};

/* --- moving --- */

/* rename(2) that never replaces: ERR_INVALID when TO exists, ERR_NOT_FOUND when FROM is gone. */
static enum err_code move_new(
    int from, const char *a, int to, const char *b, struct err *e)
{
	if (renameat2(from, a, to, b, RENAME_NOREPLACE) == 0)
		return ERR_OK;
	/* Some network file systems know no flags: a link does not replace either. */
	if (errno == EINVAL && linkat(from, a, to, b, 0) == 0) {
		unlinkat(from, a, 0);
		return ERR_OK;
	}
	if (errno == EEXIST)
		return err_set(e, ERR_INVALID, "%s exists", b);
	if (errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "%s is gone", a);
	return err_set(e, ERR_UNAVAILABLE, "moving %s: %s", a, strerror(errno));
}

/* Does what waits in new/ know less than the claim KEY? */
static bool knows_less(struct spool_reader *r, const char *key)
{
	struct arena a;
	struct spool_event waits, claim;
	struct err e;
	if (!spool_is_key(key))
		return false;
	arena_init(&a, 0);
	bool less = spool_read(r->dirs.new_, key, &a, &waits, &e) == ERR_OK &&
	    spool_read(r->dirs.cur, key, &a, &claim, &e) == ERR_OK && spool_is_older(&waits, &claim);
	arena_done(&a);
	return less;
}

/* Back to new/; when newer news of the user are there, these are of no use any more. The two change places where they are
 * to: what the server writes in that instant is in one of them, and is compared again. */
static enum err_code give_back(struct spool_reader *r, const char *name, struct err *e)
{
	enum err_code rc = move_new(r->dirs.cur, name, r->dirs.new_, name, e);
	for (int tries = 0; rc == ERR_INVALID && tries < GIVE_BACK_TRIES && knows_less(r, name); tries++) {
		if (renameat2(r->dirs.cur, name, r->dirs.new_, name, RENAME_EXCHANGE) != 0)
			break;
	}
	if (rc == ERR_INVALID && (unlinkat(r->dirs.cur, name, 0) == 0 || unlinkat(r->dirs.cur, name, AT_REMOVEDIR) == 0))
		return ERR_OK;
	return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

/* The user's name in KEY when NAME is that of a newcomer beside a claim. */
static bool is_beside(const char *name, char key[SPOOL_KEY_LEN + 1])
{
	if (strlen(name) != SPOOL_KEY_LEN + 1 || name[SPOOL_KEY_LEN] != BESIDE[0])
		return false;
	memcpy(key, name, SPOOL_KEY_LEN);
	key[SPOOL_KEY_LEN] = '\0';
	return spool_is_key(key);
}

/* Does the claim KEY say something newer than BESIDE? ERR_INVALID: BESIDE is no event. */
static enum err_code compare(
    struct spool_reader *r, const char *key, const char *beside, bool *older, struct err *e)
{
	struct arena a;
	struct spool_event was, is;
	struct err ignored;
	arena_init(&a, 0);
	enum err_code rc = spool_read_as(r->dirs.cur, beside, key, &a, &is, e);
	*older = rc == ERR_OK && spool_read(r->dirs.cur, key, &a, &was, &ignored) == ERR_OK &&
	    spool_is_older(&is, &was);
	arena_done(&a);
	return rc;
}

static bool is_file(int dir, const char *name)
{
	struct stat st;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* No directory that somebody put here, and that does not move, is a reason not to start. */
static enum err_code recover(struct spool_reader *r, struct err *e)
{
	struct arena a;
	struct spool_name *names;
	size_t n;
	char key[SPOOL_KEY_LEN + 1];
	arena_init(&a, 0);
	enum err_code rc = spool_scan(r->dirs.cur, SIZE_MAX, &a, &names, &n, e);
	/* What came beside claims first; what of that is no event goes the way of all strange names. */
	for (size_t i = 0; rc == ERR_OK && i < n; i++) {
		struct err ignored;
		bool older;
		if (!is_beside(names[i].name, key))
			continue;
		enum err_code is = compare(r, key, names[i].name, &older, &ignored);
		if (is == ERR_OK && older)
			unlinkat(r->dirs.cur, names[i].name, 0);
		else if (is != ERR_INVALID && renameat(r->dirs.cur, names[i].name, r->dirs.cur, key) == 0)
			rc = give_back(r, key, e);
	}
	for (size_t i = 0; rc == ERR_OK && i < n; i++) {
		rc = give_back(r, names[i].name, e);
		if (rc != ERR_OK && !is_file(r->dirs.cur, names[i].name))
			rc = ERR_OK;
	}
	arena_done(&a);
	return rc;
}

/* --- opening --- */

static bool same_file(int a, int b)
{
	struct stat x, y;
	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* HELD, or -1: a lock that is ours already; where it still stands it stays, and *LOCK is HELD. */
static enum err_code take_lock(const char *dir, int root, int held, int *lock, struct err *e)
{
	*lock = openat(root, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*lock < 0)
		return err_set(e, ERR_UNAVAILABLE, "%s/" LOCK_NAME ": %s%s", dir, strerror(errno),
		    errno == EACCES ? ": made by another user who ran a worker here; remove it when none runs" : "");
	bool ours = same_file(*lock, held);
	if (!ours && flock(*lock, LOCK_EX | LOCK_NB) == 0)
		return ERR_OK;
	close(*lock);
	*lock = held;
	if (ours)
		return ERR_OK;
	return err_set(e, ERR_REFUSED, "%s: another worker has it", dir);
}

static void follow(struct spool_reader *r)
{
	char path[32];
	if (r->inotify < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->dirs.new_);
	if (inotify_add_watch(r->inotify, path, IN_MOVED_TO | IN_CREATE) < 0) {
		close(r->inotify);
		r->inotify = -1;
	}
}

/* In place of what is open, if anything is: that stays when this fails. */
static enum err_code open_spool(struct spool_reader *r, struct err *e)
{
	struct spool_dirs dirs;
	int lock;
	TRY(spool_dirs_open(r->dir, true, &dirs, e));
	enum err_code rc = take_lock(r->dir, dirs.root, r->lock, &lock, e);
	if (rc != ERR_OK) {
		spool_dirs_close(&dirs);
		return rc;
	}
	spool_dirs_close(&r->dirs);
	if (r->lock >= 0 && r->lock != lock)
		close(r->lock);
	r->dirs = dirs;
	r->lock = lock;
	follow(r);
	return recover(r, e);
}

/* --- dead letters --- */

static void put_reason(struct spool_reader *r, const char *name, const char *reason)
{
	char file[NAME_MAX + 1];
	snprintf(file, sizeof(file), "%s" REASON_SUFFIX, name);
	unlinkat(r->dirs.dead, file, 0);
	int fd = openat(r->dirs.dead, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return; /* the event itself matters more */
	if (dprintf(fd, "%s\n", reason) < 0)
		unlinkat(r->dirs.dead, file, 0);
	close(fd);
}

static bool is_reason(const char *name)
{
	size_t n = strlen(name), m = strlen(REASON_SUFFIX);
	return n > m && strcmp(name + n - m, REASON_SUFFIX) == 0;
}

/* Keeps dead/ bounded: whoever can fill it must not fill the disk. */
static void prune_dead(struct spool_reader *r)
{
	struct arena a;
	struct spool_name *names;
	size_t n, events = 0;
	struct err e;
	arena_init(&a, 0);
	if (spool_scan(r->dirs.dead, SIZE_MAX, &a, &names, &n, &e) != ERR_OK)
		n = 0;
	for (size_t i = 0; i < n; i++)
		events += !is_reason(names[i].name);
	for (size_t i = 0; i < n && events > SPOOL_DEAD_MAX; i++) {
		if (is_reason(names[i].name))
			continue;
		char file[NAME_MAX + 1];
		snprintf(file, sizeof(file), "%s" REASON_SUFFIX, names[i].name);
		unlinkat(r->dirs.dead, file, 0);
		if (unlinkat(r->dirs.dead, names[i].name, 0) != 0)
			unlinkat(r->dirs.dead, names[i].name, AT_REMOVEDIR);
		events--;
	}
	arena_done(&a);
}

/* Whoever may write here may have put anything in the way: rename(2) lets no file take a directory's place, and does
 * nothing at all where both names are one file. */
static void clear_way(int dir, const char *name)
{
	uint8_t rnd[8];
	char hex[2 * sizeof(rnd) + 1], aside[sizeof(hex) + 8];
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT || unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return;
	secret_random(rnd, sizeof(rnd));
	hex_encode(rnd, sizeof(rnd), hex);
	snprintf(aside, sizeof(aside), "aside-%s", hex);
	if (renameat(dir, name, dir, aside) != 0)
		return; /* what follows fails, and says so */
}

static enum err_code bury(
    struct spool_reader *r, int from, const char *name, const char *as, const char *reason, struct err *e)
{
	clear_way(r->dirs.dead, as);
	put_reason(r, as, reason);
	if (renameat(from, name, r->dirs.dead, as) != 0 && errno != ENOENT)
		return err_set(e, ERR_UNAVAILABLE, "moving to dead/: %s", strerror(errno));
	fsync(r->dirs.dead);
	prune_dead(r);
	return ERR_OK;
}

/* A name that is no key could hold anything: it is stored under its digest. */
static enum err_code bury_stranger(struct spool_reader *r, const char *name, struct err *e)
{
	char hex[2 * SHA256_LEN + 1], as[40];
	sha256_hex(name, strlen(name), hex);
	snprintf(as, sizeof(as), "name-%.32s", hex);
	TRY(bury(r, r->dirs.new_, name, as, "the file's name is no key", e));
	return err_set(e, ERR_INVALID, "the file's name is no key; now dead/%s", as);
}

/* --- claims --- */

static enum err_code rescan(struct spool_reader *r, struct err *e)
{
	arena_done(&r->scan_arena);
	arena_init(&r->scan_arena, 0);
	r->at = r->n = 0;
	/* Else a spool that was removed and made anew would look empty for ever. */
	if (spool_dirs_moved(r->dir, &r->dirs))
		TRY(open_spool(r, e));
	return spool_scan(r->dirs.new_, SCAN_MAX, &r->scan_arena, &r->names, &r->n, e);
}

static enum err_code parse_claim(
    struct spool_reader *r, const char *key, struct arena *a, struct spool_event *ev, struct err *e)
{
	enum err_code rc = spool_read(r->dirs.cur, key, a, ev, e);
	if (rc != ERR_INVALID)
		return rc;
	struct err why = *e;
	TRY(bury(r, r->dirs.cur, key, key, why.msg, e));
	return err_set(e, ERR_INVALID, "%s: %.400s; now in dead/", key, why.msg);
}

static enum err_code move_to_cur(struct spool_reader *r, const char *name, const char *as, struct err *e)
{
	if (renameat(r->dirs.new_, name, r->dirs.cur, as) == 0)
		return ERR_OK;
	if (errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "%s is gone", name);
	return err_set(e, ERR_UNAVAILABLE, "claiming %s: %s", name, strerror(errno));
}

/* An event of the user waits in cur/ already: the one that knows more stays. ERR_NOT_FOUND: that is the one which was
 * there. */
static enum err_code claim_beside(struct spool_reader *r, const char *key, struct err *e)
{
	char beside[SPOOL_KEY_LEN + sizeof(BESIDE)];
	bool older;
	snprintf(beside, sizeof(beside), "%s" BESIDE, key);
	clear_way(r->dirs.cur, beside);
	TRY(move_to_cur(r, key, beside, e));
	if (compare(r, key, beside, &older, e) == ERR_INVALID) {
		struct err why = *e;
		TRY(bury(r, r->dirs.cur, beside, key, why.msg, e));
		return err_set(e, ERR_INVALID, "%s: %.400s; now in dead/", key, why.msg);
	}
	if (older) {
		unlinkat(r->dirs.cur, beside, 0);
		return err_set(e, ERR_NOT_FOUND, "%s: older than what waits", key);
	}
	if (!is_file(r->dirs.cur, key))
		clear_way(r->dirs.cur, key);
	if (renameat(r->dirs.cur, beside, r->dirs.cur, key) != 0)
		return err_set(e, ERR_UNAVAILABLE, "claiming %s: %s", key, strerror(errno));
	return ERR_OK;
}

static enum err_code claim_name(struct spool_reader *r, const char *name, struct err *e)
{
	struct stat st;
	bool claimed = fstatat(r->dirs.cur, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	return claimed ? claim_beside(r, name, e) : move_to_cur(r, name, name, e);
}

enum err_code spool_claim(struct spool_reader *r, struct arena *a, struct spool_event *ev,
    char key[SPOOL_KEY_LEN + 1], struct err *e)
{
	bool fresh = r->at >= r->n;
	key[0] = '\0';
	if (fresh)
		TRY(rescan(r, e));
	for (;;) {
		if (r->at >= r->n) {
			if (fresh)
				return err_set(e, ERR_NOT_FOUND, "the spool is empty");
			TRY(rescan(r, e));
			fresh = true;
			continue;
		}
		const char *name = r->names[r->at++].name;
		if (!spool_is_key(name))
			return bury_stranger(r, name, e);
		enum err_code rc = claim_name(r, name, e);
		if (rc == ERR_NOT_FOUND)
			continue;
		if (rc != ERR_OK)
			return rc;
		memcpy(key, name, SPOOL_KEY_LEN + 1);
		return parse_claim(r, key, a, ev, e);
	}
}

static enum err_code need_key(const char *key, struct err *e)
{
	return spool_is_key(key) ? ERR_OK : err_set(e, ERR_INVALID, "no key");
}

enum err_code spool_reread(struct spool_reader *r, const char *key, struct arena *a,
    struct spool_event *ev, struct err *e)
{
	TRY(need_key(key, e));
	return parse_claim(r, key, a, ev, e);
}

enum err_code spool_done(struct spool_reader *r, const char *key, struct err *e)
{
	TRY(need_key(key, e));
	if (unlinkat(r->dirs.cur, key, 0) != 0 && errno != ENOENT)
		return err_set(e, ERR_UNAVAILABLE, "deleting %s: %s", key, strerror(errno));
	return ERR_OK;
}

enum err_code spool_retry(struct spool_reader *r, const char *key, struct err *e)
{
	TRY(need_key(key, e));
	return give_back(r, key, e);
}

enum err_code spool_dead(
    struct spool_reader *r, const char *key, const char *reason, struct err *e)
{
	TRY(need_key(key, e));
	return bury(r, r->dirs.cur, key, key, reason, e);
}

static enum err_code revive_one(struct spool_reader *r, const char *name, size_t *n, struct err *e)
{
	struct stat st;
	if (fstatat(r->dirs.cur, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return ERR_OK; /* a newer event of this user is being worked on */
	enum err_code rc = move_new(r->dirs.dead, name, r->dirs.new_, name, e);
	if (rc == ERR_INVALID) {
		unlinkat(r->dirs.dead, name, 0);
	} else if (rc == ERR_OK) {
		*n += 1;
	} else {
		return rc == ERR_NOT_FOUND ? ERR_OK : rc;
	}
	char file[NAME_MAX + 1];
	snprintf(file, sizeof(file), "%s" REASON_SUFFIX, name);
	unlinkat(r->dirs.dead, file, 0);
	return ERR_OK;
}

enum err_code spool_revive(struct spool_reader *r, size_t *n, struct err *e)
{
	struct arena a;
	struct spool_name *names;
	size_t len;
	*n = 0;
	arena_init(&a, 0);
	enum err_code rc = spool_scan(r->dirs.dead, SIZE_MAX, &a, &names, &len, e);
	for (size_t i = 0; rc == ERR_OK && i < len; i++) {
		struct spool_event ev;
		struct err bad;
		if (spool_is_key(names[i].name) &&
		    spool_read(r->dirs.dead, names[i].name, &a, &ev, &bad) == ERR_OK)
			rc = revive_one(r, names[i].name, n, e);
	}
	arena_done(&a);
	return rc;
}

void spool_depth(struct spool_reader *r, size_t *files, int64_t *oldest)
{
	int fds[] = {r->dirs.new_, r->dirs.cur};
	int64_t now = clock_now();
	*files = 0;
	*oldest = 0;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		struct arena a;
		struct spool_name *names;
		size_t n;
		struct err e;
		arena_init(&a, 0);
		if (spool_scan(fds[i], SCAN_MAX, &a, &names, &n, &e) == ERR_OK && n) {
			int64_t age = (now - names[0].mtime) / CLOCK_SECOND;
			*files += n;
			*oldest = age > *oldest ? age : *oldest;
		}
		arena_done(&a);
	}
}

/* --- life and waiting --- */

enum err_code spool_reader_new(const char *dir, struct spool_reader **out, struct err *e)
{
	struct spool_reader *r = calloc(1, sizeof(*r));
	if (!r || !(r->dir = strdup(dir)))
		abort();
	r->dirs = SPOOL_DIRS_CLOSED;
	r->lock = -1;
	arena_init(&r->scan_arena, 0);
	r->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	enum err_code rc = open_spool(r, e);
	if (rc != ERR_OK) {
		spool_reader_free(&r);
		return rc;
	}
	*out = r;
	return ERR_OK;
}

void spool_reader_free(struct spool_reader **rp)
{
	struct spool_reader *r = TAKE(*rp);
	if (!r)
		return;
	if (r->inotify >= 0)
		close(r->inotify);
	if (r->lock >= 0)
		close(r->lock);
	arena_done(&r->scan_arena);
	spool_dirs_close(&r->dirs);
	free(r->dir);
	free(r);
}

int spool_fd(const struct spool_reader *r)
{
	return r->inotify;
}

void spool_wait_drain(struct spool_reader *r)
{
	char events[4096];
	while (r->inotify >= 0 && read(r->inotify, events, sizeof(events)) > 0)
		continue;
}

/* --- looking without touching --- */

enum err_code spool_each(const char *dir, void (*fn)(void *ctx, const char *key,
    const struct spool_event *ev), void *ctx, size_t *invalid, struct err *e)
{
	struct spool_dirs d;
	struct arena a;
	*invalid = 0;
	TRY(spool_dirs_open(dir, false, &d, e));
	int fds[] = {d.cur, d.new_};
	enum err_code rc = ERR_OK;
	for (size_t i = 0; i < ARRAY_LEN(fds) && rc == ERR_OK; i++) {
		struct spool_name *names;
		size_t n;
		arena_init(&a, 0);
		rc = spool_scan(fds[i], SIZE_MAX, &a, &names, &n, e);
		for (size_t j = 0; rc == ERR_OK && j < n; j++) {
			struct arena one;
			struct spool_event ev;
			struct err bad;
			arena_init(&one, 0);
			if (spool_is_key(names[j].name) &&
			    spool_read(fds[i], names[j].name, &one, &ev, &bad) == ERR_OK)
				fn(ctx, names[j].name, &ev);
			else
				*invalid += 1;
			arena_done(&one);
		}
		arena_done(&a);
	}
	spool_dirs_close(&d);
	return rc;
}
