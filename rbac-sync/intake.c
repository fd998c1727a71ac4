/* Owns the life of an event in the intake: claim, write, and what follows from the result. */
#include "rbac-sync/intake.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/trouble.h"
#include "rbac-sync/intake_parts.h"

#define API_PAUSE_MAX (60 * CLOCK_SECOND)
#define CLAIM_ERRORS_MAX 100 /* bad files in a row before the loop looks around */
#define DISK_ERROR 25	     /* as many of those is one of the disk: others fare no better */
#define HELD_PAUSE_MAX (60 * CLOCK_SECOND)
#define RUN_MAX (100 * CLOCK_MS) /* claiming in one go: acknowledgements, signals and metrics wait so long */

struct intake {
	const struct worker_config *config;
	const struct cancel *stop;
	struct spool_reader *spool;
	struct intake_writer writer;
	struct intake_acks *acks;
	struct intake_hooks hooks;
	struct waiting waiting;
	int64_t pause_until; /* clock_mono: the apiserver is in trouble until then */
	unsigned api_failures;
	int64_t held_told; /* clock_mono of the last word about held users; 0: none */
	int epoll;
	bool more; /* the last run ended before the spool did */
	struct trouble trouble;
};

/* --- metrics --- */

static void count_event(const char *result)
{
	struct buf labels;
	buf_init(&labels, 64);
	metrics_label(&labels, "result", slice_of(result));
	metric_inc(metrics_counter("portcullis_sync_events_processed_total",
	    "Attempts at events of the spool, by result.", buf_cstr(&labels)));
	buf_done(&labels);
}

static void count_held(const char *reason)
{
	struct buf labels;
	buf_init(&labels, 64);
	metrics_label(&labels, "reason", slice_of(reason));
	metric_inc(metrics_counter("portcullis_sync_spool_rejected_total",
	    "New users who wait in the spool because there are too many, by the limit.", buf_cstr(&labels)));
	buf_done(&labels);
}

/* --- waiting --- */

/* Doubles from INITIAL to MAX, spread by a fifth so that failures do not march in step. */
static int64_t backoff(int64_t initial, int64_t max, unsigned failures)
{
	int64_t pause = initial;
	for (unsigned i = 1; i < failures && pause < max; i++)
		pause *= 2;
	if (pause > max)
		pause = max;
	uint32_t r;
	secret_random(&r, sizeof(r));
	return pause - pause / 5 + (int64_t)(r % 1024) * (pause / 5) / 512;
}

static void again_soon(struct intake *i, const char *key)
{
	waiting_add(&i->waiting, key)->due = clock_mono() + backoff(i->config->retry_initial, API_PAUSE_MAX, 1);
}

/* All wait; portcullisd hears that nobody is to wait for us. */
static void pause_api(struct intake *i, const struct intake_result *r)
{
	int64_t initial = i->config->retry_initial;
	if (initial > CLOCK_SECOND)
		initial = CLOCK_SECOND;
	int64_t pause = backoff(initial, API_PAUSE_MAX, ++i->api_failures);
	if (r->wait >= 0 && r->wait * CLOCK_SECOND > pause)
		pause = r->wait * CLOCK_SECOND;
	i->pause_until = clock_mono() + pause;
	trouble_set(&i->trouble, &r->why);
	log_warn(r->end == INTAKE_BARRED ? "user records cannot be written, pausing: is deploy/rbac-sync installed?"
					 : "the apiserver is in trouble, pausing",
	    LOG_STR("reason", r->why.msg), LOG_INT("pauseMs", pause / CLOCK_MS));
}

/* --- ends of one event --- */

static void end_done(
    struct intake *i, const char *key, const struct spool_event *ev, const struct intake_result *r)
{
	static const char *const words[] = {
	    [MERGE_DROP] = "stale", [MERGE_SAME] = "same", [MERGE_WRITE] = "done"};
	struct err e;
	uint8_t digest[SHA256_LEN];
	waiting_forget(&i->waiting, key);
	count_event(words[r->merge]);
	if (spool_done(i->spool, key, &e) != ERR_OK) {
		again_soon(i, key);
		log_error("event done but not deleted; it will be done again", LOG_STR("reason", e.msg));
	}
	if (r->created) {
		log_info("new user recorded", LOG_SLICE("user", ev->username),
		    LOG_SLICE("provider", ev->provider), LOG_STR("record", key));
		if (i->hooks.appeared)
			i->hooks.appeared(i->hooks.ctx, key, r->uid, "seen for the first time");
	}
	if (r->merge == MERGE_DROP)
		return; /* its grants will not come */
	spool_digest(ev, digest);
	intake_acks_told(i->acks, key, digest);
}

