/* Owns the spool's writing side: what was told, durable files, limits, the background thread. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/secret.h"
#include "common/spool_dir.h"
#include "common/trouble.h"

/* The table of what was told has fixed size, so that no number of users grows it: sets of WAYS, the
 * oldest leaves. A user who left it is told again, which costs one file and changes nothing. */
#define TOLD_SETS 16384
#define TOLD_WAYS 8
#define STRIPES 16
#define TOLD_KEY 16 /* bytes of the key's digest: 128 bits */

#define QUEUE_MAX 1024			      /* events that wait for the background thread */
#define USAGE_EVERY (CLOCK_SECOND)	      /* how long a count of the directory serves */
#define TMP_STALE_SECONDS 3600		      /* what a crash left in tmp/ */
#define TMP_NAME_MAX (SPOOL_KEY_LEN + 1 + 32 + 1)

struct told {
	uint8_t key[TOLD_KEY], digest[SHA256_LEN];
	int64_t at; /* clock_mono; 0: free */
};

struct identity_mark {
	uint8_t key[SHA256_LEN], digest[SHA256_LEN];
};

struct queued {
	struct queued *next;
	struct arena arena;
	struct spool_event ev;
};

struct usage {
	uint64_t files, bytes;
	int64_t counted; /* clock_mono; 0: never */
};

struct spool_writer {
	char *dir;
	struct spool_dirs dirs;
	struct spool_limits limits;
	struct told *told;
	pthread_mutex_t table[STRIPES]; /* guards told, held for an instant */
	pthread_mutex_t write[STRIPES]; /* one writer a user, held for the disk */
	pthread_mutex_t usage_lock;
	struct usage usage;
	pthread_mutex_t queue_lock;
	pthread_cond_t queue_cond;
	struct queued *head, **tail;
	size_t queued;
	pthread_t thread;
	bool running, closing;
	struct trouble trouble;
	struct metric *written, *dropped_limit, *dropped_disk, *dropped_queue, *dropped_invalid;
};

/* --- what was told --- */

static struct identity_mark mark_of(const struct spool_event *ev)
{
	struct identity_mark m;
	struct sha256_ctx *c = sha256_begin();
	sha256_update(c, ev->provider.p, ev->provider.len);
	sha256_update(c, "", 1);
	sha256_update(c, ev->username.p, ev->username.len);
	sha256_end(&c, m.key);
	spool_digest(ev, m.digest);
	return m;
}

static size_t set_of(const struct identity_mark *m)
{
	return ((size_t)m->key[31] << 8 | m->key[30]) % TOLD_SETS;
}

static bool mark_due(struct spool_writer *w, const struct identity_mark *m)
{
	size_t set = set_of(m);
	const struct told *t = w->told + set * TOLD_WAYS;
	int64_t now = clock_mono();
	bool due = true;
	pthread_mutex_lock(&w->table[set % STRIPES]);
	for (size_t i = 0; i < TOLD_WAYS; i++) {
		if (t[i].at && memcmp(t[i].key, m->key, TOLD_KEY) == 0) {
			due = memcmp(t[i].digest, m->digest, SHA256_LEN) != 0 ||
			    now - t[i].at >= w->limits.touch;
			break;
		}
	}
	pthread_mutex_unlock(&w->table[set % STRIPES]);
	return due;
}

static void mark_told(struct spool_writer *w, const struct identity_mark *m)
{
	size_t set = set_of(m);
	struct told *t = w->told + set * TOLD_WAYS, *into = t;
	pthread_mutex_lock(&w->table[set % STRIPES]);
	for (size_t i = 0; i < TOLD_WAYS; i++) {
		if (t[i].at && memcmp(t[i].key, m->key, TOLD_KEY) == 0) {
			into = &t[i];
			break;
		}
		if (t[i].at < into->at)
			into = &t[i];
	}
	memcpy(into->key, m->key, TOLD_KEY);
	memcpy(into->digest, m->digest, SHA256_LEN);
	into->at = clock_mono();
	pthread_mutex_unlock(&w->table[set % STRIPES]);
}

