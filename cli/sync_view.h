/* The cluster as the worker sees it, for commands that tell what it would do: listed once, never written. */
#ifndef CLI_SYNC_VIEW_H
#define CLI_SYNC_VIEW_H

#include "cli/sync.h"
#include "rbac-sync/reconcile_run.h"

/* Where to look and with what; all may be NULL. */
struct sync_view_options {
	const char *config, *templates, *kubeconfig, *context;
	bool allow_privileged;
};

/* Entries of a struct cli_option table that fill V. */
#define SYNC_VIEW_OPTIONS(v)                                                                       \
	{"config", 'c', &(v).config, NULL}, {"templates", 't', &(v).templates, NULL},              \
	    {"kubeconfig", 0, &(v).kubeconfig, NULL}, {"context", 0, &(v).context, NULL},          \
	    {"allow-privileged-grants", 0, NULL, &(v).allow_privileged}

/* After the options, for commands that take --user and --provider: ARGV has nothing left, and there is no provider
 * without a user. False after telling, which is CLI_USAGE. */
bool sync_view_words(const struct command *self, int argc, char **argv, const char *user, const char *provider);

/* Zeroed is empty. One thread. */
struct sync_view {
	struct cli_sync s;
	struct templates_held held;
	struct store *store;
	struct shared *shared;
	struct roles *roles;
	struct reconciler rec;
	const char **keys; /* of all records, sorted */
	size_t n;
	unsigned pass;
};

/* Reads configuration and templates, lists records, namespaces and our objects, reads the roles, and works out who is
 * due what is shared. False after telling what is wrong; sync_view_done is due either way. */
bool sync_view_open(const struct command *self, const struct sync_view_options *o, struct sync_view *out);
void sync_view_done(struct sync_view *v);

/* What the record KEY is due: RUN holds record, life and due, all in A. False: it cannot be read. */
bool sync_view_expect(struct sync_view *v, const char *key, struct arena *a, struct run *run);

/* What the worker would do about the record KEY: RUN holds record, life, what is due and the actions, all in A, none of
 * them open (what the store does not show was asked). False after telling what is wrong. */
bool sync_view_plan(
    const struct command *self, struct sync_view *v, const char *key, struct arena *a, struct run *run);

/* The object at ID, whole; *OUT NULL: there is none; the caller's. False after telling what is wrong. */
bool sync_view_object(const struct command *self, struct sync_view *v, const struct object_id *id, json_t **out);

/* R is of USER (a name, or the record's own), and of PROVIDER if that is not NULL. */
bool sync_view_is(const struct record *r, const char *user, const char *provider);

#endif
