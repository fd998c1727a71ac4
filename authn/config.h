/* The `authentication:` section: its structs and the schema table that fills them. */
#ifndef AUTHN_CONFIG_H
#define AUTHN_CONFIG_H

#include "common/schema.h"

/* Kinds of token (token_types). An unmarked one counts as an ID token. */
#define JWT_ID_TOKEN 1u
#define JWT_ACCESS_TOKEN 2u

/* As many as a review may ask for. */
#define AUTHN_AUDIENCES_MAX 64

/* Names and meaning of jwt[] are those of AuthenticationConfiguration, apiserver.config.k8s.io/v1;
 * what goes beyond it says so. A NULL string was not set. */
struct jwt_issuer_config {
	const char *url;
	const char *discovery_url;
	const char *certificate_authority; /* PEM text; NULL: the system's trust anchors */
	struct string_list audiences;	   /* never empty after loading */
	const char *audience_match_policy; /* NULL, "" or "MatchAny" */
	const char *egress_selector_type;  /* refused at load */
	/* ours */
	const char *jwks_file;	      /* keys from a file, no discovery, no network */
	unsigned signing_algorithms;  /* as jwt_algs() reads it; none set: nothing verifies */
	unsigned token_types;	      /* JWT_ID_TOKEN | JWT_ACCESS_TOKEN; 0: none is taken */
	struct string_list authorized_parties, hosted_domains; /* empty: not asked for */
	int64_t clock_skew;	      /* nanoseconds */
};

/* The claim, a path of one or more member names, must be a string equal to required_value. */
struct jwt_claim_rule {
	struct string_list claim;
	const char *required_value;	  /* NULL: "" */
	const char *expression, *message; /* refused at load */
};

enum jwt_email_verified {
	JWT_EMAIL_IF_PRESENT, /* as Kubernetes: where it is there, it must be true */
	JWT_EMAIL_REQUIRED    /* ours: it must be there and true */
};

struct jwt_username_config {
	struct string_list claim; /* a path, never empty after loading */
	const char *prefix;	  /* never NULL after loading; may be "" */
	const char *expression;	  /* refused at load */
	int email_verified;	  /* enum jwt_email_verified */
	bool email_verified_text; /* ours: the string "true" will do */
};

enum jwt_groups_from {
	JWT_GROUPS_VALUES, /* a string or a list of strings */
	JWT_GROUPS_KEYS	   /* ours: the names of an object's members */
};

/* Ours: OIDC Core 5.6.2, but only where the configuration says, never where the token alone does. */
struct jwt_distributed_config {
	struct string_list endpoints;	 /* none: such tokens are refused */
	const char *certificate_authority; /* of the endpoints; NULL: that of the answers' issuer */
	struct jwt_issuer_config issuer; /* of the answers; url NULL: the entry's own */
};

struct jwt_groups_config {
	struct string_list claim; /* none: no groups */
	const char *prefix;	  /* set when claim is */
	const char *expression;	  /* refused at load */
	int from;		  /* enum jwt_groups_from */
	struct jwt_distributed_config distributed;
};

struct jwt_plain_claim {
	struct string_list claim;
	const char *expression; /* refused at load */
};

struct jwt_extra_config {
	const char *key;
	struct string_list claim;     /* ours, until value_expression comes: a string or a list of strings */
	const char *value_expression; /* refused at load */
};

struct jwt_mappings_config {
	struct jwt_username_config username;
	struct jwt_groups_config groups;
	struct jwt_plain_claim uid; /* no claim: no uid */
	struct object_list extra;   /* struct jwt_extra_config */
};

struct jwt_config {
	struct jwt_issuer_config issuer;
	struct object_list claim_validation_rules; /* struct jwt_claim_rule */
	struct jwt_mappings_config claim_mappings;
	const struct yaml_node *user_validation_rules; /* refused at load */
	struct place place;
};

struct key_sets_config {
	int64_t max_age; /* ns that the last good set of a failing issuer serves */
};

struct login_config; /* authn/ldap_config.h */

/* How long verdicts are kept, and how many. */
struct authn_cache_config {
	int64_t ttl, refused_ttl; /* ns; 0: that kind is not kept */
	int64_t max_entries, max_megabytes;
};

struct authn_config {
	struct string_list audiences;	    /* what an accepted token is good for; never empty */
	struct object_list jwt;		    /* struct jwt_config */
	struct key_sets_config key_sets;
	struct object_list ldap;	    /* struct ldap_config */
	struct object_list keystone;	    /* struct keystone_config */
	struct string_list token_files;
	const char *denylist_file;	    /* NULL: none */
	struct authn_cache_config cache;
	const struct login_config *login;   /* set by the loader of the whole file; NULL: no login */
	struct place place;
};

extern const struct schema authn_config_schema;
extern const struct schema jwt_config_schema; /* struct jwt_config */
extern const struct schema jwt_issuer_schema; /* struct jwt_issuer_config */

/* The one issuer with a second name: Google's tokens may say `iss` without the scheme. */
#define JWT_GOOGLE "https://accounts.google.com"
#define JWT_GOOGLE_BARE "accounts.google.com"

/* The bits of authn/jose.h that CFG allows. */
unsigned jwt_algs(const struct jwt_issuer_config *cfg);

/* The whole path is the one top-level claim NAME. */
bool jwt_claim_is(const struct string_list *path, const char *name);
bool jwt_claim_same(const struct string_list *a, const struct string_list *b);

/* An absolute https URL with a host, without user, query and fragment: what an issuer may be. On
 * failure *WHY is a constant that says what is wrong ("must be https"). */
bool authn_issuer_url_ok(const char *url, const char **why);

#endif