bool spool_is_due(struct spool_writer *w, const struct spool_event *ev)
{
	struct identity_mark m = mark_of(ev);
	return mark_due(w, &m);
}

/* --- a spool that is another one --- */

static void forget_told(struct spool_writer *w)
{
	for (size_t set = 0; set < TOLD_SETS; set++) {
		pthread_mutex_lock(&w->table[set % STRIPES]);
		for (size_t i = 0; i < TOLD_WAYS; i++)
			w->told[set * TOLD_WAYS + i].at = 0;
		pthread_mutex_unlock(&w->table[set % STRIPES]);
	}
}

/* What was told went with it. The descriptors keep their numbers: others may be using them. */
static enum err_code follow_moved(struct spool_writer *w, struct err *e)
{
	struct spool_dirs fresh;
	if (!spool_dirs_moved(w->dir, &w->dirs))
		return ERR_OK;
	TRY(spool_dirs_open(w->dir, true, &fresh, e));
	const int from[] = {fresh.root, fresh.tmp, fresh.new_, fresh.cur, fresh.dead};
	const int to[] = {w->dirs.root, w->dirs.tmp, w->dirs.new_, w->dirs.cur, w->dirs.dead};
	enum err_code rc = ERR_OK;
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		if (dup3(from[i], to[i], O_CLOEXEC) < 0)
			rc = err_set(e, ERR_UNAVAILABLE, "opening %s anew: %s", w->dir, strerror(errno));
	}
	spool_dirs_close(&fresh);
	if (rc == ERR_OK)
		forget_told(w);
	return rc;
}

/* --- limits --- */

static enum err_code usage_count(struct spool_writer *w, struct err *e)
{
	struct usage u = {.counted = clock_mono()};
	int fds[] = {w->dirs.new_, w->dirs.cur};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		struct arena a;
		struct spool_name *names;
		size_t n;
		arena_init(&a, 0);
		enum err_code rc = spool_scan(fds[i], SIZE_MAX, &a, &names, &n, e);
		for (size_t j = 0; rc == ERR_OK && j < n; j++)
			u.bytes += (uint64_t)names[j].size;
		u.files += rc == ERR_OK ? n : 0;
		arena_done(&a);
		TRY(rc);
	}
	w->usage = u;
	return ERR_OK;
}

static enum err_code check_free(struct spool_writer *w, struct err *e)
{
	struct statvfs fs;
	if (fstatvfs(w->dirs.new_, &fs) != 0)
		return err_set(e, ERR_UNAVAILABLE, "asking for free space: %s", strerror(errno));
	if (fs.f_blocks && fs.f_bavail < fs.f_blocks / 100 * w->limits.free_percent)
		return err_set(e, ERR_LIMIT, "the file system is more than %u %% full",
		    100 - w->limits.free_percent);
	return ERR_OK;
}

/* Reserves room for one more event of LEN bytes. A full spool still takes news of users who are in
 * it: their file is replaced, and what they lost must not wait behind the flood. */
static enum err_code usage_take(struct spool_writer *w, const char *key, size_t len, struct err *e)
{
	struct stat st;
	bool replaces = fstatat(w->dirs.new_, key, &st, AT_SYMLINK_NOFOLLOW) == 0;
	enum err_code rc = check_free(w, e);
	pthread_mutex_lock(&w->usage_lock);
	if (rc == ERR_OK && (!w->usage.counted || clock_mono() - w->usage.counted >= USAGE_EVERY)) {
		rc = follow_moved(w, e);
		if (rc == ERR_OK)
			rc = usage_count(w, e);
	}
	if (rc == ERR_OK && !replaces) {
		if (w->usage.files >= w->limits.max_files)
			rc = err_set(e, ERR_LIMIT, "%zu events wait", (size_t)w->usage.files);
		else if (w->usage.bytes + len > w->limits.max_bytes)
			rc = err_set(e, ERR_LIMIT, "%zu bytes wait", (size_t)w->usage.bytes);
		w->usage.files += rc == ERR_OK;
		w->usage.bytes += rc == ERR_OK ? len : 0;
	}
	pthread_mutex_unlock(&w->usage_lock);
	return rc;
}

