/* Owns the count of records by phase. */
#include "rbac-sync/phases.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/metrics.h"

#define PHASES (PHASE_DELETED + 1)

struct seat {
	enum record_phase phase;
	char name[];
};

struct phases {
	pthread_mutex_t lock;
	struct map seats; /* record's name → struct seat */
	struct metric *gauges[PHASES];
};

struct phases *phases_new(void)
{
	struct phases *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	pthread_mutex_init(&p->lock, NULL);
	for (int i = 0; i < PHASES; i++) {
		struct buf labels;
		buf_init(&labels, 64);
		metrics_label(&labels, "phase", slice_of(record_phase_name((enum record_phase)i)));
		p->gauges[i] = metrics_gauge("portcullis_sync_records", "Records, by phase.", buf_cstr(&labels));
		buf_done(&labels);
	}
	return p;
}

void phases_clear(struct phases *p)
{
	size_t it = 0;
	struct slice key;
	void *v;
	pthread_mutex_lock(&p->lock);
	while (map_next(&p->seats, &it, &key, &v))
		free(v);
	map_done(&p->seats);
	p->seats = (struct map){0};
	for (int i = 0; i < PHASES; i++)
		metric_set(p->gauges[i], 0);
	pthread_mutex_unlock(&p->lock);
}

void phases_free(struct phases **pp)
{
	struct phases *p = TAKE(*pp);
	if (!p)
		return;
	phases_clear(p);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void phases_set(struct phases *p, const char *record, enum record_phase phase)
{
	pthread_mutex_lock(&p->lock);
	struct seat *s = map_get(&p->seats, slice_of(record));
	if (s) {
		metric_sub(p->gauges[s->phase], 1);
	} else {
		s = calloc(1, sizeof(*s) + strlen(record) + 1);
		if (!s)
			abort();
		memcpy(s->name, record, strlen(record) + 1);
		map_put(&p->seats, slice_of(s->name), s);
	}
	s->phase = phase;
	metric_inc(p->gauges[phase]);
	pthread_mutex_unlock(&p->lock);
}

void phases_forget(struct phases *p, const char *record)
{
	pthread_mutex_lock(&p->lock);
	struct seat *s = map_del(&p->seats, slice_of(record));
	if (s)
		metric_sub(p->gauges[s->phase], 1);
	free(s);
	pthread_mutex_unlock(&p->lock);
}
