/* What is known of one server's health: a circuit breaker that opens when the server fails again and again, so
 * that nobody waits for it, and closes when a probe or a request that was under way succeeds.
 *
 * No clock, no lock, no network of its own: NOW is clock_mono(), the caller locks. */
#ifndef AUTHN_LDAP_BREAKER_H
#define AUTHN_LDAP_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* Consecutive failures that open it: one may be a restart, three are a state. */
#define BREAKER_FAILURES 3

/* The numbers are those of the metric portcullis_directory_breaker_state. */
enum breaker_state {
	BREAKER_CLOSED = 0, /* requests may use the server */
	BREAKER_HALF_OPEN,  /* a probe is under way, requests may not */
	BREAKER_OPEN	    /* the next probe is due at `due` */
};

/* Zeroed: closed and well. */
struct ldap_breaker {
	enum breaker_state state;
	unsigned failures; /* consecutive */
	int64_t backoff;   /* of the probe that is due, without jitter */
	int64_t since;	   /* when it began to wait */
	int64_t due;
	int64_t late_until; /* closed, but failed a moment ago: others first */
};

/* A request or a probe succeeded. True when that closed it. */
bool breaker_good(struct ldap_breaker *b);

/* A request failed. True when that opened it. */
bool breaker_bad(struct ldap_breaker *b, int64_t now);

/* A request failed whose beginning the server had answered: it is there, and somebody's entry may be what is slow.
 * Others come first for a while. True when that closed it. */
bool breaker_slow(struct ldap_breaker *b, int64_t now);

/* Open, and a probe is due. ALONE: the directory has no closed server, so probes do not back off far. */
bool breaker_is_due(const struct ldap_breaker *b, bool alone, int64_t now);

/* When a probe will be due; INT64_MAX unless open. */
int64_t breaker_due(const struct ldap_breaker *b, bool alone);

void breaker_probe(struct ldap_breaker *b); /* open to half-open */
void breaker_probe_failed(struct ldap_breaker *b, int64_t now);

/* Closed, but better asked after others. */
bool breaker_is_late(const struct ldap_breaker *b, int64_t now);

#endif
