/* Proves what stands between a typed password and a directory: the memory of wrong ones, and the shape that
 * a basic token must have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "authn/chain.h"
#include "authn/directories.h"
#include "common/clock.h"
#include "common/jsonx.h"

/* --- wrong passwords --- */

static struct wrong of(const struct wrongs *w, const char *a, const char *b)
{
	const struct slice parts[] = {slice_of(a), slice_of(b)};
	return wrongs_hash(w, parts, 2);
}

static void test_a_wrong_password_is_known_for_its_time_and_then_for_twice_of_it(void **state UNUSED)
{
	AUTO(wrongs_free) struct wrongs *w = wrongs_new(10, 35);
	struct wrong x = of(w, "jane", "stale");
	int64_t now = 1000;
	static const int64_t windows[] = {10, 20, 35, 35};
	assert_false(wrongs_known(w, x, now));
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		wrongs_add(w, x, now);
		assert_true(wrongs_known(w, x, now + windows[i] - 1));
		assert_false(wrongs_known(w, x, now + windows[i]));
		now += windows[i] + 5;
	}
	/* After a long silence it begins anew. */
	now += 100;
	wrongs_add(w, x, now);
	assert_false(wrongs_known(w, x, now + 10));
}

static void test_only_the_same_password_of_the_same_account_is_known(void **state UNUSED)
{
	AUTO(wrongs_free) struct wrongs *w = wrongs_new(10, 10), *other = wrongs_new(10, 10);
	wrongs_add(w, of(w, "jane", "stale"), 0);
	assert_true(wrongs_known(w, of(w, "jane", "stale"), 1));
	assert_false(wrongs_known(w, of(w, "jane", "stale2"), 1));
	assert_false(wrongs_known(w, of(w, "janes", "tale"), 1));
	assert_false(wrongs_known(w, of(w, "bob", "stale"), 1));
	/* Another process's hashes say nothing. */
	struct wrong a = of(w, "jane", "stale"), b = of(other, "jane", "stale");
	assert_memory_not_equal(&a, &b, sizeof(a));
}

static void test_wrong_passwords_are_remembered_through_a_flood(void **state UNUSED)
{
	AUTO(wrongs_free) struct wrongs *w = wrongs_new(1000, 1000);
	char text[16];
	int stayed = 0;
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		wrongs_add(w, of(w, text, "p"), 10 + i / 100);
	}
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		stayed += wrongs_known(w, of(w, text, "p"), 50);
	}
	assert_in_range(stayed, 2990, 3000);
}

/* --- basic tokens --- */

struct world {
	struct ldap_config ldap[2];
	struct authn_config cfg;
	struct authn_services *services;
	struct authn_chain *chain;
	struct arena arena;
};

static const char *const audiences[] = {"https://kubernetes.default.svc"};
static const char *const urls[] = {"ldapi://%2Fnonexistent%2Fldapi"};

static struct ldap_config directory(const char *name, bool basic)
{
	return (struct ldap_config){.name = name,
	    .urls = {urls, 1},
	    .username_prefix = "",
	    .timeout = CLOCK_SECOND,
	    .cache_ttl = 30 * CLOCK_SECOND,
	    .basic = basic,
	    .user_search = {.base_dn = "ou=p", .filter = "(a=b)", .username = "uid"}};
}

static struct world *start(bool first, bool second)
{
	struct world *w = calloc(1, sizeof(*w));
	w->ldap[0] = directory("one", first);
	w->ldap[1] = directory("two", second);
	w->cfg = (struct authn_config){.audiences = {audiences, 1}, .ldap = {w->ldap, 2}};
	struct authn_services_options opt = {.workers = 1};
	AUTO(diags_done) struct diags d = {0};
	assert_int_equal(authn_services_new(&opt, &w->services, NULL), ERR_OK);
	assert_int_equal(authn_chain_new(&w->cfg, w->services, &w->chain, &d), ERR_OK);
	return w;
}

