/* Proves who is in which group by a poll, and that nothing but two good polls takes a claimed group away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "rbac-sync/directory_groups.h"
#include "tests/support/draw.h"

#define HOUR (3600 * CLOCK_SECOND)
#define EPOCH INT64_C(1700000000)
#define LIST(...) ((const struct slice[]){__VA_ARGS__})
#define NAMES(...) .names = LIST(__VA_ARGS__), .nnames = ARRAY_LEN(LIST(__VA_ARGS__))
#define LINKS(...) .links = LIST(__VA_ARGS__), .nlinks = ARRAY_LEN(LIST(__VA_ARGS__))
#define UIDS(...) .uids = LIST(__VA_ARGS__), .nuids = ARRAY_LEN(LIST(__VA_ARGS__))

static const struct directory_config by_dn = {.name = "corp", .username_prefix = "corp:", .groups_prefix = "corp:",
    .user_uid_attribute = "dn", .confirm_after = HOUR, .min_ratio_percent = 80};

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

/* --- a directory to draw at random --- */

enum { USERS = 6, GROUPS = 7 };

struct world {
	bool has[USERS];
	bool in[USERS][GROUPS], nested[GROUPS][GROUPS]; /* who is in what */
	bool there[GROUPS];
	char dn[USERS + GROUPS][32], user[USERS][16], group[GROUPS][8];
};

static void world_names(struct world *w)
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

static void world_draw(struct world *w, uint64_t rare)
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
static struct crowd *world_poll(const struct world *w, const struct directory_config *c, struct arena *a)
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
static bool world_has(const struct world *w, const struct directory_config *c, size_t user, size_t group)
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

