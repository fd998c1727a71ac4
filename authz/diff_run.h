/* What the parts of a running comparison share. Private to authz/diff*.c. */
#ifndef AUTHZ_DIFF_RUN_H
#define AUTHZ_DIFF_RUN_H

#include "authz/diff_view.h"

struct region_list {
	struct region *v;
	size_t n, cap;
};

struct rule_list {
	struct view_rule **v;
	size_t n, cap;
};

/* Two verdicts, old and new. */
struct flip {
	enum verdict v[2];
};

struct diff_run {
	struct diff *out;
	struct view views[2];
	struct region_space space;
	struct arena scratch; /* of one rule's analysis */
	int64_t at, hold;
	bool shadow; /* the shadow rules are taken to be in force */
	bool exempt_differs;
	size_t nusable;
	unsigned stamp;
	uint64_t steps; /* evaluations so far */
	struct map cells; /* what a cell says, but for its subjects -> its place + 1 */
};

/* Rules that count: no notes, in force at the moment, and no shadow rule unless those are looked at. */
static inline bool diff_usable(const struct diff_run *d, const struct view_rule *r)
{
	return r->active && r->rule->effect != POLICY_NO_EFFECT && (d->shadow || !r->rule->shadow);
}

static inline enum rule_class diff_class(const struct view_rule *r)
{
	enum rule_class k = rule_class(r->rule);
	return k >= CLASS_COUNT && k < CLASS_NOTE ? k - CLASS_COUNT : k;
}

static inline enum verdict diff_verdict(const struct view_rule *r)
{
	return effect_verdict(r->rule->effect);
}

static inline uint32_t diff_places(const struct view_rule *r, uint32_t act)
{
	return r->acts[act]->resource ? r->nplaces : 1;
}

/* The verdict of one side on R; where BY is not NULL also the rule that gives it (NULL: none). */
enum verdict diff_decide(struct diff_run *d, int side, const struct access_request *r,
    const struct view_rule **by);

/* A request of R that flips as WANT says, R's member then is it. WORDS_NONE: proof that there is none. */
enum words_found diff_search(struct diff_run *d, struct region *r, const struct flip *want);

/* Adds the conditions STEPS; what is left. */
enum words_found diff_narrow(struct region *r, const struct limit *steps, size_t n);

/* Takes out of each region of LIST what RULE matches, whose subjects all of the region's people are. */
void diff_subtract(struct diff_run *d, struct region_list *list, const struct view_rule *rule);

void diff_push(struct diff_run *d, struct region_list *list, const struct region *r);

/* Looks for WANT in R, and notes a cell when there is such a request or it cannot be told. */
void diff_emit(struct diff_run *d, const struct region *r, const struct flip *want);

/* Notes the cell ABOUT: FOUND is a part of it whose member flips, when GOT says so. OTHERS: see struct
 * diff_cell. */
void diff_note(struct diff_run *d, const struct region *about, struct region *found,
    enum words_found got, const struct flip *want, size_t others);

/* Lists the rules that differ. */
void diff_list_rules(struct diff_run *d);

#endif
