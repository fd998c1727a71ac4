/* Proves what polls of a directory are believed for, and that nothing but two good ones takes anybody away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "rbac-sync/directory.h"
#include "rbac-sync/worker_config.h"
#include "tests/support/draw.h"

#define HOUR (3600 * CLOCK_SECOND)
#define EPOCH INT64_C(1700000000)

static const struct directory_config usual = {
    .username_prefix = "corp:", .confirm_after = HOUR, .min_ratio_percent = 80};

static struct directory_time at(int64_t hours)
{
	return (struct directory_time){1000 + hours * HOUR, EPOCH + hours * 3600};
}

/* A good poll of the first N of ten users, but WITHOUT. */
static bool poll(struct roster *r, size_t n, const char *without, int64_t hours)
{
	static const char *const all[] = {"corp:u0", "corp:u1", "corp:u2", "corp:u3", "corp:u4", "corp:u5", "corp:u6",
	    "corp:u7", "corp:u8", "corp:u9"};
	struct slice names[10];
	size_t k = 0;
	struct err why;
	for (size_t i = 0; i < n; i++) {
		if (!without || strcmp(all[i], without) != 0)
			names[k++] = slice_of(all[i]);
	}
	return roster_good(r, names, k, at(hours), &why);
}

static enum directory_word says(struct roster *r, const char *name)
{
	int64_t since;
	return roster_says(r, slice_of(name), &since);
}

static void test_gone_takes_two_good_polls_an_hour_apart(void **state)
{
	(void)state;
	AUTO(roster_free) struct roster *r = roster_new(&usual, 0);
	int64_t since = -1;
	assert_int_equal(says(r, "corp:u3"), DIRECTORY_UNKNOWN); /* before the first poll */
	assert_true(poll(r, 10, NULL, 0));
	assert_int_equal(says(r, "corp:u3"), DIRECTORY_PRESENT);
	assert_true(poll(r, 10, "corp:u3", 1));
	assert_int_equal(roster_says(r, SLICE("corp:u3"), &since), DIRECTORY_MISSING);
	assert_int_equal(since, EPOCH + 3600);
	assert_true(poll(r, 10, "corp:u3", 2));
	assert_int_equal(roster_says(r, SLICE("corp:u3"), &since), DIRECTORY_GONE);
	assert_int_equal(since, EPOCH + 3600);
	assert_true(poll(r, 10, NULL, 3));
	assert_int_equal(roster_says(r, SLICE("corp:u3"), &since), DIRECTORY_PRESENT);
	assert_int_equal(since, 0);
	/* It begins anew. */
	assert_true(poll(r, 10, "corp:u3", 4));
	assert_int_equal(says(r, "corp:u3"), DIRECTORY_MISSING);
}

static void test_polls_that_are_close_confirm_nothing(void **state)
{
	(void)state;
	AUTO(roster_free) struct roster *r = roster_new(&usual, 0);
	struct err why;
	struct slice rest[] = {SLICE("corp:a"), SLICE("corp:b")};
	says(r, "corp:gone");
	for (int i = 0; i < 60; i++) {
		struct directory_time when = {1000 + i * (HOUR / 60), EPOCH + i * 60};
		assert_true(roster_good(r, rest, 2, when, &why));
		assert_int_equal(says(r, "corp:gone"), DIRECTORY_MISSING);
	}
	assert_true(roster_good(r, rest, 2, at(1), &why));
	assert_int_equal(says(r, "corp:gone"), DIRECTORY_GONE);
}

/* The wall clock is for telling alone. */
static void test_steps_of_the_wall_clock_confirm_nothing(void **state)
{
	(void)state;
	AUTO(roster_free) struct roster *r = roster_new(&usual, 0);
	struct err why;
	struct slice rest[] = {SLICE("corp:a")};
	says(r, "corp:gone");
	assert_true(roster_good(r, rest, 1, (struct directory_time){1000, EPOCH}, &why));
	assert_true(roster_good(r, rest, 1, (struct directory_time){2000, EPOCH + 9999999}, &why));
	assert_int_equal(says(r, "corp:gone"), DIRECTORY_MISSING);
}

