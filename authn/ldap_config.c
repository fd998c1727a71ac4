/* Owns the tables and load checks of the directory and login configuration. */
#include "authn/ldap_config.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "authn/limits.h"
#include "common/clock.h"

/* A person waits for a login and the apiserver for a review (30 s with its retries): one server may not
 * eat more than this of it. */
#define TIMEOUT_MIN (100 * CLOCK_MS)
#define TIMEOUT_MAX (10 * CLOCK_SECOND)
/* The longest that a disabled account may go on. */
#define CACHE_TTL_MAX (300 * CLOCK_SECOND)
#define LIFETIME_MIN (60 * CLOCK_SECOND)
#define LIFETIME_MAX (3600 * CLOCK_SECOND)
#define REFRESH_MAX (MINT_SESSION_MAX_S * CLOCK_SECOND)
/* Keys that have to stay for their tokens must not become many. */
#define ROTATION_MIN (24 * 3600 * CLOCK_SECOND)
#define ROTATION_MAX (3650 * 24 * 3600 * CLOCK_SECOND)
#define MATCHERS_MAX 8
#define FILTER_DEPTH 32 /* the parser below recurses */
#define LABEL_MAX 63

static void check_user_search(void *obj, const struct yaml_node *node, const char *file,
    struct diags *d);
static void check_matcher(void *obj, const struct yaml_node *node, const char *file,
    struct diags *d);
static void check_group_search(void *obj, const struct yaml_node *node, const char *file,
    struct diags *d);

static const char *const scopes[] = {"sub", "one", NULL};

#define USER(m) offsetof(struct ldap_user_search, m)
static const struct field user_search_fields[] = {
    {.name = "baseDN", .type = FIELD_STRING, .offset = USER(base_dn), .required = true,
	.nonempty = true, .doc = "Entry under which people are searched."},
    {.name = "filter", .type = FIELD_STRING, .offset = USER(filter), .def = "(objectClass=*)",
	.doc = "Condition that a person's entry must meet, with its outer parentheses; the typed name "
	       "is added to it, escaped."},
    {.name = "username", .type = FIELD_STRING, .offset = USER(username), .required = true,
	.nonempty = true,
	.doc = "Attribute that the typed name is compared with and that the username is taken from; "
	       "it must have exactly one value."},
    {.name = "uidAttr", .type = FIELD_STRING, .offset = USER(uid_attr),
	.doc = "Attribute that never changes in an account's life (entryUUID, objectGUID): the "
	       "identity's uid; a token ends when it changes."},
    {.name = "scope", .type = FIELD_ENUM, .offset = USER(scope), .choices = scopes, .def = "sub",
	.doc = "sub: the whole tree below baseDN; one: its direct children."},
    {0},
};

static const struct schema user_search_schema = {
    .name = "userSearch",
    .size = sizeof(struct ldap_user_search),
    .fields = user_search_fields,
    .check = check_user_search,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
};

#define MATCHER(m) offsetof(struct ldap_user_matcher, m)
static const struct field matcher_fields[] = {
    {.name = "userAttr", .type = FIELD_STRING, .offset = MATCHER(user_attr), .required = true,
	.nonempty = true, .doc = "Attribute of the person's entry; DN is the entry's name."},
    {.name = "groupAttr", .type = FIELD_STRING, .offset = MATCHER(group_attr), .required = true,
	.nonempty = true, .doc = "Attribute of a group that holds its members' userAttr."},
    {.name = "recursionGroupAttr", .type = FIELD_NODE, .unsupported = "not supported yet",
	.doc = "Attribute that links a group to the groups it is in."},
    {0},
};

static const struct schema matcher_schema = {
    .name = "userMatchers",
    .size = sizeof(struct ldap_user_matcher),
    .fields = matcher_fields,
    .check = check_matcher,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
};

