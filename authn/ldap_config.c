/* Owns the tables and load checks of the directory and login configuration. */
#include "authn/ldap_search_config.h"

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
#define LABEL_MAX 63

static const char *const types[] = {"generic", "activeDirectory", NULL};
static const char *const states[] = {"none", "activeDirectory", "passwordPolicy", NULL};

#define CFG(m) offsetof(struct ldap_config, m)
static const struct field ldap_fields[] = {
    {.name = "name", .type = FIELD_STRING, .offset = CFG(name), .required = true, .nonempty = true,
	.doc = "What logs, metrics and tokens call this directory: lower-case letters, digits and -."},
    {.name = "type", .type = FIELD_ENUM, .offset = CFG(type), .choices = types, .def = "generic",
	.doc = "activeDirectory: fills in filters, attributes, nested groups and account state as Active "
	       "Directory has them; what is written out here wins."},
    {.name = "accountState", .type = FIELD_ENUM, .offset = CFG(account_state), .choices = states,
	.def = "none",
	.doc = "What is read of an account at a login and at each review of its tokens. none: nothing "
	       "beside what the bind says; activeDirectory: userAccountControl and its kin; "
	       "passwordPolicy: what OpenLDAP's ppolicy overlay keeps. Absent with type "
	       "activeDirectory: activeDirectory."},
    {.name = "acceptGraceLogins", .type = FIELD_BOOL, .offset = CFG(accept_grace_logins),
	.def = "false",
	.doc = "With accountState: passwordPolicy. Let a person in whose password has expired while the "
	       "directory still allows grace logins."},
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
	.sub = &ldap_user_search_schema, .doc = "How a person's entry is found."},
    {.name = "groupSearch", .type = FIELD_OBJECT, .offset = CFG(group_search),
	.sub = &ldap_group_search_schema,
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
	struct ldap_config *c = obj;
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
	ldap_search_complete(c, node, file, d);
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
