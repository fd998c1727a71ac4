/* Owns the inotify watch over the directories that a set of paths runs through.
 *
 * A path is walked component by component, symbolic links included, and each directory on the way is
 * watched for the one name that leads on: that finds an editor's rename, the swap of a ConfigMap's
 * ..data, a link that moves, a directory replaced as a whole, a path that appears later. A directory is
 * watched before it is looked at, so that what changes after the look leaves an event. */
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40	  /* as the kernel's own limit */
#define ENTRIES_MAX 16384 /* watched names; past it the caller's own poll has to do */

/* What moves names, and what changes a directory itself. */
#define NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define SELF (IN_DELETE_SELF | IN_MOVE_SELF)
#define CONTENT (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB)
#define GONE (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF)

struct entry {
	int wd;
	const char *name; /* NULL: any name that is no editor's leaving */
};

struct table {
	struct arena arena;
	struct entry *entries;
	size_t len, cap;
};

struct file_watch {
	int fd;
	char **paths;
	size_t npaths;
	struct table table;
};

static bool in_table(const struct table *t, int wd)
{
	for (size_t i = 0; i < t->len; i++)
		if (t->entries[i].wd == wd)
			return true;
	return false;
}

/* Watches DIR for NAME. A failure (no permission to read it, watches used up) is passed over: the other
 * directories and the caller's own periodic comparison remain. */
static void add(struct file_watch *w, const char *dir, const char *name, uint32_t mask)
{
	struct table *t = &w->table;
	if (t->len == ENTRIES_MAX)
		return;
	int wd = inotify_add_watch(w->fd, dir, mask | IN_ONLYDIR | IN_MASK_ADD);
	if (wd < 0)
		return;
	if (t->len == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 32;
		t->entries = reallocarray(t->entries, t->cap, sizeof(*t->entries));
		if (!t->entries)
			abort();
	}
	t->entries[t->len++] = (struct entry){wd, name ? arena_strdup(&t->arena, name) : NULL};
}

/* Where a walk stands: REAL is free of links, REST is what is still to be walked. */
struct walk {
	char real[PATH_MAX], rest[2 * PATH_MAX];
	int links;
};

/* Takes the next component off REST; false at the end. */
static bool next_name(struct walk *k, char name[NAME_MAX + 1])
{
	size_t from = strspn(k->rest, "/"), n = strcspn(k->rest + from, "/");
	if (n == 0 || n > NAME_MAX)
		return false;
	memcpy(name, k->rest + from, n);
	name[n] = '\0';
	from += n;
	from += strspn(k->rest + from, "/");
	memmove(k->rest, k->rest + from, strlen(k->rest + from) + 1);
	return true;
}

static void up(struct walk *k)
{
	char *slash = strrchr(k->real, '/');
	slash[slash == k->real ? 1 : 0] = '\0';
}

static bool down(struct walk *k, const char *name)
{
	size_t at = strlen(k->real), n = strlen(name);
	if (at == 1)
		at = 0;
	if (at + 1 + n >= sizeof(k->real))
		return false;
	k->real[at] = '/';
	memcpy(k->real + at + 1, name, n + 1);
	return true;
}

/* REAL ends in a symbolic link: puts its target before REST. */
static bool follow(struct walk *k)
{
	char target[PATH_MAX];
	ssize_t n = readlink(k->real, target, sizeof(target) - 1);
	size_t rest = strlen(k->rest);
	if (n <= 0 || ++k->links > LINKS_MAX || (size_t)n + 1 + rest >= sizeof(k->rest))
		return false;
	memmove(k->rest + n + 1, k->rest, rest + 1);
	memcpy(k->rest, target, (size_t)n);
	k->rest[n] = '/';
	if (target[0] == '/')
		memcpy(k->real, "/", 2);
	else
		up(k);
	return true;
}

/* Watches all that K runs through. True when it ends at a directory, whose path is then K->real. */
static bool walk_path(struct file_watch *w, struct walk *k)
{
	char name[NAME_MAX + 1];
	while (next_name(k, name)) {
		struct stat st;
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			up(k);
			continue;
		}
		add(w, k->real, name, NAMES | SELF | (k->rest[0] ? 0 : CONTENT));
		if (!down(k, name) || lstat(k->real, &st) != 0)
			return false;
		if (S_ISLNK(st.st_mode) ? !follow(k) : !S_ISDIR(st.st_mode))
			return false;
	}
	return true;
}

