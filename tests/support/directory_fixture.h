/* Entries of a directory as the tests write them, and a directory whose groups name DNs. */
#ifndef TESTS_SUPPORT_DIRECTORY_FIXTURE_H
#define TESTS_SUPPORT_DIRECTORY_FIXTURE_H

#include <stdio.h>

#include "common/clock.h"
#include "rbac-sync/directory_groups.h"
#include "tests/support/draw.h"

#define HOUR (3600 * CLOCK_SECOND)
#define LIST(...) ((const struct slice[]){__VA_ARGS__})
#define NAMES(...) .names = LIST(__VA_ARGS__), .nnames = ARRAY_LEN(LIST(__VA_ARGS__))
#define LINKS(...) .links = LIST(__VA_ARGS__), .nlinks = ARRAY_LEN(LIST(__VA_ARGS__))
#define UIDS(...) .uids = LIST(__VA_ARGS__), .nuids = ARRAY_LEN(LIST(__VA_ARGS__))

static const struct directory_config by_dn = {.name = "corp", .username_prefix = "corp:", .groups_prefix = "corp:",
    .user_uid_attribute = "dn", .confirm_after = HOUR, .min_ratio_percent = 80};

/* --- a directory to draw at random --- */

enum { USERS = 6, GROUPS = 7 };

struct world {
	bool has[USERS];
	bool in[USERS][GROUPS], nested[GROUPS][GROUPS]; /* who is in what */
	bool there[GROUPS];
	char dn[USERS + GROUPS][32], user[USERS][16], group[GROUPS][8];
};

static inline void world_names(struct world *w)
{
	for (size_t i = 0; i < USERS; i++) {
		snprintf(w->user[i], sizeof(w->user[i]), "corp:u%zu", i);
		snprintf(w->dn[i], sizeof(w->dn[i]), "uid=u%zu,dc=x", i);
	}
	for (size_t g = 0; g < GROUPS; g++) {
		snprintf(w->group[g], sizeof(w->group[g]), "g%zu", g);
		snprintf(w->dn[USERS + g], sizeof(w->dn[USERS + g]), "cn=g%zu,dc=x", g);
	}
}

static inline void world_draw(struct world *w, uint64_t rare)
{
	for (size_t i = 0; i < USERS; i++) {
		w->has[i] = draw(8) > 0;
		for (size_t g = 0; g < GROUPS; g++)
			w->in[i][g] = draw(rare) == 0;
	}
	for (size_t g = 0; g < GROUPS; g++) {
		w->there[g] = draw(8) > 0;
		for (size_t up = 0; up < GROUPS; up++)
			w->nested[g][up] = draw(2 * rare) == 0;
	}
}

/* As an answer: memberships at the groups, or at those who have them. */
static inline struct crowd *world_poll(const struct world *w, const struct directory_config *c, struct arena *a)
{
	struct directory_entry *users = ARENA_ARRAY(a, struct directory_entry, USERS);
	struct directory_entry *groups = ARENA_ARRAY(a, struct directory_entry, GROUPS);
	struct directory_answer answer = {.users = users, .groups = groups};
	struct err why;
	bool theirs = c->user_uid_attribute == NULL;
	for (size_t i = 0; i < USERS + GROUPS; i++) {
		struct slice *links = ARENA_ARRAY(a, struct slice, USERS + GROUPS), *name = ARENA_NEW(a, struct slice);
		size_t n = 0, g = i - USERS;
		bool user = i < USERS;
		*name = slice_of(user ? w->user[i] : w->group[g]);
		for (size_t k = 0; k < USERS + GROUPS; k++) {
			size_t up = k - USERS;
			bool in = theirs ? k >= USERS && (user ? w->in[i][up] : w->nested[g][up])
					 : !user && (k < USERS ? w->in[k][g] : w->nested[up][g]);
			if (in)
				links[n++] = slice_of(w->dn[k]);
		}
		if (user ? w->has[i] : w->there[g])
			(user ? users : groups)[user ? answer.nusers++ : answer.ngroups++] = (struct directory_entry){
			    .dn = slice_of(w->dn[i]), .names = name, .nnames = 1, .links = links, .nlinks = n};
	}
	struct crowd *crowd = crowd_new(c, &answer, &why);
	assert_non_null(crowd);
	return crowd;
}

/* The plain account: what can be reached in as many rounds as there are groups. */
static inline bool world_has(const struct world *w, const struct directory_config *c, size_t user, size_t group)
{
	bool at[GROUPS];
	for (size_t g = 0; g < GROUPS; g++)
		at[g] = w->has[user] && w->in[user][g] && w->there[g];
	for (size_t round = 0; round < GROUPS && c->nested_groups; round++) {
		for (size_t g = 0; g < GROUPS; g++) {
			for (size_t up = 0; up < GROUPS; up++)
				at[up] |= at[g] && w->nested[g][up] && w->there[up];
		}
	}
	return at[group];
}

static inline struct directory_config draw_config(void)
{
	struct directory_config c = by_dn;
	c.nested_groups = draw(2);
	if (draw(2))
		c.user_uid_attribute = NULL;
	return c;
}

#endif
