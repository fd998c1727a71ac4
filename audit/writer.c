/* Owns the audit queue and its writer thread: sequence, chain, batches, retries, gaps. */
#include "audit/writer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/secret.h"
#include "common/trouble.h"

#define BATCH_BYTES ((size_t)256 << 10) /* one write(2) takes this much, and one line more */
#define BACKOFF_LEAST (50 * CLOCK_MS)
#define BACKOFF_MOST (5 * CLOCK_SECOND)

struct entry {
	struct entry *next;
	int64_t ts;
	enum record_type type;
	uint64_t lost; /* records that found the queue full just before this one */
	struct buf body;
};

/* Lines that are made but not all written; the thread's own. */
struct batch {
	struct buf lines;
	size_t at; /* bytes written */
	uint64_t entries;
	uint64_t types[RECORD_TYPES];
};

struct writer {
	pthread_t thread;
	struct record_origin origin;
	struct metric *records[RECORD_TYPES], *dropped, *errors, *waiting;
	struct trouble trouble;

	pthread_mutex_t lock; /* guards the members up to the blank line */
	pthread_cond_t work;  /* to the thread */
	pthread_cond_t news;  /* from the thread */
	struct entry *head, **tail;
	size_t len, bytes;
	uint64_t lost;		/* since the last accepted entry */
	uint64_t pushed, done;	/* entries accepted, entries written or given up */
	uint64_t gaps_owed;	/* losses taken by the thread and not written yet */
	uint64_t failures;
	bool closing, kicked, idle;

	struct sink sink; /* the thread's own, with all below */
	uint64_t seq;
	char prev[RECORD_HASH_LEN + 1];
	struct batch batch;
};

static void add_line(
    struct writer *w, int64_t ts, enum record_type type, const struct buf *body)
{
	record_line(&w->batch.lines, ts, ++w->seq, buf_view(body), w->prev);
	w->batch.types[type]++;
}

/* A record of the log about itself, in front of what waits. */
static void add_self(struct writer *w, enum record_type type, const struct record_self *s)
{
	AUTO(buf_done) struct buf body;
	buf_init(&body, RECORD_BODY_MAX);
	record_self(&body, &w->origin, type, s);
	add_line(w, clock_now(), type, &body);
}

/* The lost records keep their numbers, which the chain then lacks: a gap shows without the record too. */
static void add_gap(struct writer *w, uint64_t lost)
{
	struct record_self s = {.from = w->seq + 1, .to = w->seq + lost, .count = lost};
	if (lost == 0)
		return;
	w->seq += lost;
	add_self(w, RECORD_GAP, &s);
}

static void add_news(struct writer *w, const struct sink_news *news)
{
	if (news->truncated)
		add_self(w, RECORD_TRUNCATED,
		    &(struct record_self){.path = w->sink.path, .offset = news->offset,
			.size = news->size});
	if (news->rotated)
		add_self(w, RECORD_ROTATED,
		    &(struct record_self){.path = w->sink.path, .torn_bytes = news->torn_bytes});
}

static void entry_free(struct entry *x)
{
	buf_done(&x->body);
	free(x);
}

/* Takes entries for one batch off the queue; *LOST: what was lost behind the last of them. */
static struct entry *take(struct writer *w, uint64_t *lost)
{
	struct entry *first = w->head, **end = &w->head;
	size_t bytes = 0;
	*lost = 0;
	while (*end && bytes < BATCH_BYTES) {
		bytes += (*end)->body.len + RECORD_FRAME_MAX;
		w->bytes -= (*end)->body.len;
		w->len--;
		w->gaps_owed += (*end)->lost;
		end = &(*end)->next;
	}
	if (end != &w->head) {
		w->head = *end;
		*end = NULL;
	} else {
		first = NULL;
	}
	if (!w->head) {
		w->tail = &w->head;
		*lost = w->lost;
		w->gaps_owed += w->lost;
		w->lost = 0;
	}
	metric_set(w->waiting, (double)w->len);
	return first;
}

static void fill_batch(struct writer *w, struct entry *x, uint64_t lost_behind)
{
	while (x) {
		struct entry *next = x->next;
		add_gap(w, x->lost);
		add_line(w, x->ts, x->type, &x->body);
		w->batch.entries++;
		entry_free(x);
		x = next;
	}
	add_gap(w, lost_behind);
}

/* Back to the start of the line that was cut: its first part stands in a file that is no longer ours,
 * or is gone. */
