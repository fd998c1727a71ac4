/* Owns the compiled form of `valid` and `breakGlass`: windows, each once. */
#include "policy/compile.h"

/* The tree's zones die with it. */
static const struct zone *own_zone(struct compiler *c, const struct zone *z)
{
	if (!z)
		return NULL;
	struct zone *own = map_get(&c->zones, slice_of(z->name));
	if (own)
		return own;
	own = zone_copy(&c->p->arena, z);
	map_put(&c->zones, slice_of(own->name), own);
	return own;
}

static void key_span(struct buf *key, const struct window_spec *s)
{
	buf_add(key, &s->from, sizeof(s->from));
	buf_add(key, &s->until, sizeof(s->until));
	compile_key_text(key, slice_of(s->zone ? s->zone->name : ""));
	buf_addc(key, (char)s->days);
	for (uint32_t i = 0; i < s->nhours; i++) {
		buf_add(key, &s->hours[i].from, sizeof(s->hours[i].from));
		buf_add(key, &s->hours[i].until, sizeof(s->hours[i].until));
	}
}

static struct slice window_key(struct compiler *c, const struct ast_valid *v)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	buf_addc(&b, v->except.present);
	buf_addc(&b, (char)v->in.spec.nhours);
	key_span(&b, &v->in.spec);
	if (v->except.present)
		key_span(&b, &v->except.spec);
	return compile_key(c, &b);
}

static void add_window(struct compiler *c, const struct window *w)
{
	struct policy *p = c->p;
	size_t n = p->nwindows;
	ARENA_ROOM(&p->arena, p->windows, n, c->window_cap, 8);
	p->windows[p->nwindows++] = w;
}

static const struct window *compile_window(struct compiler *c, const struct ast_valid *v)
{
	struct slice key = window_key(c, v);
	struct window *w = map_get(&c->windows, key);
	if (w)
		return w;
	struct window_spec in = v->in.spec, except = v->except.spec;
	in.zone = own_zone(c, in.zone);
	except.zone = own_zone(c, except.zone);
	w = window_new(&c->p->arena, &in, v->except.present ? &except : NULL);
	map_put(&c->windows, key, w);
	add_window(c, w);
	return w;
}

static const struct break_glass *compile_break_glass(
    struct compiler *c, const struct ast_break_glass *b, int64_t until)
{
	struct arena *a = &c->p->arena;
	const char **names = ARENA_ARRAY(a, const char *, b->approved_by.len);
	for (size_t i = 0; i < b->approved_by.len; i++)
		names[i] = arena_strdup(a, b->approved_by.items[i]);
	struct break_glass *out = ARENA_NEW(a, struct break_glass);
	*out = (struct break_glass){.ticket = arena_strdup(a, b->ticket),
	    .approved_by = names,
	    .napproved = (uint32_t)b->approved_by.len,
	    .until = until};
	return out;
}

void compile_valid(struct compiler *c, const struct ast_rule *r, struct rule *out)
{
	if (r->valid.present)
		out->valid = compile_window(c, &r->valid);
	if (r->break_glass.present)
		out->break_glass =
		    compile_break_glass(c, &r->break_glass, r->valid.in.spec.until);
}
