/* Owns searches in directories: their answers as slices, capped, and the escaping of filter values. */
#include <lber.h>
#include <ldap.h>
#include <stdlib.h>
#include <strings.h>

#include "common/clock.h"
#include "common/ldapx_handle.h"

/* References an answer may hold beside its entries before it is cut. */
#define REFERENCES_MAX 1000

static void copy_values(
    struct arena *a, struct berval **vals, const char *name, struct ldapx_attr *out)
{
	size_t n = 0;
	while (vals && vals[n] && n < LDAPX_VALUES_MAX)
		n++;
	struct slice *values = ARENA_ARRAY(a, struct slice, n);
	for (size_t i = 0; i < n; i++)
		values[i] = slice_dup(a, (struct slice){vals[i]->bv_val, vals[i]->bv_len});
	*out = (struct ldapx_attr){.name = name, .values = values, .n = n};
}

/* Active Directory gives no more than so many values at once: as "NAME;range=0-1499", beside an
 * empty NAME or none. Without this the rest would be missing in silence. */
static bool in_pieces(struct ldapx *h, LDAPMessage *msg, const char *name)
{
	BerElement *ber = NULL;
	size_t n = strlen(name);
	bool found = false;
	for (char *a = ldap_first_attribute(h->ld, msg, &ber); a;
	     a = ldap_next_attribute(h->ld, msg, ber)) {
		found |= strncasecmp(a, name, n) == 0 && strncasecmp(a + n, ";range=", 7) == 0;
		ldap_memfree(a);
	}
	ber_free(ber, 0);
	return found;
}

static enum err_code copy_entry(struct ldapx *h, LDAPMessage *msg, const char *const *attrs,
    struct arena *a, struct ldapx_entry *out, struct err *e)
{
	struct berval dn = {0};
	BerElement *ber = NULL;
	int rc = ldap_get_dn_ber(h->ld, msg, &ber, &dn);
	if (rc == LDAP_SUCCESS)
		out->dn = slice_dup(a, (struct slice){dn.bv_val, dn.bv_len});
	ber_free(ber, 0);
	if (rc != LDAP_SUCCESS)
		return ldapx_fail(h, e, "entry", rc);
	size_t n = 0;
	while (attrs[n])
		n++;
	struct ldapx_attr *list = ARENA_ARRAY(a, struct ldapx_attr, n);
	for (size_t i = 0; i < n; i++) {
		struct berval **vals = ldap_get_values_len(h->ld, msg, attrs[i]);
		copy_values(a, vals, attrs[i], &list[i]);
		ldap_value_free_len(vals);
		if (list[i].n == 0 && in_pieces(h, msg, attrs[i]))
			return err_set(
			    e, ERR_LIMIT, "search: %s has more values than come at once", attrs[i]);
	}
	out->attrs = list;
	return ERR_OK;
}

struct found {
	struct arena *a;
	struct ldapx_entry *items;
	size_t n, cap, references;
};

static enum err_code take_entry(
    struct ldapx *h, const struct ldapx_search *q, LDAPMessage *msg, struct found *f, struct err *e)
{
	if (f->n == q->max_entries || arena_over(f->a))
		return err_set(
		    e, ERR_LIMIT, "search: more than %zu entries or too much data", q->max_entries);
	ARENA_ROOM(f->a, f->items, f->n, f->cap, 4);
	enum err_code code = copy_entry(h, msg, q->attrs, f->a, &f->items[f->n], e);
	if (code == ERR_OK)
		f->n++;
	return code;
}

static enum err_code take_done(struct ldapx *h, LDAPMessage *msg, struct found *f, struct err *e)
{
	int result = LDAP_OTHER;
	int rc = ldap_parse_result(h->ld, msg, &result, NULL, NULL, NULL, NULL, 0);
	if (rc != LDAP_SUCCESS)
		return ldapx_fail(h, e, "search", rc);
	if (result == LDAP_SIZELIMIT_EXCEEDED)
		return err_set(e, ERR_LIMIT, "search: size limit");
	if (result == LDAP_NO_SUCH_OBJECT) {
		h->broken = true;
		return err_set(e, ERR_NOT_FOUND, "search: no such base");
	}
	if (result != LDAP_SUCCESS)
		return ldapx_fail(h, e, "search", result);
	if (arena_over(f->a))
		return err_set(e, ERR_LIMIT, "search: too much data");
	return ERR_OK;
}

/* One message; *DONE when it was the last. */
static enum err_code take_message(struct ldapx *h, const struct ldapx_search *q, LDAPMessage *msg,
    struct found *f, bool *done, struct err *e)
{
	switch (ldap_msgtype(msg)) {
	case LDAP_RES_SEARCH_ENTRY:
		return take_entry(h, q, msg, f, e);
	case LDAP_RES_SEARCH_RESULT:
		*done = true;
		return take_done(h, msg, f, e);
	default: /* references and intermediate answers: not followed, but not without end either */
		if (++f->references > REFERENCES_MAX)
			return err_set(e, ERR_LIMIT, "search: too many references");
		return ERR_OK;
	}
}

static enum err_code collect(
    struct ldapx *h, const struct ldapx_search *q, int id, struct found *f, struct err *e)
{
	for (bool done = false; !done;) {
		struct timeval tv = ldapx_until(h->deadline);
		LDAPMessage *msg = NULL;
		int got = ldap_result(h->ld, id, LDAP_MSG_ONE, &tv, &msg);
		enum err_code code;
		if (got <= 0)
			code = ldapx_fail(h, e, "search", got == 0 ? LDAP_TIMEOUT : ldapx_last_rc(h));
		else
			code = take_message(h, q, msg, f, &done, e);
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

enum err_code ldapx_search(struct ldapx *h, const struct ldapx_search *q, int64_t deadline,
    struct arena *a, struct ldapx_entry **out, size_t *n, struct err *e)
{
	*n = 0;
	*out = NULL;
	if (h->broken)
		return err_set(e, ERR_UNAVAILABLE, "search: broken connection");
	h->deadline = deadline;
	struct timeval tv = ldapx_until(deadline);
	int id = 0;
	/* The API takes char **, but only reads it. */
	char **attrs = (char **)(uintptr_t)q->attrs;
	/* One more than allowed, so that "too many" shows as entries, not as the server's mood. */
	int rc =
	    ldap_search_ext(h->ld, q->base, q->one_level ? LDAP_SCOPE_ONELEVEL : LDAP_SCOPE_SUBTREE,
		q->filter, attrs, 0, NULL, NULL, &tv, (int)q->max_entries + 1, &id);
	if (rc != LDAP_SUCCESS)
		return ldapx_fail(h, e, "search", rc);
	struct found f = {.a = a};
	enum err_code code = collect(h, q, id, &f, e);
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
