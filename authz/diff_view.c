/* Owns the textual view of policies: people, actions and places whose meaning can be compared, and which
 * rules of one policy do what no rule of the other does. */
#include "authz/diff_view.h"

#include <stdlib.h>

struct builder {
	struct arena *a;
	const struct region_space *space;
	const struct view *v;
	struct map ids; /* content -> uint32_t *: both policies share it */
	struct map acts, places; /* pointer (and width) -> struct act *, struct words * pairs */
	uint32_t *nids;
	int64_t now;
};

/* --- texts --- */

static struct words words_of(struct arena *a, const struct intern *table,
    const struct atom_set *set, const struct glob_list *globs, bool empty_too)
{
	size_t n = set->n + (globs ? globs->n : 0) + empty_too, at = 0;
	struct pattern *v = ARENA_ARRAY(a, struct pattern, n);
	for (uint32_t i = 0; i < set->n; i++)
		v[at++] = (struct pattern){table->texts[set->v[i]], PATTERN_WORD};
	for (uint32_t i = 0; globs && i < globs->n; i++)
		v[at++] = (struct pattern){globs->v[i], PATTERN_GLOB};
	if (empty_too)
		v[at++] = (struct pattern){SLICE(""), PATTERN_WORD};
	return words_new(v, (uint32_t)at);
}

static const struct words *kept(struct arena *a, struct words w)
{
	struct words *out = ARENA_NEW(a, struct words);
	*out = w;
	return out;
}

static void key_words(struct buf *b, const struct words *w)
{
	buf_printf(b, "%d:", w ? (int)w->n : -1);
	for (uint32_t i = 0; w && i < w->n; i++) {
		buf_printf(b, "%d,%zu,", (int)w->v[i].kind, w->v[i].text.len);
		buf_slice(b, w->v[i].text);
	}
}

/* A number for the content in B, which is freed. */
static uint32_t id_of(struct builder *t, struct buf *b)
{
	uint32_t *id = map_get(&t->ids, buf_view(b));
	if (!id) {
		id = ARENA_NEW(t->a, uint32_t);
		*id = ++*t->nids;
		map_put(&t->ids, slice_dup(t->a, buf_view(b)), id);
	}
	buf_done(b);
	return *id;
}

/* --- people --- */

static void key_people(struct builder *t, struct crowd *c)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	buf_addc(&b, c->people.everyone ? 'E' : 'P');
	key_words(&b, &c->people.users);
	key_words(&b, &c->people.groups);
	c->id = id_of(t, &b);
}

static void add_set(
    struct builder *t, const struct subject_set *s, struct pattern **at, struct pattern **groups)
{
	const struct policy *p = t->v->p;
	for (uint32_t i = 0; i < s->users.n; i++)
		*(*at)++ = (struct pattern){p->users.texts[s->users.v[i]], PATTERN_WORD};
	for (uint32_t i = 0; i < s->user_globs.n; i++)
		*(*at)++ = (struct pattern){s->user_globs.v[i], PATTERN_GLOB};
	for (uint32_t i = 0; i < s->sa_globs.n; i++)
		*(*at)++ = (struct pattern){s->sa_globs.v[i], PATTERN_ACCOUNT};
	for (uint32_t i = 0; i < s->groups.n; i++)
		*(*groups)++ = (struct pattern){p->groups.texts[s->groups.v[i]], PATTERN_WORD};
	for (uint32_t i = 0; i < s->group_globs.n; i++)
		*(*groups)++ = (struct pattern){s->group_globs.v[i], PATTERN_GLOB};
}

static struct crowd *crowd_of(struct builder *t, const struct subject_set *const *sets, size_t n)
{
	struct crowd *c = ARENA_NEW(t->a, struct crowd);
	size_t users = 0, groups = 0;
	for (size_t i = 0; i < n; i++) {
		users += sets[i]->users.n + sets[i]->user_globs.n + sets[i]->sa_globs.n;
		groups += sets[i]->groups.n + sets[i]->group_globs.n;
		c->people.everyone |= sets[i]->everyone;
	}
	struct pattern *u = ARENA_ARRAY(t->a, struct pattern, users), *ends[2] = {u, NULL};
	struct pattern *g = ends[1] = ARENA_ARRAY(t->a, struct pattern, groups);
	for (size_t i = 0; i < n; i++)
		add_set(t, sets[i], &ends[0], &ends[1]);
	c->people.users = words_new(u, (uint32_t)users);
	c->people.groups = words_new(g, (uint32_t)groups);
	key_people(t, c);
	return c;
}

