/* Owns the thread that polls directories, and what their rosters say together. */
#include "rbac-sync/directory.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/ldapx.h"
#include "common/log.h"
#include "common/metrics.h"

/* What one answer may take: DIRECTORY_USERS_MAX names of usual length, and their entries. */
#define ANSWER_BYTES_MAX ((size_t)256 << 20)
#define RETRY_MAX (300 * CLOCK_SECOND) /* after a failure, however long the interval */

struct source {
	const struct directory_config *config;
	struct roster *roster;
	int64_t due; /* clock_mono */
	struct metric *good, *failed, *doubted, *users, *last_good;
};

struct directories {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	struct directory_link link;
	bool stop, leading;
	uint64_t epoch; /* of leadership */
	struct source *sources;
	size_t n;
	void (*polled)(void *ctx);
	void *ctx;
};

/* --- one source --- */

static struct metric *polls(const struct directory_config *c, const char *result)
{
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 1024);
	metrics_label(&labels, "directory", slice_of(c->name));
	metrics_label(&labels, "result", slice_of(result));
	return metrics_counter("portcullis_sync_directory_polls_total", "Polls of a directory.", buf_cstr(&labels));
}

static void source_init(struct source *s, const struct directory_config *c)
{
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 1024);
	metrics_label(&labels, "directory", slice_of(c->name));
	s->config = c;
	s->roster = roster_new(c, 0);
	s->good = polls(c, "good");
	s->failed = polls(c, "failed");
	s->doubted = polls(c, "doubted");
	s->users = metrics_gauge(
	    "portcullis_sync_directory_users", "Users of the last good poll.", buf_cstr(&labels));
	s->last_good = metrics_gauge("portcullis_sync_directory_last_good_timestamp_seconds",
	    "When the last good poll began.", buf_cstr(&labels));
}

static bool vouches(const struct directory_config *c, struct slice provider)
{
	if (c->providers.len == 0)
		return slice_starts(provider, SLICE("ldap:")) && slice_is(slice_skip(provider, 5), c->name);
	for (size_t i = 0; i < c->providers.len; i++) {
		if (slice_is(provider, c->providers.items[i]))
			return true;
	}
	return false;
}

static void complain(const struct source *s, const char *what, const struct err *e)
{
	log_warn(what, LOG_STR("directory", s->config->name), LOG_STR("reason", e->msg));
}

/* What a poll of the leadership EPOCH brought; with the lock. */
static void take_poll(struct source *s, enum err_code code, const struct slice *names, size_t n,
    struct directory_time when, struct err *e)
{
	const struct directory_config *c = s->config;
	bool good = code == ERR_OK && roster_good(s->roster, names, n, when, e);
	if (good) {
		metric_inc(s->good);
		metric_set(s->users, (double)roster_count(s->roster));
		metric_set(s->last_good, (double)when.unix_);
	} else if (code == ERR_OK) {
		metric_inc(s->doubted);
		complain(s, "a directory's answer is not believed: nobody counts as gone", e);
	} else {
		roster_failed(s->roster);
		metric_inc(s->failed);
		complain(s, "a directory does not answer as it should: nobody counts as gone", e);
	}
	int64_t pause = good || c->interval < RETRY_MAX ? c->interval : RETRY_MAX;
	s->due = when.mono + pause;
}

/* Polls S without the lock, which is held on entry and exit. */
static void poll_source(struct directories *d, struct source *s)
{
	struct directory_time when = {clock_mono(), clock_unix()};
	uint64_t epoch = d->epoch;
	pthread_mutex_unlock(&d->lock);
	AUTO(arena_done) struct arena a;
	arena_init(&a, ANSWER_BYTES_MAX);
	struct slice *names = NULL;
	size_t n = 0;
	struct err e = {0};
	enum err_code code = directory_poll(s->config, &d->link, &a, &names, &n, &e);
	pthread_mutex_lock(&d->lock);
	if (d->stop || !d->leading || d->epoch != epoch)
		return; /* it speaks of a time that is over */
	take_poll(s, code, names, n, when, &e);
	pthread_mutex_unlock(&d->lock);
	if (d->polled)
		d->polled(d->ctx);
	pthread_mutex_lock(&d->lock);
}

/* --- the thread --- */

