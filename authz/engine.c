/* Owns the decision: a pure function of policy and request, without allocation. The way through the index is told in
 * policy/index.h. */
#include "authz/engine.h"

/* --- the request in numbers --- */

/* How many sets have a bit: those that keys lead to, as far as there are bits. */
static uint32_t marked_sets(const struct policy *p)
{
	return p->lists.nlisted < ENGINE_SETS ? p->lists.nlisted : ENGINE_SETS;
}

static uint32_t group_atom(const struct engine *e, size_t i)
{
	return i < ENGINE_GROUPS ? e->groups[i] : intern_find(&e->p->groups, e->r->groups[i]);
}

/* Calls FN for each key under which rules may name the subject; a key may come more than once. */
typedef void key_fn(void *ctx, uint32_t key);

static inline void each_glob(const struct engine *e, const struct globset *set,
    enum subject_kind kind, struct slice text, key_fn *fn, void *ctx)
{
	if (!globset_may(set, text))
		return;
	struct glob_cursor c = globset_search(set, text);
	uint32_t pattern;
	while (globset_next(&c, &pattern))
		fn(ctx, e->p->lists.base[kind] + pattern);
}

static inline void each_key(const struct engine *e, key_fn *fn, void *ctx)
{
	const struct policy *p = e->p;
	fn(ctx, p->lists.base[SUBJECT_EVERYONE]);
	if (e->user)
		fn(ctx, p->lists.base[SUBJECT_USER] + e->user);
	each_glob(e, &p->user_globs, SUBJECT_USER_GLOB, e->r->user, fn, ctx);
	if (e->service_account)
		each_glob(e, &p->sa_globs, SUBJECT_SA_GLOB, e->r->user, fn, ctx);
	for (size_t i = 0; i < e->r->ngroups; i++) {
		uint32_t group = group_atom(e, i);
		if (group)
			fn(ctx, p->lists.base[SUBJECT_GROUP] + group);
		if (!group || !p->lists.linked)
			each_glob(e, &p->group_globs, SUBJECT_GROUP_GLOB, e->r->groups[i],
			    fn, ctx);
	}
}

/* A key none of whose rules is about a place of the request is not kept. */
static inline void keep_key(struct engine *e, uint32_t key)
{
	if (!(e->p->lists.keys[key].places & e->place_bits))
		return;
	if (e->nkeys < ENGINE_KEYS)
		e->keys[e->nkeys] = key;
	e->nkeys++;
}

/* False when SET was marked before: then it need not be looked at again. Sets without a bit may come again, which
 * does no harm. */
static bool mark(struct engine *e, uint32_t set)
{
	uint64_t bit = UINT64_C(1) << (set % 64);
	if (set >= ENGINE_SETS)
		return true;
	if (e->marks[set / 64] & bit)
		return false;
	e->marks[set / 64] |= bit;
	return true;
}

static void find_leads(struct engine *e, const struct posting *leads)
{
	const struct lists *l = &e->p->lists;
	for (uint32_t i = 0; i < leads->n; i++) {
		uint32_t lead = l->leads[leads->first + i];
		if (!(lead & LIST_PATTERN)) {
			if (mark(e, lead))
				keep_key(e, l->base[SUBJECT_SET] + lead);
		} else if (lead != e->recent) {
			uint32_t key = lead & ~LIST_PATTERN;
			e->recent = lead;
			keep_key(e, key);
			find_leads(e, &l->keys[key].leads); /* those are sets */
		}
	}
}

static inline void find_key(void *ctx, uint32_t key)
{
	struct engine *e = ctx;
	const struct posting *leads = &e->p->lists.keys[key].leads;
	keep_key(e, key);
	if (leads->n)
		find_leads(e, leads);
}

static void add_place(struct engine *e, enum place_kind kind, uint32_t number)
{
	if (!(e->p->lists.places >> kind & 1))
		return;
	e->place_bits |= list_place_bit(LIST_KEY(kind, number));
	if (e->nplaces < ENGINE_PLACES)
		e->places[e->nplaces] = LIST_KEY(kind, number);
	e->nplaces++;
}

