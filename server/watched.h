/* The files and folders that the daemon watches. */
#ifndef SERVER_WATCHED_H
#define SERVER_WATCHED_H

#include "server/config.h"
#include "server/served.h"

/* All that C names and, for the policies that serve (NULL: none), where their imports lie. *OUT lives in A,
 * its strings there, in C and in the policies. Returns how many. */
size_t watched_paths(const struct config *c, const struct served_policy *policy,
    const struct served_policy *shadow, struct arena *a, const char ***out);

#endif
