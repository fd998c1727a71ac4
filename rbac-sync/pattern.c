/* Owns placeholders: their parsing with places, their filters, their rendering. */
#include "rbac-sync/pattern.h"

enum value {
	VALUE_LITERAL,
	VALUE_USER,
	VALUE_USER_SLUG,
	VALUE_USER_LOCAL,
	VALUE_USER_HASH6,
	VALUE_USER_HASH10,
	VALUE_UID,
	VALUE_EXTRA, /* the last that is the user's own */
	VALUE_DATE,
	VALUE_PROVIDER,
	VALUE_GROUP, /* the first of the group's */
	VALUE_GROUP_SLUG,
	VALUE_GROUP_HASH6,
	VALUE_GROUP_HASH10,
};

static const char *const value_names[] = {
    [VALUE_LITERAL] = "",
    [VALUE_USER] = "user",
    [VALUE_USER_SLUG] = "user.slug",
    [VALUE_USER_LOCAL] = "user.local",
    [VALUE_USER_HASH6] = "user.hash6",
    [VALUE_USER_HASH10] = "user.hash10",
    [VALUE_UID] = "uid",
    [VALUE_EXTRA] = "extra.KEY",
    [VALUE_DATE] = "date",
    [VALUE_PROVIDER] = "provider",
    [VALUE_GROUP] = "group",
    [VALUE_GROUP_SLUG] = "group.slug",
    [VALUE_GROUP_HASH6] = "group.hash6",
    [VALUE_GROUP_HASH10] = "group.hash10",
};

enum filter_kind { FILTER_LOWER, FILTER_SLUG, FILTER_TRUNC, FILTER_REPLACE, FILTER_DEFAULT };

static const char *const filter_names[] = {"lower", "slug", "trunc", "replace", "default"};
static const unsigned filter_args[] = {0, 0, 1, 2, 1};

struct filter {
	enum filter_kind kind;
	struct slice a, b;
	size_t n;
};

struct pattern_part {
	enum value value;
	struct slice literal; /* of VALUE_EXTRA: its key */
	struct filter filters[PATTERN_FILTERS_MAX];
	size_t nfilters;
};

/* --- parsing --- */

struct parser {
	struct arena *arena;
	const char *file;
	const struct yaml_node *node;
	struct diags *diags;
	struct slice text;
	struct pattern_part *parts;
	size_t len;
};

static uint32_t column(const struct parser *p, size_t at)
{
	return p->node->col + (p->node->plain ? 0 : 1) + (uint32_t)at;
}

#define FINDING(p, at, ...)                                                                        \
	diags_error((p)->diags, (p)->file, (p)->node->line, column(p, at), __VA_ARGS__)

static struct pattern_part *add_part(struct parser *p, size_t at)
{
	if (p->len == PATTERN_PARTS_MAX) {
		FINDING(p, at, "more than %d placeholders and texts", PATTERN_PARTS_MAX);
		return NULL;
	}
	return &p->parts[p->len++];
}

static enum err_code find_value(
    struct parser *p, size_t at, struct slice name, struct pattern_part *part)
{
	static const struct slice extra = SLICE("extra.");
	if (slice_starts(name, extra) && name.len > extra.len) {
		part->value = VALUE_EXTRA;
		part->literal = slice_skip(name, extra.len);
		return ERR_OK;
	}
	for (size_t i = VALUE_USER; i < ARRAY_LEN(value_names); i++) {
		if (slice_is(name, value_names[i]) && i != VALUE_EXTRA) {
			part->value = (enum value)i;
			return ERR_OK;
		}
	}
	const char *near = diag_nearest(name, value_names + 1, ARRAY_LEN(value_names) - 1);
	return FINDING(p, at, "unknown placeholder ${" SLICE_FMT "}%s%s%s", SLICE_ARG(name),
	    near ? ", did you mean ${" : "", near ? near : "", near ? "}?" : "");
}

