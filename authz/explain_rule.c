/* Owns the trial of one rule for an explanation: who named the subject, where it stopped, what it says there. */
#include "authz/explain.h"

#include "common/clock.h"

/* --- who --- */

/* Names of service accounts stand in rules as namespace/name. */
static struct slice account_entry(struct arena *a, struct slice pattern)
{
	struct slice rest = slice_skip(pattern, sizeof(SERVICE_ACCOUNT_PREFIX) - 1);
	size_t colon = slice_find(rest, ':');
	return slice_of(arena_printf(a, SLICE_FMT "/" SLICE_FMT, (int)colon, rest.p,
	    SLICE_ARG(slice_skip(rest, colon + 1))));
}

static const struct slice *matching(const struct glob_list *l, struct slice text)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (glob_match(l->v[i], text))
			return &l->v[i];
	return NULL;
}

static bool by_user(const struct engine *e, const struct subject_set *s, struct arena *a,
    struct explain_subject *out)
{
	struct slice user = e->r->user;
	const struct slice *glob = matching(&s->user_globs, user);
	const struct slice *account = e->service_account ? matching(&s->sa_globs, user) : NULL;
	*out = (struct explain_subject){"user", user, user};
	if (atom_set_has(&s->users, intern_find(&e->p->users, user)))
		return true;
	if (glob)
		out->entry = *glob;
	else if (account)
		*out = (struct explain_subject){"serviceAccount", account_entry(a, *account), user};
	return glob || account;
}

static bool by_group(
    const struct engine *e, const struct subject_set *s, struct explain_subject *out)
{
	for (size_t i = 0; i < e->r->ngroups; i++) {
		struct slice group = e->r->groups[i];
		const struct slice *glob = matching(&s->group_globs, group);
		*out = (struct explain_subject){"group", glob ? *glob : group, group};
		if (glob || atom_set_has(&s->groups, intern_find(&e->p->groups, group)))
			return true;
	}
	return false;
}

static bool by_set(const struct engine *e, const struct subject_set *s, struct arena *a,
    struct explain_subject *out)
{
	if (!s)
		return false;
	if (by_user(e, s, a, out) || by_group(e, s, out))
		return true;
	*out = (struct explain_subject){.kind = "everyone"};
	return s->everyone;
}

bool explain_subject(
    const struct engine *e, const struct subjects *s, struct arena *a, struct explain_subject *out)
{
	return by_set(e, s->own, a, out) || by_set(e, s->alias, a, out);
}

/* --- what the rule says --- */

static void has(struct explained *x, struct slice text)
{
	if (x->nhas < EXPLAIN_ITEMS)
		x->has[x->nhas++] = text;
	else
		x->more++;
}

static void has_words(struct explained *x, const struct policy *p, const struct atom_set *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		has(x, p->words.texts[s->v[i]]);
}

static void has_globs(struct explained *x, const struct glob_list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		has(x, l->v[i]);
}

static void has_forms(struct explained *x, const struct policy *p, struct arena *a)
{
	for (uint32_t i = 0; i < x->grant->nforms; i++) {
		struct buf b;
		buf_init(&b, 1 << 20);
		resource_form_print(p, &x->grant->forms[i], &b);
		has(x, slice_dup(a, buf_view(&b)));
		buf_done(&b);
	}
}

static void has_paths(struct explained *x, struct arena *a)
{
	for (uint32_t i = 0; i < x->grant->nurls; i++) {
		const struct url_form *u = &x->grant->urls[i];
		has(x, slice_of(arena_printf(
			   a, SLICE_FMT "%s", SLICE_ARG(u->text), u->prefix ? "*" : "")));
	}
}

