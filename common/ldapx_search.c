/* Owns searches in directories: their answers as slices, capped, and the escaping of filter values. */
#include <lber.h>
#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/clock.h"
#include "common/ldap_dn.h"
#include "common/ldapx_handle.h"

/* References an answer may hold beside its entries before it is cut. */
#define REFERENCES_MAX 1000

/* Pages without an entry that are put up with: Active Directory gives some when a page took long. */
#define EMPTY_PAGES_MAX 30
/* A cookie is a place in an answer; Active Directory's take some hundred bytes. */
#define COOKIE_MAX ((size_t)64 << 10)

/* Values of DESC into OUT. */
static enum err_code copy_values(struct ldapx *h, LDAPMessage *msg, const char *desc,
    struct arena *a, struct ldapx_attr *out, struct err *e)
{
	struct berval **vals = ldap_get_values_len(h->ld, msg, desc);
	size_t n = 0;
	while (vals && vals[n] && n <= LDAPX_VALUES_MAX)
		n++;
	if (n > LDAPX_VALUES_MAX) {
		ldap_value_free_len(vals);
		return err_set(e, ERR_LIMIT, "search: %s has more than %d values", out->name,
		    LDAPX_VALUES_MAX);
	}
	struct slice *values = ARENA_ARRAY(a, struct slice, n);
	for (size_t i = 0; i < n; i++)
		values[i] = slice_dup(a, (struct slice){vals[i]->bv_val, vals[i]->bv_len});
	ldap_value_free_len(vals);
	out->values = values;
	out->n = n;
	return ERR_OK;
}

/* The description under which a piece of NAME came, to be freed with ldap_memfree; NULL: none came. NAME
 * may itself be a range: any other of its attribute will do. */
static char *find_piece(
    struct ldapx *h, LDAPMessage *msg, const char *name, struct ldapx_range *range)
{
	BerElement *ber = NULL;
	char bare[256];
	const char *option = strcasestr(name, ";range=");
	snprintf(bare, sizeof(bare), "%.*s",
	    option ? (int)(option - name) : (int)strlen(name), name);
	char *desc = ldap_first_attribute(h->ld, msg, &ber);
	while (desc && !ldapx_range_parse(desc, bare, range)) {
		ldap_memfree(desc);
		desc = ldap_next_attribute(h->ld, msg, ber);
	}
	ber_free(ber, 0);
	return desc;
}

/* A piece without values, or of another number of them than it says, would not end. */
static bool range_holds(const struct ldapx_range *r, size_t values)
{
	return values > 0 && (r->last || values == r->high - r->low + 1);
}

/* Attribute number AT of the entry that is number F->n. A piece is noted, to be continued. */
static enum err_code copy_attr(struct ldapx *h, const struct ldapx_search *q, LDAPMessage *msg,
    struct ldapx_found *f, size_t at, struct ldapx_attr *out, struct err *e)
{
	const char *name = q->attrs[at];
	bool later = strcasestr(name, ";range=");
	*out = (struct ldapx_attr){.name = name};
	if (!later) {
		enum err_code code = copy_values(h, msg, name, f->a, out, e);
		if (code != ERR_OK || out->n > 0)
			return code;
	}
	struct ldapx_range range;
	char *desc = find_piece(h, msg, name, &range);
	if (!desc)
		return ERR_OK;
	enum err_code code;
	if (!q->ranges) {
		/* Without this the rest would be missing in silence. */
		code = err_set(
		    e, ERR_LIMIT, "search: %s has more values than come at once", name);
	} else {
		ARENA_ROOM(f->a, f->pieces, f->npieces, f->pieces_cap, 4);
		f->pieces[f->npieces++] =
		    (struct ldapx_piece){.entry = f->n, .attr = at, .range = range};
		code = copy_values(h, msg, desc, f->a, out, e);
	}
	if (code == ERR_OK && ((!later && range.low != 0) || !range_holds(&range, out->n)))
		code = ldapx_fail(h, e, "search: range", LDAP_DECODING_ERROR);
	ldap_memfree(desc);
	return code;
}

