/* Crash-safe hand-off of "this identity appeared" from portcullisd to the worker: maildir rules
 * (tmp, new, cur, dead), one JSON file a user, newest wins. */
#ifndef COMMON_SPOOL_H
#define COMMON_SPOOL_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#define SPOOL_EVENT_MAX ((size_t)16 << 10)
#define SPOOL_FILES_MAX 10000
#define SPOOL_BYTES_MAX ((uint64_t)64 << 20)
#define SPOOL_KEY_LEN 26 /* base32(sha256(provider NUL username)), lower case, cut */

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
	struct slice node;
};

void spool_key(struct slice provider, struct slice username, char out[SPOOL_KEY_LEN + 1]);

/* SHA-256 over the identity with groups and extra sorted: equal digest, nothing new to tell. */
void spool_digest(const struct spool_event *ev, uint8_t out[32]);

/* --- the writer's side (portcullisd): one background thread, never on the answer's path --- */
struct spool_writer;

/* Creates DIR/{tmp,new,cur,dead} (0750). TOUCH: nanoseconds after which an unchanged identity is told
 * again. ERR_* when the directory cannot be made or written. */
enum err_code spool_writer_new(const char *dir, int64_t touch, struct spool_writer **out,
    struct err *e) MUST_CHECK;

/* Queues EV when its key is unknown, its digest changed or TOUCH passed; copies what it keeps. Never
 * blocks and never fails its caller: drops are counted (portcullis_spool_{written,dropped}_total). An
 * event that could not be written stays due, so the next sighting tells it again. Thread-safe. */
void spool_note(struct spool_writer *w, const struct spool_event *ev);

/* Writes what is queued, then ends the thread. */
void spool_writer_free(struct spool_writer **w);

/* --- the worker's side (portcullis-rbac-sync) --- */
struct spool_reader;

/* Moves what a crash left in cur/ back to new/. */
enum err_code spool_reader_new(const char *dir, struct spool_reader **out, struct err *e) MUST_CHECK;
void spool_reader_free(struct spool_reader **r);

/* Claims the next event (rename new → cur) and parses it into ARENA. ERR_NOT_FOUND when there is none.
 * A file that is no valid event goes to dead/ and is reported by ERR_INVALID; call again. KEY names
 * the claim. */
enum err_code spool_claim(struct spool_reader *r, struct arena *a, struct spool_event *ev,
    char key[SPOOL_KEY_LEN + 1], struct err *e) MUST_CHECK;

/* Done: the cluster acknowledged, delete. Retry: back to new/ unless a newer one is there. Dead: to
 * dead/ with REASON in a file beside it. */
enum err_code spool_done(struct spool_reader *r, const char *key, struct err *e) MUST_CHECK;
enum err_code spool_retry(struct spool_reader *r, const char *key, struct err *e) MUST_CHECK;
enum err_code spool_dead(struct spool_reader *r, const char *key, const char *reason, struct err *e) MUST_CHECK;

/* Readable when new/ may hold something new; drain it with spool_wait_drain. */
int spool_fd(const struct spool_reader *r);
void spool_wait_drain(struct spool_reader *r);

#endif
