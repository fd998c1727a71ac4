/* Owns the parsing of placeholders and their filters, with places; and globs. */
#include "rbac-sync/pattern_parts.h"

const char *const pattern_value_names[VALUE_COUNT] = {
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

static const char *const filter_names[] = {"lower", "slug", "trunc", "replace", "default"};
static const unsigned filter_args[] = {0, 0, 1, 2, 1};

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
	for (size_t i = VALUE_USER; i < VALUE_COUNT; i++) {
		if (slice_is(name, pattern_value_names[i]) && i != VALUE_EXTRA) {
			part->value = (enum value)i;
			return ERR_OK;
		}
	}
	const char *near = diag_nearest(name, pattern_value_names + 1, VALUE_COUNT - 1);
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
		bool name = v != VALUE_LITERAL && !user_hash && !group_hash && !pattern_of_many(v);
		out->uses_user |= v >= VALUE_USER && v <= VALUE_DATE;
		out->uses_group |= pattern_of_group(v);
		out->user_hash |= user_hash && whole;
		out->group_hash |= group_hash && whole;
		bool kept = name && !is_rewritten(&out->parts[i]);
		out->user_name |= kept && v < VALUE_UID;
		out->group_name |= kept && pattern_of_group(v);
		out->names += name;
		out->user_names += name && !pattern_of_group(v);
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

static bool continues(struct slice text, size_t i)
{
	return i < text.len && ((unsigned char)text.p[i] & 0xC0) == 0x80;
}

bool pattern_glob(const char *glob, struct slice text)
{
	const char *star = NULL;
	size_t i = 0, back = 0;
	while (i < text.len) {
		if (*glob == '*') {
			star = glob++;
			back = i;
		} else if (*glob == '?' && !continues(text, i)) {
			glob++;
			for (i++; continues(text, i); i++)
				;
		} else if (*glob && *glob != '?' && *glob == text.p[i]) {
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