/* --- files --- */

static enum err_code write_whole(int fd, struct slice text, struct err *e)
{
	while (text.len) {
		ssize_t n = write(fd, text.p, text.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_UNAVAILABLE, "writing: %s", strerror(errno));
		text = slice_skip(text, (size_t)n);
	}
	/* By fchmod: the umask of a hardened unit would hide the event from the worker. */
	if (fchmod(fd, 0640) != 0 || fsync(fd) != 0)
		return err_set(e, ERR_UNAVAILABLE, "fsync: %s", strerror(errno));
	return ERR_OK;
}

static enum err_code write_tmp(
    struct spool_writer *w, const char *name, struct slice text, struct err *e)
{
	int fd = openat(w->dirs.tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "creating: %s", strerror(errno));
	enum err_code rc = write_whole(fd, text, e);
	if (close(fd) != 0 && rc == ERR_OK)
		rc = err_set(e, ERR_UNAVAILABLE, "closing: %s", strerror(errno));
	return rc;
}

static enum err_code put_file(
    struct spool_writer *w, const char *key, struct slice text, struct err *e)
{
	uint8_t rnd[8];
	char hex[2 * sizeof(rnd) + 1], name[TMP_NAME_MAX];
	secret_random(rnd, sizeof(rnd)); /* a process id repeats in a container */
	hex_encode(rnd, sizeof(rnd), hex);
	snprintf(name, sizeof(name), "%s.%s", key, hex);
	enum err_code rc = write_tmp(w, name, text, e);
	if (rc == ERR_OK && renameat(w->dirs.tmp, name, w->dirs.new_, key) != 0)
		rc = err_set(e, ERR_UNAVAILABLE, "renaming: %s", strerror(errno));
	if (rc != ERR_OK) {
		unlinkat(w->dirs.tmp, name, 0);
		return rc;
	}
	if (fsync(w->dirs.new_) != 0)
		return err_set(e, ERR_UNAVAILABLE, "fsync of new/: %s", strerror(errno));
	return ERR_OK;
}

/* What waits for the worker already knows more than EV: an older token must not take its place. */
static bool superseded(struct spool_writer *w, const char *key, const struct spool_event *ev)
{
	struct arena a;
	struct spool_event have;
	struct err e;
	if (ev->iat <= 0)
		return false;
	arena_init(&a, 0);
	bool older = spool_read(w->dirs.new_, key, &a, &have, &e) == ERR_OK && spool_is_older(ev, &have);
	arena_done(&a);
	return older;
}

/* E must not be NULL. */
static enum err_code write_event(struct spool_writer *w, const struct spool_event *ev, struct err *e)
{
	struct buf text;
	char key[SPOOL_KEY_LEN + 1];
	spool_key(ev->provider, ev->username, key);
	buf_init(&text, SPOOL_EVENT_MAX);
	enum err_code rc = spool_encode(ev, &text, e);
	if (rc != ERR_OK) { /* the event's fault: no trouble of ours */
		buf_done(&text);
		return rc;
	}
	bool older = superseded(w, key, ev);
	if (!older)
		rc = usage_take(w, key, text.len, e);
	if (rc == ERR_OK && !older)
		rc = put_file(w, key, buf_view(&text), e);
	buf_done(&text);
	if (rc == ERR_OK)
		trouble_end(&w->trouble);
	else
		trouble_set(&w->trouble, e);
	return rc;
}

static void count_drop(struct spool_writer *w, enum err_code why)
{
	if (why == ERR_LIMIT)
		metric_inc(w->dropped_limit);
	else if (why == ERR_INVALID)
		metric_inc(w->dropped_invalid);
	else
		metric_inc(w->dropped_disk);
}

