/* Which users the directories still have: polls that count only when they are believable.
 *
 * Nothing here removes anything: it answers one question, and DIRECTORY_GONE is the only answer that something may be
 * removed for. Whatever is not right with a directory gives no GONE at all. */
#ifndef RBAC_SYNC_DIRECTORY_H
#define RBAC_SYNC_DIRECTORY_H

#include <pthread.h>

#include "common/cancel.h"
#include "common/schema.h"
#include "rbac-sync/lifecycle.h"

/* Users that one directory may have: more are no good answer. */
#define DIRECTORY_USERS_MAX 500000

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
	int64_t interval, confirm_after; /* ns: 1h; two good polls at least this far apart */
	int64_t min_ratio_percent;	 /* 80: fewer users than this share of the last good count is no good answer */
};
extern const struct schema directory_config_schema;

/* What one entry cannot tell: two directories of one name. LIST holds struct directory_config. */
void directory_configs_check(const struct object_list *list, struct diags *d);

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

/* --- one poll --- */

/* What another thread needs to end a poll: STOP while it connects, then OPEN. Zeroed but for the lock and STOP. */
struct directory_link {
	pthread_mutex_t lock;
	struct ldapx *open;
	struct cancel stop;
};

/* Asks once: NAMES in ARENA. Good only when connecting, TLS, bind and search succeeded and the answer is whole: size
 * and time limits, references to other servers, pages without end, more than DIRECTORY_USERS_MAX users, what does not
 * fit ARENA's cap are failures. Entries without a name are left out. Blocks for the query's timeout at most. */
enum err_code directory_poll(const struct directory_config *c, struct directory_link *link, struct arena *a,
    struct slice **names, size_t *n, struct err *e) MUST_CHECK;

/* --- all of them --- */

/* Thread-safe: one thread polls them all while directories_lead says so, each as soon as leadership begins, then every
 * interval (after a failure sooner). CONFIGS (struct directory_config) is borrowed. POLLED is called after each poll,
 * in that thread, without a lock: records are to be looked at again, and the count be noted. */
struct directories;
struct directories *directories_start(const struct object_list *configs, void (*polled)(void *ctx), void *ctx);
void directories_stop(struct directories **d);

/* With a new leadership all starts anew: nobody is missing yet. The last good counts stay. */
void directories_lead(struct directories *d, bool leading);

/* The last good count of directory NAME: what the leader notes on the Lease (NOTE_DIRECTORY NAME) after polls, 0: none
 * yet; and what a new leader read there, before directories_lead. */
size_t directories_count(struct directories *d, const char *name);
void directories_remember(struct directories *d, const char *name, size_t count);

/* Of several directories that vouch for PROVIDER one that has the user is enough, and all must say GONE. UNKNOWN while
 * not leading, and for a provider that no directory vouches for (any more). */
enum directory_word directories_say(struct directories *d, struct slice provider, struct slice username,
    int64_t *missing_since);

#endif
