/* Owns the comparison of two policies: which rules, exemptions and defaults can make a verdict flip, and
 * over which regions.
 *
 * A verdict flips only where a rule decides that only one policy has; or where a rule of both is put aside
 * for a subject that only one exempts; or where no rule decides and the defaults differ. So each rule that
 * changed is taken as the one that decides on its side, with each thing that may decide on the other side:
 * no rule, or a rule of another verdict. What rules about the same subjects decide otherwise is cut out of
 * the region, so that the cell says what really changes; what rules about other subjects may do to somebody
 * who belongs to both is left to the search for an example. */
#include <stdlib.h>

#include "authz/diff_run.h"

/* Moments looked at; weekly hours of many kinds have more. */
#define MOMENTS_MAX 96

/* Conditions laid over regions, in all; past that, rules that are left are not looked at but said to change
 * what they may. A few minutes. */
#define WORK_MAX UINT64_C(400000000)
#define LOOKS 8 /* rules that are looked at and passed by, for one unit of work */

/* One changed rule under analysis. */
struct task {
	struct diff_run *d;
	struct view_rule *x;
	int t; /* the other side */
	enum verdict v;
	const struct limit *extra; /* conditions on the people beside X's own, NEXTRA of them */
	size_t nextra;
	struct rule_list covering[2]; /* rules about all of the people looked at, by side */
};

static void flip_set(const struct task *k, enum verdict other, struct flip *f)
{
	f->v[k->x->side] = k->v;
	f->v[k->t] = other;
}

/* --- rules about the same people --- */

static bool covers(struct diff_run *d, struct crowd *c, const struct people *of)
{
	if (!c || c->stamp != d->stamp) {
		if (!c)
			return false;
		c->stamp = d->stamp;
		c->covers = people_cover(&c->people, of);
	}
	return c->covers;
}

static void find_covering(struct task *k, const struct people *of)
{
	struct diff_run *d = k->d;
	d->stamp++;
	d->space.work += (d->views[0].n + d->views[1].n) / LOOKS;
	for (int side = 0; side < 2; side++) {
		struct rule_list *list = &k->covering[side];
		list->n = 0;
		for (uint32_t i = 0; i < d->views[side].n; i++) {
			struct view_rule *r = &d->views[side].rules[i];
			if (r == k->x || !diff_usable(d, r) || !covers(d, r->subjects, of) ||
			    (r->also && !covers(d, r->also, of)))
				continue;
			ARENA_ROOM(&d->scratch, list->v, list->n, list->cap, 16);
			list->v[list->n++] = r;
		}
	}
}

/* What stronger rules of X's side decide; and what an earlier changed rule of X's kind already told. */
static void cut_own_side(struct task *k, struct region_list *list)
{
	const struct rule_list *rules = &k->covering[k->x->side];
	for (size_t i = 0; i < rules->n && list->n; i++) {
		const struct view_rule *r = rules->v[i];
		bool told = diff_class(r) == diff_class(k->x) && r->changed && k->x->changed &&
			    r < k->x;
		if (diff_class(r) < diff_class(k->x) || told)
			diff_subtract(k->d, list, r);
	}
}

static void cut_other_side(struct task *k, struct region_list *list, enum rule_class below)
{
	const struct rule_list *rules = &k->covering[k->t];
	for (size_t i = 0; i < rules->n && list->n; i++)
		if (diff_class(rules->v[i]) < below)
			diff_subtract(k->d, list, rules->v[i]);
}

/* --- no rule on the other side --- */

static void emit_all(struct task *k, const struct region_list *list, enum verdict other)
{
	struct flip f;
	flip_set(k, other, &f);
	for (size_t i = 0; i < list->n; i++)
		diff_emit(k->d, &list->v[i], &f);
}

static void against_default(struct task *k, const struct region_list *base)
{
	struct diff_run *d = k->d;
	const struct view *other = &d->views[k->t];
	struct limit exempt = {.dim = REGION_PEOPLE};
	if (d->shadow && !k->x->rule->shadow)
		return;
	if (other->exempt)
		exempt.people = &other->exempt->people;
	/* By the default itself, and for the exempt, who are not denied by it. */
	for (int turn = 0; turn < 2; turn++) {
		bool denied = other->p->default_deny && turn == 0;
		enum verdict v = denied ? VERDICT_DENY : VERDICT_NO_OPINION;
		bool split = other->p->default_deny && exempt.people;
		if (v == k->v || (turn == 1 && !split))
			continue;
		struct region_list list = {0};
		exempt.out = denied;
		for (size_t i = 0; i < base->n; i++) {
			struct region r = base->v[i];
			if (!split || region_add(&r, &exempt) != WORDS_NONE)
				diff_push(d, &list, &r);
		}
		cut_other_side(k, &list, CLASS_COUNT);
		emit_all(k, &list, v);
	}
}