static void rewind_line(struct batch *b)
{
	while (b->at > 0 && b->lines.p[b->at - 1] != '\n')
		b->at--;
}

/* Tries to write the rest of the batch; true when all is written. */
static bool write_batch(struct writer *w)
{
	struct batch *b = &w->batch;
	struct sink_news news;
	while (b->at < b->lines.len) {
		bool usable = sink_look(&w->sink, &news);
		if (news.truncated || news.rotated) {
			rewind_line(b);
			add_news(w, &news);
		}
		ssize_t n = usable ? sink_write(&w->sink, b->lines.p + b->at, b->lines.len - b->at)
				   : -1;
		if (n <= 0)
			return false;
		b->at += (size_t)n;
	}
	return true;
}

/* The batch is over, written or given up. */
static void end_batch(struct writer *w, bool written)
{
	struct batch *b = &w->batch;
	for (size_t t = 0; written && t < RECORD_TYPES; t++)
		metric_add(w->records[t], b->types[t]);
	if (!written)
		metric_add(w->dropped, b->entries);
	pthread_mutex_lock(&w->lock);
	w->done += b->entries;
	w->gaps_owed = 0;
	pthread_cond_broadcast(&w->news);
	pthread_mutex_unlock(&w->lock);
	b->lines.len = b->at = 0;
	b->entries = 0;
	memset(b->types, 0, sizeof(b->types));
}

/* Waits until NS have passed or someone kicks or closes. */
static void back_off(struct writer *w, int64_t ns)
{
	struct timespec until = clock_until(clock_mono() + ns);
	pthread_mutex_lock(&w->lock);
	w->failures++;
	pthread_cond_broadcast(&w->news);
	int rc = 0;
	while (!w->closing && !w->kicked && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&w->work, &w->lock, &until);
	w->kicked = false;
	pthread_mutex_unlock(&w->lock);
}

static bool is_closing(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	bool closing = w->closing;
	pthread_mutex_unlock(&w->lock);
	return closing;
}

/* Writes the batch however long that takes, but for a log that closes: one more try then. */
static void put_batch(struct writer *w)
{
	int64_t wait = BACKOFF_LEAST;
	bool last = is_closing(w), written;
	while (!(written = write_batch(w)) && !last) {
		metric_inc(w->errors);
		trouble_set(&w->trouble, &w->sink.why);
		back_off(w, wait);
		wait = wait * 2 > BACKOFF_MOST ? BACKOFF_MOST : wait * 2;
		last = is_closing(w);
	}
	if (written)
		trouble_end(&w->trouble);
	else
		metric_inc(w->errors);
	end_batch(w, written);
}

/* Something for the next batch: entries, a loss, or only the wish to look after the file. False when
 * the log is closed and all is done. */
static bool wait_for_work(struct writer *w, struct entry **entries, uint64_t *lost)
{
	pthread_mutex_lock(&w->lock);
	w->idle = true;
	while (!w->head && w->lost == 0 && !w->kicked && !w->closing)
		pthread_cond_wait(&w->work, &w->lock);
	w->idle = false;
	bool more = w->head || w->lost > 0 || w->kicked;
	w->kicked = false;
	*entries = take(w, lost);
	pthread_mutex_unlock(&w->lock);
	return more;
}

static void *run(void *arg)
{
	struct writer *w = arg;
	struct entry *entries;
	struct sink_news news;
	uint64_t lost;
	pthread_setname_np(pthread_self(), "audit");
	put_batch(w); /* audit.opened */
	while (wait_for_work(w, &entries, &lost)) {
		/* Before the lines are made: what happened to the file stands in front of them. */
		sink_look(&w->sink, &news);
		add_news(w, &news);
		fill_batch(w, entries, lost);
		put_batch(w);
	}
	return NULL;
}

static void find_metrics(struct writer *w)
{
	for (int t = 0; t < RECORD_TYPES; t++) {
		AUTO(buf_done) struct buf labels;
		buf_init(&labels, 128);
		metrics_label(&labels, "type", slice_of(record_type_name((enum record_type)t)));
		w->records[t] = metrics_counter("portcullis_audit_records_total",
		    "Audit records written.", buf_cstr(&labels));
	}
	w->dropped = metrics_counter("portcullis_audit_dropped_total",
	    "Audit records lost because the queue was full, or at the end of a log that failed.",
	    "");
	w->errors = metrics_counter("portcullis_audit_write_errors_total",
	    "Attempts to write the audit log that failed; they are repeated.", "");
	w->waiting = metrics_gauge(
	    "portcullis_audit_queue_depth", "Audit records that wait to be written.", "");
}

