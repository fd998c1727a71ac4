/* Owns sharing: equal actions, lists of roles and sets of namespaces are one thing. Thousands of rules share a
 * handful, which stay in the processor's cache and can be told apart by their addresses. */
#include "policy/compile.h"

void *compile_same(struct compiler *c, const struct map *known, struct buf *key, struct slice *kept)
{
	void *same = map_get(known, buf_view(key));
	*kept = same ? (struct slice){0} : slice_dup(c->t->arena, buf_view(key));
	buf_done(key);
	return same;
}

struct slice compile_key(struct compiler *c, struct buf *key)
{
	struct slice s = slice_dup(c->t->arena, buf_view(key));
	buf_done(key);
	return s;
}

void compile_draft(struct compiler *c)
{
	arena_reset(&c->scratch);
	c->a = &c->scratch;
}

void compile_final(struct compiler *c)
{
	c->a = &c->p->arena;
}

/* --- keys --- */

void compile_key_atoms(struct buf *key, const uint32_t *v, uint32_t n)
{
	buf_add(key, &n, sizeof(n));
	buf_add(key, v, n * sizeof(*v));
}

void compile_key_text(struct buf *key, struct slice text)
{
	buf_add(key, &text.len, sizeof(text.len));
	buf_slice(key, text);
}

static void key_set(struct buf *key, const struct atom_set *s)
{
	buf_addc(key, s->any);
	compile_key_atoms(key, s->v, s->n);
}

static void key_globs(struct buf *key, const struct glob_list *l)
{
	buf_add(key, &l->n, sizeof(l->n));
	for (uint32_t i = 0; i < l->n; i++)
		compile_key_text(key, l->v[i]);
}

static void key_action(struct buf *b, const struct action *a)
{
	buf_init(b, SIZE_MAX / 2);
	buf_addc(b, a->resource);
	key_set(b, &a->verbs);
	key_set(b, &a->groups);
	key_set(b, &a->names);
	key_globs(b, &a->name_globs);
	compile_key_selector(b, &a->fields);
	compile_key_selector(b, &a->labels);
	buf_add(b, &a->nforms, sizeof(a->nforms));
	buf_add(b, a->forms, a->nforms * sizeof(*a->forms));
	for (uint32_t i = 0; i < a->nurls; i++) {
		buf_addc(b, a->urls[i].prefix);
		compile_key_text(b, a->urls[i].text);
	}
}

/* --- copies --- */

static void *copy(struct compiler *c, const void *v, size_t n, size_t size)
{
	if (n == 0)
		return NULL;
	return memcpy(arena_calloc(&c->p->arena, n, size), v, n * size);
}

static struct atom_set copy_set(struct compiler *c, struct atom_set s)
{
	return (struct atom_set){copy(c, s.v, s.n, sizeof(*s.v)), s.n, s.any};
}

static struct glob_list copy_globs(struct compiler *c, struct glob_list l)
{
	struct slice *v = copy(c, l.v, l.n, sizeof(*v));
	for (uint32_t i = 0; i < l.n; i++)
		v[i] = slice_dup(&c->p->arena, v[i]);
	return (struct glob_list){v, l.ids ? copy(c, l.ids, l.n, sizeof(*l.ids)) : NULL, l.n};
}

/* The texts of selectors are those of the table of words. */
static struct selector copy_selector(struct compiler *c, struct selector s)
{
	struct requirement *v = copy(c, s.v, s.n, sizeof(*v));
	for (uint32_t i = 0; i < s.n; i++) {
		v[i].values = copy(c, v[i].values, v[i].n, sizeof(*v[i].values));
		v[i].atoms = copy(c, v[i].atoms, v[i].n, sizeof(*v[i].atoms));
	}
	return (struct selector){v, s.n};
}

static struct url_form *copy_urls(struct compiler *c, const struct action *a)
{
	struct url_form *urls = copy(c, a->urls, a->nurls, sizeof(*urls));
	for (uint32_t i = 0; i < a->nurls; i++)
		urls[i].text = slice_dup(&c->p->arena, urls[i].text);
	return urls;
}

static uint32_t mask_of(const struct atom_set *s)
{
	uint32_t mask = s->any ? LIST_BITS_ANY : 0;
	for (uint32_t i = 0; i < s->n; i++)
		mask |= list_bit(s->v[i]);
	return mask;
}

/* Paths have no API group: any will do. */
static void set_masks(struct action *a)
{
	a->masks = (struct list_masks){.resources = a->resource ? 0 : LIST_BIT_PATH,
	    .groups = a->resource ? mask_of(&a->groups) : LIST_BITS_ANY,
	    .verbs = mask_of(&a->verbs)};
	for (uint32_t i = 0; i < a->nforms; i++)
		a->masks.resources |= a->forms[i].resource == ATOM_ANY
					  ? LIST_BITS_ANY
					  : list_bit(a->forms[i].resource);
}

static struct action *copy_action(struct compiler *c, const struct action *a)
{
	struct action *out = ARENA_NEW(&c->p->arena, struct action);
	*out = *a;
	out->verbs = copy_set(c, a->verbs);
	out->groups = copy_set(c, a->groups);
	out->names = copy_set(c, a->names);
	out->name_globs = copy_globs(c, a->name_globs);
	out->fields = copy_selector(c, a->fields);
	out->labels = copy_selector(c, a->labels);
	out->forms = copy(c, a->forms, a->nforms, sizeof(*a->forms));
	out->urls = copy_urls(c, a);
	set_masks(out);
	return out;
}

/* --- shared --- */

const struct action *compile_share_action(struct compiler *c, const struct action *a)
{
	struct buf b;
	struct slice key;
	key_action(&b, a);
	struct action *same = compile_same(c, &c->actions, &b, &key);
	if (!same) {
		same = copy_action(c, a);
		map_put(&c->actions, key, same);
	}
	compile_final(c);
	return same;
}

const struct ns_set *compile_share_namespaces(struct compiler *c, const struct ns_set *set)
{
	struct buf b;
	struct slice key;
	buf_init(&b, SIZE_MAX / 2);
	key_set(&b, &set->include);
	key_set(&b, &set->exclude);
	key_globs(&b, &set->include_globs);
	key_globs(&b, &set->exclude_globs);
	struct ns_set *same = compile_same(c, &c->places, &b, &key);
	if (!same) {
		same = ARENA_NEW(&c->p->arena, struct ns_set);
		same->include = copy_set(c, set->include);
		same->exclude = copy_set(c, set->exclude);
		same->include_globs = copy_globs(c, set->include_globs);
		same->exclude_globs = copy_globs(c, set->exclude_globs);
		map_put(&c->places, key, same);
	}
	compile_final(c);
	return same;
}

void compile_shape(
    struct compiler *c, const struct action_list *lists, uint32_t n, struct rule *out)
{
	struct buf b;
	struct slice key;
	buf_init(&b, SIZE_MAX / 2);
	for (uint32_t i = 0; i < n; i++) {
		buf_add(&b, &lists[i].n, sizeof(lists[i].n));
		buf_add(&b, lists[i].v, lists[i].n * sizeof(lists[i].v[0]));
	}
	struct action_list *shape = compile_same(c, &c->shapes, &b, &key);
	if (!shape) {
		shape = copy(c, lists, n, sizeof(*lists));
		for (uint32_t i = 0; i < n; i++)
			shape[i].v = copy(c, lists[i].v, lists[i].n, sizeof(lists[i].v[0]));
		map_put(&c->shapes, key, shape);
	}
	out->roles = shape;
	out->nroles = n;
}
