/* portcullisd's configuration: the one YAML file, read strictly and checked, as plain structs. Opens no
 * socket and reads no other file: what a path names is loaded by whoever owns it. */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "authn/config.h"
#include "authn/ldap_config.h"
#include "common/arena.h"
#include "common/diag.h"
#include "common/schema.h"
#include "common/secret.h"

#define CONFIG_DEFAULT_PATH "/etc/portcullis/portcullis.yaml"
#define CONFIG_API_VERSION "portcullis.dev/v1alpha1"
#define CONFIG_KIND "PortcullisConfiguration"

/* A configuration of 200 issuers with inline CAs stays far below this. */
#define CONFIG_BYTES_MAX ((size_t)4 << 20)

enum audit_mode { AUDIT_MODE_ASYNC, AUDIT_MODE_BLOCKING };

/* Whether the event of a new user is on disk before the apiserver gets its answer. */
/* The apiserver gives a token review 30 s, people give a command less. */
#define FIRST_LOGIN_WAIT_MS_MAX 2000

enum spool_durability { SPOOL_DURABILITY_SYNC, SPOOL_DURABILITY_ASYNC };

struct webhook_config {
	struct place place;
	const char *listen; /* "ADDRESS:PORT" */
	const char *certificate_file, *key_file, *client_ca_file;
	struct string_list allowed_clients; /* subject CN or DNS SAN of the apiserver */
	int64_t deadline;		    /* ns: token reviews that had to wait end by then */
};

struct ops_config {
	struct place place;
	bool present;
	const char *listen;
};

/* Who must have signed a policy: any THRESHOLD of the keys. */
struct signatures_config {
	struct place place;
	bool present;
	struct string_list public_keys; /* PEM files */
	int64_t threshold;
};

struct authorization_config {
	struct place place;
	bool present;
	const char *policy; /* a file or a directory */
	const char *shadow_policy; /* evaluated beside it, or NULL */
	const char *guards;	   /* tests that every policy must pass, or NULL */
	struct signatures_config signatures;
	int64_t max_shrink; /* percent of the rules that may leave at once; 100: the guard is off */
	bool require_generation;
	int64_t authorized_ttl; /* ns: how long the apiserver remembers an allow */
};

struct audit_config {
	struct place place;
	bool present;
	const char *path;
	int mode; /* enum audit_mode */
};

struct first_login_config {
	int64_t wait_ms; /* 0: answers wait for no grants */
};

struct new_users_config {
	struct place place;
	bool present;
	const char *spool_dir;
	int64_t touch_interval; /* ns */
	int durability;		/* enum spool_durability */
	struct first_login_config first_login;
};

struct config {
	struct arena arena; /* owns every string below */
	const char *path;
	char sha256[2 * SHA256_LEN + 1]; /* of the file's bytes */
	const char *api_version, *kind;
	const char *state_dir;
	struct webhook_config webhook;
	struct ops_config ops;
	struct login_config login;
	struct authn_config authentication;
	struct authorization_config authorization;
	struct audit_config audit;
	struct new_users_config new_users;
};

extern const struct schema config_schema;

/* Reads and checks PATH. All findings (warnings too) go to D; *OUT is set only when there is no error.
 * Free with config_free. */
enum err_code config_load(const char *path, struct config **out, struct diags *d) MUST_CHECK;

/* The same for text already in memory; NAME stands in findings and resolves relative paths. */
enum err_code config_parse(
    const char *name, struct slice text, struct config **out, struct diags *d) MUST_CHECK;

void config_free(struct config **c);

/* The files that `authentication` names (token files, key sets, passwords, CAs), found by the tables' path
 * fields. The list lives in A, its strings in C. */
#define CONFIG_FILES_MAX 1000
void config_authn_files(const struct config *c, struct arena *a, struct string_list *out);

/* docs/configuration-reference.md: every key, printed from the tables. */
void config_print_reference(struct buf *out);

#endif