/* The next piece of TEXT up to one of STOPS, without its backslashes. */
static struct slice take_word(struct arena *a, struct slice text, size_t *at, const char *stops)
{
	char *out = arena_alloc(a, text.len + 1);
	size_t n = 0, i = *at;
	while (i < text.len && !strchr(stops, text.p[i])) {
		if (text.p[i] == '\\' && i + 1 < text.len)
			i++;
		out[n++] = text.p[i++];
	}
	*at = i;
	return (struct slice){out, n};
}

static enum err_code check_filter(struct parser *p, size_t at, struct filter *f)
{
	if (f->kind == FILTER_REPLACE && f->a.len == 0)
		return FINDING(p, at, "replace: what to look for must not be empty");
	if (f->kind == FILTER_DEFAULT && f->a.len == 0)
		return FINDING(p, at, "default: must not be empty");
	if (f->kind != FILTER_TRUNC)
		return ERR_OK;
	for (size_t i = 0; i < f->a.len && f->n <= PATTERN_TEXT_MAX; i++) {
		if (f->a.p[i] < '0' || f->a.p[i] > '9')
			return FINDING(p, at, "trunc: must be a number");
		f->n = 10 * f->n + (size_t)(f->a.p[i] - '0');
	}
	if (f->n < 1 || f->n > PATTERN_TEXT_MAX)
		return FINDING(p, at, "trunc: must be from 1 to %d", PATTERN_TEXT_MAX);
	return ERR_OK;
}

