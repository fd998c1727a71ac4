/* Owns sets of texts: membership, intersection, and finding a member.
 *
 * There are always letters that no pattern holds. A glob with such a letter for each star is its most
 * general member: another glob matches that text only when it matches everything that the first one
 * does. So a glob lies within a union of others exactly when it lies within one of them, and this text
 * shows it; only the names of service accounts, where colons count, need more tries. */
#include "policy/words.h"

#include <stdio.h>
#include <stdlib.h>

#include "policy/glob.h"
#include "policy/index.h"

#define MEET_MAX 256 /* patterns in one intersection */
#define MEET_STEPS 20000 /* ways to lay one glob over another that are tried */

static int pattern_cmp(const void *a, const void *b)
{
	const struct pattern *x = a, *y = b;
	if ((x->kind == PATTERN_WORD) != (y->kind == PATTERN_WORD))
		return x->kind == PATTERN_WORD ? -1 : 1;
	int c = slice_cmp(x->text, y->text);
	return c ? c : (int)x->kind - (int)y->kind;
}

struct words words_new(struct pattern *v, uint32_t n)
{
	struct words w = {.v = v};
	if (n > 1)
		qsort(v, n, sizeof(*v), pattern_cmp);
	for (uint32_t i = 0; i < n; i++) {
		if (w.n && pattern_cmp(&v[w.n - 1], &v[i]) == 0)
			continue;
		w.nwords += v[i].kind == PATTERN_WORD;
		v[w.n++] = v[i];
	}
	return w;
}

bool pattern_matches(const struct pattern *p, struct slice text)
{
	switch (p->kind) {
	case PATTERN_WORD:
		return slice_eq(p->text, text);
	case PATTERN_PREFIX:
		return slice_starts(text, p->text);
	case PATTERN_ACCOUNT:
		if (!policy_is_service_account(text))
			return false;
		break;
	case PATTERN_GLOB:
		break;
	}
	return glob_match(p->text, text);
}

bool words_have(const struct words *w, struct slice text)
{
	uint32_t lo = 0, hi = w->nwords;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (slice_cmp(w->v[mid].text, text) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < w->nwords && slice_eq(w->v[lo].text, text))
		return true;
	for (uint32_t i = w->nwords; i < w->n; i++)
		if (pattern_matches(&w->v[i], text))
			return true;
	return false;
}

static bool pattern_covers(const struct pattern *w, const struct pattern *p)
{
	if (w->kind == PATTERN_PREFIX)
		return p->kind == PATTERN_PREFIX && slice_starts(p->text, w->text);
	if (p->kind == PATTERN_PREFIX || (w->kind == PATTERN_ACCOUNT && p->kind != w->kind))
		return false;
	/* No piece of W between stars holds a star: those of P meet stars of W alone. */
	return w->kind != PATTERN_WORD && glob_match(w->text, p->text);
}

bool words_cover(const struct words *w, const struct pattern *p)
{
	if (p->kind == PATTERN_WORD)
		return words_have(w, p->text);
	for (uint32_t i = w->nwords; i < w->n; i++)
		if (pattern_covers(&w->v[i], p))
			return true;
	return false;
}

/* Pairs that are looked at to see whether two sets are apart. */
#define APART_PAIRS 64

/* The literal head or, BACKWARDS, tail of a pattern. */
static struct slice literal_end(const struct pattern *p, bool backwards)
{
	struct slice t = p->text;
	if (p->kind == PATTERN_WORD)
		return t;
	if (p->kind == PATTERN_PREFIX)
		return backwards ? (struct slice){0} : t;
	if (!backwards)
		return (struct slice){t.p, slice_find(t, '*')};
	size_t n = 0;
	while (n < t.len && t.p[t.len - 1 - n] != '*')
		n++;
	return slice_skip(t, t.len - n);
}

static bool patterns_apart(const struct pattern *x, const struct pattern *y)
{
	struct slice a = literal_end(x, false), b = literal_end(y, false);
	size_t n = a.len < b.len ? a.len : b.len;
	if (n && memcmp(a.p, b.p, n) != 0)
		return true;
	if (x->kind == PATTERN_WORD && y->kind == PATTERN_WORD)
		return a.len != b.len;
	a = literal_end(x, true);
	b = literal_end(y, true);
	n = a.len < b.len ? a.len : b.len;
	return n && memcmp(a.p + a.len - n, b.p + b.len - n, n) != 0;
}

bool words_apart(const struct words *x, const struct words *y)
{
	if ((uint64_t)x->n * y->n > APART_PAIRS)
		return false;
	for (uint32_t i = 0; i < x->n; i++)
		for (uint32_t k = 0; k < y->n; k++)
			if (!patterns_apart(&x->v[i], &y->v[k]))
				return false;
	return true;
}

/* --- intersection --- */