#define GROUP(m) offsetof(struct ldap_group_search, m)
static const struct field group_search_fields[] = {
    {.name = "baseDN", .type = FIELD_STRING, .offset = GROUP(base_dn), .required = true,
	.nonempty = true, .doc = "Entry under which groups are searched."},
    {.name = "filter", .type = FIELD_STRING, .offset = GROUP(filter), .def = "(objectClass=*)",
	.doc = "Condition that a group's entry must meet, with its outer parentheses."},
    {.name = "scope", .type = FIELD_ENUM, .offset = GROUP(scope), .choices = scopes, .def = "sub",
	.doc = "sub: the whole tree below baseDN; one: its direct children."},
    {.name = "userMatchers", .type = FIELD_OBJECTS, .offset = GROUP(matchers), .required = true,
	.nonempty = true, .max_items = MATCHERS_MAX, .sub = &matcher_schema,
	.doc = "Ways a group may name a person; one that matches is enough."},
    {.name = "nameAttr", .type = FIELD_STRING, .offset = GROUP(name_attr), .def = "cn",
	.nonempty = true,
	.doc = "Attribute that a group's name is taken from; each of its values counts as one."},
    {0},
};

static const struct schema group_search_schema = {
    .name = "groupSearch",
    .size = sizeof(struct ldap_group_search),
    .fields = group_search_fields,
    .check = check_group_search,
    .place = SCHEMA_NO_PLACE,
    .present = GROUP(present),
};

#define CFG(m) offsetof(struct ldap_config, m)
static const struct field ldap_fields[] = {
    {.name = "name", .type = FIELD_STRING, .offset = CFG(name), .required = true, .nonempty = true,
	.doc = "What logs, metrics and tokens call this directory: lower-case letters, digits and -."},
    {.name = "urls", .type = FIELD_STRINGS, .offset = CFG(urls), .required = true, .nonempty = true,
	.max_items = LDAP_URLS_MAX,
	.doc = "Servers in fail-over order: ldaps://HOST[:PORT], ldap://HOST[:PORT] with startTLS, or "
	       "ldapi://PATH with / as %2F."},
    {.name = "bindDN", .type = FIELD_STRING, .offset = CFG(bind_dn), .nonempty = true,
	.doc = "Account that searches; absent: searches are anonymous."},
    {.name = "bindPasswordFile", .type = FIELD_PATH, .offset = CFG(bind_password_file),
	.nonempty = true,
	.doc = "File with bindDN's password; one line break at its end does not count."},
    {.name = "certificateAuthority", .type = FIELD_TEXT, .offset = CFG(ca_pem), .nonempty = true,
	.doc = "Trust anchors as PEM text; absent together with certificateAuthorityFile: the "
	       "system's."},
    {.name = "certificateAuthorityFile", .type = FIELD_PATH, .offset = CFG(ca_file),
	.nonempty = true, .doc = "Trust anchors as a PEM file."},
    {.name = "startTLS", .type = FIELD_BOOL, .offset = CFG(start_tls), .def = "false",
	.doc = "Encrypt ldap:// connections before anything is sent; without it ldap:// is refused."},
    {.name = "clientCertificateFile", .type = FIELD_PATH, .offset = CFG(client_cert_file),
	.nonempty = true,
	.doc = "Certificate (PEM, with what leads to its authority) shown to servers that ask; read again "
	       "when it changes."},
    {.name = "clientKeyFile", .type = FIELD_PATH, .offset = CFG(client_key_file), .nonempty = true,
	.doc = "Private key of clientCertificateFile (PEM)."},
    {.name = "saslExternal", .type = FIELD_BOOL, .offset = CFG(sasl_external), .def = "false",
	.doc = "Search as whom clientCertificateFile (over ldapi://: our user id) names, in place of "
	       "bindDN."},
    {.name = "userSearch", .type = FIELD_OBJECT, .offset = CFG(user_search), .required = true,
	.sub = &user_search_schema, .doc = "How a person's entry is found."},
    {.name = "groupSearch", .type = FIELD_OBJECT, .offset = CFG(group_search),
	.sub = &group_search_schema,
	.doc = "How a person's groups are found; absent: no groups."},
    {.name = "usernamePrefix", .type = FIELD_STRING, .offset = CFG(username_prefix),
	.required = true,
	.doc = "Put before each username; \"\" has to be written out."},
    {.name = "groupsPrefix", .type = FIELD_STRING, .offset = CFG(groups_prefix),
	.doc = "Put before each group; required with groupSearch, \"\" has to be written out."},
    {.name = "timeout", .type = FIELD_DURATION, .offset = CFG(timeout), .def = "3s",
	.min = TIMEOUT_MIN, .max = TIMEOUT_MAX,
	.doc = "Longest wait for one server, connecting included, before the next one is asked."},
    {.name = "cacheTTL", .type = FIELD_DURATION, .offset = CFG(cache_ttl), .def = "30s",
	.min = 0, .max = CACHE_TTL_MAX,
	.doc = "How long an account and its groups, once re-read for a token, are not read again."},
    {.name = "basic", .type = FIELD_BOOL, .offset = CFG(basic), .def = "false",
	.doc = "Take base64(user:password) as a token, for people who come from guard. Their passwords "
	       "then stand in kubeconfig files and travel with each request: prefer POST /login."},
    {0},
};

