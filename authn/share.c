/* Owns what calls for the same token share: the verdict kept from a moment ago, and the one being
 * found out. */
#include "authn/chain.h"
#include "authn/flight.h"
#include "authn/issuer.h"
#include "authn/login.h"
#include "authn/verdict_cache.h"
#include "common/clock.h"

/* A call's part in it; in its arena. */
struct authn_share {
	struct verdict_key key;
	struct flight *flight; /* of the token, led by this call; NULL: alone, or not yet */
	struct flight *work; /* of what the work is about, likewise */
	struct flight_waiter waiter;
	bool waits_for_work; /* the waiter is of a work flight, not of the token's */
	bool working; /* waits for nobody any more */
};

/* --- keys --- */

/* Which of our audiences are asked for. What else is asked for has no say in the verdict, and
 * whoever asks cannot fill the cache with it. */
static uint64_t wanted(const struct authn_chain *c, const struct authn_call *call)
{
	uint64_t bits = 0;
	_Static_assert(sizeof(bits) * 8 == AUTHN_AUDIENCES_MAX, "a bit for each audience");
	for (size_t i = 0; i < c->cfg->audiences.len; i++)
		for (size_t k = 0; k < call->naudiences; k++)
			if (slice_eq(c->audiences[i], call->audiences[k]))
				bits |= UINT64_C(1) << i;
	return bits;
}

/* Of both kinds of key, the first bytes tell the kind, and only the last piece is of the asker's making: none
 * can be made to equal another. */
static struct verdict_key key_of(const struct authn_chain *c, const struct authn_call *call)
{
	struct verdict_key key;
	const uint64_t facts[] = {c->id, issuers_generation(c->services->issuers),
	    authn_login_generation(c), wanted(c, call), call->naudiences > 0};
	const struct slice pieces[] = {SLICE("token"), {(const char *)facts, sizeof(facts)}, call->token};
	hmac_sha256(c->services->verdict_key, pieces, ARRAY_LEN(pieces), key.b);
	return key;
}

static struct verdict_key work_key_of(const struct authn_chain *c, const struct authn_call *call)
{
	struct verdict_key key;
	const struct slice pieces[] = {SLICE("work"), {(const char *)&c->id, sizeof(c->id)},
	    {call->pending->name, strlen(call->pending->name) + 1}, call->work_key};
	hmac_sha256(c->services->verdict_key, pieces, ARRAY_LEN(pieces), key.b);
	return key;
}

/* --- the beginning --- */

static struct flight_waiter *new_waiter(struct authn_call *call)
{
	struct flight_waiter *w = &call->share->waiter;
	if (!call->wake)
		return NULL;
	*w = (struct flight_waiter){
	    .deadline = call->deadline, .wake = call->wake, .arg = call->wake_arg};
	return w;
}

static struct verdict *kept(const struct authn_chain *c, const struct authn_call *call)
{
	return c->cache ? verdict_cache_get(c->cache, &call->share->key, clock_mono()) : NULL;
}

static enum authn_step missed(const struct authn_chain *c, enum authn_step step)
{
	if (c->cache)
		verdict_cache_missed(c->cache);
	return step;
}

/* It may have been found out between the look into the cache and now. */
static enum authn_step lead(const struct authn_chain *c, struct authn_call *call)
{
	struct verdict *v = kept(c, call);
	if (!v)
		return missed(c, AUTHN_PASS);
	flight_end(&call->share->flight, v, call->deadline);
	return verdict_give(&v, call);
}

enum authn_step share_begin(const struct authn_chain *c, struct authn_call *call)
{
	if (call->trace || !c->services)
		return AUTHN_PASS;
	call->share = ARENA_NEW(call->arena, struct authn_share);
	call->share->key = key_of(c, call);
	struct verdict *v = kept(c, call);
	if (v)
		return verdict_give(&v, call);
	switch (flight_enter(
	    c->services->flights, &call->share->key, new_waiter(call), &call->share->flight, &v)) {
	case FLIGHT_LEADS:
		return lead(c, call);
	case FLIGHT_ENDED:
		return missed(c, verdict_give(&v, call));
	case FLIGHT_JOINED:
		return missed(c, AUTHN_SHARED);
	default:
		return missed(c, AUTHN_PASS);
	}
}

/* --- work --- */

/* SHARED when another call does this work. */
static enum authn_step share_work(const struct authn_chain *c, struct authn_call *call)
{
	struct authn_share *s = call->share;
	struct verdict_key key = work_key_of(c, call);
	struct verdict *v = NULL;
	switch (flight_enter(c->services->flights, &key, new_waiter(call), &s->work, &v)) {
	case FLIGHT_JOINED:
		s->waits_for_work = true;
		return AUTHN_SHARED;
	case FLIGHT_LEADS:
		flight_works(s->work);
		return AUTHN_NEEDS_WORK;
	default:
		verdict_unref(&v);
		return AUTHN_NEEDS_WORK;
	}
}

void share_busy(struct authn_call *call)
{
	if (call->share)
		call->share->working = true;
}

enum authn_step share_works(const struct authn_chain *c, struct authn_call *call)
{
	struct authn_share *s = call->share;
	if (!s || !s->flight || s->working)
		return AUTHN_NEEDS_WORK;
	if (!call->wake) {
		/* Nobody is bound to end it. */
		flight_end(&s->flight, NULL, call->deadline);
		return AUTHN_NEEDS_WORK;
	}
	flight_works(s->flight);
	return call->work_key.len && !s->work ? share_work(c, call) : AUTHN_NEEDS_WORK;
}

/* --- the end --- */

void share_end(const struct authn_chain *c, struct authn_call *call, enum authn_step step)
{
	struct authn_share *s = call->share;
	bool keep = c->cache && call->keep > 0 && step != AUTHN_UNAVAILABLE;
	if (!s || (!s->flight && !s->work && !keep))
		return;
	struct verdict *v = verdict_new(call, step);
	if (keep)
		verdict_cache_put(c->cache, &s->key, v, call->keep, clock_mono(), clock_now());
	if (s->work)
		flight_end(&s->work, v, call->deadline);
	if (s->flight)
		flight_end(&s->flight, v, call->deadline);
	verdict_unref(&v);
}

bool authn_await(struct authn_call *call)
{
	return flight_await(&call->share->waiter);
}

enum authn_step share_collect(const struct authn_chain *c, struct authn_call *call)
{
	struct authn_share *s = call->share;
	struct flight_waiter *w = &s->waiter;
	bool for_work = s->waits_for_work;
	s->waits_for_work = false;
	if (w->leads) {
		*(for_work ? &s->work : &s->flight) = w->flight;
		return AUTHN_PASS;
	}
	/* The account's state is known now; this token's own verdict is not. */
	if (for_work && w->verdict && verdict_step(w->verdict) != AUTHN_UNAVAILABLE) {
		verdict_unref(&w->verdict);
		return AUTHN_PASS;
	}
	enum authn_step step = w->verdict ? verdict_give(&w->verdict, call)
					  : authn_say(call, AUTHN_UNAVAILABLE, "timeout",
						"another review's work on the same took too long");
	if (for_work)
		share_end(c, call, step);
	return step;
}
