/* Owns the single-pass JSON reader of the review documents (RFC 8259, strictly). */
#include "common/jsonscan.h"

#include "common/map.h"

/* Objects up to this size look for duplicate keys by comparing; SipHash costs more there. */
#define FEW_KEYS 16
#define TABLE_MIN 64
#define TABLE_MAX (2 * JSONSCAN_KEYS_MAX)

/* An object or array that is open. The key store of a level serves one object after the other. */
struct jsonscan_level {
	bool object, started;
	size_t len, cap;
	struct slice *keys;
	size_t slots;	 /* of the table in use: power of two, at most half full */
	uint16_t *table; /* index into keys + 1; 0: free */
};

_Static_assert(JSONSCAN_KEYS_MAX < UINT16_MAX, "key indices are 16 bit wide");
_Static_assert((TABLE_MAX & (TABLE_MAX - 1)) == 0, "the table's size is a power of two");

void jsonscan_init(struct jsonscan *s, struct slice text, struct arena *arena)
{
	*s = (struct jsonscan){.text = text, .arena = arena};
	s->levels = ARENA_ARRAY(arena, struct jsonscan_level, JSONSCAN_DEPTH);
}

static bool fail(struct jsonscan *s, enum err_code code, const char *what)
{
	if (s->err.code == ERR_OK)
		err_set(&s->err, code, "byte %zu: %s", s->at, what);
	return false;
}

bool jsonscan_fail(struct jsonscan *s, const char *what)
{
	return fail(s, ERR_INVALID, what);
}

/* --- tokens ----------------------------------------------------------------------------------------- */

/* Next byte that is no white space, left in place; 0 at the end (a NUL is no token either). */
static char peek(struct jsonscan *s)
{
	for (; s->at < s->text.len; s->at++) {
		char c = s->text.p[s->at];
		if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
			return c;
	}
	return '\0';
}

