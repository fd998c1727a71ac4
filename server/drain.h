/* The end of a server: nothing that was taken in is dropped. */
#ifndef SERVER_DRAIN_H
#define SERVER_DRAIN_H

#include "server/server.h"

#define SERVER_LISTENERS 3

/* Indices of the listeners; the ops listener goes last, so that probes see the drain. */
enum server_listener { LISTENER_WEBHOOK, LISTENER_LOGIN, LISTENER_OPS };

/* How long requests under way may take to end. A deferred one has a deadline of at most 10 s. */
#define DRAIN_MAX (12 * CLOCK_SECOND)

/* Turns readiness off, stops accepting, waits for requests under way, ends worker pools and listeners. NULL
 * entries are skipped. A worker that does not come back ends the process with exit code 1. */
void drain(struct server *s, struct listener *listeners[SERVER_LISTENERS]);

#endif