#define LOGIN(m) offsetof(struct login_config, m)
static const struct field login_fields[] = {
    {.name = "listen", .type = FIELD_STRING, .offset = LOGIN(listen), .required = true,
	.nonempty = true, .needs_restart = true,
	.doc = "ADDRESS:PORT of POST /login and of the issuer's public documents."},
    {.name = "issuer", .type = FIELD_STRING, .offset = LOGIN(issuer), .required = true,
	.nonempty = true,
	.doc = "iss of the tokens that a login gives: an https URL under which clients reach listen."},
    {.name = "tokenLifetime", .type = FIELD_DURATION, .offset = LOGIN(token_lifetime),
	.def = "15m", .min = LIFETIME_MIN, .max = LIFETIME_MAX,
	.doc = "How long a token that a login gave is good."},
    {.name = "refreshLifetime", .type = FIELD_DURATION, .offset = LOGIN(refresh_lifetime),
	.def = "12h", .min = 0, .max = REFRESH_MAX,
	.doc = "How long after a login POST /refresh gives new tokens without a password; 0s: a login gives "
	       "no refresh handle."},
    {.name = "keyRotation", .type = FIELD_DURATION, .offset = LOGIN(key_rotation), .def = "0s",
	.min = 0, .max = ROTATION_MAX,
	.doc = "How long a signing key signs before a new one, published an hour ahead, takes its place: "
	       "24h or more; 0s: until somebody changes stateDir/login-keys. Not for replicas that have "
	       "copies of that file."},
    {.name = "groupsClaim", .type = FIELD_BOOL, .offset = LOGIN(groups_claim), .def = "false",
	.doc = "Put the groups into tokens as the claim groups, for an apiserver that verifies them "
	       "natively; they are then as old as the token."},
    {.name = "limitAddresses", .type = FIELD_BOOL, .offset = LOGIN(limit_addresses), .def = "true",
	.doc = "Limit failed logins by client address (IPv6: /64). false where all clients come through "
	       "one address, such as that of a load balancer."},
    {.name = "certificateFile", .type = FIELD_PATH, .offset = LOGIN(certificate_file),
	.nonempty = true,
	.doc = "Certificate chain of listen (PEM); absent: that of the webhook listener."},
    {.name = "keyFile", .type = FIELD_PATH, .offset = LOGIN(key_file), .nonempty = true,
	.doc = "Private key of certificateFile (PEM)."},
    {0},
};

/* Where the value of KEY stands, else where the mapping does. */
#define AT(file, node, key) file, at(node, key)->line, at(node, key)->col
static const struct yaml_node *at(const struct yaml_node *node, const char *key)
{
	static const struct yaml_node nowhere;
	const struct yaml_node *v = node ? yamlx_get(node, key) : NULL;
	return v ? v : node ? node : &nowhere;
}

/* --- names; S moves on --- */

