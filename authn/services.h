/* What authentication keeps across configuration snapshots: issuers' key sets with their refresher
 * threads, directory connections, our own signing keys. */
#ifndef AUTHN_SERVICES_H
#define AUTHN_SERVICES_H

#include "common/diag.h"
#include "common/err.h"
#include "common/str.h"

struct authn_config;  /* authn/config.h */
struct denylist;      /* authn/denylist.h */
struct flights;	      /* authn/flight.h */
struct ldap_pools;    /* authn/ldap_pool.h */
struct ldap_services; /* authn/ldap.h */
struct keystones;     /* authn/keystone_server.c */
struct mint;	      /* authn/mint.h */
struct issuers;	      /* authn/issuer.h */
struct sessions;      /* authn/sessions.h */

struct authn_services_options {
	const char *state_dir; /* existing directory; NULL: nothing survives the process */
	/* What is in state_dir is used where it can be read, and nothing written there. */
	bool read_only;
	/* No authn_services_start: an issuer is asked when the first token waits for its keys. Key sets kept
	 * in state_dir are not used. */
	bool on_demand;
	unsigned workers;      /* threads that run authn_work: at most half of them wait long */
	/* Called when ISSUER begins to fail, fails otherwise than before (E says why) or is well again (E
	 * NULL), also about the age of its keys and their copy on disk: the caller may log it. From
	 * background threads, and from authn_chain_new. May be NULL. */
	void (*event)(void *arg, const char *issuer, const struct err *e);
	void *event_arg;
	/* Called from any thread when SERVER of DIRECTORY keeps failing and is no longer asked (E says why), and
	 * when it is asked again (E NULL). May be NULL. */
	void (*directory_event)(
	    void *arg, const char *directory, const char *server, const struct err *e);
	/* Called from any thread when the denylist was read anew (E NULL), and when its file cannot be used
	 * (E says why) and the ENTRIES read before serve on. May be NULL. */
	void (*denylist_event)(void *arg, const char *path, size_t entries, const struct err *e);
};

/* Made once, before the first chain; outlives every chain. */
struct authn_services {
	char *state_dir;
	struct issuers *issuers;
	struct ldap_pools *pools;
	/* Slots of their owners, who set them in authn_services_new's second half or on first use, with
	 * the function that frees them. */
	struct ldap_services *ldap;
	void (*ldap_free)(struct ldap_services **);
	struct mint *mint;
	void (*mint_free)(struct mint **);
	struct flights *flights;
	uint8_t verdict_key[32]; /* random: digests of tokens are worth nothing to others */
	struct sessions *sessions;
	void (*sessions_free)(struct sessions **);
	/* The one that a chain asked for last: a new chain shares it, so that a reload while its file is
	 * broken keeps the entries. */
	struct denylist *denylist;
	struct authn_services_options options; /* state_dir is not kept */
	struct keystones *keystones;
	void (*keystones_free)(struct keystones **);
};

/* No network, no threads. */
enum err_code authn_services_new(const struct authn_services_options *opt,
    struct authn_services **out, struct err *e) MUST_CHECK;

/* The living denylist of CFG's file with a reference for the caller, or a new one. One thread at a time. */
enum err_code authn_services_denylist(struct authn_services *s, const struct authn_config *cfg,
    struct denylist **out, struct diags *d) MUST_CHECK;

/* The state directory for the owner of the file NAME in it. NULL when there is none, and for read_only when
 * that file cannot be read: its owner then makes do as if nothing survived. */
const char *authn_services_state(const struct authn_services *s, const char *name);

/* From here on background threads run: one for each issuer of the living chains. Call after the last
 * fork. Issuers that later chains bring start at once. */
enum err_code authn_services_start(struct authn_services *s, struct err *e) MUST_CHECK;

/* Waits until each issuer of the living chains has tried its first fetch, successfully or not, or
 * DEADLINE (clock_mono) has passed: call after authn_chain_new and before the chain serves, so that
 * nobody is refused for lack of keys that are a round trip away. True when all have key sets. */
bool authn_services_settle(struct authn_services *s, int64_t deadline);

/* CFG comes into force: what it says of things that outlive configurations (the age of key sets). */
void authn_services_apply(struct authn_services *s, const struct authn_config *cfg);

/* Brings metrics that change with time up to date: call before metrics_write. */
void authn_services_measure(struct authn_services *s);

/* Whose deadline passed while another call works for them, is answered. Call about once a second. */
void authn_services_sweep(struct authn_services *s);

/* A line for each issuer: '+' when its keys are current, else '-'; then its URL, number of keys, last
 * error. For /readyz?verbose. */
void authn_services_status(struct authn_services *s, struct buf *out);

/* A line for each server of the living chains' directories: '+' when it is asked, '-' when not; then what
 * /readyz?verbose shows of it. */
void authn_services_directories(struct authn_services *s, struct buf *out);

/* After the last chain is freed: joins the threads. */
void authn_services_free(struct authn_services **s);

#endif