/* NULL: nobody is named. */
static struct crowd *subjects_crowd(struct builder *t, const struct subjects *s)
{
	const struct subject_set *both[2] = {s->own, s->alias};
	if (!s->own && !s->alias)
		return NULL;
	if (s->own && s->alias && s->own != s->alias)
		return crowd_of(t, both, 2);
	const struct subject_set *one = s->own ? s->own : s->alias;
	struct crowd **kept_one = &t->v->crowds[one->id];
	if (!*kept_one)
		*kept_one = crowd_of(t, &one, 1);
	return *kept_one;
}

static bool all_covered(const struct words *w, const struct words *of)
{
	for (uint32_t i = 0; i < of->n; i++)
		if (!words_cover(w, &of->v[i]))
			return false;
	return true;
}

bool people_cover(const struct people *w, const struct people *of)
{
	static const struct pattern all = {{"*", 1}, PATTERN_GLOB};
	if (w->everyone || words_cover(&w->users, &all))
		return true;
	return !of->everyone && all_covered(&w->users, &of->users) &&
	       all_covered(&w->groups, &of->groups);
}

bool people_broad(const struct people *p)
{
	static const struct pattern all = {{"*", 1}, PATTERN_GLOB};
	static const char *const kinds[] = {"system:authenticated", "system:unauthenticated",
	    "system:serviceaccounts"};
	if (p->everyone || words_cover(&p->users, &all) || words_cover(&p->groups, &all))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (words_have(&p->groups, slice_of(kinds[i])))
			return true;
	return false;
}

/* Past this many they are looked at as one: an alias may hold thousands of users. */
#define ATOMS_MAX 256

void view_atoms(struct view_rule *r, struct arena *a)
{
	const struct people *all = &r->subjects->people;
	uint32_t n = all->users.n + all->groups.n;
	if (r->atoms)
		return;
	const struct people **atoms = ARENA_ARRAY(a, const struct people *, n + 1);
	r->atoms = atoms;
	r->natoms = 1;
	atoms[0] = all;
	if (all->everyone || n <= 1 || n > ATOMS_MAX) {
		r->narrow = people_broad(all) ? NULL : all;
		return;
	}
	struct pattern *narrow = ARENA_ARRAY(a, struct pattern, n);
	uint32_t counts[2] = {0};
	for (uint32_t i = 0; i < n; i++) {
		struct people *one = ARENA_NEW(a, struct people);
		bool user = i < all->users.n;
		const struct pattern *p =
		    user ? &all->users.v[i] : &all->groups.v[i - all->users.n];
		*(user ? &one->users : &one->groups) =
		    (struct words){p, 1, p->kind == PATTERN_WORD};
		atoms[i] = one;
		if (!people_broad(one))
			narrow[counts[0] + counts[1]++] = *p;
		if (i + 1 == all->users.n) {
			counts[0] = counts[1];
			counts[1] = 0;
		}
	}
	r->natoms = n;
	if (counts[0] + counts[1] == 0)
		return;
	struct people *together = ARENA_NEW(a, struct people);
	together->users = words_new(narrow, counts[0]);
	together->groups = words_new(narrow + counts[0], counts[1]);
	r->narrow = together;
}

/* --- actions --- */

static const struct forms *forms_of(struct builder *t, const struct action *a)
{
	const struct policy *p = t->v->p;
	struct form *v = ARENA_ARRAY(t->a, struct form, a->nforms);
	struct forms *out = ARENA_NEW(t->a, struct forms);
	for (uint32_t i = 0; i < a->nforms; i++) {
		const struct resource_form *f = &a->forms[i];
		v[i].any_resource = f->resource == ATOM_ANY;
		if (!v[i].any_resource)
			v[i].resource = p->words.texts[f->resource];
		v[i].sub_kind = f->sub == ATOM_ANY    ? SUB_ANY
				: f->sub == ATOM_SOME ? SUB_SOME
						      : SUB_WORD;
		if (v[i].sub_kind == SUB_WORD)
			v[i].sub = p->words.texts[f->sub];
	}
	*out = (struct forms){v, a->nforms};
	return out;
}

