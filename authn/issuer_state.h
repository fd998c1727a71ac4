/* An issuer's inside, for authn/issuer.c and authn/issuer_ask.c. Everyone else: authn/issuer.h. */
#ifndef AUTHN_ISSUER_STATE_H
#define AUTHN_ISSUER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "authn/issuer.h"
#include "authn/oidc.h"

struct metric; /* common/metrics.h */

struct issuer {
	/* under the store's lock */
	struct issuer *next;
	unsigned refs;
	bool running;
	/* fixed */
	struct issuers *store;
	struct arena arena;
	pthread_t thread;
	struct metric *fetch_ok, *fetch_error, *last_success, *key_count;
	/* the thread's own */
	struct oidc_source src;
	int64_t retry_s;
	/* under lock; cond is broadcast at every change */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	atomic_bool stop;
	struct keyset *keys;
	bool tried;	       /* a first fetch has ended */
	bool wanted, fetching; /* asked for, under way */
	bool failed;	       /* so did the last one */
	int64_t started;       /* clock_mono() of the fetch asked for, under way or last */
	int64_t ok_started;    /* of the one that brought `keys` */
	int64_t ok_issued;     /* the same in unix seconds */
	int64_t failed_at;     /* clock_mono() */
	int64_t window_until;  /* before it, no token may cause a fetch */
	int64_t next_fetch;
	struct err last;
};

struct issuers {
	pthread_mutex_t lock;
	struct issuer *list;
	bool started;
	unsigned waiters_max;
	atomic_uint waiters;
	_Atomic uint64_t generation; /* issuers_generation */
	issuer_event_fn *event;
	void *event_arg;
};

/* Under I's lock: waits for a change or until T of clock_mono(), which tests may move ahead of the real
 * clock. */
void issuer_wait_until(struct issuer *i, int64_t t);

#endif
