/* Configuration of Keystones (authentication.keystone[]). */
#ifndef AUTHN_KEYSTONE_CONFIG_H
#define AUTHN_KEYSTONE_CONFIG_H

#include "common/schema.h"

/* What the username is made of. */
enum keystone_username { KEYSTONE_USER_NAME = 0, KEYSTONE_USER_ID };

/* Names are unique only within a domain: with it, or, where there is but one, without. */
enum keystone_names { KEYSTONE_QUALIFIED = 0, KEYSTONE_PLAIN };

/* Bits of keystone_config.groups_from. */
enum keystone_group {
	KEYSTONE_PROJECT_ID = 1 << 0,
	KEYSTONE_PROJECT_NAME = 1 << 1,
	KEYSTONE_PROJECT_ID_ROLE = 1 << 2,
	KEYSTONE_PROJECT_NAME_ROLE = 1 << 3,
	KEYSTONE_ROLE = 1 << 4,
	KEYSTONE_USER_GROUP = 1 << 5
};

/* Bits of keystone_config.scopes. */
enum keystone_scope {
	KEYSTONE_SCOPE_PROJECT = 1 << 0,
	KEYSTONE_SCOPE_DOMAIN = 1 << 1,
	KEYSTONE_SCOPE_SYSTEM = 1 << 2,
	KEYSTONE_UNSCOPED = 1 << 3
};

/* Bits of keystone_config.formats. */
enum keystone_format {
	KEYSTONE_FERNET = 1 << 0,
	KEYSTONE_JWS = 1 << 1,
	KEYSTONE_UUID = 1 << 2
};

/* Whoever has ROLE (in PROJECT, when it is set) is in GROUPS. */
struct keystone_role_mapping {
	const char *role;
	const char *project; /* an id or DOMAIN/NAME; NULL: any that the entry accepts */
	struct string_list groups;
};

struct keystone_config {
	struct place place;
	const char *name; /* DNS label; in metrics and audit */
	const char *url;  /* https; with or without the final /v3 */
	const char *ca_pem, *ca_file; /* at most one; neither: the system's bundle */
	int username;		      /* enum keystone_username */
	int names;		      /* enum keystone_names */
	const char *username_prefix;  /* never NULL */
	const char *groups_prefix;    /* NULL only where no groups are given */
	struct string_list groups;    /* words of groups_from */
	struct object_list role_mappings; /* struct keystone_role_mapping */
	struct string_list domains;	  /* names of the people's domains; none: all */
	struct string_list projects;	  /* ids and DOMAIN/NAMEs; none: all */
	struct string_list required_roles; /* at least one of them; none: no role is needed */
	struct string_list scope_words, format_words;
	unsigned groups_from, scopes, formats; /* bits; set by the check of the words */
	bool delegated;		      /* accept trusts and OAuth */
	bool application_credentials; /* accept them in place of a token */
	int64_t timeout;	      /* ns */
	int64_t cache_ttl;	      /* ns */
};

extern const struct schema keystone_config_schema; /* struct keystone_config */

/* What one entry cannot tell: two of one name. Call it from the check of the struct that embeds the list. */
void keystone_configs_check(const struct object_list *list, struct diags *d);

#endif
