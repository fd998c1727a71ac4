/* Owns slices, UTF-8 checks and the capped buffer. */
#include "common/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	if (c != 0)
		return c;
	return (a.len > b.len) - (a.len < b.len);
}

int slice_order(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

size_t slice_sort_unique(struct slice *v, size_t n)
{
	size_t kept = 0;
	if (n > 1)
		qsort(v, n, sizeof(*v), slice_order);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !slice_eq(v[kept - 1], v[i]))
			v[kept++] = v[i];
	return kept;
}

size_t slice_find(struct slice s, char c)
{
	const char *at = s.len ? memchr(s.p, c, s.len) : NULL;
	return at ? (size_t)(at - s.p) : s.len;
}

struct slice slice_dup(struct arena *a, struct slice s)
{
	return (struct slice){arena_strndup(a, s.p, s.len), s.len};
}

struct slice *slice_dup_all(struct arena *a, const struct slice *v, size_t n)
{
	struct slice *out = ARENA_ARRAY(a, struct slice, n);
	for (size_t i = 0; i < n; i++)
		out[i] = slice_dup(a, v[i]);
	return out;
}

/* Decodes one code point at S[*I] and moves *I past it; -1 when the bytes are not valid UTF-8, in
 * which case *I moves by one byte. */
static int32_t utf8_next(struct slice s, size_t *i)
{
	const unsigned char *p = (const unsigned char *)s.p + *i;
	size_t left = s.len - *i;
	*i += 1;
	if (p[0] < 0x80)
		return p[0];
	size_t n = p[0] >= 0xF0 ? 3 : p[0] >= 0xE0 ? 2 : 1;
	if (p[0] < 0xC2 || p[0] > 0xF4 || left < n + 1)
		return -1;
	int32_t cp = p[0] & (0x3F >> n);
	for (size_t k = 1; k <= n; k++) {
		if ((p[k] & 0xC0) != 0x80)
			return -1;
		cp = cp << 6 | (p[k] & 0x3F);
	}
	static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
	if (cp < least[n] || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
		return -1;
	*i += n;
	return cp;
}

bool slice_utf8(struct slice s)
{
	for (size_t i = 0; i < s.len;)
		if (utf8_next(s, &i) < 0)
			return false;
	return true;
}

static bool is_bidi(int32_t cp)
{
	return cp == 0x200E || cp == 0x200F || cp == 0x061C || (cp >= 0x202A && cp <= 0x202E) ||
	       (cp >= 0x2066 && cp <= 0x2069);
}

/* Two names that differ only in these look the same to whoever reads the audit log. The joiners U+200C and
 * U+200D are left: some scripts cannot be written without them. */
static bool is_invisible(int32_t cp)
{
	return cp == 0x00AD || cp == 0x200B || cp == 0x2028 || cp == 0x2029 ||
	       (cp >= 0x2060 && cp <= 0x2064) || cp == 0xFEFF || cp == 0xFFFE || cp == 0xFFFF ||
	       (cp >= 0xE0000 && cp <= 0xE007F);
}

bool slice_printable(struct slice s)
{
	for (size_t i = 0; i < s.len;) {
		int32_t cp = utf8_next(s, &i);
		if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || is_bidi(cp) || is_invisible(cp))
			return false;
	}
	return true;
}

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
	free(b->p);
	*b = (struct buf){.max = b->max};
}

void buf_wipe_done(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	buf_done(b);
}

/* Room for N more bytes and a NUL. Grows by copying by hand so that no stale copy of a secret
 * stays behind in the heap, as realloc would leave it. */
static bool buf_room(struct buf *b, size_t n)
{
	if (b->over || n > b->max || b->len > b->max - n) {
		b->over = true;
		return false;
	}
	if (b->p && b->cap - b->len > n)
		return true;
	size_t cap = b->cap ? b->cap * 2 : 256;
	while (cap <= b->len + n)
		cap *= 2;
	char *p = malloc(cap);
	if (!p)
		abort();
	if (b->p) {
		memcpy(p, b->p, b->len);
		explicit_bzero(b->p, b->len);
		free(b->p);
	}
	b->p = p;
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !buf_room(b, n))
		return;
	memcpy(b->p + b->len, p, n);
	b->len += n;
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_slice(struct buf *b, struct slice s)
{
	buf_add(b, s.p, s.len);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n <= 0 || !buf_room(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_u64(struct buf *b, uint64_t v)
{
	char tmp[20];
	size_t n = sizeof(tmp);
	do {
		tmp[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	buf_add(b, tmp + n, sizeof(tmp) - n);
}

void buf_i64(struct buf *b, int64_t v)
{
	if (v < 0)
		buf_addc(b, '-');
	buf_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void json_escape(struct buf *b, int32_t cp)
{
	switch (cp) {
	case '"':
		buf_adds(b, "\\\"");
		break;
	case '\\':
		buf_adds(b, "\\\\");
		break;
	case '\n':
		buf_adds(b, "\\n");
		break;
	case '\r':
		buf_adds(b, "\\r");
		break;
	case '\t':
		buf_adds(b, "\\t");
		break;
	case -1:
		buf_adds(b, "\\ufffd");
		break;
	default:
		buf_printf(b, "\\u%04x", (unsigned)cp);
	}
}

/* What stands in JSON as it is; U+FFFE and U+FFFF do not, as YAML, of which JSON is a part, has them
 * only escaped. */
static bool json_plain(int32_t cp)
{
	if (cp < 0x20 || cp == '"' || cp == '\\' || (cp >= 0x7F && cp < 0xA0))
		return false;
	return !is_bidi(cp) && cp != 0x2028 && cp != 0x2029 && cp != 0xFEFF && cp != 0xFFFE &&
	       cp != 0xFFFF;
}

void buf_json(struct buf *b, struct slice s)
{
	buf_addc(b, '"');
	size_t from = 0, i = 0;
	while (i < s.len) {
		size_t at = i;
		int32_t cp = utf8_next(s, &i);
		if (json_plain(cp))
			continue;
		buf_add(b, s.p + from, at - from);
		json_escape(b, cp);
		from = i;
	}
	if (from < s.len)
		buf_add(b, s.p + from, s.len - from);
	buf_addc(b, '"');
}

void buf_json_list(struct buf *b, const struct slice *v, size_t n)
{
	buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(b, ',');
		buf_json(b, v[i]);
	}
	buf_addc(b, ']');
}

void buf_json_member(struct buf *b, const char *key, struct slice value)
{
	buf_printf(b, ",\"%s\":", key);
	buf_json(b, value);
}

const char *buf_cstr(struct buf *b)
{
	if (!b->p)
		return "";
	b->p[b->len] = '\0';
	return b->p;
}