static const struct words *paths_of(struct builder *t, const struct action *a)
{
	struct pattern *v = ARENA_ARRAY(t->a, struct pattern, a->nurls);
	for (uint32_t i = 0; i < a->nurls; i++) {
		v[i] = (struct pattern){
		    a->urls[i].text, a->urls[i].prefix ? PATTERN_PREFIX : PATTERN_WORD};
		if (a->urls[i].prefix && a->urls[i].text.len == 0)
			return NULL;
	}
	return kept(t->a, words_new(v, a->nurls));
}

static void fill_act(struct builder *t, const struct action *a, bool wide, struct act *out)
{
	const struct intern *table = &t->v->p->words;
	*out = (struct act){.resource = a->resource, .wide = wide};
	if (!a->verbs.any)
		out->words[REGION_VERB] =
		    kept(t->a, words_of(t->a, table, &a->verbs, NULL, false));
	if (!a->resource) {
		out->words[REGION_PATH] = paths_of(t, a);
		return;
	}
	if (!a->groups.any)
		out->words[REGION_GROUP] =
		    kept(t->a, words_of(t->a, table, &a->groups, NULL, false));
	if (!a->names.any)
		out->words[REGION_NAME] =
		    kept(t->a, words_of(t->a, table, &a->names, &a->name_globs, wide));
	out->forms = forms_of(t, a);
	out->fields = a->fields.n ? &a->fields : NULL;
	out->labels = a->labels.n ? &a->labels : NULL;
}

static void key_selector(struct buf *b, const struct selector *s)
{
	buf_printf(b, "S%d:", s ? (int)s->n : 0);
	for (uint32_t i = 0; s && i < s->n; i++) {
		buf_json(b, s->v[i].key);
		buf_printf(b, "%d,%u", (int)s->v[i].op, s->v[i].n);
		for (uint32_t k = 0; k < s->v[i].n; k++)
			buf_json(b, s->v[i].values[k]);
	}
}

static int form_cmp(const void *a, const void *b)
{
	const struct form *x = a, *y = b;
	if (x->any_resource != y->any_resource)
		return x->any_resource - y->any_resource;
	int c = slice_cmp(x->resource, y->resource);
	if (c == 0 && x->sub_kind != y->sub_kind)
		return (int)x->sub_kind - (int)y->sub_kind;
	return c ? c : slice_cmp(x->sub, y->sub);
}

static void key_act(struct builder *t, struct act *a)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	buf_printf(&b, "A%d%d", a->resource, a->wide);
	for (int d = 0; d < REGION_WORDS; d++)
		key_words(&b, a->words[d]);
	uint32_t n = a->forms ? a->forms->n : 0;
	struct form *sorted = ARENA_ARRAY(t->a, struct form, n + 1);
	if (n) {
		memcpy(sorted, a->forms->v, n * sizeof(*sorted));
		qsort(sorted, n, sizeof(*sorted), form_cmp);
	}
	for (uint32_t i = 0; i < n; i++) {
		buf_printf(&b, "F%d%d", sorted[i].any_resource, (int)sorted[i].sub_kind);
		buf_json(&b, sorted[i].resource);
		buf_json(&b, sorted[i].sub);
	}
	key_selector(&b, a->fields);
	key_selector(&b, a->labels);
	a->id = id_of(t, &b);
}

static struct slice pointer_key(struct builder *t, const void *p, bool flag)
{
	struct buf b;
	buf_init(&b, 64);
	buf_add(&b, &p, sizeof(p));
	buf_addc(&b, flag);
	struct slice key = slice_dup(t->a, buf_view(&b));
	buf_done(&b);
	return key;
}

static const struct act *act_of(struct builder *t, const struct action *action, bool wide)
{
	struct slice key = pointer_key(t, action, wide);
	struct act *a = map_get(&t->acts, key);
	if (a)
		return a;
	a = ARENA_NEW(t->a, struct act);
	fill_act(t, action, wide, a);
	key_act(t, a);
	map_put(&t->acts, key, a);
	return a;
}

static int act_cmp(const void *a, const void *b)
{
	const struct act *x = *(const struct act *const *)a, *y = *(const struct act *const *)b;
	return (x->id > y->id) - (x->id < y->id);
}