static void find_places(struct engine *e)
{
	const struct policy *p = e->p;
	add_place(e, PLACE_ALL, 0);
	if (!e->r->resource_request) {
		add_place(e, PLACE_PATHS, 0);
		return;
	}
	if (e->r->namespace_.len == 0) {
		add_place(e, PLACE_CLUSTER, 0);
		add_place(e, PLACE_WIDE, 0);
		return;
	}
	add_place(e, PLACE_CLUSTER, 0);
	add_place(e, PLACE_OTHER, 0);
	if (e->namespace_)
		add_place(e, PLACE_WORD, e->namespace_);
	if (p->place_globs.n) {
		struct glob_cursor c = globset_search(&p->place_globs, e->r->namespace_);
		uint32_t pattern;
		while (globset_next(&c, &pattern))
			add_place(e, PLACE_GLOB, pattern);
	}
}

static void add_anchor(struct engine *e, enum anchor_kind kind, uint32_t number)
{
	if (e->p->lists.anchors >> kind & 1)
		e->anchors[e->nanchors++] = LIST_KEY(kind, number);
}

static void add_parts(struct engine *e, uint32_t resource, uint32_t sub)
{
	add_anchor(e, ANCHOR_RESOURCE, list_pair(resource, sub));
	if (e->name == e->p->empty)
		add_anchor(e, ANCHOR_UNNAMED, list_pair(resource, sub));
	add_anchor(e, ANCHOR_SUBS, resource);
	add_anchor(e, ANCHOR_SUB, sub);
}

static void find_anchors(struct engine *e)
{
	e->nanchors = 0;
	add_anchor(e, ANCHOR_ANY, e->r->resource_request ? 0 : 1);
	e->bits = (struct list_masks){LIST_BIT_PATH, LIST_BITS_ANY, list_bit(e->verb)};
	if (!e->r->resource_request)
		return;
	e->bits.resources = list_bit(e->resource);
	e->bits.groups = list_bit(e->api_group);
	add_parts(e, e->resource, e->sub);
	if (e->divided.is) {
		e->bits.resources |= list_bit(e->divided.resource);
		add_parts(e, e->divided.resource, e->divided.sub);
	}
	add_anchor(e, ANCHOR_NAME, e->name);
	add_anchor(e, ANCHOR_GROUP, e->api_group);
	add_anchor(e, ANCHOR_VERB, e->verb);
}

/* No apiserver asks so, but whoever asks for himself may: RBAC compares resource and subresource as one text, and
 * a deny must not be walked around by writing them as one. */
static void divide(struct engine *e)
{
	struct slice resource = e->r->resource, sub = e->r->subresource;
	size_t slash = slice_find(resource, '/');
	struct slice rest = slice_skip(resource, slash + 1);
	e->divided = (struct engine_divided){.is = slash < resource.len};
	if (!e->divided.is) {
		e->divided.resource = e->resource;
		e->divided.sub = e->sub;
		return;
	}
	e->divided.star = slash == 1 && resource.p[0] == '*';
	e->divided.resource = engine_word(e->p, (struct slice){resource.p, slash});
	if (sub.len == 0) {
		e->divided.sub = engine_word(e->p, rest);
	} else if (rest.len + 1 + sub.len <= ENGINE_SUB_MAX) {
		char both[ENGINE_SUB_MAX];
		if (rest.len) /* `pods/`: no pointer either */
			memcpy(both, rest.p, rest.len);
		both[rest.len] = '/';
		memcpy(both + rest.len + 1, sub.p, sub.len);
		e->divided.sub = engine_word(e->p, (struct slice){both, rest.len + 1 + sub.len});
	}
}

void engine_init(struct engine *e, const struct policy *p, const struct access_request *r)
{
	/* Not the whole struct: of the arrays only what was written is read. */
	e->p = p;
	e->r = r;
	e->user = intern_find(&p->users, r->user);
	e->verb = engine_word(p, r->verb);
	e->api_group = e->resource = e->sub = e->name = e->namespace_ = INTERN_NONE;
	e->service_account = policy_is_service_account(r->user);
	e->nkeys = e->nplaces = 0;
	e->place_bits = 0;
	e->recent = 0;
	memset(e->marks, 0, (marked_sets(p) + 63) / 64 * sizeof(e->marks[0]));
	intern_find_all(&p->groups, r->groups,
	    r->ngroups < ENGINE_GROUPS ? r->ngroups : ENGINE_GROUPS, e->groups);
	if (r->resource_request) {
		e->api_group = engine_word(p, r->api_group);
		e->resource = engine_word(p, r->resource);
		e->sub = engine_word(p, r->subresource);
		e->name = engine_word(p, r->name);
		e->namespace_ = engine_word(p, r->namespace_);
		divide(e);
	}
	engine_selectors_init(e);
	find_places(e);
	find_anchors(e);
	each_key(e, find_key, e);
}

/* --- subjects --- */