static char byte_at(const struct jsonscan *s, size_t at)
{
	return at < s->text.len ? s->text.p[at] : '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool literal(struct jsonscan *s, const char *word, size_t len)
{
	if (s->text.len - s->at < len || memcmp(s->text.p + s->at, word, len) != 0)
		return fail(s, ERR_INVALID, "not a JSON value");
	s->at += len;
	return true;
}

/* At least one digit. */
static bool digits(struct jsonscan *s)
{
	if (!is_digit(byte_at(s, s->at)))
		return fail(s, ERR_INVALID, "a digit is missing");
	while (is_digit(byte_at(s, s->at)))
		s->at++;
	return true;
}

/* The grammar of numbers. How large they are does not matter: nobody reads them. */
static bool number(struct jsonscan *s)
{
	if (byte_at(s, s->at) == '-')
		s->at++;
	if (byte_at(s, s->at) == '0')
		s->at++;
	else if (!digits(s))
		return false;
	if (byte_at(s, s->at) == '.') {
		s->at++;
		if (!digits(s))
			return false;
	}
	char c = byte_at(s, s->at);
	if (c != 'e' && c != 'E')
		return true;
	s->at++;
	c = byte_at(s, s->at);
	if (c == '+' || c == '-')
		s->at++;
	return digits(s);
}

/* --- strings ---------------------------------------------------------------------------------------- */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* High bits where a byte of W is zero. A byte above a zero one may be marked too, so only "none" and "some"
 * are exact. */
static uint64_t zeros(uint64_t w)
{
	return (w - EACH(1)) & ~w & EACH(0x80);
}

/* Index of the first byte at or after I that is no plain ASCII string content. */
static size_t plain_end(struct slice t, size_t i)
{
	for (; t.len - i >= 8; i += 8) {
		uint64_t w;
		memcpy(&w, t.p + i, 8);
		uint64_t control = (w - EACH(0x20)) & ~w & EACH(0x80);
		if (control | (w & EACH(0x80)) | zeros(w ^ EACH('"')) | zeros(w ^ EACH('\\')))
			break;
	}
	for (; i < t.len; i++) {
		unsigned char c = (unsigned char)t.p[i];
		if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
			break;
	}
	return i;
}

/* Finds the quote that ends the string whose content starts at s->at. */
static bool find_quote(struct jsonscan *s, size_t *end, bool *escaped)
{
	bool wide = false;
	size_t i = s->at;
	for (;;) {
		i = plain_end(s->text, i);
		char c = byte_at(s, i);
		if (i >= s->text.len)
			return fail(s, ERR_INVALID, "a string does not end");
		if (c == '"')
			break;
		if (c == '\\') {
			*escaped = true;
			i += 2;
		} else if ((unsigned char)c >= 0x80) {
			wide = true;
			i++;
		} else {
			s->at = i;
			return fail(s, ERR_INVALID, "a control character in a string");
		}
		if (i > s->text.len)
			return fail(s, ERR_INVALID, "a string does not end");
	}
	*end = i;
	if (wide && !slice_utf8((struct slice){s->text.p + s->at, i - s->at}))
		return fail(s, ERR_INVALID, "invalid UTF-8 in a string");
	return true;
}

/* Four hexadecimal digits at RAW[I]; -1 when they are not. */
static int32_t hex4(struct slice raw, size_t i)
{
	int32_t v = 0;
	if (raw.len < i + 4)
		return -1;
	for (size_t k = i; k < i + 4; k++) {
		char c = raw.p[k], low = (char)(c | 0x20);
		if (is_digit(c))
			v = v << 4 | (c - '0');
		else if (low >= 'a' && low <= 'f')
			v = v << 4 | (low - 'a' + 10);
		else
			return -1;
	}
	return v;
}

#define NO_CHARACTER UINT32_MAX

/* The code point of the \u escape at RAW[*I] (surrogate pairs joined), *I moved past it. */
static uint32_t unicode_escape(struct slice raw, size_t *i)
{
	int32_t high = hex4(raw, *i + 2);
	*i += 6;
	if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF))
		return NO_CHARACTER;
	if (high < 0xD800 || high > 0xDFFF)
		return (uint32_t)high;
	if (raw.len < *i + 6 || raw.p[*i] != '\\' || raw.p[*i + 1] != 'u')
		return NO_CHARACTER;
	int32_t low = hex4(raw, *i + 2);
	*i += 6;
	if (low < 0xDC00 || low > 0xDFFF)
		return NO_CHARACTER;
	return 0x10000 + ((uint32_t)(high - 0xD800) << 10 | (uint32_t)(low - 0xDC00));
}

static size_t put_utf8(char *out, uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
	for (size_t k = n - 1; k > 0; k--, cp >>= 6)
		out[k] = (char)(0x80 | (cp & 0x3F));
	out[0] = (char)(lead[n] | cp);
	return n;
}

static char simple_escape(char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = c ? strchr(from, c) : NULL;
	return at ? to[at - from] : '\0';
}

/* RAW with its escapes resolved, in the arena: never longer than RAW. */
static bool unescape(struct jsonscan *s, struct slice raw, struct slice *out)
{
	char *to = arena_alloc(s->arena, raw.len);
	size_t n = 0;
	for (size_t i = 0; i < raw.len;) {
		if (raw.p[i] != '\\') {
			to[n++] = raw.p[i++];
			continue;
		}
		if (raw.p[i + 1] != 'u') {
			char c = simple_escape(raw.p[i + 1]);
			if (!c)
				return fail(s, ERR_INVALID, "an unknown escape in a string");
			to[n++] = c;
			i += 2;
			continue;
		}
		uint32_t cp = unicode_escape(raw, &i);
		/* No name may hold NUL. */
		if (cp == NO_CHARACTER || (cp == 0 && !s->nul))
			return fail(s, ERR_INVALID, "a \\u escape that is no character");
		n += put_utf8(to + n, cp ? cp : 0xFFFD);
	}
	*out = (struct slice){to, n};
	return true;
}