static bool walk_start(struct walk *k, const char *path)
{
	size_t at = 0, n = strlen(path);
	k->links = 0;
	memcpy(k->real, "/", 2);
	if (n == 0 || n >= PATH_MAX)
		return false;
	if (path[0] != '/') {
		if (!getcwd(k->rest, PATH_MAX))
			return false;
		at = strlen(k->rest);
		k->rest[at++] = '/';
	}
	memcpy(k->rest + at, path, n + 1);
	return true;
}

/* Links in a watched directory lead to files elsewhere, whose changes are changes of the directory. */
static void watch_links(struct file_watch *w, const char *dir)
{
	DIR *d = opendir(dir);
	if (!d)
		return;
	struct walk k;
	size_t n = strlen(dir) + 1;
	const struct dirent *entry;
	while ((entry = readdir(d)) != NULL) {
		if (file_leaving(entry->d_name) ||
		    (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN))
			continue;
		if (!walk_start(&k, entry->d_name))
			continue;
		memcpy(k.real, dir, n); /* which is walked already */
		memcpy(k.rest, entry->d_name, strlen(entry->d_name) + 1);
		walk_path(w, &k);
	}
	closedir(d);
}

static void watch_path(struct file_watch *w, const char *path)
{
	struct walk k;
	if (!walk_start(&k, path) || !walk_path(w, &k))
		return;
	add(w, k.real, NULL, NAMES | SELF | CONTENT);
	watch_links(w, k.real);
}

static void table_done(struct table *t)
{
	arena_done(&t->arena);
	free(t->entries);
	*t = (struct table){0};
}

/* Walks all paths anew; watches that no path needs any more are given up. */
static void rebuild(struct file_watch *w)
{
	struct table old = w->table;
	w->table = (struct table){0};
	arena_init(&w->table.arena, 0);
	for (size_t i = 0; i < w->npaths; i++)
		watch_path(w, w->paths[i]);
	for (size_t i = 0; i < old.len; i++)
		if (!in_table(&w->table, old.entries[i].wd))
			inotify_rm_watch(w->fd, old.entries[i].wd); /* EINVAL when given up twice */
	table_done(&old);
}

enum err_code file_watch_new(struct file_watch **out, struct err *e)
{
	*out = NULL;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "inotify: %s", strerror(errno));
	struct file_watch *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->fd = fd;
	*out = w;
	return ERR_OK;
}

static void free_paths(struct file_watch *w)
{
	for (size_t i = 0; i < w->npaths; i++)
		free(w->paths[i]);
	free(w->paths);
	w->paths = NULL;
	w->npaths = 0;
}

void file_watch_free(struct file_watch **watch)
{
	if (!watch || !*watch)
		return;
	struct file_watch *w = TAKE(*watch);
	close(w->fd);
	free_paths(w);
	table_done(&w->table);
	free(w);
}

void file_watch_set(struct file_watch *w, const char *const *paths, size_t n)
{
	free_paths(w);
	w->paths = calloc(n ? n : 1, sizeof(*w->paths));
	if (!w->paths)
		abort();
	for (; w->npaths < n; w->npaths++)
		if (!(w->paths[w->npaths] = strdup(paths[w->npaths])))
			abort();
	rebuild(w);
}

int file_watch_fd(const struct file_watch *w)
{
	return w->fd;
}

static bool concerns(const struct table *t, const struct inotify_event *ev)
{
	const char *name = ev->len ? ev->name : "";
	if (ev->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < t->len; i++) {
		const struct entry *x = &t->entries[i];
		if (x->wd != ev->wd)
			continue;
		if ((ev->mask & GONE) || (x->name && strcmp(x->name, name) == 0))
			return true;
		/* ..data is a dotfile, and the one name whose swap changes all the others. */
		if (!x->name && (!file_leaving(name) || strcmp(name, "..data") == 0))
			return true;
	}
	return false;
}

bool file_watch_drain(struct file_watch *w)
{
	char events[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool hit = false, moved = false;
	for (;;) {
		ssize_t n = read(w->fd, events, sizeof(events));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		const struct inotify_event *ev;
		for (char *p = events; p < events + n; p += sizeof(*ev) + ev->len) {
			ev = (const struct inotify_event *)(void *)p;
			if (!concerns(&w->table, ev))
				continue;
			hit = true;
			moved |= (ev->mask & ~(uint32_t)CONTENT) != 0;
		}
	}
	if (moved)
		rebuild(w);
	return hit;
}
