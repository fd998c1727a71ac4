/* Owns what is known of the cluster's roles: which to read, when, and what changed. */
#include "rbac-sync/roles.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "rbac-sync/role_deep.h"

#define WHY_MAX 512

enum { IN_NAMESPACE, WIDE, BINDINGS };

struct entry {
	char *namespace_; /* NULL: a ClusterRole */
	char *name;
	enum role_verdict verdict[BINDINGS];
	char why[BINDINGS][WHY_MAX];
	int64_t good_at; /* clock_mono of the last reading that told something; 0: never read */
	int64_t due_at;	 /* of the next reading */
	int64_t asked_at;
};

struct roles {
	pthread_mutex_t lock;	 /* of all below */
	pthread_mutex_t reading; /* held while the cluster is asked; before LOCK */
	struct entry **entries;	 /* sorted by namespace and name */
	size_t len, cap;
	size_t unread; /* entries that were never read */
	uint64_t version;
	int64_t max_age;
	int fd;
};

struct roles *roles_new(int64_t max_age)
{
	struct roles *r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->reading, NULL);
	r->max_age = max_age;
	r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r;
}

static void entry_free(struct entry *e)
{
	free(e->namespace_);
	free(e->name);
	free(e);
}

void roles_free(struct roles **rp)
{
	struct roles *r = TAKE(*rp);
	if (!r)
		return;
	for (size_t i = 0; i < r->len; i++)
		entry_free(r->entries[i]);
	free(r->entries);
	if (r->fd >= 0)
		close(r->fd);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->reading);
	free(r);
}

int roles_fd(const struct roles *r)
{
	return r->fd;
}

uint64_t roles_version(struct roles *r)
{
	pthread_mutex_lock(&r->lock);
	uint64_t version = r->version;
	pthread_mutex_unlock(&r->lock);
	return version;
}

void roles_expire(struct roles *r)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->len; i++)
		r->entries[i]->due_at = 0;
	pthread_mutex_unlock(&r->lock);
}

/* --- entries; under the lock --- */

static int place_cmp(const struct entry *e, const char *namespace_, const char *name)
{
	int c = strcmp(e->namespace_ ? e->namespace_ : "", namespace_ ? namespace_ : "");
	return c ? c : strcmp(e->name, name);
}