/* --- a rule on the other side --- */

/* Can Y decide on the other side where X decides on its own? */
static bool opposes(const struct task *k, const struct view_rule *y)
{
	if (!diff_usable(k->d, y) || !y->subjects || diff_verdict(y) == k->v)
		return false;
	/* Where no shadow rule plays a part, the answer itself flips: that is told already. */
	if (k->d->shadow && !k->x->rule->shadow && !y->rule->shadow)
		return false;
	if (k->nextra)
		return !y->changed;
	/* What both have and is stronger than X would decide on X's side as well. */
	if (!y->changed && !k->d->exempt_differs && diff_class(y) < diff_class(k->x))
		return false;
	/* Told when Y was taken. */
	return !(k->x->side == DIFF_OLD && y->changed);
}

/* The parts of BASE in which Y matches too. */
static void meet(struct task *k, const struct region_list *base, const struct view_rule *y,
    unsigned which, struct region_list *out)
{
	struct limit steps[VIEW_STEPS];
	for (uint32_t a = 0; a < y->nacts; a++)
		for (uint32_t p = 0; p < diff_places(y, a); p++)
			for (size_t i = 0; i < base->n; i++) {
				const struct words *in = y->places[p].in;
				struct region r;
				if (y->acts[a]->resource != base->v[i].resource ||
				    (base->v[i].resource && in &&
					region_apart(&base->v[i], REGION_NAMESPACE, in)))
					continue;
				r = base->v[i];
				/* Subjects last: they take longest, and most rules are about
				 * something else. */
				const struct view *v = &k->d->views[y->side];
				size_t n =
				    view_steps(v, y, a, p, VIEW_ABOUT | VIEW_EXEMPT, steps);
				n += view_steps(v, y, a, p, which, steps + n);
				if (diff_narrow(&r, steps, n) != WORDS_NONE)
					diff_push(k->d, out, &r);
			}
}

static void against_rule(
    struct task *k, const struct region_list *base, const struct view_rule *y, unsigned which)
{
	struct region_list both = {0};
	meet(k, base, y, which, &both);
	cut_other_side(k, &both, diff_class(y));
	emit_all(k, &both, diff_verdict(y));
}

static bool listed(const struct rule_list *list, const struct view_rule *r)
{
	size_t lo = 0, hi = list->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (list->v[mid] < r)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < list->n && list->v[lo] == r;
}

static void against_rules(struct task *k, const struct region_list *base, const struct people *atom)
{
	const struct view *other = &k->d->views[k->t];
	if (people_broad(atom)) {
		for (uint32_t i = 0; i < other->n; i++) {
			const struct view_rule *y = &other->rules[i];
			if (opposes(k, y))
				against_rule(k, base, y,
				    listed(&k->covering[k->t], y) ? 0 : VIEW_SUBJECTS);
		}
		return;
	}
	const struct rule_list *rules = &k->covering[k->t];
	for (size_t i = 0; i < rules->n; i++)
		if (opposes(k, rules->v[i]))
			against_rule(k, base, rules->v[i], 0);
}

/* Rules about others that are shown one by one. */
#define OTHERS_SHOWN 4

/* Does Y give verdict V to somebody whom X may name too, but not to all of those? */
static bool concerns_others(const struct task *k, const struct view_rule *y, enum verdict v)
{
	if (diff_verdict(y) != v || !opposes(k, y))
		return false;
	return !people_cover(&y->subjects->people, k->x->narrow) ||
	       (y->also && !people_cover(&y->also->people, k->x->narrow));
}

/* Rules about others, whom one of X's subjects may belong to as well: where there are many that give the
 * same verdict V, one cell for all. */
