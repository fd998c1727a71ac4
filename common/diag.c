/* Owns lists of findings with file:line:col. */
#include "common/diag.h"

#include <stdarg.h>
#include <stdio.h>

#define WORD_MAX ((size_t)40)

void diags_done(struct diags *d)
{
	arena_done(&d->arena);
	*d = (struct diags){0};
}

/* Names of files and what is cut off in the middle of a character go to terminals, logs and JSON. */
static char *shown(struct arena *a, const char *text)
{
	char *out = arena_strdup(a, text);
	for (size_t i = 0, n; out[i]; i += n) {
		for (n = 1; ((unsigned char)out[i + n] & 0xC0) == 0x80; n++)
			;
		if (!slice_printable((struct slice){out + i, n}))
			memset(out + i, '?', n);
	}
	return out;
}

PRINTF(6, 0)
static void add(struct diags *d, enum diag_level level, const char *file, uint32_t line,
    uint32_t col, const char *fmt, va_list ap)
{
	if (level == DIAG_ERROR)
		d->errors++;
	else
		d->warnings++;
	if (d->len == DIAG_MAX)
		return;
	char text[1024];
	vsnprintf(text, sizeof(text), fmt, ap);
	d->items[d->len++] = (struct diag){
	    .level = level,
	    .file = shown(&d->arena, file ? file : ""),
	    .line = line,
	    .col = col,
	    .text = shown(&d->arena, text),
	};
}

enum err_code diags_error(
    struct diags *d, const char *file, uint32_t line, uint32_t col, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(d, DIAG_ERROR, file, line, col, fmt, ap);
	va_end(ap);
	return ERR_INVALID;
}

void diags_warn(
    struct diags *d, const char *file, uint32_t line, uint32_t col, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(d, DIAG_WARNING, file, line, col, fmt, ap);
	va_end(ap);
}

static void print_place(const struct diag *d, struct buf *out)
{
	if (d->file[0] == '\0')
		return;
	buf_adds(out, d->file);
	if (d->line)
		buf_printf(out, ":%u:%u", d->line, d->col);
	buf_adds(out, ": ");
}

void diags_print(const struct diags *d, struct buf *out)
{
	for (size_t i = 0; i < d->len; i++) {
		print_place(&d->items[i], out);
		buf_adds(out, d->items[i].level == DIAG_ERROR ? "error: " : "warning: ");
		buf_adds(out, d->items[i].text);
		buf_addc(out, '\n');
	}
	size_t total = d->errors + d->warnings;
	if (total > d->len)
		buf_printf(out, "… and %zu more findings\n", total - d->len);
}

enum err_code diags_to_err(const struct diags *d, struct err *e)
{
	if (d->errors == 0)
		return ERR_OK;
	for (size_t i = 0; i < d->len; i++) {
		if (d->items[i].level != DIAG_ERROR)
			continue;
		struct buf b;
		buf_init(&b, sizeof(e->msg));
		print_place(&d->items[i], &b);
		buf_adds(&b, d->items[i].text);
		if (d->errors > 1)
			buf_printf(&b, " (and %zu more)", d->errors - 1);
		err_set(e, ERR_INVALID, "%s", buf_cstr(&b));
		buf_done(&b);
		return ERR_INVALID;
	}
	return err_set(e, ERR_INVALID, "%zu errors", d->errors);
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;
	return m < c ? m : c;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Levenshtein distance without regard to case, on words of at most WORD_MAX bytes. */
static size_t distance(struct slice a, struct slice b)
{
	size_t row[WORD_MAX + 1];
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t above = row[j];
			bool same = lower(a.p[i - 1]) == lower(b.p[j - 1]);
			row[j] = min3(row[j] + 1, row[j - 1] + 1, diagonal + !same);
			diagonal = above;
		}
	}
	return row[b.len];
}

const char *diag_nearest(struct slice word, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	size_t best_distance = word.len / 3 + 2;
	if (word.len == 0 || word.len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		struct slice c = slice_of(candidates[i]);
		if (c.len > WORD_MAX)
			continue;
		size_t d = distance(word, c);
		if (d < best_distance) {
			best_distance = d;
			best = candidates[i];
		}
	}
	return best;
}
