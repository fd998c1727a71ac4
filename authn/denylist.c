/* Owns the denylist that is in force, and when it is read again. */
#include "authn/denylist.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "authn/limits.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/metrics.h"
#include "common/secret.h"

/* What a changed file no longer has stays in force this long: a file may be seen while it is
 * written, when it reads well and lacks half of its entries. */
#define SETTLE (2 * CLOCK_SECOND)

/* Changes within that time whose predecessors are all kept: a file that is written in pieces may be
 * read after each. */
#define OLD_MAX 16

/* A file changed this shortly before it was read may change again without a new time: file systems
 * count in ticks of up to 10 ms. */
#define TICK (100 * CLOCK_MS)

/* What stat(2) tells a file's states apart by. Zeroed: no file. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct denylist {
	atomic_uint refs;
	char *path;
	struct denylist_options o;
	struct metric *entries, *loaded, *rejected, *stale;
	pthread_mutex_t lock; /* guards the rest */
	struct stamp stamp;
	uint8_t sha256[SHA256_LEN];
	struct denylist_file *file; /* never NULL once opened */
	struct {
		struct denylist_file *file;
		int64_t until; /* clock_mono() */
	} old[OLD_MAX]; /* in force beside it; oldest first */
	size_t nold;
	bool racy; /* the stamp cannot be trusted yet */
	struct err fault; /* of the last look; ERR_OK: none */
};

static struct stamp look(const char *path, struct err *e)
{
	struct stat st;
	struct stamp s;
	memset(&s, 0, sizeof(s)); /* compared bytewise */
	if (stat(path, &st) != 0) {
		err_set(e, ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
		return s;
	}
	s.dev = st.st_dev;
	s.ino = st.st_ino;
	s.size = st.st_size;
	s.mtime = st.st_mtim;
	s.ctime = st.st_ctim;
	return s;
}

/* By the machine's own clock, which file systems use. */
static bool just_changed(const struct stamp *s)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t age =
	    (now.tv_sec - s->ctime.tv_sec) * CLOCK_SECOND + now.tv_nsec - s->ctime.tv_nsec;
	return age > -TICK && age < TICK;
}

static void tell(struct denylist *l, const struct err *e)
{
	if (l->o.event)
		l->o.event(l->o.event_arg, l->path, denylist_file_len(l->file), e);
}

static void fail(struct denylist *l, const struct err *e)
{
	metric_set(l->stale, 1);
	if (l->fault.code == e->code && strcmp(l->fault.msg, e->msg) == 0)
		return;
	metric_inc(l->rejected);
	l->fault = *e;
	if (l->file)
		tell(l, e);
}

static void drop_old(struct denylist *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		denylist_file_free(&l->old[i].file);
	l->nold -= n;
	memmove(l->old, l->old + n, l->nold * sizeof(l->old[0]));
}

static void settle(struct denylist *l)
{
	int64_t now = clock_mono();
	size_t n = 0;
	while (n < l->nold && l->old[n].until <= now)
		n++;
	if (n)
		drop_old(l, n);
}

static void adopt(struct denylist *l, struct denylist_file *f, const uint8_t digest[SHA256_LEN])
{
	if (l->nold == OLD_MAX)
		drop_old(l, 1);
	if (l->file) {
		l->old[l->nold].file = l->file;
		l->old[l->nold++].until = clock_mono() + SETTLE;
	}
	l->file = f;
	memcpy(l->sha256, digest, SHA256_LEN);
	metric_inc(l->loaded);
	metric_set(l->entries, (double)denylist_file_len(f));
}

static void well(struct denylist *l, bool changed)
{
	bool failed = l->fault.code != ERR_OK;
	l->fault = (struct err){0};
	metric_set(l->stale, 0);
	if (changed || failed)
		tell(l, NULL);
}

/* Under the lock. Findings go to D; what is wrong with the file as a whole stands at NAMED. */
static void read_file(
    struct denylist *l, const struct stamp *now, const struct place *named, struct diags *d)
{
	struct arena a;
	struct slice text = {0};
	struct err e = {0};
	uint8_t digest[SHA256_LEN];
	arena_init(&a, 0);
	l->stamp = *now;
	l->racy = just_changed(now);
	enum err_code code = file_read(&a, l->path, DENYLIST_BYTES_MAX, &text, &e);
	/* "Kept changing" and I/O errors: the stamp need not change for the next try to do better. */
	l->racy = l->racy || code == ERR_UNAVAILABLE;
	if (code != ERR_OK) {
		diags_error(d, named->file, named->line, named->col, "denylistFile: %s", e.msg);
	} else {
		struct denylist_file *f = NULL;
		sha256(text.p, text.len, digest);
		bool same = l->file && memcmp(digest, l->sha256, SHA256_LEN) == 0;
		if (!same && denylist_parse(l->path, text, &f, d) == ERR_OK)
			adopt(l, f, digest);
		if (same || f)
			well(l, f != NULL);
	}
	arena_done(&a);
}

