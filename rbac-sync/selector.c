/* Owns label selectors: their parsing by the grammar of k8s.io/apimachinery/pkg/labels, and their matching. */
#include "rbac-sync/selector.h"

#include "common/jsonx.h"

#define LABEL_TEXT_MAX 63
#define PREFIX_MAX 253

enum term_op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_ABSENT, OP_ABOVE, OP_BELOW };

struct term {
	struct slice key;
	enum term_op op;
	struct slice values[SELECTOR_VALUES_MAX];
	size_t n;
	int64_t bound; /* of OP_ABOVE and OP_BELOW */
};

struct selector {
	struct slice text;
	struct term terms[SELECTOR_TERMS_MAX];
	size_t len;
};

/* --- labels --- */

static bool alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_label_name(struct slice s)
{
	if (s.len == 0 || s.len > LABEL_TEXT_MAX || !alnum(s.p[0]) || !alnum(s.p[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
			return false;
	return true;
}

bool label_value_ok(struct slice s)
{
	return s.len == 0 || is_label_name(s);
}

bool dns_subdomain_ok(struct slice s)
{
	if (s.len == 0 || s.len > PREFIX_MAX)
		return false;
	char before = '.';
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		/* A dash stands between letters or digits, a dot between parts. */
		if (!word && (before == '.' || (c == '.' && before == '-') || (c != '-' && c != '.')))
			return false;
		before = c;
	}
	return before != '-' && before != '.';
}

bool label_key_ok(struct slice s)
{
	size_t slash = slice_find(s, '/');
	if (slash == s.len)
		return is_label_name(s);
	return dns_subdomain_ok((struct slice){s.p, slash}) && is_label_name(slice_skip(s, slash + 1));
}

/* --- tokens --- */

enum token { END, WORD, COMMA, OPEN, CLOSE, BANG, EQ, NE, ABOVE, BELOW };

struct parser {
	struct slice text;
	size_t at;
	struct selector *out;
	struct err *e;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_special(char c)
{
	return strchr("=!(),><", c) != NULL && c != '\0';
}

/* The token at *AT; *AT moves behind it. */
static enum token token_at(const struct parser *p, size_t *at, struct slice *word)
{
	struct slice t = p->text;
	while (*at < t.len && is_space(t.p[*at]))
		++*at;
	if (*at >= t.len)
		return END;
	size_t start = *at;
	char c = t.p[start];
	if (!is_special(c)) {
		while (*at < t.len && !is_special(t.p[*at]) && !is_space(t.p[*at]))
			++*at;
		*word = (struct slice){t.p + start, *at - start};
		return WORD;
	}
	++*at;
	bool equals = *at < t.len && t.p[*at] == '=';
	*at += equals && (c == '=' || c == '!');
	switch (c) {
	case '=':
		return EQ;
	case '!':
		return equals ? NE : BANG;
	case '(':
		return OPEN;
	case ')':
		return CLOSE;
	case '>':
		return ABOVE;
	case '<':
		return BELOW;
	default:
		return COMMA;
	}
}

static enum token peek(const struct parser *p)
{
	size_t at = p->at;
	struct slice word;
	return token_at(p, &at, &word);
}

static enum token take(struct parser *p, struct slice *word)
{
	return token_at(p, &p->at, word);
}

static enum err_code wrong(const struct parser *p, const char *expected)
{
	return err_set(p->e, ERR_INVALID, "selector: expected %s before byte %zu", expected, p->at + 1);
}

/* Errors go to terminals. */
static struct slice shown(struct slice s)
{
	return slice_printable(s) ? s : SLICE("?");
}

/* --- terms --- */

static enum err_code add_value(struct parser *p, struct term *t, struct slice value)
{
	if (!label_value_ok(value))
		return err_set(p->e, ERR_INVALID,
		    "selector: \"" SLICE_FMT "\" is no label value (63 letters, digits, '-', '_' or '.', with "
		    "a letter or digit at both ends)",
		    SLICE_ARG(shown(value)));
	for (size_t i = 0; i < t->n; i++)
		if (slice_eq(t->values[i], value))
			return ERR_OK;
	if (t->n == SELECTOR_VALUES_MAX)
		return err_set(p->e, ERR_INVALID, "selector: more than %d values of one key",
		    SELECTOR_VALUES_MAX);
	t->values[t->n++] = value;
	return ERR_OK;
}

/* "(a, b)". As upstream has it, nothing between commas or parentheses is the empty value. */
static enum err_code parse_set(struct parser *p, struct term *t)
{
	struct slice word;
	if (take(p, &word) != OPEN)
		return wrong(p, "(");
	for (;;) {
		word = (struct slice){0};
		if (peek(p) == WORD)
			(void)take(p, &word);
		TRY(add_value(p, t, word));
		enum token next = take(p, &word);
		if (next == CLOSE)
			return ERR_OK;
		if (next != COMMA)
			return wrong(p, "a value, a comma or )");
	}
}

/* After = and != a value may be missing: the empty one. */
static enum err_code parse_value(struct parser *p, struct term *t)
{
	struct slice word = {0};
	enum token next = peek(p);
	if (next == WORD)
		(void)take(p, &word);
	else if (next != END && next != COMMA)
		return wrong(p, "a value");
	return add_value(p, t, word);
}

/* Labels' values begin with a letter or digit: there is no sign. */
static bool parse_int(struct slice s, int64_t *out)
{
	int64_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, s.p[i] - '0', &n))
			return false;
	}
	*out = n;
	return s.len > 0;
}

