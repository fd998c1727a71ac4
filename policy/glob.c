/* Owns glob matching: one pattern, and a trie of many. */
#include "policy/glob.h"

#include <stdlib.h>

/* A node of a trie: the bytes that lead to it, the patterns that end there, its children in the order of
 * their first bytes. */
struct glob_node {
	struct slice label;
	const uint32_t *items;
	uint32_t n, child, nchildren;
	unsigned char lead; /* label.p[0], near */
};

bool glob_is_all(struct slice pattern)
{
	for (size_t i = 0; i < pattern.len; i++)
		if (pattern.p[i] != '*')
			return false;
	return pattern.len > 0;
}

static size_t tail_length(struct slice pattern)
{
	size_t n = 0;
	while (n < pattern.len && pattern.p[pattern.len - 1 - n] != '*')
		n++;
	return n;
}

/* The pieces between stars, each at its leftmost place: for stars alone that finds a match whenever
 * there is one. */
static bool match_middle(struct slice pattern, struct slice s)
{
	while (pattern.len > 0) {
		size_t n = slice_find(pattern, '*');
		if (n > 0) {
			const char *at = s.len >= n ? memmem(s.p, s.len, pattern.p, n) : NULL;
			if (!at)
				return false;
			s = slice_skip(s, (size_t)(at - s.p) + n);
		}
		pattern = slice_skip(pattern, n + 1);
	}
	return true;
}

bool glob_match(struct slice pattern, struct slice s)
{
	size_t head = slice_find(pattern, '*');
	if (head == pattern.len)
		return slice_eq(pattern, s);
	size_t tail = tail_length(pattern);
	if (s.len < head + tail || !slice_starts(s, (struct slice){pattern.p, head}))
		return false;
	if (tail && memcmp(s.p + s.len - tail, pattern.p + pattern.len - tail, tail) != 0)
		return false;
	struct slice middle = {pattern.p + head, pattern.len - head - tail};
	return match_middle(middle, (struct slice){s.p ? s.p + head : NULL, s.len - head - tail});
}

/* --- many patterns --- */

struct filed {
	struct slice text;
	uint32_t pattern;
};

static int filed_cmp(const void *a, const void *b)
{
	const struct filed *x = a, *y = b;
	int c = slice_cmp(x->text, y->text);
	return c ? c : (x->pattern > y->pattern) - (x->pattern < y->pattern);
}

static struct slice reversed(struct arena *a, struct slice s)
{
	char *p = arena_alloc(a, s.len + 1);
	for (size_t i = 0; i < s.len; i++)
		p[i] = s.p[s.len - 1 - i];
	return (struct slice){p, s.len};
}

/* Bytes that all texts from LO to before HI share; they are sorted, so the first and the last tell. */
static size_t shared(const struct filed *f, uint32_t lo, uint32_t hi, size_t at)
{
	struct slice a = f[lo].text, b = f[hi - 1].text;
	while (at < a.len && at < b.len && a.p[at] == b.p[at])
		at++;
	return at;
}

/* A node to be: the texts from LO to before HI, which share their first DEPTH bytes. */
struct span {
	uint32_t lo, hi;
	size_t depth;
};

/* Adds the children of SPANS[I] behind the N spans there are, and returns how many there are then. */
static uint32_t add_children(
    const struct filed *f, struct span *spans, uint32_t i, uint32_t n, struct glob_node *nodes)
{
	struct span s = spans[i];
	nodes[i].child = n;
	while (s.lo < s.hi) {
		uint32_t hi = s.lo + 1;
		unsigned char lead = (unsigned char)f[s.lo].text.p[s.depth];
		while (hi < s.hi && (unsigned char)f[hi].text.p[s.depth] == lead)
			hi++;
		size_t depth = shared(f, s.lo, hi, s.depth);
		nodes[n].lead = lead;
		nodes[n].label = (struct slice){f[s.lo].text.p + s.depth, depth - s.depth};
		spans[n++] = (struct span){s.lo, hi, depth};
		s.lo = hi;
	}
	nodes[i].nchildren = n - nodes[i].child;
	return n;
}