enum err_code spool_note_sync(struct spool_writer *w, const struct spool_event *ev, struct err *e)
{
	struct identity_mark m = mark_of(ev);
	if (!mark_due(w, &m))
		return ERR_OK;
	pthread_mutex_t *lock = &w->write[set_of(&m) % STRIPES];
	enum err_code rc = ERR_OK;
	pthread_mutex_lock(lock);
	/* Asked again: who waited for the lock may have waited for the same event. Told only once it is
	 * durable: a second answer must not overtake the first one's disk. */
	if (mark_due(w, &m)) {
		struct err why = {0};
		rc = write_event(w, ev, &why);
		if (rc == ERR_OK) {
			mark_told(w, &m);
			metric_inc(w->written);
		} else {
			count_drop(w, rc);
			err_set(e, rc, "spool: %s", why.msg);
		}
	}
	pthread_mutex_unlock(lock);
	return rc;
}

bool spool_trouble(struct spool_writer *w, int64_t *since, struct err *why)
{
	return trouble_get(&w->trouble, since, why);
}

/* --- the background thread --- */

static struct queued *queued_new(const struct spool_event *ev)
{
	struct queued *q = calloc(1, sizeof(*q));
	if (!q)
		abort();
	struct arena *a = &q->arena;
	arena_init(a, 0);
	struct spool_extra *extra = ARENA_ARRAY(a, struct spool_extra, ev->nextra);
	for (size_t i = 0; i < ev->nextra; i++) {
		extra[i].key = slice_dup(a, ev->extra[i].key);
		extra[i].values = slice_dup_all(a, ev->extra[i].values, ev->extra[i].n);
		extra[i].n = ev->extra[i].n;
	}
	q->ev = (struct spool_event){
	    .provider = slice_dup(a, ev->provider),
	    .issuer = slice_dup(a, ev->issuer),
	    .username = slice_dup(a, ev->username),
	    .uid = slice_dup(a, ev->uid),
	    .groups = slice_dup_all(a, ev->groups, ev->ngroups),
	    .ngroups = ev->ngroups,
	    .extra = extra,
	    .nextra = ev->nextra,
	    .seen_at = ev->seen_at,
	    .iat = ev->iat,
	    .node = slice_dup(a, ev->node),
	};
	return q;
}

static void queued_free(struct queued *q)
{
	arena_done(&q->arena);
	free(q);
}

static struct queued *queue_pop(struct spool_writer *w)
{
	pthread_mutex_lock(&w->queue_lock);
	while (!w->head && !w->closing)
		pthread_cond_wait(&w->queue_cond, &w->queue_lock);
	struct queued *q = w->head;
	if (q) {
		w->head = q->next;
		if (!w->head)
			w->tail = &w->head;
		w->queued--;
	}
	pthread_mutex_unlock(&w->queue_lock);
	return q;
}

static void *background(void *arg)
{
	struct spool_writer *w = arg;
	for (struct queued *q; (q = queue_pop(w));) {
		struct err e;
		/* Counted where it failed, and due again: nobody waits for this result. */
		if (spool_note_sync(w, &q->ev, &e) != ERR_OK)
			e.code = ERR_OK;
		queued_free(q);
	}
	return NULL;
}

/* Signals belong to the threads that wait for them. */
static bool start_thread(struct spool_writer *w)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	bool ok = pthread_create(&w->thread, NULL, background, w) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ok;
}

void spool_note(struct spool_writer *w, const struct spool_event *ev)
{
	if (!spool_is_due(w, ev))
		return;
	struct queued *q = queued_new(ev);
	pthread_mutex_lock(&w->queue_lock);
	if (!w->running)
		w->running = start_thread(w);
	bool taken = w->running && w->queued < QUEUE_MAX;
	if (taken) {
		*w->tail = q;
		w->tail = &q->next;
		w->queued++;
		pthread_cond_signal(&w->queue_cond);
	}
	pthread_mutex_unlock(&w->queue_lock);
	if (!taken) {
		metric_inc(w->dropped_queue);
		queued_free(q);
	}
}

/* --- life --- */