static bool set_has_group(const struct engine *e, const struct subject_set *s)
{
	for (size_t i = 0; i < e->r->ngroups; i++) {
		if (s->groups.n && atom_set_has(&s->groups, group_atom(e, i)))
			return true;
		if (s->group_globs.n && glob_list_has(&s->group_globs, e->r->groups[i]))
			return true;
	}
	return false;
}

static bool set_has(const struct engine *e, const struct subject_set *s)
{
	if (!s)
		return false;
	if (s->id < marked_sets(e->p))
		return e->marks[s->id / 64] >> (s->id % 64) & 1;
	if (s->everyone || atom_set_has(&s->users, e->user) ||
	    glob_list_has(&s->user_globs, e->r->user))
		return true;
	if (e->service_account && glob_list_has(&s->sa_globs, e->r->user))
		return true;
	return set_has_group(e, s);
}

bool engine_subjects(const struct engine *e, const struct subjects *s)
{
	return set_has(e, s->own) || set_has(e, s->alias);
}

bool engine_names(const struct engine *e, const struct rule *rule)
{
	if ((rule->also.own || rule->also.alias) && !engine_subjects(e, &rule->also))
		return false;
	return engine_subjects(e, &rule->subjects);
}

/* --- the search --- */

/* For the rule of the lowest rank from LO to before BEST that matches. */
struct search {
	const struct engine *e;
	uint32_t lo, best;
};

/* RULE's subjects are known to name who asks. */
static bool rule_matches(const struct engine *e, const struct rule *rule)
{
	if (engine_action(e, rule) != DIM_NONE || engine_subjects(e, &rule->except))
		return false;
	return (!rule->also.own && !rule->also.alias) || engine_subjects(e, &rule->also);
}

static void try_rule(struct search *s, const struct ranked *r, uint32_t rank)
{
	if (rule_matches(s->e, &s->e->p->rules[r->rule]))
		s->best = rank;
}

static inline void try_rank(struct search *s, uint32_t rank)
{
	const struct ranked *r = &s->e->p->lists.ranks[rank];
	const struct list_masks *bits = &s->e->bits;
	if (r->masks.resources & bits->resources && r->masks.groups & bits->groups &&
	    r->masks.verbs & bits->verbs)
		try_rule(s, r, rank);
}

/* The first entry of LIST not before FROM. */
static inline uint32_t lower_bound(const uint64_t *v, uint32_t n, uint64_t from)
{
	const uint64_t *at = v;
	if (n == 0)
		return 0;
	for (; n > 1; n -= n / 2)
		at += at[n / 2 - 1] < from ? n / 2 : 0;
	return (uint32_t)(at - v) + (*at < from);
}

/* The ranks that a long run has for the request. */
static void search_long(struct search *s, const struct long_run *run)
{
	const uint64_t *v = s->e->p->lists.entries + run->first;
	for (uint32_t i = 0; i < s->e->nanchors; i++) {
		if (!(run->kinds >> LIST_KIND(s->e->anchors[i]) & 1))
			continue;
		uint32_t at = lower_bound(v, run->n, LIST_ENTRY(s->e->anchors[i], s->lo));
		for (; at < run->n && v[at] < LIST_ENTRY(s->e->anchors[i], s->best); at++)
			try_rank(s, (uint32_t)v[at]);
	}
}

static inline void search_entry(struct search *s, uint64_t entry)
{
	uint32_t rank = (uint32_t)entry;
	if (rank & LIST_LONG)
		search_long(s, &s->e->p->lists.runs[rank & ~LIST_LONG]);
	else if (rank >= s->lo && rank < s->best)
		try_rank(s, rank);
}

static inline void search_place(struct search *s, const uint64_t *v, uint32_t n, uint32_t place)
{
	uint32_t at = v[0] >> 32 == place && v[0] >= LIST_ENTRY(place, s->lo)
			  ? 0
			  : lower_bound(v, n, LIST_ENTRY(place, s->lo));
	for (; at < n && v[at] >> 32 == place; at++)
		search_entry(s, v[at]);
}

static inline bool in_place(const struct engine *e, uint32_t place)
{
	if (!(e->place_bits & list_place_bit(place)))
		return false;
	if (e->nplaces > ENGINE_PLACES)
		return true;
	for (uint32_t i = 0; i < e->nplaces; i++)
		if (e->places[i] == place)
			return true;
	return false;
}

/* Lists up to this long are gone through; in longer ones each place is looked up. */
#define SHORT_LIST 24

