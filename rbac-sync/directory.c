/* Owns the thread that polls directories, and what their rosters say together. */
#include "rbac-sync/directory.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/ldapx.h"
#include "common/log.h"
#include "common/metrics.h"
#include "rbac-sync/directory_groups.h"

/* What one answer may take: DIRECTORY_USERS_MAX names of usual length, their entries, and who is in which group. */
#define ANSWER_BYTES_MAX ((size_t)256 << 20)
#define RETRY_MAX (300 * CLOCK_SECOND) /* after a failure, however long the interval */

struct source {
	const struct directory_config *config;
	struct roster *roster;
	struct claims *claims; /* NULL: groups are not asked for */
	int64_t due; /* clock_mono */
	struct metric *good, *failed, *doubted, *users, *last_good;
	struct metric *groups_doubted, *groups, *members, *missing, *groups_good; /* with CLAIMS alone */
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

static void begin_anew(struct source *s, const struct directory_counts *counts)
{
	roster_free(&s->roster);
	claims_free(&s->claims);
	s->roster = roster_new(s->config, counts->users);
	s->claims = s->config->groups.present ? claims_new(s->config, counts) : NULL;
	s->due = 0;
}

static void source_done(struct source *s)
{
	roster_free(&s->roster);
	claims_free(&s->claims);
}

static struct directory_counts counts_of(const struct source *s)
{
	struct directory_counts counts = {0};
	if (s->claims)
		counts = claims_counts(s->claims);
	counts.users = roster_count(s->roster);
	return counts;
}

static void source_init(struct source *s, const struct directory_config *c)
{
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 1024);
	metrics_label(&labels, "directory", slice_of(c->name));
	s->config = c;
	begin_anew(s, &(struct directory_counts){0});
	s->good = polls(c, "good");
	s->failed = polls(c, "failed");
	s->doubted = polls(c, "doubted");
	s->users = metrics_gauge(
	    "portcullis_sync_directory_users", "Users of the last good poll.", buf_cstr(&labels));
	s->last_good = metrics_gauge("portcullis_sync_directory_last_good_timestamp_seconds",
	    "When the last good poll began.", buf_cstr(&labels));
	if (!s->claims)
		return;
	s->groups_doubted = polls(c, "groups_doubted");
	s->groups = metrics_gauge(
	    "portcullis_sync_directory_groups", "Groups of the last poll that was believed about groups.", buf_cstr(&labels));
	s->members = metrics_gauge("portcullis_sync_directory_memberships",
	    "Memberships of users in groups of that poll.", buf_cstr(&labels));
	s->missing = metrics_gauge("portcullis_sync_directory_claims_missing",
	    "Groups that records claim and that poll did not confirm.", buf_cstr(&labels));
	s->groups_good = metrics_gauge("portcullis_sync_directory_groups_last_good_timestamp_seconds",
	    "When the last poll that was believed about groups began.", buf_cstr(&labels));
}

static void complain(const struct source *s, const char *what, const struct err *e)
{
	log_warn(what, LOG_STR("directory", s->config->name), LOG_STR("reason", e->msg));
}

/* What one poll brought. */
struct poll {
	enum err_code code;
	struct err e;
	struct directory_answer answer;
	struct crowd *crowd; /* NULL: of groups nothing is known; CROWD_WHY tells */
	struct err crowd_why;
	struct directory_time when;
};

/* USERS: they are believed. */
static void take_groups(struct source *s, struct poll *p, bool users)
{
	if (!s->claims)
		return;
	if (users && p->crowd && claims_good(s->claims, &p->crowd, p->when, &p->crowd_why)) {
		struct directory_counts counts = claims_counts(s->claims);
		metric_set(s->groups, (double)counts.groups);
		metric_set(s->members, (double)counts.members);
		metric_set(s->missing, (double)claims_missing(s->claims));
		metric_set(s->groups_good, (double)p->when.unix_);
		return;
	}
	claims_failed(s->claims);
	if (!users)
		return;
	metric_inc(s->groups_doubted);
	complain(s, "a directory's groups are not believed: no group counts as left", &p->crowd_why);
}

/* Of the leadership that asked; with the lock. */
static void take_poll(struct source *s, struct poll *p)
{
	const struct directory_config *c = s->config;
	struct directory_answer *answer = &p->answer;
	bool good = p->code == ERR_OK && roster_good(s->roster, answer->names, answer->n, p->when, &p->e);
	if (good) {
		metric_inc(s->good);
		metric_set(s->users, (double)roster_count(s->roster));
		metric_set(s->last_good, (double)p->when.unix_);
	} else if (p->code == ERR_OK) {
		metric_inc(s->doubted);
		complain(s, "a directory's answer is not believed: nobody counts as gone", &p->e);
	} else {
		roster_failed(s->roster);
		metric_inc(s->failed);
		complain(s, "a directory does not answer as it should: nobody counts as gone", &p->e);
	}
	take_groups(s, p, good);
	int64_t pause = good || c->interval < RETRY_MAX ? c->interval : RETRY_MAX;
	s->due = p->when.mono + pause;
}

