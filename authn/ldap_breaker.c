/* Owns the arithmetic of servers' health: when to stop asking one, and when to try again. */
#include "authn/ldap_breaker.h"

#include "common/clock.h"
#include "common/secret.h"

#define BACKOFF_MIN CLOCK_SECOND
#define BACKOFF_MAX (60 * CLOCK_SECOND)
/* Without a server nobody can log in: a probe every few seconds is cheap beside that. */
#define BACKOFF_ALONE (5 * CLOCK_SECOND)
/* A single failure: others are asked first for so long. */
#define LATE_FOR (10 * CLOCK_SECOND)

/* NS and up to a quarter more: replicas must not probe in step. */
static int64_t jittered(int64_t ns)
{
	uint32_t r;
	secret_random(&r, sizeof(r));
	return ns + (int64_t)((double)ns * 0.25 * r / (double)UINT32_MAX);
}

static void wait_for(struct ldap_breaker *b, int64_t backoff, int64_t now)
{
	b->state = BREAKER_OPEN;
	b->backoff = backoff > BACKOFF_MAX ? BACKOFF_MAX : backoff;
	b->since = now;
	b->due = now + jittered(b->backoff);
}

bool breaker_good(struct ldap_breaker *b)
{
	bool closed = b->state != BREAKER_CLOSED;
	*b = (struct ldap_breaker){0};
	return closed;
}

bool breaker_bad(struct ldap_breaker *b, int64_t now)
{
	if (b->state != BREAKER_CLOSED)
		return false; /* an answer to a question from before */
	b->late_until = now + LATE_FOR;
	if (++b->failures < BREAKER_FAILURES)
		return false;
	wait_for(b, BACKOFF_MIN, now);
	return true;
}

bool breaker_slow(struct ldap_breaker *b, int64_t now)
{
	bool closed = breaker_good(b);
	b->late_until = now + LATE_FOR;
	return closed;
}

int64_t breaker_due(const struct ldap_breaker *b, bool alone)
{
	if (b->state != BREAKER_OPEN)
		return INT64_MAX;
	return alone && b->due > b->since + BACKOFF_ALONE ? b->since + BACKOFF_ALONE : b->due;
}

bool breaker_is_due(const struct ldap_breaker *b, bool alone, int64_t now)
{
	return breaker_due(b, alone) <= now;
}

void breaker_probe(struct ldap_breaker *b)
{
	b->state = BREAKER_HALF_OPEN;
}

void breaker_probe_failed(struct ldap_breaker *b, int64_t now)
{
	if (b->state == BREAKER_HALF_OPEN) /* else a request has closed it meanwhile */
		wait_for(b, 2 * b->backoff, now);
}

bool breaker_is_late(const struct ldap_breaker *b, int64_t now)
{
	return b->state == BREAKER_CLOSED && now < b->late_until;
}
