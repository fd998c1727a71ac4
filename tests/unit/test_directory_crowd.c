/* Proves who is in which group by a poll. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "tests/support/directory_fixture.h"
#include "tests/support/draw.h"

/* --- one poll --- */

static bool is_in(struct crowd *c, const char *user, const char *group)
{
	size_t steps = 0;
	return crowd_look(c, slice_of(user), &steps) != CROWD_NOBODY && crowd_has(c, slice_of(group));
}

struct crowd_row {
	const char *what, *user, *group;
	bool in;
};

static void check_rows(struct crowd *c, const struct crowd_row *rows, size_t n)
{
	assert_non_null(c);
	for (size_t i = 0; i < n; i++) {
		if (is_in(c, rows[i].user, rows[i].group) != rows[i].in)
			fail_msg("%s: %s in %s", rows[i].what, rows[i].user, rows[i].group);
	}
}

static void test_groups_that_name_their_members(void **state)
{
	(void)state;
	struct directory_entry users[] = {
	    {.dn = SLICE("uid=Alice,ou=people,dc=x"), NAMES(SLICE("corp:Alice"), SLICE("corp:al"))},
	    {.dn = SLICE("cn=J\xc3\xb6rg M\\2c X,dc=x"), NAMES(SLICE("corp:joerg"))},
	    {.dn = SLICE("uid=bob,ou=people,dc=x"), NAMES(SLICE("corp:bob"))},
	    {.dn = SLICE("uid=same,ou=other,dc=x"), NAMES(SLICE("corp:bob"))},
	};
	struct directory_entry groups[] = {
	    {.dn = SLICE("cn=dev,dc=x"), NAMES(SLICE("Dev"), SLICE("developers")),
		LINKS(SLICE("UID=alice, OU=People,DC=X"), SLICE("uid=nobody,dc=x"), SLICE("no DN at all"))},
	    {.dn = SLICE("cn=ops,dc=x"), NAMES(SLICE("ops")),
		LINKS(SLICE("cn=j\xc3\x96RG M\\, x,dc=X"), SLICE("uid=bob,ou=people,dc=x#'0101'B"))},
	    {.dn = SLICE("cn=web,dc=x"), NAMES(SLICE("web")),
		LINKS(SLICE("uid=same,ou=other,dc=x"), SLICE("cn=dev,dc=x"))},
	};
	const struct directory_answer answer = {
	    .users = users, .nusers = ARRAY_LEN(users), .groups = groups, .ngroups = ARRAY_LEN(groups)};
	static const struct crowd_row rows[] = {
	    {"another spelling of the DN", "corp:alice", "dev", true},
	    {"each value is a name", "corp:alice", "developers", true},
	    {"each name of the user", "corp:al", "dev", true},
	    {"groups in groups are not asked for", "corp:alice", "web", false},
	    {"not a member", "corp:alice", "ops", false},
	    {"capitals beyond ASCII", "corp:joerg", "ops", true},
	    {"a unique member's number", "corp:bob", "ops", true},
	    {"one name, two entries", "corp:bob", "web", true},
	    {"no such group", "corp:bob", "none", false},
	    {"no such user", "corp:nobody", "dev", false},
	    {"no such user", "corp:no DN at all", "dev", false},
	};
	struct err why;
	AUTO(crowd_free) struct crowd *c = crowd_new(&by_dn, &answer, &why);
	check_rows(c, rows, ARRAY_LEN(rows));
	struct directory_counts counts = crowd_counts(c);
	assert_int_equal(counts.groups, 3);
	assert_int_equal(counts.members, 4);
	assert_int_equal(counts.nested, 0);
}