static void reread(struct denylist *l, const struct stamp *now)
{
	const struct place none = {.file = ""};
	struct diags d = {0};
	struct err e = {0};
	read_file(l, now, &none, &d);
	if (diags_to_err(&d, &e) != ERR_OK)
		fail(l, &e);
	diags_done(&d);
}

/* Takes the lock, with the newest entries in force. */
static void lock_and_look(struct denylist *l)
{
	struct err e = {0};
	struct stamp now = look(l->path, &e);
	pthread_mutex_lock(&l->lock);
	if (e.code != ERR_OK) {
		memset(&l->stamp, 0, sizeof(l->stamp)); /* read when it is back, as it may be */
		fail(l, &e);
	} else if (l->racy || memcmp(&now, &l->stamp, sizeof(now)) != 0) {
		reread(l, &now);
	}
	settle(l);
}

static struct denylist *new_list(const char *path, const struct denylist_options *o)
{
	static const char loads[] = "portcullis_denylist_loads_total";
	static const char loads_help[] = "Times the denylist was read, by result.";
	struct denylist *l = calloc(1, sizeof(*l));
	if (!l || !(l->path = strdup(path)))
		abort();
	atomic_init(&l->refs, 1);
	if (o)
		l->o = *o;
	pthread_mutex_init(&l->lock, NULL);
	l->entries =
	    metrics_gauge("portcullis_denylist_entries", "Entries of the denylist in force.", "");
	l->stale = metrics_gauge("portcullis_denylist_stale",
	    "1 while the denylist's file cannot be used and the entries read before serve on.", "");
	l->loaded = metrics_counter(loads, loads_help, "result=\"loaded\"");
	l->rejected = metrics_counter(loads, loads_help, "result=\"rejected\"");
	return l;
}

enum err_code denylist_open(const char *path, const struct place *named,
    const struct denylist_options *o, struct denylist **out, struct diags *d)
{
	struct denylist *l = new_list(path, o);
	struct err e = {0};
	size_t before = d->errors;
	struct stamp now = look(path, &e);
	if (e.code != ERR_OK)
		diags_error(d, named->file, named->line, named->col, "denylistFile: %s", e.msg);
	else
		read_file(l, &now, named, d);
	if (d->errors > before)
		denylist_unref(&l);
	*out = l;
	return l ? ERR_OK : ERR_INVALID;
}

struct denylist *denylist_ref(struct denylist *l)
{
	if (l)
		atomic_fetch_add(&l->refs, 1);
	return l;
}

void denylist_unref(struct denylist **list)
{
	struct denylist *l = TAKE(*list);
	if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	denylist_file_free(&l->file);
	drop_old(l, l->nold);
	pthread_mutex_destroy(&l->lock);
	free(l->path);
	free(l);
}

const char *denylist_path(const struct denylist *l)
{
	return l->path;
}

void denylist_look(struct denylist *l)
{
	lock_and_look(l);
	pthread_mutex_unlock(&l->lock);
}

bool denylist_refuses(struct denylist *l, const struct identity *id, const struct credential *cred,
    int64_t now, struct err *e)
{
	if (!l)
		return false;
	lock_and_look(l);
	bool has = denylist_file_has(l->file, id, cred, now, e);
	for (size_t i = 0; i < l->nold && !has; i++)
		has = denylist_file_has(l->old[i].file, id, cred, now, e);
	pthread_mutex_unlock(&l->lock);
	return has;
}

void denylist_status(struct denylist *l, struct buf *out)
{
	lock_and_look(l);
	bool failed = l->fault.code != ERR_OK;
	buf_printf(
	    out, "%c%s: %zu entries", failed ? '-' : '+', l->path, denylist_file_len(l->file));
	if (failed)
		buf_printf(out, "; the file cannot be used: %s", l->fault.msg);
	buf_addc(out, '\n');
	pthread_mutex_unlock(&l->lock);
}