/* Where it stands or would stand. */
static size_t place(const struct roles *r, const char *namespace_, const char *name)
{
	size_t low = 0, high = r->len;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (place_cmp(r->entries[mid], namespace_, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static char *copy(const char *s)
{
	char *p = s ? strdup(s) : NULL;
	if (s && !p)
		abort();
	return p;
}

static struct entry *insert(struct roles *r, size_t at, const char *namespace_, const char *name)
{
	if (r->len == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 32;
		r->entries = reallocarray(r->entries, r->cap, sizeof(*r->entries));
		if (!r->entries)
			abort();
	}
	struct entry *e = calloc(1, sizeof(*e));
	if (!e)
		abort();
	e->namespace_ = copy(namespace_);
	e->name = copy(name);
	for (int b = 0; b < BINDINGS; b++)
		snprintf(e->why[b], WHY_MAX, "the role has not been read yet");
	memmove(r->entries + at + 1, r->entries + at, (r->len - at) * sizeof(*r->entries));
	r->entries[at] = e;
	r->len++;
	r->unread++;
	return e;
}

/* NULL: there are too many. */
static struct entry *ask(struct roles *r, const char *namespace_, const char *name, int64_t now)
{
	size_t at = place(r, namespace_, name);
	struct entry *e = NULL;
	if (at < r->len && place_cmp(r->entries[at], namespace_, name) == 0)
		e = r->entries[at];
	else if (r->len < ROLES_MAX)
		e = insert(r, at, namespace_, name);
	if (e)
		e->asked_at = now;
	return e;
}

static void forget_unasked(struct roles *r, int64_t now)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->len; i++) {
		struct entry *e = r->entries[i];
		if (now - e->asked_at <= ROLES_UNASKED) {
			r->entries[kept++] = e;
			continue;
		}
		r->unread -= e->good_at == 0;
		entry_free(e);
	}
	r->len = kept;
}

enum role_verdict roles_look(struct roles *r, const char *namespace_, const char *kind, const char *name,
    bool cluster_wide, struct arena *a, const char **why)
{
	int binding = cluster_wide ? WIDE : IN_NAMESPACE;
	enum role_verdict verdict = ROLE_UNKNOWN;
	pthread_mutex_lock(&r->lock);
	size_t unread = r->unread;
	struct entry *e = ask(r, strcmp(kind, "Role") == 0 ? namespace_ : NULL, name, clock_mono());
	*why = "too many roles are bound to read them all";
	if (e) {
		verdict = e->verdict[binding];
		*why = e->why[binding][0] ? arena_strdup(a, e->why[binding]) : NULL;
	}
	bool wake = r->unread > unread;
	pthread_mutex_unlock(&r->lock);
	uint64_t one = 1;
	if (wake && write(r->fd, &one, sizeof(one)) < 0)
		return verdict; /* full: it is readable already */
	return verdict;
}

/* --- reading --- */

struct reading {
	struct roles *roles;
	const struct roles_reader *from;
	struct role_lists *lists;
	int64_t now;
	bool changed;
};

/* What a reading told. */
struct told {
	enum role_verdict verdict[BINDINGS];
	char why[BINDINGS][WHY_MAX];
	bool later; /* the server's trouble: says nothing */
};

static void say(struct told *t, enum role_verdict verdict, const char *what, const char *text)
{
	for (int b = 0; b < BINDINGS; b++) {
		t->verdict[b] = verdict;
		snprintf(t->why[b], WHY_MAX, "%s%.480s", what, text);
	}
}

static void judge(struct reading *rd, const json_t *role, struct told *out)
{
	for (int b = 0; b < BINDINGS; b++) {
		struct arena a;
		const char *why = NULL;
		bool later = false;
		arena_init(&a, 0);
		out->verdict[b] = role_judge_deep(rd->lists, role, b == WIDE, &a, &why, &later);
		snprintf(out->why[b], WHY_MAX, "%s", why ? why : "");
		out->later |= later && out->verdict[b] == ROLE_UNKNOWN;
		arena_done(&a);
	}
}

static void ask_cluster(struct reading *rd, const char *namespace_, const char *name, struct told *out)
{
	json_t *role = NULL;
	struct err why = {0};
	*out = (struct told){0};
	enum kube_verdict v = rd->from->get(rd->from->ctx, namespace_, name, &role, &why);
	if (v == KUBE_OK)
		judge(rd, role, out);
	else if (v == KUBE_ABSENT)
		say(out, ROLE_ABSENT, "the role does not exist", "");
	else
		say(out, ROLE_UNKNOWN, "the role cannot be read: ", why.msg);
	out->later |= v != KUBE_OK && v != KUBE_ABSENT && v != KUBE_REFUSED;
	jsonx_unref(&role);
}

/* Under the lock; the entry may have been forgotten meanwhile. */
static void settle(struct reading *rd, const char *namespace_, const char *name, const struct told *t)
{
	struct roles *r = rd->roles;
	size_t at = place(r, namespace_, name);
	if (at == r->len || place_cmp(r->entries[at], namespace_, name) != 0)
		return;
	struct entry *e = r->entries[at];
	e->due_at = rd->now + r->max_age + (int64_t)(r->len - 1) * ROLES_PACE;
	/* Trouble is tried again at once by whoever asks: the gate of the client paces that. */
	if (t->later)
		e->due_at = rd->now;
	if (t->later && e->good_at && rd->now - e->good_at < ROLES_STALE * r->max_age)
		return;
	bool changed = false;
	for (int b = 0; b < BINDINGS; b++) {
		changed |= e->verdict[b] != t->verdict[b];
		e->verdict[b] = t->verdict[b];
		memcpy(e->why[b], t->why[b], WHY_MAX);
	}
	if (!t->later) {
		r->unread -= e->good_at == 0;
		e->good_at = rd->now;
	}
	r->version += changed;
	rd->changed |= changed;
}

struct name {
	const char *namespace_, *name;
};

/* Under the lock: what is to be read, in A. */
static size_t due(struct roles *r, int64_t now, bool all, struct arena *a, struct name **out)
{
	size_t n = 0;
	*out = ARENA_ARRAY(a, struct name, r->len + 1);
	for (size_t i = 0; i < r->len; i++) {
		const struct entry *e = r->entries[i];
		if (e->good_at == 0 || (all && now >= e->due_at))
			(*out)[n++] = (struct name){
			    arena_strdup(a, e->namespace_), arena_strdup(a, e->name)};
	}
	return n;
}

/* Under the lock. Roles of namespaces are named by users' records: they come by roles_look. */
static void ask_templates(struct roles *r, const struct sync_config *c, int64_t now)
{
	const struct template *t = c->templates.items;
	for (size_t i = 0; i < c->templates.len; i++) {
		const struct template_grant *g = t[i].grants.items;
		for (size_t k = 0; k < t[i].grants.len; k++) {
			if (g[k].cluster_role)
				ask(r, NULL, g[k].cluster_role, now);
		}
	}
}

bool roles_read(struct roles *r, const struct roles_reader *from, const struct sync_config *c, int64_t now)
{
	struct reading rd = {.roles = r, .from = from, .now = now};
	struct arena a;
	struct name *names;
	uint64_t count;
	arena_init(&a, 0);
	pthread_mutex_lock(&r->reading);
	while (read(r->fd, &count, sizeof(count)) == sizeof(count))
		;
	pthread_mutex_lock(&r->lock);
	if (c) {
		ask_templates(r, c, now);
		forget_unasked(r, now);
	}
	size_t n = due(r, now, c != NULL, &a, &names);
	pthread_mutex_unlock(&r->lock);
	rd.lists = role_lists_new(from);
	for (size_t i = 0; i < n; i++) {
		struct told t;
		ask_cluster(&rd, names[i].namespace_, names[i].name, &t);
		pthread_mutex_lock(&r->lock);
		settle(&rd, names[i].namespace_, names[i].name, &t);
		pthread_mutex_unlock(&r->lock);
	}
	role_lists_free(&rd.lists);
	pthread_mutex_unlock(&r->reading);
	arena_done(&a);
	return rd.changed;
}