static enum err_code copy_entry(struct ldapx *h, const struct ldapx_search *q, LDAPMessage *msg,
    struct ldapx_found *f, struct err *e)
{
	struct ldapx_entry *out = &f->items[f->n];
	struct berval dn = {0};
	BerElement *ber = NULL;
	int rc = ldap_get_dn_ber(h->ld, msg, &ber, &dn);
	if (rc == LDAP_SUCCESS)
		out->dn = slice_dup(f->a, (struct slice){dn.bv_val, dn.bv_len});
	ber_free(ber, 0);
	if (rc != LDAP_SUCCESS)
		return ldapx_fail(h, e, "entry", rc);
	size_t n = 0;
	while (q->attrs[n])
		n++;
	struct ldapx_attr *list = ARENA_ARRAY(f->a, struct ldapx_attr, n);
	for (size_t i = 0; i < n; i++) {
		enum err_code code = copy_attr(h, q, msg, f, i, &list[i], e);
		if (code != ERR_OK)
			return code;
	}
	out->attrs = list;
	return ERR_OK;
}

static enum err_code take_entry(struct ldapx *h, const struct ldapx_search *q, LDAPMessage *msg,
    struct ldapx_found *f, struct err *e)
{
	if (f->n == q->max_entries || arena_over(f->a))
		return err_set(
		    e, ERR_LIMIT, "search: more than %zu entries or too much data", q->max_entries);
	ARENA_ROOM(f->a, f->items, f->n, f->cap, 4);
	enum err_code code = copy_entry(h, q, msg, f, e);
	if (code == ERR_OK)
		f->n++;
	return code;
}

/* The cookie of the next page, if there is one. */
static enum err_code take_cookie(
    struct ldapx *h, LDAPControl **controls, struct ldapx_found *f, struct err *e)
{
	LDAPControl *c = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
	if (!c)
		return ERR_OK;
	struct berval cookie = {0};
	ber_int_t estimate;
	/* Without a value, or with an empty one, libldap itself would crash. */
	int rc = c->ldctl_value.bv_val && c->ldctl_value.bv_len
		     ? ldap_parse_pageresponse_control(h->ld, c, &estimate, &cookie)
		     : LDAP_DECODING_ERROR;
	if (rc == LDAP_SUCCESS && cookie.bv_len <= COOKIE_MAX)
		f->cookie = slice_dup(f->a, (struct slice){cookie.bv_val, cookie.bv_len});
	else
		rc = LDAP_DECODING_ERROR;
	ber_memfree(cookie.bv_val);
	return rc == LDAP_SUCCESS ? ERR_OK : ldapx_fail(h, e, "search: page", rc);
}

static enum err_code take_done(
    struct ldapx *h, LDAPMessage *msg, struct ldapx_found *f, struct err *e)
{
	int result = LDAP_OTHER;
	LDAPControl **controls = NULL;
	int rc = ldap_parse_result(h->ld, msg, &result, NULL, NULL, NULL, &controls, 0);
	result = ldapx_said(result);
	enum err_code code = ERR_OK;
	if (rc != LDAP_SUCCESS)
		code = ldapx_fail(h, e, "search", rc);
	else if (result == LDAP_SIZELIMIT_EXCEEDED)
		code = err_set(e, ERR_LIMIT, "search: size limit");
	else if (result == LDAP_NO_SUCH_OBJECT) {
		h->broken = true;
		code = err_set(e, ERR_NOT_FOUND, "search: no such base");
	} else if (result != LDAP_SUCCESS)
		code = ldapx_fail(h, e, "search", result);
	else if (arena_over(f->a))
		code = err_set(e, ERR_LIMIT, "search: too much data");
	else
		code = take_cookie(h, controls, f, e);
	ldap_controls_free(controls);
	return code;
}

/* Partitions of Active Directory that hold neither people nor groups, right below a domain: a search from there refers
 * to them always (MS-ADTS 3.1.1.3.1.3.1.5 continuation references, 6.1.1.1 naming contexts). */
