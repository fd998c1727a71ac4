/* Configuration of directories (authentication.ldap[]) and of the login endpoint (login). Embed with
 * FIELD_OBJECTS / FIELD_OBJECT; a struct of these lives as long as the arena it was bound into. */
#ifndef AUTHN_LDAP_CONFIG_H
#define AUTHN_LDAP_CONFIG_H

#include "common/schema.h"

/* Servers of one directory. */
#define LDAP_URLS_MAX 16

enum ldap_scope { LDAP_CFG_SUB = 0, LDAP_CFG_ONE };

/* What the entry is a short form for; the other members hold its meaning. */
enum ldap_type { LDAP_TYPE_GENERIC = 0, LDAP_TYPE_ACTIVE_DIRECTORY };

/* Where an account's state is read, beside what its bind says. */
enum ldap_state { LDAP_STATE_NONE = 0, LDAP_STATE_ACTIVE_DIRECTORY, LDAP_STATE_PASSWORD_POLICY };

enum ldap_name_from { LDAP_NAME_FROM_ENTRY = 0, LDAP_NAME_FROM_DN };
enum ldap_nested { LDAP_NESTED_NONE = 0, LDAP_NESTED_SEARCH, LDAP_NESTED_IN_CHAIN };

struct ldap_user_search {
	const char *base_dn;
	const char *filter;   /* RFC 4515, with its outer parentheses; never holds the typed name */
	const char *username; /* attribute that names the person */
	struct string_list login_attrs; /* matched with the typed name, OR; empty: username */
	const char *uid_attr; /* NULL: identities carry no uid */
	int scope;	      /* enum ldap_scope */
};

struct ldap_user_matcher {
	const char *user_attr; /* "DN": the entry's own name */
	const char *group_attr;
	const char *recursion_group_attr; /* NULL, or followed upwards from group to group */
};

struct ldap_group_search {
	bool present; /* false: nobody of this directory has groups */
	const char *base_dn, *filter, *name_attr;
	int scope;
	/* One of the two. */
	struct object_list matchers; /* struct ldap_user_matcher; OR */
	const char *member_of_attr;
	int name_from; /* enum ldap_name_from */
	int nested; /* enum ldap_nested */
	bool primary_group; /* count that of primaryGroupID */
	int64_t page_size; /* 0: no pages */
};

struct ldap_config {
	struct place place;
	const char *name;	      /* DNS label; in metrics, audit, tokens */
	int type;		      /* enum ldap_type */
	int account_state;	      /* enum ldap_state */
	bool accept_grace_logins;     /* a bind with an expired password that is let in once more */
	struct string_list urls;      /* in fail-over order */
	const char *bind_dn;	      /* NULL together with bind_password_file: anonymous search */
	const char *bind_password_file;
	const char *ca_pem, *ca_file; /* at most one; neither: the system's bundle */
	bool start_tls;
	const char *client_cert_file, *client_key_file; /* both or neither */
	bool sasl_external;	      /* the service account is whom the certificate names */
	struct ldap_user_search user_search;
	struct ldap_group_search group_search;
	const char *username_prefix; /* never NULL */
	const char *groups_prefix;   /* NULL only without group search */
	int64_t timeout;	     /* ns: longest wait for one server in one operation */
	int64_t cache_ttl;	     /* ns: how long a re-read account is trusted */
	bool basic;		     /* base64(user:password) is a token */
};

struct login_config {
	bool present; /* the section stands in the file */
	struct place place;
	const char *listen;
	const char *issuer;	/* iss of our tokens, https */
	int64_t token_lifetime; /* ns */
	int64_t refresh_lifetime; /* ns: longest session; 0: no refresh handles */
	int64_t key_rotation;	/* ns: how long a key signs; 0: until somebody changes the file */
	bool groups_claim;	/* tokens hold groups, for apiservers that verify them natively */
	bool limit_addresses;	/* count failures by client address */
	const char *certificate_file, *key_file; /* both or neither: the webhook's */
};

extern const struct schema ldap_config_schema; /* struct ldap_config */
extern const struct schema login_config_schema; /* struct login_config */

/* What one entry cannot tell: two directories of one name. LIST holds struct ldap_config. Call it from
 * the check of the struct that embeds the list. */
void ldap_configs_check(const struct object_list *list, struct diags *d);

/* --- pieces, public for their tests --- */

/* RFC 4515 filter with balanced parentheses, valid escapes and at most 32 levels. */
bool ldap_filter_valid(const char *s);

/* ldap://, ldaps://, ldapi:// with a host and an optional port; no DN, query or fragment. */
bool ldap_url_valid(const char *s);

#endif
