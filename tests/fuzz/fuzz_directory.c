/* Fuzzes what a directory says of users and groups: whatever bytes its names are made of, a member that is named as the
 * user's entry is stays a member, and what is counted fits. */
#include "rbac-sync/directory_groups.h"
#include "tests/fuzz/fuzz.h"

#define ENTRIES_MAX 64
#define INPUT_MAX ((size_t)64 << 10)

static struct directory_entry users[ENTRIES_MAX], groups[ENTRIES_MAX];

/* Up to SEP of *REST, which moves behind it. */
static struct slice word(struct slice *rest, char sep)
{
	size_t n = slice_find(*rest, sep);
	struct slice out = {rest->p, n};
	*rest = slice_skip(*rest, n + 1);
	return out;
}

static bool is_member(struct crowd *c, const struct directory_entry *user, const struct directory_entry *group)
{
	char text[DIRECTORY_NAME_MAX];
	size_t steps = 0;
	if (crowd_look(c, directory_fold(user->names[0], text), &steps) == CROWD_NOBODY)
		return false;
	return crowd_has(c, directory_fold(group->names[0], text));
}

static bool name_fits(const struct directory_entry *e)
{
	return e->names[0].len > 0 && e->names[0].len <= DIRECTORY_NAME_MAX;
}

static void check(struct crowd *c, const struct directory_config *config, const struct directory_answer *a)
{
	struct directory_counts n = crowd_counts(c);
	FUZZ_CHECK(n.groups <= a->ngroups && n.members <= a->nusers * a->ngroups && n.primary <= a->nusers);
	FUZZ_CHECK(config->nested_groups ? n.nested <= a->ngroups * a->ngroups : n.nested == 0);
	for (size_t g = 0; g < a->ngroups; g++) {
		for (size_t u = 0; u < a->nusers; u++) {
			const struct directory_entry *user = &a->users[u], *group = &a->groups[g];
			bool named = false;
			for (size_t i = 0; i < group->nlinks; i++)
				named |= user->dn.len > 0 && slice_eq(group->links[i], user->dn);
			if (named && name_fits(user) && name_fits(group))
				FUZZ_CHECK(is_member(c, user, group));
		}
	}
}

/* A line an entry, with tabs between: u or g, DN, name, and whom a group names. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a;
	struct slice rest = fuzz_slice(data, size);
	struct directory_config config = {.user_uid_attribute = "dn", .nested_groups = size % 2};
	struct directory_answer answer = {.users = users, .groups = groups};
	struct err why;
	arena_init(&a, 0);
	while (rest.len && size <= INPUT_MAX && answer.nusers < ENTRIES_MAX && answer.ngroups < ENTRIES_MAX) {
		struct slice line = word(&rest, '\n'), kind = word(&line, '\t');
		struct directory_entry *e =
		    slice_is(kind, "g") ? &groups[answer.ngroups++] : &users[answer.nusers++];
		struct slice *name = ARENA_NEW(&a, struct slice), *links = ARENA_ARRAY(&a, struct slice, line.len + 1);
		*e = (struct directory_entry){.dn = word(&line, '\t'), .names = name, .nnames = 1, .links = links};
		*name = word(&line, '\t');
		while (line.len)
			links[e->nlinks++] = word(&line, '\t');
	}
	AUTO(crowd_free) struct crowd *c = crowd_new(&config, &answer, &why);
	FUZZ_CHECK(c);
	check(c, &config, &answer);
	return 0;
}