/* The trie of F, breadth first, so that the children of a node stand together; the root first. */
static const struct glob_node *nodes_build(struct arena *a, struct filed *f, uint32_t n)
{
	if (n == 0)
		return NULL;
	qsort(f, n, sizeof(*f), filed_cmp);
	uint32_t *items = ARENA_ARRAY(a, uint32_t, n), count = 1;
	struct glob_node *nodes = calloc(2 * (size_t)n + 1, sizeof(*nodes));
	struct span *spans = calloc(2 * (size_t)n + 1, sizeof(*spans));
	if (!nodes || !spans)
		abort();
	spans[0] = (struct span){0, n, 0};
	for (uint32_t i = 0; i < count; i++) {
		struct span *s = &spans[i];
		nodes[i].items = items + s->lo;
		while (s->lo < s->hi && f[s->lo].text.len == s->depth) {
			items[s->lo] = f[s->lo].pattern;
			s->lo++;
			nodes[i].n++;
		}
		count = add_children(f, spans, i, count, nodes);
	}
	struct glob_node *kept = ARENA_ARRAY(a, struct glob_node, count);
	memcpy(kept, nodes, count * sizeof(*kept));
	free(nodes);
	free(spans);
	return kept;
}

/* Each pattern is filed under the longer of its two literal ends: fewer texts have that. */
void globset_build(struct globset *set, struct arena *a, const struct slice *patterns, uint32_t n)
{
	*set = (struct globset){.patterns = patterns, .n = n};
	struct filed *filed = calloc((size_t)n * 2 + 1, sizeof(*filed));
	if (!filed)
		abort();
	uint32_t nh = 0, nt = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct slice p = patterns[i];
		size_t head = slice_find(p, '*'), tail = tail_length(p);
		struct slice end = {p.p + p.len - tail, tail};
		if (head >= tail)
			filed[nh++] = (struct filed){{p.p, head}, i};
		else
			filed[n + nt++] = (struct filed){reversed(a, end), i};
	}
	set->heads = nodes_build(a, filed, nh);
	set->tails = nodes_build(a, filed + n, nt);
	free(filed);
}

struct glob_cursor globset_search(const struct globset *set, struct slice text)
{
	return (struct glob_cursor){
	    .set = set,
	    .text = text,
	    .node = set->heads ? set->heads : set->tails,
	    .backwards = !set->heads,
	};
}

/* Byte I of the text, from the side at which the cursor reads. */
static unsigned char byte_at(const struct glob_cursor *c, size_t i)
{
	return (unsigned char)c->text.p[c->backwards ? c->text.len - 1 - i : i];
}

static const struct glob_node *find_child(const struct glob_cursor *c)
{
	const struct glob_node *nodes = c->backwards ? c->set->tails : c->set->heads;
	uint32_t lo = c->node->child, hi = lo + c->node->nchildren, end = hi;
	unsigned char lead = byte_at(c, c->depth);
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (nodes[mid].lead < lead)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < end && nodes[lo].lead == lead ? &nodes[lo] : NULL;
}

/* To the child that the text goes on with; false: there is none. */
static bool descend(struct glob_cursor *c)
{
	const struct glob_node *child = c->depth < c->text.len ? find_child(c) : NULL;
	if (!child || child->label.len > c->text.len - c->depth)
		return false;
	for (size_t i = 1; i < child->label.len; i++)
		if ((unsigned char)child->label.p[i] != byte_at(c, c->depth + i))
			return false;
	c->node = child;
	c->depth += child->label.len;
	c->at = 0;
	return true;
}

/* Of a pattern that is one end and one star, reaching its node is the match. */
static bool matches(const struct glob_cursor *c, struct slice pattern)
{
	return pattern.len == c->depth + 1 || glob_match(pattern, c->text);
}

bool globset_next(struct glob_cursor *c, uint32_t *pattern)
{
	while (c->node) {
		while (c->at < c->node->n) {
			*pattern = c->node->items[c->at++];
			if (matches(c, c->set->patterns[*pattern]))
				return true;
		}
		if (descend(c))
			continue;
		c->node = c->backwards ? NULL : c->set->tails;
		c->backwards = true;
		c->depth = 0;
		c->at = 0;
	}
	return false;
}
