/* Owns the ended sessions: a small file, replaced as a whole, and the same in memory. */
#include "authn/sessions.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/map.h"
#include "common/metrics.h"
#include "common/secret.h"

#define FILE_NAME "ended-sessions"
#define LOCK_NAME "ended-sessions.lock"
/* Name, blank, at most 20 digits, line break. */
#define FILE_BYTES_MAX (SESSIONS_MAX * (SESSION_LEN + 22))

/* What the disk did not take is tried again after that. */
#define RETRY (10 * CLOCK_SECOND)

struct ended {
	struct slice name;
	int64_t until;
};

/* Built whole, then exchanged. */
struct set {
	struct arena arena;
	struct map map; /* of struct ended */
};

struct sessions {
	char *path, *lock_path; /* NULL: nothing on disk */
	struct metric *count;
	pthread_mutex_t writing; /* guards what follows, and the order of changes */
	bool unsaved;		 /* memory holds what the disk did not take */
	int64_t retry;		 /* clock_mono() before which the disk is left alone */
	struct file_stamp stamp;
	struct err fault; /* of the file as it is */
	pthread_mutex_t lock; /* guards SET */
	struct set *set;
};

/* --- sets --- */

static struct set *set_new(void)
{
	struct set *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	arena_init(&s->arena, 0);
	return s;
}

static void set_free(struct set **sp)
{
	if (!sp || !*sp)
		return;
	struct set *s = TAKE(*sp);
	map_done(&s->map);
	arena_done(&s->arena);
	free(s);
}

static void set_add(struct set *s, struct slice name, int64_t until)
{
	struct ended *e = map_get(&s->map, name);
	if (!e) {
		e = ARENA_NEW(&s->arena, struct ended);
		e->name = slice_dup(&s->arena, name);
		map_put(&s->map, e->name, e);
	}
	if (until > e->until)
		e->until = until;
}

/* What of FROM still counts. */
static void set_merge(struct set *s, const struct set *from)
{
	int64_t now = clock_unix();
	size_t it = 0;
	struct slice key;
	void *value;
	while (map_next(&from->map, &it, &key, &value)) {
		const struct ended *e = value;
		if (e->until > now)
			set_add(s, e->name, e->until);
	}
}

bool sessions_name_ok(struct slice name)
{
	if (name.len != SESSION_LEN)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];
		if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z'))
			return false;
	}
	return true;
}

struct slice sessions_name(struct arena *a)
{
	char name[SESSION_LEN + 1];
	ulid_new(clock_now() / CLOCK_MS, name);
	return slice_dup(a, slice_of(name));
}

/* --- the file --- */

static bool parse_number(struct slice s, int64_t *out)
{
	*out = 0;
	if (s.len == 0 || s.len > 18)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		*out = *out * 10 + (s.p[i] - '0');
	}
	return true;
}

static bool parse_line(struct set *s, struct slice line)
{
	int64_t until;
	size_t blank = slice_find(line, ' ');
	struct slice name = {line.p, blank};
	if (!sessions_name_ok(name) || !parse_number(slice_skip(line, blank + 1), &until))
		return false;
	if (until > clock_unix())
		set_add(s, name, until);
	return true;
}

static enum err_code read_file(const char *path, struct set *into, struct err *e)
{
	AUTO(arena_done) struct arena a;
	arena_init(&a, 0);
	struct slice text;
	enum err_code code = file_read(&a, path, FILE_BYTES_MAX, &text, e);
	if (code == ERR_NOT_FOUND)
		return ERR_OK;
	if (code != ERR_OK)
		return code;
	for (size_t n = 1; text.len > 0; n++) {
		size_t len = slice_find(text, '\n');
		if (len == text.len || !parse_line(into, (struct slice){text.p, len}))
			return err_set(
			    e, ERR_INVALID, "%s: line %zu is not NAME UNIX-SECONDS", path, n);
		text = slice_skip(text, len + 1);
	}
	return ERR_OK;
}

static enum err_code write_file(const char *path, const struct set *s, struct err *e)
{
	AUTO(buf_done) struct buf text;
	size_t it = 0;
	struct slice key;
	void *value;
	buf_init(&text, FILE_BYTES_MAX);
	while (map_next(&s->map, &it, &key, &value)) {
		const struct ended *x = value;
		buf_slice(&text, x->name);
		buf_addc(&text, ' ');
		buf_i64(&text, x->until);
		buf_addc(&text, '\n');
	}
	return file_write_atomic(path, text.p, text.len, 0600, e);
}

/* --- life --- */

static void set_current(struct sessions *s, struct set *owned)
{
	metric_set(s->count, (double)owned->map.len);
	pthread_mutex_lock(&s->lock);
	struct set *old = s->set;
	s->set = owned;
	pthread_mutex_unlock(&s->lock);
	set_free(&old);
}

