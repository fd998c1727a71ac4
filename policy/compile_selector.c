/* Owns compiling of selectors: of rules to numbers and sorted values, of tests to texts. */
#include <stdlib.h>

#include "common/clock.h"
#include "policy/compile.h"

static void compile_values(
    struct compiler *c, const struct string_list *list, struct requirement *out)
{
	struct slice *values = ARENA_ARRAY(c->a, struct slice, list->len);
	uint32_t *atoms = ARENA_ARRAY(c->a, uint32_t, list->len);
	uint32_t n = 0;
	for (size_t i = 0; i < list->len; i++)
		values[i] = slice_of(list->items[i]);
	if (list->len > 1)
		qsort(values, list->len, sizeof(*values), slice_order);
	for (size_t i = 0; i < list->len; i++)
		if (n == 0 || !slice_eq(values[n - 1], values[i]))
			values[n++] = values[i];
	for (uint32_t i = 0; i < n; i++) {
		atoms[i] = compile_intern(c, &c->p->words, values[i]);
		values[i] = c->p->words.texts[atoms[i]];
	}
	out->values = values;
	out->n = n;
	out->atoms = compile_set(atoms, n).v;
}

struct selector compile_selector(struct compiler *c, const struct ast_selector *s)
{
	static const enum requirement_op ops[] = {[AST_IN] = REQUIREMENT_IN,
	    [AST_NOT_IN] = REQUIREMENT_NOT_IN,
	    [AST_EXISTS] = REQUIREMENT_EXISTS,
	    [AST_DOES_NOT_EXIST] = REQUIREMENT_DOES_NOT_EXIST};
	const struct ast_requirement *q = s->requirements.items;
	struct requirement *v = ARENA_ARRAY(c->a, struct requirement, s->requirements.len);
	for (size_t i = 0; i < s->requirements.len; i++) {
		v[i].key_atom = compile_intern(c, &c->p->words, slice_of(q[i].key));
		v[i].key = c->p->words.texts[v[i].key_atom];
		v[i].op = ops[q[i].op];
		compile_values(c, &q[i].values, &v[i]);
	}
	return (struct selector){v, (uint32_t)s->requirements.len};
}

void compile_key_selector(struct buf *key, const struct selector *s)
{
	buf_add(key, &s->n, sizeof(s->n));
	for (uint32_t i = 0; i < s->n; i++) {
		buf_addc(key, (char)s->v[i].op);
		compile_key_atoms(key, &s->v[i].key_atom, 1);
		compile_key_atoms(key, s->v[i].atoms, s->v[i].n);
	}
}

/* --- tests --- */

static struct slice text_of(struct compiler *c, const struct yaml_node *n)
{
	return slice_dup(&c->p->arena, n->text);
}

static void compile_extra(struct compiler *c, const struct yaml_node *node, struct policy_test *out)
{
	struct policy_extra *extra = ARENA_ARRAY(&c->p->arena, struct policy_extra, node->len);
	for (size_t i = 0; i < node->len; i++) {
		const struct yaml_node *list = node->pairs[i].value;
		struct slice *values = ARENA_ARRAY(&c->p->arena, struct slice, list->len);
		for (size_t k = 0; k < list->len; k++)
			values[k] = text_of(c, list->items[k]);
		extra[i] = (struct policy_extra){
		    slice_dup(&c->p->arena, node->pairs[i].key), values, list->len};
	}
	out->extra = extra;
	out->nextra = node->len;
}

void compile_test_details(struct compiler *c, const struct ast_test *t, struct policy_test *out)
{
	out->timed = t->at && clock_parse_rfc3339(slice_of(t->at), &out->at);
	out->fields = compile_selector(c, &t->can.fields);
	out->labels = compile_selector(c, &t->can.labels);
	if (t->as.extra)
		compile_extra(c, t->as.extra, out);
}
