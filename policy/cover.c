/* Owns containment of rules: per dimension, by what the literals and patterns say alone. */
#include "policy/cover.h"

/* Of one action of the narrow rule: past this many combinations of verb, group and resource it has
 * to be covered by one action as a whole. */
#define COVER_CELLS 4096

bool glob_covers(struct slice wide, struct slice narrow)
{
	/* A star of NARROW read as a byte can be matched by a star of WIDE alone. */
	return glob_match(wide, narrow);
}

static bool globs_cover(const struct glob_list *wide, struct slice narrow)
{
	for (uint32_t i = 0; i < wide->n; i++)
		if (glob_covers(wide->v[i], narrow))
			return true;
	return false;
}

/* --- subjects --- */

static bool set_covers_user(const struct policy *p, const struct subject_set *s, uint32_t user)
{
	struct slice name = p->users.texts[user];
	if (s->everyone || atom_set_has(&s->users, user) || globs_cover(&s->user_globs, name))
		return true;
	return policy_is_service_account(name) && globs_cover(&s->sa_globs, name);
}

static bool set_covers_group(const struct policy *p, const struct subject_set *s, uint32_t group)
{
	return s->everyone || atom_set_has(&s->groups, group) ||
	       globs_cover(&s->group_globs, p->groups.texts[group]);
}

/* WIDE is both sets of a `subjects`. */
typedef bool covers_fn(const struct policy *p, const struct subject_set *s, uint32_t atom);

static bool any_covers(
    const struct policy *p, const struct subjects *wide, covers_fn *fn, uint32_t atom)
{
	return (wide->own && fn(p, wide->own, atom)) || (wide->alias && fn(p, wide->alias, atom));
}

static bool atoms_covered(const struct policy *p, const struct subjects *wide, covers_fn *fn,
    const struct atom_set *narrow)
{
	for (uint32_t i = 0; i < narrow->n; i++)
		if (!any_covers(p, wide, fn, narrow->v[i]))
			return false;
	return true;
}

enum glob_of { OF_USERS, OF_GROUPS, OF_ACCOUNTS };

static bool set_covers_glob(const struct subject_set *s, enum glob_of of, struct slice glob)
{
	if (!s)
		return false;
	if (s->everyone)
		return true;
	if (of == OF_GROUPS)
		return globs_cover(&s->group_globs, glob);
	/* A pattern of service accounts never leaves them, one of users does. */
	return globs_cover(&s->user_globs, glob) ||
	       (of == OF_ACCOUNTS && globs_cover(&s->sa_globs, glob));
}

static bool globs_covered(
    const struct subjects *wide, enum glob_of of, const struct glob_list *narrow)
{
	for (uint32_t i = 0; i < narrow->n; i++)
		if (!set_covers_glob(wide->own, of, narrow->v[i]) &&
		    !set_covers_glob(wide->alias, of, narrow->v[i]))
			return false;
	return true;
}

static bool set_covered(
    const struct policy *p, const struct subjects *wide, const struct subject_set *narrow)
{
	if (!narrow || narrow == wide->own || narrow == wide->alias)
		return true;
	if (narrow->everyone)
		return (wide->own && wide->own->everyone) || (wide->alias && wide->alias->everyone);
	return atoms_covered(p, wide, set_covers_user, &narrow->users) &&
	       atoms_covered(p, wide, set_covers_group, &narrow->groups) &&
	       globs_covered(wide, OF_USERS, &narrow->user_globs) &&
	       globs_covered(wide, OF_GROUPS, &narrow->group_globs) &&
	       globs_covered(wide, OF_ACCOUNTS, &narrow->sa_globs);
}

bool cover_subjects(
    const struct policy *p, const struct subjects *wide, const struct subjects *narrow)
{
	return set_covered(p, wide, narrow->own) && set_covered(p, wide, narrow->alias);
}

static bool names_any(const struct subjects *s)
{
	return s->own || s->alias;
}

/* ABAC's `also` narrows: of the narrow rule either half may be the covered one, of the wide rule
 * both halves have to cover. */
static bool half_covers(
    const struct policy *p, const struct subjects *wide, const struct rule *narrow)
{
	return cover_subjects(p, wide, &narrow->subjects) ||
	       (names_any(&narrow->also) && cover_subjects(p, wide, &narrow->also));
}

static bool people_covered(
    const struct policy *p, const struct rule *wide, const struct rule *narrow)
{
	if (!half_covers(p, &wide->subjects, narrow))
		return false;
	if (names_any(&wide->also) && !half_covers(p, &wide->also, narrow))
		return false;
	return !names_any(&wide->except) || (names_any(&narrow->except) &&
						cover_subjects(p, &narrow->except, &wide->except));
}

