/* Owns YAML reading: libyaml's events, checked one by one, into the bounded tree of yamlx.h. */
#include "common/yamlx.h"

#include <stdlib.h>
#include <yaml.h>

#include "common/map.h"

/* Maps up to this size look for duplicate keys by comparing; a hash table costs more there. */
#define FEW_KEYS 16
#define KEYS_KEPT 64

/* A collection that is still open. */
struct level {
	struct yaml_node *node;
	struct yaml_pair *kids; /* of a sequence: value alone; kept for the next one at this depth */
	size_t len, cap;
	struct yaml_pair key;	/* the key whose value comes next */
	bool have_key;
};

struct reader {
	yaml_parser_t yaml;
	struct arena *arena;
	const char *file;
	struct diags *diags;
	size_t nodes;
	struct level levels[YAMLX_DEPTH];
	unsigned depth;
	struct yaml_node *root;
	bool ended;
	struct slice keys[KEYS_KEPT]; /* some that were met, by length and first byte */
	char *texts; /* room for texts, which need no alignment: LEFT bytes */
	size_t left;
	bool many; /* documents are collected, the one that is open is ROOT */
	struct yaml_node **roots;
	size_t nroots, room;
};

static size_t utf8_len(unsigned char lead)
{
	return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/* NEL (a C1 control), LS, PS and a lone CR end a line for libyaml but not for most editors: text could hide
 * behind a comment. */
static const char *bad_ascii(const char *p, size_t left)
{
	unsigned char c = (unsigned char)*p;
	if (c == '\r')
		return left > 1 && p[1] == '\n' ? NULL : "a carriage return without a line feed";
	if (c == '\0')
		return "a NUL byte";
	if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F)
		return "a control character";
	return NULL;
}

static const char *bad_wide(struct slice c)
{
	static const struct {
		const char *bytes, *what;
	} bad[] = {
	    {"\xE2\x80\xA8", "a Unicode line separator"},
	    {"\xE2\x80\xA9", "a Unicode line separator"},
	    {"\xEF\xBB\xBF", "a byte order mark"},
	    {"\xEF\xBF\xBE", "a character that is no character"},
	    {"\xEF\xBF\xBF", "a character that is no character"},
	};
	if (!slice_utf8(c))
		return "invalid UTF-8";
	if (c.p[0] == '\xC2' && (unsigned char)c.p[1] < 0xA0)
		return "a control character";
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (slice_is(c, bad[i].bytes))
			return bad[i].what;
	return NULL;
}

/* What is wrong with the character of N bytes at P, LEFT bytes before the end; NULL: nothing. */
static const char *bad_char(const char *p, size_t n, size_t left)
{
	if ((unsigned char)*p < 0x80)
		return bad_ascii(p, left);
	return n > left ? "invalid UTF-8" : bad_wide((struct slice){p, n});
}

/* Refuses what has no business in the file wherever it stands, comments included. */
static enum err_code check_chars(struct reader *r, struct slice text)
{
	uint32_t line = 1, col = 1;
	for (size_t i = 0, n; i < text.len; i += n) {
		n = utf8_len((unsigned char)text.p[i]);
		const char *bad = bad_char(text.p + i, n, text.len - i);
		if (bad)
			return diags_error(r->diags, r->file, line, col, "%s is not allowed", bad);
		col++;
		if (text.p[i] == '\n') {
			line++;
			col = 1;
		}
	}
	return ERR_OK;
}

static enum err_code error_at(struct reader *r, yaml_mark_t at, const char *text)
{
	return diags_error(
	    r->diags, r->file, (uint32_t)at.line + 1, (uint32_t)at.column + 1, "%s", text);
}

static enum err_code syntax_error(struct reader *r)
{
	const yaml_parser_t *y = &r->yaml;
	const char *problem = y->problem ? y->problem : "not YAML";
	if (y->error == YAML_MEMORY_ERROR)
		return error_at(r, y->mark, "out of memory");
	uint32_t line = (uint32_t)y->problem_mark.line + 1, col = (uint32_t)y->problem_mark.column + 1;
	if (!y->context)
		return diags_error(r->diags, r->file, line, col, "%s", problem);
	return diags_error(r->diags, r->file, line, col, "%s (%s that starts at %zu:%zu)", problem,
	    y->context, y->context_mark.line + 1, y->context_mark.column + 1);
}

