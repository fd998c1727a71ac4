/* Owns the tables of a directory's searches and accounts, what activeDirectory fills in, and their checks. */
#include "authn/ldap_search_config.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MATCHERS_MAX 8
#define LOGIN_ATTRS_MAX 8
/* More than Active Directory gives at once. */
#define PAGE_SIZE_MAX 1000
#define FILTER_DEPTH 32 /* the parser below recurses */
#define LABEL_MAX 63

/* --- what type: activeDirectory stands for --- */

/* Accounts of people: no computers, trusts, hidden system accounts. sAMAccountType has an index. */
#define AD_USER_FILTER                                                                             \
	"(&(objectClass=user)(sAMAccountType=805306368)(!(showInAdvancedViewOnly=TRUE)))"
/* Security groups: people may let themselves into distribution lists. */
#define AD_GROUP_FILTER                                                                            \
	"(&(objectClass=group)(groupType:1.2.840.113556.1.4.803:=2147483648))"
/* Unique in the domain, as cn is not: who may make a group somewhere must not choose its name freely. */
#define AD_NAME "sAMAccountName"

static const char *const ad_login_attrs[] = {AD_NAME, "userPrincipalName"};
static struct ldap_user_matcher ad_matchers[] = {{.user_attr = "DN", .group_attr = "member"}};

/* --- tables --- */

static void check_user_search(void *obj, const struct yaml_node *node, const char *file,
    struct diags *d);
static void check_matcher(void *obj, const struct yaml_node *node, const char *file,
    struct diags *d);
static void check_group_search(void *obj, const struct yaml_node *node, const char *file,
    struct diags *d);

static const char *const scopes[] = {"sub", "one", NULL};
static const char *const name_froms[] = {"entry", "dn", NULL};
static const char *const nestings[] = {"none", "search", "inChain", NULL};

#define USER(m) offsetof(struct ldap_user_search, m)
static const struct field user_search_fields[] = {
    {.name = "baseDN", .type = FIELD_STRING, .offset = USER(base_dn), .required = true,
	.nonempty = true, .doc = "Entry under which people are searched."},
    {.name = "filter", .type = FIELD_STRING, .offset = USER(filter),
	.doc = "Condition that a person's entry must meet, with its outer parentheses; the typed name "
	       "is added to it, escaped. Absent: (objectClass=*); with activeDirectory, accounts of "
	       "people."},
    {.name = "username", .type = FIELD_STRING, .offset = USER(username), .nonempty = true,
	.doc = "Attribute that the username is taken from and, without loginAttrs, that the typed name "
	       "is compared with; it must have exactly one value. Required but for activeDirectory: "
	       "sAMAccountName."},
    {.name = "loginAttrs", .type = FIELD_STRINGS, .offset = USER(login_attrs), .nonempty = true,
	.max_items = LOGIN_ATTRS_MAX,
	.doc = "Attributes that the typed name is compared with; one that matches is enough. Absent: "
	       "username; with activeDirectory sAMAccountName and userPrincipalName."},
    {.name = "uidAttr", .type = FIELD_STRING, .offset = USER(uid_attr),
	.doc = "Attribute that never changes in an account's life (entryUUID, objectGUID): the "
	       "identity's uid; a token ends when it changes. Absent with activeDirectory: objectGUID."},
    {.name = "scope", .type = FIELD_ENUM, .offset = USER(scope), .choices = scopes, .def = "sub",
	.doc = "sub: the whole tree below baseDN; one: its direct children."},
    {0},
};