static void end_refused(struct intake *i, const char *key, const struct intake_result *r)
{
	struct waiter *p = waiting_add(&i->waiting, key);
	struct err e;
	p->failures++;
	p->refused += !r->hearsay;
	if (p->refused < i->config->max_attempts) {
		p->due = clock_mono() +
		    backoff(i->config->retry_initial, i->config->retry_max, p->failures);
		count_event("refused");
		return;
	}
	if (spool_dead(i->spool, key, r->why.msg, &e) != ERR_OK) {
		p->due = clock_mono() + backoff(i->config->retry_initial, i->config->retry_max, p->failures);
		count_event("refused");
		log_error("event not buried", LOG_STR("key", key), LOG_STR("reason", e.msg));
		return;
	}
	waiting_forget(&i->waiting, key);
	count_event("dead");
	log_error("event given up, now in dead/", LOG_STR("key", key), LOG_STR("reason", r->why.msg));
	if (i->hooks.dead)
		i->hooks.dead(i->hooks.ctx, key, r->why.msg);
}

static void end_held(struct intake *i, const char *key, const struct intake_result *r)
{
	struct waiter *p = waiting_add(&i->waiting, key);
	int64_t now = clock_mono(), turn = intake_turn(&i->writer);
	bool rate = turn > now; /* else there are too many in all: looked at again now and then */
	p->due = rate ? turn : now + HELD_PAUSE_MAX;
	if (!p->held) {
		count_event("held");
		count_held(r->held);
	}
	p->held = true;
	if (i->held_told && now - i->held_told < HELD_PAUSE_MAX)
		return;
	i->held_told = now;
	log_warn("too many new users, they wait in the spool", LOG_STR("limit", r->held),
	    LOG_INT("waiting", i->waiting.by_key.len));
}

static enum intake_end handle(struct intake *i, const char *key, const struct spool_event *ev)
{
	struct intake_result r;
	intake_write(&i->writer, key, ev, &r);
	if (r.end != INTAKE_LATER && r.end != INTAKE_BARRED && r.end != INTAKE_HELD) {
		i->api_failures = 0;
		trouble_end(&i->trouble);
	}
	switch (r.end) {
	case INTAKE_DONE:
		end_done(i, key, ev, &r);
		break;
	case INTAKE_REFUSED:
		end_refused(i, key, &r);
		break;
	case INTAKE_HELD:
		end_held(i, key, &r);
		break;
	case INTAKE_BUSY:
		again_soon(i, key);
		count_event("later");
		break;
	case INTAKE_LATER:
	case INTAKE_BARRED:
		pause_api(i, &r);
		waiting_add(&i->waiting, key)->due = i->pause_until;
		count_event("later");
		break;
	}
	return r.end;
}

/* --- running --- */

static bool must_stop(const struct intake *i)
{
	return cancel_asked(i->stop) || clock_mono() < i->pause_until;
}

/* Claimed, and no descriptor or no disk to read it with: it stays claimed, and is read again. */
static void unread(struct intake *i, const char *key, const struct err *why)
{
	again_soon(i, key);
	count_event("later");
	log_error("an event cannot be read now", LOG_STR("key", key), LOG_STR("reason", why->msg));
}

