/* Proves the login's parts: what a request may be, penalties, and the account cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "authn/login_request.h"
#include "authn/login_state.h"
#include "common/clock.h"
#include "common/jsonx.h"

/* --- requests --- */

static enum err_code parse(
    struct arena *a, const char *header, struct slice body, struct login_request *out)
{
	struct err e = {0};
	enum err_code code = login_request_parse(slice_of(header), body, a, out, &e);
	assert_true(code == ERR_OK || code == ERR_INVALID);
	/* Nothing of the input comes back: it may be a password. */
	assert_null(strstr(e.msg, "secret"));
	return code;
}

static void test_basic_splits_at_the_first_colon(void **state UNUSED)
{
	static const struct {
		const char *header;
		struct slice user, password;
	} cases[] = {
	    {"Basic dXNlcjpwYTpzcw==", SLICE("user"), SLICE("pa:ss")},
	    {"basic dXNlcjpwYTpzcw==", SLICE("user"), SLICE("pa:ss")},
	    {"Basic  dXNlcjpwYXNz", SLICE("user"), SLICE("pass")},
	    {"Basic dTo=", SLICE("u"), SLICE("")},
	    {"Basic Og==", SLICE(""), SLICE("")},
	    {"Basic OnA=", SLICE(""), SLICE("p")},
	    {"Basic dToAcA==", SLICE("u"), SLICE("\0p")},
	    {"Basic dTr//g==", SLICE("u"), SLICE("\xFF\xFE")},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(arena_done) struct arena a = {0};
		struct login_request r;
		assert_int_equal(parse(&a, cases[i].header, SLICE(""), &r), ERR_OK);
		assert_true(slice_eq(r.username, cases[i].user));
		assert_true(slice_eq(r.password, cases[i].password));
		assert_int_equal(r.directory.len, 0);
	}
}

static void test_malformed_basic_is_refused(void **state UNUSED)
{
	static const char *const cases[] = {"Bearer dXNlcjpwYXNz", "Basic", "Basic ",
	    "Basic dXNlcg==" /* no colon */, "Basic dXNlcjpwYXN", "Basic dXNlcjpwYTpzcw",
	    "Basic dXNlcjpwYTpzcw=", "Basic dXNlcjpwYTpzcw===",
	    "Basic dXNlcjpwYTpzcx==" /* unused bits */, "Basic dTp=" /* unused bits */,
	    "Basic dXNl=jpwYXNz", "Basic dXNlcjpwYXNz\n", "Basic dXNl cjpwYXNz",
	    "Basic dXNlcjpw-XNz", "Basic ====", "BasicdXNlcjpwYXNz"};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(arena_done) struct arena a = {0};
		struct login_request r;
		if (parse(&a, cases[i], SLICE("{\"username\":\"u\",\"password\":\"p\"}"), &r) ==
		    ERR_OK)
			fail_msg("accepted: %s", cases[i]);
	}
	AUTO(arena_done) struct arena a = {0};
	struct login_request r;
	char *big = arena_alloc(&a, LOGIN_HEADER_MAX + 100);
	memset(big, 'A', LOGIN_HEADER_MAX + 99);
	memcpy(big, "Basic ", 6);
	assert_int_equal(parse(&a, big, SLICE(""), &r), ERR_INVALID);
}

