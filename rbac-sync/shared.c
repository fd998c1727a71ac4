/* Owns the index from shared objects to the records that are due them, and the pass that makes it whole. */
#include "rbac-sync/shared.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/map.h"

/* One shared object, and who is due it. */
struct spot {
	char *text, *owner;
	struct map members; /* record's name → struct member */
};

struct member {
	char *name;
	struct spot **places;
	size_t n;
	bool heard;
};

struct shared {
	pthread_mutex_t lock;
	struct map places;  /* object_id_text → struct spot */
	struct map members; /* record's name → struct member */
	size_t left;
	unsigned pass;
	bool begun;
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

struct shared *shared_open(void)
{
	struct shared *s = must(calloc(1, sizeof(*s)));
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

/* --- members and places --- */

static struct member *member_of(struct shared *s, const char *name)
{
	struct member *m = map_get(&s->members, slice_of(name));
	if (m)
		return m;
	m = must(calloc(1, sizeof(*m)));
	m->name = must(strdup(name));
	map_put(&s->members, slice_of(m->name), m);
	return m;
}

static struct spot *spot_of(struct shared *s, const struct object_id *id, const char *owner)
{
	struct arena a;
	arena_init(&a, 0);
	const char *text = object_id_text(&a, id);
	struct spot *p = map_get(&s->places, slice_of(text));
	if (!p && owner) {
		p = must(calloc(1, sizeof(*p)));
		p->text = must(strdup(text));
		p->owner = must(strdup(owner));
		map_put(&s->places, slice_of(p->text), p);
	}
	arena_done(&a);
	return p;
}

static void spot_drop(struct shared *s, struct spot *p)
{
	map_del(&s->places, slice_of(p->text));
	map_done(&p->members);
	free(p->text);
	free(p->owner);
	free(p);
}

/* M leaves all its places; those without members go. */
static void leave(struct shared *s, struct member *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct spot *p = m->places[i];
		map_del(&p->members, slice_of(m->name));
		if (!p->members.len)
			spot_drop(s, p);
	}
	free(TAKE(m->places));
	m->n = 0;
}

static void clear(struct shared *s)
{
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&s->members, &it, &key, &v)) {
		struct member *m = v;
		leave(s, m);
		free(m->name);
		free(m);
	}
	map_done(&s->members);
	map_done(&s->places);
	s->members = s->places = (struct map){0};
	s->left = 0;
}

void shared_close(struct shared **sp)
{
	struct shared *s = TAKE(*sp);
	if (!s)
		return;
	clear(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* --- the pass --- */

void shared_begin(struct shared *s, const char *const *names, size_t n)
{
	pthread_mutex_lock(&s->lock);
	clear(s);
	for (size_t i = 0; i < n; i++)
		member_of(s, names[i]);
	s->left = s->members.len;
	s->pass++;
	s->begun = true;
	pthread_mutex_unlock(&s->lock);
}

void shared_stop(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	clear(s);
	s->pass++;
	s->begun = false;
	pthread_mutex_unlock(&s->lock);
}

unsigned shared_pass(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	unsigned pass = s->pass;
	pthread_mutex_unlock(&s->lock);
	return pass;
}

/* M was heard of; true when it was the last. One that came after the pass began was not counted. */
static bool hear(struct shared *s, struct member *m, bool counted)
{
	if (m->heard)
		return false;
	m->heard = true;
	return counted && --s->left == 0;
}

bool shared_due(struct shared *s, unsigned pass, const char *record, const struct object_id *ids,
    const char *const *owners, size_t n)
{
	bool full = false;
	pthread_mutex_lock(&s->lock);
	if (s->begun && pass == s->pass) {
		bool counted = map_get(&s->members, slice_of(record)) != NULL;
		struct member *m = member_of(s, record);
		leave(s, m);
		if (n)
			m->places = must(calloc(n, sizeof(*m->places)));
		for (size_t i = 0; i < n; i++) {
			struct spot *p = spot_of(s, &ids[i], owners[i]);
			if (!map_put(&p->members, slice_of(m->name), m))
				m->places[m->n++] = p;
		}
		full = hear(s, m, counted);
	}
	pthread_mutex_unlock(&s->lock);
	return full;
}

bool shared_forget(struct shared *s, unsigned pass, const char *record)
{
	bool full = false;
	pthread_mutex_lock(&s->lock);
	struct member *m = s->begun && pass == s->pass ? map_get(&s->members, slice_of(record)) : NULL;
	if (m) {
		full = hear(s, m, true);
		leave(s, m);
		map_del(&s->members, slice_of(m->name));
		free(m->name);
		free(m);
	}
	pthread_mutex_unlock(&s->lock);
	return full;
}

bool shared_full(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	bool full = s->begun && !s->left;
	pthread_mutex_unlock(&s->lock);
	return full;
}

size_t shared_left(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	size_t left = s->left;
	pthread_mutex_unlock(&s->lock);
	return left;
}

/* --- questions --- */

enum elsewhere shared_elsewhere(
    struct shared *s, unsigned pass, const struct object_id *id, const char *record)
{
	enum elsewhere word = ELSEWHERE_UNKNOWN;
	pthread_mutex_lock(&s->lock);
	if (s->begun && pass == s->pass && !s->left) {
		const struct spot *p = spot_of(s, id, NULL);
		bool self = p && map_get(&p->members, slice_of(record));
		word = p && p->members.len > (self ? 1u : 0u) ? ELSEWHERE_DUE : ELSEWHERE_NOT;
	}
	pthread_mutex_unlock(&s->lock);
	return word;
}

size_t shared_members(struct shared *s, const char *owner, struct arena *a, const char ***out)
{
	struct map seen = {0};
	size_t it = 0, n = 0, inner;
	struct slice key, name;
	void *v, *m;
	pthread_mutex_lock(&s->lock);
	while (map_next(&s->places, &it, &key, &v)) {
		const struct spot *p = v;
		inner = 0;
		while (text_eq(p->owner, owner) && map_next(&p->members, &inner, &name, &m))
			map_put(&seen, name, m);
	}
	*out = ARENA_ARRAY(a, const char *, seen.len + 1);
	it = 0;
	while (map_next(&seen, &it, &name, &m))
		(*out)[n++] = arena_strndup(a, name.p, name.len);
	map_done(&seen);
	pthread_mutex_unlock(&s->lock);
	return n;
}
