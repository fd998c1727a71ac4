/* Owns what the cluster holds as the watches told it: packed copies, one shelf a kind. */
#include "rbac-sync/store.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/map.h"
#include "rbac-sync/store_entry.h"
#include "rbac-sync/store_select.h"

#define RECORD_TEXT_MAX ((size_t)4 << 20)
#define LEARN_SECONDS 60 /* after that the watch is right: a restored etcd counts its versions anew */

struct shelf {
	pthread_mutex_t lock;
	struct map entries; /* by key */
	uint64_t seen;	    /* the newest version that the watch told of, removals too */
	struct selections selections; /* of namespaces */
	size_t ours;
	uint32_t mark; /* of the list under way; an apiserver in trouble may fail thousands */
	bool synced;
};

struct store {
	store_changed *changed;
	void *ctx;
	struct map gone; /* records that went, by name, when they are to be kept; under the lock of the records' shelf */
	bool keeps;
	struct shelf shelves[KIND_WATCHED];
};

struct store *store_new(store_changed *changed, void *ctx)
{
	struct store *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->changed = changed;
	s->ctx = ctx;
	for (size_t k = 0; k < KIND_WATCHED; k++)
		pthread_mutex_init(&s->shelves[k].lock, NULL);
	return s;
}

void store_free(struct store **s)
{
	if (!*s)
		return;
	for (size_t k = 0; k < KIND_WATCHED; k++) {
		struct shelf *shelf = &(*s)->shelves[k];
		size_t it = 0;
		struct slice key;
		void *entry;
		while (map_next(&shelf->entries, &it, &key, &entry))
			free(entry);
		map_done(&shelf->entries);
		selections_done(&shelf->selections);
		pthread_mutex_destroy(&shelf->lock);
	}
	size_t it = 0;
	struct slice key;
	void *entry;
	while (map_next(&(*s)->gone, &it, &key, &entry))
		free(entry);
	map_done(&(*s)->gone);
	free(*s);
	*s = NULL;
}

#define NOTICE_KEY_MAX 256 /* labels have 63 bytes, names of records 253 */

/* Whom to tell, copied under the lock, told without it. */
struct notice {
	char was[NOTICE_KEY_MAX], is[NOTICE_KEY_MAX]; /* "": nobody */
	bool any;
};

static void note(char out[NOTICE_KEY_MAX], const char *key)
{
	size_t n = key ? strnlen(key, NOTICE_KEY_MAX - 1) : 0;
	memcpy(out, key ? key : "", n);
	out[n] = '\0';
}

/* WAS or IS may be NULL. */
static void notice_of(enum object_kind kind, const struct entry *was, const struct entry *is, struct notice *n)
{
	n->was[0] = n->is[0] = '\0';
	n->any = false;
	if (kind == KIND_USER_RECORD) {
		/* What was learned is told once more when the watch confirms it: others than the writer wait for it. */
		if (!was || !is || !entry_same_version(was, is) || was->learned)
			note(n->is, (is ? is : was)->text);
		return;
	}
	n->any = kind == KIND_NAMESPACE && (!was || !is || !entry_same_labels(was, is));
	if (n->any || !was || !is || !entry_same_object(was, is)) {
		note(n->was, was ? entry_text(was, was->record) : NULL);
		note(n->is, is ? entry_text(is, is->record) : NULL);
		if (strcmp(n->was, n->is) == 0)
			n->was[0] = '\0';
	}
}

static void tell(struct store *s, enum object_kind kind, const struct notice *n)
{
	if (!s->changed)
		return;
	if (n->was[0])
		s->changed(s->ctx, kind, n->was);
	if (n->is[0])
		s->changed(s->ctx, kind, n->is);
	if (n->any)
		s->changed(s->ctx, kind, NULL);
}

/* --- the watches' side --- */

static void count(struct shelf *shelf, const struct entry *was, const struct entry *is)
{
	shelf->ours += (size_t)(is && is->ours) - (size_t)(was && was->ours);
	selections_change(&shelf->selections, was, is);
}

/* The map borrows the key from the entry: WAS, which may be NULL, leaves before it is freed. */
static void shelve(struct shelf *shelf, struct entry *was, struct entry *is)
{
	if (was)
		map_del(&shelf->entries, entry_key(was));
	map_put(&shelf->entries, entry_key(is), is);
	count(shelf, was, is);
}

/* What we learned of our own write is newer than what the watch still tells. */
static bool is_late(uint64_t version, const struct entry *known)
{
	return known && known->learned && version < known->version && clock_mono() < known->learned;
}

static void note_version(struct shelf *shelf, const struct entry *told)
{
	if (told->version > shelf->seen)
		shelf->seen = told->version;
}

/* Puts IS, which is the shelf's from now on, unless what is known is newer. */
static void replace(struct shelf *shelf, enum object_kind kind, struct entry *is, struct notice *n)
{
	pthread_mutex_lock(&shelf->lock);
	struct entry *was = map_get(&shelf->entries, entry_key(is)), *gone = was;
	note_version(shelf, is);
	is->mark = shelf->mark;
	*n = (struct notice){0};
	if (is_late(is->version, was)) {
		was->mark = shelf->mark;
		gone = is;
	} else {
		notice_of(kind, was, is, n);
		shelve(shelf, was, is);
	}
	pthread_mutex_unlock(&shelf->lock);
	free(gone);
}