static enum err_code parse_bound(struct parser *p, struct term *t)
{
	struct slice word = {0};
	if (take(p, &word) != WORD || !parse_int(word, &t->bound))
		return wrong(p, "a whole number");
	return add_value(p, t, word);
}

static enum err_code parse_operator(struct parser *p, struct term *t)
{
	struct slice word = {0};
	enum token op = take(p, &word);
	switch (op) {
	case EQ:
	case NE:
		t->op = op == EQ ? OP_IN : OP_NOT_IN;
		return parse_value(p, t);
	case ABOVE:
	case BELOW:
		t->op = op == ABOVE ? OP_ABOVE : OP_BELOW;
		return parse_bound(p, t);
	case WORD:
		if (!slice_is(word, "in") && !slice_is(word, "notin"))
			break;
		t->op = slice_is(word, "in") ? OP_IN : OP_NOT_IN;
		return parse_set(p, t);
	default:
		break;
	}
	return wrong(p, "=, ==, !=, in, notin, < or >");
}

static enum err_code parse_term(struct parser *p, struct term *t)
{
	bool absent = peek(p) == BANG;
	struct slice word;
	if (absent)
		(void)take(p, &word);
	if (take(p, &t->key) != WORD)
		return wrong(p, "a key");
	if (!label_key_ok(t->key))
		return err_set(p->e, ERR_INVALID, "selector: \"" SLICE_FMT "\" is no label key",
		    SLICE_ARG(shown(t->key)));
	enum token next = peek(p);
	if (absent || next == END || next == COMMA) {
		t->op = absent ? OP_ABSENT : OP_EXISTS;
		return ERR_OK;
	}
	return parse_operator(p, t);
}

enum err_code selector_parse(struct slice text, struct arena *a, struct selector **out, struct err *e)
{
	struct selector *s = ARENA_NEW(a, struct selector);
	struct parser p = {.text = slice_dup(a, text), .out = s, .e = e};
	if (text.len > SELECTOR_BYTES_MAX)
		return err_set(e, ERR_INVALID, "selector: longer than %d bytes", SELECTOR_BYTES_MAX);
	if (peek(&p) == END)
		return err_set(e, ERR_INVALID, "selector: empty, it would fit everything");
	for (;;) {
		struct slice word;
		if (s->len == SELECTOR_TERMS_MAX)
			return err_set(e, ERR_INVALID, "selector: more than %d terms", SELECTOR_TERMS_MAX);
		TRY(parse_term(&p, &s->terms[s->len]));
		s->len++;
		enum token next = take(&p, &word);
		if (next == END)
			break;
		if (next != COMMA)
			return wrong(&p, "a comma or the end");
	}
	s->text = p.text;
	*out = s;
	return ERR_OK;
}

/* --- matching --- */

static bool has_value(const struct term *t, struct slice value)
{
	for (size_t i = 0; i < t->n; i++)
		if (slice_eq(t->values[i], value))
			return true;
	return false;
}

static bool term_matches(const struct term *t, const json_t *labels)
{
	const json_t *label = json_object_getn(labels, t->key.p, t->key.len);
	bool there = json_is_string(label);
	struct slice value = there ? jsonx_text(label) : (struct slice){0};
	int64_t n;
	switch (t->op) {
	case OP_IN:
		return there && has_value(t, value);
	case OP_NOT_IN:
		return !there || !has_value(t, value);
	case OP_EXISTS:
		return there;
	case OP_ABSENT:
		return !there;
	case OP_ABOVE:
		return there && parse_int(value, &n) && n > t->bound;
	case OP_BELOW:
		return there && parse_int(value, &n) && n < t->bound;
	}
	return false;
}

bool selector_matches(const struct selector *s, const json_t *labels)
{
	for (size_t i = 0; i < s->len; i++)
		if (!term_matches(&s->terms[i], labels))
			return false;
	return true;
}

struct slice selector_text(const struct selector *s)
{
	return s->text;
}