static void ask(const struct directory_config *c, struct directory_link *link, struct arena *a, struct poll *p)
{
	p->code = directory_poll(c, link, a, &p->answer, &p->e);
	if (p->code == ERR_OK && c->groups.present)
		p->crowd = crowd_new(c, &p->answer, &p->crowd_why);
}

/* Polls S without the lock, which is held on entry and exit. */
static void poll_source(struct directories *d, struct source *s)
{
	struct poll p = {.when = {clock_mono(), clock_unix()}};
	uint64_t epoch = d->epoch;
	pthread_mutex_unlock(&d->lock);
	struct arena a;
	arena_init(&a, ANSWER_BYTES_MAX);
	ask(s->config, &d->link, &a, &p);
	pthread_mutex_lock(&d->lock);
	/* Else it speaks of a time that is over. */
	bool ours = !d->stop && d->leading && d->epoch == epoch;
	if (ours)
		take_poll(s, &p);
	pthread_mutex_unlock(&d->lock);
	crowd_free(&p.crowd);
	arena_done(&a);
	memory_give_back();
	if (ours && d->polled)
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
		source_done(&d->sources[i]);
	pthread_cond_destroy(&d->wake);
	cancel_done(&d->link.stop);
	pthread_mutex_destroy(&d->link.lock);
	pthread_mutex_destroy(&d->lock);
	free(d->sources);
	free(d);
}

/* --- what is asked --- */

/* Nothing is known any more but the counts. */
static void renew(struct source *s)
{
	struct directory_counts counts = counts_of(s);
	begin_anew(s, &counts);
}

void directories_lead(struct directories *d, bool leading)
{
	pthread_mutex_lock(&d->lock);
	if (leading && !d->leading) {
		d->epoch++;
		for (size_t i = 0; i < d->n; i++)
			renew(&d->sources[i]);
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

struct directory_counts directories_counts(struct directories *d, const char *name)
{
	struct directory_counts counts = {0};
	pthread_mutex_lock(&d->lock);
	const struct source *s = find(d, name);
	if (s)
		counts = counts_of(s);
	pthread_mutex_unlock(&d->lock);
	return counts;
}

void directories_remember(struct directories *d, const char *name, const struct directory_counts *counts)
{
	pthread_mutex_lock(&d->lock);
	struct source *s = find(d, name);
	if (s && !d->leading)
		begin_anew(s, counts);
	pthread_mutex_unlock(&d->lock);
}

void directory_counts_write(const struct directory_counts *c, struct buf *out)
{
	buf_printf(out, "%zu", c->users);
	if (c->groups)
		buf_printf(out, " %zu %zu %zu %zu %zu", c->groups, c->members, c->nested, c->primary, c->confirmed);
}

struct directory_counts directory_counts_read(const char *note)
{
	struct directory_counts c = {0};
	size_t *const to[] = {&c.users, &c.groups, &c.members, &c.nested, &c.primary, &c.confirmed};
	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		char *end;
		*to[i] = strtoul(note, &end, 10);
		note = end;
	}
	return c;
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
		if (!directory_vouches(s->config, provider))
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

/* What S says of the claims, or that it may not say anything. */
struct opinion {
	struct source *s;
	bool gone; /* the user is not there: others decide */
	struct directory_claim *claims;
};

static void ask_source(struct opinion *o, struct slice provider, struct slice username, const struct slice *groups,
    size_t n, struct arena *a)
{
	int64_t since;
	o->gone = roster_says(o->s->roster, username, &since) == DIRECTORY_GONE;
	o->claims = ARENA_ARRAY(a, struct directory_claim, n + 1);
	if (o->s->claims)
		claims_say(o->s->claims, provider, username, groups, n, clock_mono(), o->claims);
}

/* One voice after another: the surest presence, else the least sure absence. */
static void weigh(const struct opinion *o, size_t n, struct directory_claim *out, size_t at)
{
	bool first = true;
	*out = (struct directory_claim){.directory = out->directory};
	for (size_t i = 0; i < n; i++) {
		const struct directory_claim *one = &o[i].claims[at];
		if (o[i].gone || (o[i].s->claims && !one->directory))
			continue;
		if (first || one->word == DIRECTORY_PRESENT || (out->word != DIRECTORY_PRESENT && one->word < out->word))
			out->word = one->word;
		if (one->directory)
			out->directory = one->directory;
		if (one->since > out->since)
			out->since = one->since;
		first = false;
	}
	if (out->word != DIRECTORY_MISSING && out->word != DIRECTORY_GONE)
		out->since = 0;
}

void directories_claims(struct directories *d, struct slice provider, struct slice username,
    const struct slice *groups, size_t n, struct directory_claim *out)
{
	AUTO(arena_done) struct arena a;
	arena_init(&a, 0);
	struct opinion *o = ARENA_ARRAY(&a, struct opinion, d->n + 1);
	size_t voices = 0;
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < d->n && d->leading; i++) {
		if (!directory_vouches(d->sources[i].config, provider))
			continue;
		o[voices].s = &d->sources[i];
		ask_source(&o[voices++], provider, username, groups, n, &a);
	}
	for (size_t i = 0; i < n; i++)
		weigh(o, voices, &out[i], i);
	pthread_mutex_unlock(&d->lock);
}
