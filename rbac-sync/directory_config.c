/* Owns the configuration of directories that are asked who is still there: its table and its checks. */
#include <strings.h>

#include "common/clock.h"
#include "common/ldapx.h"
#include "rbac-sync/directory.h"

#define ATTRIBUTES_MAX 8 /* of one list; directory_poll.c has room for all lists */

/* In the order of enum ldapx_scope and enum ldapx_deref. */
static const char *const scopes[] = {"sub", "one", "base", NULL};
static const char *const derefs[] = {"never", "search", "base", "always", NULL};

#define ELSEWHERE "the password stands in a file of its own"

static const struct field password_fields[] = {
    {"file", FIELD_PATH, offsetof(struct directory_password, file), .required = true,
	.doc = "File with the password, read again for each poll; one line break at its end is not part of it."},
    {"value", FIELD_STRING, offsetof(struct directory_password, file), .unsupported = ELSEWHERE,
	.doc = "The password itself."},
    {"env", FIELD_STRING, offsetof(struct directory_password, file), .unsupported = ELSEWHERE,
	.doc = "A variable of the environment."},
    {"keyFile", FIELD_PATH, offsetof(struct directory_password, file), .unsupported = ELSEWHERE,
	.doc = "A key that the file is encrypted with."},
    {0},
};

static const struct schema password_schema = {"directories[].bindPassword", sizeof(struct directory_password),
    password_fields, SCHEMA_NO_PLACE, offsetof(struct directory_password, present), NULL};

#define QUERY_AT(member) offsetof(struct directory_query, member)

static const struct field query_fields[] = {
    {"baseDN", FIELD_STRING, QUERY_AT(base_dn), .required = true, .nonempty = true,
	.doc = "Where the users are. Below it there must be no part of another server."},
    {"scope", FIELD_ENUM, QUERY_AT(scope), .choices = scopes, .def = "sub",
	.doc = "The base and all below it, its children, or itself alone."},
    {"derefAliases", FIELD_ENUM, QUERY_AT(deref), .choices = derefs, .def = "always",
	.doc = "Which aliases are followed."},
    {"timeout", FIELD_INT, QUERY_AT(timeout), .def = "60", .max = 300,
	.doc = "Seconds for a whole poll; `0`: as many as one may take at all, 300."},
    {"filter", FIELD_STRING, QUERY_AT(filter), .def = "(objectClass=*)",
	.doc = "Which entries are users (RFC 4515)."},
    {"pageSize", FIELD_INT, QUERY_AT(page_size), .def = "500", .max = 100000,
	.doc = "Entries asked for at once (RFC 2696); `0`: all."},
    {0},
};

static const struct schema query_schema = {"directories[].usersQuery", sizeof(struct directory_query), query_fields,
    SCHEMA_NO_PLACE, QUERY_AT(present), NULL};

static const struct field groups_query_fields[] = {
    {"baseDN", FIELD_STRING, QUERY_AT(base_dn), .required = true, .nonempty = true,
	.doc = "Where the groups are. Below it there must be no part of another server."},
    {"scope", FIELD_ENUM, QUERY_AT(scope), .choices = scopes, .def = "sub",
	.doc = "The base and all below it, its children, or itself alone."},
    {"derefAliases", FIELD_ENUM, QUERY_AT(deref), .choices = derefs, .def = "always",
	.doc = "Which aliases are followed."},
    {"timeout", FIELD_INT, QUERY_AT(timeout), .def = "60", .max = 300,
	.doc = "Seconds for all groups; `0`: as many as it may take at all, 300."},
    {"filter", FIELD_STRING, QUERY_AT(filter), .def = "(objectClass=*)",
	.doc = "Which entries are groups (RFC 4515). Whom it does not find is no group: with `nestedGroups` it must "
	       "also find those in between."},
    {"pageSize", FIELD_INT, QUERY_AT(page_size), .def = "500", .max = 100000,
	.doc = "Entries asked for at once (RFC 2696); `0`: all."},
    {0},
};

static const struct schema groups_query_schema = {"directories[].groupsQuery", sizeof(struct directory_query),
    groups_query_fields, SCHEMA_NO_PLACE, QUERY_AT(present), NULL};

#define AT(member) offsetof(struct directory_config, member)