static void test_groups_in_groups_and_their_cycles(void **state)
{
	(void)state;
	struct directory_config config = by_dn;
	config.nested_groups = true;
	struct directory_entry users[] = {
	    {.dn = SLICE("uid=a,dc=x"), NAMES(SLICE("corp:a"))},
	    {.dn = SLICE("uid=b,dc=x"), NAMES(SLICE("corp:b"))},
	};
	struct directory_entry groups[] = {
	    {.dn = SLICE("cn=g0,dc=x"), NAMES(SLICE("g0")), LINKS(SLICE("uid=a,dc=x"), SLICE("cn=g2,dc=x"))},
	    {.dn = SLICE("cn=g1,dc=x"), NAMES(SLICE("g1")), LINKS(SLICE("cn=g0,dc=x"), SLICE("cn=g1,dc=x"))},
	    {.dn = SLICE("cn=g2,dc=x"), NAMES(SLICE("g2")), LINKS(SLICE("CN=G1,dc=x"), SLICE("cn=g1,dc=x"))},
	    {.dn = SLICE("cn=g3,dc=x"), NAMES(SLICE("g3")), LINKS(SLICE("uid=b,dc=x"))},
	};
	const struct directory_answer answer = {
	    .users = users, .nusers = ARRAY_LEN(users), .groups = groups, .ngroups = ARRAY_LEN(groups)};
	static const struct crowd_row rows[] = {
	    {"itself", "corp:a", "g0", true}, {"one up", "corp:a", "g1", true}, {"two up", "corp:a", "g2", true},
	    {"another's", "corp:a", "g3", false}, {"not above", "corp:b", "g1", false}, {"itself", "corp:b", "g3", true},
	};
	struct err why;
	AUTO(crowd_free) struct crowd *c = crowd_new(&config, &answer, &why);
	check_rows(c, rows, ARRAY_LEN(rows));
	assert_int_equal(crowd_counts(c).members, 2);
	assert_int_equal(crowd_counts(c).nested, 4);
}

static void test_members_by_attribute(void **state)
{
	(void)state;
	struct directory_config config = by_dn;
	config.user_uid_attribute = "uid";
	struct directory_entry users[] = {
	    {.dn = SLICE("cn=1,dc=x"), NAMES(SLICE("corp:one@x")), UIDS(SLICE("one"), SLICE("uno"))},
	    {.dn = SLICE("cn=2,dc=x"), NAMES(SLICE("corp:two@x")), UIDS(SLICE("two"))},
	    {.dn = SLICE("cn=3,dc=x"), NAMES(SLICE("corp:three@x"))},
	};
	struct directory_entry groups[] = {
	    {.dn = SLICE("cn=g,dc=x"), NAMES(SLICE("g")), LINKS(SLICE("UNO"), SLICE("cn=2,dc=x"), SLICE(""))},
	};
	const struct directory_answer answer = {
	    .users = users, .nusers = ARRAY_LEN(users), .groups = groups, .ngroups = ARRAY_LEN(groups)};
	static const struct crowd_row rows[] = {{"by a value", "corp:one@x", "g", true},
	    {"not by DN", "corp:two@x", "g", false}, {"without a value", "corp:three@x", "g", false}};
	struct err why;
	size_t steps = 0;
	AUTO(crowd_free) struct crowd *c = crowd_new(&config, &answer, &why);
	check_rows(c, rows, ARRAY_LEN(rows));
	/* Who has no value can be in no group by what we see: that tells nothing. */
	assert_int_equal(crowd_look(c, SLICE("corp:three@x"), &steps), CROWD_UNSURE);
	assert_int_equal(crowd_look(c, SLICE("corp:two@x"), &steps), CROWD_KNOWN);
}

static void test_users_that_name_their_groups(void **state)
{
	(void)state;
	struct directory_config config = by_dn;
	config.user_uid_attribute = NULL;
	config.nested_groups = config.primary_group = true;
	struct directory_entry users[] = {
	    {.dn = SLICE("cn=a,dc=x"), NAMES(SLICE("corp:a")), LINKS(SLICE("CN=Dev,DC=x"), SLICE("CN=Hidden,DC=x")),
		.primary = SLICE("513")},
	    {.dn = SLICE("cn=b,dc=x"), NAMES(SLICE("corp:b")), .primary = SLICE("999")},
	    {.dn = SLICE("cn=c,dc=x"), NAMES(SLICE("corp:c")), LINKS(SLICE("CN=Dev,DC=x"))},
	};
	struct directory_entry groups[] = {
	    {.dn = SLICE("CN=dev,DC=x"), NAMES(SLICE("dev")), LINKS(SLICE("CN=all,DC=x")), .primary = SLICE("1104")},
	    {.dn = SLICE("CN=all,DC=x"), NAMES(SLICE("all")), .primary = SLICE("1105")},
	    {.dn = SLICE("CN=Domain Users,DC=x"), NAMES(SLICE("Domain Users")), LINKS(SLICE("CN=Users,DC=x")),
		.primary = SLICE("513")},
	    {.dn = SLICE("CN=Users,DC=x"), NAMES(SLICE("Users"))},
	};
	const struct directory_answer answer = {
	    .users = users, .nusers = ARRAY_LEN(users), .groups = groups, .ngroups = ARRAY_LEN(groups)};
	static const struct crowd_row rows[] = {
	    {"direct", "corp:a", "dev", true}, {"above", "corp:a", "all", true},
	    {"primary", "corp:a", "domain users", true}, {"above the primary", "corp:a", "users", true},
	    {"not found by the query", "corp:a", "hidden", false}, {"another primary", "corp:b", "domain users", false},
	};
	struct err why;
	size_t steps = 0;
	AUTO(crowd_free) struct crowd *c = crowd_new(&config, &answer, &why);
	check_rows(c, rows, ARRAY_LEN(rows));
	assert_int_equal(crowd_look(c, SLICE("corp:c"), &steps), CROWD_UNSURE);
	struct directory_counts counts = crowd_counts(c);
	assert_int_equal(counts.members, 2);
	assert_int_equal(counts.nested, 2);
	assert_int_equal(counts.primary, 1);
}