const struct schema ldap_user_search_schema = {
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
    {.name = "recursionGroupAttr", .type = FIELD_STRING, .offset = MATCHER(recursion_group_attr),
	.nonempty = true,
	.doc = "Attribute of a group that holds the names (DN) of the groups in it: they are followed, "
	       "as by nested: search."},
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
    {.name = "filter", .type = FIELD_STRING, .offset = GROUP(filter),
	.doc = "Condition that a group's entry must meet, with its outer parentheses. Absent: "
	       "(objectClass=*); with activeDirectory, security groups."},
    {.name = "scope", .type = FIELD_ENUM, .offset = GROUP(scope), .choices = scopes, .def = "sub",
	.doc = "sub: the whole tree below baseDN; one: its direct children."},
    {.name = "userMatchers", .type = FIELD_OBJECTS, .offset = GROUP(matchers), .nonempty = true,
	.max_items = MATCHERS_MAX, .sub = &matcher_schema,
	.doc = "Ways a group may name a person; one that matches is enough."},
    {.name = "memberOfAttr", .type = FIELD_STRING, .offset = GROUP(member_of_attr), .nonempty = true,
	.doc = "Attribute of the person's entry that holds the names (DN) of their groups, as memberOf "
	       "does; in place of userMatchers. Absent with activeDirectory: memberOf, unless userMatchers or "
	       "nested: inChain stand there."},
    {.name = "nameFrom", .type = FIELD_ENUM, .offset = GROUP(name_from), .choices = name_froms,
	.def = "entry",
	.doc = "With memberOfAttr. entry: each group is read, and filter applies; dn: the name is "
	       "nameAttr in the group's DN, and filter does not apply."},
    {.name = "nested", .type = FIELD_ENUM, .offset = GROUP(nested), .choices = nestings,
	.def = "none",
	.doc = "Groups in groups. search: one search for each level; inChain: the server follows them "
	       "(matching rule 1.2.840.113556.1.4.1941). Absent with activeDirectory: search."},
    {.name = "primaryGroup", .type = FIELD_BOOL, .offset = GROUP(primary_group), .def = "false",
	.doc = "Count the group of primaryGroupID too, which no member attribute lists. Absent with "
	       "activeDirectory: true."},
    {.name = "nameAttr", .type = FIELD_STRING, .offset = GROUP(name_attr), .nonempty = true,
	.doc = "Attribute that a group's name is taken from; each of its values counts as one. Absent: "
	       "cn; with activeDirectory sAMAccountName."},
    {.name = "pageSize", .type = FIELD_INT, .offset = GROUP(page_size), .def = "500", .min = 0,
	.max = PAGE_SIZE_MAX,
	.doc = "Groups asked for at once (RFC 2696); 0: all, for servers that refuse pages."},
    {0},
};

const struct schema ldap_group_search_schema = {
    .name = "groupSearch",
    .size = sizeof(struct ldap_group_search),
    .fields = group_search_fields,
    .check = check_group_search,
    .place = SCHEMA_NO_PLACE,
    .present = GROUP(present),
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
	for (size_t i = 0; i < u->login_attrs.len; i++)
		check_attr(u->login_attrs.items[i], file, node, "loginAttrs", d);
}

static void check_matcher(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct ldap_user_matcher *m = obj;
	check_attr(m->user_attr, file, node, "userAttr", d);
	check_attr(m->group_attr, file, node, "groupAttr", d);
	check_attr(m->recursion_group_attr, file, node, "recursionGroupAttr", d);
}

static void check_group_search(void *obj, const struct yaml_node *node, const char *file,
    struct diags *d)
{
	const struct ldap_group_search *g = obj;
	check_filter(g->filter, file, node, d);
	check_attr(g->name_attr, file, node, "nameAttr", d);
	check_attr(g->member_of_attr, file, node, "memberOfAttr", d);
}

static bool stands(const struct yaml_node *node, const char *section, const char *key)
{
	const struct yaml_node *n = node && section ? yamlx_get(node, section) : node;
	return n && yamlx_get(n, key);
}

static void fill(const char **member, const char *value)
{
	if (!*member)
		*member = value;
}

static bool matches_dn(const struct ldap_group_search *g)
{
	const struct ldap_user_matcher *m = g->matchers.items;
	for (size_t i = 0; i < g->matchers.len; i++) {
		if (strcasecmp(m[i].user_attr, "DN") == 0)
			return true;
	}
	return false;
}

static bool recurses(const struct ldap_group_search *g)
{
	const struct ldap_user_matcher *m = g->matchers.items;
	for (size_t i = 0; i < g->matchers.len; i++) {
		if (m[i].recursion_group_attr)
			return true;
	}
	return false;
}