/* The string whose opening quote is the next byte. */
static bool string(struct jsonscan *s, struct slice *out)
{
	size_t end = 0;
	bool escaped = false;
	s->at++;
	if (!find_quote(s, &end, &escaped))
		return false;
	struct slice raw = {s->text.p + s->at, end - s->at};
	if (escaped && !unescape(s, raw, out))
		return false;
	if (!escaped)
		*out = raw;
	s->at = end + 1;
	return !arena_over(s->arena) || fail(s, ERR_LIMIT, "too much to unescape");
}

/* --- keys seen -------------------------------------------------------------------------------------- */

/* The slot of KEY, or the free one where it belongs. */
static uint16_t *table_slot(const struct jsonscan_level *l, struct slice key)
{
	for (size_t i = map_hash(key) & (l->slots - 1);; i = (i + 1) & (l->slots - 1))
		if (!l->table[i] || slice_eq(l->keys[l->table[i] - 1], key))
			return &l->table[i];
}

/* Sizes the table for the keys there are: small again for each object, so that clearing never costs more
 * than the object's own keys. */
static void table_build(struct jsonscan *s, struct jsonscan_level *l, size_t slots)
{
	if (!l->table)
		l->table = ARENA_ARRAY(s->arena, uint16_t, TABLE_MAX);
	l->slots = slots;
	memset(l->table, 0, slots * sizeof(*l->table));
	for (size_t i = 0; i < l->len; i++)
		*table_slot(l, l->keys[i]) = (uint16_t)(i + 1);
}

static bool seen(struct jsonscan *s, struct jsonscan_level *l, struct slice key)
{
	if (l->len < FEW_KEYS) {
		for (size_t i = 0; i < l->len; i++)
			if (slice_eq(l->keys[i], key))
				return true;
		return false;
	}
	if (l->len == FEW_KEYS)
		table_build(s, l, TABLE_MIN);
	else if (l->len * 2 >= l->slots)
		table_build(s, l, l->slots * 2);
	uint16_t *slot = table_slot(l, key);
	if (*slot)
		return true;
	*slot = (uint16_t)(l->len + 1);
	return false;
}

static bool note_key(struct jsonscan *s, struct jsonscan_level *l, struct slice key)
{
	if (l->len == JSONSCAN_KEYS_MAX)
		return fail(s, ERR_LIMIT, "too many keys in one object");
	if (seen(s, l, key))
		return fail(s, ERR_INVALID, "a key stands twice in one object");
	ARENA_ROOM(s->arena, l->keys, l->len, l->cap, FEW_KEYS);
	l->keys[l->len++] = key;
	return true;
}

/* --- structure -------------------------------------------------------------------------------------- */

static bool enter(struct jsonscan *s, char open, const char *expected)
{
	if (s->err.code != ERR_OK)
		return false;
	if (peek(s) != open)
		return fail(s, ERR_INVALID, expected);
	if (s->depth == JSONSCAN_DEPTH)
		return fail(s, ERR_LIMIT, "nested too deep");
	struct jsonscan_level *l = &s->levels[s->depth++];
	l->object = open == '{';
	l->started = false;
	l->len = 0;
	s->at++;
	return true;
}

bool jsonscan_enter_object(struct jsonscan *s)
{
	return enter(s, '{', "expected an object");
}

bool jsonscan_enter_array(struct jsonscan *s)
{
	return enter(s, '[', "expected a list");
}

/* The innermost level when it is of the kind asked for; NULL after an error or a caller's mistake. */
static struct jsonscan_level *current(struct jsonscan *s, bool object)
{
	if (s->err.code != ERR_OK)
		return NULL;
	if (s->depth == 0 || s->levels[s->depth - 1].object != object) {
		fail(s, ERR_INTERNAL, "the reader is not where its caller thinks");
		return NULL;
	}
	return &s->levels[s->depth - 1];
}

/* Moves to the next member of L: true when there is one, false at CLOSE (then the level is left) and on
 * error. */
static bool next_member(struct jsonscan *s, struct jsonscan_level *l, char close)
{
	char c = peek(s);
	if (c == close) {
		s->at++;
		s->depth--;
		return false;
	}
	if (l->started && c != ',')
		return fail(s, ERR_INVALID, "expected a comma or the end of the object or list");
	if (l->started)
		s->at++;
	l->started = true;
	return true;
}