/* What comes twice is one. */
static void test_repetitions_do_not_make_it_fuller(void **state)
{
	(void)state;
	static const struct slice user[] = {SLICE("corp:a")}, group[] = {SLICE("g")};
	static const struct slice links[] = {SLICE("uid=a,dc=x"), SLICE("uid=a,dc=X"), SLICE("cn=g,dc=x")};
	struct directory_entry users[6], groups[6];
	for (size_t i = 0; i < 6; i++) {
		users[i] = (struct directory_entry){.dn = i % 2 ? SLICE("uid=a,dc=x") : SLICE("UID=A, dc=x"),
		    .names = user, .nnames = 1};
		groups[i] = (struct directory_entry){.dn = i % 2 ? SLICE("cn=g,dc=x") : SLICE("cn=G,dc=x"),
		    .names = group, .nnames = 1, .links = links, .nlinks = ARRAY_LEN(links)};
	}
	const struct directory_answer answer = {.users = users, .nusers = 6, .groups = groups, .ngroups = 6};
	struct err why;
	AUTO(crowd_free) struct crowd *c = crowd_new(&by_dn, &answer, &why);
	assert_int_equal(crowd_counts(c).groups, 1);
	assert_int_equal(crowd_counts(c).members, 1);
}

static void test_limits(void **state)
{
	(void)state;
	struct err why = {0};
	struct slice *links = calloc(DIRECTORY_MEMBERSHIPS_MAX + 1, sizeof(*links));
	struct directory_entry group = {.dn = SLICE("cn=g,dc=x"), NAMES(SLICE("g")), .links = links,
	    .nlinks = DIRECTORY_MEMBERSHIPS_MAX + 1};
	struct directory_answer answer = {.groups = &group, .ngroups = 1};
	assert_null(crowd_new(&by_dn, &answer, &why));
	assert_non_null(strstr(why.msg, "memberships"));
	free(links);
	struct directory_entry *groups = calloc(DIRECTORY_GROUPS_MAX + 1, sizeof(*groups));
	answer = (struct directory_answer){.groups = groups, .ngroups = DIRECTORY_GROUPS_MAX + 1};
	assert_null(crowd_new(&by_dn, &answer, &why));
	assert_non_null(strstr(why.msg, "groups"));
	free(groups);
}

static void test_membership_against_a_plain_account(void **state)
{
	(void)state;
	struct world w;
	world_names(&w);
	for (int round = 0; round < 3000; round++) {
		struct directory_config c = draw_config();
		AUTO(arena_done) struct arena a;
		arena_init(&a, 0);
		world_draw(&w, 2 + draw(8));
		AUTO(crowd_free) struct crowd *crowd = world_poll(&w, &c, &a);
		for (size_t i = 0; i < USERS; i++) {
			size_t steps = 0;
			assert_int_equal(crowd_look(crowd, slice_of(w.user[i]), &steps) == CROWD_KNOWN, w.has[i]);
			for (size_t g = 0; g < GROUPS; g++)
				assert_int_equal(crowd_has(crowd, slice_of(w.group[g])), world_has(&w, &c, i, g));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_groups_that_name_their_members),
	    cmocka_unit_test(test_groups_in_groups_and_their_cycles),
	    cmocka_unit_test(test_members_by_attribute),
	    cmocka_unit_test(test_users_that_name_their_groups),
	    cmocka_unit_test(test_repetitions_do_not_make_it_fuller),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_membership_against_a_plain_account),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
