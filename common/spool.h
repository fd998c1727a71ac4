/* Crash-safe hand-off of "this identity appeared" from portcullisd to the worker: maildir rules
 * (tmp, new, cur, dead), one JSON file a user, newest wins.
 *
 * An event leaves the disk only by spool_done, which the worker calls after the cluster acknowledged
 * it, or by a newer event of the same user. Both sides may be killed at any instruction. */
#ifndef COMMON_SPOOL_H
#define COMMON_SPOOL_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

/* Room for about 2,000 directory groups with long names; larger identities are dropped and counted. */
#define SPOOL_EVENT_MAX ((size_t)256 << 10)
#define SPOOL_FILES_MAX 10000
#define SPOOL_BYTES_MAX ((uint64_t)64 << 20)
#define SPOOL_FREE_PERCENT 5	       /* leave the disk to others */
#define SPOOL_TOUCH (INT64_C(6) * 3600 * 1000000000) /* tell an unchanged identity again */
#define SPOOL_TIME_MAX INT64_C(7258118400) /* 2200-01-01: what is later is no time of anybody's clock */
#define SPOOL_KEY_LEN 26	       /* base32(sha256(provider NUL username)), lower case, cut */

struct spool_extra {
	struct slice key;
	const struct slice *values;
	size_t n;
};

/* No token bytes, ever. */
struct spool_event {
	struct slice provider, issuer, username, uid;
	const struct slice *groups;
	size_t ngroups;
	const struct spool_extra *extra;
	size_t nextra;
	int64_t seen_at; /* unix seconds */
	int64_t iat;	 /* when what was seen was issued, unix seconds; 0: not known. Orders replicas' news */
	struct slice node;
};

void spool_key(struct slice provider, struct slice username, char out[SPOOL_KEY_LEN + 1]);

/* SHA-256 over the identity (not seen_at, not iat, not node) with groups and extra sorted and without
 * duplicates: equal digest, nothing new to tell. */
void spool_digest(const struct spool_event *ev, uint8_t out[32]);

/* EV is older news of its user than HAVE: both tell when what was seen was issued. All else is as new as it came last:
 * a clock that was set must not hold up what is known since. */
bool spool_is_older(const struct spool_event *ev, const struct spool_event *have);

/* The file's JSON text into OUT (whose maximum bounds it). ERR_INVALID for text that is no UTF-8 or
 * holds NUL, for a repeated extra key and times over SPOOL_TIME_MAX, ERR_LIMIT when OUT is over. */
enum err_code spool_encode(const struct spool_event *ev, struct buf *out, struct err *e) MUST_CHECK;

/* Its inverse: strict JSON, version 1, KEY (the file's name) and the digest inside must fit the
 * identity. EV borrows from ARENA alone. Every failure is ERR_INVALID. E must not be NULL. */
enum err_code spool_decode(struct slice text, const char *key, struct arena *a,
    struct spool_event *ev, struct err *e) MUST_CHECK;

/* --- the writer's side (portcullisd); every function is thread-safe --- */
struct spool_writer;

struct spool_limits {
	uint64_t max_files, max_bytes; /* of new/ and cur/ together */
	unsigned free_percent;	       /* of the file system, below which nothing is written */
	int64_t touch;		       /* nanoseconds */
};

/* Creates DIR/{tmp,new,cur,dead} (2770: the worker is another user of the same group). TOUCH:
 * nanoseconds after which an unchanged identity is told again, 0 for SPOOL_TOUCH. ERR_* when the
 * directory cannot be made or written. */
enum err_code spool_writer_new(const char *dir, int64_t touch, struct spool_writer **out,
    struct err *e) MUST_CHECK;

/* Before the first event only. */
void spool_writer_limit(struct spool_writer *w, const struct spool_limits *limits);

/* True when EV should be told: its key is unknown since start, its digest changed, or TOUCH passed.
 * Microseconds, no I/O: for the answer's path. Changes nothing. The server's rule after an accepted
 * TokenReview or login:
 *     durability sync (default):	if due, finish the request on a worker thread: spool_note_sync,
 *					then reply; when the queue is full, spool_note and reply now
 *     durability async:		spool_note, reply now
 * The reply is the same in each case: spooling never fails an authentication. */