/* Whoever was made after the last poll is not missing. */
static void test_a_user_newer_than_the_polls(void **state)
{
	(void)state;
	AUTO(roster_free) struct roster *r = roster_new(&usual, 0);
	for (int i = 0; i < 50; i++)
		assert_true(poll(r, 9, NULL, i));
	assert_int_equal(says(r, "corp:new"), DIRECTORY_MISSING); /* their record has just appeared */
	assert_true(poll(r, 9, NULL, 50));
	assert_int_equal(says(r, "corp:new"), DIRECTORY_MISSING);
	assert_true(poll(r, 9, NULL, 51));
	assert_int_equal(says(r, "corp:new"), DIRECTORY_GONE);
	/* The same for one who was there, and of whom nobody asked until they had left. */
	assert_true(poll(r, 10, NULL, 52));
	assert_true(poll(r, 9, NULL, 53));
	assert_true(poll(r, 9, NULL, 60));
	assert_int_equal(says(r, "corp:u9"), DIRECTORY_MISSING);
	assert_true(poll(r, 9, NULL, 61));
	assert_true(poll(r, 9, NULL, 62));
	assert_int_equal(says(r, "corp:u9"), DIRECTORY_GONE);
}

static void test_failures_confirm_nothing_and_hide_what_was_confirmed(void **state)
{
	(void)state;
	AUTO(roster_free) struct roster *r = roster_new(&usual, 0);
	says(r, "corp:u3");
	assert_true(poll(r, 10, "corp:u3", 0));
	for (int i = 1; i < 5; i++) {
		roster_failed(r);
		assert_int_equal(says(r, "corp:u3"), DIRECTORY_MISSING);
	}
	assert_int_equal(says(r, "corp:u4"), DIRECTORY_PRESENT);
	assert_true(poll(r, 10, "corp:u3", 6));
	assert_int_equal(says(r, "corp:u3"), DIRECTORY_GONE);
	roster_failed(r);
	assert_int_equal(says(r, "corp:u3"), DIRECTORY_MISSING);
	assert_false(poll(r, 7, NULL, 7)); /* too few */
	assert_int_equal(says(r, "corp:u3"), DIRECTORY_MISSING);
	assert_true(poll(r, 10, "corp:u3", 8));
	assert_int_equal(says(r, "corp:u3"), DIRECTORY_GONE);
}

struct ratio_row {
	size_t before, now;
	int64_t percent;
	bool good;
};

static void test_how_few_are_believed(void **state)
{
	(void)state;
	static const struct ratio_row rows[] = {
	    {0, 1, 80, true}, {0, 0, 80, false}, {10, 10, 80, true}, {10, 8, 80, true}, {10, 7, 80, false},
	    {10, 0, 80, false}, {10, 0, 1, false}, {1000, 10, 1, true}, {1001, 10, 1, false}, {10, 9, 100, false},
	    {10, 10, 100, true}, {12, 10, 80, true}, {13, 10, 80, false}, {SIZE_MAX / 128, 10, 80, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct directory_config c = usual;
		c.min_ratio_percent = rows[i].percent;
		AUTO(roster_free) struct roster *r = roster_new(&c, rows[i].before);
		if (poll(r, rows[i].now, NULL, 0) != rows[i].good)
			fail_msg("row %zu", i);
		size_t count = rows[i].good ? rows[i].now : rows[i].before;
		assert_int_equal(roster_count(r), count);
	}
}

/* One name a thousand times is one user. */
static void test_repetitions_do_not_make_it_fuller(void **state)
{
	(void)state;
	AUTO(roster_free) struct roster *r = roster_new(&usual, 10);
	struct slice names[40];
	struct err why;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		names[i] = i % 2 ? SLICE("corp:same") : SLICE("corp:SAME");
	assert_false(roster_good(r, names, ARRAY_LEN(names), at(0), &why));
	assert_non_null(strstr(why.msg, "1 users are less than 80 % of the 10"));
}

struct name_row {
	const char *name;
	enum directory_word word;
};

static void test_names(void **state)
{
	(void)state;
	static const struct name_row rows[] = {
	    {"corp:Alice", DIRECTORY_PRESENT},
	    {"corp:alice", DIRECTORY_PRESENT},
	    {"corp:ALICE", DIRECTORY_PRESENT},
	    {"corp:J\xc3\xb6rg", DIRECTORY_PRESENT},
	    {"corp:alic", DIRECTORY_MISSING},
	    {"corp:alice ", DIRECTORY_MISSING},
	    {"corp:", DIRECTORY_MISSING},
	    {"Corp:alice", DIRECTORY_UNKNOWN},
	    {"alice", DIRECTORY_UNKNOWN},
	    {"other:alice", DIRECTORY_UNKNOWN},
	    {"", DIRECTORY_UNKNOWN},
	};
	AUTO(roster_free) struct roster *r = roster_new(&usual, 0);
	struct slice names[] = {SLICE("corp:Alice"), SLICE("corp:J\xc3\xb6rg"), SLICE("")};
	struct err why;
	assert_true(roster_good(r, names, ARRAY_LEN(names), at(0), &why));
	assert_int_equal(roster_count(r), 2);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (says(r, rows[i].name) != rows[i].word)
			fail_msg("%s: %d", rows[i].name, says(r, rows[i].name));
	}
	static char huge[100001];
	memset(huge, 'a', sizeof(huge) - 1);
	memcpy(huge, "corp:", 5);
	assert_int_equal(says(r, huge), DIRECTORY_UNKNOWN);
}