bool cover_nobody(const struct policy *p, const struct rule *rule)
{
	if (!names_any(&rule->except))
		return false;
	return cover_subjects(p, &rule->except, &rule->subjects) ||
	       (names_any(&rule->also) && cover_subjects(p, &rule->except, &rule->also));
}

/* --- actions --- */

static bool overlaps(const struct rule *rule)
{
	return rule->effect != POLICY_ALLOW && !rule->exact;
}

static bool atoms_within(const struct atom_set *wide, const struct atom_set *narrow)
{
	if (wide->any || narrow->any)
		return wide->any;
	for (uint32_t i = 0; i < narrow->n; i++)
		if (!atom_set_has(wide, narrow->v[i]))
			return false;
	return true;
}

static bool form_covers(
    const struct policy *p, const struct resource_form *wide, const struct resource_form *narrow)
{
	if (wide->resource != ATOM_ANY && wide->resource != narrow->resource)
		return false;
	if (wide->sub == ATOM_ANY || wide->sub == narrow->sub)
		return true;
	return wide->sub == ATOM_SOME && narrow->sub != ATOM_ANY && narrow->sub != p->empty;
}

static bool forms_cover(
    const struct policy *p, const struct action *wide, const struct resource_form *narrow)
{
	for (uint32_t i = 0; i < wide->nforms; i++)
		if (form_covers(p, &wide->forms[i], narrow))
			return true;
	return false;
}

static bool url_covered(const struct action *wide, const struct url_form *narrow)
{
	for (uint32_t i = 0; i < wide->nurls; i++) {
		const struct url_form *u = &wide->urls[i];
		if (u->prefix ? slice_starts(narrow->text, u->text)
			      : !narrow->prefix && slice_eq(narrow->text, u->text))
			return true;
	}
	return false;
}

/* The empty name is what a request about all objects has: a literal `""` of an import covers it, a
 * pattern is not trusted to. */
static bool names_covered(
    const struct policy *p, const struct action *wide, const struct action *narrow)
{
	if (wide->names.any || narrow->names.any)
		return wide->names.any;
	for (uint32_t i = 0; i < narrow->names.n; i++) {
		uint32_t name = narrow->names.v[i];
		if (!atom_set_has(&wide->names, name) &&
		    (name == p->empty || !globs_cover(&wide->name_globs, p->words.texts[name])))
			return false;
	}
	for (uint32_t i = 0; i < narrow->name_globs.n; i++)
		if (!globs_cover(&wide->name_globs, narrow->name_globs.v[i]))
			return false;
	return true;
}

static bool same_requirement(const struct requirement *a, const struct requirement *b)
{
	if (a->op != b->op || a->n != b->n || !slice_eq(a->key, b->key))
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!slice_eq(a->values[i], b->values[i]))
			return false;
	return true;
}

/* Fewer requirements reach further, whichever way they are compared with the request's. */
static bool selector_covers(const struct selector *wide, const struct selector *narrow)
{
	for (uint32_t i = 0; i < wide->n; i++) {
		uint32_t k = 0;
		while (k < narrow->n && !same_requirement(&wide->v[i], &narrow->v[k]))
			k++;
		if (k == narrow->n)
			return false;
	}
	return true;
}

static bool rest_covered(const struct policy *p, const struct rule *wide, const struct action *w,
    const struct rule *narrow, const struct action *n)
{
	bool same_way = overlaps(wide) == overlaps(narrow);
	if (!w->names.any && overlaps(narrow) && !overlaps(wide))
		return false;
	if (!same_way && (w->fields.n || w->labels.n))
		return false;
	return names_covered(p, w, n) && selector_covers(&w->fields, &n->fields) &&
	       selector_covers(&w->labels, &n->labels);
}

static bool action_covers(const struct policy *p, const struct rule *wide, const struct action *w,
    const struct rule *narrow, const struct action *n)
{
	if (w == n && overlaps(wide) >= overlaps(narrow) &&
	    (overlaps(wide) == overlaps(narrow) || (!w->fields.n && !w->labels.n)))
		return true;
	if (w->resource != n->resource || !atoms_within(&w->verbs, &n->verbs))
		return false;
	for (uint32_t i = 0; i < n->nurls; i++)
		if (!url_covered(w, &n->urls[i]))
			return false;
	if (!n->resource)
		return true;
	if (!atoms_within(&w->groups, &n->groups))
		return false;
	for (uint32_t i = 0; i < n->nforms; i++)
		if (!forms_cover(p, w, &n->forms[i]))
			return false;
	return rest_covered(p, wide, w, narrow, n);
}

/* One verb of one action, as a set; ANY when the action has no constraint. */
static uint32_t cells_of(const struct atom_set *s)
{
	return s->any ? 1 : s->n;
}

static struct atom_set cell_of(const struct atom_set *s, uint32_t i)
{
	return s->any ? *s : (struct atom_set){.v = &s->v[i], .n = 1};
}

