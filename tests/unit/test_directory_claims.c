/* Proves that nothing but two good polls takes a claimed group away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "tests/support/directory_fixture.h"
#include "tests/support/draw.h"

#define EPOCH INT64_C(1700000000)

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