/* Against a slow and plain account of the rule: every poll since the first question, kept whole. */
static void test_the_rule_itself(void **state)
{
	(void)state;
	enum { POLLS = 40 };
	for (int round = 0; round < 400; round++) {
		AUTO(roster_free) struct roster *r = roster_new(&usual, 0);
		bool good[POLLS], had[POLLS];
		int64_t when[POLLS], now = 1000;
		int asked = (int)draw(POLLS / 2);
		size_t best = 0;
		for (int i = 0; i < POLLS; i++) {
			if (i == asked)
				says(r, "corp:u0");
			now += (int64_t)draw(HOUR);
			when[i] = now;
			had[i] = draw(3) > 0;
			size_t n = 5 + draw(6);
			bool tried = draw(4) > 0;
			size_t users = n - !had[i];
			struct directory_time t = {now, EPOCH + i};
			struct slice names[10];
			char text[10][16];
			for (size_t k = 0; k < n; k++) {
				snprintf(text[k], sizeof(text[k]), "corp:u%zu", had[i] ? k : k + 1);
				names[k] = slice_of(text[k]);
			}
			struct err why;
			good[i] = tried && roster_good(r, names, users, t, &why);
			assert_int_equal(good[i], tried && users * 100 >= best * 80);
			if (good[i])
				best = users;
			if (!tried)
				roster_failed(r);
			if (i < asked)
				continue;
			/* Gone: the last poll is good, and a good one an hour before it or longer began a row
			 * without them. */
			int64_t first = 0;
			for (int k = asked; k <= i; k++) {
				if (good[k] && had[k])
					first = 0;
				else if (good[k] && !first)
					first = when[k];
			}
			bool gone = good[i] && first && when[i] - first >= HOUR;
			assert_int_equal(says(r, "corp:u0") == DIRECTORY_GONE, gone);
		}
	}
}

/* --- configuration --- */

#define HEAD "apiVersion: sync.portcullis.dev/v1alpha1\nkind: RBACSyncConfiguration\ntemplates: t.yaml\n"
#define ENTRY "directories:\n- name: corp\n  url: ldaps://ldap.example.com\n  userNameAttributes: [uid]\n"
#define QUERY "  usersQuery: {baseDN: 'dc=x'}\n"
#define GROUPS "  groupsQuery: {baseDN: 'dc=g'}\n  groupNameAttributes: [cn]\n"

static bool loads(const char *text, struct arena *a, struct worker_config *c, struct buf *findings)
{
	struct diags d = {0};
	struct yaml_node *root;
	enum err_code code = yamlx_parse(a, "c.yaml", slice_of(text), &root, &d);
	if (code == ERR_OK)
		code = schema_bind(a, &worker_config_schema, "c.yaml", root, c, &d);
	diags_print(&d, findings);
	diags_done(&d);
	return code == ERR_OK;
}

