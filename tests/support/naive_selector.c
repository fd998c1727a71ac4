/* Owns selectors for the second evaluator, without algebra: what a requirement says is told by the values
 * that it accepts, tried one by one. */
#include "tests/support/naive_authz.h"

#define VALUES 32

/* What an object may hold under a key: every value that either side names, one that neither names, and
 * nothing at all. */
struct universe {
	struct slice v[VALUES];
	size_t n;
};

enum { ABSENT = VALUES };

static void add(struct universe *u, struct slice v)
{
	for (size_t i = 0; i < u->n; i++)
		if (slice_eq(u->v[i], v))
			return;
	u->v[u->n++] = v;
}

static void add_rule(struct universe *u, const struct naive_requirement *p)
{
	for (int i = 0; i < p->values.n; i++)
		add(u, slice_of(p->values.v[i]));
}

static void add_asked(struct universe *u, const struct access_requirement *q)
{
	for (size_t i = 0; i < q->n; i++)
		add(u, q->values[i]);
}

static bool known(const struct access_requirement *q)
{
	return slice_is(q->op, "In") || slice_is(q->op, "NotIn") || slice_is(q->op, "Exists") ||
	       slice_is(q->op, "DoesNotExist");
}

static bool accepts(struct slice op, bool listed, bool absent)
{
	if (slice_is(op, "In"))
		return !absent && listed;
	if (slice_is(op, "NotIn"))
		return absent || !listed;
	return slice_is(op, "Exists") ? !absent : absent;
}

static bool rule_accepts(const struct naive_requirement *p, const struct universe *u, size_t v)
{
	bool absent = v == ABSENT;
	return accepts(slice_of(p->op), !absent && naive_in(&p->values, u->v[v]), absent);
}

static bool asked_accepts(const struct access_requirement *q, const struct universe *u, size_t v)
{
	bool absent = v == ABSENT, listed = false;
	for (size_t i = 0; i < q->n && !absent; i++)
		listed |= slice_eq(q->values[i], u->v[v]);
	return accepts(q->op, listed, absent);
}

/* The next value to try after V; past the last comes ABSENT, then VALUES + 1. */
static size_t next(const struct universe *u, size_t v)
{
	if (v == ABSENT)
		return VALUES + 1;
	return v + 1 < u->n ? v + 1 : ABSENT;
}

static bool same_key(const struct naive_requirement *p, const struct access_requirement *q)
{
	return slice_is(q->key, p->key) && known(q);
}

static bool implies(const struct access_requirement *q, const struct naive_requirement *p)
{
	struct universe u = {.n = 0};
	add(&u, SLICE("some other value"));
	add_rule(&u, p);
	add_asked(&u, q);
	for (size_t v = 0; v <= VALUES; v = next(&u, v))
		if (asked_accepts(q, &u, v) && !rule_accepts(p, &u, v))
			return false;
	return true;
}

static bool together(const struct access_requirement *q, const struct naive_requirement *p)
{
	struct universe u = {.n = 0};
	add(&u, SLICE("some other value"));
	add_rule(&u, p);
	add_asked(&u, q);
	for (size_t v = 0; v <= VALUES; v = next(&u, v))
		if (asked_accepts(q, &u, v) && rule_accepts(p, &u, v))
			return true;
	return false;
}

bool naive_covered(const struct naive_selector *s, const struct access_requirement *q, size_t n)
{
	for (int i = 0; i < s->n; i++) {
		bool implied = false;
		for (size_t k = 0; k < n; k++)
			implied |= same_key(&s->v[i], &q[k]) && implies(&q[k], &s->v[i]);
		if (!implied)
			return false;
	}
	return true;
}

bool naive_may_meet(const struct naive_selector *s, const struct access_requirement *q, size_t n)
{
	for (int i = 0; i < s->n; i++)
		for (size_t k = 0; k < n; k++)
			if (same_key(&s->v[i], &q[k]) && !together(&q[k], &s->v[i]))
				return false;
	return true;
}

/* --- the truth: keys are independent of each other, so each is tried alone --- */

static void fill(struct universe *u, const struct naive_selector *s,
    const struct access_requirement *q, size_t n)
{
	u->n = 0;
	add(u, SLICE("some other value"));
	for (int i = 0; i < s->n; i++)
		add_rule(u, &s->v[i]);
	for (size_t k = 0; k < n; k++)
		add_asked(u, &q[k]);
}

static bool rule_takes(
    const struct naive_selector *s, struct slice key, const struct universe *u, size_t v)
{
	for (int i = 0; i < s->n; i++)
		if (slice_is(key, s->v[i].key) && !rule_accepts(&s->v[i], u, v))
			return false;
	return true;
}

static bool asked_takes(const struct access_requirement *q, size_t n, struct slice key,
    const struct universe *u, size_t v)
{
	for (size_t k = 0; k < n; k++)
		if (slice_eq(key, q[k].key) && known(&q[k]) && !asked_accepts(&q[k], u, v))
			return false;
	return true;
}

/* Is there a value under KEY that the request asks for and that S accepts (or does not: ACCEPTED)? */
static bool some(const struct naive_selector *s, const struct access_requirement *q, size_t n,
    struct slice key, bool accepted)
{
	struct universe u;
	fill(&u, s, q, n);
	for (size_t v = 0; v <= VALUES; v = next(&u, v))
		if (asked_takes(q, n, key, &u, v) && rule_takes(s, key, &u, v) == accepted)
			return true;
	return false;
}

/* Does the request ask for any object at all? */
static bool asks(const struct naive_selector *s, const struct access_requirement *q, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (!some(s, q, n, q[k].key, true) && !some(s, q, n, q[k].key, false))
			return false;
	return true;
}

bool naive_truly_covered(
    const struct naive_selector *s, const struct access_requirement *q, size_t n)
{
	if (!asks(s, q, n))
		return true;
	for (int i = 0; i < s->n; i++)
		if (some(s, q, n, slice_of(s->v[i].key), false))
			return false;
	return true;
}

bool naive_truly_meets(
    const struct naive_selector *s, const struct access_requirement *q, size_t n)
{
	if (!asks(s, q, n))
		return false;
	for (int i = 0; i < s->n; i++)
		if (!some(s, q, n, slice_of(s->v[i].key), true))
			return false;
	return true;
}