void store_put(struct store *s, enum object_kind kind, const json_t *object)
{
	struct entry *is = entry_new(kind, object);
	if (!is)
		return;
	struct notice n;
	replace(&s->shelves[kind], kind, is, &n);
	tell(s, kind, &n);
}

void store_learn(struct store *s, enum object_kind kind, const json_t *object)
{
	struct entry *is = entry_new(kind, object);
	if (!is)
		return;
	is->learned = clock_mono() + LEARN_SECONDS * CLOCK_SECOND;
	struct shelf *shelf = &s->shelves[kind];
	pthread_mutex_lock(&shelf->lock);
	struct entry *was = map_get(&shelf->entries, entry_key(is)), *gone = was;
	if (is->version && is->version <= (was ? was->version : shelf->seen)) {
		gone = is; /* the watch was faster, and may have told that it is gone again */
	} else {
		is->mark = shelf->mark;
		shelve(shelf, was, is);
	}
	pthread_mutex_unlock(&shelf->lock);
	free(gone);
}

/* WAS left its shelf, whose lock is held: kept for store_last or, when that is not wanted, given back to be freed. */
static struct entry *retire(struct store *s, enum object_kind kind, struct entry *was)
{
	if (kind != KIND_USER_RECORD || !s->keeps || !was)
		return was;
	struct entry *older = map_del(&s->gone, entry_key(was));
	map_put(&s->gone, entry_key(was), was);
	return older;
}

void store_remove(struct store *s, enum object_kind kind, const json_t *object)
{
	struct entry *is = entry_new(kind, object);
	if (!is)
		return;
	struct shelf *shelf = &s->shelves[kind];
	struct notice n = {0};
	pthread_mutex_lock(&shelf->lock);
	struct entry *was = map_get(&shelf->entries, entry_key(is));
	note_version(shelf, is);
	if (is_late(is->version, was))
		was = NULL; /* it was made anew since */
	if (was) {
		notice_of(kind, was, NULL, &n);
		map_del(&shelf->entries, entry_key(was));
		count(shelf, was, NULL);
	}
	was = retire(s, kind, was);
	pthread_mutex_unlock(&shelf->lock);
	tell(s, kind, &n);
	free(was);
	free(is);
}

void store_list_begin(struct store *s, enum object_kind kind)
{
	struct shelf *shelf = &s->shelves[kind];
	pthread_mutex_lock(&shelf->lock);
	shelf->mark++;
	pthread_mutex_unlock(&shelf->lock);
}

/* Takes what the list did not see off the shelf; the caller's. */
static struct entry **sweep(struct shelf *shelf, size_t *len)
{
	size_t it = 0, n = 0;
	struct slice key;
	void *value;
	struct entry **gone = calloc(shelf->entries.len + 1, sizeof(struct entry *));
	if (!gone)
		abort();
	while (map_next(&shelf->entries, &it, &key, &value)) {
		if (((struct entry *)value)->mark != shelf->mark)
			gone[n++] = value;
	}
	for (size_t i = 0; i < n; i++) {
		map_del(&shelf->entries, entry_key(gone[i]));
		count(shelf, gone[i], NULL);
	}
	*len = n;
	return gone;
}

void store_list_end(struct store *s, enum object_kind kind)
{
	struct shelf *shelf = &s->shelves[kind];
	size_t n;
	pthread_mutex_lock(&shelf->lock);
	struct entry **gone = sweep(shelf, &n);
	shelf->synced = true;
	pthread_mutex_unlock(&shelf->lock);
	for (size_t i = 0; i < n; i++) {
		struct notice notice;
		notice_of(kind, gone[i], NULL, &notice);
		pthread_mutex_lock(&shelf->lock);
		gone[i] = retire(s, kind, gone[i]);
		pthread_mutex_unlock(&shelf->lock);
		tell(s, kind, &notice);
		free(gone[i]);
	}
	free(gone);
}

bool store_synced(const struct store *s, unsigned kinds)
{
	bool all = true;
	for (size_t k = 0; k < KIND_WATCHED && all; k++) {
		if (!(kinds & 1U << k))
			continue;
		pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&s->shelves[k].lock;
		pthread_mutex_lock(lock);
		all = s->shelves[k].synced;
		pthread_mutex_unlock(lock);
	}
	return all;
}

/* --- the reader's side --- */

static bool record_in(const char *copy, size_t len, struct arena *a, struct record *out)
{
	json_t *object;
	struct err e;
	if (!copy || jsonx_object((struct slice){copy, len}, RECORD_TEXT_MAX, &object, &e) != ERR_OK)
		return false;
	enum err_code code = record_read(object, a, out, &e);
	json_decref(object);
	return code == ERR_OK;
}