static inline void search_key(struct search *s, uint32_t key)
{
	const struct engine *e = s->e;
	const struct subject_key *k = &e->p->lists.keys[key];
	const struct posting *list = &k->rules;
	const uint64_t *v = e->p->lists.entries + list->first;
	if (list->n <= SHORT_LIST) {
		for (uint32_t i = 0; i < list->n; i++)
			if (in_place(e, (uint32_t)(v[i] >> 32)))
				search_entry(s, v[i]);
	} else if (e->nplaces > ENGINE_PLACES) {
		for (uint32_t i = 0; i < list->n; i++)
			search_entry(s, v[i]);
	} else {
		for (uint32_t i = 0; i < e->nplaces; i++)
			if (k->places & list_place_bit(e->places[i]))
				search_place(s, v, list->n, e->places[i]);
	}
}

/* As find_key, for a subject with more keys than are kept. */
static void search_found(void *ctx, uint32_t key)
{
	struct search *s = ctx;
	const struct lists *l = &s->e->p->lists;
	const struct posting *leads = &l->keys[key].leads;
	if (l->keys[key].places & s->e->place_bits)
		search_key(s, key);
	for (uint32_t i = 0; i < leads->n; i++) {
		uint32_t lead = l->leads[leads->first + i];
		if (lead & LIST_PATTERN)
			search_found(s, lead & ~LIST_PATTERN);
		else
			search_key(s, l->base[SUBJECT_SET] + lead);
	}
}

/* The first rule, by class and place, of the classes FIRST to LAST that matches; NULL: none. What a stronger class
 * has decided, a weaker one cannot change: ranks are in that order. */
static const struct rule *search(
    const struct engine *e, enum rule_class first, enum rule_class last)
{
	const struct policy *p = e->p;
	struct search s = {.e = e, .lo = p->first_rank[first], .best = p->first_rank[last + 1]};
	uint32_t end = s.best;
	if (s.lo == end)
		return NULL;
	for (uint32_t i = 0; i < e->nkeys && i < ENGINE_KEYS; i++)
		search_key(&s, e->keys[i]);
	if (e->nkeys > ENGINE_KEYS)
		each_key(e, search_found, &s);
	return s.best < end ? &p->rules[p->lists.ranks[s.best].rule] : NULL;
}

/* --- the decision --- */

/* Whom no deny may touch, the default may not deny either. */
static enum verdict verdict_of(const struct policy *p, const struct rule *by, bool exempt)
{
	if (by)
		return effect_verdict(by->effect);
	return p->default_deny && !exempt ? VERDICT_DENY : VERDICT_NO_OPINION;
}

/* A shadow rule counts only where it is stronger than what decided: else the answer stays. */
static void find_shadow(const struct engine *e, const struct rule *by, struct decision *out)
{
	enum rule_class first = out->exempt ? CLASS_SHADOW_ALLOW : CLASS_SHADOW_DENY;
	enum rule_class end = CLASS_SHADOW_DENY + (by ? rule_class(by) : CLASS_COUNT);
	const struct rule *shadow = end > first ? search(e, first, end - 1) : NULL;
	if (!shadow || verdict_of(e->p, shadow, out->exempt) == out->verdict)
		return;
	out->shadow = (struct shadow_decision){.differs = true,
	    .verdict = verdict_of(e->p, shadow, out->exempt),
	    .rule = shadow->id,
	    .source = shadow->source};
}

static void decide(const struct engine *e, struct decision *out)
{
	const struct policy *p = e->p;
	const struct rule *by =
	    search(e, out->exempt ? CLASS_ALLOW : CLASS_DENY, CLASS_ALLOW);
	out->verdict = verdict_of(p, by, out->exempt);
	if (by) {
		out->effect = by->effect;
		out->rule = by->id;
		out->source = by->source;
		out->message = by->message;
		out->break_glass = by->break_glass;
	} else if (p->nclass[CLASS_NOTE]) {
		const struct rule *note = search(e, CLASS_NOTE, CLASS_NOTE);
		out->note = note ? note->message : NULL;
	}
	if (p->nclass[CLASS_SHADOW_DENY] | p->nclass[CLASS_SHADOW_ABSTAIN] |
	    p->nclass[CLASS_SHADOW_ALLOW])
		find_shadow(e, by, out);
}

void authz_evaluate(const struct policy *p, const struct access_request *r, struct decision *out)
{
	struct engine e UNINITIALIZED;
	engine_init(&e, p, r);
	*out = (struct decision){.exempt = engine_subjects(&e, &p->exempt)};
	decide(&e, out);
}