/* Claims and handles one new event. ERR_NOT_FOUND when there is none; *END only on ERR_OK. */
static enum err_code take_one(struct intake *i, enum intake_end *end)
{
	struct arena a;
	struct spool_event ev;
	struct err e;
	char key[SPOOL_KEY_LEN + 1];
	arena_init(&a, 0);
	enum err_code rc = spool_claim(i->spool, &a, &ev, key, &e);
	if (rc == ERR_OK) {
		struct waiter *p = waiting_find(&i->waiting, key);
		if (p && !p->held)
			waiting_forget(&i->waiting, key); /* news: what was refused before may have changed */
		*end = handle(i, key, &ev);
	} else if (rc == ERR_INVALID) {
		count_event("invalid");
		log_error("no valid event", LOG_STR("reason", e.msg));
	} else if (rc != ERR_NOT_FOUND && key[0]) {
		unread(i, key, &e);
	} else if (rc != ERR_NOT_FOUND) {
		log_error("the spool cannot be read", LOG_STR("reason", e.msg));
	}
	arena_done(&a);
	return rc;
}

static void retry_one(struct intake *i, const char *key)
{
	struct arena a;
	struct spool_event ev;
	struct err e;
	arena_init(&a, 0);
	enum err_code rc = spool_reread(i->spool, key, &a, &ev, &e);
	if (rc == ERR_OK) {
		handle(i, key, &ev);
	} else if (rc != ERR_INVALID && rc != ERR_NOT_FOUND) {
		unread(i, key, &e);
	} else {
		waiting_forget(&i->waiting, key);
		count_event("invalid");
		log_error("a waiting event cannot be read", LOG_STR("reason", e.msg));
	}
	arena_done(&a);
}

/* Those that are due until UNTIL, first come first; each once. */
static void retry_due(struct intake *i, int64_t until)
{
	int64_t now = clock_mono();
	size_t n;
	struct waiter **due = waiting_due(&i->waiting, now, &n);
	bool over = false, held = false; /* no more than its turn comes to one, and those behind it would ask in vain */
	for (size_t k = 0; k < n && !must_stop(i) && !over; k++) {
		char name[SPOOL_KEY_LEN + 1];
		if (held && due[k]->held) {
			due[k]->due = intake_turn(&i->writer);
			continue;
		}
		memcpy(name, due[k]->key, sizeof(name)); /* handling it frees it */
		retry_one(i, name);
		const struct waiter *left = waiting_find(&i->waiting, name);
		held |= left && left->held && left->due > now;
		over = clock_mono() >= until;
	}
	i->more |= over;
	free(due);
}

/* Whoever waits for an acknowledgement may get one: events become records, and records are seen. */
static bool answers(const struct intake *i)
{
	const struct store *s = i->writer.records;
	return i->api_failures == 0 && s && store_synced(s, 1U << KIND_USER_RECORD);
}

void intake_run(struct intake *i)
{
	enum intake_end end;
	int errors = 0;
	int64_t until = clock_mono() + RUN_MAX;
	spool_wait_drain(i->spool);
	intake_acks_run(i->acks, answers(i));
	i->more = false;
	while (!must_stop(i) && i->waiting.by_key.len < INTAKE_WAITING_MAX && errors < CLAIM_ERRORS_MAX) {
		i->more = clock_mono() >= until;
		if (i->more)
			break;
		enum err_code rc = take_one(i, &end);
		if (rc == ERR_NOT_FOUND)
			break;
		errors += rc == ERR_OK ? 0 : rc == ERR_INVALID ? 1 : DISK_ERROR;
	}
	if (!must_stop(i))
		retry_due(i, clock_mono() + RUN_MAX);
	intake_acks_run(i->acks, answers(i));
}

/* Back to new/: for whoever looks into the spool, and for the next run. */
static void give_back(struct intake *i)
{
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&i->waiting.by_key, &it, &key, &v)) {
		struct err e;
		if (spool_retry(i->spool, ((struct waiter *)v)->key, &e) != ERR_OK)
			log_error("event not given back", LOG_STR("reason", e.msg));
	}
	waiting_clear(&i->waiting);
}

bool intake_drain(struct intake *i)
{
	enum err_code rc = ERR_OK;
	enum intake_end end = INTAKE_DONE;
	bool all = true;
	int errors = 0;
	while (rc != ERR_NOT_FOUND && !must_stop(i) && errors < CLAIM_ERRORS_MAX) {
		rc = take_one(i, &end);
		errors += rc != ERR_OK && rc != ERR_INVALID;
		all &= rc == ERR_NOT_FOUND || (rc == ERR_OK && end == INTAKE_DONE);
	}
	give_back(i);
	return all && rc == ERR_NOT_FOUND;
}

