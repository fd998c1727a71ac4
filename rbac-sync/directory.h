/* Which users the directories still have, and in which groups: polls that count only when they are believable.
 *
 * Nothing here removes anything: it answers two questions, and DIRECTORY_GONE is the only answer that something may be
 * removed for. Whatever is not right with a directory gives no GONE at all. */
#ifndef RBAC_SYNC_DIRECTORY_H
#define RBAC_SYNC_DIRECTORY_H

#include <pthread.h>

#include "common/cancel.h"
#include "common/schema.h"
#include "rbac-sync/lifecycle.h"

/* Users that one directory may have: more are no good answer. */
#define DIRECTORY_USERS_MAX 500000
#define DIRECTORY_GROUPS_MAX 100000
/* Memberships that one directory may name, of users and of groups in groups. */
#define DIRECTORY_MEMBERSHIPS_MAX 2000000
/* Longer names of users and groups are nobody's. */
#define DIRECTORY_NAME_MAX 4096

struct directory_password {
	bool present;
	const char *file; /* read anew for each poll */
};

/* The words of LDAPQuery. */
struct directory_query {
	bool present;
	const char *base_dn, *filter;
	int scope;	     /* enum ldapx_scope */
	int deref;	     /* enum ldapx_deref */
	int64_t timeout;     /* seconds for a whole poll; 0: as long as one may take at all */
	int64_t page_size;   /* 0: no pages */
};

/* directories[]: the words of `oc adm groups sync` (LDAPSyncConfig v1). */
struct directory_config {
	struct place place;
	const char *name, *url, *bind_dn, *ca;
	struct directory_password bind_password;
	bool insecure;
	struct string_list providers; /* whose users it vouches for; empty: ldap:NAME */
	const char *username_prefix;  /* never NULL */
	struct directory_query users;
	struct string_list username_attributes;
	struct directory_query groups; /* absent: groups are not asked for, and what follows is unset */
	struct string_list group_name_attributes, membership_attributes;
	const char *user_uid_attribute; /* what memberships that groups name hold: "dn" or an attribute; NULL: users name them */
	const char *groups_prefix;	/* never NULL */
	bool nested_groups, primary_group;
	int64_t interval, confirm_after; /* ns: 1h; two good polls at least this far apart */
	int64_t min_ratio_percent;	 /* 80: less than this share of the last good count is no good answer */
};
extern const struct schema directory_config_schema;

/* What one entry cannot tell: two directories of one name. LIST holds struct directory_config. */
void directory_configs_check(const struct object_list *list, struct diags *d);

/* The name of a directory of LIST (NULL: none) that is to judge whether users of PROVIDER are in GROUP; NULL: none. */
const char *directory_configs_judge(const struct object_list *list, struct slice provider, struct slice group);

/* Does C vouch for the users of PROVIDER? */
bool directory_vouches(const struct directory_config *c, struct slice provider);

/* --- what a poll brings --- */

/* A user or a group, as far as asked for. */
struct directory_entry {
	struct slice dn;
	const struct slice *names; /* of users as portcullisd says them, of groups without groupsPrefix */
	size_t nnames;
	const struct slice *links; /* of groupMembershipAttributes; empty when the other kind of entry has them */
	size_t nlinks;
	const struct slice *uids;  /* of users: userUIDAttribute, when that is not dn */
	size_t nuids;
	struct slice primary;	   /* primaryGroupID of a user, primaryGroupToken of a group; empty: has none */
};

struct directory_answer {
	struct slice *names; /* of all users */
	size_t n;
	struct directory_entry *users, *groups; /* when groups are asked for */
	size_t nusers, ngroups;
};

/* What was counted in good polls, an earlier life's too: the measure of the next ones. */
struct directory_counts {
	size_t users, groups;
	size_t members;	  /* users in groups */
	size_t nested;	  /* groups in groups */
	size_t primary;	  /* users whose primary group was found */
	size_t confirmed; /* groups that records claim and a poll had, when last there were any */
};

/* --- what polls say: pure --- */

/* A moment by both clocks: intervals are measured by the first, the second is told. */
struct directory_time {
	int64_t mono; /* clock_mono() */
	int64_t unix_; /* seconds */
};