static bool is_bare_partition(const char *dn, const char *base)
{
	static const char *const names[] = {"cn=configuration,", "dc=domaindnszones,", "dc=forestdnszones,"};
	struct slice to = slice_of(dn), from = slice_of(base);
	AUTO(buf_done) struct buf there, here;
	buf_init(&there, 3 * to.len + 1);
	buf_init(&here, 3 * from.len + 1);
	if (!ldap_dn_canonical(to, &there) || !ldap_dn_canonical(from, &here))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct slice name = slice_of(names[i]);
		if (slice_starts(buf_view(&there), name) &&
		    slice_eq(slice_skip(buf_view(&there), name.len), buf_view(&here)))
			return true;
	}
	return false;
}

/* All that a reference points to is such a partition. */
static bool is_bare_reference(struct ldapx *h, const struct ldapx_search *q, LDAPMessage *msg)
{
	char **urls = NULL;
	if (ldap_parse_reference(h->ld, msg, &urls, NULL, 0) != LDAP_SUCCESS)
		return false;
	bool bare = urls && urls[0];
	for (size_t i = 0; bare && urls[i]; i++) {
		LDAPURLDesc *url = NULL;
		bare = ldap_url_parse(urls[i], &url) == 0 && is_bare_partition(url->lud_dn, q->base);
		ldap_free_urldesc(url);
	}
	ldap_memvfree((void **)urls);
	return bare;
}

/* One message; *DONE when it was the last. */
static enum err_code take_message(struct ldapx *h, const struct ldapx_search *q, LDAPMessage *msg,
    struct ldapx_found *f, bool *done, struct err *e)
{
	switch (ldap_msgtype(msg)) {
	case LDAP_RES_SEARCH_ENTRY:
		return take_entry(h, q, msg, f, e);
	case LDAP_RES_SEARCH_RESULT:
		*done = true;
		return take_done(h, msg, f, e);
	default: /* references and intermediate answers: not followed, but not without end either */
		if (q->whole && ldap_msgtype(msg) == LDAP_RES_SEARCH_REFERENCE && !is_bare_reference(h, q, msg))
			return err_set(e, ERR_LIMIT, "search: a part is on another server");
		if (++f->references > REFERENCES_MAX)
			return err_set(e, ERR_LIMIT, "search: too many references");
		return ERR_OK;
	}
}

static enum err_code collect(struct ldapx *h, const struct ldapx_search *q, int id,
    struct ldapx_found *f, struct err *e)
{
	for (bool done = false; !done;) {
		int rc = LDAP_OTHER;
		LDAPMessage *msg = ldapx_wait(h, id, false, &rc);
		enum err_code code = msg ? take_message(h, q, msg, f, &done, e)
					 : ldapx_fail(h, e, "search", rc);
		ldap_msgfree(msg);
		if (code == ERR_OK && !done && clock_mono() >= h->deadline)
			code = ldapx_fail(h, e, "search", LDAP_TIMEOUT);
		if (code != ERR_OK) {
			if (!done)
				ldap_abandon_ext(h->ld, id, NULL, NULL);
			return code;
		}
	}
	return ERR_OK;
}

static int scope_of(enum ldapx_scope scope)
{
	switch (scope) {
	case LDAPX_ONE:
		return LDAP_SCOPE_ONELEVEL;
	case LDAPX_BASE:
		return LDAP_SCOPE_BASE;
	default:
		return LDAP_SCOPE_SUBTREE;
	}
}

_Static_assert((int)LDAPX_DEREF_NEVER == LDAP_DEREF_NEVER && (int)LDAPX_DEREF_SEARCH == LDAP_DEREF_SEARCHING &&
		   (int)LDAPX_DEREF_BASE == LDAP_DEREF_FINDING &&
		   (int)LDAPX_DEREF_ALWAYS == LDAP_DEREF_ALWAYS,
    "the protocol's numbers");