/* A copy of the record as it was told; NULL when there is none. */
static char *text_of(struct store *s, const struct map *from, const char *key, struct arena *a, size_t *len)
{
	struct shelf *shelf = &s->shelves[KIND_USER_RECORD];
	char *copy = NULL;
	*len = 0;
	pthread_mutex_lock(&shelf->lock);
	const struct entry *e = map_get(from, slice_of(key));
	if (e) {
		*len = e->json_len;
		copy = arena_strndup(a, e->text + e->json, *len);
	}
	pthread_mutex_unlock(&shelf->lock);
	return copy;
}

static bool record_of(struct store *s, const struct map *from, const char *key, struct arena *a, struct record *out)
{
	size_t len;
	const char *copy = text_of(s, from, key, a, &len);
	return record_in(copy, len, a, out);
}

size_t store_claims(struct store *s, const char *key, struct arena *a, struct object_id **out)
{
	size_t len;
	json_t *object = NULL;
	struct err e;
	const char *copy = text_of(s, &s->shelves[KIND_USER_RECORD].entries, key, a, &len);
	if (copy && jsonx_object((struct slice){copy, len}, RECORD_TEXT_MAX, &object, &e) != ERR_OK)
		object = NULL;
	size_t n = record_claims(object, a, out);
	jsonx_unref(&object);
	return n;
}

bool store_record(struct store *s, const char *key, struct arena *a, struct record *out)
{
	return record_of(s, &s->shelves[KIND_USER_RECORD].entries, key, a, out);
}

bool store_knows(struct store *s, const char *key)
{
	struct shelf *shelf = &s->shelves[KIND_USER_RECORD];
	pthread_mutex_lock(&shelf->lock);
	bool yes = map_get(&shelf->entries, slice_of(key)) != NULL;
	pthread_mutex_unlock(&shelf->lock);
	return yes;
}

/* --- records that went --- */

void store_keep_last(struct store *s)
{
	s->keeps = true;
}

bool store_last(struct store *s, const char *key, struct arena *a, struct record *out)
{
	return record_of(s, &s->gone, key, a, out);
}

void store_bury(struct store *s, const char *key)
{
	struct shelf *shelf = &s->shelves[KIND_USER_RECORD];
	pthread_mutex_lock(&shelf->lock);
	free(map_del(&s->gone, slice_of(key)));
	pthread_mutex_unlock(&shelf->lock);
}

/* The keys of M, which the shelf of records guards. */
static size_t names_in(struct store *s, const struct map *m, struct arena *a, const char ***out)
{
	struct shelf *shelf = &s->shelves[KIND_USER_RECORD];
	pthread_mutex_lock(&shelf->lock);
	const char **names = ARENA_ARRAY(a, const char *, m->len + 1);
	size_t it = 0, n = 0;
	struct slice key;
	void *value;
	while (map_next(m, &it, &key, &value))
		names[n++] = arena_strndup(a, key.p, key.len);
	pthread_mutex_unlock(&shelf->lock);
	*out = names;
	return n;
}

size_t store_lasts(struct store *s, struct arena *a, const char ***out)
{
	return names_in(s, &s->gone, a, out);
}

bool store_object(struct store *s, const struct object_id *id, struct arena *a, struct observed *out)
{
	if (id->kind >= KIND_USER_RECORD)
		return false;
	struct shelf *shelf = &s->shelves[id->kind];
	const char *key = id->namespace_ ? arena_printf(a, "%s/%s", id->namespace_, id->name) : id->name;
	pthread_mutex_lock(&shelf->lock);
	const struct entry *e = map_get(&shelf->entries, slice_of(key));
	if (e)
		entry_observe(e, id->kind, a, out);
	pthread_mutex_unlock(&shelf->lock);
	return e;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t store_records(struct store *s, struct arena *a, const char ***out)
{
	size_t n = names_in(s, &s->shelves[KIND_USER_RECORD].entries, a, out);
	qsort(*out, n, sizeof(**out), by_text);
	return n;
}

size_t store_managed_count(struct store *s)
{
	size_t n = 0;
	for (enum object_kind k = 0; k < KIND_COUNT; k++) {
		pthread_mutex_lock(&s->shelves[k].lock);
		n += s->shelves[k].ours;
		pthread_mutex_unlock(&s->shelves[k].lock);
	}
	return n;
}

size_t store_managed_of(struct store *s, enum object_kind kind)
{
	pthread_mutex_lock(&s->shelves[kind].lock);
	size_t n = s->shelves[kind].ours;
	pthread_mutex_unlock(&s->shelves[kind].lock);
	return n;
}

size_t store_count(struct store *s, enum object_kind kind)
{
	pthread_mutex_lock(&s->shelves[kind].lock);
	size_t n = s->shelves[kind].entries.len;
	pthread_mutex_unlock(&s->shelves[kind].lock);
	return n;
}

/* --- namespaces --- */

size_t store_namespaces(struct store *s, const struct selector *sel, struct arena *a, const char ***out)
{
	struct shelf *shelf = &s->shelves[KIND_NAMESPACE];
	pthread_mutex_lock(&shelf->lock);
	size_t n = selections_ask(&shelf->selections, sel, &shelf->entries, a, out);
	pthread_mutex_unlock(&shelf->lock);
	return n;
}