/* What stands in the file wins, one key at a time. */
static void fill_active_directory(struct ldap_config *c, const struct yaml_node *node)
{
	struct ldap_user_search *u = &c->user_search;
	struct ldap_group_search *g = &c->group_search;
	fill(&u->filter, AD_USER_FILTER);
	/* Who names another attribute means that one alone. */
	if (u->login_attrs.len == 0 && (!u->username || strcasecmp(u->username, AD_NAME) == 0))
		u->login_attrs =
		    (struct string_list){.items = ad_login_attrs, .len = ARRAY_LEN(ad_login_attrs)};
	fill(&u->username, AD_NAME);
	fill(&u->uid_attr, "objectGUID");
	if (!stands(node, NULL, "accountState"))
		c->account_state = LDAP_STATE_ACTIVE_DIRECTORY;
	if (!g->present)
		return;
	fill(&g->filter, AD_GROUP_FILTER);
	fill(&g->name_attr, AD_NAME);
	if (!stands(node, "groupSearch", "primaryGroup"))
		g->primary_group = true;
	bool silent = !stands(node, "groupSearch", "nested");
	/* From memberOf up: two cheap look-ups a level and group, where a search for members may cost
	 * the server a walk through all groups, and inChain many of them. */
	if (g->matchers.len == 0 && !g->member_of_attr && g->nested == LDAP_NESTED_IN_CHAIN)
		g->matchers =
		    (struct object_list){.items = ad_matchers, .len = ARRAY_LEN(ad_matchers)};
	else if (g->matchers.len == 0)
		fill(&g->member_of_attr, "memberOf");
	if (silent && g->name_from == LDAP_NAME_FROM_ENTRY && (g->member_of_attr || matches_dn(g)))
		g->nested = LDAP_NESTED_SEARCH;
}

static void check_group_source(
    const struct ldap_group_search *g, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct yaml_node *at_groups = yamlx_get(node, "groupSearch");
	if (!g->member_of_attr == (g->matchers.len == 0))
		diags_error(d, AT(file, node, "groupSearch"),
		    "groupSearch: either userMatchers or memberOfAttr says who is in a group");
	if (!g->member_of_attr && g->name_from != LDAP_NAME_FROM_ENTRY)
		diags_error(d, AT(file, at_groups, "nameFrom"), "nameFrom: only with memberOfAttr");
	if (g->nested == LDAP_NESTED_IN_CHAIN && (g->member_of_attr || !matches_dn(g)))
		diags_error(d, AT(file, at_groups, "nested"),
		    "nested: inChain needs userMatchers with userAttr DN");
	if (g->nested == LDAP_NESTED_IN_CHAIN && recurses(g))
		diags_error(d, AT(file, at_groups, "nested"),
		    "nested: inChain and recursionGroupAttr exclude each other");
	if (g->nested == LDAP_NESTED_SEARCH && g->name_from == LDAP_NAME_FROM_DN)
		diags_error(d, AT(file, at_groups, "nested"),
		    "nested: search reads each group, so nameFrom: dn has no place beside it");
	if (g->nested == LDAP_NESTED_SEARCH && !g->member_of_attr && !matches_dn(g))
		diags_error(d, AT(file, at_groups, "nested"),
		    "nested: search follows userMatchers with userAttr DN; there is none");
}

void ldap_search_complete(
    struct ldap_config *c, const struct yaml_node *node, const char *file, struct diags *d)
{
	struct ldap_user_search *u = &c->user_search;
	struct ldap_group_search *g = &c->group_search;
	if (c->type == LDAP_TYPE_ACTIVE_DIRECTORY)
		fill_active_directory(c, node);
	fill(&u->filter, "(objectClass=*)");
	if (!u->username)
		diags_error(d, AT(file, node, "userSearch"),
		    "userSearch: `username` is required but for type: activeDirectory");
	if (c->accept_grace_logins && c->account_state != LDAP_STATE_PASSWORD_POLICY)
		diags_error(d, AT(file, node, "acceptGraceLogins"),
		    "acceptGraceLogins: only with accountState: passwordPolicy");
	if (!g->present)
		return;
	fill(&g->filter, "(objectClass=*)");
	fill(&g->name_attr, "cn");
	check_group_source(g, node, file, d);
}