static bool keychar(char c)
{
	return isalnum((unsigned char)c) || c == '-';
}

/* RFC 4512 oid: a name, or numbers with single dots between them. */
static bool oid(const char **s)
{
	const char *start = *s;
	if (isalpha((unsigned char)**s)) {
		while (keychar(**s))
			(*s)++;
		return true;
	}
	while (isdigit((unsigned char)**s) || (**s == '.' && *s != start && (*s)[-1] != '.'))
		(*s)++;
	return *s != start && (*s)[-1] != '.';
}

/* RFC 4512 attribute description: an oid with options. */
static bool attr_description(const char **s)
{
	if (!oid(s))
		return false;
	while (**s == ';') {
		(*s)++;
		if (!keychar(**s))
			return false;
		while (keychar(**s))
			(*s)++;
	}
	return true;
}

static bool attr_valid(const char *s)
{
	const char *end = s;
	return attr_description(&end) && *end == '\0' && end - s <= LABEL_MAX;
}

/* --- filters --- */

/* A filter's pieces are ASCII grammar around UTF-8 values; S moves on. */
static bool filter_comp(const char **s, int depth);

/* WILD: asterisks may stand for anything, but not side by side (libldap's rule). */
static bool filter_value(const char **s, bool wild)
{
	for (; **s && **s != ')'; (*s)++) {
		if (**s == '(' || (**s == '*' && (!wild || (*s)[1] == '*')))
			return false;
		if (**s == '\\' && !(isxdigit((unsigned char)(*s)[1]) &&
				       isxdigit((unsigned char)(*s)[2])))
			return false;
	}
	return true;
}

/* attr [~<>]= value, attr[:dn][:rule]:= value, or [:dn]:rule:= value */
static bool filter_item(const char **s)
{
	bool attr = **s != ':', wild = false;
	if (attr && !attr_description(s))
		return false;
	if (**s == ':') {
		if (strncasecmp(*s, ":dn:", 4) == 0)
			*s += 3;
		bool rule = (*s)[1] != '=';
		(*s)++;
		if (rule ? !oid(s) || **s != ':' : !attr)
			return false;
		*s += rule;
	} else if (**s && strchr("~<>", **s)) {
		(*s)++;
	} else {
		wild = true;
	}
	if (**s != '=')
		return false;
	(*s)++;
	return filter_value(s, wild);
}

static bool filter_list(const char **s, int depth)
{
	(*s)++;
	if (**s != '(')
		return false;
	while (**s == '(') {
		if (!filter_comp(s, depth + 1))
			return false;
	}
	return true;
}

static bool filter_comp(const char **s, int depth)
{
	if (depth > FILTER_DEPTH || **s != '(')
		return false;
	(*s)++;
	bool ok;
	if (**s == '&' || **s == '|') {
		ok = filter_list(s, depth);
	} else if (**s == '!') {
		(*s)++;
		ok = filter_comp(s, depth + 1);
	} else {
		ok = filter_item(s);
	}
	if (!ok || **s != ')')
		return false;
	(*s)++;
	return true;
}

bool ldap_filter_valid(const char *s)
{
	return filter_comp(&s, 0) && *s == '\0';
}

/* --- URLs and names --- */

static bool port_valid(const char *s)
{
	unsigned port = 0;
	size_t n = strspn(s, "0123456789");
	if (n == 0 || n > 5 || s[n] != '\0')
		return false;
	for (; *s; s++)
		port = port * 10 + (unsigned)(*s - '0');
	return port > 0 && port <= 65535;
}

/* HOST[:PORT], [V6][:PORT]. Blanks and commas would be a list to libldap: they are no host characters. */
static bool authority_valid(const char *s)
{
	size_t n;
	if (*s == '[') {
		n = 1 + strspn(s + 1, "0123456789abcdefABCDEF:.");
		if (n < 3 || s[n] != ']')
			return false;
		n++;
	} else {
		n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
		if (n == 0 || n > 253)
			return false;
	}
	return s[n] == '\0' || (s[n] == ':' && port_valid(s + n + 1));
}