static void against_others(struct task *k, const struct region_list *base, enum verdict v)
{
	const struct view *other = &k->d->views[k->t];
	const struct view_rule *few[OTHERS_SHOWN];
	struct region first = {0};
	enum words_found found = WORDS_NONE;
	struct flip f;
	size_t n = 0;
	flip_set(k, v, &f);
	k->d->space.work += other->n / LOOKS;
	for (uint32_t i = 0; i < other->n; i++) {
		const struct view_rule *y = &other->rules[i];
		struct region_list both = {0};
		if (!concerns_others(k, y, v))
			continue;
		meet(k, base, y, VIEW_SUBJECTS, &both);
		if (both.n && n < OTHERS_SHOWN)
			few[n] = y;
		n += both.n > 0;
		for (size_t m = 0; m < both.n && found != WORDS_FOUND; m++) {
			struct region r = both.v[m];
			enum words_found got = diff_search(k->d, &r, &f);
			if (got != WORDS_NONE)
				first = r;
			found = got > found ? got : found;
			if (got == WORDS_FOUND)
				found = got;
		}
	}
	for (size_t i = 0; found != WORDS_NONE && n <= OTHERS_SHOWN && i < n; i++)
		against_rule(k, base, few[i], VIEW_SUBJECTS);
	if (found != WORDS_NONE && n > OTHERS_SHOWN)
		diff_note(k->d, &base->v[0], &first, found, &f, n);
}

/* --- one rule --- */

/* The region in which X matches by ACT in PLACE, as far as its subjects do not tell. */
static bool begin(
    struct task *k, uint32_t act, uint32_t place, const struct people *people, struct region *r)
{
	struct limit steps[VIEW_STEPS];
	struct limit who = {.people = people, .dim = REGION_PEOPLE};
	const struct view_rule *x = k->x;
	region_init(r, &k->d->space, x->acts[act]->resource);
	if (region_add(r, &who) == WORDS_NONE)
		return false;
	size_t n = view_steps(
	    &k->d->views[x->side], x, act, place, VIEW_ABOUT | VIEW_EXEMPT, steps);
	if (x->also)
		steps[n++] = (struct limit){.people = &x->also->people, .dim = REGION_PEOPLE};
	return diff_narrow(r, steps, n) != WORDS_NONE &&
	       diff_narrow(r, k->extra, k->nextra) != WORDS_NONE;
}

static void take_atom(struct task *k, const struct people *atom)
{
	find_covering(k, atom);
	for (uint32_t a = 0; a < k->x->nacts; a++)
		for (uint32_t p = 0; p < diff_places(k->x, a); p++) {
			struct region r;
			struct region_list base = {0};
			if (!begin(k, a, p, atom, &r))
				continue;
			diff_push(k->d, &base, &r);
			cut_own_side(k, &base);
			if (base.n == 0)
				continue;
			against_default(k, &base);
			against_rules(k, &base, atom);
		}
}

/* Nothing is looked at any more: all that X is about may change, to and from whatever. */
static void give_up(struct task *k)
{
	for (uint32_t a = 0; a < k->x->nacts; a++)
		for (uint32_t p = 0; p < diff_places(k->x, a); p++) {
			struct region r;
			if (!begin(k, a, p, &k->x->subjects->people, &r))
				continue;
			for (enum verdict v = 0; v <= VERDICT_DENY; v++) {
				struct flip f;
				flip_set(k, v, &f);
				if (v != k->v)
					diff_note(k->d, &r, &r, WORDS_UNKNOWN, &f, 0);
			}
		}
}

static void take_rule(
    struct diff_run *d, struct view_rule *x, const struct limit *extra, size_t nextra)
{
	struct task k = {.d = d,
	    .x = x,
	    .t = !x->side,
	    .v = diff_verdict(x),
	    .extra = extra,
	    .nextra = nextra};
	if (!diff_usable(d, x) || !x->subjects)
		return;
	arena_init(&d->scratch, 0);
	view_atoms(x, &d->out->arena);
	if (d->space.work > WORK_MAX) {
		give_up(&k);
		arena_done(&d->scratch);
		return;
	}
	for (uint32_t i = 0; i < x->natoms; i++)
		take_atom(&k, x->atoms[i]);
	if (x->narrow)
		find_covering(&k, x->narrow);
	for (uint32_t a = 0; a < x->nacts; a++)
		for (uint32_t p = 0; p < diff_places(x, a); p++) {
			struct region r;
			struct region_list base = {0};
			if (!x->narrow || !begin(&k, a, p, x->narrow, &r))
				continue;
			diff_push(d, &base, &r);
			for (enum verdict v = 0; v <= VERDICT_DENY; v++)
				against_others(&k, &base, v);
		}
	arena_done(&d->scratch);
}

