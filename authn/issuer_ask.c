/* Owns what a token with an unknown key may make an issuer's thread do, and who may wait for it. */
#include "authn/issuer_state.h"
#include "common/clock.h"

/* A crowd that waits for one fetch gives up after this; only the slots' holders wait longer. A sound
 * issuer answers sooner, and a hung one does not hold all workers. */
#define CROWD_WAIT (2 * CLOCK_SECOND)

struct keyset *issuer_keys(struct issuer *i)
{
	pthread_mutex_lock(&i->lock);
	struct keyset *now = issuer_current(i, clock_mono());
	struct keyset *set = now ? keyset_ref(now) : NULL;
	pthread_mutex_unlock(&i->lock);
	return set;
}

/* What an ISSUER_WAIT is to wait for. */
enum wait_for {
	WAIT_FETCH,  /* one is under way or about to begin */
	WAIT_WINDOW, /* one may be caused later */
	WAIT_NOTHING /* one may be caused now */
};

/* While it does not answer, nobody waits for it: its thread goes on trying. */
static bool silent(const struct issuer *i, int64_t now)
{
	return i->failed && (i->fetching || now - i->failed_at < ISSUER_WINDOW_S * CLOCK_SECOND);
}

/* The rules for a time in which no token may cause a fetch. A set is there that was fetched less than a
 * window ago. An issuer publishes a key before it signs with it, so that set has the key of every token
 * that is older. */
static enum issuer_advice decide_in_window(
    const struct issuer *i, const struct issuer_question *q, int64_t now)
{
	if (i->keys && q->issued < issuer_fetched_unix(i, now) - ISSUER_SKEW_S)
		return ISSUER_UNKNOWN_KEY;
	return i->window_until < q->deadline ? ISSUER_WAIT : ISSUER_GONE;
}

/* The rules, under the lock. */
static enum issuer_advice decide(
    struct issuer *i, const struct issuer_question *q, int64_t now, enum wait_for *wait)
{
	const struct keyset *keys = issuer_current(i, now);
	if (keys && keys != q->seen)
		return ISSUER_LOOK_AGAIN;
	if (keys && i->ok_started >= q->arrived)
		return ISSUER_UNKNOWN_KEY;
	if (silent(i, now) || now >= q->deadline || cancel_asked(&i->stop))
		return ISSUER_GONE;
	*wait = WAIT_FETCH;
	if (i->fetching || i->wanted || !i->tried)
		return ISSUER_WAIT;
	*wait = WAIT_NOTHING;
	if (now >= i->window_until)
		return ISSUER_WAIT;
	*wait = WAIT_WINDOW;
	return decide_in_window(i, q, now);
}

static bool take_slot(struct issuers *s)
{
	if (atomic_fetch_add(&s->waiters, 1) < s->opt.waiters)
		return true;
	atomic_fetch_sub(&s->waiters, 1);
	return false;
}

static void give_slot(struct issuers *s)
{
	atomic_fetch_sub(&s->waiters, 1);
}

enum issuer_advice issuer_ask(struct issuer *i, const struct issuer_question *q)
{
	enum wait_for wait;
	pthread_mutex_lock(&i->lock);
	enum issuer_advice advice = decide(i, q, clock_mono(), &wait);
	pthread_mutex_unlock(&i->lock);
	return advice;
}

static void want_fetch(struct issuer *i, int64_t now)
{
	i->wanted = true;
	i->started = now;
	/* Stamped before the fetch: a slow one does not let the next begin sooner. */
	i->window_until = now + ISSUER_WINDOW_S * CLOCK_SECOND;
	pthread_cond_broadcast(&i->cond);
}

/* One round of waiting; false when this caller may not wait (any longer). */
static bool wait_round(
    struct issuer *i, const struct issuer_question *q, enum wait_for wait, bool slot)
{
	int64_t now = clock_mono(), until = q->deadline;
	if (wait == WAIT_NOTHING)
		want_fetch(i, now);
	else if (wait == WAIT_WINDOW && !slot)
		return false;
	else if (wait == WAIT_WINDOW)
		until = i->window_until;
	if (wait != WAIT_WINDOW && !slot) {
		int64_t crowd = (i->tried ? i->started : q->arrived) + CROWD_WAIT;
		if (now >= crowd)
			return false;
		until = crowd < until ? crowd : until;
	}
	issuer_wait_until(i, until);
	return true;
}

enum issuer_advice issuer_wait_keys(struct issuer *i, const struct issuer_question *q)
{
	enum wait_for wait;
	enum issuer_advice advice;
	struct err e;
	if (i->store->opt.on_demand && issuer_run(i, &e) != ERR_OK)
		return ISSUER_GONE;
	bool slot = take_slot(i->store);
	pthread_mutex_lock(&i->lock);
	while ((advice = decide(i, q, clock_mono(), &wait)) == ISSUER_WAIT)
		if (!wait_round(i, q, wait, slot)) {
			advice = ISSUER_GONE;
			break;
		}
	pthread_mutex_unlock(&i->lock);
	if (slot)
		give_slot(i->store);
	return advice;
}
