/* Bounded memory of failures: token buckets by key, and one for all of a path, so that guessing passwords
 * is slow and does not become a flood of binds that lock accounts in the directory. */
#ifndef AUTHN_PENALTY_H
#define AUTHN_PENALTY_H

#include "common/str.h"

struct penalty_limits {
	/* So many tries at once, then one an interval (ns): of one key, and of all keys of one path. */
	int64_t key_burst, key_interval;
	int64_t all_burst, all_interval;
};

/* By which way a try came. A key has one bucket whichever way; all keys together have one a path, so
 * that a flood on one does not close the other. */
enum penalty_path { PENALTY_REVIEW, PENALTY_LOGIN, PENALTY_PATHS };

struct penalty;

struct penalty *penalty_new(const struct penalty_limits *limits);
void penalty_free(struct penalty **p);

/* Takes one try of KEY and one of PATH before the try is made: many at once cannot slip through.
 * False, and nothing taken, when either is used up; *WAIT is then in nanoseconds. NOW:
 * clock_mono(). Thread-safe. */
bool penalty_take(
    struct penalty *p, enum penalty_path path, struct slice key, int64_t now, int64_t *wait);

/* The same for KEY alone. */
bool penalty_take_key(struct penalty *p, struct slice key, int64_t now, int64_t *wait);

/* The try was no failure: gives back what penalty_take or penalty_take_key took. */
void penalty_give(struct penalty *p, enum penalty_path path, struct slice key);
void penalty_give_key(struct penalty *p, struct slice key);

#endif