static struct source *next_source(struct directories *d)
{
	struct source *next = NULL;
	for (size_t i = 0; i < d->n && d->leading; i++) {
		if (!next || d->sources[i].due < next->due)
			next = &d->sources[i];
	}
	return next;
}

static void *run(void *arg)
{
	struct directories *d = arg;
	pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		struct source *s = next_source(d);
		if (!s) {
			pthread_cond_wait(&d->wake, &d->lock);
		} else if (clock_mono() < s->due) {
			struct timespec until = clock_until(s->due);
			pthread_cond_timedwait(&d->wake, &d->lock, &until);
		} else {
			poll_source(d, s);
		}
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

struct directories *directories_start(const struct object_list *configs, void (*polled)(void *ctx), void *ctx)
{
	ldapx_init();
	struct directories *d = calloc(1, sizeof(*d));
	if (!d || !(d->sources = calloc(configs->len + 1, sizeof(*d->sources))))
		abort();
	const struct directory_config *c = configs->items;
	d->n = configs->len;
	for (size_t i = 0; i < d->n; i++)
		source_init(&d->sources[i], &c[i]);
	d->polled = polled;
	d->ctx = ctx;
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->link.lock, NULL);
	cancel_init(&d->link.stop);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&d->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&d->thread, NULL, run, d) != 0)
		abort();
	return d;
}

void directories_stop(struct directories **dp)
{
	if (!dp || !*dp)
		return;
	struct directories *d = TAKE(*dp);
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_broadcast(&d->wake);
	pthread_mutex_unlock(&d->lock);
	pthread_mutex_lock(&d->link.lock);
	cancel_ask(&d->link.stop);
	if (d->link.open)
		ldapx_interrupt(d->link.open);
	pthread_mutex_unlock(&d->link.lock);
	pthread_join(d->thread, NULL);
	for (size_t i = 0; i < d->n; i++)
		roster_free(&d->sources[i].roster);
	pthread_cond_destroy(&d->wake);
	cancel_done(&d->link.stop);
	pthread_mutex_destroy(&d->link.lock);
	pthread_mutex_destroy(&d->lock);
	free(d->sources);
	free(d);
}

/* --- what is asked --- */

static void begin_anew(struct source *s, size_t count)
{
	roster_free(&s->roster);
	s->roster = roster_new(s->config, count);
	s->due = 0;
}

void directories_lead(struct directories *d, bool leading)
{
	pthread_mutex_lock(&d->lock);
	if (leading && !d->leading) {
		d->epoch++;
		for (size_t i = 0; i < d->n; i++)
			begin_anew(&d->sources[i], roster_count(d->sources[i].roster));
	}
	d->leading = leading;
	pthread_cond_broadcast(&d->wake);
	pthread_mutex_unlock(&d->lock);
}

static struct source *find(struct directories *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->sources[i].config->name, name) == 0)
			return &d->sources[i];
	}
	return NULL;
}

size_t directories_count(struct directories *d, const char *name)
{
	pthread_mutex_lock(&d->lock);
	const struct source *s = find(d, name);
	size_t count = s ? roster_count(s->roster) : 0;
	pthread_mutex_unlock(&d->lock);
	return count;
}

void directories_remember(struct directories *d, const char *name, size_t count)
{
	pthread_mutex_lock(&d->lock);
	struct source *s = find(d, name);
	if (s && !d->leading)
		begin_anew(s, count);
	pthread_mutex_unlock(&d->lock);
}

enum directory_word directories_say(
    struct directories *d, struct slice provider, struct slice username, int64_t *missing_since)
{
	enum directory_word all = DIRECTORY_UNKNOWN;
	bool first = true;
	*missing_since = 0;
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < d->n && d->leading; i++) {
		struct source *s = &d->sources[i];
		if (!vouches(s->config, provider))
			continue;
		int64_t since;
		enum directory_word word = roster_says(s->roster, username, &since);
		if (first || word == DIRECTORY_PRESENT || (all != DIRECTORY_PRESENT && word < all))
			all = word; /* the surest presence, else the least sure absence */
		if (since > *missing_since)
			*missing_since = since;
		first = false;
	}
	pthread_mutex_unlock(&d->lock);
	if (all != DIRECTORY_MISSING && all != DIRECTORY_GONE)
		*missing_since = 0;
	return all;
}