/* --- exemptions and defaults --- */

/* Rules of both policies that one of them puts aside for somebody. */
static void take_exemptions(struct diff_run *d)
{
	for (int side = 0; side < 2; side++) {
		const struct crowd *here = d->views[side].exempt, *there = d->views[!side].exempt;
		struct limit extra[] = {{.dim = REGION_PEOPLE}, {.dim = REGION_PEOPLE, .out = true}};
		if (!there)
			continue;
		extra[0].people = &there->people;
		if (here)
			extra[1].people = &here->people;
		for (uint32_t i = 0; i < d->views[side].n; i++) {
			struct view_rule *r = &d->views[side].rules[i];
			if (!r->changed && diff_class(r) < CLASS_ALLOW)
				take_rule(d, r, extra, here ? 2 : 1);
		}
	}
}

/* Requests that no rule decides, in neither policy. */
static void take_defaults(struct diff_run *d)
{
	for (int turn = 0; turn < 8; turn++) {
		struct flip f;
		struct region r;
		bool empty = false;
		arena_init(&d->scratch, 0);
		region_init(&r, &d->space, turn & 1);
		for (int side = 0; side < 2; side++) {
			const struct view *v = &d->views[side];
			bool exempt = turn >> (1 + side) & 1;
			struct limit l = {.dim = REGION_PEOPLE, .out = !exempt};
			f.v[side] = v->p->default_deny && !exempt ? VERDICT_DENY : VERDICT_NO_OPINION;
			/* Where nothing is denied, being exempt makes no difference. */
			if (!v->p->default_deny || !v->exempt)
				empty |= exempt;
			if (v->p->default_deny && v->exempt) {
				l.people = &v->exempt->people;
				empty |= region_add(&r, &l) == WORDS_NONE;
			}
		}
		if (!empty && f.v[0] != f.v[1])
			diff_emit(d, &r, &f);
		arena_done(&d->scratch);
	}
}

/* --- the whole --- */

static void set_active(struct diff_run *d)
{
	for (int side = 0; side < 2; side++)
		for (uint32_t i = 0; i < d->views[side].n; i++) {
			struct view_rule *r = &d->views[side].rules[i];
			r->active = view_active(r->rule, d->at, d->hold);
		}
}

static void at_moment(struct diff_run *d, int64_t at)
{
	bool shadows = d->views[0].p->info.shadow_rules || d->views[1].p->info.shadow_rules;
	d->at = at;
	set_active(d);
	for (int turn = 0; turn < 1 + shadows; turn++) {
		d->shadow = turn;
		for (int side = 1; side >= 0; side--)
			for (uint32_t i = 0; i < d->views[side].n; i++)
				if (d->views[side].rules[i].changed)
					take_rule(d, &d->views[side].rules[i], NULL, 0);
		if (d->exempt_differs)
			take_exemptions(d);
		if (!d->shadow)
			take_defaults(d);
	}
}

/* --- moments --- */

static int i64_cmp(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void add_moment(struct diff *out, int64_t t, size_t *cap)
{
	ARENA_ROOM(&out->arena, out->moments, out->nmoments, *cap, 16);
	out->moments[out->nmoments++] = t;
}

/* All moments at which a rule begins or ceases to count, sorted, each once, from NOW on. What is remembered
 * until a window's edge counts that much earlier. */
static void find_moments(struct diff_run *d, int64_t now)
{
	struct diff *out = d->out;
	size_t cap = 0;
	for (int side = 0; side < 2; side++)
		for (uint32_t i = 0; i < d->views[side].n; i++) {
			int64_t one[VIEW_MOMENTS];
			size_t n = view_moments(d->views[side].rules[i].rule, now, one);
			for (size_t k = 0; k < n; k++) {
				add_moment(out, one[k], &cap);
				if (one[k] - d->hold > now)
					add_moment(out, one[k] - d->hold, &cap);
			}
		}
	add_moment(out, now, &cap);
	qsort(out->moments, out->nmoments, sizeof(*out->moments), i64_cmp);
	size_t kept = 0;
	for (size_t i = 0; i < out->nmoments; i++)
		if (kept == 0 || out->moments[kept - 1] != out->moments[i])
			out->moments[kept++] = out->moments[i];
	out->nmoments = kept;
	if (kept > MOMENTS_MAX) {
		out->moments_left = kept - MOMENTS_MAX;
		out->nmoments = MOMENTS_MAX;
	}
}

/* Which of the rules with windows are in force at AT: moments with the same need no second look. */
static struct slice activity(struct diff_run *d, int64_t at)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	for (int side = 0; side < 2; side++)
		for (uint32_t i = 0; i < d->views[side].n; i++) {
			const struct rule *r = d->views[side].rules[i].rule;
			if (r->valid)
				buf_addc(&b, view_active(r, at, d->hold) ? '1' : '0');
		}
	struct slice s = slice_dup(&d->out->arena, buf_view(&b));
	buf_done(&b);
	return s.len ? s : SLICE("-");
}

