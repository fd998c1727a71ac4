/* Keystones as living things: connections, health and counts, which outlive the configuration snapshots. */
#ifndef AUTHN_KEYSTONE_SERVER_H
#define AUTHN_KEYSTONE_SERVER_H

#include "authn/keystone_config.h"
#include "authn/services.h"

/* Requests under way at one Keystone: half of the workers, so that one that hangs leaves the others to the
 * directories. */
#define KEYSTONE_BUSY_MAX 8
/* After so many failures in a row it is left alone for so long; then one request tries it. */
#define KEYSTONE_FAILURES_MAX 2
#define KEYSTONE_REST (3 * CLOCK_SECOND)

struct keystone_server;

enum keystone_answer {
	KEYSTONE_UNAVAILABLE = 0, /* no answer in time, or none of Keystone's */
	KEYSTONE_REFUSED,	  /* 401 or 404 by Keystone itself: it does not know the token */
	KEYSTONE_FORBIDDEN,	  /* 403: its policy does not let the token be asked about */
	KEYSTONE_GOOD		  /* BODY is its answer */
};

/* One question. */
struct keystone_query {
	const char *path;    /* behind /v3 */
	struct slice token;  /* to authenticate by, and to be asked about; empty: neither */
	bool subject;	     /* ask about TOKEN */
	struct slice body;   /* not empty: POST */
	int64_t deadline;    /* clock_mono() */
	/* out */
	struct slice answer; /* in the caller's arena */
	struct slice issued; /* X-Subject-Token of the answer, or empty; likewise */
};

/* The server of CFG (CA: its trust anchors, or empty): the living one when name, URL and anchors are the
 * same. Called from one thread at a time. */
struct keystone_server *keystone_acquire(
    struct authn_services *services, const struct keystone_config *cfg, struct slice ca);
void keystone_release(struct keystone_server **s);

/* False, with E why, while it rests: nobody needs to wait for what is known. Thread-safe. */
bool keystone_ready(struct keystone_server *s, struct err *e);

/* Blocks until Q's deadline at most. Thread-safe. */
enum keystone_answer keystone_ask(
    struct keystone_server *s, struct keystone_query *q, struct arena *arena, struct err *e);

/* A try at an application credential's secret: false when ID has had too many wrong ones. A try that was
 * not wrong is given back. Thread-safe; a reload forgives nothing. */
bool keystone_try_take(struct keystone_server *s, struct slice id);
void keystone_try_give(struct keystone_server *s, struct slice id);

/* A line for each: '+' when it answers, else '-'; then its name and what fails. For /readyz?verbose. */
void keystones_status(struct authn_services *services, struct buf *out);

#endif
