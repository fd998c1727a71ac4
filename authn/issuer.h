/* Issuers as living things: each has a thread that keeps its key set fresh, and outlives the
 * configuration snapshots that name it. */
#ifndef AUTHN_ISSUER_H
#define AUTHN_ISSUER_H

#include "authn/config.h"
#include "authn/keyset.h"

/* The whole of one fetch, discovery included. */
#define ISSUER_FETCH_TIMEOUT_MS 10000
/* Unknown keys cause at most one fetch an issuer in this time: random kids are free to make. */
#define ISSUER_WINDOW_S 10
/* Background refresh: Cache-Control's max-age within these bounds. */
#define ISSUER_REFRESH_MIN_S 60
#define ISSUER_REFRESH_MAX_S 600
/* After a failure: from the first, doubling up to the second. */
#define ISSUER_RETRY_MIN_S 1
#define ISSUER_RETRY_MAX_S 10
/* How long the last good set serves while its issuer fails, unless the configuration says otherwise; and
 * the part of that time from which on it is warned of. */
#define KEYS_MAX_AGE_S (24 * 3600)
#define KEYS_OLD_PERCENT 75
/* The set on disk is rewritten this often though nothing changed, so that its age is about right. */
#define KEYS_SAVE_EVERY_S 600
/* A clock this much behind ours still counts as "issued after our fetch". */
#define ISSUER_SKEW_S 5

struct issuers;
struct issuer;

/* Called when an issuer begins to fail (E says why), fails otherwise than before, or is well again (E NULL);
 * also when its set grows old or is dropped for its age, or a copy on disk cannot be written or used. From
 * refresher threads and from within issuer_acquire: it may log, and must not call anything of here. */
typedef void issuer_event_fn(void *arg, const char *issuer, const struct err *e);

struct issuers_options {
	unsigned waiters;      /* calls that may wait at a time for a window to open */
	const char *state_dir; /* where the last good sets are kept; NULL: nowhere */
	bool read_only;	       /* they are read there but not written */
	/* An issuer is asked only when a token waits for its keys, with no issuers_start; sets kept on disk
	 * are not used. For programs that look at one token. */
	bool on_demand;
	issuer_event_fn *event;
	void *event_arg;
};

struct issuers *issuers_new(const struct issuers_options *opt);
void issuers_free(struct issuers **s); /* joins all threads; no issuer may be held any more */
enum err_code issuers_start(struct issuers *s, struct err *e) MUST_CHECK;
bool issuers_settle(struct issuers *s, int64_t deadline);

/* A set that was fetched more than NS ago verifies nothing, if no newer one was to be had: its issuer's
 * tokens get ISSUER_GONE. Set: for issuers that are new from now on. Apply: also for those that live, once
 * the configuration that says so is in force. Both thread-safe. */
void issuers_set_max_age(struct issuers *s, int64_t ns);
void issuers_apply_max_age(struct issuers *s);

/* Counts the changes of what issuers' keys can verify: a set with other keys than the one before, a set that
 * grew too old, an issuer that went away. Not the reads that brought the same keys again. Never goes back;
 * thread-safe, lock-free.
 * For caches of verdicts: read it BEFORE the token is verified and make it part of the cache's key. A change
 * is counted after it is in force, so a verdict by old keys is never found under a newer count. Sets of
 * jwksFile belong to the configuration snapshot and are not counted here. */
uint64_t issuers_generation(const struct issuers *s);

/* The issuer of CFG: the living one when URL, discovery URL and CA are the same, else a new one, whose
 * thread starts at once when issuers_start was called. A new one begins with the set that is kept on disk
 * when that is its own, whole and not too old. */
enum err_code issuer_acquire(struct issuers *s, const struct jwt_issuer_config *cfg,
    struct issuer **out, struct err *e) MUST_CHECK;
void issuer_release(struct issuer **i);

/* The current set with a reference for the caller; NULL when there is none, or none young enough. */
struct keyset *issuer_keys(struct issuer *i);

/* What to do about a token whose key is not in the current set (or when there is no set). */
enum issuer_advice {
	ISSUER_GONE = 0,    /* cannot know: the issuer does not answer, or not in time */
	ISSUER_UNKNOWN_KEY, /* a set fetched late enough lacks the key: refuse */
	ISSUER_LOOK_AGAIN,  /* there is a newer set */
	ISSUER_WAIT	    /* issuer_wait_keys may get one */
};

struct issuer_question {
	int64_t arrived;  /* clock_mono() when the token came */
	int64_t deadline; /* clock_mono() */
	int64_t issued;	  /* the token's own unverified iat, unix seconds; 0: none */
	const struct keyset *seen; /* the set that was tried; NULL: there was none */
};

/* Without blocking: never ISSUER_LOOK_AGAIN unless the set has changed since. */
enum issuer_advice issuer_ask(struct issuer *i, const struct issuer_question *q);

/* Blocks until one of the other three can be said, at the latest at the deadline. Causes or joins a
 * fetch. After ISSUER_LOOK_AGAIN the caller tries the new set and may ask again. */
enum issuer_advice issuer_wait_keys(struct issuer *i, const struct issuer_question *q);

/* One line an issuer: '+' when its keys are current, else '-'; then URL, number of keys and their age, last
 * error. */
void issuers_status(struct issuers *s, struct buf *out);

/* Brings the metrics that change with time up to date: before they are written. */
void issuers_measure(struct issuers *s);

/* Tests: threads look at the clock again, after clock_advance(). */
void issuers_poke(struct issuers *s);

#endif
