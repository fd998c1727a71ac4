/* Owns glob matching: one pattern, and the sorted-prefix search over many. */
#include "policy/glob.h"

#include <stdlib.h>

struct glob_node {
	struct slice text; /* the common head, or the common tail reversed */
	uint32_t parent; /* longest other node whose text is a proper prefix of this one's */
	uint32_t first, n; /* range of ITEMS */
	const uint32_t *items;
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

/* Groups the sorted F into nodes and links each to its parent: the parent of a node is its sorted
 * predecessor or one of that one's ancestors. */
static const struct glob_node *nodes_build(
    struct arena *a, struct filed *f, uint32_t n, uint32_t *nnodes)
{
	*nnodes = 0;
	if (n == 0)
		return NULL;
	qsort(f, n, sizeof(*f), filed_cmp);
	struct glob_node *nodes = ARENA_ARRAY(a, struct glob_node, n);
	uint32_t *items = ARENA_ARRAY(a, uint32_t, n);
	uint32_t count = 0;
	for (uint32_t i = 0; i < n; i++) {
		items[i] = f[i].pattern;
		if (count && slice_eq(nodes[count - 1].text, f[i].text)) {
			nodes[count - 1].n++;
			continue;
		}
		uint32_t parent = count ? count - 1 : GLOB_NONE;
		while (parent != GLOB_NONE && !slice_starts(f[i].text, nodes[parent].text))
			parent = nodes[parent].parent;
		nodes[count++] = (struct glob_node){
		    .text = f[i].text, .parent = parent, .first = i, .n = 1, .items = items};
	}
	*nnodes = count;
	return nodes;
}

void globset_build(struct globset *set, struct arena *a, const struct slice *patterns, uint32_t n)
{
	*set = (struct globset){.patterns = patterns, .n = n};
	struct filed *heads = ARENA_ARRAY(a, struct filed, n + 1);
	struct filed *tails = ARENA_ARRAY(a, struct filed, n + 1);
	uint32_t nh = 0, nt = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct slice p = patterns[i];
		size_t head = slice_find(p, '*'), tail = tail_length(p);
		if (head > 0) {
			heads[nh++] = (struct filed){{p.p, head}, i};
			continue;
		}
		struct slice end = {p.p + p.len - tail, tail};
		tails[nt++] = (struct filed){reversed(a, end), i};
	}
	set->heads = nodes_build(a, heads, nh, &set->nheads);
	set->tails = nodes_build(a, tails, nt, &set->ntails);
}

/* Compares node text with TEXT read forwards or backwards. */
static int side_cmp(struct slice node, struct slice text, bool backwards)
{
	size_t n = node.len < text.len ? node.len : text.len;
	int c = 0;
	if (!backwards) {
		c = n ? memcmp(node.p, text.p, n) : 0;
	} else {
		for (size_t i = 0; i < n && c == 0; i++)
			c = (unsigned char)node.p[i] - (unsigned char)text.p[text.len - 1 - i];
	}
	return c ? c : (node.len > text.len) - (node.len < text.len);
}

static bool side_has(struct slice node, struct slice text, bool backwards)
{
	if (node.len > text.len)
		return false;
	struct slice cut = {backwards && text.p ? text.p + text.len - node.len : text.p, node.len};
	return side_cmp(node, cut, backwards) == 0;
}

/* Longest node that TEXT starts with. All of those lie on the parent chain of the last node that
 * does not sort after TEXT, because strings with one prefix are neighbours in sorted order. */
static uint32_t side_find(
    const struct glob_node *nodes, uint32_t n, struct slice text, bool backwards)
{
	uint32_t lo = 0, hi = n;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (side_cmp(nodes[mid].text, text, backwards) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	uint32_t at = lo ? lo - 1 : GLOB_NONE;
	while (at != GLOB_NONE && !side_has(nodes[at].text, text, backwards))
		at = nodes[at].parent;
	return at;
}

struct glob_cursor globset_search(const struct globset *set, struct slice text)
{
	return (struct glob_cursor){
	    .set = set,
	    .text = text,
	    .head = side_find(set->heads, set->nheads, text, false),
	    .tail = side_find(set->tails, set->ntails, text, true),
	};
}

bool globset_next(struct glob_cursor *c, uint32_t *pattern)
{
	const struct globset *set = c->set;
	while (c->head != GLOB_NONE || c->tail != GLOB_NONE) {
		bool heads = c->head != GLOB_NONE;
		const struct glob_node *node = heads ? &set->heads[c->head] : &set->tails[c->tail];
		while (c->at < node->n) {
			uint32_t i = node->items[node->first + c->at++];
			if (glob_match(set->patterns[i], c->text)) {
				*pattern = i;
				return true;
			}
		}
		c->at = 0;
		if (heads)
			c->head = node->parent;
		else
			c->tail = node->parent;
	}
	return false;
}
