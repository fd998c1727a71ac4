/* Both policies of a comparison as texts: rules whose parts can be compared across them. Private to
 * authz/diff*.c. */
#ifndef AUTHZ_DIFF_VIEW_H
#define AUTHZ_DIFF_VIEW_H

#include "authz/diff.h"
#include "common/map.h"

/* People with a note on whether they cover those that are looked at. */
struct crowd {
	struct people people;
	unsigned stamp;
	bool covers;
	uint32_t id; /* equal crowds of both policies have the same */
};

/* What a grant is about; NULL: everything. */
struct act {
	bool resource;
	const struct words *words[REGION_WORDS];
	const struct forms *forms;
	const struct selector *fields, *labels;
	bool wide;
	uint32_t id;
};

/* Where: namespaces, or resources that have none. */
struct place {
	const struct words *in, *out;
	unsigned scoped, unscoped;
};

struct view_rule {
	const struct rule *rule;
	int side;
	bool changed; /* the other policy has no rule that does the same */
	bool active; /* at the moment looked at */
	struct crowd *subjects, *also, *except;
	const struct act *const *acts;
	uint32_t nacts, nplaces;
	struct place places[2];
	const struct people *const *atoms; /* its subjects one by one; NULL: not yet asked for */
	uint32_t natoms;
	const struct people *narrow; /* those that are not broad, together; NULL: none */
	struct slice key;
};

struct view {
	const struct policy *p;
	int side;
	struct view_rule *rules;
	uint32_t n;
	struct crowd *exempt;
	struct crowd **crowds; /* by set */
};

/* Most conditions that one way for a rule to match has. */
#define VIEW_STEPS 20

/* Which of a rule's conditions view_steps gives. */
enum { VIEW_ABOUT = 1, VIEW_SUBJECTS = 2, VIEW_EXEMPT = 4 };

/* The conditions under which RULE matches by its act ACT in its place PLACE. Returns how many. */
size_t view_steps(const struct view *v, const struct view_rule *r, uint32_t act, uint32_t place,
    unsigned which, struct limit steps[VIEW_STEPS]);

/* Fills both; everything lives in A. NOW is the first moment of the comparison. */
void view_build(struct view views[2], const struct region_space *space, int64_t now, struct arena *a);

/* R's subjects one by one, each pattern by itself; all together when they are very many. */
void view_atoms(struct view_rule *r, struct arena *a);

/* Is everybody of some kind meant, so that whoever another rule names is likely meant as well? */
bool people_broad(const struct people *p);

/* Do all of OF belong to W, whoever they are? False is not proof that some do not. */
bool people_cover(const struct people *w, const struct people *of);

/* Does R hold at AT, for one who remembers an allow for HOLD? */
bool view_active(const struct rule *r, int64_t at, int64_t hold);

/* The next moments at which rule R begins or ceases to hold, after NOW: all within VIEW_HORIZON, and at
 * least two. Returns how many. */
#define VIEW_HORIZON (INT64_C(8) * 86400 * 1000000000)
#define VIEW_MOMENTS 64
size_t view_moments(const struct rule *r, int64_t now, int64_t out[VIEW_MOMENTS]);

#endif