enum err_code sessions_open(const char *state_dir, struct sessions **out, struct err *e)
{
	AUTO(sessions_free) struct sessions *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	pthread_mutex_init(&s->writing, NULL);
	pthread_mutex_init(&s->lock, NULL);
	s->count = metrics_gauge("portcullis_login_ended_sessions",
	    "Sessions that were revoked and would not have ended yet.", "");
	s->set = set_new();
	if (state_dir) {
		struct err ignored;
		s->path = file_join(state_dir, FILE_NAME);
		s->lock_path = file_join(state_dir, LOCK_NAME);
		/* Before reading: a change in between is then seen by the first tick. */
		if (file_stamp(s->path, &s->stamp, &ignored) != ERR_NOT_FOUND)
			TRY(read_file(s->path, s->set, e));
	}
	metric_set(s->count, (double)s->set->map.len);
	*out = TAKE(s);
	return ERR_OK;
}

void sessions_free(struct sessions **sp)
{
	if (!sp || !*sp)
		return;
	struct sessions *s = TAKE(*sp);
	set_free(&s->set);
	pthread_mutex_destroy(&s->writing);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s->lock_path);
	free(s);
}

bool sessions_ended(struct sessions *s, struct slice name)
{
	if (name.len == 0)
		return false;
	pthread_mutex_lock(&s->lock);
	bool ended = map_get(&s->set->map, name) != NULL;
	pthread_mutex_unlock(&s->lock);
	return ended;
}

static enum err_code fits(const struct set *s, struct err *e)
{
	if (s->map.len <= SESSIONS_MAX)
		return ERR_OK;
	return err_set(e, ERR_LIMIT, "%zu, and no more than %zu fit", s->map.len, SESSIONS_MAX);
}

/* NEXT, with what other processes wrote, on the disk. */
static enum err_code save(struct sessions *s, struct set *next, struct err *e)
{
	AUTO(file_unlock) int fd = -1;
	TRY(file_lock(s->lock_path, true, &fd, e));
	TRY(read_file(s->path, next, e));
	TRY(fits(next, e));
	TRY(write_file(s->path, next, e));
	s->fault = (struct err){0};
	return file_stamp(s->path, &s->stamp, e);
}

/* Under WRITING. What is in memory and no longer in the file stays: nothing is un-ended by an edit. Without
 * room in memory nothing changes; without room in the file alone it is as with any disk that refuses. */
static enum err_code record(struct sessions *s, struct slice name, int64_t until, struct err *e)
{
	AUTO(set_free) struct set *next = set_new();
	set_merge(next, s->set);
	if (name.len)
		set_add(next, name, until);
	s->retry = clock_mono() + RETRY;
	TRY(fits(next, e));
	enum err_code code = s->path ? save(s, next, e) : ERR_OK;
	s->unsaved = code != ERR_OK;
	set_current(s, TAKE(next));
	return code;
}

enum err_code sessions_end(struct sessions *s, struct slice name, int64_t until, struct err *e)
{
	enum err_code code = ERR_OK;
	pthread_mutex_lock(&s->writing);
	if (s->unsaved || !sessions_ended(s, name))
		code = record(s, name, until, e);
	bool held = sessions_ended(s, name);
	pthread_mutex_unlock(&s->writing);
	if (code == ERR_OK)
		return ERR_OK;
	return err_wrap(e, "ended sessions: %s", held ? "not on the disk yet" : "this one is not ended");
}

/* Under WRITING. */
static enum err_code look(struct sessions *s, struct err *e)
{
	struct file_stamp now;
	if (s->unsaved && clock_mono() >= s->retry)
		return record(s, (struct slice){0}, 0, e);
	enum err_code code = file_stamp(s->path, &now, e);
	if (code == ERR_NOT_FOUND)
		return ERR_OK; /* nobody ended one yet */
	if (code == ERR_OK && !file_stamp_moved(&s->stamp, &now)) {
		*e = s->fault;
		return e->code;
	}
	AUTO(set_free) struct set *next = set_new();
	s->stamp = now;
	if (code == ERR_OK)
		code = read_file(s->path, next, e);
	s->fault = code == ERR_OK ? (struct err){0} : *e;
	if (code != ERR_OK)
		return code;
	set_merge(next, s->set);
	set_current(s, TAKE(next));
	return ERR_OK;
}

enum err_code sessions_tick(struct sessions *s, struct err *e)
{
	struct err why = {0};
	if (!s->path)
		return ERR_OK;
	/* Somebody writes: it will be seen the next time. */
	if (pthread_mutex_trylock(&s->writing) != 0)
		return ERR_OK;
	enum err_code code = look(s, &why);
	pthread_mutex_unlock(&s->writing);
	return code == ERR_OK ? ERR_OK : err_set(e, code, "ended sessions: %s", why.msg);
}