/* C is borrowed. LAST_GOOD_COUNT: users of the last good poll of an earlier life; 0: none is known. */
struct roster;
struct roster *roster_new(const struct directory_config *c, size_t last_good_count);
void roster_free(struct roster **r);

/* A poll failed. Until the next good one nobody is said to be gone. */
void roster_failed(struct roster *r);

/* NAMES: usernames as portcullisd says them (prefix included), in any order, twice or not. WHEN: at which the poll
 * began. False: not believed, WHY tells, and all is as after roster_failed. */
bool roster_good(
    struct roster *r, const struct slice *names, size_t n, struct directory_time when, struct err *why);

/* Names are compared without regard to the case of ASCII letters, as directories do: portcullisd says them as they
 * stand in the entry, and an entry that was only respelled is not gone. A name that does not begin with the prefix
 * was not made from this directory: UNKNOWN. Who is asked for is remembered, and only polls that begin after that
 * count against them: a user may be newer than the last poll. *MISSING_SINCE: unix seconds of the first good poll of
 * the row that did not have them; 0: there is none. */
enum directory_word roster_says(struct roster *r, struct slice username, int64_t *missing_since);

/* Users of the last good poll, an earlier life's too. */
size_t roster_count(const struct roster *r);

/* NAME in one case of ASCII letters into OUT (name.len bytes). */
struct slice directory_fold(struct slice name, char *out);

/* --- one poll --- */

/* What another thread needs to end a poll: STOP while it connects, then OPEN. Zeroed but for the lock and STOP. */
struct directory_link {
	pthread_mutex_t lock;
	struct ldapx *open;
	struct cancel stop;
};

/* Asks once, for users and then for groups: OUT in ARENA. Good only when connecting, TLS, bind and searches succeeded
 * and the answers are whole: size and time limits, references to other servers, pages or pieces without end, more than
 * DIRECTORY_USERS_MAX users or DIRECTORY_GROUPS_MAX groups, what does not fit ARENA's cap are failures. Entries without
 * a name are left out. Blocks for the queries' timeouts at most. */
enum err_code directory_poll(const struct directory_config *c, struct directory_link *link, struct arena *a,
    struct directory_answer *out, struct err *e) MUST_CHECK;

/* --- all of them --- */

/* Thread-safe: one thread polls them all while directories_lead says so, each as soon as leadership begins, then every
 * interval (after a failure sooner). CONFIGS (struct directory_config) is borrowed. POLLED is called after each poll,
 * in that thread, without a lock: records are to be looked at again, and the count be noted. */
struct directories;
struct directories *directories_start(const struct object_list *configs, void (*polled)(void *ctx), void *ctx);
void directories_stop(struct directories **d);

/* With a new leadership all starts anew: nobody is missing yet. The last good counts stay. */
void directories_lead(struct directories *d, bool leading);

/* The last good counts of directory NAME: what the leader notes on the Lease (NOTE_DIRECTORY NAME) after polls, users 0:
 * none yet; and what a new leader read there, before directories_lead. */
struct directory_counts directories_counts(struct directories *d, const char *name);
void directories_remember(struct directories *d, const char *name, const struct directory_counts *counts);

/* The same as a note: numbers with blanks between. Reading takes fewer as well, what is missing is 0. */
void directory_counts_write(const struct directory_counts *c, struct buf *out);
struct directory_counts directory_counts_read(const char *note);

/* Of several directories that vouch for PROVIDER one that has the user is enough, and all must say GONE. UNKNOWN while
 * not leading, and for a provider that no directory vouches for (any more). */
enum directory_word directories_say(struct directories *d, struct slice provider, struct slice username,
    int64_t *missing_since);

/* What is known of each of the N GROUPS that a record claims for USERNAME, into OUT, whose .directory (of
 * directory_configs_judge) becomes who said it; to be asked with all claims of the record (directory_groups.h tells
 * why). UNKNOWN is said as above, of groups that are no directory's, and of users that it does not have. One directory
 * that has the user in the group is enough; all that may judge must say GONE. Who asks no groups may not, and holds others' GONE back unless the user is GONE there. */
void directories_claims(struct directories *d, struct slice provider, struct slice username,
    const struct slice *groups, size_t n, struct directory_claim *out);

#endif