static const struct field fields[] = {
    {"name", FIELD_STRING, AT(name), .required = true, .nonempty = true,
	.doc = "Its name: a DNS label; in metrics, logs and notes on the Lease."},
    {"url", FIELD_STRING, AT(url), .required = true,
	.doc = "`ldaps://HOST[:PORT]`, `ldap://HOST[:PORT]` (StartTLS) or `ldapi://PATH`."},
    {"bindDN", FIELD_STRING, AT(bind_dn), .nonempty = true,
	.doc = "Who asks; absent together with `bindPassword`: nobody in particular. They must see all users."},
    {"bindPassword", FIELD_OBJECT, AT(bind_password), .sub = &password_schema, .doc = "Their password."},
    {"insecure", FIELD_BOOL, AT(insecure), .def = "false",
	.doc = "Only `false`: over `ldap://` TLS is started, and the server is verified."},
    {"ca", FIELD_PATH, AT(ca), .doc = "PEM file of the server's authorities; absent: the system's."},
    {"providers", FIELD_STRINGS, AT(providers), .nonempty = true,
	.doc = "The providers, as named in records, whose users all are in this directory; absent: `ldap:NAME`."},
    {"usernamePrefix", FIELD_STRING, AT(username_prefix), .def = "\"\"",
	.doc = "What portcullisd puts before the names of this directory (`authentication.ldap[].usernamePrefix` "
	       "there)."},
    {"usersQuery", FIELD_OBJECT, AT(users), .required = true, .sub = &query_schema, .doc = "Finds the users."},
    {"userNameAttributes", FIELD_STRINGS, AT(username_attributes), .required = true, .nonempty = true,
	.max_items = ATTRIBUTES_MAX, .doc = "The first of these that an entry has names the user."},
    {"groupsQuery", FIELD_OBJECT, AT(groups), .sub = &groups_query_schema,
	.doc = "Finds the groups, to confirm those that records claim; absent: a record's groups are what the last login "
	       "said."},
    {"groupNameAttributes", FIELD_STRINGS, AT(group_name_attributes), .nonempty = true, .max_items = ATTRIBUTES_MAX,
	.doc = "The first of these that an entry has names the group, by all its values: portcullisd's "
	       "`groupSearch.nameAttr`."},
    {"groupMembershipAttributes", FIELD_STRINGS, AT(membership_attributes), .nonempty = true,
	.max_items = ATTRIBUTES_MAX,
	.doc = "Attributes that say who is in a group: of groups with `userUIDAttribute` (`member`, `memberUid`), else of "
	       "users (`memberOf`)."},
    {"userUIDAttribute", FIELD_STRING, AT(user_uid_attribute), .nonempty = true,
	.doc = "What groups name their members by: `dn`, or an attribute of the user such as `uid`; absent: it is users that "
	       "name their groups, by DN."},
    {"groupsPrefix", FIELD_STRING, AT(groups_prefix), .def = "\"\"",
	.doc = "What portcullisd puts before the names of this directory's groups (`authentication.ldap[].groupsPrefix` "
	       "there). All groups with it, of these providers, are this directory's to judge."},
    {"nestedGroups", FIELD_BOOL, AT(nested_groups), .def = "false",
	.doc = "Who is in a group is in those that the group is in, too."},
    {"primaryGroup", FIELD_BOOL, AT(primary_group), .def = "false",
	.doc = "Active Directory: a user is in the group whose `primaryGroupToken` is their `primaryGroupID`, too."},
    {"interval", FIELD_DURATION, AT(interval), .def = "1h", .min = CLOCK_SECOND, .max = 24 * 3600 * CLOCK_SECOND,
	.doc = "How often it is asked."},
    {"confirmAfter", FIELD_DURATION, AT(confirm_after), .def = "1h", .min = CLOCK_SECOND,
	.max = 720 * 3600 * CLOCK_SECOND,
	.doc = "A user is gone, or out of a group, when two good polls at least so far apart, and all between, say so."},
    {"minRatioPercent", FIELD_INT, AT(min_ratio_percent), .def = "80", .min = 1, .max = 100,
	.doc = "Fewer users than this share of the last good poll's: the answer is not believed. The same of groups, "
	       "memberships, groups in groups and primary groups, each by itself."},
    {0},
};

static bool starts(const char *text, const char *with)
{
	return strncasecmp(text, with, strlen(with)) == 0 && text[strlen(with)] != '\0';
}