struct meeting {
	struct arena *a;
	struct pattern *v;
	size_t n, cap;
	size_t steps;
	enum pattern_kind kind;
	char *text; /* what stands of the result so far */
};

static void put(struct meeting *m, struct slice text, enum pattern_kind kind)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].kind == kind && slice_eq(m->v[i].text, text))
			return;
	ARENA_ROOM(m->a, m->v, m->n, m->cap, 8);
	m->v[m->n++] = (struct pattern){slice_dup(m->a, text), kind};
}

/* Lays P over Q: where one has a star, it may take up what the other has, or end. LEN bytes of the result
 * stand already. */
static void lay(struct meeting *m, struct slice p, struct slice q, size_t len)
{
	if (m->n > MEET_MAX || m->steps++ > MEET_STEPS)
		return;
	if (p.len == 0 && q.len == 0) {
		put(m, (struct slice){m->text, len}, m->kind);
		return;
	}
	bool ps = p.len && p.p[0] == '*', qs = q.len && q.p[0] == '*';
	if (!ps && !qs) {
		if (p.len && q.len && p.p[0] == q.p[0]) {
			m->text[len] = p.p[0];
			lay(m, slice_skip(p, 1), slice_skip(q, 1), len + 1);
		}
		return;
	}
	if (ps && qs) {
		bool again = len && m->text[len - 1] == '*';
		m->text[len] = '*';
		lay(m, slice_skip(p, 1), q, len + !again);
		m->text[len] = '*';
		lay(m, p, slice_skip(q, 1), len + !again);
		return;
	}
	lay(m, ps ? slice_skip(p, 1) : p, qs ? slice_skip(q, 1) : q, len);
	struct slice *other = ps ? &q : &p;
	if (other->len == 0)
		return;
	m->text[len] = other->p[0];
	*other = slice_skip(*other, 1);
	lay(m, p, q, len + 1);
}

static void meet_globs(struct meeting *m, const struct pattern *p, const struct pattern *q)
{
	bool account = p->kind == PATTERN_ACCOUNT || q->kind == PATTERN_ACCOUNT;
	m->kind = account ? PATTERN_ACCOUNT : PATTERN_GLOB;
	m->text = arena_alloc(m->a, p->text.len + q->text.len + 2);
	lay(m, p->text, q->text, 0);
}

static void meet_two(struct meeting *m, const struct pattern *p, const struct pattern *q)
{
	if (p->kind == PATTERN_WORD || q->kind == PATTERN_WORD) {
		const struct pattern *word = p->kind == PATTERN_WORD ? p : q;
		if (pattern_matches(word == p ? q : p, word->text))
			put(m, word->text, PATTERN_WORD);
	} else if (pattern_covers(p, q)) {
		put(m, q->text, q->kind);
	} else if (pattern_covers(q, p)) {
		put(m, p->text, p->kind);
	} else if (p->kind != PATTERN_PREFIX && q->kind != PATTERN_PREFIX) {
		meet_globs(m, p, q);
	}
}

static void meet_words(struct meeting *m, const struct words *from, const struct words *with)
{
	for (uint32_t i = 0; i < from->nwords; i++) {
		if (!words_have(with, from->v[i].text))
			continue;
		ARENA_ROOM(m->a, m->v, m->n, m->cap, 8);
		m->v[m->n++] = from->v[i];
	}
}

bool words_meet(struct arena *a, const struct words *x, const struct words *y, struct words *out)
{
	struct meeting m = {.a = a};
	if (x->nwords == x->n || y->nwords == y->n) {
		/* Only words can come out: whole lists of users meet cheaply. */
		bool first = x->nwords == x->n;
		meet_words(&m, first ? x : y, first ? y : x);
		*out = words_new(m.v, (uint32_t)m.n);
		return true;
	}
	for (uint32_t i = 0; i < x->n; i++)
		for (uint32_t k = 0; k < y->n && m.n <= MEET_MAX; k++)
			meet_two(&m, &x->v[i], &y->v[k]);
	if (m.n > MEET_MAX || m.steps > MEET_STEPS)
		return false;
	*out = words_new(m.v, (uint32_t)m.n);
	return true;
}

/* --- a member --- */

static bool answers(const struct words_query *q, struct slice text)
{
	for (size_t i = 0; i < q->nin; i++)
		if (!words_have(q->in[i], text))
			return false;
	for (size_t i = 0; i < q->nout; i++)
		if (words_have(q->out[i], text))
			return false;
	return true;
}

/* Does a pattern that is not about service accounts put TEXT out? Then it puts out all that the glob
 * matches of which TEXT is the most general member. */
static bool plainly_out(const struct words_query *q, struct slice text)
{
	for (size_t i = 0; i < q->nout; i++)
		for (uint32_t k = 0; k < q->out[i]->n; k++)
			if (q->out[i]->v[k].kind != PATTERN_ACCOUNT &&
			    pattern_matches(&q->out[i]->v[k], text))
				return true;
	return false;
}