static void test_configuration(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
	    {HEAD ENTRY QUERY, NULL},
	    {HEAD ENTRY QUERY "  bindDN: cn=a\n  bindPassword: {file: p}\n  ca: ca.pem\n  providers: [dex]\n", NULL},
	    {HEAD ENTRY QUERY "  bindDN: cn=a\n", "stand together"},
	    {HEAD ENTRY QUERY "  bindPassword: {file: p}\n", "stand together"},
	    {HEAD ENTRY QUERY "  bindDN: cn=a\n  bindPassword: {value: secret}\n", "not supported yet"},
	    {HEAD ENTRY QUERY "  insecure: true\n", "verified TLS alone"},
	    {HEAD ENTRY QUERY GROUPS "  groupMembershipAttributes: [memberOf]\n", NULL},
	    {HEAD ENTRY QUERY GROUPS "  groupMembershipAttributes: [member, memberUid]\n  userUIDAttribute: uid\n"
		"  groupsPrefix: 'c:'\n  nestedGroups: true\n  primaryGroup: true\n", NULL},
	    {HEAD ENTRY QUERY GROUPS, "c.yaml:9:16: error: groupsQuery needs groupMembershipAttributes"},
	    {HEAD ENTRY QUERY "  groupsQuery: {baseDN: 'dc=g'}\n  groupMembershipAttributes: [member]\n",
		"groupsQuery needs groupNameAttributes"},
	    {HEAD ENTRY QUERY "  groupMembershipAttributes: [memberOf]\n",
		"c.yaml:9:30: error: groupMembershipAttributes: only with groupsQuery"},
	    {HEAD ENTRY QUERY "  nestedGroups: false\n", "nestedGroups: only with groupsQuery"},
	    {HEAD ENTRY QUERY "  groupsPrefix: 'c:'\n", "groupsPrefix: only with groupsQuery"},
	    {HEAD ENTRY QUERY "  userUIDAttribute: dn\n", "userUIDAttribute: only with groupsQuery"},
	    {HEAD ENTRY QUERY "  primaryGroup: true\n", "primaryGroup: only with groupsQuery"},
	    {HEAD ENTRY QUERY GROUPS "  groupMembershipAttributes: [memberUid]\n  userUIDAttribute: uid\n"
		"  nestedGroups: true\n", "c.yaml:13:17: error: nestedGroups: groups are in groups by DN"},
	    {HEAD ENTRY QUERY GROUPS "  groupMembershipAttributes: []\n", "groupMembershipAttributes"},
	    {HEAD ENTRY QUERY GROUPS "  groupMembershipAttributes: [memberOf]\n  userUIDAttribute: ''\n",
		"userUIDAttribute"},
	    {HEAD ENTRY QUERY "  groupsQuery: {baseDN: 'dc=g', filter: 'cn=*'}\n  groupNameAttributes: [cn]\n"
		"  groupMembershipAttributes: [member]\n", "groupsQuery.filter must stand in parentheses"},
	    {HEAD ENTRY QUERY "  groupsQuery: {filter: '(cn=*)'}\n  groupNameAttributes: [cn]\n"
		"  groupMembershipAttributes: [member]\n", "baseDN"},
	    {HEAD ENTRY QUERY "  interval: 10ms\n", "interval"},
	    {HEAD ENTRY QUERY "  minRatioPercent: 0\n", "minRatioPercent"},
	    {HEAD ENTRY "  usersQuery: {baseDN: 'dc=x', filter: 'uid=*'}\n", "parentheses"},
	    {HEAD ENTRY "  usersQuery: {filter: '(uid=*)'}\n", "baseDN"},
	    {HEAD ENTRY, "usersQuery"},
	    {HEAD ENTRY QUERY "- name: corp\n  url: ldap://b\n  userNameAttributes: [uid]\n" QUERY, "already"},
	    {HEAD "directories:\n- name: Corp x\n  url: ldap://b\n  userNameAttributes: [uid]\n" QUERY, "DNS label"},
	    {HEAD "directories:\n- name: a\n  url: http://b\n  userNameAttributes: [uid]\n" QUERY, "url must be"},
	    {HEAD "directories:\n- name: a\n  url: ldap://b/dc=x\n  userNameAttributes: [uid]\n" QUERY, "url must be"},
	    {HEAD "directories:\n- name: a\n  url: 'ldap://'\n  userNameAttributes: [uid]\n" QUERY, "url must be"},
	    {HEAD "gc: {disableAfter: 720h}\n", "longer than staleAfter"},
	    {HEAD "gc: {disableAfter: 721h, deleteAfter: 721h}\n", "longer than disableAfter"},
	    {HEAD "gc: {deleteAfter: 721h}\n", "needs disableAfter or disableGone"},
	    {HEAD "gc: {deleteAfter: 721h, disableGone: true}\n", NULL},
	    {HEAD "gc: {staleAfter: 1s, disableAfter: 2s, deleteAfter: 3s}\n", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a;
		struct worker_config c;
		AUTO(buf_done) struct buf findings;
		buf_init(&findings, 1 << 16);
		arena_init(&a, 0);
		bool ok = loads(rows[i][0], &a, &c, &findings);
		if (ok != !rows[i][1] || (rows[i][1] && !strstr(buf_cstr(&findings), rows[i][1])))
			fail_msg("row %zu: %s", i, buf_cstr(&findings));
		if (ok && c.directories.len) {
			const struct directory_config *dir = c.directories.items;
			assert_string_equal(dir->username_prefix, "");
			assert_int_equal(dir->interval, HOUR);
			assert_int_equal(dir->confirm_after, HOUR);
			assert_int_equal(dir->min_ratio_percent, 80);
		}
		arena_done(&a);
	}
}