static bool url_fits(const char *url)
{
	if (starts(url, "ldapi://"))
		return true;
	const char *host = starts(url, "ldaps://") ? url + 8 : starts(url, "ldap://") ? url + 7 : NULL;
	return host && !strpbrk(host, "/?# ");
}

static bool label(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return n > 0 && n <= 40 && s[n] == '\0' && s[0] != '-' && s[n - 1] != '-';
}

static void check_filter(
    const char *key, const struct directory_query *q, const struct yaml_node *node, const char *file, struct diags *d)
{
	size_t len = q->filter ? strlen(q->filter) : 0;
	if (len < 2 || q->filter[0] != '(' || q->filter[len - 1] != ')')
		diags_error(d, file, node->line, node->col, "%s.filter must stand in parentheses", key);
}

/* What is there of the groups' keys must make one question. */
static void check_groups(const struct directory_config *c, const struct yaml_node *node, const char *file, struct diags *d)
{
	static const char *const others[] = {"groupNameAttributes", "groupMembershipAttributes", "userUIDAttribute",
	    "groupsPrefix", "nestedGroups", "primaryGroup"};
	const struct yaml_node *query = yamlx_get(node, "groupsQuery");
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		const struct yaml_node *at = yamlx_get(node, others[i]);
		if (!query && at)
			diags_error(d, file, at->line, at->col, "%s: only with groupsQuery", others[i]);
		if (query && !at && i < 2)
			diags_error(d, file, query->line, query->col, "groupsQuery needs %s", others[i]);
	}
	if (!query)
		return;
	const struct yaml_node *nested = yamlx_get(node, "nestedGroups");
	bool by_dn = !c->user_uid_attribute || strcasecmp(c->user_uid_attribute, "dn") == 0;
	if (c->nested_groups && !by_dn && c->membership_attributes.len == 1)
		diags_error(d, file, nested->line, nested->col,
		    "nestedGroups: groups are in groups by DN; %s alone names users by %s", c->membership_attributes.items[0],
		    c->user_uid_attribute);
	check_filter("groupsQuery", &c->groups, query, file, d);
}

static void check(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct directory_config *c = obj;
	if (!label(c->name))
		diags_error(d, file, node->line, node->col,
		    "name must be a DNS label of at most 40 characters, it is part of notes and metrics");
	if (!url_fits(c->url))
		diags_error(d, file, node->line, node->col, "url must be ldaps://HOST, ldap://HOST or ldapi://PATH");
	if (!c->bind_dn != !c->bind_password.present)
		diags_error(d, file, node->line, node->col, "bindDN and bindPassword stand together or not at all");
	if (c->insecure)
		diags_error(d, file, node->line, node->col, "insecure: directories are asked over verified TLS alone");
	check_filter("usersQuery", &c->users, node, file, d);
	check_groups(c, node, file, d);
}

const struct schema directory_config_schema = {
    "directories[]", sizeof(struct directory_config), fields, AT(place), SCHEMA_NO_PLACE, check};

void directory_configs_check(const struct object_list *list, struct diags *d)
{
	const struct directory_config *c = list->items;
	for (size_t i = 0; i < list->len; i++) {
		for (size_t k = 0; k < i; k++) {
			if (strcmp(c[i].name, c[k].name) == 0)
				diags_error(d, c[i].place.file, c[i].place.line, c[i].place.col,
				    "a directory `%s` stands on line %u already", c[i].name, c[k].place.line);
		}
	}
}

bool directory_vouches(const struct directory_config *c, struct slice provider)
{
	if (c->providers.len == 0)
		return slice_starts(provider, SLICE("ldap:")) && slice_is(slice_skip(provider, 5), c->name);
	for (size_t i = 0; i < c->providers.len; i++) {
		if (slice_is(provider, c->providers.items[i]))
			return true;
	}
	return false;
}

const char *directory_configs_judge(const struct object_list *list, struct slice provider, struct slice group)
{
	const struct directory_config *c = list ? list->items : NULL;
	for (size_t i = 0; list && i < list->len; i++) {
		if (c[i].groups.present && directory_vouches(&c[i], provider) &&
		    slice_starts(group, slice_of(c[i].groups_prefix)))
			return c[i].name;
	}
	return NULL;
}