static struct slice filled(struct arena *a, const struct pattern *p, const char *star)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	if (p->kind == PATTERN_PREFIX) {
		buf_slice(&b, p->text);
		buf_adds(&b, star);
	} else {
		for (size_t i = 0; i < p->text.len; i++)
			if (p->text.p[i] == '*' && p->kind != PATTERN_WORD)
				buf_adds(&b, star);
			else
				buf_addc(&b, p->text.p[i]);
	}
	struct slice out = slice_dup(a, buf_view(&b));
	buf_done(&b);
	return out;
}

static bool letter_used(const struct words_query *q, const char *letter)
{
	size_t n = strlen(letter);
	for (size_t side = 0; side < 2; side++) {
		const struct words *const *list = side ? q->out : q->in;
		for (size_t i = 0; i < (side ? q->nout : q->nin); i++)
			for (uint32_t k = 0; k < list[i]->n; k++) {
				struct slice t = list[i]->v[k].text;
				if (t.len && memmem(t.p, t.len, letter, n))
					return true;
			}
	}
	return false;
}

/* A letter that stands in no pattern: of ASCII where there is one, else of a script of many. */
static void fresh_letter(const struct words_query *q, char out[4])
{
	for (const char *c = "qzxjvkwybu1234567890acdefghilmnoprst"; *c; c++) {
		snprintf(out, 4, "%c", *c);
		if (!letter_used(q, out))
			return;
	}
	for (unsigned cp = 0x4E00; cp < 0x9FA5; cp++) {
		out[0] = (char)(0xE0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
		out[2] = (char)(0x80 | (cp & 0x3F));
		out[3] = '\0';
		if (!letter_used(q, out))
			return;
	}
}

static const char *const readable[] = {"x", "example", "one", "", NULL};
/* F stands for the fresh letter. */
static const char *const colons[] = {"", "F:F", "F:F:F", ":", "F:", ":F", NULL};

static bool try_colons(const struct words_query *q, struct arena *a, const struct pattern *p,
    const char *letter, struct slice *text)
{
	for (size_t i = 0; colons[i]; i++) {
		struct buf b;
		buf_init(&b, 64);
		for (const char *c = colons[i]; *c; c++)
			buf_adds(&b, *c == 'F' ? letter : ":");
		*text = filled(a, p, buf_cstr(&b));
		buf_done(&b);
		if (answers(q, *text))
			return true;
	}
	return false;
}

static enum words_found find_in(const struct words_query *q, struct arena *a,
    const struct pattern *p, struct slice *text)
{
	char letter[4];
	*text = p->text;
	if (p->kind == PATTERN_WORD)
		return answers(q, p->text) ? WORDS_FOUND : WORDS_NONE;
	for (size_t i = 0; readable[i]; i++) {
		*text = filled(a, p, readable[i]);
		if (answers(q, *text))
			return WORDS_FOUND;
	}
	fresh_letter(q, letter);
	*text = filled(a, p, letter);
	if (answers(q, *text))
		return WORDS_FOUND;
	if (p->kind == PATTERN_ACCOUNT || plainly_out(q, *text))
		return WORDS_NONE;
	return try_colons(q, a, p, letter, text) ? WORDS_FOUND : WORDS_UNKNOWN;
}

/* All patterns that together match what each of Q's sets matches. */
static bool meet_all(const struct words_query *q, struct arena *a, struct words *out)
{
	static const struct pattern all = {{"*", 1}, PATTERN_GLOB};
	static const struct words every = {&all, 1, 0};
	*out = q->nin ? *q->in[0] : every;
	for (size_t i = 1; i < q->nin; i++)
		if (!words_meet(a, out, q->in[i], out))
			return false;
	return true;
}

/* The shortest of the sets that hold only words, NULL when none does. */
static const struct words *find_finite(const struct words_query *q)
{
	const struct words *best = NULL;
	for (size_t i = 0; i < q->nin; i++)
		if (q->in[i]->n == q->in[i]->nwords && (!best || q->in[i]->n < best->n))
			best = q->in[i];
	return best;
}

enum words_found words_find(const struct words_query *q, struct arena *a, struct slice *text)
{
	for (const char *const *p = q->prefer; p && *p; p++) {
		*text = slice_of(*p);
		if (answers(q, *text))
			return WORDS_FOUND;
	}
	const struct words *finite = find_finite(q);
	struct words all;
	if (finite)
		all = *finite;
	else if (!meet_all(q, a, &all))
		return WORDS_UNKNOWN;
	enum words_found got = WORDS_NONE;
	for (uint32_t i = 0; i < all.n; i++) {
		enum words_found one = find_in(q, a, &all.v[i], text);
		if (one == WORDS_FOUND)
			return one;
		if (one == WORDS_UNKNOWN)
			got = one;
	}
	return got;
}