static bool by_one_action(const struct policy *p, const struct rule *wide,
    const struct rule *narrow, const struct action *n)
{
	for (uint32_t i = 0; i < wide->nroles; i++)
		for (uint32_t k = 0; k < wide->roles[i].n; k++)
			if (action_covers(p, wide, wide->roles[i].v[k], narrow, n))
				return true;
	return false;
}

/* What no single action covers may be covered piece by piece. */
static bool by_several(const struct policy *p, const struct rule *wide, const struct rule *narrow,
    const struct action *n)
{
	uint32_t verbs = cells_of(&n->verbs), groups = n->resource ? cells_of(&n->groups) : 1;
	uint32_t things = n->resource ? n->nforms : n->nurls;
	uint64_t cells = (uint64_t)verbs * groups * things;
	if (cells <= 1 || cells > COVER_CELLS)
		return false;
	for (uint64_t i = 0; i < cells; i++) {
		struct action cell = *n;
		uint32_t thing = (uint32_t)(i % things);
		cell.verbs = cell_of(&n->verbs, (uint32_t)(i / things % verbs));
		cell.nforms = cell.nurls = 0;
		if (n->resource) {
			cell.groups = cell_of(&n->groups, (uint32_t)(i / things / verbs));
			cell.forms = &n->forms[thing];
			cell.nforms = 1;
		} else {
			cell.urls = &n->urls[thing];
			cell.nurls = 1;
		}
		if (!by_one_action(p, wide, narrow, &cell))
			return false;
	}
	return true;
}

/* --- place --- */

static bool ns_has(const struct policy *p, const struct ns_set *s, uint32_t word)
{
	struct slice text = p->words.texts[word];
	return (atom_set_has(&s->include, word) || glob_list_has(&s->include_globs, text)) &&
	       !atom_set_has(&s->exclude, word) && !glob_list_has(&s->exclude_globs, text);
}

static bool includes_covered(
    const struct policy *p, const struct ns_set *wide, const struct ns_set *narrow)
{
	for (uint32_t i = 0; i < narrow->include.n; i++) {
		uint32_t word = narrow->include.v[i];
		if (ns_has(p, narrow, word) && !ns_has(p, wide, word))
			return false;
	}
	for (uint32_t i = 0; i < narrow->include_globs.n; i++)
		if (!globs_cover(&wide->include_globs, narrow->include_globs.v[i]))
			return false;
	return true;
}

/* What WIDE takes out must be out of NARROW as well. Its literals have been looked at one by one:
 * what remains is what comes by NARROW's patterns. */
static bool excludes_covered(
    const struct policy *p, const struct ns_set *wide, const struct ns_set *narrow)
{
	if (narrow->include_globs.n == 0)
		return true;
	for (uint32_t i = 0; i < wide->exclude.n; i++)
		if (ns_has(p, narrow, wide->exclude.v[i]))
			return false;
	for (uint32_t i = 0; i < wide->exclude_globs.n; i++)
		if (!globs_cover(&narrow->exclude_globs, wide->exclude_globs.v[i]))
			return false;
	return true;
}

static bool place_covered(
    const struct policy *p, const struct rule *wide, const struct rule *narrow)
{
	if (wide->scope == SCOPE_ALL)
		return true;
	if (wide->scope != narrow->scope || overlaps(wide) < overlaps(narrow))
		return false;
	if (wide->scope == SCOPE_CLUSTER || wide->namespaces == narrow->namespaces)
		return true;
	return includes_covered(p, wide->namespaces, narrow->namespaces) &&
	       excludes_covered(p, wide->namespaces, narrow->namespaces);
}

static bool about_paths_alone(const struct rule *r)
{
	for (uint32_t i = 0; i < r->nroles; i++)
		for (uint32_t k = 0; k < r->roles[i].n; k++)
			if (r->roles[i].v[k]->resource)
				return false;
	return true;
}

/* --- rules --- */

bool cover_reach(const struct policy *p, const struct rule *wide, const struct rule *narrow)
{
	if (!about_paths_alone(narrow) && !place_covered(p, wide, narrow))
		return false;
	for (uint32_t i = 0; i < narrow->nroles; i++) {
		for (uint32_t k = 0; k < narrow->roles[i].n; k++) {
			const struct action *n = narrow->roles[i].v[k];
			if (!by_one_action(p, wide, narrow, n) && !by_several(p, wide, narrow, n))
				return false;
		}
	}
	return true;
}

bool cover_rule(const struct policy *p, const struct rule *wide, const struct rule *narrow)
{
	if (wide->valid && (wide->valid != narrow->valid || wide->effect != narrow->effect))
		return false;
	return people_covered(p, wide, narrow) && cover_reach(p, wide, narrow);
}