static enum err_code new_node(
    struct reader *r, enum yaml_kind kind, yaml_mark_t at, struct yaml_node **out)
{
	if (++r->nodes > YAMLX_NODES) {
		error_at(r, at, "too many nodes");
		return ERR_LIMIT;
	}
	struct yaml_node *n = ARENA_NEW(r->arena, struct yaml_node);
	n->kind = kind;
	n->line = (uint32_t)at.line + 1;
	n->col = (uint32_t)at.column + 1;
	*out = n;
	return ERR_OK;
}

/* Texts are short and many: they share blocks, without gaps for alignment. */
#define TEXT_BLOCK ((size_t)16384)

static struct slice text_dup(struct reader *r, struct slice s)
{
	if (s.len >= TEXT_BLOCK / 8)
		return slice_dup(r->arena, s);
	if (s.len + 1 > r->left) {
		r->texts = arena_alloc(r->arena, TEXT_BLOCK);
		r->left = TEXT_BLOCK;
	}
	char *p = r->texts;
	memcpy(p, s.p ? s.p : "", s.len);
	r->texts += s.len + 1;
	r->left -= s.len + 1;
	return (struct slice){p, s.len};
}

/* The keys of the last mappings again and again: most are one of a few words. */
static struct slice key_dup(struct reader *r, struct slice s)
{
	struct slice *kept = &r->keys[(s.len * 7 + (s.len ? (unsigned char)s.p[0] : 0)) % KEYS_KEPT];
	if (!slice_eq(*kept, s) || !kept->p)
		*kept = text_dup(r, s);
	return *kept;
}

static void keep(struct level *l, struct yaml_pair kid)
{
	if (l->len == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->kids = reallocarray(l->kids, l->cap, sizeof(*l->kids));
		if (!l->kids)
			abort();
	}
	l->kids[l->len++] = kid;
}

/* Puts a finished or just opened node where it belongs: root, next item, or value of the key. */
static void attach(struct reader *r, struct yaml_node *n)
{
	if (r->depth == 0) {
		r->root = n;
		return;
	}
	struct level *l = &r->levels[r->depth - 1];
	l->key.value = n;
	keep(l, l->key);
	l->key = (struct yaml_pair){0};
	l->have_key = false;
}

static bool key_expected(const struct reader *r)
{
	if (r->depth == 0)
		return false;
	const struct level *l = &r->levels[r->depth - 1];
	return l->node->kind == YAMLX_MAP && !l->have_key;
}

static void take_key(struct reader *r, const yaml_event_t *ev)
{
	struct level *l = &r->levels[r->depth - 1];
	const char *text = (const char *)ev->data.scalar.value;
	struct slice s = {text, ev->data.scalar.length};
	bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (plain && s.len == 0)
		error_at(r, ev->start_mark, "a key is missing before `:`");
	else if (plain && slice_is(s, "<<"))
		error_at(r, ev->start_mark, "merge keys (<<) are not allowed");
	l->key.key = key_dup(r, s);
	l->key.line = (uint32_t)ev->start_mark.line + 1;
	l->key.col = (uint32_t)ev->start_mark.column + 1;
	l->have_key = true;
}

static enum err_code on_scalar(struct reader *r, const yaml_event_t *ev)
{
	struct slice s = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
	if (ev->data.scalar.anchor)
		error_at(r, ev->start_mark, "anchors (&) are not allowed");
	if (ev->data.scalar.tag)
		error_at(r, ev->start_mark, "tags (!) are not allowed");
	if (s.len && memchr(s.p, '\0', s.len))
		error_at(r, ev->start_mark, "the escape \\0 is not allowed");
	if (key_expected(r)) {
		take_key(r, ev);
		return ERR_OK;
	}
	struct yaml_node *n;
	TRY(new_node(r, YAMLX_SCALAR, ev->start_mark, &n));
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->text = text_dup(r, s);
	attach(r, n);
	return ERR_OK;
}

