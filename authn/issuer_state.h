/* An issuer's inside, for authn/issuer.c and authn/issuer_ask.c. Everyone else: authn/issuer.h. */
#ifndef AUTHN_ISSUER_STATE_H
#define AUTHN_ISSUER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "authn/issuer.h"
#include "authn/issuer_series.h"
#include "authn/keyfile.h"
#include "authn/oidc.h"
#include "common/cancel.h"

/* What time does to a set that is not replaced. */
enum keys_stage {
	KEYS_FINE = 0,
	KEYS_OLD,    /* past KEYS_OLD_PERCENT of its time */
	KEYS_DROPPED /* past all of it: it is gone */
};

struct issuer {
	/* under the store's lock */
	struct issuer *next;
	unsigned refs;
	bool running;
	/* fixed */
	struct issuers *store;
	struct arena arena;
	pthread_t thread;
	struct issuer_series *series;
	const char *file; /* where the last good set is kept; NULL: nowhere */
	/* the thread's own */
	struct oidc_source src;
	int64_t retry_s;
	int64_t saved;		    /* clock_mono() of the last copy on disk */
	bool is_saved, save_failed; /* there is one; the last attempt failed */
	/* under lock; cond is broadcast at every change */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct cancel stop;
	struct keyset *keys;
	bool tried;	       /* a first fetch has ended */
	bool wanted, fetching; /* asked for, under way */
	bool failed;	       /* so did the last one */
	int64_t started;       /* clock_mono() of the fetch asked for, under way or last */
	int64_t ok_started;    /* of the one that brought `keys`, in this process or before it */
	int64_t max_age;       /* ns that `keys` serve from ok_started on */
	enum keys_stage stage; /* as last told */
	bool dropped;	       /* `keys` are NULL because they grew too old */
	int64_t failed_at;     /* clock_mono() */
	int64_t window_until;  /* before it, no token may cause a fetch */
	int64_t next_fetch;
	struct err last;
};

struct issuers {
	pthread_mutex_t lock;
	struct issuer *list;
	bool started;
	int64_t max_age; /* ns, for new issuers */
	struct arena arena;
	struct issuers_options opt;
	atomic_uint waiters;
	_Atomic uint64_t generation; /* issuers_generation */
	pthread_mutex_t series_lock;
	struct issuer_series *series;
};

/* After a change of what an issuer's keys can verify is in force. */
void issuers_count_change(struct issuers *s);

/* Starts I's thread unless it runs. */
enum err_code issuer_run(struct issuer *i, struct err *e) MUST_CHECK;

/* --- issuer_age.c --- */

/* All under I's lock. NOW is clock_mono(). */

/* I's set; dropped here when it is too old. NULL: none. */
struct keyset *issuer_current(struct issuer *i, int64_t now);

/* When the present set reaches its next stage; INT64_MAX: never. */
int64_t issuer_next_stage(const struct issuer *i);

/* True when the stage has changed since the last call; *E says what to tell. */
bool issuer_stage_moved(struct issuer *i, int64_t now, struct err *e);

/* What status lines say of the set: "2 keys, read 5m ago". */
void issuer_describe_keys(struct issuer *i, int64_t now, struct buf *out);

/* When I's set was asked for, in unix seconds of today's clock: right also after the clock was stepped. */
int64_t issuer_fetched_unix(const struct issuer *i, int64_t now);

/* A new issuer's copy on disk becomes its set. Nothing else has I yet. */
void issuer_restore(struct issuer *i);

/* Keeps TEXT, fetched at clock_mono() STARTED, for the next process. The thread's own, without the lock. E
 * is set when that failed and was fine before. */
bool issuer_save(struct issuer *i, struct slice text, int64_t started, struct err *e);

/* Under I's lock: waits for a change or until T of clock_mono(), which tests may move ahead of the real
 * clock. */
void issuer_wait_until(struct issuer *i, int64_t t);

#endif
