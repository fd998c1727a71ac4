/* Owns glob matching: one pattern, and a trie of many. */
#include "policy/glob.h"

#include <endian.h>
#include <stddef.h>
#include <stdlib.h>

/* A node of a trie: the bytes that lead to it, the patterns that end there, its children in the order of
 * their first bytes. */
struct glob_node {
	uint64_t head; /* the first bytes of LABEL, up to eight, in the order of memory */
	const char *label;
	const uint32_t *items;
	uint32_t len; /* of LABEL */
	uint32_t n, child, nchildren;
	unsigned char lead; /* the first byte of LABEL */
	unsigned char least, most; /* LEAD of the first and of the last child */
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
		nodes[n].label = f[s.lo].text.p + s.depth;
		nodes[n].len = (uint32_t)(depth - s.depth);
		memcpy(&nodes[n].head, nodes[n].label, nodes[n].len < 8 ? nodes[n].len : 8);
		spans[n++] = (struct span){s.lo, hi, depth};
		s.lo = hi;
	}
	nodes[i].nchildren = n - nodes[i].child;
	nodes[i].least = nodes[i].nchildren ? nodes[nodes[i].child].lead : 0;
	nodes[i].most = nodes[i].nchildren ? nodes[n - 1].lead : 0;
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

static void note_starts(struct globset *set, struct arena *a)
{
	const struct glob_node *heads = set->heads, *tails = set->tails;
	uint32_t n = heads ? heads->nchildren : 0;
	struct glob_start *starts = ARENA_ARRAY(a, struct glob_start, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct glob_node *child = &heads[heads->child + i];
		starts[i].head = child->head;
		memset(&starts[i].mask, 0xff, child->len < 8 ? child->len : 8);
		set->start[child->lead] = (uint16_t)(i + 1);
	}
	for (uint32_t i = 0; tails && i < tails->nchildren; i++) {
		unsigned char lead = tails[tails->child + i].lead;
		set->last[lead / 64] |= UINT64_C(1) << (lead % 64);
	}
	set->starts = starts;
	set->open = heads && heads->n > 0;
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
	note_starts(set, a);
}

static const struct glob_node *search_child(
    const struct glob_node *first, uint32_t n, unsigned char lead)
{
	uint32_t lo = 0, hi = n;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (first[mid].lead == lead)
			return &first[mid];
		if (first[mid].lead < lead)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* The child of NODE whose label begins with LEAD. Most children are neighbours, like digits: then the distance
 * to the first or the last tells. */
static inline const struct glob_node *find_child(
    const struct glob_node *nodes, const struct glob_node *node, unsigned char lead)
{
	if (lead < node->least || lead > node->most)
		return NULL;
	const struct glob_node *first = nodes + node->child;
	uint32_t up = (uint32_t)(lead - node->least), down = (uint32_t)(node->most - lead);
	if (up < node->nchildren && first[up].lead == lead)
		return &first[up];
	if (down < node->nchildren && first[node->nchildren - 1 - down].lead == lead)
		return &first[node->nchildren - 1 - down];
	return search_child(first, node->nchildren, lead);
}

/* Is NODE's label at DEPTH of TEXT, which is long enough? Texts of eight bytes are read at once. */
static inline bool label_here(const struct glob_node *node, struct slice text, size_t depth)
{
	uint64_t have;
	size_t left = text.len - depth;
	if (node->len > 8) {
		memcpy(&have, text.p + depth, sizeof(have));
		if (have != node->head)
			return false;
		return memcmp(text.p + depth + 8, node->label + 8, node->len - 8) == 0;
	}
	if (text.len < sizeof(have))
		return memcmp(text.p + depth, node->label, node->len) == 0;
	if (left >= sizeof(have)) {
		memcpy(&have, text.p + depth, sizeof(have));
		have = le64toh(have);
	} else {
		memcpy(&have, text.p + text.len - sizeof(have), sizeof(have));
		have = le64toh(have) >> (64 - 8 * left);
	}
	return (have ^ le64toh(node->head)) << (64 - 8 * node->len) == 0;
}

/* The same before END, backwards. */
static bool label_before(const struct glob_node *node, const char *end)
{
	for (uint32_t i = 0; i < node->len; i++)
		if (node->label[i] != end[-1 - (ptrdiff_t)i])
			return false;
	return true;
}

/* The child of NODE in the trie NODES that TEXT goes on with, DEPTH bytes in; NULL: there is none. */
static inline const struct glob_node *next_head(const struct glob_node *nodes,
    const struct glob_node *node, struct slice text, size_t depth)
{
	if (depth == text.len)
		return NULL;
	const struct glob_node *child = find_child(nodes, node, (unsigned char)text.p[depth]);
	if (!child || child->len > text.len - depth || !label_here(child, text, depth))
		return NULL;
	return child;
}

/* The same, backwards from the end. */
static const struct glob_node *next_tail(const struct glob_node *nodes,
    const struct glob_node *node, struct slice text, size_t depth)
{
	size_t left = text.len - depth;
	if (left == 0)
		return NULL;
	const struct glob_node *child = find_child(nodes, node, (unsigned char)text.p[left - 1]);
	if (!child || child->len > left || !label_before(child, text.p + left))
		return NULL;
	return child;
}

/* From the node of C on to one that has patterns; false: there is none. */
static bool next_node(struct glob_cursor *c)
{
	const struct glob_node *node = c->node, *nodes = c->backwards ? c->set->tails : c->set->heads;
	size_t depth = c->depth;
	do {
		node = c->backwards ? next_tail(nodes, node, c->text, depth)
				    : next_head(nodes, node, c->text, depth);
		if (!node)
			return false;
		depth += node->len;
	} while (node->n == 0);
	c->node = node;
	c->depth = depth;
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
		if (next_node(c))
			continue;
		c->node = c->backwards ? NULL : c->set->tails;
		c->backwards = true;
		c->depth = 0;
		c->at = 0;
	}
	return false;
}