static enum err_code on_open(struct reader *r, enum yaml_kind kind, const yaml_event_t *ev,
    const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		error_at(r, ev->start_mark, "anchors (&) are not allowed");
	if (tag)
		error_at(r, ev->start_mark, "tags (!) are not allowed");
	if (key_expected(r))
		return error_at(r, ev->start_mark, "a key must be a plain or quoted string");
	if (r->depth == YAMLX_DEPTH) {
		diags_error(r->diags, r->file, (uint32_t)ev->start_mark.line + 1,
		    (uint32_t)ev->start_mark.column + 1, "nested deeper than %d levels", YAMLX_DEPTH);
		return ERR_LIMIT;
	}
	struct yaml_node *n;
	TRY(new_node(r, kind, ev->start_mark, &n));
	attach(r, n);
	struct level *l = &r->levels[r->depth++];
	l->node = n;
	l->len = 0;
	l->have_key = false;
	return ERR_OK;
}

static void report_duplicate(
    struct reader *r, const struct yaml_pair *again, const struct yaml_pair *first)
{
	struct slice key = slice_printable(first->key) ? first->key : SLICE("?");
	diags_error(r->diags, r->file, again->line, again->col,
	    "key `" SLICE_FMT "` stands twice: first at %u:%u", SLICE_ARG(key), first->line,
	    first->col);
}

static void check_duplicates(struct reader *r, struct yaml_pair *pairs, size_t n)
{
	struct map seen = {0};
	for (size_t i = 0; i < n; i++) {
		const struct yaml_pair *first = NULL;
		if (n > FEW_KEYS) {
			first = map_get(&seen, pairs[i].key);
			if (!first)
				map_put(&seen, pairs[i].key, &pairs[i]);
		} else {
			for (size_t k = 0; k < i && !first; k++)
				if (slice_eq(pairs[k].key, pairs[i].key))
					first = &pairs[k];
		}
		if (first)
			report_duplicate(r, &pairs[i], first);
	}
	map_done(&seen);
}

static void on_close(struct reader *r)
{
	struct level *l = &r->levels[--r->depth];
	struct yaml_node *n = l->node;
	n->len = l->len;
	if (n->kind == YAMLX_MAP) {
		struct yaml_pair *pairs = ARENA_ARRAY(r->arena, struct yaml_pair, l->len);
		if (l->len)
			memcpy(pairs, l->kids, l->len * sizeof(*pairs));
		n->pairs = pairs;
		check_duplicates(r, pairs, l->len);
		return;
	}
	struct yaml_node **items = ARENA_ARRAY(r->arena, struct yaml_node *, l->len);
	for (size_t i = 0; i < l->len; i++)
		items[i] = l->kids[i].value;
	n->items = items;
}

static enum err_code on_document(struct reader *r, const yaml_event_t *ev)
{
	if (r->root)
		return error_at(r, ev->start_mark, "a second document is not allowed");
	if (ev->data.document_start.version_directive ||
	    ev->data.document_start.tag_directives.start != ev->data.document_start.tag_directives.end)
		return error_at(r, ev->start_mark, "directives (%) are not allowed");
	return ERR_OK;
}

/* "---" and nothing else is a document that holds the empty plain scalar. */
static bool holds_nothing(const struct yaml_node *n)
{
	return !n || (n->plain && n->text.len == 0);
}

static void on_document_end(struct reader *r)
{
	if (!r->many)
		return;
	if (!holds_nothing(r->root)) {
		ARENA_ROOM(r->arena, r->roots, r->nroots, r->room, 4);
		r->roots[r->nroots++] = r->root;
	}
	r->root = NULL;
}