/* Goes on with the chain that TAIL ends, or begins one. */
static void begin_chain(struct writer *w, const struct sink_tail *tail)
{
	if (gethostname(w->origin.node, RECORD_NODE_MAX) != 0)
		w->origin.node[0] = '\0';
	if (tail->found) {
		w->seq = tail->last.seq;
		memcpy(w->prev, tail->last.hash, sizeof(w->prev));
		memcpy(w->origin.chain, tail->last.chain, sizeof(w->origin.chain));
	} else {
		memset(w->prev, '0', RECORD_HASH_LEN);
		ulid_new(clock_now() / CLOCK_MS, w->origin.chain);
	}
	add_self(w, RECORD_OPENED,
	    &(struct record_self){.path = w->sink.path, .continued = tail->found,
		.torn_bytes = tail->torn_bytes});
	w->batch.entries = w->pushed = 1; /* flush waits for it too */
}

static enum err_code start(struct writer *w, struct err *e)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? ERR_OK : err_set(e, ERR_INTERNAL, "audit thread: %s", strerror(rc));
}

static void release(struct writer *w)
{
	sink_close(&w->sink);
	buf_done(&w->batch.lines);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->news);
	pthread_mutex_destroy(&w->lock);
	trouble_done(&w->trouble);
	free(w);
}

enum err_code writer_new(struct sink *sink, const struct sink_tail *tail, struct writer **out,
    struct err *e)
{
	struct writer *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	*out = NULL;
	w->sink = *sink;
	*sink = (struct sink){.fd = -1};
	w->tail = &w->head;
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&w->lock, NULL);
	trouble_init(&w->trouble);
	pthread_cond_init(&w->work, &attr);
	pthread_cond_init(&w->news, &attr);
	pthread_condattr_destroy(&attr);
	/* The last entry and the records in front of it may cross BATCH_BYTES. */
	buf_init(&w->batch.lines, SIZE_MAX);
	find_metrics(w);
	begin_chain(w, tail);
	enum err_code code = start(w, e);
	if (code == ERR_OK)
		*out = w;
	else
		release(w);
	return code;
}

void writer_free(struct writer **writer)
{
	if (!writer || !*writer)
		return;
	struct writer *w = TAKE(*writer);
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	release(w);
}

const struct record_origin *writer_origin(const struct writer *w)
{
	return &w->origin;
}

/* Under the lock. */
static void enqueue(struct writer *w, struct entry *x)
{
	x->lost = w->lost;
	w->lost = 0;
	*w->tail = x;
	w->tail = &x->next;
	w->len++;
	w->bytes += x->body.len;
	w->pushed++;
}

bool writer_push(struct writer *w, int64_t ts, struct writer_record *r, size_t n)
{
	struct entry *x[WRITER_PUSH_MAX] = {0};
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		x[i] = malloc(sizeof(*x[i]));
		if (!x[i])
			abort();
		*x[i] = (struct entry){.ts = ts, .type = r[i].type, .body = r[i].body};
		r[i].body = (struct buf){0};
		bytes += x[i]->body.len;
	}
	pthread_mutex_lock(&w->lock);
	bool room = w->len + n <= AUDIT_QUEUE_MAX && w->bytes + bytes <= AUDIT_QUEUE_BYTES;
	for (size_t i = 0; room && i < n; i++)
		enqueue(w, x[i]);
	if (room) {
		metric_set(w->waiting, (double)w->len);
	} else {
		w->lost += n;
		metric_add(w->dropped, n);
	}
	if (w->idle)
		pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; !room && i < n; i++)
		entry_free(x[i]);
	return room;
}

void writer_kick(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->kicked = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
}

bool writer_trouble(struct writer *w, int64_t *since, struct err *why)
{
	return trouble_get(&w->trouble, since, why);
}

bool writer_flush(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	uint64_t target = w->pushed, failures = w->failures;
	while ((w->done < target || w->lost > 0 || w->gaps_owed > 0) && w->failures == failures)
		pthread_cond_wait(&w->news, &w->lock);
	bool written = w->failures == failures;
	pthread_mutex_unlock(&w->lock);
	return written;
}