/* "name", "name:arg" or "name:arg:arg" at *AT, up to `|` or `}`. */
static enum err_code parse_filter(struct parser *p, size_t *at, struct pattern_part *part)
{
	size_t start = *at;
	if (part->nfilters == PATTERN_FILTERS_MAX)
		return FINDING(p, start, "more than %d filters", PATTERN_FILTERS_MAX);
	struct slice name = take_word(p->arena, p->text, at, ":|}");
	struct filter *f = &part->filters[part->nfilters];
	size_t i = 0;
	while (i < ARRAY_LEN(filter_names) && !slice_is(name, filter_names[i]))
		i++;
	if (i == ARRAY_LEN(filter_names)) {
		const char *near = diag_nearest(name, filter_names, ARRAY_LEN(filter_names));
		return FINDING(p, start, "unknown filter \"" SLICE_FMT "\"%s%s%s", SLICE_ARG(name),
		    near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
	}
	f->kind = (enum filter_kind)i;
	unsigned args = 0;
	while (*at < p->text.len && p->text.p[*at] == ':') {
		++*at;
		struct slice word = take_word(p->arena, p->text, at, ":|}");
		if (args == 0)
			f->a = word;
		else
			f->b = word;
		args++;
	}
	if (args != filter_args[i])
		return FINDING(p, start, "%s takes %u arguments", filter_names[i], filter_args[i]);
	TRY(check_filter(p, start, f));
	part->nfilters++;
	return ERR_OK;
}

/* "${…}" at *AT. */
static enum err_code parse_placeholder(struct parser *p, size_t *at)
{
	size_t start = *at;
	struct pattern_part *part = add_part(p, start);
	if (!part)
		return ERR_INVALID;
	*at += 2;
	size_t name_at = *at;
	while (*at < p->text.len && p->text.p[*at] != '|' && p->text.p[*at] != '}')
		++*at;
	struct slice name = {p->text.p + name_at, *at - name_at};
	if (*at < p->text.len)
		TRY(find_value(p, start, name, part));
	while (*at < p->text.len && p->text.p[*at] == '|') {
		++*at;
		TRY(parse_filter(p, at, part));
	}
	if (*at >= p->text.len)
		return FINDING(p, start, "placeholder without closing brace");
	++*at;
	return ERR_OK;
}

static enum err_code parse_literal(struct parser *p, size_t *at)
{
	struct pattern_part *part = add_part(p, *at);
	if (!part)
		return ERR_INVALID;
	char *out = arena_alloc(p->arena, p->text.len + 1);
	size_t n = 0, i = *at;
	for (; i < p->text.len; i++) {
		struct slice rest = slice_skip(p->text, i);
		if (slice_starts(rest, SLICE("${")))
			break;
		out[n++] = p->text.p[i];
		if (slice_starts(rest, SLICE("$${"))) {
			out[n++] = '{';
			i += 2;
		}
	}
	part->literal = (struct slice){out, n};
	*at = i;
	return ERR_OK;
}

static bool is_group_value(enum value v)
{
	return v >= VALUE_GROUP;
}

/* Of many users alike: no name, and no loss when it is shortened. */
static bool is_common(enum value v)
{
	return v == VALUE_PROVIDER || v == VALUE_DATE;
}

/* By an admin's word: that counts as meant, but it does not keep two names apart. */
static bool is_rewritten(const struct pattern_part *part)
{
	for (size_t i = 0; i < part->nfilters; i++)
		if (part->filters[i].kind == FILTER_REPLACE || part->filters[i].kind == FILTER_DEFAULT)
			return true;
	return false;
}

static void summarise(struct pattern *out)
{
	for (size_t i = 0; i < out->len; i++) {
		enum value v = out->parts[i].value;
		bool user_hash = v == VALUE_USER_HASH6 || v == VALUE_USER_HASH10;
		bool group_hash = v == VALUE_GROUP_HASH6 || v == VALUE_GROUP_HASH10;
		bool whole = out->parts[i].nfilters == 0; /* a cut hash is none */
		bool name = v != VALUE_LITERAL && !user_hash && !group_hash && !is_common(v);
		out->uses_user |= v >= VALUE_USER && v <= VALUE_DATE;
		out->uses_group |= is_group_value(v);
		out->user_hash |= user_hash && whole;
		out->group_hash |= group_hash && whole;
		out->user_name |= name && v < VALUE_UID && !is_rewritten(&out->parts[i]);
		out->names += name;
	}
}

enum err_code pattern_parse(struct arena *a, const char *file, const struct yaml_node *node,
    struct pattern *out, struct diags *d)
{
	*out = (struct pattern){0};
	if (node->kind != YAMLX_SCALAR || yamlx_is_null(node))
		return diags_error(d, file, node->line, node->col, "must be a string, not %s",
		    yamlx_kind(node));
	if (node->text.len == 0 || node->text.len > PATTERN_TEXT_MAX || !slice_printable(node->text))
		return diags_error(d, file, node->line, node->col,
		    "must be 1 to %d bytes of printable text", PATTERN_TEXT_MAX);
	struct parser p = {.arena = a, .file = file, .node = node, .diags = d, .text = node->text};
	p.parts = ARENA_ARRAY(a, struct pattern_part, PATTERN_PARTS_MAX);
	for (size_t at = 0; at < p.text.len;) {
		bool placeholder = slice_starts(slice_skip(p.text, at), SLICE("${"));
		TRY(placeholder ? parse_placeholder(&p, &at) : parse_literal(&p, &at));
	}
	out->parts = p.parts;
	out->len = p.len;
	out->text = node->text;
	summarise(out);
	return ERR_OK;
}

/* --- rendering --- */

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
	struct slice raw = is_group_value(value) ? v->group : v->user, out = raw;
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
		return hash(a, v, is_group_value(value), 6);
	case VALUE_USER_HASH10:
	case VALUE_GROUP_HASH10:
		return hash(a, v, is_group_value(value), 10);
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
	return err_set(e, ERR_REFUSED, "${%s} renders empty", value_names[part->value]);
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
		bool group = is_group_value(part->value);
		if (lossy && !is_common(part->value))
			*ambiguous |= group ? !p->group_hash : !p->user_hash;
		buf_slice(&b, s);
	}
	if (rc == ERR_OK && b.over)
		rc = err_set(e, ERR_REFUSED, "renders to more than %d bytes", PATTERN_TEXT_MAX);
	*out = rc == ERR_OK ? slice_dup(a, buf_view(&b)) : (struct slice){0};
	buf_done(&b);
	return rc;
}

bool pattern_glob(const char *glob, struct slice text)
{
	const char *star = NULL;
	size_t i = 0, back = 0;
	while (i < text.len) {
		if (*glob == '*') {
			star = glob++;
			back = i;
		} else if (*glob && (*glob == '?' || *glob == text.p[i])) {
			glob++;
			i++;
		} else if (star) {
			glob = star + 1;
			i = ++back;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}
