/* Proves globs: single patterns by table, sets of patterns against one-by-one matching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "policy/glob.h"
#include "policy/intern.h"

static void test_one_pattern(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *text;
		bool match;
	} rows[] = {
	    {"", "", true},
	    {"", "a", false},
	    {"a", "a", true},
	    {"a", "A", false},
	    {"a", "ab", false},
	    {"*", "", true},
	    {"*", "anything/at:all", true},
	    {"**", "", true},
	    {"**", "x", true},
	    {"a*", "a", true},
	    {"a*", "ba", false},
	    {"*a", "ba", true},
	    {"*a", "ab", false},
	    {"a*a", "a", false},
	    {"a*a", "aa", true},
	    {"ab*ba", "aba", false},
	    {"ab*ba", "abba", true},
	    {"a*b*c", "abc", true},
	    {"a*b*c", "axxbyyc", true},
	    {"a*b*c", "acb", false},
	    {"a*b*b", "ab", false},
	    {"a*b*b", "abb", true},
	    {"a**b", "ab", true},
	    {"*a*", "xay", true},
	    {"*a*", "xy", false},
	    {"*ab*ab*", "ab", false},
	    {"*ab*ab*", "xababx", true},
	    {"*aab", "aaab", true},
	    {"team-*", "team-", true},
	    {"team-*", "team", false},
	    {"*-prod", "a-prod", true},
	    {"*-prod", "-prod-", false},
	    {"?", "a", false},
	    {"[a]", "a", false},
	    {"a\\*", "a*", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool got = glob_match(slice_of(rows[i].pattern), slice_of(rows[i].text));
		if (got != rows[i].match)
			fail_msg("`%s` on `%s`: %d", rows[i].pattern, rows[i].text, got);
	}
	assert_true(glob_is_all(SLICE("**")));
	assert_false(glob_is_all(SLICE("")));
	assert_false(glob_is_all(SLICE("a*")));
}

static uint32_t rnd(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

static struct slice word(struct arena *a, uint64_t *seed, const char *letters, uint32_t max)
{
	uint32_t n = rnd(seed) % (max + 1);
	char *p = arena_alloc(a, n + 1);
	for (uint32_t i = 0; i < n; i++)
		p[i] = letters[rnd(seed) % strlen(letters)];
	return (struct slice){p, n};
}

/* The textbook recursion. */
static bool naive(const char *p, const char *s)
{
	if (*p == '\0')
		return *s == '\0';
	if (*p == '*')
		return naive(p + 1, s) || (*s && naive(p, s + 1));
	return *s == *p && naive(p + 1, s + 1);
}

static void test_matching_is_the_textbook_recursion(void **state)
{
	(void)state;
	uint64_t seed = 7;
	for (int i = 0; i < 200000; i++) {
		AUTO(arena_done) struct arena a = {0};
		struct slice p = word(&a, &seed, "ab*", 7), s = word(&a, &seed, "ab", 9);
		if (glob_match(p, s) != naive(p.p, s.p))
			fail_msg("`%s` on `%s`", p.p, s.p);
	}
}

#define PATTERNS 40

/* A word behind STEM, or behind the first bytes of it. */
static struct slice stemmed(
    struct arena *a, uint64_t *seed, struct slice stem, const char *letters, uint32_t max)
{
	struct slice w = word(a, seed, letters, max);
	size_t n = rnd(seed) % 4 ? stem.len : rnd(seed) % (stem.len + 1);
	char *p = arena_alloc(a, n + w.len + 1);
	memcpy(p, stem.p, n);
	memcpy(p + n, w.p, w.len);
	return (struct slice){p, n + w.len};
}

static unsigned ruled_out; /* texts that were known to match nothing by how they begin and end */

static void check_set(const struct globset *set, const struct slice *patterns, uint32_t n, struct slice s)
{
	int found[PATTERNS] = {0};
	struct glob_cursor c = globset_search(set, s);
	uint32_t at;
	while (globset_next(&c, &at)) {
		assert_true(at < n);
		assert_true(globset_may(set, s));
		found[at]++;
	}
	for (uint32_t k = 0; k < n; k++)
		if (found[k] != glob_match(patterns[k], s))
			fail_msg("`%s` on `%s`: found %d times", patterns[k].p, s.p, found[k]);
	ruled_out += !globset_may(set, s);
}

static void test_a_set_finds_each_matching_pattern_once(void **state)
{
	(void)state;
	uint64_t seed = 11;
	for (int round = 0; round < 2000; round++) {
		AUTO(arena_done) struct arena a = {0};
		struct slice patterns[PATTERNS];
		struct slice stem = word(&a, &seed, "abc", rnd(&seed) % 2 ? 0 : 14);
		struct globset set;
		struct intern seen = {0};
		uint32_t n = 0, want = rnd(&seed) % PATTERNS;
		for (uint32_t i = 0; i < want; i++) {
			struct slice p = stemmed(&a, &seed, stem, "ab*", 6);
			if (glob_is(p) && intern_find(&seen, p) == INTERN_NONE) {
				intern_add(&seen, p);
				patterns[n++] = p;
			}
		}
		globset_build(&set, &a, patterns, n);
		for (int i = 0; i < 50; i++)
			check_set(&set, patterns, n, stemmed(&a, &seed, stem, "ab", 8));
		intern_done(&seen);
	}
	assert_true(ruled_out > 1000);
}

static void test_interning_gives_one_number_to_a_text(void **state)
{
	(void)state;
	struct intern t = {0};
	char texts[1000][16];
	assert_int_equal(intern_find(&t, SLICE("x")), INTERN_NONE);
	for (int i = 0; i < 1000; i++) {
		snprintf(texts[i], sizeof(texts[i]), "w%d", i);
		assert_int_equal(intern_add(&t, slice_of(texts[i])), i + 1);
	}
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(intern_add(&t, slice_of(texts[i])), i + 1);
		assert_int_equal(intern_find(&t, slice_of(texts[i])), i + 1);
	}
	assert_int_equal(intern_find(&t, SLICE("w1000")), INTERN_NONE);
	assert_int_equal(intern_find(&t, SLICE("")), INTERN_NONE);
	assert_int_equal(intern_add(&t, SLICE("")), 1001);
	intern_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_pattern),
	    cmocka_unit_test(test_matching_is_the_textbook_recursion),
	    cmocka_unit_test(test_a_set_finds_each_matching_pattern_once),
	    cmocka_unit_test(test_interning_gives_one_number_to_a_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
