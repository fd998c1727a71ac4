/* Owns selectors: what a request for a list is surely or possibly about, beside what a rule is.
 *
 * Requirements of one request are turned into numbers once; after that a rule costs a walk over its own
 * values, whatever the request holds. Whoever asks chooses the selector, so what does not fit is left
 * out: a requirement only narrows, and a request that is taken for a wider one is allowed no more and
 * denied no less. */
#include "authz/engine.h"

/* Sorts in place without memory of its own, in n log n whatever the order: it comes from the request. */
static void sort(uint32_t *v, uint32_t n)
{
	for (uint32_t end = n, start = n / 2; end > 1;) {
		if (start > 0) {
			start--;
		} else {
			end--;
			uint32_t top = v[0];
			v[0] = v[end];
			v[end] = top;
		}
		uint32_t at = start, sinking = v[at];
		for (uint32_t child; (child = 2 * at + 1) < end; at = child) {
			child += child + 1 < end && v[child + 1] > v[child];
			if (v[child] <= sinking)
				break;
			v[at] = v[child];
		}
		v[at] = sinking;
	}
}

static bool parse_op(const struct access_requirement *q, enum requirement_op *op)
{
	static const struct {
		const char *name;
		enum requirement_op op;
		bool values;
	} ops[] = {{"In", REQUIREMENT_IN, true}, {"NotIn", REQUIREMENT_NOT_IN, true},
	    {"Exists", REQUIREMENT_EXISTS, false},
	    {"DoesNotExist", REQUIREMENT_DOES_NOT_EXIST, false}};
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		*op = ops[i].op;
		if (slice_is(q->op, ops[i].name))
			return ops[i].values == (q->n > 0);
	}
	return false;
}

static void read_values(struct engine *e, const struct access_requirement *q, struct asked *out)
{
	struct engine_selectors *s = &e->selectors;
	uint32_t *v = s->values + s->nvalues, n = 0;
	for (size_t i = 0; i < q->n; i++) {
		uint32_t atom = engine_word(e->p, q->values[i]);
		if (atom == INTERN_NONE)
			out->others = true;
		else
			v[n++] = atom;
	}
	sort(v, n);
	for (uint32_t i = 0; i < n; i++)
		if (out->n == 0 || v[out->n - 1] != v[i])
			v[out->n++] = v[i];
	out->values = v;
	s->nvalues += out->n;
}

static void read_selector(
    struct engine *e, const struct access_requirement *q, size_t n, struct asked_list *out)
{
	out->n = 0;
	for (size_t i = 0; i < n && out->n < ENGINE_REQUIREMENTS; i++) {
		struct asked a = {.key = engine_word(e->p, q[i].key)};
		if (a.key == INTERN_NONE || !parse_op(&q[i], &a.op) ||
		    q[i].n > ENGINE_VALUES - e->selectors.nvalues)
			continue;
		read_values(e, &q[i], &a);
		out->v[out->n++] = a;
	}
}

void engine_selectors_init(struct engine *e)
{
	const struct access_request *r = e->r;
	e->selectors.nvalues = 0;
	read_selector(e, r->field_selector, r->nfield, &e->selectors.fields);
	read_selector(e, r->label_selector, r->nlabel, &e->selectors.labels);
}

/* --- sets: V of the request, P of the rule --- */

static bool holds(const uint32_t *v, uint32_t n, uint32_t atom)
{
	return atom_set_has(&(struct atom_set){.v = v, .n = n}, atom);
}

/* Is each of the N words V among the M words W? */
static bool all_in(const uint32_t *v, uint32_t n, const uint32_t *w, uint32_t m)
{
	if (n > m)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (!holds(w, m, v[i]))
			return false;
	return true;
}

static bool within(const struct asked *q, const struct requirement *p)
{
	return !q->others && all_in(q->values, q->n, p->atoms, p->n);
}

static bool contains(const struct asked *q, const struct requirement *p)
{
	return all_in(p->atoms, p->n, q->values, q->n);
}

static bool apart(const struct asked *q, const struct requirement *p)
{
	bool fewer = q->n < p->n;
	const uint32_t *few = fewer ? q->values : p->atoms, *many = fewer ? p->atoms : q->values;
	uint32_t nfew = fewer ? q->n : p->n, nmany = fewer ? p->n : q->n;
	for (uint32_t i = 0; i < nfew; i++)
		if (holds(many, nmany, few[i]))
			return false;
	return true;
}

/* Does each object that Q selects satisfy P? A label that is absent is not in any list. */
static bool implies(const struct asked *q, const struct requirement *p)
{
	switch (p->op) {
	case REQUIREMENT_IN:
		return q->op == REQUIREMENT_IN && within(q, p);
	case REQUIREMENT_NOT_IN:
		return q->op == REQUIREMENT_DOES_NOT_EXIST ||
		       (q->op == REQUIREMENT_IN && apart(q, p)) ||
		       (q->op == REQUIREMENT_NOT_IN && contains(q, p));
	case REQUIREMENT_EXISTS:
		return q->op == REQUIREMENT_IN || q->op == REQUIREMENT_EXISTS;
	case REQUIREMENT_DOES_NOT_EXIST:
		return q->op == REQUIREMENT_DOES_NOT_EXIST;
	}
	return false;
}

/* Can no object satisfy both? */
static bool disjoint(const struct asked *q, const struct requirement *p)
{
	switch (p->op) {
	case REQUIREMENT_IN:
		return q->op == REQUIREMENT_DOES_NOT_EXIST ||
		       (q->op == REQUIREMENT_IN && apart(q, p)) ||
		       (q->op == REQUIREMENT_NOT_IN && contains(q, p));
	case REQUIREMENT_NOT_IN:
		return q->op == REQUIREMENT_IN && within(q, p);
	case REQUIREMENT_EXISTS:
		return q->op == REQUIREMENT_DOES_NOT_EXIST;
	case REQUIREMENT_DOES_NOT_EXIST:
		return q->op == REQUIREMENT_IN || q->op == REQUIREMENT_EXISTS;
	}
	return false;
}

/* All of the rule's requirements: each implied by one of the request's. No two are taken together. */
static bool covered(const struct asked_list *asked, const struct selector *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		bool one = false;
		for (uint32_t k = 0; k < asked->n && !one; k++)
			one =
			    asked->v[k].key == s->v[i].key_atom && implies(&asked->v[k], &s->v[i]);
		if (!one)
			return false;
	}
	return true;
}

static bool may_meet(const struct asked_list *asked, const struct selector *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		for (uint32_t k = 0; k < asked->n; k++)
			if (asked->v[k].key == s->v[i].key_atom && disjoint(&asked->v[k], &s->v[i]))
				return false;
	return true;
}

bool engine_selects(const struct asked_list *asked, const struct selector *s, bool wide)
{
	return wide ? may_meet(asked, s) : covered(asked, s);
}
