/* Owns the rendering of placeholders: values, filters, keys of groups. */
#include "rbac-sync/pattern_parts.h"

void pattern_group_key(struct slice provider, struct slice group, char out[27])
{
	/* No user's name holds NUL: the two kinds of record never share a key. */
	struct buf b;
	buf_init(&b, group.len + 8);
	buf_add(&b, "group", 6);
	buf_slice(&b, group);
	spool_key(provider, buf_view(&b), out);
	buf_done(&b);
}

static struct slice hash(struct arena *a, const struct pattern_values *v, bool group, size_t n)
{
	char key[SPOOL_KEY_LEN + 1];
	if (group)
		pattern_group_key(v->provider, v->group, key);
	else
		spool_key(v->provider, v->user, key);
	return slice_dup(a, (struct slice){key, n});
}

static struct slice lower(struct arena *a, struct slice s)
{
	struct slice out = slice_dup(a, s);
	char *p = arena_strndup(a, s.p ? s.p : "", s.len);
	for (size_t i = 0; i < s.len; i++) {
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] - 'A' + 'a');
	}
	out.p = p;
	return out;
}

/* Lower-case ASCII letters, digits and single dashes, none at the ends: part of a DNS label. */
static struct slice slug(struct arena *a, struct slice s)
{
	struct slice low = lower(a, s);
	char *out = arena_alloc(a, low.len + 1);
	size_t n = 0;
	for (size_t i = 0; i < low.len && n < PATTERN_SLUG_MAX; i++) {
		char c = low.p[i];
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[n++] = c;
		else if (n && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n && out[n - 1] == '-')
		n--;
	return (struct slice){out, n};
}

static struct slice local_part(struct slice user)
{
	size_t at = user.len;
	for (size_t i = 0; i < user.len; i++) {
		if (user.p[i] == '@')
			at = i;
	}
	return (struct slice){user.p, at};
}

static struct slice replace(struct arena *a, struct slice s, struct slice from, struct slice to)
{
	struct buf b;
	buf_init(&b, 4 * PATTERN_TEXT_MAX);
	while (s.len) {
		if (slice_starts(s, from)) {
			buf_slice(&b, to);
			s = slice_skip(s, from.len);
		} else {
			buf_addc(&b, s.p[0]);
			s = slice_skip(s, 1);
		}
	}
	struct slice out = slice_dup(a, buf_view(&b));
	buf_done(&b);
	return out;
}

/* Never inside a UTF-8 sequence. */
static struct slice trunc_utf8(struct slice s, size_t n)
{
	if (s.len <= n)
		return s;
	while (n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return (struct slice){s.p, n};
}

/* *LOSSY: another name could give the same text. An admin's replace counts as meant. */
static struct slice apply_filter(
    struct arena *a, const struct filter *f, struct slice s, bool *lossy)
{
	struct slice out = s;
	switch (f->kind) {
	case FILTER_LOWER:
		out = lower(a, s);
		break;
	case FILTER_SLUG:
		out = slug(a, s);
		break;
	case FILTER_TRUNC:
		out = trunc_utf8(s, f->n);
		break;
	case FILTER_REPLACE:
		return replace(a, s, f->a, f->b);
	case FILTER_DEFAULT:
		return s.len ? s : f->a;
	}
	*lossy |= !slice_eq(out, s);
	return out;
}

static struct slice first_extra(const struct pattern_values *v, struct slice key)
{
	for (size_t i = 0; i < v->nextra; i++) {
		if (slice_eq(v->extra[i].key, key))
			return v->extra[i].n ? v->extra[i].values[0] : (struct slice){0};
	}
	return (struct slice){0};
}

static struct slice base_value(
    struct arena *a, const struct pattern_part *part, const struct pattern_values *v, bool *lossy)
{
	enum value value = part->value;
	struct slice raw = pattern_of_group(value) ? v->group : v->user, out = raw;
	switch (value) {
	case VALUE_USER_SLUG:
	case VALUE_GROUP_SLUG:
		out = slug(a, raw);
		break;
	case VALUE_USER_LOCAL:
		out = local_part(raw);
		break;
	case VALUE_USER_HASH6:
	case VALUE_GROUP_HASH6:
		return hash(a, v, pattern_of_group(value), 6);
	case VALUE_USER_HASH10:
	case VALUE_GROUP_HASH10:
		return hash(a, v, pattern_of_group(value), 10);
	case VALUE_UID:
		return v->uid;
	case VALUE_EXTRA:
		return first_extra(v, part->literal);
	case VALUE_DATE:
		return v->date;
	case VALUE_PROVIDER:
		return v->provider;
	case VALUE_LITERAL:
	case VALUE_USER:
	case VALUE_GROUP:
		break;
	}
	*lossy |= !slice_eq(out, raw);
	return out;
}

static struct slice render_part(struct arena *a, const struct pattern_part *part,
    const struct pattern_values *v, bool *lossy)
{
	struct slice s = base_value(a, part, v, lossy);
	for (size_t i = 0; i < part->nfilters; i++)
		s = apply_filter(a, &part->filters[i], s, lossy);
	return s;
}

static enum err_code renders_empty(const struct pattern_part *part, struct err *e)
{
	if (part->value == VALUE_EXTRA)
		return err_set(e, ERR_REFUSED, "${extra." SLICE_FMT "} renders empty",
		    SLICE_ARG(part->literal));
	return err_set(e, ERR_REFUSED, "${%s} renders empty", pattern_value_names[part->value]);
}

enum err_code pattern_render(const struct pattern *p, const struct pattern_values *v,
    struct arena *a, struct slice *out, bool *ambiguous, struct err *e)
{
	struct buf b;
	enum err_code rc = ERR_OK;
	*ambiguous = false;
	buf_init(&b, PATTERN_TEXT_MAX);
	for (size_t i = 0; i < p->len && rc == ERR_OK; i++) {
		const struct pattern_part *part = &p->parts[i];
		if (part->value == VALUE_LITERAL) {
			buf_slice(&b, part->literal);
			continue;
		}
		bool lossy = false;
		struct slice s = render_part(a, part, v, &lossy);
		if (s.len == 0)
			rc = renders_empty(part, e);
		bool group = pattern_of_group(part->value);
		if (lossy && !pattern_of_many(part->value))
			*ambiguous |= group ? !p->group_hash : !p->user_hash;
		buf_slice(&b, s);
	}
	if (rc == ERR_OK && b.over)
		rc = err_set(e, ERR_REFUSED, "renders to more than %d bytes", PATTERN_TEXT_MAX);
	*out = rc == ERR_OK ? slice_dup(a, buf_view(&b)) : (struct slice){0};
	buf_done(&b);
	return rc;
}
