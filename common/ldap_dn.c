/* Owns the reading of distinguished names (RFC 4514). */
#include "common/ldap_dn.h"

#include <ctype.h>
#include <strings.h>

/* What is left to read. */
struct reader {
	const char *p, *end;
};

static bool at(const struct reader *r, char c)
{
	return r->p < r->end && *r->p == c;
}

static void skip_blanks(struct reader *r)
{
	while (at(r, ' '))
		r->p++;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows a backslash: two hex digits, or a character that stands for itself. */
static bool escaped(struct reader *r, struct buf *value)
{
	if (r->end - r->p >= 2 && hex_digit(r->p[0]) >= 0 && hex_digit(r->p[1]) >= 0) {
		buf_addc(value, (char)(hex_digit(r->p[0]) << 4 | hex_digit(r->p[1])));
		r->p += 2;
		return true;
	}
	if (r->p == r->end || !strchr(" \"#+,;<>=\\", *r->p) || *r->p == '\0')
		return false;
	buf_addc(value, *r->p++);
	return true;
}

static bool read_type(struct reader *r, struct slice *type)
{
	skip_blanks(r);
	const char *start = r->p;
	while (r->p < r->end && (isalnum((unsigned char)*r->p) || *r->p == '-' || *r->p == '.'))
		r->p++;
	*type = (struct slice){start, (size_t)(r->p - start)};
	skip_blanks(r);
	if (type->len == 0 || !at(r, '='))
		return false;
	r->p++;
	skip_blanks(r);
	return true;
}

/* Up to the next separator; blanks at the end that are not escaped do not count. */
static bool read_value(struct reader *r, struct buf *value)
{
	size_t keep = value->len;
	if (at(r, '#') || at(r, '"'))
		return false;
	while (r->p < r->end && *r->p != ',' && *r->p != '+' && *r->p != ';') {
		char c = *r->p++;
		if (c == '\\') {
			if (!escaped(r, value))
				return false;
		} else if (c == '\0' || c == '"' || c == '<' || c == '>') {
			return false;
		} else {
			buf_addc(value, c);
			if (c == ' ')
				continue;
		}
		keep = value->len;
	}
	value->len = keep;
	return !value->over;
}

static void add_canonical(struct buf *out, struct slice type, struct slice value)
{
	for (size_t i = 0; i < type.len; i++)
		buf_addc(out, (char)tolower((unsigned char)type.p[i]));
	buf_addc(out, '=');
	for (size_t i = 0; i < value.len; i++) {
		char c = value.p[i];
		/* Blanks as well: those at the ends would need it. */
		if (c == '\0' || strchr(" \"#+,;<>=\\", c))
			buf_printf(out, "\\%02x", (unsigned char)c);
		else
			buf_addc(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
	}
}

bool ldap_dn_canonical(struct slice dn, struct buf *out)
{
	if (dn.len == 0)
		return false;
	struct reader r = {dn.p, dn.p + dn.len};
	AUTO(buf_done) struct buf value;
	buf_init(&value, dn.len + 1);
	for (;;) {
		struct slice type;
		value.len = 0;
		if (!read_type(&r, &type) || !read_value(&r, &value))
			return false;
		add_canonical(out, type, buf_view(&value));
		if (r.p == r.end)
			return !out->over;
		buf_addc(out, *r.p == '+' ? '+' : ',');
		r.p++;
	}
}

bool ldap_dn_within(struct slice dn, struct slice base)
{
	if (base.len == 0 || dn.len < base.len)
		return false;
	size_t at_base = dn.len - base.len;
	/* Canonical: a comma is a separator. */
	return slice_eq(slice_skip(dn, at_base), base) && (at_base == 0 || dn.p[at_base - 1] == ',');
}

bool ldap_dn_first(struct slice dn, const char *attr, struct buf *out)
{
	if (dn.len == 0)
		return false;
	struct reader r = {dn.p, dn.p + dn.len};
	for (;;) {
		struct slice type;
		out->len = 0;
		if (!read_type(&r, &type) || !read_value(&r, out))
			return false;
		if (type.len == strlen(attr) && strncasecmp(type.p, attr, type.len) == 0)
			return true;
		if (r.p == r.end || *r.p != '+')
			return false;
		r.p++;
	}
}
