/* Owns the current snapshot and the counting of who still uses an old one. */
#include "server/snapshot.h"

#include <stdlib.h>

struct shared *shared_new(void *obj, void (*destroy)(void *obj))
{
	if (!obj)
		return NULL;
	struct shared *s = malloc(sizeof(*s));
	if (!s)
		abort();
	atomic_init(&s->refs, 1);
	s->obj = obj;
	s->destroy = destroy;
	return s;
}

struct shared *shared_ref(struct shared *s)
{
	if (s)
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void shared_unref(struct shared **s)
{
	struct shared *p = TAKE(*s);
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	p->destroy(p->obj);
	free(p);
}

static void *obj_of(const struct snapshot_parts *p, enum snapshot_part which)
{
	return p->part[which] ? p->part[which]->obj : NULL;
}

void snapshots_init(struct snapshots *s)
{
	pthread_mutex_init(&s->lock, NULL);
	s->current = NULL;
}

void snapshots_done(struct snapshots *s)
{
	snapshot_release(&s->current);
	pthread_mutex_destroy(&s->lock);
}

void snapshots_hold(struct snapshots *s)
{
	pthread_mutex_lock(&s->lock);
}

void snapshot_publish(struct snapshots *s, const struct snapshot_parts *parts)
{
	snapshots_hold(s);
	snapshot_publish_held(s, parts);
}

void snapshot_publish_held(struct snapshots *s, const struct snapshot_parts *parts)
{
	struct snapshot *n = calloc(1, sizeof(*n));
	if (!n)
		abort();
	atomic_init(&n->refs, 1);
	for (int i = 0; i < PART_COUNT; i++)
		n->parts.part[i] = shared_ref(parts->part[i]);
	for (int i = 0; i < TLS_COUNT; i++)
		n->parts.tls[i] = tls_creds_ref(parts->tls[i]);
	n->config = obj_of(parts, PART_CONFIG);
	n->authn = obj_of(parts, PART_AUTHN);
	n->served = obj_of(parts, PART_POLICY);
	n->policy = n->served ? n->served->policy : NULL;
	n->shadow = obj_of(parts, PART_SHADOW);
	n->audit = obj_of(parts, PART_AUDIT);
	n->spool = obj_of(parts, PART_SPOOL);
	struct snapshot *old = s->current;
	s->current = n;
	pthread_mutex_unlock(&s->lock);
	snapshot_release(&old);
}

/* The count is raised under the lock: between reading the pointer and counting, the old snapshot could
 * otherwise go. */
struct snapshot *snapshot_acquire(struct snapshots *s)
{
	pthread_mutex_lock(&s->lock);
	struct snapshot *p = s->current;
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	pthread_mutex_unlock(&s->lock);
	return p;
}

void snapshot_release(struct snapshot **s)
{
	struct snapshot *p = TAKE(*s);
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	/* The chain borrows from the configuration: it goes first. */
	for (int i = PART_COUNT - 1; i >= 0; i--)
		shared_unref(&p->parts.part[i]);
	for (int i = 0; i < TLS_COUNT; i++)
		tls_creds_unref(&p->parts.tls[i]);
	free(p);
}
