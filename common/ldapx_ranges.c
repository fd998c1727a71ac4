/* Owns attributes that come in pieces: Active Directory gives no more than 1,500 values at once, as
 * "member;range=0-1499" (MS-ADTS 3.1.1.3.1.3.3). */
#include <stdio.h>
#include <strings.h>

#include "common/ldapx_handle.h"

/* "member;range=1500-*" */
#define DESC_MAX 256

/* Digits of *S, which moves behind them. */
static bool number(const char **s, size_t *out)
{
	size_t n = strspn(*s, "0123456789");
	if (n == 0 || n > 9)
		return false;
	*out = 0;
	for (; n > 0; n--, (*s)++)
		*out = *out * 10 + (size_t)(**s - '0');
	return true;
}

bool ldapx_range_parse(const char *desc, const char *name, struct ldapx_range *out)
{
	size_t n = strlen(name);
	*out = (struct ldapx_range){0};
	if (strncasecmp(desc, name, n) != 0 || strncasecmp(desc + n, ";range=", 7) != 0)
		return false;
	const char *s = desc + n + 7;
	if (!number(&s, &out->low) || *s++ != '-')
		return false;
	if (strcmp(s, "*") == 0) {
		out->last = true;
		return true;
	}
	return number(&s, &out->high) && *s == '\0' && out->high >= out->low;
}

static enum err_code append(
    struct arena *a, struct ldapx_attr *to, size_t *cap, const struct ldapx_attr *from, struct err *e)
{
	if (from->n > LDAPX_VALUES_MAX - to->n)
		return err_set(e, ERR_LIMIT, "search: %s has more than %d values", to->name,
		    LDAPX_VALUES_MAX);
	struct slice *values = (struct slice *)(uintptr_t)to->values;
	for (size_t i = 0; i < from->n; i++) {
		ARENA_ROOM(a, values, to->n, *cap, 64);
		values[to->n++] = from->values[i];
	}
	to->values = values;
	return ERR_OK;
}

/* Asks ENTRY for the values of ATTR from its own number of them on; *RANGE tells which came. */
static enum err_code next_piece(struct ldapx *h, const struct ldapx_entry *entry,
    struct ldapx_attr *attr, size_t *cap, struct ldapx_found *all, struct ldapx_range *range,
    struct err *e)
{
	char desc[DESC_MAX];
	int len = snprintf(desc, sizeof(desc), "%s;range=%zu-*", attr->name, attr->n);
	if (len < 0 || (size_t)len >= sizeof(desc))
		return err_set(e, ERR_LIMIT, "search: attribute name too long");
	const char *const attrs[] = {desc, NULL};
	struct ldapx_search q = {
	    .base = entry->dn.p,
	    .scope = LDAPX_BASE,
	    .filter = "(objectClass=*)",
	    .attrs = attrs,
	    .max_entries = 1,
	    .ranges = true,
	};
	struct ldapx_found f = {.a = all->a};
	enum err_code code = ldapx_search_once(h, &q, &f, e);
	if (code == ERR_NOT_FOUND)
		code = err_set(e, ERR_UNAVAILABLE, "search: the entry went while it was read");
	if (code != ERR_OK)
		return code;
	if (f.n != 1 || f.npieces != 1 || f.pieces[0].range.low != attr->n) {
		h->broken = true;
		return err_set(
		    e, ERR_UNAVAILABLE, "search: the next values of %s did not come", attr->name);
	}
	*range = f.pieces[0].range;
	return append(all->a, attr, cap, &f.items[0].attrs[0], e);
}

enum err_code ldapx_read_pieces(struct ldapx *h, struct ldapx_found *f, struct err *e)
{
	for (size_t i = 0; i < f->npieces; i++) {
		struct ldapx_piece *p = &f->pieces[i];
		struct ldapx_entry *entry = &f->items[p->entry];
		struct ldapx_attr *attr = (struct ldapx_attr *)(uintptr_t)&entry->attrs[p->attr];
		size_t cap = attr->n;
		if (memchr(entry->dn.p, '\0', entry->dn.len)) {
			h->broken = true;
			return err_set(e, ERR_UNAVAILABLE, "search: an entry's name holds a NUL");
		}
		while (!p->range.last) {
			enum err_code code =
			    next_piece(h, entry, attr, &cap, f, &p->range, e);
			if (code != ERR_OK)
				return code;
		}
	}
	return ERR_OK;
}