int64_t intake_pause(const struct intake *i)
{
	int64_t now = clock_mono(), until = now + i->config->scan_interval;
	if (until > now + SPOOL_ALIVE_EVERY)
		until = now + SPOOL_ALIVE_EVERY;
	if (i->pause_until > now)
		return (i->pause_until < until ? i->pause_until : until) - now;
	if (i->more)
		return 0;
	until = waiting_first(&i->waiting, until);
	return until > now ? until - now : 0;
}

int intake_fd(const struct intake *i)
{
	return i->epoll;
}

void intake_retry_now(struct intake *i)
{
	i->pause_until = 0;
	waiting_wake(&i->waiting, false);
}

enum err_code intake_revive(struct intake *i, struct err *e)
{
	size_t n;
	TRY(spool_revive(i->spool, &n, e));
	log_info("dead events are tried again", LOG_INT("events", n));
	return ERR_OK;
}

void intake_depth(struct intake *i, size_t *files, int64_t *oldest)
{
	spool_depth(i->spool, files, oldest);
}

void intake_seen(struct intake *i, const char *record)
{
	intake_acks_seen(i->acks, record);
}

bool intake_healthy(struct intake *i, struct err *why)
{
	int64_t since;
	return !trouble_get(&i->trouble, &since, why);
}

/* --- life --- */

void intake_limit(struct intake *i, int64_t max_users, int64_t new_users_a_minute)
{
	struct intake_writer *w = &i->writer;
	if (w->max_users == max_users && w->new_users == new_users_a_minute)
		return;
	/* Another limit, another bucket: full, as at the start. Who was held asks again. */
	*w = (struct intake_writer){.kube = w->kube, .records = w->records, .touch = w->touch,
	    .max_users = max_users, .new_users = new_users_a_minute, .tokens = (double)new_users_a_minute,
	    .filled = clock_mono()};
	waiting_wake(&i->waiting, true);
}

void intake_hook(struct intake *i, const struct intake_hooks *h)
{
	i->hooks = *h;
}

/* At most a quarter of the shortest time after which somebody counts as gone. */
static int64_t touch_of(const struct lifecycle_config *c)
{
	const int64_t after[] = {c->stale_after, c->disable_after, c->delete_after};
	int64_t touch = SPOOL_TOUCH;
	for (size_t k = 0; k < ARRAY_LEN(after); k++) {
		if (after[k] > 0 && after[k] / 4 < touch)
			touch = after[k] / 4;
	}
	return touch / CLOCK_SECOND > 0 ? touch / CLOCK_SECOND : 1;
}

static bool follow(int epoll, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	return fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static enum err_code open_all(struct intake *i, struct err *e)
{
	TRY(spool_reader_new(i->config->spool_dir, &i->spool, e));
	TRY(intake_acks_new(i->config->spool_dir, i->writer.records, &i->acks, e));
	i->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (i->epoll < 0 || !follow(i->epoll, spool_fd(i->spool)) || !follow(i->epoll, intake_acks_fd(i->acks)))
		return err_set(e, ERR_INTERNAL, "no epoll");
	return ERR_OK;
}

enum err_code intake_new(const struct worker_config *c, struct kube *k, struct store *records, const struct cancel *stop,
    struct intake **out, struct err *e)
{
	struct intake *i = calloc(1, sizeof(*i));
	if (!i)
		abort();
	i->config = c;
	i->stop = stop;
	i->epoll = -1;
	i->writer = (struct intake_writer){.kube = k, .records = records, .touch = touch_of(&c->gc.life)};
	intake_limit(i, INTAKE_USERS_MAX, INTAKE_NEW_USERS);
	trouble_init(&i->trouble);
	enum err_code rc = open_all(i, e);
	if (rc != ERR_OK)
		intake_free(&i);
	*out = i;
	return rc;
}

void intake_free(struct intake **ip)
{
	struct intake *i = TAKE(*ip);
	if (!i)
		return;
	if (i->spool)
		give_back(i);
	if (i->epoll >= 0)
		close(i->epoll);
	intake_acks_free(&i->acks);
	spool_reader_free(&i->spool);
	trouble_done(&i->trouble);
	free(i);
}
