/* One verification for all who ask for the same thing at the same time: the first leads, the others
 * wait for what it finds out, without a thread of their own. */
#ifndef AUTHN_FLIGHT_H
#define AUTHN_FLIGHT_H

#include "authn/verdict.h"

struct flights;
struct flight;

/* Who was suspended until another call's work ends. Lives in its call; zeroed before flight_enter. */
struct flight_waiter {
	int64_t deadline; /* clock_mono(): woken by then, within a second */
	void (*wake)(void *arg); /* called once, from any thread, when flight_await said false */
	void *arg;
	/* its outcome, to be read after the end: */
	bool leads; /* the leader ran out of time: this one goes on with `flight` */
	struct verdict *
	    verdict; /* a reference to what the leader found; NULL with `leads`, or when the deadline
				  * came first */
	/* the flights' own */
	struct flight *flight;
	struct flight_shard *shard; /* outlives the flight */
	struct flight_waiter *prev, *next;
	bool ended, armed;
};

enum flight_role {
	FLIGHT_ALONE = 0, /* nothing is shared: go on alone */
	FLIGHT_LEADS, /* go on, and end it with flight_end */
	FLIGHT_ENDED, /* *VERDICT holds what another call just found */
	FLIGHT_JOINED /* W waits: flight_await */
};

struct flights *flights_new(void);
void flights_free(struct flights **f); /* no flight may be under way */

/* Joins the flight of KEY, or begins it. While its leader has not said flight_works yet, this
 * blocks for that or for its end: a signature's time. W NULL: the caller cannot be suspended.
 * Thread-safe. */
enum flight_role flight_enter(struct flights *s, const struct verdict_key *key,
    struct flight_waiter *w, struct flight **lead, struct verdict **verdict);

/* The leader goes on, on another thread and for longer: others may join until flight_end. */
void flight_works(struct flight *f);

/* The leader is done: V (borrowed) goes to all who wait. When V is UNAVAILABLE though the leader's
 * DEADLINE (clock_mono()) passed, who waits with time left leads on. V NULL: nothing to share,
 * whoever blocks goes on by itself. */
void flight_end(struct flight **f, struct verdict *v, int64_t deadline);

/* True: the end was there first, W's outcome stands. False: W is woken later; it must be ready to
 * be woken. */
bool flight_await(struct flight_waiter *w);

/* Wakes whose deadline has passed. Call about once a second. */
void flights_sweep(struct flights *s, int64_t now);

#endif