static void build_acts(struct builder *t, struct view_rule *r, bool wide)
{
	uint32_t n = 0, kept_n = 0;
	for (uint32_t i = 0; i < r->rule->nroles; i++)
		n += r->rule->roles[i].n;
	const struct act **v = ARENA_ARRAY(t->a, const struct act *, n);
	n = 0;
	for (uint32_t i = 0; i < r->rule->nroles; i++)
		for (uint32_t k = 0; k < r->rule->roles[i].n; k++)
			v[n++] = act_of(t, r->rule->roles[i].v[k], wide);
	if (n > 1)
		qsort(v, n, sizeof(*v), act_cmp);
	for (uint32_t i = 0; i < n; i++)
		if (kept_n == 0 || v[kept_n - 1]->id != v[i]->id)
			v[kept_n++] = v[i];
	r->acts = v;
	r->nacts = kept_n;
}

/* --- places --- */

static const struct words empty_text = {
    &(const struct pattern){{"", 0}, PATTERN_WORD}, 1, 1};

static const struct words *listed(struct builder *t, const struct ns_set *n, bool exclude)
{
	struct slice key = pointer_key(t, n, exclude);
	struct words *w = map_get(&t->places, key);
	if (w)
		return w;
	w = ARENA_NEW(t->a, struct words);
	*w = exclude ? words_of(t->a, &t->v->p->words, &n->exclude, &n->exclude_globs, true)
		     : words_of(t->a, &t->v->p->words, &n->include, &n->include_globs, false);
	map_put(&t->places, key, w);
	return w;
}

static void build_places(struct builder *t, struct view_rule *r, bool wide)
{
	unsigned table = t->space->one_table ? 1 : 1u << r->side;
	r->nplaces = 1;
	switch (r->rule->scope) {
	case SCOPE_ALL:
		return;
	case SCOPE_CLUSTER:
		r->places[0].in = &empty_text;
		r->places[1].scoped = table;
		break;
	case SCOPE_NAMESPACES:
		r->places[0].in = listed(t, r->rule->namespaces, false);
		r->places[0].out = listed(t, r->rule->namespaces, true);
		r->places[1] = (struct place){.in = &empty_text, .unscoped = table};
		break;
	}
	r->nplaces += wide;
}

/* --- rules --- */

size_t view_moments(const struct rule *r, int64_t now, int64_t out[VIEW_MOMENTS])
{
	size_t n = 0;
	int64_t t = now;
	while (r->valid && n < VIEW_MOMENTS) {
		t = window_next(r->valid, t);
		if (t == INT64_MAX || (n >= 2 && t - now > VIEW_HORIZON))
			break;
		out[n++] = t;
	}
	return n;
}

bool view_active(const struct rule *r, int64_t at, int64_t hold)
{
	int64_t until;
	if (!r->valid)
		return true;
	if (__builtin_add_overflow(at, hold, &until))
		until = INT64_MAX;
	return r->effect == POLICY_ALLOW ? window_covers(r->valid, at, until)
					 : window_meets(r->valid, at, until);
}

static void key_window(struct buf *b, const struct rule *r, int64_t now)
{
	int64_t moments[VIEW_MOMENTS];
	size_t n = view_moments(r, now, moments);
	if (!r->valid)
		return;
	buf_printf(b, "W%d", window_covers(r->valid, now, now));
	buf_i64(b, window_until(r->valid));
	for (size_t i = 0; i < n; i++) {
		buf_addc(b, ',');
		buf_i64(b, moments[i]);
	}
}

/* What a rule does, without its name, place in the file, or words to the user. */
static void build_key(struct builder *t, struct view_rule *r)
{
	struct buf b;
	const struct rule *rule = r->rule;
	buf_init(&b, SIZE_MAX / 2);
	buf_printf(&b, "%d%d,%u,%u,%u;", (int)rule->effect, rule->shadow,
	    r->subjects ? r->subjects->id : 0, r->also ? r->also->id : 0,
	    r->except ? r->except->id : 0);
	for (uint32_t i = 0; i < r->nacts; i++)
		buf_printf(&b, "%u,", r->acts[i]->id);
	/* Places are about resources alone. */
	bool resource = r->nacts && r->acts[0]->resource;
	for (uint32_t i = 0; resource && i < r->nplaces; i++) {
		key_words(&b, r->places[i].in);
		key_words(&b, r->places[i].out);
		buf_printf(&b, "%u/%u;", r->places[i].scoped, r->places[i].unscoped);
	}
	key_window(&b, rule, t->now);
	r->key = slice_dup(t->a, buf_view(&b));
	buf_done(&b);
}

