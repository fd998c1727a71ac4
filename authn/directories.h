/* The directories of one chain, and one person's password tried against them: what POST /login and basic
 * tokens have in common. */
#ifndef AUTHN_DIRECTORIES_H
#define AUTHN_DIRECTORIES_H

#include "authn/account_cache.h"
#include "authn/config.h"
#include "authn/ldap.h"
#include "authn/penalty.h"
#include "authn/services.h"
#include "authn/wrongs.h"

/* Failures that were counted. Of the services: a reload does not forgive. */
struct ldap_services {
	struct penalty *names;	   /* by typed name, by account, and all of a path */
	struct penalty *addresses; /* by the client's network */
	struct penalty *sessions;  /* refreshes, by session */
	struct wrongs *typed;	   /* directory, name as typed, password */
	struct wrongs *accounts;   /* directory, account, its version, password */
};

/* Belongs to one chain. Immutable but for the cache, which locks itself. */
struct directories {
	struct directory **items; /* in configured order */
	bool *basic;		  /* of each: takes basic tokens */
	size_t n, nbasic;
	struct account_cache *cache;
	struct ldap_services *guard;
};

/* Sets *OUT to NULL when neither a login nor a basic directory is configured. Reads files, no network. */
enum err_code directories_new(const struct authn_config *cfg, struct authn_services *services,
    struct directories **out, struct diags *d) MUST_CHECK;
void directories_free(struct directories **d);

/* The directory called NAME, NULL when there is none. */
struct directory *directories_find(const struct directories *d, struct slice name);

/* Under what an account is cached. */
struct slice directories_cache_key(
    struct arena *a, struct slice directory, struct slice account, struct slice uid);

/* The people's own names of tries: case and the number of blanks do not count. KIND keeps apart what is
 * counted side by side. */
struct slice directories_fold(struct arena *a, const char *kind, struct slice name);

struct password_try {
	/* in */
	struct arena *arena; /* wiped by its owner */
	struct slice username, password;
	struct slice directory; /* empty: any */
	struct slice client;	/* IP address whose failures are counted; empty: not */
	bool basic;		/* only directories that take basic tokens */
	int64_t deadline;	/* clock_mono() */
	/* out */
	const char *in; /* the directory that was asked last; NULL: none */
	struct directory_call dir; /* reason always set */
	int64_t wait; /* ns, with the reason "limited" */
	int64_t asked; /* clock_mono() before the question: what was heard is as old as that */
	/* its own */
	const struct directories *all;
	struct slice network, typed, account; /* keys of penalties taken; empty: none */
	struct wrong attempt, account_attempt; /* the second with ACCOUNT or REPEATED */
	bool repeated;
};

/* The first directory that knows the name decides; one that cannot tell ends the search, since the name
 * could be its own. A password that was wrong a moment ago, a name, an account or a network with too many
 * failures is refused without a person's bind (reasons "repeated", "limited"). Blocks; thread-safe. */
enum directory_verdict directories_try(const struct directories *d, struct password_try *t);

#endif