static struct directory_config draw_config(void)
{
	struct directory_config c = by_dn;
	c.nested_groups = draw(2);
	if (draw(2))
		c.user_uid_attribute = NULL;
	return c;
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

/* --- claims --- */

static struct directory_time at(int64_t hours)
{
	return (struct directory_time){1000 + hours * HOUR, EPOCH + hours * 3600};
}

/* Ten users are in g0, and as many of them in g1 as MEMBERS has bits. */
static struct crowd *ten(const struct directory_config *config, unsigned members)
{
	static const char *const names[] = {"corp:u0", "corp:u1", "corp:u2", "corp:u3", "corp:u4", "corp:u5", "corp:u6",
	    "corp:u7", "corp:u8", "corp:u9"};
	static const char *const dns[] = {"uid=u0,dc=x", "uid=u1,dc=x", "uid=u2,dc=x", "uid=u3,dc=x", "uid=u4,dc=x",
	    "uid=u5,dc=x", "uid=u6,dc=x", "uid=u7,dc=x", "uid=u8,dc=x", "uid=u9,dc=x"};
	struct directory_entry users[10];
	struct slice name[10], all[10], some[10];
	size_t n = 0;
	for (size_t i = 0; i < 10; i++) {
		name[i] = slice_of(names[i]);
		all[i] = slice_of(dns[i]);
		users[i] = (struct directory_entry){.dn = all[i], .names = &name[i], .nnames = 1};
		if (members & 1u << i)
			some[n++] = all[i];
	}
	struct directory_entry groups[] = {
	    {.dn = SLICE("cn=g0,dc=x"), NAMES(SLICE("g0")), .links = all, .nlinks = 10},
	    {.dn = SLICE("cn=g1,dc=x"), NAMES(SLICE("G1")), .links = some, .nlinks = n},
	};
	const struct directory_answer answer = {.users = users, .nusers = 10, .groups = groups, .ngroups = 2};
	struct err why;
	return crowd_new(config, &answer, &why);
}

static bool poll(struct claims *p, unsigned members, int64_t hours)
{
	struct crowd *crowd = ten(&by_dn, members);
	struct err why;
	bool good = claims_good(p, &crowd, at(hours), &why);
	assert_null(crowd);
	return good;
}

/* u0 claims both groups, at HOURS and a half. */
static enum directory_word says(struct claims *p, const char *group, int64_t hours)
{
	struct directory_claim out[2];
	claims_say(p, SLICE("ldap:corp"), SLICE("corp:u0"), LIST(SLICE("corp:g0"), slice_of(group)), 2,
	    at(hours).mono + HOUR / 2, out);
	return out[1].word;
}

#define EVERYBODY 0x3ffu
#define BUT_U0 0x3feu

static void test_lost_takes_two_good_polls_an_hour_apart(void **state)
{
	(void)state;
	const struct directory_counts none = {0};
	AUTO(claims_free) struct claims *p = claims_new(&by_dn, &none);
	assert_int_equal(says(p, "corp:g1", -1), DIRECTORY_UNKNOWN);
	assert_true(poll(p, EVERYBODY, 0));
	assert_int_equal(says(p, "corp:g1", 0), DIRECTORY_PRESENT);
	assert_int_equal(says(p, "corp:G1", 0), DIRECTORY_PRESENT); /* respelled is not left */
	assert_int_equal(says(p, "corp:g1", 0), DIRECTORY_PRESENT);
	assert_true(poll(p, BUT_U0, 1));
	assert_int_equal(says(p, "corp:g1", 1), DIRECTORY_MISSING);
	assert_int_equal(claims_missing(p), 1);
	assert_true(poll(p, BUT_U0, 2));
	struct directory_claim out[2];
	claims_say(p, SLICE("ldap:corp"), SLICE("corp:u0"), LIST(SLICE("corp:g0"), SLICE("corp:g1")), 2, 0, out);
	assert_int_equal(out[0].word, DIRECTORY_PRESENT);
	assert_int_equal(out[1].word, DIRECTORY_GONE);
	assert_int_equal(out[1].since, EPOCH + 3600);
	assert_int_equal(says(p, "corp:g1", 2), DIRECTORY_GONE); /* the token says it again */
	claims_failed(p);
	assert_int_equal(says(p, "corp:g1", 2), DIRECTORY_MISSING);
	assert_true(poll(p, BUT_U0, 3));
	assert_int_equal(says(p, "corp:g1", 3), DIRECTORY_GONE);
	assert_true(poll(p, EVERYBODY, 4));
	assert_int_equal(says(p, "corp:g1", 4), DIRECTORY_PRESENT);
	assert_true(poll(p, BUT_U0, 5));
	assert_int_equal(says(p, "corp:g1", 5), DIRECTORY_MISSING);
}

static void test_a_claim_that_came_back_begins_anew(void **state)
{
	(void)state;
	const struct directory_counts none = {0};
	AUTO(claims_free) struct claims *p = claims_new(&by_dn, &none);
	says(p, "corp:g1", -1);
	for (int i = 0; i < 3; i++)
		assert_true(poll(p, BUT_U0, i));
	assert_int_equal(says(p, "corp:g1", 2), DIRECTORY_GONE);
	assert_int_equal(says(p, "corp:other", 2), DIRECTORY_UNKNOWN); /* a token without the group */
	assert_int_equal(says(p, "corp:g1", 2), DIRECTORY_MISSING);    /* and one with it */
	assert_true(poll(p, BUT_U0, 3));
	assert_int_equal(says(p, "corp:g1", 3), DIRECTORY_MISSING);
	assert_true(poll(p, BUT_U0, 4));
	assert_int_equal(says(p, "corp:g1", 4), DIRECTORY_GONE);
}

/* A poll that was under way when the claim appeared tells nothing against it. */
static void test_polls_that_began_before_the_claim(void **state)
{
	(void)state;
	const struct directory_counts none = {0};
	AUTO(claims_free) struct claims *p = claims_new(&by_dn, &none);
	assert_true(poll(p, BUT_U0, 0));
	assert_int_equal(says(p, "corp:g1", 5), DIRECTORY_MISSING);
	assert_true(poll(p, BUT_U0, 5)); /* half an hour before */
	assert_true(poll(p, BUT_U0, 6));
	assert_int_equal(says(p, "corp:g1", 6), DIRECTORY_MISSING);
	assert_true(poll(p, BUT_U0, 7));
	assert_int_equal(says(p, "corp:g1", 7), DIRECTORY_GONE);
}

struct judge_row {
	const char *what, *provider, *user, *group;
	enum directory_word word;
};

static void test_whose_claims_are_judged(void **state)
{
	(void)state;
	static const struct judge_row rows[] = {
	    {"as it should be", "ldap:corp", "corp:u0", "corp:g0", DIRECTORY_PRESENT},
	    {"the case of a user's name", "ldap:corp", "corp:U0", "corp:g0", DIRECTORY_PRESENT},
	    {"left", "ldap:corp", "corp:u0", "corp:g1", DIRECTORY_GONE},
	    {"a group that it never had", "ldap:corp", "corp:u0", "corp:nothing", DIRECTORY_UNKNOWN},
	    {"without the prefix", "ldap:corp", "corp:u0", "g1", DIRECTORY_UNKNOWN},
	    {"another prefix", "ldap:corp", "corp:u0", "Corp:g1", DIRECTORY_UNKNOWN},
	    {"nothing but the prefix", "ldap:corp", "corp:u0", "corp:", DIRECTORY_UNKNOWN},
	    {"nothing at all", "ldap:corp", "corp:u0", "", DIRECTORY_UNKNOWN},
	    {"a user who is not there", "ldap:corp", "corp:nobody", "corp:g1", DIRECTORY_UNKNOWN},
	    {"a user with another prefix", "ldap:corp", "u0", "corp:g1", DIRECTORY_UNKNOWN},
	    {"a nameless user", "ldap:corp", "", "corp:g1", DIRECTORY_UNKNOWN},
	    {"one name, another record", "dex", "corp:u0", "corp:g1", DIRECTORY_GONE},
	};
	const struct directory_counts none = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(claims_free) struct claims *p = claims_new(&by_dn, &none);
		struct directory_claim out;
		claims_say(p, SLICE("ldap:corp"), SLICE("corp:u5"), LIST(SLICE("corp:g0")), 1, 0, &out);
		for (int k = 0; k < 4; k++) {
			struct slice group = slice_of(rows[i].group);
			claims_say(p, slice_of(rows[i].provider), slice_of(rows[i].user), &group, 1, at(k).mono - HOUR / 2, &out);
			assert_true(poll(p, BUT_U0, k));
			claims_say(p, slice_of(rows[i].provider), slice_of(rows[i].user), &group, 1, at(k).mono, &out);
			if (k == 3 && (out.word != rows[i].word || !out.directory != (out.word == DIRECTORY_UNKNOWN &&
			    strcmp(rows[i].user, "corp:nobody") != 0)))
				fail_msg("%s: %d by %s", rows[i].what, out.word, out.directory);
		}
	}
}