static void build_side(struct builder *t, struct view *v)
{
	t->v = v;
	v->n = v->p->nrules;
	v->rules = ARENA_ARRAY(t->a, struct view_rule, v->n);
	v->crowds = ARENA_ARRAY(t->a, struct crowd *, v->p->nsets);
	v->exempt = subjects_crowd(t, &v->p->exempt);
	for (uint32_t i = 0; i < v->n; i++) {
		struct view_rule *r = &v->rules[i];
		const struct rule *rule = r->rule = &v->p->rules[i];
		bool wide = rule->effect != POLICY_ALLOW && !rule->exact;
		r->side = v->side;
		r->subjects = subjects_crowd(t, &rule->subjects);
		r->also = subjects_crowd(t, &rule->also);
		r->except = subjects_crowd(t, &rule->except);
		build_acts(t, r, wide);
		build_places(t, r, wide);
		build_key(t, r);
	}
}

static void mark_changed(const struct view *v, const struct view *other)
{
	struct map keys = {0};
	for (uint32_t i = 0; i < other->n; i++)
		map_put(&keys, other->rules[i].key, &other->rules[i]);
	for (uint32_t i = 0; i < v->n; i++)
		v->rules[i].changed = !map_get(&keys, v->rules[i].key);
	map_done(&keys);
}

void view_build(struct view views[2], const struct region_space *space, int64_t now, struct arena *a)
{
	uint32_t nids = 0;
	struct builder t = {.a = a, .space = space, .nids = &nids, .now = now};
	for (int side = 0; side < 2; side++) {
		views[side] = (struct view){.p = space->p[side], .side = side};
		build_side(&t, &views[side]);
		map_done(&t.acts);
		map_done(&t.places);
		t.acts = t.places = (struct map){0};
	}
	map_done(&t.ids);
	mark_changed(&views[0], &views[1]);
	mark_changed(&views[1], &views[0]);
}

/* --- conditions --- */

static void step(struct limit *steps, size_t *n, enum region_dim dim, const void *what, bool out)
{
	if (what)
		steps[(*n)++] =
		    (struct limit){.words = what, .dim = dim, .out = out};
}

static void about(const struct view_rule *r, const struct act *a, const struct place *at,
    struct limit *steps, size_t *n)
{
	if (a->resource) {
		step(steps, n, REGION_NAMESPACE, at->in, false);
		step(steps, n, REGION_NAMESPACE, at->out, true);
		if (at->scoped)
			steps[(*n)++] =
			    (struct limit){.scoped = at->scoped, .dim = REGION_SCOPED};
		if (at->unscoped)
			steps[(*n)++] = (struct limit){
			    .scoped = at->unscoped, .dim = REGION_SCOPED, .out = true};
		step(steps, n, REGION_GROUP, a->words[REGION_GROUP], false);
		step(steps, n, REGION_FORM, a->forms, false);
		step(steps, n, REGION_NAME, a->words[REGION_NAME], false);
	}
	step(steps, n, REGION_PATH, a->words[REGION_PATH], false);
	step(steps, n, REGION_VERB, a->words[REGION_VERB], false);
	size_t from = *n;
	step(steps, n, REGION_FIELDS, a->fields, false);
	step(steps, n, REGION_LABELS, a->labels, false);
	for (; from < *n; from++)
		steps[from].wide = a->wide;
	step(steps, n, REGION_PEOPLE, r->except ? &r->except->people : NULL, true);
}

size_t view_steps(const struct view *v, const struct view_rule *r, uint32_t act, uint32_t place,
    unsigned which, struct limit steps[VIEW_STEPS])
{
	size_t n = 0;
	if (which & VIEW_SUBJECTS) {
		step(steps, &n, REGION_PEOPLE, r->subjects ? &r->subjects->people : NULL, false);
		step(steps, &n, REGION_PEOPLE, r->also ? &r->also->people : NULL, false);
	}
	if (which & VIEW_ABOUT)
		about(r, r->acts[act], &r->places[place], steps, &n);
	if (which & VIEW_EXEMPT && r->rule->effect != POLICY_ALLOW && v->exempt)
		step(steps, &n, REGION_PEOPLE, &v->exempt->people, true);
	return n;
}