static void test_json_bodies(void **state UNUSED)
{
	static const struct {
		const char *body;
		const char *user, *password, *directory; /* user NULL: refused */
	} cases[] = {
	    {"{\"username\":\"u\",\"password\":\"p\"}", "u", "p", ""},
	    {" {\"password\":\"p\\u00e9\",\"directory\":\"corp\",\"username\":\"u\"} ", "u",
		"p\xC3\xA9", "corp"},
	    {"{\"username\":\"u\",\"password\":\"\"}", "u", "", ""},
	    {"{\"username\":\"u\",\"password\":null}", "u", "", ""},
	    {"", NULL, NULL, NULL},
	    {"[]", NULL, NULL, NULL},
	    {"{}", NULL, NULL, NULL},
	    {"{\"username\":\"u\"}", NULL, NULL, NULL},
	    {"{\"password\":\"secret\"}", NULL, NULL, NULL},
	    {"{\"username\":\"u\",\"password\":\"secret\",\"password\":\"q\"}", NULL, NULL, NULL},
	    {"{\"username\":\"u\",\"password\":\"secret\",\"more\":1}", NULL, NULL, NULL},
	    {"{\"Username\":\"u\",\"password\":\"secret\"}", NULL, NULL, NULL},
	    {"{\"username\":1,\"password\":\"secret\"}", NULL, NULL, NULL},
	    {"{\"username\":\"u\",\"password\":[\"secret\"]}", NULL, NULL, NULL},
	    {"{\"username\":\"u\",\"password\":\"secret\"}x", NULL, NULL, NULL},
	    {"{\"username\":\"u\",\"password\":\"secret\\u0000\"}", NULL, NULL, NULL},
	    {"{\"username\":\"u\",\"password\":\"secret", NULL, NULL, NULL},
	    {"{\"username\":\"\xFF\",\"password\":\"secret\"}", NULL, NULL, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(arena_done) struct arena a = {0};
		struct login_request r;
		enum err_code code = parse(&a, NULL, slice_of(cases[i].body), &r);
		if ((code == ERR_OK) != (cases[i].user != NULL))
			fail_msg("%s: %d", cases[i].body, code);
		if (code != ERR_OK)
			continue;
		assert_true(slice_is(r.username, cases[i].user));
		assert_true(slice_is(r.password, cases[i].password));
		assert_true(slice_is(r.directory, cases[i].directory));
	}
}

/* --- penalties --- */

static const struct penalty_limits few = {
    .key_burst = 3, .key_interval = 10, .all_burst = 5, .all_interval = 1};

static void test_penalty_stops_a_name_and_forgives_in_time(void **state UNUSED)
{
	AUTO(penalty_free) struct penalty *p = penalty_new(&few);
	int64_t wait;
	for (int i = 0; i < 3; i++)
		assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 1000, &wait));
	assert_false(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 1000, &wait));
	assert_int_equal(wait, 10);
	assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("bob"), 1000, &wait));
	assert_false(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 1009, &wait));
	assert_int_equal(wait, 1);
	assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 1010, &wait));
	assert_false(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 1010, &wait));
	/* Long after, all of it is there again, and not more. */
	for (int i = 0; i < 3; i++)
		assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 9000, &wait));
	assert_false(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 9000, &wait));
}

static void test_penalty_stops_a_flood_of_names(void **state UNUSED)
{
	AUTO(penalty_free) struct penalty *p = penalty_new(&few);
	int64_t wait;
	char name[2] = "a";
	for (int i = 0; i < 5; i++, name[0]++)
		assert_true(penalty_take(p, PENALTY_LOGIN, slice_of(name), 1000, &wait));
	assert_false(penalty_take(p, PENALTY_LOGIN, SLICE("z"), 1000, &wait));
	assert_int_equal(wait, 1);
	/* A refusal took nothing. */
	for (int i = 0; i < 3; i++)
		assert_true(penalty_take_key(p, SLICE("z"), 1000, &wait));
	assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("y"), 1001, &wait));
}

static void test_penalty_counts_all_by_path_and_a_name_on_both(void **state UNUSED)
{
	AUTO(penalty_free) struct penalty *p = penalty_new(&few);
	int64_t wait;
	char name[2] = "a";
	for (int i = 0; i < 5; i++, name[0]++)
		assert_true(penalty_take(p, PENALTY_REVIEW, slice_of(name), 1000, &wait));
	assert_false(penalty_take(p, PENALTY_REVIEW, SLICE("y"), 1000, &wait));
	/* The other path has all of its own, but of a name only what is left. */
	for (int i = 0; i < 2; i++)
		assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("a"), 1000, &wait));
	assert_false(penalty_take(p, PENALTY_LOGIN, SLICE("a"), 1000, &wait));
	for (int i = 0; i < 3; i++)
		assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("z"), 1000, &wait));
	assert_false(penalty_take(p, PENALTY_LOGIN, SLICE("y"), 1000, &wait));
	/* What is given back goes to its own path. */
	penalty_give(p, PENALTY_LOGIN, SLICE("z"));
	assert_false(penalty_take(p, PENALTY_REVIEW, SLICE("y"), 1000, &wait));
	assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("y"), 1000, &wait));
}

static void test_penalty_gives_back_what_was_no_failure(void **state UNUSED)
{
	AUTO(penalty_free) struct penalty *p = penalty_new(&few);
	int64_t wait;
	for (int i = 0; i < 100; i++) {
		assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 1000, &wait));
		penalty_give(p, PENALTY_LOGIN, SLICE("jane"));
	}
	for (int i = 0; i < 3; i++)
		assert_true(penalty_take_key(p, SLICE("jane"), 1000, &wait));
	penalty_give_key(p, SLICE("jane"));
	assert_true(penalty_take_key(p, SLICE("jane"), 1000, &wait));
	assert_false(penalty_take_key(p, SLICE("jane"), 1000, &wait));
}