static bool starts(const char *s, const char *prefix)
{
	return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

bool ldap_url_valid(const char *s)
{
	if (starts(s, "ldapi://")) {
		/* A path with its slashes as %2F. */
		const char *p = s + strlen("ldapi://");
		return *p && p[strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "-._~%")] == '\0';
	}
	if (starts(s, "ldaps://"))
		return authority_valid(s + strlen("ldaps://"));
	return starts(s, "ldap://") && authority_valid(s + strlen("ldap://"));
}

static bool label_valid(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return n > 0 && n <= LABEL_MAX && s[n] == '\0' && s[0] != '-' && s[n - 1] != '-';
}

/* https://HOST[:PORT][/path] */
static bool issuer_valid(const char *s)
{
	if (strncmp(s, "https://", 8) != 0)
		return false;
	size_t host = strcspn(s + 8, "/");
	char authority[300];
	if (host == 0 || host >= sizeof(authority) || strpbrk(s, "?#@ ,\"<>\\^`{|}"))
		return false;
	memcpy(authority, s + 8, host);
	authority[host] = '\0';
	/* A final slash would make ISSUER/.well-known/… differ from what clients build. */
	return authority_valid(authority) && s[strlen(s) - 1] != '/';
}

/* --- checks: also run on what a failed binding left, so members may be NULL --- */

static void check_attr(const char *attr, const char *file, const struct yaml_node *node,
    const char *key, struct diags *d)
{
	if (attr && !attr_valid(attr))
		diags_error(d, AT(file, node, key), "%s: \"%s\" is no attribute name", key, attr);
}

static void check_filter(const char *filter, const char *file, const struct yaml_node *node,
    struct diags *d)
{
	if (filter && !ldap_filter_valid(filter))
		diags_error(d, AT(file, node, "filter"),
		    "filter: not an LDAP filter of RFC 4515 (outer parentheses, balanced, \\XX escapes)");
}

static void check_user_search(void *obj, const struct yaml_node *node, const char *file,
    struct diags *d)
{
	const struct ldap_user_search *u = obj;
	check_filter(u->filter, file, node, d);
	check_attr(u->username, file, node, "username", d);
	check_attr(u->uid_attr, file, node, "uidAttr", d);
}

static void check_matcher(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct ldap_user_matcher *m = obj;
	check_attr(m->user_attr, file, node, "userAttr", d);
	check_attr(m->group_attr, file, node, "groupAttr", d);
}

static void check_group_search(void *obj, const struct yaml_node *node, const char *file,
    struct diags *d)
{
	const struct ldap_group_search *g = obj;
	check_filter(g->filter, file, node, d);
	check_attr(g->name_attr, file, node, "nameAttr", d);
}

static void check_url(const struct ldap_config *c, const char *url, const char *file,
    const struct yaml_node *node, struct diags *d)
{
	if (!ldap_url_valid(url))
		diags_error(d, AT(file, node, "urls"),
		    "urls: \"%s\" is not ldaps://HOST[:PORT], ldap://HOST[:PORT] or ldapi://PATH", url);
	else if (starts(url, "ldap://") && !c->start_tls)
		diags_error(d, AT(file, node, "urls"),
		    "urls: \"%s\" would send passwords in clear text: use ldaps:// or startTLS: true", url);
	else if (!starts(url, "ldap://") && c->start_tls)
		diags_error(d, AT(file, node, "startTLS"),
		    "startTLS: only for ldap:// servers, not for \"%s\"", url);
}

