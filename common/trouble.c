/* Owns the record of an ongoing failure. */
#include "common/trouble.h"

#include "common/clock.h"

void trouble_init(struct trouble *t)
{
	*t = (struct trouble){0};
	pthread_mutex_init(&t->lock, NULL);
}

void trouble_done(struct trouble *t)
{
	pthread_mutex_destroy(&t->lock);
}

void trouble_set(struct trouble *t, const struct err *why)
{
	pthread_mutex_lock(&t->lock);
	if (t->since == 0)
		t->since = clock_now();
	t->why = *why;
	pthread_mutex_unlock(&t->lock);
}

void trouble_end(struct trouble *t)
{
	pthread_mutex_lock(&t->lock);
	t->since = 0;
	pthread_mutex_unlock(&t->lock);
}

bool trouble_get(struct trouble *t, int64_t *since, struct err *why)
{
	pthread_mutex_lock(&t->lock);
	*since = t->since;
	if (t->since)
		*why = t->why;
	pthread_mutex_unlock(&t->lock);
	return *since != 0;
}
