/* Which users the directories still have: polls that count only when they are believable. */
#ifndef RBAC_SYNC_DIRECTORY_H
#define RBAC_SYNC_DIRECTORY_H

#include "common/schema.h"
#include "rbac-sync/lifecycle.h"

/* directories[]: the words of `oc adm groups sync` (LDAPSyncConfig v1). */
struct directory_config {
	struct place place;
	const char *name, *url, *bind_dn, *bind_password_file, *ca;
	bool insecure;
	struct string_list providers; /* whose users it vouches for; default ldap:NAME */
	const char *username_prefix;
	/* usersQuery */
	const char *base_dn, *filter;
	int scope, deref_aliases;
	int64_t timeout, page_size;
	struct string_list username_attributes;
	int64_t interval, confirm_after; /* ns: 1h; two good polls at least this far apart */
	int64_t min_ratio_percent;	 /* 80: fewer users than this share of the last good count is no good answer */
};
extern const struct schema directory_config_schema;

/* Pure core: what polls say. A poll is good only if bind and search succeeded to the end, at least one user came and at
 * least min_ratio of the last good count. */
struct roster;
struct roster *roster_new(const struct directory_config *c, size_t last_good_count);
void roster_free(struct roster **r);
void roster_failed(struct roster *r);
/* NAMES: usernames as portcullisd says them (prefix included). False: not believed, and why. */
bool roster_good(struct roster *r, const struct slice *names, size_t n, int64_t now, struct err *why);
enum directory_word roster_says(const struct roster *r, struct slice username, int64_t *missing_since);
size_t roster_count(const struct roster *r);

struct directories; /* thread-safe: one thread polls them all while LEADING says so */
struct directories *directories_start(const struct object_list *configs, void (*polled)(void *ctx), void *ctx);
void directories_stop(struct directories **d);
void directories_lead(struct directories *d, bool leading);
enum directory_word directories_say(struct directories *d, struct slice provider, struct slice username,
    int64_t *missing_since);

#endif