/* Not critical: a server without pages gives all at once, or says that this is too much. */
static int page_control(
    struct ldapx *h, const struct ldapx_search *q, struct slice cookie, LDAPControl **out)
{
	*out = NULL;
	if (q->page == 0)
		return LDAP_SUCCESS;
	struct berval at = {.bv_len = cookie.len, .bv_val = (char *)(uintptr_t)cookie.p};
	ber_int_t size = q->page > INT32_MAX ? INT32_MAX : (ber_int_t)q->page;
	return ldap_create_page_control(h->ld, size, &at, 0, out);
}

enum err_code ldapx_search_once(
    struct ldapx *h, const struct ldapx_search *q, struct ldapx_found *f, struct err *e)
{
	if (clock_mono() >= h->deadline)
		return ldapx_fail(h, e, "search", LDAP_TIMEOUT);
	struct timeval tv = ldapx_until(h->deadline);
	int id = 0;
	LDAPControl *page[2] = {0};
	int deref = (int)q->deref;
	int rc = ldap_set_option(h->ld, LDAP_OPT_DEREF, &deref);
	if (rc == LDAP_OPT_SUCCESS)
		rc = page_control(h, q, f->cookie, &page[0]);
	/* One more than allowed, so that "too many" shows as entries, not as the server's mood; pages
	 * are small enough, and servers do not agree on what a size limit means to them. */
	int limit = q->page ? 0 : (int)q->max_entries + 1;
	/* The API takes char **, but only reads it. */
	char **attrs = (char **)(uintptr_t)q->attrs;
	if (rc == LDAP_SUCCESS)
		rc = ldap_search_ext(h->ld, q->base, scope_of(q->scope), q->filter, attrs, 0, page,
		    NULL, &tv, limit, &id);
	if (page[0])
		ldap_control_free(page[0]);
	f->cookie = (struct slice){0};
	return rc == LDAP_SUCCESS ? collect(h, q, id, f, e) : ldapx_fail(h, e, "search", rc);
}

static enum err_code all_pages(
    struct ldapx *h, const struct ldapx_search *q, struct ldapx_found *f, struct err *e)
{
	size_t empty = 0;
	do {
		size_t before = f->n;
		enum err_code code = ldapx_search_once(h, q, f, e);
		if (code != ERR_OK)
			return code;
		empty += f->n == before;
		if (empty > EMPTY_PAGES_MAX)
			return err_set(e, ERR_LIMIT, "search: pages without end");
	} while (f->cookie.len > 0 && q->page > 0);
	return ERR_OK;
}

enum err_code ldapx_search(struct ldapx *h, const struct ldapx_search *q, int64_t deadline,
    struct arena *a, struct ldapx_entry **out, size_t *n, struct err *e)
{
	*n = 0;
	*out = NULL;
	if (h->broken)
		return err_set(e, ERR_UNAVAILABLE, "search: broken connection");
	h->deadline = deadline;
	struct ldapx_found f = {.a = a};
	int64_t since = clock_mono();
	enum err_code code = all_pages(h, q, &f, e);
	if (code == ERR_OK)
		code = ldapx_read_pieces(h, &f, e);
	if (code == ERR_OK && arena_over(a))
		code = err_set(e, ERR_LIMIT, "search: too much data");
	ldapx_told(h, LDAPX_OP_SEARCH, code, since);
	*out = f.items;
	*n = f.n;
	return code;
}

const struct ldapx_attr *ldapx_attr(
    const struct ldapx_entry *entry, const char *const *attrs, const char *name)
{
	for (size_t i = 0; attrs[i]; i++) {
		if (strcasecmp(attrs[i], name) == 0)
			return &entry->attrs[i];
	}
	return NULL;
}

void ldapx_filter_value(struct buf *b, struct slice value)
{
	struct berval in = {.bv_len = value.len, .bv_val = (char *)(uintptr_t)value.p};
	struct berval out = {0};
	if (value.len == 0)
		return;
	if (ldap_bv2escaped_filter_value(&in, &out) != 0 || !out.bv_val)
		abort(); /* it fails for lack of memory alone */
	buf_add(b, out.bv_val, out.bv_len);
	ber_memfree(out.bv_val);
}