/* Two records of one name in two cases, or of two providers, do not disturb each other. */
static void test_groups_that_were_deleted_are_lost_if_they_were_known(void **state)
{
	(void)state;
	const struct directory_counts none = {0};
	for (int known = 0; known < 2; known++) {
		struct directory_config config = by_dn;
		config.min_ratio_percent = 1;
		AUTO(claims_free) struct claims *p = claims_new(&config, &none);
		struct directory_entry user = {.dn = SLICE("uid=a,dc=x"), NAMES(SLICE("corp:a"))};
		struct directory_entry groups[] = {
		    {.dn = SLICE("cn=g0,dc=x"), NAMES(SLICE("g0")), LINKS(SLICE("uid=a,dc=x"))},
		    {.dn = SLICE("cn=g1,dc=x"), NAMES(SLICE("g1")), LINKS(SLICE("uid=a,dc=x"))}};
		for (int k = 0; k < 4; k++) {
			const struct directory_answer answer = {
			    .users = &user, .nusers = 1, .groups = groups, .ngroups = known && k == 0 ? 2 : 1};
			struct directory_claim out[2];
			struct err why;
			struct crowd *crowd = crowd_new(&config, &answer, &why);
			claims_say(p, SLICE("p"), SLICE("corp:a"), LIST(SLICE("corp:g0"), SLICE("corp:g1")), 2, at(k).mono - 1,
			    out);
			assert_true(claims_good(p, &crowd, at(k), &why));
			claims_say(p, SLICE("p"), SLICE("corp:a"), LIST(SLICE("corp:g0"), SLICE("corp:g1")), 2, at(k).mono + 1,
			    out);
			static const enum directory_word words[] = {
			    DIRECTORY_PRESENT, DIRECTORY_MISSING, DIRECTORY_GONE, DIRECTORY_GONE};
			assert_int_equal(out[1].word, known ? words[k] : DIRECTORY_UNKNOWN);
			assert_int_equal(claims_missing(p), known && k > 0);
		}
	}
}

