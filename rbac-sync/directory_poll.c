/* Owns one poll of a directory: connect, bind, searches to the end, names and memberships out of entries. */
#include <strings.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/ldapx.h"
#include "rbac-sync/directory.h"

#define PEM_BYTES_MAX ((size_t)4 << 20)
#define POLL_MAX (300 * CLOCK_SECOND)	/* a poll that takes longer is a directory in trouble */
#define CONNECT_MAX (5 * CLOCK_SECOND)  /* connecting, TLS and bind */
#define ATTRIBUTES_MAX 20		/* of the table's lists, which have 8 at most, and two more */

/* Makes H what directory_link ends, unless it shall end already. */
static bool link_open(struct directory_link *l, struct ldapx *h)
{
	pthread_mutex_lock(&l->lock);
	bool go_on = !cancel_asked(&l->stop);
	l->open = go_on ? h : NULL;
	pthread_mutex_unlock(&l->lock);
	return go_on;
}

static void link_close(struct directory_link *l)
{
	pthread_mutex_lock(&l->lock);
	l->open = NULL;
	pthread_mutex_unlock(&l->lock);
}

/* The authorities are read anew each time: they may have been replaced. */
static enum err_code make_tls(const struct directory_config *c, struct ldapx_tls **out, struct err *e)
{
	if (strncasecmp(c->url, "ldapi://", 8) == 0)
		return ERR_OK;
	AUTO(arena_done) struct arena a;
	arena_init(&a, 0);
	struct ldapx_tls_pem pem = {0};
	enum err_code code =
	    c->ca ? file_read(&a, c->ca, PEM_BYTES_MAX, &pem.ca, e) : ldapx_system_ca(&a, &pem.ca, e);
	if (code == ERR_OK)
		code = ldapx_tls_new(&pem, out, e);
	return code == ERR_OK ? code : err_wrap(e, "ca");
}

static enum err_code bind_dn(const struct directory_config *c, struct ldapx *h, int64_t deadline, struct err *e)
{
	if (!c->bind_dn)
		return ERR_OK;
	AUTO(arena_done) struct arena a;
	arena_init_wiped(&a, 0);
	struct slice text;
	/* One byte more than may be used, and a line break. */
	if (file_read(&a, c->bind_password.file, LDAPX_PASSWORD_MAX + 2, &text, e) != ERR_OK)
		return err_wrap(e, "bindPassword");
	if (text.len > 0 && text.p[text.len - 1] == '\n')
		text.len--;
	if (text.len > 0 && text.p[text.len - 1] == '\r')
		text.len--;
	enum err_code code = ldapx_bind(h, slice_of(c->bind_dn), text, deadline, NULL, e);
	return code == ERR_OK ? code : err_wrap(e, "bind");
}

/* --- searches --- */

/* One kind of entries, and the attributes that are asked of it, each once. */
struct kind {
	const struct directory_query *query;
	const struct string_list *names; /* attributes */
	const char *prefix;		 /* before names */
	const struct string_list *links; /* or NULL */
	const char *uid, *primary;	 /* or NULL */
	size_t max;
	const char *attrs[ATTRIBUTES_MAX + 1];
};

static void want(struct kind *k, const char *attr)
{
	size_t n = 0;
	if (!attr)
		return;
	while (k->attrs[n] && strcasecmp(k->attrs[n], attr) != 0)
		n++;
	if (n < ATTRIBUTES_MAX)
		k->attrs[n] = attr;
}

static void want_all(struct kind *k)
{
	for (size_t i = 0; i < k->names->len; i++)
		want(k, k->names->items[i]);
	for (size_t i = 0; k->links && i < k->links->len; i++)
		want(k, k->links->items[i]);
	want(k, k->uid);
	want(k, k->primary);
}

/* What is not empty of ATTR's values behind the N of OUT; PREFIX is put before each. */
static size_t take_values(const struct kind *k, const struct ldapx_entry *entry, const char *attr, const char *prefix,
    struct arena *a, struct slice *out, size_t n)
{
	const struct ldapx_attr *from = ldapx_attr(entry, k->attrs, attr);
	for (size_t i = 0; from && i < from->n; i++) {
		struct slice v = from->values[i];
		size_t len = strlen(prefix);
		if (v.len == 0)
			continue;
		if (len > 0) {
			char *p = arena_alloc(a, len + v.len);
			memcpy(p, prefix, len);
			memcpy(p + len, v.p, v.len);
			v = (struct slice){p, len + v.len};
		}
		out[n++] = v;
	}
	return n;
}

static size_t count_values(const struct kind *k, const struct ldapx_entry *entry, const char *attr)
{
	const struct ldapx_attr *from = attr ? ldapx_attr(entry, k->attrs, attr) : NULL;
	return from ? from->n : 0;
}

/* The names of ENTRY: all values of the first attribute that it has. */
static void read_names(
    const struct kind *k, const struct ldapx_entry *entry, struct arena *a, struct directory_entry *out)
{
	size_t i = 0;
	while (i < k->names->len && count_values(k, entry, k->names->items[i]) == 0)
		i++;
	if (i == k->names->len)
		return;
	const char *attr = k->names->items[i];
	struct slice *names = ARENA_ARRAY(a, struct slice, count_values(k, entry, attr));
	out->nnames = take_values(k, entry, attr, k->prefix, a, names, 0);
	out->names = names;
}

