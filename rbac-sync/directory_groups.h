/* Who is in which group by one poll, and what polls say of the groups that records claim: pure.
 *
 * A record's groups are what a token said. A poll can only take such a claim away, never give a group. */
#ifndef RBAC_SYNC_DIRECTORY_GROUPS_H
#define RBAC_SYNC_DIRECTORY_GROUPS_H

#include "rbac-sync/directory.h"

/* Steps from group to group that all claims together may take: more are groups in groups out of hand. */
#define DIRECTORY_STEPS_MAX 50000000

/* --- one poll --- */

/* Membership as one poll has it, groups in groups and primary groups included. */
struct crowd;

/* NULL when the answer is over a limit: WHY tells. C is borrowed, ANSWER is not needed any more afterwards. Names (DN) are
 * compared as RFC 4514 reads them; one that is nobody's that way is compared once more without types, blanks and what is
 * not ASCII: two spellings of one name must not look like somebody who left. */
struct crowd *crowd_new(const struct directory_config *c, const struct directory_answer *answer, struct err *why);
void crowd_free(struct crowd **c);

/* Users and confirmed are 0: others count those. */
struct directory_counts crowd_counts(const struct crowd *c);

enum crowd_word {
	CROWD_NOBODY = 0, /* there is no such user */
	CROWD_UNSURE,	  /* the entry lacks what its groups would be found by */
	CROWD_KNOWN
};

/* Turns to USERNAME (folded): crowd_has speaks of them until the next look. Adds what it took to STEPS. */
enum crowd_word crowd_look(struct crowd *c, struct slice username, size_t *steps);

/* GROUP: folded, without groupsPrefix. */
bool crowd_has(const struct crowd *c, struct slice group);

/* There is a group of that name, whoever is in it. */
bool crowd_names(const struct crowd *c, struct slice group);

/* --- what polls say together --- */

/* C is borrowed. LAST: counts of the last good poll of an earlier life. */
struct claims;
struct claims *claims_new(const struct directory_config *c, const struct directory_counts *last);
void claims_free(struct claims **p);

/* A poll failed, or its users are not believed. Until the next good one no claim is GONE. */
void claims_failed(struct claims *p);

/* The poll that began at WHEN had CROWD, which is taken. False: not believed, WHY tells, and all is as after
 * claims_failed. Believed are only at least one group, one member (where asked for: one primary group), and
 * minRatioPercent of each that the last good poll had: what is hidden was not left. */
bool claims_good(struct claims *p, struct crowd **crowd, struct directory_time when, struct err *why);

/* The words on all GROUPS that the record of PROVIDER and USERNAME claims, as they stand in the token; .directory is C's
 * name where it is C's to judge, else NULL: not a claim without groupsPrefix, nor one of a group that no good poll had
 * while it was claimed, which others may know (a query that finds less than portcullisd's does). They are remembered from here on, and forgotten when the record no longer claims them: who comes back
 * to a group begins anew. NOW: clock_mono; only polls that began later count against a claim that is new. GONE: the
 * last poll is good and has the user, and good polls confirmAfter apart, and all between, had the user and not the
 * group. While no claim at all was ever confirmed nothing is GONE: then names or queries are not portcullisd's. */
void claims_say(struct claims *p, struct slice provider, struct slice username, const struct slice *groups, size_t n,
    int64_t now, struct directory_claim *out);

/* Of the last good poll, an earlier life's too; users is 0. */
struct directory_counts claims_counts(const struct claims *p);

/* Claims, of users that it has and groups that it knows, that the last good poll did not confirm. */
size_t claims_missing(const struct claims *p);

#endif