static enum err_code on_event(struct reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(r, ev);
	case YAML_ALIAS_EVENT:
		return error_at(r, ev->start_mark, "aliases (*) are not allowed; quote the text if it "
						   "is meant to be one");
	case YAML_SCALAR_EVENT:
		return on_scalar(r, ev);
	case YAML_MAPPING_START_EVENT:
		return on_open(r, YAMLX_MAP, ev, ev->data.mapping_start.anchor,
		    ev->data.mapping_start.tag);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(r, YAMLX_SEQ, ev, ev->data.sequence_start.anchor,
		    ev->data.sequence_start.tag);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		on_close(r);
		return ERR_OK;
	case YAML_DOCUMENT_END_EVENT:
		on_document_end(r);
		return ERR_OK;
	case YAML_STREAM_END_EVENT:
		r->ended = true;
		return ERR_OK;
	default:
		return ERR_OK;
	}
}

static enum err_code read_events(struct reader *r, struct slice text)
{
	yaml_parser_set_encoding(&r->yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->yaml, (const unsigned char *)(text.p ? text.p : ""), text.len);
	while (!r->ended) {
		AUTO(yaml_event_delete) yaml_event_t ev = {0};
		if (!yaml_parser_parse(&r->yaml, &ev))
			return syntax_error(r);
		TRY(on_event(r, &ev));
	}
	if (r->many ? r->nroots == 0 : holds_nothing(r->root))
		return diags_error(r->diags, r->file, 1, 1, "the file is empty");
	return ERR_OK;
}

static enum err_code parse(struct reader *r, struct slice text)
{
	if (text.len > YAMLX_BYTES) {
		diags_error(r->diags, r->file, 0, 0, "larger than %zu bytes", YAMLX_BYTES);
		return ERR_LIMIT;
	}
	TRY(check_chars(r, text));
	if (!yaml_parser_initialize(&r->yaml))
		abort();
	enum err_code rc = read_events(r, text);
	yaml_parser_delete(&r->yaml);
	return rc;
}

static enum err_code read_whole(struct reader *r, struct slice text)
{
	size_t errors = r->diags->errors;
	enum err_code rc = parse(r, text);
	for (size_t i = 0; i < YAMLX_DEPTH; i++)
		free(r->levels[i].kids);
	if (rc == ERR_OK && r->diags->errors != errors)
		rc = ERR_INVALID;
	if (rc == ERR_OK && arena_over(r->arena)) {
		diags_error(r->diags, r->file, 0, 0, "needs more memory than it may have");
		rc = ERR_LIMIT;
	}
	return rc;
}

enum err_code yamlx_parse(struct arena *arena, const char *file, struct slice text,
    struct yaml_node **out, struct diags *d)
{
	struct reader r = {.arena = arena, .file = file, .diags = d};
	TRY(read_whole(&r, text));
	*out = r.root;
	return ERR_OK;
}

enum err_code yamlx_parse_all(struct arena *arena, const char *file, struct slice text,
    struct yaml_node ***docs, size_t *n, struct diags *d)
{
	struct reader r = {.arena = arena, .file = file, .diags = d, .many = true};
	TRY(read_whole(&r, text));
	*docs = r.roots;
	*n = r.nroots;
	return ERR_OK;
}

struct yaml_node *yamlx_get(const struct yaml_node *n, const char *key)
{
	if (!n || n->kind != YAMLX_MAP)
		return NULL;
	for (size_t i = 0; i < n->len; i++)
		if (slice_is(n->pairs[i].key, key))
			return n->pairs[i].value;
	return NULL;
}

bool yamlx_is_null(const struct yaml_node *n)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	if (n->kind != YAMLX_SCALAR || !n->plain)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
		if (slice_is(n->text, nulls[i]))
			return true;
	return false;
}

const char *yamlx_kind(const struct yaml_node *n)
{
	static const char *const kinds[] = {
	    [YAMLX_SCALAR] = "a string", [YAMLX_MAP] = "a mapping", [YAMLX_SEQ] = "a list"};
	return yamlx_is_null(n) ? "nothing" : kinds[n->kind];
}