static void test_penalty_remembers_the_guilty_through_a_flood(void **state UNUSED)
{
	struct penalty_limits wide = few;
	wide.all_burst = 1000000;
	AUTO(penalty_free) struct penalty *p = penalty_new(&wide);
	int64_t wait;
	for (int i = 0; i < 3; i++)
		assert_true(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 1000, &wait));
	for (int i = 0; i < 200000; i++) {
		char name[16];
		snprintf(name, sizeof(name), "n%d", i);
		assert_true(penalty_take(p, PENALTY_LOGIN, slice_of(name), 1000, &wait));
	}
	assert_false(penalty_take(p, PENALTY_LOGIN, SLICE("jane"), 1000, &wait));
}

/* --- the account cache --- */

static void test_account_cache_keeps_until_its_time(void **state UNUSED)
{
	AUTO(account_cache_free) struct account_cache *c = account_cache_new();
	AUTO(arena_done) struct arena a = {0};
	const struct slice groups[] = {SLICE("a"), SLICE("b")};
	struct identity id = {.username = SLICE("corp:jane"),
	    .uid = SLICE("1"),
	    .groups = groups,
	    .ngroups = 2,
	    .provider = SLICE("ldap:corp")};
	struct identity got;
	account_cache_put(c, SLICE("k"), &id, 100, 200);
	assert_false(account_cache_get(c, SLICE("other"), 150, &a, &got, NULL));
	assert_true(account_cache_get(c, SLICE("k"), 199, &a, &got, NULL));
	assert_true(slice_eq(got.username, id.username) && slice_eq(got.uid, id.uid));
	assert_int_equal(got.ngroups, 2);
	assert_true(slice_eq(got.groups[1], groups[1]));
	assert_false(account_cache_get(c, SLICE("k"), 200, &a, &got, NULL));
	account_cache_put(c, SLICE("k"), &id, 100, 100);
	assert_false(account_cache_get(c, SLICE("k"), 50, &a, &got, NULL));
	/* A newer answer replaces the older; a dropped one is gone. */
	account_cache_put(c, SLICE("k"), &id, 100, 200);
	id.ngroups = 1;
	account_cache_put(c, SLICE("k"), &id, 110, 210);
	assert_true(account_cache_get(c, SLICE("k"), 205, &a, &got, NULL));
	assert_int_equal(got.ngroups, 1);
	account_cache_drop(c, SLICE("k"));
	account_cache_drop(c, SLICE("k"));
	assert_false(account_cache_get(c, SLICE("k"), 120, &a, &got, NULL));
}

static void test_account_cache_is_bounded_in_number_and_bytes(void **state UNUSED)
{
	AUTO(account_cache_free) struct account_cache *c = account_cache_new();
	AUTO(arena_done) struct arena a = {0};
	struct identity got, id = {.username = SLICE("x")};
	char key[16];
	for (int i = 0; i <= ACCOUNT_CACHE_MAX; i++) {
		snprintf(key, sizeof(key), "%d", i);
		account_cache_put(c, slice_of(key), &id, 1, 2);
	}
	assert_false(account_cache_get(c, SLICE("0"), 1, &a, &got, NULL));
	assert_true(account_cache_get(c, SLICE("1"), 1, &a, &got, NULL));
	assert_true(account_cache_get(c, slice_of(key), 1, &a, &got, NULL));
	/* One identity of a MiB at a time: about 64 of them stay. */
	size_t n = 5000, stayed = 0;
	struct slice *groups = ARENA_ARRAY(&a, struct slice, n);
	char *name = arena_alloc(&a, 200);
	memset(name, 'g', 199);
	for (size_t i = 0; i < n; i++)
		groups[i] = (struct slice){name, 199};
	id.groups = groups;
	id.ngroups = n;
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "big%d", i);
		account_cache_put(c, slice_of(key), &id, 1, 2);
	}
	for (int i = 0; i < 100; i++) {
		AUTO(arena_done) struct arena b = {0};
		snprintf(key, sizeof(key), "big%d", i);
		stayed += account_cache_get(c, slice_of(key), 1, &b, &got, NULL);
	}
	assert_in_range(stayed, 30, 64);
}

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_basic_splits_at_the_first_colon),
	    cmocka_unit_test(test_malformed_basic_is_refused),
	    cmocka_unit_test(test_json_bodies),
	    cmocka_unit_test(test_penalty_stops_a_name_and_forgives_in_time),
	    cmocka_unit_test(test_penalty_stops_a_flood_of_names),
	    cmocka_unit_test(test_penalty_counts_all_by_path_and_a_name_on_both),
	    cmocka_unit_test(test_penalty_gives_back_what_was_no_failure),
	    cmocka_unit_test(test_penalty_remembers_the_guilty_through_a_flood),
	    cmocka_unit_test(test_account_cache_keeps_until_its_time),
	    cmocka_unit_test(test_account_cache_is_bounded_in_number_and_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