/* Temporaries of a process that was killed. The age spares a neighbour that is still writing. */
static void sweep_tmp(struct spool_writer *w)
{
	struct arena a;
	struct spool_name *names;
	size_t n;
	struct err e;
	arena_init(&a, 0);
	if (spool_scan(w->dirs.tmp, SPOOL_FILES_MAX, &a, &names, &n, &e) == ERR_OK) {
		int64_t old = clock_now() - TMP_STALE_SECONDS * CLOCK_SECOND;
		for (size_t i = 0; i < n && names[i].mtime < old; i++)
			unlinkat(w->dirs.tmp, names[i].name, 0);
	}
	arena_done(&a);
}

static struct metric *drop_counter(const char *labels)
{
	return metrics_counter("portcullis_spool_dropped_total",
	    "Identities that could not be handed to the worker; told again when next seen.", labels);
}

static void init_metrics(struct spool_writer *w)
{
	w->written = metrics_counter("portcullis_spool_written_total",
	    "Identities handed to the worker: new, changed, or unchanged for long.", "");
	w->dropped_limit = drop_counter("reason=\"limit\"");
	w->dropped_disk = drop_counter("reason=\"disk\"");
	w->dropped_queue = drop_counter("reason=\"queue\"");
	w->dropped_invalid = drop_counter("reason=\"invalid\"");
}

enum err_code spool_writer_new(
    const char *dir, int64_t touch, struct spool_writer **out, struct err *e)
{
	struct spool_dirs dirs;
	TRY(spool_dirs_open(dir, true, &dirs, e));
	if (faccessat(dirs.tmp, ".", W_OK | X_OK, AT_EACCESS) != 0 ||
	    faccessat(dirs.new_, ".", W_OK | X_OK, AT_EACCESS) != 0) {
		spool_dirs_close(&dirs);
		return err_set(e, ERR_REFUSED, "%s: not writable", dir);
	}
	struct spool_writer *w = calloc(1, sizeof(*w));
	struct told *told = calloc((size_t)TOLD_SETS * TOLD_WAYS, sizeof(*told));
	if (!w || !told)
		abort();
	w->dir = strdup(dir);
	if (!w->dir)
		abort();
	w->dirs = dirs;
	w->told = told;
	w->limits = (struct spool_limits){SPOOL_FILES_MAX, SPOOL_BYTES_MAX, SPOOL_FREE_PERCENT,
	    touch > 0 ? touch : SPOOL_TOUCH};
	for (size_t i = 0; i < STRIPES; i++) {
		pthread_mutex_init(&w->table[i], NULL);
		pthread_mutex_init(&w->write[i], NULL);
	}
	trouble_init(&w->trouble);
	pthread_mutex_init(&w->usage_lock, NULL);
	pthread_mutex_init(&w->queue_lock, NULL);
	pthread_cond_init(&w->queue_cond, NULL);
	w->tail = &w->head;
	init_metrics(w);
	sweep_tmp(w);
	*out = w;
	return ERR_OK;
}

void spool_writer_limit(struct spool_writer *w, const struct spool_limits *limits)
{
	w->limits = *limits;
}

void spool_writer_free(struct spool_writer **wp)
{
	struct spool_writer *w = TAKE(*wp);
	if (!w)
		return;
	pthread_mutex_lock(&w->queue_lock);
	w->closing = true;
	pthread_cond_signal(&w->queue_cond);
	pthread_mutex_unlock(&w->queue_lock);
	if (w->running)
		pthread_join(w->thread, NULL);
	for (size_t i = 0; i < STRIPES; i++) {
		pthread_mutex_destroy(&w->table[i]);
		pthread_mutex_destroy(&w->write[i]);
	}
	trouble_done(&w->trouble);
	pthread_mutex_destroy(&w->usage_lock);
	pthread_mutex_destroy(&w->queue_lock);
	pthread_cond_destroy(&w->queue_cond);
	spool_dirs_close(&w->dirs);
	free(w->told);
	free(w->dir);
	free(w);
}