bool jsonscan_key(struct jsonscan *s, struct slice *key)
{
	struct jsonscan_level *l = current(s, true);
	if (!l || !next_member(s, l, '}'))
		return false;
	if (peek(s) != '"')
		return fail(s, ERR_INVALID, "expected a key");
	if (!string(s, key) || !note_key(s, l, *key))
		return false;
	if (peek(s) != ':')
		return fail(s, ERR_INVALID, "expected a colon");
	s->at++;
	return true;
}

bool jsonscan_element(struct jsonscan *s)
{
	struct jsonscan_level *l = current(s, false);
	return l && next_member(s, l, ']');
}

/* --- values ----------------------------------------------------------------------------------------- */

bool jsonscan_null(struct jsonscan *s)
{
	return s->err.code == ERR_OK && peek(s) == 'n' && literal(s, "null", 4);
}

bool jsonscan_string(struct jsonscan *s, struct slice *out)
{
	*out = (struct slice){0};
	if (jsonscan_null(s))
		return true;
	if (s->err.code != ERR_OK)
		return false;
	return peek(s) == '"' ? string(s, out) : fail(s, ERR_INVALID, "expected a string");
}

bool jsonscan_bool(struct jsonscan *s, bool *out)
{
	*out = false;
	if (jsonscan_null(s))
		return true;
	if (s->err.code != ERR_OK)
		return false;
	switch (peek(s)) {
	case 't':
		*out = literal(s, "true", 4);
		return *out;
	case 'f':
		return literal(s, "false", 5);
	default:
		return fail(s, ERR_INVALID, "expected true or false");
	}
}

bool jsonscan_strings(struct jsonscan *s, size_t max, struct slice **out, size_t *n)
{
	struct slice *items = NULL;
	size_t len = 0, cap = 0;
	*out = NULL;
	*n = 0;
	if (jsonscan_null(s))
		return true;
	if (!jsonscan_enter_array(s))
		return false;
	while (jsonscan_element(s)) {
		if (len == max)
			return fail(s, ERR_LIMIT, "too many items in a list");
		ARENA_ROOM(s->arena, items, len, cap, 16);
		/* Unlike a member, an item that is null is not absent. */
		if (peek(s) != '"')
			return fail(s, ERR_INVALID, "expected a list of strings");
		if (!string(s, &items[len]))
			return false;
		len++;
	}
	if (s->err.code != ERR_OK)
		return false;
	*out = items;
	*n = len;
	return true;
}

/* Skips one scalar, or enters the object or list that comes next. */
static bool skip_step(struct jsonscan *s)
{
	struct slice ignored;
	switch (peek(s)) {
	case '{':
		return jsonscan_enter_object(s);
	case '[':
		return jsonscan_enter_array(s);
	case '"':
		return string(s, &ignored);
	case 't':
		return literal(s, "true", 4);
	case 'f':
		return literal(s, "false", 5);
	case 'n':
		return literal(s, "null", 4);
	case '-':
	case '0' ... '9':
		return number(s);
	default:
		return fail(s, ERR_INVALID, "expected a value");
	}
}

bool jsonscan_skip(struct jsonscan *s)
{
	unsigned base = s->depth;
	if (s->err.code != ERR_OK || !skip_step(s))
		return false;
	while (s->depth > base) {
		struct slice key;
		bool more = s->levels[s->depth - 1].object ? jsonscan_key(s, &key)
							    : jsonscan_element(s);
		if (s->err.code != ERR_OK || (more && !skip_step(s)))
			return false;
	}
	return true;
}

bool jsonscan_finish(struct jsonscan *s)
{
	if (s->err.code != ERR_OK)
		return false;
	if (s->depth != 0)
		return fail(s, ERR_INTERNAL, "the reader is not where its caller thinks");
	peek(s);
	return s->at == s->text.len || fail(s, ERR_INVALID, "something stands after the value");
}