/* What the manual shows. */
static void test_the_manuals_example(void **state)
{
	(void)state;
	struct arena a;
	struct worker_config c;
	struct err e;
	struct slice doc;
	AUTO(buf_done) struct buf findings;
	buf_init(&findings, 1 << 16);
	arena_init(&a, 0);
	const char *top = getenv("top_srcdir") ? getenv("top_srcdir") : ".";
	assert_int_equal(file_read(&a, arena_printf(&a, "%s/docs/rbac-sync.md", top), 1 << 20, &doc, &e), ERR_OK);
	const char *text = arena_strndup(&a, doc.p, doc.len), *at = strstr(text, "```yaml\ndirectories:");
	assert_non_null(at);
	at += strlen("```yaml\n");
	const char *example = arena_printf(&a, HEAD "%.*s", (int)(strstr(at, "```") - at), at);
	if (!loads(example, &a, &c, &findings))
		fail_msg("%s", buf_cstr(&findings));
	assert_int_equal(c.directories.len, 2);
	const struct directory_config *d = c.directories.items;
	assert_true(d[0].groups.present && d[0].user_uid_attribute && !d[0].nested_groups);
	assert_true(d[1].groups.present && !d[1].user_uid_attribute && d[1].nested_groups && d[1].primary_group);
	arena_done(&a);
}

static void test_who_is_to_judge_a_claim(void **state)
{
	(void)state;
	static const char *const both[] = {"dex", "other"};
	struct directory_config entries[] = {usual, usual, usual};
	entries[0].name = "corp"; /* ldap:corp */
	entries[0].groups_prefix = "c:";
	entries[1].name = "users"; /* asks for no groups */
	entries[1].providers = (struct string_list){both, 2};
	entries[1].groups_prefix = "";
	entries[2].name = "all";
	entries[2].providers = (struct string_list){both, 1};
	entries[2].groups_prefix = "";
	entries[0].groups.present = entries[2].groups.present = true;
	const struct object_list list = {entries, 3};
	static const char *const rows[][3] = {{"ldap:corp", "c:dev", "corp"}, {"ldap:corp", "dev", NULL},
	    {"ldap:corporate", "c:dev", NULL}, {"corp", "c:dev", NULL}, {"dex", "dev", "all"}, {"dex", "c:dev", "all"},
	    {"other", "dev", NULL}, {"", "dev", NULL}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *name = directory_configs_judge(&list, slice_of(rows[i][0]), slice_of(rows[i][1]));
		if (!text_eq(name, rows[i][2]))
			fail_msg("row %zu: %s", i, name);
	}
	assert_null(directory_configs_judge(NULL, SLICE("dex"), SLICE("dev")));
}

/* --- together, without anybody to poll --- */

static void test_nothing_is_known_without_polls(void **state)
{
	(void)state;
	struct directory_config entries[] = {usual, usual};
	entries[0].name = "a";
	entries[1].name = "b";
	entries[0].url = entries[1].url = "ldapi:///nowhere.sock";
	struct object_list list = {entries, 2};
	struct directories *d = directories_start(&list, NULL, NULL);
	int64_t since = 5;
	assert_int_equal(directories_say(d, SLICE("ldap:a"), SLICE("corp:x"), &since), DIRECTORY_UNKNOWN);
	assert_int_equal(since, 0);
	const struct directory_counts fifty = {.users = 50}, none = {0};
	directories_remember(d, "a", &fifty);
	directories_remember(d, "nobody", &fifty);
	assert_int_equal(directories_counts(d, "a").users, 50);
	assert_int_equal(directories_counts(d, "b").users, 0);
	assert_int_equal(directories_counts(d, "nobody").users, 0);
	directories_lead(d, true);
	directories_remember(d, "a", &none); /* only before */
	assert_int_equal(directories_counts(d, "a").users, 50);
	assert_int_equal(directories_say(d, SLICE("ldap:a"), SLICE("corp:x"), &since), DIRECTORY_UNKNOWN);
	directories_lead(d, false);
	directories_stop(&d);
	assert_null(d);
	directories_stop(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gone_takes_two_good_polls_an_hour_apart),
	    cmocka_unit_test(test_polls_that_are_close_confirm_nothing),
	    cmocka_unit_test(test_steps_of_the_wall_clock_confirm_nothing),
	    cmocka_unit_test(test_a_user_newer_than_the_polls),
	    cmocka_unit_test(test_failures_confirm_nothing_and_hide_what_was_confirmed),
	    cmocka_unit_test(test_how_few_are_believed),
	    cmocka_unit_test(test_repetitions_do_not_make_it_fuller),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_the_rule_itself),
	    cmocka_unit_test(test_configuration),
	    cmocka_unit_test(test_the_manuals_example),
	    cmocka_unit_test(test_who_is_to_judge_a_claim),
	    cmocka_unit_test(test_nothing_is_known_without_polls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