static void stop(struct world *w)
{
	authn_chain_free(&w->chain);
	authn_services_free(&w->services);
	arena_done(&w->arena);
	free(w);
}

static enum authn_step ask(struct world *w, struct slice token, struct authn_call *c)
{
	*c = (struct authn_call){.arena = &w->arena,
	    .token = token,
	    .now = clock_now(),
	    .deadline = clock_mono() + 5 * CLOCK_SECOND};
	return authn_try_now(w->chain, c);
}

static void test_only_what_has_the_shape_reaches_a_directory(void **state UNUSED)
{
	static const struct {
		const char *token;
		bool asks;
	} cases[] = {
	    {"amFuZTpwYXNz", true},	      /* jane:pass */
	    {"dXNlcjpwYTpzcw==", true},	      /* user:pa:ss */
	    {"asO8OnDDpHNz", true},	      /* UTF-8 */
	    {"dXNlcjpwYTpzcw", false},	      /* no padding */
	    {"dXNlcjpwYTpzcw=", false},
	    {"dXNlcjpwYTpzcx==", false},      /* unused bits */
	    {"amFuZTpwYXNz\n", false},
	    {"amFuZTpw YXNz", false},
	    {"amFuZTpw-XNz", false},	      /* the other alphabet */
	    {"amFuZQ==", false},	      /* no colon */
	    {"amFuZTo=", false},	      /* no password */
	    {"OnBhc3M=", false},	      /* no name */
	    {"Og==", false},
	    {"amFuZTpwAHNz", false},	      /* NUL */
	    {"amFuZTpwCnNz", false},	      /* a line break */
	    {"amFuZTr//g==", false},	      /* no UTF-8 */
	    {"jane:pass", false},
	    {"Basic amFuZTpwYXNz", false},
	    {"eyJhbGciOiJub25lIn0.e30.", false},
	};
	struct world *w = start(true, false);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct authn_call c;
		enum authn_step step = ask(w, slice_of(cases[i].token), &c);
		if (step != (cases[i].asks ? AUTHN_NEEDS_WORK : AUTHN_REJECT))
			fail_msg("%s: %d", cases[i].token, step);
		if (!cases[i].asks)
			assert_string_equal(c.reason, "noMatch");
	}
	/* Base64 of bytes by chance: none has a printable name and password. */
	char big[4096];
	memset(big, 'A', sizeof(big));
	struct authn_call c;
	assert_int_equal(ask(w, (struct slice){big, sizeof(big)}, &c), AUTHN_REJECT);
	assert_string_equal(c.reason, "noMatch");
	stop(w);
}

static void test_without_a_basic_directory_nothing_is_basic(void **state UNUSED)
{
	struct world *w = start(false, false);
	struct authn_call c;
	assert_null(w->chain->directories);
	assert_int_equal(ask(w, SLICE("amFuZTpwYXNz"), &c), AUTHN_REJECT);
	assert_string_equal(c.reason, "noMatch");
	stop(w);
}

static void test_only_basic_directories_are_asked_and_an_outage_is_no_refusal(void **state UNUSED)
{
	struct world *w = start(false, true);
	struct authn_call c;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(ask(w, SLICE("amFuZTpwYXNz"), &c), AUTHN_NEEDS_WORK);
		assert_int_equal(authn_work(w->chain, &c), AUTHN_UNAVAILABLE);
		assert_string_equal(c.reason, "directoryDown");
		assert_non_null(strstr(c.why.msg, "two"));
		assert_null(strstr(c.why.msg, "jane"));
		assert_int_equal(c.keep, 0);
	}
	stop(w);
}