static void read_entry(
    const struct kind *k, const struct ldapx_entry *entry, struct arena *a, struct directory_entry *out)
{
	size_t n = 0;
	out->dn = entry->dn;
	read_names(k, entry, a, out);
	for (size_t i = 0; k->links && i < k->links->len; i++)
		n += count_values(k, entry, k->links->items[i]);
	struct slice *links = ARENA_ARRAY(a, struct slice, n);
	for (size_t i = 0; k->links && i < k->links->len; i++)
		out->nlinks = take_values(k, entry, k->links->items[i], "", a, links, out->nlinks);
	out->links = links;
	struct slice *uids = ARENA_ARRAY(a, struct slice, count_values(k, entry, k->uid));
	out->nuids = k->uid ? take_values(k, entry, k->uid, "", a, uids, 0) : 0;
	out->uids = uids;
	/* One that is not single is none. */
	if (count_values(k, entry, k->primary) == 1)
		out->primary = ldapx_attr(entry, k->attrs, k->primary)->values[0];
}

static enum err_code search(struct kind *k, struct ldapx *h, int64_t deadline, struct arena *a,
    struct directory_entry **out, size_t *n, struct err *e)
{
	want_all(k);
	struct ldapx_search q = {
	    .base = k->query->base_dn,
	    .scope = (enum ldapx_scope)k->query->scope,
	    .filter = k->query->filter,
	    .attrs = k->attrs,
	    .max_entries = k->max,
	    .page = (size_t)k->query->page_size,
	    .ranges = k->links != NULL, /* Active Directory gives 1,500 members at once */
	    .whole = true,
	    .deref = (enum ldapx_deref)k->query->deref,
	};
	struct ldapx_entry *entries;
	size_t found;
	*n = 0;
	TRY(ldapx_search(h, &q, deadline, a, &entries, &found, e));
	*out = ARENA_ARRAY(a, struct directory_entry, found + 1);
	for (size_t i = 0; i < found; i++) {
		struct directory_entry *entry = &(*out)[*n];
		*entry = (struct directory_entry){0};
		read_entry(k, &entries[i], a, entry);
		*n += entry->nnames > 0;
	}
	return arena_over(a) ? err_set(e, ERR_LIMIT, "search: too much data") : ERR_OK;
}

static int64_t deadline_of(const struct directory_query *q)
{
	return clock_mono() + (q->timeout ? q->timeout * CLOCK_SECOND : POLL_MAX);
}

static enum err_code search_users(const struct directory_config *c, struct ldapx *h, int64_t deadline,
    struct arena *a, struct directory_answer *out, struct err *e)
{
	bool theirs = c->groups.present && !c->user_uid_attribute;
	bool by_dn = !c->user_uid_attribute || strcasecmp(c->user_uid_attribute, "dn") == 0;
	struct kind k = {.query = &c->users, .names = &c->username_attributes, .prefix = c->username_prefix,
	    .links = theirs ? &c->membership_attributes : NULL, .uid = by_dn ? NULL : c->user_uid_attribute,
	    .primary = c->primary_group ? "primaryGroupID" : NULL, .max = DIRECTORY_USERS_MAX};
	size_t cap = 0;
	TRY(search(&k, h, deadline, a, &out->users, &out->nusers, e));
	for (size_t i = 0; i < out->nusers; i++) {
		for (size_t j = 0; j < out->users[i].nnames; j++) {
			ARENA_ROOM(a, out->names, out->n, cap, 256);
			out->names[out->n++] = out->users[i].names[j];
		}
	}
	return arena_over(a) ? err_set(e, ERR_LIMIT, "search: too much data") : ERR_OK;
}

/* With nestedGroups, memberships that users name are read of groups too. */
static enum err_code search_groups(const struct directory_config *c, struct ldapx *h, struct arena *a,
    struct directory_answer *out, struct err *e)
{
	bool theirs = c->user_uid_attribute || c->nested_groups;
	struct kind k = {.query = &c->groups, .names = &c->group_name_attributes, .prefix = "",
	    .links = theirs ? &c->membership_attributes : NULL, .primary = c->primary_group ? "primaryGroupToken" : NULL,
	    .max = DIRECTORY_GROUPS_MAX};
	if (!c->groups.present)
		return ERR_OK;
	enum err_code code = search(&k, h, deadline_of(&c->groups), a, &out->groups, &out->ngroups, e);
	return code == ERR_OK ? code : err_wrap(e, "groups");
}

/* --- the whole --- */

static int64_t soonest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

enum err_code directory_poll(const struct directory_config *c, struct directory_link *link, struct arena *a,
    struct directory_answer *out, struct err *e)
{
	int64_t deadline = deadline_of(&c->users);
	int64_t connected = soonest(deadline, clock_mono() + CONNECT_MAX);
	*out = (struct directory_answer){0};
	AUTO(ldapx_tls_free) struct ldapx_tls *tls = NULL;
	AUTO(ldapx_close) struct ldapx *h = NULL;
	TRY(make_tls(c, &tls, e));
	struct ldapx_server server = {
	    .url = c->url,
	    .start_tls = strncasecmp(c->url, "ldap://", 7) == 0,
	    .tls = tls,
	    .cancel = &link->stop,
	};
	TRY(ldapx_open(&server, connected, &h, e));
	if (!link_open(link, h))
		return err_set(e, ERR_UNAVAILABLE, "stopped");
	enum err_code code = bind_dn(c, h, connected, e);
	if (code == ERR_OK)
		code = search_users(c, h, deadline, a, out, e);
	if (code == ERR_OK)
		code = search_groups(c, h, a, out, e);
	link_close(link);
	return code;
}