bool spool_is_due(struct spool_writer *w, const struct spool_event *ev);

/* When EV is due: writes and fsyncs it in the calling thread. After ERR_OK the event is durable (or was
 * not due): whoever replies after it loses no event to kill -9 or power failure. Blocks for the disk,
 * so never on an I/O thread. An error (limits, disk) is counted as dropped and leaves the event due. */
enum err_code spool_note_sync(
    struct spool_writer *w, const struct spool_event *ev, struct err *e) MUST_CHECK;

/* When EV is due: queues a copy for a background thread (started by the first call). Never blocks and
 * never fails its caller: drops are counted (portcullis_spool_{written,dropped}_total). An event that
 * could not be written stays due, so the next sighting tells it again. Between reply and write lies a
 * window in which a crash forgets it; the table of what was told is in memory, so the next uncached
 * TokenReview after the restart tells it again. */
void spool_note(struct spool_writer *w, const struct spool_event *ev);

/* True while events cannot be written (disk or limits), the last one that was tried at least: *SINCE (wall
 * clock, nanoseconds) and *WHY are then set. */
bool spool_trouble(struct spool_writer *w, int64_t *since, struct err *why);

/* Writes what is queued, then ends the thread. No call may be running in another thread. */
void spool_writer_free(struct spool_writer **w);

/* --- the worker's side (portcullis-rbac-sync): one thread, one process a directory. Both sides go on with what stands at
 * DIR when somebody removed it, or a part of it --- */
struct spool_reader;

/* Locks DIR (ERR_REFUSED when another worker has it) and moves what a crash left in cur/ back to new/,
 * unless a newer event of the same user is there. Makes the directories when they are missing. */
enum err_code spool_reader_new(const char *dir, struct spool_reader **out, struct err *e) MUST_CHECK;
void spool_reader_free(struct spool_reader **r);

/* Claims the oldest event (rename new → cur) and parses it into ARENA. ERR_NOT_FOUND when there is none.
 * A file that is no valid event goes to dead/ and is reported by ERR_INVALID; call again. Any other
 * error is the disk's. KEY names the claim, also after an error of the disk that came when it was made: to be
 * read again; else it is "". A claim of a key that is already claimed replaces it, unless spool_is_older. */
enum err_code spool_claim(struct spool_reader *r, struct arena *a, struct spool_event *ev,
    char key[SPOOL_KEY_LEN + 1], struct err *e) MUST_CHECK;

/* Parses a claimed event once more: for a later attempt. Errors as spool_claim. */
enum err_code spool_reread(struct spool_reader *r, const char *key, struct arena *a,
    struct spool_event *ev, struct err *e) MUST_CHECK;

/* Done: the cluster acknowledged, delete. Retry: back to new/ unless a newer one is there. Dead: to
 * dead/ with REASON in a file beside it; dead/ keeps the newest SPOOL_DEAD_MAX events. */
#define SPOOL_DEAD_MAX 1000
enum err_code spool_done(struct spool_reader *r, const char *key, struct err *e) MUST_CHECK;
enum err_code spool_retry(struct spool_reader *r, const char *key, struct err *e) MUST_CHECK;
enum err_code spool_dead(struct spool_reader *r, const char *key, const char *reason,
    struct err *e) MUST_CHECK;

/* Moves valid events of dead/ back to new/ (their cause was repaired); *N tells how many. */
enum err_code spool_revive(struct spool_reader *r, size_t *n, struct err *e) MUST_CHECK;

/* Files that wait (new/ and cur/), and the age of the oldest in seconds. */
void spool_depth(struct spool_reader *r, size_t *files, int64_t *oldest);

/* Readable when new/ may hold something new; drain it with spool_wait_drain. */
int spool_fd(const struct spool_reader *r);
void spool_wait_drain(struct spool_reader *r);

/* Calls FN with each valid event of new/ and cur/ without locking, claiming or changing anything: for
 * dry runs. EV lives for the call. *INVALID counts files that are no event. */
enum err_code spool_each(const char *dir, void (*fn)(void *ctx, const char *key,
    const struct spool_event *ev), void *ctx, size_t *invalid, struct err *e) MUST_CHECK;

#endif
