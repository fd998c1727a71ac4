/* Owns one poll of a directory: connect, bind, search to the end, names out of entries. */
#include <strings.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/ldapx.h"
#include "rbac-sync/directory.h"

#define PEM_BYTES_MAX ((size_t)4 << 20)
#define POLL_MAX (300 * CLOCK_SECOND)	/* a poll that takes longer is a directory in trouble */
#define CONNECT_MAX (5 * CLOCK_SECOND)  /* connecting, TLS and bind */
#define ATTRIBUTES_MAX 8		/* of the table's userNameAttributes */

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

/* The names of ENTRY: all values of the first attribute that it has. */
static void names_of(const struct directory_config *c, const struct ldapx_entry *entry, struct arena *a,
    struct slice **names, size_t *n, size_t *cap)
{
	size_t i = 0;
	while (i < c->username_attributes.len && entry->attrs[i].n == 0)
		i++;
	if (i == c->username_attributes.len)
		return;
	const struct ldapx_attr *attr = &entry->attrs[i];
	for (size_t k = 0; k < attr->n; k++) {
		if (attr->values[k].len == 0)
			continue;
		ARENA_ROOM(a, *names, *n, *cap, 256);
		(*names)[(*n)++] = slice_of(
		    arena_printf(a, "%s" SLICE_FMT, c->username_prefix, SLICE_ARG(attr->values[k])));
	}
}

static enum err_code search(const struct directory_config *c, struct ldapx *h, int64_t deadline, struct arena *a,
    struct slice **names, size_t *n, struct err *e)
{
	const char *attrs[ATTRIBUTES_MAX + 1] = {0};
	for (size_t i = 0; i < c->username_attributes.len && i < ATTRIBUTES_MAX; i++)
		attrs[i] = c->username_attributes.items[i];
	struct ldapx_search q = {
	    .base = c->users.base_dn,
	    .scope = (enum ldapx_scope)c->users.scope,
	    .filter = c->users.filter,
	    .attrs = attrs,
	    .max_entries = DIRECTORY_USERS_MAX,
	    .page = (size_t)c->users.page_size,
	    .whole = true,
	    .deref = (enum ldapx_deref)c->users.deref,
	};
	struct ldapx_entry *entries;
	size_t found, cap = 0;
	TRY(ldapx_search(h, &q, deadline, a, &entries, &found, e));
	*names = NULL;
	*n = 0;
	for (size_t i = 0; i < found; i++)
		names_of(c, &entries[i], a, names, n, &cap);
	return arena_over(a) ? err_set(e, ERR_LIMIT, "search: too much data") : ERR_OK;
}

static int64_t soonest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

enum err_code directory_poll(const struct directory_config *c, struct directory_link *link, struct arena *a,
    struct slice **names, size_t *n, struct err *e)
{
	int64_t now = clock_mono();
	int64_t deadline = now + (c->users.timeout ? c->users.timeout * CLOCK_SECOND : POLL_MAX);
	int64_t connected = soonest(deadline, now + CONNECT_MAX);
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
		code = search(c, h, deadline, a, names, n, e);
	link_close(link);
	return code;
}