static void has_selector(struct explained *x, const struct selector *s, struct arena *a)
{
	static const char *const ops[] = {[REQUIREMENT_IN] = "In",
	    [REQUIREMENT_NOT_IN] = "NotIn",
	    [REQUIREMENT_EXISTS] = "Exists",
	    [REQUIREMENT_DOES_NOT_EXIST] = "DoesNotExist"};
	for (uint32_t i = 0; i < s->n; i++) {
		const struct requirement *q = &s->v[i];
		struct buf b;
		buf_init(&b, 1 << 20);
		buf_slice(&b, q->key);
		buf_printf(&b, " %s", ops[q->op]);
		for (uint32_t k = 0; k < q->n; k++) {
			buf_adds(&b, k ? ", " : " ");
			buf_slice(&b, q->values[k]);
		}
		has(x, slice_dup(a, buf_view(&b)));
		buf_done(&b);
	}
}

static void has_namespaces(struct explained *x, const struct policy *p, struct arena *a)
{
	const struct ns_set *n = x->rule->namespaces;
	if (x->rule->scope != SCOPE_NAMESPACES)
		return;
	has_words(x, p, &n->include);
	has_globs(x, &n->include_globs);
	for (uint32_t i = 0; i < n->exclude.n; i++)
		has(x, slice_of(arena_printf(
			   a, "not " SLICE_FMT, SLICE_ARG(p->words.texts[n->exclude.v[i]]))));
	for (uint32_t i = 0; i < n->exclude_globs.n; i++)
		has(x,
		    slice_of(arena_printf(a, "not " SLICE_FMT, SLICE_ARG(n->exclude_globs.v[i]))));
}

static void say(struct explained *x, const struct policy *p, struct arena *a)
{
	switch (x->dim) {
	case DIM_VERB:
		has_words(x, p, &x->grant->verbs);
		break;
	case DIM_API_GROUP:
		has_words(x, p, &x->grant->groups);
		break;
	case DIM_RESOURCE:
		has_forms(x, p, a);
		break;
	case DIM_NAME:
		has_words(x, p, &x->grant->names);
		has_globs(x, &x->grant->name_globs);
		break;
	case DIM_PATH:
		has_paths(x, a);
		break;
	case DIM_FIELD_SELECTOR:
		has_selector(x, &x->grant->fields, a);
		break;
	case DIM_LABEL_SELECTOR:
		has_selector(x, &x->grant->labels, a);
		break;
	case DIM_NAMESPACE:
		has_namespaces(x, p, a);
		break;
	default:
		break;
	}
}

/* --- the trial --- */

/* The grant that matches, or the one that came furthest. */
static const struct action *furthest(const struct engine *e, const struct rule *rule)
{
	const struct action *best = NULL;
	enum dimension got = DIM_NONE;
	for (uint32_t i = 0; i < rule->nroles; i++) {
		for (uint32_t k = 0; k < rule->roles[i].n; k++) {
			const struct action *a = rule->roles[i].v[k];
			enum dimension one = engine_grant(e, rule, a);
			if (one == DIM_NONE)
				return a;
			if (!best || one > got) {
				best = a;
				got = one;
			}
		}
	}
	return best;
}

bool explain_rule(
    const struct engine *e, const struct rule *rule, struct arena *a, struct explained *out)
{
	enum dimension action = engine_action(e, rule);
	bool also = rule->also.own || rule->also.alias;
	*out = (struct explained){.rule = rule, .dim = action};
	out->names = explain_subject(e, &rule->subjects, a, &out->by);
	if (also && !engine_subjects(e, &rule->also))
		out->names = false;
	if (!out->names && (action != DIM_NONE || rule->effect == POLICY_NO_EFFECT))
		return false;
	out->excepts = explain_subject(e, &rule->except, a, &out->excepted);
	out->grant = furthest(e, rule);
	if (!out->names)
		out->dim = DIM_SUBJECTS;
	else if (out->excepts)
		out->dim = DIM_EXCEPT;
	if (out->grant)
		say(out, e->p, a);
	return true;
}

void explain_time(const struct rule *rule, int64_t now, struct explain_time *out)
{
	out->holds = window_covers(rule->valid, now, now);
	out->next = window_next(rule->valid, now);
	out->changes = out->next != INT64_MAX;
}
