/* The `authentication:` section: its structs and the schema table that fills them. */
#ifndef AUTHN_CONFIG_H
#define AUTHN_CONFIG_H

#include "common/schema.h"

/* Names and meaning of jwt[] are those of AuthenticationConfiguration, apiserver.config.k8s.io/v1;
 * what goes beyond it says so. A NULL string was not set. */
struct jwt_issuer_config {
	const char *url;
	const char *discovery_url;
	const char *certificate_authority; /* PEM text; NULL: the system's trust anchors */
	struct string_list audiences;	   /* never empty after loading */
	const char *audience_match_policy; /* NULL, "" or "MatchAny" */
	const char *jwks_file;		   /* ours: keys from a file, no discovery, no network */
	const char *egress_selector_type;  /* refused at load */
};

/* The claim must be a string equal to required_value. */
struct jwt_claim_rule {
	const char *claim, *required_value; /* NULL: "" */
	const char *expression, *message; /* refused at load */
};

struct jwt_prefixed_claim {
	const char *claim, *prefix; /* both set, or neither; the prefix may be "" */
	const char *expression;	    /* refused at load */
};

struct jwt_plain_claim {
	const char *claim;
	const char *expression; /* refused at load */
};

struct jwt_extra_config {
	const char *key;
	const char *claim;	      /* ours, until value_expression comes: a string or a list of strings */
	const char *value_expression; /* refused at load */
};

struct jwt_mappings_config {
	struct jwt_prefixed_claim username; /* claim and prefix are always set */
	struct jwt_prefixed_claim groups;   /* claim NULL: no groups */
	struct jwt_plain_claim uid;	    /* claim NULL: no uid */
	struct object_list extra;	    /* struct jwt_extra_config */
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

struct authn_config {
	struct string_list audiences;	    /* what an accepted token is good for; never empty */
	struct object_list jwt;		    /* struct jwt_config */
	struct key_sets_config key_sets;
	struct object_list ldap;	    /* struct ldap_config */
	struct string_list token_files;
	const char *denylist_file;	    /* NULL: none */
	const struct login_config *login;   /* set by the loader of the whole file; NULL: no login */
	struct place place;
};

extern const struct schema authn_config_schema;
extern const struct schema jwt_config_schema; /* struct jwt_config */

/* An absolute https URL with a host, without user, query and fragment: what an issuer may be. On
 * failure *WHY is a constant that says what is wrong ("must be https"). */
bool authn_issuer_url_ok(const char *url, const char **why);

#endif
