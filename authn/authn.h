/* Who is this token? Identities, the authenticator interface and the chain of them.
 *
 * try_now must not block; what may block says AUTHN_NEEDS_WORK and is finished by authn_work on a worker
 * thread. A chain belongs to one configuration snapshot and is immutable. */
#ifndef AUTHN_AUTHN_H
#define AUTHN_AUTHN_H

#include "common/arena.h"
#include "common/diag.h"
#include "common/err.h"
#include "common/str.h"

struct identity_extra {
	struct slice key;
	const struct slice *values;
	size_t n;
};

struct identity {
	struct slice username, uid;
	const struct slice *groups; /* sorted, no duplicates, none reserved */
	size_t ngroups;
	const struct identity_extra *extra;
	size_t nextra;
	struct slice provider; /* which authenticator: "jwt:https://…", "ldap:corp", "tokenFile" */
	struct slice issuer;   /* iss of the token, or empty */
	int64_t expires;       /* unix seconds; 0: no end of its own */
};

/* Which credential it was, apart from whose: what a denylist names. Empty or 0 where it does not say. */
struct credential {
	struct slice subject; /* sub of the token; of a directory's person the canonical account */
	struct slice id;      /* jti, or what the authenticator has in its place */
	struct slice kid;     /* of the key that verified it */
	int64_t issued;	      /* iat, unix seconds */
	struct slice session; /* sid of a login of ours */
};

/* Zero is "not mine": nothing that was left unset ever accepts. */
enum authn_step {
	AUTHN_PASS = 0,	   /* not this authenticator's token */
	AUTHN_ACCEPT,	   /* call->id is set */
	AUTHN_REJECT,	   /* mine, and refused: the chain ends */
	AUTHN_NEEDS_WORK,  /* try_now only */
	AUTHN_UNAVAILABLE, /* mine, but cannot decide now: 503 */
	AUTHN_SHARED	   /* the chain alone: another call works on the same; see authn_await */
};

/* For `portcullis token explain`. DETAIL is secret-free. */
struct authn_trace {
	/* Told of each check as it is made. */
	void (*check)(struct authn_trace *self, const char *name, bool passed, const char *detail);
	/* Told what each authenticator says, after its checks: twice when it first says
	 * AUTHN_NEEDS_WORK. Checks that follow the last are the chain's own. */
	void (*asked)(struct authn_trace *self, const char *authenticator, enum authn_step step);
};

struct authn;
struct jose_token; /* authn/jose.h */

struct authn_call {
	/* in */
	struct arena *arena; /* the request's: results live there */
	struct slice token;
	const struct slice *audiences; /* spec.audiences, may be none */
	size_t naudiences;
	int64_t now;	  /* wall clock, nanoseconds */
	int64_t deadline; /* clock_mono(): work gives up by then */
	struct authn_trace *trace; /* NULL: nobody watches; else neither cache nor other calls help */
	/* Not NULL: the caller can be suspended, and is called once after an authn_await that said false,
	 * from any thread. */
	void (*wake)(void *arg);
	void *wake_arg;
	/* out */
	struct identity id;
	struct credential credential; /* set by who accepts */
	/* Longest time (ns, from now) for which a cache may keep this verdict, set by the authenticator with
	 * an ACCEPT or a REJECT. 0, unless it says otherwise: not at all. */
	int64_t keep;
	/* Set with AUTHN_NEEDS_WORK: what the work is about, when tokens other than this one need the same
	 * work (an account's look-up). While one call does it the others wait, and are then asked anew. */
	struct slice work_key;
	const struct slice *granted; /* status.audiences: subset of what was asked; none: leave absent */
	size_t ngranted;
	const char *authenticator; /* name of the one that decided; NULL when all passed */
	/* Stable short word for metrics and audit: "expired", "badSignature", "unknownKey", "noMatch", … */
	const char *reason;
	struct err why; /* secret-free sentence for the log and audit */
	/* the chain's own */
	const struct authn *pending; /* who said NEEDS_WORK */
	struct slice iss;	      /* the token's, once read: authn_call_says_issuer */
	const struct jose_token *jwt; /* the token taken apart, once: authn_call_jwt */
	struct authn_share *share;    /* its part in what calls share; NULL: none */
	bool iss_tried, jwt_tried;
	int64_t arrived; /* clock_mono() of the first try_now */
};

/* What each kind of authenticator provides. */
struct authn_ops {
	const char *kind; /* "jwt", "ldapToken", "tokenFile" */
	enum authn_step (*try_now)(const struct authn *self, struct authn_call *call);
	enum authn_step (*work)(const struct authn *self, struct authn_call *call); /* may be NULL */
	/* Whether it could be its token, told without verifying and cheaply enough for every token of every
	 * cluster. Only after a true are cache and calls under way looked at; NULL: never. What such an
	 * authenticator finds must rest on token, time and its own state alone, not on the audiences asked
	 * for beyond ours. */
	bool (*mine)(const struct authn *self, struct authn_call *call);
	void (*destroy)(struct authn *self);
};

/* First member of each authenticator's own struct. */
struct authn {
	const struct authn_ops *ops;
	const char *name; /* for logs, metrics labels and audit */
};

struct authn_chain;
struct authn_config;   /* authn/config.h */
struct authn_services; /* authn/services.h: what outlives snapshots (key sets, LDAP pools, signing keys) */

/* Builds the authenticators of CFG. Files are read (token files, CA, bind password); no network. */
enum err_code authn_chain_new(const struct authn_config *cfg, struct authn_services *services,
    struct authn_chain **out, struct diags *d) MUST_CHECK;
void authn_chain_free(struct authn_chain **c);

/* Notices a changed denylist though nobody is authenticated. Thread-safe. */
void authn_chain_look(const struct authn_chain *c);

/* The denylist's line, if there is one, for /readyz?verbose: '+' or '-', then path, entries, what is wrong. */
void authn_chain_status(const struct authn_chain *c, struct buf *out);

/* Asks each authenticator in turn. Then, for an ACCEPT: the reserved-name firewall (no user system:*,
 * kubeadm:*, kubernetes-admin, nor as our worker is named; such groups dropped and counted), sane names, audiences
 * intersected.
 * All PASS reads as AUTHN_REJECT with reason "noMatch". Never AUTHN_PASS. Thread-safe. */
enum authn_step authn_try_now(const struct authn_chain *c, struct authn_call *call);

/* Finishes what try_now left as AUTHN_NEEDS_WORK; never returns that again. */
enum authn_step authn_work(const struct authn_chain *c, struct authn_call *call);

/* After AUTHN_SHARED, which only a call with `wake` gets, once the caller is ready to be woken. True: it need
 * not wait. Then, or when woken, authn_collect: the end of the call, NEEDS_WORK or SHARED once more. */
bool authn_await(struct authn_call *call);
enum authn_step authn_collect(const struct authn_chain *c, struct authn_call *call);

/* In place of authn_work, when the work cannot be done: REASON and TEXT say why, to those who wait for the
 * same too. Returns AUTHN_UNAVAILABLE. A call with `wake` that got NEEDS_WORK must come to one of the two. */
enum authn_step authn_give_up(
    const struct authn_chain *c, struct authn_call *call, const char *reason, const char *text);

#endif