static void test_records_of_one_name_are_apart(void **state)
{
	(void)state;
	const struct directory_counts none = {0};
	AUTO(claims_free) struct claims *p = claims_new(&by_dn, &none);
	struct directory_claim out;
	for (int k = 0; k < 3; k++) {
		claims_say(p, SLICE("dex"), SLICE("corp:u0"), LIST(SLICE("corp:g0")), 1, at(k).mono - 1, &out);
		claims_say(p, SLICE("ldap:corp"), SLICE("corp:U0"), LIST(SLICE("corp:g0")), 1, at(k).mono - 1, &out);
		says(p, "corp:g1", k - 1);
		assert_true(poll(p, BUT_U0, k));
	}
	assert_int_equal(says(p, "corp:g1", 3), DIRECTORY_GONE);
}

static void test_users_who_went_and_came_back_begin_anew(void **state)
{
	(void)state;
	const struct directory_counts none = {0};
	struct directory_config config = by_dn;
	config.user_uid_attribute = "uid"; /* whoever has no uid is not sure */
	config.min_ratio_percent = 1;
	static const enum directory_word words[] = {DIRECTORY_MISSING, DIRECTORY_GONE, DIRECTORY_GONE,
	    DIRECTORY_UNKNOWN, DIRECTORY_MISSING, DIRECTORY_MISSING, DIRECTORY_MISSING, DIRECTORY_GONE};
	AUTO(claims_free) struct claims *p = claims_new(&config, &none);
	const struct slice both[] = {SLICE("corp:g0"), SLICE("corp:g1")};
	struct directory_claim out[2];
	for (int k = 0; k < 8; k++) {
		struct directory_entry users[] = {{.dn = SLICE("uid=b,dc=x"), NAMES(SLICE("corp:b")), UIDS(SLICE("b"))},
		    {.dn = SLICE("uid=a,dc=x"), NAMES(SLICE("corp:a")), UIDS(SLICE("a"))}};
		struct directory_entry groups[] = {
		    {.dn = SLICE("cn=g0,dc=x"), NAMES(SLICE("g0")), LINKS(SLICE("b"), SLICE("a"))},
		    {.dn = SLICE("cn=g1,dc=x"), NAMES(SLICE("g1")), LINKS(SLICE("b"))}};
		const struct directory_answer answer = {
		    .users = users, .nusers = k == 3 ? 1 : 2, .groups = groups, .ngroups = 2};
		if (k == 5)
			users[1].nuids = 0;
		struct err why;
		struct crowd *crowd = crowd_new(&config, &answer, &why);
		claims_say(p, SLICE("ldap:corp"), SLICE("corp:b"), both, 2, at(k).mono - 1, out);
		claims_say(p, SLICE("ldap:corp"), SLICE("corp:a"), both, 2, at(k).mono - 1, out);
		assert_true(claims_good(p, &crowd, at(k), &why));
		claims_say(p, SLICE("ldap:corp"), SLICE("corp:a"), both, 2, at(k).mono + 1, out);
		assert_int_equal(out[1].word, words[k]);
	}
}

struct believe_row {
	const char *what;
	struct directory_counts last;
	unsigned members;
	bool good;
};

