/* Owns the unified difference of two texts: longest common subsequence of lines between equal ends. */
#include "cli/linediff.h"

#include <stdlib.h>

#define CONTEXT 3
#define CELLS_MAX ((size_t)16 << 20) /* of the table: texts of four thousand lines each */

struct lines {
	struct slice *v;
	size_t n;
};

/* One line of the result: ' ', '-' or '+'. */
struct edit {
	char sign;
	struct slice line;
};

struct script {
	struct edit *v;
	size_t n;
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static struct lines split(struct slice text)
{
	struct lines l = {must(calloc(text.len + 1, sizeof(*l.v))), 0};
	while (text.len) {
		size_t end = slice_find(text, '\n');
		l.v[l.n++] = (struct slice){text.p, end};
		text = slice_skip(text, end + 1);
	}
	return l;
}

static void add(struct script *s, char sign, struct slice line)
{
	s->v[s->n++] = (struct edit){sign, line};
}

/* The part where A and B differ, of NA and NB lines. */
static void diff_middle(struct script *s, const struct slice *a, size_t na, const struct slice *b, size_t nb)
{
	size_t width = nb + 1, i = 0, j = 0;
	bool known = (na + 1) <= CELLS_MAX / width;
	/* COMMON[i][j]: lines that A from i and B from j have in common, in order. */
	uint16_t *common = known ? must(calloc((na + 1) * width, sizeof(*common))) : NULL;
	for (size_t x = na; known && x-- > 0;) {
		for (size_t y = nb; y-- > 0;) {
			uint16_t down = common[(x + 1) * width + y], right = common[x * width + y + 1];
			common[x * width + y] = slice_eq(a[x], b[y])
			    ? (uint16_t)(common[(x + 1) * width + y + 1] + 1)
			    : down > right ? down : right;
		}
	}
	while (i < na || j < nb) {
		if (known && i < na && j < nb && slice_eq(a[i], b[j])) {
			add(s, ' ', a[i++]);
			j++;
		} else if (i < na && (!known || j == nb || common[(i + 1) * width + j] >= common[i * width + j + 1])) {
			add(s, '-', a[i++]);
		} else {
			add(s, '+', b[j++]);
		}
	}
	free(common);
}

static struct script diff(const struct lines *a, const struct lines *b)
{
	struct script s = {must(calloc(a->n + b->n + 1, sizeof(*s.v))), 0};
	size_t head = 0, tail = 0;
	while (head < a->n && head < b->n && slice_eq(a->v[head], b->v[head]))
		add(&s, ' ', a->v[head++]);
	while (tail < a->n - head && tail < b->n - head &&
	    slice_eq(a->v[a->n - 1 - tail], b->v[b->n - 1 - tail]))
		tail++;
	diff_middle(&s, a->v + head, a->n - head - tail, b->v + head, b->n - head - tail);
	for (size_t i = a->n - tail; i < a->n; i++)
		add(&s, ' ', a->v[i]);
	return s;
}

/* "-3,7": where a hunk begins in one of the texts, and how many lines of it there are. */
static void put_range(struct buf *b, char sign, size_t before, size_t n)
{
	buf_printf(b, "%c%zu", sign, n ? before + 1 : before);
	if (n != 1)
		buf_printf(b, ",%zu", n);
}

static size_t count(const struct script *s, size_t from, size_t to, char sign)
{
	size_t n = 0;
	for (size_t i = from; i < to; i++)
		n += s->v[i].sign == ' ' || s->v[i].sign == sign;
	return n;
}

/* End of the hunk whose first change is at I: where more than twice the context is unchanged. */
static size_t hunk_end(const struct script *s, size_t i)
{
	size_t last = i;
	for (size_t k = i; k < s->n && k - last <= 2 * CONTEXT + 1; k++) {
		if (s->v[k].sign != ' ')
			last = k;
	}
	return last + 1 + CONTEXT < s->n ? last + 1 + CONTEXT : s->n;
}

static void put_hunks(struct buf *out, const struct script *s)
{
	size_t done = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].sign == ' ')
			continue;
		size_t from = i - done > CONTEXT ? i - CONTEXT : done, to = hunk_end(s, i);
		buf_adds(out, "@@ ");
		put_range(out, '-', count(s, 0, from, '-'), count(s, from, to, '-'));
		buf_addc(out, ' ');
		put_range(out, '+', count(s, 0, from, '+'), count(s, from, to, '+'));
		buf_adds(out, " @@\n");
		for (size_t k = from; k < to; k++) {
			buf_addc(out, s->v[k].sign);
			buf_slice(out, s->v[k].line);
			buf_addc(out, '\n');
		}
		done = to;
		i = to - 1;
	}
}

void linediff(struct buf *out, const char *from, struct slice old, const char *to, struct slice new)
{
	if (slice_eq(old, new))
		return;
	struct lines a = split(old), b = split(new);
	struct script s = diff(&a, &b);
	buf_printf(out, "--- %s\n+++ %s\n", from, to);
	put_hunks(out, &s);
	free(a.v);
	free(b.v);
	free(s.v);
}