static void test_names_share_one_count_with_logins(void **state UNUSED)
{
	struct world *w = start(true, false);
	int64_t wait;
	struct slice key = directories_fold(&w->arena, "typed:", SLICE(" Jane"));
	for (int i = 0; i < 5; i++)
		assert_true(penalty_take(
		    w->services->ldap->names, PENALTY_LOGIN, key, clock_mono(), &wait));
	struct authn_call c;
	assert_int_equal(ask(w, SLICE("amFuZTpwYXNz"), &c), AUTHN_NEEDS_WORK);
	assert_int_equal(authn_work(w->chain, &c), AUTHN_REJECT);
	assert_string_equal(c.reason, "limited");
	assert_int_equal(c.keep, 0);
	stop(w);
}

static void test_a_network_is_limited_as_one(void **state UNUSED)
{
	struct world *w = start(true, false);
	struct password_try t = {.arena = &w->arena, .username = SLICE("x"), .password = SLICE("y"),
	    .directory = SLICE("none"), .deadline = clock_mono() + 5 * CLOCK_SECOND};
	char name[16], address[32];
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		snprintf(address, sizeof(address), "2001:db8:1:2::%x", i + 1);
		t.username = slice_of(name);
		t.client = slice_of(address);
		assert_int_equal(directories_try(w->chain->directories, &t), DIRECTORY_REFUSED);
		assert_string_equal(t.dir.reason, "unknownDirectory");
	}
	t.username = SLICE("another");
	assert_int_equal(directories_try(w->chain->directories, &t), DIRECTORY_REFUSED);
	assert_string_equal(t.dir.reason, "limited");
	assert_in_range(t.wait, 1, CLOCK_SECOND);
	static const char *const others[] = {"2001:db8:1:3::1", "192.0.2.7", ""};
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		t.client = slice_of(others[i]);
		assert_int_equal(directories_try(w->chain->directories, &t), DIRECTORY_REFUSED);
		assert_string_equal(t.dir.reason, "unknownDirectory");
	}
	stop(w);
}

/* Of as many names as it takes until all of one path together have no more. */
static void use_up(struct world *w, bool basic)
{
	char name[16];
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "%c%d", basic ? 'b' : 'l', i);
		struct password_try t = {.arena = &w->arena, .username = slice_of(name),
		    .password = SLICE("y"), .directory = SLICE("none"), .basic = basic,
		    .deadline = clock_mono() + 5 * CLOCK_SECOND};
		assert_int_equal(directories_try(w->chain->directories, &t), DIRECTORY_REFUSED);
		if (strcmp(t.dir.reason, "limited") == 0)
			return;
		assert_string_equal(t.dir.reason, "unknownDirectory");
	}
	fail_msg("no limit");
}

static void test_guesses_on_one_path_do_not_close_the_other(void **state UNUSED)
{
	for (int basic = 0; basic < 2; basic++) {
		struct world *w = start(true, false);
		struct password_try t = {.arena = &w->arena, .username = SLICE("jane"),
		    .password = SLICE("y"), .directory = SLICE("none"), .basic = !basic,
		    .deadline = clock_mono() + 5 * CLOCK_SECOND};
		use_up(w, basic);
		assert_int_equal(directories_try(w->chain->directories, &t), DIRECTORY_REFUSED);
		assert_string_equal(t.dir.reason, "unknownDirectory");
		stop(w);
	}
}

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_wrong_password_is_known_for_its_time_and_then_for_twice_of_it),
	    cmocka_unit_test(test_only_the_same_password_of_the_same_account_is_known),
	    cmocka_unit_test(test_wrong_passwords_are_remembered_through_a_flood),
	    cmocka_unit_test(test_only_what_has_the_shape_reaches_a_directory),
	    cmocka_unit_test(test_without_a_basic_directory_nothing_is_basic),
	    cmocka_unit_test(test_only_basic_directories_are_asked_and_an_outage_is_no_refusal),
	    cmocka_unit_test(test_names_share_one_count_with_logins),
	    cmocka_unit_test(test_a_network_is_limited_as_one),
	    cmocka_unit_test(test_guesses_on_one_path_do_not_close_the_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