static bool scopes_equal(const struct policy *a, const struct policy *b)
{
	for (int turn = 0; turn < 2; turn++) {
		const struct policy *p = turn ? b : a, *q = turn ? a : b;
		for (uint32_t i = 0; i < p->ncluster_scoped; i++) {
			uint64_t pair = p->cluster_scoped[i];
			struct slice g = p->words.texts[pair >> 32];
			struct slice w = p->words.texts[pair & UINT32_MAX];
			uint32_t gq = g.len ? intern_find(&q->words, g) : q->empty;
			uint32_t wq = intern_find(&q->words, w);
			if (!gq || !wq || !policy_cluster_scoped(q, gq, wq))
				return false;
		}
	}
	return true;
}

/* Gains first, then what is no longer denied, then losses; by moment; shadow last. */
static int cell_rank(const struct diff_cell *c)
{
	static const int ranks[3][3] = {
	    [VERDICT_NO_OPINION] = {[VERDICT_ALLOW] = 0, [VERDICT_DENY] = 5},
	    [VERDICT_DENY] = {[VERDICT_ALLOW] = 1, [VERDICT_NO_OPINION] = 2},
	    [VERDICT_ALLOW] = {[VERDICT_NO_OPINION] = 3, [VERDICT_DENY] = 4},
	};
	return ranks[c->before][c->after] + 10 * c->shadow;
}

static int cell_cmp(const void *a, const void *b)
{
	const struct diff_cell *const *x = a, *const *y = b;
	int c = cell_rank(*x) - cell_rank(*y);
	if (c == 0)
		c = ((*x)->at > (*y)->at) - ((*x)->at < (*y)->at);
	return c ? c : (*x > *y) - (*x < *y);
}

static void sort_cells(struct diff *out)
{
	struct arena tmp = {0};
	const struct diff_cell **order = ARENA_ARRAY(&tmp, const struct diff_cell *, out->ncells + 1);
	struct diff_cell *sorted = ARENA_ARRAY(&out->arena, struct diff_cell, out->ncells + 1);
	for (size_t i = 0; i < out->ncells; i++)
		order[i] = &out->cells[i];
	qsort(order, out->ncells, sizeof(*order), cell_cmp);
	for (size_t i = 0; i < out->ncells; i++)
		sorted[i] = *order[i];
	out->cells = sorted;
	arena_done(&tmp);
}

void diff_policies(const struct policy *before, const struct policy *after,
    const struct diff_options *o, struct diff *out)
{
	*out = (struct diff){0};
	struct diff_run d = {
	    .out = out, .hold = o->hold, .space = {.p = {before, after}, .a = &d.scratch}};
	struct map seen = {0};
	d.space.one_table = scopes_equal(before, after);
	view_build(d.views, &d.space, o->now, &out->arena);
	const struct crowd *x = d.views[0].exempt, *y = d.views[1].exempt;
	d.exempt_differs = (x ? x->id : 0) != (y ? y->id : 0);
	out->exempt_changed = d.exempt_differs;
	out->default_changed = before->default_deny != after->default_deny;
	diff_list_rules(&d);
	find_moments(&d, o->now);
	for (size_t i = 0; i < out->nmoments; i++) {
		struct slice now = activity(&d, out->moments[i]);
		if (!map_put(&seen, now, out))
			at_moment(&d, out->moments[i]);
	}
	sort_cells(out);
	map_done(&seen);
	map_done(&d.cells);
}

void diff_done(struct diff *d)
{
	arena_done(&d->arena);
	*d = (struct diff){0};
}