static void check_identity(
    const struct ldap_config *c, const char *file, const struct yaml_node *node, struct diags *d)
{
	bool local = c->urls.len > 0;
	for (size_t i = 0; i < c->urls.len; i++)
		local = local && starts(c->urls.items[i], "ldapi://");
	if (!c->client_cert_file != !c->client_key_file)
		diags_error(d, AT(file, node, c->client_key_file ? "clientKeyFile" : "clientCertificateFile"),
		    "clientCertificateFile and clientKeyFile go together");
	if (c->client_cert_file && local)
		diags_error(d, AT(file, node, "clientCertificateFile"),
		    "clientCertificateFile: ldapi:// has no TLS to show it in");
	if (c->sasl_external && c->bind_dn)
		diags_error(d, AT(file, node, "saslExternal"),
		    "saslExternal: bindDN and its password say who searches already");
	else if (c->sasl_external && !c->client_cert_file && !local)
		diags_error(d, AT(file, node, "saslExternal"),
		    "saslExternal: needs clientCertificateFile (only over ldapi:// is our user id known)");
}

static void check_prefix(const char *prefix, const char *file, const struct yaml_node *node,
    const char *key, struct diags *d)
{
	if (prefix && (starts(prefix, "system:") || starts(prefix, "kubeadm:")))
		diags_error(d, AT(file, node, key), "%s: \"%s\" is reserved to Kubernetes", key, prefix);
}

static void check_ldap(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct ldap_config *c = obj;
	if (c->name && !label_valid(c->name))
		diags_error(d, AT(file, node, "name"),
		    "name: \"%s\" is not made of lower-case letters, digits and - (at most %d)", c->name,
		    LABEL_MAX);
	for (size_t i = 0; i < c->urls.len; i++)
		check_url(c, c->urls.items[i], file, node, d);
	if (!c->bind_dn != !c->bind_password_file)
		diags_error(d, AT(file, node, c->bind_dn ? "bindDN" : "bindPasswordFile"),
		    "bindDN and bindPasswordFile go together");
	check_identity(c, file, node, d);
	if (c->ca_pem && c->ca_file)
		diags_error(d, AT(file, node, "certificateAuthorityFile"),
		    "certificateAuthority and certificateAuthorityFile exclude each other");
	if (c->group_search.present && !c->groups_prefix)
		diags_error(d, AT(file, node, "groupSearch"),
		    "groupsPrefix is required with groupSearch (\"\" for none)");
	if (c->basic)
		diags_warn(d, AT(file, node, "basic"),
		    "basic: passwords stand in kubeconfig files, travel with each request and pass through "
		    "the apiserver; POST /login needs them once");
	check_prefix(c->username_prefix, file, node, "usernamePrefix", d);
	check_prefix(c->groups_prefix, file, node, "groupsPrefix", d);
}

static void check_login(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct login_config *c = obj;
	if (c->issuer && !issuer_valid(c->issuer))
		diags_error(d, AT(file, node, "issuer"),
		    "issuer: \"%s\" is not https://HOST[:PORT][/PATH] without query, fragment and final "
		    "slash",
		    c->issuer);
	if (c->key_rotation && c->key_rotation < ROTATION_MIN)
		diags_error(d, AT(file, node, "keyRotation"), "keyRotation: must be 0s or at least 24h");
	if (!c->certificate_file != !c->key_file)
		diags_error(d, AT(file, node, c->key_file ? "keyFile" : "certificateFile"),
		    "certificateFile and keyFile go together");
}

void ldap_configs_check(const struct object_list *list, struct diags *d)
{
	const struct ldap_config *c = list->items;
	for (size_t i = 1; i < list->len; i++) {
		for (size_t j = 0; j < i; j++) {
			if (!c[i].name || !c[j].name || strcmp(c[i].name, c[j].name) != 0)
				continue;
			diags_error(d, c[i].place.file ? c[i].place.file : "", c[i].place.line,
			    c[i].place.col, "name: another directory is called \"%s\"", c[i].name);
			break;
		}
	}
}

const struct schema ldap_config_schema = {
    .name = "ldap",
    .size = sizeof(struct ldap_config),
    .fields = ldap_fields,
    .place = CFG(place),
    .present = SCHEMA_NO_PLACE,
    .check = check_ldap,
};

const struct schema login_config_schema = {
    .name = "login",
    .size = sizeof(struct login_config),
    .fields = login_fields,
    .place = LOGIN(place),
    .present = LOGIN(present),
    .check = check_login,
};