static void test_what_is_believed(void **state)
{
	(void)state;
	static const struct believe_row rows[] = {
	    {"the first", {0}, EVERYBODY, true},
	    {"as ever", {.groups = 2, .members = 20}, EVERYBODY, true},
	    {"one left", {.groups = 2, .members = 20}, BUT_U0, true},
	    {"just enough", {.groups = 2, .members = 25}, EVERYBODY, true},
	    {"too few members", {.groups = 2, .members = 26}, EVERYBODY, false},
	    {"too few groups", {.groups = 3, .members = 20}, EVERYBODY, false},
	    {"half of the members hidden", {.groups = 2, .members = 20}, 0, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(claims_free) struct claims *p = claims_new(&by_dn, &rows[i].last);
		if (poll(p, rows[i].members, 0) != rows[i].good)
			fail_msg("%s", rows[i].what);
		struct directory_counts counts = claims_counts(p);
		assert_int_equal(counts.members, rows[i].good ? 10 + (size_t)__builtin_popcount(rows[i].members)
							       : rows[i].last.members);
	}
}

/* Hidden by kinds: members, groups in groups, primary groups, groups. */
static void test_what_hides_one_kind(void **state)
{
	(void)state;
	struct directory_config config = by_dn;
	config.nested_groups = config.primary_group = true;
	struct directory_entry user = {.dn = SLICE("uid=a,dc=x"), NAMES(SLICE("corp:a")), .primary = SLICE("1")};
	struct directory_entry groups[] = {
	    {.dn = SLICE("cn=g0,dc=x"), NAMES(SLICE("g0")), LINKS(SLICE("uid=a,dc=x")), .primary = SLICE("1")},
	    {.dn = SLICE("cn=g1,dc=x"), NAMES(SLICE("g1")), LINKS(SLICE("cn=g0,dc=x"))},
	};
	for (int hide = 0; hide < 5; hide++) {
		struct directory_entry u = user, g[2] = {groups[0], groups[1]};
		struct directory_answer answer = {.users = &u, .nusers = 1, .groups = g, .ngroups = 2};
		struct directory_counts last = {.groups = 2, .members = 1, .nested = 1, .primary = 1};
		AUTO(claims_free) struct claims *p = claims_new(&config, &last);
		AUTO(claims_free) struct claims *first = claims_new(&config, &(struct directory_counts){0});
		if (hide == 1)
			g[0].nlinks = 0;
		if (hide == 2)
			g[1].nlinks = 0;
		if (hide == 3)
			g[0].primary = (struct slice){0};
		if (hide == 4)
			answer.ngroups = 0;
		struct err why;
		struct crowd *crowd = crowd_new(&config, &answer, &why);
		assert_int_equal(claims_good(p, &crowd, at(0), &why), hide == 0);
		crowd = crowd_new(&config, &answer, &why);
		assert_int_equal(claims_good(first, &crowd, at(0), &why), hide == 0 || hide == 2);
	}
}

/* A directory that never had a single group that anybody claims speaks of other names than portcullisd. */
static void test_nothing_is_lost_before_one_claim_was_confirmed(void **state)
{
	(void)state;
	struct directory_counts last = {0};
	for (int turn = 0; turn < 2; turn++) {
		AUTO(claims_free) struct claims *p = claims_new(&by_dn, &last);
		struct directory_claim out;
		const struct slice other = SLICE("corp:g1");
		for (int k = 0; k < 5; k++) {
			claims_say(p, SLICE("ldap:corp"), SLICE("corp:u0"), &other, 1, at(k).mono - 1, &out);
			assert_int_equal(out.word, turn && k > 1 ? DIRECTORY_GONE : k ? DIRECTORY_MISSING : DIRECTORY_UNKNOWN);
			assert_true(poll(p, BUT_U0, k));
		}
		claims_say(p, SLICE("ldap:corp"), SLICE("corp:u1"), &other, 1, 0, &out); /* is in it */
		last = claims_counts(p);
		assert_true(last.confirmed > 0);
	}
}

/* Against a slow and plain account of the rule: all polls since the claim appeared, kept whole. */
static void test_the_rule_itself(void **state)
{
	(void)state;
	enum { POLLS = 24 };
	static struct world w[POLLS];
	for (int round = 0; round < 400; round++) {
		struct directory_config c = draw_config();
		c.min_ratio_percent = 1;
		AUTO(claims_free) struct claims *p = claims_new(&c, &(struct directory_counts){.confirmed = 1});
		bool good[POLLS];
		int64_t when[POLLS], now = 1000, asked[GROUPS];
		for (size_t g = 0; g < GROUPS; g++)
			asked[g] = -1;
		uint64_t rare = 2 + draw(3);
		for (int i = 0; i < POLLS; i++) {
			struct slice claimed[GROUPS];
			struct directory_claim out[GROUPS];
			char text[GROUPS][16];
			size_t n = 0, which[GROUPS];
			/* The record's claims of now. */
			for (size_t g = 0; g < GROUPS; g++) {
				bool claims = draw(12) > 0;
				snprintf(text[g], sizeof(text[g]), "corp:g%zu", g);
				if (claims) {
					claimed[n] = slice_of(text[g]);
					which[n++] = g;
				}
				asked[g] = !claims ? -1 : asked[g] < 0 ? now : asked[g];
			}
			claims_say(p, SLICE("p"), SLICE("corp:u0"), claimed, n, now, out);
			now += 1 + (int64_t)draw(HOUR);
			when[i] = now;
			AUTO(arena_done) struct arena a;
			arena_init(&a, 0);
			world_names(&w[i]);
			if (i && draw(2))
				w[i] = w[i - 1];
			else
				world_draw(&w[i], rare);
			struct crowd *crowd = world_poll(&w[i], &c, &a);
			struct err why;
			good[i] = draw(5) > 0 && claims_good(p, &crowd, (struct directory_time){now, now}, &why);
			if (!good[i])
				claims_failed(p);
			crowd_free(&crowd);
			now++;
			claims_say(p, SLICE("p"), SLICE("corp:u0"), claimed, n, now, out);
			for (size_t k = 0; k < n; k++) {
				int64_t first = 0;
				bool known = false;
				for (int j = 0; j <= i; j++) {
					if (good[j] && when[j] <= asked[which[k]])
						known = w[j].there[which[k]]; /* what the last one before it had */
					if (!good[j] || when[j] <= asked[which[k]])
						continue;
					known |= w[j].there[which[k]];
					bool without = w[j].has[0] && !world_has(&w[j], &c, 0, which[k]);
					first = !without ? 0 : first ? first : when[j];
				}
				bool lost = good[i] && known && first && when[i] - first >= HOUR;
				assert_int_equal(out[k].word == DIRECTORY_GONE, lost);
				bool polled = false;
				for (int j = 0; j <= i; j++)
					polled |= good[j];
				assert_int_equal(out[k].directory != NULL, known || !polled);
				if (lost)
					assert_int_equal(out[k].since, first);
				if (good[i] && w[i].has[0])
					assert_int_equal(out[k].word == DIRECTORY_PRESENT, world_has(&w[i], &c, 0, which[k]));
			}
		}
	}
}

static void test_notes_of_counts(void **state)
{
	(void)state;
	const struct directory_counts c = {7, 6, 5, 4, 3, 2}, users = {.users = 9};
	AUTO(buf_done) struct buf note;
	buf_init(&note, 255);
	directory_counts_write(&c, &note);
	assert_string_equal(buf_cstr(&note), "7 6 5 4 3 2");
	struct directory_counts back = directory_counts_read(buf_cstr(&note));
	assert_memory_equal(&back, &c, sizeof(c));
	note.len = 0;
	directory_counts_write(&users, &note);
	assert_string_equal(buf_cstr(&note), "9"); /* as workers before this one wrote it */
	back = directory_counts_read("9");
	assert_memory_equal(&back, &users, sizeof(users));
	back = directory_counts_read("rubbish");
	assert_int_equal(back.users, 0);
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
	    cmocka_unit_test(test_lost_takes_two_good_polls_an_hour_apart),
	    cmocka_unit_test(test_a_claim_that_came_back_begins_anew),
	    cmocka_unit_test(test_polls_that_began_before_the_claim),
	    cmocka_unit_test(test_whose_claims_are_judged),
	    cmocka_unit_test(test_groups_that_were_deleted_are_lost_if_they_were_known),
	    cmocka_unit_test(test_records_of_one_name_are_apart),
	    cmocka_unit_test(test_users_who_went_and_came_back_begin_anew),
	    cmocka_unit_test(test_what_is_believed),
	    cmocka_unit_test(test_what_hides_one_kind),
	    cmocka_unit_test(test_nothing_is_lost_before_one_claim_was_confirmed),
	    cmocka_unit_test(test_the_rule_itself),
	    cmocka_unit_test(test_notes_of_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
